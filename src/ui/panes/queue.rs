//! The relay queue: an entry for each recipient with its last reply, its progress while it is sent,
//! and buttons for the possible actions. The reply of the remote host is what an operator looks
//! for: it has precedence over all other columns, and in a narrow pane lines of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::console::action::{Action, Pane};
use crate::console::state::listed::{BY_DOMAIN, domain};
use crate::console::state::relay::Sent;
use crate::console::state::rows::QueueRow;
use crate::console::state::{SPIN, State};
use crate::store::overview::RecipientState;
use crate::store::survey::QUEUE_LISTED;
use crate::ui::frame::{
    Titles, below_header, columns_of_marks, frame, inside, lay_bar, marks, name_and_filter,
    say_empty, scroll_bar, with_marked,
};
use crate::ui::hits::HitMap;
use crate::ui::panes::buttons::{self, Button, in_border};
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{age, clock, columns, grouped, line, put, wrap_words};
use crate::ui::theme::Theme;

/// The index of the column with the recipient.
const RECIPIENT_COLUMN: usize = 3;

/// The index of the column with the last reply.
const REPLY_COLUMN: usize = 6;

/// The index of the column with the button of the row.
const RETRY_COLUMN: usize = 9;

/// In a pane narrower than this, replies have lines of their own.
const ROOM_FOR_REPLIES: u16 = 76;

/// The most lines that a reply gets, where it has lines of its own.
const MOST_REPLY: usize = 3;

/// Columns before a reply that has lines of its own.
const INDENT: u16 = 7;

/// In a list of at least this many lines, replies get lines of their own even if it then cannot
/// show all entries.
const ENOUGH: u16 = 8;

/// The most entries that are measured for the widths of the columns.
const MEASURED: usize = 255;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = below_header(inside(area)).height;
    state.queue.fit(usize::from(rows / lines_of_entry(state, area)));
}

/// Lines that the entries take in a pane that is `width` columns wide, if its height is not
/// limited.
#[must_use]
pub fn lines_wanted(state: &State, width: u16) -> u16 {
    let entries = u16::try_from(state.queue.items().len()).unwrap_or(u16::MAX);
    entries.saturating_mul(most_lines_of_entry(state, width))
}

/// Columns that the pane needs if replies have lines of their own.
#[must_use]
pub fn columns_wanted(state: &State) -> u16 {
    const AROUND: u16 = 2;
    // The signs, the number, the tries, the age, the next try, the button, and the gaps between
    // them.
    const OTHERS: u16 = 2 + 1 + 3 + 5 + 4 + 5 + 7 + 8;
    let rows = || state.queue.items().iter().take(MEASURED);
    let recipient = rows().map(|row| columns(row.recipient.as_str())).max().unwrap_or(0).min(40);
    let sender = rows().map(|row| columns(row.reverse_path.as_str())).max().unwrap_or(0).min(30);
    AROUND + OTHERS + recipient + sender
}

/// Lines of an entry: one, and in a narrow pane those that its reply needs, as far as there is
/// room.
fn lines_of_entry(state: &State, area: Rect) -> u16 {
    let rows = below_header(inside(area)).height;
    let entries = u16::try_from(state.queue.len()).unwrap_or(u16::MAX).max(1);
    let least = if rows >= ENOUGH { 2 } else { 1 };
    (rows / entries).max(least).min(most_lines_of_entry(state, area.width))
}

/// One line, or in a narrow pane those of the longest reply and a blank line after it.
fn most_lines_of_entry(state: &State, width: u16) -> u16 {
    if width >= ROOM_FOR_REPLIES {
        return 1;
    }
    // The pane loses two columns to its borders.
    let room = usize::from(width.saturating_sub(INDENT + 2));
    let rows = state.queue.items().iter().take(MEASURED);
    let lines = rows.map(|row| wrap_words(row.last_reply.as_str(), room).len().min(MOST_REPLY));
    u16::try_from(2 + lines.max().unwrap_or(1)).unwrap_or(u16::MAX)
}

/// Draws the pane.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let counts = counts(state).unwrap_or_else(|| "empty".to_owned());
    let left = match run(state) {
        Some(run) => format!("{} {run}", name_and_filter(state, Pane::Queue)),
        None => name_and_filter(state, Pane::Queue),
    };
    let counts = with_marked(state.queue.marked(), counts);
    let titles = Titles { left: &left, right: &counts };
    let inner = frame(state, Pane::Queue, area, buffer, &titles);
    if state.queue.is_empty() {
        let words = match state.queue.pattern() {
            None => "The queue is empty. Mail for other domains waits here.",
            Some(_) => "No entry matches the filter.",
        };
        say_empty(inner, buffer, theme.faint, words);
        return;
    }
    let lines = lines_of_entry(state, area);
    let table = table(state, inner.width, lines);
    if let Some(header) = line(inner, 0) {
        table.header(buffer, header, theme.header);
    }
    scroll_bar(area, buffer, &theme, state.queue.extent());
    buttons::draw(&buttons(state, area), theme.title, buffer, hits);
    let rows = below_header(inner);
    let page = usize::from(rows.height / lines);
    let groups = Groups::of(state);
    let mut before = None;
    for (n, (row, is_selected)) in state.queue.in_view().take(page).enumerate() {
        let Some(at) = line(rows, n * usize::from(lines)) else {
            return;
        };
        let at = Rect { height: lines, ..at };
        let head = groups.as_ref().map(|groups| groups.head(row, before));
        before = Some(row);
        let row = state.relay.bring_up_to_date(row);
        draw_entry(state, &table, &row, is_selected, head, at, buffer);
        hits.click(at, Action::Click(Pane::Queue, Some(n)));
        hits.click(table.rest(Rect { height: 1, ..at }, RETRY_COLUMN), Action::RetryRow(n));
    }
}

fn buttons(state: &State, area: Rect) -> Vec<Button> {
    if state.queue.is_empty() {
        return Vec::new();
    }
    let is_held = state.queue.selected().is_some_and(|row| row.state == RecipientState::Held);
    let labels = [
        (Action::Retry, "Retry"),
        (Action::RelayRun, "Retry all"),
        (Action::Hold, if is_held { "Release" } else { "Hold" }),
        (Action::Drop, "Drop"),
        (Action::Details, "Details"),
        (Action::ViewQueued, "View"),
    ];
    let key = |action| state.keymap.key_of(action);
    in_border(area, labels.map(|(action, label)| (action, format!("[{} {label}]", key(action)))))
}

/// The counts in the title: `2 waiting · 1 failed`; `None` for an empty queue.
pub(super) fn counts(state: &State) -> Option<String> {
    let named = [
        (RecipientState::Pending, "waiting"),
        (RecipientState::Failed, "failed"),
        (RecipientState::Held, "held"),
        (RecipientState::Delivered, "delivered"),
    ];
    let counts = named.map(|(state_of, name)| (state.queued(state_of), name));
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", grouped(*count)))
        .collect();
    // The rest of a longer queue is not listed.
    let more = if state.queue.items().len() >= QUEUE_LISTED { " and more" } else { "" };
    (!words.is_empty()).then(|| words.join(" · ") + more)
}

/// The progress of the relay run, if one is under way.
pub(super) fn run(state: &State) -> Option<String> {
    let tally = state.relay.tally?;
    let tried = tally.delivered + tally.deferred + tally.failed;
    Some(format!("{} {tried} of {} tried", spinner(state), tally.recipients))
}

/// A sign that turns with the time.
fn spinner(state: &State) -> &'static str {
    const SIGNS: [&str; 8] = ["⣾", "⣽", "⣻", "⢿", "⡿", "⣟", "⣯", "⣷"];
    let since = state.clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let turns = since.as_millis() / SPIN.as_millis();
    let sign = usize::try_from(turns % 8).unwrap_or_default();
    SIGNS.get(sign).copied().unwrap_or("⣾")
}

/// The progress of a message that is being sent: `sending… DATA 61%`.
pub(super) fn sending(sent: Sent) -> String {
    match sent.octets.saturating_mul(100).checked_div(sent.of) {
        None | Some(0) => "sending…".to_owned(),
        Some(percent) => format!("sending… DATA {}%", percent.min(100)),
    }
}

/// Draws an entry into the lines of `at`.
fn draw_entry(
    state: &State,
    table: &Table,
    row: &QueueRow,
    is_selected: bool,
    head: Option<Head>,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let style = theme.text;
    let recipient = match head {
        Some(Head::First(count @ 2..)) => format!("{} ×{count}", row.recipient),
        _ => row.recipient.as_str().to_owned(),
    };
    let (sign, colour) = match row.sending {
        Some(_) => (spinner(state), theme.notice),
        None => sign(row.state, &theme),
    };
    let reply = reply(row);
    let cells = [
        (marks(is_selected, state.queue.is_marked(row)), style),
        (sign, colour),
        (&row.number.to_string(), style),
        (&recipient, style),
        (row.reverse_path.as_str(), style),
        (&row.attempts.to_string(), style),
        (&reply, colour),
        (&waited(state, row), style),
        (&next(row, state.clock.wall), style),
        (if row.sending.is_some() { "[ ··· ]" } else { "[Retry]" }, style),
    ];
    table.row(buffer, at, &cells);
    if head == Some(Head::Again) {
        let column = table.rest(Rect { height: 1, ..at }, RECIPIENT_COLUMN);
        let room = table.width(RECIPIENT_COLUMN);
        let local = columns(&recipient).saturating_sub(columns(domain(&recipient)) + 1).min(room);
        let again = Rect { x: column.x + local, width: room - local, ..column };
        buffer.set_style(again.intersection(at), theme.stamp);
    }
    draw_reply(&reply, at, colour, buffer);
    lay_bar(state, Pane::Queue, is_selected, at, buffer);
}

/// The place of an entry in the group of its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// The first one in view; the domain has this many entries in the list.
    First(usize),
    /// A further one, which does not repeat the domain.
    Again,
}

/// The domains of a queue that is sorted by domain, with their numbers of entries.
struct Groups<'a>(HashMap<&'a str, usize>);

impl<'a> Groups<'a> {
    fn of(state: &'a State) -> Option<Self> {
        state.queue.order().filter(|order| order.name == BY_DOMAIN)?;
        let mut counts = HashMap::new();
        for row in state.queue.shown() {
            *counts.entry(domain(row.recipient.as_str())).or_insert(0) += 1;
        }
        Some(Self(counts))
    }

    fn head(&self, row: &QueueRow, before: Option<&QueueRow>) -> Head {
        let own = domain(row.recipient.as_str());
        match before {
            Some(before) if domain(before.recipient.as_str()) == own => Head::Again,
            _ => Head::First(self.0.get(own).copied().unwrap_or(1)),
        }
    }
}

fn waited(state: &State, row: &QueueRow) -> String {
    age(state.clock.wall.duration_since(row.queued).unwrap_or_default())
}

/// The last reply for an entry, or its progress while it is sent.
fn reply(row: &QueueRow) -> Cow<'_, str> {
    match row.sending {
        Some(sent) => sending(sent).into(),
        None => row.last_reply.as_str().into(),
    }
}

/// Draws a reply into the lines of an entry below the first, if there are any.
fn draw_reply(reply: &str, entry: Rect, style: Style, buffer: &mut Buffer) {
    const SIGN: u16 = 2;
    let own = Rect {
        x: entry.x + INDENT,
        y: entry.y + 1,
        width: entry.width.saturating_sub(INDENT),
        height: entry.height.saturating_sub(1),
    };
    if own.height == 0 {
        return;
    }
    let sign = Position::new(own.x - SIGN, own.y);
    put(buffer, sign, SIGN, "└ ", style);
    let reply = if reply.is_empty() { "not tried yet" } else { reply };
    let last = usize::from(own.height).min(MOST_REPLY) - 1;
    for (n, piece) in wrap_words(reply, usize::from(own.width)).iter().enumerate().take(last + 1) {
        let Some(at) = line(own, n) else { return };
        let to = if n == last { reply.len() } else { piece.end };
        put(buffer, at.as_position(), own.width, reply.get(piece.start..to).unwrap_or(""), style);
    }
}

/// The sign of a recipient's state, so that colour alone does not say it.
fn sign(state: RecipientState, theme: &Theme) -> (&'static str, Style) {
    match state {
        RecipientState::Pending => ("◷", theme.notice),
        RecipientState::Delivered => ("✓", theme.good),
        RecipientState::Failed => ("✗", theme.bad),
        RecipientState::Held => ("‖", theme.faint),
    }
}

/// When an entry is due: the time left, `now`, or a dash if it is not tried by itself.
pub(super) fn next(row: &QueueRow, now: SystemTime) -> String {
    let left = row.next_attempt.and_then(|at| at.duration_since(now).ok());
    match (row.sending, row.state, left) {
        (None, RecipientState::Pending, Some(left)) => clock(left),
        (Some(_), _, _) | (None, RecipientState::Pending, None) => "now".to_owned(),
        (None, _, _) => "—".to_owned(),
    }
}

/// The columns. `lines` are the lines of an entry: a reply with lines of its own has no column.
fn table(state: &State, available: u16, lines: u16) -> Table {
    let widest = |text: &dyn Fn(&QueueRow) -> u16, least: u16, most: u16| {
        let rows = state.queue.items().iter().take(MEASURED);
        rows.map(text).fold(least, u16::max).min(most)
    };
    let up_to_date = |row: &QueueRow| state.relay.bring_up_to_date(row);
    let signs = columns_of_marks(state.queue.marked());
    let number = columns(&state.queue.items().len().to_string());
    // The first entry of a domain also shows how many the domain has.
    let is_grouped = state.queue.order().is_some_and(|order| order.name == BY_DOMAIN);
    let count = if is_grouped { 2 + number } else { 0 };
    let recipient = widest(&|row| columns(row.recipient.as_str()), 9, 40) + count;
    let sender = widest(&|row| columns(row.reverse_path.as_str()), 4, 30);
    let tries = widest(&|row| columns(&row.attempts.to_string()), 5, 10);
    let next = widest(&|row| columns(&next(&up_to_date(row), state.clock.wall)), 4, 6);
    let age = widest(&|row| columns(&waited(state, row)), 3, 6);
    let reply = widest(&|row| columns(&reply(&up_to_date(row))), 10, u16::MAX);
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    let reply = match lines {
        1 => column("last reply", reply.min(available * 3 / 5), reply, 2, Side::Left),
        _ => column("", u16::MAX, u16::MAX, u8::MAX, Side::Left),
    };
    Table::with_precedence(
        REPLY_COLUMN,
        &[
            column("", signs, signs, 0, Side::Left),
            column("", 1, 1, 0, Side::Left),
            column("#", number, number, 3, Side::Right),
            column("recipient", recipient.min(18), recipient, 1, Side::Left),
            column("from", sender.min(12), sender, 9, Side::Left),
            column("tries", tries, tries, 7, Side::Right),
            reply,
            column("age", age, age, 8, Side::Right),
            column("next", next, next, 6, Side::Right),
            column("", 7, 7, 5, Side::Left),
        ],
        available,
    )
}
