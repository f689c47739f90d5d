//! Text for a terminal, painted.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

use crate::model::Severity;
pub(super) use crate::model::shown::{bytes, columns, count, join, number, shorten};
pub use crate::model::shown::{clean, wrap};

/// `text` in a style, where colours may be used.
#[must_use]
pub fn paint(text: &str, style: Style, color: bool) -> Cow<'_, str> {
    if color { Cow::Owned(format!("{style}{text}{style:#}")) } else { Cow::Borrowed(text) }
}

/// How a severity is shown.
#[must_use]
pub fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::BrightWhite.on(AnsiColor::Red).bold(),
        Severity::High => AnsiColor::Red.on_default().bold(),
        Severity::Medium => AnsiColor::Yellow.on_default().bold(),
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Info => Style::new().dimmed(),
    }
}
