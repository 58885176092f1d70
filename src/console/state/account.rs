//! What a mail client, or a program, has to be told so that it can use the servers.

use crate::console::state::State;
use crate::console::state::server::ports;
use crate::servers::profile::{AuthPolicy, Profile, Rules, TlsPolicy};
use crate::watch::event::Service;

/// The settings of an account at one server, in the words of Thunderbird.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// The port, or a dash if there is no such server.
    pub port: String,
    /// `None` or `STARTTLS`.
    pub security: &'static str,
    /// `no authentication` or `normal password`.
    pub authentication: &'static str,
}

impl State {
    /// The settings for fetching mail.
    #[must_use]
    pub fn pop3_account(&self) -> AccountSettings {
        let Rules { pop3, .. } = self.settings.choices.rules();
        AccountSettings {
            port: self.port_of(Service::Pop3),
            security: security(pop3.tls),
            authentication: "normal password",
        }
    }

    /// The settings for sending mail.
    #[must_use]
    pub fn smtp_account(&self) -> AccountSettings {
        let Rules { smtp, .. } = self.settings.choices.rules();
        AccountSettings {
            port: self.port_of(Service::Smtp),
            security: security(smtp.tls),
            authentication: match smtp.auth {
                AuthPolicy::Off => "no authentication",
                AuthPolicy::Offered | AuthPolicy::Required => "normal password",
            },
        }
    }

    /// What a program is given that reads its mail server from the environment, such as
    /// `SMTP_URL=smtp://localhost:2500`; `None` with the default profile, which few programs are
    /// content with.
    #[must_use]
    pub fn smtp_url(&self, user: &str, password: &str) -> Option<String> {
        let Rules { profile, smtp, .. } = self.settings.choices.rules();
        if profile == Profile::default() {
            return None;
        }
        let login = match smtp.auth {
            AuthPolicy::Off => String::new(),
            AuthPolicy::Offered | AuthPolicy::Required => {
                let password = if is_plain(password) { password } else { "PASSWORD" };
                format!("{user}:{password}@")
            }
        };
        let secure = self.tls_port_of(Service::Smtp).filter(|_| smtp.tls != TlsPolicy::None);
        Some(match secure {
            Some(port) => format!("SMTP_URL=smtps://{login}localhost:{port}"),
            None => format!("SMTP_URL=smtp://{login}localhost:{}", self.port_of(Service::Smtp)),
        })
    }

    /// Whether clients meet our certificate, which they have to trust.
    #[must_use]
    pub fn offers_tls(&self) -> bool {
        let rules = self.settings.choices.rules();
        let mut services = [Service::Smtp, Service::Pop3].into_iter();
        services.any(|one| rules.offers_tls(one) || self.tls_port_of(one).is_some())
    }

    fn port_of(&self, service: Service) -> String {
        let server = self.servers.iter().find(|server| server.service == service);
        server.map_or_else(|| "—".to_owned(), |server| ports(&server.addresses))
    }

    fn tls_port_of(&self, service: Service) -> Option<String> {
        let server = self.servers.iter().find(|server| server.service == service)?;
        (!server.tls_addresses.is_empty()).then(|| ports(&server.tls_addresses))
    }
}

/// Whether a text stands for itself in a URL (RFC 3986 section 2.3).
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

const fn security(tls: TlsPolicy) -> &'static str {
    match tls {
        TlsPolicy::None => "None",
        TlsPolicy::Offered | TlsPolicy::Required => "STARTTLS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::server::{Condition, Server};
    use crate::console::state::tests::with_connections;

    fn with(profile: Profile, tls_port: Option<u16>) -> State {
        let mut state = with_connections(0);
        let addresses = |port: u16| vec![([127, 0, 0, 1], port).into()];
        state.servers = vec![Server {
            service: Service::Smtp,
            addresses: addresses(2_500),
            tls_addresses: tls_port.map(addresses).unwrap_or_default(),
            condition: Condition::Running,
        }];
        state.settings.choices.profile = profile;
        state
    }

    #[test]
    fn each_profile_has_settings_of_its_own() {
        let url = |profile, tls_port| with(profile, tls_port).smtp_url("ada", "secret");
        assert_eq!(url(Profile::Rfc821, None), None);
        assert_eq!(url(Profile::Esmtp, None).unwrap(), "SMTP_URL=smtp://localhost:2500");
        assert_eq!(url(Profile::Catch, None).unwrap(), "SMTP_URL=smtp://ada:secret@localhost:2500");
        assert_eq!(
            url(Profile::Submission, Some(4_650)).unwrap(),
            "SMTP_URL=smtps://ada:secret@localhost:4650"
        );
        let smtp = with(Profile::Submission, None).smtp_account();
        assert_eq!((smtp.security, smtp.authentication), ("STARTTLS", "normal password"));
        let smtp = with(Profile::Rfc821, None).smtp_account();
        assert_eq!((&*smtp.port, smtp.security), ("2500", "None"));
        assert_eq!(with(Profile::Rfc821, None).pop3_account().port, "—");
        assert!(with(Profile::Rfc821, Some(1)).offers_tls());
        assert!(!with(Profile::Catch, None).offers_tls());
    }
}
