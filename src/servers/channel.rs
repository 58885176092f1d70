//! The transmission channel of one connection: waiting for input, replies gathered and sent,
//! the orderly end. Knows limits and watchers; knows no protocol.

use std::future::Future;
use std::io;
use std::time::Duration;

use memchr::memmem;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::servers::limits::{
    LINGER, LINGER_AT_SHUTDOWN, READ_OCTETS, REPLIES_KEPT, REPLIES_OCTETS, SHUTDOWN_GRACE,
    WRITE_STALL,
};
use crate::servers::session::{Farewell, Reply};
use crate::servers::stream::{Stream, release};
use crate::watch::connection_log::Presence;
use crate::watch::event::Side;
use crate::wire::line::LineBuffer;

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

/// What passes the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Whole lines: a reply, or one of the lines that follow it.
    Lines,
    /// A piece of message text, which the transcript shows in its own way.
    Text,
}

/// One connection.
#[derive(Debug)]
pub struct Channel {
    // First, so that it is dropped first: the descriptor is free for the next connection only
    // after this one has been said to be closed.
    presence: Presence,
    stream: Stream,
    /// Given back when the connection is gone.
    _place: Place,
    /// What has been said and not yet sent.
    replies: Vec<u8>,
    ending: CancellationToken,
    /// When the last word must be out, once the servers end.
    deadline: Option<Instant>,
}

impl Channel {
    /// A channel over `stream`; `ending` is cancelled when the servers shut down.
    #[must_use]
    pub const fn new(
        stream: Stream,
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
    pub async fn say(&mut self, reply: &Reply) -> Result<(), End> {
        self.say_line(|line| line.extend_from_slice(reply.bytes())).await
    }

    /// Says the line that `write` appends: one of the many of a listing, or a whole reply.
    pub async fn say_line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let from = self.replies.len();
        write(&mut self.replies);
        self.replies.extend_from_slice(b"\r\n");
        self.pass(from, Part::Lines).await
    }

    /// Says the piece of message text that `write` appends, dot-stuffed.
    pub async fn say_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let from = self.replies.len();
        write(&mut self.replies);
        self.pass(from, Part::Text).await
    }

    /// The gate. Everything that the server says passes it, from `from` on in what waits to be
    /// sent, in order and before any of it is sent: whatever is to delay, change or break what a
    /// server says does so here, for all protocols. Tells the observers of lines, and waits for
    /// the peer to take some if much waits for it.
    async fn pass(&mut self, from: usize, part: Part) -> Result<(), End> {
        if part == Part::Lines && self.presence.is_observed() {
            for line in lines(self.replies.get(from..).unwrap_or_default()) {
                self.presence.line(Side::Server, line);
            }
        }
        if self.replies.len() < REPLIES_OCTETS {
            return Ok(());
        }
        // Boxed, because every idle connection would keep room for it at each place where a reply
        // is said.
        Box::pin(self.flush()).await
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
            () = self.stream.drain(READ_OCTETS) => {}
            () = linger(&self.ending) => {}
        }
    }
}

/// The lines of what has been said, without their CRLF.
fn lines(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memmem::find_iter(said, b"\r\n");
    let mut from = 0;
    ends.map(move |end| {
        let line = said.get(from..end).unwrap_or_default();
        from = end + 2;
        line
    })
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::watch::event::{ConnectionName, Event, Passwords, Service, transcript_line};
    use crate::watch::observers::{Observer, Observers};

    /// Keeps the transcript.
    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Observer for Lines {
        fn observe(&self, event: Event) {
            let line = transcript_line(&event, Passwords::Shown).into_string();
            self.0.lock().unwrap().push(line);
        }

        fn wants_text(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn a_reply_of_several_lines_leaves_whole_and_is_told_line_by_line() {
        let (ours, mut theirs) = duplex(1_000);
        let lines = Arc::new(Lines::default());
        let name = ConnectionName { id: 1, number: 7, service: Service::Smtp };
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let presence = Presence::opened(name, peer, Observers::one(Arc::clone(&lines) as _), None);
        let place = Place::default();
        let mut channel = Channel::new(ours.into(), presence, place, CancellationToken::new());
        let hello = Reply::of_lines(&[b"250-localhost", b"250-SIZE 1000", b"250 \r8BITMIME"]);
        channel.say(&hello).await.unwrap();
        channel.say(&Reply::fixed("250 OK")).await.unwrap();
        channel.flush().await.unwrap();
        drop(channel);
        let mut wire = String::new();
        theirs.read_to_string(&mut wire).await.unwrap();
        assert_eq!(wire, "250-localhost\r\n250-SIZE 1000\r\n250 \r8BITMIME\r\n250 OK\r\n");
        let told = lines.0.lock().unwrap().clone();
        let said: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("[7] S: ")).collect();
        assert_eq!(said, ["250-localhost", "250-SIZE 1000", "250 \\x0d8BITMIME", "250 OK"]);
    }
}
