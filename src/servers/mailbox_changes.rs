//! Tells the observers which mailboxes come, go and are rewritten, whatever program is the cause.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::ground::QUEUE_FILE;
use crate::store::overview::Overview;
use crate::watch::fact::{Fact, MailboxChange};
use crate::watch::observers::Observers;

/// Follows `overview` until `stop` is cancelled or nobody keeps it up. The mailboxes in `known` were
/// there before.
pub async fn tell(
    known: Vec<String>,
    mut overview: watch::Receiver<Arc<Overview>>,
    observers: Observers,
    stop: CancellationToken,
) {
    let mut mailboxes = Mailboxes::of(known);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = overview.changed() => if changed.is_err() { return },
        }
        let now = Arc::clone(&overview.borrow_and_update());
        for (mailbox, change) in mailboxes.turn_to(&now) {
            observers.tell_fact(None, || Fact::Mailbox { mailbox, change });
        }
    }
}

/// The mailboxes that were there at the last look.
#[derive(Debug)]
struct Mailboxes {
    /// The edition of each, 0 where it is not known.
    editions: HashMap<String, u64>,
}

impl Mailboxes {
    fn of(known: Vec<String>) -> Self {
        Self { editions: known.into_iter().map(|name| (name, 0)).collect() }
    }

    /// Takes what is there now; returns what has changed.
    fn turn_to(&mut self, overview: &Overview) -> Vec<(String, MailboxChange)> {
        let mut before = std::mem::take(&mut self.editions);
        let (mut gone, mut changes) = (Vec::new(), Vec::new());
        for mailbox in overview.mailboxes.iter().filter(|mailbox| mailbox.name != QUEUE_FILE) {
            let earlier = before.remove(&mailbox.name);
            // While another program has it locked, it may not be known.
            let edition = if mailbox.edition == 0 { earlier.unwrap_or(0) } else { mailbox.edition };
            let change = match earlier {
                None => Some(MailboxChange::Created),
                Some(earlier) if earlier != 0 && earlier != edition => {
                    Some(MailboxChange::Rewritten)
                }
                Some(_) => None,
            };
            changes.extend(change.map(|change| (mailbox.name.clone(), change)));
            self.editions.insert(mailbox.name.clone(), edition);
        }
        gone.extend(before.into_keys().map(|name| (name, MailboxChange::Removed)));
        gone.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        gone.extend(changes);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::overview::MailboxView;

    fn overview(mailboxes: &[(&str, u64)]) -> Overview {
        let view = |&(name, edition): &(&str, u64)| MailboxView {
            name: name.to_owned(),
            messages: Some(1),
            octets: 1,
            revision: 1,
            edition,
            holder: None,
            error: None,
        };
        Overview { mailboxes: mailboxes.iter().map(view).collect(), queue: Vec::new() }
    }

    fn changes(known: &[&str], looks: &[&[(&str, u64)]]) -> Vec<String> {
        let mut mailboxes = Mailboxes::of(known.iter().map(|&name| name.to_owned()).collect());
        let looks = looks.iter().flat_map(|look| mailboxes.turn_to(&overview(look)));
        looks.map(|(name, change)| format!("{name} {change:?}")).collect()
    }

    #[test]
    fn what_was_there_before_has_not_come_and_the_queue_is_no_mailbox() {
        assert_eq!(changes(&["ann", "bob"], &[&[("ann", 1), ("bob", 2), ("mqueue", 3)]]), [""; 0]);
        let came = changes(&["ann"], &[&[("ann", 1)], &[("ann", 1), ("bob", 2), ("mqueue", 3)]]);
        assert_eq!(came, ["bob Created"]);
    }

    #[test]
    fn what_goes_and_what_is_another_is_told_once() {
        let two: &[(&str, u64)] = &[("ann", 1), ("bob", 2)];
        let looks = [two, two, &[("ann", 5), ("carl", 6)], &[("ann", 5), ("carl", 6)]];
        let expected = ["bob Removed", "ann Rewritten", "carl Created"];
        assert_eq!(changes(&["ann", "bob"], &looks), expected);
    }

    #[test]
    fn what_cannot_be_looked_at_has_not_changed() {
        let looks: [&[(&str, u64)]; 4] =
            [&[("ann", 0)], &[("ann", 3)], &[("ann", 0)], &[("ann", 3)]];
        assert_eq!(changes(&["ann"], &looks), [""; 0]);
        let looks: [&[(&str, u64)]; 3] = [&[("ann", 3)], &[("ann", 0)], &[("ann", 4)]];
        assert_eq!(changes(&["ann"], &looks), ["ann Rewritten"]);
    }
}
