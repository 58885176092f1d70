//! The echo protocol (docs/protocol.md 2): `ECHO <text>` is answered with the text. The session
//! does no I/O.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::servers::channel::{Channel, End};
use crate::servers::listener::Server;
use crate::servers::serve::Service;
use crate::servers::session::{Farewell, Reply, Session, Step};
use crate::watch::event;

const GOODBYE: Reply = Reply::fixed("+OK Goodbye!");
const UNKNOWN: Reply = Reply::fixed("-ERR Unknown command");
const TOO_LONG: Reply = Reply::fixed("-ERR Line too long");
const SHUTTING_DOWN: Reply = Reply::fixed("-ERR Server shutting down");
const IDLE: Reply = Reply::fixed("-ERR Idle for too long");
const BUSY: Reply = Reply::fixed("-ERR Too many connections, try again later");
const OPERATOR: Reply = Reply::fixed("-ERR Closed by the operator");

/// One echo session. It has no states.
#[derive(Debug)]
pub struct EchoSession {
    author: Arc<str>,
}

impl EchoSession {
    /// A session whose greeting names `author`.
    #[must_use]
    pub const fn new(author: Arc<str>) -> Self {
        Self { author }
    }
}

impl Session for EchoSession {
    type Effect = Infallible;
    type Outcome = Infallible;

    fn verb(line: &[u8]) -> Option<&'static str> {
        let keyword = line.split(|&byte| byte == b' ').next()?;
        ["ECHO", "QUIT"].into_iter().find(|verb| keyword.eq_ignore_ascii_case(verb.as_bytes()))
    }

    fn greeting(&self) -> Reply {
        format!("+OK Server ready (Author: {})", self.author).into()
    }

    fn line(&mut self, line: &[u8]) -> Step<Infallible> {
        let blank = line.iter().position(|&byte| byte == b' ');
        let (keyword, text) = line.split_at(blank.unwrap_or(line.len()));
        if keyword.eq_ignore_ascii_case(b"ECHO") {
            return Step::Reply(echo(text));
        }
        // The whole line: QUIT takes no argument, not even a blank (docs/protocol.md 2.1).
        if line.eq_ignore_ascii_case(b"QUIT") {
            return Step::Close(GOODBYE);
        }
        Step::Reply(UNKNOWN)
    }

    fn overlong(&mut self) -> Reply {
        TOO_LONG
    }

    fn success(&self, verb: Option<&str>) -> Option<Reply> {
        (verb == Some("QUIT")).then_some(GOODBYE)
    }

    fn resume(&mut self, outcome: Infallible) -> Step<Infallible> {
        match outcome {}
    }

    fn farewell(&self, why: Farewell) -> Option<Reply> {
        Some(match why {
            Farewell::Shutdown => SHUTTING_DOWN,
            Farewell::Idle => IDLE,
            Farewell::Busy => BUSY,
            Farewell::Operator => OPERATOR,
        })
    }

    fn state(&self) -> Cow<'static, str> {
        Cow::Borrowed("ready")
    }
}

/// The reply to the text after the keyword, given with the blank before it. The reply has a blank
/// after `+OK` even if the text is empty.
fn echo(text: &[u8]) -> Reply {
    const OK: &[u8] = b"+OK ";
    let mut reply = Vec::with_capacity(OK.len() + text.len());
    reply.extend_from_slice(OK);
    reply.extend_from_slice(text.get(1..).unwrap_or_default());
    reply.into()
}

/// Does nothing: an echo session has no effects.
#[derive(Debug)]
pub struct EchoService;

impl Service for EchoService {
    type Effect = Infallible;
    type Outcome = Infallible;

    async fn perform(&mut self, effect: Infallible, _: &mut Channel) -> Result<Infallible, End> {
        match effect {}
    }
}

/// The echo server.
#[derive(Debug)]
pub struct EchoServer {
    /// `FULL NAME / LOGIN`, for the greeting.
    pub author: Arc<str>,
}

impl Server for EchoServer {
    type Session = EchoSession;
    type Service = EchoService;
    const PROTOCOL: event::Service = event::Service::Echo;

    fn open(&self, _: SocketAddr) -> (EchoSession, EchoService) {
        (EchoSession::new(Arc::clone(&self.author)), EchoService)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::session::script::Peer;

    fn peer() -> Peer<EchoSession, impl FnMut(Infallible) -> Infallible> {
        let session = EchoSession::new("Ada Lovelace / ada".into());
        assert_eq!(session.greeting().bytes(), b"+OK Server ready (Author: Ada Lovelace / ada)");
        Peer::new(session, |effect| match effect {})
    }

    #[test]
    fn text_comes_back_byte_for_byte() {
        let mut peer = peer();
        peer.send("ECHO Hello world!").expect("+OK Hello world!");
        peer.send("echo  two  blanks\t ").expect("+OK  two  blanks\t ");
        peer.send("Echo naïve \0").expect("+OK naïve \0");
        let step = peer.session.line(b"ECHO \xff\x80");
        assert_eq!(step, Step::Reply(b"+OK \xff\x80".to_vec().into()));
    }

    #[test]
    fn a_verb_is_named_whatever_follows_it() {
        let verb = EchoSession::verb;
        assert_eq!((verb(b"echo  x"), verb(b"quit now")), (Some("ECHO"), Some("QUIT")));
        assert_eq!((verb(b""), verb(b"ECHOX"), verb(b" ECHO")), (None, None, None));
    }

    #[test]
    fn echo_without_text_is_answered_with_the_blank() {
        let mut peer = peer();
        peer.send("ECHO").expect("+OK ");
        peer.send("ECHO ").expect("+OK ");
    }

    #[test]
    fn quit_is_answered_and_closes() {
        peer().send("qUiT").expect("+OK Goodbye!").and_close();
    }

    #[test]
    fn anything_else_is_unknown() {
        let mut peer = peer();
        for line in ["", " ", "BLAH", "ECHOfoo", "QUIT x", "QUIT ", " ECHO x", "ECHO\tx"] {
            assert!(!peer.send(line).expect("-ERR Unknown command").closed);
        }
    }
}
