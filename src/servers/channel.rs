//! The transmission channel of one connection: waiting for input, replies gathered and sent,
//! the orderly end. Knows limits and watchers; knows no protocol.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::servers::limits::{
    LINGER, LINGER_AT_SHUTDOWN, READ_OCTETS, REPLIES_KEPT, REPLIES_OCTETS, SHUTDOWN_GRACE,
    SPARE_OCTETS, WRITE_STALL,
};
use crate::servers::session::{Farewell, Reply};
use crate::watch::connection_log::Presence;
use crate::watch::event::Side;
use crate::wire::line::LineBuffer;

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Waits for input and appends it to `input`; returns how many octets came, 0 at the end.
    fn read_into(
        &mut self,
        input: &mut LineBuffer,
        octets: usize,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        async move { self.read_buf(input.space(octets)).await }
    }
}

impl Stream for TcpStream {
    /// Waits without a buffer, so that ten thousand idle connections hold none.
    async fn read_into(&mut self, input: &mut LineBuffer, octets: usize) -> io::Result<usize> {
        loop {
            poll_fn(|context| self.poll_read_ready(context)).await?;
            input.adopt(SPARE.take());
            if let Poll::Ready(read) = once(self.read_buf(input.space(octets))).await {
                return read;
            }
            // It was not ready after all.
            release(input);
        }
    }
}

thread_local! {
    /// What the last connection of this thread to fall silent has given back, for the next one
    /// that hears something: to allocate for each command costs more than to parse it.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives a buffer's memory back while the peer is silent.
fn release(input: &mut LineBuffer) {
    let memory = input.release();
    if (1..=SPARE_OCTETS).contains(&memory.capacity()) {
        SPARE.set(memory);
    }
}

/// What the future comes to if it need not be waited for.
async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Pipes in memory, for tests.
impl Stream for DuplexStream {}

/// Why a conversation has ended.
#[derive(Debug)]
pub enum End {
    /// The session has said its last word.
    Said,
    /// The peer has closed its side.
    Hangup,
    /// The peer has been silent for too long.
    Idle,
    /// The servers end.
    Shutdown,
    /// The operator closes this connection.
    Operator,
    /// The peer takes nothing of what is sent to it.
    Stalled,
    /// The connection is broken.
    Lost(io::Error),
    /// What was being sent cannot be finished, for this reason of our own; the peer must not
    /// take it for whole.
    Torn(String),
}

impl End {
    /// What the session is to say about it, if the peer is still there to hear it.
    #[must_use]
    pub const fn farewell(&self) -> Option<Farewell> {
        match self {
            Self::Idle => Some(Farewell::Idle),
            Self::Shutdown => Some(Farewell::Shutdown),
            Self::Operator => Some(Farewell::Operator),
            Self::Said | Self::Hangup | Self::Stalled | Self::Lost(_) | Self::Torn(_) => None,
        }
    }

    /// Whether it is we who end it, in good order, so that the peer is owed our last word.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Said) || self.farewell().is_some()
    }
}

/// What a connection takes up of what there is for all of them.
#[derive(Debug, Default)]
pub struct Place {
    /// One of the connections, or refusals, that there may be.
    pub connection: Option<OwnedSemaphorePermit>,
    /// One of the descriptors that connections may have.
    pub descriptor: Option<OwnedSemaphorePermit>,
}

/// One connection.
#[derive(Debug)]
pub struct Channel<T> {
    // First, so that it is dropped first: the descriptor is free for the next connection only
    // after this one has been said to be closed.
    presence: Presence,
    stream: T,
    /// Given back when the connection is gone.
    _place: Place,
    /// What has been said and not yet sent.
    replies: Vec<u8>,
    ending: CancellationToken,
    /// When the last word must be out, once the servers end.
    deadline: Option<Instant>,
}

impl<T: Stream> Channel<T> {
    /// A channel over `stream`; `ending` is cancelled when the servers shut down.
    #[must_use]
    pub const fn new(
        stream: T,
        presence: Presence,
        place: Place,
        ending: CancellationToken,
    ) -> Self {
        Self { presence, stream, _place: place, replies: Vec::new(), ending, deadline: None }
    }

    /// Who watches this connection.
    #[must_use]
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Waits for input and appends it to `input`; returns how many octets came.
    ///
    /// A shutdown is heard here, while the peer does not take what is sent, and while something
    /// is looked up: what changes the disk is finished and answered first.
    pub async fn arrival(&mut self, input: &mut LineBuffer, octets: usize) -> Result<usize, End> {
        release(input);
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(End::Shutdown),
            () = self.presence.close_requested() => Err(End::Operator),
            arrived = self.stream.read_into(input, octets) => match arrived {
                Ok(0) => Err(End::Hangup),
                Ok(octets) => {
                    self.presence.read_ended(input);
                    Ok(octets)
                }
                Err(error) => Err(End::Lost(error)),
            },
        }
    }

    /// Says a reply. It is sent before the next wait for input, with all others said by then, so
    /// that the replies to pipelined commands leave in one packet.
    pub fn say(&mut self, reply: &Reply) {
        self.say_line(|line| line.extend_from_slice(reply.bytes()));
    }

    /// Says the line that `write` appends.
    pub fn say_line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.replies.len();
        write(&mut self.replies);
        let line = self.replies.get(from..).unwrap_or_default();
        self.presence.line(Side::Server, line);
        self.replies.extend_from_slice(b"\r\n");
    }

    /// Where message text goes, which the transcript does not show as lines of ours.
    pub const fn text(&mut self) -> &mut Vec<u8> {
        &mut self.replies
    }

    /// Waits for the peer to take some, if much is waiting for it.
    pub async fn make_room(&mut self) -> Result<(), End> {
        if self.replies.len() < REPLIES_OCTETS {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends all that has been said.
    pub async fn flush(&mut self) -> Result<(), End> {
        let mut sent = 0;
        while sent < self.replies.len() {
            let octets = self.send_from(sent).await?;
            self.presence.sent(octets);
            sent += octets;
        }
        self.replies.clear();
        if self.replies.capacity() > REPLIES_KEPT {
            self.replies = Vec::new();
        }
        Ok(())
    }

    async fn send_from(&mut self, from: usize) -> Result<usize, End> {
        let rest = self.replies.get(from..).unwrap_or_default();
        tokio::select! {
            biased;
            written = self.stream.write(rest) => match written {
                Ok(0) => Err(End::Lost(io::ErrorKind::WriteZero.into())),
                Ok(octets) => Ok(octets),
                Err(error) => Err(End::Lost(error)),
            },
            // What is half sent cannot be followed by a farewell.
            () = self.presence.close_requested() => Err(End::Torn("by the operator".into())),
            () = patience(&self.ending, &mut self.deadline) => Err(End::Stalled),
        }
    }

    /// Waits for what is only looked up, and may be given up when the servers end.
    pub async fn unless_ending<F: Future>(&mut self, lookup: F) -> Result<F::Output, End> {
        tokio::select! {
            () = self.ending.cancelled() => Err(End::Shutdown),
            found = lookup => Ok(found),
        }
    }

    /// Sends what has been said, and says nothing for a while. It costs a timer, and no thread.
    pub async fn pause(&mut self, time: Duration) -> Result<(), End> {
        self.flush().await?;
        tokio::select! {
            () = self.ending.cancelled() => Err(End::Shutdown),
            () = self.presence.close_requested() => Err(End::Operator),
            () = sleep(time) => Ok(()),
        }
    }

    /// Sends the last word, then waits a moment for the peer to close its side.
    pub async fn part(&mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        tokio::select! {
            () = drain(&mut self.stream) => {}
            () = linger(&self.ending) => {}
        }
    }
}

/// Ends when the peer has had its time to take something.
async fn patience(ending: &CancellationToken, deadline: &mut Option<Instant>) {
    if deadline.is_none() {
        tokio::select! {
            () = sleep(WRITE_STALL) => return,
            () = ending.cancelled() => {}
        }
    }
    let deadline = *deadline.get_or_insert_with(|| Instant::now() + SHUTDOWN_GRACE);
    sleep_until(deadline).await;
}

/// Ends when the peer has had its time to close its side.
async fn linger(ending: &CancellationToken) {
    tokio::select! {
        () = sleep(LINGER) => {}
        () = ending.cancelled() => sleep(LINGER_AT_SHUTDOWN).await,
    }
}

/// Reads what still comes, and forgets it, until the peer has closed its side.
async fn drain<T: Stream>(stream: &mut T) {
    let mut ignored = Vec::with_capacity(READ_OCTETS);
    while let Ok(1..) = stream.read_buf(&mut ignored).await {
        ignored.clear();
    }
}
