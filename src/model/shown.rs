//! Text as people are shown it: made harmless, measured, wrapped; numbers with their units.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What came from a network must not command the terminal: control characters, and those that hide or turn text
/// round, are written as `\u{1b}`. A line break too.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if dangerous(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// So many of a thing whose name takes an s: `1 leak`, `2 leaks`, `1,000 leaks`.
#[must_use]
pub fn counted(amount: u64, one: &str) -> String {
    format!("{} {one}{}", number(amount), if amount == 1 { "" } else { "s" })
}

/// Columns that `text` takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks `text` into lines of at most `width` columns: at spaces where it can, within a word where it must.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = columns(word);
        if used > 0 && used + 1 + length <= width {
            line.push(' ');
            line.push_str(word);
            used += 1 + length;
            continue;
        }
        // A word that no line can hold begins on this one where there is room worth having.
        if used > 0 && length > width && used + 1 + width / 4 < width {
            line.push(' ');
            used += 1;
        } else if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for character in word.chars() {
            let step = character.width().unwrap_or(0);
            if used + step > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += step;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Puts `parts` on lines of at most `width` columns, ` · ` between them; a part is broken only where a line cannot hold it.
#[must_use]
pub fn join(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        match lines.last_mut() {
            Some(line) if columns(line) + 3 + columns(part) <= width => {
                line.push_str(" · ");
                line.push_str(part);
            }
            _ => lines.extend(wrap(part, width)),
        }
    }
    lines
}

/// At most `limit` characters of `text`, and a mark where some were left out.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{} […]", text.get(..end).unwrap_or_default())),
    }
}

/// A number with its thousands apart: `1,234,567`.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 frame`, `2 frames`.
#[must_use]
pub fn count(amount: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(amount), if amount == 1 { one } else { many })
}

/// A number of bytes in the unit that reads best: `812 B`, `1.4 MiB`.
#[must_use]
pub fn bytes(amount: u64) -> String {
    let mut value = amount as f64;
    let mut text = String::new();
    for unit in ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 999.5 || unit == "EiB" {
            let decimals = usize::from(unit != "B" && value < 99.95);
            // Writing to a string cannot fail.
            let _ = write!(text, "{value:.decimals$} {unit}");
            break;
        }
        value /= 1024.0;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_network_commands_the_terminal() {
        for (text, harmless) in [
            ("plain ünïcode 秘密", "plain ünïcode 秘密"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}gpj", "user\\u{202e}gpj"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(clean(text), harmless);
        }
    }

    #[test]
    fn text_is_wrapped_at_spaces_or_where_it_must() {
        for (text, width, lines) in [
            ("", 10, vec![]),
            ("one two three", 9, vec!["one two", "three"]),
            ("exactly10c next", 10, vec!["exactly10c", "next"]),
            ("abcdefghijklmnopqrst", 8, vec!["abcdefgh", "ijklmnop", "qrst"]),
            ("GET abcdefghijklmnop", 12, vec!["GET abcdefgh", "ijklmnop"]),
            ("秘密秘密秘密", 8, vec!["秘密秘密", "秘密"]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text}");
        }
        assert_eq!(
            join(&["ab".into(), String::new(), "cd".into(), "efghij".into()], 9),
            ["ab · cd", "efghij"]
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(count(1, "frame", "frames"), "1 frame");
        for (amount, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (204_472_320, "195 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(amount), text);
        }
        assert_eq!(shorten("abcdef", 3), "abc […]");
        assert_eq!(shorten("äbc", 3), "äbc");
    }
}
