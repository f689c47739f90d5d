//! Events gathered for formats that are one document: the worst leaks, what was seen again, what was not seen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::model::event::{Event, Leak, Lost, Summary};

/// Reasons kept apart; they are a small set.
const REASONS: usize = 100;

/// What came, and no more of it than has room.
pub(super) struct Gathered {
    leaks: Vec<Leak>,
    again: HashMap<String, u64>,
    limit: usize,
    dropped: u64,
    /// What could not be seen.
    pub(super) losses: Losses,
    /// The last event; none of a run that was cut off.
    pub(super) summary: Option<Box<Summary>>,
}

/// What could not be seen, by reason.
#[derive(Default)]
pub(super) struct Losses(BTreeMap<String, Loss>);

/// What could not be seen for one reason.
#[derive(Default)]
pub(super) struct Loss {
    /// How often.
    pub(super) count: u64,
    /// How many bytes.
    pub(super) bytes: u64,
}

impl Losses {
    pub(super) fn add(&mut self, lost: &Lost) {
        let known = self.0.contains_key(&lost.reason) || self.0.len() < REASONS;
        let reason = if known { lost.reason.as_str() } else { "other" };
        let loss = self.0.entry(reason.to_owned()).or_default();
        loss.count = loss.count.saturating_add(lost.count);
        loss.bytes = loss.bytes.saturating_add(lost.bytes);
    }

    /// By reason.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Loss)> {
        self.0.iter().map(|(reason, loss)| (reason.as_str(), loss))
    }
}

impl Gathered {
    /// Keeps the worst `limit` leaks.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            leaks: Vec::new(),
            again: HashMap::new(),
            limit,
            dropped: 0,
            losses: Losses::default(),
            summary: None,
        }
    }

    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Leak(leak) => {
                // Each sighting is a leak with `--every`: the document tells it once.
                if self.again.contains_key(&leak.id) {
                    return self.seen(&leak.id, 1);
                }
                self.again.insert(leak.id.clone(), 0);
                self.leaks.push((**leak).clone());
                if self.leaks.len() >= 2 * self.limit.max(1) {
                    self.cut();
                }
            }
            Event::Again(again) => self.seen(&again.id, again.times),
            Event::Lost(lost) => self.losses.add(lost),
            Event::Summary(summary) => self.summary = Some(summary.clone()),
        }
    }

    /// The leaks, the worst first, else as they were found; and how many more there were.
    pub(super) fn leaks(&mut self) -> (&[Leak], u64) {
        self.cut();
        (&self.leaks, self.dropped)
    }

    /// How often a leak was seen.
    pub(super) fn times(&self, leak: &Leak) -> u64 {
        self.again.get(&leak.id).map_or(1, |again| again.saturating_add(1))
    }

    fn seen(&mut self, id: &str, times: u64) {
        if let Some(again) = self.again.get_mut(id) {
            *again = again.saturating_add(times);
        }
    }

    fn cut(&mut self) {
        self.leaks.sort_by_key(|leak| Reverse(leak.severity));
        for leak in self.leaks.drain(self.limit.min(self.leaks.len())..) {
            self.again.remove(&leak.id);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::model::Severity;
    use crate::model::event::Again;

    #[test]
    fn the_worst_are_kept_and_the_others_counted() {
        let mut gathered = Gathered::new(3);
        for number in 0..20_u32 {
            let severity =
                [Severity::Low, Severity::High, Severity::Medium, Severity::Low][number as usize % 4];
            let leak = Leak { id: format!("{number:032x}"), severity, ..example::leak() };
            gathered.add(&Event::Leak(Box::new(leak)));
        }
        let again = Again { id: format!("{:032x}", 1), times: 4, last: example::leak().time };
        gathered.add(&Event::Again(again));
        let (leaks, more) = gathered.leaks();
        assert_eq!(more, 17);
        let first = leaks[0].clone();
        assert!(leaks.iter().all(|leak| leak.severity == Severity::High), "{leaks:?}");
        assert!(first.id.ends_with("01"), "as they were found");
        assert_eq!(gathered.times(&first), 5);
        assert_eq!(gathered.again.len(), 3, "nothing else is kept");
    }
}
