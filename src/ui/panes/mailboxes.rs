//! The mailboxes: the size of each, its new messages, and the lock.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::rows::MailboxRow;
use crate::ui::frame::{
    Titles, below_header, frame, inside, lay_bar, mark, name_and_filter, say_empty, scroll_bar,
};
use crate::ui::hits::HitMap;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{columns, grouped, line, octets, put, width};
use crate::ui::theme::Theme;

/// Columns of the bar for a mailbox's share of the total size.
const BAR: u16 = 10;

/// Columns that a name keeps.
const NAME: u16 = 8;

/// The index of the column with the number of messages.
const COUNT_COLUMN: usize = 2;

/// Columns of the standing that has precedence over the bars.
const MOST_STANDING: u16 = 20;

/// The width in columns from which on the standing is in words instead of signs.
const ROOM_FOR_WORDS: u16 = 36;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = below_header(inside(area));
    state.mailboxes.fit(usize::from(rows.height));
}

/// Draws the pane.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let total: u64 = state.mailboxes.items().iter().map(|row| row.octets).sum();
    let left = name_and_filter(state, Pane::Mailboxes);
    let titles = Titles { left: &left, right: &octets(total) };
    let inner = frame(state, Pane::Mailboxes, area, buffer, &titles);
    if state.mailboxes.is_empty() {
        let words = match state.mailboxes.pattern() {
            None => {
                format!("No mailbox yet: {} adds one.", state.keymap.key_of(Action::NewMailbox))
            }
            Some(_) => "No mailbox matches the filter.".to_owned(),
        };
        say_empty(inner, buffer, theme.faint, &words);
        return;
    }
    let table = table(state, inner.width);
    if let Some(header) = line(inner, 0) {
        table.header(buffer, header, theme.header);
    }
    scroll_bar(area, buffer, &theme, state.mailboxes.extent());
    let area = below_header(inner);
    for (n, (row, is_selected)) in state.mailboxes.in_view().enumerate() {
        let Some(at) = line(area, n) else {
            return;
        };
        draw_row(state, &table, row, is_selected, at, buffer);
        hits.click(at, Action::Click(Pane::Mailboxes, Some(n)));
    }
}

fn draw_row(
    state: &State,
    table: &Table,
    row: &MailboxRow,
    is_selected: bool,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let total: u64 = state.mailboxes.items().iter().map(|row| row.octets).sum();
    let (style, sign) = (theme.text, mark(is_selected));
    if let Some(error) = &row.error {
        // An error has precedence over figures that cannot be trusted.
        table.row(buffer, at, &[(sign, style), (row.name.as_str(), style)]);
        let rest = table.rest(at, 2);
        let words = format!("! {error}");
        put(buffer, rest.as_position(), rest.width, &words, theme.bad);
        lay_bar(state, Pane::Mailboxes, is_selected, at, buffer);
        return;
    }
    // Bold, so that new mail catches the eye.
    let name = if row.new > 0 { style.add_modifier(Modifier::BOLD) } else { style };
    let cells = [
        (sign, style),
        (row.name.as_str(), name),
        (&counted(row, usize::from(table.width(COUNT_COLUMN))), style),
        (&octets(row.octets), style),
        (&bar(row.octets, total), theme.server),
        (&standing(state, row, at.width), theme.notice),
    ];
    table.row(buffer, at, &cells);
    lay_bar(state, Pane::Mailboxes, is_selected, at, buffer);
}

fn messages(row: &MailboxRow) -> String {
    row.messages.map_or_else(|| "—".to_owned(), grouped)
}

/// The number of messages in at most `room` columns; an approximate number is better than none.
fn counted(row: &MailboxRow, room: usize) -> String {
    let exact = messages(row);
    match row.messages {
        Some(count) if width(&exact) > room => in_short(count),
        _ => exact,
    }
}

/// A number in four columns: `1234`, `100K`, `1.2M`.
fn in_short(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_999 => format!("{}K", count / 1_000),
        1_000_000..=9_999_999 => {
            format!("{}.{}M", count / 1_000_000, count / 100_000 % 10)
        }
        _ => format!("{}M", (count / 1_000_000).min(999)),
    }
}

/// The standing of a mailbox: its most urgent facts first.
fn standing(state: &State, row: &MailboxRow, room: u16) -> String {
    let has_words = room >= ROOM_FOR_WORDS;
    let mut words = Vec::new();
    if row.new > 0 {
        let unit = if has_words { " new" } else { "" };
        words.push(format!("+{}{unit}", grouped(row.new)));
    }
    if let Some(holder) = &row.holder {
        words.push(if has_words { holder.as_str() } else { "L" }.to_owned());
        let session = state.session_on(&row.name).filter(|_| has_words);
        words.extend(session.map(|name| format!("[{}]", name.number)));
    }
    if row.is_queue() {
        words.push(if has_words { "relay" } else { "→" }.to_owned());
    }
    words.join(" ")
}

/// A bar for the share of `octets` in `total`, in eighths of a column.
pub(super) fn bar(octets: u64, total: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let most = u128::from(BAR) * 8;
    let eighths = (u128::from(octets) * most)
        .checked_div(u128::from(total))
        .map_or(0, |share| share.max(u128::from(octets > 0)));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let tip = EIGHTHS.get(eighths % 8).copied().unwrap_or("");
    format!("{}{tip}", "█".repeat(eighths / 8))
}

fn table(state: &State, available: u16) -> Table {
    let counts = state.mailboxes.in_view().take(usize::from(u8::MAX));
    let count = counts.map(|(row, _)| columns(&messages(row))).fold(4, u16::max);
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    let standings = state.mailboxes.in_view().take(usize::from(u8::MAX));
    let standing = standings
        .map(|(row, _)| columns(&standing(state, row, available)))
        .fold(0, u16::max)
        .min(MOST_STANDING);
    // The standing has precedence over the sizes, if any mailbox has one.
    let standing_rank = if standing > 0 { 2 } else { 4 };
    let standing = standing.max(4);
    // The mark, the name, the size, and the gaps between them.
    let others = 1 + NAME + 5 + standing + 4;
    let count = if others + count > available { count.min(4) } else { count };
    Table::new(
        &[
            column("", 1, 1, 0, Side::Left),
            column("user", NAME, 24, 0, Side::Left),
            column("msgs", count, count, 1, Side::Right),
            column("size", 5, 5, 3, Side::Right),
            column("share", BAR, BAR, 5, Side::Left),
            column("", standing, u16::MAX, standing_rank, Side::Left),
        ],
        available,
    )
}
