//! The help, drawn from the table of keys and that of the filter's fields.

use ratatui::text::{Line, Span};

use super::super::app::App;
use super::super::filter::FIELDS;
use super::super::keys::{self, KEYS, Place};
use super::super::theme::Part;
use super::cells::{cut, fit};
use super::part;

/// Columns of the keys.
const LEFT: usize = 20;

pub(super) fn lines(app: &App) -> Vec<Line<'static>> {
    let width = usize::from(app.size.width);
    let mut lines = Vec::new();
    let title = |lines: &mut Vec<Line<'static>>, text: &str| {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(Span::styled(format!(" {text}"), part(app, Part::Title))));
    };
    let entry = |left: String, about: &str| {
        Line::from(vec![
            Span::styled(format!("   {} ", fit(&left, LEFT)), part(app, Part::Key)),
            Span::styled(cut(about, width.saturating_sub(LEFT + 5)), part(app, Part::Text)),
        ])
    };
    for place in Place::ALL {
        if place == Place::Files && app.setup.speed.is_none() {
            continue;
        }
        title(&mut lines, place.title());
        for binding in KEYS.iter().filter(|binding| binding.place == place) {
            let names: Vec<String> = binding.keys.iter().map(|key| keys::shown(key)).collect();
            lines.push(entry(names.join(" "), binding.about));
        }
    }
    title(&mut lines, "Filter");
    for (left, about) in [
        ("word", "it stands anywhere; \"several words\" together"),
        ("a b · a or b · -a · ( )", "both, either, not, together"),
        ("field:a|b", "one of these; * and ? are wild"),
        ("= != > >= < <=", "exactly, not, and by order"),
    ] {
        lines.push(entry(left.to_owned(), about));
    }
    for (_, name, _, about) in FIELDS {
        lines.push(entry(format!("{name}:"), about));
    }
    title(&mut lines, "Severity");
    for level in crate::model::Severity::ALL.into_iter().rev() {
        lines.push(Line::from(vec![
            Span::raw("   "),
            super::lists::badge(app, level),
            Span::raw(format!(" {}", level.as_str())),
        ]));
    }
    lines.push(entry("?".to_owned(), "behind the letter: low confidence"));
    lines
}
