//! `mailconsole wait`: until messages have come.

mod watch;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::OsStringValueParser;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::app::commands::output::{Form, Output, Printed, unless_closed};
use crate::app::commands::wait::watch::Watch;
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::last_word;
use crate::app::mailboxes::open_for_messages;
use crate::mailroom::folder::Folder;
use crate::mailroom::query::{Query, between_slashes};
use crate::servers::units::Period;
use crate::store::directory::Directory;
use crate::store::since::Mark;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole wait DIR [USER] [QUERY]... [OPTIONS]")]
#[command(after_help = EXAMPLES)]
pub struct WaitArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// A user, and terms that all must match, as in mailconsole messages
    #[arg(value_name = "QUERY")]
    pub words: Vec<String>,
    /// Only messages that came after MARK (of mailconsole mark), or from now on
    #[arg(long, value_name = "MARK|now")]
    pub since: Option<String>,
    /// How many messages [default: 1]
    #[arg(long, value_name = "N")]
    pub count: Option<String>,
    /// How long: 500ms, 10s, 2m [default: 30s]
    // Elsewhere --timeout is a setting: one option cannot be of two types.
    #[arg(long, value_name = "TIME", value_parser = OsStringValueParser::new())]
    pub timeout: Option<OsString>,
    /// json, raw, text, html, path (of a new file), link or link=/EXPRESSION/, instead of a line
    #[arg(long, value_name = "FORM")]
    pub print: Option<String>,
}

const EXAMPLES: &str = "\
Prints the oldest messages that match. Needs no server. Exit status: 0 found, 1 time-out (stderr says \
what came instead) or nothing of the kind to print, 2 wrong use, 3 no such directory.

Examples:
  mailconsole wait mailtest \"to=linhphan subject~Welcome\" --timeout 10s
  mailconsole wait mailtest linhphan --since now --print link=/confirm/";

/// How long is waited without `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is waited for.
#[derive(Debug)]
pub struct WaitTask {
    directory: PathBuf,
    query: Arc<Query>,
    since: Option<Since>,
    count: NonZeroUsize,
    timeout: Duration,
    form: Form,
}

#[derive(Debug)]
enum Since {
    Now,
    Mark(Mark),
}

impl WaitArguments {
    /// The task.
    pub fn task(self) -> Result<WaitTask, ConfigError> {
        let bad = |option, expected| move |given| ConfigError::BadValue { option, expected, given };
        let not_a_count = bad("--count", "a number of messages, from 1");
        let not_a_time = bad("--timeout", "a time of at most 24h such as 20ms, 5s, 2m or 1h");
        Ok(WaitTask {
            directory: self.directory,
            query: Arc::new(Query::of_words(&self.words)?),
            since: self.since.map(since).transpose()?,
            count: match self.count {
                None => NonZeroUsize::MIN,
                Some(count) => count.parse().map_err(|_| not_a_count(count))?,
            },
            timeout: match self.timeout {
                None => TIMEOUT,
                Some(time) => {
                    let time = time.to_string_lossy().into_owned();
                    time.parse::<Period>().map_err(|_| not_a_time(time))?.0
                }
            },
            form: self.print.map_or(Ok(Form::Line), form)?,
        })
    }
}

fn since(word: String) -> Result<Since, ConfigError> {
    if word == "now" {
        return Ok(Since::Now);
    }
    word.parse().map(Since::Mark).map_err(|error| ConfigError::Mark(word, error))
}

fn form(given: String) -> Result<Form, ConfigError> {
    if let Some(expression) = given.strip_prefix("link=") {
        return Ok(Form::Link(Some(between_slashes(expression)?)));
    }
    Ok(match given.as_str() {
        "json" => Form::Json,
        "raw" => Form::Raw,
        "text" => Form::Text,
        "html" => Form::Html,
        "path" => Form::Path,
        "link" => Form::Link(None),
        _ => {
            let expected = "json, raw, text, html, path, link or link=/EXPRESSION/";
            return Err(ConfigError::BadValue { option: "--print", expected, given });
        }
    })
}

/// Waits, and prints the messages on stdout.
pub fn run(task: WaitTask) -> Result<ExitCode, StartError> {
    let directory = open_for_messages(&task.directory)?;
    Runtime::new()?.block_on(async {
        let waited = wait(&directory, task).await;
        directory.close().await;
        unless_closed(waited, ExitCode::SUCCESS)
    })
}

async fn wait(directory: &Directory, task: WaitTask) -> Result<ExitCode, StartError> {
    let deadline = Instant::now() + task.timeout;
    let WaitTask { query, count, form, timeout, .. } = task;
    let mark = match task.since {
        None => None,
        Some(Since::Mark(mark)) => Some(mark),
        Some(Since::Now) => {
            let path = directory.path().display().to_string();
            let mark = directory.mark().await;
            Some(mark.map_err(|error| StartError::Mailbox(path, error.into()))?)
        }
    };
    let mut watch = Watch::new(directory.clone(), query, mark);
    if !watch.wait_for(count.get(), deadline).await {
        tell(&watch, count.get(), timeout).await;
        return Ok(ExitCode::FAILURE);
    }
    print(watch.oldest(count.get()), &form).await
}

async fn print(messages: Vec<(Folder, usize)>, form: &Form) -> Result<ExitCode, StartError> {
    let (mut output, mut code) = (Output::default(), ExitCode::SUCCESS);
    for (folder, place) in messages {
        if let Printed::Nothing(why) = output.print(&folder, place, form).await? {
            last_word::say(&format!("mailconsole: {why}"));
            code = ExitCode::FAILURE;
        }
    }
    output.finish()?;
    Ok(code)
}

/// Says on stderr what came instead.
async fn tell(watch: &Watch, wanted: usize, timeout: Duration) {
    let found = watch.found();
    let of = if wanted == 1 { String::new() } else { format!(" ({found} of {wanted})") };
    let what = if found == 0 { "no message matches" } else { "too few messages match" };
    last_word::say(&format!("mailconsole: {what} after {timeout:?}{of}; {}", watch.summary()));
    for line in watch.others().await {
        last_word::say(&format!("  {line}"));
    }
}
