//! The loop asks for rules, and for what addresses have asked for, and tells them what has come of
//! commands.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use tokio::time;

use crate::fault::address::{Trigger, UnknownWord};
use crate::fault::faults::Hit;
use crate::fault::plan::Plan;
use crate::fault::point::{Place, Point};
use crate::fault::rule::Who;
use crate::servers::played::heard::Heard;
use crate::servers::played::told::Told;
use crate::servers::serve::{Conversation, Service};
use crate::servers::session::Session;

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// What is remembered of the session, from now on.
    pub(super) fn remember(&mut self) -> &mut Told {
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

    /// A place without a command is reached: what is to be done there.
    pub(super) fn reached(&mut self, place: Place) -> Option<Arc<Plan>> {
        let at = self.at(place);
        self.remember().progress.reached(at);
        self.hit(at)
    }

    /// What is to be done here, by a rule or because an address has asked for it.
    pub(super) fn hit(&mut self, at: Point) -> Option<Arc<Plan>> {
        if let Some(plan) = self.hit_by_rule(at) {
            return Some(plan);
        }
        let remembered = &self.told.as_ref()?.remembered;
        if remembered.is_empty() {
            return None;
        }
        let hit = self.channel.faults.as_ref()?.trigger_hit(remembered, at, now())?;
        Some(self.noted(hit))
    }

    /// What is to be done here by a rule.
    pub(super) fn hit_by_rule(&mut self, at: Point) -> Option<Arc<Plan>> {
        let told = self.told.as_ref()?;
        let faults = self.channel.faults.as_ref()?;
        let hit = faults.hit(at, &told.progress, told.who, now())?;
        Some(self.noted(hit))
    }

    /// Tells a hit: at once, or once the work is done behind which it acts. Whoever sees it told finds
    /// that work on the disk.
    fn noted(&mut self, hit: Hit) -> Arc<Plan> {
        let plan = Arc::clone(&hit.plan);
        if plan.acts_after_work {
            self.remember().to_tell = Some(hit);
        } else {
            self.channel.tell_hit(&hit);
        }
        plan
    }

    /// The work is done: tells the hit that acts behind it.
    pub(super) fn tell_behind_work(&mut self) {
        if let Some(hit) = self.told.as_mut().and_then(|told| told.to_tell.take()) {
            self.channel.tell_hit(&hit);
        }
    }

    /// Notes what has come of a command, or of the end of a message.
    pub(super) fn answered(&mut self, at: Point, is_accepted: bool) {
        let told = self.remember();
        told.progress.answered(at, is_accepted);
        told.remembered.answered(at, is_accepted);
    }

    /// Notes what the address in a command asks for, and takes that out of the command.
    pub(super) fn take_address(&mut self, at: Point, heard: &mut Heard) -> Result<(), UnknownWord> {
        let takes = self.channel.faults.as_ref().is_some_and(|faults| faults.takes_addresses());
        let asked = (takes && heard.is_whole).then(|| Trigger::in_command(at, &heard.line));
        let trigger = match asked.flatten().transpose()? {
            Some((trigger, line)) => {
                heard.line = line;
                Some(trigger)
            }
            None => None,
        };
        self.remember().remembered.note(trigger);
        Ok(())
    }
}

/// The time of the clock by which the servers wait, which tests pause.
fn now() -> Instant {
    time::Instant::now().into_std()
}
