//! What stands between two heads: bodies that may not come, chunks, trailers.

use memchr::memchr;

use super::framing::Length;
use super::head::{self, Opening, before, behind};
use super::{Http1, MANY_FIELDS, State, Step};
use crate::model::Direction;
use crate::protocol::contract::Output;

/// Bytes of a chunk's size with its extensions.
const CHUNK_LINE_LIMIT: usize = 16 * 1024;
/// Bytes of a trailer section.
const TRAILER_LIMIT: usize = 64 * 1024;

impl Http1 {
    /// The head of a message is told; its body comes, or nothing.
    pub(super) fn enter_body(
        &mut self,
        direction: Direction,
        length: Length,
        doubtful: bool,
        out: &mut dyn Output,
    ) {
        let side = self.side(direction);
        side.enter(match length {
            Length::Nothing => State::Start,
            Length::Counted(length) => State::Counted(length),
            Length::Chunked => State::ChunkSize,
            Length::Close => State::Close,
            Length::Unknown => State::Unknown,
        });
        if length == Length::Nothing {
            out.end(direction, true);
        } else {
            side.doubtful = doubtful;
        }
    }

    /// At the start of a body that may not be there: because the client gave it up when the answer came without a
    /// 100, or because this answers a HEAD that was never seen. Then the next head stands here.
    pub(super) fn doubt(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let scanned = self.side(direction).scanned;
        let opening = match direction {
            Direction::ToClient => head::response_opening(rest, scanned),
            Direction::ToServer if self.outstanding.is_empty() && head::may_begin_with_method(rest) => {
                head::request_opening(rest, scanned)
            }
            Direction::ToServer => Opening::No,
        };
        let side = self.side(direction);
        match opening {
            Opening::More if rest.len() <= head::ODD_LINE_LIMIT => {
                side.scanned = rest.len();
                Step::More(0)
            }
            Opening::Line(length) if length <= head::ODD_LINE_LIMIT => {
                out.end(direction, direction == Direction::ToClient);
                self.proceed(direction, State::Start, 0)
            }
            _ => {
                side.doubtful = false;
                side.scanned = 0;
                Step::Used(0)
            }
        }
    }

    /// RFC 9112 section 7.1; extensions are passed over.
    pub(super) fn chunk_size(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let side = self.side(direction);
        let near = before(rest, CHUNK_LINE_LIMIT);
        let Some(end) = memchr(b'\n', behind(near, side.scanned)).map(|found| side.scanned + found) else {
            if near.len() == CHUNK_LINE_LIMIT {
                out.lost(direction, "chunk-limit", near.len() as u64);
                return self.lose(direction, out);
            }
            if !could_be_chunk_size(before(near, 64)) {
                return self.lose(direction, out);
            }
            side.scanned = near.len();
            return Step::More(0);
        };
        match chunk_size(before(near, end)) {
            Some(0) => self.proceed(direction, State::Trailers, end + 1),
            Some(size) => self.proceed(direction, State::Chunk(size), end + 1),
            None => self.lose(direction, out),
        }
    }

    pub(super) fn trailers(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let (lines, length) = match rest {
            [b'\n', ..] => (0, 1),
            [b'\r', b'\n', ..] => (0, 2),
            [b'\r'] => return Step::More(0),
            _ => match head::head_end(rest, self.side(direction).scanned) {
                Ok((lines, length)) if length <= TRAILER_LIMIT => (lines, length),
                Err(scanned) if rest.len() <= TRAILER_LIMIT => {
                    self.side(direction).scanned = scanned;
                    return Step::More(0);
                }
                _ => {
                    out.end(direction, false);
                    return self.give_up(direction, rest, TRAILER_LIMIT, out);
                }
            },
        };
        tell_trailers(direction, before(rest, lines), false, out);
        out.end(direction, true);
        self.proceed(direction, State::Start, length)
    }
}

/// Tells the fields of a trailer section, if there are any.
pub(super) fn tell_trailers(direction: Direction, block: &[u8], cut: bool, out: &mut dyn Output) {
    let mut trailers = Vec::new();
    let beyond = head::fields(block, cut, &mut trailers);
    if !trailers.is_empty() {
        out.trailers(direction, &trailers);
    }
    if beyond > 0 {
        out.lost(direction, MANY_FIELDS, beyond as u64);
    }
}

/// The size in the first line of a chunk, without its line feed.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|&byte| byte == b';').next().map(head::trim)?;
    if size.is_empty() {
        return None;
    }
    size.iter().try_fold(0_u64, |number, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        number.checked_mul(16).map(|number| number | u64::from(digit))
    })
}

/// Whether the begin of a line may become one of [`chunk_size`]: so that nonsense is not waited for.
fn could_be_chunk_size(start: &[u8]) -> bool {
    start
        .iter()
        .find(|byte| !byte.is_ascii_hexdigit() && !head::is_blank(**byte))
        .is_none_or(|&byte| byte == b';' || byte == b'\r')
}
