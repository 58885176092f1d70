//! The open mailbox with its messages, and the open message.

use crate::console::action::{Context, Direction, Step};
use crate::console::state::messages::Messages;
use crate::console::state::pattern::Pattern;
use crate::console::state::viewer::Viewer;
use crate::mailroom::query::Query;
use crate::mailroom::{MailroomEvent, MailroomRequest, Message, MessageKey, Summary};
use crate::relay::orders::QueueTarget;

/// The open mailbox and the open message, if any.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    messages: Option<Messages>,
    viewer: Option<Viewer>,
    /// The message that was requested and has not arrived.
    coming: Option<MessageKey>,
    /// The queue entry that the message belongs to, if it is not in a mailbox.
    queued: Option<QueueTarget>,
    /// What the mailroom is to be told to search for; empty to end the search.
    search: Option<String>,
    /// Whether it has been told to search for something.
    is_searching: bool,
}

impl Reader {
    /// The part of the reader that receives keys; `None` while nothing is open.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        match (&self.viewer, &self.messages) {
            (Some(_), _) => Some(Context::Message),
            (None, Some(_)) => Some(Context::Messages),
            (None, None) => None,
        }
    }

    /// A reader that waits for the message of this queue entry.
    #[must_use]
    pub fn turned_to_queued(self, target: QueueTarget) -> Self {
        let coming = Some(MessageKey::of_queued(&target));
        let viewer = self.viewer.filter(|_| self.queued.is_some());
        Self { viewer, coming, queued: Some(target), ..Self::default() }
    }

    /// The queue entry whose message is open or requested.
    #[must_use]
    pub const fn queued(&self) -> Option<&QueueTarget> {
        self.queued.as_ref()
    }

    /// The name of the open mailbox.
    #[must_use]
    pub fn mailbox(&self) -> Option<&str> {
        self.messages.as_ref().map(Messages::mailbox)
    }

    /// The messages of the open mailbox.
    #[must_use]
    pub const fn messages(&self) -> Option<&Messages> {
        self.messages.as_ref()
    }

    /// The open message.
    #[must_use]
    pub const fn viewer(&self) -> Option<&Viewer> {
        self.viewer.as_ref()
    }

    /// The messages, so that they can be fitted into their area.
    pub const fn messages_mut(&mut self) -> Option<&mut Messages> {
        self.messages.as_mut()
    }

    /// The open message, so that it can be fitted into its area.
    pub const fn viewer_mut(&mut self) -> Option<&mut Viewer> {
        self.viewer.as_mut()
    }

    /// Whether a reader for queue entries has no message and does not wait for one.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.queued.is_some() && self.coming.is_none() && self.viewer.is_none()
    }

    /// Opens a mailbox; returns the request to list it.
    pub fn open(&mut self, mailbox: String) -> MailroomRequest {
        *self = Self { messages: Some(Messages::of(mailbox.clone())), ..Self::default() };
        MailroomRequest::Open(mailbox)
    }

    /// Closes the message, or if none is open, the mailbox.
    pub fn back(&mut self) -> Option<MailroomRequest> {
        self.coming = None;
        if self.viewer.take().is_some() {
            return None;
        }
        self.messages.take().map(|_| MailroomRequest::Close)
    }

    /// Takes over the result of a request; returns a sentence for the user, if there is one.
    pub fn take(&mut self, news: MailroomEvent) -> Option<String> {
        match news {
            MailroomEvent::Said(words) => return Some(words),
            MailroomEvent::Shown(message) => self.show(*message),
            MailroomEvent::NotShown(why) => {
                // A later part of the open message may be unreadable too.
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

    /// Shows a message that has arrived, unless it is no longer requested. The open message arrives
    /// again when more of it has been read.
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

    /// Requests the selected message.
    pub fn open_selected(&mut self) -> Option<MailroomRequest> {
        let messages = self.messages.as_mut()?;
        let key = messages.list().selected()?.key;
        messages.hold();
        self.coming = Some(key);
        Some(MailroomRequest::Read(key))
    }

    /// Requests the next or the previous message; `None` at the end of the list.
    pub fn open_other(&mut self, direction: Direction) -> Option<MailroomRequest> {
        let open = self.coming.or_else(|| self.viewer.as_ref().map(Viewer::key))?;
        let messages = self.messages.as_mut()?;
        // If the open message is gone from the list, the one after it is already selected.
        if messages.list().selected()?.key == open || direction == Direction::Backward {
            messages.step(match direction {
                Direction::Forward => Step::Down,
                Direction::Backward => Step::Up,
            });
        }
        let is_another = messages.list().selected()?.key != open;
        is_another.then(|| self.open_selected()).flatten()
    }

    /// The open message, or else the selected one.
    #[must_use]
    pub fn selected_key(&self) -> Option<MessageKey> {
        match &self.viewer {
            Some(viewer) => Some(viewer.key()),
            None => self.selected().map(|summary| summary.key),
        }
    }

    /// The messages that a key acts on: the open one, or else the marked ones, or else the selected
    /// one.
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

    /// The summary of a message, if it is the selected one.
    #[must_use]
    pub fn summary_of(&self, key: MessageKey) -> Option<&Summary> {
        self.selected().filter(|summary| summary.key == key)
    }

    fn selected(&self) -> Option<&Summary> {
        self.messages.as_ref()?.list().selected()
    }

    /// Closes a message that is being deleted; the list is updated once it is gone.
    pub fn leave(&mut self, key: MessageKey) {
        self.viewer.take_if(|viewer| viewer.key() == key);
    }

    /// The number of attachments of the open message.
    #[must_use]
    pub fn attachment_count(&self) -> usize {
        self.viewer.as_ref().map_or(0, |viewer| viewer.message().attachments.len())
    }

    /// The text that is being searched for.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        match (&self.viewer, &self.messages) {
            (Some(viewer), _) => viewer.pattern(),
            (None, Some(messages)) => messages.list().pattern(),
            (None, None) => None,
        }
        .map(Pattern::as_str)
    }

    /// The number of messages that match, or of lines of the open message in which a match begins.
    #[must_use]
    pub fn found(&self) -> usize {
        match (&self.viewer, &self.messages) {
            (Some(viewer), _) => viewer.found().0,
            (None, Some(messages)) => messages.list().len(),
            (None, None) => 0,
        }
    }

    /// Searches for what was typed, or ends the search. In a list of messages it may be a query, for
    /// which the mailroom searches ([`take_search`](Self::take_search)).
    ///
    /// # Errors
    ///
    /// A sentence about what was typed. The search stays as it was then.
    pub fn set_filter(&mut self, typed: &str) -> Result<(), String> {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.look_for(Pattern::parse(typed)?),
            (None, Some(messages)) if is_query(typed)? => {
                self.search = Some(typed.trim().to_owned());
                if let Some(typed) = Pattern::new(typed.trim()) {
                    messages.filter_by_search(typed);
                }
            }
            (None, Some(messages)) => {
                messages.filter(Pattern::parse(typed)?);
                // Ends what the mailroom may be searching for.
                self.search = Some(String::new());
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// What the mailroom is to search for from now on, if that has changed.
    pub fn take_search(&mut self) -> Option<MailroomRequest> {
        let search = self.search.take()?;
        let is_running = std::mem::replace(&mut self.is_searching, !search.is_empty());
        (is_running || self.is_searching).then_some(MailroomRequest::Find(search))
    }

    /// Goes to the next or the previous match.
    pub fn find(&mut self, direction: Direction) {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.find(direction),
            (None, Some(messages)) => messages.find(direction),
            (None, None) => {}
        }
    }

    /// Moves in the messages or in the open message.
    pub fn step(&mut self, step: Step) {
        match (&mut self.viewer, &mut self.messages) {
            (Some(viewer), _) => viewer.step(step),
            (None, Some(messages)) => messages.step(step),
            (None, None) => {}
        }
    }

    /// Selects the n-th row in view; if it is already selected, requests the message.
    pub fn click(&mut self, row: usize) -> Option<MailroomRequest> {
        let messages = self.messages.as_mut().filter(|_| self.viewer.is_none())?;
        if messages.list().is_selected(row) {
            return self.open_selected();
        }
        messages.click(row);
        None
    }

    /// Shows the open message in the next of its forms.
    pub fn next_shape(&mut self) {
        if let Some(viewer) = &mut self.viewer {
            viewer.next_shape();
        }
    }

    /// The open message if it has HTML; the error is a sentence that says why there is nothing to
    /// open.
    pub fn key_of_html(&self) -> Result<MessageKey, &'static str> {
        match &self.viewer {
            Some(viewer) if viewer.message().body.has_html() => Ok(viewer.key()),
            Some(_) => Err("This message has no HTML."),
            None => Err("No message is open."),
        }
    }

    /// Shows all header fields, or only the usual ones.
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
        MailroomEvent::Found { query, keys } => messages.take_found(&query, keys),
        MailroomEvent::NotListed(why) => messages.give_up(&why),
        MailroomEvent::Shown(_)
        | MailroomEvent::NotShown(_)
        | MailroomEvent::Said(_)
        | MailroomEvent::NotSent(_) => {}
    }
}

/// Whether a filter is a query ([`Query`]), and not the text that a row is to contain.
fn is_query(typed: &str) -> Result<bool, String> {
    match Query::parse(typed) {
        Ok(query) => Ok(query.has_terms()),
        // Text may have any form, but not that of a term.
        Err(error) if Query::names_term(typed) => Err(format!("{error}.")),
        Err(_) => Ok(false),
    }
}

/// Which attachments the typed text names: all of them (`None`), or one by its number.
pub fn attachments_meant(typed: &str, count: usize) -> Result<Option<usize>, String> {
    if typed.eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    let number = typed.parse::<usize>().ok().filter(|number| (1..=count).contains(number));
    let place = number.and_then(|number| number.checked_sub(1));
    place.map(Some).ok_or_else(|| format!("Type a number from 1 to {count}, or all."))
}
