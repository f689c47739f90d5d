//! The part of a capture that is in memory: blocks small enough to stay in cache, records borrowed from them.

use super::unpack::{ReadError, Unpacked};

/// Bytes read at once.
const BLOCK: usize = 256 * 1024;

/// A window that moves over the input, forward only.
pub(super) struct Window {
    input: Unpacked,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of the window's start in the (uncompressed) input.
    offset: u64,
    ended: bool,
}

impl Window {
    pub(super) fn new(input: Unpacked) -> Self {
        Self { input, buffer: vec![0; BLOCK], start: 0, end: 0, offset: 0, ended: false }
    }

    /// What is in memory and not yet taken.
    #[inline]
    pub(super) fn have(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Where [`Self::have`] begins in the (uncompressed) input.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the input breaks off, as far as it was read.
    pub(super) fn read_to(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// Bytes of the input read so far.
    pub(super) fn position(&self) -> u64 {
        self.input.position()
    }

    /// Reads until [`Self::have`] holds `need` bytes or the input ends, and no further; gives how many it holds.
    #[inline]
    pub(super) fn fill(&mut self, need: usize) -> Result<usize, ReadError> {
        if self.end - self.start >= need { Ok(self.end - self.start) } else { self.read(need) }
    }

    #[cold]
    fn read(&mut self, need: usize) -> Result<usize, ReadError> {
        while self.end - self.start < need && !self.ended {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            // Grows by what has come, not by what a length announces.
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            let count = self.input.read(free)?;
            self.end += count;
            self.ended = count == 0;
        }
        Ok(self.end - self.start)
    }

    /// Takes `count` bytes, which [`Self::fill`] has brought, and gives their place; they stay readable there until the
    /// next fill.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> usize {
        let from = self.start;
        self.start = (from + count).min(self.end);
        self.offset += (self.start - from) as u64;
        from
    }

    /// `length` bytes taken before, from their place on.
    #[inline]
    pub(super) fn taken(&self, place: usize, length: usize) -> &[u8] {
        self.buffer.get(place..place + length).unwrap_or_default()
    }

    /// Takes up to `count` bytes without keeping them, as many as one read brings at most; gives how many, 0 only at the end.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, ReadError> {
        let have = self.fill(1)?;
        let step = usize::try_from(count).map_or(have, |count| count.min(have));
        self.take(step);
        Ok(step as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn a_length_that_is_announced_is_not_allocated() {
        let input = Unpacked::new(Box::new(Cursor::new(vec![7; 100]))).unwrap();
        let mut window = Window::new(input);
        assert_eq!(window.fill(16 << 20).unwrap(), 100);
        assert_eq!(window.buffer.len(), BLOCK);
    }

    #[test]
    fn the_window_stays_small_however_long_the_input_is() {
        let input = Unpacked::new(Box::new(std::io::repeat(7).take(64 << 20))).unwrap();
        let mut window = Window::new(input);
        let mut taken = 0_u64;
        while window.fill(1_514).unwrap() >= 1_514 {
            let place = window.take(1_514);
            assert_eq!(window.taken(place, 1_514).len(), 1_514);
            taken += 1_514;
        }
        assert_eq!(window.offset(), taken);
        while let more @ 1.. = window.skip(1 << 40).unwrap() {
            taken += more;
        }
        assert_eq!(taken, 64 << 20);
        assert_eq!((window.read_to(), window.position()), (64 << 20, 64 << 20));
        assert_eq!(window.buffer.len(), BLOCK);
    }
}
