//! `mailconsole status`: what runs on a directory, and what is in it.

mod summary;
mod wait;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::app::commands::queue::words::print;
use crate::app::commands::status::summary::Summary;
use crate::app::commands::status::wait::Arrivals;
use crate::app::commands::stop::found;
use crate::app::config::{AFTER, Setup};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::mailboxes::{Mailboxes, open_as_it_is};
use crate::control::client::{Object, servers};
use crate::servers::units::Period;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// Wait until a server is ready, at most this long (5s, 2m); DIR may be still to come
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Period>,
}

const EXAMPLES: &str = "\
Exit status: 0 a server runs, 1 none does, 3 there is no such DIR.

Examples:
  mailconsole status mailtest
  mailconsole status mailtest --wait 10s
  mailconsole status mailtest --json | jq .servers[0].ports.smtp";

/// What is to be said.
#[derive(Debug)]
pub struct Asked {
    mailboxes: Mailboxes,
    json: bool,
    wait: Option<Duration>,
}

impl StatusArguments {
    /// What is to be said.
    pub fn asked(self, setup: &Setup) -> Result<Asked, ConfigError> {
        let mailboxes = setup.mailboxes(self.directory, AFTER)?.for_queue();
        Ok(Asked { mailboxes, json: self.json, wait: self.wait.map(|Period(time)| time) })
    }
}

/// Says it on stdout.
pub fn run(asked: &Asked) -> Result<ExitCode, StartError> {
    let directory = asked.mailboxes.directory.as_path();
    Runtime::new()?.block_on(async {
        let running = match asked.wait {
            Some(most) => match timeout(most, first_ready(directory)).await {
                Ok(running) => running?,
                Err(_) => return Ok(not_in_time(directory, most)),
            },
            None => running(directory).await?,
        };
        let is_running = !running.is_empty();
        let summary = Summary::of(running, &open_as_it_is(&asked.mailboxes)?).await;
        let text = if asked.json { summary.json() } else { summary.words() };
        print(text.as_bytes());
        Ok(if is_running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn not_in_time(directory: &Path, most: Duration) -> ExitCode {
    let (path, seconds) = (directory.display(), most.as_secs_f64());
    eprintln!("mailconsole: no server has become ready on {path} within {seconds} s");
    ExitCode::FAILURE
}

/// What the servers say that run there now.
pub(super) async fn running(directory: &Path) -> Result<Vec<Object>, StartError> {
    let mut running = Vec::new();
    for mut server in found(directory).await? {
        match server.ask(&json!({"do": "status"})).await {
            Ok(status) => running.push(status),
            Err(error) => {
                let process = server.process().unwrap_or_default();
                eprintln!("mailconsole: warning: the server with pid {process}: {error}");
            }
        }
    }
    Ok(running)
}

/// The same, as soon as there is one. A server makes its socket when it is ready.
async fn first_ready(directory: &Path) -> Result<Vec<Object>, StartError> {
    let mut arrivals = Arrivals::of(directory)?;
    loop {
        // Listens first, so that a socket that comes during the look is noticed.
        arrivals.listen();
        if servers(directory).await.is_ok_and(|servers| !servers.is_empty()) {
            let running = running(directory).await?;
            if !running.is_empty() {
                return Ok(running);
            }
        }
        arrivals.next().await;
    }
}
