//! Capture time as a clock that cannot run backwards, and lists in order of time.

use std::time::Duration;

use crate::model::Timestamp;

/// Nanoseconds in a tick, as a power of two: 16.8 ms.
const TICK_BITS: u32 = 24;
/// The longest step of the clock: what was silent for that long is over, however long it truly was.
const LONGEST_STEP: u64 = (1 << 31) << TICK_BITS;
/// A capture time so far behind the clock is not mere disorder.
const DISORDER: Duration = Duration::from_secs(60);
/// So many moments far behind the clock in a row mean that capture time itself went back.
const GONE_BACK: u32 = 64;

/// A moment of the clock. Wraps after 2.3 years; what is compared is less than half of that apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick(u32);

/// A span in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticks(u32);

impl Ticks {
    /// The span, rounded up to a tick; at most half a year.
    pub(super) const fn new(span: Duration) -> Self {
        let ticks = span.as_nanos().div_ceil(1 << TICK_BITS);
        Self(if ticks < 1 << 30 { ticks as u32 } else { 1 << 30 })
    }
}

impl Tick {
    #[inline]
    pub(super) fn since(self, earlier: Self) -> Ticks {
        Ticks(self.0.wrapping_sub(earlier.0))
    }

    #[inline]
    pub(super) fn after(self, span: Ticks) -> Self {
        Self(self.0.wrapping_add(span.0))
    }

    #[inline]
    pub(super) fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

/// What elapsed by capture time. A jump forward counts once, a jump back not at all; frames somewhat out of order,
/// or of interfaces whose clocks differ, do not move it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    mark: Option<Timestamp>,
    elapsed: u64,
    behind: u32,
}

impl Clock {
    #[inline]
    pub(super) fn advance(&mut self, time: Timestamp) -> Tick {
        let mark = *self.mark.get_or_insert(time);
        let mut elapsed = self.elapsed;
        if time >= mark {
            let step = time.as_nanos().abs_diff(mark.as_nanos());
            elapsed = elapsed.wrapping_add(step.min(LONGEST_STEP));
            self.elapsed = elapsed;
            self.mark = Some(time);
            self.behind = 0;
        } else {
            self.fall_behind(mark, time);
        }
        // Not read back from memory: that waits for the write.
        Tick((elapsed >> TICK_BITS) as u32)
    }

    #[cold]
    fn fall_behind(&mut self, mark: Timestamp, time: Timestamp) {
        if mark.since(time) > DISORDER {
            self.behind += 1;
            if self.behind >= GONE_BACK {
                self.mark = Some(time);
                self.behind = 0;
            }
        }
    }
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    earlier: u32,
    later: u32,
}

/// The links of lists over slots; a slot is in one list of these links at most.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

impl Links {
    fn get(&self, slot: u32) -> Link {
        self.0.get(slot as usize).copied().unwrap_or(Link { earlier: NONE, later: NONE })
    }

    fn at(&mut self, slot: u32) -> Option<&mut Link> {
        self.0.get_mut(slot as usize)
    }
}

/// Slots in the order in which they were put in; each operation takes constant time.
#[derive(Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, links: &mut Links, slot: u32) {
        let wanted = slot as usize + 1;
        if links.0.len() < wanted {
            links.0.resize(wanted, Link { earlier: NONE, later: NONE });
        }
        if let Some(link) = links.at(slot) {
            *link = Link { earlier: self.last, later: NONE };
        }
        match links.at(self.last) {
            Some(last) => last.later = slot,
            None => self.first = slot,
        }
        self.last = slot;
        self.len += 1;
    }

    /// `slot` must be in this list.
    pub(super) fn remove(&mut self, links: &mut Links, slot: u32) {
        let Link { earlier, later } = links.get(slot);
        match links.at(earlier) {
            Some(link) => link.later = later,
            None => self.first = later,
        }
        match links.at(later) {
            Some(link) => link.earlier = earlier,
            None => self.last = earlier,
        }
        self.len = self.len.saturating_sub(1);
    }

    /// `slot` must be in this list.
    pub(super) fn renew(&mut self, links: &mut Links, slot: u32) {
        if self.last != slot {
            self.remove(links, slot);
            self.push(links, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const YEAR: i64 = 365 * 86_400 * SECOND;

    fn elapsed(times: impl IntoIterator<Item = i64>) -> u64 {
        let mut clock = Clock::default();
        for time in times {
            clock.advance(Timestamp::from_nanos(time));
        }
        clock.elapsed / SECOND as u64
    }

    #[test]
    fn the_clock_follows_capture_time_but_never_back() {
        for (times, seconds) in [
            (vec![0, 5, 9], 9),
            (vec![5, 3, 4, 6], 1),
            (vec![100, 0, 100, 0, 100], 0),
            (vec![7200, 0, 7201, 1, 7202], 2),
            (vec![0, -5], 0),
        ] {
            assert_eq!(elapsed(times.iter().map(|second| second * SECOND)), seconds, "{times:?}");
        }
    }

    #[test]
    fn the_clock_goes_on_behind_a_jump_back() {
        let after = (0..200).map(|second| second * SECOND - 10 * YEAR);
        assert_eq!(elapsed(std::iter::once(0).chain(after)), 200 - i64::from(GONE_BACK) as u64);
    }

    #[test]
    fn a_jump_forward_is_at_most_a_year_or_so() {
        assert!(elapsed([i64::MIN, i64::MAX]) < 2 * (YEAR / SECOND) as u64);
        assert!(elapsed([i64::MIN, i64::MAX, i64::MIN, i64::MAX]) < 2 * (YEAR / SECOND) as u64);
    }

    #[test]
    fn a_list_keeps_its_order() {
        let (mut links, mut list) = (Links::default(), List::default());
        for slot in [4, 0, 2, 7] {
            list.push(&mut links, slot);
        }
        list.renew(&mut links, 0);
        list.renew(&mut links, 0);
        list.remove(&mut links, 2);
        list.renew(&mut links, 4);
        let mut order = Vec::new();
        while let Some(slot) = list.first() {
            order.push(slot);
            list.remove(&mut links, slot);
        }
        assert_eq!((order, list.len()), (vec![7, 0, 4], 0));
        assert_eq!(list.last, NONE);
    }
}
