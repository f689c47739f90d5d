//! Text in any charset made UTF-8, so that rules have one alphabet to read.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::contract::Media;

/// The body as UTF-8: by byte order mark, declared charset, or look (UTF-16). Borrows what is UTF-8, what is ASCII,
/// and what is of no known charset; a byte order mark is dropped. Linear; at most three times as long.
#[must_use]
pub fn to_utf8<'a>(bytes: &'a [u8], media: &Media) -> Cow<'a, [u8]> {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return convert(bytes.get(length..).unwrap_or_default(), encoding);
    }
    if let Some(encoding) = utf16(bytes) {
        return convert(bytes, encoding);
    }
    let declared = media.charset.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
    match declared {
        // Declared as UTF-16, but it does not look so.
        Some(encoding) if encoding != UTF_16LE && encoding != UTF_16BE => convert(bytes, encoding),
        Some(encoding) if memchr::memchr(0, bytes).is_some() => convert(bytes, encoding),
        _ => Cow::Borrowed(bytes),
    }
}

fn convert<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Cow<'a, [u8]> {
    // Valid UTF-8 that is declared as Latin-1 is UTF-8 nearly always; faulty UTF-8 is searched as it is.
    let ascii_based = encoding != UTF_16LE && encoding != UTF_16BE && encoding.is_ascii_compatible();
    if encoding == UTF_8 || (ascii_based && Encoding::utf8_valid_up_to(bytes) == bytes.len()) {
        return Cow::Borrowed(bytes);
    }
    match encoding.decode_without_bom_handling(bytes).0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// UTF-16 by look: most of the first characters are ASCII, that is, every second byte is NUL.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let first = bytes.get(..bytes.len().min(256) & !1)?;
    if first.len() < 8 || memchr::memchr(0, first.get(..8)?).is_none() {
        return None;
    }
    let (mut even, mut odd) = (0_usize, 0_usize);
    for pair in first.chunks_exact(2) {
        if let &[a, b] = pair {
            even += usize::from(a == 0);
            odd += usize::from(b == 0);
        }
    }
    let most = first.len() / 2 * 3 / 4;
    match (even, odd) {
        (0, odd) if odd >= most => Some(UTF_16LE),
        (even, 0) if even >= most => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_charset_becomes_utf_8() {
        let text = "{\"password\": \"schlüssel\"}";
        let latin: Vec<u8> = text.chars().map(|character| character as u8).collect();
        let with_mark = |mark: &[u8], body: Vec<u8>| [mark, &body].concat();
        let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
            (text.into(), None),
            (text.into(), Some("iso-8859-1")),
            (with_mark(b"\xef\xbb\xbf", text.into()), None),
            (latin.clone(), Some("iso-8859-1")),
            (latin, Some("windows-1252")),
            (wide(text, u16::to_le_bytes), None),
            (wide(text, u16::to_be_bytes), None),
            (wide(text, u16::to_be_bytes), Some("utf-16be")),
            (with_mark(b"\xff\xfe", wide(text, u16::to_le_bytes)), None),
            (with_mark(b"\xfe\xff", wide(text, u16::to_be_bytes)), Some("utf-8")),
        ];
        for (bytes, charset) in cases {
            let media = Media { charset: charset.map(Into::into), ..Media::default() };
            assert_eq!(String::from_utf8_lossy(&to_utf8(&bytes, &media)), text, "{charset:?} {bytes:?}");
        }
    }

    #[test]
    fn what_is_utf_8_or_unknown_is_borrowed() {
        for (bytes, charset) in [
            (&b"plain"[..], Some("latin1")),
            (b"\xff\xfa", Some("utf-8")),
            (b"\xfa", Some("klingon")),
            (b"ab", Some("utf-16")),
        ] {
            let media = Media { charset: charset.map(Into::into), ..Media::default() };
            assert!(matches!(to_utf8(bytes, &media), Cow::Borrowed(same) if same == bytes), "{bytes:?}");
        }
    }
}
