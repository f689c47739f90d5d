//! What is told of a message that breaks off: at a gap, at the end of the stream.

use super::body::tell_trailers;
use super::head::{before, behind};
use super::{Http1, State};
use crate::model::Direction;
use crate::protocol::contract::{Output, Parser, Progress};

impl Http1 {
    /// Nothing comes directly behind `rest`: all of it is told.
    pub(super) fn settle(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) {
        // What the other direction has decided since may let it go on.
        let mut rest = self.progress(direction, rest, out);
        if self.side(direction).doubtful {
            self.side(direction).doubtful = false;
            self.side(direction).scanned = 0;
            rest = self.progress(direction, rest, out);
        }
        if rest.is_empty() {
            return;
        }
        let is_start = self.side(direction).state == State::Start;
        if is_start && direction == Direction::ToClient && self.awaits_simple_response() {
            self.simple_response(out);
        }
        match self.side(direction).state {
            State::Start | State::Head => self.unfinished_head(direction, rest, out),
            State::Text => out.text(direction, rest),
            State::Unknown | State::Close | State::Counted(_) | State::Chunk(_) => out.body(direction, rest),
            State::Trailers => tell_trailers(direction, rest, true, out),
            State::ChunkSize | State::ChunkEnd => {}
        }
    }

    fn progress<'a>(&mut self, direction: Direction, rest: &'a [u8], out: &mut dyn Output) -> &'a [u8] {
        match self.data(direction, rest, out) {
            Progress::Consumed(used) => behind(rest, used),
            // Nobody can be told of the other protocol now.
            Progress::Switch { consumed, .. } => {
                self.side(direction).enter(State::Text);
                behind(rest, consumed)
            }
            Progress::Stop => &[],
        }
    }

    fn unfinished_head(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output) {
        let waits = direction == Direction::ToServer && self.waits_for_switch();
        let lines = before(rest, rest.trim_ascii_end().len());
        // A space behind the last byte is no part of a target or value, but a line end ends a line.
        let lines = if lines.len() < rest.len() && rest.ends_with(b"\n") { rest } else { lines };
        if !waits && self.lenient_head(direction, lines, false, out).is_ok() {
            self.side(direction).enter(State::Start);
        } else {
            out.text(direction, rest);
        }
    }
}
