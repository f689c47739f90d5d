//! Where frames come from: the list of sources.

pub mod contract;

pub use contract::{Next, Source, SourceError};
