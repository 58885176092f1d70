//! The prompt: the line being typed, its purpose, its completion and its error.

use tui_input::{Input, InputRequest};

use crate::console::action::{Context, Direction, Step};
use crate::servers::settings::SettingName;
use crate::wire::display::DisplayText;

/// The most characters that can be typed into a line.
pub const MOST_TYPED: usize = 500;

/// The most lines that a history remembers.
const REMEMBERED: usize = 100;

/// The purpose of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A filter for this context; it takes effect while it is being typed.
    Filter(Context),
    /// A command to be run.
    Command,
    /// The name of a new mailbox.
    NewMailbox,
    /// The new value of a setting.
    Setting(SettingName),
    /// Which attachments are to be saved.
    Attachments,
    /// What goes on in the place of what is held with this number.
    EditHeld(u64),
    /// What is said instead of it.
    AnswerHeld(u64),
}

/// The line being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What the line is for.
    pub purpose: Purpose,
    /// The text so far, and the cursor.
    pub input: Input,
    /// What is wrong with the text; `None` while nothing is known to be.
    pub error: Option<DisplayText>,
    /// Lines that show the place of the error: the text, and a caret under it.
    pub place: Vec<DisplayText>,
    /// The candidates while the user steps through them.
    pub completion: Option<Completion>,
}

/// The candidates for completing a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The line as the user typed it.
    pub typed: String,
    /// The candidates, each as the whole line.
    pub candidates: Vec<String>,
    /// The index of the candidate that is in the line.
    pub at: usize,
}

impl Prompt {
    /// A prompt with this text in its line.
    #[must_use]
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self {
            purpose,
            input: Input::new(text.to_owned()),
            error: None,
            place: Vec::new(),
            completion: None,
        }
    }

    /// Takes note of an error: a sentence, and lines that show the place, if there are any.
    pub fn fail(&mut self, error: &str) {
        let mut lines = error.lines().map(DisplayText::from);
        self.error = lines.next();
        self.place = lines.collect();
    }

    /// Forgets what was wrong with the text, and the candidates for it.
    pub fn forget(&mut self) {
        self.error = None;
        self.place.clear();
        self.completion = None;
    }

    /// Completes the line with the first candidate, or steps to the next or the previous one.
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
        // A single candidate ends the completion: the next one completes what follows.
        self.completion = (completion.candidates.len() > 1).then_some(completion);
    }

    /// Completes the line with the n-th candidate.
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

    /// The index of the candidate that is in the line.
    #[must_use]
    pub fn chosen(&self) -> Option<usize> {
        self.completion.as_ref().map(|completion| completion.at)
    }

    /// Replaces the line by an earlier or a later one of the history.
    pub fn recall(&mut self, history: &mut History, step: Step) {
        let line = match step {
            Step::Up => history.older(),
            Step::Down => history.newer(),
            _ => return,
        };
        self.input = Input::new(line.to_owned());
        self.forget();
    }

    /// The text of the line so far.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value()
    }
}

/// Edits a line; a line of `most` characters accepts no more.
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
    /// The lines, oldest first.
    lines: Vec<String>,
    /// Which line is shown, counted from the newest as 1; 0 if none is.
    back: usize,
}

impl History {
    /// Adds a line; if it is already there, it moves to the newest place.
    pub fn remember(&mut self, line: &str) {
        self.back = 0;
        self.lines.retain(|one| one != line);
        self.lines.push(line.to_owned());
        let surplus = self.lines.len().saturating_sub(REMEMBERED);
        self.lines.drain(..surplus);
    }

    /// Whether no line has been added yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line before the shown one.
    pub fn older(&mut self) -> &str {
        self.back = (self.back + 1).min(self.lines.len());
        self.shown()
    }

    /// The line after the shown one; empty after the newest.
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
