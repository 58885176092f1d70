//! Makes the times of a rule fit the patience of a check.

use std::time::Duration;

/// How long delays may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delays {
    /// At most half of this patience, and `until` a quarter of it.
    Within(Duration),
    /// As long as the paragraphs allow.
    Long,
}

/// The patience by which the pace of `drip` and `slow-read` is meant.
const USUAL: Duration = Duration::from_secs(20);

/// The delay of `slow-dot` where delays may be long: a minute less than RFC 5321 section 4.5.3.2.6
/// allows.
const LONG_DOT: &str = "9m";

/// A rule of this scenario with times that fit. Words in quotes stay as they are.
#[must_use]
pub fn scaled(name: &str, rule: &str, delays: Delays) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut is_quoted = false;
    for word in rule.split(' ') {
        let before = words.last().map(String::as_str).unwrap_or_default();
        let fitting = if is_quoted { None } else { fitting(name, before, word, delays) };
        is_quoted ^= word.matches('"').count() % 2 == 1;
        words.push(fitting.unwrap_or_else(|| word.to_owned()));
    }
    words.join(" ")
}

fn fitting(name: &str, before: &str, word: &str, delays: Delays) -> Option<String> {
    let (patience, end) = match delays {
        Delays::Within(patience) => (patience, if word.ends_with(';') { ";" } else { "" }),
        Delays::Long if name == "slow-dot" && before == "delay" => {
            return Some(LONG_DOT.to_owned());
        }
        Delays::Long => return None,
    };
    let word = word.trim_end_matches(';');
    let most = |parts: u32| {
        let most = patience / parts;
        duration(word).filter(|time| *time > most).map(|_| in_milliseconds(most))
    };
    let fitting = match before {
        "delay" => most(2)?,
        "until" => most(4)?,
        "drip" if patience < USUAL => {
            let (octets, pause) = word.split_once('/')?;
            let pause = duration(pause)?.mul_f64(patience.div_duration_f64(USUAL));
            format!("{octets}/{}", in_milliseconds(pause))
        }
        "slow-read" if patience < USUAL => {
            let kilos: f64 = word.strip_suffix("K/s")?.parse().ok()?;
            let faster = kilos * USUAL.div_duration_f64(patience);
            format!("{faster:.0}K/s")
        }
        _ => return None,
    };
    Some(fitting + end)
}

fn in_milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

/// `20ms`, `5s`, `2m`, `1h`.
#[must_use]
pub fn duration(word: &str) -> Option<Duration> {
    let digits = word.trim_end_matches(|character: char| !character.is_ascii_digit());
    let milliseconds = match word.get(digits.len()..)? {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// The time behind this word of a rule: `delay`, `until`.
#[must_use]
pub fn time_of(rule: &str, word: &str) -> Option<Duration> {
    let mut words = rule.split(' ').skip_while(|one| *one != word);
    duration(words.nth(1)?.trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(rule: &str, seconds: u64) -> String {
        scaled("x", rule, Delays::Within(Duration::from_secs(seconds)))
    }

    #[test]
    fn delays_are_half_the_patience_and_until_a_quarter_unless_they_are_shorter() {
        assert_eq!(within("smtp.connect : delay 30s", 20), "smtp.connect : delay 10000ms");
        assert_eq!(within("smtp.connect : delay 5s", 20), "smtp.connect : delay 5s");
        assert_eq!(
            within("smtp.connect : delay 30s; close", 2),
            "smtp.connect : delay 1000ms; close"
        );
        let rule = "smtp.rcpt : 451 4.7.1 later per to until 60s";
        assert_eq!(within(rule, 20), "smtp.rcpt : 451 4.7.1 later per to until 5000ms");
        let quoted = "smtp.rcpt : 451 \"later until 60s\" until 60s";
        assert_eq!(within(quoted, 4), "smtp.rcpt : 451 \"later until 60s\" until 1000ms");
        assert_eq!(within("smtp.any : drip 1/20ms", 10), "smtp.any : drip 1/10ms");
        assert_eq!(within("smtp.text : slow-read 1K/s", 4), "smtp.text : slow-read 5K/s");
        assert_eq!(within("smtp.text : slow-read 1K/s", 20), "smtp.text : slow-read 1K/s");
    }

    #[test]
    fn long_ones_stay_and_the_dot_is_slower_still() {
        let rule = "smtp.dot after : delay 60s";
        assert_eq!(scaled("slow-dot", rule, Delays::Long), "smtp.dot after : delay 9m");
        assert_eq!(scaled("x", rule, Delays::Long), rule);
        assert_eq!(time_of(rule, "delay"), Some(Duration::from_mins(1)));
    }
}
