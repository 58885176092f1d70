//! Saves transcript rows to a file, as headless `-v` would have printed them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::app::state::{Clock, State};

/// Files with the same second in their name, at most.
const MOST_NAMES: u32 = 100;

/// Saves the rows that the filters let through to a new file in `directory`; returns its path and
/// how many rows there were. Never overwrites a file.
///
/// # Errors
///
/// No file can be made there, or it cannot be written.
pub fn save(state: &State, directory: &Path) -> io::Result<(PathBuf, usize)> {
    let (path, file) = new_file(directory, state.clock)?;
    let mut out = BufWriter::new(file);
    let passwords = state.transcript.ring().passwords();
    let mut rows = 0;
    for (_, row) in state.transcript.ring().from(0) {
        writeln!(out, "{}", row.text(passwords))?;
        rows += 1;
    }
    out.flush()?;
    Ok((path, rows))
}

fn new_file(directory: &Path, clock: Clock) -> io::Result<(PathBuf, File)> {
    let at = DateTime::<Utc>::from(clock.wall).with_timezone(&clock.offset);
    let name = at.format("mailconsole-%Y%m%d-%H%M%S").to_string();
    for n in 1..=MOST_NAMES {
        let name = match n {
            1 => format!("{name}.txt"),
            _ => format!("{name}-{n}.txt"),
        };
        let path = directory.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((path, file?)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::action::Action;
    use crate::app::state::tests::{line, with_connections};

    #[test]
    fn a_saved_transcript_is_what_is_shown_in_the_headless_form() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = with_connections(2);
        state.apply(line(1, "PASS cis505"));
        state.apply(line(2, "NOOP"));
        state.update(Action::OnlyThis);
        let (path, rows) = save(&state, directory.path()).unwrap();
        assert_eq!(rows, 1);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "[1] C: PASS ******\n");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let state = with_connections(0);
        let (first, _) = save(&state, directory.path()).unwrap();
        let (second, _) = save(&state, directory.path()).unwrap();
        assert_ne!(first, second);
    }
}
