//! The details of one entry of the relay queue: its envelope, the hosts that were looked up, and
//! all attempts. Shown beside the queue if there is room, otherwise over the panes.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::BorderType;

use crate::console::action::{Action, Direction, EntryAction};
use crate::console::state::State;
use crate::console::state::relay::{Attempt, Source, Story, Target, Verdict};
use crate::console::state::rows::QueueRow;
use crate::store::overview::RecipientState;
use crate::ui::frame::{Titles, border, inside, over, overlay, overlay_scroll_bar, title};
use crate::ui::hits::HitMap;
use crate::ui::panes::buttons::{Button, in_border};
use crate::ui::panes::{buttons, queue};
use crate::ui::text::{grouped, line, octets, put, wrap_words};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns of the names.
const NAMES: u16 = 8;

/// Columns and lines of the box over the panes.
const SIZE: (u16, u16) = (72, 19);

/// How many lines the entry can be scrolled, in a box over the panes of `area`.
#[must_use]
pub fn most_scrolled(state: &State, area: Rect) -> usize {
    // The width inside the box: two columns of border and two of margin are taken off, and from the
    // height two lines of border.
    let width = SIZE.0.min(area.width.saturating_sub(4));
    let height = SIZE.1.min(area.height.saturating_sub(2));
    lines(state, width).len().saturating_sub(usize::from(height))
}

/// Draws the selected entry beside the queue.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    border(area, buffer, theme.border, BorderType::Rounded);
    let right = state.queue_selected().map_or("", |row| row.standing());
    title(area, buffer, &theme, &Titles { left: &name(state), right });
    draw_entry(state, 0, inside(area), buffer);
    buttons::draw(&buttons(state, area), theme.title, buffer, hits);
}

fn name(state: &State) -> String {
    match state.queue.selected() {
        Some(row) => {
            format!("Queue entry {} of {}", row.number, grouped(state.queue.items().len()))
        }
        None => "Queue entry".to_owned(),
    }
}

/// The buttons in the lower border of `area`.
fn buttons(state: &State, area: Rect) -> Vec<Button> {
    let Some(row) = state.queue_selected() else { return Vec::new() };
    let is_held = row.state == RecipientState::Held;
    let labels = [
        (EntryAction::Retry, "Retry"),
        (EntryAction::View, "View"),
        (EntryAction::Hold, if is_held { "Release" } else { "Hold" }),
        (EntryAction::Drop, "Drop"),
        (EntryAction::Other(Direction::Backward), ""),
        (EntryAction::Other(Direction::Forward), ""),
        (EntryAction::Save, "Save"),
        (EntryAction::Copy, "Copy"),
    ];
    let key = |action| match action {
        // In the details, the key that otherwise saves transcript rows saves the message.
        EntryAction::Save => state.keymap.key_of(Action::Save),
        action => state.keymap.key_of(action.action()),
    };
    let button = |(action, label): (EntryAction, &str)| {
        let words = format!("[{} {label}", key(action)).trim_end().to_owned() + "]";
        (Action::WithEntry(action), words)
    };
    in_border(area, labels.map(button))
}

/// Draws the selected entry over the panes, with `top` as its first line.
pub fn draw_over(state: &State, top: usize, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let inner = overlay(area, buffer, &theme, SIZE, &name(state));
    buttons::draw(&buttons(state, over(area, SIZE)), theme.title, buffer, hits);
    let all = lines(state, inner.width).len();
    overlay_scroll_bar(area, buffer, &theme, SIZE, (top, all));
    draw_entry(state, top, inner, buffer);
}

fn draw_entry(state: &State, top: usize, inner: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    for (n, (name, words)) in lines(state, inner.width).iter().skip(top).enumerate() {
        let Some(at) = line(inner, n) else {
            return;
        };
        put(buffer, at.as_position(), NAMES, name, theme.faint);
        let from = Position::new(at.x + NAMES, at.y);
        put(buffer, from, at.width.saturating_sub(NAMES), words, theme.text);
    }
}

/// The lines of the selected entry in `width` columns. Each comes with the name of the field that
/// it begins, or an empty one.
fn lines(state: &State, width: u16) -> Vec<(String, String)> {
    let Some(row) = state.queue_selected() else {
        return Vec::new();
    };
    let room = usize::from(width.saturating_sub(NAMES));
    let mut lines = Vec::new();
    let story = &state.relay.story;
    for (name, words) in
        [envelope(state, &row), hosts(story), attempts(state, story)].into_iter().flatten()
    {
        let mut name = name;
        for piece in wrap_words(&words, room) {
            let piece = words.get(piece).unwrap_or_default().trim_end();
            lines.push((std::mem::take(&mut name), piece.to_owned()));
        }
    }
    lines
}

type Field = (String, String);

fn envelope(state: &State, row: &QueueRow) -> Vec<Field> {
    let standing = match (row.sending, row.state) {
        (Some(sent), _) => queue::sending(sent),
        (None, RecipientState::Pending) => "waiting".to_owned(),
        (None, RecipientState::Delivered) => "delivered".to_owned(),
        (None, RecipientState::Failed) => "failed; not retried automatically".to_owned(),
        (None, RecipientState::Held) => "held until it is released".to_owned(),
    };
    let fields = [
        ("id", row.id.to_string()),
        ("from", row.reverse_path.to_string()),
        ("to", row.recipient.to_string()),
        ("size", octets(row.octets)),
        ("queued", local(state, row.queued, "%Y-%m-%d %H:%M:%S")),
        ("state", standing),
        ("tries", format!("{} · next {}", row.attempts, queue::next(row, state.clock.wall))),
        ("reply", row.last_reply.to_string()),
    ];
    let mut fields = fields.map(|(name, words)| (name.to_owned(), words)).to_vec();
    // Most senders ask for nothing.
    if !row.parameters.as_str().is_empty() {
        fields.push(("asked".to_owned(), row.parameters.to_string()));
    }
    fields
}

/// The hosts in the order in which they are tried, each with the preference of its MX record, or
/// the reason why there are none.
fn hosts(story: &Story) -> Vec<Field> {
    let words = match &story.hosts {
        None => vec!["not looked up yet".to_owned()],
        Some(Err(verdict)) => vec![verdict.diagnosis().reason.to_string()],
        Some(Ok(targets)) => {
            let host = |target: &Target| {
                let preference = target.preference.map(|preference| format!("{preference} "));
                let name = DisplayText::from(target.host.as_str());
                format!("{}{name} {}", preference.unwrap_or_default(), target.address)
            };
            targets.iter().map(host).collect()
        }
    };
    named_once("hosts", words)
}

/// The attempts, newest first.
fn attempts(state: &State, story: &Story) -> Vec<Field> {
    let words = story.attempts.iter().rev().map(|attempt| told(state, attempt));
    named_once("tried", words.collect())
}

fn told(state: &State, Attempt { at, number, verdict }: &Attempt) -> String {
    let fate = match verdict {
        Verdict::Delivered(..) => "delivered",
        Verdict::Deferred(..) => "deferred",
        Verdict::Failed(_) => "failed",
    };
    let diagnosis = verdict.diagnosis();
    let by = match &diagnosis.source {
        Source::Host(host) => format!(" by {host}"),
        Source::Relay => String::new(),
    };
    let time = local(state, *at, "%H:%M:%S");
    format!("{time} #{number} {fate}{by}: {}", diagnosis.reason)
}

fn named_once(name: &str, words: Vec<String>) -> Vec<Field> {
    let names = std::iter::once(name.to_owned()).chain(std::iter::repeat(String::new()));
    names.zip(words).collect()
}

fn local(state: &State, at: SystemTime, format: &str) -> String {
    let at = DateTime::<Utc>::from(at).with_timezone(&state.clock.offset);
    at.format(format).to_string()
}
