//! The form for a test message, over the panes.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tui_input::Input;

use crate::console::action::{Action, Field};
use crate::console::state::State;
use crate::ui::frame::{inside_overlay, overlay};
use crate::ui::hits::HitMap;
use crate::ui::panes::hint_bar::draw_typed;
use crate::ui::text::{columns, line, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns and lines of the form, if there is room for them.
const MOST: (u16, u16) = (100, 30);

/// Columns of the names of the fields and of the mark before them.
const NAMES: u16 = 13;

/// Lines above the text.
const ABOVE: u16 = 5;

/// Lines below the text: a rule, the error, and the button.
const BELOW: u16 = 3;

/// The button that sends the message.
const SEND: &str = "[ Send ]";

/// Fits the text into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let text = text_area(inside_overlay(area, size(area)));
    state.form.fit(usize::from(text.height));
}

/// Draws the form.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let inner = overlay(area, buffer, &theme, size(area), "Compose a test message");
    for (n, field) in Field::ALL.iter().copied().enumerate() {
        if let (Some(at), Some(input)) = (line(inner, n), state.form.line(field)) {
            draw_field(state, field, input, at, buffer);
            hits.click(at, Action::ClickField(field, 0));
        }
    }
    draw_rules(state, inner, &theme, buffer);
    draw_body(state, text_area(inner), buffer, hits);
    draw_foot(state, inner, buffer, hits);
}

fn size(area: Rect) -> (u16, u16) {
    let (width, height) = (area.width.saturating_sub(8), area.height.saturating_sub(4));
    (width.min(MOST.0), height.min(MOST.1))
}

fn text_area(inner: Rect) -> Rect {
    let above = ABOVE.min(inner.height);
    let height = inner.height.saturating_sub(ABOVE + BELOW);
    Rect { y: inner.y + above, height, ..inner }
}

fn send_area(inner: Rect) -> Rect {
    let foot = line(inner, usize::from(inner.height.saturating_sub(1))).unwrap_or_default();
    Rect { width: columns(SEND).min(foot.width), ..foot }
}

fn draw_field(state: &State, field: Field, input: &Input, at: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let has_cursor = state.form.at() == field;
    let (mark, style) = if has_cursor { ("▸", theme.title) } else { (" ", theme.faint) };
    let name = format!("{mark} {}", name(field));
    put(buffer, at.as_position(), NAMES.min(at.width), &name, style);
    let names = NAMES.min(at.width);
    let at = Rect { x: at.x + names, width: at.width - names, ..at };
    let used = draw_input(input, has_cursor, at, &theme, buffer);
    if input.value().is_empty() {
        let at = Rect { x: at.x + used.min(at.width), width: at.width.saturating_sub(used), ..at };
        put(buffer, at.as_position(), at.width, placeholder(field), theme.faint);
    }
}

const fn name(field: Field) -> &'static str {
    match field {
        Field::From => "From",
        Field::To => "To",
        Field::Subject => "Subject",
        Field::Attachment => "Attachment",
        Field::Body | Field::Send => "",
    }
}

/// The text in an empty field, which says what it means.
const fn placeholder(field: Field) -> &'static str {
    match field {
        Field::From => "<> (no sender: no report comes back)",
        Field::To => "user@domain; separate several with commas",
        Field::Attachment => "none; type a size, such as 10K or 5M",
        Field::Subject | Field::Body | Field::Send => "",
    }
}

/// Draws a line that is being typed, scrolled to its end if the cursor is in it; returns the
/// columns that it took.
fn draw_input(
    input: &Input,
    has_cursor: bool,
    at: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) -> u16 {
    if has_cursor {
        return draw_typed(input, at.as_position(), usize::from(at.width), theme, buffer);
    }
    let shown = DisplayText::from(input.value());
    put(buffer, at.as_position(), at.width, shown.as_str(), theme.text)
}

/// Draws the rules above and below the text; their arrows say that the text continues there.
fn draw_rules(state: &State, inner: Rect, theme: &Theme, buffer: &mut Buffer) {
    let text = text_area(inner);
    let (above, below) = state.form.body().goes_on();
    let style = if state.form.at() == Field::Body { theme.focus } else { theme.border };
    let rules = [(ABOVE - 1, above, " ↑ "), (ABOVE + text.height, below, " ↓ ")];
    for (n, goes_on, arrow) in rules {
        if let Some(at) = line(inner, usize::from(n)) {
            let rule = "─".repeat(usize::from(at.width));
            put(buffer, at.as_position(), at.width, &rule, style);
            let arrow = if goes_on { arrow } else { "" };
            let from = at.right().saturating_sub(5).max(at.x);
            put(buffer, Position::new(from, at.y), at.right() - from, arrow, theme.title);
        }
    }
}

fn draw_body(state: &State, text: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    // Also the lines below the text: a click there goes to the last line.
    for (n, row) in text.rows().enumerate() {
        hits.click(row, Action::ClickField(Field::Body, n));
    }
    let theme = Theme::of(state.palette);
    let has_cursor = state.form.at() == Field::Body;
    for (n, (input, is_here)) in state.form.body().in_view().enumerate() {
        let Some(at) = line(text, n) else {
            return;
        };
        draw_input(input, has_cursor && is_here, at, &theme, buffer);
    }
}

fn draw_foot(state: &State, inner: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let last = usize::from(inner.height.saturating_sub(1));
    if let (Some(at), Some(error)) = (line(inner, last.saturating_sub(1)), state.form.error()) {
        put(buffer, at.as_position(), at.width, error.as_str(), theme.bad);
    }
    let Some(foot) = line(inner, last) else {
        return;
    };
    let button = send_area(inner);
    put(buffer, button.as_position(), button.width, SEND, send_style(state, &theme));
    hits.click(button, Action::Submit);
    let rest = button.right().saturating_add(2).min(foot.right());
    let words = "^S sends · Tab next field · Esc keeps it for later";
    put(buffer, Position::new(rest, foot.y), foot.right() - rest, words, theme.faint);
}

fn send_style(state: &State, theme: &Theme) -> Style {
    if state.form.at() == Field::Send { theme.selected } else { theme.title }
}
