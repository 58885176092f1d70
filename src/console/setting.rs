//! The settings: [`table`] has a row for each. Here are those that can be changed while the servers
//! run, in words: what a user types, and what a user is told. Pure.

pub mod given;
pub mod row;
pub mod table;
pub mod value;

use std::time::Duration;

use crate::console::setting::row::{Acts, Row};
use crate::console::setting::table::ROWS;
use crate::servers::limits::{self, MESSAGE_OCTETS};
use crate::servers::settings::{Idle, RelayPolicy, Setting, SettingName, SettingsView, listed};
use crate::servers::units::{Network, Size, in_units};

/// What a user types to give a setting the value that it has by default.
const DEFAULT: &str = "default";

impl SettingName {
    /// The option that sets it, as the popup and `:set` call it too.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(row, ..)| row.name)
    }

    /// What a screen calls it in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().map_or("", |(_, title, _)| title)
    }

    /// What can be typed.
    #[must_use]
    pub fn expected(self) -> &'static str {
        self.row().map_or("", |(.., typed)| typed)
    }

    /// Its row in the table, its title, and what can be typed. A test holds that each has one.
    fn row(self) -> Option<(&'static Row, &'static str, &'static str)> {
        ROWS.iter().find_map(|row| match row.acts {
            Acts::WhileRunning { setting, title, typed } if setting == self => {
                Some((row, title, typed))
            }
            _ => None,
        })
    }
}

/// Understands what a user has typed; else a sentence says what is wrong with it.
pub fn read(name: SettingName, typed: &str) -> Result<Setting, String> {
    let typed = typed.trim();
    let setting = match name {
        SettingName::Idle => idle(typed).map(Setting::Idle),
        SettingName::MessageMost => message_most(typed).map(Setting::MessageMost),
        SettingName::Relay => relay(typed).map(Setting::Relay),
    };
    setting.ok_or_else(|| {
        let (title, expected) = (name.title(), name.expected());
        format!("The {title} cannot be {typed:?}: write {expected}.")
    })
}

fn idle(typed: &str) -> Option<Idle> {
    if typed.eq_ignore_ascii_case(DEFAULT) {
        return Some(Idle::default());
    }
    Some(match typed.parse().ok()? {
        0 => Idle::Unlimited,
        seconds => Idle::Limited(Duration::from_secs(seconds)),
    })
}

fn message_most(typed: &str) -> Option<u64> {
    if typed.eq_ignore_ascii_case(DEFAULT) {
        return Some(MESSAGE_OCTETS);
    }
    typed.parse().ok().map(|Size(octets)| octets)
}

fn relay(typed: &str) -> Option<RelayPolicy> {
    match typed.to_ascii_lowercase().as_str() {
        DEFAULT | "loopback" => Some(RelayPolicy::Loopback),
        "nobody" => Some(RelayPolicy::Nobody),
        networks => {
            let words = networks.split([',', ' ']).filter(|word| !word.is_empty());
            let networks: Option<Vec<_>> =
                words.map(|word| word.parse().ok().map(|Network(network)| network)).collect();
            networks.filter(|networks| !networks.is_empty()).map(RelayPolicy::Networks)
        }
    }
}

/// A setting as a user would type it.
#[must_use]
pub fn typed(name: SettingName, view: &SettingsView) -> String {
    match name {
        SettingName::Idle => match view.idle {
            Idle::AsTheProtocolSays => DEFAULT.to_owned(),
            Idle::Unlimited => "0".to_owned(),
            Idle::Limited(limit) => limit.as_secs().to_string(),
        },
        SettingName::MessageMost => in_units(view.message_most),
        SettingName::Relay => match &view.relay {
            RelayPolicy::Loopback => "loopback".to_owned(),
            RelayPolicy::Nobody => "nobody".to_owned(),
            RelayPolicy::Networks(networks) => listed(networks, ","),
        },
    }
}

/// A setting in a sentence: what holds now, and from when on.
#[must_use]
pub fn in_words(name: SettingName, view: &SettingsView) -> String {
    match name {
        SettingName::Idle => format!("From the next command on, {}.", idle_in_words(view.idle)),
        SettingName::MessageMost => {
            format!("Messages over {} octets are refused from now on.", view.message_most)
        }
        SettingName::Relay => format!(
            "From the next recipient on, mail for other domains is accepted from {}.",
            peers(&view.relay)
        ),
    }
}

/// What holds, as the popup of the servers has it, and whether that is the default.
#[must_use]
pub fn shown(name: SettingName, view: &SettingsView) -> (String, bool) {
    let value = typed(name, view);
    match name {
        SettingName::Idle => {
            let words = match view.idle {
                Idle::AsTheProtocolSays => "SMTP 5 min, POP3 10 min, echo none".to_owned(),
                Idle::Unlimited => "clients may be idle without limit".to_owned(),
                Idle::Limited(_) => format!("clients may be idle for {value} s"),
            };
            (words, view.has_usual_idle())
        }
        SettingName::MessageMost => {
            (format!("messages of at most {value}"), view.has_usual_message_most())
        }
        SettingName::Relay => {
            let words = match &view.relay {
                RelayPolicy::Loopback => {
                    "accepts mail for other domains from this machine".to_owned()
                }
                RelayPolicy::Networks(_) => format!("from this machine and {value}"),
                RelayPolicy::Nobody => "accepts no mail for other domains".to_owned(),
            };
            (words, view.has_usual_relay())
        }
    }
}

fn idle_in_words(idle: Idle) -> String {
    match idle {
        Idle::AsTheProtocolSays => format!(
            "the idle limits are those of the protocols: SMTP {} s, POP3 {} s, echo none",
            limits::SMTP_IDLE.as_secs(),
            limits::POP3_IDLE.as_secs()
        ),
        Idle::Unlimited => "clients may be idle without limit".to_owned(),
        Idle::Limited(limit) => format!("clients may be idle for {} s", limit.as_secs()),
    }
}

fn peers(relay: &RelayPolicy) -> String {
    match relay {
        RelayPolicy::Loopback => "this machine only".to_owned(),
        RelayPolicy::Networks(networks) => format!("this machine and {}", listed(networks, ", ")),
        RelayPolicy::Nobody => "nobody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(words: &[&str]) -> Setting {
        let networks = words.iter().map(|word| word.parse().unwrap());
        Setting::Relay(RelayPolicy::Networks(networks.collect()))
    }

    #[test]
    fn each_setting_that_can_be_changed_has_a_row() {
        for name in SettingName::ALL {
            assert!(name.row().is_some(), "{name:?}");
        }
    }

    #[test]
    fn what_is_typed_is_understood() {
        let seconds = |seconds| Setting::Idle(Idle::Limited(Duration::from_secs(seconds)));
        for (name, typed, setting) in [
            (SettingName::Idle, "30", seconds(30)),
            (SettingName::Idle, " Default ", Setting::Idle(Idle::AsTheProtocolSays)),
            (SettingName::Idle, "0", Setting::Idle(Idle::Unlimited)),
            (SettingName::MessageMost, "10M", Setting::MessageMost(10 << 20)),
            (SettingName::MessageMost, "default", Setting::MessageMost(64 << 20)),
            (SettingName::MessageMost, "0", Setting::MessageMost(0)),
            (SettingName::Relay, "loopback", Setting::Relay(RelayPolicy::Loopback)),
            (SettingName::Relay, "default", Setting::Relay(RelayPolicy::Loopback)),
            (SettingName::Relay, "Nobody", Setting::Relay(RelayPolicy::Nobody)),
            (SettingName::Relay, "10.0.0.0/8", networks(&["10.0.0.0/8"])),
            (SettingName::Relay, "10.0.0.0/8, ::2", networks(&["10.0.0.0/8", "::2/128"])),
        ] {
            assert_eq!(setting.name(), name);
            assert_eq!(read(name, typed), Ok(setting), "{typed}");
        }
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_can_be_typed() {
        for (name, wrong) in [
            (SettingName::Idle, &["", "-1", "1.5", "soon", "99999999999999999999"][..]),
            (SettingName::MessageMost, &["", "10X", "-1", "99999999999G"]),
            (SettingName::Relay, &["", ",", "everybody", "10.0.0.0/33", "nobody,10.0.0.0/8"]),
        ] {
            for typed in wrong {
                let sentence = read(name, typed).unwrap_err();
                assert!(sentence.contains(&format!("{typed:?}: write ")), "{sentence}");
                assert!(sentence.ends_with(&format!("{}.", name.expected())), "{sentence}");
            }
        }
    }

    #[test]
    fn what_is_shown_to_be_typed_over_means_what_holds() {
        let changed = SettingsView {
            idle: Idle::Limited(Duration::from_secs(30)),
            message_most: 1_000,
            relay: RelayPolicy::Networks(["10.0.0.0/8", "::/0"].map(|n| n.parse().unwrap()).into()),
        };
        let other = SettingsView {
            idle: Idle::Unlimited,
            message_most: 3 << 30,
            relay: RelayPolicy::Nobody,
        };
        for view in [SettingsView::default(), changed, other] {
            let again = SettingName::ALL.map(|name| read(name, &typed(name, &view)));
            let holds = [
                Setting::Idle(view.idle),
                Setting::MessageMost(view.message_most),
                Setting::Relay(view.relay),
            ];
            assert_eq!(again, holds.map(Ok));
        }
    }

    #[test]
    fn what_holds_is_a_sentence() {
        let words = |name, view: &SettingsView| in_words(name, view);
        let usual = SettingsView::default();
        assert_eq!(
            SettingName::ALL.map(|name| words(name, &usual)),
            [
                "From the next command on, the idle limits are those of the protocols: SMTP 300 s, \
                 POP3 600 s, echo none.",
                "Messages over 67108864 octets are refused from now on.",
                "From the next recipient on, mail for other domains is accepted from this machine \
                 only.",
            ]
        );
        let nobody = SettingsView { relay: RelayPolicy::Nobody, ..usual };
        assert!(words(SettingName::Relay, &nobody).ends_with("accepted from nobody."));
    }
}
