//! Which connections have a tile, and which tile is chosen. The choice stays with a connection
//! while others come and go.

use std::cmp::Reverse;

use crate::console::action::Direction;
use crate::console::state::rows::ConnectionRow;

/// The most tiles; more would be too small to read.
pub const MOST: usize = 6;

/// Up to this number, tiles are filled up with closed connections, whose end is worth reading;
/// beyond it, tiles are only for open ones.
const WITH_CLOSED: usize = 4;

/// The tiles.
#[derive(Debug, Clone)]
pub struct Tiles {
    /// The id of the connection whose tile is chosen.
    chosen: Option<u64>,
    /// The number of tiles for which there is room.
    room: usize,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { chosen: None, room: MOST }
    }
}

impl Tiles {
    /// Sets the number of tiles. If the chosen connection is gone, none is chosen.
    pub fn fit(&mut self, room: usize, all: &[ConnectionRow]) {
        self.room = room.clamp(1, MOST);
        self.chosen = self.chosen(all).map(|row| row.name.id);
    }

    /// The connections that have a tile, oldest first: the newest open ones, then, up to four tiles
    /// in all, the newest closed ones. The chosen one always has a tile, however old it is.
    #[must_use]
    pub fn of<'a>(&self, all: &'a [ConnectionRow]) -> Vec<&'a ConnectionRow> {
        let rank = |row: &&ConnectionRow| {
            let is_chosen = self.chosen == Some(row.name.id);
            Reverse((is_chosen, row.closed.is_none(), row.name.id))
        };
        let mut ranked: Vec<_> = all.iter().collect();
        let open = all.iter().filter(|row| row.closed.is_none()).count();
        let most = self.room.min(open.max(WITH_CLOSED));
        if ranked.len() > most {
            ranked.select_nth_unstable_by_key(most, rank);
            ranked.truncate(most);
        }
        ranked.sort_unstable_by_key(|row| row.name.id);
        ranked
    }

    /// The connection whose tile is chosen; the newest one until the user chooses.
    #[must_use]
    pub fn chosen<'a>(&self, all: &'a [ConnectionRow]) -> Option<&'a ConnectionRow> {
        let chosen = all.iter().find(|row| self.chosen == Some(row.name.id));
        chosen.or_else(|| self.of(all).pop())
    }

    /// Chooses the n-th tile, if there is one.
    pub fn choose(&mut self, n: usize, all: &[ConnectionRow]) {
        if let Some(row) = self.of(all).get(n) {
            self.chosen = Some(row.name.id);
        }
    }

    /// Chooses the next or the previous tile; after the last comes the first.
    pub fn step(&mut self, direction: Direction, all: &[ConnectionRow]) {
        let shown = self.of(all);
        let chosen = self.chosen(all).map(|row| row.name.id);
        let place = shown.iter().position(|row| Some(row.name.id) == chosen).unwrap_or(0);
        let last = shown.len().saturating_sub(1);
        let next = match direction {
            Direction::Forward if place >= last => 0,
            Direction::Forward => place + 1,
            Direction::Backward => place.checked_sub(1).unwrap_or(last),
        };
        self.choose(next, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::console::action::{Action, Answer, Command};
    use crate::console::state::tests::{clock, connection, with_connections};
    use crate::watch::registry::ConnectionView;

    fn rows(open: &[u64], closed: &[u64]) -> Vec<ConnectionRow> {
        let now = clock().instant;
        let mut ids: Vec<u64> = open.iter().chain(closed).copied().collect();
        ids.sort_unstable();
        let view = |id| ConnectionView {
            closed: closed.contains(&id).then_some(now),
            ..connection(id, now)
        };
        ids.into_iter().map(|id| ConnectionRow::from(view(id))).collect()
    }

    fn ids(tiles: &Tiles, all: &[ConnectionRow]) -> Vec<u64> {
        tiles.of(all).iter().map(|row| row.name.id).collect()
    }

    #[test]
    fn the_newest_open_connections_have_the_tiles() {
        let mut tiles = Tiles::default();
        assert_eq!(ids(&tiles, &rows(&[1, 2, 3, 4, 5, 6, 7, 8], &[])), [3, 4, 5, 6, 7, 8]);
        tiles.fit(2, &[]);
        assert_eq!(ids(&tiles, &rows(&[1, 2, 3], &[4])), [2, 3]);
        assert_eq!(ids(&tiles, &rows(&[2], &[1, 3])), [2, 3]);
        assert!(ids(&tiles, &[]).is_empty());
    }

    #[test]
    fn tiles_are_chosen_in_turn() {
        let all = rows(&[1, 2, 3], &[]);
        let mut tiles = Tiles::default();
        let chosen = |tiles: &Tiles| tiles.chosen(&all).map(|row| row.name.id);
        assert_eq!(chosen(&tiles), Some(3));
        tiles.step(Direction::Forward, &all);
        assert_eq!(chosen(&tiles), Some(1));
        tiles.step(Direction::Backward, &all);
        assert_eq!(chosen(&tiles), Some(3));
        tiles.choose(1, &all);
        assert_eq!(chosen(&tiles), Some(2));
        tiles.choose(9, &all);
        assert_eq!(chosen(&tiles), Some(2));
        tiles.step(Direction::Forward, &[]);
    }

    #[test]
    fn the_first_choice_is_not_taken_over_by_a_newcomer() {
        let mut tiles = Tiles::default();
        tiles.fit(6, &rows(&[1, 2], &[]));
        let later = rows(&[1, 2, 3], &[]);
        tiles.fit(6, &later);
        assert_eq!(tiles.chosen(&later).map(|row| row.name.id), Some(2));
    }

    #[test]
    fn in_tiles_the_keys_of_a_connection_are_about_the_chosen_one() {
        let mut state = with_connections(3);
        state.update(Action::Tiles);
        state.update(Action::OtherTile(Direction::Backward));
        state.update(Action::CloseConnection);
        assert_eq!(state.update(Action::Answer(Answer::Yes)), Some(Command::Close(2)));
        state.update(Action::OnlyThis);
        assert_eq!(state.transcript.ring().only().map(|name| name.id), Some(2));
        assert!(!state.tiled);
    }

    #[test]
    fn without_tiles_no_tile_is_chosen() {
        let mut state = with_connections(3);
        state.update(Action::OtherTile(Direction::Backward));
        assert!(state.chosen_tile().is_none());
    }

    proptest! {
        #[test]
        fn the_chosen_tile_stays_the_same_connection_while_it_is_listed(
            lists in prop::collection::vec(
                (prop::collection::btree_set(1..30_u64, 0..20), 1..8_usize), 1..20,
            ),
        ) {
            let mut tiles = Tiles::default();
            let mut before = None;
            for (open, room) in lists {
                let open: Vec<u64> = open.into_iter().collect();
                let all = rows(&open, &[]);
                tiles.fit(room, &all);
                let chosen = tiles.chosen(&all).map(|row| row.name.id);
                if before.is_some_and(|before| open.contains(&before)) {
                    prop_assert_eq!(chosen, before);
                }
                prop_assert!(chosen.is_none_or(|id| ids(&tiles, &all).contains(&id)));
                prop_assert_eq!(chosen.is_none(), all.is_empty());
                before = chosen;
            }
        }
    }
}
