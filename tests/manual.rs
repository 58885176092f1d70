//! The README's tables of keys and settings, and the manual page, are made from the tables that the program itself
//! goes by; where they differ, this fails. `UPDATE=1 cargo test --test manual` makes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use mailconsole::app::cli::Cli;
use mailconsole::console::action::SettingName;
use mailconsole::console::keys::{BINDINGS, Binding, Section};
use mailconsole::console::setting::row::{Acts, DefaultValue, Group, Row};
use mailconsole::console::setting::table::ROWS;
use mailconsole::console::state::command::with_arguments;
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
        fs::write(path(name), wanted).unwrap();
    }
    let found = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == wanted, "{name} is not up to date: UPDATE=1 cargo test --test manual");
}

fn keys_of(binding: &Binding) -> String {
    let keys = binding.keys.iter().map(|key| key.to_string().replace('|', "\\|"));
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" ")
}

/// The rows of a section; neighbours with the same help are one.
fn rows(section: Section) -> Vec<(String, String, &'static str)> {
    let mut rows: Vec<(String, String, &'static str)> = Vec::new();
    for binding in BINDINGS.iter().filter(|binding| binding.section == section) {
        let (keys, name) = (keys_of(binding), format!("`{}`", binding.name));
        match rows.last_mut() {
            Some((before, names, help)) if *help == binding.help => {
                if !before.split(' ').any(|key| key == keys) {
                    let _ = write!(before, " {keys}");
                }
                let _ = write!(names, " {name}");
            }
            _ => rows.push((keys, name, binding.help)),
        }
    }
    rows
}

fn table_of_keys() -> String {
    let mut table = String::from("| keys | what they do | names |\n| --- | --- | --- |\n");
    for &section in Section::ALL {
        let _ = writeln!(table, "| **{}** | | |", section.heading());
        for (keys, names, help) in rows(section) {
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
fn the_readme_has_the_keys_and_settings_that_work() {
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let readme = with_table(&readme, BEGIN, END, &table_of_keys());
    let readme = with_table(&readme, BEGIN_SETTINGS, END_SETTINGS, &table_of_settings());
    is_up_to_date("README.md", &readme);
}

#[test]
fn the_manual_page_has_the_options_keys_and_commands_that_work() {
    let command = Cli::grammar();
    let subcommands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let man = Man::new(command).date("2026-11-25").manual("mailconsole");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    let mut more = Roff::new();
    describe_subcommands(&mut more, &subcommands);
    describe_files(&mut more);
    describe_keys(&mut more);
    describe_commands(&mut more);
    more.to_writer(&mut page).unwrap();
    is_up_to_date("assets/mailconsole.1", &String::from_utf8(page).unwrap());
}

fn describe_subcommands(page: &mut Roff, subcommands: &[clap::Command]) {
    page.control("SH", ["SUBCOMMANDS"]);
    for subcommand in subcommands {
        page.control("TP", []);
        page.text([bold(subcommand.get_name())]);
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        page.text([roman(format!("{about}; see mailconsole help {}.", subcommand.get_name()))]);
    }
}

fn describe_files(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT AND FILES"]);
    page.text([roman(
        "Every option except -v and -a can also be set in the environment \
         (MAILCONSOLE_SMTP_PORT=2525), and every option except -a and --config in the config file \
         (smtp-port = 2525). The command line overrides the environment, and the environment \
         overrides the file. The config file can also change the keys of the console.",
    )]);
}

fn describe_keys(page: &mut Roff) {
    page.control("SH", ["KEYS"]);
    page.text([roman(
        "The names in parentheses are those of [keys] in the config file, and the console takes \
         them as commands.",
    )]);
    for &section in Section::ALL {
        page.control("SS", [section.heading()]);
        for (keys, names, help) in rows(section) {
            page.control("TP", []);
            page.text([bold(keys.replace('`', ""))]);
            page.text([roman(format!("{help} ({})", names.replace('`', "").replace(' ', ", ")))]);
        }
    }
}

fn describe_commands(page: &mut Roff) {
    page.control("SH", ["COMMANDS"]);
    page.text([roman(": takes any of the names above, or one of these commands.")]);
    for verb in with_arguments() {
        page.control("TP", []);
        page.text([bold(verb.name), roman(format!(" {}", verb.argument()))]);
        page.text([roman(verb.help)]);
    }
    page.control("PP", []);
    page.text([roman("The settings of set:")]);
    for setting in SettingName::ALL {
        page.control("TP", []);
        page.text([bold(setting.name())]);
        page.text([roman(setting.expected())]);
    }
}
