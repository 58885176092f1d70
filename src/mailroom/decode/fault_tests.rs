//! Messages with a fault. Each is shown like mutt 2.2.12 shows it (its decoded text when piped) or
//! better.

use proptest::prelude::*;

use super::*;
use crate::mailroom::SHOWN_MOST;
use crate::mailroom::shape::Shape;

const KEY: MessageKey = MessageKey { hash: 0, occurrence: 0 };

fn message_of(octets: &[u8]) -> Message {
    message(KEY, octets.to_vec(), octets.len() as u64)
}

fn lines(message: &Message, shape: Shape) -> Vec<String> {
    let lines = message.body.passage(shape, SHOWN_MOST).lines;
    lines.into_iter().map(DisplayText::into_string).collect()
}

/// How mutt shows the message.
enum Mutt {
    /// In the same way.
    Same,
    /// With this text instead.
    Else(&'static str),
    /// With meaningless octets in the text, or instead of it.
    Spoilt,
}

use Mutt::{Else, Same, Spoilt};

/// The name of the fault, the message after `Subject: v`, the expected text, and how mutt shows
/// it.
type Case = (&'static str, &'static str, &'static str, Mutt);

const TRANSFER: &[Case] = &[
    (
        "qp: what is no escape",
        "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n\na=C3=A4b http://x.example/?p=1&q=2\n=ZZ =4 =\n",
        "aäb http://x.example/?p=1&q=2\n=ZZ =4",
        Same,
    ),
    (
        "qp: small letters, a soft break at the end",
        "Content-Transfer-Encoding: quoted-printable\n\na=c3=a4b=\n",
        "aäb",
        Same,
    ),
    (
        "base64: a stray octet",
        "Content-Transfer-Encoding: base64\n\naGVsbG8!gd29ybGQK\n",
        "hello world",
        Same,
    ),
    (
        "base64: an octet changed",
        "Content-Transfer-Encoding: base64\n\nb25lIG9uZSBv\nbmUgYW5*IHR3\nbyB0d28gdHdv\n",
        "one one one an@ two two two",
        Spoilt,
    ),
    (
        "base64: no padding",
        "Content-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ\n",
        "hello world",
        Else("hello wor"),
    ),
    (
        "base64: a list's footer",
        "Content-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQK\n\n_____\na list footer\nlist@example.org\n",
        "hello world\n\n_____\na list footer\nlist@example.org",
        Spoilt,
    ),
    (
        "base64: a footer behind padding",
        "Content-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ=\n\na list footer\n",
        "hello world\n\na list footer",
        Else("hello world"),
    ),
    (
        "base64: an octet lost",
        "Content-Transfer-Encoding: base64\n\nb25lIG9uZSBv\nbmU=gYW5kIHR3\nbyB0d28gdHdv\n",
        "one one one and two two two",
        Else("one one one"),
    ),
    (
        "base64: padding in the middle",
        "Content-Transfer-Encoding: base64\n\nb25lCg==\ndHdvCg==\n",
        "one\ntwo",
        Else("one"),
    ),
    (
        "base64: none",
        "Content-Transfer-Encoding: base64\n\nThis is no base64 at all.\n",
        "This is no base64 at all.",
        Spoilt,
    ),
    (
        "encoding with a comment",
        "Content-Transfer-Encoding: BASE64 (comment)\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Same,
    ),
    (
        "encoding behind a comment",
        "Content-Transfer-Encoding: (comment) base64\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Else("aGVsbG8gd29ybGQK"),
    ),
    (
        "encoding in quotes",
        "Content-Transfer-Encoding: \"base64\"\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Else("aGVsbG8gd29ybGQK"),
    ),
    (
        "encoding with a semicolon",
        "Content-Transfer-Encoding: base64;\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Same,
    ),
    ("encoding unknown", "Content-Transfer-Encoding: base65\n\nplain words\n", "plain words", Same),
    (
        "encoding twice",
        "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Same,
    ),
];

const TYPES: &[Case] = &[
    ("no subtype", "Content-Type: text\n\nraw text\n", "raw text", Same),
    ("empty", "Content-Type:\n\nraw text\n", "raw text", Same),
    ("empty subtype", "Content-Type: text/; charset=utf-8\n\nraw täxt\n", "raw täxt", Same),
    ("another text", "Content-Type: text/plan\n\nraw text\n", "raw text", Same),
    (
        "two types",
        "Content-Type: image/png\nContent-Type: text/plain\n\nraw text\n",
        "raw text",
        Same,
    ),
    ("only a type that is no text", "Content-Type: image\n\nraw text\n", "raw text", Else("")),
    ("empty type", "Content-Type: /plain\n\nraw text\n", "raw text", Else("")),
    ("a backslash", "Content-Type: text\\plain\n\nraw text\n", "raw text", Else("")),
    (
        "a blank for the slash",
        "Content-Type: text plain; charset=utf-8\n\nraw text\n",
        "raw text",
        Else(""),
    ),
    ("a letter lost", "Content-Type: tex/plain\n\nraw text\n", "raw text", Else("")),
    ("no sense", "Content-Type: ;;;===\n\nraw text\n", "raw text", Else("")),
    (
        "said to be no text",
        "Content-Type: application/octet-stream\n\nraw text\n",
        "raw text",
        Else(""),
    ),
    ("unknown charset", "Content-Type: text/plain; charset=x-none\n\ngrüße\n", "grüße", Same),
    (
        "charset without its second quote",
        "Content-Type: text/plain; charset=\"utf-8\n\ngrüße\n",
        "grüße",
        Same,
    ),
    (
        "charset without a value",
        "Content-Type: text/plain; charset\n\ngrüße\n",
        "grüße",
        Else("gr????e"),
    ),
    ("no charset", "\ngrüße\n", "grüße", Same),
    (
        "US-ASCII that is none",
        "Content-Type: text/plain; charset=us-ascii\n\ngrüße\n",
        "grüße",
        Else("gr????e"),
    ),
];

const MULTIPARTS: &[Case] = &[
    (
        "no closing delimiter",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: text/plain\n\npart text\n",
        "part text",
        Same,
    ),
    (
        "no closing delimiter behind two",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb\n\ntwo\n",
        "one\n\ntwo",
        Same,
    ),
    (
        "no boundary",
        "Content-Type: multipart/mixed\n\n--bb\n\none\n--bb--\n",
        "--bb\n\none\n--bb--",
        Same,
    ),
    (
        "an empty boundary",
        "Content-Type: multipart/mixed; boundary=\"\"\n\n--bb\n\none\n--bb--\n",
        "--bb\n\none\n--bb--",
        Same,
    ),
    (
        "the boundary never comes",
        "Content-Type: multipart/mixed; boundary=bb\n\n--cc\n\none\n--cc--\n",
        "--cc\n\none\n--cc--",
        Same,
    ),
    (
        "no parts",
        "Content-Type: multipart/mixed; boundary=bb\n\nhello there\n",
        "hello there",
        Same,
    ),
    (
        "only the closing delimiter",
        "Content-Type: multipart/mixed; boundary=bb\n\nContent-Type: text/plain\n\none\n--bb--\n",
        "one",
        Else("Content-Type: text/plain\n\none\n--bb--"),
    ),
    (
        "the first delimiter lost",
        "Content-Type: multipart/mixed; boundary=bb\n\nContent-Type: text/plain\n\none\n--bb\n\ntwo\n--bb--\n",
        "one\n\ntwo",
        Else("two"),
    ),
    (
        "a delimiter lost",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\nContent-Type: text/plain\n\ntwo\n--bb--\n",
        "one\nContent-Type: text/plain\n\ntwo",
        Same,
    ),
    (
        "a delimiter lost behind base64",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Transfer-Encoding: base64\n\nb25lCg==\nContent-Type: text/plain\n\ntwo\n--bb--\n",
        "one\n\nContent-Type: text/plain\n\ntwo",
        Else("one"),
    ),
    (
        "words before and behind the parts",
        "Content-Type: multipart/mixed; boundary=bb\n\npreamble\n--bb\n\none\n--bb--\nepilogue\n",
        "one\n\nepilogue",
        Else("one"),
    ),
    (
        "the boundary inside a line",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\nsee --bb for details\nx--bb--\nthe rest\n--bb--\n",
        "see --bb for details\nx--bb--\nthe rest",
        Same,
    ),
    (
        "a line that begins with the boundary",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bbb\nmore\n--bb--\n",
        "one\n--bbb\nmore",
        Same,
    ),
    (
        "the closing delimiter damaged",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb-\n",
        "one\n--bb-",
        Else("one"),
    ),
    (
        "one dash",
        "Content-Type: multipart/mixed; boundary=bb\n\n-bb\n\none\n--bb--\n",
        "one",
        Else("-bb\n\none\n--bb--"),
    ),
    (
        "no header in a part",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n",
        "one",
        Same,
    ),
    (
        "no empty line in a part",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: text/plain\none two\nthree\n--bb--\n",
        "one two\nthree",
        Else("three"),
    ),
    (
        "neither",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\none two\nthree\n--bb--\n",
        "one two\nthree",
        Else("three"),
    ),
    (
        "no empty line behind the header",
        "Content-Type: multipart/mixed; boundary=bb\n--bb\nContent-Type: text/plain\n\none\n--bb--\n",
        "one",
        Same,
    ),
    (
        "a boundary without its second quote",
        "Content-Type: multipart/mixed; boundary=\"bb\n\n--bb\n\none\n--bb--\n",
        "one",
        Same,
    ),
    (
        "no semicolon",
        "Content-Type: multipart/mixed boundary=bb\n\n--bb\n\none\n--bb--\n",
        "one",
        Else("--bb\n\none\n--bb--"),
    ),
    ("no subtype", "Content-Type: multipart; boundary=bb\n\n--bb\n\none\n--bb--\n", "one", Same),
    (
        "a letter lost",
        "Content-Type: multpart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n",
        "--bb\n\none\n--bb--",
        Else(""),
    ),
    (
        "inner parts without an end",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/alternative; boundary=aa\n\n--aa\n\none\n--bb\n\ntwo\n--bb--\n",
        "one\n\ntwo",
        Same,
    ),
    (
        "inner parts never come",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/alternative; boundary=aa\n\n--cc\n\none\n--bb\n\ntwo\n--bb--\n",
        "--cc\n\none\n\ntwo",
        Same,
    ),
    (
        "one boundary for both",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb--\n--bb\n\ntwo\n--bb--\n",
        "one\n\ntwo",
        Else("one"),
    ),
    (
        "plain text that is empty beside HTML",
        "Content-Type: multipart/alternative; boundary=aa\n\n--aa\n\n\n--aa\nContent-Type: text/html\n\n<p>html\n--aa--\n",
        "html",
        Else(""),
    ),
    (
        "an encoded message in it",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCmlubmVyIHRleHQK\n--bb--\n",
        "Subject: inner\n\ninner text",
        Same,
    ),
    (
        "a message in it",
        "Content-Type: multipart/digest; boundary=bb\n\n--bb\n\nSubject: inner\n\ninner text\n--bb--\n",
        "Subject: inner\n\ninner text",
        Same,
    ),
    (
        "nothing but an attachment",
        "Content-Disposition: attachment; filename=x.txt\n\none\n",
        "one",
        Same,
    ),
];

const HEADERS: &[Case] = &[
    (
        "a field without its colon",
        "Date 17 Sep\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Else("Date 17 Sep\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQK"),
    ),
    (
        "a blank before the colon",
        "Content-Transfer-Encoding : base64\n\naGVsbG8gd29ybGQK\n",
        "hello world",
        Else("Content-Transfer-Encoding : base64\n\naGVsbG8gd29ybGQK"),
    ),
    ("no empty line", "hello world\nsecond\n\nthird\n", "hello world\nsecond\n\nthird", Same),
    ("blanks in the empty line", "  \nhello world\n", "hello world", Same),
    (
        "blanks in the empty line, and a colon behind it",
        "  \nNote: world\nx\n",
        "Note: world\nx",
        Else("x"),
    ),
    ("a From_ line", ">From x y z\nContent-Type: text/plain\n\nhello\n", "hello", Same),
    ("no text", "", "", Same),
    ("NUL", "\nhe\0llo\n", "he\\x00llo", Else("he")),
];

#[track_caller]
fn is_shown(cases: &[Case]) {
    for (fault, message, text, mutt) in cases {
        for lf_or_crlf in ["\n", "\r\n"] {
            let octets = format!("Subject: v\n{message}").replace('\n', lf_or_crlf);
            let message = message_of(octets.as_bytes());
            let shape = message.body.shapes()[0];
            let text = text.replace('\0', "\\x00");
            assert_eq!(lines(&message, shape).join("\n").trim_end(), text, "{fault}");
            if let Else(mutt) = mutt {
                assert_ne!(*mutt, text, "{fault}");
            }
        }
    }
}

#[test]
fn a_fault_in_the_encoding_spoils_nothing_else() {
    is_shown(TRANSFER);
}

#[test]
fn a_type_that_cannot_be_understood_is_text() {
    is_shown(TYPES);
}

#[test]
fn a_fault_between_parts_loses_none_of_them() {
    is_shown(MULTIPARTS);
}

#[test]
fn a_fault_in_the_header_does_not_make_text_of_it() {
    is_shown(HEADERS);
}

// mutt shows `gr\374\337e`, and `gr??e` where US-ASCII is declared.
#[test]
fn undeclared_8_bit_text_is_read_as_windows_1252_where_it_is_not_utf8() {
    for header in ["", "Content-Type: text/plain; charset=us-ascii\n"] {
        let octets = [header.as_bytes(), b"\ngr\xfc\xdfe\n"].concat();
        assert_eq!(lines(&message_of(&octets), Shape::Text), ["grüße"]);
    }
}

#[test]
fn a_saved_attachment_is_whole_where_the_boundary_stands_in_a_line() {
    let message = b"Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: text/plain; \
                    name=a.txt\n\nsee --bb for details\nthe rest\n--bb--\n";
    let parsed = Parsed::of(message);
    let contents: Vec<_> = parsed.attached().map(|one| one.content().into_owned()).collect();
    assert_eq!(contents, [b"see --bb for details\nthe rest"]);
}

/// The transfer encoding of a text.
#[derive(Debug, Clone, Copy)]
enum Coding {
    None,
    QuotedPrintable,
    Base64,
}

/// The position of a text in a message without a fault.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// It is the whole message.
    Alone,
    /// Between two other parts.
    Mixed,
    /// As an alternative to HTML with the same text.
    Alternative,
    /// In a nested multipart.
    Nested,
    /// In a forwarded message.
    Forwarded,
    /// As an attachment.
    Attached,
}

/// A line of a text, and its place in the message.
struct Line {
    word: String,
    /// The range of its encoded octets.
    octets: std::ops::Range<usize>,
}

/// A message, and the lines of its texts.
#[derive(Default)]
struct Good {
    octets: Vec<u8>,
    lines: Vec<Line>,
}

impl Good {
    fn say(&mut self, line: &str) {
        self.octets.extend_from_slice(line.as_bytes());
        self.octets.extend_from_slice(b"\r\n");
    }

    /// Adds a part whose words occur nowhere else.
    fn text(&mut self, name: &str, media_type: &str, charset: &str, coding: Coding, count: usize) {
        self.say(&format!("Content-Type: {media_type}; charset={charset}"));
        match coding {
            Coding::None => self.say("Content-Transfer-Encoding: 8bit"),
            Coding::QuotedPrintable => self.say("Content-Transfer-Encoding: quoted-printable"),
            Coding::Base64 => self.say("Content-Transfer-Encoding: base64"),
        }
        self.say("");
        let letters: &[u8] = match charset {
            "utf-8" => "é日".as_bytes(),
            "shift_jis" => b"\x93\xfa",
            "iso-2022-jp" => b"\x1b$BF|\x1b(B",
            _ => b"\xe9",
        };
        let line = |n: usize| {
            let word = format!("{name}word{n}z");
            let text = match media_type {
                "text/html" => format!("<p class=\"x\">{word} "),
                _ => format!("{word} and more "),
            };
            let end = if media_type == "text/html" { "</p>\r\n" } else { "\r\n" };
            (word, [text.as_bytes(), letters, end.as_bytes()].concat())
        };
        let lines: Vec<(String, Vec<u8>)> = (0..count).map(line).collect();
        match coding {
            Coding::Base64 => self.in_base64(&lines),
            Coding::None | Coding::QuotedPrintable => {
                for (word, text) in lines {
                    let start = self.octets.len();
                    self.octets.extend(text.iter().flat_map(|&octet| match coding {
                        Coding::QuotedPrintable if octet > 0x7e || octet == b'=' => {
                            format!("={octet:02X}").into_bytes()
                        }
                        _ => vec![octet],
                    }));
                    self.lines.push(Line { word, octets: start..self.octets.len() });
                }
            }
        }
    }

    fn in_base64(&mut self, lines: &[(String, Vec<u8>)]) {
        use base64::Engine;
        const OCTETS: usize = 57;
        let start = self.octets.len();
        let text: Vec<u8> = lines.iter().flat_map(|(_, text)| text.clone()).collect();
        for piece in text.chunks(OCTETS) {
            let line = base64::prelude::BASE64_STANDARD.encode(piece);
            self.say(&line);
        }
        let mut at = 0;
        let line_of = |octet: usize| start + octet / OCTETS * 78;
        for (word, text) in lines {
            let end = (line_of(at + text.len() - 1) + 78).min(self.octets.len());
            self.lines.push(Line { word: word.clone(), octets: line_of(at)..end });
            at += text.len();
        }
    }

    fn of(place: Place, charset: &str, coding: Coding, count: usize) -> Self {
        let mut good = Self::default();
        let plain = "text/plain";
        good.say("From: A <a@b.example>");
        good.say("Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=");
        good.say("MIME-Version: 1.0");
        let multipart = |good: &mut Self, kind: &str, boundary: &str| {
            good.say(&format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\""));
            good.say("");
        };
        match place {
            Place::Alone => good.text("a", plain, charset, coding, count),
            Place::Mixed => {
                multipart(&mut good, "mixed", "=_b1");
                good.say("This is a multi-part message in MIME format.");
                for name in ["a", "b", "c"] {
                    good.say("--=_b1");
                    good.text(name, plain, charset, coding, count);
                }
                good.say("--=_b1--");
            }
            Place::Alternative => {
                multipart(&mut good, "alternative", "=_b1");
                good.say("--=_b1");
                good.text("a", plain, charset, coding, count);
                good.say("--=_b1");
                good.text("b", "text/html", charset, coding, count);
                good.say("--=_b1--");
            }
            Place::Nested => {
                multipart(&mut good, "mixed", "=_b1");
                good.say("--=_b1");
                multipart(&mut good, "alternative", "=_b2");
                good.say("--=_b2");
                good.text("a", plain, charset, Coding::Base64, count);
                good.say("--=_b2");
                good.text("b", "text/html", charset, coding, count);
                good.say("--=_b2--");
                good.say("");
                good.say("--=_b1");
                good.text("c", plain, charset, coding, count);
                good.say("--=_b1--");
            }
            Place::Forwarded => {
                multipart(&mut good, "mixed", "=_b1");
                good.say("--=_b1");
                good.text("a", plain, charset, coding, count);
                good.say("--=_b1");
                good.say("Content-Type: message/rfc822");
                good.say("");
                good.say("Subject: inner");
                good.text("b", plain, charset, coding, count);
                good.say("--=_b1--");
            }
            Place::Attached => {
                multipart(&mut good, "mixed", "=_b1");
                good.say("--=_b1");
                good.text("a", plain, charset, coding, count);
                good.say("--=_b1");
                good.say("Content-Disposition: attachment; filename=\"x.txt\"");
                good.text("b", plain, charset, coding, count);
                good.say("--=_b1--");
            }
        }
        good
    }

    /// The lines whose octets the fault does not touch.
    fn untouched(&self, fault: &std::ops::Range<usize>) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(move |line| fault.end <= line.octets.start || line.octets.end <= fault.start)
    }
}

/// A fault in a message.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Changed(u8),
    Lost,
    Added(u8),
    LineLost,
    /// The message is cut off here.
    Cut,
}

impl Fault {
    /// The message with the fault at this offset, and the range that was touched.
    fn done_to(self, good: &[u8], at: usize) -> (Vec<u8>, std::ops::Range<usize>) {
        let line_start = good[..at].iter().rposition(|&octet| octet == b'\n').map_or(0, |n| n + 1);
        let end = |from: usize| {
            let end = good[from..].iter().position(|&octet| octet == b'\n');
            end.map_or(good.len(), |end| from + end + 1)
        };
        // It may join two lines.
        let line_end = if good[at] == b'\n' { end(at + 1) } else { end(at) };
        let (before, behind) = good.split_at(at);
        let octets = match self {
            Self::Changed(octet) => [before, &[octet], &behind[1..]].concat(),
            Self::Lost => [before, &behind[1..]].concat(),
            Self::Added(octet) => [before, &[octet], behind].concat(),
            Self::LineLost => [&good[..line_start], &good[line_end..]].concat(),
            Self::Cut => before.to_vec(),
        };
        let touched = match self {
            Self::Cut => line_start..good.len(),
            _ => line_start..line_end,
        };
        (octets, touched)
    }
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<u8>().prop_map(Fault::Changed),
        Just(Fault::Lost),
        any::<u8>().prop_map(Fault::Added),
        Just(Fault::LineLost),
        Just(Fault::Cut),
    ]
}

fn places() -> impl Strategy<Value = Place> {
    prop::sample::select(vec![
        Place::Alone,
        Place::Mixed,
        Place::Alternative,
        Place::Nested,
        Place::Forwarded,
        Place::Attached,
    ])
}

fn codings() -> impl Strategy<Value = Coding> {
    prop::sample::select(vec![Coding::None, Coding::QuotedPrintable, Coding::Base64])
}

/// Everything readable in a message: its text in both forms, and its attachments.
fn all_to_be_read(octets: &[u8]) -> String {
    let message = message_of(octets);
    let text = [Shape::Text, Shape::Html].map(|shape| lines(&message, shape).join("\n"));
    let parsed = Parsed::of(octets);
    let attached: Vec<_> =
        parsed.attached().map(|one| String::from_utf8_lossy(&one.content()).into_owned()).collect();
    [&text[..], &attached].concat().join("\n")
}

/// Whether a line can be found in its encoded form: if the declaration of the encoding was lost, no
/// more can be expected.
fn is_there_encoded(all: &str, good: &[u8], line: &Line) -> bool {
    let encoded = String::from_utf8_lossy(&good[line.octets.clone()]).into_owned();
    encoded.lines().all(|line| all.contains(line.trim_end_matches('=')))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn one_fault_loses_no_line_that_it_does_not_touch(
        place in places(),
        charset in prop::sample::select(vec!["utf-8", "iso-8859-1", "shift_jis", "iso-2022-jp"]),
        coding in codings(),
        count in 1..12_usize,
        fault in faults(),
        at in any::<prop::sample::Index>(),
    ) {
        let good = Good::of(place, charset, coding, count);
        let (damaged, touched) = fault.done_to(&good.octets, at.index(good.octets.len()));
        let all = all_to_be_read(&damaged);
        for line in good.untouched(&touched) {
            let is_there = all.contains(&line.word) || is_there_encoded(&all, &good.octets, line);
            prop_assert!(is_there, "{} is not in {all}\nof\n{}", line.word, String::from_utf8_lossy(&damaged));
        }
        if good.untouched(&touched).next().is_some() {
            prop_assert!(message_of(&damaged).body.has_text());
        }
    }

    #[test]
    fn a_fault_in_a_text_spoils_nothing_but_its_line(
        place in places(),
        charset in prop::sample::select(vec!["utf-8", "iso-8859-1", "shift_jis", "iso-2022-jp"]),
        coding in codings(),
        count in 2..12_usize,
        fault in prop_oneof![any::<u8>().prop_map(Fault::Changed), Just(Fault::Lost), any::<u8>().prop_map(Fault::Added)],
        nth in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        // An `=` at the end of a line would be a soft line break.
        prop_assume!(!matches!(fault, Fault::Changed(b'=') | Fault::Added(b'=')));
        let good = Good::of(place, charset, coding, count);
        let line = &good.lines[nth.index(good.lines.len())];
        // Not the end of the line, which may be that of the text.
        let at = line.octets.start + at.index(line.octets.len() - 2);
        let (damaged, touched) = fault.done_to(&good.octets, at);
        let all = all_to_be_read(&damaged);
        for line in good.untouched(&touched) {
            prop_assert!(all.contains(&line.word), "{} is not in {all}\nof\n{}", line.word, String::from_utf8_lossy(&damaged));
        }
    }
}
