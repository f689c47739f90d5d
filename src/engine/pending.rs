//! Findings of requests that wait for the answer's head, so that they can say what the server made of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::finding::Finding;

/// How long an answer is waited for, by capture time (CONTRACT: events).
const PATIENCE: Duration = Duration::from_millis(500);

/// An exchange of a conversation of one shard.
pub(super) type Exchange = (u64, u32);

/// The findings of one shard that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: HashMap<Exchange, Vec<Finding>, ahash::RandomState>,
    deadlines: BinaryHeap<Reverse<(Timestamp, Exchange)>>,
}

/// Whether a finding of that time has waited long enough at `now`.
pub(super) fn is_overdue(finding: &Finding, now: Timestamp) -> bool {
    finding.time.after(PATIENCE) <= now
}

impl Pending {
    pub(super) fn push(&mut self, exchange: Exchange, finding: Finding) {
        self.deadlines.push(Reverse((finding.time.after(PATIENCE), exchange)));
        self.waiting.entry(exchange).or_default().push(finding);
    }

    /// What waited for this exchange.
    pub(super) fn take(&mut self, exchange: Exchange) -> Vec<Finding> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.remove(&exchange).unwrap_or_default()
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
            overdue.extend(waiting.extract_if(.., |finding| is_overdue(finding, now)));
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
