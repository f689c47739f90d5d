//! The flows heard of last: who talks to whom, in which protocol, how much.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;

use super::super::app::App;
use super::super::theme::Part;
use super::cells::{cell, clock, cut, fit, right};
use super::{part, thumb};
use crate::model::pulse::LiveFlow;
use crate::model::shown::{bytes, number};

/// Columns of bytes each way, and of frames and age.
const BYTES: usize = 10;
const MORE: usize = 9;

fn widths(width: usize) -> (usize, usize, bool) {
    let is_wide = width >= 96;
    let right = 2 * (BYTES + 1) + if is_wide { 2 * (MORE + 1) } else { 0 };
    let left = width.saturating_sub(right + 1);
    let protocol = (left / 5).clamp(6, 16).min(left);
    (left.saturating_sub(protocol + 1), protocol, is_wide)
}

pub(super) fn draw(app: &App, frame: &mut Frame<'_>, header: Rect, body: Rect) {
    let (ends, protocol, is_wide) = widths(usize::from(body.width));
    let mut title = format!(
        " {} {} {} {}",
        fit("client → server", ends),
        fit("protocol", protocol),
        right("sent", BYTES),
        right("answered", BYTES)
    );
    if is_wide {
        title.push_str(&format!(" {} {}", right("frames", MORE), right("last", MORE)));
    }
    Line::from(Span::styled(title, part(app, Part::Faint))).render(header, frame.buffer_mut());
    let list = app.list();
    for ((at, flow), line) in app.flows.iter().enumerate().skip(list.top).zip(body.y..body.bottom()) {
        let area = Rect::new(body.x, line, body.width, 1);
        row(app, flow, ends, protocol, is_wide).render(area, frame.buffer_mut());
        if at == list.row {
            frame.buffer_mut().set_style(area, part(app, Part::Chosen));
        }
    }
    if app.flows.is_empty() {
        let text = if app.summary.is_some() { "Nothing talks any more." } else { "Nothing talks yet." };
        let area = Rect { height: 1.min(body.height), ..body };
        Line::from(Span::styled(cut(&format!("  {text}"), usize::from(body.width)), part(app, Part::Label)))
            .render(area, frame.buffer_mut());
    }
    thumb(app, frame, body, list.top, app.flows.len());
}

fn row(app: &App, live: &LiveFlow, ends: usize, protocol: usize, is_wide: bool) -> Line<'static> {
    let base = if live.is_open { Style::new() } else { part(app, Part::Faint) };
    let flow = &live.flow;
    let mut spans = vec![
        Span::raw(" "),
        cell(&format!("{} → {}", flow.client, flow.server), ends, base),
        Span::raw(" "),
        cell(&flow.protocol, protocol, if live.is_open { part(app, Part::Key) } else { base }),
        Span::styled(format!(" {}", right(&bytes(live.to_server), BYTES)), base),
        Span::styled(format!(" {}", right(&bytes(live.to_client), BYTES)), base),
    ];
    if is_wide {
        spans.push(Span::styled(format!(" {}", right(&number(live.frames), MORE)), base));
        spans.push(Span::styled(format!(" {}", right(&clock(live.last), MORE)), part(app, Part::Label)));
    }
    Line::from(spans)
}
