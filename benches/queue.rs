//! What a large queue costs: marks of deliveries as they are, and after an order that has shifted
//! the file in the middle of a run; and an order for all of it.
//!
//! `cargo bench --bench queue`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use mailconsole::relay::orders::{Order, QueueTarget};
use mailconsole::store::directory::{Directory, Durability};
use mailconsole::store::queue::{Entry, Queue};
use tokio::runtime::Runtime;

/// Entries of a kilobyte each.
const ENTRIES: usize = 80_000;

/// Marks that are measured.
const MARKS: usize = 5_000;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = Runtime::new().unwrap();
    write_queue(dir.path());
    println!("{ENTRIES} entries of 1 KB, without syncing");

    let directory = Directory::open(dir.path(), Durability::Unsynced).unwrap();
    let queue = directory.queue();
    let entries = timed("list", 1, || runtime.block_on(queue.entries()).unwrap());
    timed("marks of an unchanged file", MARKS, || mark(&runtime, &queue, &entries[..MARKS]));

    // Everything behind the first entry moves.
    let first = QueueTarget { id: entries[0].block.id.clone(), recipient: None };
    let drop = || runtime.block_on(Order::Drop.give(&queue, BTreeSet::from([first]))).unwrap();
    timed("drop of the first entry", 1, drop);
    let moved = &entries[MARKS..2 * MARKS];
    timed("marks behind it, each where it was not", MARKS, || mark(&runtime, &queue, moved));

    let targets: BTreeSet<QueueTarget> = entries
        .iter()
        .map(|entry| QueueTarget { id: entry.block.id.clone(), recipient: None })
        .collect();
    let drop = || runtime.block_on(Order::Drop.give(&queue, targets)).unwrap();
    timed("drop of all of them by their ids", ENTRIES, drop);
}

fn write_queue(dir: &Path) {
    let body = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.\r\n";
    let body = body.repeat(10);
    let mut file = String::new();
    for nth in 0..ENTRIES {
        let _ = write!(
            file,
            "From <a@b> Wed Sep 17 11:00:00 2025\nX-MC-Id: 17c0ffee-1-{nth:x}\nX-MC-From: <a@b>\n\
             X-MC-Queued: 1758106800\nX-MC-Rcpt: P 0 0 <u{nth}@example.org>\nX-MC-End:\n\
             Subject: {nth}\r\n\r\n{body}\n"
        );
    }
    fs::write(dir.join("mqueue"), file).unwrap();
}

fn mark(runtime: &Runtime, queue: &Queue, entries: &[Entry]) {
    runtime.block_on(async {
        for entry in entries {
            queue.mark_delivered(entry, vec![0]).await.unwrap();
        }
    });
}

fn timed<T>(what: &str, operations: usize, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    let took = began.elapsed();
    let each = took / u32::try_from(operations).unwrap();
    println!("{what:45} {took:>12.1?} in all, {each:>10.1?} each");
    result
}
