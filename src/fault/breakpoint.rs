//! Breakpoints: where a conversation is held until an operator lets it go.

use std::fmt;
use std::time::Duration;

use crate::fault::parse::RuleError;
use crate::fault::parse::head::head;
use crate::fault::parse::is_one_line;
use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::parse::words::Scanner;
use crate::fault::point::{Place, Point};
use crate::fault::progress::Progress;
use crate::fault::rule::{self, Condition, Who};
use crate::watch::event::Service;

/// A breakpoint: `POINT[!][ CONDITION…]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Breakpoint {
    /// As it was written.
    pub text: Box<str>,
    /// Where it holds.
    pub point: Point,
    /// What it holds.
    pub side: Side,
    /// What must hold, all of it, for it to hold.
    pub conditions: Vec<Condition>,
}

/// What a breakpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The command, before the session and the rules see it.
    Command,
    /// The reply, before it leaves.
    Reply,
}

impl Side {
    /// The name in JSON: `command` or `reply`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Reply => "reply",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Breakpoint {
    /// Reads a breakpoint, by the grammar of rules. `connect` has only a reply, with a `!` or
    /// without.
    ///
    /// # Errors
    ///
    /// If it cannot be read, with the character at fault.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        read(text).map_err(|problem| RuleError::new(text, problem))
    }

    /// Whether it holds this side here.
    #[must_use]
    pub fn matches(&self, at: Point, side: Side, progress: &Progress, who: Who) -> bool {
        self.side == side && rule::is_met(self.point, &self.conditions, at, progress, who)
    }
}

fn read(text: &str) -> Parsed<Breakpoint> {
    is_one_line(text)?;
    let mut scanner = Scanner::new(text);
    let head = head(&mut scanner)?;
    if let Some((_, at)) = head.moment {
        return problem(
            at,
            "a breakpoint has no moment",
            "a condition; a ! behind the point means the reply",
        );
    }
    if head.has_colon {
        let at = scanner.at().saturating_sub(1);
        return problem(at, "a breakpoint has no action", "a condition, or the end");
    }
    let Point { place, .. } = head.point;
    if head.is_reply && place == Place::Text {
        let at = text.find('!').unwrap_or(0);
        return problem(at, "a text has no reply of its own", "smtp.dot! for the reply to it");
    }
    let is_reply = head.is_reply || place == Place::Connect;
    Ok(Breakpoint {
        text: text.get(..head.end).unwrap_or(text).into(),
        point: head.point,
        side: if is_reply { Side::Reply } else { Side::Command },
        conditions: head.conditions,
    })
}

/// How long a client waits here before it gives up (RFC 5321 section 4.5.3.2); `None` where the RFC
/// names no time, and for POP3.
#[must_use]
pub const fn patience(at: Point) -> Option<Duration> {
    if !matches!(at.service, Service::Smtp) {
        return None;
    }
    match at.place {
        Place::Connect | Place::Mail | Place::Rcpt => Some(Duration::from_mins(5)),
        Place::Data => Some(Duration::from_mins(2)),
        Place::Text => Some(Duration::from_mins(3)),
        Place::Dot => Some(Duration::from_mins(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(place: Place) -> Point {
        Point { service: Service::Smtp, place }
    }

    #[track_caller]
    fn read(text: &str) -> Breakpoint {
        Breakpoint::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_breakpoint_holds_a_command_or_its_reply() {
        let who = Who { client: [127, 0, 0, 1].into(), session: 1 };
        let mut progress = Progress::default();
        progress.command(point(Place::Rcpt), b"RCPT TO:<bob@x>");
        let matches = |text, place, side| read(text).matches(point(place), side, &progress, who);
        assert!(matches("smtp.rcpt", Place::Rcpt, Side::Command));
        assert!(!matches("smtp.rcpt", Place::Rcpt, Side::Reply));
        assert!(matches("smtp.rcpt!", Place::Rcpt, Side::Reply));
        assert!(!matches("smtp.rcpt", Place::Mail, Side::Command));
        assert!(matches("smtp.any", Place::Rcpt, Side::Command));
        assert!(matches("smtp.connect", Place::Connect, Side::Reply));
        assert!(matches("smtp.connect!", Place::Connect, Side::Reply));
        assert!(matches("smtp.rcpt to=bob@* nth=1 client=127.0.0.0/8", Place::Rcpt, Side::Command));
        assert!(!matches("smtp.rcpt to=eve@*", Place::Rcpt, Side::Command));
        assert_eq!(&*read(" smtp.rcpt! to=bob@* # bob ").text, "smtp.rcpt! to=bob@*");
    }

    #[test]
    fn a_breakpoint_that_cannot_be_read_is_shown_with_a_caret() {
        let wrong = |text: &str| Breakpoint::parse(text).unwrap_err();
        assert_eq!(
            wrong("smtp.rcp!").to_string(),
            "there is no point smtp.rcp\n  smtp.rcp!\n  \
             ^ connect helo ehlo mail rcpt data text dot rset noop quit vrfy auth starttls other any"
        );
        for (text, sentence, place) in [
            ("", "a point is missing", 0),
            ("smtp.dot after", "a breakpoint has no moment", 9),
            ("smtp.rcpt : cut", "a breakpoint has no action", 10),
            ("smtp.text!", "a text has no reply of its own", 9),
            ("smtp.rcpt foo=1", "there is no condition foo", 10),
        ] {
            let error = wrong(text);
            assert_eq!((error.sentence(), error.place()), (sentence, place), "{text}");
        }
    }

    #[test]
    fn the_client_waits_as_long_as_the_rfc_says() {
        let minutes = |place| patience(point(place)).map(|time| time.as_secs() / 60);
        assert_eq!(minutes(Place::Connect), Some(5));
        assert_eq!(minutes(Place::Data), Some(2));
        assert_eq!(minutes(Place::Text), Some(3));
        assert_eq!(minutes(Place::Dot), Some(10));
        assert_eq!(minutes(Place::Ehlo), None);
        assert_eq!(patience(Point { service: Service::Pop3, place: Place::Connect }), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in r"(smtp\.|pop3\.)?(rcpt|text|dot)?!?[ -~é]{0,20}") {
            if let Err(error) = Breakpoint::parse(&text) {
                prop_assert!(error.place() <= text.trim().chars().count());
            }
        }
    }
}
