//! The journal of appends to one mbox file: what is about to be written, durable before the first
//! octet of it is, so that whoever opens the file after a crash can take a torn piece away.
//!
//! Nobody was told that a message in the journal is stored, so it may be dropped; but a message
//! that another program appended behind a torn one may not.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::memmem;

use crate::store::directory::Durability;
use crate::store::files::{Access, Creation, Files, Stamp};
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::rewrite;

/// Octets of an append that the journal repeats. Of a longer one it keeps only lengths and
/// checksums, and a foreign message behind a torn piece is then found by its From_ line.
pub const BLOB_MOST: usize = 256 * 1024;

/// Octets of a journal that are believed; far more than one batch writes.
const RECORD_MOST: u64 = 4 * 1024 * 1024;

/// Octets that may stand ahead of the first From_ line of an append.
const SEPARATION_MOST: usize = 2;

const MAGIC: &[u8; 8] = b"mcwal\0\0\x01";

/// What stands in the place of the magic number when there is nothing to recover.
const SETTLED: [u8; 8] = [0; 8];

/// What is appended for one message: how long it is, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Octets, with what separates it from the message before.
    pub octets: u64,
    /// CRC-32 of them.
    pub checksum: u32,
}

/// One append of one or more messages, in one write, to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which file: device and inode.
    pub identity: (u64, u64),
    /// Its size before, in octets.
    pub old_size: u64,
    /// What is appended there, in order.
    pub pieces: Vec<Piece>,
    /// The octets themselves, if they are few.
    pub blob: Option<Vec<u8>>,
}

fn file_name(mailbox: &str) -> String {
    format!(".{mailbox}.wal")
}

/// The journal of one locked file, open for writing.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal of `mailbox`, which the caller has locked; its name is durable then.
    pub fn open(files: &Files, mailbox: &str, durability: Durability) -> io::Result<Self> {
        let name = file_name(mailbox);
        let file = match files.open_file(&name, Access::Write, Creation::Never) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = files.open_file(&name, Access::Write, Creation::Always)?;
                if durability == Durability::Synced {
                    files.sync()?;
                }
                file
            }
            opened => opened?,
        };
        Ok(Self { file })
    }

    /// Writes the record down. The append may begin once the [`file`](Self::file) is synced.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        self.file.write_all_at(&record.encode(), 0)
    }

    /// The journal's own file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Says that the append is complete, or has been undone. Not synced: a record that comes back
    /// after a power failure describes an append that is found whole.
    pub fn settle(&self) -> io::Result<()> {
        self.file.write_all_at(&SETTLED, 0)
    }
}

/// Removes the journal of `mailbox`, whose lock the caller holds and which is whole.
///
/// A journal is kept between appends that follow each other closely: making a file and removing
/// it again costs more than the append.
pub fn remove(files: &Files, mailbox: &str) -> io::Result<()> {
    files.remove(&file_name(mailbox))
}

/// What [`recover`] left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The file that was locked, whole.
    Whole,
    /// A new file in its place: lock that one.
    Replaced,
}

/// Takes away what a process that died in an append to the locked file `mailbox` left behind.
pub fn recover(files: &Arc<Files>, mailbox: &str, locked: &LockedFile) -> io::Result<Recovered> {
    let name = file_name(mailbox);
    let journal = match files.open_file(&name, Access::Read, Creation::Never) {
        Ok(journal) => journal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::Whole),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    (&journal).take(SETTLED.len() as u64).read_to_end(&mut bytes)?;
    if bytes == SETTLED {
        return Ok(Recovered::Whole);
    }
    journal.take(RECORD_MOST).read_to_end(&mut bytes)?;
    let recovered = match Record::decode(&bytes) {
        Some(record) => undo_torn_append(files, mailbox, locked, &record)?,
        // Torn itself: the append it was to describe had not begun.
        None => Recovered::Whole,
    };
    files.remove(&name)?;
    Ok(recovered)
}

fn undo_torn_append(
    files: &Arc<Files>,
    mailbox: &str,
    locked: &LockedFile,
    record: &Record,
) -> io::Result<Recovered> {
    let file = locked.file();
    let stamp = Stamp::of_file(file)?;
    if stamp.identity != record.identity || stamp.size <= record.old_size {
        return Ok(Recovered::Whole);
    }
    let Some(torn) = record.torn(file, stamp.size)? else {
        return Ok(Recovered::Whole);
    };
    tracing::warn!(
        "{mailbox}: removing {} octets of a delivery that was cut off",
        torn.end - torn.start
    );
    if torn.end == stamp.size {
        file.set_len(torn.start)?;
        file.sync_data()?;
        return Ok(Recovered::Whole);
    }
    let end = last_octets(file, torn.start)?;
    let mut draft = rewrite::Draft::begin(files, mailbox, file)?;
    draft.copy(file, 0..torn.start)?;
    draft.write(mbox::separation(&end))?;
    draft.copy(file, torn.end..stamp.size)?;
    draft.replace()?;
    Ok(Recovered::Replaced)
}

/// The last octets before `end`, enough to see whether an empty line ends there.
pub fn last_octets(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let from = end.saturating_sub(3);
    let mut octets = vec![0; usize::try_from(end - from).unwrap_or(3)];
    file.read_exact_at(&mut octets, from)?;
    Ok(octets)
}

impl Record {
    /// The stretch of a file of `size` octets that a torn append left; `None` if every piece is
    /// there and whole.
    fn torn(&self, file: &File, size: u64) -> io::Result<Option<Range<u64>>> {
        let mut start = self.old_size;
        let mut written = 0_usize;
        for piece in &self.pieces {
            let end = start.saturating_add(piece.octets);
            if end > size || checksum(file, start..end)? != piece.checksum {
                let end = self.end_of_torn(file, start, size, written)?;
                return Ok((end > start).then_some(start..end));
            }
            start = end;
            written = written.saturating_add(usize::try_from(piece.octets).unwrap_or(usize::MAX));
        }
        Ok(None)
    }

    /// Where what we wrote ends and what another program appended behind it begins.
    fn end_of_torn(&self, file: &File, start: u64, size: u64, written: usize) -> io::Result<u64> {
        let mut tail = Vec::new();
        let mut reader = Section { file, at: start, end: size };
        reader.read_to_end(&mut tail)?;
        let ours = self
            .blob
            .as_ref()
            .and_then(|blob| blob.get(written..))
            .map_or(SEPARATION_MOST, |blob| {
                blob.iter().zip(&tail).take_while(|(ours, there)| ours == there).count()
            });
        let starts = self.starts();
        let mut candidates = from_lines(&tail, ours).map(|at| start + at as u64);
        Ok(candidates.find(|at| !starts.contains(at)).unwrap_or(size))
    }

    /// Where each of our pieces was to begin. Behind the first nothing separates them, so that
    /// these are the places of their From_ lines.
    fn starts(&self) -> HashSet<u64> {
        let mut start = self.old_size;
        let place = |piece: &Piece| {
            let here = start;
            start = start.saturating_add(piece.octets);
            here
        };
        self.pieces.iter().map(place).collect()
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [self.identity.0, self.identity.1, self.old_size, self.pieces.len() as u64] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for piece in &self.pieces {
            body.extend_from_slice(&piece.octets.to_le_bytes());
            body.extend_from_slice(&piece.checksum.to_le_bytes());
        }
        if let Some(blob) = &self.blob {
            body.extend_from_slice(blob);
        }
        let mut record = MAGIC.to_vec();
        record.extend_from_slice(&(body.len() as u64).to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        record.extend_from_slice(&body);
        record
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Fields(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let length = usize::try_from(reader.u64()?).ok()?;
        let checksum = reader.u32()?;
        let body = reader.take(length)?;
        if crc32fast::hash(body) != checksum {
            return None;
        }
        let mut reader = Fields(body);
        let identity = (reader.u64()?, reader.u64()?);
        let old_size = reader.u64()?;
        let mut pieces = Vec::new();
        for _ in 0..reader.u64()? {
            pieces.push(Piece { octets: reader.u64()?, checksum: reader.u32()? });
        }
        let blob = (!reader.0.is_empty()).then(|| reader.0.to_vec());
        Some(Self { identity, old_size, pieces, blob })
    }
}

/// Little-endian numbers in a byte string.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

/// From_ lines at or behind `from`: at a line start, or exactly at `from`, where what another
/// program wrote may be glued to our torn piece.
fn from_lines(tail: &[u8], from: usize) -> impl Iterator<Item = usize> {
    memmem::find_iter(tail, mbox::FROM).filter(move |&at| {
        let begins = at == from || (at > from && tail.get(at - 1) == Some(&b'\n'));
        let line = tail.get(at..).unwrap_or_default();
        let line = memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line);
        begins && mbox::is_from_line(line)
    })
}

fn checksum(file: &File, range: Range<u64>) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut section = Section { file, at: range.start, end: range.end };
    loop {
        let read = section.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// A part of a file, read without moving its cursor.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock::{Attempt, Purpose, try_lock};
    use proptest::prelude::*;
    use std::path::PathBuf;

    const OLD: &[u8] = b"From a Wed Sep 17 11:00:00 2025\nold\n\n";
    const FOREIGN: &[u8] = b"From f Wed Sep 17 11:00:02 2025\nforeign\n\n";

    struct Scene {
        _dir: tempfile::TempDir,
        path: PathBuf,
        files: Arc<Files>,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("u.mbox");
            std::fs::write(&path, OLD).unwrap();
            let files = Arc::new(Files::open(dir.path()).unwrap());
            Self { _dir: dir, path, files }
        }

        fn lock(&self) -> LockedFile {
            loop {
                // Another test may be starting a program, which has our descriptors until its exec.
                let attempt = try_lock(&self.files, "u.mbox", Purpose::Write).unwrap();
                if let Attempt::Locked(locked) = attempt {
                    return locked;
                }
            }
        }

        /// Journals an append of `pieces`, then leaves the file as `there`.
        fn crash(&self, pieces: &[&[u8]], keep_blob: bool, there: &[u8]) {
            let locked = self.lock();
            let record = Record {
                identity: Stamp::of_file(locked.file()).unwrap().identity,
                old_size: OLD.len() as u64,
                pieces: pieces
                    .iter()
                    .map(|piece| Piece {
                        octets: piece.len() as u64,
                        checksum: crc32fast::hash(piece),
                    })
                    .collect(),
                blob: keep_blob.then(|| pieces.concat()),
            };
            let journal = Journal::open(&self.files, "u.mbox", Durability::Synced).unwrap();
            journal.write(&record).unwrap();
            assert_eq!(Record::decode(&record.encode()), Some(record));
            std::fs::write(&self.path, [OLD, there].concat()).unwrap();
        }

        /// What is behind the old message after recovery.
        fn recovered(&self) -> Vec<u8> {
            while recover(&self.files, "u.mbox", &self.lock()).unwrap() == Recovered::Replaced {}
            assert!(!self.path.with_file_name(".u.mbox.wal").exists());
            let content = std::fs::read(&self.path).unwrap();
            content.strip_prefix(OLD).unwrap().to_vec()
        }
    }

    const ONE: &[u8] = b"From b Wed Sep 17 11:00:01 2025\none\r\n\n";
    const TWO: &[u8] = b"From c Wed Sep 17 11:00:01 2025\ntwo From x\r\n\n";

    #[test]
    fn a_torn_piece_is_removed_and_whole_ones_stay_wherever_the_write_stopped() {
        let both = [ONE, TWO].concat();
        for keep_blob in [true, false] {
            for written in 0..=both.len() {
                let scene = Scene::new();
                scene.crash(&[ONE, TWO], keep_blob, &both[..written]);
                let expected = match written {
                    n if n == both.len() => both.clone(),
                    n if n >= ONE.len() => ONE.to_vec(),
                    _ => Vec::new(),
                };
                assert_eq!(scene.recovered(), expected, "{written} written, blob {keep_blob}");
            }
        }
    }

    #[test]
    fn what_another_program_appended_behind_a_torn_piece_is_kept() {
        for written in 1..ONE.len() {
            let scene = Scene::new();
            scene.crash(&[ONE], true, &[&ONE[..written], FOREIGN].concat());
            assert_eq!(scene.recovered(), FOREIGN, "{written} written");
        }
        let scene = Scene::new();
        scene.crash(&[ONE], false, &[&ONE[..35], b"\n", FOREIGN].concat());
        assert_eq!(scene.recovered(), FOREIGN);
    }

    #[test]
    fn pages_that_never_reached_the_disk_are_no_message() {
        let scene = Scene::new();
        let mut both = [ONE, TWO].concat();
        both[10..30].fill(0);
        scene.crash(&[ONE, TWO], true, &both);
        assert_eq!(scene.recovered(), b"");
    }

    #[test]
    fn a_journal_of_another_file_changes_nothing() {
        let scene = Scene::new();
        scene.crash(&[ONE], true, b"");
        std::fs::remove_file(&scene.path).unwrap();
        std::fs::write(scene.path.with_extension("new"), [OLD, &ONE[..9]].concat()).unwrap();
        std::fs::rename(scene.path.with_extension("new"), &scene.path).unwrap();
        // An inode number may be used again at once; then the piece is rightly taken for ours.
        let content = scene.recovered();
        assert!(content == ONE[..9] || content.is_empty());
    }

    #[test]
    fn a_file_that_was_emptied_meanwhile_stays_so() {
        let scene = Scene::new();
        scene.crash(&[ONE], true, b"");
        std::fs::write(&scene.path, b"").unwrap();
        assert_eq!(recover(&scene.files, "u.mbox", &scene.lock()).unwrap(), Recovered::Whole);
        assert_eq!(std::fs::read(&scene.path).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_journal_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Record::decode(&bytes).is_none());
            prop_assert!(Record::decode(&[MAGIC.as_slice(), &bytes].concat()).is_none());
        }
    }
}
