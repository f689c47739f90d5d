//! TLS: known by its record header (RFC 8446 section 5.1), at the start and in mid-stream; not inspected.

use super::contract::{Probe, Protocol};
use crate::model::Direction;

/// Its line in the list of protocols.
pub(super) const PROTOCOL: Protocol =
    Protocol { name: "tls", probe, parser: None, not_inspected: "encrypted" };

/// The longest record: 2^14 bytes and the expansion TLS 1.2 allows (RFC 5246 section 6.2.3).
const RECORD_LIMIT: u16 = (1 << 14) + 2048;

const CHANGE_CIPHER_SPEC: u8 = 0x14;
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const APPLICATION_DATA: u8 = 0x17;

fn probe(bytes: &[u8]) -> Probe {
    let mut header = bytes.iter().copied();
    let Some(kind) = header.next() else { return Probe::More };
    if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) {
        return Probe::No;
    }
    if header.next().is_some_and(|major| major != 3) || header.next().is_some_and(|minor| minor > 4) {
        return Probe::No;
    }
    let (Some(high), Some(low)) = (header.next(), header.next()) else { return Probe::More };
    let length = u16::from_be_bytes([high, low]);
    let fits = match kind {
        CHANGE_CIPHER_SPEC => length == 1,
        // Two bytes in clear; encrypted with nonce, tag and padding at most a few blocks more.
        ALERT => (2..=256).contains(&length),
        _ => (1..=RECORD_LIMIT).contains(&length),
    };
    if !fits {
        return Probe::No;
    }
    if kind != HANDSHAKE {
        return Probe::Yes(None);
    }
    match header.next() {
        None => Probe::More,
        Some(1) => Probe::Yes(Some(Direction::ToServer)),
        Some(2) => Probe::Yes(Some(Direction::ToClient)),
        Some(_) => Probe::Yes(None),
    }
}
