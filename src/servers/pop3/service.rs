//! Carries out the effects of POP3 sessions: opens, lists, reads and updates maildrops. The rules
//! of the protocol are in the session.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::Instant;

use crate::servers::accounts::{Accounts, Identity};
use crate::servers::channel::{Channel, End};
use crate::servers::credentials::{Credentials, Proof};
use crate::servers::exposure::Exposure;
use crate::servers::extensions::Pop3Capability;
use crate::servers::guesses::{Guess, Guesses};
use crate::servers::listener::Server;
use crate::servers::login::{
    Authenticator, fresh_timestamp, hold_back, tell_logged_in, tell_login, tell_refused,
};
use crate::servers::pop3::capabilities::Offers;
use crate::servers::pop3::command::Known;
use crate::servers::pop3::effect::{Pop3Effect, Pop3Outcome};
use crate::servers::pop3::maildrop::{Message, Remaining};
use crate::servers::pop3::reply;
use crate::servers::pop3::session::Pop3Session;
use crate::servers::pop3::top::Top;
use crate::servers::profile::Rules;
use crate::servers::serve::Service;
use crate::servers::session::Reply;
use crate::servers::settings::Settings;
use crate::servers::text::{self, TextSource};
use crate::store::directory::User;
use crate::store::index::{ReadError, UniqueId};
use crate::store::maildrop::{Maildrop, MaildropError, UpdateError};
use crate::store::reader::MessageReader;
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{self, Kind};
use crate::watch::fact::{Fact, Late, MessageName, PackedFact, UID_AT_ONCE_MOST};

/// The line that ends a listing.
const END: Reply = Reply::fixed(".");

/// The POP3 server.
#[derive(Debug)]
pub struct Pop3Server {
    /// The users. Their domain is also our name in the greeting.
    pub accounts: Arc<Accounts>,
    /// The recent wrong passwords, shared by all connections.
    pub guesses: Arc<Guesses>,
    /// What sessions offer, and who may log in.
    pub settings: Arc<Settings>,
}

impl Server for Pop3Server {
    type Session = Pop3Session;
    type Service = Pop3Service;
    const PROTOCOL: event::Service = event::Service::Pop3;

    fn open(&self, peer: SocketAddr) -> (Pop3Session, Pop3Service) {
        let (domain, rules) = (&self.accounts.domain, self.settings.rules());
        let offers = Offers::new(rules.pop3, Exposure::of_plain(peer.ip()));
        let service = Pop3Service {
            accounts: Arc::clone(&self.accounts),
            guesses: Arc::clone(&self.guesses),
            rules,
            peer: peer.ip(),
            wrong_guesses: 0,
            authenticator: None,
            maildrop: None,
        };
        let session = Pop3Session::new(Arc::clone(domain), offers);
        if offers.has(Known::With(Pop3Capability::Apop)) {
            // A greeting that named a long domain twice would have more than 512 octets.
            let host = if domain.len() <= HOST_OCTETS { domain } else { "localhost" };
            return (session.with_timestamp(fresh_timestamp(host)), service);
        }
        (session, service)
    }
}

/// The longest domain that stands in a timestamp.
const HOST_OCTETS: usize = 128;

/// Carries out the effects of one POP3 session.
#[derive(Debug)]
pub struct Pop3Service {
    accounts: Arc<Accounts>,
    guesses: Arc<Guesses>,
    rules: Arc<Rules>,
    peer: IpAddr,
    /// The number of wrong passwords on this connection.
    wrong_guesses: u32,
    /// Checks AUTH and APOP. Boxed and made when it is needed, because few connections use it.
    authenticator: Option<Box<Authenticator>>,
    /// The open and locked maildrop, from PASS to QUIT.
    maildrop: Option<Maildrop>,
}

impl Pop3Service {
    /// Checks the password of USER and PASS, and opens the maildrop.
    async fn login(
        &mut self,
        user: &str,
        password: Vec<u8>,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        let proof = Proof::Password(password);
        let credentials = Credentials { authzid: None, name: user.to_owned(), proof };
        // Checked before the delay, because the delay depends on the result.
        let identity = self.accounts.check(&credentials, &self.rules);
        let known = identity.and_then(|Identity { name, user, .. }| Some((name, user?)));
        let guess = if known.is_some() { Guess::Right } else { Guess::Wrong };
        let (before, now) = (self.wrong_guesses, Instant::now());
        let Ok(delay) = self.guesses.delay(self.peer, before, guess, now) else {
            self.tell_login(user, None, channel.connection_log());
            return Ok(Pop3Outcome::TooManyGuesses);
        };
        hold_back(delay, channel).await?;
        let right = known.as_ref().map(|(name, _)| &**name);
        self.tell_login(user, right, channel.connection_log());
        let Some((name, user)) = known else {
            self.wrong_guesses += 1;
            if self.rules.tells_logins() {
                tell_refused(&credentials.name, channel.connection_log());
            }
            return Ok(Pop3Outcome::LoginRefused);
        };
        self.guesses.forgive(self.peer);
        if self.rules.tells_logins() {
            tell_logged_in(&name, channel.connection_log());
        }
        self.open(&user, channel).await
    }

    /// Checks the credentials of AUTH or APOP, and opens the maildrop.
    async fn prove(
        &mut self,
        credentials: &Credentials,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        let Self { accounts, guesses, rules, peer, authenticator, .. } = self;
        let authenticator = authenticator.get_or_insert_with(|| {
            let (accounts, guesses, rules) =
                (Arc::clone(accounts), Arc::clone(guesses), Arc::clone(rules));
            Box::new(Authenticator::new(accounts, guesses, rules, *peer))
        });
        let identity = authenticator.authenticate(credentials, channel).await?;
        let known = identity.and_then(|Identity { name, user, .. }| Some((name, user?)));
        let right = known.as_ref().map(|(name, _)| &**name);
        self.tell_login(&credentials.name, right, channel.connection_log());
        match known {
            Some((_, user)) => self.open(&user, channel).await,
            None => Ok(Pop3Outcome::LoginRefused),
        }
    }

    fn tell_login(&self, given: &str, right: Option<&str>, log: &ConnectionLog) {
        tell_login(&self.accounts, &self.rules, given, right, log);
    }

    /// Opens the maildrop of a user who has logged in.
    async fn open(&mut self, user: &User, channel: &mut Channel) -> Result<Pop3Outcome, NotDone> {
        let maildrop = channel.unless_ending(self.open_maildrop(user)).await??;
        tracing::info!(target: "pop3", "{}: maildrop locked", user.name());
        let maildrop = self.maildrop.insert(maildrop);
        Ok(Pop3Outcome::Opened {
            mailbox: user.name().to_owned(),
            octets: maildrop.octets(),
            deleted: maildrop.marks(),
        })
    }

    /// Where a mailbox is made for each new recipient, and where anybody may log in, one that is not
    /// there is empty.
    async fn open_maildrop(&self, user: &User) -> Result<Maildrop, MaildropError> {
        let directory = &self.accounts.directory;
        if self.rules.recipients.accept_any || self.rules.takes_any_login {
            directory.open_maildrop_or_none(user).await
        } else {
            directory.open_maildrop(user).await
        }
    }

    fn maildrop(&self) -> Result<&Maildrop, NotDone> {
        self.maildrop.as_ref().ok_or(NotDone::Unreadable(ReadError::Missing))
    }

    async fn unique_ids(
        &self,
        status: &Reply,
        messages: Remaining,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        let ids = channel.unless_ending(self.maildrop()?.unique_ids()).await??;
        let line = |message: Message, line: &mut Vec<u8>| {
            if let Some(id) = ids.get(message.index) {
                let _ = write!(line, "{} {id}", message.index + 1);
            }
        };
        list(status, messages, line, channel).await
    }

    async fn unique_id(&self, index: usize, channel: &mut Channel) -> Result<Pop3Outcome, NotDone> {
        let id = channel.unless_ending(self.maildrop()?.unique_id(index)).await??;
        channel.say(&format!("+OK {} {id}", index + 1).into()).await?;
        Ok(Pop3Outcome::Said)
    }

    async fn retrieve(
        &self,
        status: &Reply,
        index: usize,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        // Opened before the status line, so that an error can still be the reply.
        let maildrop = self.maildrop()?;
        let mut message = channel.unless_ending(maildrop.message(index)).await??;
        channel.say(status).await?;
        let text = text::send(&mut message, channel).await?;
        // What the client does not get whole is not fetched.
        if channel.sends_less() {
            return Ok(Pop3Outcome::Said);
        }
        let log = channel.connection_log();
        log.carried(1);
        let Some(uid_most) = log.facts_wanted().uid_most() else {
            return Ok(Pop3Outcome::Said);
        };
        match text.filter(|text| tells_unique_id(text, maildrop, index)) {
            Some(text) => {
                let parts = [maildrop.mailbox().as_bytes(), &text];
                let fact = PackedFact { parts: &parts, unpack: fetched };
                log.observers().tell_packed(Some(log.name()), fact);
            }
            None => {
                for name in names_of(maildrop, &[index], uid_most).await {
                    log.tell_fact(|| Fact::Fetched(name));
                }
            }
        }
        Ok(Pop3Outcome::Said)
    }

    async fn top(
        &self,
        index: usize,
        lines: u64,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        let maildrop = self.maildrop()?;
        let message = channel.unless_ending(maildrop.message(index)).await??;
        channel.say(&reply::TOP).await?;
        let mut source = TopSource { message, top: Top::of(lines), maildrop, index };
        text::send(&mut source, channel).await?;
        Ok(Pop3Outcome::Said)
    }

    async fn update(
        &mut self,
        deleted: Vec<usize>,
        log: &ConnectionLog,
    ) -> Result<Pop3Outcome, NotDone> {
        if let Some(maildrop) = self.maildrop.take() {
            // Before the update: afterwards nobody can read them any more.
            let names = match log.facts_wanted().uid_most() {
                Some(uid_most) => names_of(&maildrop, &deleted, uid_most).await,
                None => Vec::new(),
            };
            // Not within `unless_ending`: an update that has begun is completed (docs/protocol.md
            // 1.11).
            maildrop.update(deleted).await?;
            for name in names {
                log.tell_fact(|| Fact::Deleted(name));
            }
        }
        Ok(Pop3Outcome::Updated)
    }

    async fn do_it(
        &mut self,
        effect: Pop3Effect,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, NotDone> {
        match effect {
            Pop3Effect::Login { user, password } => self.login(&user, password, channel).await,
            Pop3Effect::Prove(credentials) => self.prove(&credentials, channel).await,
            Pop3Effect::List { status, messages } => {
                list(&status, messages, list_line, channel).await
            }
            Pop3Effect::UniqueIds { status, messages } => {
                self.unique_ids(&status, messages, channel).await
            }
            Pop3Effect::UniqueId { index } => self.unique_id(index, channel).await,
            Pop3Effect::Retrieve { status, index } => self.retrieve(&status, index, channel).await,
            Pop3Effect::Top { index, lines } => self.top(index, lines, channel).await,
            Pop3Effect::Update { deleted } => self.update(deleted, channel.connection_log()).await,
        }
    }
}

impl Service for Pop3Service {
    type Effect = Pop3Effect;
    type Outcome = Pop3Outcome;

    async fn perform(
        &mut self,
        effect: Pop3Effect,
        channel: &mut Channel,
    ) -> Result<Pop3Outcome, End> {
        // Boxed, so that an idle session does not keep the memory of the work's future.
        let (note, outcome) = match Box::pin(self.do_it(effect, channel)).await {
            Ok(outcome) => return Ok(outcome),
            Err(NotDone::Ended(end)) => return Err(end),
            Err(NotDone::Unreadable(error)) => (error.to_string(), unreadable(&error)),
            Err(NotDone::NotUpdated(error)) => (error.to_string(), not_updated(&error)),
            Err(NotDone::NotOpened(error)) => (error.to_string(), not_opened(error)),
        };
        channel.connection_log().tell(|| Kind::Note(note));
        Ok(outcome)
    }
}

/// Whether the unique-id of a message is to be computed from the text that was sent, once a reader of
/// events asks for it: reading the message again would cost more than sending it.
fn tells_unique_id(text: &[u8], maildrop: &Maildrop, index: usize) -> bool {
    text.len() as u64 <= UID_AT_ONCE_MOST && !maildrop.snapshot().knows_unique_id(index)
}

/// The fact that a message was fetched, of the mailbox and the text.
fn fetched(parts: &[&[u8]]) -> Fact {
    let part = |nth: usize| parts.get(nth).copied().unwrap_or_default();
    let text = part(1).to_vec();
    let octets = text.len();
    let uid = Late::of(octets, move || Some(UniqueId::of_text(&text).to_string()));
    let mailbox = String::from_utf8_lossy(part(0)).into_owned();
    Fact::Fetched(MessageName { mailbox, uid, octets: octets as u64 })
}

/// The names of messages of a maildrop, for facts.
async fn names_of(maildrop: &Maildrop, places: &[usize], uid_most: u64) -> Vec<MessageName> {
    let (uids, octets) =
        (maildrop.snapshot().unique_ids_of(places, uid_most).await, maildrop.octets());
    let name = |(place, uid): (&usize, Option<UniqueId>)| MessageName {
        mailbox: maildrop.mailbox().to_owned(),
        uid: uid.map(|uid| uid.to_string()).into(),
        octets: octets.get(*place).copied().unwrap_or(0),
    };
    places.iter().zip(uids).map(name).collect()
}

/// Why an effect failed.
enum NotDone {
    NotOpened(MaildropError),
    Unreadable(ReadError),
    NotUpdated(UpdateError),
    Ended(End),
}

impl From<MaildropError> for NotDone {
    fn from(error: MaildropError) -> Self {
        Self::NotOpened(error)
    }
}

impl From<ReadError> for NotDone {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<UpdateError> for NotDone {
    fn from(error: UpdateError) -> Self {
        Self::NotUpdated(error)
    }
}

impl From<End> for NotDone {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

fn not_opened(error: MaildropError) -> Pop3Outcome {
    match error {
        MaildropError::InUse => Pop3Outcome::InUse,
        MaildropError::Missing => Pop3Outcome::LoginRefused,
        MaildropError::Busy => Pop3Outcome::Busy,
        MaildropError::NotMbox(why) => Pop3Outcome::NotMbox(why),
        MaildropError::Io(_) => Pop3Outcome::NoMaildrop,
    }
}

const fn unreadable(error: &ReadError) -> Pop3Outcome {
    match error {
        ReadError::Replaced => Pop3Outcome::Replaced,
        ReadError::Changed | ReadError::Missing | ReadError::Io(_) => Pop3Outcome::Unreadable,
    }
}

const fn not_updated(error: &UpdateError) -> Pop3Outcome {
    match error {
        UpdateError::Replaced => Pop3Outcome::Replaced,
        UpdateError::Changed | UpdateError::Missing | UpdateError::Busy | UpdateError::Io(_) => {
            Pop3Outcome::NotUpdated
        }
    }
}

fn list_line(message: Message, line: &mut Vec<u8>) {
    let _ = write!(line, "{} {}", message.index + 1, message.octets);
}

/// Sends `status`, the line that `write` makes of each message, and the final dot.
async fn list(
    status: &Reply,
    messages: Remaining,
    write: impl Fn(Message, &mut Vec<u8>),
    channel: &mut Channel,
) -> Result<Pop3Outcome, NotDone> {
    channel.say(status).await?;
    for message in messages {
        channel.say_line(|line| write(message, line)).await?;
    }
    channel.say(&END).await?;
    Ok(Pop3Outcome::Said)
}

impl TextSource for MessageReader {
    async fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, String> {
        self.read(piece).await.map(|octets| octets > 0).map_err(|error| error.to_string())
    }
}

/// The top of a message, read from the disk.
struct TopSource<'a> {
    message: MessageReader,
    top: Top,
    maildrop: &'a Maildrop,
    index: usize,
}

impl TextSource for TopSource<'_> {
    async fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, String> {
        if self.top.is_over() {
            // The reader compares a message at its end, which this one does not come to: another
            // look says whether it has changed while it was sent.
            let unchanged = self.maildrop.message(self.index).await;
            return unchanged.map(|_| false).map_err(|error| error.to_string());
        }
        let from = piece.len();
        let is_more = self.message.next_piece(piece).await?;
        let part = self.top.part_of(piece.get(from..).unwrap_or_default());
        piece.truncate(from + part);
        Ok(is_more)
    }
}
