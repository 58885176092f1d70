//! `mailconsole show`: one message.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use tokio::runtime::Runtime;

use crate::app::commands::output::{Form, Output, Printed, unless_closed};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::last_word;
use crate::app::mailboxes::open_for_messages;
use crate::mailroom::folder::Folder;
use crate::store::directory::{Directory, LOCALHOST};

/// Its own arguments.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").args(FORMS), after_help = EXAMPLES)]
#[command(override_usage = "mailconsole show DIR USER N|latest|UID [FORM]")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct ShowArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Whose mailbox
    #[arg(value_name = "USER")]
    pub mailbox: String,
    /// The number of the message, its unique-id, or latest
    #[arg(value_name = "N|latest|UID")]
    pub word: String,
    /// The octets as POP3's RETR gives them
    #[arg(long)]
    pub raw: bool,
    /// The text, decoded; HTML alone as plain text
    #[arg(long)]
    pub text: bool,
    /// The HTML
    #[arg(long)]
    pub html: bool,
    /// The header, decoded
    #[arg(long)]
    pub headers: bool,
    /// All of it as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The decoded octets of a part; parts that have no parts are counted from 1
    #[arg(long, value_name = "K")]
    pub part: Option<String>,
    /// Write each attachment to a new file there, and print the paths
    #[arg(long, value_name = "DIR")]
    pub attachments: Option<PathBuf>,
}

const FORMS: [&str; 7] = ["raw", "text", "html", "headers", "json", "part", "attachments"];

const EXAMPLES: &str = "\
Exit status: 0; 1 no such message, or nothing of the kind in it; 2 wrong use, 3 no such directory.
Examples:
  mailconsole show mailtest linhphan latest --text
  mailconsole show mailtest linhphan 3 --attachments files";

/// Which message is shown, and how.
#[derive(Debug)]
pub struct ShowTask {
    directory: PathBuf,
    mailbox: String,
    word: String,
    form: Form,
}

impl ShowArguments {
    /// The task.
    pub fn task(self) -> Result<ShowTask, ConfigError> {
        let form = match (self.part, self.attachments) {
            (Some(part), _) => Form::Part(number_of_part(part)?),
            (_, Some(directory)) => Form::Attachments(directory),
            _ if self.raw => Form::Raw,
            _ if self.text => Form::Text,
            _ if self.html => Form::Html,
            _ if self.headers => Form::Headers,
            _ if self.json => Form::WholeJson,
            _ => Form::Readable,
        };
        let Self { directory, mailbox, word, .. } = self;
        Ok(ShowTask { directory, mailbox, word, form })
    }
}

fn number_of_part(given: String) -> Result<usize, ConfigError> {
    let (option, expected) = ("--part", "the number of a part, from 1");
    let number = given.parse().ok().filter(|number| *number > 0);
    number.ok_or(ConfigError::BadValue { option, expected, given })
}

/// Shows a message on stdout.
pub fn run(task: &ShowTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let shown = show(&directory, task).await;
        directory.close().await;
        unless_closed(shown, ExitCode::SUCCESS)
    })
}

async fn show(directory: &Directory, task: &ShowTask) -> Result<ExitCode, StartError> {
    let ShowTask { mailbox, word, form, .. } = task;
    let missing = || StartError::NoSuchMailbox(mailbox.clone());
    let user = directory.mailbox_of(mailbox, LOCALHOST).ok_or_else(missing)?;
    let folder = Folder::open(directory, &user).await;
    let folder = folder.map_err(|error| StartError::Mailbox(mailbox.clone(), error.into()))?;
    let Some(place) = place(&folder, word).await? else {
        return Err(StartError::NoSuchMessage { mailbox: mailbox.clone(), word: word.clone() });
    };
    let mut output = Output::default();
    let printed = output.print(&folder, place, form).await?;
    output.finish()?;
    Ok(match printed {
        Printed::Yes => ExitCode::SUCCESS,
        Printed::Nothing(why) => {
            last_word::say(&format!("mailconsole: {why}"));
            ExitCode::FAILURE
        }
    })
}

/// The place of the message that a word names.
async fn place(folder: &Folder, word: &str) -> Result<Option<usize>, StartError> {
    if word.eq_ignore_ascii_case("latest") {
        return Ok(folder.count().checked_sub(1));
    }
    let number: Option<usize> = word.parse().ok();
    if let Some(number) = number.filter(|number| *number <= folder.count()) {
        return Ok(number.checked_sub(1));
    }
    let place = folder.place_of_uid(word).await;
    place.map_err(|error| StartError::Mailbox(folder.mailbox().to_owned(), error.into()))
}
