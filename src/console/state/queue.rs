//! The actions on the entries of the relay queue.

use crate::console::action::{Command, Context, Direction, EntryAction, Pane};
use crate::console::state::State;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::reader::Reader;
use crate::console::state::rows::QueueRow;
use crate::console::state::update::{one_or_all, one_row};
use crate::mailroom::{MailroomRequest, QueuedRequest};
use crate::relay::orders::{Order, QueueTarget};
use crate::relay::postmaster::Request;
use crate::store::overview::RecipientState;

impl State {
    /// Acts on the entry whose details are shown, whichever entries are marked.
    pub(super) fn with_entry(&mut self, deed: EntryAction) -> Option<Command> {
        let row = self.queue_entry()?;
        match deed {
            EntryAction::Retry => self.retry_rows(&[row]),
            EntryAction::Hold => self.hold_or_release_rows(&[row]),
            EntryAction::Drop => {
                self.ask(Question::Drop(vec![row.target]));
                None
            }
            EntryAction::View | EntryAction::Save | EntryAction::Copy | EntryAction::Other(_) => {
                self.update(deed.action())
            }
        }
    }

    /// Asks for the message of the selected queue entry.
    pub(super) fn view_queued(&mut self) -> Option<Command> {
        let target = self.queue_entry()?.target;
        self.overlay = Overlay::None;
        self.focus_on(Pane::Queue);
        let before = std::mem::take(&mut self.reader);
        if self.set_aside.is_some() {
            self.reader = before.turned_to_queued(target.clone());
        } else {
            self.set_aside = Some(before);
            self.reader = Reader::default().turned_to_queued(target.clone());
        }
        Some(Command::MailroomRequest(MailroomRequest::Queued(target, QueuedRequest::Read)))
    }

    pub(super) fn save_queued(&mut self) -> Option<Command> {
        let target = self.queue_entry()?.target;
        Some(Command::MailroomRequest(MailroomRequest::Queued(target, QueuedRequest::Save)))
    }

    pub(super) fn go_to_other_entry(&mut self, direction: Direction) {
        self.queue.step(one_row(direction));
        if let Overlay::QueueEntry { top } = &mut self.overlay {
            *top = 0;
        }
    }

    /// Asks for the message of the next or the previous queue entry.
    pub(super) fn view_other_queued(&mut self, direction: Direction) -> Option<Command> {
        let before = self.queue.place();
        self.go_to_other_entry(direction);
        if self.queue.place() == before {
            self.say(match direction {
                Direction::Forward => "This is the last entry.",
                Direction::Backward => "This is the first entry.",
            });
            return None;
        }
        self.view_queued()
    }

    pub(super) fn retry(&mut self) -> Option<Command> {
        let rows = self.entries_meant()?;
        self.retry_rows(&rows)
    }

    pub(super) fn retry_rows(&mut self, rows: &[QueueRow]) -> Option<Command> {
        let waiting = rows.iter().filter(|row| row.sending.is_none());
        let targets: Vec<QueueTarget> = waiting.map(|row| row.target.clone()).collect();
        if targets.is_empty() {
            self.say("It is being sent now.");
        }
        self.give(Order::Retry, targets)
    }

    pub(super) fn hold_or_release(&mut self) -> Option<Command> {
        let rows = self.entries_meant()?;
        self.hold_or_release_rows(&rows)
    }

    fn hold_or_release_rows(&mut self, rows: &[QueueRow]) -> Option<Command> {
        let is_held = |row: &QueueRow| row.state == RecipientState::Held;
        let order = if rows.iter().all(is_held) { Order::Release } else { Order::Hold };
        self.give(order, rows.iter().map(|row| row.target.clone()).collect())
    }

    pub(super) fn ask_to_drop(&mut self) {
        if let Some(rows) = self.entries_meant() {
            self.ask(Question::Drop(rows.into_iter().map(|row| row.target).collect()));
        }
    }

    /// Gives an order for all these recipients, and removes the marks, which are no longer needed.
    pub(super) fn give(&mut self, order: Order, targets: Vec<QueueTarget>) -> Option<Command> {
        self.unmark(Context::Pane(Pane::Queue));
        let one = |target| Request::Give(order, target);
        let all =
            |targets: Vec<QueueTarget>| Request::GiveAll(order, targets.into_iter().collect());
        one_or_all(targets, one, all).map(Command::Relay)
    }

    /// The recipients that a key acts on: the marked ones, or else the selected one. If there is
    /// none, the user is told so.
    fn entries_meant(&mut self) -> Option<Vec<QueueRow>> {
        if self.overlay != Overlay::None {
            // While the details are open, keys act on the entry that they show.
            return self.queue_entry().map(|row| vec![row]);
        }
        let meant = self.queue.meant();
        let rows: Vec<_> = meant.iter().map(|row| self.relay.bring_up_to_date(row)).collect();
        if rows.is_empty() {
            self.say("No queue entry is selected.");
            return None;
        }
        Some(rows)
    }

    /// The selected recipient; if there is none, the user is told so.
    pub(super) fn queue_entry(&mut self) -> Option<QueueRow> {
        let row = self.queue_selected();
        if row.is_none() {
            self.say("No queue entry is selected.");
        }
        row
    }
}
