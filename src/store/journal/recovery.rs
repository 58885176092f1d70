//! Finds the journals of dead processes and repairs mailboxes from them. A process never recovers
//! from its own journals: it has not lost what it appended.
//!
//! This runs whenever a mailbox is locked. If no process has died, it costs a system call or two.
//!
//! See docs/files.md 9.1.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::store::files::{Files, Stamp};
use crate::store::ground::Durability;
use crate::store::journal::first_design;
use crate::store::journal::mend::mend;
use crate::store::journal::wal::{Claim, Dead, FOLDER, Other, SUFFIX};
use crate::store::lock::LockedFile;
use crate::store::rewrite::Recovered;

/// Maximum number of journals examined.
const OTHERS_MOST: usize = 1_000;

/// How long to wait for another process to sync a mailbox. It normally does so within 100 ms.
const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// The journals in a directory, as far as they are known.
#[derive(Debug)]
pub struct Recovery {
    files: Arc<Files>,
    durability: Durability,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// State of the folder when its names were read.
    stamp: Option<Stamp>,
    journals: Vec<Known>,
}

/// A journal, and the mailboxes that need repair once its owner is dead.
#[derive(Debug)]
struct Known {
    journal: Arc<Other>,
    /// Mailboxes that must be examined; `None` while the owner lives.
    unsettled: Option<BTreeSet<String>>,
}

/// The outcome of a recovery.
#[derive(Debug)]
pub enum Outcome {
    /// The mailbox is in order.
    Whole,
    /// A new file took the mailbox's place, or another process is recovering: lock it again.
    Again,
}

impl Recovery {
    /// A recovery for the directory `files` that has not looked for journals yet.
    #[must_use]
    pub fn new(files: &Arc<Files>, durability: Durability) -> Self {
        Self { files: Arc::clone(files), durability, seen: Mutex::default() }
    }

    /// Repairs the locked file `mailbox` if a process died during an append to it. `own` returns
    /// the names of this process's journals, which are left out.
    pub fn recover(
        &self,
        mailbox: &str,
        locked: &LockedFile,
        own: impl Fn() -> Vec<String>,
    ) -> io::Result<Outcome> {
        if first_design::recover(&self.files, mailbox, locked)? == Recovered::Replaced {
            return Ok(Outcome::Again);
        }
        let Some(stamp) = self.files.folder_stamp(FOLDER)? else {
            *self.seen() = Seen::default();
            return Ok(Outcome::Whole);
        };
        let claimed = self.claim(Some(mailbox), stamp, own)?;
        let Some(mut dead) = claimed else { return Ok(Outcome::Again) };
        if dead.is_empty() {
            return Ok(Outcome::Whole);
        }
        if self.mend_all(mailbox, locked, &dead)? == Recovered::Replaced {
            return Ok(Outcome::Again);
        }
        // The mailbox must be on disk before the journal says that it is no longer needed.
        self.durability.sync(locked.file())?;
        self.settle(mailbox, &mut dead)?;
        self.remove_settled(dead)?;
        Ok(Outcome::Whole)
    }

    /// Waits until every other process has on disk what it appended to `mailbox`, so that no
    /// journal is needed for it. Call it with the mailbox locked and recovered, before a new file
    /// replaces it: otherwise a power failure would bring removed messages back.
    pub fn await_others(&self, mailbox: &str) -> io::Result<Outcome> {
        let others: Vec<_> = self.seen().journals.iter().map(|k| Arc::clone(&k.journal)).collect();
        let until = Instant::now() + OTHERS_WAIT;
        for other in others {
            if other.is_needed_for(mailbox)? && !await_checkpoint(&other, mailbox, until)? {
                return Ok(Outcome::Again);
            }
            // The owner's note that the mailbox is synced must be on disk, or recovery would not
            // see it.
            other.sync(self.durability)?;
        }
        Ok(Outcome::Whole)
    }

    /// The mailboxes that must be examined because a process died.
    pub fn unsettled(&self, own: impl Fn() -> Vec<String>) -> io::Result<BTreeSet<String>> {
        let Some(stamp) = self.files.folder_stamp(FOLDER)? else { return Ok(BTreeSet::new()) };
        let dead = self.claim(None, stamp, own)?.unwrap_or_default();
        let mailboxes = dead.iter().flat_map(Dead::unsettled).map(str::to_owned).collect();
        self.remove_settled(dead)?;
        Ok(mailboxes)
    }

    /// Settles the records of a mailbox that has been removed: there is nothing to repair.
    pub fn forget(&self, mailbox: &str, own: impl Fn() -> Vec<String>) -> io::Result<()> {
        let Some(stamp) = self.files.folder_stamp(FOLDER)? else { return Ok(()) };
        let mut dead = self.claim(Some(mailbox), stamp, own)?.unwrap_or_default();
        self.settle(mailbox, &mut dead)?;
        self.remove_settled(dead)
    }

    /// In the order in which the appends were made, across all journals.
    fn mend_all(&self, mailbox: &str, locked: &LockedFile, dead: &[Dead]) -> io::Result<Recovered> {
        let records = dead
            .iter()
            .flat_map(|dead| dead.records.iter().map(|(_, record)| (record, dead.is_of_this_boot)));
        let appends = records.flat_map(|(record, is_of_this_boot)| {
            record.appends.iter().map(move |append| (record, append, is_of_this_boot))
        });
        let mut appends: Vec<_> = appends.filter(|(_, append, _)| append.file == mailbox).collect();
        appends.sort_by_key(|(record, append, _)| (append.old_size, record.numbers.number));
        for (record, append, is_of_this_boot) in appends {
            if append.state.is_settled() {
                continue;
            }
            let about = (record, append);
            if mend(&self.files, mailbox, locked, about, is_of_this_boot)? == Recovered::Replaced {
                return Ok(Recovered::Replaced);
            }
        }
        Ok(Recovered::Whole)
    }

    /// The journals of dead processes that concern `mailbox`, or all of them; `None` if another
    /// process is recovering from one of them.
    fn claim(
        &self,
        mailbox: Option<&str>,
        stamp: Stamp,
        own: impl Fn() -> Vec<String>,
    ) -> io::Result<Option<Vec<Dead>>> {
        let mut seen = self.seen();
        // The folder's stamp changes with the names in it, so it is listed only then.
        if seen.stamp != Some(stamp) {
            *seen = Seen { stamp: Some(stamp), journals: self.look(&own())? };
        }
        let mut dead = Vec::new();
        for known in &mut seen.journals {
            if let (Some(mailbox), Some(unsettled)) = (mailbox, &known.unsettled)
                && !unsettled.contains(mailbox)
            {
                continue;
            }
            match known.journal.claim()? {
                Claim::Alive | Claim::Gone => {}
                Claim::Busy => return Ok(None),
                Claim::Dead(one) => {
                    known.unsettled = Some(one.unsettled().map(str::to_owned).collect());
                    dead.push(one);
                }
            }
        }
        Ok(Some(dead))
    }

    /// All journals in the folder except our own.
    fn look(&self, own: &[String]) -> io::Result<Vec<Known>> {
        let Some(folder) = self.files.folder(FOLDER)?.map(Arc::new) else { return Ok(Vec::new()) };
        let mut journals = Vec::new();
        for name in journals_in(&folder)?.into_iter().filter(|name| !own.contains(name)) {
            match Other::open(&folder, &name) {
                Ok(journal) => {
                    journals.push(Known { journal: Arc::new(journal), unsettled: None });
                }
                // Usually removed by its owner since the folder was listed.
                Err(error) => tracing::debug!("{FOLDER}/{name} cannot be read: {error}"),
            }
        }
        Ok(journals)
    }

    /// Makes the next recovery list the folder again: one of our own journals now counts as that of
    /// a dead process.
    pub fn look_again(&self) {
        self.seen().stamp = None;
    }

    fn settle(&self, mailbox: &str, dead: &mut [Dead]) -> io::Result<()> {
        dead.iter_mut().try_for_each(|dead| dead.settle(mailbox, self.durability))
    }

    fn remove_settled(&self, dead: Vec<Dead>) -> io::Result<()> {
        // The cached knowledge of them is out of date.
        if !dead.is_empty() {
            self.look_again();
        }
        dead.into_iter().try_for_each(|dead| dead.remove_if_settled(&self.files))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }
}

/// Waits until a journal is not needed for a mailbox, or `until` has passed; `false` if its owner
/// is dead.
fn await_checkpoint(other: &Other, mailbox: &str, until: Instant) -> io::Result<bool> {
    let watch = other.watch()?;
    while other.is_needed_for(mailbox)? {
        if other.is_dead()? {
            return Ok(false);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!(
                "{mailbox}: another process does not sync it; messages removed now may come back \
                 after a power failure"
            );
            break;
        }
        watch.wait(left)?;
    }
    Ok(true)
}

/// The names of the journals in an open folder.
fn journals_in(folder: &Files) -> io::Result<Vec<String>> {
    match folder.names(OTHERS_MOST) {
        Ok(names) => Ok(names.into_iter().filter(|name| name.ends_with(SUFFIX)).collect()),
        // The owner of the last journal removed the folder since it was opened.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::anchor::Anchor;
    use crate::store::files::FileName;
    use crate::store::journal::Journal;
    use crate::store::journal::record::State;
    use crate::store::journal::wal::{self, pretend_age, pretend_another_boot};
    use crate::store::lock::{Attempt, Purpose, try_lock};
    use crate::store::text::{BLOCK, Blocks};
    use std::path::PathBuf;
    use std::time::SystemTime;

    const OLD: &str = "From a Wed Sep 17 11:00:00 2025\nold\n\n";
    const ONE: &str = "From b Wed Sep 17 11:00:01 2025\none\r\n\n";
    const TWO: &str = "From c Wed Sep 17 11:00:01 2025\ntwo From x\r\n\n";
    const FOREIGN: &str = "From f Wed Sep 17 11:00:02 2025\nforeign\n\n";

    /// How a process with a journal ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum End {
        /// It was killed.
        Killed,
        /// The machine lost power.
        PowerLost,
    }

    struct Scene {
        dir: tempfile::TempDir,
        anchor: Arc<Anchor>,
        mailbox: &'static str,
    }

    impl Scene {
        fn new() -> Self {
            Self::of("u.mbox")
        }

        fn of(mailbox: &'static str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(mailbox), OLD).unwrap();
            let files = Arc::new(Files::open(dir.path()).unwrap());
            Self { dir, anchor: Arc::new(Anchor::new(&files)), mailbox }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn journal(&self) -> Journal {
            Journal::new(&self.anchor, Durability::Synced)
        }

        fn lock(&self) -> LockedFile {
            loop {
                // Another test may be starting a program, which has our descriptors until its exec.
                let attempt = try_lock(&self.anchor, self.mailbox, Purpose::Write).unwrap();
                if let Attempt::Locked(locked) = attempt {
                    return locked;
                }
            }
        }

        /// Records an append of `messages` after `old_size` octets, by a process of its own.
        fn begin(&self, messages: &[&str], old_size: usize) -> (Journal, wal::Entry) {
            let journal = self.journal();
            let mut draft = journal.draft(1);
            draft.texts(messages.len());
            for message in messages {
                draft.repeated(text_of(message).as_bytes());
            }
            let identity = Stamp::of_file(self.lock().file()).unwrap().identity;
            draft.append(self.mailbox, identity, old_size as u64, messages.len());
            for (nth, message) in messages.iter().enumerate() {
                draft.piece(&[from_line_of(message).as_bytes()], nth);
            }
            let entry = journal.write(draft).unwrap();
            (journal, entry)
        }

        /// Ends the process; returns the octets after the old message.
        fn end(&self, journal: Journal, how: End, there: &str) {
            drop(journal);
            std::fs::write(self.path(self.mailbox), format!("{OLD}{there}")).unwrap();
            if how == End::PowerLost {
                self.pretend_another_boot();
            }
        }

        fn pretend_another_boot(&self) {
            for entry in std::fs::read_dir(self.path(FOLDER)).unwrap() {
                pretend_another_boot(&entry.unwrap().path());
            }
        }

        /// Makes the records look this old.
        fn pretend_age(&self, age: Duration) {
            for entry in std::fs::read_dir(self.path(FOLDER)).unwrap() {
                pretend_age(&entry.unwrap().path(), age);
            }
        }

        /// The octets after the old message once it is recovered, which leaves no journal.
        fn recovered(&self) -> String {
            let recovery = Recovery::new(self.anchor.files(), Durability::Synced);
            while let Outcome::Again =
                recovery.recover(self.mailbox, &self.lock(), Vec::new).unwrap()
            {}
            assert!(!self.path(FOLDER).exists());
            let content = std::fs::read(self.path(self.mailbox)).unwrap();
            String::from_utf8(content).unwrap().strip_prefix(OLD).unwrap().to_owned()
        }
    }

    #[test]
    fn a_folder_that_is_removed_once_it_is_open_has_no_journals() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let folder = files.own_folder(FOLDER).unwrap();
        files.remove_folder(FOLDER).unwrap();
        assert_eq!(journals_in(&folder).unwrap(), Vec::<String>::new());
    }

    fn from_line_of(message: &str) -> &str {
        &message[..=message.find('\n').unwrap()]
    }

    fn text_of(message: &str) -> &str {
        &message[from_line_of(message).len()..message.len() - 1]
    }

    /// What recovery makes of a file that has `there` after the old message, when ONE and TWO were
    /// to be appended and the record says how far that had come.
    #[track_caller]
    fn becomes(how: End, state: State, there: &str, expected: &str) {
        let scene = Scene::new();
        let (journal, entry) = scene.begin(&[ONE, TWO], OLD.len());
        entry.set(state).unwrap();
        drop(entry);
        scene.end(journal, how, there);
        assert_eq!(scene.recovered(), expected, "{how:?}, {state:?}, {there:?}");
    }

    #[test]
    fn after_a_kill_what_is_torn_is_cut_and_what_is_whole_stays() {
        let both = [ONE, TWO].concat();
        for written in 0..=both.len() {
            let expected = match written {
                n if n == both.len() => both.as_str(),
                n if n >= ONE.len() => ONE,
                _ => "",
            };
            becomes(End::Killed, State::Begun, &both[..written], expected);
        }
        for written in 1..ONE.len() {
            let glued = format!("{}{FOREIGN}", &ONE[..written]);
            becomes(End::Killed, State::Begun, &glued, FOREIGN);
        }
    }

    #[test]
    fn after_a_kill_what_was_stored_is_not_touched_whatever_others_made_of_it() {
        for there in ["", "From b Wed Sep 17 11:00:01 2025\nStatus: RO\none\r\n\n", FOREIGN] {
            becomes(End::Killed, State::Appended, there, there);
        }
    }

    #[test]
    fn after_a_power_failure_what_is_missing_or_torn_is_completed() {
        let both = [ONE, TWO].concat();
        for state in [State::Begun, State::Appended] {
            for written in 0..=both.len() {
                becomes(End::PowerLost, state, &both[..written], &both);
                let mut zeros = both.clone().into_bytes();
                zeros[written..].fill(0);
                becomes(End::PowerLost, state, &String::from_utf8(zeros).unwrap(), &both);
            }
            becomes(
                End::PowerLost,
                state,
                &format!("{both}{FOREIGN}"),
                &format!("{both}{FOREIGN}"),
            );
        }
    }

    #[test]
    fn after_a_power_failure_what_another_program_wrote_behind_a_torn_message_stays() {
        let both = [ONE, TWO].concat();
        for written in 1..both.len() {
            for between in ["", "\n", "\n\n"] {
                let there = format!("{}{between}{FOREIGN}", &both[..written]);
                let scene = Scene::new();
                let (journal, _) = scene.begin(&[ONE, TWO], OLD.len());
                scene.end(journal, End::PowerLost, &there);
                let content = scene.recovered();
                assert!(content.contains(ONE) && content.contains(TWO), "{written}: {content:?}");
                assert!(content.contains(FOREIGN), "{written}: {content:?}");
                let from_lines = content.lines().filter(|line| line.starts_with("From "));
                assert_eq!(from_lines.count(), 3, "{written}: {content:?}");
            }
        }
        let zeros = format!("{ONE}{}{FOREIGN}", "\0".repeat(TWO.len()));
        becomes(End::PowerLost, State::Begun, &zeros, &format!("{ONE}{TWO}{FOREIGN}"));
    }

    #[test]
    fn after_a_power_failure_a_message_that_others_have_marked_or_moved_does_not_come_twice() {
        let marked = ONE.replace("one", "Status: RO\n\none");
        let original = ONE.replace("one", "\none");
        let scene = Scene::new();
        let (journal, _) = scene.begin(&[&original], OLD.len());
        scene.end(journal, End::PowerLost, &marked);
        assert_eq!(scene.recovered(), marked);
        let moved = format!("{FOREIGN}{TWO}{ONE}");
        becomes(End::PowerLost, State::Appended, &moved, &moved);
        let removed_one = format!("{FOREIGN}{TWO}");
        becomes(End::PowerLost, State::Appended, &removed_one, &format!("{FOREIGN}{TWO}{ONE}"));
    }

    #[test]
    fn what_another_program_removed_before_the_machine_stopped_stays_removed() {
        let year = Duration::from_hours(24 * 365);
        for (age, expected) in [(year, ""), (Duration::ZERO, ONE)] {
            let scene = Scene::new();
            let (journal, _) = scene.begin(&[ONE], OLD.len());
            scene.end(journal, End::PowerLost, "");
            scene.pretend_age(year * 2);
            let mailbox = std::fs::File::options().write(true).open(scene.path("u.mbox")).unwrap();
            mailbox.set_modified(SystemTime::now() - age).unwrap();
            assert_eq!(scene.recovered(), expected, "{age:?}");
        }
    }

    #[test]
    fn in_a_file_that_took_the_mailboxs_place_only_what_is_missing_is_added() {
        for (there, expected) in [(ONE, ONE), ("", ONE), (FOREIGN, &*format!("{FOREIGN}{ONE}"))] {
            let scene = Scene::new();
            let (journal, _) = scene.begin(&[ONE], OLD.len());
            std::fs::write(scene.path("new"), "").unwrap();
            std::fs::rename(scene.path("new"), scene.path("u.mbox")).unwrap();
            scene.end(journal, End::PowerLost, there);
            assert_eq!(scene.recovered(), expected);
        }
    }

    #[test]
    fn nothing_is_completed_in_the_middle_of_what_another_program_has_moved() {
        let scene = Scene::new();
        let (journal, _) = scene.begin(&[ONE], OLD.len());
        drop(journal);
        // Only the size of the message had reached the disk; then something before it was removed.
        let moved = format!("{}{}", OLD.replace("old", ""), "\0".repeat(ONE.len() + 40));
        std::fs::write(scene.path("u.mbox"), moved).unwrap();
        scene.pretend_another_boot();
        let recovery = Recovery::new(scene.anchor.files(), Durability::Synced);
        while let Outcome::Again = recovery.recover("u.mbox", &scene.lock(), Vec::new).unwrap() {}
        let there = std::fs::read_to_string(scene.path("u.mbox")).unwrap();
        assert!(there.ends_with(&format!("\n{ONE}")), "{there:?}");
    }

    #[test]
    fn a_copy_that_took_the_mailboxs_place_is_completed_also_where_it_is_no_mbox() {
        let scene = Scene::new();
        std::fs::write(scene.path("u.mbox"), "").unwrap();
        let (journal, _) = scene.begin(&[ONE, TWO], 0);
        drop(journal);
        // The beginning never reached the disk.
        let torn = format!("{}{TWO}", "\0".repeat(ONE.len()));
        for content in [torn, format!("no mbox\n{TWO}")] {
            std::fs::write(scene.path("new"), &content).unwrap();
            std::fs::rename(scene.path("new"), scene.path("u.mbox")).unwrap();
            let (journal, _) = scene.begin(&[ONE, TWO], 0);
            drop(journal);
            scene.pretend_another_boot();
            let recovery = Recovery::new(scene.anchor.files(), Durability::Synced);
            while let Outcome::Again = recovery.recover("u.mbox", &scene.lock(), Vec::new).unwrap()
            {
            }
            let there = std::fs::read_to_string(scene.path("u.mbox")).unwrap();
            let expected = match content.strip_prefix("no mbox\n") {
                Some(_) => format!("{content}{ONE}"),
                None => [ONE, TWO].concat(),
            };
            assert_eq!(there, expected);
        }
    }

    #[test]
    fn what_was_taken_back_is_not_completed_and_what_could_not_be_is_cut() {
        for how in [End::Killed, End::PowerLost] {
            becomes(how, State::Undone, "", "");
            becomes(how, State::Torn, &ONE[..20], "");
            becomes(how, State::Torn, &format!("{}{FOREIGN}", &ONE[..20]), FOREIGN);
        }
    }

    #[test]
    fn what_a_checkpoint_has_covered_does_not_come_back() {
        let scene = Scene::new();
        let (journal, entry) = scene.begin(&[ONE], OLD.len());
        std::fs::write(scene.path("u.mbox"), format!("{OLD}{ONE}")).unwrap();
        journal.appended(&entry, vec![FileName::from("u.mbox")], OLD.len() as u64);
        drop(entry);
        journal.checkpoint();
        scene.end(journal, End::PowerLost, "");
        assert_eq!(scene.recovered(), "");
    }

    #[test]
    fn records_of_several_dead_processes_are_completed_in_the_order_of_their_places() {
        let scene = Scene::new();
        let (first, _) = scene.begin(&[ONE], OLD.len());
        let (second, _) = scene.begin(&[TWO], OLD.len() + ONE.len());
        let (third, _) = scene.begin(&[FOREIGN], OLD.len() + ONE.len() + TWO.len());
        drop((third, first));
        scene.end(second, End::PowerLost, "");
        assert_eq!(scene.recovered(), [ONE, TWO, FOREIGN].concat());
    }

    #[test]
    fn a_recipient_that_was_marked_where_it_stands_stays_marked() {
        const QUEUED: &str = "From a Wed Sep 17 11:00:01 2025\nX-MC-Id: 1\nX-MC-Rcpt: P 0 0 <b@c>\n\
                              X-MC-End:\nq\r\n\n";
        let marked = QUEUED.replace("Rcpt: P", "Rcpt: D");
        let lost = format!("{}{}", &marked[..60], "\0".repeat(QUEUED.len() - 60));
        for (there, expected) in [
            (marked.clone(), marked.as_str()),
            // The message was synced only in part, and so was its mark.
            (marked[..marked.len() - 3].to_owned(), &marked),
            (lost, &marked),
            (String::new(), QUEUED),
        ] {
            let scene = Scene::of("mqueue");
            let (journal, _) = scene.begin(&[QUEUED], OLD.len());
            scene.end(journal, End::PowerLost, &there);
            assert_eq!(scene.recovered(), expected, "{there:?}");
        }
    }

    #[test]
    fn whoever_puts_a_file_in_a_mailboxs_place_waits_until_others_have_synced_theirs() {
        let scene = Scene::new();
        let (journal, entry) = scene.begin(&[ONE], OLD.len());
        std::fs::write(scene.path("u.mbox"), format!("{OLD}{ONE}")).unwrap();
        journal.appended(&entry, vec![FileName::from("u.mbox")], OLD.len() as u64);
        let recovery = Recovery::new(scene.anchor.files(), Durability::Synced);
        let locked = scene.lock();
        recovery.recover("u.mbox", &locked, Vec::new).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| recovery.await_others("u.mbox").unwrap());
            journal.checkpoint();
            assert!(matches!(waiting.join().unwrap(), Outcome::Whole));
        });
        drop((entry, locked));
        scene.end(journal, End::PowerLost, "");
        assert_eq!(scene.recovered(), "");
    }

    #[test]
    fn nobody_waits_for_the_dead() {
        let scene = Scene::new();
        let (journal, entry) = scene.begin(&[ONE], OLD.len());
        entry.set(State::Appended).unwrap();
        drop(entry);
        let recovery = Recovery::new(scene.anchor.files(), Durability::Synced);
        let locked = scene.lock();
        recovery.recover("u.mbox", &locked, Vec::new).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| recovery.await_others("u.mbox").unwrap());
            drop(journal);
            assert!(matches!(waiting.join().unwrap(), Outcome::Again));
        });
    }

    #[test]
    fn a_journal_whose_owner_lives_is_left_alone() {
        let scene = Scene::new();
        let (journal, _) = scene.begin(&[ONE], OLD.len());
        scene.pretend_another_boot();
        let recovery = Recovery::new(scene.anchor.files(), Durability::Synced);
        let outcome = recovery.recover("u.mbox", &scene.lock(), Vec::new).unwrap();
        assert!(matches!(outcome, Outcome::Whole));
        assert_eq!(std::fs::read_to_string(scene.path("u.mbox")).unwrap(), OLD);
        drop(journal);
        assert_eq!(scene.recovered(), ONE);
    }

    #[test]
    fn a_long_message_is_cut_where_it_is_torn_and_kept_where_it_is_whole() {
        let text = "0123456789abcde\n".repeat(BLOCK * 5 / 16);
        let head = from_line_of(ONE);
        let whole = format!("{head}{text}\n");
        let checksums = text.as_bytes().chunks(BLOCK).map(crc32fast::hash).collect();
        let blocks = Blocks::of_checksums(checksums);
        for how in [End::Killed, End::PowerLost] {
            for (there, expected) in [
                (whole.clone(), whole.clone()),
                (whole[..100_000].to_owned(), String::new()),
                (format!("{}{FOREIGN}", &whole[..100_000]), FOREIGN.to_owned()),
            ] {
                let scene = Scene::new();
                let journal = scene.journal();
                let mut draft = journal.draft(1);
                draft.texts(1);
                draft.summed(text.len() as u64, &blocks);
                let identity = Stamp::of_file(scene.lock().file()).unwrap().identity;
                draft.append("u.mbox", identity, OLD.len() as u64, 1);
                draft.piece(&[head.as_bytes()], 0);
                drop(journal.write(draft).unwrap());
                scene.end(journal, how, &there);
                assert!(scene.recovered() == expected, "{how:?}, {} octets", there.len());
            }
        }
    }
}
