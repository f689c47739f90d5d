//! Captures in memory: frames that were made, not read, and the ways a network spoils them.

pub mod connection;
pub mod disturb;
mod place;
pub mod write;

#[cfg(test)]
mod tests;

use crate::model::{Frame, LinkType, Timestamp};

use super::{Next, Source, SourceError};

/// One frame that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it was captured.
    pub time: Timestamp,
    /// What the first bytes are.
    pub link: LinkType,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Length on the wire, in bytes.
    pub original_len: u32,
}

impl From<&Frame<'_>> for Kept {
    fn from(frame: &Frame<'_>) -> Self {
        Self {
            time: frame.time,
            link: frame.link,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
        }
    }
}

/// A source over frames in memory, numbered from 1.
#[derive(Clone, Debug)]
pub struct Memory {
    frames: Vec<Kept>,
    given: usize,
    position: u64,
}

impl Memory {
    /// Gives `frames` in their order.
    #[must_use]
    pub fn new(frames: Vec<Kept>) -> Self {
        Self { frames, given: 0, position: 0 }
    }
}

impl Source for Memory {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        let Some(frame) = self.frames.get(self.given) else {
            return Ok(Next::End);
        };
        self.given += 1;
        self.position += frame.bytes.len() as u64;
        Ok(Next::Frame(Frame {
            number: self.given as u64,
            time: frame.time,
            link: frame.link,
            bytes: &frame.bytes,
            original_len: frame.original_len,
        }))
    }

    fn position(&self) -> u64 {
        self.position
    }
}

/// All frames of a source, copied.
///
/// # Errors
/// The source's, with what came before it.
pub fn keep(source: &mut dyn Source) -> Result<Vec<Kept>, (Vec<Kept>, SourceError)> {
    let mut frames = Vec::new();
    loop {
        match source.next() {
            Ok(Next::Frame(frame)) => frames.push(Kept::from(&frame)),
            Ok(Next::Plain(_) | Next::Idle) => {}
            Ok(Next::End) => return Ok(frames),
            Err(error) => return Err((frames, error)),
        }
    }
}
