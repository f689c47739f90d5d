//! The integration tests: the house rules, cases as data, real captures as they are and disturbed, attacks, the command itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test says what went wrong by panicking; clippy knows the functions marked as tests only"
)]

mod attacks;
mod captures;
mod carriers;
mod cases;
mod command;
mod evasion;
mod formats;
#[expect(dead_code, reason = "full sizes and goals are the benchmark's")]
#[path = "../../benches/generate/mod.rs"]
mod generate;
mod generated;
mod house;
#[cfg(target_os = "linux")]
mod live;
mod pages;
mod pieces;
mod placement;
mod redaction;
#[cfg(target_os = "linux")]
mod screen;
mod support;
