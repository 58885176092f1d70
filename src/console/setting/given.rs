//! What one place gives for the settings: the command line, the environment or the config file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::console::setting::row::{DefaultValue, Row};
use crate::console::setting::value::{Shape, Times, Values};

/// What was given for each setting, by the name of the setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given(BTreeMap<&'static str, (Shape, Vec<OsString>)>);

impl Given {
    /// Takes the values of a setting.
    pub fn set(&mut self, row: &Row, values: Vec<OsString>) {
        self.0.insert(row.name, (row.shape, values));
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
        for (name, (shape, values)) in weaker.0 {
            let is_stronger = match (self.0.get(name), shape) {
                (None, _) => false,
                (Some((_, own)), Shape::Switch) => bool::read_all(own) == Ok(true),
                (Some((_, own)), Shape::Times) => times(own) >= times(&values),
                (Some(_), Shape::One | Shape::Many) => true,
            };
            if !is_stronger {
                self.0.insert(name, (shape, values));
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
        let values = self.0.get(row.name).map_or(&default, |(_, values)| values);
        T::read_all(values).map_err(|why| format!("{}: {why}", row.name))
    }
}

fn times(values: &[OsString]) -> u8 {
    Times::read_all(values).unwrap_or_default().0
}

/// The words between commas, where a row takes several values.
#[must_use]
pub fn divided(row: &Row, text: &OsStr) -> Vec<OsString> {
    match (row.shape, text.to_str()) {
        (Shape::Many, Some(text)) => text.split(',').map(OsString::from).collect(),
        _ => vec![text.to_owned()],
    }
}
