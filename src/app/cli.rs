//! The command line and its words. Knows no defaults and decides nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Deserialize;

use crate::check::Script;
use crate::console::keys::{Key, NoKey};
use crate::console::state::appearance::Palette;
use crate::relay::route::{NextHop, SmarthostTls};
use crate::relay::selection::State;
use crate::servers::units::{Network, Size};

/// Echo, SMTP and POP3 servers over plain mbox files, and a console that shows what they do
#[derive(Debug, Parser)]
#[command(name = "mailconsole", version, args_conflicts_with_subcommands = false)]
#[command(after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Which part of the program is meant; all of it, if none is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What may stand before and after the sub-command.
    #[command(flatten)]
    pub options: Options,
}

const AFTER_HELP: &str = "\
Without a sub-command all three servers run on one directory of mailboxes, on a full-screen \
console or, with --no-tui, without a screen.

Every option but -v and -a may also stand in the environment (MAILCONSOLE_SMTP_PORT=2525) and in the config \
file (smtp-port = 2525); a flag counts before the environment, and the environment before the \
file. The config file can also change the keys of the console: [keys] quit = \"Q\".

Examples:
  mailconsole --dir mailtest                          the console, which says how to begin
  mailconsole init mailtest linhphan                  a directory with a mailbox
  mailconsole --dir mailtest --no-tui -v              the same servers, transcript on stderr
  mailconsole smtp -p 2525 mailtest                   the SMTP server alone
  mailconsole relay mailtest                          send what waits for other domains
  mailconsole queue mailtest                          what waits, and why
  mailconsole queue hold ID --dir mailtest            keep an entry from being sent";

/// A part of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The echo server alone
    Echo {
        /// Port to listen on; 0 lets the system choose [default: 10000]
        #[arg(short, long)]
        port: Option<u16>,
    },
    /// The SMTP server alone
    Smtp {
        /// Port to listen on; 0 lets the system choose [default: 2500]
        #[arg(short, long)]
        port: Option<u16>,
        /// The directory of the mailboxes
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// The POP3 server alone
    Pop3 {
        /// Port to listen on; 0 lets the system choose [default: 11000]
        #[arg(short, long)]
        port: Option<u16>,
        /// The directory of the mailboxes
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Send the mail that waits in DIR/mqueue for other domains, once; exit status 75 if any is left
    Relay {
        /// Keep running, and try so often what is due
        #[arg(long, value_name = "SECONDS")]
        every: Option<Seconds>,
        /// Send only what is named: recipients at a domain, an entry by its ID, or what a sender has
        /// sent; may be given several times
        #[arg(long, value_name = "DOMAIN|ID|SENDER", value_delimiter = ',')]
        only: Vec<String>,
        /// The directory of the mailboxes
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// List the mail that waits in DIR/mqueue, or give orders about it
    Queue(Queue),
    /// Play a fixed conversation against any server, and say what differs; exit status 1 if anything
    /// does, 3 if there is no connection
    Check(Check),
    /// Make a directory, and mailboxes in it; what is there is left as it is
    Init {
        /// The directory, unless --dir names it, and users
        #[arg(value_name = "[DIR] USER")]
        words: Vec<String>,
    },
}

/// What `queue` is to do.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole queue [--summary] [--json] [CHOICE] DIR\n       \
                            mailconsole queue show [--raw] [DIR] ID [--dir DIR]\n       \
                            mailconsole queue retry|hold|release|drop [DIR] ID...|-|CHOICE|--all \
                            [--dir DIR]")]
#[command(after_help = QUEUE_AFTER_HELP)]
pub struct Queue {
    /// What to do with entries; the list is shown, if nothing is.
    #[command(subcommand)]
    pub order: Option<QueueOrder>,
    /// Write JSON: one object a line, for each recipient or, with --summary, for each row
    #[arg(long)]
    pub json: bool,
    /// Count recipients by domain and age, and by reason
    #[arg(long)]
    pub summary: bool,
    /// Which recipients are meant.
    #[command(flatten)]
    pub choice: Choice,
    /// The domain that was given behind the sub-command, where it means that of recipients.
    #[arg(skip)]
    pub domain: Option<String>,
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const QUEUE_AFTER_HELP: &str = "\
An ID is the first column of the list and means all recipients of the entry; ID/ADDRESS means one \
of them; - reads such words from stdin, one a line, and passes over those that are gone. The \
directory stands before the IDs or is named with --dir. A CHOICE is any of --state, --domain, \
--sender, --older, --newer, --larger, --smaller and --reason: what fits all of them is meant.

Examples:
  mailconsole queue mailtest
  mailconsole queue mailtest --state failed --domain example.org --older 1d
  mailconsole queue mailtest --summary
  mailconsole queue show mailtest 68ca9f30-2b1f-0
  mailconsole queue hold mailtest 68ca9f30-2b1f-0
  mailconsole queue --dir mailtest retry 68ca9f30-2b1f-0/bob@example.org
  mailconsole queue drop mailtest --state failed --reason \"no such user\"
  mailconsole queue mailtest --json | jq -r .id | mailconsole queue hold mailtest -";

/// Which recipients of the queue are meant, by what they are like.
#[derive(Debug, Default, Args)]
pub struct Choice {
    /// Those that are pending, deferred (pending, and tried), failed or held; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', global = true)]
    #[arg(help_heading = CHOICE)]
    pub state: Vec<StateWord>,
    /// Those of this sender; <> for notifications
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', global = true)]
    #[arg(help_heading = CHOICE)]
    pub sender: Vec<String>,
    /// Those queued at least so long ago: 90s, 30m, 12h, 1d, 2w
    #[arg(long, value_name = "AGE", global = true, help_heading = CHOICE)]
    pub older: Option<Age>,
    /// Those queued less long ago
    #[arg(long, value_name = "AGE", global = true, help_heading = CHOICE)]
    pub newer: Option<Age>,
    /// Those of messages of at least this size; K, M and G are understood
    #[arg(long, value_name = "SIZE", global = true, help_heading = CHOICE)]
    pub larger: Option<Size>,
    /// Those of smaller messages
    #[arg(long, value_name = "SIZE", global = true, help_heading = CHOICE)]
    pub smaller: Option<Size>,
    /// Those with this in the last reply
    #[arg(long, value_name = "TEXT", global = true, help_heading = CHOICE)]
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
pub enum QueueOrder {
    /// Try again in the next run, also what failed or is held
    Retry(Picked),
    /// Try no more until it is released
    Hold(Picked),
    /// Let what is held be tried again
    Release(Picked),
    /// Remove from the queue for good
    Drop(Picked),
    /// Show an entry: its envelope, every attempt, and the message
    Show {
        /// Write the message alone, octet for octet
        #[arg(long)]
        raw: bool,
        /// The directory of the mailboxes, unless --dir names it, and the id of the entry
        #[arg(value_name = "[DIR] ID", required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
}

/// With which entries.
#[derive(Debug, Args)]
pub struct Picked {
    /// All that is in the queue, or all of the choice
    #[arg(long)]
    pub all: bool,
    /// The directory of the mailboxes, unless --dir names it, and the ids of entries, or ID/ADDRESS,
    /// or - for ids from stdin
    #[arg(value_name = "[DIR] ID")]
    pub words: Vec<String>,
}

/// What `check` is to check.
#[derive(Debug, Args)]
pub struct Check {
    /// The conversation to play
    #[arg(value_name = "echo|smtp|pop3", value_parser = script())]
    pub script: Script,
    /// The server's port [default: 10000, 2500 or 11000]
    pub port: Option<u16>,
    /// The server's host
    #[arg(long, default_value = "localhost")]
    pub host: String,
}

fn script() -> impl TypedValueParser<Value = Script> {
    PossibleValuesParser::new(Script::ALL.map(Script::name)).try_map(|name| {
        let script = Script::ALL.into_iter().find(|script| script.name() == name);
        script.ok_or_else(|| format!("{name} is no conversation"))
    })
}

/// Everything that can be set, by a flag, in the environment or in the config file.
#[derive(Debug, Default, Args, Deserialize)]
#[expect(clippy::doc_markdown, reason = "these sentences are the help text")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// The directory of the mailboxes
    #[arg(long, value_name = "DIR", env = "MAILCONSOLE_DIR", hide_env = true, global = true)]
    #[arg(help_heading = MAILBOXES)]
    pub dir: Option<PathBuf>,
    /// Make NAME.mbox if it is missing, and the directory too; may be given several times
    #[arg(long, value_name = "NAME", env = "MAILCONSOLE_USER", hide_env = true, global = true)]
    #[arg(value_delimiter = ',', help_heading = MAILBOXES)]
    pub user: Vec<String>,
    /// The password of every user [default: cis505]
    #[arg(long, env = "MAILCONSOLE_PASSWORD", hide_env = true, global = true, help_heading = MAILBOXES)]
    pub password: Option<String>,
    /// The domain whose mailboxes these are [default: localhost]; behind queue, the domain of the
    /// recipients that are meant
    #[arg(long, env = "MAILCONSOLE_DOMAIN", hide_env = true, global = true, help_heading = MAILBOXES)]
    pub domain: Option<String>,
    /// Acknowledge messages before they are on the disk: fast, and lost with the power
    #[arg(long, env = "MAILCONSOLE_NO_SYNC", hide_env = true, global = true, help_heading = MAILBOXES)]
    #[arg(value_parser = yes_or_no)]
    pub no_sync: bool,

    /// Port of the echo server; 0 lets the system choose [default: 10000]
    #[arg(
        long,
        value_name = "PORT",
        env = "MAILCONSOLE_ECHO_PORT",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = LISTENING)]
    pub echo_port: Option<u16>,
    /// Port of the SMTP server; 0 lets the system choose [default: 2500]
    #[arg(
        long,
        value_name = "PORT",
        env = "MAILCONSOLE_SMTP_PORT",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = LISTENING)]
    pub smtp_port: Option<u16>,
    /// Port of the POP3 server; 0 lets the system choose [default: 11000]
    #[arg(
        long,
        value_name = "PORT",
        env = "MAILCONSOLE_POP3_PORT",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = LISTENING)]
    pub pop3_port: Option<u16>,
    /// Address to listen on; may be given several times [default: 127.0.0.1 and ::1]
    #[arg(long, value_name = "ADDR", env = "MAILCONSOLE_BIND", hide_env = true, global = true)]
    #[arg(value_delimiter = ',', help_heading = LISTENING)]
    pub bind: Vec<IpAddr>,
    /// Network whose mail for other domains is taken, besides this machine's; may be given
    /// several times
    #[arg(
        long,
        value_name = "CIDR",
        env = "MAILCONSOLE_RELAY_FROM",
        hide_env = true,
        global = true
    )]
    #[arg(value_delimiter = ',', help_heading = LISTENING)]
    pub relay_from: Vec<Network>,

    /// Host that takes the mail for all other domains
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        env = "MAILCONSOLE_SMARTHOST",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub smarthost: Option<Hop>,
    /// Our user name at the smarthost; it is told only over TLS with a proven certificate
    #[arg(
        long,
        value_name = "NAME",
        env = "MAILCONSOLE_SMARTHOST_USER",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub smarthost_user: Option<String>,
    /// Our password there; better kept in the environment or in the config file than on a command
    /// line, which every user of this machine can read
    #[arg(
        long,
        value_name = "WORD",
        env = "MAILCONSOLE_SMARTHOST_PASSWORD",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub smarthost_password: Option<String>,
    /// How TLS is agreed upon with the smarthost: starttls, implicit (from the start, as at port 465)
    /// or none [default: implicit at port 465, else starttls if it is offered, with --ehlo, and always
    /// before a password]
    #[arg(
        long,
        value_name = "HOW",
        env = "MAILCONSOLE_SMARTHOST_TLS",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub smarthost_tls: Option<HowTls>,
    /// Host that takes the mail for a domain; may be given several times
    #[arg(
        long,
        value_name = "DOMAIN=HOST[:PORT]",
        env = "MAILCONSOLE_ROUTE",
        hide_env = true,
        global = true
    )]
    #[arg(value_delimiter = ',', help_heading = RELAY)]
    pub route: Vec<Route>,
    /// Name server to ask for mail hosts [default: the system's]
    #[arg(
        long,
        value_name = "ADDR[:PORT]",
        env = "MAILCONSOLE_RESOLVER",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub resolver: Option<NameServer>,
    /// Port of mail hosts [default: 25]
    #[arg(
        long,
        value_name = "PORT",
        env = "MAILCONSOLE_RELAY_PORT",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub relay_port: Option<HostPort>,
    /// Send to mail hosts at addresses of this machine, too
    #[arg(long, env = "MAILCONSOLE_RELAY_TO_LOOPBACK", hide_env = true, global = true)]
    #[arg(value_parser = yes_or_no, help_heading = RELAY)]
    pub relay_to_loopback: bool,
    /// Say EHLO to mail hosts and use what they offer, TLS among it, instead of HELO
    #[arg(long, env = "MAILCONSOLE_EHLO", hide_env = true, global = true)]
    #[arg(value_parser = yes_or_no, help_heading = RELAY)]
    pub ehlo: bool,
    /// Name to introduce ourselves with to mail hosts [default: the domain]
    #[arg(long, value_name = "NAME", env = "MAILCONSOLE_HELO", hide_env = true, global = true)]
    #[arg(help_heading = RELAY)]
    pub helo: Option<String>,
    /// Connections to the mail hosts of one domain at the same time; there is one until a host has
    /// answered [default: 5]
    #[arg(
        long,
        value_name = "COUNT",
        env = "MAILCONSOLE_CONNECTIONS_PER_DOMAIN",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub connections_per_domain: Option<Count>,
    /// Longest wait for a mail host or a name server [default: as RFC 5321 says, 5 s to 10 min]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MAILCONSOLE_TIMEOUT",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub timeout: Option<Seconds>,
    /// Tell local senders of mail that failed, and remove it from the queue
    #[arg(long, env = "MAILCONSOLE_BOUNCE", hide_env = true, global = true)]
    #[arg(value_parser = yes_or_no, help_heading = RELAY)]
    pub bounce: bool,
    /// Let the servers start a relay run so often, for what is due [default: never]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MAILCONSOLE_RELAY_EVERY",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = RELAY)]
    pub relay_every: Option<Seconds>,

    /// How long a client may be silent, 0 for ever [default: SMTP 300, POP3 600, echo 0]
    #[arg(long, value_name = "SECONDS", env = "MAILCONSOLE_IDLE", hide_env = true, global = true)]
    #[arg(help_heading = LIMITS)]
    pub idle: Option<u64>,
    /// Connections at once, of all servers together [default: 20000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "MAILCONSOLE_MAX_CONNECTIONS",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = LIMITS)]
    pub max_connections: Option<usize>,
    /// Size of a message; K, M and G are understood [default: 64M]
    #[arg(
        long,
        value_name = "SIZE",
        env = "MAILCONSOLE_MAX_MESSAGE",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = LIMITS)]
    pub max_message: Option<Size>,
    /// Transcript lines that the console keeps [default: 50000]
    #[arg(
        long,
        value_name = "LINES",
        env = "MAILCONSOLE_SCROLLBACK",
        hide_env = true,
        global = true
    )]
    #[arg(help_heading = SCREEN)]
    pub scrollback: Option<usize>,

    /// Colours of the console: dark, light, high-contrast or none [default: dark, or none where
    /// NO_COLOR is set]
    #[arg(long, value_name = "NAME", env = "MAILCONSOLE_THEME", hide_env = true, global = true)]
    #[arg(help_heading = SCREEN)]
    pub theme: Option<Theme>,
    /// Keys of the console, by the names of what they do. Only in the config file.
    #[arg(skip)]
    pub keys: BTreeMap<String, Keys>,

    /// No screen: serve until Ctrl+C
    #[arg(long, env = "MAILCONSOLE_NO_TUI", hide_env = true, global = true)]
    #[arg(value_parser = yes_or_no)]
    pub no_tui: bool,
    /// Write the transcript to stderr; twice, with message text
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Show the author on stderr, and end
    #[arg(short = 'a', long, global = true)]
    #[serde(skip)]
    pub show_author: bool,
    /// Who is shown by -a and in the greeting of the echo server
    /// [default: Mail Console / mailconsole]
    #[arg(
        long,
        value_name = "FULL NAME / LOGIN",
        env = "MAILCONSOLE_AUTHOR",
        hide_env = true,
        global = true
    )]
    pub author: Option<String>,
    /// The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]
    #[arg(long, value_name = "FILE", env = "MAILCONSOLE_CONFIG", hide_env = true, global = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// A switch in the environment: set is on, but for what says no.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "n" | "off" => Ok(false),
        _ => Err("write yes or no".to_owned()),
    }
}

const MAILBOXES: &str = "Mailboxes";
const LISTENING: &str = "Listening";
const RELAY: &str = "Relay";
const LIMITS: &str = "Limits";
const SCREEN: &str = "Screen";
const CHOICE: &str = "Choice";

/// A number of seconds, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Seconds(pub NonZeroU64);

/// How many, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Count(pub NonZeroUsize);

/// A port of another machine: 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct HostPort(pub NonZeroU16);

impl TryFrom<i64> for Seconds {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, &'static str> {
        let seconds = u64::try_from(number).ok().and_then(NonZeroU64::new);
        seconds.map(Self).ok_or("write a number of seconds, 1 or more")
    }
}

impl TryFrom<i64> for Count {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, &'static str> {
        let count = usize::try_from(number).ok().and_then(NonZeroUsize::new);
        count.map(Self).ok_or("write a number, 1 or more")
    }
}

impl TryFrom<i64> for HostPort {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, &'static str> {
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        port.map(Self).ok_or("write the number of a port, 1 to 65535")
    }
}

impl TryFrom<toml::Value> for Seconds {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, &'static str> {
        value.as_integer().unwrap_or(0).try_into()
    }
}

impl TryFrom<toml::Value> for Count {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, &'static str> {
        value.as_integer().unwrap_or(0).try_into()
    }
}

impl TryFrom<toml::Value> for HostPort {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, &'static str> {
        value.as_integer().unwrap_or(0).try_into()
    }
}

/// What is no number at all is as wrong as 0.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        number(text).try_into()
    }
}

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        number(text).try_into()
    }
}

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        number(text).try_into()
    }
}

/// A host to send to: `mx.example.org`, `192.0.2.1:2525`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hop(pub NextHop);

impl FromStr for Hop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|bad: crate::relay::route::BadHost| bad.to_string())
    }
}

impl TryFrom<String> for Hop {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How TLS is agreed upon with a smarthost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HowTls(pub SmarthostTls);

impl FromStr for HowTls {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "starttls" => Ok(Self(SmarthostTls::StartTls)),
            "implicit" => Ok(Self(SmarthostTls::Implicit)),
            "none" => Ok(Self(SmarthostTls::None)),
            _ => Err("write starttls, implicit or none"),
        }
    }
}

impl TryFrom<String> for HowTls {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

/// A domain and the host that takes its mail: `example.org=mx.example.org:2525`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Route {
    /// In lower case.
    pub domain: String,
    /// Who takes its mail.
    pub host: NextHop,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (domain, host) = text
            .split_once('=')
            .filter(|(domain, _)| !domain.is_empty())
            .ok_or("write DOMAIN=HOST or DOMAIN=HOST:PORT, such as example.org=127.0.0.1:2525")?;
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self { domain, host: host.parse::<Hop>()?.0 })
    }
}

impl TryFrom<String> for Route {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The address of a name server, with port 53 unless another is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NameServer(pub SocketAddr);

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DNS: u16 = 53;
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| {
            "write an address such as 192.0.2.53, 127.0.0.1:5353 or [::1]:5353".to_owned()
        })
    }
}

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The colours of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Theme(pub Palette);

impl FromStr for Theme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Theme {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The keys for something: `"q"`, or `["q", "F10"]`; `[]` for none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Keys(pub Vec<Key>);

impl TryFrom<toml::Value> for Keys {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        const WRITE: &str = "write a key such as \"q\", or several: [\"q\", \"F10\"]";
        let values = match value {
            toml::Value::Array(values) => values,
            one => vec![one],
        };
        let key = |value: &toml::Value| match value.as_str() {
            Some(word) => word.parse().map_err(|error: NoKey| error.to_string()),
            None => Err(format!("{value} is no key: {WRITE}")),
        };
        values.iter().map(key).collect::<Result<_, _>>().map(Self)
    }
}

/// What a command line comes to that is not to be carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help or the version, for stdout; all is well.
    Information(String),
    /// One sentence about what is wrong with it.
    WrongUse(String),
}

impl Cli {
    /// Reads a command line, the program's name included.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        let read = Self::command().try_get_matches_from(arguments).and_then(|matches| {
            let mut cli = Self::from_arg_matches(&matches)?;
            cli.take_domain_of_recipients(&matches);
            Ok(cli)
        });
        read.map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Stop::Information(error.render().to_string())
            }
            _ => Stop::WrongUse(sentence(&error.render().to_string())),
        })
    }

    /// What is in the environment or the config file is our own domain, also for `queue`.
    fn take_domain_of_recipients(&mut self, matches: &ArgMatches) {
        if let Some(Command::Queue(queue)) = &mut self.command
            && matches.value_source("domain") == Some(ValueSource::CommandLine)
        {
            queue.domain = self.options.domain.take();
        }
    }
}

/// The first paragraph of clap's report as one line: what follows it are hints and the usage.
fn sentence(report: &str) -> String {
    let paragraph = report.split("\n\n").next().unwrap_or(report);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, Stop> {
        Cli::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_behind_a_sub_command() {
        let cli = read("mailconsole -v smtp -p 25 --domain example.org DIR -v").unwrap();
        assert!(matches!(cli.command, Some(Command::Smtp { port: Some(25), directory: Some(_) })));
        assert_eq!(cli.options.domain.as_deref(), Some("example.org"));
        for line in
            ["mailconsole -a", "mailconsole smtp -a", "mailconsole -a pop3", "mailconsole echo -a"]
        {
            assert!(read(line).unwrap().options.show_author, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for line in [
            "mailconsole --bogus",
            "mailconsole smtp -p 65536 DIR",
            "mailconsole smtp -p x DIR",
            "mailconsole bogus",
            "mailconsole --bind here",
            "mailconsole --relay-from 1.2.3.4/33",
            "mailconsole --max-message 1T",
            "mailconsole check",
            "mailconsole --dir",
        ] {
            let Err(Stop::WrongUse(sentence)) = read(line) else {
                panic!("{line} is taken");
            };
            assert!(!sentence.contains('\n') && !sentence.contains("error"), "{sentence}");
        }
    }

    #[test]
    fn hosts_routes_and_name_servers_are_read_or_explained() {
        let route = |text: &str| text.parse::<Route>();
        let parsed = route("Example.ORG.=127.0.0.1:2525").unwrap();
        assert_eq!(
            (parsed.domain.as_str(), parsed.host.to_string()),
            ("example.org", "127.0.0.1:2525".into())
        );
        for text in ["example.org", "=host", "example.org=", "example.org=a b", "example.org=h:0"] {
            assert!(route(text).is_err(), "{text}");
        }
        let server = |text: &str| text.parse::<NameServer>().map(|server| server.0.to_string());
        assert_eq!(server("192.0.2.53"), Ok("192.0.2.53:53".into()));
        assert_eq!(server("127.0.0.1:5353"), Ok("127.0.0.1:5353".into()));
        assert_eq!(server("[::1]"), Ok("[::1]:53".into()));
        assert!(server("dns.example.org").is_err());
    }

    #[test]
    fn orders_take_the_directory_before_the_ids_or_by_option() {
        let words = |line: &str| match read(line).unwrap().command {
            Some(Command::Queue(Queue { order: Some(QueueOrder::Hold(picked)), .. })) => {
                picked.words
            }
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(words("mailconsole queue hold DIR 1-2-3"), ["DIR", "1-2-3"]);
        assert_eq!(words("mailconsole queue --dir DIR hold 1-2-3"), ["1-2-3"]);
        assert_eq!(words("mailconsole queue hold 1-2-3 --dir DIR"), ["1-2-3"]);
        assert!(matches!(
            read("mailconsole queue DIR --json").unwrap().command,
            Some(Command::Queue(Queue { order: None, json: true, directory: Some(_), .. }))
        ));
        assert_eq!(words("mailconsole queue hold DIR -"), ["DIR", "-"]);
    }

    #[test]
    fn behind_queue_a_domain_is_that_of_recipients() {
        for line in [
            "mailconsole queue DIR --domain example.org",
            "mailconsole queue drop DIR --domain example.org",
            "mailconsole --domain example.org queue drop DIR",
        ] {
            let cli = read(line).unwrap();
            let Some(Command::Queue(queue)) = cli.command else { panic!("{line}") };
            assert_eq!(queue.domain.as_deref(), Some("example.org"), "{line}");
            assert_eq!(cli.options.domain, None, "{line}");
        }
        let cli = read("mailconsole relay DIR --domain example.org").unwrap();
        assert_eq!(cli.options.domain.as_deref(), Some("example.org"));
    }

    #[test]
    fn a_choice_may_stand_before_and_behind_an_order() {
        for line in [
            "mailconsole queue drop DIR --state failed,held --older 1d --larger 1K --sender <>",
            "mailconsole queue --state failed,held --older 1d --larger 1K --sender <> drop DIR",
        ] {
            let Some(Command::Queue(Queue { choice, .. })) = read(line).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!(choice.state, [StateWord(State::Failed), StateWord(State::Held)], "{line}");
            assert_eq!(choice.older, Some(Age(Duration::from_hours(24))), "{line}");
            assert_eq!(choice.larger, Some(Size(1_024)), "{line}");
            assert_eq!(choice.sender, ["<>"], "{line}");
        }
    }

    #[test]
    fn a_number_that_must_not_be_0_is_asked_for_in_words() {
        for line in [
            "mailconsole relay DIR --every 0",
            "mailconsole relay DIR --every=-1",
            "mailconsole relay DIR --timeout 0",
            "mailconsole relay DIR --timeout soon",
            "mailconsole relay DIR --relay-port 0",
            "mailconsole relay DIR --relay-port 65536",
            "mailconsole relay DIR --connections-per-domain 0",
            "mailconsole --dir DIR --relay-every 0",
            "mailconsole queue DIR --older soon",
            "mailconsole queue DIR --older 99999999999999999999w",
            "mailconsole queue DIR --state lost",
            "mailconsole relay DIR --smarthost-tls maybe",
        ] {
            let Err(Stop::WrongUse(sentence)) = read(line) else {
                panic!("{line} is taken");
            };
            assert!(sentence.contains(": write "), "{sentence}");
            assert!(!sentence.contains("non-zero"), "{sentence}");
        }
    }
}
