//! The fixed conversations, as data.

use Step::{Close, Expect, ExpectEach, Send, SendEach, SendLater};

/// One step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One write of exactly these bytes.
    Send(&'static str),
    /// One write that begins or continues a split command, after a pause.
    SendLater(&'static str),
    /// Lines, given without their CRLF, each sent in a write of its own.
    SendEach(&'static [&'static str]),
    /// One line from the server, given without its CRLF. A trailing `*` matches any text.
    Expect(&'static str),
    /// Lines from the server, given without their CRLF.
    ExpectEach(&'static [&'static str]),
    /// The server closes the connection.
    Close,
}

/// A conversation that the tester can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Commands for the echo server, some split and some joined in one write.
    Echo,
    /// One message for `linhphan@localhost`, whose mailbox must exist.
    Smtp,
    /// Reads and deletes that message, which must be the only one of `linhphan`.
    Pop3,
}

impl Script {
    /// All scripts.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Smtp, Self::Pop3];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
        }
    }

    /// The default port of the server.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Echo => 10_000,
            Self::Smtp => 2_500,
            Self::Pop3 => 11_000,
        }
    }

    pub(super) const fn steps(self) -> &'static [Step] {
        match self {
            Self::Echo => ECHO,
            Self::Smtp => SMTP,
            Self::Pop3 => POP3,
        }
    }
}

const ECHO: &[Step] = &[
    Expect("+OK Server ready (Author: *"),
    Send("ECHO Hello world!\r\n"),
    Expect("+OK Hello world!"),
    Send("BLAH\r\n"),
    Expect("-ERR Unknown command"),
    SendLater("ECH"),
    SendLater("O blah\r\nEC"),
    Expect("+OK blah"),
    SendLater("HO blubb\r\nECHO xyz\r\n"),
    Expect("+OK blubb"),
    Expect("+OK xyz"),
    Send("QUIT\r\n"),
    Expect("+OK Goodbye!"),
    Close,
];

const SMTP: &[Step] = &[
    Expect("220 localhost *"),
    Send("HELO tester\r\n"),
    Expect("250 localhost"),
    Send("MAIL FROM:<benjamin.franklin@localhost>\r\n"),
    Expect("250 OK"),
    Send("RCPT TO:<linhphan@localhost>\r\n"),
    Expect("250 OK"),
    Send("RCPT TO:<nonexistent.mailbox@localhost>\r\n"),
    Expect("550 *"),
    Send("DATA\r\n"),
    Expect("354 *"),
    SendEach(LETTER),
    Send(".\r\n"),
    Expect("250 OK"),
    Send("QUIT\r\n"),
    Expect("221 *"),
    Close,
];

const POP3: &[Step] = &[
    Expect("+OK*"),
    Send("USER linhphan\r\n"),
    Expect("+OK*"),
    Send("PASS cis505\r\n"),
    Expect("+OK*"),
    Send("STAT\r\n"),
    Expect("+OK 1 264"),
    Send("BLAH\r\n"),
    Expect("-ERR*"),
    Send("RETR 1\r\n"),
    Expect("+OK*"),
    ExpectEach(LETTER),
    Expect("."),
    Send("DELE 1\r\n"),
    Expect("+OK*"),
    Send("QUIT\r\n"),
    Expect("+OK*"),
    Close,
];

/// The message that the SMTP script sends and the POP3 script expects back: 264 octets.
const LETTER: &[&str] = &[
    "From: Benjamin Franklin <benjamin.franklin@localhost>",
    "To: Linh Thi Xuan Phan <linhphan@localhost>",
    "Date: Fri, 21 Oct 2016 18:29:11 -0400",
    "Subject: Testing my new email account",
    "",
    "Linh,",
    "",
    "I just wanted to see whether my new email account works.",
    "",
    "        - Ben",
];

#[cfg(test)]
mod tests {
    use super::*;
    use md5::{Digest, Md5};

    #[test]
    fn the_letter_is_the_one_that_everybody_else_tests_with() {
        let text = LETTER.iter().fold(String::new(), |text, line| text + line + "\r\n");
        assert_eq!(text.len(), 264);
        let unique_id = 0x01a8_b60a_be99_fa80_6a5b_559f_4af4_6234_u128;
        assert_eq!(Md5::digest(text.as_bytes())[..], unique_id.to_be_bytes());
    }
}
