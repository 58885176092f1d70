//! `mailconsole clear`: removes messages, as a POP3 session does.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::commands::messages::find_in;
use crate::app::commands::messages::mailboxes;
use crate::app::commands::output::{Output, unless_closed};
use crate::app::config_error::ConfigError;
use crate::app::error::{MailboxError, StartError};
use crate::app::last_word;
use crate::app::mailboxes::open_for_messages;
use crate::mailroom::folder::Folder;
use crate::mailroom::query::Query;
use crate::store::browse::MaildropError;
use crate::store::directory::{Directory, User};
use crate::store::since::Newer;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole clear DIR [USER] [QUERY]... [--yes]")]
#[command(after_help = EXAMPLES)]
pub struct ClearArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// A user, and terms that all must match, as in mailconsole messages; none for all messages
    #[arg(value_name = "QUERY")]
    pub words: Vec<String>,
    /// Do not ask on the terminal
    #[arg(long)]
    pub yes: bool,
}

const EXAMPLES: &str = "\
Prints how many messages it has removed; the relay queue stays. Exit status: 0; 1 if a POP3 session \
holds a mailbox, whose messages then stay, or there is no such mailbox; 2 wrong use, 3 no such DIR.

Examples:
  mailconsole clear mailtest --yes
  mailconsole clear mailtest linhphan subject~test";

/// Which messages are removed.
#[derive(Debug)]
pub struct ClearTask {
    directory: PathBuf,
    query: Arc<Query>,
    consent: Consent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Asked,
}

impl ClearArguments {
    /// The task.
    pub fn task(self) -> Result<ClearTask, ConfigError> {
        let query = Arc::new(Query::of_words(&self.words)?);
        // Without a terminal there is nobody to ask.
        let is_given = self.yes || !io::stdin().is_terminal();
        let consent = if is_given { Consent::Given } else { Consent::Asked };
        Ok(ClearTask { directory: self.directory, query, consent })
    }
}

/// Removes messages, and says on stdout how many.
pub fn run(task: &ClearTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let cleared = clear(&directory, task).await;
        directory.close().await;
        cleared
    })
}

async fn clear(directory: &Directory, task: &ClearTask) -> Result<ExitCode, StartError> {
    let (mut removed, mut complete) = (0, true);
    let users = mailboxes(directory, &task.query)?;
    let is_agreed = task.consent == Consent::Given || is_agreed(directory, task, &users).await?;
    for user in users.iter().filter(|_| is_agreed) {
        match clear_mailbox(directory, &task.query, user).await {
            Ok(messages) => removed += messages,
            Err(error) => {
                last_word::say(&format!("mailconsole: {}: {error}", user.name()));
                complete = false;
            }
        }
    }
    let mut output = Output::default();
    let words = if output.is_terminal() {
        format!("{} removed\n", in_words(removed))
    } else {
        format!("{removed}\n")
    };
    let printed = output.write(words.as_bytes()).and_then(|()| output.finish());
    unless_closed(printed, ())?;
    Ok(if complete && is_agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn in_words(messages: usize) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

/// Asks on the terminal, once it is known how many messages are meant.
async fn is_agreed(
    directory: &Directory,
    task: &ClearTask,
    users: &[User],
) -> Result<bool, StartError> {
    let mut meant = 0;
    for user in users {
        let found = find_in(directory, &task.query, user).await;
        let found = found.map_err(|error| StartError::Mailbox(user.name().to_owned(), error))?;
        meant += found.map_or(0, |found| found.hits.len());
    }
    if meant == 0 {
        return Ok(true);
    }
    let _ = write!(io::stderr(), "Remove {}? [y/N] ", in_words(meant));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Removes the messages of a mailbox that a query means; returns how many.
async fn clear_mailbox(
    directory: &Directory,
    query: &Arc<Query>,
    user: &User,
) -> Result<usize, MailboxError> {
    // Where nothing is meant, a session may go on.
    let is_meant =
        find_in(directory, query, user).await?.is_some_and(|found| !found.hits.is_empty());
    if !is_meant {
        return Ok(0);
    }
    let maildrop = match directory.open_maildrop(user).await {
        Err(MaildropError::Missing) => return Ok(0),
        opened => opened?,
    };
    let folder = Folder::of(user.clone(), Arc::clone(maildrop.snapshot()));
    let hits = folder.find(query, 0..folder.count(), Newer::From(0)).await?;
    let places: Vec<usize> = hits.iter().map(|hit| hit.place).collect();
    let removed = places.len();
    maildrop.update(places).await?;
    Ok(removed)
}
