//! Finds the journals of processes that are gone, and mends mailboxes by them. Journals of this
//! process are never recovered from: what it has appended it has not lost.
//!
//! Whoever locks a mailbox looks here first. Where nobody has died that costs a system call or two.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::files::{Files, Stamp};
use crate::store::ground::Durability;
use crate::store::journal::first_design;
use crate::store::journal::mend::mend;
use crate::store::journal::wal::{Claim, Dead, FOLDER, Other, SUFFIX};
use crate::store::lock::LockedFile;
use crate::store::rewrite::Recovered;

/// Journals that are looked at, at most.
const OTHERS_MOST: usize = 1_000;

/// What is known of the journals in a directory.
#[derive(Debug)]
pub struct Recovery {
    files: Arc<Files>,
    durability: Durability,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The folder when its names were read.
    stamp: Option<Stamp>,
    journals: Vec<Known>,
}

/// A journal, and what was found in it once its owner was dead.
#[derive(Debug)]
struct Known {
    journal: Other,
    /// The mailboxes that must be looked at; `None` while its owner lives.
    unsettled: Option<BTreeSet<String>>,
}

/// What came of looking for something to recover.
#[derive(Debug)]
pub enum Outcome {
    /// The mailbox is as it should be.
    Whole,
    /// A new file took its place, or somebody else recovers something at the moment: lock it again.
    Again,
}

impl Recovery {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(files: &Arc<Files>, durability: Durability) -> Self {
        Self { files: Arc::clone(files), durability, seen: Mutex::default() }
    }

    /// Mends the locked file `mailbox`, if somebody died who had begun to append to it. Not those
    /// journals that are `own`.
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
        self.durability.sync(locked.file())?;
        self.settle(mailbox, &mut dead)?;
        self.remove_settled(dead)?;
        Ok(Outcome::Whole)
    }

    /// The mailboxes that must be looked at because somebody died.
    pub fn unsettled(&self, own: impl Fn() -> Vec<String>) -> io::Result<BTreeSet<String>> {
        let Some(stamp) = self.files.folder_stamp(FOLDER)? else { return Ok(BTreeSet::new()) };
        let dead = self.claim(None, stamp, own)?.unwrap_or_default();
        let mailboxes = dead.iter().flat_map(Dead::unsettled).map(str::to_owned).collect();
        self.remove_settled(dead)?;
        Ok(mailboxes)
    }

    /// Says that there is nothing to mend: a mailbox was removed.
    pub fn forget(&self, mailbox: &str, own: impl Fn() -> Vec<String>) -> io::Result<()> {
        let Some(stamp) = self.files.folder_stamp(FOLDER)? else { return Ok(()) };
        let mut dead = self.claim(Some(mailbox), stamp, own)?.unwrap_or_default();
        self.settle(mailbox, &mut dead)?;
        self.remove_settled(dead)
    }

    /// In the order in which the appends were made, of all journals.
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

    /// The journals of the dead that say something of `mailbox`, or all of them; `None` if somebody
    /// else recovers from one at the moment.
    fn claim(
        &self,
        mailbox: Option<&str>,
        stamp: Stamp,
        own: impl Fn() -> Vec<String>,
    ) -> io::Result<Option<Vec<Dead>>> {
        let mut seen = self.seen();
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

    /// The journals that are there now, but for our own.
    fn look(&self, own: &[String]) -> io::Result<Vec<Known>> {
        let Some(folder) = self.files.folder(FOLDER)?.map(Arc::new) else { return Ok(Vec::new()) };
        let mut journals = Vec::new();
        for name in folder.names(OTHERS_MOST)? {
            if !name.ends_with(SUFFIX) || own.contains(&name) {
                continue;
            }
            match Other::open(&folder, &name) {
                Ok(journal) => journals.push(Known { journal, unsettled: None }),
                Err(error) => tracing::debug!("{FOLDER}/{name} cannot be read: {error}"),
            }
        }
        Ok(journals)
    }

    /// Makes the next look read the names anew: a journal of ours has become one of the dead.
    pub fn look_again(&self) {
        self.seen().stamp = None;
    }

    fn settle(&self, mailbox: &str, dead: &mut [Dead]) -> io::Result<()> {
        dead.iter_mut().try_for_each(|dead| dead.settle(mailbox, self.durability))
    }

    fn remove_settled(&self, dead: Vec<Dead>) -> io::Result<()> {
        // What is known of them has changed.
        if !dead.is_empty() {
            self.look_again();
        }
        dead.into_iter().try_for_each(|dead| dead.remove_if_settled(&self.files))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
