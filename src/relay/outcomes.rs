//! Applies the verdicts of a run to queued envelopes. Does no I/O; time is passed in.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::relay::backoff;
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Diagnosis, Notice, Source, Verdict};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Edit, Ended, Recipient, Tried};
use crate::wire::display::DisplayText;

/// The most octets of a reply that are kept in the queue file, so that an envelope block has room
/// for a thousand recipients with a reply each.
const REPLY_KEPT: usize = 400;

/// The outcome of a run, by entry id and recipient.
#[derive(Debug, Default, Clone)]
pub struct Outcomes(HashMap<String, HashMap<String, Outcome>>);

/// The outcome for one recipient.
#[derive(Debug, Clone)]
enum Outcome {
    /// The verdict, and when it was reached.
    Verdict(SystemTime, Verdict),
    /// It was not tried, for this reason.
    PassedOver(String),
}

impl Outcomes {
    /// Records the verdict on a recipient.
    pub fn note(&mut self, id: &str, forward_path: &str, at: SystemTime, verdict: Verdict) {
        let entry = self.0.entry(id.to_owned()).or_default();
        entry.insert(forward_path.to_owned(), Outcome::Verdict(at, verdict));
    }

    /// Records why a recipient was not tried, unless it has an outcome already.
    pub fn note_passed_over(&mut self, id: &str, forward_path: &str, why: &str) {
        let entry = self.0.entry(id.to_owned()).or_default();
        let passed_over = || Outcome::PassedOver(why.to_owned());
        entry.entry(forward_path.to_owned()).or_insert_with(passed_over);
    }

    /// Applies the outcomes to an envelope. Delivered recipients are removed, including those
    /// marked by an earlier run that was killed, but for those whose sender must still be notified;
    /// an envelope without recipients is removed.
    pub fn apply(&self, block: &mut Block, now: SystemTime) -> Edit {
        let of_entry = self.0.get(&block.id);
        let mut changed = false;
        let mut tried = Vec::new();
        block.recipients.retain_mut(|recipient| {
            let outcome = of_entry.and_then(|entry| entry.get(recipient.forward_path.as_str()));
            // An earlier run marked it as delivered and ended before it could remove it.
            changed |= is_over(recipient);
            match outcome {
                None => !is_over(recipient),
                Some(Outcome::Verdict(at, verdict)) => {
                    changed = true;
                    tried.extend(record(&recipient.forward_path, *at, verdict));
                    stays(recipient, verdict, now)
                }
                Some(Outcome::PassedOver(why)) => {
                    changed |= passes_over(recipient, why);
                    !is_over(recipient)
                }
            }
        });
        block.remember(tried);
        match (block.recipients.is_empty(), changed) {
            (true, _) => Edit::Removed,
            (false, true) => Edit::Changed,
            (false, false) => Edit::Unchanged,
        }
    }
}

/// Whether nothing remains to be done for a recipient.
fn is_over(recipient: &Recipient) -> bool {
    recipient.state == RecipientState::Delivered && !recipient.is_relayed
}

/// Stores why a recipient was not tried, unless an attempt has left a reply that says more. Returns
/// whether this changes the recipient.
fn passes_over(recipient: &mut Recipient, why: &str) -> bool {
    let is_news = recipient.attempts == 0 && recipient.last_reply != why;
    if is_news {
        why.clone_into(&mut recipient.last_reply);
    }
    is_news
}

/// Updates a recipient with its verdict; returns whether it stays in the queue.
fn stays(recipient: &mut Recipient, verdict: &Verdict, now: SystemTime) -> bool {
    if let Verdict::Delivered(_, Notice::None) = verdict {
        return false;
    }
    recipient.attempts = recipient.attempts.saturating_add(1);
    recipient.last_reply = kept(&verdict.diagnosis().reason);
    match (verdict, recipient.state) {
        (Verdict::Delivered(..), _) => {
            recipient.state = RecipientState::Delivered;
            recipient.is_relayed = true;
            recipient.next_attempt = 0;
        }
        (Verdict::Failed(_), _) => {
            recipient.state = RecipientState::Failed;
            recipient.next_attempt = 0;
        }
        // An operator held it during the attempt: it stays held.
        (_, RecipientState::Held) => recipient.next_attempt = 0,
        _ => {
            recipient.state = RecipientState::Pending;
            let due = now + backoff::wait_after(recipient.attempts);
            recipient.next_attempt = seconds(due);
        }
    }
    true
}

/// The record of an attempt, for the queue file; `None` if nobody will want to know of it.
fn record(forward_path: &str, at: SystemTime, verdict: &Verdict) -> Option<Tried> {
    let ended = match verdict {
        Verdict::Delivered(_, Notice::None) => return None,
        Verdict::Delivered(_, Notice::Owed) => Ended::Relayed,
        Verdict::Deferred(_, Again::BehindOthers) => Ended::Broke,
        Verdict::Deferred(..) => Ended::Deferred,
        Verdict::Failed(_) => Ended::Failed,
    };
    let Diagnosis { status, source, reason } = verdict.diagnosis();
    Some(Tried {
        at: seconds(at),
        ended,
        status: status.to_string(),
        host: match source {
            // Fields of the record are separated by blanks.
            Source::Host(host) => Some(host.as_str().replace(' ', "_")),
            Source::Relay => None,
        },
        forward_path: forward_path.to_owned(),
        reply: kept(reason),
    })
}

/// Whether this recipient goes behind others: a host broke off the last conversation about it, and
/// might do so again before it is offered the rest.
#[must_use]
pub fn goes_last(block: &Block, forward_path: &str) -> bool {
    block.last_tried(forward_path).is_some_and(|tried| tried.ended == Ended::Broke)
}

/// The verdict, or a failure in place of a deferral after [`backoff::PATIENCE`].
#[must_use]
pub fn within_patience(verdict: Verdict, queued: u64, now: SystemTime) -> Verdict {
    let queued = UNIX_EPOCH.checked_add(Duration::from_secs(queued));
    match verdict {
        Verdict::Deferred(diagnosis, _)
            if queued.is_some_and(|at| backoff::is_expired(at, now)) =>
        {
            let reason = format!("{}; given up after 5 days", diagnosis.reason);
            let reason = DisplayText::from(reason.as_str());
            Verdict::Failed(Diagnosis { status: Status::EXPIRED, reason, ..diagnosis })
        }
        verdict => verdict,
    }
}

/// Whether a run started by a timer may try the recipient now.
#[must_use]
pub fn is_due(recipient: &Recipient, now: SystemTime) -> bool {
    recipient.state == RecipientState::Pending && is_time(recipient.next_attempt, now)
}

/// Whether `next_attempt`, in seconds since 1970, has come. A time further off than the longest
/// wait was set while the clock was wrong, and counts as due.
#[must_use]
pub fn is_time(next_attempt: u64, now: SystemTime) -> bool {
    next_attempt <= seconds(now) || next_attempt > seconds(now + backoff::LONGEST_WAIT)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn kept(reason: &DisplayText) -> String {
    let reason = reason.as_str();
    if reason.len() <= REPLY_KEPT {
        return reason.to_owned();
    }
    let end = reason.floor_char_boundary(REPLY_KEPT);
    format!("{}…", reason.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dsn::RecipientDsn;
    use crate::mail::parameters::MailParameters;

    const NOW: u64 = 1_758_106_800;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn recipient(state: RecipientState, forward_path: &str) -> Recipient {
        Recipient {
            state,
            is_relayed: false,
            attempts: 0,
            next_attempt: 0,
            forward_path: forward_path.into(),
            last_reply: String::new(),
            dsn: RecipientDsn::default(),
        }
    }

    fn block(recipients: Vec<Recipient>) -> Block {
        Block {
            id: "1".into(),
            reverse_path: "a@b".into(),
            queued: NOW,
            client: None,
            parameters: MailParameters::default(),
            recipients,
            tried: Vec::new(),
        }
    }

    fn deferred(reason: &str) -> Verdict {
        Verdict::deferred(Status::BROKEN, Again::NextRun, reason)
    }

    fn delivered() -> Verdict {
        Verdict::Delivered(Diagnosis::ours(Status::DELIVERED, "250 ok"), Notice::None)
    }

    /// The recipient lines of a block after the outcomes have been applied.
    fn left(verdicts: &[(&str, Verdict)], mut block: Block) -> (Edit, Vec<String>) {
        let mut noted = Outcomes::default();
        for (forward_path, verdict) in verdicts {
            noted.note("1", forward_path, now(), verdict.clone());
        }
        let edit = noted.apply(&mut block, now());
        let text = block.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix("X-MC-Rcpt: "));
        (edit, lines.map(str::to_owned).collect())
    }

    #[test]
    fn each_recipient_becomes_what_its_verdict_says() {
        let pending = |path| recipient(RecipientState::Pending, path);
        let block = block(vec![pending("a@x"), pending("b@x"), pending("c@x"), pending("d@x")]);
        let outcomes = [
            ("a@x", delivered()),
            ("b@x", deferred("451 later")),
            ("c@x", Verdict::failed(Status::NO_HOST, "550 never")),
        ];
        let (edit, lines) = left(&outcomes, block);
        assert_eq!(edit, Edit::Changed);
        assert_eq!(
            lines,
            [&format!("P 1 {} <b@x> 451 later", NOW + 300), "F 1 0 <c@x> 550 never", "P 0 0 <d@x>"]
        );
    }

    #[test]
    fn who_was_relayed_stays_until_its_sender_is_told() {
        let relayed =
            Verdict::Delivered(Diagnosis::ours(Status::DELIVERED, "250 ok"), Notice::Owed);
        let mut block = block(vec![recipient(RecipientState::Pending, "a@x")]);
        let (edit, lines) = left(&[("a@x", relayed.clone())], block.clone());
        assert_eq!((edit, lines), (Edit::Changed, vec!["R 1 0 <a@x> 250 ok".to_owned()]));
        let mut noted = Outcomes::default();
        noted.note("1", "a@x", now(), relayed);
        noted.apply(&mut block, now());
        assert_eq!(block.last_tried("a@x").map(|tried| tried.ended), Some(Ended::Relayed));
        assert_eq!(Outcomes::default().apply(&mut block, now()), Edit::Unchanged);
        block.recipients[0].is_relayed = false;
        assert_eq!(Outcomes::default().apply(&mut block, now()), Edit::Removed);
    }

    #[test]
    fn an_entry_without_recipients_goes() {
        let pending = || block(vec![recipient(RecipientState::Pending, "a@x")]);
        assert_eq!(left(&[("a@x", delivered())], pending()).0, Edit::Removed);
        assert_eq!(left(&[], pending()).0, Edit::Unchanged);
    }

    #[test]
    fn what_a_run_that_died_had_marked_goes_with_the_next_run() {
        let marked = recipient(RecipientState::Delivered, "a@x");
        let pending = recipient(RecipientState::Pending, "b@x");
        let (edit, lines) = left(&[], block(vec![marked.clone(), pending]));
        assert_eq!((edit, lines), (Edit::Changed, vec!["P 0 0 <b@x>".to_owned()]));
        assert_eq!(left(&[], block(vec![marked])).0, Edit::Removed);
    }

    #[test]
    fn who_was_passed_over_has_the_reason_and_no_attempt() {
        let said = Recipient {
            attempts: 1,
            last_reply: "451 later".into(),
            ..recipient(RecipientState::Pending, "b@x")
        };
        let delivered = recipient(RecipientState::Delivered, "c@x");
        let mut block = block(vec![recipient(RecipientState::Pending, "a@x"), said, delivered]);
        let mut noted = Outcomes::default();
        for path in ["a@x", "b@x", "c@x"] {
            noted.note_passed_over("1", path, "not offered: mx broke off");
        }
        assert_eq!(noted.apply(&mut block, now()), Edit::Changed);
        let left: Vec<(u32, &str)> =
            block.recipients.iter().map(|left| (left.attempts, left.last_reply.as_str())).collect();
        assert_eq!(left, [(0, "not offered: mx broke off"), (1, "451 later")]);
        assert_eq!(noted.apply(&mut block, now()), Edit::Unchanged);
    }

    #[test]
    fn who_was_held_meanwhile_stays_held() {
        let held = block(vec![recipient(RecipientState::Held, "a@x")]);
        let (_, lines) = left(&[("a@x", deferred("451 later"))], held);
        assert_eq!(lines, ["H 1 0 <a@x> 451 later"]);
    }

    #[test]
    fn a_long_reply_is_cut_so_that_the_envelope_stays_readable() {
        let reply = format!("451 {}", "é".repeat(900));
        let pending = block(vec![recipient(RecipientState::Pending, "a@x")]);
        let (_, lines) = left(&[("a@x", deferred(&reply))], pending);
        assert!(lines[0].ends_with("é…"));
        assert!(lines[0].len() < 450);
    }

    #[test]
    fn after_five_days_a_deferral_is_a_failure() {
        let five_days = backoff::PATIENCE.as_secs();
        let fresh = within_patience(deferred("451 later"), NOW - five_days + 1, now());
        assert!(matches!(fresh, Verdict::Deferred(..)));
        let old = within_patience(deferred("451 later"), NOW - five_days, now());
        let Verdict::Failed(diagnosis) = old else { panic!("{old:?}") };
        assert_eq!(diagnosis.reason.as_str(), "451 later; given up after 5 days");
        assert_eq!(diagnosis.status, Status::EXPIRED);
    }

    #[test]
    fn what_is_due_later_than_any_wait_is_long_is_due() {
        for next_attempt in
            [NOW + backoff::LONGEST_WAIT.as_secs() + 1, NOW + 400 * 86_400, u64::MAX]
        {
            let recipient = Recipient { next_attempt, ..recipient(RecipientState::Pending, "a@x") };
            assert!(is_due(&recipient, now()), "{next_attempt}");
        }
    }

    #[test]
    fn what_was_tried_is_remembered_and_what_broke_off_goes_last() {
        let mut block = block(vec![
            recipient(RecipientState::Pending, "a@x"),
            recipient(RecipientState::Pending, "b@x"),
        ]);
        let closed = Verdict::deferred(Status::BROKEN, Again::BehindOthers, "mx closed it");
        let mut noted = Outcomes::default();
        noted.note("1", "a@x", now(), closed);
        noted.note("1", "b@x", now(), delivered());
        noted.apply(&mut block, now());
        let (read, _) = Block::parse(block.render().as_bytes()).expect("a block");
        assert_eq!(read, block);
        assert!(goes_last(&read, "a@x") && !goes_last(&read, "c@x"));
        let ended: Vec<Ended> = read.tried.iter().map(|tried| tried.ended).collect();
        assert_eq!(ended, [Ended::Broke]);
    }

    #[test]
    fn a_timer_takes_what_is_due() {
        let due_at =
            |next_attempt| Recipient { next_attempt, ..recipient(RecipientState::Pending, "a@x") };
        assert!(is_due(&due_at(0), now()));
        assert!(is_due(&due_at(NOW), now()));
        assert!(!is_due(&due_at(NOW + 1), now()));
        assert!(!is_due(&due_at(NOW + backoff::LONGEST_WAIT.as_secs()), now()));
        assert!(!is_due(&recipient(RecipientState::Failed, "a@x"), now()));
    }
}
