//! The replies of the POP3 server (RFC 1939, docs/protocol.md 4.2 and 4.11).

use std::borrow::Cow;

use crate::servers::pop3::capabilities::{Code, Offers};
use crate::servers::pop3::command::Pop3Refusal;
use crate::servers::pop3::maildrop::Absent;
use crate::servers::session::Reply;
use crate::store::mbox::NotMbox;

pub(super) const OK: Reply = Reply::fixed("+OK");
pub(super) const SEND_PASS: Reply = Reply::fixed("+OK send PASS");
pub(super) const TOP: Reply = Reply::fixed("+OK top of message follows");
pub(super) const DELETED: Reply = Reply::fixed("+OK message deleted");
pub(super) const GOODBYE: Reply = Reply::fixed("+OK Goodbye!");

pub(super) const NOT_SUPPORTED: Reply = Reply::fixed("-ERR Not supported");
pub(super) const TOO_LONG: Reply = Reply::fixed("-ERR Line too long");
pub(super) const LOG_IN_FIRST: Reply = Reply::fixed("-ERR log in first, with USER and PASS");
/// Where USER was taken away.
pub(super) const LOG_IN_FIRST_SOMEHOW: Reply = Reply::fixed("-ERR log in first");
pub(super) const LOGGED_IN: Reply = Reply::fixed("-ERR already logged in");
pub(super) const BEGIN_TLS: Reply = Reply::fixed("+OK begin TLS");
pub(super) const TLS_ALREADY: Reply = Reply::fixed("-ERR TLS has begun already");
pub(super) const TLS_FIRST: Reply = Reply::fixed("-ERR STLS first");
pub(super) const NO_SECRETS: Reply =
    Reply::fixed("-ERR AUTH is offered only over TLS and to clients on this machine");
pub(super) const MECHANISMS: Reply = Reply::fixed("+OK mechanisms follow\r\nPLAIN\r\n.");
pub(super) const NO_SUCH_MECHANISM: Reply = Reply::fixed("-ERR this mechanism is not offered");
pub(super) const MALFORMED: Reply =
    Reply::fixed("-ERR not base64, or not what this mechanism sends");
pub(super) const CANCELLED: Reply = Reply::fixed("-ERR AUTH cancelled");
pub(super) const ONLY_BEFORE_LOGIN: Reply =
    Reply::fixed("-ERR this command comes before the login only");
pub(super) const USER_FIRST: Reply = Reply::fixed("-ERR USER first");
pub(super) const LOGIN_REFUSED: Failure = Failure::new(Code::Auth, "invalid user name or password");
pub(super) const TOO_MANY_GUESSES: Reply =
    Reply::fixed("-ERR too many wrong passwords from your address, try again in a minute");
pub(super) const IN_USE: Failure =
    Failure::new(Code::InUse, "maildrop is locked by another POP3 session");
pub(super) const BUSY: Failure =
    Failure::new(Code::SysTemp, "mailbox in use by another program, try again later");
pub(super) const NO_MAILDROP: Reply = Reply::fixed("-ERR mailbox cannot be read");
pub(super) const UNREADABLE: Reply =
    Reply::fixed("-ERR message cannot be read, the mailbox has changed or is damaged");
pub(super) const REPLACED: Failure = Failure::new(
    Code::SysTemp,
    "the mailbox's directory has been replaced, nothing removed, log in again",
);
pub(super) const NOT_REMOVED: Reply = Reply::fixed("-ERR some deleted messages not removed");
pub(super) const SHUTTING_DOWN: Reply = Reply::fixed("-ERR Server shutting down");
pub(super) const TOO_MANY: Reply = Reply::fixed("-ERR Too many connections, try again later");
pub(super) const OPERATOR: Reply = Reply::fixed("-ERR Closed by the operator");

/// The reply of success to a command; `None` where the reply is all that it does.
pub(super) fn success(verb: Option<&str>) -> Option<Reply> {
    Some(match verb {
        Some("CAPA" | "STAT" | "LIST" | "UIDL" | "RETR" | "TOP" | "NOOP") => return None,
        Some("USER") => SEND_PASS,
        // How much is there is not known before the maildrop is open.
        Some("PASS" | "APOP" | "AUTH") => Reply::fixed("+OK 0 messages (0 octets)"),
        Some("STLS") => BEGIN_TLS,
        Some("DELE") => DELETED,
        Some("QUIT") => GOODBYE,
        _ => OK,
    })
}

pub(super) const fn refusal(refusal: Pop3Refusal) -> Reply {
    match refusal {
        Pop3Refusal::NotSupported => NOT_SUPPORTED,
        Pop3Refusal::ArgumentMissing => Reply::fixed("-ERR argument missing"),
        Pop3Refusal::ArgumentNotTaken => Reply::fixed("-ERR this command takes no argument"),
        Pop3Refusal::NotANumber => Reply::fixed("-ERR not a message number"),
        Pop3Refusal::NotACount => Reply::fixed("-ERR not a number of lines"),
        Pop3Refusal::NotADigest => Reply::fixed("-ERR not a digest of 32 hexadecimal digits"),
        Pop3Refusal::NotUtf8 => Reply::fixed("-ERR argument is not printable UTF-8"),
        Pop3Refusal::NotPrintable => Reply::fixed("-ERR argument is not printable ASCII"),
    }
}

/// An error whose cause may be told to programs too.
pub(super) struct Failure {
    code: Code,
    text: Cow<'static, str>,
}

impl Failure {
    const fn new(code: Code, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// The reply, with its code where such codes stand.
    pub(super) fn to(&self, offers: &Offers) -> Reply {
        let Self { code, text } = self;
        if offers.has_code(*code) {
            return format!("-ERR {} {text}", code.text()).into();
        }
        format!("-ERR {text}").into()
    }
}

/// The reason quotes the file, escaped and cut, so that the line stays well below 512 octets.
pub(super) fn not_mbox(why: &NotMbox) -> Failure {
    Failure { code: Code::SysPerm, text: format!("mailbox is {why}").into() }
}

pub(super) const fn absent(absent: Absent) -> Reply {
    match absent {
        Absent::NoSuchMessage => Reply::fixed("-ERR no such message"),
        Absent::Deleted => Reply::fixed("-ERR message is deleted"),
    }
}
