//! `mailconsole smtp`: the SMTP server alone.

use std::path::PathBuf;

use clap::Args;

use crate::app::commands::headless;
use crate::app::config::{AFTER, Config, Setup};
use crate::app::config_error::ConfigError;
use crate::console::setting::value::Value;
use crate::watch::event::Service;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SmtpArguments {
    /// Port to listen on; 0 lets the system choose [default: 2500]
    #[arg(short, long, value_parser = u16::read)]
    pub port: Option<u16>,
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
With --relay-every, the options of `mailconsole relay` apply too.

Examples:
  mailconsole smtp mailtest                   listen on port 2500
  mailconsole smtp -p 2525 -v mailtest        another port, transcript on stderr
  mailconsole smtp --user linhphan mailtest   create the mailbox if it is missing";

impl SmtpArguments {
    /// What is to be served.
    pub fn config(self, setup: Setup) -> Result<Config, ConfigError> {
        let port = self.port.unwrap_or(setup.options.smtp_port);
        let mailboxes = setup.mailboxes(self.directory, AFTER)?;
        Config::new(setup, vec![(Service::Smtp, headless::alone(port))], Some(mailboxes))
    }
}
