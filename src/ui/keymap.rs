//! The one table of keys. What a key does, what the hint bar offers and what the help explains
//! are all read from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::action::{Action, Answer, Direction, Pane, Step};
use crate::app::state::{Overlay, State};

/// A key, as the table names it. Shift is in the character already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    control: bool,
}

impl Key {
    const fn plain(code: KeyCode) -> Self {
        Self { code, control: false }
    }

    const fn control(character: char) -> Self {
        Self { code: KeyCode::Char(character), control: true }
    }

    /// As help and hints write it.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(character) if self.control => {
                return format!("^{}", character.to_ascii_uppercase());
            }
            KeyCode::Char(' ') => "Space",
            KeyCode::Char(character) => return character.to_string(),
            KeyCode::F(number) => return format!("F{number}"),
            KeyCode::Enter => "⏎",
            KeyCode::Esc => "Esc",
            KeyCode::Tab => "Tab",
            KeyCode::BackTab => "⇧Tab",
            KeyCode::Up => "↑",
            KeyCode::Down => "↓",
            KeyCode::PageUp => "PgUp",
            KeyCode::PageDown => "PgDn",
            KeyCode::Home => "Home",
            KeyCode::End => "End",
            _ => "",
        };
        name.to_owned()
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let code = match event.code {
            // What some terminals send for Backspace.
            KeyCode::Char('h') if control => return Self::plain(KeyCode::Backspace),
            KeyCode::Char(character) if control => KeyCode::Char(character.to_ascii_lowercase()),
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            code => code,
        };
        Self { code, control }
    }
}

/// Where a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Whatever pane is focused.
    Everywhere,
    /// In this pane, before what the key does everywhere.
    In(Pane),
}

/// Under which heading the help lists a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Moving about.
    Move,
    /// The panes.
    Panes,
    /// The transcript.
    Transcript,
    /// The connections.
    Connections,
    /// The relay queue.
    Queue,
    /// The program.
    Program,
}

impl Section {
    /// In the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Move, Self::Panes, Self::Program, Self::Connections, Self::Queue, Self::Transcript];

    /// The heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Panes => "Panes",
            Self::Transcript => "Transcript",
            Self::Connections => "Connections",
            Self::Queue => "Relay queue",
            Self::Program => "Everywhere",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The keys, any of them.
    pub keys: &'static [Key],
    /// Where they work.
    pub scope: Scope,
    /// Where the help lists them. Rows with the same help are listed as one.
    pub section: Section,
    /// What they do.
    pub action: Action,
    /// In a word, for the hint bar; empty: not there.
    pub hint: &'static str,
    /// In a line, for the help.
    pub help: &'static str,
}

const fn row(
    keys: &'static [Key],
    scope: Scope,
    section: Section,
    action: Action,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, scope, section, action, hint, help }
}

const fn key(character: char) -> Key {
    Key::plain(KeyCode::Char(character))
}

const fn code(code: KeyCode) -> Key {
    Key::plain(code)
}

const ANY: Scope = Scope::Everywhere;

/// The keys; the hint bar keeps this order.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    row(&[key('?'), code(KeyCode::F(1))], ANY, Section::Program, Action::Help, "Help", "this help"),
    row(&[code(KeyCode::Enter)], Scope::In(Pane::Connections), Section::Connections, Action::OnlyThis, "Only this", "only this in transcript"),
    row(&[code(KeyCode::Enter)], Scope::In(Pane::Transcript), Section::Transcript, Action::OnlyThis, "Only this", "only this row's connection"),
    row(&[code(KeyCode::Enter)], Scope::In(Pane::Queue), Section::Queue, Action::Details, "Details", "details of the entry"),
    row(&[key('r')], Scope::In(Pane::Queue), Section::Queue, Action::Retry, "Retry", "retry it, retry all"),
    row(&[key('R')], ANY, Section::Queue, Action::RelayRun, "", "retry it, retry all"),
    row(&[key('h')], Scope::In(Pane::Queue), Section::Queue, Action::Hold, "Hold", "hold, release"),
    row(&[key('d')], Scope::In(Pane::Queue), Section::Queue, Action::Drop, "Drop", "drop (asks first)"),
    row(&[key('x')], Scope::In(Pane::Connections), Section::Connections, Action::CloseConnection, "Close", "close it (asks first)"),
    row(&[key('0')], ANY, Section::Connections, Action::AllConnections, "", "all connections again"),
    row(&[key('v')], ANY, Section::Connections, Action::Tiles, "", "tiles of the newest"),
    row(&[key('/')], ANY, Section::Transcript, Action::Filter, "Filter", "filter (lists, too)"),
    row(&[key('n')], ANY, Section::Transcript, Action::Find(Direction::Forward), "", "next, previous match"),
    row(&[key('N')], ANY, Section::Transcript, Action::Find(Direction::Backward), "", "next, previous match"),
    row(&[key(' ')], ANY, Section::Transcript, Action::Pause, "Pause", "pause (servers go on)"),
    row(&[key('f')], ANY, Section::Transcript, Action::Follow, "", "follow, stop following"),
    row(&[code(KeyCode::Tab)], ANY, Section::Panes, Action::FocusNext, "Next pane", "next, previous pane"),
    row(&[code(KeyCode::BackTab)], ANY, Section::Panes, Action::FocusPrevious, "", "next, previous pane"),
    row(&[key('1')], ANY, Section::Panes, Action::Focus(Pane::Connections), "", "this pane"),
    row(&[key('2')], ANY, Section::Panes, Action::Focus(Pane::Transcript), "", "this pane"),
    row(&[key('3')], ANY, Section::Panes, Action::Focus(Pane::Mailboxes), "", "this pane"),
    row(&[key('4')], ANY, Section::Panes, Action::Focus(Pane::Queue), "", "this pane"),
    row(&[key('5')], ANY, Section::Panes, Action::Focus(Pane::Log), "", "this pane"),
    row(&[key('z')], ANY, Section::Panes, Action::Zoom, "Zoom", "zoom the pane"),
    row(&[code(KeyCode::Esc)], ANY, Section::Panes, Action::Escape, "", "back"),
    row(&[key('s')], ANY, Section::Transcript, Action::Save, "Save", "save rows to a file"),
    row(&[key('t')], ANY, Section::Transcript, Action::Stamps, "", "time stamps, wrap rows"),
    row(&[key('w')], ANY, Section::Transcript, Action::Wrap, "", "time stamps, wrap rows"),
    row(&[key('b')], ANY, Section::Transcript, Action::Bodies, "", "message text, passwords"),
    row(&[key('p')], ANY, Section::Transcript, Action::Passwords, "", "message text, passwords"),
    row(&[code(KeyCode::Up), key('k')], ANY, Section::Move, Action::Move(Step::Up), "", "up, down"),
    row(&[code(KeyCode::Down), key('j')], ANY, Section::Move, Action::Move(Step::Down), "", "up, down"),
    row(&[code(KeyCode::PageUp)], ANY, Section::Move, Action::Move(Step::PageUp), "", "a page"),
    row(&[code(KeyCode::PageDown)], ANY, Section::Move, Action::Move(Step::PageDown), "", "a page"),
    row(&[Key::control('u')], ANY, Section::Move, Action::Move(Step::HalfPageUp), "", "half a page"),
    row(&[Key::control('d')], ANY, Section::Move, Action::Move(Step::HalfPageDown), "", "half a page"),
    row(&[key('g'), code(KeyCode::Home)], ANY, Section::Move, Action::Move(Step::First), "", "to the beginning"),
    row(&[key('G'), code(KeyCode::End)], ANY, Section::Move, Action::Move(Step::Last), "", "to the end; follow"),
    row(&[key('T')], ANY, Section::Program, Action::Theme, "Theme", "next theme"),
    row(&[key('m')], ANY, Section::Program, Action::Mouse, "", "mouse on, off"),
    row(&[Key::control('l')], ANY, Section::Program, Action::Redraw, "", "redraw"),
    row(&[Key::control('z')], ANY, Section::Program, Action::Suspend, "", "suspend"),
    row(&[key('q')], ANY, Section::Program, Action::Quit, "Quit", "quit (may ask)"),
    row(&[Key::control('c')], ANY, Section::Program, Action::QuitNow, "", "quit now"),
];

/// What a key does on this screen.
#[must_use]
pub fn action(state: &State, event: KeyEvent) -> Option<Action> {
    // Alt is no key of ours, and a terminal may report Escape and a quick next key as one.
    if event.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let key = Key::from(event);
    let bound = bound(state.focus, key);
    // Quitting, suspending and redrawing work wherever one is.
    if key.control {
        return bound;
    }
    match &state.overlay {
        Overlay::Help { .. } => in_help(key),
        Overlay::Ask { .. } => in_question(key),
        Overlay::QueueEntry { .. } => over_queue_entry(key),
        Overlay::None if state.typing.is_some() => while_typing(key),
        Overlay::None => bound,
    }
}

/// The rows whose hints are of use where `focus` is.
pub fn hints(focus: Pane) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| {
        !binding.hint.is_empty()
            && (binding.scope == Scope::Everywhere || binding.scope == Scope::In(focus))
    })
}

/// The name of the key that does this, for a button.
#[must_use]
pub fn key_of(action: Action) -> String {
    let binding = BINDINGS.iter().find(|binding| binding.action == action);
    let key = binding.and_then(|binding| binding.keys.first());
    key.map_or_else(String::new, |key| key.name())
}

fn bound(focus: Pane, key: Key) -> Option<Action> {
    let in_scope = |scope| {
        BINDINGS.iter().find(move |binding| binding.scope == scope && binding.keys.contains(&key))
    };
    let binding = in_scope(Scope::In(focus)).or_else(|| in_scope(Scope::Everywhere));
    binding.map(|binding| binding.action)
}

fn in_help(key: Key) -> Option<Action> {
    match key.code {
        KeyCode::Esc | KeyCode::F(1) | KeyCode::Char('?') | KeyCode::Enter => Some(Action::Escape),
        code => while_typing(Key::plain(code)),
    }
}

/// What can be done to an entry, and scrolling; any other key closes it.
fn over_queue_entry(key: Key) -> Option<Action> {
    match bound(Pane::Queue, key) {
        action @ Some(
            Action::Retry | Action::RelayRun | Action::Hold | Action::Drop | Action::Move(_),
        ) => action,
        _ => Some(Action::Escape),
    }
}

fn while_typing(key: Key) -> Option<Action> {
    match key.code {
        KeyCode::Char(character) => Some(Action::Type(character)),
        KeyCode::Backspace => Some(Action::Erase),
        KeyCode::Enter => Some(Action::Confirm),
        KeyCode::Esc => Some(Action::Escape),
        KeyCode::Up => Some(Action::Move(Step::Up)),
        KeyCode::Down => Some(Action::Move(Step::Down)),
        KeyCode::PageUp => Some(Action::Move(Step::PageUp)),
        KeyCode::PageDown => Some(Action::Move(Step::PageDown)),
        KeyCode::Home => Some(Action::Move(Step::First)),
        KeyCode::End => Some(Action::Move(Step::Last)),
        _ => None,
    }
}

fn in_question(key: Key) -> Option<Action> {
    match key.code {
        KeyCode::Char('y' | 'Y') => Some(Action::Answer(Answer::Yes)),
        KeyCode::Char('n' | 'N') | KeyCode::Esc => Some(Action::Answer(Answer::No)),
        KeyCode::Enter => Some(Action::Confirm),
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
            Some(Action::OtherAnswer)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice_in_one_scope() {
        for (n, binding) in BINDINGS.iter().enumerate() {
            for key in binding.keys {
                let mut others = BINDINGS.iter().skip(n + 1);
                assert!(
                    !others.any(|b| b.scope == binding.scope && b.keys.contains(key)),
                    "{} is bound twice",
                    key.name()
                );
            }
        }
    }

    #[test]
    fn every_key_has_a_name_and_a_help() {
        for binding in BINDINGS {
            assert!(!binding.help.is_empty());
            assert!(binding.keys.iter().all(|key| !key.name().is_empty()));
        }
    }

    #[test]
    fn what_a_pane_binds_goes_before_what_is_bound_everywhere() {
        let enter = Key::plain(KeyCode::Enter);
        assert_eq!(bound(Pane::Queue, enter), Some(Action::Details));
        assert_eq!(bound(Pane::Connections, enter), Some(Action::OnlyThis));
        assert_eq!(bound(Pane::Mailboxes, enter), None);
    }
}
