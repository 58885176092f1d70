//! The replies of the POP3 server (RFC 1939, docs/protocol.md 4.2).

use crate::servers::pop3::command::Pop3Refusal;
use crate::servers::pop3::maildrop::Absent;
use crate::servers::session::Reply;
use crate::store::mbox::NotMbox;

pub(super) const OK: Reply = Reply::fixed("+OK");
pub(super) const SEND_PASS: Reply = Reply::fixed("+OK send PASS");
pub(super) const DELETED: Reply = Reply::fixed("+OK message deleted");
pub(super) const GOODBYE: Reply = Reply::fixed("+OK Goodbye!");

pub(super) const NOT_SUPPORTED: Reply = Reply::fixed("-ERR Not supported");
pub(super) const TOO_LONG: Reply = Reply::fixed("-ERR Line too long");
pub(super) const LOG_IN_FIRST: Reply = Reply::fixed("-ERR log in first, with USER and PASS");
pub(super) const LOGGED_IN: Reply = Reply::fixed("-ERR already logged in");
pub(super) const USER_FIRST: Reply = Reply::fixed("-ERR USER first");
pub(super) const LOGIN_REFUSED: Reply = Reply::fixed("-ERR invalid user name or password");
pub(super) const TOO_MANY_GUESSES: Reply =
    Reply::fixed("-ERR too many wrong passwords from your address, try again in a minute");
pub(super) const IN_USE: Reply =
    Reply::fixed("-ERR [IN-USE] maildrop is locked by another POP3 session");
pub(super) const BUSY: Reply =
    Reply::fixed("-ERR [SYS/TEMP] mailbox in use by another program, try again later");
pub(super) const NO_MAILDROP: Reply = Reply::fixed("-ERR mailbox cannot be read");
pub(super) const UNREADABLE: Reply =
    Reply::fixed("-ERR message cannot be read, the mailbox has changed or is damaged");
pub(super) const REPLACED: Reply = Reply::fixed(
    "-ERR [SYS/TEMP] the mailbox's directory has been replaced, nothing removed, log in again",
);
pub(super) const NOT_REMOVED: Reply = Reply::fixed("-ERR some deleted messages not removed");
pub(super) const SHUTTING_DOWN: Reply = Reply::fixed("-ERR Server shutting down");
pub(super) const TOO_MANY: Reply = Reply::fixed("-ERR Too many connections, try again later");
pub(super) const OPERATOR: Reply = Reply::fixed("-ERR Closed by the operator");

pub(super) const fn refusal(refusal: Pop3Refusal) -> Reply {
    match refusal {
        Pop3Refusal::NotSupported => NOT_SUPPORTED,
        Pop3Refusal::ArgumentMissing => Reply::fixed("-ERR argument missing"),
        Pop3Refusal::ArgumentNotTaken => Reply::fixed("-ERR this command takes no argument"),
        Pop3Refusal::NotANumber => Reply::fixed("-ERR not a message number"),
        Pop3Refusal::NotPrintable => Reply::fixed("-ERR argument is not printable ASCII"),
    }
}

/// The reason quotes the file, escaped and cut, so that the line stays well below 512 octets.
pub(super) fn not_mbox(why: &NotMbox) -> Reply {
    format!("-ERR mailbox is {why}").into()
}

pub(super) const fn absent(absent: Absent) -> Reply {
    match absent {
        Absent::NoSuchMessage => Reply::fixed("-ERR no such message"),
        Absent::Deleted => Reply::fixed("-ERR message is deleted"),
    }
}
