//! Joins the stages: frames in, findings out.
//!
//! **Architecture Invariant:** no thread, no wall clock, no I/O; it cannot fail. What it tells depends on the frames of
//! each shard alone, so that the number of engines that share the shards does not matter.

mod body;
mod clean;
mod consequence;
mod conversation;
mod evidence;
mod exposure;
mod glance;
mod inspect;
mod intake;
mod known;
mod marks;
mod pending;
mod plain;
mod stats;
mod story;
mod tap;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use consequence::Consequences;
pub use intake::{Ended, Intake};
pub use stats::Stats;

use crate::flow::{Limits, Now, Table};
use crate::model::finding::{Finding, FlowText};
use crate::model::secret::FingerprintKey;
use crate::model::{Direction, FlowKey, Origins, Plain, Timestamp};
use crate::packet::Packet;
use crate::rule::{Occurrence, RuleSet};

use clean::Clean;
use inspect::Inspector;
use pending::Pending;
use story::Heads;

/// Into so many shards flows fall, whatever the number of engines.
pub const SHARDS: usize = 64;

/// What an engine is given.
#[derive(Clone)]
pub struct Settings {
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// What fingerprints are made with.
    pub key: FingerprintKey,
    /// Limits over all shards.
    pub limits: Limits,
    /// Whether what rules saw and did not tell is reported too.
    pub explain: bool,
    /// Whether somebody watches: findings come with their story, and what is not looked into keeps its name.
    pub watched: bool,
}

/// Limits that fit an ordinary machine: a million flows, half a gigabyte of early bytes.
pub const LIMITS: Limits = Limits {
    flows: 1 << 20,
    early_per_direction: 4 << 20,
    early_total: 512 << 20,
    idle: Duration::from_secs(600),
    hole: Duration::from_secs(10),
};

/// Flows that nobody wants any more, which wait to be asked for.
const UNWANTED: usize = 16_384;

/// Something to tell.
#[derive(Debug)]
pub enum Report {
    /// A leak.
    Finding(Box<Finding>),
    /// What could not be seen of a flow.
    Lost(LostInFlow),
    /// What a rule saw and did not tell.
    Suppressed(Unsaid),
}

/// What a rule saw and did not tell; every text redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaid {
    /// The rule.
    pub rule: String,
    /// Surface, and name where it has one.
    pub place: String,
    /// The value.
    pub redacted: String,
    /// Why it was not told.
    pub reason: String,
}

/// What could not be seen of one direction of a flow for one reason.
#[derive(Clone, Debug)]
pub struct LostInFlow {
    /// Why.
    pub reason: &'static str,
    /// The flow.
    pub flow: FlowText,
    /// The direction.
    pub direction: Direction,
    /// How often.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
    /// First and last frame at which it was noticed.
    pub frames: [u64; 2],
}

/// Something to tell, and what its place in the order is: by the frame that released it, then by the first frame that
/// carries it, then by shard and position.
#[derive(Debug)]
pub struct Released {
    /// The frame that released it; `u64::MAX` for the end of the capture.
    pub frame: u64,
    /// The first frame that carries it.
    pub carried: u64,
    /// The shard of its flow.
    pub shard: usize,
    /// What is told.
    pub report: Report,
}

/// Looks into the flows of some shards.
pub struct Engine {
    tables: Vec<Table<Workshop>>,
    plain: Vec<plain::Flows>,
    workshop: Workshop,
    limits: Limits,
}

/// What the flows of an engine share: rules, scratch, and what waits to be told.
pub(crate) struct Workshop {
    inspector: Inspector,
    source: Arc<str>,
    stats: Stats,
    /// Scratch: keywords, and the places that are of interest.
    known: Vec<Occurrence>,
    hits: Vec<std::ops::Range<usize>>,
    clean: Clean,
    /// The digest of the body that is being looked at.
    digest: Option<u64>,
    pending: Vec<Pending>,
    /// The shard and the frame at hand.
    shard: usize,
    frame: u64,
    conversations: u64,
    released: Vec<Released>,
    /// Bytes that the conversations of each shard hold.
    held: Vec<usize>,
    /// The protocols of flows that are not looked into; only where somebody watches.
    left: Option<HashMap<FlowKey, &'static str, ahash::RandomState>>,
    /// Flows of which nothing more is wanted, and since when; only where somebody asks.
    unwanted: Option<Vec<(FlowKey, Timestamp)>>,
    /// Whether findings come with their story.
    tells_stories: bool,
    /// Flows whose bodies are to be looked at before they are whole; only where somebody waits.
    unseen: Option<glance::Unseen>,
    buffers: Vec<Vec<u8>>,
}

impl Engine {
    /// An engine for any of the shards; each takes its share of the limits.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let share = |whole: usize| (whole / SHARDS).max(1);
        let limits = Limits {
            flows: share(settings.limits.flows),
            early_total: share(settings.limits.early_total),
            ..settings.limits
        };
        Self {
            tables: (0..SHARDS).map(|_| Table::new(limits)).collect(),
            plain: (0..SHARDS).map(|_| plain::Flows::default()).collect(),
            workshop: Workshop {
                inspector: Inspector::new(
                    Arc::clone(&settings.rules),
                    settings.key.clone(),
                    settings.explain,
                ),
                source: Arc::from(""),
                stats: Stats::default(),
                known: Vec::new(),
                hits: Vec::new(),
                clean: Clean::default(),
                digest: None,
                pending: (0..SHARDS).map(|_| Pending::default()).collect(),
                shard: 0,
                frame: 0,
                conversations: 0,
                released: Vec::new(),
                held: vec![0; SHARDS],
                left: settings.watched.then(HashMap::default),
                unwanted: None,
                tells_stories: settings.watched,
                unseen: None,
                buffers: Vec::new(),
            },
            limits,
        }
    }

    /// The frames from here on are of the capture `source`, or of the files that `origins` knows.
    pub fn begin(&mut self, source: Arc<str>, origins: Option<Arc<Origins>>) {
        self.workshop.source = source;
        self.workshop.inspector.origins = origins;
    }

    /// Takes a packet of `shard` (see [`Intake::sort`]).
    pub fn packet(&mut self, shard: usize, packet: &Packet<'_>, frame: u64, time: Timestamp) {
        let now = Now { frame, time };
        self.workshop.at(shard, now);
        let Some(table) = self.tables.get_mut(shard) else { return };
        match packet {
            Packet::Tcp(segment) => table.segment(segment, now, &mut self.workshop),
            Packet::Udp(datagram) => table.datagram(datagram, now, &mut self.workshop),
            _ => {}
        }
    }

    /// Takes clear text of `shard` (see [`Intake::plain`]); no wire has carried it so. It is told as encrypted, and of it only
    /// what leaks all the same.
    pub fn plain(&mut self, shard: usize, plain: &Plain<'_>) {
        self.workshop.at(shard, Now { frame: plain.number, time: plain.time });
        let Some(flows) = self.plain.get_mut(shard) else { return };
        flows.take(plain, self.limits.flows, &mut self.workshop);
    }

    /// Lets capture time go on to `time` though no frame came: what has waited long enough is told, silent flows are closed.
    /// `frame` is the last one there was.
    pub fn advance(&mut self, frame: u64, time: Timestamp) {
        let now = Now { frame, time };
        for (shard, table) in self.tables.iter_mut().enumerate() {
            self.workshop.at(shard, now);
            table.advance(now, &mut self.workshop);
        }
    }

    /// Lets the findings go that have waited long enough for an answer at `time`, though no frame came; nothing else of the
    /// capture's time goes on.
    pub fn release_overdue(&mut self, frame: u64, time: Timestamp) {
        for shard in 0..SHARDS {
            self.workshop.at(shard, Now { frame, time });
        }
    }

    /// The packets from here on are of the interface `source`; all interfaces of a live capture are one capture.
    pub fn on_interface(&mut self, source: &Arc<str>) {
        if !Arc::ptr_eq(&self.workshop.source, source) {
            self.workshop.source = Arc::clone(source);
        }
    }

    /// The capture is live and began at `start`: frames are counted anew each time, and identities of one capture are not
    /// those of the next.
    pub fn live_since(&mut self, start: Timestamp) {
        self.workshop.inspector.run = start.as_nanos().to_be_bytes().to_vec();
    }

    /// From here on [`Engine::unwanted`] knows.
    pub fn note_unwanted(&mut self) {
        self.workshop.unwanted = Some(Vec::new());
    }

    /// Flows of which nothing more is wanted, each with the time at which that was seen, since the last call.
    pub fn unwanted(&mut self) -> impl Iterator<Item = (FlowKey, Timestamp)> + '_ {
        self.workshop.unwanted.iter_mut().flat_map(|unwanted| unwanted.drain(..))
    }

    /// From here on these rules are in force.
    pub fn follow(&mut self, rules: Arc<RuleSet>) {
        self.workshop.inspector.rules = rules;
        self.workshop.clean = Clean::default();
        self.workshop.digest = None;
    }

    /// What is to be told since the last call, in order.
    pub fn released(&mut self) -> impl Iterator<Item = Released> + '_ {
        self.workshop.released.sort_by_key(|released| (released.frame, released.carried, released.shard));
        self.workshop.released.drain(..)
    }

    /// Whether something is to be told.
    #[must_use]
    pub fn has_released(&self) -> bool {
        !self.workshop.released.is_empty()
    }

    /// The capture ended with frame `frame`: every flow is closed and what is left is told, as if a frame after all others
    /// had released it.
    pub fn finish(&mut self, frame: u64, time: Timestamp) {
        for (shard, table) in self.tables.iter_mut().enumerate() {
            self.workshop.shard = shard;
            self.workshop.frame = u64::MAX;
            table.finish(Now { frame, time }, &mut self.workshop);
            if let Some(flows) = self.plain.get_mut(shard) {
                flows.finish(Now { frame, time }, &mut self.workshop);
            }
            *table = Table::new(self.limits);
            let left = self.workshop.pending.get_mut(shard).map(std::mem::take).map(Pending::into_all);
            for finding in left.into_iter().flatten() {
                self.workshop.settle(finding, None);
            }
        }
    }

    /// How events tell of a flow of `shard`; `None` where there is no such flow.
    #[must_use]
    pub fn flow(&self, shard: usize, key: &FlowKey) -> Option<FlowText> {
        let state = self.tables.get(shard)?.state(key)?;
        Some(match state {
            Some(conversation) => conversation.text(key),
            None => self.workshop.left_text(key),
        })
    }

    /// Flows at present.
    #[must_use]
    pub fn open(&self) -> usize {
        self.tables.iter().map(Table::len).chain(self.plain.iter().map(plain::Flows::len)).sum()
    }

    /// Bytes that early segments, heads and bodies hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.workshop.held.iter().sum::<usize>() + self.tables.iter().map(Table::memory).sum::<usize>()
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.workshop.stats
    }
}

impl Workshop {
    /// A frame of `shard` is at hand; what has waited long enough there is told.
    fn at(&mut self, shard: usize, now: Now) {
        self.shard = shard;
        self.frame = now.frame;
        let Some(pending) = self.pending.get_mut(shard) else { return };
        if !pending.is_empty() {
            for finding in pending.overdue(now.time) {
                self.settle(finding, None);
            }
        }
    }

    fn report(&mut self, report: Report) {
        let carried = match &report {
            Report::Finding(finding) => finding.frames[0],
            Report::Lost(lost) => lost.frames[0],
            Report::Suppressed(_) => self.frame,
        };
        self.released.push(Released { frame: self.frame, carried, shard: self.shard, report });
    }

    /// Keeps a finding until the answer's head has come, unless that took too long already.
    fn wait(&mut self, exchange: pending::Exchange, finding: Finding, now: Timestamp) {
        if pending::is_overdue(&finding, now) {
            return self.settle(finding, None);
        }
        if let Some(pending) = self.pending.get_mut(self.shard) {
            pending.push(exchange, finding);
            for finding in pending.crowded() {
                self.settle(finding, None);
            }
        }
    }

    fn release_exchange(&mut self, conversation: u64, exchange: u32, status: Option<u16>) {
        self.release_answered(conversation, exchange, status, None);
    }

    /// The same where the heads of the exchange are kept: the story goes on with the answer.
    fn release_answered(
        &mut self,
        conversation: u64,
        exchange: u32,
        status: Option<u16>,
        heads: Option<&Heads>,
    ) {
        let findings = self.pending.get_mut(self.shard).map(|pending| pending.take((conversation, exchange)));
        for mut finding in findings.into_iter().flatten() {
            if let Some(heads) = heads {
                story::go_on(&mut finding, heads);
            }
            self.settle(finding, status);
        }
    }

    /// Nothing more is wanted of a flow, where anybody asks for it.
    fn not_wanted(&mut self, key: &FlowKey, since: Timestamp) {
        // Beyond that they stay what they are: looked at, and left again.
        if let Some(unwanted) = self.unwanted.as_mut().filter(|unwanted| unwanted.len() < UNWANTED) {
            unwanted.push((*key, since));
        }
    }

    fn message(&mut self, protocol: &'static str) {
        *self.stats.messages.entry(protocol).or_default() += 1;
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        // Large ones would end up with bodies that need little.
        if self.buffers.len() < 32 && (1..=24 << 10).contains(&buffer.capacity()) {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn spare_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
