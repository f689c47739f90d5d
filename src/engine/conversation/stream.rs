//! Ordered bytes of one flow to its parser: recognised first, kept where the parser needs more, handed over where it says so.

use crate::flow::Now;
use crate::model::{Direction, FlowKey, Side};
use crate::protocol::{self, Output, Progress, Protocol, Recognised};

use super::super::Workshop;
use super::super::marks::{Carrier, Marks};
use super::super::tap::Tap;
use super::{CONVERSATIONS, Conversation, KEPT, Kept, Known, NOTHING, PROBES};

/// A parser that knows nothing is made again for each segment as long as no more bytes than these wait for it.
const LITTLE: usize = 2 << 10;

/// What becomes of a flow.
pub(super) enum Verdict {
    Go,
    /// It is of a protocol that is not looked into.
    Leave(&'static Protocol),
}

/// Bytes at hand, and who carried which of them.
pub(super) struct Shown<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) marks: Marks,
    carrier: Carrier,
    now: Now,
    /// Of bytes that lie in what the half keeps: where in it they begin.
    pub(super) lent: Option<usize>,
}

impl<'a> Shown<'a> {
    /// Bytes of one frame, where they lie.
    fn of_one(bytes: &'a [u8], carrier: Carrier, now: Now) -> Self {
        let mut marks = Marks::default();
        marks.push(0, carrier);
        Self { bytes, marks, carrier, now, lent: None }
    }

    /// What is left behind the first `count` bytes.
    fn behind(mut self, count: usize) -> Self {
        self.marks.discard(count);
        self.lent = self.lent.map(|from| from + count);
        Self { bytes: self.bytes.get(count..).unwrap_or_default(), ..self }
    }
}

impl Conversation {
    /// A parser that knows nothing yet goes, as long as little is kept: what is kept is shown to a new one.
    fn rest(&mut self, kept: usize) {
        if kept <= LITTLE
            && matches!(self.known, Known::Parsed)
            && self.parser.as_ref().is_some_and(|parser| parser.is_fresh())
            && protocol::named(self.protocol).is_some()
        {
            self.parser = None;
            self.known = Known::Dormant;
        }
    }

    fn wake(&mut self) {
        if matches!(self.known, Known::Dormant) {
            self.parser =
                protocol::named(self.protocol).and_then(|protocol| protocol.parser).map(|make| make());
            self.known = Known::Parsed;
        }
    }
}

impl Workshop {
    pub(super) fn data(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        bytes: &[u8],
        by: Carrier,
        now: Now,
    ) -> Verdict {
        if let Known::Unknown(probed) = conversation.known
            && let Some(protocol) = self.look_again(key, conversation, sender, bytes, probed, now)
        {
            return Verdict::Leave(protocol);
        }
        let direction = conversation.direction(sender);
        let half = conversation.half(direction);
        let Some(kept) = half.kept.as_deref_mut() else {
            return self.show(key, conversation, sender, Shown::of_one(bytes, by, now));
        };
        let Kept { bytes: mut whole, mut marks } = std::mem::take(kept);
        marks.push(whole.len(), by);
        whole.extend_from_slice(bytes);
        conversation.lent = NOTHING;
        let shown = Shown { bytes: &whole, marks, carrier: by, now, lent: Some(0) };
        let verdict = self.show(key, conversation, sender, shown);
        let lent = std::mem::replace(&mut conversation.lent, NOTHING);
        let direction = conversation.direction(sender);
        let half = conversation.half(direction);
        match (lent, half.kept.as_deref_mut()) {
            (from, Some(kept)) if from != NOTHING => {
                whole.drain(..from as usize);
                kept.bytes = whole;
            }
            (_, Some(kept)) if kept.bytes.is_empty() => half.kept = None,
            _ => {}
        }
        verdict
    }

    /// Shows bytes to whom they are meant for: the protocol is recognised first, where that is not done yet.
    fn show(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        mut shown: Shown<'_>,
    ) -> Verdict {
        conversation.wake();
        if matches!(conversation.known, Known::NotYet) {
            match protocol::recognise(shown.bytes) {
                Recognised::Known(protocol, from) => {
                    if let Some(from) = from {
                        conversation.orient(if from == Direction::ToServer {
                            sender
                        } else {
                            sender.other()
                        });
                    }
                    let Some(make) = protocol.parser else { return Verdict::Leave(protocol) };
                    conversation.parser = Some(make());
                    conversation.known = Known::Parsed;
                    conversation.protocol = protocol.name;
                }
                Recognised::More => {
                    let direction = conversation.direction(sender);
                    conversation.keep(direction, shown);
                    return Verdict::Go;
                }
                Recognised::Unknown => {
                    // Its parser finds the next head of a flow picked up in mid-stream, and passes the rest on as text.
                    conversation.parser =
                        protocol::PROTOCOLS.iter().find_map(|protocol| protocol.parser).map(|make| make());
                    conversation.known = Known::Unknown(0);
                    self.turn_round(key, conversation, sender, shown.bytes, shown.now);
                }
            }
        }
        let direction = conversation.direction(sender);
        let Some(mut parser) = conversation.parser.take() else {
            Tap::new(self, conversation, key, shown.now, shown.bytes, &mut shown.marks, shown.carrier)
                .text(direction, shown.bytes);
            return Verdict::Go;
        };
        let mut tap =
            Tap::new(self, conversation, key, shown.now, shown.bytes, &mut shown.marks, shown.carrier);
        match parser.data(direction, shown.bytes, &mut tap) {
            Progress::Consumed(consumed) => {
                conversation.parser = Some(parser);
                let (rest, now) = (shown.bytes.len().saturating_sub(consumed), shown.now);
                let mut left = shown.behind(consumed);
                if rest > KEPT {
                    left.lent = None;
                }
                conversation.keep(direction, left);
                conversation.rest(rest);
                if rest > KEPT {
                    conversation.lose(direction, "kept-limit", rest as u64, now.frame);
                    self.interrupt(key, conversation, sender, Some(0), now);
                }
                Verdict::Go
            }
            Progress::Switch { consumed, to } => {
                self.switch(key, conversation, sender, shown.behind(consumed), to)
            }
            Progress::Stop => {
                // What follows is searched as text.
                conversation.known = Known::Opaque;
                Verdict::Go
            }
        }
    }

    /// A stream that was not recognised: encryption shows in later segments too, and a head tells who asks.
    fn look_again(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        bytes: &[u8],
        probed: u8,
        now: Now,
    ) -> Option<&'static Protocol> {
        if probed < PROBES {
            conversation.known = Known::Unknown(probed + 1);
            if let Recognised::Known(protocol, _) = protocol::recognise(bytes)
                && protocol.parser.is_none()
            {
                return Some(protocol);
            }
        }
        self.turn_round(key, conversation, sender, bytes, now);
        None
    }

    /// The first head in a stream that was not recognised tells who asks; what either side sent until then is text.
    fn turn_round(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        bytes: &[u8],
        now: Now,
    ) {
        let head = protocol::find_http_head(bytes).and_then(|at| bytes.get(at..));
        let Some(Recognised::Known(_, Some(from))) = head.map(protocol::recognise) else { return };
        conversation.known = Known::Parsed;
        let client = if from == Direction::ToServer { sender } else { sender.other() };
        if client == conversation.client {
            return;
        }
        for side in [sender, sender.other()] {
            self.interrupt(key, conversation, side, Some(0), now);
        }
        conversation.parser =
            protocol::PROTOCOLS.iter().find_map(|protocol| protocol.parser).map(|make| make());
        conversation.orient(client);
    }

    /// Another conversation goes on in this flow (RFC 9110 sections 7.8 and 9.3.6).
    fn switch(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        rest: Shown<'_>,
        to: Option<&'static str>,
    ) -> Verdict {
        *self.stats.protocols.entry(conversation.protocol).or_default() += 1;
        conversation.known = Known::NotYet;
        conversation.parser = None;
        conversation.protocol = "unknown";
        if let Some(name) = to {
            // The name was agreed upon; who parses it is found by it, else nobody does.
            match protocol::named(name).map(|protocol| (protocol, protocol.parser)) {
                Some((protocol, Some(make))) => {
                    conversation.parser = Some(make());
                    conversation.known = Known::Parsed;
                    conversation.protocol = protocol.name;
                }
                Some((protocol, None)) => return Verdict::Leave(protocol),
                None => {
                    self.stats.not_inspected("unknown-protocol-after-upgrade");
                    conversation.known = Known::Opaque;
                }
            }
        }
        // What either side sent ahead belongs to the new conversation.
        let other = conversation.direction(sender.other());
        let Kept { bytes: ahead, marks } = conversation.take_kept(other);
        let carrier = marks.carried(0..1).map_or(rest.carrier, |carried| carried.first);
        let ahead = Shown { bytes: &ahead, marks, carrier, now: rest.now, lent: None };
        // Each may begin the next at once, one call deeper.
        let switches = &mut conversation.rare.get_or_insert_default().switches;
        *switches += 1;
        if *switches > CONVERSATIONS {
            conversation.known = Known::Opaque;
            conversation.parser = None;
            conversation.protocol = "unknown";
            let bytes = ahead.bytes.len() + rest.bytes.len();
            conversation.lose(conversation.direction(sender), "tunnel-limit", bytes as u64, rest.now.frame);
        }
        for (side, shown) in [(sender.other(), ahead), (sender, rest)] {
            if !shown.bytes.is_empty()
                && let Verdict::Leave(protocol) = self.show(key, conversation, side, shown)
            {
                return Verdict::Leave(protocol);
            }
        }
        Verdict::Go
    }

    /// A hole of so many bytes, or the end of a direction: what was kept is shown a last time.
    pub(super) fn interrupt(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        missing: Option<u64>,
        now: Now,
    ) {
        conversation.wake();
        let direction = conversation.direction(sender);
        let Kept { bytes: rest, mut marks } = conversation.take_kept(direction);
        let carrier =
            marks.carried(0..1).map_or(Carrier { frame: now.frame, time: now.time }, |carried| carried.first);
        let parser = conversation.parser.take();
        let mut tap = Tap::new(self, conversation, key, now, &rest, &mut marks, carrier);
        let Some(mut parser) = parser else {
            if !rest.is_empty() {
                tap.text(direction, &rest);
            }
            match missing {
                Some(missing) => tap.text_gap(direction, missing),
                None => tap.finish(direction),
            }
            return;
        };
        match missing {
            Some(missing) => {
                parser.gap(direction, &rest, missing, &mut tap);
                tap.text_gap(direction, missing);
            }
            None => {
                parser.end(direction, &rest, &mut tap);
                tap.finish(direction);
            }
        }
        conversation.parser = Some(parser);
    }
}
