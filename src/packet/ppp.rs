//! The point-to-point protocol and its like: PPP, Cisco HDLC, PPPoE.

use super::{Around, Packet, TOO_DEEP, ip, link, tunnel};

/// A serial line: PPP with or without its address and control field (RFC 1662 section 3.1), or Cisco HDLC.
pub(super) fn serial(bytes: &[u8], around: Around) -> Packet<'_> {
    match bytes.first_chunk::<4>() {
        // An address (one station or all) and a control byte, then an ethertype.
        Some(&[0x0f | 0x8f, _, high, low]) => {
            let rest = bytes.get(4..).unwrap_or_default();
            match u16::from_be_bytes([high, low]) {
                0x8035 => Packet::Other("slarp"),
                0x0000..0x0600 => Packet::Other("llc"),
                ethertype => link::by_ethertype(ethertype, rest, around),
            }
        }
        _ => framed(bytes, around),
    }
}

/// PPP, its address and control field left out or not.
pub(super) fn framed(bytes: &[u8], around: Around) -> Packet<'_> {
    let bytes = bytes.strip_prefix(&[0xff, 3]).unwrap_or(bytes);
    let (protocol, rest) = match bytes {
        // Odd: compressed to one byte (RFC 1661 section 6.5).
        [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return Packet::Malformed("ppp header cut short"),
    };
    match protocol {
        0x0021 => ip::v4(rest, around),
        0x0057 => ip::v6(rest, around),
        0x0281 | 0x0283 => tunnel::mpls(rest, around),
        // Headers that are differences to the ones before (RFC 1144), packets in parts (RFC 1990), packed or enciphered.
        0x002d | 0x002f => Packet::Other("ppp-compressed-tcp"),
        0x003d => Packet::Other("ppp-multilink"),
        0x00fd | 0x00fb => Packet::Other("ppp-compressed"),
        0x0053 => Packet::Other("ppp-encrypted"),
        0x0031 => Packet::Other("ppp-bridged"),
        0x8000..=0xbfff => Packet::Other("ppp-network-control"),
        0xc000..=0xffff => Packet::Other("ppp-link-control"),
        _ => Packet::Other("ppp-other"),
    }
}

/// A PPPoE session packet (RFC 2516 section 4): version and type, a code, the session, a length; then PPP from its protocol on.
pub(super) fn over_ethernet(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some((&[kind, code, _, _, high, low], rest)) = bytes.split_first_chunk::<6>() else {
        return Packet::Malformed("pppoe header cut short");
    };
    if kind != 0x11 {
        return Packet::Malformed("pppoe version or type is not 1");
    }
    if code != 0 {
        return Packet::Other("pppoe-discovery");
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let payload = rest.get(..length).unwrap_or(rest);
    match around.deeper(length - payload.len()) {
        Some(around) => framed(payload, around),
        None => TOO_DEEP,
    }
}
