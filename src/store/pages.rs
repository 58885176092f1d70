//! Octets in memory that goes back to the system when they go. The allocator keeps what many long
//! texts had at once, for the texts to come.

use std::io;
use std::ops::Deref;

use memmap2::MmapMut;

/// Octets that are kept in ordinary memory: asking the system for pages costs more than a short
/// text.
const ORDINARY_MOST: usize = 16 * 1024;

/// Octets of the first pages that are asked for. Those that are never written to cost nothing.
const PAGES_FIRST: usize = 512 * 1024;

/// A string of octets that grows at its end.
#[derive(Debug, Default)]
pub struct Pages {
    ordinary: Vec<u8>,
    /// All octets, once they are too many for ordinary memory.
    mapped: Option<MmapMut>,
    length: usize,
}

impl Pages {
    /// Appends octets. An error if the system has no memory left.
    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        let length = self.length + octets.len();
        if length <= ORDINARY_MOST {
            self.ordinary.extend_from_slice(octets);
        } else {
            let mapped = self.room_for(length)?;
            if let Some(room) = mapped.get_mut(length - octets.len()..length) {
                room.copy_from_slice(octets);
            }
        }
        self.length = length;
        Ok(())
    }

    fn room_for(&mut self, length: usize) -> io::Result<&mut MmapMut> {
        let mapped = match self.mapped.take() {
            Some(mapped) if mapped.len() >= length => mapped,
            smaller => {
                let mut mapped = MmapMut::map_anon(PAGES_FIRST.max(2 * length))?;
                let before = smaller.as_deref().unwrap_or(&self.ordinary);
                let before = before.get(..self.length).unwrap_or_default();
                if let Some(room) = mapped.get_mut(..before.len()) {
                    room.copy_from_slice(before);
                }
                self.ordinary = Vec::new();
                mapped
            }
        };
        Ok(self.mapped.insert(mapped))
    }

    /// Octets of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        if self.mapped.is_some() { self.length } else { self.ordinary.capacity() }
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = self.mapped.as_deref().unwrap_or(&self.ordinary);
        all.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_pushed_however_much_that_is() {
        let mut pages = Pages::default();
        let mut expected = Vec::new();
        for nth in 0..=u8::MAX {
            let octets = vec![nth; usize::from(nth) * 31];
            pages.push(&octets).unwrap();
            expected.extend(octets);
            assert!(*pages == *expected, "piece {nth}");
        }
        pages.push(&vec![b'x'; PAGES_FIRST]).unwrap();
        expected.resize(expected.len() + PAGES_FIRST, b'x');
        assert!(*pages == *expected);
        assert!(pages.memory() >= expected.len());
    }
}
