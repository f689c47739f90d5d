//! Event streams: `text/event-stream` (WHATWG HTML standard, section 9.2).

use std::ops::Range;

use memchr::{memchr2, memmem};

use super::contract::{Decoder, Document, Outline, Wanted};
use super::{json, text};
use crate::model::Field;
use crate::model::message::Origin;

/// The data of each event: JSON by path, else text. Other lines are text.
pub(super) struct EventStream;

impl Decoder for EventStream {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        document.media.essence == "text/event-stream"
    }

    /// Events that are over say nothing of the next.
    fn outline(&self, document: &Document<'_>, until: usize) -> Option<Outline> {
        let gone = document.bytes.get(..until)?;
        let over =
            [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].map(|end| Some(memmem::rfind(gone, end)? + end.len()));
        let until = over.into_iter().flatten().max()?;
        Some(Outline { text: Vec::new(), until, partial: document.partial })
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        let bytes = document.bytes;
        let mut at = 0;
        let mut data: Vec<Range<usize>> = Vec::new();
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let next = at
                + length
                + if rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n")) { 2 } else { 1 };
            if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                data.push(at + length - value.len()..at + length);
            } else if line.is_empty() {
                event(document, &data, wanted, out);
                data.clear();
                if wanted.ends_before(next) {
                    return;
                }
            } else {
                text::tell(bytes, at..at + length, document.surface, None, wanted, out);
            }
            at = next;
        }
        event(document, &data, wanted, out);
    }
}

fn event(
    document: &Document<'_>,
    data: &[Range<usize>],
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    let bytes = document.bytes;
    let (Some(first), Some(last)) = (data.first(), data.last()) else { return };
    let whole = first.start..last.end;
    if !wanted.touches(&whole) {
        return;
    }
    if data.len() == 1 {
        let line = bytes.get(whole.clone()).unwrap_or_default();
        if !json::is_plausible(line) {
            return text::tell(bytes, whole, document.surface, None, wanted, out);
        }
        let places = wanted.within(&whole);
        let wanted = places.as_deref().map_or(Wanted::All, Wanted::At);
        return json::walk(line, false, &wanted, &mut |value| {
            out(value.field(document.surface, &value.name(""), whole.start));
        });
    }
    let lines: Vec<&[u8]> = data.iter().map(|line| bytes.get(line.clone()).unwrap_or_default()).collect();
    let joined = lines.join(&b'\n');
    if json::is_plausible(&joined) {
        json::walk(&joined, false, &Wanted::All, &mut |value| {
            out(Field { span: whole.clone(), ..value.field(document.surface, &value.name(""), 0) });
        });
    } else {
        out(Field::new(document.surface, None, joined.into(), whole).from(Origin::Text));
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one place, not its bytes")]
mod tests {
    use super::*;
    use crate::content::Media;
    use crate::model::Surface;

    #[test]
    fn what_is_over_says_nothing_of_the_next() {
        let media = Media::default();
        for (body, until, expected) in [
            ("data: one\n\ndata: two\n\ndata: three", 30, Some(22)),
            ("data: one\n\ndata: two\n\ndata: three", 21, Some(11)),
            ("data: one\r\n\r\ndata: two", 20, Some(13)),
            ("data: one\ndata: two", 15, None),
        ] {
            let bytes = body.as_bytes();
            let document = Document { bytes, media: &media, surface: Surface::ResponseBody, partial: false };
            let outline = EventStream.outline(&document, until);
            assert_eq!(outline.as_ref().map(|outline| outline.until), expected, "{body}");
            assert!(outline.is_none_or(|outline| outline.text.is_empty() && !outline.partial));
        }
    }

    #[test]
    fn each_event_is_told() {
        let body = "event: token\ndata: {\"a\":{\"b\":\"made-up\"}}\r\n\r\ndata:one\ndata: two\n\ndata: [\ndata: 1]\n\ndata: last";
        let media = Media::default();
        let document = Document {
            bytes: body.as_bytes(),
            media: &media,
            surface: Surface::ResponseBody,
            partial: false,
        };
        let tell = |wanted: &Wanted<'_>| {
            let mut told = Vec::new();
            EventStream.decode(&document, wanted, &mut |field| {
                if field.span.len() == field.value.len() {
                    assert_eq!(body.as_bytes()[field.span.clone()], *field.value);
                }
                told.push(format!(
                    "{}={}",
                    field.name.as_deref().unwrap_or("-"),
                    String::from_utf8_lossy(&field.value)
                ));
            });
            told
        };
        assert_eq!(tell(&Wanted::All), ["-=event: token", "a.b=made-up", "-=one\ntwo", "[0]=1", "-=last"]);
        let at = body.find("two").unwrap();
        assert_eq!(tell(&Wanted::At(&[at..at + 1])), ["-=one\ntwo"]);
        let at = body.find("made").unwrap();
        assert_eq!(tell(&Wanted::At(&[at..at + 1])), ["a.b=made-up"]);
    }
}
