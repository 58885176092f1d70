//! The settings with their values, and where each came from.

use std::ffi::OsString;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::console::setting::given::{Given, Origin};
use crate::console::setting::row::{DefaultValue, Places, Row};
use crate::console::setting::table::ROWS;
use crate::console::setting::value::{Shape, Values, Written};

/// What stands for a password.
const MASK: &str = "******";

/// Columns of a setting and its value, ahead of where it came from.
const COLUMN: usize = 48;

/// All settings, in the order of the help.
#[derive(Debug)]
pub(super) struct Listing(Vec<(&'static Row, Effective)>);

/// What holds for a setting.
#[derive(Debug, Serialize)]
struct Effective {
    value: Value,
    from: String,
}

impl Listing {
    pub(super) fn new(given: &Given, file: Option<&Path>) -> Self {
        // -a is no setting: it is something to do.
        let rows = ROWS.iter().filter(|row| row.places != Places::None);
        Self(rows.map(|row| (row, effective(row, given, file))).collect())
    }

    /// One object on one line.
    pub(super) fn in_json(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// A line for each setting, as the config file would have it. What has no value is commented
    /// out.
    pub(super) fn in_words(&self) -> String {
        let line = |(row, effective): &(&Row, Effective)| {
            let Effective { value, from } = effective;
            let is_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let setting = match (is_nothing, row.default) {
                (true, DefaultValue::Says(words)) => format!("# {} = {words}", row.name),
                (true, _) => format!("# {}", row.name),
                // A string, a number or a list of JSON is also one of TOML.
                (false, _) if row.places.has_file() => format!("{} = {value}", row.name),
                (false, _) => format!("# {} = {value}", row.name),
            };
            format!("{setting:<COLUMN$}  # {from}\n")
        };
        self.0.iter().map(line).collect()
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(row, effective)| (row.name, effective)))
    }
}

fn effective(row: &Row, given: &Given, file: Option<&Path>) -> Effective {
    let Some((texts, origin)) = given.of(row.name) else {
        let default = match row.default {
            DefaultValue::Is(default) => vec![OsString::from(default)],
            DefaultValue::None | DefaultValue::Says(_) => Vec::new(),
        };
        return Effective { value: value(row, &default), from: "default".to_owned() };
    };
    let from = match origin {
        Origin::Flag => "flag".to_owned(),
        Origin::Variable => row.variable(),
        Origin::Line(line) => {
            format!("{}:{line}", file.unwrap_or(Path::new("")).display())
        }
    };
    Effective { value: value(row, texts), from }
}

fn value(row: &Row, texts: &[OsString]) -> Value {
    let words = texts.iter().map(|text| masked(row, &text.to_string_lossy()));
    let mut values: Vec<Value> = words.map(|word| scalar(row.written, word)).collect();
    match row.shape {
        Shape::Switch => bool::read_all(texts).unwrap_or_default().into(),
        Shape::Times => values.pop().unwrap_or_else(|| 0.into()),
        Shape::One => values.pop().unwrap_or(Value::Null),
        Shape::Many | Shape::Lines => values.into(),
    }
}

/// A number where the config file may have one.
fn scalar(written: Written, word: String) -> Value {
    let number = word.parse::<i64>().ok().filter(|_| written != Written::Text);
    number.map_or_else(|| word.into(), Value::from)
}

/// The value without a password of a single user or host. That of all users is no secret among those
/// who use the servers: it is what they ask for.
fn masked(row: &Row, text: &str) -> String {
    if !row.holds_password || row.name == "password" {
        return text.to_owned();
    }
    match (row.shape, text.split_once(':')) {
        (Shape::Many, Some((name, _))) => format!("{name}:{MASK}"),
        (Shape::Many, None) => text.to_owned(),
        _ => MASK.to_owned(),
    }
}
