//! `mailconsole sendmail`, called as programs call /usr/sbin/sendmail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use program::{PROGRAM, Servers, program};

/// Servers, and a link to the program that is called sendmail.
struct Ours {
    servers: Servers,
    dir: tempfile::TempDir,
    link: PathBuf,
}

impl Ours {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let servers = Servers::on(dir.path(), &["--user", "root", "--user", "bob"]);
        let link = dir.path().join("sendmail");
        symlink(PROGRAM, &link).unwrap();
        Self { servers, dir, link }
    }

    fn sendmail(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.link);
        command.args(arguments).env("SMTP_HOST", "127.0.0.1");
        command.env("SMTP_PORT", self.servers.port("smtp").to_string());
        command
    }

    #[track_caller]
    fn sends(&self, arguments: &[&str], message: &str) {
        let output = with_input(self.sendmail(arguments), message.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{arguments:?}");
        assert_eq!(output.stdout, b"");
    }

    /// The mailbox, which is then empty.
    fn take(&self, user: &str) -> String {
        let path = self.dir.path().join(format!("{user}.mbox"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, "").unwrap();
        text.replace("\r\n", "\n")
    }
}

fn with_input(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

const MESSAGE: &str = "Subject: Hi\n\nText\n";

#[test]
fn programs_are_served_with_their_flags() {
    let ours = Ours::new();
    let to = "To: bob\nSubject: Hi\n\nText\n";
    for (program, arguments, message) in [
        ("PHP", &["-t", "-i"][..], to),
        ("PHP with mail()'s fifth argument", &["-t", "-i", "-fweb@x"], to),
        ("Vixie's cron", &["-FCronDaemon", "-odi", "-oem", "-oi", "-t"], to),
        ("Debian's cron", &["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "bob"], MESSAGE),
        ("git send-email", &["-f", "a@x", "-i", "bob@localhost"], MESSAGE),
        ("git send-email without a sender", &["-i", "bob@localhost"], MESSAGE),
        ("reportbug", &["-oi", "-t"], to),
        ("reportbug with a sender", &["-f", "a@x", "-oi", "-t"], to),
        (
            "mutt",
            &["-oem", "-oi", "-f", "a@x", "-N", "failure", "-R", "hdrs", "--", "bob"],
            MESSAGE,
        ),
        ("heirloom mailx", &["-i", "-r", "a@x", "bob"], MESSAGE),
        ("mailx -v", &["-i", "-m", "bob"], MESSAGE),
        ("Perl's Email::Sender", &["-i", "-f", "a@x", "--", "bob@localhost"], MESSAGE),
        ("Ruby's mail", &["-i", "-f", "a@x", "--", "bob@localhost"], MESSAGE),
        ("Go's gomail", &["-oi", "-f", "a@x", "-t"], to),
    ] {
        ours.sends(arguments, message);
        let mbox = ours.take("bob");
        assert_eq!(mbox.matches("\nSubject: Hi\n").count(), 1, "{program}: {mbox}");
        assert!(mbox.contains("\nDate: ") && mbox.contains("\nMessage-ID: <"), "{program}: {mbox}");
        assert!(mbox.contains("\n\nText\n"), "{program}: {mbox}");
        let is_from_a = arguments.contains(&"a@x");
        assert_eq!(mbox.starts_with("From <a@x> "), is_from_a, "{program}: {mbox}");
    }
}

#[test]
fn it_is_also_a_command_of_the_program() {
    let ours = Ours::new();
    let mut command = program();
    let smtp = format!("127.0.0.1:{}", ours.servers.port("smtp"));
    command.args(["sendmail", "--smtp", &smtp, "-i", "-v", "-V", "x", "bob"]);
    // Neither of these is its affair.
    command.env("MAILCONSOLE_SMTP_PORT", "nonsense").env("MAILCONSOLE_CONFIG", "/nonexistent");
    let output = with_input(command, MESSAGE.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("\nC: RCPT TO:<bob@localhost>\n"), "{stderr}");
    let help = program().args(["sendmail", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: mailconsole sendmail "));
}

#[test]
fn recipients_come_from_the_header_and_the_words_and_bcc_goes() {
    let ours = Ours::new();
    let message =
        "To: Bob <bob@localhost>,\n root\nBcc: linhphan@localhost,\n\tbob\nSubject: Hi\n\n.x\n";
    ours.sends(&["-t", "root@localhost"], message);
    for user in ["bob", "root", "linhphan"] {
        let mbox = ours.take(user);
        assert_eq!(mbox.matches("\nSubject: Hi\n").count(), 1, "{user}: {mbox}");
        assert!(!mbox.to_lowercase().contains("bcc") && !mbox.contains("linhphan"), "{mbox}");
        assert!(mbox.contains("\nTo: Bob <bob@localhost>,\n root\n"), "{mbox}");
        assert!(mbox.contains("\n\n.x\n"), "{mbox}");
    }
    ours.sends(&["-t"], "Bcc: bob\n\nText\n");
    assert!(ours.take("bob").contains("\nTo: undisclosed-recipients:;\n"));
    ours.sends(&["-t"], "Cc: bob\n\nText\n");
    assert!(!ours.take("bob").contains("\nTo: "));
    ours.sends(&["bob", "root"], "Bcc: kept@x\n\nText\n");
    let mbox = ours.take("bob");
    assert!(mbox.contains("\nTo: bob@localhost, root@localhost\n"), "{mbox}");
    assert!(mbox.contains("\nBcc: kept@x\n"), "{mbox}");
}

#[test]
fn a_lone_dot_ends_the_message_unless_it_may_stand() {
    let ours = Ours::new();
    let message = "Subject: Hi\n\none\n.\ntwo\n";
    for (arguments, stands) in [
        (&["bob"][..], false),
        (&["-i", "bob"], true),
        (&["-oi", "bob"], true),
        (&["-o", "i", "bob"], true),
    ] {
        ours.sends(arguments, message);
        let mbox = ours.take("bob");
        assert_eq!(mbox.contains("\none\n.\ntwo\n"), stands, "{arguments:?}: {mbox}");
        assert!(mbox.contains("\none\n"), "{mbox}");
    }
}

#[test]
fn senders_are_who_they_are_said_to_be() {
    let ours = Ours::new();
    for (arguments, path, from) in [
        (&["-f", "a@x", "bob"][..], "<a@x> ", "a@x"),
        (&["-fa@x", "-F", "Ada L.", "bob"], "<a@x> ", "\"Ada L.\" <a@x>"),
        (&["-f", "root", "bob"], "<root@localhost> ", "root@localhost"),
        (&["-f", "<a@x>", "bob"], "<a@x> ", "a@x"),
        (&["-f", "<>", "bob"], "<MAILER-DAEMON> ", "MAILER-DAEMON@localhost"),
        (&["-f", "", "bob"], "<MAILER-DAEMON> ", "MAILER-DAEMON@localhost"),
    ] {
        ours.sends(arguments, MESSAGE);
        let mbox = ours.take("bob");
        assert!(mbox.starts_with(&format!("From {path}")), "{arguments:?}: {mbox}");
        assert!(mbox.contains(&format!("\nFrom: {from}\n")), "{arguments:?}: {mbox}");
    }
    ours.sends(&["-f", "a@x", "bob"], "From: Z <z@x>\n\nText\n");
    assert!(ours.take("bob").contains("\nFrom: Z <z@x>\n"));
}

#[test]
fn text_without_a_header_is_a_message_and_a_mailboxs_first_line_none_of_it() {
    let ours = Ours::new();
    ours.sends(&["bob"], "just text\nTo: nobody\n");
    assert!(ours.take("bob").contains("\n\njust text\nTo: nobody\n"));
    ours.sends(&["-t"], "From a@b Thu Jan  1 00:00:00 1970\nTo: bob\n\nText\n");
    let mbox = ours.take("bob");
    assert!(mbox.contains("\nTo: bob\n") && !mbox.contains("1970"), "{mbox}");
    ours.sends(&["bob"], "");
    assert!(ours.take("bob").contains("\nTo: bob@localhost\n"));
}

#[test]
fn statuses_are_those_of_sysexits() {
    let ours = Ours::new();
    let status = |arguments: &[&str], message: &str| {
        let output = with_input(ours.sendmail(arguments), message.as_bytes());
        assert!(output.stderr.starts_with(b"sendmail: "), "{arguments:?}");
        output.status.code().unwrap()
    };
    assert_eq!(status(&[], MESSAGE), 64);
    assert_eq!(status(&["-t"], MESSAGE), 64);
    assert_eq!(status(&["-f"], MESSAGE), 64);
    assert_eq!(status(&["-bp"], MESSAGE), 64);
    assert_eq!(status(&["nobody", "bob"], MESSAGE), 67);
    assert!(ours.take("bob").contains("Text"));
    assert_eq!(status(&["no address@x", "bob"], MESSAGE), 67);
    assert!(ours.take("bob").contains("Text"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(status(&["--smtp", &free, "bob"], MESSAGE), 75);
    assert_eq!(status(&["--smtp", &free, "-bs"], ""), 75);
}

#[test]
fn replies_of_a_host_decide_the_status() {
    for (at, reply, status) in [
        ("connection", "554 no\r\n", 69),
        ("connection", "421 later\r\n", 75),
        ("MAIL", "550 no\r\n", 69),
        ("MAIL", "450 later\r\n", 75),
        ("RCPT", "550 no\r\n", 67),
        ("RCPT", "450 later\r\n", 75),
        ("DATA", "554 no\r\n", 69),
        (".", "552 too large\r\n", 69),
        (".", "452 full\r\n", 75),
    ] {
        let (smtp, thread) = host(at, reply);
        let mut command = program();
        command.args(["sendmail", "--smtp", &smtp, "bob"]);
        let output = with_input(command, MESSAGE.as_bytes());
        assert_eq!(output.status.code(), Some(status), "{at} {reply}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(stderr, format!("sendmail: bob@localhost: {}\n", reply.trim_end()));
        thread.join().unwrap();
    }
}

/// A host that differs from others in one reply.
fn host(at: &'static str, reply: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut next = Some("connection".to_owned());
        while let Some(line) = next {
            let answer = match line.get(..4).unwrap_or_default() {
                _ if line.starts_with(at) => reply,
                "conn" => "220 x\r\n",
                "DATA" => "354 go on\r\n",
                "EHLO" | "MAIL" | "RCPT" | "RSET" | "QUIT" => "250 ok\r\n",
                _ => "",
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            next = lines.next().and_then(Result::ok);
        }
    });
    (address, thread)
}

#[test]
fn smtp_is_spoken_on_stdin_and_stdout() {
    let ours = Ours::new();
    let talk = "HELO x\nMAIL FROM:<a@x>\r\nRCPT TO:<bob@localhost>\nDATA\n\
                Subject: Hi\n\n..x\n.\nQUIT\n";
    for arguments in [&["-bs"][..], &["-b", "s", "-t"]] {
        let output = with_input(ours.sendmail(arguments), talk.as_bytes());
        let replies = String::from_utf8(output.stdout).unwrap();
        let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"], "{replies}");
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
        assert!(ours.take("bob").contains("Subject: Hi\n\n.x\n"));
    }
    let cut = with_input(ours.sendmail(&["-bs"]), b"HELO x\n");
    assert_eq!(cut.status.code(), Some(0));
}

#[test]
fn git_sends_its_patches_through_it() {
    let has_git = Command::new("git").args(["send-email", "--help-all"]).output();
    if !has_git.is_ok_and(|output| output.status.success()) {
        program::skip("git_sends_its_patches_through_it", "git send-email is not installed");
        return;
    }
    let ours = Ours::new();
    let patch = ours.dir.path().join("0001-x.patch");
    fs::write(&patch, "From: Ada <ada@x>\nSubject: [PATCH] x\n\n---\n.\ntext\n").unwrap();
    let mut git = Command::new("git");
    git.args(["send-email", "--quiet", "--confirm=never", "--no-validate", "--from=ada@x"]);
    git.args(["--to=bob@localhost", "--suppress-cc=all", "--no-thread"]);
    git.arg(format!("--smtp-server={}", ours.link.display())).arg(&patch);
    git.env("SMTP_HOST", "127.0.0.1").env("HOME", ours.dir.path());
    git.env("SMTP_PORT", ours.servers.port("smtp").to_string());
    let output = git.current_dir(ours.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mbox = ours.take("bob");
    assert!(mbox.contains("\nSubject: [PATCH] x\n") && mbox.contains("\n.\ntext\n"), "{mbox}");
}
