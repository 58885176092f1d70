//! The settings: [`table`] has a row for each. Here are those that can be changed while the servers
//! run, in words: what a user types, and what a user is told. Pure.

pub mod given;
pub mod row;
pub mod table;
pub mod value;

use std::str::FromStr;
use std::time::Duration;

use enumset::EnumSet;
use strum::VariantArray;

use crate::console::setting::row::{Acts, Row};
use crate::console::setting::table::ROWS;
use crate::servers::extensions::Offer;
use crate::servers::limits::{self, MESSAGE_OCTETS};
use crate::servers::profile::{
    AuthPolicy, Choices, Pop3Rules, Profile, Rules, SmtpRules, TlsPolicy,
};
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
        SettingName::Profile => profile(typed).map(Setting::Profile),
        SettingName::Extensions => beside(typed, Setting::Extensions),
        SettingName::Capabilities => beside(typed, Setting::Capabilities),
        SettingName::Auth => beside(typed, Setting::Auth),
        SettingName::SmtpTls => beside(typed, Setting::SmtpTls),
        SettingName::Pop3Tls => beside(typed, Setting::Pop3Tls),
    };
    setting.ok_or_else(|| {
        let (title, expected) = (name.title(), name.expected());
        format!("The {title} cannot be {typed:?}: write {expected}.")
    })
}

fn profile(typed: &str) -> Option<Profile> {
    if typed.eq_ignore_ascii_case(DEFAULT) { Some(Profile::default()) } else { typed.parse().ok() }
}

/// A choice beside the profile; `default` leaves it to the profile.
fn beside<T: FromStr>(typed: &str, set: fn(Option<T>) -> Setting) -> Option<Setting> {
    if typed.eq_ignore_ascii_case(DEFAULT) {
        return Some(set(None));
    }
    typed.parse().ok().map(|choice| set(Some(choice)))
}

fn or_default<T: ToString>(choice: Option<T>) -> String {
    choice.map_or_else(|| DEFAULT.to_owned(), |choice| choice.to_string())
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

/// The values of a setting that has few, each with what it means.
#[must_use]
pub fn values(name: SettingName) -> Vec<(&'static str, &'static str)> {
    const AS_PROFILE: (&str, &str) = (DEFAULT, "as the profile has it");
    const TLS: [(&str, &str); 4] = [
        ("none", "it is not offered"),
        ("offered", "clients may begin TLS"),
        ("required", "nothing else before it"),
        AS_PROFILE,
    ];
    match name {
        SettingName::Profile => {
            Profile::VARIANTS.iter().map(|profile| (profile.name(), profile.purpose())).collect()
        }
        SettingName::Auth => vec![
            ("off", "AUTH is not offered"),
            ("offered", "clients may log in"),
            ("required", "no mail without a login"),
            AS_PROFILE,
        ],
        SettingName::SmtpTls | SettingName::Pop3Tls => TLS.to_vec(),
        _ => Vec::new(),
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
        SettingName::Profile => view.choices.profile.to_string(),
        SettingName::Extensions => or_default(view.choices.extensions),
        SettingName::Capabilities => or_default(view.choices.capabilities),
        SettingName::Auth => or_default(view.choices.auth.map(AuthPolicy::name)),
        SettingName::SmtpTls => or_default(view.choices.smtp_tls.map(TlsPolicy::name)),
        SettingName::Pop3Tls => or_default(view.choices.pop3_tls.map(TlsPolicy::name)),
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
        SettingName::Profile => format!(
            "New sessions follow the profile {}: {}.",
            view.choices.profile,
            view.choices.profile.purpose()
        ),
        SettingName::Extensions => {
            format!("New SMTP sessions: {}.", ehlo(view.choices.rules().smtp))
        }
        SettingName::Capabilities => {
            format!("New POP3 sessions: {}.", capa(view.choices.rules().pop3))
        }
        SettingName::Auth => {
            format!("New SMTP sessions: login is {}.", view.choices.rules().smtp.auth.name())
        }
        SettingName::SmtpTls => {
            format!("New SMTP sessions: {}.", tls(view.choices.rules().smtp.tls, "STARTTLS"))
        }
        SettingName::Pop3Tls => {
            format!("New POP3 sessions: {}.", tls(view.choices.rules().pop3.tls, "STLS"))
        }
    }
}

fn ehlo(rules: SmtpRules) -> String {
    offered("EHLO", rules.answers_ehlo, rules.extensions)
}

fn capa(rules: Pop3Rules) -> String {
    offered("CAPA", rules.answers_capa, rules.capabilities)
}

fn offered<O: Offer>(command: &str, is_answered: bool, offers: EnumSet<O>) -> String {
    if !is_answered {
        return format!("{command} is not supported");
    }
    match offers.iter().map(Offer::name).collect::<Vec<_>>().join(" ") {
        none if none.is_empty() => format!("{command} offers nothing"),
        names => names,
    }
}

fn tls(policy: TlsPolicy, command: &str) -> String {
    match policy {
        TlsPolicy::None => format!("{command} is not offered"),
        TlsPolicy::Offered => format!("{command} is offered"),
        TlsPolicy::Required => format!("{command} is required"),
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
        SettingName::Profile => {
            let profile = view.choices.profile;
            (format!("{profile}: {}", profile.purpose()), profile == Profile::default())
        }
        _ => offer_shown(name, &view.choices),
    }
}

/// What new sessions offer, and whether the profile alone says so.
fn offer_shown(name: SettingName, choices: &Choices) -> (String, bool) {
    let Rules { smtp, pop3, .. } = choices.rules();
    match name {
        SettingName::Extensions => (ehlo(smtp), choices.extensions.is_none()),
        SettingName::Capabilities => (capa(pop3), choices.capabilities.is_none()),
        SettingName::SmtpTls => (tls(smtp.tls, "STARTTLS"), choices.smtp_tls.is_none()),
        SettingName::Pop3Tls => (tls(pop3.tls, "STLS"), choices.pop3_tls.is_none()),
        _ => (format!("login is {}", smtp.auth.name()), choices.auth.is_none()),
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
    fn every_value_that_is_offered_is_understood() {
        let all = SettingName::ALL.map(|name| values(name).into_iter().map(move |one| (name, one)));
        let mut count = 0;
        for (name, (value, _)) in all.into_iter().flatten() {
            assert!(read(name, value).is_ok(), "{value}");
            count += 1;
        }
        assert_eq!(count, 5 + 3 * 4);
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
            (SettingName::Profile, "Esmtp", Setting::Profile(Profile::Esmtp)),
            (SettingName::Profile, "default", Setting::Profile(Profile::Rfc821)),
            (SettingName::Extensions, "default", Setting::Extensions(None)),
            (SettingName::Extensions, "-size", Setting::Extensions("-SIZE".parse().ok())),
            (SettingName::Auth, "required", Setting::Auth(Some(AuthPolicy::Required))),
            (SettingName::Pop3Tls, "none", Setting::Pop3Tls(Some(TlsPolicy::None))),
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
            (SettingName::Profile, &["", "esmtp,catch", "none"]),
            (SettingName::Extensions, &["", "TOP", "SIZE,-DSN"]),
            (SettingName::Capabilities, &["", "SIZE"]),
            (SettingName::Auth, &["", "none"]),
            (SettingName::SmtpTls, &["", "off"]),
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
            choices: Choices {
                profile: Profile::Everything,
                extensions: "-SIZE,+DSN".parse().ok(),
                capabilities: "none".parse().ok(),
                auth: Some(AuthPolicy::Off),
                smtp_tls: Some(TlsPolicy::Required),
                pop3_tls: Some(TlsPolicy::None),
                ..Choices::default()
            },
        };
        let other = SettingsView {
            idle: Idle::Unlimited,
            message_most: 3 << 30,
            relay: RelayPolicy::Nobody,
            choices: Choices { profile: Profile::Catch, ..Choices::default() },
        };
        for view in [SettingsView::default(), changed, other] {
            let again = SettingName::ALL.map(|name| read(name, &typed(name, &view)));
            let holds = [
                Setting::Idle(view.idle),
                Setting::MessageMost(view.message_most),
                Setting::Relay(view.relay),
                Setting::Profile(view.choices.profile),
                Setting::Extensions(view.choices.extensions),
                Setting::Capabilities(view.choices.capabilities),
                Setting::Auth(view.choices.auth),
                Setting::SmtpTls(view.choices.smtp_tls),
                Setting::Pop3Tls(view.choices.pop3_tls),
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
                "New sessions follow the profile rfc821: HELO, known users, no login, no TLS.",
                "New SMTP sessions: EHLO is not supported.",
                "New POP3 sessions: CAPA is not supported.",
                "New SMTP sessions: login is off.",
                "New SMTP sessions: STARTTLS is not offered.",
                "New POP3 sessions: STLS is not offered.",
            ]
        );
        let nobody = SettingsView { relay: RelayPolicy::Nobody, ..usual };
        assert!(words(SettingName::Relay, &nobody).ends_with("accepted from nobody."));
    }
}
