//! The index of a mailbox: where each message is. It is extended if the file only grew, and rebuilt
//! if it changed in any other way. Callers hold the file's lock.
//!
//! Each message has a checksum, made while the file is scanned. A reader without the lock can thus
//! tell whether a message is still the one that was found. Whether a file still begins as it did is
//! either proved by its stamp or checked by reading that beginning. Comparing only the first octets
//! of some messages would let a rewrite in place go unnoticed.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use md5::{Digest, Md5};
use parking_lot::{Mutex, MutexGuard};

use crate::store::checksum::{Checksum, RunningChecksum};
use crate::store::files::{FileName, Files, Stamp, Window};
use crate::store::from_line::Form;
use crate::store::mbox::{End, NotMbox, Scanner, Span, Unquoter};
use crate::store::sighting::{Clock, Sighting};

/// Octets scanned at once; few enough to stay in a processor's cache between the passes.
const SCANNED_AT_ONCE: usize = 512 * 1024;

/// Maximum number of messages in all cached indexes together. Beyond it, the indexes that are not
/// in use are dropped, and rebuilt when needed.
const REMEMBERED_MOST: usize = 2_000_000;

/// A million messages take this many megabytes, which an operator should not notice.
const _: () = assert!(size_of::<Message>() <= 72);

/// The unique-id of a message (RFC 1939 section 7): the MD5 of the message as POP3 sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId([u8; 16]);

impl UniqueId {
    /// The unique-id of a message with this text, which is as RETR sends it.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        Self(Md5::digest(text).into())
    }

    /// The unique-id of a message all of which `hash` has taken.
    pub(super) fn of(hash: Md5) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it is in the file.
    pub span: Span,
    /// Checksum of its text, as stored in the file.
    checksum: Checksum,
    /// Checksum of its From_ line: short, because it only tells apart messages with the same text.
    from_line: u32,
    /// Its unique-id, once it has been computed.
    unique_id: OnceLock<UniqueId>,
}

/// Identifies a text, wherever it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    octets: u64,
    checksum: Checksum,
}

impl Message {
    /// The message at `span` of a file that is being scanned.
    fn found(span: Span, passing: &mut Passing<'_, '_>) -> Result<Self, ReadError> {
        Ok(Self {
            span,
            checksum: passing.checksum(span.text..span.text_end)?,
            from_line: passing.checksum(span.start..span.text)?.short(),
            unique_id: OnceLock::new(),
        })
    }

    /// Identifies its text.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content { octets: self.span.octets, checksum: self.checksum }
    }

    /// Identifies its text and its From_ line.
    #[must_use]
    pub const fn entry(&self) -> (u32, Content) {
        (self.from_line, self.content())
    }

    /// The checksum of its text, as stored in the file.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Passes its text to `text` in pieces, as stored in the file.
    ///
    /// # Errors
    ///
    /// If the text is not what was found when the file was scanned. The pieces passed so far must
    /// then be discarded.
    pub fn read(&self, window: &mut Window<'_>, text: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let stretch = self.span.text..self.span.text_end;
        if read(window, stretch, text)? == self.checksum { Ok(()) } else { Err(ReadError::Changed) }
    }

    /// Its unique-id, if it has been computed.
    #[must_use]
    pub fn known_unique_id(&self) -> Option<UniqueId> {
        self.unique_id.get().copied()
    }

    /// Its unique-id, computed from the text in `window` if necessary.
    pub fn unique_id(&self, window: &mut Window<'_>) -> Result<UniqueId, ReadError> {
        if let Some(known) = self.known_unique_id() {
            return Ok(known);
        }
        let (mut hash, mut unquoter) = (Md5::new(), Unquoter::default());
        self.read(window, |piece| unquoter.push(piece, |text| hash.update(text)))?;
        unquoter.finish(|text| hash.update(text));
        // Two sessions may have computed it at the same time; they agree.
        Ok(*self.unique_id.get_or_init(|| UniqueId::of(hash)))
    }

    /// Whether it is still at its place, with an empty line or nothing after it as before.
    fn still_stands(&self, window: &mut Window<'_>) -> Result<bool, ReadError> {
        let Span { start, text, text_end, end, .. } = self.span;
        Ok(checksum(window, start..text)?.short() == self.from_line
            && checksum(window, text..text_end)? == self.checksum
            && is_empty_line(window, text_end..end)?)
    }

    /// Whether it is `earlier`, still at its place. Its end is not compared, since that may depend
    /// on what follows.
    fn is_still(&self, earlier: &Self) -> bool {
        (self.span.start, self.entry()) == (earlier.span.start, earlier.entry())
    }
}

/// Whether a stretch that was empty or an empty line still is.
fn is_empty_line(window: &mut Window<'_>, stretch: Range<u64>) -> Result<bool, ReadError> {
    let mut line = Vec::with_capacity(2);
    read(window, stretch.clone(), |piece| line.extend_from_slice(piece))?;
    Ok(matches!((stretch.end - stretch.start, &*line), (0, _) | (1, b"\n") | (2, b"\r\n")))
}

/// Passes a stretch of a file to `octets` in pieces; returns its checksum.
fn read(
    window: &mut Window<'_>,
    stretch: Range<u64>,
    mut octets: impl FnMut(&[u8]),
) -> Result<Checksum, ReadError> {
    let Range { start: mut at, end } = stretch;
    if at >= end {
        return Ok(Checksum::of(b""));
    }
    let first = window.at(at, end).map_err(ReadError::at_end_of_file)?;
    octets(first);
    at += first.len() as u64;
    if at == end {
        return Ok(Checksum::of(first));
    }
    let mut checksum = RunningChecksum::default();
    checksum.push(first);
    while at < end {
        let piece = window.at(at, end).map_err(ReadError::at_end_of_file)?;
        octets(piece);
        checksum.push(piece);
        at += piece.len() as u64;
    }
    Ok(checksum.finish())
}

fn checksum(window: &mut Window<'_>, stretch: Range<u64>) -> Result<Checksum, ReadError> {
    read(window, stretch, |_| {})
}

/// The part of a file that is in memory while the file is scanned.
struct Passing<'a, 'f> {
    octets: &'a [u8],
    /// Its offset in the file.
    start: u64,
    /// Reads parts of the file that are not in memory any more.
    again: &'a mut Window<'f>,
}

impl Passing<'_, '_> {
    /// The checksum of a stretch of the file. It is read again if it is not all in memory: hardly
    /// ever for a short message, and a long one has only just been in the page cache.
    fn checksum(&mut self, stretch: Range<u64>) -> Result<Checksum, ReadError> {
        match self.octets(&stretch) {
            Some(octets) => Ok(Checksum::of(octets)),
            None => checksum(self.again, stretch),
        }
    }

    fn octets(&self, stretch: &Range<u64>) -> Option<&[u8]> {
        let within = |at: u64| usize::try_from(at.checked_sub(self.start)?).ok();
        self.octets.get(within(stretch.start)?..within(stretch.end)?)
    }
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another program has changed the mailbox since the message was found.
    #[error("the message has been changed by another program")]
    Changed,
    /// There is no such message.
    #[error("there is no such message")]
    Missing,
    /// The directory of the mailbox has been replaced by another.
    #[error("the mailbox's directory has been replaced by another")]
    Replaced,
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// A file that has become too short has been changed.
    pub(super) fn at_end_of_file(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Changed } else { Self::Io(error) }
    }
}

/// The messages of a mailbox.
#[derive(Debug, Clone)]
pub struct Index {
    /// The messages, in the order of the file.
    pub messages: Vec<Message>,
    /// Two indexes of the same generation have the same messages at the same places, as far as both
    /// reach.
    generation: u64,
    /// Octets of the file that have been scanned.
    scanned: u64,
    /// What separates the messages; `None` if nothing has been scanned.
    pub(super) form: Option<Form>,
    /// Checksum of the octets before the first message.
    before: Checksum,
}

fn new_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Why a mailbox could not be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file is not an mbox.
    #[error(transparent)]
    NotMbox(#[from] NotMbox),
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReadError> for IndexError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            // A program that takes no locks is changing the file.
            other => Self::Io(io::Error::new(io::ErrorKind::ResourceBusy, other.to_string())),
        }
    }
}

impl Index {
    /// Scans a whole file.
    pub(super) fn of(file: &File) -> Result<Self, IndexError> {
        let mut index = Self {
            messages: Vec::new(),
            generation: new_generation(),
            scanned: 0,
            form: None,
            before: Checksum::of(b""),
        };
        index.scan(file, 0)?;
        let before = index.before();
        index.before = checksum(&mut Window::of_octets(file, before.end), before)?;
        Ok(index)
    }

    /// The places of the messages in a file.
    pub fn spans(file: &File) -> Result<Vec<Span>, IndexError> {
        Ok(Self::of(file)?.messages.iter().map(|message| message.span).collect())
    }

    /// Whether `earlier` had the same messages, and at most new ones have been added.
    #[must_use]
    pub const fn continues(&self, earlier: &Self) -> bool {
        self.generation == earlier.generation
    }

    /// Two indexes of the same generation have the same messages, as far as both reach.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Octets of the file that have been scanned.
    pub(super) const fn scanned(&self) -> u64 {
        self.scanned
    }

    /// The index of a file that begins as `index` says and now has `size` octets.
    pub(super) fn grown(index: Arc<Self>, size: u64, file: &File) -> Result<Arc<Self>, IndexError> {
        if index.scanned == size {
            return Ok(index);
        }
        // Snapshots that share the index keep the old one.
        Ok(Arc::new(Arc::unwrap_or_clone(index).extended(file)?))
    }

    /// Scans what has been appended, and the last message again: its end may depend on what
    /// follows, and a program that was still writing it may have gone on.
    fn extended(mut self, file: &File) -> Result<Self, IndexError> {
        // Without a message there is no place to start from: the whole file is scanned.
        let Some(last) = self.messages.pop() else {
            return Ok(Self { generation: self.generation, ..Self::of(file)? });
        };
        let place = self.messages.len();
        // Whether the first message of a file is one may also depend on what follows.
        let from = if place == 0 { 0 } else { last.span.start };
        self.scan(file, from)?;
        match self.messages.get_mut(place) {
            // The same message: its unique-id need not be computed again.
            Some(now) if now.is_still(&last) => now.unique_id = last.unique_id,
            // The last message is another one, so earlier snapshots no longer fit.
            _ => self.generation = new_generation(),
        }
        Ok(self)
    }

    fn scan(&mut self, file: &File, from: u64) -> Result<(), IndexError> {
        let mut scanner = Scanner::at(from, self.form.take());
        let mut buffer = vec![0; SCANNED_AT_ONCE];
        let mut again = Window::new(file);
        let mut spans = Vec::new();
        let (mut at, mut kept) = (from, 0);
        loop {
            let start = at - kept as u64;
            let read = file.read_at(buffer.get_mut(kept..).unwrap_or_default(), at)?;
            let filled = kept + read;
            let end = if read == 0 { End::Here } else { End::More };
            let octets = buffer.get(..filled).unwrap_or_default();
            let used = scanner.window(octets, end, |span| spans.push(span))?;
            let mut passing = Passing { octets, start, again: &mut again };
            for span in spans.drain(..) {
                self.messages.push(Message::found(span, &mut passing)?);
            }
            at += read as u64;
            if read == 0 {
                break;
            }
            // What is still undecided is scanned again together with what follows.
            buffer.copy_within(used..filled, 0);
            kept = filled - used;
        }
        self.form = scanner.form().cloned();
        if let Some(last) = scanner.finish() {
            let mut passing = Passing { octets: &[], start: at, again: &mut again };
            self.messages.push(Message::found(last, &mut passing)?);
        }
        self.scanned = at;
        Ok(())
    }

    /// The stretch before the first message: empty lines, or what other programs keep there.
    fn before(&self) -> Range<u64> {
        0..self.messages.first().map_or(self.scanned, |first| first.span.start)
    }

    /// Reads the scanned part of a file, and returns whether it is what it was.
    fn still_fits(&self, file: &File) -> Result<bool, ReadError> {
        let mut window = Window::new(file);
        if checksum(&mut window, self.before())? != self.before {
            return Ok(false);
        }
        for message in &self.messages {
            if !message.still_stands(&mut window)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The unique-ids of all messages. The work is shared among all processors, because MD5 is
    /// slower than the page cache.
    pub fn unique_ids(&self, file: &File) -> Result<Vec<UniqueId>, ReadError> {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let share = self.messages.len().div_ceil(workers).max(1);
        thread::scope(|scope| {
            let workers: Vec<_> = self
                .messages
                .chunks(share)
                .map(|messages| scope.spawn(|| unique_ids_of(messages, file)))
                .collect();
            let mut all = Vec::with_capacity(self.messages.len());
            for worker in workers {
                all.extend(worker.join().map_err(|_| io::Error::other("hashing panicked"))??);
            }
            Ok(all)
        })
    }
}

fn unique_ids_of(messages: &[Message], file: &File) -> Result<Vec<UniqueId>, ReadError> {
    let mut window = Window::new(file);
    messages.iter().map(|message| message.unique_id(&mut window)).collect()
}

/// The indexes of the mailboxes of a directory that have been visited.
#[derive(Debug)]
pub struct Indexes {
    clock: Clock,
    remembered: Mutex<HashMap<FileName, Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    /// The state of the file when it was last known to begin as the index says.
    sighting: Sighting,
    index: Arc<Index>,
}

/// The index of a mailbox, and the state of the file that it belongs to.
#[derive(Debug)]
pub struct Known {
    /// Where each message is.
    pub index: Arc<Index>,
    /// The state of the file before the index was checked against it.
    pub sighting: Sighting,
}

impl Indexes {
    /// No index yet, for the mailboxes in `files`.
    #[must_use]
    pub fn of_directory(files: &Arc<Files>) -> Self {
        Self { clock: Clock::of(files), remembered: Mutex::default() }
    }

    /// The state of the mailbox `name`, without reading it; `None` if there is no such regular
    /// file.
    pub fn look_at(&self, name: &str) -> io::Result<Option<Sighting>> {
        self.clock.look_at(name)
    }

    /// The state of an open file.
    pub(super) fn look(&self, file: &File) -> io::Result<Sighting> {
        self.clock.look(file)
    }

    /// The index of the mailbox `name`, extended or rebuilt as necessary. The caller holds the
    /// lock; `file` is the open mailbox.
    pub fn of(&self, name: &FileName, file: &File) -> Result<Known, IndexError> {
        let sighting = self.clock.look(file)?;
        let size = sighting.stamp().size;
        // Taken out of the cache, so that it can be extended without a copy unless a snapshot
        // shares it.
        let index = match self.take(name) {
            Some(Remembered { sighting: earlier, index })
                // The file is only read if its stamp proves nothing.
                if earlier.proves(sighting.stamp()) || fits(&index, size, file)? =>
            {
                Index::grown(index, size, file)?
            }
            _ => Arc::new(Index::of(file)?),
        };
        self.remember(name, sighting, &index);
        Ok(Known { index, sighting })
    }

    /// Whether a file in the state `now`, whatever its name, is known to begin with the messages of
    /// `index`, each at its place. Reads nothing.
    #[must_use]
    pub fn prove(&self, name: &FileName, now: Stamp, index: &Index) -> bool {
        self.lock().get(name).is_some_and(|remembered| {
            remembered.sighting.proves(now) && remembered.index.continues(index)
        })
    }

    /// Notes that this process has appended to a file, and no other program in the meantime.
    pub fn appended(&self, name: &FileName, before: Stamp, after: Stamp) {
        if let Some(remembered) = self.lock().get_mut(name)
            && remembered.sighting.proves(before)
        {
            remembered.sighting = self.clock.changed_by_us(after);
        }
    }

    /// Notes that this process has replaced a file. The new one contains those messages of `old`
    /// for which `kept` returns `true`, one after the other.
    pub fn replaced(
        &self,
        name: &FileName,
        stamp: Stamp,
        old: &Index,
        kept: impl Fn(usize) -> bool,
    ) {
        let mut messages = Vec::new();
        let mut removed = 0;
        for (nth, message) in old.messages.iter().enumerate() {
            if kept(nth) {
                let mut message = message.clone();
                message.span = message.span.moved_down(removed);
                messages.push(message);
            } else {
                removed += message.span.end - message.span.start;
            }
        }
        // Scanned up to 0: the new file may hold messages that arrived after the old index was
        // made.
        let (generation, form) = (new_generation(), old.form.clone());
        let index = Index { messages, generation, scanned: 0, form, before: old.before };
        self.remember(name, self.clock.changed_by_us(stamp), &Arc::new(index));
    }

    /// Drops the index of a file whose content has become uncertain.
    pub fn forget(&self, name: &FileName) {
        self.lock().remove(name);
    }

    /// Whether the cached index of a file continues `earlier`; also `true` if none is cached.
    pub fn known_to_continue(&self, name: &FileName, earlier: &Index) -> bool {
        self.lock().get(name).is_none_or(|remembered| remembered.index.continues(earlier))
    }

    fn take(&self, name: &FileName) -> Option<Remembered> {
        self.lock().remove(name)
    }

    fn remember(&self, name: &FileName, sighting: Sighting, index: &Arc<Index>) {
        let mut remembered = self.lock();
        let others: usize = remembered.values().map(|other| other.index.messages.len()).sum();
        if others + index.messages.len() > REMEMBERED_MOST {
            // Others still hold the indexes in use: dropping them here would free no memory.
            remembered.retain(|_, other| Arc::strong_count(&other.index) > 1);
        }
        remembered.insert(Arc::clone(name), Remembered { sighting, index: Arc::clone(index) });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileName, Remembered>> {
        self.remembered.lock()
    }
}

/// Whether a file of this size begins as the index says.
fn fits(index: &Index, size: u64, file: &File) -> Result<bool, IndexError> {
    if size < index.scanned {
        return Ok(false);
    }
    match index.still_fits(file) {
        Err(ReadError::Changed) => Ok(false),
        fits => Ok(fits?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &[u8] = b"From x Wed Sep 17 11:00:00 2025\nx\n\n";

    /// A mailbox with one message, in a directory where each change gets a time of its own, or not.
    fn mailbox(is_exact: bool) -> (tempfile::TempDir, File, Indexes) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.mbox");
        std::fs::write(&path, ENTRY).unwrap();
        let file = File::options().read(true).append(true).open(&path).unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let (device, _) = Stamp::of_file(&file).unwrap().identity;
        let clock = Clock::pretend(&files, is_exact.then_some(device));
        (dir, file, Indexes { clock, remembered: Mutex::default() })
    }

    fn append(mut file: &File) -> (Stamp, Stamp) {
        use std::io::Write;
        let before = Stamp::of_file(file).unwrap();
        file.write_all(ENTRY).unwrap();
        (before, Stamp::of_file(file).unwrap())
    }

    #[test]
    fn our_own_appends_keep_what_is_known_and_those_of_others_do_not() {
        let (_dir, file, indexes) = mailbox(true);
        let name: FileName = "u.mbox".into();
        let one = indexes.of(&name, &file).unwrap().index;
        let (before, after) = append(&file);
        indexes.appended(&name, before, after);
        assert!(indexes.prove(&name, after, &one));
        let two = indexes.of(&name, &file).unwrap().index;
        assert!(two.continues(&one) && two.messages.len() == 2);
        let (_, foreign) = append(&file);
        assert!(!indexes.prove(&name, foreign, &one));
        // Our append proves nothing about what another program did before it.
        let (_, after) = append(&file);
        indexes.appended(&name, foreign, after);
        assert!(!indexes.prove(&name, after, &one));
        // Reading all of it tells.
        let four = indexes.of(&name, &file).unwrap().index;
        assert!(four.continues(&one) && four.messages.len() == 4);
        assert!(indexes.prove(&name, after, &one));
    }

    #[test]
    fn where_times_are_coarse_no_append_proves_anything() {
        let (_dir, file, indexes) = mailbox(false);
        let name: FileName = "u.mbox".into();
        let one = indexes.of(&name, &file).unwrap().index;
        let (before, after) = append(&file);
        indexes.appended(&name, before, after);
        assert!(!indexes.prove(&name, after, &one));
        assert!(indexes.of(&name, &file).unwrap().index.continues(&one));
    }

    #[test]
    fn whatever_is_changed_in_the_part_that_is_known_is_seen() {
        let mailbox = [b"\n".as_slice(), ENTRY, ENTRY].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.mbox");
        std::fs::write(&path, &mailbox).unwrap();
        let index = Index::of(&File::open(&path).unwrap()).unwrap();
        assert!(index.still_fits(&File::open(&path).unwrap()).unwrap());
        for at in 0..mailbox.len() {
            let mut changed = mailbox.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert!(!index.still_fits(&File::open(&path).unwrap()).unwrap(), "{at}");
        }
    }
}
