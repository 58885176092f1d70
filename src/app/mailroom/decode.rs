//! What is shown of a message, made of its octets. Pure; whatever the octets are, there is
//! something to show, in time and memory that they cannot choose.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use chrono::{Local, NaiveDateTime, TimeZone};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{
    ContentType, Header, HeaderName, MessageParser, MessagePart, MimeHeaders, PartType,
};
use memchr::{memchr_iter, memchr2_iter, memmem};

use crate::app::mailroom::{Attachment, Field, Message, MessageKey, Origin, SHOWN_MOST, Summary};
use crate::store::browse::Head;
use crate::wire::display::DisplayText;

/// Octets of a name or subject that a list shows at most. There may be many of them.
const LISTED_OCTETS: usize = 256;

/// Header fields that are shown at most; all of them stand in the raw message.
const FIELDS_MOST: usize = 1_000;

/// Lines of a text that are shown at most, so that a text of empty lines is no flood.
const LINES_MOST: usize = 200_000;

/// Columns between tab stops.
const TAB: usize = 8;

/// What may be in a message whose parts are looked for. Honest ones have far less of each, and
/// what a message may have of the last depends on its length: they are searched for their ends.
const DASHES_MOST: usize = 200_000;
const TYPES_MOST: usize = 20_000;
const SEARCHED_MOST: usize = 1 << 30;

/// For lists.
static HEAD_PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .header_address(HeaderName::From)
        .header_text(HeaderName::Subject)
        .header_date(HeaderName::Date)
        .default_header_ignore()
});

/// For the parts of a message. The transfer encoding is not undone while they are looked for: a
/// message in an encoded part would be taken apart by recursion, as deep as its sender likes, and
/// copied at each level.
static PART_PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .default_header_ignore()
});

/// By what a message is known again: its From_ line, its header and its length.
#[must_use]
pub fn hash(head: &Head) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&head.from_line, &head.text, head.octets).hash(&mut hasher);
    hasher.finish()
}

/// What a list shows of a message.
#[must_use]
pub fn summary(key: MessageKey, number: usize, head: &Head) -> Summary {
    let parsed = HEAD_PARSER.parse_headers(&head.text);
    let parsed = parsed.as_ref();
    let from = parsed.and_then(|message| message.from()?.first());
    let from = from.and_then(|from| from.name.as_deref().or(from.address.as_deref()));
    let subject = parsed.and_then(|message| message.subject());
    let date = parsed.and_then(|message| message.date()).and_then(moment);
    Summary {
        key,
        number,
        from: for_list(from.unwrap_or_default()),
        subject: for_list(subject.unwrap_or_default()),
        date: date.or_else(|| stored_at(&head.from_line)),
        octets: head.octets,
    }
}

/// What is shown of a message: `text` is its beginning, and it has `octets` in all.
#[must_use]
pub fn message(key: MessageKey, text: &[u8], octets: u64) -> Message {
    let parsed = Parsed::of(text);
    let (origin, body) = parsed.text();
    let raw = text.get(..SHOWN_MOST).unwrap_or(text);
    Message {
        key,
        header: parsed.fields(),
        text: lines(&body),
        origin,
        raw: lines(raw),
        attachments: parsed.attached().map(|one| one.described()).collect(),
        octets,
        left_out: octets.saturating_sub(raw.len() as u64),
    }
}

/// A message that has been taken apart.
pub struct Parsed<'a> {
    octets: &'a [u8],
    message: Option<mail_parser::Message<'a>>,
}

/// Something attached to a message.
pub struct Attached<'a> {
    /// Its place among what is attached, from 0.
    pub place: usize,
    part: &'a MessagePart<'a>,
    octets: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Takes a message apart; of one that is made to be expensive, only the header.
    #[must_use]
    pub fn of(octets: &'a [u8]) -> Self {
        let message = if is_tame(octets) {
            PART_PARSER.parse(octets)
        } else {
            PART_PARSER.parse_headers(octets)
        };
        Self { octets, message }
    }

    /// What is attached, in its order.
    pub fn attached(&self) -> impl Iterator<Item = Attached<'_>> {
        let parts = self.message.iter().flat_map(mail_parser::Message::attachments);
        let octets = self.octets;
        parts.enumerate().map(move |(place, part)| Attached { place, part, octets })
    }

    fn fields(&self) -> Vec<Field> {
        let root = self.message.as_ref().and_then(|message| message.parts.first());
        let headers = root.map(|root| root.headers.as_slice()).unwrap_or_default();
        headers.iter().take(FIELDS_MOST).map(|header| self.field(header)).collect()
    }

    fn field(&self, header: &Header<'_>) -> Field {
        let raw = stretch(self.octets, header.offset_start, header.offset_end);
        Field { name: DisplayText::from(header.name()), value: unfolded(raw) }
    }

    /// The text and what it was made of: plain text where there is any.
    fn text(&self) -> (Origin, Vec<u8>) {
        let parts = || self.message.iter().flat_map(mail_parser::Message::text_bodies);
        let plain: Vec<_> = parts().filter_map(|part| self.plain(part)).collect();
        if !plain.is_empty() {
            return (Origin::Plain, plain.join(&b"\n"[..]));
        }
        let html: Vec<_> = parts().filter_map(|part| self.html(part)).collect();
        if !html.is_empty() {
            return (Origin::Html, html.join("\n").into_bytes());
        }
        (Origin::None, Vec::new())
    }

    fn plain(&self, part: &MessagePart<'_>) -> Option<Vec<u8>> {
        let PartType::Text(_) = part.body else { return None };
        Some(in_utf8(part, shown_of(&decoded(self.octets, part))).into_owned())
    }

    fn html(&self, part: &MessagePart<'_>) -> Option<String> {
        let PartType::Html(_) = part.body else { return None };
        let decoded = decoded(self.octets, part);
        let html = in_utf8(part, shown_of(&decoded));
        Some(html_to_text(&String::from_utf8_lossy(&html)))
    }
}

impl Drop for Parsed<'_> {
    /// Messages within messages are dropped one after the other: as deep as a sender can nest them,
    /// no stack reaches.
    fn drop(&mut self) {
        let mut nested: Vec<_> = self.message.take().into_iter().collect();
        while let Some(message) = nested.pop() {
            let bodies = message.parts.into_iter().map(|part| part.body);
            nested.extend(bodies.filter_map(|body| match body {
                PartType::Message(message) => Some(message),
                _ => None,
            }));
        }
    }
}

impl Attached<'_> {
    /// Its name; made up where it has none. Its sender chose it, and may mean harm.
    #[must_use]
    pub fn name(&self) -> String {
        let named = self.part.attachment_name().filter(|name| !name.trim().is_empty());
        named.map_or_else(|| self.made_up_name(), str::to_owned)
    }

    /// A name that does no harm.
    #[must_use]
    pub fn made_up_name(&self) -> String {
        let number = self.place + 1;
        match &self.part.body {
            PartType::Message(_) => format!("message-{number}.eml"),
            PartType::Html(_) => format!("attachment-{number}.html"),
            PartType::Text(_) => format!("attachment-{number}.txt"),
            _ => format!("attachment-{number}.bin"),
        }
    }

    /// What it holds, decoded.
    #[must_use]
    pub fn content(&self) -> Cow<'_, [u8]> {
        decoded(self.octets, self.part)
    }

    fn described(&self) -> Attachment {
        Attachment {
            name: for_list(&self.name()),
            media_type: for_list(&media_type(self.part)),
            octets: self.content().len() as u64,
        }
    }
}

/// RFC 2045 section 5.2: without a type it is plain text.
fn media_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(ContentType { c_type, c_subtype: Some(subtype), .. }) => format!("{c_type}/{subtype}"),
        Some(ContentType { c_type, .. }) => c_type.clone().into_owned(),
        None if part.is_message() => "message/rfc822".to_owned(),
        None => "text/plain".to_owned(),
    }
}

/// Whether a message can be taken apart in little more time and memory than it takes to read it.
fn is_tame(octets: &[u8]) -> bool {
    let dashes = memmem::find_iter(octets, "--").take(DASHES_MOST + 1).count();
    let types = occurrences(octets, b"content-type").take(TYPES_MOST + 1).count();
    let multiparts_most = SEARCHED_MOST / octets.len().max(1);
    let multiparts = occurrences(octets, b"multipart").take(multiparts_most + 1).count();
    dashes <= DASHES_MOST && types <= TYPES_MOST && multiparts <= multiparts_most
}

/// Where a word, given in lower case, begins in any case.
fn occurrences<'a>(octets: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> {
    let first = word.first().copied().unwrap_or_default();
    memchr2_iter(first, first.to_ascii_uppercase(), octets).filter(move |&at| {
        octets.get(at..at + word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word))
    })
}

/// The octets of a part without their transfer encoding (RFC 2045 section 6). What is not encoded
/// as it says is left as it is.
fn decoded<'a>(octets: &'a [u8], part: &MessagePart<'_>) -> Cow<'a, [u8]> {
    let body = stretch(octets, part.raw_body_offset(), part.raw_end_offset());
    let encoding = transfer_encoding(octets, part);
    let decoded = if encoding.eq_ignore_ascii_case(b"base64") {
        base64_decode(body)
    } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        quoted_printable_decode(body)
    } else {
        None
    };
    decoded.map_or(Cow::Borrowed(body), Cow::Owned)
}

fn transfer_encoding<'a>(octets: &'a [u8], part: &MessagePart<'_>) -> &'a [u8] {
    let of_encoding = |header: &&Header<'_>| header.name == HeaderName::ContentTransferEncoding;
    let header = part.headers.iter().rfind(of_encoding);
    let value = header.map(|header| stretch(octets, header.offset_start, header.offset_end));
    value.unwrap_or_default().trim_ascii()
}

/// The text of a part in UTF-8. What claims to be UTF-8, or nothing, stays as it is: what is not
/// will be shown as what it is.
fn in_utf8<'a>(part: &MessagePart<'_>, text: &'a [u8]) -> Cow<'a, [u8]> {
    let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
    let as_it_is = ["utf-8", "utf8", "us-ascii"];
    let decode = charset
        .filter(|charset| !as_it_is.iter().any(|one| charset.eq_ignore_ascii_case(one)))
        .and_then(|charset| charset_decoder(charset.as_bytes()));
    decode.map_or(Cow::Borrowed(text), |decode| Cow::Owned(decode(text).into_bytes()))
}

fn shown_of(text: &[u8]) -> &[u8] {
    text.get(..SHOWN_MOST).unwrap_or(text)
}

/// The value of a header field in one line, encoded words decoded (RFC 2047).
fn unfolded(raw: &[u8]) -> DisplayText {
    let mut line = shown_of(raw).trim_ascii().to_vec();
    line.push(b'\n');
    let value = MessageStream::new(&line).parse_unstructured();
    DisplayText::from(value.as_text().unwrap_or_default())
}

fn stretch(octets: &[u8], from: u32, to: u32) -> &[u8] {
    let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    octets.get(place(from)..place(to)).unwrap_or_default()
}

/// What fits into a row, with a note on the rest.
fn for_list(text: &str) -> DisplayText {
    let (shown, rest) = text.split_at(text.floor_char_boundary(LISTED_OCTETS));
    DisplayText::cut(shown.as_bytes(), rest.len() as u64)
}

/// The lines of a text, tabs expanded; those that are too wide go on in the next one.
fn lines(text: &[u8]) -> Vec<DisplayText> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let mut shown = Vec::new();
    let mut lines = text.split(|&byte| byte == b'\n');
    while shown.len() < LINES_MOST
        && let Some(line) = lines.next()
    {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        shown.extend(DisplayText::pieces(&expanded(line)));
    }
    let more = lines.count();
    if more > 0 {
        shown.push(DisplayText::from(&*format!("… ({more} more lines)")));
    }
    shown
}

/// A line with blanks for its tabs.
fn expanded(line: &[u8]) -> Cow<'_, [u8]> {
    let mut expanded = Vec::new();
    let (mut from, mut column) = (0, 0);
    for tab in memchr_iter(b'\t', line) {
        let before = line.get(from..tab).unwrap_or_default();
        column += before.iter().filter(|&&byte| !is_continuation(byte)).count();
        let blanks = TAB - column % TAB;
        column += blanks;
        expanded.extend_from_slice(before);
        expanded.resize(expanded.len() + blanks, b' ');
        from = tab + 1;
    }
    if from == 0 {
        return Cow::Borrowed(line);
    }
    expanded.extend_from_slice(line.get(from..).unwrap_or_default());
    Cow::Owned(expanded)
}

/// Whether a byte goes on with a character of UTF-8.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn moment(date: &mail_parser::DateTime) -> Option<SystemTime> {
    if !date.is_valid() {
        return None;
    }
    let timestamp = date.to_timestamp();
    let distance = Duration::from_secs(timestamp.unsigned_abs());
    if timestamp < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// When a message was stored, by the date at the end of its From_ line.
fn stored_at(from_line: &[u8]) -> Option<SystemTime> {
    let line = from_line.trim_ascii_end();
    let date =
        str::from_utf8(line.get(line.len().checked_sub("Wed Sep 17 11:00:00 2025".len())?..)?);
    let date = NaiveDateTime::parse_from_str(date.ok()?, "%a %b %e %H:%M:%S %Y").ok()?;
    Some(Local.from_local_datetime(&date).earliest()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: MessageKey = MessageKey { hash: 0, occurrence: 0 };

    fn head(text: &str) -> Head {
        Head {
            from_line: b"From <a@b.org> Wed Sep 17 11:00:00 2025\n".to_vec(),
            text: text.replace('\n', "\r\n").into_bytes(),
            octets: 264,
        }
    }

    fn listed(text: &str) -> Summary {
        summary(KEY, 1, &head(text))
    }

    fn shown(text: &str) -> Message {
        let text = text.replace('\n', "\r\n");
        message(KEY, text.as_bytes(), text.len() as u64)
    }

    fn texts(lines: &[DisplayText]) -> Vec<&str> {
        lines.iter().map(DisplayText::as_str).collect()
    }

    #[test]
    fn a_list_shows_the_name_else_the_address() {
        let from = |value: &str| listed(&format!("From: {value}\n\n")).from.into_string();
        assert_eq!(from("Linh Phan <linhphan@localhost>"), "Linh Phan");
        assert_eq!(from("linhphan@localhost"), "linhphan@localhost");
        assert_eq!(from("=?utf-8?q?L=C3=AFnh?= <l@x>"), "Lïnh");
        assert_eq!(from("team: a@x, b@x;"), "a@x");
        assert_eq!(from("\x1b[2J <a@x>"), "\\x1b[2J");
        assert_eq!(listed("Subject: x\n\n").from.as_str(), "");
    }

    #[test]
    fn a_subject_is_unfolded_and_its_encoded_words_are_decoded() {
        let subject = |value: &str| listed(&format!("Subject: {value}\n\n")).subject.into_string();
        assert_eq!(subject("one\n two"), "one two");
        assert_eq!(subject("=?utf-8?b?5pel5pys?=\n =?utf-8?b?6Kqe?= x"), "日本語 x");
        assert!(subject(&"x".repeat(300)).ends_with(" … (44 more octets)"));
    }

    #[test]
    fn a_message_without_a_date_has_the_one_of_its_from_line() {
        let dated = listed("Date: Thu, 01 Jan 1970 01:00:05 +0100\n\n").date;
        assert_eq!(dated, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)));
        let early = listed("Date: Thu, 01 Jan 1970 00:00:00 +0100\n\n").date;
        assert_eq!(early, Some(SystemTime::UNIX_EPOCH - Duration::from_hours(1)));
        let stored = Local.with_ymd_and_hms(2025, 9, 17, 11, 0, 0).unwrap();
        assert_eq!(listed("Date: soon\n\n").date, Some(stored.into()));
        assert_eq!(summary(KEY, 1, &Head { from_line: Vec::new(), ..head("") }).date, None);
    }

    #[test]
    fn messages_are_told_apart_by_line_header_and_length() {
        let one = head("Subject: x\n\n");
        assert_eq!(hash(&one), hash(&one.clone()));
        let other = Head { octets: 265, ..one.clone() };
        let later = Head { from_line: b"From x\n".to_vec(), ..one.clone() };
        assert_ne!(hash(&one), hash(&other));
        assert_ne!(hash(&one), hash(&later));
    }

    #[test]
    fn a_plain_message_is_shown_with_its_header_and_as_it_is() {
        let message = shown("Subject: =?utf-8?q?=E2=9C=89?=\nX-Long: a\n b\n\nna\u{ef}ve\n\tx\n");
        let fields: Vec<_> =
            message.header.iter().map(|one| format!("{}: {}", one.name, one.value)).collect();
        assert_eq!(fields, ["Subject: ✉", "X-Long: a b"]);
        assert_eq!(texts(&message.text), ["naïve", "        x"]);
        assert_eq!(message.origin, Origin::Plain);
        assert_eq!(texts(&message.raw)[..3], ["Subject: =?utf-8?q?=E2=9C=89?=", "X-Long: a", " b"]);
        assert_eq!((message.attachments.len(), message.left_out), (0, 0));
    }

    #[test]
    fn an_encoded_text_is_decoded_and_one_that_is_not_what_it_says_is_left() {
        let text = |header: &str, body: &str| {
            let message = shown(&format!("{header}\n\n{body}"));
            message.text.first().unwrap().as_str().to_owned()
        };
        let latin = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: ";
        assert_eq!(text(&format!("{latin}quoted-printable"), "na=EFve\n"), "naïve");
        assert_eq!(text(&format!("{latin}BASE64"), "bmHvdmU=\n"), "naïve");
        assert_eq!(text(&format!("{latin}quoted-printable"), "a=zz\n"), "a=zz");
        assert_eq!(text("Content-Type: text/plain; charset=x-none", "x\n"), "x");
    }

    const ALTERNATIVE: &str = "Content-Type: multipart/mixed; boundary=m\n\n\
        --m\nContent-Type: multipart/alternative; boundary=a\n\n\
        --a\nContent-Type: text/plain\n\nplain\n\
        --a\nContent-Type: text/html\n\n<p>html</p>\n\
        --a--\n\
        --m\nContent-Type: image/png; name=\"=?utf-8?q?p=C3=AFc?=.png\"\n\
        Content-Transfer-Encoding: base64\n\nAAECAw==\n\
        --m\nContent-Type: application/octet-stream\nContent-Disposition: attachment\n\n12345\n\
        --m\nContent-Type: message/rfc822\n\nSubject: inner\n\nx\n\
        --m--\n";

    #[test]
    fn plain_text_is_preferred_and_attachments_have_their_decoded_size() {
        let message = shown(ALTERNATIVE);
        assert_eq!(texts(&message.text), ["plain"]);
        let attached: Vec<_> = message
            .attachments
            .iter()
            .map(|one| format!("{} {} {}", one.name, one.media_type, one.octets))
            .collect();
        assert_eq!(
            attached,
            [
                "pïc.png image/png 4",
                "attachment-2.bin application/octet-stream 5",
                "message-3.eml message/rfc822 19"
            ]
        );
        let text = ALTERNATIVE.replace('\n', "\r\n");
        let parsed = Parsed::of(text.as_bytes());
        let contents: Vec<_> = parsed.attached().map(|one| one.content().into_owned()).collect();
        assert_eq!(contents, [&[0, 1, 2, 3][..], b"12345", b"Subject: inner\r\n\r\nx"]);
    }

    #[test]
    fn html_alone_is_shown_as_text() {
        let message = shown("Content-Type: text/html\n\n<p>one</p><b>two</b>\n");
        assert_eq!((message.origin, texts(&message.text)), (Origin::Html, vec!["one", "two"]));
        let message = shown("Content-Type: image/png\n\nx");
        assert_eq!((message.origin, message.text.len()), (Origin::None, 0));
    }

    #[test]
    fn a_long_line_goes_on_in_the_next_and_a_flood_of_lines_is_cut() {
        let message = shown(&format!("\n{}\n", "x".repeat(2_500)));
        assert_eq!(message.text.len(), 3);
        let message = shown(&"\n".repeat(LINES_MOST + 11));
        assert_eq!(message.raw.len(), LINES_MOST + 1);
        assert_eq!(message.raw.last().unwrap().as_str(), "… (11 more lines)");
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted_and_left_out() {
        let text = format!("Subject: x\r\n\r\n{}", "12345678\r\n".repeat(SHOWN_MOST / 10 + 100));
        let message = message(KEY, text.as_bytes(), text.len() as u64 + 7);
        assert_eq!(message.left_out, (text.len() + 7 - SHOWN_MOST) as u64);
        assert_eq!(message.octets, text.len() as u64 + 7);
    }

    #[test]
    fn messages_nested_deeper_than_any_stack_are_let_go() {
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(TYPES_MOST - 1);
        assert_eq!(message(KEY, deep.as_bytes(), 1).attachments.len(), 1);
        let deeper = deep.repeat(2);
        let message = message(KEY, deeper.as_bytes(), 1);
        assert_eq!((message.header.len(), message.attachments.len()), (1, 0));
    }

    #[test]
    fn a_message_that_is_made_to_be_searched_for_ever_is_not_taken_apart() {
        let part = "--b\r\nContent-Type: multipart/mixed; boundary=none\r\n\r\n";
        let header = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let text = format!("{header}{}", part.repeat(SHOWN_MOST / part.len()));
        let message = message(KEY, text.as_bytes(), text.len() as u64);
        assert_eq!((message.header.len(), message.attachments.len()), (1, 0));
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            &b"Content-Type: "[..],
            b"multipart/mixed; boundary=b",
            b"multipart/digest; boundary=\"\"",
            b"message/rfc822",
            b"text/html; charset=utf-7",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: quoted-printable",
            b"Content-Disposition: attachment; filename*0*=utf-8''%ff",
            b"From: \"a\" <",
            b"Subject: =?utf-8?q?=ff?=",
            b"Date: Mon, 99 Foo",
            b"\r\n",
            b"\r\n\r\n",
            b"--b",
            b"--b--",
            b"<!--",
            b"<p>&#x110000;",
            b"=",
            b"\xff\xfe\x80",
            b"\x1b]52;c;",
        ]);
        prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(
            text in prop_oneof![hostile(), prop::collection::vec(any::<u8>(), 0..2_000)],
        ) {
            let shown = message(KEY, &text, text.len() as u64);
            let all = shown.text.iter().chain(&shown.raw);
            prop_assert!(all.clone().all(|line| !line.as_str().chars().any(char::is_control)));
            let head = Head { from_line: text.clone(), text, octets: 1 };
            let _ = (hash(&head), summary(KEY, 1, &head));
        }
    }
}
