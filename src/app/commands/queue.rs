//! The queue as a command: what waits and why, for people and for programs, and orders about it.

mod entry;
mod summary;
mod table;

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::app::config::{Detail, Form, Listing, Meant, Shown};
use crate::app::error::StartError;
use crate::app::mailboxes::{Mailboxes, open_as_it_is};
use crate::relay::orders::{Done, Order, Pick};
use crate::relay::selection::{Picks, Selection};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Recipient};
use crate::wire::display::DisplayText;

/// Octets of ids that stdin may name.
const STDIN_MOST: u64 = 256 * 1024 * 1024;

/// Lists the queue on stdout.
pub fn list(mailboxes: &Mailboxes, listing: Listing) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    let entries = Runtime::new()?.block_on(queue.entries())?;
    let now = SystemTime::now();
    let Listing { selection, detail, form } = listing;
    let rows = chosen(&entries, &selection, now);
    let text = match (detail, form) {
        (Detail::Recipients, Form::Table) => table::of(&rows, &entries, &selection, now),
        (Detail::Recipients, Form::Json) => {
            json_lines(rows.iter().map(|(entry, recipient)| Listed::new(entry, recipient)))?
        }
        (Detail::Summary, Form::Table) => summary::table(&rows, now),
        (Detail::Summary, Form::Json) => summary::json(&rows, now)?,
    };
    print(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Shows one entry on stdout.
pub fn show(mailboxes: &Mailboxes, pick: &Pick, shown: Shown) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    Runtime::new()?.block_on(async {
        let mut entries = queue.entries().await?;
        if let Some(missing) = Picks::from_iter([pick.clone()]).missing(&entries).first() {
            return Err(StartError::NoSuchEntry(name(missing)));
        }
        entries.retain(|entry| entry.block.id == pick.id);
        for entry in &entries {
            if shown == Shown::Whole {
                let whom = pick.recipient.as_deref();
                print(entry::envelope(entry, whom, SystemTime::now()).as_bytes());
            }
            entry::print_text(&queue, entry, shown).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Carries out an order, or, if an entry that is named is not there, nothing of it.
pub fn order(mailboxes: &Mailboxes, order: Order, meant: Meant) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    let Meant { picks, stdin, selection } = meant;
    let all = picks.is_empty() && !stdin;
    let mut named: Picks = picks.iter().cloned().collect();
    let piped = if stdin { picks_of(io::stdin().lock())? } else { BTreeSet::new() };
    Runtime::new()?.block_on(async {
        if !all {
            let entries = queue.entries().await?;
            let missing = named.missing(&entries);
            if let Some(first) = missing.first() {
                return Err(StartError::NoSuchEntry(name(first)));
            }
            named = picks.into_iter().chain(piped.iter().cloned()).collect();
            tell_of_gone(named.missing(&entries).len());
        }
        let now = SystemTime::now();
        let is_meant = move |entry: &Entry, recipient: &Recipient| {
            (all || named.mean(&entry.block.id, &recipient.forward_path))
                && selection.means(entry, recipient, now)
        };
        let done = order.give_where(&queue, is_meant).await?;
        print(sentence(order, done).as_bytes());
        Ok(ExitCode::SUCCESS)
    })
}

/// The words that `stdin` holds, one a line.
fn picks_of(stdin: impl BufRead) -> io::Result<BTreeSet<Pick>> {
    let mut picks = BTreeSet::new();
    for line in stdin.take(STDIN_MOST).lines() {
        if let Some(Ok(pick)) = line?.split_whitespace().next().map(str::parse) {
            picks.insert(pick);
        }
    }
    Ok(picks)
}

/// What stands in a list may be delivered before it is read.
fn tell_of_gone(count: usize) {
    if count > 0 {
        eprintln!("mailconsole: {count} of the ids from stdin are no longer in the relay queue");
    }
}

fn sentence(order: Order, Done { recipients, messages }: Done) -> String {
    let done = match order {
        Order::Retry => "to be retried",
        Order::Hold => "held",
        Order::Release => "released",
        Order::Drop => "dropped",
    };
    format!("{} of {} {done}\n", count(recipients, "recipient"), count(messages, "message"))
}

/// `1 recipient`, `2 recipients`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn name(pick: &Pick) -> String {
    let name = match &pick.recipient {
        None => pick.id.clone(),
        Some(recipient) => format!("{}/{recipient}", pick.id),
    };
    DisplayText::from(name.as_str()).into_string()
}

/// A recipient and the entry it belongs to.
type Row<'a> = (&'a Entry, &'a Recipient);

fn chosen<'a>(entries: &'a [Entry], selection: &Selection, now: SystemTime) -> Vec<Row<'a>> {
    let rows = entries
        .iter()
        .flat_map(|entry| entry.block.recipients.iter().map(move |recipient| (entry, recipient)));
    rows.filter(|(entry, recipient)| selection.means(entry, recipient, now)).collect()
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

/// One object a line, so that a program can begin before the end has come.
fn json_lines(objects: impl Iterator<Item = impl Serialize>) -> io::Result<String> {
    let mut lines = String::new();
    for object in objects {
        lines.push_str(&serde_json::to_string(&object)?);
        lines.push('\n');
    }
    Ok(lines)
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

fn shown(text: &str) -> String {
    DisplayText::from(text).into_string()
}

/// Nobody has to be there to read it.
fn print(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_stdin_stand_on_lines_of_their_own() {
        let picks = picks_of("1-2-3\n\n  4-5-6/a@b  \r\n7-8-9 pending 0\n".as_bytes()).unwrap();
        let all = |id: &str| Pick { id: id.into(), recipient: None };
        let expected = BTreeSet::from([all("1-2-3"), Pick::one("4-5-6", "a@b"), all("7-8-9")]);
        assert_eq!(picks, expected);
    }

    #[test]
    fn an_order_says_what_it_has_done() {
        let one = Done { recipients: 1, messages: 1 };
        assert_eq!(sentence(Order::Drop, one), "1 recipient of 1 message dropped\n");
        let none = Done::default();
        assert_eq!(sentence(Order::Hold, none), "0 recipients of 0 messages held\n");
    }
}
