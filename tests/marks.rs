//! Marks, by the real program: what came since is told right whatever happens between.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use program::{Client, Servers, has_python, program};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("linhphan.mbox"), "").unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("linhphan.mbox")
    }

    fn servers(&self) -> Servers {
        let mut command = program();
        command.args(program::all_three(self.path())).stderr(Stdio::null());
        Servers::start(command).listening(3)
    }

    fn mark(&self) -> String {
        let output = program().arg("mark").arg(self.path()).output().unwrap();
        assert!(output.status.success());
        let word = String::from_utf8(output.stdout).unwrap();
        let word = word.strip_suffix('\n').unwrap();
        assert!(!word.is_empty() && !word.contains(char::is_whitespace), "{word}");
        word.to_owned()
    }

    /// The numbers of the messages that came since the mark.
    fn since(&self, mark: &str) -> Vec<usize> {
        for count in (1..20).rev() {
            let mut command = program();
            command.arg("wait").arg(self.path()).args(["--since", mark, "--timeout", "0"]);
            let output = command.args(["--count", &count.to_string()]).output().unwrap();
            if output.status.success() {
                let lines = String::from_utf8(output.stdout).unwrap();
                let number = |line: &str| line.split('\t').nth(1).unwrap().parse().unwrap();
                return lines.lines().map(number).collect();
            }
            assert_eq!(output.status.code(), Some(1));
        }
        Vec::new()
    }

    fn clear(&self, query: &str) {
        let cleared = program().arg("clear").arg(self.path()).arg(query).output().unwrap();
        assert!(cleared.status.success());
    }
}

fn deliver(servers: &Servers, messages: usize) {
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    for _ in 0..messages {
        assert!(client.deliver(&["linhphan"], EQUAL).starts_with("250"));
    }
}

/// No messages.
const NONE: [usize; 0] = [];

/// All messages are equal, and most of them of one second.
const EQUAL: &str = "Subject: x\r\n\r\nx\r\n";

fn delete(servers: &Servers, numbers: &[usize]) {
    let mut client: Client = servers.connect("pop3");
    assert!(client.log_in("linhphan").starts_with("+OK"));
    for number in numbers {
        client.says(&format!("DELE {number}"), "+OK");
    }
    client.says("QUIT", "+OK");
}

#[test]
fn what_came_behind_a_mark_is_new_however_equal() {
    let place = Place::new();
    let servers = place.servers();
    let empty = place.mark();
    deliver(&servers, 2);
    let two = place.mark();
    assert_eq!((place.since(&empty), place.since(&two)), (vec![1, 2], NONE.to_vec()));
    deliver(&servers, 1);
    assert_eq!((place.since(&empty), place.since(&two)), (vec![1, 2, 3], vec![3]));
}

#[test]
fn removals_by_pop3_and_by_clear_move_nothing() {
    let place = Place::new();
    let servers = place.servers();
    deliver(&servers, 3);
    let three = place.mark();
    delete(&servers, &[1]);
    assert_eq!(place.since(&three), NONE);
    deliver(&servers, 1);
    assert_eq!(place.since(&three), [3]);
    let later = place.mark();
    delete(&servers, &[1, 3]);
    deliver(&servers, 2);
    assert_eq!((place.since(&three), place.since(&later)), (vec![2, 3], vec![2, 3]));
    place.clear("linhphan");
    assert_eq!((place.since(&three), place.since(&later)), (NONE.to_vec(), NONE.to_vec()));
    deliver(&servers, 1);
    assert_eq!((place.since(&three), place.since(&later)), (vec![1], vec![1]));
}

#[test]
fn a_message_that_is_removed_and_comes_again_in_one_second_is_new() {
    let place = Place::new();
    let servers = place.servers();
    for _ in 0..5 {
        deliver(&servers, 1);
        let mark = place.mark();
        delete(&servers, &[1]);
        deliver(&servers, 1);
        assert_eq!(place.since(&mark), [1]);
        place.clear("linhphan");
    }
}

#[test]
fn marks_outlive_servers_that_end_and_that_are_killed() {
    let place = Place::new();
    let first = place.servers();
    deliver(&first, 2);
    let two = place.mark();
    delete(&first, &[1]);
    first.signal(Signal::SIGTERM);
    assert!(first.wait().0.success());
    assert_eq!(place.since(&two), NONE);
    let second = place.servers();
    deliver(&second, 1);
    let later = place.mark();
    delete(&second, &[1]);
    second.signal(Signal::SIGKILL);
    second.wait();
    // Without a server.
    assert_eq!((place.since(&two), place.since(&later)), (vec![1], NONE.to_vec()));
    let third = place.servers();
    deliver(&third, 1);
    assert_eq!((place.since(&two), place.since(&later)), (vec![1, 2], vec![2]));
}

#[test]
fn mailboxes_that_are_made_later_are_new_as_a_whole() {
    let place = Place::new();
    deliver(&place.servers(), 1);
    let mark = place.mark();
    let content = fs::read(place.file()).unwrap();
    fs::write(place.path().join("new.mbox"), content).unwrap();
    assert_eq!(place.since(&mark), [1]);
}

#[test]
fn other_programs_may_change_a_mailbox() {
    if !has_python("other_programs_may_change_a_mailbox") {
        return;
    }
    let place = Place::new();
    let servers = place.servers();
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    for n in 1..=3 {
        let text = format!("Subject: {n}\r\n\r\nx\r\n");
        assert!(client.deliver(&["linhphan"], text).starts_with("250"));
    }
    let mark = place.mark();
    // Into a new file, under the same name.
    let script = "import mailbox, sys\nbox = mailbox.mbox(sys.argv[1])\nbox.lock()\n\
                  box.remove(0)\nbox.flush()\nbox.unlock()\n";
    let python = |script: &str| {
        let status = Command::new("python3").args(["-c", script]).arg(place.file()).status();
        assert!(status.unwrap().success());
    };
    python(script);
    assert_eq!(place.since(&mark), NONE);
    assert!(client.deliver(&["linhphan"], "Subject: 4\r\n\r\nx\r\n").starts_with("250"));
    assert_eq!(place.since(&mark), [3]);
    // In place, with a note that a message was read.
    let script = "import sys\ntext = open(sys.argv[1], 'rb').read()\n\
                  at = text.index(b'From ', 5)\ntext = text[at:].replace(b'\\r\\n\\r\\n', \
                  b'\\r\\nStatus: RO\\r\\n\\r\\n', 1)\nfile = open(sys.argv[1], 'r+b')\n\
                  file.write(text)\nfile.truncate()\n";
    python(script);
    assert_eq!(place.since(&mark), [2]);
    // All that the mark knows is gone: the date tells.
    python("import sys\nopen(sys.argv[1], 'wb').close()\n");
    assert_eq!(place.since(&mark), NONE);
    assert!(client.deliver(&["linhphan"], "Subject: 5\r\n\r\nx\r\n").starts_with("250"));
    assert_eq!(place.since(&mark), [1]);
}

#[test]
fn a_directory_that_can_only_be_read_is_marked_too() {
    let place = Place::new();
    let servers = place.servers();
    deliver(&servers, 1);
    drop(servers);
    // The superuser may write all the same; then this tries no more than the other tests.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mark = place.mark();
    assert_eq!(place.since(&mark), NONE);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    deliver(&place.servers(), 1);
    assert_eq!(place.since(&mark), [2]);
}

#[test]
fn since_now_means_what_comes_from_now_on() {
    let place = Place::new();
    deliver(&place.servers(), 2);
    assert_eq!(place.since("now"), NONE);
}

#[test]
fn a_directory_in_which_nobody_takes_a_mark_stays_as_quiet_as_ever() {
    let place = Place::new();
    let names = |place: &Place| {
        let names = fs::read_dir(place.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let servers = place.servers();
    deliver(&servers, 2);
    delete(&servers, &[1]);
    servers.signal(Signal::SIGTERM);
    servers.wait();
    place.clear("subject=none");
    assert_eq!(names(&place), ["linhphan.mbox"]);
    place.mark();
    let log = place.path().join(".mailconsole/rewrites");
    assert_eq!(fs::read_dir(log.parent().unwrap()).unwrap().count(), 1);
    let before = fs::metadata(&log).unwrap().len();
    place.clear("linhphan");
    assert!(fs::metadata(&log).unwrap().len() > before);
}
