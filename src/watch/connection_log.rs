//! A connection as its watchers see it, from `New connection` to `Connection closed`: the
//! transcript and, where there is a console, the registry. Knows neither bytes' way nor protocol.

use std::borrow::Cow;
use std::future;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::watch::event::{ConnectionName, KeptLine, Kind, Service, Side};
use crate::watch::observers::Observers;
use crate::watch::registry::{Connection, Registry, Secrecy};
use crate::watch::secret::Login;
use crate::wire::line::{Line, LineBuffer};
use crate::wire::reads::Reads;

/// Tells the watchers what happens on one connection. Dropping it says that the connection is
/// closed, so that this is said even of one whose task has panicked.
#[derive(Debug)]
pub struct Presence {
    name: ConnectionName,
    transcript: Observers,
    listed: Option<Listed>,
    login: Login,
}

/// A connection's place in the registry.
#[derive(Debug)]
struct Listed {
    registry: Arc<Registry>,
    connection: Arc<Connection>,
}

impl Presence {
    /// Says that a connection has begun.
    #[must_use]
    pub fn opened(
        name: ConnectionName,
        peer: SocketAddr,
        transcript: Observers,
        registry: Option<Arc<Registry>>,
    ) -> Self {
        transcript.tell(name, || Kind::Opened { peer });
        let listed =
            registry.map(|registry| Listed { connection: registry.opened(name, peer), registry });
        Self { name, transcript, listed, login: Login::default() }
    }

    /// What is spoken on it.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.name.service
    }

    /// Whether what happens is told to an observer.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        self.transcript.is_any()
    }

    /// Tells the transcript, if anybody observes.
    pub fn tell(&self, kind: impl FnOnce() -> Kind) {
        self.transcript.tell(self.name, kind);
    }

    /// As [`tell`](Self::tell), of several things that have happened at once.
    pub fn tell_all(&self, kinds: impl Iterator<Item = Kind>) {
        self.transcript.tell_all(self.name, kinds);
    }

    /// A whole line, without its CRLF.
    pub fn line(&self, side: Side, line: &[u8]) {
        self.tell(|| Kind::Line(side, self.judged(side, line, KeptLine::new(line))));
    }

    /// A whole line that has come, and which reads brought it.
    pub fn heard(&self, side: Side, line: &Line<'_>, reads: Reads<'_>) {
        let kept = || KeptLine::arrived(line, reads);
        self.tell(|| Kind::Line(side, self.judged(side, line.beginning(), kept())));
    }

    /// Says of a line whether all of it is secret, which those before it tell.
    fn judged(&self, side: Side, line: &[u8], kept: KeptLine) -> KeptLine {
        match side {
            Side::Client if self.login.hears_client(line) => kept.answer(),
            Side::Client => kept,
            Side::Server => {
                self.login.hears_server(line);
                kept
            }
        }
    }

    /// Notes that a read has ended with what has come, if anybody wants to know.
    pub fn read_ended(&self, input: &mut LineBuffer) {
        if self.transcript.want_reads() {
            input.read_ended();
        }
    }

    /// Whether anybody wants message text line by line.
    #[must_use]
    pub fn wants_text(&self) -> bool {
        self.transcript.want_text()
    }

    /// Octets have come. What is made of them is told by something else.
    pub fn received(&self, octets: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.received(octets);
        }
    }

    /// `line` is the unended line that is left of what has come.
    pub fn unended_line(&self, line: &[u8]) {
        if let Some(listed) = &self.listed {
            let is_answer = self.login.expects(line);
            let secrecy = if is_answer { Secrecy::Answer } else { Secrecy::AsItSays };
            listed.connection.unended_line(line, secrecy);
            // A line that is begun and not ended is told by nothing else.
            if !line.is_empty() {
                listed.registry.changed();
            }
        }
    }

    /// What comes from now on is message text.
    pub fn text_begins(&self) {
        if let Some(listed) = &self.listed {
            listed.connection.text_begins();
        }
    }

    /// A piece of message text has come.
    pub fn text_came(&self, piece: &[u8]) {
        if let Some(listed) = &self.listed {
            listed.connection.text_came(piece);
            listed.registry.changed();
        }
    }

    /// Octets have gone out.
    pub fn sent(&self, octets: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.sent(octets);
            listed.registry.changed();
        }
    }

    /// Messages have found their way: to the disk, to a user or to a mail host.
    pub fn carried(&self, messages: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.carried(messages);
            listed.registry.changed();
        }
    }

    /// This peer is told that there are too many connections.
    pub fn refused(&self) {
        if let Some(listed) = &self.listed {
            listed.registry.refused(&listed.connection);
        }
    }

    /// A batch of work is done, and the conversation is now in `state`.
    pub fn changed(&self, state: impl FnOnce() -> Cow<'static, str>) {
        self.changed_for(None, state);
    }

    /// The same, while the session holds the mailbox of `user`.
    pub fn changed_for(&self, user: Option<&str>, state: impl FnOnce() -> Cow<'static, str>) {
        if let Some(listed) = &self.listed {
            listed.connection.state(state(), user);
            listed.registry.changed();
        }
    }

    /// Waits for the operator to close this connection.
    pub async fn close_requested(&self) {
        match &self.listed {
            Some(listed) => listed.connection.close.cancelled().await,
            None => future::pending().await,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.tell(|| Kind::Closed);
        if let Some(listed) = &self.listed {
            listed.registry.closed(&listed.connection);
        }
    }
}
