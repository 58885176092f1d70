//! Saves transcript rows to a file, in the form that `-v` prints without the console.

use std::env;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::console::state::{Clock, State};
use crate::mailroom::new_file::NewFile;

/// Why nothing was saved, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// No row is shown; an empty file would be useless.
    #[error("There is nothing to save: no line is shown.")]
    Nothing,
    /// There is already a file with this name.
    #[error("{} exists, and nothing is overwritten. Choose another name.", .0.display())]
    Exists(PathBuf),
    /// The file cannot be created or written.
    #[error(
        "Cannot save the lines in {}: {source}. Name a file elsewhere with :save FILE.",
        .place.display()
    )]
    Write {
        /// The file, or the directory in which it was to be created.
        place: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Saves the rows that pass the filters to a new file; returns its path and the number of rows.
/// `name` is relative to `directory`; without a name, the file is named by the time. Never
/// overwrites a file, and leaves no partly written one.
///
/// # Errors
///
/// No row passes the filters, the file exists already, or it cannot be created or written.
pub fn save(
    state: &State,
    directory: &Path,
    name: Option<&Path>,
) -> Result<(PathBuf, usize), SaveError> {
    if state.transcript.ring().is_empty() {
        return Err(SaveError::Nothing);
    }
    let mut file = match name {
        None => NewFile::create(directory, &name_by_time(state.clock))
            .map_err(|source| SaveError::Write { place: directory.to_owned(), source }),
        Some(name) => named_file(directory.join(at_home(name, env::home_dir()))),
    }?;
    match write(state, &mut file) {
        Ok(rows) => Ok((file.keep(), rows)),
        Err(source) => Err(SaveError::Write { place: file.path().to_owned(), source }),
    }
}

fn write(state: &State, file: &mut NewFile) -> io::Result<usize> {
    let mut out = BufWriter::new(file);
    let passwords = state.transcript.ring().passwords();
    let mut rows = 0;
    for (_, row) in state.transcript.ring().from(0) {
        writeln!(out, "{}", row.text(passwords))?;
        rows += 1;
    }
    out.flush()?;
    Ok(rows)
}

/// Expands `~/`, which no shell does here.
fn at_home(name: &Path, home: Option<PathBuf>) -> PathBuf {
    match (name.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => home.join(below),
        _ => name.to_owned(),
    }
}

fn named_file(path: PathBuf) -> Result<NewFile, SaveError> {
    NewFile::at(path.clone()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SaveError::Exists(path),
        _ => SaveError::Write { place: path, source: error },
    })
}

fn name_by_time(clock: Clock) -> String {
    let at = DateTime::<Utc>::from(clock.wall).with_timezone(&clock.offset);
    at.format("mailconsole-%Y%m%d-%H%M%S.txt").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::action::Action;
    use crate::console::state::tests::{line, with_connections};

    #[test]
    fn a_saved_transcript_is_what_is_shown_in_the_headless_form() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = with_connections(2);
        state.apply(line(1, "PASS cis505"));
        state.apply(line(2, "NOOP"));
        state.update(Action::OnlyThis);
        let (path, rows) = save(&state, directory.path(), None).unwrap();
        assert_eq!(rows, 1);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "[1] C: PASS ******\n");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = with_connections(1);
        state.apply(line(1, "NOOP"));
        let (first, _) = save(&state, directory.path(), None).unwrap();
        let (second, _) = save(&state, directory.path(), None).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn where_no_line_is_shown_no_file_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let error = save(&with_connections(1), directory.path(), None).unwrap_err().to_string();
        assert_eq!(error, "There is nothing to save: no line is shown.");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_is_seen_from_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = with_connections(1);
        state.apply(line(1, "NOOP"));
        let (path, rows) = save(&state, directory.path(), Some(Path::new("a.txt"))).unwrap();
        assert_eq!((path, rows), (directory.path().join("a.txt"), 1));
        let elsewhere = directory.path().join("b.txt");
        let (path, _) = save(&state, Path::new("/nowhere"), Some(&elsewhere)).unwrap();
        assert_eq!(path, elsewhere);
    }

    #[test]
    fn a_named_file_that_is_there_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        std::fs::write(&path, "mine").unwrap();
        let mut state = with_connections(1);
        state.apply(line(1, "NOOP"));
        let error = save(&state, directory.path(), Some(Path::new("a.txt")));
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("a.txt exists, and nothing is overwritten. Choose another name."));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "mine");
    }

    #[test]
    fn a_place_where_nothing_can_be_made_is_named() {
        let mut state = with_connections(1);
        state.apply(line(1, "NOOP"));
        for name in [None, Some(Path::new("a.txt"))] {
            let error = save(&state, Path::new("/nowhere/at-all"), name);
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with("Cannot save the lines in /nowhere/at-all"), "{error}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = || Some(PathBuf::from("/home/linhphan"));
        assert_eq!(at_home(Path::new("~/a.txt"), home()), Path::new("/home/linhphan/a.txt"));
        assert_eq!(at_home(Path::new("~a"), home()), Path::new("~a"));
        assert_eq!(at_home(Path::new("~/a"), None), Path::new("~/a"));
    }

    #[test]
    fn the_wire_view_is_saved_in_the_headless_form() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = with_connections(1);
        state.apply(line(1, "NOOP"));
        state.update(Action::Wire);
        let (path, _) = save(&state, directory.path(), None).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "[1] C: NOOP\n");
    }
}
