//! The loop gives an answer as a plan says: in the session's words or in the rule's, once, twice, or
//! half of it.

use std::sync::Arc;

use crate::fault::plan::{Plan, Says, UidFault};
use crate::servers::channel::End;
use crate::servers::played::gate::Given;
use crate::servers::played::heard::Heard;
use crate::servers::played::rows::{About, Capture, Rows};
use crate::servers::serve::{Conversation, Service};
use crate::servers::session::{Reply, Session};

/// What an answer is made of, so that it can be given once more.
pub(super) enum Source {
    /// This reply.
    Reply(Reply),
    /// What the session's work says.
    Work,
    /// The words of the rule.
    Words,
}

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// Says a reply of the session to which no rule applies, through the gate if it is to be held.
    pub(super) async fn say_gated(&mut self, reply: Reply) -> Result<(), End> {
        let Some(plan) = self.gated(None) else { return self.channel.say(&reply).await };
        self.channel.begin_answer(&plan, Rows::default());
        let said = self.say_as_told(&plan, Some(reply)).await?;
        self.complete(&plan, said, None).await
    }

    /// Says what a rule has to say instead of a reply.
    pub(super) async fn say_words(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        self.channel.begin_answer(plan, Rows::default());
        let said = self.say_as_told(plan, None).await?;
        self.complete(plan, said, None).await
    }

    /// Says the session's reply or the words of the rule, as the plan has it.
    pub(super) async fn say_as_told(
        &mut self,
        plan: &Arc<Plan>,
        reply: Option<Reply>,
    ) -> Result<Source, End> {
        let given = match (&plan.says, reply) {
            (Says::ItsReply, Some(reply)) => Source::Reply(reply),
            (Says::ItsReply, None) => return Ok(Source::Work),
            _ => Source::Words,
        };
        self.say_given(plan, &given).await?;
        Ok(given)
    }

    async fn say_given(&mut self, plan: &Plan, given: &Source) -> Result<(), End> {
        match (given, &plan.says) {
            (Source::Reply(reply), _) => self.channel.say_reply(reply).await,
            (Source::Words, Says::Lines(lines)) => {
                let lines = lines.iter().flat_map(|line| [line, &b"\r\n"[..]]);
                self.channel.say_words(&lines.collect::<Vec<_>>().concat()).await
            }
            (Source::Words, Says::Raw(octets)) => self.channel.say_words(octets).await,
            _ => Ok(()),
        }
    }

    /// Completes an answer: says it twice where it is said twice, or again where half of it is too
    /// long to be kept.
    pub(super) async fn complete(
        &mut self,
        plan: &Arc<Plan>,
        given: Source,
        heard: Option<&Heard>,
    ) -> Result<(), End> {
        if plan.shape.is_twice {
            self.channel.end_copy().await?;
            self.give_again(plan, &given, heard).await?;
        }
        let Given::Again(octets) = self.channel.end_answer().await? else { return Ok(()) };
        let rows = match heard {
            Some(heard) => self.rows(plan, heard).await?,
            None => Rows::default(),
        };
        self.channel.begin_answer_of(plan, rows, octets);
        self.give_again(plan, &given, heard).await?;
        if plan.shape.is_twice {
            self.channel.end_copy().await?;
            self.give_again(plan, &given, heard).await?;
        }
        self.channel.end_answer().await.map(|_| ())
    }

    async fn give_again(
        &mut self,
        plan: &Arc<Plan>,
        given: &Source,
        heard: Option<&Heard>,
    ) -> Result<(), End> {
        match (given, heard) {
            // Listings and texts change nothing.
            (Source::Work, Some(heard)) => {
                let step = self.step_of(heard);
                self.worked(step).await.map(|_| ())
            }
            _ => self.say_given(plan, given).await,
        }
    }

    /// The rows of the answer to a command of POP3, as the plan changes them.
    pub(super) async fn rows(&mut self, plan: &Arc<Plan>, heard: &Heard) -> Result<Rows, End> {
        let about = About::command(heard.verb, &heard.line);
        let shape = &plan.shape;
        let other = match about {
            About::Sum if shape.size.is_some() => Some("LIST"),
            About::UniqueIds(_) if shape.uid == Some(UidFault::Same) => Some("UIDL"),
            _ => None,
        };
        let mut known = Capture::new(shape.size);
        if let Some(other) = other {
            self.channel.begin_look(plan, known);
            let step = self.session.line(other.as_bytes());
            let looked = self.worked(step).await;
            known = self.channel.end_look();
            looked?;
        }
        let salt = self.told.as_ref().map_or(0, |told| told.salt);
        Ok(Rows::new(about, shape, salt, known))
    }
}
