//! Encapsulations, fragments and links through the whole engine: what is told of them, and that it is told once.
//!
//! What could be had of real tools is under captures/ (VXLAN, GRE, Geneve, ERSPAN, GTP-U, MPLS, QinQ, IP in IP, fragments). For the
//! rest no tool runs here: those frames are made by hand, around the packets of a real capture.

use std::path::{Path, PathBuf};

use leaktap::model::event::{Event, Lost};
use leaktap::model::{LinkType, Timestamp};
use leaktap::pipeline::Options;
use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::disturb;

use crate::support::{found, frames_of, leaks, options, scan_files, scan_frames};

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).join("input.pcap")
}

fn lost(events: &[Event]) -> Vec<&Lost> {
    let lost = events.iter().filter_map(|event| match event {
        Event::Lost(lost) => Some(lost),
        _ => None,
    });
    lost.collect()
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
}

/// The IP packets of a real capture, each behind `header` and as this link type.
fn behind(header: impl Fn(usize) -> Vec<u8>, link: LinkType) -> Vec<Kept> {
    let frames = frames_of(&capture("keepalive"));
    let wrapped = frames.into_iter().map(|frame| {
        let datagram = &frame.bytes[14..];
        let bytes = [header(datagram.len()), datagram.to_vec()].concat();
        let original_len = bytes.len() as u32;
        Kept { link, bytes, original_len, ..frame }
    });
    wrapped.collect()
}

const STATIONS: [u8; 18] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3];
const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

/// An IPv4 header around so many bytes of this protocol.
fn outer(protocol: u8, length: usize) -> Vec<u8> {
    let [l0, l1] = (20 + length as u16).to_be_bytes();
    vec![0x45, 0, l0, l1, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 201, 192, 0, 2, 202]
}

/// The same with UDP to this port.
fn datagram(port: u16, header: &[u8], length: usize) -> Vec<u8> {
    let length = 8 + header.len() + length;
    let ports = [&[0xd9, 3][..], &port.to_be_bytes(), &(length as u16).to_be_bytes(), &[0, 0]].concat();
    [&outer(17, length)[..], &ports, header].concat()
}

#[test]
fn links_and_tunnels_that_no_tool_here_makes_change_nothing() {
    let as_it_is = found(&frames_of(&capture("keepalive")));
    assert!(!as_it_is.is_empty());
    let ethernet = [&STATIONS[..12], &[8, 0]].concat();
    let in_gre = |header: &[u8], length: usize| [outer(47, header.len() + length), header.to_vec()].concat();
    let radiotap = [&[0, 0, 9, 0, 2, 0, 0, 0, 0][..], &[0x08, 2, 0, 0], &STATIONS, &[0, 0], &SNAP].concat();
    type Header = Box<dyn Fn(usize) -> Vec<u8>>;
    let fixed = |bytes: &[u8]| -> Header {
        let bytes = bytes.to_vec();
        Box::new(move |_| bytes.clone())
    };
    let cases: Vec<(&str, LinkType, Header)> = vec![
        ("raw ip 12", LinkType::RAW_BSD, fixed(&[])),
        ("raw ip 101", LinkType::RAW, fixed(&[])),
        ("raw ip 228", LinkType::IPV4, fixed(&[])),
        ("ppp", LinkType::PPP, fixed(&[0xff, 3, 0, 0x21])),
        ("ppp on a serial line", LinkType::PPP_HDLC, fixed(&[0xff, 3, 0, 0x21])),
        ("cisco hdlc", LinkType::C_HDLC, fixed(&[0x0f, 0, 8, 0])),
        ("802.11", LinkType::IEEE802_11, fixed(&[&[0x08, 2, 0, 0], &STATIONS[..], &[0, 0], &SNAP].concat())),
        ("802.11 with radiotap", LinkType::IEEE802_11_RADIOTAP, fixed(&radiotap)),
        (
            "nflog",
            LinkType::NFLOG,
            Box::new(|length| [&[2, 0, 0, 5][..], &((length + 4) as u16).to_le_bytes(), &[9, 0]].concat()),
        ),
        ("pktap", LinkType::PKTAP, fixed(&[&[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &ethernet[..]].concat())),
        (
            "four vlan tags",
            LinkType::ETHERNET,
            fixed(&[&STATIONS[..12], &[0x81, 0, 0, 7].repeat(4), &[8, 0]].concat()),
        ),
        (
            "pppoe",
            LinkType::ETHERNET,
            Box::new(|length| {
                let length = ((length + 2) as u16).to_be_bytes();
                [&STATIONS[..12], &[0x88, 0x64, 0x11, 0, 0, 9], &length, &[0, 0x21]].concat()
            }),
        ),
        (
            "pseudowire",
            LinkType::ETHERNET,
            fixed(&[&STATIONS[..12], &[0x88, 0x47, 0, 1, 1, 64, 0, 0, 0, 1], &ethernet].concat()),
        ),
        ("gre", LinkType::RAW, Box::new(move |length| in_gre(&[0, 0, 8, 0], length))),
        (
            "erspan i",
            LinkType::RAW,
            Box::new({
                let header = [&[0, 0, 0x88, 0xbe], &ethernet[..]].concat();
                move |length| in_gre(&header, length)
            }),
        ),
        (
            "l2tp",
            LinkType::RAW,
            Box::new(|length| datagram(1701, &[0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21], length)),
        ),
        (
            "l2tpv3",
            LinkType::RAW,
            Box::new({
                let header = [&[0, 0, 0, 5, 0, 0, 0, 0], &ethernet[..]].concat();
                move |length| [outer(115, header.len() + length), header.clone()].concat()
            }),
        ),
        (
            "azure's gateway load balancer",
            LinkType::RAW,
            Box::new({
                let header = [&[8, 0, 0, 0, 0, 3, 32, 0], &ethernet[..]].concat();
                move |length| datagram(10_800, &header, length)
            }),
        ),
        (
            "aws: a mirror behind its gateway load balancer",
            LinkType::RAW,
            Box::new({
                let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet[..]].concat();
                move |length| {
                    let inner = datagram(4789, &vxlan, length);
                    let options =
                        [8, 0, 8, 0, 0, 0, 0, 0].iter().copied().chain([0; 32]).collect::<Vec<u8>>();
                    [datagram(6081, &options, inner.len() + length), inner].concat()
                }
            }),
        ),
    ];
    for (name, link, header) in cases {
        assert_eq!(found(&behind(header, link)), as_it_is, "{name}");
    }
}

#[test]
fn raw_ipv6_is_read_by_its_own_number() {
    let frames = disturb::over_ipv6(&frames_of(&capture("keepalive")));
    let numbered = frames.iter().map(|frame| Kept { link: LinkType::IPV6, ..frame.clone() });
    assert_eq!(found(&numbered.collect::<Vec<_>>()), found(&frames));
    assert!(!found(&frames).is_empty());
}

#[test]
fn a_flow_that_is_seen_more_than_once_is_one() {
    // Bare and in the tunnel; on both ports of a bridge and the bridge; each frame of a mirror twice.
    for name in ["vxlan-and-bare", "bridge-both-sides", "span-doubled"] {
        let (events, _, _) = scan_files(&[&capture(name)], &options(1));
        let told: Vec<_> = leaks(&events).iter().map(|leak| leak.rule.clone()).collect();
        assert_eq!(told, ["generic-api-key", "stripe-secret-key"], "{name}");
        let Some(Event::Summary(summary)) = events.last() else { panic!() };
        // Two connections, two requests, two answers.
        assert_eq!(
            (summary.flows, summary.messages.values().sum::<u64>(), summary.again),
            (2, 4, 0),
            "{name}"
        );
        assert!(lost(&events).is_empty(), "{name}: {:?}", lost(&events));
    }
}

#[test]
fn events_do_not_depend_on_the_number_of_workers() {
    for name in
        ["vxlan-and-bare", "vxlan-fragmented", "ip-fragments-in-vxlan", "ip-fragment-missing", "gtp-u"]
    {
        let path = capture(name);
        let (alone, _, _) = scan_files(&[&path, &path], &options(1));
        for jobs in [2, 4] {
            assert_eq!(lines(&scan_files(&[&path, &path], &options(jobs)).0), lines(&alone), "{name} {jobs}");
        }
    }
}

#[test]
fn fragments_that_miss_a_part_are_told() {
    let path = capture("ip-fragment-missing");
    let (events, _, _) = scan_files(&[&path], &options(1));
    let missing = lost(&events).into_iter().find(|lost| lost.reason == "fragment-missing").unwrap();
    assert!(missing.count > 0 && missing.bytes > 0 && missing.flow.is_none(), "{missing:?}");
    assert_eq!(missing.source, path.display().to_string());
    let frames = frames_of(&path);
    assert!(missing.frames[0] < missing.frames[1] && missing.frames[1] <= frames.len() as u64);
    // The flow says so, too: a hole.
    assert!(lost(&events).iter().any(|lost| lost.flow.is_some()), "{:?}", lost(&events));
}

#[test]
fn fragments_are_waited_for_by_the_clock_of_the_capture() {
    // Of three fragments of a datagram that holds a token the first comes, then more than a thousand other frames, then the rest.
    let frames = frames_of(&capture("ipv6-fragments"));
    let other = frames_of(&capture("keepalive")).swap_remove(0);
    let at = |frame: &Kept, seconds: i64| {
        let time = Timestamp::from_nanos(frames[0].time.as_nanos() + seconds * 1_000_000_000);
        Kept { time, ..frame.clone() }
    };
    for (seconds, is_told) in [(29, true), (31, false)] {
        let others = (0..1100).map(|_| at(&other, seconds));
        let rest = frames[1..3].iter().map(|frame| at(frame, seconds));
        let all: Vec<Kept> = std::iter::once(frames[0].clone()).chain(others).chain(rest).collect();
        let (events, _, _) = scan_frames(&all, &options(1));
        assert_eq!(leaks(&events).iter().any(|leak| leak.rule == "github-pat"), is_told, "{seconds}");
        let missing = lost(&events).into_iter().find(|lost| lost.reason == "fragment-missing");
        // Given up are the first, and in the end the others that came too late.
        assert_eq!(missing.map(|lost| lost.count), (!is_told).then_some(2), "{seconds}");
    }
}

#[test]
fn conflicting_fragments_are_told() {
    let frames = disturb::fragmented(&frames_of(&capture("keepalive")), 64);
    let mut spoiled = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        spoiled.push(frame.clone());
        // The same place once more, with other bytes.
        if at % 5 == 0 && frame.bytes.len() == 14 + 20 + 64 {
            let mut other = frame.clone();
            other.bytes[14 + 20 + 30..].fill(b'?');
            spoiled.push(other);
        }
    }
    assert_eq!(found(&spoiled), found(&frames), "the first received stays");
    let (events, _, _) = scan_frames(&spoiled, &options(1));
    assert!(lost(&events).iter().any(|lost| lost.reason == "conflicting-fragments" && lost.count > 1));
}

/// A request that leaks `key`, from the same address and port whoever sends it; each network begins to count elsewhere.
fn tenant(key: &str, sequences: (u32, u32)) -> Vec<Kept> {
    let ask = format!("GET /v1/charges?api_key={key} HTTP/1.1\r\nHost: pay.example.com\r\n\r\n");
    Connection::example(80)
        .sequences(sequences.0, sequences.1)
        .handshake()
        .to_server(ask.as_bytes())
        .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .finish()
        .frames()
}

/// A way to write which network an Ethernet frame is of.
type Wrap = fn(&[u8], u8) -> Vec<u8>;

#[test]
fn networks_that_use_the_same_addresses_and_ports_are_told_apart() {
    const TAGS: Wrap = |frame, number| [&frame[..12], &[0x81, 0, 0, number], &frame[12..]].concat();
    const TWO_TAGS: Wrap =
        |frame, number| [&frame[..12], &[0x88, 0xa8, 0, number, 0x81, 0, 0, 7], &frame[12..]].concat();
    const VXLAN: Wrap = |frame, number| {
        [&STATIONS[..12], &[8, 0], &datagram(4789, &[8, 0, 0, 0, 0, 0, number, 0], frame.len()), frame]
            .concat()
    };
    const GENEVE: Wrap = |frame, number| {
        [&STATIONS[..12], &[8, 0], &datagram(6081, &[0, 0, 0x65, 0x58, 0, 0, number, 0], frame.len()), frame]
            .concat()
    };
    const GRE: Wrap = |frame, number| {
        let header = [0x20, 0, 0x65, 0x58, 0, 0, number, 0];
        [&STATIONS[..12], &[8, 0], &outer(47, header.len() + frame.len()), &header, frame].concat()
    };
    // The second network is bare in the last one.
    const MIXED: Wrap = |frame, number| if number == 2 { frame.to_vec() } else { TAGS(frame, number) };
    let keys = ["sk_live_Zt4Wn8LrJ6vQd1GsM3xKb9Hy", "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL"];
    let wraps = [
        ("vlan", TAGS),
        ("qinq", TWO_TAGS),
        ("vxlan", VXLAN),
        ("geneve", GENEVE),
        ("gre", GRE),
        ("one bare", MIXED),
    ];
    for (name, wrap) in wraps {
        for size in [None, Some(64)] {
            let of = |key, sequences| match size {
                Some(size) => disturb::fragmented(&tenant(key, sequences), size),
                None => tenant(key, sequences),
            };
            let networks = [of(keys[0], (100, 700_000_000)), of(keys[1], (2_000_000_000, 3_500_000_000))];
            let mut frames = Vec::new();
            for (first, second) in networks[0].iter().zip(&networks[1]) {
                for (frame, number) in [(first, 1), (second, 2)] {
                    let bytes = wrap(&frame.bytes, number);
                    frames.push(Kept { original_len: bytes.len() as u32, bytes, ..frame.clone() });
                }
            }
            for jobs in [1, 4] {
                let (events, _, _) = scan_frames(&frames, &Options { reveal: true, ..options(jobs) });
                let mut told: Vec<_> = leaks(&events)
                    .iter()
                    .filter(|leak| leak.rule == "stripe-secret-key")
                    .map(|leak| {
                        (leak.secret.clone().unwrap().value.unwrap(), leak.http.clone().unwrap().status)
                    })
                    .collect();
                told.sort();
                let expected: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), Some(200))).collect();
                assert_eq!(told, expected, "{name} {size:?}");
                assert!(lost(&events).is_empty(), "{name} {size:?}: {:?}", lost(&events));
                let Some(Event::Summary(summary)) = events.last() else { panic!() };
                assert_eq!(
                    (summary.flows, summary.messages.values().sum::<u64>()),
                    (2, 4),
                    "{name} {size:?}"
                );
            }
            // The same traffic seen on both is one.
            let both: Vec<Kept> = networks[0]
                .iter()
                .flat_map(|frame| {
                    [1, 2].map(|number| {
                        let bytes = wrap(&frame.bytes, number);
                        Kept { original_len: bytes.len() as u32, bytes, ..frame.clone() }
                    })
                })
                .collect();
            let (events, _, _) = scan_frames(&both, &options(1));
            let Some(Event::Summary(summary)) = events.last() else { panic!() };
            assert_eq!((summary.flows, summary.again, lost(&events).len()), (1, 0, 0), "{name} {size:?}");
        }
    }
}
