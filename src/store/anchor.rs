//! The file that the dotlocks of this process are hard links to: `.mailconsole.PID`. It contains
//! the process id.
//!
//! If the file system has no hard links (vfat, some network and container shares), each lock is a
//! file of its own, renamed to its final name once it contains the process id.
//!
//! A link costs much less than a new file, which took a third of the server's time for each lock:
//! ext4 without a journal looks for an inode that was not freed lately, and finds fewer the more
//! dotlocks come and go. A link also has its content from the first moment: a lock that was created
//! empty and filled later would block its mailbox permanently if the process died in between.
//!
//! See docs/files.md 7.1 and 7.4.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use parking_lot::{Mutex, MutexGuard};
use procfs::process::Process;

use crate::store::files::{Access, Creation, Files, NAMES_MOST};

const PREFIX: &str = ".mailconsole.";

/// Maximum age of the file's modification time. All its links have the same time, and other
/// programs regard an old lock as stale: after five minutes, the most impatient of them.
const TOUCHED_EVERY: Duration = Duration::from_secs(30);

/// Locks per second from which on the next one is expected soon, so that the file stays. Below, it
/// is removed with each lock, so that users who look into the directory see only mail.
const BUSY: u32 = 20;

/// Maximum number of names about which a warning has been logged.
const TOLD_MOST: usize = 1_000;

/// Attempts to link the file if something keeps removing it.
const ATTEMPTS: usize = 10;

/// The file, which is created when needed and removed when this value is dropped.
#[derive(Debug)]
pub struct Anchor {
    files: Arc<Files>,
    /// When its modification time was last set; `None` while the file does not exist.
    touched: Mutex<Option<Instant>>,
    pace: Mutex<Pace>,
    /// Whether the file system has turned out to have no hard links.
    linkless: AtomicBool,
    /// Locks of ours that could not be removed yet.
    left: Mutex<HashSet<String>>,
    /// Names for which the warning that they lock nothing has been logged, so that it is logged
    /// once.
    told: Mutex<HashSet<String>>,
}

/// The rate at which locks are taken.
#[derive(Debug, Default)]
struct Pace {
    /// Beginning of the second that `count` covers.
    since: Option<Instant>,
    count: u32,
    /// Locks taken in the second before.
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
    /// An anchor for the directory `files`; the file is not created yet.
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

    /// The directory that contains the file.
    #[must_use]
    pub const fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Takes the dotlock `lock`, by a hard link to the file. Returns `false` if the name is taken.
    ///
    /// # Errors
    ///
    /// If the directory cannot be written to.
    pub fn link(&self, lock: &str) -> io::Result<bool> {
        self.pace().note_lock(Instant::now());
        if self.linkless.load(Ordering::Relaxed) {
            return self.rename_to(lock);
        }
        let mut linked = Err(ErrorKind::NotFound.into());
        for _ in 0..ATTEMPTS {
            self.make_ready()?;
            linked = self.files.link(&OWN_NAME, lock);
            if !linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                break;
            }
            // Another thread of ours, or a program that tidies up, has removed the file.
            self.forget();
        }
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // Something removes the file as soon as it is there: this lock is a file of its own.
            Err(error) if error.kind() == ErrorKind::NotFound => self.rename_to(lock),
            Err(error) if knows_no_links(&error) => {
                let told = self.linkless.swap(true, Ordering::Relaxed);
                if !told {
                    let path = self.files.path().display();
                    tracing::warn!(
                        "{path}: no hard links here ({error}); each dotlock is a file of its own"
                    );
                }
                self.remove();
                self.rename_to(lock)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`link`](Self::link), for file systems without hard links: creates a file with its
    /// content under another name, then renames it.
    fn rename_to(&self, lock: &str) -> io::Result<bool> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let draft = format!("{}.{number}", *OWN_NAME);
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
        // No atomic rename here either. A lock that is empty for a moment is better than none.
        match self.files.open_file(lock, Access::Write, Creation::Always) {
            Ok(file) => file.write_all_at(own_id().as_bytes(), 0).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a lock of ours. If that fails, the next attempt to take the lock tries again: until
    /// then it looks like one that we hold.
    pub fn unlock(&self, lock: &str) {
        if let Err(error) = self.files.remove(lock) {
            tracing::warn!("cannot remove {lock} yet: {error}");
            self.left().insert(lock.to_owned());
        }
    }

    /// Removes a lock that [`unlock`](Self::unlock) failed to remove, if `lock` is one.
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

    /// Logs once that something with the name of a lock is not a regular file.
    pub fn tell_once_of_no_lock(&self, lock: &str) {
        let mut told = self.told.lock();
        if told.len() < TOLD_MOST && told.insert(lock.to_owned()) {
            tracing::warn!("{lock} is not a regular file and locks nothing: remove it");
        }
    }

    /// Whether the file exists and must be removed some day.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.touched.lock().is_some()
    }

    /// Whether locks are taken so often that the file is worth keeping for the next one.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.pace().is_busy(Instant::now())
    }

    /// Removes the file unless the next lock is expected soon.
    pub fn remove_if_quiet(&self) {
        if !self.is_busy() {
            self.remove();
        }
    }

    /// Removes the file if it exists.
    pub fn remove(&self) {
        if self.forget()
            && let Err(error) = self.files.remove(&OWN_NAME)
        {
            tracing::warn!("cannot remove {}: {error}", *OWN_NAME);
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock()
    }

    fn make_ready(&self) -> io::Result<()> {
        // Held to the end, so that only one thread creates the file.
        let mut touched = self.touched.lock();
        if touched.is_some_and(|at| at.elapsed() < TOUCHED_EVERY) {
            return Ok(());
        }
        if touched.is_none() {
            // If the file exists, it is from an earlier process with our id, as in a restarted
            // container. Touching it would make the stale locks linked to it look like ours.
            self.files.clear(&OWN_NAME)?;
        }
        let file = self.files.open_lock(&OWN_NAME)?;
        file.write_all_at(own_id().as_bytes(), 0)?;
        file.set_modified(SystemTime::now())?;
        *touched = Some(Instant::now());
        Ok(())
    }

    /// Forgets the file; returns whether it existed.
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
    // There are no links, they are forbidden, or the file can have no more of them (EMLINK).
    let unknown = [libc::EPERM, libc::EOPNOTSUPP, libc::ENOSYS, libc::EMLINK, libc::EXDEV];
    error.raw_os_error().is_some_and(|code| unknown.contains(&code))
}

/// The content of a lock: the id of the process that holds it.
fn own_id() -> String {
    format!("{}\n", std::process::id())
}

/// The name of the file. Made once: it is needed for each lock.
static OWN_NAME: LazyLock<String> = LazyLock::new(|| format!("{PREFIX}{}", std::process::id()));

/// Removes the files that dead processes have left behind.
pub fn remove_left_over(files: &Files) -> io::Result<()> {
    for name in files.names(NAMES_MOST)? {
        // Drafts and spools have a number after the process id.
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse().ok());
        // A control socket goes when nobody listens at it, which is known on other machines too.
        if !name.ends_with(SOCKET_END) && id.is_some_and(|id| !is_alive(id)) {
            files.remove(&name)?;
        }
    }
    Ok(())
}

/// How the names of control sockets end.
const SOCKET_END: &str = ".sock";

/// Whether a process with this id is running on this machine. A zombie counts as dead: it holds
/// nothing.
#[must_use]
pub fn is_alive(id: i32) -> bool {
    // Signal 0 only asks. EPERM means that the process exists and belongs to another user.
    id > 0 && kill(Pid::from_raw(id), None) != Err(Errno::ESRCH) && !is_zombie_or_thread(id)
}

/// The id of a thread, perhaps of ours, also answers signals, but it is not a process id.
fn is_zombie_or_thread(id: i32) -> bool {
    let status = Process::new(id).and_then(|process| process.status());
    // Until its parent asks how it ended, a killed process still answers signals, and the locks
    // that it left would block their mailboxes.
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
        files.remove(&OWN_NAME).unwrap();
        assert!(anchor.link("b.lock").unwrap());
        let id = std::fs::read_to_string(dir.path().join("b.lock")).unwrap();
        assert_eq!(id, format!("{}\n", std::process::id()));
        anchor.remove();
        assert!(!dir.path().join(&*OWN_NAME).exists());
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
        let (own, left) = (dir.path().join(&*OWN_NAME), dir.path().join("a.lock"));
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
