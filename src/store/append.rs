//! Appending deliveries to locked files: journal, append, sync, answer. For every recipient of a
//! message or for none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::iter;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use nix::libc;
use tokio::sync::oneshot;

use crate::store::committer::FileName;
use crate::store::directory::{Durability, Shared};
use crate::store::files::Stamp;
use crate::store::journal::{self, Journal, Piece, Record};
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::text::Finished;

/// What ends every message in an mbox: the empty line of the separator.
const END_OF_MESSAGE: &[u8] = b"\n";

/// Files that are synced at once.
const SYNCED_AT_ONCE: usize = 8;

/// The files of a batch, by name.
pub type Locked = BTreeMap<FileName, LockedFile>;

/// One message and the files it goes to.
#[derive(Debug)]
pub struct Delivery {
    parts: Vec<Part>,
    text: Finished,
    answer: oneshot::Sender<Result<(), DeliverError>>,
    /// Since when it waits.
    pub since: Instant,
}

/// What of a delivery goes to one file: all but the text.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: FileName,
    /// What stands before the text: the From_ line, and in the queue the envelope.
    pub head: String,
}

/// Why a message was not stored. Nothing of it is in any file then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliverError {
    /// The disk, a quota or the limit of a file's size is full.
    #[error("there is no space left")]
    NoSpace,
    /// Another program has had a file locked for 30 s.
    #[error("another program keeps a mailbox locked")]
    Busy,
    /// A mailbox was removed since its user was looked up.
    #[error("a mailbox has disappeared")]
    Missing,
    /// The system says why.
    #[error("{0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for DeliverError {
    fn from(error: io::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Io(Arc::new(error)) }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    let full = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

impl Delivery {
    /// A delivery, and where its answer will come.
    pub(super) fn new(
        parts: Vec<Part>,
        text: Finished,
    ) -> (Self, oneshot::Receiver<Result<(), DeliverError>>) {
        let (answer, answered) = oneshot::channel();
        (Self { parts, text, answer, since: Instant::now() }, answered)
    }

    /// The files it goes to, each once.
    #[must_use]
    pub fn files(&self) -> &[Part] {
        &self.parts
    }

    /// Octets that are written for it, in all files together.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.parts.iter().map(|part| self.octets_of(part)).sum()
    }

    fn octets_of(&self, part: &Part) -> u64 {
        part.head.len() as u64 + self.text.octets + END_OF_MESSAGE.len() as u64
    }

    fn answer(self, result: Result<(), DeliverError>) {
        // A client that is gone is told nothing; the message stays.
        let _ = self.answer.send(result);
    }
}

/// Deliveries and what became of them.
#[derive(Debug, Default)]
pub struct Answers(Vec<(Delivery, Result<(), DeliverError>)>);

impl Answers {
    fn of(deliveries: Vec<Delivery>, result: &Result<(), DeliverError>) -> Self {
        Self(deliveries.into_iter().map(|delivery| (delivery, result.clone())).collect())
    }

    fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Answers each.
    pub fn give(self) {
        self.0.into_iter().for_each(|(delivery, result)| delivery.answer(result));
    }
}

/// Answers that nothing was stored.
pub fn refuse(deliveries: Vec<Delivery>, why: &DeliverError) {
    Answers::of(deliveries, &Err(why.clone())).give();
}

/// Writes batches to the files it holds.
pub struct Writer<'a> {
    shared: &'a Arc<Shared>,
    files: BTreeMap<FileName, Target>,
}

/// A locked file and its journal.
struct Target {
    locked: LockedFile,
    journal: Option<Journal>,
}

/// What went wrong with a batch, and with which file.
struct Fault {
    file: FileName,
    error: io::Error,
}

impl Fault {
    fn at(file: &FileName) -> impl FnOnce(io::Error) -> Self {
        |error| Self { file: Arc::clone(file), error }
    }
}

/// Syncs files, several at once: each sync is mostly waiting, for the same disk.
fn sync_all(durability: Durability, files: &[(&FileName, &File)]) -> Result<(), Fault> {
    let sync = |(file, open): &(&FileName, &File)| durability.sync(open).map_err(Fault::at(file));
    if files.len() < 2 || durability == Durability::Unsynced {
        return files.iter().try_for_each(sync);
    }
    let share = files.len().div_ceil(SYNCED_AT_ONCE);
    thread::scope(|scope| {
        let (mine, others) = files.split_at(share);
        let others: Vec<_> = others
            .chunks(share)
            .map(|files| scope.spawn(|| files.iter().try_for_each(sync)))
            .collect();
        let mut synced = mine.iter().try_for_each(sync);
        for other in others {
            let panicked = |_| Err(Fault::at(files[0].0)(io::Error::other("a sync panicked")));
            synced = synced.and(other.join().unwrap_or_else(panicked));
        }
        synced
    })
}

impl<'a> Writer<'a> {
    /// A writer for files that stay locked while it lives.
    #[must_use]
    pub fn new(shared: &'a Arc<Shared>, locked: Locked) -> Self {
        let target = |(file, locked)| (file, Target { locked, journal: None });
        Self { shared, files: locked.into_iter().map(target).collect() }
    }

    /// Writes the deliveries and syncs.
    #[must_use]
    pub fn write(&mut self, deliveries: Vec<Delivery>) -> Answers {
        let (deliveries, lost): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|delivery| {
            delivery.files().iter().all(|part| self.files.contains_key(&part.file))
        });
        self.write_present(deliveries).and(Answers::of(lost, &Err(DeliverError::Missing)))
    }

    fn write_present(&mut self, deliveries: Vec<Delivery>) -> Answers {
        match self.append(&deliveries) {
            Ok(()) => Answers::of(deliveries, &Ok(())),
            Err(fault) => self.write_innocent(deliveries, fault),
        }
    }

    /// One message must not take others down with it: where a file failed, those that go to other
    /// files are tried again, and where it was full, also those that may be small enough.
    ///
    /// After any other failure the file is not tried again: what a failed sync could not write the
    /// kernel has forgotten, so that the next one would succeed without anything being on disk.
    fn write_innocent(&mut self, deliveries: Vec<Delivery>, fault: Fault) -> Answers {
        let Fault { file, error } = fault;
        tracing::error!("{file}: a delivery failed: {error}");
        let full = is_no_space(&error);
        let alone = deliveries.len() == 1;
        let goes_there = |delivery: &Delivery| delivery.parts.iter().any(|part| part.file == file);
        let (guilty, others): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|one| alone || (goes_there(one) && !full));
        let one_by_one = others.into_iter().map(|one| self.write_present(vec![one]));
        let answers = one_by_one.fold(Answers::default(), Answers::and);
        answers.and(Answers::of(guilty, &Err(error.into())))
    }

    /// All of the deliveries, or nothing.
    fn append(&mut self, deliveries: &[Delivery]) -> Result<(), Fault> {
        let mut before = Vec::new();
        let appended = self.append_to_all(deliveries, &mut before);
        for (file, before) in &before {
            if appended.is_err() {
                self.undo(file, *before);
            }
            self.settle(file);
        }
        appended
    }

    /// Each journal is on disk before its append begins; the files are synced side by side.
    fn append_to_all(
        &mut self,
        deliveries: &[Delivery],
        before: &mut Vec<(FileName, Stamp)>,
    ) -> Result<(), Fault> {
        let shared = self.shared;
        let mut appends = Vec::new();
        for (file, target) in &mut self.files {
            let messages = Append::of(file, deliveries);
            if messages.is_empty() {
                continue;
            }
            let begun = target.begin(shared, file, messages).map_err(Fault::at(file))?;
            before.push((Arc::clone(file), begun.before));
            appends.push(begun);
        }
        let journals = appends.iter().map(|begun| (begun.file, begun.journal.file()));
        sync_all(shared.durability, &journals.collect::<Vec<_>>())?;
        for begun in &appends {
            begun.write().map_err(Fault::at(begun.file))?;
        }
        let mailboxes = appends.iter().map(|begun| (begun.file, begun.mailbox));
        sync_all(shared.durability, &mailboxes.collect::<Vec<_>>())?;
        for begun in &appends {
            let after = Stamp::of_file(begun.mailbox).map_err(Fault::at(begun.file))?;
            shared.indexes.appended(begun.file, begun.before, after);
        }
        Ok(())
    }

    /// Takes away what was appended. Should that fail too, the journal stays as it is, and whoever
    /// opens the file next does it.
    fn undo(&mut self, file: &FileName, before: Stamp) {
        let Some(target) = self.files.get_mut(file) else { return };
        let locked = target.locked.file();
        let undone = locked.set_len(before.size).and_then(|()| self.shared.durability.sync(locked));
        if let Err(error) = undone {
            tracing::error!("{file}: cannot take a failed delivery back yet: {error}");
            target.journal = None;
        }
    }

    fn settle(&self, file: &FileName) {
        let journal = self.files.get(file).and_then(|target| target.journal.as_ref());
        if let Some(Err(error)) = journal.map(Journal::settle) {
            tracing::warn!("{file}: cannot settle the journal: {error}");
        }
        self.shared.journals.used(file);
    }
}

/// An append of which everything is known and nothing is written.
struct Begun<'a> {
    file: &'a FileName,
    mailbox: &'a File,
    journal: &'a Journal,
    before: Stamp,
    append: Append<'a>,
    record: Record,
}

impl Target {
    /// Writes down, not yet durably, what is to be appended.
    fn begin<'a>(
        &'a mut self,
        shared: &Shared,
        file: &'a FileName,
        messages: Vec<(&'a str, &'a Finished)>,
    ) -> io::Result<Begun<'a>> {
        let mailbox = self.locked.file();
        let before = Stamp::of_file(mailbox)?;
        let end = journal::last_octets(mailbox, before.size)?;
        let append = Append { messages, separation: mbox::separation(&end) };
        let record = append.record(before);
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => Journal::open(&shared.files, file, shared.durability)?,
        };
        let journal = self.journal.insert(journal);
        journal.write(&record)?;
        Ok(Begun { file, mailbox, journal, before, append, record })
    }
}

impl Begun<'_> {
    fn write(&self) -> io::Result<()> {
        match &self.record.blob {
            Some(blob) => self.mailbox.write_all_at(blob, self.before.size),
            None => self.append.stream(self.mailbox, self.before.size),
        }
    }
}

/// What of a batch goes to one file.
struct Append<'a> {
    messages: Vec<(&'a str, &'a Finished)>,
    /// What separates the first message from the one before it. Ours end in an empty line, so
    /// that nothing is needed between them.
    separation: &'static [u8],
}

impl<'a> Append<'a> {
    fn of(file: &FileName, deliveries: &'a [Delivery]) -> Vec<(&'a str, &'a Finished)> {
        let messages = deliveries.iter().filter_map(|delivery| {
            let part = delivery.parts.iter().find(|part| part.file == *file)?;
            Some((part.head.as_str(), &delivery.text))
        });
        messages.collect()
    }

    fn record(&self, before: Stamp) -> Record {
        Record {
            identity: before.identity,
            old_size: before.size,
            pieces: self.pieces(),
            blob: self.blob(),
        }
    }

    /// Each message with what stands ahead of it.
    fn separated(&self) -> impl Iterator<Item = (&'static [u8], &'a str, &'a Finished)> {
        let separations = iter::once(self.separation).chain(iter::repeat(&b""[..]));
        separations.zip(&self.messages).map(|(separation, &(head, text))| (separation, head, text))
    }

    fn pieces(&self) -> Vec<Piece> {
        let piece = |(separation, head, text): (&[u8], &str, &Finished)| {
            let mut checksum = crc32fast::Hasher::new();
            checksum.update(separation);
            checksum.update(head.as_bytes());
            checksum.combine(&text.checksum);
            checksum.update(END_OF_MESSAGE);
            let octets = separation.len() + head.len() + END_OF_MESSAGE.len();
            Piece { octets: octets as u64 + text.octets, checksum: checksum.finalize() }
        };
        self.separated().map(piece).collect()
    }

    /// All octets in one piece, if they are few and none of them are in a file.
    fn blob(&self) -> Option<Vec<u8>> {
        let octets: usize =
            self.messages.iter().map(|(head, text)| head.len() + text.memory.len() + 1).sum();
        let spooled = self.messages.iter().any(|(_, text)| text.spool.is_some());
        if spooled || octets > journal::BLOB_MOST {
            return None;
        }
        let mut blob = Vec::with_capacity(octets + self.separation.len());
        for (separation, head, text) in self.separated() {
            for part in [separation, head.as_bytes(), &text.memory, END_OF_MESSAGE] {
                blob.extend_from_slice(part);
            }
        }
        Some(blob)
    }

    fn stream(&self, mut file: &File, at: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        for (separation, head, text) in self.separated() {
            file.write_all(&[separation, head.as_bytes()].concat())?;
            if let Some((spool, octets)) = &text.spool {
                copy(spool, *octets, file)?;
            }
            file.write_all(&[&text.memory, END_OF_MESSAGE].concat())?;
        }
        Ok(())
    }
}

/// Copies a spooled text, inside the kernel where it can.
fn copy(mut spool: &File, octets: u64, mut file: &File) -> io::Result<()> {
    spool.seek(SeekFrom::Start(0))?;
    let copied = io::copy(&mut spool.take(octets), &mut file)?;
    if copied == octets { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
