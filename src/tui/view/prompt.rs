//! Questions drawn over the rest: menus, completions, whether to reveal.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget as _};

use super::super::app::{App, Menu, Prompt, Reason};
use super::super::line::Line as Typed;
use super::super::theme::Part;
use super::cells::{cut, fit};
use super::{Areas, areas, part};
use crate::model::shown::columns;

/// Completions seen at once.
const COMPLETIONS: usize = 8;

pub(super) fn draw(app: &App, frame: &mut Frame<'_>, areas: Areas) {
    match &app.prompt {
        Some(Prompt::Menu(menu)) => draw_menu(app, frame, menu),
        Some(Prompt::Filter(_)) => completions(app, frame, areas),
        Some(Prompt::Reveal(_)) => reveal(app, frame, areas.bottom),
        Some(Prompt::Reason(reason)) => why(app, frame, areas.bottom, reason),
        None => {}
    }
}

/// Where a menu stands: above the bottom line, at the left.
fn menu_area(app: &App, menu: &Menu) -> Rect {
    let areas = areas(app);
    let longest = menu.items.iter().map(|item| columns(&item.label)).max().unwrap_or(0);
    let width = (longest.max(columns(&menu.title)) + 8).min(usize::from(app.size.width)) as u16;
    let height = (menu.items.len() as u16 + 2).min(areas.bottom.y);
    Rect::new(0, areas.bottom.y.saturating_sub(height), width, height)
}

/// The first item that is seen: the chosen one always is.
fn first_item(menu: &Menu, area: Rect) -> usize {
    let height = usize::from(area.height.saturating_sub(2)).max(1);
    (menu.chosen + 1).saturating_sub(height)
}

/// The item of the menu at a place.
pub(in crate::tui) fn menu_item_at(app: &App, at: Position) -> Option<usize> {
    let Some(Prompt::Menu(menu)) = &app.prompt else { return None };
    let area = menu_area(app, menu);
    let inside = Block::bordered().inner(area);
    inside.contains(at).then(|| first_item(menu, area) + usize::from(at.y - inside.y))
}

fn draw_menu(app: &App, frame: &mut Frame<'_>, menu: &Menu) {
    let area = menu_area(app, menu);
    Clear.render(area, frame.buffer_mut());
    frame.buffer_mut().set_style(area, part(app, Part::Text));
    let block = Block::bordered()
        .border_style(part(app, Part::Faint))
        .title(Span::styled(format!(" {} ", menu.title), part(app, Part::Title)));
    let inside = block.inner(area);
    block.render(area, frame.buffer_mut());
    let items = menu.items.iter().enumerate().skip(first_item(menu, area));
    for ((at, item), line) in items.zip(inside.y..inside.bottom()) {
        let spans = vec![
            Span::styled(format!(" {} ", item.key), part(app, Part::Key)),
            Span::raw(cut(&item.label, usize::from(inside.width).saturating_sub(4))),
        ];
        let area = Rect::new(inside.x, line, inside.width, 1);
        Line::from(spans).render(area, frame.buffer_mut());
        if at == menu.chosen {
            frame.buffer_mut().set_style(area, part(app, Part::Chosen));
        }
    }
}

/// What is wrong with the filter, or what it may go on with, below its line.
fn completions(app: &App, frame: &mut Frame<'_>, areas: Areas) {
    let Some(Prompt::Filter(asking)) = &app.prompt else { return };
    let room = usize::from(areas.bottom.y.saturating_sub(areas.filter.bottom()));
    let mut lines: Vec<Line<'_>> = Vec::new();
    // While there is something to complete it is not wrong, it is not done.
    if let Some(wrong) = asking.wrong.as_ref().filter(|_| asking.completions.is_empty()) {
        lines.push(Line::from(Span::styled(format!("   {wrong}"), part(app, Part::Fault))));
    }
    let first = asking.chosen.map_or(0, |at| (at + 1).saturating_sub(COMPLETIONS));
    let longest = asking.completions.iter().map(|found| columns(&found.text)).max().unwrap_or(0).min(40);
    for (at, found) in asking.completions.iter().enumerate().skip(first).take(COMPLETIONS) {
        let style = if asking.chosen == Some(at) { Part::Chosen } else { Part::Key };
        lines.push(Line::from(vec![
            Span::raw("   "),
            Span::styled(fit(&found.text, longest), part(app, style)),
            Span::styled(format!("  {}", found.about), part(app, Part::Faint)),
        ]));
    }
    if asking.completions.len() > COMPLETIONS {
        let text = format!("   {} more: Tab", asking.completions.len() - COMPLETIONS);
        lines.push(Line::from(Span::styled(text, part(app, Part::Faint))));
    }
    for (line, at) in lines.into_iter().take(room).zip(areas.filter.bottom()..) {
        let area = Rect::new(0, at, app.size.width, 1);
        Clear.render(area, frame.buffer_mut());
        frame.buffer_mut().set_style(area, part(app, Part::Text));
        line.render(area, frame.buffer_mut());
    }
}

/// Why something is muted, typed on the bottom line; its end is seen where it does not fit.
fn why(app: &App, frame: &mut Frame<'_>, area: Rect, reason: &Reason) {
    if area.height == 0 {
        return;
    }
    Clear.render(area, frame.buffer_mut());
    let (ask, hint) = (" Why? ", "a reason, owner:NAME, until:DATE, or nothing · Enter mutes · Esc does not");
    let room = usize::from(area.width).saturating_sub(columns(ask) + 1);
    let (shown, column) = typed(&reason.line, room);
    let (text, style) = match reason.wrong {
        Some(wrong) => (format!("{shown} ({wrong})"), part(app, Part::Fault)),
        None if reason.line.text.is_empty() => (hint.to_owned(), part(app, Part::Faint)),
        None => (shown.to_owned(), part(app, Part::Title)),
    };
    let spans = vec![Span::styled(ask, part(app, Part::Key)), Span::styled(fit(&text, room + 1), style)];
    Line::from(spans).render(area, frame.buffer_mut());
    let at = Position::new(area.x + (columns(ask) + column) as u16, area.y);
    if at.x < area.right() {
        frame.set_cursor_position(at);
    }
}

/// What is seen of a line that is being typed in so many columns, and the column of its cursor.
pub(super) fn typed(line: &Typed, room: usize) -> (&str, usize) {
    let text = &line.text;
    let before = text.get(..line.cursor).unwrap_or(text);
    let hidden = columns(before).saturating_sub(room.saturating_sub(1));
    let (mut skipped, mut start) = (0, 0);
    for (at, letter) in text.char_indices() {
        if skipped >= hidden {
            break;
        }
        skipped += unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        start = at + letter.len_utf8();
    }
    (text.get(start..).unwrap_or_default(), columns(before).saturating_sub(skipped))
}

fn reveal(app: &App, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    Clear.render(area, frame.buffer_mut());
    let text = " Show this secret on the screen? r or y: for 15 s · any other key: no";
    let line = Line::from(Span::styled(fit(text, usize::from(area.width)), part(app, Part::Warning)));
    line.render(area, frame.buffer_mut());
}
