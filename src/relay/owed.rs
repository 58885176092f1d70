//! Finds the senders that must still be notified of failed mail. The queue holds that state: a
//! failed recipient stays in it until its sender has been notified or an operator decides. Does no
//! I/O.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mail::path::Address;
use crate::relay::notification;
use crate::relay::status::Status;
use crate::relay::verdict::{Diagnosis, Source};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Recipient, Tried};
use crate::wire::display::DisplayText;

/// A notification that must still be sent, about one message.
#[derive(Debug, Clone)]
pub struct Owed {
    /// The sender, who gets the notification.
    pub sender: Address,
    /// The failed recipients, and why they failed.
    pub failures: Vec<(Address, Diagnosis)>,
    /// When delivery was last attempted.
    pub tried: SystemTime,
}

/// The notification for a queued message, or `None` if no recipient has failed or there is no
/// sender to notify.
#[must_use]
pub fn owed(block: &Block, now: SystemTime) -> Option<Owed> {
    let sender = notification::owed_to(block.reverse_path.read().ok()?)?.clone();
    let failed = || {
        let recipients = block.recipients.iter();
        recipients.filter(|recipient| recipient.state == RecipientState::Failed)
    };
    // A recipient that is not a valid address failed for that reason, and a notification cannot
    // name it.
    let failures: Vec<(Address, Diagnosis)> = failed()
        .filter_map(|recipient| {
            let address = recipient.forward_path.read().ok()?.clone();
            Some((address, diagnosis(recipient, block.last_tried(&recipient.forward_path))))
        })
        .collect();
    let tried = failed().filter_map(|recipient| block.last_tried(&recipient.forward_path));
    let tried = tried.map(|tried| tried.at).max();
    let tried = tried.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let tried = tried.unwrap_or(now);
    (!failures.is_empty()).then_some(Owed { sender, failures, tried })
}

/// Why a recipient failed, as far as the queue has recorded it.
fn diagnosis(recipient: &Recipient, tried: Option<&Tried>) -> Diagnosis {
    let reason = DisplayText::from(recipient.last_reply.as_str());
    let Some(tried) = tried else {
        return Diagnosis {
            status: status_of(&recipient.last_reply),
            source: Source::Relay,
            reason,
        };
    };
    let source =
        tried.host.as_deref().map_or(Source::Relay, |host| Source::Host(DisplayText::from(host)));
    let status = Status::read(&tried.status).unwrap_or_else(|| status_of(&tried.reply));
    Diagnosis { status, source, reason }
}

/// The status code of a reply such as `550 5.1.1 no such user`.
fn status_of(reply: &str) -> Status {
    let code = reply.split_at_checked(3).and_then(|(code, _)| code.parse().ok()).unwrap_or(500);
    Status::of_reply(code, reply.get(4..).unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &str) -> Block {
        let text = format!("X-MC-Id: 1\n{lines}X-MC-End:\n");
        Block::parse(text.as_bytes()).expect("a block").0
    }

    fn statuses(block: &Block) -> Vec<String> {
        let owed = owed(block, UNIX_EPOCH).expect("something is owed");
        let told = owed.failures.iter().map(|(address, diagnosis)| {
            let Diagnosis { status, source, reason } = diagnosis;
            format!("{address} {status} {source:?} {reason}")
        });
        told.collect()
    }

    #[test]
    fn what_has_failed_is_owed_to_a_sender_with_what_the_queue_knows_of_it() {
        let block = block(
            "X-MC-From: <ben@localhost>\nX-MC-Queued: 1\nX-MC-Rcpt: P 1 9 <p@x> 451 later\n\
             X-MC-Rcpt: F 1 0 <a@x> 550 5.1.1 no such user\nX-MC-Rcpt: F 1 0 <b@x> no mail (null MX)\n\
             X-MC-Rcpt: F 1 0 <old@x> 552 5.2.2 full\n\
             X-MC-Tried: 5 failed 5.1.1 mx.x <a@x> 550 5.1.1 no such user\n\
             X-MC-Tried: 7 failed 5.1.10 - <b@x> no mail (null MX)\n",
        );
        assert_eq!(
            statuses(&block),
            [
                "a@x 5.1.1 Host(DisplayText(\"mx.x\")) 550 5.1.1 no such user",
                "b@x 5.1.10 Relay no mail (null MX)",
                "old@x 5.2.2 Relay 552 5.2.2 full",
            ]
        );
        let owed = owed(&block, UNIX_EPOCH).expect("something is owed");
        assert_eq!(owed.tried, UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(owed.sender.as_str(), "ben@localhost");
    }

    #[test]
    fn nothing_is_owed_for_what_has_not_failed_and_to_nobody() {
        let pending = block("X-MC-From: <b@x>\nX-MC-Queued: 1\nX-MC-Rcpt: P 1 9 <p@x> 451 later\n");
        assert!(owed(&pending, UNIX_EPOCH).is_none());
        let null = block("X-MC-From: <>\nX-MC-Queued: 1\nX-MC-Rcpt: F 1 0 <p@x> 550 no\n");
        assert!(owed(&null, UNIX_EPOCH).is_none());
    }
}
