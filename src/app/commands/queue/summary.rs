//! The queue counted: by domain and age, and by reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::app::commands::queue::table;
use crate::app::commands::queue::words::{Row, json_lines, shown, word};
use crate::relay::selection::{age, domain_of};
use crate::store::overview::RecipientState;

/// The ages that are told apart: up to so many seconds, and what that is called.
const AGES: [(u64, &str); 6] = [
    (5 * 60, "<5m"),
    (20 * 60, "<20m"),
    (3_600, "<1h"),
    (6 * 3_600, "<6h"),
    (86_400, "<1d"),
    (2 * 86_400, "<2d"),
];

/// What is older.
const OLDER: &str = "older";

/// Columns of the ages, the last one for what is older.
const COLUMNS: usize = AGES.len() + 1;

/// Reasons that are shown to people, the most frequent ones.
const MOST_REASONS: usize = 20;

/// How many recipients there are, by age.
type Ages = [usize; COLUMNS];

/// For people.
pub(super) fn table(rows: &[Row<'_>], now: SystemTime) -> String {
    if rows.is_empty() {
        return table::total(rows, "");
    }
    let cells = |name: &str, ages: &Ages| {
        let total: usize = ages.iter().sum();
        let mut cells = [const { String::new() }; COLUMNS + 2];
        let numbers = std::iter::once(total).chain(*ages).map(|number| number.to_string());
        let words = std::iter::once(name.to_owned()).chain(numbers);
        for (cell, word) in cells.iter_mut().zip(words) {
            *cell = word;
        }
        (cells, String::new())
    };
    let mut names = [const { String::new() }; COLUMNS + 2];
    let ages = AGES.iter().map(|(_, name)| *name).chain([OLDER]);
    for (cell, name) in names.iter_mut().zip(["DOMAIN", "TOTAL"].into_iter().chain(ages)) {
        name.clone_into(cell);
    }
    let mut lines = vec![(names, String::new())];
    let domains = by_domain(rows, now);
    lines.extend(domains.iter().map(|(domain, ages)| cells(&shown(domain), ages)));
    let mut all = [0; COLUMNS];
    for (_, ages) in &domains {
        for (sum, number) in all.iter_mut().zip(ages) {
            *sum += number;
        }
    }
    lines.push(cells("TOTAL", &all));

    let reasons = by_reason(rows);
    let head = (["TOTAL".to_owned(), "STATE".to_owned()], "LAST REPLY".to_owned());
    let shown_reasons = reasons.iter().take(MOST_REASONS).map(|reason| {
        let reply = if reason.reason.is_empty() { "(not tried yet)" } else { &reason.reason };
        ([reason.total.to_string(), reason.state.to_owned()], shown(reply))
    });
    let reason_lines: Vec<_> = std::iter::once(head).chain(shown_reasons).collect();
    let more = match reasons.len().saturating_sub(MOST_REASONS) {
        0 => String::new(),
        more => format!("and {more} other replies\n"),
    };
    let (domains, reasons) = (table::aligned(&lines), table::aligned(&reason_lines));
    format!("{domains}\n{reasons}{more}\n{}", table::total(rows, ""))
}

/// For programs: an object for each domain, and then one for each reason.
pub(super) fn json(rows: &[Row<'_>], now: SystemTime) -> io::Result<String> {
    let domains = by_domain(rows, now);
    let domains = domains.iter().map(|(domain, ages)| {
        let names = AGES.iter().map(|(_, name)| *name).chain([OLDER]);
        AtDomain { domain, total: ages.iter().sum(), ages: names.zip(*ages).collect() }
    });
    Ok(json_lines(domains)? + &json_lines(by_reason(rows).iter())?)
}

#[derive(Serialize)]
struct AtDomain<'a> {
    domain: &'a str,
    total: usize,
    ages: BTreeMap<&'static str, usize>,
}

#[derive(Serialize, PartialEq, Eq, Debug)]
struct ForReason {
    reason: String,
    state: &'static str,
    total: usize,
}

/// The domains with most recipients first.
fn by_domain(rows: &[Row<'_>], now: SystemTime) -> Vec<(String, Ages)> {
    let mut domains: HashMap<String, Ages> = HashMap::new();
    for (entry, recipient) in rows {
        let domain = domain_of(&recipient.forward_path).to_ascii_lowercase();
        let ages = domains.entry(domain).or_default();
        if let Some(number) = ages.get_mut(column(age(&entry.block, now))) {
            *number += 1;
        }
    }
    let mut domains: Vec<(String, Ages)> = domains.into_iter().collect();
    domains.sort_unstable_by_key(|(domain, ages)| {
        (Reverse(ages.iter().sum::<usize>()), domain.clone())
    });
    domains
}

fn column(age: Duration) -> usize {
    AGES.iter().position(|(seconds, _)| age.as_secs() < *seconds).unwrap_or(AGES.len())
}

/// The reasons with most recipients first. Replies that differ only in addresses are one reason.
fn by_reason(rows: &[Row<'_>]) -> Vec<ForReason> {
    let mut reasons: HashMap<(&'static str, String), usize> = HashMap::new();
    for (_, recipient) in rows {
        let state = match (recipient.state, recipient.attempts) {
            (RecipientState::Pending, 1..) => "deferred",
            (state, _) => word(state),
        };
        let reason = without_addresses(&recipient.last_reply, &recipient.forward_path);
        *reasons.entry((state, reason)).or_default() += 1;
    }
    let reasons = reasons.into_iter();
    let mut reasons: Vec<ForReason> =
        reasons.map(|((state, reason), total)| ForReason { reason, state, total }).collect();
    reasons.sort_unstable_by(|one, other| {
        (Reverse(one.total), &one.reason).cmp(&(Reverse(other.total), &other.reason))
    });
    reasons
}

/// The reply with `<…>` in the place of the recipient, and of whatever stands in angle brackets.
fn without_addresses(reply: &str, recipient: &str) -> String {
    let reply = reply.replace(&format!("<{recipient}>"), "<…>").replace(recipient, "<…>");
    let mut without = String::with_capacity(reply.len());
    let mut rest = reply.as_str();
    while let Some((before, inside)) = rest.split_once('<')
        && let Some((address, behind)) = inside.split_once('>')
        && address.contains('@')
    {
        without.push_str(before);
        without.push_str("<…>");
        rest = behind;
    }
    without.push_str(rest);
    without
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::queue::{Block, Entry};
    use std::time::UNIX_EPOCH;

    const NOW: u64 = 1_758_106_800;

    fn entry(id: &str, age: u64, recipients: &str) -> Entry {
        let queued = NOW - age;
        let block = format!(
            "X-MC-Id: {id}\nX-MC-From: <a@b>\nX-MC-Queued: {queued}\n{recipients}X-MC-End:\n"
        );
        Entry::of_block(Block::parse(block.as_bytes()).unwrap().0, 100)
    }

    fn entries() -> [Entry; 2] {
        [
            entry(
                "1",
                60,
                "X-MC-Rcpt: P 0 0 <new@x.example>\n\
                 X-MC-Rcpt: F 1 0 <one@Y.example> 550 <one@y.example>: no such user\n",
            ),
            entry(
                "2",
                3 * 86_400,
                "X-MC-Rcpt: F 1 0 <two@y.example> 550 <two@y.example>: no such user\n\
                 X-MC-Rcpt: P 3 9 <late@y.example> 451 late@y.example is busy\n",
            ),
        ]
    }

    fn rows(entries: &[Entry]) -> Vec<Row<'_>> {
        let rows =
            entries.iter().map(|entry| entry.block.recipients.iter().map(move |r| (entry, r)));
        rows.flatten().collect()
    }

    #[test]
    fn recipients_are_counted_by_domain_and_age_and_by_reason() {
        let entries = entries();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let text = table(&rows(&entries), now);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["y.example", "3", "1", "0", "0", "0", "0", "0", "2"]);
        assert_eq!(lines[2], ["x.example", "1", "1", "0", "0", "0", "0", "0", "0"]);
        assert_eq!(lines[3], ["TOTAL", "4", "2", "0", "0", "0", "0", "0", "2"]);
        assert!(text.contains("\n2      failed    550 <…>: no such user\n"), "{text}");
        assert!(text.contains("\n1      deferred  451 <…> is busy\n"), "{text}");
        assert!(text.contains("\n1      pending   (not tried yet)\n"), "{text}");
        let total = "4 recipients of 2 messages, 200 octets: 1 not tried yet, 1 deferred, 2 failed, \
                     0 held\n";
        assert!(text.ends_with(total), "{text}");
    }

    #[test]
    fn programs_get_an_object_for_each_row() {
        let entries = entries();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let text = json(&rows(&entries), now).unwrap();
        let objects: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 5);
        assert_eq!((&objects[0]["domain"], &objects[0]["total"]), (&"y.example".into(), &3.into()));
        assert_eq!(objects[0]["ages"]["older"], 2);
        assert_eq!((&objects[2]["state"], &objects[2]["total"]), (&"failed".into(), &2.into()));
    }
}
