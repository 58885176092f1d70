//! What observers are told of a delivery. Of servers and of the relay, which stores notifications.

use smallvec::SmallVec;

use crate::store::receipt::{self, Content, CopyText, Receipt};
use crate::watch::event::ConnectionName;
use crate::watch::fact::{Fact, Late, PackedFact, Stored, StoredContent};
use crate::watch::observers::Observers;

/// Parts of a packed fact for which there is room on the stack: one address, or a few.
const PARTS_USUAL: usize = 8;

/// Tells which mailboxes have a message now, whose reverse-path is `from`. `connection` is the one that
/// has brought it, if one has.
pub fn tell(
    receipt: &Receipt,
    from: &str,
    connection: Option<ConnectionName>,
    observers: &Observers,
) {
    for copy in receipt.copies() {
        match copy.text {
            CopyText::Whole { fields, quoted } => {
                let named = [copy.mailbox.as_bytes(), from.as_bytes(), fields.as_bytes(), quoted];
                let to = copy.to.iter().map(|address| address.as_bytes());
                let parts: SmallVec<[&[u8]; PARTS_USUAL]> = named.into_iter().chain(to).collect();
                observers.tell_packed(connection, PackedFact { parts: &parts, unpack });
            }
            CopyText::Measured(content) => observers.tell_fact(connection, || {
                let to = copy.to.iter().map(|address| address.as_ref().to_owned()).collect();
                let (mailbox, from) = (copy.mailbox.to_owned(), from.to_owned());
                Fact::Stored(Stored { mailbox, from, to, content: stored(content).into() })
            }),
        }
    }
}

/// The fact that [`tell`] has packed. Its unique-id and header are computed when a reader asks for
/// them.
fn unpack(parts: &[&[u8]]) -> Fact {
    let part = |nth: usize| parts.get(nth).copied().unwrap_or_default();
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let (fields, quoted) = (part(2).to_vec(), part(3).to_vec());
    Fact::Stored(Stored {
        mailbox: text(part(0)),
        from: text(part(1)),
        to: parts.iter().skip(4).map(|address| text(address)).collect(),
        content: Late::of(fields.len() + quoted.len(), move || {
            stored(receipt::content_of(&fields, &quoted))
        }),
    })
}

fn stored(Content { uid, octets, head }: Content) -> StoredContent {
    StoredContent { uid: uid.map(|uid| uid.to_string()), octets, head }
}
