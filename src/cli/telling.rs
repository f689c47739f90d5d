//! What the commands that look for leaks have in common: what the pipeline is asked, the sinks, the exit code.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;

use super::{Exit, World, on_terminal, signals};
use crate::config::home_folder;
use crate::config::key::{self, KeySource};
use crate::model::Severity;
use crate::model::event::Event;
use crate::model::secret::FingerprintKey;
use crate::pipeline::{Flow, Metrics, Options, Outcome, Queued};
use crate::sink::{Failure, Fan, Fsync, Opening, Rotation, Sink, Spec, Style};

/// What the settings ask of the pipeline, which the first signal stops.
pub(super) fn options(world: &World<'_>) -> anyhow::Result<Options> {
    with_stop(world, signals::stop().context("cannot handle signals")?)
}

/// The same, ended by this flag.
pub(super) fn with_stop(world: &World<'_>, stop: Arc<AtomicBool>) -> anyhow::Result<Options> {
    let config = &world.config;
    Ok(Options {
        jobs: config.jobs,
        filter: config.filter.clone(),
        severity: config.severity,
        confidence: config.confidence,
        reveal: config.reveal,
        every: config.every,
        join: false,
        explain: config.explain,
        pulse: false,
        metered: false,
        key: fingerprint_key(world)?,
        confine: None,
        tape: None,
        stop,
    })
}

/// 2 beats 1 (CONTRACT: exit code).
pub(super) fn exit(outcome: Outcome, fail_on: Option<Severity>, sink_failed: bool) -> Exit {
    if outcome.problems > 0 || sink_failed {
        Exit::Failed
    } else if fail_on.is_some_and(|level| outcome.worst.is_some_and(|worst| worst >= level)) {
        Exit::Leaks
    } else {
        Exit::Ran
    }
}

pub(super) fn fingerprint_key(world: &World<'_>) -> anyhow::Result<FingerprintKey> {
    let (key, source) = key::fingerprint_key(world.environment)?;
    match source {
        KeySource::Run(reason) => tracing::warn!(
            "fingerprints are of this run only, for no key can be kept: {reason} (LEAKTAP_FINGERPRINT_KEY can give one)"
        ),
        KeySource::File(path) => tracing::info!("fingerprint key: {}", path.display()),
        KeySource::Variable => tracing::info!("fingerprint key: LEAKTAP_FINGERPRINT_KEY"),
    }
    Ok(key)
}

/// How the sinks of a live capture last.
#[derive(Clone, Copy)]
pub(super) struct Lasting<'a> {
    pub(super) rotation: Rotation,
    pub(super) sync: Fsync,
    pub(super) retain: Option<Duration>,
    /// Where it is told how they go.
    pub(super) metrics: Option<&'a Metrics>,
}

/// The sinks of a run and what became of them.
pub(super) struct Telling {
    fan: Fan,
    pub(super) failed: bool,
    /// Whether each event is shown at once: a pipe may give the next one much later.
    live: bool,
    /// Steps aside while a line is written to the same terminal.
    bar: Option<ProgressBar>,
}

impl Telling {
    /// For a scan: with `live` each event is shown at once. The scan waits for its sinks.
    pub(super) fn open(outputs: &[Spec], live: bool, world: &World<'_>) -> anyhow::Result<Self> {
        Self::with(outputs, live, &opening(world, world.style(), None), world, || (), |_, sink| Ok(sink))
    }

    /// For a command that is run: each event as it comes, people's on standard error, files made anew; none is waited for.
    pub(super) fn beside(outputs: &[Spec], world: &World<'_>) -> anyhow::Result<Self> {
        let style = Style { live: true, ..world.style_of(&io::stderr()) };
        Self::with(outputs, true, &opening(world, style, None), world, || (), queued)
    }

    /// For a live capture: files last, each sink has its own queue, and none is waited for. When all are open, and before any
    /// thread is begun, `between` is called.
    pub(super) fn lasting(
        outputs: &[Spec],
        lasting: &Lasting<'_>,
        world: &World<'_>,
        between: impl FnOnce(),
    ) -> anyhow::Result<Self> {
        let style = Style { live: true, ..world.style() };
        let opening = Opening {
            sync: lasting.sync,
            retain: lasting.retain,
            ..opening(world, style, Some(lasting.rotation))
        };
        Self::with(outputs, false, &opening, world, between, |name, sink| {
            let tell = Box::new(|text: &str| tracing::warn!("{text}"));
            let queued = Queued::new(name.to_owned(), sink, tell)?;
            if let Some(metrics) = lasting.metrics {
                metrics.sink(name.to_owned(), queued.gauge());
            }
            Ok(Box::new(queued))
        })
    }

    fn with(
        outputs: &[Spec],
        live: bool,
        opening: &Opening,
        world: &World<'_>,
        between: impl FnOnce(),
        wrap: impl Fn(&str, Box<dyn Sink>) -> io::Result<Box<dyn Sink>>,
    ) -> anyhow::Result<Self> {
        let mut fan = Fan::default();
        let refused = |name: &str| format!("cannot open the sink {name}");
        let mut open = Vec::new();
        for spec in outputs {
            let name = spec.to_string();
            let sink = spec.open(opening).with_context(|| refused(&name))?;
            open.push((name, sink));
        }
        between();
        for (name, sink) in open {
            let sink = wrap(&name, sink).with_context(|| refused(&name))?;
            fan.add(name, sink);
        }
        Ok(Self { fan, failed: false, live, bar: on_terminal().then(|| world.bar.clone()) })
    }

    pub(super) fn event(&mut self, event: &Event) -> Flow {
        let Self { fan, failed, live, bar } = self;
        let mut tell = || {
            fan.event(event, &mut |failure| fail(failed, &failure));
            if *live {
                fan.flush(&mut |failure| fail(failed, &failure));
            }
        };
        match bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
        if fan.is_empty() { Flow::Stop } else { Flow::Go }
    }

    pub(super) fn finish(&mut self) {
        let Self { fan, failed, .. } = self;
        fan.finish(&mut |failure| fail(failed, &failure));
    }
}

/// A sink that is not waited for.
fn queued(name: &str, sink: Box<dyn Sink>) -> io::Result<Box<dyn Sink>> {
    let tell = Box::new(|text: &str| tracing::warn!("{text}"));
    Ok(Box::new(Queued::new(name.to_owned(), sink, tell)?))
}

/// One sink by itself, as for a scan.
pub(super) fn plain(spec: &Spec, world: &World<'_>) -> io::Result<Box<dyn Sink>> {
    spec.open(&opening(world, world.style(), None))
}

fn opening(world: &World<'_>, style: Style, rotation: Option<Rotation>) -> Opening {
    Opening {
        style,
        private: world.config.reveal,
        rotation,
        spool: state_folder(world).join("spool"),
        sync: Fsync::Never,
        retain: None,
    }
}

/// Where what outlives a run is kept.
pub(super) fn state_folder(world: &World<'_>) -> PathBuf {
    // A system service has a folder of its own.
    let service = (world.environment)("STATE_DIRECTORY").map(PathBuf::from);
    let user = || Some(home_folder(world.environment, "XDG_STATE_HOME", ".local/state")?.join("leaktap"));
    service.or_else(user).unwrap_or_default()
}

fn fail(failed: &mut bool, failure: &Failure) {
    *failed = true;
    tracing::error!("cannot write to the sink {}: {}; it gets nothing more", failure.sink, failure.error);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::example;

    #[test]
    fn the_exit_code_says_the_worst() {
        let found = |worst, problems| Outcome { worst, problems, skipped: 3 };
        for (outcome, fail_on, sink_failed, expected) in [
            (found(None, 0), None, false, Exit::Ran),
            (found(Some(Severity::Critical), 0), None, false, Exit::Ran),
            (found(None, 0), Some(Severity::Info), false, Exit::Ran),
            (found(Some(Severity::Medium), 0), Some(Severity::High), false, Exit::Ran),
            (found(Some(Severity::High), 0), Some(Severity::High), false, Exit::Leaks),
            (found(Some(Severity::Critical), 0), Some(Severity::High), false, Exit::Leaks),
            (found(Some(Severity::Critical), 1), Some(Severity::High), false, Exit::Failed),
            (found(Some(Severity::Critical), 0), Some(Severity::High), true, Exit::Failed),
            (found(None, 1), None, false, Exit::Failed),
        ] {
            assert_eq!(exit(outcome, fail_on, sink_failed), expected, "{outcome:?} {fail_on:?}");
        }
        assert_eq!([Exit::Ran, Exit::Leaks, Exit::Failed].map(Exit::code), [0, 1, 2]);
    }

    struct Broken(io::ErrorKind);

    impl Sink for Broken {
        fn event(&mut self, _: &Event) -> io::Result<()> {
            Err(self.0.into())
        }

        fn finish(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn without_a_reader_the_run_stops_and_that_is_no_fault() {
        let event = &example::events()[0];
        for (kind, failed) in [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)] {
            let mut telling = Telling { fan: Fan::default(), failed: false, live: false, bar: None };
            telling.fan.add("ndjson:-".into(), Box::new(Broken(kind)));
            assert_eq!(telling.event(event), Flow::Stop);
            telling.finish();
            assert_eq!(telling.failed, failed);
            // At the end it is the same.
            let mut telling = Telling { fan: Fan::default(), failed: false, live: false, bar: None };
            telling.fan.add("table:-".into(), Box::new(Broken(kind)));
            telling.finish();
            assert_eq!(telling.failed, failed);
        }
    }
}
