//! Files read for somebody who looks on: so fast as is wanted, stopped and continued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Intake};
use crate::model::Timestamp;
use crate::model::event::Event;
use crate::model::pulse::Pulse;
use crate::rule::RuleSet;
use crate::source::{Input, Next};

use super::meter::Meter;
use super::teller::Teller;
use super::{Flow, Options, Outcome, Read, Watch, captures, note_links, open, pulse};

/// A silence of the capture lasts no longer than this, whatever the speed.
const SILENCE: Duration = Duration::from_secs(5);
/// Frames between two looks at the clock.
const SEEN: u64 = 256;
/// How late a change of the speed may be noticed.
const PATIENCE: Duration = Duration::from_millis(20);

/// How fast files are read; shared with whoever decides.
#[derive(Debug)]
pub struct Pace {
    /// So many times as fast as captured, the bits of an `f32`.
    speed: AtomicU32,
    is_paused: AtomicBool,
}

impl Pace {
    /// `speed` times as fast as captured; infinity: without waiting.
    #[must_use]
    pub fn new(speed: f32) -> Self {
        Self { speed: AtomicU32::new(speed.to_bits()), is_paused: AtomicBool::new(false) }
    }

    /// From here on so fast.
    pub fn go(&self, speed: f32) {
        self.speed.store(speed.to_bits(), Ordering::Relaxed);
    }

    /// Stop, or go on.
    pub fn pause(&self, pause: bool) {
        self.is_paused.store(pause, Ordering::Relaxed);
    }

    fn speed(&self) -> f32 {
        f32::from_bits(self.speed.load(Ordering::Relaxed))
    }
}

/// Reads the inputs one after the other at their pace and tells what is found, until all are read or it is stopped.
pub fn replay(
    inputs: &[Input],
    rules: Arc<RuleSet>,
    options: &Options,
    pace: &Pace,
    on: &mut dyn FnMut(&Event) -> Flow,
    watch: &mut dyn Watch,
) -> Outcome {
    let mut teller = Teller::new(options, &rules, on);
    let mut engine = Engine::new(&options.settings(rules));
    let mut player = Player {
        intake: Intake::default(),
        meter: Meter::default(),
        told: None,
        done: 0,
        total: inputs.iter().map(|input| input.size).sum::<Option<u64>>(),
    };
    let mut read = Read::default();
    for inputs in captures(inputs, options) {
        if options.stop.load(Ordering::Relaxed) || teller.is_stopped() {
            break;
        }
        player.play(inputs, &mut engine, &mut read, options, pace, &mut teller, watch);
        player.done += inputs.iter().filter_map(|input| input.size).sum::<u64>();
    }
    read.stats.add(player.intake.stats());
    read.stats.add(engine.stats());
    teller.finish(&read, watch);
    Outcome { worst: teller.worst, problems: read.problems, skipped: read.skipped }
}

struct Player {
    intake: Intake,
    meter: Meter,
    /// When it was last told how it goes.
    told: Option<Instant>,
    /// Bytes of the inputs before.
    done: u64,
    total: Option<u64>,
}

impl Player {
    #[expect(clippy::too_many_arguments, reason = "all of a run comes together here and nowhere else")]
    fn play(
        &mut self,
        inputs: &[Input],
        engine: &mut Engine,
        read: &mut Read,
        options: &Options,
        pace: &Pace,
        teller: &mut Teller<'_>,
        watch: &mut dyn Watch,
    ) {
        let Some((mut source, capture)) = open(inputs, options, read, watch) else { return };
        engine.begin(Arc::clone(&capture.name), capture.origins.clone());
        let mut last = (0, Timestamp::default());
        let mut clock = Clock::default();
        loop {
            let position = source.position();
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    while !clock.is_due(frame.time, pace) && !options.stop.load(Ordering::Relaxed) {
                        engine.released().for_each(|released| teller.tell(released, &capture, watch));
                        teller.settle(watch);
                        self.look_on(engine, last.1, position, teller, watch);
                        thread::sleep(PATIENCE);
                    }
                    last = (frame.number, frame.time);
                    let Self { intake, meter, .. } = self;
                    intake.sort(&frame, |shard, frame, packet| {
                        engine.packet(shard, packet, frame.number, frame.time);
                        meter.add(engine, packet, frame.bytes.len(), frame.time);
                    });
                    if engine.has_released() {
                        engine.released().for_each(|released| teller.tell(released, &capture, watch));
                        teller.settle(watch);
                    }
                }
                Ok(Next::Plain(plain)) => {
                    last = (plain.number, plain.time);
                    engine.plain(self.intake.plain(&plain), &plain);
                }
                Ok(Next::Idle) => {}
                Ok(Next::End) => break,
                Err(_) if options.stop.load(Ordering::Relaxed) => break,
                Err(error) => read.fault(inputs, &error, watch),
            }
            if last.0.is_multiple_of(SEEN) {
                self.look_on(engine, last.1, source.position(), teller, watch);
            }
            if teller.is_stopped() || options.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let ended = self.intake.end_capture(last.0, last.1, |shard, frame, packet| {
            engine.packet(shard, packet, frame.number, frame.time);
        });
        engine.finish(last.0, last.1);
        engine.released().for_each(|released| teller.tell(released, &capture, watch));
        teller.settle(watch);
        teller.given_up(&ended.given_up, &capture, watch);
        self.told = None;
        self.look_on(engine, last.1, source.position(), teller, watch);
        note_links(&ended, &capture.name, watch);
    }

    /// Tells how it goes, where it is time to; takes new rules.
    fn look_on(
        &mut self,
        engine: &mut Engine,
        time: Timestamp,
        position: u64,
        teller: &mut Teller<'_>,
        watch: &mut dyn Watch,
    ) {
        if self.told.is_some_and(|told| told.elapsed() < pulse::EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let intake = pulse::of_intake(self.intake.stats());
        let engine_says = pulse::of_engine(engine, Some(&mut self.meter));
        let position = Some((self.done + position, self.total));
        let mut not_inspected = engine_says.not_inspected;
        for (why, count) in intake.not_inspected {
            *not_inspected.entry(why).or_default() += count;
        }
        watch.pulse(Box::new(Pulse {
            time,
            frames: intake.frames,
            bytes: intake.bytes,
            malformed: intake.malformed,
            position,
            not_inspected,
            ..engine_says
        }));
        if let Some(rules) = watch.rules() {
            teller.follow(&rules);
            engine.follow(rules);
        }
    }
}

/// Capture time against the clock.
#[derive(Default)]
struct Clock {
    /// A moment of both, and the speed since then.
    anchor: Option<(Instant, Timestamp, f32)>,
    /// The newest frame that was due.
    newest: Option<Timestamp>,
}

impl Clock {
    /// Whether what was captured at `time` may be read.
    fn is_due(&mut self, time: Timestamp, pace: &Pace) -> bool {
        let speed = pace.speed();
        if pace.is_paused.load(Ordering::Relaxed) {
            self.anchor = None;
            return false;
        }
        if !speed.is_finite() || speed <= 0.0 {
            self.newest = Some(time);
            self.anchor = None;
            return true;
        }
        let now = Instant::now();
        let newest = self.newest.unwrap_or(time);
        let (since, from, with) = *self.anchor.get_or_insert((now, newest, speed));
        if with != speed {
            self.anchor = Some((now, newest, speed));
            return false;
        }
        let waited = now.duration_since(since);
        if waited < time.since(from).div_f32(speed) {
            let silence = time.since(newest).div_f32(speed);
            if silence < SILENCE || waited < SILENCE {
                return false;
            }
            // What would take too long is cut short.
            self.anchor = Some((now, time, speed));
        }
        self.newest = Some(newest.max(time));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(1_795_324_920_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn frames_are_due_as_they_were_captured() {
        let (mut clock, pace) = (Clock::default(), Pace::new(1.0));
        assert!(clock.is_due(at(0), &pace), "the first at once");
        assert!(!clock.is_due(at(60_000), &pace));
        pace.go(f32::INFINITY);
        assert!(clock.is_due(at(60_000), &pace), "without waiting");
        pace.pause(true);
        assert!(!clock.is_due(at(60_000), &pace));
        pace.pause(false);
        pace.go(1_000_000.0);
        assert!(clock.is_due(at(60_000), &pace));
        let begun = Instant::now();
        while !clock.is_due(at(120_000), &pace) {
            assert!(begun.elapsed() < Duration::from_secs(20), "a minute in a moment");
        }
    }
}
