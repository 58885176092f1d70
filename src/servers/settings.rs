//! The settings that may change while the servers run: what holds now, for those who go by it.
//! Knows neither where a setting comes from nor who shows it.

use std::time::Duration;

use ipnet::IpNet;

use crate::servers::limits::{self, MESSAGE_OCTETS};
use crate::wire::event::Service;

/// How long clients may be silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Idle {
    /// As long as each protocol's RFC says.
    #[default]
    AsTheProtocolSays,
    /// For ever.
    Unlimited,
    /// So long, whatever the protocol.
    Limited(Duration),
}

impl Idle {
    /// The limit for one server.
    #[must_use]
    pub const fn of(self, service: Service) -> Option<Duration> {
        match (self, service) {
            (Self::AsTheProtocolSays, Service::Smtp) => Some(limits::SMTP_IDLE),
            (Self::AsTheProtocolSays, Service::Pop3) => Some(limits::POP3_IDLE),
            (Self::AsTheProtocolSays, Service::Echo | Service::Relay) | (Self::Unlimited, _) => {
                None
            }
            (Self::Limited(limit), _) => Some(limit),
        }
    }
}

/// Whose mail for other domains is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RelayPolicy {
    /// That of this machine.
    #[default]
    Loopback,
    /// That of this machine and of these networks.
    Networks(Vec<IpNet>),
    /// Nobody's.
    Nobody,
}

/// All settings at one moment. The default is what holds where nobody has set anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsView {
    /// How long clients may be silent.
    pub idle: Idle,
    /// Octets of message text at most.
    pub message_most: u64,
    /// Whose mail for other domains is taken.
    pub relay: RelayPolicy,
}

impl Default for SettingsView {
    fn default() -> Self {
        Self { idle: Idle::default(), message_most: MESSAGE_OCTETS, relay: RelayPolicy::default() }
    }
}

impl SettingsView {
    /// Whether the idle limit is the protocols' own.
    #[must_use]
    pub fn has_usual_idle(&self) -> bool {
        self.idle == Idle::default()
    }

    /// Whether messages may be as long as where nobody has set anything.
    #[must_use]
    pub const fn has_usual_message_most(&self) -> bool {
        self.message_most == MESSAGE_OCTETS
    }

    /// Whether mail for other domains is taken from this machine, and from nobody else.
    #[must_use]
    pub fn has_usual_relay(&self) -> bool {
        self.relay == RelayPolicy::default()
    }

    /// What a user must know of: a few words on each setting that is not as usual.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let relay = match &self.relay {
            RelayPolicy::Loopback => None,
            RelayPolicy::Networks(networks) => {
                Some(format!("relays for {}", listed(networks, " ")))
            }
            RelayPolicy::Nobody => Some("relays for nobody".to_owned()),
        };
        let idle = match self.idle {
            Idle::AsTheProtocolSays => None,
            Idle::Unlimited => Some("idle without limit".to_owned()),
            Idle::Limited(limit) => Some(format!("idle at most {} s", limit.as_secs())),
        };
        let message = (!self.has_usual_message_most())
            .then(|| format!("messages of at most {}", in_units(self.message_most)));
        [relay, idle, message].into_iter().flatten().collect()
    }
}

/// The networks as they are written, with `between` between them.
#[must_use]
pub fn listed(networks: &[IpNet], between: &str) -> String {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(between)
}

/// A number of octets as it is typed: `64M`, `1000`.
#[must_use]
pub fn in_units(octets: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let whole = units.into_iter().find(|&(bits, _)| octets.trailing_zeros() >= bits && octets > 0);
    match whole {
        Some((bits, unit)) => format!("{}{unit}", octets >> bits),
        None => octets.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_limits_are_the_protocols_unless_set() {
        let usual = Idle::AsTheProtocolSays;
        assert_eq!(usual.of(Service::Echo), None);
        assert_eq!(usual.of(Service::Smtp), Some(Duration::from_mins(5)));
        assert_eq!(usual.of(Service::Pop3), Some(Duration::from_mins(10)));
        let set = Idle::Limited(Duration::from_secs(7));
        assert_eq!(set.of(Service::Echo), Some(Duration::from_secs(7)));
        assert_eq!(Idle::Unlimited.of(Service::Smtp), None);
    }

    #[test]
    fn only_what_is_not_as_usual_is_a_notice() {
        assert!(SettingsView::default().notices().is_empty());
        let networks = ["192.0.2.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let changed = SettingsView {
            idle: Idle::Limited(Duration::from_secs(30)),
            message_most: 10 << 20,
            relay: RelayPolicy::Networks(networks.to_vec()),
        };
        let notices = [
            "relays for 192.0.2.0/24 2001:db8::/32",
            "idle at most 30 s",
            "messages of at most 10M",
        ];
        assert_eq!(changed.notices(), notices);
        let nobody = SettingsView { relay: RelayPolicy::Nobody, ..SettingsView::default() };
        assert_eq!(nobody.notices(), ["relays for nobody"]);
        assert!(!nobody.has_usual_relay() && nobody.has_usual_idle());
    }

    #[test]
    fn octets_are_written_in_the_largest_unit_that_is_whole() {
        let cases =
            [(0, "0"), (1_000, "1000"), (1 << 10, "1K"), (64 << 20, "64M"), (3 << 30, "3G")];
        for (octets, text) in cases {
            assert_eq!(in_units(octets), text);
        }
    }
}
