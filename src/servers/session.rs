//! What a protocol is to the loop that drives it: a state machine, a line in, a verdict out.
//! Knows no socket, no file and no clock.

use std::borrow::Cow;

/// One side of a conversation: the rules of a protocol for one connection.
pub trait Session: Send {
    /// What the session wants done that is not its own business, such as a delivery.
    type Effect: Send;
    /// How that went.
    type Outcome: Send;

    /// The command that a line gives, in capitals and without its arguments, if it is one that
    /// this protocol knows. Changes nothing, so that anything that concerns one command (a fault
    /// in its reply, a count of it) can ask before the session judges the line.
    fn verb(line: &[u8]) -> Option<&'static str>;

    /// What is said first.
    fn greeting(&self) -> Reply;

    /// Judges a command line, given without its CRLF.
    fn line(&mut self, line: &[u8]) -> Step<Self::Effect>;

    /// What is said to a line that was too long to be looked at.
    fn overlong(&self) -> Reply;

    /// Goes on after [`Step::Perform`].
    fn resume(&mut self, outcome: Self::Outcome) -> Step<Self::Effect>;

    /// What is said when it is not the client that ends the conversation, if anything is.
    fn farewell(&self, why: Farewell) -> Option<Reply>;

    /// The state in the protocol's own words, for whoever watches.
    fn state(&self) -> Cow<'static, str>;

    /// The user whose mailbox this session holds.
    fn user(&self) -> Option<&str> {
        None
    }
}

/// A session's verdict on a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<Effect> {
    /// Say this.
    Reply(Reply),
    /// Say this, then close.
    Close(Reply),
    /// Say this; what follows is message text up to a lone dot. Then perform the effect.
    Text(Reply, Effect),
    /// Perform the effect, then [`Session::resume`] with its outcome.
    Perform(Effect),
    /// Everything has been said already, by the effect itself.
    Quiet,
}

/// Why we end a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The servers end.
    Shutdown,
    /// The client has been silent for too long.
    Idle,
    /// There are too many connections for this one.
    Busy,
    /// The operator closes this connection.
    Operator,
}

/// A reply: one line or several, without the last CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Cow<'static, [u8]>);

impl Reply {
    /// A reply that is always the same.
    #[must_use]
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// A reply of these lines, each without its CRLF.
    #[must_use]
    pub fn of_lines(lines: &[&[u8]]) -> Self {
        Self(Cow::Owned(lines.join(&b"\r\n"[..])))
    }

    /// The octets, with a CRLF between lines and none behind the last.
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
    //! The words in which the sessions' tests are written: `peer.send("NOOP").expect("250 OK")`.

    use super::*;

    /// A client that talks to a session; `effects` answers what the session wants performed.
    pub(crate) struct Peer<S, F> {
        pub(crate) session: S,
        effects: F,
    }

    /// What came back on a line.
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
                    Step::Reply(reply) => (Some(reply), false),
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

        #[track_caller]
        pub(crate) fn and_close(self) {
            assert!(self.closed, "the connection stays open");
        }
    }
}
