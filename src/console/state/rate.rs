//! The number of lines or messages in each of the last seconds.

use std::collections::VecDeque;
use std::iter;
use std::time::Instant;

/// The number of seconds that are remembered.
pub const SECONDS: usize = 120;

/// A count for each of the last [`SECONDS`] seconds.
#[derive(Debug, Clone)]
pub struct Rate {
    started: Instant,
    /// The second that the newest count is for, counted from the start.
    newest: u64,
    /// The counts, newest last.
    counts: VecDeque<u64>,
}

impl Rate {
    /// A rate without any counts yet.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self { started, newest: 0, counts: VecDeque::from([0; SECONDS]) }
    }

    /// Adds `more` to the count of the second of `now`.
    pub fn count(&mut self, more: u64, now: Instant) {
        self.advance(now);
        if let Some(count) = self.counts.back_mut() {
            *count += more;
        }
    }

    /// Removes the counts that are too old at `now`.
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

    /// The highest count in each stretch of this many `seconds` (at least 1), newest first.
    /// Stretches begin at fixed moments, so that the past ones do not change as time goes on.
    #[must_use]
    pub fn stretches(&self, seconds: usize) -> Vec<u64> {
        let seconds = seconds.max(1);
        let mut counts: Vec<u64> = self.counts().rev().collect();
        let begun = usize::try_from(self.newest % seconds as u64).unwrap_or(0) + 1;
        let older = counts.split_off(begun.min(counts.len()));
        let most = |counts: &[u64]| counts.iter().copied().max().unwrap_or(0);
        iter::once(most(&counts)).chain(older.chunks(seconds).map(most)).collect()
    }

    /// The count of the last full second.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.counts().rev().nth(1).unwrap_or(0)
    }

    /// Whether [`now`](Self::now) will change even if nothing more is counted.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.counts().rev().take(2).any(|count| count > 0)
    }

    /// The highest count of one second.
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
        assert_eq!(rate.now(), 0);
        assert_eq!(rate.peak(), 7);
        rate.advance(start + Duration::from_secs(130));
        assert_eq!(rate.peak(), 0);
    }

    #[test]
    fn a_stretch_that_is_over_stays_as_it_is() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut rate = Rate::new(start);
        for n in 0..=6 {
            rate.count(n, second(n));
        }
        // Seconds 6; 3 to 5; 0 to 2.
        assert_eq!(rate.stretches(3)[..3], [6, 5, 2]);
        rate.count(1, second(7));
        assert_eq!(rate.stretches(3)[..3], [6, 5, 2]);
        rate.count(1, second(9));
        assert_eq!(rate.stretches(3)[..4], [1, 6, 5, 2]);
        assert_eq!(rate.stretches(0).len(), SECONDS);
    }

    #[test]
    fn a_rate_is_of_a_whole_second_and_comes_to_rest() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!(!rate.is_moving());
        rate.count(42, start);
        let mut seen = Vec::new();
        for second in 1..=3 {
            rate.advance(start + Duration::from_secs(second));
            seen.push((rate.now(), rate.is_moving()));
        }
        assert_eq!(seen, [(42, true), (0, false), (0, false)]);
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
