//! What the panes have in common: borders with titles, scroll bars, popups, the selected row.

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

/// A pane of this height is only its title, and for the log its newest line.
pub(super) const TITLE_ONLY: u16 = 1;

/// What is said in the border of a pane.
pub(super) struct Titles<'a> {
    /// From the left corner on; has precedence.
    pub(super) left: &'a str,
    /// Up to the right corner; left out where there is no room for both.
    pub(super) right: &'a str,
}

/// Draws the border of a pane, thick if keys go to it; returns what is inside. A pane that is
/// only a title gets a rule, and has nothing inside.
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

/// What is inside of a pane's border.
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

/// Columns for the left title of the box `area` beside the title on its right, which is left out
/// where there are more.
pub(super) fn room_beside(area: Rect, right: &str) -> u16 {
    // The corners, their neighbours, and the blanks around both titles.
    area.width.saturating_sub(8 + columns(right))
}

/// The left title has precedence; the right one is left out where both have no room.
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

/// Shows on the right border which of a pane's rows are in view, if not all are.
pub(super) fn scroll_bar(area: Rect, buffer: &mut Buffer, theme: &Theme, extent: Extent) {
    let Extent { above, page, all } = extent;
    let track = usize::from(area.height.saturating_sub(2));
    if all <= page || track == 0 {
        return;
    }
    // What lies beneath a question may not have been fitted since it was sent to its end.
    let above = above.min(all - page);
    let thumb = (track * page / all).clamp(1, track);
    let room = track - thumb;
    let from = (above * room / (all - page)).min(room);
    for y in (area.y + 1..area.bottom()).skip(from).take(thumb) {
        put(buffer, Position::new(area.right() - 1, y), 1, "█", theme.title);
    }
}

/// A box over the panes, in their middle; returns what is inside.
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

/// Where a box over the panes is, with room inside for `size`, if there is that much.
pub(super) fn over(area: Rect, size: (u16, u16)) -> Rect {
    let width = size.0.saturating_add(4).min(area.width);
    let height = size.1.saturating_add(2).min(area.height);
    Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height)
}

/// Shows on the border of a box over the panes which of its `all` lines are in view, from the
/// `top`-th on, if not all are.
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

/// What is inside of a box over the panes.
pub(super) fn inside_overlay(area: Rect, size: (u16, u16)) -> Rect {
    let inner = inside(over(area, size));
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// Blanks a wide character whose right half an overlay has taken.
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

/// Lays the selection over a row of a list that has been drawn, if it is selected and keys go there.
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

/// The name of a list's pane, in which order it is shown, and what is looked for in it.
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

/// How many of a list's rows are marked, in front of what else there is to say.
pub(super) fn with_marked(marked: usize, words: String) -> String {
    match marked {
        0 => words,
        _ if words.is_empty() => format!("{} marked", grouped(marked)),
        _ => format!("{} marked · {words}", grouped(marked)),
    }
}

/// The sign in front of the selected row, for those to whom reverse says nothing.
pub(super) const fn mark(is_selected: bool) -> &'static str {
    if is_selected { "▸" } else { " " }
}

/// The same, where rows can be marked for what is done next.
pub(super) const fn marks(is_selected: bool, is_marked: bool) -> &'static str {
    match (is_selected, is_marked) {
        (true, true) => "▸*",
        (true, false) => "▸",
        (false, true) => " *",
        (false, false) => "",
    }
}

/// Columns of these signs: the marks take none where there are none.
pub(super) fn columns_of_marks(marked: usize) -> u16 {
    if marked == 0 { 1 } else { 2 }
}

/// Where a list's rows begin: below the names of its columns.
#[must_use]
pub fn below_header(inner: Rect) -> Rect {
    let header = inner.height.min(1);
    Rect { y: inner.y + header, height: inner.height - header, ..inner }
}

/// Says in the middle of an empty list why it is empty.
pub(super) fn say_empty(inner: Rect, buffer: &mut Buffer, style: Style, words: &str) {
    let room = usize::from(inner.width.saturating_sub(2));
    for (n, piece) in words_in_lines(words, room).iter().enumerate() {
        if let Some(line) = crate::ui::text::line(inner, n) {
            let at = Position::new(line.x + 1, line.y);
            put(buffer, at, line.width.saturating_sub(1), piece, style);
        }
    }
}

/// Our own words in lines of at most `room` columns, broken at blanks.
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
