//! One datagram in every encapsulation and link, alone and nested, cut anywhere, and spoiled.

use proptest::prelude::*;

use crate::model::{Frame, LinkType, Timestamp};
use crate::packet::{DEPTH, Packet, decode};

const PAYLOAD: &[u8] = b"GET /orders?page=2 HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// IPv4 and its payload of this protocol.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len() as u16).to_be_bytes();
    let mut bytes =
        vec![0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend_from_slice(payload);
    bytes
}

fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
    bytes.extend([[0xfd; 15].as_slice(), &[1], &[0xfd; 15], &[2]].concat());
    bytes.extend_from_slice(payload);
    bytes
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &length, &[0, 0], payload].concat()
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    [&[0xc7, 0x38, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0], payload].concat()
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ethertype.to_be_bytes()[..], payload].concat()
}

/// A datagram and the Ethernet frame it stands in.
fn inner() -> (Vec<u8>, Vec<u8>) {
    let datagram = v4(6, &tcp(PAYLOAD));
    let frame = ethernet(0x0800, &datagram);
    (datagram, frame)
}

fn behind(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, payload].concat()
}

/// Every encapsulation directly in IP: a name, the protocol, the payload.
fn in_ip(datagram: &[u8], frame: &[u8]) -> Vec<(&'static str, u8, Vec<u8>)> {
    let label = [0, 1, 0x00, 64, 0, 2, 0x01, 64];
    vec![
        ("ipip", 4, datagram.to_vec()),
        ("4in6 numbered as 6in4", 41, datagram.to_vec()),
        ("gre", 47, behind(&[0, 0, 8, 0], datagram)),
        ("gre, everything", 47, behind(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9], datagram)),
        ("gre, frames", 47, behind(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7], frame)),
        ("gre, labels", 47, behind(&[&[0, 0, 0x88, 0x47], &label[..]].concat(), datagram)),
        ("gre, vlan", 47, behind(&[0, 0, 0x81, 0, 0, 7, 8, 0], datagram)),
        (
            "pptp",
            47,
            behind(&[0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], datagram),
        ),
        ("erspan i", 47, behind(&[0, 0, 0x88, 0xbe], frame)),
        ("erspan ii", 47, behind(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 0, 9, 0, 0, 0, 3], frame)),
        (
            "erspan iii",
            47,
            behind(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 7, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0], frame),
        ),
        (
            "erspan iii, platform",
            47,
            behind(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 7, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9,
                    9, 9,
                ],
                frame,
            ),
        ),
        (
            "erspan iii, ip",
            47,
            behind(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 7, 0, 9, 1, 2, 3, 4, 0, 0, 0x08, 0], datagram),
        ),
        ("etherip", 97, behind(&[0x30, 0], frame)),
        ("l2tpv3", 115, behind(&[0, 0, 0, 5, 0, 0, 0, 0], frame)),
        ("l2tpv3, no sublayer", 115, behind(&[0, 0, 0, 5], frame)),
        ("l2tpv3, cookie", 115, behind(&[0, 0, 0, 5, 9, 8, 7, 6, 5, 4, 3, 2, 0, 0, 0, 0], frame)),
        ("l2tpv3, ppp", 115, behind(&[0, 0, 0, 5, 0, 0, 0, 0, 0xff, 3, 0, 0x21], datagram)),
        ("mpls", 137, behind(&label, datagram)),
        ("mpls, pseudowire", 137, behind(&label, frame)),
        ("mpls, control word", 137, behind(&[&label[..], &[0, 0, 0, 1]].concat(), frame)),
    ]
}

/// Every encapsulation in UDP: a name, the ports, the payload.
fn in_udp(datagram: &[u8], frame: &[u8]) -> Vec<(&'static str, u16, u16, Vec<u8>)> {
    let vxlan = [8, 0, 0, 0, 0, 0, 7, 0];
    vec![
        ("vxlan", 55_555, 4789, behind(&vxlan, frame)),
        ("vxlan, linux", 55_555, 8472, behind(&vxlan, frame)),
        ("vxlan, azure", 55_555, 10_800, behind(&vxlan, frame)),
        ("vxlan, azure, outside", 55_555, 10_801, behind(&vxlan, frame)),
        ("vxlan, group policy", 55_555, 4789, behind(&[0x88, 0, 0, 9, 0, 0, 7, 0], frame)),
        ("vxlan gpe, frames", 55_555, 4790, behind(&[0x0c, 0, 0, 3, 0, 0, 7, 0], frame)),
        ("vxlan gpe, ip", 55_555, 4790, behind(&[0x0c, 0, 0, 1, 0, 0, 7, 0], datagram)),
        ("geneve", 55_555, 6081, behind(&[0, 0, 0x65, 0x58, 0, 0, 7, 0], frame)),
        (
            "geneve, options, ip",
            55_555,
            6081,
            behind(&[2, 0, 8, 0, 0, 0, 7, 0, 1, 8, 1, 1, 0, 0, 0, 1], datagram),
        ),
        ("gtp-u", 2152, 2152, behind(&[0x30, 255, 0, 99, 0, 0, 0, 1], datagram)),
        ("gtp-u, counted", 2152, 2152, behind(&[0x32, 255, 0, 99, 0, 0, 0, 1, 0, 9, 0, 0], datagram)),
        (
            "gtp-u, of 5g",
            2152,
            2152,
            behind(&[0x34, 255, 0, 99, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0x10, 5, 0], datagram),
        ),
        ("gtp-u, frames", 2152, 2152, behind(&[0x30, 255, 0, 99, 0, 0, 0, 1], frame)),
        ("l2tp", 1701, 1701, behind(&[0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21], datagram)),
        (
            "l2tp, everything",
            1701,
            50_000,
            behind(&[0x4a, 2, 0, 99, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0, 0, 0x21], datagram),
        ),
        ("l2tpv3", 50_000, 1701, behind(&[0, 3, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0], frame)),
        ("mpls", 50_000, 6635, behind(&[0, 1, 1, 64], datagram)),
        ("tzsp", 50_000, 37_008, behind(&[1, 0, 0, 1, 0, 41, 2, 9, 9, 1], frame)),
    ]
}

/// Links that are no Ethernet: a name, the type, the frame.
fn links(datagram: &[u8], frame: &[u8]) -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let snap = behind(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], datagram);
    let stations = [[2_u8, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]].concat();
    let data = |kind: [u8; 2], more: &[u8]| [&kind[..], &[0, 0], &stations, &[0x10, 0], more, &snap].concat();
    let pppoe =
        [&[0x11, 0, 0, 9], &(datagram.len() as u16 + 2).to_be_bytes()[..], &[0, 0x21], datagram].concat();
    let prism = [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136], &data([0x08, 2], &[])].concat();
    let avs = [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &data([0x08, 2], &[])].concat();
    let field = |length: u16, kind: u16, value: &[u8]| {
        [&length.to_le_bytes()[..], &kind.to_le_bytes(), value].concat()
    };
    let nflog = [
        &[2, 0, 0, 5][..],
        &field(8, 1, &[8, 0, 3, 0]),
        &field(5, 10, &[0, 0, 0, 0]),
        &field(datagram.len() as u16 + 4, 9, datagram),
    ];
    let tap = |link: u32, inner: &[u8]| {
        [&[108, 0, 0, 0, 1, 0, 0, 0][..], &link.to_le_bytes(), &[0; 96], inner].concat()
    };
    vec![
        ("ppp", LinkType::PPP, behind(&[0xff, 3, 0, 0x21], datagram)),
        ("ppp, short", LinkType::PPP, behind(&[0x21], datagram)),
        ("ppp, no address", LinkType::PPP, behind(&[0, 0x21], datagram)),
        ("ppp, hdlc", LinkType::PPP_HDLC, behind(&[0xff, 3, 0, 0x21], datagram)),
        ("ppp, labels", LinkType::PPP, behind(&[0xff, 3, 2, 0x81, 0, 1, 1, 64], datagram)),
        ("cisco hdlc", LinkType::C_HDLC, behind(&[0x0f, 0, 8, 0], datagram)),
        ("cisco hdlc, to all", LinkType::PPP_HDLC, behind(&[0x8f, 0, 8, 0], datagram)),
        ("pppoe session", LinkType::PPP_ETHER, pppoe.clone()),
        ("pppoe", LinkType::ETHERNET, ethernet(0x8864, &pppoe)),
        (
            "pppoe in qinq",
            LinkType::ETHERNET,
            ethernet(0x88a8, &behind(&[0, 7, 0x81, 0, 0, 9, 0x88, 0x64], &pppoe)),
        ),
        ("snap", LinkType::ETHERNET, ethernet(snap.len() as u16, &snap)),
        ("mpls", LinkType::ETHERNET, ethernet(0x8847, &behind(&[0, 1, 0, 64, 0, 2, 1, 64], datagram))),
        ("802.11 to the station", LinkType::IEEE802_11, data([0x08, 2], &[])),
        ("802.11 between access points", LinkType::IEEE802_11, data([0x08, 3], &[2, 0, 0, 0, 0, 4])),
        ("802.11 with quality of service", LinkType::IEEE802_11, data([0x88, 1], &[0, 0])),
        ("802.11 with order", LinkType::IEEE802_11, data([0x88, 0x81], &[0, 0, 1, 2, 3, 4])),
        ("radiotap", LinkType::IEEE802_11_RADIOTAP, behind(&[0, 0, 8, 0, 0, 0, 0, 0], &data([0x08, 2], &[]))),
        (
            "radiotap, time, flags, a second word, padding",
            LinkType::IEEE802_11_RADIOTAP,
            behind(
                &[0, 0, 28, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x20, 0, 0, 0],
                &data([0x88, 1], &[0, 0, 0, 0]),
            ),
        ),
        ("prism", LinkType::IEEE802_11_PRISM, prism),
        ("avs", LinkType::IEEE802_11_AVS, avs.clone()),
        ("avs under prism's number", LinkType::IEEE802_11_PRISM, avs),
        ("nflog", LinkType::NFLOG, nflog.concat()),
        ("pktap", LinkType::PKTAP, tap(1, frame)),
        ("pktap of a phone", LinkType::APPLE_PKTAP, tap(12, datagram)),
    ]
}

/// Everything, as frames: a name, the link type, the bytes.
fn all() -> Vec<(String, LinkType, Vec<u8>)> {
    let (datagram, frame) = inner();
    let mut all: Vec<_> = links(&datagram, &frame)
        .into_iter()
        .map(|(name, link, bytes)| (name.to_owned(), link, bytes))
        .collect();
    for (name, protocol, payload) in in_ip(&datagram, &frame) {
        all.push((format!("{name} / v4"), LinkType::ETHERNET, ethernet(0x0800, &v4(protocol, &payload))));
        all.push((format!("{name} / v6"), LinkType::ETHERNET, ethernet(0x86dd, &v6(protocol, &payload))));
        // Behind an authentication header, too.
        let authenticated = [&[protocol, 4, 0, 0], &[7; 20][..], &payload].concat();
        all.push((format!("{name} / ah"), LinkType::RAW, v4(51, &authenticated)));
    }
    for (name, source, destination, payload) in in_udp(&datagram, &frame) {
        let payload = udp(source, destination, &payload);
        all.push((format!("{name} / v4"), LinkType::ETHERNET, ethernet(0x0800, &v4(17, &payload))));
        all.push((format!("{name} / v6"), LinkType::RAW, v6(17, &payload)));
    }
    all
}

fn decoded(link: LinkType, bytes: &[u8], original_len: usize) -> Packet<'_> {
    let original_len = original_len as u32;
    decode(&Frame { number: 1, time: Timestamp::default(), link, bytes, original_len })
}

#[test]
fn one_datagram_is_found_in_every_encapsulation_and_link() {
    for (name, link, bytes) in all() {
        match decoded(link, &bytes, bytes.len()) {
            Packet::Tcp(segment) => {
                assert_eq!((segment.payload, segment.cut), (PAYLOAD, 0), "{name}");
                assert_eq!(segment.source().to_string(), "10.0.0.1:51000", "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_cut_off_within_an_encapsulation_is_counted() {
    for (name, link, bytes) in all() {
        for length in 0..bytes.len() {
            if let Packet::Tcp(segment) = decoded(link, &bytes[..length], bytes.len()) {
                assert!(PAYLOAD.starts_with(segment.payload), "{name} cut to {length}");
                assert_eq!(
                    segment.payload.len() + segment.cut as usize,
                    PAYLOAD.len(),
                    "{name} cut to {length}"
                );
            }
        }
        let short = decoded(link, &bytes[..bytes.len() - 9], bytes.len());
        assert!(matches!(short, Packet::Tcp(segment) if segment.cut == 9), "{name}: {short:?}");
    }
}

#[test]
fn encapsulations_nest_to_a_depth_and_no_further() {
    let (datagram, _) = inner();
    let nested = |depth: u8| (0..depth).fold(datagram.clone(), |inside, _| v4(4, &inside));
    for depth in [0, 1, DEPTH] {
        let bytes = nested(depth);
        assert!(matches!(decoded(LinkType::RAW, &bytes, bytes.len()), Packet::Tcp(_)), "{depth}");
    }
    let bytes = nested(DEPTH + 1);
    assert!(matches!(decoded(LinkType::RAW, &bytes, bytes.len()), Packet::Other("nested-too-deep")));
    // Of several kinds: a phone's packet in GTP, in a VLAN, in VXLAN, in GRE.
    let gtp = v4(17, &udp(2152, 2152, &behind(&[0x30, 255, 0, 99, 0, 0, 0, 1], &datagram)));
    let tagged = ethernet(0x8100, &behind(&[0, 7, 8, 0], &gtp));
    let vxlan = v6(17, &udp(9, 4789, &behind(&[8, 0, 0, 0, 0, 0, 7, 0], &tagged)));
    let bytes = v4(47, &behind(&[0, 0, 0x86, 0xdd], &vxlan));
    assert!(matches!(decoded(LinkType::RAW, &bytes, bytes.len()), Packet::Tcp(_)));
}

#[test]
fn what_only_has_the_port_of_a_tunnel_stays_a_datagram() {
    for port in [4789, 8472, 4790, 6081, 2152, 1701, 6635, 37_008, 10_800, 10_801] {
        for payload in
            [&b""[..], b"made up", &[0; 8], &[0xff; 80], b"a line of text that is longer than any header is"]
        {
            for (source, destination) in [(port, 53), (53, port)] {
                let bytes = v4(17, &udp(source, destination, payload));
                match decoded(LinkType::RAW, &bytes, bytes.len()) {
                    Packet::Udp(datagram) => assert_eq!(datagram.payload, payload, "{port}"),
                    other => panic!("{port} {payload:02x?}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn what_carries_no_packets_has_a_name() {
    let cases: [(&str, LinkType, Vec<u8>); 14] = [
        ("802.11-management", LinkType::IEEE802_11, vec![0x80, 0]),
        ("802.11-control", LinkType::IEEE802_11, vec![0xd4, 0]),
        ("802.11-null", LinkType::IEEE802_11, vec![0x48, 1]),
        ("802.11-protected", LinkType::IEEE802_11, vec![0x08, 0x41]),
        ("802.11-aggregate", LinkType::IEEE802_11, [&[0x88, 1][..], &[0; 22], &[0x80, 0]].concat()),
        ("802.11-fragment", LinkType::IEEE802_11, [&[0x08, 0x05][..], &[0; 30]].concat()),
        ("ppp-link-control", LinkType::PPP, vec![0xff, 3, 0xc0, 0x21, 1, 1]),
        ("ppp-network-control", LinkType::PPP, vec![0xff, 3, 0x80, 0x21, 1, 1]),
        ("ppp-encrypted", LinkType::PPP, vec![0xff, 3, 0, 0x53, 1, 1]),
        ("slarp", LinkType::C_HDLC, vec![0x8f, 0, 0x80, 0x35, 0, 0]),
        ("gre-acknowledgment", LinkType::RAW, v4(47, &[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1])),
        ("gre-routing", LinkType::RAW, v4(47, &[0x40, 0, 8, 0])),
        ("l2tp", LinkType::RAW, v4(115, &[0, 0, 0, 0, 1])),
        ("mpls-control", LinkType::ETHERNET, ethernet(0x8847, &[0, 1, 1, 64, 0x10, 0, 0, 0])),
    ];
    for (name, link, bytes) in cases {
        match decoded(link, &bytes, bytes.len()) {
            Packet::Other(found) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn spoiled_encapsulations_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..150_usize, any::<u8>()), 1..6),
        length in 0..260_usize,
    ) {
        let mut all = all();
        let (_, link, mut bytes) = all.swap_remove(which.index(all.len()));
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let whole = bytes.len();
        bytes.truncate(length);
        match decoded(link, &bytes, whole) {
            Packet::Tcp(segment) => prop_assert!(segment.payload.len() < bytes.len()),
            Packet::Udp(datagram) => prop_assert!(datagram.payload.len() < bytes.len()),
            _ => {}
        }
    }
}
