//! What can be wrong with the command line, the environment and the config file.

use std::io;
use std::path::PathBuf;

use crate::console::keys::KeymapError;
use crate::mailroom::condition::ConditionError;
use crate::mailroom::query::QueryError;
use crate::store::since::NoMark;

/// Why what was written cannot be carried out: one sentence that names the option and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No directory was named.
    #[error("no directory of mailboxes is given: name it with {0}")]
    NoDirectory(&'static str),
    /// The config file cannot be read.
    #[error("cannot read the config file {0}: {1}")]
    FileUnreadable(PathBuf, #[source] io::Error),
    /// The config file cannot be understood.
    #[error("error in the config file {0}: {1}")]
    FileNotUnderstood(PathBuf, String),
    /// A line in the config file that is a rule, and cannot be read.
    #[error("{place}: {why}")]
    Line {
        /// The file and the line in it: `config.toml:3`.
        place: String,
        /// What is wrong, in several lines.
        why: String,
    },
    /// A smarthost's user without a password, or the other way round, or neither with a host.
    #[error("{given} is set without {missing}: set both or neither")]
    Half {
        /// What there is.
        given: &'static str,
        /// What is not there.
        missing: &'static str,
    },
    /// There is no place for a certificate authority.
    #[error(
        "there is no directory for a certificate authority: set XDG_DATA_HOME or HOME, or use \
         --tls-cert and --tls-key"
    )]
    NoDataHome,
    /// Keys that cannot be used.
    #[error("[keys] in the config file: {0}")]
    Keys(#[from] KeymapError),
    /// An order that names no entry.
    #[error(
        "no entry is named: give its ID (the first column of mailconsole queue), select entries with \
         --state, --domain, --sender, --older and so on, or use --all"
    )]
    NoEntry,
    /// Entries are named, and so are all.
    #[error("--all cannot be used with an ID: name the entries or use --all")]
    AllAndSome,
    /// Several entries are named, and only one can be shown.
    #[error("{0} is not a directory: name the directory and then the ID of one entry")]
    OneEntry(String),
    /// Passwords are to be shown and masked.
    #[error("--show-passwords cannot be used with --mask-passwords: choose one of them")]
    ShownAndMasked,
    /// Events are to be written where the console draws.
    #[error("--events - cannot be used with the console: name a FILE, or use --no-tui")]
    EventsOnScreen,
    /// A password that would be sent in the clear.
    #[error(
        "--smarthost-tls none cannot be used with --smarthost-user: passwords are only sent over TLS"
    )]
    PasswordInTheClear,
    /// Every client would be refused.
    #[error(
        "SMTP clients must log in, and --auth-mechanisms leaves no way to: name a mechanism such as \
         PLAIN, or write --auth offered"
    )]
    NobodyLogsIn,
    /// What is wanted of a check of a client is not understood.
    #[error("{0}")]
    Client(String),
    /// A page of the manual that there is not.
    #[error("{0}")]
    Page(String),
    /// A query that is not understood.
    #[error("{0}")]
    Query(#[from] QueryError),
    /// A condition that is not understood.
    #[error("{0}")]
    Condition(#[from] ConditionError),
    /// A value of an option of one sub-command.
    #[error("{option} wants {expected}, not {given:?}")]
    BadValue {
        /// Which option.
        option: &'static str,
        /// What may stand behind it.
        expected: &'static str,
        /// What stands there.
        given: String,
    },
    /// A word that is no mark.
    #[error("--since {0:?} is {1}")]
    Mark(String, NoMark),
    /// A default of the table of settings that its own setting cannot have.
    #[error("{0}")]
    Setting(String),
    /// Breakpoints without a screen need a limit.
    #[error(
        "--break needs --break-timeout where there is no screen: write --break-timeout 10m, and let \
         go what is held with mailconsole held"
    )]
    BreakWithoutTimeout,
}
