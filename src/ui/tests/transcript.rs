//! The transcript as its user meets it: filters, time stamps, the wire view, what is copied, tiles.

use super::*;

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
