//! The opening of a connection: greeting, HELO or EHLO, STARTTLS, AUTH (docs/protocol.md 5.4). Does
//! no I/O.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::relay::conversation::extensions::{Extension, Extensions};
use crate::relay::conversation::{Awaited, Command};
use crate::relay::reply::{Class, Reply};
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Diagnosis, Verdict};

/// How the relay introduces itself to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The domain sent with HELO or EHLO.
    pub domain: String,
    /// The command to begin with.
    pub hello: Hello,
    /// Whether TLS is used, required or verified, and the login that follows.
    pub protection: Protection,
}

/// The command that follows the greeting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hello {
    /// HELO (RFC 821): no extensions.
    #[default]
    Helo,
    /// EHLO, then HELO if the host rejects EHLO.
    Ehlo,
}

/// How a connection is protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Protection {
    /// No TLS.
    None,
    /// STARTTLS if the host offers it, with any certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// STARTTLS or no mail, with any certificate.
    Required,
    /// STARTTLS with a certificate verified for the host's name, followed by our login.
    Verified(Login),
    /// Implicit TLS (RFC 8314 section 3.3). Without a login any certificate is accepted; with one
    /// it must be verified for the host's name.
    FromTheStart(Option<Login>),
    /// As a person has chosen it for one message: the login is sent whatever the connection is.
    Chosen(ChosenTls, Option<Login>),
}

/// The TLS that a person wants for one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChosenTls {
    /// None.
    None,
    /// STARTTLS if the host offers it, with any certificate.
    #[default]
    IfOffered,
    /// STARTTLS with a certificate verified for the host's name, or nothing is sent.
    Required,
    /// Implicit TLS with a verified certificate.
    FromTheStart,
}

impl Protection {
    /// The login, if one is needed. Unless a person has chosen otherwise, it is only sent over TLS
    /// with a verified certificate.
    const fn login(&self) -> Option<&Login> {
        match self {
            Self::Verified(login) | Self::FromTheStart(Some(login)) => Some(login),
            Self::Chosen(_, login) => login.as_ref(),
            Self::None | Self::Opportunistic | Self::Required | Self::FromTheStart(None) => None,
        }
    }

    /// Whether the TLS handshake comes before the greeting.
    #[must_use]
    pub const fn is_from_the_start(&self) -> bool {
        matches!(self, Self::FromTheStart(_) | Self::Chosen(ChosenTls::FromTheStart, _))
    }

    /// What takes its place where the host offers TLS and it fails: a host whose TLS is broken gets
    /// the mail in the clear, as it would if it did not offer STARTTLS (RFC 7435). `None` where
    /// there is no such place; a password is not sent in the clear because of it.
    #[must_use]
    pub const fn without_broken_tls(&self) -> Option<Self> {
        match self {
            Self::Opportunistic => Some(Self::None),
            Self::Chosen(ChosenTls::IfOffered, None) => Some(Self::Chosen(ChosenTls::None, None)),
            _ => None,
        }
    }
}

/// The user name and password for a smarthost.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password, in the clear.
    pub password: String,
}

/// Debug output goes to logs, so it hides the password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, ******)", self.user)
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this command and feed its reply back.
    Send(Command),
    /// Perform the TLS handshake, then send the command that [`Opening::secured`] returns.
    Handshake,
    /// The opening is complete: transactions may begin.
    Ready(Extensions),
    /// The host accepts no mail from us now. The verdict holds for all recipients.
    Refused(Verdict),
}

/// The state of an opening.
#[derive(Debug)]
pub struct Opening<'a> {
    host: &'a str,
    introduction: &'a Introduction,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Greeting,
    Ehlo(ClientChannel),
    Helo(ClientChannel),
    StartTls(Extensions),
    Auth(Exchange, Extensions),
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientChannel {
    Clear,
    Tls,
}

/// The progress of an AUTH exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// All has been sent; the next reply says whether the login succeeded.
    Complete,
    /// AUTH LOGIN asks for the user name, then for the password.
    User,
    Password,
    /// CRAM-MD5 sends a challenge.
    Challenge,
}

impl<'a> Opening<'a> {
    /// An opening that waits for the greeting of `host`.
    #[must_use]
    pub const fn new(host: &'a str, introduction: &'a Introduction) -> Self {
        Self { host, introduction, stage: Stage::Greeting }
    }

    /// What the next reply is an answer to.
    #[must_use]
    pub const fn awaited(&self) -> Awaited {
        match self.stage {
            Stage::Greeting => Awaited::Greeting,
            Stage::Ehlo(_) | Stage::Helo(_) => Awaited::Hello,
            Stage::StartTls(_) => Awaited::StartTls,
            Stage::Auth(..) => Awaited::Auth,
        }
    }

    /// Takes the next reply and returns the next step.
    pub fn reply(&mut self, reply: &Reply) -> Step {
        // 421 may be the reply to any command (RFC 5321 section 3.8).
        if reply.code() == 421 {
            return self.refused(reply);
        }
        match &self.stage {
            Stage::Greeting => self.greeted(reply),
            Stage::Ehlo(channel) => self.answered_ehlo(*channel, reply),
            Stage::Helo(channel) => self.answered_helo(*channel, reply),
            Stage::StartTls(extensions) => self.answered_starttls(extensions.clone(), reply),
            Stage::Auth(exchange, extensions) => {
                self.answered_auth(*exchange, extensions.clone(), reply)
            }
        }
    }

    /// To be called after the TLS handshake. Returns the EHLO that begins again, because everything
    /// said before the handshake must be discarded (RFC 3207 section 4.2).
    pub fn secured(&mut self) -> Command {
        self.ehlo(ClientChannel::Tls)
    }

    fn greeted(&mut self, reply: &Reply) -> Step {
        if reply.class() != Class::Completion {
            return self.refused(reply);
        }
        let Introduction { hello, protection, .. } = self.introduction;
        let is_secure = protection.is_from_the_start();
        let channel = if is_secure { ClientChannel::Tls } else { ClientChannel::Clear };
        // STARTTLS and AUTH are extensions, so they need EHLO.
        let needs_ehlo = *protection == Protection::Required || protection.login().is_some();
        match hello {
            Hello::Helo if !needs_ehlo => Step::Send(self.helo(channel)),
            _ => Step::Send(self.ehlo(channel)),
        }
    }

    fn ehlo(&mut self, channel: ClientChannel) -> Command {
        self.stage = Stage::Ehlo(channel);
        Command::open(format!("EHLO {}", self.introduction.domain))
    }

    fn helo(&mut self, channel: ClientChannel) -> Command {
        self.stage = Stage::Helo(channel);
        Command::open(format!("HELO {}", self.introduction.domain))
    }

    fn answered_ehlo(&mut self, channel: ClientChannel, reply: &Reply) -> Step {
        match reply.class() {
            Class::Completion => self.introduced(channel, Extensions::of_reply(reply)),
            // An old host that does not know EHLO.
            Class::Permanent if self.may_be_old(reply) => Step::Send(self.helo(channel)),
            Class::Permanent | Class::Intermediate | Class::Transient => self.refused(reply),
        }
    }

    /// Whether a reply to EHLO may only mean that the host does not know it. Mail that goes on by
    /// itself tries HELO after any; a person who sends a message is told what a host says.
    const fn may_be_old(&self, reply: &Reply) -> bool {
        match self.introduction.protection {
            Protection::Chosen(..) => matches!(reply.code(), 500 | 502),
            _ => true,
        }
    }

    fn answered_helo(&mut self, channel: ClientChannel, reply: &Reply) -> Step {
        match reply.class() {
            Class::Completion => self.introduced(channel, Extensions::default()),
            _ => self.refused(reply),
        }
    }

    fn introduced(&mut self, channel: ClientChannel, extensions: Extensions) -> Step {
        let offered = extensions.offer(Extension::StartTls);
        let protection = &self.introduction.protection;
        match (protection, channel) {
            (_, ClientChannel::Tls) | (Protection::Chosen(ChosenTls::None, _), _) => {
                self.logged_in(extensions)
            }
            (Protection::Chosen(ChosenTls::IfOffered, _), _) if !offered => {
                self.logged_in(extensions)
            }
            (Protection::Chosen(ChosenTls::Required, _), _) if !offered => {
                self.without(Status::NO_TLS, "offers no STARTTLS, and --tls required insists on it")
            }
            (Protection::Verified(_), _) if !offered => self.without(
                Status::NO_TLS,
                "offers no STARTTLS, and a password is sent over TLS only",
            ),
            (Protection::Required, _) if !offered => self.without(
                Status::NO_TLS,
                "offers no STARTTLS, and --smarthost-tls starttls insists on it",
            ),
            (Protection::None | Protection::FromTheStart(_), _) => Step::Ready(extensions),
            (Protection::Opportunistic, _) if !offered => Step::Ready(extensions),
            (
                Protection::Opportunistic
                | Protection::Required
                | Protection::Verified(_)
                | Protection::Chosen(..),
                _,
            ) => {
                self.stage = Stage::StartTls(extensions);
                Step::Send(Command::open("STARTTLS".to_owned()))
            }
        }
    }

    fn answered_starttls(&mut self, extensions: Extensions, reply: &Reply) -> Step {
        match (reply.class(), &self.introduction.protection) {
            (Class::Completion, _) => Step::Handshake,
            (
                _,
                Protection::Verified(_)
                | Protection::Required
                | Protection::Chosen(ChosenTls::Required, _),
            ) => self.deferred(reply, Status::NO_TLS),
            (_, Protection::Chosen(..)) => self.logged_in(extensions),
            // Opportunistic TLS: the host refuses STARTTLS although it offers it; the mail goes in
            // the clear.
            _ => Step::Ready(extensions),
        }
    }

    /// The host is introduced, and protected as it is to be: what is left is our login, if any.
    fn logged_in(&mut self, extensions: Extensions) -> Step {
        match self.introduction.protection.login() {
            Some(login) => self.log_in(login, extensions),
            None => Step::Ready(extensions),
        }
    }

    fn log_in(&mut self, login: &Login, extensions: Extensions) -> Step {
        if extensions.offer(Extension::AuthPlain) {
            self.stage = Stage::Auth(Exchange::Complete, extensions);
            // RFC 4616: an empty authorization identity, the user name, the password.
            let secret = format!("\0{}\0{}", login.user, login.password);
            return Step::Send(Command::secret("AUTH PLAIN ", &encoded(&secret)));
        }
        if extensions.offer(Extension::AuthLogin) {
            self.stage = Stage::Auth(Exchange::User, extensions);
            return Step::Send(Command::open("AUTH LOGIN".to_owned()));
        }
        if extensions.offer(Extension::AuthCramMd5) {
            self.stage = Stage::Auth(Exchange::Challenge, extensions);
            return Step::Send(Command::open("AUTH CRAM-MD5".to_owned()));
        }
        self.without(Status::NO_LOGIN, "offers none of AUTH PLAIN, AUTH LOGIN and AUTH CRAM-MD5")
    }

    fn answered_auth(&mut self, exchange: Exchange, extensions: Extensions, reply: &Reply) -> Step {
        // Cannot happen: AUTH is only sent with a login.
        let Some(login) = self.introduction.protection.login() else {
            return self.refused(reply);
        };
        let (answer, next) = match (exchange, reply.class()) {
            (Exchange::Complete, Class::Completion) => return Step::Ready(extensions),
            (Exchange::User, Class::Intermediate) => (login.user.clone(), Exchange::Password),
            (Exchange::Password, Class::Intermediate) => {
                (login.password.clone(), Exchange::Complete)
            }
            (Exchange::Challenge, Class::Intermediate) => match answer(login, reply) {
                Some(answer) => (answer, Exchange::Complete),
                None => return self.unexpected(reply),
            },
            // The operator can correct a wrong password, so the mail is deferred, not lost.
            _ => return self.deferred(reply, Status::NO_LOGIN),
        };
        self.stage = Stage::Auth(next, extensions);
        Step::Send(Command::secret("", &encoded(&answer)))
    }

    /// Before MAIL a host refuses the connection or the client, never the mail, so that even a 554
    /// or 521 only defers: hosts send these to a client with too many connections and while they
    /// are being set up.
    fn refused(&self, reply: &Reply) -> Step {
        match reply.class() {
            Class::Permanent | Class::Transient => {
                self.deferred(reply, reply.status().made_transient())
            }
            Class::Completion | Class::Intermediate => self.unexpected(reply),
        }
    }

    fn deferred(&self, reply: &Reply, status: Status) -> Step {
        let diagnosis = Diagnosis { status, ..Diagnosis::of_reply(self.host, reply) };
        Step::Refused(Verdict::Deferred(diagnosis, Again::NextHost))
    }

    fn without(&self, status: Status, lack: &str) -> Step {
        let reason = format!("{} {lack}", self.host);
        Step::Refused(Verdict::deferred(status, Again::NextHost, &reason))
    }

    fn unexpected(&self, reply: &Reply) -> Step {
        let reason = format!(
            "{}: unexpected reply to {}: {}",
            self.host,
            self.awaited(),
            reply.in_one_line()
        );
        Step::Refused(Verdict::deferred(Status::PROTOCOL, Again::NextHost, &reason))
    }
}

fn encoded(secret: &str) -> String {
    BASE64_STANDARD.encode(secret)
}

/// The answer to a challenge of CRAM-MD5 (RFC 2195): the user, and a digest that only somebody who
/// knows the password can make. `None` if the challenge is none.
fn answer(login: &Login, reply: &Reply) -> Option<String> {
    let challenge = BASE64_STANDARD.decode(reply.texts().first()?.trim_ascii()).ok()?;
    let mut digest = Hmac::<Md5>::new_from_slice(login.password.as_bytes()).ok()?;
    digest.update(&challenge);
    let digest = u128::from_be_bytes(digest.finalize().into_bytes().into());
    Some(format!("{} {digest:032x}", login.user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(hello: Hello, protection: Protection) -> Introduction {
        Introduction { domain: "relay.example".to_owned(), hello, protection }
    }

    fn login() -> Protection {
        Protection::Verified(Login { user: "linh".to_owned(), password: "cis505".to_owned() })
    }

    /// An opening and its last step.
    struct Talk<'a>(Opening<'a>, Option<Step>);

    impl<'a> Talk<'a> {
        fn with(introduction: &'a Introduction) -> Self {
            Self(Opening::new("mx.example", introduction), None)
        }

        #[track_caller]
        fn hears(mut self, reply: &str) -> Self {
            self.1 = Some(self.0.reply(&Reply::of_wire(&format!("{reply}\r\n"))));
            self
        }

        #[track_caller]
        fn says(self, line: &str) -> Self {
            match &self.1 {
                Some(Step::Send(command)) => assert_eq!(command.line(), line),
                step => panic!("{step:?} instead of {line}"),
            }
            self
        }

        #[track_caller]
        fn shakes_hands(mut self) -> Self {
            assert_eq!(self.1, Some(Step::Handshake));
            self.1 = Some(Step::Send(self.0.secured()));
            self
        }

        #[track_caller]
        fn then_it_is_ready(self) {
            assert!(matches!(self.1, Some(Step::Ready(_))), "{:?}", self.1);
        }

        #[track_caller]
        fn then_it_is_refused(self, reason: &str) -> Verdict {
            let Some(Step::Refused(verdict)) = self.1 else {
                panic!("{:?}", self.1);
            };
            assert_eq!(verdict.diagnosis().reason.as_str(), reason);
            verdict
        }
    }

    #[test]
    fn it_says_helo_and_is_ready() {
        let introduction = introduction(Hello::Helo, Protection::Opportunistic);
        Talk::with(&introduction)
            .hears("220 mx.example ESMTP")
            .says("HELO relay.example")
            .hears("250-mx.example\r\n250 STARTTLS")
            .then_it_is_ready();
    }

    #[test]
    fn a_host_that_does_not_know_ehlo_is_greeted_with_helo() {
        let introduction = introduction(Hello::Ehlo, Protection::Opportunistic);
        Talk::with(&introduction)
            .hears("220 mx.example")
            .says("EHLO relay.example")
            .hears("502 what?")
            .says("HELO relay.example")
            .hears("250 mx.example")
            .then_it_is_ready();
    }

    #[test]
    fn starttls_is_used_if_it_is_offered_and_what_was_offered_before_it_is_forgotten() {
        let introduction = introduction(Hello::Ehlo, Protection::Opportunistic);
        let talk = Talk::with(&introduction)
            .hears("220 mx.example")
            .hears("250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS")
            .says("STARTTLS")
            .hears("220 go ahead")
            .shakes_hands()
            .says("EHLO relay.example")
            .hears("250-mx.example\r\n250 8BITMIME");
        let Some(Step::Ready(extensions)) = &talk.1 else {
            panic!("{:?}", talk.1);
        };
        assert!(!extensions.offer(Extension::Pipelining));
        assert!(extensions.offer(Extension::EightBitMime));
    }

    #[test]
    fn a_host_that_takes_its_offer_of_tls_back_gets_the_mail_in_the_clear() {
        let introduction = introduction(Hello::Ehlo, Protection::Opportunistic);
        Talk::with(&introduction)
            .hears("220 mx.example")
            .hears("250-mx.example\r\n250 STARTTLS")
            .hears("454 TLS not available")
            .then_it_is_ready();
    }

    #[test]
    fn a_greeting_refuses_this_connection_and_no_mail() {
        let introduction = introduction(Hello::Helo, Protection::None);
        let verdict = Talk::with(&introduction)
            .hears("554 5.7.1 too many connections")
            .then_it_is_refused("554 5.7.1 too many connections");
        assert!(matches!(verdict, Verdict::Deferred(_, Again::NextHost)));
        assert_eq!(verdict.diagnosis().status.to_string(), "4.7.1");
        let verdict = Talk::with(&introduction).hears("521 no").then_it_is_refused("521 no");
        assert_eq!(verdict.diagnosis().status.to_string(), "4.0.0");
        let verdict = Talk::with(&introduction).hears("421 busy").then_it_is_refused("421 busy");
        assert!(matches!(verdict, Verdict::Deferred(_, Again::NextHost)));
        let verdict = Talk::with(&introduction)
            .hears("354 what?")
            .then_it_is_refused("mx.example: unexpected reply to the connection: 354 what?");
        assert!(matches!(verdict, Verdict::Deferred(_, Again::NextHost)));
    }

    #[test]
    fn helo_refuses_as_the_greeting_does() {
        let introduction = introduction(Hello::Helo, Protection::None);
        let talk = || Talk::with(&introduction).hears("220 mx.example");
        let verdict = talk().hears("550 go away").then_it_is_refused("550 go away");
        assert!(matches!(verdict, Verdict::Deferred(_, Again::NextHost)));
        let verdict = talk().hears("450 later").then_it_is_refused("450 later");
        assert!(matches!(verdict, Verdict::Deferred(..)));
    }

    #[test]
    fn a_password_is_sent_over_tls_only() {
        let introduction = introduction(Hello::Helo, login());
        Talk::with(&introduction)
            .hears("220 smart.example")
            .says("EHLO relay.example")
            .hears("250-smart.example\r\n250 AUTH PLAIN")
            .then_it_is_refused(
                "mx.example offers no STARTTLS, and a password is sent over TLS only",
            );
        Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("500 what?")
            .says("HELO relay.example")
            .hears("250 smart.example")
            .then_it_is_refused(
                "mx.example offers no STARTTLS, and a password is sent over TLS only",
            );
    }

    #[test]
    fn auth_plain_logs_in_with_one_line_that_nobody_is_shown() {
        let introduction = introduction(Hello::Helo, login());
        let talk = Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("250-smart.example\r\n250 STARTTLS")
            .hears("220 go ahead")
            .shakes_hands()
            .hears("250-smart.example\r\n250 AUTH LOGIN PLAIN")
            .says("AUTH PLAIN AGxpbmgAY2lzNTA1");
        assert_eq!(format!("{:?}", talk.1), "Some(Send(AUTH PLAIN ******))");
        assert!(!format!("{:?}", talk.0).contains("cis505"));
        talk.hears("235 welcome").then_it_is_ready();
    }

    #[test]
    fn auth_login_logs_in_where_there_is_no_plain() {
        let introduction = introduction(Hello::Helo, login());
        Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("250-smart.example\r\n250 STARTTLS")
            .hears("220 go ahead")
            .shakes_hands()
            .hears("250-smart.example\r\n250 AUTH LOGIN")
            .says("AUTH LOGIN")
            .hears("334 VXNlcm5hbWU6")
            .says("bGluaA==")
            .hears("334 UGFzc3dvcmQ6")
            .says("Y2lzNTA1")
            .hears("235 welcome")
            .then_it_is_ready();
    }

    #[test]
    fn tls_that_is_required_is_had_or_no_mail_goes() {
        let introduction = introduction(Hello::Helo, Protection::Required);
        Talk::with(&introduction)
            .hears("220 smart.example")
            .says("EHLO relay.example")
            .hears("250-smart.example\r\n250 STARTTLS")
            .says("STARTTLS")
            .hears("220 go ahead")
            .shakes_hands()
            .hears("250 smart.example")
            .then_it_is_ready();
        let verdict = Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("250 smart.example")
            .then_it_is_refused(
                "mx.example offers no STARTTLS, and --smarthost-tls starttls insists on it",
            );
        assert!(matches!(verdict, Verdict::Deferred(..)));
        let verdict = Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("250-smart.example\r\n250 STARTTLS")
            .hears("454 not now")
            .then_it_is_refused("454 not now");
        assert_eq!(verdict.diagnosis().status, Status::NO_TLS);
    }

    #[test]
    fn where_tls_stands_from_the_start_nobody_asks_for_it() {
        let Protection::Verified(user) = login() else { panic!("no login") };
        let with_login = introduction(Hello::Helo, Protection::FromTheStart(Some(user)));
        Talk::with(&with_login)
            .hears("220 smart.example")
            .says("EHLO relay.example")
            .hears("250-smart.example\r\n250-STARTTLS\r\n250 AUTH PLAIN")
            .says("AUTH PLAIN AGxpbmgAY2lzNTA1")
            .hears("235 welcome")
            .then_it_is_ready();
        let without = introduction(Hello::Helo, Protection::FromTheStart(None));
        Talk::with(&without)
            .hears("220 smart.example")
            .says("HELO relay.example")
            .hears("250 smart.example")
            .then_it_is_ready();
    }

    #[test]
    fn a_wrong_password_fails_no_mail() {
        let introduction = introduction(Hello::Helo, login());
        let verdict = Talk::with(&introduction)
            .hears("220 smart.example")
            .hears("250-smart.example\r\n250 STARTTLS")
            .hears("220 go ahead")
            .shakes_hands()
            .hears("250-smart.example\r\n250 AUTH PLAIN")
            .hears("535 5.7.8 no")
            .then_it_is_refused("535 5.7.8 no");
        assert!(matches!(verdict, Verdict::Deferred(..)));
    }

    fn chosen(tls: ChosenTls, login: Option<Login>) -> Introduction {
        introduction(Hello::Ehlo, Protection::Chosen(tls, login))
    }

    fn tim() -> Login {
        Login { user: "tim".to_owned(), password: "tanstaaftanstaaf".to_owned() }
    }

    #[test]
    fn a_challenge_is_answered_as_in_rfc_2195() {
        let introduction = chosen(ChosenTls::None, Some(tim()));
        let talk = || {
            Talk::with(&introduction)
                .hears("220 mx.example")
                .hears("250-mx.example\r\n250-STARTTLS\r\n250 AUTH CRAM-MD5")
                .says("AUTH CRAM-MD5")
        };
        let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        let answered = talk()
            .hears(&format!("334 {challenge}"))
            .says("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
        assert_eq!(format!("{:?}", answered.1), "Some(Send(******))");
        answered.hears("235 yes").then_it_is_ready();
        talk().hears("334 ?").then_it_is_refused("mx.example: unexpected reply to AUTH: 334 ?");
        talk().hears("535 no").then_it_is_refused("535 no");
    }

    #[test]
    fn what_a_person_has_chosen_is_done() {
        let offers = "250-mx.example\r\n250-AUTH PLAIN\r\n250 STARTTLS";
        let (none, tims) = (chosen(ChosenTls::None, None), chosen(ChosenTls::None, Some(tim())));
        let if_offered = chosen(ChosenTls::IfOffered, Some(tim()));
        let required = chosen(ChosenTls::Required, None);
        let from_the_start = chosen(ChosenTls::FromTheStart, None);
        let talk = |introduction| Talk::with(introduction).hears("220 mx.example").hears(offers);
        let plain = "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm";
        talk(&none).then_it_is_ready();
        talk(&tims).says(plain);
        let secured = talk(&if_offered).says("STARTTLS").hears("220 go").shakes_hands();
        secured.hears(offers).says(plain).hears("235 yes").then_it_is_ready();
        talk(&if_offered).hears("454 not now").says(plain);
        talk(&required).says("STARTTLS").hears("454 not now").then_it_is_refused("454 not now");
        Talk::with(&required)
            .hears("220 x")
            .hears("250 x")
            .then_it_is_refused("mx.example offers no STARTTLS, and --tls required insists on it");
        Talk::with(&if_offered).hears("220 x").hears("250 AUTH").then_it_is_refused(
            "mx.example offers none of AUTH PLAIN, AUTH LOGIN and AUTH CRAM-MD5",
        );
        talk(&from_the_start).then_it_is_ready();
    }

    #[test]
    fn a_person_is_told_why_ehlo_is_refused() {
        let introduction = chosen(ChosenTls::IfOffered, None);
        let talk = || Talk::with(&introduction).hears("220 mx.example");
        talk().hears("500 what?").says("HELO relay.example");
        talk().hears("502 no").says("HELO relay.example");
        talk().hears("504 no").then_it_is_refused("504 no");
        talk().hears("554 go away").then_it_is_refused("554 go away");
    }
}
