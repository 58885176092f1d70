//! What the judge says of a client.

use serde::Serialize;

/// How a client has coped with one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As a good client does.
    Pass,
    /// It has broken a rule.
    Fail,
    /// Clients differ, and no rule says who is right; or it was still waiting when patience ended.
    Info,
    /// It was never tried.
    Skip,
}

impl Verdict {
    /// As it begins a line of the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Info => "info",
            Self::Skip => "skip",
        }
    }
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence without a full stop.
    pub reason: String,
    /// The run, and the entry of its conversation, that show it.
    pub mark: Option<Mark>,
}

/// A place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which run, from 0 on.
    pub run: usize,
    /// The index of the entry.
    pub entry: usize,
}

impl Judgement {
    /// Without a place.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), mark: None }
    }

    /// It passes.
    #[must_use]
    pub fn pass(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, reason)
    }

    /// It fails, as a run shows.
    #[must_use]
    pub fn fail(run: usize, entry: Option<usize>, reason: impl Into<String>) -> Self {
        let mark = entry.map(|entry| Mark { run, entry });
        Self { mark, ..Self::new(Verdict::Fail, reason) }
    }
}
