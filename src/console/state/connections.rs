//! Which connection a key is about, and the tiles.

use crate::console::action::{Direction, Pane};
use crate::console::state::State;
use crate::console::state::rows::ConnectionRow;
use crate::console::state::tiles::Tiles;
use crate::watch::event::ConnectionName;

impl State {
    /// Gives the newest connections a tile each, or takes the tiles back.
    pub(super) fn toggle_tiles(&mut self) {
        self.tiled = !self.tiled;
        if self.tiled {
            self.tiles = Tiles::default();
            self.transcript.narrow(None);
            self.focus_on(Pane::Transcript);
        }
    }

    /// Chooses another tile.
    pub(super) fn other_tile(&mut self, direction: Direction) {
        if self.tiled {
            self.tiles.step(direction, self.connections.items());
        }
    }

    /// The connection whose tile keys are for.
    #[must_use]
    pub fn chosen_tile(&self) -> Option<&ConnectionRow> {
        self.tiles.chosen(self.connections.items()).filter(|_| self.tiled)
    }

    /// The connection that a key means which is about a whole one: in its list the selected one;
    /// elsewhere that of the tile, or of the transcript's cursor, or the one it is narrowed to.
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
