//! Decodes messages for the screen. Does no I/O. Any octets give something to show, in bounded time
//! and memory, and a fault affects only the part of the message that contains it.

pub mod body;
mod charset;
mod header;
mod html;
mod media;
mod page;
mod parts;
mod passage;
pub mod plain;
mod transfer;
mod views;
mod words;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use chrono::{Local, NaiveDateTime, TimeZone};
use mail_parser::parsers::MessageStream;
use mail_parser::{Address, DateTime, HeaderValue};

use crate::mailroom::decode::body::Body;
use crate::mailroom::decode::header::{Fields, RawField};
use crate::mailroom::decode::media::Kind;
use crate::mailroom::decode::parts::Part;
pub use crate::mailroom::decode::passage::Passage;
use crate::mailroom::decode::passage::{Form, html_of};
use crate::mailroom::decode::views::Views;
use crate::mailroom::message::{Attachment, Field, Message, MessageKey, Summary};
use crate::mailroom::shape::SHOWN_MOST;
use crate::store::browse::Head;
use crate::store::delivery::ORIGINAL_FIELD;
use crate::wire::display::DisplayText;

/// The most octets of a name or subject in a list, which may have very many messages.
const LISTED_OCTETS: usize = 256;

/// The most header fields that are shown; the raw message shows all of them.
const FIELDS_MOST: usize = 1_000;

/// The most octets of a field's value that are shown; a note says how many are left out.
const VALUE_MOST: usize = 16 * 1024;

/// The hash that identifies a message: of its From_ line, its header and its length.
#[must_use]
pub fn hash(head: &Head) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&head.from_line, &head.text, head.octets).hash(&mut hasher);
    hasher.finish()
}

/// The row of a message in a list.
#[must_use]
pub fn summary(key: MessageKey, number: usize, head: &Head) -> Summary {
    let (mut from, mut subject, mut date) = (None, None, None);
    for field in Fields::of(&head.text) {
        let value = field.value.get(..VALUE_MOST).unwrap_or(field.value);
        if field.is("From") {
            from = Some(value);
        } else if field.is("Subject") {
            subject = Some(value);
        } else if field.is("Date") {
            date = Some(value);
        }
    }
    Summary {
        key,
        number,
        from: for_list(&from.map(writer).unwrap_or_default()),
        subject: for_list(&subject.map(words::decoded).unwrap_or_default()),
        date: date.and_then(moment).or_else(|| stored_at(&head.from_line)),
        octets: head.octets,
        caught_for: caught_for(head),
    }
}

/// The subject that a header has, decoded, in one line; empty if there is none.
#[must_use]
pub fn subject(header: &[u8]) -> String {
    let field = Fields::of(header).filter(|field| field.is("Subject")).last();
    let value = field.map(|field| field.value.get(..VALUE_MOST).unwrap_or(field.value));
    String::from_utf8_lossy(&value.map(words::decoded).unwrap_or_default()).into_owned()
}

/// To whom a message was sent that was redirected to this mailbox: what the fields say that it begins
/// with. Those further down are the sender's.
fn caught_for(head: &Head) -> Option<DisplayText> {
    let fields = Fields::of(&head.text).take_while(|field| field.is(ORIGINAL_FIELD));
    let addresses = fields.map(|field| field.value.get(..VALUE_MOST).unwrap_or(field.value));
    let all: Vec<_> = addresses.take(CAUGHT_SHOWN).map(<[u8]>::trim_ascii).collect();
    (!all.is_empty()).then(|| for_list(&all.join(&b", "[..])))
}

/// Addresses of a redirected message that a list shows.
const CAUGHT_SHOWN: usize = 8;

/// The message as it is shown: `text` is its beginning, `octets` its whole length.
#[must_use]
pub fn message(key: MessageKey, text: Vec<u8>, octets: u64) -> Message {
    let parsed = Parsed::of(&text);
    let (header, views) = (parsed.fields(), parsed.views.clone());
    let attachments = parsed.attached().map(|one| one.described()).collect();
    let unread = octets.saturating_sub(text.len() as u64);
    let body = Body::new(text, views, unread);
    Message { key, header, body, attachments, octets }
}

/// A parsed message.
pub struct Parsed<'a> {
    octets: &'a [u8],
    message: Part,
    views: Views,
}

/// An attachment of a message.
pub struct Attached<'a> {
    /// Its index among the attachments, from 0.
    pub place: usize,
    part: &'a Part,
    octets: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Parses a message.
    #[must_use]
    pub fn of(octets: &'a [u8]) -> Self {
        let message = Part::of_message(octets);
        let views = Views::of(octets, &message);
        Self { octets, message, views }
    }

    /// The attachments, in their order.
    pub fn attached(&self) -> impl Iterator<Item = Attached<'_>> {
        let octets = self.octets;
        let parts = views::attached(octets, &self.message, &self.views).into_iter();
        parts.enumerate().map(move |(place, part)| Attached { place, part, octets })
    }

    /// The HTML of the message as a page that makes no network requests in a browser; `None` if
    /// there is no HTML.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        let html = self.views.html.iter().filter(|section| section.form == Form::Html);
        let html: Vec<String> =
            html.map(|section| html_of(self.octets, section, SHOWN_MOST)).collect();
        (!html.is_empty()).then(|| page::harmless(&html))
    }

    fn fields(&self) -> Vec<Field> {
        let mut raw = Fields::of(self.octets);
        let mut fields: Vec<Field> = raw.by_ref().take(FIELDS_MOST).map(shown_field).collect();
        let more = raw.count();
        if more > 0 {
            let words = format!("{more} more fields; the raw message has them");
            fields.push(Field { name: "…".into(), value: DisplayText::from(&*words) });
        }
        fields
    }
}

impl Attached<'_> {
    /// Its file name, or a generated one. The sender chose the name, so it must not be used as a
    /// path without [`safe_name`](crate::mailroom::new_file::safe_name).
    #[must_use]
    pub fn name(&self) -> String {
        self.part.declared.name.clone().unwrap_or_else(|| self.made_up_name())
    }

    /// A generated name, which is safe as a file name.
    #[must_use]
    pub fn made_up_name(&self) -> String {
        let number = self.place + 1;
        match &self.part.declared.kind {
            Kind::Message => format!("message-{number}.eml"),
            Kind::Html => format!("attachment-{number}.html"),
            Kind::Plain | Kind::OtherText => format!("attachment-{number}.txt"),
            _ => format!("attachment-{number}.bin"),
        }
    }

    /// The decoded content.
    #[must_use]
    pub fn content(&self) -> Cow<'_, [u8]> {
        transfer::decoded(self.part.declared.encoding, self.encoded(), usize::MAX).octets
    }

    fn encoded(&self) -> &[u8] {
        self.octets.get(self.part.body.clone()).unwrap_or_default()
    }

    fn described(&self) -> Attachment {
        let declared = &self.part.declared;
        Attachment {
            name: for_list(self.name().as_bytes()),
            media_type: for_list(declared.media_type.as_bytes()),
            octets: transfer::decoded_length(declared.encoding, self.encoded()),
        }
    }
}

/// A field in one line, cut with a note if it is very long.
fn shown_field(field: RawField<'_>) -> Field {
    let value = field.value.trim_ascii();
    let shown = value.get(..VALUE_MOST).unwrap_or(value);
    let more = (value.len() - shown.len()) as u64;
    let value = DisplayText::wide(&words::decoded(shown), more);
    let name = if field.name.is_empty() { "?".into() } else { DisplayText::new(field.name) };
    Field { name, value }
}

/// The author of a message: the name, or the address if there is none, or else the decoded field.
fn writer(from: &[u8]) -> Vec<u8> {
    let tidy = words::tidied(from);
    let parsed = match MessageStream::new(&tidy).parse_address() {
        HeaderValue::Address(Address::List(list)) => list.into_iter().next(),
        HeaderValue::Address(Address::Group(groups)) => {
            groups.into_iter().flat_map(|group| group.addresses).next()
        }
        _ => None,
    };
    let writer = parsed.and_then(|writer| writer.name.or(writer.address));
    let writer = writer.filter(|writer| !writer.trim().is_empty());
    writer.map_or_else(|| words::decoded(from), |writer| writer.into_owned().into_bytes())
}

/// Cuts text to the width of a list, with a note on the rest.
fn for_list(text: &[u8]) -> DisplayText {
    let (shown, rest) = match str::from_utf8(text) {
        Ok(text) => text.as_bytes().split_at(text.floor_char_boundary(LISTED_OCTETS)),
        Err(_) => text.split_at(text.len().min(LISTED_OCTETS)),
    };
    DisplayText::cut(shown, rest.len() as u64)
}

fn moment(date: &[u8]) -> Option<SystemTime> {
    let line = [date.trim_ascii(), b"\n"].concat();
    let date = MessageStream::new(&line).parse_date().into_datetime().filter(DateTime::is_valid)?;
    let timestamp = date.to_timestamp();
    let distance = Duration::from_secs(timestamp.unsigned_abs());
    if timestamp < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// When a message was stored, from the date at the end of its From_ line.
fn stored_at(from_line: &[u8]) -> Option<SystemTime> {
    let line = from_line.trim_ascii_end();
    let date =
        str::from_utf8(line.get(line.len().checked_sub("Wed Sep 17 11:00:00 2025".len())?..)?);
    let date = NaiveDateTime::parse_from_str(date.ok()?, "%a %b %e %H:%M:%S %Y").ok()?;
    Some(Local.from_local_datetime(&date).earliest()?.into())
}

#[cfg(test)]
mod fault_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroom::shape::Shape;
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
        let text = text.replace('\n', "\r\n").into_bytes();
        let octets = text.len() as u64;
        message(KEY, text, octets)
    }

    fn all(message: &Message, shape: Shape) -> Vec<String> {
        let lines = message.body.passage(shape, SHOWN_MOST).lines;
        lines.into_iter().map(DisplayText::into_string).collect()
    }

    /// The lines of the form that is shown first.
    fn text(message: &Message) -> Vec<String> {
        all(message, message.body.shapes()[0])
    }

    fn fields(message: &Message) -> Vec<String> {
        message.header.iter().map(|one| format!("{}: {}", one.name, one.value)).collect()
    }

    fn attached(message: &Message) -> Vec<String> {
        let described =
            |one: &Attachment| format!("{} {} {}", one.name, one.media_type, one.octets);
        message.attachments.iter().map(described).collect()
    }

    #[test]
    fn a_list_shows_the_name_else_the_address() {
        let from = |value: &str| listed(&format!("From: {value}\n\n")).from.into_string();
        assert_eq!(from("Linh Phan <linhphan@localhost>"), "Linh Phan");
        assert_eq!(from("linhphan@localhost"), "linhphan@localhost");
        assert_eq!(from("=?utf-8?q?L=C3=AFnh?= <l@x>"), "Lïnh");
        assert_eq!(from("=?utf-8?q?L=C3?= =?utf-8?q?=AFnh=2C_Phan?= <l@x>"), "Lïnh, Phan");
        assert_eq!(from("Lïnh <l@x>"), "Lïnh");
        assert_eq!(from("team: a@x, b@x;"), "a@x");
        assert_eq!(from("\x1b[2J <a@x>"), "\\x1b[2J");
        assert_eq!(from(" <"), "<");
        assert_eq!(listed("Subject: x\n\n").from.as_str(), "");
    }

    #[test]
    fn a_subject_is_unfolded_and_its_encoded_words_are_decoded() {
        let subject = |value: &str| listed(&format!("Subject: {value}\n\n")).subject.into_string();
        assert_eq!(subject("one\n two"), "one two");
        assert_eq!(subject("=?utf-8?b?5pel5pys?=\n =?utf-8?b?6Kqe?= x"), "日本語 x");
        assert_eq!(
            subject("=?utf-8?B?R3LD?=\n =?utf-8?B?vMOfZSBhdXMgS8O2bG4=?="),
            "Grüße aus Köln"
        );
        assert_eq!(subject("Grüße"), "Grüße");
        assert!(subject(&"x".repeat(300)).ends_with(" … (44 more octets)"));
        let latin = Head { text: b"Subject: Gr\xfc\xdfe\r\n\r\n".to_vec(), ..head("") };
        assert_eq!(summary(KEY, 1, &latin).subject.as_str(), "Grüße");
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
        assert_eq!(fields(&message), ["Subject: ✉", "X-Long: a b"]);
        assert_eq!(text(&message), ["naïve", "        x"]);
        assert_eq!(message.body.shapes(), [Shape::Text, Shape::Raw]);
        let raw = all(&message, Shape::Raw);
        assert_eq!(raw[..3], ["Subject: =?utf-8?q?=E2=9C=89?=", "X-Long: a", " b"]);
        assert_eq!((message.attachments.len(), message.body.unread()), (0, 0));
    }

    #[test]
    fn what_is_left_out_of_a_header_is_said() {
        let message = shown(&format!("To: {}\nnonsense\nCc: b\n\nx", "a ".repeat(900)));
        assert_eq!(message.header[0].value.as_str().len(), 1_799);
        assert_eq!(fields(&message)[1..], ["?: nonsense", "Cc: b"]);
        let message = shown(&format!("To: {}\n\nx", "a".repeat(VALUE_MOST + 99)));
        assert!(message.header[0].value.as_str().ends_with("aaa … (99 more octets)"));
        let message = shown(&format!("{}\nx", "A: b\n".repeat(FIELDS_MOST + 2)));
        assert_eq!(fields(&message).last().unwrap(), "…: 2 more fields; the raw message has them");
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
    fn alternatives_can_be_chosen_and_attachments_have_their_decoded_size() {
        let message = shown(ALTERNATIVE);
        assert_eq!(message.body.shapes(), [Shape::Text, Shape::Html, Shape::Raw]);
        assert_eq!(text(&message), ["plain", "", "Subject: inner", "", "x"]);
        assert_eq!(all(&message, Shape::Html), ["html", "", "Subject: inner", "", "x"]);
        assert_eq!(
            attached(&message),
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
        assert_eq!(message.body.shapes(), [Shape::Html, Shape::Raw]);
        assert_eq!(text(&message), ["one", "", "two"]);
        let message = shown("Content-Type: image/png\n\n\0\u{1}\u{2}");
        assert_eq!((message.body.has_text(), text(&message).len()), (false, 0));
        let html = b"Content-Type: text/html\r\n\r\n<meta charset=koi8-r><p>\xf0\xd2\xc9";
        assert_eq!(text(&message_of(html)), ["При"]);
    }

    fn message_of(octets: &[u8]) -> Message {
        message(KEY, octets.to_vec(), octets.len() as u64)
    }

    #[test]
    fn every_part_is_shown_or_attached() {
        let message = shown(
            "Content-Type: multipart/alternative; boundary=a\n\n\
             --a\nContent-Type: text/plain\n\none\n\
             --a\nContent-Type: text/calendar\n\nBEGIN:VCALENDAR\n\
             --a\nContent-Type: text/plain\n\ntwo\n\
             --a\nContent-Type: text/html\n\n<p>three\n\
             --a\nContent-Type: text/plain\n\n\n--a--\n",
        );
        assert_eq!(
            (text(&message), all(&message, Shape::Html)),
            (vec!["two".into()], vec!["three".into()])
        );
        assert_eq!(
            attached(&message),
            ["attachment-1.txt text/plain 3", "attachment-2.txt text/calendar 15"]
        );
    }

    #[test]
    fn the_html_of_a_message_is_a_page() {
        let octets = ALTERNATIVE.as_bytes();
        assert!(Parsed::of(octets).page().unwrap().ends_with("<p>html</p>\n"));
        assert_eq!(Parsed::of(b"\r\ntext").page(), None);
    }

    #[test]
    fn a_long_line_goes_on_in_the_next_and_a_flood_of_lines_is_cut() {
        let message = shown(&format!("\n{}\n", "x".repeat(40_000)));
        assert_eq!(text(&message).len(), 3);
        let message = message_of(&[&b"\n"[..], &b"\n".repeat(200_011)].concat());
        let passage = message.body.passage(Shape::Text, SHOWN_MOST);
        assert_eq!((passage.lines.len(), passage.left_out), (200_000, 10));
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted_and_left_out() {
        let text = format!(
            "Subject: x\r\n\r\n{}",
            format!("{}\r\n", "x".repeat(98)).repeat(SHOWN_MOST / 100 + 10)
        );
        let message = message(KEY, text.clone().into_bytes(), text.len() as u64 + 7);
        let passage = message.body.passage(Shape::Raw, SHOWN_MOST);
        assert_eq!(passage.left_out, (text.len() - SHOWN_MOST) as u64);
        assert_eq!((message.body.unread(), message.octets), (7, text.len() as u64 + 7));
    }

    #[test]
    fn a_message_that_is_made_to_be_searched_for_ever_is_taken_apart_once() {
        let part = "--b\r\nContent-Type: multipart/mixed; boundary=none\r\n\r\n";
        let header = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let message = message_of(format!("{header}{}", part.repeat(80_000)).as_bytes());
        assert_eq!(message.header.len(), 1);
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(60_000);
        assert_eq!(message_of(deep.as_bytes()).attachments.len(), 50);
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            &b"Content-Type: "[..],
            b"multipart/mixed; boundary=b",
            b"multipart/digest; boundary=\"\"",
            b"multipart/alternative; boundary=b",
            b"message/rfc822",
            b"text/html; charset=utf-7",
            b"text/plain; charset=utf-16",
            b"text/plain; charset=iso-2022-jp",
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
            b"<table><tr><td>",
            b"<a href=\"",
            b"=",
            b"(\\\"",
            b";*'",
            b"aGVsbG8=",
            b"\xff\xfe\x80",
            b"\x1b]52;c;",
        ]);
        prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(
            octets in prop_oneof![hostile(), prop::collection::vec(any::<u8>(), 0..2_000)],
            most in 0..2_000_usize,
        ) {
            let shown = message_of(&octets);
            let is_harmless = |line: &DisplayText| !line.as_str().chars().any(char::is_control);
            for shape in [Shape::Text, Shape::Html, Shape::Raw] {
                let passage = shown.body.passage(shape, most);
                prop_assert!(passage.lines.iter().all(is_harmless));
            }
            prop_assert!(shown.header.iter().all(|field| is_harmless(&field.name) && is_harmless(&field.value)));
            let parsed = Parsed::of(&octets);
            let _ = parsed.page();
            for (one, described) in parsed.attached().zip(&shown.attachments) {
                prop_assert_eq!(one.content().len() as u64, described.octets);
            }
            let head = Head { from_line: octets.clone(), text: octets, octets: 1 };
            let _ = (hash(&head), summary(KEY, 1, &head));
        }

        #[test]
        fn a_longer_beginning_begins_with_a_shorter_one(octets in hostile(), most in 1..400_usize) {
            let shown = message_of(&octets);
            for shape in [Shape::Text, Shape::Raw] {
                let (some, all) = (shown.body.passage(shape, most), shown.body.passage(shape, SHOWN_MOST));
                // The last line may be incomplete.
                let steady = some.lines.len().saturating_sub(1);
                prop_assert_eq!(some.lines.get(..steady), all.lines.get(..steady));
                prop_assert_eq!(some.used + some.left_out, all.used + all.left_out);
            }
        }
    }
}
