//! Who may log in. Every server that asks for a user and a password asks here.

use std::sync::Arc;

use crate::store::directory::{Directory, User};

/// The users of a directory: each of its mailboxes is one. All have the same password.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Where the mailboxes are.
    pub directory: Directory,
    /// The domain at which the mailboxes are; users may log in by their whole address.
    pub domain: Arc<str>,
    /// The password of every user.
    pub password: Arc<str>,
}

impl Accounts {
    /// The user who logs in as `name`, if there is one and the password is right. The user is
    /// looked up in any case, so that both refusals take as long.
    #[must_use]
    pub fn log_in(&self, name: &str, password: &[u8]) -> Option<User> {
        let user = self.directory.mailbox_of(name, &self.domain);
        user.filter(|_| password == self.password.as_bytes())
    }
}
