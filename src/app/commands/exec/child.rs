//! The command: started, told of our signals, and waited for.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::app::commands::exec::passed_signals::{PassedSignals, came_from_the_terminal};
use crate::app::commands::exec::variables::Variable;
use crate::app::error::StartError;
use crate::app::last_word;

/// Exit status if the command is there and cannot be executed, as shells have it.
const NOT_EXECUTABLE: u8 = 126;
/// Exit status if there is no such command.
const NOT_FOUND: u8 = 127;
/// What shells add to the number of the signal that has killed a command.
const KILLED: u8 = 128;

/// How the command ended, as our own exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended(u8);

impl Ended {
    /// The exit status.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    fn by_signal(number: i32) -> Self {
        Self(u8::try_from(number).map_or(u8::MAX, |number| KILLED.saturating_add(number)))
    }

    fn with(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, signal) => Self::by_signal(signal.unwrap_or_default()),
        }
    }
}

/// How many descriptors a process may have that raises no limit. The servers raise ours.
#[must_use]
pub fn descriptor_limit() -> Option<rlim_t> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Runs the command to its end. Whoever it leaves behind is neither waited for nor killed.
pub async fn run(
    command: &[OsString],
    variables: &[Variable],
    limit: Option<rlim_t>,
    signals: &mut PassedSignals,
) -> Result<Ended, StartError> {
    if let Some(signal) = signals.ended_already().await {
        return Ok(Ended::by_signal(signal as i32));
    }
    match with_limit(limit, || spawn(command, variables)) {
        Ok(child) => Ok(Ended::with(wait(child, signals).await?)),
        Err(error) => not_started(command, error),
    }
}

fn spawn(command: &[OsString], variables: &[Variable]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.spawn()
}

/// Does something under the limit that we were given. The command inherits it: programs that go
/// through all descriptors they could have would take long with ours.
pub fn with_limit<T>(limit: Option<rlim_t>, work: impl FnOnce() -> T) -> T {
    let ours = getrlimit(Resource::RLIMIT_NOFILE).ok();
    if let Some(((_, hard), limit)) = ours.zip(limit) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, limit, hard);
    }
    let done = work();
    if let Some((soft, hard)) = ours {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    done
}

async fn wait(mut child: Child, signals: &mut PassedSignals) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return status,
            signal = signals.next() => pass_on(&child, signal),
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    // There is no id once the command has been waited for, when another process may have it.
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id.filter(|_| !came_from_the_terminal(signal)) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

fn not_started(command: &[OsString], error: io::Error) -> Result<Ended, StartError> {
    let name = command.first().map(|program| program.display().to_string()).unwrap_or_default();
    let (ended, why) = match error.kind() {
        ErrorKind::NotFound => (NOT_FOUND, "there is no such command".to_owned()),
        // What the system lacks is no fault of the command.
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory => return Err(error.into()),
        _ => (NOT_EXECUTABLE, error.to_string()),
    };
    last_word::say(&format!("mailconsole: cannot execute {name}: {why}"));
    Ok(Ended(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_commands_or_that_of_its_signal() {
        assert_eq!(Ended::with(ExitStatus::from_raw(0)).code(), 0);
        assert_eq!(Ended::with(ExitStatus::from_raw(7 << 8)).code(), 7);
        assert_eq!(Ended::with(ExitStatus::from_raw(255 << 8)).code(), 255);
        assert_eq!(Ended::with(ExitStatus::from_raw(9)).code(), 137);
        assert_eq!(Ended::with(ExitStatus::from_raw(64)).code(), 192);
    }
}
