//! Profiles: whole sets of extensions and habits, and the single choices beside them. Together they
//! give the [`Rules`] that a session goes by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use enumset::{EnumSet, enum_set};
use strum::VariantArray;

use crate::servers::extensions::{Offer, OfferList, Pop3Capability, SmtpExtension};
use crate::servers::recipients::RecipientRules;
use crate::servers::sasl::Mechanism;
use crate::watch::event::Service;

/// A set of extensions and habits, chosen by one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, VariantArray)]
pub enum Profile {
    /// HELO only, no login, no TLS: RFC 821 and RFC 1939.
    #[default]
    Rfc821,
    /// What libraries that insist on EHLO need.
    Esmtp,
    /// Takes everything that an application sends, whoever it claims to be.
    Catch,
    /// A submission server as providers run it (RFC 6409).
    Submission,
    /// All extensions.
    Everything,
}

impl Profile {
    /// Its name, as options and screens spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc821 => "rfc821",
            Self::Esmtp => "esmtp",
            Self::Catch => "catch",
            Self::Submission => "submission",
            Self::Everything => "everything",
        }
    }

    /// What it is for, in a few words.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Rfc821 => "HELO, known users, no login, no TLS",
            Self::Esmtp => "EHLO and CAPA, for libraries that insist on them",
            Self::Catch => "takes every message and every login, and sends nothing on",
            Self::Submission => "TLS and a login, as a provider's submission server",
            Self::Everything => "every extension, TLS and logins offered",
        }
    }

    /// All names, as a sentence lists them.
    #[must_use]
    pub fn names() -> String {
        Self::VARIANTS.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ")
    }

    const fn smtp_extensions(self) -> EnumSet<SmtpExtension> {
        match self {
            Self::Rfc821 => EnumSet::empty(),
            Self::Esmtp | Self::Catch | Self::Submission => ESMTP,
            Self::Everything => EnumSet::all(),
        }
    }

    const fn pop3_capabilities(self) -> EnumSet<Pop3Capability> {
        match self {
            Self::Rfc821 => EnumSet::empty(),
            Self::Esmtp | Self::Catch | Self::Submission => MODERN_POP3,
            Self::Everything => EnumSet::all(),
        }
    }

    const fn auth(self) -> AuthPolicy {
        match self {
            Self::Rfc821 | Self::Esmtp => AuthPolicy::Off,
            Self::Catch | Self::Everything => AuthPolicy::Offered,
            Self::Submission => AuthPolicy::Required,
        }
    }

    const fn tls(self) -> TlsPolicy {
        match self {
            Self::Rfc821 | Self::Esmtp | Self::Catch => TlsPolicy::None,
            Self::Submission | Self::Everything => TlsPolicy::Offered,
        }
    }

    /// Whether any name and password is right.
    #[must_use]
    pub const fn takes_any_login(self) -> bool {
        matches!(self, Self::Catch)
    }

    /// Whether mail for everybody is caught.
    #[must_use]
    pub const fn catches_all(self) -> bool {
        matches!(self, Self::Catch)
    }

    /// The ports on which TLS begins with the first octet: SMTP's and POP3's.
    #[must_use]
    pub const fn tls_ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Submission => Some((4_650, 9_950)),
            _ => None,
        }
    }
}

/// The mailbox of the profile `catch` where no user was named.
const CATCH: &str = "catch";

const ESMTP: EnumSet<SmtpExtension> = enum_set!(
    SmtpExtension::Pipelining
        | SmtpExtension::Size
        | SmtpExtension::EightBitMime
        | SmtpExtension::SmtpUtf8
        | SmtpExtension::EnhancedStatusCodes
        | SmtpExtension::Dsn
        | SmtpExtension::Help
);

const MODERN_POP3: EnumSet<Pop3Capability> = enum_set!(
    Pop3Capability::Top
        | Pop3Capability::Uidl
        | Pop3Capability::User
        | Pop3Capability::RespCodes
        | Pop3Capability::Pipelining
        | Pop3Capability::Implementation
);

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names nothing of its kind. Whoever asked knows what could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchName;

impl FromStr for Profile {
    type Err = NoSuchName;

    fn from_str(text: &str) -> Result<Self, NoSuchName> {
        let mut profiles = Self::VARIANTS.iter();
        let found = profiles.find(|profile| profile.name().eq_ignore_ascii_case(text));
        found.copied().ok_or(NoSuchName)
    }
}

/// Whether clients may, or must, log in before MAIL (RFC 4954).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthPolicy {
    /// AUTH is not offered.
    #[default]
    Off,
    /// AUTH is offered.
    Offered,
    /// MAIL before AUTH is refused with 530.
    Required,
}

/// Whether clients may, or must, begin TLS (RFC 3207, RFC 2595).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsPolicy {
    /// It is not offered.
    #[default]
    None,
    /// It is offered.
    Offered,
    /// Commands that carry mail or a login are refused before it.
    Required,
}

impl AuthPolicy {
    /// Its name, as the option spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Offered => "offered",
            Self::Required => "required",
        }
    }
}

impl TlsPolicy {
    /// Its name, as the option spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Offered => "offered",
            Self::Required => "required",
        }
    }
}

impl FromStr for AuthPolicy {
    type Err = NoSuchName;

    fn from_str(text: &str) -> Result<Self, NoSuchName> {
        let all = [Self::Off, Self::Offered, Self::Required];
        all.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(text)).ok_or(NoSuchName)
    }
}

impl FromStr for TlsPolicy {
    type Err = NoSuchName;

    fn from_str(text: &str) -> Result<Self, NoSuchName> {
        let all = [Self::None, Self::Offered, Self::Required];
        all.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(text)).ok_or(NoSuchName)
    }
}

/// What was chosen: a profile, and single choices that count before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The profile.
    pub profile: Profile,
    /// SMTP extensions.
    pub extensions: Option<OfferList<SmtpExtension>>,
    /// POP3 capabilities.
    pub capabilities: Option<OfferList<Pop3Capability>>,
    /// Whether SMTP clients log in.
    pub auth: Option<AuthPolicy>,
    /// Whether any name and password is right, in any profile.
    pub auth_any: bool,
    /// The mechanisms of AUTH.
    pub mechanisms: Option<OfferList<Mechanism>>,
    /// Whether secrets may be sent in the clear from other machines too.
    pub auth_plaintext: bool,
    /// Whether SMTP clients begin TLS.
    pub smtp_tls: Option<TlsPolicy>,
    /// Whether POP3 clients begin TLS.
    pub pop3_tls: Option<TlsPolicy>,
    /// Whom mail is for.
    pub recipients: RecipientRules,
    /// The first user that was named, who gets what has no other owner.
    pub first_user: Option<Arc<str>>,
}

/// What a session goes by from its start to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The profile that they come from.
    pub profile: Profile,
    /// Whether any name and password is right. Such a login proves nothing.
    pub takes_any_login: bool,
    /// The rules of SMTP.
    pub smtp: SmtpRules,
    /// The rules of POP3.
    pub pop3: Pop3Rules,
    /// Whom mail is for.
    pub recipients: Arc<RecipientRules>,
}

impl Rules {
    /// Whether SMTP clients may send without a login and without TLS.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        self.smtp.auth != AuthPolicy::Required && self.smtp.tls != TlsPolicy::Required
    }

    /// The same rules, where they need neither.
    #[must_use]
    pub fn open_to_all(&self) -> Self {
        let smtp = SmtpRules { auth: AuthPolicy::Off, tls: TlsPolicy::None, ..self.smtp };
        Self { smtp, ..self.clone() }
    }

    /// Whether the server of this protocol offers TLS on request.
    #[must_use]
    pub fn offers_tls(&self, service: Service) -> bool {
        let tls = match service {
            Service::Smtp => self.smtp.tls,
            Service::Pop3 => self.pop3.tls,
            Service::Echo | Service::Relay => TlsPolicy::None,
        };
        tls != TlsPolicy::None
    }

    /// Whether the transcript says who logs in with PASS. By the default rules it does not: USER and
    /// the reply to PASS say it.
    #[must_use]
    pub fn tells_logins(&self) -> bool {
        *self != Self::default()
    }
}

/// The rules of an SMTP session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SmtpRules {
    /// Whether EHLO is answered.
    pub answers_ehlo: bool,
    /// The extensions that are offered. STARTTLS and AUTH are among them if they are offered or
    /// required.
    pub extensions: EnumSet<SmtpExtension>,
    /// Whether clients log in.
    pub auth: AuthPolicy,
    /// The mechanisms of AUTH that are offered.
    pub mechanisms: EnumSet<Mechanism>,
    /// Whether secrets may be sent in the clear from other machines too.
    pub takes_plaintext: bool,
    /// Whether clients begin TLS.
    pub tls: TlsPolicy,
}

/// The rules of a POP3 session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pop3Rules {
    /// Whether CAPA is answered.
    pub answers_capa: bool,
    /// The capabilities that are offered. STLS is among them if it is offered or required.
    pub capabilities: EnumSet<Pop3Capability>,
    /// The commands that are refused as unknown, of UIDL and USER.
    pub refused: EnumSet<Pop3Capability>,
    /// Whether secrets may be sent with AUTH in the clear from other machines too.
    pub takes_plaintext: bool,
    /// Whether clients begin TLS.
    pub tls: TlsPolicy,
}

impl Choices {
    /// The rules that these choices give.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            profile: self.profile,
            takes_any_login: self.auth_any || self.profile.takes_any_login(),
            smtp: self.smtp(),
            pop3: self.pop3(),
            recipients: Arc::new(self.recipients()),
        }
    }

    /// Whose mailbox gets all that is caught, if anybody's does.
    #[must_use]
    pub fn catch_all(&self) -> Option<Arc<str>> {
        let of_profile = self.profile.catches_all().then(|| match &self.first_user {
            Some(user) => Arc::clone(user),
            None => CATCH.into(),
        });
        self.recipients.catch_all.clone().or(of_profile)
    }

    fn recipients(&self) -> RecipientRules {
        let is_default = self.profile == Profile::Rfc821;
        RecipientRules {
            catch_all: self.catch_all(),
            postmaster: self.first_user.clone().filter(|_| !is_default),
            tells_remedy: !is_default,
            ..self.recipients.clone()
        }
    }

    fn smtp(&self) -> SmtpRules {
        let list = self.extensions;
        let auth = self.auth.unwrap_or_else(|| match said(list, SmtpExtension::Auth) {
            Some(true) => self.profile.auth().max(AuthPolicy::Offered),
            Some(false) => AuthPolicy::Off,
            None => self.profile.auth(),
        });
        let tls = tls(self.smtp_tls, said(list, SmtpExtension::StartTls), self.profile);
        let mut extensions = applied(list, self.profile.smtp_extensions());
        set(&mut extensions, SmtpExtension::Auth, auth != AuthPolicy::Off);
        set(&mut extensions, SmtpExtension::StartTls, tls != TlsPolicy::None);
        // AUTH and STARTTLS are found, and used, only after EHLO.
        let needs_ehlo = auth != AuthPolicy::Off || tls != TlsPolicy::None;
        let answers_ehlo = self.profile != Profile::Rfc821 || list.is_some() || needs_ehlo;
        let mechanisms = match auth {
            AuthPolicy::Off => EnumSet::empty(),
            AuthPolicy::Offered | AuthPolicy::Required => self.mechanisms(),
        };
        let takes_plaintext = self.auth_plaintext;
        SmtpRules { answers_ehlo, extensions, auth, mechanisms, takes_plaintext, tls }
    }

    fn mechanisms(&self) -> EnumSet<Mechanism> {
        applied(self.mechanisms, EnumSet::all())
    }

    fn pop3(&self) -> Pop3Rules {
        let list = self.capabilities;
        let tls = tls(self.pop3_tls, said(list, Pop3Capability::Stls), self.profile);
        let mut capabilities = applied(list, self.profile.pop3_capabilities());
        set(&mut capabilities, Pop3Capability::Stls, tls != TlsPolicy::None);
        // The only mechanism that POP3 has here.
        if !self.mechanisms().contains(Mechanism::Plain) {
            capabilities.remove(Pop3Capability::Sasl);
        }
        let away = |offer: &Pop3Capability| list.is_some_and(|list| list.takes_away(*offer));
        Pop3Rules {
            // Clients find STLS in the reply to CAPA only.
            answers_capa: self.profile != Profile::Rfc821
                || list.is_some()
                || tls != TlsPolicy::None,
            capabilities,
            refused: [Pop3Capability::Uidl, Pop3Capability::User]
                .into_iter()
                .filter(away)
                .collect(),
            takes_plaintext: self.auth_plaintext,
            tls,
        }
    }
}

fn said<O: Offer>(list: Option<OfferList<O>>, offer: O) -> Option<bool> {
    list.and_then(|list| list.says(offer))
}

fn applied<O: Offer>(list: Option<OfferList<O>>, of_profile: EnumSet<O>) -> EnumSet<O> {
    list.map_or(of_profile, |list| list.applied_to(of_profile))
}

fn set<O: Offer>(offers: &mut EnumSet<O>, offer: O, is_offered: bool) {
    if is_offered {
        offers.insert(offer)
    } else {
        offers.remove(offer)
    };
}

/// An option of its own counts first, then the list, then the profile.
fn tls(chosen: Option<TlsPolicy>, listed: Option<bool>, profile: Profile) -> TlsPolicy {
    chosen.unwrap_or_else(|| match listed {
        Some(true) => profile.tls().max(TlsPolicy::Offered),
        Some(false) => TlsPolicy::None,
        None => profile.tls(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(profile: Profile, change: impl FnOnce(&mut Choices)) -> Rules {
        let mut choices = Choices { profile, ..Choices::default() };
        change(&mut choices);
        choices.rules()
    }

    #[test]
    fn without_a_choice_nothing_is_offered() {
        let rules = Choices::default().rules();
        assert_eq!(rules, Rules::default());
        assert!(!rules.smtp.answers_ehlo && !rules.pop3.answers_capa);
    }

    #[test]
    fn each_profile_offers_its_own() {
        let esmtp = rules(Profile::Esmtp, |_| ());
        assert_eq!((esmtp.smtp.extensions, esmtp.pop3.capabilities), (ESMTP, MODERN_POP3));
        let submission = rules(Profile::Submission, |_| ()).smtp;
        assert_eq!((submission.auth, submission.tls), (AuthPolicy::Required, TlsPolicy::Offered));
        let with_login = ESMTP | SmtpExtension::StartTls | SmtpExtension::Auth;
        assert_eq!(submission.extensions, with_login);
        assert_eq!(rules(Profile::Catch, |_| ()).smtp.extensions, ESMTP | SmtpExtension::Auth);
        let everything = rules(Profile::Everything, |_| ());
        assert_eq!(everything.smtp.extensions, EnumSet::all());
        assert_eq!(everything.pop3.capabilities, EnumSet::all());
    }

    #[test]
    fn an_option_counts_before_a_list_and_a_list_before_the_profile() {
        let smtp = |profile, list: &str| {
            rules(profile, |choices| choices.extensions = Some(list.parse().unwrap())).smtp
        };
        assert_eq!(smtp(Profile::Submission, "SIZE").auth, AuthPolicy::Off);
        assert_eq!(smtp(Profile::Submission, "AUTH").auth, AuthPolicy::Required);
        assert_eq!(smtp(Profile::Submission, "-AUTH").auth, AuthPolicy::Off);
        assert_eq!(smtp(Profile::Submission, "-SIZE").auth, AuthPolicy::Required);
        assert_eq!(smtp(Profile::Esmtp, "+STARTTLS").tls, TlsPolicy::Offered);
        let both = rules(Profile::Esmtp, |choices| {
            choices.extensions = Some("-AUTH".parse().unwrap());
            choices.auth = Some(AuthPolicy::Required);
        });
        assert_eq!(both.smtp.auth, AuthPolicy::Required);
        assert!(both.smtp.extensions.contains(SmtpExtension::Auth));
    }

    #[test]
    fn a_list_makes_its_own_protocol_answer_and_not_the_other() {
        let ehlo = rules(Profile::Rfc821, |choices| choices.extensions = "none".parse().ok());
        assert!(ehlo.smtp.answers_ehlo && !ehlo.pop3.answers_capa);
        let capa = rules(Profile::Rfc821, |choices| choices.capabilities = "-UIDL".parse().ok());
        assert!(!capa.smtp.answers_ehlo && capa.pop3.answers_capa);
        assert_eq!(capa.pop3.refused, EnumSet::only(Pop3Capability::Uidl));
    }

    #[test]
    fn what_is_caught_goes_to_the_first_user_or_to_catch() {
        let caught = |profile, user: Option<&str>, option: Option<&str>| {
            let rules = rules(profile, |choices| {
                choices.first_user = user.map(Arc::from);
                choices.recipients.catch_all = option.map(Arc::from);
            });
            (rules.recipients.catch_all.clone(), rules.recipients.postmaster.clone())
        };
        let name = |name: &str| Some(Arc::from(name));
        assert_eq!(caught(Profile::Rfc821, Some("ada"), None), (None, None));
        assert_eq!(caught(Profile::Rfc821, None, Some("bob")), (name("bob"), None));
        assert_eq!(caught(Profile::Catch, Some("ada"), None), (name("ada"), name("ada")));
        assert_eq!(caught(Profile::Catch, Some("ada"), Some("bob")), (name("bob"), name("ada")));
        assert_eq!(caught(Profile::Catch, None, None), (name("catch"), None));
        assert_eq!(caught(Profile::Esmtp, Some("ada"), None), (None, name("ada")));
    }

    #[test]
    fn pop3_offers_no_login_with_a_mechanism_that_was_taken_away() {
        let sasl = |list: &str| {
            let mechanisms = list.parse().ok();
            let rules = rules(Profile::Everything, |choices| choices.mechanisms = mechanisms);
            rules.pop3.capabilities.contains(Pop3Capability::Sasl)
        };
        assert!(sasl("PLAIN") && sasl("-LOGIN"));
        assert!(!sasl("CRAM-MD5") && !sasl("-PLAIN") && !sasl("none"));
    }

    #[test]
    fn tls_is_offered_by_each_protocol_on_its_own() {
        let rules = rules(Profile::Esmtp, |choices| choices.pop3_tls = Some(TlsPolicy::Required));
        let offers = [Service::Echo, Service::Smtp, Service::Pop3].map(|one| rules.offers_tls(one));
        assert_eq!(offers, [false, false, true]);
    }

    #[test]
    fn names_are_read_without_case_and_others_are_none() {
        assert_eq!("ESMTP".parse(), Ok(Profile::Esmtp));
        assert_eq!("esmtp2".parse::<Profile>(), Err(NoSuchName));
        assert_eq!("Required".parse(), Ok(AuthPolicy::Required));
        assert_eq!("off".parse::<TlsPolicy>(), Err(NoSuchName));
    }
}
