//! The names of SMTP extensions and POP3 capabilities, and lists of them as users write them.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::str::FromStr;

use enumset::{EnumSet, EnumSetType};

use crate::servers::sasl::Mechanism;

/// Something that a server offers by name: an SMTP extension or a POP3 capability.
pub trait Offer: EnumSetType + fmt::Debug + 'static {
    /// What all of them are called in a sentence, in the singular.
    const CALLED: &'static str;
    /// Those that are offered only together with another: the first needs the second.
    const NEEDS: &'static [(Self, Self)];

    /// Its name, as EHLO or CAPA has it.
    fn name(self) -> &'static str;
}

/// A keyword of the reply to EHLO, or a command that is offered (RFC 5321 section 4.1.1.1). The order
/// is that of the reply.
#[derive(Debug, EnumSetType)]
pub enum SmtpExtension {
    /// RFC 2920.
    Pipelining,
    /// RFC 1870.
    Size,
    /// RFC 6152.
    EightBitMime,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 2034.
    EnhancedStatusCodes,
    /// RFC 3461.
    Dsn,
    /// RFC 3030.
    Chunking,
    /// RFC 3030.
    BinaryMime,
    /// RFC 3207.
    StartTls,
    /// RFC 4954.
    Auth,
    /// RFC 5321 section 4.1.1.6.
    Vrfy,
    /// RFC 5321 section 4.1.1.8.
    Help,
    /// RFC 9422.
    Limits,
}

impl Offer for SmtpExtension {
    const CALLED: &'static str = "extension";
    const NEEDS: &'static [(Self, Self)] =
        &[(Self::SmtpUtf8, Self::EightBitMime), (Self::BinaryMime, Self::Chunking)];

    fn name(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::EightBitMime => "8BITMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Dsn => "DSN",
            Self::Chunking => "CHUNKING",
            Self::BinaryMime => "BINARYMIME",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Vrfy => "VRFY",
            Self::Help => "HELP",
            Self::Limits => "LIMITS",
        }
    }
}

/// A line of the reply to CAPA, or a command that is offered (RFC 2449). The order is that of the
/// reply.
#[derive(Debug, EnumSetType)]
pub enum Pop3Capability {
    /// RFC 1939 section 7.
    Top,
    /// RFC 1939 section 7.
    Uidl,
    /// RFC 1939 section 7.
    User,
    /// RFC 2449 section 6.4.
    RespCodes,
    /// RFC 3206.
    AuthRespCode,
    /// RFC 2449 section 6.6.
    Pipelining,
    /// RFC 5034.
    Sasl,
    /// RFC 1939 section 7. It is no capability: its sign is the greeting.
    Apop,
    /// RFC 2595 section 4.
    Stls,
    /// RFC 6856.
    Utf8,
    /// RFC 2449 section 6.7.
    Expire,
    /// RFC 2449 section 6.9.
    Implementation,
}

impl Offer for Pop3Capability {
    const CALLED: &'static str = "capability";
    const NEEDS: &'static [(Self, Self)] = &[];

    fn name(self) -> &'static str {
        match self {
            Self::Top => "TOP",
            Self::Uidl => "UIDL",
            Self::User => "USER",
            Self::RespCodes => "RESP-CODES",
            Self::AuthRespCode => "AUTH-RESP-CODE",
            Self::Pipelining => "PIPELINING",
            Self::Sasl => "SASL",
            Self::Apop => "APOP",
            Self::Stls => "STLS",
            Self::Utf8 => "UTF8",
            Self::Expire => "EXPIRE",
            Self::Implementation => "IMPLEMENTATION",
        }
    }
}

impl Offer for Mechanism {
    const CALLED: &'static str = "mechanism";
    const NEEDS: &'static [(Self, Self)] = &[];

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

/// All names of a kind, in their order, with a blank between them.
#[must_use]
pub fn names<O: Offer>() -> String {
    joined(EnumSet::<O>::all())
}

fn joined<O: Offer>(offers: EnumSet<O>) -> String {
    offers.iter().map(Offer::name).collect::<Vec<_>>().join(" ")
}

/// A list as a user writes it: the whole set, or changes of the profile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferList<O: Offer> {
    /// Exactly these. `none` is the empty set.
    Whole(EnumSet<O>),
    /// The profile's without these, and with those.
    Changed {
        /// Named with `-`.
        without: EnumSet<O>,
        /// Named with `+`.
        with: EnumSet<O>,
    },
}

impl<O: Offer> OfferList<O> {
    /// What is offered where the profile offers `of_profile`. Whatever needs another comes and goes
    /// with it.
    #[must_use]
    pub fn applied_to(self, of_profile: EnumSet<O>) -> EnumSet<O> {
        match self {
            Self::Whole(offers) => with_needed(offers),
            Self::Changed { without, with } => {
                (of_profile - with_needing(without)) | with_needed(with)
            }
        }
    }

    /// What this list says of one name; `None` if it leaves it as the profile has it.
    #[must_use]
    pub fn says(self, offer: O) -> Option<bool> {
        match self {
            Self::Whole(offers) => Some(offers.contains(offer)),
            Self::Changed { with, .. } if with.contains(offer) => Some(true),
            Self::Changed { without, .. } if without.contains(offer) => Some(false),
            Self::Changed { .. } => None,
        }
    }

    /// Whether the name was taken away with `-`, and not only left out.
    #[must_use]
    pub fn takes_away(self, offer: O) -> bool {
        matches!(self, Self::Changed { without, .. } if without.contains(offer))
    }
}

/// These, and what they need.
fn with_needed<O: Offer>(offers: EnumSet<O>) -> EnumSet<O> {
    let needed = O::NEEDS.iter().filter(|(needing, _)| offers.contains(*needing));
    offers | needed.map(|&(_, needed)| needed).collect::<EnumSet<O>>()
}

/// These, and what needs them.
fn with_needing<O: Offer>(offers: EnumSet<O>) -> EnumSet<O> {
    let needing = O::NEEDS.iter().filter(|(_, needed)| offers.contains(*needed));
    offers | needing.map(|&(needing, _)| needing).collect::<EnumSet<O>>()
}

/// Why a list is not understood: a sentence that says what can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadList<O: Offer> {
    /// A word that is no name.
    #[error("{0:?} is no {kind}: write none, or some of {all}", kind = O::CALLED, all = names::<O>())]
    Unknown(String, PhantomData<O>),
    /// Names with and without a sign.
    #[error(
        "write either plain names, which are the whole set, or names with + and -, which change the \
         profile's, out of {all}", all = names::<O>()
    )]
    Mixed,
    /// One name with `+` and with `-`, or `none` beside others.
    #[error("{0} contradicts the rest of the list: name each of {all} once", all = names::<O>())]
    Contradiction(String),
}

impl<O: Offer> FromStr for OfferList<O> {
    type Err = BadList<O>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        if let [only] = words[..]
            && only.eq_ignore_ascii_case(NONE)
        {
            return Ok(Self::Whole(EnumSet::empty()));
        }
        let (mut plain, mut with, mut without) =
            (EnumSet::empty(), EnumSet::empty(), EnumSet::empty());
        for word in words {
            match (word.strip_prefix('+'), word.strip_prefix('-')) {
                (Some(name), _) => with.insert(named(name)?),
                (_, Some(name)) => without.insert(named(name)?),
                (None, None) => plain.insert(named(word)?),
            };
        }
        if let Some(twice) = (with & without).iter().next() {
            return Err(BadList::Contradiction(twice.name().to_owned()));
        }
        let is_changed = !(with | without).is_empty();
        match (plain.is_empty(), is_changed) {
            (false, true) => Err(BadList::Mixed),
            (_, false) => Ok(Self::Whole(plain)),
            (true, true) => Ok(Self::Changed { without, with }),
        }
    }
}

/// The word for a list without names.
const NONE: &str = "none";

fn named<O: Offer>(name: &str) -> Result<O, BadList<O>> {
    if name.eq_ignore_ascii_case(NONE) {
        return Err(BadList::Contradiction(NONE.to_owned()));
    }
    let found = EnumSet::all().iter().find(|offer: &O| offer.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| BadList::Unknown(name.to_owned(), PhantomData))
}

impl<O: Offer> fmt::Display for OfferList<O> {
    /// As a user would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = String::new();
        let mut add = |sign: &str, offers: EnumSet<O>| {
            for offer in offers {
                let comma = if words.is_empty() { "" } else { "," };
                let _ = write!(words, "{comma}{sign}{}", offer.name());
            }
        };
        match *self {
            Self::Whole(offers) => add("", offers),
            Self::Changed { without, with } => {
                add("-", without);
                add("+", with);
            }
        }
        f.write_str(if words.is_empty() { NONE } else { &words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Smtp = OfferList<SmtpExtension>;

    fn offered(list: &str, of_profile: EnumSet<SmtpExtension>) -> String {
        joined(list.parse::<Smtp>().unwrap().applied_to(of_profile))
    }

    #[test]
    fn plain_names_are_the_whole_set_and_signs_change_the_profiles() {
        let profile = SmtpExtension::Size | SmtpExtension::Dsn;
        assert_eq!(offered("chunking, Help", profile), "CHUNKING HELP");
        assert_eq!(offered("none", profile), "");
        assert_eq!(offered("-dsn", profile), "SIZE");
        assert_eq!(offered("-SIZE,+help", profile), "DSN HELP");
    }

    #[test]
    fn what_needs_another_comes_and_goes_with_it() {
        assert_eq!(
            offered("SMTPUTF8,BINARYMIME", EnumSet::empty()),
            "8BITMIME SMTPUTF8 CHUNKING BINARYMIME"
        );
        assert_eq!(offered("+SMTPUTF8", EnumSet::empty()), "8BITMIME SMTPUTF8");
        let all = EnumSet::all();
        assert_eq!(all - offered_set("-8BITMIME,-CHUNKING"), {
            let gone = SmtpExtension::EightBitMime | SmtpExtension::SmtpUtf8;
            gone | SmtpExtension::Chunking | SmtpExtension::BinaryMime
        });
    }

    fn offered_set(list: &str) -> EnumSet<SmtpExtension> {
        list.parse::<Smtp>().unwrap().applied_to(EnumSet::all())
    }

    #[test]
    fn a_list_that_is_wrong_is_answered_with_the_names() {
        for list in [
            "",
            ",",
            "SIZE,",
            "SIZE,+DSN",
            "-SIZE,DSN",
            "FOO",
            "+",
            "-none",
            "none,SIZE",
            "+DSN,-DSN",
        ] {
            let error = list.parse::<Smtp>().unwrap_err().to_string();
            assert!(error.contains("PIPELINING SIZE 8BITMIME"), "{list}: {error}");
        }
        let error = "TOPS".parse::<OfferList<Pop3Capability>>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"TOPS\" is no capability: write none, or some of TOP UIDL USER RESP-CODES \
             AUTH-RESP-CODE PIPELINING SASL APOP STLS UTF8 EXPIRE IMPLEMENTATION"
        );
    }

    #[test]
    fn only_a_sign_takes_a_command_away() {
        let list = |text: &str| text.parse::<OfferList<Pop3Capability>>().unwrap();
        assert!(list("-UIDL").takes_away(Pop3Capability::Uidl));
        assert!(!list("TOP").takes_away(Pop3Capability::Uidl));
        assert_eq!(list("TOP").says(Pop3Capability::Uidl), Some(false));
        assert_eq!(list("-TOP").says(Pop3Capability::Uidl), None);
    }

    fn any_set() -> impl Strategy<Value = EnumSet<SmtpExtension>> {
        let bits = any::<u64>();
        bits.prop_map(EnumSet::from_u64_truncated)
    }

    proptest! {
        #[test]
        fn a_list_as_it_is_shown_is_read_as_the_same(one in any_set(), other in any_set()) {
            for list in [Smtp::Whole(one), Smtp::Changed { without: one, with: other - one }] {
                if list != (Smtp::Changed { without: EnumSet::empty(), with: EnumSet::empty() }) {
                    prop_assert_eq!(list.to_string().parse::<Smtp>(), Ok(list));
                }
            }
        }

        #[test]
        fn nothing_is_offered_without_what_it_needs(one in any_set(), other in any_set(), of in any_set()) {
            let of = with_needed(of);
            for list in [Smtp::Whole(one), Smtp::Changed { without: one, with: other - with_needing(one) }] {
                let offered = list.applied_to(of);
                prop_assert_eq!(with_needed(offered), offered);
            }
        }
    }
}
