//! HTTP/1.x: the messages of both directions of one flow (RFC 9112), read passively.
//!
//! **Architecture Invariant:** the parser keeps no bytes. What it remembers of a flow is where each direction
//! stands and which requests wait for their answer.

mod body;
mod framing;
mod head;
mod message;
mod outstanding;
mod probe;
mod resync;
mod unfinished;

use super::contract::{Output, Parser, Progress, Protocol};
use crate::model::Direction;
use head::{Opening, before, behind};
use message::NoHead;
use outstanding::{Kind, Outstanding};
use resync::Found;

pub use head::HEAD_LIMIT;
pub use resync::find_http_head;

/// Its line in the list of protocols.
pub(super) const PROTOCOL: Protocol = Protocol {
    name: "http",
    probe: probe::probe,
    parser: Some(|| Box::new(Http1::new())),
    not_inspected: "",
};

/// What is told of a head or trailer section beyond its limit.
const LONG_HEAD: &str = "head-limit";
/// What is told of fields beyond theirs.
const MANY_FIELDS: &str = "field-limit";
/// Bytes of a client that wait for the answer to CONNECT or Upgrade.
const WAIT_LIMIT: usize = 64 * 1024;

/// The parser of one flow.
#[derive(Debug)]
struct Http1 {
    client: Side,
    server: Side,
    outstanding: Outstanding,
    /// A request was seen to be sent before the one in front of it was answered.
    pipelined: bool,
    /// Answers may have been lost since the last one seen.
    answers_lost: bool,
}

/// Where one direction stands.
#[derive(Debug)]
struct Side {
    state: State,
    /// So many of the bytes not consumed were searched before.
    scanned: usize,
    /// In text: a line begins at the first byte.
    line_start: bool,
    /// The body just announced may not be there.
    doubtful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In front of a message.
    Start,
    /// In a head whose first line is one.
    Head,
    /// In bytes of no message, up to the next head.
    Text,
    /// In a body of which so many bytes are left.
    Counted(u64),
    /// In front of a chunk's size.
    ChunkSize,
    /// In a chunk of which so many bytes are left.
    Chunk(u64),
    /// In front of the line end behind a chunk.
    ChunkEnd,
    /// In front of the trailer section.
    Trailers,
    /// In a body that ends with the connection.
    Close,
    /// In a body of unknown length, up to the next head.
    Unknown,
}

/// What came of one look at the bytes.
enum Step {
    /// So many are done with; look again at the rest.
    Used(usize),
    /// So many are done with; the rest is too little.
    More(usize),
    /// So many are done with; the flow goes over to another protocol.
    Switch(usize, Option<&'static str>),
}

impl Side {
    fn new() -> Self {
        Self { state: State::Start, scanned: 0, line_start: true, doubtful: false }
    }

    fn enter(&mut self, state: State) {
        *self = Self { state, ..Self::new() };
    }

    fn is_fresh(&self) -> bool {
        matches!(self.state, State::Start | State::Head) && !self.doubtful
    }
}

impl Parser for Http1 {
    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut dyn Output) -> Progress {
        let mut consumed = 0;
        loop {
            let rest = behind(bytes, consumed);
            if rest.is_empty() {
                return Progress::Consumed(consumed);
            }
            match self.step(direction, rest, out) {
                Step::Used(used) => {
                    if used > 0 {
                        self.side(direction).scanned = 0;
                    }
                    consumed += used;
                }
                Step::More(used) => return Progress::Consumed(consumed + used),
                Step::Switch(used, to) => {
                    self.leave(direction.reverse(), out);
                    return Progress::Switch { consumed: consumed + used, to };
                }
            }
        }
    }

    fn gap(&mut self, direction: Direction, rest: &[u8], missing: u64, out: &mut dyn Output) {
        self.settle(direction, rest, out);
        let waits = direction == Direction::ToServer && self.waits_for_switch();
        let side = self.side(direction);
        let next = match side.state {
            State::Counted(left) if missing <= left => {
                out.body_gap(direction, missing);
                if missing == left {
                    out.end(direction, true);
                    State::Start
                } else {
                    State::Counted(left - missing)
                }
            }
            State::Chunk(left) if missing <= left => {
                out.body_gap(direction, missing);
                if missing == left { State::ChunkEnd } else { State::Chunk(left - missing) }
            }
            state @ (State::Close | State::Unknown) => {
                out.body_gap(direction, missing);
                state
            }
            State::Start if waits => State::Start,
            State::Start | State::Head | State::Text => State::Text,
            State::Counted(_) | State::Chunk(_) | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                out.end(direction, false);
                State::Text
            }
        };
        side.enter(next);
        if direction == Direction::ToClient && next == State::Text {
            self.answers_lost = true;
        }
    }

    fn end(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) {
        // The answer to a CONNECT was never seen (a capture of one direction): what waits for it is plain to see.
        if direction == Direction::ToServer
            && self.waits_for_switch()
            && head::request_opening(rest, 0) != Opening::No
        {
            self.outstanding.newest_is_ordinary();
        }
        self.settle(direction, rest, out);
        self.leave(direction, out);
    }

    fn is_fresh(&self) -> bool {
        self.client.is_fresh() && self.server.is_fresh() && !self.answers_lost && self.outstanding.is_fresh()
    }
}

impl Http1 {
    fn new() -> Self {
        Self {
            client: Side::new(),
            server: Side::new(),
            outstanding: Outstanding::new(),
            pipelined: false,
            answers_lost: false,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    fn step(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        if self.side(direction).doubtful {
            return self.doubt(direction, rest, out);
        }
        let side = self.side(direction);
        match side.state {
            State::Start => match direction {
                Direction::ToServer => self.request_start(rest, out),
                Direction::ToClient => self.response_start(rest, out),
            },
            State::Head => self.head(direction, rest, out),
            State::Text | State::Unknown => self.search(direction, rest, 0, out),
            State::Counted(left) => {
                let body = before(rest, usize::try_from(left).unwrap_or(usize::MAX));
                out.body(direction, body);
                side.state = State::Counted(left - body.len() as u64);
                if side.state == State::Counted(0) {
                    out.end(direction, true);
                    side.enter(State::Start);
                }
                Step::Used(body.len())
            }
            State::Chunk(left) => {
                let body = before(rest, usize::try_from(left).unwrap_or(usize::MAX));
                out.body(direction, body);
                side.state = match left - body.len() as u64 {
                    0 => State::ChunkEnd,
                    left => State::Chunk(left),
                };
                Step::Used(body.len())
            }
            State::ChunkSize => self.chunk_size(direction, rest, out),
            State::ChunkEnd => match rest {
                [b'\n', ..] => self.proceed(direction, State::ChunkSize, 1),
                [b'\r', b'\n', ..] => self.proceed(direction, State::ChunkSize, 2),
                [b'\r'] => Step::More(0),
                _ => self.lose(direction, out),
            },
            State::Trailers => self.trailers(direction, rest, out),
            State::Close => {
                out.body(direction, rest);
                Step::Used(rest.len())
            }
        }
    }

    fn proceed(&mut self, direction: Direction, state: State, used: usize) -> Step {
        self.side(direction).enter(state);
        Step::Used(used)
    }

    /// The message breaks off here; what follows is text up to the next head.
    fn lose(&mut self, direction: Direction, out: &mut dyn Output) -> Step {
        out.end(direction, false);
        self.proceed(direction, State::Text, 0)
    }

    /// No head begins here.
    fn no_head(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let side = self.side(direction);
        side.enter(State::Text);
        side.line_start = false;
        self.search(direction, rest, 1, out)
    }

    /// A head beyond the limit: what fits is told, the rest is text.
    fn cut_head(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let head = before(rest, HEAD_LIMIT);
        if self.lenient_head(direction, head, false, out).is_err() {
            return self.give_up(direction, rest, HEAD_LIMIT, out);
        }
        out.lost(direction, LONG_HEAD, 0);
        let side = self.side(direction);
        side.enter(State::Text);
        side.line_start = head.ends_with(b"\n");
        Step::Used(head.len())
    }

    /// `length` bytes that may be part of a head are taken for text: it has no first line.
    fn refuse(&mut self, direction: Direction, rest: &[u8], length: usize, out: &mut dyn Output) -> Step {
        let text = before(rest, length);
        out.text(direction, text);
        let side = self.side(direction);
        side.enter(State::Text);
        side.line_start = text.ends_with(b"\n");
        Step::Used(text.len())
    }

    /// What would be a head or trailer section, but is longer than `limit`: told, and taken for text.
    fn give_up(&mut self, direction: Direction, rest: &[u8], limit: usize, out: &mut dyn Output) -> Step {
        out.lost(direction, LONG_HEAD, before(rest, limit).len() as u64);
        self.refuse(direction, rest, limit, out)
    }

    fn request_start(&mut self, rest: &[u8], out: &mut dyn Output) -> Step {
        let waits_for = self.outstanding.newest();
        if waits_for == Some(Kind::Connect) {
            return if rest.len() > WAIT_LIMIT { Step::Switch(0, None) } else { Step::More(0) };
        }
        if let Some(Kind::Upgrade(to)) = waits_for
            && head::request_opening(rest, self.client.scanned) == Opening::No
            && !matches!(rest.first(), Some(b'\r' | b'\n'))
        {
            return if rest.len() > WAIT_LIMIT { Step::Switch(0, to) } else { Step::More(0) };
        }
        let empty_lines = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty_lines > 0 {
            return Step::Used(empty_lines);
        }
        let scanned = self.client.scanned;
        if scanned == 0
            && let Some(used) = self.usual_request(rest, out)
        {
            return Step::Used(used);
        }
        match head::request_opening(before(rest, HEAD_LIMIT + 1), scanned) {
            Opening::No => self.no_head(Direction::ToServer, rest, out),
            Opening::More => self.await_line(Direction::ToServer, rest, out),
            Opening::Line(length) => self.enter_head(Direction::ToServer, length),
            Opening::Simple(length) => {
                let head = before(rest, length).trim_ascii_end();
                match head::simple_request(head) {
                    Some(line) => self.request(head, line, &[], true, out),
                    None => return self.refuse(Direction::ToServer, rest, length, out),
                }
                Step::Used(length)
            }
        }
    }

    fn response_start(&mut self, rest: &[u8], out: &mut dyn Output) -> Step {
        let scanned = self.server.scanned;
        if self.awaits_simple_response() && head::response_opening(rest, scanned) == Opening::No {
            return self.simple_response(out);
        }
        let empty_lines = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty_lines > 0 {
            return Step::Used(empty_lines);
        }
        if scanned == 0
            && let Some(step) = self.usual_response(rest, out)
        {
            return step;
        }
        match head::response_opening(before(rest, HEAD_LIMIT + 1), scanned) {
            Opening::Line(length) => self.enter_head(Direction::ToClient, length),
            Opening::More => self.await_line(Direction::ToClient, rest, out),
            Opening::No | Opening::Simple(_) => self.no_head(Direction::ToClient, rest, out),
        }
    }

    /// The first line has no end yet.
    fn await_line(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        if rest.len() > HEAD_LIMIT {
            return self.cut_head(direction, rest, out);
        }
        self.side(direction).scanned = rest.len();
        Step::More(0)
    }

    /// The first line is one of a head and has `length` bytes.
    fn enter_head(&mut self, direction: Direction, length: usize) -> Step {
        let side = self.side(direction);
        side.enter(State::Head);
        side.scanned = length.saturating_sub(1);
        Step::Used(0)
    }

    /// A head that did not come whole, or that has to be read leniently.
    fn head(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) -> Step {
        let end = head::head_end(rest, self.side(direction).scanned);
        match end {
            Ok((lines, length)) if length <= HEAD_LIMIT => {
                let whole = before(rest, length);
                let usual = match direction {
                    Direction::ToServer => self.usual_request(whole, out).map(Step::Used),
                    Direction::ToClient => self.usual_response(whole, out),
                };
                if let Some(step) = usual {
                    return step;
                }
                match self.lenient_head(direction, before(rest, lines), true, out) {
                    Ok(next) => next.step(length),
                    Err(NoHead) => self.refuse(direction, rest, length, out),
                }
            }
            Err(scanned) if rest.len() <= HEAD_LIMIT => {
                self.side(direction).scanned = scanned;
                Step::More(0)
            }
            _ => self.cut_head(direction, rest, out),
        }
    }

    /// Bytes of no message, or of a body without a known end; no head begins in the first `skipped`.
    fn search(&mut self, direction: Direction, rest: &[u8], skipped: usize, out: &mut dyn Output) -> Step {
        let side = self.side(direction);
        let in_body = side.state == State::Unknown;
        let mut tell = |bytes: &[u8]| match in_body {
            _ if bytes.is_empty() => {}
            true => out.body(direction, bytes),
            false => out.text(direction, bytes),
        };
        match resync::find_next(direction, behind(rest, skipped), side.line_start, side.scanned) {
            Found::At(at) => {
                let used = skipped + at;
                tell(before(rest, used));
                if in_body {
                    out.end(direction, false);
                }
                side.enter(State::Start);
                Step::Used(used)
            }
            Found::Keep { from, line_start, scanned } => {
                let used = skipped + from;
                tell(before(rest, used));
                side.line_start = line_start;
                side.scanned = scanned;
                Step::More(used)
            }
        }
    }

    /// The client's next bytes are none of HTTP unless the server refuses.
    fn waits_for_switch(&self) -> bool {
        matches!(self.outstanding.newest(), Some(Kind::Connect))
    }

    /// The next answer may have no head.
    fn awaits_simple_response(&self) -> bool {
        matches!(self.outstanding.front(), Some((_, Kind::Simple)))
    }

    /// The direction is over: so is its message.
    fn leave(&mut self, direction: Direction, out: &mut dyn Output) {
        let side = self.side(direction);
        match side.state {
            State::Start | State::Head | State::Text => {}
            State::Close => out.end(direction, true),
            _ => out.end(direction, false),
        }
        side.enter(State::Start);
    }
}

#[cfg(test)]
mod tests;
