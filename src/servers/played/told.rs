//! What the loop remembers of a session while faults may be played.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::fault::address::Remembered;
use crate::fault::faults::Hit;
use crate::fault::plan::Plan;
use crate::fault::progress::Progress;
use crate::fault::rule::Who;
use crate::servers::session::Known;

/// What is remembered of one session.
#[derive(Debug)]
pub struct Told {
    /// What the client has said, for the conditions of rules.
    pub progress: Progress,
    /// What addresses have asked for.
    pub(super) remembered: Remembered,
    /// Who it is.
    pub who: Who,
    /// Differs in each session.
    pub salt: u64,
    /// What becomes of the text that is being received.
    pub(super) text: TextFate,
    /// The most octets of the text in a second.
    pub(super) pace: Option<NonZeroU64>,
    /// What is done to an answer that comes only later: behind a chunk, or at the end of AUTH.
    pub(super) later: Option<Later>,
    /// A hit that is told once the work is done.
    pub(super) to_tell: Option<Hit>,
    /// How many octets at the beginning of the input an operator has typed.
    pub(super) edited_octets: usize,
    /// Whether the line at hand is one of them.
    pub(super) is_retyped: bool,
}

/// An answer that comes later.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) plan: Arc<Plan>,
    /// The command that it answers.
    pub(super) verb: Option<&'static str>,
}

/// What becomes of a message text, and of the reply to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TextFate {
    /// What the session and the rules for the end say.
    #[default]
    Open,
    /// It is not stored, and nothing more is said.
    Dropped,
    /// It is stored, and nothing more is said.
    StoredInSilence,
    /// It is not stored, and the client is told that it was.
    Lied,
}

/// In so many pieces a slow text is taken in each second, where it has that many octets.
const PIECES: u64 = 10;

impl Told {
    /// The most octets of a slow text that are taken at once; `None` where none is being received.
    pub(in crate::servers) fn piece_octets(&self) -> Option<u64> {
        self.pace.map(|pace| (pace.get() / PIECES).max(1))
    }

    /// Begins to remember a session of which this is known.
    #[must_use]
    pub fn new(who: Who, known: Known) -> Self {
        let Known { helo, from, accepted, user } = known;
        Self {
            progress: Progress::known(helo, from, accepted, user),
            remembered: Remembered::default(),
            who,
            salt: fastrand::u64(..),
            text: TextFate::default(),
            pace: None,
            later: None,
            to_tell: None,
            edited_octets: 0,
            is_retyped: false,
        }
    }

    /// Nothing that was said before TLS counts.
    pub(super) fn secured(&mut self) {
        self.progress.secured();
        self.remembered.secured();
    }
}
