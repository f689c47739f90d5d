//! Where frames come from: the list of sources.

pub mod contract;
pub mod file;
pub mod filter;
pub mod inputs;
pub mod join;
pub mod live;
pub mod memory;
#[cfg(all(feature = "ebpf", target_os = "linux"))]
pub mod tls;
#[cfg(not(all(feature = "ebpf", target_os = "linux")))]
#[path = "tls_none.rs"]
pub mod tls;

pub use contract::{Next, Source, SourceError};
pub use file::{CaptureFile, bytes, from_reader, open};
pub use inputs::{Input, inputs};
pub use join::Joined;
pub use live::Live;
pub use memory::Memory;
pub use tls::Tls;
