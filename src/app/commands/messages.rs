//! `mailconsole messages`: the messages of one mailbox or of all, as lines or as JSON.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::commands::output::{Form, Output, unless_closed};
use crate::app::config_error::ConfigError;
use crate::app::error::{MailboxError, StartError};
use crate::app::last_word;
use crate::app::mailboxes::open_for_messages;
use crate::mailroom::folder::{Folder, Hit, oldest_first};
use crate::mailroom::query::Query;
use crate::store::browse::MaildropError;
use crate::store::directory::{Directory, User};
use crate::store::index::ReadError;
use crate::store::since::Newer;

/// Attempts to read a mailbox that another program changes at the same time.
const ATTEMPTS: usize = 5;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole messages DIR [USER] [QUERY]... [--json]")]
#[command(after_help = EXAMPLES)]
pub struct MessagesArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// A user, and terms that all must match: from= to= cc= subject= body= header:NAME= user= uid=
    /// larger= smaller= has=attachment unread, with ~ for "contains" and ! before a term for "not"
    #[arg(value_name = "QUERY")]
    pub words: Vec<String>,
    /// Write JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
A line has mailbox, number, unique-id, date, from, to, subject and octets, with tabs between them \
unless stdout is a terminal. Exit status: 0, also if there are none; 1 if there is no such mailbox, \
2 if the query is wrong, 3 if there is no such directory.

Examples:
  mailconsole messages mailtest linhphan
  mailconsole messages mailtest \"from=alice subject~/order [0-9]+/i !has=attachment\"
  mailconsole messages mailtest unread larger=10K --json";

/// Which messages are listed, and how.
#[derive(Debug)]
pub struct MessagesTask {
    directory: PathBuf,
    query: Arc<Query>,
    form: Form,
}

impl MessagesArguments {
    /// The task.
    pub fn task(self) -> Result<MessagesTask, ConfigError> {
        let query = Arc::new(Query::of_words(&self.words)?);
        let form = if self.json { Form::Json } else { Form::Line };
        Ok(MessagesTask { directory: self.directory, query, form })
    }
}

/// Lists messages on stdout.
pub fn run(task: &MessagesTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let listed = list(&directory, task).await;
        directory.close().await;
        unless_closed(listed, ExitCode::SUCCESS)
    })
}

async fn list(directory: &Directory, task: &MessagesTask) -> Result<ExitCode, StartError> {
    let (found, complete) = find(directory, &task.query).await?;
    let mut output = Output::default();
    let hits: Vec<Vec<Hit>> = found.iter().map(|one| one.hits.clone()).collect();
    for (which, hit) in oldest_first(&hits) {
        let Some(Found { folder, .. }) = found.get(which) else { continue };
        output.print(folder, hit.place, &task.form).await?;
    }
    output.finish()?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The messages of one mailbox that a query means.
#[derive(Debug)]
pub(super) struct Found {
    /// The mailbox.
    pub(super) folder: Folder,
    /// The messages, in its order.
    pub(super) hits: Vec<Hit>,
}

/// The messages of all mailboxes that a query means; a mailbox without any is left out. Also whether
/// every mailbox could be read: stderr tells of those that could not.
pub(super) async fn find(
    directory: &Directory,
    query: &Arc<Query>,
) -> Result<(Vec<Found>, bool), StartError> {
    let (mut all, mut complete) = (Vec::new(), true);
    for user in mailboxes(directory, query)? {
        match find_in(directory, query, &user).await {
            Ok(Some(found)) if !found.hits.is_empty() => all.push(found),
            Ok(_) => {}
            // Asked for by its name, it is the answer.
            Err(error) if query.user().is_some() => {
                return Err(StartError::Mailbox(user.name().to_owned(), error));
            }
            Err(error) => {
                last_word::say(&format!("mailconsole: {}: {error}", user.name()));
                complete = false;
            }
        }
    }
    Ok((all, complete))
}

/// The mailboxes in which a query may mean messages.
///
/// # Errors
///
/// If it names one that does not exist.
pub(super) fn mailboxes(directory: &Directory, query: &Query) -> Result<Vec<User>, StartError> {
    let users = directory.users()?;
    let users = users.into_iter().filter(|user| query.may_mean_mailbox(user.name()));
    let users: Vec<User> = users.collect();
    match query.user() {
        // Another term may rule it out.
        Some(name) if users.is_empty() && directory.mailbox_of(name, "localhost").is_none() => {
            Err(StartError::NoSuchMailbox(name.to_owned()))
        }
        _ => Ok(users),
    }
}

/// The messages of a mailbox that a query means; `None` if the mailbox has gone meanwhile.
pub(super) async fn find_in(
    directory: &Directory,
    query: &Arc<Query>,
    user: &User,
) -> Result<Option<Found>, MailboxError> {
    let mut attempts = ATTEMPTS;
    loop {
        attempts = attempts.saturating_sub(1);
        let folder = match Folder::open(directory, user).await {
            Err(MaildropError::Missing) => return Ok(None),
            opened => opened?,
        };
        match folder.find(query, 0..folder.count(), Newer::From(0)).await {
            Err(ReadError::Changed) if attempts > 0 => {}
            found => return Ok(Some(Found { hits: found?, folder })),
        }
    }
}
