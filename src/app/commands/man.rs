//! `mailconsole man`: pages of the manual.

use clap::Args;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArguments {
    /// The command; without it, the page of the whole program
    #[arg(value_name = "COMMAND", num_args = 0..=2)]
    pub command: Vec<String>,
}

const EXAMPLES: &str = "\
The page is written to stdout as roff.

Examples:
  mailconsole man | man -l -                  read the page of the program
  mailconsole man queue | man -l -            and that of a command
  mailconsole man queue > mailconsole-queue.1";
