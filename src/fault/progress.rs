//! What is known of one session for the conditions of rules: what the client has said, and how often
//! each place was reached. Knows no sockets.

use std::collections::HashMap;

use crate::fault::point::{Place, Point};

/// What is known of a session.
#[derive(Debug, Default)]
pub struct Progress {
    /// The argument of the last HELO or EHLO.
    pub helo: Option<String>,
    /// The reverse-path of the transaction, without brackets; empty for the null one.
    pub from: Option<String>,
    /// The recipients that were accepted, without brackets, at most as many as a transaction has.
    pub accepted: Vec<String>,
    /// The recipient of the RCPT at hand.
    pub to: Option<String>,
    /// The user of USER, APOP or AUTH.
    pub user: Option<String>,
    /// The message number that the command at hand names.
    pub number: Option<u64>,
    /// Octets of the text so far.
    pub text_octets: u64,
    /// How often each place was reached, the command at hand included.
    pub times: HashMap<Place, u64>,
}

impl Progress {
    /// Notes a command at this point, which the client has just sent.
    pub fn command(&mut self, _point: Point, _line: &[u8]) {
        todo!()
    }

    /// Notes what the session has made of the command at hand.
    pub fn answered(&mut self, _point: Point, _is_accepted: bool) {
        todo!()
    }

    /// Notes that a place without a command was reached: the greeting, a text, its end.
    pub fn reached(&mut self, _point: Point) {
        todo!()
    }

    /// Nothing that was said before TLS counts (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        *self = Self::default();
    }
}
