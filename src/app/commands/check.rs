//! `mailconsole check`: a fixed conversation with any server.

use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::app::error::StartError;
use crate::app::last_word;
use crate::check::{self, CheckError, Script, Verdict};

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
    pub port: Option<u16>,
    /// The server's host
    #[arg(long, default_value = "localhost")]
    pub host: String,
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
}

impl From<CheckArguments> for Target {
    fn from(check: CheckArguments) -> Self {
        let port = check.port.unwrap_or(check.script.default_port());
        Self { script: check.script, host: check.host, port }
    }
}

/// Plays the conversation, with the verdicts on stdout.
pub fn run(target: &Target) -> Result<ExitCode, StartError> {
    let Target { script, host, port } = target;
    match check::run(*script, host, *port, &mut std::io::stdout()) {
        Ok(Verdict::Right) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::Off) => Ok(ExitCode::FAILURE),
        Err(error @ (CheckError::NoSuchHost { .. } | CheckError::NotConnected { .. })) => {
            last_word::say(&format!("mailconsole: {error}"));
            Ok(ExitCode::from(NOT_CONNECTED))
        }
        Err(error) => Err(StartError::Check(error)),
    }
}
