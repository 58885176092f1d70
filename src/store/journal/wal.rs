//! The journal file (docs/files.md 8.1, 8.2): a ring of records in `.mailconsole/ID.wal`, locked
//! while its process lives.
//!
//! All of it has been written once before records are placed in it, so that syncing a record writes
//! data but no metadata (measured: nearly three times as many syncs a second as in a file that
//! grows). It starts small, and grows when it is full of records that are still needed.
//!
//! ```text
//! 0    "mcwal\0\0\x02"
//! 8    the journal's number, u64: random, and in each of its records
//! 16   the boot id of the machine, 36 octets (/proc/sys/kernel/random/boot_id)
//! 52   CRC-32 of the 52 octets before
//! 512  records, each at a multiple of 512
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use crate::store::files::{Access, Creation, Files, Stamp};
use crate::store::ground::Durability;
use crate::store::journal::record::{Finished, HEADER, Numbers, Record, State};
use crate::store::lock;

/// Name of the folder that contains the journals.
pub const FOLDER: &str = ".mailconsole";

/// End of a journal's file name.
pub const SUFFIX: &str = ".wal";

/// The octet that the owner of a journal keeps locked while it lives.
const OWNER: u32 = 0;

/// The octet locked by the process that recovers from a journal without an owner.
const RECOVERER: u32 = 1;

/// Size of a new journal in octets.
// Small, because all of it is written before the first delivery into a quiet directory.
const SIZE_FIRST: u64 = 64 * 1024;

/// Maximum size of a journal in octets.
pub const SIZE_MOST: u64 = 8 * 1024 * 1024;

/// Maximum octets read of another process's journal.
const READ_MOST: u64 = 2 * SIZE_MOST;

/// Records begin at multiples of this many octets, as disk sectors do, so that writing one touches
/// no sector of another.
const ALIGNED: u64 = 512;

const MAGIC: &[u8; 8] = b"mcwal\0\0\x02";

/// Octets of a boot id.
const BOOT_ID: usize = 36;

/// Size of the buffer for inotify events.
const EVENTS: usize = 4096;

/// Attempts to create a journal while other processes tidy up the folder.
const ATTEMPTS: usize = 20;

/// The boot id of the machine; empty if it cannot be read.
static BOOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.get(..BOOT_ID).unwrap_or_default().to_vec()
});

/// A journal of this process.
#[derive(Debug)]
pub struct Wal {
    folder: Arc<Files>,
    name: String,
    file: Arc<Shared>,
    /// Its number, which is random.
    pub journal: u64,
    /// Octets that have been written through, and so can be used.
    size: u64,
    /// Offset of the next record.
    next: u64,
    /// The number of the next record.
    number: u64,
    /// Records that may still be needed, in order.
    live: VecDeque<Live>,
    /// Place of the last record.
    last: Range<u64>,
    /// Whether the name of the file is on disk.
    is_named: bool,
}

#[derive(Debug)]
struct Live {
    number: u64,
    place: Range<u64>,
    /// Whether all its mailboxes are on disk, so that it is not needed.
    is_settled: bool,
}

/// The file of a journal, which several threads sync.
#[derive(Debug)]
pub struct Shared {
    file: File,
    /// Number of syncs requested.
    asked: AtomicU64,
    syncs: Mutex<Syncs>,
}

/// The outcome of the syncs so far.
#[derive(Debug, Default)]
struct Syncs {
    /// Number of syncs requested when the last one began.
    done: u64,
    /// Whether a sync has failed. The kernel reports an error to one thread only and drops the
    /// pages, so nothing in the file can be trusted to be on disk after that.
    has_failed: bool,
}

impl Shared {
    const fn new(file: File) -> Self {
        let syncs = Syncs { done: 0, has_failed: false };
        Self { file, asked: AtomicU64::new(0), syncs: Mutex::new(syncs) }
    }

    /// Syncs the file, unless writes are not to be synced. Requests that wait for a running sync
    /// share the next one, since their data has been written by then.
    pub fn sync(&self, durability: Durability) -> io::Result<()> {
        // Counted before waiting for the lock: a sync that begins after this covers the request.
        let asked = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut syncs = self.syncs();
        if syncs.has_failed {
            return Err(io::Error::other("the journal could not be synced"));
        }
        if syncs.done >= asked {
            return Ok(());
        }
        // Whatever has been requested so far has been written, so this sync covers it.
        let all = self.asked.load(Ordering::Acquire);
        let synced = durability.sync(&self.file);
        *syncs = Syncs { done: all, has_failed: synced.is_err() };
        synced
    }

    fn has_failed(&self) -> bool {
        self.syncs().has_failed
    }

    fn syncs(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock()
    }
}

/// A record that has been written, and the place of its states.
#[derive(Debug, Clone)]
pub struct Entry {
    file: Arc<Shared>,
    /// Number of its journal.
    pub journal: u64,
    /// Its own number.
    pub number: u64,
    states: u64,
    appends: usize,
}

impl Entry {
    /// Sets the state of all its appends. On disk with the next sync.
    pub fn set(&self, state: State) -> io::Result<()> {
        self.file.file.write_all_at(&vec![state.octet(); self.appends], self.states)
    }

    /// Sets the state of one of its appends. On disk with the next sync.
    pub fn set_one(&self, append: usize, state: State) -> io::Result<()> {
        self.file.file.write_all_at(&[state.octet()], self.states + append as u64)
    }

    /// Syncs its journal, unless writes are not to be synced.
    pub fn sync(&self, durability: Durability) -> io::Result<()> {
        self.file.sync(durability)
    }
}

impl Wal {
    /// Creates a journal and locks it. It is not synced yet.
    pub fn create(files: &Files) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::try_create(files) {
                // Another process removed the folder in between, or has a journal of the same
                // name: try again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(None) => {}
                Ok(Some(wal)) => return Ok(wal),
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// `None` if another process took it for that of a dead process before it was locked.
    fn try_create(files: &Files) -> io::Result<Option<Self>> {
        let folder = Arc::new(files.own_folder(FOLDER)?);
        let journal = fastrand::u64(..);
        let name = format!("{journal:016x}{SUFFIX}");
        let file = folder.open_file(&name, Access::Write, Creation::Always)?;
        if !lock::try_lock_octet(&file, OWNER)? {
            return Ok(None);
        }
        // Before we had the lock it looked like the journal of a dead process, and may have been
        // removed.
        let named = folder.regular(&name)?.map(|stamp| stamp.identity);
        if named != Some(Stamp::of_file(&file)?.identity) {
            return Ok(None);
        }
        let mut wal = Self {
            folder,
            name,
            file: Arc::new(Shared::new(file)),
            journal,
            size: 0,
            next: ALIGNED,
            number: 1,
            live: VecDeque::new(),
            last: 0..0,
            is_named: false,
        };
        let begun =
            wal.file.file.write_all_at(&header(journal), 0).and_then(|()| wal.grow(SIZE_FIRST));
        if let Err(error) = begun {
            wal.remove(files)?;
            return Err(error);
        }
        Ok(Some(wal))
    }

    /// Writes a record without syncing it. `None` if the ring is full of records that are still
    /// needed; then a checkpoint may make room.
    pub fn write(&mut self, record: &mut Finished) -> io::Result<Option<Entry>> {
        let length = record.size().next_multiple_of(ALIGNED);
        let Some(start) = self.place(length)? else { return Ok(None) };
        let number = self.number;
        // Recovery ignores everything before the oldest record that is needed.
        let first = self.live.front().map_or(number, |live| live.number);
        let numbers = Numbers { journal: self.journal, number, first, time: now() };
        self.file.file.write_all_at(record.numbered(numbers), start)?;
        self.number += 1;
        self.next = start + length;
        self.last = start..self.next;
        let (file, journal) = (Arc::clone(&self.file), self.journal);
        let states = start + HEADER as u64;
        Ok(Some(Entry { file, journal, number, states, appends: record.appends() }))
    }

    /// As [`write`](Self::write), for a record that is needed until it is settled.
    pub fn write_live(&mut self, record: &mut Finished) -> io::Result<Option<Entry>> {
        let entry = self.write(record)?;
        if let Some(entry) = &entry {
            let (number, place) = (entry.number, self.last.clone());
            self.live.push_back(Live { number, place, is_settled: false });
        }
        Ok(entry)
    }

    /// A place for a record of `length` octets. It overlaps no record that is needed, nor the last
    /// one, which says what is needed. The ring grows if it must and may.
    fn place(&mut self, length: u64) -> io::Result<Option<u64>> {
        let is_free = |start: u64| {
            let touches = |there: &Range<u64>| start < there.end && there.start < start + length;
            start + length <= self.size
                && !touches(&self.last)
                && !self.live.iter().any(|live| touches(&live.place))
        };
        // After the last record or, at the end of the ring, at its beginning.
        if let Some(start) = [self.next, ALIGNED].into_iter().find(|&start| is_free(start)) {
            return Ok(Some(start));
        }
        let ends = self.live.iter().map(|live| live.place.end);
        let start = ends.fold(self.last.end.max(ALIGNED), u64::max);
        let end = start + length;
        if end > SIZE_MOST {
            return Ok(None);
        }
        if end > self.size {
            self.grow(end.max(self.size * 2).min(SIZE_MOST))?;
        }
        Ok(Some(start))
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        let from = self.size.max(ALIGNED);
        // Written and not only allocated, so that syncing a record changes no metadata.
        let zeros = vec![0; usize::try_from(size - from).map_err(io::Error::other)?];
        self.file.file.write_all_at(&zeros, from)?;
        self.size = size;
        Ok(())
    }

    /// Syncs the file, and the folder if the journal's name is new.
    pub fn sync(&mut self, files: &Files, durability: Durability) -> io::Result<()> {
        self.file.sync(durability)?;
        if durability == Durability::Synced {
            self.folder.sync()?;
            files.sync()?;
        }
        self.is_named = true;
        Ok(())
    }

    /// Whether the name of the file is on disk.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.is_named
    }

    /// Whether a sync has failed, so that nothing more may be written to it.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.file.has_failed()
    }

    /// Its name in the folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Marks records as no longer needed, because what they describe is on disk in the mailboxes or
    /// was undone.
    pub fn settle(&mut self, is_settled: impl Fn(u64) -> bool) {
        for live in &mut self.live {
            live.is_settled |= is_settled(live.number);
        }
        // Only from the front: a record can tell no more than where the needed ones begin.
        while self.live.pop_front_if(|live| live.is_settled).is_some() {}
    }

    /// Whether any record is still needed.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.live.is_empty()
    }

    /// Removes the file, and the folder if it is empty then.
    pub fn remove(self, files: &Files) -> io::Result<()> {
        self.folder.remove(&self.name)?;
        files.remove_folder(FOLDER)
    }
}

fn header(journal: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&journal.to_le_bytes());
    header.extend_from_slice(&BOOT);
    header.resize(16 + BOOT_ID, 0);
    let checksum = crc32fast::hash(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header
}

/// The current time in milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A journal of another process, which may be dead.
#[derive(Debug)]
pub struct Other {
    folder: Arc<Files>,
    /// Its name in the folder.
    pub name: String,
    file: File,
}

/// The outcome of an attempt to recover from a journal.
#[derive(Debug)]
pub enum Claim {
    /// Its owner lives.
    Alive,
    /// Another process is recovering from it.
    Busy,
    /// It has been removed.
    Gone,
    /// Its owner is dead, and no other process can recover from it while this value is kept.
    Dead(Dead),
}

impl Other {
    /// Opens the journal of that name.
    pub fn open(folder: &Arc<Files>, name: &str) -> io::Result<Self> {
        let file = folder.open_file(name, Access::Write, Creation::Never)?;
        Ok(Self { folder: Arc::clone(folder), name: name.to_owned(), file })
    }

    /// Whether it may hold the only copy on disk of something appended to a mailbox.
    pub fn is_needed_for(&self, mailbox: &str) -> io::Result<bool> {
        let (_, records) = read(&self.file)?;
        let mut appends = records.iter().flat_map(|(_, record)| &record.appends);
        Ok(appends.any(|append| append.file == mailbox && !append.state.is_settled()))
    }

    /// Syncs what its owner has written to it.
    pub fn sync(&self, durability: Durability) -> io::Result<()> {
        durability.sync(&self.file)
    }

    /// Begins to watch for writes to it, and for the end of its owner.
    pub fn watch(&self) -> io::Result<Watch> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        // inotify takes a path; this one leads to the open file, whatever its name is now.
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        // CLOSE_WRITE reports that the owner has ended.
        let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&watch, file, events)?;
        Ok(Watch(watch))
    }

    /// Whether its owner is dead. One system call.
    pub fn is_dead(&self) -> io::Result<bool> {
        Ok(!lock::is_octet_locked(&self.file, OWNER)?)
    }

    /// Takes the right to recover from it, if its owner is dead.
    pub fn claim(&self) -> io::Result<Claim> {
        if !self.is_dead()? {
            return Ok(Claim::Alive);
        }
        // Opened again, because the lock belongs to the open file: it must go with the returned
        // value, not with `self`.
        let file = self.folder.open_file(&self.name, Access::Write, Creation::Never);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Gone),
            file => file?,
        };
        if !lock::try_lock_octet(&file, RECOVERER)? {
            return Ok(Claim::Busy);
        }
        // Another process may have recovered from it and removed it before we had the lock.
        let named = self.folder.regular(&self.name)?.map(|stamp| stamp.identity);
        if named != Some(Stamp::of_file(&file)?.identity) {
            return Ok(Claim::Gone);
        }
        Dead::read(Arc::clone(&self.folder), self.name.clone(), file).map(Claim::Dead)
    }
}

/// Tells when something is written to a journal.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Waits until something has been written, for at most `most`.
    pub fn wait(&self, most: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(most).map_err(io::Error::other)?;
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut watched, Some(&timeout))? > 0 {
            rustix::io::read(&self.0, &mut [0; EVENTS])?;
        }
        Ok(())
    }
}

/// A journal whose owner is dead, and the right to recover from it.
#[derive(Debug)]
pub struct Dead {
    folder: Arc<Files>,
    name: String,
    file: File,
    /// Whether it was written since the machine was started: then the kernel still has everything
    /// that was appended.
    pub is_of_this_boot: bool,
    /// The records that were needed, in order, with their offsets in the file.
    pub records: Vec<(u64, Record)>,
}

impl Dead {
    fn read(folder: Arc<Files>, name: String, file: File) -> io::Result<Self> {
        let (is_of_this_boot, records) = read(&file)?;
        Ok(Self { folder, name, file, is_of_this_boot, records })
    }

    /// Notes on disk that all appends of its records to `file` are settled.
    pub fn settle(&mut self, file: &str, durability: Durability) -> io::Result<()> {
        for (start, record) in &mut self.records {
            for (nth, append) in record.appends.iter_mut().enumerate() {
                if append.file == file && !append.state.is_settled() {
                    append.state = State::Durable;
                    let at = *start + (HEADER + nth) as u64;
                    self.file.write_all_at(&[State::Durable.octet()], at)?;
                }
            }
        }
        durability.sync(&self.file)
    }

    /// The files that must be examined: what was appended may be missing or not yet on disk.
    pub fn unsettled(&self) -> impl Iterator<Item = &str> {
        let appends = self.records.iter().flat_map(|(_, record)| &record.appends);
        appends.filter(|append| !append.state.is_settled()).map(|append| append.file.as_str())
    }

    /// Removes the file if nothing is left to recover from it.
    pub fn remove_if_settled(self, files: &Files) -> io::Result<()> {
        if self.unsettled().next().is_some() {
            return Ok(());
        }
        self.folder.remove(&self.name)?;
        files.remove_folder(FOLDER)
    }
}

/// Whether a journal was written since the machine was started, and the records that were still
/// needed, in order, with their offsets.
fn read(file: &File) -> io::Result<(bool, Vec<(u64, Record)>)> {
    let size = Stamp::of_file(file)?.size.min(READ_MOST);
    let mut octets = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut octets, 0)?;
    Ok(match read_header(&octets) {
        Some((journal, boot)) => {
            // Without a boot id a restart is assumed, after which messages are completed and not
            // cut.
            let is_of_this_boot = !BOOT.is_empty() && *boot == **BOOT;
            (is_of_this_boot, read_records(&octets, journal))
        }
        // The header never reached the disk, so no append had begun.
        None => (false, Vec::new()),
    })
}

fn read_header(octets: &[u8]) -> Option<(u64, &[u8])> {
    let header = octets.get(..16 + BOOT_ID)?;
    let checksum = octets.get(16 + BOOT_ID..20 + BOOT_ID)?;
    let is_whole =
        header.starts_with(MAGIC) && crc32fast::hash(header).to_le_bytes().as_slice() == checksum;
    let journal = u64::from_le_bytes(header.get(8..16)?.try_into().ok()?);
    is_whole.then_some((journal, header.get(16..)?))
}

/// The records that were still needed, wherever they are in the ring.
fn read_records(octets: &[u8], journal: u64) -> Vec<(u64, Record)> {
    let starts = (ALIGNED..octets.len() as u64).step_by(512);
    let read = |start: u64| {
        let at = usize::try_from(start).ok()?;
        Some((start, Record::read(octets.get(at..)?, journal)?))
    };
    let mut records: Vec<_> = starts.filter_map(read).collect();
    records.sort_unstable_by_key(|(_, record)| record.numbers.number);
    // The latest record says which ones are still needed.
    let first = records.iter().map(|(_, record)| record.numbers.first).max().unwrap_or(0);
    records.retain(|(_, record)| record.numbers.number >= first);
    records
}

/// Makes a journal look as if the machine had been restarted since.
#[cfg(test)]
pub(super) fn pretend_another_boot(path: &std::path::Path) {
    let mut octets = std::fs::read(path).unwrap();
    octets[16] ^= 1;
    let checksum = crc32fast::hash(&octets[..16 + BOOT_ID]);
    octets[16 + BOOT_ID..20 + BOOT_ID].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(path, octets).unwrap();
}

/// Makes the first record of a journal look this old.
#[cfg(test)]
pub(super) fn pretend_age(path: &std::path::Path, age: std::time::Duration) {
    let mut octets = std::fs::read(path).unwrap();
    let header = &mut octets[512..512 + HEADER];
    let time = now() - u64::try_from(age.as_millis()).unwrap();
    header[32..40].copy_from_slice(&time.to_le_bytes());
    let checksum = crc32fast::hash(&header[..52]);
    header[52..56].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(path, octets).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::record::Draft;

    fn record(octets: usize) -> Finished {
        let mut draft = Draft::new(1, Vec::new());
        draft.texts(1);
        draft.repeated(&vec![b'x'; octets]);
        draft.append("u.mbox", (1, 2), 0, 1);
        draft.piece(&[b"From x\n"], 0);
        draft.finish()
    }

    fn directory() -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        (dir, files)
    }

    /// The numbers of the records that a recovery finds.
    fn found(dir: &tempfile::TempDir) -> Vec<u64> {
        let folder = Arc::new(Files::open(&dir.path().join(FOLDER)).unwrap());
        let name = folder.names(9).unwrap().into_iter().find(|n| n.ends_with(SUFFIX)).unwrap();
        let file = folder.open_file(&name, Access::Write, Creation::Never).unwrap();
        let dead = Dead::read(folder, name, file).unwrap();
        dead.records.iter().map(|(_, record)| record.numbers.number).collect()
    }

    #[test]
    fn records_that_are_needed_are_found_and_none_is_overwritten_however_the_ring_turns() {
        let (dir, files) = directory();
        let mut wal = Wal::create(&files).unwrap();
        let mut needed = VecDeque::new();
        for turn in 0..400_usize {
            let entry = wal.write_live(&mut record(turn * 37 % 9_000)).unwrap().unwrap();
            needed.push_back(entry.number);
            while needed.len() > turn % 7 + 1 {
                let oldest = needed.pop_front().unwrap();
                wal.settle(|number| number == oldest);
            }
            if turn % 10 == 0 {
                wal.write(&mut Finished::checkpoint()).unwrap().unwrap();
            }
            let found = found(&dir);
            assert!(needed.iter().all(|number| found.contains(number)), "turn {turn}");
        }
        assert!(wal.size < 256 * 1024, "it grew to {}", wal.size);
    }

    #[test]
    fn a_ring_that_is_full_grows_to_its_limit_and_says_then_that_there_is_no_room() {
        let (dir, files) = directory();
        let mut wal = Wal::create(&files).unwrap();
        let mut numbers = Vec::new();
        while let Some(entry) = wal.write_live(&mut record(200_000)).unwrap() {
            numbers.push(entry.number);
        }
        assert!(wal.size <= SIZE_MOST && wal.size > SIZE_MOST - 400_000);
        assert_eq!(found(&dir), numbers);
        wal.settle(|number| number <= 3);
        assert!(wal.write_live(&mut record(200_000)).unwrap().is_some());
        assert_eq!(found(&dir).first(), Some(&4));
        wal.settle(|_| true);
        wal.remove(&files).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_record_that_has_been_settled_is_not_found_once_a_checkpoint_says_so() {
        let (dir, files) = directory();
        let mut wal = Wal::create(&files).unwrap();
        for _ in 0..3 {
            wal.write_live(&mut record(10)).unwrap().unwrap();
        }
        wal.settle(|number| number < 3);
        assert_eq!(found(&dir), [1, 2, 3]);
        wal.write(&mut Finished::checkpoint()).unwrap().unwrap();
        assert_eq!(found(&dir), [3, 4]);
        wal.settle(|_| true);
        wal.write(&mut Finished::checkpoint()).unwrap().unwrap();
        assert_eq!(found(&dir), [5]);
    }

    #[test]
    fn the_folder_is_made_anew_where_something_else_has_its_name() {
        let (dir, files) = directory();
        let folder = dir.path().join(FOLDER);
        std::os::unix::fs::symlink("/tmp", &folder).unwrap();
        Wal::create(&files).unwrap().remove(&files).unwrap();
        std::fs::write(&folder, "x").unwrap();
        Wal::create(&files).unwrap().remove(&files).unwrap();
        assert!(!folder.exists());
    }
}
