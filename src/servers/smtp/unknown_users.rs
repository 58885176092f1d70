//! The unknown users to whom mail was addressed: the log names each once, with the remedy.

use std::collections::HashSet;

use parking_lot::Mutex;

/// Users named at most, so that neither the log nor the memory can be flooded.
const NAMED_MOST: usize = 100;

/// The unknown users that the log has named. Shared by all sessions of a server.
#[derive(Debug, Default)]
pub struct UnknownUsers(Mutex<HashSet<Box<str>>>);

impl UnknownUsers {
    /// Tells the log of a user, given as a forward-path, unless it was told already.
    pub(super) fn tell(&self, path: &str) {
        match self.note(path) {
            Noted::Told => {}
            // Escaped, because a client chose it.
            Noted::New => tracing::info!(
                target: "smtp",
                "{}: no such user; make the mailbox with n, or start with --accept-any",
                path.escape_debug()
            ),
            Noted::Last => tracing::info!(
                target: "smtp",
                "{NAMED_MOST} unknown users have been named here; further ones are not"
            ),
        }
    }

    fn note(&self, path: &str) -> Noted {
        let mut named = self.0.lock();
        if named.len() > NAMED_MOST || !named.insert(path.into()) {
            return Noted::Told;
        }
        if named.len() > NAMED_MOST { Noted::Last } else { Noted::New }
    }
}

/// What is to be told of an unknown user.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    /// Nothing.
    Told,
    /// The name.
    New,
    /// That further names are left out.
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_and_then_no_more() {
        let users = UnknownUsers::default();
        assert_eq!([users.note("<a@b>"), users.note("<a@b>")], [Noted::New, Noted::Told]);
        for nth in 1..NAMED_MOST {
            assert_eq!(users.note(&format!("<{nth}@b>")), Noted::New);
        }
        assert_eq!(users.note("<last@b>"), Noted::Last);
        assert_eq!([users.note("<other@b>"), users.note("<last@b>")], [Noted::Told, Noted::Told]);
    }
}
