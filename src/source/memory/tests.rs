//! Disturbed captures carry the same bytes, on every link type; what a way removes is what it says.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::Path;

use etherparse::SlicedPacket;
use proptest::prelude::*;

use super::connection::{Connection, datagram};
use super::disturb::{self, Half};
use super::place::{Ends, Place};
use super::write::{capture, pcapng};
use super::*;
use crate::source::from_reader;

fn request() -> Vec<u8> {
    b"POST /upload HTTP/1.1\r\nHost: a.example\r\n\r\n".iter().copied().cycle().take(2_000).collect()
}

fn answer() -> Vec<u8> {
    (0..4_000_u32).map(|at| (at % 251) as u8).collect()
}

fn conversation(v6: bool) -> Vec<Kept> {
    let (client, server) =
        if v6 { ("[2001:db8::9]:40000", "[2001:db8::1]:80") } else { ("192.0.2.9:40000", "192.0.2.1:80") };
    Connection::new(client.parse().unwrap(), server.parse().unwrap())
        .handshake()
        .to_server(&request())
        .to_client(&answer())
        .finish()
        .frames()
}

/// The Ethernet frames of a conversation on another link.
fn relinked(frames: &[Kept], link: LinkType, prefix: &[u8]) -> Vec<Kept> {
    let mut frames = frames.to_vec();
    for frame in &mut frames {
        frame.bytes = [prefix, &frame.bytes[14..]].concat();
        frame.original_len = frame.bytes.len() as u32;
        frame.link = link;
    }
    frames
}

fn captures() -> Vec<(&'static str, Vec<Kept>)> {
    let (v4, v6) = (conversation(false), conversation(true));
    let sll = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
    let sll2 = [0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    vec![
        ("null", relinked(&v4, LinkType::NULL, &[2, 0, 0, 0])),
        ("loop", relinked(&v6, LinkType::LOOP, &[0, 0, 0, 24])),
        ("sll", relinked(&v4, LinkType::LINUX_SLL, &sll)),
        ("sll2", relinked(&v6, LinkType::LINUX_SLL2, &sll2)),
        ("raw", relinked(&v4, LinkType::RAW, &[])),
        ("v4", v4),
        ("v6", v6),
    ]
}

/// The bytes of each direction, put in order by their sequence numbers; by source port.
fn streams(frames: &[Kept]) -> BTreeMap<u16, Vec<u8>> {
    let mut segments: BTreeMap<Ends, Vec<(u32, Vec<u8>)>> = BTreeMap::new();
    for frame in frames {
        let Some(place) = Place::of(frame) else { continue };
        let bytes = &frame.bytes;
        let sequence = place.sequence(bytes).wrapping_add(u32::from(place.is_syn(bytes)));
        let payload = bytes[place.payload..place.end].to_vec();
        segments.entry(place.ends(bytes).unwrap()).or_default().push((sequence, payload));
    }
    let in_order = |mut segments: Vec<(u32, Vec<u8>)>| {
        let first = segments[0].0;
        segments.sort_by_key(|(sequence, _)| sequence.wrapping_sub(first) as i32);
        let mut stream = Vec::new();
        let mut next = segments[0].0;
        for (sequence, payload) in segments {
            if sequence == next {
                next = next.wrapping_add(payload.len() as u32);
                stream.extend(payload);
            }
        }
        stream
    };
    segments
        .into_iter()
        .map(|(ends, segments)| (u16::from_be_bytes(*ends.source.last_chunk().unwrap()), in_order(segments)))
        .filter(|(_, stream)| !stream.is_empty())
        .collect()
}

fn both() -> BTreeMap<u16, Vec<u8>> {
    BTreeMap::from([(40_000, request()), (80, answer())])
}

#[test]
fn what_a_way_does_not_remove_is_still_there() {
    type Way = fn(&[Kept]) -> Vec<Kept>;
    let ways: [(&str, Way); 9] = [
        ("as it is", <[Kept]>::to_vec),
        ("shuffled", |frames| disturb::shuffled(frames, 4, 7)),
        ("doubled", disturb::doubled),
        ("segmented", |frames| disturb::segmented(frames, 1)),
        ("wrapped", disturb::wrapped),
        ("without handshake", disturb::without_handshake),
        ("vlan", disturb::vlan),
        ("qinq", disturb::qinq),
        ("over ipv6", disturb::over_ipv6),
    ];
    for (link, frames) in captures() {
        for (first, way) in ways {
            for (second, then) in ways {
                let disturbed = then(&way(&frames));
                assert!(streams(&disturbed) == both(), "{link}, {first}, {second}");
                assert!(disturbed.is_sorted_by_key(|frame| frame.time), "{link}, {first}, {second}");
                assert!(disturbed.iter().all(|frame| frame.bytes.len() == frame.original_len as usize));
            }
        }
    }
}

#[test]
fn each_way_does_what_it_says() {
    for (link, frames) in captures() {
        let place = |frame: &Kept| Place::of(frame).unwrap();
        let shuffled = disturb::shuffled(&frames, 5, 1);
        assert_eq!(shuffled, disturb::shuffled(&frames, 5, 1), "{link}");
        assert_ne!(shuffled, disturb::shuffled(&frames, 5, 2), "{link}");
        for (block, original) in shuffled.chunks(5).zip(frames.chunks(5)) {
            assert!(
                original.iter().all(|frame| block.iter().any(|other| other.bytes == frame.bytes)),
                "{link}"
            );
        }
        assert_eq!(disturb::doubled(&frames).len(), 2 * frames.len());

        let small = disturb::segmented(&frames, 1);
        assert!(small.iter().all(|frame| place(frame).length() <= 1), "{link}");
        assert_eq!(small.len(), request().len() + answer().len() + 6, "{link}");
        assert_eq!(small.iter().filter(|frame| place(frame).flags(&frame.bytes) & 8 != 0).count(), 2);

        for port in [80, 40_000] {
            let sequences: Vec<u32> = disturb::wrapped(&frames)
                .iter()
                .filter(|frame| frame.bytes[place(frame).tcp..].starts_with(&u16::to_be_bytes(port)))
                .map(|frame| place(frame).sequence(&frame.bytes))
                .collect();
            assert!(sequences.iter().any(|&sequence| sequence > u32::MAX - 10_000), "{link}");
            assert!(sequences.iter().any(|&sequence| sequence < 10_000), "{link}");
        }
        assert!(disturb::without_handshake(&frames).iter().all(|frame| !place(frame).is_syn(&frame.bytes)));
        assert_eq!(disturb::without_handshake(&frames).len(), frames.len() - 2);

        for frame in disturb::vlan(&frames) {
            let at = match frame.link {
                LinkType::LINUX_SLL => 14,
                LinkType::LINUX_SLL2 => 0,
                link => {
                    assert_eq!(link, LinkType::ETHERNET);
                    12
                }
            };
            assert_eq!(frame.bytes[at..at + 2], [0x81, 0]);
        }
        for (half, port) in [(Half::ToServer, 40_000), (Half::ToClient, 80)] {
            let left = disturb::one_direction(&frames, half);
            assert_eq!(streams(&left).into_keys().collect::<Vec<_>>(), [port], "{link}");
            let left = disturb::one_direction(&disturb::without_handshake(&frames), half);
            assert_eq!(streams(&left).into_keys().collect::<Vec<_>>(), [port], "{link}");
        }
    }
}

#[test]
fn acknowledgments_follow_their_sequence_numbers() {
    let frames = disturb::wrapped(&conversation(false));
    let [client_fin, server_fin, last] = frames.last_chunk::<3>().unwrap().each_ref().map(|frame| {
        let place = Place::of(frame).unwrap();
        (place.sequence(&frame.bytes), super::place::number(&frame.bytes, place.tcp + 8))
    });
    assert_eq!(server_fin.1, client_fin.0.wrapping_add(1));
    assert_eq!(last, (client_fin.0.wrapping_add(1), server_fin.0.wrapping_add(1)));
    // SYN of the client: it acknowledges nothing.
    assert_eq!(super::place::number(&frames[0].bytes, 14 + 20 + 8), 0);
}

#[test]
fn selective_acknowledgments_are_moved_too() {
    let mut frames = conversation(false);
    let ack = frames.last_mut().unwrap();
    // Two no-operations, then one block of the server's numbers, in a header that grows by 12 bytes.
    ack.bytes.splice(54..54, [[1, 1, 5, 10], [0, 0, 0x13, 0x88], [0, 0, 0x13, 0x98]].concat());
    ack.bytes[46] = 0x80;
    ack.bytes[17] += 12;
    ack.original_len += 12;
    let moved = disturb::wrapped(&frames);
    let shift = |at: usize, frame: usize| {
        let read = |frames: &[Kept]| super::place::number(&frames[frame].bytes, at);
        read(&moved).wrapping_sub(read(&frames))
    };
    let (last, acknowledgment) = (frames.len() - 1, 42);
    assert_ne!(shift(acknowledgment, last), 0);
    assert_eq!(shift(58, last), shift(acknowledgment, last));
    assert_eq!(shift(62, last), shift(acknowledgment, last));
}

#[test]
fn what_was_not_captured_stays_missing() {
    for (link, frames) in captures() {
        let cut = disturb::truncated(&frames, 500);
        let lengths = |frames: &[Kept]| -> usize {
            frames.iter().filter_map(Place::of).map(|place| place.length()).sum()
        };
        assert_eq!(lengths(&cut), lengths(&frames), "{link}");
        let small = disturb::segmented(&cut, 1);
        assert_eq!(lengths(&small), lengths(&frames), "{link}");
        assert!(small.iter().any(|frame| frame.original_len as usize > frame.bytes.len()), "{link}");
    }
}

#[test]
fn data_in_a_syn_outlives_the_handshake() {
    let mut frames = Connection::example(80).to_server(b"fast").frames();
    frames[0].bytes[47] |= 2;
    let left = disturb::without_handshake(&frames);
    let place = Place::of(&left[0]).unwrap();
    assert_eq!((place.sequence(&left[0].bytes), place.length()), (1_001, 4));
    assert!(!place.is_syn(&left[0].bytes));
    let parts = disturb::segmented(&frames, 1);
    let sequences: Vec<u32> =
        parts.iter().map(|part| Place::of(part).unwrap().sequence(&part.bytes)).collect();
    assert_eq!(sequences, [1_000, 1_002, 1_003, 1_004]);
}

#[test]
fn frames_are_well_formed() {
    let ends: [SocketAddr; 2] = ["192.0.2.9:40000".parse().unwrap(), "192.0.2.1:53".parse().unwrap()];
    let udp = datagram(Timestamp::default(), ends[0], ends[1], b"query").unwrap();
    for frame in [conversation(false), conversation(true), vec![udp]].concat() {
        let sliced = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(etherparse::NetSlice::Ipv4(ip)) = sliced.net else { continue };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        if let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport {
            let sum = tcp.calc_checksum_ipv4(header.source, header.destination).unwrap();
            assert_eq!(tcp.checksum(), sum);
        }
    }
}

#[test]
fn a_written_capture_is_read_back() {
    let mut mixed = Vec::new();
    for (name, frames) in captures() {
        for bytes in [capture(&frames), pcapng(&frames)] {
            let mut file = from_reader(Path::new(name), Box::new(Cursor::new(bytes)), None).unwrap();
            assert!(keep(&mut file).unwrap() == frames, "{name}");
        }
        assert!(keep(&mut Memory::new(frames.clone())).unwrap() == frames, "{name}");
        mixed.extend(disturb::truncated(&frames, 77));
    }
    let mut file = from_reader(Path::new("mixed"), Box::new(Cursor::new(capture(&mixed))), None).unwrap();
    assert!(keep(&mut file).unwrap() == mixed);
}

#[test]
fn numbers_of_frames_in_memory_count_from_one() {
    let mut memory = Memory::new(conversation(false));
    for expected in 1..=3 {
        assert!(matches!(memory.next(), Ok(Next::Frame(frame)) if frame.number == expected));
    }
    assert_eq!(memory.position(), 54 * 3);
}

proptest! {
    #[test]
    fn any_frames_can_be_disturbed(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..90_usize, any::<u8>()), 0..20),
        snaplen in 0..1_600_usize,
    ) {
        let mut all = captures();
        let (_, frames) = all.swap_remove(which.index(all.len()));
        let mut frames = disturb::truncated(&frames, snaplen);
        for (frame, at, value) in changes {
            let frame = frame.index(frames.len());
            if let Some(byte) = frames[frame].bytes.get_mut(at) {
                *byte = value;
            }
        }
        let frames = disturb::segmented(&disturb::wrapped(&frames), 100);
        let frames = disturb::over_ipv6(&disturb::without_handshake(&frames));
        let frames = disturb::qinq(&disturb::shuffled(&frames, 3, 1));
        prop_assert!(disturb::one_direction(&frames, Half::ToClient).len() <= frames.len());
    }
}
