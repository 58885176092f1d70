//! Finds the senders that must still be notified of failed mail. The queue holds that state: a
//! failed recipient stays in it until its sender has been notified or an operator decides. Does no
//! I/O.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mail::dsn::Occasion;
use crate::mail::path::Address;
use crate::relay::notification::{self, Action, Report};
use crate::relay::status::Status;
use crate::relay::verdict::{Diagnosis, Source};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Ended, Recipient, Tried};
use crate::wire::display::DisplayText;

/// A notification that must still be sent, about one message.
#[derive(Debug, Clone)]
pub struct Owed {
    /// The sender, who gets the notification.
    pub sender: Address,
    /// What it is told of which recipients. If there is nothing, it gets no notification.
    pub reports: Vec<Report>,
    /// The failed recipients of which the sender does not want to be told: they are done with.
    pub silent: Vec<Address>,
    /// When delivery was last attempted.
    pub tried: SystemTime,
}

impl Owed {
    /// The recipients that are done with when the sender has been told, as they stand in the entry.
    #[must_use]
    pub fn about(&self) -> Vec<String> {
        let told = self.reports.iter().map(|report| &report.recipient);
        told.chain(&self.silent).map(|address| address.as_str().to_owned()).collect()
    }
}

/// What is owed to the sender of a queued message; `None` if no recipient has failed or was relayed,
/// or there is no sender to notify.
#[must_use]
pub fn owed(block: &Block, now: SystemTime) -> Option<Owed> {
    let sender = notification::owed_to(block.reverse_path.read().ok()?)?.clone();
    let (mut reports, mut silent, mut tried_at) = (Vec::new(), Vec::new(), None);
    for recipient in &block.recipients {
        let Some(action) = action(recipient) else { continue };
        let tried = block.last_tried(&recipient.forward_path);
        tried_at = tried_at.max(tried.map(|tried| tried.at));
        // A recipient that is not a valid address failed for that reason, and a notification cannot
        // name it.
        let Ok(address) = recipient.forward_path.read() else { continue };
        if action == Action::Failed && !recipient.dsn.asks(Occasion::Failure) {
            silent.push(address.clone());
            continue;
        }
        reports.push(Report {
            recipient: address.clone(),
            original: recipient.dsn.orcpt.clone(),
            action,
            diagnosis: match action {
                Action::Failed => diagnosis(recipient, tried),
                Action::Relayed => accepted(recipient, tried),
            },
        });
    }
    let tried = tried_at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let tried = tried.unwrap_or(now);
    let is_owed = !reports.is_empty() || !silent.is_empty();
    is_owed.then_some(Owed { sender, reports, silent, tried })
}

/// What became of a recipient, if its sender may have to be told.
fn action(recipient: &Recipient) -> Option<Action> {
    match recipient.state {
        RecipientState::Failed => Some(Action::Failed),
        RecipientState::Delivered if recipient.is_relayed => Some(Action::Relayed),
        _ => None,
    }
}

/// What the host said when it accepted the message. If the run was killed right behind the mark,
/// the queue does not know.
fn accepted(recipient: &Recipient, tried: Option<&Tried>) -> Diagnosis {
    match tried {
        Some(tried) if tried.ended == Ended::Relayed => diagnosis(recipient, Some(tried)),
        _ => Diagnosis::ours(Status::DELIVERED, "the mail host has accepted the message"),
    }
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
    use crate::mail::dsn::OriginalRecipient;

    fn block(lines: &str) -> Block {
        let text = format!("X-MC-Id: 1\n{lines}X-MC-End:\n");
        Block::parse(text.as_bytes()).expect("a block").0
    }

    fn statuses(block: &Block) -> Vec<String> {
        let owed = owed(block, UNIX_EPOCH).expect("something is owed");
        let told = owed.reports.iter().map(|report| {
            let Diagnosis { status, source, reason } = &report.diagnosis;
            format!("{} {status} {source:?} {reason}", report.recipient)
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

    #[test]
    fn notify_says_of_what_a_sender_is_told() {
        let block = block(
            "X-MC-From: <ben@localhost>\nX-MC-Queued: 1\n\
             X-MC-Rcpt: F 1 0 <never@x> 550 no\nX-MC-Rcpt-Dsn: NOTIFY=NEVER\n\
             X-MC-Rcpt: F 1 0 <success@x> 550 no\nX-MC-Rcpt-Dsn: NOTIFY=SUCCESS,DELAY\n\
             X-MC-Rcpt: F 1 0 <failure@x> 550 no\n\
             X-MC-Rcpt-Dsn: NOTIFY=FAILURE ORCPT=rfc822;o@y\n\
             X-MC-Rcpt: R 1 0 <relayed@x> 250 2.6.0 ok\nX-MC-Rcpt-Dsn: NOTIFY=SUCCESS\n\
             X-MC-Rcpt: R 1 0 <killed@x> 451 later\nX-MC-Rcpt-Dsn: NOTIFY=SUCCESS\n\
             X-MC-Rcpt: D 1 0 <done@x>\nX-MC-Rcpt-Dsn: NOTIFY=SUCCESS\n\
             X-MC-Tried: 5 relayed 2.6.0 mx.x <relayed@x> 250 2.6.0 ok\n\
             X-MC-Tried: 5 deferred 4.0.0 mx.x <killed@x> 451 later\n",
        );
        assert_eq!(
            statuses(&block),
            [
                "failure@x 5.0.0 Relay 550 no",
                "relayed@x 2.6.0 Host(DisplayText(\"mx.x\")) 250 2.6.0 ok",
                "killed@x 2.0.0 Relay the mail host has accepted the message",
            ]
        );
        let owed = owed(&block, UNIX_EPOCH).expect("something is owed");
        assert_eq!(owed.about(), ["failure@x", "relayed@x", "killed@x", "never@x", "success@x"]);
        assert_eq!(owed.reports[0].original, OriginalRecipient::parse("rfc822;o@y").ok());
        assert_eq!(owed.reports.iter().filter(|it| it.action == Action::Relayed).count(), 2);
    }

    #[test]
    fn who_wants_no_notification_is_done_without_one() {
        let block = block(
            "X-MC-From: <ben@localhost>\nX-MC-Queued: 1\n\
             X-MC-Rcpt: F 1 0 <never@x> 550 no\nX-MC-Rcpt-Dsn: NOTIFY=NEVER\n",
        );
        let owed = owed(&block, UNIX_EPOCH).expect("something is owed");
        assert!(owed.reports.is_empty());
        assert_eq!(owed.about(), ["never@x"]);
    }
}
