//! Which frame carried which bytes of a buffer.

use std::ops::Range;

use crate::model::Timestamp;

/// A frame, as far as findings tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carrier {
    pub(super) frame: u64,
    pub(super) time: Timestamp,
}

/// The frames that carry a range of bytes: the first, and the number of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) first: Carrier,
    pub(super) last: u64,
}

impl Carried {
    pub(super) fn by(carrier: Carrier) -> Self {
        Self { first: carrier, last: carrier.frame }
    }

    /// Both, and what lies between them. Frames that came late have higher numbers than their neighbours.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first: if other.first.frame < self.first.frame { other.first } else { self.first },
            last: self.last.max(other.last),
        }
    }
}

/// Where each frame's bytes begin, in ascending order of offset. Most buffers are of one frame: then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub(super) enum Marks {
    #[default]
    None,
    /// Of one frame from the first byte on.
    One(Carrier),
    Many(Vec<(usize, Carrier)>),
}

const _: () = assert!(size_of::<Marks>() == 24);

impl Marks {
    /// From `offset` on the bytes are of `carrier`.
    pub(super) fn push(&mut self, offset: usize, carrier: Carrier) {
        match self {
            Self::None if offset == 0 => *self = Self::One(carrier),
            Self::None => *self = Self::Many(vec![(offset, carrier)]),
            Self::One(first) if *first == carrier => {}
            Self::One(first) => *self = Self::Many(vec![(0, *first), (offset, carrier)]),
            Self::Many(marks) if marks.last().is_some_and(|(_, last)| *last == carrier) => {}
            Self::Many(marks) => marks.push((offset, carrier)),
        }
    }

    /// Shows all marks.
    fn show<T>(&self, to: impl FnOnce(&[(usize, Carrier)]) -> T) -> T {
        match self {
            Self::None => to(&[]),
            Self::One(carrier) => to(&[(0, *carrier)]),
            Self::Many(marks) => to(marks),
        }
    }

    /// The frames of `range`; of an empty one the frame at its start. `None` before the first mark.
    pub(super) fn carried(&self, range: Range<usize>) -> Option<Carried> {
        self.show(|marks| {
            let from = marks.partition_point(|(offset, _)| *offset <= range.start).saturating_sub(1);
            let to = marks.partition_point(|(offset, _)| *offset < range.end).max(from + 1);
            let touched = marks.get(from..to)?;
            touched.iter().map(|(_, carrier)| Carried::by(*carrier)).reduce(Carried::and)
        })
    }

    /// Who carries the byte at `at`, and where in `at..end` the next frame's bytes begin (`end` where none do).
    pub(super) fn piece(&self, at: usize, end: usize) -> Option<(Carrier, usize)> {
        self.show(|marks| {
            let next = marks.partition_point(|(offset, _)| *offset <= at);
            let (_, carrier) = marks.get(next.checked_sub(1)?)?;
            Some((*carrier, marks.get(next).map_or(end, |(offset, _)| (*offset).min(end))))
        })
    }

    /// The first `count` bytes are gone.
    pub(super) fn discard(&mut self, count: usize) {
        let Self::Many(marks) = self else { return };
        if count == 0 {
            return;
        }
        let gone = marks.partition_point(|(offset, _)| *offset <= count).saturating_sub(1);
        marks.drain(..gone);
        for (offset, _) in marks {
            *offset = offset.saturating_sub(count);
        }
    }

    /// So many bytes come before all others; they count for the first frame.
    pub(super) fn shift(&mut self, count: usize) {
        if let Self::Many(marks) = self {
            for (offset, _) in marks.iter_mut().skip(1) {
                *offset += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carrier(frame: u64) -> Carrier {
        Carrier { frame, time: Timestamp::from_nanos(frame as i64) }
    }

    #[test]
    fn a_range_is_of_the_frames_it_touches() {
        let mut marks = Marks::default();
        assert_eq!(marks.carried(0..1), None);
        for (offset, frame) in [(0, 5), (10, 7), (20, 6)] {
            marks.push(offset, carrier(frame));
        }
        for (range, first, last) in
            [(0..10, 5, 5), (0..11, 5, 7), (10..20, 7, 7), (15..25, 6, 7), (25..25, 6, 6), (10..10, 7, 7)]
        {
            let carried = marks.carried(range.clone()).unwrap();
            assert_eq!((carried.first.frame, carried.last), (first, last), "{range:?}");
        }
        marks.discard(12);
        assert_eq!(marks.carried(0..1).unwrap().first.frame, 7);
        assert_eq!(marks.carried(8..9).unwrap().first.frame, 6);
        marks.discard(100);
        assert_eq!(marks.carried(0..1).unwrap().first.frame, 6);
    }
}
