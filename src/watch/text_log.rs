//! What the transcript shows of a message text while it passes. Independent of where the text is
//! stored and what it contains.

use std::iter;

use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{KeptLine, Kind, Side};
use crate::wire::line::{LINE_OCTETS, Line, LineBuffer, OVERLONG_KEPT};

/// Lines of a text reported in one call. Reporting each line alone would make the connections of
/// long texts contend for the observer at every line.
const TOLD_AT_ONCE: usize = 64;

/// Reports one message text to the transcript: its length, and all its lines if an observer wants
/// them.
#[derive(Debug)]
pub struct TextLog {
    side: Side,
    form: Form,
    octets: u64,
    /// Splits the text into lines; `None` if no observer wants them.
    lines: Option<LineBuffer>,
    /// The line with the dot that ended a received text.
    dot: Option<KeptLine>,
}

/// The form in which the text arrives here.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Without dot stuffing; a line that begins with a dot has one more on the wire.
    Text,
    /// As on the wire, including the dot that ends the text.
    Wire,
    /// As on the wire, without dot stuffing.
    Chunk,
}

impl TextLog {
    /// The log of a text that we send, as `side`.
    #[must_use]
    pub fn sent(side: Side, connection_log: &ConnectionLog) -> Self {
        Self::new(side, Form::Text, connection_log)
    }

    /// The log of a text that a client sends to us.
    #[must_use]
    pub fn received(connection_log: &ConnectionLog) -> Self {
        Self::new(Side::Client, Form::Wire, connection_log)
    }

    /// The log of a chunk of a text (RFC 3030) that a client sends to us.
    #[must_use]
    pub fn chunk(connection_log: &ConnectionLog) -> Self {
        Self::new(Side::Client, Form::Chunk, connection_log)
    }

    /// The log of a text that we send, given as it is on the wire with
    /// [`show_piece`](Self::show_piece).
    #[must_use]
    pub fn on_wire(side: Side, connection_log: &ConnectionLog) -> Self {
        Self::new(side, Form::Wire, connection_log)
    }

    fn new(side: Side, form: Form, connection_log: &ConnectionLog) -> Self {
        // One octet more than a line of the text may have, for a stuffed dot.
        let lines = connection_log.wants_text().then(|| LineBuffer::new(LINE_OCTETS + 1));
        Self { side, form, octets: 0, lines, dot: None }
    }

    /// Counts and reports a piece of a text that is sent, or of a chunk, without dot stuffing.
    pub fn push(&mut self, piece: &[u8], connection_log: &ConnectionLog) {
        self.count(piece);
        if let Some(lines) = &mut self.lines {
            lines.extend(piece);
            self.tell_lines(connection_log);
        }
    }

    /// Counts the octets of a piece, given without dot stuffing.
    pub const fn count(&mut self, piece: &[u8]) {
        self.octets = self.octets.saturating_add(piece.len() as u64);
    }

    /// Reports the first `octets` that `input` holds, part of a received text as it was on the
    /// wire. The caller counts them with [`count`](Self::count), once they are unstuffed.
    pub fn show(&mut self, input: &LineBuffer, octets: usize, connection_log: &ConnectionLog) {
        if let Some(lines) = &mut self.lines {
            lines.extend_from(input, octets);
            self.tell_lines(connection_log);
        }
    }

    /// Reports a piece of a text as it is on the wire. The caller counts it with
    /// [`count`](Self::count), once it is unstuffed.
    pub fn show_piece(&mut self, piece: &[u8], connection_log: &ConnectionLog) {
        if let Some(lines) = &mut self.lines {
            lines.extend(piece);
            self.tell_lines(connection_log);
        }
    }

    /// Reports that the text has ended with its dot, and its length.
    pub fn end(mut self, connection_log: &ConnectionLog) {
        let dot = self.dot.take();
        let side = self.side;
        self.end_of_chunk(connection_log);
        connection_log.tell(|| Kind::Line(side, dot.unwrap_or_else(|| KeptLine::new(b"."))));
    }

    /// Reports that the chunk has ended, and its length.
    pub fn end_of_chunk(self, connection_log: &ConnectionLog) {
        if let Some(lines) = self.lines.filter(|lines| !lines.is_empty()) {
            let kept = self.form.kept(lines.unread(), lines.unread().len() as u64);
            connection_log.tell(|| Kind::TextLine(self.side, kept));
        }
        connection_log.tell(|| Kind::Text { octets: self.octets });
    }

    fn tell_lines(&mut self, connection_log: &ConnectionLog) {
        let mut lines = iter::from_fn(|| self.next_line()).fuse().peekable();
        while lines.peek().is_some() {
            connection_log.tell_all(lines.by_ref().take(TOLD_AT_ONCE));
        }
    }

    /// The next whole line of the text; `None` at its end and until the line is complete.
    fn next_line(&mut self) -> Option<Kind> {
        let (line, reads) = self.lines.as_mut()?.next_line_and_reads()?;
        // The dot is reported by `end`, after the length of the text.
        if let (Form::Wire, Line::Whole(b".")) = (self.form, &line) {
            self.dot = Some(KeptLine::arrived(&line, reads));
            return None;
        }
        let kept = self.form.kept(line.beginning(), line.octets()).with_reads(reads);
        Some(Kind::TextLine(self.side, kept))
    }
}

impl Form {
    /// A line of the text that was `octets` long, of which `beginning` is available.
    fn kept(self, beginning: &[u8], octets: u64) -> KeptLine {
        match (self, beginning) {
            (Self::Wire, [b'.', text @ ..]) => text_line(text, octets - 1).stuffed(),
            (Self::Text, [b'.', ..]) => text_line(beginning, octets).stuffed(),
            _ => text_line(beginning, octets),
        }
    }
}

/// A line of the text, cut where any overlong line is cut.
fn text_line(beginning: &[u8], octets: u64) -> KeptLine {
    let most = if octets > LINE_OCTETS as u64 { OVERLONG_KEPT } else { LINE_OCTETS };
    KeptLine::beginning(beginning.get(..most).unwrap_or(beginning), octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::{
        ConnectionName, Event, Passwords, Service, transcript_line, wire_line,
    };
    use crate::watch::observers::{Observer, Observers};
    use crate::wire::display::DisplayText;
    use crate::wire::dot::Unstuffer;
    use proptest::prelude::*;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    /// Keeps all events, and wants all kinds of them.
    #[derive(Default)]
    struct Watcher(Mutex<Vec<Event>>);

    impl Observer for Watcher {
        fn observe(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }

        fn wants_text(&self) -> bool {
            true
        }

        fn wants_reads(&self) -> bool {
            true
        }
    }

    /// Formats an event as a line.
    type View = fn(&Event, Passwords) -> DisplayText;

    impl Watcher {
        fn lines(&self, view: View) -> Vec<String> {
            let said = |event: &Event| {
                let line = view(event, Passwords::Shown).into_string();
                line.strip_prefix("[7] ").map(str::to_owned)
            };
            self.0.lock().unwrap().iter().filter_map(said).collect()
        }
    }

    fn watched() -> (Arc<Watcher>, ConnectionLog) {
        let watcher = Arc::new(Watcher::default());
        let name = ConnectionName { id: 1, number: 7, service: Service::Smtp };
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let transcript = Observers::one(Arc::clone(&watcher) as _);
        let connection_log = ConnectionLog::opened(name, peer, transcript, None);
        watcher.0.lock().unwrap().clear();
        (watcher, connection_log)
    }

    /// The transcript lines of a text that these reads bring.
    fn received(reads: &[&[u8]], view: View) -> Vec<String> {
        let (watcher, connection_log) = watched();
        let mut log = TextLog::received(&connection_log);
        let mut unstuffer = Unstuffer::default();
        let mut input = LineBuffer::new(LINE_OCTETS);
        for read in reads {
            input.extend(read);
            connection_log.read_ended(&mut input);
            let used = unstuffer.push(input.unread(), |text| log.count(text));
            let taken = used.unwrap_or(input.unread().len());
            log.show(&input, taken, &connection_log);
            input.consume(taken);
            if used.is_some() {
                log.end(&connection_log);
                break;
            }
        }
        watcher.lines(view)
    }

    /// The transcript lines of a text that is sent in these pieces.
    fn sent(pieces: &[&[u8]], view: View) -> Vec<String> {
        let (watcher, connection_log) = watched();
        let mut log = TextLog::sent(Side::Server, &connection_log);
        for piece in pieces {
            log.push(piece, &connection_log);
        }
        log.end(&connection_log);
        watcher.lines(view)
    }

    #[test]
    fn text_lines_show_the_dots_that_were_stuffed() {
        let reads: [&[u8]; 1] = [b"..\r\n..a\r\nb.\r\n.\r\n"];
        let octets = ".. 11 octets of message text";
        let wire = ["C: ..␍␊", "C: ..a␍␊", "C: b.␍␊", octets, "C: .␍␊┊"];
        assert_eq!(received(&reads, wire_line), wire);
        assert_eq!(received(&reads, transcript_line), ["C: .", "C: .a", "C: b.", octets, "C: ."]);
    }

    #[test]
    fn a_dot_that_a_client_did_not_stuff_is_seen_on_the_wire_and_missing_in_the_text() {
        let reads: [&[u8]; 1] = [b".foo\r\n.\r\n"];
        let octets = ".. 5 octets of message text";
        assert_eq!(received(&reads, wire_line), ["C: .foo␍␊", octets, "C: .␍␊┊"]);
        assert_eq!(received(&reads, transcript_line), ["C: foo", octets, "C: ."]);
    }

    #[test]
    fn text_lines_show_where_reads_ended() {
        let reads: [&[u8]; 4] = [b"Sub", b"ject: x\r\n\r\n.", b".a\r", b"\n.\r\n"];
        assert_eq!(
            received(&reads, wire_line),
            ["C: Sub┊ject: x␍␊", "C: ␍␊", "C: .┊.a␍┊␊", ".. 18 octets of message text", "C: .␍␊┊"]
        );
    }

    #[test]
    fn the_end_of_a_text_may_come_octet_by_octet() {
        let reads: [&[u8]; 6] = [b"a", b"\r", b"\n", b".", b"\r", b"\nQUIT\r\n"];
        let octets = ".. 3 octets of message text";
        assert_eq!(received(&reads, wire_line), ["C: a┊␍┊␊┊", octets, "C: .┊␍┊␊"]);
        assert_eq!(received(&[b".\r", b"\n"], wire_line)[1..], ["C: .␍┊␊┊"]);
    }

    #[test]
    fn only_crlf_ends_a_line_of_text() {
        let reads: [&[u8]; 1] = [b"a\n.\n\r.\r\n.\r\n"];
        assert_eq!(received(&reads, wire_line)[0], "C: a␊.␊␍.␍␊");
    }

    #[test]
    fn text_that_we_send_shows_the_dots_that_we_stuff_and_no_reads() {
        let pieces: [&[u8]; 3] = [b".\r\na", b"\r\n.", b".b\r\n"];
        let octets = ".. 11 octets of message text";
        let wire = ["S: ..␍␊", "S: a␍␊", "S: ...b␍␊", octets, "S: .␍␊"];
        assert_eq!(sent(&pieces, wire_line), wire);
        assert_eq!(sent(&pieces, transcript_line), ["S: .", "S: a", "S: ..b", octets, "S: ."]);
    }

    /// The expected transcript of a text, derived from the text itself.
    fn lines_of_the_text(wire: &[u8]) -> Vec<String> {
        let mut lines = LineBuffer::new(LINE_OCTETS);
        let mut octets = 0;
        let ended = Unstuffer::default().push(wire, |text| {
            octets += text.len();
            lines.extend(text);
        });
        let mut said = Vec::new();
        while let Some(line) = lines.next_line() {
            let kept = match line {
                Line::Whole(line) => KeptLine::new(line),
                Line::Overlong { beginning, octets } => {
                    KeptLine::beginning(&beginning[..OVERLONG_KEPT], octets)
                }
            };
            said.push(format!("C: {}", kept.shown()));
        }
        if ended.is_some() {
            said.extend([format!(".. {octets} octets of message text"), "C: .".to_owned()]);
        }
        said
    }

    proptest! {
        #[test]
        fn the_transcript_of_a_text_is_the_same_for_every_cut(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a".to_owned(), ".".to_owned(), "\r\n".to_owned(), "\r".to_owned(),
                    "\n".to_owned(), "日".repeat(1_365), "日".repeat(400),
                ]),
                0..40,
            ),
            cuts in prop::collection::vec(0usize..10_000, 0..20),
        ) {
            let wire = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|w| &wire[w[0]..w[1]]).collect();
            prop_assert_eq!(received(&reads, transcript_line), lines_of_the_text(&wire));
        }
    }
}
