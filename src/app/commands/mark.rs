//! `mailconsole mark`: where a directory is now, in one word.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::commands::output::{Output, unless_closed};
use crate::app::error::StartError;
use crate::app::mailboxes::open_for_messages;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MarkArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

const EXAMPLES: &str = "\
The word stays right when messages are removed, when servers start anew, and without any server. Exit \
status: 0, 1 if a mailbox cannot be read, 3 if there is no such directory.

Examples:
  mailconsole mark mailtest
  mailconsole wait mailtest --since \"$(cat mark)\" subject~Welcome";

/// Which directory is marked.
#[derive(Debug)]
pub struct MarkTask {
    directory: PathBuf,
}

impl MarkArguments {
    /// The task.
    #[must_use]
    pub fn task(self) -> MarkTask {
        MarkTask { directory: self.directory }
    }
}

/// Prints a mark on stdout.
pub fn run(task: &MarkTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let marked = directory.mark().await;
        directory.close().await;
        let path = task.directory.display().to_string();
        let mark = marked.map_err(|error| StartError::Mailbox(path, error.into()))?;
        let mut output = Output::default();
        let printed = output.write(format!("{mark}\n").as_bytes()).and_then(|()| output.finish());
        unless_closed(printed, ())?;
        Ok(ExitCode::SUCCESS)
    })
}
