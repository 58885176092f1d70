//! The commands of README.md and of the pages beside it do what the pages say: each block behind the
//! words `tried by tests/readme.rs` is typed into bash as it stands, but for ports.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{PROGRAM, Servers, has_python, skip};

const MARK: &str = "<!-- tried by tests/readme.rs -->";

/// What stands for pytest, so that the test needs nothing but Python: a test of an application that
/// sends a message and reads it.
const PYTEST: &str = r#"#!/usr/bin/env python3
import os, poplib, smtplib
with smtplib.SMTP(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"])) as smtp:
    smtp.sendmail("app@localhost", ["anna@example.com"], b"Subject: Welcome\r\n\r\nHello.\r\n")
assert os.path.isdir(os.environ["MAILCONSOLE_DIR"])
assert os.environ["SMTP_URL"] == "smtp://127.0.0.1:" + os.environ["SMTP_PORT"]
print("1 passed")
"#;

/// The marked blocks of a page, each as a script.
fn blocks(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).unwrap();
    let behind = text.split(MARK).skip(1);
    let block = |part: &str| {
        let lines = part.lines().skip(1).take_while(|line| line.starts_with("    "));
        lines.flat_map(|line| [&line[4..], "\n"]).collect()
    };
    behind.map(block).collect()
}

/// A shell in a folder of its own, with the program and `pytest` on its PATH.
struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(PROGRAM, bin.join("mailconsole")).unwrap();
        fs::write(bin.join("pytest"), PYTEST).unwrap();
        fs::set_permissions(bin.join("pytest"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// Runs a script until something in it fails.
    fn run(&self, script: &str, environment: &[(&str, String)]) -> Output {
        let bin = self.folder.path().join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script]).current_dir(self.folder.path());
        bash.env("PATH", path).env("XDG_CONFIG_HOME", "/nonexistent");
        bash.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        bash.output().unwrap()
    }
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// The only block of the README that has all of these words.
#[track_caller]
fn block(words: &[&str]) -> String {
    let blocks = blocks("README.md");
    let mut found =
        blocks.into_iter().filter(|block| words.iter().all(|word| block.contains(word)));
    let block = found.next().unwrap();
    assert_eq!(found.next(), None);
    block
}

#[test]
fn a_client_is_watched() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("a_client_is_watched", "curl is not installed");
    }
    let shell = Shell::new();
    let servers = Servers::on(&shell.folder.path().join("mailtest"), &["-v"]);
    let script = block(&["curl smtp://", "curl pop3://"]);
    let script = script.replace(":2500", &format!(":{}", servers.port("smtp")));
    let script = script.replace(":11000", &format!(":{}", servers.port("pop3")));
    let stdout = succeeded(&shell.run(&script, &[]));
    assert!(stdout.contains("Subject: hello") && stdout.contains("Hello, world."), "{stdout}");
    servers.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, transcript) = servers.wait();
    assert!(transcript.contains("C: RCPT TO:<linhphan@localhost>"), "{transcript}");
    assert!(transcript.contains("C: RETR 1"), "{transcript}");
}

#[test]
fn the_mail_of_an_application_is_caught() {
    let shell = Shell::new();
    let directory = shell.folder.path().join("mailtest");
    let servers = Servers::on(&directory, &["--profile", "catch"]);
    let environment =
        [("SMTP_HOST", "127.0.0.1".to_owned()), ("SMTP_PORT", servers.port("smtp").to_string())];
    let stdout = succeeded(&shell.run(&block(&["messages mailtest", "clear"]), &environment));
    let listed: Vec<&str> =
        stdout.lines().filter(|line| line.contains("\tWelcome, Anna\t")).collect();
    assert_eq!(listed.len(), 2, "{stdout}");
    assert!(stdout.contains("Please confirm: https://app.example.com/confirm/1\n"), "{stdout}");
    assert!(stdout.contains("\nhttps://app.example.com/confirm/1\n"), "{stdout}");
    let mailbox = fs::read(directory.join("linhphan.mbox")).unwrap();
    assert!(mailbox.is_empty(), "it was cleared");
}

#[test]
fn a_test_suite_runs_with_servers_of_its_own() {
    if !has_python("a_test_suite_runs_with_servers_of_its_own") {
        return;
    }
    let shell = Shell::new();
    let output = shell.run(&block(&["exec", "pytest"]), &[]);
    assert_eq!(succeeded(&output), "1 passed\n");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "mailconsole: 1 message, 0 refused\n");
}

#[test]
fn a_job_starts_waits_reads_and_stops_by_hand() {
    let shell = Shell::new();
    let script = block(&["--ports-file", "stop D"]);
    // Ports that the system chooses, so that others may be in use.
    let script =
        script.replace("--ports-file", "--echo-port 0 --smtp-port 0 --pop3-port 0 --ports-file");
    let directory = shell.folder.path().join("D").display().to_string();
    succeeded(&shell.run(&script, &[("MAILCONSOLE_DIR", directory)]));
    assert!(!shell.folder.path().join("ports.json").exists(), "it goes with the server");
}
