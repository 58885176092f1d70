//! The README's table of keys and the manual page are made from the tables that the program itself
//! goes by; where they differ, this fails. `UPDATE=1 cargo test --test manual` makes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use mailconsole::app::cli::Cli;
use mailconsole::console::action::SettingName;
use mailconsole::console::keys::{BINDINGS, Binding, Section};
use mailconsole::console::state::command::with_arguments;

const BEGIN: &str = "<!-- keys: made by tests/manual.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

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

#[test]
fn the_readme_has_the_keys_that_work() {
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    is_up_to_date("README.md", &format!("{before}{BEGIN}{}{END}{after}", table_of_keys()));
}

#[test]
fn the_manual_page_has_the_options_keys_and_commands_that_work() {
    let command = Cli::command();
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
        page.text([roman(about)]);
    }
}

fn describe_keys(page: &mut Roff) {
    page.control("SH", ["KEYS"]);
    page.text([roman(
        "The names behind the keys are what [keys] in the config file and the command line of the \
         console call them.",
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
    page.text([roman("Behind : stands any of the names above, or one of")]);
    for verb in with_arguments() {
        page.control("TP", []);
        page.text([bold(verb.name), roman(format!(" {}", verb.argument()))]);
        page.text([roman(verb.help)]);
    }
    page.control("PP", []);
    page.text([roman("The settings of set are")]);
    for setting in SettingName::ALL {
        page.control("TP", []);
        page.text([bold(setting.name())]);
        page.text([roman(setting.expected())]);
    }
}
