//! What happened in one scenario, as plain values: the conversation, the mailboxes, the exit status.

/// Octets of one line that are kept.
pub const LINE_KEPT: usize = 300;

/// Which protocol the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// It sends mail.
    Smtp,
    /// It fetches mail.
    Pop3,
}

impl Protocol {
    /// The name as rules and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
        }
    }
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Nothing: it is the greeting.
    Greeting,
    /// The command at this index of the conversation.
    Command(usize),
    /// Nothing that the client had asked.
    Nothing,
}

/// Something on the wire, or told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A connection began.
    Opened,
    /// A command, without its line end; `.` for the end of a message.
    Command {
        /// Its first octets.
        line: Vec<u8>,
        /// Whether another reply was still due when it came.
        is_pipelined: bool,
    },
    /// What a client answers to a challenge during AUTH.
    Answer,
    /// A line of a reply, without its line end.
    Reply {
        /// Its first octets.
        line: Vec<u8>,
        /// Its length in octets, without its line end.
        octets: u64,
        /// What it answers.
        to: Answers,
        /// Whether the reply ends with it.
        is_last: bool,
    },
    /// Text of a message, in either direction.
    Text {
        /// Who sent it.
        side: Side,
        /// So many octets, with line ends.
        octets: u64,
        /// Whether its end has come.
        is_whole: bool,
    },
    /// A rule has acted.
    Fault(String),
    /// TLS began.
    Secured,
    /// The connection ended; by whom, if by one of the two.
    Closed(Option<Side>),
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Which connection of the run, from 0 on.
    pub connection: usize,
    /// Seconds since the command was started.
    pub at: f64,
    /// What it was.
    pub what: What,
}

/// How one run of the command went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// The conversation, in the order of the wire.
    pub entries: Vec<Entry>,
    /// The exit status; `None` if the command was ended, by us or by a signal.
    pub exit: Option<i32>,
    /// Whether it was still at work when patience ended.
    pub timed_out: bool,
    /// How long it ran.
    pub seconds: f64,
    /// How long nothing happened on the wire before it ended, without the time in which other programs
    /// kept it from running.
    pub waited: f64,
    /// Seconds of the processor that it used in that time, with all its children.
    pub burnt: f64,
    /// How often a rule has acted.
    pub hits: u64,
    /// SMTP: the messages in the mailboxes at its end.
    pub stored: Vec<Stored>,
    /// POP3: the numbers, from 1 on, of the messages that are still in the maildrop.
    pub left: Vec<usize>,
    /// POP3: for each message of the maildrop, what of it lies in `{out}` or was printed.
    pub delivered: Vec<Delivered>,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whose.
    pub mailbox: String,
    /// Its Message-ID, if it has one.
    pub message_id: Option<String>,
}

/// What of one message a client has delivered, over all runs so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How often its beginning is there.
    pub begun: usize,
    /// How often its end is there.
    pub ended: usize,
}

/// All that is known of one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The scenario.
    pub name: String,
    /// The runs, one or two.
    pub runs: Vec<Run>,
    /// The Message-ID of the message that it is to send.
    pub message_id: String,
}
