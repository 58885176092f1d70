//! `mailconsole check`: a fixed conversation with any server.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::app::error::StartError;
use crate::app::last_word;
use crate::check::report::Steps;
use crate::check::{self, CheckError, Script, Verdict};
use crate::console::setting::value::Value;

/// Exit status if there is no connection: no reply was wrong.
const NOT_CONNECTED: u8 = 3;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArguments {
    /// The conversation
    #[arg(value_name = "echo|smtp|pop3", value_parser = script())]
    pub script: Script,
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

impl From<CheckArguments> for Target {
    fn from(check: CheckArguments) -> Self {
        let port = check.port.unwrap_or(check.script.default_port());
        Self { script: check.script, host: check.host, port, json: check.json }
    }
}

/// Plays the conversation, with the verdicts on stdout.
pub fn run(target: &Target) -> Result<ExitCode, StartError> {
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
