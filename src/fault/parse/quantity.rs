//! Whole numbers, sizes and durations of rules.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fault::parse::problem::{Parsed, problem};
use crate::wire::figures::grouped;

/// The longest duration.
const LONGEST: Duration = Duration::from_hours(24);

/// A part of a word, and the octet of the rule at which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fault) struct Part<'a> {
    pub(in crate::fault) text: &'a str,
    pub(in crate::fault) at: usize,
}

impl<'a> Part<'a> {
    /// Its halves around the first of these characters.
    pub(in crate::fault) fn halves(self, between: char) -> Option<(Self, Self)> {
        let (one, other) = self.text.split_once(between)?;
        let at = self.at + one.len() + between.len_utf8();
        Some((Part { text: one, at: self.at }, Part { text: other, at }))
    }

    /// What is behind its first octets.
    pub(in crate::fault) fn behind(self, octets: usize) -> Part<'a> {
        Part { text: self.text.get(octets..).unwrap_or_default(), at: self.at + octets }
    }
}

/// A whole number in this range.
pub(in crate::fault) fn whole(part: Part<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    let number = digits(part.text).filter(|number| range.contains(number));
    let Some(number) = number else {
        let form = format!("a whole number {}", range_of(&range));
        return problem(part.at, not_a(part, &form), form);
    };
    Ok(number)
}

/// A size in octets, in this range: `500`, `2M`.
pub(in crate::fault) fn size(part: Part<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    let units = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let unit =
        units.into_iter().find_map(|(name, unit)| Some((part.text.strip_suffix(name)?, unit)));
    let (number, unit) = unit.unwrap_or((part.text, 1));
    let octets = digits(number).and_then(|number| number.checked_mul(unit));
    let Some(octets) = octets.filter(|octets| range.contains(octets)) else {
        let form = format!("a number of octets {}, also with K, M or G", range_of(&range));
        return problem(part.at, not_a(part, &form), form);
    };
    Ok(octets)
}

/// As [`size`], from 1 on.
pub(in crate::fault) fn some_octets(part: Part<'_>) -> Parsed<NonZeroU64> {
    let octets = size(part, 1..=u64::MAX)?;
    Ok(NonZeroU64::new(octets).unwrap_or(NonZeroU64::MIN))
}

/// A duration: `20ms`, `5s`, `2m`, `1h`.
pub(in crate::fault) fn duration(part: Part<'_>) -> Parsed<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let found = units.into_iter().find_map(|(name, unit)| {
        let number = digits(part.text.strip_suffix(name)?)?;
        number.checked_mul(unit).map(Duration::from_millis)
    });
    let Some(found) = found.filter(|found| *found <= LONGEST) else {
        let form = "a whole number with ms, s, m or h, at most 24h";
        return problem(part.at, not_a(part, "a duration"), form);
    };
    Ok(found)
}

/// As [`duration`], but not 0.
pub(in crate::fault) fn some_time(part: Part<'_>) -> Parsed<Duration> {
    let found = duration(part)?;
    if found.is_zero() {
        let form = "a whole number from 1 with ms, s, m or h, at most 24h";
        return problem(part.at, not_a(part, "a duration in which anything happens"), form);
    }
    Ok(found)
}

/// A percentage as a probability: `12.5%`.
pub(in crate::fault) fn percentage(part: Part<'_>) -> Parsed<f64> {
    let is_number = |text: &&str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        digits(whole).is_some() && digits(fraction).is_some()
    };
    let number = part.text.strip_suffix('%').filter(is_number);
    let number = number.and_then(|number| number.parse::<f64>().ok());
    let Some(number) = number.filter(|number| *number <= 100.0) else {
        return problem(part.at, not_a(part, "a percentage"), "a number from 0% to 100%");
    };
    Ok(number / 100.0)
}

/// A number of digits only.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn range_of(range: &RangeInclusive<u64>) -> String {
    let (first, last) = (grouped(*range.start()), grouped(*range.end()));
    if *range.end() == u64::MAX {
        format!("from {first}")
    } else {
        format!("from {first} to {last}")
    }
}

fn not_a(part: Part<'_>, form: &str) -> String {
    match part.text {
        "" => format!("{form} is missing"),
        text => format!("{text} is not {form}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part<'_> {
        Part { text, at: 7 }
    }

    #[test]
    fn sizes_are_octets_or_powers_of_1024() {
        let found = |text| size(part(text), 1..=u64::MAX).ok();
        assert_eq!(found("500"), Some(500));
        assert_eq!(found("1K"), Some(1_024));
        assert_eq!(found("2M"), Some(2 << 20));
        assert_eq!(found("4G"), Some(4 << 30));
        for wrong in ["", "K", "0", "1k", "1T", "-1", "+1", "1.5K", "18446744073709551615K", "1 K"]
        {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_whole_and_at_most_a_day() {
        let found = |text| duration(part(text)).ok();
        assert_eq!(found("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(found("5s"), Some(Duration::from_secs(5)));
        assert_eq!(found("2m"), Some(Duration::from_mins(2)));
        assert_eq!(found("24h"), Some(Duration::from_hours(24)));
        for wrong in
            ["", "5", "s", "1.5s", "25h", "1441m", "1d", "-5s", "+5s", "99999999999999999h"]
        {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_error_names_what_was_written_where_it_stands() {
        let found = whole(part("1001"), 1..=1_000).unwrap_err();
        assert_eq!(found.at, 7);
        assert_eq!(found.sentence, "1001 is not a whole number from 1 to 1,000");
        assert_eq!(found.expected, "a whole number from 1 to 1,000");
        assert_eq!(duration(part("")).unwrap_err().sentence, "a duration is missing");
    }

    #[test]
    fn percentages_are_probabilities() {
        let found = |text| percentage(part(text)).ok();
        assert_eq!(found("50%"), Some(0.5));
        assert_eq!(found("0%"), Some(0.0));
        assert_eq!(found("12.5%"), Some(0.125));
        for wrong in ["", "%", "50", "101%", "-1%", "1e1%", "inf%", ".5%", "5.%"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
