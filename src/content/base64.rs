//! Base64 and base64url as they are met: with or without padding, in either alphabet (RFC 4648 sections 4 and 5).

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Whether the byte belongs to one of the two alphabets. Without branch or table, so that blocks of bytes are looked at
/// at once.
pub(super) const fn is_digit(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit_or_slash = byte.wrapping_sub(b'/') < 11;
    letter | digit_or_slash | (byte == b'+') | (byte == b'-') | (byte == b'_')
}

/// The bytes that `digits` encode; `None` where they are no base64 of either alphabet.
pub(super) fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    let engine = if memchr::memchr2(b'-', b'_', digits).is_some() { &URL } else { &PLAIN };
    engine.decode(digits).ok()
}

/// The text that `digits` encode: valid UTF-8 without control characters other than white space, not empty.
pub(super) fn decode_text(digits: &[u8]) -> Option<Vec<u8>> {
    let bytes = decode(digits)?;
    // The first bytes tell most of what is no text.
    let text = std::str::from_utf8(&bytes).ok()?;
    let short = bytes.len() < 24;
    let printable = |character: char| match character {
        '\t' | '\r' | '\n' => true,
        _ if character.is_ascii() => !character.is_ascii_control(),
        _ => !short && !character.is_control(),
    };
    (!text.is_empty() && text.chars().all(printable)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        for (digits, bytes) in [
            ("aGVsbG8=", Some(&b"hello"[..])),
            ("aGVsbG8", Some(b"hello")),
            ("-_-_", Some(b"\xfb\xff\xbf")),
            ("+/+/", Some(b"\xfb\xff\xbf")),
            ("+_", None),
            ("a b", None),
            ("", Some(b"")),
        ] {
            assert_eq!(decode(digits.as_bytes()).as_deref(), bytes, "{digits}");
        }
        assert_eq!(decode_text(b"aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_text(b"-_-_"), None);
        assert_eq!(decode_text(b""), None);
        assert!(is_digit(b'_') && is_digit(b'/') && !is_digit(b'=') && !is_digit(0xff));
    }
}
