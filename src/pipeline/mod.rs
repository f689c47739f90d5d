//! Captures in, events out: the only threads and channels.

mod batch;
mod live;
mod meter;
mod pulse;
mod queued;
mod replay;
mod screen;
mod shared;
mod stream;
mod teller;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::{Engine, Intake, LIMITS, Settings, Stats};
use crate::model::event::Event;
use crate::model::finding::{Finding, FindingId};
use crate::model::pulse::Pulse;
use crate::model::secret::FingerprintKey;
use crate::model::{Confidence, Severity, Timestamp};
use crate::rule::RuleSet;
use crate::source::{self, Input, Next, Source, SourceError};

pub use live::{Until, capture};
pub use queued::{Queued, Tell};
pub use replay::{Pace, replay};
pub use screen::{Courier, Outside, Signals, show};
pub use stream::is_stream;
use teller::Teller;

/// What a scan is asked to do.
#[derive(Clone)]
pub struct Options {
    /// Threads that look into flows; with one there is no thread at all.
    pub jobs: usize,
    /// Frames to look at, in libpcap syntax.
    pub filter: Option<String>,
    /// The least severity to tell.
    pub severity: Severity,
    /// The least confidence to tell.
    pub confidence: Confidence,
    /// Whether values are told.
    pub reveal: bool,
    /// Whether each sighting is told.
    pub every: bool,
    /// Whether leaks say why they are told, and [`Watch::suppressed`] is told what rules saw and did not tell.
    pub explain: bool,
    /// Whether [`Watch::pulse`] is told how the run goes, and findings come with their story.
    pub pulse: bool,
    /// What fingerprints are made with.
    pub key: FingerprintKey,
    /// Set from outside to end early: what was found is told.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// What an engine is given.
    fn settings(&self, rules: Arc<RuleSet>) -> Settings {
        let Self { explain, pulse: watched, .. } = *self;
        Settings { rules, key: self.key.clone(), limits: LIMITS, explain, watched }
    }
}

/// What the taker of events says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Go,
    /// Nobody listens any more.
    Stop,
}

/// Who is told how a scan goes on; nothing of it is data.
pub trait Watch {
    /// Something could not be done: exit code 2.
    fn problem(&mut self, problem: &str);
    /// Something worth knowing.
    fn note(&mut self, note: &str);
    /// A file of a folder is no capture.
    fn skipped(&mut self, path: &str);
    /// A rule saw something and did not tell it; only where [`Options::explain`] asks. Texts are redacted.
    fn suppressed(&mut self, _rule: &str, _place: &str, _redacted: &str, _reason: &str) {}
    /// A leak is about to be told: what the event is made of.
    fn told(&mut self, _finding: &Finding) {}
    /// The leak `told` was seen once more; no event says so yet.
    fn sighting(&mut self, _told: FindingId, _finding: &Finding) {}
    /// How the run goes, a few times a second; only where [`Options::pulse`] asks.
    fn pulse(&mut self, _pulse: Box<Pulse>) {}
    /// Whether a finding is known to the user, and so is not told but counted. Asked for each sighting that would be told.
    fn is_known(&mut self, _finding: &Finding) -> bool {
        false
    }
    /// New rules to use from here on: asked for now and then while a capture is live.
    fn rules(&mut self) -> Option<Arc<RuleSet>> {
        None
    }
    /// So many bytes of the inputs are read and so many leaks told.
    fn progress(&mut self, bytes: u64, leaks: u64);
}

/// How a scan went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The worst leak told.
    pub worst: Option<Severity>,
    /// What could not be done.
    pub problems: u64,
    /// Files of folders that are no captures.
    pub skipped: u64,
}

/// Reads the inputs in their order and tells what is found. The events are the same, in the same order, whatever `jobs` says.
pub fn scan(
    inputs: &[Input],
    rules: Arc<RuleSet>,
    options: &Options,
    on: &mut dyn FnMut(&Event) -> Flow,
    watch: &mut dyn Watch,
) -> Outcome {
    let mut teller = Teller::new(options, &rules, on);
    let settings = options.settings(rules);
    // What comes through a pipe is told as it comes: no batches.
    let is_pipe = inputs.iter().any(|input| is_stream(&input.path));
    let read = if options.jobs <= 1 || is_pipe {
        alone(inputs, &settings, options, &mut teller, watch)
    } else {
        shared::scan(inputs, &settings, options, &mut teller, watch)
    };
    teller.finish(&read, watch);
    Outcome { worst: teller.worst, problems: read.problems, skipped: read.skipped }
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    stats: Stats,
    sources: u64,
    problems: u64,
    skipped: u64,
    /// Frames dropped before they could be read.
    drops: u64,
}

/// Frames between two looks at the stop flag and the progress.
const LOOK: u64 = 4096;

fn alone(
    inputs: &[Input],
    settings: &Settings,
    options: &Options,
    teller: &mut Teller<'_>,
    watch: &mut dyn Watch,
) -> Read {
    let mut engine = Engine::new(settings);
    let mut intake = Intake::default();
    let mut read = Read::default();
    let mut bytes = 0;
    for input in inputs {
        if options.stop.load(Ordering::Relaxed) {
            break;
        }
        let Some(mut source) = open(input, options, &mut read, watch) else { continue };
        let name: Arc<str> = Arc::from(input.display());
        engine.begin(Arc::clone(&name));
        let mut last = (0, Timestamp::default());
        loop {
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    last = (frame.number, frame.time);
                    if let Some((shard, packet)) = intake.sort(&frame) {
                        engine.packet(shard, &packet, frame.number, frame.time);
                        if engine.has_released() {
                            engine.released().for_each(|released| teller.tell(released, &name, watch));
                            teller.settle(watch);
                        }
                    }
                }
                Ok(Next::Idle) => {}
                Ok(Next::End) => break,
                // A stream that was left may have broken off in the middle of a record.
                Err(_) if options.stop.load(Ordering::Relaxed) => break,
                Err(error) => read.fault(input, &error, watch),
            }
            if last.0 % LOOK == 0 || teller.is_stopped() {
                watch.progress(bytes + source.position(), teller.leaks());
                if teller.is_stopped() || options.stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        engine.finish(last.0, last.1);
        engine.released().for_each(|released| teller.tell(released, &name, watch));
        teller.settle(watch);
        bytes += source.position();
        watch.progress(bytes, teller.leaks());
        note_links(&mut intake, &name, watch);
        if teller.is_stopped() {
            break;
        }
    }
    read.stats.add(intake.stats());
    read.stats.add(engine.stats());
    read
}

impl Read {
    /// An input that cannot be read, or not to its end. In folders, files that are no captures are skipped.
    fn fault(&mut self, input: &Input, error: &SourceError, watch: &mut dyn Watch) {
        if !input.named && matches!(error, SourceError::NotACapture { .. }) {
            self.skipped += 1;
            self.sources = self.sources.saturating_sub(1);
            watch.skipped(&input.display());
        } else {
            self.problems += 1;
            watch.problem(&error.to_string());
        }
    }
}

fn open(input: &Input, options: &Options, read: &mut Read, watch: &mut dyn Watch) -> Option<Box<dyn Source>> {
    let filter = options.filter.as_deref();
    let opened = if is_stream(&input.path) {
        stream::Stream::open(&input.path, Arc::clone(&options.stop))
            .map_err(|error| SourceError::Io { path: input.path.clone(), error })
            .and_then(|stream| source::from_reader(&input.path, Box::new(stream), filter))
    } else {
        source::open(&input.path, filter)
    };
    match opened {
        Ok(source) => {
            read.sources += 1;
            Some(Box::new(source))
        }
        Err(_) if options.stop.load(Ordering::Relaxed) => None,
        Err(error) => {
            read.sources += 1;
            read.fault(input, &error, watch);
            None
        }
    }
}

/// Link types that nobody here reads, each named once a capture.
fn note_links(intake: &mut Intake, source: &str, watch: &mut dyn Watch) {
    for link in intake.end_capture() {
        watch.note(&format!("{source}: frames of link type {} are not looked into", link.0));
    }
}
