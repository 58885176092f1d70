//! The unended line of a client, in one line of the screen: it shows what a hung client waits for.

use crate::console::state::rows::Begun;
use crate::ui::text::{clock, cut, width};

/// Columns of the unended line that always stay, however long the words about it are.
const LINE_LEAST: usize = 6;

/// `before`, the unended line, why it does not end, and its age, in at most `room` columns.
pub(super) fn in_short(before: &str, begun: &Begun, room: usize) -> String {
    fitted(before, begun, &format!(" … {}", clock(begun.age)), room)
}

/// As [`in_short`], but with more words if there is room for them.
pub(super) fn in_words(before: &str, begun: &Begun, room: usize) -> String {
    let age = format!(" … not ended for {}", clock(begun.age));
    let whole = format!("{before}{}{}{age}", begun.line, why(begun));
    if width(&whole) <= room { whole } else { in_short(before, begun, room) }
}

fn fitted(before: &str, begun: &Begun, age: &str, room: usize) -> String {
    let line = begun.line.as_str();
    let room = room.saturating_sub(width(age));
    let left_by = |why: &str| room.saturating_sub(width(before) + width(why));
    let has_room = |why: &String| left_by(why) >= LINE_LEAST.min(width(line));
    let said = match [why(begun), why_in_short(begun)].into_iter().find(has_room) {
        Some(why) => format!("{before}{}{why}", cut(line, left_by(&why))),
        None => cut(&format!("{before}{line}{}", why_in_short(begun)), room).into_owned(),
    };
    said + age
}

fn why(begun: &Begun) -> String {
    begun.not_ended.map_or_else(String::new, |why| format!("  {why}"))
}

fn why_in_short(begun: &Begun) -> String {
    begun.not_ended.map_or_else(String::new, |why| format!("  {why:#}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::watch::event::Side;
    use crate::wire::unended::{Lone, NotEnded};

    fn begun(line: &str, not_ended: Option<NotEnded>) -> Begun {
        Begun { side: Side::Client, line: line.into(), not_ended, age: Duration::from_secs(72) }
    }

    #[test]
    fn the_line_gives_way_to_why_it_goes_on_and_both_to_the_age() {
        let dot = begun(".", Some(NotEnded::Dot(Lone::Lf)));
        assert_eq!(in_short("└ ", &dot, 60), "└ .  a dot, but its line ends in LF alone … 1:12");
        assert_eq!(in_short("└ ", &dot, 44), "└ .  ends in LF alone … 1:12");
        assert_eq!(in_short("└ ", &dot, 20), "└ .  ends in… … 1:12");
        let long = begun("a long line of text", Some(NotEnded::Line(Lone::Lf)));
        assert_eq!(in_short("", &long, 45), "a long lin…  its line ends in LF alone … 1:12");
        assert_eq!(in_short("", &begun("RCPT TO:<a@b>", None), 14), "RCPT T… … 1:12");
        assert_eq!(in_words("C: ", &begun("NOOP", None), 60), "C: NOOP … not ended for 1:12");
        assert_eq!(in_words("C: ", &begun("NOOP", None), 20), "C: NOOP … 1:12");
    }
}
