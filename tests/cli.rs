//! The help of the program and of each sub-command: its own options only, and examples that can be
//! carried out as they stand.

use std::ffi::OsString;

use mailconsole::app::cli::{Cli, Stop};

fn commands() -> Vec<String> {
    Cli::grammar().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

fn help(words: &[&str]) -> String {
    let line = ["mailconsole"].iter().chain(words).map(OsString::from);
    match Cli::read(line) {
        Err(Stop::Information(text)) => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// The words of an example, as a shell would divide them, up to a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.push(part.into());
        } else {
            words.extend(part.split_whitespace().map(OsString::from));
        }
    }
    words
}

#[test]
fn help_is_asked_for_in_three_ways() {
    assert_eq!(help(&["help"]), help(&["--help"]));
    for command in commands().iter().map(String::as_str) {
        assert_eq!(help(&["help", command]), help(&[command, "--help"]), "{command}");
        assert!(help(&[command, "-h"]).contains("Usage: mailconsole "), "{command}");
    }
    assert!(help(&["-h"]).lines().count() < help(&["--help"]).lines().count());
}

#[test]
fn the_help_of_a_sub_command_has_the_options_that_it_reads() {
    for (command, own, foreign) in [
        (
            "echo",
            &["--port", "--bind", "--idle", "--author", "--dir"][..],
            &["--user", "--smarthost"][..],
        ),
        ("smtp", &["--port", "--max-message", "--relay-from", "--password"], &["--theme"]),
        ("pop3", &["--port", "--password", "--user"], &["--max-message", "--smarthost"]),
        ("relay", &["--every", "--only", "--smarthost", "--ehlo"], &["--bind", "--user", "--idle"]),
        ("queue", &["--state", "--domain", "--json"], &["--verbose", "--bind", "--password"]),
        ("check", &["--host"], &["--dir", "--verbose", "--user"]),
        ("ca", &["--domain", "install"], &["--dir", "--password", "--bind"]),
        ("demo", &["--theme", "--profile"], &["--dir", "--user", "--smtp-port"]),
        ("status", &["--json", "--wait", "--dir"], &["--user", "--events"]),
        ("stop", &["--dir"], &["--json", "--user"]),
        ("events", &["--follow", "--since", "--json", "--schema", "--dir"], &["--user"]),
        (
            "exec",
            &["--dir", "--user", "--profile", "--smtp-port", "--keep-on-failure"],
            &["--theme"],
        ),
        ("send", &["--to", "--auth", "--tls", "--smtp", "--verbose"], &["--dir", "--bind"]),
        ("sendmail", &["-t", "-bs"], &["--dir", "--verbose"]),
        ("messages", &["--json", "header:NAME="], &["--dir", "--user", "--password"]),
        ("show", &["--raw", "--part", "--attachments"], &["--dir", "--user"]),
        ("wait", &["--since", "--count", "--timeout", "--print"], &["--dir", "--smarthost"]),
        ("clear", &["--yes"], &["--dir"]),
        ("init", &["--dir", "--user"], &["--password", "--smtp-port", "--no-sync"]),
        ("config", &["--json", "--sample", "--config"], &["--dir", "--smarthost", "--verbose"]),
        ("man", &["COMMAND"], &["--dir", "--config", "--verbose"]),
    ] {
        let help = help(&[command, "--help"]);
        for option in own {
            assert!(help.contains(option), "{command} lacks {option}: {help}");
        }
        for option in foreign {
            assert!(!help.contains(option), "{command} has {option}: {help}");
        }
    }
}

#[test]
fn every_option_is_taken_by_every_sub_command() {
    for command in ["echo", "smtp", "pop3", "relay", "queue", "check", "init", "ca", "config"] {
        let arguments: &[&str] = match command {
            "check" => &["echo"],
            "ca" => &["path"],
            "exec" => &["--", "true"],
            "messages" | "wait" | "mark" | "clear" => &["d"],
            "assert" => &["d", "messages"],
            "show" => &["d", "u", "latest"],
            _ => &[],
        };
        for option in ["--dir=d", "--smarthost=h", "--bind=::1", "--no-tui", "--theme=dark"] {
            for line in [["mailconsole", option, command], ["mailconsole", command, option]] {
                let read = Cli::read(line.iter().chain(arguments).map(OsString::from));
                assert!(read.is_ok(), "{line:?}: {read:?}");
            }
        }
    }
}

#[test]
fn examples_can_be_carried_out() {
    let mut tried = 0;
    let orders = ["retry", "hold", "release", "drop", "show"].map(|order| vec!["queue", order]);
    let commands = commands();
    let commands = commands.iter().map(|command| vec![command.as_str()]);
    for command in commands.chain(orders).chain([vec![]]) {
        let help = help(&[command.as_slice(), &["--help"]].concat());
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().flat_map(|line| line.split(['|', '>'])) {
            let line = line.trim().split("   ").next().unwrap();
            if line.starts_with("mailconsole ") {
                let read = Cli::read(words(line));
                assert!(read.is_ok(), "{line}: {read:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn the_short_help_of_what_scripts_use_fits_a_screen() {
    for command in ["messages", "show", "wait", "mark", "assert", "clear"] {
        let help = help(&[command, "-h"]);
        assert!(help.lines().count() <= 24, "{command}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
        assert!(help.contains("Exit status: 0"), "{command}: {help}");
    }
}
