//! Elements shared by the panes: borders with titles, scroll bars, popups, the selected row.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::console::action::{Context, Pane};
use crate::console::state::State;
use crate::console::state::extent::Extent;
use crate::ui::text::{columns, grouped, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// A pane of this height is only its title; the log also shows its newest line there.
pub(super) const TITLE_ONLY: u16 = 1;

/// The two titles in the upper border of a pane.
pub(super) struct Titles<'a> {
    /// Starts at the left corner; has precedence.
    pub(super) left: &'a str,
    /// Ends at the right corner; left out if there is no room for both.
    pub(super) right: &'a str,
}

/// Draws the border of a pane, thick if the pane receives keys; returns the area inside. A pane
/// that is only a title gets a single line, and has no area inside.
pub(super) fn frame(
    state: &State,
    pane: Pane,
    area: Rect,
    buffer: &mut Buffer,
    titles: &Titles<'_>,
) -> Rect {
    let theme = Theme::of(state.palette);
    let (style, kind) = if state.focus == pane {
        (theme.focus, BorderType::Thick)
    } else {
        (theme.border, BorderType::Rounded)
    };
    border(area, buffer, style, kind);
    title(area, buffer, &theme, titles);
    inside(area)
}

/// The area inside a pane's border.
#[must_use]
pub fn inside(area: Rect) -> Rect {
    match area.height {
        TITLE_ONLY => Rect { height: 0, ..area },
        _ => Block::bordered().inner(area),
    }
}

pub(super) fn border(area: Rect, buffer: &mut Buffer, style: Style, kind: BorderType) {
    if area.height == TITLE_ONLY {
        let rule = match kind {
            BorderType::Thick => "━",
            _ => "─",
        };
        let rule = rule.repeat(usize::from(area.width));
        put(buffer, area.as_position(), area.width, &rule, style);
        return;
    }
    Block::bordered().border_type(kind).border_style(style).render(area, buffer);
}

/// Columns for the left title of the box `area` beside the right title, which is left out if the
/// left one is longer than this.
pub(super) fn room_beside(area: Rect, right: &str) -> u16 {
    // The corners, the columns next to them, and the blanks around both titles.
    area.width.saturating_sub(8 + columns(right))
}

/// Draws both titles. The left one has precedence: the right one is left out if there is no room
/// for both.
pub(super) fn title(area: Rect, buffer: &mut Buffer, theme: &Theme, titles: &Titles<'_>) {
    let room = area.width.saturating_sub(4);
    let left = format!(" {} ", titles.left);
    let at = Position::new(area.x + 1, area.y);
    let taken = put(buffer, at, room, &left, theme.title);
    let right = format!(" {} ", titles.right);
    let wanted = columns(&right);
    if titles.right.is_empty() || taken + wanted > room {
        return;
    }
    let at = Position::new(area.right() - 1 - wanted, area.y);
    put(buffer, at, wanted, &right, theme.text);
}

/// Draws a scroll bar on the right border of a pane, unless all of its rows are in view.
pub(super) fn scroll_bar(area: Rect, buffer: &mut Buffer, theme: &Theme, extent: Extent) {
    let Extent { above, page, all } = extent;
    let track = usize::from(area.height.saturating_sub(2));
    if all <= page || track == 0 {
        return;
    }
    // A list beneath a question may have been scrolled to its end and not fitted since.
    let above = above.min(all - page);
    let thumb = (track * page / all).clamp(1, track);
    let room = track - thumb;
    let from = (above * room / (all - page)).min(room);
    for y in (area.y + 1..area.bottom()).skip(from).take(thumb) {
        put(buffer, Position::new(area.right() - 1, y), 1, "█", theme.title);
    }
}

/// Draws a box in the middle over the panes; returns the area inside.
pub(super) fn overlay(
    area: Rect,
    buffer: &mut Buffer,
    theme: &Theme,
    size: (u16, u16),
    name: &str,
) -> Rect {
    let over = over(area, size);
    Clear.render(over, buffer);
    buffer.set_style(over, theme.base);
    mend_wide(over, buffer);
    border(over, buffer, theme.focus, BorderType::Double);
    let titles = Titles { left: name, right: "" };
    title(over, buffer, theme, &titles);
    inside_overlay(area, size)
}

/// The area of a box over the panes, with room inside for `size` if the screen has that much.
pub(super) fn over(area: Rect, size: (u16, u16)) -> Rect {
    let width = size.0.saturating_add(4).min(area.width);
    let height = size.1.saturating_add(2).min(area.height);
    Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height)
}

/// Draws a scroll bar on the border of a box over the panes, unless all of its `all` lines are in
/// view; `top` is the first line in view.
pub(super) fn overlay_scroll_bar(
    area: Rect,
    buffer: &mut Buffer,
    theme: &Theme,
    size: (u16, u16),
    (top, all): (usize, usize),
) {
    let page = usize::from(inside_overlay(area, size).height);
    scroll_bar(over(area, size), buffer, theme, Extent { above: top, page, all });
}

/// The area inside a box over the panes.
pub(super) fn inside_overlay(area: Rect, size: (u16, u16)) -> Rect {
    let inner = inside(over(area, size));
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// Blanks a wide character whose other half is covered by an overlay.
pub(super) fn mend_wide(over: Rect, buffer: &mut Buffer) {
    let Some(left) = over.x.checked_sub(1) else {
        return;
    };
    for y in over.top()..over.bottom() {
        if let Some(cell) = buffer.cell_mut((left, y))
            && columns(cell.symbol()) > 1
        {
            cell.set_symbol(" ");
        }
    }
}

/// Highlights a row of a list that has been drawn, if it is selected and the list receives keys.
pub(super) fn lay_bar(
    state: &State,
    pane: Pane,
    is_selected: bool,
    row: Rect,
    buffer: &mut Buffer,
) {
    if is_selected && state.focus == pane {
        Theme::of(state.palette).select(row, buffer);
    }
}

/// The title of a list's pane: its name, its sort order and its filter.
pub(super) fn name_and_filter(state: &State, pane: Pane) -> String {
    let order = match pane {
        Pane::Connections => state.connections.order().map(|order| order.words),
        Pane::Queue => state.queue.order().map(|order| order.words),
        Pane::Transcript | Pane::Mailboxes | Pane::Log => None,
    };
    let order = order.map_or_else(String::new, |words| format!(" · {words}"));
    match state.filter_of(Context::Pane(pane)) {
        None => format!("{}{order}", pane.title()),
        Some(pattern) => format!("{}{order} / {}", pane.title(), DisplayText::from(pattern)),
    }
}

/// Puts the number of marked rows of a list before `words`.
pub(super) fn with_marked(marked: usize, words: String) -> String {
    match marked {
        0 => words,
        _ if words.is_empty() => format!("{} marked", grouped(marked)),
        _ => format!("{} marked · {words}", grouped(marked)),
    }
}

/// The sign in front of the selected row, for users and terminals without reverse video.
pub(super) const fn mark(is_selected: bool) -> &'static str {
    if is_selected { "▸" } else { " " }
}

/// The sign in a list whose rows can also be marked.
pub(super) const fn marks(is_selected: bool, is_marked: bool) -> &'static str {
    match (is_selected, is_marked) {
        (true, true) => "▸*",
        (true, false) => "▸",
        (false, true) => " *",
        (false, false) => "",
    }
}

/// Columns of these signs: the marks take a column only if there are marked rows.
pub(super) fn columns_of_marks(marked: usize) -> u16 {
    if marked == 0 { 1 } else { 2 }
}

/// The area of a list's rows, below the column headings.
#[must_use]
pub fn below_header(inner: Rect) -> Rect {
    let header = inner.height.min(1);
    Rect { y: inner.y + header, height: inner.height - header, ..inner }
}

/// Draws the reason why a list is empty in its middle.
pub(super) fn say_empty(inner: Rect, buffer: &mut Buffer, style: Style, words: &str) {
    let room = usize::from(inner.width.saturating_sub(2));
    for (n, piece) in words_in_lines(words, room).iter().enumerate() {
        if let Some(line) = crate::ui::text::line(inner, n) {
            let at = Position::new(line.x + 1, line.y);
            put(buffer, at, line.width.saturating_sub(1), piece, style);
        }
    }
}

/// Breaks a text of the program into lines of at most `room` columns, at blanks.
pub(super) fn words_in_lines(words: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
