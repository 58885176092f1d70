//! What a row of the catalogue is.

use serde::{Serialize, Serializer};

use crate::watch::event::Service;

/// A fault with a name, and what a good client makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// The name: `greylist`.
    pub name: &'static str,
    /// The protocol whose points its rules have.
    #[serde(serialize_with = "by_name")]
    pub protocol: Service,
    /// Its rules, in their order.
    pub rules: &'static [&'static str],
    /// What a good client does.
    pub good: &'static str,
    /// RFCs and their sections: `5321 3.8, 4.2.2`; `-` where none says anything.
    pub paragraph: &'static str,
    /// Whether a client can be judged by it.
    pub verdict: Verdict,
}

/// Whether a client can be judged by a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It can.
    Judged,
    /// Clients differ, and no rule says who is right.
    Info,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn by_name<S: Serializer>(protocol: &Service, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(protocol.name())
}

pub(super) const fn judged(
    protocol: Service,
    name: &'static str,
    rules: &'static [&'static str],
    good: &'static str,
    paragraph: &'static str,
) -> Scenario {
    Scenario { name, protocol, rules, good, paragraph, verdict: Verdict::Judged }
}

pub(super) const fn info(
    protocol: Service,
    name: &'static str,
    rules: &'static [&'static str],
    good: &'static str,
    paragraph: &'static str,
) -> Scenario {
    Scenario { verdict: Verdict::Info, ..judged(protocol, name, rules, good, paragraph) }
}
