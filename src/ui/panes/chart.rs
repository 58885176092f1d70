//! The chart of lines and messages per second over the last two minutes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{BorderType, Sparkline, Widget};

use crate::console::state::State;
use crate::console::state::rate::{Rate, SECONDS};
use crate::ui::frame::{Titles, border, inside, title};
use crate::ui::text::{grouped, line, put};
use crate::ui::theme::Theme;

/// Draws the chart, with the newest second on the right.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    border(area, buffer, theme.border, BorderType::Rounded);
    let titles = Titles { left: "Figures", right: "last 2 min" };
    title(area, buffer, &theme, &titles);
    let inner = inside(area);
    let upper = Rect { height: inner.height.div_ceil(2), ..inner };
    let lower = Rect { y: upper.bottom(), height: inner.height - upper.height, ..inner };
    draw_rate(&state.rate, "lines/s", upper, theme.client, buffer);
    draw_rate(&state.messages, "messages/s", lower, theme.server, buffer);
}

fn draw_rate(rate: &Rate, unit: &str, area: Rect, style: Style, buffer: &mut Buffer) {
    let Some(first) = line(area, 0) else { return };
    let words = format!("{unit} {} · peak {}", grouped(rate.now()), grouped(rate.peak()));
    put(buffer, first.as_position(), first.width, &words, style);
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    Sparkline::default()
        .data(columns(rate, usize::from(below.width)))
        .style(style)
        .render(below, buffer);
}

/// The values of the columns, each for as many seconds as it takes to show all of them.
fn columns(rate: &Rate, width: usize) -> Vec<u64> {
    let mut columns = rate.stretches(SECONDS.div_ceil(width.max(1)));
    columns.resize(width, 0);
    columns.reverse();
    columns
}
