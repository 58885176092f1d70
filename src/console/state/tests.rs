//! The state as a user meets it: what happens, which actions, what is then shown.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use chrono::FixedOffset;

use tui_input::InputRequest;

use super::*;
use crate::console::action::{Action, Answer, Command, Direction, Step};
use crate::console::state::overlay::Question;
use crate::console::state::row::Row;
use crate::store::overview::{MailboxView, QueueView};
use crate::watch::event::{Event, KeptLine, Kind, Side};
use crate::watch::registry::{ConnectionView, Secrecy};

pub(crate) fn name(id: u64) -> ConnectionName {
    let number = i32::try_from(id).unwrap();
    ConnectionName { id, number, service: Service::Smtp }
}

pub(crate) fn event(id: u64, kind: Kind) -> Row {
    Row::Event(Event { connection: name(id), at: SystemTime::UNIX_EPOCH, kind })
}

/// A command line on connection `id`.
pub(crate) fn line(id: u64, text: &str) -> Row {
    event(id, Kind::Line(Side::Client, KeptLine::new(text.as_bytes())))
}

/// A command line on connection `id`, at that time.
pub(crate) fn line_at(id: u64, text: &str, at: SystemTime) -> Row {
    let kind = Kind::Line(Side::Client, KeptLine::new(text.as_bytes()));
    Row::Event(Event { connection: name(id), at, kind })
}

/// A line of message text on connection `id`.
pub(crate) fn text_line(id: u64, text: &str) -> Row {
    event(id, Kind::TextLine(Side::Client, KeptLine::new(text.as_bytes())))
}

/// The end of connection `id`.
pub(crate) fn closed(id: u64) -> Row {
    event(id, Kind::Closed)
}

pub(crate) fn clock() -> Clock {
    Clock {
        instant: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + Duration::from_hours(488_363),
        offset: FixedOffset::east_opt(0).unwrap(),
    }
}

pub(crate) fn connection(id: u64, now: Instant) -> ConnectionView {
    ConnectionView {
        name: name(id),
        peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
        state: "DATA".into(),
        user: None,
        tls: None,
        login: None,
        heard: now,
        closed: None,
        octets_in: 0,
        octets_out: 0,
        partial: Vec::new(),
        secrecy: Secrecy::AsItSays,
        text: None,
        partial_since: now,
    }
}

pub(crate) fn with_connections(count: u64) -> State {
    let mut state = State::new(clock(), 100);
    connect(&mut state, count);
    state
}

pub(crate) fn connect(state: &mut State, count: u64) {
    let now = state.clock.instant;
    let connections = (1..=count).map(|id| connection(id, now)).collect();
    state.connections_are(RegistryView { connections, opened: count, ..RegistryView::default() });
}

pub(crate) fn mailbox(name: &str, messages: u64) -> MailboxView {
    MailboxView {
        name: name.to_owned(),
        messages: Some(messages),
        octets: 100 * messages,
        revision: 0,
        edition: 0,
        holder: None,
        error: None,
    }
}

fn mailboxes(views: Vec<MailboxView>) -> Overview {
    Overview { mailboxes: views, ..Overview::default() }
}

pub(crate) fn queued(
    recipient: &str,
    queued: SystemTime,
    next_attempt: Option<SystemTime>,
) -> QueueView {
    QueueView {
        id: "1".to_owned(),
        reverse_path: String::new(),
        recipient: recipient.to_owned(),
        state: RecipientState::Pending,
        octets: 1,
        queued,
        attempts: 0,
        last_reply: String::new(),
        parameters: String::new(),
        next_attempt,
    }
}

fn shown(state: &State) -> Vec<String> {
    let ring = state.transcript.ring();
    ring.from(0).map(|(_, row)| row.text(ring.passwords()).into_string()).collect()
}

fn typed(character: char) -> Action {
    Action::Edit(InputRequest::InsertChar(character))
}

fn all(state: &mut State, actions: &[Action]) -> Option<Command> {
    actions.iter().map(|&action| state.update(action)).last().flatten()
}

#[test]
fn what_comes_to_a_mailbox_that_was_not_there_is_new() {
    let mut state = with_connections(0);
    state.only_these_are_old(["linhphan", "broken"].into_iter());
    let broken = MailboxView { messages: None, ..mailbox("broken", 0) };
    state.overview_is(&mailboxes(vec![broken, mailbox("linhphan", 7)]));
    let new = |state: &State, name: &str| {
        let mut rows = state.mailboxes.items().iter();
        rows.find(|row| row.name.as_str() == name).unwrap().new
    };
    assert_eq!(new(&state, "linhphan"), 0);
    let views = vec![mailbox("broken", 3), mailbox("linhphan", 8), mailbox("mqueue", 1)];
    state.overview_is(&mailboxes(views));
    let all = ["broken", "linhphan", "mqueue"].map(|name| new(&state, name));
    assert_eq!(all, [0, 1, 1]);
}

#[test]
fn quitting_with_nobody_connected_asks_nothing() {
    let mut state = with_connections(0);
    assert_eq!(state.update(Action::Quit), Some(Command::Quit));
}

#[test]
fn quitting_while_somebody_is_connected_asks_and_enter_stays() {
    let mut state = with_connections(2);
    assert_eq!(state.update(Action::Quit), None);
    let asked = Overlay::Ask {
        question: Question::Quit { open: 2 },
        marked: Answer::No,
        beneath: Box::new(Overlay::None),
    };
    assert_eq!(state.overlay, asked);
    assert_eq!(state.update(Action::Confirm), None);
    assert_eq!(state.overlay, Overlay::None);
    all(&mut state, &[Action::Quit, Action::OtherAnswer]);
    assert_eq!(state.update(Action::Confirm), Some(Command::Quit));
}

#[test]
fn quitting_now_asks_nothing() {
    let mut state = with_connections(2);
    assert_eq!(state.update(Action::QuitNow), Some(Command::Quit));
}

#[test]
fn the_selected_connection_is_closed_after_a_yes() {
    let mut state = with_connections(2);
    let actions = [Action::Move(Step::Down), Action::CloseConnection, Action::Answer(Answer::Yes)];
    assert_eq!(all(&mut state, &actions), Some(Command::Close(2)));
    let actions = [Action::CloseConnection, Action::Answer(Answer::No)];
    assert_eq!(all(&mut state, &actions), None);
}

#[test]
fn what_is_closed_already_is_not_asked_about() {
    let mut state = with_connections(0);
    let mut gone = connection(1, state.clock.instant);
    gone.closed = Some(gone.heard);
    state.connections_are(RegistryView {
        connections: vec![gone],
        opened: 1,
        ..RegistryView::default()
    });
    state.update(Action::CloseConnection);
    assert_eq!(state.overlay, Overlay::None);
    assert!(state.said.is_some());
}

#[test]
fn enter_narrows_to_the_selected_connection_and_0_widens() {
    let mut state = with_connections(2);
    state.apply(line(1, "HELO a"));
    state.apply(line(2, "HELO b"));
    state.update(Action::OnlyThis);
    assert_eq!(shown(&state), ["[1] C: HELO a"]);
    state.update(Action::AllConnections);
    assert_eq!(shown(&state).len(), 2);
}

#[test]
fn enter_on_a_transcript_row_narrows_to_its_connection() {
    let mut state = with_connections(2);
    state.apply(line(1, "HELO a"));
    state.apply(line(2, "HELO b"));
    let actions = [Action::Focus(Pane::Transcript), Action::Move(Step::Up), Action::OnlyThis];
    all(&mut state, &actions);
    assert_eq!(shown(&state), ["[1] C: HELO a"]);
}

#[test]
fn what_is_typed_filters_the_focused_pane_at_once() {
    let mut state = with_connections(1);
    state.apply(line(1, "NOOP"));
    state.apply(line(1, "QUIT"));
    let actions = [
        Action::Focus(Pane::Transcript),
        Action::Filter,
        typed('q'),
        typed('x'),
        Action::Edit(InputRequest::DeletePrevChar),
    ];
    all(&mut state, &actions);
    assert_eq!(shown(&state), ["[1] C: QUIT"]);
    state.update(Action::Confirm);
    assert!(state.prompt.is_none());
    assert_eq!(shown(&state).len(), 1);
    state.update(Action::Escape);
    assert_eq!(shown(&state).len(), 2);
}

#[test]
fn a_filter_for_the_connections_leaves_the_transcript_alone() {
    let mut state = with_connections(12);
    state.apply(line(1, "NOOP"));
    all(&mut state, &[Action::Filter, typed('1'), typed('2'), typed(']')]);
    assert_eq!(state.connections.len(), 1);
    assert_eq!(shown(&state).len(), 1);
}

#[test]
fn where_there_is_no_match_to_go_to_that_is_said() {
    let mut state = with_connections(1);
    state.apply(line(1, "NOOP"));
    let actions = [Action::Focus(Pane::Transcript), Action::Filter, typed('x'), Action::Confirm];
    all(&mut state, &actions);
    state.update(Action::Find(Direction::Forward));
    let said = |state: &State| state.said.as_ref().unwrap().as_str().to_owned();
    assert_eq!(said(&state), "No line matches the filter.");
    all(&mut state, &[Action::Escape, Action::Filter, typed('n'), Action::Confirm]);
    for _ in 0..1_000 {
        state.apply(line(1, "QUIT"));
    }
    state.update(Action::Find(Direction::Forward));
    assert_eq!(said(&state), "The surrounding lines are no longer in the scrollback.");
    assert_eq!(shown(&state), ["[1] C: NOOP"]);
}

#[test]
fn a_service_is_looked_for_among_the_connections_as_in_the_transcript() {
    for (filter, found) in [("@smtp", 2), ("@pop3", 0)] {
        let mut state = with_connections(2);
        let actions: Vec<Action> = filter.chars().map(typed).collect();
        state.update(Action::Filter);
        all(&mut state, &actions);
        assert_eq!(state.connections.len(), found, "{filter}");
    }
}

#[test]
fn escape_takes_back_one_thing_at_a_time() {
    let mut state = with_connections(1);
    state.apply(line(1, "NOOP"));
    all(&mut state, &[Action::OnlyThis, Action::Zoom, Action::Filter, typed('1')]);
    state.update(Action::Help);
    state.update(Action::Escape);
    assert_eq!(state.overlay, Overlay::None);
    state.update(Action::Escape);
    assert!(state.filter_of(Context::Pane(Pane::Connections)).is_none() && state.zoomed);
    state.update(Action::Escape);
    assert!(!state.zoomed && state.transcript.ring().only().is_some());
    state.update(Action::Escape);
    assert!(state.transcript.ring().only().is_none());
}

#[test]
fn mail_that_could_not_be_counted_for_a_moment_is_not_new() {
    let mut state = State::new(clock(), 100);
    let unreadable = MailboxView { messages: None, ..mailbox("linhphan", 0) };
    for (view, new) in [
        (unreadable.clone(), 0),
        (mailbox("linhphan", 7), 0),
        (unreadable, 0),
        (mailbox("linhphan", 8), 1),
    ] {
        state.overview_is(&mailboxes(vec![view]));
        assert_eq!(state.mailboxes.items()[0].new, new);
    }
}

#[test]
fn mail_is_new_until_the_user_has_looked() {
    let mut state = with_connections(0);
    state.overview_is(&mailboxes(vec![mailbox("linhphan", 3)]));
    state.overview_is(&mailboxes(vec![mailbox("linhphan", 5)]));
    assert_eq!(state.mailboxes.items()[0].new, 2);
    all(&mut state, &[Action::Focus(Pane::Mailboxes), Action::Focus(Pane::Queue)]);
    assert_eq!(state.mailboxes.items()[0].new, 0);
    state.overview_is(&mailboxes(vec![mailbox("linhphan", 5)]));
    assert_eq!(state.mailboxes.items()[0].new, 0);
}

#[test]
fn mail_after_all_was_fetched_is_new() {
    let mut state = with_connections(0);
    for (messages, new) in [(3, 0), (0, 0), (1, 1)] {
        state.overview_is(&mailboxes(vec![mailbox("linhphan", messages)]));
        assert_eq!(state.mailboxes.items()[0].new, new);
    }
}

#[test]
fn a_screen_on_which_nothing_ages_never_wakes() {
    let mut state = with_connections(0);
    assert_eq!(state.ages_in(), None);
    let now = state.clock.wall;
    let long_ago = now - Duration::from_hours(1);
    state.overview_is(&Overview {
        queue: vec![queued("a@b", long_ago, None)],
        ..Overview::default()
    });
    assert_eq!(state.ages_in(), Some(Duration::from_mins(1)));
    state.overview_is(&Overview {
        queue: vec![queued("a@b", long_ago, Some(now + Duration::from_secs(9)))],
        ..Overview::default()
    });
    assert_eq!(state.ages_in(), Some(Duration::from_secs(1)));
    let state = with_connections(1);
    assert_eq!(state.ages_in(), Some(Duration::from_secs(1)));
}

#[test]
fn hostile_words_from_disk_are_escaped_at_the_border() {
    let mut state = with_connections(0);
    let mut entry = queued("a@\u{202e}b", SystemTime::UNIX_EPOCH, None);
    entry.last_reply = "550 \x1b]52;c;x\x07".to_owned();
    state.overview_is(&Overview { queue: vec![entry], mailboxes: vec![mailbox("a\u{9b}2J", 1)] });
    let row = &state.queue.items()[0];
    assert_eq!(row.recipient.as_str(), "a@\\u{202e}b");
    assert_eq!(row.last_reply.as_str(), "550 \\x1b]52;c;x\\x07");
    assert_eq!(state.mailboxes.items()[0].name.as_str(), "a\\u{9b}2J");
}

#[test]
fn a_password_is_masked_while_it_is_being_typed() {
    let mut state = with_connections(0);
    let mut view = connection(1, state.clock.instant);
    view.partial = b"pass cis5".to_vec();
    state.connections_are(RegistryView {
        connections: vec![view],
        opened: 1,
        ..RegistryView::default()
    });
    let begun = |state: &State| {
        let row = state.connections.selected().unwrap();
        let passwords = state.transcript.ring().passwords();
        row.begun(passwords, state.clock.instant).unwrap().line.into_string()
    };
    assert_eq!(begun(&state), "pass ******");
    state.update(Action::Passwords);
    assert_eq!(begun(&state), "pass cis5");
}
