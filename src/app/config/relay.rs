//! How mail for other domains is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::app::config_error::ConfigError;
use crate::console::setting::table::Options;
use crate::relay::conversation::opening::{Hello, Login};
use crate::relay::mx::Loopback;
use crate::relay::route::{NextHop, Smarthost, SmarthostTls};
use crate::relay::run::Bounces;
use crate::relay::timeouts::Timeouts;

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

/// Puts together what the relay goes by.
pub fn relay_settings(options: &Options) -> Result<RelaySettings, ConfigError> {
    let routes = options.route.iter().map(|route| (route.domain.clone(), route.host.clone()));
    let timeouts = match options.timeout {
        Some(time) => Timeouts::default().capped(time),
        None => Timeouts::default(),
    };
    Ok(RelaySettings {
        routes: routes.collect(),
        smarthost: smarthost(options)?,
        port: options.relay_port.get(),
        resolver: options.resolver.map(|server| server.0),
        loopback: if options.relay_to_loopback { Loopback::Allowed } else { Loopback::Refused },
        helo: options.helo.clone().map(|name| name.0),
        hello: if options.ehlo { Hello::Ehlo } else { Hello::Helo },
        timeouts,
        connections_per_domain: options.connections_per_domain.get(),
        bounces: if options.bounce { Bounces::ToLocalSenders } else { Bounces::Never },
        every: options.relay_every,
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
    let tls = options.smarthost_tls;
    match (options.smarthost.clone(), login, tls) {
        (None, Some(_), _) => half("--smarthost-user", "--smarthost"),
        (None, None, Some(_)) => half("--smarthost-tls", "--smarthost"),
        (_, Some(_), Some(SmarthostTls::None)) => Err(ConfigError::PasswordInTheClear),
        (host, login, tls) => Ok(host.map(|host| Smarthost { host, login, tls })),
    }
}
