//! `mailconsole exec`: a command with servers of its own.

pub mod child;
pub mod passed_signals;
pub mod place;
pub mod variables;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use nix::sys::resource::rlim_t;

use crate::app::announcement::Announcement;
use crate::app::commands::exec::child::Ended;
use crate::app::commands::exec::passed_signals::PassedSignals;
use crate::app::commands::exec::place::Place;
use crate::app::commands::headless::{seed_line, warnings};
use crate::app::config::{Config, Port, Setup};
use crate::app::config_error::ConfigError;
use crate::app::error::{StartError, WRONG_USE};
use crate::app::event_writer::Reporting;
use crate::app::last_word;
use crate::app::servers::{Servers, runtime};
use crate::app::transcript::{MessageText, TranscriptWriter, with_transcript};
use crate::console::setting::given::{Given, Origin};
use crate::console::setting::table::row;
use crate::watch::event::{Passwords, Service};
use crate::watch::tally::Counts;

/// Exit status if the servers cannot run: the command has not begun.
const OWN_FAILURE: u8 = 125;

/// The transcript in a directory that is kept.
const TRANSCRIPT: &str = "transcript.log";

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole exec [OPTIONS] -- COMMAND [ARGUMENT]...")]
#[command(after_help = EXAMPLES)]
pub struct ExecArguments {
    /// The directory instead of a temporary one; it is created if it is missing, and stays
    #[arg(long, value_name = "DIR")]
    pub dir: Option<OsString>,
    /// If the command fails, keep the directory, with the conversations in transcript.log
    #[arg(long)]
    pub keep_on_failure: bool,
    /// The command, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Directory and ports are new ones unless given on this command line; the command finds them in \
MAILCONSOLE_DIR, SMTP_HOST, SMTP_PORT, SMTP_URL, POP3_HOST, POP3_PORT, POP3_URL, ECHO_HOST, \
ECHO_PORT, MAILCONSOLE_PASSWORD and, with TLS, MAILCONSOLE_CA.

The exit status is that of the command: 128 and N if signal N has killed it, 126 if it cannot be \
executed, 127 if there is none, and 125 if the servers cannot run.

Examples:
  mailconsole exec --profile catch -- pytest
  mailconsole exec --user bob --keep-on-failure -- npm test
  mailconsole exec --user bob -- mailconsole send --to bob@localhost --subject Hello";

/// Those of servers, which have free ones here.
const PORTS: [&str; 5] = ["echo-port", "smtp-port", "pop3-port", "smtps-port", "pop3s-port"];

/// Ports that environment and config file name are those of the user's usual servers, which may run
/// at the same time.
pub fn forget_ports(given: &mut Given) {
    for name in PORTS {
        given.remove(name);
    }
}

/// Chooses free ports where the command line, which has `given`, names none.
pub fn choose_ports(given: &mut Given) {
    let always = PORTS.iter().take(3).filter_map(|name| row(name));
    for row in always.filter(|row| !given.has(row.name)).collect::<Vec<_>>() {
        given.set(row, vec!["0".into()], Origin::Flag);
    }
}

/// The task.
#[derive(Debug)]
pub struct ExecTask {
    /// The servers. Where the mailboxes are is known when they are bound.
    config: Config,
    directory: Option<PathBuf>,
    keep_on_failure: bool,
    command: Vec<OsString>,
}

impl ExecArguments {
    /// The task.
    ///
    /// # Errors
    ///
    /// If the servers cannot be set up like that.
    pub fn task(self, setup: Setup) -> Result<ExecTask, ConfigError> {
        let options = &setup.options;
        let servers = [
            (Service::Echo, options.echo_port, "--echo-port"),
            (Service::Smtp, options.smtp_port, "--smtp-port"),
            (Service::Pop3, options.pop3_port, "--pop3-port"),
        ];
        let servers = servers.map(|(service, number, flag)| (service, Port { number, flag }));
        let has_tls_port = |service| match service {
            Service::Smtp => options.smtps_port.is_some(),
            _ => options.pop3s_port.is_some(),
        };
        let named = servers.map(|(service, _)| (service, has_tls_port(service)));
        let directory = self.dir.map(PathBuf::from);
        let mailboxes =
            setup.mailboxes(Some(directory.clone().unwrap_or_default()), "--dir DIR")?;
        let config = Config::new(setup, servers.to_vec(), Some(mailboxes))?;
        let mut config = config.without_screen()?;
        for (service, port) in &mut config.tls_ports {
            if !named.contains(&(*service, true)) {
                port.number = 0;
            }
        }
        // They end with the command, however long it uses none of them.
        config.exit_when_idle = None;
        let Self { keep_on_failure, command, .. } = self;
        Ok(ExecTask { config, directory, keep_on_failure, command })
    }
}

/// Runs the command with its servers.
pub fn run(task: ExecTask) -> Result<ExitCode, StartError> {
    match perform(task) {
        Err(error) if error.status() != WRONG_USE => {
            last_word::say(&format!("mailconsole: {error}"));
            Ok(ExitCode::from(OWN_FAILURE))
        }
        done => done,
    }
}

fn perform(task: ExecTask) -> Result<ExitCode, StartError> {
    let ExecTask { mut config, directory, keep_on_failure, command } = task;
    let runtime = runtime()?;
    // Before there is a directory: a signal must not end us while it is there.
    let mut signals = runtime.block_on(async { PassedSignals::new() })?;
    let place = Place::make(directory)?;
    if let Some(mailboxes) = &mut config.mailboxes {
        place.path().clone_into(&mut mailboxes.directory);
    }
    let (verbosity, passwords, records) =
        (config.verbosity, config.passwords, config.records.clone());
    let file = keep_on_failure.then(|| transcript_in(&place, &config)).transpose()?;
    let mut ended = None;
    let code = with_transcript(verbosity, passwords, &records, |observers| {
        let kept = file.iter().fold(observers, |all, file| all.and(Arc::clone(file) as _));
        let reporting = Reporting::start(&config)?;
        // Servers raise it, and the command is to have what we were given.
        let limit = child::descriptor_limit();
        let servers = Servers::bind(config, reporting.observers(kept), None)?;
        let work = serve_command(servers, &reporting, (&command, limit), &mut signals);
        let (status, counts) = runtime.block_on(work)?;
        ended = Some((status, counts));
        Ok(ExitCode::from(status.code()))
    })?;
    runtime.shutdown_background();
    if let Some(file) = file {
        file.finish();
    }
    if let Some((status, counts)) = ended {
        say_last(&conclusion(status, counts, place, keep_on_failure));
    }
    Ok(code)
}

fn transcript_in(place: &Place, config: &Config) -> Result<Arc<TranscriptWriter>, StartError> {
    let file = File::create(place.path().join(TRANSCRIPT));
    let file = file.map_err(|_| StartError::NotWritable(place.path().to_owned()))?;
    Ok(Arc::new(TranscriptWriter::start(MessageText::Summed, config.passwords, file)?))
}

async fn serve_command(
    servers: Servers,
    reporting: &Reporting,
    (command, limit): (&[OsString], Option<rlim_t>),
    signals: &mut PassedSignals,
) -> Result<(Ended, Counts), StartError> {
    for warning in warnings(&servers) {
        last_word::say(&format!("mailconsole: warning: {warning}"));
    }
    if let Some(line) = seed_line(servers.config()) {
        last_word::say(&line);
    }
    let variables = variables::of(&servers);
    let announcement = Announcement::of(&servers);
    let running = servers.serve()?;
    let _announced = announcement.publish()?;
    let socket = running.open_socket(reporting.log());
    let ended = child::run(command, &variables, limit, signals).await;
    tokio::select! {
        () = running.end() => {}
        _ = signals.end() => {}
    }
    reporting.close(socket).await;
    Ok((ended?, running.tally().counts()))
}

/// The last lines: what was counted, and which directory is kept, if it is.
fn conclusion(status: Ended, counts: Counts, place: Place, keep_on_failure: bool) -> String {
    let mut lines = format!("mailconsole: {}\n", summary(counts));
    let remark = match (status.code(), keep_on_failure) {
        (1.., true) => Some(format!("kept {}", place.keep().display())),
        _ => place.leave(keep_on_failure.then_some(TRANSCRIPT)),
    };
    lines.extend(remark.map(|remark| format!("mailconsole: {remark}\n")));
    lines
}

fn summary(counts: Counts) -> String {
    let Counts { messages, refused, faults, .. } = counts;
    let s = |number| if number == 1 { "" } else { "s" };
    let mut summary = format!("{messages} message{}, {refused} refused", s(messages));
    if faults > 0 {
        let _ = write!(summary, ", {faults} fault{} hit", s(faults));
    }
    summary
}

/// Writes to stderr however the command has left it: a pipe may be full, and not block.
fn say_last(lines: &str) {
    let stderr = TranscriptWriter::start(MessageText::Summed, Passwords::Masked, io::stderr());
    if let Ok(stderr) = stderr {
        let _ = stderr.log().write_all(lines.as_bytes());
        stderr.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts() {
        let summary = |messages, refused, faults| {
            summary(Counts { messages, refused, faults, ..Counts::default() })
        };
        assert_eq!(summary(12, 3, 0), "12 messages, 3 refused");
        assert_eq!(summary(1, 0, 1), "1 message, 0 refused, 1 fault hit");
        assert_eq!(summary(0, 1, 2), "0 messages, 1 refused, 2 faults hit");
    }
}
