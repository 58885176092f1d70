//! `mailconsole stop`: ends the servers on a directory, and waits until they are gone.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::app::commands::queue::words::print;
use crate::app::error::StartError;
use crate::control::client::{Server, servers};

/// How long a server may take to end: it first finishes what it has begun.
const PATIENCE: Duration = Duration::from_mins(1);

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StopArguments {
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Exit status: 0 they are gone, 1 one did not end within a minute, 3 there is no server, or no DIR.

Examples:
  mailconsole stop mailtest                   as SIGTERM does, and wait
  mailconsole stop --dir mailtest";

/// A server that was asked to end.
struct Ending {
    server: Server,
    /// What tells when its process has gone; `None` if we cannot see it.
    process: Option<OwnedFd>,
    name: String,
}

/// Ends all servers on the directory.
pub fn run(directory: &Path) -> Result<ExitCode, StartError> {
    Runtime::new()?.block_on(async {
        let mut ending = Vec::new();
        for server in found(directory).await? {
            ending.extend(ask(server).await?);
        }
        if ending.is_empty() {
            return Err(StartError::NoServer(directory.to_owned()));
        }
        for one in ending {
            let name = one.name.clone();
            let gone = timeout(PATIENCE, one.gone()).await;
            gone.map_err(|_| StartError::Server(format!("{name} has not ended within a minute")))?;
            print(format!("stopped: {name}\n").as_bytes());
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The servers on a directory that exists; there may be none.
pub(super) async fn found(directory: &Path) -> Result<Vec<Server>, StartError> {
    servers(directory).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            StartError::NoSuchDirectory(directory.to_owned())
        }
        _ => error.into(),
    })
}

/// Asks a server to end. `None` if it has gone by itself meanwhile.
async fn ask(mut server: Server) -> Result<Option<Ending>, StartError> {
    use crate::control::client::AskError;
    // Before it is asked: later its number may be another's.
    let pid = server.process().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    match server.ask(&json!({"do": "stop"})).await {
        Ok(answer) => {
            let pid = answer.get("pid").map_or_else(|| "unknown".to_owned(), ToString::to_string);
            Ok(Some(Ending { server, process, name: format!("pid {pid}") }))
        }
        Err(AskError::Io(_)) => Ok(None),
        Err(error) => {
            let pid = pid.map_or(0, Pid::as_raw_pid);
            Err(StartError::Server(format!("the server with pid {pid} cannot be stopped: {error}")))
        }
    }
}

impl Ending {
    /// Waits until its process has gone.
    async fn gone(mut self) {
        // The connection ends with the process, which may still have a moment to live then.
        self.server.closed().await;
        if let Some(process) = self.process {
            let ended = tokio::task::spawn_blocking(move || wait_for(&process));
            let _ = ended.await;
        }
    }
}

fn wait_for(process: &OwnedFd) {
    let most = Timespec { tv_sec: 60, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&most));
}
