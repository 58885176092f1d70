//! How many connections the relay has at once, so that no host is overrun and none holds up the
//! others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

/// Connections to one host, unless an operator says otherwise. As many as Postfix begins with.
pub const TO_ONE_HOST: usize = 5;

/// Connections in all. As many as Postfix has.
const IN_ALL: usize = 100;

/// The connections of one run.
#[derive(Debug)]
pub struct Limits {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
    to_one_host: usize,
    waits: watch::Sender<Waits>,
}

/// How many wait because all connections are taken, and how many are about to give way to them.
/// That may be counted too low for a moment, so that one too many gives way, but never too high.
#[derive(Debug, Default)]
struct Waits {
    waiting: usize,
    giving: usize,
}

/// The right to one connection; dropped, it passes to the next who waits.
#[derive(Debug)]
pub struct Permit {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Limits {
    fn default() -> Self {
        Self::to_one_host(TO_ONE_HOST)
    }
}

impl Limits {
    /// At most so many connections to one address and port, which is what a host is to us.
    #[must_use]
    pub fn to_one_host(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(IN_ALL)),
            hosts: Mutex::default(),
            to_one_host: most.max(1),
            waits: watch::Sender::default(),
        }
    }

    /// Waits for the right to a connection to `host`; nothing if there will be none. Who waits
    /// for a busy host keeps nobody from another one.
    pub async fn permit(&self, host: SocketAddr) -> Option<Permit> {
        let host = self.host(host).acquire_owned().await.ok()?;
        if let Ok(all) = Arc::clone(&self.all).try_acquire_owned() {
            return Some(Permit { _host: host, _all: all });
        }
        let _wait = Wait::begin(&self.waits);
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _host: host, _all: all })
    }

    /// The right to a connection to `host`, if nobody has to wait for it.
    #[must_use]
    pub fn permit_at_once(&self, host: SocketAddr) -> Option<Permit> {
        let host = self.host(host).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _host: host, _all: all })
    }

    /// Whether nobody would have to wait, but for a busy host.
    #[must_use]
    pub fn have_room(&self) -> bool {
        self.all.available_permits() > 0
    }

    /// Waits until somebody else needs a connection, all being taken, and `protected` has passed.
    /// Whoever is told so must give theirs up.
    pub async fn asked_to_give_way(&self, protected: Duration) {
        sleep(protected).await;
        let mut waits = self.waits.subscribe();
        while !self.is_asked_to_give_way() {
            if waits.changed().await.is_err() {
                // It lives as long as this does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether somebody needs a connection, all being taken, and nobody else is about to give way.
    /// Whoever is told so must give theirs up.
    #[must_use]
    pub fn is_asked_to_give_way(&self) -> bool {
        self.waits.send_if_modified(|waits| {
            let asked = waits.waiting > waits.giving;
            waits.giving += usize::from(asked);
            asked
        })
    }

    fn host(&self, host: SocketAddr) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock();
        let semaphore =
            hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(self.to_one_host)));
        Arc::clone(semaphore)
    }
}

/// Somebody's wait for a connection.
struct Wait<'a>(&'a watch::Sender<Waits>);

impl<'a> Wait<'a> {
    fn begin(waits: &'a watch::Sender<Waits>) -> Self {
        waits.send_modify(|waits| waits.waiting += 1);
        Self(waits)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waits| {
            waits.waiting -= 1;
            waits.giving = waits.giving.saturating_sub(1).min(waits.waiting);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 25))
    }

    async fn is_let_through(limits: &Limits, host: u8) -> Option<Permit> {
        let permit = timeout(Duration::from_secs(1), limits.permit(address(host))).await;
        permit.ok().map(|permit| permit.expect("a permit"))
    }

    async fn all_taken(limits: &Limits) -> Vec<Permit> {
        let mut permits = Vec::new();
        for host in 0..100 {
            permits.push(is_let_through(limits, host).await.expect("a permit"));
        }
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_host_does_not_hold_up_the_others() {
        let limits = Limits::to_one_host(2);
        let first = is_let_through(&limits, 1).await;
        let second = is_let_through(&limits, 1).await;
        assert!(first.is_some() && second.is_some());
        assert!(is_let_through(&limits, 1).await.is_none());
        assert!(limits.permit_at_once(address(1)).is_none());
        assert!(is_let_through(&limits, 2).await.is_some());
        drop(first);
        assert!(is_let_through(&limits, 1).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_a_hundred_connections_in_all() {
        let limits = Limits::default();
        let mut permits = all_taken(&limits).await;
        assert!(is_let_through(&limits, 200).await.is_none());
        assert!(limits.permit_at_once(address(200)).is_none());
        permits.pop();
        assert!(is_let_through(&limits, 200).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_gives_way_for_each_who_waits_and_none_for_nobody() {
        const PROTECTED: Duration = Duration::from_secs(5);
        let limits = Limits::default();
        let permits = all_taken(&limits).await;
        let asked = timeout(Duration::from_hours(1), limits.asked_to_give_way(PROTECTED)).await;
        assert!(asked.is_err() && !limits.is_asked_to_give_way());
        let give_way = async {
            limits.asked_to_give_way(PROTECTED).await;
            drop(permits);
        };
        let (waiting, ()) = tokio::join!(limits.permit(address(200)), give_way);
        assert!(waiting.is_some());
        assert!(!limits.is_asked_to_give_way());
    }
}
