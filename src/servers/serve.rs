//! The loop that drives every session: bytes in, lines to the session, its verdict carried out.
//! Knows no protocol.

use std::convert::Infallible;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::servers::channel::{Channel, End};
use crate::servers::limits::{READ_OCTETS, TEXT_PACE_OCTETS, TEXT_READ_OCTETS};
use crate::servers::session::{Farewell, Reply, Session, Step};
use crate::servers::settings::Settings;
use crate::watch::connection_log::Presence;
use crate::watch::event::{self, Kind, Side};
use crate::watch::text_log::TextLog;
use crate::wire::dot::Unstuffer;
use crate::wire::line::{LINE_OCTETS, Line, LineBuffer};

/// What carries out the effects of a session: the part that touches the disk.
pub trait Service: Send {
    /// What the session wants done.
    type Effect;
    /// How that went.
    type Outcome;

    /// Carries out an effect to its end. What the effect itself has to say (a listing, a
    /// message) goes to `channel` as it comes, at the pace at which the peer takes it.
    fn perform(
        &mut self,
        effect: Self::Effect,
        channel: &mut Channel,
    ) -> impl Future<Output = Result<Self::Outcome, End>> + Send;

    /// Takes the next piece of message text, without dot stuffing. Only SMTP's service gets any.
    fn take_text(&mut self, _piece: &[u8]) {}

    /// Whether the message text taken so far should leave the memory.
    fn wants_spill(&self) -> bool {
        false
    }

    /// Moves the message text taken so far out of the memory. A failure is kept, and is the
    /// failure of the effect that needs the text.
    fn spill(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Holds one conversation, from the greeting to the end of the connection.
///
/// `settings` say how long the peer may be silent.
// No async fn: its arguments would be kept twice, and ten thousand idle connections keep them.
pub fn serve<S, V>(
    channel: Channel,
    session: S,
    service: V,
    settings: Arc<Settings>,
) -> impl Future<Output = ()> + Send
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    let idle = Idle::new(settings, channel.presence().service());
    let mut conversation = Conversation {
        channel,
        session,
        service,
        input: LineBuffer::new(LINE_OCTETS),
        mode: Mode::Commands,
        idle,
    };
    async move {
        let Err(end) = conversation.hold().await;
        let last_word = conversation.last_word(&end);
        let mut channel = conversation.channel;
        // What the session holds (a maildrop's lock) is let go before the peer is waited for.
        drop((conversation.session, conversation.service));
        if let Some(reply) = last_word {
            // A peer that does not take even this has nothing more to be told.
            let _ = channel.say(&reply).await;
        }
        if end.is_ours() {
            channel.part().await;
        }
    }
}

/// Tells a peer that there are too many connections for it.
pub async fn refuse<S: Session>(mut channel: Channel, session: S) {
    if let Some(reply) = session.farewell(Farewell::Busy) {
        let _ = channel.say(&reply).await;
    }
    channel.part().await;
}

struct Conversation<S: Session, V> {
    channel: Channel,
    session: S,
    service: V,
    input: LineBuffer,
    mode: Mode<S::Effect>,
    idle: Idle,
}

/// What the next byte is a part of.
enum Mode<Effect> {
    Commands,
    Text(Box<Incoming<Effect>>),
}

/// Message text that is being received.
struct Incoming<Effect> {
    unstuffer: Unstuffer,
    log: TextLog,
    /// Octets that have come since the idle period was last renewed.
    pace: usize,
    /// What is to be done with the text.
    then: Effect,
}

impl<Effect> Incoming<Effect> {
    fn new(then: Effect, presence: &Presence) -> Self {
        Self { unstuffer: Unstuffer::default(), log: TextLog::received(presence), pace: 0, then }
    }
}

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    async fn hold(&mut self) -> Result<Infallible, End> {
        self.channel.say(&self.session.greeting()).await?;
        loop {
            // Whoever looks after a reply has come sees the state that it led to.
            let user = self.session.user();
            self.channel.presence().changed_for(user, || self.session.state());
            self.channel.flush().await?;
            self.wait().await?;
            self.answer().await?;
            if let Mode::Commands = self.mode {
                self.channel.presence().unended_line(self.input.unread());
            }
        }
    }

    async fn wait(&mut self) -> Result<(), End> {
        let octets = match self.mode {
            Mode::Commands => READ_OCTETS,
            Mode::Text(_) => TEXT_READ_OCTETS,
        };
        let arrived = tokio::select! {
            biased;
            arrived = self.channel.arrival(&mut self.input, octets) => arrived?,
            () = self.idle.passed() => return Err(End::Idle),
        };
        self.channel.presence().received(arrived);
        if let Mode::Text(incoming) = &mut self.mode {
            incoming.pace += arrived;
            if incoming.pace >= TEXT_PACE_OCTETS {
                incoming.pace = 0;
                self.idle.renew();
            }
        }
        Ok(())
    }

    /// Answers everything that has arrived whole.
    async fn answer(&mut self) -> Result<(), End> {
        while let Some(step) = self.next_step() {
            self.follow(step).await?;
            self.idle.renew();
        }
        if self.service.wants_spill() {
            self.service.spill().await;
        }
        Ok(())
    }

    fn next_step(&mut self) -> Option<Step<S::Effect>> {
        match self.mode {
            Mode::Commands => self.next_command(),
            Mode::Text(_) => self.next_text(),
        }
    }

    fn next_command(&mut self) -> Option<Step<S::Effect>> {
        let (line, reads) = self.input.next_line_and_reads()?;
        self.channel.presence().heard(Side::Client, &line, reads);
        Some(match line {
            Line::Whole(line) => self.session.line(line),
            Line::Overlong { .. } => Step::Reply(self.session.overlong()),
        })
    }

    /// Takes message text; at its end, the step is what is to be done with it.
    fn next_text(&mut self) -> Option<Step<S::Effect>> {
        let Mode::Text(incoming) = &mut self.mode else {
            return None;
        };
        let presence = self.channel.presence();
        let piece = self.input.unread();
        let used = incoming.unstuffer.push(piece, |text| {
            self.service.take_text(text);
            incoming.log.count(text);
        });
        let taken = used.unwrap_or(piece.len());
        presence.text_came(piece.get(..taken).unwrap_or_default());
        incoming.log.show(&self.input, taken, presence);
        self.input.consume(taken);
        used?;
        // While it is stored, it is not the client who is waited for.
        presence.unended_line(self.input.unread());
        let Mode::Text(incoming) = std::mem::replace(&mut self.mode, Mode::Commands) else {
            return None;
        };
        incoming.log.end(presence);
        Some(Step::Perform(incoming.then))
    }

    async fn follow(&mut self, mut step: Step<S::Effect>) -> Result<(), End> {
        loop {
            match step {
                Step::Reply(reply) => self.channel.say(&reply).await?,
                Step::Close(reply) => {
                    self.channel.say(&reply).await?;
                    return Err(End::Said);
                }
                Step::Text(reply, then) => {
                    self.channel.say(&reply).await?;
                    self.channel.presence().text_begins();
                    self.mode = Mode::Text(Box::new(Incoming::new(then, self.channel.presence())));
                }
                Step::Perform(effect) => {
                    let outcome = self.service.perform(effect, &mut self.channel).await?;
                    step = self.session.resume(outcome);
                    continue;
                }
                Step::Quiet => {}
            }
            return Ok(());
        }
    }

    /// Tells the watchers why the conversation ends; returns what the peer is told, if anything.
    fn last_word(&self, end: &End) -> Option<Reply> {
        if let Some(note) = self.note(end) {
            self.channel.presence().tell(|| Kind::Note(note));
        }
        end.farewell().and_then(|why| self.session.farewell(why))
    }

    /// Why the connection ends, where what was said does not tell.
    fn note(&self, end: &End) -> Option<String> {
        Some(match end {
            End::Said | End::Shutdown => return None,
            End::Hangup => match self.mode {
                Mode::Text(_) => "closed by the client in the middle of message text".into(),
                Mode::Commands if self.input.is_empty() => return None,
                Mode::Commands => "closed by the client in the middle of a line".into(),
            },
            End::Idle => format!("idle for {} s", self.idle.seconds()),
            End::Operator => "closed by the operator".into(),
            End::Stalled => "the client does not read".into(),
            End::Lost(error) => format!("connection lost: {error}"),
            End::Torn(reason) => format!("cut off: {reason}"),
        })
    }
}

/// How long the peer may still be silent.
struct Idle {
    settings: Arc<Settings>,
    service: event::Service,
    /// Nothing while there is no limit.
    deadline: Option<Deadline>,
}

struct Deadline {
    limit: Duration,
    /// Since when the peer is silent.
    since: Instant,
    /// Set anew only when it goes off too early, or the limit changes: moving a timer at every
    /// line costs more than the line.
    alarm: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(settings: Arc<Settings>, service: event::Service) -> Self {
        let deadline = settings.idle(service).map(Deadline::new);
        Self { settings, service, deadline }
    }

    /// Begins a new period, by the limit that holds now.
    fn renew(&mut self) {
        match (&mut self.deadline, self.settings.idle(self.service)) {
            (Some(deadline), Some(limit)) => deadline.renew(limit),
            (deadline, limit) => *deadline = limit.map(Deadline::new),
        }
    }

    /// Ends when the peer has been silent for too long.
    async fn passed(&mut self) {
        while let Some(deadline) = &mut self.deadline {
            deadline.alarm.as_mut().await;
            // A limit that was raised meanwhile counts; one that was lifted does not go off.
            match self.settings.idle(self.service) {
                Some(limit) if deadline.since.elapsed() >= limit => return,
                Some(limit) => deadline.set(limit),
                None => self.deadline = None,
            }
        }
        future::pending::<()>().await;
    }

    /// For how long the peer has been silent.
    fn seconds(&self) -> u64 {
        self.deadline.as_ref().map_or(0, |deadline| deadline.since.elapsed().as_secs())
    }
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let since = Instant::now();
        Self { limit, since, alarm: Box::pin(sleep_until(since + limit)) }
    }

    fn renew(&mut self, limit: Duration) {
        self.since = Instant::now();
        if limit != self.limit {
            self.set(limit);
        }
    }

    fn set(&mut self, limit: Duration) {
        self.limit = limit;
        self.alarm.as_mut().reset(self.since + limit);
    }
}
