//! Lists of leaks and of groups of them: only the rows that are seen are made.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;

use super::super::app::App;
use super::super::index::{By, Group, Row};
use super::super::store::Entry;
use super::super::theme::Part;
use super::cells::{cell, clock, cut, fit, how, right};
use super::{part, thumb};
use crate::model::Severity;
use crate::model::event::Leak;
use crate::model::shown::{columns, number};

/// What a column of leaks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Time,
    What,
    Secret,
    How,
    Where,
    Request,
    Flow,
    Process,
    Times,
}

/// The columns of a list of leaks and their widths, by the width of all.
fn leak_columns(width: usize, has_process: bool) -> Vec<(Column, usize)> {
    // The mark of what is marked, the severity.
    let mut left = width.saturating_sub(4);
    let mut chosen = vec![(Column::Time, 8), (Column::Times, 5)];
    let wishes: [(Column, usize, usize); 4] =
        [(Column::Secret, 10, 76), (Column::Where, 24, 104), (Column::How, 14, 138), (Column::Flow, 34, 150)];
    chosen.extend(wishes.into_iter().filter(|wish| width >= wish.2).map(|wish| (wish.0, wish.1)));
    if has_process && width >= 124 {
        chosen.push((Column::Process, 16));
    }
    left = left.saturating_sub(chosen.iter().map(|(_, width)| width + 1).sum());
    let what = (left * 2 / 5).clamp(12, 34).min(left);
    chosen.push((Column::What, what));
    chosen.push((Column::Request, left.saturating_sub(what + 1)));
    let order = [
        Column::Time,
        Column::What,
        Column::Secret,
        Column::How,
        Column::Where,
        Column::Request,
        Column::Flow,
        Column::Process,
        Column::Times,
    ];
    let width_of = |column| chosen.iter().find(|(known, _)| *known == column).copied();
    order.into_iter().filter_map(width_of).collect()
}

fn title(column: Column) -> &'static str {
    match column {
        Column::Time => "time",
        Column::What => "what",
        Column::Secret => "secret",
        Column::How => "how",
        Column::Where => "where",
        Column::Request => "request",
        Column::Flow => "client → server",
        Column::Process => "process",
        Column::Times => "seen",
    }
}

pub(super) fn draw(app: &App, frame: &mut Frame<'_>, header: Rect, body: Rect) {
    // The last column is that of the mark which says how far one is.
    let width = usize::from(body.width).saturating_sub(1);
    let columns = leak_columns(width, app.names_processes);
    let faint = part(app, Part::Faint);
    let text = match app.tree() {
        Some(tree) => group_titles(tree.by, width),
        None => {
            let cells = columns.iter().map(|(column, width)| match column {
                Column::Times => format!("{} ", right(title(*column), *width)),
                _ => format!("{} ", fit(title(*column), *width)),
            });
            format!("    {}", cells.collect::<String>())
        }
    };
    Line::from(Span::styled(text, faint)).render(header, frame.buffer_mut());
    let list = app.list();
    let rows = app.rows();
    for (at, line) in (list.top..rows).zip(body.y..body.bottom()) {
        let area = Rect::new(body.x, line, body.width, 1);
        let shown = match app.row(at) {
            Some(Row::Leak(serial)) => {
                let inset = usize::from(app.tree().is_some()) * 2;
                app.store.get(serial).map(|entry| leak_row(app, serial, entry, &columns, inset))
            }
            Some(Row::Group(key)) => app.group_of(&key).map(|group| group_row(app, &key, group, width)),
            Some(Row::More(_, more)) => {
                let text = format!("      … and {} more: Enter lists them all", number(more as u64));
                Some(Line::from(Span::styled(text, faint)))
            }
            None => None,
        };
        let Some(shown) = shown else { continue };
        shown.render(area, frame.buffer_mut());
        if at == list.row {
            frame.buffer_mut().set_style(area, part(app, Part::Chosen));
        }
    }
    if rows == 0 {
        empty(app, frame, body);
    }
    thumb(app, frame, body, list.top, rows);
}

/// What stands where there is nothing.
fn empty(app: &App, frame: &mut Frame<'_>, body: Rect) {
    let lines: Vec<String> = if app.store.len() > 0 && app.index.progress(&app.store).is_some() {
        vec!["looking …".to_owned()]
    } else if app.store.len() > 0 && app.index.len() == 0 {
        vec!["No leak passes the filter.".to_owned(), "\\ takes it away, / changes it.".to_owned()]
    } else if app.store.len() > 0 {
        vec!["There is no secret among these leaks.".to_owned()]
    } else if app.summary.is_some() {
        vec!["Nothing leaked.".to_owned(), "5 says what was read, and what could not be seen.".to_owned()]
    } else if app.setup.speed.is_some() {
        vec![format!("Reading {} …", app.setup.source), "Nothing has leaked so far.".to_owned()]
    } else {
        vec![
            format!("Listening on {} …", app.setup.source),
            "Nothing has leaked so far. Leaks appear here as they pass.".to_owned(),
            "? lists the keys, 4 shows what talks, 5 what is lost.".to_owned(),
        ]
    };
    let top = body.y + body.height.saturating_sub(lines.len() as u16) / 3;
    for (text, at) in lines.iter().zip(top..body.bottom()) {
        let text = cut(text, usize::from(body.width).saturating_sub(4));
        let line = Line::from(Span::styled(format!("  {text}"), part(app, Part::Label)));
        line.render(Rect::new(body.x, at, body.width, 1), frame.buffer_mut());
    }
}

pub(super) fn letter(level: Severity) -> &'static str {
    match level {
        Severity::Critical => "C",
        Severity::High => "H",
        Severity::Medium => "M",
        Severity::Low => "L",
        Severity::Info => "I",
    }
}

/// The letter of a severity, in its colour.
pub(super) fn badge(app: &App, level: Severity) -> Span<'static> {
    Span::styled(letter(level), app.setup.theme.severity(level))
}

fn leak_row(
    app: &App,
    serial: u64,
    entry: &Entry,
    columns: &[(Column, usize)],
    inset: usize,
) -> Line<'static> {
    let leak = &entry.leak;
    let mark = if app.marked.contains(&serial) { "•" } else { " " };
    let mut spans = vec![
        Span::styled(mark, part(app, Part::Marked)),
        Span::raw(" ".repeat(inset)),
        badge(app, leak.severity),
        Span::raw(if leak.confidence == crate::model::Confidence::Low { "? " } else { "  " }),
    ];
    let base = if entry.muted { part(app, Part::Faint) } else { Style::new() };
    for &(column, width) in columns {
        let width = if column == Column::Request { width.saturating_sub(inset) } else { width };
        let span = match column {
            Column::Time => cell(&clock(leak.time), width, part(app, Part::Label)),
            Column::What => cell(&leak.title, width, base),
            Column::Secret => {
                let secret = leak.secret.as_ref().map_or("", |secret| secret.redacted.as_str());
                cell(secret, width, part(app, Part::Secret))
            }
            Column::How => cell(&how(&leak.exposures), width, base),
            Column::Where => cell(&place(leak), width, base),
            Column::Request => cell(&request(leak), width, base),
            Column::Flow => {
                cell(&format!("{} → {}", leak.flow.client, leak.flow.server), width, part(app, Part::Label))
            }
            Column::Process => {
                let process =
                    leak.process.as_ref().map(|process| format!("{} {}", process.name, process.pid));
                cell(&process.unwrap_or_default(), width, base)
            }
            Column::Times => {
                let times = if entry.times > 1 { format!("×{}", short(entry.times)) } else { String::new() };
                Span::styled(right(&times, width), part(app, Part::Title))
            }
        };
        spans.push(span);
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

/// A number in at most four letters.
fn short(number: u64) -> String {
    match number {
        0..=9999 => number.to_string(),
        10_000..=999_999 => format!("{}k", number / 1000),
        1_000_000..=999_999_999 => format!("{}M", number / 1_000_000),
        _ => "many".to_owned(),
    }
}

/// Surface and name.
pub(super) fn place(leak: &Leak) -> String {
    match &leak.name {
        Some(name) => format!("{} {name}", leak.surface.as_str()),
        None => leak.surface.as_str().to_owned(),
    }
}

/// `GET api.example.com/v1/…`
pub(super) fn request(leak: &Leak) -> String {
    let Some(http) = &leak.http else { return format!("{} {}", leak.flow.protocol, leak.flow.server) };
    let method = http.method.as_deref().unwrap_or_default();
    let host = http.host.as_deref().unwrap_or_default();
    let target = http.target.as_deref().unwrap_or_default();
    let place = if target.contains("://") { target.to_owned() } else { format!("{host}{target}") };
    format!("{method} {place}").trim().to_owned()
}

/// Columns at the right of a list of groups: first, last, leaks, seen.
const RIGHT: usize = 9 + 9 + 7 + 7;

fn group_titles(by: By, width: usize) -> String {
    let what = match by {
        By::Secret => "secret",
        By::Endpoint => "endpoint",
        By::Client => "client",
    };
    let times = if width >= 76 { "   first    last  " } else { "    last " };
    let tail = format!("{times}{}{}", right("leaks", 7), right("seen", 7));
    let room = width.saturating_sub(columns(&tail) + 1);
    format!("{}{tail}", fit(&format!("    {what}"), room))
}

fn group_row(app: &App, key: &str, group: &Group, width: usize) -> Line<'static> {
    let Some(tree) = app.tree() else { return Line::default() };
    let newest = group.members.back().and_then(|&serial| app.store.get(serial));
    let fold = if tree.is_open(key) { "▾ " } else { "▸ " };
    let is_marked = group.members.back().is_some_and(|serial| app.marked.contains(serial));
    let mut spans = vec![
        Span::styled(if is_marked { "•" } else { " " }, part(app, Part::Marked)),
        badge(app, group.worst()),
        Span::raw(" "),
        Span::styled(fold, part(app, Part::Label)),
    ];
    let is_wide = width >= 76;
    let tail = if is_wide { RIGHT } else { RIGHT - 9 };
    let room = width.saturating_sub(5 + tail + 1);
    match (tree.by, newest) {
        (By::Secret, Some(entry)) => {
            let leak = &entry.leak;
            let title = (room * 2 / 5).clamp(14, 34).min(room);
            spans.push(cell(&leak.title, title, part(app, Part::Title)));
            let (shown, fingerprint) = match &leak.secret {
                Some(secret) => {
                    (format!("{} ({})", secret.redacted, secret.length), secret.fingerprint.get(..12))
                }
                None => (leak.evidence.clone(), None),
            };
            let mut left = room.saturating_sub(title + 1);
            spans.push(Span::raw(" "));
            let secret = if left >= 40 { 18 } else { left };
            let secret = if leak.secret.is_some() { secret } else { left };
            spans.push(cell(&shown, secret, part(app, Part::Secret)));
            left = left.saturating_sub(secret);
            if left > 14 {
                spans.push(Span::raw(" "));
                spans.push(cell(fingerprint.unwrap_or_default(), 13, part(app, Part::Faint)));
                spans.push(cell(&hosts(app, group), left - 14, Style::new()));
            } else {
                spans.push(Span::raw(" ".repeat(left)));
            }
        }
        (_, newest) => {
            let what = newest.map(|entry| entry.leak.title.clone()).unwrap_or_default();
            let first = if room >= 60 { room * 3 / 5 } else { room };
            spans.push(cell(key, first, part(app, Part::Title)));
            if room > first {
                spans.push(Span::raw(" "));
                spans.push(cell(&what, room - first - 1, part(app, Part::Label)));
            }
        }
    }
    if is_wide {
        spans.push(Span::styled(right(&clock(group.first), 9), part(app, Part::Label)));
    }
    spans.push(Span::styled(right(&clock(group.last), 9), part(app, Part::Label)));
    spans.push(Span::raw(right(&short(group.members.len() as u64), 7)));
    spans.push(Span::raw(right(&short(group.times), 7)));
    Line::from(spans)
}

/// The hosts that the leaks seen last of a group name.
fn hosts(app: &App, group: &Group) -> String {
    let mut hosts: Vec<&str> = Vec::new();
    for serial in group.members.iter().rev().take(20) {
        let Some(entry) = app.store.get(*serial) else { continue };
        let host = entry.endpoint.split('/').next().unwrap_or_default();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.join(", ")
}
