//! One thread of a capture: frames of one source, sorted by flow and given to those who look into them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{COUNT, Order, QUEUE, State, TICK, Word, now};
use crate::engine::{Intake, Stats};
use crate::model::Timestamp;
use crate::model::event::Lost;
use crate::model::pulse::Pulse;
use crate::packet::GivenUp;
use crate::pipeline::batch::{self, Batch};
use crate::pipeline::begin::Begins;
use crate::pipeline::teller::given_up_event;
use crate::pipeline::{Capture, pulse};
use crate::source::live::{DRAIN, Drops};
use crate::source::{Live, Next, Source, Tls};

/// Frames reach this program so much later than they were captured, at most, while nothing is backed up.
const LAG: Duration = Duration::from_millis(200);

/// A source that is live.
pub(super) trait Living: Source {
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

/// Where a reader gives batches, takes spare ones, has things told, and says which connections it sees.
pub(super) type Ways<'a> = (Vec<Sender<Order>>, Receiver<Batch>, Sender<Word>, Option<Begins<'a>>);

/// Reads one source.
pub(super) struct Reader<'a, L> {
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
    pub(super) fn new(live: L, (queues, spares, words, begins): Ways<'a>, state: &'a State<'a>) -> Self {
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
    pub(super) fn run(mut self, number: Option<usize>) -> Stats {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use crossbeam_channel::bounded;

    use super::*;
    use crate::model::{Frame, LinkType};
    use crate::rule::RuleSet;
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
}
