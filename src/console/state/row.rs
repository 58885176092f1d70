//! A row of the transcript, as the screen keeps it.

use std::time::SystemTime;

use strum::VariantArray;

use crate::watch::event::{
    ConnectionName, Event, Kind, Passwords, Side, transcript_line, wire_line,
};
use crate::wire::display::DisplayText;

/// The form in which rows are shown. Copying, saving and searching always use the form that `-v`
/// prints without the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, VariantArray)]
pub enum Notation {
    /// As `-v` prints them without the console.
    #[default]
    Transcript,
    /// As they are on the wire, with line ends and marks where reads ended.
    Wire,
}

/// A row of the transcript.
#[derive(Debug, Clone)]
pub enum Row {
    /// An event of a connection.
    Event(Event),
    /// This many rows were dropped because they arrived faster than the screen could take them.
    Skipped(u64),
    /// Some lines of a message text that were not kept, because there were too many.
    TextLeftOut {
        /// The connection of the message text.
        connection: ConnectionName,
        /// The number of lines.
        lines: u64,
    },
}

impl Row {
    /// The approximate number of octets that the row takes in memory.
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

    /// The number of transcript lines that it stands for.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Skipped(lines) | Self::TextLeftOut { lines, .. } => *lines,
        }
    }

    /// The connection that it belongs to; `None` for skipped rows.
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

    /// The row as it is shown in this notation.
    #[must_use]
    pub fn shown(&self, notation: Notation, passwords: Passwords) -> DisplayText {
        match (notation, self) {
            (Notation::Wire, Self::Event(event)) => wire_line(event, passwords),
            _ => self.text(passwords),
        }
    }

    /// The row as `-v` prints it without the console.
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

    /// The side that sent the line; `None` if it is not a line.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match self {
            Self::Event(Event { kind: Kind::Line(side, _) | Kind::TextLine(side, _), .. }) => {
                Some(*side)
            }
            _ => None,
        }
    }

    /// Whether it is the first row of its connection.
    #[must_use]
    pub const fn is_start(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Opened { .. }, .. }))
    }

    /// Whether it is a line that the server sent.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Line(Side::Server, _), .. }))
    }

    /// Whether the server is expected to reply to it.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.side() == Some(Side::Client) || self.is_message() || self.is_start()
    }

    /// Whether it is the end of its connection.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Closed, .. }))
    }

    /// Whether it completes a message.
    #[must_use]
    pub const fn is_message(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Text { .. }, .. }))
    }

    /// Whether it is a line of message text.
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
