//! The replies of the SMTP server (RFC 821 section 4.2, docs/protocol.md 3.2).

use crate::servers::session::Reply;

pub(super) const OK: Reply = Reply::fixed("250 OK");
pub(super) const START_MAIL_INPUT: Reply =
    Reply::fixed("354 Start mail input; end with <CRLF>.<CRLF>");

pub(super) const MAILBOX_BUSY: Reply =
    Reply::fixed("451 Mailbox in use by another program, try again later");
pub(super) const LOCAL_ERROR: Reply =
    Reply::fixed("451 Requested action aborted: local error in processing");
pub(super) const NO_SPACE: Reply =
    Reply::fixed("452 Requested action not taken: insufficient system storage");
pub(super) const TOO_MANY_RECIPIENTS: Reply = Reply::fixed("452 Too many recipients");

pub(super) const UNRECOGNIZED: Reply = Reply::fixed("500 Syntax error, command unrecognized");
pub(super) const TOO_LONG: Reply = Reply::fixed("500 Line too long");
pub(super) const WRONG_ARGUMENT: Reply =
    Reply::fixed("501 Syntax error in parameters or arguments");
pub(super) const NOT_IMPLEMENTED: Reply = Reply::fixed("502 Command not implemented");
pub(super) const HELO_FIRST: Reply = Reply::fixed("503 Bad sequence of commands: HELO first");
pub(super) const NESTED_MAIL: Reply =
    Reply::fixed("503 Bad sequence of commands: a transaction is open, RSET ends it");
pub(super) const MAIL_FIRST: Reply = Reply::fixed("503 Bad sequence of commands: MAIL first");
pub(super) const RCPT_FIRST: Reply =
    Reply::fixed("503 Bad sequence of commands: no recipient has been accepted");
pub(super) const NO_SUCH_USER: Reply =
    Reply::fixed("550 Requested action not taken: no such user here");
pub(super) const RELAYING_DENIED: Reply = Reply::fixed("550 Relaying denied");
pub(super) const TOO_LARGE: Reply =
    Reply::fixed("552 Requested mail action aborted: message is too large");
pub(super) const PARAMETER: Reply =
    Reply::fixed("555 MAIL FROM/RCPT TO parameters not recognized or not implemented");
