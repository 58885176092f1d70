//! The fixed conversations, as data. Knows neither how they are played nor how they are judged.

use Step::{Close, Expect, ExpectEach, Send, SendEach, SendLater};

/// One step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One write, to the byte.
    Send(&'static str),
    /// One write that begins or continues a split command: a pause comes before it.
    SendLater(&'static str),
    /// Lines, given without their CRLF, each a write of its own.
    SendEach(&'static [&'static str]),
    /// One line from the server, without its CRLF. What follows a trailing `*` is the server's
    /// own affair.
    Expect(&'static str),
    /// Lines from the server.
    ExpectEach(&'static [&'static str]),
    /// The server closes.
    Close,
}

/// A conversation that the tester can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Split and glued commands at the echo server.
    Echo,
    /// One message for `linhphan@localhost`, whose mailbox must exist.
    Smtp,
    /// That message read and deleted; it must be the only one of `linhphan`.
    Pop3,
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Smtp, Self::Pop3];

    /// The name as the command line spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
        }
    }

    /// The port where such a server listens unless it is told otherwise.
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

/// The message that the SMTP tester sends and the POP3 tester wants back: 264 octets.
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
