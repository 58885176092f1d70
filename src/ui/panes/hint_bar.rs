//! The last line: the prompt, or a message to the user, or the keys that are useful now. A message
//! that is too long for one line gets more; if it is too long for these, the log has it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use tui_input::Input;

use crate::console::action::{Action, Context, Pane};
use crate::console::keys::{Binding, hints};
use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::console::state::prompt::{Prompt, Purpose};
use crate::console::state::strip::{Held, Side};
use crate::ui::hits::HitMap;
use crate::ui::text::{columns, cut, grouped, line, put, width, wrap_words};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns that stay free to the right of the cursor.
const MARGIN: usize = 2;

/// The most lines of a message to the user, and of the error of a prompt.
const MOST_LINES: usize = 2;

/// Lines that the bar takes on a screen of this width.
#[must_use]
pub fn lines_wanted(state: &State, width: u16) -> u16 {
    let lines = match (&state.prompt, &state.said) {
        (Some(prompt), _) => 1 + lines_below(state, prompt, width),
        (None, Some(said)) => wrapped(said.as_str(), width).len(),
        (None, None) => 1,
    };
    u16::try_from(lines).unwrap_or(u16::MAX)
}

/// The message to the user, if it does not fit on a screen of this width.
#[must_use]
pub fn too_long(state: &State, width: u16) -> Option<&DisplayText> {
    let said = state.said.as_ref().filter(|_| state.prompt.is_none())?;
    let room = usize::from(width).saturating_sub(MARGIN);
    (wrap_words(said.as_str(), room).len() > MOST_LINES).then_some(said)
}

/// The words in lines; the last line is cut if there are too many.
fn wrapped(words: &str, width: u16) -> Vec<String> {
    let room = usize::from(width).saturating_sub(MARGIN);
    let ranges = wrap_words(words, room);
    let lines = ranges.iter().enumerate().take(MOST_LINES).map(|(n, range)| {
        let to = if n + 1 == MOST_LINES { words.len() } else { range.end };
        words.get(range.start..to).unwrap_or_default().trim_end().to_owned()
    });
    lines.collect()
}

/// Draws the bar.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    if let Some(prompt) = &state.prompt {
        draw_prompt(state, prompt, area, buffer);
    } else if let Some(said) = &state.said {
        draw_said(state, said.as_str(), area, buffer);
    } else {
        for hint in placed(state, area) {
            draw_hint(&hint, &theme, buffer);
            hits.click(hint.at, hint.action);
        }
    }
}

fn draw_said(state: &State, said: &str, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let mut lines = wrapped(said, area.width);
    if too_long(state, area.width).is_some()
        && let Some(last) = lines.last_mut()
    {
        let key = state.keymap.key_of(Action::Focus(Pane::Log));
        let rest = format!(" (all of it in the log: {key})");
        let room = usize::from(area.width).saturating_sub(MARGIN + width(&rest));
        *last = format!("{}{rest}", cut(last, room));
    }
    draw_lines(&lines, area, theme.notice, buffer);
}

fn draw_lines(lines: &[String], area: Rect, style: Style, buffer: &mut Buffer) {
    for (n, words) in lines.iter().enumerate() {
        if let Some(at) = line(area, n) {
            put(buffer, at.as_position(), at.width, &format!(" {words}"), style);
        }
    }
}

fn draw_prompt(state: &State, prompt: &Prompt, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let mut at = area.as_position();
    at.x += put(buffer, at, area.width, &format!(" {}", label(prompt.purpose)), theme.title);
    let note = note(state, prompt);
    let style = if prompt.error.is_some() { theme.bad } else { theme.faint };
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let has_below = lines_below(state, prompt, area.width) > 0 && below.height > 0;
    let note = if has_below { String::new() } else { note };
    let left = usize::from(area.right().saturating_sub(at.x));
    // The typed text has precedence over the note beside it.
    let wanted = width(prompt.text()) + MARGIN;
    let room = left.saturating_sub(width(&note)).max(wanted.min(left));
    at.x += draw_typed(&prompt.input, at, room, &theme, buffer);
    put(buffer, at, area.right().saturating_sub(at.x), &note, style);
    if let Some(error) = prompt.error.as_ref().filter(|_| has_below) {
        draw_lines(&wrapped(error.as_str(), area.width), below, style, buffer);
    }
}

/// Lines that the error takes below the typed text; none if it fits beside it.
fn lines_below(state: &State, prompt: &Prompt, columns: u16) -> usize {
    let Some(error) = &prompt.error else { return 0 };
    let beside = [&label(prompt.purpose), prompt.text(), &note(state, prompt)].map(width);
    if beside.iter().sum::<usize>() + MARGIN <= usize::from(columns) {
        return 0;
    }
    wrapped(error.as_str(), columns).len()
}

/// Draws as much of a line as there is room for, with its cursor; returns the columns that it took.
pub(super) fn draw_typed(
    input: &Input,
    at: Position,
    room: usize,
    theme: &Theme,
    buffer: &mut Buffer,
) -> u16 {
    let typed = input.value();
    let split = typed.char_indices().nth(input.cursor()).map_or(typed.len(), |(at, _)| at);
    let (before, after) = typed.split_at(split);
    let (before, after) = (DisplayText::from(before), DisplayText::from(after));
    let shown = tail(before.as_str(), room.saturating_sub(MARGIN));
    let most = u16::try_from(room).unwrap_or(u16::MAX);
    let mut taken = put(buffer, at, most, shown, theme.text);
    let cursor = Position::new(at.x + taken, at.y);
    let mut under = after.as_str().chars();
    let character = under.next().unwrap_or(' ');
    let style = theme.text.add_modifier(Modifier::REVERSED);
    taken += put(buffer, cursor, most.saturating_sub(taken), &character.to_string(), style);
    let rest = Position::new(at.x + taken, at.y);
    taken + put(buffer, rest, most.saturating_sub(taken), under.as_str(), theme.text)
}

/// The longest end of `text` that fits into `room` columns.
fn tail(text: &str, room: usize) -> &str {
    let mut tail = text;
    while width(tail) > room {
        let mut characters = tail.chars();
        characters.next();
        tail = characters.as_str();
    }
    tail
}

fn label(purpose: Purpose) -> String {
    match purpose {
        Purpose::Filter(Context::Message) => "Find: ".to_owned(),
        Purpose::Filter(place) => format!("Filter {}: ", name_of(place)),
        Purpose::Command => ":".to_owned(),
        Purpose::NewMailbox => "New mailbox for the user: ".to_owned(),
        Purpose::Setting(name) => format!("{} ({}): ", name.name(), name.expected()),
        Purpose::Attachments => "Save which attachments: ".to_owned(),
        Purpose::EditHeld(id) => format!("Edit {id}: "),
        Purpose::AnswerHeld(id) => format!("Answer {id}: "),
    }
}

fn name_of(place: Context) -> String {
    match place {
        Context::Pane(pane) => pane.title().get(2..).unwrap_or("").to_lowercase(),
        Context::Messages | Context::Message => "messages".to_owned(),
        Context::Servers => "servers".to_owned(),
        Context::Faults => "faults".to_owned(),
        Context::Held => "transcript".to_owned(),
    }
}

/// The note after the cursor: the error, or else what the user should know.
fn note(state: &State, prompt: &Prompt) -> String {
    if let Some(error) = &prompt.error {
        return format!("  {error}");
    }
    match prompt.purpose {
        Purpose::Filter(place) if prompt.text().is_empty() => {
            let earlier = if state.filters.is_empty() { "" } else { " · ↑ history" };
            format!("  {}{earlier} · Esc cancels", what_filters(place))
        }
        Purpose::Filter(Context::Message) => {
            let found = grouped(state.reader.found());
            format!("  {found} found · ⏎ keeps it · Esc clears it")
        }
        Purpose::Filter(place) => {
            let found = grouped(shown(state, place));
            format!("  {found} shown · ⏎ keeps it · Esc clears it")
        }
        Purpose::Command => "  ⏎ runs it · Tab completes · ↑ history · Esc cancels".to_owned(),
        Purpose::Attachments => {
            let count = state.reader.attachment_count();
            format!("  1 to {count}, or all · ⏎ accepts · Esc cancels")
        }
        Purpose::EditHeld(id) => {
            let is_it = |held: &&Held| held.id == id;
            match state.strip.held.iter().find(is_it).map(|held| held.side) {
                Some(Side::Reply) => {
                    "  what the session did stays done · \\r\\n \\xNN · Esc cancels".to_owned()
                }
                _ => "  ⏎ sends it on · \\r\\n \\xNN · Esc cancels".to_owned(),
            }
        }
        Purpose::AnswerHeld(_) => "  ⏎ says it instead · \\r\\n \\xNN · Esc cancels".to_owned(),
        Purpose::NewMailbox | Purpose::Setting(_) => "  ⏎ accepts · Esc cancels".to_owned(),
    }
}

/// What can be typed into a filter.
const fn what_filters(place: Context) -> &'static str {
    match place {
        Context::Pane(Pane::Transcript | Pane::Log) => {
            "text · /regex/ · C: · S: · @smtp · [12] · #12"
        }
        _ => "text · /regex/",
    }
}

fn shown(state: &State, place: Context) -> usize {
    match place {
        Context::Pane(Pane::Connections) => state.connections.len(),
        Context::Pane(Pane::Transcript | Pane::Log) => state.transcript.ring().len(),
        Context::Pane(Pane::Mailboxes) => state.mailboxes.len(),
        Context::Pane(Pane::Queue) => state.queue.len(),
        Context::Messages | Context::Message => state.reader.found(),
        Context::Servers | Context::Faults | Context::Held => 0,
    }
}

/// A hint with its place.
struct Hint {
    at: Rect,
    key: String,
    words: &'static str,
    action: Action,
}

/// As many hints as fit, and always the last one, which says how to quit.
fn placed(state: &State, area: Rect) -> Vec<Hint> {
    // These overlays show their own keys.
    if let Overlay::Help { .. } | Overlay::Ask { .. } | Overlay::Compose = state.overlay {
        return Vec::new();
    }
    let context = state.context();
    let mut wanted: Vec<(String, &Binding)> = hints(context)
        .filter_map(|hint| {
            // Some keys do something else in this context.
            let mut keys = state.keymap.keys_of(hint).iter();
            let key = keys.find(|key| state.bound(**key) == Some(hint.action));
            Some((key?.to_string(), hint))
        })
        .collect();
    let Some(quit) = wanted.pop() else {
        return Vec::new();
    };
    let mut room = area.width.saturating_sub(taken_by(&quit));
    let mut shown = Vec::new();
    for hint in wanted {
        let Some(left) = room.checked_sub(taken_by(&hint)) else {
            break;
        };
        room = left;
        shown.push(hint);
    }
    shown.push(quit);
    in_line(shown, area)
}

fn in_line(hints: Vec<(String, &Binding)>, area: Rect) -> Vec<Hint> {
    let mut x = area.x;
    let place = |(key, binding): (String, &Binding)| {
        let width = taken_by(&(key.clone(), binding));
        let at = Rect { x, width, ..area }.intersection(area);
        x = x.saturating_add(width);
        Hint { at, key, words: binding.hint, action: binding.action }
    };
    hints.into_iter().map(place).collect()
}

fn draw_hint(hint: &Hint, theme: &Theme, buffer: &mut Buffer) {
    let key = format!(" {} ", hint.key);
    let mut at = Position::new(hint.at.x + 1, hint.at.y);
    at.x += put(buffer, at, columns(&key), &key, theme.key);
    let words = format!(" {}", hint.words);
    put(buffer, at, columns(&words), &words, theme.text);
}

fn taken_by((key, hint): &(String, &Binding)) -> u16 {
    columns(key) + columns(hint.hint) + 4
}
