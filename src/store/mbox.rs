//! The mbox format (RFC 4155, with mboxrd quoting): quoting when writing, unquoting and CRLF line
//! ends when reading, and finding the messages. Does no I/O.
//!
//! We write `From <sender@domain> Wed Sep 17 11:00:00 2025` LF, the text with its line ends as they
//! came, and an empty line. We read what mutt, Dovecot, procmail, Python and Thunderbird write.
//!
//! See docs/files.md 3 and 4.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};

use crate::store::from_line::{FROM_LINE_MOST, Form};

pub use crate::store::from_line::{FROM, from_line, is_from_line};

/// Searchers for what may begin a message and what may have to be unquoted. Building one costs more
/// than searching a kilobyte with it.
static FROM_FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(FROM));
static QUOTED_FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b">From "));

/// The line ends to write before the next From_ line, so that it does not become part of what the
/// file ends with: none after an empty line or at the beginning of the file.
#[must_use]
pub fn separation(end_of_file: &[u8]) -> &'static [u8] {
    match end_of_file {
        [] | [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n'] | [b'\n'] | [b'\r', b'\n'] => b"",
        [.., b'\n'] => b"\n",
        _ => b"\n\n",
    }
}

/// Length of the empty line at the end of a message, which belongs to the separator after it.
#[must_use]
pub fn trailing_empty_line(text: &[u8]) -> usize {
    match text {
        [.., b'\n', b'\r', b'\n'] | [b'\r', b'\n'] => 2,
        [.., b'\n', b'\n'] | [b'\n'] => 1,
        _ => 0,
    }
}

/// How much of a line has been seen, as far as `>*From ` is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// At the beginning of a line, or after nothing but `>`; whether there was a `>`.
    Quotes(bool),
    /// After this many octets of `From `; whether a `>` came before them.
    Matching(bool, usize),
    /// The line has been decided about.
    Decided,
}

/// The result of adding an octet to a [`Prefix`].
enum Verdict {
    /// Undecided.
    Open(Prefix),
    /// The line begins with `>*From `; whether it has a `>`.
    Quoted(bool),
    /// It does not begin so.
    Plain,
}

impl Prefix {
    const LINE_START: Self = Self::Quotes(false);

    fn next(self, byte: u8) -> Verdict {
        let (quoted, matched) = match self {
            Self::Quotes(_) if byte == b'>' => return Verdict::Open(Self::Quotes(true)),
            Self::Quotes(quoted) => (quoted, 0),
            Self::Matching(quoted, matched) => (quoted, matched),
            Self::Decided => return Verdict::Plain,
        };
        if FROM.get(matched) != Some(&byte) {
            return Verdict::Plain;
        }
        if matched + 1 == FROM.len() {
            return Verdict::Quoted(quoted);
        }
        Verdict::Open(Self::Matching(quoted, matched + 1))
    }
}

/// Quotes message text written to a mailbox: a line that begins with `>*From ` gets one more `>`.
/// Here a lone LF also begins a line, because `a\nFrom x` would otherwise become two messages.
#[derive(Debug, Clone)]
pub struct Quoter {
    prefix: Prefix,
}

impl Default for Quoter {
    fn default() -> Self {
        Self { prefix: Prefix::LINE_START }
    }
}

impl Quoter {
    /// Appends the next piece of text to `mbox`, quoted.
    pub fn push(&mut self, piece: &[u8], mbox: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            if self.prefix == Prefix::Decided {
                // The rest of a line needs no quoting, so it is copied at once.
                let line = self.rest_of_line(rest);
                mbox.extend_from_slice(line);
                rest = rest.get(line.len()..).unwrap_or_default();
                continue;
            }
            match self.prefix.next(byte) {
                // The extra ">" may go anywhere among the others; it is written last.
                Verdict::Open(prefix) => {
                    if prefix == Prefix::Quotes(true) {
                        mbox.push(b'>');
                    }
                    self.prefix = prefix;
                    rest = rest.get(1..).unwrap_or_default();
                }
                Verdict::Quoted(_) => {
                    mbox.push(b'>');
                    self.give_withheld(mbox);
                }
                Verdict::Plain => self.give_withheld(mbox),
            }
        }
    }

    /// Ends the text: writes what was withheld because it might have become `From `.
    pub fn finish(&mut self, mbox: &mut Vec<u8>) {
        self.give_withheld(mbox);
        self.prefix = Prefix::LINE_START;
    }

    /// The part of `rest` that can be taken at once: up to a line end before something that may
    /// have to be quoted.
    fn rest_of_line<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        for at in memchr_iter(b'\n', rest) {
            match rest.get(at + 1) {
                // Only these octets begin a line to be quoted; after the last LF of a piece the
                // next octet is unknown.
                Some(b'F' | b'>') | None => {
                    self.prefix = Prefix::LINE_START;
                    return rest.get(..=at).unwrap_or(rest);
                }
                Some(_) => {}
            }
        }
        rest
    }

    fn give_withheld(&mut self, mbox: &mut Vec<u8>) {
        if let Prefix::Matching(_, matched) = self.prefix {
            mbox.extend_from_slice(FROM.get(..matched).unwrap_or_default());
        }
        self.prefix = Prefix::Decided;
    }
}

/// Turns the stored text of a message, in pieces, into what was sent: removes the quoting and ends
/// every line in CRLF.
#[derive(Debug, Clone)]
pub struct Unquoter {
    prefix: Prefix,
    /// The last octet taken.
    last: u8,
}

impl Default for Unquoter {
    fn default() -> Self {
        Self { prefix: Prefix::LINE_START, last: b'\n' }
    }
}

impl Unquoter {
    /// Passes the next piece to `text`, in as few slices as possible.
    pub fn push(&mut self, piece: &[u8], mut text: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            if self.prefix == Prefix::Decided {
                let used = self.plain_run(rest, &mut text);
                rest = rest.get(used..).unwrap_or_default();
                continue;
            }
            match self.prefix.next(byte) {
                // The first ">" is withheld until the line is decided about; those after it look
                // the same.
                Verdict::Open(prefix) => {
                    if matches!((self.prefix, prefix), (Prefix::Quotes(true), Prefix::Quotes(_))) {
                        text(b">");
                    }
                    self.prefix = prefix;
                    self.last = byte;
                    rest = rest.get(1..).unwrap_or_default();
                }
                Verdict::Quoted(true) => {
                    self.give_withheld(false, &mut text);
                }
                Verdict::Quoted(false) | Verdict::Plain => self.give_withheld(true, &mut text),
            }
        }
    }

    /// Ends the text: passes on what was withheld and completes an unfinished last line.
    pub fn finish(&mut self, mut text: impl FnMut(&[u8])) {
        self.give_withheld(true, &mut text);
        match self.last {
            b'\n' => {}
            // The CR of a line end that was cut off.
            b'\r' => text(b"\n"),
            _ => text(b"\r\n"),
        }
        *self = Self::default();
    }

    /// Passes on text up to a line end that lacks a CR, or before a line that may have to be
    /// unquoted; returns the number of octets of `rest` used.
    fn plain_run(&mut self, rest: &[u8], text: &mut impl FnMut(&[u8])) -> usize {
        for at in memchr_iter(b'\n', rest) {
            let before = if at == 0 { self.last } else { rest.get(at - 1).copied().unwrap_or(0) };
            let complete = before == b'\r';
            // A complete line end needs no work unless a quoted line may follow.
            if complete && !matches!(rest.get(at + 1), Some(b'>') | None) {
                continue;
            }
            if complete {
                text(rest.get(..=at).unwrap_or_default());
            } else {
                text(rest.get(..at).unwrap_or_default());
                text(b"\r\n");
            }
            self.last = b'\n';
            self.prefix = Prefix::LINE_START;
            return at + 1;
        }
        text(rest);
        self.last = rest.last().copied().unwrap_or(self.last);
        rest.len()
    }

    fn give_withheld(&mut self, with_quote: bool, text: &mut impl FnMut(&[u8])) {
        let (quoted, matched) = match self.prefix {
            Prefix::Quotes(quoted) => (quoted, 0),
            Prefix::Matching(quoted, matched) => (quoted, matched),
            Prefix::Decided => return,
        };
        if quoted && with_quote {
            text(b">");
        }
        if matched > 0 {
            text(FROM.get(..matched).unwrap_or_default());
        }
        self.prefix = Prefix::Decided;
    }
}

/// Counts the octets that [`Unquoter`] would make of a text, without making them.
#[derive(Debug, Clone)]
pub struct OctetCount {
    octets: u64,
    prefix: Prefix,
    last: u8,
}

impl Default for OctetCount {
    fn default() -> Self {
        Self { octets: 0, prefix: Prefix::LINE_START, last: b'\n' }
    }
}

impl OctetCount {
    /// Takes the next piece of text, as stored in the mbox.
    pub fn push(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        self.octets += piece.len() as u64 + lone_line_feeds(self.last, piece);
        let rest = self.line_begun_before(piece);
        self.lines_begun_in(rest);
        self.last = last;
    }

    /// Length of the text in octets, as POP3 counts them.
    #[must_use]
    pub fn finish(&self) -> u64 {
        let missing = match self.last {
            b'\n' => 0,
            b'\r' => 1,
            _ => 2,
        };
        self.octets + missing
    }

    /// Continues a line that earlier pieces began; returns the rest once the line is decided about.
    fn line_begun_before<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        for (at, &byte) in piece.iter().enumerate() {
            match self.prefix.next(byte) {
                Verdict::Open(prefix) => self.prefix = prefix,
                Verdict::Quoted(quoted) => {
                    // One `>` of the quoting is removed.
                    self.octets -= u64::from(quoted);
                    self.prefix = Prefix::Decided;
                }
                Verdict::Plain => self.prefix = Prefix::Decided,
            }
            if self.prefix == Prefix::Decided {
                return piece.get(at..).unwrap_or_default();
            }
        }
        &[]
    }

    /// Counts the quoted lines that begin and are decided about within `rest`, then notes the state
    /// of its last line.
    fn lines_begun_in(&mut self, rest: &[u8]) {
        for at in QUOTED_FINDER.find_iter(rest) {
            let before = rest.get(..at).unwrap_or_default();
            let quotes = before.iter().rev().take_while(|&&byte| byte == b'>').count();
            // Quoting counts only at the beginning of a line.
            if before.len() > quotes && before.get(before.len() - quotes - 1) == Some(&b'\n') {
                self.octets -= 1;
            }
        }
        let Some(end) = memrchr(b'\n', rest) else {
            return;
        };
        let mut prefix = Prefix::LINE_START;
        for &byte in rest.get(end + 1..).unwrap_or_default() {
            match prefix.next(byte) {
                Verdict::Open(next) => prefix = next,
                // Counted above.
                Verdict::Quoted(_) | Verdict::Plain => {
                    prefix = Prefix::Decided;
                    break;
                }
            }
        }
        self.prefix = prefix;
    }
}

/// Number of LFs in `piece` without a CR before them; `before` is the octet before the piece.
///
/// Written so that the compiler vectorises it: this loop and the search for `From ` are all that
/// happens to each octet when a mailbox is scanned.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "a lazy operator would keep it from being vector code"
)]
pub(super) fn lone_line_feeds(before: u8, piece: &[u8]) -> u64 {
    let Some(&first) = piece.first() else {
        return 0;
    };
    let mut count = u64::from(first == b'\n' && before != b'\r');
    let mut previous = piece;
    let mut current = piece.get(1..).unwrap_or_default();
    while !current.is_empty() {
        // 255 ones fit into an octet, so that sixteen octets can be summed at once.
        let (now, later) = current.split_at(current.len().min(255));
        let sum: u8 = now
            .iter()
            .zip(previous)
            .map(|(&byte, &before)| u8::from((byte == b'\n') & (before != b'\r')))
            .sum();
        count += u64::from(sum);
        previous = previous.get(now.len()..).unwrap_or_default();
        current = later;
    }
    count
}

/// The stretch of an mbox that holds one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of its From_ line.
    pub start: u64,
    /// Offset of its text.
    pub text: u64,
    /// End of its text; the empty line of the separator is not part of it.
    pub text_end: u64,
    /// Offset of the next From_ line, or the end of the file.
    pub end: u64,
    /// Length of the text as POP3 counts it: unquoted, with CRLF line ends.
    pub octets: u64,
}

impl Span {
    /// The same message after `octets` octets before it have been removed from the file.
    #[must_use]
    pub const fn moved_down(self, octets: u64) -> Self {
        Self {
            start: self.start - octets,
            text: self.text - octets,
            text_end: self.text_end - octets,
            end: self.end - octets,
            octets: self.octets,
        }
    }
}

/// Finds the messages of an mbox that is read through a window.
#[derive(Debug)]
pub struct Scanner {
    /// Offset of the window in the file.
    offset: u64,
    /// What separates messages; `None` before the first line.
    form: Option<Form>,
    /// The beginning of the first message, until that message has begun.
    record: Option<RecordHeader>,
    current: Option<Current>,
    /// Whether `offset` is at the beginning of a line.
    at_line_start: bool,
}

/// A message whose end has not been found yet.
#[derive(Debug)]
struct Current {
    start: u64,
    text: u64,
    count: OctetCount,
    /// The last octets of the text, at most three, to tell whether it ends in an empty line.
    tail: Vec<u8>,
    /// Perhaps the header of an internal record of another program, which is not a message.
    record: Option<RecordHeader>,
}

/// The file does not begin with a From_ line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an mbox file: it begins with \"{beginning}\", not with a From line; put one before it, or \
     move the file away"
)]
pub struct NotMbox {
    /// The beginning of the first line, escaped.
    beginning: Box<str>,
}

impl NotMbox {
    /// Octets quoted of a line; escaped they may take four times as many.
    const QUOTED_MOST: usize = 60;

    /// The error for a file with this first line.
    #[must_use]
    pub fn begins_with(line: &[u8]) -> Self {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let quoted = line.get(..Self::QUOTED_MOST).unwrap_or(line);
        let more = if quoted.len() < line.len() { "..." } else { "" };
        Self { beginning: format!("{}{more}", quoted.escape_ascii()).into() }
    }
}

impl Scanner {
    /// A scanner that starts at `offset` of a file: at its beginning, or where a message begins and
    /// the `form` is known from an earlier scan.
    #[must_use]
    pub fn at(offset: u64, form: Option<Form>) -> Self {
        let form = form.filter(|_| offset > 0);
        Self { offset, form, record: None, current: None, at_line_start: true }
    }

    /// What separates the messages of the file; `None` if only line ends have been seen.
    #[must_use]
    pub const fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Scans a window of the file and passes each message whose end is known to `found`.
    ///
    /// Returns the number of octets dealt with, after which the next window begins: all but at most
    /// [`FROM_LINE_MOST`].
    pub fn window(
        &mut self,
        window: &[u8],
        end: End,
        mut found: impl FnMut(Span),
    ) -> Result<usize, NotMbox> {
        let mut used = 0;
        // In turn text up to a From_ line and that line, until there is none.
        loop {
            let rest = window.get(used..).unwrap_or_default();
            let next = match &self.current {
                Some(current) => self.next_from_line(current, rest, end),
                None => self.first_line(rest, end)?,
            };
            let (at, length) = match next {
                Next::FromLine { at, length } => (at, length),
                Next::Undecided { from } => {
                    self.text(rest.get(..from).unwrap_or_default());
                    return Ok(used + from);
                }
            };
            self.text(rest.get(..at).unwrap_or_default());
            let line = rest.get(at..at + length).unwrap_or_default();
            if let Some(message) = self.begin(line) {
                found(message);
            }
            used += at + length;
        }
    }

    /// Ends the file, and with it the last message, which is returned.
    #[must_use]
    pub fn finish(self) -> Option<Span> {
        let end = self.offset;
        self.current.and_then(|last| last.ended(end))
    }

    /// Begins a message with its From_ line; returns the message before it.
    fn begin(&mut self, line: &[u8]) -> Option<Span> {
        let (start, text) = (self.offset, self.offset + line.len() as u64);
        let before = self.current.replace(Current::new(start, text, self.record.take()));
        self.offset = text;
        self.at_line_start = true;
        before.and_then(|before| before.ended(start))
    }

    fn text(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        self.offset += text.len() as u64;
        self.at_line_start = last == b'\n';
        if let Some(current) = &mut self.current {
            current.text(text);
        }
    }

    /// The first line of the file, or of the rest of it. It decides what separates messages.
    fn first_line(&mut self, rest: &[u8], end: End) -> Result<Next, NotMbox> {
        // Empty lines before it do not make the file invalid.
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let Some(at) = rest.iter().position(|byte| !is_line_end(byte)) else {
            return Ok(Next::Undecided { from: rest.len() });
        };
        let Some((line, length)) = line_at(rest, at, end) else {
            return Ok(Next::Undecided { from: at });
        };
        // If the scan starts at a later message, the form is known from an earlier scan.
        let known = self.form.take().filter(|_| line.starts_with(FROM));
        if known.is_none() {
            self.record = RecordHeader::behind(line);
        }
        self.form = known.or_else(|| Form::of(line)).filter(|_| self.starts_line(rest, at));
        match &self.form {
            Some(_) => Ok(Next::FromLine { at, length }),
            None => Err(NotMbox::begins_with(line)),
        }
    }

    /// The next From_ line in `rest`, or the offset up to which there is certainly none.
    fn next_from_line(&self, current: &Current, rest: &[u8], end: End) -> Next {
        let mut from = 0;
        while let Some(at) = self.next_candidate(rest, from) {
            let Some((line, length)) = line_at(rest, at, end) else {
                return Next::Undecided { from: at };
            };
            if is_from_line(line) || self.separates(current, rest, at, line) {
                return Next::FromLine { at, length };
            }
            from = at + 1;
        }
        // The beginning of "From " may be at the end of the window.
        let withheld = match end {
            End::More => FROM.len().min(rest.len()),
            End::Here => 0,
        };
        Next::Undecided { from: rest.len() - withheld }
    }

    /// Whether an undated line, at `at` of `rest`, separates two messages of this file.
    fn separates(&self, current: &Current, rest: &[u8], at: usize, line: &[u8]) -> bool {
        self.form.as_ref().is_some_and(|form| form.separates(line))
            && current.ends_in_empty_line(rest.get(..at).unwrap_or_default())
    }

    /// Offset of the next line that begins with `From `, at or after `from`.
    fn next_candidate(&self, rest: &[u8], from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let at = from + FROM_FINDER.find(rest.get(from..)?)?;
            if self.starts_line(rest, at) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    fn starts_line(&self, rest: &[u8], at: usize) -> bool {
        if at == 0 { self.at_line_start } else { rest.get(at - 1) == Some(&b'\n') }
    }
}

/// The line at `at` of `rest`, without its LF, and its length including the LF. `None` if its end
/// may be beyond the window and it may still be a From_ line.
fn line_at(rest: &[u8], at: usize, end: End) -> Option<(&[u8], usize)> {
    let line = rest.get(at..)?;
    match memchr(b'\n', line) {
        Some(length) => Some((line.get(..length)?, length + 1)),
        // A longer line is text, wherever it ends.
        None if end == End::More && line.len() <= FROM_LINE_MOST => None,
        None => Some((line, line.len())),
    }
}

/// Whether the file goes on after a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There is more.
    More,
    /// The file ends with the window.
    Here,
}

enum Next {
    FromLine { at: usize, length: usize },
    Undecided { from: usize },
}

impl Current {
    fn new(start: u64, text: u64, record: Option<RecordHeader>) -> Self {
        let (count, tail) = (OctetCount::default(), Vec::with_capacity(6));
        Self { start, text, count, tail, record }
    }

    fn text(&mut self, text: &[u8]) {
        self.count.push(text);
        extend_tail(&mut self.tail, text);
        if let Some(record) = &mut self.record {
            record.push(text);
        }
    }

    /// Whether the text ends in an empty line once `more` has been added.
    fn ends_in_empty_line(&self, more: &[u8]) -> bool {
        let mut tail = self.tail.clone();
        extend_tail(&mut tail, more);
        trailing_empty_line(&tail) > 0
    }

    /// The message; `None` if it is an internal record of another program.
    fn ended(self, end: u64) -> Option<Span> {
        if self.record.is_some_and(|header| header.is_of_a_record()) {
            return None;
        }
        let empty_line = trailing_empty_line(&self.tail);
        // The count has the empty line as CRLF, whether it is LF or CRLF in the file.
        let surplus = if empty_line == 0 { 0 } else { 2 };
        Some(Span {
            start: self.start,
            text: self.text,
            text_end: end - empty_line as u64,
            end,
            octets: self.count.finish() - surplus,
        })
    }
}

/// Keeps the last three octets.
fn extend_tail(tail: &mut Vec<u8>, text: &[u8]) {
    let last = text.len().saturating_sub(3);
    tail.extend_from_slice(text.get(last..).unwrap_or_default());
    let surplus = tail.len().saturating_sub(3);
    tail.drain(..surplus);
}

/// The beginning of a file's first message. In mailboxes of Dovecot, UW-IMAP or Pine this may be an
/// internal record, which these programs hide and depend on (docs/files.md 4.5).
#[derive(Debug, Default)]
struct RecordHeader(Vec<u8>);

impl RecordHeader {
    /// Octets examined; the headers of such records have about 400.
    const MOST: usize = 8 * 1024;

    /// Starts to collect the text after the first From_ line of a file. `None` if we wrote that
    /// line ourselves: a message that was sent to us is a message, whatever it contains.
    fn behind(from_line: &[u8]) -> Option<Self> {
        (!from_line.starts_with(b"From <")).then(Self::default)
    }

    fn push(&mut self, text: &[u8]) {
        let room = Self::MOST - self.0.len();
        self.0.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    fn is_of_a_record(&self) -> bool {
        let lines = self.0.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
        let fields: Vec<_> = lines.take_while(|line| !line.is_empty()).filter_map(field).collect();
        let has_subject = |(name, value): &(&[u8], &[u8])| {
            name.eq_ignore_ascii_case(b"Subject")
                && *value == b"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"
        };
        let has_numbers = |(name, _): &(&[u8], &[u8])| {
            name.eq_ignore_ascii_case(b"X-IMAP") || name.eq_ignore_ascii_case(b"X-IMAPbase")
        };
        // Both, because Dovecot writes such numbers into any first message.
        fields.iter().any(has_subject) && fields.iter().any(has_numbers)
    }
}

/// Splits a header field into its name and value.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at(memchr(b':', line)?);
    Some((name.trim_ascii_end(), value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &[u8], cut: usize) -> Vec<u8> {
        let mut mbox = Vec::new();
        let mut quoter = Quoter::default();
        let (head, tail) = text.split_at(cut.min(text.len()));
        quoter.push(head, &mut mbox);
        quoter.push(tail, &mut mbox);
        quoter.finish(&mut mbox);
        mbox
    }

    fn unquoted(mbox: &[u8], cut: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut unquoter = Unquoter::default();
        let (head, tail) = mbox.split_at(cut.min(mbox.len()));
        unquoter.push(head, |piece| text.extend_from_slice(piece));
        unquoter.push(tail, |piece| text.extend_from_slice(piece));
        unquoter.finish(|piece| text.extend_from_slice(piece));
        text
    }

    fn spans(mbox: &[u8], piece: usize) -> Result<Vec<Span>, NotMbox> {
        let mut spans = Vec::new();
        let mut scanner = Scanner::at(0, None);
        let (mut from, mut to) = (0, 0);
        while to < mbox.len() {
            to = mbox.len().min(to + piece);
            let end = if to == mbox.len() { End::Here } else { End::More };
            from += scanner.window(&mbox[from..to], end, |span| spans.push(span))?;
        }
        spans.extend(scanner.finish());
        Ok(spans)
    }

    fn texts(mbox: &[u8]) -> Vec<String> {
        let slice = |span: &Span| {
            let range =
                usize::try_from(span.text).unwrap()..usize::try_from(span.text_end).unwrap();
            let text = unquoted(&mbox[range], 0);
            assert_eq!(text.len() as u64, span.octets);
            String::from_utf8(text).unwrap()
        };
        spans(mbox, mbox.len().max(1)).unwrap().iter().map(slice).collect()
    }

    #[test]
    fn lines_that_look_like_from_lines_are_quoted_and_others_are_not() {
        let text = b"From x\n>From y\r\n From z\nFromage\n>>From \nFrom";
        let mbox = b">From x\n>>From y\r\n From z\nFromage\n>>>From \nFrom";
        for cut in 0..=text.len() {
            assert_eq!(quoted(text, cut), mbox, "cut at {cut}");
        }
    }

    #[test]
    fn unquoting_gives_crlf_line_ends_and_completes_the_last() {
        let mbox = b">From x\n>>From y\r\n>not\nlast\r";
        for cut in 0..=mbox.len() {
            assert_eq!(unquoted(mbox, cut), b"From x\r\n>From y\r\n>not\r\nlast\r\n", "cut {cut}");
        }
        assert_eq!(unquoted(b"a", 0), b"a\r\n");
        assert_eq!(unquoted(b"", 0), b"");
    }

    #[test]
    fn messages_are_found_in_files_of_every_writer() {
        let ours = "From <a@b> Wed Sep 17 11:00:00 2025\nS: 1\r\n\r\nx\r\n\n\
                    From <a@b> Wed Sep 17 11:00:00 2025\nS: 2\r\n\r\n\r\n\n";
        assert_eq!(texts(ours.as_bytes()), ["S: 1\r\n\r\nx\r\n", "S: 2\r\n\r\n\r\n"]);
        let lf = ours.replace('\r', "");
        assert_eq!(texts(lf.as_bytes()), ["S: 1\r\n\r\nx\r\n", "S: 2\r\n\r\n\r\n"]);
        let crlf = lf.replace('\n', "\r\n");
        assert_eq!(texts(crlf.as_bytes()), ["S: 1\r\n\r\nx\r\n", "S: 2\r\n\r\n\r\n"]);
        let unseparated = "From Wed Sep 17 11:00:00 2025\na\r\nFrom Wed Sep 17 11:00:00 2025\nb";
        assert_eq!(texts(unseparated.as_bytes()), ["a\r\n", "b\r\n"]);
    }

    #[test]
    fn a_line_that_begins_with_from_but_has_no_date_is_text() {
        let mbox = b"From a@b Wed Sep 17 11:00:00 2025\nx\nFrom here on\n\n";
        assert_eq!(texts(mbox), ["x\r\nFrom here on\r\n"]);
        // At the beginning of a file a From_ line needs no date.
        assert_eq!(texts(b"From somebody\nx\n\n"), ["x\r\n"]);
    }

    #[test]
    fn empty_messages_and_empty_files_are_what_they_are() {
        assert_eq!(texts(b""), [""; 0]);
        let mbox = b"From a Wed Sep 17 11:00:00 2025\n\nFrom a Wed Sep 17 11:00:00 2025\n\r\n";
        assert_eq!(texts(mbox), ["", ""]);
        assert_eq!(texts(b"\n\r\nFrom a\nx\n\n"), ["x\r\n"]);
        assert_eq!(texts(b"From a"), [""]);
    }

    #[test]
    fn a_file_that_is_no_mbox_is_refused_with_its_beginning() {
        let long = "x".repeat(FROM_LINE_MOST);
        let longest = format!("From a@b Wed Sep 17 11:00:00 2025 {long}\n");
        for (mbox, quoted) in [
            ("x", "x"),
            ("\n\r\nSubject: x\r\n\nFrom a Wed Sep 17 11:00:00 2025\n", "Subject: x"),
            ("From: a@b\n\nFrom a Wed Sep 17 11:00:00 2025\n", "From: a@b"),
            (">From a Wed Sep 17 11:00:00 2025\n", ">From a Wed Sep 17 11:00:00 2025"),
            ("From\n\nx", "From"),
            ("\0\x1b[2J\"\n\u{e9}", "\\x00\\x1b[2J\\\""),
            (&long, &format!("{}...", "x".repeat(60))),
            (&longest, &format!("From a@b Wed Sep 17 11:00:00 2025 {}...", "x".repeat(26))),
        ] {
            for piece in [1, 2, 7, 100, 5_000] {
                let refused = spans(mbox.as_bytes(), piece).unwrap_err().to_string();
                let wanted = format!(
                    "not an mbox file: it begins with \"{quoted}\", not with a From line; put one \
                     before it, or move the file away"
                );
                assert_eq!(refused, wanted, "{mbox:?} in pieces of {piece}");
            }
        }
    }

    /// A file with these lines, once with LF and once with CRLF.
    fn with_lf_and_crlf(mbox: &str) -> [String; 2] {
        [mbox.to_owned(), mbox.replace('\n', "\r\n")]
    }

    #[test]
    fn where_the_first_line_has_no_date_others_like_it_separate_behind_an_empty_line() {
        for (mbox, wanted) in [
            // Thunderbird's local folders, and what is appended to them
            ("From \none\n\nFrom \ntwo\n\n", &["one\n", "two\n"][..]),
            (
                "From \none\n\nFrom <a@b> Wed Sep 17 11:00:00 2025\ntwo\n\nFrom \nthree\n",
                &["one\n", "two\n", "three\n"],
            ),
            ("From - \none\n\nFrom -\ntwo\n", &["one\n", "two\n"]),
            ("From a@b\none\n\nFrom c@d\ntwo\n", &["one\n", "two\n"]),
            ("From me at x\none\n\nFrom you at y\ntwo\n", &["one\n", "two\n"]),
            ("From odd words\none\n\nFrom odd words\ntwo\n", &["one\n", "two\n"]),
            (
                "From a@b 17.9.2025 11 Uhr\none\n\nFrom c@d 18.9.2025 12 Uhr\ntwo\n",
                &["one\n", "two\n"],
            ),
            // empty messages, and empty lines before the first
            ("From \n\nFrom \n\n\nFrom \n", &["", "\n", ""]),
            ("\n\nFrom \none\n\nFrom \ntwo\n", &["one\n", "two\n"]),
            // not after an empty line, or in another form
            ("From \none\nFrom \nFrom \n\n", &["one\nFrom \nFrom \n"]),
            ("From \nFrom \none\n", &["From \none\n"]),
            ("From \none\n\nFrom -\ntwo\n\nFrom here\n", &["one\n\nFrom -\ntwo\n\nFrom here\n"]),
            ("From odd words\none\n\nFrom other words\n", &["one\n\nFrom other words\n"]),
            ("From a@b\none\n\nFrom here on it is text\n", &["one\n\nFrom here on it is text\n"]),
            // After a dated first line they are text.
            (
                "From a@b Wed Sep 17 11:00:00 2025\none\n\nFrom \n\nFrom -\n\nFrom c@d\n",
                &["one\n\nFrom \n\nFrom -\n\nFrom c@d\n"],
            ),
        ] {
            for mbox in with_lf_and_crlf(mbox) {
                let wanted: Vec<_> = wanted.iter().map(|text| text.replace('\n', "\r\n")).collect();
                assert_eq!(texts(mbox.as_bytes()), wanted, "{mbox:?}");
            }
        }
    }

    #[test]
    fn mailboxes_of_other_programs_have_as_many_messages_as_those_say() {
        for (program, from_lines) in [
            ("Thunderbird", ["From - Wed Sep 17 11:00:00 2025", "From - Thu Sep  4 01:02:03 2025"]),
            (
                "mutt",
                ["From a@b.org Wed Sep 17 11:00:00 2025", "From c@d.org Thu Sep  4 01:02:03 2025"],
            ),
            (
                "procmail",
                ["From a@b.org  Wed Sep 17 11:00:00 2025", "From c  Thu Sep  4 01:02:03 2025"],
            ),
            (
                "Dovecot",
                [
                    "From MAILER-DAEMON  Wed Sep 17 11:00:00 2025",
                    "From c@d  Thu Sep 04 01:02:03 2025",
                ],
            ),
            (
                "Python",
                [
                    "From MAILER-DAEMON Wed Sep 17 11:00:00 2025",
                    "From MAILER-DAEMON Thu Sep  4 01:02:03 2025",
                ],
            ),
            (
                "Takeout",
                [
                    "From 1234567890@xxx Wed Sep 17 11:00:00 +0000 2025",
                    "From 98@xxx Thu Sep 04 01:02:03 +0000 2025",
                ],
            ),
            (
                "pipermail",
                [
                    "From user at example.org  Wed Sep 17 11:00:00 2025",
                    "From c at d.org  Thu Sep  4 01:02:03 2025",
                ],
            ),
            (
                "git",
                [
                    "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001",
                    "From 9876543210987654321098765432109876543210 Mon Sep 17 00:00:00 2001",
                ],
            ),
            (
                "Eudora",
                ["From ???@??? Wed Sep 17 11:00:00 2025", "From ???@??? Thu Sep 04 01:02:03 2025"],
            ),
            (
                "sloppy Thunderbird",
                ["From jwz  Fri, Jul 01 09:13:09 1994", "From jwz  Sat, Jul 02 09:13:09 1994"],
            ),
        ] {
            let [first, second] = from_lines;
            let mbox = format!(
                "{first}\nSubject: one\n\nFrom here\n\nFrom \n>From it\n\n{second}\nSubject: two\n\nx\n\n"
            );
            for mbox in with_lf_and_crlf(&mbox) {
                let wanted = [
                    "Subject: one\r\n\r\nFrom here\r\n\r\nFrom \r\nFrom it\r\n",
                    "Subject: two\r\n\r\nx\r\n",
                ];
                assert_eq!(texts(mbox.as_bytes()), wanted, "{program}: {mbox:?}");
            }
        }
    }

    /// What Dovecot leaves when all messages have been removed.
    const RECORD: &str = "From MAILER_DAEMON  Sat Nov 28 17:55:10 2026\n\
        Date: Sat, 28 Nov 2026 17:55:10 +0000\n\
        From: Mail System Internal Data <MAILER-DAEMON@x.example>\n\
        Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\
        Message-ID: <1795888510@x.example>\n\
        X-IMAP: 1795888510 0000000002\n\
        Status: RO\n\
        \n\
        This text is part of the internal format of your mail folder, and is not\n\
        a real message.\n\
        \n";

    #[test]
    fn a_record_of_another_program_is_no_message() {
        let mail = "From a@b Wed Sep 17 11:00:00 2025\nSubject: x\n\nx\n\n";
        let base = RECORD.replace("X-IMAP:", "x-imapBase:");
        for record in [RECORD, &base] {
            for mbox in with_lf_and_crlf(record) {
                assert_eq!(texts(mbox.as_bytes()), [""; 0], "{mbox}");
            }
            for mbox in with_lf_and_crlf(&format!("\n{record}{mail}{mail}")) {
                for piece in [1, 10, 100, 1_000] {
                    let spans = spans(mbox.as_bytes(), piece).unwrap();
                    let first = mbox.find("From a@b").unwrap() as u64;
                    assert_eq!((spans.len(), spans[0].start), (2, first), "{mbox}");
                }
            }
        }
    }

    #[test]
    fn what_is_like_a_record_and_none_is_a_message() {
        let mail = "From a@b Wed Sep 17 11:00:00 2025\nSubject: x\n\nx\n\n";
        for mbox in [
            // Not the first message, or one that we have stored, which was sent to us.
            format!("{mail}{RECORD}"),
            format!("From <MAILER_DAEMON> Sat{}{mail}", RECORD.split_once("Sat").unwrap().1),
            // Dovecot writes such numbers into any first message.
            format!("{}{mail}", RECORD.replace("DON'T DELETE", "DO DELETE")),
            format!("{}{mail}", RECORD.replace("X-IMAP:", "X-IMA:")),
            format!("{}{mail}", RECORD.replace("X-IMAP:", "\nX-IMAP:")),
            format!("{}{mail}", RECORD.replace("Subject:", "\nSubject:")),
        ] {
            assert_eq!(texts(mbox.as_bytes()).len(), 2, "{mbox}");
        }
    }

    #[test]
    fn what_ends_without_an_empty_line_is_completed_before_an_append() {
        assert_eq!(separation(b""), b"");
        assert_eq!(separation(b"x\n\n"), b"");
        assert_eq!(separation(b"x\r\n\r\n"), b"");
        assert_eq!(separation(b"x\r\n"), b"\n");
        assert_eq!(separation(b"x\n"), b"\n");
        assert_eq!(separation(b"x"), b"\n\n");
    }

    #[test]
    fn a_from_line_may_fall_on_any_border_of_two_pieces() {
        let mbox = b"From a Wed Sep 17 11:00:00 2025\r\na\r\n>From b\r\n\r\n\
                     From a Wed Sep 17 11:00:00 2025\nb\n";
        let whole = spans(mbox, mbox.len()).unwrap();
        assert_eq!(whole.len(), 2);
        for piece in 1..mbox.len() {
            assert_eq!(spans(mbox, piece).unwrap(), whole, "pieces of {piece}");
        }
    }

    /// Text with many things that could be mistaken for structure.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let parts = vec![
            "From ",
            ">",
            "F",
            "\r\n",
            "\n",
            "\r",
            "x",
            "From a Wed Sep 17 11:00:00 2025",
            "\n\n",
            "\0",
        ];
        prop::collection::vec(prop::sample::select(parts), 0..30)
            .prop_map(|parts| parts.concat().into_bytes())
    }

    /// Files that begin in any form, with many lines of all forms.
    fn mbox() -> impl Strategy<Value = Vec<u8>> {
        let lines = vec![
            "From ",
            "From -",
            "From a@b",
            "From odd words",
            "From a@b Mi 17.9.2025",
            "From a@b Wed Sep 17 11:00:00 2025",
            "From a@b 2025-09-17T11:00:00Z",
            "From: x",
            "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA",
            "X-IMAP: 1 2",
            "x",
            "",
            "",
            "",
        ];
        let ends = prop::sample::select(vec!["\n", "\n", "\r\n", "\r"]);
        let line = (prop::sample::select(lines), ends).prop_map(|(line, end)| [line, end].concat());
        prop::collection::vec(line, 0..30).prop_map(|lines| lines.concat().into_bytes())
    }

    /// The text as a client may have sent it: ended by CRLF.
    fn sent() -> impl Strategy<Value = Vec<u8>> {
        text().prop_map(|mut text| {
            if !text.is_empty() {
                text.extend_from_slice(b"\r\n");
            }
            text
        })
    }

    /// The text as POP3 sends it: every LF without a CR gets one.
    fn with_crlf(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            if byte == b'\n' && (at == 0 || text[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_sent(sent in prop::collection::vec(sent(), 0..5), piece in 1usize..40) {
            let mut mbox = Vec::new();
            for text in &sent {
                mbox.extend_from_slice(separation(&mbox));
                mbox.extend_from_slice(b"From <a@b> Wed Sep 17 11:00:00 2025\n");
                mbox.extend_from_slice(&quoted(text, 7));
                mbox.extend_from_slice(b"\n");
            }
            let spans = spans(&mbox, piece).unwrap();
            prop_assert_eq!(spans.len(), sent.len());
            for (span, sent) in spans.iter().zip(&sent) {
                let raw = &mbox[usize::try_from(span.text).unwrap()..usize::try_from(span.text_end).unwrap()];
                let text = unquoted(raw, piece);
                prop_assert_eq!(&text, &with_crlf(sent));
                prop_assert_eq!(text.len() as u64, span.octets);
            }
        }

        #[test]
        fn counting_and_making_agree_on_any_text(text in text(), a in 0usize..60, b in 0usize..60) {
            let mut count = OctetCount::default();
            let (head, tail) = text.split_at(a.min(text.len()));
            count.push(head);
            count.push(tail);
            prop_assert_eq!(count.finish(), unquoted(&text, b).len() as u64);
        }

        #[test]
        fn no_bytes_make_the_scanner_panic(mbox in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
            let whole = spans(&mbox, mbox.len().max(1));
            prop_assert_eq!(spans(&mbox, piece), whole);
            let mut begun = b"From ".to_vec();
            begun.extend_from_slice(&mbox);
            let whole = spans(&begun, begun.len());
            prop_assert!(whole.is_ok());
            prop_assert_eq!(spans(&begun, piece), whole);
        }

        #[test]
        fn windows_of_any_size_show_the_same_messages(mbox in mbox(), piece in 1usize..60) {
            let whole = spans(&mbox, mbox.len().max(1));
            prop_assert_eq!(spans(&mbox, piece), whole);
        }

        #[test]
        fn a_scan_that_is_resumed_at_the_last_message_finds_what_one_from_the_beginning_does(mbox in mbox(), lines in 0usize..30) {
            let cut = memchr_iter(b'\n', &mbox).nth(lines).map_or(mbox.len(), |at| at + 1);
            let Ok(whole) = spans(&mbox, mbox.len().max(1)) else { return Ok(()) };
            let mut found = Vec::new();
            let mut scanner = Scanner::at(0, None);
            scanner.window(&mbox[..cut], End::Here, |span| found.push(span)).unwrap();
            let form = scanner.form().cloned();
            found.extend(scanner.finish());
            let last = found.pop().filter(|_| !found.is_empty());
            let from = last.map_or(0, |last| last.start);
            let mut scanner = Scanner::at(from, form);
            let rest = &mbox[usize::try_from(from).unwrap()..];
            scanner.window(rest, End::Here, |span| found.push(span)).unwrap();
            found.extend(scanner.finish());
            prop_assert_eq!(found, whole);
        }
    }
}
