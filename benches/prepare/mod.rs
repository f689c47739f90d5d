//! What each stage is given: the work of the stages before it.

use std::hint::black_box;
use std::ops::Range;

use leaktap::content::{self, Inflater, Media};
use leaktap::engine::{LIMITS, SHARDS};
use leaktap::flow::{Close, Interest, Limits, Loss, Now, Piece, Receiver, Table};
use leaktap::model::http::{Header, RequestHead, ResponseHead};
use leaktap::model::{Direction, Field, FlowKey, Frame, LinkType, Side, Timestamp};
use leaktap::packet::Packet;
use leaktap::protocol::{self, Output, Parser, Progress};

/// The frames of a capture as the generator writes them, where they lie.
pub(crate) fn frames(capture: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let mut rest = &capture[24..];
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let field =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (bytes, behind) = behind.split_at(field(8) as usize);
        frames.push(Frame {
            number: frames.len() as u64 + 1,
            time: Timestamp::from_nanos(i64::from(field(0)) * 1_000_000_000 + i64::from(field(4)) * 1000),
            link: LinkType::ETHERNET,
            bytes,
            original_len: field(12),
        });
        rest = behind;
    }
    frames
}

/// Runs packets through tables as the engine has them.
pub(crate) fn reassembled<R: Receiver + Default>(packets: &[(Packet<'_>, Now)]) -> R {
    let limits = Limits { flows: LIMITS.flows / SHARDS, early_total: LIMITS.early_total / SHARDS, ..LIMITS };
    let mut tables: Vec<Table<R>> = (0..SHARDS).map(|_| Table::new(limits)).collect();
    let mut receiver = R::default();
    let mut end = Now { frame: 0, time: Timestamp::default() };
    for (packet, now) in packets {
        end = *now;
        match packet {
            Packet::Tcp(segment) => {
                let table = &mut tables[(segment.key.spread() % SHARDS as u64) as usize];
                table.segment(segment, *now, &mut receiver);
            }
            Packet::Udp(datagram) => {
                let table = &mut tables[(datagram.key.spread() % SHARDS as u64) as usize];
                table.datagram(datagram, *now, &mut receiver);
            }
            _ => {}
        }
    }
    tables.iter_mut().for_each(|table| table.finish(end, &mut receiver));
    receiver
}

/// Takes everything and keeps nothing.
#[derive(Default)]
pub(crate) struct Silent;

impl Receiver for Silent {
    type State = ();
    fn open(&mut self, _: &FlowKey, _: Option<Side>, _: Now) {}
    fn initiator(&mut self, _: &FlowKey, (): &mut (), _: Side) {}
    fn piece(&mut self, _: &FlowKey, (): &mut (), _: Side, piece: Piece<'_>, _: Now) -> Interest {
        black_box(piece);
        Interest::More
    }
    fn datagram(&mut self, _: &FlowKey, (): &mut (), _: Side, _: &[u8], _: u32, _: Now) {}
    fn lost(&mut self, _: &FlowKey, (): &mut (), _: Side, _: Loss, _: Now) {}
    fn close(&mut self, _: &FlowKey, (): (), _: Close, _: Now) {}
}

/// The ordered bytes of all flows, piece by piece as they came.
#[derive(Clone, Default)]
pub(crate) struct Order {
    pub(crate) bytes: Vec<u8>,
    pieces: Vec<(usize, Direction, Range<usize>)>,
    flows: usize,
}

impl Receiver for Order {
    /// The flow's number, and its client.
    type State = (usize, Option<Side>);
    fn open(&mut self, _: &FlowKey, initiator: Option<Side>, _: Now) -> Self::State {
        self.flows += 1;
        (self.flows - 1, initiator)
    }
    fn initiator(&mut self, _: &FlowKey, state: &mut Self::State, initiator: Side) {
        state.1 = Some(initiator);
    }
    fn piece(
        &mut self,
        _: &FlowKey,
        state: &mut Self::State,
        sender: Side,
        piece: Piece<'_>,
        _: Now,
    ) -> Interest {
        if let Piece::Data { bytes, .. } = piece {
            let direction = if state.1 == Some(sender) { Direction::ToServer } else { Direction::ToClient };
            self.pieces.push((state.0, direction, self.bytes.len()..self.bytes.len() + bytes.len()));
            self.bytes.extend_from_slice(bytes);
        }
        Interest::More
    }
    fn datagram(&mut self, _: &FlowKey, _: &mut Self::State, _: Side, _: &[u8], _: u32, _: Now) {}
    fn lost(&mut self, _: &FlowKey, _: &mut Self::State, _: Side, _: Loss, _: Now) {}
    fn close(&mut self, _: &FlowKey, _: Self::State, _: Close, _: Now) {}
}

/// A parser, and what it has left over of each side.
type Conversation = (Box<dyn Parser>, [Vec<u8>; 2]);

impl Order {
    /// The same, one flow behind the other.
    pub(crate) fn by_flow(&self) -> Self {
        let mut sorted = self.clone();
        sorted.pieces.sort_by_key(|piece| piece.0);
        sorted
    }

    /// Shows the pieces to a parser for each flow; what it does not consume is shown again with what follows.
    pub(crate) fn parse(&self, out: &mut Taker) {
        let make = protocol::named("http").and_then(|http| http.parser).expect("HTTP");
        let mut flows: Vec<Option<Conversation>> = Vec::new();
        flows.resize_with(self.flows, || None);
        for (flow, direction, range) in &self.pieces {
            let (parser, kept) = flows[*flow].get_or_insert_with(|| (make(), Default::default()));
            let kept = &mut kept[usize::from(*direction == Direction::ToClient)];
            let bytes = &self.bytes[range.clone()];
            let shown = if kept.is_empty() {
                bytes
            } else {
                kept.extend_from_slice(bytes);
                kept.as_slice()
            };
            let Progress::Consumed(consumed) = parser.data(*direction, shown, out) else { continue };
            if kept.is_empty() {
                kept.extend_from_slice(&bytes[consumed..]);
            } else {
                kept.drain(..consumed);
            }
        }
    }
}

/// What a parser told.
#[derive(Default)]
pub(crate) struct Kept {
    /// Heads as they stood on the wire.
    pub(crate) heads: Vec<Vec<u8>>,
    /// The bodies of answers as sent.
    pub(crate) bodies: Vec<(Media, Vec<u8>)>,
}

/// What is done with what a parser tells.
#[derive(Default)]
pub(crate) struct Taker {
    /// Whether heads are cut up into fields.
    pub(crate) heads: bool,
    /// What is kept, if anything.
    pub(crate) kept: Option<Kept>,
}

impl Output for Taker {
    fn request(&mut self, _: u32, head: &RequestHead<'_>) {
        if self.heads {
            content::head::request(head, &mut |field| drop(black_box(field)));
        }
        if let Some(kept) = &mut self.kept {
            kept.heads.push(head.bytes.to_vec());
        }
    }
    fn response(&mut self, _: u32, head: &ResponseHead<'_>) {
        if self.heads {
            content::head::response(head, &mut |field| drop(black_box(field)));
            black_box(content::media(head.headers));
        }
        if let Some(kept) = &mut self.kept {
            kept.heads.push(head.bytes.to_vec());
            kept.bodies.push((content::media(head.headers), Vec::new()));
        }
    }
    fn body(&mut self, direction: Direction, bytes: &[u8]) {
        black_box(bytes);
        let last = self.kept.as_mut().and_then(|kept| kept.bodies.last_mut());
        if let (Direction::ToClient, Some((_, body))) = (direction, last) {
            body.extend_from_slice(bytes);
        }
    }
    fn body_gap(&mut self, _: Direction, _: u64) {}
    fn trailers(&mut self, _: Direction, _: &[Header<'_>]) {}
    fn end(&mut self, _: Direction, _: bool) {}
    fn field(&mut self, _: Direction, _: Field<'_>) {}
    fn text(&mut self, _: Direction, bytes: &[u8]) {
        black_box(bytes);
    }
    fn signal(&mut self, _: Direction, _: &'static str, _: &[u8]) {}
}

/// A body with its codings undone.
pub(crate) fn decode(media: &Media, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match Inflater::new(&media.encodings) {
        Some(mut inflater) if !media.encodings.is_empty() => {
            // What breaks off here was cut by the size of the capture.
            let _ = inflater.push(body, &mut text);
        }
        _ => text.extend_from_slice(body),
    }
    text
}
