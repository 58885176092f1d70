//! Which connections there are and how far each is: the state plane of the console.
//!
//! The servers write here and never wait; a reader takes a snapshot when the version has moved.
//! Unlike the transcript, nothing here is ever dropped for want of room.

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

/// How long a closed connection is still listed.
pub const CLOSED_LISTED_FOR: Duration = Duration::from_secs(30);

/// Closed connections listed at most; of more, the oldest go first.
pub const CLOSED_LISTED: usize = 200;

/// All connections of a process: the open ones, and for a short while the closed ones.
#[derive(Debug, Default)]
pub struct Registry {
    connections: Mutex<Connections>,
    /// Moves whenever anything changed that a snapshot would show.
    version: AtomicU64,
    /// Wakes who waits for that.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    by_id: BTreeMap<u64, Arc<Connection>>,
    /// The closed ones among them, in the order they closed.
    closed: VecDeque<(u64, Instant)>,
    /// What connections have counted themselves is in here only once they are closed.
    counters: Counters,
}

/// One connection, written by its task.
#[derive(Debug)]
pub struct Connection {
    /// Its name in the transcript.
    pub name: ConnectionName,
    /// Who connected, or whom the relay connected to.
    pub peer: SocketAddr,
    /// Closes the connection, with its farewell, at the operator's word.
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
    heard: Instant,
    closed: Option<Instant>,
    unended: Unended,
    unended_since: Instant,
}

/// How much of what a peer has begun is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// What follows the commands that say so.
    AsItSays,
    /// All of it: it answers a server that somebody logs in to.
    Answer,
}

/// What a peer has begun and not ended.
#[derive(Debug)]
enum Unended {
    /// The beginning of a line; empty where all have ended.
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

/// A connection at one moment.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    /// Its name in the transcript.
    pub name: ConnectionName,
    /// Who connected.
    pub peer: SocketAddr,
    /// The protocol's state in the RFC's words: `DATA`, `TRANSACTION linhphan`.
    pub state: Cow<'static, str>,
    /// The user who has logged in and holds the mailbox of this name: POP3 in TRANSACTION only.
    pub user: Option<String>,
    /// When something last came from the peer.
    pub heard: Instant,
    /// When it ended, if it has.
    pub closed: Option<Instant>,
    /// Octets that came from the peer.
    pub octets_in: u64,
    /// Octets that went to it.
    pub octets_out: u64,
    /// The line that the peer has begun and not ended, at most [`UNENDED_KEPT`] octets of it, not
    /// escaped; empty where all have ended.
    pub partial: Vec<u8>,
    /// How much of that is secret.
    pub secrecy: Secrecy,
    /// The end of message text that has not ended.
    pub text: Option<TextEnd>,
    /// Since when the line stands there, or the text's last line.
    pub partial_since: Instant,
}

/// What the registry holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct RegistryView {
    /// Oldest first.
    pub connections: Vec<ConnectionView>,
    /// How many there have ever been.
    pub opened: u64,
    /// What each server and the relay have had to do.
    pub counters: Counters,
}

/// What one server, or the relay, has had to do since the program started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections there have ever been.
    pub opened: u64,
    /// How many of them are open.
    pub open: u64,
    /// How many of them were told that there are too many.
    pub refused: u64,
    /// Octets that came from peers.
    pub octets_in: u64,
    /// Octets that went to them.
    pub octets_out: u64,
    /// Messages: stored and acknowledged by SMTP, given out whole by POP3's RETR, taken from the
    /// relay by a mail host, once for each recipient.
    pub messages: u64,
}

/// The counts of each server and of the relay.
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
    /// Moves whenever a new [`view`](Self::view) would differ from the last.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Lists a connection; [`closed`](Self::closed) ends it.
    pub fn opened(&self, name: ConnectionName, peer: SocketAddr) -> Arc<Connection> {
        let now = Instant::now();
        let progress = Progress {
            state: Cow::Borrowed(""),
            user: None,
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

    /// Says that a connection has ended.
    pub fn closed(&self, connection: &Connection) {
        let now = Instant::now();
        let mut connections = self.lock();
        connection.lock().closed = Some(now);
        let counts = &mut connections.counters[connection.name.service];
        counts.open -= 1;
        connection.count_into(counts);
        connections.closed.push_back((connection.name.id, now));
        connections.forget_old_ones();
        self.changed();
    }

    /// Says that a listed connection was told that there are too many.
    pub fn refused(&self, connection: &Connection) {
        self.lock().counters[connection.name.service].refused += 1;
        self.changed();
    }

    /// Says that there was a connection that was told so at once and is not listed.
    pub fn turned_away(&self, service: Service) {
        let counts = &mut self.lock().counters[service];
        counts.opened += 1;
        counts.refused += 1;
        self.changed();
    }

    /// Closes a connection, with its farewell, at the operator's word; one that has ended already
    /// is left alone.
    pub fn close(&self, id: u64) {
        if let Some(connection) = self.lock().by_id.get(&id) {
            connection.close.cancel();
        }
    }

    /// Says that something worth showing has happened on a connection.
    pub fn changed(&self) {
        self.version.fetch_add(1, Relaxed);
        self.moved.notify_one();
    }

    /// Waits until the version has moved. Many reasons may come as one; one waiter is woken.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// The connections as they are now.
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
    /// The counters, with what open connections have counted so far.
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
    /// Notes what has come.
    pub fn received(&self, octets: usize) {
        self.octets_in.fetch_add(octets as u64, Relaxed);
    }

    /// Notes the unended line that is left of what has come.
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

    /// Notes what has gone out.
    pub fn sent(&self, octets: usize) {
        self.octets_out.fetch_add(octets as u64, Relaxed);
    }

    /// Notes messages that have found their way.
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
