//! Finds the messages of an earlier state of a mailbox in its present state: by their places if the
//! mailbox has not been changed, otherwise by their content.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::Hash;
use std::iter;

use crate::store::index::{Index, Message, ReadError};

/// A mailbox at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Mailbox<'a> {
    /// Where each message was.
    pub index: &'a Index,
    /// The open file.
    pub file: &'a File,
}

/// For each message of `now`, whether it is one of those at the places `wanted` of `before`. `None`
/// if that cannot be told.
///
/// If another program has rewritten the mailbox, the messages are searched for in its present
/// state: first with their From_ lines, then by their texts alone, then by their unique-ids, for
/// which line ends make no difference. `matching` describes what happens to those that are not
/// found.
pub fn find(
    before: Mailbox<'_>,
    wanted: &[usize],
    now: Mailbox<'_>,
) -> Result<Option<Vec<bool>>, ReadError> {
    if wanted.iter().any(|&place| place >= before.index.messages.len()) {
        return Err(ReadError::Missing);
    }
    // At most new messages have been added at the end: the places are the same.
    if now.index.continues(before.index) {
        let mut matched = vec![false; now.index.messages.len()];
        for &place in wanted {
            *matched.get_mut(place).ok_or(ReadError::Missing)? = true;
        }
        return Ok(Some(matched));
    }
    let by_entry = by(Message::entry, before, wanted, now);
    let matched = by_entry.or_else(|| by(Message::content, before, wanted, now));
    if matched.is_some() || !may_be_there(before, wanted, now) {
        return Ok(matched);
    }
    match before.index.unique_ids(before.file) {
        Ok(ids) => Ok(matching(&ids, wanted, &now.index.unique_ids(now.file)?)),
        // The old texts are gone, so that they cannot be compared.
        Err(ReadError::Changed) => Ok(None),
        Err(error) => Err(error),
    }
}

fn by<K: Eq + Hash>(
    key: impl Fn(&Message) -> K,
    before: Mailbox<'_>,
    wanted: &[usize],
    now: Mailbox<'_>,
) -> Option<Vec<bool>> {
    let keys = |mailbox: Mailbox<'_>| mailbox.index.messages.iter().map(&key).collect::<Vec<_>>();
    matching(&keys(before), wanted, &keys(now))
}

/// Whether there are messages with the lengths of all wanted ones, so that it is worth reading
/// them.
fn may_be_there(before: Mailbox<'_>, wanted: &[usize], now: Mailbox<'_>) -> bool {
    let lengths: HashSet<u64> = now.index.messages.iter().map(|one| one.span.octets).collect();
    let before = &before.index.messages;
    wanted
        .iter()
        .filter_map(|&place| before.get(place))
        .all(|message| lengths.contains(&message.span.octets))
}

/// The same for messages identified by `keys`: equal keys mean equal messages.
///
/// A wanted message that is not found has been removed by another program, or changed. It was
/// certainly removed if nothing new is between its neighbours: programs that change a message (to
/// mark it as read, for example) leave it in its place, and new mail is at the end. If something
/// new is there, or the order of the messages has changed and anything is new, it cannot be told.
///
/// Of equal messages, as many are kept as were not wanted: if fewer are left, the wanted ones are
/// gone.
fn matching<K: Eq + Hash>(before: &[K], wanted: &[usize], now: &[K]) -> Option<Vec<bool>> {
    let mut is_wanted = vec![false; before.len()];
    for &place in wanted {
        *is_wanted.get_mut(place)? = true;
    }
    let places = places(before, &is_wanted, now);
    let mut matched = vec![false; now.len()];
    for (place, _) in iter::zip(&places, &is_wanted).filter(|(_, is_wanted)| **is_wanted) {
        if let Some(place) = place {
            *matched.get_mut(*place)? = true;
        }
    }
    can_be_told(&places, &is_wanted, now.len()).then_some(matched)
}

/// The present place of each message, if it is still there; equal ones in order.
fn places<K: Eq + Hash>(before: &[K], is_wanted: &[bool], now: &[K]) -> Vec<Option<usize>> {
    let mut equal: HashMap<&K, Equal> = HashMap::new();
    for (place, key) in now.iter().enumerate() {
        equal.entry(key).or_default().now.push(place);
    }
    for key in before {
        equal.entry(key).or_default().before += 1;
    }
    let mut place = |(key, &is_wanted): (&K, &bool)| {
        let equal = equal.get_mut(key)?;
        // Fewer are left than there were: the wanted ones are taken to be gone.
        if is_wanted && equal.before > equal.now.len() {
            equal.before -= 1;
            return None;
        }
        equal.given += 1;
        equal.now.get(equal.given - 1).copied()
    };
    iter::zip(before, is_wanted).map(&mut place).collect()
}

/// Messages with the same key.
#[derive(Default)]
struct Equal {
    /// Number of these messages before, without those known to be gone.
    before: usize,
    /// Their present places.
    now: Vec<usize>,
    /// Number of these places assigned so far.
    given: usize,
}

/// Whether it is certain that the wanted messages without a place have been removed.
fn can_be_told(places: &[Option<usize>], is_wanted: &[bool], messages_now: usize) -> bool {
    let found = || places.iter().copied().flatten();
    let is_in_order = found().is_sorted();
    let new = messages_now - found().count();
    // Nothing was added or changed, so the missing messages were removed.
    if new == 0 {
        return true;
    }
    // The place after the last message found, and whether a wanted message is missing since.
    let (mut behind, mut is_missing) = (0, false);
    for (place, is_wanted) in iter::zip(places, is_wanted) {
        match place {
            None => is_missing |= is_wanted,
            Some(_) if is_missing && !is_in_order => return false,
            Some(place) if is_missing && *place > behind => return false,
            Some(place) => (behind, is_missing) = (place + 1, false),
        }
    }
    !is_missing || (is_in_order && behind == messages_now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What remains of `now` without the messages that `before` has at `wanted`.
    fn left(before: &str, wanted: &[usize], now: &str) -> Option<String> {
        let (before, now): (Vec<char>, Vec<char>) =
            (before.chars().collect(), now.chars().collect());
        let matched = matching(&before, wanted, &now)?;
        Some(iter::zip(now, matched).filter(|(_, matched)| !matched).map(|(one, _)| one).collect())
    }

    #[test]
    fn what_has_moved_is_found() {
        assert_eq!(left("abc", &[0, 2], "abc").as_deref(), Some("b"));
        assert_eq!(left("abc", &[0], "xyabc").as_deref(), Some("xybc"));
        assert_eq!(left("abc", &[0, 1], "cab").as_deref(), Some("c"));
        assert_eq!(left("abc", &[1], "axbcy").as_deref(), Some("axcy"));
    }

    #[test]
    fn what_another_program_removed_is_gone() {
        assert_eq!(left("abc", &[0], "bc").as_deref(), Some("bc"));
        assert_eq!(left("abc", &[0, 1], "bcx").as_deref(), Some("cx"));
        assert_eq!(left("abc", &[1], "cx").as_deref(), Some("cx"));
        assert_eq!(left("abc", &[0], "").as_deref(), Some(""));
        assert_eq!(left("abc", &[0], "cb").as_deref(), Some("cb"));
    }

    #[test]
    fn what_may_have_been_changed_cannot_be_told() {
        assert_eq!(left("abc", &[0], "xbc").as_deref(), None);
        assert_eq!(left("abc", &[0, 1], "axc").as_deref(), None);
        assert_eq!(left("abc", &[2], "abx").as_deref(), None);
        assert_eq!(left("abc", &[1], "axxc").as_deref(), None);
        assert_eq!(left("abc", &[0], "x").as_deref(), None);
        // A message that was changed may also have moved.
        assert_eq!(left("abc", &[0], "cbx").as_deref(), None);
        // Other messages may be changed in any way.
        assert_eq!(left("abc", &[0], "axy").as_deref(), Some("xy"));
    }

    #[test]
    fn of_equal_messages_the_right_number_is_left() {
        assert_eq!(left("aa", &[0], "a").as_deref(), Some("a"));
        assert_eq!(left("aa", &[1], "a").as_deref(), Some("a"));
        assert_eq!(left("aa", &[0, 1], "a").as_deref(), Some(""));
        assert_eq!(left("abab", &[0, 2], "bab").as_deref(), Some("bb"));
        assert_eq!(left("aab", &[0], "aaab").as_deref(), Some("aab"));
        assert_eq!(left("aaa", &[0, 1], "aa").as_deref(), Some("a"));
    }

    fn count(messages: &str, key: char) -> usize {
        messages.chars().filter(|&one| one == key).count()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_that_was_not_wanted(
            before in "[a-d]{0,8}",
            wanted in prop::collection::btree_set(0..8_usize, 0..8),
            now in "[a-f]{0,8}",
        ) {
            let wanted: Vec<_> = wanted.into_iter().filter(|&nth| nth < before.len()).collect();
            let Some(left) = left(&before, &wanted, &now) else { return Ok(()) };
            for key in 'a'..='f' {
                let was = count(&before, key);
                let gone = wanted.iter().filter(|&&nth| before[nth..].starts_with(key)).count();
                let is = count(&now, key);
                prop_assert_eq!(count(&left, key), is - gone.min((is + gone).saturating_sub(was)));
            }
        }

        #[test]
        fn where_nothing_has_changed_the_places_are_the_same(
            before in "[a-d]{1,8}",
            wanted in prop::collection::btree_set(0..8_usize, 0..8),
            more in "[a-f]{0,3}",
        ) {
            let wanted: Vec<_> = wanted.into_iter().filter(|&nth| nth < before.len()).collect();
            let keys: Vec<char> = before.chars().collect();
            let now: Vec<char> = before.chars().chain(more.chars()).collect();
            let matched = matching(&keys, &wanted, &now).unwrap();
            let places: Vec<usize> = (0..now.len()).filter(|&nth| matched[nth]).collect();
            prop_assert_eq!(places, wanted);
        }
    }
}
