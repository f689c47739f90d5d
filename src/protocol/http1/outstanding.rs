//! Which requests still wait for their answer, and what they were: it decides how an answer is framed.

use std::collections::VecDeque;

/// Requests out of the ordinary that are remembered one by one; older ones count as never answered.
const SPECIAL_LIMIT: usize = 256;

/// What matters of a request for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Ordinary,
    /// HEAD: the answer has no body.
    Head,
    /// CONNECT: behind a 2xx comes another conversation.
    Connect,
    /// HTTP/0.9: the answer is a body without a head.
    Simple,
    /// It asks for another protocol: the name of it where it is one that is known.
    Upgrade(Option<&'static str>),
}

/// The requests of a flow by number, oldest first. Numbers are given without a hole while any is outstanding, so that
/// a count is enough; only kinds out of the ordinary are stored.
#[derive(Debug)]
pub(super) struct Outstanding {
    next: u32,
    count: u32,
    special: VecDeque<(u32, Kind)>,
}

impl Outstanding {
    /// None yet; the first gets number 1.
    pub(super) fn new() -> Self {
        Self { next: 1, count: 0, special: VecDeque::new() }
    }

    /// Whether there never was one.
    pub(super) fn is_fresh(&self) -> bool {
        self.next == 1
    }

    /// Adds a request and gives it its number.
    pub(super) fn push(&mut self, kind: Kind) -> u32 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.count = self.count.saturating_add(1);
        if kind != Kind::Ordinary {
            self.special.push_back((number, kind));
            if self.special.len() > SPECIAL_LIMIT
                && let Some((oldest, _)) = self.special.pop_front()
            {
                self.count = self.next.saturating_sub(oldest).saturating_sub(1);
            }
        }
        number
    }

    /// The oldest.
    pub(super) fn front(&self) -> Option<(u32, Kind)> {
        if self.count == 0 {
            return None;
        }
        let number = self.next.saturating_sub(self.count);
        match self.special.front() {
            Some(&(special, kind)) if special == number => Some((number, kind)),
            _ => Some((number, Kind::Ordinary)),
        }
    }

    /// The kind of the newest.
    pub(super) fn newest(&self) -> Option<Kind> {
        if self.count == 0 {
            return None;
        }
        match self.special.back() {
            Some(&(special, kind)) if special.saturating_add(1) == self.next => Some(kind),
            _ => Some(Kind::Ordinary),
        }
    }

    /// Of the newest an ordinary answer is expected.
    pub(super) fn newest_is_ordinary(&mut self) {
        if self.newest().is_some_and(|kind| kind != Kind::Ordinary) {
            self.special.pop_back();
        }
    }

    /// The oldest was answered.
    pub(super) fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
        self.forget_answered();
    }

    /// Only the newest still waits.
    pub(super) fn keep_newest(&mut self) {
        self.count = self.count.min(1);
        self.forget_answered();
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn forget_answered(&mut self) {
        let first = self.next.saturating_sub(self.count);
        while self.special.front().is_some_and(|&(number, _)| number < first) {
            self.special.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_pair_in_order() {
        let mut outstanding = Outstanding::new();
        assert_eq!(outstanding.front(), None);
        assert_eq!(outstanding.push(Kind::Ordinary), 1);
        assert_eq!(outstanding.push(Kind::Head), 2);
        assert_eq!(outstanding.push(Kind::Ordinary), 3);
        assert_eq!(outstanding.newest(), Some(Kind::Ordinary));
        for expected in [(1, Kind::Ordinary), (2, Kind::Head), (3, Kind::Ordinary)] {
            assert_eq!(outstanding.front(), Some(expected));
            outstanding.pop();
        }
        assert!(outstanding.is_empty());
        assert_eq!(outstanding.push(Kind::Connect), 4);
        assert_eq!(outstanding.newest(), Some(Kind::Connect));
        assert_eq!(outstanding.push(Kind::Head), 5);
        outstanding.keep_newest();
        assert_eq!(outstanding.front(), Some((5, Kind::Head)));
    }

    #[test]
    fn what_is_never_answered_is_bounded() {
        let mut outstanding = Outstanding::new();
        for _ in 0..100_000 {
            outstanding.push(Kind::Head);
        }
        assert_eq!(outstanding.special.len(), SPECIAL_LIMIT);
        assert_eq!(outstanding.front(), Some((100_000 - SPECIAL_LIMIT as u32 + 1, Kind::Head)));
    }
}
