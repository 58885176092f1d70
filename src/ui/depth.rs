//! The number of colours of a terminal. Themes use true colours; here they are mapped to 256 or 16.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// The number of colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 24-bit colours.
    True,
    /// The 256 colours of xterm.
    Indexed,
    /// The 16 colours, which a user can choose in every terminal.
    Sixteen,
}

/// Terminals that have true colours but may not set COLORTERM, by the beginning of TERM.
const KNOWN: [&str; 6] =
    ["xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour"];

impl Depth {
    /// The depth for the values of COLORTERM and TERM; empty values if they are not set.
    #[must_use]
    pub fn of_terminal(colorterm: &str, term: &str) -> Self {
        let says_so = ["truecolor", "24bit"].iter().any(|word| colorterm.contains(word));
        if says_so || term.ends_with("-direct") || KNOWN.iter().any(|name| term.starts_with(name)) {
            Self::True
        } else if term.contains("256color") || !colorterm.is_empty() {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }

    /// Maps all colours of a picture to this depth.
    pub fn step_down(self, picture: &mut Buffer) {
        if self == Self::True {
            return;
        }
        for cell in &mut picture.content {
            self.step_cell_down(cell);
        }
    }

    fn step_cell_down(self, cell: &mut Cell) {
        // None of the sixteen colours is soft: the selected row is reversed as a whole instead.
        if self == Self::Sixteen && is_soft(cell.bg) {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            cell.modifier.insert(Modifier::REVERSED);
        }
        (cell.fg, cell.bg) = (self.nearest(cell.fg), self.nearest(cell.bg));
    }

    fn nearest(self, colour: Color) -> Color {
        let Color::Rgb(red, green, blue) = colour else { return colour };
        match self {
            Self::True => colour,
            Self::Indexed => Color::Indexed(indexed([red, green, blue])),
            Self::Sixteen => sixteen([red, green, blue]),
        }
    }
}

/// Whether a background is neither strong nor black.
fn is_soft(ground: Color) -> bool {
    let Color::Rgb(red, green, blue) = ground else { return false };
    let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
    most > 0 && most - least < SATURATED && least != u8::MAX
}

/// A colour whose components differ by more than this is strong.
const SATURATED: u8 = 60;

/// The levels of each component in the colour cube of xterm's 256 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of the cube and the greys of xterm's 256 colours. The first 16 are left out, because
/// the user can change them.
fn indexed(colour: [u8; 3]) -> u8 {
    let step = |part: u8| (0..6_u8).min_by_key(|n| STEPS[usize::from(*n)].abs_diff(part));
    let steps = colour.map(|part| step(part).unwrap_or(0));
    let in_cube = steps.map(|n| STEPS[usize::from(n)]);
    let mean = colour.iter().map(|part| u32::from(*part)).sum::<u32>() / 3;
    let grey = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(0);
    let in_greys = [8 + 10 * grey; 3];
    if distance(colour, in_greys) < distance(colour, in_cube) {
        232 + grey
    } else {
        16 + 36 * steps[0] + 6 * steps[1] + steps[2]
    }
}

/// The usual values of the sixteen colours, if the user has not changed them.
const SIXTEEN: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [170, 20, 30]),
    (Color::Green, [40, 140, 40]),
    (Color::Yellow, [160, 100, 0]),
    (Color::Blue, [30, 70, 190]),
    (Color::Magenta, [150, 50, 160]),
    (Color::Cyan, [0, 130, 140]),
    (Color::Gray, [190, 196, 206]),
    (Color::DarkGray, [100, 104, 112]),
    (Color::LightRed, [250, 122, 142]),
    (Color::LightGreen, [150, 210, 110]),
    (Color::LightYellow, [236, 190, 100]),
    (Color::LightBlue, [130, 165, 255]),
    (Color::LightMagenta, [210, 150, 230]),
    (Color::LightCyan, [110, 210, 225]),
    (Color::White, [255, 255, 255]),
];

fn sixteen(colour: [u8; 3]) -> Color {
    let nearest = SIXTEEN.iter().min_by_key(|(_, like)| distance(colour, *like));
    nearest.map_or(Color::Reset, |(nearest, _)| *nearest)
}

fn distance(one: [u8; 3], other: [u8; 3]) -> u32 {
    let squares = one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2));
    squares.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::appearance::Palette;
    use crate::ui::theme::Theme;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn a_terminal_says_how_many_colours_it_has() {
        for (colorterm, term, depth) in [
            ("truecolor", "xterm-256color", Depth::True),
            ("24bit", "screen", Depth::True),
            ("", "xterm-kitty", Depth::True),
            ("", "xterm-direct", Depth::True),
            ("", "xterm-256color", Depth::Indexed),
            ("", "tmux-256color", Depth::Indexed),
            ("yes", "xterm", Depth::Indexed),
            ("", "xterm", Depth::Sixteen),
            ("", "linux", Depth::Sixteen),
            ("", "", Depth::Sixteen),
        ] {
            assert_eq!(Depth::of_terminal(colorterm, term), depth, "{colorterm} {term}");
        }
    }

    /// What becomes of a cell in this style.
    fn stepped(style: Style, depth: Depth) -> Cell {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 1, 1));
        buffer.set_style(buffer.area, style);
        depth.step_down(&mut buffer);
        buffer.content[0].clone()
    }

    #[test]
    fn every_theme_steps_down_to_colours_that_the_terminal_has() {
        let palettes = [Palette::Dark, Palette::Light, Palette::HighContrast, Palette::Plain];
        for theme in palettes.map(Theme::of) {
            let styles = [
                theme.base,
                theme.text,
                theme.faint,
                theme.stamp,
                theme.border,
                theme.focus,
                theme.selected,
                theme.found,
                theme.client,
                theme.server,
                theme.done,
                theme.go_on,
                theme.later,
                theme.refused,
                theme.key,
            ];
            let hues = (0..8).map(|id| theme.number(id));
            for style in styles.into_iter().chain(hues) {
                for depth in [Depth::Indexed, Depth::Sixteen] {
                    let cell = stepped(style, depth);
                    let is_true = |colour| matches!(colour, Color::Rgb(..));
                    assert!(!is_true(cell.fg) && !is_true(cell.bg), "{style:?} in {depth:?}");
                }
                assert_eq!(stepped(style, Depth::True).bg, style.bg.unwrap_or_default());
            }
        }
    }

    #[test]
    fn in_sixteen_colours_the_classes_of_replies_differ_and_the_selection_is_reversed() {
        for theme in [Palette::Dark, Palette::Light].map(Theme::of) {
            let classes = [theme.client, theme.done, theme.later, theme.refused];
            let inks = classes.map(|style| stepped(style, Depth::Sixteen).fg);
            for (n, ink) in inks.iter().enumerate() {
                assert!(!inks[n + 1..].contains(ink), "{inks:?}");
            }
            let bar = stepped(theme.selected, Depth::Sixteen);
            assert!(bar.modifier.contains(Modifier::REVERSED) && bar.bg == Color::Reset);
            let found = stepped(theme.found, Depth::Sixteen);
            assert!(!found.modifier.contains(Modifier::REVERSED) && found.bg != Color::Reset);
        }
    }

    #[test]
    fn the_nearest_of_256_is_near() {
        assert_eq!(indexed([0, 0, 0]), 16);
        assert_eq!(indexed([255, 255, 255]), 231);
        assert_eq!(indexed([66, 66, 66]), 238);
        assert_eq!(indexed([95, 135, 255]), 69);
    }
}
