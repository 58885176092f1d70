//! The format of a journal record (docs/files.md 8.3 to 8.5). Does no I/O.
//!
//! ```text
//!  0  magic      8 octets
//!  8  journal    u64, the number of the journal that the record belongs to
//! 16  number     u64, one more than that of the record before
//! 24  first      u64, the number of the oldest record that is still needed
//! 32  time       u64, milliseconds since 1970
//! 40  length     u32, octets of the body
//! 44  appends    u32, how many files are appended to
//! 48  body CRC   u32, CRC-32 of the body
//! 52  CRC        u32, CRC-32 of the 52 octets before
//! 56  states     one octet for each append, not part of any checksum: changed in place later
//!     body       the texts, each once; then for each append its file and what precedes each text
//! ```
//!
//! All numbers are little-endian. Octets of messages are inverted, so that a search of the
//! directory for a message, or a count, does not find it twice.

use std::mem;

use crate::store::text::Blocks;

/// Octets before the states.
pub const HEADER: usize = 56;

const MAGIC: &[u8; 8] = b"mcrec\0\0\x02";

/// The state of an append to one file: one octet, overwritten in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may not have begun, or may be torn.
    Begun,
    /// The kernel has it, and every program that reads the file sees it.
    Appended,
    /// It is on disk: written only after the file has been synced.
    Durable,
    /// It was undone, and the sender was told so.
    Undone,
    /// It failed and could not be undone: its remains must be cut off.
    Torn,
}

impl State {
    /// The octet that stands for the state.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Begun => 0,
            Self::Appended => 1,
            Self::Durable => 2,
            Self::Undone => 3,
            Self::Torn => 4,
        }
    }

    /// Whether the journal is no longer needed for it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Durable | Self::Undone)
    }

    const fn of(octet: u8) -> Self {
        match octet {
            1 => Self::Appended,
            2 => Self::Durable,
            3 => Self::Undone,
            4 => Self::Torn,
            // Unknown octets count as the state that assumes least.
            _ => Self::Begun,
        }
    }
}

/// A record under construction: first the texts, then the appends.
#[derive(Debug, Default)]
pub struct Draft {
    /// Header, states and body.
    octets: Vec<u8>,
    appends: u32,
}

impl Draft {
    /// An empty record of `appends` appends, which reuses the memory of an earlier one.
    #[must_use]
    pub fn new(appends: usize, memory: Vec<u8>) -> Self {
        let mut octets = memory;
        octets.clear();
        octets.resize(HEADER + appends, 0);
        Self { octets, appends: u32::try_from(appends).unwrap_or(u32::MAX) }
    }

    /// Writes the number of texts that follow.
    pub fn texts(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// Adds a text with all its octets.
    pub fn repeated(&mut self, text: &[u8]) {
        self.octets.push(REPEATED);
        self.bytes(text);
    }

    /// Adds a long text by its length and checksums only.
    pub fn summed(&mut self, octets: u64, blocks: &Blocks) {
        self.octets.push(SUMMED);
        self.number(octets);
        self.number(blocks.checksums().len() as u64);
        for checksum in blocks.checksums() {
            self.octets.extend_from_slice(&checksum.to_le_bytes());
        }
    }

    /// Begins an append of `pieces` pieces to a file, which is identified by its name, its device
    /// and inode, and its size before.
    pub fn append(&mut self, file: &str, identity: (u64, u64), old_size: u64, pieces: usize) {
        self.bytes(file.as_bytes());
        for number in [identity.0, identity.1, old_size, pieces as u64] {
            self.number(number);
        }
    }

    /// Adds a piece of the append: the octets before a text, and the index of the text.
    pub fn piece(&mut self, head: &[&[u8]], text: usize) {
        self.number(text as u64);
        self.number(head.iter().map(|part| part.len() as u64).sum());
        for part in head {
            self.inverted(part);
        }
    }

    fn number(&mut self, number: u64) {
        self.octets.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.inverted(bytes);
    }

    fn inverted(&mut self, bytes: &[u8]) {
        self.octets.extend(bytes.iter().map(|byte| !byte));
    }

    /// Completes the body and its checksum.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let body = self.octets.get(HEADER + self.appends as usize..).unwrap_or_default();
        let (length, checksum) = (body.len(), crc32fast::hash(body));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        for (at, number) in [(40, length), (44, self.appends), (48, checksum)] {
            put(&mut self.octets, at, &number.to_le_bytes());
        }
        Finished { octets: self.octets, appends: self.appends }
    }
}

/// A record that lacks only its numbers.
#[derive(Debug)]
pub struct Finished {
    octets: Vec<u8>,
    appends: u32,
}

/// Identify a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The journal that it belongs to: a random number.
    pub journal: u64,
    /// One more than that of the record before.
    pub number: u64,
    /// Number of the oldest record that is still needed.
    pub first: u64,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
}

impl Finished {
    /// A record without appends, which only says which record is the oldest still needed.
    #[must_use]
    pub fn checkpoint() -> Self {
        Draft::new(0, Vec::new()).finish()
    }

    /// Adds the numbers; returns the octets to write.
    pub fn numbered(&mut self, numbers: Numbers) -> &[u8] {
        put(&mut self.octets, 0, MAGIC);
        let Numbers { journal, number, first, time } = numbers;
        for (at, number) in [(8, journal), (16, number), (24, first), (32, time)] {
            put(&mut self.octets, at, &number.to_le_bytes());
        }
        let checksum = crc32fast::hash(self.octets.get(..52).unwrap_or_default());
        put(&mut self.octets, 52, &checksum.to_le_bytes());
        &self.octets
    }

    /// Octets of the whole record.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.octets.len() as u64
    }

    /// Number of files it appends to.
    #[must_use]
    pub const fn appends(&self) -> usize {
        self.appends as usize
    }

    /// Returns the memory, for the next record.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.octets
    }
}

fn put(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = octets.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

const REPEATED: u8 = 1;
const SUMMED: u8 = 2;

/// A record read from a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Identify the record.
    pub numbers: Numbers,
    /// The appends, one for each file.
    pub appends: Vec<Append>,
    texts: Vec<Text>,
}

/// The messages appended to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// How far the append had come.
    pub state: State,
    /// Name of the file.
    pub file: String,
    /// Which file: device and inode.
    pub identity: (u64, u64),
    /// Size of the file before the append, in octets.
    pub old_size: u64,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    head: Vec<u8>,
    text: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Repeated(Vec<u8>),
    Summed(u64, Blocks),
}

/// One message as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All octets of the message.
    Whole(Vec<u8>),
    /// A long message: the octets before the text, and the length and checksums of the text. An LF
    /// follows the text.
    Summed {
        /// The separation from the message before, the From_ line and, in the queue, the envelope.
        head: Vec<u8>,
        /// Length of the text in octets.
        octets: u64,
        /// Checksums of the text.
        blocks: Blocks,
    },
}

impl Content {
    /// Octets of the message in the file.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        match self {
            Self::Whole(octets) => octets.len() as u64,
            Self::Summed { head, octets, .. } => head.len() as u64 + *octets + 1,
        }
    }
}

impl Record {
    /// Parses the record at the beginning of `octets`; anything may follow it. `None` if there is
    /// no whole record of this journal.
    #[must_use]
    pub fn read(octets: &[u8], journal: u64) -> Option<Self> {
        let header = octets.get(..HEADER)?;
        let mut fields = Fields(header.strip_prefix(MAGIC)?);
        let numbers = Numbers {
            journal: fields.u64()?,
            number: fields.u64()?,
            first: fields.u64()?,
            time: fields.u64()?,
        };
        let (length, appends, body_checksum) = (fields.u32()?, fields.u32()?, fields.u32()?);
        // First the header: only then can the lengths in it be trusted.
        let checksum = crc32fast::hash(header.get(..52)?);
        if numbers.journal != journal || fields.u32()? != checksum {
            return None;
        }
        let mut rest = Fields(octets.get(HEADER..)?);
        // Not covered by a checksum, because they are overwritten later.
        let states = rest.take(appends as usize)?;
        let body = rest.take(length as usize)?;
        if crc32fast::hash(body) != body_checksum {
            return None;
        }
        Self::of_body(numbers, states, body)
    }

    fn of_body(numbers: Numbers, states: &[u8], body: &[u8]) -> Option<Self> {
        if states.is_empty() {
            return Some(Self { numbers, appends: Vec::new(), texts: Vec::new() });
        }
        let mut body = Fields(body);
        let texts = (0..body.u64()?).map(|_| Text::read(&mut body)).collect::<Option<_>>()?;
        let append = |state: &u8| Append::read(State::of(*state), &mut body);
        let appends = states.iter().map(append).collect::<Option<_>>()?;
        Some(Self { numbers, appends, texts })
    }

    /// The messages of one of its appends, in the order of the file.
    #[must_use]
    pub fn messages(&self, append: &Append) -> Vec<Content> {
        let content = |piece: &Piece| match self.texts.get(piece.text)? {
            Text::Repeated(text) => {
                let mut octets = Vec::with_capacity(piece.head.len() + text.len() + 1);
                octets.extend_from_slice(&piece.head);
                octets.extend_from_slice(text);
                octets.push(b'\n');
                Some(Content::Whole(octets))
            }
            Text::Summed(octets, blocks) => Some(Content::Summed {
                head: piece.head.clone(),
                octets: *octets,
                blocks: blocks.clone(),
            }),
        };
        append.pieces.iter().filter_map(content).collect()
    }
}

impl Append {
    fn read(state: State, body: &mut Fields<'_>) -> Option<Self> {
        let file = String::from_utf8(body.bytes()?).ok()?;
        let identity = (body.u64()?, body.u64()?);
        let (old_size, pieces) = (body.u64()?, body.u64()?);
        let piece = |_| {
            let text = usize::try_from(body.u64()?).ok()?;
            Some(Piece { head: body.bytes()?, text })
        };
        let pieces = (0..pieces).map(piece).collect::<Option<_>>()?;
        Some(Self { state, file, identity, old_size, pieces })
    }
}

impl Text {
    fn read(body: &mut Fields<'_>) -> Option<Self> {
        match body.take(1)? {
            [REPEATED] => Some(Self::Repeated(body.bytes()?)),
            [SUMMED] => {
                let octets = body.u64()?;
                let checksums = (0..body.u64()?).map(|_| body.u32()).collect::<Option<_>>()?;
                Some(Self::Summed(octets, Blocks::of_checksums(checksums)))
            }
            _ => None,
        }
    }
}

/// Reads little-endian numbers from a byte string.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = mem::take(&mut self.0).split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.u64()?).ok()?;
        Some(self.take(length)?.iter().map(|octet| !octet).collect())
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMBERS: Numbers = Numbers { journal: 7, number: 3, first: 2, time: 1_758_106_800_000 };

    fn written(text: &[u8]) -> Vec<u8> {
        let mut draft = Draft::new(2, Vec::new());
        draft.texts(1);
        draft.repeated(text);
        for file in ["a.mbox", "b.mbox"] {
            draft.append(file, (1, 2), 30, 1);
            draft.piece(&[b"\n", b"From x\n"], 0);
        }
        draft.finish().numbered(NUMBERS).to_vec()
    }

    #[test]
    fn what_is_written_is_read() {
        let record = Record::read(&written(b"text\r\n"), 7).unwrap();
        assert_eq!(record.numbers, NUMBERS);
        for (append, file) in record.appends.iter().zip(["a.mbox", "b.mbox"]) {
            assert_eq!((append.file.as_str(), append.old_size), (file, 30));
            assert_eq!(append.state, State::Begun);
            let whole = Content::Whole(b"\nFrom x\ntext\r\n\n".to_vec());
            assert_eq!(record.messages(append), [whole]);
        }
    }

    #[test]
    fn a_state_is_changed_without_touching_a_checksum() {
        let mut octets = written(b"text");
        octets[HEADER + 1] = State::Durable.octet();
        let states: Vec<_> =
            Record::read(&octets, 7).unwrap().appends.iter().map(|append| append.state).collect();
        assert_eq!(states, [State::Begun, State::Durable]);
    }

    #[test]
    fn a_checkpoint_has_numbers_only() {
        let octets = Finished::checkpoint().numbered(NUMBERS).to_vec();
        let record = Record::read(&octets, 7).unwrap();
        assert_eq!((record.numbers, record.appends.len()), (NUMBERS, 0));
    }

    #[test]
    fn a_record_of_another_journal_or_with_any_octet_changed_is_none() {
        let octets = written(b"text");
        assert_eq!(Record::read(&octets, 8), None);
        for at in 0..octets.len() {
            let is_padding_or_state = (HEADER..HEADER + 2).contains(&at);
            let mut changed = octets.clone();
            changed[at] ^= 0x40;
            assert_eq!(Record::read(&changed, 7).is_none(), !is_padding_or_state, "{at}");
        }
    }

    #[test]
    fn a_message_does_not_stand_in_it_as_it_is() {
        let octets = written(b"Subject: plain to see");
        assert!(!octets.windows(5).any(|window| window == b"plain"));
    }

    proptest! {
        #[test]
        fn no_octets_make_reading_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Record::read(&octets, 7).is_none());
            let _ = Record::of_body(NUMBERS, &[0, 0], &octets);
        }
    }
}
