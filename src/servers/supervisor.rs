//! Starts and stops the servers one by one at an operator's word, while the others run, and
//! changes the settings that they go by. Knows nobody who gives the word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::servers::listener::{Addresses, Shared, Term};
use crate::servers::settings::{Setting, Settings, SettingsView};
pub use crate::servers::supervised::{Change, Condition, ServerView};
use crate::servers::supervised::{Station, Task};
use crate::watch::event::Service;

/// Orders that may wait.
const WAITING: usize = 64;

/// What an operator wants of one of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOrder {
    /// Which server.
    pub service: Service,
    /// What it is to do.
    pub what: Change,
}

/// How an operator reaches the servers.
#[derive(Debug, Clone)]
pub struct Control {
    /// Takes what the operator wants of a server; what came of it stands in its condition.
    pub orders: mpsc::Sender<ServerOrder>,
    /// The servers of this process as they are now, in the order of the top line.
    pub servers: watch::Receiver<Arc<Vec<ServerView>>>,
    settings: Arc<Settings>,
}

impl Control {
    /// Where a client in this process reaches a server now; nowhere while it does not run.
    #[must_use]
    pub fn address_of(&self, service: Service) -> Option<SocketAddr> {
        let servers = self.servers.borrow();
        let server = servers.iter().find(|server| server.service == service)?;
        let addresses = (server.condition == Condition::Running).then_some(&server.addresses)?;
        let nearest = addresses.iter().find(|address| address.ip().is_loopback());
        nearest.or(addresses.first()).copied().map(within_this_machine)
    }

    /// Changes a setting; returns what holds from now on.
    #[must_use]
    pub fn set(&self, setting: Setting) -> SettingsView {
        self.settings.set(setting);
        self.settings.view()
    }
}

/// Who listens on every address is reached on the loopback one.
fn within_this_machine(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Carries the orders out, one after the other. It waits for no server to end: the others can be
/// given orders meanwhile.
#[derive(Debug)]
pub struct Switchboard {
    stations: Vec<Station>,
    addresses: Addresses,
    shared: Arc<Shared>,
    /// That of the process; each start of a server has one within it.
    term: Term,
    orders: mpsc::Receiver<ServerOrder>,
    shown: watch::Sender<Arc<Vec<ServerView>>>,
    /// The servers that are ending.
    stopping: JoinSet<Service>,
}

impl Switchboard {
    /// Begins to work in `term`, and ends the servers with it.
    #[must_use]
    pub fn start(
        mut stations: Vec<Station>,
        addresses: Addresses,
        shared: Arc<Shared>,
        term: &Term,
    ) -> Control {
        stations.sort_by_key(|station| place(station.service()));
        let (give, orders) = mpsc::channel(WAITING);
        let (shown, servers) = watch::channel(views(&stations));
        let settings = Arc::clone(&shared.settings);
        let term = term.clone();
        let tasks = term.tasks.clone();
        let stopping = JoinSet::new();
        let switchboard = Self { stations, addresses, shared, term, orders, shown, stopping };
        tasks.spawn(switchboard.work());
        Control { orders: give, servers, settings }
    }

    async fn work(mut self) {
        let ending = self.term.ending.clone();
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
        let Some(station) = self.station(service) else { return };
        let task = station.take(what);
        self.carry_out(service, task).await;
    }

    async fn stopped(&mut self, service: Service) {
        let Some(station) = self.station(service) else { return };
        let task = station.stopped();
        self.carry_out(service, task).await;
    }

    async fn carry_out(&mut self, service: Service, task: Task) {
        match task {
            Task::Nothing => {}
            Task::End(term) => self.see_off(service, term),
            Task::Start => self.begin(service).await,
        }
    }

    fn see_off(&mut self, service: Service, term: Term) {
        term.ending.cancel();
        self.stopping.spawn(async move {
            term.end().await;
            service
        });
    }

    async fn begin(&mut self, service: Service) {
        let Self { stations, addresses, shared, term, .. } = self;
        if let Some(station) = stations.iter_mut().find(|one| one.service() == service) {
            station.start(addresses, shared, term.within()).await;
        }
    }

    /// Waits for all servers, also for those that have been stopping for a while.
    async fn end(&mut self) {
        let services: Vec<Service> = self.stations.iter().map(Station::service).collect();
        for service in services {
            self.take(ServerOrder { service, what: Change::Stop }).await;
        }
        while self.stopping.join_next().await.is_some() {}
    }

    fn show(&self) {
        let now = views(&self.stations);
        self.shown.send_if_modified(|shown| {
            let is_news = *shown != now;
            *shown = now;
            is_news
        });
    }

    fn station(&mut self, service: Service) -> Option<&mut Station> {
        self.stations.iter_mut().find(|station| station.service() == service)
    }
}

fn views(stations: &[Station]) -> Arc<Vec<ServerView>> {
    Arc::new(stations.iter().map(Station::view).collect())
}

/// A server's place in the top line.
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
            let view = ServerView { service: Service::Smtp, addresses, condition };
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
