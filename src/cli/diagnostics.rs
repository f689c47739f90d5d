//! What is said on standard error: one line each, `leaktap: warning: …`, above the progress bar.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use crate::config::Verbosity;
use crate::sink::clean;

/// From now on `tracing`'s events of this program are said on standard error.
pub(super) fn install(verbosity: Verbosity, bar: &ProgressBar) {
    let layer = Plain { level: level(verbosity), bar: bar.clone(), out: Mutex::new(Box::new(io::stderr())) };
    // It fails only where one is installed already; then that one is used.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(layer));
}

/// Says an error before, or without, anything being installed.
pub(super) fn error(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = io::stderr().write_all(line("error: ", text).as_bytes());
}

/// Who is told instead; whether it is an error.
pub(super) type Divert = Box<dyn Fn(String, bool) + Send>;

static DIVERTED: Mutex<Option<Divert>> = Mutex::new(None);

/// From now on somebody else is told (or, with `None`, nobody is instead of standard error): while a screen is shown.
pub(super) fn divert(to: Option<Divert>) {
    *DIVERTED.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

fn level(verbosity: Verbosity) -> Level {
    match verbosity {
        Verbosity::Quiet => Level::ERROR,
        Verbosity::Normal => Level::WARN,
        Verbosity::Verbose => Level::INFO,
        Verbosity::Debug => Level::TRACE,
    }
}

fn line(word: &str, text: &str) -> String {
    format!("leaktap: {word}{}\n", clean(text))
}

struct Plain {
    level: Level,
    bar: ProgressBar,
    out: Mutex<Box<dyn Write + Send>>,
}

impl<S: Subscriber> Layer<S> for Plain {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("leaktap")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        if let Some(divert) = &*DIVERTED.lock().unwrap_or_else(PoisonError::into_inner) {
            divert(clean(&text.0).into_owned(), *event.metadata().level() == Level::ERROR);
            return;
        }
        let word = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            Level::INFO => "",
            _ => "debug: ",
        };
        let line = line(word, &text.0);
        if let Ok(mut out) = self.out.lock() {
            let _ = self.bar.suspend(|| out.write_all(line.as_bytes()));
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::example::Buffer;

    #[test]
    fn lines_are_plain_harmless_and_as_many_as_asked_for() {
        for (verbosity, expected) in [
            (Verbosity::Quiet, "leaktap: error: no a\\u{1b}[2J\n"),
            (Verbosity::Normal, "leaktap: error: no a\\u{1b}[2J\nleaktap: warning: mind b\n"),
            (
                Verbosity::Verbose,
                "leaktap: error: no a\\u{1b}[2J\nleaktap: warning: mind b\nleaktap: reading c\n",
            ),
            (
                Verbosity::Debug,
                "leaktap: error: no a\\u{1b}[2J\nleaktap: warning: mind b\nleaktap: reading c\nleaktap: debug: since d frame=7\n",
            ),
        ] {
            let buffer = Buffer::default();
            let layer = Plain {
                level: level(verbosity),
                bar: ProgressBar::hidden(),
                out: Mutex::new(Box::new(buffer.clone())),
            };
            tracing::subscriber::with_default(Registry::default().with(layer), || {
                tracing::error!("no {}", "a\x1b[2J");
                tracing::warn!("mind b");
                tracing::info!("reading c");
                tracing::debug!(frame = 7, "since d");
                tracing::error!(target: "other_crate", "not ours");
            });
            assert_eq!(buffer.text(), expected);
        }
    }
}
