//! Where a frame of joined captures comes from: its file, and its number there.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

/// Runs of frames that are remembered: of frames that lie further back than so many changes of file, the oldest run that is
/// known speaks.
const RUNS: usize = 4 << 20;

/// Which frame of which file a frame of a join is. The frames of a join are numbered through, those of the files as they stand
/// there.
#[derive(Debug)]
pub struct Origins {
    files: Vec<Arc<str>>,
    runs: RwLock<VecDeque<Run>>,
}

/// Where a first and a last frame are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The file of the first.
    pub source: Arc<str>,
    /// Their numbers, each in its file.
    pub frames: [u64; 2],
    /// The file of the last, where that is another one.
    pub last_source: Option<Arc<str>>,
}

/// Frames that follow each other in the join and in their file.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The number of the first in the join.
    from: u64,
    /// Its number in its file.
    number: u64,
    file: u32,
}

impl Origins {
    /// Of these files.
    #[must_use]
    pub fn new(files: Vec<Arc<str>>) -> Self {
        Self { files, runs: RwLock::default() }
    }

    /// From frame `from` of the join on it is the file `file` (by its place in the list), from its frame `number` on.
    pub fn begin(&self, from: u64, file: usize, number: u64) {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= RUNS {
            runs.pop_front();
        }
        runs.push_back(Run { from, number, file: u32::try_from(file).unwrap_or(u32::MAX) });
    }

    /// The file of a frame of the join, and its number there; `None` before the first run.
    #[must_use]
    pub fn of(&self, frame: u64) -> Option<(Arc<str>, u64)> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        let at = runs.partition_point(|run| run.from <= frame);
        let run = runs.get(at.saturating_sub(1))?;
        let file = self.files.get(run.file as usize)?;
        Some((Arc::clone(file), run.number + frame.saturating_sub(run.from)))
    }

    /// Where a first and a last frame of the join are.
    #[must_use]
    pub fn of_both(&self, frames: [u64; 2]) -> Option<Placed> {
        let [(source, from), (last, to)] = [self.of(frames[0])?, self.of(frames[1])?];
        let last_source = (!Arc::ptr_eq(&source, &last)).then_some(last);
        Some(Placed { source, frames: [from, to], last_source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_the_numbers_of_their_files() {
        let origins = Origins::new(["a", "b"].map(Arc::from).to_vec());
        assert!(origins.of(1).is_none());
        // Three of a, one of b, the fourth of a; the fifth was refused by a filter.
        origins.begin(1, 0, 1);
        origins.begin(4, 1, 1);
        origins.begin(5, 0, 4);
        origins.begin(6, 0, 6);
        let found: Vec<_> = (1..=7).filter_map(|frame| origins.of(frame)).collect();
        let expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("a", 4), ("a", 6), ("a", 7)];
        assert_eq!(found, expected.map(|(file, number)| (Arc::from(file), number)));
        let placed = |frames, last: Option<&str>| {
            Some(Placed { source: Arc::from("a"), frames, last_source: last.map(Arc::from) })
        };
        assert_eq!(origins.of_both([2, 3]), placed([2, 3], None));
        assert_eq!(origins.of_both([3, 4]), placed([3, 1], Some("b")));
    }
}
