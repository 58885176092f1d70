//! What is held at breakpoints as JSON: what a server answers, and what `mailconsole held DIR --json`
//! prints.

use serde::{Deserialize, Serialize};

use crate::control::event_json::stamp;
use crate::servers::holds::{self, Holds};

/// The version of the form. Fields are only ever added within one.
const VERSION: u8 = 1;

/// What one server holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldList {
    v: u8,
    /// Whether anything more may be held.
    pub active: bool,
    /// All breakpoints, as they were written.
    pub breakpoints: Vec<String>,
    /// The oldest first.
    pub held: Vec<Held>,
}

/// Something that is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub id: u64,
    /// The id of the connection, as events have it.
    pub session: u64,
    /// The server.
    pub service: String,
    /// The client.
    pub peer: String,
    /// Where: `smtp.rcpt`.
    pub point: String,
    /// `command` or `reply`.
    pub side: String,
    /// The line, escaped as in the transcript, with secrets masked.
    pub text: String,
    /// Since when, as events have times.
    pub since: String,
    /// For how many seconds, with one digit behind the point.
    pub waited: f64,
    /// How many seconds the client waits by its own rules (RFC 5321 section 4.5.3.2).
    pub limit: Option<u64>,
}

impl HeldList {
    /// What is held now.
    #[must_use]
    pub fn of(holds: &Holds) -> Self {
        let (_, breakpoints) = holds.breakpoints();
        let held = holds.held().into_iter().map(Held::from).collect();
        Self { v: VERSION, active: holds.is_active(), breakpoints, held }
    }
}

impl From<holds::Held> for Held {
    fn from(held: holds::Held) -> Self {
        Self {
            id: held.id,
            session: held.session,
            service: held.service.name().to_owned(),
            peer: held.peer.to_string(),
            point: held.point.to_string(),
            side: held.side.name().to_owned(),
            text: held.text,
            since: stamp(held.since),
            waited: (held.began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            limit: held.limit,
        }
    }
}
