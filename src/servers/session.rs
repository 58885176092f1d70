//! The interface between a protocol and the loop that drives it: a state machine that takes lines
//! and returns steps. Sessions do no I/O and use no clock.

use std::borrow::Cow;

use crate::wire::line::LINE_OCTETS;

/// The server's side of a conversation: the rules of a protocol for one connection.
pub trait Session: Send {
    /// Work that the session cannot do itself, such as a delivery.
    type Effect: Send;
    /// The result of an effect.
    type Outcome: Send;

    /// The command in a line, in capitals and without its arguments, if this protocol has it.
    /// Changes no state, so that code that concerns one command (a fault in its reply, a counter)
    /// can ask before the session handles the line.
    fn verb(line: &[u8]) -> Option<&'static str>;

    /// The first reply, sent when the connection opens.
    fn greeting(&self) -> Reply;

    /// Handles a command line, given without its CRLF.
    fn line(&mut self, line: &[u8]) -> Step<Self::Effect>;

    /// The most octets of the line that begins with `beginning`, without its CRLF.
    fn line_octets(&self, _beginning: &[u8]) -> usize {
        LINE_OCTETS
    }

    /// The reply to a line over that limit, which is not parsed.
    fn overlong(&mut self) -> Reply;

    /// Whether the next line is no command, but an answer within AUTH.
    fn is_in_exchange(&self) -> bool {
        false
    }

    /// How many octets that are no commands follow this line: a chunk (RFC 3030).
    fn octets_behind(&self, _line: &[u8]) -> u64 {
        0
    }

    /// The reply of success to a command, given by its verb, or to the end of a message: `.`. `None`
    /// where the reply is all that the command does.
    fn success(&self, _verb: Option<&str>) -> Option<Reply> {
        None
    }

    /// Ends a transaction whose message is not stored.
    fn abandon(&mut self) {}

    /// What the client has said so far.
    fn known(&self) -> Known {
        Known::default()
    }

    /// Continues after [`Step::Perform`].
    fn resume(&mut self, outcome: Self::Outcome) -> Step<Self::Effect>;

    /// The last reply if the server ends the conversation; `None` if the protocol has none.
    fn farewell(&self, why: Farewell) -> Option<Reply>;

    /// The state in the protocol's own terms, for the console.
    fn state(&self) -> Cow<'static, str>;

    /// The connection is now secured by TLS: whatever the client has said so far is forgotten, as if
    /// it had just connected (RFC 3207 section 4.2, RFC 2595 section 4). Called after
    /// [`Step::Secure`], and before the greeting where TLS begins with the first octet.
    fn secured(&mut self) {}

    /// The user whose mailbox this session holds.
    fn user(&self) -> Option<&str> {
        None
    }
}

/// What a client has said of itself and of its message so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The argument of HELO or EHLO.
    pub helo: Option<String>,
    /// The reverse-path of the transaction, without its brackets; empty for the null one.
    pub from: Option<String>,
    /// The recipients that were accepted, without brackets.
    pub accepted: Vec<String>,
    /// The user of USER, or whose mailbox this session holds.
    pub user: Option<String>,
}

/// The next step of a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<Effect> {
    /// Send this reply.
    Reply(Reply),
    /// Send this reply, then close the connection.
    Close(Reply),
    /// Send this reply, receive message text up to the final dot, then perform the effect.
    Text(Reply, Effect),
    /// Send this reply, drop all input that is there already, perform a TLS handshake, then call
    /// [`Session::secured`]. The connection ends if there is no TLS.
    Secure(Reply),
    /// Receive a chunk of message text, which has no dot stuffing and no final dot (RFC 3030).
    Chunk(Chunk<Effect>),
    /// Perform the effect, then call [`Session::resume`] with its outcome.
    Perform(Effect),
    /// Send nothing: the effect has sent the whole reply.
    Quiet,
}

/// A chunk of message text, given by its length (RFC 3030 section 2).
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk<Effect> {
    /// Octets of the chunk, which are received whatever becomes of them.
    pub octets: u64,
    /// What becomes of them.
    pub fate: ChunkFate,
    /// What follows the last octet.
    pub then: AfterChunk<Effect>,
}

/// What becomes of the octets of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkFate {
    /// They begin a message text.
    First,
    /// They continue the text of the chunks before.
    Next,
    /// They are dropped.
    Dropped,
}

/// What follows a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum AfterChunk<Effect> {
    /// This reply.
    Reply(Reply),
    /// The text is complete: this effect.
    Perform(Effect),
}

/// Why the server ends a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The server is shutting down.
    Shutdown,
    /// The client was silent for longer than the idle limit.
    Idle,
    /// There are too many connections.
    Busy,
    /// The operator closed this connection.
    Operator,
}

/// A reply: one or more lines, without the last CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Cow<'static, [u8]>);

impl Reply {
    /// A reply with a constant text.
    #[must_use]
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// A reply with these lines, each given without its CRLF.
    #[must_use]
    pub fn of_lines(lines: &[&[u8]]) -> Self {
        Self(Cow::Owned(lines.join(&b"\r\n"[..])))
    }

    /// The octets, with a CRLF between lines and none after the last.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Reply {
    fn from(text: Vec<u8>) -> Self {
        Self(Cow::Owned(text))
    }
}

#[cfg(test)]
pub(crate) mod script {
    //! Helpers for tests of sessions: `peer.send("NOOP").expect("250 OK")`.

    use super::*;

    /// A client that talks to a session; `effects` returns the outcome of each effect.
    pub(crate) struct Peer<S, F> {
        pub(crate) session: S,
        effects: F,
    }

    /// The reply to a line.
    #[derive(Debug)]
    pub(crate) struct Heard {
        said: Option<Reply>,
        pub(crate) closed: bool,
    }

    impl<S, F> Peer<S, F>
    where
        S: Session,
        F: FnMut(S::Effect) -> S::Outcome,
    {
        pub(crate) fn new(session: S, effects: F) -> Self {
            Self { session, effects }
        }

        pub(crate) fn send(&mut self, line: impl AsRef<[u8]>) -> Heard {
            let mut step = self.session.line(line.as_ref());
            loop {
                let (said, closed) = match step {
                    Step::Perform(effect) => {
                        step = self.session.resume((self.effects)(effect));
                        continue;
                    }
                    Step::Text(reply, effect) => {
                        assert!(reply.bytes().starts_with(b"354"), "{reply:?}");
                        step = Step::Perform(effect);
                        continue;
                    }
                    Step::Secure(reply) => {
                        self.session.secured();
                        (Some(reply), false)
                    }
                    Step::Chunk(Chunk { then: AfterChunk::Perform(effect), .. }) => {
                        step = Step::Perform(effect);
                        continue;
                    }
                    Step::Chunk(Chunk { then: AfterChunk::Reply(reply), .. })
                    | Step::Reply(reply) => (Some(reply), false),
                    Step::Close(reply) => (Some(reply), true),
                    Step::Quiet => (None, false),
                };
                return Heard { said, closed };
            }
        }
    }

    impl Heard {
        #[track_caller]
        pub(crate) fn expect(self, pattern: &str) -> Self {
            let said = self.said.as_ref().map_or(&b""[..], Reply::bytes);
            let said = String::from_utf8_lossy(said);
            match pattern.strip_suffix('*') {
                Some(beginning) => assert!(said.starts_with(beginning), "{said}, not {pattern}"),
                None => assert_eq!(said, pattern),
            }
            self
        }

        /// The whole reply.
        pub(crate) fn text(&self) -> String {
            let said = self.said.as_ref().map_or(&b""[..], Reply::bytes);
            String::from_utf8_lossy(said).into_owned()
        }

        #[track_caller]
        pub(crate) fn and_close(self) {
            assert!(self.closed, "the connection stays open");
        }
    }
}
