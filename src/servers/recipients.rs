//! Whom mail is for: what becomes of a forward-path. The rules are data; the mailboxes are looked up
//! in the directory.
//!
//! See docs/protocol.md 3.14.

use std::io;
use std::str::FromStr;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::mail::address::{Domain, ForwardPath, Mailbox};
use crate::mail::machine;
use crate::servers::limits::MAILBOXES;
use crate::store::directory::{Directory, LOCALHOST, Recipient, User};

/// The name that every domain must accept (RFC 5321 section 4.5.1).
const POSTMASTER: &str = "postmaster";

/// Octets of a pattern: as many as a domain has at most (RFC 5321 section 4.5.3.1.2).
const PATTERN_OCTETS: usize = 255;

/// Which recipients are accepted, and whose mailbox they mean. With the default, mail is for those
/// who have a mailbox, or for other domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRules {
    /// Whose mailbox gets what would be refused or queued otherwise; a legal name of a mailbox.
    pub catch_all: Option<Arc<str>>,
    /// Whether a mailbox is made for each new recipient.
    pub accept_any: bool,
    /// As many mailboxes there may be in the directory before no more are made.
    pub mailboxes_most: usize,
    /// Domains that are ours, besides our own.
    pub local_domains: Vec<DomainPattern>,
    /// Whether a message that was redirected is stored without a field that says so.
    pub exact_text: bool,
    /// Who gets mail for `postmaster` where there is no such mailbox.
    pub postmaster: Option<Arc<str>>,
    /// Whether the reply to an unknown user names a remedy.
    pub tells_remedy: bool,
}

impl Default for RecipientRules {
    fn default() -> Self {
        Self {
            catch_all: None,
            accept_any: false,
            mailboxes_most: MAILBOXES,
            local_domains: Vec::new(),
            exact_text: false,
            postmaster: None,
            tells_remedy: false,
        }
    }
}

/// Domains: `*` is any run of characters, also none. Compared without regard to case.
#[derive(Debug, Clone)]
pub struct DomainPattern {
    text: Box<str>,
    regex: Regex,
}

/// The text is no pattern: it is empty, has over 255 octets, or characters that no domain has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a domain, in which * is any run of characters, such as *.example.org")]
pub struct BadPattern;

impl FromStr for DomainPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"*.-_".contains(&byte);
        if text.is_empty() || text.len() > PATTERN_OCTETS || !text.bytes().all(allowed) {
            return Err(BadPattern);
        }
        let pattern = format!("^(?:{})$", regex::escape(text).replace(r"\*", ".*"));
        let regex = RegexBuilder::new(&pattern).case_insensitive(true).build();
        Ok(Self { text: text.into(), regex: regex.map_err(|_| BadPattern)? })
    }
}

impl DomainPattern {
    /// Whether the pattern means this domain.
    #[must_use]
    pub fn matches(&self, domain: &str) -> bool {
        self.regex.is_match(domain)
    }
}

impl PartialEq for DomainPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for DomainPattern {}

/// Where the mail for a recipient goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a mailbox, which exists unless it is the one for all that is caught.
    Mailbox(Recipient),
    /// To a mailbox that is made when the message is stored.
    NewMailbox {
        /// The recipient.
        recipient: Recipient,
        /// How many mailboxes may still be made in the directory as it is now.
        room: usize,
    },
    /// To the relay queue.
    Queue(Mailbox),
}

/// Why a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such mailbox.
    NoSuchUser,
    /// There is none, and the reply is to name a remedy.
    NoSuchUserWithRemedy,
    /// A mailbox of that name cannot be made.
    NoLegalName,
    /// The client may not send to other domains.
    RelayingDenied,
    /// The mailbox cannot be looked up; the client may try again.
    Unknown,
}

/// Where the mail for a recipient goes, or why it is refused.
pub type Decision = Result<Destination, Refusal>;

/// Whether a client may send to other domains through this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaying {
    /// Yes: its mail goes to the relay queue.
    Allowed,
    /// No: it may only send to those who are ours.
    Denied,
}

impl RecipientRules {
    /// Whether a domain is ours: `ours`, one of those named, or an address of this machine.
    #[must_use]
    pub fn is_ours(&self, domain: &Domain, ours: &str) -> bool {
        match domain {
            Domain::Name(name) => name.eq_ignore_ascii_case(ours) || self.names(name),
            // Whatever the machine's name (RFC 1123 section 5.2.17).
            Domain::Literal(address) => address.is_loopback() || machine::has(*address),
            Domain::Number(_) => false,
        }
    }

    fn names(&self, domain: &str) -> bool {
        self.local_domains.iter().any(|pattern| pattern.matches(domain))
    }

    /// Whether `name+tag` means `name`.
    const fn has_plus_addressing(&self) -> bool {
        self.accept_any || self.catch_all.is_some()
    }

    /// The name before the `+`, where such an address means that name.
    fn base<'a>(&self, local_part: &'a str) -> Option<&'a str> {
        let (base, _) = local_part.split_once('+').filter(|_| self.has_plus_addressing())?;
        (!base.is_empty()).then_some(base)
    }

    /// The mailbox that a POP3 client means by `name`, at the server of `ours`: one that exists or,
    /// where a mailbox is made for each new recipient, the one that may be made for its mail.
    #[must_use]
    pub fn mailbox_of(&self, name: &str, ours: &str, directory: &Directory) -> Option<User> {
        directory.mailbox_of(name, ours).or_else(|| {
            let Some((local_part, domain)) = name.rsplit_once('@') else {
                return self.user_if_any(User::of_local_part(name.as_bytes()), directory);
            };
            let is_ours = [ours, LOCALHOST].iter().any(|our| our.eq_ignore_ascii_case(domain));
            let user = if is_ours || self.names(domain) {
                User::of_local_part(local_part.as_bytes())
            } else {
                User::of_address(local_part, domain)
            };
            self.user_if_any(user, directory)
        })
    }

    fn user_if_any(&self, user: Option<User>, directory: &Directory) -> Option<User> {
        user.filter(|user| self.accept_any || directory.has_mailbox(user).unwrap_or(false))
    }
}

/// Decides about the recipients of one server.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    /// The rules.
    pub rules: &'a RecipientRules,
    /// Our own domain.
    pub ours: &'a str,
    /// Where the mailboxes are.
    pub directory: &'a Directory,
}

impl Resolver<'_> {
    /// Decides where the mail for a forward-path goes. Changes nothing.
    pub fn decide(&self, path: &ForwardPath, relaying: impl FnOnce() -> Relaying) -> Decision {
        let decided = match path {
            ForwardPath::Postmaster => self.local(POSTMASTER, &|| POSTMASTER.to_owned()),
            ForwardPath::Mailbox(mailbox) if self.rules.is_ours(&mailbox.domain, self.ours) => {
                self.local(mailbox.local_part.as_str(), &|| mailbox.to_string())
            }
            ForwardPath::Mailbox(mailbox) => self.foreign(mailbox, relaying),
        };
        decided.unwrap_or_else(|error| {
            tracing::error!("a recipient's mailbox cannot be looked up: {error}");
            // Not for good: the sender would give up because our disk failed.
            Err(Refusal::Unknown)
        })
    }

    /// A recipient at a domain of ours; `address` is how the client wrote it.
    fn local(&self, name: &str, address: &dyn Fn() -> String) -> io::Result<Decision> {
        if let Some(user) = self.existing(User::of_local_part(name.as_bytes()))? {
            return Ok(Ok(Destination::Mailbox(user.into())));
        }
        if let Some(recipient) = self.postmaster(name, address)? {
            return Ok(Ok(Destination::Mailbox(recipient)));
        }
        let name = self.rules.base(name).unwrap_or(name);
        self.named(User::of_local_part(name.as_bytes()), address, || {
            Err(if self.rules.tells_remedy {
                Refusal::NoSuchUserWithRemedy
            } else {
                Refusal::NoSuchUser
            })
        })
    }

    /// A recipient at another domain, whose mailbox can have its address as its name.
    fn foreign(
        &self,
        mailbox: &Mailbox,
        relaying: impl FnOnce() -> Relaying,
    ) -> io::Result<Decision> {
        let relayed = || match relaying() {
            Relaying::Allowed => Ok(Destination::Queue(mailbox.clone())),
            Relaying::Denied => Err(Refusal::RelayingDenied),
        };
        if !self.rules.accept_any {
            let caught = self.caught(&|| mailbox.to_string())?;
            return Ok(caught.map_or_else(relayed, Ok));
        }
        let (local_part, domain) = (mailbox.local_part.as_str(), mailbox.domain.to_string());
        if let Some(user) = self.existing(User::of_address(local_part, &domain))? {
            return Ok(Ok(Destination::Mailbox(user.into())));
        }
        let base = self.rules.base(local_part).unwrap_or(local_part);
        // Not to the queue: whoever accepts any recipient wants to see the mail here.
        self.named(User::of_address(base, &domain), &|| mailbox.to_string(), || {
            Err(Refusal::NoLegalName)
        })
    }

    /// A recipient whose mailbox would be that of `user`, if that is a legal name: the one that
    /// exists, a new one, the one for all that is caught, or what `otherwise` says.
    fn named(
        &self,
        user: Option<User>,
        address: &dyn Fn() -> String,
        otherwise: impl FnOnce() -> Decision,
    ) -> io::Result<Decision> {
        // With plus addressing it may be another than that of the whole name.
        if let Some(user) = self.existing(user.clone())? {
            return Ok(Ok(Destination::Mailbox(user.into())));
        }
        if let Some(user) = user.filter(|_| self.rules.accept_any) {
            return self.made(user).map(Ok);
        }
        match self.caught(address)? {
            Some(destination) => Ok(Ok(destination)),
            None if self.rules.accept_any => Ok(Err(Refusal::NoLegalName)),
            None => Ok(otherwise()),
        }
    }

    fn made(&self, user: User) -> io::Result<Destination> {
        let most = self.rules.mailboxes_most;
        let room = most.saturating_sub(self.directory.count_mailboxes(most)?);
        let recipient = Recipient { made_below: Some(most), ..user.into() };
        Ok(Destination::NewMailbox { recipient, room })
    }

    /// The mailbox for all that is caught, if there is one.
    fn caught(&self, address: &dyn Fn() -> String) -> io::Result<Option<Destination>> {
        let name = self.rules.catch_all.as_deref();
        let Some(user) = name.and_then(|name| User::of_local_part(name.as_bytes())) else {
            return Ok(None);
        };
        // If it was removed since the start, it is made again: nothing may leave or be refused.
        let made_below = (!self.directory.has_mailbox(&user)?).then_some(usize::MAX);
        let recipient = Recipient { made_below, ..self.redirected(user, address()) };
        Ok(Some(Destination::Mailbox(recipient)))
    }

    /// Who gets mail for postmaster (RFC 5321 section 4.5.1: in any case).
    fn postmaster(
        &self,
        name: &str,
        address: &dyn Fn() -> String,
    ) -> io::Result<Option<Recipient>> {
        let Some(stand_in) = &self.rules.postmaster else { return Ok(None) };
        if !name.eq_ignore_ascii_case(POSTMASTER) {
            return Ok(None);
        }
        if let Some(user) = self.existing(User::of_local_part(POSTMASTER.as_bytes()))? {
            return Ok(Some(user.into()));
        }
        let user = self.existing(User::of_local_part(stand_in.as_bytes()))?;
        Ok(user.map(|user| self.redirected(user, address())))
    }

    fn redirected(&self, user: User, address: String) -> Recipient {
        let redirected = (!self.rules.exact_text).then(|| address.into());
        Recipient { redirected, ..user.into() }
    }

    fn existing(&self, user: Option<User>) -> io::Result<Option<User>> {
        let Some(user) = user else { return Ok(None) };
        Ok(self.directory.has_mailbox(&user)?.then_some(user))
    }
}

#[cfg(test)]
mod tests;
