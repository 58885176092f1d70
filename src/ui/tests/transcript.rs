//! The transcript as its user meets it: filters, time stamps, the wire view, what is copied, tiles.

use super::*;

#[test]
fn tiles_are_chosen_by_arrow_and_by_mouse_and_opened() {
    let tiles = || Screen::of(typical()).sized((120, 40)).press(&["v"]);
    let screen = tiles().shows("┏ [15] echo ready").shows("╭ [9] smtp QUIT").shows("○ closed 0:09");
    let screen = screen.press(&["←"]).shows("┏ [14] pop3 TRANSACTION").press(&["↑"]);
    let screen = screen.shows("┏ [12] smtp DATA").press(&["→", "→", "→"]);
    screen.shows("┏ [9] smtp").press(&["→", "→", "⏎"]).shows("only [14] pop3");
    tiles().click("S: 354 Start").shows("┏ [12] smtp DATA").press(&["Esc"]).shows("2 Transcript");
    tiles().press(&["v"]).shows("2 Transcript  all connections");
}

#[test]
fn the_connection_of_a_tile_is_closed_after_a_yes() {
    let screen = Screen::of(typical()).sized((120, 40)).press(&["v", "←", "x"]);
    let screen = screen.shows("Close connection [14] pop3").press(&["y"]);
    assert_eq!(screen.commands, [Command::Close(pop3().id)]);
    let screen = screen.press(&["←", "←", "x"]).shows("This connection is closed already.");
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
