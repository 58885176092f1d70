//! What a user is told who has written something wrong, and help that fits a screen.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use mailconsole::app::cli::Cli;
use program::program;

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn run_with(name: &str, value: &str, arguments: &[&str]) -> Output {
    program().args(arguments).env(name, value).output().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
fn is_wrong_use(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    for rust in ["u16", "i64", "usize", "invalid type", "enum", "ParseIntError", "invalid digit"] {
        assert!(!said.contains(rust), "{said}");
    }
}

fn config_file(dir: &Path, text: &str) -> String {
    let path = dir.join("c.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_wrong_value_in_the_config_file_names_file_line_and_key_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    for (text, words) in [
        (
            "# c\nsmtp-port = \"x\"\n",
            &["c.toml", "line 2", "smtp-port wants a number from 0 to 65535, not text"][..],
        ),
        ("smtp-port = 70000", &["line 1", "smtp-port wants a number from 0 to 65535, not 70000"]),
        ("no-sync = 1", &["line 1", "no-sync wants true or false, not a number"]),
        ("user = \"ada\"", &["user wants a list", "not text"]),
        ("exit-when-idle = true", &["exit-when-idle wants a time", "not true or false"]),
        ("dir = 'd'\nsmtp-prot = 1", &["line 2", "smtp-prot", "did you mean smtp-port?"]),
        ("[user]\nada = \"x\"", &["line 1", "user wants a list"]),
        ("[usres]\nada = \"x\"", &["line 1", "did you mean users?"]),
        ("a = = 1", &["c.toml", "line 1"]),
    ] {
        let file = config_file(dir.path(), text);
        is_wrong_use(&run(&["--no-tui", "--dir", "/nonexistent", "--config", &file]), words);
    }
}

#[test]
fn a_wrong_variable_is_named_and_an_unknown_one_is_warned_of() {
    for (name, value) in [
        ("MAILCONSOLE_SMTP_PORT", "x"),
        ("MAILCONSOLE_NO_SYNC", "maybe"),
        ("MAILCONSOLE_DOMAIN", "a b"),
        ("MAILCONSOLE_AUTHOR", "a\nb"),
        ("MAILCONSOLE_LOG_LEVEL", "loud"),
        ("MAILCONSOLE_HELO", "a b"),
    ] {
        is_wrong_use(&run_with(name, value, &["--no-tui", "--dir", "/nonexistent"]), &[name]);
    }
    let output = run_with("MAILCONSOLE_SMPT_PORT", "1", &["config"]);
    assert!(output.status.success());
    assert_eq!(
        stderr(&output),
        "mailconsole: warning: there is no variable MAILCONSOLE_SMPT_PORT: did you mean \
         MAILCONSOLE_SMTP_PORT?\n"
    );
    for known in ["MAILCONSOLE_DIR", "MAILCONSOLE_PASSWORD", "MAILCONSOLE_CA"] {
        assert_eq!(stderr(&run_with(known, "x", &["config"])), "", "{known}");
    }
    for (value, is_on) in [("1", true), ("yes", true), ("True", true), ("0", false), ("no", false)]
    {
        let output = run_with("MAILCONSOLE_EHLO", value, &["config", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let wanted = format!("\"ehlo\":{{\"value\":{is_on},\"from\":\"MAILCONSOLE_EHLO\"}}");
        assert!(text.contains(&wanted), "{value}: {text}");
    }
}

#[test]
fn what_is_nearly_right_is_suggested() {
    for (arguments, near) in [
        (&["smpt"][..], "smtp"),
        (&["--smtp-prot", "1"], "--smtp-port"),
        (&["smtp", "--prot", "1"], "--port"),
        (&["queue", "--stat", "held", "d"], "--state"),
        (&["check", "smpt"], "smtp"),
        (&["completions", "bsh"], "bash"),
        (&["man", "quue"], "queue"),
        (&["help", "quue"], "queue"),
    ] {
        is_wrong_use(&run(arguments), &["did you mean ", near]);
    }
    for arguments in
        [&["xyzzy"][..], &["--xyzzy"], &["smtp", "-p", "x"], &["check", "smtp", "70000"]]
    {
        is_wrong_use(&run(arguments), &["; see mailconsole --help"]);
    }
}

#[test]
fn values_by_which_a_server_would_refuse_everything_are_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("mail");
    let start = ["--no-tui", "--dir", mail.to_str().unwrap()];
    for (name, value, in_file) in [
        ("max-connections", "0", "0"),
        ("max-message", "0", "0"),
        ("max-message", "0K", "\"0K\""),
        ("domain", "", "\"\""),
        ("user", "", "[\"\"]"),
        ("user", ":secret", "[\":secret\"]"),
        ("password", "", "\"\""),
        ("catch-all", "", "\"\""),
        ("max-mailboxes", "0", "0"),
        ("exit-when-idle", "0", "0"),
        ("dir", "", "\"\""),
    ] {
        let option = format!("--{name}={value}");
        is_wrong_use(&run(&[&start[..], &[&option]].concat()), &[name]);
        let variable = format!("MAILCONSOLE_{}", name.to_uppercase().replace('-', "_"));
        is_wrong_use(&run_with(&variable, value, &["--no-tui"]), &[&variable]);
        let file = config_file(dir.path(), &format!("{name} = {in_file}\n"));
        is_wrong_use(&run(&["--no-tui", "--config", &file]), &["line 1", name]);
    }
    assert!(!mail.exists());
}

#[test]
fn a_login_that_is_required_needs_a_mechanism() {
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("mail");
    let mail = mail.to_str().unwrap();
    let login = ["--no-tui", "--dir", mail, "--auth", "required", "--auth-mechanisms", "none"];
    is_wrong_use(&run(&login), &["--auth-mechanisms", "--auth offered"]);
    let submission = ["smtp", "--profile", "submission", "--auth-mechanisms", "none", mail];
    is_wrong_use(&run(&submission), &["--auth-mechanisms"]);
    assert!(!dir.path().join("mail").exists());
}

/// Every command with its words, those of commands too.
fn commands() -> Vec<Vec<String>> {
    fn within(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for one in command.get_subcommands() {
            let words = [words, &[one.get_name().to_owned()]].concat();
            within(one, &words, all);
            all.push(words);
        }
    }
    let mut all = Vec::new();
    within(&Cli::grammar(), &[], &mut all);
    all
}

fn help(words: &[&str]) -> String {
    let output = program().args(words).env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn short_help_fits_a_screen() {
    let all = help(&["-h"]);
    assert!(all.lines().count() <= 40, "{all}");
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        let text = help(&words);
        let most = if words[0] == "exec" { 40 } else { 24 };
        assert!(text.lines().count() <= most, "{words:?}: {}\n{text}", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn long_help_ends_with_two_or_three_examples() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = help(&[&words[..], &["--help"]].concat());
        let (_, examples) = text.split_once("Examples:\n").unwrap_or_else(|| panic!("{words:?}"));
        let examples = examples.lines().filter(|line| line.contains("mailconsole")).count();
        assert!((2..=4).contains(&examples), "{words:?}: {examples}");
        if words.len() == 1 {
            assert_eq!(help(&["help", words[0]]), text);
        }
    }
}

#[test]
fn the_version_has_the_commit_where_it_is_known() {
    let text = help(&["--version"]);
    let text = text.trim_end();
    let rest = text.strip_prefix(concat!("mailconsole ", env!("CARGO_PKG_VERSION"))).unwrap();
    let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
    let is_commit =
        |commit: &str| commit.len() >= 7 && commit.bytes().all(|octet| octet.is_ascii_hexdigit());
    assert!(rest.is_empty() || commit.is_some_and(is_commit), "{text}");
}
