//! How a run goes, put together from what its threads say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Stats};
use crate::model::pulse::Pulse;

use super::meter::Meter;

/// How often a thread says how it goes.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// Flows told of.
const FLOWS: usize = 1000;

/// What an engine and the meter beside it say.
pub(super) fn of_engine(engine: &Engine, meter: &mut Meter) -> Pulse {
    Pulse {
        open: engine.open() as u64,
        held: engine.held() as u64,
        live: meter.flows(engine),
        ..of_intake(engine.stats())
    }
}

/// What the counts of an intake or engine say.
pub(super) fn of_intake(stats: &Stats) -> Pulse {
    let owned = |counts: &BTreeMap<&'static str, u64>| {
        counts.iter().map(|(&name, &count)| (name.to_owned(), count)).collect()
    };
    Pulse {
        frames: stats.frames,
        bytes: stats.bytes,
        flows: stats.flows,
        messages: owned(&stats.messages),
        protocols: owned(&stats.protocols),
        not_inspected: stats.not_inspected.clone(),
        gaps: (stats.gaps, stats.gap_bytes),
        malformed: stats.malformed,
        ..Pulse::default()
    }
}

/// What each thread said last.
#[derive(Default)]
pub(super) struct Pulses {
    parts: BTreeMap<usize, Pulse>,
    drops: BTreeMap<String, u64>,
    told: Option<Instant>,
}

impl Pulses {
    /// So many frames were dropped for this reason.
    pub(super) fn dropped(&mut self, reason: &str, count: u64) {
        *self.drops.entry(reason.to_owned()).or_default() += count;
    }

    /// Takes what a thread says; all that was said, where it is time to tell.
    pub(super) fn add(&mut self, thread: usize, pulse: Pulse) -> Option<Pulse> {
        self.parts.insert(thread, pulse);
        if self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(self.sum())
    }

    fn sum(&self) -> Pulse {
        let mut sum = Pulse { drops: self.drops.clone(), ..Pulse::default() };
        for part in self.parts.values() {
            sum.time = sum.time.max(part.time);
            sum.frames += part.frames;
            sum.bytes += part.bytes;
            sum.open += part.open;
            sum.flows += part.flows;
            sum.held += part.held;
            sum.behind = sum.behind.max(part.behind);
            sum.gaps.0 += part.gaps.0;
            sum.gaps.1 += part.gaps.1;
            sum.malformed += part.malformed;
            for (to, from) in [
                (&mut sum.messages, &part.messages),
                (&mut sum.protocols, &part.protocols),
                (&mut sum.not_inspected, &part.not_inspected),
            ] {
                for (name, count) in from {
                    *to.entry(name.clone()).or_default() += count;
                }
            }
            // Readers share the queues of all workers: the fullest look counts.
            for (at, &(waiting, room)) in part.queues.iter().enumerate() {
                match sum.queues.get_mut(at) {
                    Some(known) => known.0 = known.0.max(waiting),
                    None => sum.queues.push((waiting, room)),
                }
            }
            sum.live.extend_from_slice(&part.live);
        }
        sum.live.sort_by(|a, b| b.last.cmp(&a.last).then(a.flow.client.cmp(&b.flow.client)));
        sum.live.truncate(FLOWS);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_say_is_added_up() {
        let mut pulses = Pulses::default();
        pulses.dropped("queue-drop", 3);
        let worker =
            |flows| Pulse { flows, open: 1, messages: [("http/1.1".into(), 2)].into(), ..Pulse::default() };
        let reader = Pulse { frames: 10, bytes: 600, queues: vec![(1, 64), (5, 64)], ..Pulse::default() };
        assert!(pulses.add(0, worker(1)).is_some(), "the first is told at once");
        assert!(pulses.add(1, worker(2)).is_none(), "and then not before it is time");
        pulses.add(2, Pulse { queues: vec![(4, 64), (2, 64)], ..reader.clone() });
        pulses.add(3, reader.clone());
        pulses.add(3, reader);
        let sum = pulses.sum();
        assert_eq!((sum.flows, sum.open, sum.frames, sum.bytes), (3, 2, 20, 1200));
        assert_eq!(sum.messages["http/1.1"], 4);
        assert_eq!(sum.queues, [(4, 64), (5, 64)]);
        assert_eq!(sum.drops["queue-drop"], 3);
    }
}
