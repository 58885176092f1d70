//! Checks user names and passwords, for every server that asks for them.

use std::sync::Arc;

use crate::servers::recipients::RecipientRules;
use crate::store::directory::{Directory, User};

/// The users of a directory: one for each mailbox, or also for each that may be made, all with the
/// same password.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The directory with the mailboxes.
    pub directory: Directory,
    /// The domain of the mailboxes; users may log in with their full address.
    pub domain: Arc<str>,
    /// Which users there are besides those who have a mailbox.
    pub rules: Arc<RecipientRules>,
    /// The password of every user.
    pub password: Arc<str>,
}

impl Accounts {
    /// The user named `name`, or `None` if there is no such user or the password is wrong. The user
    /// is looked up in both cases, so that the time of the answer does not show which it was.
    #[must_use]
    pub fn log_in(&self, name: &str, password: &[u8]) -> Option<User> {
        let user = self.rules.mailbox_of(name, &self.domain, &self.directory);
        user.filter(|_| password == self.password.as_bytes())
    }
}
