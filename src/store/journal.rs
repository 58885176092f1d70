//! The journal of appends: what is about to be written to which file, durable before the first
//! octet of it is, so that whoever opens a file after a crash can take a torn piece away.
//!
//! One record covers all files of a batch. Each of them has a name for it, `.user.mbox.wal`: links
//! to one file, so that there is one sync, and whoever locks a mailbox finds the record beside it,
//! whichever process wrote it.
//!
//! Nobody was told that a message in the journal is stored, so it may be dropped; but a message
//! that another program appended behind a torn one may not.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::memmem;

use crate::store::committer::FileName;
use crate::store::directory::Durability;
use crate::store::files::{Access, Creation, Files, Stamp};
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::rewrite;

/// Octets of an append to one file that the journal repeats. Of a longer one it keeps only lengths and
/// checksums, and a foreign message behind a torn piece is then found by its From_ line.
pub const BLOB_MOST: usize = 256 * 1024;

/// Octets of a record that are believed; more than one batch has.
const RECORD_MOST: u64 = 64 * 1024 * 1024;

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
pub struct Append {
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

/// A journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    files: Arc<Files>,
    file: File,
    /// Names that it has been given; others may have removed them since.
    names: BTreeSet<String>,
}

impl Journal {
    /// A journal beside each of the mailboxes, whose locks the caller holds; `kept` is used again
    /// if it can be. Its names are durable.
    pub fn beside<'a>(
        files: &Arc<Files>,
        mailboxes: impl Iterator<Item = &'a FileName> + Clone,
        kept: Option<Self>,
        durability: Durability,
    ) -> io::Result<Self> {
        if let Some(mut kept) = kept
            && kept.stand_beside(mailboxes.clone(), durability).is_ok()
        {
            return Ok(kept);
        }
        // All its names are gone, and a file without a name cannot be given one again.
        let mut journal =
            Self { files: Arc::clone(files), file: files.nameless()?, names: BTreeSet::new() };
        journal.stand_beside(mailboxes, durability)?;
        Ok(journal)
    }

    fn stand_beside<'a>(
        &mut self,
        mailboxes: impl Iterator<Item = &'a FileName>,
        durability: Durability,
    ) -> io::Result<()> {
        let identity = Stamp::of_file(&self.file)?.identity;
        let mut new_names = false;
        for mailbox in mailboxes {
            let name = file_name(mailbox);
            if self.files.regular(&name)?.is_none_or(|there| there.identity != identity) {
                self.files.remove(&name)?;
                self.take_name(name, identity)?;
                new_names = true;
            }
        }
        if new_names && durability == Durability::Synced {
            self.files.sync()?;
        }
        Ok(())
    }

    fn take_name(&mut self, name: String, identity: (u64, u64)) -> io::Result<()> {
        if self.names.is_empty() {
            self.files.name(&self.file, &name)?;
            self.names.insert(name);
            return Ok(());
        }
        while let Some(known) = self.names.pop_last() {
            let linked = self.files.link(&known, &name);
            // Meanwhile it may have become the name of another process's journal.
            let named = self.files.regular(&name)?;
            if linked.is_ok() && named.is_some_and(|there| there.identity == identity) {
                self.names.extend([known, name]);
                return Ok(());
            }
            self.files.remove(&name)?;
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Writes the record down, durably: the appends may begin.
    pub fn write<'a>(
        &self,
        appends: impl Iterator<Item = &'a Append>,
        durability: Durability,
    ) -> io::Result<()> {
        self.file.write_all_at(&encode(appends), 0)?;
        durability.sync(&self.file)
    }

    /// Says that the appends are complete, or have been undone. Not synced: a record that comes
    /// back after a power failure describes appends that are found whole.
    pub fn settle(&self) -> io::Result<()> {
        self.file.write_all_at(&SETTLED, 0)
    }

    /// Gives up all its names, which stand beside mailboxes whose locks the caller holds.
    pub fn remove(self) -> io::Result<()> {
        self.names.iter().try_for_each(|name| self.files.remove(name))
    }
}

/// Removes the journal beside `mailbox`, whose lock the caller holds and which is whole.
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
    let identity = Stamp::of_file(locked.file())?.identity;
    // Torn itself: the appends it was to describe had not begun, or are to other files and it is
    // just being written.
    let appends = read(journal)?.unwrap_or_default();
    let Some(append) = appends.into_iter().find(|append| append.identity == identity) else {
        return Ok(Recovered::Whole);
    };
    let recovered = undo_torn_append(files, mailbox, locked, &append)?;
    files.remove(&name)?;
    Ok(recovered)
}

fn read(mut journal: File) -> io::Result<Option<Vec<Append>>> {
    let mut bytes = Vec::new();
    (&mut journal).take(MAGIC.len() as u64).read_to_end(&mut bytes)?;
    if bytes != MAGIC {
        return Ok(None);
    }
    journal.take(RECORD_MOST).read_to_end(&mut bytes)?;
    Ok(decode(&bytes))
}

fn undo_torn_append(
    files: &Arc<Files>,
    mailbox: &str,
    locked: &LockedFile,
    append: &Append,
) -> io::Result<Recovered> {
    let file = locked.file();
    let stamp = Stamp::of_file(file)?;
    if stamp.size <= append.old_size {
        return Ok(Recovered::Whole);
    }
    let Some(torn) = append.torn(file, stamp.size)? else {
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

impl Append {
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

    fn encode(&self, body: &mut Vec<u8>) {
        let blob = self.blob.as_deref().unwrap_or_default();
        let numbers = [
            self.identity.0,
            self.identity.1,
            self.old_size,
            self.pieces.len() as u64,
            blob.len() as u64,
        ];
        body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        for piece in &self.pieces {
            body.extend_from_slice(&piece.octets.to_le_bytes());
            body.extend_from_slice(&piece.checksum.to_le_bytes());
        }
        body.extend(inverted(blob));
    }

    fn decode(body: &mut Fields<'_>) -> Option<Self> {
        let identity = (body.u64()?, body.u64()?);
        let old_size = body.u64()?;
        let (pieces, blob) = (body.u64()?, usize::try_from(body.u64()?).ok()?);
        let piece = |_| Some(Piece { octets: body.u64()?, checksum: body.u32()? });
        let pieces = (0..pieces).map(piece).collect::<Option<_>>()?;
        let blob = (blob > 0).then_some(inverted(body.take(blob)?).collect());
        Some(Self { identity, old_size, pieces, blob })
    }
}

/// A journal holds no plain copy of a message: whoever searches the directory for one, or counts
/// them, must not find it twice.
fn inverted(octets: &[u8]) -> impl Iterator<Item = u8> {
    octets.iter().map(|octet| !octet)
}

fn encode<'a>(appends: impl Iterator<Item = &'a Append>) -> Vec<u8> {
    let mut body = Vec::new();
    appends.for_each(|append| append.encode(&mut body));
    let mut record = MAGIC.to_vec();
    record.extend_from_slice(&(body.len() as u64).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    record.append(&mut body);
    record
}

fn decode(bytes: &[u8]) -> Option<Vec<Append>> {
    let mut header = Fields(bytes.strip_prefix(MAGIC)?);
    let length = usize::try_from(header.u64()?).ok()?;
    let checksum = header.u32()?;
    let body = header.take(length)?;
    if crc32fast::hash(body) != checksum {
        return None;
    }
    let mut body = Fields(body);
    let mut appends = Vec::new();
    while !body.0.is_empty() {
        appends.push(Append::decode(&mut body)?);
    }
    Some(appends)
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
            let append = Append {
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
            let other = Append { identity: (0, 0), ..append.clone() };
            let appends = [other, append];
            assert_eq!(decode(&encode(appends.iter())).as_ref(), Some(&appends.to_vec()));
            let name: FileName = "u.mbox".into();
            let mailboxes = std::iter::once(&name);
            let journal = Journal::beside(&self.files, mailboxes, None, Durability::Synced);
            journal.unwrap().write(appends.iter(), Durability::Synced).unwrap();
            std::fs::write(&self.path, [OLD, there].concat()).unwrap();
        }

        /// What is behind the old message after recovery.
        fn recovered(&self) -> Vec<u8> {
            while recover(&self.files, "u.mbox", &self.lock()).unwrap() == Recovered::Replaced {}
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
            prop_assert!(decode(&bytes).is_none());
            prop_assert!(decode(&[MAGIC.as_slice(), &bytes].concat()).is_none());
            let _ = Append::decode(&mut Fields(&bytes));
        }
    }
}
