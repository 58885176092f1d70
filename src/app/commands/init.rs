//! `mailconsole init`: a directory, and mailboxes in it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::app::error::StartError;
use crate::app::mailboxes::{
    Made, Mailboxes, create, make_directory, make_sure_of_writable, open_as_it_is,
};

/// Makes the directory and the mailboxes of users; says on stdout what was not there.
pub fn run(mailboxes: &Mailboxes) -> Result<ExitCode, StartError> {
    let made = make_directory(&mailboxes.directory)?;
    let path = mailboxes.directory.display();
    let mut lines = String::new();
    if made == Made::Now {
        let _ = writeln!(lines, "made {path}");
    }
    let directory = open_as_it_is(mailboxes)?;
    make_sure_of_writable(&mailboxes.directory)?;
    for user in &mailboxes.users {
        let was_there = directory.user(user.as_bytes()).is_some();
        create(&directory, user)?;
        if !was_there {
            let _ = writeln!(lines, "made {path}/{user}.mbox");
        }
    }
    // Nobody has to be there to read it.
    let _ = io::stdout().lock().write_all(lines.as_bytes());
    Ok(ExitCode::SUCCESS)
}
