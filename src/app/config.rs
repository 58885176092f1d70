//! How the servers are set up: what options, environment and config file say, checked and put
//! together.

mod faults;
mod records;
mod relay;
mod tls;

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::app::config::faults::FaultSetup;
pub use crate::app::config::records::{Records, records};
pub use crate::app::config::relay::{RelaySettings, relay_settings};
pub use crate::app::config::tls::{authority_directory, certificate_source};
use crate::app::config_error::ConfigError;
use crate::app::mailboxes::{Mailboxes, Purpose};
use crate::console::keys::{Chosen, Keymap};
use crate::console::setting::table::Options;
use crate::console::setting::value::{MailboxName, NewUser, Times};
use crate::console::state::appearance::Palette;
use crate::servers::accounts::OwnPasswords;
use crate::servers::credentials::Password;
use crate::servers::listener::Addresses;
use crate::servers::profile::{AuthPolicy, Choices};
use crate::servers::recipients::RecipientRules;
use crate::servers::settings::{RelayPolicy, SettingsView};
use crate::servers::tls::CertificateSource;
use crate::store::directory::Durability;
use crate::store::retention::Keep;
use crate::watch::event::{Passwords, Service};

/// All that was set, from whichever place.
#[derive(Debug)]
pub struct Setup {
    /// The settings.
    pub options: Options,
    /// The users of the config file's table.
    pub users: Vec<NewUser>,
    /// The keys of the console.
    pub keys: Chosen,
}

/// How the directory of a sub-command is named, for an error.
pub const AFTER: &str = "DIR after the sub-command";

impl Setup {
    /// The mailboxes in the directory that was named, or else that is set. `how` says how it is
    /// named on the command line.
    pub fn mailboxes(
        &self,
        named: Option<PathBuf>,
        how: &'static str,
    ) -> Result<Mailboxes, ConfigError> {
        let directory = named.or_else(|| self.options.dir.clone());
        let is_unsynced = self.options.no_sync;
        Ok(Mailboxes {
            directory: directory.ok_or(ConfigError::NoDirectory(how))?,
            users: self.users().map(|user| user.name.clone()).collect(),
            durability: if is_unsynced { Durability::Unsynced } else { Durability::Synced },
            purpose: Purpose::Serving,
        })
    }

    /// The directory that was named, or else that is set, for commands that only ask about it.
    pub fn directory(&self, named: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
        named.or_else(|| self.options.dir.clone()).ok_or(ConfigError::NoDirectory(AFTER))
    }

    /// The users whose mailboxes are made: first those of `--user`, in its order.
    fn users(&self) -> impl Iterator<Item = &NewUser> {
        self.options.user.iter().chain(&self.users)
    }

    /// The passwords that users have for themselves. `--user` counts before the table.
    fn own_passwords(&self) -> OwnPasswords {
        let own = |user: &NewUser| Some((user.name.clone(), user.password.clone()?));
        // The last of one name counts.
        self.users.iter().chain(&self.options.user).filter_map(own).collect()
    }
}

/// The servers to run, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The servers, each with its port.
    pub servers: Vec<(Service, Port)>,
    /// The ports of those that also listen for connections that begin with TLS.
    pub tls_ports: Vec<(Service, Port)>,
    /// Where their certificate comes from; `None` if there is no place for it.
    pub certificate: Option<CertificateSource>,
    /// Whether TLS is offered, or a certificate is named, so that it must be usable from the start.
    pub needs_certificate: bool,
    /// Where they listen.
    pub addresses: Addresses,
    /// The mailboxes. Only an echo server alone has none.
    pub mailboxes: Option<Mailboxes>,
    /// Where an echo server alone, which has no mailboxes, can be asked: the directory of its control
    /// socket.
    pub asked_in: Option<PathBuf>,
    /// Our domain.
    pub domain: Arc<str>,
    /// The password of every user who has none of their own.
    pub password: Password,
    /// The passwords of single users.
    pub own_passwords: Arc<OwnPasswords>,
    /// `FULL NAME / LOGIN`.
    pub author: Arc<str>,
    /// How mail for other domains is sent.
    pub relay: RelaySettings,
    /// What may change while they run.
    pub settings: SettingsView,
    /// The faults that they play on purpose.
    pub faults: FaultSetup,
    /// Which messages are kept in the mailboxes, if not all.
    pub keep: Option<Keep>,
    /// Connections at once.
    pub connections_most: usize,
    /// What the transcript shows.
    pub verbosity: Verbosity,
    /// Where events are written, if anywhere; `-` is stdout.
    pub events: Option<PathBuf>,
    /// Which secrets a transcript without a screen shows.
    pub passwords: Passwords,
    /// The files of the transcript and of the log.
    pub records: Records,
    /// The file that says where the servers listen.
    pub ports_file: Option<PathBuf>,
    /// The servers end when no client has been connected for so long.
    pub exit_when_idle: Option<Duration>,
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
    /// The addresses at which other machines can connect; none if only this machine can.
    #[must_use]
    pub fn open_addresses(&self) -> Vec<IpAddr> {
        match &self.addresses {
            Addresses::Loopback => Vec::new(),
            Addresses::Only(addresses) => {
                let is_open = |address: &&IpAddr| !address.to_canonical().is_loopback();
                addresses.iter().filter(is_open).copied().collect()
            }
        }
    }

    /// The same, for servers without a screen, on which what is held could be let go.
    ///
    /// # Errors
    ///
    /// If there are breakpoints, and nothing says how long they hold.
    pub fn without_screen(self) -> Result<Self, ConfigError> {
        if self.faults.holds_without_limit {
            return Err(ConfigError::BreakWithoutTimeout);
        }
        Ok(self)
    }

    /// Whether everybody knows the password.
    #[must_use]
    pub fn has_public_password(&self) -> bool {
        self.password.as_str() == PUBLIC_PASSWORD
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

impl Config {
    /// Puts together what the servers go by.
    pub fn new(
        setup: Setup,
        servers: Vec<(Service, Port)>,
        mailboxes: Option<Mailboxes>,
    ) -> Result<Self, ConfigError> {
        let own_passwords = Arc::new(setup.own_passwords());
        let Setup { options, keys, .. } = setup;
        let settings = settings(&options);
        let records = records(&options);
        let mut mailboxes = mailboxes;
        let takes_mail = servers.iter().any(|(service, _)| *service == Service::Smtp);
        if let Some(mailboxes) = mailboxes.as_mut().filter(|_| takes_mail) {
            let catch_all = settings.choices.catch_all();
            mailboxes.users.extend(catch_all.map(|user| user.to_string()));
        }
        let faults = FaultSetup::new(&options)?;
        let asked_in = options.dir.clone().filter(|_| mailboxes.is_none());
        let domain = Arc::clone(&options.domain.0);
        let tls_ports = tls_ports(&options, &servers);
        let rules = settings.choices.rules();
        let is_shut = rules.smtp.auth == AuthPolicy::Required && rules.smtp.mechanisms.is_empty();
        if takes_mail && is_shut {
            return Err(ConfigError::NobodyLogsIn);
        }
        let needs_certificate = !tls_ports.is_empty()
            || options.tls_cert.is_some()
            || servers.iter().any(|(service, _)| rules.offers_tls(*service));
        Ok(Self {
            certificate: certificate_source(&options, &domain, needs_certificate)?,
            needs_certificate,
            tls_ports,
            servers,
            mailboxes,
            asked_in,
            relay: relay_settings(&options)?,
            settings,
            faults,
            keep: options.keep,
            passwords: passwords(&options)?,
            addresses: match options.bind {
                addresses if addresses.is_empty() => Addresses::Loopback,
                addresses => Addresses::Only(addresses),
            },
            domain,
            password: options.password,
            own_passwords,
            author: options.author.0,
            records,
            ports_file: options.ports_file,
            exit_when_idle: options.exit_when_idle.map(|period| period.0),
            connections_most: options.max_connections.get(),
            verbosity: verbosity(options.verbose),
            events: options.events,
            scrollback: options.scrollback,
            palette: options.theme.unwrap_or_else(usual_palette),
            keymap: keymap(&keys)?,
        })
    }
}

/// The ports for connections that begin with TLS, of those of `servers` that have one.
fn tls_ports(options: &Options, servers: &[(Service, Port)]) -> Vec<(Service, Port)> {
    let (smtps, pop3s) = options.profile.tls_ports().unzip();
    let port = |service| {
        let (number, flag) = match service {
            Service::Smtp => (options.smtps_port.or(smtps)?, "--smtps-port"),
            Service::Pop3 => (options.pop3s_port.or(pop3s)?, "--pop3s-port"),
            Service::Echo | Service::Relay => return None,
        };
        Some((service, Port { number, flag }))
    };
    servers.iter().filter_map(|(service, _)| port(*service)).collect()
}

/// `-v` and `-vv`.
#[must_use]
pub const fn verbosity(Times(times): Times) -> Verbosity {
    match times {
        0 => Verbosity::Quiet,
        1 => Verbosity::Lines,
        2.. => Verbosity::Text,
    }
}

fn settings(options: &Options) -> SettingsView {
    let networks: Vec<_> = options.relay_from.iter().map(|network| network.0).collect();
    SettingsView {
        idle: options.idle.unwrap_or_default(),
        message_most: options.max_message.0,
        relay: match networks {
            networks if networks.is_empty() => RelayPolicy::Loopback,
            networks => RelayPolicy::Networks(networks),
        },
        choices: Choices {
            profile: options.profile,
            extensions: options.extensions,
            capabilities: options.pop3_capabilities,
            auth: options.auth,
            auth_any: options.auth_any,
            mechanisms: options.auth_mechanisms,
            auth_plaintext: options.auth_plaintext,
            smtp_tls: options.smtp_tls,
            pop3_tls: options.pop3_tls,
            recipients: recipients(options),
            first_user: options.user.first().map(|user| user.name.as_str().into()),
        },
    }
}

/// Whom mail is for.
fn recipients(options: &Options) -> RecipientRules {
    RecipientRules {
        catch_all: options.catch_all.as_ref().map(|MailboxName(name)| Arc::clone(name)),
        accept_any: options.accept_any,
        mailboxes_most: options.max_mailboxes.get(),
        local_domains: options.local_domains.clone(),
        exact_text: options.exact_text,
        ..RecipientRules::default()
    }
}

/// Which secrets a transcript without a screen shows. Testers compare whole commands, so that the
/// argument of PASS is shown unless it is to be masked.
fn passwords(options: &Options) -> Result<Passwords, ConfigError> {
    match (options.show_passwords, options.mask_passwords) {
        (true, true) => Err(ConfigError::ShownAndMasked),
        (true, false) => Ok(Passwords::Shown),
        (false, true) => Ok(Passwords::Masked),
        (false, false) => Ok(Passwords::OfPass),
    }
}

/// The password of every user unless another is set. Anyone can know it.
pub const PUBLIC_PASSWORD: &str = "cis505";

/// The default colours; see <https://no-color.org>.
fn usual_palette() -> Palette {
    let is_set = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_set { Palette::Plain } else { Palette::Dark }
}

/// The keys of the console, with those that the config file has chosen.
pub fn keymap(keys: &Chosen) -> Result<Keymap, ConfigError> {
    Ok(Keymap::with(keys)?)
}
