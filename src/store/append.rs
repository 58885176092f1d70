//! Appending deliveries to locked files: journal, append, sync. For every recipient of a message
//! or for none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::iter;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::store::delivery::{DeliverError, Delivery, END_OF_MESSAGE, Part, is_no_space};
use crate::store::files::{FileName, Stamp};
use crate::store::ground::{Durability, Ground};
use crate::store::journal::{self, BATCH_REPEATED_MOST, Journal, Piece, REPEATED_MOST};
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::text::Finished;

/// Threads that sync the files of a batch, the writer's own among them.
const SYNCED_AT_ONCE: usize = 16;

/// The files of a batch, by name.
pub type Locked = BTreeMap<FileName, LockedFile>;

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

/// Writes batches to files that stay locked while it lives.
#[derive(Debug)]
pub struct Writer<'a> {
    ground: &'a Ground,
    files: Locked,
    /// Once something has been written; taken over from the writer before, if it left one.
    journal: Option<Journal>,
}

/// What went wrong with a batch, and with which file.
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

impl<'a> Writer<'a> {
    /// A writer to `files`.
    #[must_use]
    pub const fn new(ground: &'a Ground, files: Locked, journal: Option<Journal>) -> Self {
        Self { ground, files, journal }
    }

    /// The journal, for the next writer; the files are no longer locked.
    #[must_use]
    pub fn finish(self) -> Option<Journal> {
        self.journal
    }

    /// Ends without a next writer. What is left beside these files is settled, or was never
    /// begun; one that cannot be removed is harmless.
    pub fn remove_journal(self) {
        for file in self.files.keys() {
            if let Err(error) = journal::remove(&self.ground.files, file) {
                tracing::warn!("{file}: cannot remove the journal: {error}");
            }
        }
    }

    /// Writes the deliveries and syncs.
    #[must_use]
    pub fn write(&mut self, deliveries: Vec<Delivery>) -> Answers {
        let there = |part: &Part| self.files.contains_key(&part.file);
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

    /// One message must not take others down with it: where a file failed, those that go to other
    /// files are tried again, and where it was full, also those that may be small enough.
    ///
    /// After any other failure the file is not tried again: what a failed sync could not write the
    /// kernel has forgotten, so that the next one would succeed without anything being on disk.
    fn write_innocent(&mut self, deliveries: Vec<Delivery>, fault: Fault) -> Answers {
        let Fault { file, error } = fault;
        tracing::error!("{file}: a delivery failed: {error}");
        let (alone, full) = (deliveries.len() == 1, is_no_space(&error));
        let is_guilty = |delivery: &Delivery| alone || (!full && delivery.goes_to(&file));
        let (guilty, others): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(is_guilty);
        let one_by_one = others.into_iter().map(|one| self.write_present(vec![one]));
        let answers = one_by_one.fold(Answers::default(), Answers::and);
        answers.and(Answers::of(guilty, &Err(error.into())))
    }

    /// All of the deliveries, or nothing.
    fn append(&mut self, deliveries: &[Delivery]) -> Result<(), Fault> {
        let kept = self.journal.take();
        let wanted = |file: &FileName| deliveries.iter().any(|one| one.goes_to(file));
        let files = self.files.iter().filter(|(file, _)| wanted(file));
        let appends: Vec<_> = files
            .map(|(file, locked)| Append::to(file, locked, deliveries).map_err(Fault::at(file)))
            .collect::<Result<_, _>>()?;
        let Some(first) = appends.first() else { return Ok(()) };
        let journal = begin(self.ground, &appends, kept).map_err(Fault::at(first.file))?;
        let appended = write_all(self.ground, &appends);
        let whole = appended.is_ok() || undo_all(self.ground.durability, &appends);
        if whole {
            self.journal = Some(settled(journal));
            return appended;
        }
        // What could not be undone whoever opens the file next undoes, by the journal. So nothing
        // more may be written to it now.
        let torn: Vec<_> = appends.iter().map(|append| Arc::clone(append.file)).collect();
        self.files.retain(|file, _| !torn.contains(file));
        appended
    }
}

/// Writes down, durably, what is to be appended; in the journal that was `kept`, if it can be.
fn begin(ground: &Ground, appends: &[Append<'_>], kept: Option<Journal>) -> io::Result<Journal> {
    let Ground { files, durability, .. } = ground;
    let mailboxes = appends.iter().map(|append| append.file);
    let journal = Journal::beside(files, mailboxes, kept, *durability)?;
    journal.write(appends.iter().map(|append| &append.record), *durability)?;
    Ok(journal)
}

fn settled(journal: Journal) -> Journal {
    if let Err(error) = journal.settle() {
        tracing::warn!("cannot settle the journal: {error}");
    }
    journal
}

fn write_all(ground: &Ground, appends: &[Append<'_>]) -> Result<(), Fault> {
    for append in appends {
        append.write().map_err(Fault::at(append.file))?;
    }
    sync_all(ground.durability, appends)?;
    for append in appends {
        let after = Stamp::of_file(append.locked.file()).map_err(Fault::at(append.file))?;
        ground.indexes.appended(append.file, append.before, after);
    }
    Ok(())
}

/// Syncs several files at once: each sync is mostly waiting, for the same disk.
fn sync_all(durability: Durability, appends: &[Append<'_>]) -> Result<(), Fault> {
    let to_sync = |append: &Append<'_>| (Arc::clone(append.file), append.locked.share());
    let mut shares = appends
        .chunks(appends.len().div_ceil(SYNCED_AT_ONCE).max(1))
        .map(|share| share.iter().map(to_sync).collect::<Vec<_>>());
    let mine = shares.next().unwrap_or_default();
    let sync = move |share: Vec<(FileName, Arc<File>)>| {
        share.iter().try_for_each(|(name, file)| durability.sync(file).map_err(Fault::at(name)))
    };
    let runtime = Handle::current();
    let others: Vec<_> = shares.map(|share| runtime.spawn_blocking(move || sync(share))).collect();
    let mut synced = sync(mine);
    for (other, append) in others.into_iter().zip(appends) {
        let gone = |error| Err(Fault::at(append.file)(io::Error::other(error)));
        // Every one is waited for, also after a fault: none may sync what is being undone.
        synced = synced.and(runtime.block_on(other).unwrap_or_else(gone));
    }
    synced
}

/// Takes away what was appended; whether that worked everywhere.
fn undo_all(durability: Durability, appends: &[Append<'_>]) -> bool {
    let undo = |append: &Append<'_>| {
        let file = append.locked.file();
        let undone = file.set_len(append.before.size).and_then(|()| durability.sync(file));
        if let Err(error) = &undone {
            let name = append.file;
            tracing::error!("{name}: cannot take a failed delivery back yet: {error}");
        }
        undone.is_ok()
    };
    // All of them, also after one failed.
    let failed = appends.iter().filter(|append| !undo(append)).count();
    failed == 0
}

/// What of a batch goes to one file.
struct Append<'a> {
    file: &'a FileName,
    locked: &'a LockedFile,
    before: Stamp,
    messages: Vec<(&'a str, &'a Finished)>,
    /// What separates the first message from the one before it. Ours end in an empty line, so
    /// that nothing is needed between them.
    separation: &'static [u8],
    record: journal::Append,
}

impl<'a> Append<'a> {
    fn to(
        file: &'a FileName,
        locked: &'a LockedFile,
        deliveries: &'a [Delivery],
    ) -> io::Result<Self> {
        let before = Stamp::of_file(locked.file())?;
        let end = journal::last_octets(locked.file(), before.size)?;
        let message =
            |delivery: &'a Delivery| Some((delivery.part_for(file)?.head.as_str(), &delivery.text));
        let record = journal::Append {
            identity: before.identity,
            old_size: before.size,
            pieces: Vec::new(),
            beginning: Vec::new(),
        };
        let messages = deliveries.iter().filter_map(message).collect();
        let separation = mbox::separation(&end);
        let mut append = Self { file, locked, before, messages, separation, record };
        append.record.pieces = append.pieces();
        append.record.beginning = append.beginning(deliveries);
        Ok(append)
    }

    fn write(&self) -> io::Result<()> {
        if self.record.beginning.len() as u64 == self.octets() {
            return self.locked.file().write_all_at(&self.record.beginning, self.before.size);
        }
        self.stream()
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

    fn octets(&self) -> u64 {
        self.record.pieces.iter().map(|piece| piece.octets).sum()
    }

    /// All octets in one piece, if they are few and none of them are in a file, in a batch that is
    /// not large either; else what stands ahead of the first text.
    fn beginning(&self, batch: &[Delivery]) -> Vec<u8> {
        let spooled = self.messages.iter().any(|(_, text)| text.spool.is_some());
        let large = || batch.iter().map(Delivery::octets).sum::<u64>() > BATCH_REPEATED_MOST;
        if spooled || self.octets() > REPEATED_MOST || large() {
            let first = self.separated().take(1);
            return first.flat_map(|(ends, head, _)| [ends, head.as_bytes()].concat()).collect();
        }
        let mut all = Vec::new();
        for (separation, head, text) in self.separated() {
            for part in [separation, head.as_bytes(), &text.memory, END_OF_MESSAGE] {
                all.extend_from_slice(part);
            }
        }
        all
    }

    fn stream(&self) -> io::Result<()> {
        let mut file = self.locked.file();
        file.seek(SeekFrom::Start(self.before.size))?;
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
