//! Limits on simultaneous connections, so that no host is flooded and no slow host delays the
//! others (docs/protocol.md 5.10).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

/// The default for connections to one host. Postfix starts with as many.
pub const TO_ONE_HOST: usize = 5;

/// Connections to all hosts together. The same as Postfix's default.
const IN_ALL: usize = 100;

/// The connection limits of one run.
#[derive(Debug)]
pub struct Limits {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
    to_one_host: usize,
    waits: watch::Sender<Waits>,
}

/// How many tasks wait because all connections are taken, and how many connections are about to be
/// given up for them. `giving` may be too low for a moment, so that one connection too many is
/// given up, but never too high, which would leave a task waiting.
#[derive(Debug, Default)]
struct Waits {
    waiting: usize,
    giving: usize,
}

/// A permit for one connection. Dropping it passes it on to the next waiting task.
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
    /// Allows at most `most` connections to one address and port, which is what counts as a host
    /// here.
    #[must_use]
    pub fn to_one_host(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(IN_ALL)),
            hosts: Mutex::default(),
            // With a limit of 0 no delivery could ever begin.
            to_one_host: most.max(1),
            waits: watch::Sender::default(),
        }
    }

    /// Waits for a permit for a connection to `host`; `None` if the limits are closed. The permit
    /// of the host is taken first, so that tasks waiting for a busy host hold none of the overall
    /// permits.
    pub async fn permit(&self, host: SocketAddr) -> Option<Permit> {
        let host = self.host(host).acquire_owned().await.ok()?;
        if let Ok(all) = Arc::clone(&self.all).try_acquire_owned() {
            return Some(Permit { _host: host, _all: all });
        }
        let _wait = Wait::begin(&self.waits);
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _host: host, _all: all })
    }

    /// A permit for a connection to `host`, if one is free now.
    #[must_use]
    pub fn permit_at_once(&self, host: SocketAddr) -> Option<Permit> {
        let host = self.host(host).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _host: host, _all: all })
    }

    /// Whether the overall limit leaves room for another connection.
    #[must_use]
    pub fn have_room(&self) -> bool {
        self.all.available_permits() > 0
    }

    /// Sleeps for `protected`, then waits until another task needs a connection and all are taken.
    /// The caller must then give up its own.
    pub async fn asked_to_give_way(&self, protected: Duration) {
        sleep(protected).await;
        let mut waits = self.waits.subscribe();
        while !self.is_asked_to_give_way() {
            if waits.changed().await.is_err() {
                // Cannot happen: the sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether another task needs a connection, all are taken, and no other connection is about to
    /// be given up for it. If so, the caller must give up its own.
    #[must_use]
    pub fn is_asked_to_give_way(&self) -> bool {
        // Test and increment are one step, so that two callers are not asked for the same waiting
        // task.
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

/// Counts one waiting task while it lives.
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
            // This task has its connection, so one less must be given up; never more than tasks
            // wait.
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
