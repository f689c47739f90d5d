//! Link-layer headers: from the frame's first byte to the network header.

use super::{Packet, ip};
use crate::model::{Frame, LinkType};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// `ARPHRD_NETLINK`: behind it stands no ethertype.
const HARDWARE_NETLINK: u16 = 824;

#[inline]
pub(super) fn decode<'a>(frame: &Frame<'a>) -> Packet<'a> {
    let bytes = frame.bytes;
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let missing = frame.original_len.saturating_sub(captured);
    match frame.link {
        LinkType::ETHERNET => match bytes.split_first_chunk::<14>() {
            Some((&[.., high, low], rest)) => by_ethertype(u16::from_be_bytes([high, low]), rest, missing),
            None => Packet::Malformed("ethernet header cut short"),
        },
        // 12 and 14 are what DLT_RAW is on one BSD or another.
        LinkType::RAW | LinkType::RAW_BSD | LinkType(14) => ip::by_version(bytes, missing),
        LinkType::IPV4 => ip::v4(bytes, missing),
        LinkType::IPV6 => ip::v6(bytes, missing),
        LinkType::NULL | LinkType::LOOP => loopback(bytes, missing),
        LinkType::LINUX_SLL => match bytes.split_first_chunk::<16>() {
            Some((&[_, _, h0, h1, .., e0, e1], rest)) => cooked([h0, h1], [e0, e1], rest, missing),
            None => Packet::Malformed("sll header cut short"),
        },
        LinkType::LINUX_SLL2 => match bytes.split_first_chunk::<20>() {
            Some((&[e0, e1, _, _, _, _, _, _, h0, h1, ..], rest)) => {
                cooked([h0, h1], [e0, e1], rest, missing)
            }
            None => Packet::Malformed("sll2 header cut short"),
        },
        link => Packet::UnknownLink(link),
    }
}

#[inline]
fn by_ethertype(ethertype: u16, bytes: &[u8], missing: u32) -> Packet<'_> {
    match ethertype {
        IPV4 => ip::v4(bytes, missing),
        IPV6 => ip::v6(bytes, missing),
        _ => behind_tags(ethertype, bytes, missing),
    }
}

/// VLAN tags (IEEE 802.1Q; 0x9100 is what QinQ was before 802.1ad), however many there are.
fn behind_tags(mut ethertype: u16, mut bytes: &[u8], missing: u32) -> Packet<'_> {
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        let Some((&[_, _, high, low], rest)) = bytes.split_first_chunk::<4>() else {
            return Packet::Malformed("vlan tag cut short");
        };
        ethertype = u16::from_be_bytes([high, low]);
        bytes = rest;
    }
    match ethertype {
        IPV4 => ip::v4(bytes, missing),
        IPV6 => ip::v6(bytes, missing),
        // Below 0x0600 it is a length (IEEE 802.3 clause 3.2.6).
        0x0000..0x0600 => Packet::Other("llc"),
        0x0806 => Packet::Other("arp"),
        0x8035 => Packet::Other("rarp"),
        0x8847 | 0x8848 => Packet::Other("mpls"),
        0x8863 => Packet::Other("pppoe-discovery"),
        0x8864 => Packet::Other("pppoe"),
        0x888e => Packet::Other("eapol"),
        0x88cc => Packet::Other("lldp"),
        0x88e5 => Packet::Other("macsec"),
        0x88f7 => Packet::Other("ptp"),
        _ => Packet::Other("ethertype-other"),
    }
}

/// An address family of four bytes. NULL has it in the byte order of the host that captured, LOOP in network order;
/// files mix them up, so both are read both ways: families are small numbers.
fn loopback(bytes: &[u8], missing: u32) -> Packet<'_> {
    let Some((&family, rest)) = bytes.split_first_chunk::<4>() else {
        return Packet::Malformed("loopback header cut short");
    };
    match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
        2 => ip::v4(rest, missing),
        // Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => ip::v6(rest, missing),
        _ => Packet::Other("family-other"),
    }
}

fn cooked(hardware: [u8; 2], ethertype: [u8; 2], rest: &[u8], missing: u32) -> Packet<'_> {
    if u16::from_be_bytes(hardware) == HARDWARE_NETLINK {
        return Packet::Other("netlink");
    }
    by_ethertype(u16::from_be_bytes(ethertype), rest, missing)
}
