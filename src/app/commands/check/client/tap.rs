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

use crate::app::commands::check::client::recorder::Recorder;
use crate::check::client::record::Side;

/// Octets that are passed on at a time.
const PIECE: usize = 16 * 1024;

/// Octets that a server may send on one connection without being slowed: no scenario needs more, but
/// for the text without an end, which must not fill the disk.
const FREELY: usize = 16 * 1024 * 1024;

/// Connections of one run that are passed on; later ones are closed at once.
const CONNECTIONS_MOST: usize = 1_000;

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

    /// Passes on all connections until it is dropped, which ends them.
    pub(super) async fn pass(&self, server: SocketAddr, recorder: &Arc<Recorder>) -> Infallible {
        let mut passing = JoinSet::new();
        loop {
            let Ok((client, _)) = self.listener.accept().await else {
                // Too many descriptors: some of them are given back.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            while passing.try_join_next().is_some() {}
            if recorder.connections() >= CONNECTIONS_MOST {
                // A client that connects again and again has shown what it does.
                continue;
            }
            let recorder = Arc::clone(recorder);
            passing.spawn(async move {
                // A connection that fails ends; the run goes on.
                let _ = pass_one(client, server, &recorder).await;
            });
        }
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
            tokio::time::sleep(SLOWLY.saturating_mul(u32::try_from(octets).unwrap_or(1))).await;
        }
    }
}

/// Has the other side see an RST when the stream is dropped, as we have seen one.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
