//! leaktap: finds credentials that leak in clear in network traffic. The rooms and their order stand in `docs/ARCHITECTURE.md`.

pub mod baseline;
pub mod cli;
pub mod config;
pub mod content;
pub mod engine;
pub mod flow;
pub mod ledger;
pub mod model;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod packet;
pub mod pipeline;
pub mod process;
pub mod protocol;
pub mod redaction;
pub mod rule;
pub mod sink;
pub mod source;
pub mod tui;
