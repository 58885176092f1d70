//! Every limit and time-out of the servers, and where it comes from.

use std::time::Duration;

/// Recipients of one message. RFC 5321 section 4.5.3.1.8 asks for at least 100.
pub const RECIPIENTS: usize = 1_000;

/// Octets of message text, unless the operator sets another limit. RFC 5321 section 4.5.3.1.7
/// asks for at least 64 K.
pub const MESSAGE_OCTETS: u64 = 64 * 1_024 * 1_024;

/// Failed logins on one connection; with the last of them it is closed.
pub const LOGIN_FAILURES: u32 = 10;

/// How long the verdict on a password waits after the first wrong one; each further one doubles it.
pub const GUESS_DELAY: Duration = Duration::from_millis(100);

/// The longest that this becomes. Mail clients wait longer for an answer; whoever guesses gets an hour
/// for 3,600.
pub const GUESS_DELAY_MOST: Duration = Duration::from_secs(1);

/// Wrong passwords from one address, over all its connections, that count as slips.
pub const TYPOS: u32 = 3;

/// How long it takes for one wrong password to be forgotten.
pub const GUESS_FORGIVEN: Duration = Duration::from_secs(10);

/// How long guesses that come from one address at once may wait for each other.
pub const GUESS_WAIT_MOST: Duration = Duration::from_secs(30);

/// Addresses whose wrong passwords are counted.
pub const GUESSERS_MOST: usize = 4_096;

/// How long an SMTP client may be silent (RFC 5321 section 4.5.3.2.7).
pub const SMTP_IDLE: Duration = Duration::from_mins(5);

/// How long a POP3 client may be silent (RFC 1939 section 3).
pub const POP3_IDLE: Duration = Duration::from_mins(10);

/// The longest idle limit that can be set. The clock ends somewhere, and a limit beyond its end
/// would be a panic in every connection.
pub const IDLE_MOST: Duration = Duration::from_hours(365 * 24);

/// Octets of message text that every idle period must bring; a client that trickles less holds
/// its place for nothing.
pub const TEXT_PACE_OCTETS: usize = 1_024;

/// How long a peer may take nothing of what is sent to it.
pub const WRITE_STALL: Duration = Duration::from_mins(1);

/// How long what is under way to a peer may still take once the servers shut down. A hundred
/// clients must be gone within a second.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// How long a peer may take to close its side after our last word; until then what it still sends
/// is read, because unread input makes the kernel reset the connection and destroy that word.
pub const LINGER: Duration = Duration::from_secs(1);

/// The same while the servers shut down.
pub const LINGER_AT_SHUTDOWN: Duration = Duration::from_millis(200);

/// Octets asked for in one read of commands.
pub const READ_OCTETS: usize = 16 * 1_024;

/// Octets asked for in one read of message text.
pub const TEXT_READ_OCTETS: usize = 64 * 1_024;

/// Capacity of the input buffer that each thread keeps for whichever connection is read next.
pub const SPARE_OCTETS: usize = 2 * TEXT_READ_OCTETS;

/// Octets of replies that wait for the next write; above this the peer must take some first.
pub const REPLIES_OCTETS: usize = 64 * 1_024;

/// Capacity that the buffer of replies keeps while a connection is idle.
pub const REPLIES_KEPT: usize = 256;

/// Connections at once, unless the operator sets another limit.
pub const CONNECTIONS: usize = 20_000;

/// Connections over that limit that are being told so at once; of more, the rest hear it without
/// the courtesy of lingering.
pub const REFUSALS: usize = 64;

/// Connections that the kernel may hold for us to accept.
pub const BACKLOG: i32 = 4_096;

/// Descriptors that connections leave to the files of the store and the process's own.
pub const RESERVED_DESCRIPTORS: usize = 64;

/// How long accepting pauses when the machine is out of something, such as descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tries to find one port that is free on every address, when the system is to choose it.
pub const PORT_CHOICES: u32 = 16;
