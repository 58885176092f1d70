//! Time limits of the relay's conversations with mail hosts.

use std::time::Duration;

/// The timeouts of RFC 5321 section 4.5.3.2. Each covers one whole reply, so that a host cannot
/// extend it by sending an octet a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection.
    pub connect: Duration,
    /// For the greeting.
    pub greeting: Duration,
    /// For the replies to HELO, EHLO, STARTTLS and AUTH, and for the TLS handshake.
    pub hello: Duration,
    /// For the reply to MAIL.
    pub mail: Duration,
    /// For the reply to RCPT.
    pub rcpt: Duration,
    /// For the reply to DATA.
    pub data: Duration,
    /// For the host to accept one piece of what we send.
    pub block: Duration,
    /// For the reply to the final dot. It is long because giving up too early means that the
    /// message is sent twice (RFC 1047).
    pub final_dot: Duration,
    /// For the replies to RSET and QUIT, which no longer matter for the mail.
    pub farewell: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            hello: Duration::from_mins(5),
            mail: Duration::from_mins(5),
            rcpt: Duration::from_mins(5),
            data: Duration::from_mins(2),
            block: Duration::from_mins(3),
            final_dot: Duration::from_mins(10),
            farewell: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// The same timeouts, but none longer than `most`.
    #[must_use]
    pub fn capped(self, most: Duration) -> Self {
        Self {
            connect: self.connect.min(most),
            greeting: self.greeting.min(most),
            hello: self.hello.min(most),
            mail: self.mail.min(most),
            rcpt: self.rcpt.min(most),
            data: self.data.min(most),
            block: self.block.min(most),
            final_dot: self.final_dot.min(most),
            farewell: self.farewell.min(most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_longer_than_the_cap() {
        let second = Duration::from_secs(1);
        let capped = Timeouts::default().capped(second);
        assert_eq!(capped.final_dot, second);
        assert_eq!(capped.connect, second);
        let uncapped = Timeouts::default().capped(Duration::from_mins(100));
        assert_eq!(uncapped, Timeouts::default());
    }
}
