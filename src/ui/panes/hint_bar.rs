//! The last line: the keys that are of use now, or what is being typed, or what was said.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::app::action::Pane;
use crate::app::state::State;
use crate::app::state::pattern::Pattern;
use crate::ui::keymap::{Binding, hints};
use crate::ui::text::{columns, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Draws it.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    if let Some(pane) = state.typing {
        let words = prompt(state, pane);
        put(buffer, area.as_position(), area.width, &words, theme.title);
    } else if let Some(said) = &state.said {
        let words = format!(" {said}");
        put(buffer, area.as_position(), area.width, &words, theme.notice);
    } else {
        draw_hints(state, area, buffer);
    }
}

fn prompt(state: &State, pane: Pane) -> String {
    let name = pane.title().get(2..).unwrap_or("").to_lowercase();
    let typed = state.filter_of(pane).map_or("", Pattern::as_str);
    let typed = DisplayText::from(typed);
    let found = match pane {
        Pane::Connections => state.connections.len(),
        Pane::Transcript | Pane::Log => state.transcript.ring().len(),
        Pane::Mailboxes => state.mailboxes.len(),
        Pane::Queue => state.queue.len(),
    };
    format!(" Filter {name}: {typed}▏  {found} shown · ⏎ keeps it · Esc clears it")
}

/// As many hints as there is room for, and always the last one, which is how to quit.
fn draw_hints(state: &State, area: Rect, buffer: &mut Buffer) {
    let mut hints: Vec<&Binding> = hints(state.focus).collect();
    let Some(quit) = hints.pop() else {
        return;
    };
    let mut room = area.width.saturating_sub(taken_by(quit));
    let mut at = area.as_position();
    for hint in hints {
        let Some(left) = room.checked_sub(taken_by(hint)) else {
            break;
        };
        room = left;
        at = draw_hint(state, buffer, at, hint);
    }
    draw_hint(state, buffer, at, quit);
}

fn draw_hint(state: &State, buffer: &mut Buffer, at: Position, hint: &Binding) -> Position {
    let theme = Theme::of(state.palette);
    let key = format!(" {} ", key_name(hint));
    let mut at = Position::new(at.x + 1, at.y);
    at.x += put(buffer, at, columns(&key), &key, theme.key);
    let words = format!(" {}", hint.hint);
    at.x += put(buffer, at, columns(&words), &words, theme.text);
    at
}

fn taken_by(hint: &Binding) -> u16 {
    columns(&key_name(hint)) + columns(hint.hint) + 4
}

fn key_name(hint: &Binding) -> String {
    hint.keys.first().map_or_else(String::new, |key| key.name())
}
