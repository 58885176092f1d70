//! What is known of one session for the conditions of rules: what the client has said, and how often
//! each place was reached. Knows no sockets.

use std::collections::HashMap;
use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fault::argument::{argument, first_word, path, text_of};
use crate::fault::point::{Place, Point};
use crate::watch::event::Service;

/// The most recipients that are remembered of a transaction.
const RECIPIENTS_MOST: usize = 1_000;

/// What is known of a session. Made when the first rule is there; what was said before is told by
/// [`known`](Self::known).
#[derive(Debug, Default)]
pub struct Progress {
    /// The argument of the last HELO or EHLO, that of the command at hand included.
    pub helo: Option<String>,
    /// The reverse-path of the transaction, or of the MAIL at hand, without brackets; empty for the
    /// null one.
    pub from: Option<String>,
    /// The recipients that were accepted, without brackets, at most 1,000.
    pub accepted: Vec<String>,
    /// The recipient of the RCPT at hand.
    pub to: Option<String>,
    /// The user of USER, APOP or AUTH.
    pub user: Option<String>,
    /// The message number that the command at hand names.
    pub number: Option<u64>,
    /// Octets of the text so far. At a mark of [`next_mark`](crate::fault::faults::Faults::next_mark)
    /// exactly as many as that says.
    pub text_octets: u64,
    /// Whether the session would begin TLS at the command at hand.
    pub takes_tls: bool,
    /// How often each place was reached, the command at hand included.
    pub times: HashMap<Place, u64>,
    /// What is undone if the session refuses the command at hand.
    hand: Hand,
}

/// The command at hand, and what was known before it.
#[derive(Debug, Default)]
enum Hand {
    /// Nothing that waits for its answer.
    #[default]
    Free,
    /// HELO or EHLO, and the argument of the one before.
    Hello(Option<String>),
    /// MAIL, and the reverse-path before.
    Mail(Option<String>),
    /// USER, APOP or AUTH, and the user before.
    User(Option<String>),
    /// The end of a text, behind which there is no transaction whatever is answered.
    Dot,
}

impl Progress {
    /// What is known of a session in which the first rule appears only now. Places are counted from
    /// now on.
    #[must_use]
    pub fn known(
        helo: Option<String>,
        from: Option<String>,
        accepted: Vec<String>,
        user: Option<String>,
    ) -> Self {
        let accepted = accepted.into_iter().take(RECIPIENTS_MOST).collect();
        Self { helo, from, accepted, user, ..Self::default() }
    }

    /// How often a place was reached, now included.
    #[must_use]
    pub fn times_at(&self, place: Place) -> u64 {
        self.times.get(&place).copied().unwrap_or(0)
    }

    /// Notes a command at this point, which the client has just sent: the line without its end.
    /// Whatever was not [`answered`](Self::answered) before counts as refused.
    pub fn command(&mut self, point: Point, line: &[u8]) {
        self.reached(point);
        match (point.service, point.place) {
            (Service::Smtp, Place::Helo | Place::Ehlo) => {
                self.hand = Hand::Hello(mem::replace(&mut self.helo, first_word(line)));
            }
            (Service::Smtp, Place::Mail) => {
                self.hand = Hand::Mail(mem::replace(&mut self.from, address_in(line)));
            }
            (Service::Smtp, Place::Rcpt) => self.to = address_in(line),
            (Service::Smtp | Service::Pop3, Place::Auth | Place::User | Place::Other) => {
                if let Some(user) = user_in(point.place, line) {
                    self.hand = Hand::User(self.user.replace(user));
                }
            }
            (Service::Pop3, Place::List | Place::Uidl | Place::Retr | Place::Top | Place::Dele) => {
                self.number = first_word(line).and_then(|number| number.parse().ok());
            }
            _ => {}
        }
    }

    /// Notes what the session has made of the command at hand: whether its reply was a positive one.
    pub fn answered(&mut self, point: Point, is_accepted: bool) {
        let hand = mem::take(&mut self.hand);
        if !is_accepted {
            self.refused(hand);
            return;
        }
        match (point.service, point.place) {
            (Service::Smtp, Place::Helo | Place::Ehlo | Place::Rset | Place::Dot) => {
                self.end_transaction();
            }
            (Service::Smtp, Place::Mail) => {
                let from = self.from.take();
                self.end_transaction();
                self.from = from;
            }
            (Service::Smtp, Place::Rcpt) if self.accepted.len() < RECIPIENTS_MOST => {
                self.accepted.extend(self.to.take());
            }
            _ => {}
        }
    }

    /// Notes that a place without a command was reached: the greeting, a text, its end.
    pub fn reached(&mut self, point: Point) {
        let hand = mem::take(&mut self.hand);
        self.refused(hand);
        (self.to, self.number, self.takes_tls) = (None, None, false);
        match point.place {
            Place::Text => self.text_octets = 0,
            Place::Dot => self.hand = Hand::Dot,
            _ => {}
        }
        self.count(point.place);
        if !matches!(point.place, Place::Text | Place::Any) {
            self.count(Place::Any);
        }
    }

    /// The command at hand has never been said: another one takes its place.
    pub fn taken_back(&mut self, point: Point) {
        let hand = mem::take(&mut self.hand);
        self.refused(hand);
        (self.to, self.number) = (None, None);
        for place in [point.place, Place::Any] {
            if let Some(times) = self.times.get_mut(&place) {
                *times = times.saturating_sub(1);
            }
        }
    }

    /// Nothing that was said before TLS counts (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        *self = Self::default();
    }

    fn count(&mut self, place: Place) {
        let times = self.times.entry(place).or_default();
        *times = times.saturating_add(1);
    }

    /// A command that is refused changes nothing.
    fn refused(&mut self, hand: Hand) {
        match hand {
            Hand::Free => {}
            Hand::Hello(helo) => self.helo = helo,
            Hand::Mail(from) => self.from = from,
            Hand::User(user) => self.user = user,
            Hand::Dot => self.end_transaction(),
        }
    }

    fn end_transaction(&mut self) {
        (self.from, self.to) = (None, None);
        self.accepted.clear();
        self.times.remove(&Place::Rcpt);
    }
}

fn address_in(line: &[u8]) -> Option<String> {
    path(line).and_then(|path| line.get(path)).map(text_of)
}

/// The user whom a command names.
fn user_in(place: Place, line: &[u8]) -> Option<String> {
    let starts_with =
        |verb: &[u8]| line.get(..verb.len()).is_some_and(|one| one.eq_ignore_ascii_case(verb));
    match place {
        Place::User => Some(text_of(argument(line))),
        Place::Other if starts_with(b"APOP ") => first_word(line),
        Place::Auth => {
            let mut words = argument(line).split(|octet| *octet == b' ');
            let is_plain = words.next()?.eq_ignore_ascii_case(b"PLAIN");
            let response = words.next().filter(|_| is_plain)?;
            // RFC 4616: authorization identity, NUL, user, NUL, password.
            let response = STANDARD.decode(response).ok()?;
            response.split(|octet| *octet == 0).nth(1).map(text_of)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str) -> Point {
        let (service, place) = name.split_once('.').unwrap();
        let service = if service == "pop3" { Service::Pop3 } else { Service::Smtp };
        Point { service, place: place.parse().unwrap() }
    }

    /// A session of SMTP; a line that begins with `!` is refused.
    fn smtp(lines: &[&str]) -> Progress {
        let mut progress = Progress::default();
        for line in lines {
            say(&mut progress, line);
        }
        progress
    }

    fn say(progress: &mut Progress, line: &str) {
        let (line, is_accepted) = line.strip_prefix('!').map_or((line, true), |line| (line, false));
        let verb = line.split(' ').next().unwrap();
        if verb == "." {
            progress.reached(point("smtp.dot"));
            return progress.answered(point("smtp.dot"), is_accepted);
        }
        let at = Point::of_verb(Service::Smtp, Some(verb));
        progress.command(at, line.as_bytes());
        progress.answered(at, is_accepted);
    }

    #[test]
    fn a_transaction_is_known_until_it_ends() {
        let lines = ["EHLO a.example", "MAIL FROM:<al@x>", "RCPT TO:<bob@x>", "!RCPT TO:<eve@x>"];
        for end in [".", "!.", "RSET", "HELO b.example", "EHLO b.example"] {
            let mut progress = smtp(&lines);
            assert_eq!(progress.helo.as_deref(), Some("a.example"));
            assert_eq!(progress.from.as_deref(), Some("al@x"));
            assert_eq!(progress.accepted, ["bob@x"]);
            assert_eq!(progress.times_at(Place::Rcpt), 2);
            say(&mut progress, end);
            assert_eq!((progress.from, progress.accepted.len()), (None, 0), "{end}");
            assert_eq!(progress.times.get(&Place::Rcpt), None, "{end}");
        }
    }

    #[test]
    fn a_command_that_is_refused_changes_nothing() {
        let progress = smtp(&[
            "HELO a",
            "!HELO b",
            "MAIL FROM:<al@x>",
            "RCPT TO:<bob@x>",
            "!MAIL FROM:<eve@x>",
        ]);
        assert_eq!(progress.helo.as_deref(), Some("a"));
        assert_eq!(progress.from.as_deref(), Some("al@x"));
        assert_eq!(progress.accepted, ["bob@x"]);
    }

    #[test]
    fn the_command_at_hand_is_known_and_refused_unless_it_is_answered() {
        let mut progress = smtp(&["HELO a"]);
        progress.command(point("smtp.mail"), b"MAIL FROM:<al@x>");
        assert_eq!(progress.from.as_deref(), Some("al@x"));
        progress.command(point("smtp.noop"), b"NOOP");
        assert_eq!(progress.from, None);
        progress.command(point("smtp.rcpt"), b"RCPT TO:<bob@x>");
        assert_eq!(progress.to.as_deref(), Some("bob@x"));
        progress.command(point("smtp.data"), b"DATA");
        assert_eq!(progress.to, None);
    }

    #[test]
    fn any_and_other_have_counters_of_their_own() {
        let mut progress = Progress::default();
        progress.reached(point("smtp.connect"));
        for line in ["HELO a", "HELP", "FOO", "NOOP"] {
            say(&mut progress, line);
        }
        progress.reached(point("smtp.text"));
        assert_eq!(progress.times_at(Place::Any), 5);
        assert_eq!(progress.times_at(Place::Other), 2);
        assert_eq!(progress.times_at(Place::Text), 1);
    }

    #[test]
    fn users_and_message_numbers_are_known() {
        let mut progress = Progress::default();
        let mut say = |place: &str, line: &str| {
            progress.command(point(place), line.as_bytes());
            progress.answered(point(place), true);
            (progress.user.clone().unwrap_or_default(), progress.number)
        };
        assert_eq!(say("pop3.user", "USER bob smith"), ("bob smith".to_owned(), None));
        assert_eq!(say("pop3.other", "apop al c4c9"), ("al".to_owned(), None));
        assert_eq!(say("smtp.auth", "AUTH PLAIN AGJvYgBwYXNz"), ("bob".to_owned(), None));
        assert_eq!(say("pop3.top", "TOP 2 10"), ("bob".to_owned(), Some(2)));
        assert_eq!(say("pop3.retr", "RETR x"), ("bob".to_owned(), None));
    }

    #[test]
    fn at_most_1_000_recipients_are_remembered() {
        let mut progress = smtp(&["HELO a", "MAIL FROM:<>"]);
        for nth in 0..1_100 {
            say(&mut progress, &format!("RCPT TO:<u{nth}@x>"));
        }
        assert_eq!(progress.accepted.len(), 1_000);
        assert_eq!(progress.times_at(Place::Rcpt), 1_100);
        let known = Progress::known(None, None, vec![String::new(); 1_100], None);
        assert_eq!(known.accepted.len(), 1_000);
    }
}
