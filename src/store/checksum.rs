//! Whether octets are what they were: checksums that cost little beside reading the octets, and
//! that nobody can forge. Knows no file.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use twox_hash::XxHash3_64;

/// Octets of the secret; XXH3 reads it in words of eight.
const SECRET: usize = 192;

/// What all checksums of this process depend on. Without it, whoever sends a message could make
/// another one that has the same checksum.
static KEY: LazyLock<Key> = LazyLock::new(Key::random);

struct Key {
    seed: u64,
    secret: [u8; SECRET],
}

impl Key {
    fn random() -> Self {
        // Its own key comes from the system, and its output tells nothing of it (SipHash).
        let random = RandomState::new();
        let mut secret = [0; SECRET];
        for (nth, word) in secret.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(nth).to_ne_bytes());
        }
        Self { seed: random.hash_one("seed"), secret }
    }
}

/// A checksum of lines of text. It means nothing to another process.
///
/// A last line that has no line end counts as one that has: whoever appends to the file gives it
/// one, and its message stays what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(u64);

impl Checksum {
    /// The checksum of octets that are there in one piece.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        match octets.last() {
            None | Some(b'\n') => {
                let Key { seed, secret } = &*KEY;
                // The other arm is for a secret that is too short, which this one is not.
                let sum = XxHash3_64::oneshot_with_seed_and_secret(*seed, secret, octets);
                Self(sum.unwrap_or_else(|_| XxHash3_64::oneshot_with_seed(*seed, octets)))
            }
            Some(_) => {
                let mut running = RunningChecksum::default();
                running.push(octets);
                running.finish()
            }
        }
    }

    /// A shorter one, where it is only to tell apart what hardly ever differs.
    #[must_use]
    pub const fn short(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }
}

/// The checksum of octets that pass in pieces.
#[derive(Clone)]
pub struct RunningChecksum {
    hasher: XxHash3_64,
    last: Option<u8>,
}

impl Default for RunningChecksum {
    fn default() -> Self {
        let Key { seed, secret } = &*KEY;
        let hasher = XxHash3_64::with_seed_and_secret(*seed, *secret);
        Self { hasher: hasher.unwrap_or_else(|_| XxHash3_64::with_seed(*seed)), last: None }
    }
}

impl RunningChecksum {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
        self.last = piece.last().copied().or(self.last);
    }

    /// The checksum of all pieces.
    #[must_use]
    pub fn finish(mut self) -> Checksum {
        if !matches!(self.last, None | Some(b'\n')) {
            self.hasher.write(b"\n");
        }
        Checksum(self.hasher.finish())
    }
}

impl std::fmt::Debug for RunningChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its state would tell the key.
        f.debug_struct("RunningChecksum").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_last_line_without_its_end_counts_as_one_with_it() {
        assert_eq!(Checksum::of(b"one\ntwo"), Checksum::of(b"one\ntwo\n"));
        assert_eq!(Checksum::of(b"one\r\ntwo\r"), Checksum::of(b"one\r\ntwo\r\n"));
        assert_ne!(Checksum::of(b"one\n"), Checksum::of(b"one\n\n"));
        assert_ne!(Checksum::of(b""), Checksum::of(b"\n"));
    }

    proptest! {
        #[test]
        fn pieces_have_the_checksum_of_the_whole(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..600),
            cut in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = text.split_at(cut.index(text.len() + 1));
            let mut running = RunningChecksum::default();
            running.push(head);
            running.push(tail);
            prop_assert_eq!(running.finish(), Checksum::of(&text));
        }

        #[test]
        fn a_changed_octet_changes_the_checksum(
            text in prop::collection::vec(any::<u8>(), 1..2_000),
            at in any::<prop::sample::Index>(),
            by in 1..=255_u8,
        ) {
            let mut other = text.clone();
            other[at.index(text.len())] ^= by;
            // The two spellings of a last line end are one.
            prop_assume!(!(text.ends_with(b"\n") ^ other.ends_with(b"\n")));
            prop_assert_ne!(Checksum::of(&text), Checksum::of(&other));
        }
    }
}
