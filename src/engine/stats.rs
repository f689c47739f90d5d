//! What was seen and what was not, in numbers that can be added up.

use std::collections::BTreeMap;

use crate::model::Timestamp;
use crate::model::event::Summary;

/// Counts of one engine or of the intake; those of several are added.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Frames taken in.
    pub frames: u64,
    /// Captured bytes of those.
    pub bytes: u64,
    /// Flows seen.
    pub flows: u64,
    /// Flows by protocol.
    pub protocols: BTreeMap<&'static str, u64>,
    /// Messages (requests and responses each) by protocol.
    pub messages: BTreeMap<&'static str, u64>,
    /// Frames, flows and bodies that were not looked into, by reason.
    pub not_inspected: BTreeMap<String, u64>,
    /// Holes in streams.
    pub gaps: u64,
    /// Bytes missing in those.
    pub gap_bytes: u64,
    /// Frames whose headers break off or contradict themselves.
    pub malformed: u64,
    /// Capture time, from and to.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Time of all captures before this one, in seconds.
    pub seconds: f64,
}

impl Stats {
    /// One more that was not looked into.
    pub(super) fn not_inspected(&mut self, why: &str) {
        match self.not_inspected.get_mut(why) {
            Some(count) => *count += 1,
            None => {
                self.not_inspected.insert(why.to_owned(), 1);
            }
        }
    }

    /// A frame was taken in at `time`.
    pub(super) fn frame(&mut self, bytes: usize, time: Timestamp) {
        self.frames += 1;
        self.bytes += bytes as u64;
        self.span = Some(self.span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
    }

    /// Closes the time of one capture.
    pub fn end_capture(&mut self) {
        if let Some((from, to)) = self.span.take() {
            self.seconds += to.since(from).as_secs_f64();
        }
    }

    /// Adds the counts of another engine.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.gaps += other.gaps;
        self.gap_bytes += other.gap_bytes;
        self.malformed += other.malformed;
        self.seconds += other.seconds;
        for (to, from) in [(&mut self.protocols, &other.protocols), (&mut self.messages, &other.messages)] {
            for (name, count) in from {
                *to.entry(name).or_default() += count;
            }
        }
        for (why, count) in &other.not_inspected {
            *self.not_inspected.entry(why.clone()).or_default() += count;
        }
    }

    /// These counts as the last event tells them.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let owned = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(&name, &count)| (name.to_owned(), count)).collect()
        };
        Summary {
            frames: self.frames,
            bytes: self.bytes,
            flows: self.flows,
            protocols: owned(&self.protocols),
            messages: owned(&self.messages),
            not_inspected: self.not_inspected.clone(),
            gaps: self.gaps,
            gap_bytes: self.gap_bytes,
            malformed: self.malformed,
            seconds: self.seconds,
            ..Summary::default()
        }
    }
}
