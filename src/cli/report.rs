//! `leaktap report`: stored events in, any format out.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};

use super::known::Known;
use super::scan::same_file;
use super::telling::{self, Telling};
use super::{Exit, World, on_terminal, signals};
use crate::config::Config;
use crate::model::Severity;
use crate::model::event::{Event, Leak, Summary};
use crate::model::shown::counted;
use crate::pipeline::{Flow, Outcome};
use crate::sink::{self, Place, clean};
use crate::source;

/// Bytes of one line; an event is far smaller.
const LINE: u64 = 16 << 20;
/// Faults of one file that are told one by one.
const FAULTS: u64 = 5;

/// Runs the command.
pub(super) fn run(files: &[PathBuf], world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    if files.iter().any(|path| path.as_os_str() == "-") && io::stdin().is_terminal() {
        bail!("standard input is a terminal: give a file of events, or pipe them in");
    }
    let outputs = config.outputs_by(if on_terminal() { "table" } else { "html" })?;
    for spec in &outputs {
        if let Place::File(path) = &spec.place
            && let Some(file) = files.iter().find(|file| same_file(path, file))
        {
            bail!("the sink {spec} would overwrite the events {}", shown(file));
        }
    }
    let known = Known::open(world, &telling::fingerprint_key(world)?, &outputs)?;
    let stop = signals::stop().context("cannot handle signals")?;
    let telling = Telling::open(&outputs, false, world)?;
    let mut report = Report {
        config,
        known,
        telling,
        stop,
        told: HashSet::new(),
        leaks: BTreeMap::new(),
        held_back: BTreeMap::new(),
        summary: None,
        worst: None,
        unknown: 0,
        problems: 0,
    };
    for path in files {
        if report.file(path) == Flow::Stop {
            break;
        }
    }
    Ok(report.finish())
}

fn shown(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => clean(&path.to_string_lossy()).into_owned(),
    }
}

struct Report<'a> {
    config: &'a Config,
    known: Known,
    telling: Telling,
    stop: Arc<AtomicBool>,
    /// Leaks told: the same event may stand in several files.
    told: HashSet<String>,
    leaks: BTreeMap<Severity, u64>,
    held_back: BTreeMap<String, u64>,
    /// Of all runs; none where no run came to its end.
    summary: Option<Summary>,
    worst: Option<Severity>,
    unknown: u64,
    problems: u64,
}

impl Report<'_> {
    fn file(&mut self, path: &Path) -> Flow {
        let name = shown(path);
        let mut reader = match source::bytes(path) {
            Ok(reader) => BufReader::with_capacity(64 * 1024, reader),
            Err(error) => {
                self.problem(&format!("cannot read {name}: {error}"));
                return Flow::Go;
            }
        };
        let mut line = Vec::new();
        let mut faults = 0;
        for number in 1_u64.. {
            line.clear();
            match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if line.len() as u64 == LINE && !line.ends_with(b"\n") => {
                    self.problem(&format!(
                        "{name}:{number}: the line is too long for an event: the rest is not read"
                    ));
                    break;
                }
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => {}
                Err(error) => {
                    self.problem(&format!("cannot read {name}: {error}"));
                    break;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                tracing::warn!("interrupted: what was read until then is reported");
                return Flow::Stop;
            }
            match sink::read(&line) {
                Ok(Some(event)) => {
                    if self.event(event) == Flow::Stop {
                        return Flow::Stop;
                    }
                }
                Ok(None) => self.unknown += 1,
                Err(reason) => {
                    faults += 1;
                    if faults <= FAULTS {
                        self.problem(&format!("{name}:{number}: {reason}"));
                    }
                }
            }
        }
        if faults > FAULTS {
            self.problem(&format!("{name}: {} more lines are no events", faults - FAULTS));
        }
        Flow::Go
    }

    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
        self.problems += 1;
    }

    fn event(&mut self, event: Event) -> Flow {
        match event {
            Event::Leak(leak) => self.leak(leak),
            Event::Again(again) if self.told.contains(&again.id) => self.telling.event(&Event::Again(again)),
            // Of a leak that is not reported.
            Event::Again(_) => Flow::Go,
            Event::Lost(lost) => self.telling.event(&Event::Lost(lost)),
            Event::Summary(summary) => {
                self.summary.get_or_insert_default().add(&summary);
                Flow::Go
            }
        }
    }

    fn leak(&mut self, leak: Box<Leak>) -> Flow {
        let held_back = if leak.severity < self.config.asked_severity.unwrap_or(Severity::Info) {
            Some("below-severity")
        } else if leak.confidence < self.config.confidence {
            Some("below-confidence")
        } else if self.known.knows_leak(&leak) {
            Some("known")
        } else {
            None
        };
        if let Some(cause) = held_back {
            *self.held_back.entry(cause.to_owned()).or_default() += 1;
            return Flow::Go;
        }
        // The same events may be given twice, or stand in two files.
        if !self.told.insert(leak.id.clone()) {
            return Flow::Go;
        }
        *self.leaks.entry(leak.severity).or_default() += 1;
        self.worst = self.worst.max(Some(leak.severity));
        self.telling.event(&Event::Leak(leak))
    }

    fn finish(mut self) -> Exit {
        if let Some(mut summary) = self.summary.take() {
            summary.leaks = std::mem::take(&mut self.leaks);
            summary.add(&Summary { held_back: self.held_back, ..Summary::default() });
            self.telling.event(&Event::Summary(Box::new(summary)));
        } else if self.problems == 0 {
            tracing::warn!("no run in these events came to its end: what it read is not known");
        }
        self.telling.finish();
        if self.unknown > 0 {
            let are = if self.unknown == 1 { "is" } else { "are" };
            let events = counted(self.unknown, "event");
            tracing::warn!("{events} {are} of a kind or version that this leaktap does not know");
        }
        let problems = self.problems + self.known.finish();
        let outcome = Outcome { worst: self.worst, problems, skipped: 0 };
        telling::exit(outcome, self.config.fail_on, self.telling.failed)
    }
}
