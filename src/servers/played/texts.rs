//! The loop's way with message text while faults may be played: asks for rules on its way and at its
//! end, and takes it no faster than they say.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::plan::{Plan, Says, Work};
use crate::fault::point::Place;
use crate::servers::channel::End;
use crate::servers::played::heard::says_yes;
use crate::servers::played::held::Fate;
use crate::servers::played::told::TextFate;
use crate::servers::serve::{Conversation, Mode, Service, Taken};
use crate::servers::session::{AfterChunk, ChunkFate, Session, Step};

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// A text or chunk has begun: asks for the rules that act at the beginning of a text.
    pub(super) async fn watch_text(&mut self) -> Result<(), End> {
        let is_first = match &self.mode {
            Mode::Commands => false,
            Mode::Text(_) => true,
            Mode::Chunk(incoming) => incoming.chunk.fate == ChunkFate::First,
        };
        if !is_first {
            return Ok(());
        }
        let Some(told) = &mut self.told else { return Ok(()) };
        told.text = TextFate::Open;
        told.pace = None;
        told.progress.text_octets = 0;
        let at = self.at(Place::Text);
        self.remember().progress.reached(at);
        if let Fate::Instead(plan) = self.held(at, b"").await? {
            return self.text_by(&plan).await;
        }
        match self.hit(at) {
            Some(plan) => self.text_by(&plan).await,
            None => Ok(()),
        }
    }

    /// Takes a piece of a text; returns `false` if more of it must come first.
    pub(super) async fn text_played(&mut self) -> Result<bool, End> {
        if self.input.unread().is_empty() {
            return Ok(false);
        }
        let most = self.piece_most();
        let Taken { octets, text_octets, ended } = self.take_text(most);
        self.piece_taken(octets, text_octets).await?;
        let Some(then) = ended else { return Ok(!self.input.unread().is_empty()) };
        self.channel.text_ended();
        self.text_ended(then).await?;
        Ok(true)
    }

    /// Takes a piece of a chunk; returns `false` if more of it must come first.
    pub(super) async fn chunk_played(&mut self) -> Result<bool, End> {
        let is_text = match &self.mode {
            Mode::Chunk(incoming) => incoming.chunk.fate != ChunkFate::Dropped,
            Mode::Commands | Mode::Text(_) => false,
        };
        let most = if is_text { self.piece_most() } else { usize::MAX };
        let Taken { octets, text_octets, ended } = self.take_chunk(most);
        let text_octets = if is_text { text_octets } else { 0 };
        // A rule may act behind the last octet of a chunk as well.
        self.piece_taken(octets, text_octets).await?;
        let Some(then) = ended else { return Ok(!self.input.unread().is_empty()) };
        self.chunk_ended(then).await?;
        Ok(true)
    }

    async fn chunk_ended(&mut self, then: AfterChunk<S::Effect>) -> Result<(), End> {
        if matches!(then, AfterChunk::Perform(_)) {
            self.channel.text_ended();
        }
        let later = self.told.as_mut().and_then(|told| told.later.take());
        match (then, later, self.fate()) {
            (then, Some(later), TextFate::Open) => {
                let is_end = matches!(then, AfterChunk::Perform(_));
                self.answer_chunk(later, then).await?;
                if is_end {
                    self.forget_text();
                }
            }
            (AfterChunk::Reply(reply), _, TextFate::Open | TextFate::Lied) => {
                self.say_gated(reply).await?;
            }
            (AfterChunk::Reply(_), ..) => self.forget_text(),
            (AfterChunk::Perform(effect), ..) => self.text_ended(Some(effect)).await?,
        }
        Ok(())
    }

    /// The text has ended: what follows, as far as no rule has decided it before.
    async fn text_ended(&mut self, then: Option<S::Effect>) -> Result<(), End> {
        match (self.fate(), then) {
            (TextFate::Open, Some(effect)) => self.dot_played(effect).await?,
            (TextFate::StoredInSilence, Some(effect)) => {
                self.worked(Step::Perform(effect)).await?;
            }
            (TextFate::Lied, _) => self.end_of_lie().await?,
            (TextFate::Dropped, _) | (_, None) => {}
        }
        self.forget_text();
        Ok(())
    }

    fn fate(&self) -> TextFate {
        self.told.as_ref().map(|told| told.text).unwrap_or_default()
    }

    fn forget_text(&mut self) {
        if let Some(told) = &mut self.told {
            told.text = TextFate::Open;
            told.pace = None;
        }
    }

    /// The most octets of the next piece: up to the place where a rule acts, and no more than a slow
    /// text is taken at once.
    fn piece_most(&self) -> usize {
        let Some(told) = &self.told else { return usize::MAX };
        let most = self.next_mark().map(|mark| mark.saturating_sub(told.progress.text_octets));
        let most = most.into_iter().chain(told.piece_octets()).min();
        most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX).max(1))
    }

    fn next_mark(&self) -> Option<u64> {
        let told = self.told.as_ref()?;
        if told.text != TextFate::Open {
            return None;
        }
        self.channel.faults.as_ref()?.next_mark(told.progress.text_octets)
    }

    /// A piece has been taken: asks for the rules that act here, and waits if the text is slow.
    async fn piece_taken(&mut self, octets: usize, text_octets: u64) -> Result<(), End> {
        let mark = self.next_mark();
        let Some(told) = &mut self.told else { return Ok(()) };
        told.progress.text_octets += text_octets;
        told.edited_octets = told.edited_octets.saturating_sub(octets);
        let pace = told.pace;
        if mark == Some(told.progress.text_octets)
            && let Some(plan) = self.hit_by_rule(self.at(Place::Text))
        {
            self.text_by(&plan).await?;
        }
        if let Some(pace) = pace {
            let nanos = NANOS.saturating_mul(octets as u64) / pace.get();
            self.channel.pause(Duration::from_nanos(nanos)).await?;
            // It is we who are slow.
            self.idle.renew();
        }
        Ok(())
    }

    /// Does what a plan says while the text comes.
    async fn text_by(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        self.channel.delay(plan.delay).await?;
        let is_silent = plan.says == Says::ItsReply;
        let Some(told) = &mut self.told else { return Ok(()) };
        told.pace = plan.slow_read.or(told.pace);
        told.text = match plan.work {
            Work::Done if is_silent => told.text,
            Work::Done => TextFate::StoredInSilence,
            Work::NotDone => TextFate::Dropped,
            Work::Lied => TextFate::Lied,
        };
        match plan.work {
            Work::Done if is_silent && plan.end.is_none() => return Ok(()),
            Work::Done => {}
            Work::NotDone | Work::Lied => self.drop_text(plan),
        }
        if plan.work == Work::Lied { Ok(()) } else { self.say_words(plan).await }
    }

    /// From here on the text is read and dropped.
    fn drop_text(&mut self, plan: &Plan) {
        match &mut self.mode {
            Mode::Commands => {}
            Mode::Text(incoming) => incoming.then = None,
            Mode::Chunk(incoming) => incoming.chunk.fate = ChunkFate::Dropped,
        }
        self.give_up_text();
        if plan.work == Work::NotDone && says_yes(plan) {
            self.note_lie();
        }
    }
}
