//! What is held at breakpoints, as the strip above the transcript has it, and what can be typed about
//! it.

use crate::console::action::{Command, HoldOrder};
use crate::console::state::fault::whole;
pub use crate::fault::breakpoint::Side;
use crate::fault::completion::breakpoint_completions;
use crate::fault::typed::octets_of;
pub use crate::servers::holds::Held;
use crate::servers::holds::{Decision, WhichHeld};

/// The strip.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    /// What is held, the oldest first.
    pub held: Vec<Held>,
    /// The index of the one that the keys are for.
    pub at: usize,
    /// Whether it receives keys while anything is held: it stays so until the user goes elsewhere,
    /// since the next thing may be held at once.
    pub has_focus: bool,
    /// The breakpoints as they were written.
    pub breakpoints: Vec<String>,
    /// Whether they are on.
    pub are_on: bool,
}

impl Strip {
    /// The one that the keys are for.
    #[must_use]
    pub fn selected(&self) -> Option<&Held> {
        self.held.get(self.at)
    }

    /// Whether it receives keys.
    #[must_use]
    pub fn takes_keys(&self) -> bool {
        self.has_focus && !self.held.is_empty()
    }
}

/// Completions of a breakpoint.
pub(super) fn so_far(so_far: &str) -> Vec<(String, String)> {
    whole(breakpoint_completions(so_far))
}

/// What was typed to be said instead of what is held.
pub(super) fn typed(
    id: u64,
    text: &str,
    decision: fn(Vec<u8>) -> Decision,
) -> Result<Option<Command>, String> {
    let octets = octets_of(text).map_err(|error| error.to_string())?;
    Ok(Some(Command::Hold(HoldOrder::Decide(WhichHeld::One(id), decision(octets)))))
}

/// Where something is held: `smtp.rcpt`, or `smtp.rcpt!` for the reply.
#[must_use]
pub fn place_of(held: &Held) -> String {
    let sign = if held.side == Side::Reply { "!" } else { "" };
    format!("{}{sign}", held.point)
}
