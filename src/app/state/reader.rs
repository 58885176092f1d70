//! The mailbox that is open, its messages, and the message that is open.

use crate::app::action::{Context, Direction, Step};
use crate::app::mailroom::{MessageKey, News, Wish};
use crate::app::state::pattern::Pattern;

/// What is read.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    mailbox: Option<String>,
}

impl Reader {
    /// Where keys go while a mailbox is open.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        self.mailbox.as_ref().map(|_| Context::Messages)
    }

    /// Opens a mailbox.
    pub fn open(&mut self, mailbox: String) -> Wish {
        self.mailbox = Some(mailbox.clone());
        Wish::Open(mailbox)
    }

    /// Closes the message, or else the mailbox.
    pub fn back(&mut self) -> Option<Wish> {
        self.mailbox = None;
        Some(Wish::Close)
    }

    /// Takes what came of a wish.
    pub fn take(&mut self, _news: News) {}

    /// Opens the selected message.
    pub fn open_selected(&mut self) -> Option<Wish> {
        None
    }

    /// Opens the message after the open one, or before it.
    pub fn open_other(&mut self, _direction: Direction) -> Option<Wish> {
        None
    }

    /// The selected message, or the open one.
    #[must_use]
    pub fn selected_key(&self) -> Option<MessageKey> {
        None
    }

    /// What is looked for.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        None
    }

    /// Looks for something.
    pub fn set_filter(&mut self, _pattern: Option<Pattern>) {}

    /// Goes to another match.
    pub fn find(&mut self, _direction: Direction) {}

    /// Moves.
    pub fn step(&mut self, _step: Step) {}

    /// Selects the n-th row in view.
    pub fn click(&mut self, _row: usize) {}

    /// Shows the message as it is, or decoded again.
    pub fn toggle_raw(&mut self) {}

    /// Shows all header fields, or the usual ones.
    pub fn toggle_header(&mut self) {}
}
