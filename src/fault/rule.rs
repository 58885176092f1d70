//! A rule of one line: where it acts, on what condition, what it does, and how often.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::fault::plan::Plan;
use crate::fault::point::{Place, Point};
use crate::fault::progress::Progress;
use crate::wire::glob::Glob;

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

impl Rule {
    /// Whether its point and all its conditions are met. Where the session refuses TLS, nothing can
    /// go wrong with it.
    #[must_use]
    pub fn is_met(&self, at: Point, progress: &Progress, who: Who) -> bool {
        let is_possible =
            progress.takes_tls || self.plan.as_ref().is_none_or(|plan| plan.tls.is_none());
        is_possible && is_met(self.point, &self.conditions, at, progress, who)
    }

    /// At how many octets of a text it acts; 0 without `after=`.
    #[must_use]
    pub fn mark(&self) -> u64 {
        mark(&self.conditions)
    }
}

/// Whether a point and conditions are met. At `text`, only when exactly as many octets have come as
/// `after=` says: each rule acts at its own mark, and not at those of others.
pub(in crate::fault) fn is_met(
    point: Point,
    conditions: &[Condition],
    at: Point,
    progress: &Progress,
    who: Who,
) -> bool {
    let is_at_mark = at.place != Place::Text || progress.text_octets == mark(conditions);
    let holds = |condition: &Condition| condition.holds(point.place, progress, who);
    point.covers(at) && is_at_mark && conditions.iter().all(holds)
}

fn mark(conditions: &[Condition]) -> u64 {
    let mark = conditions.iter().find_map(|condition| match condition {
        Condition::After(octets) => Some(*octets),
        _ => None,
    });
    mark.unwrap_or(0)
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

impl Condition {
    /// Whether it holds now; `place` is the rule's own, whose times are counted.
    fn holds(&self, place: Place, progress: &Progress, who: Who) -> bool {
        let is_like = |glob: &Glob, text: &Option<String>| {
            text.as_deref().is_some_and(|text| glob.matches(text))
        };
        match self {
            Self::From(glob) => is_like(glob, &progress.from),
            Self::To(glob) if progress.to.is_some() => is_like(glob, &progress.to),
            Self::To(glob) => progress.accepted.iter().any(|to| glob.matches(to)),
            Self::Helo(glob) => is_like(glob, &progress.helo),
            Self::User(glob) => is_like(glob, &progress.user),
            Self::Client(network) => network.contains(&who.client.to_canonical()),
            Self::Number(number) => progress.number == Some(*number),
            Self::Nth(times) => times.contains(&progress.times_at(place)),
            // A rule's own mark is compared once, for all its conditions.
            Self::After(_) => true,
        }
    }
}

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
