//! Runs the relay beside the servers, at the word of a timer and of an operator: one run at a
//! time, and orders about the queue at any time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use crate::relay::orders::Order;
use crate::relay::queue_target::Pick;
use crate::relay::resolver::Dns;
use crate::relay::run::{Choice, Relay, RunError, Summary};

/// Requests, and answers to them, that may wait.
const WAITING: usize = 64;

/// What an operator wants of the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A run for everybody who waits.
    Run,
    /// Something about one recipient; who is to be retried is tried at once.
    Give(Order, Pick),
    /// The same about several.
    GiveAll(Order, BTreeSet<Pick>),
}

/// How an operator reaches the relay.
#[derive(Debug)]
pub struct Post {
    /// Takes what the operator wants.
    pub requests: mpsc::Sender<Request>,
    /// Says in a sentence what came of it.
    pub words: mpsc::Receiver<String>,
    /// The relay, whose board shows what it does.
    pub relay: Arc<Relay<Dns>>,
}

/// Decides when the relay runs, and for whom.
#[derive(Debug)]
pub struct Postmaster {
    relay: Arc<Relay<Dns>>,
    requests: mpsc::Receiver<Request>,
    words: mpsc::Sender<String>,
    timer: Option<Interval>,
    /// The run that is under way.
    run: JoinSet<(Choice, Result<Summary, RunError>)>,
    /// The run that follows it.
    wanted: Option<Choice>,
}

impl Postmaster {
    /// Begins to work among `tasks`, until the relay is told to stop.
    #[must_use]
    pub fn start(relay: Arc<Relay<Dns>>, every: Option<Duration>, tasks: &TaskTracker) -> Post {
        let (requests, taken) = mpsc::channel(WAITING);
        let (say, words) = mpsc::channel(WAITING);
        let postmaster = Self {
            relay: Arc::clone(&relay),
            requests: taken,
            words: say,
            timer: every.map(timer),
            run: JoinSet::new(),
            wanted: None,
        };
        tasks.spawn(postmaster.work());
        Post { requests, words, relay }
    }

    async fn work(mut self) {
        let stop = self.relay.client.stop.clone();
        loop {
            self.begin_what_is_wanted();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => {
                    // A queue that another program keeps locked must not hold up the end.
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.take(request) => {}
                    }
                }
                Some(ended) = self.run.join_next() => self.tell(ended),
                () = tick(&mut self.timer) => {
                    // A timer's run adds nothing to one that is wanted by somebody already.
                    if self.run.is_empty() && self.wanted.is_none() {
                        self.wanted = Some(Choice::Due);
                    }
                }
            }
        }
        // A run that is told to stop writes down what it has found.
        while self.run.join_next().await.is_some() {}
    }

    fn begin_what_is_wanted(&mut self) {
        if !self.run.is_empty() {
            return;
        }
        if let Some(choice) = self.wanted.take() {
            let relay = Arc::clone(&self.relay);
            self.run.spawn(async move {
                let result = relay.run(&choice).await;
                (choice, result)
            });
        }
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::Run => self.want(Choice::All),
            Request::Give(order, pick) => self.give(order, [pick].into()).await,
            Request::GiveAll(order, picks) => self.give(order, picks).await,
        }
    }

    async fn give(&mut self, order: Order, picks: BTreeSet<Pick>) {
        let queue = self.relay.directory.queue();
        match order.give(&queue, picks.clone()).await {
            Ok(_) => self.follow_up(order, picks),
            Err(error) => self.say(format!("{error}.")),
        }
    }

    fn follow_up(&mut self, order: Order, picks: BTreeSet<Pick>) {
        let first = picks.iter().next().filter(|_| picks.len() == 1);
        let whom = match first {
            Some(pick) => pick.recipient.clone().unwrap_or_else(|| pick.id.clone()),
            None => format!("{} recipients", picks.len()),
        };
        match order {
            Order::Retry => self.want(Choice::Only(picks)),
            Order::Hold => self.say(format!("Holding {whom}: not tried until it is released.")),
            Order::Release => self.say(format!("Released {whom}.")),
            Order::Drop => self.say(format!("Dropped {whom} from the queue.")),
        }
    }

    fn want(&mut self, choice: Choice) {
        if !self.run.is_empty() {
            self.say("A relay run is under way; this follows it.".to_owned());
        }
        self.wanted = Some(both(self.wanted.take(), choice));
    }

    fn tell(&self, ended: Result<(Choice, Result<Summary, RunError>), JoinError>) {
        match ended {
            // Nobody has asked for it, and nothing was due.
            Ok((Choice::Due, Ok(summary))) if summary.tally.recipients == 0 => {}
            Ok((Choice::Due, Err(RunError::UnderWay))) => {}
            Ok((_, Ok(Summary { tally, left }))) => {
                let words = match tally.recipients {
                    0 => format!("Relay run: nothing to send; {left} left in the queue."),
                    _ => format!("Relay run: {tally}; {left} left in the queue."),
                };
                tracing::info!("{words}");
                self.say(words);
            }
            Ok((_, Err(error))) => {
                tracing::warn!("{error}");
                self.say(format!("No relay run: {error}."));
            }
            Err(error) => tracing::error!("the relay task panicked: {error}"),
        }
    }

    /// Nobody has to be there to hear it.
    fn say(&self, words: String) {
        let _ = self.words.try_send(words);
    }
}

/// The run that does what both would do.
fn both(wanted: Option<Choice>, more: Choice) -> Choice {
    match (wanted, more) {
        (Some(Choice::All), _) => Choice::All,
        (Some(Choice::Only(mut picks)), Choice::Only(more)) => {
            picks.extend(more);
            Choice::Only(picks)
        }
        // What is due is taken by the timer's next run.
        (_, more) => more,
    }
}

fn timer(every: Duration) -> Interval {
    let mut timer = interval(every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

async fn tick(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        None => std::future::pending().await,
    }
}
