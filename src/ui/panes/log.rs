//! The program's own log, which tui-logger collects. While the pane is only a title, its newest
//! line is shown beside it.

use std::ops::Range;

use chrono::DateTime;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tui_logger::{ExtLogRecord, LogFormatter, TuiLoggerWidget, TuiWidgetEvent, TuiWidgetState};

use crate::console::action::{Pane, Step};
use crate::console::state::{Clock, State};
use crate::ui::frame::TITLE_ONLY;
use crate::ui::frame::{Titles, frame};
use crate::ui::text::{cut, wrap_words};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns of the title while the pane is only that.
const TITLE: u16 = 9;

/// The scroll position in the log; tui-logger keeps both the records and the position.
#[derive(Default)]
pub struct LogView(TuiWidgetState);

impl LogView {
    /// A view of the end of the log.
    #[must_use]
    pub fn new() -> Self {
        Self(TuiWidgetState::new())
    }

    /// Scrolls by whole pages.
    pub fn scroll(&self, step: Step) {
        let event = match step {
            Step::Up | Step::HalfPageUp | Step::PageUp | Step::First => TuiWidgetEvent::PrevPageKey,
            Step::Down | Step::HalfPageDown | Step::PageDown => TuiWidgetEvent::NextPageKey,
            Step::Last => TuiWidgetEvent::EscapeKey,
        };
        self.0.transition(event);
    }
}

/// Draws the pane.
pub fn draw(state: &State, log: &LogView, area: Rect, buffer: &mut Buffer) {
    let titles = Titles { left: Pane::Log.title(), right: "" };
    let inner = frame(state, Pane::Log, area, buffer, &titles);
    let inner = match area.height {
        TITLE_ONLY => {
            Rect { x: area.x + TITLE, width: area.width.saturating_sub(TITLE + 2), ..area }
        }
        _ => inner,
    };
    TuiLoggerWidget::default()
        .state(&log.0)
        .formatter(Box::new(Formatter {
            theme: Theme::of(state.palette),
            clock: state.clock,
            lines: match area.height {
                TITLE_ONLY => Lines::First,
                _ => Lines::All,
            },
        }))
        .render(inner, buffer);
}

/// Formats a record as lines. Log messages may quote clients and files: they are escaped here.
struct Formatter {
    theme: Theme,
    clock: Clock,
    lines: Lines,
}

/// How much of a long record is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    First,
    All,
}

impl Formatter {
    fn style(&self, level: &str) -> Style {
        match level {
            "ERROR" => self.theme.bad,
            "WARN" => self.theme.notice,
            _ => self.theme.text,
        }
    }
}

impl LogFormatter for Formatter {
    fn min_width(&self) -> u16 {
        1
    }

    fn format(&self, width: usize, record: &ExtLogRecord) -> Vec<Line<'_>> {
        let at = DateTime::from_timestamp(record.timestamp.timestamp().as_second(), 0)
            .unwrap_or_default()
            .with_timezone(&self.clock.offset);
        let module = record.target().rsplit("::").next().unwrap_or_default();
        let text = format!(
            "{} {:5} {module} {}",
            at.format("%H:%M:%S"),
            record.level,
            record.msg().trim_start()
        );
        let text = DisplayText::from(text.as_str());
        let style = self.style(record.level.as_str());
        let line = |text: String| Line::from(Span::styled(text, style));
        match self.lines {
            Lines::First => {
                let most = width.saturating_sub(2);
                vec![line(format!(" {} ", cut(text.as_str(), most)))]
            }
            Lines::All => {
                let pieces = wrap_words(text.as_str(), width).into_iter();
                let piece =
                    |range: Range<usize>| text.as_str().get(range).unwrap_or_default().trim_end();
                pieces.map(|range| line(piece(range).to_owned())).collect()
            }
        }
    }
}
