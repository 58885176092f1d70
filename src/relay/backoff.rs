//! When a deferred recipient is due again, and when patience ends. Time is passed in.

use std::time::{Duration, SystemTime};

/// The wait after the first attempt; each further one doubles it.
pub const SHORTEST_WAIT: Duration = Duration::from_mins(5);

/// No wait is longer: about 66 minutes.
pub const LONGEST_WAIT: Duration = Duration::from_secs(4_000);

/// How long a message is tried (RFC 5321 section 4.5.4.1: at least 4 or 5 days).
pub const PATIENCE: Duration = Duration::from_hours(5 * 24);

/// How long to wait after the `attempts`-th attempt.
#[must_use]
pub fn wait_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1);
    2u32.checked_pow(doublings)
        .and_then(|factor| SHORTEST_WAIT.checked_mul(factor))
        .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
}

/// Whether a message queued at `queued` has been tried long enough. A clock that was set back
/// gives no reason to give up.
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
