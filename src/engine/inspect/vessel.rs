//! What carries the fields of a message part, and where in it a value stands.

use std::ops::Range;

use crate::model::Field;
use crate::rule::Occurrence;

use super::super::marks::Carried;
use super::overlap::is_layer;

/// What carries the fields of a message part: a head, a body.
pub(in crate::engine) struct Vessel<'a> {
    /// The bytes that spans count in.
    pub(in crate::engine) bytes: &'a [u8],
    /// The keywords in them.
    pub(in crate::engine) known: &'a [Occurrence],
    /// The frames that carry a range of them.
    pub(in crate::engine) frames: &'a dyn Fn(Range<usize>) -> Carried,
}

impl Vessel<'_> {
    /// The keywords in a value that stands here as it is.
    pub(super) fn known_in(&self, field: &Field<'_>) -> Option<&[Occurrence]> {
        let bytes = self.bytes.get(field.span.clone())?;
        if is_layer(field.origin) || bytes != &*field.value {
            return None;
        }
        let from = self.known.partition_point(|found| (found.start as usize) < field.span.start);
        let to = self.known.partition_point(|found| (found.start as usize) < field.span.end);
        // One that begins within may end behind it.
        self.known
            .get(from..to)
            .filter(|known| known.last().is_none_or(|last| last.end as usize <= field.span.end))
    }

    /// The place of a part of a field's value: exact where it stands here as it is, else that of the whole value.
    pub(super) fn part(&self, field: &Field<'_>, within: &Range<usize>, value: &[u8]) -> Range<usize> {
        if field.span.len() == field.value.len() && !is_layer(field.origin) {
            return field.span.start + within.start..field.span.start + within.end;
        }
        let found = self.bytes.get(field.span.clone()).and_then(|bytes| memchr::memmem::find(bytes, value));
        found.map_or(field.span.clone(), |at| field.span.start + at..field.span.start + at + value.len())
    }
}
