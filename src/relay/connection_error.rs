//! Faults of a connection, as opposed to replies that refuse something.

use std::time::Duration;

use crate::relay::conversation::Awaited;
use crate::relay::reply::Malformed;
use crate::relay::status::Status;
use crate::relay::verdict::Diagnosis;

/// Why a conversation ended early. It never fails a recipient for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionError {
    /// The host closed the connection.
    Closed,
    /// The connection broke; the text is the system's error.
    Lost(String),
    /// No whole reply came within this time.
    TimedOut(Duration),
    /// The host accepted none of what we sent within this time.
    Stuck(Duration),
    /// The host sent something that is no valid reply.
    Malformed(Malformed),
    /// The host sent data before the TLS handshake (CVE-2011-0411).
    Injected,
    /// The TLS handshake failed; the text says why.
    Handshake(String),
    /// The relay was stopped or the operator closed the connection.
    Stopped,
    /// The message cannot be read from the queue; the text says why.
    Message(String),
}

impl From<Malformed> for ConnectionError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl ConnectionError {
    /// The diagnosis for a conversation with `host` in which the reply to `awaited` was next.
    #[must_use]
    pub fn diagnosis(&self, host: &str, awaited: Awaited) -> Diagnosis {
        let what = self.what(host);
        Diagnosis::ours(self.status(), &format!("{what}, at {}", place(awaited)))
    }

    fn what(&self, host: &str) -> String {
        match self {
            Self::Closed => format!("{host} closed the connection"),
            Self::Lost(why) => format!("the connection to {host} broke ({why})"),
            Self::TimedOut(time) => format!("{host} did not answer within {} s", seconds(*time)),
            Self::Stuck(time) => format!("{host} took no more octets for {} s", seconds(*time)),
            Self::Malformed(problem) => format!("{host} sent a reply that {problem}"),
            Self::Injected => {
                format!("{host} sent data before the TLS handshake; it may have been injected")
            }
            Self::Handshake(why) => format!("we could not agree on TLS with {host} ({why})"),
            Self::Stopped => format!("an operator stopped the conversation with {host}"),
            Self::Message(why) => format!("the queued message cannot be read ({why})"),
        }
    }

    const fn status(&self) -> Status {
        match self {
            Self::Closed | Self::Lost(_) | Self::Stuck(_) => Status::BROKEN,
            Self::TimedOut(_) => Status::NO_ANSWER,
            Self::Malformed(_) => Status::PROTOCOL,
            Self::Injected | Self::Handshake(_) => Status::NO_TLS,
            Self::Stopped | Self::Message(_) => Status::LOCAL,
        }
    }
}

fn seconds(time: Duration) -> f32 {
    time.as_secs_f32()
}

fn place(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Greeting => "its greeting",
        Awaited::Hello => "HELO",
        Awaited::StartTls => "STARTTLS",
        Awaited::Auth => "AUTH",
        Awaited::Mail => "MAIL FROM",
        Awaited::Rcpt => "RCPT TO",
        Awaited::Data => "DATA",
        Awaited::Text => "the end of the message text",
        Awaited::Reset => "RSET",
        Awaited::Quit => "QUIT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_host_what_happened_and_where() {
        let error = ConnectionError::TimedOut(Duration::from_mins(5));
        let diagnosis = error.diagnosis("mx.example", Awaited::Rcpt);
        assert_eq!(diagnosis.reason.as_str(), "mx.example did not answer within 300 s, at RCPT TO");
        let error = ConnectionError::Malformed(Malformed::TooManyLines);
        let diagnosis = error.diagnosis("mx.example", Awaited::Greeting);
        assert_eq!(
            diagnosis.reason.as_str(),
            "mx.example sent a reply that has more than 100 lines, at its greeting"
        );
    }
}
