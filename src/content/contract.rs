//! What a body decoder is: a decoded body in, the fields that were asked for out.

use std::ops::Range;

use crate::model::{Field, Surface};

/// Which places of a body are of interest.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Every field.
    All,
    /// Fields whose name or value touches one of these byte ranges (sorted, none overlaps another).
    At(&'a [Range<usize>]),
}

impl Wanted<'_> {
    /// Whether something wanted touches `range`.
    #[must_use]
    pub fn touches(&self, range: &Range<usize>) -> bool {
        match self {
            Self::All => true,
            Self::At(places) => {
                let first = places.partition_point(|place| place.end <= range.start);
                places.get(first).is_some_and(|place| place.start < range.end)
            }
        }
    }

    /// The places that touch `range`, counted from its start and cut to it; `None` where everything is wanted.
    #[must_use]
    pub fn within(&self, range: &Range<usize>) -> Option<Vec<Range<usize>>> {
        let Self::At(places) = self else { return None };
        let first = places.partition_point(|place| place.end <= range.start);
        let within = places.iter().skip(first).take_while(|place| place.start < range.end);
        let moved = within.map(|place| {
            place.start.saturating_sub(range.start)..place.end.min(range.end).saturating_sub(range.start)
        });
        Some(moved.collect())
    }

    /// Whether nothing wanted lies at or behind `at`: the rest of the body need not be read.
    #[must_use]
    pub fn ends_before(&self, at: usize) -> bool {
        match self {
            Self::All => false,
            Self::At(places) => places.last().is_none_or(|place| place.end <= at),
        }
    }
}

/// What is known of a body before it is read.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// Essence of `Content-Type`, lower case: `application/json`; empty where there is none.
    pub essence: String,
    /// `charset`, lower case.
    pub charset: Option<String>,
    /// `boundary` of a multipart type.
    pub boundary: Option<Vec<u8>>,
    /// Content codings in the order they were applied (RFC 9110 section 8.4), lower case.
    pub encodings: Vec<String>,
    /// Whether `Cache-Control` forbids caches to store it (RFC 9111 section 5.2).
    pub no_store: bool,
}

/// A body, or a window of a long one, after content coding and charset were undone.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The bytes: UTF-8 where they are text.
    pub bytes: &'a [u8],
    /// What is known of it.
    pub media: &'a Media,
    /// `request.body` or `response.body`.
    pub surface: Surface,
    /// Whether it begins in the middle of a longer body.
    pub partial: bool,
}

/// What stands for the first bytes of a document once these are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Text of the same format from which the rest is understood: what is open at that place.
    pub text: Vec<u8>,
    /// The first byte of the rest.
    pub until: usize,
    /// Whether the rest then begins in the middle all the same.
    pub partial: bool,
}

/// Takes a body of one format apart. Bounded in depth, time and output by itself.
pub trait Decoder: Sync {
    /// Lower-case name: `json`.
    fn name(&self) -> &'static str;

    /// Whether this body is its: by what it looks like, and by its declared type where looks cannot tell.
    fn fits(&self, document: &Document<'_>) -> bool;

    /// What can stand for the bytes before `until`, or up to somewhat before it, so that a long body is looked at piece by
    /// piece. `None` where the format has to be seen whole.
    fn outline(&self, _document: &Document<'_>, _until: usize) -> Option<Outline> {
        None
    }

    /// Tells the wanted fields in their order. A field's `span` counts from the start of the document.
    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>));
}
