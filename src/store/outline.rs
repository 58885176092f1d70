//! Which mailboxes there are, and whether they are still the files that they were: found without a
//! lock and without reading them, by what the file system says of each.

use std::collections::HashMap;

use crate::store::directory::Directory;
use crate::store::files::Stamp;
use crate::store::overview::{MailboxView, Overview};

/// What was last seen of a directory.
#[derive(Debug)]
pub struct Outlines {
    directory: Directory,
    seen: HashMap<String, Outline>,
    /// Number of changes seen so far, in all mailboxes.
    revisions: u64,
}

/// What was last seen of a mailbox.
#[derive(Debug, Clone, Copy)]
struct Outline {
    stamp: Stamp,
    revision: u64,
    edition: u64,
}

impl Outlines {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self { directory, seen: HashMap::new(), revisions: 0 }
    }

    /// The directory that is looked at.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The mailboxes as they are now, without the number of their messages, and without the queue. A
    /// mailbox has another edition if it has become another file, is shorter, or has changed without
    /// growing.
    pub fn look(&mut self) -> Overview {
        let users = self.directory.users().unwrap_or_else(|error| {
            tracing::warn!("cannot list {}: {error}", self.directory.path().display());
            Vec::new()
        });
        let opened = self.directory.opened();
        let before = std::mem::take(&mut self.seen);
        let mut mailboxes = Vec::with_capacity(users.len());
        for user in &users {
            let Ok(Some(stamp)) = opened.ground().files.regular(&user.file()) else { continue };
            let outline = self.outline(before.get(user.name()), stamp);
            let Outline { revision, edition, .. } = outline;
            let view =
                MailboxView { revision, edition, ..MailboxView::unknown(user.name(), stamp.size) };
            mailboxes.push(view);
            self.seen.insert(user.name().to_owned(), outline);
        }
        Overview { mailboxes, queue: Vec::new() }
    }

    fn outline(&mut self, before: Option<&Outline>, stamp: Stamp) -> Outline {
        if let Some(same) = before.filter(|before| before.stamp == stamp) {
            return *same;
        }
        self.revisions += 1;
        let revision = self.revisions;
        let has_grown = |before: &&Outline| {
            before.stamp.identity == stamp.identity && before.stamp.size < stamp.size
        };
        let edition = before.filter(has_grown).map_or(revision, |before| before.edition);
        Outline { stamp, revision, edition }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;
    use crate::store::directory::Durability;

    #[test]
    fn a_mailbox_that_grows_stays_the_same_and_any_other_change_makes_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bob.mbox");
        fs::write(&path, "From a Wed Sep 17 11:00:00 2025\n\nx\n\n").unwrap();
        let mut outlines =
            Outlines::new(Directory::open(dir.path(), Durability::Unsynced).unwrap());
        let mut look = || {
            let [view] = &outlines.look().mailboxes[..] else { panic!("one mailbox") };
            assert_eq!((view.name.as_str(), view.messages), ("bob", None));
            (view.edition, view.octets)
        };
        let (first, octets) = look();
        assert_eq!(look(), (first, octets));
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"From b\n\n").unwrap();
        assert_eq!(look(), (first, octets + 8));
        fs::write(&path, "").unwrap();
        let (emptied, _) = look();
        assert_ne!(emptied, first);
        fs::write(dir.path().join("new"), "").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_ne!(look().0, emptied);
    }
}
