//! Opens a connection to one mail host and drives the conversations of
//! [`crate::relay::conversation`] over it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::relay::channel::ClientChannel;
use crate::relay::connection_error::ConnectionError;
use crate::relay::conversation::extensions::{Extension, Extensions};
use crate::relay::conversation::opening::{
    self, ChosenTls, Hello, Introduction, Opening, Protection,
};
use crate::relay::conversation::transaction::{Outcome, Step, Transaction};
use crate::relay::conversation::{Awaited, Command};
use crate::relay::envelope::Envelope;
use crate::relay::mx::Target;
use crate::relay::status::Status;
use crate::relay::text::{Letter, MessageText, Outgoing, TextReader};
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::{Proof, Tls};
use crate::relay::verdict::{Again, Diagnosis, Verdict};
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{ConnectionName, Kind, Service, Side};
use crate::watch::observers::Observers;
use crate::watch::registry::Registry;
use crate::watch::text_log::TextLog;

/// Octets of message text that are collected before a write.
const BLOCK: usize = 64 * 1024;

/// The transcript's note about 8-bit text sent to a host that does not offer 8BITMIME.
const UNASKED_EIGHT_BITS: &str =
    "the text has 8-bit octets, which were sent as they are: the host does not offer 8BITMIME";

/// What all connections of the relay share.
#[derive(Debug)]
pub struct Client {
    /// Time limits of each connection.
    pub timeouts: Timeouts,
    /// Receives the transcript.
    pub transcript: Observers,
    /// Lists the open connections for the console; `None` without a console.
    pub registry: Option<Arc<Registry>>,
    /// The next connection id, shared with the servers of this process.
    pub ids: Arc<AtomicU64>,
    /// Performs TLS handshakes.
    pub tls: Tls,
    /// Is told the local address of each connection before it is made; `None` if nobody wants to
    /// know.
    pub announce: Option<Announce>,
    /// Cancelled to end all connections.
    pub stop: CancellationToken,
}

/// Is told the local address of a connection before it is made, so that a server of this process can
/// know it as one of ours.
#[derive(Clone)]
pub struct Announce(Arc<dyn Fn(SocketAddr) + Send + Sync>);

impl Announce {
    /// `tell` is called for each connection, and must not wait.
    pub fn new(tell: impl Fn(SocketAddr) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announce")
    }
}

/// An open connection to a host that accepts mail from us: greeting, HELO or EHLO, and where
/// required TLS and AUTH, have succeeded.
pub struct Connection {
    target: Target,
    extensions: Extensions,
    /// Decides whether 8-bit text is noted in the transcript.
    eight_bits: EightBits,
    channel: ClientChannel,
    transactions: u64,
}

/// Whether a host has announced 8BITMIME (RFC 6152). The text is sent unchanged in any case: nearly
/// all hosts accept it, and changing it would break signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EightBits {
    /// The host offers it, or was greeted with HELO and could not say so.
    Fine,
    /// The host was greeted with EHLO and does not offer it.
    NotOffered,
}

/// Why opening a connection failed.
enum Unopened {
    Refused(Verdict),
    /// The TLS handshake failed.
    Handshake(Verdict),
}

impl Connection {
    /// Connects and goes through the opening.
    ///
    /// # Errors
    ///
    /// A verdict that holds for all mail that would have been sent over this connection.
    pub async fn open(
        client: &Client,
        target: &Target,
        introduction: &Introduction,
    ) -> Result<Self, Verdict> {
        let attempt = Self::attempt(client, target, introduction).await;
        let other = introduction.protection.without_broken_tls();
        let attempt = match (attempt, other) {
            (Err(Unopened::Handshake(_)), Some(protection)) => {
                let in_the_clear = Introduction { protection, ..introduction.clone() };
                Self::attempt(client, target, &in_the_clear).await
            }
            (attempt, _) => attempt,
        };
        attempt.map_err(Unopened::verdict)
    }

    /// Whether the host offers `extension`.
    #[must_use]
    pub fn offers(&self, extension: Extension) -> bool {
        self.extensions.offer(extension)
    }

    /// The host and address it is connected to.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Its name, for those who observe it.
    #[must_use]
    pub const fn name(&self) -> ConnectionName {
        self.channel.connection_log().name()
    }

    /// Whether it has carried a transaction; the host may then have closed it while it was idle.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.transactions > 0
    }

    /// Sends one message to at most 100 recipients. Returns as soon as the host has answered the
    /// text, so that a delivery is recorded before anything else can go wrong.
    pub async fn deliver<M: MessageText>(
        &mut self,
        envelope: &Envelope,
        letter: &Letter<M>,
    ) -> Outcome {
        self.transactions += 1;
        let (host, channel) = (&self.target.host, &mut self.channel);
        let (mut transaction, mut step) =
            Transaction::begin(host, &self.extensions, envelope, letter.octets());
        loop {
            let sent = match step {
                Step::Send(commands) => channel.send(&commands).await,
                Step::Wait => Ok(()),
                Step::SendText => match send_text(channel, &mut transaction, letter).await {
                    Ok(eight_bit) => {
                        if eight_bit && self.eight_bits == EightBits::NotOffered {
                            channel
                                .connection_log()
                                .tell(|| Kind::Note(UNASKED_EIGHT_BITS.to_owned()));
                        }
                        Ok(())
                    }
                    Err(error) => return text_broke_off(channel, transaction, &error).await,
                },
                Step::Done(outcome) => {
                    channel.connection_log().carried(outcome.delivered());
                    return outcome;
                }
            };
            let reply = match sent {
                Ok(()) => channel.reply(transaction.awaited()).await,
                Err(error) => Err(error),
            };
            step = match reply {
                Ok(reply) => transaction.reply(&reply),
                Err(error) => Step::Done(transaction.broken(&error)),
            };
        }
    }

    /// Sends QUIT and waits briefly for the reply, whatever it is.
    pub async fn quit(mut self) {
        quit(&mut self.channel).await;
    }

    async fn attempt(
        client: &Client,
        target: &Target,
        introduction: &Introduction,
    ) -> Result<Self, Unopened> {
        let mut channel = connect(client, target).await.map_err(Unopened::Refused)?;
        let extensions = open(client, target, introduction, &mut channel).await?;
        let asked = introduction.hello == Hello::Ehlo;
        let offered = extensions.offer(Extension::EightBitMime);
        let eight_bits = if asked && !offered { EightBits::NotOffered } else { EightBits::Fine };
        Ok(Self { target: target.clone(), extensions, eight_bits, channel, transactions: 0 })
    }
}

impl Unopened {
    fn verdict(self) -> Verdict {
        match self {
            Self::Refused(verdict) | Self::Handshake(verdict) => verdict,
        }
    }

    fn broken(
        error: &ConnectionError,
        target: &Target,
        protection: &Protection,
        awaited: Awaited,
    ) -> Self {
        let mut diagnosis = error.diagnosis(&target.host, awaited);
        if let Some(hint) = hint(error, target, protection, awaited) {
            let reason = format!("{}; {hint}", diagnosis.reason);
            diagnosis = Diagnosis::ours(diagnosis.status, &reason);
        }
        let verdict = Verdict::Deferred(diagnosis, Again::NextHost);
        match error {
            ConnectionError::Handshake(_) => Self::Handshake(verdict),
            _ => Self::Refused(verdict),
        }
    }
}

/// A hint for operators whose `--smarthost` or `--route` does not match the host's way of TLS.
const fn hint(
    error: &ConnectionError,
    target: &Target,
    protection: &Protection,
    awaited: Awaited,
) -> Option<&'static str> {
    // Only a host named by an operator has no preference, and only for such a host can an option be
    // wrong.
    if target.preference.is_some() || !matches!(awaited, Awaited::Greeting) {
        return None;
    }
    match (error, protection) {
        (ConnectionError::Handshake(_), Protection::FromTheStart(_)) => Some(
            "a host that does not speak TLS from the start is named with --smarthost-tls starttls",
        ),
        (ConnectionError::Handshake(_), Protection::Chosen(ChosenTls::FromTheStart, _)) => {
            Some("a server that does not speak TLS from the start has --tls required or starttls")
        }
        (_, Protection::FromTheStart(_) | Protection::Chosen(ChosenTls::FromTheStart, _)) => None,
        (
            ConnectionError::TimedOut(_) | ConnectionError::Closed | ConnectionError::Lost(_),
            Protection::Chosen(..),
        ) => Some("a server that speaks TLS from the start has --tls implicit"),
        (ConnectionError::TimedOut(_) | ConnectionError::Closed | ConnectionError::Lost(_), _) => {
            Some(
                "a host that speaks TLS from the start says nothing before it, and is named with its \
             port 465 or with --smarthost-tls implicit",
            )
        }
        _ => None,
    }
}

async fn connect(client: &Client, target: &Target) -> Result<ClientChannel, Verdict> {
    let limit = client.timeouts.connect;
    let connecting = async {
        match timeout(limit, stream_to(target.address, client.announce.as_ref())).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f32())),
        }
    };
    let stream = tokio::select! {
        stream = connecting => stream,
        () = client.stop.cancelled() => Err("the relay was stopped".to_owned()),
    };
    let stream = stream.map_err(|why| {
        let reason = format!("cannot connect to {} ({}): {why}", target.host, target.address);
        Verdict::deferred(Status::NO_ANSWER, Again::NextHost, &reason)
    })?;
    // Commands are small and each waits for its reply, so Nagle's algorithm would only add delay.
    // If the option cannot be set, the connection works all the same.
    let _ = stream.set_nodelay(true);
    let connection_log = client.connection_log(&stream, target.address);
    Ok(ClientChannel::new(stream, client.timeouts, client.stop.clone(), connection_log))
}

async fn stream_to(address: SocketAddr, announce: Option<&Announce>) -> io::Result<TcpStream> {
    let Some(Announce(tell)) = announce else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server of this process listens at this address, so it is one of the machine's.
    socket.bind(SocketAddr::new(address.ip(), 0))?;
    tell(socket.local_addr()?);
    socket.connect(address).await
}

impl Client {
    fn connection_log(&self, stream: &TcpStream, peer: SocketAddr) -> ConnectionLog {
        let name = ConnectionName {
            id: self.ids.fetch_add(1, Relaxed),
            number: stream.as_raw_fd(),
            service: Service::Relay,
        };
        ConnectionLog::opened(name, peer, self.transcript.clone(), self.registry.clone())
    }
}

async fn open(
    client: &Client,
    target: &Target,
    introduction: &Introduction,
    channel: &mut ClientChannel,
) -> Result<Extensions, Unopened> {
    let mut opening = Opening::new(&target.host, introduction);
    let protection = &introduction.protection;
    // Implicit TLS: the handshake comes before the greeting.
    if protection.is_from_the_start() {
        let secured =
            channel.secure(&client.tls, proof_for(protection), &target.host, target.address);
        let broken = |error| Unopened::broken(&error, target, protection, Awaited::Greeting);
        secured.await.map_err(broken)?;
    }
    loop {
        let awaited = opening.awaited();
        let broken = |error: ConnectionError| Unopened::broken(&error, target, protection, awaited);
        let reply = channel.reply(awaited).await.map_err(broken)?;
        match opening.reply(&reply) {
            opening::Step::Send(command) => channel.send(&[command]).await.map_err(broken)?,
            opening::Step::Handshake => {
                let proof = proof_for(protection);
                let secured = channel.secure(&client.tls, proof, &target.host, target.address);
                secured.await.map_err(broken)?;
                let hello = opening.secured();
                channel.send(&[hello]).await.map_err(broken)?;
            }
            opening::Step::Ready(extensions) => return Ok(extensions),
            opening::Step::Refused(verdict) => {
                quit(channel).await;
                return Err(Unopened::Refused(verdict));
            }
        }
    }
}

const fn proof_for(protection: &Protection) -> Proof {
    match protection {
        Protection::Verified(_)
        | Protection::FromTheStart(Some(_))
        | Protection::Chosen(ChosenTls::Required | ChosenTls::FromTheStart, _) => {
            Proof::Certificate
        }
        Protection::None
        | Protection::Opportunistic
        | Protection::Required
        | Protection::FromTheStart(None)
        | Protection::Chosen(ChosenTls::None | ChosenTls::IfOffered, _) => Proof::None,
    }
}

async fn quit(channel: &mut ClientChannel) {
    let quit = Command::open("QUIT".to_owned());
    if channel.send(&[quit]).await.is_ok() {
        let _ = channel.reply(Awaited::Quit).await;
    }
}

/// Sends the text and the final dot. Returns whether the text contained 8-bit octets.
async fn send_text<M: MessageText>(
    channel: &mut ClientChannel,
    transaction: &mut Transaction<'_>,
    letter: &Letter<M>,
) -> Result<bool, ConnectionError> {
    channel.connection_log().changed(|| "DATA".into());
    let mut log = TextLog::sent(Side::Client, channel.connection_log());
    // Another host may have been sent part of the same message before.
    letter.sent.store(0, Relaxed);
    let unreadable = |error: std::io::Error| ConnectionError::Message(error.to_string());
    let mut text = letter.text.open().await.map_err(unreadable)?;
    // The trace line is converted and logged like the rest of the text.
    let mut piece = letter.received.clone().into_bytes();
    let mut outgoing = Outgoing::default();
    let mut wire = Vec::new();
    let mut eight_bit = false;
    loop {
        outgoing.push(&piece, &mut wire);
        eight_bit |= !piece.is_ascii();
        log.push(outgoing.proper(), channel.connection_log());
        if wire.len() >= BLOCK {
            channel.write(&wire).await?;
            letter.sent.store(outgoing.octets(), Relaxed);
            wire.clear();
        }
        piece.clear();
        if text.read(&mut piece).await.map_err(unreadable)? == 0 {
            break;
        }
    }
    outgoing.finish(&mut wire);
    log.push(outgoing.proper(), channel.connection_log());
    log.end(channel.connection_log());
    // Before the write, not after it: if the write fails, part of it, dot included, may have
    // arrived.
    transaction.dot();
    channel.write(&wire).await?;
    letter.sent.store(outgoing.octets(), Relaxed);
    Ok(eight_bit)
}

/// A host that stops accepting the text may have sent its reason before it closed the connection;
/// that reply is better than our own error.
async fn text_broke_off(
    channel: &mut ClientChannel,
    mut transaction: Transaction<'_>,
    error: &ConnectionError,
) -> Outcome {
    let reply = match error {
        ConnectionError::Lost(_) | ConnectionError::Closed | ConnectionError::Stuck(_) => {
            // With the short timeout of QUIT: the reply is here already or will not come.
            channel.reply(Awaited::Quit).await.ok()
        }
        _ => None,
    };
    transaction.interrupted(reply.as_ref(), error)
}
