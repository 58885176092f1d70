//! The file whose links are the dotlocks of this process: `.mailconsole.PID`, which holds the
//! process id.
//!
//! Where the file system knows no hard links (vfat, some network and container shares), each lock is
//! a file of its own, renamed to its name once it holds the process id.
//!
//! A link costs much less than a file: ext4 without a journal looks for an inode that was not
//! freed lately, and finds fewer the more dotlocks come and go. A link also has its content
//! from the first moment on: a lock that is made empty and filled later would block its mailbox
//! for ever if we died in between.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use parking_lot::{Mutex, MutexGuard};
use procfs::process::Process;

use crate::store::files::{Access, Creation, Files, NAMES_MOST};

const PREFIX: &str = ".mailconsole.";

/// How old the file may look. Its links have its age, and other programs take an old lock for one
/// that was left over: after five minutes, the most impatient.
const TOUCHED_EVERY: Duration = Duration::from_secs(30);

/// Locks taken within a second from which on the next is expected shortly. Below, the file is
/// removed with each lock: whoever looks into the directory finds mail in it and nothing else.
const BUSY: u32 = 20;

/// Names that are no locks of which it is said.
const TOLD_MOST: usize = 1_000;

/// Attempts to link a file that somebody else removes time and again.
const ATTEMPTS: usize = 10;

/// The file, while there is one. It goes with the value.
#[derive(Debug)]
pub struct Anchor {
    files: Arc<Files>,
    /// When it was last made to look new.
    touched: Mutex<Option<Instant>>,
    pace: Mutex<Pace>,
    /// Whether the file system has turned out to know no hard links.
    linkless: AtomicBool,
    /// Locks of ours that could not be removed.
    left: Mutex<HashSet<String>>,
    /// What has been said about names that are no locks, so that it is said once.
    told: Mutex<HashSet<String>>,
}

/// How many locks have been taken lately.
#[derive(Debug, Default)]
struct Pace {
    /// Since when they are counted.
    since: Option<Instant>,
    count: u32,
    /// How many there were in the second before.
    before: u32,
}

impl Pace {
    const SECOND: Duration = Duration::from_secs(1);

    fn note_lock(&mut self, now: Instant) {
        self.move_on(now);
        self.count = self.count.saturating_add(1);
    }

    fn is_busy(&mut self, now: Instant) -> bool {
        self.move_on(now);
        self.count.max(self.before) >= BUSY
    }

    fn move_on(&mut self, now: Instant) {
        let age = self.since.map_or(Self::SECOND * 2, |since| now.duration_since(since));
        if age >= Self::SECOND {
            self.before = if age < Self::SECOND * 2 { self.count } else { 0 };
            self.count = 0;
            self.since = Some(now);
        }
    }
}

impl Anchor {
    /// None yet, in the directory `files`.
    #[must_use]
    pub fn new(files: &Arc<Files>) -> Self {
        Self {
            files: Arc::clone(files),
            touched: Mutex::default(),
            pace: Mutex::default(),
            linkless: AtomicBool::default(),
            left: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The directory in which it is.
    #[must_use]
    pub const fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Gives the file another name, that of a lock; whether that name was free.
    pub fn link(&self, lock: &str) -> io::Result<bool> {
        self.pace().note_lock(Instant::now());
        if self.linkless.load(Ordering::Relaxed) {
            return self.rename_to(lock);
        }
        let mut linked = Err(ErrorKind::NotFound.into());
        for _ in 0..ATTEMPTS {
            self.make_ready()?;
            linked = self.files.link(&own_name(), lock);
            if !linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                break;
            }
            // Another thread of ours, or somebody who tidies up, has removed it.
            self.forget();
        }
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) if knows_no_links(&error) => {
                let told = self.linkless.swap(true, Ordering::Relaxed);
                if !told {
                    let path = self.files.path().display();
                    tracing::warn!("{path}: no hard links here ({error}); locks are made without");
                }
                self.remove();
                self.rename_to(lock)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`link`](Self::link), without a link: a file of its own, which has its content before it
    /// has its name.
    fn rename_to(&self, lock: &str) -> io::Result<bool> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let draft = format!("{}.{number}", own_name());
        self.files.clear(&draft)?;
        let file = self.files.open_lock(&draft)?;
        file.write_all_at(own_id().as_bytes(), 0)?;
        match self.files.rename_to_free(&draft, lock) {
            Ok(()) => return Ok(true),
            Err(error) => {
                self.files.remove(&draft)?;
                if error.kind() == ErrorKind::AlreadyExists {
                    return Ok(false);
                }
            }
        }
        // No such renaming either. A lock that is empty for a moment is better than none.
        match self.files.open_file(lock, Access::Write, Creation::Always) {
            Ok(file) => file.write_all_at(own_id().as_bytes(), 0).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a lock of ours. Where that fails, it is tried again when the lock is wanted next:
    /// it looks like one that we hold.
    pub fn unlock(&self, lock: &str) {
        if let Err(error) = self.files.remove(lock) {
            tracing::warn!("cannot remove {lock} yet: {error}");
            self.left().insert(lock.to_owned());
        }
    }

    /// Removes a lock that was left because it could not be removed.
    pub fn remove_left(&self, lock: &str) -> io::Result<()> {
        if self.left().contains(lock) {
            self.files.remove(lock)?;
            self.left().remove(lock);
        }
        Ok(())
    }

    fn left(&self) -> MutexGuard<'_, HashSet<String>> {
        self.left.lock()
    }

    /// Says once that what has the name of a lock is none.
    pub fn tell_once_of_no_lock(&self, lock: &str) {
        let mut told = self.told.lock();
        if told.len() < TOLD_MOST && told.insert(lock.to_owned()) {
            tracing::warn!("{lock} is no regular file, so it locks nothing: remove it");
        }
    }

    /// Whether the file is there, to be removed when it is quiet.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.touched.lock().is_some()
    }

    /// Whether so many locks are taken that what makes the next one cheaper is worth keeping.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.pace().is_busy(Instant::now())
    }

    /// Removes the file, unless the next lock is expected shortly.
    pub fn remove_if_quiet(&self) {
        if !self.is_busy() {
            self.remove();
        }
    }

    /// Removes the file, if it was made.
    pub fn remove(&self) {
        if self.forget()
            && let Err(error) = self.files.remove(&own_name())
        {
            tracing::warn!("cannot remove {}: {error}", own_name());
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock()
    }

    fn make_ready(&self) -> io::Result<()> {
        let mut touched = self.touched.lock();
        if touched.is_some_and(|at| at.elapsed() < TOUCHED_EVERY) {
            return Ok(());
        }
        if touched.is_none() {
            // One that is there is of an earlier process with our id, as in a restarted container.
            // Touched, it would make the locks that were left over with it look like ours.
            self.files.clear(&own_name())?;
        }
        let file = self.files.open_lock(&own_name())?;
        file.write_all_at(own_id().as_bytes(), 0)?;
        file.set_modified(SystemTime::now())?;
        *touched = Some(Instant::now());
        Ok(())
    }

    /// Whether there was something to forget.
    fn forget(&self) -> bool {
        self.touched.lock().take().is_some()
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.remove();
    }
}

fn knows_no_links(error: &io::Error) -> bool {
    let unknown = [libc::EPERM, libc::EOPNOTSUPP, libc::ENOSYS, libc::EMLINK, libc::EXDEV];
    error.raw_os_error().is_some_and(|code| unknown.contains(&code))
}

/// What a lock holds: who has it.
fn own_id() -> String {
    format!("{}\n", std::process::id())
}

fn own_name() -> String {
    format!("{PREFIX}{}", std::process::id())
}

/// Removes what processes left that are no more.
pub fn remove_left_over(files: &Files) -> io::Result<()> {
    for name in files.names(NAMES_MOST)? {
        // Drafts and spools have a number behind it.
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse().ok());
        if id.is_some_and(|id| !is_alive(id)) {
            files.remove(&name)?;
        }
    }
    Ok(())
}

/// Whether there is a process of that id on this machine that still runs. One that has ended holds
/// nothing, even if nobody has asked yet how it ended.
#[must_use]
pub fn is_alive(id: i32) -> bool {
    id > 0 && kill(Pid::from_raw(id), None) != Err(Errno::ESRCH) && !is_zombie_or_thread(id)
}

/// A thread of some process, which may be ours, has an id of the same kind, and answers signals.
fn is_zombie_or_thread(id: i32) -> bool {
    let status = Process::new(id).and_then(|process| process.status());
    status.is_ok_and(|status| status.tgid != id || status.state.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_busy_from_twenty_locks_a_second_on_and_until_a_quiet_second_has_passed() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut pace = Pace::default();
        for nth in 1..BUSY {
            pace.note_lock(at(u64::from(nth)));
            assert!(!pace.is_busy(at(u64::from(nth))), "{nth} locks");
        }
        pace.note_lock(at(900));
        assert!(pace.is_busy(at(900)));
        assert!(pace.is_busy(at(1_500)));
        assert!(!pace.is_busy(at(2_600)));
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_ours_is_made_again_if_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let left = dir.path().join(format!("{PREFIX}{}", child.id()));
        std::fs::write(&left, "").unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let anchor = Anchor::new(&files);
        assert!(anchor.link("a.lock").unwrap());
        assert!(!anchor.link("a.lock").unwrap());
        remove_left_over(&files).unwrap();
        assert!(!left.exists());
        files.remove(&own_name()).unwrap();
        assert!(anchor.link("b.lock").unwrap());
        let id = std::fs::read_to_string(dir.path().join("b.lock")).unwrap();
        assert_eq!(id, format!("{}\n", std::process::id()));
        anchor.remove();
        assert!(!dir.path().join(own_name()).exists());
    }

    #[test]
    fn a_process_that_was_killed_is_gone_also_before_its_parent_has_noticed() {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        waitid(Id::Pid(Pid::from_raw(id)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        assert!(!is_alive(id));
        child.wait().unwrap();
        assert!(is_alive(std::process::id().try_into().unwrap()));
        let thread = std::thread::spawn(|| is_alive(nix::unistd::gettid().as_raw()));
        assert!(!thread.join().unwrap(), "a thread is taken for a process");
    }

    #[test]
    fn a_lock_that_an_earlier_process_with_our_id_left_does_not_become_young() {
        let dir = tempfile::tempdir().unwrap();
        let (own, left) = (dir.path().join(own_name()), dir.path().join("a.lock"));
        std::fs::write(&own, "").unwrap();
        std::fs::hard_link(&own, &left).unwrap();
        let old = std::fs::metadata(&left).unwrap().modified().unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let anchor = Anchor::new(&files);
        assert!(anchor.link("b.lock").unwrap());
        assert_eq!(std::fs::metadata(&left).unwrap().modified().unwrap(), old);
        assert!(std::fs::metadata(dir.path().join("b.lock")).unwrap().len() > 0);
    }
}
