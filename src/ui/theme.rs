//! The styles of the screen. Colour is never the only sign of something: there is also a word, a
//! symbol, bold, dim or reverse, so that the plain theme loses nothing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::console::state::appearance::Palette;

/// The styles for the parts of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// The background of everything.
    pub base: Style,
    /// Normal text.
    pub text: Style,
    /// Less important text: closed connections, names of fields.
    pub faint: Style,
    /// Time stamps, which must not be more prominent than their rows.
    pub stamp: Style,
    /// Column headings.
    pub header: Style,
    /// Titles of panes.
    pub title: Style,
    /// The border of a pane.
    pub border: Style,
    /// The border of the pane that receives keys.
    pub focus: Style,
    /// The selected row.
    pub selected: Style,
    /// How the selection is applied to a row of several colours.
    pub bar: Bar,
    /// Matches of a search.
    pub found: Style,
    /// Lines of clients.
    pub client: Style,
    /// Lines of servers.
    pub server: Style,
    /// A positive reply: `+OK`, 2xx.
    pub done: Style,
    /// An intermediate reply: 3xx.
    pub go_on: Style,
    /// A transient negative reply: 4xx.
    pub later: Style,
    /// A permanent negative reply: `-ERR`, 5xx.
    pub refused: Style,
    /// Colours that tell open connections apart; empty in themes without them.
    pub hues: &'static [Color],
    /// Everything is in order.
    pub good: Style,
    /// Something deserves attention.
    pub notice: Style,
    /// Something is wrong.
    pub bad: Style,
    /// A key in the hint bar.
    pub key: Style,
}

/// How the selection is applied to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// The background changes, and the colours of the text stay.
    Soft,
    /// The style replaces all colours: a mix with reversed or bright text would look patchy.
    Solid,
}

impl Theme {
    /// The theme of a palette.
    #[must_use]
    pub fn of(palette: Palette) -> Self {
        match palette {
            Palette::Dark => Self::coloured(&DARK),
            Palette::Light => Self::coloured(&LIGHT),
            Palette::HighContrast => Self::high_contrast(),
            Palette::Plain => Self::plain(Color::Reset),
        }
    }

    /// The style of the `[N]` of an open connection.
    #[must_use]
    pub fn number(&self, id: u64) -> Style {
        let count = self.hues.len() as u64;
        let nth = id.checked_rem(count).and_then(|nth| usize::try_from(nth).ok());
        match nth.and_then(|nth| self.hues.get(nth)) {
            Some(hue) => Style::new().fg(*hue),
            None => self.text,
        }
    }

    /// Highlights a row that has been drawn.
    pub fn select(&self, row: Rect, buffer: &mut Buffer) {
        for at in row.intersection(buffer.area).positions() {
            let Some(cell) = buffer.cell_mut(at) else { continue };
            // Matches of a search stay visible in the selected row.
            if self.found.bg.is_some_and(|ground| ground == cell.bg) {
                continue;
            }
            match self.bar {
                Bar::Solid => {
                    cell.set_style(Style::reset().patch(self.base).patch(self.selected));
                }
                Bar::Soft => {
                    let has_colour = cell.fg != Color::Reset && Some(cell.fg) != self.faint.fg;
                    let ink = if has_colour { Some(cell.fg) } else { self.selected.fg };
                    cell.set_style(Style { fg: ink, ..self.selected });
                }
            }
        }
    }

    fn plain(ink: Color) -> Self {
        // Titles in a border do not take over its colour.
        let plain = Style::new().fg(ink).remove_modifier(Modifier::DIM);
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = Style::new().add_modifier(Modifier::DIM);
        let reverse = Style::new().add_modifier(Modifier::REVERSED);
        Self {
            base: Style::new(),
            text: plain,
            faint: dim,
            stamp: dim,
            header: dim,
            title: bold,
            border: dim,
            focus: bold,
            selected: reverse,
            bar: Bar::Solid,
            found: reverse.add_modifier(Modifier::BOLD),
            client: plain,
            server: plain,
            done: plain,
            go_on: plain,
            later: bold,
            refused: bold,
            hues: &[],
            good: plain,
            notice: bold,
            bad: bold,
            key: reverse,
        }
    }

    /// A theme without dim text, and independent of the terminal's own colours.
    fn high_contrast() -> Self {
        let ink = Style::new().fg(Color::Rgb(255, 255, 255));
        let bold = ink.add_modifier(Modifier::BOLD);
        let (black, yellow) = (Color::Rgb(0, 0, 0), Color::Rgb(255, 255, 0));
        let green = ink.fg(Color::Rgb(0, 255, 0));
        Self {
            base: ink.bg(black),
            faint: ink.fg(Color::Rgb(208, 208, 208)),
            stamp: ink.fg(Color::Rgb(208, 208, 208)),
            header: bold.add_modifier(Modifier::UNDERLINED),
            border: ink,
            focus: bold.fg(yellow),
            selected: Style::new().fg(black).bg(yellow).add_modifier(Modifier::BOLD),
            found: Style::new().fg(black).bg(Color::Rgb(0, 255, 255)),
            client: ink.fg(Color::Rgb(0, 255, 255)),
            server: green,
            done: green,
            go_on: green,
            later: bold.fg(yellow),
            refused: bold.fg(Color::Rgb(255, 128, 128)),
            good: green,
            notice: bold.fg(yellow),
            bad: bold.fg(Color::Rgb(255, 128, 128)),
            key: Style::new().fg(black).bg(Color::Rgb(255, 255, 255)),
            ..Self::plain(Color::Rgb(255, 255, 255))
        }
    }

    fn coloured(colours: &Colours) -> Self {
        let plain = Self::plain(Color::Reset);
        let ink = |colour| plain.text.fg(colour);
        Self {
            faint: ink(colours.faint),
            stamp: ink(colours.stamp),
            header: ink(colours.faint),
            border: Style::new().fg(colours.border),
            focus: Style::new().fg(colours.accent),
            selected: Style::new().fg(colours.bar_ink).bg(colours.bar),
            bar: Bar::Soft,
            found: Style::new().fg(colours.found_ink).bg(colours.found),
            client: ink(colours.client),
            server: ink(colours.server),
            done: ink(colours.good),
            go_on: ink(colours.go_on),
            later: ink(colours.notice),
            refused: ink(colours.bad),
            hues: colours.hues,
            good: ink(colours.good),
            notice: ink(colours.notice),
            bad: ink(colours.bad),
            key: Style::new().fg(colours.accent).bg(colours.bar),
            ..plain
        }
    }
}

struct Colours {
    accent: Color,
    border: Color,
    faint: Color,
    stamp: Color,
    bar: Color,
    bar_ink: Color,
    found: Color,
    found_ink: Color,
    client: Color,
    server: Color,
    good: Color,
    go_on: Color,
    notice: Color,
    bad: Color,
    hues: &'static [Color],
}

const DARK: Colours = Colours {
    accent: Color::Rgb(125, 207, 255),
    border: Color::Rgb(66, 74, 96),
    faint: Color::Rgb(128, 136, 158),
    stamp: Color::Rgb(98, 106, 130),
    bar: Color::Rgb(44, 52, 76),
    bar_ink: Color::Rgb(222, 228, 240),
    found: Color::Rgb(236, 190, 100),
    found_ink: Color::Rgb(24, 26, 36),
    client: Color::Rgb(130, 170, 255),
    server: Color::Rgb(172, 188, 178),
    good: Color::Rgb(152, 208, 116),
    go_on: Color::Rgb(115, 218, 202),
    notice: Color::Rgb(230, 184, 106),
    bad: Color::Rgb(250, 122, 142),
    hues: &[
        Color::Rgb(110, 200, 240),
        Color::Rgb(190, 156, 250),
        Color::Rgb(226, 178, 90),
        Color::Rgb(100, 210, 190),
        Color::Rgb(245, 150, 200),
        Color::Rgb(160, 200, 90),
        Color::Rgb(135, 160, 250),
        Color::Rgb(230, 150, 110),
    ],
};

const LIGHT: Colours = Colours {
    accent: Color::Rgb(0, 95, 190),
    border: Color::Rgb(196, 202, 214),
    faint: Color::Rgb(104, 112, 128),
    stamp: Color::Rgb(140, 147, 162),
    bar: Color::Rgb(214, 227, 250),
    bar_ink: Color::Rgb(24, 30, 46),
    found: Color::Rgb(255, 214, 102),
    found_ink: Color::Rgb(25, 25, 25),
    client: Color::Rgb(28, 78, 190),
    server: Color::Rgb(64, 82, 74),
    good: Color::Rgb(26, 118, 46),
    go_on: Color::Rgb(0, 116, 122),
    notice: Color::Rgb(152, 88, 0),
    bad: Color::Rgb(190, 24, 52),
    hues: &[
        Color::Rgb(0, 116, 160),
        Color::Rgb(116, 60, 190),
        Color::Rgb(148, 92, 4),
        Color::Rgb(0, 124, 108),
        Color::Rgb(176, 40, 120),
        Color::Rgb(58, 118, 20),
        Color::Rgb(40, 86, 210),
        Color::Rgb(156, 70, 30),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_is_one_bar_whatever_colours_the_row_has() {
        for palette in [Palette::Dark, Palette::Light, Palette::HighContrast, Palette::Plain] {
            let theme = Theme::of(palette);
            let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
            let styles = [theme.text, theme.bad, theme.faint, theme.stamp, theme.notice];
            for (x, style) in (0..).zip(styles) {
                buffer.set_string(x, 0, "x", style);
            }
            theme.select(buffer.area, &mut buffer);
            let ground = |cell: &ratatui::buffer::Cell| {
                (cell.bg, cell.modifier.contains(Modifier::REVERSED))
            };
            let first = ground(&buffer.content[0]);
            assert!(first.1 || first.0 != Color::Reset, "{palette:?}");
            assert!(buffer.content.iter().all(|cell| ground(cell) == first), "{palette:?}");
            if theme.bar == Bar::Solid {
                let ink = buffer.content[0].fg;
                assert!(buffer.content.iter().all(|cell| cell.fg == ink), "{palette:?}");
            }
        }
    }

    #[test]
    fn connections_that_are_open_at_once_have_colours_of_their_own() {
        for palette in [Palette::Dark, Palette::Light] {
            let theme = Theme::of(palette);
            let of = |id| theme.number(id).fg.unwrap();
            let mut all: Vec<_> = (40..48).map(of).collect();
            assert_eq!(of(40), of(48));
            all.dedup();
            assert_eq!(all.len(), 8);
        }
        assert_eq!(Theme::of(Palette::Plain).number(7), Theme::of(Palette::Plain).text);
    }
}
