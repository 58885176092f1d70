//! Listening sockets and accepting connections: the limit of simultaneous connections, and what
//! happens when the machine runs out of a resource. Independent of the protocol.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fault::faults::Faults;
use crate::servers::attendance::Attendance;
use crate::servers::channel::{Channel, Place, Security};
use crate::servers::holds::Holds;
use crate::servers::limits::{ACCEPT_PAUSE, BACKLOG, PORT_CHOICES, REFUSALS, RESERVED_DESCRIPTORS};
use crate::servers::serve::{Service, refuse, serve};
use crate::servers::session::{Farewell, Session};
use crate::servers::settings::Settings;
use crate::servers::tls::Tls;
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{self, ConnectionName};
use crate::watch::observers::Observers;
use crate::watch::registry::Registry;
use crate::watch::tally::Tally;

/// A protocol that a [`Listener`] can serve.
pub trait Server: Send + Sync + 'static {
    /// The state machine of one connection.
    type Session: Session + 'static;
    /// Carries out the effects of a session.
    type Service: Service<
            Effect = <Self::Session as Session>::Effect,
            Outcome = <Self::Session as Session>::Outcome,
        > + 'static;
    /// The name of the protocol.
    const PROTOCOL: event::Service;

    /// Creates a session for a connection from `peer`.
    fn open(&self, peer: SocketAddr) -> (Self::Session, Self::Service);
}

/// The addresses to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// 127.0.0.1 and, if the machine has it, `::1`: clients resolve `localhost` to either.
    Loopback,
    /// Exactly these addresses.
    Only(Vec<IpAddr>),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {source}")]
pub struct BindError {
    /// The address and port.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// Listens on `port` of all the addresses. With port 0 the system chooses one port that is free on
/// all of them.
///
/// # Errors
///
/// The first address that cannot be listened on; then none is.
pub fn bind(addresses: &Addresses, port: u16) -> Result<Vec<TcpListener>, BindError> {
    let mut outcome = bind_all(addresses, port);
    for _ in 1..PORT_CHOICES {
        match &outcome {
            // The system chose a port that is free on the first address only: it chooses again.
            Err(error) if port == 0 && error.source.kind() == io::ErrorKind::AddrInUse => {
                outcome = bind_all(addresses, port);
            }
            _ => break,
        }
    }
    outcome
}

fn bind_all(addresses: &Addresses, port: u16) -> Result<Vec<TcpListener>, BindError> {
    let Addresses::Only(addresses) = addresses else {
        return bind_loopback(port);
    };
    let mut port = port;
    let mut listeners = Vec::new();
    let has_ipv4 = addresses.iter().any(IpAddr::is_ipv4);
    for &address in addresses {
        // All addresses of IPv6 take IPv4 too, unless it has addresses of its own.
        let families = match address {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) if !has_ipv4 => Families::Both,
            _ => Families::Own,
        };
        let listener = bind_one(SocketAddr::new(address, port), families)?;
        port = chosen_port(&listener, port);
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind_loopback(port: u16) -> Result<Vec<TcpListener>, BindError> {
    let ipv4 = bind_one((Ipv4Addr::LOCALHOST, port).into(), Families::Own)?;
    let port = chosen_port(&ipv4, port);
    match bind_one((Ipv6Addr::LOCALHOST, port).into(), Families::Own) {
        Ok(ipv6) => Ok(vec![ipv4, ipv6]),
        Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => Err(error),
        // This machine has no IPv6.
        Err(_) => Ok(vec![ipv4]),
    }
}

fn chosen_port(listener: &TcpListener, asked: u16) -> u16 {
    listener.local_addr().map_or(asked, |address| address.port())
}

/// From which families of addresses a socket takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Families {
    /// That of its address.
    Own,
    /// IPv6 and IPv4, where the system can.
    Both,
}

fn bind_one(address: SocketAddr, families: Families) -> Result<TcpListener, BindError> {
    listen(address, families).map_err(|source| BindError { address, source })
}

fn listen(address: SocketAddr, families: Families) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // SO_REUSEADDR: otherwise connections of a process that has just ended would keep the port in
    // use.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has a listener of its own, whose bind a dual-stack socket would make fail.
        let takes_ipv4 = families == Families::Both && socket.set_only_v6(false).is_ok();
        if !takes_ipv4 {
            socket.set_only_v6(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The lifetime of the whole process's service or of one server: a token that ends it, and the
/// tasks that must have ended by then.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// Cancelled to end the term.
    pub ending: CancellationToken,
    /// All tasks of the term; [`end`](Self::end) waits for them.
    pub tasks: TaskTracker,
}

impl Lifetime {
    /// A term that ends with this one, or earlier by itself. Only its own [`end`](Self::end) waits
    /// for its tasks.
    #[must_use]
    pub fn within(&self) -> Self {
        Self { ending: self.ending.child_token(), tasks: TaskTracker::new() }
    }

    /// Ends the term: no new connections, and a farewell to the open ones. Returns when the last
    /// task has ended.
    pub async fn end(&self) {
        self.ending.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What all connections of a process share, whatever server they belong to.
#[derive(Debug)]
pub struct Shared {
    /// Receives the transcript.
    pub transcript: Observers,
    /// Lists the open connections for the console; `None` without a console.
    pub registry: Option<Arc<Registry>>,
    /// Settings that may change at run time.
    pub settings: Arc<Settings>,
    /// The next connection id, shared with the relay.
    pub ids: Arc<AtomicU64>,
    /// Counts what comes of all conversations.
    pub tally: Arc<Tally>,
    /// Performs TLS handshakes; `None` where TLS is not set up.
    pub tls: Option<Arc<Tls>>,
    /// Counts the clients, where somebody waits for the last one to go.
    pub attendance: Option<Attendance>,
    /// The faults that are played on purpose.
    pub faults: Arc<Faults>,
    /// The breakpoints, and what is held at them.
    pub holds: Arc<Holds>,
    room: Room,
}

impl Shared {
    /// Allows `connections` simultaneous connections in a process with a limit of `descriptors`
    /// file descriptors.
    #[must_use]
    pub fn new(
        transcript: Observers,
        registry: Option<Arc<Registry>>,
        settings: Arc<Settings>,
        connections: usize,
        descriptors: usize,
    ) -> Self {
        Self {
            transcript,
            registry,
            settings,
            room: Room::new(connections, descriptors),
            ids: Arc::new(AtomicU64::new(1)),
            tally: Arc::default(),
            tls: None,
            attendance: None,
            faults: Arc::default(),
            holds: Arc::default(),
        }
    }

    /// The same, with these faults.
    #[must_use]
    pub fn with_faults(self, faults: Arc<Faults>) -> Self {
        Self { faults, ..self }
    }

    /// The same, with these breakpoints.
    #[must_use]
    pub fn with_holds(self, holds: Arc<Holds>) -> Self {
        Self { holds, ..self }
    }

    /// The same, with clients counted.
    #[must_use]
    pub fn with_attendance(self, attendance: Option<Attendance>) -> Self {
        Self { attendance, ..self }
    }

    /// The same, with TLS set up.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// How connections come to TLS whose listeners say when.
    fn security(&self, begins: TlsBegins) -> Security {
        match (self.tls.clone(), begins) {
            (Some(tls), TlsBegins::OnRequest) => Security::OnRequest(tls),
            (Some(tls), TlsBegins::AtOnce) => Security::AtOnce(tls),
            (None, _) => Security::None,
        }
    }
}

/// When TLS begins on the connections of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsBegins {
    /// When the client asks for it, if the protocol and the settings let it.
    #[default]
    OnRequest,
    /// With the first octet.
    AtOnce,
}

/// The limits of simultaneous connections.
#[derive(Debug)]
struct Room {
    /// Accepting waits for one of these, so that open connections can still open files.
    descriptors: Arc<Semaphore>,
    /// A connection that gets none of these is refused.
    connections: Arc<Semaphore>,
    /// A refused connection that gets none of these is closed without lingering.
    refusals: Arc<Semaphore>,
}

impl Room {
    fn new(connections: usize, descriptors: usize) -> Self {
        // With few descriptors in all, the reserve is at most half of them.
        let for_connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(descriptors / 2);
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self {
            descriptors: semaphore(for_connections),
            connections: semaphore(connections),
            refusals: semaphore(REFUSALS),
        }
    }
}

/// One protocol on one listening socket.
#[derive(Debug)]
pub struct Listener<S> {
    /// The listening socket.
    pub socket: tokio::net::TcpListener,
    /// When TLS begins.
    pub begins: TlsBegins,
    /// The server that handles connections.
    pub server: Arc<S>,
    /// What all listeners of the process share.
    pub shared: Arc<Shared>,
    /// Ends the listener; the tasks of its connections belong to this term.
    pub lifetime: Lifetime,
}

impl<S: Server> Listener<S> {
    /// Accepts connections until the term ends.
    pub async fn run(self) {
        tokio::select! {
            () = self.lifetime.ending.cancelled() => {}
            never = self.accept() => match never {},
        }
    }

    async fn accept(&self) -> Infallible {
        let mut is_short = false;
        loop {
            let descriptors = Arc::clone(&self.shared.room.descriptors);
            let descriptor = descriptors.acquire_owned().await.ok();
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    is_short = false;
                    self.admit(stream, canonical(peer), descriptor);
                }
                Err(error) if concerns_one_peer(&error) => {}
                Err(error) => {
                    // One warning for each shortage, not one every 100 ms.
                    if !mem::replace(&mut is_short, true) {
                        tracing::warn!("cannot accept connections for now: {error}");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, descriptor: Option<OwnedSemaphorePermit>) {
        // Replies are written when they are complete, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let (session, service) = self.server.open(peer);
        let room = &self.shared.room;
        if let Ok(connection) = Arc::clone(&room.connections).try_acquire_owned() {
            let channel = self.channel(stream, peer, connection, descriptor);
            let settings = Arc::clone(&self.shared.settings);
            self.lifetime.tasks.spawn(serve(channel, session, service, settings));
        } else {
            self.turn_away(stream, peer, descriptor, session);
        }
    }

    fn turn_away(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        descriptor: Option<OwnedSemaphorePermit>,
        session: S::Session,
    ) {
        if let Ok(refusal) = Arc::clone(&self.shared.room.refusals).try_acquire_owned() {
            let channel = self.channel(stream, peer, refusal, descriptor);
            channel.connection_log().refused();
            self.lifetime.tasks.spawn(refuse(channel, session));
            return;
        }
        if let Some(registry) = &self.shared.registry {
            registry.turned_away(S::PROTOCOL);
        }
        if self.begins == TlsBegins::AtOnce {
            // There is no time for a handshake, and nothing can be said without one.
            return;
        }
        if let Some(reply) = session.farewell(Farewell::Busy) {
            // Best effort: the socket's buffer is empty, so a short line fits into it.
            let _ = stream.try_write(&[reply.bytes(), b"\r\n"].concat());
        }
    }

    fn channel(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        connection: OwnedSemaphorePermit,
        descriptor: Option<OwnedSemaphorePermit>,
    ) -> Channel {
        let shared = &self.shared;
        let name = ConnectionName {
            id: shared.ids.fetch_add(1, Relaxed),
            number: stream.as_raw_fd(),
            service: S::PROTOCOL,
        };
        let transcript = shared.transcript.clone();
        let connection_log = ConnectionLog::opened(name, peer, transcript, shared.registry.clone());
        let presence = shared.attendance.as_ref().map(Attendance::enter);
        let place = Place { connection: Some(connection), descriptor, presence };
        // A child token: ten thousand connections waiting on one token would contend for its lock.
        Channel::new(stream.into(), connection_log, place, self.lifetime.ending.child_token())
            .with_security(shared.security(self.begins))
            .counted(shared.tally.session(name.service))
            .with_faults(Arc::clone(&shared.faults))
            .with_holds(Arc::clone(&shared.holds))
    }
}

/// The address without the form that IPv4 has on a socket of IPv6 (RFC 4291 section 2.5.5.2): a client
/// of this machine is one of this machine, however it came.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Whether only this peer is concerned (it has gone before it was accepted), rather than the
/// machine running out of a resource.
fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::accounts::Accounts;
    use crate::servers::pop3::service::Pop3Server;
    use crate::servers::settings::Idle;
    use crate::servers::smtp::service::SmtpServer;
    use crate::store::directory::{Directory, Durability};
    use tokio::io::duplex;

    /// The size in octets of a conversation's task.
    fn task_of<S: Server>(server: &S) -> usize {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let name = ConnectionName { id: 1, number: 7, service: S::PROTOCOL };
        let connection_log = ConnectionLog::opened(name, peer, Observers::none(), None);
        let (stream, _) = duplex(1);
        let ending = CancellationToken::new();
        let channel = Channel::new(stream.into(), connection_log, Place::default(), ending);
        let (session, service) = server.open(peer);
        let settings = Settings::default();
        settings.set_idle(Idle::Unlimited);
        size_of_val(&serve(channel, session, service, Arc::new(settings)))
    }

    #[test]
    fn an_idle_connection_is_a_task_of_little_more_than_a_kilobyte() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Synced).unwrap();
        let accounts = Arc::new(Accounts::new(directory, "localhost".into(), "cis505".into()));
        let smtp = SmtpServer {
            accounts: Arc::clone(&accounts),
            guesses: Arc::default(),
            settings: Arc::default(),
            unknown_users: Arc::default(),
        };
        let pop3 = Pop3Server { accounts, guesses: Arc::default(), settings: Arc::default() };
        assert!(task_of(&smtp) <= 1_536, "{}", task_of(&smtp));
        assert!(task_of(&pop3) <= 1_536, "{}", task_of(&pop3));
    }

    #[test]
    fn a_chosen_port_is_the_same_on_every_address() {
        let listeners = bind(&Addresses::Loopback, 0).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|one| chosen_port(one, 0)).collect();
        assert!(ports.iter().all(|&port| port != 0 && port == ports[0]));
        let taken = bind(&Addresses::Loopback, ports[0]).unwrap_err();
        assert_eq!(taken.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(taken.address.port(), ports[0]);
    }

    #[test]
    fn a_client_of_ipv4_on_a_socket_of_ipv6_has_its_own_address() {
        let peer = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(peer("[::ffff:127.0.0.1]:25"), "127.0.0.1:25");
        assert_eq!(peer("[2001:db8::1]:25"), "[2001:db8::1]:25");
    }

    #[test]
    fn connections_leave_some_descriptors_to_files() {
        let room = |descriptors| Room::new(9, descriptors).descriptors.available_permits();
        assert_eq!(room(20_000), 20_000 - RESERVED_DESCRIPTORS);
        assert_eq!(room(64), 32);
    }
}
