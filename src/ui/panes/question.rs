//! A question over the panes. The safe answer is marked until the user marks the other.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::app::action::Answer;
use crate::app::state::{Question, State};
use crate::ui::panes::overlay;
use crate::ui::text::{columns, line, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

const WIDTH: u16 = 52;

/// Draws it.
pub fn draw(state: &State, question: &Question, marked: Answer, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let asked = Asked::of(state, question);
    let inner = overlay(area, buffer, &theme, (WIDTH, 5), "Confirm");
    for (n, words) in [&asked.question, &asked.reason].into_iter().enumerate() {
        if let Some(at) = line(inner, n) {
            put(buffer, at.as_position(), at.width, words, theme.text);
        }
    }
    let Some(foot) = line(inner, 4) else {
        return;
    };
    let mut at = foot.as_position();
    for (answer, words) in [(Answer::No, asked.no), (Answer::Yes, asked.yes)] {
        let style = if answer == marked { theme.selected } else { theme.text };
        put(buffer, at, foot.width, words, style);
        at = Position::new(at.x + columns(words) + 2, at.y);
    }
}

/// The question in a line, for a terminal that has no room for more.
#[must_use]
pub fn in_short(state: &State, question: &Question) -> String {
    format!("{} y yes, Esc no", Asked::of(state, question).question)
}

struct Asked {
    question: String,
    reason: String,
    yes: &'static str,
    no: &'static str,
}

impl Asked {
    fn of(state: &State, question: &Question) -> Self {
        match question {
            Question::Drop(pick) => {
                let recipient = pick.recipient.as_deref().unwrap_or(&pick.id);
                Self {
                    question: format!("Drop the mail for {}?", DisplayText::from(recipient)),
                    reason: if state.relay.is_being_sent(pick) {
                        "It is being sent now, and may arrive all the same.".to_owned()
                    } else {
                        "It is removed from the queue, and nobody is told.".to_owned()
                    },
                    yes: " y Drop it ",
                    no: " Esc Keep it ",
                }
            }
            Question::Delete(_) => Self {
                question: "Delete this message?".to_owned(),
                reason: "It is removed from the mailbox for good.".to_owned(),
                yes: " y Delete it ",
                no: " Esc Keep it ",
            },
            Question::Quit { open } => Self {
                question: "Quit?".to_owned(),
                reason: match open {
                    _ if state.relay.tally.is_some() => {
                        "A relay run is under way; nothing of it is lost.".to_owned()
                    }
                    1 => "One connection is open; it gets a farewell.".to_owned(),
                    _ => format!("{open} connections are open; each gets a farewell."),
                },
                yes: " y Quit ",
                no: " Esc Stay ",
            },
            Question::Close(name) => {
                let rows = state.connections.items();
                let row = rows.iter().find(|row| row.name.id == name.id);
                let peer = row.map_or_else(String::new, |row| row.peer.to_string());
                let doing = row.map_or("", |row| row.state.as_str());
                Self {
                    question: format!(
                        "Close connection [{}] {} {peer}?",
                        name.number, name.service
                    ),
                    reason: match doing {
                        "" => String::new(),
                        state => format!("It is in the state {state}."),
                    },
                    yes: " y Close it ",
                    no: " Esc Keep it ",
                }
            }
        }
    }
}
