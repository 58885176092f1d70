//! The tester: plays a fixed conversation against any server, ours or somebody else's, and says
//! line by line what is right and what differs. Knows neither the command line nor our servers.

mod judge;
mod peer;
mod player;
mod script;

use std::io::{self, Write};
use std::time::Duration;

use thiserror::Error;

use peer::Peer;
use player::Player;

pub use script::Script;

/// How long the tester waits, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Passes before each write that begins or continues a split command, so that a server that
    /// takes what one read brings for a whole command is found out.
    pub pause: Duration,
    /// How long the tester listens, before any other write, for octets that nobody asked for.
    pub hush: Duration,
    /// How long a server may take to accept, to send a whole line, and to close.
    pub answer: Duration,
}

impl Pace {
    /// What `mailconsole check` uses.
    pub const USUAL: Self = Self {
        pause: Duration::from_secs(1),
        hush: Duration::from_millis(50),
        answer: Duration::from_secs(5),
    };
}

/// What the whole conversation showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every line was as expected.
    Right,
    /// Something was off; it stands in the brackets of its line.
    Off,
}

/// Why the tester could not go on.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The name has no address.
    #[error("cannot find host {host}: {reason}. Name another with --host")]
    NoSuchHost {
        /// As it was given.
        host: String,
        /// What the resolver said.
        reason: io::Error,
    },
    /// No address of the host accepts.
    #[error(
        "cannot connect to port {port} of {host}: {reason}. Start the server, or name its port"
    )]
    NotConnected {
        /// As it was given.
        host: String,
        /// The port that was tried.
        port: u16,
        /// What the last of its addresses gave.
        reason: io::Error,
    },
    /// The server ended the conversation before its end.
    #[error("the server closed the connection too early")]
    ClosedEarly,
    /// No whole line came in time.
    #[error("the server did not answer within {}: expected '{expected}'", seconds(*.limit))]
    NoAnswer {
        /// What was waited for.
        expected: String,
        /// For how long.
        limit: Duration,
    },
    /// A line that does not end.
    #[error("the server sent a line of over 5,000 octets")]
    LineTooLong,
    /// The server stayed after QUIT.
    #[error("the server did not close the connection within {} after QUIT", seconds(*.limit))]
    NotClosed {
        /// For how long the tester waited.
        limit: Duration,
    },
    /// The connection failed otherwise.
    #[error("the connection failed: {0}")]
    Connection(io::Error),
    /// The transcript cannot be written.
    #[error("cannot write the transcript: {0}")]
    Output(io::Error),
}

/// Plays `script` against `port` of `host`, whose addresses are tried in turn, and writes the
/// transcript to `out`.
pub fn run(
    script: Script,
    host: &str,
    port: u16,
    out: &mut impl Write,
) -> Result<Verdict, CheckError> {
    run_at(Pace::USUAL, script, host, port, out)
}

/// As [`run`], at another pace.
pub fn run_at(
    pace: Pace,
    script: Script,
    host: &str,
    port: u16,
    out: &mut impl Write,
) -> Result<Verdict, CheckError> {
    let peer = Peer::connect(host, port, pace.answer)?;
    Player::new(peer, pace, out).play(script.steps())
}

/// `5 s`, `0.2 s`.
fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
