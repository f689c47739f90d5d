//! What no thread of a capture sees by itself: memory, and frames that never reached a socket.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{COUNT, State};
use crate::model::event::Lost;
use crate::pipeline::{Watch, resident};

/// Memory given back shows late: it is not asked for again before this is over.
const RELIEF: Duration = Duration::from_secs(10);
/// Each processor's counts of received frames; the second is of those dropped for want of room in its backlog.
const SOFTNET: &str = "/proc/net/softnet_stat";

/// Looks, now and then, at what no thread sees by itself: the memory of the process, and frames that the kernel dropped before any
/// socket had them.
pub(super) struct Guard {
    memory: Option<u64>,
    looked: Instant,
    relieved: Option<Instant>,
    softnet: Option<u64>,
}

impl Guard {
    pub(super) fn new(memory: Option<u64>) -> Self {
        Self { memory, looked: Instant::now(), relieved: None, softnet: softnet() }
    }

    /// Asks for memory where there is too much of it; what the kernel dropped since the last look.
    pub(super) fn look(&mut self, state: &State<'_>, watch: &mut dyn Watch) -> Option<Lost> {
        if self.looked.elapsed() < COUNT {
            return None;
        }
        self.looked = Instant::now();
        if let (Some(limit), Some(resident)) = (self.memory, resident())
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
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::sync::{Arc, Mutex};

    use super::super::now;
    use super::*;
    use crate::rule::RuleSet;

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
