//! Bytes of a frame masked in place, its checksum as right as it was.

use std::ops::Range;

use crate::model::http::offset_in;
use crate::model::{Frame, Transport};

use super::streams::Piece;

/// What stands in the place of what is masked.
pub(super) const FILL: u8 = b'x';

/// Masks parts of the payload, and mends the checksum of the segment or datagram (RFC 1624: only what changed counts, so that
/// checksums that were left to a network card stay so). How many bytes changed.
///
/// The sums of tunnels around it need no change: what the payload lost the checksum within gained.
pub(super) fn mask(bytes: &mut [u8], frame: &Frame<'_>, piece: &Piece<'_>, parts: &[Range<usize>]) -> usize {
    let Some(start) = offset_in(frame.bytes, piece.payload) else { return 0 };
    let header = header(frame.bytes, start, piece);
    let mut delta = 0;
    let mut changed = 0;
    for at in parts.iter().flat_map(Clone::clone) {
        let Some(byte) = bytes.get_mut(start + at).filter(|_| at < piece.payload.len()) else {
            continue;
        };
        let is_high = header.is_none_or(|(header, _)| (start + at - header).is_multiple_of(2));
        delta += (i64::from(FILL) - i64::from(*byte)) * if is_high { 256 } else { 1 };
        *byte = FILL;
        changed += 1;
    }
    if let Some((_, checksum)) = header {
        add(bytes, checksum, delta, piece.key.transport());
    }
    changed
}

/// Adds what changed to the checksum that stands at `at`.
pub(super) fn add(bytes: &mut [u8], at: usize, delta: i64, transport: Transport) {
    let Some(&[high, low]) = bytes.get(at..at + 2) else { return };
    let old = u16::from_be_bytes([high, low]);
    // A datagram may have none (RFC 768).
    if delta == 0 || (old == 0 && transport == Transport::Udp) {
        return;
    }
    let sum = (i64::from(!old) + delta).rem_euclid(0xffff) as u16;
    // Zero has two forms; of data that is not all zero the sum is the other one.
    let sum = if sum == 0 { 0xffff } else { sum };
    let new = match (!sum, transport) {
        (0, Transport::Udp) => 0xffff,
        (new, _) => new,
    };
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&new.to_be_bytes());
    }
}

/// Where the header of the payload at `payload` begins, and where its checksum stands: known again by its ports (and sequence number).
fn header(bytes: &[u8], payload: usize, piece: &Piece<'_>) -> Option<(usize, usize)> {
    let ports = |at: usize| {
        let ports: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        let [a, b, c, d] = ports;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    };
    let expected = Some((piece.key.end(piece.sender).port, piece.key.end(piece.sender.other()).port));
    let Some(sequence) = piece.sequence else {
        let at = payload.checked_sub(8)?;
        return (ports(at) == expected).then_some((at, at + 6));
    };
    (20..=60).step_by(4).find_map(|length| {
        let at = payload.checked_sub(length)?;
        let is_it = ports(at) == expected
            && bytes.get(at + 4..at + 8) == Some(&sequence.to_be_bytes())
            && bytes.get(at + 12).is_some_and(|&byte| usize::from(byte >> 4) * 4 == length);
        is_it.then_some((at, at + 16))
    })
}
