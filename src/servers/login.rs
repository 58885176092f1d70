//! What the services of SMTP and POP3 do about a login: check it, delay the answer after wrong ones,
//! and say in the transcript who it was.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::servers::accounts::{Accounts, Identity};
use crate::servers::channel::{Channel, End};
use crate::servers::credentials::Credentials;
use crate::servers::guesses::{Guess, Guesses};
use crate::servers::profile::Rules;
use crate::servers::sasl::timestamp;
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::Kind;
use crate::watch::fact::Fact;
use crate::wire::display::DisplayText;

/// Checks the logins of one connection by AUTH or APOP.
#[derive(Debug)]
pub struct Authenticator {
    accounts: Arc<Accounts>,
    guesses: Arc<Guesses>,
    rules: Arc<Rules>,
    peer: IpAddr,
    /// The number of wrong answers on this connection.
    wrong: u32,
}

impl Authenticator {
    /// For a connection from `peer`. `guesses` is shared by all servers of the process.
    #[must_use]
    pub const fn new(
        accounts: Arc<Accounts>,
        guesses: Arc<Guesses>,
        rules: Arc<Rules>,
        peer: IpAddr,
    ) -> Self {
        Self { accounts, guesses, rules, peer, wrong: 0 }
    }

    /// The users.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What the session goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Who the client proves to be; `None` if the credentials are wrong. Returns when the answer is
    /// due, and has noted in the transcript what it is.
    ///
    /// # Errors
    ///
    /// The end of the conversation, if it ends while the answer waits.
    pub async fn authenticate(
        &mut self,
        credentials: &Credentials,
        channel: &mut Channel,
    ) -> Result<Option<Identity>, End> {
        let identity = self.accounts.check(credentials, &self.rules);
        let guess = if identity.is_some() { Guess::Right } else { Guess::Wrong };
        let delay = self.guesses.auth_delay(self.peer, self.wrong, guess, Instant::now());
        hold_back(delay, channel).await?;
        if let Some(identity) = &identity {
            tell_logged_in(&identity.name, channel.connection_log());
        } else {
            self.wrong = self.wrong.saturating_add(1);
            tell_refused(&credentials.name, channel.connection_log());
        }
        Ok(identity)
    }
}

/// A text that nobody can foresee and that never comes again, for CRAM-MD5 and for APOP's greeting.
#[must_use]
pub fn fresh_timestamp(domain: &str) -> String {
    // The keys of a new hasher come from the system's source of randomness.
    let random = RandomState::new().build_hasher().finish();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(random, since_1970.as_secs(), domain)
}

/// Delays the reply to a login, which blocks no thread, and notes it in the transcript if it is long.
///
/// # Errors
///
/// The end of the conversation, if it ends meanwhile.
pub async fn hold_back(delay: Duration, channel: &mut Channel) -> Result<(), End> {
    if delay.is_zero() {
        return Ok(());
    }
    if delay >= WORTH_TELLING {
        let words =
            || format!("the answer waits {:.1} s after wrong passwords", delay.as_secs_f64());
        channel.connection_log().tell(|| Kind::Note(words()));
    }
    channel.pause(delay).await
}

/// The shortest delay that is noted in the transcript, so that it is not taken for a fault.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Notes in the transcript, and in the list of connections, that `name` has logged in.
pub fn tell_logged_in(name: &str, log: &ConnectionLog) {
    log.tell(|| Kind::Note(format!("logged in as {}", shown(name))));
    log.logged_in(name);
}

/// Notes in the transcript that `name` could not log in.
pub fn tell_refused(name: &str, log: &ConnectionLog) {
    log.tell(|| Kind::Note(format!("login refused for {}", shown(name))));
}

/// Tells the observers that somebody has tried to log in: as whom, if that was right.
pub fn tell_login(
    accounts: &Accounts,
    rules: &Rules,
    given: &str,
    right: Option<&str>,
    log: &ConnectionLog,
) {
    log.tell_fact(|| Fact::Login {
        mailbox: match right {
            Some(name) => name.to_owned(),
            None => accounts.mailbox_named(given, rules),
        },
        ok: right.is_some(),
    });
}

/// Octets of a name that a note shows. A mailbox has at most 64, but a client may send anything.
const NAME_SHOWN: usize = 64;

/// A client's name as a note shows it: escaped, since it may hold anything, and cut.
fn shown(name: &str) -> String {
    let beginning = name.get(..name.floor_char_boundary(NAME_SHOWN)).unwrap_or(name);
    let cut = if beginning.len() < name.len() { "…" } else { "" };
    match beginning {
        "" => "\"\"".to_owned(),
        beginning => format!("{}{cut}", DisplayText::from(beginning)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::channel::Place;
    use crate::servers::credentials::Proof;
    use crate::servers::limits::AUTH_DELAY;
    use crate::store::directory::{Directory, Durability};
    use crate::watch::event::{ConnectionName, Event, Passwords, Service, transcript_line};
    use crate::watch::observers::{Observer, Observers};
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use tokio::io::duplex;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn a_name_is_escaped_and_cut() {
        assert_eq!(shown("linhphan"), "linhphan");
        assert_eq!(shown("a\x1b[2J\nb"), "a\\x1b[2J\\x0ab");
        assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(shown(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
        assert_eq!(shown(&format!("{}é", "x".repeat(63))), format!("{}…", "x".repeat(63)));
        assert_eq!(shown(""), "\"\"");
    }

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Observer for Lines {
        fn observe(&self, event: Event) {
            let line = transcript_line(&event, Passwords::Masked).into_string();
            self.0.lock().unwrap().push(line);
        }

        fn wants_text(&self) -> bool {
            false
        }
    }

    fn channel(lines: &Arc<Lines>) -> Channel {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let name = ConnectionName { id: 1, number: 7, service: Service::Smtp };
        let observers = Observers::one(Arc::clone(lines) as _);
        let log = ConnectionLog::opened(name, peer, observers, None);
        Channel::new(duplex(1_000).0.into(), log, Place::default(), CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_answers_wait_and_the_transcript_says_whose_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Unsynced).unwrap();
        directory.create("ada").unwrap();
        let accounts = Accounts::new(directory, "localhost".into(), "cis505".into());
        let lines = Arc::new(Lines::default());
        let mut channel = channel(&lines);
        let peer = [127, 0, 0, 1].into();
        let accounts = Arc::new(accounts);
        let mut desk = Authenticator::new(accounts, Arc::default(), Arc::default(), peer);
        let login = |name: &str, password: &[u8]| Credentials {
            authzid: None,
            name: name.into(),
            proof: Proof::Password(password.to_vec()),
        };
        let begun = Instant::now();
        for waited in [0, 0, 1, 3] {
            let wrong = desk.authenticate(&login("e\nve", b"x"), &mut channel).await;
            assert_eq!(wrong.unwrap(), None);
            assert_eq!(begun.elapsed().as_millis(), AUTH_DELAY.as_millis() * waited);
        }
        let ada = login("ada@localhost", b"cis505");
        let right = desk.authenticate(&ada, &mut channel).await;
        assert!(right.unwrap().unwrap().is_proven);
        assert_eq!(begun.elapsed(), AUTH_DELAY * 3);
        let told = lines.0.lock().unwrap().clone();
        let refused = "[7] .. login refused for e\\x0ave";
        let waits = "[7] .. the answer waits 1.0 s after wrong passwords";
        let logged_in = "[7] .. logged in as ada";
        assert_eq!(told[1..], [refused, refused, refused, waits, refused, logged_in]);
    }
}
