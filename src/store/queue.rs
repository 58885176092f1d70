//! The relay queue: an mbox file whose messages carry their envelope and its state in a block of
//! header fields ahead of their own.
//!
//! The block begins right behind the From_ line and is closed by its own last line, so that no
//! line of a message can pose as envelope:
//!
//! ```text
//! From <alice@localhost> Wed Sep 17 11:00:00 2025
//! X-MC-Id: 68ca9f30-2b1f-0
//! X-MC-From: <alice@localhost>
//! X-MC-Queued: 1758106800
//! X-MC-Rcpt: P 0 0 <bob@example.org>
//! X-MC-Rcpt: D 1 0 <carol@example.net> 250 OK
//! X-MC-End:
//! Subject: the message begins here
//! ```
//!
//! A recipient's letter is P (pending), D (delivered), F (failed) or H (held); behind it stand the
//! attempts so far, when the next is due (seconds since 1970; 0 for at once) and, behind the
//! path, what was last replied.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::files::Window;
use crate::store::mbox::Span;
use crate::store::overview::{QueueView, RecipientState};

/// The name of the queue file.
pub const FILE: &str = "mqueue";

/// Octets of an envelope block at most: 1,000 recipients of 256 octets, with a reply each.
const BLOCK_MOST: u64 = 1024 * 1024;

const ID: &str = "X-MC-Id: ";
const FROM: &str = "X-MC-From: ";
const QUEUED: &str = "X-MC-Queued: ";
const RECIPIENT: &str = "X-MC-Rcpt: ";
const END: &str = "X-MC-End:";

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// How far it is.
    pub state: RecipientState,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, in seconds since 1970; 0 for at once.
    pub next_attempt: u64,
    /// Its address, without brackets.
    pub forward_path: String,
    /// What was last replied, without control characters; empty before the first attempt.
    pub last_reply: String,
}

/// The envelope of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names the message for good, also in its `Received:` field.
    pub id: String,
    /// Who sent it, without brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// When it was queued, in seconds since 1970.
    pub queued: u64,
    /// Who is to get it.
    pub recipients: Vec<Recipient>,
}

/// The block of a message that is being queued now.
#[must_use]
pub fn envelope_block(reverse_path: &str, forward_paths: &[String]) -> String {
    let recipient = |forward_path: &String| Recipient {
        state: RecipientState::Pending,
        attempts: 0,
        next_attempt: 0,
        forward_path: forward_path.clone(),
        last_reply: String::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let block = Block {
        id: new_id(now),
        reverse_path: reverse_path.to_owned(),
        queued: now.as_secs(),
        recipients: forward_paths.iter().map(recipient).collect(),
    };
    block.render()
}

/// Different for every message of every process.
fn new_id(now: Duration) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{number:x}", now.as_nanos(), std::process::id())
}

impl Block {
    /// The block as it stands in the file.
    #[must_use]
    pub fn render(&self) -> String {
        use std::fmt::Write;
        let mut block = String::new();
        let _ = writeln!(block, "{ID}{}", self.id);
        let _ = writeln!(block, "{FROM}<{}>", self.reverse_path);
        let _ = writeln!(block, "{QUEUED}{}", self.queued);
        for recipient in &self.recipients {
            let _ = writeln!(block, "{RECIPIENT}{}", recipient.render());
        }
        let _ = writeln!(block, "{END}");
        block
    }

    /// The block that `text` (what stands behind a From_ line) begins with, and its length in
    /// octets; `None` if it begins with none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let mut lines = Lines { rest: text, used: 0 };
        let mut block = Self {
            id: lines.field(ID)?.to_owned(),
            reverse_path: path(lines.field(FROM)?)?.0.to_owned(),
            queued: lines.field(QUEUED)?.parse().ok()?,
            recipients: Vec::new(),
        };
        loop {
            let line = lines.next()?;
            if line.trim_end() == END {
                return Some((block, lines.used));
            }
            block.recipients.push(Recipient::parse(line.strip_prefix(RECIPIENT)?)?);
        }
    }
}

impl Recipient {
    fn render(&self) -> String {
        let Self { attempts, next_attempt, forward_path, last_reply, .. } = self;
        let letter = match self.state {
            RecipientState::Pending => 'P',
            RecipientState::Delivered => 'D',
            RecipientState::Failed => 'F',
            RecipientState::Held => 'H',
        };
        let line = format!("{letter} {attempts} {next_attempt} <{forward_path}> {last_reply}");
        line.trim_end().to_owned()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let state = match words.next()? {
            "P" => RecipientState::Pending,
            "D" => RecipientState::Delivered,
            "F" => RecipientState::Failed,
            "H" => RecipientState::Held,
            _ => return None,
        };
        let attempts = words.next()?.parse().ok()?;
        let next_attempt = words.next()?.parse().ok()?;
        let (forward_path, last_reply) = path(words.next()?)?;
        Some(Self {
            state,
            attempts,
            next_attempt,
            forward_path: forward_path.to_owned(),
            last_reply: last_reply.to_owned(),
        })
    }
}

/// `<path>` and what follows it. A `>` inside a quoted local part is part of the path.
fn path(text: &str) -> Option<(&str, &str)> {
    let path = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    let end = path.find(|character| {
        let literal = std::mem::take(&mut escaped);
        match character {
            '\\' if !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        character == '>' && !quoted && !literal
    })?;
    let (path, rest) = path.split_at(end);
    Some((path, rest.strip_prefix('>')?.trim_start()))
}

/// The lines of a block, one after the other.
struct Lines<'a> {
    rest: &'a [u8],
    used: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        self.used += line.len();
        str::from_utf8(line.get(..end)?).ok()
    }

    fn field(&mut self, name: &str) -> Option<&'a str> {
        self.next()?.strip_prefix(name)
    }
}

/// The block of the message at `span`, and its length; `None` if it has none and is not ours.
pub fn read_block(span: &Span, window: &mut Window<'_>) -> io::Result<Option<(Block, u64)>> {
    let most = span.text_end.min(span.text + BLOCK_MOST);
    let mut text = Vec::new();
    let mut at = span.text;
    while at < most && !text.windows(END.len()).any(|window| window == END.as_bytes()) {
        let octets = window.at(at, most.min(at + 4096))?;
        at += octets.len() as u64;
        text.extend_from_slice(octets);
    }
    Ok(Block::parse(&text).map(|(block, length)| (block, length as u64)))
}

/// The recipients of the message at `span`, as a list shows them.
pub fn views(
    file: &File,
    spans: impl Iterator<Item = Span>,
    most: usize,
) -> io::Result<Vec<QueueView>> {
    let mut window = Window::new(file);
    let mut views = Vec::new();
    for span in spans {
        let Some((block, length)) = read_block(&span, &mut window)? else {
            continue;
        };
        // Each line of the block counts one octet more than it has: LF is counted as CRLF.
        let lines = block.recipients.len() as u64 + 4;
        let octets = span.octets.saturating_sub(length + lines);
        views.extend(block.recipients.iter().map(|recipient| view(&block, recipient, octets)));
        if views.len() >= most {
            views.truncate(most);
            break;
        }
    }
    Ok(views)
}

fn view(block: &Block, recipient: &Recipient, octets: u64) -> QueueView {
    let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    QueueView {
        id: block.id.clone(),
        reverse_path: block.reverse_path.clone(),
        recipient: recipient.forward_path.clone(),
        state: recipient.state,
        octets,
        queued: at(block.queued).unwrap_or(UNIX_EPOCH),
        attempts: recipient.attempts,
        last_reply: recipient.last_reply.clone(),
        next_attempt: (recipient.next_attempt > 0).then(|| at(recipient.next_attempt)).flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(recipients: Vec<Recipient>) -> Block {
        Block { id: "1-2-3".into(), reverse_path: "a@b".into(), queued: 1_758_106_800, recipients }
    }

    #[test]
    fn a_new_block_holds_its_envelope() {
        let text = envelope_block("a@localhost", &["b@example.org".into(), "\"c>d\"@x".into()]);
        let message = format!("{text}Subject: x\r\nX-MC-Rcpt: P 0 0 <evil@example.org>\r\n");
        let (block, length) = Block::parse(message.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        assert_eq!(block.reverse_path, "a@localhost");
        let paths: Vec<_> = block.recipients.iter().map(|r| r.forward_path.as_str()).collect();
        assert_eq!(paths, ["b@example.org", "\"c>d\"@x"]);
        assert!(block.recipients.iter().all(|r| r.state == RecipientState::Pending));
    }

    #[test]
    fn a_message_without_a_block_has_no_envelope() {
        for text in
            ["", "Subject: x\n\nX-MC-Id: 1\n", "X-MC-Id: 1\nX-MC-From: <a>\nX-MC-Queued: 1\n"]
        {
            assert_eq!(Block::parse(text.as_bytes()), None, "{text}");
        }
    }

    fn recipient() -> impl Strategy<Value = Recipient> {
        let state = prop::sample::select(vec![
            RecipientState::Pending,
            RecipientState::Delivered,
            RecipientState::Failed,
            RecipientState::Held,
        ]);
        (
            state,
            any::<u32>(),
            any::<u64>(),
            "[a-z]{1,5}@[a-z.]{1,9}",
            "([2-5]50 [a-z<> ]{0,9}[a-z])?",
        )
            .prop_map(|(state, attempts, next_attempt, forward_path, last_reply)| {
                Recipient { state, attempts, next_attempt, forward_path, last_reply }
            })
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(recipients in prop::collection::vec(recipient(), 0..5)) {
            let block = block(recipients);
            let text = block.render();
            prop_assert_eq!(Block::parse(text.as_bytes()), Some((block, text.len())));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Block::parse(&text);
        }
    }
}
