//! The orders in which lists can be shown besides their own.

use std::cmp::{Ordering, Reverse};

use crate::console::state::rows::{ConnectionRow, QueueRow};
use crate::mailroom::Summary;
use crate::store::overview::RecipientState;

/// An order of things.
#[derive(Debug)]
pub struct Order<T: 'static> {
    /// What `:sort` calls it.
    pub name: &'static str,
    /// What the list's title says of it.
    pub words: &'static str,
    /// Which of two comes first; those that are alike stay as they are.
    pub compare: fn(&T, &T) -> Ordering,
}

/// Of connections. Those that are open come before the others.
pub const OF_CONNECTIONS: &[Order<ConnectionRow>] = &[
    Order {
        name: "newest",
        words: "newest first",
        compare: |one, other| open_first(one, other, |row| Reverse(row.name.id)),
    },
    Order {
        name: "idle",
        words: "longest idle first",
        compare: |one, other| open_first(one, other, |row| row.heard),
    },
    Order {
        name: "octets",
        words: "most octets first",
        compare: |one, other| {
            open_first(one, other, |row| Reverse(row.octets_in.saturating_add(row.octets_out)))
        },
    },
];

fn open_first<K: Ord>(
    one: &ConnectionRow,
    other: &ConnectionRow,
    key: impl Fn(&ConnectionRow) -> K,
) -> Ordering {
    match (one.closed, other.closed) {
        (None, None) => key(one).cmp(&key(other)),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(one), Some(other)) => other.cmp(&one),
    }
}

/// Of messages.
pub const OF_MESSAGES: &[Order<Summary>] = &[
    Order { name: "date", words: "by date", compare: |one, other| one.date.cmp(&other.date) },
    Order {
        name: "from",
        words: "by sender",
        compare: |one, other| alphabetically(one.from.as_str(), other.from.as_str()),
    },
    Order {
        name: "subject",
        words: "by subject",
        compare: |one, other| {
            alphabetically(topic(one.subject.as_str()), topic(other.subject.as_str()))
        },
    },
    Order {
        name: "size",
        words: "longest first",
        compare: |one, other| other.octets.cmp(&one.octets),
    },
];

fn alphabetically(one: &str, other: &str) -> Ordering {
    let letters = |text: &'_ str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    letters(one).cmp(&letters(other))
}

/// The subject of a conversation, without what replies and forwarded messages put before it.
fn topic(subject: &str) -> &str {
    let mut topic = subject.trim_start();
    while let Some((before, rest)) = topic.split_once(':')
        && ["re", "fw", "fwd", "aw", "wg"].iter().any(|sign| sign.eq_ignore_ascii_case(before))
    {
        topic = rest.trim_start();
    }
    topic
}

/// The order in which recipients of one domain stand together.
pub const BY_DOMAIN: &str = "domain";

/// Of recipients in the relay queue.
pub const OF_QUEUE: &[Order<QueueRow>] = &[
    Order {
        name: BY_DOMAIN,
        words: "by domain",
        compare: |one, other| {
            let domain = |row: &QueueRow| domain(row.recipient.as_str()).to_ascii_lowercase();
            domain(one).cmp(&domain(other)).then_with(|| one.recipient.cmp(&other.recipient))
        },
    },
    Order {
        name: "state",
        words: "by state",
        compare: |one, other| urgency(one.state).cmp(&urgency(other.state)),
    },
    Order {
        name: "age",
        words: "oldest first",
        compare: |one, other| one.queued.cmp(&other.queued),
    },
    Order {
        name: "tries",
        words: "most tries first",
        compare: |one, other| other.attempts.cmp(&one.attempts),
    },
];

/// The domain of an address, as it is written.
#[must_use]
pub fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

/// What an operator has to do something about comes first.
const fn urgency(state: RecipientState) -> u8 {
    match state {
        RecipientState::Failed => 0,
        RecipientState::Held => 1,
        RecipientState::Pending => 2,
        RecipientState::Delivered => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_in_order_as_people_read_them() {
        assert_eq!(alphabetically("alice", "Bob"), Ordering::Less);
        assert_eq!(alphabetically("Émile", "émile"), Ordering::Equal);
        assert_eq!(alphabetically("Zoë", "zoo"), Ordering::Greater);
    }

    #[test]
    fn replies_stand_beside_what_they_answer() {
        assert_eq!(topic("Re: FWD: re:Hello"), "Hello");
        assert_eq!(topic("Note: milk"), "Note: milk");
        assert_eq!(topic("Re:"), "");
    }
}
