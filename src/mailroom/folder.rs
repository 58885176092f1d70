//! A mailbox at one moment, read for programs: which of its messages a query means, and each message
//! as a [`Letter`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::mailroom::query::Query;
use crate::mailroom::record::Letter;
use crate::store::browse::{Head, MaildropError, Snapshot};
use crate::store::directory::{Directory, User};
use crate::store::index::ReadError;
use crate::store::reader::MessageReader;
use crate::store::since::{Mark, Newer};

/// Messages whose headers are read at once.
const BATCH: usize = 512;

/// The most octets of a message that are decoded, as in the console.
const DECODED_MOST: usize = 64 * 1024 * 1024;

/// A mailbox at one moment.
#[derive(Debug, Clone)]
pub struct Folder {
    user: User,
    snapshot: Arc<Snapshot>,
}

/// A message that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Its place in the mailbox, from 0.
    pub place: usize,
    /// When it arrived, in seconds since 1970.
    pub date: i64,
}

impl Folder {
    /// Reads which messages there are, under the mailbox's lock.
    ///
    /// # Errors
    ///
    /// If it does not exist, is no mbox, is kept locked for 30 s, or cannot be read.
    pub async fn open(directory: &Directory, user: &User) -> Result<Self, MaildropError> {
        Ok(Self::of(user.clone(), Arc::new(directory.snapshot(user).await?)))
    }

    /// The mailbox of `user` as `snapshot` has it.
    #[must_use]
    pub const fn of(user: User, snapshot: Arc<Snapshot>) -> Self {
        Self { user, snapshot }
    }

    /// The name of the mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        self.user.name()
    }

    /// Number of messages.
    #[must_use]
    pub fn count(&self) -> usize {
        self.snapshot.count()
    }

    /// Whether `earlier` had the same messages and at most new ones have been added.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.snapshot.continues(&earlier.snapshot)
    }

    /// Which of its messages have come since a mark.
    ///
    /// # Errors
    ///
    /// If the mailbox was changed meanwhile, or cannot be read.
    pub async fn newer(&self, directory: &Directory, mark: &Mark) -> Result<Newer, ReadError> {
        directory.newer(mark, &self.user, &self.snapshot).await
    }

    /// Those of the messages at `places` that a query means and that are among the `newer` ones.
    ///
    /// # Errors
    ///
    /// If the mailbox was changed meanwhile, or cannot be read.
    pub async fn find(
        &self,
        query: &Arc<Query>,
        places: Range<usize>,
        newer: Newer,
    ) -> Result<Vec<Hit>, ReadError> {
        let mut hits = Vec::new();
        let mut from = places.start;
        while from < places.end {
            let to = places.end.min(from + BATCH);
            let heads = self.snapshot.heads(from..to).await?;
            let mut letters = Vec::with_capacity(heads.len());
            for (place, head) in (from..to).zip(heads) {
                let letter = self.opened(place, head, query.needs_uid()).await?;
                if newer.includes(place, letter.date()) {
                    letters.push(letter);
                }
            }
            if query.needs_body() {
                for letter in letters {
                    let whole = self.whole(letter).await?;
                    hits.extend(matching(query, vec![whole]).await?);
                }
            } else {
                hits.extend(matching(query, letters).await?);
            }
            from = to;
        }
        Ok(hits)
    }

    /// A message with its whole header, and nothing behind it.
    async fn opened(&self, place: usize, head: Head, with_uid: bool) -> Result<Letter, ReadError> {
        let uid = if with_uid {
            self.snapshot.unique_id(place).await?.to_string()
        } else {
            String::new()
        };
        let is_whole = has_whole_header(&head);
        let Head { from_line, text, octets } = head;
        let mailbox = self.mailbox().to_owned();
        let letter = Letter { mailbox, place, from_line, text, octets, uid };
        if is_whole { Ok(letter) } else { self.whole(letter).await }
    }

    /// The same message with its text, up to 64 MiB.
    async fn whole(&self, letter: Letter) -> Result<Letter, ReadError> {
        let mut reader = self.snapshot.message(letter.place).await?;
        let mut text = Vec::new();
        while text.len() < DECODED_MOST && reader.read(&mut text).await? > 0 {}
        Ok(Letter { text, ..letter })
    }

    /// A message with its header and unique-id.
    ///
    /// # Errors
    ///
    /// If there is no such message, or it cannot be read.
    pub async fn head(&self, place: usize) -> Result<Letter, ReadError> {
        let heads = self.snapshot.heads(place..place + 1).await?;
        let head = heads.into_iter().next().ok_or(ReadError::Missing)?;
        self.opened(place, head, true).await
    }

    /// A message with its unique-id and its text, up to 64 MiB.
    ///
    /// # Errors
    ///
    /// If there is no such message, or it cannot be read.
    pub async fn letter(&self, place: usize) -> Result<Letter, ReadError> {
        self.whole(self.head(place).await?).await
    }

    /// A message as RETR sends it, to be read in pieces.
    ///
    /// # Errors
    ///
    /// If there is no such message, or it cannot be read.
    pub async fn raw(&self, place: usize) -> Result<MessageReader, ReadError> {
        self.snapshot.message(place).await
    }

    /// The place of the message with this unique-id; of several, the last.
    ///
    /// # Errors
    ///
    /// If the messages cannot be read.
    pub async fn place_of_uid(&self, uid: &str) -> Result<Option<usize>, ReadError> {
        let ids = self.snapshot.unique_ids().await?;
        Ok(ids.iter().rposition(|id| id.to_string().eq_ignore_ascii_case(uid)))
    }
}

/// Which letters a query means. On a blocking thread: decoding may take a while.
async fn matching(query: &Arc<Query>, letters: Vec<Letter>) -> Result<Vec<Hit>, ReadError> {
    let query = Arc::clone(query);
    let matching = tokio::task::spawn_blocking(move || {
        let meant = letters.iter().filter(|letter| letter.matches(&query));
        meant.map(|letter| Hit { place: letter.place, date: letter.date() }).collect()
    });
    Ok(matching.await.map_err(io::Error::other)?)
}

/// Whether a head was not cut within the header.
fn has_whole_header(head: &Head) -> bool {
    head.text.len() as u64 >= head.octets
        || head.text.ends_with(b"\r\n\r\n")
        || head.text == b"\r\n"
}

/// The hits of several mailboxes, oldest first: in a mailbox by number, between mailboxes by
/// arrival. Each comes with the index of its list.
#[must_use]
pub fn oldest_first(lists: &[Vec<Hit>]) -> Vec<(usize, Hit)> {
    let mut next: Vec<_> = lists.iter().map(|list| list.iter()).collect();
    let mut heads = BinaryHeap::new();
    let mut merged = Vec::with_capacity(lists.iter().map(Vec::len).sum());
    for (which, list) in next.iter_mut().enumerate() {
        heads.extend(list.next().map(|hit| Reverse((hit.date, which, hit.place))));
    }
    while let Some(Reverse((date, which, place))) = heads.pop() {
        merged.push((which, Hit { place, date }));
        let following = next.get_mut(which).and_then(Iterator::next);
        heads.extend(following.map(|hit| Reverse((hit.date, which, hit.place))));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(dates: &[i64]) -> Vec<Hit> {
        dates.iter().enumerate().map(|(place, &date)| Hit { place, date }).collect()
    }

    #[test]
    fn mailboxes_are_merged_by_arrival_and_keep_their_order() {
        let lists = [hits(&[5, 2, 9]), vec![], hits(&[1, 5, 6])];
        let merged: Vec<_> =
            oldest_first(&lists).iter().map(|(which, hit)| (*which, hit.place)).collect();
        assert_eq!(merged, [(2, 0), (0, 0), (0, 1), (2, 1), (2, 2), (0, 2)]);
        assert!(oldest_first(&[]).is_empty());
    }

    #[test]
    fn a_header_is_whole_with_its_empty_line_or_all_of_the_message() {
        let head = |text: &str, octets| Head {
            from_line: Vec::new(),
            text: text.as_bytes().to_vec(),
            octets,
        };
        assert!(has_whole_header(&head("A: b\r\n\r\n", 99)) && has_whole_header(&head("\r\n", 9)));
        assert!(has_whole_header(&head("A: b\r\n", 6)) && !has_whole_header(&head("A: b\r\n", 7)));
    }
}
