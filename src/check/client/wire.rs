//! Puts what both sides of the connections of a run have sent into a conversation: lines, texts, and
//! which reply belongs to which command. Bounded, whatever comes.

use crate::check::client::entries::Entries;
use crate::check::client::record::{Entry, Protocol, Side, What};
use crate::check::client::talk::Talk;

/// The conversation of a run as it grows.
#[derive(Debug)]
pub struct Wire {
    protocol: Protocol,
    entries: Entries,
    talks: Vec<Talk>,
}

impl Wire {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, entries: Entries::default(), talks: Vec::new() }
    }

    /// A connection begins; returns its number.
    pub fn opened(&mut self, at: f64) -> usize {
        let connection = self.talks.len();
        self.talks.push(Talk::new(connection, self.protocol));
        self.entries.push(connection, at, What::Opened);
        connection
    }

    /// One side has sent these octets, as they were on the wire. Once TLS has begun they are nothing
    /// that can be read, and are left out.
    pub fn sent(&mut self, connection: usize, side: Side, at: f64, octets: &[u8]) {
        if let Some(talk) = self.talks.get_mut(connection) {
            talk.on_the_wire(&mut self.entries, side, at, octets);
        }
    }

    /// One side has said this line within TLS; before that the wire itself tells.
    pub fn said(&mut self, connection: usize, side: Side, at: f64, line: &[u8]) {
        if let Some(talk) = self.talks.get_mut(connection) {
            talk.within_tls(&mut self.entries, side, at, line);
        }
    }

    /// A rule has acted on this connection.
    pub fn fault(&mut self, connection: usize, at: f64, told: &str) {
        self.entries.push(connection, at, What::Fault(told.to_owned()));
    }

    /// The connection has ended, or one side sends nothing more.
    pub fn closed(&mut self, connection: usize, at: f64, by: Option<Side>) {
        if let Some(talk) = self.talks.get_mut(connection) {
            talk.closed(&mut self.entries, at, by);
        }
    }

    /// The conversation so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.all().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::client::entries::ENTRIES_MOST;
    use crate::check::client::record::Answers;

    fn replies(wire: &Wire) -> Vec<(String, Answers, bool)> {
        let reply = |entry: Entry| match entry.what {
            What::Reply { line, to, is_last, .. } => {
                Some((String::from_utf8(line).unwrap(), to, is_last))
            }
            _ => None,
        };
        wire.entries().into_iter().filter_map(reply).collect()
    }

    fn played(protocol: Protocol, said: &[(Side, &str)]) -> Wire {
        let mut wire = Wire::new(protocol);
        wire.opened(0.0);
        for (side, octets) in said {
            wire.sent(0, *side, 0.0, octets.as_bytes());
        }
        wire
    }

    use Side::{Client, Server};

    #[test]
    fn a_reply_belongs_to_the_command_that_it_answers() {
        let wire = played(
            Protocol::Smtp,
            &[
                (Server, "220 x\r\n"),
                (Client, "EHLO x\r\n"),
                (Server, "250-x\r\n250 "),
                (Server, "PIPELINING\r\n"),
                (Client, "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"),
                (Server, "250 ok\r\n250 ok\r\n250 once more\r\n"),
            ],
        );
        let named = |index: usize| Answers::Command(index);
        let expected = [
            ("220 x", Answers::Greeting, true),
            ("250-x", named(2), false),
            ("250 PIPELINING", named(2), true),
            ("250 ok", named(5), true),
            ("250 ok", named(6), true),
            ("250 once more", Answers::Nothing, true),
        ];
        assert_eq!(replies(&wire), expected.map(|(line, to, last)| (line.to_owned(), to, last)));
        let pipelined = wire.entries().into_iter().filter_map(|entry| match entry.what {
            What::Command { is_pipelined, .. } => Some(is_pipelined),
            _ => None,
        });
        assert_eq!(pipelined.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn a_text_is_counted_and_a_reply_within_it_counts_for_its_dot() {
        let wire = played(
            Protocol::Smtp,
            &[
                (Server, "220 x\r\n"),
                (Client, "DATA\r\n"),
                (Server, "354 go\r\n"),
                (Client, "From: x\r\n\r\n"),
                (Server, "550 no\r\n"),
                (Client, "more\r\n.\r\nQUIT\r\n"),
                (Server, "221 bye\r\n"),
            ],
        );
        let entries = wire.entries();
        let texts = entries.iter().filter_map(|entry| match entry.what {
            What::Text { octets, is_whole, .. } => Some((octets, is_whole)),
            _ => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), [(11, false), (6, true)]);
        let dot = entries
            .iter()
            .position(|entry| matches!(&entry.what, What::Command { line, .. } if line == b"."));
        assert_eq!(replies(&wire)[2].1, Answers::Command(dot.unwrap()));
        assert_eq!(replies(&wire)[3].1, Answers::Command(dot.unwrap() + 1));
    }

    #[test]
    fn rows_of_pop3_end_at_the_dot_and_its_texts_are_counted() {
        let wire = played(
            Protocol::Pop3,
            &[
                (Server, "+OK\r\n"),
                (Client, "UIDL\r\n"),
                (Server, "+OK\r\n1 a\r\n.\r\n"),
                (Client, "RETR 1\r\n"),
                (Server, "+OK\r\nFrom: x\r\n..y\r\n.\r\n"),
                (Client, "RETR 2\r\n"),
                (Server, "+OK\r\nFro"),
            ],
        );
        let mut wire = wire;
        wire.closed(0, 1.0, Some(Server));
        let entries = wire.entries();
        let texts = entries.iter().filter_map(|entry| match entry.what {
            What::Text { octets, is_whole, .. } => Some((octets, is_whole)),
            _ => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), [(14, true), (3, false)]);
        assert_eq!(replies(&wire)[3], (".".to_owned(), Answers::Command(2), true));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_told_from_within() {
        let mut wire = played(
            Protocol::Smtp,
            &[
                (Server, "220 x\r\n"),
                (Client, "STARTTLS\r\n"),
                (Server, "220 go\r\n"),
                (Client, "\u{16}\u{3}\u{1}abc\n\n"),
            ],
        );
        wire.said(0, Server, 0.0, b"220 go");
        wire.said(0, Client, 0.0, b"EHLO x");
        wire.said(0, Server, 0.0, b"250 x");
        assert_eq!(replies(&wire).last().unwrap().1, Answers::Command(5));
        assert!(matches!(wire.entries()[4].what, What::Secured));
    }

    #[test]
    fn however_much_comes_only_so_much_is_kept() {
        let mut wire = played(Protocol::Smtp, &[(Server, "220 x\r\n")]);
        for _ in 0..ENTRIES_MOST {
            wire.sent(0, Client, 0.0, b"NOOP\r\n");
        }
        wire.sent(0, Server, 0.0, &vec![b'2'; 1 << 20]);
        assert_eq!(wire.entries().len(), ENTRIES_MOST);
    }
}
