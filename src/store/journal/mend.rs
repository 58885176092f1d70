//! Repairs one mailbox according to a journal. The caller holds the mailbox's lock.
//!
//! The mailbox is either old or repaired at every moment: our octets are written where they belong,
//! or a new file replaces the mailbox. A crash during the repair only leads to another one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use memchr::memmem;

use crate::store::files::{Files, Stamp};
use crate::store::ground::QUEUE_FILE;
use crate::store::index::{Index, IndexError};
use crate::store::journal::record::{Append, Content, Record, State};
use crate::store::journal::torn;
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::rewrite::{Draft, Recovered};

/// How long the kernel may keep written data before it goes to disk, at its default settings
/// (`vm.dirty_expire_centisecs` and `vm.dirty_writeback_centisecs`). A program that changed a
/// mailbox later than this saw the appended messages, and decided what to keep.
const FLUSHED_AFTER: Duration = Duration::from_secs(35);

/// Header fields that other programs add to a message or change without making it another message;
/// and the recipients of a queued message, which the relay marks.
const MARKS: [&[u8]; 9] = [
    b"status:",
    b"x-status:",
    b"x-keywords:",
    b"x-uid:",
    b"x-imapbase:",
    b"content-length:",
    b"lines:",
    b"x-mc-rcpt:",
    b"x-mc-rcpt-dsn:",
];

/// Octets searched at once in a file that is not an mbox.
const SEARCHED_AT_ONCE: u64 = 1024 * 1024;

/// Precedes the state of a queued recipient.
const RECIPIENT: &[u8] = b"\nX-MC-Rcpt: ";

/// Repairs the locked file `mailbox` according to one record. `is_of_this_boot` says whether the
/// record was written since the machine was started, so that the kernel still has everything
/// written since.
pub fn mend(
    files: &Arc<Files>,
    mailbox: &str,
    locked: &LockedFile,
    (record, append): (&Record, &Append),
    is_of_this_boot: bool,
) -> io::Result<Recovered> {
    let messages = record.messages(append);
    let is_acknowledged_at_most_now = append.state == State::Torn
        || is_of_this_boot
        || messages.iter().any(|message| matches!(message, Content::Summed { .. }));
    if is_acknowledged_at_most_now {
        // In the states Begun and Torn no client was told that the messages are stored; in the
        // others the file has them.
        return match append.state {
            State::Begun | State::Torn => {
                cut_torn(files, mailbox, locked.file(), append, &messages)
            }
            State::Appended | State::Durable | State::Undone => Ok(Recovered::Whole),
        };
    }
    let messages = messages.into_iter().filter_map(Content::whole).collect();
    let time = Duration::from_millis(record.numbers.time);
    Completion { files, mailbox, file: locked.file(), append, messages, time }.run()
}

impl Content {
    fn whole(self) -> Option<Vec<u8>> {
        match self {
            Self::Whole(octets) => Some(octets),
            Self::Summed { .. } => None,
        }
    }
}

/// Cuts off the torn part of an append that was never acknowledged. Whole messages stay.
fn cut_torn(
    files: &Arc<Files>,
    mailbox: &str,
    file: &File,
    append: &Append,
    messages: &[Content],
) -> io::Result<Recovered> {
    let stamp = Stamp::of_file(file)?;
    // A program that replaced the file saw what was in it.
    if stamp.identity != append.identity {
        return Ok(Recovered::Whole);
    }
    let mut start = append.old_size;
    for (nth, message) in messages.iter().enumerate() {
        if start >= stamp.size {
            break;
        }
        let tail = Section::read(file, start..stamp.size)?;
        let ours = match message {
            Content::Whole(octets) if tail.starts_with(octets) => None,
            Content::Whole(_) => {
                let rest: Vec<u8> = messages.iter().skip(nth).flat_map(known).copied().collect();
                torn::ours(&tail, &rest, |at| begins_at(&messages[nth..], at))
            }
            Content::Summed { head, octets, blocks } => {
                torn::ours_of_summed(&tail, start, (head, *octets, blocks))
            }
        };
        if let Some(ours) = ours.filter(|&ours| ours > 0) {
            return cut(files, mailbox, file, start..start + ours as u64);
        }
        start += message.octets();
    }
    Ok(Recovered::Whole)
}

/// The octets of a message that the journal contains.
const fn known(message: &Content) -> &[u8] {
    match message {
        Content::Whole(octets) => octets.as_slice(),
        Content::Summed { head, .. } => head.as_slice(),
    }
}

/// Whether one of these messages, the first of which begins at 0, has its From_ line at `at`.
fn begins_at(messages: &[Content], at: usize) -> bool {
    let mut start = 0;
    messages.iter().any(|message| {
        let line_ends = known(message).iter().take_while(|byte| **byte == b'\n').count();
        let begins = start + line_ends;
        start += usize::try_from(message.octets()).unwrap_or(usize::MAX);
        begins == at
    })
}

/// Removes a stretch from a mailbox.
pub fn cut(
    files: &Arc<Files>,
    mailbox: &str,
    file: &File,
    torn: Range<u64>,
) -> io::Result<Recovered> {
    let size = Stamp::of_file(file)?.size;
    let octets = torn.end - torn.start;
    tracing::warn!("{mailbox}: removing {octets} octets of an incomplete delivery");
    // At the end of the file, truncating is enough. Otherwise another program has appended since,
    // and the rest must be copied.
    if torn.end == size {
        file.set_len(torn.start)?;
        file.sync_data()?;
        return Ok(Recovered::Whole);
    }
    let mut draft = Draft::begin(files, mailbox, file)?;
    draft.copy(file, 0..torn.start)?;
    // The torn piece may have begun with the separation that the rest lacks now.
    draft.write(mbox::separation(&last_octets(file, torn.start)?))?;
    draft.copy(file, torn.end..size)?;
    draft.replace()?;
    Ok(Recovered::Replaced)
}

/// The last octets before `end`, enough to see whether an empty line ends there.
pub fn last_octets(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let start = end.saturating_sub(3);
    let mut octets = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut octets, start)?;
    Ok(octets)
}

/// Acknowledged messages that the machine may have lost in a restart.
struct Completion<'a> {
    files: &'a Arc<Files>,
    mailbox: &'a str,
    file: &'a File,
    append: &'a Append,
    messages: Vec<Vec<u8>>,
    /// When the record was written, since 1970.
    time: Duration,
}

impl Completion<'_> {
    fn run(&self) -> io::Result<Recovered> {
        let stamp = Stamp::of_file(self.file)?;
        // A change since the restart proves nothing: the program found only what was left.
        let is_before_this_boot = booted().is_some_and(|booted| stamp.modified() < booted);
        if is_before_this_boot && stamp.modified() > self.time + FLUSHED_AFTER {
            return Ok(Recovered::Whole);
        }
        let old_size = self.append.old_size;
        // Another program has shortened the file or moved messages in it: search all of it for
        // ours.
        if stamp.size < old_size || !self.fits()? {
            return self.add(&self.missing(&self.messages)?);
        }
        let mut all = self.messages.concat();
        let there =
            Section::read(self.file, old_size..stamp.size.min(old_size + all.len() as u64))?;
        if self.mailbox == QUEUE_FILE {
            take_letters(&mut all, &there);
        }
        if there == all {
            return Ok(Recovered::Whole);
        }
        // Another program may have replaced the mailbox with a copy.
        let is_same_file = stamp.identity == self.append.identity;
        // Pages that never reached the disk read as zeros.
        if all.iter().zip(&there).all(|(ours, there)| ours == there || *there == 0)
            && (is_same_file || there.len() == all.len())
        {
            self.tell(self.messages.len());
            // Recovery syncs the file afterwards.
            self.file.write_all_at(&all, old_size)?;
            return Ok(Recovered::Whole);
        }
        if !is_same_file {
            return self.add(&self.missing(&self.messages)?);
        }
        self.complete_among_others(stamp.size)
    }

    /// Whether a message can begin where ours was to. If not, another program has moved something.
    fn fits(&self) -> io::Result<bool> {
        let begins_a_line = self.messages.first().is_some_and(|message| message.starts_with(b"\n"));
        let before = last_octets(self.file, self.append.old_size)?;
        Ok(begins_a_line || before.last().is_none_or(|&octet| octet == b'\n'))
    }

    /// Completes a torn append after which another program has written something.
    fn complete_among_others(&self, size: u64) -> io::Result<Recovered> {
        let tail = Section::read(self.file, self.append.old_size..size)?;
        let mut whole = 0;
        let mut rest = self.messages.as_slice();
        while let Some((first, others)) = rest.split_first() {
            if !tail.get(whole..).is_some_and(|tail| tail.starts_with(first)) {
                break;
            }
            whole += first.len();
            rest = others;
        }
        let contents: Vec<_> = rest.iter().cloned().map(Content::Whole).collect();
        let tail = tail.get(whole..).unwrap_or_default();
        let ours = torn::ours(tail, &rest.concat(), |at| begins_at(&contents, at)).unwrap_or(0);
        if ours == 0 {
            return self.add(&self.missing(rest)?);
        }
        // The messages that the torn stretch was to hold, and those that are nowhere in the file.
        let starts = rest.iter().scan(0, |end, message| {
            *end += message.len();
            Some(*end - message.len())
        });
        let (torn, others) = rest.split_at(starts.take_while(|&start| start < ours).count());
        let missing: Vec<_> = torn.iter().chain(self.missing(others)?).collect();
        self.tell(missing.len());
        let start = self.append.old_size + whole as u64;
        let mut draft = Draft::begin(self.files, self.mailbox, self.file)?;
        draft.copy(self.file, 0..start)?;
        for message in missing {
            draft.write(message)?;
        }
        draft.copy(self.file, start + ours as u64..size)?;
        draft.replace()?;
        Ok(Recovered::Replaced)
    }

    /// Appends messages, in a new file.
    fn add(&self, messages: &[&Vec<u8>]) -> io::Result<Recovered> {
        if messages.is_empty() {
            return Ok(Recovered::Whole);
        }
        self.tell(messages.len());
        let size = Stamp::of_file(self.file)?.size;
        let mut draft = Draft::begin(self.files, self.mailbox, self.file)?;
        draft.copy(self.file, 0..size)?;
        let separation = mbox::separation(&last_octets(self.file, size)?);
        draft.write(separation)?;
        for (nth, message) in messages.iter().enumerate() {
            // Without the line end that separated it from the message before it then.
            let own = message.iter().take_while(|byte| **byte == b'\n').count();
            draft.write(message.get(if nth == 0 { own } else { 0 }..).unwrap_or_default())?;
        }
        draft.replace()?;
        Ok(Recovered::Replaced)
    }

    fn tell(&self, messages: usize) {
        let mailbox = self.mailbox;
        tracing::warn!("{mailbox}: restoring {messages} messages lost in a restart of the machine");
    }

    /// Those of `messages` whose octets occur nowhere in the file.
    fn not_found<'m>(&self, messages: &'m [Vec<u8>]) -> io::Result<Vec<&'m Vec<u8>>> {
        let mut missing = Vec::new();
        for message in messages {
            if !holds(self.file, message.trim_ascii())? {
                missing.push(message);
            }
        }
        Ok(missing)
    }

    /// Those of `messages` that the mailbox does not contain anywhere. When in doubt a message
    /// counts as missing: better delivered twice than lost.
    fn missing<'m>(&self, messages: &'m [Vec<u8>]) -> io::Result<Vec<&'m Vec<u8>>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let mut there: HashMap<[u8; 16], usize> = HashMap::new();
        let spans = match Index::spans(self.file) {
            Ok(spans) => spans,
            // There are no message boundaries to compare.
            Err(IndexError::NotMbox(_)) => return self.not_found(messages),
            Err(IndexError::Io(error)) => return Err(error),
        };
        for span in spans {
            let message = Section::read(self.file, span.start..span.end)?;
            *there.entry(fingerprint(&message)).or_default() += 1;
        }
        let is_missing = |message: &&Vec<u8>| match there.get_mut(&fingerprint(message)) {
            Some(count) if *count > 0 => {
                // A message that was delivered twice must be there twice.
                *count -= 1;
                false
            }
            _ => true,
        };
        Ok(messages.iter().filter(is_missing).collect())
    }
}

/// Whether octets occur anywhere in a file.
fn holds(file: &File, octets: &[u8]) -> io::Result<bool> {
    let size = Stamp::of_file(file)?.size;
    let mut at = 0;
    while at < size {
        // The pieces overlap, so that a match across two of them is found.
        let end = size.min(at + SEARCHED_AT_ONCE + octets.len() as u64);
        if memmem::find(&Section::read(file, at..end)?, octets).is_some() {
            return Ok(true);
        }
        at += SEARCHED_AT_ONCE;
    }
    Ok(false)
}

/// Gives queued recipients the states that they have in `there`: the relay changes them in place
/// (see [`queue`](crate::store::queue)).
fn take_letters(all: &mut [u8], there: &[u8]) {
    let fields: Vec<_> = memmem::find_iter(all, RECIPIENT).collect();
    for at in fields.into_iter().map(|field| field + RECIPIENT.len()) {
        if let (Some(ours), Some(now @ (b'P' | b'D' | b'R' | b'F' | b'H'))) =
            (all.get_mut(at), there.get(at))
        {
            *ours = *now;
        }
    }
}

/// When the machine was started, since 1970; `None` if `/proc` does not tell.
fn booted() -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Identifies a message: its From_ line and its text, regardless of line ends and of the fields in
/// [`MARKS`].
fn fingerprint(message: &[u8]) -> [u8; 16] {
    let mut hash = Md5::new();
    let mut in_header = true;
    for line in message.trim_ascii().split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        in_header &= !line.is_empty();
        let is_mark = |mark: &&[u8]| {
            line.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
        };
        if !in_header || !MARKS.iter().any(is_mark) {
            hash.update(line);
            hash.update(b"\n");
        }
    }
    hash.finalize().into()
}

/// A part of a file, read without moving the file's cursor.
pub struct Section<'a> {
    /// The file it is part of.
    pub file: &'a File,
    /// Offset of the next octet to read.
    pub at: u64,
    /// Offset at which the part ends.
    pub end: u64,
}

impl Section<'_> {
    /// All octets of a part of a file.
    pub fn read(file: &File, part: Range<u64>) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        Section { file, at: part.start, end: part.end }.read_to_end(&mut octets)?;
        Ok(octets)
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
