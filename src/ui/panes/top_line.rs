//! The top line: the servers with their ports, the relay queue, and notices.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::action::{Action, HeldAction};
use crate::console::state::State;
use crate::console::state::server::{Condition, Server};
use crate::store::overview::RecipientState;
use crate::ui::hits::HitMap;
use crate::ui::panes::queue;
use crate::ui::text;
use crate::ui::text::{columns, grouped, put, put_right};
use crate::ui::theme::Theme;

/// The width in columns from which on words are not abbreviated.
const WIDE: u16 = 110;

/// What the number of rules that play faults stands behind.
const FAULTS: &str = " FAULTS ";

/// The same for breakpoints that are on.
const BREAK: &str = " BREAK ";

/// The same for what is held at them.
const HELD: &str = " HELD ";

/// What a click on a badge does.
fn of_badge(words: &str) -> Option<Action> {
    if words.starts_with(FAULTS) {
        Some(Action::Faults)
    } else {
        words.starts_with(HELD).then_some(Action::Held(HeldAction::Focus))
    }
}

/// Draws the top line.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let mut at = area.as_position();
    let mut shown = parts(state, area.width);
    // A click on the program's name, or on the sign and words of a server, opens the servers'
    // popup.
    let of_servers = shown.iter().take(1 + 2 * state.servers.len());
    let width = of_servers.map(|(words, _)| columns(words)).fold(0, u16::saturating_add);
    hits.click(Rect { width: width.min(area.width), ..area }, Action::Servers);
    if has_room_for_notices(state, area.width) {
        shown.extend(badges(state));
    }
    for (words, style) in shown {
        let left = area.right().saturating_sub(at.x);
        if let Some(action) = of_badge(&words) {
            let badge = Rect { width: columns(&words).min(left), x: at.x, ..area };
            hits.click(badge, action);
        }
        at.x += put(buffer, at, left, &words, style);
    }
    if has_rate(state, area.width) {
        let rest = Rect { x: at.x, width: area.right().saturating_sub(at.x), ..area };
        draw_rate(state, rest, buffer);
    }
}

/// Whether a top line of this width shows the lines per second, which is so while there are any and
/// for a moment after.
#[must_use]
pub fn has_rate(state: &State, width: u16) -> bool {
    width >= WIDE && state.rate.is_moving()
}

/// Draws the lines per second on the right, if there were any and there is room.
fn draw_rate(state: &State, rest: Rect, buffer: &mut Buffer) {
    let rate = state.rate.now();
    let unit = if rate == 1 { "line/s" } else { "lines/s" };
    let words = format!("  {} {unit} ", grouped(rate));
    if rate > 0 && columns(&words) <= rest.width {
        put_right(buffer, rest.as_position(), rest.width, &words, Theme::of(state.palette).text);
    }
}

/// Draws the notices on a line of their own, if the top line has no room for them.
pub fn draw_notices(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let words = format!(" ! {}", notices(state).join(" · "));
    put(buffer, area.as_position(), area.width, &words, theme.notice);
}

/// Whether the notices fit into a top line of this width.
#[must_use]
pub fn has_room_for_notices(state: &State, width: u16) -> bool {
    if notices(state).is_empty() {
        return true;
    }
    let all = parts(state, width).into_iter().chain(badges(state));
    let taken = all.map(|(words, _)| columns(&words));
    taken.fold(0, u16::saturating_add) <= width
}

fn badges(state: &State) -> impl Iterator<Item = (String, Style)> {
    let style = Theme::of(state.palette).notice;
    notices(state).into_iter().map(move |notice| (format!("  ! {notice}"), style))
}

/// The notices: how the program was started, and settings that differ from their defaults.
fn notices(state: &State) -> Vec<String> {
    let fixed = state.notices.iter().map(|notice| notice.as_str().to_owned());
    fixed.chain(state.settings.notices()).collect()
}

/// The level of detail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Everything.
    Full,
    /// Fewer words.
    Brief,
    /// Fewest words: the relay queue has precedence over the number of connections.
    Least,
}

/// The parts of the line, in the most detail that fits.
fn parts(state: &State, width: u16) -> Vec<(String, Style)> {
    let fits = |parts: &Vec<(String, Style)>| {
        parts.iter().map(|(words, _)| columns(words)).fold(0, u16::saturating_add) <= width
    };
    let full = parts_in(state, width, Detail::Full);
    if fits(&full) {
        return full;
    }
    let brief = parts_in(state, width, Detail::Brief);
    if fits(&brief) { brief } else { parts_in(state, width, Detail::Least) }
}

fn parts_in(state: &State, width: u16, detail: Detail) -> Vec<(String, Style)> {
    let theme = Theme::of(state.palette);
    let name = if width < WIDE { " mc " } else { " mailconsole " };
    let badge = state.profile_badge().map(|profile| format!("{profile} ")).unwrap_or_default();
    let mut parts = vec![(format!("{name}{badge}"), theme.title)];
    for server in &state.servers {
        let (sign, style) = sign(server, &theme);
        parts.push((format!(" {sign} "), style));
        parts.push((serves(state, server, width, detail), theme.text));
    }
    if let faults @ 1.. = state.faults_active() {
        parts.push((format!("{FAULTS}{} ", grouped(faults)), theme.bad));
    }
    match (state.strip.held.len(), state.strip.breakpoints.len()) {
        (held @ 1.., _) => parts.push((format!("{HELD}{held} "), theme.bad)),
        (0, 0) => {}
        (0, breakpoints) if state.strip.are_on => {
            parts.push((format!("{BREAK}{breakpoints} "), theme.bad));
        }
        (0, _) => {}
    }
    parts.extend(relay(state, &theme, detail));
    if state.transcript.ring().skipped() > 0 {
        let lines = grouped(state.transcript.ring().skipped());
        parts.push((format!("  {lines} lines skipped"), theme.bad));
    }
    parts
}

/// The sign of a server's condition, so that colour alone does not say it.
const fn sign(server: &Server, theme: &Theme) -> (&'static str, Style) {
    match server.condition {
        Condition::Running => ("●", theme.good),
        Condition::Stopping => ("◌", theme.notice),
        Condition::Stopped => ("○", theme.notice),
        Condition::Failed(_) => ("✗", theme.bad),
    }
}

fn serves(state: &State, server: &Server, width: u16, detail: Detail) -> String {
    if detail == Detail::Least {
        return format!("{}:{}", server.service, server.ports());
    }
    let open = grouped(state.open(Some(server.service)));
    let unit = if width < WIDE { "" } else { " conn" };
    format!("{}:{} {open}{unit} ", server.service, server.ports())
}

fn relay(state: &State, theme: &Theme, detail: Detail) -> Option<(String, Style)> {
    let name = if detail == Detail::Full { "relay " } else { "" };
    if let Some(run) = queue::run(state) {
        return Some((format!(" {name}{run}"), theme.notice));
    }
    let counts = queue::counts(state)?;
    let style = match state.queued(RecipientState::Failed) {
        0 => theme.notice,
        _ => theme.bad,
    };
    if detail == Detail::Least {
        return Some((format!(" {}", in_signs(state)), style));
    }
    Some((format!(" ◷ {name}{}", counts.replace(" ·", "")), style))
}

/// The counts of the queue with the signs of its entries: `◷ 2 ✗ 1`.
fn in_signs(state: &State) -> String {
    let signs = [
        (RecipientState::Pending, "◷"),
        (RecipientState::Failed, "✗"),
        (RecipientState::Held, "‖"),
        (RecipientState::Delivered, "✓"),
    ];
    let counts = signs.map(|(state_of, sign)| (state.queued(state_of), sign));
    let words = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> =
        words.map(|(count, sign)| format!("{sign} {}", text::grouped(*count))).collect();
    words.join(" ")
}
