//! What a client that sends mail must not do (RFC 5321), and what each scenario asks of it.

use crate::check::client::findings::{burns, goes_on, last_line, repeats};
use crate::check::client::limits::allowed;
use crate::check::client::record::{Protocol, Run, Side, Trial, What};
use crate::check::client::steps::{Answer, Step, steps};
use crate::check::client::verdict::{Judgement, Verdict};

/// What a client may send where a command is expected.
const VERBS: [&str; 15] = [
    "EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", ".", "RSET", "NOOP", "QUIT", "VRFY", "EXPN",
    "HELP", "AUTH", "STARTTLS",
];

/// How often a client may try to log in where each attempt ends the connection.
const LOGINS_MOST: usize = 3;

/// Judges a client that was reached by the fault.
pub(super) fn judge(trial: &Trial) -> Judgement {
    let runs = || trial.runs.iter().enumerate();
    let broken = runs().find_map(|(index, run)| burns(index, run));
    let broken = broken.or_else(|| runs().find_map(|(index, run)| on_the_wire(trial, index, run)));
    let broken = broken.or_else(|| of_scenario(trial));
    let broken = broken.or_else(|| runs().find_map(|(index, run)| told(trial, index, run)));
    let broken = broken.or_else(|| waits(trial)).or_else(|| in_the_end(trial));
    broken.unwrap_or_else(|| Judgement::pass(what_it_did(trial)))
}

/// What the conversation shows, whatever the scenario.
fn on_the_wire(trial: &Trial, index: usize, run: &Run) -> Option<Judgement> {
    let steps = steps(&run.entries);
    goes_on(index, run, |line| line.starts_with(b"421"))
        .or_else(|| sends_what_nobody_takes(index, &steps))
        .or_else(|| sends_text_unasked(index, &steps))
        .or_else(|| leaves_out_who_was_accepted(index, &steps))
        .or_else(|| {
            let is_final = |step: &Step| step.code().is_none_or(|code| code >= 500);
            let is_refused = |step: &Step| {
                let is_counted = !matches!(&*step.verb, "QUIT" | "RSET" | "NOOP");
                is_counted && step.reply.as_ref().is_some_and(Answer::refuses)
            };
            repeats(index, &steps, is_final, is_refused)
        })
        .or_else(|| too_early(trial, index, run))
}

/// It sent the text of the message as if DATA had been accepted.
fn sends_text_unasked(index: usize, steps: &[Step]) -> Option<Judgement> {
    for step in steps.iter().filter(|step| step.verb == "DATA") {
        let Some(reply) = step.reply.as_ref().filter(|reply| reply.is_complete) else { continue };
        if reply.code.is_some_and(|code| code / 100 == 3) {
            continue;
        }
        let mut later = steps
            .iter()
            .filter(|later| later.connection == step.connection && later.index > reply.last);
        let next = later.next().filter(|next| !VERBS.contains(&&*next.verb) || next.verb == ".");
        if let Some(next) = next {
            let reason = format!("it sent the text after {}, which did not ask for it", reply.line);
            return Some(Judgement::fail(index, Some(next.index), reason));
        }
    }
    None
}

/// It went on with a transaction in which nothing was accepted. What was on its way already, by
/// pipelining (RFC 2920), is no fault.
fn sends_what_nobody_takes(index: usize, steps: &[Step]) -> Option<Judgement> {
    let mut transaction = Transaction::default();
    for (place, step) in steps.iter().enumerate() {
        let next = steps.get(place + 1..).into_iter().flatten();
        let mut next = next.filter(|next| next.connection == step.connection);
        // The first of several that were sent at once came behind a reply that it did not wait for.
        let is_first_of_several = next.next().is_some_and(|next| next.is_pipelined);
        let is_knowing = !step.is_pipelined && !is_first_of_several;
        let refused = match &*step.verb {
            "MAIL" | "EHLO" | "HELO" | "RSET" | "" => {
                transaction = Transaction::default();
                transaction.mail = (step.verb == "MAIL").then(|| step.clone());
                continue;
            }
            "RCPT" => {
                transaction.accepted += usize::from(step.accepts());
                transaction.refused = Some(step.clone()).filter(|step| !step.accepts());
                transaction.mail.as_ref().filter(|mail| !mail.accepts())
            }
            "DATA" | "BDAT" if transaction.accepted == 0 => {
                transaction.refused.as_ref().or(transaction.mail.as_ref())
            }
            _ => None,
        };
        if let Some(refused) = refused.filter(|_| is_knowing) {
            let said = refused.reply.as_ref().map_or("no reply", |reply| &*reply.line);
            let reason = format!(
                "it went on with {} although {} had accepted nothing",
                step.verb,
                if said.is_empty() { "the reply" } else { said }
            );
            return Some(Judgement::fail(index, Some(step.index), reason));
        }
    }
    None
}

/// What a transaction has come to.
#[derive(Default)]
struct Transaction {
    mail: Option<Step>,
    /// Recipients that were accepted.
    accepted: usize,
    /// The last recipient, if it was refused.
    refused: Option<Step>,
}

/// One recipient was accepted and another refused, and it gave up both.
fn leaves_out_who_was_accepted(index: usize, steps: &[Step]) -> Option<Judgement> {
    let mut accepted = None;
    let mut refused = None;
    let end = steps.len();
    for (place, step) in steps.iter().enumerate() {
        let ends = matches!(&*step.verb, "RSET" | "QUIT" | "MAIL" | "HELO" | "EHLO" | "");
        match &*step.verb {
            "RCPT" if step.accepts() => accepted = Some(step),
            "RCPT" if step.code().is_some_and(|code| code >= 400 && code != 421) => {
                refused = Some(step);
            }
            // Asked for the text, it may still keep it.
            "DATA" if step.code().is_some_and(|code| code / 100 == 3) => {}
            "DATA" | "BDAT" | "." => (accepted, refused) = (None, None),
            _ => {}
        }
        let is_over = ends || place + 1 == end;
        if let Some(refused) = refused.filter(|_| is_over && accepted.is_some()) {
            let said = refused.reply.as_ref().map_or("", |reply| &*reply.line);
            let reason = format!(
                "it sent nothing to the recipient that was accepted, because another got {said}"
            );
            return Some(Judgement::fail(index, Some(refused.mark()), reason));
        }
        if ends {
            (accepted, refused) = (None, None);
        }
    }
    None
}

/// It spoke before the greeting had come.
fn too_early(trial: &Trial, index: usize, run: &Run) -> Option<Judgement> {
    if !matches!(&*trial.name, "mute-greeting" | "late-greeting" | "long-greeting") {
        return None;
    }
    let steps = steps(&run.entries);
    let is_early = |step: &&Step| {
        let greeting =
            steps.iter().find(|one| one.verb.is_empty() && one.connection == step.connection);
        let greeted = greeting.and_then(|one| one.reply.as_ref());
        let before = greeted.is_none_or(|reply| !reply.is_complete || reply.last > step.index);
        !step.verb.is_empty() && step.verb != "QUIT" && before
    };
    let early = steps.iter().find(is_early)?;
    let reason = format!("it said {} before the greeting had come", early.line);
    Some(Judgement::fail(index, Some(early.index), reason))
}

/// What the command said by its exit status, beside what is true.
fn told(trial: &Trial, index: usize, run: &Run) -> Option<Judgement> {
    let steps = steps(&run.entries);
    let dot = steps.iter().rev().find(|step| is_told(run, step));
    let stored = stored_by(trial, index);
    if run.exit == Some(0) && stored == 0 && dot.is_none() && !was_sent_before(trial, index) {
        let reason = "it said that the message was sent (exit 0), and nothing was accepted";
        return Some(Judgement::fail(index, last_line(run), reason));
    }
    let has_failed = run.exit.is_some_and(|exit| exit != 0);
    let is_whole = steps.iter().filter(|step| step.verb == "RCPT").all(Step::accepts);
    let dot = dot.filter(|_| has_failed && is_whole && stored > 0)?;
    // Of several messages, it may be the next one that failed.
    let is_next_refused = steps.iter().any(|step| {
        step.index > dot.index
            && step.verb != "QUIT"
            && step.reply.as_ref().is_some_and(Answer::refuses)
    });
    if is_next_refused {
        return None;
    }
    // The next run repeats it: that is a retry.
    let is_retried = stored_by(trial, index + 1) > 0;
    (!is_retried).then(|| {
        let said = dot.reply.as_ref().map_or("", |reply| &*reply.line);
        let exit = run.exit.unwrap_or_default();
        let reason = format!("it said that sending failed (exit {exit}) although {said} was told");
        Judgement::fail(index, Some(dot.mark()), reason)
    })
}

/// Whether a client was told that its message is accepted: it was still there to hear it.
fn is_told(run: &Run, step: &Step) -> bool {
    let left = run.entries.iter().position(|entry| {
        entry.connection == step.connection && entry.what == What::Closed(Some(Side::Client))
    });
    step.verb == "." && step.accepts() && left.is_none_or(|left| left > step.mark())
}

/// How many messages a run has added.
fn stored_by(trial: &Trial, index: usize) -> usize {
    let stored = |index: usize| trial.runs.get(index).map_or(0, |run| run.stored.len());
    let before = index.checked_sub(1).map_or(0, stored);
    stored(index).saturating_sub(before)
}

/// Whether an earlier run has sent the message, so that a client that remembers it has nothing to do.
fn was_sent_before(trial: &Trial, index: usize) -> bool {
    trial.runs.iter().take(index).any(|run| !run.stored.is_empty() && run.exit == Some(0))
}

/// What one scenario forbids beyond that.
fn of_scenario(trial: &Trial) -> Option<Judgement> {
    let run = trial.runs.first()?;
    let steps = steps(&run.entries);
    match &*trial.name {
        "no-service" => after_refused_greeting(&steps),
        "half-multi" => after_half_a_reply(&steps),
        "bad-code" | "no-code" if run.timed_out => {
            let reason =
                "it waits for another reply to MAIL although one has come, which cannot be read";
            Some(Judgement::fail(0, marked(&steps, "MAIL"), reason))
        }
        "double-reply" => after_one_reply_too_many(run),
        "long-reply" if run.exit == Some(0) => {
            let reason = "it took a reply line of 2 MB, of which 512 octets are allowed \
                          (RFC 5321 section 4.5.3.1.5)";
            Some(Judgement::fail(0, marked(&steps, "MAIL"), reason))
        }
        "lost-after" => guesses(run, &steps).or_else(|| other_message_id(trial)),
        "stop-in-text" if run.timed_out => {
            let reason = "it waits for another reply to the message, which was refused already";
            Some(Judgement::fail(0, last_line(run), reason))
        }
        "quit-mute" if run.timed_out => {
            let reason = "it hangs for the reply to QUIT although the message was accepted";
            Some(Judgement::fail(0, last_line(run), reason))
        }
        "tls-cut" | "tls-garbage" | "tls-alert" => in_the_clear(run, &steps),
        "tls-expired" | "tls-name" | "tls-ca" => with_a_wrong_certificate(run, &steps),
        "tls-inject" => took_what_was_injected(run, &steps),
        "auth-refused" | "auth-later" | "auth-drop" => locks_out(run, &steps),
        _ => None,
    }
}

fn marked(steps: &[Step], verb: &str) -> Option<usize> {
    steps.iter().find(|step| step.verb == verb).map(Step::mark)
}

fn after_refused_greeting(steps: &[Step]) -> Option<Judgement> {
    let said = steps.iter().find(|step| !matches!(&*step.verb, "" | "QUIT"))?;
    let reason = format!("it said {} although the greeting was a refusal", said.line);
    Some(Judgement::fail(0, Some(said.index), reason))
}

fn after_half_a_reply(steps: &[Step]) -> Option<Judgement> {
    let half = steps.iter().find(|step| {
        step.verb == "EHLO" && step.reply.as_ref().is_some_and(|reply| !reply.is_complete)
    })?;
    let later = steps.iter().find(|later| {
        later.connection == half.connection && later.index > half.index && later.verb != "QUIT"
    })?;
    let reason = format!("it said {} while the reply to EHLO had not ended", later.line);
    Some(Judgement::fail(0, Some(later.index), reason))
}

/// The reply to MAIL came twice: who then gets a message through has taken each reply for another.
fn after_one_reply_too_many(run: &Run) -> Option<Judgement> {
    let reason = "it went on to the end although one reply too many had come: from then on it took \
                  each reply for that of the command before";
    let goes_through = run.exit == Some(0) || !run.stored.is_empty();
    goes_through.then(|| Judgement::fail(0, last_line(run), reason))
}

fn guesses(run: &Run, steps: &[Step]) -> Option<Judgement> {
    let is_told = steps.iter().any(|step| is_told(run, step));
    let reason = "it said that the message was sent (exit 0) although no reply has told so";
    (run.exit == Some(0) && !is_told).then(|| Judgement::fail(0, last_line(run), reason))
}

fn other_message_id(trial: &Trial) -> Option<Judgement> {
    let last = trial.runs.last()?;
    let other = last
        .stored
        .iter()
        .find(|stored| stored.message_id.as_deref() != Some(&*trial.message_id))?;
    let now = other.message_id.as_deref().unwrap_or("none");
    let reason =
        format!("what it sent has the Message-ID {now}, so that nobody sees that it is twice");
    Some(Judgement::fail(trial.runs.len() - 1, last_line(last), reason))
}

fn in_the_clear(run: &Run, steps: &[Step]) -> Option<Judgement> {
    let begun = steps.iter().find(|step| step.verb == "STARTTLS")?;
    let later = || steps.iter().filter(|step| step.index > begun.mark());
    let password = later().find(|step| step.verb == "AUTH");
    if let Some(auth) = password {
        let reason = "it sent its password in the clear after TLS had failed";
        return Some(Judgement::fail(0, Some(auth.index), reason));
    }
    let on = later().find(|step| step.connection == begun.connection && step.verb != "QUIT");
    let on = on.filter(|step| !step.verb.is_empty() && is_plain(run, step));
    on.map(|step| {
        let reason =
            format!("it went on with {} in the clear on a connection whose TLS failed", step.verb);
        Judgement::fail(0, Some(step.index), reason)
    })
}

/// Whether a command was legible on the wire: a server that could not begin TLS has told nothing.
fn is_plain(run: &Run, step: &Step) -> bool {
    run.entries.get(step.index).is_some_and(|entry| matches!(entry.what, What::Command { .. }))
}

fn secured_at(run: &Run) -> Option<(usize, usize)> {
    let at = run.entries.iter().position(|entry| entry.what == What::Secured)?;
    Some((at, run.entries.get(at)?.connection))
}

fn within_tls<'a>(run: &Run, steps: &'a [Step]) -> Option<&'a Step> {
    let (at, connection) = secured_at(run)?;
    let within = |step: &&Step| step.connection == connection && step.index > at;
    steps.iter().filter(within).find(|step| step.verb != "QUIT")
}

fn with_a_wrong_certificate(run: &Run, steps: &[Step]) -> Option<Judgement> {
    let step = within_tls(run, steps)?;
    let reason = format!("it went on with {} although the certificate is wrong", step.verb);
    Some(Judgement::fail(0, Some(step.index), reason))
}

fn took_what_was_injected(run: &Run, steps: &[Step]) -> Option<Judgement> {
    let (at, connection) = secured_at(run)?;
    let after_hello = steps.iter().find(|step| {
        step.connection == connection
            && step.index > at
            && !matches!(&*step.verb, "EHLO" | "HELO" | "QUIT")
    })?;
    let reason = "it took the line that came before TLS for a reply, and lost step";
    (run.exit != Some(0)).then(|| Judgement::fail(0, Some(after_hello.index), reason))
}

fn locks_out(run: &Run, steps: &[Step]) -> Option<Judgement> {
    let mut logins = steps.iter().filter(|step| step.verb == "AUTH").skip(LOGINS_MOST);
    let next = logins.next()?;
    let times = steps.iter().filter(|step| step.verb == "AUTH").count();
    let reason =
        format!("it tried to log in {times} times in {:.0} s, which locks accounts", run.seconds);
    Some(Judgement::fail(0, Some(next.index), reason))
}

/// It was still at work when patience ended.
fn waits(trial: &Trial) -> Option<Judgement> {
    let (index, run) = trial.runs.iter().enumerate().find(|(_, run)| run.timed_out)?;
    let reason =
        format!("still waiting after {:.0} s: {}", run.seconds, allowed(Protocol::Smtp, run));
    let place = last_line(run);
    Some(Judgement { verdict: Verdict::Info, ..Judgement::fail(index, place, reason) })
}

/// What becomes of the message where it can be delivered: at once, or by trying again.
fn in_the_end(trial: &Trial) -> Option<Judgement> {
    let (index, run) = trial.runs.iter().enumerate().next_back()?;
    let must_send = matches!(
        &*trial.name,
        "late-greeting"
            | "long-greeting"
            | "no-ehlo"
            | "ehlo-junk"
            | "drip"
            | "slow-text"
            | "slow-dot"
    );
    let says_so = run.exit == Some(0) && !run.stored.is_empty();
    let is_right = match index {
        0 => says_so || !must_send,
        _ => says_so || stored_by(trial, index) > 0,
    };
    if is_right {
        return None;
    }
    let exit = run.exit.map_or_else(|| "it was killed".to_owned(), |exit| format!("exit {exit}"));
    let reason = if index > 0 {
        format!("it did not deliver the message when it was tried again ({exit})")
    } else {
        let Run { seconds, .. } = run;
        format!("it gave up after {seconds:.1} s ({exit}) although the message could be delivered")
    };
    Some(Judgement::fail(index, last_line(run), reason))
}

/// What a client did that did nothing wrong.
pub(super) fn what_it_did(trial: &Trial) -> String {
    let sent = |index: usize| stored_by(trial, index) > 0;
    let said = |run: &Run| match run.exit {
        Some(0) => "exit 0".to_owned(),
        Some(exit) => format!("exit {exit}"),
        None => "it was ended".to_owned(),
    };
    let mut words = Vec::new();
    for (index, run) in trial.runs.iter().enumerate() {
        let has_text = run
            .entries
            .iter()
            .any(|entry| matches!(entry.what, What::Text { side: Side::Client, .. }));
        let is_told = steps(&run.entries).iter().any(|step| is_told(run, step));
        let what = match (sent(index), run.exit) {
            (true, Some(0)) => "delivered it",
            (true, _) if is_told => "delivered it and reported a failure",
            (true, _) => "delivered it and could not know",
            (false, Some(0)) if is_told => "took it for sent",
            (false, Some(0)) => "sent nothing more",
            (false, _) if has_text => "reported the failure",
            (false, _) => "sent no message and reported the failure",
        };
        let again = if index > 0 { "tried again, it " } else { "it " };
        words.push(format!("{again}{what} ({})", said(run)));
    }
    words.join("; ")
}
