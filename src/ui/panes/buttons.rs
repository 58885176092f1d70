//! Buttons in the lower border of a pane or of a box over the panes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::action::Action;
use crate::ui::frame::TITLE_ONLY;
use crate::ui::hits::HitMap;
use crate::ui::text::{columns, put};

/// A button: its place, its label and its action.
pub(super) struct Button {
    at: Rect,
    words: String,
    action: Action,
}

/// The buttons that fit into the lower border of `area`, at its right end; the last ones are left
/// out first.
pub(super) fn in_border(
    area: Rect,
    wanted: impl IntoIterator<Item = (Action, String)>,
) -> Vec<Button> {
    if area.height <= TITLE_ONLY {
        return Vec::new();
    }
    let room = area.width.saturating_sub(2);
    let mut taken = 0;
    let mut shown = Vec::new();
    for (action, words) in wanted {
        let width = columns(&words) + u16::from(taken > 0);
        if taken + width > room {
            break;
        }
        taken += width;
        shown.push((action, words));
    }
    let mut x = area.right().saturating_sub(1 + taken);
    let y = area.bottom() - 1;
    let place = |(action, words): (Action, String)| {
        let at = Rect::new(x, y, columns(&words), 1);
        x += at.width + 1;
        Button { at, words, action }
    };
    shown.into_iter().map(place).collect()
}

/// Draws the buttons, and registers their clicks.
pub(super) fn draw(buttons: &[Button], style: Style, buffer: &mut Buffer, hits: &mut HitMap) {
    for button in buttons {
        put(buffer, button.at.as_position(), button.at.width, &button.words, style);
        hits.click(button.at, button.action);
    }
}
