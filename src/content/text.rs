//! Everything that has no structure of its own: plain text, scripts, style sheets, logs, tables.

use std::borrow::Cow;
use std::ops::Range;

use super::contract::{Decoder, Document, Outline, Wanted};
use crate::model::message::Origin;
use crate::model::{Field, Surface};

/// One field where the text is short, windows around what is wanted where it is long.
pub(super) struct Text;

/// Bytes told as one field whatever is wanted of them.
const SHORT: usize = 64 << 10;
/// Bytes shown before a wanted place, and behind where it begins: a traceback must fit.
const BEFORE: usize = 1 << 10;
const BEHIND: usize = 16 << 10;
/// How far a window's start may move to meet the start of a line.
const LINE: usize = 256;

impl Decoder for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn fits(&self, _: &Document<'_>) -> bool {
        true
    }

    /// Nothing, where the head says that it is text and no other format begins late.
    fn outline(&self, document: &Document<'_>, until: usize) -> Option<Outline> {
        let is_text = matches!(
            document.media.essence.as_str(),
            "text/plain"
                | "text/css"
                | "text/javascript"
                | "application/javascript"
                | "application/x-javascript"
        );
        is_text.then_some(Outline { text: Vec::new(), until, partial: true })
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        tell(document.bytes, 0..document.bytes.len(), document.surface, None, wanted, out);
    }
}

/// Tells the text at `range` of `bytes`, or windows of it.
pub(super) fn tell(
    bytes: &[u8],
    range: Range<usize>,
    surface: Surface,
    name: Option<&str>,
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    let mut field = |window: Range<usize>| {
        let value = bytes.get(window.clone()).unwrap_or_default();
        out(Field::new(surface, name.map(Cow::Borrowed), Cow::Borrowed(value), window).from(Origin::Text));
    };
    if range.is_empty() || !wanted.touches(&range) {
        return;
    }
    let places = match wanted {
        Wanted::At(places) if range.len() > SHORT => *places,
        _ => return field(range),
    };
    let first = places.partition_point(|place| place.end <= range.start);
    let mut open: Option<Range<usize>> = None;
    for place in places.iter().skip(first).take_while(|place| place.start < range.end) {
        let start = window_start(bytes, place.start.max(range.start), range.start);
        let end = place.start.saturating_add(BEHIND).max(place.end).min(range.end);
        match &mut open {
            Some(window) if start <= window.end => window.end = window.end.max(end),
            _ => {
                if let Some(window) = open.replace(start..end) {
                    field(window);
                }
            }
        }
    }
    if let Some(window) = open {
        field(window);
    }
}

fn window_start(bytes: &[u8], place: usize, least: usize) -> usize {
    let start = place.saturating_sub(BEFORE);
    if start <= least {
        return least;
    }
    let near = bytes.get(start..(start + LINE).min(place)).unwrap_or_default();
    memchr::memchr(b'\n', near).map_or(start, |line| start + line + 1)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one place, not its bytes")]
mod tests {
    use super::*;

    fn windows(bytes: &[u8], wanted: &Wanted<'_>) -> Vec<Range<usize>> {
        let mut told = Vec::new();
        tell(bytes, 0..bytes.len(), Surface::ResponseBody, None, wanted, &mut |field| {
            assert_eq!(field.value, &bytes[field.span.clone()]);
            assert_eq!(field.origin, Origin::Text);
            told.push(field.span);
        });
        told
    }

    #[test]
    fn short_text_is_whole_long_text_is_windows() {
        let short = vec![b'x'; 1000];
        assert_eq!(windows(&short, &Wanted::All), [0..1000]);
        assert_eq!(windows(&short, &Wanted::At(&[5..6])), [0..1000]);
        assert!(windows(&short, &Wanted::At(&[])).is_empty());
        assert!(windows(b"", &Wanted::All).is_empty());
        let long = [b"line of text\n".repeat(20_000), vec![b'x'; 100_000]].concat();
        let (lines, end) = (260_000, long.len());
        assert_eq!(windows(&long, &Wanted::All), [0..end]);
        let told = windows(
            &long,
            &Wanted::At(&[10..12, 100_000..100_010, 101_000..101_001, lines + 90_000..lines + 90_001]),
        );
        assert_eq!(told.len(), 3);
        assert_eq!(told[0], 0..10 + BEHIND);
        assert_eq!(told[1].end, 101_000 + BEHIND);
        assert!((98_976..98_990).contains(&told[1].start) && told[1].start.is_multiple_of(13));
        assert_eq!(told[2], lines + 90_000 - BEFORE..end);
    }
}
