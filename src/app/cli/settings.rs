//! clap's options, made from the table of settings, and what is set by them and by the environment.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};

use crate::console::setting::given::{Given, Origin, divided};
use crate::console::setting::row::{DefaultValue, Group, Row, SubCommand};
use crate::console::setting::table::ROWS;
use crate::console::setting::value::Shape;
use crate::wire::display::DisplayText;
use crate::wire::nearest::nearest;

/// Which commands have which settings as options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All have all, since options may stand anywhere; a sub-command's help shows those that it
    /// reads.
    Taken,
    /// Each has those that it reads: for completions and the manual.
    Read,
}

/// Gives the settings to a command as options, and to each of its sub-commands. `-h` shows only the
/// common ones.
pub(super) fn with_settings(command: Command, extent: Extent) -> Command {
    let is_global = extent == Extent::Taken;
    command.args(ROWS.iter().map(|row| option(row).global(is_global))).mut_subcommands(|command| {
        let its: Option<SubCommand> = command.get_name().parse().ok();
        let own: Vec<_> = command.get_arguments().map(|own| own.get_id().clone()).collect();
        let missing = ROWS.iter().filter(|row| own.iter().all(|id| id != row.name));
        let options = missing.filter_map(|row| {
            let is_read = its.is_some_and(|its| row.is_read_by(its));
            let is_had = is_read || extent == Extent::Taken;
            let option = || option(row).global(is_global).hide(!is_read);
            let is_of_exec = its == Some(SubCommand::Exec);
            is_had.then(|| if is_of_exec { of_exec(option(), row) } else { option() })
        });
        command.args(options.collect::<Vec<_>>())
    })
}

/// An option of `exec`, whose short help shows only what most commands need, and whose ports are
/// free ones.
fn of_exec(option: Arg, row: &Row) -> Arg {
    const SHOWN: [&str; 6] = ["user", "smtp-port", "pop3-port", "profile", "verbose", "config"];
    let option = option.hide_short_help(!SHOWN.contains(&row.name));
    match row.help.split_once("; 0 lets the system choose") {
        Some((help, _)) if row.default != DefaultValue::Says("not listened on") => {
            option.help(format!("{} [default: a free one]", help.trim_start()))
        }
        _ => option,
    }
}

fn option(row: &'static Row) -> Arg {
    let help = row.help_with_default();
    let mut option = Arg::new(row.name).long(row.name).hide_short_help(row.brief.is_empty());
    if !row.more.is_empty() {
        option = option.long_help(format!("{help}.\n\n{}", row.more));
    } else if !row.brief.is_empty() {
        option = option.long_help(help.clone());
    }
    if let Some(letter) = row.short {
        option = option.short(letter);
    }
    if row.group != Group::General {
        option = option.help_heading(<&str>::from(row.group));
    }
    let brief = if row.brief.is_empty() { help } else { row.brief.to_owned() };
    let option = option.help(brief).action(match row.shape {
        Shape::Switch => ArgAction::SetTrue,
        Shape::Times => ArgAction::Count,
        Shape::One => ArgAction::Set,
        Shape::Many | Shape::Lines => ArgAction::Append,
    });
    match row.shape {
        Shape::Switch | Shape::Times => option,
        Shape::One => option
            .value_name(row.value)
            .allow_hyphen_values(row.may_begin_with_hyphen)
            // The help has them in its sentence.
            .hide_possible_values(true)
            .value_parser(parser(row)),
        Shape::Many => option.value_name(row.value).value_delimiter(',').value_parser(parser(row)),
        // Checked by `check_lines`: clap's report would make one line of an error that has several.
        Shape::Lines => option.value_name(row.value).value_parser(clap::value_parser!(OsString)),
    }
}

const fn parser(row: &'static Row) -> Parser {
    Parser(row)
}

/// Checks a value. The error repeats it, unless it may hold a password.
#[derive(Debug, Clone, Copy)]
struct Parser(&'static Row);

impl TypedValueParser for Parser {
    type Value = OsString;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OsString, Error> {
        let Self(row) = *self;
        let checked = |text: OsString| (row.check)(std::slice::from_ref(&text)).map(|()| text);
        if !row.holds_password {
            return OsStringValueParser::new().try_map(checked).parse_ref(command, option, value);
        }
        checked(value.to_owned()).map_err(|why| {
            let value = format!("invalid value for '--{} <{}>': {why}", row.name, row.value);
            Error::raw(ErrorKind::ValueValidation, value)
        })
    }

    /// What completions offer.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let choices = self.0.choices();
        let values = choices.into_iter().map(PossibleValue::new);
        (values.len() > 0).then(|| Box::new(values) as _)
    }
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
            Shape::One | Shape::Many | Shape::Lines => match matches.get_many::<OsString>(row.name)
            {
                Some(texts) => texts.cloned().collect(),
                None => continue,
            },
        };
        given.set(row, texts, Origin::Flag);
    }
    given
}

/// What is wrong with the values that are lines, if anything is: several lines, which name the option.
pub(super) fn check_lines(given: &Given) -> Result<(), String> {
    for row in ROWS.iter().filter(|row| row.shape == Shape::Lines) {
        let texts = given.of(row.name).map(|(texts, _)| texts).unwrap_or_default();
        (row.check)(texts).map_err(|why| format!("--{}: {why}", row.name))?;
    }
    Ok(())
}

/// What the names of our variables begin with.
const PREFIX: &str = "MAILCONSOLE_";

/// Variables that are no settings: what `exec` tells its command besides.
const OF_EXEC: [&str; 1] = ["MAILCONSOLE_CA"];

/// A sentence for each variable that looks like ours and is none.
pub(super) fn unknown_variables() -> Vec<String> {
    unknown(env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let with_variable = ROWS.iter().filter(|row| row.places.has_environment());
    let known: Vec<String> =
        with_variable.map(Row::variable).chain(OF_EXEC.map(String::from)).collect();
    let is_unknown = |name: &String| name.starts_with(PREFIX) && !known.contains(name);
    let mut names: Vec<String> = names.filter(is_unknown).collect();
    names.sort_unstable();
    let sentence = |name: String| {
        let shown = DisplayText::from(&*name);
        // What all begin with would make all similar.
        let own = |name: &str| name.trim_start_matches(PREFIX).to_owned();
        let known: Vec<String> = known.iter().map(|name| own(name)).collect();
        match nearest(&own(&name), known.iter().map(String::as_str)) {
            Some(near) => format!("there is no variable {shown}: did you mean {PREFIX}{near}?"),
            None => format!("there is no variable {shown}: mailconsole --help lists the options"),
        }
    };
    names.into_iter().map(sentence).collect()
}

/// What the environment sets, or which variable is wrong.
pub(super) fn environment() -> Result<Given, String> {
    variables(|name| env::var_os(name))
}

fn variables(value_of: impl Fn(&str) -> Option<OsString>) -> Result<Given, String> {
    let mut given = Given::default();
    for row in ROWS.iter().filter(|row| row.places.has_environment()) {
        let variable = row.variable();
        if let Some(text) = value_of(&variable) {
            let texts = divided(row, &text);
            (row.check)(&texts).map_err(|why| wrong_variable(row, &text, &why))?;
            given.set(row, texts, Origin::Variable);
        }
    }
    Ok(given)
}

fn wrong_variable(row: &Row, text: &OsStr, why: &str) -> String {
    let variable = row.variable();
    if row.shape == Shape::Lines {
        return format!("{variable}: {why}");
    }
    if row.holds_password {
        return format!("invalid value in {variable}: {why}");
    }
    format!("invalid value '{}' in {variable}: {why}", DisplayText::from(&*text.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config_file::ConfigFile;
    use crate::console::setting::table::row;
    use crate::console::setting::value::Values;

    /// Each setting by the name that users know, with a value and its default. Neither names nor
    /// defaults may change.
    const KNOWN: [(&str, &str, &str); 54] = [
        ("dir", "d", ""),
        ("user", "ada,bob", ""),
        ("password", "secret", "cis505"),
        ("domain", "example.org", "localhost"),
        ("no-sync", "yes", ""),
        ("echo-port", "1", "10000"),
        ("smtp-port", "2", "2500"),
        ("pop3-port", "3", "11000"),
        ("smtps-port", "4", ""),
        ("pop3s-port", "5", ""),
        ("tls-cert", "cert.pem", ""),
        ("tls-key", "key.pem", ""),
        ("bind", "127.0.0.2,::1", ""),
        ("relay-from", "192.0.2.0/24,::2", ""),
        ("smarthost", "mx.example:587", ""),
        ("smarthost-user", "u", ""),
        ("smarthost-password", "p", ""),
        ("smarthost-tls", "implicit", ""),
        ("route", "a.example=h,b.example=127.0.0.1:25", ""),
        ("resolver", "127.0.0.1:5353", ""),
        ("relay-port", "26", "25"),
        ("relay-to-loopback", "yes", ""),
        ("ehlo", "yes", ""),
        ("helo", "mail.example.org", ""),
        ("connections-per-domain", "7", "5"),
        ("timeout", "7", ""),
        ("bounce", "yes", ""),
        ("relay-every", "60", ""),
        ("profile", "esmtp", "rfc821"),
        ("extensions", "-CHUNKING,+HELP", ""),
        ("pop3-capabilities", "TOP,UIDL", ""),
        ("auth", "offered", ""),
        ("auth-any", "yes", ""),
        ("auth-mechanisms", "PLAIN,LOGIN", ""),
        ("auth-plaintext", "yes", ""),
        ("smtp-tls", "required", ""),
        ("pop3-tls", "none", ""),
        ("idle", "7", ""),
        ("max-connections", "8", "20000"),
        ("max-message", "1K", "64M"),
        ("ports-file", "ports.json", ""),
        ("exit-when-idle", "10m", ""),
        ("transcript", "t.log", ""),
        ("stamps", "yes", ""),
        ("log-file", "m.log", ""),
        ("log-level", "debug", ""),
        ("scrollback", "9", "50000"),
        ("theme", "light", ""),
        ("events", "events.json", ""),
        ("fault", "smtp.rcpt : 451 later, or never", ""),
        ("fault-addresses", "yes", ""),
        ("fault-seed", "42", ""),
        ("break", "smtp.rcpt to=bob@*", ""),
        ("break-timeout", "5m", ""),
    ];

    fn by_option(row: &Row, value: &str) -> Given {
        let option = format!("--{}", row.name);
        let has_value = row.shape != Shape::Switch;
        let arguments = ["mailconsole", &option].into_iter().chain(has_value.then_some(value));
        let command = with_settings(Command::new("mailconsole"), Extent::Taken);
        given(&command.try_get_matches_from(arguments).unwrap())
    }

    fn by_file(row: &'static Row, value: &str) -> Given {
        let number = value.parse::<i64>().is_ok();
        let value = match row.shape {
            Shape::Switch => "true".to_owned(),
            Shape::Lines => format!("[\"{value}\"]"),
            Shape::Many => format!("[\"{}\"]", value.replace(',', "\",\"")),
            _ if number => value.to_owned(),
            _ => format!("\"{value}\""),
        };
        ConfigFile::parse(&format!("{} = {value}\n", row.name)).unwrap().given
    }

    #[test]
    fn every_setting_is_an_option_a_variable_and_a_key_of_the_file() {
        for (name, value, default) in KNOWN {
            let row = row(name).unwrap();
            let variable = format!("MAILCONSOLE_{}", name.to_uppercase().replace('-', "_"));
            let in_environment = variables(|one| (one == variable).then(|| value.into())).unwrap();
            assert_ne!(in_environment, Given::default(), "{name}");
            assert_eq!(by_option(row, value), in_environment, "{name}");
            assert_eq!(by_file(row, value), in_environment, "{name}");
            match row.default {
                DefaultValue::Is(is) => assert_eq!(is, default, "{name}"),
                DefaultValue::Says(_) | DefaultValue::None => assert_eq!(default, "", "{name}"),
            }
        }
    }

    #[test]
    fn some_settings_are_not_for_every_place() {
        let names = |has: fn(&Row) -> bool| -> Vec<&str> {
            ROWS.iter().filter(|row| !has(row)).map(|row| row.name).collect()
        };
        assert_eq!(names(|row| row.places.has_environment()), ["verbose", "show-author"]);
        assert_eq!(names(|row| row.places.has_file()), ["show-author", "config"]);
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let command = with_settings(Command::new("mailconsole"), Extent::Taken);
        let wrong = format!("eve:{}", "secret".repeat(1_000));
        for value in [&*wrong, "ada:", &format!("ada:secret,{wrong}"), ":secret\n"] {
            let line = ["mailconsole", "--user", value];
            let error = command.clone().try_get_matches_from(line).unwrap_err();
            let report = error.render().to_string();
            let named = "error: invalid value for '--user <NAME[:PASSWORD]>': ";
            assert!(report.starts_with(named) && !report.contains("secret"), "{report}");
            let wrong = variables(|one| (one == "MAILCONSOLE_USER").then(|| value.into()));
            let sentence = wrong.unwrap_err();
            assert!(sentence.starts_with("invalid value in MAILCONSOLE_USER: "), "{sentence}");
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let wrong = variables(|one| (one == "MAILCONSOLE_IDLE").then(|| "soon".into()));
        assert!(wrong.unwrap_err().starts_with("invalid value 'soon' in MAILCONSOLE_IDLE: write "));
    }

    #[test]
    fn a_variable_that_is_none_of_ours_is_named_with_the_nearest() {
        let names = ["MAILCONSOLE_SMPT_PORT", "MAILCONSOLE_CA", "MAILCONSOLE_DIR", "HOME"];
        let sentences = unknown(names.into_iter().map(String::from));
        let sentence = "there is no variable MAILCONSOLE_SMPT_PORT: did you mean \
                        MAILCONSOLE_SMTP_PORT?";
        assert_eq!(sentences, [sentence]);
        let far = unknown(["MAILCONSOLE_Q\x1b".to_owned()].into_iter());
        assert!(far.len() == 1 && !far[0].contains('\x1b'), "{far:?}");
    }

    #[test]
    fn a_switch_in_the_environment_is_one_of_six_words() {
        let value = |text: &str| {
            let given = variables(|one| (one == "MAILCONSOLE_EHLO").then(|| text.into()))?;
            Ok::<_, String>(given.of("ehlo").map(|(texts, _)| bool::read_all(texts).unwrap()))
        };
        for (text, is_on) in
            [("1", true), ("TRUE", true), ("yes", true), ("0", false), ("no", false)]
        {
            assert_eq!(value(text), Ok(Some(is_on)), "{text}");
        }
        let why = value("maybe").unwrap_err();
        assert_eq!(
            why,
            "invalid value 'maybe' in MAILCONSOLE_EHLO: write yes or no, true or false, 1 or 0"
        );
    }
}
