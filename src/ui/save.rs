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
    let passwords = state.transcript.passwords();
    let mut rows = 0;
    for row in state.transcript.shown() {
        writeln!(out, "{}", row.text(passwords))?;
        rows += 1;
    }
    out.into_inner()?.sync_all()?;
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
