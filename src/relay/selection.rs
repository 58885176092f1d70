//! Selects recipients of the queue by their properties or by name. Does no I/O; time is passed in.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::relay::queue_target::QueueTarget;
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Recipient};

/// The conditions for a recipient: it must meet all that are set. Within a list, one match is
/// enough; an empty list matches everything. Delivered recipients never match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Its state is one of these.
    pub states: Vec<State>,
    /// Its domain is one of these.
    pub domains: Vec<String>,
    /// The sender is one of these; an empty string means the null reverse-path.
    pub senders: Vec<String>,
    /// It was queued at least this long ago.
    pub older: Option<Duration>,
    /// It was queued less than this long ago.
    pub newer: Option<Duration>,
    /// The message has at least this many octets.
    pub larger: Option<u64>,
    /// The message has fewer octets than this.
    pub smaller: Option<u64>,
    /// The last reply contains this text, ignoring case.
    pub reason: Option<String>,
}

/// The states of a recipient as operators name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits to be tried, whether it has been tried before or not.
    Pending,
    /// Has been tried and waits for the next attempt.
    Deferred,
    /// Has failed for good.
    Failed,
    /// Is held by an operator.
    Held,
}

impl State {
    /// All states, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Deferred, Self::Failed, Self::Held];

    /// The name of the state in options and output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }

    const fn is_that_of(self, recipient: &Recipient) -> bool {
        match (self, recipient.state) {
            (Self::Pending, RecipientState::Pending)
            | (Self::Failed, RecipientState::Failed)
            | (Self::Held, RecipientState::Held) => true,
            (Self::Deferred, RecipientState::Pending) => recipient.attempts > 0,
            _ => false,
        }
    }
}

impl Selection {
    /// Whether no condition is set.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this recipient of the entry meets the conditions.
    #[must_use]
    pub fn means(&self, entry: &Entry, recipient: &Recipient, now: SystemTime) -> bool {
        recipient.state != RecipientState::Delivered
            && any(&self.states, |state| state.is_that_of(recipient))
            && any(&self.domains, |domain| is_at(domain, &recipient.forward_path))
            && any(&self.senders, |sender| sender.eq_ignore_ascii_case(&entry.block.reverse_path))
            && self.fits_age(age(&entry.block, now))
            && self.fits_size(entry.octets)
            && self.reason.as_ref().is_none_or(|reason| contains(&recipient.last_reply, reason))
    }

    fn fits_age(&self, age: Duration) -> bool {
        self.older.is_none_or(|older| age >= older) && self.newer.is_none_or(|newer| age < newer)
    }

    fn fits_size(&self, octets: u64) -> bool {
        self.larger.is_none_or(|larger| octets >= larger)
            && self.smaller.is_none_or(|smaller| octets < smaller)
    }
}

/// How long a message has been in the queue; zero if it was queued in the future by this clock.
#[must_use]
pub fn age(block: &Block, now: SystemTime) -> Duration {
    let queued = UNIX_EPOCH.checked_add(Duration::from_secs(block.queued));
    queued.and_then(|queued| now.duration_since(queued).ok()).unwrap_or_default()
}

/// The domain of an address, without a final dot.
#[must_use]
pub fn domain_of(address: &str) -> &str {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    domain.strip_suffix('.').unwrap_or(domain)
}

fn any<T>(words: &[T], fits: impl Fn(&T) -> bool) -> bool {
    words.is_empty() || words.iter().any(fits)
}

fn is_at(domain: &str, address: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain.eq_ignore_ascii_case(domain_of(address))
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// The arguments of `relay --only`: ids of entries, `ID/ADDRESS` for single recipients, domains,
/// and senders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Names {
    /// Whether one of the names matches this recipient of the entry.
    #[must_use]
    pub fn mean(&self, block: &Block, recipient: &Recipient) -> bool {
        self.0.iter().any(|name| match name.as_str() {
            "<>" => block.reverse_path.is_empty(),
            name => {
                let id_and_address = name.split_once('/');
                name == block.id
                    || is_at(name, &recipient.forward_path)
                    || (!name.is_empty() && name.eq_ignore_ascii_case(&block.reverse_path))
                    || id_and_address == Some((&block.id, &recipient.forward_path))
            }
        })
    }
}

/// A set of entries and recipients, looked up by hash because an order may name thousands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueTargets(HashMap<String, Whom>);

/// The selected recipients of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    All,
    These(HashSet<String>),
}

impl FromIterator<QueueTarget> for QueueTargets {
    fn from_iter<I: IntoIterator<Item = QueueTarget>>(targets: I) -> Self {
        let mut by_id = HashMap::new();
        for QueueTarget { id, recipient } in targets {
            let whom = by_id.entry(id).or_insert_with(|| Whom::These(HashSet::new()));
            match (whom, recipient) {
                (Whom::All, _) => {}
                (whom, None) => *whom = Whom::All,
                (Whom::These(recipients), Some(recipient)) => drop(recipients.insert(recipient)),
            }
        }
        Self(by_id)
    }
}

impl QueueTargets {
    /// Whether the set is empty.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set contains this recipient of the entry with this id.
    #[must_use]
    pub fn mean(&self, id: &str, forward_path: &str) -> bool {
        match self.0.get(id) {
            None => false,
            Some(Whom::All) => true,
            Some(Whom::These(recipients)) => recipients.contains(forward_path),
        }
    }

    /// The picks that match nothing in `entries`, sorted.
    #[must_use]
    pub fn missing(&self, entries: &[Entry]) -> Vec<QueueTarget> {
        let there: HashMap<&str, &Block> =
            entries.iter().map(|entry| (entry.block.id.as_str(), &entry.block)).collect();
        let is_there = |id: &str, path: &String| {
            let mut recipients = there.get(id).into_iter().flat_map(|block| &block.recipients);
            recipients.any(|recipient| recipient.forward_path == **path)
        };
        let mut missing = Vec::new();
        for (id, whom) in &self.0 {
            match whom {
                Whom::All if there.contains_key(id.as_str()) => {}
                Whom::All => missing.push(QueueTarget { id: id.clone(), recipient: None }),
                Whom::These(recipients) => {
                    let gone = recipients.iter().filter(|path| !is_there(id, path));
                    missing.extend(gone.map(|path| QueueTarget::one(id, path)));
                }
            }
        }
        missing.sort_unstable();
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_758_106_800;

    fn entry() -> Entry {
        let block = "X-MC-Id: 1\nX-MC-From: <ben@localhost>\nX-MC-Queued: 1758103200\n\
                     X-MC-Rcpt: P 0 0 <new@x.example>\nX-MC-Rcpt: P 2 9 <later@X.Example> 451 4.7.1 Later\n\
                     X-MC-Rcpt: F 1 0 <never@y.example> 550 5.1.1 no such user\n\
                     X-MC-Rcpt: H 0 0 <held@x.example.>\nX-MC-Rcpt: D 0 0 <gone@x.example>\nX-MC-End:\n";
        Entry::of_block(Block::parse(block.as_bytes()).expect("a block").0, 264)
    }

    #[track_caller]
    fn chooses(selection: &Selection, expected: &[&str]) {
        let (entry, now) = (entry(), UNIX_EPOCH + Duration::from_secs(NOW));
        let recipients = entry.block.recipients.iter();
        let chosen = recipients.filter(|recipient| selection.means(&entry, recipient, now));
        let names: Vec<&str> =
            chosen.filter_map(|one| one.forward_path.split('@').next()).collect();
        assert_eq!(names, expected, "{selection:?}");
    }

    #[test]
    fn recipients_are_chosen_by_what_they_are_like() {
        let any = Selection::default;
        chooses(&any(), &["new", "later", "never", "held"]);
        let states = |states: &[State]| Selection { states: states.to_vec(), ..any() };
        chooses(&states(&[State::Pending]), &["new", "later"]);
        chooses(&states(&[State::Deferred]), &["later"]);
        chooses(&states(&[State::Failed, State::Held]), &["never", "held"]);
        let domains = |domain: &str| Selection { domains: vec![domain.to_owned()], ..any() };
        chooses(&domains("X.EXAMPLE"), &["new", "later", "held"]);
        chooses(&domains("example"), &[]);
        let senders = |sender: &str| Selection { senders: vec![sender.to_owned()], ..any() };
        chooses(&senders("BEN@localhost"), &["new", "later", "never", "held"]);
        chooses(&senders(""), &[]);
        let hour = Duration::from_hours(1);
        chooses(&Selection { older: Some(hour), ..any() }, &["new", "later", "never", "held"]);
        chooses(&Selection { older: Some(hour + Duration::from_secs(1)), ..any() }, &[]);
        chooses(&Selection { newer: Some(hour), ..any() }, &[]);
        chooses(&Selection { larger: Some(265), ..any() }, &[]);
        chooses(&Selection { smaller: Some(265), ..states(&[State::Held]) }, &["held"]);
        let reason = |reason: &str| Selection { reason: Some(reason.to_owned()), ..any() };
        chooses(&reason("later"), &["later"]);
        chooses(&reason("4.7.1 LATER"), &["later"]);
        let both = Selection { domains: vec!["x.example".into()], ..states(&[State::Failed]) };
        chooses(&both, &[]);
    }

    #[test]
    fn a_name_is_an_id_a_domain_or_a_sender() {
        let entry = entry();
        let named = |name: &str| {
            let names = Names(vec![name.to_owned()]);
            let recipients = entry.block.recipients.iter();
            recipients.filter(|recipient| names.mean(&entry.block, recipient)).count()
        };
        for (name, count) in [
            ("1", 5),
            ("x.example", 4),
            ("ben@localhost", 5),
            ("1/new@x.example", 1),
            ("2", 0),
            ("2/new@x.example", 0),
            ("new@x.example", 0),
            ("<>", 0),
            ("", 0),
        ] {
            assert_eq!(named(name), count, "{name:?}");
        }
    }

    #[test]
    fn whom_picks_name_is_found_and_who_is_missing_is_told() {
        let all = |id: &str| QueueTarget { id: id.to_owned(), recipient: None };
        let targets: QueueTargets =
            [QueueTarget::one("1", "new@x.example"), all("2"), QueueTarget::one("1", "x@y")]
                .into_iter()
                .collect();
        assert!(targets.mean("1", "new@x.example") && !targets.mean("1", "held@x.example."));
        assert_eq!(targets.missing(&[entry()]), [QueueTarget::one("1", "x@y"), all("2")]);
        let whole: QueueTargets = [QueueTarget::one("1", "x@y"), all("1")].into_iter().collect();
        assert!(whole.mean("1", "anybody") && whole.missing(&[entry()]).is_empty());
    }
}
