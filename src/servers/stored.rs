//! What observers are told of a delivery. Of servers and of the relay, which stores notifications.

use crate::store::receipt::{Content, StoredCopy};
use crate::watch::fact::{Fact, Late, Stored, StoredContent};

/// The fact that a copy is stored of a message whose reverse-path is `from`. Most of what it says is
/// found out when somebody reads it.
#[must_use]
pub fn fact_of(copy: StoredCopy, from: &str) -> Fact {
    let StoredCopy { mailbox, to, text } = copy;
    let content = Late::of(text.octets_kept(), move || {
        let Content { uid, octets, head } = text.content();
        StoredContent { uid: uid.map(|uid| uid.to_string()), octets, head }
    });
    Fact::Stored(Stored { mailbox, from: from.to_owned(), to, content })
}
