//! Whether a file is still as it was seen, told without reading it: by the times that the file
//! system keeps, as far as these can be trusted.
//!
//! The clock of a file system ticks, every few milliseconds as a rule: what is changed within the
//! same tick gets the same time. So an equal stamp proves nothing if it was taken in the very tick
//! of the last change; only later does it, or where every change that follows a look gets a time of
//! its own (Linux 6.13 and later, on most local file systems).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::files::{Files, Stamp};

/// Ticks are shorter than this: 10 ms where the kernel's clock has 100 a second, and as much on
/// exFAT.
const TICK: Duration = Duration::from_millis(50);

/// Where times are whole seconds ticks are shorter than this: FAT keeps every second one only.
const TICK_OF_WHOLE_SECONDS: Duration = Duration::from_secs(3);

/// How many changes in a row must show as different times before that is taken to be the rule.
const PROBES: usize = 8;

/// A file as it was when its stamp was taken.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    stamp: Stamp,
    /// Whether whatever has changed since shows in the stamp.
    is_settled: bool,
}

impl Sighting {
    /// The stamp.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether a file whose stamp is `now` certainly holds what it held then.
    #[must_use]
    pub fn proves(&self, now: Stamp) -> bool {
        self.is_settled && self.stamp == now
    }
}

/// How the file system of one directory keeps time.
#[derive(Debug)]
pub struct Clock {
    files: Arc<Files>,
    /// The device on which no two changes with a look between them have one time. Tried once,
    /// when it first matters.
    exact: OnceLock<Option<u64>>,
}

impl Clock {
    /// The clock of a directory.
    #[must_use]
    pub fn of(files: &Arc<Files>) -> Self {
        Self { files: Arc::clone(files), exact: OnceLock::new() }
    }

    /// One of which is known whether all changes have times of their own.
    #[cfg(test)]
    pub(super) fn pretend(files: &Arc<Files>, exact: Option<u64>) -> Self {
        Self { files: Arc::clone(files), exact: OnceLock::from(exact) }
    }

    /// Looks at an open file.
    pub fn look(&self, file: &File) -> io::Result<Sighting> {
        // Before the look: what is changed behind it is no older than this, but for one tick.
        let now = SystemTime::now();
        Ok(self.judge(Stamp::of_file(file)?, now))
    }

    /// Looks at the regular file `name`, if there is one.
    pub fn look_at(&self, name: &str) -> io::Result<Option<Sighting>> {
        let now = SystemTime::now();
        Ok(self.files.regular(name)?.map(|stamp| self.judge(stamp, now)))
    }

    fn judge(&self, stamp: Stamp, now: SystemTime) -> Sighting {
        let is_settled = ticked_since(stamp.changed(), now) || self.is_exact(&stamp);
        Sighting { stamp, is_settled }
    }

    /// What a stamp is worth that was taken right behind a change of our own.
    #[must_use]
    pub fn changed_by_us(&self, stamp: Stamp) -> Sighting {
        Sighting { stamp, is_settled: self.is_exact(&stamp) }
    }

    fn is_exact(&self, stamp: &Stamp) -> bool {
        let (device, _) = stamp.identity;
        *self.exact.get_or_init(|| exact_device(&self.files)) == Some(device)
    }
}

/// Whether a change at `now` shows as another time than `changed` (nanoseconds since 1970).
fn ticked_since(changed: i128, now: SystemTime) -> bool {
    let whole_seconds = changed % 1_000_000_000 == 0;
    let tick = if whole_seconds { TICK_OF_WHOLE_SECONDS } else { TICK };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (now, tick) = (now.as_nanos().cast_signed(), tick.as_nanos().cast_signed());
    // A time in the future proves nothing: the clock has been set.
    now - changed > tick
}

/// The directory's device, if changes that follow each other at once have different times there.
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
