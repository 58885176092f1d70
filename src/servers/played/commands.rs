//! The loop's way with commands while faults may be played: asks for a rule at each, and carries out
//! what it says.

use std::sync::Arc;

use crate::fault::plan::{Plan, Says, Work};
use crate::fault::point::{Place, Point};
use crate::servers::channel::End;
use crate::servers::played::heard::{Heard, is_accepted, says_yes};
use crate::servers::played::held::Fate;
use crate::servers::played::rows::Rows;
use crate::servers::played::told::{Later, TextFate};
use crate::servers::serve::{self, Conversation, Mode};
use crate::servers::session::{AfterChunk, Chunk, ChunkFate, Reply, Session, Step};
use crate::watch::event::{Service, Side};
use crate::wire::line::Line;

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: serve::Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// Greets the client.
    pub(in crate::servers) async fn greet_played(&mut self) -> Result<(), End> {
        let greeting = self.session.greeting();
        let plan = self.reached(Place::Connect);
        self.hold_reply(self.at(Place::Connect));
        let Some(plan) = self.gated(plan) else {
            return self.channel.say(&greeting).await;
        };
        self.channel.delay(plan.delay).await?;
        if plan.work == Work::NotDone {
            return self.say_words(&plan).await;
        }
        self.channel.begin_answer(&plan, Rows::default());
        let said = self.say_as_told(&plan, Some(greeting)).await?;
        self.complete(&plan, said, None).await
    }

    /// Answers all complete commands and texts that have been received.
    pub(in crate::servers) async fn answer_played(&mut self) -> Result<(), End> {
        self.remember();
        loop {
            let goes_on = match self.mode {
                Mode::Commands => self.command_played().await?,
                Mode::Text(_) => self.text_played().await?,
                Mode::Chunk(_) => self.chunk_played().await?,
            };
            if !goes_on {
                return Ok(());
            }
            // After the reply: the time that the server takes does not count against the client.
            self.idle.renew();
        }
    }

    /// Takes a line; returns `false` if there is none.
    async fn command_played(&mut self) -> Result<bool, End> {
        let Some(mut heard) = self.next_heard() else { return Ok(false) };
        if self.session.is_in_exchange() {
            heard.verb = Some("AUTH");
            let later = self.remember().later.take();
            let step = self.step_of(&heard);
            self.finish_command(later.map(|later| later.plan), &heard, step).await?;
            return Ok(true);
        }
        let at = Point::of_verb(self.channel.connection_log().service(), heard.verb);
        self.channel.to_hold = None;
        let said = heard.line.clone();
        let asked = self.take_address(at, &mut heard);
        self.remember().progress.command(at, &heard.line);
        match self.held(at, &said).await? {
            Fate::GoesOn => {}
            Fate::Retyped(octets) => {
                self.remember().progress.taken_back(at);
                self.retype(&octets);
                return Ok(true);
            }
            Fate::Instead(plan) => {
                self.answered(at, false);
                self.instead(&plan, &heard, None).await?;
                return Ok(true);
            }
        }
        self.hold_reply(at);
        // Nothing moves before the handshake, so that the session can be asked whether there is one.
        let step = matches!(at.place, Place::StartTls | Place::Stls).then(|| self.step_of(&heard));
        self.remember().progress.takes_tls = matches!(step, Some(Step::Secure(_)));
        match (self.hit(at), asked) {
            (Some(plan), _) => self.command_by(&plan, at, &heard).await?,
            (None, Err(unknown)) => {
                self.answered(at, false);
                let no = if at.service == Service::Pop3 { "-ERR" } else { "501" };
                self.say_gated(format!("{no} {unknown}").into()).await?;
            }
            (None, Ok(())) => {
                let step = step.unwrap_or_else(|| self.step_of(&heard));
                self.finish_command(None, &heard, step).await?;
            }
        }
        Ok(true)
    }

    fn next_heard(&mut self) -> Option<Heard> {
        self.input.set_limit(self.session.line_octets(self.input.unread()));
        let before = self.input.unread().len();
        let is_retyped = self.told.as_ref().is_some_and(|told| told.edited_octets > 0);
        let (line, reads) = self.input.next_line_and_reads()?;
        let log = self.channel.connection_log();
        if is_retyped {
            log.edited(Side::Client, line.beginning());
        } else {
            log.heard(Side::Client, &line, reads);
        }
        let is_whole = matches!(line, Line::Whole(_));
        let (line, verb) = (line.beginning().to_vec(), S::verb(line.beginning()));
        let taken = before.saturating_sub(self.input.unread().len());
        if let Some(told) = &mut self.told {
            told.is_retyped = is_retyped;
            told.edited_octets = told.edited_octets.saturating_sub(taken);
        }
        if !self.session.is_in_exchange() {
            // The words of a rule may have sounded as if the command before went on.
            self.channel.answers_nothing();
        }
        self.channel.hear(&line);
        Some(Heard { line, is_whole, verb })
    }

    pub(super) fn step_of(&mut self, heard: &Heard) -> Step<S::Effect> {
        if heard.is_whole {
            self.session.line(&heard.line)
        } else {
            Step::Reply(self.session.overlong())
        }
    }

    /// Does what a plan says with a command.
    async fn command_by(&mut self, plan: &Arc<Plan>, at: Point, heard: &Heard) -> Result<(), End> {
        if !plan.acts_after_work {
            self.channel.delay(plan.delay).await?;
        }
        match plan.work {
            Work::Done => {
                let step = self.step_of(heard);
                self.finish_command(Some(Arc::clone(plan)), heard, step).await
            }
            Work::NotDone => {
                self.answered(at, false);
                self.instead(plan, heard, None).await
            }
            Work::Lied => match self.session.success(heard.verb) {
                // Its reply is all that it does.
                None => {
                    let step = self.step_of(heard);
                    self.finish_command(Some(Arc::clone(plan)), heard, step).await
                }
                Some(reply) => {
                    self.answered(at, false);
                    self.instead(plan, heard, Some(reply)).await
                }
            },
        }
    }

    /// Answers a command that the session does not see, with the words of the rule or with this reply.
    async fn instead(
        &mut self,
        plan: &Arc<Plan>,
        heard: &Heard,
        lie: Option<Reply>,
    ) -> Result<(), End> {
        if heard.verb == Some("BDAT")
            && heard.line.to_ascii_uppercase().ends_with(b" LAST")
            && (lie.is_some() || says_yes(plan))
        {
            self.give_up_text();
            self.note_lie();
        }
        let octets = if heard.is_whole { self.session.octets_behind(&heard.line) } else { 0 };
        if octets > 0 {
            // They are no commands, whatever becomes of them.
            let then = AfterChunk::Reply(lie.unwrap_or_else(|| Reply::fixed("")));
            self.remember().later = Some(Later { plan: Arc::clone(plan), verb: heard.verb });
            self.begin_chunk(Chunk { octets, fate: ChunkFate::Dropped, then });
            return Ok(());
        }
        let is_lie = lie.is_some();
        match lie {
            Some(reply) => {
                self.channel.begin_answer(plan, Rows::default());
                let said = self.say_as_told(plan, Some(reply)).await?;
                self.complete(plan, said, None).await?;
            }
            None => self.say_words(plan).await?,
        }
        match heard.verb {
            // A connection on which QUIT was answered is not used any more.
            Some("QUIT") if is_lie || plan.says != Says::Nothing => Err(End::Said),
            Some("DATA") if is_lie => {
                self.begin_lost_text();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Carries out the step that a command has led to, answered as a plan says.
    async fn finish_command(
        &mut self,
        plan: Option<Arc<Plan>>,
        heard: &Heard,
        step: Step<S::Effect>,
    ) -> Result<(), End> {
        let at = Point::of_verb(self.channel.connection_log().service(), heard.verb);
        let Some(plan) = self.gated(plan) else {
            let step = self.worked(step).await?;
            self.answered(at, is_accepted(&step));
            return self.follow_and_watch(step).await;
        };
        let rows = self.rows(&plan, heard).await?;
        self.channel.begin_answer(&plan, rows);
        let mut step = self.worked(step).await?;
        if let (Some("EHLO"), Some(rest)) = (heard.verb, heard.line.get(4..))
            && plan.says != Says::ItsReply
            && !is_accepted(&step)
        {
            // The words are the rule's, so that the client goes on as if it were known.
            step = self.session.line(&[b"HELO", rest].concat());
        }
        self.answered(at, is_accepted(&step));
        if self.session.is_in_exchange() {
            // The reply to AUTH is that at its end.
            self.channel.drop_answer();
            self.remember().later = Some(Later { plan, verb: heard.verb });
            return self.follow(step).await;
        }
        self.give(&plan, heard, step).await
    }

    /// Gives the answer that a step brings, and carries out what else it says.
    pub(super) async fn give(
        &mut self,
        plan: &Arc<Plan>,
        heard: &Heard,
        step: Step<S::Effect>,
    ) -> Result<(), End> {
        let (reply, then) = match step {
            Step::Reply(reply) => (Some(reply), None),
            Step::Quiet | Step::Perform(_) => (None, None),
            Step::Close(reply) => (Some(reply.clone()), Some(Step::Close(reply))),
            Step::Text(reply, effect) => (Some(reply), Some(Step::Text(Reply::fixed(""), effect))),
            Step::Secure(reply) => (Some(reply.clone()), Some(Step::Secure(reply))),
            Step::Chunk(chunk) => {
                self.channel.drop_answer();
                // A reply that is only held leaves the end of a text to its own rules.
                if **plan != Plan::default() {
                    let later = Later { plan: Arc::clone(plan), verb: heard.verb };
                    self.remember().later = Some(later);
                }
                self.begin_chunk(chunk);
                return self.watch_text().await;
            }
        };
        let is_secured = matches!(then, Some(Step::Secure(_)));
        if plan.acts_after_work {
            self.channel.delay(plan.delay).await?;
        }
        let said = self.say_as_told(plan, reply).await?;
        self.complete(plan, said, Some(heard)).await?;
        match then {
            Some(Step::Close(_)) => Err(End::Said),
            Some(Step::Text(_, effect)) => {
                self.begin_text(Some(effect));
                self.watch_text().await
            }
            _ if is_secured => self.secure_played(plan).await,
            _ => Ok(()),
        }
    }

    async fn secure_played(&mut self, plan: &Plan) -> Result<(), End> {
        match plan.tls {
            None => self.secure().await?,
            Some(fault) => {
                self.channel.flush().await?;
                self.drop_input();
                self.channel.secure_by_fault(fault).await?;
                self.session.secured();
                self.service.secured();
            }
        }
        self.remember().secured();
        Ok(())
    }

    /// Follows a step whose work is done, and asks for rules at the text that it begins.
    async fn follow_and_watch(&mut self, step: Step<S::Effect>) -> Result<(), End> {
        let begins = matches!(step, Step::Text(..) | Step::Chunk(_));
        let secures = matches!(step, Step::Secure(_));
        self.follow(step).await?;
        if secures {
            self.remember().secured();
        }
        if begins { self.watch_text().await } else { Ok(()) }
    }

    /// Does the work of a step; what it says goes through the gate.
    pub(super) async fn worked(&mut self, step: Step<S::Effect>) -> Result<Step<S::Effect>, End> {
        let worked = self.work(step).await;
        self.tell_behind_work();
        worked
    }

    async fn work(&mut self, mut step: Step<S::Effect>) -> Result<Step<S::Effect>, End> {
        while let Step::Perform(effect) = step {
            let outcome = self.service.perform(effect, &mut self.channel).await?;
            step = self.session.resume(outcome);
        }
        Ok(step)
    }

    /// Begins a text that the session knows nothing of.
    fn begin_lost_text(&mut self) {
        self.begin_text(None);
        self.remember().text = TextFate::Lied;
    }
}
