//! What is read, in the place of the transcript: the messages of a mailbox, or one of them.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::console::action::Action;
use crate::console::state::State;
use crate::ui::panes::{message, messages};

/// Fits it into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    messages::fit(state, area);
    message::fit(state, area);
}

/// Draws the open message, or else the messages.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    match (state.reader.viewer(), state.reader.messages()) {
        (Some(viewer), _) => message::draw(state, viewer, area, buffer),
        (None, Some(messages)) => messages::draw(state, messages, area, buffer),
        (None, None) => {}
    }
}

/// What a click at a place of the area means.
#[must_use]
pub fn action_at(state: &State, area: Rect, at: Position) -> Action {
    match state.reader.viewer() {
        Some(viewer) => message::button_at(viewer, area, at).unwrap_or(Action::ClickReader(None)),
        None => Action::ClickReader(messages::row_at(area, at)),
    }
}
