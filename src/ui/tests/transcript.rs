//! The transcript as its user meets it: filters, time stamps, the wire view, what is copied, tiles.

use super::*;
use crate::wire::line::LineBuffer;

/// Connections, and each kind of row.
fn on_the_transcript(keys: &[&str]) -> Screen {
    Screen::of(typical()).sized((100, 30)).press(&["2"]).press(keys)
}

fn filtered(typed: &str) -> Screen {
    on_the_transcript(&["/"]).type_in(typed)
}

#[track_caller]
fn copied(screen: &Screen) -> &str {
    match screen.commands.last() {
        Some(Command::Copy(text)) => text,
        other => panic!("{other:?} is no copy"),
    }
}

#[test]
fn an_empty_filter_says_what_can_be_typed() {
    on_the_transcript(&["/"]).shows("text · /regex/ · C: · S: · @smtp · [12] · #12 · Esc cancels");
    Screen::of(typical()).press(&["1", "/"]).shows("text · /regex/ · Esc cancels");
}

#[test]
fn a_filter_is_of_sides_services_connections_and_text() {
    let mut screen = filtered("@pop3 S: /^.*(ok|err).*ready");
    screen = screen.shows("+OK POP3 ready").shows("locked and ready").hides("220 localhost");
    insta::assert_snapshot!("filtered_100x30", screen.picture());
    filtered("[15] C:").shows("C: TEST unsupported").hides("S: -ERR").hides("[12]  C:");
}

#[test]
fn what_is_wrong_with_an_expression_is_said_and_the_last_filter_stays() {
    let mut screen = filtered("/test|retr").shows("C: TEST").type_in("(");
    screen = screen.shows("Not a regular expression: unclosed group.");
    insta::assert_snapshot!("bad_filter_100x30", screen.picture());
    let screen = screen.shows("C: TEST").hides("C: ECHO").press(&["⏎"]);
    let screen = screen.shows("unclosed group").press(&["Backspace"]).hides("unclosed");
    screen.press(&["⏎"]).shows("/ /test|retr ").press(&["n"]).shows("/ /test|retr · 1 found");
}

#[test]
fn lists_are_filtered_by_expressions_too() {
    Screen::of(typical())
        .press(&["1", "/"])
        .type_in("/pop3|echo/")
        .shows("[14] #3 pop3")
        .shows("[15] #4 echo")
        .hides("[12] #2 smtp")
        .press(&["⏎"])
        .shows("1 Connections / /pop3|echo/");
}

/// A line of a client in the reads that brought it.
fn read_by_read(reads: &[&[u8]]) -> Kind {
    let mut buffer = LineBuffer::new(1_000);
    for read in reads {
        buffer.extend(read);
        buffer.read_ended();
    }
    let (line, reads) = buffer.next_line_and_reads().unwrap();
    Kind::Line(Side::Client, KeptLine::arrived(&line, reads))
}

#[test]
fn the_wire_view_shows_line_ends_and_reads() {
    let mut state = typical();
    tell(&mut state, echo(), 27, read_by_read(&[b"ECH", b"O bl\tah\r", b"\n"]));
    let mut screen = Screen::of(state).sized((100, 30)).press(&["2", "e"]);
    screen = screen.shows("all connections · wire").shows("C: ECH┊O bl␉ah␍┊␊┊");
    insta::assert_snapshot!("wire_100x30", screen.picture());
    let screen = screen.press(&["/"]).type_in("echo bl").shows("C: ECH┊O bl␉ah␍┊␊┊");
    let screen = screen.press(&["⏎", "y"]);
    assert_eq!(copied(&screen), "[15] C: ECHO bl\\x09ah");
    screen.press(&["e"]).hides("wire").shows("C: ECHO bl\\x09ah");
}

#[test]
fn nothing_in_the_wire_view_and_in_tiles_can_be_obeyed_by_a_terminal() {
    let hostile = b"\x1b]52;c;aGk=\x07\x1b[2J\xc2\x9b31m\xe2\x80\xaeevil\xe2\x90\x8d\r\x00\t\r\n";
    let mut state = empty();
    connect(&mut state, 1);
    tell(&mut state, name(1), 1, read_by_read(&[&hostile[..7], &hostile[7..20], &hostile[20..]]));
    let screens: [&[&str]; 4] = [&["e"], &["e", "w"], &["v", "e"], &["e", "2", "/", "[", "e"]];
    for keys in screens {
        for size in SIZES {
            let mut screen = Screen::of(state.clone()).sized(size).press(keys);
            for cell in &screen.picture().buffer().content {
                let symbol = cell.symbol();
                assert_eq!(DisplayText::from(symbol).as_str(), symbol, "after {keys:?}");
            }
        }
    }
    let screen = Screen::of(state).press(&["e", "y"]);
    assert_eq!(DisplayText::from(copied(&screen)).as_str(), copied(&screen));
    let screen = screen.press(&["Y"]);
    assert_eq!(DisplayText::from(copied(&screen)).as_str(), copied(&screen));
}

#[test]
fn a_line_a_conversation_and_a_queue_entry_are_copied() {
    let screen = on_the_transcript(&["y"]).shows("Copied the newest line: none is selected.");
    assert_eq!(copied(&screen), "[15] S: -ERR Unknown command");
    let screen = screen.press(&["↑", "y"]).shows("Copied the selected line.");
    assert_eq!(copied(&screen), "[15] C: TEST unsupported");
    let screen = screen.press(&["Y"]).shows("Copied 4 lines of [15] #4.");
    assert_eq!(copied(&screen).lines().count(), 4);
    let screen = screen.press(&["4", "y"]).shows("Copied the recipient and the last reply.");
    assert_eq!(copied(&screen), "friend@example.org: 550 5.1.1 no such user");
    let screen = screen.press(&["⏎", "↓", "y"]);
    assert_eq!(copied(&screen), "friend@example.org: 550 5.1.1 no such user");
}

#[test]
fn a_password_is_copied_as_it_is_shown() {
    let screen = Screen::of(typical()).press(&["↓", "Y"]);
    assert!(copied(&screen).contains("[14] C: PASS ******\n"));
    let screen = screen.press(&["p", "Y"]);
    assert!(copied(&screen).contains("[14] C: PASS cis505\n"));
}

#[test]
fn tiles_are_chosen_by_arrow_and_by_mouse_and_opened() {
    let tiles = || Screen::of(typical()).sized((120, 40)).press(&["v"]);
    let screen =
        tiles().shows("┏ [15] #4 echo ready").shows("╭ [9] #1 smtp QUIT").shows("○ closed 0:09");
    let screen = screen.press(&["←"]).shows("┏ [14] #3 pop3").press(&["↑"]);
    let screen = screen.shows("┏ [12] #2 smtp DATA").press(&["→", "→", "→"]);
    screen.shows("┏ [9] #1 smtp").press(&["→", "→", "⏎"]).shows("only [14] #3 pop3");
    tiles()
        .click("S: 354 Start")
        .shows("┏ [12] #2 smtp DATA")
        .press(&["Esc"])
        .shows("2 Transcript");
    tiles().press(&["v"]).shows("2 Transcript  all connections");
}

#[test]
fn the_connection_of_a_tile_is_closed_after_a_yes() {
    let screen = Screen::of(typical()).sized((120, 40)).press(&["v", "←", "x"]);
    let screen = screen.shows("Close connection [14] #3 pop3").press(&["y"]);
    assert_eq!(screen.commands, [Command::Close(pop3().id)]);
    let screen = screen.press(&["←", "←", "x"]).shows("This connection is already closed.");
    assert_eq!(screen.commands.len(), 1);
}

#[test]
fn figures_tell_the_rate_of_the_last_second() {
    let mut state = typical();
    let mut clock = state.clock;
    for (second, lines) in (1..).zip([61, 3, 0, 42]) {
        clock.instant = state.clock.instant + Duration::from_secs(second);
        state.tick(clock);
        (0..lines).for_each(|_| state.apply(line(2, "NOOP")));
        tell(&mut state, smtp(), second, Kind::Text { octets: 9 });
    }
    clock.instant += Duration::from_secs(1);
    state.tick(clock);
    let mut screen = Screen::of(state).sized((200, 60)).shows("lines/s 43 · peak 62");
    screen = screen.shows("messages/s 1 · peak 1");
    insta::assert_snapshot!("figures_200x60", screen.picture());
    screen.sized((120, 40)).shows("43 lines/s").sized((80, 24)).hides("lines/s");
}

/// The first row in a pane of seven lines, as on a small screen.
fn first_in_view(state: &State) -> Option<u64> {
    let (_, rows) = state.transcript.in_view(7, |_| 1);
    rows.first().map(|(seq, _)| *seq)
}

#[test]
fn a_hundred_thousand_lines_while_paused_do_not_move_the_view() {
    for keys in [["2", " "], ["2", "↑"]] {
        let mut screen = Screen::of(typical()).press(&keys);
        let before = first_in_view(&screen.state);
        let picture = screen.picture();
        // As many as are kept: what is held has not fallen out yet.
        (0..49_970).for_each(|_| screen.state.apply(line(2, "NOOP")));
        screen.picture();
        assert_eq!(first_in_view(&screen.state), before);
        (0..50_030).for_each(|_| screen.state.apply(line(2, "NOOP")));
        if screen.state.transcript.is_paused() {
            assert_eq!(first_in_view(&screen.state), before);
            assert!(picture.to_string().contains("[15] S: -ERR"));
            screen = screen.shows("[15] S: -ERR").shows("‖ paused · +100,000 new");
        }
        screen.press(&["End"]).shows("● follow · 50,000 lines");
    }
}

#[test]
fn a_folded_text_says_how_to_unfold_it_and_is_copied_without_that() {
    let mut state = typical();
    tell(&mut state, smtp(), 30, Kind::Text { octets: 5 });
    let screen = Screen::of(state).press(&["2", "y"]);
    let screen = screen.shows("[12] .. 5 octets of message text  ▸ b shows it");
    assert_eq!(copied(&screen), "[12] .. 5 octets of message text");
    screen.press(&["b"]).hides("▸ b shows");
}

#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Rows(u64, usize),
    Frame(u16, u16),
}

fn any_meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        3 => (1..4_u64, 1..30_usize).prop_map(|(id, count)| Meanwhile::Rows(id, count)),
        1 => (60..200_u16, 16..60_u16).prop_map(|(width, height)| Meanwhile::Frame(width, height)),
    ]
}

proptest! {
    #[test]
    fn what_comes_never_moves_a_view_that_is_held_or_paused(
        before in prop::collection::vec(any_action(), 0..12),
        holds in prop::sample::select(vec![Action::Pause, Action::Move(Step::Up)]),
        meanwhile in prop::collection::vec(any_meanwhile(), 1..12),
    ) {
        let mut state = with_connections(3);
        state.transcript = crate::console::state::scrollback::Scrollback::new(10_000);
        (0..60).for_each(|n| state.apply(line(n % 3 + 1, &format!("NOOP {n}"))));
        let frame = Happening::Frame(120, 40);
        for &action in &before {
            happen(&mut state, &Happening::Act(action));
        }
        (state.overlay, state.prompt, state.tiled) = (Overlay::None, None, false);
        state.update(Action::Focus(Pane::Transcript));
        state.transcript.step(Step::Last);
        happen(&mut state, &frame);
        state.update(holds);
        happen(&mut state, &frame);
        let cursor_of = |state: &State| state.transcript.cursor().map(|(seq, _)| seq);
        let (shown, cursor) = (first_in_view(&state), cursor_of(&state));
        for one in meanwhile {
            match one {
                Meanwhile::Rows(id, count) => happen(&mut state, &Happening::Rows(id, count)),
                // Of another size, and then as it was.
                Meanwhile::Frame(width, height) if state.transcript.is_paused() => {
                    happen(&mut state, &Happening::Frame(width, height));
                }
                Meanwhile::Frame(..) => {}
            }
            happen(&mut state, &frame);
            prop_assert_eq!(first_in_view(&state), shown);
            prop_assert_eq!(cursor_of(&state), cursor);
        }
    }
}
