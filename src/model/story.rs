//! The message a leak stands in, as it may be shown: redacted, with the leaking place marked.

use std::ops::Range;

/// What surrounds a leak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The request: its head, and of its body what surrounds the leak.
    pub request: Option<Passage>,
    /// The answer, likewise.
    pub response: Option<Passage>,
}

/// Redacted text of several lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The text; lines end with `\n`.
    pub text: String,
    /// Where the leaking value stands, redacted: bytes of the text, in their order.
    pub marks: Vec<Range<usize>>,
}

impl Story {
    /// About how many bytes it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let weight = |passage: &Option<Passage>| {
            passage.as_ref().map_or(0, |passage| passage.text.len() + passage.marks.len() * 16)
        };
        size_of::<Self>() + weight(&self.request) + weight(&self.response)
    }
}
