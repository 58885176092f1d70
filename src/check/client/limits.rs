//! How long a client may wait, by the paragraph that says so.

use crate::check::client::record::{Protocol, Run, What};
use crate::check::client::steps::{Step, steps};

/// What a client was waiting for when it was ended, and the time that it may wait for that.
pub(super) fn allowed(protocol: Protocol, run: &Run) -> String {
    match protocol {
        Protocol::Smtp => smtp(run),
        Protocol::Pop3 => {
            "RFC 1939 names no time for clients; a server waits 10 minutes at least (section 3)"
                .to_owned()
        }
    }
}

/// RFC 5321 section 4.5.3.2.
fn smtp(run: &Run) -> String {
    let steps = steps(&run.entries);
    let is_due = |step: &&Step| step.reply.as_ref().is_none_or(|reply| !reply.is_complete);
    let connection = steps.last().map(|step| step.connection);
    let mut own = steps.iter().filter(|step| Some(step.connection) == connection);
    let last = own.find(is_due).or_else(|| steps.last());
    let is_in_text = run
        .entries
        .iter()
        .next_back()
        .is_some_and(|entry| matches!(entry.what, What::Text { is_whole: false, .. }));
    let (time, section) = match last.map(|step| step.verb.as_str()) {
        _ if is_in_text => ("3 minutes for a block of the text", "4.5.3.2.5"),
        Some("") => ("5 minutes for the greeting", "4.5.3.2.1"),
        Some("MAIL") => ("5 minutes for the reply to MAIL", "4.5.3.2.2"),
        Some("RCPT") => ("5 minutes for the reply to RCPT", "4.5.3.2.3"),
        Some("DATA" | "BDAT") => ("2 minutes for the reply to DATA", "4.5.3.2.4"),
        Some(".") => ("10 minutes for the reply to the end of the message", "4.5.3.2.6"),
        _ => ("several minutes for a reply", "4.5.3.2"),
    };
    format!("RFC 5321 section {section} allows {time}")
}
