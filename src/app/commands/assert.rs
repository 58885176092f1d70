//! `mailconsole assert`: conditions about the messages in a directory, and the servers on it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::commands::fault::rules_of;
use crate::app::commands::messages::find_in;
use crate::app::commands::output::{Output, unless_closed};
use crate::app::commands::status::running;
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::last_word;
use crate::app::mailboxes::open_for_messages;
use crate::control::client::Object;
use crate::mailroom::condition::{Condition, Countable};
use crate::mailroom::query::Query;
use crate::store::directory::Directory;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AssertArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Conditions, each one argument: "messages QUERY == 2", "sessions smtp >= 1", "fault NAME hits
    /// >= 1", "no findings"
    #[arg(value_name = "CONDITION", required = true)]
    pub conditions: Vec<String>,
}

const EXAMPLES: &str = "\
An operator is == != < <= > or >=; without one, at least one is wanted. What was found is printed, a \
number for each condition. Exit status: 0 if all are true, 1 if one is not, 2 wrong use, 3 no such DIR, \
or no server where one is asked.

Examples:
  mailconsole assert mailtest \"messages to=linhphan == 2\"
  mailconsole assert mailtest \"messages subject~Welcome\" \"messages has=attachment == 0\"";

/// Which conditions are checked.
#[derive(Debug)]
pub struct AssertTask {
    directory: PathBuf,
    conditions: Vec<Condition>,
}

impl AssertArguments {
    /// The task.
    pub fn task(self) -> Result<AssertTask, ConfigError> {
        let conditions = self.conditions.iter().map(|text| text.parse());
        let conditions = conditions.collect::<Result<_, _>>()?;
        Ok(AssertTask { directory: self.directory, conditions })
    }
}

/// Checks the conditions, and prints what was found on stdout.
pub fn run(task: &AssertTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let counted = count_all(&directory, task).await;
        directory.close().await;
        let counts = counted?;
        let mut output = Output::default();
        let lines: Vec<String> = counts.iter().map(ToString::to_string).collect();
        let lines = lines.join("\n") + "\n";
        let printed = output.write(lines.as_bytes()).and_then(|()| output.finish());
        unless_closed(printed, ())?;
        let mut is_true = true;
        for (condition, count) in task.conditions.iter().zip(counts) {
            if !condition.holds(count) {
                last_word::say(&format!("mailconsole: not true: {condition}; there are {count}"));
                is_true = false;
            }
        }
        Ok(if is_true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn count_all(directory: &Directory, task: &AssertTask) -> Result<Vec<u64>, StartError> {
    let mut counts = Vec::with_capacity(task.conditions.len());
    for condition in &task.conditions {
        counts.push(match &condition.what {
            Countable::Messages(query) => messages(directory, &Arc::new(query.clone())).await?,
            asked => asked_of_servers(&task.directory, asked).await?,
        });
    }
    Ok(counts)
}

/// How many messages a query means. A mailbox that does not exist has none.
async fn messages(directory: &Directory, query: &Arc<Query>) -> Result<u64, StartError> {
    let mut count = 0;
    let users = directory.users()?;
    for user in users.iter().filter(|user| query.may_mean_mailbox(user.name())) {
        let found = find_in(directory, query, user).await;
        let found = found.map_err(|error| StartError::Mailbox(user.name().to_owned(), error))?;
        count += found.map_or(0, |found| found.hits.len() as u64);
    }
    Ok(count)
}

/// What the servers on a directory have counted, all together.
async fn asked_of_servers(directory: &Path, asked: &Countable) -> Result<u64, StartError> {
    let servers = running(directory).await?;
    if servers.is_empty() {
        return Err(StartError::NoServer(directory.to_owned()));
    }
    match asked {
        Countable::Sessions(service) => {
            let sessions = |server: &Object| server.get("sessions_of")?.get(service)?.as_u64();
            Ok(servers.iter().filter_map(sessions).sum())
        }
        Countable::FaultHits(name) => {
            Ok(rules_of(directory).await?.iter().map(|rules| rules.hits_of(name)).sum())
        }
        Countable::Messages(_) | Countable::Findings => {
            Err(StartError::Server(format!("the servers on {} count none", directory.display())))
        }
    }
}
