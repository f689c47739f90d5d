//! Findings of requests that wait for the answer's head, so that they can say what the server made of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::finding::Finding;

/// How long an answer is waited for, by capture time (CONTRACT: events).
const PATIENCE: Duration = Duration::from_millis(500);
/// Findings of one shard that may wait: the clock of a capture can stand still.
const MOST: usize = 4096;

/// An exchange of a conversation of one shard.
pub(super) type Exchange = (u64, u32);

/// The findings of one shard that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: HashMap<Exchange, Vec<Finding>, ahash::RandomState>,
    deadlines: BinaryHeap<Reverse<(Timestamp, Exchange)>>,
    count: usize,
}

/// Whether a finding has waited long enough at `now`.
pub(super) fn is_overdue(finding: &Finding, now: Timestamp) -> bool {
    finding.time.after(PATIENCE) <= now
}

impl Pending {
    pub(super) fn push(&mut self, exchange: Exchange, finding: Finding) {
        self.deadlines.push(Reverse((finding.time.after(PATIENCE), exchange)));
        self.waiting.entry(exchange).or_default().push(finding);
        self.count += 1;
    }

    /// What has to go because too much waits, the longest first.
    pub(super) fn crowded(&mut self) -> Vec<Finding> {
        let mut crowded = Vec::new();
        if self.deadlines.len() > 4 * MOST {
            self.deadlines.retain(|Reverse((_, exchange))| self.waiting.contains_key(exchange));
        }
        while self.count > MOST
            && let Some(Reverse((_, exchange))) = self.deadlines.pop()
        {
            crowded.extend(self.take(exchange));
        }
        crowded
    }

    /// What waited for this exchange.
    pub(super) fn take(&mut self, exchange: Exchange) -> Vec<Finding> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let taken = self.waiting.remove(&exchange).unwrap_or_default();
        self.count -= taken.len();
        taken
    }

    /// What has waited long enough at `now`, the longest first.
    pub(super) fn overdue(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut overdue = Vec::new();
        while let Some(&Reverse((deadline, exchange))) = self.deadlines.peek() {
            if deadline > now && self.waiting.contains_key(&exchange) {
                break;
            }
            self.deadlines.pop();
            let Some(waiting) = self.waiting.get_mut(&exchange) else { continue };
            let before = overdue.len();
            overdue.extend(waiting.extract_if(.., |finding| is_overdue(finding, now)));
            self.count -= overdue.len() - before;
            if waiting.is_empty() {
                self.waiting.remove(&exchange);
            }
        }
        overdue
    }

    /// All that waits, the longest first.
    pub(super) fn into_all(mut self) -> Vec<Finding> {
        let deadlines = std::mem::take(&mut self.deadlines).into_sorted_vec();
        deadlines.into_iter().rev().flat_map(|Reverse((_, exchange))| self.take(exchange)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }
}
