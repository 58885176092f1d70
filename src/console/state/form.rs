//! The form for a test message. It keeps its contents until the message has been sent.

use tui_input::{Input, InputRequest};

use crate::console::action::{Direction, Field, Step};
use crate::console::cycle::Cycle;
use crate::console::state::body::Body;
use crate::console::state::prompt;
use crate::mail::path::{Address, ReversePath};
use crate::mailroom::{ATTACHMENT_MOST, Draft};
use crate::servers::units::Size;
use crate::wire::display::DisplayText;

/// The most characters of a line (RFC 5322 section 2.1.1).
const LINE_MOST: usize = 998;

/// The contents of the form, and the field with the cursor.
#[derive(Debug, Clone)]
pub struct Form {
    from: Input,
    to: Input,
    subject: Input,
    attachment: Input,
    body: Body,
    at: Field,
    error: Option<DisplayText>,
    /// The sender and the recipient that were filled in for the user. If they are unchanged, they
    /// may be filled in anew.
    offered: (String, String),
}

impl Default for Form {
    fn default() -> Self {
        Self {
            from: Input::default(),
            to: Input::default(),
            subject: Input::default(),
            attachment: Input::default(),
            body: Body::default(),
            at: Field::To,
            error: None,
            offered: Default::default(),
        }
    }
}

impl Form {
    /// The field with the cursor.
    #[must_use]
    pub const fn at(&self) -> Field {
        self.at
    }

    /// The input of a field that has a single line; `None` for the others.
    #[must_use]
    pub const fn line(&self, field: Field) -> Option<&Input> {
        match field {
            Field::From => Some(&self.from),
            Field::To => Some(&self.to),
            Field::Subject => Some(&self.subject),
            Field::Attachment => Some(&self.attachment),
            Field::Body | Field::Send => None,
        }
    }

    /// The text of the message.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Why the message cannot be sent as it is.
    #[must_use]
    pub const fn error(&self) -> Option<&DisplayText> {
        self.error.as_ref()
    }

    /// Fills in sender and recipient unless the user has changed them, and moves to the first field
    /// that is still to be filled in.
    pub fn offer(&mut self, from: String, to: String) {
        let typed = (self.from.value(), self.to.value());
        if typed == (self.offered.0.as_str(), self.offered.1.as_str()) {
            self.from = Input::new(from.clone());
            self.to = Input::new(to.clone());
            self.offered = (from, to);
        }
        if self.is_empty() {
            self.at = if self.to.value().is_empty() { Field::To } else { Field::Subject };
        }
    }

    /// Moves to the next or the previous field.
    pub fn go(&mut self, direction: Direction) {
        self.at = match direction {
            Direction::Forward => self.at.next(),
            Direction::Backward => self.at.previous(),
        };
    }

    /// Moves to a field; in the text, to the n-th line in view.
    pub fn click(&mut self, field: Field, row: usize) {
        self.at = field;
        if field == Field::Body {
            self.body.click(row);
        }
    }

    /// Edits the field with the cursor.
    pub fn edit(&mut self, request: InputRequest) {
        self.error = None;
        match self.at {
            Field::From => prompt::edit(&mut self.from, request, LINE_MOST),
            Field::To => prompt::edit(&mut self.to, request, LINE_MOST),
            Field::Subject => prompt::edit(&mut self.subject, request, LINE_MOST),
            Field::Attachment => prompt::edit(&mut self.attachment, request, LINE_MOST),
            Field::Body => self.body.edit(request),
            Field::Send => {}
        }
    }

    /// Moves within the text, and at its ends out of it; elsewhere between the fields.
    pub fn step(&mut self, step: Step) {
        if self.at == Field::Body && self.body.step(step) {
            return;
        }
        match (self.at, step) {
            (Field::From, Step::Up) | (Field::Send, Step::Down) => {}
            (_, Step::Up) => self.go(Direction::Backward),
            (_, Step::Down) => self.go(Direction::Forward),
            _ => {}
        }
    }

    /// Handles Enter: starts a new line in the text, and goes to the next field elsewhere. `Some`
    /// on the button, whose message must then be sent.
    pub fn enter(&mut self) -> Option<()> {
        match self.at {
            Field::Send => return Some(()),
            Field::Body => self.body.split(),
            _ => self.go(Direction::Forward),
        }
        None
    }

    /// Brings the cursor into a view of `height` lines of the text.
    pub fn fit(&mut self, height: usize) {
        self.body.fit(height);
    }

    /// The message to be sent. If it cannot be sent, the form shows why, and moves to that field.
    pub fn draft(&mut self) -> Option<Draft> {
        match self.judged() {
            Ok(draft) => Some(draft),
            Err((field, why)) => {
                self.at = field;
                self.error = Some(DisplayText::from(why.as_str()));
                None
            }
        }
    }

    /// Empties the form, except for sender and recipient.
    pub fn sent(&mut self) {
        let Self { from, to, offered, .. } = std::mem::take(self);
        *self = Self { from, to, offered, ..Self::default() };
    }

    /// Puts back a message that could not be sent, unless another one has been started.
    pub fn take_back(&mut self, draft: &Draft) {
        if !self.is_empty() {
            return;
        }
        self.from = Input::new(draft.from.clone());
        self.to = Input::new(draft.to.clone());
        self.subject = Input::new(draft.subject.clone());
        self.body = Body::new(&draft.body);
        if draft.attachment > 0 {
            self.attachment = Input::new(draft.attachment.to_string());
        }
    }

    fn is_empty(&self) -> bool {
        let lines = [&self.subject, &self.attachment];
        self.body.is_empty() && lines.iter().all(|line| line.value().is_empty())
    }

    fn judged(&self) -> Result<Draft, (Field, String)> {
        let from = self.from.value().trim();
        ReversePath::parse(from).map_err(|why| (Field::From, format!("{why}.")))?;
        judge_recipients(self.to.value()).map_err(|why| (Field::To, why))?;
        let attachment =
            octets(self.attachment.value().trim()).map_err(|why| (Field::Attachment, why))?;
        Ok(Draft {
            from: from.to_owned(),
            to: self.to.value().trim().to_owned(),
            subject: self.subject.value().to_owned(),
            body: self.body.text(),
            attachment,
        })
    }
}

fn judge_recipients(typed: &str) -> Result<(), String> {
    let mut recipients = typed.split(',').map(str::trim).filter(|one| !one.is_empty()).peekable();
    if recipients.peek().is_none() {
        return Err("Enter a recipient, such as linhphan@localhost.".to_owned());
    }
    recipients.try_for_each(|one| Address::parse(one).map(|_| ())).map_err(|why| format!("{why}."))
}

fn octets(typed: &str) -> Result<u64, String> {
    if typed.is_empty() {
        return Ok(0);
    }
    match typed.parse::<Size>() {
        Ok(Size(octets)) if octets <= ATTACHMENT_MOST => Ok(octets),
        Ok(_) => Err("An attachment can be 1G at most.".to_owned()),
        Err(why) => Err(format!("Not a size: {why}.")),
    }
}
