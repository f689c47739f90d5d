//! Captures in, events out: the only threads and channels.

mod batch;
mod begin;
mod live;
mod meter;
mod metrics;
mod parts;
mod pulse;
mod queued;
mod replay;
mod screen;
mod shared;
mod stream;
mod tape;
mod teller;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::{Ended, Engine, Intake, LIMITS, Settings, Stats};
use crate::model::event::{Event, Process};
use crate::model::finding::{Finding, FindingId};
use crate::model::pulse::Pulse;
use crate::model::secret::FingerprintKey;
use crate::model::{Confidence, Frame, Origins, Severity, Timestamp};
use crate::rule::RuleSet;
use crate::source::{self, CaptureFile, Input, Joined, Next, Source, SourceError};

pub use live::{Sources, Until, capture};
pub use metrics::Metrics;
pub use queued::{Gauge, Queued, Tell};
pub use replay::{Pace, replay};
pub use screen::{Courier, Outside, Signals, show};
pub use stream::is_stream;
pub use tape::{Leaking, TakeFrame, TakeLive, Tape, extract};
use teller::Teller;

/// Gives up what rights the calling thread does not need; or says why it cannot.
pub type Confine = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

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
    /// Whether the inputs are one capture in the order of time.
    pub join: bool,
    /// Whether leaks say why they are told, and [`Watch::suppressed`] is told what rules saw and did not tell.
    pub explain: bool,
    /// Whether [`Watch::pulse`] is told how the run goes, and findings come with their story.
    pub pulse: bool,
    /// Whether [`Watch::pulse`] is told how a live capture goes, without what only people look at.
    pub metered: bool,
    /// What fingerprints are made with.
    pub key: FingerprintKey,
    /// Asked for by each thread that looks into what is captured live, when it begins.
    pub confine: Option<Confine>,
    /// Takes the frames of what can be read once only, for its leaking flows.
    pub tape: Option<Tape>,
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
    fn told(&mut self, _finding: &Finding, _process: Option<&Process>) {}
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
/// A stream whose newest frame is not older than this is live: its time goes on while nothing comes.
const LIVE: Duration = Duration::from_secs(60);
/// How often it is looked at what came of bodies under way.
const GLANCE: Duration = Duration::from_millis(100);
/// Frames reach a live stream so much later than they were captured.
const LAG: Duration = Duration::from_millis(50);

/// Bytes of memory that this process has, where the system tells.
#[must_use]
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What is read as one capture: its name, and where its frames come from, if they are of several files.
#[derive(Clone)]
struct Capture {
    name: Arc<str>,
    origins: Option<Arc<Origins>>,
}

impl Capture {
    /// The file of a frame, and its number there.
    fn place(&self, number: u64) -> (Arc<str>, u64) {
        let placed = self.origins.as_ref().and_then(|origins| origins.of(number));
        placed.unwrap_or_else(|| (Arc::clone(&self.name), number))
    }
}

/// The inputs that are one capture each: all of them where they are joined.
fn captures<'a>(inputs: &'a [Input], options: &Options) -> std::slice::Chunks<'a, Input> {
    inputs.chunks(if options.join { inputs.len().max(1) } else { 1 })
}

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
    for inputs in captures(inputs, options) {
        if options.stop.load(Ordering::Relaxed) {
            break;
        }
        let (Some((mut source, capture)), Some(first)) =
            (open(inputs, options, &mut read, watch), inputs.first())
        else {
            continue;
        };
        engine.begin(Arc::clone(&capture.name), capture.origins.clone());
        let tape = options.tape.as_ref().filter(|_| inputs.iter().any(|input| is_stream(&input.path)));
        let mut last = (0, Timestamp::default());
        let mut silent: Option<Instant> = None;
        // When bodies under way were last looked at, where somebody waits for what comes.
        let mut looked: Option<Instant> = None;
        engine.glances(false);
        loop {
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    if last.0 == 0 && is_stream(&first.path) && is_fresh(frame.time, Duration::ZERO) {
                        engine.glances(true);
                        looked = Some(Instant::now());
                    }
                    last = (frame.number, frame.time);
                    silent = None;
                    if let Some(tape) = tape {
                        let (name, number) = capture.place(frame.number);
                        tape.frame(&Frame { number, ..frame }, &name);
                    }
                    intake.sort(&frame, |shard, frame, packet| {
                        engine.packet(shard, packet, frame.number, frame.time);
                    });
                    if looked.is_some_and(|looked| looked.elapsed() >= GLANCE) {
                        looked = Some(Instant::now());
                        engine.glance(last.0, last.1);
                    }
                }
                Ok(Next::Plain(plain)) => {
                    last = (plain.number, plain.time);
                    silent = None;
                    engine.plain(intake.plain(&plain), &plain);
                }
                Ok(Next::Idle) => {
                    let since = silent.get_or_insert_with(Instant::now).elapsed();
                    pass(&mut engine, &mut intake, last, since);
                }
                Ok(Next::End) => break,
                // A stream that was left may have broken off in the middle of a record.
                Err(_) if options.stop.load(Ordering::Relaxed) => break,
                Err(error) => read.fault(inputs, &error, watch),
            }
            if engine.has_released() {
                engine.released().for_each(|released| teller.tell(released, &capture, watch));
                teller.settle(watch);
            }
            if last.0 % LOOK == 0 || silent.is_some() || teller.is_stopped() {
                watch.progress(bytes + source.position(), teller.leaks());
                if teller.is_stopped() || options.stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        let ended = intake.end_capture(last.0, last.1, |shard, frame, packet| {
            engine.packet(shard, packet, frame.number, frame.time);
        });
        engine.finish(last.0, last.1);
        engine.released().for_each(|released| teller.tell(released, &capture, watch));
        teller.settle(watch);
        teller.given_up(&ended.given_up, &capture, watch);
        bytes += source.position();
        watch.progress(bytes, teller.leaks());
        note_links(&ended, &capture.name, watch);
        if teller.is_stopped() {
            break;
        }
    }
    read.stats.add(intake.stats());
    read.stats.add(engine.stats());
    read
}

/// No frame has come for `silent`: what a stream's leaks wait for may be over. Of one that is not live (a file that comes slowly)
/// only the answers to requests are not waited for any longer: all else is as if the file were read at once.
fn pass(engine: &mut Engine, intake: &mut Intake, last: (u64, Timestamp), silent: Duration) {
    let (number, time) = last;
    let Some(silent) = silent.checked_sub(LAG).filter(|_| number > 0) else { return };
    let now = time.after(silent);
    if !is_fresh(time, silent) {
        return engine.release_overdue(number, now);
    }
    intake.advance(number, now, |shard, frame, packet| {
        engine.packet(shard, packet, frame.number, frame.time);
    });
    engine.advance(number, now);
    engine.glance(number, now);
}

/// Whether a frame of `time` that came so long ago came as soon as it was captured.
fn is_fresh(time: Timestamp, ago: Duration) -> bool {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(age.saturating_sub(LIVE + ago)) <= time
}

impl Read {
    /// An input that cannot be read, or not to its end. In folders, files that are no captures are skipped.
    fn fault(&mut self, inputs: &[Input], error: &SourceError, watch: &mut dyn Watch) {
        let unnamed = inputs.iter().find(|input| {
            !input.named && matches!(error, SourceError::NotACapture { path, .. } if *path == input.path)
        });
        if let Some(input) = unnamed {
            self.skipped += 1;
            self.sources = self.sources.saturating_sub(1);
            watch.skipped(&input.display());
        } else {
            self.problems += 1;
            watch.problem(&error.to_string());
        }
    }
}

/// Opens inputs as one capture; what cannot be read is told. `None` where nothing is left.
fn open<'a>(
    inputs: &'a [Input],
    options: &'a Options,
    read: &mut Read,
    watch: &mut dyn Watch,
) -> Option<(Box<dyn Source + 'a>, Capture)> {
    if !options.join {
        let input = inputs.first()?;
        return match open_one(input, options, true) {
            Ok(source) => {
                read.sources += 1;
                Some((Box::new(source), Capture { name: Arc::from(input.display()), origins: None }))
            }
            Err(_) if options.stop.load(Ordering::Relaxed) => None,
            Err(error) => {
                read.sources += 1;
                read.fault(inputs, &error, watch);
                None
            }
        };
    }
    let (joined, faults) =
        Joined::new(inputs, Box::new(|input, filtered| open_one(input, options, filtered)));
    read.sources += inputs.len() as u64;
    for (_, error) in &faults {
        read.fault(inputs, error, watch);
    }
    let name = inputs.first()?.display();
    let capture = Capture { name: Arc::from(name), origins: Some(joined.origins()) };
    (faults.len() < inputs.len()).then(|| (Box::new(joined) as Box<dyn Source>, capture))
}

fn open_one(input: &Input, options: &Options, filtered: bool) -> Result<CaptureFile, SourceError> {
    let filter = options.filter.as_deref().filter(|_| filtered);
    if is_stream(&input.path) {
        stream::Stream::open(&input.path, Arc::clone(&options.stop))
            .map_err(|error| SourceError::Io { path: input.path.clone(), error })
            .and_then(|stream| source::from_reader(&input.path, Box::new(stream), filter))
    } else {
        source::open(&input.path, filter)
    }
}

/// Link types that nobody here reads, each named once a capture.
fn note_links(ended: &Ended, source: &str, watch: &mut dyn Watch) {
    for link in &ended.links {
        watch.note(&format!("{source}: frames of link type {} are not looked into", link.0));
    }
}
