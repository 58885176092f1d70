//! Finds the entries of the queue in its file. Callers hold the file's lock.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::store::files::{Stamp, Window};
use crate::store::index::{Index, IndexError};
use crate::store::mbox::{self, Span};
use crate::store::overview::RecipientState;
use crate::store::queue::block::{BLOCK_MOST, Block, ID};

/// A queued message and its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its envelope.
    pub block: Block,
    /// Length of the message text in octets, with CRLF line ends.
    pub octets: u64,
    /// The message with its block.
    pub(super) span: Span,
    /// Offset of each recipient's letter from the beginning of the block.
    letters: Vec<usize>,
    /// Offset of the message text, after the block.
    pub(super) text: u64,
}

/// Octets of an entry read first; most blocks are shorter.
const READ_FIRST: u64 = 4 * 1024;

impl Entry {
    /// Reads the queued message at `span`; `None` if it has no envelope, and so is not ours.
    pub(super) fn read(span: Span, window: &mut Window<'_>) -> io::Result<Option<Self>> {
        Self::read_by(span, |at, end, text| {
            text.extend_from_slice(window.at(at, end)?);
            Ok(())
        })
    }

    /// As [`read`](Self::read), for a single message: reads little.
    fn read_alone(span: Span, file: &File) -> io::Result<Option<Self>> {
        Self::read_by(span, |at, end, text| {
            let before = text.len();
            let octets = usize::try_from(end - at).unwrap_or(0);
            text.resize(before + octets, 0);
            file.read_exact_at(text.get_mut(before..).unwrap_or_default(), at)
        })
    }

    /// `more` appends the octets from one offset to another, or the first of them.
    fn read_by(
        span: Span,
        mut more: impl FnMut(u64, u64, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Option<Self>> {
        let most = span.text_end.min(span.text + BLOCK_MOST);
        let (mut text, mut letters) = (Vec::new(), Vec::new());
        let mut at = span.text;
        while at < most {
            // Twice as much each time, so that a long block is not parsed often.
            more(at, most.min(at + READ_FIRST.max(text.len() as u64)), &mut text)?;
            at = span.text + text.len() as u64;
            // Not a queued message: the rest need not be read.
            if text.len() >= ID.len() && !text.starts_with(ID.as_bytes()) {
                return Ok(None);
            }
            letters.clear();
            if let Some((block, length)) = Block::parse_noting(&text, &mut letters) {
                let header = text.get(..length).unwrap_or_default();
                return Ok(Some(Self::of(block, header, letters, span)));
            }
        }
        Ok(None)
    }

    fn of(block: Block, header: &[u8], letters: Vec<usize>, span: Span) -> Self {
        let length = header.len() as u64;
        // POP3 counts an LF as CRLF.
        let counted = length + mbox::lone_line_feeds(b'\n', header);
        let octets = span.octets.saturating_sub(counted);
        Self { block, octets, span, letters, text: span.text + length }
    }

    pub(super) const fn place(&self) -> Place {
        Place { span: self.span, text: self.text }
    }

    /// An entry without a place in a file, for tests that need only the block.
    #[cfg(test)]
    pub(crate) fn of_block(block: Block, octets: u64) -> Self {
        let span = Span { start: 0, text: 0, text_end: 0, end: 0, octets };
        Self { block, octets, span, letters: Vec::new(), text: 0 }
    }

    /// Offset, from the beginning of the block, of the letter of the recipient with this path, and
    /// the state it stands for.
    pub(super) fn letter_of(&self, forward_path: &str) -> Option<(u64, RecipientState)> {
        let mut recipients = self.block.recipients.iter().zip(&self.letters);
        let (there, letter) = recipients.find(|(there, _)| there.forward_path == *forward_path)?;
        Some((*letter as u64, there.state))
    }
}

/// The place of an entry in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    span: Span,
    /// Offset of its message text, after the block.
    text: u64,
}

impl Place {
    /// The entry with this id, if it is at this place.
    pub(super) fn entry(self, id: &str, file: &File) -> Option<Entry> {
        let there = Entry::read_alone(self.span, file).ok().flatten()?;
        // If its block has been edited, it may begin at the same place and end at another.
        (there.block.id == id && there.text == self.text).then_some(there)
    }
}

/// The places of all entries by id. They are found in one pass, which is repeated only if another
/// file has replaced the queue or entries have moved within it.
#[derive(Debug)]
pub(super) struct Places {
    /// Device and inode of the file.
    identity: (u64, u64),
    index: Arc<Index>,
    by_id: HashMap<String, Place>,
    /// The last entry. If it is still at its place, the file has only grown.
    last: Option<(String, Place)>,
}

impl Places {
    fn of(file: &File) -> Result<Self, IndexError> {
        let identity = Stamp::of_file(file)?.identity;
        let index = Arc::new(Index::of(file)?);
        let mut places = Self { identity, index, by_id: HashMap::new(), last: None };
        places.note_from(0, file)?;
        Ok(places)
    }

    /// The places in a file that has only grown; `None` if it has changed in another way.
    fn grown(mut self, file: &File) -> Result<Option<Self>, IndexError> {
        let Stamp { identity, size, .. } = Stamp::of_file(file)?;
        let stands = |(id, place): &(String, Place)| place.entry(id, file).is_some();
        let is_same = self.identity == identity && self.last.as_ref().is_some_and(stands);
        if !is_same || size < self.index.scanned() {
            return Ok(None);
        }
        // The end of the last message may depend on what follows it, so it is read again.
        let known = self.index.messages.len().saturating_sub(1);
        self.index = Index::grown(self.index, size, file)?;
        self.note_from(known, file)?;
        Ok(Some(self))
    }

    fn note_from(&mut self, first: usize, file: &File) -> io::Result<()> {
        let mut window = Window::new(file);
        for message in self.index.messages.iter().skip(first) {
            if let Some(entry) = Entry::read(message.span, &mut window)? {
                let place = entry.place();
                self.last = Some((entry.block.id.clone(), place));
                self.by_id.insert(entry.block.id, place);
            }
        }
        Ok(())
    }
}

/// The entry with this id, wherever it is in the file. `known` caches the places of all entries.
pub(super) fn find_by_id(
    id: &str,
    file: &File,
    known: &mut Option<Places>,
) -> Result<Option<Entry>, IndexError> {
    let places = known.take().map(|places| places.grown(file)).transpose()?.flatten();
    let is_known = |places: &Places| match places.by_id.get(id) {
        // An unknown id is that of an entry that was dropped: it does not cause another pass.
        None => true,
        Some(place) => place.entry(id, file).is_some(),
    };
    let places = match places.filter(is_known) {
        Some(places) => places,
        None => Places::of(file)?,
    };
    let place = known.insert(places).by_id.get(id);
    Ok(place.and_then(|place| place.entry(id, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes entries with these ids to a file, in place.
    fn write(file: &File, ids: &[&str]) {
        let entry = |id: &&str| {
            format!("From <a@b> Wed Sep 17 11:00:00 2025\n{}x\n\n", rendered(id, "a@b"))
        };
        let text: String = ids.iter().map(entry).collect();
        file.set_len(0).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
    }

    /// A block whose length depends on its sender.
    fn rendered(id: &str, reverse_path: &str) -> String {
        let text = format!("{ID}{id}\nX-MC-From: <{reverse_path}>\nX-MC-Queued: 1\nX-MC-End:\n");
        let (block, length) = Block::parse(text.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        block.render()
    }

    #[test]
    fn entries_are_found_by_their_ids_wherever_they_have_moved_in_one_pass() {
        let file = tempfile::tempfile().unwrap();
        let mut known = None;
        let mut find = |id: &str| {
            let found = find_by_id(id, &file, &mut known).unwrap();
            assert!(found.as_ref().is_none_or(|entry| entry.block.id == id));
            let index = known.as_ref().map(|places| Arc::clone(&places.index)).unwrap();
            (found.map(|entry| entry.span.start), index)
        };
        write(&file, &["1", "2", "3"]);
        let (third, index) = find("3");
        let (second, again) = find("2");
        assert!(Some(0) < second && second < third && Arc::ptr_eq(&index, &again));

        // A new entry is found, and an id that is missing causes no other pass.
        write(&file, &["1", "2", "3", "4"]);
        let (fourth, index) = find("4");
        let (gone, again) = find("gone");
        assert!(fourth > third && gone.is_none() && Arc::ptr_eq(&index, &again));

        // Another program has removed an entry, in the same file.
        write(&file, &["1", "3", "4"]);
        let (third, index) = find("3");
        let (fourth, again) = find("4");
        assert!(third == second && fourth > third && Arc::ptr_eq(&index, &again));
        assert_eq!(find("2").0, None);

        // The last entries are where they were, but those before them have moved.
        let (one, other) = (rendered("1", "a@b"), rendered("3", "a@b"));
        let mut text = vec![0; usize::try_from(Stamp::of_file(&file).unwrap().size).unwrap()];
        file.read_exact_at(&mut text, 0).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (longer, shorter) = (rendered("1", "aaa@b"), rendered("3", "@"));
        let moved = text.replace(&one, &longer).replace(&other, &shorter);
        assert_eq!(moved.len(), text.len());
        file.write_all_at(moved.as_bytes(), 0).unwrap();
        assert_eq!((find("3").0, find("4").0), (third.map(|at| at + 2), fourth));
    }
}
