//! Early bytes of one direction: kept in their order, handed on when their turn comes, given up behind a hole.

use super::*;

impl Half {
    /// Keeps what is early, without what is kept already.
    pub(in crate::flow) fn keep<R: Receiver>(
        &mut self,
        sender: Side,
        offset: i32,
        span: Span<'_>,
        ack: Option<Sequence>,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        let (frame, time) = (out.now.frame, out.now.time);
        let is_first = !self.holds();
        self.marks |= Self::EARLY;
        let extra = self.extra();
        if is_first {
            extra.at = ORIGIN;
            extra.wait = None;
        }
        let mut position = extra.at.saturating_add_signed(i64::from(offset));
        let mut span = span;
        let mut conflicting = 0;
        while span.len() > 0 {
            let end = position + u64::from(span.len());
            let met = extra
                .early
                .range(..=position)
                .next_back()
                .filter(|(start, early)| *start + u64::from(early.span().len()) > position)
                .or_else(|| extra.early.range(position..end).next());
            let free = match met {
                Some((&start, early)) if start <= position => {
                    let rest = early.span().skip((position - start) as u32);
                    let (known, same) = rest.agrees(span);
                    conflicting += if same { 0 } else { known };
                    let passed = rest.len().min(span.len());
                    span = span.skip(passed);
                    position += u64::from(passed);
                    continue;
                }
                Some((&start, _)) => (start - position) as u32,
                None => span.len(),
            };
            let part = span.take(free);
            let cost = part.bytes.len() + EARLY_COST;
            extra.held += cost;
            shared.held += cost;
            extra.early.insert(position, Early { bytes: part.bytes.into(), cut: part.cut, ack, frame, time });
            span = span.skip(free);
            position += u64::from(free);
        }
        out.lost(sender, LossReason::ConflictingRetransmission, conflicting as u64);
    }

    /// The frame of the first early bytes, where these are next and `peer` does not lack what they acknowledge.
    pub(in crate::flow) fn ready(&self, peer: &Self) -> Option<u64> {
        if self.has(Self::ENDED | Self::UNSETTLED) {
            return None;
        }
        let extra = self.extra.as_ref()?;
        let (first, early) = extra.early.first_key_value()?;
        let may = *first <= extra.at && early.ack.is_none_or(|ack| !peer.lacks(ack));
        may.then_some(early.frame)
    }

    /// What keeps the first early bytes back: their frame, the hole before them, what `peer` lacks of what they acknowledge.
    pub(in crate::flow) fn held_back(&self, peer: &Self) -> Option<HeldBack> {
        let extra = self.extra.as_ref()?;
        let (first, early) = extra.early.first_key_value()?;
        Some(HeldBack {
            frame: early.frame,
            is_behind_hole: *first > extra.at,
            lacking: early.ack.filter(|ack| peer.lacks(*ack)),
        })
    }

    /// Hands on the first early bytes, which must be next.
    pub(in crate::flow) fn pass_first<R: Receiver>(
        &mut self,
        sender: Side,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        if let Some(extra) = &mut self.extra
            && let Some((_, early)) = extra.early.pop_first()
        {
            self.hand_on_early(sender, &early, shared, out);
        }
    }

    /// Declares lost what is missing before the first early bytes, else before the FIN.
    pub(in crate::flow) fn give_up_hole<R: Receiver>(
        &mut self,
        sender: Side,
        reason: LossReason,
        out: &mut Out<'_, R>,
    ) {
        self.settle();
        let first = self.extra.as_ref().and_then(|extra| Some((extra.early.first_key_value()?.0, extra.at)));
        let hole = match first {
            Some((first, at)) => u32::try_from(first.saturating_sub(at)).unwrap_or(u32::MAX),
            None if self.marks & (Self::FIN | Self::RESET) == Self::FIN => {
                u32::try_from(self.fin.offset_from(self.next)).unwrap_or(0)
            }
            None => 0,
        };
        self.give_up(sender, hole, reason, out);
    }

    /// Declares lost what the other end says it has received before `ack`, where that is more than a FIN.
    /// Of a direction that was never captured nothing is lost.
    pub(in crate::flow) fn give_up_before<R: Receiver>(
        &mut self,
        sender: Side,
        ack: Sequence,
        out: &mut Out<'_, R>,
    ) -> bool {
        let unseen = if self.has(Self::ENDED) || !self.has(Self::SEEN) { 0 } else { self.unseen(ack) };
        if unseen > 1 {
            self.give_up(sender, unseen, LossReason::Gap, out);
        }
        unseen > 1
    }

    /// Makes room for further early bytes: the first ones go.
    pub(in crate::flow) fn relieve<R: Receiver>(
        &mut self,
        sender: Side,
        peer: &Self,
        shared: &mut Shared,
        out: &mut Out<'_, R>,
    ) {
        self.give_up_hole(sender, LossReason::BufferLimit, out);
        self.pass_first(sender, shared, out);
        while self.ready(peer).is_some() {
            self.pass_first(sender, shared, out);
        }
    }
}
