//! AUTH in an SMTP session (RFC 4954).

use crate::servers::sasl::{Exchange, Mechanism, Turn};
use crate::servers::session::Step;
use crate::servers::smtp::reply;
use crate::servers::smtp::session::{SmtpEffect, SmtpSession, State};

impl SmtpSession {
    /// RFC 4954 section 4: after EHLO, once, and not inside a transaction.
    pub(super) fn auth(&mut self, name: &str, initial: Option<&str>) -> Step<SmtpEffect> {
        let mechanism = Mechanism::parse(name);
        let offered = mechanism.filter(|one| self.rules().mechanisms.contains(*one));
        match (offered, &self.state) {
            _ if !self.is_extended => self.reply(reply::EHLO_FIRST),
            _ if self.is_logged_in => self.reply(reply::AUTH_ALREADY),
            (_, State::Transaction(_) | State::Data) => self.reply(reply::AUTH_IN_TRANSACTION),
            (None, _) => self.reply(reply::NO_SUCH_MECHANISM),
            (Some(mechanism), _) if !self.takes(mechanism) => self.reply(reply::ENCRYPTION_FIRST),
            (Some(Mechanism::CramMd5), _) if initial.is_none() => {
                Step::Perform(SmtpEffect::Challenge)
            }
            (Some(mechanism), _) => {
                let mut exchange = Box::new(Exchange::begin(mechanism, ""));
                let turn = exchange.open(initial.map(str::as_bytes));
                self.turn(exchange, turn)
            }
        }
    }

    /// What follows a line of an AUTH exchange.
    pub(super) fn turn(&mut self, exchange: Box<Exchange>, turn: Turn) -> Step<SmtpEffect> {
        match turn {
            Turn::Challenge(text) => {
                self.exchange = Some(exchange);
                Step::Reply(format!("334 {text}").into())
            }
            Turn::Check(credentials) => {
                self.exchange = Some(exchange);
                Step::Perform(SmtpEffect::LogIn(Box::new(credentials)))
            }
            Turn::Malformed => self.reply(reply::NOT_BASE64),
            Turn::Cancelled => self.reply(reply::AUTH_CANCELLED),
            Turn::Refused => self.reply(reply::LOGIN_REFUSED),
        }
    }

    pub(super) fn challenged(&mut self, challenge: &str) -> Step<SmtpEffect> {
        let mut exchange = Box::new(Exchange::begin(Mechanism::CramMd5, challenge));
        let turn = exchange.open(None);
        self.turn(exchange, turn)
    }

    pub(super) fn logged_in(&mut self) -> Step<SmtpEffect> {
        self.exchange = None;
        self.is_logged_in = true;
        self.reply(reply::LOGGED_IN)
    }

    pub(super) fn login_refused(&mut self) -> Step<SmtpEffect> {
        match self.exchange.take() {
            Some(mut exchange) => {
                let turn = exchange.refused();
                self.turn(exchange, turn)
            }
            None => self.reply(reply::LOGIN_REFUSED),
        }
    }
}
