//! The relay queue: an mbox file whose messages carry their envelope and its state in a block of
//! header fields ahead of their own.
//!
//! The block begins right behind the From_ line and is closed by its own last line, so that no
//! line of a message can pose as envelope:
//!
//! ```text
//! From <alice@localhost> Wed Sep 17 11:00:00 2025
//! X-MC-Id: 68ca9f30-2b1f-0
//! X-MC-From: <alice@localhost>
//! X-MC-Queued: 1758106800
//! X-MC-Client: [127.0.0.1] client.example
//! X-MC-Rcpt: P 1 1758107100 <bob@example.org> 451 4.7.1 later
//! X-MC-Rcpt: D 1 0 <carol@example.net> 250 OK
//! X-MC-Tried: 1758106800 deferred 4.7.1 mx.example.org <bob@example.org> 451 4.7.1 later
//! X-MC-End:
//! Subject: the message begins here
//! ```
//!
//! A recipient's letter is P (pending), D (done with: delivered, or its sender has been told), F
//! (failed) or H (held); behind it stand the attempts so far, when the next is due (seconds since
//! 1970; 0 for at once) and, behind the path, what was last replied. The client and what was tried
//! may be missing: entries of old have neither.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{Access, Creation, FileName, Files, Stamp, Window};
use crate::store::ground::QUEUE_FILE;
use crate::store::index::{Index, IndexError, Message};
use crate::store::lock::{self, LockedFile, OfdLock, Purpose};
use crate::store::mbox::{self, NotMbox, Span};
use crate::store::overview::{QueueView, RecipientState};
use crate::store::reader::MessageReader;
use crate::store::rewrite::Draft;

/// What a relay run keeps locked, so that there is one at a time.
const RUN_LOCK: &str = ".mqueue.relay";

/// Octets of an envelope block at most: 1,000 recipients of 800 octets, with a reply and an attempt
/// each, and [`TRIED_MOST`] more attempts.
const BLOCK_MOST: u64 = 4 * 1024 * 1024;

/// Attempts that an entry remembers besides the last one for each of its recipients; of more, the
/// oldest go.
const TRIED_MOST: usize = 200;

/// How long the file is still waited for after the end of all waiting has come.
const GRACE: Duration = Duration::from_millis(300);

const ID: &str = "X-MC-Id: ";
const FROM: &str = "X-MC-From: ";
const QUEUED: &str = "X-MC-Queued: ";
const CLIENT: &str = "X-MC-Client: ";
const RECIPIENT: &str = "X-MC-Rcpt: ";
const TRIED: &str = "X-MC-Tried: ";
const END: &str = "X-MC-End:";

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// How far it is.
    pub state: RecipientState,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, in seconds since 1970; 0 for at once.
    pub next_attempt: u64,
    /// Its address, without brackets.
    pub forward_path: String,
    /// What was last replied, without control characters; empty before the first attempt.
    pub last_reply: String,
}

/// Who has brought a message, for its `Received:` field (RFC 5321 section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// How it introduced itself to us: the argument of its HELO, in printable ASCII.
    pub helo: String,
}

/// An attempt to deliver to a recipient who is still there, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// When, in seconds since 1970.
    pub at: u64,
    /// How it ended.
    pub ended: Ended,
    /// An enhanced status code (RFC 3463).
    pub status: String,
    /// The host whose reply it is; none if the words are our own.
    pub host: Option<String>,
    /// The recipient, without brackets.
    pub forward_path: String,
    /// What was replied, without control characters.
    pub reply: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Not now.
    Deferred,
    /// Not now: a host has broken the conversation about this message off.
    Broke,
    /// Never.
    Failed,
}

impl Ended {
    const ALL: [Self; 3] = [Self::Deferred, Self::Broke, Self::Failed];

    /// The word for it, in the file and for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Broke => "broke-off",
            Self::Failed => "failed",
        }
    }
}

/// The envelope of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names the message for good, also in its `Received:` field.
    pub id: String,
    /// Who sent it, without brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// When it was queued, in seconds since 1970.
    pub queued: u64,
    /// Who has brought it, if that is known.
    pub client: Option<Client>,
    /// Who is to get it.
    pub recipients: Vec<Recipient>,
    /// What has been tried, oldest first.
    pub tried: Vec<Tried>,
}

/// The block of a message that is being queued now.
#[must_use]
pub fn envelope_block(
    reverse_path: &str,
    client: Option<&Client>,
    forward_paths: &[String],
) -> String {
    let recipient = |forward_path: &String| Recipient {
        state: RecipientState::Pending,
        attempts: 0,
        next_attempt: 0,
        forward_path: forward_path.clone(),
        last_reply: String::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let block = Block {
        id: new_id(now),
        reverse_path: reverse_path.to_owned(),
        queued: now.as_secs(),
        client: client.cloned(),
        recipients: forward_paths.iter().map(recipient).collect(),
        tried: Vec::new(),
    };
    block.render()
}

/// Different for every message of every process.
fn new_id(now: Duration) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{number:x}", now.as_nanos(), std::process::id())
}

impl Block {
    /// The block as it stands in the file.
    #[must_use]
    pub fn render(&self) -> String {
        use std::fmt::Write;
        let mut block = String::new();
        let _ = writeln!(block, "{ID}{}", self.id);
        let _ = writeln!(block, "{FROM}<{}>", self.reverse_path);
        let _ = writeln!(block, "{QUEUED}{}", self.queued);
        if let Some(Client { address, helo }) = &self.client {
            let _ = writeln!(block, "{CLIENT}[{address}] {helo}");
        }
        for recipient in &self.recipients {
            let _ = writeln!(block, "{RECIPIENT}{}", recipient.render());
        }
        for tried in &self.tried {
            let _ = writeln!(block, "{TRIED}{}", tried.render());
        }
        let _ = writeln!(block, "{END}");
        block
    }

    /// The block that `text` (what stands behind a From_ line) begins with, and its length in
    /// octets; `None` if it begins with none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let mut letters = Vec::new();
        Self::parse_noting(text, &mut letters)
    }

    /// As [`parse`](Self::parse); notes where the letter of each recipient stands.
    fn parse_noting(text: &[u8], letters: &mut Vec<usize>) -> Option<(Self, usize)> {
        let mut lines = Lines { rest: text, used: 0 };
        let mut block = Self {
            id: lines.field(ID)?.to_owned(),
            reverse_path: path(lines.field(FROM)?)?.0.to_owned(),
            queued: lines.field(QUEUED)?.parse().ok()?,
            client: None,
            recipients: Vec::new(),
            tried: Vec::new(),
        };
        loop {
            let letter = lines.used + RECIPIENT.len();
            let line = lines.next()?;
            if let Some(recipient) = line.strip_prefix(RECIPIENT) {
                block.recipients.push(Recipient::parse(recipient)?);
                letters.push(letter);
            } else if let Some(tried) = line.strip_prefix(TRIED) {
                block.tried.push(Tried::parse(tried)?);
            } else if let Some(client) = line.strip_prefix(CLIENT) {
                block.client = Some(Client::parse(client)?);
            } else {
                return (line.trim_end() == END).then_some((block, lines.used));
            }
        }
    }

    /// The last attempt for a recipient, if it is remembered.
    #[must_use]
    pub fn last_tried(&self, forward_path: &str) -> Option<&Tried> {
        self.tried.iter().rfind(|tried| tried.forward_path == forward_path)
    }

    /// Remembers attempts, which were later than those that are remembered. The last one for each
    /// recipient stays, and the latest of the others; nothing of who is no longer there.
    pub fn remember(&mut self, attempts: impl IntoIterator<Item = Tried>) {
        self.tried.extend(attempts);
        let there: HashSet<&str> =
            self.recipients.iter().map(|recipient| recipient.forward_path.as_str()).collect();
        let mut without_last = there.clone();
        let mut others = 0;
        let mut kept = Vec::with_capacity(self.tried.len());
        for tried in self.tried.iter().rev() {
            let is_last = without_last.remove(tried.forward_path.as_str());
            let is_there = there.contains(tried.forward_path.as_str());
            others += usize::from(is_there && !is_last);
            kept.push(is_last || is_there && others <= TRIED_MOST);
        }
        let mut kept = kept.into_iter().rev();
        self.tried.retain(|_| kept.next().unwrap_or(true));
    }
}

impl Client {
    fn parse(line: &str) -> Option<Self> {
        let (address, helo) = line.strip_prefix('[')?.split_once("] ")?;
        Some(Self { address: address.parse().ok()?, helo: helo.to_owned() })
    }
}

impl Tried {
    fn render(&self) -> String {
        let Self { at, ended, status, host, forward_path, reply } = self;
        let host = host.as_deref().unwrap_or(NO_HOST);
        let line = format!("{at} {} {status} {host} <{forward_path}> {reply}", ended.word());
        line.trim_end().to_owned()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        let at = words.next()?.parse().ok()?;
        let ended = words.next()?;
        let ended = Ended::ALL.into_iter().find(|one| one.word() == ended)?;
        let status = words.next()?.to_owned();
        let host = words.next().map(|host| (host != NO_HOST).then(|| host.to_owned()))?;
        let (forward_path, reply) = path(words.next()?)?;
        Some(Self {
            at,
            ended,
            status,
            host,
            forward_path: forward_path.to_owned(),
            reply: reply.to_owned(),
        })
    }
}

/// Stands where a host's name would, if the words are our own.
const NO_HOST: &str = "-";

impl Recipient {
    fn render(&self) -> String {
        let Self { attempts, next_attempt, forward_path, last_reply, .. } = self;
        let letter = match self.state {
            RecipientState::Pending => 'P',
            RecipientState::Delivered => 'D',
            RecipientState::Failed => 'F',
            RecipientState::Held => 'H',
        };
        let line = format!("{letter} {attempts} {next_attempt} <{forward_path}> {last_reply}");
        line.trim_end().to_owned()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let state = match words.next()? {
            "P" => RecipientState::Pending,
            "D" => RecipientState::Delivered,
            "F" => RecipientState::Failed,
            "H" => RecipientState::Held,
            _ => return None,
        };
        let attempts = words.next()?.parse().ok()?;
        let next_attempt = words.next()?.parse().ok()?;
        let (forward_path, last_reply) = path(words.next()?)?;
        Some(Self {
            state,
            attempts,
            next_attempt,
            forward_path: forward_path.to_owned(),
            last_reply: last_reply.to_owned(),
        })
    }
}

/// `<path>` and what follows it. A `>` inside a quoted local part is part of the path.
fn path(text: &str) -> Option<(&str, &str)> {
    let path = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    let end = path.find(|character| {
        let literal = std::mem::take(&mut escaped);
        match character {
            '\\' if !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        character == '>' && !quoted && !literal
    })?;
    let (path, rest) = path.split_at(end);
    Some((path, rest.strip_prefix('>')?.trim_start()))
}

/// The lines of a block, one after the other.
struct Lines<'a> {
    rest: &'a [u8],
    used: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        self.used += line.len();
        // A program that rewrote the file may have given it CRLF line ends.
        let line = line.get(..end)?;
        str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()
    }

    fn field(&mut self, name: &str) -> Option<&'a str> {
        self.next()?.strip_prefix(name)
    }
}

/// A queued message and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its envelope.
    pub block: Block,
    /// Octets of the message text, with CRLF line ends.
    pub octets: u64,
    /// The message with its block.
    span: Span,
    /// Where, from the beginning of the block, the letter of each recipient stands.
    letters: Vec<usize>,
    /// Where the text behind the block begins.
    text: u64,
}

/// Octets of an entry that are read first; most blocks are shorter.
const READ_FIRST: u64 = 4 * 1024;

impl Entry {
    /// The queued message at `span`; `None` if it has no envelope and is not ours.
    fn read(span: Span, window: &mut Window<'_>) -> io::Result<Option<Self>> {
        Self::read_by(span, |at, end, text| {
            text.extend_from_slice(window.at(at, end)?);
            Ok(())
        })
    }

    /// The same, of one message alone: little is read.
    fn read_alone(span: Span, file: &File) -> io::Result<Option<Self>> {
        Self::read_by(span, |at, end, text| {
            let before = text.len();
            let octets = usize::try_from(end - at).unwrap_or(0);
            text.resize(before + octets, 0);
            file.read_exact_at(text.get_mut(before..).unwrap_or_default(), at)
        })
    }

    /// `more` appends what stands from one place to another, or a part of it.
    fn read_by(
        span: Span,
        mut more: impl FnMut(u64, u64, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Option<Self>> {
        let most = span.text_end.min(span.text + BLOCK_MOST);
        let (mut text, mut letters) = (Vec::new(), Vec::new());
        let mut at = span.text;
        while at < most {
            more(at, most.min(at + READ_FIRST.max(text.len() as u64)), &mut text)?;
            at = span.text + text.len() as u64;
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

    const fn place(&self) -> Place {
        Place { span: self.span, text: self.text }
    }

    /// An entry that lies nowhere, of which tests need only the block.
    #[cfg(test)]
    pub(crate) fn of_block(block: Block, octets: u64) -> Self {
        let span = Span { start: 0, text: 0, text_end: 0, end: 0, octets };
        Self { block, octets, span, letters: Vec::new(), text: 0 }
    }

    /// Where, from the beginning of the block, the letter of the recipient with this path stands,
    /// and what it says.
    fn letter_of(&self, forward_path: &str) -> Option<(u64, RecipientState)> {
        let mut recipients = self.block.recipients.iter().zip(&self.letters);
        let (there, letter) = recipients.find(|(there, _)| there.forward_path == forward_path)?;
        Some((*letter as u64, there.state))
    }
}

/// Where an entry lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    span: Span,
    /// Where its message begins, behind its block.
    text: u64,
}

impl Place {
    /// The entry of this id, if this is where it lies.
    fn entry(self, id: &str, file: &File) -> Option<Entry> {
        let there = Entry::read_alone(self.span, file).ok().flatten()?;
        // It may begin where it was and end elsewhere, if its block has been edited.
        (there.block.id == id && there.text == self.text).then_some(there)
    }
}

/// Where the entries of the queue are, by their ids: made in one pass, and anew only if another
/// file has taken the queue's place or entries have moved in it.
#[derive(Debug)]
struct Places {
    /// The file that has been looked at.
    identity: (u64, u64),
    index: Arc<Index>,
    by_id: HashMap<String, Place>,
    /// The last entry, by which it shows that the file has only grown.
    last: Option<(String, Place)>,
}

impl Places {
    fn of(file: &File) -> Result<Self, QueueError> {
        let identity = Stamp::of_file(file)?.identity;
        let index = Arc::new(Index::of(file)?);
        let mut places = Self { identity, index, by_id: HashMap::new(), last: None };
        places.note_from(0, file)?;
        Ok(places)
    }

    /// The same for a file that has only grown; `None` if it has changed otherwise.
    fn grown(mut self, file: &File) -> Result<Option<Self>, QueueError> {
        let Stamp { identity, size, .. } = Stamp::of_file(file)?;
        let stands = |(id, place): &(String, Place)| place.entry(id, file).is_some();
        let is_same = self.identity == identity && self.last.as_ref().is_some_and(stands);
        if !is_same || size < self.index.scanned() {
            return Ok(None);
        }
        // Where the last one ends may have depended on what followed.
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

/// The entry of this id, wherever in the file it is.
fn find_by_id(
    id: &str,
    file: &File,
    known: &mut Option<Places>,
) -> Result<Option<Entry>, QueueError> {
    let places = known.take().map(|places| places.grown(file)).transpose()?.flatten();
    let is_known = |places: &Places| match places.by_id.get(id) {
        // An entry that has been dropped costs no other pass.
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

/// The recipients of the messages at `spans`, as a list shows them; `most` at most.
pub(super) fn views(
    file: &File,
    spans: impl Iterator<Item = Span>,
    most: usize,
) -> io::Result<Vec<QueueView>> {
    let mut window = Window::new(file);
    let mut views = Vec::new();
    for span in spans {
        let Some(entry) = Entry::read(span, &mut window)? else { continue };
        let Entry { block, octets, .. } = &entry;
        views.extend(block.recipients.iter().map(|recipient| view(block, recipient, *octets)));
        if views.len() >= most {
            views.truncate(most);
            break;
        }
    }
    Ok(views)
}

fn view(block: &Block, recipient: &Recipient, octets: u64) -> QueueView {
    let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    QueueView {
        id: block.id.clone(),
        reverse_path: block.reverse_path.clone(),
        recipient: recipient.forward_path.clone(),
        state: recipient.state,
        octets,
        queued: at(block.queued).unwrap_or(UNIX_EPOCH),
        attempts: recipient.attempts,
        last_reply: recipient.last_reply.clone(),
        next_attempt: (recipient.next_attempt > 0).then(|| at(recipient.next_attempt)).flatten(),
    }
}

/// The relay queue of a directory.
///
/// Nothing here is held while a network is waited for: a run takes a list of the entries, and says
/// afterwards, by their ids, what has become of them. What is queued meanwhile stays.
#[derive(Debug, Clone)]
pub struct Queue {
    committer: Arc<Committer>,
    name: FileName,
    /// For entries that are not where they were. Clones share it.
    places: Arc<Mutex<Option<Places>>>,
    /// Ends all waiting for other programs.
    stop: CancellationToken,
}

/// Why the queue cannot be read or changed. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another program has had it locked for 30 s.
    #[error("another program keeps the relay queue locked")]
    Busy,
    /// The file is no mbox; it is left as it is.
    #[error("the relay queue is {0}")]
    NotMbox(NotMbox),
    /// Something else has its name.
    #[error("the relay queue is not a regular file: something else has the name {QUEUE_FILE}")]
    NotRegular,
    /// The entry is not there any more.
    #[error("the entry is no longer in the relay queue")]
    Gone,
    /// The system says why.
    #[error("the relay queue cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

impl From<LockError> for QueueError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::Missing => Self::Gone,
            LockError::Io(error) => Self::Io(error),
        }
    }
}

impl From<IndexError> for QueueError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NotMbox(why) => Self::NotMbox(why),
            IndexError::Io(error) => Self::Io(error),
        }
    }
}

/// What an edit has made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Nothing: it stays as it lies there.
    Unchanged,
    /// Its block was changed.
    Changed,
    /// It is to be removed, with its message.
    Removed,
}

impl Queue {
    pub(super) fn of(committer: &Arc<Committer>) -> Self {
        let stop = CancellationToken::new();
        Self {
            committer: Arc::clone(committer),
            name: QUEUE_FILE.into(),
            places: Arc::default(),
            stop,
        }
    }

    /// The same, for which other programs are waited for no longer than until `stop`, and a little.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The entries as they are now, in the order of the file. Messages without an envelope are
    /// not among them.
    pub async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let queue = self.clone();
        let list = move |locked: LockedFile| queue.list(locked.file());
        match self.locked(Purpose::Read, list).await {
            Ok(listed) => listed,
            Err(LockError::Missing) => self.nothing(),
            Err(error) => Err(error.into()),
        }
    }

    /// Where there is no queue file, nothing has ever been queued.
    fn nothing<T>(&self) -> Result<Vec<T>, QueueError> {
        if self.committer.ground().files.is_irregular(QUEUE_FILE)? {
            Err(QueueError::NotRegular)
        } else {
            Ok(Vec::new())
        }
    }

    /// Works on the file as soon as it is locked.
    async fn locked<R: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(LockedFile) -> R + Send + 'static,
    ) -> Result<R, LockError> {
        let stopped = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        committer::with_locked_until(&self.committer, &self.name, purpose, stopped, work).await
    }

    fn list(&self, file: &File) -> Result<Vec<Entry>, QueueError> {
        let index = self.committer.ground().indexes.of(&self.name, file)?.index;
        let mut window = Window::new(file);
        let read = |message: &Message| Entry::read(message.span, &mut window).transpose();
        Ok(index.messages.iter().filter_map(read).collect::<io::Result<_>>()?)
    }

    /// Opens the text of an entry, as it was sent. What is read of it stays what it is now, also
    /// if the queue is compacted meanwhile.
    pub async fn text(&self, entry: &Entry) -> Result<MessageReader, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let open = move |locked: LockedFile| {
            let entry = queue.find(locked.file(), &entry)?;
            let file = queue.committer.ground().files.open_file(
                QUEUE_FILE,
                Access::Read,
                Creation::Never,
            )?;
            let text = Span { text: entry.text, octets: entry.octets, ..entry.span };
            Ok(MessageReader::of_span(Arc::new(file), text))
        };
        self.locked(Purpose::Read, open).await?
    }

    /// Marks recipients of an entry (by their place in its block) as delivered: one small write
    /// for each, and one sync. To be called right after the remote's 250, before anything else: what
    /// is not marked when the machine dies is sent again.
    pub async fn mark_delivered(
        &self,
        entry: &Entry,
        recipients: Vec<usize>,
    ) -> Result<(), QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let mark = move |locked: LockedFile| {
            let of_entry = entry.block.recipients.iter();
            let mut done = of_entry.enumerate().filter(|(nth, _)| recipients.contains(nth));
            let done = done.by_ref().map(|(_, recipient)| recipient.forward_path.as_str());
            queue.mark(locked.file(), |mark| mark.done(&entry, done, |_| true))
        };
        self.locked(Purpose::Write, mark).await?
    }

    /// Marks failed recipients of several entries as done with, because their senders have been
    /// told. One sync for all. Whoever has been retried meanwhile, or is no longer there, is let
    /// be.
    pub async fn mark_told(&self, told: Vec<(Arc<Entry>, Vec<String>)>) -> Result<(), QueueError> {
        let queue = self.clone();
        let mark = move |locked: LockedFile| {
            queue.mark(locked.file(), |mark| {
                let is_failed = |state| state == RecipientState::Failed;
                for (entry, recipients) in &told {
                    match mark.done(entry, recipients.iter().map(String::as_str), is_failed) {
                        Ok(()) | Err(QueueError::Gone) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
        };
        self.locked(Purpose::Write, mark).await?
    }

    fn mark(
        &self,
        file: &File,
        marks: impl FnOnce(&Marker<'_>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let before = Stamp::of_file(file)?;
        let marked = marks(&Marker { queue: self, file });
        self.committer.ground().durability.sync(file)?;
        // The marks move nothing, so that what is known of the file still holds.
        self.committer.ground().indexes.appended(&self.name, before, Stamp::of_file(file)?);
        marked
    }

    /// The entry as it is now: an operator may have changed it since it was listed.
    pub async fn now(&self, entry: &Entry) -> Result<Entry, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let find = move |locked: LockedFile| queue.find(locked.file(), &entry);
        self.locked(Purpose::Read, find).await?
    }

    /// The entry where it is now: usually where it was.
    fn find(&self, file: &File, entry: &Entry) -> Result<Entry, QueueError> {
        let id = &entry.block.id;
        if let Some(there) = entry.place().entry(id, file) {
            return Ok(there);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        find_by_id(id, file, &mut places)?.ok_or(QueueError::Gone)
    }

    /// Passes the block of every entry to `edit`, in one pass, and puts a file with the changes in
    /// the place of the old one, if there are any. Returns the blocks that are left.
    pub async fn edit(
        &self,
        mut edit: impl FnMut(&mut Block) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        self.edit_entries(move |entry| edit(&mut entry.block)).await
    }

    /// The same, for those who look at more than the blocks.
    pub async fn edit_entries(
        &self,
        edit: impl FnMut(&mut Entry) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        let queue = self.clone();
        let rewrite = move |locked: LockedFile| queue.rewrite(locked.file(), edit);
        match self.locked(Purpose::Rewrite, rewrite).await {
            Ok(left) => left,
            Err(LockError::Missing) => self.nothing(),
            Err(error) => Err(error.into()),
        }
    }

    fn rewrite(
        &self,
        file: &File,
        mut edit: impl FnMut(&mut Entry) -> Edit,
    ) -> Result<Vec<Block>, QueueError> {
        let mut left = Vec::new();
        let mut edited = Vec::new();
        for mut entry in self.list(file)? {
            let verdict = edit(&mut entry);
            if verdict != Edit::Removed {
                left.push(entry.block.clone());
            }
            if verdict != Edit::Unchanged {
                edited.push((entry, verdict));
            }
        }
        if !edited.is_empty() {
            self.replace(file, &edited)?;
        }
        Ok(left)
    }

    fn replace(&self, file: &File, edited: &[(Entry, Edit)]) -> Result<(), QueueError> {
        let mut draft = Draft::begin(&self.committer.ground().files, &self.name, file)?;
        let mut copied = 0;
        for (entry, edit) in edited {
            let kept_until =
                if *edit == Edit::Removed { entry.span.start } else { entry.span.text };
            draft.copy(file, copied..kept_until)?;
            copied = if *edit == Edit::Removed {
                entry.span.end
            } else {
                draft.write(entry.block.render().as_bytes())?;
                entry.text
            };
        }
        draft.copy(file, copied..Stamp::of_file(file)?.size)?;
        draft.replace()?;
        self.committer.ground().indexes.forget(&self.name);
        Ok(())
    }

    /// Takes the right to run the relay on this queue, which one process has at a time; `None` if
    /// another has it. It goes with the value, or with the process.
    pub fn begin_run(&self) -> io::Result<Option<RunLock>> {
        let file = self.committer.ground().files.own_file(RUN_LOCK)?;
        if !lock::try_ofd_lock(&file, OfdLock::Exclusive)? {
            return Ok(None);
        }
        // Its last holder may have removed it between our opening and our locking it.
        let named = self.committer.ground().files.regular(RUN_LOCK)?.map(|stamp| stamp.identity);
        if named != Some(Stamp::of_file(&file)?.identity) {
            return self.begin_run();
        }
        Ok(Some(RunLock { files: Arc::clone(&self.committer.ground().files), _file: file }))
    }
}

/// Marks recipients in the queue file, whose lock is held.
struct Marker<'a> {
    queue: &'a Queue,
    file: &'a File,
}

impl Marker<'_> {
    /// Marks these recipients of an entry as done with, where they are still in such a state.
    fn done<'a>(
        &self,
        entry: &Entry,
        recipients: impl Iterator<Item = &'a str>,
        is_meant: impl Fn(RecipientState) -> bool,
    ) -> Result<(), QueueError> {
        let there = self.queue.find(self.file, entry)?;
        for forward_path in recipients {
            // An operator may have dropped another recipient meanwhile.
            if let Some((letter, state)) = there.letter_of(forward_path)
                && is_meant(state)
            {
                self.file.write_all_at(b"D", there.span.text + letter)?;
            }
        }
        Ok(())
    }
}

/// The right to run the relay on a queue.
#[derive(Debug)]
pub struct RunLock {
    files: Arc<Files>,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Removed while it is still locked, so that whoever locks it next sees that it is gone.
        if let Err(error) = self.files.remove(RUN_LOCK) {
            tracing::warn!("cannot remove {RUN_LOCK}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(recipients: Vec<Recipient>) -> Block {
        Block {
            id: "1-2-3".into(),
            reverse_path: "a@b".into(),
            queued: 1_758_106_800,
            client: None,
            recipients,
            tried: Vec::new(),
        }
    }

    #[test]
    fn a_new_block_holds_its_envelope() {
        let client = Client { address: [127, 0, 0, 1].into(), helo: "client.example".into() };
        let recipients = ["b@example.org".into(), "\"c>d\"@x".into()];
        let text = envelope_block("a@localhost", Some(&client), &recipients);
        let message = format!("{text}Subject: x\r\nX-MC-Rcpt: P 0 0 <evil@example.org>\r\n");
        let (block, length) = Block::parse(message.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        assert_eq!(block.reverse_path, "a@localhost");
        assert_eq!(block.client, Some(client));
        let paths: Vec<_> = block.recipients.iter().map(|r| r.forward_path.as_str()).collect();
        assert_eq!(paths, ["b@example.org", "\"c>d\"@x"]);
        assert!(block.recipients.iter().all(|r| r.state == RecipientState::Pending));
    }

    #[test]
    fn a_message_without_a_block_has_no_envelope() {
        for text in
            ["", "Subject: x\n\nX-MC-Id: 1\n", "X-MC-Id: 1\nX-MC-From: <a>\nX-MC-Queued: 1\n"]
        {
            assert_eq!(Block::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_block_of_old_says_nothing_of_clients_and_attempts() {
        let text = "X-MC-Id: 1\nX-MC-From: <a@b>\nX-MC-Queued: 5\n\
                    X-MC-Rcpt: P 2 9 <c@d> 451 later\nX-MC-End:\nSubject: x\n";
        let (block, length) = Block::parse(text.as_bytes()).unwrap();
        assert_eq!((block.client.as_ref(), block.tried.len()), (None, 0));
        assert_eq!(block.render(), text[..length]);
    }

    #[test]
    fn the_last_attempt_for_each_recipient_stays_and_the_latest_of_the_others() {
        let tried = |at, forward_path: &str| Tried {
            at,
            ended: Ended::Deferred,
            status: "4.0.0".into(),
            host: None,
            forward_path: forward_path.into(),
            reply: String::new(),
        };
        let there = |path: &str| Recipient {
            state: RecipientState::Pending,
            attempts: 1,
            next_attempt: 0,
            forward_path: path.into(),
            last_reply: String::new(),
        };
        let mut block = block(vec![there("a@x"), there("b@x")]);
        block.remember([tried(1, "a@x")]);
        block.remember((2..1_000).map(|at| tried(at, if at == 2 { "gone@x" } else { "b@x" })));
        let kept: Vec<u64> = block.tried.iter().map(|tried| tried.at).collect();
        assert_eq!(kept, [vec![1], (799..1_000).collect()].concat());
        block.recipients.pop();
        block.remember([]);
        assert_eq!(block.tried.len(), 1);
        assert_eq!(block.last_tried("a@x").map(|tried| tried.at), Some(1));
        assert_eq!(block.last_tried("b@x"), None);
    }

    /// Puts entries of these ids into a file, where it is.
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
        let block = block(Vec::new());
        Block { id: id.into(), reverse_path: reverse_path.into(), ..block }.render()
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

        // One that has come since is found, and one that is not there costs no other pass.
        write(&file, &["1", "2", "3", "4"]);
        let (fourth, index) = find("4");
        let (gone, again) = find("gone");
        assert!(fourth > third && gone.is_none() && Arc::ptr_eq(&index, &again));

        // Another program has taken one away, and the file is where it was.
        write(&file, &["1", "3", "4"]);
        let (third, index) = find("3");
        let (fourth, again) = find("4");
        assert!(third == second && fourth > third && Arc::ptr_eq(&index, &again));
        assert_eq!(find("2").0, None);

        // The last ones stand where they did, and what is before them has moved.
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

    fn attempt() -> impl Strategy<Value = Tried> {
        let host = prop::option::of("[a-z.]{1,9}|\\[[0-9.]{7}\\]");
        let words = ("[245]\\.[0-9]{1,3}\\.[0-9]{1,3}", host, "[a-z]{1,5}@[a-z.]{1,9}");
        let reply = "([2-5]50 [a-z<> ]{0,9}[a-z])?";
        (any::<u64>(), prop::sample::select(Ended::ALL.to_vec()), words, reply).prop_map(
            |(at, ended, (status, host, forward_path), reply)| Tried {
                at,
                ended,
                status,
                host,
                forward_path,
                reply,
            },
        )
    }

    fn client() -> impl Strategy<Value = Client> {
        (any::<IpAddr>(), "[!-~]{1,20}").prop_map(|(address, helo)| Client { address, helo })
    }

    fn recipient() -> impl Strategy<Value = Recipient> {
        let state = prop::sample::select(vec![
            RecipientState::Pending,
            RecipientState::Delivered,
            RecipientState::Failed,
            RecipientState::Held,
        ]);
        (
            state,
            any::<u32>(),
            any::<u64>(),
            "[a-z]{1,5}@[a-z.]{1,9}",
            "([2-5]50 [a-z<> ]{0,9}[a-z])?",
        )
            .prop_map(|(state, attempts, next_attempt, forward_path, last_reply)| {
                Recipient { state, attempts, next_attempt, forward_path, last_reply }
            })
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(
            client in prop::option::of(client()),
            recipients in prop::collection::vec(recipient(), 0..5),
            tried in prop::collection::vec(attempt(), 0..5),
        ) {
            let block = Block { client, tried, ..block(recipients) };
            let text = block.render();
            prop_assert_eq!(Block::parse(text.as_bytes()), Some((block, text.len())));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Block::parse(&text);
        }
    }
}
