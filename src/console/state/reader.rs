//! The mailbox that is open, its messages, and the message that is open.

use crate::console::action::{Context, Direction, Step};
use crate::console::state::messages::Messages;
use crate::console::state::pattern::Pattern;
use crate::console::state::viewer::Viewer;
use crate::mailroom::{MailroomEvent, MailroomRequest, Message, MessageKey, Summary};
use crate::relay::orders::QueueTarget;

/// What is read.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    messages: Option<Messages>,
    viewer: Option<Viewer>,
    /// The message that was wished for and has not come.
    coming: Option<MessageKey>,
    /// The queue entry whose message it is, if it is no mailbox's.
    queued: Option<QueueTarget>,
}

impl Reader {
    /// Where keys go while a mailbox is open.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        match (&self.viewer, &self.messages) {
            (Some(_), _) => Some(Context::Message),
            (None, Some(_)) => Some(Context::Messages),
            (None, None) => None,
        }
    }

    /// One that waits for the message of a queue entry, or waits for another one.
    #[must_use]
    pub fn turned_to_queued(self, target: QueueTarget) -> Self {
        let coming = Some(MessageKey::of_queued(&target));
        let viewer = self.viewer.filter(|_| self.queued.is_some());
        Self { messages: None, viewer, coming, queued: Some(target) }
    }

    /// The queue entry whose message is read.
    #[must_use]
    pub const fn queued(&self) -> Option<&QueueTarget> {
        self.queued.as_ref()
    }

    /// The mailbox that is open.
    #[must_use]
    pub fn mailbox(&self) -> Option<&str> {
        self.messages.as_ref().map(Messages::mailbox)
    }

    /// Its messages.
    #[must_use]
    pub const fn messages(&self) -> Option<&Messages> {
        self.messages.as_ref()
    }

    /// The message that is open.
    #[must_use]
    pub const fn viewer(&self) -> Option<&Viewer> {
        self.viewer.as_ref()
    }

    /// The messages, for whoever fits them into their area.
    pub const fn messages_mut(&mut self) -> Option<&mut Messages> {
        self.messages.as_mut()
    }

    /// The open message, for whoever fits it into its area.
    pub const fn viewer_mut(&mut self) -> Option<&mut Viewer> {
        self.viewer.as_mut()
    }

    /// Whether it waits for the message of a queue entry no more, and has none.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.queued.is_some() && self.coming.is_none() && self.viewer.is_none()
    }

    /// Opens a mailbox.
    pub fn open(&mut self, mailbox: String) -> MailroomRequest {
        *self = Self { messages: Some(Messages::of(mailbox.clone())), ..Self::default() };
        MailroomRequest::Open(mailbox)
    }

    /// Closes the message, or else the mailbox.
    pub fn back(&mut self) -> Option<MailroomRequest> {
        self.coming = None;
        if self.viewer.take().is_some() {
            return None;
        }
        self.messages.take().map(|_| MailroomRequest::Close)
    }

    /// Takes what came of a request; returns what is to be said about it.
    pub fn take(&mut self, news: MailroomEvent) -> Option<String> {
        match news {
            MailroomEvent::Said(words) => return Some(words),
            MailroomEvent::Shown(message) => self.show(*message),
            MailroomEvent::NotShown(why) => {
                // Of the open message there may be more that cannot be read.
                let is_heard = self.coming.take().is_some() || self.viewer.is_some();
                return is_heard.then_some(why);
            }
            about_the_list => {
                let messages = self.messages.as_mut()?;
                take_into(messages, about_the_list);
            }
        }
        None
    }

    /// A message that is no longer wished for comes too late. The open one comes again when more of
    /// it has been read.
    fn show(&mut self, message: Message) {
        if let Some(viewer) = &mut self.viewer
            && self.coming.is_none()
            && viewer.key() == message.key
        {
            viewer.grow_to(message);
        } else if self.coming == Some(message.key) {
            self.coming = None;
            self.viewer = Some(match &self.viewer {
                Some(viewer) => viewer.turned_to(message),
                None => Viewer::new(message),
            });
        }
    }

    /// Opens the selected message.
    pub fn open_selected(&mut self) -> Option<MailroomRequest> {
        let messages = self.messages.as_mut()?;
        let key = messages.list().selected()?.key;
        messages.hold();
        self.coming = Some(key);
        Some(MailroomRequest::Read(key))
    }

    /// Opens the message after the open one, or before it; nothing, if there is none.
    pub fn open_other(&mut self, direction: Direction) -> Option<MailroomRequest> {
        let open = self.coming.or_else(|| self.viewer.as_ref().map(Viewer::key))?;
        let messages = self.messages.as_mut()?;
        // What follows a message that is gone is selected already.
        if messages.list().selected()?.key == open || direction == Direction::Backward {
            messages.step(match direction {
                Direction::Forward => Step::Down,
                Direction::Backward => Step::Up,
            });
        }
        let is_another = messages.list().selected()?.key != open;
        is_another.then(|| self.open_selected()).flatten()
    }

    /// The selected message, or the open one.
    #[must_use]
    pub fn selected_key(&self) -> Option<MessageKey> {
        match &self.viewer {
            Some(viewer) => Some(viewer.key()),
            None => self.selected().map(|summary| summary.key),
        }
    }

    /// The open message, or else those that are marked, or the selected one.
    #[must_use]
    pub fn meant(&self) -> Vec<MessageKey> {
        match (&self.viewer, &self.messages) {
            (Some(viewer), _) => vec![viewer.key()],
            (None, Some(messages)) => {
                messages.list().meant().iter().map(|summary| summary.key).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// What the list says of a message, if it is the selected one.
    #[must_use]
    pub fn summary_of(&self, key: MessageKey) -> Option<&Summary> {
        self.selected().filter(|summary| summary.key == key)
    }

    fn selected(&self) -> Option<&Summary> {
        self.messages.as_ref()?.list().selected()
    }

    /// Leaves a message that is being deleted; the list shows when it is gone.
    pub fn leave(&mut self, key: MessageKey) {
        self.viewer.take_if(|viewer| viewer.key() == key);
    }

    /// How many attachments the open message has.
    #[must_use]
    pub fn attachment_count(&self) -> usize {
        self.viewer.as_ref().map_or(0, |viewer| viewer.message().attachments.len())
    }

    /// What is looked for.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        match (&self.viewer, &self.messages) {
            (Some(viewer), _) => viewer.pattern(),
            (None, Some(messages)) => messages.list().pattern(),
            (None, None) => None,
        }
        .map(Pattern::as_str)
    }

    /// Messages that have what is looked for, or lines of the open one in which it begins.
    #[must_use]
    pub fn found(&self) -> usize {
        match (&self.viewer, &self.messages) {
            (Some(viewer), _) => viewer.found().0,
            (None, Some(messages)) => messages.list().len(),
            (None, None) => 0,
        }
    }

    /// Looks for something.
    pub fn set_filter(&mut self, pattern: Option<Pattern>) {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.look_for(pattern),
            (None, Some(messages)) => messages.filter(pattern),
            (None, None) => {}
        }
    }

    /// Goes to another match.
    pub fn find(&mut self, direction: Direction) {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.find(direction),
            (None, Some(messages)) => messages.find(direction),
            (None, None) => {}
        }
    }

    /// Moves.
    pub fn step(&mut self, step: Step) {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.step(step),
            (None, Some(messages)) => messages.step(step),
            (None, None) => {}
        }
    }

    /// Selects the n-th row in view; opens it, if it is selected already.
    pub fn click(&mut self, row: usize) -> Option<MailroomRequest> {
        let messages = self.messages.as_mut().filter(|_| self.viewer.is_none())?;
        if messages.list().is_selected(row) {
            return self.open_selected();
        }
        messages.click(row);
        None
    }

    /// Shows the message in the next of its shapes.
    pub fn next_shape(&mut self) {
        if let Some(viewer) = &mut self.viewer {
            viewer.next_shape();
        }
    }

    /// The open message, if it has HTML; else why there is none to open.
    pub fn key_of_html(&self) -> Result<MessageKey, &'static str> {
        match &self.viewer {
            Some(viewer) if viewer.message().body.has_html() => Ok(viewer.key()),
            Some(_) => Err("This message has no HTML."),
            None => Err("No message is open."),
        }
    }

    /// Shows all header fields, or the usual ones.
    pub fn toggle_header(&mut self) {
        if let Some(viewer) = &mut self.viewer {
            viewer.toggle_header();
        }
    }
}

fn take_into(messages: &mut Messages, news: MailroomEvent) {
    match news {
        MailroomEvent::Begun { mailbox, messages: count, left_out } => {
            messages.begin(&mailbox, count, left_out);
        }
        MailroomEvent::Listed(more) => messages.take(more),
        MailroomEvent::Complete => messages.complete(),
        MailroomEvent::NotListed(why) => messages.give_up(&why),
        MailroomEvent::Shown(_)
        | MailroomEvent::NotShown(_)
        | MailroomEvent::Said(_)
        | MailroomEvent::NotSent(_) => {}
    }
}

/// Which attachments somebody means who typed this: all of them (`None`), or one by its number.
pub fn attachments_meant(typed: &str, count: usize) -> Result<Option<usize>, String> {
    if typed.eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    let number = typed.parse::<usize>().ok().filter(|number| (1..=count).contains(number));
    let place = number.and_then(|number| number.checked_sub(1));
    place.map(Some).ok_or_else(|| format!("Type a number from 1 to {count}, or all."))
}
