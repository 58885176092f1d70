//! A line that is being typed: what for, what it is so far, and what is wrong with it.

use tui_input::{Input, InputRequest};

use crate::console::action::{Context, Direction, Step};
use crate::servers::settings::SettingName;
use crate::wire::display::DisplayText;

/// Characters that can be typed into a line.
pub const MOST_TYPED: usize = 500;

/// Lines that are remembered.
const REMEMBERED: usize = 100;

/// What a line is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To show only what has it; takes effect as it is typed.
    Filter(Context),
    /// To do it.
    Command,
    /// To be the name of a new mailbox.
    NewMailbox,
    /// To be the value of a setting.
    Setting(SettingName),
    /// To say which attachments are saved.
    Attachments,
}

/// A line that is being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    /// What it is so far.
    pub input: Input,
    /// Why it will not do as it is.
    pub error: Option<DisplayText>,
    /// What it could go on as, and which of that it is now.
    pub completion: Option<Completion>,
}

/// The ways in which a line can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The line as it was typed.
    pub typed: String,
    /// The whole line, each.
    pub candidates: Vec<String>,
    /// Which of them the line is.
    pub at: usize,
}

impl Prompt {
    /// A line that begins as `text`.
    #[must_use]
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self { purpose, input: Input::new(text.to_owned()), error: None, completion: None }
    }

    /// Goes on as the first of the candidates, or as the next one.
    pub fn complete(&mut self, direction: Direction, candidates: impl FnOnce(&str) -> Vec<String>) {
        let completion = if let Some(Completion { typed, candidates, at }) = self.completion.take()
        {
            let last = candidates.len().saturating_sub(1);
            let at = match direction {
                Direction::Forward if at >= last => 0,
                Direction::Forward => at + 1,
                Direction::Backward => at.checked_sub(1).unwrap_or(last),
            };
            Completion { typed, candidates, at }
        } else {
            let typed = self.text().to_owned();
            Completion { candidates: candidates(&typed), typed, at: 0 }
        };
        let Some(line) = completion.candidates.get(completion.at) else { return };
        self.input = Input::new(line.clone());
        // A single candidate is done with: what follows it is the next thing to complete.
        self.completion = (completion.candidates.len() > 1).then_some(completion);
    }

    /// Goes on as the n-th of the candidates.
    pub fn choose(&mut self, nth: usize, candidates: impl FnOnce(&str) -> Vec<String>) {
        let (typed, candidates) = match self.completion.take() {
            Some(Completion { typed, candidates, .. }) => (typed, candidates),
            None => (self.text().to_owned(), candidates(self.text())),
        };
        if let Some(line) = candidates.get(nth) {
            self.input = Input::new(line.clone());
        }
        self.completion = Some(Completion { typed, candidates, at: nth });
    }

    /// Which of the candidates the line is.
    #[must_use]
    pub fn chosen(&self) -> Option<usize> {
        self.completion.as_ref().map(|completion| completion.at)
    }

    /// Brings back a line that was typed before, or a later one.
    pub fn recall(&mut self, history: &mut History, step: Step) {
        let line = match step {
            Step::Up => history.older(),
            Step::Down => history.newer(),
            _ => return,
        };
        self.input = Input::new(line.to_owned());
        (self.error, self.completion) = (None, None);
    }

    /// What is typed so far.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value()
    }
}

/// Changes a line; one that is full takes no more characters.
pub fn edit(input: &mut Input, request: InputRequest, most: usize) {
    let is_full = input.value().chars().count() >= most;
    match request {
        InputRequest::InsertChar(character) if is_full || character.is_control() => {}
        request => {
            input.handle(request);
        }
    }
}

/// The lines that were typed before.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Oldest first.
    lines: Vec<String>,
    /// Which of them is shown, counted from the newest; 0: none.
    back: usize,
}

impl History {
    /// Remembers a line; one that is typed again counts once.
    pub fn remember(&mut self, line: &str) {
        self.back = 0;
        self.lines.retain(|one| one != line);
        self.lines.push(line.to_owned());
        let surplus = self.lines.len().saturating_sub(REMEMBERED);
        self.lines.drain(..surplus);
    }

    /// Whether none has been typed yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line before the one that is shown.
    pub fn older(&mut self) -> &str {
        self.back = (self.back + 1).min(self.lines.len());
        self.shown()
    }

    /// The line after the one that is shown; empty behind the newest.
    pub fn newer(&mut self) -> &str {
        self.back = self.back.saturating_sub(1);
        self.shown()
    }

    fn shown(&self) -> &str {
        let place = self.lines.len().checked_sub(self.back);
        place.and_then(|place| self.lines.get(place)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_commands_come_back_newest_first() {
        let mut history = History::default();
        assert_eq!(history.older(), "");
        for line in ["a", "b", "a"] {
            history.remember(line);
        }
        assert_eq!([history.older().to_owned(), history.older().to_owned()], ["a", "b"]);
        assert_eq!(history.older(), "b");
        assert_eq!([history.newer().to_owned(), history.newer().to_owned()], ["a", ""]);
    }

    #[test]
    fn a_full_line_takes_no_more_and_control_characters_never() {
        let mut input = Input::new("ab".to_owned());
        edit(&mut input, InputRequest::InsertChar('c'), 2);
        edit(&mut input, InputRequest::InsertChar('\x1b'), 9);
        assert_eq!(input.value(), "ab");
        edit(&mut input, InputRequest::DeletePrevChar, 2);
        edit(&mut input, InputRequest::InsertChar('日'), 2);
        assert_eq!(input.value(), "a日");
    }
}
