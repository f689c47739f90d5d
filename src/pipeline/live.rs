//! Live capture: nothing here waits for what is slower; frames that nobody has time for are dropped, counted and told.
//!
//! ```text
//! reader, one an interface ──batches, by shard; drops where full──▶ worker 1..n (own engine) ──what is released──▶ caller's thread
//! ```

mod guard;
mod reader;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::engine::Released;
use crate::model::Timestamp;
use crate::model::event::{Event, Lost};
use crate::model::pulse::Pulse;
use crate::process::Attribution;
use crate::rule::RuleSet;
use crate::source::live::Leave;
use crate::source::{Live, Tls};

use self::guard::Guard;
use self::reader::Reader;
use self::worker::work;
use super::batch::Batch;
use super::begin;
use super::pulse::Pulses;
use super::tape::Tape;
use super::teller::Teller;
use super::{Capture, Confine, Flow, Options, Outcome, Read, Watch};

/// Batches that wait before a worker; what comes while all are full is dropped.
const QUEUE: usize = 64;
/// How often time goes on where no frame comes, and how late a signal may be noticed.
const TICK: Duration = Duration::from_millis(100);
/// How often it is asked what was lost.
const COUNT: Duration = Duration::from_secs(1);
/// How often further sightings are told (CONTRACT: events).
const AGAIN: Duration = Duration::from_secs(60);

/// When a capture ends by itself, and what it keeps to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// After so many frames.
    pub count: Option<u64>,
    /// After so long.
    pub duration: Option<Duration>,
    /// Where the process has more bytes of memory than that, flows are closed, and begin anew.
    pub memory: Option<u64>,
}

/// What is captured at the same time.
pub struct Sources {
    /// Frames of interfaces.
    pub interfaces: Vec<Live>,
    /// Clear text of programs on this machine.
    pub tls: Option<Tls>,
}

impl From<Vec<Live>> for Sources {
    fn from(interfaces: Vec<Live>) -> Self {
        Self { interfaces, tls: None }
    }
}

/// Captures until it is stopped or `until` is reached, and tells what is found as it is found. In the end what is under way is
/// still read, and the summary told.
pub fn capture(
    sources: impl Into<Sources>,
    rules: Arc<RuleSet>,
    options: &Options,
    until: Until,
    attribution: Option<&Attribution>,
    on: &mut dyn FnMut(&Event) -> Flow,
    watch: &mut dyn Watch,
) -> Outcome {
    let Sources { interfaces, tls } = sources.into();
    let mut teller = Teller::new(options, &rules, on);
    teller.attribute(attribution);
    let state = State {
        ended: AtomicBool::new(false),
        stop: &options.stop,
        start: now(),
        left: until.count.map(AtomicU64::new),
        rules: Mutex::new(Arc::clone(&rules)),
        edition: AtomicU64::new(0),
        tape: options.tape.as_ref(),
        confine: options.confine.as_ref(),
        relief: AtomicU64::new(0),
        pulsed: options.pulse || options.metered,
        leaves: interfaces.iter().filter_map(Live::leave).collect(),
    };
    let settings = options.settings(rules);
    let jobs = options.jobs.max(1);
    let (words, heard) = bounded::<Word>(64);
    let (spares_in, spares) = bounded::<Batch>(jobs * 4);
    let sources = interfaces.len() + usize::from(tls.is_some());
    let mut read = Read { sources: sources as u64, ..Read::default() };
    thread::scope(|scope| {
        let mut queues = Vec::with_capacity(jobs);
        let mut threads = Vec::new();
        for worker in 0..jobs {
            let (queue, orders) = bounded::<Order>(QUEUE);
            queues.push(queue);
            let (words, spares, settings, state) = (words.clone(), spares_in.clone(), &settings, &state);
            threads.push(scope.spawn(move || work(worker, settings, state, &orders, &words, &spares)));
        }
        // It ends when the last reader does.
        let begins = attribution.map(|attribution| begin::watch(scope, attribution));
        let ways = || (queues.clone(), spares.clone(), words.clone(), begins.clone());
        if let Some(tls) = tls {
            let (number, state) = (state.pulsed.then_some(jobs + interfaces.len()), &state);
            let reader = Reader::new(tls, ways(), state);
            threads.push(scope.spawn(move || reader.run(number)));
        }
        for (number, live) in interfaces.into_iter().enumerate() {
            let (number, state) = (state.pulsed.then_some(jobs + number), &state);
            let reader = Reader::new(live, ways(), state);
            threads.push(scope.spawn(move || reader.run(number)));
        }
        drop((queues, words, begins));
        read.drops = collect(&heard, &state, until, &mut teller, watch);
        let mut seconds: f64 = 0.0;
        for thread in threads {
            match thread.join() {
                Ok(stats) => {
                    seconds = seconds.max(stats.seconds);
                    read.stats.add(&stats);
                }
                // A thread of ours ends by panic only by a fault of the program, which goes on here.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        // Interfaces are captured on at the same time.
        read.stats.seconds = seconds;
    });
    teller.finish(&read, watch);
    Outcome { worst: teller.worst, problems: read.problems, skipped: 0 }
}

/// What all threads look at.
struct State<'a> {
    ended: AtomicBool,
    stop: &'a AtomicBool,
    start: Timestamp,
    /// Frames that may come yet.
    left: Option<AtomicU64>,
    rules: Mutex<Arc<RuleSet>>,
    /// Grows with each change of the rules.
    edition: AtomicU64,
    tape: Option<&'a Tape>,
    confine: Option<&'a Confine>,
    /// Grows each time that memory is to be given back.
    relief: AtomicU64,
    /// Whether threads say how it goes.
    pulsed: bool,
    /// Who takes flows out of what is captured.
    leaves: Vec<Arc<dyn Leave>>,
}

impl State<'_> {
    /// Gives up the rights that the calling thread does not need, for it looks into what others sent.
    fn confine(&self, words: &Sender<Word>) {
        if let Some(Err(why)) = self.confine.map(|confine| confine()) {
            let _ = words.send(Word::Note(format!("a thread could not give up its rights: {why}")));
        }
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }

    /// Whether one more frame may be taken.
    fn admits(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

enum Order {
    Batch(Arc<str>, Batch),
    /// No frame came until then.
    Tick(Timestamp),
}

enum Word {
    Released(Capture, Vec<Released>),
    Lost(Lost),
    Note(String),
    Problem(String),
    /// How it goes with the thread of this number.
    Pulse(usize, Box<Pulse>),
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// Tells what comes until all threads are done; how many frames were dropped.
fn collect(
    heard: &Receiver<Word>,
    state: &State<'_>,
    until: Until,
    teller: &mut Teller<'_>,
    watch: &mut dyn Watch,
) -> u64 {
    let begun = Instant::now();
    let mut again = begun;
    let mut drops = 0;
    let mut pulses = Pulses::default();
    let mut guard = Guard::new(until.memory);
    loop {
        match heard.recv_timeout(TICK) {
            Ok(Word::Released(capture, released)) => {
                released.into_iter().for_each(|released| teller.tell(released, &capture, watch));
                teller.settle(watch);
            }
            Ok(Word::Lost(lost)) => {
                if lost.reason.ends_with("-drop") {
                    drops += lost.count;
                    pulses.dropped(&lost.reason, lost.count);
                }
                teller.lost(lost, watch);
            }
            Ok(Word::Note(note)) => watch.note(&note),
            Ok(Word::Problem(problem)) => watch.problem(&problem),
            Ok(Word::Pulse(thread, pulse)) => {
                if let Some(pulse) = pulses.add(thread, *pulse) {
                    watch.pulse(Box::new(pulse));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return drops,
        }
        if again.elapsed() >= AGAIN {
            again = Instant::now();
            teller.again();
        }
        if let Some(rules) = watch.rules() {
            teller.follow(&rules);
            *state.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
            state.edition.fetch_add(1, Ordering::Release);
        }
        if let Some(softnet) = guard.look(state, watch) {
            teller.lost(softnet, watch);
        }
        if teller.is_stopped() || until.duration.is_some_and(|duration| begun.elapsed() >= duration) {
            state.ended.store(true, Ordering::Relaxed);
        }
    }
}
