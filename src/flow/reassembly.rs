//! One direction of a connection: segments in any order become ordered bytes.
//!
//! Bytes that come in order are handed on where they lie. Early ones are copied and wait in a map that exists only
//! while it is needed. Of any byte the first one received counts.
//!
//! **Conflicts.** Early bytes are compared with every later copy of them. Bytes handed on are gone, so a record stays:
//! a keyed 32-bit digest of each of the last nine runs of bytes handed on, and the last eight bytes. A retransmission is
//! compared run by run where it covers whole runs, and by those eight bytes where it reaches beyond what was known.
//! One that lies within a run, or goes back further, is dropped without comparison; so is a lone byte just before the
//! next (a keep-alive, RFC 9293 section 3.8.4, may carry garbage).
//!
//! The digest is made for each segment, so it is bounded: of a run of up to 192 bytes it takes every one, of a longer run the length and
//! twelve samples of 16 bytes, from its first to its last, evenly spread. A conflict that spares all samples is not seen;
//! in a run of 1448 bytes one of more than 116 bytes in a row always is. (Hashing everything would double the cost of a segment.)

mod hold;
mod record;

use std::collections::BTreeMap;

use ahash::RandomState;

use super::sequence::Sequence;
use super::timer::{Tick, Ticks};
use super::{Interest, Loss, LossReason, Now, Piece, Receiver};
use crate::model::digest::{self, Digest};
use crate::model::{FlowKey, Side, Timestamp};

/// What keeping a run of early bytes costs beside the bytes: counted against the limits, so that one-byte segments
/// cannot take more than they are allowed.
pub(super) const EARLY_COST: usize = 96;
/// The largest window that can be announced (RFC 7323 section 2.3): an ACK further ahead is no ACK of this stream.
const LARGEST_WINDOW: i32 = 1 << 30;
/// How far back no retransmission reaches: more than windows are in practice.
const LONGEST_BACK: u32 = 1 << 26;
/// How far before the first segment seen the stream may turn out to begin.
pub(super) const BEFORE_START: i32 = 1 << 16;
/// Runs remembered beside the newest.
const RUNS: usize = 8;
/// Bytes of a sample that goes into a digest.
const SAMPLE: usize = digest::BLOCK;
/// Samples of a run.
const SAMPLES: usize = 12;
/// The position of the first byte, so that earlier ones can be told.
const ORIGIN: u64 = 1 << 40;

/// What all directions of a table share.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Shared {
    /// The clock.
    pub(super) tick: Tick,
    /// How long a hole is waited for.
    pub(super) hole: Ticks,
    /// Secret of the index.
    pub(super) seed: RandomState,
    /// Secret of the digests.
    pub(super) secret: Secret,
    /// Bytes kept early in all.
    pub(super) held: usize,
    /// Bytes kept early for each direction, at most.
    pub(super) early_per_direction: usize,
}

/// The key of digests, drawn anew for each table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret([u64; 2]);

impl Secret {
    pub(super) fn new(seed: &RandomState) -> Self {
        Self([seed.hash_one(1_u8), seed.hash_one(2_u8)])
    }

    /// A digest of samples of a run.
    #[inline]
    fn digest(self, bytes: &[u8]) -> u32 {
        let mut digest = Digest::new(self.0, bytes.len());
        let Some(last) = bytes.last_chunk::<SAMPLE>() else {
            digest.add_all(bytes);
            return fold(digest.finish());
        };
        let before_last = bytes.len() - SAMPLE;
        let stride = SAMPLE.max(before_last / (SAMPLES - 1));
        let others = before_last.div_ceil(stride).min(SAMPLES - 1);
        let samples = bytes.chunks(stride).take(others).filter_map(|part| part.first_chunk());
        samples.chain([last]).for_each(|sample| digest.add(sample));
        fold(digest.finish())
    }
}

#[inline]
fn fold(digest: u64) -> u32 {
    (digest ^ digest >> 32) as u32
}

/// The way out of one flow to its receiver.
pub(super) struct Out<'a, R: Receiver> {
    pub(super) receiver: &'a mut R,
    pub(super) key: &'a FlowKey,
    pub(super) state: &'a mut R::State,
    pub(super) now: Now,
    /// Once it is [`Interest::Nothing`] nothing more goes out.
    pub(super) interest: Interest,
}

impl<R: Receiver> Out<'_, R> {
    #[inline]
    fn piece(&mut self, sender: Side, piece: Piece<'_>) {
        if self.interest == Interest::More {
            self.interest = self.receiver.piece(self.key, self.state, sender, piece, self.now);
        }
    }

    pub(super) fn lost(&mut self, sender: Side, reason: LossReason, bytes: u64) {
        if self.interest == Interest::More && bytes > 0 {
            let loss = Loss { reason, bytes, frame: self.now.frame };
            self.receiver.lost(self.key, self.state, sender, loss, self.now);
        }
    }

    fn gap(&mut self, sender: Side, reason: LossReason, bytes: u64) {
        self.lost(sender, reason, bytes);
        self.piece(sender, Piece::Gap(bytes));
    }
}

/// Payload as captured, and how much of it was cut off behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) cut: u32,
}

impl Span<'_> {
    /// Octets of sequence space.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).saturating_add(self.cut)
    }

    /// Without the first `count` octets.
    fn skip(self, count: u32) -> Self {
        match self.bytes.get(count as usize..) {
            Some(bytes) => Self { bytes, cut: self.cut },
            None => Self { bytes: &[], cut: self.len().saturating_sub(count) },
        }
    }

    /// The first `count` octets.
    fn take(self, count: u32) -> Self {
        match self.bytes.get(..count as usize) {
            Some(bytes) => Self { bytes, cut: 0 },
            None => {
                Self { bytes: self.bytes, cut: self.cut.min(count.saturating_sub(self.bytes.len() as u32)) }
            }
        }
    }

    /// How many octets both know of, and whether these are the same.
    fn agrees(self, other: Span<'_>) -> (usize, bool) {
        let known = self.bytes.len().min(other.bytes.len());
        (known, self.bytes.get(..known) == other.bytes.get(..known))
    }
}

/// What a segment brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// Where it begins.
    pub(super) start: Sequence,
    pub(super) span: Span<'a>,
    /// What it acknowledges of the other direction.
    pub(super) ack: Option<Sequence>,
}

/// What a direction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The beginning: no handshake was seen, the first segments may have come in any order.
    Start,
    /// The other direction, whose bytes this one has acknowledged already.
    Other,
    /// Bytes that the receiver has acknowledged.
    Acknowledged,
    /// Bytes.
    Hole,
    /// What lies before an RST.
    Reset,
}

/// What keeps early bytes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    /// The frame that carried them.
    pub(super) frame: u64,
    /// Bytes before them are missing.
    pub(super) is_behind_hole: bool,
    /// They acknowledge this, and the other direction lacks some of it.
    pub(super) lacking: Option<Sequence>,
}

/// Bytes that wait behind a hole.
#[derive(Debug)]
struct Early {
    bytes: Box<[u8]>,
    cut: u32,
    /// What it acknowledges of the other direction.
    ack: Option<Sequence>,
    frame: u64,
    time: Timestamp,
}

impl Early {
    fn span(&self) -> Span<'_> {
        Span { bytes: &self.bytes, cut: self.cut }
    }
}

/// A run of bytes handed on; length zero means none.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    hash: u32,
    len: u16,
}

/// What a direction needs only once it has had two runs, or something waits.
#[derive(Debug)]
struct Extra {
    /// Early bytes by position: they do not overlap.
    early: BTreeMap<u64, Early>,
    /// What they cost.
    held: usize,
    /// The position of `next`.
    at: u64,
    /// Runs before the newest, a ring.
    hashes: [u32; RUNS],
    lens: [u16; RUNS],
    newest: u8,
    wait: Option<Wait>,
    waited: u16,
    since: Tick,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// What comes next.
    next: Sequence,
    /// What came first.
    start: Sequence,
    /// The highest acknowledgment of the other end.
    acked: Sequence,
    /// Where it ends.
    fin: Sequence,
    /// The newest run.
    last_hash: u32,
    last_len: u16,
    marks: u16,
    /// Its last bytes, the end aligned.
    tail: [u8; 8],
    extra: Option<Box<Extra>>,
}

impl Half {
    /// A segment of it was captured.
    pub(super) const SEEN: u16 = 1;
    /// `next` and `start` hold.
    pub(super) const KNOWN: u16 = 1 << 1;
    /// Bytes wait for the start to be known; `next` is the first segment's.
    pub(super) const UNSETTLED: u16 = 1 << 2;
    /// Its SYN was captured or acknowledged.
    pub(super) const SYN: u16 = 1 << 3;
    /// `fin` holds.
    pub(super) const FIN: u16 = 1 << 4;
    /// `fin` is where an RST stood.
    pub(super) const RESET: u16 = 1 << 5;
    /// The end was handed on.
    pub(super) const ENDED: u16 = 1 << 6;
    /// `acked` holds.
    const ACKED: u16 = 1 << 7;
    /// Its bytes are acknowledged but not captured: nobody waits for them.
    const ABSENT: u16 = 1 << 8;
    /// Something is early.
    const EARLY: u16 = 1 << 9;

    #[inline]
    pub(super) fn has(&self, marks: u16) -> bool {
        self.marks & marks != 0
    }

    #[inline]
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    pub(super) fn start(&self) -> Sequence {
        self.start
    }

    #[inline]
    pub(super) fn seen(&mut self) {
        self.marks = (self.marks | Self::SEEN) & !Self::ABSENT;
    }

    pub(super) fn absent(&mut self) {
        self.marks |= Self::ABSENT;
    }

    /// The other end acknowledged everything before `ack`.
    #[inline]
    pub(super) fn acknowledge(&mut self, ack: Sequence) {
        if self.has(Self::KNOWN) && ack.offset_from(self.next) > LARGEST_WINDOW {
            return;
        }
        if !self.has(Self::ACKED) || ack.offset_from(self.acked) > 0 {
            self.acked = ack;
            self.marks |= Self::ACKED;
        }
    }

    /// Octets before `ack` that were not handed on yet. One alone may be a FIN that was not captured.
    #[inline]
    fn unseen(&self, ack: Sequence) -> u32 {
        if !self.has(Self::KNOWN) {
            return 0;
        }
        let ahead = ack.offset_from(self.next);
        let ahead = if self.has(Self::FIN) { ahead.min(self.fin.offset_from(self.next)) } else { ahead };
        if (1..=LARGEST_WINDOW).contains(&ahead) { ahead as u32 } else { 0 }
    }

    /// Whether what acknowledges `ack` has to wait for this direction. It has to while it is not known where this one
    /// begins.
    #[inline]
    pub(super) fn lacks(&self, ack: Sequence) -> bool {
        !self.has(Self::ABSENT) && (!self.has(Self::KNOWN) || self.unseen(ack) > 0)
    }

    /// Whether bytes of this direction are missing that the other end has acknowledged.
    #[inline]
    pub(super) fn blocks(&self) -> bool {
        self.marks & (Self::ACKED | Self::ABSENT) == Self::ACKED
            && match self.lowest() {
                Some(lowest) if self.has(Self::UNSETTLED) => self.acked.offset_from(lowest) > 0,
                _ => self.lacks(self.acked),
            }
    }

    /// Whether anything waits here, or an end was announced and not told: what the quick way must not pass by.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.has(Self::EARLY | Self::UNSETTLED | Self::RESET)
            || self.marks & (Self::FIN | Self::ENDED) == Self::FIN
    }

    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.has(Self::EARLY)
    }

    /// Takes a payload that is next, with the peer's permission: `false` where it is not next.
    /// Nothing may wait here ([`Self::is_busy`]).
    #[inline]
    pub(super) fn take_next(&mut self, start: Sequence, bytes: &[u8], secret: Secret) -> bool {
        if self.marks & (Self::KNOWN | Self::FIN) != Self::KNOWN
            || start != self.next
            || bytes.len() > LARGEST_WINDOW as usize
        {
            return false;
        }
        self.remember(bytes, secret);
        self.next = self.next.plus(bytes.len() as u32);
        true
    }

    /// The frame of the first early bytes.
    pub(super) fn first_frame(&self) -> Option<u64> {
        self.extra.as_ref()?.early.first_key_value().map(|(_, early)| early.frame)
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_with(|| {
            Box::new(Extra {
                early: BTreeMap::new(),
                held: 0,
                at: ORIGIN,
                hashes: [0; RUNS],
                lens: [0; RUNS],
                newest: 0,
                wait: None,
                waited: 0,
                since: Tick::default(),
            })
        })
    }

    /// Frees what is kept.
    pub(super) fn free(&mut self, shared: &mut Shared) {
        if let Some(extra) = self.extra.take() {
            shared.held = shared.held.saturating_sub(extra.held);
            self.marks &= !Self::EARLY;
        }
    }

    /// The stream begins at `start`, as a handshake says. What has been handed on stays so; what lies between is lost.
    pub(super) fn begin<R: Receiver>(&mut self, sender: Side, start: Sequence, out: &mut Out<'_, R>) {
        if self.has(Self::SYN) {
            return;
        }
        self.marks |= Self::SYN;
        if self.has(Self::KNOWN) {
            let before = self.start.offset_from(start);
            if before > 0 {
                out.lost(sender, LossReason::Gap, before as u64);
                self.start = start;
            }
            return;
        }
        if self.has(Self::UNSETTLED) {
            let offset = start.offset_from(self.next);
            let extra = self.extra();
            extra.at = extra.at.saturating_add_signed(i64::from(offset));
            // Bytes before the beginning belong to nothing.
            let at = extra.at;
            if extra.early.first_key_value().is_some_and(|(&first, _)| first < at) {
                return self.settle();
            }
        }
        self.next = start;
        self.start = start;
        self.marks = (self.marks | Self::KNOWN) & !Self::UNSETTLED;
    }

    /// Takes the first bytes seen as the beginning.
    pub(super) fn settle(&mut self) {
        if !self.has(Self::UNSETTLED) {
            return;
        }
        if let Some(extra) = &mut self.extra
            && let Some((&first, _)) = extra.early.first_key_value()
        {
            self.next = self.next.plus(first.wrapping_sub(extra.at) as u32);
            extra.at = first;
        }
        self.start = self.next;
        self.marks = (self.marks | Self::KNOWN) & !Self::UNSETTLED;
    }

    /// Where the first bytes seen begin, while the beginning is not settled.
    pub(super) fn lowest(&self) -> Option<Sequence> {
        let extra = self.extra.as_ref()?;
        let (&first, _) = extra.early.first_key_value()?;
        Some(self.next.plus(first.wrapping_sub(extra.at) as u32))
    }

    /// Takes a segment's payload. Where the other direction (`peer`) lacks what it acknowledges, it has to wait even if it
    /// is next.
    pub(super) fn accept<R: Receiver>(
        &mut self,
        sender: Side,
        arrival: Arrival<'_>,
        peer: &Self,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        let Arrival { start, span, ack } = arrival;
        if span.len() > LARGEST_WINDOW as u32 {
            return;
        }
        if !self.has(Self::KNOWN | Self::UNSETTLED) {
            self.next = start;
            self.marks |= Self::UNSETTLED;
        }
        let (mut start, mut span) = (start, span);
        if self.has(Self::FIN) {
            // Nothing lies behind the end.
            let left = u32::try_from(self.fin.offset_from(start)).unwrap_or(0);
            out.lost(sender, LossReason::OutOfWindow, u64::from(span.len().saturating_sub(left)));
            span = span.take(left);
        }
        let offset = start.offset_from(self.next);
        if self.has(Self::KNOWN) && offset < 0 {
            let known = offset.unsigned_abs();
            if known > LONGEST_BACK {
                out.lost(sender, LossReason::OutOfWindow, u64::from(span.len()));
            }
            self.compare(sender, known, span, shared, out);
            span = span.skip(known.min(span.len()));
            start = self.next;
        } else if offset < -BEFORE_START || self.has(Self::ENDED) {
            out.lost(sender, LossReason::OutOfWindow, u64::from(span.len()));
            return;
        }
        if span.len() == 0 {
            return;
        }
        let hold = ack.is_some_and(|ack| peer.lacks(ack));
        let cost = span.bytes.len().saturating_add(EARLY_COST);
        loop {
            let offset = start.offset_from(self.next);
            let settled = self.has(Self::KNOWN);
            if settled && offset <= 0 && !hold {
                return self.pass(sender, span.skip(offset.unsigned_abs()), shared, out);
            }
            let held = self.extra.as_ref().map_or(0, |extra| extra.held);
            if held.saturating_add(cost) <= shared.early_per_direction {
                return self.keep(sender, offset, span, ack, shared, out);
            }
            if held == 0 {
                // Not even this one may wait.
                self.settle();
                if offset > 0 {
                    self.give_up(sender, offset as u32, LossReason::BufferLimit, out);
                }
                let known = self.next.offset_from(start);
                return self.pass(sender, span.skip(u32::try_from(known).unwrap_or(0)), shared, out);
            }
            self.relieve(sender, peer, shared, out);
            let known = self.next.offset_from(start);
            if known > 0 && self.has(Self::KNOWN) {
                span = span.skip((known as u32).min(span.len()));
                start = self.next;
                if span.len() == 0 {
                    return;
                }
            }
        }
    }

    /// Hands on what is next, woven with the early bytes that it meets: those came first.
    #[inline]
    fn pass<R: Receiver>(&mut self, sender: Side, span: Span<'_>, shared: &mut Shared, out: &mut Out<'_, R>) {
        if self.holds() {
            self.weave(sender, span, shared, out)
        } else {
            self.hand_on(sender, span, shared, out)
        }
    }

    fn weave<R: Receiver>(
        &mut self,
        sender: Side,
        span: Span<'_>,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        let mut span = span;
        let mut conflicting = 0;
        while let Some(extra) = &mut self.extra
            && let Some(entry) = extra.early.first_entry()
            && *entry.key() < extra.at + u64::from(span.len())
        {
            let before = (*entry.key() - extra.at) as u32;
            if before > 0 {
                self.hand_on(sender, span.take(before), shared, out);
                span = span.skip(before);
                continue;
            }
            let early = entry.remove();
            let (known, same) = early.span().agrees(span);
            conflicting += if same { 0 } else { known };
            span = span.skip(early.span().len().min(span.len()));
            self.hand_on_early(sender, &early, shared, out);
        }
        out.lost(sender, LossReason::ConflictingRetransmission, conflicting as u64);
        if span.len() > 0 {
            self.hand_on(sender, span, shared, out);
        }
    }

    #[inline]
    fn hand_on<R: Receiver>(&mut self, sender: Side, span: Span<'_>, shared: &Shared, out: &mut Out<'_, R>) {
        let (frame, time) = (out.now.frame, out.now.time);
        self.emit(sender, span, frame, time, shared.secret, out);
    }

    fn hand_on_early<R: Receiver>(
        &mut self,
        sender: Side,
        early: &Early,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        let cost = early.bytes.len() + EARLY_COST;
        shared.held = shared.held.saturating_sub(cost);
        if let Some(extra) = &mut self.extra {
            extra.held = extra.held.saturating_sub(cost);
            if extra.early.is_empty() {
                self.marks &= !Self::EARLY;
            }
        }
        self.emit(sender, early.span(), early.frame, early.time, shared.secret, out);
    }

    #[inline]
    fn emit<R: Receiver>(
        &mut self,
        sender: Side,
        span: Span<'_>,
        frame: u64,
        time: Timestamp,
        secret: Secret,
        out: &mut Out<'_, R>,
    ) {
        if !span.bytes.is_empty() {
            self.remember(span.bytes, secret);
            out.piece(sender, Piece::Data { bytes: span.bytes, frame, time });
        }
        if span.cut > 0 {
            self.forget();
            out.gap(sender, LossReason::Truncated, u64::from(span.cut));
        }
        self.move_on(span.len());
    }

    #[inline]
    fn move_on(&mut self, count: u32) {
        self.next = self.next.plus(count);
        // Where nothing waits there is no position; the next early bytes set it anew.
        if self.is_busy()
            && let Some(extra) = &mut self.extra
        {
            extra.at = extra.at.saturating_add(u64::from(count));
            extra.wait = None;
        }
    }

    /// Declares the next `count` octets lost.
    fn give_up<R: Receiver>(&mut self, sender: Side, count: u32, reason: LossReason, out: &mut Out<'_, R>) {
        if count > 0 {
            out.gap(sender, reason, u64::from(count));
            self.forget();
            self.move_on(count);
        }
    }

    /// The stream ends at `fin`, by FIN or by RST. The first FIN holds.
    pub(super) fn finish_at(&mut self, fin: Sequence, reset: bool) {
        if reset {
            self.marks |= Self::RESET;
        }
        if self.has(Self::FIN) {
            return;
        }
        if !self.has(Self::KNOWN | Self::UNSETTLED) {
            self.next = fin;
            self.marks |= Self::UNSETTLED;
        }
        self.fin = fin;
        self.marks |= Self::FIN;
        if self.has(Self::KNOWN) && fin.offset_from(self.next) < 0 {
            self.fin = self.next;
        }
    }

    /// Whether everything before its end was handed on.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.has(Self::FIN) && self.has(Self::KNOWN) && self.next.offset_from(self.fin) >= 0 && !self.holds()
    }

    /// Hands on the end, once.
    pub(super) fn end<R: Receiver>(&mut self, sender: Side, out: &mut Out<'_, R>) {
        if !self.has(Self::ENDED) {
            self.marks |= Self::ENDED;
            out.piece(sender, Piece::End);
        }
    }

    /// Gives up what is missing before the end, and hands on the end. Nothing is early any more.
    pub(super) fn conclude<R: Receiver>(&mut self, sender: Side, out: &mut Out<'_, R>) {
        if self.has(Self::ENDED) {
            return;
        }
        self.give_up_hole(sender, LossReason::Gap, out);
        if !self.has(Self::FIN) && self.has(Self::ACKED) {
            self.give_up_before(sender, self.acked, out);
        }
        self.end(sender, out);
    }

    /// What it waits for now, and whether that has lasted long enough: `segments` and `grace` for what can only be
    /// disorder of the capture, else [`Shared::hole`]. `another` counts a segment of the flow.
    pub(super) fn waits(
        &mut self,
        another: bool,
        segments: u16,
        grace: Ticks,
        shared: &Shared,
    ) -> Option<(Wait, bool)> {
        let wait = self.wanted();
        if wait.is_none() {
            if let Some(extra) = &mut self.extra {
                extra.wait = None;
            }
            return None;
        }
        let extra = self.extra();
        if extra.wait != wait {
            extra.wait = wait;
            extra.since = shared.tick;
            extra.waited = 0;
        } else if another {
            extra.waited = extra.waited.saturating_add(1);
        }
        let lasted = shared.tick.since(extra.since);
        wait.map(|wait| {
            let over = match wait {
                Wait::Hole => lasted >= shared.hole,
                _ => lasted >= grace.min(shared.hole) || extra.waited >= segments,
            };
            (wait, over)
        })
    }

    fn wanted(&self) -> Option<Wait> {
        if self.has(Self::RESET) {
            return Some(Wait::Reset);
        }
        if self.has(Self::ENDED) {
            return None;
        }
        if self.has(Self::UNSETTLED) {
            return Some(Wait::Start);
        }
        let missing = match &self.extra {
            Some(extra) if !extra.early.is_empty() => {
                let (&first, _) = extra.early.first_key_value()?;
                i32::try_from(first.saturating_sub(extra.at)).unwrap_or(i32::MAX)
            }
            _ if self.has(Self::FIN) => self.fin.offset_from(self.next),
            _ => return None,
        };
        Some(if missing <= 0 {
            Wait::Other
        } else if self.has(Self::ACKED) && self.acked.offset_from(self.next) >= missing {
            Wait::Acknowledged
        } else {
            Wait::Hole
        })
    }

    /// Goes on without looking: nobody wants the bytes.
    pub(super) fn follow(&mut self, end: Sequence) {
        if !self.has(Self::KNOWN) {
            self.marks = (self.marks | Self::KNOWN) & !Self::UNSETTLED;
            self.next = end;
            self.start = end;
        } else if end.offset_from(self.next) > 0 {
            self.next = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_runs_apart() {
        let secret = Secret([3, 5]);
        for len in (0..=SAMPLE * SAMPLES).chain([200, 1448, 65_535]) {
            let run: Vec<u8> = (0..len).map(|place| place as u8).collect();
            let digest = secret.digest(&run);
            assert_eq!(digest, secret.digest(&run));
            assert_ne!(digest, Secret([3, 7]).digest(&run), "{len}");
            // The longest stretch that no sample reaches.
            let stretch =
                if len <= SAMPLE * SAMPLES { 1 } else { (len - SAMPLE) / (SAMPLES - 1) - SAMPLE + SAMPLES };
            for from in (0..(len + 1).saturating_sub(stretch)).step_by(1 + len / 300) {
                let mut other = run.clone();
                other[from..from + stretch].iter_mut().for_each(|byte| *byte ^= 0x40);
                assert_ne!(digest, secret.digest(&other), "{len} {from}");
            }
            let mut longer = run.clone();
            longer.push(0);
            assert_ne!(digest, secret.digest(&longer), "{len}");
        }
    }
}
