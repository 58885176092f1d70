//! A line that has come while faults may be played, and what an answer to it comes to. Pure.

use crate::fault::plan::{Plan, Says};
use crate::servers::session::Step;

/// A line that has come.
pub(super) struct Heard {
    pub(super) line: Vec<u8>,
    pub(super) is_whole: bool,
    pub(super) verb: Option<&'static str>,
}

impl Heard {
    /// What is answered behind a text or a chunk: no line of its own.
    pub(super) const fn behind_text(verb: Option<&'static str>) -> Self {
        Self { line: Vec::new(), is_whole: true, verb }
    }
}

/// Whether the answer to a command is a positive one.
pub(super) fn is_accepted<E>(step: &Step<E>) -> bool {
    match step {
        Step::Reply(reply) | Step::Close(reply) | Step::Text(reply, _) | Step::Secure(reply) => {
            matches!(reply.bytes(), [b'1'..=b'3' | b'+', ..])
        }
        Step::Chunk(_) | Step::Perform(_) | Step::Quiet => true,
    }
}

/// Whether the words of a rule say that a message is stored.
pub(super) fn says_yes(plan: &Plan) -> bool {
    let first = match &plan.says {
        Says::Lines(lines) => lines.first().and_then(|line| line.first()),
        Says::Raw(octets) => octets.first(),
        Says::ItsReply | Says::Nothing => None,
    };
    first == Some(&b'2')
}
