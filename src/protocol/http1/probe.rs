//! Whether a stream is HTTP/1, by its first bytes.

use super::head::{Opening, before, behind, is_known_method, is_plain_target, request_opening};
use crate::model::Direction;
use crate::protocol::contract::Probe;

/// Bytes without a line end after which a known method and any target are enough.
const LINE_LIMIT: usize = 8 * 1024;

/// Bytes of empty lines in front of a message.
const EMPTY_LIMIT: usize = 64;

/// A request line, or as much of one as nothing else begins with; or a status line.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let empty_lines = bytes.iter().take(EMPTY_LIMIT).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = behind(bytes, empty_lines);
    match status(bytes) {
        Probe::No => {}
        verdict => return verdict,
    }
    match request_opening(bytes, 0) {
        Opening::Line(_) | Opening::Simple(_) => Probe::Yes(Some(Direction::ToServer)),
        Opening::No => Probe::No,
        Opening::More => unfinished(bytes),
    }
}

fn status(bytes: &[u8]) -> Probe {
    const START: &[u8] = b"HTTP/1.";
    if START.starts_with(bytes) {
        return Probe::More;
    }
    let Some(rest) = bytes.strip_prefix(START) else { return Probe::No };
    let fits = rest.iter().take(5).enumerate().all(|(place, byte)| match place {
        1 => *byte == b' ',
        _ => byte.is_ascii_digit(),
    });
    match (fits, rest.len()) {
        (false, _) => Probe::No,
        (true, 0..5) => Probe::More,
        (true, _) => Probe::Yes(Some(Direction::ToClient)),
    }
}

fn unfinished(bytes: &[u8]) -> Probe {
    let Some(blank) = memchr::memchr(b' ', bytes) else { return Probe::More };
    let target = behind(bytes, blank + 1);
    let plain = is_plain_target(target) || bytes.len() > LINE_LIMIT;
    if is_known_method(before(bytes, blank)) && plain {
        Probe::Yes(Some(Direction::ToServer))
    } else if bytes.len() > LINE_LIMIT {
        Probe::No
    } else {
        Probe::More
    }
}
