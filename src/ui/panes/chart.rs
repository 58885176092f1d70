//! Lines a second over the last two minutes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{BorderType, Sparkline, Widget};

use crate::app::state::State;
use crate::ui::panes::{Titles, border, inside, title};
use crate::ui::text::grouped;
use crate::ui::theme::Theme;

/// Draws them, newest on the right.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    border(area, buffer, theme.border, BorderType::Rounded);
    let peak = format!("peak {}", grouped(state.rate.peak()));
    let titles = Titles { left: "lines/s (last 2 min)", right: &peak };
    title(area, buffer, &theme, &titles);
    let inner = inside(area);
    Sparkline::default()
        .data(columns(state, usize::from(inner.width)))
        .style(theme.client)
        .render(inner, buffer);
}

/// The seconds, as many to a column as it takes to show them all.
fn columns(state: &State, width: usize) -> Vec<u64> {
    let counts: Vec<u64> = state.rate.counts().collect();
    let per_column = counts.len().div_ceil(width.max(1)).max(1);
    let mut columns: Vec<u64> = counts
        .rchunks(per_column)
        .map(|seconds| seconds.iter().copied().max().unwrap_or(0))
        .collect();
    columns.resize(width, 0);
    columns.reverse();
    columns
}
