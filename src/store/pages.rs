//! Octets in memory that goes back to the system when they go. The allocator keeps what many long
//! texts had at once, for the texts to come.

use std::io;
use std::ops::Deref;

use memmap2::MmapMut;

/// Octets that are kept in ordinary memory: asking the system for pages costs more than a short
/// text.
const ORDINARY_MOST: usize = 16 * 1024;

/// Octets of the first pages that are asked for: with what is received at once, as much as a text
/// keeps in memory. Those that are never written to cost nothing.
const PAGES_FIRST: usize = 2 * 1024 * 1024 + 256 * 1024;

/// A string of octets that grows at its end.
#[derive(Debug, Default)]
pub struct Pages {
    ordinary: Vec<u8>,
    /// All octets, once they are too many for ordinary memory.
    mapped: Option<Mapping>,
    length: usize,
}

/// Pages of the system.
#[derive(Debug)]
pub struct Mapping {
    octets: MmapMut,
    /// How many of them have ever been written to: only these take memory.
    touched: usize,
}

impl Mapping {
    fn new(octets: usize) -> io::Result<Self> {
        Ok(Self { octets: MmapMut::map_anon(octets)?, touched: 0 })
    }

    /// Octets of memory that it takes.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.touched
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        let end = at + octets.len();
        if let Some(room) = self.octets.get_mut(at..end) {
            room.copy_from_slice(octets);
        }
        self.touched = self.touched.max(end);
    }
}

impl Pages {
    /// Appends octets. Where pages are needed, `spare` ones are taken if there are any. An error if
    /// the system has no memory left.
    pub fn push(
        &mut self,
        octets: &[u8],
        spare: impl FnOnce() -> Option<Mapping>,
    ) -> io::Result<()> {
        let length = self.length + octets.len();
        if self.mapped.is_none() && length <= ORDINARY_MOST {
            self.ordinary.extend_from_slice(octets);
        } else {
            let at = self.length;
            self.room_for(length, spare)?.put(at, octets);
        }
        self.length = length;
        Ok(())
    }

    fn room_for(
        &mut self,
        length: usize,
        spare: impl FnOnce() -> Option<Mapping>,
    ) -> io::Result<&mut Mapping> {
        let has_room = |mapping: &Mapping| mapping.octets.len() >= length;
        let mapped = match self.mapped.take() {
            Some(mapped) if has_room(&mapped) => mapped,
            smaller => {
                let spare = if smaller.is_none() { spare().filter(has_room) } else { None };
                let mut mapped =
                    spare.map_or_else(|| Mapping::new(PAGES_FIRST.max(2 * length)), Ok)?;
                let before = smaller.as_ref().map_or(&*self.ordinary, |smaller| &smaller.octets);
                mapped.put(0, before.get(..self.length).unwrap_or_default());
                self.ordinary = Vec::new();
                mapped
            }
        };
        Ok(self.mapped.insert(mapped))
    }

    /// Forgets the octets, and keeps their memory for others.
    pub fn clear(&mut self) {
        self.ordinary.clear();
        self.length = 0;
    }

    /// The pages, for others. None if they are larger than most need.
    #[must_use]
    pub fn into_mapping(self) -> Option<Mapping> {
        self.mapped.filter(|mapped| mapped.octets.len() == PAGES_FIRST)
    }

    /// Octets of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.mapped.as_ref().map_or(self.ordinary.capacity(), Mapping::memory)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = self.mapped.as_ref().map_or(&*self.ordinary, |mapped| &mapped.octets);
        all.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_pushed_however_much_that_is() {
        let mut pages = Pages::default();
        for turn in 0..2 {
            let mut expected = Vec::new();
            for nth in 0..=u8::MAX {
                let octets = vec![nth; usize::from(nth) * 31];
                pages.push(&octets, || None).unwrap();
                expected.extend(octets);
                assert!(*pages == *expected, "piece {nth}, turn {turn}");
            }
            pages.push(&vec![b'x'; PAGES_FIRST], || None).unwrap();
            expected.resize(expected.len() + PAGES_FIRST, b'x');
            assert!(*pages == *expected);
            assert!(pages.memory() >= expected.len());
            pages.clear();
            assert!(pages.is_empty() && pages.memory() >= expected.len());
        }
    }

    #[test]
    fn spare_pages_are_taken_and_counted_as_what_they_take() {
        let mut first = Pages::default();
        first.push(&vec![b'x'; 1_000_000], || None).unwrap();
        let mut second = Pages::default();
        let octets = vec![b'y'; ORDINARY_MOST + 1];
        second.push(&octets, || first.into_mapping()).unwrap();
        assert!(*second == *octets);
        assert_eq!(second.memory(), 1_000_000);
    }
}
