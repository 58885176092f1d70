//! The servers' popup: the state of each server, why a server does not run, and the settings that
//! can be changed while the servers run.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::console::action::{Action, SettingName};
use crate::console::setting;
use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::console::state::server::{Condition, PopupRow, Server};
use crate::ui::buttons;
use crate::ui::frame::{mark, overlay, words_in_lines};
use crate::ui::hits::HitMap;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{grouped, line, octets, put};
use crate::ui::theme::Theme;
use crate::watch::event::Service;
use crate::wire::display::DisplayText;

/// Columns of the popup.
const WIDTH: u16 = 76;

/// Columns of the names of settings and of the mark before them.
const NAMES: u16 = 19;

/// A line of the popup.
enum Entry {
    Header,
    Row(usize, PopupRow),
    ConnectionError(String),
    Heading,
    Relay,
    Blank,
}

/// Draws the popup.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let inner = overlay(area, buffer, &theme, size(state, area), "Servers — Esc closes");
    hits.cover(inner);
    let table = table(inner.width);
    for (n, entry) in entries(state, inner.width).iter().enumerate() {
        if let Some(at) = line(inner, n) {
            draw_entry(state, entry, &table, at, buffer);
            if let Entry::Row(row, _) = entry {
                hits.click(at, click_on(state, *row));
            }
        }
    }
    if let Some(foot) = line(inner, usize::from(inner.height).saturating_sub(1)) {
        buttons::draw(state, foot, &LABELS, buffer, hits);
    }
}

/// The buttons at the bottom.
const LABELS: [(Action, &str); 4] = [
    (Action::Change, "Change"),
    (Action::StartServer, "Start"),
    (Action::StopServer, "Stop"),
    (Action::RestartServer, "Restart"),
];

/// Columns and lines: one line for each entry, a blank one, and the buttons.
fn size(state: &State, area: Rect) -> (u16, u16) {
    let entries = entries(state, WIDTH.min(area.width.saturating_sub(4))).len();
    (WIDTH, u16::try_from(entries + 2).unwrap_or(u16::MAX))
}

/// The first click on a row selects it, a second one changes it.
const fn click_on(state: &State, row: usize) -> Action {
    if is_selected(state, row) { Action::Change } else { Action::ServerRow(row) }
}

const fn is_selected(state: &State, row: usize) -> bool {
    matches!(state.overlay, Overlay::Servers { at } if at == row)
}

fn entries(state: &State, width: u16) -> Vec<Entry> {
    let mut entries = vec![Entry::Header];
    for (row, popup_row) in state.popup_rows().enumerate() {
        if popup_row == PopupRow::Setting(SettingName::ALL[0]) {
            entries.extend([Entry::Relay, Entry::Blank, Entry::Heading]);
        }
        entries.push(Entry::Row(row, popup_row));
        entries.extend(troubles(state, popup_row, width));
    }
    entries
}

/// The reason why a server does not run, in lines.
fn troubles(state: &State, row: PopupRow, width: u16) -> Vec<Entry> {
    let PopupRow::Server(nth) = row else { return Vec::new() };
    match state.servers.get(nth).map(|server| &server.condition) {
        Some(Condition::Failed(why)) => {
            let why = DisplayText::from(why.as_str());
            let lines = words_in_lines(why.as_str(), usize::from(width.saturating_sub(4)));
            lines.into_iter().map(Entry::ConnectionError).collect()
        }
        _ => Vec::new(),
    }
}

fn draw_entry(state: &State, entry: &Entry, table: &Table, at: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    match entry {
        Entry::Header => table.header(buffer, at, theme.header),
        Entry::Row(row, PopupRow::Server(nth)) => {
            if let Some(server) = state.servers.get(*nth) {
                draw_server(state, server, is_selected(state, *row), table, at, buffer);
            }
        }
        Entry::Row(row, PopupRow::Setting(name)) => {
            draw_setting(state, *name, is_selected(state, *row), at, buffer);
        }
        Entry::ConnectionError(words) => {
            put(buffer, Position::new(at.x + 4, at.y), at.width, words, theme.bad);
        }
        Entry::Heading => {
            let words = "Settings in effect; open connections stay open";
            put(buffer, at.as_position(), at.width, words, theme.header);
        }
        Entry::Relay => draw_counts(state, Service::Relay, table, at, buffer),
        Entry::Blank => {}
    }
}

fn draw_server(
    state: &State,
    server: &Server,
    is_selected: bool,
    table: &Table,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let style = theme.text;
    let (sign, words, colour) = condition(&server.condition, &theme);
    let counts = counts(state, server.service);
    let cells = [
        (mark(is_selected), style),
        (sign, colour),
        (server.service.name(), style),
        (&server.ports(), style),
        (words, colour),
        (counts[0].as_str(), style),
        (counts[1].as_str(), style),
        (counts[2].as_str(), style),
        (counts[3].as_str(), style),
        (counts[4].as_str(), style),
        (counts[5].as_str(), style),
    ];
    table.row(buffer, at, &cells);
    if is_selected {
        theme.select(at, buffer);
    }
}

/// The counters of the relay, which has no port and is not started or stopped here.
fn draw_counts(state: &State, service: Service, table: &Table, at: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let counts = counts(state, service);
    let words = if state.relay.tally.is_some() { "running" } else { "waiting" };
    let mut cells = vec![
        ("", theme.faint),
        ("◷", theme.faint),
        (service.name(), theme.faint),
        ("—", theme.faint),
        (words, theme.faint),
    ];
    cells.extend(counts.iter().map(|count| (count.as_str(), theme.faint)));
    table.row(buffer, at, &cells);
}

const fn condition<'a>(
    condition: &Condition,
    theme: &'a Theme,
) -> (&'static str, &'static str, Style) {
    let theme: &'a Theme = theme;
    match condition {
        Condition::Running => ("●", "running", theme.good),
        Condition::Stopping => ("◌", "stopping", theme.notice),
        Condition::Stopped => ("○", "stopped", theme.notice),
        Condition::Failed(_) => ("✗", "failed", theme.bad),
    }
}

fn counts(state: &State, service: Service) -> [String; 6] {
    let counts = state.counters[service];
    [
        grouped(counts.open),
        grouped(counts.opened),
        grouped(counts.refused),
        octets(counts.octets_in),
        octets(counts.octets_out),
        grouped(counts.messages),
    ]
}

fn draw_setting(
    state: &State,
    name: SettingName,
    is_selected: bool,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let (words, is_usual) = setting::shown(name, &state.settings);
    put(buffer, at.as_position(), 1, mark(is_selected), theme.text);
    put(buffer, Position::new(at.x + 2, at.y), NAMES, name.name(), theme.text);
    let value = if is_usual { theme.text } else { theme.notice };
    let from = Position::new(at.x + 2 + NAMES, at.y);
    let room = at.width.saturating_sub(2 + NAMES);
    put(buffer, from, room, &words, value);
    if is_selected {
        theme.select(at, buffer);
    }
}

fn table(available: u16) -> Table {
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::new(
        &[
            column("", 1, 1, 0, Side::Left),
            column("", 1, 1, 1, Side::Left),
            column("server", 6, 6, 2, Side::Left),
            column("port", 6, 22, 3, Side::Left),
            column("state", 8, 8, 4, Side::Left),
            column("open", 5, 6, 5, Side::Right),
            column("total", 6, 9, 6, Side::Right),
            column("refused", 7, 8, 10, Side::Right),
            column("in", 5, 5, 8, Side::Right),
            column("out", 5, 5, 9, Side::Right),
            column("mail", 6, 9, 7, Side::Right),
        ],
        available,
    )
}
