//! What the headers of a message say of its body, and whether a body is worth reading at all.

use super::contract::Media;
use super::cookie::unquoted;
use super::url::split;
use crate::model::http::Header;

/// Reads `Content-Type`, `Content-Encoding`, `Transfer-Encoding` and `no-store` (RFC 9110 section 8, RFC 9112 section 7).
/// Codings that change nothing (`identity`, `chunked`, which the parser undoes, `aws-chunked`) are left out.
#[must_use]
pub fn media(headers: &[Header<'_>]) -> Media {
    let mut media = Media::default();
    let mut transfer = Vec::new();
    for header in headers {
        match header.name.len() {
            12 if header.name.eq_ignore_ascii_case(b"content-type") && media.essence.is_empty() => {
                content_type(header.value, &mut media);
            }
            13 if header.name.eq_ignore_ascii_case(b"cache-control") => {
                media.no_store |= header.value.windows(8).any(|word| word.eq_ignore_ascii_case(b"no-store"));
            }
            16 if header.name.eq_ignore_ascii_case(b"content-encoding") => {
                codings(header.value, &mut media.encodings);
            }
            17 if header.name.eq_ignore_ascii_case(b"transfer-encoding") => {
                codings(header.value, &mut transfer);
            }
            _ => {}
        }
    }
    // A transfer coding was applied to what the content codings made.
    media.encodings.append(&mut transfer);
    media
}

fn content_type(value: &[u8], media: &mut Media) {
    let (essence, mut rest) = split(value, b';');
    // A list of types is a fault; the first counts.
    let essence = split(essence, b',').0.trim_ascii();
    media.essence = String::from_utf8_lossy(essence).to_ascii_lowercase();
    while let Some(parameters) = rest {
        let (name, Some(behind)) = split(parameters, b'=') else { return };
        let (raw, next) = match behind.trim_ascii_start().strip_prefix(b"\"") {
            Some(inner) => {
                let (raw, behind) = split(inner, b'"');
                (raw, behind.and_then(|behind| split(behind, b';').1))
            }
            None => split(behind, b';'),
        };
        let name = split(name, b';').1.unwrap_or(name).trim_ascii();
        let raw = unquoted(raw.trim_ascii());
        if name.eq_ignore_ascii_case(b"charset") && media.charset.is_none() {
            media.charset = Some(String::from_utf8_lossy(raw).to_ascii_lowercase());
        } else if name.eq_ignore_ascii_case(b"boundary") && media.boundary.is_none() && !raw.is_empty() {
            media.boundary = Some(raw.to_vec());
        }
        rest = next;
    }
}

fn codings(value: &[u8], into: &mut Vec<String>) {
    for coding in value.split(|&byte| byte == b',') {
        let coding = String::from_utf8_lossy(split(coding, b';').0.trim_ascii()).to_ascii_lowercase();
        // More than a handful is an attack: the list stops being one that anybody can undo.
        let idle = matches!(coding.as_str(), "" | "identity" | "chunked" | "aws-chunked" | "none");
        if !idle && into.len() < 32 {
            into.push(coding);
        }
    }
}

/// Whether a body is of no interest: images, sound, video, fonts, archives, programs, anything that is not text. Looks
/// at the first bytes of the decoded body (up to 512); where they are text, the declared type does not matter. A
/// multipart body is never of no interest: a field may stand beside an image.
#[must_use]
pub fn is_opaque(media: &Media, first_bytes: &[u8]) -> bool {
    let first = first_bytes.get(..512).unwrap_or(first_bytes);
    if first.is_empty() {
        return is_declared_opaque(media);
    }
    // Most bodies.
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    let may_be_magic = first.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'%');
    if !may_be_magic && first.iter().fold(true, |all, byte| all & is_plain(byte)) {
        return false;
    }
    if has_magic(first) {
        return true;
    }
    // Text beside pictures: its parts are judged one by one.
    if media.essence.starts_with("multipart/") && first.starts_with(b"--") {
        return false;
    }
    !looks_like_text(first)
}

/// Whether bytes of no message hold no text to speak of: of the first 512 less than half are printable. Of what is encrypted or
/// compressed 38 % are; of binary records with text in them most.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.len() >= 64 && is_hardly_text(bytes)
}

/// The same of few bytes, too.
#[must_use]
pub fn is_hardly_text(bytes: &[u8]) -> bool {
    let first = bytes.get(..512).unwrap_or(bytes);
    let printable = first.iter().filter(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)).count();
    2 * printable < first.len()
}

fn is_declared_opaque(media: &Media) -> bool {
    let essence = media.essence.as_str();
    let family = essence.split('/').next().unwrap_or_default();
    (matches!(family, "image" | "video" | "audio" | "font") && essence != "image/svg+xml")
        || matches!(
            essence,
            "application/zip"
                | "application/gzip"
                | "application/x-gzip"
                | "application/x-tar"
                | "application/x-7z-compressed"
                | "application/zstd"
                | "application/x-bzip2"
                | "application/x-xz"
                | "application/java-archive"
                | "application/pdf"
                | "application/wasm"
                | "application/vnd.ms-fontobject"
        )
}

/// Magic numbers of formats whose first bytes could pass for text, and of the most common others.
fn has_magic(first: &[u8]) -> bool {
    const MAGIC: [&[u8]; 28] = [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF87a",
        b"GIF89a",
        b"BM\0",
        b"II*\0",
        b"MM\0*",
        b"\0\0\x01\0",
        b"wOFF",
        b"wOF2",
        b"OTTO\0",
        b"\0\x01\0\0",
        b"ID3\x03",
        b"ID3\x04",
        b"OggS",
        b"fLaC",
        b"FLV\x01",
        b"\x1a\x45\xdf\xa3",
        b"%PDF-",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"7z\xbc\xaf\x27\x1c",
        b"\x28\xb5\x2f\xfd",
        b"\x7fELF",
        b"\0asm",
    ];
    let riff = first.starts_with(b"RIFF")
        && first.get(8..12).is_some_and(|kind| matches!(kind, b"WEBP" | b"WAVE" | b"AVI "));
    let boxes = first.get(4..8).is_some_and(|kind| kind == b"ftyp");
    riff || boxes || MAGIC.iter().any(|magic| first.starts_with(magic))
}

/// Few control characters and no NUL, or UTF-16.
fn looks_like_text(first: &[u8]) -> bool {
    // Of so few bytes with a NUL nobody can say yet whether they are UTF-16.
    if first.len() < 8 || super::charset::utf16(first).is_some() {
        return true;
    }
    let mut controls = 0_usize;
    for &byte in first {
        match byte {
            0 => controls += 8,
            b'\t' | b'\n' | b'\r' | 0x0c | 0x1b => {}
            0x01..0x20 | 0x7f => controls += 1,
            _ => {}
        }
    }
    if controls * 20 > first.len() {
        return false;
    }
    // High bytes are letters where they are UTF-8; most of a body in a single-byte charset is still ASCII or consistent text.
    let valid = match std::str::from_utf8(first) {
        Ok(_) => first.len(),
        // A character cut at the end is no fault.
        Err(error) if error.error_len().is_none() => first.len(),
        Err(error) => error.valid_up_to(),
    };
    valid == first.len() || controls == 0 || valid >= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &'static [(&'static str, &'static str)]) -> Vec<Header<'static>> {
        lines.iter().map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() }).collect()
    }

    #[test]
    fn what_has_no_text_is_binary() {
        let random: Vec<u8> = (0..300_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert!(is_binary(&random));
        let record =
            [&b"\x08\x96\x01\x12\x20sk_test_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG"[..], &[0; 20], &b"some text in it"[..]]
                .concat();
        assert!(record.len() >= 64 && !is_binary(&record));
        assert!(!is_binary(&random[..40]), "too few to say");
    }

    #[test]
    fn headers_say_what_a_body_is() {
        type Case = (
            &'static [(&'static str, &'static str)],
            &'static str,
            Option<&'static str>,
            Option<&'static str>,
            &'static [&'static str],
        );
        let cases: &[Case] = &[
            (&[], "", None, None, &[]),
            (&[("Content-Type", "Text/HTML; Charset=\"UTF-8\"")], "text/html", Some("utf-8"), None, &[]),
            (
                &[("content-type", "multipart/form-data; boundary=\"a;b c\"; charset=x")],
                "multipart/form-data",
                Some("x"),
                Some("a;b c"),
                &[],
            ),
            (
                &[("Content-Type", "multipart/form-data;boundary=--x=y")],
                "multipart/form-data",
                None,
                Some("--x=y"),
                &[],
            ),
            (&[("Content-Type", "text/plain;;charset=utf-16;")], "text/plain", Some("utf-16"), None, &[]),
            (
                &[
                    ("Content-Encoding", "GZIP, br"),
                    ("Transfer-Encoding", "deflate, chunked"),
                    ("Content-Encoding", "identity"),
                ],
                "",
                None,
                None,
                &["gzip", "br", "deflate"],
            ),
        ];
        for (lines, essence, charset, boundary, encodings) in cases {
            let media = media(&headers(lines));
            assert_eq!(media.essence, *essence);
            assert_eq!(media.charset.as_deref(), *charset, "{lines:?}");
            assert_eq!(media.boundary.as_deref(), boundary.map(str::as_bytes), "{lines:?}");
            assert_eq!(media.encodings, *encodings);
        }
    }

    #[test]
    fn what_is_not_text_is_opaque() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", true),
            ("image/png", b"{\"key\": \"made-up\"}", false),
            ("image/svg+xml", b"<svg xmlns=''>", false),
            ("image/png", b"", true),
            ("text/plain", b"", false),
            ("", b"PK\x03\x04\x14\0", true),
            ("application/octet-stream", b"DB_PASSWORD=made-up\n", false),
            ("application/octet-stream", b"\x01\x02\x03\x04\x05\x06abc", true),
            ("text/html", b"GIF89a....", true),
            ("text/plain", b"p\0a\0s\0s\0w\0o\0r\0d\0", false),
            ("text/plain", b"gr\xfc\xdfe aus K\xf6ln, Passwort: geheim", false),
            ("", "schl\u{fc}ssel".as_bytes(), false),
            ("multipart/form-data", b"--b\r\n\r\n\x89PNG\0\0\0\0\0\x01\x02\x03\r\n--b", false),
            ("multipart/form-data", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", true),
        ];
        for (essence, first, opaque) in cases {
            let media = Media { essence: (*essence).to_string(), ..Media::default() };
            assert_eq!(is_opaque(&media, first), *opaque, "{essence} {first:?}");
        }
    }
}
