//! The reply to EHLO (RFC 5321 section 4.1.1.1).

use enumset::EnumSet;

use crate::servers::extensions::{Offer, SmtpExtension};
use crate::servers::limits::RECIPIENTS;
use crate::servers::sasl::Mechanism;
use crate::servers::session::Reply;

/// What a client is offered at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offers {
    /// The extensions. AUTH is offered only with a mechanism.
    pub(super) extensions: EnumSet<SmtpExtension>,
    /// The mechanisms of AUTH.
    pub(super) mechanisms: EnumSet<Mechanism>,
}

impl Offers {
    /// The reply: the domain, then a line for each extension; `message_most` in octets.
    pub(super) fn reply(self, domain: &str, message_most: u64) -> Reply {
        let keywords = self.extensions.iter().filter_map(|one| self.keyword(one, message_most));
        let lines: Vec<String> = [domain.to_owned()].into_iter().chain(keywords).collect();
        let last = lines.len() - 1;
        let line = |(nth, text): (usize, String)| {
            let sign = if nth == last { ' ' } else { '-' };
            format!("250{sign}{text}").into_bytes()
        };
        let lines: Vec<Vec<u8>> = lines.into_iter().enumerate().map(line).collect();
        Reply::of_lines(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn keyword(self, extension: SmtpExtension, message_most: u64) -> Option<String> {
        let name = extension.name();
        Some(match extension {
            SmtpExtension::Size => format!("{name} {message_most}"),
            SmtpExtension::Limits => format!("{name} RCPTMAX={RECIPIENTS}"),
            SmtpExtension::Auth if self.mechanisms.is_empty() => return None,
            SmtpExtension::Auth => {
                let names: Vec<&str> = self.mechanisms.iter().map(Mechanism::name).collect();
                format!("{name} {}", names.join(" "))
            }
            _ => name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(extensions: EnumSet<SmtpExtension>, mechanisms: EnumSet<Mechanism>) -> String {
        let reply = Offers { extensions, mechanisms }.reply("localhost", 1_000);
        String::from_utf8(reply.bytes().to_vec()).unwrap()
    }

    #[test]
    fn each_keyword_has_a_line_and_the_last_line_has_no_hyphen() {
        assert_eq!(reply(EnumSet::empty(), EnumSet::all()), "250 localhost");
        let auth = SmtpExtension::Size | SmtpExtension::Auth;
        assert_eq!(reply(auth, EnumSet::empty()), "250-localhost\r\n250 SIZE 1000");
        assert_eq!(
            reply(EnumSet::all(), EnumSet::all()),
            "250-localhost\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n\
             250-STARTTLS\r\n250-AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER\r\n250-VRFY\r\n\
             250-HELP\r\n250 LIMITS RCPTMAX=1000"
        );
    }
}
