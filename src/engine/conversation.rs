//! One flow from its first bytes to its end: which protocol, what its parser needs kept, which exchange is at hand.

use std::collections::{BTreeMap, VecDeque};

use crate::flow::{Close, Interest, Loss, LossReason, Now, Piece, Receiver};
use crate::model::finding::FlowText;
use crate::model::{Direction, FlowKey, Side, Transport};
use crate::protocol::{self, Output, Parser, Progress, Protocol, Recognised};

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
    /// Nobody knows it, and nothing else can come of it: searched as text.
    Opaque,
}

/// One direction of a conversation.
#[derive(Default)]
pub(super) struct Half {
    /// What the parser did not consume.
    kept: Vec<u8>,
    /// From where on `kept`, lent out while it is shown, is still needed.
    lent: Option<usize>,
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

impl Half {
    /// Keeps what was not consumed, to be shown again.
    fn keep(&mut self, rest: Shown<'_>) {
        if rest.bytes.is_empty() {
            return;
        }
        self.marks = rest.marks;
        match rest.lent {
            // The bytes need not move: whoever lent them puts them back.
            Some(from) => self.lent = Some(from),
            None => self.kept = rest.bytes.to_vec(),
        }
    }
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
                self.interrupt(key, conversation, sender, Some(missing), now);
                Verdict::Go
            }
            Piece::End => {
                self.interrupt(key, conversation, sender, None, now);
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
            LossReason::OutOfWindow => "out-of-window",
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

/// Bytes at hand, and who carried which of them.
struct Shown<'a> {
    bytes: &'a [u8],
    marks: Marks,
    carrier: Carrier,
    now: Now,
    /// Of bytes that lie in what the half keeps: where in it they begin.
    lent: Option<usize>,
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
        if half.kept.is_empty() {
            return self.show(key, conversation, sender, Shown::of_one(bytes, by, now));
        }
        let mut kept = std::mem::take(&mut half.kept);
        let mut marks = std::mem::take(&mut half.marks);
        marks.push(kept.len(), by);
        kept.extend_from_slice(bytes);
        let verdict = self.show(
            key,
            conversation,
            sender,
            Shown { bytes: &kept, marks, carrier: by, now, lent: Some(0) },
        );
        let direction = conversation.direction(sender);
        let half = conversation.half(direction);
        if let Some(from) = half.lent.take() {
            kept.drain(..from);
            half.kept = kept;
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
                    conversation.half(direction).keep(shown);
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
                conversation.half(direction).keep(left);
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
        probed: u32,
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
        let half = conversation.half(other);
        let (ahead, marks) = (std::mem::take(&mut half.kept), std::mem::take(&mut half.marks));
        let carrier = marks.carried(0..1).map_or(rest.carrier, |carried| carried.first);
        let ahead = Shown { bytes: &ahead, marks, carrier, now: rest.now, lent: None };
        // Each may begin the next at once, one call deeper.
        conversation.switches += 1;
        if conversation.switches > CONVERSATIONS {
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
