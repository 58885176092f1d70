//! What is told of a delivery to whoever wants to know: which message is now in which mailbox, under
//! which unique-id.

use std::io;
use std::sync::Arc;

use md5::{Digest, Md5};
use memchr::memmem;

use crate::store::delivery::{Delivered, Part};
use crate::store::envelope::Parcel;
use crate::store::ground::QUEUE_FILE;
use crate::store::index::UniqueId;
use crate::store::mbox::Unquoter;
use crate::store::text::{BLOCK, Finished};
use crate::store::user::SUFFIX;

/// Octets of a header that are kept; subjects come well before.
pub const HEAD_MOST: usize = 16 * 1024;

/// Octets of the longest stored text that a receipt has whole.
const WHOLE_MOST: u64 = 16 * 1024;

/// Octets of a text that is looked at in the task that delivers it; a longer one takes too long for
/// a thread of the runtime.
const AT_ONCE_MOST: u64 = BLOCK as u64;

/// What was stored of a message.
#[derive(Debug)]
pub struct Receipt {
    draft: Draft,
    delivered: Delivered,
}

/// The copy of a message in a mailbox.
#[derive(Debug)]
pub struct StoredCopy<'a> {
    /// The mailbox.
    pub mailbox: &'a str,
    /// The addresses that the client has named whose copy this is, if that was noted.
    pub to: &'a [Box<str>],
    /// Its text.
    pub text: CopyText<'a>,
}

/// The copy of a message in the queue.
#[derive(Debug)]
pub struct QueuedCopy {
    /// The id of the entry.
    pub id: String,
    /// Length of the message in octets as the client sent it, with CRLF line ends.
    pub octets: u64,
}

/// The text of a copy in a mailbox.
#[derive(Debug)]
pub enum CopyText<'a> {
    /// All of it, as it is short: what is wanted of it can be found out later, by
    /// [`content_of`].
    Whole {
        /// The fields that were put before it.
        fields: &'a str,
        /// The rest as it is stored.
        quoted: &'a [u8],
    },
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

/// What is wanted of a text with these fields before it, and stored like this.
#[must_use]
pub fn content_of(fields: &[u8], quoted: &[u8]) -> Content {
    let mut text = Vec::with_capacity(fields.len() + quoted.len());
    text.extend_from_slice(fields);
    unquote(quoted, |piece| text.extend_from_slice(piece));
    let (uid, octets) = (Some(UniqueId::of_text(&text)), text.len() as u64);
    let sent = text.get(fields.len()..).unwrap_or_default();
    Content { uid, octets, head: head_of(sent).into() }
}

impl Receipt {
    /// The copies in mailboxes, in the order of their names.
    pub fn copies(&self) -> impl Iterator<Item = StoredCopy<'_>> {
        let Self { draft: Draft { from_line, measured, .. }, delivered } = self;
        mailboxes(&delivered.parts).enumerate().map(move |(nth, part)| {
            let fields = fields_of(part, *from_line);
            let text = match measured {
                None => CopyText::Whole { fields, quoted: &delivered.text.memory },
                Some(Measured { octets, head, uids }) => CopyText::Measured(Content {
                    uid: uids.get(nth).copied().flatten(),
                    octets: octets + fields.len() as u64,
                    head: Arc::clone(head),
                }),
            };
            let mailbox = part.file.strip_suffix(SUFFIX).unwrap_or(&part.file);
            StoredCopy { mailbox, to: &part.named, text }
        })
    }

    /// The entry in the queue, if there is one.
    #[must_use]
    pub fn queued(&self) -> Option<QueuedCopy> {
        let Self { draft: Draft { queue_id, measured, .. }, delivered } = self;
        let id = queue_id.clone()?;
        let octets = measured.as_ref().map(|measured| measured.octets);
        Some(QueuedCopy {
            id,
            octets: octets.unwrap_or_else(|| sent_octets(&delivered.text.memory)),
        })
    }
}

/// The parts that go to mailboxes.
fn mailboxes(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| *part.file != *QUEUE_FILE)
}

/// The fields before the text of a part.
fn fields_of(part: &Part, from_line: usize) -> &str {
    part.head.get(from_line..).unwrap_or_default()
}

/// The receipt for a message that is about to be delivered.
#[derive(Debug)]
pub(super) struct Draft {
    /// Octets of the From_ line that each part begins with.
    from_line: usize,
    /// The id of the entry in the queue, if there is one.
    queue_id: Option<String>,
    /// What is known of the text; `None` if the receipt has all of it.
    measured: Option<Measured>,
}

/// What is found out of a text before it is delivered.
#[derive(Debug)]
struct Measured {
    /// Its length as POP3 sends it.
    octets: u64,
    head: Arc<[u8]>,
    /// The unique-ids in the mailboxes.
    uids: Vec<Option<UniqueId>>,
}

impl Draft {
    /// Prepares the receipt for this message, and returns what is to be delivered. A text that the
    /// receipt will not have whole is measured now.
    ///
    /// # Errors
    ///
    /// If the text cannot be read.
    pub(super) async fn of(
        parcel: Parcel,
        text: Finished,
        uid_most: u64,
    ) -> io::Result<(Self, Vec<Part>, Finished)> {
        let Parcel { parts, from_line, queue_id } = parcel;
        let draft = Self { from_line, queue_id, measured: None };
        // One that is short may be on the disk all the same, where memory was scarce.
        if text.octets <= WHOLE_MOST && text.spool.is_none() {
            return Ok((draft, parts, text));
        }
        let is_short = text.octets <= AT_ONCE_MOST;
        let measure = move || {
            let measured = Measured::of(&parts, from_line, &text, uid_most)?;
            Ok((Self { measured: Some(measured), ..draft }, parts, text))
        };
        if is_short {
            return measure();
        }
        tokio::task::spawn_blocking(measure).await.map_err(io::Error::other)?
    }

    /// The receipt, now that the message is delivered.
    pub(super) const fn receipt(self, delivered: Delivered) -> Receipt {
        Receipt { draft: self, delivered }
    }
}

impl Measured {
    fn of(parts: &[Part], from_line: usize, text: &Finished, uid_most: u64) -> io::Result<Self> {
        let (mut octets, mut head) = (0, Vec::new());
        unquoted(text, |piece| {
            octets += piece.len() as u64;
            let room = HEAD_MOST - head.len();
            head.extend_from_slice(piece.get(..room).unwrap_or(piece));
        })?;
        let mut uids = Vec::with_capacity(parts.len());
        // The fields of the last copy that has an id: mostly none has any, and all have the same id.
        let mut last: Option<(&str, UniqueId)> = None;
        for fields in mailboxes(parts).map(|part| fields_of(part, from_line)) {
            let uid = match last {
                _ if octets + fields.len() as u64 > uid_most => None,
                Some((same, uid)) if same == fields => Some(uid),
                _ => Some(unique_id(fields, text)?),
            };
            last = uid.map(|uid| (fields, uid)).or(last);
            uids.push(uid);
        }
        Ok(Self { octets, head: head_of(&head).into(), uids })
    }
}

/// The length of a stored text as POP3 sends it.
fn sent_octets(quoted: &[u8]) -> u64 {
    let mut octets = 0;
    unquote(quoted, |piece| octets += piece.len() as u64);
    octets
}

/// Passes a text that is stored like this to `piece` as POP3 sends it.
fn unquote(quoted: &[u8], mut piece: impl FnMut(&[u8])) {
    let mut unquoter = Unquoter::default();
    unquoter.push(quoted, &mut piece);
    unquoter.finish(piece);
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
