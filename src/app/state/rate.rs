//! How many transcript lines there were in each of the last seconds.

use std::collections::VecDeque;
use std::time::Instant;

/// Seconds that are remembered.
pub const SECONDS: usize = 120;

/// Lines of each of the last [`SECONDS`] seconds.
#[derive(Debug, Clone)]
pub struct Rate {
    started: Instant,
    /// Which second since the start the newest count is of.
    newest: u64,
    /// Newest last.
    counts: VecDeque<u64>,
}

impl Rate {
    /// No lines yet.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self { started, newest: 0, counts: VecDeque::from([0; SECONDS]) }
    }

    /// Counts `lines` that came at `now`.
    pub fn count(&mut self, lines: u64, now: Instant) {
        self.advance(now);
        if let Some(count) = self.counts.back_mut() {
            *count += lines;
        }
    }

    /// Forgets what is too old at `now`.
    pub fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.started).as_secs();
        let passed = second.saturating_sub(self.newest);
        self.newest = self.newest.max(second);
        for _ in 0..passed.min(SECONDS as u64) {
            self.counts.pop_front();
            self.counts.push_back(0);
        }
    }

    /// The counts, oldest first.
    #[must_use]
    pub fn counts(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.counts.iter().copied()
    }

    /// The most lines of one second.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.counts().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_are_counted_by_the_second_and_forgotten_after_two_minutes() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        rate.count(3, start);
        rate.count(4, start + Duration::from_millis(900));
        rate.count(5, start + Duration::from_secs(2));
        let last: Vec<u64> = rate.counts().skip(SECONDS - 3).collect();
        assert_eq!(last, [7, 0, 5]);
        assert_eq!(rate.peak(), 7);
        rate.advance(start + Duration::from_secs(130));
        assert_eq!(rate.peak(), 0);
    }

    #[test]
    fn a_clock_that_stands_still_or_leaps_harms_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(start + Duration::from_secs(9));
        rate.count(1, start);
        rate.count(1, start + Duration::from_secs(1_000_000));
        assert_eq!(rate.counts().count(), SECONDS);
        assert_eq!(rate.peak(), 1);
    }
}
