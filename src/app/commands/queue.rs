//! `mailconsole queue`: what waits and why, for people and for programs, and orders about it.

pub mod arguments;
mod entry;
pub mod job;
mod summary;
mod table;
pub(super) mod words;

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::app::commands::queue::job::{Detail, Form, Job, Listing, Meant, Shown};
use crate::app::commands::queue::words::{Row, count, json_lines, print, rfc_3339, word};
use crate::app::error::StartError;
use crate::app::mailboxes::{Mailboxes, open_as_it_is};
use crate::mail::dsn::{EnvelopeId, RecipientDsn, Ret};
use crate::mail::parameters::MailParameters;
use crate::relay::orders::{Done, Order, QueueTarget};
use crate::relay::selection::{QueueTargets, Selection};
use crate::store::queue::{Block, Entry, Recipient};
use crate::wire::display::DisplayText;

/// Octets of IDs that are read from stdin.
const STDIN_MOST: u64 = 256 * 1024 * 1024;

/// Does what was asked for.
pub fn run(mailboxes: &Mailboxes, job: Job) -> Result<ExitCode, StartError> {
    match job {
        Job::List(listing) => list(mailboxes, listing),
        Job::Show(target, shown) => show(mailboxes, &target, shown),
        Job::Order(order, meant) => give(mailboxes, order, meant),
    }
}

/// Lists the queue on stdout.
fn list(mailboxes: &Mailboxes, listing: Listing) -> Result<ExitCode, StartError> {
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
fn show(mailboxes: &Mailboxes, target: &QueueTarget, shown: Shown) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    Runtime::new()?.block_on(async {
        let mut entries = queue.entries().await?;
        if let Some(missing) = QueueTargets::from_iter([target.clone()]).missing(&entries).first() {
            return Err(StartError::NoSuchEntry(name(missing)));
        }
        entries.retain(|entry| entry.block.id == target.id);
        for entry in &entries {
            if shown == Shown::Whole {
                let whom = target.recipient.as_deref();
                print(entry::envelope(entry, whom, SystemTime::now()).as_bytes());
            }
            entry::print_text(&queue, entry, shown).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Carries out an order. If an entry that is named is missing, nothing is changed.
fn give(mailboxes: &Mailboxes, order: Order, meant: Meant) -> Result<ExitCode, StartError> {
    let queue = open_as_it_is(mailboxes)?.queue();
    let Meant { targets, stdin, selection } = meant;
    let all = targets.is_empty() && !stdin;
    let mut named: QueueTargets = targets.iter().cloned().collect();
    let piped = if stdin { picks_of(io::stdin().lock())? } else { BTreeSet::new() };
    Runtime::new()?.block_on(async {
        if !all {
            let entries = queue.entries().await?;
            let missing = named.missing(&entries);
            if let Some(first) = missing.first() {
                return Err(StartError::NoSuchEntry(name(first)));
            }
            named = targets.into_iter().chain(piped.iter().cloned()).collect();
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
fn picks_of(stdin: impl BufRead) -> io::Result<BTreeSet<QueueTarget>> {
    let mut targets = BTreeSet::new();
    for line in stdin.take(STDIN_MOST).lines() {
        if let Some(Ok(target)) = line?.split_whitespace().next().map(str::parse) {
            targets.insert(target);
        }
    }
    Ok(targets)
}

/// Entries that a list names may be delivered before the list is read.
fn tell_of_gone(count: usize) {
    if count > 0 {
        eprintln!("mailconsole: {count} of the IDs from stdin are no longer in the relay queue");
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

fn name(target: &QueueTarget) -> String {
    let name = match &target.recipient {
        None => target.id.clone(),
        Some(recipient) => format!("{}/{recipient}", target.id),
    };
    DisplayText::from(name.as_str()).into_string()
}

fn chosen<'a>(entries: &'a [Entry], selection: &Selection, now: SystemTime) -> Vec<Row<'a>> {
    let rows = entries
        .iter()
        .flat_map(|entry| entry.block.recipients.iter().map(move |recipient| (entry, recipient)));
    rows.filter(|(entry, recipient)| selection.means(entry, recipient, now)).collect()
}

/// A recipient in JSON. Scripts depend on the names of the fields.
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
    #[serde(flatten)]
    asked: Asked<'a>,
}

/// What the sender asked for. What it did not ask for has no key.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    envid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ret: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orcpt: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    smtputf8: bool,
}

impl<'a> Asked<'a> {
    fn new(block: &'a Block, recipient: &'a Recipient) -> Self {
        let MailParameters { dsn, smtputf8, .. } = &block.parameters;
        let RecipientDsn { notify, orcpt } = &recipient.dsn;
        let orcpt = orcpt.as_ref();
        Self {
            envid: dsn.envid.as_ref().map(EnvelopeId::as_str),
            ret: dsn.ret.map(Ret::word),
            notify: notify.map(|notify| notify.to_string()),
            orcpt: orcpt.map(|orcpt| format!("{};{}", orcpt.kind(), orcpt.address())),
            smtputf8: *smtputf8,
        }
    }
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
            asked: Asked::new(&entry.block, recipient),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_stdin_stand_on_lines_of_their_own() {
        let targets = picks_of("1-2-3\n\n  4-5-6/a@b  \r\n7-8-9 pending 0\n".as_bytes()).unwrap();
        let all = |id: &str| QueueTarget { id: id.into(), recipient: None };
        let expected =
            BTreeSet::from([all("1-2-3"), QueueTarget::one("4-5-6", "a@b"), all("7-8-9")]);
        assert_eq!(targets, expected);
    }

    #[test]
    fn an_order_says_what_it_has_done() {
        let one = Done { recipients: 1, messages: 1 };
        assert_eq!(sentence(Order::Drop, one), "1 recipient of 1 message dropped\n");
        let none = Done::default();
        assert_eq!(sentence(Order::Hold, none), "0 recipients of 0 messages held\n");
    }
}
