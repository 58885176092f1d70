//! The memory that texts have on their way in, over all sessions: bounded, and used again by the
//! texts to come as long as there are any. New pages of the system cost about as much as all else
//! that is done with a long text.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::store::pages::{Mapping, Pages};

/// Octets of one message that are kept in memory while there is plenty; what is above goes to disk
/// in pieces of this size.
pub const IN_MEMORY_MOST: usize = 2 * 1024 * 1024;

/// The same once half of [`ALL_IN_MEMORY_MOST`] is taken.
const IN_MEMORY_THEN: usize = 256 * 1024;

/// Octets of all messages on their way in that are kept in memory, over all sessions; beyond, each
/// goes to disk in pieces of [`SPILLED_LEAST`].
pub const ALL_IN_MEMORY_MOST: usize = 64 * 1024 * 1024;

/// Octets of one message that stay in memory in any case.
pub const SPILLED_LEAST: usize = 4 * 1024;

/// Octets that are kept for texts to come, while there are others.
const SPARE_MOST: usize = 16 * 1024 * 1024;

/// Octets that the texts of all sessions have in memory.
#[derive(Debug, Default)]
pub struct Budget {
    /// Those of texts, and those that are spare.
    taken: AtomicUsize,
    spare: Mutex<Spare>,
}

/// Pages that no text has now.
#[derive(Debug, Default)]
struct Spare {
    mappings: Vec<Mapping>,
    octets: usize,
}

impl Budget {
    /// Whether all is taken that may be.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.taken() > ALL_IN_MEMORY_MOST
    }

    /// Octets that one text may have now.
    #[must_use]
    pub fn of_one(&self) -> usize {
        match self.taken() {
            taken if taken > ALL_IN_MEMORY_MOST => SPILLED_LEAST,
            taken if taken > ALL_IN_MEMORY_MOST / 2 => IN_MEMORY_THEN,
            _ => IN_MEMORY_MOST,
        }
    }

    /// Octets that are taken.
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
        // Whoever takes it counts it as its own.
        self.taken.fetch_sub(mapping.memory(), Ordering::Relaxed);
        Some(mapping)
    }

    /// Takes back what a text had, which was counted as so much. With the last text all goes back
    /// to the system.
    fn give_back(&self, pages: Pages, counted: usize) {
        let mut spare = self.spare();
        let taken = self.taken.fetch_sub(counted, Ordering::Relaxed) - counted;
        if taken == spare.octets {
            self.taken.fetch_sub(spare.octets, Ordering::Relaxed);
            let all = std::mem::take(&mut *spare);
            drop(spare);
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

/// What one text has in memory; given back when dropped.
#[derive(Debug)]
pub struct Memory {
    budget: Arc<Budget>,
    pages: Pages,
    counted: usize,
}

impl Memory {
    /// Nothing yet.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), pages: Pages::default(), counted: 0 }
    }

    /// Hands over what there is; nothing is left.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let none = Self::new(&self.budget);
        std::mem::replace(self, none)
    }

    /// Appends octets. An error if the system has no memory left.
    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        let pushed = self.pages.push(octets, || self.budget.take_spare());
        self.count();
        pushed
    }

    /// Forgets the octets. Their pages are kept for the next ones, but where memory is short.
    pub fn clear(&mut self) {
        if self.budget.is_spent() {
            self.pages = Pages::default();
            self.count();
        } else {
            self.pages.clear();
        }
    }

    /// Whether there is so much that it should go elsewhere.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.len() >= self.budget.of_one()
    }

    /// Octets of memory that it takes.
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
