//! `mailconsole config`: the settings that hold and where each came from, or a sample of the config
//! file. Sets nothing.

mod listing;
mod sample;

use std::path::Path;

use clap::Args;

use crate::app::commands::config::listing::Listing;
use crate::console::setting::given::Given;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArguments {
    /// Write one JSON object: {"smtp-port":{"value":2525,"from":"flag"},...}
    #[arg(long, conflicts_with = "sample")]
    pub json: bool,
    /// Write a config file with every setting in a comment
    #[arg(long)]
    pub sample: bool,
}

const EXAMPLES: &str = "\
Every option of the servers is understood and counts as it would for them. Behind each setting stands \
where it came from: flag, the variable, FILE:LINE or default. Passwords other than --password are \
shown as ******.

Examples:
  mailconsole config --smtp-port 2525
  mailconsole config --json | jq '.\"smtp-port\"'
  mailconsole config --sample > ~/.config/mailconsole/config.toml";

impl ConfigArguments {
    /// What is to be printed: `given` are all settings that were given, `file` is the config file
    /// that was read.
    #[must_use]
    pub fn answer(&self, given: &Given, file: Option<&Path>) -> String {
        if self.sample {
            return sample::sample();
        }
        let listing = Listing::new(given, file);
        if self.json { listing.in_json() } else { listing.in_words() }
    }
}
