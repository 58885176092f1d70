//! What the couriers of one way know, together, of the hosts there: who takes no mail now, who
//! breaks conversations off, and who is being visited. Touches no network.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::relay::mx::Target;
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Verdict};

/// Conversations in a row that a host may break off before the letters that follow are spared it:
/// each of them could cost the longest time-out.
const MOST_BROKEN: u32 = 3;

/// The hosts of one way, in the order in which they are to be tried.
#[derive(Debug)]
pub struct Hosts {
    known: Mutex<Vec<KnownHost>>,
    answered: Notify,
}

#[derive(Debug)]
struct KnownHost {
    target: Target,
    /// Couriers that have a connection to it, or are about to.
    visitors: usize,
    /// Those of them whose connection it has taken.
    let_in: usize,
    /// Conversations in a row that it has broken off.
    broken: u32,
    /// Why no further letter is brought there in this run.
    useless: Option<Useless>,
}

#[derive(Debug)]
enum Useless {
    /// It takes no mail from us now, whatever it is.
    Refuses(Verdict),
    /// It breaks conversations off. What it would say to the next letter is not known.
    BreaksOff,
}

/// What can be hoped for from the hosts of a way.
#[derive(Debug, PartialEq, Eq)]
pub enum Prospects {
    /// There is one that may take a letter.
    Good,
    /// None takes any mail now: this is the verdict on whatever there is to carry.
    Refused(Verdict),
    /// They have been enough trouble for this run, with other letters: why, for the operator. It
    /// is no verdict on what there is to carry.
    Spared(String),
}

/// What a courier is to do when a host has refused it before MAIL.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing more: another courier is with that host, which takes no more connections from us.
    StepAside,
    /// Ask the next host.
    NextHost,
}

impl Hosts {
    /// The hosts at `targets`, of whom nothing is known.
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

    /// Begins a visit to the first host that may be of use and is not among those `tried`.
    #[must_use]
    pub fn visit(self: &Arc<Self>, tried: &[usize]) -> Option<Visit> {
        let mut known = self.lock();
        let mut hosts = known.iter_mut().enumerate();
        let (nth, host) = hosts.find(|(nth, host)| host.may_take(*nth, tried))?;
        host.visitors += 1;
        let (hosts, target) = (Arc::clone(self), host.target.clone());
        Some(Visit { hosts, host: nth, target, is_let_in: false })
    }

    /// Whether there is a host that may be of use and is not among those `tried`.
    #[must_use]
    pub fn has_another(&self, tried: &[usize]) -> bool {
        self.lock().iter().enumerate().any(|(nth, host)| host.may_take(nth, tried))
    }

    /// Couriers that visit any of the hosts.
    #[must_use]
    pub fn visitors(&self) -> usize {
        self.lock().iter().map(|host| host.visitors).sum()
    }

    /// Couriers whose connection a host has taken.
    #[must_use]
    pub fn let_in(&self) -> usize {
        self.lock().iter().map(|host| host.let_in).sum()
    }

    /// What can be hoped for.
    #[must_use]
    pub fn prospects(&self) -> Prospects {
        let known = self.lock();
        let mut last = None;
        for host in known.iter() {
            match &host.useless {
                None => return Prospects::Good,
                Some(useless) => last = Some(useless),
            }
        }
        let mut known = known.iter();
        if let Some(host) = known.find(|host| matches!(host.useless, Some(Useless::BreaksOff))) {
            return Prospects::Spared(not_offered(&host.target.host));
        }
        match last {
            Some(Useless::Refuses(verdict)) => Prospects::Refused(verdict.clone()),
            _ => Prospects::Refused(nobody_there()),
        }
    }

    /// Waits until a host has answered since this was last waited for: it has taken a connection,
    /// or a conversation has come to its end.
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

/// A courier's visit to a host, from before the connection to its end, which is when this is
/// dropped.
#[derive(Debug)]
pub struct Visit {
    hosts: Arc<Hosts>,
    host: usize,
    target: Target,
    is_let_in: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let let_in = usize::from(self.is_let_in);
        self.hosts.change(self.host, |host| {
            host.visitors -= 1;
            host.let_in -= let_in;
        });
    }
}

impl Visit {
    /// Which of the hosts.
    #[must_use]
    pub const fn host(&self) -> usize {
        self.host
    }

    /// Where it is.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Notes that the host has taken the connection.
    pub fn opened(&mut self) {
        if !std::mem::replace(&mut self.is_let_in, true) {
            self.hosts.change(self.host, |host| host.let_in += 1);
        }
        self.hosts.answered.notify_one();
    }

    /// Ends the visit because of what the host said, or did not say, before MAIL. Of the mail that
    /// says nothing. If another courier is with this host, it concerns this connection alone: many
    /// hosts take only so many from one client.
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

    /// Notes that the host has broken off a conversation that was none before.
    pub fn broke_off(&self) {
        self.hosts.change(self.host, |host| {
            host.broken += 1;
            if host.broken >= MOST_BROKEN {
                host.useless = Some(Useless::BreaksOff);
            }
        });
    }

    /// Notes that a conversation came to its end.
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
        assert_eq!(visit(&hosts, 1).refused(busy()), Refusal::NextHost);
        assert_eq!((hosts.visitors(), hosts.prospects()), (0, Prospects::Refused(busy())));
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
        // Another courier, who was with it all the while, has got through.
        host.came_to_its_end();
        assert_eq!(hosts.prospects(), Prospects::Good);
    }
}
