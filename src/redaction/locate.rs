//! Where a value stands in bytes, in whatever form it was written there.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

/// Shorter values are told from other text by what stands around them.
const SHORT: usize = 6;
/// The shortest run of base64 that is looked into.
const TOKEN: usize = 8;

/// Bytes, and where each of them came from.
pub(super) struct View {
    bytes: Vec<u8>,
    /// The range each was made of.
    from: Vec<Range<usize>>,
}

impl View {
    /// Parts of `bytes` behind each other.
    pub(super) fn of(bytes: &[u8], parts: &[Range<usize>]) -> Self {
        let mut view = Self { bytes: Vec::new(), from: Vec::new() };
        for part in parts {
            view.bytes.extend_from_slice(bytes.get(part.clone()).unwrap_or_default());
            view.from.extend(part.clone().map(|at| at..at + 1));
        }
        view.from.truncate(view.bytes.len());
        view
    }

    fn mapped(&self, mut step: impl FnMut(&[u8]) -> Option<(Vec<u8>, usize)>) -> Self {
        let mut view =
            Self { bytes: Vec::with_capacity(self.bytes.len()), from: Vec::with_capacity(self.bytes.len()) };
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (made, taken) = step(rest).unwrap_or_else(|| (rest.iter().take(1).copied().collect(), 1));
            let origin = self.range(at..at + taken);
            view.from.extend(std::iter::repeat_n(origin, made.len()));
            view.bytes.extend_from_slice(&made);
            at += taken;
        }
        view
    }

    /// What some of its bytes were made of.
    fn range(&self, part: Range<usize>) -> Range<usize> {
        let start = self.from.get(part.start).map_or(0, |range| range.start);
        let end =
            part.end.checked_sub(1).and_then(|last| self.from.get(last)).map_or(start, |range| range.end);
        start..end.max(start)
    }

    /// Where a value stands, as it is.
    fn plain(&self, value: &[u8], found: &mut Vec<Range<usize>>) {
        for at in memmem::find_iter(&self.bytes, value) {
            let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let before = at.checked_sub(1).and_then(|before| self.bytes.get(before));
            let within = is_word(before) || is_word(self.bytes.get(at + value.len()));
            if value.len() >= SHORT || !within {
                found.push(self.range(at..at + value.len()));
            }
        }
    }

    /// Runs of base64 whose bytes hold a value.
    fn base64(&self, value: &[u8], found: &mut Vec<Range<usize>>) {
        const ANY: GeneralPurposeConfig = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let mut at = 0;
        for run in self.bytes.split(|byte| !is_token(byte)) {
            let (start, length) = (at, run.len());
            at += length + 1;
            if length < TOKEN {
                continue;
            }
            let text: Vec<u8> = run
                .iter()
                .map(|&byte| match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    other => other,
                })
                .collect();
            // A slash or sign before the token may belong to what stands there.
            let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, ANY);
            let holds = (0..4.min(length)).any(|skip| {
                let part = text.get(skip..).unwrap_or_default();
                let part = part.get(..part.len() - usize::from(part.len() % 4 == 1)).unwrap_or_default();
                engine.decode(part).is_ok_and(|bytes| memmem::find(&bytes, value).is_some())
            });
            if holds {
                found.push(self.range(start..start + length));
            }
        }
    }
}

/// Every place at which `value` stands in a view: as it is, percent-encoded, escaped as in JSON or HTML, in base64, in UTF-16.
pub(super) fn locate(view: &View, value: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if value.is_empty() {
        return found;
    }
    view.plain(value, &mut found);
    view.base64(value, &mut found);
    let has = |mark: &[u8]| memmem::find(&view.bytes, mark).is_some();
    if has(b"%") || has(b"+") {
        view.mapped(percent).plain(value, &mut found);
    }
    if has(b"\\") {
        let undone = view.mapped(escape);
        undone.plain(value, &mut found);
        undone.mapped(escape).plain(value, &mut found);
    }
    if has(b"&") {
        view.mapped(entity).plain(value, &mut found);
    }
    if let Ok(text) = std::str::from_utf8(value) {
        for wide in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = text.encode_utf16().flat_map(wide).collect();
            view.plain(&wide, &mut found);
        }
        // Latin-1, where it has other bytes.
        if !text.is_ascii() && text.chars().all(|letter| (letter as u32) < 256) {
            let narrow: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
            view.plain(&narrow, &mut found);
        }
    }
    found
}

fn percent(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    match rest {
        [b'+', ..] => Some((vec![b' '], 1)),
        [b'%', high, low, ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            Some((vec![(digit(high)? * 16 + digit(low)?) as u8], 3))
        }
        _ => None,
    }
}

/// RFC 8259 section 7.
fn escape(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'\\', kind, ..] = rest else { return None };
    let plain = match kind {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'"' | b'\\' | b'/' | b'\'' => *kind,
        b'u' => {
            let unit = |from: usize| {
                let digits = std::str::from_utf8(rest.get(from..from + 4)?).ok()?;
                u16::from_str_radix(digits, 16).ok()
            };
            let first = unit(2)?;
            let pair = rest.get(6..8).filter(|mark| *mark == b"\\u").and_then(|_| unit(8));
            let both = pair
                .and_then(|second| char::decode_utf16([first, second]).next()?.ok())
                .filter(|_| first >= 0xd800);
            let (letter, taken) = match both.filter(|letter| *letter as u32 > 0xffff) {
                Some(letter) => (letter, 12),
                None => (char::from_u32(u32::from(first))?, 6),
            };
            return Some((letter.to_string().into_bytes(), taken));
        }
        _ => return None,
    };
    Some((vec![plain], 2))
}

fn entity(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'&', name @ ..] = rest else { return None };
    let end = name.iter().take(10).position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(name.get(..end)?).ok()?;
    let letter = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((letter.to_string().into_bytes(), end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_form() {
        let value = "p\u{e4}ss/w0rd&\"é+1";
        let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(format!("user:{value}"));
        for (bytes, expected) in [
            (format!("a={value};").into_bytes(), value.as_bytes().to_vec()),
            (b"a=p%C3%A4ss%2Fw0rd%26%22%c3%A9%2b1&b".to_vec(), b"p%C3%A4ss%2Fw0rd%26%22%c3%A9%2b1".to_vec()),
            (br#"{"a":"p\u00e4ss\/w0rd&\"\u00e9+1"}"#.to_vec(), br#"p\u00e4ss\/w0rd&\"\u00e9+1"#.to_vec()),
            ("<b>p&#228;ss/w0rd&amp;&quot;&#xe9;+1</b>".into(), "p&#228;ss/w0rd&amp;&quot;&#xe9;+1".into()),
            (format!("Authorization: Basic {base64}\r\n").into_bytes(), base64.trim_end_matches('=').into()),
            (wide.clone(), wide),
            (
                value.chars().map(|letter| letter as u8).collect(),
                value.chars().map(|letter| letter as u8).collect(),
            ),
        ] {
            let view = View::of(&bytes, std::slice::from_ref(&(0..bytes.len())));
            let found = locate(&view, value.as_bytes());
            let found: Vec<&[u8]> = found.into_iter().map(|range| &bytes[range]).collect();
            assert!(found.contains(&expected.as_slice()), "{}: {found:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_value_is_found_across_parts_and_short_ones_as_words() {
        let bytes = b"5\r\nsecre\r\n6\r\nt-made\r\n";
        let view = View::of(bytes, &[3..8, 13..19]);
        assert!(locate(&view, b"secret-made").contains(&(3..19)));
        let bytes = b"passed pass=pass1 a=pass";
        assert_eq!(
            locate(&View::of(bytes, std::slice::from_ref(&(0..bytes.len()))), b"pass"),
            [7..11, 20..24]
        );
        assert!(locate(&View::of(bytes, std::slice::from_ref(&(0..bytes.len()))), b"").is_empty());
    }
}
