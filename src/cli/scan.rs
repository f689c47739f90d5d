//! `leaktap scan`: capture files in, leaks out.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;

use super::progress::Progress;
use super::{Exit, World, on_terminal, rules, signals};
use crate::config::key::{self, KeySource};
use crate::model::Severity;
use crate::model::event::Event;
use crate::pipeline::{self, Flow, Options, Outcome, Watch};
use crate::sink::{Fan, Place, Spec, clean};
use crate::source::{self, Input};

/// Runs the command.
pub(super) fn run(arguments: &[PathBuf], world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    if config.filter.is_some() && !cfg!(feature = "pcap") {
        bail!("this leaktap was built without libpcap, which --filter needs: build it with the feature pcap");
    }
    check_standard_input(arguments)?;
    let outputs = config.outputs(on_terminal())?;
    let rules = Arc::new(rules::in_force(config)?);
    let options = Options {
        jobs: config.jobs,
        filter: config.filter.clone(),
        severity: config.severity,
        confidence: config.confidence,
        reveal: config.reveal,
        every: config.every,
        explain: config.explain,
        key: fingerprint_key(world)?,
        stop: signals::stop().context("cannot handle signals")?,
    };
    let (inputs, unreachable) = expand(arguments);
    let mut telling = Telling::open(&outputs, &inputs, world)?;
    for problem in &unreachable {
        tracing::error!("{problem}");
    }

    let total = inputs.iter().map(|input| input.size).sum::<Option<u64>>();
    let mut watching =
        Watching { progress: Progress::new(world.bar.clone(), config.progress, world.quiet(), total) };
    let outcome = pipeline::scan(&inputs, rules, &options, &mut |event| telling.event(event), &mut watching);
    watching.progress.finish();
    telling.finish();

    if options.stop.load(Ordering::Relaxed) {
        tracing::warn!("interrupted: what was found until then has been told");
    }
    match outcome.skipped {
        0 => {}
        1 => tracing::warn!("skipped 1 file that is no capture (-v names it)"),
        many => tracing::warn!("skipped {many} files that are no captures (-v names them)"),
    }
    let problems = outcome.problems + unreachable.len() as u64;
    Ok(exit(Outcome { problems, ..outcome }, config.fail_on, telling.failed))
}

/// 2 beats 1 (CONTRACT: exit code).
fn exit(outcome: Outcome, fail_on: Option<Severity>, sink_failed: bool) -> Exit {
    if outcome.problems > 0 || sink_failed {
        Exit::Failed
    } else if fail_on.is_some_and(|level| outcome.worst.is_some_and(|worst| worst >= level)) {
        Exit::Leaks
    } else {
        Exit::Ran
    }
}

fn check_standard_input(arguments: &[PathBuf]) -> anyhow::Result<()> {
    match arguments.iter().filter(|path| path.as_os_str() == "-").count() {
        0 => Ok(()),
        1 if io::stdin().is_terminal() => {
            bail!("standard input is a terminal: give a file, or pipe a capture in")
        }
        1 => Ok(()),
        _ => bail!("standard input can be read once only: - is given twice"),
    }
}

fn fingerprint_key(world: &World<'_>) -> anyhow::Result<crate::model::secret::FingerprintKey> {
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

/// The inputs that arguments name, and what could not be reached.
fn expand(arguments: &[PathBuf]) -> (Vec<Input>, Vec<String>) {
    let mut inputs = Vec::new();
    let mut problems = Vec::new();
    for found in source::inputs(arguments) {
        match found {
            Ok(input) => inputs.push(input),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    (inputs, problems)
}

/// The sinks of a run and what became of them.
struct Telling {
    fan: Fan,
    failed: bool,
    /// Whether each event is shown at once: a pipe may give the next one much later.
    live: bool,
    /// Steps aside while a line is written to the same terminal.
    bar: Option<ProgressBar>,
}

impl Telling {
    fn open(outputs: &[Spec], inputs: &[Input], world: &World<'_>) -> anyhow::Result<Self> {
        // Checked for all before the first is opened, for opening one empties its file.
        for spec in outputs {
            if let Place::File(path) = &spec.place
                && let Some(input) = inputs.iter().find(|input| same_file(path, &input.path))
            {
                bail!("the sink {spec} would overwrite the input {}", clean(&input.display()));
            }
        }
        let mut fan = Fan::default();
        for spec in outputs {
            let sink = spec
                .open(world.style(), world.config.reveal)
                .with_context(|| format!("cannot open the sink {spec}"))?;
            fan.add(spec.to_string(), sink);
        }
        let live = inputs.iter().any(|input| pipeline::is_stream(&input.path));
        Ok(Self { fan, failed: false, live, bar: on_terminal().then(|| world.bar.clone()) })
    }

    fn event(&mut self, event: &Event) -> Flow {
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

    fn finish(&mut self) {
        let Self { fan, failed, .. } = self;
        fan.finish(&mut |failure| fail(failed, &failure));
    }
}

fn fail(failed: &mut bool, failure: &crate::sink::Failure) {
    *failed = true;
    tracing::error!("cannot write to the sink {}: {}; it gets nothing more", failure.sink, failure.error);
}

/// Whether two paths are one file, by whatever name.
fn same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Says how the run goes.
struct Watching {
    progress: Progress,
}

impl Watch for Watching {
    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
    }

    fn note(&mut self, note: &str) {
        tracing::warn!("{note}");
    }

    fn skipped(&mut self, path: &str) {
        tracing::info!("skipped {path}: it is no capture");
    }

    fn progress(&mut self, bytes: u64, leaks: u64) {
        self.progress.update(bytes, leaks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Sink, example};

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

    #[test]
    fn an_input_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        fs::write(&path, "").unwrap();
        assert!(same_file(&folder.path().join("./a.pcap"), &path));
        assert!(!same_file(&folder.path().join("b.pcap"), &path));
        assert!(!same_file(Path::new("-"), Path::new("-")));
    }

    #[test]
    fn standard_input_is_read_once() {
        assert!(check_standard_input(&["a".into(), "b".into()]).is_ok());
        assert!(check_standard_input(&["-".into(), "a".into(), "-".into()]).is_err());
    }
}
