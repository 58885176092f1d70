//! Since when events are wanted, as users and programs say it.

use std::time::SystemTime;

use chrono::DateTime;

use crate::control::event_log::Since;
use crate::store::since::Mark;

/// Understands `now`, a mark, or a time (RFC 3339).
///
/// # Errors
///
/// A sentence that says what can be written.
pub fn since_of(text: &str) -> Result<Since, String> {
    if text == "now" {
        return Ok(Since::Now);
    }
    let time = mark_time(text).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(Into::into));
    time.map(Since::Time).ok_or_else(|| {
        "write now, a mark as mailconsole mark prints it, or a time such as 2026-11-28T17:49:01Z"
            .to_owned()
    })
}

/// The time at which a mark was taken; `None` if this is no mark.
fn mark_time(text: &str) -> Option<SystemTime> {
    text.parse::<Mark>().ok().map(|mark| mark.time())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn now_and_a_time_are_understood() {
        let time = |text: &str| match since_of(text) {
            Ok(Since::Time(time)) => time.duration_since(SystemTime::UNIX_EPOCH).unwrap(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(since_of("now"), Ok(Since::Now));
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Duration::from_millis(1_500));
        assert_eq!(time("1970-01-01T01:00:01+01:00"), Duration::from_secs(1));
        assert!(since_of("yesterday").unwrap_err().contains("mark"));
    }
}
