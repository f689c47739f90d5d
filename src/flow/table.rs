//! The table of flows of one shard: which segment belongs to which flow, and which flow has to go.

use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::connection::{Course, Flow, GRACE};
use super::reassembly::{Half, Secret, Shared};
use super::sequence::Sequence;
use super::timer::{Clock, Links, List, Tick, Ticks};
use super::{Close, Limits, LossReason, Now, Receiver};
use crate::model::segment::{Datagram, Flags, Segment};
use crate::model::{FlowKey, Side, Transport};

/// A flow that is only a SYN, or of which one end was seen and is over, is closed after this silence.
const BRIEF: Ticks = Ticks::new(Duration::from_secs(30));
/// For so long segments that a closed flow has left over open no new one.
const LATE: Ticks = Ticks::new(Duration::from_secs(60));
/// How many closed flows are remembered for that: few, so that they stay in cache.
const REMEMBERED: usize = 64;

/// What a table has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP segments taken.
    pub segments: u64,
    /// UDP datagrams taken.
    pub datagrams: u64,
    /// Flows opened.
    pub opened: u64,
    /// Flows closed to make room.
    pub evicted: u64,
    /// Flows closed because they were silent.
    pub idle: u64,
    /// Segments that belong to no flow and open none: without payload or SYN, or left over from a closed flow.
    pub stray: u64,
}

/// The flows of one shard.
///
/// - A TCP flow opens with a SYN, or in mid-stream with a payload; a UDP flow with its first datagram.
/// - Each direction of a TCP flow gets one [`super::Piece::End`] before [`Receiver::close`], also one that was never seen.
///   UDP flows have no pieces.
/// - After [`super::Interest::Nothing`] all that is told of the flow is its `close`; buffers are freed at once, the key and
///   the receiver's state stay until then.
/// - A flow that ends (both FINs in order, or an RST that fits) is freed at once.
/// - [`Receiver::lost`] comes before the [`super::Piece::Gap`] it explains, and before a datagram that was cut.
///
/// **Architecture Invariant:** what a receiver sees depends on the segments, their frames and times alone: neither on the
/// secret of the hashes nor on any clock but the capture's.
#[derive(Debug)]
#[repr(C)]
pub struct Table<R: Receiver> {
    // What each segment needs comes first and lies together: there are many tables, and each has fallen out of the
    // nearest cache by its next segment.
    clock: Clock,
    /// Before this moment no time runs out.
    due: Tick,
    shared: Shared,
    index: HashTable<u32>,
    flows: Slab<Flow<R::State>>,
    stats: Stats,
    limits: Limits,
    idle: Ticks,
    brief_idle: Ticks,
    order: Links,
    /// Flows by silence.
    lasting: List,
    /// Those that are heard of once and no more, by silence.
    brief: List,
    waits: Links,
    /// Flows that wait, by when they were last looked at.
    waiting: List,
    closed: Box<[Closed]>,
    /// Flows of other networks than the plain one were opened.
    has_realms: bool,
}

/// A flow that was closed.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    spread: u64,
    at: Option<Tick>,
    /// Where each direction began and what would have come next.
    low: (Sequence, Sequence),
    high: (Sequence, Sequence),
}

/// Where a closed flow is remembered. The lowest bits chose the table.
#[inline]
fn place_of(spread: u64) -> usize {
    (spread >> 32) as usize % REMEMBERED
}

impl<R: Receiver> Table<R> {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let idle = Ticks::new(limits.idle);
        let seed = RandomState::new();
        Self {
            index: HashTable::new(),
            flows: Slab::default(),
            clock: Clock::default(),
            shared: Shared {
                secret: Secret::new(&seed),
                seed,
                early_per_direction: limits.early_per_direction,
                held: 0,
                hole: Ticks::new(limits.hole),
                tick: Tick::default(),
            },
            limits,
            idle,
            brief_idle: idle.min(BRIEF),
            order: Links::default(),
            lasting: List::default(),
            brief: List::default(),
            waits: Links::default(),
            waiting: List::default(),
            due: Tick::default(),
            closed: vec![Closed::default(); REMEMBERED].into(),
            has_realms: false,
            stats: Stats::default(),
        }
    }

    /// Flows at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lasting.len() + self.brief.len()
    }

    /// Whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the receiver keeps of a flow.
    #[must_use]
    pub fn state(&self, key: &FlowKey) -> Option<&R::State> {
        let slot = self.find(self.shared.seed.hash_one(key), key)?;
        self.flows.get(slot).map(|flow| &flow.state)
    }

    /// Shows what the receiver keeps of the flows with these ends: more than one where networks use the same addresses.
    pub fn each_state(&mut self, key: &FlowKey, mut show: impl FnMut(&mut R::State)) {
        let slots: SmallVec<[u32; 2]> = self.slots(self.shared.seed.hash_one(key), key).collect();
        for slot in slots {
            if let Some(flow) = self.flows.get_mut(slot) {
                show(&mut flow.state);
            }
        }
    }

    /// What the early bytes kept cost, in bytes: themselves and a fixed sum for each run.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shared.held
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes a TCP segment.
    #[inline]
    pub fn segment(&mut self, segment: &Segment<'_>, now: Now, receiver: &mut R) {
        self.advance(now, receiver);
        self.stats.segments += 1;
        let hash = self.shared.seed.hash_one(segment.key);
        let found = self.find(hash, &segment.key);
        if let Some(slot) = found
            && let Some(flow) = self.flows.get_mut(slot)
            && flow.realm == segment.realm
            && flow.take_ordinary(segment, now, &mut self.shared, receiver)
        {
            if flow.last != self.shared.tick || flow.has(Flow::<R::State>::BRIEF) {
                self.heard(slot, !segment.payload.is_empty());
            }
            return;
        }
        self.extraordinary(segment, found, hash, now, receiver);
    }

    /// Takes a segment that begins or ends something, comes early or late, or is of a flow that waits.
    #[inline(never)]
    fn extraordinary(
        &mut self,
        segment: &Segment<'_>,
        found: Option<u32>,
        hash: u64,
        now: Now,
        receiver: &mut R,
    ) {
        let (mut found, over) = match found {
            Some(slot) if self.has_realms || segment.realm != 0 => self.in_its_realm(slot, hash, segment),
            found => (found, None),
        };
        if let Some(over) = over {
            self.close(over, Close::Reused, now, receiver);
        }
        if let Some(slot) = found
            && segment.flags.0 & (Flags::SYN | Flags::RST) == Flags::SYN
            && self.flows.get(slot).is_some_and(|flow| flow.is_reused_by(segment, self.shared.tick))
        {
            self.close(slot, Close::Reused, now, receiver);
            found = None;
        }
        let slot = match found {
            Some(slot) => slot,
            None if self.opens(segment) => {
                let initiator = Flow::<R::State>::initiator_of(segment);
                let slot = self.open(segment.key, hash, initiator, now, receiver);
                if let Some(flow) = self.flows.get_mut(slot) {
                    flow.realm = segment.realm;
                    self.has_realms |= segment.realm != 0;
                }
                slot
            }
            None => {
                self.stats.stray += 1;
                return;
            }
        };
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let course = flow.segment(segment, now, &mut self.shared, receiver);
        self.heard(slot, !segment.payload.is_empty() || segment.cut > 0);
        self.went(slot, course, now, receiver);
        self.make_room(now, receiver);
    }

    /// Takes a UDP datagram.
    pub fn datagram(&mut self, datagram: &Datagram<'_>, now: Now, receiver: &mut R) {
        self.advance(now, receiver);
        self.stats.datagrams += 1;
        let hash = self.shared.seed.hash_one(datagram.key);
        let slot = match self.find(hash, &datagram.key) {
            Some(slot) => slot,
            None => self.open(datagram.key, hash, None, now, receiver),
        };
        self.heard(slot, true);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        if datagram.cut > 0 {
            let loss = super::Loss {
                reason: LossReason::Truncated,
                bytes: u64::from(datagram.cut),
                frame: now.frame,
            };
            receiver.lost(&flow.key, &mut flow.state, datagram.sender, loss, now);
        }
        receiver.datagram(&flow.key, &mut flow.state, datagram.sender, datagram.payload, datagram.cut, now);
    }

    /// Lets capture time go on to `now`: what was waited for too long is given up, silent flows are closed.
    #[inline]
    pub fn advance(&mut self, now: Now, receiver: &mut R) {
        self.shared.tick = self.clock.advance(now.time);
        if !self.shared.tick.is_before(self.due) {
            self.expire(now, receiver);
        }
    }

    /// Closes every flow, the one silent for longest first.
    pub fn finish(&mut self, now: Now, receiver: &mut R) {
        while let Some(slot) = self.lasting.first().or_else(|| self.brief.first()) {
            self.close(slot, Close::Finished, now, receiver);
        }
    }

    #[inline]
    fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |&slot| self.flows.get(slot).is_some_and(|flow| flow.key == *key)).copied()
    }

    /// Of the flows with the ends of a segment, the one that it belongs to: that of its realm, or else the one whose sequence numbers it
    /// has; then it was seen in two places, or each direction has a realm of its own. `slot` is one of them. And one that is over, for a
    /// connection that was seen elsewhere first has taken its place.
    fn in_its_realm(&self, slot: u32, hash: u64, segment: &Segment<'_>) -> (Option<u32>, Option<u32>) {
        let is_own = |flow: &Flow<R::State>| flow.realm == segment.realm;
        if self.flows.get(slot).is_some_and(is_own) && self.slots(hash, &segment.key).nth(1).is_none() {
            return (Some(slot), None);
        }
        let is_syn = segment.flags.0 & (Flags::SYN | Flags::RST) == Flags::SYN;
        let is_reused = |flow: &Flow<R::State>| is_syn && flow.is_reused_by(segment, self.shared.tick);
        // The least number: in which order they lie depends on the secret of the index.
        let find = |is: &dyn Fn(&Flow<R::State>) -> bool| {
            self.slots(hash, &segment.key).filter(|slot| self.flows.get(*slot).is_some_and(is)).min()
        };
        let own = find(&is_own);
        let is_fitting = |flow: &Flow<R::State>| !is_reused(flow) && flow.carries(segment);
        if own.and_then(|slot| self.flows.get(slot)).is_some_and(is_fitting) {
            return (own, None);
        }
        // What fragments were put together to has lost its realm.
        match find(&is_fitting) {
            Some(other) => (Some(other), own.filter(|_| is_syn)),
            None => (own, None),
        }
    }

    /// The flows with these ends: more than one where networks use the same addresses.
    fn slots<'t>(&'t self, hash: u64, key: &'t FlowKey) -> impl Iterator<Item = u32> + 't {
        let is_it = |slot: &u32| self.flows.get(*slot).is_some_and(|flow| flow.key == *key);
        self.index.iter_hash(hash).copied().filter(is_it)
    }

    /// Whether a segment of no flow opens one.
    fn opens(&self, segment: &Segment<'_>) -> bool {
        if segment.flags.has(Flags::RST) {
            return false;
        }
        let is_syn = segment.flags.has(Flags::SYN);
        if !is_syn && segment.payload.is_empty() && segment.cut == 0 {
            return false;
        }
        let spread = segment.key.spread();
        let Some(closed) = self.closed.get(place_of(spread)) else { return true };
        let Some(at) = closed.at.filter(|_| closed.spread == spread) else { return true };
        let (start, next) = match segment.sender {
            Side::Low => closed.low,
            Side::High => closed.high,
        };
        let begin = Sequence(segment.sequence);
        let is_left_over = if is_syn {
            begin.plus(1) == start
        } else {
            begin.plus(segment.payload.len() as u32).plus(segment.cut).offset_from(next) <= 0
        };
        !is_left_over || self.shared.tick.since(at) >= LATE
    }

    fn open(&mut self, key: FlowKey, hash: u64, initiator: Option<Side>, now: Now, receiver: &mut R) -> u32 {
        while self.len() >= self.limits.flows.max(1) {
            let Some(slot) = self.most_dispensable() else { break };
            self.stats.evicted += 1;
            self.close(slot, Close::Evicted, now, receiver);
        }
        self.stats.opened += 1;
        let tick = self.shared.tick;
        let state = receiver.open(&key, initiator, now);
        let mut flow = Flow::new(key, state, initiator, tick);
        let is_brief = initiator.is_some();
        if is_brief {
            flow.marks |= Flow::<R::State>::BRIEF;
        }
        let slot = self.flows.insert(flow);
        let (flows, seed) = (&self.flows, &self.shared.seed);
        self.index
            .insert_unique(hash, slot, |&slot| flows.get(slot).map_or(0, |flow| seed.hash_one(flow.key)));
        let list = if is_brief { &mut self.brief } else { &mut self.lasting };
        list.push(&mut self.order, slot);
        self.remind(if is_brief { self.brief_idle } else { self.idle });
        slot
    }

    /// The flow to close where room is needed: the one silent for longest; but where a quarter of all flows are mere
    /// beginnings, the oldest of these.
    fn most_dispensable(&self) -> Option<u32> {
        let (Some(brief), Some(lasting)) = (self.brief.first(), self.lasting.first()) else {
            return self.brief.first().or_else(|| self.lasting.first());
        };
        if self.brief.len() >= self.len() / 4 {
            return Some(brief);
        }
        let silence = |slot| self.flows.get(slot).map(|flow| self.shared.tick.since(flow.last));
        Some(if silence(brief) >= silence(lasting) { brief } else { lasting })
    }

    /// The flow was heard of.
    #[inline]
    fn heard(&mut self, slot: u32, payload: bool) {
        let Some(flow) = self.flows.get_mut(slot) else { return };
        // Silence is measured in ticks: within one the order of the lists does not matter.
        if flow.last != self.shared.tick {
            flow.last = self.shared.tick;
            let list = if flow.has(Flow::<R::State>::BRIEF) { &mut self.brief } else { &mut self.lasting };
            list.renew(&mut self.order, slot);
        }
        self.sort(slot, payload);
    }

    /// Puts a flow into the list where it belongs.
    #[inline]
    fn sort(&mut self, slot: u32, payload: bool) {
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let was_brief = flow.has(Flow::<R::State>::BRIEF);
        let is_brief = flow.key.transport() == Transport::Tcp
            && ((was_brief && !payload && !flow.is_mutual()) || flow.is_over_one_way());
        if was_brief == is_brief {
            return;
        }
        flow.marks ^= Flow::<R::State>::BRIEF;
        let (from, to) = if is_brief {
            (&mut self.lasting, &mut self.brief)
        } else {
            (&mut self.brief, &mut self.lasting)
        };
        from.remove(&mut self.order, slot);
        to.push(&mut self.order, slot);
        self.remind(if is_brief { self.brief_idle } else { self.idle });
    }

    /// Acts upon what became of a flow.
    #[inline]
    fn went(&mut self, slot: u32, course: Course, now: Now, receiver: &mut R) {
        match course {
            Course::Over => self.close(slot, Close::Ended, now, receiver),
            Course::Clear => self.await_nothing(slot),
            Course::Waits => {
                let Some(flow) = self.flows.get_mut(slot) else { return };
                if !flow.has(Flow::<R::State>::WAITING) {
                    flow.marks |= Flow::<R::State>::WAITING;
                    flow.checked = self.shared.tick;
                    self.waiting.push(&mut self.waits, slot);
                    self.remind(GRACE.min(self.shared.hole));
                }
            }
        }
    }

    #[inline]
    fn await_nothing(&mut self, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot) else { return };
        if flow.has(Flow::<R::State>::WAITING) {
            flow.marks &= !Flow::<R::State>::WAITING;
            self.waiting.remove(&mut self.waits, slot);
        }
    }

    /// Gives up what the flows wait for that have waited longest, until the early bytes of all are within their limit.
    #[inline]
    fn make_room(&mut self, now: Now, receiver: &mut R) {
        while self.shared.held > self.limits.early_total {
            let Some(slot) = self.waiting.first() else { return };
            self.await_nothing(slot);
            let Some(flow) = self.flows.get_mut(slot) else { return };
            let course = flow.relieve(now, &mut self.shared, receiver);
            self.went(slot, course, now, receiver);
        }
    }

    /// Time may run out after `span` from now on.
    fn remind(&mut self, span: Ticks) {
        let at = self.shared.tick.after(span);
        if at.is_before(self.due) {
            self.due = at;
        }
    }

    #[cold]
    fn expire(&mut self, now: Now, receiver: &mut R) {
        let tick = self.shared.tick;
        let interval = GRACE.min(self.shared.hole);
        while let Some(slot) = self.waiting.first()
            && let Some(flow) = self.flows.get_mut(slot)
            && flow.checked != tick
            && tick.since(flow.checked) >= interval
        {
            flow.checked = tick;
            self.waiting.renew(&mut self.waits, slot);
            let course = flow.check(now, &mut self.shared, receiver);
            self.sort(slot, false);
            self.went(slot, course, now, receiver);
        }
        for (is_brief, limit) in [(true, self.brief_idle), (false, self.idle)] {
            while let Some(slot) = if is_brief { self.brief.first() } else { self.lasting.first() }
                && self.flows.get(slot).is_some_and(|flow| tick.since(flow.last) >= limit)
            {
                self.stats.idle += 1;
                self.close(slot, Close::Idle, now, receiver);
            }
        }
        self.due = tick.after(self.idle);
        let firsts = [
            (self.waiting.first().and_then(|slot| self.flows.get(slot)).map(|flow| flow.checked), interval),
            (self.brief.first().and_then(|slot| self.flows.get(slot)).map(|flow| flow.last), self.brief_idle),
            (self.lasting.first().and_then(|slot| self.flows.get(slot)).map(|flow| flow.last), self.idle),
        ];
        for (since, span) in firsts {
            if let Some(since) = since
                && since.after(span).is_before(self.due)
            {
                self.due = since.after(span);
            }
        }
    }

    fn close(&mut self, slot: u32, why: Close, now: Now, receiver: &mut R) {
        self.await_nothing(slot);
        let Some(mut flow) = self.flows.remove(slot) else { return };
        let list = if flow.has(Flow::<R::State>::BRIEF) { &mut self.brief } else { &mut self.lasting };
        list.remove(&mut self.order, slot);
        let hash = self.shared.seed.hash_one(flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        if flow.key.transport() == Transport::Tcp {
            flow.conclude(now, &mut self.shared, receiver);
            let spread = flow.key.spread();
            if let Some(closed) = self.closed.get_mut(place_of(spread)) {
                let (low, high) = (flow.half(Side::Low), flow.half(Side::High));
                let at = (low.has(Half::KNOWN) || high.has(Half::KNOWN)).then_some(self.shared.tick);
                // A FIN takes an octet.
                let next = |half: &Half| (half.start(), half.next().plus(u32::from(half.has(Half::FIN))));
                *closed = Closed { spread, at, low: next(low), high: next(high) };
            }
        }
        receiver.close(&flow.key, flow.state, why, now);
    }
}

/// Values in numbered slots; a slot is used again after its value was removed. Grows without moving what it holds.
#[derive(Debug)]
struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
}

const CHUNK_BITS: u32 = 8;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    fn place(slot: u32) -> (usize, usize) {
        ((slot >> CHUNK_BITS) as usize, (slot & ((1 << CHUNK_BITS) - 1)) as usize)
    }

    #[inline]
    fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, place) = Self::place(slot);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    #[inline]
    fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, place) = Self::place(slot);
        self.chunks.get_mut(chunk)?.get_mut(place)?.as_mut()
    }

    fn insert(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            let (chunk, place) = Self::place(slot);
            if let Some(entry) = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)) {
                *entry = Some(value);
                return slot;
            }
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= 1 << CHUNK_BITS) {
            self.chunks.push(Vec::with_capacity(1 << CHUNK_BITS));
        }
        let before = (self.chunks.len() - 1) << CHUNK_BITS;
        let Some(chunk) = self.chunks.last_mut() else { return u32::MAX };
        chunk.push(Some(value));
        (before + chunk.len() - 1) as u32
    }

    fn remove(&mut self, slot: u32) -> Option<T> {
        let (chunk, place) = Self::place(slot);
        let value = self.chunks.get_mut(chunk)?.get_mut(place)?.take()?;
        self.free.push(slot);
        Some(value)
    }
}
