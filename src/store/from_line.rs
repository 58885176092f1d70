//! From_ lines, which separate the messages of an mbox (RFC 4155): the one that we write, the dates
//! by which others are recognised, and what separates messages in files whose From_ lines have no
//! date. Does no I/O.
//!
//! See docs/files.md 4.1 and 4.2.

use std::sync::{Arc, LazyLock};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Local, NaiveDateTime};
use parking_lot::Mutex;

/// Begins a From_ line, and a line of text that must be quoted.
pub const FROM: &[u8] = b"From ";

/// Maximum octets of a From_ line, without its line end; a longer line is message text.
///
/// A reverse-path has at most 256 octets (RFC 5321 section 4.5.3.1.3) and a date has 30.
pub const FROM_LINE_MOST: usize = 1_000;

/// Stands for a null sender, and for one that a From_ line cannot hold: with blanks, or in UTF-8,
/// because Python's mailbox module decodes From_ lines as ASCII and fails on any other.
const NOBODY: &str = "MAILER-DAEMON";

/// The form of the date. Parsed once: that would take longer than all else that a From_ line needs.
static DATE: LazyLock<Vec<Item<'static>>> =
    LazyLock::new(|| StrftimeItems::new("%a %b %e %H:%M:%S %Y").collect());

/// The From_ line, with its LF, of a message sent from `reverse_path` (empty for the null
/// reverse-path).
#[must_use]
pub fn from_line(reverse_path: &str, at: DateTime<Local>) -> String {
    let sender = if fits_from_line(reverse_path) { reverse_path } else { NOBODY };
    // Without its offset, which the date does not name and which would be put into words too.
    let date = in_words(at.naive_local());
    // The brackets also tell our own lines from those of other programs (`RecordHeader`, mbox.rs).
    ["From <", sender, "> ", &date, "\n"].concat()
}

/// The date of a From_ line. The last one is kept: messages come in the same second, and putting it
/// into words takes longer than all else that a From_ line needs.
fn in_words(at: NaiveDateTime) -> Arc<str> {
    static LAST: Mutex<Option<(i64, Arc<str>)>> = Mutex::new(None);
    let second = at.and_utc().timestamp();
    let mut last = LAST.lock();
    match &*last {
        Some((of, words)) if *of == second => Arc::clone(words),
        _ => {
            let words: Arc<str> = at.format_with_items(DATE.iter()).to_string().into();
            *last = Some((second, Arc::clone(&words)));
            words
        }
    }
}

fn fits_from_line(reverse_path: &str) -> bool {
    let odd = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'<' | b'>');
    !reverse_path.is_empty() && reverse_path.len() <= 256 && !reverse_path.bytes().any(odd)
}

/// A dated From_ line, with its LF, for a message whose own From_ line, `line`, has no date.
#[must_use]
pub fn dated(line: &[u8], at: DateTime<Local>) -> String {
    let mut words = words(line);
    match (words.next(), words.next()) {
        (Some(address), None) if address != b"-" => {
            let address = address.strip_prefix(b"<").unwrap_or(address);
            let address = address.strip_suffix(b">").unwrap_or(address);
            from_line(str::from_utf8(address).unwrap_or_default(), at)
        }
        _ => from_line("", at),
    }
}

/// Whether a line (without its LF) separates two messages wherever it stands: `From ` and a date,
/// with or without an address. The date is in a form that mutt 2.2 or Dovecot 2.3 accept, or the
/// line ends in a date in the form of RFC 5322 or ISO 8601, or nearly so.
#[must_use]
pub fn is_from_line(line: &[u8]) -> bool {
    if !line.starts_with(FROM) || line.len() > FROM_LINE_MOST {
        return false;
    }
    ends_in_asctime(line)
        // Every date has a digit: a cheap test before the costly ones.
        || (line.iter().any(u8::is_ascii_digit)
            && (mutt_takes(line) || dovecot_takes(line) || ends_in_date(line)))
}

/// What separates the messages of a file besides dated From_ lines. The first line of the file
/// decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Nothing: a `From ` line without a date is message text.
    Dated,
    /// `From ` alone, as Thunderbird writes it.
    Bare,
    /// `From -`.
    Dash,
    /// `From ` and one address or other word, which may differ from line to line.
    Address,
    /// The words of this line, or as many of the same kinds.
    Words(Box<[u8]>),
}

impl Form {
    /// The form of a file whose first line is `line` (without its LF); `None` if that is not a
    /// From_ line of any kind.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        if !line.starts_with(FROM) || line.len() > FROM_LINE_MOST {
            return None;
        }
        if is_from_line(line) {
            return Some(Self::Dated);
        }
        let mut words = words(line);
        Some(match (words.next(), words.next()) {
            (None, _) => Self::Bare,
            (Some(b"-"), None) => Self::Dash,
            _ if is_address(line) => Self::Address,
            _ => Self::Words(line.into()),
        })
    }

    /// Whether an undated line (without its LF) after an empty line separates two messages.
    #[must_use]
    pub fn separates(&self, line: &[u8]) -> bool {
        if !line.starts_with(FROM) || line.len() > FROM_LINE_MOST {
            return false;
        }
        match self {
            Self::Dated => false,
            Self::Bare => words(line).next().is_none(),
            Self::Dash => words(line).eq([b"-"]),
            Self::Address => is_address(line),
            Self::Words(first) => has_same_words(first, line),
        }
    }
}

/// Whether `From ` is followed by one word, or by an address as pipermail obscures it: `user at
/// example.org`.
fn is_address(line: &[u8]) -> bool {
    let mut words = words(line);
    match [words.next(), words.next(), words.next(), words.next()] {
        [Some(_), None, ..] => true,
        [Some(_), Some(at), Some(_), None] => at == b"at",
        _ => false,
    }
}

/// Whether a line has the same words as the first of its file.
///
/// If the first has an address or a number, it presumably holds a date in an unknown form, and the
/// next line another date: then the same number of words of the same kinds will do. Otherwise all
/// messages would be taken for one, and deleted as one.
fn has_same_words(first: &[u8], line: &[u8]) -> bool {
    if words(first).all(|word| Kind::of(word) == Kind::Letters) {
        words(first).eq(words(line))
    } else {
        words(first).map(Kind::of).eq(words(line).map(Kind::of))
    }
}

/// Kinds of words in a From_ line of an unknown form.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Address,
    Number,
    Letters,
}

impl Kind {
    fn of(word: &[u8]) -> Self {
        if word.contains(&b'@') {
            Self::Address
        } else if word.iter().any(u8::is_ascii_digit) {
            Self::Number
        } else {
            Self::Letters
        }
    }
}

/// The words after `From `.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let rest = line.get(FROM.len()..).unwrap_or_default();
    rest.split(|&byte| is_blank(byte)).filter(|word| !word.is_empty())
}

/// The characters of C's `isspace`, so that a CR does not belong to a word either.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn is_one_of(word: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

fn begins_with_one_of(text: &[u8], names: &[&str]) -> bool {
    text.get(..3).is_some_and(|word| is_one_of(word, names))
}

/// A quick check for the form of nearly all From_ lines, before the rest is examined.
fn ends_in_asctime(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((_, [b' ', date @ ..])) = line.split_last_chunk::<25>() else { return false };
    // `date` is an array of 24 octets, so that no index is out of bounds.
    let (weekday, month, day) = (&date[..3], &date[4..7], date[8..10].trim_ascii_start());
    [date[3], date[7], date[10], date[19]] == *b"    "
        && is_one_of(weekday, &WEEKDAYS)
        && is_asctime(&[month, day, &date[11..19], &date[20..]])
}

/// Whether mutt accepts the line as a From_ line: at most one address, weekday, month, day, time,
/// up to two words for the zone, and a number for the year. Anything may follow.
fn mutt_takes(line: &[u8]) -> bool {
    mutt_date(line).is_some()
}

fn mutt_date(line: &[u8]) -> Option<()> {
    // mutt works on C strings, which end at a NUL.
    let line = line.split(|&byte| byte == 0).next()?;
    let mut rest = next_word(line);
    if !begins_with_weekday(rest) {
        rest = behind_address(rest)?;
        begins_with_weekday(rest).then_some(())?;
    }
    rest = next_word(rest);
    // The login name before it may itself be a weekday.
    if begins_with_weekday(rest) {
        rest = next_word(rest);
    }
    begins_with_one_of(rest, &MONTHS).then_some(())?;
    rest = next_word(rest);
    behind_number(rest)?;
    rest = next_word(rest);
    behind_number(behind_number(rest)?.strip_prefix(b":")?)?;
    rest = next_word(rest);
    if rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"+-".contains(byte)) {
        rest = next_word(rest);
        // "MET DST 1995"
        if rest.first().is_some_and(u8::is_ascii_alphabetic) {
            rest = next_word(rest);
        }
    }
    behind_number(rest).filter(|_| !rest.starts_with(b"-")).map(|_| ())
}

fn next_word(text: &[u8]) -> &[u8] {
    let behind = text.iter().position(|&byte| is_blank(byte)).unwrap_or(text.len());
    without_blanks(text.get(behind..).unwrap_or_default())
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let begin = text.iter().position(|&byte| !is_blank(byte)).unwrap_or(text.len());
    text.get(begin..).unwrap_or_default()
}

fn begins_with_weekday(text: &[u8]) -> bool {
    begins_with_one_of(text, &WEEKDAYS) && text.get(3).copied().is_some_and(is_blank)
}

/// The text after an address: one word, in which blanks may be quoted, or `user at host`.
fn behind_address(text: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut octets = text.iter().enumerate();
    let end = loop {
        let (at, &byte) = octets.next()?;
        match byte {
            b'\\' => _ = octets.next()?,
            b'"' => quoted = !quoted,
            _ if is_blank(byte) && !quoted => break at,
            _ => {}
        }
    };
    let rest = text.get(end..)?;
    match rest.split_at_checked(b" at ".len()) {
        Some((at, host)) if at.eq_ignore_ascii_case(b" at ") => {
            let end = host.iter().position(|&byte| byte == b' ')?;
            Some(without_blanks(host.get(end..)?))
        }
        _ => Some(without_blanks(rest)),
    }
}

/// The text after a number as C's `scanf` reads it, with blanks and a sign before it.
fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let text = without_blanks(text);
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 { None } else { digits.get(end..) }
}

/// Whether Dovecot accepts the line as a From_ line: one address, which may be empty, then `Wed Sep
/// 17 11:00[:00] [zone] 2025` or `Wed, 17 Sep 2025 11:00[:00]`. Anything may follow. Dovecot does
/// not check the weekday; here it must be one.
fn dovecot_takes(line: &[u8]) -> bool {
    let date = line.get(FROM.len()..).and_then(dovecot_date);
    date.is_some_and(|date| asctime_in_columns(date).or_else(|| date_in_columns(date)).is_some())
}

/// The text after the weekday and the octet that follows it.
fn dovecot_date(text: &[u8]) -> Option<&[u8]> {
    let quoted = if text.starts_with(b"\"") { quoted_length(text)? } else { 0 };
    let rest = text.get(quoted..)?;
    let rest = rest.get(rest.iter().position(|&byte| byte == b' ')?..)?;
    let date = rest.get(rest.iter().position(|&byte| byte != b' ')?..)?;
    let ends_weekday = |byte| is_blank(byte) || byte == b',';
    let is_weekday =
        begins_with_one_of(date, &WEEKDAYS) && date.get(3).copied().is_some_and(ends_weekday);
    if is_weekday { date.get(4..) } else { None }
}

/// Length of the quoted string at the beginning of `text`.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        if byte == b'"' && !escaped {
            return Some(at + 1);
        }
        escaped = byte == b'\\';
    }
    None
}

/// `Sep 17 11:00[:00] [zone] 2025`
fn asctime_in_columns(text: &[u8]) -> Option<()> {
    let rest = behind_month(text)?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = match rest {
        // A day of one digit.
        [day, b' ', ..] if day.is_ascii_digit() => rest.get(2..)?,
        _ => behind_digits(rest, 2)?.strip_prefix(b" ")?,
    };
    let rest = behind_time(rest)?.strip_prefix(b" ")?;
    // No zone before the year.
    if behind_digits(rest, 4).is_some() {
        return Some(());
    }
    // Any word may be the zone.
    let zone = rest.iter().position(|&byte| byte == b' ')?;
    behind_digits(rest.get(zone + 1..)?, 4).map(|_| ())
}

/// ` 17 Sep 2025 11:00[:00]`
fn date_in_columns(text: &[u8]) -> Option<()> {
    // The octet after the weekday's comma may be missing, so that this is a digit of the day.
    let rest = behind_digits(text.get(1..)?, 1)?;
    let rest = behind_digits(rest, 1).unwrap_or(rest).strip_prefix(b" ")?;
    let rest = behind_digits(behind_month(rest)?, 4)?;
    behind_time(rest.get(1..)?).map(|_| ())
}

fn behind_month(text: &[u8]) -> Option<&[u8]> {
    // Dovecot's author has mailboxes with question marks in place of the month.
    let is_month = begins_with_one_of(text, &MONTHS) || text.starts_with(b"???");
    if is_month { text.get(3..)?.strip_prefix(b" ") } else { None }
}

/// `hh:mm` or `hh:mm:ss`
fn behind_time(text: &[u8]) -> Option<&[u8]> {
    let rest = behind_digits(behind_digits(text, 2)?.strip_prefix(b":")?, 2)?;
    match rest.strip_prefix(b":") {
        Some(seconds) => behind_digits(seconds, 2),
        None => Some(rest),
    }
}

fn behind_digits(text: &[u8], count: usize) -> Option<&[u8]> {
    let (digits, rest) = text.split_at_checked(count)?;
    digits.iter().all(u8::is_ascii_digit).then_some(rest)
}

/// Whether a line ends in a date, whatever stands before it. UUCP adds `remote from host` after the
/// date.
fn ends_in_date(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = words(line).collect();
    let words = match words.as_slice() {
        [date @ .., b"remote", b"from", _] => date,
        all => all,
    };
    (0..words.len()).any(|at| words.get(at..).is_some_and(is_date))
}

fn is_date(words: &[&[u8]]) -> bool {
    match words {
        [weekday, rest @ ..] if is_one_of(without_comma(weekday), &WEEKDAYS) => {
            is_asctime(rest) || is_rfc_5322(rest)
        }
        _ => is_rfc_5322(words) || is_iso_8601(words),
    }
}

fn without_comma(word: &[u8]) -> &[u8] {
    word.strip_suffix(b",").unwrap_or(word)
}

/// `month day hh:mm[:ss] [zone…] year [zone…]`, with nothing after it.
fn is_asctime(words: &[&[u8]]) -> bool {
    let [month, day, time, rest @ ..] = words else { return false };
    // Looks only at the next few words: a line full of dates would otherwise take quadratic time.
    let Some(year) = rest.iter().take(4).position(|word| is_year(word)) else { return false };
    let (before, after) = rest.split_at(year);
    is_one_of(month, &MONTHS)
        && is_day(day)
        && is_time(time)
        && is_zone(before)
        && is_zone(after.get(1..).unwrap_or_default())
}

/// `day month year hh:mm[:ss] [zone…]` (RFC 5322 section 3.3), with nothing after it.
fn is_rfc_5322(words: &[&[u8]]) -> bool {
    let [day, month, year, time, zone @ ..] = words else { return false };
    is_day(day) && is_one_of(month, &MONTHS) && is_year(year) && is_time(time) && is_zone(zone)
}

/// `2025-09-17T11:00[:00[.0]][zone]`, or with a blank for the `T`, with nothing after it.
fn is_iso_8601(words: &[&[u8]]) -> bool {
    let [first, rest @ ..] = words else { return false };
    let Some(behind) = behind_iso_date(first) else { return false };
    let (time, zone) = match (behind, rest) {
        ([], [time, zone @ ..]) => (*time, zone),
        ([b'T' | b't', time @ ..], zone) => (time, zone),
        _ => return false,
    };
    let Some(behind) = behind_time(time) else { return false };
    let zone_there = without_fraction(behind);
    match zone_there {
        [] => is_zone(zone),
        there => zone.is_empty() && is_zone(&[there]),
    }
}

/// `2025-09-17`
fn behind_iso_date(word: &[u8]) -> Option<&[u8]> {
    let month = behind_digits(word, 4)?.strip_prefix(b"-")?;
    behind_digits(behind_digits(month, 2)?.strip_prefix(b"-")?, 2)
}

fn without_fraction(text: &[u8]) -> &[u8] {
    match text {
        [b'.' | b',', digits @ ..] => {
            let end = digits.iter().position(|byte| !byte.is_ascii_digit());
            digits.get(end.unwrap_or(digits.len())..).unwrap_or_default()
        }
        _ => text,
    }
}

fn is_day(word: &[u8]) -> bool {
    number(word).is_some_and(|day| (1..=31).contains(&day))
}

fn is_time(word: &[u8]) -> bool {
    let parts: Vec<&[u8]> = word.split(|&byte| byte == b':').collect();
    (2..=3).contains(&parts.len())
        && parts
            .iter()
            // 60 is a leap second.
            .zip([23, 59, 60])
            .all(|(part, most)| number(part).is_some_and(|n| n <= most))
}

/// A number of one or two digits.
fn number(word: &[u8]) -> Option<u8> {
    if word.is_empty() || word.len() > 2 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(word).ok()?.parse().ok()
}

fn is_year(word: &[u8]) -> bool {
    matches!(word.len(), 2 | 4) && word.iter().all(u8::is_ascii_digit)
}

/// A time zone: up to two words such as `+0200`, `MET DST` or `(GMT+02:00)`, then perhaps a comment
/// in parentheses. May be empty.
fn is_zone(words: &[&[u8]]) -> bool {
    let comment = words.iter().take(3).position(|word| word.starts_with(b"("));
    let (zone, comment) = words.split_at(comment.unwrap_or(words.len()));
    zone.len() <= 2
        && zone.iter().all(|word| is_zone_word(word))
        && comment.last().is_none_or(|word| word.ends_with(b")"))
}

/// A zone's name, its offset, or both: `CEST`, `+0200`, `+02:00`, `GMT+2`.
fn is_zone_word(word: &[u8]) -> bool {
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (name, offset) = word.split_at(letters);
    let is_offset = match offset {
        [] => !name.is_empty(),
        [b'+' | b'-', digits @ ..] => {
            let digits: Vec<&[u8]> = digits.split(|&byte| byte == b':').collect();
            match digits.as_slice() {
                [one] => {
                    number(one).is_some() || behind_digits(one, 4).is_some_and(<[u8]>::is_empty)
                }
                [hours, minutes] => number(hours).is_some() && number(minutes).is_some(),
                _ => false,
            }
        }
        _ => false,
    };
    name.len() <= 5 && is_offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    #[test]
    fn a_sender_in_utf8_is_nobody_because_python_reads_from_lines_as_ascii() {
        let line = from_line("josé@example.org", Local::now());
        assert!(line.starts_with("From <MAILER-DAEMON> "), "{line}");
        assert!(line.is_ascii() && is_from_line(line.trim_end().as_bytes()));
    }

    #[test]
    fn a_from_line_is_what_ctime_writes() {
        let at = Local.with_ymd_and_hms(2025, 9, 7, 11, 0, 5).unwrap();
        assert_eq!(from_line("a@b.org", at), "From <a@b.org> Sun Sep  7 11:00:05 2025\n");
        for odd in ["", "a b@c", "a\n@b", "a<b>@c", "\u{e9}@b"] {
            assert!(from_line(odd, at).starts_with("From <MAILER-DAEMON> Sun"), "{odd}");
        }
    }

    #[test]
    fn a_line_without_a_date_is_given_one_and_keeps_its_address() {
        let at = Local.with_ymd_and_hms(2025, 9, 7, 11, 0, 5).unwrap();
        for (line, address) in [
            ("From ", "MAILER-DAEMON"),
            ("From -", "MAILER-DAEMON"),
            ("From a@b.org\r", "a@b.org"),
            ("From <a@b.org>", "a@b.org"),
            ("From \u{e9}", "MAILER-DAEMON"),
            ("From some other words", "MAILER-DAEMON"),
        ] {
            let dated = dated(line.as_bytes(), at);
            assert_eq!(dated, format!("From <{address}> Sun Sep  7 11:00:05 2025\n"), "{line}");
            assert_eq!(Form::of(dated.trim_end().as_bytes()), Some(Form::Dated), "{line}");
        }
    }

    /// Text between `From ` and a date.
    const ADDRESSES: [&str; 10] = [
        "",
        " ",
        "<a@b.org> ",
        "a@b.org  ",
        "- ",
        "MAILER-DAEMON ",
        "1234567890@xxx ",
        "\"john doe\"@b.org ",
        "user at b.org  ",
        "odd words (and 2 more) ",
    ];

    #[test]
    fn a_date_in_any_of_these_forms_separates_with_or_without_an_address() {
        for date in [
            // asctime, and zones around its year
            "Wed Sep 17 11:00:00 2025",
            "Wed Sep  7 11:00:00 2025",
            "Wed Sep 7 11:00 2025",
            "wed SEP 17 1:02:03 2025",
            "Wed Sep 17 11:00:00 25",
            "Wed Sep 17 11:00 25",
            "Wed Sep 17 11:00:00 +0200 2025",
            "Wed Sep 17 11:00:00 2025 +0200",
            "Wed Sep 17 11:00:00 2025 (+0700)",
            "Wed Sep 17 11:00:00 (+0700) 2025",
            "Wed Sep 17 11:00 EST 2025",
            "Wed Sep 17 11:00:00 2025 EST",
            "Wed Sep 17 11:00:00 GMT+02:00 2025",
            "Wed Sep 17 11:00:00 2025 GMT+02:00",
            "Wed Sep 17 11:00:00 MET DST 2025",
            "Wed Sep 17 11:00:00 2025 +0200 (CEST)",
            "Wed Sep 17 11:00:00 2025 (Central European Summer Time)",
            // a comma after the weekday
            "Wed, Sep 17 11:00:00 2025",
            "Fri, Jul 01 09:13:09 1994",
            // RFC 822 and 5322
            "Wed, 17 Sep 2025 11:00:00 +0200",
            "Wed, 7 Sep 2025 11:00:00 +0200 (CEST)",
            "Wed, 17 Sep 2025 11:00",
            "Wed, 17 Sep 25 11:00:00 GMT",
            "Wed 17 Sep 2025 11:00:00",
            "17 Sep 2025 11:00:00 +0200",
            "7 Sep 25 11:00 EST",
            // ISO 8601
            "2025-09-17T11:00:00",
            "2025-09-17T11:00:00Z",
            "2025-09-17T11:00:00+02:00",
            "2025-09-17T11:00:00.123456Z",
            "2025-09-17T11:00+0200",
            "2025-09-17 11:00:00",
            "2025-09-17 11:00:00 +0200",
            "2025-09-17 11:00:00 UTC",
        ] {
            for address in ADDRESSES {
                for end in ["", "\r", " ", " remote from host"] {
                    let line = format!("From {address}{date}{end}");
                    assert!(is_from_line(line.as_bytes()), "{line}");
                    assert_eq!(Form::of(line.as_bytes()), Some(Form::Dated), "{line}");
                }
            }
        }
    }

    #[test]
    fn what_mutt_or_dovecot_takes_separates() {
        // Verified with mutt 2.2.12 and Dovecot 2.3.19.
        for (line, mutt, dovecot) in [
            ("From a@b Wed Sep 17 11:00:00 2025", true, true),
            ("From Wed Sep 17 11:00:00 2025", true, false),
            ("From  Wed Sep 17 11:00:00 2025", true, true),
            ("From a@b Wed Sep 17 11:00:00 2025 and more words", true, true),
            ("From a@b Wed Sep 17  1: 2: 3 2025", true, false),
            ("From a@b Wed Sep 32 25:61:99 2025", true, true),
            ("From a@b Wed September 17th 11:00 2025", true, false),
            ("From a@b Wed Sep 17 11:00:00 (+0700) 2025", false, true),
            ("From a@b Wed Sep 17 11:00:00 MET DST 2025", true, false),
            ("From a@b Wed Sep 17 11:00:00 2 -5", true, false),
            ("From a@b Wed Sep 17 11:00:00 AM 2025", true, true),
            ("From a@b\tWed\tSep\t17\t11:00:00\t2025", true, false),
            ("From Mon Wed Sep 17 11:00:00 2025", true, true),
            ("From Mon Mon Sep 17 11:00:00 2025", true, true),
            ("From user at b.org Wed Sep 17 11:00:00 2025", true, false),
            ("From user AT b.org Wed Sep 17 11:00:00 2025", true, false),
            ("From \"a \\\" b\"@c Wed Sep 17 11:00:00 2025", true, true),
            ("From \"a b@c Wed Sep 17 11:00:00 2025", false, false),
            ("From a\\ b@c Wed Sep 17 11:00:00 2025 x", true, false),
            ("From a@b Wed, 17 Sep 2025 11:00:00 or so", false, true),
            ("From a@b Wed 17 Sep 2025 11:00", false, true),
            ("From a@b Wed 7 Sep 2025 11:00 x", false, false),
            ("From a@b Wed ??? 17 11:00:00 2025", false, true),
            ("From a@b Wed Sep 17 11:00:00 \0 2025", false, true),
            ("From a@b Wed Sep 17 11:00:00 -2025", false, false),
            ("From a@b Wed Sep 17 11:00:00", false, false),
            ("From a@b Wed Sep 17 2025", false, false),
            ("From a b Wed Sep 17 11:00:00 2025 x", false, false),
        ] {
            let line = line.as_bytes();
            let shown = line.escape_ascii();
            assert_eq!(mutt_takes(line), mutt, "mutt: {shown}");
            assert_eq!(dovecot_takes(line), dovecot, "Dovecot: {shown}");
            assert!(is_from_line(line) || !(mutt || dovecot), "{shown}");
        }
    }

    #[test]
    fn a_line_without_a_date_separates_nothing() {
        let long = format!("From {}@b Wed Sep 17 11:00:00 2025", "x".repeat(FROM_LINE_MOST));
        for line in [
            "",
            "From",
            "From ",
            "From the beginning of a line",
            "From a@b.org",
            "From me 2025",
            "From a@b.org 17 Sep 2025",
            "From 11:00 to 12:00 in 2025",
            "From 2025-09-17 on",
            "From 2025-09-17T11:00:00Z to 2025-09-17T12:00:00Z it was down",
            "From 2025-09-17 11:00 it was down",
            "From 1 Jul 2005 09:13 it was up",
            "From a@b.org Xxx Sep 17 11:00:00 2025",
            "From a@b.org Wed Xxx 17 11:00:00 2025",
            "From a@b.org Wed Sep 17 11 2025",
            ">From a@b.org Wed Sep 17 11:00:00 2025",
            " From a@b.org Wed Sep 17 11:00:00 2025",
            "from a@b.org Wed Sep 17 11:00:00 2025",
            "From: a@b.org Wed Sep 17 11:00:00 2025",
            "From\ta@b.org Wed Sep 17 11:00:00 2025",
            &long,
        ] {
            assert!(!is_from_line(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn the_first_line_says_what_separates_beside_dates() {
        let words = |line: &str| Some(Form::Words(line.as_bytes().into()));
        for (line, form) in [
            ("From ", Some(Form::Bare)),
            ("From \t \r", Some(Form::Bare)),
            ("From -", Some(Form::Dash)),
            ("From - \r", Some(Form::Dash)),
            ("From a@b", Some(Form::Address)),
            ("From nobody", Some(Form::Address)),
            ("From user at example.org", Some(Form::Address)),
            ("From some other words", words("From some other words")),
            ("From - some words", words("From - some words")),
            ("From a@b 17.9.2025 11 Uhr", words("From a@b 17.9.2025 11 Uhr")),
            ("From", None),
            ("From: a@b", None),
            ("from a@b", None),
            (">From a@b Wed Sep 17 11:00:00 2025", None),
            ("\u{feff}From a@b Wed Sep 17 11:00:00 2025", None),
            ("Subject: x", None),
            ("\0", None),
        ] {
            assert_eq!(Form::of(line.as_bytes()), form, "{line}");
        }
    }

    #[test]
    fn lines_of_the_form_of_the_first_separate_and_others_do_not() {
        for (first, alike, other) in [
            ("From ", &["From ", "From  \r"][..], &["From -", "From a@b", "From x y", "From"][..]),
            ("From -", &["From -", "From - \t"], &["From ", "From a@b", "From - x", "From x"]),
            ("From a@b", &["From c@d", "From root"], &["From ", "From c d", "From here on it is"]),
            (
                "From me at x",
                &["From you at y", "From a@b"],
                &["From you in y", "From you at all is"],
            ),
            (
                "From some odd words",
                &["From some odd words", "From  some\todd words\r"],
                &["From ", "From some odd", "From some odd words too", "From Some odd words"],
            ),
            // A date in an unknown form differs from line to line.
            (
                "From a@b Mi 17.9.2025 11 Uhr",
                &["From c@d Do 18.9.2025 12 Uhr"],
                &["From Mi 17.9.2025 11 Uhr", "From a@b", "From c@d we have heard it all"],
            ),
            (
                "From a@b Wed Sep 17 11:00:00 2025",
                &[],
                &["From ", "From -", "From a@b", "From x y"],
            ),
        ] {
            let form = Form::of(first.as_bytes()).unwrap();
            for line in alike {
                assert!(form.separates(line.as_bytes()), "{first}: {line}");
            }
            for line in other {
                assert!(!form.separates(line.as_bytes()), "{first}: {line}");
            }
        }
    }

    /// Lines made of the pieces of From_ lines.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let parts = vec![
            "Wed",
            "Sep",
            "17",
            "11:00:00",
            "2025",
            "+0200",
            "(",
            ")",
            "\"",
            "\\",
            ",",
            ":",
            "-",
            " at ",
            " ",
            "\t",
            "\r",
            "\0",
            "a@b",
            "2025-09-17",
            "T",
            ".",
            "remote from",
            "\u{e9}",
        ];
        prop::collection::vec(prop::sample::select(parts), 0..14)
            .prop_map(|parts| [b"From ", parts.concat().as_bytes()].concat())
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic_and_each_has_a_form(line in line(), cut in 0usize..60) {
            let short = line.get(..cut).unwrap_or(&line);
            for line in [&line, short] {
                let form = Form::of(line);
                prop_assert_eq!(form.is_some(), line.starts_with(FROM));
                prop_assert_eq!(form == Some(Form::Dated), is_from_line(line));
                if let Some(form) = form.filter(|form| *form != Form::Dated) {
                    prop_assert!(form.separates(line));
                }
            }
        }

        #[test]
        fn any_octets_are_a_line(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let line = [FROM, &octets].concat();
            let _ = (is_from_line(&octets), is_from_line(&line), Form::of(&octets));
        }
    }
}
