//! Commands in turn, and what they cost: processor time, time by the clock, memory.

pub(crate) mod baseline;
pub(crate) mod rivals;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run of a command took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// User and system time of all its threads.
    pub(crate) processor: Duration,
    /// Time by the clock.
    pub(crate) wall: Duration,
    /// Bytes resident at most.
    pub(crate) peak: u64,
}

/// Runs a command with its standard output in `out`. The peak counts what this process held at most when it started the
/// command, so it has to stay small.
///
/// # Errors
/// It cannot be started, or it fails: the reason.
pub(crate) fn run(command: &mut Command, out: &Path) -> Result<Cost, String> {
    let program = command.get_program().display().to_string();
    let output = File::create(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let begin = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
    let child = child.map_err(|error| format!("{program}: {error}"))?;
    let used = child.wait4().map_err(|error| format!("{program}: {error}"))?;
    let wall = begin.elapsed();
    if !used.status.success() {
        return Err(format!("{program}: {}", used.status));
    }
    let used = used.rusage;
    Ok(Cost { processor: used.utime + used.stime, wall, peak: used.maxrss })
}

/// The middle of some figures; 0 without any.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (figures.len() % 2, figures.get(middle)) {
        (1, Some(&figure)) => figure,
        (0, Some(&figure)) => f64::midpoint(figure, figures[middle - 1]),
        _ => 0.0,
    }
}

/// Whether a program can be run.
pub(crate) fn is_installed(program: &str) -> bool {
    let quiet = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok()
}
