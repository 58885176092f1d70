//! An event as a line for people, made from its JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::wire::display::DisplayText;

/// Fields that stand before the event's name, or are left out.
const AHEAD: [&str; 5] = ["v", "at", "event", "service", "session"];

/// `2026-11-28T17:49:01.123456Z smtp #12 C: HELO x`, or the name of the event and its fields as
/// `name=value`. What a terminal would act on is escaped.
#[must_use]
pub fn words(event: &Map<String, Value>) -> String {
    let mut line = text(event.get("at"));
    if let Some(service) = event.get("service") {
        let _ = write!(line, " {}", text(Some(service)));
    }
    if let Some(session) = event.get("session") {
        let _ = write!(line, " #{}", text(Some(session)));
    }
    if event.get("event").is_some_and(|name| name == "line") {
        let letter = if event.get("who").is_some_and(|who| who == "client") { "C" } else { "S" };
        let _ = write!(line, " {letter}: {}", text(event.get("text")));
        return line;
    }
    let _ = write!(line, " {}", text(event.get("event")));
    for (name, value) in event.iter().filter(|(name, _)| !AHEAD.contains(&name.as_str())) {
        let _ = write!(line, " {}={}", DisplayText::from(name.as_str()), valued(value));
    }
    line
}

/// A value without quotation marks where it is one word.
fn valued(value: &Value) -> String {
    let word = text(Some(value));
    let is_word = !word.is_empty() && !word.contains([' ', '"']);
    if is_word { word } else { Value::String(word).to_string() }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => DisplayText::from(text.as_str()).into_string(),
        Some(Value::Array(all)) => {
            all.iter().map(|one| text(Some(one))).collect::<Vec<_>>().join(",")
        }
        Some(other) => DisplayText::from(other.to_string().as_str()).into_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> String {
        words(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_line_is_shown_as_the_transcript_has_it_and_the_rest_by_name() {
        let line = r#"{"v":1,"at":"T","event":"line","session":12,"service":"smtp","who":"client",
                       "peer":"127.0.0.1:9","text":"HELO x"}"#;
        assert_eq!(of(line), "T smtp #12 C: HELO x");
        let login = r#"{"v":1,"at":"T","event":"login","session":3,"mailbox":"bob","ok":false}"#;
        assert_eq!(of(login), "T #3 login mailbox=bob ok=false");
        let stored = r#"{"v":1,"at":"T","event":"stored","subject":"a \u001b b","to":["a@b","c@d"],
                         "uid":null,"from":""}"#;
        let words = of(stored);
        assert!(words.contains("subject=\"a \\\\x1b b\" to=a@b,c@d uid=-"), "{words}");
        assert!(words.starts_with("T stored from=\"\" "), "{words}");
    }
}
