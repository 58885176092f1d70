//! The journal of appends: what is about to be written to which file, durable before the first
//! octet of it is, so that whoever opens a file after a crash can take a torn piece away.
//!
//! One record covers all files of a batch. Each of them has a name for it, `.user.mbox.wal`: links
//! to one file, so that there is one sync, and whoever locks a mailbox finds the record beside it,
//! whichever process wrote it.
//!
//! Nobody was told that a message in the journal is stored, so it may be dropped; but a message
//! that another program appended behind a torn one may not.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::memmem;

use crate::store::files::{Access, Creation, FileName, Files, Stamp};
use crate::store::ground::Durability;
use crate::store::lock::LockedFile;
use crate::store::mbox;
use crate::store::rewrite;

/// Octets of an append to one file that the journal repeats. Of a longer one it repeats only the
/// beginning, and a foreign message behind a torn piece is then found by its From_ line.
pub const REPEATED_MOST: u64 = 256 * 1024;

/// Octets of a batch, in all files together, of which the journal repeats all that is short; of a
/// larger one it repeats only beginnings.
pub const BATCH_REPEATED_MOST: u64 = 32 * 1024 * 1024;

/// Octets of a record that are believed; more than one batch has.
const RECORD_MOST: u64 = 64 * 1024 * 1024;

/// Line ends that another program may put between a torn piece and its own From_ line.
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
    /// The octets themselves, if they are few; at least what stands ahead of the first text. By
    /// them a torn piece of ours is told from what somebody else has written there since.
    pub beginning: Vec<u8>,
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
        let first = mailboxes.clone().next().ok_or(io::ErrorKind::NotFound)?;
        let mut journal = Self::beside_one(files, first)?;
        journal.link_beside(mailboxes)?;
        journal.sync_names(durability)?;
        Ok(journal)
    }

    /// A new journal. Empty, it describes nothing.
    fn beside_one(files: &Arc<Files>, mailbox: &FileName) -> io::Result<Self> {
        let name = file_name(mailbox);
        files.remove(&name)?;
        let file = files.open_file(&name, Access::Write, Creation::Always)?;
        Ok(Self { files: Arc::clone(files), file, names: BTreeSet::from([name]) })
    }

    fn stand_beside<'a>(
        &mut self,
        mailboxes: impl Iterator<Item = &'a FileName>,
        durability: Durability,
    ) -> io::Result<()> {
        match self.link_beside(mailboxes)? {
            0 => Ok(()),
            _ => self.sync_names(durability),
        }
    }

    /// Gives it a name beside each of the mailboxes; returns to how many it was new.
    fn link_beside<'a>(
        &mut self,
        mailboxes: impl Iterator<Item = &'a FileName>,
    ) -> io::Result<usize> {
        let identity = Stamp::of_file(&self.file)?.identity;
        let mut new_names = 0;
        for mailbox in mailboxes {
            let name = file_name(mailbox);
            if self.files.regular(&name)?.is_none_or(|there| there.identity != identity) {
                self.files.remove(&name)?;
                self.take_name(name, identity)?;
                new_names += 1;
            }
        }
        Ok(new_names)
    }

    fn sync_names(&self, durability: Durability) -> io::Result<()> {
        match durability {
            Durability::Synced => self.files.sync(),
            Durability::Unsynced => Ok(()),
        }
    }

    fn take_name(&mut self, name: String, identity: (u64, u64)) -> io::Result<()> {
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
    let Some(appends) = read(journal)? else { return Ok(Recovered::Whole) };
    let append = appends.into_iter().find(|append| append.identity == identity);
    let recovered = match append {
        Some(append) => undo_torn_append(files, mailbox, locked, &append)?,
        // Of a file that has been replaced since, or of others: their names for it are their own.
        None => Recovered::Whole,
    };
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
    /// there and whole, or what is there is not ours.
    fn torn(&self, file: &File, size: u64) -> io::Result<Option<Range<u64>>> {
        let mut start = self.old_size;
        for piece in &self.pieces {
            let end = start.saturating_add(piece.octets);
            if end > size || checksum(file, start..end)? != piece.checksum {
                let ours = self.octets_of_torn(file, start, size)?;
                return Ok(ours.filter(|&octets| octets > 0).map(|octets| start..start + octets));
            }
            start = end;
        }
        Ok(None)
    }

    /// How much of what is in the file from `start` to its end is ours; the rest is what another
    /// program appended. `None` if the file was made anew since: then it says something else.
    fn octets_of_torn(&self, file: &File, start: u64, size: u64) -> io::Result<Option<u64>> {
        let mut tail = Vec::new();
        Section { file, at: start, end: size }.read_to_end(&mut tail)?;
        let written = usize::try_from(start - self.old_size).unwrap_or(usize::MAX);
        let ours = self.beginning.get(written..).unwrap_or_default();
        // A page that never reached the disk reads as zeros.
        let agrees = |(ours, there): &(&u8, &u8)| ours == there || **there == 0;
        let alike = ours.iter().zip(&tail).take_while(agrees).count();
        let begins_foreign = |at: &usize| !self.begins_at(start + *at as u64);
        let octets = if alike == tail.len() {
            Some(alike)
        } else if alike < ours.len() {
            from_lines_across(&tail, alike).find(begins_foreign)
        } else {
            Some(from_lines(&tail, alike).find(begins_foreign).unwrap_or(tail.len()))
        };
        Ok(octets.map(|octets| octets as u64))
    }

    /// Whether a From_ line of ours was to stand at `at`. Behind the first piece nothing separates
    /// them.
    fn begins_at(&self, at: u64) -> bool {
        let line_ends = self.beginning.iter().take_while(|byte| **byte == b'\n').count();
        let mut end = self.old_size;
        let mut starts = self.pieces.iter().map(|piece| {
            let start = end;
            end = end.saturating_add(piece.octets);
            start
        });
        starts.next().is_some_and(|first| first + line_ends as u64 == at) || starts.any(|s| s == at)
    }

    fn encode(&self, body: &mut Vec<u8>) {
        let numbers = [
            self.identity.0,
            self.identity.1,
            self.old_size,
            self.pieces.len() as u64,
            self.beginning.len() as u64,
        ];
        body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        for piece in &self.pieces {
            body.extend_from_slice(&piece.octets.to_le_bytes());
            body.extend_from_slice(&piece.checksum.to_le_bytes());
        }
        body.extend(inverted(&self.beginning));
    }

    fn decode(body: &mut Fields<'_>) -> Option<Self> {
        let identity = (body.u64()?, body.u64()?);
        let old_size = body.u64()?;
        let (pieces, beginning) = (body.u64()?, usize::try_from(body.u64()?).ok()?);
        let piece = |_| Some(Piece { octets: body.u64()?, checksum: body.u32()? });
        let pieces = (0..pieces).map(piece).collect::<Option<_>>()?;
        let beginning = inverted(body.take(beginning)?).collect();
        Some(Self { identity, old_size, pieces, beginning })
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
    all_from_lines(tail)
        .map(|line| line.start)
        .filter(move |&at| at == from || (at > from && tail.get(at - 1) == Some(&b'\n')))
}

/// From_ lines that begin where a file stops being what we know, or have just begun there: by
/// chance a few of their octets may be what ours would have been.
fn from_lines_across(tail: &[u8], alike: usize) -> impl Iterator<Item = usize> {
    let separates = move |range: Range<usize>| {
        let between = tail.get(range).unwrap_or_default();
        between.len() <= SEPARATION_MOST && between.iter().all(|byte| b"\r\n".contains(byte))
    };
    all_from_lines(tail)
        .filter(move |line| line.end > alike)
        .map(|line| line.start)
        .filter(move |&at| at <= alike || separates(alike..at))
}

/// Whatever could be a From_ line, also in the middle of a line.
fn all_from_lines(tail: &[u8]) -> impl Iterator<Item = Range<usize>> {
    memmem::find_iter(tail, mbox::FROM).filter_map(|at| {
        let line = tail.get(at..).unwrap_or_default();
        let line = memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line);
        mbox::is_from_line(line).then_some(at..at + line.len())
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
    use crate::store::anchor::Anchor;
    use crate::store::lock::{Attempt, Purpose, try_lock};
    use proptest::prelude::*;
    use std::path::PathBuf;

    const OLD: &[u8] = b"From a Wed Sep 17 11:00:00 2025\nold\n\n";
    const FOREIGN: &[u8] = b"From f Wed Sep 17 11:00:02 2025\nforeign\n\n";

    /// How much of an append its journal repeats.
    #[derive(Debug, Clone, Copy)]
    enum Repeated {
        All,
        FromLine,
    }

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
                let anchor = Arc::new(Anchor::new(&self.files));
                let attempt = try_lock(&anchor, "u.mbox", Purpose::Write).unwrap();
                if let Attempt::Locked(locked) = attempt {
                    return locked;
                }
            }
        }

        /// Journals an append of `pieces`, then leaves the file as `there`.
        fn crash(&self, pieces: &[&[u8]], repeated: Repeated, there: &[u8]) {
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
                beginning: match repeated {
                    Repeated::All => pieces.concat(),
                    Repeated::FromLine => pieces[0][..FROM_LINE].to_vec(),
                },
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
    const FROM_LINE: usize = 32;
    const TWO: &[u8] = b"From c Wed Sep 17 11:00:01 2025\ntwo From x\r\n\n";

    #[test]
    fn a_torn_piece_is_removed_and_whole_ones_stay_wherever_the_write_stopped() {
        let both = [ONE, TWO].concat();
        for repeated in [Repeated::All, Repeated::FromLine] {
            for written in 0..=both.len() {
                let scene = Scene::new();
                scene.crash(&[ONE, TWO], repeated, &both[..written]);
                let expected = match written {
                    n if n == both.len() => both.clone(),
                    n if n >= ONE.len() => ONE.to_vec(),
                    _ => Vec::new(),
                };
                assert_eq!(scene.recovered(), expected, "{written} written, {repeated:?} repeated");
            }
        }
    }

    #[test]
    fn what_another_program_appended_behind_a_torn_piece_is_kept() {
        for written in 1..ONE.len() {
            let scene = Scene::new();
            scene.crash(&[ONE], Repeated::All, &[&ONE[..written], FOREIGN].concat());
            assert_eq!(scene.recovered(), FOREIGN, "{written} written");
        }
        let scene = Scene::new();
        scene.crash(&[ONE], Repeated::FromLine, &[&ONE[..35], b"\n", FOREIGN].concat());
        assert_eq!(scene.recovered(), FOREIGN);
    }

    #[test]
    fn pages_that_never_reached_the_disk_are_no_message() {
        let scene = Scene::new();
        let mut both = [ONE, TWO].concat();
        both[10..30].fill(0);
        scene.crash(&[ONE, TWO], Repeated::All, &both);
        assert_eq!(scene.recovered(), b"");
    }

    #[test]
    fn a_journal_of_another_file_changes_nothing() {
        let scene = Scene::new();
        scene.crash(&[ONE], Repeated::All, b"");
        std::fs::remove_file(&scene.path).unwrap();
        std::fs::write(scene.path.with_extension("new"), [OLD, &ONE[..9]].concat()).unwrap();
        std::fs::rename(scene.path.with_extension("new"), &scene.path).unwrap();
        // An inode number may be used again at once; then the piece is rightly taken for ours.
        let content = scene.recovered();
        assert!(content == ONE[..9] || content.is_empty());
    }

    #[test]
    fn what_was_put_in_place_of_our_torn_piece_is_not_cut() {
        let anew = [FOREIGN, b"From g Wed Sep 17 11:00:03 2025\ng\n\n"].concat();
        let glued = [&ONE[..9], b" is how it began\n"].concat();
        for there in [FOREIGN, &anew, b"rest of an old message\n\n", &glued] {
            for repeated in [Repeated::All, Repeated::FromLine] {
                let scene = Scene::new();
                scene.crash(&[ONE], repeated, there);
                assert_eq!(scene.recovered(), there, "{repeated:?} repeated");
            }
        }
    }

    #[test]
    fn a_torn_piece_goes_with_the_line_ends_ahead_of_it() {
        let separated = [b"\n\n", ONE].concat();
        for repeated in [Repeated::All, Repeated::FromLine] {
            for written in 1..separated.len() {
                let scene = Scene::new();
                scene.crash(&[&separated], repeated, &separated[..written]);
                assert_eq!(scene.recovered(), b"", "{written} written, {repeated:?} repeated");
            }
        }
    }

    #[test]
    fn a_file_that_was_emptied_meanwhile_stays_so() {
        let scene = Scene::new();
        scene.crash(&[ONE], Repeated::All, b"");
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
