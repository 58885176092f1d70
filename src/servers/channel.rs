//! The transmission channel of one connection: waits for input, collects and sends replies, and
//! closes in an orderly way. Applies the limits and reports to the observers; independent of the
//! protocol.

use std::future::Future;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::fault::faults::Faults;
use crate::fault::plan::Ending;
use crate::servers::answering::{Answering, Came};
use crate::servers::attendance::Presence;
use crate::servers::holds::{Holds, Stop};
use crate::servers::limits::{
    LINGER, LINGER_AT_SHUTDOWN, READ_OCTETS, REPLIES_KEPT, REPLIES_OCTETS, SHUTDOWN_GRACE,
    WRITE_STALL,
};
use crate::servers::played::answer::Played;
use crate::servers::played::part::Part;
use crate::servers::session::{Farewell, Reply};
use crate::servers::stream::{Stream, release};
use crate::servers::tls::failure::HandshakeError;
use crate::servers::tls::{Presented, Tls};
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{Kind, Side};
use crate::watch::fact::Fact;
use crate::watch::tally::{OpenSession, Tally};
use crate::wire::line::LineBuffer;

/// Why a conversation has ended.
#[derive(Debug)]
pub enum End {
    /// The session has sent its last reply, for example to QUIT.
    Said,
    /// The peer has closed its sending side.
    Hangup,
    /// The peer was silent for longer than the idle limit.
    Idle,
    /// The server is shutting down.
    Shutdown,
    /// The operator closed this connection.
    Operator,
    /// The peer did not read what was sent to it within the limit.
    Stalled,
    /// The connection broke.
    Lost(io::Error),
    /// A fault that is played on purpose ends the connection, in this way.
    Fault(Ending),
    /// A TLS handshake failed, or the connection was to end during it. Nothing more can be said.
    Insecure(HandshakeError),
    /// A reply cannot be completed, for this reason on our side. The connection must be cut, so
    /// that the peer does not take the reply for complete.
    Torn(String),
}

impl End {
    /// The kind of farewell to send, if the peer can still receive one.
    #[must_use]
    pub const fn farewell(&self) -> Option<Farewell> {
        match self {
            Self::Idle => Some(Farewell::Idle),
            Self::Shutdown => Some(Farewell::Shutdown),
            Self::Operator => Some(Farewell::Operator),
            Self::Said
            | Self::Hangup
            | Self::Stalled
            | Self::Lost(_)
            | Self::Fault(_)
            | Self::Insecure(_)
            | Self::Torn(_) => None,
        }
    }

    /// Whether we end the connection in good order, so that the peer must still get our last reply.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Said) || self.farewell().is_some()
    }
}

/// The share of the process's limits that a connection occupies. Dropping it gives it back.
#[derive(Debug, Default)]
pub struct Place {
    /// A permit for one connection, or for one refusal.
    pub connection: Option<OwnedSemaphorePermit>,
    /// A permit for one file descriptor.
    pub descriptor: Option<OwnedSemaphorePermit>,
    /// That a client is here, where somebody waits for the last one to go.
    pub presence: Option<Presence>,
}

/// How a connection can come to TLS.
#[derive(Debug, Clone, Default)]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// When the session says so: [`Step::Secure`](crate::servers::session::Step::Secure).
    OnRequest(Arc<Tls>),
    /// With the first octet, before the greeting (RFC 8314 section 3).
    AtOnce(Arc<Tls>),
}

/// The verb of a command line, by the protocol that is spoken.
type Verb = fn(&[u8]) -> Option<&'static str>;

/// Commands whose refusals are counted.
const COUNTED: [&str; 4] = ["MAIL", "RCPT", "DATA", "BDAT"];

/// One connection.
#[derive(Debug)]
pub struct Channel {
    /// Counts it as open. Before the log: whoever sees that it is closed finds it closed.
    session: Option<OpenSession>,
    // First of what can be seen from outside, so that it is dropped first: the connection is
    // reported as closed before its descriptor can be used by the next connection.
    pub(super) connection_log: ConnectionLog,
    pub(super) stream: Stream,
    pub(super) security: Security,
    /// Returned to the limits when the connection is closed.
    _place: Place,
    /// Output that has not been sent yet.
    pub(super) replies: Vec<u8>,
    /// The faults that may be played; `None` where there can be none.
    pub(super) faults: Option<Arc<Faults>>,
    /// The breakpoints, and what is held; `None` where there can be none.
    pub(super) holds: Option<Arc<Holds>>,
    /// Where the next reply that passes the gate is held.
    pub(super) to_hold: Option<Box<Stop>>,
    /// What the peer has said while it was held.
    pub(super) early: Option<Box<LineBuffer>>,
    /// Whether the peer has left while something was held, which the transcript has told.
    pub(super) has_left_held: bool,
    /// What is done to the answer that is being given. Boxed, because few answers have any of it.
    pub(super) played: Option<Box<Played>>,
    /// The command that the next reply answers.
    answering: Answering,
    verb: Verb,
    pub(super) ending: CancellationToken,
    /// The time by which all output must be sent during a shutdown.
    deadline: Option<Instant>,
}

impl Channel {
    /// A channel over `stream`; `ending` is cancelled when the server shuts down.
    #[must_use]
    pub const fn new(
        stream: Stream,
        connection_log: ConnectionLog,
        place: Place,
        ending: CancellationToken,
    ) -> Self {
        Self {
            session: None,
            connection_log,
            stream,
            security: Security::None,
            _place: place,
            replies: Vec::new(),
            faults: None,
            holds: None,
            to_hold: None,
            early: None,
            has_left_held: false,
            played: None,
            answering: Answering::NOTHING,
            verb: |_| None,
            ending,
            deadline: None,
        }
    }

    /// The same channel, with this way to TLS.
    #[must_use]
    pub fn with_security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// The same channel, counted as open, and what its replies come to as well.
    #[must_use]
    pub fn counted(mut self, session: OpenSession) -> Self {
        self.session = Some(session);
        self
    }

    /// The same channel, on which these faults may be played.
    #[must_use]
    pub fn with_faults(mut self, faults: Arc<Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// The same channel, on which something may be held.
    #[must_use]
    pub fn with_holds(mut self, holds: Arc<Holds>) -> Self {
        self.holds = Some(holds);
        self
    }

    /// The same channel, with the way to find the verb of a command line.
    #[must_use]
    pub fn speaking(mut self, verb: Verb) -> Self {
        self.verb = verb;
        self
    }

    /// The counters, where the connection is counted.
    pub(super) fn tally(&self) -> Option<&Tally> {
        self.session.as_ref().map(OpenSession::tally)
    }

    /// Whether a fault may be played now, or something held. Cheap: it is asked at every command.
    #[must_use]
    pub fn may_play(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.is_active())
            || self.holds.as_ref().is_some_and(|holds| holds.is_active())
    }

    /// Whether TLS comes before the greeting.
    #[must_use]
    pub const fn is_secured_at_once(&self) -> bool {
        matches!(self.security, Security::AtOnce(_))
    }

    /// The connection's entry in the transcript and in the registry.
    #[must_use]
    pub const fn connection_log(&self) -> &ConnectionLog {
        &self.connection_log
    }

    /// Notes that a line has come, which the next reply answers.
    pub fn hear(&mut self, line: &[u8]) {
        self.answering.hear(line);
    }

    /// Notes that a message text has ended, which the next reply answers.
    pub const fn text_ended(&mut self) {
        self.answering.text_ended();
    }

    /// Notes that the next reply answers nothing: a farewell.
    pub const fn answers_nothing(&mut self) {
        self.answering = Answering::NOTHING;
    }

    /// Waits for input and appends it to `input`; returns the number of octets.
    ///
    /// A shutdown is noticed here, while the peer does not read, and during lookups. An effect that
    /// changes the disk is completed and answered first.
    ///
    /// # Errors
    ///
    /// The end of the conversation, if it ends instead.
    pub async fn arrival(&mut self, input: &mut LineBuffer, octets: usize) -> Result<usize, End> {
        if self.early.is_some() {
            let octets = self.take_early(input);
            self.connection_log.read_ended(input);
            return Ok(octets);
        }
        // An idle connection keeps no input buffer.
        release(input);
        tokio::select! {
            // A shutdown comes before input that is there already: a busy client must not delay it.
            biased;
            () = self.ending.cancelled() => Err(End::Shutdown),
            () = self.connection_log.close_requested() => Err(End::Operator),
            arrived = self.stream.read_into(input, octets) => match arrived {
                Ok(0) => Err(End::Hangup),
                Ok(octets) => {
                    self.connection_log.read_ended(input);
                    Ok(octets)
                }
                Err(error) => Err(End::Lost(error)),
            },
        }
    }

    /// Adds a reply to the output. It is sent before the next wait for input, with all others added
    /// by then, so that the replies to pipelined commands leave in one packet.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush), which is called if much output is waiting.
    pub async fn say(&mut self, reply: &Reply) -> Result<(), End> {
        let from = self.replies.len();
        self.replies.extend_from_slice(reply.bytes());
        self.replies.extend_from_slice(b"\r\n");
        self.pass(from, Part::Reply).await
    }

    /// Adds the line that `write` appends: a line of a listing.
    ///
    /// # Errors
    ///
    /// Those of [`say`](Self::say).
    pub async fn say_line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let from = self.replies.len();
        write(&mut self.replies);
        self.replies.extend_from_slice(b"\r\n");
        self.pass(from, Part::Lines).await
    }

    /// Adds the piece of message text that `write` appends, already dot-stuffed.
    ///
    /// # Errors
    ///
    /// Those of [`say`](Self::say).
    pub async fn say_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let from = self.replies.len();
        write(&mut self.replies);
        self.pass(from, Part::Text).await
    }

    /// All output goes through this method, in order and before any of it is sent; `from` is where
    /// the new part begins. Where a fault is played, it goes on to
    /// [`pass_played`](Self::pass_played). Reports lines to the observers, counts, and sends if much
    /// output is waiting.
    async fn pass(&mut self, from: usize, part: Part) -> Result<(), End> {
        if self.played.is_some() {
            return Box::pin(self.pass_played(from, part)).await;
        }
        if part != Part::Text && self.connection_log.is_observed() {
            for line in lines(self.replies.get(from..).unwrap_or_default()) {
                self.connection_log.line(Side::Server, line);
            }
        }
        if part == Part::Reply {
            self.judge(from);
        }
        if self.replies.len() < REPLIES_OCTETS {
            return Ok(());
        }
        // Boxed, because otherwise the future of every idle connection would reserve room for it at
        // each place where a reply is added.
        Box::pin(self.flush()).await
    }

    /// Counts and tells what the reply that begins at `from` comes to.
    fn judge(&mut self, from: usize) {
        let reply = self.replies.get(from..).unwrap_or_default();
        let came = self.answering.reply(reply, self.connection_log.service());
        self.came(came, reply);
    }

    /// The same for a reply that is not among the output yet.
    pub(super) fn judge_reply(&mut self, reply: &[u8]) {
        let came = self.answering.reply(reply, self.connection_log.service());
        self.came(came, reply);
    }

    fn came(&self, came: Came, reply: &[u8]) {
        match came {
            Came::ToNothing => {}
            Came::ToMessage => {
                if let Some(session) = &self.session {
                    session.tally().message();
                }
            }
            Came::ToRefusal => self.refused(reply),
        }
    }

    fn refused(&self, reply: &[u8]) {
        let verb = (self.verb)(self.answering.beginning());
        if let Some(session) = &self.session
            && verb.is_some_and(|verb| COUNTED.contains(&verb))
        {
            session.tally().refusal();
        }
        let reply = || reply.strip_suffix(b"\r\n").unwrap_or(reply).into();
        self.connection_log.tell_fact(|| Fact::Refused { verb, reply: reply() });
    }

    /// Sends all output.
    ///
    /// # Errors
    ///
    /// If the connection breaks, the peer does not read, or the operator closes the connection.
    pub async fn flush(&mut self) -> Result<(), End> {
        let mut sent = 0;
        while sent < self.replies.len() {
            let octets = self.send_from(sent).await?;
            self.connection_log.sent(octets);
            sent += octets;
        }
        self.replies.clear();
        // A long listing must not leave its buffer to a connection that then falls idle.
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
            // Part of a reply has been sent, so no farewell can follow.
            () = self.connection_log.close_requested() => Err(End::Torn("by the operator".into())),
            () = patience(&self.ending, &mut self.deadline) => Err(End::Stalled),
        }
    }

    /// Performs a TLS handshake, and goes on over TLS. All output must have been sent. Octets that
    /// were read before must have been dropped: they may be an attacker's (RFC 3207 section 6).
    ///
    /// # Errors
    ///
    /// [`End::Insecure`], and then the connection is closed already.
    pub async fn secure(&mut self) -> Result<(), End> {
        self.secure_presenting(Presented::Right).await
    }

    /// The same with a certificate that may be wrong on purpose.
    ///
    /// # Errors
    ///
    /// Those of [`secure`](Self::secure).
    pub async fn secure_presenting(&mut self, presented: Presented) -> Result<(), End> {
        let (Security::OnRequest(tls) | Security::AtOnce(tls)) = &self.security else {
            return Err(End::Insecure(HandshakeError::NotSetUp));
        };
        let plain = mem::take(&mut self.stream);
        let (stream, secured) = tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(HandshakeError::Shutdown),
            () = self.connection_log.close_requested() => Err(HandshakeError::Operator),
            secured = tls.accept_presenting(presented, plain) => secured,
        }
        .map_err(End::Insecure)?;
        self.stream = stream;
        self.connection_log.secured(secured.version);
        self.connection_log.tell(|| Kind::Note(secured.to_string()));
        Ok(())
    }

    /// Waits for a lookup, which a shutdown may abandon because it changes nothing.
    ///
    /// # Errors
    ///
    /// [`End::Shutdown`] if the server shuts down first.
    pub async fn unless_ending<F: Future>(&mut self, lookup: F) -> Result<F::Output, End> {
        tokio::select! {
            () = self.ending.cancelled() => Err(End::Shutdown),
            found = lookup => Ok(found),
        }
    }

    /// Sends all output, then waits for `time`. This takes a timer and blocks no thread.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush), or the end of the conversation if it ends during the wait.
    pub async fn pause(&mut self, time: Duration) -> Result<(), End> {
        self.flush().await?;
        tokio::select! {
            () = self.ending.cancelled() => Err(End::Shutdown),
            () = self.connection_log.close_requested() => Err(End::Operator),
            () = sleep(time) => Ok(()),
        }
    }

    /// Sends the rest of the output, then waits briefly for the peer to close its side.
    pub async fn part(&mut self) {
        self.part_within(LINGER).await;
    }

    /// The same for a peer that may take so long, but for a shutdown.
    pub(super) async fn part_within(&mut self, time: Duration) {
        if self.flush().await.is_err() {
            return;
        }
        tokio::select! {
            () = close(&mut self.stream) => {}
            () = linger(&self.ending, time) => {}
        }
    }
}

/// Closes our side, and reads until the peer has closed its side.
async fn close(stream: &mut Stream) {
    // TLS has a goodbye of its own, for which a peer that does not read leaves no room.
    if stream.shutdown().await.is_ok() {
        // Unread input would make the kernel reset the connection, and the peer might lose our last
        // reply.
        stream.drain(READ_OCTETS).await;
    }
}

/// The lines of the output, without their CRLF.
fn lines(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    // By one octet: a search for both would be prepared anew for each reply.
    memchr::memchr_iter(b'\n', said).filter_map(move |end| {
        let line = said.get(from..end)?.strip_suffix(b"\r")?;
        from = end + 1;
        Some(line)
    })
}

/// Completes when the peer has had its time to read something.
async fn patience(ending: &CancellationToken, deadline: &mut Option<Instant>) {
    if deadline.is_none() {
        tokio::select! {
            () = sleep(WRITE_STALL) => return,
            () = ending.cancelled() => {}
        }
    }
    // Set once: the grace period is for all remaining output, not for each write.
    let deadline = *deadline.get_or_insert_with(|| Instant::now() + SHUTDOWN_GRACE);
    sleep_until(deadline).await;
}

/// Completes when the peer has had its time to close its side.
async fn linger(ending: &CancellationToken, time: Duration) {
    tokio::select! {
        () = sleep(time) => {}
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

    /// An observer that collects the transcript.
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
        let connection_log =
            ConnectionLog::opened(name, peer, Observers::one(Arc::clone(&lines) as _), None);
        let place = Place::default();
        let mut channel =
            Channel::new(ours.into(), connection_log, place, CancellationToken::new());
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
