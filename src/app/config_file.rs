//! The config file: settings, by the table of settings, users with passwords of their own, and the
//! keys of the console.

use std::env;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::config_error::ConfigError;
use crate::console::keys::{BINDINGS, Chosen, Key, NoKey, named};
use crate::console::setting::given::{Given, Origin};
use crate::console::setting::row::Row;
use crate::console::setting::table::{ROWS, row};
use crate::console::setting::value::{NewUser, Shape, Written};
use crate::wire::nearest::nearest;

/// What the config file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it is; `None` if there is none.
    pub path: Option<PathBuf>,
    /// The settings in it.
    pub given: Given,
    /// The table `[users]`.
    pub users: Vec<NewUser>,
    /// The table `[keys]`.
    pub keys: Chosen,
    /// Values that are lines of their own, to be checked one by one.
    lines: Vec<LineValue>,
}

/// A value that is a line, and where it stands.
#[derive(Debug, PartialEq, Eq)]
struct LineValue {
    /// Of which setting.
    name: &'static str,
    text: OsString,
    /// In which line of the file it begins.
    line: NonZeroUsize,
}

/// What is wrong, and where.
type Wrong = (Range<usize>, String);

impl ConfigFile {
    /// Reads the file that was named, or the usual one. Only one that was named must exist.
    pub fn read(named: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = named.map(Path::to_owned).or_else(usual_path) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => match Self::parse(&text) {
                Ok(file) => {
                    file.check_lines(&path)?;
                    Ok(Self { path: Some(path), ..file })
                }
                Err(why) => Err(ConfigError::FileNotUnderstood(path, why)),
            },
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(ConfigError::FileUnreadable(path, error)),
        }
    }

    /// The error is one line: which line of the file, which option, and what is wrong with it. The
    /// value, which may be a password, is not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |(at, why): Wrong| format!("line {}: {why}", line(text, &at));
        let table = DeTable::parse(text).map_err(|error| {
            wrong((error.span().unwrap_or_default(), error.message().replace('\n', ", ")))
        })?;
        let mut file = Self::default();
        for (key, value) in table.get_ref() {
            let at = Place { name: key.get_ref(), span: key.span(), line: line(text, &key.span()) };
            file.take(&at, value).map_err(wrong)?;
            file.note_lines(&at, value, text);
        }
        Ok(file)
    }

    /// Notes values that are lines, so that an error can tell where each stands.
    fn note_lines(&mut self, at: &Place<'_>, value: &Spanned<DeValue<'_>>, file: &str) {
        let Some(row) = row(at.name).filter(|row| row.shape == Shape::Lines) else { return };
        let values = value.get_ref().as_array().into_iter().flatten();
        self.lines.extend(values.filter_map(|value| {
            let text = text(row.written, value.get_ref())?;
            Some(LineValue { name: row.name, text, line: line(file, &value.span()) })
        }));
    }

    /// The error has several lines, the first of which begins with the place.
    fn check_lines(&self, file: &Path) -> Result<(), ConfigError> {
        for LineValue { name, text, line } in &self.lines {
            let Some(row) = row(name) else { continue };
            (row.check)(std::slice::from_ref(text)).map_err(|why| ConfigError::Line {
                place: format!("{}:{line}", file.display()),
                why,
            })?;
        }
        Ok(())
    }

    fn take(&mut self, at: &Place<'_>, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        let name = at.name;
        if name == "keys" {
            self.keys = keys(value)?;
            return Ok(());
        }
        if name == "users" {
            self.users = users(value)?;
            return Ok(());
        }
        let found = row(name).filter(|row| row.places.has_file());
        let row = found.ok_or_else(|| (at.span.clone(), unknown(name)))?;
        let wrong = |why: String| (value.span(), why);
        let texts =
            texts(row, value.get_ref()).ok_or_else(|| wrong(not_of_its_type(row, value)))?;
        if row.shape != Shape::Lines {
            (row.check)(&texts).map_err(|why| wrong(not_taken(row, value.get_ref(), &why)))?;
        }
        self.given.set(row, texts, Origin::Line(at.line));
        Ok(())
    }
}

/// A key of the file, and where it stands.
struct Place<'a> {
    name: &'a str,
    span: Range<usize>,
    line: NonZeroUsize,
}

/// The line in which something begins, counted from 1.
fn line(text: &str, at: &Range<usize>) -> NonZeroUsize {
    let before = text.get(..at.start).unwrap_or_default();
    NonZeroUsize::MIN.saturating_add(before.matches('\n').count())
}

/// The sentence for a value whose TOML type is not that of the setting.
fn not_of_its_type(row: &Row, value: &Spanned<DeValue<'_>>) -> String {
    let value = value.get_ref();
    let of_list = value.as_array().and_then(|values| {
        values.iter().map(Spanned::get_ref).find(|value| text(row.written, value).is_none())
    });
    let kind = match of_list.filter(|_| matches!(row.shape, Shape::Many | Shape::Lines)) {
        Some(value) => format!("a list with {}", kind(value)),
        None => kind(value).to_owned(),
    };
    format!("{} wants {}, not {kind}", row.name, expected(row))
}

/// The sentence for a value that was refused with the words of its type. It is not repeated where
/// it may be a password.
fn not_taken(row: &Row, value: &DeValue<'_>, why: &str) -> String {
    let name = row.name;
    if why != format!("write {}", row.expected) {
        return format!("{name}: {why}");
    }
    match value {
        DeValue::Integer(number) if !row.holds_password => {
            format!("{name} wants {}, not {number}", row.expected)
        }
        DeValue::String(text) if !row.holds_password => {
            format!("{name} wants {}, not {:?}", row.expected, text.as_ref())
        }
        _ => format!("{name} wants {}", row.expected),
    }
}

/// A TOML type in a user's words.
const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What the user must write where the value has another TOML type.
fn expected(row: &Row) -> String {
    match (row.shape, row.written) {
        (Shape::Switch, _) => "true or false".to_owned(),
        (Shape::Lines, _) => format!("a list of lines in quotes, each {}", row.expected),
        (Shape::Many, _) => format!("a list such as [\"A\", \"B\"], each {}", row.expected),
        (Shape::One | Shape::Times, Written::Text) => format!("{}, in quotes", row.expected),
        (Shape::One | Shape::Times, Written::Number | Written::Both) => row.expected.to_owned(),
    }
}

fn unknown(name: &str) -> String {
    let known = ROWS.iter().filter(|row| row.places.has_file()).map(|row| row.name);
    match nearest(&name.replace('_', "-").to_lowercase(), known.chain(["users", "keys"])) {
        Some(near) => format!("there is no setting {name}: did you mean {near}?"),
        None => format!("there is no setting {name}: mailconsole config --sample lists them"),
    }
}

fn usual_path() -> Option<PathBuf> {
    let set = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    let home = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(home.join("mailconsole").join("config.toml"))
}

/// The values as an option would have them, if they are of the TOML type that the setting has.
fn texts(row: &Row, value: &DeValue<'_>) -> Option<Vec<OsString>> {
    match (row.shape, value) {
        (Shape::Switch, DeValue::Boolean(is_on)) => {
            Some(vec![if *is_on { "yes".into() } else { "no".into() }])
        }
        (Shape::One | Shape::Times, value) => Some(vec![text(row.written, value)?]),
        (Shape::Many | Shape::Lines, DeValue::Array(values)) => {
            values.iter().map(|value| text(row.written, value.get_ref())).collect()
        }
        (Shape::Switch | Shape::Many | Shape::Lines, _) => None,
    }
}

fn text(written: Written, value: &DeValue<'_>) -> Option<OsString> {
    match (written, value) {
        (Written::Number | Written::Both, DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string().into())
        }
        (Written::Text | Written::Both, DeValue::String(text)) => Some(text.as_ref().into()),
        _ => None,
    }
}

/// The table `[users]`: `ada = "secret"`.
fn users(value: &Spanned<DeValue<'_>>) -> Result<Vec<NewUser>, Wrong> {
    let Some(table) = value.get_ref().as_table() else {
        return Err((value.span(), "users: write a table, [users]".to_owned()));
    };
    let users = table.iter().map(|(name, value)| {
        let name = name.get_ref();
        let user = match value.get_ref().as_str() {
            Some(password) => NewUser::with_password(name, password),
            // Without quotes `ada.b = "secret"` is a table ada.
            None => Err("write the password in quotes, and the name too if a dot is in it".into()),
        };
        user.map_err(|why| (value.span(), format!("{name}: {why}")))
    });
    users.collect()
}

/// The table `[keys]`: `quit = "q"`, or `quit = ["q", "F10"]`, or `quit = []` for none.
fn keys(value: &Spanned<DeValue<'_>>) -> Result<Chosen, Wrong> {
    let Some(table) = value.get_ref().as_table() else {
        return Err((value.span(), "keys: write a table, [keys]".to_owned()));
    };
    let chosen = table.iter().map(|(name, value)| {
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(|value| key(value.get_ref())).collect(),
            one => key(one).map(|key| vec![key]),
        };
        let binding =
            named(name.get_ref()).ok_or_else(|| (name.span(), unknown_key(name.get_ref())))?;
        match values {
            Ok(keys) => Ok((binding.name, keys)),
            Err(why) => Err((value.span(), format!("{}: {why}", binding.name))),
        }
    });
    chosen.collect()
}

fn unknown_key(name: &str) -> String {
    match nearest(name, BINDINGS.iter().map(|binding| binding.name)) {
        Some(near) => format!("nothing that a key can do is called {name}: did you mean {near}?"),
        None => format!(
            "nothing that a key can do is called {name}: the manual page and `?` have the names"
        ),
    }
}

fn key(value: &DeValue<'_>) -> Result<Key, String> {
    match value.as_str() {
        Some(word) => word.parse().map_err(|error: NoKey| error.to_string()),
        None => Err(format!(
            "{} is no key: write a key such as \"q\", or several: [\"q\", \"F10\"]",
            kind(value)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::keymap;
    use crate::console::action::{Action, Context, Pane};
    use crate::console::setting::table::Options;
    use crate::console::state::appearance::Palette;

    #[test]
    fn an_error_in_the_file_names_the_line_and_the_option() {
        for (text, error) in [
            (
                "ehlo = true\ntimeout = 0",
                "line 2: timeout wants a number of seconds, 1 or more, not 0",
            ),
            (
                "[keys]\nqiut = 'x'",
                "line 2: nothing that a key can do is called qiut: did you mean quit?",
            ),
            ("SMTP_PORT = 1", "line 1: there is no setting SMTP_PORT: did you mean smtp-port?"),
            ("timeout = 'x'", "line 1: timeout wants a number of seconds, 1 or more, not text"),
            (
                "relay-every = -5",
                "line 1: relay-every wants a number of seconds, 1 or more, not -5",
            ),
            ("relay-port = 65536", "line 1: relay-port wants a number from 1 to 65535, not 65536"),
            (
                "connections-per-domain = 1.5",
                "line 1: connections-per-domain wants a number, 1 or more, not a number with a \
                 point",
            ),
            (
                "bind = [1]",
                "line 1: bind wants a list such as [\"A\", \"B\"], each an IP address \
              such as 127.0.0.1 or ::1, not a list with a number",
            ),
            (
                "profile = 'esmpt'",
                "line 1: profile wants rfc821, esmtp, catch, submission or \
              everything, not \"esmpt\"",
            ),
            (
                "password = ''",
                "line 1: password wants one line of 1 to 4,091 octets, so that it \
              fits into a PASS command",
            ),
        ] {
            assert_eq!(ConfigFile::parse(text).map(|_| ()), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn users_have_passwords_of_their_own_in_the_config_file() {
        let text = "user = [\"bob:b:c\"]\n[users]\nada = \"a, b\"\n\"eve.x\" = \"secret\"\n";
        let file = ConfigFile::parse(text).unwrap();
        let user = |name: &str, password: &str| NewUser::with_password(name, password).unwrap();
        assert_eq!(file.users, [user("ada", "a, b"), user("eve.x", "secret")]);
        assert_eq!(Options::read(&file.given).unwrap().user, [user("bob", "b:c")]);
    }

    #[test]
    fn a_wrong_user_is_named_with_the_line_and_without_the_password() {
        let long = "secret".repeat(1_000);
        for (text, error) in [
            ("users = \"secret\"", "line 1: users: write a table, [users]"),
            ("[users]\nada = \"\"", "line 2: ada: the password is empty: "),
            ("[users]\n\nada = 505", "line 3: ada: write the password in quotes"),
            ("[users]\nada.b = \"secret\"", "line 2: ada: write the password in quotes"),
            (&format!("[users]\nada = \"{long}\""), "line 2: ada: write a password of one line"),
            (&format!("user = [\"ada:{long}\"]"), "line 1: user: write a password of one line"),
            ("user = [\"a:secret\", \"ada:\"]", "line 1: user: the password is empty: "),
        ] {
            let message = ConfigFile::parse(text).unwrap_err();
            assert!(message.starts_with(error) && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn keys_are_chosen_in_the_config_file() {
        let text = "[keys]\nquit = \"Q\"\nzoom = [\"F5\", \"Ctrl-R\"]\nwrap = []\n";
        let keymap = keymap(&ConfigFile::parse(text).unwrap().keys).unwrap();
        let log = Context::Pane(Pane::Log);
        let action = |key: &str| keymap.action(log, key.parse().unwrap());
        assert_eq!(action("Q"), Some(Action::Quit));
        assert_eq!(action("^R"), Some(Action::Zoom));
        assert_eq!((action("q"), action("w")), (None, None));
    }

    #[test]
    fn keys_that_cannot_be_are_explained() {
        let message = ConfigFile::parse("[keys]\nquit = \"Hyper\"\n").unwrap_err();
        assert!(message.starts_with("line 2: quit: \"Hyper\" is no key"), "{message}");
        for keys in ["5", "true", "[1]", "{ a = 1 }", "[[\"q\"]]"] {
            let message = ConfigFile::parse(&format!("[keys]\nquit = {keys}\n")).unwrap_err();
            assert!(
                message.starts_with("line 2: ") && message.contains("is no key: write"),
                "{message}"
            );
        }
        let message = ConfigFile::parse("[keys]\nfly = \"Q\"\n").unwrap_err();
        assert!(
            message.starts_with("line 2: nothing that a key can do is called fly"),
            "{message}"
        );
        let keys = ConfigFile::parse("[keys]\nquit = \"Q\"\nzoom = \"Q\"\n").unwrap().keys;
        let message = keymap(&keys).unwrap_err().to_string();
        assert!(message.contains("[keys]") && message.contains("given to both"), "{message}");
    }

    #[test]
    fn a_size_that_is_none_is_explained() {
        for size in ["true", "1.5", "-1", "\"1T\"", "[1]"] {
            let message = ConfigFile::parse(&format!("max-message = {size}\n")).unwrap_err();
            assert!(
                message.starts_with("line 1: max-message wants a number of octets"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_value_of_another_type_is_answered_with_how_to_write_it() {
        for (text, error) in [
            ("ehlo = \"yes\"", "line 1: ehlo wants true or false, not text"),
            (
                "smarthost-user = 5",
                "line 1: smarthost-user wants UTF-8 text, in quotes, not a number",
            ),
            (
                "theme = true",
                "line 1: theme wants dark, light, high-contrast or none, in quotes, not true or \
                 false",
            ),
            (
                "user = \"ada\"",
                "line 1: user wants a list such as [\"A\", \"B\"], each NAME or NAME:PASSWORD, not \
                 text",
            ),
            ("smtp-port = \"25\"", "line 1: smtp-port wants a number from 0 to 65535, not text"),
        ] {
            assert_eq!(ConfigFile::parse(text).map(|_| ()), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_theme_has_one_of_four_names() {
        let theme = |text: &str| {
            ConfigFile::parse(text).map(|file| Options::read(&file.given).unwrap().theme)
        };
        assert_eq!(theme("theme = \"light\""), Ok(Some(Palette::Light)));
        assert!(theme("theme = \"pink\"").unwrap_err().contains("there are dark, light"));
    }

    #[test]
    fn a_config_file_is_understood_or_the_line_is_named() {
        let message = ConfigFile::parse("dir = \"d\"\nbogus = 1\n").unwrap_err();
        assert!(message.starts_with("line 2: there is no setting bogus: "), "{message}");
        let message = ConfigFile::parse("smtp_port = 1\n").unwrap_err();
        assert_eq!(message, "line 1: there is no setting smtp_port: did you mean smtp-port?");
        assert!(!message.contains('\n'));
        let missing = ConfigFile::read(Some(Path::new("/nonexistent")));
        assert!(matches!(missing, Err(ConfigError::FileUnreadable(..))));
    }
}
