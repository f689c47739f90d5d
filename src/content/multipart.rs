//! Multipart bodies (RFC 2046 section 5.1, RFC 7578): each part by its name and its own type.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memmem};

use super::contract::{Decoder, Document, Wanted};
use super::media::{is_opaque, media};
use super::url::split;
use super::{base64, json, text};
use crate::model::Field;
use crate::model::http::{Header, offset_in};

/// Names are the parts' own; inside a structured part the path goes on behind it.
pub(super) struct Multipart;

/// Multiparts inside multiparts.
const DEPTH: usize = 3;
/// Bytes of a part's headers.
const HEAD: usize = 16 << 10;
/// A part without a file name is one value up to this length, text above.
const VALUE: usize = 64 << 10;

impl Decoder for Multipart {
    fn name(&self) -> &'static str {
        "multipart"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        let declared = document.media.essence.starts_with("multipart/");
        if document.partial {
            return declared && document.media.boundary.is_some();
        }
        declared && (document.media.boundary.is_some() || first_line(document.bytes).is_some())
            || first_line(document.bytes).is_some_and(|(_, rest)| {
                rest.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
            })
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        let range = 0..document.bytes.len();
        parts(document, range, document.media.boundary.as_deref(), 0, wanted, out);
    }
}

/// The boundary that the first line shows, and what stands behind that line.
fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = split(bytes.trim_ascii_start().strip_prefix(b"--")?, b'\n');
    let boundary = line.trim_ascii_end();
    let valid = (1..=70).contains(&boundary.len()) && boundary.iter().all(u8::is_ascii_graphic);
    if valid { Some((boundary, rest?)) } else { None }
}

fn parts(
    document: &Document<'_>,
    range: Range<usize>,
    boundary: Option<&[u8]>,
    depth: usize,
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    let bytes = document.bytes.get(range.clone()).unwrap_or_default();
    let base = range.start;
    let Some(boundary) = boundary.or_else(|| first_line(bytes).map(|(boundary, _)| boundary)) else {
        return text::tell(document.bytes, range, document.surface, None, wanted, out);
    };
    let delimiter = [b"--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut found =
        finder.find_iter(bytes).filter(|&at| at == 0 || bytes.get(at - 1) == Some(&b'\n')).peekable();
    match found.peek() {
        // The declared boundary does not occur, or the body begins in the middle of a part.
        None => return text::tell(document.bytes, range, document.surface, None, wanted, out),
        Some(&first) if first > 0 => {
            text::tell(document.bytes, base..base + first, document.surface, None, wanted, out);
        }
        Some(_) => {}
    }
    while let Some(at) = found.next() {
        let start = at + delimiter.len();
        let end = found.peek().copied().unwrap_or(bytes.len());
        let closing = bytes.get(start..).unwrap_or_default().starts_with(b"--");
        let line =
            memchr(b'\n', bytes.get(start..end).unwrap_or_default()).map_or(end, |line| start + line + 1);
        let part = line..end;
        if wanted.ends_before(base + part.start) {
            return;
        }
        if closing {
            // The epilogue.
            text::tell(
                document.bytes,
                base + part.start..base + part.end,
                document.surface,
                None,
                wanted,
                out,
            );
        } else {
            self::part(document, base + part.start..base + part.end, depth, wanted, out);
        }
    }
}

/// One part: head, empty line, body, and the line break that belongs to the boundary.
fn part(
    document: &Document<'_>,
    range: Range<usize>,
    depth: usize,
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    if !wanted.touches(&range) {
        return;
    }
    let bytes = document.bytes.get(range.clone()).unwrap_or_default();
    let (headers, body_start) = head(bytes);
    let body_end = {
        let cut = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
        if range.end == document.bytes.len() { bytes.len() } else { cut.len().max(body_start) }
    };
    let body = range.start + body_start..range.start + body_end;
    let content = document.bytes.get(body.clone()).unwrap_or_default();
    let media = media(&headers);
    let disposition = crate::model::http::header(&headers, "content-disposition").unwrap_or_default();
    let name = parameter(disposition, b"name");
    let place = name.and_then(|name| offset_in(document.bytes, name).map(|start| start..start + name.len()));
    let name = name.map(|name| String::from_utf8_lossy(&super::authorization::unescaped(name)).into_owned());
    let file = parameter(disposition, b"filename").is_some();

    // The name is wanted: then the part is, whole.
    let whole = [body.clone()];
    let wanted = match place {
        Some(place) if wanted.touches(&place) => &Wanted::At(&whole),
        _ => wanted,
    };
    if !wanted.touches(&body) {
        return;
    }
    let encoding = crate::model::http::header(&headers, "content-transfer-encoding").unwrap_or_default();
    if encoding.eq_ignore_ascii_case(b"base64") {
        let digits: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if let Some(decoded) = base64::decode(&digits)
            && !is_opaque(&media, &decoded)
        {
            let inner =
                Document { bytes: &decoded, media: &media, surface: document.surface, partial: false };
            structured(&inner, name.as_deref(), &Wanted::All, &mut |field| {
                out(Field { span: body.clone(), ..field });
            });
        }
        return;
    }
    if media.essence.starts_with("multipart/") && depth < DEPTH {
        return parts(document, body, media.boundary.as_deref(), depth + 1, wanted, out);
    }
    if is_opaque(&media, content) && !content.is_empty() {
        return;
    }
    let plain = matches!(media.essence.as_str(), "" | "text/plain");
    if plain && !file && content.len() <= VALUE {
        return out(Field::new(document.surface, name.map(Cow::Owned), Cow::Borrowed(content), body));
    }
    if plain && !json::is_plausible(content) {
        return text::tell(document.bytes, body, document.surface, name.as_deref(), wanted, out);
    }
    let shifted = wanted.within(&body);
    let places = shifted.as_deref().map_or(Wanted::All, Wanted::At);
    let inner = Document { bytes: content, media: &media, surface: document.surface, partial: false };
    structured(&inner, name.as_deref(), &places, &mut |field| {
        let span = body.start + field.span.start..body.start + field.span.end;
        out(Field { span, ..field });
    });
}

/// A part by its own type; the names inside go on behind the part's.
fn structured(
    document: &Document<'_>,
    name: Option<&str>,
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    let Some(part) = name else { return super::part_fields(document, wanted, out) };
    super::part_fields(document, wanted, &mut |field| {
        let joined = match field.name.as_deref() {
            None => part.to_string(),
            Some(inner) if inner.starts_with('[') => format!("{part}{inner}"),
            Some(inner) => format!("{part}.{inner}"),
        };
        out(Field { name: Some(Cow::Owned(joined)), ..field });
    });
}

/// The headers of a part, and where its body begins.
fn head(bytes: &[u8]) -> (Vec<Header<'_>>, usize) {
    let mut headers = Vec::new();
    let mut at = 0;
    while at < HEAD {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line_end) = memchr(b'\n', rest) else { break };
        let line = rest.get(..line_end).unwrap_or_default().trim_ascii_end();
        if line.is_empty() {
            return (headers, at + line_end + 1);
        }
        match split(line, b':') {
            (name, Some(value)) => {
                headers.push(Header { name: name.trim_ascii(), value: value.trim_ascii() })
            }
            // No header: the body has begun without an empty line.
            (_, None) => return (headers, at),
        }
        at += line_end + 1;
    }
    (headers, at)
}

/// The raw value of a parameter (RFC 7578 section 4.2); a quoted one without its quotes.
fn parameter<'a>(disposition: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = split(disposition, b';').1?;
    loop {
        let (name, behind) = split(rest, b'=');
        let behind = behind?.trim_ascii_start();
        let (raw, next) = match behind.strip_prefix(b"\"") {
            Some(inner) => {
                let mut end = 0;
                while let Some(found) = inner.get(end..).and_then(|rest| memchr(b'"', rest)) {
                    end += found;
                    if end == 0 || inner.get(end - 1) != Some(&b'\\') {
                        break;
                    }
                    end += 1;
                }
                let raw = inner.get(..end).unwrap_or(inner);
                (raw, inner.get(end..).and_then(|rest| split(rest, b';').1))
            }
            None => split(behind, b';'),
        };
        let name = name.trim_ascii();
        let name = name.strip_prefix(b";").unwrap_or(name).trim_ascii();
        if name.eq_ignore_ascii_case(wanted) {
            return Some(raw);
        }
        rest = next?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Media;
    use crate::model::Surface;

    const BODY: &str = "--XX\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nalice\r\n\
        --XX\r\ncontent-disposition: form-data; filename=\"a;b.txt\"; name=\"no\\\"te\"\r\nContent-Type: text/plain\r\n\r\npw: made-up\r\n\r\n\
        --XX\r\nContent-Disposition: form-data; name=meta\r\nContent-Type: application/json\r\n\r\n{\"a\":[\"b\"]}\r\n\
        --XX\r\nContent-Disposition: form-data; name=pic; filename=p\r\nContent-Type: image/png\r\n\r\n\x7fELF\0\0\r\n\
        --XX\r\nContent-Disposition: form-data; name=enc\r\nContent-Transfer-Encoding: base64\r\n\r\nbWFkZS11cC1z\r\nZWNyZXQ=\r\n\
        --XX\r\n\r\nnameless\r\n--XX--\r\n";

    fn told(body: &str, boundary: Option<&str>, wanted: &Wanted<'_>) -> Vec<String> {
        let media = Media {
            essence: "multipart/form-data".into(),
            boundary: boundary.map(Into::into),
            ..Media::default()
        };
        let document =
            Document { bytes: body.as_bytes(), media: &media, surface: Surface::RequestBody, partial: false };
        let mut told = Vec::new();
        Multipart.decode(&document, wanted, &mut |field| {
            let value = String::from_utf8_lossy(&field.value);
            if field.span.len() == field.value.len() {
                assert_eq!(body.as_bytes()[field.span.clone()], *field.value);
            }
            told.push(format!("{}={value}", field.name.as_deref().unwrap_or("-")));
        });
        told
    }

    #[test]
    fn parts_become_fields() {
        let all = ["user=alice", "no\"te=pw: made-up\r\n", "meta.a[0]=b", "enc=made-up-secret", "-=nameless"];
        assert_eq!(told(BODY, Some("XX"), &Wanted::All), all);
        // The boundary can be read from the body; bare line feeds do.
        assert_eq!(told(&BODY.replace("\r\n", "\n"), None, &Wanted::All)[..1], all[..1]);
        assert_eq!(
            told("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\ncut of", Some("XX"), &Wanted::All),
            ["a=cut of"]
        );
        assert_eq!(told("no boundary", Some("XX"), &Wanted::All), ["-=no boundary"]);
        assert_eq!(told("--XX\r\nno head\r\n--XX--", Some("XX"), &Wanted::All), ["-=no head"]);
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let place = |text: &str| {
            let start = BODY.find(text).unwrap();
            start..start + text.len()
        };
        for (text, expected) in [
            ("alice", &["user=alice"][..]),
            ("meta", &["meta.a[0]=b"]),
            ("\"b\"", &["meta.a[0]=b"]),
            ("Content-Type", &[]),
            ("ZWN", &["enc=made-up-secret"]),
        ] {
            assert_eq!(told(BODY, Some("XX"), &Wanted::At(&[place(text)])), expected, "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let mut body =
            String::from("--0\r\nContent-Disposition: form-data; name=deep\r\n\r\nvalue\r\n--0--\r\n");
        for level in 1..50 {
            body = format!(
                "--{level}\r\nContent-Type: multipart/mixed; boundary={}\r\n\r\n{body}\r\n--{level}--\r\n",
                level - 1
            );
        }
        let told = told(&body, Some("49"), &Wanted::All);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("value"));
    }
}
