//! `mailconsole init`: a directory, and mailboxes in it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::app::config::{AFTER, Setup};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::mailboxes::{
    Made, Mailboxes, create, make_directory, make_sure_of_writable, open_as_it_is,
};

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole init DIR [USER]...\n       \
                            mailconsole init --dir DIR [USER]...")]
#[command(after_help = EXAMPLES)]
pub struct InitArguments {
    /// The directory, unless --dir gives it, and users
    #[arg(value_name = "[DIR] USER")]
    pub words: Vec<String>,
}

const EXAMPLES: &str = "\
What exists already stays as it is.

Examples:
  mailconsole init mailtest                   a directory without mailboxes
  mailconsole init mailtest linhphan zives    with two mailboxes";

impl InitArguments {
    /// The directory and its mailboxes. The first word is the directory, unless one is set.
    pub fn mailboxes(self, setup: &Setup) -> Result<Mailboxes, ConfigError> {
        let mut words = self.words;
        let directory = match setup.options.dir.clone() {
            None if !words.is_empty() => Some(words.remove(0).into()),
            set => set,
        };
        let mut mailboxes = setup.mailboxes(directory, AFTER)?;
        mailboxes.users.extend(words);
        Ok(mailboxes)
    }
}

/// Creates the directory and the mailboxes of users; says on stdout which of them are new.
pub fn run(mailboxes: &Mailboxes) -> Result<ExitCode, StartError> {
    let made = make_directory(&mailboxes.directory)?;
    let path = mailboxes.directory.display();
    let mut lines = String::new();
    if made == Made::Now {
        let _ = writeln!(lines, "created {path}");
    }
    let directory = open_as_it_is(mailboxes)?;
    make_sure_of_writable(&mailboxes.directory)?;
    for user in &mailboxes.users {
        let was_there = directory.user(user.as_bytes()).is_some();
        create(&directory, user)?;
        if !was_there {
            let _ = writeln!(lines, "created {path}/{user}.mbox");
        }
    }
    // A closed stdout is no failure.
    let _ = io::stdout().lock().write_all(lines.as_bytes());
    Ok(ExitCode::SUCCESS)
}
