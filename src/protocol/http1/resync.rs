//! Where a head begins in bytes of unknown beginning: behind a gap, in mid-stream, behind a fault.
//!
//! A line that ends in `HTTP/1.x` is a request line, all of it at the start of a line, or from a known method on
//! where a body without a line end stands before it; then the next line must look like a header field too.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::head::{
    ODD_LINE_LIMIT, Opening, RequestLine, before, behind, is_blank, is_known_method, is_token_byte,
    known_method_at_end, request_line, request_opening, response_opening, status_line,
};
use crate::model::Direction;

/// Bytes of an unfinished line kept for a request line that may begin in it.
const TAIL_LIMIT: usize = 2 * ODD_LINE_LIMIT;
/// Bytes of a status line in the middle of a line.
const STATUS_LINE_LIMIT: usize = 1024;
/// Bytes of a header name in the line that vouches for the one before it.
const NAME_LIMIT: usize = 64;
const VERSION: &[u8] = b"HTTP/1.";

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(VERSION));

/// What a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A head begins here.
    At(usize),
    /// None begins in front of here; from here on it must be looked at again with more bytes.
    Keep {
        /// Bytes that need not be kept.
        from: usize,
        /// Whether a line begins there.
        line_start: bool,
        /// Bytes behind `from` in which the search need not be done again.
        scanned: usize,
    },
}

/// Whether a line vouches for the one before it.
enum Voucher {
    Yes,
    No,
    More,
}

/// The first head in `bytes`, where nothing is known of what came before: a request line or a status line.
#[must_use]
pub fn find_http_head(bytes: &[u8]) -> Option<usize> {
    hits(bytes, 0).find_map(|Hit { line, at }| {
        let verdict = match status_at(bytes, at, line == at) {
            Verdict::No => request_at(bytes, line, true, at),
            verdict => verdict,
        };
        match verdict {
            Verdict::Yes(found) => Some(found),
            Verdict::More(found) => {
                let head = behind(bytes, found);
                let whole_line = matches!(request_opening(head, 0), Opening::Line(_))
                    || matches!(response_opening(head, 0), Opening::Line(_));
                whole_line.then_some(found)
            }
            Verdict::No => None,
        }
    })
}

/// The next head of a message in `direction`. A line begins at the first byte if `line_start`; the first `scanned`
/// bytes were looked at before.
pub(super) fn find_next(direction: Direction, bytes: &[u8], line_start: bool, scanned: usize) -> Found {
    match direction {
        Direction::ToServer => find_request(bytes, line_start, scanned),
        Direction::ToClient => find_response(bytes, line_start),
    }
}

/// What a hit is.
enum Verdict {
    /// A head that begins here.
    Yes(usize),
    No,
    /// Perhaps a head that begins here: too few bytes to say.
    More(usize),
}

/// A version, and where its line begins.
struct Hit {
    line: usize,
    at: usize,
}

/// The versions from `resume` on; no line ends in front of it.
fn hits(bytes: &[u8], resume: usize) -> impl Iterator<Item = Hit> {
    let (mut line, mut searched) = (0, resume);
    FINDER.find_iter(behind(bytes, resume)).map(move |hit| {
        let at = resume + hit;
        if let Some(feed) = memrchr(b'\n', bytes.get(searched..at).unwrap_or_default()) {
            line = searched + feed + 1;
        }
        searched = at;
        Hit { line, at }
    })
}

fn find_request(bytes: &[u8], begins_line: bool, scanned: usize) -> Found {
    // What was kept is one unfinished line up to `scanned`; a version may have been cut off there.
    let resume = scanned.saturating_sub(16);
    for Hit { line, at: hit } in hits(bytes, resume) {
        match request_at(bytes, line, begins_line, hit) {
            Verdict::Yes(at) => return Found::At(at),
            Verdict::No => {}
            Verdict::More(at) => {
                let line_start = at == line && (line > 0 || begins_line);
                return Found::Keep { from: at, line_start, scanned: hit - at };
            }
        }
    }
    let tail = memrchr(b'\n', behind(bytes, resume)).map_or(0, |feed| resume + feed + 1);
    if bytes.len() - tail > TAIL_LIMIT {
        let from = bytes.len() - ODD_LINE_LIMIT;
        return Found::Keep { from, line_start: false, scanned: ODD_LINE_LIMIT };
    }
    Found::Keep { from: tail, line_start: tail > 0 || begins_line, scanned: bytes.len() - tail }
}

fn find_response(bytes: &[u8], begins_line: bool) -> Found {
    let line_start = |at: usize| match at.checked_sub(1) {
        None => begins_line,
        Some(previous) => bytes.get(previous) == Some(&b'\n'),
    };
    for hit in FINDER.find_iter(bytes) {
        match status_at(bytes, hit, line_start(hit)) {
            Verdict::Yes(at) => return Found::At(at),
            Verdict::No => {}
            Verdict::More(at) => {
                return Found::Keep { from: at, line_start: line_start(at), scanned: 0 };
            }
        }
    }
    let kept = (1..VERSION.len()).rev().find(|&length| bytes.ends_with(before(VERSION, length)));
    let from = bytes.len() - kept.unwrap_or(0);
    Found::Keep { from, line_start: line_start(from), scanned: 0 }
}

/// Whether the version at `hit` ends a request line that began in the line at `line`.
fn request_at(bytes: &[u8], line: usize, begins_line: bool, hit: usize) -> Verdict {
    let start = bytes.get(line..hit).unwrap_or_default();
    if !start.last().copied().is_some_and(is_blank) {
        return Verdict::No;
    }
    let whole = line > 0 || begins_line;
    // Only the line's end may follow the version's last digit.
    let digit = hit + VERSION.len();
    let end = match (bytes.get(digit), bytes.get(digit + 1), bytes.get(digit + 2)) {
        (Some(digit), ..) if !digit.is_ascii_digit() => return Verdict::No,
        (Some(_), Some(b'\n'), _) => digit + 1,
        (Some(_), Some(b'\r'), Some(b'\n')) => digit + 2,
        (Some(_), Some(b'\r'), None) | (Some(_) | None, None, _) => {
            // The kept line is shown again: nothing needs to be decided, only the candidate found.
            return Verdict::More(if whole {
                line
            } else {
                middle_of_line(start).map_or(line, |at| line + at)
            });
        }
        _ => return Verdict::No,
    };
    let text = bytes.get(line..end).unwrap_or_default();
    if whole && text.len() <= ODD_LINE_LIMIT && request_line(text).is_some_and(|line| begins_alone(&line)) {
        return Verdict::Yes(line);
    }
    let Some(at) = middle_of_line(start).map(|at| line + at) else { return Verdict::No };
    match vouches(behind(bytes, end + 1)) {
        Voucher::Yes => Verdict::Yes(at),
        Voucher::No => Verdict::No,
        Voucher::More => Verdict::More(at),
    }
}

/// Whether a request line begins with the line that it stands in: not where the end of a body runs into its method.
fn begins_alone(line: &RequestLine<'_>) -> bool {
    let runs_in = || known_method_at_end(line.method).is_some() && !is_known_method(line.method);
    !line.target.is_empty() && !runs_in()
}

/// Where a known method stands in front of the last word of `start`, which ends in white space.
fn middle_of_line(start: &[u8]) -> Option<usize> {
    let near = behind(start, start.len().saturating_sub(ODD_LINE_LIMIT - 16));
    let skipped = start.len() - near.len();
    let words = near.strip_suffix(b" ")?;
    let blank = memrchr(b' ', words)?;
    if blank + 1 == words.len() {
        return None;
    }
    let method = known_method_at_end(before(words, blank))?;
    Some(skipped + blank - method.len())
}

/// Whether the version at `hit` begins a status line.
fn status_at(bytes: &[u8], hit: usize, line_start: bool) -> Verdict {
    let shape = behind(bytes, hit + VERSION.len());
    let fits = shape.iter().take(6).enumerate().all(|(place, &byte)| match place {
        0 | 2..=4 => byte.is_ascii_digit(),
        1 => byte == b' ',
        _ => matches!(byte, b' ' | b'\r' | b'\n'),
    });
    if !fits {
        return Verdict::No;
    }
    if shape.len() < 6 {
        return Verdict::More(hit);
    }
    if line_start {
        return Verdict::Yes(hit);
    }
    let near = before(behind(bytes, hit), STATUS_LINE_LIMIT);
    match memchr(b'\n', near) {
        None if near.len() == STATUS_LINE_LIMIT => Verdict::No,
        None => Verdict::More(hit),
        Some(end) if status_line(before(near, end)).is_none() => Verdict::No,
        Some(end) => match vouches(behind(bytes, hit + end + 1)) {
            Voucher::Yes => Verdict::Yes(hit),
            Voucher::No => Verdict::No,
            Voucher::More => Verdict::More(hit),
        },
    }
}

/// Whether a line is a header field, or the empty one.
fn vouches(line: &[u8]) -> Voucher {
    match line {
        [] | [b'\r'] => return Voucher::More,
        [b'\n', ..] | [b'\r', b'\n', ..] => return Voucher::Yes,
        _ => {}
    }
    match line.iter().take(NAME_LIMIT + 1).position(|&byte| !is_token_byte(byte)) {
        Some(end) if end > 0 && line.get(end) == Some(&b':') => Voucher::Yes,
        None if line.len() <= NAME_LIMIT => Voucher::More,
        _ => Voucher::No,
    }
}
