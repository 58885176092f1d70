//! The AUTHORIZATION state (RFC 1939 section 4): what the client has said of itself so far, and what
//! each way to log in leads to (RFC 1939 section 7, RFC 5034, RFC 2595).

use crate::servers::credentials::{Credentials, Digest, Proof};
use crate::servers::extensions::Pop3Capability;
use crate::servers::limits::LOGIN_FAILURES;
use crate::servers::pop3::capabilities::Offers;
use crate::servers::pop3::command::{Charset, Known, Pop3Command};
use crate::servers::pop3::effect::Pop3Effect;
use crate::servers::pop3::reply;
use crate::servers::sasl::{Exchange, Mechanism, Turn};
use crate::servers::session::{Reply, Step};

/// A client that has not logged in.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    login: Login,
    charset: Charset,
    failures: u32,
    /// What APOP makes a digest of, with its angle brackets; `None` without APOP.
    timestamp: Option<Box<str>>,
}

/// How far a login has come.
#[derive(Debug, Default)]
enum Login {
    /// No name is known.
    #[default]
    Anonymous,
    /// USER has named a mailbox.
    Named(String),
    /// AUTH has begun. Boxed, because few connections have one.
    Exchange(Box<Exchange>),
}

impl Authorization {
    /// The same client, which is greeted with this timestamp.
    pub(super) fn set_timestamp(&mut self, timestamp: String) {
        self.timestamp = Some(timestamp.into());
    }

    /// The timestamp of the greeting.
    pub(super) fn timestamp(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    /// What follows a command.
    pub(super) fn command(&mut self, command: Pop3Command, offers: &Offers) -> Step<Pop3Effect> {
        match command {
            Pop3Command::User(_)
            | Pop3Command::Pass(_)
            | Pop3Command::Apop(..)
            | Pop3Command::Mechanisms
            | Pop3Command::Auth(..)
                if offers.needs_tls_first() =>
            {
                Step::Reply(reply::TLS_FIRST)
            }
            // The reply does not show whether the user exists; PASS refuses both cases alike.
            Pop3Command::User(name) => {
                self.login = Login::Named(name);
                Step::Reply(reply::SEND_PASS)
            }
            Pop3Command::Pass(password) => self.pass(password),
            Pop3Command::Apop(name, digest) => self.apop(name, digest),
            Pop3Command::Mechanisms | Pop3Command::Auth(..) if !offers.takes_secrets() => {
                Step::Reply(reply::NO_SECRETS)
            }
            Pop3Command::Mechanisms => Step::Reply(reply::MECHANISMS),
            Pop3Command::Auth(mechanism, initial) => self.auth(&mechanism, initial.as_deref()),
            Pop3Command::Stls if offers.is_over_tls() => Step::Reply(reply::TLS_ALREADY),
            Pop3Command::Stls => Step::Secure(reply::BEGIN_TLS),
            Pop3Command::Utf8 => {
                self.charset = Charset::Utf8;
                Step::Reply(reply::OK)
            }
            Pop3Command::Capa => Step::Reply(offers.listed()),
            Pop3Command::Quit => Step::Close(reply::GOODBYE),
            _ if offers.has(Known::Unless(Pop3Capability::User)) => {
                Step::Reply(reply::LOG_IN_FIRST)
            }
            _ => Step::Reply(reply::LOG_IN_FIRST_SOMEHOW),
        }
    }

    fn pass(&self, password: Vec<u8>) -> Step<Pop3Effect> {
        let Login::Named(user) = &self.login else {
            return Step::Reply(reply::USER_FIRST);
        };
        Step::Perform(Pop3Effect::Login { user: user.clone(), password })
    }

    fn apop(&self, name: String, digest: Digest) -> Step<Pop3Effect> {
        let Some(timestamp) = self.timestamp() else {
            return Step::Reply(reply::NOT_SUPPORTED);
        };
        let proof = Proof::Apop { timestamp: timestamp.to_owned(), digest };
        let credentials = Credentials { authzid: None, name, proof };
        Step::Perform(Pop3Effect::Prove(Box::new(credentials)))
    }

    fn auth(&mut self, mechanism: &str, initial: Option<&[u8]>) -> Step<Pop3Effect> {
        if Mechanism::parse(mechanism) != Some(Mechanism::Plain) {
            return Step::Reply(reply::NO_SUCH_MECHANISM);
        }
        let mut exchange = Box::new(Exchange::begin(Mechanism::Plain, ""));
        let turn = exchange.open(initial);
        self.turn(exchange, turn)
    }

    fn turn(&mut self, exchange: Box<Exchange>, turn: Turn) -> Step<Pop3Effect> {
        self.login = Login::Anonymous;
        match turn {
            Turn::Challenge(text) => {
                self.login = Login::Exchange(exchange);
                Step::Reply(format!("+ {text}").into())
            }
            Turn::Check(credentials) => Step::Perform(Pop3Effect::Prove(Box::new(credentials))),
            // PLAIN has no turn that is refused: the service says whether its credentials are right.
            Turn::Malformed | Turn::Refused => Step::Reply(reply::MALFORMED),
            Turn::Cancelled => Step::Reply(reply::CANCELLED),
        }
    }

    /// What follows a line of an exchange; `None` if there is no exchange.
    pub(super) fn answer(&mut self, line: &[u8]) -> Option<Step<Pop3Effect>> {
        if !self.is_in_exchange() {
            return None;
        }
        let Login::Exchange(mut exchange) = std::mem::take(&mut self.login) else { return None };
        let turn = exchange.answer(line);
        Some(self.turn(exchange, turn))
    }

    /// Whether the next line belongs to an exchange.
    pub(super) const fn is_in_exchange(&self) -> bool {
        matches!(self.login, Login::Exchange(_))
    }

    /// Ends an exchange without a result.
    pub(super) fn end_exchange(&mut self) {
        if self.is_in_exchange() {
            self.login = Login::Anonymous;
        }
    }

    /// Forgets what the client has said; failed logins still count.
    pub(super) fn forget(&mut self) {
        self.login = Login::Anonymous;
        self.charset = Charset::Ascii;
    }

    /// RFC 1939 section 4: after a failed PASS the client must send USER again.
    pub(super) fn failed(&mut self, reply: Reply) -> Step<Pop3Effect> {
        self.login = Login::Anonymous;
        self.failures += 1;
        if self.failures < LOGIN_FAILURES {
            return Step::Reply(reply);
        }
        Step::Close(reply)
    }

    /// The name that the client has given with USER.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.login {
            Login::Named(name) => Some(name),
            Login::Anonymous | Login::Exchange(_) => None,
        }
    }

    /// What may stand in the arguments of commands that log in.
    pub(super) const fn charset(&self) -> Charset {
        self.charset
    }
}
