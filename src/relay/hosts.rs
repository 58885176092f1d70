//! What the agents of one route have learnt of its hosts in this run: which refuse mail, which
//! break conversations off, and how many connections each has. Does no I/O.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::relay::mx::Target;
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Verdict};

/// After this many broken conversations in a row a host gets no more messages in this run: each
/// could cost the longest timeout.
const MOST_BROKEN: u32 = 3;

/// The hosts of one route, in the order to be tried.
#[derive(Debug)]
pub struct Hosts {
    known: Mutex<Vec<KnownHost>>,
    answered: Notify,
}

#[derive(Debug)]
struct KnownHost {
    target: Target,
    /// Couriers that are connected to it or are connecting.
    visitors: usize,
    /// Those of the visitors whose connection the host has accepted.
    let_in: usize,
    /// Conversations broken off in a row.
    broken: u32,
    /// If set, the host gets no further messages in this run.
    useless: Option<Useless>,
}

#[derive(Debug)]
enum Useless {
    /// It accepts no mail from us now, whatever the message.
    Refuses(Verdict),
    /// It breaks conversations off. What it would reply to another message is not known.
    BreaksOff,
}

/// What to expect from the hosts of a route.
#[derive(Debug, PartialEq, Eq)]
pub enum Prospects {
    /// At least one may accept a message.
    Good,
    /// None accepts any mail now: this verdict, of this host if there is one, holds for all messages
    /// of the route.
    Refused(Verdict, Option<Target>),
    /// They broke off conversations about other messages; the text says so to the operator. It is
    /// not a verdict on the messages that are left.
    Spared(String),
}

/// What a agent does when a host has refused it before MAIL.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// End: another agent is connected to the host, which accepts no more connections from us.
    StepAside,
    /// Try the next host.
    NextHost,
}

impl Hosts {
    /// The hosts at `targets`, of which nothing is known yet.
    #[must_use]
    pub fn new(targets: Vec<Target>) -> Arc<Self> {
        let known = targets.into_iter().map(|target| KnownHost {
            target,
            visitors: 0,
            let_in: 0,
            broken: 0,
            useless: None,
        });
        Arc::new(Self { known: Mutex::new(known.collect()), answered: Notify::new() })
    }

    /// Begins a visit to the first usable host that is not in `tried`, or `None`.
    #[must_use]
    pub fn visit(self: &Arc<Self>, tried: &[usize]) -> Option<Visit> {
        let mut known = self.lock();
        let mut hosts = known.iter_mut().enumerate();
        let (nth, host) = hosts.find(|(nth, host)| host.may_take(*nth, tried))?;
        host.visitors += 1;
        let (hosts, target) = (Arc::clone(self), host.target.clone());
        Some(Visit { hosts, host: nth, target, is_let_in: false })
    }

    /// Whether there is a usable host that is not in `tried`.
    #[must_use]
    pub fn has_another(&self, tried: &[usize]) -> bool {
        self.lock().iter().enumerate().any(|(nth, host)| host.may_take(nth, tried))
    }

    /// The number of agents connected or connecting to any of the hosts.
    #[must_use]
    pub fn visitors(&self) -> usize {
        self.lock().iter().map(|host| host.visitors).sum()
    }

    /// The number of agents whose connection a host has accepted.
    #[must_use]
    pub fn let_in(&self) -> usize {
        self.lock().iter().map(|host| host.let_in).sum()
    }

    /// What to expect from these hosts now.
    #[must_use]
    pub fn prospects(&self) -> Prospects {
        let known = self.lock();
        let mut last = None;
        for host in known.iter() {
            match &host.useless {
                None => return Prospects::Good,
                Some(useless) => last = Some((useless, &host.target)),
            }
        }
        // One host that only breaks off is enough to spare the messages: it might have accepted
        // them.
        let mut known = known.iter();
        if let Some(host) = known.find(|host| matches!(host.useless, Some(Useless::BreaksOff))) {
            return Prospects::Spared(not_offered(&host.target.host));
        }
        match last {
            Some((Useless::Refuses(verdict), target)) => {
                Prospects::Refused(verdict.clone(), Some(target.clone()))
            }
            _ => Prospects::Refused(nobody_there(), None),
        }
    }

    /// Waits until a host accepts a connection or completes a conversation. An event since the last
    /// call counts, so that none is missed.
    pub async fn answered(&self) {
        self.answered.notified().await;
    }

    fn change<T>(&self, nth: usize, change: impl FnOnce(&mut KnownHost) -> T) -> Option<T> {
        self.lock().get_mut(nth).map(change)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KnownHost>> {
        self.known.lock()
    }
}

impl KnownHost {
    fn may_take(&self, nth: usize, tried: &[usize]) -> bool {
        self.useless.is_none() && !tried.contains(&nth)
    }
}

fn not_offered(host: &str) -> String {
    format!("not offered: {host} broke off {MOST_BROKEN} conversations in a row, about other mail")
}

fn nobody_there() -> Verdict {
    Verdict::deferred(Status::NO_ANSWER, Again::NextRun, "there is no host to ask")
}

/// A agent's connection to a host, from before the connection is made until this is dropped.
#[derive(Debug)]
pub struct Visit {
    hosts: Arc<Hosts>,
    host: usize,
    target: Target,
    is_let_in: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // In `drop`, so that the counts are right even if the agent's task is aborted.
        let let_in = usize::from(self.is_let_in);
        self.hosts.change(self.host, |host| {
            host.visitors -= 1;
            host.let_in -= let_in;
        });
    }
}

impl Visit {
    /// The index of the host.
    #[must_use]
    pub const fn host(&self) -> usize {
        self.host
    }

    /// The host's name and address.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Records that the host has accepted the connection.
    pub fn opened(&mut self) {
        if !std::mem::replace(&mut self.is_let_in, true) {
            self.hosts.change(self.host, |host| host.let_in += 1);
        }
        self.hosts.answered.notify_one();
    }

    /// Ends the visit because the host refused it before MAIL, which says nothing about the mail.
    /// If another agent is connected to the host, only this connection is refused: many hosts
    /// limit the connections from one client.
    #[must_use]
    pub fn refused(self, verdict: Verdict) -> Refusal {
        let refusal = self.hosts.change(self.host, |host| {
            if host.visitors > 1 {
                return Refusal::StepAside;
            }
            host.useless = Some(Useless::Refuses(verdict));
            Refusal::NextHost
        });
        refusal.unwrap_or(Refusal::NextHost)
    }

    /// Records that the host broke off a conversation on a fresh connection.
    pub fn broke_off(&self) {
        self.hosts.change(self.host, |host| {
            host.broken += 1;
            if host.broken >= MOST_BROKEN {
                host.useless = Some(Useless::BreaksOff);
            }
        });
    }

    /// Records that a conversation was completed; the host is usable again.
    pub fn came_to_its_end(&self) {
        self.hosts.change(self.host, |host| {
            host.broken = 0;
            host.useless = None;
        });
        self.hosts.answered.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn hosts(count: u16) -> Arc<Hosts> {
        let target = |port| Target {
            preference: None,
            host: "mx.example".to_owned(),
            address: SocketAddr::from(([192, 0, 2, 1], port)),
        };
        Hosts::new((0..count).map(target).collect())
    }

    fn visit(hosts: &Arc<Hosts>, host: usize) -> Visit {
        let visit = hosts.visit(&[]).expect("a host");
        assert_eq!(visit.host(), host);
        visit
    }

    fn busy() -> Verdict {
        Verdict::deferred(Status::NO_ANSWER, Again::NextHost, "554 one at a time")
    }

    #[test]
    fn who_is_refused_steps_aside_for_another_at_that_host() {
        let hosts = hosts(2);
        let (first, second) = (visit(&hosts, 0), visit(&hosts, 0));
        assert_eq!(second.refused(busy()), Refusal::StepAside);
        assert_eq!((hosts.visitors(), hosts.prospects()), (1, Prospects::Good));
        assert_eq!(first.refused(busy()), Refusal::NextHost);
        let last = visit(&hosts, 1);
        let refused = Prospects::Refused(busy(), Some(last.target().clone()));
        assert_eq!(last.refused(busy()), Refusal::NextHost);
        assert_eq!((hosts.visitors(), hosts.prospects()), (0, refused));
        assert!(hosts.visit(&[]).is_none());
    }

    #[test]
    fn a_host_that_keeps_breaking_off_is_spared_and_nothing_is_said_of_the_mail() {
        let hosts = hosts(2);
        let host = visit(&hosts, 0);
        for _ in 0..2 {
            host.broke_off();
        }
        host.came_to_its_end();
        for _ in 0..2 {
            host.broke_off();
        }
        assert!(hosts.has_another(&[1]));
        host.broke_off();
        assert_eq!(visit(&hosts, 1).refused(busy()), Refusal::NextHost);
        let why = "not offered: mx.example broke off 3 conversations in a row, about other mail";
        assert_eq!(hosts.prospects(), Prospects::Spared(why.to_owned()));
        // Another agent, connected all the while, completes a conversation.
        host.came_to_its_end();
        assert_eq!(hosts.prospects(), Prospects::Good);
    }
}
