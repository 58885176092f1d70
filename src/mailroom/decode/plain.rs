//! A message decoded for programs: text as it is. Nothing is escaped here, so none of it must reach
//! a terminal as it stands.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::SystemTime;

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};

use crate::mailroom::decode::header::Fields;
use crate::mailroom::decode::html::{self, Lead};
use crate::mailroom::decode::passage::{Form, Section, html_of, whole_text};
use crate::mailroom::decode::transfer;
use crate::mailroom::decode::{Attached, Parsed, moment, views, words};

/// The most links of a message.
const LINKS_MOST: usize = 10_000;

/// The longest link, in octets.
const LINK_MOST: usize = 8 * 1024;

/// Characters that end a sentence or a parenthesis more often than an address.
const TRAILING: &str = ".,;:!?'\"*_`»”’…。，";

/// An attachment as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The file name, or a generated one.
    pub name: String,
    /// The media type.
    pub media_type: String,
    /// The decoded length in octets.
    pub octets: u64,
}

/// All fields of the header that some octets begin with, as name and value, unfolded and decoded. A
/// line that is no field has no name.
#[must_use]
pub fn headers(octets: &[u8]) -> Vec<(String, String)> {
    let field = |name: &[u8], value: &[u8]| {
        let value = words::decoded(value.trim_ascii());
        (lossy(name), lossy(&value))
    };
    Fields::of(octets).map(|one| field(one.name, one.value)).collect()
}

/// The addresses in the fields of this name, as `user@domain`, decoded; groups are taken apart. What
/// is no address stands as it is.
#[must_use]
pub fn addresses(octets: &[u8], name: &str) -> Vec<String> {
    let fields = Fields::of(octets).filter(|field| field.is(name));
    fields.flat_map(|field| addresses_in(field.value)).collect()
}

fn addresses_in(value: &[u8]) -> Vec<String> {
    let tidy = words::tidied(value);
    let all: Vec<Addr<'_>> = match MessageStream::new(&tidy).parse_address() {
        HeaderValue::Address(Address::List(list)) => list,
        HeaderValue::Address(Address::Group(groups)) => {
            groups.into_iter().flat_map(|group| group.addresses).collect()
        }
        _ => Vec::new(),
    };
    all.into_iter().filter_map(address).filter(|address| !address.is_empty()).collect()
}

/// An address as the library has parsed it. A local-part in quotes has become its name.
fn address(Addr { name, address }: Addr<'_>) -> Option<String> {
    let text = |text: Cow<'_, str>| text.trim().to_owned();
    match (name, address.map(text)) {
        (Some(quoted), Some(domain)) if domain.starts_with('@') => {
            Some(format!("\"{quoted}\"{domain}"))
        }
        (_, Some(address)) => Some(address),
        (name, None) => name.map(text),
    }
}

/// The moment that the `Date:` field names, if it is one.
#[must_use]
pub fn date(octets: &[u8]) -> Option<SystemTime> {
    let field = Fields::of(octets).find(|field| field.is("Date"))?;
    moment(field.value)
}

impl Parsed<'_> {
    /// The text, with LF line ends: plain text where there is a choice, else HTML as text.
    #[must_use]
    pub fn text(&self) -> String {
        whole_text(self.octets, &self.views.text)
    }

    /// The HTML, with LF line ends; `None` if there is none.
    #[must_use]
    pub fn html(&self) -> Option<String> {
        let html: Vec<String> = self
            .html_sections()
            .map(|section| html_of(self.octets, section, usize::MAX).replace("\r\n", "\n"))
            .collect();
        (!html.is_empty()).then(|| html.join("\n"))
    }

    /// The HTML as text; `None` if there is none, or if [`text`](Self::text) is that already.
    #[must_use]
    pub fn html_as_text(&self) -> Option<String> {
        let is_other = self.views.text != self.views.html && self.html_sections().next().is_some();
        is_other.then(|| whole_text(self.octets, &self.views.html))
    }

    fn html_sections(&self) -> impl Iterator<Item = &Section> {
        self.views.html.iter().filter(|section| section.form == Form::Html)
    }

    /// The http and https links of the text and then of the HTML, in their order, each once.
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        let mut links = LinkList::default();
        let plain = self.views.text.iter().filter(|section| section.form != Form::Html);
        let plain: Vec<Section> = plain.cloned().collect();
        links.add_text(&whole_text(self.octets, &plain));
        for section in self.html_sections() {
            html::leads(&html_of(self.octets, section, usize::MAX), |lead| match lead {
                Lead::Address(address) => links.add(&address),
                Lead::Text(text) => links.add_text(&text),
            });
        }
        links.all
    }

    /// The decoded octets of a part that has no parts, counted from 1; `None` if there are fewer.
    #[must_use]
    pub fn leaf(&self, number: usize) -> Option<Vec<u8>> {
        let leaves = views::leaves(&self.message);
        let part = leaves.get(number.checked_sub(1)?)?;
        let encoded = self.octets.get(part.body.clone())?;
        Some(transfer::decoded(part.declared.encoding, encoded, usize::MAX).octets.into_owned())
    }
}

impl Attached<'_> {
    /// What the message says of it.
    #[must_use]
    pub fn declaration(&self) -> Declaration {
        let declared = &self.part.declared;
        Declaration {
            name: self.name(),
            media_type: declared.media_type.clone(),
            octets: transfer::decoded_length(declared.encoding, self.encoded()),
        }
    }
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[derive(Default)]
struct LinkList {
    all: Vec<String>,
    known: HashSet<String>,
}

impl LinkList {
    fn add(&mut self, link: &str) {
        let link = link.trim().replace("&amp;", "&");
        let is_link = authority(&link).is_some_and(|behind| !behind.is_empty());
        if is_link
            && link.len() <= LINK_MOST
            && self.all.len() < LINKS_MOST
            && self.known.insert(link.clone())
        {
            self.all.push(link);
        }
    }

    /// Adds the links that stand in a text as such.
    fn add_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(colon) = rest.find("://") {
            let (before, behind) = rest.split_at(colon);
            let end = behind.find(ends_link).unwrap_or(behind.len());
            if let Some(scheme) = scheme_at_end(before) {
                let link = rest.get(colon - scheme..colon + end).unwrap_or_default();
                self.add(without_trail(link));
            }
            rest = behind.get(end.max("://".len())..).unwrap_or_default();
        }
    }
}

/// What follows `http://` or `https://`.
fn authority(link: &str) -> Option<&str> {
    let (scheme, behind) = link.split_once("://")?;
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    is_web.then_some(behind)
}

/// The length of `http` or `https` at the end of a text, if it is a word of its own.
fn scheme_at_end(text: &str) -> Option<usize> {
    ["https", "http"].into_iter().map(str::len).find(|&length| {
        let Some(start) = text.len().checked_sub(length) else { return false };
        let Some((before, scheme)) = text.split_at_checked(start) else { return false };
        let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        is_web && !before.ends_with(|one: char| one.is_alphanumeric())
    })
}

fn ends_link(character: char) -> bool {
    character.is_whitespace() || character.is_control() || "<>\"".contains(character)
}

/// The link without the end of the sentence around it: a closing bracket belongs to it only if its
/// opening one does.
fn without_trail(mut link: &str) -> &str {
    while let Some(last) = link.chars().next_back() {
        let opening = match last {
            ')' => Some('('),
            ']' => Some('['),
            '}' => Some('{'),
            _ => None,
        };
        let count = |wanted: char| link.chars().filter(|one| *one == wanted).count();
        let is_trail = match opening {
            Some(opening) => count(last) > count(opening),
            None => TRAILING.contains(last),
        };
        if !is_trail {
            break;
        }
        link = link.get(..link.len() - last.len_utf8()).unwrap_or_default();
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        let mut links = LinkList::default();
        links.add_text(text);
        links.all
    }

    fn message(text: &str) -> Vec<u8> {
        text.replace('\n', "\r\n").into_bytes()
    }

    #[test]
    fn links_end_where_the_sentence_does() {
        assert_eq!(links("See https://x/a."), ["https://x/a"]);
        assert_eq!(
            links("(http://x/a_(b)), <HTTPS://y?q=1&amp;r=2>"),
            ["http://x/a_(b)", "HTTPS://y?q=1&r=2"]
        );
        assert_eq!(
            links("\"https://x/1\" xhttp://no http:// ftp://z https://x/1"),
            ["https://x/1"]
        );
        assert_eq!(links("[a](https://x/[1])!"), ["https://x/[1]"]);
        assert_eq!(links("https://ü/é?é=ß…"), ["https://ü/é?é=ß"]);
        assert!(links("://").is_empty() && links("http").is_empty());
    }

    #[test]
    fn the_links_of_html_come_in_its_order_and_once() {
        let octets = message(
            "Content-Type: text/html\n\n<style>a { b: url(https://style) }</style>\
             <!-- https://comment -->see https://one, <a class=x HREF=\"https://two?a=1&amp;b=2\">\
             two</a> <a href='https://one'>1</a><a href=mailto:a@b>m</a><img src=https://pixel>\
             <area href=https://three>",
        );
        let links = Parsed::of(&octets).links();
        assert_eq!(links, ["https://one", "https://two?a=1&b=2", "https://three"]);
    }

    #[test]
    fn text_and_html_are_told_apart() {
        let octets = message(
            "Content-Type: multipart/alternative; boundary=b\n\n\
             --b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: \
             quoted-printable\n\nGr=FC=DFe http://t/1\n\
             --b\nContent-Type: text/html\n\n<p>H\n<a href=\"http://h/2\">x</a>\n--b--\n",
        );
        let parsed = Parsed::of(&octets);
        assert_eq!(parsed.text(), "Grüße http://t/1");
        assert_eq!(parsed.html().unwrap(), "<p>H\n<a href=\"http://h/2\">x</a>");
        assert_eq!(parsed.html_as_text().unwrap(), "H x [1]\n\n[1] http://h/2\n");
        assert_eq!(parsed.links(), ["http://t/1", "http://h/2"]);
        assert_eq!(parsed.leaf(1).unwrap(), b"Gr\xfc\xdfe http://t/1");
        assert_eq!(parsed.leaf(3), None);
        assert_eq!(parsed.leaf(0), None);
    }

    #[test]
    fn html_alone_is_text_as_well() {
        let octets = message("Content-Type: text/html\n\n<p>one<p>two");
        let parsed = Parsed::of(&octets);
        assert_eq!(parsed.text(), "one\n\ntwo\n");
        assert_eq!(parsed.html_as_text(), None);
        let octets = message("Subject: x\n\none\n\ttwo\n");
        let parsed = Parsed::of(&octets);
        assert_eq!((parsed.text(), parsed.html()), ("one\n\ttwo\n".to_owned(), None));
        assert_eq!(parsed.leaf(1).unwrap(), b"one\r\n\ttwo\r\n");
    }

    #[test]
    fn addresses_are_those_of_all_fields_without_names() {
        let octets = message(
            "To: =?utf-8?q?L=C3=AFnh=2C?= <l@x>, b@y (B),\n \"a b\"@z\nCc: team: c@x, d@x;\n\
             to: bob\nX: e@x\n\n",
        );
        assert_eq!(addresses(&octets, "To"), ["l@x", "b@y", "\"a b\"@z", "bob"]);
        assert_eq!(addresses(&octets, "Cc"), ["c@x", "d@x"]);
        assert!(addresses(&octets, "From").is_empty());
        assert!(addresses(b"To: undisclosed-recipients:;\r\n\r\n", "To").is_empty());
    }

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let octets =
            message("Subject: =?utf-8?b?5pel?=\n =?utf-8?b?5pys?=\nX-Y:a\n\tb\nbad\nTo: x\n\n");
        let expected = [("Subject", "日本"), ("X-Y", "a b"), ("", "bad"), ("To", "x")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers(&octets), expected);
    }
}
