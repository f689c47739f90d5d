//! IEEE 802.11: data frames in clear, with or without what a monitor puts before them.

use super::{Around, Packet, TOO_DEEP, link};

/// What radiotap says of a frame that decides where its payload stands: the address field is padded to four bytes.
const PADDED: u8 = 0x20;

/// A radiotap header (<https://www.radiotap.org>): version, its length, which fields there are, the fields; little-endian.
pub(super) fn radiotap(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some(&[version, _, l0, l1, p0, p1, p2, p3]) = bytes.first_chunk::<8>() else {
        return Packet::Malformed("radiotap header cut short");
    };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let (Some(header), Some(rest)) = (bytes.get(..length), bytes.get(length..)) else {
        return Packet::Malformed("radiotap header cut short");
    };
    if version != 0 || length < 8 {
        return Packet::Malformed("radiotap version is not 0");
    }
    // Words that say what there is: each with its highest bit set is followed by one more.
    let present = u32::from_le_bytes([p0, p1, p2, p3]);
    let (mut at, mut word) = (8, present);
    while word >> 31 == 1 {
        let Some(&next) = header.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Packet::Malformed("radiotap header cut short");
        };
        word = u32::from_le_bytes(next);
        at += 4;
    }
    // The first field is a time of eight bytes, aligned as long; the second the flags.
    if present & 1 == 1 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if present & 2 == 2 { header.get(at).copied().unwrap_or_default() } else { 0 };
    frame(rest, flags, around)
}

/// A Prism header (its length is its second word, in the byte order of the capturing host) or an AVS one (network order).
/// Both write these link types, so it is the header that tells.
pub(super) fn monitored(bytes: &[u8], around: Around) -> Packet<'_> {
    let Some(&[m0, m1, m2, m3, l0, l1, l2, l3]) = bytes.first_chunk::<8>() else {
        return Packet::Malformed("monitor header cut short");
    };
    let length = if [m0, m1, m2] == [0x80, 0x21, 0x10] && m3 <= 2 {
        u32::from_be_bytes([l0, l1, l2, l3])
    } else {
        u32::from_le_bytes([l0, l1, l2, l3]).min(u32::from_be_bytes([l0, l1, l2, l3]))
    };
    match bytes.get(usize::try_from(length).unwrap_or(usize::MAX)..) {
        Some(rest) if length >= 8 => frame(rest, 0, around),
        _ => Packet::Malformed("monitor header longer than its frame"),
    }
}

/// A frame (IEEE 802.11-2020 clause 9.3.2): two bytes of control, a duration, three or four addresses, then LLC.
pub(super) fn frame(bytes: &[u8], flags: u8, around: Around) -> Packet<'_> {
    const DATA: u8 = 2;
    const TO_AND_FROM: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    let Some(&[kind, control]) = bytes.first_chunk::<2>() else {
        return Packet::Malformed("802.11 header cut short");
    };
    match kind >> 2 & 3 {
        DATA => {}
        0 => return Packet::Other("802.11-management"),
        1 => return Packet::Other("802.11-control"),
        _ => return Packet::Other("802.11-other"),
    }
    // Subtypes: the bit 4 has no data, the bit 8 a field for the quality of service.
    if kind & 0x40 != 0 {
        return Packet::Other("802.11-null");
    }
    if control & PROTECTED != 0 {
        return Packet::Other("802.11-protected");
    }
    let mut header = 24;
    if control & TO_AND_FROM == TO_AND_FROM {
        header += 6;
    }
    if kind & 0x80 != 0 {
        match bytes.get(header) {
            Some(quality) if quality & 0x80 != 0 => return Packet::Other("802.11-aggregate"),
            _ => header += 2,
        }
        if control & ORDER != 0 {
            header += 4;
        }
    }
    let number = bytes.get(22).copied().unwrap_or_default() & 0x0f;
    if control & MORE_FRAGMENTS != 0 || number != 0 {
        return Packet::Other("802.11-fragment");
    }
    if flags & PADDED != 0 {
        header = header.next_multiple_of(4);
    }
    match (bytes.get(header..), around.deeper(around.missing as usize)) {
        (Some(rest), Some(around)) => link::llc(rest, around),
        (None, _) => Packet::Malformed("802.11 header cut short"),
        (_, None) => TOO_DEEP,
    }
}
