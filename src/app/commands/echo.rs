//! `mailconsole echo`: the echo server alone.

use clap::Args;

use crate::app::commands::headless;
use crate::app::config::{Config, Setup};
use crate::app::config_error::ConfigError;
use crate::console::setting::value::Value;
use crate::watch::event::Service;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EchoArguments {
    /// Port to listen on; 0 lets the system choose [default: 10000]
    #[arg(short, long, value_parser = u16::read)]
    pub port: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  mailconsole echo                            listen on port 10000
  mailconsole echo -p 7000 -v                 another port, transcript on stderr
  mailconsole echo --dir D                    can be asked and told by status, stop, events, fault, held
  mailconsole echo --author \"Ada Lovelace / ada\" -a";

impl EchoArguments {
    /// What is to be served.
    pub fn config(self, setup: Setup) -> Result<Config, ConfigError> {
        let port = self.port.unwrap_or(setup.options.echo_port);
        Config::new(setup, vec![(Service::Echo, headless::alone(port))], None)
    }
}
