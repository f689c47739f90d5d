//! Forms: `application/x-www-form-urlencoded` (WHATWG URL standard, section 5).

use super::contract::{Decoder, Document, Wanted};
use super::head::text;
use super::url::pairs;
use crate::model::Field;
use crate::model::http::offset_in;
use crate::model::text::percent_decode;

/// Names and values decoded, in their order.
pub(super) struct Form;

/// Bytes that decide by look.
const LOOK: usize = 64 << 10;

impl Decoder for Form {
    fn name(&self) -> &'static str {
        "form"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        match document.media.essence.as_str() {
            "application/x-www-form-urlencoded" => true,
            "" | "text/plain" | "application/octet-stream" => !document.partial && is_form(document.bytes),
            _ => false,
        }
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        let bytes = document.bytes;
        let place = |raw: &[u8]| offset_in(bytes, raw).map_or(0..0, |start| start..start + raw.len());
        pairs(bytes.trim_ascii(), false, &mut |name, raw| {
            let span = place(raw);
            if wanted.touches(&span) || name.is_some_and(|name| wanted.touches(&place(name))) {
                let name = name.map(|name| text(percent_decode(name, true)));
                out(Field::new(document.surface, name, percent_decode(raw, true), span));
            }
        });
    }
}

/// Whether the bytes are `k=v(&k=v)*` and nothing else: no white space, quotes or brackets but those of names.
pub(super) fn is_form(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    let first = bytes.get(..LOOK).unwrap_or(bytes);
    let name = |name: &[u8]| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.~[]%+*$:@!".contains(byte);
        !name.is_empty() && name.len() <= 128 && name.iter().all(plain)
    };
    let value =
        |value: &[u8]| value.iter().all(|byte| matches!(byte, 0x21..=0x7e) && !b"\"<>{}\\^`|".contains(byte));
    let whole = first.len() == bytes.len();
    let pieces = first.split(|&byte| byte == b'&');
    let last = first.iter().filter(|&&byte| byte == b'&').count();
    !first.is_empty()
        && pieces.enumerate().all(|(index, piece)| match super::url::split(piece, b'=') {
            (key, Some(rest)) => name(key) && value(rest),
            // The last one may have been cut by the look.
            (key, None) => index > 0 && (key.is_empty() || name(key) || (index == last && !whole)),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Media;
    use crate::model::Surface;

    fn document<'a>(body: &'a str, media: &'a Media) -> Document<'a> {
        Document { bytes: body.as_bytes(), media, surface: Surface::RequestBody, partial: false }
    }

    #[test]
    fn pairs_become_fields() {
        let media = Media::default();
        let body = "user=a%40b&pw=x+y&tags[]=1&tags[]=2&e=&=v&lone\r\n";
        let mut told = Vec::new();
        Form.decode(&document(body, &media), &Wanted::All, &mut |field| {
            let raw = &body[field.span.clone()];
            told.push(format!(
                "{}={} @{raw}",
                field.name.as_deref().unwrap_or("-"),
                String::from_utf8_lossy(&field.value)
            ));
        });
        assert_eq!(
            told,
            ["user=a@b @a%40b", "pw=x y @x+y", "tags[]=1 @1", "tags[]=2 @2", "e= @", "=v @v", "-=lone @lone"]
        );
    }

    #[test]
    fn looks_decide_where_no_type_does() {
        for (body, essence, fits) in [
            ("a=b", "", true),
            ("a=b&c[d]=%20e+f", "text/plain", true),
            ("a=b&c", "", true),
            ("a=b c=d", "", false),
            ("key = value", "text/plain", false),
            ("a=\"b\"", "", false),
            ("lone", "", false),
            ("a=b", "text/html", false),
            ("<a href=b>", "", false),
            ("anything goes", "application/x-www-form-urlencoded", true),
        ] {
            let media = Media { essence: essence.into(), ..Media::default() };
            assert_eq!(Form.fits(&document(body, &media)), fits, "{body}");
        }
    }
}
