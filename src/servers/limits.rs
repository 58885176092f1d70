//! All limits and timeouts of the servers, with their sources (docs/protocol.md 1.12).

use std::time::Duration;

/// The most recipients of one message. RFC 5321 section 4.5.3.1.8 requires at least 100.
pub const RECIPIENTS: usize = 1_000;

/// The default for the most mailboxes in a directory before no more are made for new recipients.
pub const MAILBOXES: usize = 1_000;

/// The default for the most octets of message text. RFC 5321 section 4.5.3.1.7 requires at least 64
/// K.
pub const MESSAGE_OCTETS: u64 = 64 * 1_024 * 1_024;

/// The most failed logins on one connection; the last of them closes it.
pub const LOGIN_FAILURES: u32 = 10;

/// How long the reply to a password is delayed after the first wrong one; each further one doubles
/// it.
pub const GUESS_DELAY: Duration = Duration::from_millis(100);

/// The longest delay. Some mail clients give up after five seconds and must still get the reply; an
/// attacker gets 3,600 guesses an hour.
pub const GUESS_DELAY_MOST: Duration = Duration::from_secs(1);

/// The wrong passwords from one address, over all its connections, that are taken for typing errors
/// and cause no delay to new connections.
pub const TYPOS: u32 = 3;

/// The time after which one wrong password is forgotten.
pub const GUESS_FORGIVEN: Duration = Duration::from_secs(10);

/// The longest time that simultaneous guesses from one address may queue for their replies.
pub const GUESS_WAIT_MOST: Duration = Duration::from_secs(30);

/// The most addresses whose wrong passwords are counted.
pub const GUESSERS_MOST: usize = 4_096;

/// The wrong answers to AUTH on one connection that are answered at once.
pub const AUTH_FREE: u32 = 2;

/// How long the reply to the next wrong answer is delayed; each further one doubles it.
pub const AUTH_DELAY: Duration = Duration::from_millis(500);

/// The longest delay of a reply to AUTH.
pub const AUTH_DELAY_MOST: Duration = Duration::from_secs(4);

/// The wrong answers from one address, POP3's included, after which no connection from there has any
/// that are answered at once.
pub const AUTH_WRONG: usize = 20;

/// The time within which they are counted.
pub const AUTH_WRONG_WITHIN: Duration = Duration::from_mins(1);

/// The most octets of a line of an AUTH exchange, without its CRLF (RFC 4954 section 4): base64 of
/// what mechanisms with tickets and tokens send is longer than any command.
pub const AUTH_LINE_OCTETS: usize = 12_288;

/// The idle limit of SMTP connections (RFC 5321 section 4.5.3.2.7).
pub const SMTP_IDLE: Duration = Duration::from_mins(5);

/// The idle limit of POP3 connections (RFC 1939 section 3).
pub const POP3_IDLE: Duration = Duration::from_mins(10);

/// The longest idle limit that can be set. A limit beyond the range of the clock would make every
/// connection panic.
pub const IDLE_MOST: Duration = Duration::from_hours(365 * 24);

/// The octets of message text that renew the idle period; a client that sends more slowly holds its
/// connection for nothing.
pub const TEXT_PACE_OCTETS: usize = 1_024;

/// How long a peer may read nothing of what is sent to it.
pub const WRITE_STALL: Duration = Duration::from_mins(1);

/// How long output to a peer may still take once the servers shut down. The connections of a
/// hundred clients must be closed within a second.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// How long a peer may take to close its side after our last reply. Until then its input is read
/// and dropped, because unread input would make the kernel reset the connection and destroy that
/// reply.
pub const LINGER: Duration = Duration::from_secs(1);

/// [`LINGER`] while the servers shut down.
pub const LINGER_AT_SHUTDOWN: Duration = Duration::from_millis(200);

/// How long a peer may take to close its side after a fault has closed ours: a client that reads
/// slowly must see a clean end.
pub const FAULT_LINGER: Duration = Duration::from_secs(5);

/// How long a fault keeps a connection on which nothing more is said.
pub const HANG_MOST: Duration = Duration::from_hours(1);

/// How long a reset waits until the peer's system has acknowledged what was written.
pub const RESET_WAIT: Duration = Duration::from_secs(5);

/// The octets of an answer that are kept until its length is known, to say half of it.
pub const HALF_KEPT: usize = 1 << 20;

/// How long a client may take for a TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// The most octets given to a TLS layer at once: a record of it (RFC 8446 section 5.1).
pub const RECORD_OCTETS: usize = 16 * 1_024;

/// The most octets of one read of commands.
pub const READ_OCTETS: usize = 16 * 1_024;

/// The most octets of one read of message text.
pub const TEXT_READ_OCTETS: usize = 64 * 1_024;

/// Capacity of the spare input buffer that each thread keeps for the next connection to read.
pub const SPARE_OCTETS: usize = 2 * TEXT_READ_OCTETS;

/// The octets of output that may wait for the next write; above this the peer must read some first.
pub const REPLIES_OCTETS: usize = 64 * 1_024;

/// Capacity of the output buffer that an idle connection may keep.
pub const REPLIES_KEPT: usize = 256;

/// The default for simultaneous connections over all servers.
pub const CONNECTIONS: usize = 20_000;

/// The connections over that limit that get an orderly refusal at the same time. Further ones get
/// the reply and are closed at once.
pub const REFUSALS: usize = 64;

/// The connections the kernel may queue for `accept`.
pub const BACKLOG: i32 = 4_096;

/// The descriptors kept free of connections, for files of the store and of the process.
pub const RESERVED_DESCRIPTORS: usize = 64;

/// How long accepting pauses when a resource such as descriptors runs out.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The attempts to find a port that is free on every address, when the system chooses it.
pub const PORT_CHOICES: u32 = 16;
