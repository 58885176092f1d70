//! What a POP3 session offers (RFC 2449): the commands that it has, its reply to CAPA, and the
//! response codes in its replies. Pure: the session says where the connection stands.

use crate::servers::exposure::Exposure;
use crate::servers::extensions::{Offer, Pop3Capability};
use crate::servers::pop3::command::Known;
use crate::servers::profile::{Pop3Rules, TlsPolicy};
use crate::servers::session::Reply;

/// What a session offers, by its rules and by who could overhear it. The default offers nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    rules: Pop3Rules,
    exposure: Exposure,
}

/// A response code: the cause of an error, for programs (RFC 2449 section 8, RFC 3206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Another session has the maildrop.
    InUse,
    /// The name or the password is wrong.
    Auth,
    /// A fault that may be over soon.
    SysTemp,
    /// A fault that somebody has to mend.
    SysPerm,
}

impl Offers {
    /// What these rules offer on a connection of this exposure.
    #[must_use]
    pub const fn new(rules: Pop3Rules, exposure: Exposure) -> Self {
        Self { rules, exposure }
    }

    /// The same over TLS.
    #[must_use]
    pub const fn over_tls(self) -> Self {
        Self { exposure: Exposure::Tls, ..self }
    }

    /// Whether TLS has begun.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.exposure.is_tls()
    }

    /// Whether a login is refused until TLS begins (RFC 2595 section 2.2).
    #[must_use]
    pub fn needs_tls_first(&self) -> bool {
        self.rules.tls == TlsPolicy::Required && !self.is_over_tls()
    }

    /// Whether the server has a command.
    #[must_use]
    pub fn has(&self, command: Known) -> bool {
        match command {
            Known::Always => true,
            Known::WithCapa => self.rules.answers_capa,
            Known::With(capability) => self.rules.capabilities.contains(capability),
            Known::Unless(capability) => !self.rules.refused.contains(capability),
        }
    }

    /// Whether this code stands in replies.
    #[must_use]
    pub fn has_code(&self, code: Code) -> bool {
        if !self.rules.answers_capa {
            // These two have always been there, and a client that knows neither reads past them.
            return matches!(code, Code::InUse | Code::SysTemp);
        }
        let has = |capability| self.rules.capabilities.contains(capability);
        let needs_more = code != Code::InUse;
        has(Pop3Capability::RespCodes) && (!needs_more || has(Pop3Capability::AuthRespCode))
    }

    /// The reply to CAPA: a line for each capability that counts here and now (RFC 2449 section 5).
    #[must_use]
    pub fn listed(&self) -> Reply {
        let capabilities = self.rules.capabilities.iter().filter_map(|one| self.line(one));
        let lines: Vec<String> = capabilities.collect();
        let mut reply: Vec<&[u8]> = vec![b"+OK capability list follows"];
        reply.extend(lines.iter().map(String::as_bytes));
        reply.push(b".");
        Reply::of_lines(&reply)
    }

    fn line(&self, capability: Pop3Capability) -> Option<String> {
        let name = capability.name();
        Some(match capability {
            Pop3Capability::User if self.needs_tls_first() => return None,
            Pop3Capability::Sasl if !self.takes_secrets() => return None,
            Pop3Capability::Stls if self.is_over_tls() => return None,
            // Its sign is the greeting.
            Pop3Capability::Apop => return None,
            Pop3Capability::Sasl => format!("{name} PLAIN"),
            Pop3Capability::Expire => format!("{name} NEVER"),
            Pop3Capability::Implementation => format!("{name} {IMPLEMENTATION}"),
            // Not `UTF8 USER`: mailboxes have names in ASCII.
            _ => name.to_owned(),
        })
    }

    /// Whether a mechanism that sends the secret itself is offered (RFC 4616 section 6).
    #[must_use]
    pub fn takes_secrets(&self) -> bool {
        !self.needs_tls_first() && (!self.exposure.is_open() || self.rules.takes_plaintext)
    }
}

/// One token: RFC 2449 section 6.9 lets clients show it.
const IMPLEMENTATION: &str = concat!("mailconsole-", env!("CARGO_PKG_VERSION"));

impl Code {
    /// As it stands in a reply.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::InUse => "[IN-USE]",
            Self::Auth => "[AUTH]",
            Self::SysTemp => "[SYS/TEMP]",
            Self::SysPerm => "[SYS/PERM]",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::profile::{Choices, Profile};

    fn offers(profile: Profile, list: &str, tls: TlsPolicy, exposure: Exposure) -> Offers {
        let capabilities = (!list.is_empty()).then(|| list.parse().unwrap());
        let pop3_tls = (tls != TlsPolicy::None).then_some(tls);
        let choices = Choices { profile, capabilities, pop3_tls, ..Choices::default() };
        Offers::new(choices.rules().pop3, exposure)
    }

    /// The capabilities in the reply to CAPA, without blanks at its ends.
    fn listed(offers: Offers) -> String {
        let reply = String::from_utf8(offers.listed().bytes().to_vec()).unwrap();
        let lines = reply.strip_prefix("+OK capability list follows\r\n").unwrap();
        lines.strip_suffix(".").unwrap().trim_end().replace("\r\n", ", ")
    }

    #[test]
    fn each_capability_has_a_line_in_the_order_of_the_names() {
        let all = "TOP, UIDL, USER, RESP-CODES, AUTH-RESP-CODE, PIPELINING, SASL PLAIN, STLS, UTF8, \
                   EXPIRE NEVER, IMPLEMENTATION mailconsole-";
        let reply = listed(offers(Profile::Everything, "", TlsPolicy::None, Exposure::Loopback));
        assert_eq!(reply.strip_prefix(all), Some(env!("CARGO_PKG_VERSION")));
        let esmtp =
            listed(offers(Profile::Esmtp, "-IMPLEMENTATION", TlsPolicy::None, Exposure::Tls));
        assert_eq!(esmtp, "TOP, UIDL, USER, RESP-CODES, PIPELINING");
        let one = listed(offers(Profile::Rfc821, "expire", TlsPolicy::None, Exposure::Network));
        assert_eq!(one, "EXPIRE NEVER");
        assert_eq!(listed(offers(Profile::Rfc821, "none", TlsPolicy::None, Exposure::Tls)), "");
    }

    #[test]
    fn secrets_are_asked_for_only_where_nobody_overhears_them() {
        let listed = |tls, exposure| listed(offers(Profile::Rfc821, "+SASL,+USER", tls, exposure));
        assert_eq!(listed(TlsPolicy::None, Exposure::Network), "USER");
        assert_eq!(listed(TlsPolicy::Offered, Exposure::Network), "USER, STLS");
        assert_eq!(listed(TlsPolicy::Offered, Exposure::Loopback), "USER, SASL PLAIN, STLS");
        assert_eq!(listed(TlsPolicy::Required, Exposure::Loopback), "STLS");
        assert_eq!(listed(TlsPolicy::Required, Exposure::Tls), "USER, SASL PLAIN");
    }

    #[test]
    fn codes_stand_where_they_are_offered_and_as_ever_where_nothing_is() {
        let all = [Code::InUse, Code::Auth, Code::SysTemp, Code::SysPerm];
        let codes = |profile, list| {
            let offers = offers(profile, list, TlsPolicy::None, Exposure::Network);
            let codes = all.iter().filter(|code| offers.has_code(**code)).map(|code| code.text());
            codes.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(codes(Profile::Rfc821, ""), "[IN-USE] [SYS/TEMP]");
        assert_eq!(codes(Profile::Rfc821, "none"), "");
        assert_eq!(codes(Profile::Rfc821, "RESP-CODES"), "[IN-USE]");
        assert_eq!(codes(Profile::Rfc821, "AUTH-RESP-CODE"), "");
        assert_eq!(codes(Profile::Esmtp, ""), "[IN-USE]");
        let every = "[IN-USE] [AUTH] [SYS/TEMP] [SYS/PERM]";
        assert_eq!(codes(Profile::Esmtp, "+AUTH-RESP-CODE"), every);
        assert_eq!(codes(Profile::Everything, ""), every);
    }
}
