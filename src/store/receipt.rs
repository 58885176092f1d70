//! What is told of a delivery to whoever wants to know: which message is now in which mailbox, under
//! which unique-id.

use std::io;
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::store::delivery::Part;
use crate::store::envelope::Parcel;
use crate::store::ground::QUEUE_FILE;
use crate::store::index::UniqueId;
use crate::store::mbox::Unquoter;
use crate::store::text::{BLOCK, Finished};
use crate::store::user::SUFFIX;

/// Octets of a header that are kept; subjects come well before.
pub const HEAD_MOST: usize = 16 * 1024;

/// Octets of a text that is looked at in the task that delivers it; a longer one takes too long for
/// a thread of the runtime.
const AT_ONCE_MOST: u64 = BLOCK as u64;

/// What was stored of a message.
#[derive(Debug)]
pub struct Receipt {
    /// The copies in mailboxes, by their names.
    pub copies: Vec<StoredCopy>,
    /// The id of the entry in the queue, if there is one.
    pub queue_id: Option<String>,
    /// Length of the message in octets as the client sent it, with CRLF line ends.
    pub octets: u64,
    /// Its header, with its last CRLF; at most [`HEAD_MOST`] octets of it.
    pub head: Arc<[u8]>,
}

/// The copy of a message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCopy {
    /// The mailbox.
    pub mailbox: String,
    /// The addresses that the client has named whose copy this is, if that was noted.
    pub to: Vec<String>,
    /// Its unique-id, unless it was too long for that.
    pub uid: Option<UniqueId>,
    /// Its length in octets as RETR sends it, with the fields that were put before it.
    pub octets: u64,
}

/// The receipt for a message, and what is to be delivered of it.
///
/// # Errors
///
/// If its text cannot be read.
pub(super) async fn of(
    parcel: Parcel,
    text: Finished,
    uid_most: u64,
) -> io::Result<(Receipt, Vec<Part>, Finished)> {
    let is_short = text.octets <= AT_ONCE_MOST;
    let write = move || Ok((written(&parcel, &text, uid_most)?, parcel.parts, text));
    if is_short {
        return write();
    }
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

fn written(parcel: &Parcel, text: &Finished, uid_most: u64) -> io::Result<Receipt> {
    let Parcel { parts, from_line, queue_id } = parcel;
    let (octets, head) = measured(text)?;
    let mut copies: Vec<StoredCopy> = Vec::with_capacity(parts.len());
    // The fields of the last copy that has an id: mostly none has any, and all have the same id.
    let mut last: Option<(&str, UniqueId)> = None;
    for part in parts.iter().filter(|part| *part.file != *QUEUE_FILE) {
        let fields = part.head.get(*from_line..).unwrap_or_default();
        let octets = octets + fields.len() as u64;
        let uid = match last {
            _ if octets > uid_most => None,
            Some((same, uid)) if same == fields => Some(uid),
            _ => Some(unique_id(fields, text)?),
        };
        last = uid.map(|uid| (fields, uid)).or(last);
        let mailbox = part.file.strip_suffix(SUFFIX).unwrap_or(&part.file).to_owned();
        let to = part.named.iter().map(|address| address.as_ref().to_owned()).collect();
        copies.push(StoredCopy { mailbox, to, uid, octets });
    }
    Ok(Receipt { copies, queue_id: queue_id.clone(), octets, head })
}

/// The length of a text as POP3 sends it, and its header.
fn measured(text: &Finished) -> io::Result<(u64, Arc<[u8]>)> {
    let (mut octets, mut head) = (0, Vec::new());
    unquoted(text, |piece| {
        octets += piece.len() as u64;
        let room = HEAD_MOST - head.len();
        head.extend_from_slice(piece.get(..room).unwrap_or(piece));
    })?;
    let end = match head.strip_prefix(b"\r\n") {
        // There is no header.
        Some(_) => 0,
        None => memchr::memmem::find(&head, b"\r\n\r\n").map_or(head.len(), |end| end + 2),
    };
    Ok((octets, head.get(..end).unwrap_or_default().into()))
}

/// The unique-id of a message that begins with these fields.
fn unique_id(fields: &str, text: &Finished) -> io::Result<UniqueId> {
    let mut hash = Md5::new();
    hash.update(fields);
    unquoted(text, |piece| hash.update(piece))?;
    Ok(UniqueId::of(hash))
}

/// Passes a text to `piece` as POP3 sends it.
fn unquoted(text: &Finished, mut piece: impl FnMut(&[u8])) -> io::Result<()> {
    let mut unquoter = Unquoter::default();
    text.read(|quoted| unquoter.push(quoted, &mut piece))?;
    unquoter.finish(piece);
    Ok(())
}
