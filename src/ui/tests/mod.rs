//! The whole console in process, with a fixed clock: pictures of it at three sizes in every
//! state, journeys by key, and whatever else can happen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use tui_input::InputRequest;

use super::*;
use crate::console::action::{
    Action, Answer, Command, Direction, EntryAction, FaultOrder, Field, Step,
};
use crate::console::keys;
use crate::console::state::Clock;
use crate::console::state::appearance::Palette;
use crate::console::state::relay::{Notice, Story};
use crate::console::state::row::Row;
use crate::console::state::server::Server;
use crate::console::state::tests::{
    clock, connect, connection, line, mailbox, name, queued, text_line, with_connections,
};
use crate::fault::faults::RuleView;
use crate::mailroom::{MailroomEvent, MailroomRequest, Message, MessageKey, QueuedRequest};
use crate::relay::mx::Target;
use crate::relay::orders::{Order, QueueTarget};
use crate::relay::postmaster::Request;
use crate::relay::progress::{Attempt, Live, Sent, Tally};
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Diagnosis, Source, Verdict};
use crate::servers::supervisor::Condition;
use crate::store::overview::{Holder, MailboxView, Overview, QueueView, RecipientState};
use crate::ui::tests::reader::{html_message, long_message, plain_message, summary};
use crate::watch::event::{ConnectionName, Event, KeptLine, Kind, Service, Side};
use crate::watch::registry::{ConnectionView, RegistryView};
use crate::wire::display::DisplayText;
use crate::wire::unended::TextEnd;

mod held;
mod monkey;
mod reader;
mod transcript;

pub(super) const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// The console, its keys and its picture.
pub(super) struct Screen {
    pub(super) state: State,
    size: (u16, u16),
    /// What the mouse does on the last picture.
    hits: HitMap,
    pub(super) commands: Vec<Command>,
}

impl Screen {
    pub(super) fn of(state: State) -> Self {
        Self { state, size: (80, 24), hits: HitMap::default(), commands: Vec::new() }
    }

    pub(super) fn sized(mut self, size: (u16, u16)) -> Self {
        self.size = size;
        self
    }

    /// Presses keys: characters, or the names that the help has for the others.
    pub(super) fn press(mut self, keys: &[&str]) -> Self {
        for key in keys {
            self = self.press_event(key_event(key));
        }
        self
    }

    fn press_event(mut self, event: KeyEvent) -> Self {
        for key in keymap::pressed(&self.state, event) {
            if let Some(action) = keymap::action(&self.state, key) {
                self.commands.extend(self.state.update(action));
            }
            self.picture();
        }
        self
    }

    /// Presses the keys of the characters of a text.
    pub(super) fn type_in(self, text: &str) -> Self {
        let keys: Vec<String> = text.chars().map(String::from).collect();
        self.press(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Clicks where a text is.
    #[track_caller]
    pub(super) fn click(self, text: &str) -> Self {
        self.mouse(MouseEventKind::Down(MouseButton::Left), text)
    }

    #[track_caller]
    pub(super) fn mouse(mut self, kind: MouseEventKind, text: &str) -> Self {
        let picture = self.picture();
        let area = picture.buffer().area;
        let line_of = |row| (0..area.width).map(move |column| (column, row));
        let place = (0..area.height).find_map(|row| {
            let mut cells = line_of(row);
            cells.find(|&(column, _)| {
                let rest = (column..area.width).map(|x| picture.buffer()[(x, row)].symbol());
                rest.collect::<String>().starts_with(text)
            })
        });
        let (column, row) = place.unwrap_or_else(|| panic!("{text:?} is not on\n{picture}"));
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        if let Some(action) = self.hits.action(event) {
            self.commands.extend(self.state.update(action));
        }
        self
    }

    pub(super) fn says(mut self, id: u64, text: &str) -> Self {
        self.state.apply(line(id, text));
        self
    }

    pub(super) fn picture(&mut self) -> TestBackend {
        let (width, height) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        fit(&mut self.state, Rect::new(0, 0, width, height));
        let paint = |frame: &mut ratatui::Frame<'_>| {
            self.hits = draw(&self.state, &LogView::new(), frame.buffer_mut());
        };
        terminal.draw(paint).unwrap();
        terminal.backend().clone()
    }

    #[track_caller]
    pub(super) fn shows(mut self, text: &str) -> Self {
        let picture = self.picture().to_string();
        assert!(picture.contains(text), "{text:?} is not on\n{picture}");
        self
    }

    #[track_caller]
    pub(super) fn hides(mut self, text: &str) -> Self {
        let picture = self.picture().to_string();
        assert!(!picture.contains(text), "{text:?} is on\n{picture}");
        self
    }
}

fn key_event(key: &str) -> KeyEvent {
    let code = match key {
        "⏎" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "⇧Tab" => KeyCode::BackTab,
        "↑" => KeyCode::Up,
        "↓" => KeyCode::Down,
        "←" => KeyCode::Left,
        "→" => KeyCode::Right,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "End" => KeyCode::End,
        "Backspace" => KeyCode::Backspace,
        "F2" => KeyCode::F(2),
        "^C" => return KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
        "^S" => return KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL),
        "^Z" => return KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL),
        key => KeyCode::Char(key.chars().next().unwrap()),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

pub(super) fn empty() -> State {
    let mut state = State::new(clock(), 50_000);
    state.servers = vec![
        server(Service::Smtp, 2_500),
        server(Service::Pop3, 11_000),
        server(Service::Echo, 10_000),
    ];
    state
}

fn server(service: Service, port: u16) -> Server {
    Server {
        service,
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        tls_addresses: Vec::new(),
        condition: Condition::Running,
    }
}

fn named(id: u64, number: i32, service: Service) -> ConnectionName {
    ConnectionName { id, number, service }
}

fn smtp() -> ConnectionName {
    named(2, 12, Service::Smtp)
}

fn pop3() -> ConnectionName {
    named(3, 14, Service::Pop3)
}

fn echo() -> ConnectionName {
    named(4, 15, Service::Echo)
}

fn tell(state: &mut State, connection: ConnectionName, seconds: u64, kind: Kind) {
    let at = state.clock.wall - Duration::from_secs(60 - seconds);
    state.apply(Event { connection, at, kind });
}

fn said(side: Side, text: &str) -> Kind {
    Kind::Line(side, KeptLine::new(text.as_bytes()))
}

pub(super) fn typical() -> State {
    let mut state = empty();
    state.connections_are(typical_connections(&state));
    state.overview_is(&typical_overview(state.clock.wall));
    let peer = SocketAddr::from(([127, 0, 0, 1], 51_544));
    let conversation = [
        (smtp(), Kind::Opened { peer }),
        (smtp(), said(Side::Server, "220 localhost mailconsole service ready")),
        (smtp(), said(Side::Client, "EHLO [127.0.0.1]")),
        (smtp(), said(Side::Server, "502 Command not implemented")),
        (smtp(), said(Side::Client, "HELO [127.0.0.1]")),
        (smtp(), said(Side::Server, "250 localhost")),
        (pop3(), Kind::Opened { peer }),
        (pop3(), said(Side::Server, "+OK POP3 ready [localhost]")),
        (pop3(), said(Side::Client, "USER linhphan")),
        (pop3(), said(Side::Server, "+OK")),
        (pop3(), said(Side::Client, "PASS cis505")),
        (pop3(), said(Side::Server, "+OK maildrop locked and ready")),
        (smtp(), said(Side::Client, "MAIL FROM:<linhphan@localhost>")),
        (smtp(), said(Side::Server, "250 OK")),
        (smtp(), said(Side::Client, "RCPT TO:<bcpierce@localhost>")),
        (smtp(), said(Side::Server, "250 OK")),
        (smtp(), said(Side::Client, "DATA")),
        (smtp(), said(Side::Server, "354 Start mail input; end with <CRLF>.<CRLF>")),
        (smtp(), Kind::TextLine(Side::Client, KeptLine::new("Subject: naïve 日本語 ✉".as_bytes()))),
        (smtp(), Kind::Text { octets: 264 }),
        (smtp(), said(Side::Client, ".")),
        (smtp(), said(Side::Server, "250 OK")),
        (echo(), said(Side::Client, "ECHO Hello naïve 日本語 world")),
        (echo(), said(Side::Server, "+OK Hello naïve 日本語 world")),
        (echo(), said(Side::Client, "TEST unsupported")),
        (echo(), said(Side::Server, "-ERR Unknown command")),
    ];
    for (second, (connection, kind)) in (0..).zip(conversation) {
        tell(&mut state, connection, second, kind);
    }
    state
}

fn typical_connections(state: &State) -> RegistryView {
    let ago = |seconds| state.clock.instant.checked_sub(Duration::from_secs(seconds)).unwrap();
    let view = |name, port, state: &'static str, heard| ConnectionView {
        name,
        peer: SocketAddr::from(([127, 0, 0, 1], port)),
        state: state.into(),
        heard: ago(heard),
        octets_in: 14_541,
        octets_out: 312,
        ..connection(0, ago(heard))
    };
    let gone = ConnectionView {
        closed: Some(ago(9)),
        ..view(named(1, 9, Service::Smtp), 51_390, "QUIT", 9)
    };
    let waiting = ConnectionView {
        user: Some("linhphan".to_owned()),
        partial: b"PASS cis5".to_vec(),
        partial_since: ago(72),
        ..view(pop3(), 51_560, "TRANSACTION linhphan", 72)
    };
    RegistryView {
        connections: vec![
            gone,
            view(smtp(), 51_544, "DATA", 3),
            waiting,
            view(echo(), 51_602, "ready", 12),
        ],
        opened: 57,
        ..RegistryView::default()
    }
}

fn typical_overview(now: SystemTime) -> Overview {
    let sized = |name, messages, octets| MailboxView { octets, ..mailbox(name, messages) };
    let waiting = |recipient, minutes: u64| {
        let at = now - Duration::from_secs(60 * minutes);
        QueueView {
            reverse_path: "linhphan@localhost".to_owned(),
            octets: 3_174,
            attempts: 2,
            last_reply: "connect timed out".to_owned(),
            ..queued(recipient, at, Some(now + Duration::from_secs(42)))
        }
    };
    let refused = QueueView {
        state: RecipientState::Failed,
        last_reply: "550 5.1.1 no such user".to_owned(),
        next_attempt: None,
        ..waiting("friend@example.org", 4)
    };
    Overview {
        mailboxes: vec![
            sized("bcpierce", 12, 325_632),
            MailboxView { holder: Some(Holder::OwnSession), ..sized("linhphan", 7, 48_213) },
            sized("mqueue", 2, 6_553),
            sized("zives", 0, 0),
        ],
        queue: vec![refused, waiting("alice@cis.upenn.edu", 9)],
    }
}

/// More of everything than there is room for.
pub(super) fn overflow() -> State {
    let mut state = empty();
    let now = state.clock.instant;
    let connections = (1..=300_u64).map(|id| ConnectionView {
        state: "TRANSACTION a-user-with-a-very-long-name".into(),
        peer: SocketAddr::from((std::net::Ipv6Addr::from([0xfd00; 8]), 65_535)),
        octets_in: u64::MAX,
        octets_out: 999_999_999,
        ..connection(id, now)
    });
    state.connections_are(RegistryView {
        connections: connections.collect(),
        opened: 1_234_567,
        ..RegistryView::default()
    });
    let mailboxes = (0..100).map(|n| MailboxView {
        octets: u64::MAX / 200,
        ..mailbox(&format!("a-user-with-a-very-long-name-{n}-日本語日本語"), 1_000_000)
    });
    let queue = (0..100).map(|n| QueueView {
        id: format!("entry-{n}-with-a-long-id"),
        last_reply: "450 ".to_owned() + &"greylisted ".repeat(40),
        attempts: u32::MAX,
        ..queued(
            &format!("recipient-{n}@a-very-long-domain-name.example.org"),
            SystemTime::UNIX_EPOCH,
            None,
        )
    });
    state.overview_is(&Overview { mailboxes: mailboxes.collect(), queue: queue.collect() });
    state.apply(Row::Skipped(1_234));
    for n in 0..2_000 {
        state.apply(line(300, &format!("{n} {}", "long 日本語 ".repeat(30))));
    }
    state.notices = vec![
        DisplayText::from("not synced (--no-sync)"),
        DisplayText::from("a warning that goes on and on"),
    ];
    state
}

/// What can be wrong is wrong.
fn error() -> State {
    let mut state = empty();
    let broken = |name: &str, error: &str| MailboxView {
        messages: None,
        error: Some(error.to_owned()),
        ..mailbox(name, 0)
    };
    let now = state.clock.wall;
    let failed = QueueView {
        state: RecipientState::Failed,
        last_reply: "554 5.4.6 mail for example.org loops back to myself".to_owned(),
        ..queued("friend@example.org", now - Duration::from_hours(25), None)
    };
    state.overview_is(&Overview {
        mailboxes: vec![
            broken("linhphan", "no From_ line at its beginning"),
            broken("zives", "permission denied"),
        ],
        queue: vec![failed],
    });
    state.apply(Row::Skipped(1_234));
    tell(
        &mut state,
        smtp(),
        1,
        said(Side::Server, "451 Requested action aborted: local error in processing"),
    );
    tell(
        &mut state,
        smtp(),
        2,
        Kind::Note("the client does not read; given up after 60 s".to_owned()),
    );
    tell(&mut state, smtp(), 3, Kind::Closed);
    state.notices = vec![DisplayText::from("not synced (--no-sync)")];
    state
}

/// A run is under way: one recipient is being sent, one is done, one was deferred, the others
/// failed before or are held.
fn relaying() -> State {
    let mut state = typical();
    let now = state.clock.wall;
    let recipient = |number: u32, recipient: &str| QueueView {
        id: format!("18ea8f3c6e1d2b40-1a2b-{number:x}"),
        reverse_path: "linhphan@localhost".to_owned(),
        octets: 48_213,
        attempts: 1,
        last_reply: "451 4.7.1 greylisted, try again later".to_owned(),
        ..queued(recipient, now - Duration::from_mins(9), Some(now + Duration::from_secs(42)))
    };
    let failed = QueueView {
        state: RecipientState::Failed,
        last_reply: "550 5.1.1 no such user".to_owned(),
        next_attempt: None,
        ..recipient(4, "friend@example.org")
    };
    let held = QueueView { state: RecipientState::Held, ..recipient(5, "zives@example.edu") };
    let mut overview = typical_overview(now);
    overview.queue = vec![
        recipient(1, "bob@gmail.example"),
        recipient(2, "alice@cis.upenn.example"),
        recipient(3, "carol@example.net"),
        failed,
        held,
    ];
    state.overview_is(&overview);
    let targets: Vec<QueueTarget> =
        overview.queue.iter().map(|view| QueueTarget::one(&view.id, &view.recipient)).collect();
    let lives = [
        live_sending(),
        live(now, Verdict::Deferred(refusal(), Again::NextHost)),
        live(now, Verdict::Delivered(refusal(), Notice::None)),
    ];
    let tally = Tally { recipients: 3, delivered: 1, deferred: 1, failed: 0 };
    state.relay_is(Some(tally), targets.into_iter().zip(lives), story(now));
    state
}

fn live_sending() -> Live {
    Live { sending: Some(Sent { octets: 29_410, of: 48_213 }), last: None }
}

fn live(at: SystemTime, verdict: Verdict) -> Live {
    Live { sending: None, last: Some(Attempt { at, number: 2, verdict }) }
}

fn refusal() -> Diagnosis {
    Diagnosis {
        status: Status::BROKEN,
        source: Source::Host(DisplayText::from("mx1.gmail.example")),
        reason: DisplayText::from("452 4.2.2 mailbox full"),
    }
}

fn story(now: SystemTime) -> Story {
    let target = |host: &str, last| Target {
        preference: Some(10 * u16::from(last)),
        host: host.to_owned(),
        address: SocketAddr::from(([192, 0, 2, last], 25)),
    };
    let attempt = |number, minutes: u64, verdict| Attempt {
        at: now - Duration::from_mins(minutes),
        number,
        verdict,
    };
    let no_answer = "cannot connect to mx2.gmail.example (192.0.2.2:25): no answer within 30 s";
    Story {
        hosts: Some(Ok(vec![target("mx1.gmail.example", 1), target("mx2.gmail.example", 2)])),
        attempts: vec![
            attempt(1, 8, Verdict::deferred(Status::NO_ANSWER, Again::NextHost, no_answer)),
            attempt(2, 3, Verdict::Deferred(refusal(), Again::NextHost)),
        ],
    }
}

#[test]
fn what_is_worth_most_stays_longest() {
    // Of the first visit: what is still to come.
    let screen = Screen::of(typical()).sized((110, 30)).shows("✓ EHLO ").shows("☐ RETR");
    let screen = screen.sized((160, 45)).shows("☐ RETR").sized((60, 16)).shows("☐ RETR");
    // Of the relay: what waits.
    screen.shows("◷ 1 ✗ 1");
    // Of a mailbox: its size.
    let mut state = empty();
    let octets = 320_000_000;
    let mut views = vec![MailboxView { octets, ..mailbox("linhphan", 100_001) }];
    state.overview_is(&Overview { mailboxes: views.clone(), queue: vec![] });
    views[0].messages = Some(100_002);
    state.overview_is(&Overview { mailboxes: views, queue: vec![] });
    let screen = Screen::of(state).sized((80, 24)).shows("100K  305M +1");
    screen.sized((200, 60)).shows("100,002");
}

#[test]
fn recipients_of_one_domain_stand_together_and_are_counted() {
    let mut state = typical();
    let waits = |recipient| queued(recipient, state.clock.wall, None);
    let queue = ["a@one.example", "b@two.example", "c@one.example"].map(waits).to_vec();
    state.overview_is(&Overview { mailboxes: vec![], queue });
    let screen = Screen::of(state).press(&["4"]).hides("×");
    let mut screen = screen.press(&["o"]).shows("by domain").shows("a@one.example ×2");
    let picture = screen.picture().to_string();
    let place = |text: &str| picture.find(text).unwrap();
    assert!(place("c@one.example") < place("b@two.example"), "{picture}");
    assert!(!picture.contains("b@two.example ×"), "{picture}");
}

#[test]
fn three_columns_are_balanced_by_what_is_in_them() {
    let area = Rect::new(0, 0, 200, 60);
    let of = |state: &State, pane: Pane| {
        let layout = Layout::of(state, area).unwrap();
        layout.panes.iter().find(|(one, _)| *one == pane).unwrap().1
    };
    let (quiet, busy) = (empty(), overflow());
    let wide = of(&quiet, Pane::Transcript).width;
    assert!(wide > of(&busy, Pane::Transcript).width && wide >= 100, "{wide}");
    assert!(of(&busy, Pane::Queue).width > of(&quiet, Pane::Queue).width);
    let chart = |state: &State| Layout::of(state, area).unwrap().chart.unwrap().height;
    assert!(chart(&quiet) > chart(&busy));
}

#[test]
fn what_can_be_said_is_listed_with_a_sentence_and_its_key() {
    let screen = Screen::of(typical()).press(&[":"]).shows("Commands");
    let screen = screen.press(&["z"]).shows("zoom").shows("Give the whole screen to one pane");
    let screen = screen.press(&["Esc", ":", "d", "e", "l"]).shows("Delete messages (asks first)");
    let screen = screen.press(&["Tab"]).shows("▸ delete").press(&["Esc"]).hides("Commands");
    screen.press(&[":", "q", "q", "q", "q"]).shows("No command matches.");
}

#[test]
fn a_click_on_a_command_types_it_and_another_does_it() {
    let screen = Screen::of(typical()).sized((120, 40)).press(&[":", "z", "o"]);
    let screen = screen.click("Give the whole screen").shows("▸ zoom").shows(":zoom");
    // Neither does anything to the panes beneath.
    let screen = screen.click("Commands").shows(":zoom");
    let screen = screen.click("Give the whole screen").hides("Commands");
    assert!(screen.state.zoomed);
}

#[test]
fn filters_that_were_typed_before_come_back() {
    let screen = Screen::of(typical()).sized((120, 40));
    let screen = screen.press(&["2", "/", "N", "O", "O", "P", "⏎", "Esc"]);
    let screen = screen.press(&["/"]).shows("↑ history").press(&["↑"]).shows("/ NOOP");
    let screen = screen.press(&["⏎", "Esc", "1", "/", "s", "m", "⏎", "/"]);
    screen.press(&["↑", "↑"]).shows("Filter connections: NOOP").press(&["↓"]).shows(": sm");
}

fn coloured(palette: Palette) -> State {
    let mut state = typical();
    state.palette = palette;
    state
}

fn plain() -> State {
    coloured(Palette::Plain)
}

pub(super) fn pictures(name: &str, state: impl Fn() -> State) {
    for (width, height) in SIZES {
        let picture = Screen::of(state()).sized((width, height)).picture();
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), picture);
    }
}

#[test]
fn an_empty_console() {
    pictures("empty", empty);
}

#[test]
fn a_typical_console() {
    pictures("typical", typical);
}

#[test]
fn a_console_with_more_than_there_is_room_for() {
    pictures("overflow", overflow);
}

#[test]
fn a_console_that_has_bad_news() {
    pictures("error", error);
}

#[test]
fn a_console_without_colour_says_the_same_in_words_and_signs() {
    for size in SIZES {
        let coloured = Screen::of(typical()).sized(size).picture();
        let plain = Screen::of(plain()).sized(size).picture();
        assert_eq!(coloured.to_string(), plain.to_string());
        for cell in &plain.buffer().content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
}

#[test]
fn every_palette_marks_the_focused_and_the_selected() {
    for &palette in Palette::ALL {
        Screen::of(coloured(palette)).shows("┏ 1 Connections").shows("▸ [12]");
    }
}

#[test]
fn the_help() {
    let screen = Screen::of(typical()).press(&["?"]);
    insta::assert_snapshot!("help_80x24", screen.sized((80, 24)).picture());
}

#[test]
fn the_help_is_searched_by_typing() {
    Screen::of(typical())
        .press(&["?"])
        .type_in("zoom")
        .shows("zoom the pane")
        .hides("suspend")
        .press(&["Esc"])
        .hides("zoom the pane");
}

#[test]
fn the_help_tells_which_keys_the_config_file_has_changed() {
    let mut state = typical();
    let chosen = [("quit", vec![keys::Key::Char('U')]), ("wrap", vec![])];
    let chosen = chosen.into();
    state.keymap = Arc::new(keys::Keymap::with(&chosen).unwrap());
    let screen = Screen::of(state).sized((120, 40)).press(&["?"]).type_in("was");
    screen
        .shows("Changed in the config file")
        .shows("U         quit (was q)")
        .shows("wrap (was w)");
    Screen::of(typical()).press(&["?"]).type_in("was").hides("Changed in");
}

#[test]
fn every_key_of_the_table_is_in_the_help() {
    for binding in keys::BINDINGS {
        let screen = Screen::of(typical()).sized((120, 40)).press(&["?"]);
        screen.type_in(binding.name).shows(binding.help);
    }
}

#[test]
fn a_question_over_a_help_that_was_sent_to_its_end_harms_nothing() {
    let mut state = typical();
    for action in [Action::Help, Action::Move(Step::Last), Action::Quit] {
        state.update(action);
    }
    Screen::of(state).shows("Quit?").press(&["Esc"]).shows("type to search");
}

#[test]
fn a_question() {
    let mut screen = Screen::of(typical()).press(&["x"]);
    insta::assert_snapshot!("question_80x24", screen.picture());
}

#[test]
fn a_queue_entry() {
    let mut screen = Screen::of(typical()).press(&["4", "⏎"]);
    insta::assert_snapshot!("queue_entry_80x24", screen.picture());
}

#[test]
fn a_relay_run() {
    pictures("relaying", relaying);
}

#[test]
fn a_queue_entry_with_its_hosts_and_attempts() {
    let mut screen = Screen::of(relaying()).press(&["4", "⏎"]);
    insta::assert_snapshot!("queue_story_80x24", screen.picture());
}

#[test]
fn a_long_queue_entry_is_scrolled() {
    let mut state = relaying();
    let now = state.clock.wall;
    let mut long = story(now);
    long.attempts = (1..=40).map(|number| Attempt { number, ..long.attempts[0].clone() }).collect();
    state.relay.story = long;
    Screen::of(state)
        .press(&["4", "⏎"])
        .shows("#40 deferred")
        .hides("#1 deferred")
        .press(&["End"])
        .shows("#1 deferred")
        .press(&["g"])
        .shows("#40 deferred")
        .press(&["Esc"])
        .hides("Queue entry");
}

#[test]
fn what_the_relay_finds_is_shown_before_it_is_in_the_file() {
    let screen = Screen::of(relaying()).sized((120, 40));
    let screen = screen.shows("2 of 3 tried").shows("sending… DATA 61%").shows("[ ··· ]");
    screen.shows("2 452 4.2.2 mailbox full").shows("✓");
}

#[test]
fn what_the_file_says_of_a_later_attempt_counts() {
    let mut state = relaying();
    let mut overview = typical_overview(state.clock.wall);
    let row = state.queue.items()[1].clone();
    overview.queue = vec![QueueView {
        id: row.id.to_string(),
        attempts: 2,
        last_reply: "as the file has it".to_owned(),
        ..queued("alice@cis.upenn.example", state.clock.wall, None)
    }];
    state.overview_is(&overview);
    Screen::of(state).sized((120, 40)).shows("as the file has it");
}

fn target(screen: &Screen, row: usize) -> QueueTarget {
    screen.state.queue.items()[row].target.clone()
}

#[test]
fn an_operator_retries_holds_releases_and_drops_by_key() {
    let screen = Screen::of(relaying()).press(&["4", "r"]).shows("It is being sent now.");
    assert_eq!(screen.commands, []);
    let screen = screen.press(&["↓", "r", "h", "↓", "↓", "↓", "h", "R"]);
    let give = |order, row| Command::Relay(Request::Give(order, target(&screen, row)));
    let expected = [
        give(Order::Retry, 1),
        give(Order::Hold, 1),
        give(Order::Release, 4),
        Command::Relay(Request::Run),
    ];
    assert_eq!(screen.commands, expected);
    let screen = Screen::of(relaying()).press(&["4", "↓", "d"]).shows("Drop the mail for alice@");
    let screen = screen.press(&["⏎"]).hides("Confirm");
    assert_eq!(screen.commands, []);
    let screen = screen.press(&["d", "y"]);
    let dropped = Command::Relay(Request::Give(Order::Drop, target(&screen, 1)));
    assert_eq!(screen.commands, [dropped]);
}

#[test]
fn a_relay_run_starts_from_any_pane_and_from_the_details() {
    for keys in [&["R"][..], &["3", "R"], &["4", "⏎", "R"]] {
        let screen = Screen::of(typical()).press(keys);
        assert_eq!(screen.commands, [Command::Relay(Request::Run)], "{keys:?}");
    }
}

#[test]
fn the_buttons_of_the_queue_are_clicked() {
    for size in SIZES {
        let clicked = |text: &str| {
            let screen = Screen::of(typical()).sized(size).click(text);
            let first = target(&screen, 0);
            (screen.commands, first)
        };
        let (commands, first) = clicked("[r Retry]");
        assert_eq!(commands, [Command::Relay(Request::Give(Order::Retry, first))], "{size:?}");
        let (commands, _) = clicked("[R Retry all]");
        assert_eq!(commands, [Command::Relay(Request::Run)]);
        let (commands, first) = clicked("[h Hold]");
        assert_eq!(commands, [Command::Relay(Request::Give(Order::Hold, first))]);
        let (commands, first) = clicked("[Retry]");
        assert_eq!(commands, [Command::Relay(Request::Give(Order::Retry, first))]);
        Screen::of(typical()).sized(size).click("[d Drop]").shows("Drop the mail for friend@");
    }
    Screen::of(typical()).click("[⏎ Details]").shows("Queue entry");
    Screen::of(typical()).press(&["4", "↓"]).click("[Retry]").shows("▸ ✗ 1");
}

/// A queue with so many entries that were all refused like this.
fn refused(entries: usize, reply: &str) -> State {
    let mut state = empty();
    let entry = |n| QueueView {
        last_reply: reply.to_owned(),
        attempts: 3,
        ..queued(&format!("u{n}@x.example"), state.clock.wall, None)
    };
    let queue = (1..=entries).map(entry).collect();
    state.overview_is(&Overview { mailboxes: vec![], queue });
    state
}

#[test]
fn the_reply_has_precedence_over_the_other_columns_of_the_queue() {
    let reply = "550 5.1.1 <friend@example.org>: Recipient address rejected: User unknown in table";
    for (size, columns) in [((80, 24), 44), ((110, 30), 60), ((120, 40), 66)] {
        let screen = Screen::of(refused(2, reply)).sized(size);
        screen.shows(reply.get(..columns).unwrap());
    }
    let short = "450 4.2.0 greylisted, come back later";
    Screen::of(refused(2, short)).shows("tries").shows(short).shows("[Retry]");
}

#[test]
fn in_three_columns_a_reply_has_lines_of_its_own() {
    let reply = "550 5.1.1 <friend@example.org>: Recipient address rejected: User unknown in table";
    for size in [(160, 45), (200, 60)] {
        let screen = Screen::of(refused(2, reply)).sized(size);
        screen.shows("└ 550 5.1.1 <friend@example.org>: ").shows("unknown in table");
    }
    let screen = Screen::of(refused(30, reply)).sized((200, 60)).press(&["4", "↓", "↓", "↓", "r"]);
    let fourth = Command::Relay(Request::Give(Order::Retry, target(&screen, 3)));
    assert_eq!(screen.commands, [fourth]);
    let screen = screen.shows("▸ ◷  4 u4@").click("u2@").shows("▸ ◷  2 u2@");
    screen.press(&["End"]).shows("▸ ◷ 30 u30@");
}

#[test]
fn an_entry_is_called_by_the_number_of_its_row_whatever_is_filtered() {
    let screen = Screen::of(refused(30, "")).press(&["4", "/"]).type_in("u17@").press(&["⏎"]);
    let screen = screen.shows("17 u17@x.example").press(&[":"]).type_in("retry 17").press(&["⏎"]);
    let meant = Command::Relay(Request::Give(Order::Retry, target(&screen, 16)));
    assert_eq!(screen.commands, [meant]);
}

#[test]
fn marked_entries_are_retried_held_and_dropped_together_after_one_question() {
    let all = |order, screen: &Screen, rows: &[usize]| {
        let targets = rows.iter().map(|&row| target(screen, row)).collect();
        Command::Relay(Request::GiveAll(order, targets))
    };
    let screen = Screen::of(relaying()).press(&["4", " ", "t", " "]).shows("3 marked");
    let screen = screen.press(&["r"]).hides("marked");
    // The first is being sent now.
    assert_eq!(screen.commands, [all(Order::Retry, &screen, &[1, 2])]);
    let screen = Screen::of(relaying()).press(&["4", "a", "h"]);
    assert_eq!(screen.commands, [all(Order::Hold, &screen, &[0, 1, 2, 3, 4])]);
    let screen =
        Screen::of(relaying()).press(&["4", "/"]).type_in("example").press(&["⏎", "a", "d"]);
    let screen = screen.shows("Drop 5 recipients from the queue?").press(&["⏎"]);
    assert_eq!(screen.commands, []);
    let screen = screen.press(&["d", "y"]);
    assert_eq!(screen.commands, [all(Order::Drop, &screen, &[0, 1, 2, 3, 4])]);
    let screen = Screen::of(refused(30, "")).press(&[":"]).type_in("drop all").press(&["⏎"]);
    screen.shows("Drop 30 recipients from the queue?");
}

#[test]
fn the_button_of_a_row_is_for_that_row_whatever_is_marked() {
    let screen = Screen::of(refused(3, "")).press(&["4", " ", " ", "G"]).click("[Retry]");
    let first = Command::Relay(Request::Give(Order::Retry, target(&screen, 0)));
    assert_eq!(screen.commands, [first]);
}

#[test]
fn the_queue_is_shown_in_other_orders_and_rows_keep_their_numbers() {
    let screen = Screen::of(relaying()).sized((120, 40));
    let screen = screen.press(&["4", "o"]).shows("4 Relay queue · by domain");
    let screen = screen.press(&["g"]).shows("▸ ◷ 2 alice@cis.upenn.example");
    let screen = screen.press(&["o", "g"]).shows("by state").shows("▸ ✗ 4 friend@");
    let screen = screen.press(&["o"]).shows("oldest first").press(&["o"]).shows("most tries first");
    screen.press(&["o", "g"]).hides("first").shows("▸ ⣾ 1 bob@");
}

#[test]
fn connections_are_shown_in_other_orders_and_the_end_is_the_last_open_one() {
    let screen = Screen::of(typical()).press(&["G"]).shows("▸ [15]").press(&["G"]).shows("▸ [9]");
    let screen = screen.press(&["o", "g"]).shows("1 Connections · newest first").shows("▸ [15]");
    let screen = screen.press(&["o", "g"]).shows("longest idle first").shows("▸ [14]");
    screen.press(&["o"]).shows("most octets first").press(&["o", "g"]).shows("▸ [12]");
}

#[test]
fn entries_are_found_by_their_state() {
    Screen::of(relaying()).press(&["4", "/"]).type_in("held").shows("zives@").hides("▸ ⣾");
}

fn queued_message(screen: &Screen, row: usize) -> MailroomEvent {
    let key = MessageKey::of_queued(&target(screen, row));
    MailroomEvent::Shown(Box::new(Message { key, ..plain_message() }))
}

fn queued_wish(screen: &Screen, row: usize, request: QueuedRequest) -> Command {
    Command::MailroomRequest(MailroomRequest::Queued(target(screen, row), request))
}

#[test]
fn the_message_of_an_entry_is_read_from_the_queue_and_back_to_it() {
    for size in SIZES {
        let mut screen = Screen::of(relaying()).sized(size).press(&["4", "↓", "v"]);
        screen.state.take_news(queued_message(&screen, 1));
        let screen = screen.shows("┏ queued for alice@cis.upenn.example").shows("Dear Linh,");
        let mut screen = screen.press(&["→"]).shows("queued for carol@").shows("Dear Linh,");
        let late = queued_message(&screen, 1);
        screen.state.take_news(late);
        let screen = screen.press(&["s", "d"]).shows("Drop the mail for carol@").press(&["Esc"]);
        let expected = [
            queued_wish(&screen, 1, QueuedRequest::Read),
            queued_wish(&screen, 2, QueuedRequest::Read),
            queued_wish(&screen, 2, QueuedRequest::Save),
        ];
        assert_eq!(screen.commands, expected);
        screen.press(&["Esc"]).hides("Dear Linh,").shows("┏ 4 Relay queue").shows("▸ ✓ 3 carol@");
    }
}

#[test]
fn what_was_read_before_an_entrys_message_is_read_again_behind_it() {
    let mut screen = Screen::of(relaying()).press(&["3", "⏎"]).shows("reading…");
    screen = screen.press(&["4", "v"]);
    let shown = queued_message(&screen, 0);
    screen.state.take_news(shown);
    let mailbox = "bcpierce".to_owned();
    screen.state.take_news(MailroomEvent::Begun { mailbox, messages: 1, left_out: 0 });
    screen.state.take_news(MailroomEvent::Listed(vec![summary(1)]));
    screen.state.take_news(MailroomEvent::Complete);
    screen.shows("Dear Linh,").press(&["3"]).shows("bcpierce  1 message").hides("Dear Linh");
}

#[test]
fn a_queued_message_that_cannot_be_shown_leaves_the_queue_as_it_is() {
    let mut screen = Screen::of(relaying()).press(&["4", "v"]);
    screen
        .state
        .take_news(MailroomEvent::NotShown("Cannot show the queued message: gone.".to_owned()));
    let screen = screen.shows("Cannot show the queued message: gone.").press(&["↓"]);
    screen.shows("▸ ◷ 2 alice@").press(&["3", "⏎"]).shows("reading…");
}

#[test]
fn the_details_of_an_entry_have_buttons() {
    let details = || Screen::of(relaying()).press(&["4", "↓", "⏎"]).shows("Queue entry 2 of 5");
    let screen = details().click("[r Retry]");
    let second = Command::Relay(Request::Give(Order::Retry, target(&screen, 1)));
    assert_eq!(screen.commands, [second]);
    let screen = details().press(&["→"]).shows("Queue entry 3 of 5").press(&["←", "s"]);
    assert_eq!(screen.commands, [queued_wish(&screen, 1, QueuedRequest::Save)]);
    let screen = details().click("[v View]");
    assert_eq!(screen.commands, [queued_wish(&screen, 1, QueuedRequest::Read)]);
    details()
        .click("[→]")
        .shows("Queue entry 3 of 5")
        .click("[d Drop]")
        .shows("Drop the mail for carol@");
    details().click("[s Save]").click("[y Copy]").shows("Copied the recipient");
    // Beside the queue they are for what is shown there, whatever is marked and has the keys.
    let screen = Screen::of(relaying()).sized((200, 60)).press(&["4", "a", "1"]);
    let screen = screen.click("[v View]").click("[→]").shows("Queue entry 2 of 5");
    let screen = screen.shows("┏ 4 Relay queue");
    assert_eq!(screen.commands, [queued_wish(&screen, 0, QueuedRequest::Read)]);
}

#[test]
fn quitting_asks_while_a_relay_run_is_under_way() {
    let mut state = empty();
    state.relay_is(Some(Tally::default()), std::iter::empty(), Story::default());
    let screen = Screen::of(state).press(&["q"]).shows("A relay run is in progress");
    assert_eq!(screen.commands, []);
}

#[test]
fn who_drops_what_is_being_sent_is_told_that_it_may_arrive() {
    Screen::of(relaying()).press(&["4", "d"]).shows("It is being sent now");
    Screen::of(relaying()).press(&["4", "↓", "d"]).shows("removed from the queue");
}

#[test]
fn a_queue_too_long_to_be_listed_is_said_to_be_longer() {
    let mut state = empty();
    let entries = (0..10_000).map(|n| queued(&format!("u{n}@h"), state.clock.wall, None));
    let overview = Overview { mailboxes: vec![], queue: entries.collect() };
    state.overview_is(&overview);
    Screen::of(state).sized((120, 40)).shows("10,000 waiting and more");
}

#[test]
fn an_order_without_an_entry_is_explained() {
    for key in ["r", "h", "d"] {
        let screen = Screen::of(empty()).press(&["4", key]).shows("No queue entry is selected.");
        assert_eq!(screen.commands, []);
    }
}

#[test]
fn tiles() {
    let screen = Screen::of(typical()).press(&["v"]);
    insta::assert_snapshot!("tiles_120x40", screen.sized((120, 40)).picture());
}

#[test]
fn a_narrowed_transcript_shows_what_the_client_has_not_ended() {
    let mut screen = Screen::of(typical()).press(&["↓", "⏎"]);
    insta::assert_snapshot!("narrowed_80x24", screen.picture());
    screen
        .shows("[14] C: PASS ****** … not ended for 1:12")
        .press(&["p"])
        .shows("[14] C: PASS cis5 … not ended for 1:12");
}

#[test]
fn connections_that_had_one_number_are_told_apart_by_their_sessions() {
    let mut state = empty();
    let now = state.clock.instant;
    let again = |id| ConnectionView { name: named(id, 27, Service::Smtp), ..connection(id, now) };
    let connections = (7..=9).map(again).collect();
    state.connections_are(RegistryView { connections, opened: 9, ..RegistryView::default() });
    for id in 7..=9 {
        tell(
            &mut state,
            named(id, 27, Service::Smtp),
            1,
            said(Side::Client, &format!("NOOP {id}")),
        );
    }
    let screen = Screen::of(state).shows("▸ [27] #7 smtp").shows("[27] #9 smtp");
    let screen = screen.press(&["/"]).type_in("#8").press(&["⏎"]).hides("#7 smtp").shows("#8 smtp");
    let screen =
        screen.press(&["2", "/"]).type_in("#9").press(&["⏎"]).shows("NOOP 9").hides("NOOP 8");
    let screen = screen.press(&["Esc", ":"]).type_in("only #8").press(&["⏎"]);
    let screen = screen.shows("only [27] #8 smtp").shows("NOOP 8").hides("NOOP 9").press(&["0"]);
    let screen = screen.press(&[":"]).type_in("close #9").press(&["⏎"]).shows("[27] #9 smtp");
    assert_eq!(screen.press(&["y"]).commands, [Command::Close(9)]);
}

#[test]
fn whose_mailbox_a_session_has_is_worth_more_than_the_whole_word() {
    Screen::of(typical()).press(&["z"]).shows("TRANSACTION linhphan");
    Screen::of(typical()).sized((120, 40)).shows("[14] #3 pop3 51560 TRANS linhphan");
    Screen::of(typical()).shows("[14] #3 pop3 51560 TRANS linhphan");
}

#[test]
fn a_zoomed_pane_shows_unended_lines_beneath_their_connections() {
    let mut screen = Screen::of(typical()).press(&["z"]);
    insta::assert_snapshot!("zoomed_80x24", screen.picture());
}

/// So many open connections, each in the middle of a line, and so many that are closed.
fn crowded(open: u64, closed: u64) -> State {
    let now = clock().instant;
    let hung = |id| ConnectionView { partial: format!("RCPT {id}").into(), ..connection(id, now) };
    let gone = |id| ConnectionView { closed: Some(now), ..connection(id, now) };
    let connections = (1..=open).map(hung).chain((open + 1..=open + closed).map(gone)).collect();
    let mut state = State::new(clock(), 100);
    state.connections_are(RegistryView { connections, opened: open, ..RegistryView::default() });
    state
}

/// One client that has sent this of a message and for so many seconds nothing more.
fn hung_in_text(text: &str, seconds: u64) -> State {
    let mut state = State::new(clock(), 100);
    let now = state.clock.instant;
    let mut end = TextEnd::default();
    end.push(text.as_bytes());
    let hung = ConnectionView {
        text: Some(end),
        partial_since: now.checked_sub(Duration::from_secs(seconds)).unwrap(),
        ..connection(1, now)
    };
    let connections = vec![hung];
    state.connections_are(RegistryView { connections, opened: 1, ..RegistryView::default() });
    state
}

#[test]
fn the_last_line_of_a_message_that_does_not_end_is_shown_wherever_a_begun_command_is() {
    let hung = || Screen::of(hung_in_text("Subject: q\r\n\r\nhangs here\r\n.\n", 72));
    hung().shows("└ .  a dot, but its line ends in LF alone … 1:12");
    let narrowed = hung().sized((120, 40)).press(&["⏎"]);
    narrowed.shows("│[1] C: .  a dot, but its line ends in LF alone … 1:12");
    let tiled = hung().sized((120, 40)).press(&["v"]);
    tiled.shows("C: .  a dot, but its line ends in LF alone … not ended for 1:12");
    Screen::of(hung_in_text("hangs here\r\n", 2)).shows("└ hangs here … 0:02");
    Screen::of(hung_in_text("hangs here", 2)).shows("└ hangs here … 0:02");
}

#[test]
fn message_text_that_comes_as_it_should_takes_no_room() {
    Screen::of(hung_in_text("Subject: q\r\n", 0)).hides("└");
}

#[test]
fn what_a_hung_client_waits_for_is_shown_before_clients_that_are_gone() {
    let screen = Screen::of(crowded(2, 50)).shows("└ RCPT 1").shows("└ RCPT 2").hides("closed");
    screen.press(&["↓", "↓"]).shows("closed").press(&["g"]).shows("└ RCPT 1").shows("└ RCPT 2");
}

#[test]
fn of_more_open_connections_than_there_is_room_for_the_selected_one_shows_its_unended_line() {
    let screen = Screen::of(crowded(20, 0)).shows("▸ [1]").shows("└ RCPT 1 ").hides("└ RCPT 2");
    let screen = screen.shows("[3]").hides("[4]").press(&["↓"]).shows("▸ [2]").shows("└ RCPT 2");
    let screen = screen.hides("└ RCPT 1 ").press(&["G"]).shows("▸ [20]").shows("└ RCPT 20");
    screen.press(&["k"]).shows("▸ [19]").click("└ RCPT 19").shows("▸ [19]").shows("└ RCPT 19");
}

#[test]
fn a_terminal_that_is_too_small() {
    insta::assert_snapshot!("small_52x12", Screen::of(typical()).sized((52, 12)).picture());
    Screen::of(typical()).sized((59, 16)).shows("have 59x16, need 60x16");
    Screen::of(typical()).sized((60, 16)).shows("4 Relay queue");
}

#[test]
fn a_terminal_that_is_too_small_still_asks() {
    let screen = Screen::of(typical()).sized((52, 12)).shows("q quits").press(&["q"]);
    let screen = screen.shows("Quit? y yes, Esc no").press(&["y"]);
    assert_eq!(screen.commands, [Command::Quit]);
}

#[test]
fn escape_and_a_quick_next_key_are_two_keys() {
    let alt = |character| KeyEvent::new(KeyCode::Char(character), KeyModifiers::ALT);
    let zoomed = || Screen::of(typical()).press(&["2", "z"]).hides("3 Mailboxes");
    zoomed().press_event(alt('t')).shows("3 Mailboxes").shows("Time stamps:");
    let asked = Screen::of(typical()).press(&["x"]).shows("Close it");
    let commands = asked.press_event(alt('y')).commands;
    assert!(!commands.iter().any(|command| matches!(command, Command::Close(_))), "{commands:?}");
    // In a line that is typed it is a move by words to many fingers.
    Screen::of(typical()).press(&["/"]).type_in("blah").press_event(alt('b')).shows("blah");
}

#[test]
fn a_pane_is_focused_by_number_and_by_tab() {
    Screen::of(typical())
        .shows("┏ 1 Connections")
        .press(&["3"])
        .shows("┏ 3 Mailboxes")
        .press(&["Tab"])
        .shows("┏ 4 Relay queue")
        .press(&["⇧Tab", "⇧Tab"])
        .shows("┏ 2 Transcript")
        .press(&["5"])
        .shows("┏ 5 Log");
}

#[test]
fn a_user_looks_for_errors_and_sees_what_led_to_them() {
    Screen::of(typical())
        .press(&["2", "/"])
        .type_in("err")
        .shows("Filter transcript: err")
        .hides("C: TEST unsupported")
        .press(&["⏎", "N"])
        .shows("C: TEST unsupported")
        .shows("/ err · 1 found")
        .press(&["Esc"])
        .hides("/err");
}

#[test]
fn a_user_pauses_reads_and_goes_on() {
    Screen::of(typical())
        .press(&[" "])
        .shows("‖ paused · +0 new")
        .says(2, "NOOP while paused")
        .shows("+1 new")
        .hides("NOOP while paused")
        .press(&[" "])
        .shows("● follow")
        .shows("NOOP while paused");
}

#[test]
fn a_user_scrolls_back_and_returns_to_the_end() {
    Screen::of(typical())
        .press(&["2", "g"])
        .shows("New connection")
        .shows("○ scrolled")
        .hides("+0 new")
        .says(2, "NOOP meanwhile")
        .shows("○ scrolled · +1 new")
        .press(&[" "])
        .shows("‖ paused · +1 new")
        .shows("New connection")
        .press(&["End"])
        .shows("● follow")
        .shows("-ERR Unknown command");
}

#[test]
fn message_text_is_hidden_until_it_is_asked_for() {
    Screen::of(typical())
        .sized((120, 40))
        .shows("[12] .. 264 octets of message text")
        .hides("Subject: naïve")
        .press(&["b"])
        .shows("[12] C: Subject: naïve 日本語 ✉");
}

#[test]
fn passwords_are_masked_until_they_are_asked_for() {
    Screen::of(typical())
        .sized((120, 40))
        .shows("[14] C: PASS ******")
        .hides("cis505")
        .press(&["p"])
        .shows("[14] C: PASS cis505");
}

#[test]
fn time_stamps_go_through_their_forms() {
    Screen::of(typical())
        .shows("│10:59:25 [15] S: -ERR")
        .press(&["t"])
        .shows("│10:59:25.000 [15] S: -ERR")
        .press(&["t"])
        .shows("│    +3.000 [15] S: -ERR")
        .press(&["t"])
        .shows("│    Δ1.000 [15] S: -ERR")
        .press(&["t"])
        .shows("│[15] S: -ERR");
}

#[test]
fn what_was_said_gives_way_after_a_while() {
    let mut screen = Screen::of(typical()).press(&["t"]).shows("Time stamps:");
    let said = screen.state.clock.instant;
    let mut later = |seconds| {
        let clock = Clock { instant: said + Duration::from_secs(seconds), ..screen.state.clock };
        screen.state.tick(clock);
        (screen.state.said.is_some(), screen.state.ages_in().unwrap())
    };
    // The clock of the key's frame is that of the frame before: idle, it may be an old one.
    assert!(later(100).0);
    assert!(later(104).0);
    assert!(!later(105).0);
    screen.hides("Time stamps:").shows("q  Quit");
}

#[test]
fn a_long_message_takes_two_lines_and_a_longer_one_is_in_the_log() {
    let long = "Cannot save the lines in /nowhere: No such file or directory (os error 2). \
                Name a file elsewhere with :save FILE.";
    let mut state = typical();
    state.say(long);
    let screen = Screen::of(state).shows("No such file or directory (os").shows(":save FILE. ");
    assert_eq!(hint_bar::too_long(&screen.state, 80), None);
    let mut state = typical();
    state.say(&long.repeat(2));
    let screen = Screen::of(state).shows("… (all of it in the log: 5)");
    assert!(hint_bar::too_long(&screen.state, 80).is_some());
    let screen = screen.sized((200, 60)).shows("with :save FILE.").hides("in the log");
    assert_eq!(hint_bar::too_long(&screen.state, 200), None);
}

#[test]
fn what_is_wrong_with_what_is_typed_is_told_to_its_end() {
    for size in [(60, 16), (80, 24), (120, 40)] {
        let screen =
            Screen::of(typical()).sized(size).press(&[":"]).type_in("set max-message lots");
        screen.press(&["⏎"]).shows(":set max-message lots").shows("default.");
    }
}

#[test]
fn a_filter_that_is_none_is_explained_and_leaves_the_last_good_one() {
    let screen = Screen::of(typical()).press(&["2", "/"]).type_in("S: /err");
    let screen = screen.shows("1 shown").type_in("(");
    let screen = screen.shows("Not a regular expression").shows("-ERR Unknown command");
    screen.type_in("or)").shows("0 shown");
}

#[test]
fn a_command_is_typed_completed_and_mended() {
    let screen = Screen::of(typical()).press(&[":"]).type_in("the").press(&["Tab"]);
    let screen = screen.shows(":theme").type_in(" pink").press(&["⏎"]);
    let screen = screen.shows("There is no theme pink: there are dark, light");
    let keys = ["Backspace"; 4];
    let screen = screen.press(&keys).type_in("light").press(&["⏎"]).hides(":theme");
    assert_eq!(screen.state.palette, Palette::Light);
}

#[test]
fn a_server_is_stopped_from_its_popup_after_a_question() {
    let screen = Screen::of(typical()).press(&["S"]).shows("Settings").press(&["⏎"]);
    let screen = screen.shows("Stop the smtp server?").press(&["y"]);
    let what = crate::servers::supervisor::Change::Stop;
    let order = crate::servers::supervisor::ServerOrder { service: Service::Smtp, what };
    assert_eq!(screen.commands, [Command::Server(order)]);
}

#[test]
fn a_fresh_user_is_told_what_to_do_and_n_does_it() {
    let screen = Screen::of(empty()).shows("n creates one.").press(&["n"]);
    let screen = screen.shows("New mailbox for the user:").type_in("ada").press(&["⏎"]);
    let request = crate::mailroom::MailroomRequest::Create("ada".to_owned());
    assert_eq!(screen.commands, [Command::MailroomRequest(request)]);
}

#[test]
fn what_thunderbird_does_is_ticked_off_in_the_border() {
    let screen = Screen::of(empty()).shows("☐ connected ☐ EHLO refused ☐ HELO ☐ stored");
    let mut screen = screen.says(1, "EHLO [127.0.0.1]");
    screen.state.apply(Row::Event(Event {
        connection: name(1),
        at: SystemTime::UNIX_EPOCH,
        kind: said(Side::Server, "502 Command not implemented"),
    }));
    screen.shows("☐ connected ✓ EHLO refused ☐ HELO");
}

#[test]
fn the_servers_popup() {
    let mut state = typical();
    state.servers[1].condition = Condition::Failed(
        "cannot listen on port 11000: it is in use by pid 812 (dovecot). Free it, and start again"
            .to_owned(),
    );
    state.servers[2].condition = Condition::Stopped;
    for size in [(80, 24), (120, 40)] {
        let name = format!("servers_{}x{}", size.0, size.1);
        let picture = Screen::of(state.clone()).sized(size).press(&["S", "↓"]).picture();
        insta::assert_snapshot!(name, picture);
    }
}

/// A rule as the servers show it.
fn fault(id: u64, rule: &str, scenario: Option<&'static str>, left: Option<u64>) -> RuleView {
    RuleView {
        id,
        rule: rule.into(),
        scenario,
        is_on: id != 3,
        hits: id - 1,
        left,
        ends: None,
        last_hit: (id > 1).then_some(SystemTime::UNIX_EPOCH),
        keys: None,
    }
}

fn with_faults() -> State {
    let mut state = typical();
    let rules = vec![
        fault(1, "smtp.rcpt to=bob@* : 451 4.7.1 greylisted per to until 60s", None, None),
        fault(2, "pop3.retr n=2 : cut after 60", Some("cut-retr"), None),
        fault(3, "smtp.mail : 421 4.7.0 slow down; close over 10/1m", None, None),
        fault(4, "pop3.pass : -ERR [IN-USE] locked times 3", None, Some(0)),
    ];
    state.faults_are(rules);
    state
}

#[test]
fn the_faults_popup() {
    for size in SIZES {
        let name = format!("faults_{}x{}", size.0, size.1);
        let picture = Screen::of(with_faults()).sized(size).press(&["F", "↓"]).picture();
        insta::assert_snapshot!(name, picture);
    }
}

#[test]
fn rules_that_are_active_have_a_badge_which_opens_their_popup() {
    for size in SIZES {
        Screen::of(typical()).sized(size).hides("FAULTS");
        let screen = Screen::of(with_faults()).sized(size).shows("FAULTS 2");
        screen.click("FAULTS 2").shows("pop3.retr n=2 : cut after 60");
    }
}

#[test]
fn a_rule_with_a_time_counts_down_and_is_spent() {
    let mut state = with_faults();
    let rule = fault(2, "smtp.mail : 421 a until 60s", None, None);
    let ends = Some(state.clock.instant + Duration::from_millis(41_200));
    state.faults_are(vec![RuleView { ends, ..rule.clone() }]);
    Screen::of(state.clone())
        .press(&["F"])
        .shows(" on    smtp.mail")
        .shows("   42s ")
        .shows("FAULTS 1");
    state.faults_are(vec![RuleView { ends: Some(state.clock.instant), ..rule }]);
    Screen::of(state).press(&["F"]).shows(" spent smtp.mail").shows("    0s ").hides("FAULTS");
}

#[test]
fn a_fault_is_switched_reset_and_removed_after_a_question() {
    let screen = Screen::of(with_faults()).press(&["F", " ", "↓", "r", "d"]);
    let screen = screen.shows("Remove the rule 2?").shows("cut-retr").press(&["y"]);
    let orders = [FaultOrder::Switch(1, false), FaultOrder::Reset(2), FaultOrder::Remove(2)];
    assert_eq!(screen.commands, orders.map(Command::Fault));
    assert!(matches!(screen.state.overlay, Overlay::Faults { at: 1 }));
}

#[test]
fn a_rule_is_added_and_an_error_shows_its_place() {
    let mut screen = Screen::of(with_faults()).press(&["F", "a"]).shows(":fault ");
    screen = screen.type_in("smtp.rcp : 451 later").press(&["⏎"]);
    insta::assert_snapshot!("fault_error_80x24", screen.picture());
    let keys = ["Backspace"; 20];
    let screen = screen.press(&keys).type_in("echo.line : cut once").press(&["⏎"]);
    let order = FaultOrder::Add("echo.line : cut once".to_owned());
    assert_eq!(screen.commands, [Command::Fault(order)]);
    screen.shows("Faults");
}

#[test]
fn the_hits_of_a_fault_are_shown_in_the_transcript() {
    let screen = Screen::of(with_faults()).press(&["F", "↓", "⏎"]).hides("Faults — Esc");
    assert!(matches!(screen.state.focus, Pane::Transcript));
    screen.shows(".. fault 2:");
}

#[test]
fn the_first_steps() {
    let mut screen = Screen::of(typical()).press(&["F2"]);
    insta::assert_snapshot!("first_steps_80x24", screen.picture());
}

#[test]
fn what_to_type_into_a_mail_client_is_never_cut() {
    for size in [(60, 16), (80, 24), (110, 30), (120, 40), (160, 45)] {
        let mut state = empty();
        state.overview_is(&Overview {
            mailboxes: vec![mailbox("a-rather-long-user", 0)],
            ..Overview::default()
        });
        state.password = "a-rather-long-password".into();
        state.domain = "mail.example.org".into();
        let screen = Screen::of(state).sized(size).press(&["F2"]);
        let screen = screen.shows("POP3 localhost  11000  None      normal password");
        let screen = screen.shows("user a-rather-long-user,").shows("a-rather-long-password");
        screen.shows("a-rather-long-user@mail.example.org");
    }
}

#[test]
fn a_profile_is_a_badge_and_has_first_steps_of_its_own() {
    let mut state = empty();
    state.overview_is(&Overview { mailboxes: vec![mailbox("ada", 0)], ..Overview::default() });
    state.password = "secret".into();
    let mut settings = state.settings.clone();
    Screen::of(state.clone()).sized((120, 40)).press(&["F2"]).hides("SMTP_URL").hides("STARTTLS");
    settings.choices.profile = "submission".parse().unwrap();
    state.settings_are(settings);
    let screen = Screen::of(state).sized((120, 40)).shows("mailconsole submission").press(&["F2"]);
    let screen = screen.shows("SMTP localhost  2500   STARTTLS  normal password");
    screen.shows("SMTP_URL=smtp://ada:secret@localhost:2500").shows("☐ EHLO").hides("EHLO refused");
}

#[test]
fn who_has_logged_in_and_what_is_secured_is_seen_at_the_connection() {
    let mut state = typical();
    let secured = ConnectionView {
        tls: Some("TLS 1.3"),
        login: Some("ada".to_owned()),
        state: "MAIL".into(),
        ..connection(90, state.clock.instant)
    };
    let view = RegistryView { connections: vec![secured], opened: 1, ..RegistryView::default() };
    state.connections_are(view);
    Screen::of(state).sized((120, 40)).shows("⚿").shows("MAIL ada");
}

#[test]
fn a_long_row_is_cut_or_wrapped() {
    let long = format!("NOOP {} end", "x".repeat(100));
    Screen::of(typical()).says(2, &long).hides("x end").press(&["w"]).shows("x end");
}

#[test]
fn a_connection_is_closed_only_after_a_yes() {
    let screen = Screen::of(typical()).press(&["x"]).shows("Close connection [12] #2 smtp");
    let screen = screen.press(&["⏎"]).hides("Confirm");
    assert_eq!(screen.commands, []);
    let screen = screen.press(&["x", "y"]);
    assert_eq!(screen.commands, [Command::Close(smtp().id)]);
}

#[test]
fn a_click_focuses_a_pane_and_selects_the_row_under_it() {
    Screen::of(typical())
        .click("zives")
        .shows("┏ 3 Mailboxes")
        .click("[15] #4 echo 51602")
        .shows("┏ 1 Connections")
        .shows("▸ [15]")
        .click("alice@cis")
        .shows("▸ ◷ 2 alice");
}

#[test]
fn a_click_finds_its_connection_among_unended_lines() {
    Screen::of(typical()).sized((120, 40)).shows("└ PASS").click("[15] #4 echo").shows("▸ [15]");
    Screen::of(typical()).sized((120, 40)).click("└ PASS").shows("▸ [14]");
}

#[test]
fn a_click_on_a_wrapped_transcript_row_selects_that_row() {
    let screen = Screen::of(typical()).press(&["w"]).says(2, &"long ".repeat(30));
    let screen = screen.says(3, "NOOP").click("long long");
    let (_, row) = screen.state.transcript.cursor().unwrap();
    assert!(row.text(crate::watch::event::Passwords::Masked).as_str().contains("long long"));
}

#[test]
fn the_wheel_scrolls_what_is_under_the_mouse() {
    Screen::of(typical())
        .mouse(MouseEventKind::ScrollUp, "S: -ERR Unknown")
        .hides("● follow")
        .mouse(MouseEventKind::ScrollDown, "2 Transcript")
        .shows("● follow")
        .mouse(MouseEventKind::ScrollDown, "[12] #2 smtp 51544")
        .shows("▸ [14]");
}

#[test]
fn open_connections_stay_at_the_top_however_many_have_closed() {
    let mut state = typical();
    let now = state.clock.instant;
    let gone = |id| ConnectionView { closed: Some(now), ..connection(id, now) };
    let mut connections: Vec<_> = (1..=90).map(gone).collect();
    connections.push(connection(91, now));
    state.connections_are(RegistryView { connections, opened: 91, ..RegistryView::default() });
    Screen::of(state).shows("▸ [91]").shows("  [90] #90 smtp");
}

#[test]
fn quitting_asks_while_connections_are_open_and_control_c_does_not() {
    let screen = Screen::of(typical()).press(&["q"]).shows("3 connections are open");
    let screen = screen.press(&["Esc", "^C"]);
    assert_eq!(screen.commands, [Command::Quit]);
    let screen = Screen::of(empty()).press(&["q"]);
    assert_eq!(screen.commands, [Command::Quit]);
}

#[test]
fn control_keys_work_whatever_lies_over_the_panes() {
    for before in [&["?"][..], &["q"], &["/", "a"]] {
        let screen = Screen::of(typical()).press(before).press(&["^Z", "^C"]);
        assert_eq!(screen.commands, [Command::Suspend, Command::Quit]);
    }
}

#[test]
fn a_long_filter_leaves_room_for_whether_the_view_follows() {
    let screen = Screen::of(typical()).press(&["2", "/"]).shows("all connections");
    let screen =
        screen.type_in("@pop3 a rather long text that is looked for in vain").press(&["⏎"]);
    screen.shows("2 Transcript / @pop3 a rather long").shows("● follow · 0 lines");
}

#[test]
fn letters_go_into_the_filter_and_not_into_commands() {
    let screen = Screen::of(typical()).press(&["/"]).type_in("qxzs");
    assert_eq!(screen.commands, []);
    screen.shows("Filter connections: qxzs").press(&["Backspace"]).hides("qxzs");
}

#[test]
fn nothing_that_is_shown_can_be_obeyed_by_a_terminal() {
    let hostile = "\x1b]52;c;aGk=\x07\x1b[2J\u{9b}31m\u{202e}evil\u{200b}\r\n\t";
    let mut state = empty();
    let now = state.clock.instant;
    let view = ConnectionView {
        state: hostile.into(),
        partial: hostile.as_bytes().to_vec(),
        ..connection(1, now)
    };
    state.connections_are(RegistryView {
        connections: vec![view],
        opened: 1,
        ..RegistryView::default()
    });
    let entry = QueueView {
        id: hostile.to_owned(),
        reverse_path: hostile.to_owned(),
        last_reply: hostile.to_owned(),
        ..queued(hostile, SystemTime::UNIX_EPOCH, None)
    };
    let error = MailboxView { error: Some(hostile.to_owned()), ..mailbox(hostile, 1) };
    state.overview_is(&Overview { mailboxes: vec![error], queue: vec![entry] });
    state.apply(line(1, hostile));
    state.apply(text_line(1, hostile));
    tell(&mut state, name(1), 1, Kind::Note(hostile.to_owned()));
    state.notices = vec![DisplayText::from(hostile)];
    let address = SocketAddr::from(([192, 0, 2, 1], 25));
    let target = Target { preference: Some(1), host: hostile.to_owned(), address };
    state.relay.story.hosts = Some(Ok(vec![target]));
    let screens: [&[&str]; 7] =
        [&["4", "d"], &["b"], &["⏎"], &["v"], &["4", "⏎"], &["x"], &["/", "\u{202e}", "\u{9b}"]];
    for keys in screens {
        for size in SIZES {
            let picture = Screen::of(state.clone()).sized(size).press(keys).picture();
            for cell in &picture.buffer().content {
                let symbol = cell.symbol();
                let shown = DisplayText::from(symbol);
                assert_eq!(shown.as_str(), symbol, "after {keys:?} at {size:?}");
            }
        }
    }
}

#[test]
fn no_size_is_too_odd() {
    let states = [empty as fn() -> State, typical, overflow, error, relaying];
    let states: Vec<State> = states.iter().map(|state| state()).collect();
    let keys: [&[&str]; 6] = [&[], &["z"], &["v", "w"], &["?"], &["4", "⏎"], &["q"]];
    let widths = (1..=250_u16).step_by(7).chain([59, 60, 109, 110, 159, 160]);
    for width in widths {
        for height in (1..=80_u16).step_by(9).chain([15, 16, 29, 30, 44, 45]) {
            let state = &states[usize::from(width) % states.len()];
            let keys = keys[usize::from(height) % keys.len()];
            Screen::of(state.clone()).sized((width, height)).press(keys).picture();
        }
    }
}

fn any_action() -> impl Strategy<Value = Action> {
    let step = prop::sample::select(vec![
        Step::Up,
        Step::Down,
        Step::HalfPageUp,
        Step::HalfPageDown,
        Step::PageUp,
        Step::PageDown,
        Step::First,
        Step::Last,
    ]);
    let pane = prop::sample::select(Pane::ALL);
    let direction = prop::sample::select(vec![Direction::Forward, Direction::Backward]);
    let plain = prop::sample::select(vec![
        Action::Help,
        Action::FocusNext,
        Action::FocusPrevious,
        Action::Zoom,
        Action::Tiles,
        Action::Escape,
        Action::Filter,
        Action::Edit(InputRequest::InsertChar('1')),
        Action::Edit(InputRequest::InsertChar('\u{202e}')),
        Action::Edit(InputRequest::DeletePrevChar),
        Action::Confirm,
        Action::Answer(Answer::Yes),
        Action::Answer(Answer::No),
        Action::OtherAnswer,
        Action::OnlyThis,
        Action::AllConnections,
        Action::CloseConnection,
        Action::Details,
        Action::RelayRun,
        Action::Retry,
        Action::RetryRow(1),
        Action::ViewQueued,
        Action::SaveQueued,
        Action::OtherEntry(Direction::Forward),
        Action::WithEntry(EntryAction::View),
        Action::Mark,
        Action::MarkAll,
        Action::Sort,
        Action::Hold,
        Action::Drop,
        Action::Pause,
        Action::Follow,
        Action::Stamps,
        Action::Wrap,
        Action::Bodies,
        Action::Passwords,
        Action::Wire,
        Action::OtherTile(Direction::Forward),
        Action::CopyLine,
        Action::CopyConnection,
        Action::Save,
        Action::OpenMailbox,
        Action::NewMailbox,
        Action::OpenMessage,
        Action::OtherMessage(Direction::Forward),
        Action::OtherMessage(Direction::Backward),
        Action::NextShape,
        Action::Browse,
        Action::AllHeaders,
        Action::SaveMessage,
        Action::SaveAttachments,
        Action::SaveAttachment(1),
        Action::DeleteMessage,
        Action::Compose,
        Action::Field(Direction::Forward),
        Action::Field(Direction::Backward),
        Action::Submit,
        Action::Edit(InputRequest::InsertChar('\n')),
        Action::Theme,
        Action::Mouse,
        Action::Redraw,
        Action::Quit,
    ]);
    prop_oneof![
        6 => plain,
        3 => step.prop_map(Action::Move),
        1 => pane.clone().prop_map(Action::Focus),
        1 => direction.clone().prop_map(Action::Find),
        1 => (pane.clone(), direction).prop_map(|(pane, direction)| Action::Wheel(pane, direction)),
        1 => (pane, prop::option::of(0..40_usize))
            .prop_map(|(pane, row)| Action::Click(pane, row)),
        1 => prop::option::of(0..40_usize).prop_map(Action::ClickReader),
        1 => (0..40_usize).prop_map(Action::ClickOffer),
        1 => (prop::sample::select(Field::ALL), 0..40_usize)
            .prop_map(|(field, row)| Action::ClickField(field, row)),
    ]
}

#[derive(Debug, Clone)]
enum Happening {
    Act(Action),
    Rows(u64, usize),
    Skip(u64),
    Connections(u64),
    Mailboxes(u64),
    Listing(usize),
    MoreMail(usize),
    Message(usize),
    Frame(u16, u16),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => any_action().prop_map(Happening::Act),
        2 => (1..5_u64, 1..40_usize).prop_map(|(id, count)| Happening::Rows(id, count)),
        1 => (1..9_u64).prop_map(Happening::Skip),
        1 => (0..30_u64).prop_map(Happening::Connections),
        1 => (0..9_u64).prop_map(Happening::Mailboxes),
        2 => (0..90_usize).prop_map(Happening::Listing),
        1 => (1..90_usize).prop_map(Happening::MoreMail),
        2 => (0..3_usize).prop_map(Happening::Message),
        3 => (1..210_u16, 1..70_u16).prop_map(|(width, height)| Happening::Frame(width, height)),
    ]
}

fn happen(state: &mut State, happening: &Happening) {
    match *happening {
        Happening::Act(action) => {
            state.update(action);
        }
        Happening::Rows(id, count) => {
            (0..count).for_each(|n| state.apply(line(id, &format!("NOOP {n} 日本"))));
            state.apply(text_line(id, "Subject: x"));
        }
        Happening::Skip(lines) => state.apply(Row::Skipped(lines)),
        Happening::Connections(count) => connect(state, count),
        Happening::Mailboxes(count) => {
            let views = (0..count).map(|n| mailbox(&format!("user{n}"), n)).collect();
            let entries = (0..count).map(|n| queued(&format!("u{n}@h"), SystemTime::now(), None));
            state.overview_is(&Overview { mailboxes: views, queue: entries.collect() });
        }
        Happening::Listing(count) => {
            let mailbox = state.reader.mailbox().unwrap_or("user1").to_owned();
            state.take_news(MailroomEvent::Begun { mailbox, messages: count, left_out: count / 2 });
            state.take_news(MailroomEvent::Listed((1..=count).map(summary).collect()));
            state.take_news(MailroomEvent::Complete);
        }
        Happening::MoreMail(number) => {
            state.take_news(MailroomEvent::Listed(vec![summary(number)]));
        }
        Happening::Message(kind) => {
            if let Some(key) = state.reader.selected_key() {
                let messages = [plain_message(), html_message(), long_message()];
                let message = messages[kind % messages.len()].clone();
                state.take_news(MailroomEvent::Shown(Box::new(Message { key, ..message })));
            }
        }
        Happening::Frame(width, height) => {
            let area = Rect::new(0, 0, width, height);
            fit(state, area);
            let mut buffer = Buffer::empty(area);
            draw(state, &LogView::new(), &mut buffer);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_selections_stay_valid_and_nothing_panics(
        happenings in prop::collection::vec(any_happening(), 0..60),
    ) {
        let mut state = with_connections(3);
        for happening in &happenings {
            happen(&mut state, happening);
            prop_assert_eq!(state.connections.selected().is_none(), state.connections.is_empty());
            prop_assert_eq!(state.mailboxes.selected().is_none(), state.mailboxes.is_empty());
            prop_assert_eq!(state.queue.selected().is_none(), state.queue.is_empty());
            // A view that stands still keeps its rows, also those that the ring has dropped.
            if let Some((seq, _)) = state.transcript.cursor() {
                let (_, rows) = state.transcript.in_view(usize::MAX, |_| 1);
                let shown = rows.iter().any(|(row, _)| *row == seq);
                let ring = state.transcript.ring();
                let kept = ring.at(ring.place_of(seq)).map(|(found, _)| found);
                prop_assert!(kept == Some(seq) || state.transcript.is_paused() && shown);
            }
        }
    }
}

#[test]
fn a_connection_over_tls_has_a_lock() {
    let mut state = empty();
    let now = state.clock.instant;
    let locked = ConnectionView { tls: Some("TLS 1.3"), ..connection(1, now) };
    state.connections_are(RegistryView {
        connections: vec![locked, connection(2, now)],
        opened: 2,
        ..RegistryView::default()
    });
    let picture = Screen::of(state).picture().to_string();
    assert_eq!(picture.matches("smtp ⚿").count(), 1, "{picture}");
}

#[test]
fn a_server_with_a_tls_port_shows_both() {
    let mut state = empty();
    state.servers[0].tls_addresses = vec![SocketAddr::from(([127, 0, 0, 1], 4_650))];
    Screen::of(state).shows("smtp:2500 smtps:4650");
}
