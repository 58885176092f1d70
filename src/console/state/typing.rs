//! The prompt: what is typed at it, and what comes of that.

use tui_input::InputRequest;

use crate::console::action::{Command, Context, Decision, Direction, Pane, Step};
use crate::console::setting;
use crate::console::state::State;
use crate::console::state::command::keeps_popup;
use crate::console::state::filter::Filter;
use crate::console::state::overlay::Overlay;
use crate::console::state::pattern::Pattern;
use crate::console::state::prompt::{self, MOST_TYPED, Prompt, Purpose};
use crate::console::state::strip;
use crate::mailroom::MailroomRequest;
use crate::wire::display::DisplayText;

impl State {
    pub(super) fn recall(&mut self, step: Step) {
        let Some(prompt) = &mut self.prompt else { return };
        match prompt.purpose {
            Purpose::Command => prompt.recall(&mut self.history, step),
            Purpose::Filter(_) => {
                prompt.recall(&mut self.filters, step);
                self.filter_as_typed();
            }
            Purpose::NewMailbox
            | Purpose::Setting(_)
            | Purpose::Attachments
            | Purpose::EditHeld(_)
            | Purpose::AnswerHeld(_) => {}
        }
    }

    pub(super) fn ask_for(&mut self, purpose: Purpose, text: &str) {
        self.prompt = Some(Prompt::new(purpose, text));
    }

    pub(super) fn type_filter(&mut self) {
        let place = match self.context() {
            Context::Pane(Pane::Log) | Context::Held => Context::Pane(Pane::Transcript),
            Context::Servers | Context::Faults => return,
            place => place,
        };
        // After a search has shown the matches in context, filtering again shows only the matches.
        let text = self.filter_of(place).unwrap_or_default().to_owned();
        let _ = self.set_filter(place, &text);
        self.ask_for(Purpose::Filter(place), &text);
    }

    pub(super) fn edit(&mut self, request: InputRequest) {
        if let Some(prompt) = &mut self.prompt {
            prompt::edit(&mut prompt.input, request, MOST_TYPED);
            prompt.forget();
            self.filter_as_typed();
        } else if let Overlay::Help { top, .. } = &mut self.overlay {
            prompt::edit(&mut self.search, request, MOST_TYPED);
            *top = 0;
        } else if self.overlay == Overlay::Compose {
            self.form.edit(request);
        }
    }

    /// Applies a filter while it is being typed. While it is not valid, the last valid one stays.
    fn filter_as_typed(&mut self) {
        let Some(Prompt { purpose: Purpose::Filter(place), input, .. }) = &self.prompt else {
            return;
        };
        let (place, text) = (*place, input.value().to_owned());
        let error = self.set_filter(place, &text).err();
        if let Some(prompt) = &mut self.prompt {
            prompt.error = error.map(|words| DisplayText::from(words.as_str()));
        }
    }

    pub(super) fn set_filter(&mut self, place: Context, text: &str) -> Result<(), String> {
        if let Context::Pane(Pane::Transcript | Pane::Log) | Context::Held = place {
            self.transcript.filter(Filter::parse(text)?);
            return Ok(());
        }
        if let Context::Messages | Context::Message = place {
            return self.reader.set_filter(text);
        }
        let pattern = Pattern::parse(text)?;
        match place {
            Context::Pane(Pane::Connections) => self.connections.filter(pattern),
            Context::Pane(Pane::Mailboxes) => self.mailboxes.filter(pattern),
            Context::Pane(Pane::Queue) => self.queue.filter(pattern),
            Context::Pane(Pane::Transcript | Pane::Log)
            | Context::Messages
            | Context::Message
            | Context::Servers
            | Context::Faults
            | Context::Held => {}
        }
        Ok(())
    }

    pub(super) fn complete(&mut self, direction: Direction) {
        let Some(mut prompt) = self.prompt.take() else { return };
        if prompt.purpose == Purpose::Command {
            prompt.complete(direction, |line| self.candidates(line));
        }
        self.prompt = Some(prompt);
    }

    /// The first click on an offer puts it into the line, a second one runs it.
    pub(super) fn click_offer(&mut self, nth: usize) -> Option<Command> {
        let mut prompt = self.prompt.take()?;
        let is_chosen = prompt.chosen() == Some(nth);
        if !is_chosen {
            prompt.choose(nth, |line| self.candidates(line));
        }
        self.prompt = Some(prompt);
        if is_chosen { self.confirm() } else { None }
    }

    /// Carries out the line that was typed. If it is not valid, the prompt stays open with the
    /// error.
    pub(super) fn take_typed(&mut self, mut prompt: Prompt) -> Option<Command> {
        let is_said = matches!(prompt.purpose, Purpose::EditHeld(_) | Purpose::AnswerHeld(_));
        let text = if is_said { prompt.text() } else { prompt.text().trim() }.to_owned();
        let done = match prompt.purpose {
            _ if text.is_empty() => Ok(None),
            Purpose::Filter(place) => {
                self.filters.remember(&text);
                self.set_filter(place, &text).map(|()| None)
            }
            Purpose::Command => {
                self.history.remember(&text);
                if !keeps_popup(&text) {
                    self.overlay = Overlay::None;
                }
                self.obey(&text)
            }
            Purpose::NewMailbox => {
                Ok(Some(Command::MailroomRequest(MailroomRequest::Create(text))))
            }
            Purpose::Setting(name) => setting::read(name, &text).map(|set| Some(Command::Set(set))),
            Purpose::Attachments => self.save_attachments_meant(&text),
            Purpose::EditHeld(id) => strip::typed(id, &text, Decision::Edit),
            Purpose::AnswerHeld(id) => strip::typed(id, &text, Decision::Answer),
        };
        done.unwrap_or_else(|error| {
            prompt.fail(&error);
            self.prompt = Some(prompt);
            None
        })
    }
}
