//! What lies over the panes: the help, a question, the form, the popups.

use crate::console::action::Answer;
use crate::mailroom::MessageKey;
use crate::relay::orders::QueueTarget;
use crate::servers::supervisor::ServerOrder;
use crate::watch::event::ConnectionName;
use crate::wire::display::DisplayText;

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Quit while so many connections are open, or a relay run is under way?
    Quit {
        /// How many.
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
        /// Which mailbox.
        mailbox: DisplayText,
        /// How many messages it has.
        messages: u64,
    },
    /// Stop this server, or restart it, while connections to it are open?
    Stop {
        /// What is to be done.
        order: ServerOrder,
        /// How many connections.
        open: usize,
    },
}

/// What lies over the panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    None,
    /// The keys.
    Help {
        /// Lines scrolled down.
        top: usize,
    },
    /// A question.
    Ask {
        /// What is asked.
        question: Question,
        /// What Enter answers.
        marked: Answer,
        /// What was there before, and is there again afterwards.
        beneath: Box<Overlay>,
    },
    /// The selected queue entry.
    QueueEntry {
        /// Lines scrolled down.
        top: usize,
    },
    /// The servers and the settings.
    Servers {
        /// The selected row.
        at: usize,
    },
    /// The form for a test message.
    Compose,
    /// What to do first, and how far Thunderbird is.
    FirstSteps {
        /// Lines scrolled down.
        top: usize,
    },
}

impl Overlay {
    /// What is seen again when it is closed.
    pub(super) fn beneath(&self) -> Self {
        match self {
            Self::Ask { beneath, .. } => (**beneath).clone(),
            _ => Self::None,
        }
    }

    /// How far down it is, if it can be scrolled.
    pub(super) const fn top_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { top } | Self::QueueEntry { top } | Self::FirstSteps { top } => Some(top),
            Self::None | Self::Ask { .. } | Self::Servers { .. } | Self::Compose => None,
        }
    }
}
