//! What the lists and the entries have in common: words, times and output.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::store::overview::RecipientState;
use crate::store::queue::{Entry, Recipient};
use crate::wire::display::DisplayText;

/// A recipient and the entry it belongs to.
pub(super) type Row<'a> = (&'a Entry, &'a Recipient);

/// One object per line, so that a program can begin before it has read everything.
pub(super) fn json_lines(objects: impl Iterator<Item = impl Serialize>) -> io::Result<String> {
    let mut lines = String::new();
    for object in objects {
        lines.push_str(&serde_json::to_string(&object)?);
        lines.push('\n');
    }
    Ok(lines)
}

pub(super) const fn word(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Pending => "pending",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed",
        RecipientState::Held => "held",
    }
}

pub(super) fn rfc_3339(seconds: u64) -> String {
    DateTime::<Utc>::from(at(seconds)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn at(seconds: u64) -> SystemTime {
    /// The last second of the year 9999: beyond it RFC 3339 has no dates.
    const LAST: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))
}

pub(super) fn shown(text: &str) -> String {
    DisplayText::from(text).into_string()
}

/// Writes to stdout. A closed stdout is no failure.
pub(in crate::app::commands) fn print(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// `1 recipient`, `2 recipients`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
