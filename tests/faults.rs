//! What must hold when things go wrong: the process is killed, the disk is full, other programs
//! have the files, descriptors run out, peers misbehave.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;

use crate::program::{A_SECOND, Client, PROGRAM, Servers, all_three, has_python, program, skip};

/// A directory with a mailbox for linhphan and whoever else is named.
struct Place {
    dir: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Place {
    fn with_users(users: &[&str]) -> Self {
        let arguments = users.iter().flat_map(|user| ["--user".into(), (*user).into()]).collect();
        Self { dir: tempfile::tempdir().unwrap(), arguments }
    }

    fn servers(&self) -> Servers {
        self.servers_with(&[])
    }

    fn servers_with(&self, more: &[&str]) -> Servers {
        let mut arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend(more);
        Servers::on(self.dir.path(), &arguments)
    }

    /// All three servers under a limit of the shell's `ulimit`.
    fn servers_under(&self, limit: &str) -> Servers {
        let mut command = Command::new("sh");
        command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
        command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh", PROGRAM]);
        command.args(all_three(self.dir.path())).args(&self.arguments).stderr(Stdio::piped());
        Servers::start(command).listening(3)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn content(&self, user: &str) -> String {
        String::from_utf8(std::fs::read(self.path(&format!("{user}.mbox"))).unwrap()).unwrap()
    }

    fn put(&self, user: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(&format!("{user}.mbox")), content).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        // Control sockets are there while servers run: tests/control_socket.rs.
        names.retain(|name| Path::new(name).extension().is_none_or(|end| end != "sock"));
        names.sort_unstable();
        names
    }
}

fn end(servers: Servers) {
    servers.signal(Signal::SIGTERM);
    assert!(servers.wait().0.success());
}

/// Kills the servers when dropped: their clients end then, also if the test has failed.
struct Doom<'a>(&'a Servers);

impl Drop for Doom<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGKILL);
    }
}

fn sender(servers: &Servers) -> Client {
    let mut client = servers.connect("smtp");
    client.says("HELO tester", "250");
    client
}

/// All messages of a user, as a new session reads them.
fn fetch(servers: &Servers, user: &str) -> Vec<Vec<u8>> {
    let mut client = servers.connect("pop3");
    assert!(client.log_in(user).starts_with("+OK"));
    let messages = client.messages();
    client.says("QUIT", "+OK");
    messages
}

/// A message that no other is equal to, of about so many octets.
fn message(id: &str, octets: usize) -> Vec<u8> {
    let line = format!("{id} From here on nothing is torn.\r\n");
    let mut text = format!("Subject: {id}\r\n\r\nFrom {id}\r\n");
    while text.len() < octets {
        text.push_str(&line);
    }
    text.into_bytes()
}

/// A message as it stands in a mailbox.
fn stored(text: &str) -> String {
    format!("From <a@b> Wed Sep 17 11:00:00 2025\n{text}\r\n\n")
}

/// Tries `done` until it holds.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// What is known of each message that was sent.
#[derive(Default)]
struct Sent {
    /// To whom it goes, and what became of it.
    messages: Mutex<HashMap<Vec<u8>, (Users, Fate)>>,
    acknowledged: AtomicUsize,
}

type Users = Vec<&'static str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unknown,
    Acknowledged,
}

impl Sent {
    /// Sends one message after the other until the server is gone.
    fn send(&self, mut client: Client, name: &str, octets: usize) {
        let choices: [&[&str]; 4] =
            [&["ann"], &["bob"], &["ann", "bob", "linhphan"], &["linhphan"]];
        for number in 0_usize.. {
            let text = message(&format!("{name}-{number}"), octets);
            let users = choices[number % choices.len()];
            self.note(&text, users, Fate::Unknown);
            let Some(reply) = client.try_deliver(users, &text) else { return };
            assert_eq!(reply, "250 OK");
            self.note(&text, users, Fate::Acknowledged);
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn note(&self, text: &[u8], users: &[&'static str], fate: Fate) {
        self.messages.lock().unwrap().insert(text.to_vec(), (users.to_vec(), fate));
    }

    /// Every message that was acknowledged is there once, and nothing is there that was not sent.
    fn check(&self, user: &str, found: &[Vec<u8>]) {
        let messages = self.messages.lock().unwrap();
        let mut count: HashMap<&[u8], usize> = HashMap::new();
        for text in found {
            let beginning = String::from_utf8_lossy(&text[..text.len().min(60)]);
            assert!(
                messages.contains_key(text),
                "{user}: torn: {} octets, {beginning}",
                text.len()
            );
            *count.entry(text).or_default() += 1;
        }
        for (text, (users, fate)) in messages.iter() {
            let copies = count.get(text.as_slice()).copied().unwrap_or(0);
            let beginning = String::from_utf8_lossy(&text[..60]);
            if !users.contains(&user) {
                assert_eq!(copies, 0, "{user}: not addressed to: {beginning}");
            } else if *fate == Fate::Acknowledged {
                assert_eq!(copies, 1, "{user}: acknowledged: {beginning}");
            } else {
                assert!(copies <= 1, "{user}: doubled: {beginning}");
            }
        }
    }
}

const USERS: [&str; 3] = ["ann", "bob", "linhphan"];

/// Kills the servers among many senders, once for each number of messages acknowledged until then.
fn kill_among(senders: usize, octets: usize, kills: &[usize]) {
    let place = Place::with_users(&["ann", "bob"]);
    let sent = Sent::default();
    for (round, &after) in kills.iter().enumerate() {
        let servers = place.servers();
        let before = sent.acknowledged.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let doom = Doom(&servers);
            for number in 0..senders {
                let (sent, client) = (&sent, sender(&servers));
                scope.spawn(move || sent.send(client, &format!("{round}-{number}"), octets));
            }
            until("some are stored", || sent.acknowledged.load(Ordering::SeqCst) >= before + after);
            drop(doom);
        });
        drop(servers);
        let allowed = |name: &String| {
            USERS.iter().any(|user| {
                let of_user = name.trim_start_matches('.').strip_prefix(&format!("{user}.mbox"));
                matches!(of_user, Some("" | ".wal" | ".pop" | ".lock"))
            })
        };
        let names = place.names();
        let (of_process, names): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.starts_with(".mailconsole."));
        assert!(of_process.len() <= 1, "left over: {of_process:?}");
        let names: Vec<_> = names.into_iter().filter(|name| name != ".mailconsole").collect();
        assert!(names.iter().all(allowed), "left over: {names:?}");
    }
    let servers = place.servers();
    for user in USERS {
        sent.check(user, &fetch(&servers, user));
    }
    assert_eq!(sender(&servers).deliver(&USERS, "last\r\n"), "250 OK");
    end(servers);
    assert_eq!(place.names(), ["ann.mbox", "bob.mbox", "linhphan.mbox"]);
}

#[test]
fn killed_among_50_senders_it_has_lost_doubled_and_torn_nothing() {
    kill_among(50, 1_000, &[1, 60, 150, 40, 333, 90]);
}

#[test]
fn killed_among_senders_of_large_messages_it_has_lost_doubled_and_torn_nothing() {
    kill_among(50, 300_000, &[1, 15]);
    kill_among(10, 2_000_000, &[1, 3]);
}

/// Messages of a mailbox of which a session deletes every other one.
const OLD: usize = 4_000;

fn old_message(number: usize) -> Vec<u8> {
    message(&format!("old-{number}"), 2_000)
}

fn old_mailbox() -> String {
    let text = |number| String::from_utf8(old_message(number)).unwrap();
    let mailbox: String = (0..OLD).map(|number| stored(text(number).trim_end())).collect();
    mailbox.replace("\nFrom old", "\n>From old")
}

/// A session that is about to remove every other message.
fn session_with_deletions(servers: &Servers) -> Client {
    let mut reader = servers.connect("pop3");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    let dele: Vec<String> = (1..=OLD).step_by(2).map(|n| format!("DELE {n}\r\n")).collect();
    reader.send(dele.concat());
    (0..dele.len()).for_each(|_| assert!(reader.line().starts_with("+OK")));
    reader
}

#[test]
fn killed_in_an_update_it_has_lost_and_torn_nothing_that_was_not_deleted() {
    // How much of the new file is there, in sixteenths, when the kill comes; or all and more.
    for share in [0, 1, 8, 12, 20] {
        let place = Place::with_users(&["ann", "bob"]);
        place.put("linhphan", old_mailbox());
        let servers = place.servers();
        let mut reader = session_with_deletions(&servers);
        let sent = Sent::default();
        std::thread::scope(|scope| {
            let doom = Doom(&servers);
            for number in 0..4 {
                let (sent, client) = (&sent, sender(&servers));
                scope.spawn(move || sent.send(client, &format!("new-{number}"), 2_000));
            }
            until("mail arrives", || sent.acknowledged.load(Ordering::SeqCst) >= 8);
            let old = std::fs::metadata(place.path("linhphan.mbox")).unwrap();
            let wanted = (old.len() / 2 * share / 16).max(1);
            reader.send("QUIT\r\n");
            until("the new file is written", || {
                let draft = std::fs::metadata(place.path(".linhphan.mbox.tmp"));
                let now = std::fs::metadata(place.path("linhphan.mbox")).unwrap();
                now.ino() != old.ino() || draft.is_ok_and(|draft| draft.len() >= wanted)
            });
            drop(doom);
        });
        drop(servers);
        let servers = place.servers();
        let is_old = |text: &Vec<u8>| text.starts_with(b"Subject: old");
        let (old, new): (Vec<_>, Vec<_>) =
            fetch(&servers, "linhphan").into_iter().partition(is_old);
        let all: Vec<_> = (0..OLD).map(old_message).collect();
        let kept: Vec<_> = all.iter().skip(1).step_by(2).cloned().collect();
        assert!(old == kept || old == all, "{} of the old messages", old.len());
        sent.check("linhphan", &new);
        assert_eq!(sender(&servers).deliver(&USERS, "last\r\n"), "250 OK");
        end(servers);
        // The draft stays, to be used again.
        let left_over = place.names().into_iter().filter(|name| name.starts_with('.'));
        assert!(left_over.eq([".linhphan.mbox.tmp"]) || place.names().len() == USERS.len());
    }
}

/// What linhphan has after servers with this fault were killed, as soon as their transcript told it.
fn left_by_a_kill(
    fault: &str,
    content: &str,
    talk: impl FnOnce(&Servers) -> Client,
) -> Vec<Vec<u8>> {
    let place = Place::with_users(&[]);
    place.put("linhphan", content);
    let mut servers = place.servers_with(&["-v", "--fault", fault]);
    let client = talk(&servers);
    let (told, _) = fault.split_once(" :").unwrap();
    servers.wait_for(&format!(".. fault 1: {told}"));
    servers.signal(Signal::SIGKILL);
    servers.wait();
    // No reply has come.
    assert_eq!(client.rest(), "");
    let servers = place.servers();
    let left = fetch(&servers, "linhphan");
    end(servers);
    left
}

#[test]
fn killed_while_a_fault_hangs_after_the_dot_it_has_stored_the_message_and_before_it_not() {
    for (fault, is_stored) in [
        ("smtp.dot after : hang", true),
        ("smtp.dot after : delay 1h", true),
        ("smtp.dot before : hang", false),
        ("smtp.dot : hang", false),
    ] {
        let text = message("new", 200_000);
        let left = left_by_a_kill(fault, "", |servers| {
            let mut client = sender(servers);
            client.says("MAIL FROM:<a@b>", "250");
            client.says("RCPT TO:<linhphan@localhost>", "250");
            client.says("DATA", "354");
            client.send([&text, &b".\r\n"[..]].concat());
            client
        });
        assert_eq!(left.len(), usize::from(is_stored), "{fault}");
        assert!(left.iter().all(|left| *left == text), "{fault}");
    }
}

#[test]
fn killed_while_a_fault_hangs_after_quit_it_has_removed_what_was_deleted_and_before_it_not() {
    let all: Vec<_> = (0..OLD).map(old_message).collect();
    let kept: Vec<_> = all.iter().skip(1).step_by(2).cloned().collect();
    for (fault, left) in [
        ("pop3.quit after : hang", &kept),
        ("pop3.quit before : hang", &all),
        ("pop3.quit : hang", &all),
    ] {
        let found = left_by_a_kill(fault, &old_mailbox(), |servers| {
            let mut client = session_with_deletions(servers);
            client.send("QUIT\r\n");
            client
        });
        assert!(found == *left, "{fault}: {} messages", found.len());
    }
}

#[test]
fn beyond_the_limit_of_a_file_it_is_452_for_all_recipients_and_the_servers_live() {
    let place = Place::with_users(&["ann"]);
    let large = stored(str::from_utf8(&message("large", 300_000)).unwrap());
    place.put("linhphan", large.repeat(3).replace("\nFrom large", "\n>From large"));
    let full = place.content("linhphan");
    let servers = place.servers_under("-f 2000"); // blocks of 512 octets
    let mut client = sender(&servers);
    let reply = client.deliver(&["ann", "linhphan"], message("x", 200_000));
    assert!(reply.starts_with("452"), "{reply}");
    assert!(place.content("linhphan") == full && place.content("ann").is_empty());
    assert_eq!(client.deliver(&["ann"], message("x", 200_000)), "250 OK");
    let reply = client.deliver(&["ann"], message("y", 2_000_000));
    assert!(reply.starts_with("452"), "{reply}");
    let mut reader = servers.connect("pop3");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    reader.says("DELE 1", "+OK");
    reader.says("QUIT", "+OK");
    let reply = client.deliver(&["ann", "linhphan"], message("x", 200_000));
    assert_eq!(reply, "250 OK");
    assert_eq!(fetch(&servers, "ann"), [message("x", 200_000), message("x", 200_000)]);
    end(servers);
    assert_eq!(place.names(), ["ann.mbox", "linhphan.mbox"]);
}

#[test]
fn an_update_beyond_the_limit_of_a_file_is_refused_and_keeps_all() {
    let place = Place::with_users(&[]);
    let text = str::from_utf8(&message("large", 300_000))
        .unwrap()
        .replace("\nFrom large", "\n>From large");
    place.put("linhphan", stored("small") + &stored(&text).repeat(4));
    let full = place.content("linhphan");
    let servers = place.servers_under("-f 2000");
    for _ in 0..2 {
        let mut reader = servers.connect("pop3");
        assert!(reader.log_in("linhphan").starts_with("+OK"));
        reader.says("DELE 1", "+OK");
        reader.says("QUIT", "-ERR");
        assert_eq!(reader.rest(), "");
        assert!(place.content("linhphan") == full);
    }
    end(servers);
    assert_eq!(place.names(), ["linhphan.mbox"]);
}

/// All three servers on a file system of their own, which is gone with them; `None`, and said why,
/// where the system does not permit that.
struct OwnDisk {
    servers: Servers,
    /// The directory as seen from here.
    dir: PathBuf,
    mount_point: tempfile::TempDir,
}

impl OwnDisk {
    fn of(size: &str, test: &str) -> Option<Self> {
        let mount_point = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && exec \"$@\"");
        let in_namespace = |command: &mut Command| {
            command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
            command
                .args(["--map-root-user", "--mount", "sh", "-c", &mount])
                .arg(mount_point.path());
        };
        let mut attempt = Command::new("unshare");
        in_namespace(&mut attempt);
        if !attempt.arg("true").output().is_ok_and(|output| output.status.success()) {
            skip(test, "no file system may be mounted here");
            return None;
        }
        let mut command = Command::new("unshare");
        in_namespace(&mut command);
        command.arg(PROGRAM).args(all_three(mount_point.path())).args(["--user", "ann"]);
        command.stderr(Stdio::null());
        let servers = Servers::start(command).listening(3);
        let inside = mount_point.path().strip_prefix("/").unwrap();
        let dir = Path::new("/proc").join(servers.child.id().to_string()).join("root").join(inside);
        Some(Self { servers, dir, mount_point })
    }

    fn try_remount(&self, how: &str) -> bool {
        let (id, options) = (self.servers.child.id().to_string(), format!("remount,{how}"));
        let mut command = Command::new("nsenter");
        // As the user who made the namespace, who may do everything in it.
        command.args(["--target", &id, "--user", "--preserve-credentials", "--mount"]);
        // With its source named, mount adds none of the options that the kernel shows: the uid
        // among them is not known in the namespace of an ordinary user.
        command.args(["mount", "-o", &options, "tmpfs"]).arg(self.mount_point.path());
        command.output().is_ok_and(|output| output.status.success())
    }

    fn content(&self, user: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(format!("{user}.mbox"))).unwrap()
    }

    /// Leaves no room on the disk.
    fn fill(&self) {
        let mut options = OpenOptions::new();
        let mut filler = options.append(true).create(true).open(self.dir.join("filler")).unwrap();
        while filler.write_all(&[0; 4_096]).is_ok() {}
        while filler.write_all(&[0]).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_nothing_is_torn_all_can_be_read_and_it_works_again_with_room() {
    let Some(disk) = OwnDisk::of("4m", "a full disk") else { return };
    let servers = &disk.servers;
    let mut client = sender(servers);
    for number in 0..3 {
        assert_eq!(client.deliver(&["linhphan"], message(&number.to_string(), 5_000)), "250 OK");
    }
    let before = disk.content("linhphan");
    for octets in [10_000, 9_000, 600_000, 3_000_000] {
        disk.fill();
        let reply = client.deliver(&["ann", "linhphan"], message("x", octets));
        assert!(reply.starts_with("452"), "{octets}: {reply}");
        assert!(disk.content("linhphan") == before && disk.content("ann").is_empty(), "{octets}");
    }
    for _ in 0..2 {
        let mut reader = servers.connect("pop3");
        assert!(reader.log_in("linhphan").starts_with("+OK"));
        assert_eq!(reader.messages().len(), 3);
        reader.says("DELE 1", "+OK");
        reader.says("QUIT", "-ERR");
        assert!(disk.content("linhphan") == before);
    }
    std::fs::remove_file(disk.dir.join("filler")).unwrap();
    assert_eq!(client.deliver(&["ann", "linhphan"], message("x", 10_000)), "250 OK");
    let mut reader = servers.connect("pop3");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    reader.says("DELE 1", "+OK");
    reader.says("QUIT", "+OK");
    assert_eq!(fetch(servers, "ann"), [message("x", 10_000)]);
    assert_eq!(fetch(servers, "linhphan").len(), 3);
}

#[test]
fn many_senders_on_a_disk_that_fills_up_are_told_the_truth() {
    let Some(disk) = OwnDisk::of("3m", "a disk that fills up") else { return };
    let servers = &disk.servers;
    let stored: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..20)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = sender(servers);
                    let texts = (0..8).map(|nth| message(&format!("{number}-{nth}"), 20_000));
                    texts
                        .filter(|text| match client.deliver(&["ann", "linhphan"], text).as_str() {
                            "250 OK" => true,
                            reply => !reply.starts_with("452 ") && panic!("{reply}"),
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    assert!((1..160).contains(&stored.len()), "{} stored", stored.len());
    for user in ["ann", "linhphan"] {
        let mut found = fetch(servers, user);
        let mut stored = stored.clone();
        found.sort_unstable();
        stored.sort_unstable();
        assert!(found == stored, "{user}: {} stored, {} found", stored.len(), found.len());
    }
}

#[test]
fn a_directory_that_has_become_read_only_can_be_read() {
    let Some(disk) = OwnDisk::of("4m", "a read-only directory") else { return };
    if !disk.try_remount("rw") {
        return skip("a read-only directory", "no file system may be mounted again here");
    }
    let servers = &disk.servers;
    let mut client = sender(servers);
    assert_eq!(client.deliver(&["linhphan"], "x\r\n"), "250 OK");
    for _ in 0..2 {
        // A file system with a file that is open for writing stays writable.
        until("the journal is removed", || disk.try_remount("ro"));
        let before = disk.content("linhphan");
        for octets in [100, 600_000] {
            let reply = client.deliver(&["ann", "linhphan"], message("x", octets));
            assert!(reply.starts_with("451"), "{reply}");
        }
        assert_eq!(fetch(servers, "linhphan"), [b"x\r\n"]);
        let mut reader = servers.connect("pop3");
        assert!(reader.log_in("linhphan").starts_with("+OK"));
        reader.says("DELE 1", "+OK");
        reader.says("QUIT", "-ERR");
        assert!(disk.content("linhphan") == before && disk.content("ann").is_empty());
        assert!(disk.try_remount("rw"));
    }
    assert_eq!(client.deliver(&["linhphan"], "y\r\n"), "250 OK");
    assert_eq!(fetch(servers, "linhphan"), [b"x\r\n", b"y\r\n"]);
}

/// Another program that has a lock, as Python's mailbox module and mutt take it, until it is told
/// to let go.
struct Locker(Child);

impl Locker {
    fn take(code: &str, mailbox: &Path) -> Self {
        let code = format!("import fcntl, mailbox, os, sys\npath = sys.argv[1]\n{code}");
        let code = code + "\nprint('locked', flush=True)\nsys.stdin.read()\n";
        let mut command = Command::new("python3");
        command.args(["-c", &code]).arg(mailbox).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Self(child)
    }

    /// Lets go, or runs what the code still has to do, and ends.
    fn release(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn a_delivery_waits_for_whatever_lock_another_program_has_and_writes_nothing_meanwhile() {
    if !has_python("a delivery under a lock of Python") {
        return;
    }
    let fcntl = "f = open(path, 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX)";
    let dotlock = "os.close(os.open(path + '.lock', os.O_CREAT | os.O_EXCL)); import atexit; \
                   atexit.register(os.remove, path + '.lock')";
    let both = "box = mailbox.mbox(path); box.lock(); import atexit; atexit.register(box.unlock)";
    let reverse = format!("{fcntl}\n{dotlock}");
    for lock in [fcntl, dotlock, both, &reverse] {
        let place = Place::with_users(&["ann"]);
        let mut servers = place.servers_with(&["-v"]);
        let locker = Locker::take(lock, &place.path("linhphan.mbox"));
        let mut client = sender(&servers);
        let mut patient = sender(&servers);
        patient
            .send("MAIL FROM:<a@b>\r\nRCPT TO:<ann@localhost>\r\nRCPT TO:<linhphan@localhost>\r\n");
        patient.send("DATA\r\nboth\r\n.\r\n");
        servers.wait_for("C: .");
        // Others go on, one by one and many at once.
        for _ in 0..20 {
            assert_eq!(client.deliver(&["ann"], "other\r\n"), "250 OK");
        }
        assert_eq!(place.content("linhphan"), "");
        assert!(!place.content("ann").contains("both"), "half of it is stored");
        locker.release();
        let last = (0..5).map(|_| patient.line()).last().unwrap();
        assert_eq!(last, "250 OK");
        assert!(
            place.content("linhphan").contains("both") && place.content("ann").contains("both")
        );
        assert!(!place.path("linhphan.mbox.lock").exists());
        end(servers);
    }
}

#[test]
fn a_login_waits_for_a_foreign_lock_and_sees_what_was_done_under_it() {
    if !has_python("a login under a lock of Python") {
        return;
    }
    let place = Place::with_users(&[]);
    place.put("linhphan", stored("one"));
    let mut servers = place.servers_with(&["-v"]);
    let rewrite = "box = mailbox.mbox(path); box.lock(); import atexit\n\
                   def done(): box.add('Subject: two\\n\\ntwo\\n'); box.flush(); box.unlock()\n\
                   atexit.register(done)";
    let locker = Locker::take(rewrite, &place.path("linhphan.mbox"));
    let mut reader = servers.connect("pop3");
    reader.send("USER linhphan\r\nPASS cis505\r\nSTAT\r\n");
    servers.wait_for("C: PASS cis505");
    locker.release();
    assert!(reader.line().starts_with("+OK"));
    assert!(reader.line().starts_with("+OK"));
    assert!(reader.line().starts_with("+OK 2 "));
    end(servers);
}

#[test]
fn a_dotlock_that_is_left_over_is_removed_and_one_of_a_living_process_is_not() {
    let gone = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id().to_string()
    };
    let place = Place::with_users(&[]);
    let mut servers = place.servers_with(&["-v"]);
    let mut client = sender(&servers);
    let dotlock = place.path("linhphan.mbox.lock");
    let old = SystemTime::now() - Duration::from_mins(6);
    for (content, modified) in [(gone.as_str(), None), ("", Some(old)), ("1", Some(old))] {
        std::fs::write(&dotlock, content).unwrap();
        if let Some(modified) = modified {
            OpenOptions::new().write(true).open(&dotlock).unwrap().set_modified(modified).unwrap();
        }
        assert_eq!(client.deliver(&["linhphan"], "x\r\n"), "250 OK");
        assert!(!dotlock.exists());
    }
    for content in [String::new(), std::process::id().to_string(), "1:elsewhere".into()] {
        let before = place.content("linhphan");
        std::fs::write(&dotlock, &content).unwrap();
        client.send("MAIL FROM:<a@b>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\nx\r\n.\r\n");
        servers.wait_for("C: .");
        servers.connect("echo").says("ECHO a", "+OK a");
        assert_eq!(std::fs::read_to_string(&dotlock).unwrap(), content);
        assert_eq!(place.content("linhphan"), before);
        std::fs::remove_file(&dotlock).unwrap();
        assert_eq!((0..4).map(|_| client.line()).last().unwrap(), "250 OK");
    }
    end(servers);
}

#[test]
fn a_restarted_container_whose_process_id_is_always_1_removes_what_was_left_over() {
    let place = Place::with_users(&[]);
    place.put("linhphan", "");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--pid", "--fork", "--kill-child"]);
    let attempt = Command::new("unshare").args(command.get_args()).arg("true").output();
    if !attempt.is_ok_and(|output| output.status.success()) {
        return skip("process id 1", "no process namespace may be made here");
    }
    // What the process with this id had when it was killed.
    let (anchor, dotlock) = (place.path(".mailconsole.1"), place.path("linhphan.mbox.lock"));
    std::fs::write(&anchor, "1\n").unwrap();
    std::fs::hard_link(&anchor, &dotlock).unwrap();
    let then = SystemTime::now() - Duration::from_mins(1);
    OpenOptions::new().write(true).open(&dotlock).unwrap().set_modified(then).unwrap();
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command.arg(PROGRAM).args(all_three(place.dir.path()));
    let servers = Servers::start(command).listening(3);
    let mut client = sender(&servers);
    assert_eq!(client.deliver(&["linhphan"], "x\r\n"), "250 OK");
    assert!(!dotlock.exists());
}

#[test]
fn a_mailbox_that_was_made_anew_after_a_crash_is_not_mistaken_for_the_old_one() {
    let place = Place::with_users(&[]);
    for content in [stored("a").repeat(3_000), stored("b").repeat(2), stored("c").repeat(100_000)] {
        // The same file, emptied and filled again by somebody who knows nothing of journals.
        let servers = place.servers();
        let sent = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let doom = Doom(&servers);
            for mut client in (0..50).map(|_| sender(&servers)).collect::<Vec<_>>() {
                let sent = &sent;
                scope.spawn(move || {
                    while client.try_deliver(&["linhphan"], &message("x", 3_000)).is_some() {
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            until("some are stored", || sent.load(Ordering::SeqCst) >= 20);
            drop(doom);
        });
        drop(servers);
        place.put("linhphan", &content);
        let servers = place.servers();
        assert_eq!(sender(&servers).deliver(&["linhphan"], "new\r\n"), "250 OK");
        assert!(place.content("linhphan").starts_with(&content), "what was put there is cut");
        end(servers);
    }
}

#[test]
fn a_mailbox_that_others_change_in_a_session_is_neither_written_back_nor_misread() {
    let messages = |texts: &[&str]| texts.iter().map(|text| stored(text)).collect::<String>();
    let (one, two, six) = (["one"], ["one", "two"], ["one", "two", "six"]);
    // How it begins, what it becomes, and what is left after DELE 1 and QUIT.
    let scenes = [
        (&six[..], &["two", "six"][..], &["two", "six"][..]),
        (&six, &["six", "one", "two"], &["six", "two"]),
        (&two, &["new", "two"], &["new", "two"]),
        (&six, &["two", "six", "new"], &["two", "six", "new"]),
        (&six, &[], &[]),
        (&one, &["one", "new"], &["new"]),
    ];
    for (before, after, left) in scenes {
        for replaced in [false, true] {
            let place = Place::with_users(&[]);
            place.put("linhphan", messages(before));
            let servers = place.servers();
            let mut reader = servers.connect("pop3");
            assert!(reader.log_in("linhphan").starts_with("+OK"));
            reader.send("UIDL\r\n");
            reader.line();
            reader.multi_line();
            reader.says("DELE 1", "+OK");
            if replaced {
                place.put("new", messages(after));
                std::fs::rename(place.path("new.mbox"), place.path("linhphan.mbox")).unwrap();
            } else {
                place.put("linhphan", messages(after));
            }
            for (nth, text) in before.iter().enumerate().skip(1) {
                reader.send(format!("RETR {}\r\n", nth + 1));
                let status = reader.line();
                if status.starts_with("+OK") {
                    assert_eq!(reader.multi_line(), format!("{text}\r\n").as_bytes());
                }
            }
            reader.send("QUIT\r\n");
            let reply = reader.line();
            let expected = if reply.starts_with("+OK") { left } else { after };
            assert_eq!(
                place.content("linhphan"),
                messages(expected),
                "{before:?} {after:?} {reply}"
            );
            end(servers);
        }
    }
}

#[test]
fn a_message_that_was_never_read_is_not_sent_once_another_of_its_length_is_in_its_place() {
    let place = Place::with_users(&[]);
    place.put("linhphan", stored("one") + &stored("two"));
    let servers = place.servers();
    let mut reader = servers.connect("pop3");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    place.put("linhphan", stored("one") + &stored("six"));
    reader.says("RETR 2", "-ERR");
    reader.says("DELE 2", "+OK");
    reader.says("QUIT", "-ERR");
    assert_eq!(place.content("linhphan"), stored("one") + &stored("six"));
    end(servers);
}

#[test]
fn a_mailbox_that_is_removed_in_a_session_does_not_come_back() {
    let place = Place::with_users(&[]);
    place.put("linhphan", stored("one") + &stored("two"));
    let servers = place.servers();
    let mut reader = servers.connect("pop3");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    reader.says("DELE 1", "+OK");
    let mut client = sender(&servers);
    client.says("MAIL FROM:<a@b>", "250");
    client.says("RCPT TO:<linhphan@localhost>", "250");
    std::fs::remove_file(place.path("linhphan.mbox")).unwrap();
    client.says("DATA", "354");
    client.says("x\r\n.", "451");
    reader.says("QUIT", "-ERR");
    client.says("MAIL FROM:<a@b>", "250");
    client.says("RCPT TO:<linhphan@localhost>", "550");
    end(servers);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn of_20_logins_at_once_to_two_processes_one_succeeds_and_the_lock_goes_with_its_holder() {
    let place = Place::with_users(&[]);
    place.put("linhphan", stored("one"));
    let both = [place.servers(), place.servers()];
    for how in ["QUIT", "disconnect", "reset", "QUIT"] {
        let clients: Vec<Client> = (0..20)
            .map(|nth| {
                let mut client = both[nth % 2].connect("pop3");
                client.says("USER linhphan", "+OK");
                client
            })
            .collect();
        let barrier = std::sync::Barrier::new(clients.len());
        let attempts = std::thread::scope(|scope| {
            let attempt = |mut client: Client| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    client.send("PASS cis505\r\n");
                    (client.line(), client)
                })
            };
            let attempts: Vec<_> = clients.into_iter().map(attempt).collect();
            attempts.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        let (mut winners, losers): (Vec<_>, Vec<_>) =
            attempts.into_iter().partition(|(reply, _)| reply.starts_with("+OK"));
        assert_eq!((winners.len(), losers.len()), (1, 19), "{how}");
        let mut winner = winners.pop().unwrap().1;
        match how {
            "QUIT" => {
                winner.says("QUIT", "+OK");
                assert!(both[0].connect("pop3").log_in("linhphan").starts_with("+OK"), "at once");
            }
            "disconnect" => winner.stream().shutdown(Shutdown::Both).unwrap(),
            _ => {
                // Closing a socket that lingers for no time resets the connection.
                socket2::SockRef::from(winner.stream()).set_linger(Some(Duration::ZERO)).unwrap();
                drop(winner);
            }
        }
        drop(losers);
        until("the lock is gone", || both[1].connect("pop3").log_in("linhphan").starts_with("+OK"));
        until("the lock is gone", || both[0].connect("pop3").log_in("linhphan").starts_with("+OK"));
        until("the side file is gone", || !place.path(".linhphan.mbox.pop").exists());
    }
    let [killed, other] = both;
    // The side file is removed a moment before the session is over.
    let mut holder = killed.connect("pop3");
    until("the lock is gone", || {
        let is_in = holder.log_in("linhphan").starts_with("+OK");
        if !is_in {
            holder = killed.connect("pop3");
        }
        is_in
    });
    assert!(other.connect("pop3").log_in("linhphan").starts_with("-ERR"));
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert!(other.connect("pop3").log_in("linhphan").starts_with("+OK"));
    end(other);
    end(place.servers());
    assert_eq!(place.names(), ["linhphan.mbox"]);
}

#[test]
fn two_processes_that_deliver_while_one_is_killed_and_the_other_updates_lose_nothing() {
    let place = Place::with_users(&["ann", "bob"]);
    let sent = Sent::default();
    let (first, other) = (place.servers(), place.servers());
    std::thread::scope(|scope| {
        let (doom, other_doom) = (Doom(&first), Doom(&other));
        for number in 0..10 {
            let (sent, to_first, to_other) = (&sent, sender(&first), sender(&other));
            scope.spawn(move || sent.send(to_first, &format!("first-{number}"), 2_000));
            scope.spawn(move || sent.send(to_other, &format!("other-{number}"), 2_000));
        }
        let acknowledged = || sent.acknowledged.load(Ordering::SeqCst);
        until("some are stored", || acknowledged() > 60);
        // A message of its own is deleted again and again.
        for _ in 0..3 {
            let before = acknowledged();
            let mut reader = other.connect("pop3");
            assert!(reader.log_in("bob").starts_with("+OK"));
            let text = reader.message(1);
            reader.says("DELE 1", "+OK");
            reader.says("QUIT", "+OK");
            let (users, _) = sent.messages.lock().unwrap()[&text].clone();
            let left = users.into_iter().filter(|&user| user != "bob").collect::<Vec<_>>();
            sent.note(&text, &left, Fate::Acknowledged);
            until("more are stored", || acknowledged() > before);
        }
        // Nobody asks how it ended until all is over.
        drop(doom);
        let before = acknowledged();
        until("the other goes on", || acknowledged() > before + 30);
        drop(other_doom);
    });
    drop((first, other));
    let servers = place.servers();
    for user in USERS {
        sent.check(user, &fetch(&servers, user));
    }
    assert_eq!(sender(&servers).deliver(&USERS, "last\r\n"), "250 OK");
    end(servers);
    assert_eq!(place.names(), ["ann.mbox", "bob.mbox", "linhphan.mbox"]);
}

/// Seconds of processor time that a process has used.
fn processor_time(servers: &Servers) -> f64 {
    let process = procfs::process::Process::new(servers.child.id().try_into().unwrap()).unwrap();
    let stat = process.stat().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "ticks of a few seconds")]
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    seconds
}

/// Descriptors, threads and resident kilobytes of a process.
fn holdings(servers: &Servers) -> (usize, u64, u64) {
    let process = procfs::process::Process::new(servers.child.id().try_into().unwrap()).unwrap();
    let status = process.status().unwrap();
    (process.fd_count().unwrap(), status.threads, status.vmrss.unwrap())
}

/// Nothing comes for a while; the while is what is wanted.
fn hears_nothing_for(client: &Client, time: Duration) {
    client.stream().set_read_timeout(Some(time)).unwrap();
    let mut stream = client.stream();
    assert!(stream.read(&mut [0]).is_err());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
}

#[test]
fn without_descriptors_it_neither_spins_nor_drops_anybody() {
    let place = Place::with_users(&[]);
    let servers = place.servers_under("-n 64");
    let mut first = sender(&servers);
    let mut reader = servers.connect("pop3");
    let mut waiting: Vec<Client> =
        (0..100).map(|_| Client::connect(servers.port("echo"))).collect();
    let before = processor_time(&servers);
    hears_nothing_for(&waiting[99], Duration::from_millis(700));
    let used = processor_time(&servers) - before;
    assert!(used < 0.2, "{used} s of processor time");
    assert_eq!(first.deliver(&["linhphan"], message("x", 400_000)), "250 OK");
    assert!(reader.log_in("linhphan").starts_with("+OK"));
    assert_eq!(reader.messages().len(), 1);
    for mut client in waiting.drain(..) {
        assert!(client.line().starts_with("+OK Server ready"));
    }
    end(servers);
}

#[test]
fn a_message_for_more_mailboxes_than_there_are_descriptors_is_451_and_nowhere() {
    let users: Vec<String> = (0..70).map(|number| format!("u{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let place = Place::with_users(&users);
    let servers = place.servers_under("-n 64");
    let mut client = sender(&servers);
    let mut others: Vec<Client> = (0..4).map(|_| sender(&servers)).collect();
    for _ in 0..3 {
        let reply = client.deliver(&users, "x\r\n");
        assert!(reply.starts_with("451"), "{reply}");
        for other in &mut others {
            assert_eq!(other.deliver(&["u1"], "y\r\n"), "250 OK");
        }
    }
    assert!(users.iter().all(|user| !place.content(user).contains('x')));
    end(servers);
    assert_eq!(place.names().len(), 71);
}

/// A program that runs: nobody, not even root, may write to its file (ETXTBSY).
struct Unwritable(std::process::Child);

impl Unwritable {
    fn run_as(path: &Path) -> Self {
        std::fs::copy("/bin/sleep", path).unwrap();
        Self(Command::new(path).arg("60").spawn().unwrap())
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn one_mailbox_that_cannot_be_opened_does_not_fail_the_mail_of_others() {
    if !has_python("a mailbox that cannot be opened") {
        return;
    }
    let place = Place::with_users(&["ann"]);
    let servers = place.servers();
    let _unwritable = Unwritable::run_as(&place.path("ann.mbox"));
    let lock = Locker::take(
        "f = open(path, 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX)",
        &place.path("linhphan.mbox"),
    );
    std::thread::scope(|scope| {
        let sends = |user: &'static str| {
            let servers = &servers;
            scope.spawn(move || sender(servers).deliver(&[user], "x\r\n"))
        };
        let (bad, good): (Vec<_>, Vec<_>) =
            (0..10).map(|_| (sends("ann"), sends("linhphan"))).unzip();
        assert!(bad.into_iter().all(|reply| reply.join().unwrap().starts_with("451")));
        lock.release();
        assert!(good.into_iter().all(|reply| reply.join().unwrap() == "250 OK"));
    });
    end(servers);
}

#[test]
fn garbage_on_every_port_harms_nothing() {
    let place = Place::with_users(&[]);
    let servers = place.servers();
    let mut seed = 1_u32;
    let mut garbage = vec![0; 100_000];
    for octet in &mut garbage {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *octet = (seed >> 24) as u8;
    }
    for service in ["echo", "smtp", "pop3"] {
        for cut in [1, 99, 100_000] {
            let client = servers.connect(service);
            let mut stream = client.stream();
            // The servers may close at any moment.
            let _ = stream.write_all(&garbage[..cut]);
            let _ = stream.shutdown(Shutdown::Write);
            client.stream().take(10_000_000).read_to_end(&mut Vec::new()).unwrap_or(0);
        }
    }
    assert_eq!(place.names(), ["linhphan.mbox"]);
    assert_eq!(sender(&servers).deliver(&["linhphan"], "x\r\n"), "250 OK");
    end(servers);
}

#[test]
fn an_endless_line_is_answered_once_in_constant_memory() {
    let place = Place::with_users(&[]);
    let servers = place.servers();
    let mut clients: Vec<Client> =
        ["echo", "smtp", "pop3"].iter().map(|service| servers.connect(service)).collect();
    let (.., before) = holdings(&servers);
    let piece = vec![b'x'; 1 << 20];
    for client in &mut clients {
        (0..64).for_each(|_| client.send(&piece));
        client.send("\r\nQUIT\r\n");
        let line = client.line();
        assert!(line.starts_with("-ERR") || line.starts_with("500"), "{line}");
        assert!(client.line().starts_with(['+', '2']));
    }
    let (.., after) = holdings(&servers);
    assert!(after < before + 8_000, "{before} kB before, {after} kB after");
    end(servers);
}

#[test]
fn a_message_of_64_mebibytes_is_stored_and_of_one_octet_more_is_552() {
    let place = Place::with_users(&[]);
    let servers = place.servers();
    let line = [vec![b'x'; 1_022], b"\r\n".to_vec()].concat();
    let piece = line.repeat(1_024);
    let mut client = sender(&servers);
    let (.., before) = holdings(&servers);
    for (first, reply) in [("", "250"), ("y", "552")] {
        client.says("MAIL FROM:<a@b>", "250");
        client.says("RCPT TO:<linhphan@localhost>", "250");
        client.says("DATA", "354");
        client.send(first);
        (0..64).for_each(|_| client.send(&piece));
        client.says(".", reply);
    }
    let (.., after) = holdings(&servers);
    assert!(after < before + 8_000, "{before} kB before, {after} kB after");
    let size = std::fs::metadata(place.path("linhphan.mbox")).unwrap().len();
    assert!((67_108_864..67_108_964).contains(&size), "{size}");
    end(servers);
}

#[test]
fn after_400_sessions_it_holds_no_more_than_after_40() {
    let place = Place::with_users(&[]);
    let servers = place.servers();
    let sessions = |count: usize| {
        for number in 0..count {
            let mut client = sender(&servers);
            assert_eq!(client.deliver(&["linhphan"], message("x", 1_000)), "250 OK");
            // Anew each time: a session is ended after a few refused passwords.
            let mut reader = servers.connect("pop3");
            until("the last session has ended", || {
                let is_in = reader.log_in("linhphan").starts_with("+OK");
                if !is_in {
                    reader = servers.connect("pop3");
                }
                is_in
            });
            reader.says("RETR 1", "+OK");
            reader.multi_line();
            reader.says("DELE 1", "+OK");
            // Every way of ending.
            if number % 4 != 0 {
                reader.says("QUIT", "+OK");
            }
        }
        // The last connections are gone when a descriptor number is given again.
        until("all are closed", || holdings(&servers).0 < 30);
    };
    // The last 10,000 events are kept; from here on there are as many.
    let mut client = sender(&servers);
    (0..5_000).for_each(|_| client.says("NOOP", "250"));
    drop(client);
    sessions(40);
    let before = holdings(&servers);
    sessions(360);
    let after = holdings(&servers);
    assert!(after.0 <= before.0 + 2, "descriptors: {before:?}, {after:?}");
    assert!(after.1 <= before.1 + 8, "threads: {before:?}, {after:?}");
    assert!(after.2 <= before.2 + 4_000, "kilobytes: {before:?}, {after:?}");
    let client = servers.connect("echo");
    until("the journal is removed", || !place.path(".linhphan.mbox.wal").exists());
    // Not at once: the last sessions may still be ending.
    until("it is busy with nothing", || {
        let before = processor_time(&servers);
        hears_nothing_for(&client, Duration::from_secs(1));
        processor_time(&servers) - before < 0.02
    });
    end(servers);
}

#[test]
fn a_slow_reader_of_the_transcript_gets_every_line_whole() {
    let place = Place::with_users(&[]);
    let mut servers = place.servers_with(&["-v"]);
    let mut stderr = servers.child.stderr.take().unwrap();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let mut client = servers.connect("echo");
            scope.spawn(move || {
                let word = format!("{number:02}").repeat(400);
                for _ in 0..200 {
                    client.says(&format!("ECHO {word}"), &format!("+OK {word}"));
                }
            });
        }
    });
    servers.signal(Signal::SIGTERM);
    let mut transcript = String::new();
    stderr.read_to_string(&mut transcript).unwrap();
    assert!(servers.wait().0.success());
    let whole = |number: usize, command: &str| {
        let end = format!("] {command}{}", format!("{number:02}").repeat(400));
        transcript.lines().filter(|line| line.ends_with(&end)).count()
    };
    for number in 0..20 {
        assert_eq!((whole(number, "C: ECHO "), whole(number, "S: +OK ")), (200, 200));
    }
}

#[test]
fn a_reader_of_the_transcript_that_has_stopped_does_not_hold_up_the_end() {
    let place = Place::with_users(&[]);
    let mut servers = place.servers_with(&["-v"]);
    let mut client = servers.connect("echo");
    for _ in 0..200 {
        client.says(&format!("ECHO {}", "x".repeat(900)), "+OK");
    }
    let begun = Instant::now();
    servers.signal(Signal::SIGTERM);
    assert!(servers.child.wait().unwrap().success());
    assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
}

#[test]
fn warnings_that_nobody_reads_stop_nobody() {
    let place = Place::with_users(&[]);
    let servers = place.servers();
    let stderr = servers.child.stderr.as_ref().unwrap();
    fcntl(stderr, FcntlArg::F_SETPIPE_SZ(4_096)).unwrap();
    let _unwritable = Unwritable::run_as(&place.path("linhphan.mbox"));
    let mut client = sender(&servers);
    for _ in 0..60 {
        let reply = client.deliver(&["linhphan"], "x\r\n");
        assert!(reply.starts_with("451"), "{reply}");
    }
    servers.connect("echo").says("ECHO a", "+OK a");
    end(servers);
}

#[test]
fn a_hundred_clients_hear_the_farewell_and_all_is_over_within_a_second() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let place = Place::with_users(&[]);
        let servers = place.servers();
        let services = ["echo", "smtp", "pop3"];
        let mut clients: Vec<(Client, &str)> = (0..100)
            .map(|number| {
                let service = services[number % 3];
                (servers.connect(service), service)
            })
            .collect();
        clients[1].0.begin_message();
        assert!(clients[2].0.log_in("linhphan").starts_with("+OK"));
        assert_eq!(sender(&servers).deliver(&["linhphan"], "x\r\n"), "250 OK");
        let port = servers.port("smtp").to_string();
        let begun = Instant::now();
        servers.signal(signal);
        for (client, service) in clients {
            let farewell = match service {
                "smtp" => "421 localhost Server shutting down\r\n",
                _ => "-ERR Server shutting down\r\n",
            };
            assert_eq!(client.rest(), farewell);
        }
        assert!(servers.wait().0.success());
        assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
        assert_eq!(place.names(), ["linhphan.mbox"]);
        let mut command = program();
        command.args(["smtp", "--bind", "127.0.0.1", "-p", &port]).arg(place.dir.path());
        end(Servers::start(command).listening(1));
    }
}

#[test]
fn fifty_deliveries_under_way_at_the_signal_are_stored_and_answered() {
    if !has_python("fifty deliveries at the signal") {
        return;
    }
    let place = Place::with_users(&[]);
    let mut servers = place.servers_with(&["-v"]);
    let lock = Locker::take(
        "f = open(path, 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX)",
        &place.path("linhphan.mbox"),
    );
    let mut clients: Vec<Client> = (0..50).map(|_| sender(&servers)).collect();
    for client in &mut clients {
        client.send("MAIL FROM:<a@b>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\nx\r\n.\r\n");
    }
    (0..50).for_each(|_| servers.wait_for("C: ."));
    let (told, hears) = channel();
    servers.signal(Signal::SIGTERM);
    std::thread::scope(|scope| {
        scope.spawn(move || hears.recv().map(|()| lock.release()));
        told.send(()).unwrap();
        for client in clients {
            let rest = client.rest();
            assert!(
                rest.ends_with("\r\n250 OK\r\n421 localhost Server shutting down\r\n"),
                "{rest}"
            );
        }
    });
    assert!(servers.wait().0.success());
    assert_eq!(place.content("linhphan").matches("From <a@b>").count(), 50);
    assert_eq!(place.names(), ["linhphan.mbox"]);
}
