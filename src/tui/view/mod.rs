//! The screen drawn: reads the state, changes nothing.
//!
//! ```text
//! ┌ leaktap  lo · live ───────────────────────────── 05:22:07 ┐  bar
//! │ 1 Leaks 12   2 Secrets 4   3 Endpoints 6   4 Flows  …     │  tabs
//! │ 2 critical 3 high   leaks ▁▂▅ 4/min   traffic ▂▃▇ 1 MiB/s │  pulse, from 18 lines on
//! │ / severity>=high                                  3 of 12 │  filter, where there is one
//! │   time      what              where                       │  columns
//! │ C 05:22:00  Stripe secret key GET api.example.com/v1/…    │  body
//! │ …                                                         │
//! ├ the chosen leak, from 36 lines on ────────────────────────┤  preview
//! │ Enter open  / filter  m mute                              │  bottom
//! └───────────────────────────────────────────────────────────┘
//! ```

mod bars;
mod cells;
mod detail;
mod flows;
mod health;
mod help;
mod lists;
mod prompt;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;

use super::app::{App, Prompt, Tab};
use super::theme::Part;

pub(super) use bars::tab_at;
pub(super) use prompt::menu_item_at;

/// From so many lines on there is a line of sparklines.
const PULSE: u16 = 18;
/// From so many on the chosen leak is shown below the list.
const PREVIEW: u16 = 36;

/// The parts of the screen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Areas {
    pub(super) bar: Rect,
    pub(super) tabs: Rect,
    pub(super) pulse: Rect,
    pub(super) filter: Rect,
    pub(super) columns: Rect,
    pub(super) body: Rect,
    pub(super) preview: Rect,
    pub(super) bottom: Rect,
}

/// Where the parts are; those that are not shown have no height.
pub(super) fn areas(app: &App) -> Areas {
    let (width, height) = (app.size.width, app.size.height);
    let mut top = 0;
    let mut take = |wanted: u16| {
        let lines = wanted.min(height.saturating_sub(top));
        let area = Rect::new(0, top, width, lines);
        top += lines;
        area
    };
    let is_list = app.detail.is_none() && app.help.is_none();
    let has_filter = !app.filter.is_empty() || matches!(app.prompt, Some(Prompt::Filter(_)));
    let has_columns = is_list && app.tab != Tab::Health;
    let has_preview = is_list && height >= PREVIEW && !matches!(app.tab, Tab::Flows | Tab::Health);
    let bar = take(1);
    let tabs = take(1);
    let pulse = take(u16::from(height >= PULSE));
    let filter = take(u16::from(has_filter));
    let columns = take(u16::from(has_columns));
    let left = height.saturating_sub(columns.bottom() + 1);
    let preview_lines = if has_preview { left / 2 } else { 0 };
    let body = take(left - preview_lines);
    let preview = take(preview_lines);
    let bottom = take(1);
    Areas { bar, tabs, pulse, filter, columns, body, preview, bottom }
}

/// Draws all.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let areas = areas(app);
    let whole = frame.area();
    frame.buffer_mut().set_style(whole, app.setup.theme.style(Part::Text));
    bars::bar(app, frame, areas.bar);
    bars::tabs(app, frame, areas.tabs);
    bars::pulse(app, frame, areas.pulse);
    bars::filter(app, frame, areas.filter);
    if app.help.is_some() {
        page(app, frame, areas.body, help::lines(app), app.help.unwrap_or(0));
    } else if let Some(detail) = &app.detail {
        let lines = detail::lines(app, detail.serial, areas.body.width, true);
        page(app, frame, areas.body, lines, detail.scroll);
    } else {
        match app.tab {
            Tab::Leaks | Tab::Secrets | Tab::Endpoints => lists::draw(app, frame, areas.columns, areas.body),
            Tab::Flows => flows::draw(app, frame, areas.columns, areas.body),
            Tab::Health => page(app, frame, areas.body, health::lines(app), app.list().top),
        }
        if areas.preview.height > 1 {
            preview(app, frame, areas.preview);
        }
    }
    bars::bottom(app, frame, areas.bottom);
    prompt::draw(app, frame, areas);
}

/// Lines of a page from `scroll` on, and how far one is where not all is seen.
fn page(app: &App, frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, scroll: usize) {
    let total = lines.len();
    let height = usize::from(area.height);
    for (line, at) in lines.into_iter().skip(scroll).take(height).zip(area.y..) {
        line.render(Rect::new(area.x, at, area.width, 1), frame.buffer_mut());
    }
    thumb(app, frame, area, scroll, total);
}

/// A mark at the right edge that says which part is seen.
fn thumb(app: &App, frame: &mut Frame<'_>, area: Rect, top: usize, total: usize) {
    let height = usize::from(area.height);
    if total <= height || height < 2 || area.width < 2 {
        return;
    }
    let length = (height * height / total).max(1);
    let at = top * (height - length) / (total - height).max(1);
    for line in at..(at + length).min(height) {
        let place = Position::new(area.right() - 1, area.y + line as u16);
        if let Some(cell) = frame.buffer_mut().cell_mut(place) {
            cell.set_char('▐').set_style(app.setup.theme.style(Part::Faint));
        }
    }
}

fn preview(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let rule =
        Line::from(Span::styled("─".repeat(usize::from(area.width)), app.setup.theme.style(Part::Faint)));
    rule.render(Rect { height: 1, ..area }, frame.buffer_mut());
    let Some((serial, _)) = app.leak_at_hand() else { return };
    let area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let lines = detail::lines(app, serial, area.width, false);
    for (line, at) in lines.into_iter().take(usize::from(area.height)).zip(area.y..) {
        line.render(Rect::new(area.x, at, area.width, 1), frame.buffer_mut());
    }
}

/// Lines that the help has.
pub(super) fn help_rows(app: &App) -> usize {
    help::lines(app).len()
}

/// Lines that the leak looked at has.
pub(super) fn detail_rows(app: &App) -> usize {
    app.detail.as_ref().map_or(0, |detail| detail::lines(app, detail.serial, app.size.width, true).len())
}

/// Lines that the page of health has.
pub(super) fn health_rows(app: &App) -> usize {
    health::lines(app).len()
}

fn part(app: &App, part: Part) -> Style {
    app.setup.theme.style(part)
}

#[cfg(test)]
mod tests;
