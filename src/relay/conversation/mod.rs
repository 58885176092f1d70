//! The SMTP client's side of a conversation with a mail host, as state machines without I/O: the
//! caller feeds in each reply and carries out the next step. [`opening`] runs once per connection,
//! [`transaction`] once per message.

pub mod extensions;
pub mod opening;
pub mod transaction;

use std::fmt;
use std::time::Duration;

use crate::relay::timeouts::Timeouts;

/// What the next reply is an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The connection itself: the reply is the greeting.
    Greeting,
    /// HELO or EHLO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH, or a line of its challenge and response exchange.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The message text and its final dot.
    Text,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

impl Awaited {
    /// The time limit for the reply.
    #[must_use]
    pub const fn time(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Greeting => timeouts.greeting,
            Self::Hello | Self::StartTls | Self::Auth => timeouts.hello,
            Self::Mail => timeouts.mail,
            Self::Rcpt => timeouts.rcpt,
            Self::Data => timeouts.data,
            Self::Text => timeouts.final_dot,
            Self::Reset | Self::Quit => timeouts.farewell,
        }
    }

    /// The state of the connection while this reply is awaited, as the console shows it.
    #[must_use]
    pub const fn state(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Hello => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Text => "end of DATA",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        }
    }
}

/// Completes the sentence “unexpected reply to …”.
impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the connection",
            Self::Hello => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Text => "the message text",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        })
    }
}

/// A command line, without its CRLF.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    line: String,
    shown: Shown,
}

/// How much of a command the transcript may show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    /// The first octets, as many as given; the rest is secret.
    Beginning(usize),
}

impl Command {
    /// A command that may be shown in full.
    #[must_use]
    pub const fn open(line: String) -> Self {
        Self { line, shown: Shown::All }
    }

    /// A command whose argument (a password, for instance) is never shown.
    #[must_use]
    pub fn secret(verb: &str, argument: &str) -> Self {
        Self { line: format!("{verb}{argument}"), shown: Shown::Beginning(verb.len()) }
    }

    /// The line as it is sent, with any secret.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The line as transcripts show it, with `******` in place of a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.shown {
            Shown::All => self.line.clone(),
            Shown::Beginning(octets) => {
                format!("{}******", self.line.get(..octets).unwrap_or_default())
            }
        }
    }
}

/// Debug output goes to logs, so it hides secrets too.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
