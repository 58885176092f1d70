//! How the user wants the screen to look: time stamps, long rows, colours, the mouse.

use std::str::FromStr;

use strum::VariantArray;

/// How transcript rows show when they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Stamps {
    /// `10:42:57`.
    Seconds,
    /// `10:42:57.301`.
    Milliseconds,
    /// `+12.345`: since the connection began.
    SinceStart,
    /// `Δ0.003`: since the row before.
    SinceBefore,
    /// Not at all.
    Off,
}

/// What happens to transcript rows longer than the pane is wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum LongRows {
    /// An ellipsis stands for the rest.
    Cut,
    /// They go on in the next line.
    Wrapped,
}

/// Which colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Palette {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// Bright on black, for eyes or screens that need it.
    HighContrast,
    /// None: bold, dim and reverse only.
    Plain,
}

impl Palette {
    /// In the order in which the key goes through them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// What options and commands call it.
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

/// Who gets the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The program: clicks select, the wheel scrolls.
    Captured,
    /// The terminal: it selects text.
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
