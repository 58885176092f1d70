//! Prepares message text for sending: CRLF line ends, dot-stuffing, the `Received:` line, and the
//! count of `Received:` lines against loops. The text is read through a trait.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, FixedOffset};
use memchr::memchr2;

use crate::store::queue::Client;
use crate::wire::dot::Stuffer;

/// A message with more `Received:` lines than this is in a loop (RFC 5321 section 6.3: at least
/// 100).
pub const MOST_HOPS: usize = 100;

/// The text of a queued message. It can be read once for each host that is tried.
pub trait MessageText: Send + Sync {
    /// Reads the text from its beginning.
    type Reader: TextReader;

    /// The approximate length in octets, as declared with SIZE (RFC 1870 section 3).
    fn octets(&self) -> u64;

    /// Starts reading from the beginning.
    fn open(&self) -> impl Future<Output = io::Result<Self::Reader>> + Send;
}

/// Reads message text in pieces.
pub trait TextReader: Send {
    /// Appends the next piece; returns its length, 0 at the end.
    fn read(&mut self, piece: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>> + Send;
}

/// A message being sent: everything that follows DATA.
#[derive(Debug)]
pub struct Letter<M> {
    /// Our trace line, which precedes the text; see [`received`].
    pub received: String,
    /// The message text.
    pub text: M,
    /// Octets sent to the current host, for the progress display.
    pub sent: Arc<AtomicU64>,
}

impl<M: MessageText> Letter<M> {
    /// A message of which nothing has been sent.
    pub fn new(received: String, text: M) -> Self {
        Self { received, text, sent: Arc::default() }
    }

    /// The approximate length in octets, including the trace line.
    pub fn octets(&self) -> u64 {
        self.text.octets().saturating_add(self.received.len() as u64)
    }
}

/// How a message came to us, as its trace line says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP, with or without extensions.
    #[default]
    Smtp,
    /// SMTP with SMTPUTF8 (RFC 6531 section 4.3).
    Utf8Smtp,
}

impl Protocol {
    const fn word(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Utf8Smtp => "UTF8SMTP",
        }
    }
}

/// The trace line we add (RFC 5321 section 4.4): which client gave the message to `domain`, and
/// when. It is the same at each attempt, so that a host can recognise a message it gets twice.
#[must_use]
pub fn received(
    client: Option<&Client>,
    domain: &str,
    protocol: Protocol,
    id: &str,
    queued: DateTime<FixedOffset>,
) -> String {
    let date = queued.to_rfc2822();
    let from = client.map_or_else(|| NOBODY_KNOWS.to_owned(), from);
    let with = protocol.word();
    format!("Received: from {from} by {domain} (mailconsole) with {with} id {id}; {date}\r\n")
}

/// The FROM clause is mandatory, but queue files of old versions do not record the client.
const NOBODY_KNOWS: &str = "unknown";

/// `client.example ([192.0.2.1])`: the name that the client gave and the address it had.
fn from(client: &Client) -> String {
    // The client chose this text; other characters could change the structure of the field.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]#".contains(&byte);
    let is_plain = !client.helo.is_empty() && client.helo.bytes().all(plain);
    let helo = if is_plain { &client.helo } else { NOBODY_KNOWS };
    match client.address {
        IpAddr::V4(address) => format!("{helo} ([{address}])"),
        IpAddr::V6(address) => format!("{helo} ([IPv6:{address}])"),
    }
}

/// Converts message text, in pieces, to the octets sent after DATA.
///
/// A bare LF becomes CRLF and a bare CR a blank: a host must see the same line ends as we do (SMTP
/// smuggling, CVE-2023-51764).
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The current piece with CRLF line ends.
    proper: Vec<u8>,
    stuffer: Stuffer,
    /// Whether the last octet was a CR. It is held back, because its meaning depends on the next
    /// octet.
    after_cr: bool,
    octets: u64,
}

impl Outgoing {
    /// Appends the converted piece to `wire`.
    pub fn push(&mut self, piece: &[u8], wire: &mut Vec<u8>) {
        self.proper.clear();
        self.mend(piece);
        self.give_out(wire);
    }

    /// Appends the end of the text and the line with the final dot.
    pub fn finish(&mut self, wire: &mut Vec<u8>) {
        self.proper.clear();
        if self.after_cr {
            self.proper.push(b' ');
        }
        self.give_out(wire);
        self.stuffer.finish(wire);
    }

    /// The last piece with CRLF line ends, before dot-stuffing.
    #[must_use]
    pub fn proper(&self) -> &[u8] {
        &self.proper
    }

    /// Octets of converted text so far, not counting stuffed dots.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    fn give_out(&mut self, wire: &mut Vec<u8>) {
        self.octets = self.octets.saturating_add(self.proper.len() as u64);
        self.stuffer.push(&self.proper, wire);
    }

    fn mend(&mut self, piece: &[u8]) {
        let mut rest = match piece {
            [] => return,
            // A CR that was held back and this LF make one CRLF.
            [b'\n', ..] => piece,
            // The CR that was held back was a bare one.
            _ if self.after_cr => {
                self.proper.push(b' ');
                piece
            }
            _ => piece,
        };
        self.after_cr = false;
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            let (before, end) = rest.split_at(at);
            self.proper.extend_from_slice(before);
            rest = self.line_end(end);
        }
        self.proper.extend_from_slice(rest);
    }

    /// Converts the line end that `from` begins with; returns the rest.
    fn line_end<'a>(&mut self, from: &'a [u8]) -> &'a [u8] {
        let (mended, rest): (&[u8], _) = match from {
            [b'\r'] => {
                self.after_cr = true;
                return &[];
            }
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => (b"\r\n", rest),
            [_lone_cr, rest @ ..] => (b" ", rest),
            [] => return &[],
        };
        self.proper.extend_from_slice(mended);
        rest
    }
}

/// Counts the `Received:` lines of a header that arrives in pieces.
#[derive(Debug, Default)]
pub struct Hops {
    count: usize,
    /// The beginning of the current line, in lower case.
    beginning: Vec<u8>,
    place: Place,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Header,
    Body,
}

impl Hops {
    /// Takes the next piece of the message.
    pub fn push(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                _ if self.place == Place::Body => return,
                b'\n' => self.line_ends(),
                b'\r' => {}
                byte if self.beginning.len() < RECEIVED.len() => {
                    self.beginning.push(byte.to_ascii_lowercase());
                }
                _ => {}
            }
        }
    }

    /// Whether the header has ended.
    #[must_use]
    pub fn header_is_over(&self) -> bool {
        self.place == Place::Body
    }

    /// Whether the message has more `Received:` lines than [`MOST_HOPS`].
    #[must_use]
    pub const fn are_too_many(&self) -> bool {
        self.count > MOST_HOPS
    }

    fn line_ends(&mut self) {
        if self.beginning.is_empty() {
            self.place = Place::Body;
        }
        self.count += usize::from(self.beginning == RECEIVED);
        self.beginning.clear();
    }
}

const RECEIVED: &[u8] = b"received:";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dot::Unstuffer;
    use proptest::prelude::*;

    fn wire_of(pieces: &[&[u8]]) -> Vec<u8> {
        let mut outgoing = Outgoing::default();
        let mut wire = Vec::new();
        for piece in pieces {
            outgoing.push(piece, &mut wire);
        }
        outgoing.finish(&mut wire);
        wire
    }

    #[track_caller]
    fn goes_out(text: &str, wire: &str) {
        assert_eq!(String::from_utf8_lossy(&wire_of(&[text.as_bytes()])), wire);
    }

    #[test]
    fn text_ends_with_a_dot_on_a_line_of_its_own() {
        goes_out("a\r\nb\r\n", "a\r\nb\r\n.\r\n");
        goes_out("a\r\nb", "a\r\nb\r\n.\r\n");
        goes_out("", ".\r\n");
    }

    #[test]
    fn lone_line_ends_are_mended_before_dots_are_stuffed() {
        goes_out("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n");
        goes_out("a\r.\r\nb", "a .\r\nb\r\n.\r\n");
        goes_out("a\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n");
        goes_out("a\r", "a \r\n.\r\n");
        goes_out("a\r\r\n", "a \r\n.\r\n");
        goes_out("\r\n.\r\n", "\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_line_end_may_be_cut_between_its_octets() {
        assert_eq!(wire_of(&[b"a\r", b"\n.b"]), b"a\r\n..b\r\n.\r\n");
        assert_eq!(wire_of(&[b"a\r", b"", b".b"]), b"a .b\r\n.\r\n");
        assert_eq!(wire_of(&[b"a\r", b"\r", b"\n"]), b"a \r\n.\r\n");
    }

    #[test]
    fn octets_are_counted_without_stuffing() {
        let mut outgoing = Outgoing::default();
        outgoing.push(b".\n", &mut Vec::new());
        assert_eq!(outgoing.octets(), 3);
    }

    #[test]
    fn the_trace_line_names_the_client_us_the_entry_and_when_it_was_queued() {
        let queued = DateTime::parse_from_rfc3339("2025-09-17T11:00:00+02:00").expect("a date");
        for (address, helo, from) in [
            ("192.0.2.1", "client.example", "client.example ([192.0.2.1])"),
            ("::1", "my_app_1", "my_app_1 ([IPv6:::1])"),
            ("127.0.0.1", "[127.0.0.1]", "[127.0.0.1] ([127.0.0.1])"),
            ("127.0.0.1", "a b) by x (", "unknown ([127.0.0.1])"),
            ("127.0.0.1", "", "unknown ([127.0.0.1])"),
        ] {
            let address = address.parse().expect("an address");
            let client = Client { address, helo: helo.to_owned() };
            assert_eq!(
                received(Some(&client), "relay.example", Protocol::Smtp, "4f1c", queued),
                format!(
                    "Received: from {from} by relay.example (mailconsole) with SMTP id 4f1c; \
                     Wed, 17 Sep 2025 11:00:00 +0200\r\n"
                )
            );
        }
        let old = received(None, "relay.example", Protocol::Utf8Smtp, "4f1c", queued);
        let begins =
            "Received: from unknown by relay.example (mailconsole) with UTF8SMTP id 4f1c; ";
        assert!(old.starts_with(begins), "{old}");
    }

    fn hops(message: &str) -> Hops {
        let mut hops = Hops::default();
        for piece in message.as_bytes().chunks(3) {
            hops.push(piece);
        }
        hops
    }

    #[test]
    fn received_lines_are_counted_in_the_header_only() {
        let line = "RECEIVED: from x\r\n by y\r\n";
        let hundred = line.repeat(MOST_HOPS);
        assert!(!hops(&format!("{hundred}\r\n{line}")).are_too_many());
        assert!(hops(&format!("{hundred}Received:\n\r\n")).are_too_many());
        assert!(!hops(&format!("{hundred}Received-SPF: x\r\n\tReceived: x\r\n")).are_too_many());
        assert!(hops("A: b\n\nc").header_is_over());
        assert!(!hops("A: b\r\n").header_is_over());
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"a.\r\n\0\xff".to_vec()), 0..200)
    }

    proptest! {
        #[test]
        fn any_cut_of_the_text_goes_out_the_same(text in text(), piece in 1usize..20) {
            let pieces: Vec<&[u8]> = text.chunks(piece).collect();
            prop_assert_eq!(wire_of(&pieces), wire_of(&[&text]));
        }

        #[test]
        fn the_text_ends_where_we_end_it_for_every_kind_of_reader(text in text()) {
            let wire = wire_of(&[&text]);
            let mut ends = Unstuffer::default();
            prop_assert_eq!(ends.push(&wire, |_| {}), Some(wire.len()));
            let mended: Vec<u8> = wire.windows(2).filter_map(|pair| match pair {
                [cr, lf] if (*cr == b'\r') != (*lf == b'\n') => Some(*lf),
                _ => None,
            }).collect();
            prop_assert!(mended.is_empty(), "a lone CR or LF in {:?}", wire);
        }
    }
}
