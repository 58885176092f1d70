//! What a client that fetches mail must not do (RFC 1939), and what each scenario asks of it.

use crate::check::client::findings::{burns, goes_on, last_line, repeats};
use crate::check::client::limits::allowed;
use crate::check::client::record::{Entry, Protocol, Run, Side, Trial, What};
use crate::check::client::steps::{Answer, Step, steps};
use crate::check::client::verdict::{Judgement, Verdict};

/// More lines than any message of the maildrop has: TOP with as many is as good as RETR.
const ALL_LINES: usize = 40;

/// How often a client may try a password in one run.
const LOGINS_MOST: usize = 3;

/// Judges a client that was reached by the fault.
pub(super) fn judge(trial: &Trial) -> Judgement {
    let runs = || trial.runs.iter().enumerate();
    let broken = runs().find_map(|(index, run)| burns(index, run));
    let broken = broken.or_else(|| runs().find_map(|(index, run)| on_the_wire(index, run)));
    let broken = broken.or_else(|| runs().find_map(|(index, run)| cut(trial, index, run)));
    let broken = broken.or_else(|| runs().find_map(|(index, _)| lost(trial, index)));
    let broken = broken.or_else(|| of_scenario(trial));
    let broken = broken.or_else(|| runs().find_map(|(index, run)| told(index, run)));
    let broken = broken.or_else(|| waits(trial)).or_else(|| in_the_end(trial));
    broken.unwrap_or_else(|| Judgement::pass(what_it_did(trial)))
}

fn is_refused(step: &Step) -> bool {
    step.reply.as_ref().is_some_and(|reply| reply.line.starts_with("-ERR"))
}

fn on_the_wire(index: usize, run: &Run) -> Option<Judgement> {
    let steps = steps(&run.entries);
    repeats(
        index,
        &steps,
        |step| step.reply.as_ref().is_some_and(|reply| reply.line.contains("[SYS/PERM]")),
        |step| matches!(&*step.verb, "" | "PASS" | "RETR" | "DELE" | "STAT") && is_refused(step),
    )
    .or_else(|| after_refused_greeting(index, run, &steps))
    .or_else(|| after_refused_login(index, &steps))
    .or_else(|| guesses_passwords(index, &steps))
}

fn after_refused_greeting(index: usize, run: &Run, steps: &[Step]) -> Option<Judgement> {
    let greeted = steps.iter().find(|step| step.verb.is_empty() && is_refused(step))?;
    let line = greeted.reply.as_ref()?.line.as_bytes();
    goes_on(index, run, |said| said == line)
}

fn after_refused_login(index: usize, steps: &[Step]) -> Option<Judgement> {
    let refused = steps.iter().find(|step| step.verb == "PASS" && is_refused(step))?;
    let on = steps.iter().find(|step| {
        let needs_login = matches!(&*step.verb, "STAT" | "LIST" | "UIDL" | "RETR" | "TOP" | "DELE");
        let is_later = step.connection == refused.connection && step.index > refused.mark();
        needs_login && is_later && !step.is_pipelined
    })?;
    let reason = format!("it went on with {} although the login was refused", on.line);
    Some(Judgement::fail(index, Some(on.index), reason))
}

fn guesses_passwords(index: usize, steps: &[Step]) -> Option<Judgement> {
    let tried = || steps.iter().filter(|step| step.verb == "PASS" && is_refused(step));
    let next = tried().nth(LOGINS_MOST)?;
    let reason = format!("it tried the password {} times in one run", tried().count());
    Some(Judgement::fail(index, Some(next.index), reason))
}

/// A part of a message was delivered.
fn cut(trial: &Trial, index: usize, run: &Run) -> Option<Judgement> {
    let never_whole = trial.name == "no-dot";
    let is_cut = |number: &usize| {
        let delivered = run.delivered.get(number - 1).copied().unwrap_or_default();
        let is_unended = never_whole && !is_fetched(run, *number) && index == 0;
        delivered.begun > delivered.ended || (is_unended && delivered.begun > 0)
    };
    let number = (1..=run.delivered.len()).find(is_cut)?;
    let reason = if never_whole {
        format!("it delivered message {number}, whose end had not come")
    } else {
        format!("it delivered a part of message {number}")
    };
    Some(Judgement::fail(index, text_of(run, number).or(last_line(run)), reason))
}

/// Where the text of a message is in the conversation.
fn text_of(run: &Run, number: usize) -> Option<usize> {
    let steps = steps(&run.entries);
    let retr = steps.iter().rev().find(|step| is_retr(step, number))?;
    let after = |(index, entry): &(usize, &Entry)| {
        *index > retr.index
            && entry.connection == retr.connection
            && matches!(entry.what, What::Text { side: Side::Server, .. })
    };
    run.entries.iter().enumerate().find(after).map(|(index, _)| index)
}

fn is_retr(step: &Step, number: usize) -> bool {
    let lines = step.line.split_whitespace().nth(2).and_then(|lines| lines.parse().ok());
    let asks_for_all = match &*step.verb {
        "RETR" => true,
        "TOP" => lines.is_some_and(|lines: usize| lines >= ALL_LINES),
        _ => false,
    };
    asks_for_all && step.number() == Some(number)
}

fn retr_of(run: &Run, number: usize) -> Option<usize> {
    steps(&run.entries).iter().find(|step| is_retr(step, number)).map(|step| step.index)
}

/// Whether a message has come whole, with its last line, by RETR or TOP.
fn is_fetched(run: &Run, number: usize) -> bool {
    let steps = steps(&run.entries);
    let is_whole = |retr: &Step| {
        let reply = retr.reply.as_ref().filter(|reply| reply.is_ok());
        let next = |reply: usize| {
            let later = run.entries.get(reply + 1..)?;
            let own = later.iter().find(|entry| {
                entry.connection == retr.connection
                    && matches!(
                        entry.what,
                        What::Text { .. } | What::Command { .. } | What::Closed(_)
                    )
            })?;
            Some(matches!(own.what, What::Text { is_whole: true, .. }))
        };
        reply.and_then(|reply| next(reply.last)).unwrap_or(false)
    };
    steps.iter().filter(|step| is_retr(step, number)).any(is_whole)
}

/// A message is gone from the maildrop that was never fetched whole, or not delivered.
fn lost(trial: &Trial, index: usize) -> Option<Judgement> {
    let run = trial.runs.get(index)?;
    let so_far = trial.runs.get(..=index)?;
    let is_gone = |number: &usize| !run.left.contains(number);
    let any_delivered = run.delivered.iter().any(|delivered| delivered.begun > 0);
    for number in (1..=run.delivered.len()).filter(is_gone) {
        let dele = so_far.iter().enumerate().find_map(|(of, run)| {
            let steps = steps(&run.entries);
            let is_dele = |step: &&Step| step.verb == "DELE" && step.number() == Some(number);
            steps.iter().rev().find(is_dele).map(|step| (of, step.mark()))
        });
        let (of, place) = dele.map_or((index, None), |(of, place)| (of, Some(place)));
        if !so_far.iter().any(|run| is_fetched(run, number)) {
            let reason = format!("it deleted message {number}, which it had not fetched whole");
            return Some(Judgement::fail(of, place, reason));
        }
        let ended = run.delivered.get(number - 1).map_or(0, |delivered| delivered.ended);
        if any_delivered && ended == 0 {
            let reason = format!("it deleted message {number} and did not deliver it");
            return Some(Judgement::fail(of, place, reason));
        }
    }
    None
}

/// What one scenario forbids beyond that.
fn of_scenario(trial: &Trial) -> Option<Judgement> {
    let run = trial.runs.first()?;
    match &*trial.name {
        "dele-refused" | "lost-update" | "no-update" => twice(trial),
        "cut-retr" => never_again(trial),
        "loop-retr" if run.timed_out => {
            let reason = "it reads on and on: a text without an end needs a bound";
            Some(Judgement::fail(0, last_line(run), reason))
        }
        "size-less" | "size-more" | "size-huge" if run.timed_out && is_answered(run) => {
            let reason = "it waits for as many octets as the size said although the dot has come";
            Some(Judgement::fail(0, last_line(run), reason))
        }
        _ => None,
    }
}

/// Whether every command has its whole reply, so that nothing is due.
fn is_answered(run: &Run) -> bool {
    let texts =
        run.entries.iter().all(|entry| !matches!(entry.what, What::Text { is_whole: false, .. }));
    let steps = steps(&run.entries);
    let last = steps.last().and_then(|step| step.reply.as_ref());
    texts && last.is_some()
}

/// A message that it had deleted, or tried to, was fetched again at the next visit.
fn twice(trial: &Trial) -> Option<Judgement> {
    let [first, .., second] = trial.runs.as_slice() else { return None };
    let delivered =
        |run: &Run, number: usize| run.delivered.get(number - 1).map_or(0, |one| one.ended);
    let steps = steps(&first.entries);
    let is_again = |number: &usize| {
        let was_for_deletion =
            steps.iter().any(|step| step.verb == "DELE" && step.number() == Some(*number));
        was_for_deletion
            && delivered(first, *number) > 0
            && (delivered(second, *number) > delivered(first, *number)
                || is_fetched(second, *number))
    };
    let number = (1..=second.delivered.len()).find(is_again)?;
    let place = retr_of(second, number);
    let reason = format!("it fetched message {number} twice: it did not know it at its next visit");
    Some(Judgement::fail(trial.runs.len() - 1, place, reason))
}

/// A message that was cut was not fetched at the next visit.
fn never_again(trial: &Trial) -> Option<Judgement> {
    let [first, .., second] = trial.runs.as_slice() else { return None };
    let steps = steps(&first.entries);
    let number = steps
        .iter()
        .filter(|step| step.verb == "RETR")
        .find_map(|step| step.number().filter(|number| !is_fetched(first, *number)))?;
    let is_missing = second.exit == Some(0) && !is_fetched(second, number);
    let reason = format!("it did not fetch message {number} again, of which only a part had come");
    is_missing.then(|| Judgement::fail(trial.runs.len() - 1, last_line(second), reason))
}

/// What the command said by its exit status, beside what is true.
fn told(index: usize, run: &Run) -> Option<Judgement> {
    if run.exit != Some(0) {
        return None;
    }
    let steps = steps(&run.entries);
    let is_in = steps.iter().any(|step| {
        matches!(&*step.verb, "PASS" | "AUTH" | "APOP")
            && step.reply.as_ref().is_some_and(Answer::is_ok)
    });
    let refused = steps.iter().rev().find(|step| {
        matches!(&*step.verb, "" | "PASS") && step.reply.as_ref().is_none_or(|reply| !reply.is_ok())
    });
    let refused = refused.filter(|_| !is_in)?;
    let said = refused.reply.as_ref().map_or("the connection ended", |reply| &*reply.line);
    let reason =
        format!("it said that all went well (exit 0) although it could not log in: {said}");
    Some(Judgement::fail(index, Some(refused.mark()), reason))
}

/// It was still at work when patience ended.
fn waits(trial: &Trial) -> Option<Judgement> {
    let (index, run) = trial.runs.iter().enumerate().find(|(_, run)| run.timed_out)?;
    let reason =
        format!("still waiting after {:.0} s: {}", run.seconds, allowed(Protocol::Pop3, run));
    let place = last_line(run);
    Some(Judgement { verdict: Verdict::Info, ..Judgement::fail(index, place, reason) })
}

/// Where trying again must help, it has to.
fn in_the_end(trial: &Trial) -> Option<Judgement> {
    let (index, run) = trial.runs.iter().enumerate().next_back().filter(|(index, _)| *index > 0)?;
    let steps = steps(&run.entries);
    let is_in = steps.iter().any(|step| {
        matches!(&*step.verb, "PASS" | "AUTH" | "APOP")
            && step.reply.as_ref().is_some_and(Answer::is_ok)
    });
    let reason = "it did not get in when it was tried again";
    (!is_in).then(|| Judgement::fail(index, last_line(run), reason))
}

/// What a client did that did nothing wrong.
pub(super) fn what_it_did(trial: &Trial) -> String {
    let mut words = Vec::new();
    for (index, run) in trial.runs.iter().enumerate() {
        let fetched = (1..=run.delivered.len()).filter(|number| is_fetched(run, *number)).count();
        let exit =
            run.exit.map_or_else(|| "it was ended".to_owned(), |exit| format!("exit {exit}"));
        let again = if index > 0 { "tried again, it" } else { "it" };
        let left = run.left.len();
        words
            .push(format!("{again} fetched {fetched} whole, {left} left in the maildrop ({exit})"));
    }
    words.join("; ")
}
