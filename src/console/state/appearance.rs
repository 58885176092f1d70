//! How the user wants the screen to look: time stamps, long rows, colours, and the use of the
//! mouse.

use std::str::FromStr;

use strum::VariantArray;

/// The form of the time stamps of transcript rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Stamps {
    /// `10:42:57`.
    Seconds,
    /// `10:42:57.301`.
    Milliseconds,
    /// `+12.345`: the time since the connection began.
    SinceStart,
    /// `Δ0.003`: the time since the row before.
    SinceBefore,
    /// No time stamps.
    Off,
}

/// What happens to transcript rows that are longer than the pane is wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum LongRows {
    /// They are cut, with an ellipsis at the end.
    Cut,
    /// They continue in the next line.
    Wrapped,
}

/// The colours of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Palette {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// Bright on black, for eyes or screens that need it.
    HighContrast,
    /// No colours: only bold, dim and reverse.
    Plain,
}

impl Palette {
    /// All palettes, in the order in which the key steps through them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name in options and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::HighContrast => "high-contrast",
            Self::Plain => "none",
        }
    }
}

impl FromStr for Palette {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|palette| palette.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|palette| palette.name()).collect();
            let names = names.join(", ");
            format!("There is no theme {name}: there are {names}.")
        })
    }
}

/// Whether the program or the terminal gets the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The program: clicks select rows, the wheel scrolls.
    Captured,
    /// The terminal, which selects text with it.
    Free,
}

impl Stamps {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Seconds => "Time stamps: clock time.",
            Self::Milliseconds => "Time stamps: clock time with milliseconds.",
            Self::SinceStart => "Time stamps: seconds since the connection opened.",
            Self::SinceBefore => "Time stamps: seconds since the previous line.",
            Self::Off => "No time stamps.",
        }
    }
}
