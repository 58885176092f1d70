//! Somebody who presses any keys and clicks anywhere while anything happens, at any size: nothing
//! panics, and no cell holds what a terminal would obey.

use std::net::SocketAddr;
use std::time::SystemTime;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;

use super::*;
use crate::console::action::Action;
use crate::console::state::row::Row;
use crate::console::state::tests::{
    connect, line, mailbox, name, queued, text_line, with_connections,
};
use crate::mailroom::{Attachment, MailroomEvent, Message, MessageKey, Summary, decode};
use crate::servers::settings::{RelayPolicy, SettingsView};
use crate::servers::supervisor::{Condition, ServerView};
use crate::store::overview::Overview;
use crate::watch::event::{Event, KeptLine, Kind, Service, Side};
use crate::wire::display::DisplayText;

/// Words that no screen likes.
const HOSTILE: &str = "x\x1b[2J\x1b]52;c;eA==\x07\u{9b}31m\u{202e}\u{200b}e\u{301}日本語 \t end";

#[derive(Debug, Clone)]
enum Happening {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Frame(u16, u16),
    Lines(u64, usize),
    Skip(u64),
    Connections(u64),
    Mailboxes(u64),
    Servers(usize),
    Listed(usize),
    NotListed,
    Shown(usize),
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let plain = prop_oneof![
        8 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => prop::char::any().prop_map(KeyCode::Char),
        6 => prop::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::F(1),
            KeyCode::F(2),
        ]),
    ];
    let modifiers = prop_oneof![9 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL)];
    (plain, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn any_click() -> impl Strategy<Value = MouseEvent> {
    let kind = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollUp,
        MouseEventKind::Moved,
    ]);
    (kind, 0..250_u16, 0..80_u16).prop_map(|(kind, column, row)| MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => any_key().prop_map(Happening::Key),
        2 => any_click().prop_map(Happening::Mouse),
        3 => (1..=250_u16, 1..=80_u16).prop_map(|(width, height)| Happening::Frame(width, height)),
        2 => (1..5_u64, 1..40_usize).prop_map(|(id, count)| Happening::Lines(id, count)),
        1 => (1..9_u64).prop_map(Happening::Skip),
        1 => (0..30_u64).prop_map(Happening::Connections),
        1 => (0..9_u64).prop_map(Happening::Mailboxes),
        1 => (0..4_usize).prop_map(Happening::Servers),
        1 => (0..60_usize).prop_map(Happening::Listed),
        1 => Just(Happening::NotListed),
        2 => (0..4_usize).prop_map(Happening::Shown),
    ]
}

fn happen(state: &mut State, happening: &Happening, area: &mut Rect) {
    match happening {
        Happening::Key(event) => {
            for key in keymap::pressed(state, *event) {
                if let Some(action) = keymap::action(state, key) {
                    state.update(action);
                }
            }
        }
        Happening::Mouse(event) => {
            if let Some(action) = hits(state, *area).action(*event) {
                state.update(action);
            }
        }
        Happening::Frame(width, height) => *area = Rect::new(0, 0, *width, *height),
        Happening::Lines(id, count) => say(state, *id, *count),
        Happening::Skip(lines) => state.apply(Row::Skipped(*lines)),
        Happening::Connections(count) => connect(state, *count),
        Happening::Mailboxes(count) => overview(state, *count),
        Happening::Servers(nth) => servers(state, *nth),
        Happening::Listed(count) => list(state, *count),
        Happening::NotListed => state.take_news(MailroomEvent::NotListed(HOSTILE.to_owned())),
        Happening::Shown(count) => show(state, *count),
    }
}

/// What the mouse does on a picture of this size.
fn hits(state: &mut State, area: Rect) -> HitMap {
    fit(state, area);
    draw(state, &LogView::new(), &mut Buffer::empty(area))
}

fn say(state: &mut State, id: u64, count: usize) {
    (0..count).for_each(|n| state.apply(line(id, &format!("{HOSTILE} {n}"))));
    state.apply(text_line(id, HOSTILE));
    let kind = Kind::Line(Side::Server, KeptLine::new(b"-ERR no"));
    state.apply(Event { connection: name(id), at: SystemTime::now(), kind });
}

fn overview(state: &mut State, count: u64) {
    let views = (0..count).map(|n| mailbox(&format!("user{n}"), n)).collect();
    let entries = (0..count).map(|n| queued(&format!("u{n}@{HOSTILE}"), SystemTime::now(), None));
    state.overview_is(&Overview { mailboxes: views, queue: entries.collect() });
}

fn servers(state: &mut State, nth: usize) {
    let conditions = [
        Condition::Running,
        Condition::Stopping,
        Condition::Stopped,
        Condition::Failed(HOSTILE.repeat(9)),
    ];
    let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 2_500))];
    let view = |service| ServerView {
        service,
        addresses: addresses.clone(),
        tls_addresses: addresses.clone(),
        condition: conditions[nth].clone(),
    };
    let views = [Service::Smtp, Service::Pop3, Service::Echo].map(view);
    state.servers_are(&views[..nth.min(3)]);
    state.settings_are(SettingsView { relay: RelayPolicy::Nobody, ..SettingsView::default() });
}

fn list(state: &mut State, count: usize) {
    let mailbox = "user1".to_owned();
    state.take_news(MailroomEvent::Begun { mailbox, messages: count, left_out: count / 9 });
    let summary = |n: usize| Summary {
        key: MessageKey { hash: n as u64, occurrence: 0 },
        number: n + 1,
        from: DisplayText::from(HOSTILE),
        subject: DisplayText::from(HOSTILE),
        date: Some(SystemTime::UNIX_EPOCH),
        octets: n as u64 * 997,
        caught_for: None,
    };
    state.take_news(MailroomEvent::Listed((0..count).map(summary).collect()));
    state.take_news(MailroomEvent::Complete);
}

/// A mailbox is opened, if none is, and the selected message of it is shown.
fn show(state: &mut State, count: usize) {
    state.update(Action::Focus(Pane::Mailboxes));
    state.update(Action::OpenMailbox);
    list(state, 9);
    state.update(Action::OpenMessage);
    let Some(key) = state.reader.selected_key() else { return };
    let hostile = DisplayText::from(HOSTILE);
    let attachment = Attachment { name: hostile.clone(), media_type: hostile, octets: u64::MAX };
    let media_type = ["text/plain", "text/html", "image/png"][count % 3];
    let field = format!("Subject: {HOSTILE}\n").repeat(count);
    let text = format!("{HOSTILE}\n").repeat(9 * count);
    let text = format!("{field}Content-Type: {media_type}\n\n{text}").into_bytes();
    let octets = (text.len() + count) as u64;
    let message = Message {
        attachments: vec![attachment; count],
        octets: u64::MAX,
        ..decode::message(key, text, octets)
    };
    state.take_news(MailroomEvent::Shown(Box::new(message)));
}

fn is_harmless(symbol: &str) -> bool {
    DisplayText::from(symbol).as_str() == symbol
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_keys_at_any_size_panic_nothing_and_obey_nobody(
        happenings in prop::collection::vec(any_happening(), 0..120),
    ) {
        let mut state = with_connections(3);
        let mut area = Rect::new(0, 0, 80, 24);
        for happening in &happenings {
            happen(&mut state, happening, &mut area);
            fit(&mut state, area);
            let mut buffer = Buffer::empty(area);
            draw(&state, &LogView::new(), &mut buffer);
            for cell in &buffer.content {
                prop_assert!(is_harmless(cell.symbol()), "{:?}", cell.symbol());
            }
        }
    }
}
