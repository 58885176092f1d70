//! A connection to a mail host as commands, replies and message text: bytes, waits and the
//! transcript. Does not know what the replies mean.

use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::relay::conversation::{Awaited, Command};
use crate::relay::reply::{LONGEST_LINE, Manner, Reply, ReplyReader};
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::{Proof, Tls};
use crate::relay::trouble::Trouble;
use crate::servers::stream::Stream;
use crate::watch::connection_log::Presence;
use crate::watch::event::{KeptLine, Kind, Side};
use crate::wire::line::{Line, LineBuffer};

/// Octets read at once.
const READ: usize = 4_096;

/// How long the reply to a text that has been sent is still waited for when the relay is told to
/// stop: giving up means a second copy of the message.
const GRACE: Duration = Duration::from_millis(500);

/// A connection, as long as it lasts.
pub struct Channel {
    stream: Stream,
    arrived: LineBuffer,
    replies: ReplyReader,
    timeouts: Timeouts,
    stop: CancellationToken,
    presence: Presence,
}

impl Channel {
    /// Takes a connected stream over; `stop` ends all waiting.
    #[must_use]
    pub fn new(
        stream: TcpStream,
        timeouts: Timeouts,
        stop: CancellationToken,
        presence: Presence,
    ) -> Self {
        Self {
            stream: stream.into(),
            arrived: LineBuffer::new(LONGEST_LINE),
            replies: ReplyReader::default(),
            timeouts,
            stop,
            presence,
        }
    }

    /// Sends the commands in one go.
    pub async fn send(&mut self, commands: &[Command]) -> Result<(), Trouble> {
        let mut wire = Vec::new();
        for command in commands {
            wire.extend_from_slice(command.line().as_bytes());
            wire.extend_from_slice(b"\r\n");
            self.presence.line(Side::Client, command.shown().as_bytes());
        }
        self.write(&wire).await
    }

    /// Sends octets that have been shown already, or that nobody is shown.
    pub async fn write(&mut self, wire: &[u8]) -> Result<(), Trouble> {
        let stream = &mut self.stream;
        let work = async { stream.write_all(wire).await.map_err(lost) };
        let limit = self.timeouts.block;
        let stopped = stopped(&self.stop, &self.presence, Duration::ZERO);
        let written = within(limit, stopped, work).await;
        self.presence.sent(wire.len());
        written.unwrap_or(Err(Trouble::Stuck(limit)))
    }

    /// Waits for a reply, the whole of it within the time for it.
    pub async fn reply(&mut self, awaited: Awaited) -> Result<Reply, Trouble> {
        self.presence.changed(|| awaited.state().into());
        self.replies.expect(match awaited {
            Awaited::Text => Manner::LastLineDecides,
            _ => Manner::Strict,
        });
        let limit = awaited.time(&self.timeouts);
        let grace = if awaited == Awaited::Text { GRACE } else { Duration::ZERO };
        let reading =
            read_reply(&mut self.stream, &mut self.arrived, &mut self.replies, &self.presence);
        let reply = within(limit, stopped(&self.stop, &self.presence, grace), reading).await;
        reply.unwrap_or(Err(Trouble::TimedOut(limit)))
    }

    /// Goes on in TLS.
    pub async fn secure(
        &mut self,
        tls: &Tls,
        proof: Proof,
        host: &str,
        address: SocketAddr,
    ) -> Result<(), Trouble> {
        // What came before TLS could be anybody's; it must not be taken for the host's word
        // (CVE-2011-0411).
        if !self.arrived.is_empty() {
            return Err(Trouble::Injected);
        }
        let plain = mem::take(&mut self.stream).into_io();
        let work = async {
            let secured = tls.shake_hands(proof, host, address.ip(), plain).await;
            secured.map_err(Trouble::Handshake)
        };
        let limit = self.timeouts.hello;
        let stopped = stopped(&self.stop, &self.presence, Duration::ZERO);
        let secured = within(limit, stopped, work).await;
        let no_answer = || Err(Trouble::Handshake("no answer".to_owned()));
        self.stream = secured.unwrap_or_else(no_answer)?.into();
        self.presence.tell(|| Kind::Note("TLS from here on".to_owned()));
        Ok(())
    }

    /// What others see of it.
    #[must_use]
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }
}

async fn read_reply(
    stream: &mut Stream,
    arrived: &mut LineBuffer,
    replies: &mut ReplyReader,
    presence: &Presence,
) -> Result<Reply, Trouble> {
    loop {
        if let Some(reply) = next_reply(arrived, replies, presence)? {
            return Ok(reply);
        }
        let octets = stream.read_into(arrived, READ).await.map_err(lost)?;
        if octets == 0 {
            return Err(Trouble::Closed);
        }
        presence.read_ended(arrived);
        // What follows the last line end is all that has been begun and not ended.
        let unread = arrived.unread();
        let ended = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        presence.received(octets);
        presence.unended_line(unread.get(ended..).unwrap_or_default());
    }
}

/// The next reply that has arrived whole.
fn next_reply(
    arrived: &mut LineBuffer,
    replies: &mut ReplyReader,
    presence: &Presence,
) -> Result<Option<Reply>, Trouble> {
    while let Some((line, reads)) = arrived.next_line_and_reads() {
        presence.heard(Side::Server, &line, reads);
        if let Some(reply) = replies.line(&line)? {
            return Ok(Some(reply));
        }
    }
    while let Some(line) = line_ended_by_lf_alone(arrived, replies.manner()) {
        presence.tell(|| Kind::Line(Side::Server, KeptLine::new(&line)));
        if let Some(reply) = replies.line(&Line::Whole(&line))? {
            return Ok(Some(reply));
        }
    }
    replies.check_unfinished(arrived).inspect_err(|_| {
        presence.tell(|| Kind::Line(Side::Server, KeptLine::new(arrived.unread()).unended()));
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

/// Does the work, unless it takes longer than `limit` (then there is nothing) or is stopped.
async fn within<T>(
    limit: Duration,
    stopped: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Option<Result<T, Trouble>> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = stopped => Some(Err(Trouble::Stopped)),
        () = sleep(limit) => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the form that map_err wants")]
fn lost(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Trouble::Closed,
        _ => Trouble::Lost(error.to_string()),
    }
}

/// Waits until the work is to end early, and `grace` longer: because the relay is to stop, or the
/// operator closes this connection.
async fn stopped(relay: &CancellationToken, presence: &Presence, grace: Duration) {
    tokio::select! {
        () = relay.cancelled() => {}
        () = presence.close_requested() => {}
    }
    sleep(grace).await;
}
