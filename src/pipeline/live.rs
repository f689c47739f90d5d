//! Live capture: nothing here waits for what is slower; frames that nobody has time for are dropped, counted and told.
//!
//! ```text
//! reader, one an interface ──batches, by shard; drops where full──▶ worker 1..n (own engine) ──what is released──▶ caller's thread
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::engine::{Engine, Intake, Released, Settings, Stats};
use crate::model::Timestamp;
use crate::model::event::{Event, Lost};
use crate::model::pulse::Pulse;
use crate::packet::{self, GivenUp};
use crate::process::Attribution;
use crate::rule::RuleSet;
use crate::source::live::{DRAIN, Drops, Leave};
use crate::source::{Live, Next, Source, Tls};

use super::batch::{self, Batch};
use super::begin::{self, Begins};
use super::meter::Meter;
use super::pulse::{self, Pulses};
use super::tape::Tape;
use super::teller::{Teller, given_up_event};
use super::{Capture, Confine, Flow, Options, Outcome, Read, Watch};

/// Batches that wait before a worker; what comes while all are full is dropped.
const QUEUE: usize = 64;
/// How often time goes on where no frame comes, and how late a signal may be noticed.
const TICK: Duration = Duration::from_millis(100);
/// Frames reach this program so much later than they were captured, at most, while nothing is backed up.
const LAG: Duration = Duration::from_millis(200);
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

/// Memory given back shows late: it is not asked for again before this is over.
const RELIEF: Duration = Duration::from_secs(10);
/// Each processor's counts of received frames; the second is of those dropped for want of room in its backlog.
const SOFTNET: &str = "/proc/net/softnet_stat";

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

/// A source that is live.
trait Living: Source {
    /// What events call it.
    fn name(&self) -> &str;

    /// What was lost since the last call.
    fn drops(&mut self) -> Drops;

    /// What is to be said since the last call.
    fn notes(&mut self) -> Vec<String>;

    /// What was not handed up so far because nobody wants it, by reason.
    fn unwanted(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

impl Living for Live {
    fn name(&self) -> &str {
        Live::name(self)
    }

    fn drops(&mut self) -> Drops {
        Live::drops(self)
    }

    fn notes(&mut self) -> Vec<String> {
        Live::notes(self)
    }

    fn unwanted(&self) -> Vec<(&'static str, u64)> {
        Live::unwanted(self)
    }
}

impl Living for Tls {
    fn name(&self) -> &str {
        Tls::name(self)
    }

    fn drops(&mut self) -> Drops {
        Tls::drops(self)
    }

    fn notes(&mut self) -> Vec<String> {
        Tls::notes(self)
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

fn work(
    worker: usize,
    settings: &Settings,
    state: &State<'_>,
    orders: &Receiver<Order>,
    words: &Sender<Word>,
    spares: &Sender<Batch>,
) -> Stats {
    state.confine(words);
    let mut engine = Engine::new(settings);
    engine.live_since(state.start);
    engine.glances(true);
    if !state.leaves.is_empty() {
        engine.note_unwanted();
    }
    let mut source: Arc<str> = Arc::from("");
    let mut last = (0, Timestamp::default());
    let (mut edition, mut relief) = (0, 0);
    let mut meter = settings.watched.then(Meter::default);
    let mut told = Instant::now();
    let tell = |engine: &mut Engine, source: &Arc<str>| {
        if engine.has_released() {
            // Nobody listens any more only where the caller's thread has panicked.
            let capture = Capture { name: Arc::clone(source), origins: None };
            let _ = words.send(Word::Released(capture, engine.released().collect()));
        }
    };
    for order in orders {
        let newest = state.edition.load(Ordering::Acquire);
        if edition != newest {
            edition = newest;
            engine.follow(Arc::clone(&state.rules.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        let asked = state.relief.load(Ordering::Acquire);
        if relief != asked {
            relief = asked;
            if let Some(lost) = relieve(&mut engine, &source, last) {
                tell(&mut engine, &source);
                let _ = words.send(Word::Lost(lost));
            }
        }
        let mut behind = None;
        match order {
            Order::Batch(from, mut batch) => {
                engine.on_interface(&from);
                source = from;
                batch.each(|frame, shard| {
                    last = (frame.number, last.1.max(frame.time));
                    let packet = packet::decode(frame);
                    engine.packet(shard, &packet, frame.number, frame.time);
                    if let Some(meter) = &mut meter {
                        meter.add(&engine, &packet, frame.bytes.len(), frame.time);
                    }
                });
                batch.each_plain(|plain, shard| {
                    last = (plain.number, last.1.max(plain.time));
                    engine.plain(shard, plain);
                });
                batch.clear();
                // No room for a spare: it is dropped.
                let _ = spares.try_send(batch);
                behind = state.pulsed.then(|| now().since(last.1));
            }
            Order::Tick(time) => {
                last.1 = last.1.max(time);
                engine.advance(last.0, time);
            }
        }
        // Where there is no room for ticks time goes on by frames.
        engine.glance(last.0, last.1);
        for (flow, since) in engine.unwanted() {
            state.leaves.iter().for_each(|leave| leave.leave(&flow, since));
        }
        tell(&mut engine, &source);
        if state.pulsed && told.elapsed() >= pulse::EVERY {
            told = Instant::now();
            let pulse = Pulse { time: last.1, behind, ..pulse::of_engine(&engine, meter.as_mut()) };
            // Where there is no room it is told later.
            let _ = words.try_send(Word::Pulse(worker, Box::new(pulse)));
        }
    }
    engine.finish(last.0, last.1);
    tell(&mut engine, &source);
    engine.stats().clone()
}

/// Closes all flows of an engine: what they hold is told and given back. What that cost; nothing where there was none.
fn relieve(engine: &mut Engine, source: &Arc<str>, (frame, time): (u64, Timestamp)) -> Option<Lost> {
    let (flows, held) = (engine.open() as u64, engine.held() as u64);
    engine.finish(frame, time);
    (flows > 0).then(|| Lost {
        reason: "memory-limit".to_owned(),
        flow: None,
        direction: None,
        count: flows,
        bytes: held,
        frames: [frame, frame],
        source: source.to_string(),
        last_source: None,
    })
}

/// Where a reader gives batches, takes spare ones, has things told, and says which connections it sees.
type Ways<'a> = (Vec<Sender<Order>>, Receiver<Batch>, Sender<Word>, Option<Begins<'a>>);

/// Reads one source.
struct Reader<'a, L> {
    live: L,
    name: Arc<str>,
    queues: Vec<Sender<Order>>,
    spares: Receiver<Batch>,
    words: Sender<Word>,
    state: &'a State<'a>,
    intake: Intake,
    begins: Option<Begins<'a>>,
    batches: Vec<Batch>,
    /// Bytes that the batches hold.
    waiting: usize,
    /// The last frame, and the one at which losses were last counted.
    last: (u64, Timestamp),
    counted: u64,
    /// Frames and bytes dropped because a queue was full, and the first and last of them.
    full: Option<(u64, u64, [u64; 2])>,
}

impl<'a, L: Living> Reader<'a, L> {
    fn new(live: L, (queues, spares, words, begins): Ways<'a>, state: &'a State<'a>) -> Self {
        Self {
            name: Arc::from(live.name()),
            batches: queues.iter().map(|_| Batch::default()).collect(),
            live,
            queues,
            spares,
            words,
            state,
            intake: Intake::default(),
            begins,
            waiting: 0,
            last: (0, Timestamp::default()),
            counted: 0,
            full: None,
        }
    }

    /// Reads to the end; `number` is that of this thread, where somebody watches.
    fn run(mut self, number: Option<usize>) -> Stats {
        self.state.confine(&self.words);
        let mut ticked = Instant::now();
        let mut told = ticked;
        let mut counted = ticked;
        let mut ending: Option<Instant> = None;
        let mut is_told = false;
        loop {
            let mut is_idle = false;
            match self.live.next() {
                Ok(Next::Frame(frame)) => {
                    if !self.state.admits() {
                        self.state.ended.store(true, Ordering::Relaxed);
                        break;
                    }
                    self.last = (frame.number, frame.time);
                    if let Some(tape) = self.state.tape {
                        tape.frame(&frame, &self.name);
                    }
                    let (batches, waiting) = (&mut self.batches, &mut self.waiting);
                    let begins = &mut self.begins;
                    self.intake.sort(&frame, |shard, frame, packet| {
                        if let Some(begins) = begins {
                            begins.see(packet);
                        }
                        *waiting += batch::add(batches, shard, frame);
                    });
                    if self.waiting < batch::BYTES && frame.number % 64 != 0 {
                        continue;
                    }
                }
                Ok(Next::Plain(plain)) => {
                    if !self.state.admits() {
                        self.state.ended.store(true, Ordering::Relaxed);
                        break;
                    }
                    self.last = (plain.number, plain.time);
                    if let Some(begins) = &mut self.begins {
                        begins.see_plain(&plain);
                    }
                    let shard = self.intake.plain(&plain);
                    self.waiting += batch::add_plain(&mut self.batches, shard, &plain);
                    if self.waiting < batch::BYTES && plain.number % 64 != 0 {
                        continue;
                    }
                }
                Ok(Next::Idle) => is_idle = true,
                Ok(Next::End) => break,
                Err(error) => {
                    let _ = self.words.send(Word::Problem(error.to_string()));
                    break;
                }
            }
            if is_idle || self.waiting >= batch::BYTES {
                self.give_out();
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                // While frames are backed up time goes on by theirs.
                self.tick(if is_idle { now() } else { self.last.1 });
                self.wait_no_longer(is_idle);
            }
            if counted.elapsed() >= COUNT {
                counted = Instant::now();
                self.count();
                if self.intake.has_unknown_links() && !std::mem::replace(&mut is_told, true) {
                    let note = format!("{}: frames of its link type are not looked into", self.name);
                    let _ = self.words.send(Word::Note(note));
                }
            }
            if let Some(number) = number.filter(|_| told.elapsed() >= pulse::EVERY) {
                told = Instant::now();
                let queues = self.queues.iter().map(|queue| (queue.len(), QUEUE)).collect();
                let fragments = self.intake.memory() as u64;
                let counts = pulse::of_intake(self.intake.stats());
                let pulse = Pulse { time: self.last.1, queues, fragments, ..counts };
                let _ = self.words.try_send(Word::Pulse(number, Box::new(pulse)));
            }
            for note in self.live.notes() {
                let _ = self.words.send(Word::Note(note));
            }
            if ending.is_none() && self.state.is_over() {
                ending = Some(Instant::now());
            }
            // What the kernel holds comes still: until there is nothing, but not for ever.
            if let Some(since) = ending.map(|since| since.elapsed())
                && (since >= DRAIN && is_idle || since >= 10 * DRAIN)
            {
                break;
            }
        }
        let (batches, waiting) = (&mut self.batches, &mut self.waiting);
        let (number, time) = self.last;
        let ended = self
            .intake
            .end_capture(number, time, |shard, frame, _| *waiting += batch::add(batches, shard, frame));
        self.give_out();
        self.tell_given_up(&ended.given_up);
        self.count();
        let mut stats = self.intake.stats().clone();
        for (why, count) in self.live.unwanted().into_iter().filter(|&(_, count)| count > 0) {
            *stats.not_inspected.entry(why.to_owned()).or_default() += count;
        }
        stats
    }

    fn give_out(&mut self) {
        self.waiting = 0;
        for (batch, queue) in self.batches.iter_mut().zip(&self.queues) {
            if batch.extent().is_none() {
                continue;
            }
            let spare = self.spares.try_recv().unwrap_or_default();
            let full = std::mem::replace(batch, spare);
            match queue.try_send(Order::Batch(Arc::clone(&self.name), full)) {
                Ok(()) => {}
                Err(TrySendError::Full(Order::Batch(_, mut dropped))) => {
                    if let Some((frames, bytes, [first, last])) = dropped.extent() {
                        let (more, size, [start, _]) = self.full.unwrap_or((0, 0, [first, last]));
                        self.full = Some((more + frames, size + bytes, [start.min(first), last]));
                    }
                    dropped.clear();
                    *batch = dropped;
                }
                // The worker has panicked: its join says so.
                Err(_) => self.state.ended.store(true, Ordering::Relaxed),
            }
        }
    }

    fn tick(&self, time: Timestamp) {
        let time = Timestamp::from_nanos(time.as_nanos().saturating_sub(LAG.as_nanos() as i64));
        for queue in &self.queues {
            // Where there is no room there are frames, and time goes on by them.
            let _ = queue.try_send(Order::Tick(time));
        }
    }

    /// Fragments that waited for too long go to the workers as far as they go.
    fn wait_no_longer(&mut self, is_idle: bool) {
        let (batches, waiting) = (&mut self.batches, &mut self.waiting);
        let (number, time) = self.last;
        let time = if is_idle { now() } else { time };
        self.intake.advance(number, time, |shard, frame, _| *waiting += batch::add(batches, shard, frame));
    }

    fn tell_given_up(&self, given_up: &[GivenUp]) {
        let capture = Capture { name: Arc::clone(&self.name), origins: None };
        for given_up in given_up {
            let _ = self.words.send(Word::Lost(given_up_event(given_up, &capture)));
        }
    }

    /// Tells what was lost since the last time.
    fn count(&mut self) {
        let given_up = self.intake.given_up();
        self.tell_given_up(&given_up);
        let drops = self.live.drops();
        let frames = [self.counted, self.last.0];
        self.counted = self.last.0;
        let lost = |reason: &str, count, bytes, frames| Lost {
            reason: reason.to_owned(),
            flow: None,
            direction: None,
            count,
            bytes,
            frames,
            source: self.name.to_string(),
            last_source: None,
        };
        let mut all = Vec::new();
        if drops.kernel > 0 {
            all.push(lost("kernel-drop", drops.kernel, 0, frames));
        }
        if drops.interface > 0 {
            all.push(lost("interface-drop", drops.interface, 0, frames));
        }
        if let Some((count, bytes, frames)) = self.full.take() {
            all.push(lost("queue-drop", count, bytes, frames));
        }
        for lost in all {
            let _ = self.words.send(Word::Lost(lost));
        }
    }
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

/// Looks, now and then, at what no thread sees by itself: the memory of the process, and frames that the kernel dropped before any
/// socket had them.
struct Guard {
    memory: Option<u64>,
    looked: Instant,
    relieved: Option<Instant>,
    softnet: Option<u64>,
}

impl Guard {
    fn new(memory: Option<u64>) -> Self {
        Self { memory, looked: Instant::now(), relieved: None, softnet: softnet() }
    }

    /// Asks for memory where there is too much of it; what the kernel dropped since the last look.
    fn look(&mut self, state: &State<'_>, watch: &mut dyn Watch) -> Option<Lost> {
        if self.looked.elapsed() < COUNT {
            return None;
        }
        self.looked = Instant::now();
        if let (Some(limit), Some(resident)) = (self.memory, super::resident())
            && resident > limit
            && self.relieved.is_none_or(|relieved| relieved.elapsed() >= RELIEF)
        {
            self.relieved = Some(Instant::now());
            state.relief.fetch_add(1, Ordering::Release);
            watch.note(&format!(
                "{} MiB of memory are more than the {} MiB allowed: flows are closed and begin anew",
                resident >> 20,
                limit >> 20
            ));
        }
        let now = softnet();
        let dropped =
            now?.checked_sub(std::mem::replace(&mut self.softnet, now)?).filter(|&dropped| dropped > 0)?;
        // Of which interface, and whether a filter would have refused them, nobody knows.
        Some(Lost {
            reason: "softnet-drop".to_owned(),
            flow: None,
            direction: None,
            count: dropped,
            bytes: 0,
            frames: [0, 0],
            source: SOFTNET.to_owned(),
            last_source: None,
        })
    }
}

/// Frames that were dropped before any socket had them, on all processors, where the system tells.
fn softnet() -> Option<u64> {
    softnet_drops(&std::fs::read_to_string(SOFTNET).ok()?)
}

fn softnet_drops(text: &str) -> Option<u64> {
    let second = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok();
    text.lines().map(second).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Frame, LinkType};
    use crate::source::live::{Settings as Capturing, Way};

    #[test]
    fn a_full_queue_drops_whole_frames_and_counts_them() {
        let stop = AtomicBool::new(false);
        let state = State {
            ended: AtomicBool::new(false),
            stop: &stop,
            start: now(),
            left: Some(AtomicU64::new(2)),
            rules: Mutex::new(Arc::new(RuleSet::load(false, &[]).unwrap())),
            edition: AtomicU64::new(0),
            tape: None,
            confine: None,
            relief: AtomicU64::new(0),
            pulsed: false,
            leaves: Vec::new(),
        };
        // An interface that is not there is waited for: no right is needed.
        let settings =
            Capturing { way: Way::Auto, filter: None, buffer: 2 << 20, promiscuous: false, retire: DRAIN };
        let live = Live::open("nosuch0", &settings, None).unwrap();
        let (queue, orders) = bounded::<Order>(1);
        let (_spares, spares) = bounded::<Batch>(1);
        let (words, heard) = bounded::<Word>(8);
        let mut reader = Reader::new(live, (vec![queue], spares, words, None), &state);
        for number in 1..=5 {
            let bytes = [0; 60];
            let frame = Frame {
                number,
                time: Timestamp::default(),
                link: LinkType::ETHERNET,
                bytes: &bytes,
                original_len: 60,
            };
            reader.batches[0].add(&frame, 0);
            reader.give_out();
        }
        reader.count();
        let Ok(Word::Lost(lost)) = heard.try_recv() else { panic!("nothing was told") };
        assert_eq!((lost.reason.as_str(), lost.source.as_str()), ("queue-drop", "nosuch0"));
        assert_eq!((lost.count, lost.bytes, lost.frames), (4, 240, [2, 5]));
        reader.count();
        assert!(heard.try_recv().is_err(), "told once");
        assert!(
            matches!(orders.try_recv(), Ok(Order::Batch(_, batch)) if batch.extent() == Some((1, 60, [1, 1])))
        );
        assert_eq!([state.admits(), state.admits(), state.admits()], [true, true, false]);
    }

    #[test]
    fn drops_before_any_socket_are_counted_on_all_processors() {
        let text =
            "0001d4c0 0000000a 00000003 0 0 0 0 0 0 0 00000000\n0000ffff 00000010 00000000 0 0 0 0 0 0 0 0\n";
        assert_eq!(softnet_drops(text), Some(26));
        assert_eq!(softnet_drops("what is this"), None);
    }

    #[test]
    fn too_much_memory_is_given_back_once_in_a_while() {
        struct Notes(Vec<String>);
        impl Watch for Notes {
            fn problem(&mut self, _: &str) {}
            fn note(&mut self, note: &str) {
                self.0.push(note.to_owned());
            }
            fn skipped(&mut self, _: &str) {}
            fn progress(&mut self, _: u64, _: u64) {}
        }
        let stop = AtomicBool::new(false);
        let state = State {
            ended: AtomicBool::new(false),
            stop: &stop,
            start: now(),
            left: None,
            rules: Mutex::new(Arc::new(RuleSet::load(false, &[]).unwrap())),
            edition: AtomicU64::new(0),
            tape: None,
            confine: None,
            relief: AtomicU64::new(0),
            pulsed: false,
            leaves: Vec::new(),
        };
        let past = Instant::now().checked_sub(2 * COUNT).unwrap();
        for (limit, asked) in [(Some(1), 1), (Some(u64::MAX), 0), (None, 0)] {
            let mut notes = Notes(Vec::new());
            let before = state.relief.load(Ordering::Relaxed);
            let mut guard = Guard { memory: limit, looked: past, relieved: None, softnet: None };
            for _ in 0..3 {
                guard.looked = past;
                guard.look(&state, &mut notes);
            }
            assert_eq!(state.relief.load(Ordering::Relaxed) - before, asked);
            assert_eq!(notes.0.len() as u64, asked, "{:?}", notes.0);
        }
    }
}
