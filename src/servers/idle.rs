//! How long a peer may be silent. Knows no sockets.

use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::servers::settings::Settings;
use crate::watch::event::Service;

/// The idle limit of one connection.
#[derive(Debug)]
pub(super) struct Idle {
    settings: Arc<Settings>,
    service: Service,
    /// `None` if there is no limit.
    deadline: Option<Deadline>,
}

#[derive(Debug)]
struct Deadline {
    limit: Duration,
    /// When the peer was last active.
    since: Instant,
    /// Reset only when it fires too early or when the limit changes: resetting a timer for every
    /// line costs more than handling the line.
    alarm: Pin<Box<Sleep>>,
}

impl Idle {
    /// A limit for this protocol, by settings that may change meanwhile.
    pub(super) fn new(settings: Arc<Settings>, service: Service) -> Self {
        let deadline = settings.idle(service).map(Deadline::new);
        Self { settings, service, deadline }
    }

    /// Starts a new idle period with the current limit.
    pub(super) fn renew(&mut self) {
        match (&mut self.deadline, self.settings.idle(self.service)) {
            (Some(deadline), Some(limit)) => deadline.renew(limit),
            (deadline, limit) => *deadline = limit.map(Deadline::new),
        }
    }

    /// Completes when the peer has been silent for longer than the limit.
    pub(super) async fn passed(&mut self) {
        while let Some(deadline) = &mut self.deadline {
            deadline.alarm.as_mut().await;
            // The limit may have been raised or removed since the timer was set.
            match self.settings.idle(self.service) {
                Some(limit) if deadline.since.elapsed() >= limit => return,
                Some(limit) => deadline.set(limit),
                None => self.deadline = None,
            }
        }
        future::pending::<()>().await;
    }

    /// How many seconds the peer has been silent.
    pub(super) fn seconds(&self) -> u64 {
        self.deadline.as_ref().map_or(0, |deadline| deadline.since.elapsed().as_secs())
    }
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let since = Instant::now();
        Self { limit, since, alarm: Box::pin(sleep_until(since + limit)) }
    }

    fn renew(&mut self, limit: Duration) {
        self.since = Instant::now();
        if limit != self.limit {
            self.set(limit);
        }
    }

    fn set(&mut self, limit: Duration) {
        self.limit = limit;
        self.alarm.as_mut().reset(self.since + limit);
    }
}
