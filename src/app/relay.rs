//! How a relay is put together, for the servers and for the command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;

use crate::app::config::RelaySettings;
use crate::relay::client::Client;
use crate::relay::conversation::opening::Protection;
use crate::relay::mx::Own;
use crate::relay::progress::Progress;
use crate::relay::resolver::Dns;
use crate::relay::route::Routes;
use crate::relay::run::Relay;
use crate::relay::tls::Tls;
use crate::servers::listener::{Lifetime, Shared};
use crate::store::directory::Directory;
use crate::watch::observers::Observers;
use crate::watch::registry::Registry;

/// What observes the relay's connections, and what stops them.
#[derive(Debug)]
pub struct Watchers {
    /// Takes their lines.
    pub transcript: Observers,
    /// Lists them, for a screen.
    pub registry: Option<Arc<Registry>>,
    /// Counts the connections of the process.
    pub ids: Arc<AtomicU64>,
    /// Stops them.
    pub stop: CancellationToken,
}

impl Watchers {
    /// Those of the servers of this process.
    #[must_use]
    pub fn of_servers(shared: &Shared, lifetime: &Lifetime) -> Self {
        Self {
            transcript: shared.transcript.clone(),
            registry: shared.registry.clone(),
            ids: Arc::clone(&shared.ids),
            stop: lifetime.ending.child_token(),
        }
    }
}

/// Puts a relay together. `own` is where this process listens for mail.
#[must_use]
pub fn relay(
    settings: &RelaySettings,
    domain: &str,
    directory: Directory,
    own: Vec<SocketAddr>,
    watchers: Watchers,
) -> Arc<Relay<Dns>> {
    let Watchers { transcript, registry, ids, stop } = watchers;
    let client = Client {
        timeouts: settings.timeouts,
        transcript,
        registry,
        ids,
        tls: Tls::default(),
        announce: None,
        stop,
    };
    Arc::new(Relay {
        directory,
        domain: domain.to_owned(),
        helo: settings.helo.as_deref().unwrap_or(domain).to_owned(),
        hello: settings.hello,
        protection: Protection::Opportunistic,
        routes: Routes {
            named: settings.routes.clone(),
            smarthost: settings.smarthost.clone(),
            port: settings.port,
            own: Own {
                names: vec![domain.to_owned()],
                addresses: Vec::new(),
                listeners: own,
                loopback: settings.loopback,
            },
        },
        resolver: Arc::new(resolver(settings)),
        client: Arc::new(client),
        connections_per_domain: settings.connections_per_domain,
        bounces: settings.bounces,
        progress: Progress::default(),
    })
}

fn resolver(settings: &RelaySettings) -> Dns {
    let patience = settings.timeouts.connect;
    match settings.resolver {
        Some(server) => Dns::at(server, patience),
        None => Dns::of_system(patience),
    }
}
