//! Splits a header into raw fields (RFC 5322 section 2.2). One damaged line does not turn the
//! fields after it into text. Decodes nothing.

use memchr::memchr;

/// The octets of a line in which the colon of a field is searched: lines are not longer (RFC 5322
/// section 2.1.1), and a text without a header may be one very long line.
const NAME_MOST: usize = 998;

/// The lines after a damaged line that are examined to decide whether it belongs to a header.
const AHEAD_MOST: usize = 200;

/// Names of fields that are common in headers and rare at the beginning of a line of text, in lower
/// case.
const KNOWN: [&[u8]; 24] = [
    b"from",
    b"to",
    b"cc",
    b"bcc",
    b"reply-to",
    b"sender",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"received",
    b"return-path",
    b"mime-version",
    b"delivered-to",
    b"user-agent",
    b"precedence",
    b"importance",
    b"priority",
    b"status",
    b"organization",
    b"authentication-results",
    b"dkim-signature",
    b"auto-submitted",
];

/// The same, by prefix.
const KNOWN_BEGINNINGS: [&[u8]; 6] =
    [b"content-", b"x-", b"list-", b"resent-", b"arc-", b"thread-"];

/// A header field, or a line in its place that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawField<'a> {
    /// The name; empty for a line that is not a field.
    pub(super) name: &'a [u8],
    /// The text after the colon, or the whole line, with its continuation lines.
    pub(super) value: &'a [u8],
}

impl RawField<'_> {
    /// Whether the field has this name, ignoring case.
    #[must_use]
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// An iterator over the fields of the header at the beginning of some octets.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    octets: &'a [u8],
    at: usize,
    has_damage: bool,
    text: Option<usize>,
}

impl<'a> Fields<'a> {
    /// The fields of a message or of a part.
    #[must_use]
    pub(super) const fn of(octets: &'a [u8]) -> Self {
        Self { octets, at: 0, has_damage: false, text: None }
    }

    /// The offset of the text after the header; consumes the remaining fields.
    #[must_use]
    pub(super) fn text(&mut self) -> usize {
        loop {
            if let Some(text) = self.text {
                return text;
            }
            let _ = self.next();
        }
    }

    fn end(&mut self, text: usize) -> Option<RawField<'a>> {
        self.text = Some(text);
        None
    }

    /// Moves after the continuation lines; returns everything from `start`.
    fn unfold(&mut self, start: usize) -> &'a [u8] {
        while goes_on(self.octets, self.at) {
            self.at = line(self.octets, self.at).1;
        }
        self.octets.get(start..self.at).unwrap_or_default()
    }

    /// Whether a line that is not a field is in the middle of a header all the same.
    fn is_damaged_field(&mut self, content: &[u8], next: usize) -> bool {
        if content.starts_with(b"--") {
            return false;
        }
        // Lines that mail storage programs have left behind; they do not count as the one damaged
        // line that is tolerated.
        if content.starts_with(b"From ") || content.starts_with(b">From ") {
            return true;
        }
        // One damaged line is tolerated; a second one is taken for the beginning of the text.
        let is_first = !std::mem::replace(&mut self.has_damage, true);
        is_first && only_known_fields_follow(self.octets, next)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = RawField<'a>;

    fn next(&mut self) -> Option<RawField<'a>> {
        if self.text.is_some() {
            return None;
        }
        let start = self.at;
        if start >= self.octets.len() {
            return self.end(start);
        }
        let (content, next) = line(self.octets, start);
        if is_blank(content) {
            return self.end(next);
        }
        if let Some((name, value)) = split(content, start) {
            self.at = next;
            return Some(RawField { name, value: self.unfold(value) });
        }
        if !self.is_damaged_field(content, next) {
            return self.end(start);
        }
        self.at = next;
        Some(RawField { name: b"", value: self.unfold(start) })
    }
}

/// The line at this offset without its line end, and the offset of the next line.
#[must_use]
pub(super) fn line(octets: &[u8], at: usize) -> (&[u8], usize) {
    let rest = octets.get(at..).unwrap_or_default();
    let (line, next) = match memchr(b'\n', rest) {
        Some(end) => (rest.get(..end).unwrap_or_default(), at + end + 1),
        None => (rest, octets.len()),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), next)
}

/// Whether there is only white space.
#[must_use]
pub(super) fn is_blank(octets: &[u8]) -> bool {
    octets.iter().all(u8::is_ascii_whitespace)
}

/// The name of a field, and the offset of its value. Blanks before the colon are obsolete, but
/// occur in old mail (RFC 5322 section 4.5).
fn split(content: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let colon = memchr(b':', content.get(..NAME_MOST).unwrap_or(content))?;
    let name = content.get(..colon)?.trim_ascii_end();
    let is_name = name.iter().all(|&octet| octet > b' ' && octet != 0x7f);
    is_name.then_some((name, start + colon + 1))
}

fn is_known(name: &[u8]) -> bool {
    let begins = |with: &&[u8]| {
        name.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known))
        || KNOWN_BEGINNINGS.iter().any(begins)
}

/// Whether the line at this offset begins with a field that is common in headers.
#[must_use]
pub(super) fn begins_with_known_field(octets: &[u8], at: usize) -> bool {
    split(line(octets, at).0, at).is_some_and(|(name, _)| is_known(name))
}

/// Whether the line at this offset continues the line before. A line of blanks does only if the
/// header continues after it: usually it is an empty line to which blanks were added.
fn goes_on(octets: &[u8], at: usize) -> bool {
    let (content, next) = line(octets, at);
    if !content.starts_with(b" ") && !content.starts_with(b"\t") {
        return false;
    }
    if !is_blank(content) {
        return true;
    }
    let (following, _) = line(octets, next);
    let is_folded = following.starts_with(b" ") || following.starts_with(b"\t");
    (is_folded && !is_blank(following)) || begins_with_known_field(octets, next)
}

/// Whether there are only fields that are common in headers up to the next empty line, and at least
/// one.
fn only_known_fields_follow(octets: &[u8], mut at: usize) -> bool {
    let mut has_one = false;
    for _ in 0..AHEAD_MOST {
        let (content, next) = line(octets, at);
        if is_blank(content) {
            return has_one;
        }
        match split(content, at) {
            Some((name, _)) if is_known(name) => has_one = true,
            None if content.starts_with(b" ") || content.starts_with(b"\t") => {}
            _ => return false,
        }
        at = next;
    }
    has_one
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields as `name=value`, and the text.
    #[track_caller]
    fn is_cut(octets: &str, fields: &[&str], text: &str) {
        let octets = octets.replace('\n', "\r\n");
        let mut found = Fields::of(octets.as_bytes());
        let shown: Vec<String> = found
            .by_ref()
            .map(|field| {
                let value = String::from_utf8_lossy(field.value).trim().replace("\r\n", "|");
                format!("{}={value}", String::from_utf8_lossy(field.name))
            })
            .collect();
        assert_eq!(shown, fields);
        assert_eq!(octets[found.text()..].replace("\r\n", "\n"), text);
    }

    #[test]
    fn fields_end_at_the_empty_line() {
        is_cut("A: b\nC : d\n e\n\ttext: f\n\nx: y\n", &["A=b", "C=d| e|\ttext: f"], "x: y\n");
        is_cut("\nx: y\n", &[], "x: y\n");
        is_cut("A: b", &["A=b"], "");
        is_cut("", &[], "");
    }

    #[test]
    fn a_text_without_an_empty_line_before_it_is_text() {
        is_cut(
            "Subject: v\nhello world\nNote: x\n\ny\n",
            &["Subject=v"],
            "hello world\nNote: x\n\ny\n",
        );
        is_cut("hello world\nfoo\n", &[], "hello world\nfoo\n");
        is_cut(
            "To: a\n--bb\nContent-Type: text/plain\n\nx",
            &["To=a"],
            "--bb\nContent-Type: text/plain\n\nx",
        );
    }

    #[test]
    fn a_damaged_line_in_a_header_does_not_end_it() {
        let (header, text) =
            ("Subject: v\nDate 17 Sep\n 2025\nContent-Type: text/html\n\nx\n", "x\n");
        is_cut(header, &["Subject=v", "=Date 17 Sep| 2025", "Content-Type=text/html"], text);
        is_cut(" x\nTo: a\n\ny", &["=x", "To=a"], "y");
        is_cut(
            ">From a b: c\nTo: a\nnonsense\nCc: b\n\ny",
            &["=>From a b: c", "To=a", "=nonsense", "Cc=b"],
            "y",
        );
        // The second damaged line is taken for the beginning of the text.
        is_cut("one 1\nTo: a\ntwo 2\nCc: b\n\ny", &[], "one 1\nTo: a\ntwo 2\nCc: b\n\ny");
    }

    #[test]
    fn a_line_of_blanks_ends_a_header_unless_it_goes_on() {
        is_cut("To: a\n \nNote: x\n", &["To=a"], "Note: x\n");
        is_cut("To: a\n \nCc: x\n\ny", &["To=a", "Cc=x"], "y");
        is_cut("To: a\n \n b\n\ny", &["To=a| | b"], "y");
    }

    #[test]
    fn a_text_of_one_long_line_is_looked_at_only_at_its_beginning() {
        let text = format!("{}: x", "w".repeat(NAME_MOST));
        is_cut(&text, &[], &text);
    }
}
