//! Creates new files for messages, attachments and transcripts. No existing file is overwritten,
//! whatever name a sender has chosen, and no incomplete file stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most files with the same name and different numbers.
const MOST_NAMES: u32 = 1_000;

/// The longest file name made from a sender's name, including its extension; file systems allow 255
/// octets.
const NAME_MOST: usize = 100;

/// The longest extension, with its dot; anything longer is part of the name.
const EXTENSION_MOST: usize = 16;

/// A new file, which is removed again unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    fate: Fate,
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Unfinished,
    Kept,
}

impl NewFile {
    /// Creates a file with this name, or with a number (`a-2.eml`) if the name is taken.
    ///
    /// # Errors
    ///
    /// If the file cannot be created, or all numbers are taken.
    pub fn create(directory: &Path, name: &str) -> io::Result<Self> {
        let (stem, extension) = stem_and_extension(name);
        for n in 1..=MOST_NAMES {
            let name = match n {
                1 => name.to_owned(),
                _ => format!("{stem}-{n}{extension}"),
            };
            match Self::at(directory.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Creates this file.
    ///
    /// # Errors
    ///
    /// If it cannot be created; [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is one.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        Self::with_mode(path, 0o666)
    }

    /// Creates this file for its owner only, as in a directory that others see.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at).
    pub fn private(path: PathBuf) -> io::Result<Self> {
        Self::with_mode(path, 0o600)
    }

    fn with_mode(path: PathBuf, mode: u32) -> io::Result<Self> {
        // `create_new` neither overwrites a file nor follows a link.
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { file, path, fate: Fate::Unfinished })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the file; returns its path.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.fate = Fate::Kept;
        mem::take(&mut self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.fate == Fate::Unfinished
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}; remove it by hand", self.path.display());
        }
    }
}

/// Makes a safe file name from a sender's name: without directories, not hidden, and without
/// characters that a terminal or a shell interprets. Returns `otherwise` if nothing is left.
#[must_use]
pub fn safe_name(name: &str, otherwise: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |character: char| match character {
        _ if character.is_alphanumeric() || " ._-+()[]@,=".contains(character) => character,
        _ => '_',
    };
    let name: String = base.trim().chars().map(safe).collect();
    // A leading dot would hide the file, and a leading dash would make it an option.
    let name = name.trim_start_matches(['.', '-', ' ']);
    let has_sense = name.chars().any(char::is_alphanumeric);
    if has_sense { shortened(name) } else { otherwise.to_owned() }
}

fn shortened(name: &str) -> String {
    let (stem, extension) = stem_and_extension(name);
    let room = NAME_MOST.saturating_sub(extension.len());
    let (stem, _) = stem.split_at(stem.floor_char_boundary(room));
    format!("{stem}{extension}")
}

/// Splits a name; the extension includes its dot and is empty if there is none.
fn stem_and_extension(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= EXTENSION_MOST);
    name.split_at(dot.unwrap_or(name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn safe(name: &str) -> String {
        safe_name(name, "attachment-1.bin")
    }

    #[test]
    fn a_name_leads_nowhere_and_hides_nothing() {
        assert_eq!(safe("../../etc/passwd"), "passwd");
        assert_eq!(safe("C:\\Windows\\notes.txt"), "notes.txt");
        assert_eq!(safe(".bashrc"), "bashrc");
        assert_eq!(safe("-rf"), "rf");
        assert_eq!(safe("\x1b[2Jnaïve $(x).pdf"), "_[2Jnaïve _(x).pdf");
        for nothing in ["", "..", "/", "a/", " ", "\0", "..\\..", "---"] {
            assert_eq!(safe(nothing), "attachment-1.bin", "{nothing}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = safe(&format!("{}.pdf", "x".repeat(300)));
        assert_eq!(name, format!("{}.pdf", "x".repeat(96)));
        assert_eq!(safe(&"é".repeat(300)), "é".repeat(50));
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|nth: u8| {
                let mut file = NewFile::create(directory.path(), "u-1.eml").unwrap();
                file.write_all(&[nth]).unwrap();
                file.keep()
            })
            .collect();
        let expected = ["u-1.eml", "u-1-2.eml", "u-1-3.eml"];
        assert_eq!(names, expected.map(|name| directory.path().join(name)));
        let there = NewFile::at(directory.path().join("u-1.eml")).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(directory.path().join("u-1.eml")).unwrap(), [0]);
        std::os::unix::fs::symlink("elsewhere", directory.path().join("link")).unwrap();
        assert_eq!(
            NewFile::create(directory.path(), "link").unwrap().keep(),
            directory.path().join("link-2")
        );
    }

    #[test]
    fn what_is_not_finished_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        NewFile::create(directory.path(), "a").unwrap().write_all(b"x").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_directory(name in ".{0,400}") {
            let safe = safe(&name);
            prop_assert!(safe.len() <= NAME_MOST && !safe.is_empty());
            prop_assert!(!safe.contains(['/', '\\']) && !safe.starts_with(['.', '-']));
            prop_assert!(!safe.chars().any(char::is_control));
        }
    }
}
