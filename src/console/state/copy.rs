//! The actions that copy to the clipboard. Rows are copied as `-v` prints them without the console,
//! whatever their form on the screen, with passwords as they are shown. All of it is
//! [`DisplayText`], so that pasting it cannot send control sequences to a terminal.
//!
//! [`DisplayText`]: crate::wire::display::DisplayText

use crate::console::action::{Command, Context, Pane};
use crate::console::state::State;
use crate::console::state::row::Row;
use crate::wire::display::DisplayText;
use crate::wire::figures::grouped;

impl State {
    /// Copies what the focused part shows as selected: an entry of the queue, a message, or else a
    /// row of the transcript.
    pub(super) fn copy_line(&mut self) -> Option<Command> {
        match self.context() {
            Context::Pane(Pane::Queue) => return self.copy_entry(),
            Context::Messages => return self.copy_summary(),
            Context::Message => return self.copy_message(),
            Context::Pane(_) | Context::Servers | Context::Faults | Context::Held => {}
        }
        let passwords = self.transcript.ring().passwords();
        let line = self.line_at_hand().map(|row| row.text(passwords).into_string());
        let Some(line) = line else {
            self.say("There is no line to copy.");
            return None;
        };
        self.say(match (self.chosen_tile(), self.transcript.cursor()) {
            (None, Some(_)) => "Copied the selected line.",
            (None, None) => "Copied the newest line: none is selected.",
            (Some(_), _) => "Copied the newest line of the tile.",
        });
        Some(Command::Copy(line))
    }

    /// The row under the cursor, or else the newest row that is shown.
    fn line_at_hand(&self) -> Option<&Row> {
        match self.chosen_tile() {
            Some(tile) => self.transcript.ring().of(tile.name.id).next_back(),
            None => self.transcript.cursor_or_newest(),
        }
    }

    fn copy_entry(&mut self) -> Option<Command> {
        let row = self.queue_entry()?;
        let text = match row.last_reply.as_str() {
            "" => row.recipient.into_string(),
            reply => format!("{}: {reply}", row.recipient),
        };
        self.say("Copied the recipient and the last reply.");
        Some(Command::Copy(text))
    }

    fn copy_summary(&mut self) -> Option<Command> {
        let Some(summary) = self.reader.selected_key().and_then(|key| self.reader.summary_of(key))
        else {
            self.say("No message is selected.");
            return None;
        };
        let text = format!("{}: {}", summary.from, summary.subject);
        self.say("Copied who wrote it and the subject.");
        Some(Command::Copy(text))
    }

    /// Copies the text of the open message, or its source if that is shown.
    fn copy_message(&mut self) -> Option<Command> {
        let viewer = self.reader.viewer()?;
        let lines = viewer.all_text();
        let lines: Vec<&str> = lines.iter().map(DisplayText::as_str).collect();
        let (text, count) = (lines.join("\n"), lines.len());
        self.say(&format!("Copied {} lines of the message.", grouped(count)));
        Some(Command::Copy(text))
    }

    /// Copies all rows of a connection.
    pub(super) fn copy_connection(&mut self) -> Option<Command> {
        let Some(name) = self.connection_at_hand() else {
            self.say("No connection is selected.");
            return None;
        };
        let ring = self.transcript.ring();
        let rows = ring.of(name.id).map(|row| row.text(ring.passwords()).into_string());
        let lines: Vec<String> = rows.collect();
        let session = name.session();
        match lines.len() {
            0 => self.say(&format!("No lines of [{}] {session} are left.", name.number)),
            1 => self.say(&format!("Copied 1 line of [{}] {session}.", name.number)),
            count => {
                let lines = grouped(count);
                self.say(&format!("Copied {lines} lines of [{}] {session}.", name.number));
            }
        }
        (!lines.is_empty()).then(|| Command::Copy(lines.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::console::action::{Action, Step};
    use crate::console::state::tests::{line, queued, text_line, with_connections};
    use crate::store::overview::Overview;

    fn copied(state: &mut State, actions: &[Action]) -> Option<String> {
        let command = actions.iter().map(|&action| state.update(action)).last().flatten();
        command.map(|command| match command {
            Command::Copy(text) => text,
            other => panic!("{other:?} is no copy"),
        })
    }

    #[track_caller]
    fn says(state: &State, words: &str) {
        assert_eq!(state.said.as_ref().unwrap().as_str(), words);
    }

    fn talking() -> State {
        let mut state = with_connections(2);
        state.apply(line(1, "PASS cis505"));
        state.apply(line(2, "NOOP \x1b]52;c;aGk=\x07\u{202e}"));
        state.apply(line(1, "STAT"));
        state
    }

    #[test]
    fn the_selected_line_is_copied_or_else_the_newest() {
        let mut state = talking();
        assert_eq!(copied(&mut state, &[Action::CopyLine]).unwrap(), "[1] C: STAT");
        says(&state, "Copied the newest line: none is selected.");
        let up = [Action::Focus(Pane::Transcript), Action::Move(Step::First), Action::CopyLine];
        assert_eq!(copied(&mut state, &up).unwrap(), "[1] C: PASS ******");
        says(&state, "Copied the selected line.");
    }

    #[test]
    fn in_a_mailbox_what_is_read_is_copied() {
        use crate::mailroom::{MailroomEvent, MessageKey, Summary, decode};
        let mut state = talking();
        state.focus = Pane::Mailboxes;
        let (key, text) = (MessageKey { hash: 1, occurrence: 0 }, |text: &str| text.into());
        let _ = state.reader.open("linhphan".to_owned());
        let mailbox = "linhphan".to_owned();
        state.take_news(MailroomEvent::Begun { mailbox, messages: 1, left_out: 0 });
        let (from, subject) = (text("Ben"), text("Hello"));
        let summary =
            Summary { key, number: 1, from, subject, date: None, octets: 9, caught_for: None };
        state.take_news(MailroomEvent::Listed(vec![summary]));
        state.take_news(MailroomEvent::Complete);
        assert_eq!(copied(&mut state, &[Action::CopyLine]).unwrap(), "Ben: Hello");
        state.update(Action::OpenMessage);
        let message = decode::message(key, b"Subject: Hello\n\nLinh,\nbye\n".to_vec(), 27);
        state.take_news(MailroomEvent::Shown(Box::new(message)));
        assert_eq!(copied(&mut state, &[Action::CopyLine]).unwrap(), "Linh,\nbye");
        let raw = [Action::NextShape, Action::CopyLine];
        assert_eq!(copied(&mut state, &raw).unwrap(), "Subject: Hello\n\nLinh,\nbye");
    }

    #[test]
    fn of_a_paused_view_the_newest_shown_line_is_copied() {
        let mut state = talking();
        state.update(Action::Pause);
        state.apply(line(1, "QUIT"));
        assert_eq!(copied(&mut state, &[Action::CopyLine]).unwrap(), "[1] C: STAT");
    }

    #[test]
    fn what_is_copied_drives_no_terminal_and_is_the_headless_line() {
        let mut state = talking();
        let down = [
            Action::Wire,
            Action::Focus(Pane::Transcript),
            Action::Move(Step::First),
            Action::Move(Step::Down),
            Action::CopyLine,
        ];
        let text = copied(&mut state, &down).unwrap();
        assert_eq!(text, "[2] C: NOOP \\x1b]52;c;aGk=\\x07\\u{202e}");
    }

    #[test]
    fn all_lines_of_a_connection_are_copied_whatever_is_filtered() {
        let mut state = talking();
        state.apply(text_line(1, "Subject: x"));
        let _ = state.set_filter(Context::Pane(Pane::Transcript), "NOOP");
        let text = copied(&mut state, &[Action::CopyConnection]).unwrap();
        assert_eq!(text, "[1] C: PASS ******\n[1] C: STAT");
        says(&state, "Copied 2 lines of [1] #1.");
        let text = copied(&mut state, &[Action::Passwords, Action::Bodies, Action::CopyConnection]);
        assert_eq!(text.unwrap(), "[1] C: PASS cis505\n[1] C: STAT\n[1] C: Subject: x");
    }

    #[test]
    fn the_connection_is_that_of_the_cursor_or_the_one_narrowed_to() {
        let mut state = talking();
        let keys =
            [Action::Focus(Pane::Transcript), Action::Move(Step::Up), Action::CopyConnection];
        assert!(copied(&mut state, &keys).unwrap().starts_with("[2] "));
        let narrowed = [Action::OnlyThis, Action::Focus(Pane::Queue), Action::CopyConnection];
        assert!(copied(&mut state, &narrowed).unwrap().starts_with("[2] "));
        let selected = [Action::Focus(Pane::Connections), Action::CopyConnection];
        assert!(copied(&mut state, &selected).unwrap().starts_with("[1] "));
    }

    #[test]
    fn of_a_tile_the_newest_line_is_copied() {
        let mut state = talking();
        let text = copied(&mut state, &[Action::Tiles, Action::CopyLine]).unwrap();
        assert!(text.starts_with("[2] C: NOOP"));
        let text = copied(&mut state, &[Action::CopyConnection]).unwrap();
        assert!(text.starts_with("[2] C: NOOP"));
    }

    #[test]
    fn of_a_queue_entry_recipient_and_last_reply_are_copied() {
        let mut state = talking();
        let mut entry =
            queued("a@b.example", SystemTime::UNIX_EPOCH + Duration::from_hours(1), None);
        entry.last_reply = "550 \x07no".to_owned();
        state.overview_is(&Overview { mailboxes: vec![], queue: vec![entry] });
        let text = copied(&mut state, &[Action::Focus(Pane::Queue), Action::CopyLine]).unwrap();
        assert_eq!(text, "a@b.example: 550 \\x07no");
    }

    #[test]
    fn where_there_is_nothing_to_copy_it_is_said() {
        let mut state = with_connections(0);
        assert_eq!(copied(&mut state, &[Action::CopyLine]), None);
        says(&state, "There is no line to copy.");
        assert_eq!(copied(&mut state, &[Action::CopyConnection]), None);
        says(&state, "No connection is selected.");
        let mut state = with_connections(1);
        assert_eq!(copied(&mut state, &[Action::CopyConnection]), None);
        says(&state, "No lines of [1] #1 are left.");
    }
}
