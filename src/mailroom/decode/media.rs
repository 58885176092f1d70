//! Reads what the header of a part says about its content (RFC 2045, RFC 2183). Values that make no
//! sense are ignored: a type that cannot be parsed means text.

use mail_parser::parsers::MessageStream;
use mail_parser::{Attribute, ContentType, HeaderValue};
use memchr::memchr;

use crate::mailroom::decode::charset::guessed;
use crate::mailroom::decode::header::Fields;
use crate::mailroom::decode::transfer::Encoding;
use crate::mailroom::decode::words;

/// The most octets of a field's value that are parsed.
const READ_MOST: usize = 16 * 1024;

/// The longest boundary. RFC 2046 section 5.1.1 allows 70 octets.
const BOUNDARY_MOST: usize = 1_000;

/// The top-level media types that are not text, of RFC 2046 and later ones.
const NO_TEXT: [&str; 8] =
    ["image", "audio", "video", "application", "font", "model", "haptics", "chemical"];

/// The kind of a part, as far as it matters for showing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `text/plain`, or no type at all.
    Plain,
    /// HTML.
    Html,
    /// Any other type of text.
    OtherText,
    /// Parts, if the boundary between them is known.
    Multipart(Multipart),
    /// A message.
    Message,
    /// A type that cannot be parsed: the part may be text.
    Unknown,
    /// Any other type.
    Other,
}

/// The properties of a multipart type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Multipart {
    /// The boundary between the parts.
    pub(super) boundary: Option<Vec<u8>>,
    /// Whether each part is an alternative of the whole (RFC 2046 section 5.1.4).
    pub(super) is_alternative: bool,
    /// Whether the default type of its parts is a message (RFC 2046 section 5.1.5).
    pub(super) is_digest: bool,
}

/// The declarations in a part's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// The kind of the part.
    pub(super) kind: Kind,
    /// The media type, in lower case; the value as it is if it cannot be parsed.
    pub(super) media_type: String,
    /// The charset, if one is declared.
    pub(super) charset: Option<String>,
    /// The transfer encoding.
    pub(super) encoding: Encoding,
    /// The file name, if there is one.
    pub(super) name: Option<String>,
    /// Whether the disposition is `attachment`.
    pub(super) is_attachment: bool,
}

/// The type of a part without a Content-Type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// `text/plain` (RFC 2045 section 5.2).
    Plain,
    /// A message, within a digest (RFC 2046 section 5.1.5).
    Message,
}

impl Declared {
    /// Reads these fields. If a field is repeated, the last one counts, as in other mail programs.
    #[must_use]
    pub(super) fn in_header(fields: &mut Fields<'_>, unsaid: Unsaid) -> Self {
        let (mut content_type, mut encoding, mut disposition) = (None, Encoding::None, None);
        for field in fields {
            let value = field.value.get(..READ_MOST).unwrap_or(field.value);
            if field.is("Content-Type") {
                content_type = Some(value);
            } else if field.is("Content-Transfer-Encoding") {
                encoding = Encoding::named(value);
            } else if field.is("Content-Disposition") {
                disposition = Some(value);
            }
        }
        let content_type = content_type.filter(|value| !value.trim_ascii().is_empty());
        let said = content_type.map(Said::of);
        let disposition = disposition.map(Said::of);
        Self {
            kind: said.as_ref().map_or(unsaid.kind(), |said| said.kind(encoding)),
            media_type: said
                .as_ref()
                .map_or_else(|| unsaid.media_type().to_owned(), Said::media_type),
            charset: said.as_ref().and_then(|said| said.parameter("charset")),
            encoding,
            name: disposition
                .as_ref()
                .and_then(|said| said.name("filename"))
                .or_else(|| said.as_ref().and_then(|said| said.name("name"))),
            is_attachment: disposition.is_some_and(|said| said.begins_with("attachment")),
        }
    }
}

impl Unsaid {
    const fn kind(self) -> Kind {
        match self {
            Self::Plain => Kind::Plain,
            Self::Message => Kind::Message,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Message => "message/rfc822",
        }
    }
}

/// A field value with parameters.
struct Said {
    /// The value in one line, in UTF-8.
    value: String,
    /// The parameters as parsed by the library, their names in lower case.
    parameters: Vec<(String, String)>,
}

impl Said {
    fn of(value: &[u8]) -> Self {
        let tidy = words::tidied(value);
        let parsed = match MessageStream::new(&tidy).parse_content_type() {
            HeaderValue::ContentType(ContentType { attributes: Some(parsed), .. }) => parsed,
            _ => Vec::new(),
        };
        let owned = |one: Attribute<'_>| (one.name.into_owned(), one.value.into_owned());
        let parameters = parsed.into_iter().map(owned).collect();
        let value = String::from_utf8_lossy(&guessed(value)).replace(['\r', '\n'], "");
        Self { value: value.trim().to_owned(), parameters }
    }

    fn begins_with(&self, word: &str) -> bool {
        self.value.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    }

    fn kind(&self, encoding: Encoding) -> Kind {
        let (kind, subtype) = self.types();
        match (kind.as_str(), subtype.as_str()) {
            ("text", "html") | ("application", "xhtml+xml") => Kind::Html,
            ("text", "plain" | "") => Kind::Plain,
            ("multipart", subtype) => Kind::Multipart(Multipart {
                boundary: self.boundary(),
                is_alternative: subtype == "alternative",
                is_digest: subtype == "digest",
            }),
            ("message", "rfc822" | "global" | "news") if encoding == Encoding::None => {
                Kind::Message
            }
            // RFC 2046 section 5.2.1 forbids transfer encodings of messages. One that is encoded
            // nevertheless is shown as decoded text; parsing it would allow unlimited nesting.
            ("text", _)
            | (
                "message",
                "rfc822"
                | "global"
                | "news"
                | "delivery-status"
                | "disposition-notification"
                | "feedback-report",
            ) => Kind::OtherText,
            ("message", _) => Kind::Other,
            (kind, subtype) if NO_TEXT.contains(&kind) && !subtype.is_empty() => Kind::Other,
            _ => Kind::Unknown,
        }
    }

    fn media_type(&self) -> String {
        match self.types() {
            (kind, subtype) if !subtype.is_empty() && !kind.is_empty() => {
                format!("{kind}/{subtype}")
            }
            (kind, _) if kind == "text" => "text/plain".to_owned(),
            _ => self.value.split(';').next().unwrap_or_default().trim().to_owned(),
        }
    }

    /// Type and subtype; empty if they cannot be parsed.
    fn types(&self) -> (String, String) {
        let value = without_comment(&self.value);
        let named = value.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = named.split_once('/').unwrap_or((named, ""));
        let is_token = |character: char| {
            !(character.is_whitespace() || "()<>@,;:\\\"/[]?=".contains(character))
        };
        let kind = kind.trim();
        let kind = if kind.chars().all(is_token) { kind } else { "" };
        let end = subtype.trim_start().find(|character| !is_token(character));
        let subtype = subtype.trim_start();
        let subtype = end.and_then(|end| subtype.get(..end)).unwrap_or(subtype);
        (kind.to_ascii_lowercase(), subtype.to_ascii_lowercase())
    }

    /// A parameter, even if the delimiter before it is missing.
    fn parameter(&self, name: &str) -> Option<String> {
        let parsed = self.parameters.iter().find(|(other, _)| other == name);
        let value = parsed.map(|(_, value)| value.clone()).or_else(|| self.stray_parameter(name));
        value.filter(|value| !value.is_empty())
    }

    fn stray_parameter(&self, name: &str) -> Option<String> {
        let lower = self.value.to_ascii_lowercase();
        let start = lower.find(&format!("{name}="))?;
        let is_word =
            lower.get(..start)?.ends_with(|before: char| before.is_alphanumeric() || before == '-');
        let value = self.value.get(start + name.len() + 1..).filter(|_| !is_word)?;
        let (value, end) = match value.strip_prefix('"') {
            Some(quoted) => (quoted, quoted.find('"')),
            None => {
                (value, value.find(|character: char| character == ';' || character.is_whitespace()))
            }
        };
        Some(end.map_or(value, |end| value.get(..end).unwrap_or(value)).to_owned())
    }

    fn name(&self, parameter: &str) -> Option<String> {
        self.parameter(parameter).filter(|name| !name.trim().is_empty())
    }

    fn boundary(&self) -> Option<Vec<u8>> {
        let boundary = self.parameter("boundary")?;
        // Blanks at the end of a delimiter line are ignored (RFC 2046 section 5.1.1).
        let boundary = boundary.trim_end();
        let fits = !boundary.is_empty() && boundary.len() <= BOUNDARY_MOST;
        fits.then(|| boundary.as_bytes().to_vec())
    }
}

/// The value without a comment at its beginning.
fn without_comment(value: &str) -> &str {
    let value = value.trim_start();
    match (value.starts_with('('), memchr(b')', value.as_bytes())) {
        (true, Some(end)) => value.get(end + 1..).unwrap_or_default(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(header: &str) -> Declared {
        Declared::in_header(&mut Fields::of(header.replace('\n', "\r\n").as_bytes()), Unsaid::Plain)
    }

    #[track_caller]
    fn is_kind(value: &str, kind: &Kind, media_type: &str) {
        let declared = declared(&format!("Content-Type: {value}\n\n"));
        assert_eq!((&declared.kind, declared.media_type.as_str()), (kind, media_type), "{value}");
    }

    #[test]
    fn a_type_that_cannot_be_read_is_text_or_may_be() {
        is_kind("text", &Kind::Plain, "text/plain");
        is_kind("text/", &Kind::Plain, "text/plain");
        is_kind("text/; charset=utf-8", &Kind::Plain, "text/plain");
        is_kind("", &Kind::Plain, "text/plain");
        is_kind("TEXT / Plain (words)", &Kind::Plain, "text/plain");
        is_kind("(a) text/html; x=y", &Kind::Html, "text/html");
        is_kind("text/plan", &Kind::OtherText, "text/plan");
        is_kind("image/png", &Kind::Other, "image/png");
        for (value, media_type) in [
            ("image", "image"),
            ("/plain", "/plain"),
            ("text\\plain", "text\\plain"),
            ("text plain; charset=utf-8", "text plain"),
            ("tex/plain", "tex/plain"),
            (";;;===", ""),
        ] {
            is_kind(value, &Kind::Unknown, media_type);
        }
    }

    #[test]
    fn a_parameter_is_found_whatever_stands_around_it() {
        let boundary = |value: &str| {
            let kind = declared(&format!("Content-Type: multipart/mixed{value}\n\n")).kind;
            let Kind::Multipart(multipart) = kind else { panic!("{kind:?}") };
            multipart.boundary.map(|boundary| String::from_utf8(boundary).unwrap())
        };
        for value in [
            "; boundary=bb",
            ";\n\tboundary=\"bb\"",
            "; boundary=\"bb",
            "; boundary=bb;;",
            " boundary=bb",
            "; charset=x boundary=bb",
            "; BOUNDARY = bb",
            "; boundary*0=b; boundary*1=b",
            "; boundary=\"bb  \"",
        ] {
            assert_eq!(boundary(value).as_deref(), Some("bb"), "{value}");
        }
        for none in ["", "; boundary=\"\"", "; boundry=bb", "; boundary", "; x-boundary=bb"] {
            assert_eq!(boundary(none), None, "{none}");
        }
    }

    #[test]
    fn a_name_is_read_in_all_the_forms_that_are_sent() {
        let name = |header: &str| declared(&format!("{header}\n\n")).name;
        for header in [
            "Content-Disposition: attachment; filename*=utf-8''p%C3%AFc.png",
            "Content-Disposition: inline; filename*0*=utf-8''p%C3%AFc; filename*1=.png",
            "Content-Type: image/png; name=\"=?utf-8?q?p=C3?= =?utf-8?q?=AFc?=.png\"",
            "Content-Type: image/png; name=\"pïc.png\"",
            "Content-Type: image/png; name=pïc.png\nContent-Disposition: attachment",
        ] {
            assert_eq!(name(header).as_deref(), Some("pïc.png"), "{header}");
        }
        assert_eq!(name("Content-Disposition: attachment; filename=\" \""), None);
    }

    #[test]
    fn the_last_of_two_fields_counts() {
        let declared = declared("Content-Type: image/png\nContent-Type: text/html\n\n");
        assert_eq!(declared.kind, Kind::Html);
    }
}
