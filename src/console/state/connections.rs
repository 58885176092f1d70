//! The actions on connections: which connection a key acts on, and the tiles.

use crate::console::action::{Direction, Pane};
use crate::console::state::State;
use crate::console::state::rows::ConnectionRow;
use crate::console::state::tiles::Tiles;
use crate::watch::event::ConnectionName;

impl State {
    /// Shows a tile for each of the newest connections, or goes back to the single transcript.
    pub(super) fn toggle_tiles(&mut self) {
        self.tiled = !self.tiled;
        if self.tiled {
            self.tiles = Tiles::default();
            self.transcript.narrow(None);
            self.focus_on(Pane::Transcript);
        }
    }

    /// Chooses the next or the previous tile.
    pub(super) fn other_tile(&mut self, direction: Direction) {
        if self.tiled {
            self.tiles.step(direction, self.connections.items());
        }
    }

    /// The connection whose tile is chosen.
    #[must_use]
    pub fn chosen_tile(&self) -> Option<&ConnectionRow> {
        self.tiles.chosen(self.connections.items()).filter(|_| self.tiled)
    }

    /// The connection that a key acts on: the selected one while the list of connections is
    /// focused; otherwise that of the chosen tile, or of the transcript's cursor, or the one to
    /// which the transcript is narrowed.
    pub(super) fn connection_at_hand(&self) -> Option<ConnectionName> {
        let selected = || self.connections.selected().map(|row| row.name);
        if self.focus == Pane::Connections {
            return selected();
        }
        if self.tiled {
            return self.chosen_tile().map(|row| row.name);
        }
        let cursor = self.transcript.cursor().and_then(|(_, row)| row.connection());
        cursor.or(self.transcript.ring().only()).or_else(selected)
    }
}
