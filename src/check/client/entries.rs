//! The entries of a conversation, of which there is an end.

use crate::check::client::record::{Entry, What};

/// Entries of one run that are kept; what comes later is dropped.
pub(super) const ENTRIES_MOST: usize = 5_000;

/// The entries, of which there is an end.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<Entry>);

impl Entries {
    /// Adds one; returns its index, or `None` if there are too many.
    pub(super) fn push(&mut self, connection: usize, at: f64, what: What) -> Option<usize> {
        if self.0.len() >= ENTRIES_MOST {
            return None;
        }
        self.0.push(Entry { connection, at, what });
        Some(self.0.len() - 1)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut What> {
        self.0.get_mut(index).map(|entry| &mut entry.what)
    }

    pub(super) fn all(&self) -> &[Entry] {
        &self.0
    }
}
