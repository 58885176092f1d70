//! One connection of a run: puts octets into lines, and pairs replies with commands. Knows of a
//! protocol only where lines and texts end.

use std::collections::VecDeque;

use crate::check::client::entries::Entries;
use crate::check::client::record::{Answers, LINE_KEPT, Protocol, Side, What};

/// One connection.
#[derive(Debug)]
pub(super) struct Talk {
    connection: usize,
    protocol: Protocol,
    client: Lines,
    server: Lines,
    /// What replies are due, in order.
    due: VecDeque<Answers>,
    client_sends: Sends,
    server_sends: Sends,
    /// Where the text at hand is counted.
    text: Option<usize>,
    /// A reply that came while the text did: it counts for the dot.
    early: Option<usize>,
    /// The challenge of AUTH that the client's next line answers.
    challenge: Option<usize>,
    /// Whether TLS has begun, and so the wire cannot be read.
    is_secured: bool,
    is_closed: bool,
}

/// What comes next from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Lines,
    /// Text up to a lone dot.
    Text,
    /// So many octets (BDAT), the last ones or not.
    Octets(u64, IsLast),
    /// Rows up to a lone dot, which answer this.
    Rows(Answers),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsLast {
    Yes,
    No,
}

/// A line that has not ended.
#[derive(Debug, Default)]
struct Lines {
    kept: Vec<u8>,
    octets: u64,
}

/// A whole line: its first octets without its line end, and how many it had with it.
struct Whole {
    kept: Vec<u8>,
    octets: u64,
}

impl Lines {
    fn push(&mut self, octet: u8) {
        if self.kept.len() < LINE_KEPT {
            self.kept.push(octet);
        }
        self.octets += 1;
    }

    fn take(&mut self) -> Whole {
        let Self { mut kept, octets } = std::mem::take(self);
        while matches!(kept.last(), Some(b'\r' | b'\n')) {
            kept.pop();
        }
        Whole { kept, octets }
    }
}

impl Talk {
    pub(super) fn new(connection: usize, protocol: Protocol) -> Self {
        Self {
            connection,
            protocol,
            client: Lines::default(),
            server: Lines::default(),
            due: VecDeque::from([Answers::Greeting]),
            client_sends: Sends::Lines,
            server_sends: Sends::Lines,
            text: None,
            early: None,
            challenge: None,
            is_secured: false,
            is_closed: false,
        }
    }

    /// Octets of one side as they were on the wire.
    pub(super) fn on_the_wire(&mut self, to: &mut Entries, side: Side, at: f64, octets: &[u8]) {
        if self.is_secured && !(side == Side::Client && is_readable(octets)) {
            return;
        }
        self.octets(to, side, at, octets);
    }

    /// A line of one side within TLS.
    pub(super) fn within_tls(&mut self, to: &mut Entries, side: Side, at: f64, line: &[u8]) {
        // The reply that lets TLS begin is told from within too, and was on the wire.
        let is_told_already = side == Side::Server && self.due.is_empty() && is_go_ahead(line);
        if self.is_secured && !is_told_already {
            self.octets(to, side, at, line);
            self.octets(to, side, at, b"\r\n");
        }
    }

    fn octets(&mut self, to: &mut Entries, side: Side, at: f64, octets: &[u8]) {
        for &octet in octets {
            if side == Side::Client && self.counts_octet(to, at) {
                continue;
            }
            let lines = if side == Side::Client { &mut self.client } else { &mut self.server };
            lines.push(octet);
            if octet != b'\n' {
                continue;
            }
            let line = lines.take();
            match side {
                Side::Client => self.client_line(to, at, line),
                Side::Server => self.server_line(to, at, line),
            }
            if self.is_secured && side == Side::Server {
                return;
            }
        }
    }

    /// Whether the next octet of the client is one of a chunk (BDAT).
    fn counts_octet(&mut self, to: &mut Entries, at: f64) -> bool {
        let Sends::Octets(left @ 1.., last) = self.client_sends else { return false };
        self.count(to, at, Side::Client, 1);
        self.client_sends = match left {
            1 => Sends::Lines,
            _ => Sends::Octets(left - 1, last),
        };
        if left == 1 {
            self.end_text(to, last);
        }
        true
    }

    fn client_line(&mut self, to: &mut Entries, at: f64, line: Whole) {
        if let Some(auth) = self.challenge.take() {
            to.push(self.connection, at, What::Answer);
            self.due.push_back(Answers::Command(auth));
            return;
        }
        if self.client_sends == Sends::Text && line.kept != b"." {
            return self.count(to, at, Side::Client, line.octets);
        }
        let is_dot = self.client_sends == Sends::Text;
        let chunk = chunk(&line.kept).filter(|_| self.protocol == Protocol::Smtp);
        let is_pipelined = !self.due.is_empty();
        let Some(index) =
            to.push(self.connection, at, What::Command { line: line.kept, is_pipelined })
        else {
            return;
        };
        if is_dot {
            self.client_sends = Sends::Lines;
            self.end_text(to, IsLast::Yes);
            if let Some(early) = self.early.take() {
                answer(to, early, index);
                return;
            }
        }
        self.due.push_back(Answers::Command(index));
        if let Some((octets @ 1.., last)) = chunk {
            self.client_sends = Sends::Octets(octets, last);
        }
    }

    fn server_line(&mut self, to: &mut Entries, at: f64, line: Whole) {
        match self.server_sends {
            Sends::Text if line.kept == b"." => {
                self.server_sends = Sends::Lines;
                self.end_text(to, IsLast::Yes);
            }
            Sends::Text => self.count(to, at, Side::Server, line.octets),
            Sends::Rows(of) => {
                let is_last = line.kept == b".";
                if is_last {
                    self.server_sends = Sends::Lines;
                }
                self.reply(to, at, line, of, is_last);
            }
            Sends::Lines | Sends::Octets(..) => match self.protocol {
                Protocol::Smtp => self.smtp_reply(to, at, line),
                Protocol::Pop3 => self.pop3_reply(to, at, line),
            },
        }
    }

    fn smtp_reply(&mut self, to: &mut Entries, at: f64, line: Whole) {
        let is_last = line.kept.get(3) != Some(&b'-');
        let of = if is_last { self.due.pop_front() } else { self.due.front().copied() };
        let of = of.unwrap_or(Answers::Nothing);
        let code = line.kept.first().copied();
        let index = self.reply(to, at, line, of, is_last);
        if !is_last {
            return;
        }
        if of == Answers::Nothing && self.client_sends == Sends::Text {
            self.early = index;
        }
        let Answers::Command(command) = of else { return };
        match (code, verb_at(to, command).as_deref()) {
            (Some(b'3'), Some("DATA")) => self.client_sends = Sends::Text,
            (Some(b'3'), Some("AUTH")) => self.challenge = Some(command),
            (Some(b'2'), Some("STARTTLS")) => self.secure(to, at),
            _ => {}
        }
    }

    fn pop3_reply(&mut self, to: &mut Entries, at: f64, line: Whole) {
        let of = self.due.pop_front().unwrap_or(Answers::Nothing);
        let is_ok = line.kept.starts_with(b"+OK");
        let is_challenge = line.kept.starts_with(b"+ ") || line.kept == b"+";
        let command = match of {
            Answers::Command(command) => Some(command),
            _ => None,
        };
        let said = command.and_then(|command| line_at(to, command)).unwrap_or_default();
        let mut words = said.split_whitespace();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let has_rows = match verb.as_str() {
            "CAPA" => true,
            "UIDL" | "LIST" | "AUTH" => words.next().is_none(),
            _ => false,
        };
        self.reply(to, at, line, of, !(is_ok && has_rows));
        match verb.as_str() {
            "RETR" | "TOP" if is_ok => {
                self.text = None;
                self.server_sends = Sends::Text;
            }
            "STLS" if is_ok => self.secure(to, at),
            "AUTH" if is_challenge => self.challenge = command,
            _ if is_ok && has_rows => self.server_sends = Sends::Rows(of),
            _ => {}
        }
    }

    fn reply(
        &mut self,
        to: &mut Entries,
        at: f64,
        line: Whole,
        of: Answers,
        is_last: bool,
    ) -> Option<usize> {
        // A text that goes on behind it is counted anew.
        self.text = None;
        let octets = line.octets;
        let what = What::Reply { line: line.kept, octets, to: of, is_last };
        to.push(self.connection, at, what)
    }

    fn secure(&mut self, to: &mut Entries, at: f64) {
        self.is_secured = true;
        to.push(self.connection, at, What::Secured);
    }

    fn count(&mut self, to: &mut Entries, at: f64, side: Side, more: u64) {
        if let Some(What::Text { octets, .. }) = self.text.and_then(|text| to.get_mut(text)) {
            *octets += more;
            return;
        }
        let what = What::Text { side, octets: more, is_whole: false };
        self.text = to.push(self.connection, at, what);
    }

    fn end_text(&mut self, to: &mut Entries, last: IsLast) {
        if let Some(What::Text { is_whole, .. }) = self.text.and_then(|text| to.get_mut(text)) {
            *is_whole = last == IsLast::Yes;
        }
        self.text = None;
    }

    pub(super) fn closed(&mut self, to: &mut Entries, at: f64, by: Option<Side>) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        if self.server.octets > 0 {
            let line = self.server.take();
            match self.server_sends {
                Sends::Text => self.count(to, at, Side::Server, line.octets),
                Sends::Lines | Sends::Octets(..) | Sends::Rows(_) => {
                    let of = self.due.front().copied().unwrap_or(Answers::Nothing);
                    // It has no end: no client may take it for a reply.
                    self.reply(to, at, line, of, false);
                }
            }
        }
        to.push(self.connection, at, What::Closed(by));
    }
}

/// Whether a client that should speak TLS speaks plainly: a record of TLS begins with its type.
fn is_readable(octets: &[u8]) -> bool {
    octets.first().is_some_and(u8::is_ascii_alphabetic) && octets.ends_with(b"\n")
}

fn is_go_ahead(line: &[u8]) -> bool {
    line.starts_with(b"220") || line.starts_with(b"+OK")
}

/// How many octets follow a BDAT command (RFC 3030 section 2), and whether they are the last.
fn chunk(line: &[u8]) -> Option<(u64, IsLast)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|verb| verb.eq_ignore_ascii_case("BDAT"))?;
    let octets = words.next()?.parse().ok()?;
    Some((octets, if words.next().is_some() { IsLast::Yes } else { IsLast::No }))
}

fn line_at(entries: &mut Entries, index: usize) -> Option<String> {
    match entries.get_mut(index)? {
        What::Command { line, .. } => Some(String::from_utf8_lossy(line).into_owned()),
        _ => None,
    }
}

fn verb_at(entries: &mut Entries, index: usize) -> Option<String> {
    let line = line_at(entries, index)?;
    line.split_whitespace().next().map(str::to_ascii_uppercase)
}

/// Notes that a reply answers the command at this index.
fn answer(entries: &mut Entries, reply: usize, command: usize) {
    if let Some(What::Reply { to, .. }) = entries.get_mut(reply) {
        *to = Answers::Command(command);
    }
}
