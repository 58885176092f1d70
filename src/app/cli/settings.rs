//! clap's options, made from the table of settings, and what is set by them and by the environment.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::console::setting::table::{Given, Group, ROWS, Row, SubCommand, divided};
use crate::console::setting::value::Shape;

/// Gives all settings to a command as options, and to each of its sub-commands. The help of a
/// sub-command shows only those that it reads.
pub(super) fn with_settings(command: Command) -> Command {
    let of_all = |row: &'static Row| option(row).hide_short_help(row.group == Group::Relay);
    command.args(ROWS.iter().map(of_all)).mut_subcommands(|command| {
        let its: Option<SubCommand> = command.get_name().parse().ok();
        let own: Vec<_> = command.get_arguments().map(|own| own.get_id().clone()).collect();
        let missing = ROWS.iter().filter(|row| own.iter().all(|id| id != row.name));
        let options = missing.map(|row| {
            let is_read = its.is_some_and(|its| row.commands.contains(&its));
            option(row).hide(!is_read)
        });
        command.args(options.collect::<Vec<_>>())
    })
}

fn option(row: &'static Row) -> Arg {
    let help = row.help_with_default();
    let mut option = Arg::new(row.name).long(row.name).global(true);
    if !row.more.is_empty() {
        option = option.long_help(format!("{help}.\n\n{}", row.more));
    }
    if let Some(letter) = row.short {
        option = option.short(letter);
    }
    if row.group != Group::General {
        option = option.help_heading(<&str>::from(row.group));
    }
    let option = option.help(help).action(match row.shape {
        Shape::Switch => ArgAction::SetTrue,
        Shape::Times => ArgAction::Count,
        Shape::One => ArgAction::Set,
        Shape::Many => ArgAction::Append,
    });
    match row.shape {
        Shape::Switch | Shape::Times => option,
        Shape::One => option.value_name(row.value).value_parser(parser(row)),
        Shape::Many => option.value_name(row.value).value_delimiter(',').value_parser(parser(row)),
    }
}

fn parser(row: &'static Row) -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|text| {
        let checked = (row.check)(std::slice::from_ref(&text));
        checked.map(|()| text)
    })
}

/// What the command line sets.
pub(super) fn given(matches: &ArgMatches) -> Given {
    let mut given = Given::default();
    for row in ROWS {
        let texts: Vec<OsString> = match row.shape {
            Shape::Switch if matches.get_flag(row.name) => vec!["yes".into()],
            Shape::Switch => continue,
            Shape::Times => match matches.get_count(row.name) {
                0 => continue,
                times => vec![times.to_string().into()],
            },
            Shape::One | Shape::Many => match matches.get_many::<OsString>(row.name) {
                Some(texts) => texts.cloned().collect(),
                None => continue,
            },
        };
        given.set(row, texts);
    }
    given
}

/// What the environment sets, or which variable is wrong.
pub(super) fn environment() -> Result<Given, String> {
    let mut given = Given::default();
    for row in ROWS.iter().filter(|row| row.places.has_environment()) {
        let variable = row.variable();
        if let Some(text) = env::var_os(&variable) {
            let texts = divided(row, &text);
            (row.check)(&texts).map_err(|why| wrong_variable(&variable, &text, &why))?;
            given.set(row, texts);
        }
    }
    Ok(given)
}

fn wrong_variable(variable: &str, text: &OsStr, why: &str) -> String {
    format!("invalid value '{}' in {variable}: {why}", text.display())
}
