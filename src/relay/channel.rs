//! A connection to a mail host as commands, replies and message text: bytes, waits and the
//! transcript. Does not know what the replies mean.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::relay::conversation::{Awaited, Command};
use crate::relay::reply::{LONGEST_LINE, Reply, ReplyReader};
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::{Proof, Tls};
use crate::relay::trouble::Trouble;
use crate::servers::registry::{Connection as Listed, Registry};
use crate::wire::event::{ConnectionName, KeptLine, Kind, Side, Transcript};
use crate::wire::line::{Line, LineBuffer};

/// Octets read at once.
const READ: usize = 4_096;

/// How long the reply to a text that has been sent is still waited for when the relay is told to
/// stop: giving up means a second copy of the message.
const GRACE: Duration = Duration::from_millis(500);

/// TCP or TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection, as long as it lasts.
pub struct Channel {
    stream: Box<dyn Stream>,
    arrived: LineBuffer,
    replies: ReplyReader,
    timeouts: Timeouts,
    stop: Stop,
    journal: Journal,
}

/// Tells when the work is to end early.
struct Stop {
    /// The relay is to stop.
    relay: CancellationToken,
    /// The operator closes this connection.
    connection: CancellationToken,
}

/// What others see of a connection.
pub struct Journal {
    name: ConnectionName,
    transcript: Transcript,
    registry: Arc<Registry>,
    listed: Arc<Listed>,
    /// Lines of message text, where they are wanted.
    text: LineBuffer,
}

impl Channel {
    /// Takes a connected stream over; `stop` ends all waiting.
    pub fn new(
        stream: TcpStream,
        timeouts: Timeouts,
        stop: CancellationToken,
        journal: Journal,
    ) -> Self {
        let connection = journal.listed.close.clone();
        Self {
            stream: Box::new(stream),
            arrived: LineBuffer::new(LONGEST_LINE),
            replies: ReplyReader::default(),
            timeouts,
            stop: Stop { relay: stop, connection },
            journal,
        }
    }

    /// Sends the commands in one go.
    pub async fn send(&mut self, commands: &[Command]) -> Result<(), Trouble> {
        let mut wire = Vec::new();
        for command in commands {
            wire.extend_from_slice(command.line().as_bytes());
            wire.extend_from_slice(b"\r\n");
            self.journal.said(command);
        }
        self.write(&wire).await
    }

    /// Sends octets that have been shown already, or that nobody is shown.
    pub async fn write(&mut self, wire: &[u8]) -> Result<(), Trouble> {
        let stream = &mut self.stream;
        let work = async {
            stream.write_all(wire).await.map_err(lost)?;
            stream.flush().await.map_err(lost)
        };
        let limit = self.timeouts.block;
        let written = within(limit, self.stop.told(Duration::ZERO), work).await;
        self.journal.listed.sent(wire.len());
        written.unwrap_or(Err(Trouble::Stuck(limit)))
    }

    /// Waits for a reply, the whole of it within the time for it.
    pub async fn reply(&mut self, awaited: Awaited) -> Result<Reply, Trouble> {
        self.journal.state(awaited.state());
        let limit = awaited.time(&self.timeouts);
        let grace = if awaited == Awaited::Text { GRACE } else { Duration::ZERO };
        let reading =
            read_reply(&mut self.stream, &mut self.arrived, &mut self.replies, &self.journal);
        let reply = within(limit, self.stop.told(grace), reading).await;
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
        let plain = mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let work = async {
            let secured = tls.shake_hands(proof, host, address.ip(), plain).await;
            secured.map_err(Trouble::Handshake)
        };
        let limit = self.timeouts.hello;
        let secured = within(limit, self.stop.told(Duration::ZERO), work).await;
        let no_answer = || Err(Trouble::Handshake("no answer".to_owned()));
        self.stream = Box::new(secured.unwrap_or_else(no_answer)?);
        self.journal.note("TLS from here on".to_owned());
        Ok(())
    }

    /// What others see of it.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }
}

async fn read_reply(
    stream: &mut Box<dyn Stream>,
    arrived: &mut LineBuffer,
    replies: &mut ReplyReader,
    journal: &Journal,
) -> Result<Reply, Trouble> {
    loop {
        while let Some(line) = arrived.next_line() {
            journal.heard(&line);
            if let Some(reply) = replies.line(&line)? {
                return Ok(reply);
            }
        }
        replies.check_unfinished(arrived).inspect_err(|_| {
            journal.heard(&Line::Whole(arrived.unread()));
        })?;
        let octets = stream.read_buf(arrived.space(READ)).await.map_err(lost)?;
        if octets == 0 {
            return Err(Trouble::Closed);
        }
        journal.listed.received(octets, arrived.unread());
    }
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

impl Stop {
    async fn told(&self, grace: Duration) {
        tokio::select! {
            () = self.relay.cancelled() => {}
            () = self.connection.cancelled() => {}
        }
        sleep(grace).await;
    }
}

impl Journal {
    /// Announces the connection that `stream` is; `name` tells its service and never-used id.
    pub fn open(
        stream: &TcpStream,
        peer: SocketAddr,
        mut name: ConnectionName,
        transcript: Transcript,
        registry: Arc<Registry>,
    ) -> Self {
        name.number = stream.as_raw_fd();
        transcript.tell(name, || Kind::Opened { peer });
        let listed = registry.opened(name, peer);
        Self { name, transcript, registry, listed, text: LineBuffer::new(LONGEST_LINE) }
    }

    /// Says a word of our own about it.
    pub fn note(&self, note: String) {
        self.transcript.tell(self.name, || Kind::Note(note));
    }

    /// Says how far it is.
    pub fn state(&self, state: impl Into<Cow<'static, str>>) {
        self.listed.state(state.into());
        self.registry.changed();
    }

    /// Shows a piece of message text where text is wanted line by line.
    pub fn text(&mut self, piece: &[u8]) {
        if !self.transcript.wants_text() {
            return;
        }
        self.text.extend(piece);
        while let Some(line) = self.text.next_line() {
            let kept = kept(&line);
            self.transcript.tell(self.name, || Kind::TextLine(Side::Client, kept));
        }
    }

    /// Shows that the text has been sent: `octets` in all, and the lone dot.
    pub fn text_ends(&self, octets: u64) {
        if !self.transcript.wants_text() {
            self.transcript.tell(self.name, || Kind::Text { octets });
        }
        self.line(Side::Client, &Line::Whole(b"."));
    }

    fn said(&self, command: &Command) {
        self.transcript.tell(self.name, || {
            Kind::Line(Side::Client, KeptLine::new(command.shown().as_bytes()))
        });
    }

    fn heard(&self, line: &Line<'_>) {
        self.line(Side::Server, line);
    }

    fn line(&self, side: Side, line: &Line<'_>) {
        self.transcript.tell(self.name, || Kind::Line(side, kept(line)));
    }
}

fn kept(line: &Line<'_>) -> KeptLine {
    match line {
        Line::Whole(line) => KeptLine::new(line),
        Line::Overlong { beginning, octets } => KeptLine::beginning(beginning, *octets),
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.transcript.tell(self.name, || Kind::Closed);
        self.registry.closed(&self.listed);
        self.registry.changed();
    }
}
