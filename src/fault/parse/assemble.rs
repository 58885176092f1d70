//! Makes one plan of the actions of a rule, which act together.

use crate::fault::parse::actions::{Action, Placed};
use crate::fault::parse::head::{Moment, has_moments};
use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::plan::{Plan, Says, Work};
use crate::fault::point::{Place, Point};

/// The plan; none for `pass`.
pub(super) fn plan(
    point: Point,
    moment: Option<(Moment, usize)>,
    actions: &[Placed<'_>],
) -> Parsed<Option<Plan>> {
    one_of_each(actions)?;
    if let Some(pass) = actions.iter().find(|one| one.action == Action::Pass) {
        return match actions.len() {
            1 => Ok(None),
            _ => problem(pass.at, "pass acts alone", "the other actions without it"),
        };
    }
    let whole = Whole { point, moment, actions };
    whole.go_together()?;
    let mut plan = Plan { work: whole.work(), ..Plan::default() };
    plan.acts_after_work = whole.is_after() || whole.is_after_by_itself();
    if whole.says_nothing() {
        plan.says = Says::Nothing;
    }
    for one in actions {
        put(&mut plan, &one.action);
    }
    Ok(Some(plan))
}

/// Refuses two replies, two ends, and any action twice.
fn one_of_each(actions: &[Placed<'_>]) -> Parsed<()> {
    let mut before: Vec<&Placed<'_>> = Vec::new();
    for one in actions {
        let both = |is: fn(&Action) -> bool| {
            before.iter().any(|before| is(&before.action)) && is(&one.action)
        };
        let sentence = if both(Action::is_reply) {
            "a rule has one reply".to_owned()
        } else if both(Action::is_end) {
            "a rule has one end".to_owned()
        } else if before.iter().any(|before| before.name == one.name) {
            format!("{} is given twice", one.name)
        } else {
            before.push(one);
            continue;
        };
        return problem(one.at, sentence, "another action, or the end of the rule");
    }
    Ok(())
}

/// All actions of a rule.
struct Whole<'p, 'a> {
    point: Point,
    moment: Option<(Moment, usize)>,
    actions: &'p [Placed<'a>],
}

impl Whole<'_, '_> {
    fn find(&self, is: impl Fn(&Action) -> bool) -> Option<&Placed<'_>> {
        self.actions.iter().find(|one| is(&one.action))
    }

    fn has(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.find(is).is_some()
    }

    fn is_after(&self) -> bool {
        matches!(self.moment, Some((Moment::After, _)))
    }

    /// Whether there is a reply to be changed: the rule's, or that of the session.
    fn has_reply(&self) -> bool {
        self.has(|one| one.has_words() || *one == Action::Lie)
    }

    /// Half of the session's reply is known when the work is done.
    fn is_after_by_itself(&self) -> bool {
        let needs_its_reply = self.has(|one| matches!(one, Action::Part(..))) && !self.has_reply();
        needs_its_reply && has_moments(self.point)
    }

    /// A connection that ends without words; unless something is changed in the reply, which must
    /// then be said.
    fn says_nothing(&self) -> bool {
        use crate::fault::plan::Ending::{Cut, Hang, Reset};
        let ends = self.has(|one| matches!(one, Action::End(Cut | Reset | Hang)));
        let is_silent = ends && !self.has_reply() && !self.has(Action::shapes);
        is_silent || self.has(|one| *one == Action::Mute)
    }

    fn work(&self) -> Work {
        if self.has(|one| *one == Action::Lie) {
            return Work::Lied;
        }
        let replaces = self.has(Action::has_words) || self.says_nothing();
        let is_done = self.is_after() || self.has(|one| *one == Action::Do);
        if replaces && !is_done { Work::NotDone } else { Work::Done }
    }

    /// Refuses actions that contradict each other, or mean nothing beside the others.
    fn go_together(&self) -> Parsed<()> {
        self.mute_goes_on()?;
        self.changes_have_a_reply()?;
        self.tls_begins()?;
        if let Some(it) =
            self.find(|one| *one == Action::Do).filter(|_| !self.has(Action::has_words))
        {
            return problem(it.at, "do has no words to say", "do with a reply or raw");
        }
        match self.moment {
            Some((Moment::After, at)) if self.has(|one| *one == Action::Lie) => {
                problem(at, "lie does no work that it could act after", "lie without after")
            }
            Some((Moment::Before, at)) if self.is_after_by_itself() => {
                problem(at, "a part of the reply is known only after the work", "after")
            }
            _ => Ok(()),
        }
    }

    fn mute_goes_on(&self) -> Parsed<()> {
        let Some(mute) = self.find(|one| *one == Action::Mute) else {
            return Ok(());
        };
        let other = self.find(|one| one.is_end() || one.shapes());
        let Some(other) = other else {
            return Ok(());
        };
        let sentence =
            format!("mute says nothing and goes on, so that {} has no meaning", other.name);
        problem(mute.at.max(other.at), sentence, "mute without it")
    }

    /// A text has no reply of its own, and what is told of messages is not in the words of a rule.
    fn changes_have_a_reply(&self) -> Parsed<()> {
        use crate::fault::plan::Ending::Close;
        if self.point.place == Place::Text && !self.has_reply() {
            let needs_one =
                |one: &Action| one.shapes() || matches!(one, Action::Part(..) | Action::End(Close));
            if let Some(it) = self.find(needs_one) {
                let sentence = format!("{} has no reply to change at {}", it.name, self.point);
                return problem(it.at, sentence, "a reply beside it, or cut reset hang");
            }
        }
        match self.find(Action::shapes_pop3).filter(|_| self.has(Action::has_words)) {
            Some(it) => {
                let sentence = format!("{} has no meaning for a reply of the rule's own", it.name);
                problem(it.at, sentence, "the reply without it, or it without the reply")
            }
            None => Ok(()),
        }
    }

    fn tls_begins(&self) -> Parsed<()> {
        let Some(tls) = self.find(|one| matches!(one, Action::Tls(_))) else {
            return Ok(());
        };
        if self.has(|one| one.is_reply() || one.is_end()) {
            return problem(
                tls.at,
                "tls needs the reply that lets TLS begin",
                "tls without a reply or end",
            );
        }
        Ok(())
    }
}

/// Enters an action into the plan.
fn put(plan: &mut Plan, action: &Action) {
    let shape = &mut plan.shape;
    match action {
        Action::Lines(lines) => plan.says = Says::Lines(lines.clone()),
        Action::Raw(octets) => plan.says = Says::Raw(octets.clone()),
        Action::End(end) => plan.end = Some(*end),
        Action::Part(most, end) => (shape.most, plan.end) = (Some(*most), Some(*end)),
        Action::Delay(time) => plan.delay = Some(*time),
        Action::Drip(octets, pause) => shape.drip = Some((*octets, *pause)),
        Action::Twice => shape.is_twice = true,
        Action::Lf => shape.is_lf = true,
        Action::SoManyLines(lines) => shape.lines = Some(*lines),
        Action::Pad(octets) => shape.pad = Some(octets.get()),
        Action::Append(octets) => shape.append = Some(octets.clone()),
        Action::SlowRead(rate) => plan.slow_read = Some(*rate),
        Action::Size(amount) => shape.size = Some(*amount),
        Action::Count(amount) => shape.count = Some(*amount),
        Action::Uid(fault) => shape.uid = Some(*fault),
        Action::Omit(omit) => shape.omit = Some(*omit),
        Action::NoDot => shape.has_no_dot = true,
        Action::Unstuffed => shape.is_unstuffed = true,
        Action::Loop => shape.is_endless = true,
        Action::Tls(fault) => plan.tls = Some(*fault),
        // These say what becomes of the work, and how much is said.
        Action::Lie | Action::Mute | Action::Do | Action::Pass => {}
    }
}
