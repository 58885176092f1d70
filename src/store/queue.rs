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
//! X-MC-Rcpt: P 0 0 <bob@example.org>
//! X-MC-Rcpt: D 1 0 <carol@example.net> 250 OK
//! X-MC-End:
//! Subject: the message begins here
//! ```
//!
//! A recipient's letter is P (pending), D (delivered), F (failed) or H (held); behind it stand the
//! attempts so far, when the next is due (seconds since 1970; 0 for at once) and, behind the
//! path, what was last replied.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{Access, Creation, FileName, Files, Stamp, Window};
use crate::store::ground::QUEUE_FILE;
use crate::store::index::{IndexError, Message};
use crate::store::lock::{self, LockedFile, OfdLock, Purpose};
use crate::store::mbox::{self, NotMbox, Span};
use crate::store::overview::{QueueView, RecipientState};
use crate::store::reader::MessageReader;
use crate::store::rewrite::Draft;

/// What a relay run keeps locked, so that there is one at a time.
const RUN_LOCK: &str = ".mqueue.relay";

/// Octets of an envelope block at most: 1,000 recipients of 256 octets, with a reply each.
const BLOCK_MOST: u64 = 1024 * 1024;

const ID: &str = "X-MC-Id: ";
const FROM: &str = "X-MC-From: ";
const QUEUED: &str = "X-MC-Queued: ";
const RECIPIENT: &str = "X-MC-Rcpt: ";
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

/// The envelope of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names the message for good, also in its `Received:` field.
    pub id: String,
    /// Who sent it, without brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// When it was queued, in seconds since 1970.
    pub queued: u64,
    /// Who is to get it.
    pub recipients: Vec<Recipient>,
}

/// The block of a message that is being queued now.
#[must_use]
pub fn envelope_block(reverse_path: &str, forward_paths: &[String]) -> String {
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
        recipients: forward_paths.iter().map(recipient).collect(),
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
        for recipient in &self.recipients {
            let _ = writeln!(block, "{RECIPIENT}{}", recipient.render());
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
            recipients: Vec::new(),
        };
        loop {
            letters.push(lines.used + RECIPIENT.len());
            let line = lines.next()?;
            if line.trim_end() == END {
                return Some((block, lines.used));
            }
            block.recipients.push(Recipient::parse(line.strip_prefix(RECIPIENT)?)?);
        }
    }
}

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

impl Entry {
    /// The queued message at `span`; `None` if it has no envelope and is not ours.
    fn read(span: Span, window: &mut Window<'_>) -> io::Result<Option<Self>> {
        let most = span.text_end.min(span.text + BLOCK_MOST);
        let mut text = Vec::new();
        let mut at = span.text;
        let mut letters = Vec::new();
        let mut parsed = None;
        while at < most && parsed.is_none() {
            let octets = window.at(at, most)?;
            at += octets.len() as u64;
            text.extend_from_slice(octets);
            if !text.starts_with(ID.as_bytes()) && text.len() >= ID.len() {
                return Ok(None);
            }
            letters.clear();
            parsed = Block::parse_noting(&text, &mut letters);
        }
        let Some((block, length)) = parsed else { return Ok(None) };
        // POP3 counts an LF as CRLF.
        let header = text.get(..length).unwrap_or_default();
        let counted = length as u64 + mbox::lone_line_feeds(b'\n', header);
        let octets = span.octets.saturating_sub(counted);
        Ok(Some(Self { block, octets, span, letters, text: span.text + length as u64 }))
    }
}

impl Entry {
    /// Where, from the beginning of the block, the letter of the recipient with this path stands.
    fn letter_of(&self, recipient: Option<&Recipient>) -> Option<u64> {
        let forward_path = &recipient?.forward_path;
        let nth =
            self.block.recipients.iter().position(|there| there.forward_path == *forward_path)?;
        self.letters.get(nth).map(|letter| *letter as u64)
    }
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
        Self { committer: Arc::clone(committer), name: QUEUE_FILE.into() }
    }

    /// The entries as they are now, in the order of the file. Messages without an envelope are
    /// not among them.
    pub async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let queue = self.clone();
        let list = move |locked: LockedFile| queue.list(locked.file());
        match committer::with_locked(&self.committer, &self.name, Purpose::Read, list).await {
            Ok(listed) => listed,
            // Nothing has ever been queued.
            Err(LockError::Missing) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
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
        committer::with_locked(&self.committer, &self.name, Purpose::Read, open).await?
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
        let mark = move |locked: LockedFile| queue.mark(locked.file(), &entry, &recipients);
        committer::with_locked(&self.committer, &self.name, Purpose::Write, mark).await?
    }

    fn mark(&self, file: &File, entry: &Entry, recipients: &[usize]) -> Result<(), QueueError> {
        let before = Stamp::of_file(file)?;
        let there = self.find(file, entry)?;
        for nth in recipients {
            // An operator may have dropped another recipient meanwhile.
            let Some(letter) = there.letter_of(entry.block.recipients.get(*nth)) else { continue };
            file.write_all_at(b"D", there.span.text + letter)?;
        }
        self.committer.ground().durability.sync(file)?;
        // The marks move nothing, so that what is known of the file still holds.
        self.committer.ground().indexes.appended(&self.name, before, Stamp::of_file(file)?);
        Ok(())
    }

    /// The entry as it is now: an operator may have changed it since it was listed.
    pub async fn now(&self, entry: &Entry) -> Result<Entry, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let find = move |locked: LockedFile| queue.find(locked.file(), &entry);
        committer::with_locked(&self.committer, &self.name, Purpose::Read, find).await?
    }

    /// The entry where it is now: usually where it was.
    fn find(&self, file: &File, entry: &Entry) -> Result<Entry, QueueError> {
        let is_same = |there: &Entry| there.block.id == entry.block.id;
        let there = Entry::read(entry.span, &mut Window::new(file)).ok().flatten();
        // It may begin where it was and end elsewhere, if its block has been edited.
        match there.filter(|there| is_same(there) && there.text == entry.text) {
            Some(there) => Ok(there),
            None => self.list(file)?.into_iter().find(is_same).ok_or(QueueError::Gone),
        }
    }

    /// Passes every entry to `edit`, in one pass, and puts a file with the changes in the place of
    /// the old one, if there are any. Returns the entries that are left.
    pub async fn edit(
        &self,
        edit: impl FnMut(&mut Block) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        let queue = self.clone();
        let rewrite = move |locked: LockedFile| queue.rewrite(locked.file(), edit);
        match committer::with_locked(&self.committer, &self.name, Purpose::Rewrite, rewrite).await {
            Ok(left) => left,
            Err(LockError::Missing) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn rewrite(
        &self,
        file: &File,
        mut edit: impl FnMut(&mut Block) -> Edit,
    ) -> Result<Vec<Block>, QueueError> {
        let mut left = Vec::new();
        let mut edited = Vec::new();
        for mut entry in self.list(file)? {
            let verdict = edit(&mut entry.block);
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
        Block { id: "1-2-3".into(), reverse_path: "a@b".into(), queued: 1_758_106_800, recipients }
    }

    #[test]
    fn a_new_block_holds_its_envelope() {
        let text = envelope_block("a@localhost", &["b@example.org".into(), "\"c>d\"@x".into()]);
        let message = format!("{text}Subject: x\r\nX-MC-Rcpt: P 0 0 <evil@example.org>\r\n");
        let (block, length) = Block::parse(message.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        assert_eq!(block.reverse_path, "a@localhost");
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
        fn what_is_rendered_is_parsed(recipients in prop::collection::vec(recipient(), 0..5)) {
            let block = block(recipients);
            let text = block.render();
            prop_assert_eq!(Block::parse(text.as_bytes()), Some((block, text.len())));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Block::parse(&text);
        }
    }
}
