//! Flag over environment over file over default: what is to be run. The only place with
//! defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::app::cli::{
    Check, Choice, Cli, Command, Keys, Options, Picked, Queue, QueueOrder, Route, Seconds,
};
use crate::check::Script;
use crate::console::keys::{Keymap, KeymapError};
use crate::console::state::appearance::Palette;
use crate::mail::address::Domain;
use crate::relay::conversation::opening::{Hello, Login};
use crate::relay::limits::TO_ONE_HOST;
use crate::relay::mx::Loopback;
use crate::relay::orders::{Order, Pick};
use crate::relay::route::{NextHop, SMTP_PORT, Smarthost, SmarthostTls};
use crate::relay::run::Bounces;
use crate::relay::selection::{Names, Selection};
use crate::relay::timeouts::Timeouts;
use crate::servers::limits;
use crate::servers::listener::Addresses;
use crate::servers::settings::{Idle, RelayPolicy, SettingsView};
use crate::store::directory::Durability;
use crate::ui::SCROLLBACK;
use crate::watch::event::Service;
use crate::wire::line::LINE_OCTETS;

/// What was asked for.
#[derive(Debug)]
pub enum Task {
    /// Say who the author is.
    ShowAuthor(Arc<str>),
    /// Run servers on the console.
    Console(Config),
    /// Run servers without a screen.
    Headless(Config),
    /// Send what waits in the queue.
    Relay(Relaying),
    /// List the queue.
    ListQueue(Mailboxes, Listing),
    /// Show one entry of the queue.
    ShowEntry(Mailboxes, Pick, Shown),
    /// Do something with entries of the queue.
    Order(Mailboxes, Order, Meant),
    /// Play a conversation against somebody's server.
    Check(Target),
    /// Make a directory and mailboxes.
    Init(Mailboxes),
}

/// What of the queue is listed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which recipients.
    pub selection: Selection,
    /// Each of them, or how many there are.
    pub detail: Detail,
    /// For whom.
    pub form: Form,
}

/// How much is said of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Each recipient.
    Recipients,
    /// How many there are at each domain, how old, and for which reasons.
    Summary,
}

/// How an entry is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// With its envelope and what was tried, for people.
    Whole,
    /// The message alone, octet for octet.
    Raw,
}

/// Which entries of the queue are meant: those that fit all that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// Those that are named, if any are.
    pub picks: BTreeSet<Pick>,
    /// Those that stdin names, too.
    pub stdin: bool,
    /// Those that are like this.
    pub selection: Selection,
}

/// How the queue is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A relay without servers.
#[derive(Debug)]
pub struct Relaying {
    /// Where the queue is, and the mailboxes of local senders.
    pub mailboxes: Mailboxes,
    /// Our domain.
    pub domain: Arc<str>,
    /// How mail is sent.
    pub settings: RelaySettings,
    /// What of the queue is sent, if not all.
    pub only: Names,
    /// What the transcript shows.
    pub verbosity: Verbosity,
}

/// How mail for other domains is sent.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// Domains in lower case whose mail goes to a named host.
    pub routes: BTreeMap<String, NextHop>,
    /// Where all other mail goes, if not to the domains' own hosts.
    pub smarthost: Option<Smarthost>,
    /// The port of mail hosts.
    pub port: u16,
    /// The name server to ask instead of the system's.
    pub resolver: Option<SocketAddr>,
    /// Whether mail may go to this machine.
    pub loopback: Loopback,
    /// Under which name the relay introduces itself, if not under the domain's.
    pub helo: Option<String>,
    /// With which command.
    pub hello: Hello,
    /// How long it waits for mail hosts.
    pub timeouts: Timeouts,
    /// Connections to the hosts of one domain.
    pub connections_per_domain: usize,
    /// Whether senders are told of failures.
    pub bounces: Bounces,
    /// How often a run starts by itself, if any does.
    pub every: Option<Duration>,
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

/// The servers to run, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The servers, each with its port.
    pub servers: Vec<(Service, Port)>,
    /// Where they listen.
    pub addresses: Addresses,
    /// The mailboxes. Only an echo server alone has none.
    pub mailboxes: Option<Mailboxes>,
    /// Our domain.
    pub domain: Arc<str>,
    /// The password of every user.
    pub password: Arc<str>,
    /// `FULL NAME / LOGIN`.
    pub author: Arc<str>,
    /// How mail for other domains is sent.
    pub relay: RelaySettings,
    /// What may change while they run.
    pub settings: SettingsView,
    /// Connections at once.
    pub connections_most: usize,
    /// What the transcript shows.
    pub verbosity: Verbosity,
    /// Transcript lines that the console keeps.
    pub scrollback: usize,
    /// Colours of the console.
    pub palette: Palette,
    /// Keys of the console.
    pub keymap: Keymap,
}

/// A port, and how it is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// 0 lets the system choose.
    pub number: u16,
    /// What on the command line changes it.
    pub flag: &'static str,
}

impl Config {
    /// Whether others than this machine can connect.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        match &self.addresses {
            Addresses::Loopback => false,
            Addresses::Only(addresses) => addresses.iter().any(|address| !address.is_loopback()),
        }
    }

    /// Whether everybody knows the password.
    #[must_use]
    pub fn has_public_password(&self) -> bool {
        &*self.password == PUBLIC_PASSWORD
    }
}

/// Where the mailboxes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailboxes {
    /// The directory that holds them.
    pub directory: PathBuf,
    /// Users whose mailbox is made if it is missing.
    pub users: Vec<String>,
    /// Whether a message is on the disk before it is acknowledged.
    pub durability: Durability,
    /// What they are for, which says what to do where there are none.
    pub purpose: Purpose,
}

/// What a directory is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be served: it can be made.
    Serving,
    /// For the queue in it: an empty one is of no use.
    Queue,
}

impl Mailboxes {
    /// The same, for a command about the queue: it makes no mailboxes.
    fn for_queue(self) -> Self {
        Self { users: Vec::new(), purpose: Purpose::Queue, ..self }
    }
}

/// What the transcript shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// Commands and replies.
    Lines,
    /// Message text too.
    Text,
}

/// Why it cannot be told what to run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No directory was named.
    #[error("no directory of mailboxes is named: name it with {0}")]
    NoDirectory(&'static str),
    /// The config file cannot be read.
    #[error("cannot read the config file {0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The config file cannot be understood.
    #[error("the config file {0} cannot be understood: {1}")]
    NotUnderstood(PathBuf, String),
    /// A smarthost's user without a password, or the other way round, or neither with a host.
    #[error("{given} is given without {missing}: give both, or neither")]
    Half {
        /// What there is.
        given: &'static str,
        /// What is not there.
        missing: &'static str,
    },
    /// Keys that cannot be had.
    #[error("[keys] in the config file: {0}")]
    Keys(#[from] KeymapError),
    /// An order without an entry.
    #[error(
        "no entry is named: name its ID, the first column of mailconsole queue, choose with --state, \
         --domain, --sender, --older and the like, or say --all"
    )]
    NoEntry,
    /// Entries are named, and so are all.
    #[error("--all is given with an ID: name the entries, or say --all")]
    AllAndSome,
    /// Several entries are named, and only one can be shown.
    #[error("{0} is no directory: name the directory, and then the ID of one entry")]
    OneEntry(String),
    /// A password that would be sent in the clear.
    #[error(
        "--smarthost-tls none is given with --smarthost-user: a password is sent over TLS only, so \
         leave out one of them"
    )]
    PasswordInTheClear,
    /// A word that goes into replies holds something that must not be there.
    #[error("{flag} is to be {expected}")]
    Unfit {
        /// Which option.
        flag: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

/// The port that a server listens on unless told otherwise.
const fn default_port(service: Service) -> u16 {
    match service {
        Service::Echo => 10_000,
        Service::Smtp => 2_500,
        Service::Pop3 => 11_000,
        Service::Relay => SMTP_PORT,
    }
}

impl Task {
    /// Decides what to do, with the config file read.
    pub fn new(cli: Cli) -> Result<Self, ConfigError> {
        let file = read_file(cli.options.config.as_deref())?;
        let options = cli.options.or(file);
        if options.show_author {
            return Ok(Self::ShowAuthor(author(options.author)?));
        }
        let (service, port, directory) = match cli.command {
            None => return all_servers(options),
            Some(Command::Check(check)) => return Ok(Self::Check(Target::from(check))),
            Some(Command::Init { words }) => return init(&options, words),
            Some(Command::Relay { every, only, directory }) => {
                return relay(options, every, only, directory);
            }
            Some(Command::Queue(queue)) => return queue_task(&options, queue),
            Some(Command::Echo { port }) => (Service::Echo, port, None),
            Some(Command::Smtp { port, directory }) => (Service::Smtp, port, directory),
            Some(Command::Pop3 { port, directory }) => (Service::Pop3, port, directory),
        };
        let number = port.or(options.port(service)).unwrap_or(default_port(service));
        let servers = vec![(service, Port { number, flag: "-p" })];
        let mailboxes = match service {
            Service::Echo => None,
            _ => Some(options.mailboxes(directory, BEHIND)?),
        };
        Ok(Self::Headless(config(options, servers, mailboxes)?))
    }
}

fn all_servers(options: Options) -> Result<Task, ConfigError> {
    let port = |service, flag| {
        let number = options.port(service).unwrap_or(default_port(service));
        (service, Port { number, flag })
    };
    let servers = vec![
        port(Service::Echo, "--echo-port"),
        port(Service::Smtp, "--smtp-port"),
        port(Service::Pop3, "--pop3-port"),
    ];
    let mailboxes = Some(options.mailboxes(None, "--dir DIR")?);
    let no_tui = options.no_tui;
    let config = config(options, servers, mailboxes)?;
    Ok(if no_tui { Task::Headless(config) } else { Task::Console(config) })
}

/// The first word is the directory, unless `--dir` is.
fn init(options: &Options, mut words: Vec<String>) -> Result<Task, ConfigError> {
    let named = options.dir.clone();
    let directory = match named {
        None if !words.is_empty() => Some(words.remove(0).into()),
        named => named,
    };
    let mut mailboxes = options.mailboxes(directory, BEHIND)?;
    mailboxes.users.extend(words);
    Ok(Task::Init(mailboxes))
}

const BEHIND: &str = "DIR behind the sub-command";

fn relay(
    options: Options,
    every: Option<Seconds>,
    only: Vec<String>,
    directory: Option<PathBuf>,
) -> Result<Task, ConfigError> {
    let mailboxes = options.mailboxes(directory, BEHIND)?.for_queue();
    let settings = RelaySettings {
        // What servers do beside their work is nothing to a relay that was told to run.
        every: every.map(seconds),
        ..relay_settings(&options)?
    };
    let (only, verbosity) = (Names(only), verbosity(options.verbose));
    let domain = domain(options.domain)?;
    Ok(Task::Relay(Relaying { mailboxes, domain, settings, only, verbosity }))
}

fn queue_task(options: &Options, queue: Queue) -> Result<Task, ConfigError> {
    let Queue { order, json, summary, choice, domain, directory } = queue;
    let selection = selection(choice, domain.as_deref());
    let (order, picked) = match order {
        None => {
            let detail = if summary { Detail::Summary } else { Detail::Recipients };
            let form = if json { Form::Json } else { Form::Table };
            let listing = Listing { selection, detail, form };
            let mailboxes = options.mailboxes(directory, BEHIND)?.for_queue();
            return Ok(Task::ListQueue(mailboxes, listing));
        }
        Some(QueueOrder::Show { raw, words }) => return show_task(options, directory, raw, words),
        Some(QueueOrder::Retry(picked)) => (Order::Retry, picked),
        Some(QueueOrder::Hold(picked)) => (Order::Hold, picked),
        Some(QueueOrder::Release(picked)) => (Order::Release, picked),
        Some(QueueOrder::Drop(picked)) => (Order::Drop, picked),
    };
    let Picked { all, mut words } = picked;
    let directory = take_directory(options, directory, &mut words)?;
    let stdin = words.iter().any(|word| word == STDIN);
    let picks: BTreeSet<Pick> =
        words.iter().filter(|word| *word != STDIN).map(|word| word.parse()).map(never).collect();
    let names_none = picks.is_empty() && !stdin;
    match all {
        true if !names_none => return Err(ConfigError::AllAndSome),
        false if names_none && selection.is_any() => return Err(ConfigError::NoEntry),
        _ => {}
    }
    let mailboxes = options.mailboxes(Some(directory), BEHIND)?.for_queue();
    Ok(Task::Order(mailboxes, order, Meant { picks, stdin, selection }))
}

/// Stands for the ids that stdin names.
const STDIN: &str = "-";

fn show_task(
    options: &Options,
    directory: Option<PathBuf>,
    raw: bool,
    mut words: Vec<String>,
) -> Result<Task, ConfigError> {
    let directory = take_directory(options, directory, &mut words)?;
    let word = match words.as_slice() {
        [word] => word,
        [first, _, ..] => return Err(ConfigError::OneEntry(first.clone())),
        [] => return Err(ConfigError::NoEntry),
    };
    let shown = if raw { Shown::Raw } else { Shown::Whole };
    let mailboxes = options.mailboxes(Some(directory), BEHIND)?.for_queue();
    Ok(Task::ShowEntry(mailboxes, never(word.parse()), shown))
}

/// The directory that the first word is, or that is set. Where one is set, the first word is one
/// only if it is there.
fn take_directory(
    options: &Options,
    directory: Option<PathBuf>,
    words: &mut Vec<String>,
) -> Result<PathBuf, ConfigError> {
    match directory.or_else(|| options.dir.clone()) {
        Some(set) if !words.first().is_some_and(|word| Path::new(word).is_dir()) => Ok(set),
        _ if words.is_empty() => Err(ConfigError::NoDirectory("--dir DIR")),
        _ => Ok(words.remove(0).into()),
    }
}

fn never<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

fn selection(choice: Choice, domain: Option<&str>) -> Selection {
    let Choice { state, sender, older, newer, larger, smaller, reason } = choice;
    let domains = domain.into_iter().flat_map(|domains| domains.split(','));
    let bare = |sender: String| {
        let inside = sender.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        inside.map(str::to_owned).unwrap_or(sender)
    };
    Selection {
        states: state.into_iter().map(|state| state.0).collect(),
        domains: domains.map(str::to_owned).collect(),
        senders: sender.into_iter().map(bare).collect(),
        older: older.map(|age| age.0),
        newer: newer.map(|age| age.0),
        larger: larger.map(|size| size.0),
        smaller: smaller.map(|size| size.0),
        reason,
    }
}

fn relay_settings(options: &Options) -> Result<RelaySettings, ConfigError> {
    let routes = options.route.iter().cloned().map(|Route { domain, host }| (domain, host));
    let timeouts = match options.timeout {
        Some(time) => Timeouts::default().capped(seconds(time)),
        None => Timeouts::default(),
    };
    Ok(RelaySettings {
        routes: routes.collect(),
        smarthost: smarthost(options)?,
        port: options.relay_port.map_or(default_port(Service::Relay), |port| port.0.get()),
        resolver: options.resolver.map(|server| server.0),
        loopback: if options.relay_to_loopback { Loopback::Allowed } else { Loopback::Refused },
        helo: helo(options.helo.clone())?,
        hello: if options.ehlo { Hello::Ehlo } else { Hello::Helo },
        timeouts,
        connections_per_domain: options
            .connections_per_domain
            .map_or(TO_ONE_HOST, |count| count.0.get()),
        bounces: if options.bounce { Bounces::ToLocalSenders } else { Bounces::Never },
        every: options.relay_every.map(seconds),
    })
}

fn smarthost(options: &Options) -> Result<Option<Smarthost>, ConfigError> {
    let half = |given, missing| Err(ConfigError::Half { given, missing });
    let login = match (options.smarthost_user.clone(), options.smarthost_password.clone()) {
        (Some(user), Some(password)) => Some(Login { user, password }),
        (None, None) => None,
        (Some(_), None) => return half("--smarthost-user", "--smarthost-password"),
        (None, Some(_)) => return half("--smarthost-password", "--smarthost-user"),
    };
    let tls = options.smarthost_tls.map(|tls| tls.0);
    match (options.smarthost.clone(), login, tls) {
        (None, Some(_), _) => half("--smarthost-user", "--smarthost"),
        (None, None, Some(_)) => half("--smarthost-tls", "--smarthost"),
        (_, Some(_), Some(SmarthostTls::None)) => Err(ConfigError::PasswordInTheClear),
        (host, login, tls) => Ok(host.map(|host| Smarthost { host: host.0, login, tls })),
    }
}

/// The name stands in a command line, and hosts look it up.
fn helo(given: Option<String>) -> Result<Option<String>, ConfigError> {
    match given {
        Some(name) if !matches!(Domain::parse(&name), Ok(Domain::Name(_) | Domain::Literal(_))) => {
            Err(ConfigError::Unfit {
                flag: "--helo",
                expected: "a host name such as mail.example.org or an address such as [192.0.2.1]",
            })
        }
        name => Ok(name),
    }
}

const fn seconds(seconds: Seconds) -> Duration {
    Duration::from_secs(seconds.0.get())
}

const fn verbosity(times: u8) -> Verbosity {
    match times {
        0 => Verbosity::Quiet,
        1 => Verbosity::Lines,
        2.. => Verbosity::Text,
    }
}

fn config(
    options: Options,
    servers: Vec<(Service, Port)>,
    mailboxes: Option<Mailboxes>,
) -> Result<Config, ConfigError> {
    Ok(Config {
        servers,
        mailboxes,
        relay: relay_settings(&options)?,
        settings: settings(&options)?,
        addresses: match options.bind {
            addresses if addresses.is_empty() => Addresses::Loopback,
            addresses => Addresses::Only(addresses),
        },
        domain: domain(options.domain)?,
        password: password(options.password)?,
        author: author(options.author)?,
        connections_most: connections_most(options.max_connections)?,
        verbosity: verbosity(options.verbose),
        scrollback: options.scrollback.unwrap_or(SCROLLBACK),
        palette: options.theme.map_or_else(usual_palette, |theme| theme.0),
        keymap: keymap(options.keys)?,
    })
}

fn settings(options: &Options) -> Result<SettingsView, ConfigError> {
    if options.max_message.is_some_and(|size| size.0 == 0) {
        return Err(ConfigError::Unfit {
            flag: "--max-message",
            expected: "a size of which a message fits into it, such as 64M",
        });
    }
    let networks: Vec<_> = options.relay_from.iter().map(|network| network.0).collect();
    Ok(SettingsView {
        idle: match options.idle {
            None => Idle::AsTheProtocolSays,
            Some(0) => Idle::Unlimited,
            Some(seconds) => Idle::Limited(Duration::from_secs(seconds)),
        },
        message_most: options.max_message.map_or(limits::MESSAGE_OCTETS, |size| size.0),
        relay: match networks {
            networks if networks.is_empty() => RelayPolicy::Loopback,
            networks => RelayPolicy::Networks(networks),
        },
    })
}

/// The password of every user unless another is chosen. Everybody can know it.
pub const PUBLIC_PASSWORD: &str = "cis505";

/// Octets of a password: what the longest line has room for behind `PASS`.
const PASSWORD_MOST: usize = LINE_OCTETS - "PASS ".len();

/// Refuses a password that no client could send.
fn password(given: Option<String>) -> Result<Arc<str>, ConfigError> {
    let password = given.unwrap_or_else(|| PUBLIC_PASSWORD.into());
    if password.contains(['\r', '\n']) || password.len() > PASSWORD_MOST {
        return Err(ConfigError::Unfit {
            flag: "--password",
            expected: "one line of at most 4,091 octets, which a PASS command has room for",
        });
    }
    Ok(password.into())
}

/// Refuses a limit of no connections at all.
fn connections_most(given: Option<usize>) -> Result<usize, ConfigError> {
    match given {
        Some(0) => Err(ConfigError::Unfit {
            flag: "--max-connections",
            expected: "1 or more, or left out",
        }),
        given => Ok(given.unwrap_or(limits::CONNECTIONS)),
    }
}

/// The domain stands in replies and is compared with those of addresses.
fn domain(given: Option<String>) -> Result<Arc<str>, ConfigError> {
    let domain = given.unwrap_or_else(|| "localhost".into());
    match Domain::parse(&domain) {
        Ok(Domain::Name(_)) => Ok(domain.into()),
        _ => Err(ConfigError::Unfit {
            flag: "--domain",
            expected: "a domain name such as localhost or example.org",
        }),
    }
}

/// What nobody has chosen; see <https://no-color.org>.
fn usual_palette() -> Palette {
    let is_set = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_set { Palette::Plain } else { Palette::Dark }
}

fn keymap(keys: BTreeMap<String, Keys>) -> Result<Keymap, ConfigError> {
    let chosen = keys.into_iter().map(|(name, keys)| (name, keys.0)).collect();
    Ok(Keymap::with(&chosen)?)
}

/// The author stands in a reply, which is one line.
fn author(given: Option<String>) -> Result<Arc<str>, ConfigError> {
    let author = given.unwrap_or_else(|| "Mail Console / mailconsole".into());
    if author.chars().any(char::is_control) || author.len() > 400 {
        return Err(ConfigError::Unfit {
            flag: "--author",
            expected: "one line of at most 400 octets such as \"Ada Lovelace / ada\"",
        });
    }
    Ok(author.into())
}

impl Options {
    /// These options, and where they are silent, those of `file`.
    fn or(self, file: Self) -> Self {
        Self {
            dir: self.dir.or(file.dir),
            user: first_of(self.user, file.user),
            password: self.password.or(file.password),
            domain: self.domain.or(file.domain),
            no_sync: self.no_sync || file.no_sync,
            echo_port: self.echo_port.or(file.echo_port),
            smtp_port: self.smtp_port.or(file.smtp_port),
            pop3_port: self.pop3_port.or(file.pop3_port),
            bind: first_of(self.bind, file.bind),
            relay_from: first_of(self.relay_from, file.relay_from),
            smarthost: self.smarthost.or(file.smarthost),
            smarthost_user: self.smarthost_user.or(file.smarthost_user),
            smarthost_password: self.smarthost_password.or(file.smarthost_password),
            smarthost_tls: self.smarthost_tls.or(file.smarthost_tls),
            route: first_of(self.route, file.route),
            resolver: self.resolver.or(file.resolver),
            relay_port: self.relay_port.or(file.relay_port),
            relay_to_loopback: self.relay_to_loopback || file.relay_to_loopback,
            ehlo: self.ehlo || file.ehlo,
            helo: self.helo.or(file.helo),
            connections_per_domain: self.connections_per_domain.or(file.connections_per_domain),
            timeout: self.timeout.or(file.timeout),
            bounce: self.bounce || file.bounce,
            relay_every: self.relay_every.or(file.relay_every),
            idle: self.idle.or(file.idle),
            max_connections: self.max_connections.or(file.max_connections),
            max_message: self.max_message.or(file.max_message),
            scrollback: self.scrollback.or(file.scrollback),
            theme: self.theme.or(file.theme),
            keys: file.keys,
            no_tui: self.no_tui || file.no_tui,
            verbose: self.verbose.max(file.verbose),
            show_author: self.show_author,
            author: self.author.or(file.author),
            config: self.config,
        }
    }

    const fn port(&self, service: Service) -> Option<u16> {
        match service {
            Service::Echo => self.echo_port,
            Service::Smtp => self.smtp_port,
            Service::Pop3 => self.pop3_port,
            Service::Relay => None,
        }
    }

    /// `how` is what on the command line names the directory.
    fn mailboxes(
        &self,
        named: Option<PathBuf>,
        how: &'static str,
    ) -> Result<Mailboxes, ConfigError> {
        let directory = named.or_else(|| self.dir.clone());
        Ok(Mailboxes {
            directory: directory.ok_or(ConfigError::NoDirectory(how))?,
            users: self.user.clone(),
            durability: if self.no_sync { Durability::Unsynced } else { Durability::Synced },
            purpose: Purpose::Serving,
        })
    }
}

fn first_of<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

impl From<Check> for Target {
    fn from(check: Check) -> Self {
        let port = check.port.unwrap_or(check.script.default_port());
        Self { script: check.script, host: check.host, port }
    }
}

/// The options in the config file. Only one that was named must exist.
fn read_file(named: Option<&Path>) -> Result<Options, ConfigError> {
    let Some(path) = named.map(Path::to_owned).or_else(usual_file) else {
        return Ok(Options::default());
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_file(&text).map_err(|why| ConfigError::NotUnderstood(path, why)),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(Options::default())
        }
        Err(error) => Err(ConfigError::Unreadable(path, error)),
    }
}

fn usual_file() -> Option<PathBuf> {
    let set = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    let home = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(home.join("mailconsole").join("config.toml"))
}

/// The error is one line: which of the file's, which option that is, and what is wrong with it. The
/// value, which may be a password, is not repeated.
fn parse_file(text: &str) -> Result<Options, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let begun = before.rsplit('\n').next().unwrap_or_default();
        let option = begun.split_once('=').map(|(option, _)| format!("{}: ", option.trim()));
        let (option, why) = (option.unwrap_or_default(), error.message().replace('\n', ", "));
        format!("line {line}: {option}{why}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::selection::State;
    use std::ffi::OsString;

    fn task(line: &str) -> Result<Task, ConfigError> {
        Task::new(Cli::read(line.split(' ').map(OsString::from)).unwrap())
    }

    fn headless(line: &str) -> Config {
        match task(line) {
            Ok(Task::Headless(config)) => config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn an_error_in_the_file_names_the_line_and_the_option() {
        for (text, error) in [
            ("ehlo = true\ntimeout = 0", "line 2: timeout: write a number of seconds, 1 or more"),
            ("timeout = 'x'", "line 1: timeout: write a number of seconds, 1 or more"),
            ("relay-every = -5", "line 1: relay-every: write a number of seconds, 1 or more"),
            ("relay-port = 65536", "line 1: relay-port: write the number of a port, 1 to 65535"),
            (
                "connections-per-domain = 1.5",
                "line 1: connections-per-domain: write a number, 1 or more",
            ),
        ] {
            assert_eq!(parse_file(text).map(|_| ()), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn all_servers_have_their_usual_ports() {
        let config = headless("mailconsole --dir d --no-tui");
        let ports: Vec<u16> = config.servers.iter().map(|(_, port)| port.number).collect();
        assert_eq!(ports, [10_000, 2_500, 11_000]);
        assert_eq!(config.addresses, Addresses::Loopback);
        assert_eq!(config.settings, SettingsView::default());
        assert_eq!(&*config.password, "cis505");
        assert!(matches!(task("mailconsole --dir d"), Ok(Task::Console(_))));
    }

    #[test]
    fn a_server_alone_is_headless_and_takes_its_port_from_p() {
        let config = headless("mailconsole smtp -p 25 -v d");
        assert_eq!(config.servers, [(Service::Smtp, Port { number: 25, flag: "-p" })]);
        assert_eq!(config.verbosity, Verbosity::Lines);
        assert_eq!(config.mailboxes.unwrap().directory, Path::new("d"));
        assert!(headless("mailconsole echo").mailboxes.is_none());
        assert_eq!(headless("mailconsole --pop3-port 7 pop3 d").servers[0].1.number, 7);
    }

    #[test]
    fn mail_needs_a_directory() {
        for line in ["mailconsole", "mailconsole smtp", "mailconsole pop3 -v"] {
            assert!(matches!(task(line), Err(ConfigError::NoDirectory(_))), "{line}");
        }
    }

    #[test]
    fn the_author_is_shown_wherever_it_is_asked_for() {
        for line in ["mailconsole -a", "mailconsole smtp -a", "mailconsole check echo -a"] {
            assert!(matches!(task(line), Ok(Task::ShowAuthor(_))), "{line}");
        }
    }

    #[test]
    fn a_flag_counts_before_the_file_and_the_file_before_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let text = "dir = \"d\"\nsmtp-port = 1\npop3-port = 2\nmax-message = \"1K\"\nno-tui = true\n\
                    bind = [\"127.0.0.1\"]\nrelay-from = [\"192.0.2.0/24\"]\nuser = [\"linhphan\"]\n";
        std::fs::write(&file, text).unwrap();
        let config = headless(&format!("mailconsole --config {} --smtp-port 3", file.display()));
        let ports: Vec<u16> = config.servers.iter().map(|(_, port)| port.number).collect();
        assert_eq!(ports, [10_000, 3, 2]);
        assert_eq!(config.settings.message_most, 1_024);
        assert_eq!(config.settings.notices()[0], "relays for 192.0.2.0/24");
        assert_eq!(config.mailboxes.unwrap().users, ["linhphan"]);
    }

    fn relaying(line: &str) -> RelaySettings {
        match task(line) {
            Ok(Task::Relay(relaying)) => relaying.settings,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_relay_is_set_up_by_its_options() {
        let settings = relaying(
            "mailconsole relay d --smarthost mx.example:587 --smarthost-user u \
             --smarthost-password p --route A.example=127.0.0.1:2525 --route b.example=h \
             --timeout 7 --every 60 --resolver 127.0.0.1:5353 --bounce --ehlo",
        );
        let smarthost = settings.smarthost.unwrap();
        assert_eq!(smarthost.host.to_string(), "mx.example:587");
        assert_eq!(smarthost.login.map(|login| login.password).as_deref(), Some("p"));
        assert_eq!(settings.routes["a.example"].to_string(), "127.0.0.1:2525");
        assert_eq!(settings.timeouts.final_dot, Duration::from_secs(7));
        assert_eq!(settings.every, Some(Duration::from_mins(1)));
        assert_eq!((settings.bounces, settings.hello), (Bounces::ToLocalSenders, Hello::Ehlo));
        assert_eq!((settings.helo, settings.connections_per_domain), (None, 5));
        let other = relaying("mailconsole relay d --helo mx.example --connections-per-domain 1");
        assert_eq!((other.helo.as_deref(), other.connections_per_domain), (Some("mx.example"), 1));
        assert!(task("mailconsole relay d --helo a_b_").is_err());
        let usual = relaying("mailconsole relay d --relay-every 60");
        assert_eq!((usual.port, usual.every, usual.hello), (25, None, Hello::Helo));
        let servers = headless("mailconsole --dir d --no-tui --relay-every 60");
        assert_eq!(servers.relay.every, Some(Duration::from_mins(1)));
    }

    #[test]
    fn half_a_login_is_refused() {
        for line in [
            "mailconsole relay d --smarthost h --smarthost-user u",
            "mailconsole relay d --smarthost h --smarthost-password p",
            "mailconsole relay d --smarthost-user u --smarthost-password p",
        ] {
            assert!(matches!(task(line), Err(ConfigError::Half { .. })), "{line}");
        }
        let line = "mailconsole relay d --smarthost h --smarthost-user u --smarthost-password p \
                    --smarthost-tls none";
        assert!(matches!(task(line), Err(ConfigError::PasswordInTheClear)));
        let tls = "mailconsole relay d --smarthost-tls implicit";
        assert!(matches!(task(tls), Err(ConfigError::Half { .. })));
    }

    #[test]
    fn an_order_names_entries_or_recipients_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        for line in [
            format!("mailconsole queue hold {path} 1-2-3 4-5-6/a@b"),
            format!("mailconsole queue --dir {path} hold 1-2-3 4-5-6/a@b"),
            format!("mailconsole queue --dir /elsewhere hold {path} 1-2-3 4-5-6/a@b"),
        ] {
            let Ok(Task::Order(mailboxes, Order::Hold, meant)) = task(&line) else {
                panic!("{line}");
            };
            assert_eq!(mailboxes.directory, dir.path());
            let whole = Pick { id: "1-2-3".into(), recipient: None };
            assert_eq!(meant.picks, BTreeSet::from([whole, Pick::one("4-5-6", "a@b")]));
            assert!(!meant.stdin && meant.selection.is_any());
        }
        assert!(matches!(task("mailconsole queue hold x"), Err(ConfigError::NoEntry)));
    }

    #[test]
    fn an_order_is_for_what_is_named_chosen_or_all_and_never_for_all_by_mistake() {
        let meant = |words: &str| match task(&format!("mailconsole queue drop d {words}")) {
            Ok(Task::Order(mailboxes, Order::Drop, meant)) => {
                assert_eq!(mailboxes.directory, Path::new("d"));
                meant
            }
            other => panic!("{words}: {other:?}"),
        };
        assert_eq!(meant("--all"), Meant::default());
        assert_eq!(meant("-"), Meant { stdin: true, ..Meant::default() });
        let selection = meant("--state failed --domain a.example,b.example --sender <>").selection;
        assert_eq!(selection.states, [State::Failed]);
        assert_eq!(selection.domains, ["a.example", "b.example"]);
        assert_eq!(selection.senders, [""]);
        let wrong = |words: &str| task(&format!("mailconsole queue drop d {words}")).unwrap_err();
        assert!(matches!(wrong("1-2-3 --all"), ConfigError::AllAndSome));
        assert!(matches!(task("mailconsole queue drop d"), Err(ConfigError::NoEntry)));
        assert!(matches!(task("mailconsole queue drop"), Err(ConfigError::NoDirectory(_))));
    }

    #[test]
    fn one_entry_is_shown() {
        assert!(matches!(
            task("mailconsole queue show d 1-2-3 --raw"),
            Ok(Task::ShowEntry(_, Pick { recipient: None, .. }, Shown::Raw))
        ));
        assert!(matches!(task("mailconsole queue show d"), Err(ConfigError::NoEntry)));
        let two = task("mailconsole --dir d queue show 1-2-3 4-5-6");
        assert!(matches!(two, Err(ConfigError::OneEntry(_))), "{two:?}");
    }

    #[test]
    fn keys_are_chosen_in_the_config_file() {
        let text = "[keys]\nquit = \"Q\"\nzoom = [\"F5\", \"Ctrl-R\"]\nwrap = []\n";
        let keymap = keymap(parse_file(text).unwrap().keys).unwrap();
        let log = crate::console::action::Context::Pane(crate::console::action::Pane::Log);
        let action = |key: &str| keymap.action(log, key.parse().unwrap());
        assert_eq!(action("Q"), Some(crate::console::action::Action::Quit));
        assert_eq!(action("^R"), Some(crate::console::action::Action::Zoom));
        assert_eq!((action("q"), action("w")), (None, None));
    }

    #[test]
    fn keys_that_cannot_be_are_explained() {
        let message = parse_file("[keys]\nquit = \"Hyper\"\n").unwrap_err();
        assert!(message.starts_with("line 2: quit: \"Hyper\" is no key"), "{message}");
        for keys in ["5", "true", "[1]", "{ a = 1 }", "[[\"q\"]]"] {
            let message = parse_file(&format!("[keys]\nquit = {keys}\n")).unwrap_err();
            assert!(
                message.starts_with("line 2: ") && message.contains("is no key: write"),
                "{message}"
            );
        }
        let keys = parse_file("[keys]\nfly = \"Q\"\n").unwrap().keys;
        let message = keymap(keys).unwrap_err().to_string();
        assert!(message.contains("[keys]") && message.contains("\"fly\""), "{message}");
    }

    #[test]
    fn a_size_that_is_none_is_explained() {
        for size in ["true", "1.5", "-1", "\"1T\"", "[1]"] {
            let message = parse_file(&format!("max-message = {size}\n")).unwrap_err();
            assert!(
                message.starts_with("line 1: max-message: write a number of octets"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_theme_has_one_of_four_names() {
        let theme = |text: &str| parse_file(text).map(|options| options.theme.map(|one| one.0));
        assert_eq!(theme("theme = \"light\""), Ok(Some(Palette::Light)));
        assert!(theme("theme = \"pink\"").unwrap_err().contains("there are dark, light"));
    }

    #[test]
    fn a_config_file_is_understood_or_the_line_is_named() {
        let message = parse_file("dir = \"d\"\nbogus = 1\n").unwrap_err();
        assert!(message.starts_with("line 2: unknown field `bogus`"), "{message}");
        assert!(!message.contains('\n'));
        let missing = task("mailconsole --config /nonexistent --dir d");
        assert!(matches!(missing, Err(ConfigError::Unreadable(..))));
    }

    #[test]
    fn idle_limits_are_the_protocols_unless_set() {
        let idle = |line: &str| headless(line).settings.idle;
        assert_eq!(idle("mailconsole --dir d --no-tui"), Idle::AsTheProtocolSays);
        assert_eq!(idle("mailconsole --dir d --no-tui --idle 0"), Idle::Unlimited);
        let seven = Idle::Limited(Duration::from_secs(7));
        assert_eq!(idle("mailconsole --dir d --no-tui --idle 7"), seven);
    }
}
