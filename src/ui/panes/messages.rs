//! The messages of a mailbox: sender, subject, age and size of each. Only the rows in view are
//! built, however many messages there are.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::appearance::Palette;
use crate::console::state::messages::{Messages, Stage};
use crate::mailroom::Summary;
use crate::ui::frame::{
    Titles, below_header, columns_of_marks, frame, inside, lay_bar, marks, say_empty, scroll_bar,
    with_marked,
};
use crate::ui::hits::HitMap;
use crate::ui::panes::mailboxes::bar;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{columns, grouped, line, octets};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Messages older than this show the year instead of the time.
const RECENT: Duration = Duration::from_hours(300 * 24);

/// Columns of a date.
const DATE: u16 = 12;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = below_header(inside(area));
    if let Some(messages) = state.reader.messages_mut() {
        messages.fit(usize::from(rows.height));
    }
}

/// Draws the pane.
pub fn draw(
    state: &State,
    messages: &Messages,
    area: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let theme = Theme::of(state.palette);
    let (left, right) = (left_title(messages), right_title(state, messages));
    let titles = Titles { left: &left, right: &right };
    let inner = frame(state, Pane::Mailboxes, area, buffer, &titles);
    if messages.list().is_empty() {
        say_empty(inner, buffer, theme.faint, &why_empty(messages));
        return;
    }
    let table = table(messages, inner.width);
    if let Some(header) = line(inner, 0) {
        table.header(buffer, header, theme.header);
    }
    let rows = below_header(inner);
    for (n, row) in rows_in_view(state, messages, rows.height).iter().enumerate() {
        if let Some(at) = line(rows, n) {
            draw_row(state, &table, row, at, buffer);
            hits.click(at, Action::ClickReader(Some(n)));
        }
    }
    scroll_bar(area, buffer, &theme, messages.list().extent());
}

fn left_title(messages: &Messages) -> String {
    let mailbox = DisplayText::from(messages.mailbox());
    if let Some((listed, of)) = messages.progress() {
        let percent = (listed * 100).checked_div(of).unwrap_or(100).min(100);
        let bar = bar(listed as u64, of as u64);
        return format!("{mailbox}  reading {bar:·<10} {percent}% · Esc cancels");
    }
    let filter = messages.list().pattern();
    let filter = filter.map(|pattern| format!(" /{}", DisplayText::from(pattern.as_str())));
    let order = messages.list().order().map(|order| format!(" · {}", order.words));
    let (order, filter) = (order.unwrap_or_default(), filter.unwrap_or_default());
    format!("{mailbox}  {}{order}{filter}", standing(messages))
}

fn standing(messages: &Messages) -> String {
    if let Stage::NotListed(why) = messages.stage() {
        return why.to_string();
    }
    let count = match messages.list().items().len() {
        _ if *messages.stage() == Stage::Asked => return "reading…".to_owned(),
        1 => "1 message".to_owned(),
        count => format!("{} messages", grouped(count)),
    };
    match messages.left_out() {
        0 => count,
        older => format!("{count} · {} older ones not listed", grouped(older)),
    }
}

/// The session that has locked the mailbox, which is why nothing can be deleted; and the number of
/// the selected row.
fn right_title(state: &State, messages: &Messages) -> String {
    let mailbox = messages.mailbox();
    let row = state.mailboxes.items().iter().find(|row| row.name.as_str() == mailbox);
    let holder = row.and_then(|row| row.holder.as_ref()).map(ToString::to_string);
    let list = messages.list();
    let place = list.place().map(|place| format!("{}/{}", grouped(place + 1), grouped(list.len())));
    let parts: Vec<String> = holder.into_iter().chain(place).collect();
    with_marked(list.marked(), parts.join(" · "))
}

fn why_empty(messages: &Messages) -> String {
    match messages.stage() {
        Stage::NotListed(why) => why.to_string(),
        _ if messages.list().pattern().is_some() => "No message matches the filter.".to_owned(),
        Stage::Complete => "No messages. New ones are shown at once.".to_owned(),
        Stage::Asked | Stage::Listing { .. } | Stage::Again { .. } => String::new(),
    }
}

/// The texts of a row.
struct Row<'a> {
    summary: &'a Summary,
    is_selected: bool,
    /// Whether the user has marked it.
    is_meant: bool,
    /// Whether a POP3 session has marked it as deleted.
    is_marked: bool,
    number: String,
    date: String,
    size: String,
}

fn rows_in_view<'a>(state: &State, messages: &'a Messages, height: u16) -> Vec<Row<'a>> {
    let rows = messages.list().in_view().take(usize::from(height));
    rows.map(|(summary, is_selected)| Row {
        summary,
        is_selected,
        is_meant: messages.list().is_marked(summary),
        is_marked: messages.is_marked(summary),
        number: summary.number.to_string(),
        date: summary.date.map_or_else(String::new, |at| date(state, at)),
        size: octets(summary.octets),
    })
    .collect()
}

fn draw_row(state: &State, table: &Table, row: &Row<'_>, at: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let plain = match (row.is_marked, state.palette) {
        (false, _) => theme.text,
        (true, Palette::Plain) => theme.faint,
        (true, _) => theme.faint.add_modifier(Modifier::CROSSED_OUT),
    };
    let (style, faint, sign) = (plain, theme.faint, theme.bad);
    let subject = match row.summary.subject.as_str() {
        "" => ("(no subject)", faint),
        subject => (subject, style),
    };
    let cells = [
        (marks(row.is_selected, row.is_meant), style),
        (if row.is_marked { "D" } else { "" }, sign),
        (&row.number, faint),
        (row.summary.from.as_str(), style),
        (row.summary.caught_for.as_ref().map_or("", DisplayText::as_str), style),
        subject,
        (&row.date, faint),
        (&row.size, style),
    ];
    table.row(buffer, at, &cells);
    lay_bar(state, Pane::Mailboxes, row.is_selected, at, buffer);
}

/// `25 Nov 16:34` for a recent date, otherwise `2019-11-25`; a dash if the date cannot be shown.
fn date(state: &State, at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs());
    let seconds = since.ok().and_then(|since| i64::try_from(since).ok());
    let utc = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let Some(utc) = utc.filter(|utc| utc.year() <= 9_999) else {
        return "—".to_owned();
    };
    let is_recent = state.clock.wall.duration_since(at).is_ok_and(|age| age < RECENT);
    let form = if is_recent { "%d %b %H:%M" } else { "%Y-%m-%d" };
    utc.with_timezone(&state.clock.offset).format(form).to_string()
}

fn table(messages: &Messages, available: u16) -> Table {
    // The newest message has the highest number.
    let longest = messages.list().items().last().map_or(1, |newest| newest.number);
    let number = columns(&longest.to_string()).max(2);
    let signs = columns_of_marks(messages.list().marked());
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::new(
        &[
            column("", signs, signs, 0, Side::Left),
            column("", 1, 1, 3, Side::Left),
            column("#", number, number, 2, Side::Right),
            column("from", 12, 18, 1, Side::Left),
            sent_to(messages),
            column("subject", 12, u16::MAX, 0, Side::Left),
            column("date", DATE, DATE, 4, Side::Left),
            column("size", 5, 5, 5, Side::Right),
        ],
        available,
    )
}

/// The column of addresses to which messages were sent that were redirected, if there are any.
fn sent_to(messages: &Messages) -> Column {
    let (least, most) = if messages.has_caught() { (12, 24) } else { (u16::MAX, u16::MAX) };
    let rank = if messages.has_caught() { 1 } else { u8::MAX };
    Column { title: "sent to", least, most, rank, side: Side::Left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::tests::with_connections;
    use crate::mailroom::MessageKey;

    fn summary(number: usize) -> Summary {
        Summary {
            key: MessageKey { hash: number as u64, occurrence: 0 },
            number,
            from: "Linh Phan".into(),
            subject: "Hello".into(),
            date: None,
            octets: 320,
            caught_for: None,
        }
    }

    #[test]
    fn of_a_hundred_thousand_messages_only_those_in_view_are_put_into_words() {
        let state = with_connections(0);
        let mut messages = Messages::of("linhphan".to_owned());
        messages.begin("linhphan", 100_000, 0);
        messages.take((1..=100_000).map(summary).collect());
        messages.complete();
        messages.fit(20);
        let rows = rows_in_view(&state, &messages, 20);
        assert_eq!((rows.len(), rows[19].number.as_str()), (20, "100000"));
        assert!(rows[19].is_selected);
    }

    #[test]
    fn a_date_is_as_long_as_it_needs_to_be_and_never_wrong() {
        let state = with_connections(0);
        let now = state.clock.wall;
        assert_eq!(date(&state, now - Duration::from_hours(1)), "17 Sep 10:00");
        assert_eq!(date(&state, now - Duration::from_hours(24 * 400)), "2024-08-13");
        assert_eq!(date(&state, now + Duration::from_hours(1)), "2025-09-17");
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
        assert_eq!(date(&state, last), "—");
    }
}
