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
