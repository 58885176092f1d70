//! The settings that may change while the servers run, in words: what a user types, and what a
//! user is told. Pure.

use std::time::Duration;

use crate::servers::limits::{self, MESSAGE_OCTETS};
use crate::servers::settings::{Idle, RelayPolicy, Setting, SettingName, SettingsView, listed};
use crate::servers::units::{Network, Size, in_units};

/// What a user types to have a setting as it is where nobody has set anything.
const DEFAULT: &str = "default";

impl SettingName {
    /// What a screen calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Idle => "idle limit",
            Self::MessageMost => "longest message",
            Self::Relay => "relay for",
        }
    }

    /// What can be typed.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Idle => "seconds such as 30, 0 for no limit, or default",
            Self::MessageMost => "octets such as 1000, 500K or 64M, or default",
            Self::Relay => "loopback, nobody, or networks such as 10.0.0.0/8,192.168.0.0/16",
        }
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
        SettingName::Idle => {
            format!("From their next command on, clients may be silent {}.", time(view.idle))
        }
        SettingName::MessageMost => format!(
            "From the next message on, {} octets of text are taken at most.",
            view.message_most
        ),
        SettingName::Relay => format!(
            "From the next recipient on, mail for other domains is taken from {}.",
            peers(&view.relay)
        ),
    }
}

fn time(idle: Idle) -> String {
    match idle {
        Idle::AsTheProtocolSays => format!(
            "as long as their protocol says: SMTP {} s, POP3 {} s, echo for ever",
            limits::SMTP_IDLE.as_secs(),
            limits::POP3_IDLE.as_secs()
        ),
        Idle::Unlimited => "for ever".to_owned(),
        Idle::Limited(limit) => format!("for {} s", limit.as_secs()),
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
                "From their next command on, clients may be silent as long as their protocol \
                 says: SMTP 300 s, POP3 600 s, echo for ever.",
                "From the next message on, 67108864 octets of text are taken at most.",
                "From the next recipient on, mail for other domains is taken from this machine \
                 only.",
            ]
        );
        let nobody = SettingsView { relay: RelayPolicy::Nobody, ..usual };
        assert!(words(SettingName::Relay, &nobody).ends_with("taken from nobody."));
    }
}
