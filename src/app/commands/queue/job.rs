//! What `mailconsole queue` is to do, made of its arguments.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use crate::app::commands::queue::arguments::{
    Entries, OrderArguments, QueueArguments, SelectionArguments,
};
use crate::app::config::{AFTER, Setup};
use crate::app::config_error::ConfigError;
use crate::app::mailboxes::Mailboxes;
use crate::relay::orders::{Order, QueueTarget};
use crate::relay::selection::Selection;

/// What is done with the queue.
#[derive(Debug)]
pub enum Job {
    /// List it.
    List(Listing),
    /// Show one entry.
    Show(QueueTarget, Shown),
    /// Carry out an order.
    Order(Order, Meant),
}

/// What of the queue is listed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which recipients.
    pub selection: Selection,
    /// Each of them, or how many there are.
    pub detail: Detail,
    /// For whom.
    pub form: Form,
}

/// How much is said of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Each recipient.
    Recipients,
    /// How many there are at each domain, how old, and for which reasons.
    Summary,
}

/// How an entry is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// With its envelope and what was tried, for people.
    Whole,
    /// The message alone, octet for octet.
    Raw,
}

/// Which entries of the queue are meant: those that fit all that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// Those that are named, if any are.
    pub targets: BTreeSet<QueueTarget>,
    /// Those that stdin names, too.
    pub stdin: bool,
    /// Those that are like this.
    pub selection: Selection,
}

/// How the queue is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl QueueArguments {
    /// The task, and its directory.
    pub fn job(self, setup: &Setup) -> Result<(Mailboxes, Job), ConfigError> {
        let Self { order, json, summary, selection, directory } = self;
        let selection = selection.selection();
        let (order, entries) = match order {
            None => {
                let detail = if summary { Detail::Summary } else { Detail::Recipients };
                let form = if json { Form::Json } else { Form::Table };
                let mailboxes = setup.mailboxes(directory, AFTER)?.for_queue();
                return Ok((mailboxes, Job::List(Listing { selection, detail, form })));
            }
            Some(OrderArguments::Show { raw, words }) => {
                return show(setup, directory, raw, words);
            }
            Some(OrderArguments::Retry(entries)) => (Order::Retry, entries),
            Some(OrderArguments::Hold(entries)) => (Order::Hold, entries),
            Some(OrderArguments::Release(entries)) => (Order::Release, entries),
            Some(OrderArguments::Drop(entries)) => (Order::Drop, entries),
        };
        let Entries { all, mut words } = entries;
        let directory = take_directory(setup, directory, &mut words)?;
        let stdin = words.iter().any(|word| word == STDIN);
        let targets: BTreeSet<QueueTarget> = words
            .iter()
            .filter(|word| *word != STDIN)
            .map(|word| word.parse())
            .map(never)
            .collect();
        let names_none = targets.is_empty() && !stdin;
        match all {
            true if !names_none => return Err(ConfigError::AllAndSome),
            false if names_none && selection.is_any() => return Err(ConfigError::NoEntry),
            _ => {}
        }
        let mailboxes = setup.mailboxes(Some(directory), AFTER)?.for_queue();
        Ok((mailboxes, Job::Order(order, Meant { targets, stdin, selection })))
    }
}

/// Stands for the ids that stdin names.
const STDIN: &str = "-";

fn show(
    setup: &Setup,
    directory: Option<PathBuf>,
    raw: bool,
    mut words: Vec<String>,
) -> Result<(Mailboxes, Job), ConfigError> {
    let directory = take_directory(setup, directory, &mut words)?;
    let word = match words.as_slice() {
        [word] => word,
        [first, _, ..] => return Err(ConfigError::OneEntry(first.clone())),
        [] => return Err(ConfigError::NoEntry),
    };
    let shown = if raw { Shown::Raw } else { Shown::Whole };
    let mailboxes = setup.mailboxes(Some(directory), AFTER)?.for_queue();
    Ok((mailboxes, Job::Show(never(word.parse()), shown)))
}

/// The directory that the first word is, or that is set. Where one is set, the first word is one
/// only if it is there.
fn take_directory(
    setup: &Setup,
    directory: Option<PathBuf>,
    words: &mut Vec<String>,
) -> Result<PathBuf, ConfigError> {
    match directory.or_else(|| setup.options.dir.clone()) {
        Some(set) if !words.first().is_some_and(|word| Path::new(word).is_dir()) => Ok(set),
        _ if words.is_empty() => Err(ConfigError::NoDirectory("--dir DIR")),
        _ => Ok(words.remove(0).into()),
    }
}

fn never<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

impl SelectionArguments {
    fn selection(self) -> Selection {
        let Self { state, domain, sender, older, newer, larger, smaller, reason } = self;
        let domains = domain.map(|domains| domains.to_string_lossy().into_owned());
        let bare = |sender: String| {
            let inside = sender.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
            inside.map(str::to_owned).unwrap_or(sender)
        };
        Selection {
            states: state.into_iter().map(|state| state.0).collect(),
            domains: domains.iter().flat_map(|all| all.split(',')).map(str::to_owned).collect(),
            senders: sender.into_iter().map(bare).collect(),
            older: older.map(|age| age.0),
            newer: newer.map(|age| age.0),
            larger: larger.map(|size| size.0),
            smaller: smaller.map(|size| size.0),
            reason,
        }
    }
}
