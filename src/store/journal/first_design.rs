//! Journals of the first design, which earlier versions left behind: one beside each mailbox,
//! `.user.mbox.wal`. They are recovered until 1.0, but no longer written.
//!
//! No client was told that a message in such a journal is stored until its mailbox was synced, so a
//! torn message may be dropped. A message that another program appended after it may not.
//!
//! See docs/files.md 8.7.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use crate::store::files::{Access, Creation, Files, Named, Stamp};
use crate::store::journal::mend::{Section, cut};
use crate::store::journal::torn;
use crate::store::lock::LockedFile;
use crate::store::rewrite::Recovered;

/// Maximum octets read of a record; more than any batch had.
const RECORD_MOST: u64 = 64 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"mcwal\0\0\x01";

/// What was appended for one message: its length and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Length, including the separation from the message before.
    octets: u64,
    /// CRC-32 of these octets.
    checksum: u32,
}

/// One append of one or more messages to one file, in a single write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Append {
    /// Which file: device and inode.
    identity: (u64, u64),
    /// Size of the file before the append, in octets.
    old_size: u64,
    /// What was appended, in order.
    pieces: Vec<Piece>,
    /// The octets appended, if they were few; at least those before the first text.
    beginning: Vec<u8>,
}

fn file_name(mailbox: &str) -> String {
    format!(".{mailbox}.wal")
}

/// Removes what a process with a journal of this format left in the locked file `mailbox` when it
/// died during an append.
pub fn recover(
    files: &std::sync::Arc<Files>,
    mailbox: &str,
    locked: &LockedFile,
) -> io::Result<Recovered> {
    let name = file_name(mailbox);
    let stamp = match files.look(&name)? {
        Named::Regular(stamp) => stamp,
        Named::Nothing => return Ok(Recovered::Whole),
        Named::Other => {
            files.clear(&name)?;
            return Ok(Recovered::Whole);
        }
    };
    let identity = Stamp::of_file(locked.file())?.identity;
    let mut recovered = Recovered::Whole;
    // A hard link to the mailbox itself is not a journal.
    if stamp.identity != identity {
        let journal = files.open_file(&name, Access::Read, Creation::Never)?;
        // If the journal itself is torn, the appends it describes had not begun.
        let appends = read(journal)?.unwrap_or_default();
        // Appends to other files are ignored: the mailbox may have been replaced since, and a
        // journal belongs to one name only.
        if let Some(append) = appends.into_iter().find(|append| append.identity == identity)
            && let Some(torn) = append.torn(locked.file())?
        {
            recovered = cut(files, mailbox, locked.file(), torn)?;
        }
    }
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

impl Append {
    /// The stretch of a file that a torn append left; `None` if every piece is there and whole, or
    /// what is there is not ours.
    fn torn(&self, file: &File) -> io::Result<Option<Range<u64>>> {
        let size = Stamp::of_file(file)?.size;
        let mut start = self.old_size;
        for piece in &self.pieces {
            let end = start.saturating_add(piece.octets);
            if end > size || checksum(file, start..end)? != piece.checksum {
                let known = self.known_from(start);
                // If the journal lacks part of it, the difference may be another program's mark in
                // the header.
                if size <= start || (end <= size && (known.len() as u64) < piece.octets) {
                    return Ok(None);
                }
                let tail = Section::read(file, start..size)?;
                let is_ours = |at: usize| self.begins_at(start + at as u64);
                let ours = torn::ours(&tail, known, is_ours).unwrap_or(0) as u64;
                return Ok((ours > 0).then(|| start..start + ours));
            }
            start = end;
        }
        Ok(None)
    }

    fn known_from(&self, start: u64) -> &[u8] {
        let written = usize::try_from(start - self.old_size).unwrap_or(usize::MAX);
        self.beginning.get(written..).unwrap_or_default()
    }

    /// Whether one of our From_ lines was to be written at `at`. Only the first piece begins with a
    /// separation.
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

    #[cfg(test)]
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

/// The octets of messages are inverted, so that a journal contains no plain copy of a message.
fn inverted(octets: &[u8]) -> impl Iterator<Item = u8> {
    octets.iter().map(|octet| !octet)
}

#[cfg(test)]
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

/// Reads little-endian numbers from a byte string.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::anchor::Anchor;
    use crate::store::lock::{Attempt, Purpose, try_lock};
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::sync::Arc;

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

        /// Journals an append of `pieces`, then leaves the file with `there` after the old message.
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
            std::fs::write(self.path.with_file_name(".u.mbox.wal"), encode(appends.iter()))
                .unwrap();
            std::fs::write(&self.path, [OLD, there].concat()).unwrap();
        }

        /// The octets after the old message once the file is recovered.
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
    }

    #[test]
    fn a_long_message_that_somebody_may_have_marked_is_not_cut() {
        let marked = [&ONE[..FROM_LINE], b"Status: RO\n", &ONE[FROM_LINE..]].concat();
        let scene = Scene::new();
        scene.crash(&[ONE], Repeated::FromLine, &marked);
        assert_eq!(scene.recovered(), marked);
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
        // An inode number may be reused at once; then the piece is rightly taken for ours.
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
