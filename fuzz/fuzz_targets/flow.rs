//! Segments in any order with any numbers: never more bytes than were sent, limits kept, both ends told.
#![no_main]

use std::time::Duration;

use leaktap::flow::{Close, Interest, Limits, Loss, Now, Piece, Receiver, Table};
use leaktap::model::segment::{Flags, Segment};
use leaktap::model::{Endpoint, FlowKey, Side, Timestamp, Transport};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Sink {
    delivered: u64,
    ends: i64,
    open: i64,
}

impl Receiver for Sink {
    type State = u8;
    fn open(&mut self, _: &FlowKey, _: Option<Side>, _: Now) -> u8 {
        self.open += 1;
        0
    }
    fn initiator(&mut self, _: &FlowKey, _: &mut u8, _: Side) {}
    fn piece(&mut self, _: &FlowKey, state: &mut u8, _: Side, piece: Piece<'_>, _: Now) -> Interest {
        match piece {
            Piece::Data { bytes, .. } => self.delivered += bytes.len() as u64,
            Piece::Gap(missing) => assert!(missing < 1 << 31),
            Piece::End => {
                *state += 1;
                self.ends += 1;
            }
        }
        Interest::More
    }
    fn datagram(&mut self, _: &FlowKey, _: &mut u8, _: Side, _: &[u8], _: u32, _: Now) {}
    fn lost(&mut self, _: &FlowKey, _: &mut u8, _: Side, _: Loss, _: Now) {}
    fn close(&mut self, _: &FlowKey, state: u8, _: Close, _: Now) {
        assert_eq!(state, 2);
        self.open -= 1;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        flows: 4,
        early_per_direction: 4096,
        early_total: 8192,
        idle: Duration::from_secs(60),
        hole: Duration::from_secs(1),
    };
    let mut table = Table::new(limits);
    let mut sink = Sink::default();
    let mut sent = 0_u64;
    let mut time = Timestamp::default();
    let mut frame = 0;
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let [who, flags, a, b, c, d, length, step] = *head;
        let length = usize::from(length).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        let client = Endpoint::v4([10, 0, 0, 1], 1000 + u16::from(who >> 4));
        let server = Endpoint::v4([10, 0, 0, 2], 80);
        let (source, destination) = if who & 1 == 0 { (client, server) } else { (server, client) };
        let (key, sender) = FlowKey::new(source, destination, Transport::Tcp);
        frame += 1;
        time = Timestamp::from_nanos(time.as_nanos().wrapping_add(i64::from(step as i8) * 10_000_000));
        sent += payload.len() as u64;
        let segment = Segment {
            key,
            sender,
            // Small distances, near the end of the sequence space.
            sequence: u32::from(u16::from_be_bytes([a, b])).wrapping_sub(20_000),
            acknowledgment: u32::from(u16::from_be_bytes([c, d])).wrapping_sub(20_000),
            flags: Flags(flags),
            payload,
            cut: u32::from(who >> 1 & 1),
            realm: u16::from(who >> 3 & 3),
        };
        table.segment(&segment, Now { frame, time }, &mut sink);
        assert!(table.len() <= 4 && table.memory() <= 8192 + 4096);
    }
    table.finish(Now { frame, time }, &mut sink);
    assert!(sink.delivered <= sent);
    assert_eq!(sink.open, 0);
});
