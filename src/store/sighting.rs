//! Tells without reading a file whether it is still as it was seen, by the times that the file
//! system keeps, as far as they can be trusted.
//!
//! The clock of a file system ticks every few milliseconds, and all changes within a tick get the
//! same time. An equal stamp therefore proves nothing if it was taken in the tick of the last
//! change. It does if it was taken later, or if every change after a look gets a time of its own
//! (Linux 6.13 and later, on most local file systems).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::files::{Files, Stamp};

/// Ticks are shorter than this: 10 ms if the kernel's clock has 100 ticks a second, and on exFAT.
const TICK: Duration = Duration::from_millis(50);

/// Ticks are shorter than this if times are whole seconds: FAT keeps only even seconds.
const TICK_OF_WHOLE_SECONDS: Duration = Duration::from_secs(3);

/// Changes in a row that must get different times before this is taken to be the rule.
const PROBES: usize = 8;

/// The state of a file, and whether an equal stamp later proves that nothing has changed.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    stamp: Stamp,
    /// Whether every change since would show in the stamp.
    is_settled: bool,
}

impl Sighting {
    /// The state of the file when it was looked at.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether a file in the state `now` certainly contains what it contained then.
    #[must_use]
    pub fn proves(&self, now: Stamp) -> bool {
        self.is_settled && self.stamp == now
    }
}

/// How the file system of a directory keeps time.
#[derive(Debug)]
pub struct Clock {
    files: Arc<Files>,
    /// The device on which two changes with a look between them never get the same time. Determined
    /// once, when it first matters.
    exact: OnceLock<Option<u64>>,
}

impl Clock {
    /// The clock of a directory.
    #[must_use]
    pub fn of(files: &Arc<Files>) -> Self {
        Self { files: Arc::clone(files), exact: OnceLock::new() }
    }

    /// A clock for which it is known whether every change gets a time of its own.
    #[cfg(test)]
    pub(super) fn pretend(files: &Arc<Files>, exact: Option<u64>) -> Self {
        Self { files: Arc::clone(files), exact: OnceLock::from(exact) }
    }

    /// Looks at an open file.
    pub fn look(&self, file: &File) -> io::Result<Sighting> {
        // Taken before the look: a change after it is no older than this, but for one tick.
        let now = SystemTime::now();
        Ok(self.judge(Stamp::of_file(file)?, now))
    }

    /// Looks at the regular file `name`, if it exists.
    pub fn look_at(&self, name: &str) -> io::Result<Option<Sighting>> {
        let now = SystemTime::now();
        Ok(self.files.regular(name)?.map(|stamp| self.judge(stamp, now)))
    }

    fn judge(&self, stamp: Stamp, now: SystemTime) -> Sighting {
        let is_settled = ticked_since(stamp.changed(), now) || self.is_exact(&stamp);
        Sighting { stamp, is_settled }
    }

    /// Judges a stamp taken right after a change of our own.
    #[must_use]
    pub fn changed_by_us(&self, stamp: Stamp) -> Sighting {
        // Otherwise another program's change in the same tick would go unnoticed.
        Sighting { stamp, is_settled: self.is_exact(&stamp) }
    }

    fn is_exact(&self, stamp: &Stamp) -> bool {
        let (device, _) = stamp.identity;
        *self.exact.get_or_init(|| exact_device(&self.files)) == Some(device)
    }
}

/// Whether a change at `now` would get another time than `changed` (nanoseconds since 1970).
fn ticked_since(changed: i128, now: SystemTime) -> bool {
    let whole_seconds = changed % 1_000_000_000 == 0;
    let tick = if whole_seconds { TICK_OF_WHOLE_SECONDS } else { TICK };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (now, tick) = (now.as_nanos().cast_signed(), tick.as_nanos().cast_signed());
    // A time in the future proves nothing: the clock has been set back.
    now - changed > tick
}

/// The directory's device, if changes in quick succession get different times there.
fn exact_device(files: &Files) -> Option<u64> {
    let file = files.nameless().ok()?;
    let mut before = Stamp::of_file(&file).ok()?;
    for _ in 0..PROBES {
        file.write_all_at(b"x", 0).ok()?;
        let after = Stamp::of_file(&file).ok()?;
        if after.changed() <= before.changed() {
            return None;
        }
        before = after;
    }
    Some(before.identity.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn at(nanoseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanoseconds)
    }

    #[test]
    fn a_time_is_trusted_once_its_tick_is_over() {
        let changed = 10 * SECOND + 1;
        assert!(!ticked_since(changed, at(10_000_000_001)));
        assert!(!ticked_since(changed, at(10_050_000_001)));
        assert!(ticked_since(changed, at(10_050_000_002)));
    }

    #[test]
    fn whole_seconds_are_trusted_later_and_the_future_never() {
        assert!(!ticked_since(10 * SECOND, at(12_999_000_000)));
        assert!(ticked_since(10 * SECOND, at(13_000_000_001)));
        assert!(!ticked_since(20 * SECOND + 1, at(13_000_000_001)));
    }

    #[test]
    fn an_equal_stamp_that_has_not_settled_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let stamp = files.regular("f").unwrap().unwrap();
        let worth = |exact| Clock::pretend(&files, exact).changed_by_us(stamp).proves(stamp);
        let (device, _) = stamp.identity;
        assert!(!worth(None));
        assert!(!worth(Some(device + 1)));
        assert!(worth(Some(device)));
    }
}
