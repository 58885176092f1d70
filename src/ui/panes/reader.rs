//! The open mailbox or message, in place of the transcript.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::state::State;
use crate::ui::hits::HitMap;
use crate::ui::panes::{message, messages};

/// Fits the open message, or else the messages, into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    messages::fit(state, area);
    message::fit(state, area);
}

/// Draws the open message, or else the messages.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    match (state.reader.viewer(), state.reader.messages()) {
        (Some(viewer), _) => message::draw(state, viewer, area, buffer, hits),
        (None, Some(messages)) => messages::draw(state, messages, area, buffer, hits),
        (None, None) => {}
    }
}
