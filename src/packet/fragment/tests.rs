//! Datagrams cut, mixed, doubled, overlapped and lost: what is put together, what is given up, within which limits.

use proptest::prelude::*;

use super::*;
use crate::model::{Frame, LinkType};
use crate::packet::decode;

/// A UDP datagram of `payload`.
fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&[0xc7, 0x38, 0, 53][..], &length, &[0, 0], payload].concat()
}

/// Text whose every part differs.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b"abcdefghijklmnopqrstuvwxyz0123456789-"[at * 7 % 37]).collect()
}

/// A fragment of IPv4: its number, its place in bytes, whether more follow.
fn v4(number: u16, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let total = (20 + bytes.len() as u16).to_be_bytes();
    let place = ((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes();
    let [n0, n1] = number.to_be_bytes();
    let head =
        [0x45, 0, total[0], total[1], n0, n1, place[0], place[1], 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head[..], bytes].concat()
}

/// The same of IPv6, behind destination options.
fn v6(number: u16, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let length = (16 + bytes.len() as u16).to_be_bytes();
    let place = (offset as u16 | u16::from(more)).to_be_bytes();
    let [n0, n1] = number.to_be_bytes();
    let addresses = [[0xfd; 15].as_slice(), &[1], &[0xfd; 15], &[2]].concat();
    let options = [44, 0, 1, 4, 0, 0, 0, 0];
    let fragment = [17, 0, place[0], place[1], 0, 0, n0, n1];
    [&[0x60, 0, 0, 0, length[0], length[1], 60, 64][..], &addresses, &options, &fragment, bytes].concat()
}

type Write = fn(u16, usize, bool, &[u8]) -> Vec<u8>;
const VERSIONS: [Write; 2] = [v4, v6];

/// A datagram in fragments of at most `size` bytes, a multiple of eight.
fn cut(write: Write, number: u16, datagram: &[u8], size: usize) -> Vec<Vec<u8>> {
    let parts = datagram.chunks(size).enumerate();
    parts.map(|(at, part)| write(number, at * size, (at + 1) * size < datagram.len(), part)).collect()
}

/// Gives packets to fragments, a second apart; the payloads of the datagrams that came of it.
fn put(fragments: &mut Fragments, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    for (at, packet) in packets.iter().enumerate() {
        let time = Timestamp::from_nanos(at as i64 * 1_000_000_000);
        let frame = Frame {
            number: at as u64 + 1,
            time,
            link: LinkType::RAW,
            bytes: packet,
            original_len: packet.len() as u32,
        };
        let Packet::Fragment(fragment) = decode(&frame) else { panic!("{packet:02x?}") };
        if let Ok(Some(rebuilt)) = fragments.take(&fragment, frame.number, time) {
            whole.push(payload(&rebuilt));
        }
    }
    whole
}

fn payload(rebuilt: &Rebuilt) -> Vec<u8> {
    match rebuilt.packet() {
        Packet::Udp(datagram) => datagram.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Gives up all that waits; the payloads of what there was of it.
fn rest(fragments: &mut Fragments) -> Vec<Vec<u8>> {
    let mut left = Vec::new();
    while !fragments.is_empty() {
        left.extend(fragments.give_up().map(|rebuilt| payload(&rebuilt)));
    }
    left
}

#[test]
fn the_order_does_not_matter() {
    let text = text(100);
    for write in VERSIONS {
        let parts = cut(write, 7, &udp(&text), 24);
        assert_eq!(parts.len(), 5);
        let mut orders = vec![parts.clone(), parts.iter().rev().cloned().collect()];
        for first in 0..5 {
            orders.push((0..5).map(|at| parts[(first + at * 2) % 5].clone()).collect());
        }
        for order in orders {
            let mut fragments = Fragments::default();
            assert_eq!(put(&mut fragments, &order), std::slice::from_ref(&text));
            assert!(rest(&mut fragments).is_empty());
            assert!(fragments.given_up().is_empty());
        }
    }
}

#[test]
fn what_comes_again_is_known_before_and_after_the_datagram_is_whole() {
    for write in VERSIONS {
        let text = text(60);
        let parts = cut(write, 7, &udp(&text), 24);
        let doubled: Vec<_> = parts.iter().flat_map(|part| [part.clone(), part.clone()]).collect();
        let twice = [parts.clone(), parts].concat();
        for packets in [doubled, twice] {
            let mut fragments = Fragments::default();
            assert_eq!(put(&mut fragments, &packets), std::slice::from_ref(&text));
            rest(&mut fragments);
            assert!(fragments.given_up().is_empty());
        }
    }
}

#[test]
fn a_number_may_be_used_again() {
    for write in VERSIONS {
        let (one, other) = (text(60), text(90)[7..].to_vec());
        let packets = [cut(write, 7, &udp(&one), 24), cut(write, 7, &udp(&other), 24)].concat();
        let mut fragments = Fragments::default();
        assert_eq!(put(&mut fragments, &packets), [one, other]);
        assert!(fragments.given_up().is_empty());
    }
}

#[test]
fn of_octets_that_come_twice_the_first_stay_and_a_difference_is_told() {
    let text = text(56);
    let datagram = udp(&text);
    for write in VERSIONS {
        // The second overlaps the first and the third, once with the same octets, once with others.
        for (spoil, told) in [(false, 0), (true, 1)] {
            let mut middle = datagram[16..48].to_vec();
            if spoil {
                middle[..8].fill(b'!');
                middle[24..].fill(b'!');
            }
            let packets = [
                write(7, 0, true, &datagram[..24]),
                write(7, 40, false, &datagram[40..]),
                write(7, 16, true, &middle),
            ];
            let mut fragments = Fragments::default();
            assert_eq!(put(&mut fragments, &packets), std::slice::from_ref(&text));
            let given_up = fragments.given_up();
            assert_eq!(given_up.len(), told, "{given_up:?}");
            if spoil {
                let expected =
                    GivenUp { reason: "conflicting-fragments", count: 1, bytes: 0, frames: [1, 3] };
                assert_eq!(given_up, [expected]);
            }
        }
    }
}

#[test]
fn what_lacks_a_fragment_is_given_up_after_half_a_minute_and_its_beginning_is_seen() {
    let text = text(100);
    for write in VERSIONS {
        let mut parts = cut(write, 7, &udp(&text), 24);
        parts.remove(2);
        let mut fragments = Fragments::default();
        assert!(put(&mut fragments, &parts).is_empty());
        fragments.advance(Timestamp::from_nanos(29_999_999_999));
        assert!(!fragments.is_due());
        fragments.advance(Timestamp::from_nanos(30_000_000_000));
        assert!(fragments.is_due());
        let rebuilt = fragments.give_up().unwrap();
        let Packet::Udp(datagram) = rebuilt.packet() else { panic!() };
        assert_eq!((datagram.payload, datagram.cut), (&text[..40], 60));
        assert!(!fragments.is_due() && fragments.is_empty());
        assert_eq!(fragments.memory(), 0);
        let expected = GivenUp { reason: "fragment-missing", count: 1, bytes: 60, frames: [1, 4] };
        assert_eq!(fragments.given_up(), [expected]);
        // Of one that lacks its first nothing can be said.
        let mut parts = cut(write, 8, &udp(&text), 24);
        parts.remove(0);
        assert!(put(&mut fragments, &parts).is_empty());
        assert!(rest(&mut fragments).is_empty());
        assert_eq!(fragments.given_up()[0].bytes, 108);
    }
}

#[test]
fn memory_stays_within_its_limit_and_the_oldest_go() {
    let limits = Limits { bytes: 64 << 10, ..Limits::default() };
    let mut fragments = Fragments::new(limits);
    let mut given = 0;
    for number in 0..2000_u16 {
        let packet = v4(number, 0, true, &udp(&text(992)));
        let frame = Frame {
            number: u64::from(number),
            time: Timestamp::default(),
            link: LinkType::RAW,
            bytes: &packet,
            original_len: packet.len() as u32,
        };
        let Packet::Fragment(fragment) = decode(&frame) else { panic!() };
        assert!(fragments.take(&fragment, frame.number, frame.time).unwrap().is_none());
        while fragments.is_due() {
            given += usize::from(fragments.give_up().is_some());
        }
        assert!(fragments.memory() <= limits.bytes);
    }
    let given_up = fragments.given_up();
    assert!(given > 1900, "{given}");
    assert_eq!((given_up.len(), given_up[0].reason, given_up[0].count), (1, "fragment-limit", given as u64));
}

#[test]
fn a_number_used_again_and_again_leaves_nothing_behind() {
    let mut fragments = Fragments::default();
    let first = cut(v4, 1, &udp(&text(60)), 24);
    put(&mut fragments, &first[..1]);
    for at in 0..20_000 {
        put(&mut fragments, &cut(v4, 7, &udp(&text(60 + at % 2)), 24));
        assert!(fragments.order.len() < 1100);
    }
}

#[test]
fn nonsense_is_refused() {
    for write in VERSIONS {
        let mut fragments = Fragments::default();
        for (offset, more, length, reason) in [
            (65_528, false, 16, "fragment beyond the longest datagram"),
            (0, true, 12, "fragment of no multiple of eight bytes"),
        ] {
            let packet = write(1, offset, more, &text(length));
            let frame = Frame {
                number: 1,
                time: Timestamp::default(),
                link: LinkType::RAW,
                bytes: &packet,
                original_len: packet.len() as u32,
            };
            let Packet::Fragment(fragment) = decode(&frame) else { panic!() };
            assert_eq!(fragments.take(&fragment, 1, frame.time).unwrap_err(), reason);
        }
        assert!(fragments.is_empty());
    }
}

/// Puts fragments into an array, the first received staying: slow and obviously right.
fn model(packets: &[(usize, bool, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut have: Vec<Option<u8>> = Vec::new();
    let mut end = None;
    for (offset, more, bytes) in packets {
        have.resize(have.len().max(offset + bytes.len()), None);
        for (at, &byte) in bytes.iter().enumerate() {
            have[offset + at].get_or_insert(byte);
        }
        if !more {
            end.get_or_insert(offset + bytes.len());
        }
        if end == Some(have.len())
            && let Some(whole) = have.iter().copied().collect()
        {
            return Some(whole);
        }
    }
    None
}

proptest! {
    #[test]
    fn any_fragments_give_what_the_model_gives(
        parts in prop::collection::vec((0..12_usize, 1..6_usize, any::<bool>(), any::<u8>()), 1..14),
    ) {
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(offset, length, more, fill)| (offset * 8, more, vec![fill; length * 8]))
            .collect();
        for write in VERSIONS {
            let mut fragments = Fragments::default();
            let mut found = None;
            for (at, (offset, more, bytes)) in parts.iter().enumerate() {
                let packet = write(3, *offset, *more, bytes);
                let frame = Frame {
                    number: at as u64,
                    time: Timestamp::default(),
                    link: LinkType::RAW,
                    bytes: &packet,
                    original_len: packet.len() as u32,
                };
                // A whole datagram that says of itself that it is none.
                let Packet::Fragment(fragment) = decode(&frame) else { continue };
                if let Ok(Some(rebuilt)) = fragments.take(&fragment, frame.number, frame.time) {
                    found.get_or_insert(rebuilt.bytes()[rebuilt.bytes().len() - rebuilt_length(&rebuilt)..].to_vec());
                    break;
                }
            }
            let whole: Vec<_> = parts.iter().filter(|(offset, more, _)| *more || *offset > 0).cloned().collect();
            prop_assert_eq!(&found, &model(&whole));
            while !fragments.is_empty() {
                fragments.give_up();
            }
            prop_assert_eq!(fragments.memory(), 0);
        }
    }
}

fn rebuilt_length(rebuilt: &Rebuilt) -> usize {
    rebuilt.bytes().len() - if rebuilt.bytes()[0] >> 4 == 4 { 20 } else { 40 }
}
