//! What things look like. Colour never says anything alone: what it says is also a word, a sign,
//! bold, dim or reverse, so that the plain theme loses nothing.

use ratatui::style::{Color, Modifier, Style};

use crate::app::state::Palette;

/// The styles of the parts of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Beneath everything.
    pub base: Style,
    /// What is read.
    pub text: Style,
    /// What is beside the point: times, what is closed.
    pub faint: Style,
    /// Names of columns.
    pub header: Style,
    /// Names of panes.
    pub title: Style,
    /// Around a pane.
    pub border: Style,
    /// Around the pane that keys go to.
    pub focus: Style,
    /// The selected row of the focused pane.
    pub selected: Style,
    /// What was looked for.
    pub found: Style,
    /// What a client says.
    pub client: Style,
    /// What a server says.
    pub server: Style,
    /// All is well.
    pub good: Style,
    /// Worth a look.
    pub notice: Style,
    /// Something is wrong.
    pub bad: Style,
    /// A key in the hint bar.
    pub key: Style,
}

impl Theme {
    /// The styles of a palette.
    #[must_use]
    pub fn of(palette: Palette) -> Self {
        match palette {
            Palette::Dark => Self::coloured(&Colours {
                accent: Color::Cyan,
                client: Color::LightBlue,
                server: Color::Green,
                good: Color::Green,
                notice: Color::Yellow,
                bad: Color::LightRed,
                border: Color::DarkGray,
            }),
            Palette::Light => Self::coloured(&Colours {
                accent: Color::Blue,
                client: Color::Blue,
                server: Color::Magenta,
                good: Color::Rgb(0, 110, 0),
                notice: Color::Rgb(150, 90, 0),
                bad: Color::Red,
                border: Color::Gray,
            }),
            Palette::HighContrast => Self::high_contrast(),
            Palette::Plain => Self::plain(Color::Reset),
        }
    }

    fn plain(ink: Color) -> Self {
        // Words in a border do not take its colour.
        let plain = Style::new().fg(ink).remove_modifier(Modifier::DIM);
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = Style::new().add_modifier(Modifier::DIM);
        let reverse = Style::new().add_modifier(Modifier::REVERSED);
        Self {
            base: Style::new(),
            text: plain,
            faint: dim,
            header: dim,
            title: bold,
            border: dim,
            focus: bold,
            selected: reverse,
            found: reverse.add_modifier(Modifier::BOLD),
            client: plain,
            server: plain,
            good: plain,
            notice: bold,
            bad: bold,
            key: reverse,
        }
    }

    /// Nothing dim, nothing that depends on what the terminal's own colours are.
    fn high_contrast() -> Self {
        let ink = Style::new().fg(Color::Rgb(255, 255, 255));
        let bold = ink.add_modifier(Modifier::BOLD);
        let (black, yellow) = (Color::Rgb(0, 0, 0), Color::Rgb(255, 255, 0));
        Self {
            base: ink.bg(black),
            faint: ink.fg(Color::Rgb(208, 208, 208)),
            header: bold.add_modifier(Modifier::UNDERLINED),
            border: ink,
            focus: bold.fg(yellow),
            selected: Style::new().fg(black).bg(yellow).add_modifier(Modifier::BOLD),
            found: Style::new().fg(black).bg(Color::Rgb(0, 255, 255)),
            client: ink.fg(Color::Rgb(0, 255, 255)),
            server: ink.fg(Color::Rgb(0, 255, 0)),
            good: ink.fg(Color::Rgb(0, 255, 0)),
            notice: bold.fg(yellow),
            bad: bold.fg(Color::Rgb(255, 128, 128)),
            key: Style::new().fg(black).bg(Color::Rgb(255, 255, 255)),
            ..Self::plain(Color::Rgb(255, 255, 255))
        }
    }

    fn coloured(colours: &Colours) -> Self {
        let plain = Self::plain(Color::Reset);
        Self {
            border: Style::new().fg(colours.border),
            focus: Style::new().fg(colours.accent),
            client: plain.client.fg(colours.client),
            server: plain.server.fg(colours.server),
            good: plain.good.fg(colours.good),
            notice: plain.notice.fg(colours.notice),
            bad: plain.bad.fg(colours.bad),
            found: Style::new().fg(Color::Black).bg(Color::Yellow),
            ..plain
        }
    }
}

struct Colours {
    accent: Color,
    client: Color,
    server: Color,
    good: Color,
    notice: Color,
    bad: Color,
    border: Color,
}
