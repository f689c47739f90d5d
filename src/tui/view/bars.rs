//! The lines above and below: what is looked at, the pages, sparklines, the filter, what keys do.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;
use unicode_width::UnicodeWidthStr as _;

use super::super::app::{App, Prompt, Tab};
use super::super::index::{By, Sort};
use super::super::keys::{self, KEYS, Place};
use super::super::theme::Part;
use super::cells::{clock, cut, fit};
use super::prompt::typed;
use super::{lists, part};
use crate::model::Severity;
use crate::model::shown::{bytes, number};

/// Columns of a sparkline.
const SPARK: usize = 30;

fn line(frame: &mut Frame<'_>, area: Rect, spans: Vec<Span<'_>>) {
    if area.height > 0 {
        Line::from(spans).render(area, frame.buffer_mut());
    }
}

/// What is looked at, whether it goes on, the time.
pub(super) fn bar(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let style = part(app, Part::Bar);
    frame.buffer_mut().set_style(area, style);
    let state = if app.summary.is_some() {
        "over".to_owned()
    } else if app.is_paused {
        "paused".to_owned()
    } else if let Some(speed) = app.setup.speed {
        speed.to_string()
    } else {
        "live".to_owned()
    };
    let mut right = String::new();
    if let (Some((read, total)), None) = (app.pulse.position, &app.summary) {
        match total {
            Some(total) if total > 0 => right.push_str(&progress(read, total)),
            _ => right.push_str(&bytes(read)),
        }
        right.push_str("  ");
    }
    let lost: u64 = app.pulse.drops.values().sum::<u64>() + app.dropped;
    if lost > 0 {
        right.push_str(&format!("{} dropped  ", number(lost)));
    }
    right.push_str(&format!("{} ", clock(app.pulse.time.max(app.newest))));
    let width = usize::from(area.width);
    let left = format!(" leaktap  {} · {state}", app.setup.source);
    let room = width.saturating_sub(right.width());
    line(frame, area, vec![Span::raw(fit(&left, room)), Span::raw(right)]);
}

/// `[#####.....] 50 %`
fn progress(read: u64, total: u64) -> String {
    const STEPS: u64 = 10;
    let done = (read.min(total) * STEPS / total) as usize;
    let percent = read.min(total) * 100 / total;
    format!("{}{} {percent} %", "━".repeat(done), "╌".repeat(STEPS as usize - done))
}

/// The titles of the pages with what is on them.
fn titles(app: &App) -> Vec<(Tab, String)> {
    let is_narrow = app.size.width < 76;
    let amount = |tab| match tab {
        Tab::Leaks => app.index.len(),
        Tab::Secrets => app.index.secrets(),
        Tab::Endpoints => app.index.groups(By::Endpoint).len(),
        Tab::Flows => app.flows.len(),
        Tab::Health => 0,
    };
    let title = |(at, tab): (usize, Tab)| {
        let amount = if is_narrow { 0 } else { amount(tab) };
        let amount = if amount > 0 { format!(" {}", number(amount as u64)) } else { String::new() };
        let mark = if tab == Tab::Health && is_ill(app) { "!" } else { "" };
        (tab, format!(" {} {}{amount}{mark} ", at + 1, tab.title()))
    };
    Tab::ALL.into_iter().enumerate().map(title).collect()
}

/// Whether something was lost or failed.
fn is_ill(app: &App) -> bool {
    app.dropped > 0
        || app.pulse.drops.values().any(|&count| count > 0)
        || app.notes.iter().any(|(_, is_fault)| *is_fault)
}

pub(super) fn tabs(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let titles = titles(app);
    let spans = titles.into_iter().map(|(tab, title)| {
        let style = if tab == app.tab { part(app, Part::Tab) } else { part(app, Part::Label) };
        Span::styled(title, style)
    });
    let mut spans: Vec<Span<'_>> = spans.collect();
    if app.size.width >= 110 && app.tree().is_none() && app.tab == Tab::Leaks || app.tree().is_some() {
        let order = if app.sort == Sort::Newest { "newest first" } else { "worst first" };
        spans.push(Span::styled(format!("  {order}"), part(app, Part::Faint)));
    }
    line(frame, area, spans);
}

/// The page whose title stands in this column.
pub(in crate::tui) fn tab_at(app: &App, column: u16) -> Option<Tab> {
    let mut end = 0;
    titles(app).into_iter().find_map(|(tab, title)| {
        end += title.width();
        (usize::from(column) < end).then_some(tab)
    })
}

/// Leaks by severity, leaks and traffic over time.
pub(super) fn pulse(app: &App, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let mut spans = vec![Span::raw(" ")];
    for level in Severity::ALL.into_iter().rev() {
        let count = app.index.count(level);
        if count > 0 {
            let style = app.setup.theme.severity(level);
            let name = if area.width < 110 { lists::letter(level) } else { level.as_str() };
            spans.push(Span::styled(format!(" {} {name} ", number(count as u64)), style));
        }
    }
    if app.index.len() == 0 {
        spans.push(Span::styled(" no leaks", part(app, Part::Faint)));
    }
    let used: usize = spans.iter().map(|span| span.content.width()).sum();
    let leaks = format!(" {}/min", number(app.leaks.sum(60)));
    let traffic = format!(" {}/s", bytes(app.traffic.rate(3)));
    let room = usize::from(area.width).saturating_sub(used + leaks.width() + traffic.width() + 20);
    let bars = (room / 2).min(SPARK);
    let mut right = vec![Span::styled("  leaks ", part(app, Part::Faint))];
    if bars >= 5 {
        right.push(Span::styled(app.leaks.bars(bars), part(app, Part::Leaks)));
    }
    right.push(Span::raw(leaks));
    right.push(Span::styled("  traffic ", part(app, Part::Faint)));
    if bars >= 5 {
        right.push(Span::styled(app.traffic.bars(bars), part(app, Part::Traffic)));
    }
    right.push(Span::raw(traffic));
    let taken: usize = right.iter().map(|span| span.content.width()).sum();
    let space = usize::from(area.width).saturating_sub(used + taken + 1);
    if used + taken <= usize::from(area.width) {
        spans.push(Span::raw(" ".repeat(space)));
        spans.extend(right);
    }
    line(frame, area, spans);
}

/// The filter in force or being typed, and how many leaks pass.
pub(super) fn filter(app: &App, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let amount = match app.index.progress(&app.store) {
        Some(percent) if !app.is_paused => format!("{percent} % looked at "),
        _ => format!("{} of {} ", number(app.index.len() as u64), number(app.store.len() as u64)),
    };
    let width = usize::from(area.width);
    let room = width.saturating_sub(amount.width() + 4);
    let mut spans = vec![Span::styled(" / ", part(app, Part::Key))];
    if let Some(Prompt::Filter(asking)) = &app.prompt {
        let (shown, column) = typed(&asking.line, room);
        let style = if asking.wrong.is_some() { part(app, Part::Fault) } else { part(app, Part::Title) };
        spans.push(Span::styled(fit(shown, room), style));
        let at = Position::new(area.x + 3 + column as u16, area.y);
        if at.x < area.right() {
            frame.set_cursor_position(at);
        }
    } else {
        spans.push(Span::styled(fit(app.filter.text(), room), part(app, Part::Title)));
    }
    spans.push(Span::raw(" "));
    spans.push(Span::styled(amount, part(app, Part::Faint)));
    line(frame, area, spans);
}

/// What was said last; else what keys do here.
pub(super) fn bottom(app: &App, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    if let Some((text, is_fault, _)) = &app.said {
        let style = part(app, if *is_fault { Part::Fault } else { Part::Good });
        return line(
            frame,
            area,
            vec![Span::styled(format!(" {}", cut(text, width.saturating_sub(1))), style)],
        );
    }
    let places = if app.help.is_some() || app.detail.is_some() {
        [Place::Detail, Place::Everywhere]
    } else {
        [Place::Lists, Place::Everywhere]
    };
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    let mut waiting = String::new();
    if app.is_paused && app.setup.speed.is_none() {
        let new = app.index.progress(&app.store).map(|_| "new leaks wait · ").unwrap_or_default();
        waiting = format!("{new}Space goes on ");
    } else if !app.marked.is_empty() {
        waiting = format!("{} marked ", number(app.marked.len() as u64));
    } else if app.list().is_parked
        && app.detail.is_none()
        && app.tab == Tab::Leaks
        && app.setup.speed.is_none()
    {
        waiting = "f follows ".to_owned();
    }
    let room = width.saturating_sub(waiting.width() + 1);
    for place in places {
        for binding in KEYS.iter().filter(|binding| binding.place == place && !binding.hint.is_empty()) {
            let key = binding.keys.first().map(|key| keys::shown(key)).unwrap_or_default();
            let length = key.width() + 1 + binding.hint.width() + 2;
            if used + length > room {
                continue;
            }
            used += length;
            spans.push(Span::styled(key, part(app, Part::Key)));
            spans.push(Span::styled(format!(" {}  ", binding.hint), part(app, Part::Label)));
        }
    }
    spans.push(Span::raw(" ".repeat(width.saturating_sub(used + waiting.width()))));
    spans.push(Span::styled(waiting, part(app, Part::Warning)));
    line(frame, area, spans);
}
