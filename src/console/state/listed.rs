//! How connections, mailboxes, messages and queue entries are listed: the key that identifies each
//! in the next snapshot, the text that a filter searches, and the sort orders.

use std::cmp::{Ordering, Reverse};

use crate::console::state::filter;
use crate::console::state::list::{Listed, Order};
use crate::console::state::pattern::Pattern;
use crate::console::state::rows::{ConnectionRow, MailboxRow, QueueRow};
use crate::mailroom::{MessageKey, Summary};
use crate::relay::orders::QueueTarget;
use crate::store::overview::RecipientState;
use crate::watch::event::ConnectionName;
use crate::wire::display::DisplayText;

/// Orders of connections. The open ones come before the closed ones in each.
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

/// Orders of messages.
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

/// The subject of a thread, without the prefixes of replies and forwarded messages.
fn topic(subject: &str) -> &str {
    let mut topic = subject.trim_start();
    while let Some((before, rest)) = topic.split_once(':')
        && ["re", "fw", "fwd", "aw", "wg"].iter().any(|sign| sign.eq_ignore_ascii_case(before))
    {
        topic = rest.trim_start();
    }
    topic
}

/// The name of the order that groups recipients by domain.
pub const BY_DOMAIN: &str = "domain";

/// Orders of recipients in the relay queue.
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

/// The rank of a state: what the operator must act on comes first.
const fn urgency(state: RecipientState) -> u8 {
    match state {
        RecipientState::Failed => 0,
        RecipientState::Held => 1,
        RecipientState::Pending => 2,
        RecipientState::Delivered => 3,
    }
}

impl Listed for ConnectionRow {
    type Key = u64;

    const ORDERS: &'static [Order<Self>] = OF_CONNECTIONS;

    fn key(&self) -> u64 {
        self.name.id
    }

    fn text(&self) -> String {
        // The connection and the service in the form in which the transcript's filter takes them.
        let ConnectionName { number, service, .. } = self.name;
        let session = self.name.session();
        format!("[{number}] {session} @{service} {} {}", self.peer, self.state)
    }

    fn has(&self, pattern: &Pattern) -> bool {
        match filter::session(pattern.as_str()) {
            Some(session) => self.name.id == session,
            None => pattern.is_in(&self.text()),
        }
    }
}

impl Listed for MailboxRow {
    type Key = DisplayText;

    fn key(&self) -> DisplayText {
        self.name.clone()
    }

    fn text(&self) -> String {
        self.name.as_str().to_owned()
    }
}

impl Listed for QueueRow {
    type Key = QueueTarget;

    const ORDERS: &'static [Order<Self>] = OF_QUEUE;

    fn key(&self) -> QueueTarget {
        self.target.clone()
    }

    fn text(&self) -> String {
        let Self { id, reverse_path, recipient, last_reply, .. } = self;
        format!("{id} {reverse_path} {recipient} {} {last_reply}", self.standing())
    }
}

impl Listed for Summary {
    type Key = MessageKey;

    const ORDERS: &'static [Order<Self>] = OF_MESSAGES;

    fn key(&self) -> MessageKey {
        self.key
    }

    fn text(&self) -> String {
        match &self.caught_for {
            None => format!("{} {}", self.from, self.subject),
            Some(addresses) => format!("{} {addresses} {}", self.from, self.subject),
        }
    }

    fn has(&self, pattern: &Pattern) -> bool {
        let caught_for = self.caught_for.iter();
        let texts = [&self.from, &self.subject].into_iter().chain(caught_for);
        texts.map(DisplayText::as_str).any(|text| pattern.is_in(text))
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
