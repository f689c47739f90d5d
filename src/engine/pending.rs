//! Findings of requests that wait for the answer's head, so that they can say what the server made of them.

use std::collections::{HashMap, VecDeque};
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
    deadlines: VecDeque<(Timestamp, Exchange)>,
    count: usize,
}

impl Pending {
    pub(super) fn push(&mut self, exchange: Exchange, finding: Finding, now: Timestamp) {
        let findings = self.waiting.entry(exchange).or_default();
        if findings.is_empty() {
            self.deadlines.push_back((now.after(PATIENCE), exchange));
        }
        findings.push(finding);
        self.count += 1;
    }

    /// What has to go because too much waits, the longest first.
    pub(super) fn crowded(&mut self) -> Vec<Finding> {
        let mut crowded = Vec::new();
        if self.deadlines.len() > 4 * MOST {
            self.deadlines.retain(|(_, exchange)| self.waiting.contains_key(exchange));
        }
        while self.count > MOST
            && let Some((_, exchange)) = self.deadlines.pop_front()
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
        while let Some(&(deadline, exchange)) = self.deadlines.front() {
            if deadline > now && self.waiting.contains_key(&exchange) {
                break;
            }
            self.deadlines.pop_front();
            overdue.extend(self.take(exchange));
        }
        overdue
    }

    /// All that waits, the longest first.
    pub(super) fn into_all(mut self) -> Vec<Finding> {
        let deadlines = std::mem::take(&mut self.deadlines);
        deadlines.into_iter().flat_map(|(_, exchange)| self.take(exchange)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }
}
