//! What one place gives for the settings: the command line, the environment or the config file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;

use crate::console::setting::row::{DefaultValue, Row};
use crate::console::setting::value::{Shape, Times, Values};

/// What was given for each setting, by the name of the setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given(BTreeMap<&'static str, Entry>);

/// Which place gave a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The setting's variable of the environment.
    Variable,
    /// This line of the config file, counted from 1.
    Line(NonZeroUsize),
}

/// What was given for one setting.
#[derive(Debug, Clone)]
struct Entry {
    shape: Shape,
    values: Vec<OsString>,
    origin: Origin,
}

/// The same values are equal, whichever place gave them.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.shape, &self.values) == (other.shape, &other.values)
    }
}

impl Eq for Entry {}

impl Given {
    /// Takes the values of a setting.
    pub fn set(&mut self, row: &Row, values: Vec<OsString>, origin: Origin) {
        self.0.insert(row.name, Entry { shape: row.shape, values, origin });
    }

    /// The values of a setting as they were written, and who gave them; `None` if nobody did.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<(&[OsString], Origin)> {
        self.0.get(name).map(|entry| (&*entry.values, entry.origin))
    }

    /// Whether a setting was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Removes a setting.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What was given here, and for all else what `weaker` has. A switch has no word for no, so
    /// that what is on in either place is on.
    #[must_use]
    pub fn or(mut self, weaker: Self) -> Self {
        for (name, entry) in weaker.0 {
            let own = self.0.get(name).map(|own| &own.values);
            let is_stronger = match (own, entry.shape) {
                (None, _) => false,
                (Some(own), Shape::Switch) => bool::read_all(own) == Ok(true),
                (Some(own), Shape::Times) => times(own) >= times(&entry.values),
                (Some(_), Shape::One | Shape::Many | Shape::Lines) => true,
            };
            if !is_stronger {
                self.0.insert(name, entry);
            }
        }
        self
    }

    /// The values for the row, or its default.
    pub(super) fn values<T: Values>(&self, row: Option<&Row>) -> Result<T, String> {
        let row = row.unwrap_or(&Row::USUAL);
        let default = match row.default {
            DefaultValue::Is(default) => vec![OsString::from(default)],
            DefaultValue::None | DefaultValue::Says(_) => Vec::new(),
        };
        let values = self.0.get(row.name).map_or(&default, |entry| &entry.values);
        T::read_all(values).map_err(|why| format!("{}: {why}", row.name))
    }
}

fn times(values: &[OsString]) -> u8 {
    Times::read_all(values).unwrap_or_default().0
}

/// The words between commas, or the lines, where a row takes several values.
#[must_use]
pub fn divided(row: &Row, text: &OsStr) -> Vec<OsString> {
    match (row.shape, text.to_str()) {
        (Shape::Many, Some(text)) => text.split(',').map(OsString::from).collect(),
        (Shape::Lines, Some(text)) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(OsString::from).collect()
        }
        _ => vec![text.to_owned()],
    }
}
