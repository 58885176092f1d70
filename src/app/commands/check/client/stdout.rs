//! What a check says on stdout, at once.

use std::io::{self, Write};

/// A closed stdout is no failure.
pub(super) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
