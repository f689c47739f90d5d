//! The data that flows from stage to stage; every other room uses this one and it uses none.

pub mod digest;
pub mod endpoint;
pub mod event;
#[cfg(test)]
pub(crate) mod example;
pub mod finding;
pub mod frame;
pub mod http;
pub mod message;
pub mod origin;
pub mod plain;
pub mod pulse;
pub mod redact;
pub mod route;
pub mod secret;
pub mod segment;
pub mod shown;
pub mod story;
pub mod text;
pub mod time;

pub use endpoint::{Direction, Endpoint, FlowKey, Side, Transport};
pub use finding::{Confidence, Exposure, Severity};
pub use frame::{Frame, LinkType};
pub use message::{Field, Surface};
pub use origin::Origins;
pub use plain::{Clear, Plain};
pub use secret::Secret;
pub use time::Timestamp;
