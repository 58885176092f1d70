//! The arguments of `mailconsole queue`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::OsStringValueParser;
use clap::{Args, Subcommand};

use crate::relay::selection::State;
use crate::servers::units::Size;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole queue [--summary] [--json] [SELECTION] DIR\n       \
                            mailconsole queue show [--raw] [DIR] ID [--dir DIR]\n       \
                            mailconsole queue retry|hold|release|drop [DIR] ID...|-|SELECTION|--all \
                            [--dir DIR]")]
#[command(after_help = BRIEF, after_long_help = EXAMPLES, disable_help_subcommand = true)]
pub struct QueueArguments {
    /// What to do with entries. Without it, they are listed.
    #[command(subcommand)]
    pub order: Option<OrderArguments>,
    /// Write JSON, one object per line
    #[arg(long)]
    pub json: bool,
    /// Count recipients by domain and age, and by reason
    #[arg(long)]
    pub summary: bool,
    /// Which recipients are meant.
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
An ID is the first column of the list and stands for all recipients of the entry; ID/ADDRESS is one \
of them; - reads IDs from stdin, one per line, and skips those that have left the queue. The \
directory comes before the IDs or is given with --dir. A SELECTION is any of --state, --domain, \
--sender, --older, --newer, --larger, --smaller and --reason; recipients must match all of them.

Examples:
  mailconsole queue mailtest --state failed --domain example.org --older 1d
  mailconsole queue --dir mailtest retry 68ca9f30-2b1f-0/bob@example.org
  mailconsole queue mailtest --json | jq -r .id | mailconsole queue hold mailtest -";

const BRIEF: &str = "\
A SELECTION is any of --state, --domain, --sender, --older, --newer, --larger, --smaller and --reason.";

const SELECTION: &str = "Selection";

/// Which recipients of the queue are meant, by their properties.
#[derive(Debug, Default, Args)]
pub struct SelectionArguments {
    /// pending, deferred (pending and tried), failed or held; several with commas
    #[arg(
        long,
        value_name = "STATE",
        value_delimiter = ',',
        global = true,
        hide_short_help = true
    )]
    #[arg(help_heading = SELECTION)]
    pub state: Vec<StateWord>,
    /// Recipients at this domain; several with commas
    // Everywhere else --domain is a setting: one option cannot be of two types.
    #[arg(long, value_name = "DOMAIN", value_parser = OsStringValueParser::new(), global = true, hide_short_help = true)]
    #[arg(help_heading = SELECTION)]
    pub domain: Option<OsString>,
    /// Mail of this sender; <> for notifications
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true,
        hide_short_help = true
    )]
    #[arg(help_heading = SELECTION)]
    pub sender: Vec<String>,
    /// Queued at least this long ago: 90s, 30m, 12h, 1d, 2w
    #[arg(long, value_name = "AGE", global = true, hide_short_help = true, help_heading = SELECTION)]
    pub older: Option<Age>,
    /// Queued less than this long ago
    #[arg(long, value_name = "AGE", global = true, hide_short_help = true, help_heading = SELECTION)]
    pub newer: Option<Age>,
    /// Messages of at least this size; K, M and G are understood
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, help_heading = SELECTION)]
    pub larger: Option<Size>,
    /// Messages below this size
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, help_heading = SELECTION)]
    pub smaller: Option<Size>,
    /// The last reply contains this text
    #[arg(long, value_name = "TEXT", global = true, hide_short_help = true, help_heading = SELECTION)]
    pub reason: Option<String>,
}

/// What an operator calls the state of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateWord(pub State);

impl FromStr for StateWord {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let state = State::ALL.into_iter().find(|state| state.word() == text);
        state.map(Self).ok_or("write pending, deferred, failed or held")
    }
}

/// How long ago: `90s`, `30m`, `12h`, `1d`, `2w`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "write an age such as 90s, 30m, 12h, 1d or 2w";
        let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
        let unit: u64 = match text.get(digits.len()..).unwrap_or_default() {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(WRONG),
        };
        let number: u64 = digits.parse().map_err(|_| WRONG)?;
        number.checked_mul(unit).map(|seconds| Self(Duration::from_secs(seconds))).ok_or(WRONG)
    }
}

/// What to do with entries of the queue.
#[derive(Debug, Subcommand)]
pub enum OrderArguments {
    /// Try again in the next run, including what failed or is held
    #[command(
        after_help = "Examples:\n  mailconsole queue retry mailtest --all\n  mailconsole queue retry mailtest 68ca9f30-2b1f-0/bob@example.org"
    )]
    Retry(Entries),
    /// Do not try again until released
    #[command(
        after_help = "Examples:\n  mailconsole queue hold mailtest 68ca9f30-2b1f-0\n  mailconsole queue hold mailtest --domain example.org"
    )]
    Hold(Entries),
    /// Try again what is held
    #[command(
        after_help = "Examples:\n  mailconsole queue release mailtest --state held\n  mailconsole queue release mailtest 68ca9f30-2b1f-0"
    )]
    Release(Entries),
    /// Remove from the queue for good
    #[command(
        after_help = "Examples:\n  mailconsole queue drop mailtest --state failed --older 1w\n  mailconsole queue drop mailtest 68ca9f30-2b1f-0"
    )]
    Drop(Entries),
    /// Show an entry: its envelope, every attempt and the message
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Write only the message, octet for octet
        #[arg(long)]
        raw: bool,
        /// The directory of the mailboxes, unless --dir gives it, and the ID of the entry
        #[arg(value_name = "[DIR] ID", required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
}

/// Which entries are named.
#[derive(Debug, Args)]
pub struct Entries {
    /// Everything in the queue, or everything that matches the selection
    #[arg(long)]
    pub all: bool,
    /// The directory of the mailboxes, unless --dir gives it, and the IDs of entries, or ID/ADDRESS,
    /// or - for IDs from stdin
    #[arg(value_name = "[DIR] ID")]
    pub words: Vec<String>,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  mailconsole queue show mailtest 68ca9f30-2b1f-0
  mailconsole queue show --raw mailtest 68ca9f30-2b1f-0 > message.eml";
