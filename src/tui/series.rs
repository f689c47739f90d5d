//! What came in each second of the last minutes, for a sparkline.

use std::collections::VecDeque;
use std::time::Duration;

/// Seconds held.
const HELD: usize = 240;

/// Amounts by second.
#[derive(Debug, Default)]
pub(super) struct Series {
    seconds: VecDeque<u64>,
    /// The second at hand, since the screen began.
    at: u64,
}

impl Series {
    /// Time goes on.
    pub(super) fn advance(&mut self, now: Duration) {
        let second = now.as_secs();
        if self.seconds.is_empty() {
            self.seconds.push_back(0);
            self.at = second;
        }
        let passed = usize::try_from(second.saturating_sub(self.at)).unwrap_or(HELD).min(HELD);
        self.seconds.extend(std::iter::repeat_n(0, passed));
        while self.seconds.len() > HELD {
            self.seconds.pop_front();
        }
        self.at = self.at.max(second);
    }

    /// So much more in the second at hand.
    pub(super) fn add(&mut self, amount: u64) {
        match self.seconds.back_mut() {
            Some(last) => *last += amount,
            None => self.seconds.push_back(amount),
        }
    }

    /// A bar for each of the last `width` seconds that are over.
    pub(super) fn bars(&self, width: usize) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let over = self.seconds.len().saturating_sub(1);
        let shown = self.seconds.iter().take(over).skip(over.saturating_sub(width));
        let most = shown.clone().copied().max().unwrap_or(0).max(1);
        let bars: String = shown
            .map(|&amount| {
                // What is not nothing is seen.
                let height = (amount * 8).div_ceil(most) as usize;
                BARS.get(height).copied().unwrap_or('█')
            })
            .collect();
        let missing = width.saturating_sub(over);
        format!("{}{bars}", " ".repeat(missing))
    }

    /// The sum of the last `seconds` that are over.
    pub(super) fn sum(&self, seconds: usize) -> u64 {
        let over = self.seconds.len().saturating_sub(1);
        self.seconds.iter().take(over).skip(over.saturating_sub(seconds)).sum()
    }

    /// By second, over the last `seconds` that are over.
    pub(super) fn rate(&self, seconds: usize) -> u64 {
        let over = self.seconds.len().saturating_sub(1).min(seconds).max(1);
        self.sum(seconds) / over as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_bars() {
        let mut series = Series::default();
        assert_eq!(series.bars(4), "    ");
        for (second, amount) in [(10, 1), (11, 0), (12, 8), (13, 5), (14, 100)] {
            series.advance(Duration::from_secs(second));
            series.add(amount);
        }
        assert_eq!(series.bars(6), "  ▁ █▅", "the second at hand is not over");
        assert_eq!((series.sum(2), series.rate(4), series.rate(100)), (13, 3, 3));
        series.advance(Duration::from_secs(1_000_000));
        assert_eq!((series.seconds.len(), series.sum(HELD)), (HELD, 0));
    }
}
