//! Both directions of a flow: what SYN, ACK, FIN and RST mean for those who only listen.
//!
//! **What is waited for.** Frames of a capture may be somewhat out of order, within a direction and between the two.
//! So three things are waited for, [`GRACE_SEGMENTS`] further segments of the flow or [`GRACE`] of capture time, whichever
//! is first: the beginning of a direction that was picked up without a handshake; bytes of a direction that the other one has
//! acknowledged already (what acknowledges them waits with them, so that an answer does not overtake its question);
//! what lies before an RST. A hole that nobody acknowledged is waited for longer: `Limits::hole`.
//! Of a direction that nothing was captured of in that time nothing is waited for, until a segment of it comes.
//!
//! **In turns.** What waited is handed on segment by segment: first what the other end acknowledged, then what acknowledges it,
//! else by frame; also at the end, where holes are given up one at a time. Never one direction to its end before the other.

use std::time::Duration;

use super::reassembly::{Arrival, BEFORE_START, Half, Out, Shared, Span, Wait};
use super::sequence::Sequence;
use super::timer::{Tick, Ticks};
use super::{Interest, LossReason, Piece, Receiver};
use crate::model::segment::{Flags, Segment};
use crate::model::{FlowKey, Side};

/// Further segments of a flow for which disorder of the capture is waited out.
pub(super) const GRACE_SEGMENTS: u16 = 16;
/// Capture time for which it is waited out.
pub(super) const GRACE: Ticks = Ticks::new(Duration::from_millis(250));
/// Steps taken at once where waiting is over.
const ROUNDS: u32 = 8;
/// A flow silent for this long may be followed by another one of the same ports.
const QUIET: Ticks = Ticks::new(Duration::from_secs(10));
/// What is seen twice is seen the second time while so many bytes more have come.
const NEAR: i32 = 1 << 24;
/// A SYN this little ahead, on a flow that lives, is no new connection (RFC 5961 section 4).
const SYN_WINDOW: i32 = 1 << 16;
/// An RST is believed from this far before what comes next …
const RST_BEFORE: i32 = 1 << 16;
/// … to this far behind it (RFC 9293 section 3.5.3 asks for the window, which is not kept).
const RST_BEHIND: i32 = 1 << 20;

/// One flow of the table.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) state: S,
    low: Half,
    high: Half,
    pub(super) key: FlowKey,
    pub(super) marks: u8,
    /// The network that the first segment was of.
    pub(super) realm: u16,
    /// When it was last heard of.
    pub(super) last: Tick,
    /// When it was last looked at for what it waits for.
    pub(super) checked: Tick,
}

impl<S> Flow<S> {
    /// The receiver wants nothing more of it.
    pub(super) const MUTED: u8 = 1;
    /// In the list of those that are heard of once and no more.
    pub(super) const BRIEF: u8 = 1 << 1;
    /// In the list of those that wait.
    pub(super) const WAITING: u8 = 1 << 2;
    /// Who began it is known.
    const BEGUN: u8 = 1 << 3;
    /// It was the high side.
    const BY_HIGH: u8 = 1 << 4;

    pub(super) fn new(key: FlowKey, state: S, initiator: Option<Side>, tick: Tick) -> Self {
        let mut flow = Self {
            state,
            low: Half::default(),
            high: Half::default(),
            key,
            marks: 0,
            realm: 0,
            last: tick,
            checked: tick,
        };
        flow.begun_by(initiator);
        flow
    }

    #[inline]
    pub(super) fn has(&self, marks: u8) -> bool {
        self.marks & marks != 0
    }

    pub(super) fn half(&self, side: Side) -> &Half {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    /// Whether both ends were heard of.
    #[inline]
    pub(super) fn is_mutual(&self) -> bool {
        self.low.has(Half::SEEN) && self.high.has(Half::SEEN)
    }

    /// Whether it has ended as far as it can be seen: one end is over, of the other nothing was ever captured.
    #[inline]
    pub(super) fn is_over_one_way(&self) -> bool {
        !self.is_mutual() && (self.low.has(Half::ENDED) || self.high.has(Half::ENDED))
    }

    fn begun_by(&mut self, initiator: Option<Side>) {
        match initiator {
            Some(Side::Low) => self.marks |= Self::BEGUN,
            Some(Side::High) => self.marks |= Self::BEGUN | Self::BY_HIGH,
            None => (),
        }
    }

    fn initiator(&self) -> Side {
        if self.has(Self::BY_HIGH) { Side::High } else { Side::Low }
    }

    /// Whether a segment seen in another network has this flow's sequence numbers, so that it is the same seen twice, or its other
    /// direction. Those of two connections agree by chance once in thousands.
    pub(super) fn carries(&self, segment: &Segment<'_>) -> bool {
        let (own, peer) = (self.half(segment.sender), self.half(segment.sender.other()));
        let near = |half: &Half, at: Sequence| {
            let known = if half.has(Half::KNOWN) { Some(half.next()) } else { half.lowest() };
            known.map(|known| (-NEAR..=NEAR).contains(&at.offset_from(known)))
        };
        let start = Sequence(segment.sequence);
        let sent = if segment.flags.has(Flags::SYN) {
            let begin = start.plus(1);
            if own.has(Half::KNOWN) { Some(own.start() == begin) } else { near(own, begin) }
        } else {
            near(own, start)
        };
        let answered =
            segment.flags.has(Flags::ACK).then(|| near(peer, Sequence(segment.acknowledgment))).flatten();
        sent != Some(false) && answered != Some(false) && (sent.is_some() || answered.is_some())
    }

    /// Whether a SYN begins another connection of the same ends.
    pub(super) fn is_reused_by(&self, segment: &Segment<'_>, tick: Tick) -> bool {
        let (own, peer) = (self.half(segment.sender), self.half(segment.sender.other()));
        let begin = Sequence(segment.sequence).plus(1);
        if own.has(Half::UNSETTLED) {
            let lowest = own.lowest().unwrap_or(own.next());
            return !(0..=BEFORE_START).contains(&lowest.offset_from(begin));
        }
        if !own.has(Half::KNOWN) || own.start() == begin {
            return false;
        }
        if !own.has(Half::SYN) && (0..=BEFORE_START).contains(&own.start().offset_from(begin)) {
            return false;
        }
        let is_over = own.has(Half::FIN) || peer.has(Half::FIN);
        is_over
            || !self.is_mutual()
            || tick.since(self.last) >= QUIET
            || !(0..SYN_WINDOW).contains(&begin.offset_from(own.next()))
    }

    /// Who sends a SYN begins, who sends SYN and ACK was asked.
    pub(super) fn initiator_of(segment: &Segment<'_>) -> Option<Side> {
        let side = segment.sender;
        segment.flags.has(Flags::SYN).then(|| if segment.flags.has(Flags::ACK) { side.other() } else { side })
    }
}

/// Whether a flow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing is waited for.
    Clear,
    /// It has to be looked at again.
    Waits,
    /// It is over.
    Over,
}

/// What goes on in both directions, with the way out.
struct Pair<'a, 'b, R: Receiver> {
    low: &'a mut Half,
    high: &'a mut Half,
    shared: &'a mut Shared,
    out: Out<'b, R>,
}

impl<R: Receiver> Pair<'_, '_, R> {
    #[inline]
    fn halves(&mut self, side: Side) -> (&mut Half, &mut Half, &mut Shared) {
        match side {
            Side::Low => (self.low, self.high, self.shared),
            Side::High => (self.high, self.low, self.shared),
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        self.halves(side).0
    }

    #[inline]
    fn segment(&mut self, segment: &Segment<'_>) -> Course {
        let (sender, flags) = (segment.sender, segment.flags);
        let (own, peer, shared) = match sender {
            Side::Low => (&mut *self.low, &mut *self.high, &mut *self.shared),
            Side::High => (&mut *self.high, &mut *self.low, &mut *self.shared),
        };
        own.seen();
        if flags.0 & (Flags::ACK | Flags::RST) == Flags::ACK {
            peer.acknowledge(Sequence(segment.acknowledgment));
        }
        let mut start = Sequence(segment.sequence);
        if flags.has(Flags::SYN | Flags::RST) {
            if flags.has(Flags::RST) {
                return self.reset(segment);
            }
            start = start.plus(1);
            own.begin(sender, start, &mut self.out);
            if flags.has(Flags::ACK) && !peer.has(Half::KNOWN) {
                peer.begin(sender.other(), Sequence(segment.acknowledgment), &mut self.out);
            }
        }
        let span = Span { bytes: segment.payload, cut: segment.cut };
        if span.len() > 0 {
            let ack = flags.has(Flags::ACK).then_some(Sequence(segment.acknowledgment));
            own.accept(sender, Arrival { start, span, ack }, peer, shared, &mut self.out);
        }
        if flags.has(Flags::FIN) {
            own.finish_at(start.plus(span.len()), false);
        }
        if own.is_busy() || peer.is_busy() { self.settle(true) } else { Course::Clear }
    }

    fn reset(&mut self, segment: &Segment<'_>) -> Course {
        let ack = segment.flags.has(Flags::ACK).then_some(Sequence(segment.acknowledgment));
        let near = -RST_BEFORE..=RST_BEHIND;
        let at = Sequence(segment.sequence);
        let (own, peer, _) = self.halves(segment.sender);
        let fits = if own.has(Half::KNOWN) {
            near.contains(&at.offset_from(own.next()))
        } else {
            // The answer to a SYN has no sequence number of its own: what it acknowledges must fit.
            ack.is_none_or(|ack| !peer.has(Half::KNOWN) || near.contains(&ack.offset_from(peer.next())))
        };
        if fits {
            if let Some(ack) = ack {
                peer.acknowledge(ack);
            }
            let is_new = !own.has(Half::KNOWN | Half::UNSETTLED);
            let is_due = own.has(Half::KNOWN) && at.offset_from(own.next()) <= 0 && !own.is_busy();
            if (is_new || is_due) && !peer.blocks() && !peer.is_busy() {
                return Course::Over;
            }
            own.finish_at(at, true);
        }
        self.settle(true)
    }

    /// Hands on what can be, gives up what was waited for long enough.
    fn settle(&mut self, another: bool) -> Course {
        let mut another = another;
        // What is waited for begins anew with each step, so a few steps are all there can be.
        for _ in 0..ROUNDS {
            self.flow_on();
            if self.out.interest == Interest::Nothing {
                return Course::Clear;
            }
            if self.is_over() {
                return Course::Over;
            }
            let mut waits = false;
            let mut moved = false;
            for side in self.order() {
                let (own, peer, shared) = self.halves(side);
                match own.waits(another, GRACE_SEGMENTS, GRACE, shared) {
                    None => (),
                    Some((_, false)) => waits = true,
                    Some((wait, true)) => {
                        moved = true;
                        match wait {
                            Wait::Reset => return Course::Over,
                            Wait::Start => {
                                own.settle();
                                if !peer.has(Half::SEEN) {
                                    peer.absent();
                                }
                            }
                            Wait::Other => peer.absent(),
                            Wait::Acknowledged | Wait::Hole => self.give_up_hole(side, LossReason::Gap),
                        }
                        break;
                    }
                }
            }
            if !moved {
                return if waits { Course::Waits } else { Course::Clear };
            }
            another = false;
        }
        Course::Waits
    }

    /// Low and High, that one first whose early bytes were captured first.
    fn order(&self) -> [Side; 2] {
        let frame = |half: &Half| half.first_frame().unwrap_or(u64::MAX);
        if frame(self.high) < frame(self.low) { [Side::High, Side::Low] } else { [Side::Low, Side::High] }
    }

    /// Hands on what is next in both directions, in turns: what acknowledges something after it, else by capture.
    fn flow_on(&mut self) {
        loop {
            // The end of the one is told before what the other sent upon it.
            self.end(Side::Low);
            self.end(Side::High);
            let side = match (self.low.ready(self.high), self.high.ready(self.low)) {
                (None, None) => return,
                (Some(low), Some(high)) if high < low => Side::High,
                (None, _) => Side::High,
                _ => Side::Low,
            };
            self.pass_first(side);
        }
    }

    fn give_up_hole(&mut self, side: Side, reason: LossReason) {
        let own = match side {
            Side::Low => &mut *self.low,
            Side::High => &mut *self.high,
        };
        own.give_up_hole(side, reason, &mut self.out);
    }

    fn pass_first(&mut self, side: Side) {
        let (own, shared) = match side {
            Side::Low => (&mut *self.low, &mut *self.shared),
            Side::High => (&mut *self.high, &mut *self.shared),
        };
        own.pass_first(side, shared, &mut self.out);
    }

    /// Declares lost what `side` sent before `ack`, where nothing that it sent is early. Says whether that was so.
    fn give_up_before(&mut self, side: Side, ack: Sequence) -> bool {
        let own = match side {
            Side::Low => &mut *self.low,
            Side::High => &mut *self.high,
        };
        !own.holds() && own.give_up_before(side, ack, &mut self.out)
    }

    /// Hands on all that is early, in turns, and gives up what is missing in between: because the flow is over (`is_last`),
    /// or to make room.
    fn flush(&mut self, is_last: bool) {
        let reason = if is_last { LossReason::Gap } else { LossReason::BufferLimit };
        self.low.settle();
        self.high.settle();
        loop {
            self.flow_on();
            let low = self.low.held_back(self.high).map(|held| (held, Side::Low));
            let high = self.high.held_back(self.low).map(|held| (held, Side::High));
            // A hole before what lacks nothing comes first; where each waits for the other, what was captured first.
            let first = low
                .into_iter()
                .chain(high)
                .min_by_key(|(held, _)| (!held.is_behind_hole, held.lacking.is_some(), held.frame));
            let Some((held, side)) = first else { return };
            if held.is_behind_hole {
                self.give_up_hole(side, reason);
            } else if !held.lacking.is_some_and(|ack| is_last && self.give_up_before(side.other(), ack)) {
                self.pass_first(side);
            }
        }
    }

    fn end(&mut self, side: Side) {
        let (own, peer) = match side {
            Side::Low => (&mut *self.low, &*self.high),
            Side::High => (&mut *self.high, &*self.low),
        };
        if own.is_at_end() && !own.has(Half::RESET) && !peer.blocks() {
            own.end(side, &mut self.out);
        }
    }

    fn is_over(&self) -> bool {
        let reset = |own: &Half, peer: &Half| {
            own.has(Half::RESET) && own.is_at_end() && !peer.blocks() && !peer.holds()
        };
        (self.low.has(Half::ENDED) && self.high.has(Half::ENDED))
            || reset(self.low, self.high)
            || reset(self.high, self.low)
    }

    /// Follows a flow of which nothing is wanted to its end.
    fn follow(&mut self, segment: &Segment<'_>) -> Course {
        let flags = segment.flags;
        let start = Sequence(segment.sequence).plus(u32::from(flags.has(Flags::SYN)));
        let end = start.plus(Span { bytes: segment.payload, cut: segment.cut }.len());
        let own = self.half(segment.sender);
        if flags.has(Flags::RST) {
            let near = (-RST_BEFORE..=RST_BEHIND).contains(&start.offset_from(own.next()));
            return if near || !own.has(Half::KNOWN) { Course::Over } else { Course::Clear };
        }
        own.follow(end);
        if flags.has(Flags::FIN) {
            own.finish_at(end, false);
        }
        if self.low.has(Half::FIN) && self.high.has(Half::FIN) { Course::Over } else { Course::Clear }
    }

    fn conclude(&mut self) {
        if self.low.is_busy() || self.high.is_busy() {
            self.flush(true);
        }
        self.low.conclude(Side::Low, &mut self.out);
        self.high.conclude(Side::High, &mut self.out);
        self.low.free(self.shared);
        self.high.free(self.shared);
    }
}

impl<S> Flow<S> {
    #[inline]
    fn with<R: Receiver<State = S>, T>(
        &mut self,
        shared: &mut Shared,
        receiver: &mut R,
        now: super::Now,
        work: impl FnOnce(&mut Pair<'_, '_, R>) -> T,
    ) -> T {
        let interest = if self.has(Self::MUTED) { Interest::Nothing } else { Interest::More };
        let out = Out { receiver, key: &self.key, state: &mut self.state, now, interest };
        let mut pair = Pair { low: &mut self.low, high: &mut self.high, shared, out };
        let result = work(&mut pair);
        if pair.out.interest == Interest::Nothing && interest == Interest::More {
            self.mute(shared);
        }
        result
    }

    /// Takes a segment of the ordinary kind, and says whether it was one: both directions are known and wait for nothing,
    /// the segment carries what is next or nothing, and no bit that begins or ends anything.
    #[inline]
    pub(super) fn take_ordinary<R: Receiver<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        now: super::Now,
        shared: &mut Shared,
        receiver: &mut R,
    ) -> bool {
        const BITS: u8 = Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK;
        if self.has(Self::MUTED | Self::WAITING) || segment.flags.0 & BITS != Flags::ACK || segment.cut > 0 {
            return false;
        }
        let (own, peer) = match segment.sender {
            Side::Low => (&mut self.low, &mut self.high),
            Side::High => (&mut self.high, &mut self.low),
        };
        let ack = Sequence(segment.acknowledgment);
        if own.is_busy() || peer.is_busy() {
            return false;
        }
        let bytes = segment.payload;
        if !bytes.is_empty()
            && (peer.lacks(ack) || !own.take_next(Sequence(segment.sequence), bytes, shared.secret))
        {
            return false;
        }
        own.seen();
        peer.acknowledge(ack);
        if !bytes.is_empty() {
            let piece = Piece::Data { bytes, frame: now.frame, time: now.time };
            if receiver.piece(&self.key, &mut self.state, segment.sender, piece, now) == Interest::Nothing {
                self.mute(shared);
            }
        }
        true
    }

    #[cold]
    fn mute(&mut self, shared: &mut Shared) {
        self.marks |= Self::MUTED;
        self.low.free(shared);
        self.high.free(shared);
    }

    /// Takes a segment of any kind.
    pub(super) fn segment<R: Receiver<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        now: super::Now,
        shared: &mut Shared,
        receiver: &mut R,
    ) -> Course {
        if self.has(Self::MUTED) {
            return self.with(shared, receiver, now, |pair| pair.follow(segment));
        }
        if segment.flags.has(Flags::SYN) && !self.has(Self::BEGUN) {
            let initiator = Self::initiator_of(segment);
            self.begun_by(initiator);
            let initiator = self.initiator();
            receiver.initiator(&self.key, &mut self.state, initiator);
        }
        self.with(shared, receiver, now, |pair| pair.segment(segment))
    }

    /// Looks whether what it waits for was waited for long enough.
    pub(super) fn check<R: Receiver<State = S>>(
        &mut self,
        now: super::Now,
        shared: &mut Shared,
        receiver: &mut R,
    ) -> Course {
        self.with(shared, receiver, now, |pair| pair.settle(false))
    }

    /// Gives up everything it waits for, to make room.
    pub(super) fn relieve<R: Receiver<State = S>>(
        &mut self,
        now: super::Now,
        shared: &mut Shared,
        receiver: &mut R,
    ) -> Course {
        self.with(shared, receiver, now, |pair| {
            pair.flush(false);
            pair.settle(false)
        })
    }

    /// Hands on all that is left, and both ends.
    pub(super) fn conclude<R: Receiver<State = S>>(
        &mut self,
        now: super::Now,
        shared: &mut Shared,
        receiver: &mut R,
    ) {
        self.with(shared, receiver, now, |pair| pair.conclude());
    }
}
