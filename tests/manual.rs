//! The tables of keys and settings, the pages of the manual, the completions and the sample of the
//! config file are made from the tables that the program itself goes by; where they differ, this
//! fails. `UPDATE=1 cargo test --test manual` makes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailconsole::app::cli::Cli;
use mailconsole::app::manual::rows_of_keys;
use mailconsole::console::keys::Section;
use mailconsole::console::setting::row::{Acts, DefaultValue, Group, Row};
use mailconsole::console::setting::table::ROWS;
use strum::VariantArray;

const BEGIN: &str = "<!-- keys: made by tests/manual.rs -->\n";
const END: &str = "<!-- end of keys -->\n";
const BEGIN_SETTINGS: &str = "<!-- settings: made by tests/manual.rs -->\n";
const END_SETTINGS: &str = "<!-- end of settings -->\n";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares the file with what it should be, or writes it.
#[track_caller]
fn is_up_to_date(name: &str, wanted: &str) {
    if env::var_os("UPDATE").is_some() {
        let path = path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == wanted, "{name} is not up to date: UPDATE=1 cargo test --test manual");
}

fn table_of_keys() -> String {
    let mut table = String::from("| keys | what they do | names |\n| --- | --- | --- |\n");
    for &section in Section::ALL {
        let _ = writeln!(table, "| **{}** | | |", section.heading());
        for (keys, names, help) in rows_of_keys(section) {
            let _ = writeln!(table, "| {keys} | {help} | {names} |");
        }
    }
    table
}

fn table_of_settings() -> String {
    let mut table = String::from("| option | default | meaning |\n| --- | --- | --- |\n");
    for &group in Group::VARIANTS {
        let _ = writeln!(table, "| **{}** | | |", <&str>::from(group));
        for row in ROWS.iter().filter(|row| row.group == group) {
            let (default, meaning) = (default_of(row), meaning_of(row));
            let _ = writeln!(table, "| `{}` | {default} | {meaning} |", option_of(row));
        }
    }
    table
}

fn option_of(row: &Row) -> String {
    let short = row.short.map_or_else(String::new, |letter| format!("-{letter}, "));
    let value = if row.value.is_empty() { String::new() } else { format!(" {}", row.value) };
    format!("{short}--{}{value}", row.name)
}

fn default_of(row: &Row) -> String {
    match row.default {
        DefaultValue::None => String::new(),
        DefaultValue::Is(value) => format!("`{value}`"),
        DefaultValue::Says(words) => words.to_owned(),
    }
}

fn meaning_of(row: &Row) -> String {
    let more = if row.more.is_empty() { String::new() } else { format!(". {}", row.more) };
    let set = match row.acts {
        Acts::WhileRunning { .. } => format!(" (`:set {}`)", row.name),
        Acts::AtStart => String::new(),
    };
    format!("{}{set}{more}", row.help.trim_start())
}

/// The text with what is between the two lines made anew.
fn with_table(text: &str, begin: &str, end: &str, table: &str) -> String {
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{begin}{table}{end}{after}")
}

#[test]
fn the_reference_has_the_keys_and_settings_that_work() {
    let page = fs::read_to_string(path("docs/reference.md")).unwrap();
    let page = with_table(&page, BEGIN, END, &table_of_keys());
    let page = with_table(&page, BEGIN_SETTINGS, END_SETTINGS, &table_of_settings());
    is_up_to_date("docs/reference.md", &page);
}

fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailconsole"));
    let output = command.args(arguments).env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_manual_pages_are_what_the_program_prints() {
    is_up_to_date("assets/mailconsole.1", &printed(&["man"]));
    let mut pages = BTreeSet::new();
    for command in Cli::grammar().get_subcommands() {
        let name = command.get_name();
        let page = printed(&["man", name]);
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
            assert!(page.contains(&format!("\n.SH {heading}\n")), "{name} has no {heading}");
        }
        assert!(page.contains("\n.SH \"EXIT STATUS\"\n"), "{name} has no exit status");
        is_up_to_date(&format!("assets/man/mailconsole-{name}.1"), &page);
        pages.insert(format!("mailconsole-{name}.1"));
    }
    let files = fs::read_dir(path("assets/man")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), pages, "assets/man has a page of no command");
}

#[test]
fn the_completions_are_what_the_program_prints() {
    for (shell, file) in
        [("bash", "mailconsole.bash"), ("zsh", "_mailconsole"), ("fish", "mailconsole.fish")]
    {
        let script = printed(&["completions", shell]);
        for command in Cli::grammar().get_subcommands() {
            assert!(script.contains(command.get_name()), "{shell}");
        }
        is_up_to_date(&format!("assets/completions/{file}"), &script);
    }
}

#[test]
fn the_sample_of_the_config_file_is_what_the_program_prints() {
    is_up_to_date("assets/mailconsole.toml", &printed(&["config", "--sample"]));
}
