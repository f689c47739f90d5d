//! The command line's entry: arguments in, exit code out.

use std::process::ExitCode;

/// Many small, short-lived pieces: half the time of the C library's on captures with many flows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leaktap::cli::main()
}
