//! The connections and their progress, for the console.
//!
//! Servers write here without waiting; the console takes a snapshot whenever the version has
//! changed. Unlike transcript lines, this state is never dropped for lack of room.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::watch::event::{ConnectionName, Service};
use crate::wire::unended::{TextEnd, UNENDED_KEPT};

/// How long a closed connection stays listed.
pub const CLOSED_LISTED_FOR: Duration = Duration::from_secs(30);

/// Maximum number of closed connections listed; beyond it, the oldest are dropped.
pub const CLOSED_LISTED: usize = 200;

/// All connections of a process: those open, and for a short while those closed.
#[derive(Debug, Default)]
pub struct Registry {
    connections: Mutex<Connections>,
    /// Incremented on every change that a snapshot would show.
    version: AtomicU64,
    /// Wakes the task that waits for a change.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    /// Ordered by id, and so by age.
    by_id: BTreeMap<u64, Arc<Connection>>,
    /// Ids of the closed ones in `by_id`, in the order they closed.
    closed: VecDeque<(u64, Instant)>,
    /// What a connection counts itself is added here only when it closes.
    counters: Counters,
}

/// One connection. Its task writes here.
#[derive(Debug)]
pub struct Connection {
    /// Its name in the transcript.
    pub name: ConnectionName,
    /// Address of the client, or of the mail host that the relay connected to.
    pub peer: SocketAddr,
    /// Cancelled when the operator closes the connection; its task then says goodbye and ends.
    pub close: CancellationToken,
    octets_in: AtomicU64,
    octets_out: AtomicU64,
    messages: AtomicU64,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    state: Cow<'static, str>,
    user: Option<String>,
    tls: Option<&'static str>,
    login: Option<String>,
    heard: Instant,
    closed: Option<Instant>,
    unended: Unended,
    unended_since: Instant,
}

/// How much of a peer's unfinished line is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// What follows a command such as PASS or AUTH.
    AsItSays,
    /// All of it: the line answers the server during AUTH.
    Answer,
}

/// Input that the peer has begun and not ended.
#[derive(Debug)]
enum Unended {
    /// The beginning of a line; empty if no line is unfinished.
    Line(Vec<u8>, Secrecy),
    Text(TextEnd),
}

impl Default for Unended {
    fn default() -> Self {
        Self::Line(Vec::new(), Secrecy::AsItSays)
    }
}

impl Unended {
    const fn is_nothing(&self) -> bool {
        match self {
            Self::Line(line, _) => line.is_empty(),
            Self::Text(end) => end.octets().is_empty(),
        }
    }
}

/// The state of a connection at one moment.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    /// Its name in the transcript.
    pub name: ConnectionName,
    /// Address of the client, or of the mail host that the relay connected to.
    pub peer: SocketAddr,
    /// The protocol state in the terms of the RFC: `DATA`, `TRANSACTION linhphan`.
    pub state: Cow<'static, str>,
    /// The user who has logged in and holds the mailbox of this name: POP3 in TRANSACTION only.
    pub user: Option<String>,
    /// The version of TLS that secures it, such as `TLS 1.3`; `None` in the clear.
    pub tls: Option<&'static str>,
    /// Who has logged in, as far as the session does not show it.
    pub login: Option<String>,
    /// When input last came from the peer.
    pub heard: Instant,
    /// When it closed; `None` while it is open.
    pub closed: Option<Instant>,
    /// Octets received from the peer.
    pub octets_in: u64,
    /// Octets sent to the peer.
    pub octets_out: u64,
    /// The peer's unfinished line, unescaped, at most [`UNENDED_KEPT`] octets of it; empty if no
    /// line is unfinished.
    pub partial: Vec<u8>,
    /// How much of `partial` is secret.
    pub secrecy: Secrecy,
    /// The last octets of unfinished message text; `None` outside message text.
    pub text: Option<TextEnd>,
    /// Since when the unfinished line, or the last line of the text, has been there.
    pub partial_since: Instant,
}

/// The contents of the registry at one moment.
#[derive(Debug, Clone, Default)]
pub struct RegistryView {
    /// The listed connections, oldest first.
    pub connections: Vec<ConnectionView>,
    /// Connections opened since the program started.
    pub opened: u64,
    /// Counts of each server and of the relay.
    pub counters: Counters,
}

/// What one server, or the relay, has done since the program started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections opened, including those refused.
    pub opened: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Octets received from peers.
    pub octets_in: u64,
    /// Octets sent to peers.
    pub octets_out: u64,
    /// Messages: stored and acknowledged by SMTP, sent whole by POP3's RETR, or accepted from the
    /// relay by a mail host (one per recipient).
    pub messages: u64,
}

/// Counts of each server and of the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    echo: Counts,
    smtp: Counts,
    pop3: Counts,
    relay: Counts,
}

impl Counters {
    fn opened(&self) -> u64 {
        [self.echo, self.smtp, self.pop3, self.relay].iter().map(|counts| counts.opened).sum()
    }
}

impl Index<Service> for Counters {
    type Output = Counts;

    fn index(&self, service: Service) -> &Counts {
        match service {
            Service::Echo => &self.echo,
            Service::Smtp => &self.smtp,
            Service::Pop3 => &self.pop3,
            Service::Relay => &self.relay,
        }
    }
}

impl IndexMut<Service> for Counters {
    fn index_mut(&mut self, service: Service) -> &mut Counts {
        match service {
            Service::Echo => &mut self.echo,
            Service::Smtp => &mut self.smtp,
            Service::Pop3 => &mut self.pop3,
            Service::Relay => &mut self.relay,
        }
    }
}

impl Registry {
    /// A number that changes whenever a new [`view`](Self::view) would differ from the last.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Lists a new connection, until [`closed`](Self::closed) is called for it.
    pub fn opened(&self, name: ConnectionName, peer: SocketAddr) -> Arc<Connection> {
        let now = Instant::now();
        let progress = Progress {
            state: Cow::Borrowed(""),
            user: None,
            tls: None,
            login: None,
            heard: now,
            closed: None,
            unended: Unended::default(),
            unended_since: now,
        };
        let connection = Arc::new(Connection {
            name,
            peer,
            close: CancellationToken::new(),
            octets_in: AtomicU64::new(0),
            octets_out: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            progress: Mutex::new(progress),
        });
        let mut connections = self.lock();
        connections.counters[name.service].opened += 1;
        connections.counters[name.service].open += 1;
        connections.by_id.insert(name.id, Arc::clone(&connection));
        self.changed();
        connection
    }

    /// Marks a connection as closed.
    pub fn closed(&self, connection: &Connection) {
        let now = Instant::now();
        let mut connections = self.lock();
        // Locked in the same order as in `view`: the registry, then the connection.
        connection.lock().closed = Some(now);
        let counts = &mut connections.counters[connection.name.service];
        counts.open -= 1;
        connection.count_into(counts);
        connections.closed.push_back((connection.name.id, now));
        connections.forget_old_ones();
        self.changed();
    }

    /// Counts a listed connection as refused because there are too many.
    pub fn refused(&self, connection: &Connection) {
        self.lock().counters[connection.name.service].refused += 1;
        self.changed();
    }

    /// Counts a connection that was refused at once and is not listed.
    pub fn turned_away(&self, service: Service) {
        let counts = &mut self.lock().counters[service];
        counts.opened += 1;
        counts.refused += 1;
        self.changed();
    }

    /// Closes a connection at the operator's request, with a goodbye. Does nothing if it is closed
    /// already.
    pub fn close(&self, id: u64) {
        if let Some(connection) = self.lock().by_id.get(&id) {
            connection.close.cancel();
        }
    }

    /// Notes a change that the console should show.
    pub fn changed(&self) {
        self.version.fetch_add(1, Relaxed);
        // Stores a permit if no task waits, so that no change is missed.
        self.moved.notify_one();
    }

    /// Waits for a change. Several changes may arrive as one; only one waiter is woken.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// A snapshot of all listed connections.
    #[must_use]
    pub fn view(&self) -> RegistryView {
        let mut connections = self.lock();
        connections.forget_old_ones();
        let counters = connections.counters();
        RegistryView {
            connections: connections.by_id.values().map(|connection| connection.view()).collect(),
            opened: counters.opened(),
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock()
    }
}

impl Connections {
    /// The counters, including what open connections have counted so far.
    fn counters(&self) -> Counters {
        let mut counters = self.counters;
        for connection in self.by_id.values().filter(|connection| connection.is_open()) {
            connection.count_into(&mut counters[connection.name.service]);
        }
        counters
    }

    fn forget_old_ones(&mut self) {
        while let Some(&(id, at)) = self.closed.front() {
            if self.closed.len() <= CLOSED_LISTED && at.elapsed() <= CLOSED_LISTED_FOR {
                return;
            }
            self.closed.pop_front();
            self.by_id.remove(&id);
        }
    }
}

impl Connection {
    /// Counts octets received.
    pub fn received(&self, octets: usize) {
        self.octets_in.fetch_add(octets as u64, Relaxed);
    }

    /// Notes the unfinished line that remains after all whole lines were taken.
    pub fn unended_line(&self, line: &[u8], secrecy: Secrecy) {
        let mut progress = self.lock();
        let now = Instant::now();
        progress.heard = now;
        if progress.unended.is_nothing() {
            progress.unended_since = now;
        }
        let kept = line.get(..UNENDED_KEPT).unwrap_or(line);
        progress.unended = Unended::Line(kept.to_vec(), secrecy);
    }

    /// Notes that message text begins.
    pub fn text_begins(&self) {
        self.lock().unended = Unended::Text(TextEnd::default());
    }

    /// Notes a piece of message text.
    pub fn text_came(&self, piece: &[u8]) {
        let mut progress = self.lock();
        let now = Instant::now();
        progress.heard = now;
        let was_nothing = progress.unended.is_nothing();
        let Unended::Text(end) = &mut progress.unended else { return };
        if end.push(piece) || was_nothing {
            progress.unended_since = now;
        }
    }

    /// Counts octets sent.
    pub fn sent(&self, octets: usize) {
        self.octets_out.fetch_add(octets as u64, Relaxed);
    }

    /// Notes the version of TLS that secures the connection.
    pub fn secured(&self, version: &'static str) {
        let mut progress = self.lock();
        progress.tls = Some(version);
        // Whoever had logged in before has to do it again (RFC 3207 section 4.2).
        progress.login = None;
    }

    /// Notes who has logged in.
    pub fn logged_in(&self, name: &str) {
        self.lock().login = Some(name.to_owned());
    }

    /// Counts messages delivered.
    pub fn carried(&self, messages: usize) {
        self.messages.fetch_add(messages as u64, Relaxed);
    }

    /// Notes the protocol's state, and the user whose mailbox the session holds, if it holds one.
    pub fn state(&self, state: Cow<'static, str>, user: Option<&str>) {
        let mut progress = self.lock();
        progress.state = state;
        // The same user after every command: nothing to allocate.
        if progress.user.as_deref() != user {
            progress.user = user.map(str::to_owned);
        }
    }

    fn is_open(&self) -> bool {
        self.lock().closed.is_none()
    }

    fn count_into(&self, counts: &mut Counts) {
        counts.octets_in += self.octets_in.load(Relaxed);
        counts.octets_out += self.octets_out.load(Relaxed);
        counts.messages += self.messages.load(Relaxed);
    }

    fn view(&self) -> ConnectionView {
        let progress = self.lock();
        let (partial, secrecy, text) = match &progress.unended {
            Unended::Line(line, secrecy) => (line.clone(), *secrecy, None),
            Unended::Text(end) => (Vec::new(), Secrecy::AsItSays, Some(end.clone())),
        };
        ConnectionView {
            name: self.name,
            peer: self.peer,
            state: progress.state.clone(),
            user: progress.user.clone(),
            tls: progress.tls,
            login: progress.login.clone(),
            heard: progress.heard,
            closed: progress.closed,
            octets_in: self.octets_in.load(Relaxed),
            octets_out: self.octets_out.load(Relaxed),
            partial,
            secrecy,
            text,
            partial_since: progress.unended_since,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock()
    }
}
