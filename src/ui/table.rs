//! The layout of a table: which columns have room, and how wide each is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::ui::text::{put, put_right};

/// Blank columns between two columns of the table.
const GAP: u16 = 1;

/// The alignment of a column's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Left, for words.
    Left,
    /// Right, for numbers.
    Right,
}

/// The requirements of a column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// The smallest useful width; with less room the column is left out.
    pub least: u16,
    /// The largest useful width.
    pub most: u16,
    /// When the column is left out for lack of room: higher ranks go first, 0 stays longest.
    pub rank: u8,
    /// The alignment.
    pub side: Side,
}

/// The place of a column.
#[derive(Debug, Clone, Copy)]
struct Placed {
    title: &'static str,
    offset: u16,
    width: u16,
    side: Side,
}

/// The columns of one table at one width.
#[derive(Debug)]
pub struct Table(Vec<Option<Placed>>);

impl Table {
    /// Lays out `columns` in a width of `available`.
    #[must_use]
    pub fn new(columns: &[Column], available: u16) -> Self {
        Self::widening_first(None, columns, available)
    }

    /// As [`new`](Self::new), but the n-th column gets its largest width before the others get more
    /// than their smallest, and also gets the width that is left over in the end.
    #[must_use]
    pub fn with_precedence(n: usize, columns: &[Column], available: u16) -> Self {
        Self::widening_first(Some(n), columns, available)
    }

    fn widening_first(first: Option<usize>, columns: &[Column], available: u16) -> Self {
        let mut widths: Vec<Option<u16>> = columns.iter().map(|c| Some(c.least)).collect();
        while total(&widths) > available {
            let last = (0..columns.len())
                .filter(|&n| widths.get(n).is_some_and(Option::is_some))
                .max_by_key(|&n| columns.get(n).map(|c| c.rank));
            let Some(slot) = last.and_then(|n| widths.get_mut(n)) else {
                break;
            };
            *slot = None;
        }
        let left = available.saturating_sub(total(&widths));
        if let Some((n, column)) = first.and_then(|n| Some((n, columns.get(n)?)))
            && let Some(Some(width)) = widths.get_mut(n)
        {
            *width += left.min(column.most.saturating_sub(*width));
        }
        let left = available.saturating_sub(total(&widths));
        widen(&mut widths, columns, left);
        let left = available.saturating_sub(total(&widths));
        if let Some(Some(width)) = first.and_then(|n| widths.get_mut(n)) {
            *width += left;
        }
        Self(place(&widths, columns))
    }

    /// The part of a line from the n-th column on; empty if that column is left out.
    #[must_use]
    pub fn rest(&self, line: Rect, column: usize) -> Rect {
        let placed = self.0.get(column).copied().flatten();
        let offset = placed.map_or(line.width, |placed| placed.offset.min(line.width));
        Rect { x: line.x + offset, width: line.width - offset, ..line }
    }

    /// The width of the n-th column; 0 if it is left out.
    #[must_use]
    pub fn width(&self, column: usize) -> u16 {
        self.0.get(column).copied().flatten().map_or(0, |placed| placed.width)
    }

    /// Draws the column headings.
    pub fn header(&self, buffer: &mut Buffer, line: Rect, style: Style) {
        for column in self.0.iter().flatten() {
            draw(buffer, line, column, column.title, style);
        }
    }

    /// Draws a row, with a text and a style for each column, including those that are left out.
    pub fn row(&self, buffer: &mut Buffer, line: Rect, cells: &[(&str, Style)]) {
        for (column, (text, style)) in self.0.iter().zip(cells) {
            if let Some(column) = column {
                draw(buffer, line, column, text, *style);
            }
        }
    }
}

fn total(widths: &[Option<u16>]) -> u16 {
    let columns = widths.iter().flatten();
    let with_gaps = columns.map(|width| width.saturating_add(GAP));
    let total = with_gaps.fold(0, u16::saturating_add);
    total.saturating_sub(GAP)
}

/// Distributes the remaining width over the columns in turn, each up to its largest width.
fn widen(widths: &mut [Option<u16>], columns: &[Column], mut left: u16) {
    while left > 0 {
        let before = left;
        for (width, column) in widths.iter_mut().zip(columns) {
            if let Some(width) = width.as_mut().filter(|w| left > 0 && **w < column.most) {
                *width += 1;
                left -= 1;
            }
        }
        if left == before {
            return;
        }
    }
}

fn place(widths: &[Option<u16>], columns: &[Column]) -> Vec<Option<Placed>> {
    let mut offset = 0;
    let placed = widths.iter().zip(columns).map(|(width, column)| {
        let placed = Placed { title: column.title, offset, width: (*width)?, side: column.side };
        offset += placed.width + GAP;
        Some(placed)
    });
    placed.collect()
}

fn draw(buffer: &mut Buffer, line: Rect, column: &Placed, text: &str, style: Style) {
    let at = Position::new(line.x + column.offset, line.y);
    let most = column.width.min(line.width.saturating_sub(column.offset));
    match column.side {
        Side::Left => {
            put(buffer, at, most, text, style);
        }
        Side::Right => put_right(buffer, at, most, text, style),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [column("name", 4, 20, 0), column("size", 4, 4, 1), column("share", 6, 12, 2)];

    const fn column(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
        Column { title, least, most, rank, side: Side::Left }
    }

    fn header(width: u16) -> String {
        let area = Rect::new(0, 0, width, 1);
        let mut buffer = Buffer::empty(area);
        Table::new(&COLUMNS, width).header(&mut buffer, area, Style::new());
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn columns_are_left_out_by_rank() {
        assert_eq!(header(20).trim_end(), "name   size share");
        assert_eq!(header(13).trim_end(), "name     size");
        assert_eq!(header(5).trim_end(), "name");
    }

    #[test]
    fn a_column_may_take_precedence() {
        let area = Rect::new(0, 0, 30, 1);
        let mut buffer = Buffer::empty(area);
        let columns = [COLUMNS[0], COLUMNS[2], COLUMNS[1]];
        Table::with_precedence(1, &columns, 30).header(&mut buffer, area, Style::new());
        let header: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(header, "name         share        size");
    }

    #[test]
    fn nothing_is_drawn_where_there_is_no_room() {
        assert_eq!(header(3).trim_end(), "");
    }
}
