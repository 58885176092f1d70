//! When a message was stored, as the date of its From_ line says.

use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

use crate::store::from_line::FROM;

/// Words of a From_ line, from its end, among which its date may begin.
const WORDS_MOST: usize = 10;

/// The date of a From_ line (without its LF), in seconds since 1970. It is local time unless it
/// names an offset, and the later moment where the clocks went back. `None` if there is no date, or
/// one whose moment is uncertain, as with the name of a zone.
#[must_use]
pub fn date_of(line: &[u8]) -> Option<i64> {
    let text = str::from_utf8(line).ok()?;
    let text = text.strip_prefix(str::from_utf8(FROM).ok()?)?.trim_end();
    let suffixes = text.rmatch_indices([' ', '\t']).map(|(at, _)| at + 1).chain([0]);
    let suffixes = suffixes.take(WORDS_MOST).filter_map(|at| text.get(at..));
    // The longest first: the end of a date can look like another one.
    suffixes.filter_map(date).last()
}

fn date(text: &str) -> Option<i64> {
    asctime(text)
        .or_else(|| DateTime::parse_from_rfc2822(text).ok().map(|at| at.timestamp()))
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp()))
}

/// `Wed Sep 17 11:00[:00] [zone] 2025 [zone]`, and `remote from host` behind it.
fn asctime(text: &str) -> Option<i64> {
    let text = text.split(" remote from ").next()?;
    let mut words = text.split_ascii_whitespace();
    let (_weekday, month, day, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let rest: Vec<&str> = words.collect();
    let (year, zone) = match *rest.as_slice() {
        [year] => (year, None),
        [zone, year] if is_year(year) => (year, Some(zone)),
        [year, zone] => (year, Some(zone)),
        _ => return None,
    };
    if !is_year(year) {
        return None;
    }
    let date = NaiveDate::parse_from_str(&format!("{day} {month} {year}"), "%d %b %Y").ok()?;
    let time =
        ["%H:%M:%S", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(time, form).ok());
    moment(date.and_time(time?), zone)
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn moment(at: NaiveDateTime, zone: Option<&str>) -> Option<i64> {
    let Some(zone) = zone else {
        return Some(Local.from_local_datetime(&at).latest()?.timestamp());
    };
    let offset = match zone.trim_matches(['(', ')']) {
        "GMT" | "UTC" | "UT" | "Z" => FixedOffset::east_opt(0)?,
        offset => offset.parse().ok()?,
    };
    Some(offset.from_local_datetime(&at).single()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::from_line::from_line;

    const AT: i64 = 1_758_106_800;

    #[test]
    fn dates_with_an_offset_are_a_moment() {
        for date in [
            "a@b Wed Sep 17 11:00:00 +0000 2025",
            "a@b Wed Sep 17 13:00:00 2025 +0200",
            "Wed Sep 17 18:00:00 2025 (+0700)",
            "a@b Wed Sep 17 11:00 GMT 2025",
            "a@b Wed Sep 17 11:00:00 UTC 2025 remote from host",
            "a@b Wed, 17 Sep 2025 13:00:00 +0200 (CEST)",
            "a@b 17 Sep 2025 11:00:00 GMT",
            "2025-09-17T11:00:00Z",
            "a@b 2025-09-17 13:00:00+02:00",
        ] {
            assert_eq!(date_of(format!("From {date}").as_bytes()), Some(AT), "{date}");
        }
    }

    #[test]
    fn our_own_lines_are_local_time() {
        let at = Local.timestamp_opt(AT, 0).unwrap();
        assert_eq!(date_of(from_line("a@b", at).trim_end().as_bytes()), Some(AT));
        assert_eq!(date_of(from_line("", at).trim_end().as_bytes()), Some(AT));
    }

    #[test]
    fn a_line_without_a_certain_date_has_none() {
        for line in [
            "From",
            "From ",
            "From -",
            "From a@b",
            "From Mars and Venus in the summer of 2025",
            "From a@b Wed Sep 17 11:00:00 EST 2025",
            "From a@b Wed Sep 31 11:00:00 2025",
            "From a@b Wed Sep 17 11:00:00 99999",
            "From \u{e9} 2025",
        ] {
            assert_eq!(date_of(line.as_bytes()), None, "{line}");
        }
    }
}
