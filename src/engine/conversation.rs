//! One flow from its first bytes to its end: which protocol, what its parser needs kept, which exchange is at hand.

use std::collections::BTreeMap;

use crate::content;
use crate::flow::{Close, Interest, Loss, LossReason, Now, Piece, Receiver};
use crate::model::finding::FlowText;
use crate::model::{Direction, FlowKey, Side, Transport};
use crate::protocol::{Parser, Protocol};

mod exchange;
mod room;
mod stream;

pub(super) use exchange::{Exchange, shown_part};
#[cfg(test)]
pub(super) use room::HELD;
use stream::{Shown, Verdict};

use super::body::Body;
use super::inspect::Followed;
use super::marks::{Carrier, Marks};
use super::tap::Tap;
use super::{Report, Workshop};

/// Bytes of an unfinished head (or of what a parser waits behind) that are kept for each direction.
const KEPT: usize = 300 << 10;
/// Exchanges without an answer that are remembered.
const EXCHANGES: usize = 1000;
/// Secrets of requests followed on one flow.
const FOLLOWED: usize = 8;
/// Segments of a stream of no known protocol in which encryption is still looked for.
const PROBES: u8 = 8;
/// Datagrams of a flow after which, where none was text, none is expected.
const OPAQUE: u8 = 4;
/// Conversations within one flow, each begun by the one before (CONNECT, Upgrade).
const CONVERSATIONS: u32 = 16;

/// The state of one flow; nothing is kept of a flow that is not looked into.
pub(crate) type State = Option<Box<Conversation>>;

/// A flow that is looked into. There may be millions of them: it is two lines of cache.
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
    /// By direction: the exchange at hand.
    current: [u32; 2],
    /// The oldest first; seldom more than one.
    pub(super) exchanges: Vec<Exchange>,
    pub(super) encrypted: bool,
    /// Whether it is to be looked at before its bodies are whole.
    pub(super) noted: bool,
    rare: Option<Box<Rare>>,
    /// What it was last reckoned to hold.
    held: u32,
    /// From where on what was kept, lent out while it is shown, is still needed; [`NOTHING`] where nothing is.
    lent: u32,
}

const _: () = assert!(size_of::<Conversation>() <= 128);

/// See [`Conversation`].
const NOTHING: u32 = u32::MAX;

/// What most flows never have: there may be millions of them.
#[derive(Default)]
struct Rare {
    /// By direction: bytes of no message.
    text: [Option<Box<Body>>; 2],
    followed: Vec<Followed>,
    losses: BTreeMap<(Direction, &'static str), Tally>,
    /// How often another conversation went on in this flow.
    switches: u32,
}

/// What is known of the protocol.
enum Known {
    /// Too few bytes yet.
    NotYet,
    /// Its parser is at work.
    Parsed,
    /// It is, and the parser is made again when something comes: it knew nothing yet. Of open flows most are so.
    Dormant,
    /// Nobody knows it; so many segments were probed, or datagrams were no text.
    Unknown(u8),
    /// Nobody knows it, and nothing else can come of it: searched as text.
    Opaque,
}

/// One direction of a conversation.
#[derive(Default)]
pub(super) struct Half {
    kept: Option<Box<Kept>>,
    /// The body at hand.
    pub(super) body: Option<Box<Body>>,
}

/// What the parser did not consume.
#[derive(Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    marks: Marks,
}

/// Losses of one direction for one reason.
#[derive(Clone, Copy, Debug)]
struct Tally {
    count: u64,
    bytes: u64,
    frames: [u64; 2],
}

impl Half {
    /// How many bytes are kept.
    fn kept(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes.len())
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
            current: [0; 2],
            exchanges: Vec::new(),
            encrypted: false,
            noted: false,
            rare: None,
            held: 0,
            lent: NOTHING,
        }
    }

    pub(super) fn half(&mut self, direction: Direction) -> &mut Half {
        let [to_server, to_client] = &mut self.halves;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    /// The exchange at hand in a direction; 0 before the first.
    pub(super) fn current(&self, direction: Direction) -> u32 {
        let [to_server, to_client] = self.current;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    pub(super) fn set_current(&mut self, direction: Direction, exchange: u32) {
        let [to_server, to_client] = &mut self.current;
        *match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        } = exchange;
    }

    /// The bytes of no message in a direction.
    pub(super) fn loose(&mut self, direction: Direction) -> Option<&mut Option<Box<Body>>> {
        let [to_server, to_client] = &mut self.rare.as_mut()?.text;
        Some(match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        })
    }

    pub(super) fn take_loose(&mut self, direction: Direction) -> Option<Box<Body>> {
        self.loose(direction)?.take()
    }

    pub(super) fn put_loose(&mut self, direction: Direction, text: Option<Box<Body>>) {
        if text.is_some() {
            self.rare.get_or_insert_default();
        }
        if let Some(place) = self.loose(direction) {
            *place = text;
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
            self.current.swap(0, 1);
            if let Some(rare) = &mut self.rare {
                rare.text.swap(0, 1);
                let losses = std::mem::take(&mut rare.losses).into_iter();
                rare.losses = losses
                    .map(|((direction, reason), tally)| ((direction.reverse(), reason), tally))
                    .collect();
            }
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
        if self.exchanges.is_empty() {
            // Most flows have one at a time.
            self.exchanges.reserve_exact(1);
        }
        self.exchanges.push(exchange);
    }

    /// The oldest exchange, which is remembered no more.
    pub(super) fn forget_exchange(&mut self) -> Option<Exchange> {
        if self.exchanges.is_empty() {
            return None;
        }
        Some(self.exchanges.remove(0))
    }

    /// Whether something of a body came that has to be looked at in time, and that is not known yet; it is now.
    pub(super) fn is_to_be_noted(&mut self) -> bool {
        let is_unseen = |body: &Option<Box<Body>>| body.as_ref().is_some_and(|body| body.is_unseen());
        let is_due = || {
            self.halves.iter().any(|half| is_unseen(&half.body))
                || self.rare.iter().flat_map(|rare| &rare.text).any(is_unseen)
        };
        let is_new = !self.noted && is_due();
        self.noted |= is_new;
        is_new
    }

    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        let body = |body: &Option<Box<Body>>| body.as_ref().map_or(0, |body| body.held());
        let kept = |half: &Half| half.kept.as_ref().map_or(0, |kept| kept.bytes.capacity());
        let halves: usize = self.halves.iter().map(|half| kept(half) + body(&half.body)).sum();
        let text: usize = self.rare.iter().flat_map(|rare| &rare.text).map(body).sum();
        halves + text + self.exchanges.iter().map(Exchange::weight).sum::<usize>()
    }

    pub(super) fn exchange(&self, number: u32) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.number == number)
    }

    /// Keeps what was not consumed, to be shown again.
    fn keep(&mut self, direction: Direction, rest: Shown<'_>) {
        if rest.bytes.is_empty() {
            return;
        }
        let kept = self.half(direction).kept.get_or_insert_default();
        kept.marks = rest.marks;
        match rest.lent {
            // The bytes need not move: whoever lent them puts them back.
            Some(from) => self.lent = from as u32,
            None => kept.bytes = rest.bytes.to_vec(),
        }
    }

    /// What a direction has kept.
    fn take_kept(&mut self, direction: Direction) -> Kept {
        self.half(direction).kept.take().map_or_else(Kept::default, |kept| *kept)
    }

    /// Secrets of requests that are looked for in what comes.
    pub(super) fn followed(&self) -> &[Followed] {
        self.rare.as_ref().map_or(&[], |rare| &rare.followed)
    }

    pub(super) fn follow(&mut self, secrets: Vec<Followed>) {
        for secret in secrets {
            let followed = &mut self.rare.get_or_insert_default().followed;
            if !followed.iter().any(|known| known.value == secret.value) {
                if followed.len() >= FOLLOWED {
                    followed.remove(0);
                }
                followed.push(secret);
            }
        }
    }

    pub(super) fn lose(&mut self, direction: Direction, reason: &'static str, bytes: u64, frame: u64) {
        let tally = self.rare.get_or_insert_default().losses.entry((direction, reason)).or_insert(Tally {
            count: 0,
            bytes: 0,
            frames: [frame; 2],
        });
        tally.count += 1;
        tally.bytes += bytes;
        tally.frames[1] = tally.frames[1].max(frame);
    }
}

impl Workshop {
    /// A connection begins whose clear text is seen, though the wire carries it encrypted.
    pub(super) fn open_plain(&mut self, key: &FlowKey, now: Now) -> State {
        let mut state = self.open(key, None, now);
        if let Some(conversation) = &mut state {
            conversation.encrypted = true;
        }
        state
    }
}

impl Conversation {
    /// Its flow has another key from here on, in which the sides are the other way round.
    pub(super) fn turn_sides(&mut self) {
        self.client = self.client.other();
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
        if self.unseen.is_some() {
            self.note(key, conversation, now);
        }
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
        // Where nobody asks what is wanted no more, each is looked at by itself alone.
        if self.unwanted.is_some()
            && let Known::NotYet | Known::Unknown(_) = conversation.known
        {
            let binary = if let Known::Unknown(binary) = conversation.known { binary } else { 0 };
            match (content::is_hardly_text(bytes), binary + 1) {
                (false, _) => conversation.known = Known::Opaque,
                (true, OPAQUE) => self.not_wanted(key, now.time),
                (true, _) => conversation.known = Known::Unknown(binary + 1),
            }
        }
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
        if let Some(left) = &mut self.left {
            left.remove(key);
        }
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

impl Workshop {
    /// A flow that is not looked into: what it showed so far is told, and nothing is kept.
    fn leave(
        &mut self,
        key: &FlowKey,
        conversation: Box<Conversation>,
        protocol: &'static Protocol,
        now: Now,
    ) {
        let mut conversation = conversation;
        self.not_wanted(key, now.time);
        if let Some(left) = &mut self.left {
            left.insert(*key, protocol.name);
        }
        self.holds_no_more(&mut conversation);
        self.stats.not_inspected(protocol.not_inspected);
        *self.stats.protocols.entry(protocol.name).or_default() += 1;
        self.tell_rest(key, &conversation);
    }

    /// How events would tell of a flow that is not looked into.
    pub(super) fn left_text(&self, key: &FlowKey) -> FlowText {
        let client = likely_client(key);
        FlowText {
            client: key.end(client),
            server: key.end(client.other()),
            transport: key.transport(),
            protocol: self.left.as_ref().and_then(|left| left.get(key)).copied().unwrap_or("unknown"),
            encrypted: false,
        }
    }

    /// Findings whose answer never came, and what could not be seen.
    fn tell_rest(&mut self, key: &FlowKey, conversation: &Conversation) {
        for exchange in &conversation.exchanges {
            self.release_exchange(conversation.number, exchange.number, None);
        }
        let flow = conversation.text(key);
        let losses = conversation.rare.iter().flat_map(|rare| &rare.losses);
        for ((direction, reason), tally) in losses {
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
