//! Runs the relay inside the server process, on a timer and on an operator's request: one run at a
//! time, and orders about the queue at any time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use crate::relay::orders::{Done, Order};
use crate::relay::queue_target::QueueTarget;
use crate::relay::resolver::Dns;
use crate::relay::run::{Choice, Relay, RunError, Summary};

/// The most requests, and the most answers, that may wait.
const WAITING: usize = 64;

/// A request of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A run for all pending recipients.
    Run,
    /// An order about one recipient; [`Order::Retry`] also starts a run for it.
    Give(Order, QueueTarget),
    /// An order about several recipients.
    GiveAll(Order, BTreeSet<QueueTarget>),
    /// The same, for somebody who waits for what came of it.
    Ask(Order, BTreeSet<QueueTarget>, Answer),
}

/// Takes what came of an order: how much it has changed, or a sentence that says why not.
#[derive(Debug, Clone)]
pub struct Answer(mpsc::Sender<Result<Done, String>>);

impl Answer {
    /// A place for an answer, and where it can be waited for.
    #[must_use]
    pub fn awaited() -> (Self, mpsc::Receiver<Result<Done, String>>) {
        let (give, taken) = mpsc::channel(1);
        (Self(give), taken)
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Answer {}

/// The console's connection to the relay.
#[derive(Debug)]
pub struct RelayHandle {
    /// Takes the operator's requests.
    pub requests: mpsc::Sender<Request>,
    /// Delivers the results as sentences for the status line.
    pub words: mpsc::Receiver<String>,
    /// The relay, whose progress shows its progress.
    pub relay: Arc<Relay<Dns>>,
}

/// Decides when the relay runs and for which recipients.
#[derive(Debug)]
pub struct Postmaster {
    relay: Arc<Relay<Dns>>,
    requests: mpsc::Receiver<Request>,
    words: mpsc::Sender<String>,
    timer: Option<Interval>,
    /// The current run; at most one. A set, because `select!` can wait for it whether there is a
    /// run or not.
    run: JoinSet<(Choice, Result<Summary, RunError>)>,
    /// The run to start after the current one.
    wanted: Option<Choice>,
}

impl Postmaster {
    /// Starts the task among `tasks`; it ends when the relay is told to stop. With `every`, a run
    /// for due recipients starts at that interval.
    #[must_use]
    pub fn start(
        relay: Arc<Relay<Dns>>,
        every: Option<Duration>,
        tasks: &TaskTracker,
    ) -> RelayHandle {
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
        RelayHandle { requests, words, relay }
    }

    async fn work(mut self) {
        let stop = self.relay.client.stop.clone();
        loop {
            self.begin_what_is_wanted();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => {
                    // If another program keeps the queue locked, that must not delay shutdown.
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.take(request) => {}
                    }
                }
                Some(ended) = self.run.join_next() => self.tell(ended),
                () = tick(&mut self.timer) => {
                    // A request already covers what the timer would start.
                    if self.run.is_empty() && self.wanted.is_none() {
                        self.wanted = Some(Choice::Due);
                    }
                }
            }
        }
        // A stopped run still writes its results to the queue, so it is waited for.
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
            Request::Give(order, target) => drop(self.give(order, [target].into()).await),
            Request::GiveAll(order, targets) => drop(self.give(order, targets).await),
            Request::Ask(order, targets, Answer(answer)) => {
                let done = self.give(order, targets).await;
                // Whoever asked may have gone.
                let _ = answer.try_send(done);
            }
        }
    }

    async fn give(&mut self, order: Order, targets: BTreeSet<QueueTarget>) -> Result<Done, String> {
        let queue = self.relay.directory.queue();
        let done = order.give(&queue, targets.clone()).await;
        match &done {
            Ok(_) => self.follow_up(order, targets),
            Err(error) => self.say(format!("{error}.")),
        }
        done.map_err(|error| error.to_string())
    }

    fn follow_up(&mut self, order: Order, targets: BTreeSet<QueueTarget>) {
        let first = targets.iter().next().filter(|_| targets.len() == 1);
        let whom = match first {
            Some(target) => target.recipient.clone().unwrap_or_else(|| target.id.clone()),
            None => format!("{} recipients", targets.len()),
        };
        match order {
            Order::Retry => self.want(Choice::Only(targets)),
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
            // An operator did not ask for this run and nothing was due, so there is nothing to
            // report.
            Ok((Choice::Due, Ok(summary))) if summary.tally.recipients == 0 => {}
            // Another process runs the relay, which does the same; the timer tries again.
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

    /// Reports a result. It is dropped if the console does not read or there is none.
    fn say(&self, words: String) {
        let _ = self.words.try_send(words);
    }
}

/// A choice that covers both.
fn both(wanted: Option<Choice>, more: Choice) -> Choice {
    match (wanted, more) {
        (Some(Choice::All), _) => Choice::All,
        (Some(Choice::Only(mut targets)), Choice::Only(more)) => {
            targets.extend(more);
            Choice::Only(targets)
        }
        // The timer's next run takes what is due.
        (_, more) => more,
    }
}

fn timer(every: Duration) -> Interval {
    let mut timer = interval(every);
    // After a long pause (a suspended machine) one run is enough; missed ticks must not pile up.
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

async fn tick(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        // Without a timer this branch of the select never completes.
        None => std::future::pending().await,
    }
}
