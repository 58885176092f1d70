//! The rules of an SMTP session (RFC 821 section 4.1.4, and the extensions that are offered): which
//! command is allowed when, and the transaction so far. Does no I/O.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use crate::mail::address::{Domain, ForwardPath, Mailbox, ReversePath};
use crate::mail::dsn::RecipientDsn;
use crate::servers::credentials::Credentials;
use crate::servers::exposure::Exposure;
use crate::servers::extensions::SmtpExtension;
use crate::servers::limits::{AUTH_LINE_OCTETS, RECIPIENTS};
use crate::servers::profile::{AuthPolicy, Rules, SmtpRules, TlsPolicy};
use crate::servers::recipients::Decision;
use crate::servers::sasl::{Exchange, Mechanism};
use crate::servers::session::{Farewell, Known, Reply, Session, Step};
use crate::servers::settings::Settings;
use crate::servers::smtp::command::{self, ChunkSize, Dialect, SmtpCommand};
use crate::servers::smtp::ehlo::Offers;
use crate::servers::smtp::parameters::MailArguments;
use crate::servers::smtp::refusal::SmtpRefusal;
use crate::servers::smtp::reply::{self, SmtpReply, StatusCodes};
use crate::servers::smtp::transaction::Transaction;
use crate::wire::line::LINE_OCTETS;

/// Work that the session asks its service for.
#[derive(Debug, PartialEq, Eq)]
pub enum SmtpEffect {
    /// Decide where the mail for a recipient goes. Boxed, because every connection reserves room for
    /// the largest effect.
    Recipient(Box<ForwardPath>),
    /// Store the received message text for all recipients, or for none.
    Deliver(Box<Transaction>),
    /// Make a challenge that has never been sent, for CRAM-MD5.
    Challenge,
    /// Check a login.
    LogIn(Box<Credentials>),
}

/// The result of an effect.
#[derive(Debug, PartialEq, Eq)]
pub enum SmtpOutcome {
    /// Where the mail for the recipient goes, or why it is refused.
    Recipient(Decision),
    /// The result of storing the message.
    Delivery(Delivery),
    /// The challenge.
    Challenge(String),
    /// The client is who it says.
    LoggedIn,
    /// It is not.
    LoginRefused,
}

/// The result of storing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The message is on disk for every recipient.
    Stored,
    /// The message is over the size limit.
    TooLarge,
    /// There is no disk space for it.
    NoSpace,
    /// A mailbox was to be made for it, and others have been made meanwhile.
    TooManyMailboxes,
    /// Another program keeps a mailbox locked.
    Busy,
    /// Any other error.
    Failed,
}

/// One SMTP session.
#[derive(Debug)]
pub struct SmtpSession {
    domain: Arc<str>,
    pub(super) settings: Arc<Settings>,
    rules: Arc<Rules>,
    /// The argument of the last HELO or EHLO.
    helo: Arc<str>,
    /// Whether the last of them was EHLO.
    pub(super) is_extended: bool,
    /// Who could overhear what is sent.
    exposure: Exposure,
    pub(super) is_logged_in: bool,
    /// An AUTH exchange that is going on. Boxed, because few connections have one.
    pub(super) exchange: Option<Box<Exchange>>,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Before HELO.
    Greeted,
    /// After HELO, between transactions.
    Ready,
    /// After MAIL. Boxed, because every connection reserves room for the largest state and most
    /// connections are in another one.
    Transaction(Box<Transaction>),
    /// Message text is being received or stored.
    Data,
}

impl SmtpSession {
    /// A session that introduces itself as `domain`, and goes by these rules.
    #[must_use]
    pub fn new(
        domain: Arc<str>,
        settings: Arc<Settings>,
        rules: Arc<Rules>,
        exposure: Exposure,
    ) -> Self {
        Self {
            domain,
            rules,
            settings,
            helo: Arc::default(),
            is_extended: false,
            exposure,
            is_logged_in: false,
            exchange: None,
            state: State::Greeted,
        }
    }

    pub(super) fn rules(&self) -> SmtpRules {
        self.rules.smtp
    }

    /// What the client may say now.
    fn dialect(&self) -> Dialect {
        let SmtpRules { answers_ehlo, extensions, .. } = self.rules();
        let is_utf8 = match &self.state {
            State::Transaction(transaction) => transaction.parameters.smtputf8,
            State::Greeted | State::Ready | State::Data => false,
        };
        let is_extended = self.is_extended;
        Dialect { answers_ehlo, offers: extensions, is_extended, is_utf8 }
    }

    /// The reply in the form that this client gets.
    pub(super) fn form(&self, reply: SmtpReply) -> Reply {
        reply.with(self.codes())
    }

    pub(super) fn reply(&self, reply: SmtpReply) -> Step<SmtpEffect> {
        Step::Reply(self.form(reply))
    }

    fn codes(&self) -> StatusCodes {
        let is_offered = self.rules().extensions.contains(SmtpExtension::EnhancedStatusCodes);
        if self.is_extended && is_offered { StatusCodes::Enhanced } else { StatusCodes::Basic }
    }

    /// A reply of its own, in the same form.
    pub(super) fn say(&self, code: &str, status: &str, text: &str) -> Reply {
        match self.codes() {
            StatusCodes::Basic => format!("{code} {text}"),
            StatusCodes::Enhanced => format!("{code} {status} {text}"),
        }
        .into()
    }

    fn command(&mut self, command: SmtpCommand) -> Step<SmtpEffect> {
        match command {
            SmtpCommand::Helo(name) => self.helo(&name),
            SmtpCommand::Ehlo(name) => self.ehlo(&name),
            SmtpCommand::Mail(reverse_path, arguments) => self.mail(reverse_path, arguments),
            SmtpCommand::Rcpt(forward_path, dsn) => self.rcpt(forward_path, dsn),
            SmtpCommand::Data => self.data(),
            SmtpCommand::Bdat(size) => self.bdat(size),
            SmtpCommand::Rset => self.reset(),
            SmtpCommand::Noop => self.reply(reply::OK),
            SmtpCommand::Quit => Step::Close(self.goodbye()),
            SmtpCommand::StartTls if self.exposure.is_tls() => self.reply(reply::TLS_ALREADY),
            SmtpCommand::StartTls => Step::Secure(self.form(reply::START_TLS)),
            SmtpCommand::Auth(mechanism, initial) => self.auth(&mechanism, initial.as_deref()),
            SmtpCommand::Vrfy => self.reply(reply::NOT_VERIFIED),
            SmtpCommand::Help => self.help(),
        }
    }

    fn helo(&mut self, name: &str) -> Step<SmtpEffect> {
        self.introduced(name, false);
        Step::Reply(format!("250 {}", self.domain).into())
    }

    fn ehlo(&mut self, name: &str) -> Step<SmtpEffect> {
        self.introduced(name, true);
        Step::Reply(self.offers().reply(&self.domain, self.settings.message_most()))
    }

    /// A repeated HELO ends an open transaction, like RSET (RFC 5321 section 4.1.4).
    fn introduced(&mut self, name: &str, is_extended: bool) {
        self.helo = name.into();
        self.is_extended = is_extended;
        self.state = State::Ready;
    }

    /// What EHLO offers at this moment.
    fn offers(&self) -> Offers {
        let SmtpRules { mut extensions, tls, mechanisms, .. } = self.rules();
        let mechanisms = mechanisms.iter().filter(|mechanism| self.takes(*mechanism)).collect();
        if self.exposure.is_tls() {
            extensions.remove(SmtpExtension::StartTls);
        } else if tls == TlsPolicy::Required {
            extensions.remove(SmtpExtension::Auth);
        }
        Offers { extensions, mechanisms }
    }

    /// Whether the mechanism may be used on this connection: a secret is not asked for where others
    /// could read it.
    pub(super) fn takes(&self, mechanism: Mechanism) -> bool {
        !mechanism.sends_secret() || !self.exposure.is_open() || self.rules().takes_plaintext
    }

    fn goodbye(&self) -> Reply {
        let text = format!("{} Service closing transmission channel", self.domain);
        self.say("221", "2.0.0", &text)
    }

    fn help(&self) -> Step<SmtpEffect> {
        let verbs: Vec<&str> = command::offered(self.dialect()).collect();
        Step::Reply(self.say("214", "2.0.0", &format!("Commands: {}", verbs.join(" "))))
    }

    fn mail(&mut self, reverse_path: ReversePath, arguments: MailArguments) -> Step<SmtpEffect> {
        let MailArguments { size, parameters } = arguments;
        let reply = match self.state {
            _ if self.needs_login() => reply::AUTH_FIRST,
            State::Greeted => reply::HELO_FIRST,
            State::Transaction(_) | State::Data => reply::NESTED_MAIL,
            State::Ready
                if let ReversePath::Mailbox(mailbox) = &reverse_path
                    && self.is_too_long(mailbox) =>
            {
                reply::WRONG_ARGUMENT
            }
            State::Ready if size.is_some_and(|octets| octets > self.settings.message_most()) => {
                reply::TOO_LARGE
            }
            State::Ready => {
                let helo = Arc::clone(&self.helo);
                let transaction = Transaction::new(reverse_path, parameters, helo);
                self.state = State::Transaction(Box::new(transaction));
                reply::SENDER_OK
            }
        };
        self.reply(reply)
    }

    fn needs_login(&self) -> bool {
        self.rules().auth == AuthPolicy::Required && !self.is_logged_in
    }

    fn rcpt(&mut self, forward_path: ForwardPath, dsn: RecipientDsn) -> Step<SmtpEffect> {
        let State::Transaction(transaction) = &mut self.state else {
            return self.reply(reply::MAIL_FIRST);
        };
        if transaction.chunks.is_some() {
            return self.reply(reply::BDAT_ONLY);
        }
        // 452 tells the client to use another transaction for the rest (RFC 5321 section
        // 4.5.3.1.10).
        if transaction.accepted >= RECIPIENTS {
            return self.reply(reply::TOO_MANY_RECIPIENTS);
        }
        transaction.dsn = dsn;
        // Names that no mailbox can have are caught too.
        if let ForwardPath::Mailbox(mailbox) = &forward_path
            && self.is_too_long(mailbox)
            && self.rules.recipients.catch_all.is_none()
        {
            return self.reply(reply::WRONG_ARGUMENT);
        }
        Step::Perform(SmtpEffect::Recipient(Box::new(forward_path)))
    }

    fn data(&mut self) -> Step<SmtpEffect> {
        // The transaction moves into the effect; in all other cases the state is put back.
        match mem::replace(&mut self.state, State::Data) {
            State::Transaction(transaction) if transaction.takes_data() => {
                Step::Text(reply::START_MAIL_INPUT, SmtpEffect::Deliver(transaction))
            }
            state => {
                self.state = state;
                self.reply(match &self.state {
                    State::Transaction(transaction) => transaction.refuses_data(),
                    // Cannot happen: the session takes no command while the effect is being carried
                    // out.
                    State::Greeted | State::Ready | State::Data => reply::MAIL_FIRST,
                })
            }
        }
    }

    fn reset(&mut self) -> Step<SmtpEffect> {
        if !matches!(self.state, State::Greeted) {
            self.state = State::Ready;
        }
        self.reply(reply::OK)
    }

    fn recipient(&mut self, decision: Decision) -> SmtpReply {
        let State::Transaction(transaction) = &mut self.state else {
            // Cannot happen either.
            return reply::MAIL_FIRST;
        };
        match decision {
            Ok(destination) => transaction.add(destination),
            Err(refusal) => reply::refusal(refusal),
        }
    }

    /// Whether the local part of a mailbox at our own domain is over the limit of 64 octets (RFC 5321
    /// section 4.5.3.1.1); those elsewhere may be longer.
    fn is_too_long(&self, mailbox: &Mailbox) -> bool {
        mailbox.local_part.excess() > 0 && is_local(&mailbox.domain, &self.domain)
    }

    /// Refuses a command that has to wait for STARTTLS (RFC 3207 section 4).
    fn before_tls(&self, line: &[u8]) -> Option<Step<SmtpEffect>> {
        const OPEN: [&str; 7] = ["EHLO", "HELO", "NOOP", "RSET", "QUIT", "HELP", "STARTTLS"];
        if self.exposure.is_tls() || self.rules().tls != TlsPolicy::Required {
            return None;
        }
        let verb = command::verb(line)?;
        if OPEN.contains(&verb) {
            return None;
        }
        Some(match SmtpCommand::parse(line, self.dialect()) {
            Ok(SmtpCommand::Bdat(ChunkSize { octets, .. }))
            | Err(SmtpRefusal::ChunkArgument(octets)) => self.dropped(octets, reply::TLS_FIRST),
            Err(SmtpRefusal::Unrecognized) => self.reply(reply::UNRECOGNIZED),
            _ => self.reply(reply::TLS_FIRST),
        })
    }

    fn refused(&self, refusal: SmtpRefusal) -> Step<SmtpEffect> {
        self.reply(match refusal {
            SmtpRefusal::Unrecognized => reply::UNRECOGNIZED,
            SmtpRefusal::NotImplemented => reply::NOT_IMPLEMENTED,
            SmtpRefusal::Argument => reply::WRONG_ARGUMENT,
            SmtpRefusal::ChunkArgument(octets) => {
                return self.dropped(octets, reply::WRONG_ARGUMENT);
            }
            SmtpRefusal::Parameter => reply::PARAMETER,
        })
    }
}

impl Session for SmtpSession {
    type Effect = SmtpEffect;
    type Outcome = SmtpOutcome;

    fn verb(line: &[u8]) -> Option<&'static str> {
        command::verb(line)
    }

    fn greeting(&self) -> Reply {
        format!("220 {} mailconsole service ready", self.domain).into()
    }

    fn line(&mut self, line: &[u8]) -> Step<SmtpEffect> {
        if let Some(mut exchange) = self.exchange.take() {
            let turn = exchange.answer(line);
            return self.turn(exchange, turn);
        }
        if let Some(refusal) = self.before_tls(line) {
            return refusal;
        }
        match SmtpCommand::parse(line, self.dialect()) {
            Ok(command) => self.command(command),
            Err(refusal) => self.refused(refusal),
        }
    }

    fn line_octets(&self, beginning: &[u8]) -> usize {
        let is_auth = || {
            self.rules().extensions.contains(SmtpExtension::Auth)
                && command::verb(beginning) == Some("AUTH")
        };
        if self.exchange.is_some() || beginning.len() > LINE_OCTETS && is_auth() {
            AUTH_LINE_OCTETS
        } else {
            LINE_OCTETS
        }
    }

    fn overlong(&mut self) -> Reply {
        let was_exchange = self.exchange.take().is_some();
        self.form(if was_exchange { reply::AUTH_TOO_LONG } else { reply::TOO_LONG })
    }

    fn is_in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    fn octets_behind(&self, line: &[u8]) -> u64 {
        match SmtpCommand::parse(line, self.dialect()) {
            Ok(SmtpCommand::Bdat(ChunkSize { octets, .. }))
            | Err(SmtpRefusal::ChunkArgument(octets)) => octets,
            _ => 0,
        }
    }

    fn success(&self, verb: Option<&str>) -> Option<Reply> {
        Some(match verb {
            Some("HELO") => format!("250 {}", self.domain).into(),
            Some("EHLO") => self.offers().reply(&self.domain, self.settings.message_most()),
            Some("DATA") => reply::START_MAIL_INPUT,
            Some("QUIT") => self.goodbye(),
            Some("NOOP" | "HELP" | "VRFY") => return None,
            verb => self.form(reply::success(verb)),
        })
    }

    fn abandon(&mut self) {
        if !matches!(self.state, State::Greeted) {
            self.state = State::Ready;
        }
    }

    fn known(&self) -> Known {
        let helo = (!matches!(self.state, State::Greeted)).then(|| self.helo.to_string());
        match &self.state {
            State::Transaction(transaction) => Known { helo, ..transaction.known(&self.domain) },
            State::Greeted | State::Ready | State::Data => Known { helo, ..Known::default() },
        }
    }

    fn resume(&mut self, outcome: SmtpOutcome) -> Step<SmtpEffect> {
        let reply = match outcome {
            SmtpOutcome::Recipient(decision) => self.recipient(decision),
            SmtpOutcome::Delivery(delivery) => {
                self.state = State::Ready;
                verdict(delivery)
            }
            SmtpOutcome::Challenge(text) => return self.challenged(&text),
            SmtpOutcome::LoggedIn => return self.logged_in(),
            SmtpOutcome::LoginRefused => return self.login_refused(),
        };
        self.reply(reply)
    }

    fn secured(&mut self) {
        self.exposure = Exposure::Tls;
        self.helo = Arc::default();
        self.is_extended = false;
        self.is_logged_in = false;
        self.exchange = None;
        self.state = State::Greeted;
    }

    fn farewell(&self, why: Farewell) -> Option<Reply> {
        let (status, text) = match why {
            Farewell::Shutdown => ("4.3.2", "Server shutting down"),
            Farewell::Idle => ("4.4.2", "Idle for too long, closing transmission channel"),
            Farewell::Busy => ("4.3.2", "Too many connections, try again later"),
            Farewell::Operator => ("4.3.2", "Closed by the operator"),
        };
        Some(self.say("421", status, &format!("{} {text}", self.domain)))
    }

    fn state(&self) -> Cow<'static, str> {
        Cow::Borrowed(match &self.state {
            _ if self.exchange.is_some() => "AUTH",
            State::Greeted => "greeted",
            State::Ready if self.is_extended => "EHLO",
            State::Ready => "HELO",
            State::Transaction(transaction) if transaction.chunks.is_some() => "BDAT",
            State::Transaction(transaction) if transaction.accepted == 0 => "MAIL",
            State::Transaction(_) => "RCPT",
            State::Data => "DATA",
        })
    }
}

/// Whether a domain is our own: our domain name or a loopback address literal. Other addresses of
/// the machine are checked by the service.
fn is_local(domain: &Domain, ours: &str) -> bool {
    match domain {
        Domain::Name(name) => name.eq_ignore_ascii_case(ours),
        Domain::Literal(address) => address.is_loopback(),
        Domain::Number(_) => false,
    }
}

const fn verdict(delivery: Delivery) -> SmtpReply {
    match delivery {
        Delivery::Stored => reply::OK,
        Delivery::TooLarge => reply::TOO_LARGE,
        Delivery::NoSpace => reply::NO_SPACE,
        Delivery::TooManyMailboxes => reply::TOO_MANY_MAILBOXES,
        Delivery::Busy => reply::MAILBOX_BUSY,
        Delivery::Failed => reply::LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::profile::Choices;
    use crate::servers::recipients::{Destination, Refusal, Relaying};
    use crate::servers::session::script::Peer;
    use crate::servers::settings::SettingsView;
    use crate::store::directory::{Recipient, User};
    use std::cell::RefCell;
    use std::rc::Rc;

    fn session(choices: Choices) -> SmtpSession {
        let view = SettingsView { choices, message_most: 1_000, ..SettingsView::default() };
        let settings = Arc::new(Settings::new(view));
        let rules = settings.rules();
        SmtpSession::new("localhost".into(), settings, rules, Exposure::Loopback)
    }

    type Delivered = Rc<RefCell<Vec<Transaction>>>;

    /// A server with mailboxes of linhphan, zives and postmaster.
    fn peer(
        relaying: Relaying,
        delivery: Delivery,
    ) -> (Peer<SmtpSession, impl FnMut(SmtpEffect) -> SmtpOutcome>, Delivered) {
        let delivered = Delivered::default();
        let deliveries = Rc::clone(&delivered);
        let perform = move |effect| match effect {
            SmtpEffect::Recipient(path) => SmtpOutcome::Recipient(decide(*path, relaying)),
            SmtpEffect::Deliver(transaction) => {
                deliveries.borrow_mut().push(*transaction);
                SmtpOutcome::Delivery(delivery)
            }
            SmtpEffect::Challenge | SmtpEffect::LogIn(_) => SmtpOutcome::LoginRefused,
        };
        let session = session(Choices::default());
        (Peer::new(session, perform), delivered)
    }

    /// Makes a mailbox for each `new`, with room for two.
    fn decide(path: ForwardPath, relaying: Relaying) -> Decision {
        let name = match path {
            ForwardPath::Postmaster => "postmaster".to_owned(),
            ForwardPath::Mailbox(mailbox) if mailbox.to_string().ends_with("@[192.0.2.1]") => {
                return Err(Refusal::RelayingDenied);
            }
            ForwardPath::Mailbox(mailbox) if !is_local(&mailbox.domain, "localhost") => {
                return match relaying {
                    Relaying::Allowed => Ok(Destination::Queue(mailbox)),
                    Relaying::Denied => Err(Refusal::RelayingDenied),
                };
            }
            ForwardPath::Mailbox(mailbox) => mailbox.local_part.into_string(),
        };
        let user = User::named(&name);
        match &*name {
            "linhphan" | "zives" | "postmaster" => Ok(Destination::Mailbox(user.into())),
            "unreadable" => Err(Refusal::Unknown),
            name if name.starts_with("new") => {
                let recipient = Recipient { made_below: Some(9), ..user.into() };
                Ok(Destination::NewMailbox { recipient, room: 2 })
            }
            _ => Err(Refusal::NoSuchUser),
        }
    }

    /// The users whose mailboxes get the first message.
    fn users(delivered: &Delivered) -> Vec<String> {
        let name = |recipient: &Recipient| recipient.user.name().to_owned();
        delivered.borrow()[0].local.iter().map(name).collect()
    }

    #[test]
    fn as_many_mailboxes_are_made_as_there_is_room_for() {
        let (mut peer, delivered) = peer(Relaying::Denied, Delivery::TooManyMailboxes);
        peer.send("HELO x").expect("250 *");
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        for (name, code) in [
            ("linhphan", "250 OK"),
            ("new1", "250 OK"),
            ("new1", "250 OK"),
            ("new2", "250 OK"),
            ("new3", "452 Requested action not taken: too many mailboxes"),
            ("new2", "250 OK"),
            ("zives", "250 OK"),
        ] {
            peer.send(format!("RCPT TO:<{name}@localhost>")).expect(code);
        }
        peer.send("DATA").expect("452 Requested action not taken: too many mailboxes");
        assert_eq!(users(&delivered), ["linhphan", "new1", "new2", "zives"]);
    }

    /// The same, after HELO, for a client that may relay.
    fn greeted() -> Peer<SmtpSession, impl FnMut(SmtpEffect) -> SmtpOutcome> {
        let (mut peer, _) = peer(Relaying::Allowed, Delivery::Stored);
        peer.send("HELO tester").expect("250 localhost");
        peer
    }

    #[test]
    fn a_mailbox_that_cannot_be_looked_up_is_refused_for_now_only() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO tester").expect("250*");
        peer.send("MAIL FROM:<a@b.org>").expect("250*");
        peer.send("RCPT TO:<unreadable@localhost>").expect("451*");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250*");
    }

    #[test]
    fn a_message_for_two_users() {
        let (mut peer, delivered) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO tester").expect("250 localhost");
        peer.send("MAIL FROM:<ben@localhost>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        peer.send("RCPT TO:<nobody@localhost>").expect("550 *");
        peer.send("RCPT TO:<zives@LOCALHOST>").expect("250 OK");
        peer.send("RCPT TO:<\"linhphan\"@localhost>").expect("250 OK");
        peer.send("DATA").expect("250 OK");
        assert_eq!(users(&delivered), ["linhphan", "zives"]);
        assert_eq!(delivered.borrow()[0].reverse_path.to_string(), "<ben@localhost>");
        peer.send("RCPT TO:<linhphan@localhost>").expect("503 *");
        peer.send("MAIL FROM:<>").expect("250 OK");
        peer.send("QUIT").expect("221 localhost Service closing transmission channel").and_close();
    }

    #[test]
    fn greeting_and_farewells() {
        let session = SmtpSession::new(
            "mail.example".into(),
            Arc::default(),
            Arc::default(),
            Exposure::Loopback,
        );
        assert_eq!(session.greeting().bytes(), b"220 mail.example mailconsole service ready");
        assert_eq!(
            session.farewell(Farewell::Shutdown),
            Some("421 mail.example Server shutting down".to_owned().into())
        );
    }

    #[test]
    fn mail_and_rcpt_and_data_come_in_this_order() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        for line in ["MAIL FROM:<a@b>", "RCPT TO:<linhphan@localhost>", "DATA"] {
            peer.send(line).expect("503 *");
        }
        peer.send("HELO x").expect("250 localhost");
        peer.send("RCPT TO:<linhphan@localhost>").expect("503 *");
        peer.send("DATA").expect("503 *");
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("MAIL FROM:<c@d>").expect("503 *");
        peer.send("DATA").expect("503 *");
        peer.send("RCPT TO:<nobody@localhost>").expect("550 *");
        peer.send("DATA").expect("503 *");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        peer.send("MAIL FROM:<c@d>").expect("503 *");
        peer.send("DATA").expect("250 OK");
    }

    #[test]
    fn noop_rset_and_quit_are_accepted_at_any_time() {
        let (mut peer, _) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("NOOP").expect("250 OK");
        peer.send("RSET").expect("250 OK");
        peer.send("MAIL FROM:<a@b>").expect("503 *");
        peer.send("QUIT").expect("221 *").and_close();
    }

    #[test]
    fn rset_and_helo_forget_the_transaction() {
        for verb in ["RSET", "HELO again"] {
            let mut peer = greeted();
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
            peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
            peer.send(verb).expect("250 *");
            peer.send("DATA").expect("503 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
        }
    }

    #[test]
    fn a_refused_command_changes_nothing() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
        for (line, code) in [
            ("HELO", "501 *"),
            ("EHLO x", "502 Command not implemented"),
            ("BLAH", "500 Syntax error, command unrecognized"),
            ("", "500 *"),
            ("MAIL FROM:<c@d> SIZE=1", "555 *"),
            ("RCPT TO:<a@b> X=Y", "555 *"),
            ("RSET x", "501 *"),
            ("DATA x", "501 *"),
        ] {
            peer.send(line).expect(code);
        }
        peer.send("DATA").expect("250 OK");
    }

    #[test]
    fn a_transaction_ends_with_whatever_data_was_answered() {
        for (delivery, code) in [
            (Delivery::TooLarge, "552 *"),
            (Delivery::NoSpace, "452 *"),
            (Delivery::Busy, "451 *"),
            (Delivery::Failed, "451 *"),
        ] {
            let (mut peer, _) = peer(Relaying::Denied, delivery);
            peer.send("HELO x").expect("250 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
            peer.send("RCPT TO:<linhphan@localhost>").expect("250 OK");
            peer.send("DATA").expect(code);
            peer.send("DATA").expect("503 *");
            peer.send("MAIL FROM:<a@b>").expect("250 OK");
        }
    }

    #[test]
    fn other_domains_are_for_those_who_may_relay() {
        let (mut stranger, _) = peer(Relaying::Denied, Delivery::Stored);
        stranger.send("HELO x").expect("250 *");
        stranger.send("MAIL FROM:<a@b>").expect("250 OK");
        stranger.send("RCPT TO:<friend@example.org>").expect("550 Relaying denied");
        stranger.send("RCPT TO:<linhphan@localhost.>").expect("501 *");

        let (mut neighbour, delivered) = peer(Relaying::Allowed, Delivery::Stored);
        neighbour.send("HELO x").expect("250 *");
        neighbour.send("MAIL FROM:<a@b>").expect("250 OK");
        neighbour.send("RCPT TO:<friend@example.org>").expect("250 OK");
        neighbour.send("RCPT TO:<friend@EXAMPLE.org>").expect("250 OK");
        neighbour.send("RCPT TO:<linhphan@localhost.example.org>").expect("250 OK");
        neighbour.send("RCPT TO:<linhphan@localhost.>").expect("501 *");
        neighbour.send("RCPT TO:<friend@example.org.>").expect("501 *");
        neighbour.send("DATA").expect("250 OK");
        let remote: Vec<String> =
            delivered.borrow()[0].remote.iter().map(|(mailbox, _)| mailbox.to_string()).collect();
        assert_eq!(remote, ["friend@example.org", "linhphan@localhost.example.org"]);
        assert!(delivered.borrow()[0].local.is_empty());
        assert_eq!(&*delivered.borrow()[0].helo, "x");
    }

    #[test]
    fn a_loopback_address_is_this_machine() {
        let (mut peer, delivered) = peer(Relaying::Denied, Delivery::Stored);
        peer.send("HELO x").expect("250 *");
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[127.0.0.1]>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[IPv6:::1]>").expect("250 OK");
        peer.send("RCPT TO:<linhphan@[192.0.2.1]>").expect("550 Relaying denied");
        peer.send("RCPT TO:<Postmaster>").expect("250 OK");
        peer.send("DATA").expect("250 OK");
        assert_eq!(users(&delivered), ["linhphan", "postmaster"]);
    }

    #[test]
    fn a_name_of_65_octets_is_for_other_domains() {
        let long = "u".repeat(65);
        let mut peer = greeted();
        peer.send(format!("MAIL FROM:<{long}@localhost>")).expect("501 *");
        peer.send(format!("MAIL FROM:<{long}@example.org>")).expect("250 OK");
        peer.send(format!("RCPT TO:<{long}@localhost>")).expect("501 *");
        peer.send(format!("RCPT TO:<{long}@example.org>")).expect("250 OK");
    }

    #[test]
    fn the_local_part_is_taken_as_it_is_written() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        peer.send("RCPT TO:<Linhphan@localhost>").expect("550 *");
    }

    #[test]
    fn the_recipient_after_the_thousandth_is_one_too_many() {
        let mut peer = greeted();
        peer.send("MAIL FROM:<a@b>").expect("250 OK");
        for number in 0..1_000 {
            peer.send(format!("RCPT TO:<u{number}@example.org>")).expect("250 OK");
        }
        peer.send("RCPT TO:<linhphan@localhost>").expect("452 *");
        peer.send("RCPT TO:<u0@example.org>").expect("452 *");
        peer.send("DATA").expect("250 OK");
    }
}
