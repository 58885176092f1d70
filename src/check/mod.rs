//! The tester (docs/protocol.md 8): plays a fixed conversation against any server and reports line
//! by line what is right and what differs. Independent of the command line and of our servers.

pub mod client;
mod judge;
mod peer;
mod player;
pub mod report;
mod script;

use std::io;
use std::time::Duration;

use thiserror::Error;

use peer::Peer;
use player::Player;
use report::Report;

pub use script::Script;

/// The tester's waiting times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The pause before each write that begins or continues a split command. It finds servers that
    /// take the octets of one read for a whole command.
    pub pause: Duration,
    /// How long the tester listens before any other write for octets that no command asked for.
    pub hush: Duration,
    /// How long a server may take to accept, to send a whole line, or to close.
    pub answer: Duration,
}

impl Pace {
    /// The times that `mailconsole check` uses.
    pub const USUAL: Self = Self {
        pause: Duration::from_secs(1),
        hush: Duration::from_millis(50),
        answer: Duration::from_secs(5),
    };
}

/// The result of a whole conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every line was as expected.
    Right,
    /// Some lines differed; the brackets after them say how.
    Off,
}

/// Why the tester could not finish the conversation.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The name has no address.
    #[error("cannot find host {host}: {reason}. Name another with --host")]
    NoSuchHost {
        /// The host name as it was given.
        host: String,
        /// The resolver's error.
        reason: io::Error,
    },
    /// No address of the host accepts a connection.
    #[error(
        "cannot connect to port {port} of {host}: {reason}. Start the server, or name its port"
    )]
    NotConnected {
        /// The host name as it was given.
        host: String,
        /// The port that was tried.
        port: u16,
        /// The error for the last of its addresses.
        reason: io::Error,
    },
    /// The server closed the connection before the end of the conversation.
    #[error("the server closed the connection too early")]
    ClosedEarly,
    /// No whole line came in time.
    #[error("the server did not answer within {}: expected '{expected}'", seconds(*.limit))]
    NoAnswer {
        /// The line that was expected.
        expected: String,
        /// The time limit.
        limit: Duration,
    },
    /// A line is longer than the tester reads.
    #[error("the server sent a line of over 5,000 octets")]
    LineTooLong,
    /// The server did not close the connection after QUIT.
    #[error("the server did not close the connection within {} after QUIT", seconds(*.limit))]
    NotClosed {
        /// The time limit.
        limit: Duration,
    },
    /// Any other error of the connection.
    #[error("the connection failed: {0}")]
    Connection(io::Error),
    /// The transcript cannot be written.
    #[error("cannot write the transcript: {0}")]
    Output(io::Error),
}

/// Plays `script` against `port` of `host`, whose addresses are tried in turn, and tells the
/// conversation to `out`, such as a writer.
///
/// # Errors
///
/// If the conversation cannot be finished; `out` has been told what was said up to that point.
pub fn run(
    script: Script,
    host: &str,
    port: u16,
    out: &mut impl Report,
) -> Result<Verdict, CheckError> {
    run_at(Pace::USUAL, script, host, port, out)
}

/// Like [`run`], with other waiting times.
///
/// # Errors
///
/// Those of [`run`].
pub fn run_at(
    pace: Pace,
    script: Script,
    host: &str,
    port: u16,
    out: &mut impl Report,
) -> Result<Verdict, CheckError> {
    let peer = Peer::connect(host, port, pace.answer)?;
    Player::new(peer, pace, out).play(script.steps())
}

/// For example `5 s` or `0.2 s`.
fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
