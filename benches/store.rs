//! What the store costs, as ratios to what the machine does at best, measured in turn in one run:
//! a first visit to reading the file, unique-ids to `md5sum`, UPDATE to copying and syncing,
//! deliveries to syncing each by itself.
//!
//! `cargo bench --bench store`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mailconsole::store::directory::{Directory, Durability, Envelope};
use tokio::runtime::Runtime;

/// Messages of a kilobyte in the mailbox that is visited.
const MESSAGES: usize = 100_000;

/// How often each pair is measured.
const ROUNDS: usize = 7;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = Runtime::new().unwrap();
    for line_end in ["\r\n", "\n"] {
        let name = if line_end == "\n" { "LF" } else { "CRLF" };
        println!("{MESSAGES} messages of 1 KB, {name} line ends");
        let file = dir.path().join("u.mbox");
        write_mailbox(&file, line_end);
        visits(&runtime, dir.path(), &file, line_end);
        updates(&runtime, dir.path(), &file, line_end);
    }
    for concurrent in [1, 10, 100] {
        deliveries(&runtime, dir.path(), concurrent);
    }
}

fn message(line_end: &str) -> String {
    let line = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.";
    format!("Subject: x{line_end}{line_end}{}", format!("{line}{line_end}").repeat(13))
}

fn write_mailbox(file: &Path, line_end: &str) {
    let entry = format!("From <a@b> Wed Sep 17 11:00:00 2025\n{}\n", message(line_end));
    fs::write(file, entry.repeat(MESSAGES)).unwrap();
    File::open(file).unwrap().sync_all().unwrap();
}

fn visits(runtime: &Runtime, dir: &Path, file: &Path, line_end: &str) {
    // A new Directory has seen nothing yet.
    let open = || {
        let directory = Directory::open(dir, Durability::Synced).unwrap();
        let user = directory.user(b"u").unwrap();
        let maildrop = runtime.block_on(directory.open_maildrop(&user)).unwrap();
        assert_eq!(maildrop.octets().len(), MESSAGES);
        (directory, maildrop)
    };
    pair("first visit (login, STAT, LIST) / reading the file", || drop(open()), || read(file));
    let directory = open().0;
    let user = directory.user(b"u").unwrap();
    let again = || drop(runtime.block_on(directory.open_maildrop(&user)).unwrap());
    pair("visit of an unchanged mailbox / reading the file", again, || read(file));
    let appended_to = || {
        let mut other = File::options().append(true).open(file).unwrap();
        other.write_all(b"From <a@b> Wed Sep 17 11:00:00 2025\nSubject: x\n\n\n").unwrap();
        again();
    };
    let what = "visit behind another program that appended / reading the file";
    pair(what, appended_to, || read(file));
    write_mailbox(file, line_end);
    let with_ids = || drop(runtime.block_on(open().1.unique_ids()).unwrap());
    pair("first visit with UIDL / cat | md5sum", with_ids, || md5sum(file));
}

fn updates(runtime: &Runtime, dir: &Path, file: &Path, line_end: &str) {
    let directory = Directory::open(dir, Durability::Synced).unwrap();
    let user = directory.user(b"u").unwrap();
    let half = dir.join("half");
    fs::write(&half, fs::read(file).unwrap().split_at(MESSAGES * 512).0).unwrap();
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        write_mailbox(file, line_end);
        let maildrop = runtime.block_on(directory.open_maildrop(&user)).unwrap();
        let deleted = (0..MESSAGES).step_by(2).collect();
        ours.push(timed(|| runtime.block_on(maildrop.update(deleted)).unwrap()));
        theirs.push(timed(|| {
            fs::copy(&half, dir.join("copy")).unwrap();
            File::open(dir.join("copy")).unwrap().sync_all().unwrap();
        }));
        fs::remove_file(dir.join("copy")).unwrap();
    }
    report("UPDATE without every second message / copy and sync of half", ours, theirs);
    fs::remove_file(half).unwrap();
}

fn deliveries(runtime: &Runtime, dir: &Path, concurrent: usize) {
    const EACH: usize = 50;
    let directory = Directory::open(dir, Durability::Synced).unwrap();
    let text = message("\r\n");
    let deliver = || {
        fs::write(dir.join("u.mbox"), "").unwrap();
        runtime.block_on(async {
            let mut senders = tokio::task::JoinSet::new();
            for _ in 0..concurrent {
                let (directory, text) = (directory.clone(), text.clone());
                senders.spawn(async move {
                    for _ in 0..EACH {
                        let mut spool = directory.new_text();
                        spool.push(text.as_bytes());
                        let local = vec![directory.user(b"u").unwrap().into()];
                        let envelope = Envelope { local, ..Envelope::default() };
                        directory.deliver(envelope, spool).await.unwrap();
                    }
                });
            }
            senders.join_all().await;
        });
    };
    let append = || {
        let file = File::create(dir.join("raw")).unwrap();
        for nth in 0..concurrent * EACH {
            file.write_all_at(text.as_bytes(), (nth * text.len()) as u64).unwrap();
            file.sync_data().unwrap();
        }
    };
    let what = format!("{} deliveries, {concurrent} at once / append and sync", concurrent * EACH);
    pair(&what, deliver, append);
}

fn read(file: &Path) {
    let mut buffer = vec![0; 512 * 1024];
    let mut file = File::open(file).unwrap();
    while file.read(&mut buffer).unwrap() > 0 {}
}

fn md5sum(file: &Path) {
    let mut cat = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let piped = cat.stdout.take().unwrap();
    let sum = Command::new("md5sum").stdin(piped).stdout(Stdio::null()).status().unwrap();
    assert!(sum.success() && cat.wait().unwrap().success());
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn pair(what: &str, mut ours: impl FnMut(), mut theirs: impl FnMut()) {
    ours();
    theirs();
    let times = (0..ROUNDS).map(|_| (timed(&mut ours), timed(&mut theirs)));
    let (ours, theirs) = times.unzip();
    report(what, ours, theirs);
}

fn report(what: &str, mut ours: Vec<Duration>, mut theirs: Vec<Duration>) {
    ours.sort_unstable();
    theirs.sort_unstable();
    let (ours, theirs) = (ours[ours.len() / 2], theirs[theirs.len() / 2]);
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let mut out = std::io::stdout();
    writeln!(out, "  {what}: {ours:.1?} / {theirs:.1?} = {ratio:.2}").unwrap();
}
