//! The replies of the SMTP server (RFC 821 section 4.2, docs/protocol.md 3.2), with the enhanced
//! status codes of RFC 3463 for clients that said EHLO and were offered them (RFC 2034).

use crate::servers::recipients::Refusal;
use crate::servers::session::Reply;

/// A reply in its two forms.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmtpReply {
    plain: &'static str,
    enhanced: &'static str,
}

/// Whether replies have enhanced status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusCodes {
    /// Only the reply code.
    Basic,
    /// An enhanced code behind it.
    Enhanced,
}

impl SmtpReply {
    /// The reply as this client gets it.
    pub(super) const fn with(self, codes: StatusCodes) -> Reply {
        Reply::fixed(match codes {
            StatusCodes::Basic => self.plain,
            StatusCodes::Enhanced => self.enhanced,
        })
    }
}

/// A reply code, its enhanced code and its text.
macro_rules! reply {
    ($code:literal $status:literal $text:literal) => {
        SmtpReply {
            plain: concat!($code, " ", $text),
            enhanced: concat!($code, " ", $status, " ", $text),
        }
    };
}

pub(super) const START_MAIL_INPUT: Reply =
    Reply::fixed("354 Start mail input; end with <CRLF>.<CRLF>");

pub(super) const START_TLS: SmtpReply = reply!("220" "2.0.0" "Ready to start TLS");
pub(super) const LOGGED_IN: SmtpReply = reply!("235" "2.7.0" "Authentication succeeded");
pub(super) const OK: SmtpReply = reply!("250" "2.0.0" "OK");
pub(super) const SENDER_OK: SmtpReply = reply!("250" "2.1.0" "OK");
pub(super) const RECIPIENT_OK: SmtpReply = reply!("250" "2.1.5" "OK");
pub(super) const NOT_VERIFIED: SmtpReply =
    reply!("252" "2.1.5" "Cannot VRFY user, but will accept message and attempt delivery");

pub(super) const MAILBOX_BUSY: SmtpReply =
    reply!("451" "4.2.0" "Mailbox in use by another program, try again later");
pub(super) const LOCAL_ERROR: SmtpReply =
    reply!("451" "4.3.0" "Requested action aborted: local error in processing");
pub(super) const NO_SPACE: SmtpReply =
    reply!("452" "4.3.1" "Requested action not taken: insufficient system storage");
pub(super) const TOO_MANY_MAILBOXES: SmtpReply =
    reply!("452" "4.3.1" "Requested action not taken: too many mailboxes");
pub(super) const TOO_MANY_RECIPIENTS: SmtpReply = reply!("452" "4.5.3" "Too many recipients");

pub(super) const UNRECOGNIZED: SmtpReply =
    reply!("500" "5.5.2" "Syntax error, command unrecognized");
pub(super) const TOO_LONG: SmtpReply = reply!("500" "5.5.2" "Line too long");
pub(super) const AUTH_TOO_LONG: SmtpReply =
    reply!("500" "5.5.6" "Authentication exchange line is too long");
pub(super) const NOT_BASE64: SmtpReply =
    reply!("501" "5.5.2" "Cannot decode the authentication exchange");
pub(super) const AUTH_CANCELLED: SmtpReply = reply!("501" "5.7.0" "Authentication cancelled");
pub(super) const WRONG_ARGUMENT: SmtpReply =
    reply!("501" "5.5.4" "Syntax error in parameters or arguments");
pub(super) const NOT_IMPLEMENTED: SmtpReply = reply!("502" "5.5.1" "Command not implemented");
pub(super) const HELO_FIRST: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: HELO first");
pub(super) const EHLO_FIRST: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: EHLO first");
pub(super) const AUTH_ALREADY: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: already logged in");
pub(super) const AUTH_IN_TRANSACTION: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: AUTH is not allowed in a transaction");
pub(super) const NESTED_MAIL: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: a transaction is open, RSET ends it");
pub(super) const MAIL_FIRST: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: MAIL first");
pub(super) const RCPT_FIRST: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: no recipient has been accepted");
pub(super) const BDAT_ONLY: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: BDAT has begun, BDAT LAST or RSET ends it");
pub(super) const NO_DATA_FOR_BINARY: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: BODY=BINARYMIME is sent with BDAT");
pub(super) const TLS_ALREADY: SmtpReply =
    reply!("503" "5.5.1" "Bad sequence of commands: TLS is in use already");
pub(super) const NO_SUCH_MECHANISM: SmtpReply =
    reply!("504" "5.5.4" "Authentication mechanism not supported");
pub(super) const AUTH_FIRST: SmtpReply = reply!("530" "5.7.0" "Authentication required");
pub(super) const TLS_FIRST: SmtpReply = reply!("530" "5.7.0" "Must issue a STARTTLS command first");
pub(super) const LOGIN_REFUSED: SmtpReply =
    reply!("535" "5.7.8" "Authentication credentials invalid");
pub(super) const ENCRYPTION_FIRST: SmtpReply =
    reply!("538" "5.7.11" "Encryption required for this authentication mechanism");
pub(super) const NO_SUCH_USER: SmtpReply =
    reply!("550" "5.1.1" "Requested action not taken: no such user here");
const NO_SUCH_USER_WITH_REMEDY: SmtpReply = reply!(
    "550" "5.1.1"
    "Requested action not taken: no such user here; make the mailbox with n in the console, or \
     start the server with --accept-any"
);
const NO_LEGAL_NAME: SmtpReply =
    reply!("550" "5.1.3" "Requested action not taken: a mailbox cannot have this name");
pub(super) const RELAYING_DENIED: SmtpReply = reply!("550" "5.7.1" "Relaying denied");
pub(super) const TOO_LARGE: SmtpReply =
    reply!("552" "5.3.4" "Requested mail action aborted: message is too large");
pub(super) const PARAMETER: SmtpReply =
    reply!("555" "5.5.4" "MAIL FROM/RCPT TO parameters not recognized or not implemented");

/// The reply of success to a command without a reply of its own for that.
pub(super) fn success(verb: Option<&str>) -> SmtpReply {
    match verb {
        Some("MAIL") => SENDER_OK,
        Some("RCPT") => RECIPIENT_OK,
        Some("AUTH") => LOGGED_IN,
        Some("STARTTLS") => START_TLS,
        _ => OK,
    }
}

/// The reply to a recipient that is refused.
pub(super) const fn refusal(refusal: Refusal) -> SmtpReply {
    match refusal {
        Refusal::NoSuchUser => NO_SUCH_USER,
        Refusal::NoSuchUserWithRemedy => NO_SUCH_USER_WITH_REMEDY,
        Refusal::NoLegalName => NO_LEGAL_NAME,
        Refusal::RelayingDenied => RELAYING_DENIED,
        // Not 550: the sender would give up for good because our disk failed.
        Refusal::Unknown => LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_begins_with_the_digit_of_the_reply() {
        for reply in [OK, SENDER_OK, NO_SPACE, TOO_LARGE, NOT_VERIFIED, TLS_FIRST, LOGGED_IN] {
            let (code, rest) = reply.enhanced.split_at(4);
            assert_eq!(rest.as_bytes()[..2], [code.as_bytes()[0], b'.']);
            assert_eq!(format!("{code}{}", rest.split_once(' ').unwrap().1), reply.plain);
        }
    }
}
