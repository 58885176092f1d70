//! A confirmation over the panes. The safe answer is marked until the user marks the other.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::action::{Action, Answer, Change, QueueTarget};
use crate::console::state::State;
use crate::console::state::overlay::Question;
use crate::mailroom::MessageKey;
use crate::ui::frame::overlay;
use crate::ui::hits::HitMap;
use crate::ui::text::{columns, cut, grouped, line, put, width};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

const WIDTH: u16 = 52;

/// Lines of the box.
const HEIGHT: u16 = 5;

/// Draws the box.
pub fn draw(
    state: &State,
    question: &Question,
    marked: Answer,
    area: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let theme = Theme::of(state.palette);
    let asked = Asked::of(state, question);
    let inner = overlay(area, buffer, &theme, (WIDTH, HEIGHT), "Confirm");
    for (n, words) in [&asked.question, &asked.reason].into_iter().enumerate() {
        if let Some(at) = line(inner, n) {
            put(buffer, at.as_position(), at.width, words, theme.text);
        }
    }
    for (answer, at, words) in asked.buttons(inner) {
        let style = if answer == marked { theme.selected } else { theme.text };
        put(buffer, at.as_position(), at.width, words, style);
        hits.click(at, Action::Answer(answer));
    }
}

/// The question in one line, for a terminal that is too small for the box.
#[must_use]
pub fn in_short(state: &State, question: &Question) -> String {
    format!("{} y yes, Esc no", Asked::of(state, question).question)
}

const fn stop_or_restart(change: Change) -> &'static str {
    match change {
        Change::Restart => "Restart",
        Change::Start | Change::Stop => "Stop",
    }
}

/// Names a message by its number and its subject.
fn to_be_deleted(state: &State, key: MessageKey) -> String {
    let Some(summary) = state.reader.summary_of(key) else {
        return "Delete this message?".to_owned();
    };
    let number = format!("Delete message {}", summary.number);
    let room = usize::from(WIDTH).saturating_sub(width(&number) + 3);
    match summary.subject.as_str() {
        "" => format!("{number}?"),
        subject => format!("{number}: {}?", cut(subject, room)),
    }
}

fn to_be_dropped(state: &State, targets: &[QueueTarget]) -> Asked {
    let is_sent = targets.iter().any(|target| state.relay.is_being_sent(target));
    match targets {
        [target] => {
            let recipient = target.recipient.as_deref().unwrap_or(&target.id);
            Asked {
                question: format!("Drop the mail for {}?", DisplayText::from(recipient)),
                reason: if is_sent {
                    "It is being sent now and may still arrive.".to_owned()
                } else {
                    "It is removed from the queue; no report is sent.".to_owned()
                },
                yes: " y Drop it ",
                no: " Esc Keep it ",
            }
        }
        targets => Asked {
            question: format!("Drop {} recipients from the queue?", grouped(targets.len())),
            reason: if is_sent {
                "Some are being sent now and may still arrive.".to_owned()
            } else {
                "They are removed from the queue; no report is sent.".to_owned()
            },
            yes: " y Drop them ",
            no: " Esc Keep them ",
        },
    }
}

struct Asked {
    question: String,
    reason: String,
    yes: &'static str,
    no: &'static str,
}

impl Asked {
    /// The answers with their areas and labels, the safe one first.
    fn buttons(&self, inner: Rect) -> Vec<(Answer, Rect, &'static str)> {
        let Some(foot) = line(inner, usize::from(HEIGHT) - 1) else {
            return Vec::new();
        };
        let no = Rect { width: columns(self.no).min(foot.width), ..foot };
        let x = no.right().saturating_add(2).min(foot.right());
        let width = columns(self.yes).min(foot.right() - x);
        vec![(Answer::No, no, self.no), (Answer::Yes, Rect { x, width, ..foot }, self.yes)]
    }

    fn of_messages(which: &str, mailbox: &DisplayText) -> Self {
        Self {
            question: format!("Delete {which} of {mailbox}?"),
            reason: "They are removed from the mailbox for good.".to_owned(),
            yes: " y Delete them ",
            no: " Esc Keep them ",
        }
    }

    fn of(state: &State, question: &Question) -> Self {
        match question {
            Question::Drop(targets) => to_be_dropped(state, targets),
            Question::Delete(keys) => match keys.as_slice() {
                [key] => Self {
                    question: to_be_deleted(state, *key),
                    reason: "It is removed from the mailbox for good.".to_owned(),
                    yes: " y Delete it ",
                    no: " Esc Keep it ",
                },
                keys => {
                    let mailbox = DisplayText::from(state.reader.mailbox().unwrap_or_default());
                    Self::of_messages(&format!("{} messages", grouped(keys.len())), &mailbox)
                }
            },
            Question::Clear { mailbox, messages } => Self::of_messages(
                &match messages {
                    1 => "the only message".to_owned(),
                    _ => format!("all {} messages", grouped(*messages)),
                },
                mailbox,
            ),
            Question::Stop { order, open } => Self {
                question: format!("{} the {} server?", stop_or_restart(order.what), order.service),
                reason: match open {
                    1 => "One connection is open; it will be closed.".to_owned(),
                    _ => format!("{open} connections are open; they will be closed."),
                },
                yes: " y Stop it ",
                no: " Esc Leave it ",
            },
            Question::RemoveFault(id) => Self {
                question: format!("Remove the rule {id}?"),
                reason: state
                    .fault(*id)
                    .map(|row| row.rule.as_str().to_owned())
                    .unwrap_or_default(),
                yes: " y Remove it ",
                no: " Esc Keep it ",
            },
            Question::Quit { open } => Self {
                question: "Quit?".to_owned(),
                reason: match open {
                    _ if state.relay.tally.is_some() => {
                        "A relay run is in progress; no mail is lost.".to_owned()
                    }
                    1 => "One connection is open; it will be closed.".to_owned(),
                    _ => format!("{open} connections are open; they will be closed."),
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
                        "Close connection [{}] {} {} {peer}?",
                        name.number,
                        name.session(),
                        name.service
                    ),
                    reason: match doing {
                        "" => String::new(),
                        state => format!("Its state is {state}."),
                    },
                    yes: " y Close it ",
                    no: " Esc Keep it ",
                }
            }
        }
    }
}
