//! The command line: flags as typed, one file for each command, the exit code.
//!
//! **Architecture Invariant:** only this room and `main` know clap and anyhow; standard output is written by sinks and commands
//! through a writer, and carries data only.

mod capture;
mod diagnostics;
mod doctor;
mod flags;
mod frames;
mod interfaces;
mod known;
mod manual;
mod progress;
mod redact;
mod report;
mod rights;
mod rules;
#[cfg(target_os = "linux")]
mod run;
mod scan;
mod signals;
mod telling;
mod watch;

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use anstream::stream::RawStream;
use clap::Parser as _;
use indicatif::ProgressBar;

use self::flags::{Arguments, Command, Detection};
use crate::config::{self, Config, Environment, Verbosity, When};
use crate::sink::Style;

/// How a run ended (CONTRACT: exit code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    /// It ran.
    Ran,
    /// It ran, and a leak reached `--fail-on`.
    Leaks,
    /// Something could not be done.
    Failed,
    /// What the command that was run ended with.
    Passed(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Ran => 0,
            Self::Leaks => 1,
            Self::Failed => 2,
            Self::Passed(code) => code,
        }
    }
}

/// What a command runs in.
struct World<'a> {
    config: Config,
    environment: Environment<'a>,
    /// Diagnostics step aside for it.
    bar: ProgressBar,
}

impl World<'_> {
    /// How standard output looks.
    fn style(&self) -> Style {
        self.style_of(&io::stdout())
    }

    /// How `out` looks.
    fn style_of(&self, out: &(impl RawStream + AsFd)) -> Style {
        let color = match self.config.color {
            When::Always => true,
            When::Never => false,
            When::Auto => anstream::AutoStream::choice(out) != anstream::ColorChoice::Never,
        };
        let terminal = terminal_size::terminal_size_of(out).map(|(width, _)| usize::from(width.0));
        Style {
            color,
            width: terminal.unwrap_or(100).clamp(40, 120),
            live: false,
            fail_on: self.config.fail_on,
        }
    }

    fn quiet(&self) -> bool {
        self.config.verbosity == Verbosity::Quiet
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // A panic's payload may hold what was being read: the place alone is told.
    panic::set_hook(Box::new(|panic| {
        // Nobody would read it on a screen of which nothing is left.
        crate::tui::restore();
        diagnostics::divert(None);
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        diagnostics::error(&format!("internal error{}; please report it", place.unwrap_or_default()));
    }));
    let exit = panic::catch_unwind(AssertUnwindSafe(|| {
        let arguments = match Arguments::try_parse() {
            Ok(arguments) => arguments,
            Err(error) => {
                // Help that nobody reads to its end is no fault.
                let _ = error.print();
                return if error.exit_code() == 0 { Exit::Ran } else { Exit::Failed };
            }
        };
        run(arguments, &|name| std::env::var_os(name))
    }));
    ExitCode::from(exit.unwrap_or(Exit::Failed).code())
}

fn run(arguments: Arguments, environment: Environment<'_>) -> Exit {
    let Arguments { command, mut common } = arguments;
    // What is asked of the command line itself needs no settings, whatever is wrong with them.
    let told = match &command {
        Command::Completions { shell } => Some(manual::completions(*shell)),
        Command::Man { output } => Some(manual::man(output.as_deref())),
        _ => None,
    };
    if let Some(told) = told {
        return told.unwrap_or_else(|error| {
            if closed_pipe(&error) {
                return Exit::Ran;
            }
            diagnostics::error(&format!("{error:#}"));
            Exit::Failed
        });
    }
    let file = common.config.take();
    let (command, detection) = match command {
        Command::Scan(mut scan) => {
            let detection = std::mem::take(&mut scan.detection);
            (Command::Scan(scan), detection)
        }
        Command::Capture(mut capture) => {
            let detection = std::mem::take(&mut capture.detection);
            (Command::Capture(capture), detection)
        }
        Command::Watch(mut watch) => {
            let detection = std::mem::take(&mut watch.detection);
            (Command::Watch(watch), detection)
        }
        Command::Report(mut report) => {
            let detection = report.detection();
            (Command::Report(report), detection)
        }
        Command::Redact(mut redact) => {
            let detection = redact.detection();
            (Command::Redact(redact), detection)
        }
        #[cfg(target_os = "linux")]
        Command::Run(mut run) => {
            let detection = std::mem::take(&mut run.detection);
            (Command::Run(run), detection)
        }
        other => (other, Detection::default()),
    };
    let folder = std::env::current_dir().unwrap_or_default();
    let config = match config::read(flags::layer(common, detection), file.as_deref(), &folder, environment) {
        Ok(config) => config,
        Err(error) => {
            diagnostics::error(&error.to_string());
            return Exit::Failed;
        }
    };
    let bar = ProgressBar::hidden();
    diagnostics::install(config.verbosity, &bar);
    let world = World { config, environment, bar };
    let exit = match command {
        Command::Scan(scan) => scan::run(&scan, &world),
        Command::Capture(flags) => capture::run(&flags, &world),
        Command::Watch(flags) => watch::run(&flags, &world),
        Command::Report(flags) => report::run(&flags.events, &world),
        Command::Redact(flags) => redact::run(&flags, &world),
        #[cfg(target_os = "linux")]
        Command::Run(flags) => run::run(&flags, &world),
        Command::Interfaces => interfaces::run(&world),
        Command::Doctor => doctor::run(&world),
        Command::Rules { command } => rules::run(&command, &world),
        Command::Completions { .. } | Command::Man { .. } => Ok(Exit::Ran),
    };
    exit.unwrap_or_else(|error| {
        if closed_pipe(&error) {
            return Exit::Ran;
        }
        // Rule files may have several faults, a line each.
        for line in format!("{error:#}").lines() {
            tracing::error!("{line}");
        }
        Exit::Failed
    })
}

/// Whether a command ended because nobody reads its output any more.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether standard output is a terminal.
fn on_terminal() -> bool {
    io::stdout().is_terminal()
}
