//! Starts and stops single servers on an operator's order while the others run, and changes the
//! settings they use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::servers::listener::{Addresses, Lifetime, Shared};
use crate::servers::settings::{Setting, Settings, SettingsView};
pub use crate::servers::supervised::{Change, Condition, ServerView};
use crate::servers::supervised::{SupervisedServer, Task};
use crate::watch::event::Service;

/// The most orders that may wait.
const WAITING: usize = 64;

/// An operator's order to one of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOrder {
    /// The server.
    pub service: Service,
    /// The order.
    pub what: Change,
}

/// The console's connection to the servers.
#[derive(Debug, Clone)]
pub struct Control {
    /// Takes orders; the result appears in the server's condition.
    pub orders: mpsc::Sender<ServerOrder>,
    /// The current state of all servers, in the order of the console's top line.
    pub servers: watch::Receiver<Arc<Vec<ServerView>>>,
    settings: Arc<Settings>,
}

impl Control {
    /// The address at which a client in this process can reach a server; `None` while it is not
    /// running.
    #[must_use]
    pub fn address_of(&self, service: Service) -> Option<SocketAddr> {
        let servers = self.servers.borrow();
        let server = servers.iter().find(|server| server.service == service)?;
        let addresses = (server.condition == Condition::Running).then_some(&server.addresses)?;
        let nearest = addresses.iter().find(|address| address.ip().is_loopback());
        nearest.or(addresses.first()).copied().map(within_this_machine)
    }

    /// The settings of all servers.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Changes a setting; returns all settings as they are now.
    #[must_use]
    pub fn set(&self, setting: Setting) -> SettingsView {
        self.settings.set(setting);
        self.settings.view()
    }
}

/// Replaces the unspecified address, on which a server listens for all addresses, with loopback.
fn within_this_machine(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Carries out orders one after another. It does not wait for a server to stop, so that the others
/// can be given orders in the meantime.
#[derive(Debug)]
pub struct Supervisor {
    supervised: Vec<SupervisedServer>,
    addresses: Addresses,
    shared: Arc<Shared>,
    /// The term of the process; each start of a server gets its own term within it.
    lifetime: Lifetime,
    orders: mpsc::Receiver<ServerOrder>,
    shown: watch::Sender<Arc<Vec<ServerView>>>,
    /// The servers that are stopping.
    stopping: JoinSet<Service>,
}

impl Supervisor {
    /// Starts the task in `term`; when that ends, so do the servers.
    #[must_use]
    pub fn start(
        mut supervised: Vec<SupervisedServer>,
        addresses: Addresses,
        shared: Arc<Shared>,
        lifetime: &Lifetime,
    ) -> Control {
        supervised.sort_by_key(|supervised| place(supervised.service()));
        let (give, orders) = mpsc::channel(WAITING);
        let (shown, servers) = watch::channel(views(&supervised));
        let settings = Arc::clone(&shared.settings);
        let lifetime = lifetime.clone();
        let tasks = lifetime.tasks.clone();
        let stopping = JoinSet::new();
        let supervisor = Self { supervised, addresses, shared, lifetime, orders, shown, stopping };
        tasks.spawn(supervisor.work());
        Control { orders: give, servers, settings }
    }

    async fn work(mut self) {
        let ending = self.lifetime.ending.clone();
        loop {
            tokio::select! {
                () = ending.cancelled() => break,
                Some(order) = self.orders.recv() => self.take(order).await,
                Some(Ok(service)) = self.stopping.join_next() => self.stopped(service).await,
            }
            self.show();
        }
        self.end().await;
    }

    async fn take(&mut self, ServerOrder { service, what }: ServerOrder) {
        let Some(supervised) = self.supervised(service) else { return };
        let task = supervised.take(what);
        self.carry_out(service, task).await;
    }

    async fn stopped(&mut self, service: Service) {
        let observers = self.shared.transcript.clone();
        let Some(supervised) = self.supervised(service) else { return };
        let task = supervised.stopped(&observers);
        self.carry_out(service, task).await;
    }

    async fn carry_out(&mut self, service: Service, task: Task) {
        match task {
            Task::Nothing => {}
            Task::End(lifetime) => self.see_off(service, lifetime),
            Task::Start => self.begin(service).await,
        }
    }

    fn see_off(&mut self, service: Service, lifetime: Lifetime) {
        lifetime.ending.cancel();
        self.stopping.spawn(async move {
            lifetime.end().await;
            service
        });
    }

    async fn begin(&mut self, service: Service) {
        let Self { supervised, addresses, shared, lifetime, .. } = self;
        if let Some(supervised) = supervised.iter_mut().find(|one| one.service() == service) {
            supervised.start(addresses, shared, lifetime.within()).await;
        }
    }

    /// Stops all servers and waits for them, including those that were stopping already.
    async fn end(&mut self) {
        let services: Vec<Service> =
            self.supervised.iter().map(SupervisedServer::service).collect();
        for service in services {
            self.take(ServerOrder { service, what: Change::Stop }).await;
        }
        while let Some(stopped) = self.stopping.join_next().await {
            let Ok(service) = stopped else { continue };
            // None starts again: the last order was to stop.
            self.stopped(service).await;
        }
    }

    fn show(&self) {
        let now = views(&self.supervised);
        self.shown.send_if_modified(|shown| {
            let is_news = *shown != now;
            *shown = now;
            is_news
        });
    }

    fn supervised(&mut self, service: Service) -> Option<&mut SupervisedServer> {
        self.supervised.iter_mut().find(|supervised| supervised.service() == service)
    }
}

fn views(supervised: &[SupervisedServer]) -> Arc<Vec<ServerView>> {
    Arc::new(supervised.iter().map(SupervisedServer::view).collect())
}

/// The position of a server in the top line.
const fn place(service: Service) -> u8 {
    match service {
        Service::Smtp => 0,
        Service::Pop3 => 1,
        Service::Echo => 2,
        Service::Relay => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_this_process_reaches_a_server_on_loopback_while_it_runs() {
        let reached = |addresses: &[&str], condition| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let tls_addresses = Vec::new();
            let view = ServerView { service: Service::Smtp, addresses, tls_addresses, condition };
            let (orders, _) = mpsc::channel(1);
            let (_, servers) = watch::channel(Arc::new(vec![view]));
            let control = Control { orders, servers, settings: Arc::default() };
            assert_eq!(control.address_of(Service::Pop3), None);
            control.address_of(Service::Smtp).map(|address| address.to_string())
        };
        let running = |addresses| reached(addresses, Condition::Running);
        assert_eq!(running(&["127.0.0.1:25", "[::1]:25"]).as_deref(), Some("127.0.0.1:25"));
        assert_eq!(running(&["192.0.2.1:25", "[::1]:25"]).as_deref(), Some("[::1]:25"));
        assert_eq!(running(&["0.0.0.0:25"]).as_deref(), Some("127.0.0.1:25"));
        assert_eq!(running(&["192.0.2.1:25"]).as_deref(), Some("192.0.2.1:25"));
        for condition in [Condition::Stopping, Condition::Stopped, Condition::Failed("x".into())] {
            assert_eq!(reached(&["127.0.0.1:25"], condition), None);
        }
    }
}
