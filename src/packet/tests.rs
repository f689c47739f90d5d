//! Frames written by etherparse's builder, in every combination of link, network and transport header.

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, TcpHeader, TcpOptionElement,
};
use proptest::prelude::*;

use super::*;
use crate::model::{Endpoint, FlowKey};
use crate::model::{Timestamp, Transport};

const PAYLOAD: &[u8] = b"GET /orders?page=2 HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// Link headers: a name, the link type, and the bytes before the network header.
fn links(v6: bool) -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let ethertype: &[u8] = if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] };
    let ethernet =
        |tags: &[&[u8]]| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &tags.concat()[..], ethertype].concat();
    let mut links = vec![
        ("ethernet", LinkType::ETHERNET, ethernet(&[])),
        ("vlan", LinkType::ETHERNET, ethernet(&[&[0x81, 0, 0, 7]])),
        ("qinq", LinkType::ETHERNET, ethernet(&[&[0x88, 0xa8, 0, 7], &[0x81, 0, 0, 9]])),
        ("old qinq", LinkType::ETHERNET, ethernet(&[&[0x91, 0, 0, 7], &[0x81, 0, 0, 9]])),
        ("five tags", LinkType::ETHERNET, ethernet(&[&[0x81, 0, 0, 7][..]; 5])),
        ("raw", LinkType::RAW, vec![]),
        ("raw 12", LinkType::RAW_BSD, vec![]),
        ("raw 14", LinkType(14), vec![]),
        ("ip", if v6 { LinkType::IPV6 } else { LinkType::IPV4 }, vec![]),
        ("sll", LinkType::LINUX_SLL, [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], ethertype].concat()),
        (
            "sll2",
            LinkType::LINUX_SLL2,
            [ethertype, &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]].concat(),
        ),
        (
            "sll vlan",
            LinkType::LINUX_SLL,
            [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 7], ethertype].concat(),
        ),
    ];
    let families: &[u32] = if v6 { &[10, 24, 28, 30] } else { &[2] };
    for family in families {
        links.push(("null", LinkType::NULL, family.to_le_bytes().to_vec()));
        links.push(("null, big endian", LinkType::NULL, family.to_be_bytes().to_vec()));
        links.push(("loop", LinkType::LOOP, family.to_be_bytes().to_vec()));
        links.push(("loop, little endian", LinkType::LOOP, family.to_le_bytes().to_vec()));
    }
    links
}

fn raw_extension() -> Ipv6RawExtHeader {
    Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[0; 14]).unwrap()
}

/// Network headers by name; the lengths and next headers are filled in by the builder.
fn networks() -> Vec<(&'static str, IpHeaders)> {
    let v4 = || {
        Ipv4Header::new(0, 64, IpNumber::TCP, "10.0.0.1".v4(), "10.0.0.2".v4()).expect("lengths of zero fit")
    };
    let v6 = || Ipv6Header {
        source: "fd00::1".v6(),
        destination: "fd00::2".v6(),
        hop_limit: 9,
        ..Default::default()
    };
    let with_options = Ipv4Header { options: Ipv4Options::try_from(&[1_u8; 12][..]).unwrap(), ..v4() };
    let ah = etherparse::IpAuthHeader::new(IpNumber::TCP, 1, 2, &[7; 12]).unwrap();
    let exts = |change: fn(&mut Ipv6Extensions)| {
        let mut exts = Ipv6Extensions::default();
        change(&mut exts);
        exts
    };
    vec![
        ("v4", IpHeaders::Ipv4(v4(), Ipv4Extensions::default())),
        ("v4 options", IpHeaders::Ipv4(with_options, Ipv4Extensions::default())),
        ("v4 ah", IpHeaders::Ipv4(v4(), Ipv4Extensions { auth: Some(ah.clone()) })),
        ("v6", IpHeaders::Ipv6(v6(), Ipv6Extensions::default())),
        ("v6 hop-by-hop", IpHeaders::Ipv6(v6(), exts(|e| e.hop_by_hop_options = Some(raw_extension())))),
        (
            "v6 all",
            IpHeaders::Ipv6(
                v6(),
                Ipv6Extensions {
                    hop_by_hop_options: Some(raw_extension()),
                    destination_options: Some(raw_extension()),
                    routing: Some(etherparse::Ipv6RoutingExtensions {
                        routing: raw_extension(),
                        final_destination_options: Some(raw_extension()),
                    }),
                    fragment: None,
                    auth: Some(ah),
                },
            ),
        ),
        (
            "v6 atomic fragment",
            IpHeaders::Ipv6(
                v6(),
                exts(|e| {
                    e.fragment = Some(Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, false, 7))
                }),
            ),
        ),
    ]
}

trait Address {
    fn v4(&self) -> [u8; 4];
    fn v6(&self) -> [u8; 16];
}

impl Address for str {
    fn v4(&self) -> [u8; 4] {
        self.parse::<std::net::Ipv4Addr>().unwrap().octets()
    }
    fn v6(&self) -> [u8; 16] {
        self.parse::<std::net::Ipv6Addr>().unwrap().octets()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Carrier {
    Tcp,
    TcpOptions,
    Udp,
}

fn datagram(network: IpHeaders, carrier: Carrier, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ip(network);
    let mut tcp = TcpHeader::new(51000, 80, 0xffff_fff0, 1000);
    (tcp.acknowledgment_number, tcp.ack, tcp.psh) = (77, true, true);
    match carrier {
        Carrier::Udp => builder.udp(51000, 80).write(&mut bytes, payload).unwrap(),
        Carrier::Tcp => builder.tcp_header(tcp).write(&mut bytes, payload).unwrap(),
        Carrier::TcpOptions => {
            tcp.set_options(&[TcpOptionElement::Timestamp(1, 2), TcpOptionElement::MaximumSegmentSize(1448)])
                .unwrap();
            builder.tcp_header(tcp).write(&mut bytes, payload).unwrap();
        }
    }
    bytes
}

fn frame(link: LinkType, bytes: &[u8], original_len: usize) -> Frame<'_> {
    Frame { number: 1, time: Timestamp::default(), link, bytes, original_len: original_len as u32 }
}

/// Every combination of headers, whole: the frame, its link type, the carrier, and whether it is IPv6.
fn combinations(payload: &[u8]) -> Vec<(String, LinkType, Vec<u8>, Carrier, bool)> {
    let mut all = Vec::new();
    for (network, headers) in networks() {
        let v6 = headers.ipv6().is_some();
        for carrier in [Carrier::Tcp, Carrier::TcpOptions, Carrier::Udp] {
            for (link, number, prefix) in links(v6) {
                let bytes = [prefix, datagram(headers.clone(), carrier, payload)].concat();
                all.push((format!("{link} / {network} / {carrier:?}"), number, bytes, carrier, v6));
            }
        }
    }
    all
}

/// The payload and what is cut of it, where ports, numbers and flags are those of [`datagram`].
fn checked<'a>(packet: Packet<'a>, carrier: Carrier, v6: bool) -> Option<(&'a [u8], u32)> {
    let ends = |port_source, port_destination| {
        if v6 {
            (Endpoint::v6("fd00::1".v6(), port_source), Endpoint::v6("fd00::2".v6(), port_destination))
        } else {
            (Endpoint::v4("10.0.0.1".v4(), port_source), Endpoint::v4("10.0.0.2".v4(), port_destination))
        }
    };
    let (source, destination) = ends(51000, 80);
    match (packet, carrier) {
        (Packet::Udp(datagram), Carrier::Udp) => {
            assert_eq!((datagram.key, datagram.sender), FlowKey::new(source, destination, Transport::Udp));
            Some((datagram.payload, datagram.cut))
        }
        (Packet::Tcp(segment), Carrier::Tcp | Carrier::TcpOptions) => {
            assert_eq!((segment.key, segment.sender), FlowKey::new(source, destination, Transport::Tcp));
            assert_eq!((segment.sequence, segment.acknowledgment), (0xffff_fff0, 77));
            assert_eq!(segment.flags, Flags(Flags::ACK | Flags::PSH));
            assert_eq!(segment.source(), source);
            Some((segment.payload, segment.cut))
        }
        _ => None,
    }
}

#[test]
fn every_combination_of_headers_is_decoded_and_padding_is_not_payload() {
    for payload in [PAYLOAD, b"x", b""] {
        for (name, link, bytes, carrier, v6) in combinations(payload) {
            let padded = [&bytes[..], &[0xee; 9]].concat();
            for bytes in [&bytes, &padded] {
                let packet = decode(&frame(link, bytes, bytes.len()));
                assert_eq!(checked(packet, carrier, v6), Some((payload, 0)), "{name}: {packet:?}");
            }
        }
    }
}

#[test]
fn a_frame_cut_anywhere_gives_what_is_there_and_counts_the_rest() {
    for (name, link, bytes, carrier, v6) in combinations(PAYLOAD) {
        let mut given = 0;
        for length in 0..=bytes.len() {
            let packet = decode(&frame(link, &bytes[..length], bytes.len()));
            let Some((payload, cut)) = checked(packet, carrier, v6) else {
                assert!(matches!(packet, Packet::Malformed(_)), "{name} cut to {length}: {packet:?}");
                assert_eq!(given, 0, "{name} cut to {length}");
                continue;
            };
            given += 1;
            assert!(PAYLOAD.starts_with(payload), "{name} cut to {length}");
            assert_eq!(payload.len() + cut as usize, PAYLOAD.len(), "{name} cut to {length}");
            assert_eq!(payload.len(), PAYLOAD.len().saturating_sub(bytes.len() - length), "{name}");
        }
        // Cut within the TCP options too, the place of the segment is known.
        let options = if carrier == Carrier::TcpOptions { 16 } else { 0 };
        assert_eq!(given, PAYLOAD.len() + 1 + options, "{name}");
    }
}

/// `(what, offset of the change in an Ethernet frame, the new bytes, the reason)`.
#[test]
fn nonsense_in_headers_is_malformed() {
    let cases: &[(&str, usize, &[u8], &str)] = &[
        ("v4", 14, &[0x55], "ip version is not 4"),
        ("v4", 14, &[0x44], "ipv4 header length below 20"),
        ("v4", 16, &[0, 19], "ipv4 total length below its header"),
        ("v4", 16, &[0, 39], "tcp header cut short"),
        ("v4", 46, &[0x40], "tcp data offset below 5"),
        ("v4", 16, &[0, 41, 0, 0, 0, 0, 64, 6, 0, 0], ""),
        ("v6", 14, &[0x45], "ip version is not 6"),
        ("v6", 18, &[0, 19], "tcp header cut short"),
        ("v6 hop-by-hop", 55, &[200], "ipv6 extension headers broken or cut short"),
    ];
    for (network, at, new, reason) in cases {
        let headers = networks().into_iter().find(|(name, _)| name == network).unwrap().1;
        let v6 = headers.ipv6().is_some();
        let prefix = links(v6).remove(0).2;
        let mut bytes = [prefix, datagram(headers, Carrier::Tcp, PAYLOAD)].concat();
        bytes[*at..*at + new.len()].copy_from_slice(new);
        match decode(&frame(LinkType::ETHERNET, &bytes, bytes.len())) {
            Packet::Malformed(found) => assert_eq!(found, *reason, "{network} at {at}"),
            Packet::Tcp(segment) if reason.is_empty() => assert_eq!(segment.payload, b"G"),
            other => panic!("{network} at {at}: {other:?}"),
        }
    }
    let mut bytes = datagram(networks().remove(0).1, Carrier::TcpOptions, b"");
    bytes[32] = 0xf0;
    assert!(matches!(
        decode(&frame(LinkType::RAW, &bytes, bytes.len())),
        Packet::Malformed("tcp header longer than its segment")
    ));
    for (length, reason) in [(7, "udp length below 8"), (60000_u16, "udp length beyond its ip payload")] {
        let mut bytes = datagram(networks().remove(0).1, Carrier::Udp, PAYLOAD);
        bytes[24..26].copy_from_slice(&length.to_be_bytes());
        match decode(&frame(LinkType::RAW, &bytes, bytes.len())) {
            Packet::Malformed(found) => assert_eq!(found, reason),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_length_of_zero_means_what_is_there() {
    for (network, at) in [("v4", 2), ("v6", 4), ("v6 hop-by-hop", 4)] {
        let headers = networks().into_iter().find(|(name, _)| *name == network).unwrap().1;
        let v6 = headers.ipv6().is_some();
        let mut bytes = datagram(headers, Carrier::Tcp, PAYLOAD);
        bytes[at..at + 2].fill(0);
        let whole = decode(&frame(LinkType::RAW, &bytes, bytes.len()));
        assert_eq!(checked(whole, Carrier::Tcp, v6), Some((PAYLOAD, 0)), "{network}");
        let cut = decode(&frame(LinkType::RAW, &bytes, bytes.len() + 100_000));
        assert_eq!(checked(cut, Carrier::Tcp, v6), Some((PAYLOAD, 100_000)), "{network}");
    }
    let mut bytes = datagram(networks().remove(0).1, Carrier::Udp, PAYLOAD);
    bytes[24..26].fill(0);
    assert_eq!(
        checked(decode(&frame(LinkType::RAW, &bytes, bytes.len())), Carrier::Udp, false),
        Some((PAYLOAD, 0))
    );
}

#[test]
fn fragments_are_told_apart_from_whole_datagrams() {
    for (offset, more, fragment) in [(0, true, true), (8, false, true), (8, true, true), (0, false, false)] {
        let mut v4 = Ipv4Header::new(0, 64, IpNumber::TCP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        v4.dont_fragment = true;
        v4.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        v4.more_fragments = more;
        let extensions = Ipv6Extensions {
            fragment: Some(Ipv6FragmentHeader::new(
                IpNumber::TCP,
                IpFragOffset::try_new(offset).unwrap(),
                more,
                1,
            )),
            ..Default::default()
        };
        for headers in [
            IpHeaders::Ipv4(v4, Ipv4Extensions::default()),
            IpHeaders::Ipv6(Ipv6Header::default(), extensions),
        ] {
            let bytes = datagram(headers, Carrier::Tcp, PAYLOAD);
            let packet = decode(&frame(LinkType::RAW, &bytes, bytes.len()));
            assert_eq!(matches!(packet, Packet::Fragment(_)), fragment, "{offset} {more}: {packet:?}");
            assert_eq!(matches!(packet, Packet::Tcp(_)), !fragment, "{offset} {more}: {packet:?}");
        }
    }
}

#[test]
fn what_is_neither_tcp_nor_udp_has_a_name() {
    let ethernet = |ethertype: u16| [&[2; 12], &ethertype.to_be_bytes()[..], &[0; 40]].concat();
    for (ethertype, name) in [
        (0x0806, "arp"),
        (0x88cc, "lldp"),
        (0x8863, "pppoe-discovery"),
        (0x0026, "llc"),
        (0x1234, "ethertype-other"),
    ] {
        let bytes = ethernet(ethertype);
        match decode(&frame(LinkType::ETHERNET, &bytes, bytes.len())) {
            Packet::Other(found) => assert_eq!(found, name),
            other => panic!("{ethertype:#x}: {other:?}"),
        }
    }
    for (protocol, name) in [(1, "icmp"), (50, "esp"), (58, "icmpv6"), (132, "sctp"), (253, "ip-other")] {
        for (at, network) in [(9, 0), (6, 3)] {
            let mut bytes = datagram(networks().remove(network).1, Carrier::Tcp, PAYLOAD);
            bytes[at] = protocol;
            match decode(&frame(LinkType::RAW, &bytes, bytes.len())) {
                Packet::Other(found) => assert_eq!(found, name),
                other => panic!("{protocol}: {other:?}"),
            }
        }
    }
    let netlink = [&[0, 0, 3, 56][..], &[0; 40]].concat();
    assert!(matches!(decode(&frame(LinkType::LINUX_SLL, &netlink, 44)), Packet::Other("netlink")));
    assert!(matches!(decode(&frame(LinkType::NULL, &[0, 0, 0, 99, 0], 5)), Packet::Other("family-other")));
    assert!(matches!(decode(&frame(LinkType(147), &[0; 60], 60)), Packet::UnknownLink(LinkType(147))));
}

/// What any decoding must keep: nothing invented, nothing out of bounds.
fn plausible(frame: &Frame<'_>) {
    let payload = match decode(frame) {
        Packet::Tcp(segment) => segment.payload,
        Packet::Udp(datagram) => datagram.payload,
        _ => return,
    };
    assert!(payload.len() < frame.bytes.len());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        link in prop::sample::select(vec![
            0_u32, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 149, 163, 228, 229, 239, 258, 276, 147,
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        original_len in any::<u32>(),
    ) {
        plausible(&Frame { number: 1, time: Timestamp::default(), link: LinkType(link), bytes: &bytes, original_len });
    }

    #[test]
    fn spoiled_headers_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..120_usize, any::<u8>()), 1..6),
        length in 0..220_usize,
    ) {
        let mut all = combinations(PAYLOAD);
        let (_, link, mut bytes, ..) = all.swap_remove(which.index(all.len()));
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let whole = bytes.len();
        bytes.truncate(length);
        plausible(&frame(link, &bytes, whole));
    }
}
