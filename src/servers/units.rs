//! Numbers of octets, lengths of time and networks, as users write them in options, settings and forms.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

/// A number of octets: `1048576`, `64M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
        let unit = match text.get(digits.len()..).unwrap_or_default() {
            "" => Some(1),
            "k" | "K" => Some(1 << 10),
            "m" | "M" => Some(1 << 20),
            "g" | "G" => Some(1 << 30),
            _ => None,
        };
        let number: Option<u64> = digits.parse().ok();
        let octets = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        octets.map(Self).ok_or_else(|| "write a number of octets such as 1000000 or 64M".into())
    }
}

/// A length of time: `20ms`, `5s`, `2m`, `1h`; a bare number is seconds. At most a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

/// The longest [`Period`]: 24 h.
pub const PERIOD_MOST: Duration = Duration::from_hours(24);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
        let milliseconds: Option<u64> = match text.get(digits.len()..).unwrap_or_default() {
            "ms" => Some(1),
            "" | "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let number: Option<u64> = digits.parse().ok();
        let time = number.zip(milliseconds).and_then(|(number, unit)| number.checked_mul(unit));
        let time = time.map(Duration::from_millis).filter(|time| *time <= PERIOD_MOST);
        time.map(Self)
            .ok_or_else(|| "write a time of at most 24h such as 20ms, 5s, 2m or 1h".into())
    }
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| "write an address or a network such as 192.0.2.0/24".into())
    }
}

/// A number of octets as it is typed: `64M`, `1000`.
#[must_use]
pub fn in_units(octets: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let whole = units.into_iter().find(|&(bits, _)| octets.trailing_zeros() >= bits && octets > 0);
    match whole {
        Some((bits, unit)) => format!("{}{unit}", octets >> bits),
        None => octets.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let octets = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(octets("1048576"), Ok(1 << 20));
        assert_eq!(octets("64M"), Ok(64 << 20));
        assert_eq!(octets("1k"), Ok(1_024));
        for text in ["", "M", "1T", "-1", "1.5M", "99999999999G"] {
            assert!(octets(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_period_has_a_unit_or_is_in_seconds() {
        let milliseconds = |text: &str| text.parse::<Period>().map(|period| period.0.as_millis());
        for (text, expected) in
            [("20ms", 20), ("5s", 5_000), ("7", 7_000), ("2m", 120_000), ("24h", 86_400_000)]
        {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1", "1.5s", "25h", "1d", "5 s", "99999999999999999999"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_are_written_in_the_largest_unit_that_is_whole() {
        let cases =
            [(0, "0"), (1_000, "1000"), (1 << 10, "1K"), (64 << 20, "64M"), (3 << 30, "3G")];
        for (octets, text) in cases {
            assert_eq!(in_units(octets), text);
        }
    }

    #[test]
    fn a_single_address_is_a_network() {
        assert_eq!("192.0.2.1".parse::<Network>().unwrap().0.to_string(), "192.0.2.1/32");
        assert_eq!("::1".parse::<Network>().unwrap().0.to_string(), "::1/128");
    }
}
