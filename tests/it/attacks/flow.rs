//! Segments made to be costly, at the table of flows itself: millions of them.
//!
//! The suite sends [`segments`] of them; `make soak` ten million.

use std::time::Duration;

use leaktap::flow::{Close, Interest, Limits, Loss, LossReason, Now, Piece, Receiver, Table};
use leaktap::model::segment::{Flags, Segment};
use leaktap::model::{Endpoint, FlowKey, Side, Timestamp, Transport};

fn segments() -> u32 {
    std::env::var("LEAKTAP_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(300_000)
}

const LIMITS: Limits = Limits {
    flows: 10_000,
    early_per_direction: 1 << 20,
    early_total: 4 << 20,
    idle: Duration::from_secs(600),
    hole: Duration::from_secs(10),
};

#[derive(Default)]
struct Counts {
    open: usize,
    most_open: usize,
    closed: u64,
    evicted: u64,
    delivered: u64,
    missing: u64,
    pieces: u64,
    lost: u64,
    limit: u64,
    conflicts: u64,
}

impl Receiver for Counts {
    type State = ();
    fn open(&mut self, _: &FlowKey, _: Option<Side>, _: Now) {
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
    }
    fn initiator(&mut self, _: &FlowKey, (): &mut (), _: Side) {}
    fn piece(&mut self, _: &FlowKey, (): &mut (), _: Side, piece: Piece<'_>, _: Now) -> Interest {
        self.pieces += 1;
        match piece {
            Piece::Data { bytes, .. } => self.delivered += bytes.len() as u64,
            Piece::Gap(missing) => self.missing += missing,
            Piece::End => {}
        }
        Interest::More
    }
    fn datagram(&mut self, _: &FlowKey, (): &mut (), _: Side, _: &[u8], _: u32, _: Now) {}
    fn lost(&mut self, _: &FlowKey, (): &mut (), _: Side, loss: Loss, _: Now) {
        match loss.reason {
            LossReason::BufferLimit => self.limit += loss.bytes,
            LossReason::ConflictingRetransmission => self.conflicts += 1,
            _ => {}
        }
        if loss.reason != LossReason::ConflictingRetransmission {
            self.lost += loss.bytes;
        }
    }
    fn close(&mut self, _: &FlowKey, (): (), why: Close, _: Now) {
        self.open -= 1;
        self.closed += 1;
        self.evicted += u64::from(why == Close::Evicted);
    }
}

struct Attack {
    table: Table<Counts>,
    counts: Counts,
    frame: u64,
    time: i64,
    most_held: usize,
}

impl Attack {
    fn new() -> Self {
        Self { table: Table::new(LIMITS), counts: Counts::default(), frame: 0, time: 0, most_held: 0 }
    }

    fn send(&mut self, client: u32, flags: u8, sequence: u32, payload: &[u8]) {
        let [a, b, c, d] = client.to_be_bytes();
        let source = Endpoint::v4([10, a, b, c], 1024 + u16::from(d));
        let (key, sender) = FlowKey::new(source, Endpoint::v4([192, 0, 2, 80], 80), Transport::Tcp);
        self.frame += 1;
        self.time = self.time.saturating_add(1000);
        let segment = Segment {
            key,
            sender,
            sequence,
            acknowledgment: 0,
            flags: Flags(flags),
            payload,
            cut: 0,
            realm: 0,
        };
        let now = Now { frame: self.frame, time: Timestamp::from_nanos(self.time) };
        self.table.segment(&segment, now, &mut self.counts);
        self.most_held = self.most_held.max(self.table.memory());
    }

    /// Ends the capture. Whatever was sent: limits were kept, every flow was closed.
    fn end(mut self) -> Counts {
        let now = Now { frame: self.frame, time: Timestamp::from_nanos(self.time) };
        self.table.finish(now, &mut self.counts);
        assert!(self.most_held <= LIMITS.early_total + (64 << 10), "{}", self.most_held);
        assert!(self.counts.most_open <= LIMITS.flows, "{}", self.counts.most_open);
        assert_eq!((self.counts.open, self.table.memory()), (0, 0));
        self.counts
    }
}

#[test]
fn a_flood_of_syns() {
    let mut attack = Attack::new();
    // One that lives through it.
    attack.send(u32::MAX, Flags::SYN, 100, b"");
    attack.send(u32::MAX, 0, 101, b"GET ");
    for client in 0..segments() {
        attack.send(client, Flags::SYN, client, b"");
        if client % 1024 == 0 {
            attack.send(u32::MAX, 0, 105 + client / 1024, b"x");
        }
    }
    let counts = attack.end();
    assert_eq!(counts.closed, u64::from(segments()) + 1, "the flow that lives was never closed");
    assert_eq!(counts.delivered, 4 + u64::from(segments()).div_ceil(1024));
}

#[test]
fn a_flood_of_flows_in_mid_stream() {
    let mut attack = Attack::new();
    for client in 0..segments() {
        attack.send(client, 0, 1, b"x");
    }
    let counts = attack.end();
    assert_eq!(counts.delivered, u64::from(segments()));
    assert!(counts.evicted >= u64::from(segments()) - LIMITS.flows as u64);
}

#[test]
fn one_byte_segments() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    for at in 0..segments() {
        attack.send(1, 0, 1 + at, b"x");
    }
    let counts = attack.end();
    assert_eq!((counts.delivered, counts.missing), (u64::from(segments()), 0));
}

#[test]
fn one_byte_segments_backwards() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    for at in (0..segments()).rev() {
        attack.send(1, 0, 1 + at, b"x");
    }
    let counts = attack.end();
    assert!(counts.delivered + counts.missing <= u64::from(segments()));
    assert_eq!(counts.lost, counts.missing);
}

#[test]
fn every_second_segment_is_missing() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    for at in (0..segments()).map(|at| 2 * at) {
        attack.send(1, 0, 2 + at, b"x");
    }
    let counts = attack.end();
    assert_eq!(counts.delivered, u64::from(segments()));
    assert_eq!(counts.missing, u64::from(segments()));
    assert_eq!(counts.lost, counts.missing, "what is missing was told");
    assert!(counts.limit > 0);
}

#[test]
fn every_second_segment_is_missing_and_comes_late() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    for at in 0..segments() / 2 {
        attack.send(1, 0, 2 + 2 * at, b"x");
    }
    for at in 0..segments() / 2 {
        attack.send(1, 0, 1 + 2 * at, b"y");
    }
    let counts = attack.end();
    assert_eq!(counts.delivered + counts.missing, u64::from(segments() / 2 * 2));
}

#[test]
fn overlaps_that_interleave() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    let payload = [b'x'; 64];
    for at in 0..segments() / 4 {
        // Ahead of a hole, each over the halves of two others, and once more with other bytes.
        attack.send(1, 0, 2 + 32 * at + 32 * (at % 7), &payload);
        attack.send(1, 0, 2 + 32 * at + 16, &payload);
        attack.send(1, 0, 2 + 32 * at + 8, &[b'y'; 64]);
        attack.send(1, 0, 2 + 32 * at, &payload);
    }
    let counts = attack.end();
    assert!(counts.conflicts > 0, "conflicts were told");
    assert!(counts.delivered <= u64::from(segments() / 4) * 32 + 1000);
}

#[test]
fn the_same_segment_over_and_over() {
    let mut attack = Attack::new();
    attack.send(1, Flags::SYN, 0, b"");
    for round in 0..segments() {
        attack.send(1, 0, 1000 + round % 3, if round % 2 == 0 { b"abcdefgh" } else { b"ABCDEFGH" });
    }
    let counts = attack.end();
    assert!(counts.delivered <= 10);
    assert!(counts.conflicts > 0);
}

#[test]
fn clocks_that_jump() {
    const YEAR: i64 = 365 * 86_400 * 1_000_000_000;
    let mut attack = Attack::new();
    for round in 0..segments() / 8 {
        for (client, jump) in
            [3 * YEAR, -5 * YEAR, YEAR / 1000, -1, i64::MAX, i64::MIN, 0].into_iter().enumerate()
        {
            attack.time = match jump {
                i64::MAX | i64::MIN => jump,
                jump => (attack.time % YEAR) + jump,
            };
            attack.send(
                client as u32 + 10 * (round % 100),
                Flags::SYN * u8::from(round % 3 == 0),
                round * 2,
                b"x",
            );
        }
    }
    let counts = attack.end();
    assert!(counts.pieces > 0);
}

#[test]
fn sequences_at_random() {
    let mut attack = Attack::new();
    let mut random = 1_u64;
    for _ in 0..segments() {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let [a, b, c, d, flags, client, length, _] = random.to_be_bytes();
        attack.send(
            u32::from(client % 4),
            flags,
            u32::from_be_bytes([a, b, c, d]),
            &[b'x'; 256][..usize::from(length)],
        );
    }
    let counts = attack.end();
    assert!(counts.delivered <= u64::from(segments()) * 256);
}
