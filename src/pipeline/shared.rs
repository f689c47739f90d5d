//! Several engines that share the shards of one capture: a reader, workers, and one order of what they tell.
//!
//! ```text
//! reader ──batches, by shard──▶ worker 1..n (own engine) ──what is released, up to which frame──▶ caller's thread: order, events
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::engine::{Ended, Engine, Intake, Released, Settings, Stats};
use crate::model::Timestamp;
use crate::packet;
use crate::source::{Input, Next};

use super::batch::{self, Batch};
use super::teller::Teller;
use super::{Capture, LOOK, Options, Read, Watch, captures, note_links, open};

/// Batches that wait before a worker; a full queue makes the reader wait.
const QUEUE: usize = 4;

enum Order {
    Begin(Capture),
    Batch(Batch),
    Finish(u64, Timestamp),
}

enum Word {
    /// A worker told this and has seen every frame up to `until`; `None`: the capture is over for it.
    Released {
        worker: usize,
        released: Vec<Released>,
        until: Option<u64>,
    },
    /// The reader begins a capture.
    Begin(Capture),
    /// The reader has ended one.
    Ended(Ended),
    Problem(String),
    Note(String),
    Skipped(String),
}

pub(super) fn scan(
    inputs: &[Input],
    settings: &Settings,
    options: &Options,
    teller: &mut Teller<'_>,
    watch: &mut dyn Watch,
) -> Read {
    let jobs = options.jobs;
    let position = AtomicU64::new(0);
    let given_up = AtomicBool::new(false);
    let (words, heard) = bounded::<Word>(64);
    let (spares_in, spares) = bounded::<Batch>(jobs * (QUEUE + 2));
    let mut read = Read::default();
    thread::scope(|scope| {
        let mut queues = Vec::with_capacity(jobs);
        let mut workers = Vec::with_capacity(jobs);
        for worker in 0..jobs {
            let (queue, orders) = bounded::<Order>(QUEUE);
            queues.push(queue);
            let (words, spares) = (words.clone(), spares_in.clone());
            workers.push(scope.spawn(move || work(worker, settings, &orders, &words, &spares)));
        }
        drop(spares_in);
        let reader = scope.spawn({
            let (position, given_up) = (&position, &given_up);
            move || Reader { queues, spares, words, options, position, given_up }.run(inputs)
        });
        collect(&heard, jobs, teller, watch, &position, &given_up);
        // A thread of ours ends by panic only by a fault of the program, which goes on here.
        match reader.join() {
            Ok(told) => read = told,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        for worker in workers {
            match worker.join() {
                Ok(stats) => read.stats.add(&stats),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    read
}

fn work(
    worker: usize,
    settings: &Settings,
    orders: &Receiver<Order>,
    words: &Sender<Word>,
    spares: &Sender<Batch>,
) -> Stats {
    let mut engine = Engine::new(settings);
    for order in orders {
        let until = match order {
            Order::Begin(capture) => {
                engine.begin(capture.name, capture.origins);
                continue;
            }
            Order::Batch(mut batch) => {
                batch.each(|frame, shard| {
                    engine.packet(shard, &packet::decode(frame), frame.number, frame.time);
                });
                batch.each_plain(|plain, shard| engine.plain(shard, plain));
                let until = batch.until;
                batch.clear();
                // No room for a spare: it is dropped.
                let _ = spares.try_send(batch);
                Some(until)
            }
            Order::Finish(frame, time) => {
                engine.finish(frame, time);
                None
            }
        };
        let released = engine.released().collect();
        if words.send(Word::Released { worker, released, until }).is_err() {
            break;
        }
    }
    engine.stats().clone()
}

struct Reader<'a> {
    queues: Vec<Sender<Order>>,
    spares: Receiver<Batch>,
    words: Sender<Word>,
    options: &'a Options,
    position: &'a AtomicU64,
    given_up: &'a AtomicBool,
}

impl Reader<'_> {
    fn run(self, inputs: &[Input]) -> Read {
        let mut read = Read::default();
        let mut intake = Intake::default();
        let mut before = 0;
        let mut batches: Vec<Batch> = self.queues.iter().map(|_| Batch::default()).collect();
        for inputs in captures(inputs, self.options) {
            if self.is_stopped() {
                break;
            }
            let mut voice = Voice(&self.words);
            let Some((mut source, capture)) = open(inputs, self.options, &mut read, &mut voice) else {
                continue;
            };
            let _ = self.words.send(Word::Begin(capture.clone()));
            for queue in &self.queues {
                let _ = queue.send(Order::Begin(capture.clone()));
            }
            let mut last = (0, Timestamp::default());
            let mut waiting = 0;
            loop {
                match source.next() {
                    Ok(Next::Frame(frame)) => {
                        last = (frame.number, frame.time);
                        intake.sort(&frame, |shard, frame, _| {
                            waiting += batch::add(&mut batches, shard, frame)
                        });
                    }
                    Ok(Next::Plain(plain)) => {
                        last = (plain.number, plain.time);
                        waiting += batch::add_plain(&mut batches, intake.plain(&plain), &plain);
                    }
                    Ok(Next::Idle) => {}
                    Ok(Next::End) => break,
                    Err(error) => read.fault(inputs, &error, &mut voice),
                }
                if waiting >= batch::BYTES {
                    waiting = 0;
                    self.give_out(&mut batches, last.0);
                }
                if last.0 % LOOK == 0 {
                    self.position.store(before + source.position(), Ordering::Relaxed);
                    if self.is_stopped() {
                        break;
                    }
                }
            }
            let ended = intake.end_capture(last.0, last.1, |shard, frame, _| {
                waiting += batch::add(&mut batches, shard, frame)
            });
            self.give_out(&mut batches, last.0);
            note_links(&ended, &capture.name, &mut voice);
            let _ = self.words.send(Word::Ended(ended));
            for queue in &self.queues {
                let _ = queue.send(Order::Finish(last.0, last.1));
            }
            before += source.position();
            self.position.store(before, Ordering::Relaxed);
        }
        read.stats.add(intake.stats());
        read
    }

    fn give_out(&self, batches: &mut [Batch], until: u64) {
        for (batch, queue) in batches.iter_mut().zip(&self.queues) {
            let spare = self.spares.try_recv().unwrap_or_default();
            let mut full = std::mem::replace(batch, spare);
            full.until = until;
            // A worker that is gone has panicked: its join says so.
            let _ = queue.send(Order::Batch(full));
        }
    }

    fn is_stopped(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || self.options.stop.load(Ordering::Relaxed)
    }
}

/// Passes what the reader has to say to the caller's thread.
struct Voice<'a>(&'a Sender<Word>);

impl Watch for Voice<'_> {
    fn problem(&mut self, problem: &str) {
        let _ = self.0.send(Word::Problem(problem.to_owned()));
    }

    fn note(&mut self, note: &str) {
        let _ = self.0.send(Word::Note(note.to_owned()));
    }

    fn skipped(&mut self, path: &str) {
        let _ = self.0.send(Word::Skipped(path.to_owned()));
    }

    fn progress(&mut self, _bytes: u64, _leaks: u64) {}
}

/// Puts what the workers release into one order: what all have passed is told.
fn collect(
    heard: &Receiver<Word>,
    jobs: usize,
    teller: &mut Teller<'_>,
    watch: &mut dyn Watch,
    position: &AtomicU64,
    given_up: &AtomicBool,
) {
    let mut sources: VecDeque<Capture> = VecDeque::new();
    let mut ended: VecDeque<Ended> = VecDeque::new();
    let mut captures: Vec<u64> = vec![0; jobs];
    let mut passed: Vec<u64> = vec![0; jobs];
    let mut waiting: BinaryHeap<Reverse<Ordered>> = BinaryHeap::new();
    let mut serial = 0;
    let mut capture = 0;
    loop {
        let word = match heard.recv_timeout(Duration::from_millis(100)) {
            Ok(word) => word,
            Err(RecvTimeoutError::Timeout) => {
                watch.progress(position.load(Ordering::Relaxed), teller.leaks());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match word {
            Word::Begin(capture) => sources.push_back(capture),
            // It is heard before the last of the workers is done with the capture.
            Word::Ended(one) => ended.push_back(one),
            Word::Problem(problem) => watch.problem(&problem),
            Word::Note(note) => watch.note(&note),
            Word::Skipped(path) => watch.skipped(&path),
            Word::Released { worker, released, until } => {
                let at = captures.get(worker).copied().unwrap_or_default();
                for released in released {
                    serial += 1;
                    waiting.push(Reverse(Ordered { capture: at, serial, released }));
                }
                if let (Some(passed), Some(capture)) = (passed.get_mut(worker), captures.get_mut(worker)) {
                    match until {
                        Some(until) => *passed = until,
                        None => {
                            *capture += 1;
                            *passed = 0;
                        }
                    }
                }
                loop {
                    let all = captures
                        .iter()
                        .zip(&passed)
                        .map(|(&capture, &passed)| (capture, passed))
                        .min()
                        .unwrap_or_default();
                    let is_due = waiting.peek().is_some_and(|Reverse(first)| {
                        first.capture == capture && (first.capture < all.0 || first.released.frame <= all.1)
                    });
                    if is_due {
                        if let (Some(Reverse(first)), Some(source)) = (waiting.pop(), sources.front()) {
                            teller.tell(first.released, source, watch);
                        }
                    } else if capture < all.0 {
                        teller.settle(watch);
                        capture += 1;
                        if let (Some(source), Some(ended)) = (sources.pop_front(), ended.pop_front()) {
                            teller.given_up(&ended.given_up, &source, watch);
                        }
                    } else {
                        break;
                    }
                }
                teller.settle(watch);
                watch.progress(position.load(Ordering::Relaxed), teller.leaks());
                given_up.fetch_or(teller.is_stopped(), Ordering::Relaxed);
            }
        }
    }
}

/// The order of telling; what one worker released for one key stays in its order.
struct Ordered {
    capture: u64,
    serial: u64,
    released: Released,
}

impl Ordered {
    fn key(&self) -> (u64, u64, u64, usize, u64) {
        let Released { frame, carried, shard, .. } = self.released;
        (self.capture, frame, carried, shard, self.serial)
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
