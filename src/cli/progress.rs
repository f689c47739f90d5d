//! How far a run is: a bar on a terminal, a line a second where one is asked for elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::When;
use crate::model::shown::counted;

/// A run shorter than this shows no bar.
const QUIET: Duration = Duration::from_millis(300);
/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(1);

/// The bar where the size is known.
const OF_TOTAL: &str = "{bytes} of {total_bytes} [{wide_bar:.cyan}] {bytes_per_sec}, {eta} left, {msg}";
/// Where it is not.
const SO_FAR: &str = "{spinner} {bytes}, {bytes_per_sec}, {msg}";

/// Shows bytes, rate, time left and leaks so far, on standard error.
pub(super) struct Progress {
    bar: ProgressBar,
    face: Face,
    start: Instant,
    total: Option<u64>,
}

enum Face {
    /// Not shown.
    None,
    /// A bar; whether it is on the screen yet.
    Bar { shown: bool },
    /// Lines; when the last one was written.
    Lines { last: Instant },
}

impl Progress {
    /// Progress over `total` bytes, where that is known. `bar` is the one that diagnostics step aside for.
    pub(super) fn new(bar: ProgressBar, when: When, quiet: bool, total: Option<u64>) -> Self {
        let start = Instant::now();
        let terminal = io::stderr().is_terminal();
        let face = match (when, terminal) {
            (When::Never, _) | (When::Auto, false) => Face::None,
            (When::Auto, true) if quiet => Face::None,
            (_, true) => Face::Bar { shown: false },
            (When::Always, false) => Face::Lines { last: start },
        };
        Self { bar, face, start, total }
    }

    /// So many bytes are read and so many leaks told.
    pub(super) fn update(&mut self, bytes: u64, leaks: u64) {
        match &mut self.face {
            Face::None => {}
            Face::Bar { shown } => {
                self.bar.set_position(bytes);
                self.bar.set_message(leaks_text(leaks));
                if !*shown && self.start.elapsed() >= QUIET {
                    *shown = true;
                    show(&self.bar, self.total);
                }
            }
            Face::Lines { last } => {
                if last.elapsed() >= LINES {
                    *last = Instant::now();
                    let line = line(bytes, self.total, leaks, self.start.elapsed());
                    // Where standard error is closed there is nobody to show it to.
                    let _ = io::stderr().write_all(line.as_bytes());
                }
            }
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn show(bar: &ProgressBar, total: Option<u64>) {
    let template = if total.is_some() { OF_TOTAL } else { SO_FAR };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
}

fn line(bytes: u64, total: Option<u64>, leaks: u64, elapsed: Duration) -> String {
    let of = total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
    let rate = HumanBytes((bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64);
    format!("leaktap: {}{of}, {rate}/s, {}\n", HumanBytes(bytes), leaks_text(leaks))
}

fn leaks_text(leaks: u64) -> String {
    counted(leaks, "leak")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_many() {
        for (bytes, total, leaks, seconds, expected) in [
            (3 << 20, Some(6 << 20), 1, 2, "leaktap: 3.00 MiB of 6.00 MiB, 1.50 MiB/s, 1 leak\n"),
            (2048, None, 0, 1, "leaktap: 2.00 KiB, 2.00 KiB/s, 0 leaks\n"),
        ] {
            assert_eq!(line(bytes, total, leaks, Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn the_templates_are_valid() {
        for total in [None, Some(10)] {
            let bar = ProgressBar::hidden();
            show(&bar, total);
            bar.set_draw_target(ProgressDrawTarget::hidden());
            assert_eq!(bar.length(), total);
        }
        for template in [OF_TOTAL, SO_FAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
