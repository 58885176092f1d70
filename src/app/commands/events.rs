//! `mailconsole events`: what has happened on the servers of a directory.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::app::commands::stop::found;
use crate::app::config::Setup;
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::control::client::{AskError, Object, Server};
use crate::control::event_json::SCHEMA;
use crate::control::event_words::words;
use crate::control::since::since_of;

/// Lines that may wait to be printed.
const WAITING: usize = 64;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EventsArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Go on with what happens, until the server stops
    #[arg(long)]
    pub follow: bool,
    /// Begin there: now, a mark of `mailconsole mark`, or a time
    #[arg(long, value_name = "MARK", value_parser = is_since)]
    pub since: Option<String>,
    /// Write JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Print the JSON Schema of the objects
    #[arg(long)]
    pub schema: bool,
}

const EXAMPLES: &str = "\
A server keeps its last 10,000 events. Exit status: 0 done, 3 no server, or no such DIR.

Examples:
  mailconsole events mailtest --follow --since now
  mailconsole events mailtest --json | jq -r 'select(.event==\"stored\").subject'
  mailconsole events --schema";

fn is_since(text: &str) -> Result<String, String> {
    since_of(text).map(|_| text.to_owned())
}

/// What is to be printed.
#[derive(Debug)]
pub enum EventsTask {
    /// The schema.
    Schema,
    /// The events of the servers on a directory.
    Of {
        /// The directory.
        directory: PathBuf,
        /// What the servers are asked.
        request: Value,
        /// Whether to wait for more.
        follow: bool,
        /// Whether as JSON.
        json: bool,
    },
}

impl EventsArguments {
    /// What is to be printed.
    pub fn task(self, setup: &Setup) -> Result<EventsTask, ConfigError> {
        if self.schema {
            return Ok(EventsTask::Schema);
        }
        let Self { follow, since, json, .. } = self;
        let directory = setup.directory(self.directory)?;
        let request = json!({"do": "events", "since": since, "follow": follow});
        Ok(EventsTask::Of { directory, request, follow, json })
    }
}

/// Prints it.
pub fn run(task: &EventsTask) -> Result<ExitCode, StartError> {
    match task {
        EventsTask::Schema => {
            // A closed stdout is no failure.
            let _ = io::stdout().lock().write_all(SCHEMA.as_bytes());
        }
        EventsTask::Of { directory, request, follow, json } => {
            let printer = Printer { json: *json };
            Runtime::new()?.block_on(print(directory, request, *follow, &printer))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn print(
    directory: &Path,
    request: &Value,
    follow: bool,
    printer: &Printer,
) -> Result<(), StartError> {
    let mut asked = Vec::new();
    for mut server in found(directory).await? {
        match server.ask(request).await {
            Ok(_) => asked.push(server),
            Err(AskError::Io(_)) => {}
            Err(error) => return Err(StartError::Server(format!("no events: {error}"))),
        }
    }
    if asked.is_empty() {
        return Err(StartError::NoServer(directory.to_owned()));
    }
    if follow {
        printer.follow(asked).await;
    } else {
        printer.print_all(asked).await;
    }
    Ok(())
}

struct Printer {
    json: bool,
}

impl Printer {
    /// Prints the events as they come, until all servers have stopped or nobody reads.
    async fn follow(&self, servers: Vec<Server>) {
        let (give, mut taken) = mpsc::channel(WAITING);
        for mut server in servers {
            let give = give.clone();
            tokio::spawn(async move {
                while let Ok(Some(line)) = server.line().await {
                    if give.send(line).await.is_err() {
                        return;
                    }
                }
            });
        }
        drop(give);
        while let Some(line) = taken.recv().await {
            if self.print(&line).is_err() {
                return;
            }
        }
    }

    /// Prints what the servers keep, by time. A server keeps a limited number.
    async fn print_all(&self, servers: Vec<Server>) {
        let mut lines = Vec::new();
        for mut server in servers {
            while let Ok(Some(line)) = server.line().await {
                lines.push((time_of(&line), line));
            }
        }
        // The order of one server's events stays: their times never go back.
        lines.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (_, line) in lines {
            if self.print(&line).is_err() {
                return;
            }
        }
    }

    /// Prints a line, and flushes it whole.
    fn print(&self, line: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            stdout.write_all(line.as_bytes())?;
        } else if let Some(event) = object(line) {
            stdout.write_all(format!("{}\n", words(&event)).as_bytes())?;
        }
        stdout.flush()
    }
}

fn object(line: &str) -> Option<Object> {
    serde_json::from_str(line).ok()
}

/// When it happened. The form of all times is the same, so that they are in the order of their text.
fn time_of(line: &str) -> String {
    let at = object(line).and_then(|event| Some(event.get("at")?.as_str()?.to_owned()));
    at.unwrap_or_default()
}
