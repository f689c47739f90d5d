//! One thread of a capture: batches of frames to findings.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::{Order, State, Word, now};
use crate::engine::{Engine, Settings, Stats};
use crate::model::Timestamp;
use crate::model::event::Lost;
use crate::model::pulse::Pulse;
use crate::packet;
use crate::pipeline::batch::Batch;
use crate::pipeline::meter::Meter;
use crate::pipeline::{Capture, pulse};

/// Looks into what comes until nobody sends any more.
pub(super) fn work(
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
