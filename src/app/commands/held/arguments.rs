//! What `mailconsole held` is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::app::commands::fault::arguments::{id, known};
use crate::app::config::Setup;
use crate::app::config_error::ConfigError;
use crate::fault::typed::octets_of;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
#[command(after_help = EXAMPLES)]
pub struct HeldArguments {
    /// The directory of the mailboxes, and an order: list, release ID, kill ID, drop ID,
    /// edit ID TEXT or answer ID TEXT; all for an ID with the first three
    // A reply may begin with a hyphen: -ERR.
    #[arg(value_name = "DIR ORDER", allow_hyphen_values = true)]
    pub words: Vec<OsString>,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
}

const USAGE: &str = "\
mailconsole held DIR [list] [--json]
       mailconsole held DIR release|kill|drop ID
       mailconsole held DIR edit|answer ID TEXT";

const EXAMPLES: &str = "\
TEXT may have \\r \\n \\t \\0 \\\" \\\\ and \\xNN, and gets CRLF if it has no line end.

Exit status: 0 done, 1 nothing with that ID is held, 2 an order that cannot be read, 3 no server, or no \
such DIR.

Examples:
  mailconsole held mailtest
  mailconsole held mailtest edit 3 'RCPT TO:<eve@localhost>'
  mailconsole held mailtest answer 4 '-ERR [SYS/TEMP] later'
  mailconsole held mailtest release all";

/// The orders.
const ORDERS: [&str; 6] = ["list", "release", "kill", "drop", "edit", "answer"];

/// The task.
#[derive(Debug)]
pub struct HeldTask {
    /// The directory.
    pub directory: PathBuf,
    /// What its servers are asked for.
    pub order: Order,
}

/// What servers are asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// To list what they hold.
    List {
        /// Whether as JSON.
        json: bool,
    },
    /// To do something with what they hold.
    Decide {
        /// The order.
        verb: &'static str,
        /// Its number, or `all`.
        id: Value,
        /// With `edit` and `answer`: as it was typed.
        text: Option<String>,
    },
}

impl HeldArguments {
    /// The task.
    pub fn task(self, setup: &Setup) -> Result<HeldTask, ConfigError> {
        let Self { words, json } = self;
        let mut words = words.into_iter().peekable();
        let is_order = |word: &OsString| {
            word == JSON || word.to_str().is_some_and(|word| ORDERS.contains(&word))
        };
        let has_directory = setup.options.dir.is_some();
        // An order is one unless it is a directory's name.
        let named = words.next_if(|word| !(has_directory && is_order(word) && !is_directory(word)));
        let directory = setup.directory(named.map(PathBuf::from))?;
        let words: Result<Vec<String>, _> = words.map(OsString::into_string).collect();
        let words = words.map_err(|_| ConfigError::Setting(NOT_UTF8.to_owned()))?;
        let order = order(&words, json).map_err(ConfigError::Setting)?;
        Ok(HeldTask { directory, order })
    }
}

const NOT_UTF8: &str = "an order must be UTF-8: write other octets as \\xNN";

/// Behind the directory it is among the words, because they may begin with hyphens.
const JSON: &str = "--json";

fn is_directory(word: &OsString) -> bool {
    Path::new(word).is_dir()
}

fn order(words: &[String], json: bool) -> Result<Order, String> {
    let Some((verb, rest)) = words.split_first().filter(|(verb, _)| *verb != JSON) else {
        return list(words, json);
    };
    let verb = known(verb, &ORDERS)?;
    match (verb, rest) {
        ("list", rest) => list(rest, json),
        ("edit" | "answer", [id, text @ ..]) if !text.is_empty() => {
            let id = number(id)?;
            if id.is_string() {
                return Err(format!("{verb} is for one at a time: write its ID"));
            }
            let text = text.join(" ");
            octets_of(&text).map_err(|error| error.to_string())?;
            Ok(Order::Decide { verb, id, text: Some(text) })
        }
        ("edit" | "answer", _) => Err(format!("write {verb} ID TEXT")),
        (_, [id]) => Ok(Order::Decide { verb, id: number(id)?, text: None }),
        (_, []) => Err(format!("which of those that are held? Write {verb} ID, or {verb} all")),
        _ => Err(format!("there are words behind {verb:?} that have no meaning")),
    }
}

fn list(rest: &[String], json: bool) -> Result<Order, String> {
    match rest {
        [] => Ok(Order::List { json }),
        [word] if word == JSON => Ok(Order::List { json: true }),
        _ => Err("there are words behind \"list\" that have no meaning".to_owned()),
    }
}

fn number(word: &str) -> Result<Value, String> {
    id(word, "what is held")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        order(&words.map(str::to_owned).collect::<Vec<_>>(), false)
    }

    #[test]
    fn orders_are_understood() {
        assert_eq!(read(""), Ok(Order::List { json: false }));
        assert_eq!(read("--json"), Ok(Order::List { json: true }));
        assert_eq!(read("list --json"), Ok(Order::List { json: true }));
        let decide = |verb, id: Value, text: Option<&str>| {
            Ok(Order::Decide { verb, id, text: text.map(str::to_owned) })
        };
        assert_eq!(read("release 7"), decide("release", 7.into(), None));
        assert_eq!(read("drop all"), decide("drop", "all".into(), None));
        assert_eq!(read("answer 1 -ERR no"), decide("answer", 1.into(), Some("-ERR no")));
    }

    #[test]
    fn others_are_explained() {
        for (line, sentence) in [
            ("relese 1", "there is no order \"relese\": did you mean release?"),
            ("kill", "which of those that are held? Write kill ID, or kill all"),
            ("kill x", "\"x\" is no ID: write the number of what is held, or all"),
            ("kill 1 2", "there are words behind \"kill\" that have no meaning"),
            ("edit 1", "write edit ID TEXT"),
            ("edit all NOOP", "edit is for one at a time: write its ID"),
        ] {
            assert_eq!(read(line), Err(sentence.to_owned()), "{line}");
        }
        assert!(read(r"edit 1 \q").unwrap_err().starts_with("there is no such escape\n"));
    }
}
