//! The queue as a table, for people.

use std::collections::HashSet;
use std::time::SystemTime;

use chrono::{DateTime, Local};

use crate::app::commands::queue::words::{Row, at, count, shown, word};
use crate::relay::outcomes;
use crate::relay::selection::Selection;
use crate::store::overview::RecipientState;
use crate::store::queue::Entry;

/// The rows, one for each recipient, and how many they are.
pub(super) fn of(
    rows: &[Row<'_>],
    entries: &[Entry],
    selection: &Selection,
    now: SystemTime,
) -> String {
    let all = entries.iter().flat_map(|entry| &entry.block.recipients);
    let all = all.filter(|recipient| recipient.state != RecipientState::Delivered).count();
    match (rows.is_empty(), all) {
        (true, 0) => return "The relay queue is empty.\n".to_owned(),
        (true, _) => {
            let all = count(all, "recipient");
            return format!("Nothing in the relay queue matches; it holds {all}.\n");
        }
        _ => {}
    }
    let names = ["ID", "STATE", "TRIES", "NEXT", "OCTETS", "FROM", "RECIPIENT"].map(str::to_owned);
    let cells = rows.iter().map(|(entry, recipient)| {
        let next = match recipient.state {
            RecipientState::Pending if outcomes::is_time(recipient.next_attempt, now) => {
                "now".to_owned()
            }
            RecipientState::Pending => {
                let next = DateTime::<Local>::from(at(recipient.next_attempt));
                next.format("%m-%d %H:%M:%S").to_string()
            }
            _ => "-".to_owned(),
        };
        let cells = [
            shown(&entry.block.id),
            word(recipient.state).to_owned(),
            recipient.attempts.to_string(),
            next,
            entry.octets.to_string(),
            shown(&format!("<{}>", entry.block.reverse_path)),
            shown(&format!("<{}>", recipient.forward_path)),
        ];
        (cells, shown(&recipient.last_reply))
    });
    let lines: Vec<([String; 7], String)> =
        std::iter::once((names, "LAST REPLY".to_owned())).chain(cells).collect();
    let of_all = if selection.is_any() { String::new() } else { format!(" of {all}") };
    aligned(&lines) + "\n" + &total(rows, &of_all)
}

/// Lines whose cells stand below each other, with something of any length behind them.
pub(super) fn aligned<const N: usize>(lines: &[([String; N], String)]) -> String {
    let mut widths = [0; N];
    for (cells, _) in lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |(cells, rest): &([String; N], String)| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.chain([rest.clone()]).collect::<String>().trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// `3 recipients of 2 messages, 528 octets: 1 pending, 1 deferred, 1 failed, 0 held`
pub(super) fn total(rows: &[Row<'_>], of_all: &str) -> String {
    let (mut seen, mut octets) = (HashSet::new(), 0_u64);
    for (entry, _) in rows {
        if seen.insert(entry.block.id.as_str()) {
            octets = octets.saturating_add(entry.octets);
        }
    }
    let number = |is_meant: &dyn Fn(RecipientState, u32) -> bool| {
        rows.iter().filter(|(_, recipient)| is_meant(recipient.state, recipient.attempts)).count()
    };
    let pending = number(&|state, attempts| state == RecipientState::Pending && attempts == 0);
    let deferred = number(&|state, attempts| state == RecipientState::Pending && attempts > 0);
    let failed = number(&|state, _| state == RecipientState::Failed);
    let held = number(&|state, _| state == RecipientState::Held);
    format!(
        "{}{of_all} of {}, {octets} octets: {pending} not tried yet, {deferred} deferred, {failed} \
         failed, {held} held\n",
        count(rows.len(), "recipient"),
        count(seen.len(), "message"),
    )
}
