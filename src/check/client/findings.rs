//! What breaks a rule whatever the scenario and the protocol.

use crate::check::client::record::{Answers, Entry, Run, What};
use crate::check::client::steps::{Step, steps};
use crate::check::client::verdict::Judgement;

/// Over what share of one core a client burns while it waits.
const BURNT_MOST: f64 = 0.2;

/// In how many seconds of waiting the share can be told.
const WAITED_LEAST: f64 = 1.0;

/// How soon, in seconds, a repetition comes at once.
pub(super) const AT_ONCE: f64 = 1.0;

/// The last entry that a person would look at: a line, not the end of a connection.
pub(super) fn last_line(run: &Run) -> Option<usize> {
    let is_line = |entry: &Entry| {
        matches!(entry.what, What::Command { .. } | What::Reply { .. } | What::Text { .. })
    };
    run.entries.iter().rposition(is_line)
}

/// It kept the processor busy although nothing happened.
pub(super) fn burns(index: usize, run: &Run) -> Option<Judgement> {
    let is_busy = run.waited >= WAITED_LEAST && run.burnt > BURNT_MOST * run.waited;
    is_busy.then(|| {
        let Run { burnt, waited, .. } = run;
        let reason = format!(
            "it used {burnt:.1} s of the processor in {waited:.1} s in which it had to wait"
        );
        Judgement::fail(index, last_line(run), reason)
    })
}

/// It repeated at once, or at all, what was refused. `is_final` tells a refusal that holds for ever.
pub(super) fn repeats(
    index: usize,
    steps: &[Step],
    is_final: impl Fn(&Step) -> bool,
    is_refused: impl Fn(&Step) -> bool,
) -> Option<Judgement> {
    for (place, step) in steps.iter().enumerate().filter(|(_, step)| is_refused(step)) {
        let Some(reply) = &step.reply else { continue };
        let is_again = |later: &&Step| {
            let is_same = later.verb == step.verb && later.line == step.line;
            // What was on its way when the refusal came is no repetition.
            is_same && later.index > reply.last && !later.is_pipelined_with(step)
        };
        let Some(again) = steps.get(place + 1..)?.iter().find(is_again) else { continue };
        let what = if step.verb.is_empty() { "the connection".to_owned() } else { step.shown() };
        if is_final(step) {
            let reason = format!("it repeated {what} although {} is final", reply.line);
            return Some(Judgement::fail(index, Some(again.index), reason));
        }
        if again.at - reply.at < AT_ONCE {
            let reason = format!("it repeated {what} at once after {}", reply.line);
            return Some(Judgement::fail(index, Some(again.index), reason));
        }
    }
    None
}

impl Step {
    fn is_pipelined_with(&self, other: &Self) -> bool {
        self.is_pipelined && self.connection == other.connection
    }
}

/// It went on with the connection although the reply to something has said that it ends. `ends` tells
/// such a reply; QUIT may follow it.
pub(super) fn goes_on(index: usize, run: &Run, ends: impl Fn(&[u8]) -> bool) -> Option<Judgement> {
    let steps = steps(&run.entries);
    for (place, entry) in run.entries.iter().enumerate() {
        let What::Reply { line, to, .. } = &entry.what else { continue };
        if !ends(line) {
            continue;
        }
        let mut later = steps.iter().filter(|step| {
            let is_command = !step.verb.is_empty() && step.verb != "QUIT";
            is_command && step.connection == entry.connection && step.index > place
        });
        let said = String::from_utf8_lossy(line);
        let (step, reason) = if *to == Answers::Nothing {
            // It was not waiting for a reply: what it says next, it says before it looks for one.
            let Some(first) = later.next() else { continue };
            let is_of_one_group = |step: &Step| offers_pipelining(run) && step.at <= first.at;
            let Some(step) = later.find(|step| !is_of_one_group(step)) else { continue };
            let (asked, next) = (first.shown(), step.shown());
            (step, format!("it took {said} for the reply to {asked}, and went on with {next}"))
        } else {
            let Some(step) = later.find(|step| !step.is_pipelined) else { continue };
            (step, format!("it went on with {} after {said}", step.shown()))
        };
        return Some(Judgement::fail(index, Some(step.index), reason));
    }
    None
}

/// Whether a client was told that it need not wait for replies (RFC 2920).
fn offers_pipelining(run: &Run) -> bool {
    let offers = |entry: &Entry| match &entry.what {
        What::Reply { line, .. } => line.ends_with(b"PIPELINING"),
        _ => false,
    };
    run.entries.iter().any(offers)
}
