//! The messages that the open session has marked for deletion, for the console. Any thread can read
//! and set them without waiting, and they cost nothing until the first is marked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Messages covered by one word.
const WORD: usize = u64::BITS as usize;

/// A mark for each message, by its place in the maildrop. None is set at first.
#[derive(Debug, Default)]
pub struct Marks {
    messages: usize,
    words: OnceLock<Box<[AtomicU64]>>,
}

impl Marks {
    /// Marks for `messages` messages.
    #[must_use]
    pub const fn of(messages: usize) -> Self {
        Self { messages, words: OnceLock::new() }
    }

    /// Marks a message; does nothing if there is no such message.
    pub fn mark(&self, index: usize) {
        let words = self
            .words
            .get_or_init(|| (0..self.messages.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = words.get(index / WORD).filter(|_| index < self.messages) {
            word.fetch_or(bit(index), Relaxed);
        }
    }

    /// Unmarks all messages.
    pub fn clear(&self) {
        for word in self.words.get().into_iter().flatten() {
            word.store(0, Relaxed);
        }
    }

    /// Whether a message is marked.
    #[must_use]
    pub fn is_marked(&self, index: usize) -> bool {
        let word = self.words.get().and_then(|words| words.get(index / WORD));
        word.is_some_and(|word| word.load(Relaxed) & bit(index) != 0)
    }

    /// The places of the marked messages, in order.
    pub fn marked(&self) -> impl Iterator<Item = usize> {
        (0..self.messages).filter(|&index| self.is_marked(index))
    }
}

const fn bit(index: usize) -> u64 {
    1 << (index % WORD)
}

impl PartialEq for Marks {
    fn eq(&self, other: &Self) -> bool {
        self.messages == other.messages && self.marked().eq(other.marked())
    }
}

impl Eq for Marks {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_until_all_are_cleared() {
        let marks = Marks::of(130);
        assert!(!marks.is_marked(0));
        for index in [0, 63, 64, 129] {
            marks.mark(index);
        }
        assert_eq!(marks.marked().collect::<Vec<_>>(), [0, 63, 64, 129]);
        marks.clear();
        assert_eq!(marks.marked().count(), 0);
    }

    #[test]
    fn a_message_that_is_not_there_is_not_marked() {
        let marks = Marks::of(3);
        marks.mark(3);
        marks.mark(usize::MAX);
        assert!(!marks.is_marked(3) && !marks.is_marked(usize::MAX));
        Marks::of(0).mark(0);
    }
}
