//! Reports one connection to its observers, from `New connection` to `Connection closed`: to the
//! transcript and, if there is a console, to the registry. Independent of the protocol.

use std::borrow::Cow;
use std::future;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::watch::event::{ConnectionName, KeptLine, Kind, Service, Side};
use crate::watch::fact::Fact;
use crate::watch::observers::{FactsWanted, Observers, Said};
use crate::watch::registry::{Connection, Registry, Secrecy};
use crate::watch::secret::Login;
use crate::wire::line::{Line, LineBuffer};
use crate::wire::reads::Reads;

/// Reports what happens on one connection. Dropping it reports the connection as closed, so that
/// this is reported even if the connection's task panics.
#[derive(Debug)]
pub struct ConnectionLog {
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

impl ConnectionLog {
    /// Reports a new connection. `registry` is `None` without a console.
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

    /// The connection's name.
    #[must_use]
    pub const fn name(&self) -> ConnectionName {
        self.name
    }

    /// The protocol spoken on the connection.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.name.service
    }

    /// Whether anybody sees what happens: an observer, or the console.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        self.transcript.is_any() || self.listed.is_some()
    }

    /// Reports to the transcript; `kind` is called only if there is an observer.
    pub fn tell(&self, kind: impl FnOnce() -> Kind) {
        self.transcript.tell(self.name, kind);
    }

    /// Reports what has come of the conversation; `fact` is called only if an observer wants facts.
    pub fn tell_fact(&self, fact: impl FnOnce() -> Fact) {
        self.transcript.tell_fact(Some(self.name), fact);
    }

    /// Its observers.
    #[must_use]
    pub const fn observers(&self) -> &Observers {
        &self.transcript
    }

    /// How much the observers want to know of what has come of the conversation.
    #[must_use]
    pub fn facts_wanted(&self) -> FactsWanted {
        self.transcript.facts_wanted()
    }

    /// As [`tell`](Self::tell), for several events that happened at once.
    pub fn tell_all(&self, kinds: impl Iterator<Item = Kind>) {
        self.transcript.tell_all(self.name, kinds);
    }

    /// Reports a whole line, given without its CRLF.
    pub fn line(&self, side: Side, line: &[u8]) {
        self.tell_line(side, Line::Whole(line), || KeptLine::new(line));
    }

    /// Reports a whole line that has arrived, with the ends of the reads that brought it.
    pub fn heard(&self, side: Side, line: &Line<'_>, reads: Reads<'_>) {
        self.tell_line(side, *line, || KeptLine::arrived(line, reads));
    }

    /// Reports a line that an operator has put in the place of what was said.
    pub fn edited(&self, side: Side, line: &[u8]) {
        self.tell_line(side, Line::Whole(line), || KeptLine::new(line).edited());
    }

    /// Reports a line, marked as secret as a whole if the lines before it say so: an answer during
    /// AUTH.
    fn tell_line(&self, side: Side, line: Line<'_>, kept: impl FnOnce() -> KeptLine) {
        if !self.is_observed() {
            return;
        }
        let is_answer = self.judge(side, line.beginning());
        self.transcript.tell_line(self.name, Said { side, line, is_answer }, || {
            let kept = kept();
            if is_answer { kept.answer() } else { kept }
        });
    }

    /// Whether all of a line is secret.
    fn judge(&self, side: Side, line: &[u8]) -> bool {
        match side {
            Side::Client => self.login.hears_client(line),
            Side::Server => {
                self.login.hears_server(line);
                false
            }
        }
    }

    /// Notes in `input` that a read has ended, if an observer wants to know.
    pub fn read_ended(&self, input: &mut LineBuffer) {
        if self.transcript.want_reads() {
            input.read_ended();
        }
    }

    /// Whether an observer wants message text line by line.
    #[must_use]
    pub fn wants_text(&self) -> bool {
        self.transcript.want_text()
    }

    /// Counts octets received. The caller reports what they contain separately.
    pub fn received(&self, octets: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.received(octets);
        }
    }

    /// Reports the unfinished `line` that remains in the input after all whole lines were taken.
    pub fn unended_line(&self, line: &[u8]) {
        if let Some(listed) = &self.listed {
            // The peer of the relay is the server, which answers nothing.
            let is_answer = self.name.service != Service::Relay && self.login.expects(line);
            let secrecy = if is_answer { Secrecy::Answer } else { Secrecy::AsItSays };
            listed.connection.unended_line(line, secrecy);
            // No other report follows for a line that has not ended, so the screen must learn of it
            // here.
            if !line.is_empty() {
                listed.registry.changed();
            }
        }
    }

    /// Reports that message text begins.
    pub fn text_begins(&self) {
        if let Some(listed) = &self.listed {
            listed.connection.text_begins();
        }
    }

    /// Reports a piece of message text that has arrived.
    pub fn text_came(&self, piece: &[u8]) {
        if let Some(listed) = &self.listed {
            listed.connection.text_came(piece);
            listed.registry.changed();
        }
    }

    /// Counts octets sent.
    pub fn sent(&self, octets: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.sent(octets);
            listed.registry.changed();
        }
    }

    /// Counts messages delivered: to the disk, to a user or to a mail host.
    pub fn carried(&self, messages: usize) {
        if let Some(listed) = &self.listed {
            listed.connection.carried(messages);
            listed.registry.changed();
        }
    }

    /// Reports that the connection is secured, by which version of TLS: `TLS 1.3`.
    pub fn secured(&self, version: &'static str) {
        if let Some(listed) = &self.listed {
            listed.connection.secured(version);
            listed.registry.changed();
        }
    }

    /// Reports who has logged in.
    pub fn logged_in(&self, name: &str) {
        if let Some(listed) = &self.listed {
            listed.connection.logged_in(name);
            listed.registry.changed();
        }
    }

    /// Marks this connection as refused because there are too many.
    pub fn refused(&self) {
        if let Some(listed) = &self.listed {
            listed.registry.refused(&listed.connection);
        }
    }

    /// Reports that a batch of work is done and the conversation is now in `state`.
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

    /// Completes when the operator closes this connection; never if there is no console.
    pub async fn close_requested(&self) {
        match &self.listed {
            Some(listed) => listed.connection.close.cancelled().await,
            // Without a console no operator can ask for it.
            None => future::pending().await,
        }
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.tell(|| Kind::Closed);
        if let Some(listed) = &self.listed {
            listed.registry.closed(&listed.connection);
        }
    }
}
