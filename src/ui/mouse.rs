//! What a click and a turn of the wheel mean, where the panes are.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::app::action::{Action, Direction, Pane};
use crate::app::state::{Overlay, State};
use crate::ui::layout::Layout;
use crate::ui::panes::{below_header, connections, inside, queue, transcript};

/// What the mouse does on this screen, whose panes share `area`.
#[must_use]
pub fn action(state: &State, area: Rect, event: MouseEvent) -> Option<Action> {
    let at = Position::new(event.column, event.row);
    let layout = Layout::of(state, area)?;
    let &(pane, area) = layout.panes.iter().find(|(_, area)| area.contains(at))?;
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => {
            let button = match pane {
                Pane::Queue if state.overlay == Overlay::None => queue::button_at(state, area, at),
                _ => None,
            };
            Some(button.unwrap_or_else(|| Action::Click(pane, row_at(state, pane, area, at))))
        }
        MouseEventKind::ScrollUp => Some(Action::Wheel(pane, Direction::Backward)),
        MouseEventKind::ScrollDown => Some(Action::Wheel(pane, Direction::Forward)),
        _ => None,
    }
}

/// Which of the rows in view is at a place of the screen.
fn row_at(state: &State, pane: Pane, area: Rect, at: Position) -> Option<usize> {
    let rows = match pane {
        Pane::Transcript if state.tiled => return None,
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
        _ => Some(line),
    }
}
