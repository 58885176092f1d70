//! The rules of a POP3 session (RFC 1939 sections 4 to 6): which command is allowed in which state,
//! and the maildrop as the client sees it. Does no I/O.

use std::borrow::Cow;
use std::sync::Arc;

use crate::servers::limits::LOGIN_FAILURES;
use crate::servers::pop3::command::{self, MessageNumber, Pop3Command};
use crate::servers::pop3::maildrop::{Absent, Maildrop, Message, Remaining};
use crate::servers::pop3::reply;
use crate::servers::session::{Farewell, Reply, Session, Step};
use crate::store::marks::Marks;
use crate::store::mbox::NotMbox;

/// Work that the session asks its service for.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop3Effect {
    /// Lock and open the maildrop of `user`, if the password is right.
    Login {
        /// The user name, as given with USER.
        user: String,
        /// The password, as given with PASS.
        password: Vec<u8>,
    },
    /// Send `status`, a line with number and size for each message, and the final dot.
    List {
        /// The status line of the reply.
        status: Reply,
        /// The messages to list.
        messages: Remaining,
    },
    /// Send `status`, a line with number and unique-id for each message, and the final dot.
    UniqueIds {
        /// The status line of the reply.
        status: Reply,
        /// The messages to list.
        messages: Remaining,
    },
    /// Send the number and unique-id of one message.
    UniqueId {
        /// The index of the message, from 0.
        index: usize,
    },
    /// Send `status`, the text of one message, and the final dot.
    Retrieve {
        /// The status line of the reply.
        status: Reply,
        /// The index of the message, from 0.
        index: usize,
    },
    /// Enter the UPDATE state: remove these messages and unlock the maildrop.
    Update {
        /// The indexes of the messages, in order.
        deleted: Vec<usize>,
    },
}

/// The result of an effect.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop3Outcome {
    /// The maildrop is open and locked.
    Opened {
        /// The name of the mailbox; the client may have given its full address.
        mailbox: String,
        /// The sizes of its messages in octets.
        octets: Arc<[u64]>,
        /// The deletion marks, none of them set.
        deleted: Arc<Marks>,
    },
    /// There is no such user, or the password is wrong.
    LoginRefused,
    /// Too many wrong passwords came from that address, so this one was not checked.
    TooManyGuesses,
    /// Another POP3 session has locked the maildrop.
    InUse,
    /// Another program keeps the mailbox locked.
    Busy,
    /// The mailbox is not an mbox file; it is left unchanged.
    NotMbox(NotMbox),
    /// The mailbox cannot be read.
    NoMaildrop,
    /// The service has sent the whole reply.
    Said,
    /// The message has changed or cannot be read.
    Unreadable,
    /// The directory of the maildrop has been replaced by another one. Nothing was removed.
    Replaced,
    /// The maildrop is updated.
    Updated,
    /// The maildrop could not be updated; nothing has been removed.
    NotUpdated,
}

/// One POP3 session.
#[derive(Debug)]
pub struct Pop3Session {
    domain: Arc<str>,
    state: State,
    login_failures: u32,
}

#[derive(Debug)]
enum State {
    /// AUTHORIZATION, before USER.
    Anonymous,
    /// AUTHORIZATION, after USER.
    Named(String),
    /// TRANSACTION.
    Transaction { user: String, maildrop: Maildrop },
    /// UPDATE.
    Update,
}

impl Pop3Session {
    /// A session in the AUTHORIZATION state; `domain` is named in the greeting.
    #[must_use]
    pub const fn new(domain: Arc<str>) -> Self {
        Self { domain, state: State::Anonymous, login_failures: 0 }
    }

    fn authorization(&mut self, command: Pop3Command) -> Step<Pop3Effect> {
        match command {
            // The reply does not show whether the user exists; PASS refuses both cases alike.
            Pop3Command::User(name) => {
                self.state = State::Named(name);
                Step::Reply(reply::SEND_PASS)
            }
            Pop3Command::Pass(password) => self.pass(password),
            Pop3Command::Quit => Step::Close(reply::GOODBYE),
            _ => Step::Reply(reply::LOG_IN_FIRST),
        }
    }

    fn pass(&self, password: Vec<u8>) -> Step<Pop3Effect> {
        let State::Named(user) = &self.state else {
            return Step::Reply(reply::USER_FIRST);
        };
        Step::Perform(Pop3Effect::Login { user: user.clone(), password })
    }

    /// RFC 1939 section 4: after a failed PASS the client must send USER again.
    fn login_failed(&mut self, reply: Reply) -> Step<Pop3Effect> {
        self.state = State::Anonymous;
        self.login_failures += 1;
        if self.login_failures < LOGIN_FAILURES {
            return Step::Reply(reply);
        }
        Step::Close(reply)
    }

    fn logged_in(&mut self, user: String, octets: Arc<[u64]>, deleted: Arc<Marks>) -> Reply {
        let maildrop = Maildrop::new(octets, deleted);
        let reply = summary(&maildrop);
        self.state = State::Transaction { user, maildrop };
        reply
    }
}

/// Handles a command in the TRANSACTION state.
fn transaction(maildrop: &mut Maildrop, command: &Pop3Command) -> Step<Pop3Effect> {
    match *command {
        Pop3Command::User(_) | Pop3Command::Pass(_) => Step::Reply(reply::LOGGED_IN),
        Pop3Command::Stat => Step::Reply(stat(maildrop)),
        Pop3Command::List(None) => Step::Perform(Pop3Effect::List {
            status: summary(maildrop),
            messages: maildrop.remaining(),
        }),
        Pop3Command::List(Some(number)) => Step::Reply(list_one(maildrop, number)),
        Pop3Command::Uidl(None) => Step::Perform(Pop3Effect::UniqueIds {
            status: summary(maildrop),
            messages: maildrop.remaining(),
        }),
        Pop3Command::Uidl(Some(number)) => with(maildrop.message(number), |message| {
            Step::Perform(Pop3Effect::UniqueId { index: message.index })
        }),
        Pop3Command::Retr(number) => with(maildrop.message(number), |message| {
            Step::Perform(Pop3Effect::Retrieve {
                status: format!("+OK {} octets", message.octets).into(),
                index: message.index,
            })
        }),
        Pop3Command::Dele(number) => {
            with(maildrop.delete(number), |()| Step::Reply(reply::DELETED))
        }
        Pop3Command::Noop => Step::Reply(reply::OK),
        Pop3Command::Rset => {
            maildrop.reset();
            Step::Reply(summary(maildrop))
        }
        Pop3Command::Quit => Step::Perform(Pop3Effect::Update { deleted: maildrop.deleted() }),
    }
}

fn with<T>(found: Result<T, Absent>, step: impl FnOnce(T) -> Step<Pop3Effect>) -> Step<Pop3Effect> {
    match found {
        Ok(found) => step(found),
        Err(absent) => Step::Reply(reply::absent(absent)),
    }
}

fn stat(maildrop: &Maildrop) -> Reply {
    format!("+OK {} {}", maildrop.count(), maildrop.octets()).into()
}

fn list_one(maildrop: &Maildrop, number: MessageNumber) -> Reply {
    match maildrop.message(number) {
        Ok(Message { octets, .. }) => format!("+OK {number} {octets}").into(),
        Err(absent) => reply::absent(absent),
    }
}

fn summary(maildrop: &Maildrop) -> Reply {
    let (count, octets) = (maildrop.count(), maildrop.octets());
    format!("+OK {count} messages ({octets} octets)").into()
}

impl Session for Pop3Session {
    type Effect = Pop3Effect;
    type Outcome = Pop3Outcome;

    fn verb(line: &[u8]) -> Option<&'static str> {
        command::keyword(line)
    }

    fn greeting(&self) -> Reply {
        format!("+OK POP3 ready [{}]", self.domain).into()
    }

    fn line(&mut self, line: &[u8]) -> Step<Pop3Effect> {
        let command = match Pop3Command::parse(line) {
            Ok(command) => command,
            Err(refusal) => return Step::Reply(reply::refusal(refusal)),
        };
        match &mut self.state {
            State::Anonymous | State::Named(_) => self.authorization(command),
            State::Transaction { maildrop, .. } => {
                let step = transaction(maildrop, &command);
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

    fn overlong(&mut self) -> Reply {
        reply::TOO_LONG
    }

    fn resume(&mut self, outcome: Pop3Outcome) -> Step<Pop3Effect> {
        match outcome {
            Pop3Outcome::Opened { mailbox, octets, deleted } => {
                Step::Reply(self.logged_in(mailbox, octets, deleted))
            }
            Pop3Outcome::LoginRefused => self.login_failed(reply::LOGIN_REFUSED),
            Pop3Outcome::TooManyGuesses => self.login_failed(reply::TOO_MANY_GUESSES),
            // A maildrop that cannot be opened is a failed PASS too: the client must send USER
            // again.
            Pop3Outcome::InUse => self.login_failed(reply::IN_USE),
            Pop3Outcome::Busy => self.login_failed(reply::BUSY),
            Pop3Outcome::NotMbox(why) => self.login_failed(reply::not_mbox(&why)),
            Pop3Outcome::NoMaildrop => self.login_failed(reply::NO_MAILDROP),
            Pop3Outcome::Said => Step::Quiet,
            Pop3Outcome::Unreadable => Step::Reply(reply::UNREADABLE),
            Pop3Outcome::Replaced => Step::Close(reply::REPLACED),
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
            State::Anonymous => "AUTHORIZATION".into(),
            State::Named(user) => format!("AUTHORIZATION {user}").into(),
            State::Transaction { user, .. } => format!("TRANSACTION {user}").into(),
            State::Update => "UPDATE".into(),
        }
    }

    fn user(&self) -> Option<&str> {
        match &self.state {
            State::Transaction { user, .. } => Some(user),
            State::Anonymous | State::Named(_) | State::Update => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::session::script::Peer;

    /// A server with these mailboxes: linhphan, password cis505, has messages of 120 and 200
    /// octets; the maildrop of zives is locked, that of damaged cannot be read, and that of letter
    /// is not an mbox file.
    fn peer() -> Peer<Pop3Session, impl FnMut(Pop3Effect) -> Pop3Outcome> {
        Peer::new(Pop3Session::new("localhost".into()), |effect| match effect {
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
        })
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
        assert_eq!(
            Pop3Session::new("localhost".into()).greeting().bytes(),
            b"+OK POP3 ready [localhost]"
        );
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
        let mut session = Pop3Session::new("localhost".into());
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
        let mut session = Pop3Session::new("localhost".into());
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
        let mut session = Pop3Session::new("localhost".into());
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
        assert_eq!(Pop3Session::new("localhost".into()).farewell(Farewell::Idle), None);
    }
}
