//! Stands between the client and the servers, and writes down what passes, in the order of the wire:
//! also what a client says too early, or after the end. Changes nothing of it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::commands::check::client::recorder::Recorder;
use crate::check::client::record::Side;

/// Octets that are passed on at a time.
const PIECE: usize = 16 * 1024;

/// Octets that a server may send on one connection without being slowed: no scenario needs more, but
/// for the text without an end, which must not fill the disk.
const FREELY: usize = 16 * 1024 * 1024;

/// Connections of one run that are passed on; later ones are closed at once.
const CONNECTIONS_MOST: usize = 1_000;

/// How long the servers may take to hear what a client has said before it ended: where a text is read
/// slowly on purpose they need longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long nothing is accepted after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The pause for each octet behind that: 4 MB a second.
const SLOWLY: Duration = Duration::from_nanos(250);

/// The port of a scenario, which stays the same in all its runs.
#[derive(Debug)]
pub(super) struct Tap {
    listener: TcpListener,
    address: SocketAddr,
}

impl Tap {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections of one run, to the servers at this address.
    pub(super) fn passage<'a>(
        &'a self,
        server: SocketAddr,
        recorder: &'a Arc<Recorder>,
    ) -> Passage<'a> {
        Passage { tap: self, server, recorder, passing: JoinSet::new() }
    }
}

/// The connections of one run. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    tap: &'a Tap,
    server: SocketAddr,
    recorder: &'a Arc<Recorder>,
    passing: JoinSet<()>,
}

impl Passage<'_> {
    /// Passes on all connections. Cancel safe: they go on.
    pub(super) async fn pass(&mut self) -> Infallible {
        loop {
            if let Ok((client, _)) = self.tap.listener.accept().await {
                self.begin(client);
            } else {
                // Too many descriptors: some of them are given back.
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Passes on what a client that has ended has said last, for at most [`LAST_WORDS`].
    pub(super) async fn pass_last_words(&mut self) {
        // A server that has not heard the end by then is not waited for.
        let _ = timeout(LAST_WORDS, self.pass_the_rest()).await;
    }

    async fn pass_the_rest(&mut self) -> io::Result<()> {
        // Connections are accepted in their order: all of the client's come before this one.
        let ours = TcpStream::connect(self.tap.address).await?;
        loop {
            let (client, peer) = self.tap.listener.accept().await?;
            if peer == ours.local_addr()? {
                break;
            }
            self.begin(client);
        }
        while self.passing.join_next().await.is_some() {}
        Ok(())
    }

    /// Begins to pass on a connection.
    fn begin(&mut self, client: TcpStream) {
        while self.passing.try_join_next().is_some() {}
        if self.recorder.connections() >= CONNECTIONS_MOST {
            // A client that connects again and again has shown what it does.
            return;
        }
        let (server, recorder) = (self.server, Arc::clone(self.recorder));
        self.passing.spawn(async move {
            // A connection that fails ends; the run goes on.
            let _ = pass_one(client, server, &recorder).await;
        });
    }
}

async fn pass_one(client: TcpStream, address: SocketAddr, recorder: &Recorder) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    // Before the server sees the connection, and tells of it.
    let connection = recorder.opened(socket.local_addr()?);
    let server = socket.connect(address).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ended = pass_both(client, server, recorder, connection).await;
    recorder.closed(connection, None);
    ended
}

/// Passes on until both sides have said all, or one has reset its connection.
async fn pass_both(
    mut client: TcpStream,
    mut server: TcpStream,
    recorder: &Recorder,
    connection: usize,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let end = {
        let up = client_to_server(from_client, to_server, recorder, connection);
        let down = server_to_client(from_server, to_client, recorder, connection);
        tokio::pin!(up, down);
        // A finished side still hears the other one; a broken one hears nothing.
        tokio::select! {
            Broken(true) = &mut up => End::ClientBroke,
            Broken(true) = &mut down => End::ServerBroke,
            else => End::Whole,
        }
    };
    match end {
        End::ClientBroke => reset(&server),
        End::ServerBroke => reset(&client),
        End::Whole => Ok(()),
    }
}

/// How a connection ended.
enum End {
    Whole,
    ClientBroke,
    ServerBroke,
}

/// Whether a connection broke, or ended in good order.
struct Broken(bool);

/// Goes on to listen when the server has gone: what a client still says tells what it has understood.
async fn client_to_server(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    recorder: &Recorder,
    connection: usize,
) -> Broken {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await;
        let Ok(octets @ 1..) = read else {
            recorder.closed(connection, Some(Side::Client));
            let _ = to.shutdown().await;
            return Broken(read.is_err());
        };
        let piece = piece.get(..octets).unwrap_or_default();
        recorder.sent(connection, Side::Client, piece);
        let _ = to.write_all(piece).await;
    }
}

async fn server_to_client(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    recorder: &Recorder,
    connection: usize,
) -> Broken {
    let mut piece = vec![0; PIECE];
    let mut passed = 0;
    loop {
        let read = from.read(&mut piece).await;
        let Ok(octets @ 1..) = read else {
            recorder.closed(connection, Some(Side::Server));
            if read.is_ok() {
                let _ = to.shutdown().await;
            }
            return Broken(read.is_err());
        };
        let piece = piece.get(..octets).unwrap_or_default();
        recorder.sent(connection, Side::Server, piece);
        if to.write_all(piece).await.is_err() {
            // The client reads no more: the server must not go on for ever.
            return Broken(true);
        }
        passed += octets;
        if passed > FREELY {
            sleep(SLOWLY.saturating_mul(u32::try_from(octets).unwrap_or(1))).await;
        }
    }
}

/// Has the other side see an RST when the stream is dropped, as we have seen one.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::client::record::{Protocol, What};

    /// What a server hears on each connection, until it has ended; sorted.
    async fn heard(listener: TcpListener, connections: usize) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        for _ in 0..connections {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.unwrap();
            heard.push(all);
        }
        heard.sort();
        heard
    }

    #[tokio::test]
    async fn what_a_client_says_just_before_it_ends_is_heard() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (tap, recorder) =
            (Tap::open().await.unwrap(), Arc::new(Recorder::start(Protocol::Smtp)));
        let mut passage = tap.passage(server.local_addr().unwrap(), &recorder);
        // When the clients have ended, their connections are not accepted yet.
        for line in ["NOOP\r\n", "QUIT\r\n"] {
            let mut client = TcpStream::connect(tap.address()).await.unwrap();
            client.write_all(line.as_bytes()).await.unwrap();
        }
        let server = tokio::spawn(heard(server, 2));
        passage.pass_last_words().await;
        assert_eq!(server.await.unwrap(), [b"NOOP\r\n", b"QUIT\r\n"]);
        let opened = recorder.entries().iter().filter(|entry| entry.what == What::Opened).count();
        assert_eq!(opened, 2);
    }
}
