//! The offers of the command line, in a list above it: name, sentence, key.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{BorderType, Clear, Widget};

use crate::console::action::Action;
use crate::console::state::State;
use crate::console::state::extent::Extent;
use crate::console::state::offers::Offer;
use crate::console::state::prompt::{Prompt, Purpose};
use crate::ui::frame::{Titles, border, inside, mark, mend_wide, scroll_bar, title};
use crate::ui::hits::HitMap;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{columns, grouped, line, put, wrap_words};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// The most lines of the list.
const MOST_LINES: u16 = 12;

/// If the list were wider than this, the key would be far from its name.
const MOST_COLUMNS: u16 = 100;

/// The part of the screen above the hint bar.
#[must_use]
pub fn above(area: Rect, hints: Rect) -> Rect {
    Rect { height: hints.y.saturating_sub(area.y), ..area }
}

/// Draws the list above the prompt, if the prompt is for a command.
pub fn draw(state: &State, above: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let Some(List { prompt, offers, at, area }) = list(state, above) else { return };
    if !prompt.place.is_empty() {
        draw_place(state, &prompt.place, above, buffer, hits);
        return;
    }
    let theme = Theme::of(state.palette);
    hits.cover(area);
    Clear.render(area, buffer);
    buffer.set_style(area, theme.base);
    mend_wide(area, buffer);
    border(area, buffer, theme.focus, BorderType::Rounded);
    let count = grouped(offers.len());
    title(area, buffer, &theme, &Titles { left: "Commands", right: &count });
    let inner = inside(area);
    if offers.is_empty() {
        put(buffer, inner.as_position(), inner.width, &why_none(prompt), theme.faint);
        return;
    }
    let page = usize::from(inner.height);
    let above = first_in_view(at, inner);
    let table = table(&offers, inner.width);
    for (n, offer) in offers.iter().enumerate().skip(above).take(page) {
        if let Some(row) = line(inner, n - above) {
            draw_offer(offer, at == Some(n), &theme, &table, row, buffer);
            hits.click(row, Action::ClickOffer(n));
        }
    }
    scroll_bar(area, buffer, &theme, Extent { above, page, all: offers.len() });
}

/// Draws where the text of the prompt is wrong, instead of the offers.
fn draw_place(
    state: &State,
    place: &[DisplayText],
    above: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let theme = Theme::of(state.palette);
    let room = usize::from(above.width.min(MOST_COLUMNS).saturating_sub(2));
    let lines: Vec<&str> = place.iter().flat_map(|line| in_lines(line.as_str(), room)).collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(above.height);
    let width = above.width.min(MOST_COLUMNS);
    let area = Rect { y: above.bottom() - height, height, width, ..above };
    hits.cover(area);
    Clear.render(area, buffer);
    buffer.set_style(area, theme.base);
    mend_wide(area, buffer);
    border(area, buffer, theme.bad, BorderType::Rounded);
    title(area, buffer, &theme, &Titles { left: "Error", right: "" });
    for (n, words) in lines.into_iter().enumerate() {
        if let Some(at) = line(inside(area), n) {
            put(buffer, at.as_position(), at.width, words, theme.text);
        }
    }
}

/// A line that is too long for the room in several; what it begins with stays.
fn in_lines(line: &str, room: usize) -> Vec<&str> {
    let ranges = wrap_words(line, room);
    ranges.into_iter().filter_map(|range| line.get(range)).collect()
}

/// The part of the offers that is shown.
struct List<'a> {
    prompt: &'a Prompt,
    offers: Vec<Offer>,
    /// The index of the offer that the line currently is.
    at: Option<usize>,
    area: Rect,
}

fn list(state: &State, above: Rect) -> Option<List<'_>> {
    let prompt = state.prompt.as_ref().filter(|one| one.purpose == Purpose::Command)?;
    let (offers, at) = offered(state, prompt);
    let wanted = u16::try_from(offers.len()).unwrap_or(u16::MAX).clamp(1, MOST_LINES);
    let height = (wanted + 2).min(above.height / 2).max(3).min(above.height);
    let width = above.width.min(MOST_COLUMNS);
    let area = Rect { y: above.bottom() - height, height, width, ..above };
    Some(List { prompt, offers, at, area })
}

fn first_in_view(at: Option<usize>, inner: Rect) -> usize {
    at.map_or(0, |at| at + 1).saturating_sub(inner.height.into())
}

/// The offers, and which of them the line currently is.
fn offered(state: &State, prompt: &Prompt) -> (Vec<Offer>, Option<usize>) {
    match &prompt.completion {
        Some(completion) => (state.offers(&completion.typed), Some(completion.at)),
        None => (state.offers(prompt.text()), None),
    }
}

fn why_none(prompt: &Prompt) -> String {
    if prompt.text().contains(' ') {
        " No suggestions; type it.".to_owned()
    } else {
        " No command matches.".to_owned()
    }
}

fn draw_offer(
    offer: &Offer,
    is_chosen: bool,
    theme: &Theme,
    table: &Table,
    row: Rect,
    buffer: &mut Buffer,
) {
    let cells = [
        (mark(is_chosen), theme.text),
        (offer.line.as_str(), theme.title),
        (offer.sentence.as_str(), theme.faint),
        (offer.key.as_str(), theme.focus),
    ];
    table.row(buffer, row, &cells);
    if is_chosen {
        theme.select(row, buffer);
    }
}

fn table(offers: &[Offer], available: u16) -> Table {
    let widest = |text: &dyn Fn(&Offer) -> &str, least: u16| {
        offers.iter().map(|offer| columns(text(offer))).fold(least, u16::max)
    };
    let name = widest(&|offer| &offer.line, 8).min(available / 2);
    let key = widest(&|offer| &offer.key, 1);
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::new(
        &[
            column("", 1, 1, 0, Side::Left),
            column("", name, name, 0, Side::Left),
            column("", 10, u16::MAX, 2, Side::Left),
            column("", key, key, 1, Side::Left),
        ],
        available,
    )
}
