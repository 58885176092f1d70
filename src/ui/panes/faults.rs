//! The popup of the faults that are played on purpose: the rules, and what they have done.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::action::{Action, FaultAction};
use crate::console::state::State;
use crate::console::state::fault::FaultRow;
use crate::ui::buttons;
use crate::ui::frame::{mark, overlay};
use crate::ui::hits::HitMap;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{age, columns, grouped, line, put, wrap_words};
use crate::ui::theme::Theme;

/// Columns of the popup, if there is room for them.
const WIDTH: u16 = 120;

/// Lines besides the rules: the header, a blank line and the buttons.
const BESIDE: usize = 3;

/// Columns of a row beside the rule, with all other columns and the gaps between them.
const BESIDE_RULE: u16 = 34;

/// Draws the popup.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let width = WIDTH.min(area.width.saturating_sub(4));
    let beside = BESIDE + detail_lines(state, width);
    let rows = state.faults.len().max(1) + beside;
    let size = (width, u16::try_from(rows).unwrap_or(u16::MAX));
    let inner = overlay(area, buffer, &theme, size, "Faults — Esc closes");
    hits.cover(inner);
    let table = table(inner.width);
    table.header(buffer, inner, theme.header);
    if state.faults.is_empty()
        && let Some(at) = line(inner, 1)
    {
        put(buffer, at.as_position(), at.width, NONE, theme.faint);
    }
    let page = usize::from(inner.height).saturating_sub(beside);
    let selected = state.fault_selected().unwrap_or_default();
    let above = (selected + 1).saturating_sub(page);
    for (n, row) in state.faults.iter().enumerate().skip(above).take(page) {
        if let Some(at) = line(inner, 1 + n - above) {
            draw_row(state, row, n == selected, &table, at, buffer);
            // The first click on a row selects it, a second one switches it.
            hits.click(
                at,
                if n == selected {
                    Action::Fault(FaultAction::Switch)
                } else {
                    Action::Fault(FaultAction::Select(n))
                },
            );
        }
    }
    if let Some(row) = state.faults.get(selected).filter(|_| beside > BESIDE) {
        let from = usize::from(inner.height).saturating_sub(beside - 2);
        draw_detail(row, from, inner, buffer, &theme);
    }
    draw_buttons(state, inner, buffer, hits);
}

/// Lines in which the longest rule stands whole below the list, with a blank one before them; none if
/// the list has room for all rules.
fn detail_lines(state: &State, width: u16) -> usize {
    let inner = width.saturating_sub(2);
    let rules = state.faults.iter().map(|row| row.rule.as_str());
    let is_cut = |rule: &str| columns(rule) > inner.saturating_sub(BESIDE_RULE);
    let lines = |rule: &str| wrap_words(rule, inner.into()).len() + 1;
    rules.filter(|rule| is_cut(rule)).map(lines).max().unwrap_or(0)
}

fn draw_detail(row: &FaultRow, from: usize, inner: Rect, buffer: &mut Buffer, theme: &Theme) {
    let rule = row.rule.as_str();
    for (n, range) in wrap_words(rule, inner.width.into()).into_iter().enumerate() {
        if let Some(at) = line(inner, from + n) {
            let words = rule.get(range).unwrap_or_default();
            put(buffer, at.as_position(), at.width, words, theme.text);
        }
    }
}

const NONE: &str = "No faults: a adds a rule, such as smtp.rcpt to=bob@* : 451 later times 2";

fn draw_row(
    state: &State,
    row: &FaultRow,
    is_selected: bool,
    table: &Table,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let now = state.clock.instant;
    let (condition, style) = match row {
        FaultRow { is_on: false, .. } => ("off", theme.faint),
        row if row.is_spent(now) => ("spent", theme.faint),
        _ => ("on", theme.bad),
    };
    let (id, hits) = (row.id.to_string(), grouped(row.hits));
    let left = left(row, now);
    let last_hit = row.last_hit.map_or_else(
        || "—".to_owned(),
        |at| {
            let at = DateTime::<Utc>::from(at).with_timezone(&state.clock.offset);
            at.format("%H:%M:%S").to_string()
        },
    );
    let cells = [
        (mark(is_selected), theme.text),
        (id.as_str(), theme.text),
        (condition, style),
        (row.rule.as_str(), theme.text),
        (hits.as_str(), theme.text),
        (left.as_str(), theme.text),
        (last_hit.as_str(), theme.text),
    ];
    table.row(buffer, at, &cells);
    if is_selected {
        theme.select(at, buffer);
    }
}

/// The hits that a rule has left or, where they are not limited, the time.
fn left(row: &FaultRow, now: Instant) -> String {
    let time = row.ends.map(|ends| ends.saturating_duration_since(now));
    // A part of a second is still one.
    let seconds = |left: Duration| left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let time = || time.map(|left| age(Duration::from_secs(seconds(left))));
    row.left.map(grouped).or_else(time).unwrap_or_else(|| "—".to_owned())
}

fn draw_buttons(state: &State, inner: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let Some(foot) = line(inner, usize::from(inner.height).saturating_sub(1)) else { return };
    let labels = [
        (Action::Fault(FaultAction::Hits), "Hits"),
        (Action::Fault(FaultAction::Switch), "On, off"),
        (Action::Fault(FaultAction::Add), "Add"),
        (Action::Fault(FaultAction::Remove), "Remove"),
        (Action::Fault(FaultAction::Reset), "Reset"),
    ];
    buttons::draw(state, foot, &labels, buffer, hits);
}

fn table(available: u16) -> Table {
    const RULE: usize = 3;
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::with_precedence(
        RULE,
        &[
            column("", 1, 1, 0, Side::Left),
            column("id", 3, 4, 4, Side::Right),
            column("", 5, 5, 1, Side::Left),
            column("rule", 20, 98, 0, Side::Left),
            column("hits", 5, 7, 2, Side::Right),
            column("left", 5, 7, 3, Side::Right),
            column("last hit", 8, 8, 5, Side::Right),
        ],
        available,
    )
}
