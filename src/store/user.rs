//! Users, and the names that their mailboxes may have.

use std::io;
use std::sync::Arc;

use crate::store::files::{FileName, Files};
use crate::store::ground::QUEUE_FILE;

/// Maximum octets of a user name (RFC 5321 section 4.5.3.1.1).
pub const USER_MOST: usize = 64;

/// Maximum octets of a mailbox name. Side files have longer names, which must fit into `NAME_MAX`
/// (255).
const MAILBOX_MOST: usize = 192;

/// The end of every mailbox file's name.
pub(super) const SUFFIX: &str = ".mbox";

/// A user: somebody whose mailbox existed when it was looked up, or one who may get one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User {
    name: Arc<str>,
}

impl User {
    /// The name, which is the local-part of the user's address or, with an `@` in it, the address
    /// itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user with this local-part, who need not exist; `None` if it cannot be the name of a
    /// mailbox (docs/files.md 2.1).
    #[must_use]
    pub fn of_local_part(local_part: &[u8]) -> Option<Self> {
        well_formed(local_part).map(|name| Self { name: name.into() })
    }

    /// The same for the name of a mailbox, which may be an address.
    #[must_use]
    pub fn of_mailbox(name: &str) -> Option<Self> {
        let is_address = name.split('@').all(|part| well_formed(part.as_bytes()).is_some());
        (name.len() <= MAILBOX_MOST && is_address).then(|| Self { name: name.into() })
    }

    /// The user whose mailbox has the name of an address at another domain, with the domain in lower
    /// case; `None` if that cannot be the name of a mailbox.
    #[must_use]
    pub fn of_address(local_part: &str, domain: &str) -> Option<Self> {
        well_formed(local_part.as_bytes())?;
        Self::of_mailbox(&format!("{local_part}@{}", domain.to_ascii_lowercase()))
    }

    /// A user for tests that need only the name.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.into() }
    }

    pub(super) fn file(&self) -> FileName {
        [self.name(), SUFFIX].concat().into()
    }
}

/// The number of names in a directory that are those of mailboxes, counted up to `most`.
pub(super) fn count_mailboxes(files: &Files, most: usize) -> io::Result<usize> {
    let is_mailbox =
        |name: &str| name.strip_suffix(SUFFIX).is_some_and(|name| User::of_mailbox(name).is_some());
    files.count_names(is_mailbox, most)
}

/// The local-part as a mailbox name, if it may be one: letters, digits, the other characters of an
/// atom (RFC 5321 section 4.1.2) except `/` and `` ` ``, and inner dots (docs/files.md 2.1).
fn well_formed(local_part: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+=?^_{|}~-".contains(byte);
    let atoms = |mut atoms: std::slice::Split<'_, u8, _>| {
        atoms.all(|atom: &[u8]| !atom.is_empty() && atom.iter().all(allowed))
    };
    let fits = local_part.len() <= USER_MOST && local_part != QUEUE_FILE.as_bytes();
    (fits && atoms(local_part.split(|&byte| byte == b'.')))
        .then(|| str::from_utf8(local_part).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_file_name_or_no_user() {
        for name in ["linhphan", "a.b", "a-b_c+d", "0", "{|}~"] {
            assert_eq!(well_formed(name.as_bytes()), Some(name));
        }
        let long = "x".repeat(65);
        for name in [
            "", ".", "..", ".a", "a.", "a..b", "a/b", "../a", "a b", "a\0", "\u{e9}", "mqueue",
            "a`", "a@b", "a\\b", "a:b", &long,
        ] {
            assert_eq!(well_formed(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn an_address_is_a_name_if_both_of_its_parts_are() {
        let of = |local: &str, domain: &str| {
            User::of_address(local, domain).map(|user| user.name().to_owned())
        };
        assert_eq!(of("Anna", "Example.COM").as_deref(), Some("Anna@example.com"));
        let long = "d".repeat(65);
        for (local, domain) in
            [("a@b", "c"), ("mqueue", "c"), ("a b", "c"), ("a", "[192.0.2.1]"), ("a", &*long)]
        {
            assert_eq!(of(local, domain), None, "{local}@{domain}");
        }
    }
}
