//! The words in which the servers' tests are written: a peer at the other end of a stream, and
//! servers for it to talk to.
#![allow(dead_code, reason = "every test file uses some of it")]

pub(crate) mod stage;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconsole::servers::accounts::Accounts;
use mailconsole::servers::channel::{Channel, Place};
use mailconsole::servers::listener::{
    Addresses, Lifetime, Listener, Server, Shared, TlsBegins, bind,
};
use mailconsole::servers::pop3::service::Pop3Server;
use mailconsole::servers::serve::serve;
use mailconsole::servers::settings::{Idle, Settings, SettingsView};
use mailconsole::servers::smtp::service::{SmtpServer, SmtpService};
use mailconsole::servers::smtp::session::SmtpSession;
use mailconsole::store::directory::{Directory, Durability};
use mailconsole::watch::connection_log::ConnectionLog;
use mailconsole::watch::event::{
    self, ConnectionName, Event, Passwords, transcript_line, wire_line,
};
use mailconsole::watch::observers::{Observer, Observers};
use mailconsole::watch::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// Octets that a pipe in memory takes before its writer must wait.
const PIPE: usize = 64 * 1024;

/// What must be over within a second: as much again, twice, for a busy machine. Whatever else it could
/// wait for takes longer.
pub(crate) const A_SECOND: Duration = Duration::from_secs(3);

/// Somebody who talks to a server.
pub(crate) struct Peer<T> {
    pub(crate) stream: T,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next line, with its CRLF.
    pub(crate) async fn line_bytes(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(error) => panic!("{error} behind {:?}", String::from_utf8_lossy(&line)),
            }
        }
        line
    }

    /// The next line, with its CRLF, as text.
    pub(crate) async fn line(&mut self) -> String {
        String::from_utf8_lossy(&self.line_bytes().await).into_owned()
    }

    /// Reads a line and compares it; `*` at the end stands for anything.
    pub(crate) async fn expect(&mut self, pattern: &str) {
        let line = self.line().await;
        assert!(fits(&line, pattern), "{line:?} came, not {pattern:?}");
    }

    /// Sends a command, and compares the reply.
    pub(crate) async fn says(&mut self, command: &str, pattern: &str) {
        self.send(format!("{command}\r\n")).await;
        let line = self.line().await;
        assert!(fits(&line, pattern), "{command}: {line:?} came, not {pattern:?}");
    }

    /// Everything that still comes until the server closes.
    pub(crate) async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        rest
    }

    /// The same as text.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes().await).into_owned()
    }

    /// The server closes, and says nothing before.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.rest().await, "");
    }
}

/// Whether a line with its CRLF is what `pattern` says without it.
pub(crate) fn fits(line: &str, pattern: &str) -> bool {
    let Some(line) = line.strip_suffix("\r\n") else { return false };
    match pattern.strip_suffix('*') {
        Some(beginning) => line.starts_with(beginning),
        None => line == pattern,
    }
}

/// Keeps the transcript of all connections.
#[derive(Default)]
pub(crate) struct Recorder {
    lines: Mutex<Vec<String>>,
    view: View,
}

/// As what the lines are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// As `-v` prints them.
    #[default]
    Transcript,
    /// As they were on the wire, those of message text too.
    Wire,
}

impl Recorder {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        let line = match self.view {
            View::Transcript => transcript_line(&event, Passwords::Shown),
            View::Wire => wire_line(&event, Passwords::Shown),
        };
        self.lines.lock().unwrap().push(line.into_string());
    }

    fn wants_text(&self) -> bool {
        self.view == View::Wire
    }

    fn wants_reads(&self) -> bool {
        self.view == View::Wire
    }
}

/// A connection to `server` through a pipe in memory.
pub(crate) struct Held {
    pub(crate) peer: Peer<DuplexStream>,
    pub(crate) ending: CancellationToken,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) ended: tokio::task::JoinHandle<()>,
}

/// Begins a conversation through a pipe in memory.
pub(crate) fn hold<S: Server>(server: &S, idle: Option<Duration>) -> Held {
    hold_in_view(View::Transcript, server, idle)
}

/// The same, its lines kept as `view`.
pub(crate) fn hold_in_view<S: Server>(view: View, server: &S, idle: Option<Duration>) -> Held {
    let settings = Settings::default();
    settings.set_idle(idle.map_or(Idle::Unlimited, Idle::Limited));
    held(view, server, &Arc::new(settings))
}

/// The same by settings that may change meanwhile.
pub(crate) fn hold_by<S: Server>(server: &S, settings: &Arc<Settings>) -> Held {
    held(View::Transcript, server, settings)
}

fn held<S: Server>(view: View, server: &S, settings: &Arc<Settings>) -> Held {
    let (ours, theirs) = duplex(PIPE);
    let recorder = Arc::new(Recorder { view, ..Recorder::default() });
    let ending = CancellationToken::new();
    let transcript = Observers::one(Arc::clone(&recorder) as _);
    let channel = channel::<S>(theirs, transcript, &ending);
    let (session, service) = server.open(stranger());
    let ended = tokio::spawn(serve(channel, session, service, Arc::clone(settings)));
    Held { peer: Peer { stream: ours }, ending, recorder, ended }
}

fn channel<S: Server>(
    stream: DuplexStream,
    transcript: Observers,
    ending: &CancellationToken,
) -> Channel {
    let name = ConnectionName { id: 1, number: 7, service: S::PROTOCOL };
    let connection_log = ConnectionLog::opened(name, stranger(), transcript, None);
    Channel::new(stream.into(), connection_log, Place::default(), ending.clone())
}

pub(crate) fn stranger() -> SocketAddr {
    ([192, 0, 2, 1], 1).into()
}

/// Mailboxes in a directory of their own.
pub(crate) struct Mail {
    pub(crate) smtp: SmtpServer,
    pub(crate) pop3: Pop3Server,
    pub(crate) settings: Arc<Settings>,
    pub(crate) dir: tempfile::TempDir,
}

impl Mail {
    pub(crate) fn with_users(users: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = open(dir.path());
        for user in users {
            directory.create(user).unwrap();
        }
        let settings = SettingsView { message_most: 1 << 20, ..SettingsView::default() };
        let settings = Arc::new(Settings::new(settings));
        let accounts = Arc::new(Accounts::new(directory, "localhost".into(), "cis505".into()));
        let smtp = SmtpServer {
            accounts: Arc::clone(&accounts),
            guesses: Arc::default(),
            settings: Arc::clone(&settings),
            unknown_users: Arc::default(),
        };
        let pop3 =
            Pop3Server { accounts, guesses: Arc::default(), settings: Arc::clone(&settings) };
        Self { smtp, pop3, settings, dir }
    }

    pub(crate) fn content(&self, file: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join(file)).unwrap()).into_owned()
    }
}

fn open(path: &Path) -> Directory {
    Directory::open(path, Durability::Unsynced).unwrap()
}

/// The SMTP server as those see it who may not relay.
pub(crate) struct Stranger(pub(crate) SmtpServer);

impl Server for Stranger {
    type Session = SmtpSession;
    type Service = SmtpService;
    const PROTOCOL: event::Service = event::Service::Smtp;

    fn open(&self, _: SocketAddr) -> (SmtpSession, SmtpService) {
        self.0.open(stranger())
    }
}

/// Servers on sockets of their own.
pub(crate) struct Sockets {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lifetime: Lifetime,
}

impl Sockets {
    pub(crate) fn new(connections: usize) -> Self {
        Self::sharing(None, connections)
    }

    /// The same, with all connections listed.
    pub(crate) fn listed(registry: &Arc<Registry>) -> Self {
        Self::sharing(Some(Arc::clone(registry)), 1_000)
    }

    fn sharing(registry: Option<Arc<Registry>>, connections: usize) -> Self {
        let settings = Arc::default();
        let shared = Shared::new(Observers::none(), registry, settings, connections, 1_000);
        Self { shared: Arc::new(shared), lifetime: Lifetime::default() }
    }

    /// Serves `server`, and says where.
    pub(crate) fn serve<S: Server>(&self, server: S) -> SocketAddr {
        self.serve_shared(&Arc::new(server))
    }

    /// The same for a server that others have as well.
    pub(crate) fn serve_shared<S: Server>(&self, server: &Arc<S>) -> SocketAddr {
        let mut address = None;
        for socket in bind(&Addresses::Loopback, 0).unwrap() {
            address.get_or_insert(socket.local_addr().unwrap());
            let listener = Listener {
                socket: tokio::net::TcpListener::from_std(socket).unwrap(),
                begins: TlsBegins::OnRequest,
                server: Arc::clone(server),
                shared: Arc::clone(&self.shared),
                lifetime: self.lifetime.clone(),
            };
            self.lifetime.tasks.spawn(listener.run());
        }
        address.unwrap()
    }

    pub(crate) async fn end(&self) {
        self.lifetime.end().await;
    }
}

/// A connection over a real socket.
pub(crate) async fn connect(address: SocketAddr) -> Peer<TcpStream> {
    peer(TcpStream::connect(address).await.unwrap())
}

/// The same of a client with an address of IPv4 of its own.
pub(crate) async fn connect_from(from: IpAddr, address: SocketAddr) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    peer(socket.connect(address).await.unwrap())
}

fn peer(stream: TcpStream) -> Peer<TcpStream> {
    // Else what is sent in pieces waits for the acknowledgement of the piece before.
    stream.set_nodelay(true).unwrap();
    Peer { stream }
}
