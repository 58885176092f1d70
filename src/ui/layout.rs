//! Which pane is where. Knows sizes and what must not be hidden, not what the panes hold.

use ratatui::layout::Rect;

use crate::console::action::Pane;
use crate::console::state::State;
use crate::ui::frame::TITLE_ONLY;
use crate::ui::panes::{connections, hint_bar, queue, top_line};

/// Under this the panes would say nothing.
pub const LEAST: (u16, u16) = (60, 16);

const TWO_COLUMNS: (u16, u16) = (110, 30);
const THREE_COLUMNS: (u16, u16) = (160, 45);

/// Borders and the names of columns.
const FRAME_AND_HEADER: u16 = 3;

/// Lines of the log where there is room for it.
const LOG: u16 = 6;

/// Body height from which the log has more than its title.
const ROOM_FOR_LOG: u16 = 36;

/// The chart of lines a second.
const CHART: u16 = 9;

/// The chart, where there is room to spare.
const CHART_MOST: u16 = 15;

/// Lines that the lists keep free for what comes.
const SPARE: u16 = 6;

/// The least height of a list with its frame.
const LIST: u16 = 7;

/// Least and most columns of the connections, where there are three columns.
const LEFT: (u16, u16) = (50, 62);

/// Least and most columns of the queue there.
const RIGHT: (u16, u16) = (46, 66);

/// The selected queue entry.
const ENTRY: u16 = 18;

/// A screen, divided.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The servers.
    pub top: Rect,
    /// Notices that the top line has no room for.
    pub notices: Option<Rect>,
    /// The panes that are in sight.
    pub panes: Vec<(Pane, Rect)>,
    /// The mailbox or the message that is read, in the place of the transcript; of all panes,
    /// where they are stacked.
    pub reader: Option<Rect>,
    /// Lines a second.
    pub chart: Option<Rect>,
    /// The selected queue entry.
    pub entry: Option<Rect>,
    /// The keys.
    pub hints: Rect,
}

impl Layout {
    /// Divides `area`; `None` if it is too small.
    #[must_use]
    pub fn of(state: &State, area: Rect) -> Option<Self> {
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return None;
        }
        let (top, rest) = cut_top(area, 1);
        let (notices, rest) = if top_line::has_room_for_notices(state, area.width) {
            (None, rest)
        } else {
            let (line, rest) = cut_top(rest, 1);
            (Some(line), rest)
        };
        let (hints, body) = cut_bottom(rest, hint_bar::lines_wanted(state, area.width));
        let mut layout =
            Self { top, notices, panes: Vec::new(), reader: None, chart: None, entry: None, hints };
        layout.divide(state, area, body);
        Some(layout)
    }

    fn divide(&mut self, state: &State, area: Rect, body: Rect) {
        let fits = |(width, height)| area.width >= width && area.height >= height;
        if state.is_reading() && (state.zoomed || !fits(TWO_COLUMNS)) {
            self.reader = Some(body);
        } else if state.zoomed {
            self.panes.push((state.focus, body));
        } else if fits(THREE_COLUMNS) {
            self.three_columns(state, body);
        } else if fits(TWO_COLUMNS) {
            self.two_columns(state, body);
        } else {
            self.stacked(state, body);
        }
        if state.is_reading() && self.reader.is_none() {
            self.give_transcript_to_reader();
        }
    }

    fn give_transcript_to_reader(&mut self) {
        let place = self.panes.iter().position(|(pane, _)| *pane == Pane::Transcript);
        self.reader = place.map(|place| self.panes.remove(place).1);
    }

    fn stacked(&mut self, state: &State, body: Rect) {
        let (lists, rest) = cut_top(body, (body.height / 3).clamp(5, 12));
        let rest = self.queue_and_log_below(state, body.height, rest);
        let (mailboxes, connections) = cut_right(lists, (body.width / 3).clamp(28, 46));
        self.panes.extend([
            (Pane::Connections, connections),
            (Pane::Transcript, rest),
            (Pane::Mailboxes, mailboxes),
        ]);
    }

    fn two_columns(&mut self, state: &State, body: Rect) {
        let rest = self.queue_and_log_below(state, body.height, body);
        // Tiles tell themselves whose they are, and need the room.
        let most = if state.tiled { 46 } else { 60 };
        let (left, right) = cut_left(rest, (body.width * 12 / 25).clamp(46, most));
        let (mailboxes, connections) = cut_bottom(left, mailboxes_height(state, left.height));
        self.panes.extend([
            (Pane::Connections, connections),
            (Pane::Transcript, right),
            (Pane::Mailboxes, mailboxes),
        ]);
    }

    fn three_columns(&mut self, state: &State, body: Rect) {
        let (left, right) = (left_width(state, body.width), right_width(state, body.width));
        let (left, rest) = cut_left(body, left);
        let (right, transcript) = cut_right(rest, right);
        let (chart, lists) = cut_bottom(left, chart_height(state, left.height));
        let (mailboxes, connections) = cut_bottom(lists, mailboxes_height(state, lists.height));
        let most = right.height.saturating_sub(ENTRY + LOG).max(right.height * 2 / 5);
        let (queue, below) = cut_top(right, queue_height(state, right.width, most));
        let (entry, log) = if state.queue.is_empty() {
            (None, below)
        } else {
            let (entry, log) = cut_top(below, ENTRY.min(below.height.saturating_sub(LOG)));
            (Some(entry), log)
        };
        self.chart = Some(chart);
        self.entry = entry;
        self.panes.extend([
            (Pane::Connections, connections),
            (Pane::Transcript, transcript),
            (Pane::Mailboxes, mailboxes),
            (Pane::Queue, queue),
            (Pane::Log, log),
        ]);
    }

    /// Puts queue and log at the foot of `area`; returns what is left.
    fn queue_and_log_below(&mut self, state: &State, body: u16, area: Rect) -> Rect {
        let log = match state.focus {
            Pane::Log if body >= 3 * LOG => LOG,
            _ if body >= ROOM_FOR_LOG => LOG,
            _ => TITLE_ONLY,
        };
        let (log, rest) = cut_bottom(area, log);
        let most = (body * 3 / 10).max(4);
        let (queue, rest) = cut_bottom(rest, queue_height(state, rest.width, most));
        self.panes.extend([(Pane::Queue, queue), (Pane::Log, log)]);
        rest
    }
}

/// Columns of the connections and what is below them, of a screen this wide: what their rows need,
/// within bounds in which the panes do not jump about.
fn left_width(state: &State, all: u16) -> u16 {
    connections::columns_wanted(state).clamp(LEFT.0, LEFT.1.min(all / 3).max(LEFT.0))
}

/// Columns of the queue and what is below it.
fn right_width(state: &State, all: u16) -> u16 {
    queue::columns_wanted(state).clamp(RIGHT.0, RIGHT.1.min(all * 3 / 10).max(RIGHT.0))
}

/// Lines of the mailboxes, of those that they share with the connections: no blank ones where the
/// connections need them, and the other way round.
fn mailboxes_height(state: &State, both: u16) -> u16 {
    let lines =
        |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FRAME_AND_HEADER);
    let (mailboxes, connections) =
        (lines(state.mailboxes.len()), lines(connections::lines_wanted(state)));
    let usual = both * 2 / 5;
    let room = both.saturating_sub(connections).max(usual);
    // Whoever comes next finds a line.
    mailboxes.saturating_add(1).clamp(usual.min(LIST), room)
}

/// Lines of the chart: more of them where the lists have no use for them.
fn chart_height(state: &State, left: u16) -> u16 {
    let rows = connections::lines_wanted(state) + state.mailboxes.len();
    let lists =
        u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2 * FRAME_AND_HEADER + SPARE);
    left.saturating_sub(lists).clamp(CHART, CHART_MOST)
}

/// An empty queue is only its title.
fn queue_height(state: &State, width: u16, most: u16) -> u16 {
    if state.queue.items().is_empty() {
        return TITLE_ONLY;
    }
    queue::lines_wanted(state, width).saturating_add(FRAME_AND_HEADER).min(most)
}

fn cut_top(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let cut = Rect { height, ..area };
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    (cut, rest)
}

fn cut_bottom(area: Rect, height: u16) -> (Rect, Rect) {
    let (rest, cut) = cut_top(area, area.height.saturating_sub(height));
    (cut, rest)
}

fn cut_left(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let cut = Rect { width, ..area };
    let rest = Rect { x: area.x + width, width: area.width - width, ..area };
    (cut, rest)
}

fn cut_right(area: Rect, width: u16) -> (Rect, Rect) {
    let (rest, cut) = cut_left(area, area.width.saturating_sub(width));
    (cut, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::action::Action;
    use crate::console::state::tests::with_connections;
    use crate::store::overview::Overview;

    /// Draws every part of the layout as a letter, and `!` where two parts overlap.
    fn map(layout: &Layout, area: Rect) -> Vec<char> {
        let panes = layout.panes.iter().map(|(_, area)| *area);
        let others =
            [layout.notices, layout.reader, layout.chart, layout.entry].into_iter().flatten();
        let all = panes.chain(others).chain([layout.top, layout.hints]);
        let mut map = vec!['.'; usize::from(area.width) * usize::from(area.height)];
        for at in all.flat_map(Rect::positions) {
            let cell = &mut map[usize::from(at.y) * usize::from(area.width) + usize::from(at.x)];
            *cell = if *cell == '.' { 'x' } else { '!' };
        }
        map
    }

    #[test]
    fn at_every_size_every_cell_belongs_to_one_part() {
        let mut state = with_connections(1);
        for reading in [false, false, true] {
            if reading {
                state.update(Action::Focus(Pane::Mailboxes));
                let _ = state.reader.open("linhphan".to_owned());
            }
            for (width, height) in (60..=250).step_by(5).zip((16..=80).cycle()) {
                let area = Rect::new(0, 0, width, height);
                let layout = Layout::of(&state, area).unwrap();
                assert!(map(&layout, area).iter().all(|&cell| cell == 'x'), "{width}x{height}");
            }
            let entry =
                crate::console::state::tests::queued("a@b", std::time::SystemTime::now(), None);
            state.overview_is(&Overview { mailboxes: vec![], queue: vec![entry] });
        }
    }

    #[test]
    fn a_zoomed_pane_has_everything_between_the_first_line_and_the_last() {
        let mut state = with_connections(1);
        state.update(Action::Zoom);
        let layout = Layout::of(&state, Rect::new(0, 0, 80, 24)).unwrap();
        assert_eq!(layout.panes, [(Pane::Connections, Rect::new(0, 1, 80, 22))]);
    }
}
