//! The help, made from the table of keys.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::console::action::Context;
use crate::console::keys::{BINDINGS, Binding, Key, Section};
use crate::console::state::State;
use crate::console::state::pattern::Pattern;
use crate::ui::frame::{overlay, overlay_scroll_bar};
use crate::ui::text::{columns, line, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns and lines of the help, if there is room for them.
const SIZE: (u16, u16) = (74, 21);

/// Columns of the keys.
const KEYS: u16 = 9;

/// A line of the help.
#[derive(Debug, Clone)]
enum Entry {
    Blank,
    Heading(&'static str),
    Keys(String, Cow<'static, str>),
}

/// How many lines the help can be scrolled, with what its search leaves.
#[must_use]
pub fn most_scrolled(state: &State, of: Context, area: Rect) -> usize {
    let height = usize::from(SIZE.1.min(area.height.saturating_sub(2)));
    let (left, right) = in_columns(state, of, area.width);
    left.len().max(right.len()).saturating_sub(height)
}

/// Draws the help that was asked for in the context `of`, with `top` as its first line.
pub fn draw(state: &State, of: Context, top: usize, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let search = state.search.value();
    let typed = DisplayText::from(search);
    let name = match search {
        "" => "Help — type to search, Esc closes".to_owned(),
        _ => format!("Help — {typed}▏"),
    };
    let inner = overlay(area, buffer, &theme, SIZE, &name);
    let (left, right) = in_columns(state, of, area.width);
    let all = left.len().max(right.len());
    overlay_scroll_bar(area, buffer, &theme, SIZE, (top, all));
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

/// The sections in two columns of about the same length, with those of the current context first.
/// If there is no room for two, one column has them all.
fn in_columns(state: &State, of: Context, width: u16) -> (Vec<Entry>, Vec<Entry>) {
    let here = Section::of(of);
    let others = Section::ALL.iter().copied().filter(|section| *section != here);
    let sections: Vec<Vec<Entry>> = std::iter::once(entries_of(state, here))
        .chain(changed_entries(state))
        .chain(others.map(|section| entries_of(state, section)))
        .filter(|entries| !entries.is_empty())
        .collect();
    let all: usize = sections.iter().map(Vec::len).sum();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for entries in sections {
        let is_left =
            width < SIZE.0 || (right.is_empty() && left.len() + entries.len() / 2 <= all / 2);
        let column = if is_left { &mut left } else { &mut right };
        if !column.is_empty() {
            column.push(Entry::Blank);
        }
        column.extend(entries);
    }
    (left, right)
}

/// The keys that the config file has changed, with their defaults.
fn changed_entries(state: &State) -> Option<Vec<Entry>> {
    let pattern = Pattern::new(state.search.value());
    let is_looked_for = |words: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_in(words));
    let entry = |(binding, keys): (&Binding, &[Key])| {
        let words = format!("{} (was {})", binding.name, names_of(binding.keys));
        let keys = if keys.is_empty() { "—".to_owned() } else { names_of(keys) };
        is_looked_for(&format!("{keys} {words}")).then_some(Entry::Keys(keys, words.into()))
    };
    let entries: Vec<Entry> = state.keymap.changed().filter_map(entry).collect();
    let heading = Entry::Heading("Changed in the config file");
    (!entries.is_empty()).then(|| std::iter::once(heading).chain(entries).collect())
}

fn entries_of(state: &State, section: Section) -> Vec<Entry> {
    let mut rows: Vec<(String, &'static str, String)> = Vec::new();
    for binding in BINDINGS.iter().filter(|b| b.section == section) {
        let keys = key_names(state, binding);
        match rows.last_mut() {
            Some((before, help, names)) if *help == binding.help => {
                if !before.split(' ').any(|key| key == keys) {
                    before.push(' ');
                    before.push_str(&keys);
                }
                names.push_str(binding.name);
            }
            _ => rows.push((keys, binding.help, binding.name.to_owned())),
        }
    }
    if let Some(pattern) = Pattern::new(state.search.value()) {
        rows.retain(|(keys, help, names)| {
            pattern.is_in(help) || pattern.is_in(keys) || pattern.is_in(names)
        });
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let keys = rows.into_iter().map(|(keys, help, _)| Entry::Keys(keys, help.into()));
    std::iter::once(Entry::Heading(section.heading())).chain(keys).collect()
}

fn key_names(state: &State, binding: &Binding) -> String {
    names_of(state.keymap.keys_of(binding))
}

fn names_of(keys: &[Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
