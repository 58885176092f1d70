//! How many connections the relay has at once, so that no host is overrun and none holds up the
//! others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Connections to one address and port: that is what a host is to us.
const TO_ONE_HOST: usize = 2;

/// Connections in all.
const IN_ALL: usize = 20;

/// The connections of one run.
#[derive(Debug)]
pub struct Limits {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
}

/// The right to one connection; dropped, it passes to the next who waits.
#[derive(Debug)]
pub struct Permit {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(IN_ALL)), hosts: Mutex::default() }
    }
}

impl Limits {
    /// Waits for the right to a connection to `host`. Who waits for a busy host keeps nobody from
    /// another one.
    pub async fn permit(&self, host: SocketAddr) -> Result<Permit, AcquireError> {
        let host = self.host(host).acquire_owned().await?;
        let all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Permit { _host: host, _all: all })
    }

    fn host(&self, host: SocketAddr) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let semaphore = hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(TO_ONE_HOST)));
        Arc::clone(semaphore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn is_let_through(limits: &Limits, host: u8) -> Option<Permit> {
        let address = SocketAddr::from(([192, 0, 2, host], 25));
        let permit = timeout(Duration::from_secs(1), limits.permit(address)).await;
        permit.ok().map(|permit| permit.expect("a permit"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_host_does_not_hold_up_the_others() {
        let limits = Limits::default();
        let first = is_let_through(&limits, 1).await;
        let second = is_let_through(&limits, 1).await;
        assert!(first.is_some() && second.is_some());
        assert!(is_let_through(&limits, 1).await.is_none());
        assert!(is_let_through(&limits, 2).await.is_some());
        drop(first);
        assert!(is_let_through(&limits, 1).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_twenty_connections_in_all() {
        let limits = Limits::default();
        let mut permits = Vec::new();
        for host in 0..20 {
            permits.push(is_let_through(&limits, host).await.expect("a permit"));
        }
        assert!(is_let_through(&limits, 99).await.is_none());
        permits.pop();
        assert!(is_let_through(&limits, 99).await.is_some());
    }
}
