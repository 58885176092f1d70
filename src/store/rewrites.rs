//! The log of rewrites: which file took the place of which mailbox, and which octets it lacks. With
//! it, a mark taken before a removal still means the same messages behind it.
//!
//! It exists only in directories where a mark was taken: `.mailconsole/rewrites`, made by
//! [`begin`]. It is not synced, and failing to write it is no error: a mark that finds no way
//! through it is placed by content and by date. See docs/files.md 10.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crate::store::files::{Access, Creation, Files, Stamp};
use crate::store::journal::wal::FOLDER;
use crate::store::lock::{self, OfdLock};

/// Its name in the folder.
const NAME: &str = "rewrites";

/// The name under which a shortened log is written.
const DRAFT: &str = "rewrites.tmp";

/// Beginning of its first line; the offset of the octet behind that line follows.
const HEADER: &str = "mcrewrites 1 ";

/// Octets from which on the log is cut to its newer half.
const SIZE_MOST: u64 = 1024 * 1024;

/// Octets of the log that are read; foreign programs may have made it longer.
const READ_MOST: u64 = 4 * SIZE_MOST;

/// The longest record. A removal of more separate messages than fit is not recorded.
const RECORD_MOST: usize = 256 * 1024;

/// Attempts to lock the log, which others hold for microseconds, and the pause between them.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// A place in the log: octets ever written to it before.
pub type Position = u64;

/// Identifies a file, also against a later one that gets the same inode.
pub type Identity = u32;

/// A mailbox that was replaced by a file without some of its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The file that was replaced.
    pub old: Identity,
    /// The file that took its place, unless the rename failed.
    pub new: Identity,
    /// The stretches of the old file that the new one lacks, ascending.
    pub removed: Vec<Range<u64>>,
}

/// Identifies an open file by its inode and, where the file system knows it, its time of birth.
pub fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born = born.unwrap_or_default().as_nanos().to_le_bytes();
    Ok(crc32fast::hash(&[&metadata.ino().to_le_bytes()[..], &born[..]].concat()))
}

/// Begins a log if there is none, and says where it ends; `None` if there is none and none can be
/// made, as in a directory that can only be read.
pub fn begin(files: &Files) -> Option<Position> {
    if let Some(end) = end(files) {
        return Some(end);
    }
    // Whole when it gets its name: others may write to it at once.
    let made = files.own_folder(FOLDER).and_then(|folder| {
        folder.new_file(DRAFT)?.write_all_at(header(0).as_bytes(), 0)?;
        folder.rename_to_free(DRAFT, NAME)
    });
    if let Err(error) = made {
        // Another process may have been quicker.
        tracing::debug!("the log of rewrites is not begun: {error}");
    }
    end(files)
}

/// Where the log ends; `None` if there is none.
fn end(files: &Files) -> Option<Position> {
    let folder = files.folder(FOLDER).ok()??;
    // Not a link or a FIFO, and not waiting for one.
    let size = folder.regular(NAME).ok()??.size;
    let file = folder.open_file(NAME, Access::Read, Creation::Never).ok()?;
    base(&file).map(|(base, header)| base + size.saturating_sub(header))
}

/// Records a rewrite of the mailbox `name` if there is a log. The caller holds the mailbox's lock,
/// and is about to rename the new file over the old one.
pub fn note(files: &Files, name: &str, rewrite: &Rewrite) {
    let noted = line(name, rewrite).map_or(Ok(()), |line| append(files, &line));
    if let Err(error) = noted {
        tracing::debug!("{name}: a rewrite is not in the log of rewrites: {error}");
    }
}

/// The rewrites of the mailbox `name` that were recorded behind `position`, in their order.
#[must_use]
pub fn since(files: &Files, name: &str, position: Position) -> Vec<Rewrite> {
    read(files, name, position).unwrap_or_default()
}

fn read(files: &Files, name: &str, position: Position) -> Option<Vec<Rewrite>> {
    let folder = files.folder(FOLDER).ok()??;
    folder.regular(NAME).ok()??;
    let file = folder.open_file(NAME, Access::Read, Creation::Never).ok()?;
    let (base, header) = base(&file)?;
    let mut text = Vec::new();
    (&file).take(READ_MOST).read_to_end(&mut text).ok()?;
    let skipped = header.saturating_add(position.saturating_sub(base));
    let skipped = usize::try_from(skipped).ok()?;
    let lines = text.get(skipped..).unwrap_or_default().split(|&octet| octet == b'\n');
    Some(lines.filter_map(|line| parsed(line, name)).collect())
}

fn header(base: Position) -> String {
    format!("{HEADER}{base}\n")
}

/// What the first line says, and its length.
fn base(file: &File) -> Option<(Position, u64)> {
    let mut beginning = [0; 64];
    let length = file.read_at(&mut beginning, 0).ok()?;
    let line = beginning.get(..length)?.split(|&octet| octet == b'\n').next()?;
    let base = str::from_utf8(line).ok()?.strip_prefix(HEADER)?.parse().ok()?;
    Some((base, line.len() as u64 + 1))
}

/// A record: `OLD NEW FROM-TO,FROM-TO NAME CRC`; `None` if it would be too long.
fn line(name: &str, Rewrite { old, new, removed }: &Rewrite) -> Option<String> {
    let mut line = format!("{old:08x} {new:08x} ");
    for (nth, stretch) in removed.iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(line, "{comma}{}-{}", stretch.start, stretch.end);
    }
    let _ = write!(line, " {name}");
    let checksum = crc32fast::hash(line.as_bytes());
    let _ = writeln!(line, " {checksum:08x}");
    (line.len() <= RECORD_MOST).then_some(line)
}

/// The record in a line, if it is whole and about the mailbox `name`.
fn parsed(line: &[u8], name: &str) -> Option<Rewrite> {
    let line = str::from_utf8(line).ok()?;
    let (content, checksum) = line.rsplit_once(' ')?;
    if u32::from_str_radix(checksum, 16) != Ok(crc32fast::hash(content.as_bytes())) {
        return None;
    }
    let mut words = content.splitn(4, ' ');
    let old = Identity::from_str_radix(words.next()?, 16).ok()?;
    let new = Identity::from_str_radix(words.next()?, 16).ok()?;
    let stretch = |text: &str| {
        let (from, to) = text.split_once('-')?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    let removed = words.next()?.split(',').map(stretch).collect::<Option<_>>()?;
    (words.next()? == name).then_some(Rewrite { old, new, removed })
}

fn append(files: &Files, line: &str) -> io::Result<()> {
    let Some(folder) = files.folder(FOLDER)? else { return Ok(()) };
    for _ in 0..ATTEMPTS {
        if folder.regular(NAME)?.is_none() {
            return Ok(());
        }
        let file = folder.open_file(NAME, Access::Write, Creation::Never)?;
        if !lock::try_ofd_lock(&file, OfdLock::Exclusive)? {
            thread::sleep(PAUSE);
            continue;
        }
        let stamp = Stamp::of_file(&file)?;
        // Another process may have put a shorter log in its place.
        if folder.regular(NAME)?.map(|now| now.identity) != Some(stamp.identity) {
            continue;
        }
        if stamp.size + line.len() as u64 > SIZE_MOST {
            return cut(&folder, &file, line);
        }
        // A torn record of a process that was killed is a line of its own.
        let last = last_octet(&file, stamp.size)?;
        let line = if last == Some(b'\n') { line.to_owned() } else { format!("\n{line}") };
        return file.write_all_at(line.as_bytes(), stamp.size);
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn last_octet(file: &File, size: u64) -> io::Result<Option<u8>> {
    let mut last = [0];
    let Some(at) = size.checked_sub(1) else { return Ok(None) };
    file.read_exact_at(&mut last, at)?;
    Ok(last.first().copied())
}

/// Puts a log of the newer half and `line` in the place of the log, which is locked.
fn cut(folder: &Files, file: &File, line: &str) -> io::Result<()> {
    let mut text = Vec::new();
    file.take(READ_MOST).read_to_end(&mut text)?;
    let (base, header_octets) = base(file).unwrap_or((0, 0));
    let half = text.len() / 2;
    let from = text.iter().skip(half).position(|&octet| octet == b'\n');
    let from = from.map_or(text.len(), |at| half + at + 1);
    let base = base + (from as u64).saturating_sub(header_octets);
    let kept = text.get(from..).unwrap_or_default();
    let shorter = [header(base).as_bytes(), kept, line.as_bytes()].concat();
    folder.new_file(DRAFT)?.write_all_at(&shorter, 0)?;
    folder.rename(DRAFT, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        files: Files,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let files = Files::open(dir.path()).unwrap();
            Self { dir, files }
        }

        fn log(&self) -> std::path::PathBuf {
            self.dir.path().join(FOLDER).join(NAME)
        }

        fn note(&self, old: Identity, removed: Vec<Range<u64>>) {
            note(&self.files, "u.mbox", &Rewrite { old, new: old + 1, removed });
        }

        fn note_one(&self, old: Identity) {
            self.note(old, std::iter::once(0..1).collect());
        }

        fn since(&self, position: Position) -> Vec<Identity> {
            since(&self.files, "u.mbox", position).iter().map(|one| one.old).collect()
        }
    }

    #[test]
    fn nothing_is_recorded_before_somebody_wants_it() {
        let place = Place::new();
        place.note_one(1);
        assert!(!place.dir.path().join(FOLDER).exists());
        assert!(place.since(0).is_empty());
        assert_eq!(begin(&place.files), Some(0));
        place.note(2, vec![0..9, 20..30]);
        let read = since(&place.files, "u.mbox", 0);
        assert_eq!(read, [Rewrite { old: 2, new: 3, removed: vec![0..9, 20..30] }]);
        assert!(since(&place.files, "v.mbox", 0).is_empty());
    }

    #[test]
    fn only_what_came_behind_a_position_is_told() {
        let place = Place::new();
        begin(&place.files).unwrap();
        place.note_one(1);
        let position = begin(&place.files).unwrap();
        place.note_one(2);
        assert_eq!(place.since(position), [2]);
        assert_eq!(place.since(0), [1, 2]);
        assert!(place.since(u64::MAX).is_empty());
    }

    #[test]
    fn torn_and_strange_lines_are_passed_over() {
        let place = Place::new();
        begin(&place.files).unwrap();
        place.note_one(1);
        let mut log = std::fs::read(place.log()).unwrap();
        log.extend(b"\xff\n00000001 00000002 0-1 u.mbox 00000000\n00000001 0");
        std::fs::write(place.log(), log).unwrap();
        place.note_one(2);
        assert_eq!(place.since(0), [1, 2]);
    }

    #[test]
    fn a_log_that_has_become_long_keeps_its_newer_half_and_all_positions() {
        let place = Place::new();
        begin(&place.files).unwrap();
        let many: Vec<_> = (0..10_000).map(|n| n * 10..n * 10 + 5).collect();
        let mut before_last = 0;
        for n in 0..30 {
            before_last = begin(&place.files).unwrap();
            place.note(n, many.clone());
        }
        assert!(std::fs::metadata(place.log()).unwrap().len() <= SIZE_MOST);
        let all = place.since(0);
        assert!((3..20).contains(&all.len()), "{}", all.len());
        assert_eq!(all.last(), Some(&29));
        assert_eq!(place.since(before_last), [29]);
        assert!(!place.dir.path().join(FOLDER).join(DRAFT).exists());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let place = Place::new();
        std::fs::create_dir(place.dir.path().join(FOLDER)).unwrap();
        std::fs::write(place.dir.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink("../precious", place.log()).unwrap();
        begin(&place.files);
        place.note_one(1);
        assert_eq!(std::fs::read(place.dir.path().join("precious")).unwrap(), b"x");
    }

    #[test]
    fn a_file_is_told_from_another_and_stays_itself_when_renamed() {
        let place = Place::new();
        let file = place.files.open_file("a", Access::Write, Creation::Always).unwrap();
        let before = identity(&file).unwrap();
        place.files.rename("a", "b").unwrap();
        assert_eq!(identity(&file).unwrap(), before);
        let other = place.files.open_file("a", Access::Write, Creation::Always).unwrap();
        assert_ne!(identity(&other).unwrap(), before);
    }
}
