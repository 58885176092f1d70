//! The rules of an SMTP session (RFC 821 section 4.1.4): which command is allowed when, and the
//! transaction so far. Does no I/O.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use crate::mail::address::{Domain, ForwardPath, Mailbox, ReversePath};
use crate::servers::limits::RECIPIENTS;
use crate::servers::session::{Farewell, Reply, Session, Step};
use crate::servers::smtp::command::{self, SmtpCommand, SmtpRefusal};
use crate::servers::smtp::reply;
use crate::store::directory::User;

/// Whether a client may send to other domains through this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaying {
    /// Yes: its mail goes to the relay queue.
    Allowed,
    /// No: it may only send to local users.
    Denied,
}

/// Work that the session asks its service for.
#[derive(Debug, PartialEq, Eq)]
pub enum SmtpEffect {
    /// Check whether a mailbox exists.
    Verify(String),
    /// Check whether the client may send to this mailbox at another domain.
    Relay(Mailbox),
    /// Store the received message text for all recipients, or for none.
    Deliver(Box<Transaction>),
}

/// The result of an effect.
#[derive(Debug, PartialEq, Eq)]
pub enum SmtpOutcome {
    /// The mailbox exists.
    Verified(User),
    /// It does not exist, or does not accept mail.
    NoSuchUser,
    /// The lookup failed; the client may try again.
    Unknown,
    /// Whether the client may send to this mailbox.
    Relay(Mailbox, Relaying),
    /// The result of storing the message.
    Delivery(Delivery),
}

/// The result of storing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The message is on disk for every recipient.
    Stored,
    /// The message is over the size limit.
    TooLarge,
    /// There is no disk space for it.
    NoSpace,
    /// Another program keeps a mailbox locked.
    Busy,
    /// Any other error.
    Failed,
}

/// A mail transaction: the envelope so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The argument of MAIL FROM.
    pub reverse_path: ReversePath,
    /// The local recipients, each once.
    pub users: Vec<User>,
    /// The recipients at other domains, each once.
    pub remote: Vec<Mailbox>,
    /// The argument of HELO, for the relay's trace line.
    pub helo: Arc<str>,
    /// The number of accepted RCPT commands, including repeated recipients.
    accepted: usize,
}

/// One SMTP session.
#[derive(Debug)]
pub struct SmtpSession {
    domain: Arc<str>,
    /// The argument of the last HELO.
    helo: Arc<str>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before HELO.
    Greeted,
    /// After HELO, between transactions.
    Ready,
    /// After MAIL. Boxed, because every connection reserves room for the largest state and most
    /// connections are in another one.
    Transaction(Box<Transaction>),
    /// Message text is being received or stored.
    Data,
}

impl SmtpSession {
    /// A session that introduces itself as `domain`.
    #[must_use]
    pub fn new(domain: Arc<str>) -> Self {
        Self { domain, helo: Arc::default(), state: State::Greeted }
    }

    fn command(&mut self, command: SmtpCommand) -> Step<SmtpEffect> {
        match command {
            SmtpCommand::Helo(name) => self.helo(&name),
            SmtpCommand::Mail(reverse_path) => Step::Reply(self.mail(reverse_path)),
            SmtpCommand::Rcpt(forward_path) => self.rcpt(forward_path),
            SmtpCommand::Data => self.data(),
            SmtpCommand::Rset => self.reset(),
            SmtpCommand::Noop => Step::Reply(reply::OK),
            SmtpCommand::Quit => {
                Step::Close(self.say("221", "Service closing transmission channel"))
            }
        }
    }

    fn helo(&mut self, name: &str) -> Step<SmtpEffect> {
        // A repeated HELO ends an open transaction, like RSET (RFC 5321 section 4.1.4).
        self.helo = name.into();
        self.state = State::Ready;
        Step::Reply(format!("250 {}", self.domain).into())
    }

    fn mail(&mut self, reverse_path: ReversePath) -> Reply {
        match self.state {
            State::Greeted => reply::HELO_FIRST,
            State::Transaction(_) | State::Data => reply::NESTED_MAIL,
            State::Ready if self.is_too_long(&reverse_path) => reply::WRONG_ARGUMENT,
            State::Ready => {
                let transaction = Transaction::new(reverse_path, Arc::clone(&self.helo));
                self.state = State::Transaction(Box::new(transaction));
                reply::OK
            }
        }
    }

    fn rcpt(&mut self, forward_path: ForwardPath) -> Step<SmtpEffect> {
        let State::Transaction(transaction) = &self.state else {
            return Step::Reply(reply::MAIL_FIRST);
        };
        // 452 tells the client to use another transaction for the rest (RFC 5321 section
        // 4.5.3.1.10).
        if transaction.accepted >= RECIPIENTS {
            return Step::Reply(reply::TOO_MANY_RECIPIENTS);
        }
        let mailbox = match forward_path {
            // `<Postmaster>` without a domain must be accepted (RFC 5321 section 4.5.1).
            ForwardPath::Postmaster => {
                return Step::Perform(SmtpEffect::Verify("postmaster".into()));
            }
            ForwardPath::Mailbox(mailbox) => mailbox,
        };
        if is_local(&mailbox.domain, &self.domain) {
            // At our own domain the limit of RFC 5321 section 4.5.3.1.1 holds.
            if mailbox.local_part.excess() > 0 {
                return Step::Reply(reply::WRONG_ARGUMENT);
            }
            return Step::Perform(SmtpEffect::Verify(mailbox.local_part.into_string()));
        }
        // The service decides, because the setting may change at run time.
        Step::Perform(SmtpEffect::Relay(mailbox))
    }

    fn data(&mut self) -> Step<SmtpEffect> {
        // The transaction moves into the effect; in all other cases the state is put back.
        match mem::replace(&mut self.state, State::Data) {
            State::Transaction(transaction) if transaction.accepted > 0 => {
                Step::Text(reply::START_MAIL_INPUT, SmtpEffect::Deliver(transaction))
            }
            state => {
                self.state = state;
                Step::Reply(match self.state {
                    State::Transaction(_) => reply::RCPT_FIRST,
                    // Cannot happen: the session takes no command while the effect is being carried
                    // out.
                    State::Greeted | State::Ready | State::Data => reply::MAIL_FIRST,
                })
            }
        }
    }

    fn reset(&mut self) -> Step<SmtpEffect> {
        if !matches!(self.state, State::Greeted) {
            self.state = State::Ready;
        }
        Step::Reply(reply::OK)
    }

    fn verified(&mut self, user: User) -> Reply {
        match &mut self.state {
            State::Transaction(transaction) => transaction.add_user(user),
            // Cannot happen either.
            State::Greeted | State::Ready | State::Data => reply::MAIL_FIRST,
        }
    }

    fn relayed(&mut self, mailbox: Mailbox) -> Reply {
        match &mut self.state {
            State::Transaction(transaction) => transaction.add_remote(mailbox),
            State::Greeted | State::Ready | State::Data => reply::MAIL_FIRST,
        }
    }

    /// Whether a local part at our own domain is over the limit of 64 octets; those elsewhere may
    /// be longer.
    fn is_too_long(&self, reverse_path: &ReversePath) -> bool {
        match reverse_path {
            ReversePath::Null => false,
            ReversePath::Mailbox(Mailbox { local_part, domain }) => {
                local_part.excess() > 0 && is_local(domain, &self.domain)
            }
        }
    }

    fn say(&self, code: &str, text: &str) -> Reply {
        format!("{code} {} {text}", self.domain).into()
    }
}

impl Session for SmtpSession {
    type Effect = SmtpEffect;
    type Outcome = SmtpOutcome;

    fn verb(line: &[u8]) -> Option<&'static str> {
        command::verb(line)
    }

    fn greeting(&self) -> Reply {
        self.say("220", "mailconsole service ready")
    }

    fn line(&mut self, line: &[u8]) -> Step<SmtpEffect> {
        match SmtpCommand::parse(line) {
            Ok(command) => self.command(command),
            Err(refusal) => Step::Reply(match refusal {
                SmtpRefusal::Unrecognized => reply::UNRECOGNIZED,
                SmtpRefusal::NotImplemented => reply::NOT_IMPLEMENTED,
                SmtpRefusal::Argument => reply::WRONG_ARGUMENT,
                SmtpRefusal::Parameter => reply::PARAMETER,
            }),
        }
    }

    fn overlong(&mut self) -> Reply {
        reply::TOO_LONG
    }

    fn resume(&mut self, outcome: SmtpOutcome) -> Step<SmtpEffect> {
        Step::Reply(match outcome {
            SmtpOutcome::Verified(user) => self.verified(user),
            SmtpOutcome::NoSuchUser => reply::NO_SUCH_USER,
            // Not 550: the sender would give up for good because our disk failed.
            SmtpOutcome::Unknown => reply::LOCAL_ERROR,
            SmtpOutcome::Relay(mailbox, Relaying::Allowed) => self.relayed(mailbox),
            SmtpOutcome::Relay(_, Relaying::Denied) => reply::RELAYING_DENIED,
            SmtpOutcome::Delivery(delivery) => {
                self.state = State::Ready;
                verdict(delivery)
            }
        })
    }

    fn farewell(&self, why: Farewell) -> Option<Reply> {
        Some(self.say(
            "421",
            match why {
                Farewell::Shutdown => "Server shutting down",
                Farewell::Idle => "Idle for too long, closing transmission channel",
                Farewell::Busy => "Too many connections, try again later",
                Farewell::Operator => "Closed by the operator",
            },
        ))
    }

    fn state(&self) -> Cow<'static, str> {
        Cow::Borrowed(match &self.state {
            State::Greeted => "greeted",
            State::Ready => "HELO",
            State::Transaction(transaction) if transaction.accepted == 0 => "MAIL",
            State::Transaction(_) => "RCPT",
            State::Data => "DATA",
        })
    }
}

impl Transaction {
    fn new(reverse_path: ReversePath, helo: Arc<str>) -> Self {
        Self { reverse_path, users: Vec::new(), remote: Vec::new(), helo, accepted: 0 }
    }

    fn add_user(&mut self, user: User) -> Reply {
        self.accepted += 1;
        if !self.users.contains(&user) {
            self.users.push(user);
        }
        reply::OK
    }

    fn add_remote(&mut self, mailbox: Mailbox) -> Reply {
        self.accepted += 1;
        if !self.remote.contains(&mailbox) {
            self.remote.push(mailbox);
        }
        reply::OK
    }
}

/// Whether a domain is our own: our domain name or a loopback address literal. Other addresses of
/// the machine are checked by the service.
fn is_local(domain: &Domain, ours: &str) -> bool {
    match domain {
        Domain::Name(name) => name.eq_ignore_ascii_case(ours),
        Domain::Literal(address) => address.is_loopback(),
        Domain::Number(_) => false,
    }
}

const fn verdict(delivery: Delivery) -> Reply {
    match delivery {
        Delivery::Stored => reply::OK,
        Delivery::TooLarge => reply::TOO_LARGE,
        Delivery::NoSpace => reply::NO_SPACE,
        Delivery::Busy => reply::MAILBOX_BUSY,
        Delivery::Failed => reply::LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::session::script::Peer;
    use std::cell::RefCell;
    use std::rc::Rc;

    type Delivered = Rc<RefCell<Vec<Transaction>>>;

    /// A server with mailboxes of linhphan, zives and postmaster.
    fn peer(
        relaying: Relaying,
        delivery: Delivery,
    ) -> (Peer<SmtpSession, impl FnMut(SmtpEffect) -> SmtpOutcome>, Delivered) {
        let delivered = Delivered::default();
        let deliveries = Rc::clone(&delivered);
        let perform = move |effect| match effect {
            SmtpEffect::Verify(user) => match user.as_str() {
                "linhphan" | "zives" | "postmaster" => SmtpOutcome::Verified(User::named(&user)),
                "unreadable" => SmtpOutcome::Unknown,
                _ => SmtpOutcome::NoSuchUser,
            },
            SmtpEffect::Relay(mailbox) => SmtpOutcome::Relay(mailbox, relaying),
            SmtpEffect::Deliver(transaction) => {
                deliveries.borrow_mut().push(*transaction);
                SmtpOutcome::Delivery(delivery)
            }
        };
        let session = SmtpSession::new("localhost".into());
        (Peer::new(session, perform), delivered)
    }

    /// The same, after HELO, for a client that may relay.
    fn greeted() -> Peer<SmtpSession, impl FnMut(SmtpEffect) -> SmtpOutcome> {
        let (mut peer, _) = peer(Relaying::Allowed, Delivery::Stored);
        peer.send("HELO tester").expect("250 localhost");
        peer
    }

    #[test]
    fn a_mailbox_that_cannot_be_looked_up_is_refused_for_now_only() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO tester").expect("250*");
        peer.send("MAIL FROM:<a@b.org>").expect("250*");
        peer.send("RCPT TO:<unreadable@localhost>").expect("451*");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250*");
    }

    #[test]
    fn a_message_for_two_users() {
        let (mut peer, delivered) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO tester").expect("250 localhost");
        peer.send("MAIL FROM:<ben@localhost>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        peer.send("RCPT TO:<nobody@localhost>").expect("550 *");
        peer.send("RCPT TO:<zives@LOCALHOST>").expect("250 OK");
        peer.send("RCPT TO:<\"linhphan\"@localhost>").expect("250 OK");
        peer.send("DATA").expect("250 OK");
        assert_eq!(delivered.borrow()[0].users, ["linhphan", "zives"].map(User::named));
        assert_eq!(delivered.borrow()[0].reverse_path.to_string(), "<ben@localhost>");
        peer.send("RCPT TO:<linhphan@localhost>").expect("503 *");
        peer.send("MAIL FROM:<>").expect("250 OK");
        peer.send("QUIT").expect("221 localhost Service closing transmission channel").and_close();
    }

    #[test]
    fn greeting_and_farewells() {
        let session = SmtpSession::new("mail.example".into());
        assert_eq!(session.greeting().bytes(), b"220 mail.example mailconsole service ready");
        assert_eq!(
            session.farewell(Farewell::Shutdown),
            Some("421 mail.example Server shutting down".to_owned().into())
        );
    }

    #[test]
    fn mail_and_rcpt_and_data_come_in_this_order() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        for line in ["MAIL FROM:<a@b>", "RCPT TO:<linhphan@localhost>", "DATA"] {
            peer.send(line).expect("503 *");
        }
        peer.send("HELO x").expect("250 localhost");
        peer.send("RCPT TO:<linhphan@localhost>").expect("503 *");
        peer.send("DATA").expect("503 *");
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("MAIL FROM:<c@d>").expect("503 *");
        peer.send("DATA").expect("503 *");
        peer.send("RCPT TO:<nobody@localhost>").expect("550 *");
        peer.send("DATA").expect("503 *");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        peer.send("MAIL FROM:<c@d>").expect("503 *");
        peer.send("DATA").expect("250 OK");
    }

    #[test]
    fn noop_rset_and_quit_are_accepted_at_any_time() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("NOOP").expect("250 OK");
        peer.send("RSET").expect("250 OK");
        peer.send("MAIL FROM:<a@b>").expect("503 *");
        peer.send("QUIT").expect("221 *").and_close();
    }

    #[test]
    fn rset_and_helo_forget_the_transaction() {
        for verb in ["RSET", "HELO again"] {
            let mut peer = greeted();
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
            peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
            peer.send(verb).expect("250 *");
            peer.send("DATA").expect("503 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
        }
    }

    #[test]
    fn a_refused_command_changes_nothing() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        for (line, code) in [
            ("HELO", "501 *"),
            ("EHLO x", "502 Command not implemented"),
            ("BLAH", "500 Syntax error, command unrecognized"),
            ("", "500 *"),
            ("MAIL FROM:<c@d> SIZE=1", "555 *"),
            ("RCPT TO:<a@b> X=Y", "555 *"),
            ("RSET x", "501 *"),
            ("DATA x", "501 *"),
        ] {
            peer.send(line).expect(code);
        }
        peer.send("DATA").expect("250 OK");
    }

    #[test]
    fn a_transaction_ends_with_whatever_data_was_answered() {
        for (delivery, code) in [
            (Delivery::TooLarge, "552 *"),
            (Delivery::NoSpace, "452 *"),
            (Delivery::Busy, "451 *"),
            (Delivery::Failed, "451 *"),
        ] {
            let (mut peer, _) = peer(Relaying::Denied, delivery);
            peer.send("HELO x").expect("250 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
            peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
            peer.send("DATA").expect(code);
            peer.send("DATA").expect("503 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
        }
    }

    #[test]
    fn other_domains_are_for_those_who_may_relay() {
        let (mut stranger, _) = peer(Relaying::Denied, Delivery::Stored);
        stranger.send("HELO x").expect("250 *");
        stranger.send("MAIL FROM:<a@b>").expect("250 OK");
        stranger.send("RCPT TO:<friend@example.org>").expect("550 Relaying denied");
        stranger.send("RCPT TO:<linhphan@localhost.>").expect("501 *");

        let (mut neighbour, delivered) = peer(Relaying::Allowed, Delivery::Stored);
        neighbour.send("HELO x").expect("250 *");
        neighbour.send("MAIL FROM:<a@b>").expect("250 OK");
        neighbour.send("RCPT TO:<friend@example.org>").expect("250 OK");
        neighbour.send("RCPT TO:<friend@EXAMPLE.org>").expect("250 OK");
        neighbour.send("RCPT TO:<linhphan@localhost.example.org>").expect("250 OK");
        neighbour.send("RCPT TO:<linhphan@localhost.>").expect("501 *");
        neighbour.send("RCPT TO:<friend@example.org.>").expect("501 *");
        neighbour.send("DATA").expect("250 OK");
        let remote: Vec<String> =
            delivered.borrow()[0].remote.iter().map(Mailbox::to_string).collect();
        assert_eq!(remote, ["friend@example.org", "linhphan@localhost.example.org"]);
        assert!(delivered.borrow()[0].users.is_empty());
        assert_eq!(&*delivered.borrow()[0].helo, "x");
    }

    #[test]
    fn a_loopback_address_is_this_machine() {
        let (mut peer, delivered) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO x").expect("250 *");
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[127.0.0.1]>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[IPv6:::1]>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[192.0.2.1]>").expect("550 Relaying denied");
        peer.send("RCPT TO:<Postmaster>").expect("250 OK");
        peer.send("DATA").expect("250 OK");
        assert_eq!(delivered.borrow()[0].users, ["linhphan", "postmaster"].map(User::named));
    }

    #[test]
    fn a_name_of_65_octets_is_for_other_domains() {
        let long = "u".repeat(65);
        let mut peer = greeted();
        peer.send(format!("MAIL FROM:<{long}@localhost>")).expect("501 *");
        peer.send(format!("MAIL FROM:<{long}@example.org>")).expect("250 OK");
        peer.send(format!("RCPT TO:<{long}@localhost>")).expect("501 *");
        peer.send(format!("RCPT TO:<{long}@example.org>")).expect("250 OK");
    }

    #[test]
    fn the_local_part_is_taken_as_it_is_written() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<Linhphan@localhost>").expect("550 *");
    }

    #[test]
    fn the_recipient_after_the_thousandth_is_one_too_many() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        for number in 0..1_000 {
            peer.send(format!("RCPT TO:<u{number}@example.org>")).expect("250 OK");
        }
        peer.send("RCPT TO:<linhphan@localhost>").expect("452 *");
        peer.send("RCPT TO:<u0@example.org>").expect("452 *");
        peer.send("DATA").expect("250 OK");
    }
}
