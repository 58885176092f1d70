//! Overlays over the panes: the help, a confirmation, the form, the popups.

use crate::console::action::{Answer, Context};
use crate::mailroom::MessageKey;
use crate::relay::orders::QueueTarget;
use crate::servers::supervisor::ServerOrder;
use crate::watch::event::ConnectionName;
use crate::wire::display::DisplayText;

/// An action that waits for confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Quit while connections are open, or a relay run is under way?
    Quit {
        /// The number of open connections.
        open: usize,
    },
    /// Close this connection?
    Close(ConnectionName),
    /// Drop these recipients of queued messages?
    Drop(Vec<QueueTarget>),
    /// Delete these messages?
    Delete(Vec<MessageKey>),
    /// Delete all messages of a mailbox?
    Clear {
        /// The name of the mailbox.
        mailbox: DisplayText,
        /// The number of its messages.
        messages: u64,
    },
    /// Stop this server, or restart it, while connections to it are open?
    Stop {
        /// The order that waits.
        order: ServerOrder,
        /// The number of open connections to the server.
        open: usize,
    },
    /// Remove the rule of a fault with this number?
    RemoveFault(u64),
}

/// The overlay over the panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    None,
    /// The list of keys.
    Help {
        /// The number of lines scrolled down.
        top: usize,
        /// Where it was asked for: what can be done there stands first.
        of: Context,
    },
    /// A confirmation.
    Ask {
        /// The action to confirm.
        question: Question,
        /// The answer that Enter gives.
        marked: Answer,
        /// The overlay that was open before, and is again afterwards.
        beneath: Box<Overlay>,
    },
    /// The details of the selected queue entry.
    QueueEntry {
        /// The number of lines scrolled down.
        top: usize,
    },
    /// The popup with servers and settings.
    Servers {
        /// The index of the selected row.
        at: usize,
    },
    /// The popup with the faults that are played on purpose.
    Faults {
        /// The index of the selected row.
        at: usize,
    },
    /// The form for a test message.
    Compose,
    /// The first steps, with the progress of a mail client's first visit.
    FirstSteps {
        /// The number of lines scrolled down.
        top: usize,
    },
}

impl Overlay {
    /// The overlay that is left when this one is closed.
    pub(super) fn beneath(&self) -> Self {
        match self {
            Self::Ask { beneath, .. } => (**beneath).clone(),
            _ => Self::None,
        }
    }

    /// The scroll position, if this overlay can be scrolled.
    pub(super) const fn top_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { top, .. } | Self::QueueEntry { top } | Self::FirstSteps { top } => {
                Some(top)
            }
            Self::None
            | Self::Ask { .. }
            | Self::Servers { .. }
            | Self::Faults { .. }
            | Self::Compose => None,
        }
    }
}
