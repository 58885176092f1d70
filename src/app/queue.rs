//! The queue as a command: what waits and why, for people and for programs, and orders about it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::app::config::{Form, Mailboxes};
use crate::app::run::{StartError, open_as_it_is};
use crate::relay::orders::{Order, Pick};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Recipient};
use crate::wire::display::DisplayText;

/// Lists the queue on stdout.
pub fn list(mailboxes: &Mailboxes, form: Form) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    let entries = Runtime::new()?.block_on(queue.entries())?;
    let now = SystemTime::now();
    let text = match form {
        Form::Table => table(&entries, now),
        Form::Json => json(&entries).map_err(io::Error::from)?,
    };
    // Nobody has to be there to read it.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Carries out an order, or, if an entry is not there, nothing of it.
pub fn order(
    mailboxes: &Mailboxes,
    order: Order,
    picks: BTreeSet<Pick>,
) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    Runtime::new()?.block_on(async {
        let entries = queue.entries().await?;
        if let Some(missing) = picks.iter().find(|pick| !is_there(pick, &entries)) {
            return Err(StartError::NoSuchEntry(name(missing)));
        }
        order.give(&queue, picks).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn is_there(pick: &Pick, entries: &[Entry]) -> bool {
    entries.iter().any(|Entry { block, .. }| {
        block.recipients.iter().any(|recipient| pick.means(&block.id, &recipient.forward_path))
    })
}

fn name(pick: &Pick) -> String {
    let name = match &pick.recipient {
        None => pick.id.clone(),
        Some(recipient) => format!("{}/{recipient}", pick.id),
    };
    DisplayText::from(name.as_str()).into_string()
}

/// A recipient as programs read it. Its field names stay what they are.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    from: &'a str,
    recipient: &'a str,
    state: &'static str,
    attempts: u32,
    queued: String,
    next_attempt: Option<String>,
    last_reply: &'a str,
    octets: u64,
}

impl<'a> Listed<'a> {
    fn new(entry: &'a Entry, recipient: &'a Recipient) -> Self {
        let Entry { block: Block { id, reverse_path, queued, .. }, octets, .. } = entry;
        let next = recipient.next_attempt;
        Self {
            id,
            from: reverse_path,
            recipient: &recipient.forward_path,
            state: word(recipient.state),
            attempts: recipient.attempts,
            queued: rfc_3339(*queued),
            next_attempt: (next > 0).then(|| rfc_3339(next)),
            last_reply: &recipient.last_reply,
            octets: *octets,
        }
    }
}

fn json(entries: &[Entry]) -> serde_json::Result<String> {
    let listed = |entry| recipients(entry).map(|recipient| Listed::new(entry, recipient));
    let listed: Vec<Listed<'_>> = entries.iter().flat_map(listed).collect();
    Ok(serde_json::to_string_pretty(&listed)? + "\n")
}

/// What is delivered is no concern of anybody's any more; it only waits to be cleared away.
fn recipients(entry: &Entry) -> impl Iterator<Item = &Recipient> {
    let recipients = entry.block.recipients.iter();
    recipients.filter(|recipient| recipient.state != RecipientState::Delivered)
}

const fn word(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Pending => "pending",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed",
        RecipientState::Held => "held",
    }
}

fn rfc_3339(seconds: u64) -> String {
    DateTime::<Utc>::from(at(seconds)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn at(seconds: u64) -> SystemTime {
    /// The last second of the year 9999: beyond it RFC 3339 has no dates.
    const LAST: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))
}

fn table(entries: &[Entry], now: SystemTime) -> String {
    let mut rows = Vec::new();
    for entry in entries {
        rows.extend(recipients(entry).map(|recipient| row(entry, recipient, now)));
    }
    if rows.is_empty() {
        return "The relay queue is empty.\n".to_owned();
    }
    let names = ["ID", "STATE", "TRIES", "NEXT", "OCTETS", "FROM", "RECIPIENT"].map(str::to_owned);
    rows.insert(0, (names, "LAST REPLY".to_owned()));
    let mut widths = [0; 7];
    for (cells, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |(cells, reply): &([String; 7], String)| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.chain([reply.clone()]).collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The cells of a row, and what was last replied, which may be long.
fn row(entry: &Entry, recipient: &Recipient, now: SystemTime) -> ([String; 7], String) {
    let shown = |text: &str| DisplayText::from(text).into_string();
    let Entry { block, octets, .. } = entry;
    let next = match (recipient.state, recipient.next_attempt) {
        (RecipientState::Pending, 0) => "now".to_owned(),
        (RecipientState::Pending, next) if at(next) <= now => "now".to_owned(),
        (RecipientState::Pending, next) => {
            DateTime::<Local>::from(at(next)).format("%m-%d %H:%M:%S").to_string()
        }
        _ => "-".to_owned(),
    };
    let cells = [
        shown(&block.id),
        word(recipient.state).to_owned(),
        recipient.attempts.to_string(),
        next,
        octets.to_string(),
        shown(&format!("<{}>", block.reverse_path)),
        shown(&format!("<{}>", recipient.forward_path)),
    ];
    (cells, shown(&recipient.last_reply))
}
