//! What commands say, as far as rules ask for it: read generously, because a rule may also be for a
//! command that the session refuses.

use std::ops::Range;

/// The verb and what is behind it, without the blanks around it.
pub(in crate::fault) fn argument(line: &[u8]) -> &[u8] {
    let verb = line.iter().position(|octet| is_blank(*octet)).unwrap_or(line.len());
    line.get(verb..).unwrap_or_default().trim_ascii()
}

/// The first word behind the verb.
pub(in crate::fault) fn first_word(line: &[u8]) -> Option<String> {
    let mut words = argument(line).split(|octet| is_blank(*octet));
    words.next().filter(|word| !word.is_empty()).map(text_of)
}

/// Octets of a line as text.
pub(in crate::fault) fn text_of(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Where in `MAIL FROM:<path>` or `RCPT TO:<path>` the address is, without brackets and source
/// route. Blanks before the path, and a path without brackets, are tolerated; parameters behind it
/// are none of it.
pub(in crate::fault) fn path(line: &[u8]) -> Option<Range<usize>> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let rest = line.get(colon + 1..)?;
    let begins = colon + 1 + (rest.len() - rest.trim_ascii_start().len());
    let rest = line.get(begins..)?;
    let (begins, path) = match rest.strip_prefix(b"<") {
        Some(path) => (begins + 1, path.get(..length(path, b'>')).unwrap_or(path)),
        None => (begins, rest.get(..length(rest, b' ')).unwrap_or(rest)),
    };
    let route = path.first().filter(|octet| **octet == b'@');
    let behind = route.and_then(|_| Some(path.iter().position(|octet| *octet == b':')? + 1));
    Some(begins + behind.unwrap_or(0)..begins + path.len())
}

/// How many octets stand before this one; within quotes it is a part of the local-part (RFC 5321
/// section 4.1.2).
fn length(path: &[u8], end: u8) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_end = |octet: &u8| {
        let was_escaped = is_escaped;
        is_escaped = false;
        match *octet {
            _ if was_escaped => false,
            b'\\' => {
                is_escaped = true;
                false
            }
            b'"' => {
                is_quoted = !is_quoted;
                false
            }
            octet => octet == end && !is_quoted,
        }
    };
    path.iter().position(is_end).unwrap_or(path.len())
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(line: &str, expected: &str) {
        assert_eq!(&line[path(line.as_bytes()).unwrap()], expected, "{line}");
    }

    #[test]
    fn an_address_is_found_however_it_is_written() {
        says("MAIL FROM:<bob@localhost>", "bob@localhost");
        says("mail from: <bob@localhost> SIZE=1000 BODY=8BITMIME", "bob@localhost");
        says("MAIL FROM:bob@localhost SIZE=1000", "bob@localhost");
        says("MAIL FROM:<>", "");
        says("RCPT TO:<@a.example,@b.example:bob@localhost>", "bob@localhost");
        says(r#"RCPT TO:<"a > b"@localhost> NOTIFY=NEVER"#, r#""a > b"@localhost"#);
        says(r#"RCPT TO:<"a\">"@localhost>"#, r#""a\">"@localhost"#);
        says("RCPT TO:<bob@[IPv6:::1]>", "bob@[IPv6:::1]");
        says("RCPT TO:<bob@localhost", "bob@localhost");
        says("RCPT TO:", "");
        assert_eq!(path(b"MAIL"), None);
    }

    #[test]
    fn the_argument_is_what_is_behind_the_verb() {
        assert_eq!(argument(b"EHLO  a.example "), b"a.example");
        assert_eq!(argument(b"QUIT"), b"");
        assert_eq!(first_word(b"TOP 2 10").as_deref(), Some("2"));
        assert_eq!(first_word(b"LIST"), None);
    }
}
