//! Frames on their way from a reader to a worker.

use crate::model::{Frame, LinkType, Timestamp};

/// Bytes of frames after which batches go out.
pub(super) const BYTES: usize = 1 << 20;

/// Frames for one worker.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Entry>,
    /// Every frame up to this one was given out.
    pub(super) until: u64,
}

struct Entry {
    number: u64,
    time: Timestamp,
    link: LinkType,
    original_len: u32,
    start: usize,
    len: usize,
    shard: usize,
}

impl Batch {
    /// Takes a frame of `shard`; the bytes it costs.
    pub(super) fn add(&mut self, frame: &Frame<'_>, shard: usize) -> usize {
        self.frames.push(Entry {
            number: frame.number,
            time: frame.time,
            link: frame.link,
            original_len: frame.original_len,
            start: self.bytes.len(),
            len: frame.bytes.len(),
            shard,
        });
        self.bytes.extend_from_slice(frame.bytes);
        frame.bytes.len() + size_of::<Entry>()
    }

    /// Gives each frame and its shard, in order.
    pub(super) fn each(&self, mut take: impl FnMut(&Frame<'_>, usize)) {
        for entry in &self.frames {
            let bytes = self.bytes.get(entry.start..entry.start + entry.len).unwrap_or_default();
            let frame = Frame {
                number: entry.number,
                time: entry.time,
                link: entry.link,
                bytes,
                original_len: entry.original_len,
            };
            take(&frame, entry.shard);
        }
    }

    /// How many frames and bytes there are, and the numbers of the first and last; none of an empty batch.
    pub(super) fn extent(&self) -> Option<(u64, u64, [u64; 2])> {
        let (first, last) = (self.frames.first()?, self.frames.last()?);
        Some((self.frames.len() as u64, self.bytes.len() as u64, [first.number, last.number]))
    }

    /// Forgets the frames and keeps the room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

/// Puts a frame into the batch of its worker; the bytes it costs.
pub(super) fn add(batches: &mut [Batch], shard: usize, frame: &Frame<'_>) -> usize {
    let workers = batches.len().max(1);
    batches.get_mut(shard % workers).map_or(0, |batch| batch.add(frame, shard))
}
