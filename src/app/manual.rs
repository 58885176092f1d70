//! What is made of the command line's own grammar: the pages of the manual, and completions for
//! shells.

use std::fmt::Write as _;
use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::app::cli::Cli;
use crate::app::config_error::ConfigError;
use crate::console::keys::{BINDINGS, Binding, Section};
use crate::console::setting::row::Row;
use crate::console::setting::table::ROWS;
use crate::console::state::command::with_arguments;
use crate::servers::settings::SettingName;
use crate::wire::nearest::nearest;

/// The day of the pages' last change of substance, as `man` shows it.
const DATE: &str = "2026-11-30";

const SOURCE: &str = concat!("mailconsole ", env!("CARGO_PKG_VERSION"));

/// The completions of a shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::grammar_of_what_is_read(), "mailconsole", &mut script);
    script
}

/// The page of the command that these words name, or without words of the whole program, as roff.
///
/// # Errors
///
/// If there is no such command: then the sentence has the nearest one.
pub fn page(words: &[String]) -> Result<Vec<u8>, ConfigError> {
    let mut grammar = Cli::grammar_of_what_is_read();
    grammar.build();
    let mut command = &grammar;
    for word in words {
        let found = command.find_subcommand(word);
        command = found.ok_or_else(|| no_such_command(command, words, word))?;
    }
    let page = if words.is_empty() { of_program(command) } else { of_command(command) };
    page.map_err(|error| ConfigError::Page(format!("the page cannot be made: {error}")))
}

fn no_such_command(parent: &Command, words: &[String], word: &str) -> ConfigError {
    let near = nearest(word, parent.get_subcommands().map(Command::get_name));
    let near = near.map_or_else(
        || ": mailconsole --help lists them".to_owned(),
        |near| format!(": did you mean {near}?"),
    );
    ConfigError::Page(format!("there is no command {}{near}", words.join(" ")))
}

fn of_program(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = beginning(command)?;
    let mut more = Roff::new();
    describe_subcommands(&mut more, command);
    section(&mut more, "EXIT STATUS", EXIT_STATUS);
    describe_environment(&mut more, ROWS.iter().collect());
    describe_files(&mut more, Files::All);
    describe_keys(&mut more);
    describe_commands(&mut more);
    describe_examples(&mut more, command);
    more.to_writer(&mut page)?;
    Ok(page)
}

fn of_command(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = beginning(command)?;
    let mut more = Roff::new();
    if real_subcommands(command).next().is_some() {
        describe_subcommands(&mut more, command);
    }
    let notes = notes(command);
    let (status, notes): (Vec<String>, Vec<String>) =
        notes.into_iter().partition(|note| note.to_lowercase().contains("exit status"));
    if !notes.is_empty() {
        section(&mut more, "NOTES", &notes.join("\n"));
    }
    let status = if status.is_empty() { EXIT_STATUS } else { &status.join("\n") };
    section(&mut more, "EXIT STATUS", status);
    let has = |row: &&Row| command.get_arguments().any(|own| own.get_id() == row.name);
    let rows: Vec<&Row> = ROWS.iter().filter(has).collect();
    let has_directory = rows.iter().any(|row| row.name == "dir");
    describe_environment(&mut more, rows);
    describe_files(&mut more, if has_directory { Files::OfMail } else { Files::Config });
    describe_examples(&mut more, command);
    more.to_writer(&mut page)?;
    Ok(page)
}

/// The sections that every page begins with.
fn beginning(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).date(DATE).source(SOURCE).manual("mailconsole");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    Ok(page)
}

fn section(page: &mut Roff, heading: &str, text: &str) {
    page.control("SH", [heading]);
    for paragraph in text.lines() {
        page.control("PP", []);
        page.text([roman(paragraph)]);
    }
}

fn real_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help")
}

fn describe_subcommands(page: &mut Roff, command: &Command) {
    page.control("SH", ["SUBCOMMANDS"]);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let of = name.strip_prefix("mailconsole").unwrap_or_default();
    for subcommand in real_subcommands(command) {
        let name = subcommand.get_name();
        page.control("TP", []);
        page.text([bold(name)]);
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        page.text([roman(format!("{about}; see mailconsole help{of} {name}."))]);
    }
}

const EXIT_STATUS: &str = "\
0: done. 1: it could not be done, or the answer is no. 2: the command line, the environment or the \
config file is wrong. 3: there is no server, or no such directory.";

fn describe_environment(page: &mut Roff, rows: Vec<&Row>) {
    let rows: Vec<&Row> = rows.into_iter().filter(|row| row.places.has_environment()).collect();
    section(
        page,
        "ENVIRONMENT",
        "The command line overrides the environment, and the environment overrides the config file. \
         Values are those of the options; switches are 1, 0, true, false, yes or no.",
    );
    for row in rows {
        page.control("TP", []);
        page.text([bold(row.variable())]);
        page.text([roman(format!("as --{}", row.name))]);
    }
    for (name, meaning) in [
        ("XDG_CONFIG_HOME, HOME", "where the config file is"),
        ("RUST_LOG", "what the program's own log has, unless --log-level says it"),
        ("NO_COLOR", "the console has no colours unless --theme names some"),
        ("LC_ALL, LC_CTYPE, LANG, TERM", "whether the console draws in UTF-8 or in ASCII"),
        ("NOTIFY_SOCKET", "whom servers tell that they are ready, and that they stop"),
    ] {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(meaning)]);
    }
}

/// Which files a page describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Files {
    Config,
    OfMail,
    All,
}

fn describe_files(page: &mut Roff, files: Files) {
    page.control("SH", ["FILES"]);
    for (of, path, meaning) in [
        (
            Files::Config,
            "$XDG_CONFIG_HOME/mailconsole/config.toml",
            "Every option except -a and --config (smtp-port = 2525), users with their passwords and \
             the keys of the console; mailconsole config --sample writes one.",
        ),
        (Files::OfMail, "DIR/USER.mbox", "The mailbox of USER."),
        (Files::OfMail, "DIR/.mqueue", "The queue of mail for other domains."),
        (
            Files::OfMail,
            "DIR/.mailconsole/",
            "The journal of deliveries; empty when no server runs.",
        ),
        (
            Files::All,
            "$XDG_DATA_HOME/mailconsole/ca/",
            "The certificate authority; see mailconsole help ca.",
        ),
    ] {
        if of <= files {
            page.control("TP", []);
            page.text([bold(path)]);
            page.text([roman(meaning)]);
        }
    }
}

/// What is behind the options in the help, up to the examples.
fn notes(command: &Command) -> Vec<String> {
    let help = after_help(command);
    let notes = help.split("Examples:\n").next().unwrap_or_default();
    notes
        .split("\n\n")
        .map(|note| note.trim().replace('\n', " "))
        .filter(|n| !n.is_empty())
        .collect()
}

fn after_help(command: &Command) -> String {
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    help.map(ToString::to_string).unwrap_or_default()
}

fn describe_examples(page: &mut Roff, command: &Command) {
    let help = after_help(command);
    let Some((_, examples)) = help.split_once("Examples:\n") else { return };
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for line in examples.lines() {
        page.text([roman(line.trim())]);
    }
    page.control("fi", []);
}

fn describe_keys(page: &mut Roff) {
    page.control("SH", ["KEYS"]);
    page.text([roman(
        "The names in parentheses are those of [keys] in the config file, and the console takes \
         them as commands.",
    )]);
    for &section in Section::ALL {
        page.control("SS", [section.heading()]);
        for (keys, names, help) in rows_of_keys(section) {
            page.control("TP", []);
            page.text([bold(keys.replace('`', ""))]);
            page.text([roman(format!("{help} ({})", names.replace('`', "").replace(' ', ", ")))]);
        }
    }
}

/// The keys of a section, their names and what they do, each key and name between backticks;
/// neighbours with the same help are one row.
#[must_use]
pub fn rows_of_keys(section: Section) -> Vec<(String, String, &'static str)> {
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

fn keys_of(binding: &Binding) -> String {
    let keys = binding.keys.iter().map(|key| key.to_string().replace('|', "\\|"));
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" ")
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
