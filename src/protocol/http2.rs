//! HTTP/2 in clear: known by its connection preface (RFC 9113 section 3.4), not inspected.

use super::contract::{Probe, Protocol};
use crate::model::Direction;

/// Its line in the list of protocols.
pub(super) const PROTOCOL: Protocol =
    Protocol { name: "http/2", probe, parser: None, not_inspected: "not-supported" };

fn probe(bytes: &[u8]) -> Probe {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    if bytes.starts_with(PREFACE) {
        Probe::Yes(Some(Direction::ToServer))
    } else if PREFACE.starts_with(bytes) {
        Probe::More
    } else {
        settings(bytes)
    }
}

/// A server's preface is a SETTINGS frame on stream 0 (section 6.5), at most a few settings of six bytes; a client
/// may be caught at its own behind the preface.
fn settings(bytes: &[u8]) -> Probe {
    const REST: &[u8] = &[4, 0, 0, 0, 0, 0];
    let head = bytes.get(..9).unwrap_or(bytes);
    let (length, rest) = head.split_at_checked(3).unwrap_or((head, &[]));
    let fits = match *length {
        [high, middle, low] => high == 0 && middle == 0 && low % 6 == 0 && low <= 120,
        _ => length.iter().all(|&byte| byte == 0),
    };
    if !fits || !REST.starts_with(rest) {
        Probe::No
    } else if head.len() == 9 {
        Probe::Yes(None)
    } else {
        Probe::More
    }
}
