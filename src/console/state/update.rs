//! How the actions of the user change the state, and what the screen then asks of the program.

use tui_input::Input;

use crate::console::action::{Action, Answer, Command, Context, Direction, FaultOrder, Pane, Step};
use crate::console::cycle::Cycle;
use crate::console::state::State;
use crate::console::state::appearance::Mouse;
use crate::console::state::messages::Messages;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::prompt::Purpose;
use crate::console::state::rows::MailboxRow;
use crate::mailroom::MailroomRequest;
use crate::relay::orders::Order;
use crate::relay::postmaster::Request;
use crate::servers::supervisor::Change;

impl State {
    /// Applies an action of the user; returns what the program must do for it, if anything.
    pub fn update(&mut self, action: Action) -> Option<Command> {
        let command = self.perform(action);
        command.or_else(|| self.reader.take_search().map(Command::MailroomRequest))
    }

    fn perform(&mut self, action: Action) -> Option<Command> {
        self.said = None;
        match action {
            Action::Help => self.toggle(Overlay::Help { top: 0, of: self.context() }),
            Action::Servers => self.toggle(Overlay::Servers { at: 0 }),
            Action::Faults => self.toggle(Overlay::Faults { at: 0 }),
            Action::Fault(action) => return self.perform_in_faults(action),
            Action::Held(action) => return self.perform_in_strip(action),
            Action::FirstSteps => self.toggle(Overlay::FirstSteps { top: 0 }),
            Action::Focus(pane) => self.focus_on(pane),
            Action::FocusNext => self.focus_on(self.focus.next()),
            Action::FocusPrevious => self.focus_on(self.focus.previous()),
            Action::Zoom => self.zoomed = !self.zoomed,
            Action::Tiles => self.toggle_tiles(),
            Action::Escape => return self.escape(),
            Action::Move(step) => return self.step(step),
            Action::Wheel(pane, direction) => return self.wheel(pane, direction),
            Action::Click(pane, row) => return self.click(pane, row),
            Action::Filter => self.type_filter(),
            Action::Find(direction) => self.find(direction),
            Action::Edit(request) => self.edit(request),
            Action::Complete(direction) => self.complete(direction),
            Action::ClickOffer(nth) => return self.click_offer(nth),
            Action::Field(direction) => self.form.go(direction),
            Action::Submit => return self.submit(),
            Action::Confirm => return self.confirm(),
            Action::Answer(answer) => return self.answer(answer),
            Action::OtherAnswer => self.mark_other_answer(),
            Action::OnlyThis => self.narrow_to_selected(),
            Action::AllConnections => self.transcript.narrow(None),
            Action::OtherTile(direction) => self.other_tile(direction),
            Action::CloseConnection => self.ask_to_close(),
            Action::Details => self.show_details(),
            Action::Mark => self.mark(),
            Action::MarkAll => self.mark_all(),
            Action::Sort => self.sort(),
            Action::ViewQueued => return self.view_queued(),
            Action::SaveQueued => return self.save_queued(),
            Action::OtherEntry(direction) => self.go_to_other_entry(direction),
            Action::WithEntry(deed) => {
                self.focus_on(Pane::Queue);
                return self.with_entry(deed);
            }
            Action::RelayRun => return Some(Command::Relay(Request::Run)),
            Action::Retry => return self.retry(),
            Action::RetryRow(row) => {
                let _ = self.click(Pane::Queue, Some(row));
                let row = self.queue_entry()?;
                return self.retry_rows(&[row]);
            }
            Action::Hold => return self.hold_or_release(),
            Action::Drop => self.ask_to_drop(),
            Action::Pause => self.transcript.pause(),
            Action::Follow => self.transcript.follow(),
            Action::Stamps => self.next_stamps(),
            Action::Wrap => self.long_rows = self.long_rows.next(),
            Action::Bodies => self.transcript.toggle_bodies(),
            Action::Passwords => self.transcript.toggle_passwords(),
            Action::Wire => self.notation = self.notation.next(),
            Action::CopyLine => return self.copy_line(),
            Action::CopyConnection => return self.copy_connection(),
            Action::Save => return Some(Command::Save(None)),
            Action::OpenMailbox => return self.open_mailbox(),
            Action::NewMailbox => self.ask_for(Purpose::NewMailbox, ""),
            Action::OpenMessage => {
                return self.reader.open_selected().map(Command::MailroomRequest);
            }
            Action::OtherMessage(direction) => return self.open_other_message(direction),
            Action::NextShape => self.reader.next_shape(),
            Action::Browse => return self.browse(),
            Action::AllHeaders => self.reader.toggle_header(),
            Action::SaveMessage => return self.save_messages(),
            Action::SaveAttachments => return self.save_attachments(),
            Action::SaveAttachment(nth) => {
                return self.save_attachment(Some(nth));
            }
            Action::DeleteMessage => self.ask_to_delete(),
            Action::ClickReader(row) => return self.click_reader(row),
            Action::WheelReader(direction) => return self.wheel_reader(direction),
            Action::Compose => self.compose(),
            Action::ClickField(field, row) => self.form.click(field, row),
            Action::CommandLine => self.ask_for(Purpose::Command, ""),
            Action::Change => return self.change(),
            Action::StartServer => return self.order_server(Change::Start),
            Action::StopServer => return self.order_server(Change::Stop),
            Action::RestartServer => return self.order_server(Change::Restart),
            Action::ServerRow(row) => self.select_in_servers(row),
            Action::Theme => self.next_theme(),
            Action::Mouse => return Some(self.toggle_mouse()),
            Action::Redraw => return Some(Command::Redraw),
            Action::Suspend => return Some(Command::Suspend),
            Action::Quit => return self.quit(),
            Action::QuitNow => return Some(Command::Quit),
        }
        None
    }

    fn toggle(&mut self, overlay: Overlay) {
        let is_shown = std::mem::discriminant(&self.overlay) == std::mem::discriminant(&overlay);
        self.overlay = if is_shown { Overlay::None } else { overlay };
        self.search = Input::default();
        self.prompt = None;
    }

    pub(super) fn focus_on(&mut self, pane: Pane) {
        if self.focus == Pane::Mailboxes && pane != Pane::Mailboxes {
            self.has_looked_at_mailboxes();
        }
        if pane != self.focus {
            self.leave_queued();
        }
        self.focus = pane;
        self.strip.has_focus = false;
        self.prompt = None;
    }

    /// Counts all messages that are in the mailboxes now as seen.
    fn has_looked_at_mailboxes(&mut self) {
        let mut rows = self.mailboxes.items().to_vec();
        for row in &mut rows {
            let messages = row.messages.unwrap_or(0);
            self.seen.insert(row.name.clone(), messages);
            row.new = 0;
        }
        self.mailboxes.replace(rows);
    }

    /// Undoes the latest of what Escape can undo.
    fn escape(&mut self) -> Option<Command> {
        let place = self.context();
        if let Some(prompt) = self.prompt.take() {
            if let Purpose::Filter(place) = prompt.purpose {
                let _ = self.set_filter(place, "");
            }
        } else if self.overlay != Overlay::None {
            self.overlay = self.overlay.beneath();
        } else if place == Context::Held {
            self.strip.has_focus = false;
        } else if self.filter_of(place).is_some() {
            let _ = self.set_filter(place, "");
        } else if self.unmark(place) {
        } else if self.set_aside.is_some() {
            self.leave_queued();
        } else if matches!(place, Context::Messages | Context::Message) {
            return self.reader.back().map(Command::MailroomRequest);
        } else if self.zoomed {
            self.zoomed = false;
        } else if self.tiled {
            self.tiled = false;
        } else if self.transcript.ring().only().is_some() {
            self.transcript.narrow(None);
        }
        None
    }

    pub(super) fn step(&mut self, step: Step) -> Option<Command> {
        if self.prompt.is_some() {
            self.recall(step);
            return None;
        }
        if let Some(top) = self.overlay.top_mut() {
            *top = stepped(*top, step);
            return None;
        }
        match self.overlay {
            Overlay::Compose => self.form.step(step),
            _ => return self.step_in(self.context(), step),
        }
        None
    }

    fn step_in(&mut self, place: Context, step: Step) -> Option<Command> {
        match place {
            Context::Pane(Pane::Connections) if step == Step::Last => {
                // The closed connections are listed after the open ones, which are of more
                // interest.
                self.connections.step_to_last(|row| row.closed.is_none());
            }
            Context::Pane(Pane::Connections) => self.connections.step(step),
            Context::Pane(Pane::Transcript) if self.tiled => self.other_tile(match step {
                Step::Up | Step::HalfPageUp | Step::PageUp | Step::First => Direction::Backward,
                Step::Down | Step::HalfPageDown | Step::PageDown | Step::Last => Direction::Forward,
            }),
            Context::Pane(Pane::Transcript) => self.transcript.step(step),
            Context::Pane(Pane::Mailboxes) => self.mailboxes.step(step),
            Context::Pane(Pane::Queue) => self.queue.step(step),
            Context::Pane(Pane::Log) => return Some(Command::ScrollLog(step)),
            Context::Messages | Context::Message => self.reader.step(step),
            Context::Servers => self.step_in_servers(step),
            Context::Faults => self.step_in_faults(step),
            Context::Held => self.step_in_strip(step),
        }
        None
    }

    fn wheel(&mut self, pane: Pane, direction: Direction) -> Option<Command> {
        let step = one_row(direction);
        match self.overlay {
            Overlay::Ask { .. } | Overlay::Compose => None,
            Overlay::None if pane == Pane::Transcript && !self.tiled => {
                self.transcript.wheel(direction);
                None
            }
            Overlay::None => self.step_in(Context::Pane(pane), step),
            _ => self.step(step),
        }
    }

    pub(super) fn click(&mut self, pane: Pane, row: Option<usize>) -> Option<Command> {
        if self.overlay != Overlay::None {
            return None;
        }
        let had_focus = self.focus == pane;
        self.focus_on(pane);
        match (pane, row) {
            (Pane::Connections, Some(row)) => self.connections.click(row),
            (Pane::Transcript, Some(tile)) if self.tiled => {
                self.tiles.choose(tile, self.connections.items());
            }
            (Pane::Transcript, Some(row)) => self.transcript.click(row),
            (Pane::Mailboxes, Some(row)) if had_focus && self.mailboxes.is_selected(row) => {
                return self.open_mailbox();
            }
            (Pane::Mailboxes, Some(row)) => self.mailboxes.click(row),
            (Pane::Queue, Some(row)) => self.queue.click(row),
            _ => {}
        }
        None
    }

    fn find(&mut self, direction: Direction) {
        let place = self.context();
        if self.filter_of(place).is_none() {
            self.nothing_to_find();
            return;
        }
        match place {
            Context::Pane(Pane::Connections) => self.connections.find(direction),
            Context::Pane(Pane::Transcript | Pane::Log) | Context::Held => {
                if !self.transcript.find(direction) {
                    self.say(match self.transcript.ring().found() {
                        0 => "No line matches the filter.",
                        _ => "The surrounding lines are no longer in the scrollback.",
                    });
                }
            }
            Context::Pane(Pane::Mailboxes) => self.mailboxes.find(direction),
            Context::Pane(Pane::Queue) => self.queue.find(direction),
            Context::Messages | Context::Message => self.reader.find(direction),
            Context::Servers | Context::Faults => {}
        }
    }

    /// The screen of a new user offers this key for making a mailbox.
    fn nothing_to_find(&mut self) {
        if self.has_no_mailbox() {
            self.ask_for(Purpose::NewMailbox, "");
        } else {
            self.say("No filter set: type / to set one.");
        }
    }

    fn has_no_mailbox(&self) -> bool {
        self.mailboxes.items().iter().all(MailboxRow::is_queue)
    }

    pub(super) fn confirm(&mut self) -> Option<Command> {
        if let Some(prompt) = self.prompt.take() {
            return self.take_typed(prompt);
        }
        match &self.overlay {
            Overlay::Ask { marked, .. } => self.answer(*marked),
            Overlay::Compose => self.form.enter().and_then(|()| self.submit()),
            _ => {
                self.overlay = Overlay::None;
                None
            }
        }
    }

    fn answer(&mut self, answer: Answer) -> Option<Command> {
        let Overlay::Ask { question, beneath, .. } = &self.overlay else {
            return None;
        };
        let question = question.clone();
        self.overlay = (**beneath).clone();
        if answer == Answer::No {
            return None;
        }
        Some(match question {
            Question::Quit { .. } => Command::Quit,
            Question::Close(connection) => Command::Close(connection.id),
            Question::Drop(targets) => {
                self.leave_queued();
                // After dropping, the details would be those of another entry.
                self.overlay = Overlay::None;
                return self.give(Order::Drop, targets);
            }
            Question::Delete(keys) => {
                for &key in &keys {
                    self.reader.leave(key);
                }
                self.unmark(Context::Messages);
                Command::MailroomRequest(one_or_all(
                    keys,
                    MailroomRequest::Delete,
                    MailroomRequest::DeleteAll,
                )?)
            }
            Question::Clear { mailbox, messages } => {
                let messages = usize::try_from(messages).unwrap_or(usize::MAX);
                Command::MailroomRequest(MailroomRequest::Clear(mailbox.into_string(), messages))
            }
            Question::Stop { order, .. } => Command::Server(order),
            Question::RemoveFault(id) => Command::Fault(FaultOrder::Remove(id)),
        })
    }

    fn mark_other_answer(&mut self) {
        if let Overlay::Ask { marked, .. } = &mut self.overlay {
            *marked = match marked {
                Answer::Yes => Answer::No,
                Answer::No => Answer::Yes,
            };
        }
    }

    fn narrow_to_selected(&mut self) {
        let connection = match self.focus {
            Pane::Transcript if self.tiled => self.chosen_tile().map(|row| row.name),
            Pane::Transcript => self.transcript.cursor().and_then(|(_, row)| row.connection()),
            _ => self.connections.selected().map(|row| row.name),
        };
        if connection.is_none() {
            self.say(match self.focus {
                Pane::Transcript if !self.tiled => "No line is selected: ↑ selects one.",
                _ => "No connection is selected.",
            });
            return;
        }
        self.tiled = false;
        self.transcript.narrow(connection);
    }

    fn mark(&mut self) {
        match self.context() {
            Context::Pane(Pane::Queue) => self.queue.mark(),
            Context::Messages => self.reader.messages_mut().into_iter().for_each(Messages::mark),
            _ => {}
        }
    }

    fn mark_all(&mut self) {
        match self.context() {
            Context::Pane(Pane::Queue) => self.queue.mark_all(),
            Context::Messages => {
                self.reader.messages_mut().into_iter().for_each(Messages::mark_all);
            }
            _ => {}
        }
    }

    /// Removes all marks in a list; returns whether there were any.
    pub(super) fn unmark(&mut self, place: Context) -> bool {
        match place {
            Context::Pane(Pane::Queue) => self.queue.unmark(),
            Context::Messages => self.reader.messages_mut().is_some_and(Messages::unmark),
            _ => false,
        }
    }

    fn sort(&mut self) {
        match self.context() {
            Context::Pane(Pane::Connections) => self.connections.next_order(),
            Context::Pane(Pane::Queue) => self.queue.next_order(),
            Context::Messages => {
                self.reader.messages_mut().into_iter().for_each(Messages::next_order);
            }
            _ => {}
        }
    }

    fn ask_to_close(&mut self) {
        let Some(name) = self.connection_at_hand() else {
            self.say("No connection is selected.");
            return;
        };
        let rows = self.connections.items();
        if rows.iter().any(|row| row.name == name && row.closed.is_none()) {
            self.ask(Question::Close(name));
        } else {
            self.say("This connection is already closed.");
        }
    }

    pub(super) fn ask(&mut self, question: Question) {
        let beneath = Box::new(self.overlay.clone());
        self.overlay = Overlay::Ask { question, marked: Answer::No, beneath };
    }

    fn show_details(&mut self) {
        if self.queue.selected().is_some() {
            self.overlay = Overlay::QueueEntry { top: 0 };
        }
    }

    fn next_stamps(&mut self) {
        self.stamps = self.stamps.next();
        self.say(self.stamps.words());
    }

    fn next_theme(&mut self) {
        self.palette = self.palette.next();
        self.say(&format!("Theme: {}", self.palette.name()));
    }

    fn toggle_mouse(&mut self) -> Command {
        self.mouse = match self.mouse {
            Mouse::Captured => Mouse::Free,
            Mouse::Free => Mouse::Captured,
        };
        self.say(match self.mouse {
            Mouse::Captured => "Mouse on: clicks and the wheel work here.",
            Mouse::Free => "Mouse off: the terminal selects text; m turns it on again.",
        });
        Command::Mouse
    }

    fn quit(&mut self) -> Option<Command> {
        match (self.open(None), self.relay.tally) {
            (0, None) => Some(Command::Quit),
            (open, _) => {
                self.ask(Question::Quit { open });
                None
            }
        }
    }
}

pub(super) const fn one_row(direction: Direction) -> Step {
    match direction {
        Direction::Forward => Step::Down,
        Direction::Backward => Step::Up,
    }
}

/// Makes the request for one item, or the one for several; nothing if there is none.
pub(super) fn one_or_all<T, R>(
    mut things: Vec<T>,
    one: impl FnOnce(T) -> R,
    all: impl FnOnce(Vec<T>) -> R,
) -> Option<R> {
    match things.len() {
        0 => None,
        1 => things.pop().map(one),
        _ => Some(all(things)),
    }
}

/// The new scroll position of a text of unknown length. The drawing code limits it to the end.
fn stepped(top: usize, step: Step) -> usize {
    const PAGE: usize = 10;
    match step {
        Step::Up => top.saturating_sub(1),
        Step::Down => top.saturating_add(1),
        Step::HalfPageUp | Step::PageUp => top.saturating_sub(PAGE),
        Step::HalfPageDown | Step::PageDown => top.saturating_add(PAGE),
        Step::First => 0,
        Step::Last => usize::MAX,
    }
}
