//! Checksums that tell whether octets have changed. They cost little compared with reading the
//! octets, and a sender cannot forge them. Does no I/O. XXH3 with a secret key costs a tenth of
//! what finding the messages does; `SipHash` and the provably secure keyed hashes cost as much as
//! that or more.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use twox_hash::XxHash3_64;

/// Octets of the secret, which XXH3 reads in words of eight.
const SECRET: usize = 192;

/// The key of all checksums of this process. Without it, a sender could construct two messages with
/// the same checksum.
static KEY: LazyLock<Key> = LazyLock::new(Key::random);

struct Key {
    seed: u64,
    secret: [u8; SECRET],
}

impl Key {
    fn random() -> Self {
        // RandomState gets its key from the system, and its output (SipHash) does not reveal it.
        let random = RandomState::new();
        let mut secret = [0; SECRET];
        for (nth, word) in secret.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(nth).to_ne_bytes());
        }
        Self { seed: random.hash_one("seed"), secret }
    }
}

/// A keyed checksum of lines of text. It is meaningful only within this process.
///
/// A last line without a line end has the checksum it would have with one: a program that appends
/// to the file adds the line end, and the message stays what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(u64);

impl Checksum {
    /// The checksum of octets that are available in one piece.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        match octets.last() {
            None | Some(b'\n') => {
                let Key { seed, secret } = &*KEY;
                // The fallback is for a secret that is too short, which this one is not.
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

    /// Half of the checksum, for telling apart things that rarely differ.
    #[must_use]
    pub const fn short(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }
}

/// Computes the checksum of octets that pass in pieces.
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
        // Its state would reveal the key.
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
            // With and without a final line end, the text counts as the same.
            prop_assume!(!(text.ends_with(b"\n") ^ other.ends_with(b"\n")));
            prop_assert_ne!(Checksum::of(&text), Checksum::of(&other));
        }
    }
}
