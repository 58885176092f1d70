//! Delays the replies to passwords, so that passwords cannot be found by guessing: those of POP3's
//! USER and PASS (docs/protocol.md 4.4), and those of AUTH and APOP (docs/protocol.md 10.4). Does no
//! I/O; time is passed in.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::servers::limits::{
    AUTH_DELAY, AUTH_DELAY_MOST, AUTH_FREE, AUTH_WRONG, AUTH_WRONG_WITHIN, GUESS_DELAY,
    GUESS_DELAY_MOST, GUESS_FORGIVEN, GUESS_WAIT_MOST, GUESSERS_MOST, TYPOS,
};

/// The recent wrong passwords, by the address of the client.
#[derive(Debug, Default)]
pub struct Guesses {
    guessers: Mutex<HashMap<IpAddr, Guesser>>,
    lately: Mutex<HashMap<IpAddr, Lately>>,
}

/// An address that has sent wrong passwords.
#[derive(Debug, Clone, Copy)]
struct Guesser {
    /// The number of wrong passwords, less the forgotten ones.
    wrong: u32,
    /// When the last one was sent or forgotten.
    since: Instant,
    /// When the last delayed reply is due.
    last_verdict: Instant,
}

/// Whether a password was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// The password is right.
    Right,
    /// The password is wrong, or there is no such user.
    Wrong,
}

/// Too many guesses from one address are waiting for their replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Guesses {
    /// The delay of the reply to a guess that `peer` sends now, on a connection with `before` wrong
    /// guesses.
    ///
    /// A right password from this machine is never delayed. From elsewhere it is delayed as a wrong
    /// one, in the same queue: otherwise the delay would tell an attacker the result.
    ///
    /// # Errors
    ///
    /// If the reply would be delayed for longer than [`GUESS_WAIT_MOST`].
    pub fn delay(
        &self,
        peer: IpAddr,
        before: u32,
        guess: Guess,
        now: Instant,
    ) -> Result<Duration, TooMany> {
        let peer = place_of(peer);
        if guess == Guess::Right && peer.is_loopback() {
            self.forgive(peer);
            return Ok(Duration::ZERO);
        }
        if guess == Guess::Wrong {
            self.note_wrong(peer, now);
        }
        let mut guessers = self.lock();
        let mut guesser = match guessers.get(&peer) {
            Some(guesser) => guesser.at(now),
            None => Guesser { wrong: 0, since: now, last_verdict: now },
        };
        let delay = delay_after(before).max(delay_after(guesser.wrong.saturating_sub(TYPOS)));
        // Guesses over several connections at once wait in one queue, or more connections would
        // mean more guesses a second.
        let from = if peer.is_loopback() { now } else { guesser.last_verdict.max(now) };
        let verdict = if delay.is_zero() { now } else { from + delay };
        if verdict - now > GUESS_WAIT_MOST {
            return Err(TooMany);
        }
        guesser.last_verdict = guesser.last_verdict.max(verdict);
        if guess == Guess::Wrong {
            guesser.wrong = guesser.wrong.saturating_add(1).min(WRONG_MOST);
            guesser.since = now;
        }
        if guesser.wrong > 0 {
            make_room(&mut guessers, peer, now);
            guessers.insert(peer, guesser);
        }
        Ok(verdict - now)
    }

    /// The delay of the reply to AUTH or APOP that `peer` sends now, on a connection with `before`
    /// wrong ones. The first [`AUTH_FREE`] wrong answers of a connection are not delayed, unless
    /// [`AUTH_WRONG`] came from the address lately.
    ///
    /// A right answer from this machine is never delayed. From elsewhere it is delayed as a wrong
    /// one: otherwise the delay would tell an attacker the result.
    pub fn auth_delay(&self, peer: IpAddr, before: u32, guess: Guess, now: Instant) -> Duration {
        let peer = place_of(peer);
        if guess == Guess::Right && peer.is_loopback() {
            return Duration::ZERO;
        }
        let free = if self.has_guessed_often(peer, now) { 0 } else { AUTH_FREE };
        if guess == Guess::Wrong {
            self.note_wrong(peer, now);
        }
        match before.checked_sub(free) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.saturating_pow(doublings);
                AUTH_DELAY.saturating_mul(factor).min(AUTH_DELAY_MOST)
            }
        }
    }

    fn has_guessed_often(&self, peer: IpAddr, now: Instant) -> bool {
        self.lately.lock().get(&peer).is_some_and(|wrong| wrong.is_often(now))
    }

    fn note_wrong(&self, peer: IpAddr, now: Instant) {
        let mut lately = self.lately.lock();
        if lately.len() >= GUESSERS_MOST && !lately.contains_key(&peer) {
            forget_some(&mut lately, now);
        }
        lately.entry(peer).or_default().push(now);
    }

    /// Forgets the wrong passwords of POP3 from `peer`, because a login from there succeeded. The
    /// wrong answers of the last minute are still counted for AUTH.
    pub fn forgive(&self, peer: IpAddr) {
        self.lock().remove(&place_of(peer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Guesser>> {
        self.guessers.lock()
    }
}

/// The last wrong answers from an address, at most [`AUTH_WRONG`] of them, oldest first.
#[derive(Debug, Default)]
struct Lately(VecDeque<Instant>);

impl Lately {
    fn push(&mut self, now: Instant) {
        if self.0.len() >= AUTH_WRONG {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Whether there were too many within the time.
    fn is_often(&self, now: Instant) -> bool {
        let oldest = self.0.front().filter(|_| self.0.len() >= AUTH_WRONG);
        oldest.is_some_and(|&oldest| is_recent(oldest, now))
    }

    fn is_over(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|&last| !is_recent(last, now))
    }
}

fn is_recent(then: Instant, now: Instant) -> bool {
    now.saturating_duration_since(then) < AUTH_WRONG_WITHIN
}

/// Removes the addresses whose wrong answers are all too old to count, or else the one that has been
/// quiet for the longest time.
fn forget_some(lately: &mut HashMap<IpAddr, Lately>, now: Instant) {
    lately.retain(|_, wrong| !wrong.is_over(now));
    if lately.len() >= GUESSERS_MOST {
        let quiet = lately.iter().min_by_key(|(_, wrong)| wrong.0.back().copied());
        if let Some(quiet) = quiet.map(|(address, _)| *address) {
            lately.remove(&quiet);
        }
    }
}

/// The most wrong passwords that are counted: more would not lengthen the delay, but take longer to
/// be forgotten.
const WRONG_MOST: u32 = TYPOS + 8;

impl Guesser {
    /// The state at `now`, after the passwords that have been forgotten since.
    fn at(self, now: Instant) -> Self {
        let periods =
            now.saturating_duration_since(self.since).as_secs() / GUESS_FORGIVEN.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        let since = self.since + GUESS_FORGIVEN * periods.min(WRONG_MOST);
        Self { wrong: self.wrong.saturating_sub(periods), since, ..self }
    }
}

/// The delay after `wrong` wrong passwords: doubled for each.
fn delay_after(wrong: u32) -> Duration {
    match wrong.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 2_u32.saturating_pow(doublings);
            GUESS_DELAY.saturating_mul(factor).min(GUESS_DELAY_MOST)
        }
    }
}

/// The key for an address. A site has 2^64 IPv6 addresses (RFC 4291 section 2.5.4), so all
/// addresses with the same 64-bit prefix count as one.
fn place_of(peer: IpAddr) -> IpAddr {
    const SITE: u128 = !0 << 64;
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & SITE).into()
        }
        address => address,
    }
}

/// Makes room for a new address: removes addresses without wrong passwords left, or else the one
/// that has been quiet for the longest time.
fn make_room(guessers: &mut HashMap<IpAddr, Guesser>, peer: IpAddr, now: Instant) {
    if guessers.len() < GUESSERS_MOST || guessers.contains_key(&peer) {
        return;
    }
    guessers.retain(|_, guesser| guesser.at(now).wrong > 0);
    if guessers.len() >= GUESSERS_MOST {
        let quiet = guessers.iter().min_by_key(|(_, guesser)| guesser.since);
        if let Some(quiet) = quiet.map(|(address, _)| *address) {
            guessers.remove(&quiet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1";
    const THERE: &str = "192.0.2.1";

    /// The delay in milliseconds of a guess on a connection with `before` wrong ones.
    fn waits(guesses: &Guesses, peer: &str, before: u32, guess: Guess, now: Instant) -> u128 {
        guesses.delay(peer.parse().unwrap(), before, guess, now).unwrap().as_millis()
    }

    /// A wrong guess on a new connection.
    fn wrong(guesses: &Guesses, peer: &str, now: Instant) -> u128 {
        waits(guesses, peer, 0, Guess::Wrong, now)
    }

    #[test]
    fn wrong_passwords_of_one_connection_wait_twice_as_long_each_time() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let waited: Vec<_> =
            (0..9).map(|before| waits(&guesses, HERE, before, Guess::Wrong, now)).collect();
        assert_eq!(waited, [0, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn those_of_one_address_wait_over_all_connections() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let waited: Vec<_> = (0..8).map(|_| wrong(&guesses, HERE, now)).collect();
        assert_eq!(waited, [0, 0, 0, 0, 100, 200, 400, 800]);
        assert_eq!(wrong(&guesses, "127.0.0.2", now), 0);
        assert_eq!(wrong(&guesses, "::ffff:127.0.0.1", now), 1_000);
    }

    #[test]
    fn a_right_password_from_this_machine_never_waits_and_forgives() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for peer in [HERE, "::1"] {
            for _ in 0..20 {
                wrong(&guesses, peer, now);
            }
            assert_eq!(waits(&guesses, peer, 9, Guess::Right, now), 0);
            assert_eq!(wrong(&guesses, peer, now), 0);
        }
    }

    #[test]
    fn guesses_from_elsewhere_wait_in_one_queue_which_ends_somewhere() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let waited: Vec<_> = (0..6).map(|_| wrong(&guesses, THERE, now)).collect();
        assert_eq!(waited, [0, 0, 0, 0, 100, 300]);
        assert_eq!(waits(&guesses, THERE, 0, Guess::Right, now), 700);
        let peer = THERE.parse().unwrap();
        let more = (0..100).map(|_| guesses.delay(peer, 0, Guess::Wrong, now));
        let taken: Vec<_> = more.map_while(Result::ok).collect();
        assert!(taken.len() < 40 && taken.iter().all(|wait| *wait <= GUESS_WAIT_MOST), "{taken:?}");
        guesses.forgive(peer);
        assert_eq!(wrong(&guesses, THERE, now), 0);
    }

    #[test]
    fn time_forgives() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..100 {
            wrong(&guesses, HERE, now);
        }
        assert_eq!(wrong(&guesses, HERE, now + GUESS_FORGIVEN * 6), 200);
        assert_eq!(wrong(&guesses, HERE, now + GUESS_FORGIVEN * 100), 0);
    }

    #[test]
    fn a_site_of_ipv6_is_one_address_and_the_table_is_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..5 {
            wrong(&guesses, &format!("2001:db8::{host}"), now);
        }
        assert_eq!(wrong(&guesses, "2001:db8::ffff:1", now), 300);
        for site in 0..10_000_u32 {
            let peer = IpAddr::from(site.to_be_bytes());
            assert!(guesses.delay(peer, 0, Guess::Wrong, now).is_ok());
        }
        assert_eq!(guesses.lock().len(), GUESSERS_MOST);
    }

    /// The delays in milliseconds of so many wrong answers to AUTH on one new connection.
    fn auths(guesses: &Guesses, peer: &str, count: u32, now: Instant) -> Vec<u128> {
        let peer = peer.parse().unwrap();
        let delay = |before| guesses.auth_delay(peer, before, Guess::Wrong, now).as_millis();
        (0..count).map(delay).collect()
    }

    #[test]
    fn two_wrong_answers_to_auth_come_at_once_and_then_each_waits_longer() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        assert_eq!(auths(&guesses, HERE, 8, now), [0, 0, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        // Another connection is not held up.
        assert_eq!(auths(&guesses, HERE, 3, now), [0, 0, 500]);
    }

    #[test]
    fn after_twenty_wrong_answers_within_a_minute_the_first_waits_too() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let second = Duration::from_secs(1);
        // POP3's count as well.
        for _ in 0..10 {
            let _ = guesses.delay(THERE.parse().unwrap(), 0, Guess::Wrong, now);
        }
        for n in 0..9 {
            assert_eq!(auths(&guesses, THERE, 1, now + second * n), [0]);
        }
        assert_eq!(auths(&guesses, THERE, 1, now + second * 9), [0]);
        assert_eq!(auths(&guesses, THERE, 5, now + second * 10), [500, 1_000, 2_000, 4_000, 4_000]);
        assert_eq!(auths(&guesses, "192.0.2.2", 1, now + second * 10), [0]);
        // Until the twentieth from the end is a minute old.
        assert_eq!(auths(&guesses, THERE, 1, now + second * 59), [500]);
        assert_eq!(auths(&guesses, THERE, 1, now + second * 60), [0]);
        assert_eq!(auths(&guesses, THERE, 1, now + second * 200), [0]);
    }

    #[test]
    fn a_right_answer_waits_as_a_wrong_one_except_on_this_machine() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let right = |peer: &str, before| {
            guesses.auth_delay(peer.parse().unwrap(), before, Guess::Right, now).as_millis()
        };
        assert_eq!((right(THERE, 1), right(THERE, 2), right(THERE, 9)), (0, 500, 4_000));
        assert_eq!((right(HERE, 9), right("::1", 9)), (0, 0));
        // Right ones are not counted.
        for _ in 0..30 {
            right(THERE, 0);
        }
        assert_eq!(auths(&guesses, THERE, 1, now), [0]);
    }

    #[test]
    fn wrong_answers_to_auth_do_not_delay_pop3() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        auths(&guesses, HERE, 30, now);
        assert_eq!(wrong(&guesses, HERE, now), 0);
    }

    #[test]
    fn the_table_of_wrong_answers_to_auth_is_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let address = |site: u32| IpAddr::from((0x0a00_0000 + site).to_be_bytes());
        for site in 0..10_000 {
            guesses.auth_delay(address(site), 0, Guess::Wrong, now);
        }
        assert_eq!(guesses.lately.lock().len(), GUESSERS_MOST);
        guesses.auth_delay(address(1 << 20), 0, Guess::Wrong, now + AUTH_WRONG_WITHIN);
        assert_eq!(guesses.lately.lock().len(), 1);
        for _ in 0..100 {
            guesses.auth_delay(address(7), 0, Guess::Wrong, now);
        }
        assert_eq!(guesses.lately.lock()[&address(7)].0.len(), AUTH_WRONG);
    }
}
