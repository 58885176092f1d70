//! The actions on the form for a test message: opening it with sender and recipient filled in, and
//! sending it.

use crate::console::action::Command;
use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::mailroom::MailroomRequest;

impl State {
    /// Opens the form, with a sender and the selected mailbox's user as the recipient filled in.
    pub(super) fn compose(&mut self) {
        let users = || self.mailboxes.items().iter().filter(|row| !row.is_queue());
        let selected = self.mailboxes.selected().filter(|row| !row.is_queue());
        let selected = selected.or_else(|| users().next()).map(|row| row.name.as_str());
        let to = self.reader.mailbox().or(selected).unwrap_or_default();
        let another = users().map(|row| row.name.as_str()).find(|&name| name != to);
        let from = another.unwrap_or(to);
        let (from, to) = (self.address_of(from), self.address_of(to));
        self.form.offer(from, to);
        self.overlay = Overlay::Compose;
    }

    fn address_of(&self, user: &str) -> String {
        match user {
            "" => String::new(),
            user => format!("{user}@{}", self.domain),
        }
    }

    /// Sends the message in the form, or shows there why it cannot be sent.
    pub(super) fn submit(&mut self) -> Option<Command> {
        let draft = self.form.draft()?;
        self.form.sent();
        self.overlay = Overlay::None;
        Some(Command::MailroomRequest(MailroomRequest::Send(draft)))
    }
}
