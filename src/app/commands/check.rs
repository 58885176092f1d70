//! `mailconsole check`: a fixed conversation with any server, or faults for any client.

pub mod client;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use crate::app::commands::check::client::{ClientArguments, ClientTask};
use crate::app::config::Setup;
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::last_word;
use crate::check::report::Steps;
use crate::check::{self, CheckError, Script, Verdict};
use crate::console::setting::value::Value;

/// Exit status if there is no connection: no reply was wrong.
const NOT_CONNECTED: u8 = 3;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CheckArguments {
    /// Whom to check, if not a server.
    #[command(subcommand)]
    pub other: Option<OtherArguments>,
    /// The conversation
    #[arg(value_name = "echo|smtp|pop3", value_parser = script(), required = true)]
    pub script: Option<Script>,
    /// The server's port [default: 10000, 2500 or 11000]
    #[arg(value_parser = u16::read)]
    pub port: Option<u16>,
    /// The server's host
    #[arg(long, default_value = "localhost")]
    pub host: String,
    /// Write one JSON object: whether all is right, and each step
    #[arg(long)]
    pub json: bool,
}

/// Something else to check.
#[derive(Debug, Subcommand)]
pub enum OtherArguments {
    /// Play faults to a mail client, and judge what it makes of them
    Client(ClientArguments),
}

const EXAMPLES: &str = "\
The exit status is 0 if every reply is right, 1 if any differs, and 3 if there is no connection. The \
conversations use the user linhphan with the password cis505; pop3 expects exactly the message that \
smtp leaves.

Examples:
  mailconsole check echo                      the server on port 10000 of this machine
  mailconsole check smtp 25 --host mx.example.org
  mailconsole check pop3 1110";

fn script() -> impl TypedValueParser<Value = Script> {
    PossibleValuesParser::new(Script::ALL.map(Script::name)).try_map(|name| {
        let script = Script::ALL.into_iter().find(|script| script.name() == name);
        script.ok_or_else(|| format!("there is no conversation {name}"))
    })
}

/// What `check` is to check, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The conversation to play.
    pub script: Script,
    /// The server's host, a name or an address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// Whether the answer is JSON.
    pub json: bool,
}

/// The task.
#[derive(Debug)]
pub enum CheckTask {
    /// A server.
    Server(Target),
    /// A client.
    Client(ClientTask),
}

impl CheckArguments {
    /// The task.
    ///
    /// # Errors
    ///
    /// Those of [`ClientArguments::task`].
    pub fn task(self, setup: Setup) -> Result<CheckTask, ConfigError> {
        if let Some(OtherArguments::Client(client)) = self.other {
            return Ok(CheckTask::Client(client.task(setup)?));
        }
        // clap demands one of the two.
        let script = self.script.unwrap_or(Script::ALL[0]);
        let port = self.port.unwrap_or(script.default_port());
        Ok(CheckTask::Server(Target { script, host: self.host, port, json: self.json }))
    }
}

/// Checks it.
pub fn run(task: CheckTask) -> Result<ExitCode, StartError> {
    match task {
        CheckTask::Server(target) => play(&target),
        CheckTask::Client(task) => client::run(task),
    }
}

/// Plays the conversation, with the verdicts on stdout.
fn play(target: &Target) -> Result<ExitCode, StartError> {
    let Target { script, host, port, json } = target;
    let played =
        if *json { in_json(target) } else { check::run(*script, host, *port, &mut io::stdout()) };
    match played {
        Ok(Verdict::Right) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::Off) => Ok(ExitCode::FAILURE),
        Err(error @ (CheckError::NoSuchHost { .. } | CheckError::NotConnected { .. })) => {
            last_word::say(&format!("mailconsole: {error}"));
            Ok(ExitCode::from(NOT_CONNECTED))
        }
        Err(error) => Err(StartError::Check(error)),
    }
}

/// Plays the conversation, and then writes what was said as one JSON object.
fn in_json(target: &Target) -> Result<Verdict, CheckError> {
    let Target { script, host, port, .. } = target;
    let mut steps = Steps::default();
    let played = check::run(*script, host, *port, &mut steps);
    let line = steps.in_json(script.name(), matches!(played, Ok(Verdict::Right)));
    // A closed stdout is no failure.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    played
}
