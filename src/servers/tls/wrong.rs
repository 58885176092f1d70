//! Certificates that are wrong on purpose, for tests of clients.

use std::path::Path;
use std::time::SystemTime;

use crate::servers::tls::authority::Authority;
use crate::servers::tls::error::TlsError;
use crate::servers::tls::identity::Identity;

/// A name that no server here has.
const OTHER_NAME: &str = "wrong.test";

/// Which certificate is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// The right one.
    Right,
    /// One that has expired.
    Expired,
    /// One for another name.
    OtherName,
    /// One of an authority that nobody knows.
    OtherAuthority,
}

/// A certificate of the authority in `directory`, or of one that only this process knows where there
/// is none: the key of an authority that has certified a user's files is not here. Blocks on the
/// disk.
pub(super) fn identity(
    directory: Option<&Path>,
    domain: &str,
    presented: Presented,
    now: SystemTime,
) -> Result<Identity, TlsError> {
    let ours = || match directory {
        Some(directory) => Authority::load_or_make(directory, domain, now),
        None => Authority::in_memory(domain, now),
    };
    match presented {
        Presented::Right => ours()?.issue(domain, now),
        Presented::Expired => ours()?.issue_expired(domain, now),
        Presented::OtherName => ours()?.issue_for(OTHER_NAME, now),
        Presented::OtherAuthority => Authority::in_memory(domain, now)?.issue(domain, now),
    }
}
