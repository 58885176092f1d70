//! The help, made from the table of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::app::state::State;
use crate::app::state::pattern::Pattern;
use crate::ui::keymap::{BINDINGS, Binding, Section};
use crate::ui::panes::overlay;
use crate::ui::text::{columns, line, put, width};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns and lines of the help, where there is room for them.
const SIZE: (u16, u16) = (74, 21);

/// Columns of the keys.
const KEYS: u16 = 9;

/// A line of the help.
#[derive(Debug, Clone)]
enum Entry {
    Blank,
    Heading(&'static str),
    Keys(String, &'static str),
}

/// Lines that the help can be scrolled by, for what is looked for.
#[must_use]
pub fn most_scrolled(search: &str, area: Rect) -> usize {
    let height = usize::from(SIZE.1.min(area.height.saturating_sub(2)));
    let (left, right) = in_columns(search, height, area.width);
    left.len().max(right.len()).saturating_sub(height)
}

/// Draws it.
pub fn draw(state: &State, search: &str, top: usize, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let typed = DisplayText::from(search);
    let name = match search {
        "" => "Help — type to search, Esc closes".to_owned(),
        _ => format!("Help — {typed}▏"),
    };
    let inner = overlay(area, buffer, &theme, SIZE, &name);
    let (left, right) = in_columns(search, usize::from(inner.height), area.width);
    let half = if right.is_empty() { inner.width } else { inner.width / 2 };
    for (entries, x) in [(&left, inner.x), (&right, inner.x + half)] {
        for (n, entry) in entries.iter().skip(top).enumerate() {
            if let Some(at) = line(inner, n) {
                draw_entry(entry, Rect { x, width: half, ..at }, &theme, buffer);
            }
        }
    }
    if left.is_empty() {
        put(buffer, inner.as_position(), inner.width, "No key does that.", theme.faint);
    }
}

fn draw_entry(entry: &Entry, at: Rect, theme: &Theme, buffer: &mut Buffer) {
    match entry {
        Entry::Blank => {}
        Entry::Heading(words) => {
            put(buffer, at.as_position(), at.width, words, theme.title);
        }
        Entry::Keys(keys, words) => {
            put(buffer, Position::new(at.x + 1, at.y), at.width, keys, theme.client);
            let indent = (KEYS + 2).max(columns(keys) + 2);
            let from = Position::new(at.x + indent, at.y);
            put(buffer, from, at.width.saturating_sub(indent), words, theme.text);
        }
    }
}

/// The sections in two columns: the first takes sections while they fit into `height`. Where
/// there is no room for two, it takes them all.
fn in_columns(search: &str, height: usize, width: u16) -> (Vec<Entry>, Vec<Entry>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for section in Section::ALL {
        let entries = entries_of(section, search);
        if entries.is_empty() {
            continue;
        }
        let gap = usize::from(!left.is_empty());
        let fits = right.is_empty() && left.len() + gap + entries.len() <= height;
        let fits = fits || width < SIZE.0;
        let column = if fits { &mut left } else { &mut right };
        if !column.is_empty() {
            column.push(Entry::Blank);
        }
        column.extend(entries);
    }
    (left, right)
}

fn entries_of(section: Section, search: &str) -> Vec<Entry> {
    let mut rows: Vec<(String, &'static str)> = Vec::new();
    for binding in BINDINGS.iter().filter(|b| b.section == section) {
        match rows.last_mut() {
            Some((keys, help)) if *help == binding.help => {
                keys.push(' ');
                keys.push_str(&key_names(binding));
            }
            _ => rows.push((key_names(binding), binding.help)),
        }
    }
    if let Some(pattern) = Pattern::new(search) {
        rows.retain(|(keys, help)| pattern.is_in(help) || pattern.is_in(keys));
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let keys = rows.into_iter().map(|(keys, help)| Entry::Keys(keys, help));
    std::iter::once(Entry::Heading(section.heading())).chain(keys).collect()
}

fn key_names(binding: &Binding) -> String {
    let names: Vec<String> = binding.keys.iter().map(|key| key.name()).collect();
    debug_assert!(names.iter().all(|name| width(name) > 0), "a key without a name");
    names.join(" ")
}
