//! What a fault does to the answer of one command: the plan that a channel carries out.

use std::num::NonZeroU64;
use std::time::Duration;

/// What becomes of one command, text or greeting, and of its reply. Carried out in this order: delay,
/// words, what is glued behind them, end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What becomes of the work.
    pub work: Work,
    /// Whether a delay comes after the work; otherwise it comes before.
    pub acts_after_work: bool,
    /// How long to wait before the reply.
    pub delay: Option<Duration>,
    /// What is said.
    pub says: Says,
    /// What is changed in what is said.
    pub shape: Shape,
    /// How the connection ends behind it.
    pub end: Option<Ending>,
    /// At `text`: octets per second at which the rest of the text is taken.
    pub slow_read: Option<NonZeroU64>,
    /// At STARTTLS and STLS: what goes wrong in the handshake.
    pub tls: Option<TlsFault>,
}

/// What becomes of the work that a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    /// It is done.
    #[default]
    Done,
    /// It is not done: the session does not see the command.
    NotDone,
    /// It is not done, and the client is told that it was.
    Lied,
}

/// What is said in reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Says {
    /// What the session says.
    #[default]
    ItsReply,
    /// These lines, each without its line end, as they go out.
    Lines(Vec<Vec<u8>>),
    /// These octets, with their line ends if they have any.
    Raw(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// What is changed in a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of the changes, and any may act together"
)]
pub struct Shape {
    /// So many octets at a time, each followed by so long a pause.
    pub drip: Option<(NonZeroU64, Duration)>,
    /// Only this much of it is said; the connection ends behind that, by [`Plan::end`].
    pub most: Option<Most>,
    /// It is said twice.
    pub is_twice: bool,
    /// Line ends are LF.
    pub is_lf: bool,
    /// It is said as so many lines (SMTP).
    pub lines: Option<NonZeroU64>,
    /// Its last line is made so many octets long, with its line end.
    pub pad: Option<u64>,
    /// Octets behind it, in the same write.
    pub append: Option<Vec<u8>>,
    /// The sizes that POP3 tells.
    pub size: Option<Amount>,
    /// The number of messages that STAT tells.
    pub count: Option<Amount>,
    /// The unique-ids that UIDL tells.
    pub uid: Option<UidFault>,
    /// The row of this message is left out of a listing.
    pub omit: Option<Omit>,
    /// The last line, `.`, is left out.
    pub has_no_dot: bool,
    /// Dots at the beginnings of lines are not doubled.
    pub is_unstuffed: bool,
    /// The text has no end.
    pub is_endless: bool,
    /// An operator has typed it.
    pub is_by_hand: bool,
}

/// How much of a reply is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// So many octets.
    Octets(u64),
    /// Half of its octets, rounded down.
    Half,
}

/// A change of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So much more.
    More(u64),
    /// So much less, down to 0.
    Less(u64),
    /// This.
    Is(u64),
}

impl Amount {
    /// The number that is told instead of `true_number`.
    #[must_use]
    pub const fn of(self, true_number: u64) -> u64 {
        match self {
            Self::More(more) => true_number.saturating_add(more),
            Self::Less(less) => true_number.saturating_sub(less),
            Self::Is(number) => number,
        }
    }
}

/// What is wrong with unique-ids (RFC 1939 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UidFault {
    /// All are that of the first message.
    Same,
    /// There are none.
    Empty,
    /// They have 300 characters; 70 are allowed.
    Long,
    /// They are others in each session.
    New,
    /// There are two blanks before them, and one behind.
    Spaces,
}

/// Which row of a listing is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omit {
    /// That of this message.
    Message(u64),
    /// The last one.
    Last,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Behind the reply, in good order: FIN, and what the peer still sends is read and dropped.
    Close,
    /// The same without a reply, or behind a part of one.
    Cut,
    /// By RST, when what was written has been acknowledged.
    Reset,
    /// It does not end, and nothing more is said, for an hour at most.
    Hang,
}

/// What goes wrong when TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The connection ends behind the reply that lets TLS begin.
    Cut,
    /// Octets that are no TLS come instead of the handshake.
    Garbage,
    /// An alert comes instead of the handshake.
    Alert,
    /// The certificate has expired.
    Expired,
    /// The certificate is for another name.
    Name,
    /// The certificate is of an authority that nobody knows.
    Authority,
}
