//! Where one is in a list: the row that is chosen, the row on top, whether the newest is followed.

use super::index::Row;

/// A place in a list of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// The row chosen.
    pub(super) row: usize,
    /// The row on top of the screen.
    pub(super) top: usize,
    /// Whether the choice has left the first row: until then that is followed.
    pub(super) is_parked: bool,
    /// What the chosen row holds; so it is found again where rows move.
    pub(super) held: Option<Row>,
}

impl List {
    /// Chooses a row; of `len` rows `height` are seen at once.
    pub(super) fn go(&mut self, row: usize, len: usize, height: usize) {
        self.row = row.min(len.saturating_sub(1));
        self.is_parked = self.row > 0;
        self.show(len, height);
    }

    /// The same by so many rows.
    pub(super) fn step(&mut self, by: isize, len: usize, height: usize) {
        self.go(self.row.saturating_add_signed(by), len, height);
    }

    /// Moves what is seen, and the choice only where it would be out of sight.
    pub(super) fn scroll(&mut self, by: isize, len: usize, height: usize) {
        self.top = self.top.saturating_add_signed(by).min(len.saturating_sub(height.max(1)));
        self.row = self.row.max(self.top).min(self.top + height.max(1) - 1).min(len.saturating_sub(1));
        self.is_parked = self.top > 0 || self.row > 0;
    }

    /// A row came before the row `at`.
    pub(super) fn inserted(&mut self, at: usize) {
        if self.is_parked {
            self.row += usize::from(at <= self.row);
            self.top += usize::from(at <= self.top);
        }
    }

    /// Keeps the choice in sight.
    pub(super) fn show(&mut self, len: usize, height: usize) {
        let height = height.max(1);
        self.row = self.row.min(len.saturating_sub(1));
        self.top = self.top.min(self.row).max((self.row + 1).saturating_sub(height));
        self.top = self.top.min(len.saturating_sub(height));
    }

    /// Begins at the first row.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_is_followed_until_one_leaves_it() {
        let mut list = List::default();
        list.inserted(0);
        assert_eq!((list.row, list.top), (0, 0), "followed");
        list.step(1, 10, 5);
        list.inserted(0);
        assert_eq!((list.row, list.top, list.is_parked), (2, 1, true), "all stands where it stood");
        list.go(0, 11, 5);
        assert!(!list.is_parked, "followed again");
    }

    #[test]
    fn the_choice_stays_in_sight() {
        let mut list = List::default();
        list.go(7, 10, 5);
        assert_eq!((list.row, list.top), (7, 3));
        list.step(-5, 10, 5);
        assert_eq!((list.row, list.top), (2, 2));
        list.step(100, 10, 5);
        assert_eq!((list.row, list.top), (9, 5));
        list.scroll(-3, 10, 5);
        assert_eq!((list.row, list.top), (6, 2), "it comes along");
        list.scroll(100, 10, 5);
        assert_eq!((list.row, list.top), (6, 5));
        list.show(3, 5);
        assert_eq!((list.row, list.top), (2, 0), "fewer rows");
        list.scroll(-1, 0, 5);
        list.step(-1, 0, 0);
        assert_eq!((list.row, list.top), (0, 0), "none at all");
    }

    #[test]
    fn what_comes_above_the_top_moves_it() {
        let mut list = List::default();
        list.go(7, 10, 5);
        list.inserted(0);
        assert_eq!((list.row, list.top), (8, 4));
        list.inserted(9);
        assert_eq!((list.row, list.top), (8, 4), "below");
    }
}
