//! A mailbox for reading: its messages as they were at one moment. They are read without the
//! mailbox's lock, from a descriptor of their own, and a change of the file is noticed before
//! anything wrong is returned.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::memchr_iter;

use crate::store::committer::{self, Committer, LockError};
use crate::store::delivery::ORIGINAL_FIELD;
use crate::store::files::{Access, Creation, FileName, Stamp, Window};
use crate::store::ground::Ground;
use crate::store::index::{Index, IndexError, Known, Message, ReadError, UniqueId};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::mbox::{FROM, NotMbox, Span, Unquoter};
use crate::store::reader::MessageReader;
use crate::store::sighting::Sighting;
use crate::store::whereabouts::{self, Mailbox};

/// Maximum octets of the header in a [`Head`]; what lists show comes well before.
const HEAD_MOST: u64 = 16 * 1024;

/// The same for one that begins with the addresses of recipients who were redirected: 1,000 of them
/// fit, and the rest of the header behind them.
const REDIRECTED_HEAD_MOST: u64 = 400 * 1024;

/// Octets read of a message at first; most headers are shorter.
const HEAD_USUAL: u64 = 4 * 1024;

/// Octets read ahead if messages are so short that many of them fit.
const READ_AHEAD: u64 = 128 * 1024;

/// Length of a message in octets up to which the next ones are read along with it.
const SHORT: u64 = 8 * 1024;

/// A mailbox as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    committer: Arc<Committer>,
    name: FileName,
    file: Arc<File>,
    /// The state of the file for which the index was known to be right.
    sighting: Sighting,
    index: Arc<Index>,
}

/// Why a maildrop or mailbox was not opened.
#[derive(Debug, thiserror::Error)]
pub enum MaildropError {
    /// Another session has the maildrop open.
    #[error("the maildrop is in use by another session")]
    InUse,
    /// The file is not an mbox; it is left unchanged.
    #[error("the mailbox is {0}")]
    NotMbox(NotMbox),
    /// The mailbox was removed after its user was looked up.
    #[error("there is no such mailbox")]
    Missing,
    /// Another program has held the lock for 30 s.
    #[error("another program keeps the mailbox locked")]
    Busy,
    /// Reading the file failed.
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

/// The beginning of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its From_ line, with its LF.
    pub from_line: Vec<u8>,
    /// Its header, with CRLF line ends and the empty line after it; cut if it is very long.
    pub text: Vec<u8>,
    /// Length of the whole message as RETR sends it.
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
            move |locked| Self::of_locked(committer, name, &locked)
        };
        committer::with_locked(committer, name, Purpose::Read, take).await?
    }

    /// A snapshot of a mailbox that does not exist: it has no messages.
    pub(super) fn of_nothing(
        committer: &Arc<Committer>,
        name: &FileName,
    ) -> Result<Self, MaildropError> {
        let file = File::open("/dev/null")?;
        let index = Arc::new(Index::of(&file)?);
        let sighting = committer.ground().indexes.look(&file)?;
        let (committer, name) = (Arc::clone(committer), Arc::clone(name));
        Ok(Self { committer, name, file: Arc::new(file), sighting, index })
    }

    fn of_locked(
        committer: Arc<Committer>,
        name: FileName,
        locked: &LockedFile,
    ) -> Result<Self, MaildropError> {
        let Ground { indexes, files, .. } = committer.ground();
        let Known { index, sighting } = indexes.of(&name, locked.file())?;
        // A second descriptor: the first is closed with the lock.
        let file = files.open_file(&name, Access::Read, Creation::Never)?;
        // The name may have come to mean another file since; then the index does not fit.
        if Stamp::of_file(&file)?.identity != sighting.stamp().identity {
            return Err(MaildropError::Busy);
        }
        Ok(Self { committer, name, file: Arc::new(file), sighting, index })
    }

    /// Number of messages.
    #[must_use]
    pub fn count(&self) -> usize {
        self.index.messages.len()
    }

    /// Octets of all messages together, as STAT counts them (RFC 1939 section 5).
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.index.messages.iter().map(|message| message.span.octets).sum()
    }

    /// Whether `earlier` had the same messages and at most new ones have been added.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.index.continues(&earlier.index)
    }

    /// Whether the file certainly still contains the messages: nothing but our own deliveries has
    /// changed it since they were found. Costs one `fstat`.
    fn is_untouched(&self) -> io::Result<bool> {
        let now = Stamp::of_file(&self.file)?;
        let indexes = &self.committer.ground().indexes;
        // Our own deliveries change the stamp, but the index takes note of them.
        Ok(self.sighting.proves(now) || indexes.prove(&self.name, now, &self.index))
    }

    /// The beginnings of the messages at `places`.
    ///
    /// # Errors
    ///
    /// If one of them is not as it was when the snapshot was taken, or reading fails.
    pub async fn heads(self: &Arc<Self>, places: Range<usize>) -> Result<Vec<Head>, ReadError> {
        let snapshot = Arc::clone(self);
        let heads = tokio::task::spawn_blocking(move || snapshot.read_heads(places));
        heads.await.map_err(io::Error::other)?
    }

    fn read_heads(&self, places: Range<usize>) -> Result<Vec<Head>, ReadError> {
        let messages = self.index.messages.get(places).ok_or(ReadError::Missing)?;
        let mut ahead = Ahead { file: &self.file, buffer: Vec::new(), start: 0 };
        let heads: Result<Vec<_>, _> =
            messages.iter().map(|message| ahead.head(message.span)).collect();
        // After reading, so that a change in the meantime is noticed.
        if self.is_untouched()? {
            return heads;
        }
        let mut window = Window::of_octets(&self.file, octets(messages));
        messages.iter().map(|message| whole_head(message, &mut window)).collect()
    }

    /// A message, to be read in pieces.
    ///
    /// # Errors
    ///
    /// If it is not as it was when the snapshot was taken. This may also turn out at the end of
    /// reading.
    pub async fn message(&self, place: usize) -> Result<MessageReader, ReadError> {
        let message = self.index.messages.get(place).ok_or(ReadError::Missing)?;
        // Compared before it is sent: later an error can only break the message off.
        if !self.is_untouched()? {
            self.make_sure_of(place).await?;
        }
        Ok(MessageReader::of_message(Arc::clone(&self.file), message))
    }

    /// Reads a message to check that it is as it was.
    async fn make_sure_of(&self, place: usize) -> Result<(), ReadError> {
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let checked = tokio::task::spawn_blocking(move || {
            let message = all.messages.get(place).ok_or(ReadError::Missing)?;
            message.read(&mut window_of(message, &file), |_| {})
        });
        checked.await.map_err(io::Error::other)?
    }

    /// The unique-ids of all messages as they were when the snapshot was taken.
    ///
    /// # Errors
    ///
    /// If an id must be computed and its message is not as it was, or reading fails.
    pub async fn unique_ids(&self) -> Result<Arc<[UniqueId]>, ReadError> {
        if let Some(known) = self.known_unique_ids() {
            return Ok(known);
        }
        let (file, index) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let ids = tokio::task::spawn_blocking(move || index.unique_ids(&file));
        Ok(ids.await.map_err(io::Error::other)??.into())
    }

    /// The unique-ids of all messages if they can be told without reading the file.
    pub(super) fn known_unique_ids(&self) -> Option<Arc<[UniqueId]>> {
        self.index.messages.iter().map(Message::known_unique_id).collect()
    }

    /// The unique-id of one message; see [`unique_ids`](Self::unique_ids) for errors.
    pub async fn unique_id(&self, place: usize) -> Result<UniqueId, ReadError> {
        if let Some(known) = self.known_unique_id(place)? {
            return Ok(known);
        }
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let id = tokio::task::spawn_blocking(move || {
            let message = all.messages.get(place).ok_or(ReadError::Missing)?;
            message.unique_id(&mut window_of(message, &file))
        });
        id.await.map_err(io::Error::other)?
    }

    /// The unique-ids of the messages at `places`, in that order: those that are known, and of the
    /// others those of messages of at most `most` octets that are as they were.
    pub async fn unique_ids_of(&self, places: &[usize], most: u64) -> Vec<Option<UniqueId>> {
        let message = |place: &usize| self.index.messages.get(*place);
        let known = || places.iter().map(|place| message(place)?.known_unique_id()).collect();
        let is_read =
            |message: &Message| message.known_unique_id().is_none() && message.span.octets <= most;
        let read: Vec<usize> =
            places.iter().copied().filter(|place| message(place).is_some_and(is_read)).collect();
        if read.is_empty() {
            return known();
        }
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.index));
        let reading = tokio::task::spawn_blocking(move || {
            for message in read.iter().filter_map(|place| all.messages.get(*place)) {
                // The message keeps its id. One that has changed has none.
                let _ = message.unique_id(&mut window_of(message, &file));
            }
        });
        let _ = reading.await;
        known()
    }

    /// Whether the unique-id of one message is known without reading the file.
    #[must_use]
    pub fn knows_unique_id(&self, place: usize) -> bool {
        self.index.messages.get(place).is_some_and(|message| message.known_unique_id().is_some())
    }

    /// The unique-id of one message; `None` if the file would have to be read for it.
    pub(super) fn known_unique_id(&self, place: usize) -> Result<Option<UniqueId>, ReadError> {
        let message = self.index.messages.get(place).ok_or(ReadError::Missing)?;
        Ok(message.known_unique_id())
    }

    /// The place of a message of `earlier` in this snapshot: the same one or, if another program
    /// has rewritten the mailbox, that of a message with the same content. `None` if the message is
    /// gone.
    ///
    /// # Errors
    ///
    /// [`ReadError::Changed`] if it cannot be told, because another program may have changed the
    /// message.
    pub async fn place_of(&self, earlier: &Self, place: usize) -> Result<Option<usize>, ReadError> {
        let [(before, old_file), (now, file)] =
            [earlier, self].map(|one| (Arc::clone(&one.index), Arc::clone(&one.file)));
        let found = tokio::task::spawn_blocking(move || {
            let before = Mailbox { index: &before, file: &old_file };
            let now = Mailbox { index: &now, file: &file };
            let matched = whereabouts::find(before, &[place], now)?.ok_or(ReadError::Changed)?;
            Ok(matched.into_iter().position(|is_it| is_it))
        });
        found.await.map_err(io::Error::other)?
    }

    pub(super) const fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(super) fn mailbox(&self) -> Mailbox<'_> {
        Mailbox { index: &self.index, file: &self.file }
    }
}

/// Octets of the file that consecutive messages take up.
fn octets(messages: &[Message]) -> u64 {
    let [start, end] = [messages.first(), messages.last()].map(|one| one.map(|one| one.span));
    start.zip(end).map_or(0, |(first, last)| last.end.saturating_sub(first.start))
}

/// A window over one message.
fn window_of<'a>(message: &Message, file: &'a File) -> Window<'a> {
    Window::of_octets(file, octets(std::slice::from_ref(message)))
}

/// The beginning of a message in a file that has changed; reads the whole message to check it.
fn whole_head(message: &Message, window: &mut Window<'_>) -> Result<Head, ReadError> {
    let Span { start, text, .. } = message.span;
    let mut from_line = Vec::new();
    while start + (from_line.len() as u64) < text {
        let at = start + from_line.len() as u64;
        from_line.extend_from_slice(window.at(at, text).map_err(ReadError::at_end_of_file)?);
    }
    let mut beginning = Vec::new();
    message.read(window, |piece| {
        let most = head_most(if beginning.is_empty() { piece } else { &beginning });
        let room = usize::try_from(most).unwrap_or(0).saturating_sub(beginning.len());
        beginning.extend_from_slice(piece.get(..room).unwrap_or(piece));
    })?;
    Head::of(from_line, &beginning, message.span)
}

impl Head {
    /// The head of the message at `span`, whose text begins with `text`.
    fn of(from_line: Vec<u8>, text: &[u8], span: Span) -> Result<Self, ReadError> {
        if !is_whole_from_line(&from_line) {
            return Err(ReadError::Changed);
        }
        let header = text.get(..header_length(text).unwrap_or(text.len())).unwrap_or(text);
        Ok(Self { from_line, text: unquoted(header), octets: span.octets })
    }
}

/// Reads the heads of consecutive messages.
struct Ahead<'a> {
    file: &'a File,
    /// The octets read last; `start` is their offset in the file.
    buffer: Vec<u8>,
    start: u64,
}

impl Ahead<'_> {
    fn head(&mut self, span: Span) -> Result<Head, ReadError> {
        let most = span.text_end.min(span.text + HEAD_MOST);
        let usual = most.min(span.text + HEAD_USUAL);
        let ahead = if span.end - span.start <= SHORT { READ_AHEAD } else { 0 };
        let from_line = self.octets(span.start..span.text, ahead.max(usual - span.start))?.to_vec();
        let mut text = self.octets(span.text..usual, 0)?;
        // Only an unusually long header needs a second read.
        if header_length(text).is_none() && usual < most {
            let most = span.text_end.min(span.text + head_most(text));
            text = self.octets(span.text..most, 0)?;
        }
        Head::of(from_line, text, span)
    }

    /// A stretch of the file. If it must be read, at least `ahead` octets are read with it.
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

/// Maximum octets of the header of a message that begins with `text`.
fn head_most(text: &[u8]) -> u64 {
    if text.starts_with(ORIGINAL_FIELD.as_bytes()) { REDIRECTED_HEAD_MOST } else { HEAD_MOST }
}

fn is_whole_from_line(line: &[u8]) -> bool {
    line.starts_with(FROM) && line.ends_with(b"\n")
}

/// Length of a message's header, including the empty line after it; `None` if `text` has no empty
/// line.
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
