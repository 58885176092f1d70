//! A row of the transcript, as the screen keeps it.

use std::time::SystemTime;

use strum::VariantArray;

use crate::watch::event::{
    ConnectionName, Event, Kind, Passwords, Side, transcript_line, wire_line,
};
use crate::wire::display::DisplayText;

/// How rows are written on the screen. They are copied, saved and looked for as headless `-v`
/// prints them, whatever is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, VariantArray)]
pub enum Notation {
    /// As headless `-v` prints them.
    #[default]
    Transcript,
    /// With their line ends, and with where reads ended.
    Wire,
}

/// A row of the transcript.
#[derive(Debug, Clone)]
pub enum Row {
    /// Something that happened on a connection.
    Event(Event),
    /// So many rows came faster than the screen could take them.
    Skipped(u64),
    /// So many lines of one message text were not kept.
    TextLeftOut {
        /// Where the text went.
        connection: ConnectionName,
        /// How many.
        lines: u64,
    },
}

impl Row {
    /// Octets that the row takes in memory, about.
    #[must_use]
    pub fn octets(&self) -> usize {
        let payload = match self {
            Self::Event(event) => match &event.kind {
                Kind::Line(_, line) | Kind::TextLine(_, line) => line.octets_kept(),
                Kind::Note(note) => note.len(),
                Kind::Opened { .. } | Kind::Text { .. } | Kind::Closed => 0,
            },
            Self::Skipped(_) | Self::TextLeftOut { .. } => 0,
        };
        size_of::<Self>() + payload
    }

    /// How many transcript lines it stands for.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Skipped(lines) | Self::TextLeftOut { lines, .. } => *lines,
        }
    }

    /// The connection it is about.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionName> {
        match self {
            Self::Event(event) => Some(event.connection),
            Self::TextLeftOut { connection, .. } => Some(*connection),
            Self::Skipped(_) => None,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Option<SystemTime> {
        match self {
            Self::Event(event) => Some(event.at),
            Self::Skipped(_) | Self::TextLeftOut { .. } => None,
        }
    }

    /// The row as it is shown.
    #[must_use]
    pub fn shown(&self, notation: Notation, passwords: Passwords) -> DisplayText {
        match (notation, self) {
            (Notation::Wire, Self::Event(event)) => wire_line(event, passwords),
            _ => self.text(passwords),
        }
    }

    /// The row as headless `-v` would print it.
    #[must_use]
    pub fn text(&self, passwords: Passwords) -> DisplayText {
        match self {
            Self::Event(event) => transcript_line(event, passwords),
            Self::Skipped(lines) => DisplayText::already_safe(format!("… {lines} lines skipped …")),
            Self::TextLeftOut { connection, lines } => DisplayText::already_safe(format!(
                "[{}] .. {lines} more lines of message text",
                connection.number
            )),
        }
    }

    /// Who says it, if it is a line.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match self {
            Self::Event(Event { kind: Kind::Line(side, _) | Kind::TextLine(side, _), .. }) => {
                Some(*side)
            }
            _ => None,
        }
    }

    /// Whether its connection begins with it.
    #[must_use]
    pub const fn is_start(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Opened { .. }, .. }))
    }

    /// Whether it is a line of the server's.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Line(Side::Server, _), .. }))
    }

    /// Whether a server is expected to reply to it.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.side() == Some(Side::Client) || self.is_message() || self.is_start()
    }

    /// Whether its connection has ended with it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Closed, .. }))
    }

    /// Whether a message has ended here.
    #[must_use]
    pub const fn is_message(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Text { .. }, .. }))
    }

    /// Whether it is part of a message text.
    #[must_use]
    pub const fn is_body(&self) -> bool {
        matches!(
            self,
            Self::TextLeftOut { .. } | Self::Event(Event { kind: Kind::TextLine(..), .. })
        )
    }
}

impl From<Event> for Row {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
