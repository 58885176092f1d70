//! The replies of rules: which lines go out for what was written.

use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::parse::words::Word;
use crate::fault::point::Point;
use crate::watch::event::Service;

/// What a reply may begin with, by protocol.
pub(in crate::fault) const fn forms(service: Service) -> &'static str {
    match service {
        Service::Pop3 => "+OK -ERR",
        Service::Smtp | Service::Relay => "CODE (100 to 599)",
        Service::Echo => "+OK -ERR CODE",
    }
}

/// Whether this word is meant to begin a reply.
pub(in crate::fault) fn is_meant(first: &Word<'_>) -> bool {
    let is_word = first.quoted.is_none();
    let is_code = first.text.starts_with(|one: char| one.is_ascii_digit());
    is_word && (is_code || is_indicator(first.text.as_bytes()))
}

/// The lines of a reply, each without its line end.
pub(in crate::fault) fn lines(words: &[Word<'_>], rule: &str, at: Point) -> Parsed<Vec<Vec<u8>>> {
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    let said = said(words, rule);
    if is_indicator(&said) {
        if at.service == Service::Smtp {
            return problem(
                first.at,
                format!("{} is no reply of SMTP", first.text),
                forms(at.service),
            );
        }
        return Ok(divided(&said).map(<[u8]>::to_vec).collect());
    }
    if !has_code(&said) {
        let sentence = format!("{} does not begin a reply", first.text);
        return problem(first.at, sentence, "a code from 100 to 599, and a text behind a blank");
    }
    if at.service == Service::Pop3 {
        return problem(first.at, format!("{} is no reply of POP3", first.text), forms(at.service));
    }
    Ok(coded(&said))
}

/// The octets of a reply, with LF between its lines: quotations as they are meant, and the blanks
/// between words as they were written.
fn said(words: &[Word<'_>], rule: &str) -> Vec<u8> {
    let mut said = Vec::new();
    let mut end = words.first().map_or(0, |word| word.at);
    for word in words {
        said.extend_from_slice(rule.get(end..word.at).unwrap_or_default().as_bytes());
        match &word.quoted {
            Some(octets) => said.extend_from_slice(octets),
            None => said.extend_from_slice(word.text.replace("\\n", "\n").as_bytes()),
        }
        end = word.end();
    }
    said
}

fn divided(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Who writes \r\n between lines means one line end, as on the wire.
    said.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Lines of SMTP: those without a code have the first one's, and all but the last a hyphen.
fn coded(said: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = divided(said).collect();
    let last = lines.len().saturating_sub(1);
    let first_code = said.get(..3).unwrap_or_default();
    let each = lines.into_iter().enumerate().map(|(nth, line)| {
        let (code, text) = if has_code(line) { line.split_at(3) } else { (first_code, line) };
        let has_hyphen = has_code(line) && text.starts_with(b"-");
        let text = if has_code(line) { text.get(1..).unwrap_or_default() } else { text };
        let divider: &[u8] = match (has_hyphen || nth < last, text.is_empty()) {
            (true, _) => b"-",
            (false, true) => b"",
            (false, false) => b" ",
        };
        [code, divider, text].concat()
    });
    each.collect()
}

/// Whether a line begins with a code: three digits from 100 to 599, and a blank, a hyphen or nothing
/// behind them.
fn has_code(line: &[u8]) -> bool {
    let code = line.get(..3).unwrap_or_default();
    let is_code = matches!(code, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    is_code && matches!(line.get(3), None | Some(b' ' | b'\t' | b'-' | b'\n' | b'\r'))
}

/// Whether a line begins with a status indicator of POP3.
fn is_indicator(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"+OK").or_else(|| line.strip_prefix(b"-ERR"));
    rest.is_some_and(|rest| {
        matches!(rest.first(), None | Some(b' ' | b'\t' | b'\\' | b'\n' | b'\r'))
    })
}
