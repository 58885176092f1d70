//! The memory of texts that are being received, over all sessions. It is bounded, and reused for
//! later texts while any text is left: fresh pages from the system cost about as much as all other
//! work on a long text.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::store::pages::{Mapping, Pages};

/// Octets of one message kept in memory while memory is plentiful; the rest goes to disk in pieces
/// of this size.
// With less, a text of 1 MB was written twice: to a file without a name and to its mailbox.
pub const IN_MEMORY_MOST: usize = 2 * 1024 * 1024;

/// Octets of one message kept in memory once half of [`ALL_IN_MEMORY_MOST`] is taken.
const IN_MEMORY_THEN: usize = 256 * 1024;

/// Octets kept in memory for all messages being received, over all sessions. Beyond it, each
/// message goes to disk in pieces of [`SPILLED_LEAST`].
pub const ALL_IN_MEMORY_MOST: usize = 64 * 1024 * 1024;

/// Octets of one message that may stay in memory in any case.
pub const SPILLED_LEAST: usize = 4 * 1024;

/// Octets kept for later texts while there are any texts.
const SPARE_MOST: usize = 16 * 1024 * 1024;

/// Counts the memory that the texts of all sessions take.
#[derive(Debug, Default)]
pub struct Budget {
    /// Octets of texts and of spare pages.
    taken: AtomicUsize,
    spare: Mutex<Spare>,
}

/// Pages not used by any text now.
#[derive(Debug, Default)]
struct Spare {
    mappings: Vec<Mapping>,
    octets: usize,
}

impl Budget {
    /// Whether the limit for all texts is exceeded.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.taken() > ALL_IN_MEMORY_MOST
    }

    /// Octets that one text may have in memory now.
    #[must_use]
    pub fn of_one(&self) -> usize {
        match self.taken() {
            taken if taken > ALL_IN_MEMORY_MOST => SPILLED_LEAST,
            taken if taken > ALL_IN_MEMORY_MOST / 2 => IN_MEMORY_THEN,
            _ => IN_MEMORY_MOST,
        }
    }

    /// Octets taken, including spare pages.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock()
    }

    fn take_spare(&self) -> Option<Mapping> {
        let mut spare = self.spare();
        let mapping = spare.mappings.pop()?;
        spare.octets -= mapping.memory();
        // The text that takes it counts it as its own.
        self.taken.fetch_sub(mapping.memory(), Ordering::Relaxed);
        Some(mapping)
    }

    /// Takes back the pages of a text, which were counted as `counted` octets. After the last text,
    /// all pages go back to the system.
    fn give_back(&self, pages: Pages, counted: usize) {
        let mut spare = self.spare();
        let taken = self.taken.fetch_sub(counted, Ordering::Relaxed) - counted;
        // Only spare pages are left: this was the last text.
        if taken == spare.octets {
            self.taken.fetch_sub(spare.octets, Ordering::Relaxed);
            let all = std::mem::take(&mut *spare);
            drop(spare);
            // Unmapped after the lock has been released.
            drop((all, pages));
        } else if let Some(mapping) = pages.into_mapping()
            && spare.octets + mapping.memory() <= SPARE_MOST
        {
            self.taken.fetch_add(mapping.memory(), Ordering::Relaxed);
            spare.octets += mapping.memory();
            spare.mappings.push(mapping);
        }
    }
}

/// The memory of one text; given back when dropped.
#[derive(Debug)]
pub struct Memory {
    budget: Arc<Budget>,
    pages: Pages,
    counted: usize,
}

impl Memory {
    /// An empty memory, counted by `budget`.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), pages: Pages::default(), counted: 0 }
    }

    /// Moves the contents out and leaves this one empty.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let none = Self::new(&self.budget);
        std::mem::replace(self, none)
    }

    /// Appends octets.
    ///
    /// # Errors
    ///
    /// If the system has no memory left.
    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        let pushed = self.pages.push(octets, || self.budget.take_spare());
        self.count();
        pushed
    }

    /// Removes the octets. Their pages are kept for the next ones unless memory is short.
    pub fn clear(&mut self) {
        if self.budget.is_spent() {
            self.pages = Pages::default();
            self.count();
        } else {
            self.pages.clear();
        }
    }

    /// Whether it holds so much that it should be written to disk.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.len() >= self.budget.of_one()
    }

    /// Octets of memory it takes.
    #[cfg(test)]
    pub(super) const fn octets(&self) -> usize {
        self.counted
    }

    fn count(&mut self) {
        let (before, now) = (self.counted, self.pages.memory());
        if now > before {
            self.budget.taken.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.budget.taken.fetch_sub(before - now, Ordering::Relaxed);
        }
        self.counted = now;
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.budget.give_back(std::mem::take(&mut self.pages), self.counted);
        }
    }
}
