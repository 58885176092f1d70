//! Marks: where a directory was at one moment, in one word, so that a later process can tell which
//! messages have come since.
//!
//! For each mailbox a mark has the file's identity and length, the end of its content, and its last
//! message. A message is new if it begins behind that length; the log of rewrites tells where that
//! is after messages were removed. If another program has changed the file, what stands behind the
//! mark's last message is new; if that is gone too, what its From_ line dates at or after the mark.
//! See docs/files.md 10.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::store::browse::{Head, MaildropError, Snapshot};
use crate::store::directory::{Directory, User};
use crate::store::files::{FileName, Files};
use crate::store::index::{Index, ReadError};
use crate::store::rewrites::{self, Identity, Position, Rewrite};

/// What a mark begins with, before base64url: the version is in it, and no `-`.
const BEGINNING: &str = "m1";

/// The most mailboxes of which a mark says more than its time: those that were changed last. With
/// them, it still fits into an argument of a command (128 KiB on Linux).
const MAILBOXES_MOST: usize = 2_000;

/// The longest word that is read as a mark, in octets.
const WORD_MOST: usize = 128 * 1024;

/// Octets before a mailbox's end by which the end is known again.
const TAIL: u64 = 64;

/// Messages of which the beginnings are read at once.
const BATCH: usize = 512;

/// Fields that other programs add and change while a message stays the same.
const CHANGING_FIELDS: [&[u8]; 7] = [
    b"status:",
    b"x-status:",
    b"x-keywords:",
    b"x-uid:",
    b"x-imap:",
    b"content-length:",
    b"lines:",
];

/// Where a directory was at one moment. Its text is one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Microseconds since 1970.
    time: u64,
    /// Where the log of rewrites ended.
    log: Position,
    /// Whether there were more mailboxes than the mark tells of.
    is_cut: bool,
    /// The mailboxes that had messages.
    mailboxes: Vec<MarkedMailbox>,
}

/// What a mark says of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MarkedMailbox {
    /// Checksum of the file's name.
    name: u32,
    file: Identity,
    /// Octets of the file.
    length: u64,
    /// Checksum of the last octets, at most [`TAIL`].
    tail: u32,
    /// How many messages there were.
    messages: u32,
    /// Checksum of the last message's From_ line and header.
    last: u32,
    /// How many of the last messages have that checksum: equal ones of one second.
    alike: u32,
}

/// The word is no mark of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mark: give a word that mailconsole mark has printed, or now")]
pub struct NoMark;

/// Which messages of a mailbox have come since a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// Those from this place on, counted from 0.
    From(usize),
    /// Those that arrived at or after this moment, in seconds since 1970.
    At(i64),
}

impl Newer {
    /// Whether the message at `place`, which arrived at `date` (seconds since 1970), is one of them.
    #[must_use]
    pub fn includes(self, place: usize, date: i64) -> bool {
        match self {
            Self::From(first) => place >= first,
            Self::At(moment) => date >= moment,
        }
    }
}

impl Directory {
    /// Marks where the directory is now.
    ///
    /// # Errors
    ///
    /// If a mailbox cannot be read. Files that are no mailboxes are left out.
    pub async fn mark(&self) -> Result<Mark, MaildropError> {
        // Before the mailboxes are looked at: what is rewritten from now on is in the log.
        let log = rewrites::begin(&self.opened().ground().files).unwrap_or(0);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (mut found, users) = (Vec::new(), self.users()?);
        for user in &users {
            match self.snapshot(user).await {
                Ok(snapshot) => found.extend(marked(&user.file(), Arc::new(snapshot)).await?),
                Err(MaildropError::Missing | MaildropError::NotMbox(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // The newest first, for those that must be left out.
        found.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        let is_cut = found.len() > MAILBOXES_MOST;
        let mailboxes = found.into_iter().take(MAILBOXES_MOST).map(|(_, one)| one).collect();
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Ok(Mark { time, log, is_cut, mailboxes })
    }

    /// Which messages of `snapshot`, a mailbox of this directory, have come since `mark`.
    ///
    /// # Errors
    ///
    /// If the mailbox was changed meanwhile, or cannot be read.
    pub async fn newer(
        &self,
        mark: &Mark,
        user: &User,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Newer, ReadError> {
        let name = user.file();
        let Some(before) = mark.mailbox(&name) else {
            return Ok(if mark.is_cut { mark.dated() } else { Newer::From(0) });
        };
        let (opened, log, now) = (self.opened(), mark.log, Arc::clone(snapshot));
        let place = tokio::task::spawn_blocking(move || {
            place_of_end(&before, &opened.ground().files, &name, log, &now)
        });
        if let Some(place) = place.await.map_err(io::Error::other)?? {
            return Ok(Newer::From(place));
        }
        let last = before.place_of_last(snapshot).await?;
        Ok(last.map_or(mark.dated(), |last| Newer::From(last + 1)))
    }
}

/// What a mark says of a mailbox, and when that was changed; `None` of an empty one.
async fn marked(
    name: &FileName,
    snapshot: Arc<Snapshot>,
) -> Result<Option<(SystemTime, MarkedMailbox)>, MaildropError> {
    let count = snapshot.count();
    let heads = snapshot.heads(count.saturating_sub(BATCH)..count).await;
    let heads = heads.map_err(io::Error::other)?;
    let Some(last) = heads.last().map(fingerprint) else { return Ok(None) };
    let alike = heads.iter().filter(|head| fingerprint(head) == last).count();
    let file = snapshot.mailbox().file;
    let length = snapshot.index().scanned();
    let marked = MarkedMailbox {
        name: crc32fast::hash(name.as_bytes()),
        file: rewrites::identity(file)?,
        length,
        tail: tail(file, length, length)?,
        messages: u32::try_from(count).unwrap_or(u32::MAX),
        last,
        alike: u32::try_from(alike).unwrap_or(u32::MAX),
    };
    Ok(Some((file.metadata()?.modified()?, marked)))
}

/// Checksum of the octets before `end` that were the last of a mailbox of `length` octets.
fn tail(file: &File, end: u64, length: u64) -> io::Result<u32> {
    let octets = length.min(TAIL);
    let start = end.checked_sub(octets).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut tail = vec![0; usize::try_from(octets).unwrap_or(0)];
    file.read_exact_at(&mut tail, start)?;
    Ok(crc32fast::hash(&tail))
}

/// Checksum of what stays of a message when other programs note that it was read.
fn fingerprint(head: &Head) -> u32 {
    let is_changing = |line: &&[u8]| {
        let begins = |field: &&[u8]| {
            line.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field))
        };
        CHANGING_FIELDS.iter().any(begins)
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head.from_line);
    let lines = head.text.split_inclusive(|&octet| octet == b'\n');
    lines.filter(|line| !is_changing(line)).for_each(|line| hasher.update(line));
    hasher.finalize()
}

/// Where the end of a marked mailbox may be in a file that came after it.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    file: Identity,
    end: u64,
    /// Whether the octets before it are still those that the mark knows.
    has_tail: bool,
}

/// The place of the first message behind a marked mailbox's end, as far as the log of rewrites and
/// the octets there tell.
fn place_of_end(
    before: &MarkedMailbox,
    files: &Files,
    name: &FileName,
    log: Position,
    now: &Snapshot,
) -> io::Result<Option<usize>> {
    let rewrites = rewrites::since(files, name, log);
    let file = now.mailbox().file;
    let identity = rewrites::identity(file)?;
    // The last one first: only without times of birth there may be several.
    for candidate in before.candidates(&rewrites).iter().rev() {
        if candidate.file == identity
            && candidate.is_a_boundary(now.index())
            && (!candidate.has_tail
                || tail(file, candidate.end, before.length).ok() == Some(before.tail))
        {
            let messages = &now.index().messages;
            return Ok(Some(messages.partition_point(|one| one.span.start < candidate.end)));
        }
    }
    Ok(None)
}

impl Candidate {
    /// Whether a message may begin here.
    fn is_a_boundary(&self, index: &Index) -> bool {
        let messages = &index.messages;
        let behind = messages.partition_point(|one| one.span.start < self.end);
        let before = behind.checked_sub(1).and_then(|last| messages.get(last));
        self.end <= index.scanned() && before.is_none_or(|one| one.span.text_end <= self.end)
    }

    /// The same in the file that took the place of this one.
    fn behind(&self, rewrite: &Rewrite) -> Self {
        let tail = self.end.saturating_sub(TAIL)..self.end;
        let mut removed = 0;
        let mut has_tail = self.has_tail;
        for stretch in rewrite.removed.iter().filter(|stretch| stretch.start < self.end) {
            removed += stretch.end.min(self.end).saturating_sub(stretch.start);
            has_tail &= stretch.end <= tail.start;
        }
        Self { file: rewrite.new, end: self.end.saturating_sub(removed), has_tail }
    }
}

impl MarkedMailbox {
    /// All files that may have taken its place, and where its end is in them. A rewrite whose rename
    /// has failed is in the log as well, so that there may be branches.
    fn candidates(&self, rewrites: &[Rewrite]) -> Vec<Candidate> {
        let own = Candidate { file: self.file, end: self.length, has_tail: true };
        let mut all = vec![own];
        for rewrite in rewrites {
            let from = all.iter().rev().find(|one| one.file == rewrite.old).copied();
            all.extend(from.map(|from| from.behind(rewrite)));
        }
        all
    }

    /// The place of its last message, if that is still there. Of equal ones, those that were there
    /// come first.
    async fn place_of_last(&self, snapshot: &Arc<Snapshot>) -> Result<Option<usize>, ReadError> {
        // It has not moved down: messages are only ever added behind it.
        let end = snapshot.count().min(usize::try_from(self.messages).unwrap_or(usize::MAX));
        let (mut from, mut last, mut alike) = (0, None, 0);
        while from < end && alike < self.alike {
            let to = end.min(from + BATCH);
            let heads = snapshot.heads(from..to).await?;
            for (place, head) in (from..to).zip(&heads) {
                if alike < self.alike && fingerprint(head) == self.last {
                    (last, alike) = (Some(place), alike + 1);
                }
            }
            from = to;
        }
        Ok(last)
    }
}

impl Mark {
    /// When it was taken.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_micros(self.time)).unwrap_or(UNIX_EPOCH)
    }

    fn mailbox(&self, name: &str) -> Option<MarkedMailbox> {
        let name = crc32fast::hash(name.as_bytes());
        self.mailboxes.iter().find(|one| one.name == name).copied()
    }

    fn dated(&self) -> Newer {
        Newer::At(i64::try_from(self.time / 1_000_000).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut octets = Vec::with_capacity(24 + 32 * self.mailboxes.len());
        octets.extend(self.time.to_le_bytes());
        octets.extend(self.log.to_le_bytes());
        octets.push(u8::from(self.is_cut));
        for one in &self.mailboxes {
            octets.extend(one.name.to_le_bytes());
            octets.extend(one.file.to_le_bytes());
            octets.extend(one.length.to_le_bytes());
            octets.extend(one.tail.to_le_bytes());
            octets.extend(one.messages.to_le_bytes());
            octets.extend(one.last.to_le_bytes());
            octets.extend(one.alike.to_le_bytes());
        }
        octets.extend(crc32fast::hash(&octets).to_le_bytes());
        write!(f, "{BEGINNING}{}", BASE64_URL_SAFE_NO_PAD.encode(octets))
    }
}

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(word: &str) -> Result<Self, NoMark> {
        let encoded = word.strip_prefix(BEGINNING).filter(|_| word.len() <= WORD_MOST);
        let octets = BASE64_URL_SAFE_NO_PAD.decode(encoded.ok_or(NoMark)?).map_err(|_| NoMark)?;
        let (content, checksum) = octets.split_last_chunk::<4>().ok_or(NoMark)?;
        if u32::from_le_bytes(*checksum) != crc32fast::hash(content) {
            return Err(NoMark);
        }
        let mut left = Octets(content);
        let (time, log) = (left.number()?, left.number()?);
        let is_cut = left.take::<1>()? != [0];
        let mut mailboxes = Vec::new();
        while !left.0.is_empty() {
            mailboxes.push(MarkedMailbox {
                name: left.short()?,
                file: left.short()?,
                length: left.number()?,
                tail: left.short()?,
                messages: left.short()?,
                last: left.short()?,
                alike: left.short()?,
            });
        }
        Ok(Self { time, log, is_cut, mailboxes })
    }
}

/// The octets of a mark that are still to be read.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NoMark> {
        let (taken, left) = self.0.split_first_chunk::<N>().ok_or(NoMark)?;
        self.0 = left;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, NoMark> {
        self.take().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Result<u32, NoMark> {
        self.take().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::{Durability, Envelope};
    use proptest::prelude::*;

    fn any_mailbox() -> impl Strategy<Value = MarkedMailbox> {
        any::<(u32, u32, u64, u32, u32, u32, u32)>().prop_map(
            |(name, file, length, tail, messages, last, alike)| MarkedMailbox {
                name,
                file,
                length,
                tail,
                messages,
                last,
                alike,
            },
        )
    }

    proptest! {
        #[test]
        fn a_mark_is_one_word_that_says_the_same_again(
            time in any::<u64>(),
            log in any::<u64>(),
            is_cut in any::<bool>(),
            mailboxes in prop::collection::vec(any_mailbox(), 0..20),
        ) {
            let mark = Mark { time, log, is_cut, mailboxes };
            let word = mark.to_string();
            prop_assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert!(!word.starts_with('-'));
            prop_assert_eq!(word.parse(), Ok(mark));
            prop_assert_eq!(word[..word.len() - 1].parse::<Mark>(), Err(NoMark));
        }

        #[test]
        fn any_other_word_is_none(word in "[ -~]{0,60}") {
            prop_assert_eq!(word.parse::<Mark>(), Err(NoMark));
            prop_assert_eq!(format!("m1{word}").parse::<Mark>(), Err(NoMark));
        }
    }

    #[test]
    fn the_longest_mark_is_an_argument_of_a_command() {
        let (name, file, length, tail, messages, last, alike) = (1, 2, 3, 4, 5, 6, 7);
        let one = MarkedMailbox { name, file, length, tail, messages, last, alike };
        let mark = Mark { time: 1, log: 2, is_cut: true, mailboxes: vec![one; MAILBOXES_MOST] };
        assert!(mark.to_string().len() < WORD_MOST);
        assert_eq!(mark.to_string().parse(), Ok(mark));
    }

    struct Place {
        dir: tempfile::TempDir,
        directory: Directory,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let directory = Directory::open(dir.path(), Durability::Unsynced).unwrap();
            directory.create("u").unwrap();
            Self { dir, directory }
        }

        fn user(&self) -> User {
            self.directory.user(b"u").unwrap()
        }

        async fn deliver(&self, text: &str) {
            let local = vec![self.user().into()];
            let envelope = Envelope { reverse_path: "a@b".into(), local, ..Envelope::default() };
            let mut message = self.directory.new_text();
            message.push(text.as_bytes());
            self.directory.deliver(envelope, message).await.unwrap();
        }

        async fn remove(&self, places: Vec<usize>) {
            let maildrop = self.directory.open_maildrop(&self.user()).await.unwrap();
            maildrop.update(places).await.unwrap();
        }

        async fn newer(&self, mark: &Mark) -> Newer {
            // As another process: nothing is remembered.
            let directory = Directory::open(self.dir.path(), Durability::Unsynced).unwrap();
            let snapshot = Arc::new(directory.snapshot(&self.user()).await.unwrap());
            directory.newer(mark, &self.user(), &snapshot).await.unwrap()
        }

        fn file(&self) -> std::path::PathBuf {
            self.dir.path().join("u.mbox")
        }
    }

    #[tokio::test]
    async fn equal_messages_are_told_apart_by_what_happened_to_those_before() {
        let place = Place::new();
        let empty = place.directory.mark().await.unwrap();
        place.deliver("x\r\n").await;
        place.deliver("x\r\n").await;
        let two = place.directory.mark().await.unwrap();
        place.deliver("x\r\n").await;
        assert_eq!(place.newer(&empty).await, Newer::From(0));
        assert_eq!(place.newer(&two).await, Newer::From(2));
        place.remove(vec![0]).await;
        assert_eq!(place.newer(&two).await, Newer::From(1));
        place.remove(vec![0, 1]).await;
        assert_eq!(place.newer(&two).await, Newer::From(0));
        place.deliver("x\r\n").await;
        place.deliver("x\r\n").await;
        assert_eq!(place.newer(&two).await, Newer::From(0));
    }

    #[tokio::test]
    async fn what_another_program_leaves_of_a_mailbox_is_known_again() {
        let place = Place::new();
        place.deliver("Subject: 1\r\n\r\nx\r\n").await;
        place.deliver("Subject: 2\r\n\r\nx\r\n").await;
        let mark = place.directory.mark().await.unwrap();
        let text = std::fs::read_to_string(place.file()).unwrap();
        let second = text.rfind("From ").unwrap();
        // In place, as mutt does it: the first goes, the second was read.
        let left = text[second..].replace("\r\n\r\n", "\r\nStatus: RO\r\n\r\n");
        std::fs::write(place.file(), &left).unwrap();
        assert_eq!(place.newer(&mark).await, Newer::From(1));
        place.deliver("Subject: 2\r\n\r\nx\r\n").await;
        assert_eq!(place.newer(&mark).await, Newer::From(1));
        // In a new file, as Python does it: nothing that the mark knows is left.
        std::fs::remove_file(place.file()).unwrap();
        std::fs::write(place.file(), &text[..second]).unwrap();
        assert!(matches!(place.newer(&mark).await, Newer::At(_)));
    }

    #[tokio::test]
    async fn a_failed_rename_leads_nowhere() {
        let place = Place::new();
        place.deliver("1\r\n").await;
        place.deliver("2\r\n").await;
        let mark = place.directory.mark().await.unwrap();
        let files = Files::open(place.dir.path()).unwrap();
        let old = rewrites::identity(&File::open(place.file()).unwrap()).unwrap();
        let lost = Rewrite { old, new: 1, removed: std::iter::once(0..7).collect() };
        rewrites::note(&files, "u.mbox", &lost);
        assert_eq!(place.newer(&mark).await, Newer::From(2));
        place.remove(vec![1]).await;
        assert_eq!(place.newer(&mark).await, Newer::From(1));
    }
}
