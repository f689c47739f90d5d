//! Encapsulations: what other packets and frames are carried in, directly over IP or in UDP.
//!
//! What only a port number hints at is opened where the header and what stands behind it are as they should be; else it
//! stays the UDP datagram that it is.

use super::{Around, Packet, TOO_DEEP, ip, link, ppp};

const TRANSPARENT_BRIDGING: u16 = 0x6558;

/// What `protocol` (IANA) carries behind an IP header, `cut` bytes of it not captured; `None` where it carries no packets.
pub(super) fn in_ip(protocol: u8, bytes: &[u8], cut: usize, around: Around) -> Option<Packet<'_>> {
    let open: fn(&[u8], Around) -> Packet<'_> = match protocol {
        // RFC 2003, RFC 4213 and RFC 2473: the protocol says which version is inside; its header says so too.
        4 | 41 => ip::by_version,
        47 => gre,
        97 => ether_ip,
        115 => |bytes, around| session(bytes, around).unwrap_or(Packet::Other("l2tp")),
        137 => mpls,
        _ => return None,
    };
    Some(around.deeper(cut).map_or(TOO_DEEP, |around| open(bytes, around)))
}

/// EtherIP (RFC 3378): two bytes, of which the first digit is the version.
fn ether_ip(bytes: &[u8], around: Around) -> Packet<'_> {
    match bytes {
        [version, _, frame @ ..] if version >> 4 == 3 => link::ethernet(frame, around),
        _ => Packet::Malformed("etherip version is not 3"),
    }
}

const VXLAN: u16 = 4789;
/// What Linux used before the port was assigned, and still uses where none is given.
const VXLAN_LINUX: u16 = 8472;
/// What Azure's gateway load balancer uses unless told otherwise, for the inner and the outer side.
const VXLAN_AZURE: [u16; 2] = [10_800, 10_801];
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
const GTP_USER: u16 = 2152;
const L2TP: u16 = 1701;
const MPLS_IN_UDP: u16 = 6635;
const TZSP: u16 = 37_008;

/// Whether a UDP datagram between these ports may carry packets.
#[inline]
pub(super) fn is_port(source: [u8; 2], destination: [u8; 2]) -> bool {
    let [source, destination] = [source, destination].map(u16::from_be_bytes);
    let [azure, other] = VXLAN_AZURE;
    matches!(destination, VXLAN | VXLAN_LINUX | VXLAN_GPE | GENEVE | GTP_USER | L2TP | MPLS_IN_UDP | TZSP)
        || destination == azure
        || destination == other
        || source == L2TP
}

/// What a UDP datagram between such ports carries, `cut` bytes of it not captured; `None` where it carries none.
#[cold]
pub(super) fn in_udp(
    source: [u8; 2],
    destination: [u8; 2],
    bytes: &[u8],
    cut: usize,
    around: Around,
) -> Option<Packet<'_>> {
    let [source, destination] = [source, destination].map(u16::from_be_bytes);
    let Some(around) = around.deeper(cut) else { return Some(TOO_DEEP) };
    let packet = match destination {
        VXLAN_GPE => vxlan_gpe(bytes, around),
        GENEVE => geneve(bytes, around),
        GTP_USER => gtp(bytes, around),
        MPLS_IN_UDP => Some(mpls(bytes, around)),
        TZSP => tzsp(bytes, around),
        _ if source == L2TP || destination == L2TP => l2tp(bytes, around),
        _ => vxlan(bytes, around),
    };
    packet.filter(Packet::is_plausible)
}

/// What stands behind an ethertype in a tunnel's header.
fn by_protocol(protocol: u16, bytes: &[u8], around: Around) -> Packet<'_> {
    match protocol {
        TRANSPARENT_BRIDGING => link::ethernet(bytes, around),
        // A length is no protocol.
        0x0000..0x0600 => Packet::Other("ethertype-other"),
        _ => link::by_ethertype(protocol, bytes, around),
    }
}

/// Labels of four bytes up to the one that is marked as the last (RFC 3032). What is behind them nothing says: IP where it
/// looks so, else a pseudowire's Ethernet, with or without a control word (RFC 4385, RFC 4448).
pub(super) fn mpls(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some(around) = around.deeper(around.missing as usize) else { return TOO_DEEP };
    let mut bytes = bytes;
    loop {
        let Some((&[_, _, last, _], rest)) = bytes.split_first_chunk::<4>() else {
            return Packet::Malformed("mpls label cut short");
        };
        bytes = rest;
        if last & 1 == 1 {
            break;
        }
    }
    match bytes.first().map(|first| first >> 4) {
        Some(4 | 6) => {
            // A station's address may begin with the same digit.
            let packet = ip::by_version(bytes, around);
            match link::ethernet(bytes, around) {
                frame if !packet.is_plausible() && frame.is_plausible() => frame,
                _ => packet,
            }
        }
        Some(0) => match bytes.get(4..).map(|frame| link::ethernet(frame, around)) {
            Some(frame) if frame.is_plausible() => frame,
            _ => link::ethernet(bytes, around),
        },
        Some(1) => Packet::Other("mpls-control"),
        Some(_) => link::ethernet(bytes, around),
        None => Packet::Malformed("nothing behind the mpls labels"),
    }
}

/// GRE (RFC 2784, RFC 2890; version 1: RFC 2637): flags say which words there are.
fn gre(bytes: &[u8], around: Around) -> Packet<'_> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    const ACKNOWLEDGMENT: u8 = 0x80;
    const CUT_SHORT: Packet<'static> = Packet::Malformed("gre header cut short");
    let Some(&[flags, version, high, low]) = bytes.first_chunk::<4>() else { return CUT_SHORT };
    if flags & ROUTING != 0 {
        return Packet::Other("gre-routing");
    }
    let has = |flag: u8| usize::from(flags & flag != 0) * 4;
    let mut header = 4 + has(CHECKSUM) + has(KEY) + has(SEQUENCE);
    let protocol = u16::from_be_bytes([high, low]);
    match version & 7 {
        0 => {}
        1 => header += usize::from(version & ACKNOWLEDGMENT != 0) * 4,
        _ => return Packet::Malformed("gre version is neither 0 nor 1"),
    }
    let Some(rest) = bytes.get(header..) else { return CUT_SHORT };
    let key = bytes.get(4 + has(CHECKSUM)..).and_then(<[u8]>::first_chunk).filter(|_| flags & KEY != 0);
    // The key of PPTP and of mirrors is a number of calls and sessions, not of a network.
    let around = match key {
        Some(key) if version & 7 == 0 && !matches!(protocol, 0x88be | 0x22eb) => {
            around.within(u32::from_be_bytes(*key))
        }
        _ => around,
    };
    match protocol {
        0x880b if rest.is_empty() => Packet::Other("gre-acknowledgment"),
        0x880b => ppp::framed(rest, around),
        // Type I has no header of its own, and is known by that it counts nothing.
        0x88be if flags & SEQUENCE == 0 => link::ethernet(rest, around),
        0x88be | 0x22eb => erspan(rest, around),
        _ => by_protocol(protocol, rest, around),
    }
}

/// ERSPAN (draft-foschiano-erspan-03): version 1 is type II, 2 is type III.
fn erspan(bytes: &[u8], around: Around) -> Packet<'_> {
    const CUT_SHORT: Packet<'static> = Packet::Malformed("erspan header cut short");
    const FRAME_TYPE_IP: u8 = 2;
    match bytes.first().map(|first| first >> 4) {
        Some(1) => bytes.get(8..).map_or(CUT_SHORT, |frame| link::ethernet(frame, around)),
        Some(2) => {
            let Some((&[.., kind, optional], rest)) = bytes.split_first_chunk::<12>() else {
                return CUT_SHORT;
            };
            let Some(rest) = rest.get(usize::from(optional & 1) * 8..) else { return CUT_SHORT };
            if kind >> 2 & 0x1f == FRAME_TYPE_IP {
                ip::by_version(rest, around)
            } else {
                link::ethernet(rest, around)
            }
        }
        Some(_) => Packet::Malformed("erspan version is neither 1 nor 2"),
        None => CUT_SHORT,
    }
}

/// VXLAN (RFC 7348): a flag that the network's number counts, the number, then Ethernet.
fn vxlan(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    let (&[flags, _, _, _, n0, n1, n2, _], frame) = bytes.split_first_chunk::<8>()?;
    let around = around.within(u32::from_be_bytes([0, n0, n1, n2]));
    (flags & 0x08 != 0).then(|| link::ethernet(frame, around))
}

/// VXLAN that says what it carries (draft-ietf-nvo3-vxlan-gpe).
fn vxlan_gpe(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    let (&[flags, _, _, next, n0, n1, n2, _], rest) = bytes.split_first_chunk::<8>()?;
    if flags & 0x08 == 0 {
        return None;
    }
    let around = around.within(u32::from_be_bytes([0, n0, n1, n2]));
    match next {
        1 => Some(ip::v4(rest, around)),
        2 => Some(ip::v6(rest, around)),
        3 => Some(link::ethernet(rest, around)),
        5 => Some(mpls(rest, around)),
        _ => (flags & 0x04 == 0).then(|| link::ethernet(rest, around)),
    }
}

/// Geneve (RFC 8926): version and the length of its options, flags, an ethertype, the network's number.
fn geneve(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    let (&[version, _, high, low, n0, n1, n2, _], rest) = bytes.split_first_chunk::<8>()?;
    let around = around.within(u32::from_be_bytes([0, n0, n1, n2]));
    let rest = rest.get(usize::from(version & 0x3f) * 4..)?;
    (version >> 6 == 0).then(|| by_protocol(u16::from_be_bytes([high, low]), rest, around))
}

/// GTP, user plane (3GPP TS 29.281 section 5): a packet of the terminal in a message of kind 255, behind extension headers.
fn gtp(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    const EXTENSION: u8 = 0x04;
    const OPTIONAL: u8 = 0x07;
    const PACKET: u8 = 255;
    let (&[flags, kind, ..], mut rest) = bytes.split_first_chunk::<8>()?;
    // Version 1 of GTP, not of its charging protocol.
    if flags & 0xf0 != 0x30 || kind != PACKET {
        return None;
    }
    if flags & OPTIONAL != 0 {
        let (&[_, _, _, mut next], behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        while flags & EXTENSION != 0 && next != 0 {
            // In units of four bytes; the last byte says what follows.
            let length = usize::from(*rest.first()?) * 4;
            next = *rest.get(..length)?.last()?;
            rest = rest.get(length..)?;
        }
    }
    Some(match rest.first()? >> 4 {
        4 | 6 => ip::by_version(rest, around),
        _ => link::ethernet(rest, around),
    })
}

/// L2TP over UDP: version 2 (RFC 2661 section 3.1) carries PPP, version 3 (RFC 3931 section 4.1.2) mostly Ethernet.
fn l2tp(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    const CONTROL: u8 = 0x80;
    const LENGTH: u8 = 0x40;
    const SEQUENCE: u8 = 0x08;
    const OFFSET: u8 = 0x02;
    let (&[flags, version], rest) = bytes.split_first_chunk::<2>()?;
    if flags & CONTROL != 0 {
        return None;
    }
    match version & 0x0f {
        2 => {
            let words = usize::from(flags & LENGTH != 0) + 2 + 2 * usize::from(flags & SEQUENCE != 0);
            let mut rest = rest.get(words * 2..)?;
            if flags & OFFSET != 0 {
                let (&offset, behind) = rest.split_first_chunk::<2>()?;
                rest = behind.get(usize::from(u16::from_be_bytes(offset))..)?;
            }
            Some(ppp::framed(rest, around))
        }
        3 => session(rest.get(2..)?, around),
        _ => None,
    }
}

/// A data message of L2TPv3 (RFC 3931 section 4.1): the session, a cookie of 0, 4 or 8 bytes, perhaps a word that the kind of
/// link asks for, the link's frame. Both ends agreed beforehand on what there is: it is tried, the usual first.
fn session(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    let (session, rest) = bytes.split_first_chunk::<4>()?;
    // That of control messages.
    if *session == [0; 4] {
        return None;
    }
    [4, 0, 8, 12].into_iter().find_map(|before| {
        let frame = rest.get(before..)?;
        Some(link::ethernet(frame, around)).filter(is_certain).or_else(|| {
            let address_and_control = frame.strip_prefix(&[0xff, 3])?;
            Some(ppp::framed(address_and_control, around)).filter(is_certain)
        })
    })
}

/// Whether headers all the way to a transport are as they should be.
fn is_certain(packet: &Packet<'_>) -> bool {
    matches!(
        packet,
        Packet::Tcp(_) | Packet::Udp(_) | Packet::Fragment(_) | Packet::Other("arp" | "icmp" | "icmpv6")
    )
}

/// TZSP, by which access points and routers mirror: version 1, a kind, what is carried, then tagged fields up to an end mark.
fn tzsp(bytes: &[u8], around: Around) -> Option<Packet<'_>> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    let (&[version, kind, high, low], mut rest) = bytes.split_first_chunk::<4>()?;
    if version != 1 || kind > 1 {
        return None;
    }
    loop {
        match *rest.first()? {
            END => break,
            PADDING => rest = rest.get(1..)?,
            _ => rest = rest.get(2 + usize::from(*rest.get(1)?)..)?,
        }
    }
    let frame = rest.get(1..)?;
    match u16::from_be_bytes([high, low]) {
        1 => Some(link::ethernet(frame, around)),
        18 => Some(super::wireless::frame(frame, 0, around)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
