//! The rules of a POP3 session (RFC 1939 sections 4 to 6, RFC 2449): which command is allowed in
//! which state. Does no I/O.

use std::borrow::Cow;
use std::sync::Arc;

use crate::servers::limits::AUTH_LINE_OCTETS;
use crate::servers::pop3::authorization::Authorization;
use crate::servers::pop3::capabilities::Offers;
use crate::servers::pop3::command::{self, Charset, Pop3Command};
use crate::servers::pop3::effect::{Pop3Effect, Pop3Outcome};
use crate::servers::pop3::maildrop::Maildrop;
use crate::servers::pop3::{reply, transaction};
use crate::servers::session::{Farewell, Known, Reply, Session, Step};
use crate::wire::line::LINE_OCTETS;

/// One POP3 session.
#[derive(Debug)]
pub struct Pop3Session {
    domain: Arc<str>,
    offers: Offers,
    state: State,
}

#[derive(Debug)]
enum State {
    Authorization(Authorization),
    Transaction { user: String, maildrop: Maildrop },
    Update,
}

impl Pop3Session {
    /// A session in the AUTHORIZATION state; `domain` is named in the greeting.
    #[must_use]
    pub fn new(domain: Arc<str>, offers: Offers) -> Self {
        Self { domain, offers, state: State::Authorization(Authorization::default()) }
    }

    /// The same session, with a timestamp for APOP in its greeting (RFC 1939 section 7). No other
    /// session may get the same.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: String) -> Self {
        if let State::Authorization(authorization) = &mut self.state {
            authorization.set_timestamp(timestamp);
        }
        self
    }

    const fn authorization(&self) -> Option<&Authorization> {
        match &self.state {
            State::Authorization(authorization) => Some(authorization),
            State::Transaction { .. } | State::Update => None,
        }
    }

    const fn authorization_mut(&mut self) -> Option<&mut Authorization> {
        match &mut self.state {
            State::Authorization(authorization) => Some(authorization),
            State::Transaction { .. } | State::Update => None,
        }
    }

    fn exchange_goes_on(&self) -> bool {
        self.authorization().is_some_and(Authorization::is_in_exchange)
    }

    fn obey(&mut self, command: Pop3Command) -> Step<Pop3Effect> {
        match &mut self.state {
            State::Authorization(authorization) => authorization.command(command, &self.offers),
            State::Transaction { maildrop, .. } => {
                let step = transaction::command(maildrop, &command, &self.offers);
                if matches!(step, Step::Perform(Pop3Effect::Update { .. })) {
                    // Set before the effect: whatever its outcome, no further command is carried
                    // out.
                    self.state = State::Update;
                }
                step
            }
            State::Update => Step::Reply(reply::LOG_IN_FIRST),
        }
    }

    fn login_failed(&mut self, reply: Reply) -> Step<Pop3Effect> {
        match self.authorization_mut() {
            Some(authorization) => authorization.failed(reply),
            None => Step::Reply(reply),
        }
    }
}

impl Session for Pop3Session {
    type Effect = Pop3Effect;
    type Outcome = Pop3Outcome;

    fn verb(line: &[u8]) -> Option<&'static str> {
        command::keyword(line).map(|keyword| keyword.name)
    }

    fn greeting(&self) -> Reply {
        let domain = &self.domain;
        match self.authorization().and_then(Authorization::timestamp) {
            Some(timestamp) => format!("+OK POP3 ready [{domain}] {timestamp}").into(),
            None => format!("+OK POP3 ready [{domain}]").into(),
        }
    }

    fn line_octets(&self, _beginning: &[u8]) -> usize {
        if self.exchange_goes_on() { AUTH_LINE_OCTETS } else { LINE_OCTETS }
    }

    fn secured(&mut self) {
        if let Some(authorization) = self.authorization_mut() {
            authorization.forget();
        }
        self.offers = self.offers.over_tls();
    }

    fn line(&mut self, line: &[u8]) -> Step<Pop3Effect> {
        let authorization = self.authorization_mut();
        if let Some(step) = authorization.and_then(|authorization| authorization.answer(line)) {
            return step;
        }
        // What is not offered is unknown, whatever its argument.
        if !command::keyword(line).is_some_and(|keyword| self.offers.has(keyword.known)) {
            return Step::Reply(reply::NOT_SUPPORTED);
        }
        let charset = self.authorization().map_or(Charset::Ascii, Authorization::charset);
        match Pop3Command::parse(line, charset) {
            Ok(command) => self.obey(command),
            Err(refusal) => Step::Reply(reply::refusal(refusal)),
        }
    }

    fn overlong(&mut self) -> Reply {
        if let Some(authorization) = self.authorization_mut() {
            authorization.end_exchange();
        }
        reply::TOO_LONG
    }

    fn is_in_exchange(&self) -> bool {
        self.exchange_goes_on()
    }

    fn success(&self, verb: Option<&str>) -> Option<Reply> {
        match (verb, &self.state) {
            (Some("RSET"), State::Transaction { maildrop, .. }) => {
                Some(transaction::summary(maildrop))
            }
            _ => reply::success(verb),
        }
    }

    fn known(&self) -> Known {
        let user = match &self.state {
            State::Authorization(authorization) => authorization.name(),
            State::Transaction { user, .. } => Some(&**user),
            State::Update => None,
        };
        Known { user: user.map(str::to_owned), ..Known::default() }
    }

    fn resume(&mut self, outcome: Pop3Outcome) -> Step<Pop3Effect> {
        let offers = self.offers;
        match outcome {
            Pop3Outcome::Opened { mailbox, octets, deleted } => {
                let maildrop = Maildrop::new(octets, deleted);
                let reply = transaction::summary(&maildrop);
                self.state = State::Transaction { user: mailbox, maildrop };
                Step::Reply(reply)
            }
            Pop3Outcome::LoginRefused => self.login_failed(reply::LOGIN_REFUSED.to(&offers)),
            Pop3Outcome::TooManyGuesses => self.login_failed(reply::TOO_MANY_GUESSES),
            // A maildrop that cannot be opened is a failed PASS too: the client must send USER
            // again.
            Pop3Outcome::InUse => self.login_failed(reply::IN_USE.to(&offers)),
            Pop3Outcome::Busy => self.login_failed(reply::BUSY.to(&offers)),
            Pop3Outcome::NotMbox(why) => self.login_failed(reply::not_mbox(&why).to(&offers)),
            Pop3Outcome::NoMaildrop => self.login_failed(reply::NO_MAILDROP),
            Pop3Outcome::Said => Step::Quiet,
            Pop3Outcome::Unreadable => Step::Reply(reply::UNREADABLE),
            Pop3Outcome::Replaced => Step::Close(reply::REPLACED.to(&offers)),
            Pop3Outcome::Updated => Step::Close(reply::GOODBYE),
            Pop3Outcome::NotUpdated => Step::Close(reply::NOT_REMOVED),
        }
    }

    /// An idle session is closed without a reply (RFC 1939 section 3).
    fn farewell(&self, why: Farewell) -> Option<Reply> {
        match why {
            Farewell::Shutdown => Some(reply::SHUTTING_DOWN),
            Farewell::Idle => None,
            Farewell::Busy => Some(reply::TOO_MANY),
            Farewell::Operator => Some(reply::OPERATOR),
        }
    }

    fn state(&self) -> Cow<'static, str> {
        match &self.state {
            State::Authorization(authorization) => match authorization.name() {
                Some(user) => format!("AUTHORIZATION {user}").into(),
                None => "AUTHORIZATION".into(),
            },
            State::Transaction { user, .. } => format!("TRANSACTION {user}").into(),
            State::Update => "UPDATE".into(),
        }
    }

    fn user(&self) -> Option<&str> {
        match &self.state {
            State::Transaction { user, .. } => Some(user),
            State::Authorization(_) | State::Update => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::session::script::Peer;
    use crate::store::marks::Marks;
    use crate::store::mbox::NotMbox;

    /// A session that offers nothing beyond RFC 1939.
    fn plain() -> Pop3Session {
        Pop3Session::new("localhost".into(), Offers::default())
    }

    /// A client of a server that offers nothing beyond RFC 1939.
    fn peer() -> Peer<Pop3Session, impl FnMut(Pop3Effect) -> Pop3Outcome> {
        Peer::new(plain(), answers)
    }

    /// A service with these mailboxes: linhphan, password cis505, has messages of 120 and 200
    /// octets; the maildrop of zives is locked, that of damaged cannot be read, and that of letter
    /// is not an mbox file.
    fn answers(effect: Pop3Effect) -> Pop3Outcome {
        match effect {
            Pop3Effect::Login { user, password } if password == b"cis505" => match user.as_str() {
                "linhphan" => opened(&[120, 200]),
                "zives" => Pop3Outcome::InUse,
                "damaged" => Pop3Outcome::NoMaildrop,
                "letter" => Pop3Outcome::NotMbox(NotMbox::begins_with(&[0xff; 1_000])),
                _ => Pop3Outcome::LoginRefused,
            },
            Pop3Effect::Login { .. } => Pop3Outcome::LoginRefused,
            Pop3Effect::Update { deleted } if deleted.len() == 2 => Pop3Outcome::NotUpdated,
            Pop3Effect::Update { .. } => Pop3Outcome::Updated,
            _ => Pop3Outcome::Said,
        }
    }

    fn opened(octets: &[u64]) -> Pop3Outcome {
        Pop3Outcome::Opened {
            mailbox: "linhphan".into(),
            octets: octets.into(),
            deleted: Arc::new(Marks::of(octets.len())),
        }
    }

    fn logged_in() -> Peer<Pop3Session, impl FnMut(Pop3Effect) -> Pop3Outcome> {
        let mut peer = peer();
        peer.send("USER linhphan").expect("+OK*");
        peer.send("PASS cis505").expect("+OK 2 messages (320 octets)");
        peer
    }

    #[test]
    fn the_greeting_is_exactly_this() {
        assert_eq!(plain().greeting().bytes(), b"+OK POP3 ready [localhost]");
    }

    #[test]
    fn user_tells_nobody_who_exists_and_pass_needs_user() {
        let mut peer = peer();
        peer.send("PASS cis505").expect("-ERR*");
        peer.send("USER nobody").expect("+OK send PASS");
        peer.send("USER linhphan").expect("+OK send PASS");
        peer.send("PASS wrong").expect("-ERR invalid user name or password");
        peer.send("PASS cis505").expect("-ERR USER first");
        peer.send("USER linhphan").expect("+OK*");
        peer.send("PASS cis505").expect("+OK*");
        peer.send("USER linhphan").expect("-ERR*");
        peer.send("PASS cis505").expect("-ERR*");
    }

    #[test]
    fn an_unknown_user_and_a_wrong_password_sound_the_same() {
        let mut peer = peer();
        for (user, password) in [("nobody", "cis505"), ("linhphan", "x"), ("../etc", "cis505")] {
            peer.send(format!("USER {user}")).expect("+OK send PASS");
            peer.send(format!("PASS {password}")).expect("-ERR invalid user name or password");
        }
        peer.send("USER zives").expect("+OK*");
        peer.send("PASS cis505").expect("-ERR [IN-USE]*");
        peer.send("USER damaged").expect("+OK*");
        peer.send("PASS cis505").expect("-ERR mailbox cannot be read");
        peer.send("USER linhphan").expect("+OK*");
        peer.send("PASS cis505").expect("+OK*");
    }

    #[test]
    fn a_file_that_is_no_mbox_is_quoted_within_a_reply_line() {
        let mut peer = peer();
        peer.send("USER letter").expect("+OK*");
        let quoted = r"\xff".repeat(60);
        let reply = format!(
            "-ERR mailbox is not an mbox file: it begins with \"{quoted}...\", not with a From \
             line; put one before it, or move the file away"
        );
        // The longest reply line (RFC 1939 section 3).
        assert!(reply.len() + b"\r\n".len() <= 512);
        peer.send("PASS cis505").expect(&reply);
        peer.send("PASS cis505").expect("-ERR USER first");
    }

    #[test]
    fn the_tenth_failed_login_closes_the_connection() {
        let mut peer = peer();
        for _ in 1..10 {
            peer.send("USER linhphan").expect("+OK*");
            assert!(!peer.send("PASS x").expect("-ERR*").closed);
        }
        peer.send("USER linhphan").expect("+OK*");
        peer.send("PASS x").expect("-ERR*").and_close();
    }

    #[test]
    fn before_the_login_there_is_no_maildrop() {
        let mut peer = peer();
        for line in ["STAT", "LIST", "UIDL", "RETR 1", "DELE 1", "NOOP", "RSET"] {
            peer.send(line).expect("-ERR log in first*");
        }
        peer.send("QUIT").expect("+OK*").and_close();
    }

    #[test]
    fn what_is_not_supported_is_not_supported_in_any_state() {
        let mut stranger = peer();
        let mut user = logged_in();
        for line in ["CAPA", "TOP 1 0", "APOP a b", "AUTH", "STLS", "LAST", ""] {
            stranger.send(line).expect("-ERR Not supported");
            user.send(line).expect("-ERR Not supported");
        }
    }

    #[test]
    fn a_deleted_message_is_out_of_everything_until_rset() {
        let mut peer = logged_in();
        peer.send("STAT").expect("+OK 2 320");
        peer.send("LIST 2").expect("+OK 2 200");
        peer.send("DELE 1").expect("+OK*");
        peer.send("STAT").expect("+OK 1 200");
        for line in ["DELE 1", "LIST 1", "UIDL 1", "RETR 1"] {
            peer.send(line).expect("-ERR message is deleted");
        }
        peer.send("LIST 2").expect("+OK 2 200");
        peer.send("RSET").expect("+OK*");
        peer.send("STAT").expect("+OK 2 320");
        peer.send("LIST 1").expect("+OK 1 120");
    }

    #[test]
    fn whoever_looks_on_sees_what_is_marked() {
        let mut session = plain();
        let marks = Arc::new(Marks::of(2));
        session.line(b"USER linhphan");
        session.resume(Pop3Outcome::Opened {
            mailbox: "linhphan".into(),
            octets: [120, 200].into(),
            deleted: Arc::clone(&marks),
        });
        session.line(b"DELE 2");
        assert_eq!(marks.marked().collect::<Vec<_>>(), [1]);
        session.line(b"RSET");
        assert_eq!(marks.marked().count(), 0);
    }

    #[test]
    fn numbers_beyond_the_maildrop_are_refused() {
        let mut peer = logged_in();
        for number in ["3", "4294967297", "18446744073709551617", "18446744073709551615"] {
            for keyword in ["LIST", "UIDL", "RETR", "DELE"] {
                peer.send(format!("{keyword} {number}")).expect("-ERR no such message");
            }
        }
        peer.send("RETR 0").expect("-ERR*");
        peer.send("RETR").expect("-ERR*");
        peer.send("STAT").expect("+OK 2 320");
    }

    #[test]
    fn listings_leave_out_what_is_deleted() {
        let mut session = plain();
        session.line(b"USER linhphan");
        session.resume(opened(&[120, 200, 7]));
        session.line(b"DELE 2");
        let Step::Perform(Pop3Effect::List { status, messages }) = session.line(b"LIST") else {
            panic!("LIST lists nothing");
        };
        assert_eq!(status.bytes(), b"+OK 2 messages (127 octets)");
        let listed: Vec<_> = messages.map(|m| (m.index, m.octets)).collect();
        assert_eq!(listed, [(0, 120), (2, 7)]);
        let retrieve = Pop3Effect::Retrieve { status: Reply::fixed("+OK 7 octets"), index: 2 };
        assert_eq!(session.line(b"RETR 3"), Step::Perform(retrieve));
        let update = Pop3Effect::Update { deleted: vec![1] };
        assert_eq!(session.line(b"QUIT"), Step::Perform(update));
    }

    #[test]
    fn quit_answers_when_the_maildrop_is_updated() {
        let mut peer = logged_in();
        peer.send("DELE 2").expect("+OK*");
        peer.send("QUIT").expect("+OK*").and_close();
        let mut peer = logged_in();
        peer.send("DELE 1").expect("+OK*");
        peer.send("DELE 2").expect("+OK*");
        peer.send("QUIT").expect("-ERR some deleted messages not removed").and_close();
    }

    #[test]
    fn a_session_whose_directory_was_replaced_ends() {
        let mut session = plain();
        session.line(b"USER linhphan");
        session.resume(opened(&[120]));
        assert!(matches!(session.line(b"RETR 1"), Step::Perform(Pop3Effect::Retrieve { .. })));
        let Step::Close(reply) = session.resume(Pop3Outcome::Replaced) else {
            panic!("it goes on")
        };
        assert!(reply.bytes().starts_with(b"-ERR "));
    }

    #[test]
    fn an_argument_too_many_has_no_effect() {
        let mut peer = logged_in();
        peer.send("DELE 1").expect("+OK*");
        for line in ["STAT 1", "NOOP x", "RSET x", "QUIT x"] {
            assert!(!peer.send(line).expect("-ERR*").closed);
        }
        peer.send("STAT").expect("+OK 1 200");
    }

    #[test]
    fn an_idle_session_ends_without_a_word() {
        assert_eq!(plain().farewell(Farewell::Idle), None);
    }
}
