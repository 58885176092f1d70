//! A growing string of octets whose memory goes back to the system when it is dropped. The
//! allocator would keep what many long texts needed at once. (Measured: 92 MB long after a load of
//! 2,000 texts.)

use std::io;
use std::ops::Deref;

use memmap2::MmapMut;

/// Octets kept on the heap: asking the system for pages costs more than a short text.
const ORDINARY_MOST: usize = 16 * 1024;

/// Octets of the first mapping: as much as a text may keep in memory, plus what is received at
/// once. Pages that are never written to cost nothing.
const PAGES_FIRST: usize = 2 * 1024 * 1024 + 256 * 1024;

/// A string of octets that grows at its end.
#[derive(Debug, Default)]
pub struct Pages {
    ordinary: Vec<u8>,
    /// All octets, once they are too many for the heap.
    mapped: Option<Mapping>,
    length: usize,
}

/// Anonymous memory pages of the system.
#[derive(Debug)]
pub struct Mapping {
    octets: MmapMut,
    /// Octets that have ever been written to: only these take memory.
    touched: usize,
}

impl Mapping {
    fn new(octets: usize) -> io::Result<Self> {
        Ok(Self { octets: MmapMut::map_anon(octets)?, touched: 0 })
    }

    /// Octets of memory it takes.
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
    /// Appends octets. If pages are needed, those of `spare` are used if there are any.
    ///
    /// # Errors
    ///
    /// If the system has no memory left.
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
                // Spare pages have the size of a first mapping, so they cannot serve for growing.
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

    /// Removes the octets and keeps their memory for the next ones.
    pub fn clear(&mut self) {
        self.ordinary.clear();
        self.length = 0;
    }

    /// The pages, for another text; `None` if there are none, or more than most texts need.
    #[must_use]
    pub fn into_mapping(self) -> Option<Mapping> {
        self.mapped.filter(|mapped| mapped.octets.len() == PAGES_FIRST)
    }

    /// Octets of memory it takes.
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
