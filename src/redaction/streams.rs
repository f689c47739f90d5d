//! The bytes of every flow and direction, each by its place in its stream, so that what is masked is masked wherever it was sent.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::segment::Flags;
use crate::model::{FlowKey, Frame, Side};
use crate::packet::{self, Packet};

/// Knows of each segment where it stands in which stream; the same for the same frames.
#[derive(Default)]
pub(super) struct Tracker {
    current: HashMap<(FlowKey, Side), Current>,
    streams: usize,
}

struct Current {
    stream: usize,
    /// The sequence number of offset 0; nothing of datagrams, which stand behind each other.
    base: u32,
    /// The highest offset so far.
    highest: i64,
}

/// Payload of one frame.
pub(super) struct Piece<'a> {
    pub(super) stream: usize,
    pub(super) key: FlowKey,
    pub(super) sender: Side,
    pub(super) offset: i64,
    pub(super) payload: &'a [u8],
    /// Of TCP, to know the header again.
    pub(super) sequence: Option<u32>,
}

impl Tracker {
    /// The payload of a frame and its place; none of what is no segment or datagram, or is empty.
    pub(super) fn place<'a>(&mut self, frame: &Frame<'a>) -> Option<Piece<'a>> {
        match packet::decode(frame) {
            Packet::Tcp(segment) => {
                let is_syn = segment.flags.has(Flags::SYN);
                let first = segment.sequence.wrapping_add(u32::from(is_syn));
                let (key, sender) = (segment.key, segment.sender);
                let is_known =
                    self.current.get(&(key, sender)).is_some_and(|current| !is_syn || current.base == first);
                if !is_known {
                    // Ports are used again by later connections.
                    self.begin(key, sender, first);
                }
                let current = self.current.get_mut(&(key, sender))?;
                let near = current.base.wrapping_add(current.highest as u32);
                let offset = current.highest + i64::from(first.wrapping_sub(near) as i32);
                current.highest = current.highest.max(offset + segment.payload.len() as i64);
                let stream = current.stream;
                let piece = Piece {
                    stream,
                    key,
                    sender,
                    offset,
                    payload: segment.payload,
                    sequence: Some(segment.sequence),
                };
                (!segment.payload.is_empty()).then_some(piece)
            }
            Packet::Udp(datagram) => {
                let (key, sender) = (datagram.key, datagram.sender);
                if !self.current.contains_key(&(key, sender)) {
                    self.begin(key, sender, 0);
                }
                let current = self.current.get_mut(&(key, sender))?;
                let offset = current.highest;
                // One byte between datagrams belongs to none.
                current.highest += datagram.payload.len() as i64 + 1;
                let stream = current.stream;
                let piece = Piece { stream, key, sender, offset, payload: datagram.payload, sequence: None };
                (!datagram.payload.is_empty()).then_some(piece)
            }
            _ => None,
        }
    }

    fn begin(&mut self, key: FlowKey, sender: Side, base: u32) {
        self.current.insert((key, sender), Current { stream: self.streams, base, highest: 0 });
        self.streams += 1;
    }
}

/// One direction of one connection.
pub(super) struct Stream {
    pub(super) key: FlowKey,
    /// Its bytes without holes, each with where it begins.
    pub(super) runs: Vec<(i64, Vec<u8>)>,
    /// Which frame brought which bytes.
    frames: Vec<(u64, Range<i64>)>,
    pieces: Vec<(i64, Vec<u8>)>,
}

impl Stream {
    pub(super) fn new(key: FlowKey) -> Self {
        Self { key, runs: Vec::new(), frames: Vec::new(), pieces: Vec::new() }
    }

    pub(super) fn add(&mut self, frame: u64, offset: i64, payload: &[u8]) {
        self.frames.push((frame, offset..offset + payload.len() as i64));
        self.pieces.push((offset, payload.to_vec()));
    }

    /// Joins what was added: all of it has come.
    pub(super) fn join(&mut self) {
        let mut pieces = std::mem::take(&mut self.pieces);
        // Of bytes that came twice those that began earlier stand; the sort is stable.
        pieces.sort_by_key(|&(offset, _)| offset);
        for (offset, bytes) in pieces {
            match self.runs.last_mut() {
                Some((start, run)) if offset <= *start + run.len() as i64 => {
                    let known = (*start + run.len() as i64 - offset) as usize;
                    run.extend_from_slice(bytes.get(known..).unwrap_or_default());
                }
                _ => self.runs.push((offset, bytes)),
            }
        }
    }

    /// The bytes that some frames brought.
    pub(super) fn of_frames(&self, [first, last]: [u64; 2]) -> impl Iterator<Item = Range<i64>> + '_ {
        self.frames
            .iter()
            .filter(move |(frame, _)| (first..=last).contains(frame))
            .map(|(_, range)| range.clone())
    }
}
