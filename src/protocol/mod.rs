//! The list of protocols.

pub mod contract;

pub use contract::{Output, Parser, Probe, Progress, Protocol};
