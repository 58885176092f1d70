//! The time stamp in front of a transcript row.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::console::state::State;
use crate::console::state::appearance::Stamps;
use crate::console::state::row::Row;
use crate::ui::text::clock;

/// From this many seconds on, a duration is shown without milliseconds.
const LONG: u64 = 100_000;

/// Columns of a time stamp, with the blank after it.
pub(super) const fn columns(stamps: Stamps) -> u16 {
    match stamps {
        Stamps::Seconds => 9,
        Stamps::Milliseconds => 13,
        Stamps::SinceStart | Stamps::SinceBefore => 11,
        Stamps::Off => 0,
    }
}

/// The time stamp of a row; `None` if the row has no time or stamps are off.
pub(super) fn stamp(state: &State, seq: u64, row: &Row) -> Option<String> {
    let at = row.at()?;
    match state.stamps {
        Stamps::Seconds => Some(on_the_clock(state, at, "%H:%M:%S")),
        Stamps::Milliseconds => Some(on_the_clock(state, at, "%H:%M:%S%.3f")),
        Stamps::SinceStart => {
            let start = state.transcript.start_of(row)?;
            Some(to_the_right(&format!("+{}", since(start, at))))
        }
        Stamps::SinceBefore => {
            let before = state.transcript.before(seq)?;
            Some(to_the_right(&format!("Δ{}", since(before, at))))
        }
        Stamps::Off => None,
    }
}

fn on_the_clock(state: &State, at: SystemTime, form: &str) -> String {
    let local = DateTime::<Utc>::from(at).with_timezone(&state.clock.offset);
    local.format(form).to_string()
}

fn to_the_right(time: &str) -> String {
    format!("{time:>10}")
}

/// The duration from `start` to `end`; empty if the clock was set back in between.
fn since(start: SystemTime, end: SystemTime) -> String {
    let time = end.duration_since(start).unwrap_or_default();
    if time.as_secs() < LONG {
        format!("{}.{:03}", time.as_secs(), time.subsec_millis())
    } else {
        clock(time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::console::action::{Action, Pane};
    use crate::console::state::tests::{line_at, with_connections};
    use crate::ui::text::width;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    /// The stamps of rows of connection 1 at these times.
    fn stamps_of(state: &mut State, times: &[u64]) -> Vec<String> {
        for &time in times {
            state.apply(line_at(1, "NOOP", at(time)));
        }
        let rows = state.transcript.ring().from(0);
        rows.map(|(seq, row)| stamp(state, seq, row).unwrap_or_default()).collect()
    }

    fn stamped(stamps: Stamps) -> State {
        let mut state = with_connections(1);
        while state.stamps != stamps {
            state.update(Action::Stamps);
        }
        state
    }

    #[test]
    fn the_time_since_the_start_of_the_connection_is_told() {
        let mut state = stamped(Stamps::SinceStart);
        state.apply(line_at(2, "NOOP", at(0)));
        let stamps = stamps_of(&mut state, &[1_000, 13_345, 273_601_000]);
        assert_eq!(stamps, ["    +0.000", "    +0.000", "   +12.345", "     +3d04"]);
    }

    #[test]
    fn the_time_since_the_row_before_is_told() {
        let mut state = stamped(Stamps::SinceBefore);
        let stamps = stamps_of(&mut state, &[1_000, 1_003, 1_000_000, 500]);
        assert_eq!(stamps, ["", "    Δ0.003", "  Δ998.997", "    Δ0.000"]);
    }

    #[test]
    fn the_row_before_is_the_one_that_is_shown_before() {
        let mut state = stamped(Stamps::SinceBefore);
        for (time, text) in [(0, "NOOP"), (1_000, "RSET"), (3_000, "NOOP")] {
            state.apply(line_at(1, text, at(time)));
        }
        state.update(Action::Focus(Pane::Transcript));
        state.update(Action::Filter);
        for character in "noop".chars() {
            state.update(Action::Edit(tui_input::InputRequest::InsertChar(character)));
        }
        assert_eq!(stamps_of(&mut state, &[]), ["", "    Δ3.000"]);
    }

    #[test]
    fn the_start_of_a_connection_is_known_when_its_first_rows_are_forgotten() {
        let mut state = stamped(Stamps::SinceStart);
        let times: Vec<u64> = (0..=100).collect();
        let stamps = stamps_of(&mut state, &times);
        assert_eq!((stamps.len(), stamps[0].as_str()), (100, "    +0.001"));
    }

    #[test]
    fn a_paused_row_keeps_its_time_when_it_is_forgotten() {
        let mut state = stamped(Stamps::SinceStart);
        stamps_of(&mut state, &[1_000, 13_345]);
        state.update(Action::Pause);
        (0..200).for_each(|_| state.apply(line_at(2, "NOOP", at(20_000))));
        state.apply(line_at(1, "NOOP", at(20_000)));
        let (_, rows) = state.transcript.in_view(9, |_| 1);
        let shown: Vec<_> = rows.iter().map(|(seq, row)| stamp(&state, *seq, row)).collect();
        assert_eq!(shown, [Some("    +0.000".to_owned()), Some("   +12.345".to_owned())]);
    }

    #[test]
    fn a_stamp_leaves_a_blank_before_the_row() {
        let kinds =
            [Stamps::Seconds, Stamps::Milliseconds, Stamps::SinceStart, Stamps::SinceBefore];
        for stamps in kinds {
            let mut state = stamped(stamps);
            for time in [0, 99_999_999, 100_000_000, 40_000_000_000] {
                for stamp in stamps_of(&mut state, &[time]) {
                    assert!(width(&stamp) < usize::from(columns(stamps)), "{stamp:?}");
                }
            }
        }
    }
}
