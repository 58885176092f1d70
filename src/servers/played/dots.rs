//! The loop's way with the end of a message, or of a chunk, while faults may be played.

use std::sync::Arc;

use crate::fault::plan::{Plan, Work};
use crate::fault::point::Place;
use crate::servers::channel::End;
use crate::servers::played::heard::{Heard, is_accepted, says_yes};
use crate::servers::played::held::Fate;
use crate::servers::played::rows::Rows;
use crate::servers::played::told::Later;
use crate::servers::serve::{Conversation, Service};
use crate::servers::session::{AfterChunk, Session, Step};
use crate::watch::event::Kind;

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// Answers a chunk whose command a rule has taken over, or whose answer it changes.
    pub(super) async fn answer_chunk(
        &mut self,
        later: Later,
        then: AfterChunk<S::Effect>,
    ) -> Result<(), End> {
        let Later { plan, verb } = later;
        let heard = Heard::behind_text(verb);
        match (plan.work, then) {
            (Work::NotDone, _) => self.say_words(&plan).await,
            (_, AfterChunk::Reply(reply)) => {
                self.channel.begin_answer(&plan, Rows::default());
                self.give(&plan, &heard, Step::Reply(reply)).await
            }
            (_, AfterChunk::Perform(effect)) => self.dot_by(&plan, Some(effect)).await,
        }
    }

    /// The end of a message: asks for a rule, and stores the message if none says otherwise.
    pub(super) async fn dot_played(&mut self, effect: S::Effect) -> Result<(), End> {
        let at = self.at(Place::Dot);
        self.remember().progress.reached(at);
        if let Fate::Instead(plan) = self.held(at, b".").await? {
            return self.dot_by(&plan, Some(effect)).await;
        }
        self.hold_reply(at);
        let plan = self.hit(at);
        if let Some(plan) = self.gated(plan) {
            return self.dot_by(&plan, Some(effect)).await;
        }
        let step = self.worked(Step::Perform(effect)).await?;
        self.answered(self.at(Place::Dot), is_accepted(&step));
        self.follow(step).await
    }

    /// The end of a message, where a plan acts.
    pub(super) async fn dot_by(
        &mut self,
        plan: &Arc<Plan>,
        effect: Option<S::Effect>,
    ) -> Result<(), End> {
        let at = self.at(Place::Dot);
        if !plan.acts_after_work {
            self.channel.delay(plan.delay).await?;
        }
        match (plan.work, effect) {
            (Work::Done, Some(effect)) => {
                let heard = Heard::behind_text(None);
                self.channel.begin_answer(plan, Rows::default());
                let step = self.worked(Step::Perform(effect)).await?;
                self.answered(at, is_accepted(&step));
                self.give(plan, &heard, step).await
            }
            (Work::Lied, _) => self.lie_at_dot(plan).await,
            (Work::NotDone | Work::Done, _) => {
                self.give_up_text();
                self.answered(at, false);
                if says_yes(plan) {
                    self.note_lie();
                }
                self.say_words(plan).await
            }
        }
    }

    async fn lie_at_dot(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        self.give_up_text();
        self.note_lie();
        self.answered(self.at(Place::Dot), true);
        let reply = self.session.success(Some("."));
        self.channel.begin_answer(plan, Rows::default());
        let said = self.say_as_told(plan, reply).await?;
        self.complete(plan, said, None).await
    }

    /// The end of a text that only the client takes for a message.
    pub(super) async fn end_of_lie(&mut self) -> Result<(), End> {
        self.give_up_text();
        self.note_lie();
        self.answered(self.at(Place::Dot), true);
        match self.session.success(Some(".")) {
            Some(reply) => {
                self.hold_reply(self.at(Place::Dot));
                self.say_gated(reply).await
            }
            None => Ok(()),
        }
    }

    pub(super) fn note_lie(&self) {
        self.channel.connection_log().tell(|| Kind::Note("lied: not stored".into()));
    }

    /// Forgets the text that has been received, and its transaction.
    pub(super) fn give_up_text(&mut self) {
        self.service.begin_text();
        self.session.abandon();
    }
}
