//! A connection to a mail host: sends commands and text, reads replies, enforces the timeouts and
//! writes the transcript. What a reply means is decided in [`crate::relay::conversation`].

use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::relay::connection_error::ConnectionError;
use crate::relay::conversation::{Awaited, Command};
use crate::relay::reply::{LONGEST_LINE, Manner, Reply, ReplyReader};
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::{Proof, Tls};
use crate::servers::stream::{Stream, version_of};
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{KeptLine, Kind, Side};
use crate::wire::line::{Line, LineBuffer};

/// Size of one read in octets.
const READ: usize = 4_096;

/// How long the relay, when told to stop, still waits for the reply to a text that has been sent:
/// giving up would mean a second copy of the message.
const GRACE: Duration = Duration::from_millis(500);

/// An open connection. Dropping it closes it.
pub struct ClientChannel {
    stream: Stream,
    arrived: LineBuffer,
    replies: ReplyReader,
    timeouts: Timeouts,
    stop: CancellationToken,
    connection_log: ConnectionLog,
}

impl ClientChannel {
    /// Takes over a connected stream; cancelling `stop` ends every wait.
    #[must_use]
    pub fn new(
        stream: TcpStream,
        timeouts: Timeouts,
        stop: CancellationToken,
        connection_log: ConnectionLog,
    ) -> Self {
        Self {
            stream: stream.into(),
            arrived: LineBuffer::new(LONGEST_LINE),
            replies: ReplyReader::default(),
            timeouts,
            stop,
            connection_log,
        }
    }

    /// Sends the commands in one write, so that a pipelined batch travels together.
    ///
    /// # Errors
    ///
    /// If the connection breaks, the host accepts nothing within the time limit, or `stop` is
    /// cancelled.
    pub async fn send(&mut self, commands: &[Command]) -> Result<(), ConnectionError> {
        let mut wire = Vec::new();
        for command in commands {
            wire.extend_from_slice(command.line().as_bytes());
            wire.extend_from_slice(b"\r\n");
            self.connection_log.line(Side::Client, command.shown().as_bytes());
        }
        self.write(&wire).await
    }

    /// Sends octets without adding them to the transcript.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn write(&mut self, wire: &[u8]) -> Result<(), ConnectionError> {
        let stream = &mut self.stream;
        let work = async { stream.write_all(wire).await.map_err(lost) };
        let limit = self.timeouts.block;
        let stopped = stopped(&self.stop, &self.connection_log, Duration::ZERO);
        let written = within(limit, stopped, work).await;
        self.connection_log.sent(wire.len());
        written.unwrap_or(Err(ConnectionError::Stuck(limit)))
    }

    /// Waits for one whole reply; the timeout of `awaited` covers all of its lines.
    ///
    /// # Errors
    ///
    /// If the reply is malformed or late, the connection ends, or `stop` is cancelled.
    pub async fn reply(&mut self, awaited: Awaited) -> Result<Reply, ConnectionError> {
        self.connection_log.changed(|| awaited.state().into());
        self.replies.expect(match awaited {
            Awaited::Text => Manner::LastLineDecides,
            _ => Manner::Strict,
        });
        let limit = awaited.time(&self.timeouts);
        let grace = if awaited == Awaited::Text { GRACE } else { Duration::ZERO };
        let reading = read_reply(
            &mut self.stream,
            &mut self.arrived,
            &mut self.replies,
            &self.connection_log,
        );
        let reply = within(limit, stopped(&self.stop, &self.connection_log, grace), reading).await;
        reply.unwrap_or(Err(ConnectionError::TimedOut(limit)))
    }

    /// Performs the TLS handshake and continues over TLS.
    ///
    /// # Errors
    ///
    /// If the handshake fails, or the host sent octets before it.
    pub async fn secure(
        &mut self,
        tls: &Tls,
        proof: Proof,
        host: &str,
        address: SocketAddr,
    ) -> Result<(), ConnectionError> {
        // Plain text received before TLS may come from an attacker and must not count as the host's
        // reply (CVE-2011-0411).
        if !self.arrived.is_empty() {
            return Err(ConnectionError::Injected);
        }
        // TLS takes the stream over. If the handshake fails, the connection stays without one: it
        // is of no further use.
        let plain = mem::take(&mut self.stream).into_io();
        let work = async {
            let secured = tls.shake_hands(proof, host, address.ip(), plain).await;
            secured.map_err(ConnectionError::Handshake)
        };
        let limit = self.timeouts.hello;
        let stopped = stopped(&self.stop, &self.connection_log, Duration::ZERO);
        let secured = within(limit, stopped, work).await;
        let no_answer = || Err(ConnectionError::Handshake("no answer".to_owned()));
        let secured = secured.unwrap_or_else(no_answer)?;
        self.connection_log.secured(version_of(secured.get_ref().1));
        self.stream = secured.into();
        self.connection_log.tell(|| Kind::Note("TLS from here on".to_owned()));
        Ok(())
    }

    /// The connection's entry in the transcript and in the registry.
    #[must_use]
    pub const fn connection_log(&self) -> &ConnectionLog {
        &self.connection_log
    }
}

async fn read_reply(
    stream: &mut Stream,
    arrived: &mut LineBuffer,
    replies: &mut ReplyReader,
    connection_log: &ConnectionLog,
) -> Result<Reply, ConnectionError> {
    loop {
        if let Some(reply) = next_reply(arrived, replies, connection_log)? {
            return Ok(reply);
        }
        let octets = stream.read_into(arrived, READ).await.map_err(lost)?;
        if octets == 0 {
            return Err(ConnectionError::Closed);
        }
        connection_log.read_ended(arrived);
        // Only what follows the last line end is an unfinished line.
        let unread = arrived.unread();
        let ended = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        connection_log.received(octets);
        connection_log.unended_line(unread.get(ended..).unwrap_or_default());
    }
}

/// The next reply that has arrived completely, if any.
fn next_reply(
    arrived: &mut LineBuffer,
    replies: &mut ReplyReader,
    connection_log: &ConnectionLog,
) -> Result<Option<Reply>, ConnectionError> {
    while let Some((line, reads)) = arrived.next_line_and_reads() {
        connection_log.heard(Side::Server, &line, reads);
        if let Some(reply) = replies.line(&line)? {
            return Ok(Some(reply));
        }
    }
    // Only for the reply to the message text, where a bare LF is accepted as a line end.
    while let Some(line) = line_ended_by_lf_alone(arrived, replies.manner()) {
        connection_log.tell(|| Kind::Line(Side::Server, KeptLine::new(&line)));
        if let Some(reply) = replies.line(&Line::Whole(&line))? {
            return Ok(Some(reply));
        }
    }
    // The offending line may never end, so it goes to the transcript as it stands.
    replies.check_unfinished(arrived).inspect_err(|_| {
        connection_log.tell(|| Kind::Line(Side::Server, KeptLine::new(arrived.unread()).unended()));
    })?;
    Ok(None)
}

fn line_ended_by_lf_alone(arrived: &mut LineBuffer, manner: Manner) -> Option<Vec<u8>> {
    if manner == Manner::Strict {
        return None;
    }
    let end = memchr::memchr(b'\n', arrived.unread())?;
    let line = arrived.unread().get(..end)?.to_vec();
    arrived.consume(end + 1);
    Some(line)
}

/// Runs `work`. `None` if it takes longer than `limit`; [`ConnectionError::Stopped`] if `stopped` completes
/// first.
async fn within<T>(
    limit: Duration,
    stopped: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, ConnectionError>>,
) -> Option<Result<T, ConnectionError>> {
    tokio::select! {
        // Work that has completed wins over a timeout or a stop of the same moment.
        biased;
        done = work => Some(done),
        () = stopped => Some(Err(ConnectionError::Stopped)),
        () = sleep(limit) => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the form that map_err wants")]
fn lost(error: io::Error) -> ConnectionError {
    match error.kind() {
        // rustls reports a connection closed without close_notify like this.
        io::ErrorKind::UnexpectedEof => ConnectionError::Closed,
        _ => ConnectionError::Lost(error.to_string()),
    }
}

/// Completes `grace` after the relay was told to stop or the operator closed this connection.
async fn stopped(relay: &CancellationToken, connection_log: &ConnectionLog, grace: Duration) {
    tokio::select! {
        () = relay.cancelled() => {}
        () = connection_log.close_requested() => {}
    }
    sleep(grace).await;
}
