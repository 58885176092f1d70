//! The picture on the terminal and the next one. Only the difference between them is written, in
//! one write; nothing if they are equal.

use std::io::{self, Write};

use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::depth::Depth;

/// The shown picture and the next one.
#[derive(Debug)]
pub struct Canvas {
    shown: Buffer,
    next: Buffer,
    /// Whether the contents of the terminal are unknown.
    is_stale: bool,
    depth: Depth,
}

impl Canvas {
    /// A canvas for a terminal of this size and depth, whose contents are unknown.
    #[must_use]
    pub fn new(columns: u16, lines: u16, depth: Depth) -> Self {
        let area = Rect::new(0, 0, columns, lines);
        Self { shown: Buffer::empty(area), next: Buffer::empty(area), is_stale: true, depth }
    }

    /// The size of the picture.
    #[must_use]
    pub const fn area(&self) -> Rect {
        self.next.area
    }

    /// Changes the size; the next frame paints everything.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        *self = Self::new(columns, lines, self.depth);
    }

    /// Treats the contents of the terminal as unknown: the next frame paints everything.
    pub const fn forget(&mut self) {
        self.is_stale = true;
    }

    /// Paints the next picture and writes its difference from the last one.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub fn draw(
        &mut self,
        out: &mut impl Write,
        paint: impl FnOnce(&mut Buffer),
    ) -> io::Result<()> {
        self.next.reset();
        paint(&mut self.next);
        self.depth.step_down(&mut self.next);
        let mut bytes = Vec::new();
        queue!(bytes, BeginSynchronizedUpdate)?;
        let before = bytes.len();
        if self.is_stale {
            self.shown.reset();
            queue!(bytes, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
        }
        let mut changes = self.shown.diff(&self.next).into_iter().peekable();
        if changes.peek().is_some() {
            CrosstermBackend::new(&mut bytes).draw(changes)?;
        }
        if bytes.len() > before {
            queue!(bytes, EndSynchronizedUpdate)?;
            out.write_all(&bytes)?;
            out.flush()?;
        }
        self.is_stale = false;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    fn paint(words: &'static str) -> impl FnOnce(&mut Buffer) {
        move |buffer| buffer.set_string(0, 0, words, Style::new())
    }

    fn drawn(canvas: &mut Canvas, words: &'static str) -> String {
        let mut bytes = Vec::new();
        canvas.draw(&mut bytes, paint(words)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_picture_that_has_not_changed_writes_nothing() {
        let mut canvas = Canvas::new(20, 2, Depth::True);
        assert!(drawn(&mut canvas, "hello").contains("hello"));
        assert_eq!(drawn(&mut canvas, "hello"), "");
    }

    #[test]
    fn a_change_is_written_in_one_synchronized_piece() {
        let mut canvas = Canvas::new(20, 2, Depth::True);
        drawn(&mut canvas, "hello");
        let bytes = drawn(&mut canvas, "hellx");
        assert!(bytes.starts_with("\x1b[?2026h") && bytes.ends_with("\x1b[?2026l"));
        assert!(bytes.contains('x') && !bytes.contains("hell"));
    }

    #[test]
    fn after_forgetting_everything_is_painted_anew() {
        let mut canvas = Canvas::new(20, 2, Depth::True);
        drawn(&mut canvas, "hello");
        canvas.forget();
        let bytes = drawn(&mut canvas, "hello");
        assert!(bytes.contains("\x1b[2J") && bytes.contains("hello"));
    }

    #[test]
    fn a_canvas_without_a_cell_is_drawn_on_all_the_same() {
        let mut canvas = Canvas::new(0, 0, Depth::Sixteen);
        canvas.draw(&mut Vec::new(), |_| {}).unwrap();
    }
}
