//! What is told of a delivery to whoever wants to know: which message is now in which mailbox, under
//! which unique-id.

use std::io;
use std::sync::Arc;

use md5::{Digest, Md5};
use memchr::memmem;

use crate::store::delivery::Part;
use crate::store::envelope::Parcel;
use crate::store::ground::QUEUE_FILE;
use crate::store::index::UniqueId;
use crate::store::mbox::Unquoter;
use crate::store::text::{BLOCK, Finished};
use crate::store::user::SUFFIX;

/// Octets of a header that are kept; subjects come well before.
pub const HEAD_MOST: usize = 16 * 1024;

/// Octets of a stored text that is kept whole in a receipt.
const KEPT_MOST: u64 = 16 * 1024;

/// Octets of a text that is looked at in the task that delivers it; a longer one takes too long for
/// a thread of the runtime.
const AT_ONCE_MOST: u64 = BLOCK as u64;

/// What was stored of a message.
#[derive(Debug)]
pub struct Receipt {
    /// The copies in mailboxes, by their names.
    pub copies: Vec<StoredCopy>,
    /// The entry in the queue, if there is one.
    pub queued: Option<QueuedCopy>,
}

/// The copy of a message in a mailbox.
#[derive(Debug)]
pub struct StoredCopy {
    /// The mailbox.
    pub mailbox: String,
    /// The addresses that the client has named whose copy this is, if that was noted.
    pub to: Vec<String>,
    /// Its text.
    pub text: CopyText,
}

/// The copy of a message in the queue.
#[derive(Debug)]
pub struct QueuedCopy {
    /// The id of the entry.
    pub id: String,
    /// Length of the message in octets as the client sent it, with CRLF line ends.
    pub octets: u64,
}

/// The text of a copy in a mailbox: all of it if it is short, so that what is wanted of it can be
/// found out later, or else what was found out.
#[derive(Debug)]
pub enum CopyText {
    /// All of it: the fields that were put before it, and the rest as it is stored.
    Kept(Box<str>, Arc<[u8]>),
    /// What was found out.
    Measured(Content),
}

/// What is wanted of a text.
#[derive(Debug, Clone)]
pub struct Content {
    /// The unique-id, unless the text was too long for that.
    pub uid: Option<UniqueId>,
    /// The length in octets as RETR sends it, with the fields that were put before it.
    pub octets: u64,
    /// The header, without those fields, and with its last CRLF; at most [`HEAD_MOST`] octets of it.
    pub head: Arc<[u8]>,
}

impl CopyText {
    /// Octets of the text that it keeps.
    #[must_use]
    pub fn octets_kept(&self) -> usize {
        match self {
            Self::Kept(fields, quoted) => fields.len() + quoted.len(),
            Self::Measured(content) => content.head.len(),
        }
    }

    /// What is wanted of it.
    #[must_use]
    pub fn content(self) -> Content {
        let (fields, quoted) = match self {
            Self::Measured(content) => return content,
            Self::Kept(fields, quoted) => (fields, quoted),
        };
        let mut text = Vec::with_capacity(fields.len() + quoted.len());
        text.extend_from_slice(fields.as_bytes());
        let mut unquoter = Unquoter::default();
        unquoter.push(&quoted, |piece| text.extend_from_slice(piece));
        unquoter.finish(|piece| text.extend_from_slice(piece));
        let (uid, octets) = (Some(UniqueId::of_text(&text)), text.len() as u64);
        let sent = text.get(fields.len()..).unwrap_or_default();
        Content { uid, octets, head: head_of(sent).into() }
    }
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
    let texts = Texts::of(text)?;
    let queued = match queue_id.clone() {
        Some(id) => Some(QueuedCopy { id, octets: texts.octets(text)? }),
        None => None,
    };
    let mut copies: Vec<StoredCopy> = Vec::with_capacity(parts.len());
    // The fields of the last copy that has an id: mostly none has any, and all have the same id.
    let mut last: Option<(&str, UniqueId)> = None;
    for part in parts.iter().filter(|part| *part.file != *QUEUE_FILE) {
        let fields = part.head.get(*from_line..).unwrap_or_default();
        let text = match &texts {
            Texts::Kept(quoted) => CopyText::Kept(fields.into(), Arc::clone(quoted)),
            Texts::Measured(octets, head) => {
                let (octets, head) = (octets + fields.len() as u64, Arc::clone(head));
                let uid = match last {
                    _ if octets > uid_most => None,
                    Some((same, uid)) if same == fields => Some(uid),
                    _ => Some(unique_id(fields, text)?),
                };
                last = uid.map(|uid| (fields, uid)).or(last);
                CopyText::Measured(Content { uid, octets, head })
            }
        };
        let mailbox = part.file.strip_suffix(SUFFIX).unwrap_or(&part.file).to_owned();
        let to = part.named.iter().map(|address| address.as_ref().to_owned()).collect();
        copies.push(StoredCopy { mailbox, to, text });
    }
    Ok(Receipt { copies, queued })
}

/// What all copies have of a text.
enum Texts {
    /// It is short: all of it, quoted.
    Kept(Arc<[u8]>),
    /// Its length as POP3 sends it, and its header.
    Measured(u64, Arc<[u8]>),
}

impl Texts {
    fn of(text: &Finished) -> io::Result<Self> {
        if text.octets <= KEPT_MOST {
            let mut quoted = Vec::with_capacity(usize::try_from(text.octets).unwrap_or(0));
            text.read(|piece| quoted.extend_from_slice(piece))?;
            return Ok(Self::Kept(quoted.into()));
        }
        let (mut octets, mut head) = (0, Vec::new());
        unquoted(text, |piece| {
            octets += piece.len() as u64;
            let room = HEAD_MOST - head.len();
            head.extend_from_slice(piece.get(..room).unwrap_or(piece));
        })?;
        Ok(Self::Measured(octets, head_of(&head).into()))
    }

    /// The length of the text as POP3 sends it.
    fn octets(&self, text: &Finished) -> io::Result<u64> {
        match self {
            Self::Measured(octets, _) => Ok(*octets),
            Self::Kept(_) => {
                let mut octets = 0;
                unquoted(text, |piece| octets += piece.len() as u64)?;
                Ok(octets)
            }
        }
    }
}

/// The header that a text begins with, as far as it is there.
fn head_of(text: &[u8]) -> &[u8] {
    let beginning = text.get(..HEAD_MOST).unwrap_or(text);
    // Without a header, the text begins with the empty line.
    let end = match beginning.strip_prefix(b"\r\n") {
        Some(_) => 0,
        None => memmem::find(beginning, b"\r\n\r\n").map_or(beginning.len(), |end| end + 2),
    };
    beginning.get(..end).unwrap_or_default()
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
