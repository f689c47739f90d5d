//! SSH: known by its identification string (RFC 4253 section 4.2), not inspected.

use super::contract::{Probe, Protocol};

/// Its line in the list of protocols.
pub(super) const PROTOCOL: Protocol =
    Protocol { name: "ssh", probe, parser: None, not_inspected: "encrypted" };

fn probe(bytes: &[u8]) -> Probe {
    const START: &[u8] = b"SSH-";
    if bytes.starts_with(START) {
        // Both ends send one.
        Probe::Yes(None)
    } else if START.starts_with(bytes) {
        Probe::More
    } else {
        Probe::No
    }
}
