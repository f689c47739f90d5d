//! Link-layer headers: from the frame's first byte to the network header.

use super::{Around, Packet, TOO_DEEP, ip, ppp, tunnel, wireless};
use crate::model::{Frame, LinkType};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// `ARPHRD_NETLINK`: behind it stands no ethertype.
const HARDWARE_NETLINK: u16 = 824;

#[inline]
pub(super) fn decode<'a>(frame: &Frame<'a>) -> Packet<'a> {
    let bytes = frame.bytes;
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let around = Around { missing: frame.original_len.saturating_sub(captured), depth: 0, realm: 0 };
    match frame.link {
        LinkType::ETHERNET => ethernet(bytes, around),
        // 12 and 14 are what DLT_RAW is on one BSD or another.
        LinkType::RAW | LinkType::RAW_BSD | LinkType(14) => ip::by_version(bytes, around),
        LinkType::IPV4 => ip::v4(bytes, around),
        LinkType::IPV6 => ip::v6(bytes, around),
        LinkType::NULL | LinkType::LOOP => loopback(bytes, around),
        LinkType::LINUX_SLL => match bytes.split_first_chunk::<16>() {
            Some((&[_, _, h0, h1, .., e0, e1], rest)) => cooked([h0, h1], [e0, e1], rest, around),
            None => Packet::Malformed("sll header cut short"),
        },
        LinkType::LINUX_SLL2 => match bytes.split_first_chunk::<20>() {
            Some((&[e0, e1, _, _, _, _, _, _, h0, h1, ..], rest)) => cooked([h0, h1], [e0, e1], rest, around),
            None => Packet::Malformed("sll2 header cut short"),
        },
        link => rare(link, bytes, around),
    }
}

/// Links seldom met.
#[cold]
fn rare(link: LinkType, bytes: &[u8], around: Around) -> Packet<'_> {
    match link {
        LinkType::PPP | LinkType::PPP_HDLC | LinkType::C_HDLC => ppp::serial(bytes, around),
        LinkType::PPP_ETHER => ppp::over_ethernet(bytes, around),
        LinkType::IEEE802_11 => wireless::frame(bytes, 0, around),
        LinkType::IEEE802_11_RADIOTAP => wireless::radiotap(bytes, around),
        LinkType::IEEE802_11_PRISM | LinkType::IEEE802_11_AVS => wireless::monitored(bytes, around),
        LinkType::NFLOG => nflog(bytes, around),
        LinkType::PKTAP | LinkType::APPLE_PKTAP => pktap(bytes, around),
        link => Packet::UnknownLink(link),
    }
}

#[inline]
pub(super) fn ethernet(bytes: &[u8], around: Around) -> Packet<'_> {
    match bytes.split_first_chunk::<14>() {
        Some((&[.., high, low], rest)) => by_ethertype(u16::from_be_bytes([high, low]), rest, around),
        None => Packet::Malformed("ethernet header cut short"),
    }
}

#[inline]
pub(super) fn by_ethertype(ethertype: u16, bytes: &[u8], around: Around) -> Packet<'_> {
    match ethertype {
        IPV4 => ip::v4(bytes, around),
        IPV6 => ip::v6(bytes, around),
        _ => behind_tags(ethertype, bytes, around),
    }
}

/// VLAN tags (IEEE 802.1Q; 0x9100 is what QinQ was before 802.1ad), however many there are.
fn behind_tags(mut ethertype: u16, mut bytes: &[u8], mut around: Around) -> Packet<'_> {
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        let Some((&[tag, number, high, low], rest)) = bytes.split_first_chunk::<4>() else {
            return Packet::Malformed("vlan tag cut short");
        };
        ethertype = u16::from_be_bytes([high, low]);
        bytes = rest;
        // 0 is of no VLAN, and only says how urgent a frame is (IEEE 802.1Q clause 9.6).
        let number = u32::from(u16::from_be_bytes([tag, number]) & 0x0fff);
        if number > 0 {
            around = around.within(number);
        }
    }
    match ethertype {
        IPV4 => ip::v4(bytes, around),
        IPV6 => ip::v6(bytes, around),
        // Below 0x0600 it is a length (IEEE 802.3 clause 3.2.6).
        0x0000..0x0600 => llc(bytes, around),
        0x0806 => Packet::Other("arp"),
        0x8035 => Packet::Other("rarp"),
        0x8847 | 0x8848 => tunnel::mpls(bytes, around),
        0x8863 => Packet::Other("pppoe-discovery"),
        0x8864 => ppp::over_ethernet(bytes, around),
        0x888e => Packet::Other("eapol"),
        0x88cc => Packet::Other("lldp"),
        0x88e5 => Packet::Other("macsec"),
        0x88f7 => Packet::Other("ptp"),
        0x894f => Packet::Other("nsh"),
        _ => Packet::Other("ethertype-other"),
    }
}

/// IEEE 802.2: behind a SNAP header that names an ethertype (RFC 1042) stands what stands behind that ethertype.
pub(super) fn llc(bytes: &[u8], around: Around) -> Packet<'_> {
    match bytes.split_first_chunk::<8>() {
        Some((&[0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, high, low], rest)) => match u16::from_be_bytes([high, low]) {
            // A length would lead here again.
            0x0000..0x0600 => Packet::Other("llc"),
            ethertype => by_ethertype(ethertype, rest, around),
        },
        _ => Packet::Other("llc"),
    }
}

/// An address family of four bytes. NULL has it in the byte order of the host that captured, LOOP in network order;
/// files mix them up, so both are read both ways: families are small numbers.
fn loopback(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some((&family, rest)) = bytes.split_first_chunk::<4>() else {
        return Packet::Malformed("loopback header cut short");
    };
    match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
        2 => ip::v4(rest, around),
        // Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => ip::v6(rest, around),
        _ => Packet::Other("family-other"),
    }
}

fn cooked(hardware: [u8; 2], ethertype: [u8; 2], rest: &[u8], around: Around) -> Packet<'_> {
    if u16::from_be_bytes(hardware) == HARDWARE_NETLINK {
        return Packet::Other("netlink");
    }
    by_ethertype(u16::from_be_bytes(ethertype), rest, around)
}

/// Packets that the firewall of Linux logs (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>): fields of a length, a
/// kind and a value, all in the byte order of the capturing host; the packet is the field of kind 9.
fn nflog(bytes: &[u8], around: Around) -> Packet<'_> {
    const PAYLOAD: u16 = 9;
    let Some((&[_family, version, ..], mut rest)) = bytes.split_first_chunk::<4>() else {
        return Packet::Malformed("nflog header cut short");
    };
    if version != 0 {
        return Packet::Malformed("nflog version is not 0");
    }
    while let Some((&[l0, l1, k0, k1], value)) = rest.split_first_chunk::<4>() {
        // Lengths are small and kinds smaller: the byte order that makes the kind small is the right one.
        let (little, big) = (u16::from_le_bytes([k0, k1]) & 0x7fff, u16::from_be_bytes([k0, k1]) & 0x7fff);
        let (length, kind) = if little <= big {
            (u16::from_le_bytes([l0, l1]), little)
        } else {
            (u16::from_be_bytes([l0, l1]), big)
        };
        let length = usize::from(length);
        if length < 4 {
            return Packet::Malformed("nflog field shorter than its header");
        }
        if kind == PAYLOAD {
            return ip::by_version(value.get(..length - 4).unwrap_or(value), around);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Packet::Other("nflog-without-packet")
}

/// What Darwin puts before a frame (<https://www.tcpdump.org/linktypes/LINKTYPE_PKTAP.html>): the length of its header, a kind,
/// and the link type of the frame behind, little-endian.
fn pktap(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some(&[l0, l1, l2, l3, _, _, _, _, t0, t1, t2, t3]) = bytes.first_chunk::<12>() else {
        return Packet::Malformed("pktap header cut short");
    };
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    let (Some(rest), Some(around)) = (bytes.get(length.max(12)..), around.deeper(around.missing as usize))
    else {
        return Packet::Malformed("pktap header longer than its frame");
    };
    match LinkType(u32::from_le_bytes([t0, t1, t2, t3])) {
        LinkType::ETHERNET => ethernet(rest, around),
        LinkType::RAW | LinkType::RAW_BSD | LinkType(14) => ip::by_version(rest, around),
        LinkType::NULL | LinkType::LOOP => loopback(rest, around),
        LinkType::IEEE802_11 => wireless::frame(rest, 0, around),
        LinkType::IEEE802_11_RADIOTAP => wireless::radiotap(rest, around),
        LinkType::PPP => ppp::serial(rest, around),
        LinkType::PKTAP | LinkType::APPLE_PKTAP => TOO_DEEP,
        link => Packet::UnknownLink(link),
    }
}
