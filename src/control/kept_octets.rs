//! Octets that are kept in the order in which they come, and forgotten in the same order: what the
//! events of a log consist of. They lie in blocks, so that neither keeping nor forgetting moves any.

use std::collections::VecDeque;

/// Octets of a block; what is longer has one of its own.
const BLOCK: usize = 64 * 1024;

/// The blocks.
#[derive(Debug, Default)]
pub struct KeptOctets {
    blocks: VecDeque<Vec<u8>>,
    /// The number of the first block, counted from the first there ever was.
    first: u64,
    /// Octets in all blocks.
    octets: usize,
    /// A block that is empty again.
    spare: Vec<u8>,
}

/// Where something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    block: u64,
    from: u32,
    octets: u32,
}

impl KeptOctets {
    /// Keeps octets, all of which `write` appends; there are `octets` of them, at most 4 GiB.
    pub fn keep(&mut self, octets: usize, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        if self.blocks.back().is_none_or(|block| block.len() + octets > BLOCK) {
            let mut block = std::mem::take(&mut self.spare);
            block.reserve(octets.max(BLOCK));
            self.blocks.push_back(block);
        }
        let number = self.first + self.blocks.len() as u64 - 1;
        let Some(block) = self.blocks.back_mut() else {
            return Place { block: number, from: 0, octets: 0 };
        };
        let from = block.len();
        write(block);
        let octets = block.len() - from;
        self.octets += octets;
        let short = |octets| u32::try_from(octets).unwrap_or(u32::MAX);
        Place { block: number, from: short(from), octets: short(octets) }
    }

    /// What is kept there; nothing if it is forgotten.
    #[must_use]
    pub fn at(&self, Place { block, from, octets }: Place) -> &[u8] {
        let kept = || {
            let block = self.blocks.get(usize::try_from(block.checked_sub(self.first)?).ok()?)?;
            let from = usize::try_from(from).ok()?;
            block.get(from..from + usize::try_from(octets).ok()?)
        };
        kept().unwrap_or_default()
    }

    /// Allows it to forget what was kept before this. It forgets whole blocks.
    pub fn forget_before(&mut self, place: Place) {
        while self.first < place.block
            && let Some(mut block) = self.blocks.pop_front()
        {
            self.first += 1;
            self.octets -= block.len();
            block.clear();
            self.spare = block;
        }
    }

    /// Octets that it keeps.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(kept: &mut KeptOctets, octets: &[u8]) -> Place {
        kept.keep(octets.len(), |block| block.extend_from_slice(octets))
    }

    #[test]
    fn what_is_kept_is_there_until_what_comes_later_is_the_oldest() {
        let mut kept = KeptOctets::default();
        let pieces: Vec<Vec<u8>> = (0..200).map(|n| vec![n; 1_000 * usize::from(n)]).collect();
        let places: Vec<Place> = pieces.iter().map(|piece| keep(&mut kept, piece)).collect();
        let all: usize = pieces.iter().map(Vec::len).sum();
        assert_eq!(kept.octets(), all);
        for (nth, place) in places.iter().enumerate() {
            kept.forget_before(*place);
            for (piece, place) in pieces.iter().zip(&places).skip(nth) {
                assert!(kept.at(*place) == piece);
            }
        }
        assert_eq!(kept.at(places[1]), b"", "forgotten");
        assert_eq!(kept.octets(), 199_000);
    }

    #[test]
    fn it_has_as_many_blocks_as_it_needs() {
        let mut kept = KeptOctets::default();
        for _ in 0..1_000 {
            let place = keep(&mut kept, &[0; 1_000]);
            kept.forget_before(place);
            assert!(kept.blocks.len() <= 1 && kept.octets() <= BLOCK);
        }
    }
}
