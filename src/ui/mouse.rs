//! What a click and a turn of the wheel mean, where the panes are.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::console::action::{Action, Direction, Pane};
use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::ui::frame::{below_header, inside};
use crate::ui::layout::Layout;
use crate::ui::panes::{
    compose, connections, hint_bar, offers, question, queue, queue_entry, reader, servers, tiles,
    top_line, transcript,
};

/// What the mouse does on this screen, whose panes share `area`.
#[must_use]
pub fn action(state: &State, area: Rect, event: MouseEvent) -> Option<Action> {
    let at = Position::new(event.column, event.row);
    let layout = Layout::of(state, area)?;
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => clicked(state, &layout, area, at),
        MouseEventKind::ScrollUp => wheel(&layout, at, Direction::Backward),
        MouseEventKind::ScrollDown => wheel(&layout, at, Direction::Forward),
        _ => None,
    }
}

fn wheel(layout: &Layout, at: Position, direction: Direction) -> Option<Action> {
    if layout.reader.is_some_and(|area| area.contains(at)) {
        return Some(Action::WheelReader(direction));
    }
    pane_at(layout, at).map(|(pane, _)| Action::Wheel(pane, direction))
}

fn clicked(state: &State, layout: &Layout, area: Rect, at: Position) -> Option<Action> {
    if layout.hints.contains(at) {
        return hint_bar::button_at(state, layout.hints, at);
    }
    let above = offers::above(area, layout.hints);
    if offers::covers(state, above, at) {
        return offers::action_at(state, above, at);
    }
    match &state.overlay {
        Overlay::None => {}
        Overlay::Ask { question, .. } => return question::button_at(state, question, area, at),
        Overlay::Servers { .. } => return servers::button_at(state, area, at),
        Overlay::Compose => return compose::button_at(state, area, at),
        Overlay::QueueEntry { .. } => return queue_entry::button_over(state, area, at),
        _ => return None,
    }
    if layout.top.contains(at) {
        return top_line::button_at(state, layout.top, at);
    }
    if let Some(area) = layout.reader.filter(|area| area.contains(at)) {
        return Some(reader::action_at(state, area, at));
    }
    if let Some(entry) = layout.entry.filter(|entry| entry.contains(at)) {
        return queue_entry::button_at(state, entry, at);
    }
    let (pane, area) = pane_at(layout, at)?;
    let button = match pane {
        Pane::Queue => queue::button_at(state, area, at),
        _ => None,
    };
    Some(button.unwrap_or_else(|| Action::Click(pane, row_at(state, pane, area, at))))
}

fn pane_at(layout: &Layout, at: Position) -> Option<(Pane, Rect)> {
    layout.panes.iter().find(|(_, area)| area.contains(at)).copied()
}

/// Which of the rows in view is at a place of the screen.
fn row_at(state: &State, pane: Pane, area: Rect, at: Position) -> Option<usize> {
    let rows = match pane {
        Pane::Transcript if state.tiled => return tiles::tile_at(state, area, at),
        Pane::Transcript => inside(area),
        _ => below_header(inside(area)),
    };
    if !rows.contains(at) {
        return None;
    }
    let line = usize::from(at.y - rows.y);
    match pane {
        Pane::Connections => connections::row_at(state, area, line),
        Pane::Transcript => transcript::row_at(state, area, line),
        Pane::Queue => Some(queue::row_at(state, area, line)),
        _ => Some(line),
    }
}
