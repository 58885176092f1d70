//! What is where in a mailbox, remembered: extended when the file only grew, made anew when it
//! changed otherwise. Whoever asks holds the file's lock.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use md5::{Digest, Md5};

use crate::store::files::{FileName, Stamp, Window};
use crate::store::from_line::Form;
use crate::store::mbox::{End, NotMbox, Scanner, Span, Unquoter};

/// Octets looked at at once; small enough to stay in a processor's cache between the passes.
const SCANNED_AT_ONCE: usize = 512 * 1024;

/// Messages that may be remembered, of all mailboxes together; beyond, the mailboxes that are not
/// in use are forgotten, and scanned again at their next visit.
const REMEMBERED_MOST: usize = 2_000_000;

/// How many messages of a grown file are compared before its beginning is believed unchanged:
/// all of a small mailbox, some of a large one. What is in their way moves those behind it.
const PROBES: usize = 64;

/// Octets of each that are compared.
const PROBED: u64 = 4 * 1024;

/// The MD5 of a message as POP3 sends it: its unique-id (RFC 1939 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId([u8; 16]);

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it is.
    pub span: Span,
    /// Its unique-id, once somebody asked for it.
    unique_id: OnceLock<UniqueId>,
}

impl Message {
    fn at(span: Span) -> Self {
        Self { span, unique_id: OnceLock::new() }
    }

    /// Its unique-id, if it is known.
    #[must_use]
    pub fn known_unique_id(&self) -> Option<UniqueId> {
        self.unique_id.get().copied()
    }

    /// Its unique-id, made from what `window` shows if it is not known.
    pub fn unique_id(&self, window: &mut Window<'_>) -> Result<UniqueId, ReadError> {
        if let Some(known) = self.known_unique_id() {
            return Ok(known);
        }
        let unique_id = self.unique_id_now(window)?;
        // Two sessions may have computed it at once; they agree.
        let _ = self.unique_id.set(unique_id);
        Ok(unique_id)
    }

    /// The unique-id of what `window` shows now, whatever it was.
    pub fn unique_id_now(&self, window: &mut Window<'_>) -> Result<UniqueId, ReadError> {
        let mut hash = Md5::new();
        read_text(&self.span, window, |text| hash.update(text))?;
        Ok(UniqueId(hash.finalize().into()))
    }
}

/// Hands the text of a message, as POP3 sends it, to `text`; an error if it is not as long as it
/// was when it was found.
pub fn read_text(
    span: &Span,
    window: &mut Window<'_>,
    mut text: impl FnMut(&[u8]),
) -> Result<(), ReadError> {
    let mut octets = 0_u64;
    let mut count = |piece: &[u8]| {
        octets += piece.len() as u64;
        text(piece);
    };
    let mut unquoter = Unquoter::default();
    let mut at = span.text;
    while at < span.text_end {
        let piece = window.at(at, span.text_end).map_err(ReadError::at_end_of_file)?;
        at += piece.len() as u64;
        unquoter.push(piece, &mut count);
    }
    unquoter.finish(&mut count);
    if octets == span.octets { Ok(()) } else { Err(ReadError::Changed) }
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
    /// The system says why.
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
    /// In the order of the file.
    pub messages: Vec<Message>,
    /// Same number, same messages at the same places, as far as both reach.
    generation: u64,
    /// How much of the file has been looked at.
    scanned: u64,
    /// What separates the messages; `None` if nothing is known yet.
    pub(super) form: Option<Form>,
    /// How some of the messages begin.
    probes: Vec<Probe>,
}

/// A stretch of a file, and what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    stretch: Range<u64>,
    checksum: u32,
}

impl Probe {
    fn of(file: &File, stretch: Range<u64>) -> io::Result<Self> {
        let length = usize::try_from(stretch.end - stretch.start).unwrap_or(0);
        let mut octets = vec![0; length];
        file.read_exact_at(&mut octets, stretch.start)?;
        Ok(Self { stretch, checksum: crc32fast::hash(&octets) })
    }

    fn still_holds(&self, file: &File) -> bool {
        Self::of(file, self.stretch.clone()).is_ok_and(|now| now == *self)
    }
}

fn new_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Why a mailbox has no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is no mbox.
    #[error(transparent)]
    NotMbox(#[from] NotMbox),
    /// The system says why.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Index {
    fn of(file: &File) -> Result<Self, IndexError> {
        let generation = new_generation();
        let mut index =
            Self { messages: Vec::new(), generation, scanned: 0, form: None, probes: vec![] };
        index.scan(file, 0)?;
        Ok(index)
    }

    /// Where the messages of a file are.
    pub fn spans(file: &File) -> Result<Vec<Span>, IndexError> {
        Ok(Self::of(file)?.messages.iter().map(|message| message.span).collect())
    }

    /// Whether the messages of `earlier` are the first of these, unchanged.
    #[must_use]
    pub const fn continues(&self, earlier: &Self) -> bool {
        self.generation == earlier.generation
    }

    /// Looks at what has been appended. The last message is looked at again: where it ends may
    /// depend on what follows.
    fn extended(mut self, file: &File) -> Result<Self, IndexError> {
        let last = self.messages.pop().map(|last| last.span.start);
        let place = self.messages.len();
        // Whether the first message of a file is one may depend on what follows, too.
        let from = if place == 0 { 0 } else { last.unwrap_or(0) };
        self.scan(file, from)?;
        let there = self.messages.get(place).map(|message| message.span.start);
        if last.is_some() && there != last {
            self.generation = new_generation();
        }
        Ok(self)
    }

    fn scan(&mut self, file: &File, from: u64) -> Result<(), IndexError> {
        let mut scanner = Scanner::at(from, self.form.take());
        let mut buffer = vec![0; SCANNED_AT_ONCE];
        let (mut at, mut kept) = (from, 0);
        loop {
            let read = file.read_at(buffer.get_mut(kept..).unwrap_or_default(), at)?;
            let filled = kept + read;
            let end = if read == 0 { End::Here } else { End::More };
            let window = buffer.get(..filled).unwrap_or_default();
            let messages = &mut self.messages;
            let used = scanner.window(window, end, |span| messages.push(Message::at(span)))?;
            at += read as u64;
            if read == 0 {
                break;
            }
            buffer.copy_within(used..filled, 0);
            kept = filled - used;
        }
        self.form = scanner.form().cloned();
        self.messages.extend(scanner.finish().map(Message::at));
        self.scanned = at;
        self.probes = self.probe(file)?;
        Ok(())
    }

    fn probe(&self, file: &File) -> io::Result<Vec<Probe>> {
        let step = self.messages.len().div_ceil(PROBES).max(1);
        let probed = self.messages.iter().step_by(step).chain(self.messages.last());
        let stretch = |span: Span| span.start..span.end.min(span.start + PROBED);
        probed.map(|message| Probe::of(file, stretch(message.span))).collect()
    }

    /// Whether a file that has grown still begins as it did, as far as probes can tell.
    pub(super) fn still_fits(&self, file: &File) -> bool {
        self.probes.iter().all(|probe| probe.still_holds(file))
    }

    /// Whether a message still begins as it did, if that was noted: it is not of all messages of a
    /// large mailbox.
    #[must_use]
    pub fn still_begins(&self, message: &Message, file: &File) -> bool {
        let start = message.span.start;
        self.probes.iter().filter(|one| one.stretch.start == start).all(|one| one.still_holds(file))
    }

    /// The unique-ids of all messages. Both halves of the work, or however many processors there
    /// are, are done at once: MD5 is slower than any disk cache.
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

/// The indexes of the mailboxes that have been visited.
#[derive(Debug, Default)]
pub struct Indexes {
    remembered: Mutex<HashMap<FileName, Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    /// The file when it was last known to begin as the index says.
    stamp: Stamp,
    index: Arc<Index>,
}

impl Indexes {
    /// The index of `name`, whose lock the caller holds and whose descriptor is `file`.
    pub fn of(&self, name: &FileName, file: &File) -> Result<Arc<Index>, IndexError> {
        let stamp = Stamp::of_file(file)?;
        let index = match self.take(name) {
            Some(Remembered { stamp: known, index }) if known == stamp => {
                Self::grown(index, stamp, file)?
            }
            Some(Remembered { stamp: known, index })
                if known.identity == stamp.identity
                    && stamp.size > index.scanned
                    && !index.probes.is_empty()
                    && index.still_fits(file) =>
            {
                Self::grown(index, stamp, file)?
            }
            _ => Arc::new(Index::of(file)?),
        };
        self.remember(name, stamp, &index);
        Ok(index)
    }

    fn grown(index: Arc<Index>, stamp: Stamp, file: &File) -> Result<Arc<Index>, IndexError> {
        if index.scanned == stamp.size {
            return Ok(index);
        }
        Ok(Arc::new(Arc::unwrap_or_clone(index).extended(file)?))
    }

    /// Says that this process has appended to a file, and nobody else meanwhile.
    pub fn appended(&self, name: &FileName, before: Stamp, after: Stamp) {
        if let Some(remembered) = self.lock().get_mut(name)
            && remembered.stamp == before
        {
            remembered.stamp = after;
        }
    }

    /// Says that this process has replaced a file, and what is in the new one: of `old`, the
    /// messages for which `kept` says so, one behind the other.
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
        // Nothing of the new file has been looked at: what arrived since the old index was made is
        // not in here, and no probe says yet how the messages begin.
        let (generation, form) = (new_generation(), old.form.clone());
        let index = Index { messages, generation, scanned: 0, form, probes: vec![] };
        self.remember(name, stamp, &Arc::new(index));
    }

    /// Forgets a file: it cannot be trusted to hold what it did.
    pub fn forget(&self, name: &FileName) {
        self.lock().remove(name);
    }

    /// Whether what is remembered of a file continues `earlier`; so does nothing at all.
    pub fn known_to_continue(&self, name: &FileName, earlier: &Index) -> bool {
        self.lock().get(name).is_none_or(|remembered| remembered.index.continues(earlier))
    }

    fn take(&self, name: &FileName) -> Option<Remembered> {
        self.lock().remove(name)
    }

    fn remember(&self, name: &FileName, stamp: Stamp, index: &Arc<Index>) {
        let mut remembered = self.lock();
        let others: usize = remembered.values().map(|other| other.index.messages.len()).sum();
        if others + index.messages.len() > REMEMBERED_MOST {
            remembered.retain(|_, other| Arc::strong_count(&other.index) > 1);
        }
        remembered.insert(Arc::clone(name), Remembered { stamp, index: Arc::clone(index) });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileName, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
