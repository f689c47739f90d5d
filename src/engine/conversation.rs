//! One flow from its first bytes to its end: which protocol, what its parser needs kept, which exchange is at hand.

use std::collections::{BTreeMap, VecDeque};

use crate::flow::{Close, Interest, Loss, LossReason, Now, Piece, Receiver};
use crate::model::finding::FlowText;
use crate::model::{Direction, FlowKey, Side, Transport};
use crate::protocol::{self, Parser, Progress, Protocol, Recognised};

use super::body::Body;
use super::inspect::Followed;
use super::marks::{Carrier, Marks};
use super::tap::Tap;
use super::{Report, SHARDS, Workshop};

/// Bytes of an unfinished head (or of what a parser waits behind) that are kept for each direction.
const KEPT: usize = 300 << 10;
/// Exchanges without an answer that are remembered, and bytes of each one's target: far more than is ever shown of it.
const EXCHANGES: usize = 1000;
const TARGET: usize = 8 << 10;
/// Bytes that the conversations of one shard may hold: heads, bodies, decoders, exchanges.
pub(super) const HELD: usize = (512 << 20) / SHARDS;
/// A conversation that holds no more than this is let be.
const LITTLE: usize = 4 << 10;
/// Segments of a stream of no known protocol in which encryption is still looked for.
const PROBES: u32 = 8;
/// Conversations within one flow, each begun by the one before (CONNECT, Upgrade).
const CONVERSATIONS: u32 = 16;

/// The state of one flow; nothing is kept of a flow that is not looked into.
pub(crate) type State = Option<Box<Conversation>>;

/// A flow that is looked into.
pub(crate) struct Conversation {
    /// Its number in its shard.
    pub(super) number: u64,
    /// Who asks.
    client: Side,
    parser: Option<Box<dyn Parser>>,
    known: Known,
    /// What the flow's events call its protocol.
    pub(super) protocol: &'static str,
    halves: [Half; 2],
    pub(super) exchanges: VecDeque<Exchange>,
    pub(super) followed: Vec<Followed>,
    losses: BTreeMap<(Direction, &'static str), Tally>,
    pub(super) encrypted: bool,
    /// How often another conversation went on in this flow.
    switches: u32,
    /// Bytes of the exchanges remembered.
    exchange_bytes: usize,
    /// What it was last reckoned to hold.
    held: usize,
}

/// What is known of the protocol.
enum Known {
    /// Too few bytes yet.
    NotYet,
    /// Its parser is at work.
    Parsed,
    /// Nobody knows it; so many segments were probed.
    Unknown(u32),
}

/// One direction of a conversation.
#[derive(Default)]
pub(super) struct Half {
    /// What the parser did not consume.
    kept: Vec<u8>,
    marks: Marks,
    /// The body at hand.
    pub(super) body: Option<Box<Body>>,
    /// Bytes of no message.
    pub(super) text: Option<Box<Body>>,
    /// The exchange at hand.
    pub(super) exchange: u32,
}

/// What later findings tell of an exchange.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) number: u32,
    pub(super) method: Vec<u8>,
    pub(super) host: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) version: &'static str,
    pub(super) status: Option<u16>,
}

impl Exchange {
    fn bytes(&self) -> usize {
        self.method.len() + self.host.len() + self.target.len()
    }
}

/// What is remembered of a request target. One that is too long ends at a mark between its parts, so that no value is cut.
pub(super) fn shown_part(target: &[u8]) -> &[u8] {
    let Some(start) = target.get(..TARGET) else { return target };
    let end = start.iter().rposition(|byte| matches!(byte, b'/' | b'?' | b'&' | b'#'));
    start.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Losses of one direction for one reason.
#[derive(Clone, Copy, Debug)]
struct Tally {
    count: u64,
    bytes: u64,
    frames: [u64; 2],
}

impl Conversation {
    fn new(number: u64, key: &FlowKey, initiator: Option<Side>) -> Self {
        Self {
            number,
            client: initiator.unwrap_or_else(|| likely_client(key)),
            parser: None,
            known: Known::NotYet,
            protocol: "unknown",
            halves: [Half::default(), Half::default()],
            exchanges: VecDeque::new(),
            followed: Vec::new(),
            losses: BTreeMap::new(),
            encrypted: false,
            switches: 0,
            exchange_bytes: 0,
            held: 0,
        }
    }

    pub(super) fn half(&mut self, direction: Direction) -> &mut Half {
        let [to_server, to_client] = &mut self.halves;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    fn direction(&self, sender: Side) -> Direction {
        if sender == self.client { Direction::ToServer } else { Direction::ToClient }
    }

    /// The bytes tell who asks, whatever the handshake or the ports said.
    fn orient(&mut self, client: Side) {
        if client != self.client {
            self.client = client;
            self.halves.swap(0, 1);
            self.losses = std::mem::take(&mut self.losses)
                .into_iter()
                .map(|((direction, reason), tally)| ((direction.reverse(), reason), tally))
                .collect();
        }
    }

    /// How events tell of this flow.
    pub(super) fn text(&self, key: &FlowKey) -> FlowText {
        FlowText {
            client: key.end(self.client),
            server: key.end(self.client.other()),
            transport: key.transport(),
            protocol: self.protocol,
            encrypted: self.encrypted,
        }
    }

    /// A new exchange; the oldest without an answer is forgotten for it.
    pub(super) fn begin(&mut self, exchange: Exchange) {
        if self.exchanges.len() >= EXCHANGES {
            self.forget_exchange();
        }
        self.exchange_bytes += exchange.bytes();
        self.exchanges.push_back(exchange);
    }

    /// The oldest exchange, which is remembered no more.
    pub(super) fn forget_exchange(&mut self) -> Option<Exchange> {
        let oldest = self.exchanges.pop_front()?;
        self.exchange_bytes = self.exchange_bytes.saturating_sub(oldest.bytes());
        Some(oldest)
    }

    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        let body = |body: &Option<Box<Body>>| body.as_ref().map_or(0, |body| body.held());
        let half = |half: &Half| half.kept.capacity() + body(&half.body) + body(&half.text);
        self.halves.iter().map(half).sum::<usize>() + self.exchange_bytes
    }

    pub(super) fn exchange(&self, number: u32) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.number == number)
    }

    pub(super) fn lose(&mut self, direction: Direction, reason: &'static str, bytes: u64, frame: u64) {
        let tally = self.losses.entry((direction, reason)).or_insert(Tally {
            count: 0,
            bytes: 0,
            frames: [frame; 2],
        });
        tally.count += 1;
        tally.bytes += bytes;
        tally.frames[1] = tally.frames[1].max(frame);
    }
}

impl Receiver for Workshop {
    type State = State;

    fn open(&mut self, key: &FlowKey, initiator: Option<Side>, _now: Now) -> State {
        self.stats.flows += 1;
        self.conversations += 1;
        Some(Box::new(Conversation::new(self.conversations, key, initiator)))
    }

    fn initiator(&mut self, _key: &FlowKey, state: &mut State, initiator: Side) {
        if let Some(conversation) = state
            && matches!(conversation.known, Known::NotYet)
        {
            conversation.orient(initiator);
        }
    }

    fn piece(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        sender: Side,
        piece: Piece<'_>,
        now: Now,
    ) -> Interest {
        let Some(conversation) = state else { return Interest::Nothing };
        let verdict = match piece {
            Piece::Data { bytes, frame, time } => {
                self.data(key, conversation, sender, bytes, Carrier { frame, time }, now)
            }
            Piece::Gap(missing) => {
                self.gap(key, conversation, sender, missing, now);
                Verdict::Go
            }
            Piece::End => {
                self.end(key, conversation, sender, now);
                Verdict::Go
            }
        };
        self.reckon(key, conversation, sender, now);
        match verdict {
            Verdict::Go => Interest::More,
            Verdict::Leave(protocol) => {
                if let Some(conversation) = state.take() {
                    self.leave(key, conversation, protocol, now);
                }
                Interest::Nothing
            }
        }
    }

    fn datagram(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        sender: Side,
        bytes: &[u8],
        _cut: u32,
        now: Now,
    ) {
        let Some(conversation) = state else { return };
        let direction = conversation.direction(sender);
        let carrier = Carrier { frame: now.frame, time: now.time };
        let mut marks = Marks::default();
        Tap::new(self, conversation, key, now, bytes, &mut marks, carrier).datagram(direction, bytes);
    }

    fn lost(&mut self, _key: &FlowKey, state: &mut State, sender: Side, loss: Loss, _now: Now) {
        let Some(conversation) = state else { return };
        let reason = match loss.reason {
            LossReason::Gap => "gap",
            LossReason::Truncated => "truncated",
            LossReason::ConflictingRetransmission => "conflicting-retransmission",
            LossReason::BufferLimit => "buffer-limit",
        };
        if matches!(loss.reason, LossReason::Gap | LossReason::Truncated | LossReason::BufferLimit) {
            self.stats.gaps += 1;
            self.stats.gap_bytes += loss.bytes;
        }
        let direction = conversation.direction(sender);
        conversation.lose(direction, reason, loss.bytes, loss.frame);
    }

    fn close(&mut self, key: &FlowKey, state: State, why: Close, now: Now) {
        let Some(mut conversation) = state else { return };
        self.holds_no_more(&mut conversation);
        if why == Close::Evicted {
            conversation.lose(Direction::ToServer, "flow-limit", 0, now.frame);
        }
        let protocol = conversation.protocol;
        if protocol == "unknown" && key.transport() == Transport::Tcp {
            self.stats.not_inspected(if matches!(conversation.known, Known::NotYet) {
                "no-data"
            } else {
                "unknown-protocol"
            });
        }
        *self.stats.protocols.entry(protocol).or_default() += 1;
        self.tell_rest(key, &conversation);
    }
}

/// What becomes of a flow.
enum Verdict {
    Go,
    /// It is of a protocol that is not looked into.
    Leave(&'static Protocol),
}

impl Workshop {
    /// Reckons what a conversation holds. Where the shard holds too much, the one at hand makes room.
    fn reckon(&mut self, key: &FlowKey, conversation: &mut Conversation, sender: Side, now: Now) {
        if !self.holds(conversation) || conversation.held <= LITTLE {
            return;
        }
        let direction = conversation.direction(sender);
        let carrier = Carrier { frame: now.frame, time: now.time };
        for all in [false, true] {
            for direction in [direction, direction.reverse()] {
                let mut marks = Marks::default();
                Tap::new(self, conversation, key, now, &[], &mut marks, carrier).relieve(direction, all);
            }
            if all && conversation.half(direction).kept.len() > LITTLE {
                let kept = conversation.half(direction).kept.len();
                conversation.lose(direction, "memory-limit", kept as u64, now.frame);
                self.interrupt(key, conversation, sender, Some(0), now);
            }
            if all {
                while let Some(oldest) = conversation.forget_exchange() {
                    self.release_exchange(conversation.number, oldest.number, oldest.status);
                }
            }
            if !self.holds(conversation) {
                return;
            }
        }
    }

    /// Whether the shard holds too much, after what this conversation holds was reckoned anew.
    fn holds(&mut self, conversation: &mut Conversation) -> bool {
        let weight = conversation.weight();
        let Some(held) = self.held.get_mut(self.shard) else { return false };
        *held = (*held + weight).saturating_sub(conversation.held);
        conversation.held = weight;
        *held > HELD
    }

    fn holds_no_more(&mut self, conversation: &mut Conversation) {
        if let Some(held) = self.held.get_mut(self.shard) {
            *held = held.saturating_sub(std::mem::take(&mut conversation.held));
        }
    }

    fn data(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        bytes: &[u8],
        carrier: Carrier,
        now: Now,
    ) -> Verdict {
        if conversation.parser.is_none() {
            if let Known::Unknown(probed) = conversation.known {
                return self.unknown(key, conversation, sender, bytes, carrier, now, probed);
            }
            let direction = conversation.direction(sender);
            let half = conversation.half(direction);
            let first: &[u8] = if half.kept.is_empty() {
                bytes
            } else {
                half.marks.push(half.kept.len(), carrier);
                half.kept.extend_from_slice(bytes);
                &half.kept
            };
            match protocol::recognise(first) {
                Recognised::Known(protocol, from) => {
                    if let Some(from) = from {
                        let client = if from == Direction::ToServer { sender } else { sender.other() };
                        conversation.orient(client);
                    }
                    let Some(make) = protocol.parser else { return Verdict::Leave(protocol) };
                    conversation.parser = Some(make());
                    conversation.known = Known::Parsed;
                    conversation.protocol = protocol.name;
                }
                Recognised::More => {
                    if half.kept.is_empty() {
                        half.marks.push(0, carrier);
                        half.kept.extend_from_slice(bytes);
                    }
                    return Verdict::Go;
                }
                Recognised::Unknown => {
                    conversation.known = Known::Unknown(0);
                    let kept = std::mem::take(&mut conversation.half(direction).kept);
                    let bytes = if kept.is_empty() { bytes } else { &kept };
                    return self.unknown(key, conversation, sender, bytes, carrier, now, 0);
                }
            }
            let direction = conversation.direction(sender);
            let half = conversation.half(direction);
            if !half.kept.is_empty() {
                // What was kept to recognise it holds these bytes already.
                let kept = std::mem::take(&mut half.kept);
                let mut marks = std::mem::take(&mut half.marks);
                return self.feed(key, conversation, direction, &kept, &mut marks, carrier, now);
            }
        }
        let direction = conversation.direction(sender);
        let half = conversation.half(direction);
        let mut marks = std::mem::take(&mut half.marks);
        if half.kept.is_empty() {
            marks.clear();
            marks.push(0, carrier);
            return self.feed(key, conversation, direction, bytes, &mut marks, carrier, now);
        }
        let mut kept = std::mem::take(&mut half.kept);
        marks.push(kept.len(), carrier);
        kept.extend_from_slice(bytes);
        self.feed(key, conversation, direction, &kept, &mut marks, carrier, now)
    }

    /// Shows `bytes` to the parser and keeps what it does not consume.
    #[expect(clippy::too_many_arguments, reason = "the piece at hand, where it lies and who carried it")]
    fn feed(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        direction: Direction,
        bytes: &[u8],
        marks: &mut Marks,
        carrier: Carrier,
        now: Now,
    ) -> Verdict {
        let Some(mut parser) = conversation.parser.take() else { return Verdict::Go };
        let mut tap = Tap::new(self, conversation, key, now, bytes, marks, carrier);
        let progress = parser.data(direction, bytes, &mut tap);
        match progress {
            Progress::Consumed(consumed) => {
                conversation.parser = Some(parser);
                self.keep(
                    key,
                    conversation,
                    direction,
                    bytes.get(consumed..).unwrap_or_default(),
                    consumed,
                    marks,
                    carrier,
                    now,
                );
                Verdict::Go
            }
            Progress::Switch { consumed, to } => {
                self.switch(key, conversation, direction, bytes, consumed, marks, carrier, now, to)
            }
            Progress::Stop => {
                // What follows is searched as text.
                conversation.known = Known::Unknown(PROBES);
                Verdict::Go
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the piece at hand, where it lies and who carried it")]
    fn keep(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        direction: Direction,
        rest: &[u8],
        consumed: usize,
        marks: &mut Marks,
        carrier: Carrier,
        now: Now,
    ) {
        if rest.is_empty() {
            return;
        }
        if rest.len() > KEPT {
            conversation.lose(direction, "head-limit", rest.len() as u64, now.frame);
            marks.discard(consumed);
            if let Some(mut parser) = conversation.parser.take() {
                let mut tap = Tap::new(self, conversation, key, now, rest, marks, carrier);
                parser.gap(direction, rest, 0, &mut tap);
                conversation.parser = Some(parser);
            }
            return;
        }
        marks.discard(consumed);
        let half = conversation.half(direction);
        half.kept = rest.to_vec();
        half.marks = std::mem::take(marks);
    }

    /// Another conversation goes on in this flow (RFC 9110 sections 7.8 and 9.3.6).
    #[expect(clippy::too_many_arguments, reason = "the piece at hand, where it lies and who carried it")]
    fn switch(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        direction: Direction,
        bytes: &[u8],
        consumed: usize,
        marks: &mut Marks,
        carrier: Carrier,
        now: Now,
        to: Option<&'static str>,
    ) -> Verdict {
        *self.stats.protocols.entry(conversation.protocol).or_default() += 1;
        conversation.known = Known::NotYet;
        conversation.parser = None;
        conversation.protocol = "unknown";
        if let Some(name) = to {
            // The name was agreed upon; who parses it is found by it, else nobody does.
            match protocol::named(name) {
                Some(protocol) => match protocol.parser {
                    Some(make) => {
                        conversation.parser = Some(make());
                        conversation.known = Known::Parsed;
                        conversation.protocol = protocol.name;
                    }
                    None => return Verdict::Leave(protocol),
                },
                None => {
                    self.stats.not_inspected("unknown-protocol-after-upgrade");
                    conversation.known = Known::Unknown(PROBES);
                }
            }
        }
        // What either side sent ahead belongs to the new conversation.
        let other = direction.reverse();
        let half = conversation.half(other);
        let (ahead, ahead_marks) = (std::mem::take(&mut half.kept), std::mem::take(&mut half.marks));
        marks.discard(consumed);
        let rest = bytes.get(consumed..).unwrap_or_default();
        let sides = [(other, ahead.as_slice(), ahead_marks), (direction, rest, std::mem::take(marks))];
        // Each may begin the next at once, one call deeper.
        conversation.switches += 1;
        let is_too_deep = conversation.switches > CONVERSATIONS;
        if is_too_deep {
            conversation.known = Known::Unknown(PROBES);
            conversation.parser = None;
            conversation.protocol = "unknown";
        }
        for (direction, bytes, mut marks) in sides {
            if bytes.is_empty() {
                continue;
            }
            if is_too_deep {
                conversation.lose(direction, "tunnel-limit", bytes.len() as u64, now.frame);
                let mut tap = Tap::new(self, conversation, key, now, bytes, &mut marks, carrier);
                protocol::Output::text(&mut tap, direction, bytes);
                continue;
            }
            let sender = if direction == Direction::ToServer {
                conversation.client
            } else {
                conversation.client.other()
            };
            let first = marks.carried(0..1).map_or(carrier, |carried| carried.first);
            if let Verdict::Leave(protocol) = self.data(key, conversation, sender, bytes, first, now) {
                return Verdict::Leave(protocol);
            }
        }
        Verdict::Go
    }

    /// Bytes of a protocol that nobody knows: searched as text, and watched for the head of a message (a flow picked up
    /// in mid-stream).
    #[expect(clippy::too_many_arguments, reason = "the piece at hand, where it lies and who carried it")]
    fn unknown(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        bytes: &[u8],
        carrier: Carrier,
        now: Now,
        probed: u32,
    ) -> Verdict {
        if probed < PROBES {
            conversation.known = Known::Unknown(probed + 1);
            if let Recognised::Known(protocol, _) = protocol::recognise(bytes)
                && protocol.parser.is_none()
            {
                return Verdict::Leave(protocol);
            }
        }
        let head = protocol::find_http_head(bytes);
        let (text, rest) = bytes.split_at_checked(head.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        if !text.is_empty() {
            let direction = conversation.direction(sender);
            let mut marks = Marks::default();
            marks.push(0, carrier);
            let mut tap = Tap::new(self, conversation, key, now, text, &mut marks, carrier);
            protocol::Output::text(&mut tap, direction, text);
        }
        if rest.is_empty() {
            return Verdict::Go;
        }
        let Recognised::Known(protocol, Some(from)) = protocol::recognise(rest) else { return Verdict::Go };
        let Some(make) = protocol.parser else { return Verdict::Go };
        conversation.orient(if from == Direction::ToServer { sender } else { sender.other() });
        conversation.parser = Some(make());
        conversation.known = Known::Parsed;
        conversation.protocol = protocol.name;
        let mut marks = Marks::default();
        marks.push(0, carrier);
        self.feed(key, conversation, from, rest, &mut marks, carrier, now)
    }

    fn gap(&mut self, key: &FlowKey, conversation: &mut Conversation, sender: Side, missing: u64, now: Now) {
        self.interrupt(key, conversation, sender, Some(missing), now);
    }

    fn end(&mut self, key: &FlowKey, conversation: &mut Conversation, sender: Side, now: Now) {
        self.interrupt(key, conversation, sender, None, now);
    }

    /// A hole of so many bytes, or the end of a direction: what was kept is shown a last time.
    fn interrupt(
        &mut self,
        key: &FlowKey,
        conversation: &mut Conversation,
        sender: Side,
        missing: Option<u64>,
        now: Now,
    ) {
        let direction = conversation.direction(sender);
        let half = conversation.half(direction);
        let (rest, mut marks) = (std::mem::take(&mut half.kept), std::mem::take(&mut half.marks));
        let carrier =
            marks.carried(0..1).map_or(Carrier { frame: now.frame, time: now.time }, |carried| carried.first);
        let parser = conversation.parser.take();
        let mut tap = Tap::new(self, conversation, key, now, &rest, &mut marks, carrier);
        let Some(mut parser) = parser else {
            if !rest.is_empty() {
                protocol::Output::text(&mut tap, direction, &rest);
            }
            match missing {
                Some(missing) => tap.text_gap(direction, missing),
                None => tap.finish(direction),
            }
            return;
        };
        match missing {
            Some(missing) => parser.gap(direction, &rest, missing, &mut tap),
            None => {
                parser.end(direction, &rest, &mut tap);
                tap.finish(direction);
            }
        }
        conversation.parser = Some(parser);
    }

    /// A flow that is not looked into: what it showed so far is told, and nothing is kept.
    fn leave(
        &mut self,
        key: &FlowKey,
        conversation: Box<Conversation>,
        protocol: &'static Protocol,
        _now: Now,
    ) {
        let mut conversation = conversation;
        self.holds_no_more(&mut conversation);
        self.stats.not_inspected(protocol.not_inspected);
        *self.stats.protocols.entry(protocol.name).or_default() += 1;
        self.tell_rest(key, &conversation);
    }

    /// Findings whose answer never came, and what could not be seen.
    fn tell_rest(&mut self, key: &FlowKey, conversation: &Conversation) {
        for exchange in &conversation.exchanges {
            self.release_exchange(conversation.number, exchange.number, None);
        }
        let flow = conversation.text(key);
        for ((direction, reason), tally) in &conversation.losses {
            self.report(Report::Lost(super::LostInFlow {
                reason,
                flow: flow.clone(),
                direction: *direction,
                count: tally.count,
                bytes: tally.bytes,
                frames: tally.frames,
            }));
        }
    }
}

/// Who asks, where no handshake was seen: the end with the larger port, servers having small ones.
fn likely_client(key: &FlowKey) -> Side {
    if key.end(Side::Low).port >= key.end(Side::High).port { Side::Low } else { Side::High }
}
