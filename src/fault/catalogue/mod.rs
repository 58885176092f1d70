//! The named scenarios: faults that clients meet, and what a good client makes of them.

mod pop3;
mod scenario;
mod smtp;

pub use crate::fault::catalogue::scenario::{Scenario, Verdict};

/// All scenarios, those of SMTP first.
#[must_use]
pub fn all() -> Vec<&'static Scenario> {
    smtp::SCENARIOS.iter().chain(&pop3::SCENARIOS).collect()
}

/// The scenario of this name.
#[must_use]
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

/// The catalogue as a JSON array in one line.
#[must_use]
pub fn json() -> String {
    // Plain text and no maps: there is nothing that JSON cannot say.
    serde_json::to_string(&all()).unwrap_or_default()
}

/// The catalogue for people: a line for each rule, whose columns stand below each other; a scenario's
/// further rules stand below its first.
#[must_use]
pub fn table() -> String {
    let all = all();
    let names = all.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let rules =
        all.iter().flat_map(|scenario| scenario.rules).filter(|rule| rule.len() <= WIDTH_MOST);
    let rules = rules.map(|rule| rule.len()).max().unwrap_or(0);
    let row = |name: &str, rule: &str, good: &str, paragraph: &str| {
        let row = format!("{name:names$}  {rule:rules$}  {good}  {paragraph}");
        row.trim_end().to_owned() + "\n"
    };
    let mut table = row("NAME", "RULE", "A GOOD CLIENT …", "(PARAGRAPH)");
    for scenario in all {
        let is_info = scenario.verdict == Verdict::Info;
        let paragraph =
            format!("({}{})", scenario.paragraph, if is_info { "; info only" } else { "" });
        for (nth, rule) in scenario.rules.iter().enumerate() {
            table += &match nth {
                0 => row(scenario.name, rule, scenario.good, &paragraph),
                _ => row("", rule, "", ""),
            };
        }
    }
    table
}

/// The longest rule that others are aligned with.
const WIDTH_MOST: usize = 72;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fault::parse;

    #[test]
    fn all_rules_can_be_read_and_are_of_their_protocol() {
        for scenario in all() {
            for rule in scenario.rules {
                let read = parse::rule(rule).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(read.point.service, scenario.protocol, "{rule}");
                assert_eq!(&*read.text, *rule);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<&str> = all().iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all().len());
        assert_eq!(all().len(), 89);
    }

    #[test]
    fn json_has_the_keys_that_programs_read() {
        let json: serde_json::Value = serde_json::from_str(&json()).unwrap();
        assert_eq!(json[0]["name"], "busy");
        assert_eq!(json[0]["protocol"], "smtp");
        assert_eq!(json[0]["rules"][0], scenario("busy").unwrap().rules[0]);
        assert_eq!(json[0]["good"], "tries later, says no HELO");
        assert_eq!(json[0]["paragraph"], "5321 3.8, 4.2.2");
        assert_eq!(json[0]["verdict"], "judged");
        let lie = json.as_array().unwrap().iter().find(|one| one["name"] == "lie").unwrap();
        assert_eq!(lie["verdict"], "info");
        assert_eq!(lie.as_object().unwrap().len(), 6);
    }

    #[test]
    fn the_table_has_a_line_for_each_rule() {
        let rules: usize = all().iter().map(|scenario| scenario.rules.len()).sum();
        assert_eq!(table().lines().count(), rules + 1);
        assert!(table().contains("\nlost-after "));
    }
}
