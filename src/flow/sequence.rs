//! TCP sequence numbers: arithmetic modulo 2^32, in this one place.

/// A TCP sequence number (RFC 9293 section 3.4), compared by serial arithmetic (RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence(pub(super) u32);

impl Sequence {
    /// The number `count` octets on.
    #[inline]
    pub(super) fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Octets from `earlier` to this number; negative where it lies before. Right as long as the two are less
    /// than 2^31 apart.
    #[inline]
    pub(super) fn offset_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_across_the_wrap() {
        for (number, earlier, offset) in [
            (5, 3, 2),
            (3, 5, -2),
            (1, u32::MAX, 2),
            (u32::MAX, 1, -2),
            (0x8000_0000, 1, i32::MAX),
            (7, 7, 0),
        ] {
            assert_eq!(Sequence(number).offset_from(Sequence(earlier)), offset, "{number} {earlier}");
        }
        assert_eq!(Sequence(u32::MAX).plus(2), Sequence(1));
    }
}
