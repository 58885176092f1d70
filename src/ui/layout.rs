//! The areas of the panes, worked out from the size of the screen and from the room that the panes
//! ask for. Independent of how they are drawn.

use ratatui::layout::Rect;

use crate::console::action::Pane;
use crate::console::state::State;
use crate::ui::frame::TITLE_ONLY;
use crate::ui::panes::{connections, hint_bar, queue, top_line};

/// The smallest screen in columns and lines on which the panes are useful.
pub const LEAST: (u16, u16) = (60, 16);

const TWO_COLUMNS: (u16, u16) = (110, 30);
const THREE_COLUMNS: (u16, u16) = (160, 45);

/// Lines of a pane's borders and column headings.
const FRAME_AND_HEADER: u16 = 3;

/// Lines of the log if there is room for it.
const LOG: u16 = 6;

/// The height of the body from which the log has more than its title.
const ROOM_FOR_LOG: u16 = 36;

/// Lines of the chart.
const CHART: u16 = 9;

/// Lines of the chart if there is room to spare.
const CHART_MOST: u16 = 15;

/// Lines that the lists keep free for new rows.
const SPARE: u16 = 6;

/// The smallest height of a list, with its border.
const LIST: u16 = 7;

/// The smallest and the largest width of the connections in the layout with three columns.
const LEFT: (u16, u16) = (50, 62);

/// The smallest and the largest width of the queue in that layout.
const RIGHT: (u16, u16) = (46, 66);

/// Lines of the selected queue entry.
const ENTRY: u16 = 18;

/// The areas of a screen.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The top line with the servers.
    pub top: Rect,
    /// The line for notices that do not fit into the top line.
    pub notices: Option<Rect>,
    /// The panes that are visible.
    pub panes: Vec<(Pane, Rect)>,
    /// The open mailbox or message. It takes the place of the transcript; in the stacked layout,
    /// that of all panes.
    pub reader: Option<Rect>,
    /// The chart of lines and messages per second.
    pub chart: Option<Rect>,
    /// The details of the selected queue entry.
    pub entry: Option<Rect>,
    /// The hint bar.
    pub hints: Rect,
}

impl Layout {
    /// Divides `area`; `None` if it is too small for the panes.
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
        // The titles of tiles name their connections already, and tiles need the room.
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

    /// Puts the queue and the log at the bottom of `area`; returns the rest.
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

/// The width of the connections and the panes below them: what their rows need, within bounds that
/// keep the panes from moving about.
fn left_width(state: &State, all: u16) -> u16 {
    connections::columns_wanted(state).clamp(LEFT.0, LEFT.1.min(all / 3).max(LEFT.0))
}

/// The width of the queue and the panes below it.
fn right_width(state: &State, all: u16) -> u16 {
    queue::columns_wanted(state).clamp(RIGHT.0, RIGHT.1.min(all * 3 / 10).max(RIGHT.0))
}

/// The height of the mailboxes, out of the lines that they share with the connections. Neither list
/// keeps blank lines that the other one needs.
fn mailboxes_height(state: &State, both: u16) -> u16 {
    let lines =
        |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FRAME_AND_HEADER);
    let (mailboxes, connections) =
        (lines(state.mailboxes.len()), lines(connections::lines_wanted(state)));
    let usual = both * 2 / 5;
    let room = both.saturating_sub(connections).max(usual);
    // One line is kept free for the next mailbox.
    mailboxes.saturating_add(1).clamp(usual.min(LIST), room)
}

/// The height of the chart: larger if the lists leave lines unused.
fn chart_height(state: &State, left: u16) -> u16 {
    let rows = connections::lines_wanted(state) + state.mailboxes.len();
    let lists =
        u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2 * FRAME_AND_HEADER + SPARE);
    left.saturating_sub(lists).clamp(CHART, CHART_MOST)
}

/// The height of the queue; an empty queue is only its title.
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
