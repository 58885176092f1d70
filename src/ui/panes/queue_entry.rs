//! One entry of the relay queue, whole: beside the queue where there is room, else over it.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::BorderType;

use crate::app::state::State;
use crate::app::state::rows::QueueRow;
use crate::store::overview::RecipientState;
use crate::ui::panes::{Titles, border, inside, overlay, queue, title};
use crate::ui::text::{line, octets, put, wrap};
use crate::ui::theme::Theme;

/// Columns of the names.
const NAMES: u16 = 8;

/// Columns and lines over the panes.
const SIZE: (u16, u16) = (66, 12);

/// Draws the selected entry beside the queue.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    border(area, buffer, theme.border, BorderType::Rounded);
    let titles = Titles { left: "Queue entry", right: "" };
    title(area, buffer, &theme, &titles);
    draw_entry(state, inside(area), buffer);
}

/// Draws the selected entry over the panes.
pub fn draw_over(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let inner = overlay(area, buffer, &theme, SIZE, "Queue entry");
    draw_entry(state, inner, buffer);
}

fn draw_entry(state: &State, inner: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let Some(row) = state.queue.selected() else {
        return;
    };
    let room = usize::from(inner.width.saturating_sub(NAMES));
    let mut n = 0;
    for (name, words) in fields(state, row) {
        for (piece, name) in
            wrap(&words, room).into_iter().zip([name].into_iter().chain(std::iter::repeat("")))
        {
            let Some(at) = line(inner, n) else {
                return;
            };
            put(buffer, at.as_position(), NAMES, name, theme.faint);
            let from = Position::new(at.x + NAMES, at.y);
            put(buffer, from, at.width.saturating_sub(NAMES), piece, theme.text);
            n += 1;
        }
    }
}

fn fields(state: &State, row: &QueueRow) -> [(&'static str, String); 8] {
    let queued = DateTime::<Utc>::from(row.queued).with_timezone(&state.clock.offset);
    let standing = match row.state {
        RecipientState::Pending => "waiting",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed; not tried again by itself",
        RecipientState::Held => "held",
    };
    [
        ("id", row.id.to_string()),
        ("from", row.reverse_path.to_string()),
        ("to", row.recipient.to_string()),
        ("size", octets(row.octets)),
        ("queued", queued.format("%Y-%m-%d %H:%M:%S").to_string()),
        ("state", standing.to_owned()),
        ("tries", format!("{} · next {}", row.attempts, queue::next(row, state.clock.wall))),
        ("reply", row.last_reply.to_string()),
    ]
}
