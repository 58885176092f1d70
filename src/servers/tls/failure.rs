//! Why a handshake has failed, in words.

use std::io;

use tokio_rustls::rustls::{AlertDescription, Error, PeerIncompatible};

use crate::servers::limits::HANDSHAKE;
use crate::servers::tls::error::TlsError;
use crate::servers::tls::opening::Opening;

/// Why a connection has no TLS, to stand behind `TLS failed:`.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client does not know our authority, or expects another name.
    #[error("client does not trust our certificate")]
    Untrusted,
    /// The client's clock is outside of the certificate's time.
    #[error("client takes our certificate for expired: compare the clocks")]
    Expired,
    /// The client has nothing newer than TLS 1.1.
    #[error("client offers only versions older than TLS 1.2")]
    OldVersion,
    /// The client has nothing older than what comes after TLS 1.3.
    #[error("client wants another version than TLS 1.2 and 1.3")]
    OtherVersion,
    /// There is no cipher suite or key exchange that both have.
    #[error("client offers no cipher suite, key exchange or signature that we have")]
    NothingInCommon,
    /// A command or another text instead of a handshake.
    #[error("client speaks plain text")]
    PlainText,
    /// Other octets instead of a handshake.
    #[error("client does not speak TLS: {0}")]
    NotTls(String),
    /// The client refused with an alert (RFC 8446 section 6.2) that no other variant explains.
    #[error("client refused with the alert {0}")]
    Alert(String),
    /// The client took too long.
    #[error("no handshake within {} s", HANDSHAKE.as_secs())]
    Silent,
    /// The idle limit was shorter, in seconds.
    #[error("no handshake within the idle limit of {0} s")]
    Idle(u64),
    /// The client has gone.
    #[error("closed by the client")]
    Closed,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// The server is shutting down.
    #[error("the server shuts down")]
    Shutdown,
    /// The operator closed the connection.
    #[error("closed by the operator")]
    Operator,
    /// There is no certificate to present.
    #[error("{0}")]
    Certificate(TlsError),
    /// TLS was asked for where none is set up.
    #[error("no certificate is set up")]
    NotSetUp,
}

/// Why a handshake has failed with `error` on a connection that began with `opening`.
pub(super) fn of(error: io::Error, opening: &Opening) -> HandshakeError {
    match tls_error(&error) {
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. })
            if opening.first().first().is_some_and(|&octet| is_text(octet)) =>
        {
            HandshakeError::PlainText
        }
        // What else is missing in an old hello comes second.
        Some(_) if is_old(opening.first()) => HandshakeError::OldVersion,
        Some(error) => of_tls(error),
        None if is_end(&error) => HandshakeError::Closed,
        None => HandshakeError::Lost(error),
    }
}

/// What an error of an established TLS connection means, if it is one of TLS.
#[must_use]
pub fn in_words(error: &io::Error) -> Option<String> {
    tls_error(error).map(|error| of_tls(error).to_string())
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn of_tls(error: &Error) -> HandshakeError {
    match error {
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(why) => of_incompatible(why),
        other => HandshakeError::NotTls(other.to_string()),
    }
}

fn of_alert(alert: AlertDescription) -> HandshakeError {
    use AlertDescription as Alert;
    match alert {
        // Which of these a client sends for an unknown authority or for a wrong name differs.
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied
        | Alert::CertificateRevoked => HandshakeError::Untrusted,
        Alert::CertificateExpired => HandshakeError::Expired,
        Alert::ProtocolVersion => HandshakeError::OtherVersion,
        Alert::UserCanceled | Alert::CloseNotify => HandshakeError::Closed,
        alert => HandshakeError::Alert(format!("{alert:?}")),
    }
}

const fn of_incompatible(why: &PeerIncompatible) -> HandshakeError {
    use PeerIncompatible as Why;
    match why {
        Why::Tls12NotOffered
        | Why::Tls12NotOfferedOrEnabled
        | Why::ServerDoesNotSupportTls12Or13
        | Why::ServerTlsVersionIsDisabledByOurConfig => HandshakeError::OldVersion,
        _ => HandshakeError::NothingInCommon,
    }
}

/// Whether a client has begun as one that has nothing newer than TLS 1.1: with a hello of such a
/// version, or with that of SSL 2.0, whose first octet has the highest bit set.
const fn is_old(first: &[u8]) -> bool {
    match first {
        [0x80..=0xff, _, 1, ..] => true,
        [0x16, _, _, _, _, 1, _, _, _, major, minor] => *major == 3 && *minor < 3,
        _ => false,
    }
}

/// Whether a line of text may begin with this octet. No record of TLS does.
const fn is_text(octet: u8) -> bool {
    octet.is_ascii_graphic() || octet.is_ascii_whitespace()
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
