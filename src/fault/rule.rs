//! A rule of one line: where it acts, on what condition, what it does, and how often.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::fault::plan::Plan;
use crate::fault::point::Point;

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// As it was written, without a comment.
    pub text: Box<str>,
    /// The part before the colon, as it was written: `smtp.rcpt to=bob@*`.
    pub matches: Box<str>,
    /// Where it acts.
    pub point: Point,
    /// What must hold; all of it.
    pub conditions: Vec<Condition>,
    /// What it does; `None` for `pass`: the command goes its way, and no later rule is asked.
    pub plan: Option<Arc<Plan>>,
    /// How often.
    pub limits: Limits,
}

/// What must hold for a rule to match.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The reverse-path is like this.
    From(Glob),
    /// The recipient at hand is like this, or after RCPT one that was accepted.
    To(Glob),
    /// The name in HELO or EHLO is like this.
    Helo(Glob),
    /// The user is like this.
    User(Glob),
    /// The client is in this network.
    Client(IpNet),
    /// The command names this message.
    Number(u64),
    /// The place is reached for the K-th time in the session, or in the transaction for RCPT.
    Nth(RangeInclusive<u64>),
    /// So many octets of the text have come.
    After(u64),
}

/// A pattern: `*` is any run of characters, `?` one character; without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(pub Box<str>);

/// How often a rule acts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// So many hits.
    pub times: Option<u64>,
    /// From the first hit on so long.
    pub until: Option<Duration>,
    /// Only what exceeds so many times in so long.
    pub over: Option<(u64, Duration)>,
    /// With this probability, 0 to 1.
    pub chance: Option<f64>,
    /// What is counted and timed apart.
    pub per: Option<Per>,
}

/// What a rule counts and times apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Each recipient.
    To,
    /// Each sender.
    From,
    /// Each address of a client.
    Client,
    /// Each session.
    Session,
}

/// Who a session is with.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// The client's address.
    pub client: IpAddr,
    /// The id of the connection, which no other has.
    pub session: u64,
}
