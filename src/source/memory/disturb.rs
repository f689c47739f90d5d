//! The ways a network or a tap spoils frames, over the frames of any capture: pure, and the same in every run.
//!
//! Frames that carry no whole TCP header pass as they are where a way is about TCP. Times stay in order.
//! Checksums of what is rewritten are left as they were.

use std::collections::BTreeMap;

use super::Kept;
use super::place::{Ends, Place, network, number, put};
use crate::model::LinkType;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;

/// Which half of the conversations is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What clients send.
    ToServer,
    /// What servers send.
    ToClient,
}

/// Frames change places within blocks of `window` frames, by `seed`; the times stay where they were.
#[must_use]
pub fn shuffled(frames: &[Kept], window: usize, seed: u64) -> Vec<Kept> {
    let mut random = SplitMix(seed);
    let mut shuffled = frames.to_vec();
    for block in shuffled.chunks_mut(window.max(1)) {
        for last in (1..block.len()).rev() {
            block.swap(last, random.below(last + 1));
        }
    }
    for (frame, place) in shuffled.iter_mut().zip(frames) {
        frame.time = place.time;
    }
    shuffled
}

/// Each frame twice.
#[must_use]
pub fn doubled(frames: &[Kept]) -> Vec<Kept> {
    frames.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect()
}

/// TCP payload cut into segments of at most `size` bytes; bytes that were not captured stay one cut segment.
#[must_use]
pub fn segmented(frames: &[Kept], size: usize) -> Vec<Kept> {
    let mut cut = Vec::new();
    for frame in frames {
        match Place::of(frame) {
            Some(place) if place.length() > size.max(1) => segments(frame, place, size.max(1), &mut cut),
            _ => cut.push(frame.clone()),
        }
    }
    cut
}

fn segments(frame: &Kept, place: Place, size: usize, out: &mut Vec<Kept>) {
    let (head, rest) = frame.bytes.split_at_checked(place.payload).unwrap_or((&frame.bytes, &[]));
    let payload = rest.get(..place.end - place.payload).unwrap_or(rest);
    let flags = place.flags(&frame.bytes);
    let wire = place.length();
    let mut sequence = place.sequence(&frame.bytes);
    let mut done = 0;
    while done < wire {
        let part = payload.get(done..).unwrap_or_default();
        let part = part.get(..size).unwrap_or(part);
        // Behind what was captured: all that is missing.
        let length = if part.is_empty() { wire - done } else { part.len() };
        let mut bytes = head.to_vec();
        let (first, last) = (done == 0, done + length == wire);
        let kept = flags & !(if first { 0 } else { SYN }) & !(if last { 0 } else { FIN | PSH });
        put(&mut bytes, place.tcp + 13, &[kept]);
        put(&mut bytes, place.tcp + 4, &sequence.to_be_bytes());
        set_length(&mut bytes, place, place.payload - place.network + length);
        bytes.extend_from_slice(part);
        let original_len = u32::try_from(place.payload + length).unwrap_or(u32::MAX);
        out.push(Kept { bytes, original_len, ..frame.clone() });
        let syn = u32::from(first && flags & SYN != 0);
        sequence = sequence.wrapping_add(length as u32).wrapping_add(syn);
        done += length;
    }
}

/// Writes the length of an IP datagram, its header included. One too long for the field is written as 0, as
/// segmentation offload does.
fn set_length(bytes: &mut [u8], place: Place, length: usize) {
    let (at, length) = if place.v6 { (place.network + 4, length - 40) } else { (place.network + 2, length) };
    put(bytes, at, &u16::try_from(length).unwrap_or(0).to_be_bytes());
}

/// Sequence numbers moved so that each direction of each connection passes 2^32 in the middle of its bytes.
#[must_use]
pub fn wrapped(frames: &[Kept]) -> Vec<Kept> {
    // Of each direction the first sequence number, and the lowest and highest relative to it.
    let mut spans: BTreeMap<Ends, (u32, i32, i32)> = BTreeMap::new();
    for frame in frames {
        let Some((place, ends)) = placed(frame) else {
            continue;
        };
        let sequence = place.sequence(&frame.bytes);
        let (first, low, high) = spans.entry(ends).or_insert((sequence, 0, 0));
        let relative = sequence.wrapping_sub(*first) as i32;
        *low = relative.min(*low);
        *high = relative.saturating_add(place.length() as i32).max(*high);
    }
    let shift = |ends: &Ends| {
        spans.get(ends).map_or(0, |(first, low, high)| {
            let middle = i64::midpoint(i64::from(*low), i64::from(*high));
            0_u32.wrapping_sub(first.wrapping_add(middle as u32))
        })
    };
    let moved = |frame: &Kept| {
        let mut frame = frame.clone();
        if let Some((place, ends)) = placed(&frame) {
            let bytes = &mut frame.bytes;
            add(bytes, place.tcp + 4, shift(&ends));
            if place.is_ack(bytes) {
                let back = shift(&ends.reversed());
                add(bytes, place.tcp + 8, back);
                selective(bytes, place, back);
            }
        }
        frame
    };
    frames.iter().map(moved).collect()
}

fn placed(frame: &Kept) -> Option<(Place, Ends)> {
    let place = Place::of(frame)?;
    Some((place, place.ends(&frame.bytes)?))
}

fn add(bytes: &mut [u8], at: usize, shift: u32) {
    let value = number(bytes, at).wrapping_add(shift);
    put(bytes, at, &value.to_be_bytes());
}

/// The numbers of a selective acknowledgment (RFC 2018 section 3).
fn selective(bytes: &mut [u8], place: Place, shift: u32) {
    let mut at = place.tcp + 20;
    while at < place.payload {
        let kind = bytes.get(at).copied().unwrap_or_default();
        let length = match kind {
            0 => return,
            1 => 1,
            _ => usize::from(bytes.get(at + 1).copied().unwrap_or_default()),
        };
        if length == 0 || at + length > place.payload {
            return;
        }
        if kind == 5 {
            for number in (at + 2..at + length).step_by(4).filter(|number| number + 4 <= at + length) {
                add(bytes, number, shift);
            }
        }
        at += length;
    }
}

/// Without the segments that open connections; of one that carries data (RFC 7413) the data stays.
#[must_use]
pub fn without_handshake(frames: &[Kept]) -> Vec<Kept> {
    let left = frames.iter().filter_map(|frame| match Place::of(frame) {
        Some(place) if place.is_syn(&frame.bytes) => {
            if place.length() == 0 {
                return None;
            }
            let mut frame = frame.clone();
            let flags = place.flags(&frame.bytes) & !SYN;
            put(&mut frame.bytes, place.tcp + 13, &[flags]);
            add(&mut frame.bytes, place.tcp + 4, 1);
            Some(frame)
        }
        _ => Some(frame.clone()),
    });
    left.collect()
}

/// Each frame in a VLAN. Links that have no tags (raw IP, loopback) become Ethernet first.
#[must_use]
pub fn vlan(frames: &[Kept]) -> Vec<Kept> {
    frames.iter().map(|frame| tagged(frame, 0x8100, 7)).collect()
}

/// Each frame in a VLAN in a provider's VLAN (IEEE 802.1ad).
#[must_use]
pub fn qinq(frames: &[Kept]) -> Vec<Kept> {
    frames.iter().map(|frame| tagged(&tagged(frame, 0x8100, 7), 0x88a8, 100)).collect()
}

fn tagged(frame: &Kept, protocol: u16, id: u16) -> Kept {
    let frame = ethernet(frame);
    // Where the ethertype stands, and where the header ends.
    let (ethertype, header) = match frame.link {
        LinkType::ETHERNET => (12, 14),
        LinkType::LINUX_SLL => (14, 16),
        LinkType::LINUX_SLL2 => (0, 20),
        _ => return frame,
    };
    let bytes = &frame.bytes;
    let (Some(inner), Some((head, rest))) =
        (bytes.get(ethertype..ethertype + 2), bytes.split_at_checked(header))
    else {
        return frame;
    };
    let mut tagged = head.to_vec();
    put(&mut tagged, ethertype, &protocol.to_be_bytes());
    tagged.extend(id.to_be_bytes());
    tagged.extend(inner);
    tagged.extend(rest);
    Kept { bytes: tagged, original_len: frame.original_len.saturating_add(4), ..frame }
}

/// Raw IP and loopback frames with an Ethernet header in place of theirs.
fn ethernet(frame: &Kept) -> Kept {
    let header = match frame.link {
        LinkType::NULL | LinkType::LOOP => 4,
        LinkType::RAW | LinkType::RAW_BSD | LinkType::IPV4 | LinkType::IPV6 | LinkType(14) => 0,
        _ => return frame.clone(),
    };
    let Some(datagram) = frame.bytes.get(header..) else {
        return frame.clone();
    };
    let ethertype: [u8; 2] = match datagram.first().map(|first| first >> 4) {
        Some(4) => [0x08, 0x00],
        Some(6) => [0x86, 0xdd],
        _ => return frame.clone(),
    };
    let bytes = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &ethertype[..], datagram].concat();
    let original_len = frame.original_len.saturating_add(14 - header as u32);
    Kept { time: frame.time, link: LinkType::ETHERNET, bytes, original_len }
}

/// Each IP datagram in a frame of its own in VXLAN (RFC 7348), over IPv4. Frames that carry no IP stay as they are.
#[must_use]
pub fn vxlan(frames: &[Kept]) -> Vec<Kept> {
    carried(frames, 17, |datagram, v6| {
        let frame = [&STATIONS[..], ethertype(v6), datagram].concat();
        let header = [0x08, 0, 0, 0, 0, 0x10, 0x01, 0];
        let length = u16::try_from(16 + frame.len()).ok()?;
        Some([&[0xd9, 0x03, 0x12, 0xb5][..], &length.to_be_bytes(), &[0, 0], &header, &frame].concat())
    })
}

/// Each IP datagram in GRE with a key and a sequence number (RFC 2890), over IPv4. Frames that carry no IP stay as they are.
#[must_use]
pub fn gre(frames: &[Kept]) -> Vec<Kept> {
    carried(frames, 47, |datagram, v6| {
        Some([&[0x30, 0][..], ethertype(v6), &[0, 0, 0, 7, 0, 0, 0, 1], datagram].concat())
    })
}

/// Each IP datagram as the payload of another one, of this protocol, with a header that `wrap` makes.
fn carried(frames: &[Kept], protocol: u8, wrap: impl Fn(&[u8], bool) -> Option<Vec<u8>>) -> Vec<Kept> {
    let outer = |frame: &Kept| {
        let (at, v6) = network(frame)?;
        let datagram = frame.bytes.get(at..)?;
        // What was not captured of the datagram is not of the outer one either, and padding would be payload.
        let announced = announced(datagram, v6)?;
        let datagram = datagram.get(..announced).unwrap_or(datagram);
        let payload = wrap(datagram, v6)?;
        let missing = announced - datagram.len();
        let mut bytes = [&STATIONS[..], ethertype(false)].concat();
        bytes.extend(header_v4(protocol, payload.len() + missing)?);
        bytes.extend(payload);
        let original_len = u32::try_from(bytes.len() + missing).ok()?;
        Some(Kept { time: frame.time, link: LinkType::ETHERNET, bytes, original_len })
    };
    frames.iter().map(|frame| outer(frame).unwrap_or_else(|| frame.clone())).collect()
}

/// IP datagrams cut into fragments of at most `size` bytes of payload (a multiple of eight), the last one first. What was not
/// captured as a whole stays as it is, and so do fragments.
#[must_use]
pub fn fragmented(frames: &[Kept], size: usize) -> Vec<Kept> {
    let mut cut = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        match fragments(frame, number, size.next_multiple_of(8)) {
            Some(parts) => cut.extend(parts.into_iter().rev()),
            None => cut.push(frame.clone()),
        }
    }
    cut
}

fn fragments(frame: &Kept, number: usize, size: usize) -> Option<Vec<Kept>> {
    let (at, v6) = network(frame)?;
    let datagram = frame.bytes.get(at..)?;
    let datagram = datagram.get(..announced(datagram, v6)?)?;
    // As many as there are in flight differ; what the datagram had is left out.
    let number = number as u16;
    let header = if v6 { 40 } else { usize::from(datagram.first()? & 0x0f) * 4 };
    let (head, payload) = datagram.split_at_checked(header)?;
    let is_one = if v6 {
        // Extension headers would have to stay before the fragment header.
        !matches!(head.get(6)?, 6 | 17)
    } else {
        u16::from_be_bytes(*head.get(6..)?.first_chunk()?) & 0x3fff != 0
    };
    if is_one || payload.len() <= size {
        return None;
    }
    let count = payload.len().div_ceil(size);
    let part = |(index, part): (usize, &[u8])| {
        let more = index + 1 < count;
        let offset = u16::try_from(index * size).unwrap_or(u16::MAX);
        let mut bytes = frame.bytes.get(..at).unwrap_or_default().to_vec();
        let start = bytes.len();
        bytes.extend(head);
        if v6 {
            let next = head.get(6).copied().unwrap_or_default();
            put(&mut bytes, start + 4, &((8 + part.len()) as u16).to_be_bytes());
            put(&mut bytes, start + 6, &[44]);
            let [place, identification] = [offset | u16::from(more), number].map(u16::to_be_bytes);
            bytes.extend([&[next, 0], &place[..], &[0, 0], &identification].concat());
        } else {
            let flags = if more { 0x2000 } else { 0 };
            put(&mut bytes, start + 2, &((header + part.len()) as u16).to_be_bytes());
            put(&mut bytes, start + 4, &number.to_be_bytes());
            put(&mut bytes, start + 6, &((offset / 8) | flags).to_be_bytes());
        }
        bytes.extend(part);
        let original_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Kept { time: frame.time, link: frame.link, bytes, original_len }
    };
    Some(payload.chunks(size).enumerate().map(part).collect())
}

/// Two stations.
const STATIONS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

fn ethertype(v6: bool) -> &'static [u8] {
    if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] }
}

/// The length that the header of a datagram announces; where it says 0 (segmentation offload) nothing does.
fn announced(datagram: &[u8], v6: bool) -> Option<usize> {
    let (at, more) = if v6 { (4, 40) } else { (2, 0) };
    let length = usize::from(u16::from_be_bytes(*datagram.get(at..)?.first_chunk()?));
    (length > 0).then_some(length + more)
}

fn header_v4(protocol: u8, payload: usize) -> Option<[u8; 20]> {
    let [l0, l1] = u16::try_from(payload + 20).ok()?.to_be_bytes();
    Some([0x45, 0, l0, l1, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 201, 192, 0, 2, 202])
}

/// One half of each TCP connection. The client is who sent the SYN; where none was seen, who has the higher port.
#[must_use]
pub fn one_direction(frames: &[Kept], half: Half) -> Vec<Kept> {
    let mut from_client: BTreeMap<Ends, bool> = BTreeMap::new();
    for frame in frames {
        if let Some((place, ends)) = placed(frame)
            && place.is_syn(&frame.bytes)
        {
            let asks = !place.is_ack(&frame.bytes);
            from_client.entry(ends.reversed()).or_insert(!asks);
            from_client.entry(ends).or_insert(asks);
        }
    }
    let is_left = |frame: &&Kept| {
        placed(frame).is_none_or(|(_, ends)| {
            let higher_port = ends.source.last_chunk::<2>() >= ends.destination.last_chunk::<2>();
            from_client.get(&ends).copied().unwrap_or(higher_port) == (half == Half::ToServer)
        })
    };
    frames.iter().filter(is_left).cloned().collect()
}

/// Frames cut to `snaplen` bytes, as a capture with that snapshot length has them.
#[must_use]
pub fn truncated(frames: &[Kept], snaplen: usize) -> Vec<Kept> {
    let mut frames = frames.to_vec();
    for frame in &mut frames {
        frame.bytes.truncate(snaplen);
    }
    frames
}

/// TCP over IPv4 carried over IPv6 instead, as raw IP, each address within 64:ff9b::/96 (RFC 6052).
#[must_use]
pub fn over_ipv6(frames: &[Kept]) -> Vec<Kept> {
    frames.iter().map(|frame| translated(frame).unwrap_or_else(|| frame.clone())).collect()
}

fn translated(frame: &Kept) -> Option<Kept> {
    let (place, ends) = placed(frame).filter(|(place, _)| !place.v6)?;
    let prefix = [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    let length = place.payload - place.tcp + place.length();
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(length).unwrap_or(0).to_be_bytes());
    bytes.extend([6, 64]);
    for end in [ends.source, ends.destination] {
        bytes.extend(prefix);
        bytes.extend(end.first_chunk::<4>()?);
    }
    bytes.extend(frame.bytes.get(place.tcp..place.end)?);
    let original_len = u32::try_from(40 + length).unwrap_or(u32::MAX);
    Some(Kept { time: frame.time, link: LinkType::RAW, bytes, original_len })
}

/// A small generator of numbers that look random (Steele, Lea, Flood: SplitMix64).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
