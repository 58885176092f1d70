//! Tells a torn message of ours at the end of a mailbox from what another program wrote after it.
//! Does no I/O.
//!
//! When in doubt, nothing is ours: only what is certain is cut off.

use std::iter;
use std::ops::Range;

use memchr::memmem;

use crate::store::mbox;
use crate::store::text::{BLOCK, Blocks};

/// Line ends that another program may put between a torn message and its own From_ line.
const SEPARATION_MOST: usize = 2;

/// Octets of a disk sector, which is written as a whole or not at all.
const SECTOR: usize = 512;

/// A sector that did not reach the disk ends with these octets. A text that really contains them
/// there is taken for torn only if its checksum does not match.
const LOST: &[u8] = &[0; 4];

/// Number of octets at the beginning of `tail` that are ours; the rest is what another program
/// appended. `known` was to be written there, or is the beginning of it. `None` if something else
/// is there: the file has been rewritten since.
///
/// `is_ours` tells whether one of our From_ lines was to be written at an offset of `tail`.
pub fn ours(tail: &[u8], known: &[u8], is_ours: impl Fn(usize) -> bool) -> Option<usize> {
    // A page that never reached the disk reads as zeros.
    let agrees = |(ours, there): &(&u8, &u8)| ours == there || **there == 0;
    let alike = known.iter().zip(tail).take_while(agrees).count();
    let is_foreign = |at: &usize| !is_ours(*at);
    if alike == tail.len() {
        Some(alike)
    } else if alike < known.len() {
        from_line_across(tail, alike, is_foreign)
    } else {
        Some(from_lines(tail, alike).find(is_foreign).unwrap_or(tail.len()))
    }
}

/// As [`ours`], for a long message, of whose text only the length and checksums are known. `None`
/// also if the message is whole. `tail` begins at `start` in the file.
#[must_use]
pub fn ours_of_summed(
    tail: &[u8],
    start: u64,
    (head, octets, blocks): (&[u8], u64, &Blocks),
) -> Option<usize> {
    let in_sector = usize::try_from(start % SECTOR as u64).unwrap_or(0);
    // A page that never reached the disk reads as zeros.
    let agrees = |(ours, there): (&u8, &u8)| ours == there || *there == 0;
    let Some((there, text)) =
        tail.split_at_checked(head.len()).filter(|(there, _)| head.iter().zip(*there).all(agrees))
    else {
        return ours(tail, head, |at| head.get(at..).is_some_and(|h| h.starts_with(mbox::FROM)))
            .filter(|&octets| octets <= head.len());
    };
    let octets = usize::try_from(octets).ok()?;
    let mut is_torn = there != head;
    for (nth, checksum) in blocks.checksums().iter().enumerate() {
        let start = nth * BLOCK;
        let length = BLOCK.min(octets.checked_sub(start)?);
        let there = text.get(start..).unwrap_or_default();
        let block = there.get(..length.min(there.len())).unwrap_or_default();
        if block.len() == length {
            let is_whole = crc32fast::hash(block) == *checksum;
            if is_whole || lacks_a_sector(block, in_sector + head.len() + start) {
                // A lost sector explains a wrong checksum, so the block is ours all the same.
                is_torn |= !is_whole;
                continue;
            }
        }
        let foreign = all_from_lines(there).map(|line| line.start);
        let foreign = foreign.take_while(|&at| at <= block.len()).find(|&at| !is_quoted(there, at));
        let ends_within = block.len() < length;
        return foreign.or(ends_within.then_some(block.len())).map(|at| head.len() + start + at);
    }
    let end = head.len() + octets;
    match tail.get(end) {
        Some(b'\n') => is_torn.then_some(end + 1),
        // The LF after the text never reached the disk.
        Some(0) => Some(end + 1),
        Some(_) => from_lines(tail, end).next().filter(|&at| at == end),
        None => Some(end.min(tail.len())),
    }
}

/// Whether what looks like a From_ line at `at` is quoted, as in our own messages: it then follows
/// one or more `>` at the beginning of a line.
fn is_quoted(octets: &[u8], at: usize) -> bool {
    let before = octets.get(..at).unwrap_or_default();
    let marks = before.iter().rev().take_while(|&&octet| octet == b'>').count();
    let line = before.get(..before.len() - marks).unwrap_or_default();
    marks > 0 && line.last().is_none_or(|&octet| octet == b'\n')
}

/// Whether a sector of the block never reached the disk, or only in an older state: it then ends in
/// zeros. The block begins at `at`, counted from the beginning of a sector.
fn lacks_a_sector(block: &[u8], at: usize) -> bool {
    let first = (SECTOR - at % SECTOR).min(block.len());
    let (first, others) = block.split_at(first);
    let mut sectors = iter::once(first).chain(others.chunks(SECTOR));
    sectors.any(|sector| sector.ends_with(LOST.get(..sector.len().min(LOST.len())).unwrap_or(LOST)))
}

/// From_ lines at or after `from`: at the beginning of a line, or exactly at `from`, where another
/// program may have written right after our torn piece.
fn from_lines(tail: &[u8], from: usize) -> impl Iterator<Item = usize> {
    all_from_lines(tail)
        .map(|line| line.start)
        .filter(move |&at| at == from || (at > from && tail.get(at - 1) == Some(&b'\n')))
}

/// The From_ line at which a file stops being what we know. It may have begun a little earlier,
/// since a few of its octets may equal ours by chance. If our own text is cut off within something
/// that looks like a From_ line, the foreign one is the last.
fn from_line_across(
    tail: &[u8],
    alike: usize,
    is_foreign: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let separates = |range: Range<usize>| {
        let between = tail.get(range).unwrap_or_default();
        between.len() <= SEPARATION_MOST && between.iter().all(|byte| b"\r\n".contains(byte))
    };
    let across = all_from_lines(tail).filter(|line| line.end > alike).map(|line| line.start);
    let near = across.filter(is_foreign).take_while(|&at| at <= alike + SEPARATION_MOST);
    near.filter(|&at| at <= alike || separates(alike..at)).last()
}

/// Everything that could be a From_ line, even in the middle of a line.
fn all_from_lines(tail: &[u8]) -> impl Iterator<Item = Range<usize>> {
    memmem::find_iter(tail, mbox::FROM).filter_map(|at| {
        let line = tail.get(at..).unwrap_or_default();
        let line = memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line);
        mbox::is_from_line(line).then_some(at..at + line.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"From <a@b> Wed Sep 17 11:00:00 2025\n";
    const FOREIGN: &[u8] = b"From f Wed Sep 17 11:00:02 2025\nforeign\n\n";

    fn text() -> Vec<u8> {
        (0..BLOCK * 3 + 500).map(|at| b"abcdefghijklmnopqrstuvwxyz\n"[at % 27]).collect()
    }

    fn blocks(text: &[u8]) -> Blocks {
        Blocks::of_checksums(text.chunks(BLOCK).map(crc32fast::hash).collect())
    }

    fn of(tail: &[u8]) -> Option<usize> {
        let text = text();
        ours_of_summed(tail, 0, (HEAD, text.len() as u64, &blocks(&text)))
    }

    fn whole() -> Vec<u8> {
        [HEAD, &text(), b"\n"].concat()
    }

    #[test]
    fn a_line_that_is_cut_off_and_looks_like_a_from_line_is_ours() {
        for known in ["q\n>From a Wed Sep 17 11:00:00 2025\n", "see From a Wed Sep 17 11:00 2025\n"]
        {
            for end in known.len() - 9..known.len() {
                let there = [&known.as_bytes()[..end], FOREIGN].concat();
                assert_eq!(ours(&there, known.as_bytes(), |_| false), Some(end));
            }
        }
    }

    #[test]
    fn a_long_message_that_is_whole_is_not_torn_whatever_follows() {
        assert_eq!(of(&whole()), None);
        assert_eq!(of(&[&whole(), FOREIGN].concat()), None);
    }

    #[test]
    fn a_long_message_that_ends_early_is_torn_there() {
        for end in [5, HEAD.len(), HEAD.len() + 10, HEAD.len() + BLOCK, whole().len() - 1] {
            let torn = &whole()[..end];
            assert_eq!(of(torn), Some(end), "{end}");
            for between in [&b""[..], b"\n\n"] {
                let glued = [torn, between, FOREIGN].concat();
                // The missing line end may have been added by another program.
                let at = of(&glued).unwrap_or(whole().len());
                assert!((end..=end + between.len()).contains(&at), "{at} of {end}");
                assert!(glued[at..].ends_with(FOREIGN));
            }
        }
    }

    #[test]
    fn pages_of_a_long_message_that_never_reached_the_disk_are_torn() {
        let mut there = whole();
        there[HEAD.len() + BLOCK..HEAD.len() + 2 * BLOCK].fill(0);
        assert_eq!(of(&there), Some(there.len()));
        assert_eq!(of(&[&there, FOREIGN].concat()), Some(there.len()));
    }

    #[test]
    fn sectors_of_a_long_message_that_never_reached_the_disk_are_torn() {
        for lost in
            [0..600, 1_000..2_048, BLOCK..BLOCK + 700, BLOCK + 900..SECTOR * 384, 700..1_024]
        {
            let mut there = whole();
            there[lost.clone()].fill(0);
            assert_eq!(of(&there), Some(there.len()), "{lost:?}");
        }
    }

    #[test]
    fn a_long_message_of_which_only_the_size_reached_the_disk_is_torn() {
        for whole_until in [0, 1, HEAD.len(), BLOCK, whole().len() - 1] {
            let mut there = whole();
            there[whole_until..].fill(0);
            assert_eq!(of(&there), Some(there.len()), "{whole_until}");
            assert_eq!(of(&[&there, FOREIGN].concat()), Some(there.len()), "{whole_until}");
        }
    }

    #[test]
    fn a_quoted_line_of_a_long_message_is_not_what_another_program_wrote() {
        let mut text = text();
        let quoted = b"\n>>From f Wed Sep 17 11:00:02 2025\n";
        text[5_000..5_000 + quoted.len()].copy_from_slice(quoted);
        let blocks = blocks(&text);
        for between in [&b""[..], b"\n"] {
            let torn = [HEAD, &text[..9_000]].concat();
            let there = [&torn, between, FOREIGN].concat();
            let ours = ours_of_summed(&there, 0, (HEAD, text.len() as u64, &blocks));
            assert_eq!(ours, Some(torn.len() + between.len()));
        }
    }

    #[test]
    fn a_long_message_that_another_program_has_marked_is_not_torn() {
        let marked = [HEAD, b"Status: RO\n", &text(), b"\n"].concat();
        assert_eq!(of(&marked), None);
        assert_eq!(of(&[&marked, FOREIGN].concat()), None);
    }
}
