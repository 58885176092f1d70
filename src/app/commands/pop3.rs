//! `mailconsole pop3`: the POP3 server alone.

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
pub struct Pop3Arguments {
    /// Port to listen on; 0 lets the system choose [default: 11000]
    #[arg(short, long, value_parser = u16::read)]
    pub port: Option<u16>,
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  mailconsole pop3 mailtest                   listen on port 11000
  mailconsole pop3 -p 1110 -vv mailtest       another port, transcript with message text
  mailconsole pop3 --idle 60 mailtest         close connections after a minute without input";

impl Pop3Arguments {
    /// What is to be served.
    pub fn config(self, setup: Setup) -> Result<Config, ConfigError> {
        let port = self.port.unwrap_or(setup.options.pop3_port);
        let mailboxes = setup.mailboxes(self.directory, AFTER)?;
        Config::new(setup, vec![(Service::Pop3, headless::alone(port))], Some(mailboxes))
    }
}
