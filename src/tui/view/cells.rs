//! Text in columns: cut to their width, filled up to it, harmless.

use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::model::shown::clean;
use crate::model::{Exposure, Timestamp};

/// At most `width` columns of a text, a mark where some were cut off.
pub(super) fn cut(text: &str, width: usize) -> String {
    // What nobody sees need not be made harmless.
    let start =
        text.char_indices().nth(4 * width + 16).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
    let text = clean(start);
    if text.width() <= width && start.len() == text.len() {
        return text.into_owned();
    }
    if text.width() <= width {
        return text.into_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let step = letter.width().unwrap_or(0);
        if used + step + 1 > width {
            break;
        }
        shown.push(letter);
        used += step;
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

/// The same, filled with spaces.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut shown = cut(text, width);
    let used = shown.width();
    shown.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    shown
}

/// The same, at the right.
pub(super) fn right(text: &str, width: usize) -> String {
    let shown = cut(text, width);
    format!("{}{shown}", " ".repeat(width.saturating_sub(shown.width())))
}

/// A cell of a row.
pub(super) fn cell(text: &str, width: usize, style: Style) -> Span<'static> {
    Span::styled(fit(text, width), style)
}

/// `05:22:00`.
pub(super) fn clock(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(11..19).unwrap_or("--:--:--").to_owned()
}

/// How it leaks, in few letters.
pub(super) fn how(exposures: &[Exposure]) -> String {
    let words: Vec<&str> = exposures
        .iter()
        .map(|exposure| match exposure {
            Exposure::QueryString => "query",
            Exposure::Url => "url",
            Exposure::Cleartext => "clear",
            Exposure::Response => "answer",
            Exposure::Reflected => "reflected",
            Exposure::Traceback => "trace",
            Exposure::Log => "log",
            Exposure::Stored => "stored",
            Exposure::ClientSession => "session",
            Exposure::Pii => "personal",
            Exposure::Misconfiguration => "config",
        })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_its_column() {
        for (text, width, shown) in [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("abcde", 5, "abcde"),
            ("秘密秘密", 5, "秘密…"),
            ("秘密秘密", 4, "秘… "),
            ("a\x1b[2Jb", 12, "a\\u{1b}[2Jb "),
            ("abc", 0, ""),
        ] {
            assert_eq!(fit(text, width), shown, "{text} {width}");
        }
        assert_eq!(right("7", 3), "  7");
        assert_eq!(cut(&"x".repeat(100_000), 3), "xx…");
        assert_eq!(clock(Timestamp::from_nanos(1_795_324_920_123_456_789)), "05:22:00");
        assert_eq!(how(&[Exposure::QueryString, Exposure::Cleartext]), "query,clear");
    }
}
