//! Network and transport headers: IPv4, IPv6 with its extension headers, TCP, UDP.

use etherparse::{IpAuthHeaderSlice, IpNumber, Ipv6ExtensionsSlice};

use super::{Around, Datagram, Flags, Fragment, Packet, Segment, tunnel};
use crate::model::{Endpoint, FlowKey, Side, Transport};

const TCP: u8 = 6;
const UDP: u8 = 17;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
/// What announces a fragment header (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;

/// What an IP header says of its payload.
struct Payload<'a> {
    addresses: Addresses<'a>,
    bytes: &'a [u8],
    /// Bytes behind `bytes` that the header announces and the capture lacks.
    cut: usize,
    /// Encapsulations around it.
    depth: u8,
    realm: u16,
}

/// Where the addresses stand: by reference, so that keys are made in registers once the ports are known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
}

/// Raw IP: the version stands in the first four bits.
pub(super) fn by_version(bytes: &[u8], around: Around) -> Packet<'_> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => v4(bytes, around),
        Some(6) => v6(bytes, around),
        Some(_) => Packet::Malformed("neither ip version 4 nor 6"),
        None => Packet::Malformed("ip header cut short"),
    }
}

/// RFC 791.
#[inline]
pub(super) fn v4(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some(head) = bytes.first_chunk::<20>() else {
        return Packet::Malformed("ipv4 header cut short");
    };
    if head[0] >> 4 != 4 {
        return Packet::Malformed("ip version is not 4");
    }
    let header = usize::from(head[0] & 0x0f) * 4;
    if header < 20 {
        return Packet::Malformed("ipv4 header length below 20");
    }
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // A total length of 0 is left by segmentation offload and BIG TCP: what is there counts.
    let (datagram, cut) = match total {
        0 => (bytes, around.missing as usize),
        _ if total < header => return Packet::Malformed("ipv4 total length below its header"),
        _ => {
            let datagram = bytes.get(..total).unwrap_or(bytes);
            (datagram, total - datagram.len())
        }
    };
    let Some(payload) = datagram.get(header..) else {
        return Packet::Malformed("ipv4 options cut short");
    };
    let payload = Payload {
        addresses: Addresses::V4(head),
        bytes: payload,
        cut,
        depth: around.depth,
        realm: around.realm,
    };
    // More-fragments or an offset; don't-fragment and the reserved bit say nothing.
    let fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff;
    if fragment != 0 {
        return v4_fragment(fragment, payload);
    }
    match head[9] {
        TCP => tcp(payload),
        UDP => udp(payload),
        protocol => v4_rare(protocol, payload),
    }
}

/// `place` is the bit for more fragments and the offset in units of eight bytes.
#[cold]
fn v4_fragment(place: u16, payload: Payload<'_>) -> Packet<'_> {
    let Addresses::V4(head) = payload.addresses else { return Packet::Malformed("ip version is not 4") };
    payload.fragment(
        u32::from(u16::from_be_bytes([head[4], head[5]])),
        head[9],
        place << 3,
        place & 0x2000 != 0,
    )
}

#[cold]
fn v4_rare(protocol: u8, payload: Payload<'_>) -> Packet<'_> {
    if protocol != AUTHENTICATION {
        return tunnelled(protocol, payload);
    }
    let Ok(header) = IpAuthHeaderSlice::from_slice(payload.bytes) else {
        return Packet::Malformed("authentication header cut short");
    };
    let bytes = payload.bytes.get(header.slice().len()..).unwrap_or_default();
    transport(header.next_header().0, Payload { bytes, ..payload })
}

/// RFC 8200.
#[inline]
pub(super) fn v6(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<40>() else {
        return Packet::Malformed("ipv6 header cut short");
    };
    if head[0] >> 4 != 6 {
        return Packet::Malformed("ip version is not 6");
    }
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    // A payload length of 0 is a jumbogram (RFC 2675): what is there counts.
    let (payload, cut) = if length == 0 && head[6] != NO_NEXT_HEADER {
        (rest, around.missing as usize)
    } else {
        let payload = rest.get(..length).unwrap_or(rest);
        (payload, length - payload.len())
    };
    let payload = Payload {
        addresses: Addresses::V6(head),
        bytes: payload,
        cut,
        depth: around.depth,
        realm: around.realm,
    };
    match head[6] {
        TCP => tcp(payload),
        UDP => udp(payload),
        next => v6_extended(next, payload),
    }
}

#[cold]
fn v6_extended(first: u8, payload: Payload<'_>) -> Packet<'_> {
    let (extensions, next, rest, fault) = Ipv6ExtensionsSlice::from_slice_lax(IpNumber(first), payload.bytes);
    // Behind a fragment header that is not the first one stands anything: asked before the fault.
    if extensions.is_fragmenting_payload() {
        return v6_fragment(first, payload);
    }
    if fault.is_some() {
        return Packet::Malformed("ipv6 extension headers broken or cut short");
    }
    transport(next.0, Payload { bytes: rest, ..payload })
}

/// Goes from header to header until the one of the fragment; what stands before it is of no further interest.
fn v6_fragment(first: u8, payload: Payload<'_>) -> Packet<'_> {
    const BROKEN: Packet<'static> = Packet::Malformed("ipv6 extension headers broken or cut short");
    let (mut next, mut bytes) = (first, payload.bytes);
    loop {
        let Some((&[following, length, p0, p1, i0, i1, i2, i3], rest)) = bytes.split_first_chunk::<8>()
        else {
            return BROKEN;
        };
        if next == FRAGMENT {
            let place = u16::from_be_bytes([p0, p1]);
            let payload = Payload { bytes: rest, ..payload };
            return payload.fragment(
                u32::from_be_bytes([i0, i1, i2, i3]),
                following,
                place & !7,
                place & 1 != 0,
            );
        }
        let length = match next {
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let Some(behind) = bytes.get(length..) else { return BROKEN };
        (next, bytes) = (following, behind);
    }
}

impl<'a> Payload<'a> {
    /// The fragment whose bytes these are.
    fn fragment(self, identification: u32, protocol: u8, offset: u16, more: bool) -> Packet<'a> {
        Packet::Fragment(Fragment {
            addresses: self.addresses,
            identification,
            protocol,
            offset,
            more,
            bytes: self.bytes,
            cut: u32::try_from(self.cut).unwrap_or(u32::MAX),
            depth: self.depth,
            realm: self.realm,
        })
    }
}

fn transport(protocol: u8, payload: Payload<'_>) -> Packet<'_> {
    match protocol {
        TCP => tcp(payload),
        UDP => udp(payload),
        _ => tunnelled(protocol, payload),
    }
}

/// Neither TCP nor UDP: an encapsulation, or a protocol that is named and left.
fn tunnelled(protocol: u8, payload: Payload<'_>) -> Packet<'_> {
    let around = Around { missing: 0, depth: payload.depth, realm: payload.realm };
    tunnel::in_ip(protocol, payload.bytes, payload.cut, around).unwrap_or_else(|| other(protocol))
}

/// RFC 9293 section 3.1.
#[inline(always)]
fn tcp(payload: Payload<'_>) -> Packet<'_> {
    let Some(head) = payload.bytes.first_chunk::<20>() else {
        return Packet::Malformed("tcp header cut short");
    };
    let header = usize::from(head[12] >> 4) * 4;
    if header < 20 {
        return Packet::Malformed("tcp data offset below 5");
    }
    let (bytes, cut) = match payload.bytes.get(header..) {
        Some(bytes) => (bytes, payload.cut),
        // Cut within the options: where the segment stands and how long it is are known all the same.
        None => match (payload.bytes.len() + payload.cut).checked_sub(header) {
            Some(cut) => (Default::default(), cut),
            None => return Packet::Malformed("tcp header longer than its segment"),
        },
    };
    let (key, sender) = payload.addresses.flow([head[0], head[1]], [head[2], head[3]], Transport::Tcp);
    Packet::Tcp(Segment {
        key,
        sender,
        sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        acknowledgment: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        flags: Flags(head[13]),
        payload: bytes,
        cut: u32::try_from(cut).unwrap_or(u32::MAX),
        realm: payload.realm,
    })
}

/// RFC 768.
#[inline]
fn udp(payload: Payload<'_>) -> Packet<'_> {
    let Some((head, rest)) = payload.bytes.split_first_chunk::<8>() else {
        return Packet::Malformed("udp header cut short");
    };
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let (bytes, cut) = match length {
        // A jumbo datagram (RFC 2675) or one left to segmentation offload.
        0 => (rest, payload.cut),
        1..8 => return Packet::Malformed("udp length below 8"),
        _ if length > payload.bytes.len() + payload.cut => {
            return Packet::Malformed("udp length beyond its ip payload");
        }
        _ => {
            let bytes = rest.get(..length - 8).unwrap_or(rest);
            (bytes, length - 8 - bytes.len())
        }
    };
    if tunnel::is_port([head[0], head[1]], [head[2], head[3]]) {
        let around = Around { missing: 0, depth: payload.depth, realm: payload.realm };
        if let Some(packet) = tunnel::in_udp([head[0], head[1]], [head[2], head[3]], bytes, cut, around) {
            return packet;
        }
    }
    let (key, sender) = payload.addresses.flow([head[0], head[1]], [head[2], head[3]], Transport::Udp);
    Packet::Udp(Datagram { key, sender, payload: bytes, cut: u32::try_from(cut).unwrap_or(u32::MAX) })
}

impl Addresses<'_> {
    #[inline(always)]
    fn flow(self, source: [u8; 2], destination: [u8; 2], transport: Transport) -> (FlowKey, Side) {
        let (source, destination) = (u16::from_be_bytes(source), u16::from_be_bytes(destination));
        match self {
            Self::V4(&[.., a, b, c, d, e, f, g, h]) => FlowKey::new(
                Endpoint::v4([a, b, c, d], source),
                Endpoint::v4([e, f, g, h], destination),
                transport,
            ),
            Self::V6(head) => {
                let [_, _, _, _, _, _, _, _, addresses @ ..] = head;
                let (low, high) = addresses.split_at(16);
                let octets = |half: &[u8]| half.first_chunk().copied().unwrap_or_default();
                FlowKey::new(
                    Endpoint::v6(octets(low), source),
                    Endpoint::v6(octets(high), destination),
                    transport,
                )
            }
        }
    }
}

/// The names of the IANA protocol numbers met most.
fn other<'a>(protocol: u8) -> Packet<'a> {
    Packet::Other(match protocol {
        1 => "icmp",
        2 => "igmp",
        33 => "dccp",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        58 => "icmpv6",
        NO_NEXT_HEADER => "ipv6-no-next",
        88 => "eigrp",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        115 => "l2tp",
        132 => "sctp",
        136 => "udplite",
        _ => "ip-other",
    })
}
