//! Frames on their way from a reader to a worker.

use crate::model::{Clear, Endpoint, Frame, LinkType, Plain, Timestamp};

/// Bytes of frames after which batches go out.
pub(super) const BYTES: usize = 1 << 20;

/// Frames for one worker.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Entry>,
    plain: Vec<Clean>,
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

/// Clear text of a connection; its bytes lie with those of the frames.
struct Clean {
    number: u64,
    time: Timestamp,
    connection: u64,
    local: Endpoint,
    remote: Endpoint,
    sent: bool,
    what: What,
    shard: usize,
}

enum What {
    Data { start: usize, len: usize },
    Missing(u64),
    End,
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

    /// Takes clear text of `shard`; the bytes it costs.
    pub(super) fn add_plain(&mut self, plain: &Plain<'_>, shard: usize) -> usize {
        let bytes = if let Clear::Data(bytes) = plain.what { bytes } else { &[] };
        let what = match plain.what {
            Clear::Data(bytes) => What::Data { start: self.bytes.len(), len: bytes.len() },
            Clear::Missing(missing) => What::Missing(missing),
            Clear::End => What::End,
        };
        let Plain { number, time, connection, local, remote, sent, .. } = *plain;
        self.plain.push(Clean { number, time, connection, local, remote, sent, what, shard });
        self.bytes.extend_from_slice(bytes);
        bytes.len() + size_of::<Clean>()
    }

    /// Gives the clear text of each connection and its shard, in order.
    pub(super) fn each_plain(&self, mut take: impl FnMut(&Plain<'_>, usize)) {
        for entry in &self.plain {
            let what = match entry.what {
                What::Data { start, len } => {
                    Clear::Data(self.bytes.get(start..start + len).unwrap_or_default())
                }
                What::Missing(missing) => Clear::Missing(missing),
                What::End => Clear::End,
            };
            let Clean { number, time, connection, local, remote, sent, shard, .. } = *entry;
            // Whose it is was told before it came here.
            let nobody =
                Plain { number, time, connection, local, remote, pid: 0, uid: 0, name: "", sent, what };
            take(&nobody, shard);
        }
    }

    /// How many frames and bytes there are, and the numbers of the first and last; none of an empty batch.
    pub(super) fn extent(&self) -> Option<(u64, u64, [u64; 2])> {
        // One reader gives frames or clear text.
        let frames = self.frames.iter().map(|frame| frame.number);
        let mut numbers = frames.chain(self.plain.iter().map(|plain| plain.number));
        let first = numbers.next()?;
        let last = numbers.next_back().unwrap_or(first);
        let count = self.frames.len() + self.plain.len();
        Some((count as u64, self.bytes.len() as u64, [first, last]))
    }

    /// Forgets the frames and keeps the room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.plain.clear();
    }
}

/// Puts a frame into the batch of its worker; the bytes it costs.
pub(super) fn add(batches: &mut [Batch], shard: usize, frame: &Frame<'_>) -> usize {
    let workers = batches.len().max(1);
    batches.get_mut(shard % workers).map_or(0, |batch| batch.add(frame, shard))
}

/// Puts clear text into the batch of the worker of its connection; the bytes it costs.
pub(super) fn add_plain(batches: &mut [Batch], shard: usize, plain: &Plain<'_>) -> usize {
    let workers = batches.len().max(1);
    batches.get_mut(shard % workers).map_or(0, |batch| batch.add_plain(plain, shard))
}
