//! A tile for each of the newest connections, in place of the single transcript.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::BorderType;

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::rows::ConnectionRow;
use crate::console::state::tiles::MOST;
use crate::ui::frame::{Titles, border, inside, room_beside, say_empty, title};
use crate::ui::hits::HitMap;
use crate::ui::panes::connections::state_in;
use crate::ui::panes::painter::Painter;
use crate::ui::panes::transcript::draw_begun;
use crate::ui::text::{clock, cut, line, width};
use crate::ui::theme::Theme;

/// The smallest useful size of a tile, in columns and lines.
const LEAST: (u16, u16) = (30, 5);

/// Fits the tiles into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    state.tiles.fit(room_for(area), state.connections.items());
}

/// Draws the tiles.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let newest = state.tiles.of(state.connections.items());
    if newest.is_empty() {
        let titles = Titles { left: Pane::Transcript.title(), right: "tiles" };
        border(area, buffer, theme.border, BorderType::Rounded);
        title(area, buffer, &theme, &titles);
        let words = "No connection yet. The newest get a tile each; v goes back.";
        say_empty(inside(area), buffer, theme.faint, words);
        return;
    }
    for (n, (row, tile)) in newest.iter().zip(grid(area, newest.len())).enumerate() {
        draw_tile(state, row, tile, buffer);
        hits.click(tile, Action::Click(Pane::Transcript, Some(n)));
    }
}

/// The number of tiles that fit.
fn room_for(area: Rect) -> usize {
    let across = usize::from(area.width / LEAST.0).clamp(1, 3);
    let down = usize::from(area.height / LEAST.1).clamp(1, 3);
    (across * down).min(MOST)
}

/// Divides `area` into `count` tiles: side by side first, as many in a row as are legible.
fn grid(area: Rect, count: usize) -> Vec<Rect> {
    let most_across = usize::from(area.width / LEAST.0).clamp(1, 3);
    let across = match count {
        0..=1 => 1,
        2..=4 => 2,
        _ => 3,
    };
    let across = across.min(most_across);
    let down = count.div_ceil(across);
    let rows = split(area.y, area.height, down);
    let tiles = rows.into_iter().enumerate().flat_map(|(row, (y, height))| {
        let in_row = across.min(count - row * across);
        let columns = split(area.x, area.width, in_row);
        columns.into_iter().map(move |(x, width)| Rect::new(x, y, width, height))
    });
    tiles.collect()
}

/// Divides a length from `start` into `parts`; the last part takes the remainder.
fn split(start: u16, length: u16, parts: usize) -> Vec<(u16, u16)> {
    let parts = u16::try_from(parts).unwrap_or(1).max(1);
    let part = length / parts;
    (0..parts)
        .map(|n| {
            if n + 1 == parts {
                (start + n * part, length - n * part)
            } else {
                (start + n * part, part)
            }
        })
        .collect()
}

fn draw_tile(state: &State, row: &ConnectionRow, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let is_chosen = state.chosen_tile().is_some_and(|chosen| chosen.name == row.name);
    let (style, kind) = if is_chosen && state.focus == Pane::Transcript {
        (theme.focus, BorderType::Thick)
    } else {
        (theme.border, BorderType::Rounded)
    };
    border(area, buffer, style, kind);
    let right = right_title(state, row);
    let left = left_title(row, room_beside(area, &right));
    title(area, buffer, &theme, &Titles { left: &left, right: &right });
    draw_lines(state, row, inside(area), buffer);
}

/// The left title. The state is cut to make room for the age; the state of a closed connection is
/// shown completely or not at all.
fn left_title(row: &ConnectionRow, room: u16) -> String {
    let name = format!("[{}] {} {}", row.name.number, row.name.session(), row.name.service);
    let room = usize::from(room);
    if row.closed.is_some() && width(&name) + 1 + width(row.state.as_str()) > room {
        return name;
    }
    let state = state_in(row.state.as_str(), room.saturating_sub(width(&name) + 1));
    cut(&format!("{name} {state}"), room).into_owned()
}

/// The time since the last input, or since the connection was closed.
fn right_title(state: &State, row: &ConnectionRow) -> String {
    let ago = |moment| clock(state.clock.instant.saturating_duration_since(moment));
    match row.closed {
        None => format!("● {}", ago(row.heard)),
        Some(closed) => format!("○ closed {}", ago(closed)),
    }
}

/// Draws the newest rows; once the tile is full, the last one is at its bottom.
fn draw_lines(state: &State, row: &ConnectionRow, inner: Rect, buffer: &mut Buffer) {
    let is_waiting = row.is_waiting(state.clock.instant);
    let room = usize::from(inner.height).saturating_sub(usize::from(is_waiting));
    let newest_first = state.transcript.ring().of(row.name.id).rev();
    let mut rows: Vec<_> = newest_first.take(room).collect();
    rows.reverse();
    let number = format!("[{}] ", row.name.number);
    for (n, shown) in rows.iter().enumerate() {
        let Some(at) = line(inner, n) else {
            break;
        };
        let painter = Painter::new(state, shown);
        let said = if painter.text().starts_with(&number) { number.len() } else { 0 };
        painter.draw(at, &(said..painter.text().len()), buffer);
    }
    if let Some(at) = line(inner, rows.len()).filter(|_| is_waiting) {
        draw_begun(state, row, "", at, buffer);
    }
}
