//! The list of body decoders.

pub mod contract;

pub use contract::{Decoder, Document, Media, Wanted};
