//! The settings that may change while the servers run, with their current values. Knows neither where
//! a setting comes from nor how it is shown.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::servers::extensions::{OfferList, Pop3Capability, SmtpExtension};
use crate::servers::limits::{self, IDLE_MOST, MESSAGE_OCTETS};
use crate::servers::profile::{AuthPolicy, Choices, Profile, Rules, TlsPolicy};
use crate::servers::recipients::RecipientRules;
use crate::servers::units::in_units;
use crate::watch::event::Service;

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

    /// A limit that can be waited for.
    fn capped(self) -> Self {
        match self {
            Self::Limited(limit) => Self::Limited(limit.min(IDLE_MOST)),
            Self::AsTheProtocolSays | Self::Unlimited => self,
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

impl RelayPolicy {
    /// Whether mail for other domains is taken from this peer.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        match self {
            Self::Loopback => peer.is_loopback(),
            Self::Networks(networks) => {
                peer.is_loopback() || networks.iter().any(|network| network.contains(&peer))
            }
            Self::Nobody => false,
        }
    }
}

/// A setting that may change while the servers run, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingName {
    /// How long clients may be silent.
    Idle,
    /// Octets of message text at most.
    MessageMost,
    /// Whose mail for other domains is taken.
    Relay,
    /// The profile of new sessions.
    Profile,
    /// The SMTP extensions, beside the profile.
    Extensions,
    /// The POP3 capabilities, beside the profile.
    Capabilities,
    /// Whether SMTP clients log in, beside the profile.
    Auth,
    /// Whether SMTP clients begin TLS, beside the profile.
    SmtpTls,
    /// Whether POP3 clients begin TLS, beside the profile.
    Pop3Tls,
}

impl SettingName {
    /// In the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::MessageMost,
        Self::Relay,
        Self::Profile,
        Self::Extensions,
        Self::Capabilities,
        Self::Auth,
        Self::SmtpTls,
        Self::Pop3Tls,
    ];
}

/// What a setting is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// How long clients may be silent.
    Idle(Idle),
    /// Octets of message text at most.
    MessageMost(u64),
    /// Whose mail for other domains is taken.
    Relay(RelayPolicy),
    /// The profile of new sessions.
    Profile(Profile),
    /// The SMTP extensions; `None` for the profile's.
    Extensions(Option<OfferList<SmtpExtension>>),
    /// The POP3 capabilities; `None` for the profile's.
    Capabilities(Option<OfferList<Pop3Capability>>),
    /// Whether SMTP clients log in; `None` for what the profile says.
    Auth(Option<AuthPolicy>),
    /// Whether SMTP clients begin TLS; `None` for what the profile says.
    SmtpTls(Option<TlsPolicy>),
    /// Whether POP3 clients begin TLS; `None` for what the profile says.
    Pop3Tls(Option<TlsPolicy>),
}

impl Setting {
    /// Which setting it is.
    #[must_use]
    pub const fn name(&self) -> SettingName {
        match self {
            Self::Idle(_) => SettingName::Idle,
            Self::MessageMost(_) => SettingName::MessageMost,
            Self::Relay(_) => SettingName::Relay,
            Self::Profile(_) => SettingName::Profile,
            Self::Extensions(_) => SettingName::Extensions,
            Self::Capabilities(_) => SettingName::Capabilities,
            Self::Auth(_) => SettingName::Auth,
            Self::SmtpTls(_) => SettingName::SmtpTls,
            Self::Pop3Tls(_) => SettingName::Pop3Tls,
        }
    }
}

/// All settings at one moment. The default is what holds if nothing is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsView {
    /// How long clients may be silent.
    pub idle: Idle,
    /// Octets of message text at most.
    pub message_most: u64,
    /// Whose mail for other domains is taken.
    pub relay: RelayPolicy,
    /// What new sessions offer.
    pub choices: Choices,
}

impl Default for SettingsView {
    fn default() -> Self {
        Self {
            idle: Idle::default(),
            message_most: MESSAGE_OCTETS,
            relay: RelayPolicy::default(),
            choices: Choices::default(),
        }
    }
}

impl SettingsView {
    /// Whether the idle limit is the protocols' own.
    #[must_use]
    pub fn has_usual_idle(&self) -> bool {
        self.idle == Idle::default()
    }

    /// Whether the longest message is the default.
    #[must_use]
    pub const fn has_usual_message_most(&self) -> bool {
        self.message_most == MESSAGE_OCTETS
    }

    /// Whether mail for other domains is taken from this machine only.
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
        let Choices { extensions, capabilities, auth, smtp_tls, pop3_tls, .. } = &self.choices;
        let RecipientRules { catch_all, accept_any, .. } = &self.choices.recipients;
        let choices = [
            catch_all.as_ref().map(|user| format!("all mail goes to {user}")),
            accept_any.then(|| "mailboxes for anybody".to_owned()),
            extensions.map(|list| format!("extensions {list}")),
            capabilities.map(|list| format!("pop3-capabilities {list}")),
            auth.map(|policy| format!("auth {}", policy.name())),
            smtp_tls.map(|policy| format!("smtp-tls {}", policy.name())),
            pop3_tls.map(|policy| format!("pop3-tls {}", policy.name())),
        ];
        [relay, idle, message].into_iter().chain(choices).flatten().collect()
    }
}

/// The settings of a running process. Each is read at the moment when it matters.
#[derive(Debug)]
pub struct Settings {
    now: watch::Sender<SettingsView>,
    /// The idle limit once more: it is read at every line, and connections should not contend for a
    /// lock.
    idle: AtomicU64,
    /// What the choices give, worked out once.
    rules: RwLock<Arc<Rules>>,
    /// Addresses from which this process is about to connect to its own server.
    own: Mutex<VecDeque<SocketAddr>>,
}

/// The most addresses that are kept of connections of our own: they are made at once.
const OWN_MOST: usize = 64;

impl Settings {
    /// Settings that begin with these.
    #[must_use]
    pub fn new(view: SettingsView) -> Self {
        let settings = Self {
            now: watch::Sender::default(),
            idle: AtomicU64::default(),
            rules: RwLock::default(),
            own: Mutex::default(),
        };
        settings.set_idle(view.idle);
        settings.set_message_most(view.message_most);
        settings.set_relay(view.relay);
        settings.set_choices(view.choices);
        settings
    }

    /// How long a client of this server may be silent, if there is a limit. It is read when the
    /// client's idle period is renewed, and once more before one is closed.
    #[must_use]
    pub fn idle(&self, service: Service) -> Option<Duration> {
        decoded(self.idle.load(Relaxed)).of(service)
    }

    /// Octets of message text at most. It is read when the text begins.
    #[must_use]
    pub fn message_most(&self) -> u64 {
        self.now.borrow().message_most
    }

    /// Whether mail for other domains is taken from this peer. It is read at each RCPT.
    #[must_use]
    pub fn relays_for(&self, peer: IpAddr) -> bool {
        self.now.borrow().relay.admits(peer)
    }

    /// What a session that begins now goes by, up to its end.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// What a session with this peer goes by. The operator, who sends from the console, need neither
    /// log in nor begin TLS.
    #[must_use]
    pub fn rules_for(&self, peer: SocketAddr) -> Arc<Rules> {
        // Taken out in any case: the port may be somebody else's next time.
        let (rules, is_own) = (self.rules(), self.is_own(peer));
        if is_own && !rules.is_open_to_all() { Arc::new(rules.open_to_all()) } else { rules }
    }

    /// Announces a connection of this process to its own server.
    pub fn expect_own(&self, address: SocketAddr) {
        let mut own = self.own.lock();
        own.truncate(OWN_MOST - 1);
        own.push_front(address);
    }

    fn is_own(&self, peer: SocketAddr) -> bool {
        let mut own = self.own.lock();
        let found = own.iter().position(|address| *address == peer);
        found.is_some_and(|place| own.remove(place).is_some())
    }

    /// Changes one of them.
    pub fn set(&self, setting: Setting) {
        match setting {
            Setting::Idle(idle) => self.set_idle(idle),
            Setting::MessageMost(octets) => self.set_message_most(octets),
            Setting::Relay(policy) => self.set_relay(policy),
            Setting::Profile(profile) => self.change_choices(|now| now.profile = profile),
            Setting::Extensions(list) => self.change_choices(|now| now.extensions = list),
            Setting::Capabilities(list) => self.change_choices(|now| now.capabilities = list),
            Setting::Auth(policy) => self.change_choices(|now| now.auth = policy),
            Setting::SmtpTls(policy) => self.change_choices(|now| now.smtp_tls = policy),
            Setting::Pop3Tls(policy) => self.change_choices(|now| now.pop3_tls = policy),
        }
    }

    /// Sets how long clients may be silent; [`IDLE_MOST`] is the longest limit.
    pub fn set_idle(&self, idle: Idle) {
        self.now.send_modify(|now| {
            now.idle = idle.capped();
            self.idle.store(encoded(now.idle), Relaxed);
        });
    }

    /// Sets how many octets of message text there may be.
    pub fn set_message_most(&self, octets: u64) {
        self.now.send_modify(|now| now.message_most = octets);
    }

    /// Sets whose mail for other domains is taken.
    pub fn set_relay(&self, relay: RelayPolicy) {
        self.now.send_modify(|now| now.relay = relay);
    }

    /// Sets what new sessions offer.
    pub fn set_choices(&self, choices: Choices) {
        self.change_choices(|now| *now = choices);
    }

    fn change_choices(&self, change: impl FnOnce(&mut Choices)) {
        self.now.send_modify(|now| {
            change(&mut now.choices);
            *self.rules.write() = Arc::new(now.choices.rules());
        });
    }

    /// What holds now.
    #[must_use]
    pub fn view(&self) -> SettingsView {
        self.now.borrow().clone()
    }

    /// Tells of changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<SettingsView> {
        self.now.subscribe()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(SettingsView::default())
    }
}

/// More milliseconds than any limit has.
const AS_THE_PROTOCOL_SAYS: u64 = u64::MAX;

/// The same, and another number.
const UNLIMITED: u64 = u64::MAX - 1;

fn encoded(idle: Idle) -> u64 {
    match idle {
        Idle::AsTheProtocolSays => AS_THE_PROTOCOL_SAYS,
        Idle::Unlimited => UNLIMITED,
        Idle::Limited(limit) => u64::try_from(limit.as_millis()).unwrap_or(UNLIMITED),
    }
}

const fn decoded(idle: u64) -> Idle {
    match idle {
        AS_THE_PROTOCOL_SAYS => Idle::AsTheProtocolSays,
        UNLIMITED => Idle::Unlimited,
        milliseconds => Idle::Limited(Duration::from_millis(milliseconds)),
    }
}

/// The networks as they are written, with `between` between them.
#[must_use]
pub fn listed(networks: &[IpNet], between: &str) -> String {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(between)
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
    fn what_is_set_is_what_is_read() {
        let settings = Settings::default();
        let mut changes = settings.changes();
        let limits = [Idle::Unlimited, Idle::Limited(Duration::from_secs(7)), Idle::default()];
        for idle in limits {
            settings.set_idle(idle);
            assert_eq!(settings.idle(Service::Smtp), idle.of(Service::Smtp));
            assert!(changes.has_changed().unwrap());
            assert_eq!(changes.borrow_and_update().idle, idle);
        }
        settings.set_message_most(7);
        assert_eq!((settings.message_most(), settings.view().message_most), (7, 7));
    }

    #[test]
    fn a_session_keeps_the_rules_that_it_began_with() {
        let settings = Settings::default();
        let before = settings.rules();
        settings.set(Setting::Profile(Profile::Esmtp));
        assert_eq!(*before, Rules::default());
        assert!(settings.rules().smtp.answers_ehlo);
        settings.set(Setting::Extensions("none".parse().ok()));
        assert!(settings.rules().smtp.extensions.is_empty());
    }

    #[test]
    fn the_operator_need_not_log_in_from_a_connection_that_was_announced() {
        let settings = Settings::default();
        settings.set(Setting::Profile(Profile::Submission));
        let own = SocketAddr::from(([127, 0, 0, 1], 9));
        let auth = |peer| settings.rules_for(peer).smtp.auth;
        assert_eq!(auth(own), AuthPolicy::Required);
        settings.expect_own(own);
        assert_eq!(auth(SocketAddr::from(([127, 0, 0, 1], 8))), AuthPolicy::Required);
        assert_eq!(auth(own), AuthPolicy::Off);
        assert_eq!(auth(own), AuthPolicy::Required);
        settings.expect_own(own);
        settings.set(Setting::Profile(Profile::Rfc821));
        assert_eq!(auth(own), AuthPolicy::Off);
        settings.set(Setting::Profile(Profile::Submission));
        assert_eq!(auth(own), AuthPolicy::Required);
        (0..1_000).for_each(|port| settings.expect_own(SocketAddr::from(([127, 0, 0, 1], port))));
        assert_eq!(settings.own.lock().len(), OWN_MOST);
    }

    #[test]
    fn a_limit_too_long_to_be_waited_for_is_cut() {
        let settings = Settings::default();
        settings.set_idle(Idle::Limited(Duration::from_secs(u64::MAX)));
        assert_eq!(settings.idle(Service::Echo), Some(IDLE_MOST));
        assert_eq!(settings.view().idle, Idle::Limited(IDLE_MOST));
    }

    #[test]
    fn neighbours_and_named_networks_may_relay_unless_nobody_may() {
        let networks = RelayPolicy::Networks(vec!["192.0.2.0/24".parse().unwrap()]);
        for (peer, by_default, of_networks) in [
            ("127.0.0.1", true, true),
            ("::1", true, true),
            ("192.0.2.7", false, true),
            ("192.0.3.7", false, false),
            ("2001:db8::1", false, false),
        ] {
            let peer = peer.parse().unwrap();
            assert_eq!(RelayPolicy::Loopback.admits(peer), by_default, "{peer}");
            assert_eq!(networks.admits(peer), of_networks, "{peer}");
            assert!(!RelayPolicy::Nobody.admits(peer), "{peer}");
        }
    }

    #[test]
    fn only_what_is_not_as_usual_is_a_notice() {
        assert!(SettingsView::default().notices().is_empty());
        let networks = ["192.0.2.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let changed = SettingsView {
            idle: Idle::Limited(Duration::from_secs(30)),
            message_most: 10 << 20,
            relay: RelayPolicy::Networks(networks.to_vec()),
            choices: Choices { auth: Some(AuthPolicy::Off), ..Choices::default() },
        };
        let notices = [
            "relays for 192.0.2.0/24 2001:db8::/32",
            "idle at most 30 s",
            "messages of at most 10M",
            "auth off",
        ];
        assert_eq!(changed.notices(), notices);
        let nobody = SettingsView { relay: RelayPolicy::Nobody, ..SettingsView::default() };
        assert_eq!(nobody.notices(), ["relays for nobody"]);
        assert!(!nobody.has_usual_relay() && nobody.has_usual_idle());
    }
}
