//! A mailbox to be looked at: its messages as they were at one moment, read without its lock from a
//! descriptor of its own, and never mistaken for others when the file changes meanwhile.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::memchr_iter;

use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{Access, Creation, FileName, Stamp, Window};
use crate::store::ground::Ground;
use crate::store::index::{Index, IndexError, Message, ReadError, UniqueId, read_text};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::mbox::{FROM, NotMbox, Span, Unquoter};
use crate::store::reader::MessageReader;

/// Octets of a header that a [`Head`] has at most; what lists show stands well before.
const HEAD_MOST: u64 = 16 * 1024;

/// Octets that are read of a message at first; most headers are shorter.
const HEAD_USUAL: u64 = 4 * 1024;

/// Octets that are read ahead where messages are so short that many of them fit.
const READ_AHEAD: u64 = 128 * 1024;

/// Octets of a message up to which the next ones are read with it.
const SHORT: u64 = 8 * 1024;

/// A mailbox as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    file: Arc<File>,
    /// The file's state at which what the index says was known to be so.
    seen: Stamp,
    index: Arc<Index>,
}

/// Why a maildrop was not opened.
#[derive(Debug, thiserror::Error)]
pub enum MaildropError {
    /// Another session has it.
    #[error("the maildrop is in use by another session")]
    InUse,
    /// The file is no mbox; it is left as it is.
    #[error("the mailbox is {0}")]
    NotMbox(NotMbox),
    /// The mailbox was removed since its user was looked up.
    #[error("there is no such mailbox")]
    Missing,
    /// Another program has had the file locked for 30 s.
    #[error("another program keeps the mailbox locked")]
    Busy,
    /// The system says why.
    #[error("the mailbox cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl From<LockError> for MaildropError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::Missing => Self::Missing,
            LockError::Io(error) => Self::Io(error),
        }
    }
}

impl From<IndexError> for MaildropError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NotMbox(why) => Self::NotMbox(why),
            IndexError::Io(error) => Self::Io(error),
        }
    }
}

/// What a message begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its From_ line, with its LF.
    pub from_line: Vec<u8>,
    /// Its header, with CRLF line ends and the empty line behind it; cut where it is very long.
    pub text: Vec<u8>,
    /// Length of the whole message, as RETR sends it.
    pub octets: u64,
}

impl Snapshot {
    /// Takes a snapshot, under the file's lock.
    pub(super) async fn take(
        committer: &Arc<Committer>,
        name: &FileName,
    ) -> Result<Self, MaildropError> {
        let take = {
            let (committer, name) = (Arc::clone(committer), Arc::clone(name));
            move |locked| Self::of_locked(committer.ground(), &name, &locked)
        };
        committer::with_locked(committer, name, Purpose::Read, take).await?
    }

    fn of_locked(
        ground: &Ground,
        name: &FileName,
        locked: &LockedFile,
    ) -> Result<Self, MaildropError> {
        let index = ground.indexes.of(name, locked.file())?;
        let seen = Stamp::of_file(locked.file())?;
        // A descriptor of its own: the lock goes with the other one.
        let file = ground.files.open_file(name, Access::Read, Creation::Never)?;
        if Stamp::of_file(&file)?.identity != seen.identity {
            return Err(MaildropError::Busy);
        }
        Ok(Self { file: Arc::new(file), seen, index })
    }

    /// How many messages there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.index.messages.len()
    }

    /// Whether the messages of `earlier` are the first of these, unchanged.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        // Where the last message of a file ends may have been clear only when another followed it.
        let last = earlier.count().checked_sub(1);
        self.index.continues(&earlier.index)
            && last.is_none_or(|last| self.span(last).ok() == earlier.span(last).ok())
    }

    /// What messages begin with, by their places. Each is what it was when the snapshot was taken,
    /// or this is an error.
    pub async fn heads(self: &Arc<Self>, places: Range<usize>) -> Result<Vec<Head>, ReadError> {
        let snapshot = Arc::clone(self);
        let heads = tokio::task::spawn_blocking(move || {
            let heads = snapshot.read_heads(places)?;
            snapshot.make_sure_of_beginning()?;
            Ok(heads)
        });
        heads.await.map_err(io::Error::other)?
    }

    fn read_heads(&self, places: Range<usize>) -> Result<Vec<Head>, ReadError> {
        let messages = self.index.messages.get(places).ok_or(ReadError::Missing)?;
        let mut ahead = Ahead { file: &self.file, buffer: Vec::new(), start: 0 };
        messages.iter().map(|message| ahead.head(message.span)).collect()
    }

    /// Whether the file still begins as it did, as far as can be told without reading it all.
    fn make_sure_of_beginning(&self) -> Result<(), ReadError> {
        let unchanged = Stamp::of_file(&self.file)? == self.seen;
        if unchanged || self.index.still_fits(&self.file) {
            Ok(())
        } else {
            Err(ReadError::Changed)
        }
    }

    /// A message, to be read piece by piece. It is what it was when the snapshot was taken, or this
    /// is an error.
    pub async fn message(&self, place: usize) -> Result<MessageReader, ReadError> {
        let span = self.span(place)?;
        self.make_sure_of(place).await?;
        Ok(MessageReader::new(Arc::clone(&self.file), span))
    }

    /// Looks at a message again if anything has happened to the file.
    async fn make_sure_of(&self, place: usize) -> Result<(), ReadError> {
        if Stamp::of_file(&self.file)? == self.seen {
            return Ok(());
        }
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let checked = tokio::task::spawn_blocking(move || {
            let message = all.messages.get(place).ok_or(ReadError::Missing)?;
            if !all.still_begins(message, &file) {
                return Err(ReadError::Changed);
            }
            is_unchanged(message, &file)
        });
        checked.await.map_err(io::Error::other)?
    }

    /// The unique-ids of all messages.
    pub async fn unique_ids(&self) -> Result<Arc<[UniqueId]>, ReadError> {
        let known: Option<Vec<UniqueId>> =
            self.index.messages.iter().map(Message::known_unique_id).collect();
        if let Some(known) = known {
            return Ok(known.into());
        }
        let (file, index) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let ids = tokio::task::spawn_blocking(move || index.unique_ids(&file));
        Ok(ids.await.map_err(io::Error::other)??.into())
    }

    /// The unique-id of one message.
    pub async fn unique_id(&self, place: usize) -> Result<UniqueId, ReadError> {
        let message = self.index.messages.get(place).ok_or(ReadError::Missing)?;
        if let Some(known) = message.known_unique_id() {
            return Ok(known);
        }
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let id = tokio::task::spawn_blocking(move || {
            let message = all.messages.get(place).ok_or(ReadError::Missing)?;
            message.unique_id(&mut Window::new(&file))
        });
        id.await.map_err(io::Error::other)?
    }

    /// Where a message of `earlier` is now, if it still is: at its place, or wherever a message with
    /// its content is if another program has rewritten the mailbox.
    pub async fn place_of(&self, earlier: &Self, place: usize) -> Result<Option<usize>, ReadError> {
        if self.continues(earlier) {
            return Ok((place < earlier.count()).then_some(place));
        }
        let octets = earlier.span(place)?.octets;
        earlier.make_sure_of(place).await?;
        let wanted = earlier.unique_id(place).await?;
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let found = tokio::task::spawn_blocking(move || {
            let mut window = Window::new(&file);
            for (place, message) in all.messages.iter().enumerate() {
                if message.span.octets == octets && message.unique_id(&mut window)? == wanted {
                    return Ok(Some(place));
                }
            }
            Ok(None)
        });
        found.await.map_err(io::Error::other)?
    }

    fn span(&self, place: usize) -> Result<Span, ReadError> {
        self.index.messages.get(place).map(|message| message.span).ok_or(ReadError::Missing)
    }

    pub(super) const fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

fn is_unchanged(message: &Message, file: &File) -> Result<(), ReadError> {
    let mut window = Window::new(file);
    let mut from_line = Vec::new();
    let mut at = message.span.start;
    while at < message.span.text {
        let octets = window.at(at, message.span.text).map_err(ReadError::at_end_of_file)?;
        at += octets.len() as u64;
        from_line.extend_from_slice(octets);
    }
    if !is_whole_from_line(&from_line) {
        return Err(ReadError::Changed);
    }
    match message.known_unique_id() {
        Some(known) if message.unique_id_now(&mut window)? != known => Err(ReadError::Changed),
        Some(_) => Ok(()),
        None => read_text(&message.span, &mut window, |_| {}),
    }
}

/// Reads the heads of messages that lie one behind the other.
struct Ahead<'a> {
    file: &'a File,
    /// What was read last, and where it begins in the file.
    buffer: Vec<u8>,
    start: u64,
}

impl Ahead<'_> {
    fn head(&mut self, span: Span) -> Result<Head, ReadError> {
        let most = span.text_end.min(span.text + HEAD_MOST);
        let usual = most.min(span.text + HEAD_USUAL);
        let ahead = if span.end - span.start <= SHORT { READ_AHEAD } else { 0 };
        let from_line = self.octets(span.start..span.text, ahead.max(usual - span.start))?.to_vec();
        if !is_whole_from_line(&from_line) {
            return Err(ReadError::Changed);
        }
        let mut text = self.octets(span.text..usual, 0)?;
        if header_length(text).is_none() && usual < most {
            text = self.octets(span.text..most, 0)?;
        }
        let header = text.get(..header_length(text).unwrap_or(text.len())).unwrap_or(text);
        Ok(Head { from_line, text: unquoted(header), octets: span.octets })
    }

    /// A stretch of the file; if it must be read, then at least `ahead` octets with it.
    fn octets(&mut self, stretch: Range<u64>, ahead: u64) -> Result<&[u8], ReadError> {
        let end = self.start + self.buffer.len() as u64;
        if stretch.start < self.start || stretch.end > end {
            let length = ahead.max(stretch.end - stretch.start);
            self.read(stretch.start, usize::try_from(length).unwrap_or(0))?;
        }
        let within = |at: u64| usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let octets = self.buffer.get(within(stretch.start)..within(stretch.end));
        octets.ok_or(ReadError::Changed)
    }

    fn read(&mut self, at: u64, length: usize) -> io::Result<()> {
        self.start = at;
        self.buffer.resize(length, 0);
        let mut filled = 0;
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + filled as u64)? {
                0 => break,
                octets => filled += octets,
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

fn is_whole_from_line(line: &[u8]) -> bool {
    line.starts_with(FROM) && line.ends_with(b"\n")
}

/// How long the header of a message is, with the empty line behind it, if that is in here.
fn header_length(text: &[u8]) -> Option<usize> {
    let mut begins = std::iter::once(0).chain(memchr_iter(b'\n', text).map(|at| at + 1));
    let empty_line = |at: usize| match text.get(at..)? {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    };
    begins.find_map(empty_line)
}

fn unquoted(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut unquoter = Unquoter::default();
    unquoter.push(raw, |piece| text.extend_from_slice(piece));
    unquoter.finish(|piece| text.extend_from_slice(piece));
    text
}
