//! The strip of what is held at breakpoints.

use std::time::SystemTime;

use super::{SIZES, Screen, typical};
use crate::console::action::{Command, HoldOrder, Pane};
use crate::console::state::State;
use crate::fault::breakpoint::{Side, patience};
use crate::fault::point::{Place, Point};
use crate::relay::postmaster::Request;
use crate::servers::holds::{Cause, Decision, Held, WhichHeld};
use crate::watch::event::Service;

fn held(state: &State, id: u64, place: Place, side: Side, text: &str, waited: u64) -> Held {
    let waited = std::time::Duration::from_secs(waited);
    let point = Point { service: Service::Smtp, place };
    Held {
        id,
        session: 40 + id,
        number: 11,
        service: Service::Smtp,
        peer: ([127, 0, 0, 1], 51_544).into(),
        point,
        side,
        text: text.to_owned(),
        editable: Some(text.to_owned()),
        since: SystemTime::UNIX_EPOCH,
        began: state.clock.instant.checked_sub(waited).unwrap(),
        limit: patience(point).map(|time| time.as_secs()),
    }
}

fn with_held() -> State {
    let mut state = typical();
    let all = vec![
        held(&state, 1, Place::Rcpt, Side::Command, "RCPT TO:<bob@localhost>", 12),
        held(&state, 2, Place::Dot, Side::Reply, "250 2.6.0 stored", 661),
        held(&state, 5, Place::Ehlo, Side::Reply, "250-localhost", 70),
        held(&state, 6, Place::Dot, Side::Command, ".", 3),
        held(&state, 7, Place::Noop, Side::Command, "NOOP", 0),
    ];
    let breakpoints = ["smtp.any", "smtp.dot!", "smtp.ehlo!"].map(str::to_owned);
    state.held_is(all, (true, breakpoints.to_vec()));
    state
}

#[test]
fn what_is_held_stands_above_the_transcript() {
    for size in SIZES {
        let name = format!("held_{}x{}", size.0, size.1);
        let picture = Screen::of(with_held()).sized(size).press(&["H", "↓"]).picture();
        insta::assert_snapshot!(name, picture);
    }
}

#[test]
fn keys_decide_about_the_selected_one() {
    let screen = Screen::of(with_held()).press(&["2", "a", "H", "↓", "D", "X", "A", "I"]);
    let decide = |id, decision| HoldOrder::Decide(WhichHeld::One(id), decision);
    let release = || Decision::Release(Cause::Operator);
    let orders = [
        decide(1, release()),
        decide(2, Decision::Drop),
        decide(2, Decision::Kill),
        HoldOrder::Decide(WhichHeld::All, release()),
        HoldOrder::Switch(false),
    ];
    assert_eq!(screen.commands, orders.map(Command::Hold));
}

#[test]
fn the_keys_of_what_is_held_work_from_other_panes_but_not_where_they_mean_something_else() {
    let release = Decision::Release(Cause::Operator);
    let order = Command::Hold(HoldOrder::Decide(WhichHeld::One(1), release));
    assert_eq!(Screen::of(with_held()).press(&["1", "a"]).commands, [order]);
    Screen::of(with_held()).press(&["1", "R"]).shows("Answer 1: ");
    let run = Command::Relay(Request::Run);
    assert_eq!(Screen::of(with_held()).press(&["4", "R"]).commands, std::slice::from_ref(&run));
    assert_eq!(Screen::of(typical()).press(&["1", "R"]).commands, [run]);
    let zoomed = Screen::of(with_held()).press(&["1", "z", "a"]);
    assert!(zoomed.commands.is_empty(), "{:?}", zoomed.commands);
}

#[test]
fn the_strip_has_the_keys_again_when_the_next_thing_is_held() {
    let mut state = with_held();
    let all = state.strip.held.clone();
    state.focus = Pane::Transcript;
    state.strip.has_focus = true;
    state.held_is(Vec::new(), (true, Vec::new()));
    assert!(!state.strip.takes_keys());
    state.held_is(all, (true, Vec::new()));
    assert!(state.strip.takes_keys());
    assert!(!Screen::of(state).press(&["1", "2"]).state.strip.takes_keys());
}

#[test]
fn the_top_line_tells_of_breakpoints_and_of_what_is_held() {
    Screen::of(with_held()).shows(" HELD 5 ").hides("BREAK");
    let mut state = typical();
    state.held_is(Vec::new(), (true, vec!["smtp.rcpt".to_owned()]));
    let screen = Screen::of(state).shows(" BREAK 1 ").press(&[":"]).type_in("break");
    let screen = screen.press(&["⏎"]).shows("Breakpoints (on): smtp.rcpt.").press(&[":"]);
    let screen = screen.type_in("unbreak smtp.rset").press(&["⏎"]).shows("no breakpoint smtp.rset");
    let screen = screen.press(&["Esc", ":"]).type_in("unbreak smtp.rcpt").press(&["⏎"]);
    let remove = HoldOrder::Remove(Some("smtp.rcpt".to_owned()));
    assert_eq!(screen.commands, [Command::Hold(remove)]);
    let mut state = typical();
    state.held_is(Vec::new(), (false, vec!["smtp.rcpt".to_owned()]));
    Screen::of(state).hides("BREAK");
}

#[test]
fn what_holds_a_secret_or_is_too_long_is_typed_anew() {
    let edited = |line: Option<String>| {
        let mut state = with_held();
        state.strip.held[0].editable = line;
        Screen::of(state).press(&["2", "E"]).shows("Edit 1: ").press(&["⏎"]).commands
    };
    assert!(edited(None).is_empty());
    assert!(edited(Some("x".repeat(501))).is_empty());
    let whole = Decision::Edit([&[b'x'; 500][..], b"\r\n"].concat());
    let order = HoldOrder::Decide(WhichHeld::One(1), whole);
    assert_eq!(edited(Some("x".repeat(500))), [Command::Hold(order)]);
}

#[test]
fn a_line_is_edited_and_the_editor_says_what_it_cannot_undo() {
    let screen = Screen::of(with_held()).press(&["H", "↓", "E"]).sized((120, 40));
    let screen = screen.shows("Edit 2: 250 2.6.0 stored").shows("what the session did stays done");
    let screen = screen.type_in(r"\q").press(&["⏎"]).shows("there is no such escape");
    let screen = screen.press(&["Backspace", "Backspace"]).type_in(r"\x21").press(&["⏎"]);
    let edit = Decision::Edit(b"250 2.6.0 stored!\r\n".to_vec());
    let orders = [Command::Hold(HoldOrder::Decide(WhichHeld::One(2), edit))];
    assert_eq!(screen.commands, orders);
    let screen = Screen::of(with_held()).press(&["H", "R"]).type_in("451 no").press(&["⏎"]);
    let answer = Decision::Answer(b"451 no\r\n".to_vec());
    assert_eq!(screen.commands, [Command::Hold(HoldOrder::Decide(WhichHeld::One(1), answer))]);
}

#[test]
fn a_breakpoint_is_proposed_and_an_error_shows_its_place() {
    let screen = Screen::of(typical()).press(&["2", "i"]).shows(":break ");
    let keys = ["Backspace"; 40];
    let screen = screen.press(&keys).press(&[":"]).type_in("break smtp.rcp").press(&["⏎"]);
    let screen = screen.shows("there is no point smtp.rcp").press(&["Backspace"]).type_in("pt!");
    let screen = screen.press(&["⏎"]);
    let add = HoldOrder::Add("smtp.rcpt!".to_owned());
    assert_eq!(screen.commands, [Command::Hold(add)]);
}

#[test]
fn without_anything_held_there_is_no_strip() {
    let screen = Screen::of(typical()).hides("Held").press(&["H"]).shows("Nothing is held");
    let screen = screen.press(&["I"]).shows("There are no breakpoints");
    assert!(screen.commands.is_empty());
    let mut state = with_held();
    state.focus = Pane::Transcript;
    state.strip.has_focus = true;
    state.held_is(Vec::new(), (true, vec!["smtp.any".to_owned()]));
    assert!(!state.strip.takes_keys());
}
