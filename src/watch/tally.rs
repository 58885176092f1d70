//! What the servers count at all times, whoever observes them. Independent of the console's
//! [`registry`](crate::watch::registry), which counts for each service and only for a screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::watch::event::Service;

/// Counters of all servers of a process.
#[derive(Debug, Default)]
pub struct Tally {
    messages: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
    open: AtomicU64,
    echo: AtomicU64,
    smtp: AtomicU64,
    pop3: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions whose final dot, or last chunk, was answered 250.
    pub messages: u64,
    /// MAIL, RCPT and DATA (with BDAT and the final dot) that were answered 4xx or 5xx.
    pub refused: u64,
    /// Faults that were played on purpose.
    pub faults: u64,
    /// Connections to the servers that are open now.
    pub sessions_open: u64,
    /// Connections to the servers so far, with those that were told that there are too many.
    pub sessions_total: u64,
    /// Those of them to the echo server.
    pub sessions_echo: u64,
    /// Those of them to the SMTP server.
    pub sessions_smtp: u64,
    /// Those of them to the POP3 server.
    pub sessions_pop3: u64,
}

impl Tally {
    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [echo, smtp, pop3] =
            [&self.echo, &self.smtp, &self.pop3].map(|total| total.load(Relaxed));
        Counts {
            messages: self.messages.load(Relaxed),
            refused: self.refused.load(Relaxed),
            faults: self.faults.load(Relaxed),
            sessions_open: self.open.load(Relaxed),
            sessions_total: echo + smtp + pop3,
            sessions_echo: echo,
            sessions_smtp: smtp,
            sessions_pop3: pop3,
        }
    }

    /// Counts a message that was answered 250.
    pub fn message(&self) {
        self.messages.fetch_add(1, Relaxed);
    }

    /// Counts a refused MAIL, RCPT, DATA or BDAT.
    pub fn refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a fault that was played on purpose.
    pub fn fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// Counts a session of a server, which is open until the result is dropped.
    #[must_use]
    pub fn session(self: &Arc<Self>, service: Service) -> OpenSession {
        self.open.fetch_add(1, Relaxed);
        match service {
            Service::Echo => self.echo.fetch_add(1, Relaxed),
            Service::Smtp => self.smtp.fetch_add(1, Relaxed),
            Service::Pop3 => self.pop3.fetch_add(1, Relaxed),
            // It has no clients.
            Service::Relay => 0,
        };
        OpenSession(Arc::clone(self))
    }
}

/// A session that is counted as open.
#[derive(Debug)]
pub struct OpenSession(Arc<Tally>);

impl OpenSession {
    /// The counters that it is counted in.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_counted_in_its_place() {
        let tally = Arc::new(Tally::default());
        let (first, second) = (tally.session(Service::Smtp), tally.session(Service::Pop3));
        drop(first);
        second.tally().message();
        second.tally().refusal();
        second.tally().refusal();
        tally.fault();
        let counts = tally.counts();
        assert_eq!((counts.messages, counts.refused, counts.faults), (1, 2, 1));
        assert_eq!((counts.sessions_open, counts.sessions_total), (1, 2));
        assert_eq!((counts.sessions_echo, counts.sessions_smtp, counts.sessions_pop3), (0, 1, 1));
    }
}
