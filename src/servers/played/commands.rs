//! The loop's way with commands while faults may be played: asks for a rule at each, and carries out
//! what it says.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::fault::plan::{Plan, Says, UidFault, Work};
use crate::fault::point::{Place, Point};
use crate::fault::rule::Who;
use crate::servers::channel::End;
use crate::servers::played::gate::Given;
use crate::servers::played::rows::{About, Capture, Rows};
use crate::servers::played::told::{Later, TextFate, Told};
use crate::servers::serve::{Conversation, Mode, Service};
use crate::servers::session::{AfterChunk, Chunk, ChunkFate, Reply, Session, Step};
use crate::watch::event::{Kind, Side};
use crate::wire::line::Line;

/// A line that has come.
pub(super) struct Heard {
    line: Vec<u8>,
    is_whole: bool,
    verb: Option<&'static str>,
}

/// What an answer is made of, so that it can be given once more.
enum Source {
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
    /// Greets the client.
    pub(in crate::servers) async fn greet_played(&mut self) -> Result<(), End> {
        let greeting = self.session.greeting();
        let Some(plan) = self.reached(Place::Connect) else {
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

    fn remember(&mut self) -> &mut Told {
        self.told.get_or_insert_with(|| {
            let peer = self.channel.stream.tcp().and_then(|tcp| tcp.peer_addr().ok());
            let client = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
            let session = self.channel.connection_log().name().id;
            let who = Who { client: client.to_canonical(), session };
            Box::new(Told::new(who, self.session.known()))
        })
    }

    pub(super) fn at(&self, place: Place) -> Point {
        Point { service: self.channel.connection_log().service(), place }
    }

    /// A place without a command is reached: the rule that acts there.
    pub(super) fn reached(&mut self, place: Place) -> Option<Arc<Plan>> {
        let at = self.at(place);
        self.remember().progress.reached(at);
        self.hit(at)
    }

    pub(super) fn hit(&mut self, at: Point) -> Option<Arc<Plan>> {
        let told = self.told.as_ref()?;
        self.channel.hit(at, &told.progress, told.who)
    }

    fn answered(&mut self, at: Point, is_accepted: bool) {
        self.remember().progress.answered(at, is_accepted);
    }

    /// Takes a line; returns `false` if there is none.
    async fn command_played(&mut self) -> Result<bool, End> {
        let Some(heard) = self.next_heard() else { return Ok(false) };
        if self.session.is_in_exchange() {
            let later = self.remember().later.take();
            let step = self.step_of(&heard);
            self.finish_command(later.map(|later| later.plan), &heard, step).await?;
            return Ok(true);
        }
        let at = Point::of_verb(self.channel.connection_log().service(), heard.verb);
        self.remember().progress.command(at, &heard.line);
        let plan = self.hit(at);
        match plan {
            None => {
                let step = self.step_of(&heard);
                self.finish_command(None, &heard, step).await?;
            }
            Some(plan) => self.command_by(&plan, at, &heard).await?,
        }
        Ok(true)
    }

    fn next_heard(&mut self) -> Option<Heard> {
        self.input.set_limit(self.session.line_octets(self.input.unread()));
        let (line, reads) = self.input.next_line_and_reads()?;
        let log = self.channel.connection_log();
        log.heard(Side::Client, &line, reads);
        let is_whole = matches!(line, Line::Whole(_));
        let (line, verb) = (line.beginning().to_vec(), S::verb(line.beginning()));
        if !self.session.is_in_exchange() {
            // The words of a rule may have sounded as if the command before went on.
            self.channel.answers_nothing();
        }
        self.channel.hear(&line);
        Some(Heard { line, is_whole, verb })
    }

    fn step_of(&mut self, heard: &Heard) -> Step<S::Effect> {
        match heard.is_whole {
            true => self.session.line(&heard.line),
            false => Step::Reply(self.session.overlong()),
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

    /// Says what a rule has to say instead of a reply.
    pub(super) async fn say_words(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        self.channel.begin_answer(plan, Rows::default());
        let said = self.say_as_told(plan, None).await?;
        self.complete(plan, said, None).await
    }

    /// Carries out the step that a command has led to, answered as a plan says.
    async fn finish_command(
        &mut self,
        plan: Option<Arc<Plan>>,
        heard: &Heard,
        step: Step<S::Effect>,
    ) -> Result<(), End> {
        let at = Point::of_verb(self.channel.connection_log().service(), heard.verb);
        let Some(plan) = plan else {
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
    async fn give(
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
                self.remember().later = Some(Later { plan: Arc::clone(plan), verb: heard.verb });
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
        self.remember().progress.secured();
        Ok(())
    }

    /// Follows a step whose work is done, and asks for rules at the text that it begins.
    async fn follow_and_watch(&mut self, step: Step<S::Effect>) -> Result<(), End> {
        let (begins, secures) = match step {
            Step::Text(..) => (true, false),
            Step::Chunk(_) => (true, false),
            Step::Secure(_) => (false, true),
            _ => (false, false),
        };
        self.follow(step).await?;
        if secures {
            self.remember().progress.secured();
        }
        if begins { self.watch_text().await } else { Ok(()) }
    }

    /// Does the work of a step; what it says goes through the gate.
    pub(super) async fn worked(
        &mut self,
        mut step: Step<S::Effect>,
    ) -> Result<Step<S::Effect>, End> {
        while let Step::Perform(effect) = step {
            let outcome = self.service.perform(effect, &mut self.channel).await?;
            step = self.session.resume(outcome);
        }
        Ok(step)
    }

    /// Says the session's reply or the words of the rule, as the plan has it.
    async fn say_as_told(&mut self, plan: &Arc<Plan>, reply: Option<Reply>) -> Result<Source, End> {
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
    async fn complete(
        &mut self,
        plan: &Arc<Plan>,
        given: Source,
        heard: Option<&Heard>,
    ) -> Result<(), End> {
        if plan.shape.is_twice {
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
    async fn rows(&mut self, plan: &Arc<Plan>, heard: &Heard) -> Result<Rows, End> {
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

    /// Answers a chunk whose command a rule has taken over, or whose answer it changes.
    pub(super) async fn answer_chunk(
        &mut self,
        later: Later,
        then: AfterChunk<S::Effect>,
    ) -> Result<(), End> {
        let Later { plan, verb } = later;
        let heard = Heard { line: Vec::new(), is_whole: true, verb };
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
        if let Some(plan) = self.reached(Place::Dot) {
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
                let heard = Heard { line: Vec::new(), is_whole: true, verb: None };
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
            Some(reply) => self.channel.say(&reply).await,
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

    /// Begins a text that the session knows nothing of.
    fn begin_lost_text(&mut self) {
        self.begin_text(None);
        self.remember().text = TextFate::Lied;
    }
}

fn is_accepted<E>(step: &Step<E>) -> bool {
    match step {
        Step::Reply(reply) | Step::Close(reply) | Step::Text(reply, _) | Step::Secure(reply) => {
            matches!(reply.bytes(), [b'1'..=b'3' | b'+', ..])
        }
        Step::Chunk(_) | Step::Perform(_) | Step::Quiet => true,
    }
}

/// Whether the words of a rule say that a message is stored.
pub(super) fn says_yes(plan: &Plan) -> bool {
    let first = match &plan.says {
        Says::Lines(lines) => lines.first().and_then(|line| line.first()),
        Says::Raw(octets) => octets.first(),
        Says::ItsReply | Says::Nothing => None,
    };
    first == Some(&b'2')
}
