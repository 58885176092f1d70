//! The loop that drives every session: reads input, gives lines to the session, and carries out its
//! steps. Independent of the protocol.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use crate::servers::channel::{Channel, End};
use crate::servers::idle::Idle;
use crate::servers::limits::{READ_OCTETS, TEXT_PACE_OCTETS, TEXT_READ_OCTETS};
use crate::servers::played::told::Told;
use crate::servers::session::{AfterChunk, Chunk, ChunkFate, Farewell, Reply, Session, Step};
use crate::servers::settings::Settings;
use crate::servers::stream::release;
use crate::servers::tls::failure::{self, HandshakeError};
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{Kind, Side};
use crate::watch::text_log::TextLog;
use crate::wire::dot::Unstuffer;
use crate::wire::line::{LINE_OCTETS, Line, LineBuffer};

/// Carries out the effects of a session: the part that uses the disk.
pub trait Service: Send {
    /// The work that the session asks for.
    type Effect;
    /// The result of an effect.
    type Outcome;

    /// Carries out an effect completely. Output of the effect itself (a listing, a message) goes to
    /// `channel` as it is produced, as fast as the peer reads it.
    fn perform(
        &mut self,
        effect: Self::Effect,
        channel: &mut Channel,
    ) -> impl Future<Output = Result<Self::Outcome, End>> + Send;

    /// The connection is now secured by TLS, and what the client has said so far is forgotten.
    fn secured(&mut self) {}

    /// A message text begins. Drops what was taken of one that did not end. Only used by SMTP, as
    /// the next three.
    fn begin_text(&mut self) {}

    /// Takes the next piece of message text, with dot-stuffing removed.
    fn take_text(&mut self, _piece: &[u8]) {}

    /// Whether the message text received so far should be moved out of memory.
    fn wants_spill(&self) -> bool {
        false
    }

    /// Moves the message text received so far to disk. An error is kept and reported by the effect
    /// that needs the text.
    fn spill(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Runs one conversation, from the greeting to the end of the connection. `settings` holds the idle
/// limit.
// Not an `async fn`: its future would store the arguments twice, for each of ten thousand idle
// connections.
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
    let idle = Idle::new(settings, channel.connection_log().service());
    let mut conversation = Conversation {
        channel: channel.speaking(S::verb),
        session,
        service,
        input: LineBuffer::new(LINE_OCTETS),
        mode: Mode::Commands,
        idle,
        told: None,
    };
    async move {
        let Err(end) = conversation.hold().await;
        let last_word = conversation.last_word(&end);
        // Locks of the session (the maildrop's) are released before we wait for the peer. The
        // channel stays where it is: a local of its own would be stored twice, too.
        drop((conversation.session, conversation.service));
        let channel = &mut conversation.channel;
        channel.stop_playing();
        if let Some(reply) = last_word {
            channel.answers_nothing();
            // If the peer does not read this either, there is nothing more to do.
            let _ = channel.say(&reply).await;
        }
        match end {
            End::Fault(ending) => Box::pin(channel.end_by_fault(ending)).await,
            end if end.is_ours() => channel.part().await,
            _ => {}
        }
    }
}

/// Refuses a connection because there are too many.
pub async fn refuse<S: Session>(mut channel: Channel, session: S) {
    if channel.is_secured_at_once() && Box::pin(channel.secure()).await.is_err() {
        return;
    }
    if let Some(reply) = session.farewell(Farewell::Busy) {
        let _ = channel.say(&reply).await;
    }
    channel.part().await;
}

pub(super) struct Conversation<S: Session, V> {
    pub(super) channel: Channel,
    pub(super) session: S,
    pub(super) service: V,
    pub(super) input: LineBuffer,
    pub(super) mode: Mode<S::Effect>,
    pub(super) idle: Idle,
    /// What is remembered of the session for faults; `None` where none may be played.
    pub(super) told: Option<Box<Told>>,
}

/// Whether the next byte belongs to a command or to message text.
pub(super) enum Mode<Effect> {
    Commands,
    // Boxed, so that only connections that are receiving text have memory for it.
    Text(Box<Incoming<Effect>>),
    Chunk(Box<IncomingChunk<Effect>>),
}

/// Message text being received.
pub(super) struct Incoming<Effect> {
    unstuffer: Unstuffer,
    log: TextLog,
    /// Octets received since the idle period was last renewed.
    pace: usize,
    /// The effect to perform when the text is complete; `None` if the text is dropped.
    pub(super) then: Option<Effect>,
}

/// A chunk of message text being received.
pub(super) struct IncomingChunk<Effect> {
    pub(super) chunk: Chunk<Effect>,
    log: TextLog,
    pace: usize,
}

/// What was taken of a text or chunk.
pub(super) struct Taken<Then> {
    /// Octets as they came.
    pub(super) octets: usize,
    /// Octets of the text.
    pub(super) text_octets: u64,
    /// What follows, if this was the last of it.
    pub(super) ended: Option<Then>,
}

impl<Effect> IncomingChunk<Effect> {
    fn new(chunk: Chunk<Effect>, connection_log: &ConnectionLog) -> Self {
        Self { chunk, log: TextLog::chunk(connection_log), pace: 0 }
    }

    /// The octets of the chunk among those that have arrived.
    fn take<'a>(&mut self, arrived: &'a [u8]) -> &'a [u8] {
        let missing = usize::try_from(self.chunk.octets).unwrap_or(usize::MAX);
        let piece = arrived.get(..missing).unwrap_or(arrived);
        self.chunk.octets -= piece.len() as u64;
        piece
    }
}

impl<Effect> Mode<Effect> {
    /// Counts octets of text; returns whether enough have come to renew the idle period.
    fn keeps_pace(&mut self, arrived: usize) -> bool {
        let pace = match self {
            Self::Commands => return false,
            Self::Text(incoming) => &mut incoming.pace,
            Self::Chunk(incoming) => &mut incoming.pace,
        };
        *pace += arrived;
        let is_enough = *pace >= TEXT_PACE_OCTETS;
        if is_enough {
            *pace = 0;
        }
        is_enough
    }
}

impl<Effect> Incoming<Effect> {
    fn new(then: Option<Effect>, connection_log: &ConnectionLog) -> Self {
        Self {
            unstuffer: Unstuffer::default(),
            log: TextLog::received(connection_log),
            pace: 0,
            then,
        }
    }
}

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    async fn hold(&mut self) -> Result<Infallible, End> {
        if self.channel.is_secured_at_once() {
            self.channel.connection_log().changed(|| "TLS handshake".into());
            // Boxed, so that a connection keeps no room for a handshake.
            Box::pin(self.secure()).await?;
        }
        if self.channel.may_play() {
            Box::pin(self.greet_played()).await?;
            // The time for which the greeting was held is not the client's.
            self.idle.renew();
        } else {
            self.channel.say(&self.session.greeting()).await?;
        }
        loop {
            // Before the flush: an observer that has seen a reply also sees the new state.
            let user = self.session.user();
            self.channel.connection_log().changed_for(user, || self.session.state());
            self.channel.flush().await?;
            self.wait().await?;
            self.answer().await?;
            if let Mode::Commands = self.mode {
                self.channel.connection_log().unended_line(self.input.unread());
            }
        }
    }

    async fn wait(&mut self) -> Result<(), End> {
        let octets = match self.mode {
            Mode::Commands => READ_OCTETS,
            Mode::Text(_) | Mode::Chunk(_) => self.text_read_octets(),
        };
        let arrived = tokio::select! {
            biased;
            arrived = self.channel.arrival(&mut self.input, octets) => arrived?,
            () = self.idle.passed() => return Err(End::Idle),
        };
        // Counted before the input is handled: the connection may end with it, as after QUIT.
        self.channel.connection_log().received(arrived);
        if self.mode.keeps_pace(arrived) {
            self.idle.renew();
        }
        Ok(())
    }

    /// Answers all complete commands and texts that have been received.
    async fn answer(&mut self) -> Result<(), End> {
        loop {
            if self.told.is_some() || self.channel.may_play() {
                // Boxed, so that only sessions in which faults may be played have memory for it.
                Box::pin(self.answer_played()).await?;
                break;
            }
            let Some(step) = self.next_step() else { break };
            self.follow(step).await?;
            // After the reply: the time that the server takes does not count against the client.
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
            Mode::Chunk(_) => self.next_piece_of_chunk(),
        }
    }

    fn next_command(&mut self) -> Option<Step<S::Effect>> {
        self.input.set_limit(self.session.line_octets(self.input.unread()));
        let (line, reads) = self.input.next_line_and_reads()?;
        self.channel.connection_log().heard(Side::Client, &line, reads);
        self.channel.hear(line.beginning());
        Some(match line {
            Line::Whole(line) => self.session.line(line),
            Line::Overlong { .. } => Step::Reply(self.session.overlong()),
        })
    }

    /// Takes message text; at its end, returns the step that stores it.
    fn next_text(&mut self) -> Option<Step<S::Effect>> {
        let then = self.take_text(usize::MAX).ended?;
        self.channel.text_ended();
        Some(then.map_or(Step::Quiet, Step::Perform))
    }

    /// Takes at most so many octets of message text, as they came.
    pub(super) fn take_text(&mut self, most: usize) -> Taken<Option<S::Effect>> {
        let mut taken = Taken { octets: 0, text_octets: 0, ended: None };
        let Mode::Text(incoming) = &mut self.mode else {
            return taken;
        };
        let connection_log = self.channel.connection_log();
        let piece = self.input.unread();
        let piece = piece.get(..most).unwrap_or(piece);
        let is_kept = incoming.then.is_some();
        let used = incoming.unstuffer.push(piece, |text| {
            if is_kept {
                self.service.take_text(text);
            }
            taken.text_octets += text.len() as u64;
            incoming.log.count(text);
        });
        taken.octets = used.unwrap_or(piece.len());
        connection_log.text_came(piece.get(..taken.octets).unwrap_or_default());
        incoming.log.show(&self.input, taken.octets, connection_log);
        self.input.consume(taken.octets);
        // `None` means that the text has not ended yet.
        if used.is_none() {
            return taken;
        }
        // While the text is being stored, the connection is not waiting for the client.
        connection_log.unended_line(self.input.unread());
        if let Mode::Text(incoming) = std::mem::replace(&mut self.mode, Mode::Commands) {
            incoming.log.end(connection_log);
            taken.ended = Some(incoming.then);
        }
        taken
    }

    /// Takes octets of a chunk; at its end, returns the step that follows it.
    fn next_piece_of_chunk(&mut self) -> Option<Step<S::Effect>> {
        Some(match self.take_chunk(usize::MAX).ended? {
            AfterChunk::Reply(reply) => Step::Reply(reply),
            AfterChunk::Perform(effect) => {
                self.channel.text_ended();
                Step::Perform(effect)
            }
        })
    }

    /// Takes at most so many octets of a chunk.
    pub(super) fn take_chunk(&mut self, most: usize) -> Taken<AfterChunk<S::Effect>> {
        let mut taken = Taken { octets: 0, text_octets: 0, ended: None };
        let Mode::Chunk(incoming) = &mut self.mode else {
            return taken;
        };
        let connection_log = self.channel.connection_log();
        let arrived = self.input.unread();
        let piece = incoming.take(arrived.get(..most).unwrap_or(arrived));
        if incoming.chunk.fate != ChunkFate::Dropped {
            self.service.take_text(piece);
        }
        connection_log.text_came(piece);
        incoming.log.push(piece, connection_log);
        (taken.octets, taken.text_octets) = (piece.len(), piece.len() as u64);
        let is_whole = incoming.chunk.octets == 0;
        self.input.consume(taken.octets);
        if !is_whole {
            return taken;
        }
        connection_log.unended_line(self.input.unread());
        if let Mode::Chunk(incoming) = std::mem::replace(&mut self.mode, Mode::Commands) {
            incoming.log.end_of_chunk(connection_log);
            taken.ended = Some(incoming.chunk.then);
        }
        taken
    }

    fn text_read_octets(&self) -> usize {
        let slow = self.told.as_ref().and_then(|told| told.piece_octets());
        slow.map_or(TEXT_READ_OCTETS, |octets| {
            usize::try_from(octets).unwrap_or(usize::MAX).min(TEXT_READ_OCTETS)
        })
    }

    /// Receives a message text, after which the effect is performed.
    pub(super) fn begin_text(&mut self, then: Option<S::Effect>) {
        self.service.begin_text();
        let connection_log = self.channel.connection_log();
        connection_log.text_begins();
        self.mode = Mode::Text(Box::new(Incoming::new(then, connection_log)));
    }

    /// Receives a chunk.
    pub(super) fn begin_chunk(&mut self, chunk: Chunk<S::Effect>) {
        if chunk.fate == ChunkFate::First {
            self.service.begin_text();
        }
        let connection_log = self.channel.connection_log();
        connection_log.text_begins();
        self.mode = Mode::Chunk(Box::new(IncomingChunk::new(chunk, connection_log)));
    }

    pub(super) async fn follow(&mut self, mut step: Step<S::Effect>) -> Result<(), End> {
        loop {
            match step {
                Step::Reply(reply) => self.channel.say(&reply).await?,
                Step::Close(reply) => {
                    self.channel.say(&reply).await?;
                    return Err(End::Said);
                }
                Step::Text(reply, then) => {
                    self.channel.say(&reply).await?;
                    self.begin_text(Some(then));
                }
                Step::Chunk(chunk) => self.begin_chunk(chunk),
                Step::Secure(reply) => {
                    self.channel.say(&reply).await?;
                    Box::pin(self.secure()).await?;
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

    /// Goes on over TLS; nothing that the client has said before counts.
    pub(super) async fn secure(&mut self) -> Result<(), End> {
        self.channel.flush().await?;
        self.drop_input();
        tokio::select! {
            biased;
            secured = self.channel.secure() => secured?,
            () = self.idle.passed() => {
                return Err(End::Insecure(HandshakeError::Idle(self.idle.seconds())));
            }
        }
        self.session.secured();
        self.service.secured();
        Ok(())
    }

    /// Drops what has arrived before TLS: it would be taken for what the client says over TLS, and
    /// anyone on the way may have put it there (CVE-2011-0411).
    pub(super) fn drop_input(&mut self) {
        self.channel.take_early(&mut self.input);
        let octets = self.input.unread().len();
        if octets > 0 {
            let note = move || Kind::Note(format!("{octets} octets before TLS dropped"));
            self.channel.connection_log().tell(note);
            self.input.consume(octets);
        }
        self.channel.connection_log().unended_line(&[]);
        release(&mut self.input);
    }

    /// Notes in the transcript why the conversation ends; returns the farewell for the peer, if
    /// any.
    fn last_word(&self, end: &End) -> Option<Reply> {
        if let Some(note) = self.note(end) {
            self.channel.connection_log().tell(|| Kind::Note(note));
        }
        end.farewell().and_then(|why| self.session.farewell(why))
    }

    /// The note on why the connection ends, if the conversation itself does not show it.
    fn note(&self, end: &End) -> Option<String> {
        Some(match end {
            End::Said | End::Shutdown | End::Fault(_) => return None,
            End::Hangup if self.channel.has_left_held => return None,
            End::Hangup => match self.mode {
                Mode::Text(_) | Mode::Chunk(_) => {
                    "closed by the client in the middle of message text".into()
                }
                Mode::Commands if self.input.is_empty() => return None,
                Mode::Commands => "closed by the client in the middle of a line".into(),
            },
            End::Idle => format!("idle for {} s", self.idle.seconds()),
            End::Operator => "closed by the operator".into(),
            End::Stalled => "the client does not read".into(),
            End::Lost(error) => match failure::in_words(error) {
                Some(reason) => format!("TLS failed: {reason}"),
                None => format!("connection lost: {error}"),
            },
            End::Insecure(reason) => format!("TLS failed: {reason}"),
            End::Torn(reason) => format!("cut off: {reason}"),
        })
    }
}
