//! Appends deliveries to locked files, for all recipients of a message or for none: first the
//! journal is written and synced, then the files are appended to. Long messages are not repeated in
//! the journal; the mailboxes themselves are synced instead.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::iter;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;

use crate::store::delivery::{DeliverError, Delivery, END_OF_MESSAGE, Part, is_no_space};
use crate::store::files::{FileName, Files, Stamp};
use crate::store::ground::{Durability, Ground, QUEUE_FILE};
use crate::store::journal::Journal;
use crate::store::journal::mend::last_octets;
use crate::store::journal::record::Draft;
use crate::store::journal::wal::Entry;
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::text::{Finished, REPEATED_MOST};

/// Threads that sync the files of a long message, including the writer's own.
// Measured with ten mailboxes in a batch: a tenth faster than 4.
const SYNCED_AT_ONCE: usize = 16;

/// The locked files of a batch, by name.
pub type Locked = BTreeMap<FileName, LockedFile>;

/// Deliveries and their results, not yet reported.
#[derive(Debug, Default)]
pub struct Answers(Vec<(Delivery, Result<(), DeliverError>)>);

impl Answers {
    fn of(deliveries: Vec<Delivery>, result: &Result<(), DeliverError>) -> Self {
        Self(deliveries.into_iter().map(|delivery| (delivery, result.clone())).collect())
    }

    /// Fails all deliveries: none of them was stored.
    #[must_use]
    pub fn refused(deliveries: Vec<Delivery>, why: &DeliverError) -> Self {
        Self::of(deliveries, &Err(why.clone()))
    }

    /// The answers of both.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Reports the results to the sessions that wait for them.
    pub fn give(self) {
        self.0.into_iter().for_each(|(delivery, result)| delivery.answer(result));
    }
}

/// The files that a batch is written to. They stay locked until this value is dropped.
#[derive(Debug)]
pub struct Targets(BTreeMap<FileName, Target>);

/// One file that a batch is written to.
#[derive(Debug)]
struct Target {
    locked: LockedFile,
    /// Whether it is a mailbox, not the queue.
    is_mailbox: bool,
    /// Its state after our last write, which ended a message. `None` before the first.
    left: Option<Stamp>,
}

impl Target {
    fn is_unused(&self) -> io::Result<bool> {
        let is_mailbox = self.locked.is_new() && self.is_mailbox;
        Ok(is_mailbox && Stamp::of_file(self.locked.file())?.size == 0)
    }
}

/// The error of a batch, and the file it concerns.
#[derive(Debug)]
struct Fault {
    file: FileName,
    error: io::Error,
}

impl Fault {
    fn at(file: &FileName) -> impl FnOnce(io::Error) -> Self {
        |error| Self { file: Arc::clone(file), error }
    }
}

/// Writes deliveries to files.
struct Writer<'a> {
    ground: &'a Ground,
    journal: &'a Journal,
    targets: &'a mut BTreeMap<FileName, Target>,
}

impl Targets {
    /// Takes over the locked files.
    #[must_use]
    pub fn new(files: Locked) -> Self {
        let target = |(name, locked): (FileName, _)| {
            let is_mailbox = *name != *QUEUE_FILE;
            (name, Target { locked, is_mailbox, left: None })
        };
        Self(files.into_iter().map(target).collect())
    }

    /// Writes the deliveries. A delivery answered with `Ok` is on disk.
    pub fn write(
        &mut self,
        ground: &Ground,
        journal: &Journal,
        deliveries: Vec<Delivery>,
    ) -> Answers {
        Writer { ground, journal, targets: &mut self.0 }.write(deliveries)
    }

    /// Removes the mailboxes that were made when they were locked and in which nothing was stored.
    pub fn remove_unused(&mut self, files: &Files) {
        self.0.retain(|name, target| match target.is_unused() {
            Ok(true) => {
                if let Err(error) = files.remove(name) {
                    tracing::warn!("{name}: cannot remove a mailbox that is not used: {error}");
                }
                false
            }
            Ok(false) | Err(_) => true,
        });
    }
}

impl Writer<'_> {
    fn write(&mut self, deliveries: Vec<Delivery>) -> Answers {
        // Files that are missing, or were given up after a failure, are not among the targets.
        let there = |part: &Part| self.targets.contains_key(&part.file);
        let (deliveries, lost): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| delivery.parts().iter().all(there));
        self.write_present(deliveries).and(Answers::of(lost, &Err(DeliverError::Missing)))
    }

    fn write_present(&mut self, deliveries: Vec<Delivery>) -> Answers {
        match self.append(&deliveries) {
            Ok(()) => Answers::of(deliveries, &Ok(())),
            Err(fault) => self.write_innocent(deliveries, fault),
        }
    }

    /// Retries the deliveries that are not at fault, one by one, so that one message does not fail
    /// others: those to other files than the one that failed and, if the disk was full, also those
    /// that may be small enough.
    ///
    /// After any other failure the file is not tried again: the kernel drops the pages that a
    /// failed sync could not write, so the next sync would succeed without the data being on disk.
    fn write_innocent(&mut self, deliveries: Vec<Delivery>, fault: Fault) -> Answers {
        let Fault { file, error } = fault;
        tracing::error!("{file}: a delivery failed: {error}");
        let (alone, full) = (deliveries.len() == 1, is_no_space(&error));
        // A single delivery is to blame for its error. If the disk is full, none of several is for
        // certain: a smaller one may still fit.
        let is_guilty = |delivery: &Delivery| alone || (!full && delivery.goes_to(&file));
        let (guilty, others): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(is_guilty);
        let one_by_one = others.into_iter().map(|one| self.write_present(vec![one]));
        let answers = one_by_one.fold(Answers::default(), Answers::and);
        answers.and(Answers::of(guilty, &Err(error.into())))
    }

    /// Appends all of the deliveries, or none.
    fn append(&mut self, deliveries: &[Delivery]) -> Result<(), Fault> {
        let wanted = |file: &FileName| deliveries.iter().any(|one| one.goes_to(file));
        let targets = self.targets.iter().filter(|(file, _)| wanted(file));
        let appends: Vec<_> = targets
            .map(|(file, target)| Append::to(file, target, deliveries).map_err(Fault::at(file)))
            .collect::<Result<_, _>>()?;
        let Some(first) = appends.first() else { return Ok(()) };
        let durability = self.ground.durability;
        // Nothing may reach a mailbox before its record is on disk, or a power failure could leave
        // a torn piece that no record explains.
        let entry = describe(self.journal, &appends, deliveries)
            .and_then(|draft| self.journal.write(draft))
            .map_err(Fault::at(first.file))?;
        // A long message is a batch of its own, so this concerns the whole batch.
        let is_long = deliveries.iter().any(|one| one.text.octets > REPEATED_MOST);
        let mut appended = write_all(&appends);
        if is_long {
            appended =
                appended.and_then(|()| make_durable(durability, &appends, self.journal, &entry));
        }
        if let Err(fault) = appended {
            let torn = undo_all(durability, &appends, self.journal, &entry);
            // What could not be undone is cut off, according to the journal, when the file is
            // opened next. Nothing may be written to it before that.
            self.targets.retain(|file, _| !torn.contains(file));
            return Err(fault);
        }
        if !is_long {
            let mailboxes = appends.iter().map(|append| Arc::clone(append.file)).collect();
            let from = appends.iter().map(|append| append.before.size).min().unwrap_or(0);
            self.journal.appended(&entry, mailboxes, from);
        }
        // Collected first, because `appends` borrows the targets.
        let left: Vec<_> = appends.iter().map(|append| append.left(self.ground)).collect();
        for (file, left) in left {
            if let Some(target) = self.targets.get_mut(&file) {
                target.left = left;
            }
        }
        Ok(())
    }
}

/// The journal's record of a batch.
fn describe(
    journal: &Journal,
    appends: &[Append<'_>],
    deliveries: &[Delivery],
) -> io::Result<Draft> {
    let mut draft = journal.draft(appends.len());
    draft.texts(deliveries.len());
    for Delivery { text, .. } in deliveries {
        match &text.spool {
            _ if text.octets > REPEATED_MOST => draft.summed(text.octets, &text.blocks),
            // Short, but moved to disk because memory was scarce.
            Some(spool) => draft.repeated(&[spool.read()?.as_slice(), &text.memory].concat()),
            None => draft.repeated(&text.memory),
        }
    }
    for append in appends {
        let Append { file, before, messages, .. } = append;
        draft.append(file, before.identity, before.size, messages.len());
        for (separation, message) in append.separated() {
            draft.piece(&[separation, message.head.as_bytes()], message.nth);
        }
    }
    Ok(draft)
}

fn write_all(appends: &[Append<'_>]) -> Result<(), Fault> {
    appends.iter().try_for_each(|append| append.write().map_err(Fault::at(append.file)))
}

/// Syncs the files, then marks the entry as durable in the journal, which does not repeat the text.
fn make_durable(
    durability: Durability,
    appends: &[Append<'_>],
    journal: &Journal,
    entry: &Entry,
) -> Result<(), Fault> {
    sync_all(durability, appends)?;
    let at_first = |error| match appends.first() {
        Some(first) => Fault::at(first.file)(error),
        None => Fault { file: "".into(), error },
    };
    journal.durable(entry).map_err(at_first)
}

/// Syncs several files at once: a sync spends most of its time waiting for the disk.
fn sync_all(durability: Durability, appends: &[Append<'_>]) -> Result<(), Fault> {
    let sync = |share: &[Append<'_>]| {
        let sync = |append: &Append<'_>| durability.sync(append.locked.file());
        share.iter().try_for_each(|append| sync(append).map_err(Fault::at(append.file)))
    };
    let mut shares = appends.chunks(appends.len().div_ceil(SYNCED_AT_ONCE).max(1));
    let mine = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| (share, scope.spawn(|| sync(share)))).collect();
        let mut synced = sync(mine);
        for (share, other) in others {
            // Waits for every thread, also after a fault: none may still sync what is about to be
            // undone.
            synced = other
                .join()
                .unwrap_or_else(|_| match share.first() {
                    Some(first) => Err(Fault::at(first.file)(io::Error::other("syncing panicked"))),
                    None => Ok(()),
                })
                .and(synced);
        }
        synced
    })
}

/// Truncates what was appended, and notes that in the journal before any client gets a reply.
/// Returns the files that could not be truncated.
fn undo_all(
    durability: Durability,
    appends: &[Append<'_>],
    journal: &Journal,
    entry: &Entry,
) -> Vec<FileName> {
    let undo = |append: &Append<'_>| {
        let file = append.locked.file();
        // On disk before the journal says so: recovery leaves an append alone that is marked as
        // undone.
        let undone = file.set_len(append.before.size).and_then(|()| durability.sync(file));
        if let Err(error) = &undone {
            let name = append.file;
            tracing::error!("{name}: cannot undo a failed delivery yet: {error}");
        }
        undone.is_ok()
    };
    // Tries all of them, even after one failed.
    let torn: Vec<usize> = appends
        .iter()
        .enumerate()
        .filter(|(_, append)| !undo(append))
        .map(|(nth, _)| nth)
        .collect();
    if !torn.is_empty() {
        journal.torn(entry, &torn);
    } else if let Err(error) = journal.undone(entry) {
        tracing::error!("cannot mark a journal record as undone: {error}");
    }
    torn.iter().filter_map(|&nth| Some(Arc::clone(appends.get(nth)?.file))).collect()
}

/// The part of a batch that goes to one file.
struct Append<'a> {
    file: &'a FileName,
    locked: &'a LockedFile,
    before: Stamp,
    messages: Vec<Message<'a>>,
    /// Written before the first message if the file does not end in an empty line. Our own messages
    /// end in one, so nothing is needed between them.
    separation: &'static [u8],
}

/// One message as written to one file.
struct Message<'a> {
    /// Written before the text: the From_ line, and the fields that only this file gets.
    head: &'a str,
    text: &'a Finished,
    /// Index of its delivery within the batch.
    nth: usize,
}

impl<'a> Append<'a> {
    fn to(file: &'a FileName, target: &'a Target, deliveries: &'a [Delivery]) -> io::Result<Self> {
        let locked = &target.locked;
        let before = Stamp::of_file(locked.file())?;
        let separation = match target.left {
            // Unchanged since our last message, which ended in an empty line.
            Some(left) if left == before => b"",
            _ => mbox::separation(&last_octets(locked.file(), before.size)?),
        };
        let message = |(nth, delivery): (usize, &'a Delivery)| {
            let head = delivery.part_for(file)?.head.as_str();
            Some(Message { head, text: &delivery.text, nth })
        };
        let messages = deliveries.iter().enumerate().filter_map(message).collect();
        Ok(Self { file, locked, before, messages, separation })
    }

    /// Each message with the separation before it.
    fn separated(&self) -> impl Iterator<Item = (&'static [u8], &Message<'a>)> {
        iter::once(self.separation).chain(iter::repeat(&b""[..])).zip(&self.messages)
    }

    fn write(&self) -> io::Result<()> {
        // Long texts are written from where they are, without another copy in memory.
        let is_streamed = |text: &Finished| text.spool.is_some() || text.octets > REPEATED_MOST;
        if self.messages.iter().any(|message| is_streamed(message.text)) {
            return self.stream();
        }
        let mut all = Vec::with_capacity(self.messages.iter().map(Message::octets).sum());
        for (separation, Message { head, text, .. }) in self.separated() {
            for part in [separation, head.as_bytes(), &text.memory, END_OF_MESSAGE] {
                all.extend_from_slice(part);
            }
        }
        self.locked.file().write_all_at(&all, self.before.size)
    }

    fn stream(&self) -> io::Result<()> {
        let mut file = self.locked.file();
        file.seek(SeekFrom::Start(self.before.size))?;
        for (separation, Message { head, text, .. }) in self.separated() {
            file.write_all(&[separation, head.as_bytes()].concat())?;
            if let Some(spool) = &text.spool {
                copy(&spool.file, spool.octets, file)?;
            }
            file.write_all(&text.memory)?;
            file.write_all(END_OF_MESSAGE)?;
        }
        Ok(())
    }

    /// The file's state after the append; `None` if it cannot be determined (the next write then
    /// reads the end of the file again).
    fn left(&self, ground: &Ground) -> (FileName, Option<Stamp>) {
        let left = Stamp::of_file(self.locked.file()).ok();
        if let Some(left) = left {
            ground.indexes.appended(self.file, self.before, left);
        }
        (Arc::clone(self.file), left)
    }
}

impl Message<'_> {
    fn octets(&self) -> usize {
        self.head.len() + self.text.memory.len() + END_OF_MESSAGE.len() + 2
    }
}

/// Copies a spooled text, within the kernel if it can.
fn copy(mut spool: &File, octets: u64, mut file: &File) -> io::Result<()> {
    spool.seek(SeekFrom::Start(0))?;
    let copied = io::copy(&mut spool.take(octets), &mut file)?;
    if copied == octets { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
