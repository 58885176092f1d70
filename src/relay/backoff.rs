//! The retry schedule of deferred recipients: when the next attempt is due, and when to give up
//! (docs/protocol.md 5.12). Time is passed in.

use std::time::{Duration, SystemTime};

/// The wait after the first attempt; each further attempt doubles it.
pub const SHORTEST_WAIT: Duration = Duration::from_mins(5);

/// The longest wait between two attempts, about 66 minutes.
pub const LONGEST_WAIT: Duration = Duration::from_secs(4_000);

/// How long a message is retried before its deferred recipients fail (RFC 5321 section 4.5.4.1: at
/// least 4 or 5 days).
pub const PATIENCE: Duration = Duration::from_hours(5 * 24);

/// The wait after the `attempts`-th attempt, counted from 1.
#[must_use]
pub fn wait_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1);
    // Both the power and the product overflow after some dozen attempts; that means the longest
    // wait.
    2u32.checked_pow(doublings)
        .and_then(|factor| SHORTEST_WAIT.checked_mul(factor))
        .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
}

/// Whether a message queued at `queued` has used up [`PATIENCE`]. If the clock was set back so that
/// `queued` lies in the future, the message has not expired.
#[must_use]
pub fn is_expired(queued: SystemTime, now: SystemTime) -> bool {
    now.duration_since(queued).is_ok_and(|waited| waited >= PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_five_minutes_to_about_an_hour() {
        let minutes: Vec<u64> = (1..=6).map(|n| wait_after(n).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 66, 66]);
        assert_eq!(wait_after(0), SHORTEST_WAIT);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn patience_ends_after_five_days() {
        let queued = SystemTime::UNIX_EPOCH + PATIENCE;
        assert!(!is_expired(queued, queued + PATIENCE - Duration::from_secs(1)));
        assert!(is_expired(queued, queued + PATIENCE));
        assert!(!is_expired(queued, SystemTime::UNIX_EPOCH));
    }
}
