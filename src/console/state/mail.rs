//! The actions on mailboxes and their messages.

use crate::console::action::{Command, Context, Direction, Pane};
use crate::console::state::State;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::prompt::Purpose;
use crate::console::state::reader::attachments_meant;
use crate::console::state::update::{one_or_all, one_row};
use crate::mailroom::{MailroomRequest, MessageKey, QueuedRequest};

impl State {
    pub(super) fn click_reader(&mut self, row: Option<usize>) -> Option<Command> {
        if self.overlay != Overlay::None {
            return None;
        }
        self.prompt = None;
        row.and_then(|row| self.reader.click(row)).map(Command::MailroomRequest)
    }

    pub(super) fn wheel_reader(&mut self, direction: Direction) -> Option<Command> {
        let step = one_row(direction);
        match self.overlay {
            Overlay::None => {
                self.reader.step(step);
                None
            }
            Overlay::Ask { .. } | Overlay::Compose => None,
            _ => self.step(step),
        }
    }

    pub(super) fn open_mailbox(&mut self) -> Option<Command> {
        let Some(row) = self.mailboxes.selected() else {
            self.say("No mailbox is selected.");
            return None;
        };
        if row.is_queue() {
            // The relay queue is not a user's mailbox, and has a pane of its own.
            self.focus_on(Pane::Queue);
            return None;
        }
        let name = row.name.as_str().to_owned();
        // A click on the mailbox that is already open must not lose the place in it.
        let is_another = self.reader.mailbox() != Some(name.as_str());
        is_another.then(|| Command::MailroomRequest(self.reader.open(name)))
    }

    pub(super) fn open_other_message(&mut self, direction: Direction) -> Option<Command> {
        if self.set_aside.is_some() {
            return self.view_other_queued(direction);
        }
        let request = self.reader.open_other(direction);
        if request.is_none() {
            self.say(match direction {
                Direction::Forward => "This is the last message.",
                Direction::Backward => "This is the first message.",
            });
        }
        request.map(Command::MailroomRequest)
    }

    fn on_message(
        &mut self,
        request: impl FnOnce(MessageKey) -> MailroomRequest,
    ) -> Option<Command> {
        let key = self.reader.selected_key();
        if key.is_none() {
            self.say("No message is selected.");
        }
        key.map(|key| Command::MailroomRequest(request(key)))
    }

    pub(super) fn browse(&mut self) -> Option<Command> {
        match self.reader.key_of_html() {
            Ok(key) => Some(Command::MailroomRequest(match self.reader.queued().cloned() {
                Some(target) => MailroomRequest::Queued(target, QueuedRequest::Browse),
                None => MailroomRequest::Browse(key),
            })),
            Err(why) => {
                self.say(why);
                None
            }
        }
    }

    pub(super) fn save_attachment(&mut self, which: Option<usize>) -> Option<Command> {
        match self.reader.queued().cloned() {
            Some(target) => {
                let request = QueuedRequest::SaveAttachments(which);
                Some(Command::MailroomRequest(MailroomRequest::Queued(target, request)))
            }
            None => self.on_message(|key| MailroomRequest::SaveAttachments(key, which)),
        }
    }

    pub(super) fn save_messages(&mut self) -> Option<Command> {
        if self.reader.queued().is_some() {
            return self.save_queued();
        }
        let keys = self.messages_meant()?;
        self.unmark(Context::Messages);
        one_or_all(keys, MailroomRequest::Save, MailroomRequest::SaveAll)
            .map(Command::MailroomRequest)
    }

    pub(super) fn ask_to_delete(&mut self) {
        if let Some(target) = self.reader.queued().cloned() {
            self.ask(Question::Drop(vec![target]));
        } else if let Some(keys) = self.messages_meant() {
            self.ask(Question::Delete(keys));
        }
    }

    /// The messages that a key acts on: the open one, or else the marked ones, or else the selected
    /// one. If there is none, the user is told so.
    fn messages_meant(&mut self) -> Option<Vec<MessageKey>> {
        let keys = self.reader.meant();
        if keys.is_empty() {
            self.say("No message is selected.");
            return None;
        }
        Some(keys)
    }

    /// Asks which attachments to save, unless there is only one.
    pub(super) fn save_attachments(&mut self) -> Option<Command> {
        match self.reader.attachment_count() {
            0 => self.say("This message has no attachment."),
            1 => return self.save_attachment(Some(0)),
            _ => self.ask_for(Purpose::Attachments, ""),
        }
        None
    }

    pub(super) fn save_attachments_meant(
        &mut self,
        typed: &str,
    ) -> Result<Option<Command>, String> {
        let which = attachments_meant(typed, self.reader.attachment_count())?;
        Ok(self.save_attachment(which))
    }
}
