//! Checks user names and what proves them, for every server that asks for them: POP3's PASS and
//! APOP, and AUTH of both. Knows neither connections nor delays.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::servers::credentials::{Credentials, Password};
use crate::servers::profile::Rules;
use crate::store::directory::{Directory, User};

/// The users of a directory: one for each mailbox.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The directory with the mailboxes.
    pub directory: Directory,
    /// The domain of the mailboxes; users may log in with their full address.
    pub domain: Arc<str>,
    /// The password of every user who has none of their own.
    pub password: Password,
    /// The passwords of single users, by the name of the mailbox.
    pub own: Arc<OwnPasswords>,
}

/// Passwords by the name of the mailbox.
pub type OwnPasswords = BTreeMap<String, Password>;

/// Who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of the mailbox, or the name that was given if there is no such mailbox.
    pub name: Arc<str>,
    /// Whose mailbox the client may read. If the login is not proven, there may be none of that
    /// name.
    pub user: Option<User>,
    /// Whether a password was checked. Without that nothing may be allowed that the client could
    /// not do before.
    pub is_proven: bool,
}

impl Accounts {
    /// The users of `directory`, all with the same password.
    #[must_use]
    pub fn new(directory: Directory, domain: Arc<str>, password: Password) -> Self {
        Self { directory, domain, password, own: Arc::default() }
    }

    /// Who the credentials prove the client to be, by these rules; `None` if they are wrong: an
    /// unknown user, a password that does not fit, or another user to act for. All of that is looked
    /// at in any case, so that the time of the answer does not show which it was.
    #[must_use]
    pub fn check(&self, credentials: &Credentials, rules: &Rules) -> Option<Identity> {
        let user = self.user(&credentials.name, rules);
        if rules.takes_any_login {
            return Some(unproven(&credentials.name, user, rules));
        }
        let is_right = credentials.proof.fits(self.password_of(user.as_ref()));
        let is_own = match &credentials.authzid {
            Some(authzid) => self.user(authzid, rules) == user,
            None => true,
        };
        let user = user.filter(|_| is_right && is_own)?;
        Some(Identity { name: user.name().into(), user: Some(user), is_proven: true })
    }

    /// The mailbox that a client means by `name`, or that name if there is none.
    #[must_use]
    pub fn mailbox_named(&self, name: &str, rules: &Rules) -> String {
        self.user(name, rules).map_or_else(|| name.to_owned(), |user| user.name().to_owned())
    }

    fn user(&self, name: &str, rules: &Rules) -> Option<User> {
        rules.recipients.mailbox_of(name, &self.domain, &self.directory)
    }

    fn password_of(&self, user: Option<&User>) -> &Password {
        user.and_then(|user| self.own.get(user.name())).unwrap_or(&self.password)
    }
}

/// Whoever has no mailbox reads what is caught, or else an empty mailbox.
fn unproven(name: &str, user: Option<User>, rules: &Rules) -> Identity {
    let known: Arc<str> = user.as_ref().map_or(name, User::name).into();
    let named = |name: &str| User::of_local_part(name.as_bytes());
    let caught = || rules.recipients.catch_all.as_deref().and_then(named);
    let user = user.or_else(caught).or_else(|| named(name.split('@').next()?));
    Identity { name: known, user, is_proven: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::credentials::{Digest, Proof};
    use crate::servers::profile::{Choices, Profile};
    use crate::store::directory::Durability;

    /// ada has a password of her own, bob has that of all.
    fn accounts() -> (tempfile::TempDir, Accounts) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Unsynced).unwrap();
        for user in ["ada", "bob"] {
            directory.create(user).unwrap();
        }
        let accounts = Accounts::new(directory, "example.org".into(), "cis505".into());
        let own = OwnPasswords::from([("ada".to_owned(), "secret".into())]);
        (dir, Accounts { own: Arc::new(own), ..accounts })
    }

    fn with_password(authzid: Option<&str>, name: &str, password: &str) -> Credentials {
        let proof = Proof::Password(password.as_bytes().to_vec());
        Credentials { authzid: authzid.map(str::to_owned), name: name.into(), proof }
    }

    #[test]
    fn a_password_of_ones_own_replaces_the_common_one() {
        let (_dir, accounts) = accounts();
        let name = |name: &str, password: &str| {
            let credentials = with_password(None, name, password);
            let identity = accounts.check(&credentials, &Rules::default())?;
            assert!(identity.is_proven && identity.user.is_some());
            Some(identity.name.to_string())
        };
        assert_eq!(name("ada", "secret").as_deref(), Some("ada"));
        assert_eq!(name("ada", "cis505"), None);
        assert_eq!(name("bob", "cis505").as_deref(), Some("bob"));
        assert_eq!(name("bob", "secret"), None);
        assert_eq!(name("eve", "cis505"), None);
        assert_eq!(name("", "cis505"), None);
    }

    #[test]
    fn a_whole_address_names_the_mailbox() {
        let (_dir, accounts) = accounts();
        let logs_in = |name: &str| {
            let credentials = with_password(None, name, "secret");
            accounts.check(&credentials, &Rules::default()).is_some()
        };
        for name in ["ada@localhost", "ada@EXAMPLE.org"] {
            assert!(logs_in(name), "{name}");
        }
        assert!(!logs_in("ada@example.com"));
        // A mailbox of the whole name comes first, with a password of its own or that of all.
        std::fs::write(accounts.directory.path().join("ada@localhost.mbox"), "").unwrap();
        assert!(!logs_in("ada@localhost"));
        let common = with_password(None, "ada@localhost", "cis505");
        let identity = accounts.check(&common, &Rules::default()).unwrap();
        assert_eq!(&*identity.name, "ada@localhost");
    }

    #[test]
    fn one_may_act_for_oneself_only() {
        let (_dir, accounts) = accounts();
        let check = |authzid: &str| {
            let credentials = with_password(Some(authzid), "ada", "secret");
            accounts.check(&credentials, &Rules::default()).is_some()
        };
        assert!(check("ada") && check("ada@localhost"));
        assert!(!check("bob") && !check("eve") && !check(""));
        // Neither of them has a mailbox, so that they look alike.
        let nobody = with_password(Some("eve"), "mallory", "cis505");
        assert_eq!(accounts.check(&nobody, &Rules::default()), None);
    }

    #[test]
    fn digests_are_made_with_the_users_own_password() {
        let (_dir, accounts) = accounts();
        let check = |name: &str, digits: &str| {
            let digest = Digest::parse(digits.as_bytes()).unwrap();
            let proof = Proof::Apop { timestamp: "<1@localhost>".into(), digest };
            let credentials = Credentials { authzid: None, name: name.into(), proof };
            accounts.check(&credentials, &Rules::default()).is_some()
        };
        // md5("<1@localhost>secret"), md5("<1@localhost>cis505")
        let (of_ada, of_all) =
            ("8a474a6bcc4daf7571925d4d09e92f54", "c064ca0326e474fd7b37d92244999563");
        assert!(check("ada", of_ada) && check("bob", of_all));
        assert!(!check("ada", of_all) && !check("bob", of_ada));
    }

    #[test]
    fn where_anything_is_right_nothing_is_proven() {
        let (_dir, accounts) = accounts();
        let check = |authzid, name| {
            let rules = Rules { takes_any_login: true, ..Rules::default() };
            accounts.check(&with_password(authzid, name, "x"), &rules).unwrap()
        };
        let known = check(Some("bob"), "ada@localhost");
        assert_eq!((&*known.name, known.is_proven), ("ada", false));
        assert_eq!(known.user.as_ref().map(User::name), Some("ada"));
        let unknown = check(None, "eve@example.com");
        assert_eq!((&*unknown.name, unknown.is_proven), ("eve@example.com", false));
        // A mailbox that is not there, and so is empty.
        assert_eq!(unknown.user.as_ref().map(User::name), Some("eve"));
        let caught = Choices { profile: Profile::Catch, ..Choices::default() }.rules();
        let unknown = accounts.check(&with_password(None, "eve", "x"), &caught).unwrap();
        assert_eq!(unknown.user.as_ref().map(User::name), Some("catch"));
    }
}
