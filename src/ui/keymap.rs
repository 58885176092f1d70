//! What a key of the terminal does at the moment. The table of keys itself is in
//! [`crate::console::keys`].

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::InputRequest;

use crate::console::action::{Action, Answer, Direction, Step};
use crate::console::keys::{Key, Named};
use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::console::state::prompt::{Prompt, Purpose};

/// The keys of a terminal event. No key of the table uses Alt, because a terminal reports Escape
/// and a quick next key as that key with Alt: such an event counts as these two keys. While a line
/// is being typed, such an event is ignored: users move by words with Alt, and the Escape would
/// discard the line.
pub fn pressed(state: &State, event: KeyEvent) -> impl Iterator<Item = KeyEvent> + use<> {
    let has_alt = event.modifiers.contains(KeyModifiers::ALT);
    let is_typing =
        state.prompt.is_some() || matches!(state.overlay, Overlay::Compose | Overlay::Help { .. });
    let escape = has_alt.then_some(KeyEvent::from(KeyCode::Esc));
    let key = KeyEvent { modifiers: event.modifiers - KeyModifiers::ALT, ..event };
    let pressed = if has_alt && is_typing { [None, None] } else { [escape, Some(key)] };
    pressed.into_iter().flatten()
}

/// The action of a key on the current screen.
#[must_use]
pub fn action(state: &State, event: KeyEvent) -> Option<Action> {
    let key = key_of(event)?;
    if let Some(prompt) = &state.prompt {
        return in_prompt(prompt, key).or_else(|| everywhere(state, key));
    }
    match &state.overlay {
        Overlay::Help { .. } => in_help(state, key),
        Overlay::Ask { .. } => in_question(key),
        Overlay::QueueEntry { .. } => over_queue_entry(state, key),
        Overlay::FirstSteps { .. } => over_first_steps(state, key),
        Overlay::Compose => in_form(key),
        Overlay::Servers { .. } => in_servers(state, key),
        Overlay::Faults { .. } => in_faults(state, key),
        Overlay::None => bound(state, key),
    }
    .or_else(|| everywhere(state, key))
}

/// The key in the table for what the terminal reports.
fn key_of(event: KeyEvent) -> Option<Key> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    let named = |named| Some(Key::Named(named));
    match event.code {
        // Some terminals send this for Backspace.
        KeyCode::Char('h') if control => named(Named::Backspace),
        KeyCode::Char(character) if control => Some(Key::Control(character.to_ascii_lowercase())),
        KeyCode::Char(character) => Some(Key::Char(character)),
        KeyCode::F(number) => Some(Key::F(number)),
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => named(Named::BackTab),
        KeyCode::Enter => named(Named::Enter),
        KeyCode::Esc => named(Named::Esc),
        KeyCode::Tab => named(Named::Tab),
        KeyCode::BackTab => named(Named::BackTab),
        KeyCode::Up => named(Named::Up),
        KeyCode::Down => named(Named::Down),
        KeyCode::Left => named(Named::Left),
        KeyCode::Right => named(Named::Right),
        KeyCode::PageUp => named(Named::PageUp),
        KeyCode::PageDown => named(Named::PageDown),
        KeyCode::Home => named(Named::Home),
        KeyCode::End => named(Named::End),
        KeyCode::Insert => named(Named::Insert),
        KeyCode::Delete => named(Named::Delete),
        KeyCode::Backspace => named(Named::Backspace),
        _ => None,
    }
}

fn bound(state: &State, key: Key) -> Option<Action> {
    state.bound(key)
}

/// Keys that work on every screen: quit at once, suspend and redraw.
fn everywhere(state: &State, key: Key) -> Option<Action> {
    let action = bound(state, key)?;
    matches!(action, Action::QuitNow | Action::Suspend | Action::Redraw).then_some(action)
}

/// Keys that edit the line being typed.
fn editing(key: Key) -> Option<Action> {
    let request = match key {
        Key::Char(character) => InputRequest::InsertChar(character),
        Key::Named(Named::Backspace) => InputRequest::DeletePrevChar,
        Key::Named(Named::Delete) => InputRequest::DeleteNextChar,
        Key::Named(Named::Left) => InputRequest::GoToPrevChar,
        Key::Named(Named::Right) => InputRequest::GoToNextChar,
        Key::Named(Named::Home) | Key::Control('a') => InputRequest::GoToStart,
        Key::Named(Named::End) | Key::Control('e') => InputRequest::GoToEnd,
        Key::Control('w') => InputRequest::DeletePrevWord,
        Key::Control('u') => InputRequest::DeleteFromStart,
        Key::Control('k') => InputRequest::DeleteTillEnd,
        _ => return None,
    };
    Some(Action::Edit(request))
}

/// Keys that scroll a text, or a list while a line is being typed.
const fn scrolling(key: Key) -> Option<Action> {
    let Key::Named(named) = key else { return None };
    Some(Action::Move(match named {
        Named::Up => Step::Up,
        Named::Down => Step::Down,
        Named::PageUp => Step::PageUp,
        Named::PageDown => Step::PageDown,
        Named::Home => Step::First,
        Named::End => Step::Last,
        _ => return None,
    }))
}

fn in_prompt(prompt: &Prompt, key: Key) -> Option<Action> {
    match (key, prompt.purpose) {
        (Key::Named(Named::Enter), _) => Some(Action::Confirm),
        (Key::Named(Named::Esc), _) => Some(Action::Escape),
        // As in vi, Backspace in an empty command line closes it.
        (Key::Named(Named::Backspace), Purpose::Command) if prompt.text().is_empty() => {
            Some(Action::Escape)
        }
        (Key::Named(Named::Tab), _) => Some(Action::Complete(Direction::Forward)),
        (Key::Named(Named::BackTab), _) => Some(Action::Complete(Direction::Backward)),
        _ => editing(key).or_else(|| scrolling(key)),
    }
}

fn in_help(state: &State, key: Key) -> Option<Action> {
    match key {
        Key::Named(Named::Esc | Named::Enter) => Some(Action::Escape),
        _ if bound(state, key) == Some(Action::Help) => Some(Action::Help),
        _ => scrolling(key).or_else(|| editing(key)),
    }
}

/// Keys that act on the queue entry, and scrolling; any other key closes it.
fn over_queue_entry(state: &State, key: Key) -> Option<Action> {
    match bound(state, key) {
        action @ Some(
            Action::Retry
            | Action::RelayRun
            | Action::Hold
            | Action::Drop
            | Action::CopyLine
            | Action::ViewQueued
            | Action::OtherEntry(_)
            | Action::Move(_)
            | Action::QuitNow
            | Action::Suspend
            | Action::Redraw,
        ) => action,
        Some(Action::Save) => Some(Action::SaveQueued),
        _ => Some(Action::Escape),
    }
}

/// The first steps name keys, so these work at once.
fn over_first_steps(state: &State, key: Key) -> Option<Action> {
    match bound(state, key) {
        Some(Action::Find(_)) => Some(Action::NewMailbox),
        None => Some(Action::Escape),
        action => action,
    }
}

fn in_form(key: Key) -> Option<Action> {
    match key {
        Key::Named(Named::Esc) => Some(Action::Escape),
        Key::Named(Named::Enter) => Some(Action::Confirm),
        Key::Named(Named::Tab) => Some(Action::Field(Direction::Forward)),
        Key::Named(Named::BackTab) => Some(Action::Field(Direction::Backward)),
        Key::Control('s') => Some(Action::Submit),
        _ => editing(key).or_else(|| scrolling(key)),
    }
}

fn in_servers(state: &State, key: Key) -> Option<Action> {
    match bound(state, key) {
        action @ Some(
            Action::Change
            | Action::StartServer
            | Action::StopServer
            | Action::RestartServer
            | Action::Servers
            | Action::CommandLine
            | Action::Help
            | Action::Move(_)
            | Action::Quit,
        ) => action,
        Some(Action::Escape) => Some(Action::Escape),
        _ => None,
    }
}

fn in_faults(state: &State, key: Key) -> Option<Action> {
    match bound(state, key) {
        action @ Some(
            Action::Fault(_)
            | Action::Faults
            | Action::CommandLine
            | Action::Help
            | Action::Move(_)
            | Action::Escape
            | Action::Quit,
        ) => action,
        _ => None,
    }
}

const fn in_question(key: Key) -> Option<Action> {
    match key {
        Key::Char('y' | 'Y') => Some(Action::Answer(Answer::Yes)),
        Key::Char('n' | 'N') | Key::Named(Named::Esc) => Some(Action::Answer(Answer::No)),
        Key::Named(Named::Enter) => Some(Action::Confirm),
        Key::Named(Named::Tab | Named::BackTab | Named::Left | Named::Right) => {
            Some(Action::OtherAnswer)
        }
        _ => None,
    }
}
