//! The postmaster: what an operator and a timer ask of the relay, and what they hear of it.

use std::sync::Arc;
use std::time::Duration;

use mailconsole::console::action::Request;
use mailconsole::relay::orders::{Order, QueueTarget};
use mailconsole::relay::postmaster::{Postmaster, RelayHandle as Line};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::runs::{Ready, RelayHandle};

/// An operator at the relay's line.
struct Operator {
    post: Ready,
    line: Line,
    tasks: TaskTracker,
}

impl Operator {
    fn of(post: Ready, every: Option<Duration>) -> Self {
        let tasks = TaskTracker::new();
        let line = Postmaster::start(Arc::clone(&post.relay), every, &tasks);
        Self { post, line, tasks }
    }

    async fn asks(&self, request: Request) {
        self.line.requests.send(request).await.expect("a postmaster");
    }

    async fn gives(&self, order: Order) {
        let entries = self.post.relay.directory.queue().entries().await.expect("entries");
        let block = &entries[0].block;
        let target = QueueTarget::one(&block.id, &block.recipients[0].forward_path);
        self.asks(Request::Give(order, target)).await;
    }

    async fn hears(&mut self, words: &str) {
        let heard = self.line.words.recv().await.expect("a postmaster");
        assert_eq!(heard, words);
    }

    /// Tells the relay to stop, and waits for its end.
    async fn ends(self) {
        self.post.relay.client.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test]
async fn an_operator_hears_what_came_of_a_run() {
    let host = MailHost::that(polite).await;
    let mut operator = Operator::of(RelayHandle::new().route("x.example", &host).ready(), None);
    operator.asks(Request::Run).await;
    operator.hears("Relay run: nothing to send; 0 left in the queue.").await;
    operator.post.queue(&["a@x.example"]).await;
    operator.asks(Request::Run).await;
    operator.hears("Relay run: 1 delivered, 0 deferred, 0 failed; 0 left in the queue.").await;
    operator.ends().await;
}

#[tokio::test]
async fn what_failed_is_tried_only_when_it_is_retried() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let mut operator = Operator::of(RelayHandle::new().route("x.example", &host).ready(), None);
    operator.post.queue(&["a@x.example"]).await;
    operator.asks(Request::Run).await;
    operator.hears("Relay run: 0 delivered, 0 deferred, 1 failed; 1 left in the queue.").await;
    operator.asks(Request::Run).await;
    operator.hears("Relay run: nothing to send; 1 left in the queue.").await;
    operator.gives(Order::Retry).await;
    operator.hears("Relay run: 0 delivered, 0 deferred, 1 failed; 1 left in the queue.").await;
    assert_eq!(host.connections(), 2);
    operator.ends().await;
}

#[tokio::test]
async fn an_operator_holds_releases_and_drops() {
    let mut operator = Operator::of(RelayHandle::new().ready(), None);
    operator.post.queue(&["a@x.example"]).await;
    operator.gives(Order::Hold).await;
    operator.hears("Holding a@x.example: not tried until it is released.").await;
    assert_eq!(operator.post.recipients(), ["H 0 <a@x.example>"]);
    operator.gives(Order::Release).await;
    operator.hears("Released a@x.example.").await;
    operator.gives(Order::Drop).await;
    operator.hears("Dropped a@x.example from the queue.").await;
    assert!(operator.post.recipients().is_empty());
    operator.ends().await;
}

#[tokio::test]
async fn what_is_asked_for_during_a_run_follows_it() {
    let begun = Arc::new(Notify::new());
    let tell = Arc::clone(&begun);
    let host = MailHost::that(move |heard| match heard {
        Heard::Text => {
            tell.notify_one();
            Act::Drip(b"451 later\r\n".to_vec())
        }
        heard => polite(heard),
    })
    .await;
    let mut operator = Operator::of(RelayHandle::new().route("x.example", &host).ready(), None);
    operator.post.queue(&["a@x.example"]).await;
    operator.asks(Request::Run).await;
    begun.notified().await;
    operator.asks(Request::Run).await;
    operator.hears("A relay run is under way; this follows it.").await;
    for _ in 0..2 {
        operator.hears("Relay run: 0 delivered, 1 deferred, 0 failed; 1 left in the queue.").await;
    }
    assert_eq!(operator.post.recipients(), ["P 2 <a@x.example> 451 later"]);
    operator.ends().await;
}

#[tokio::test]
async fn a_run_of_another_process_is_told_and_not_waited_for() {
    let mut operator = Operator::of(RelayHandle::new().ready(), None);
    let lock = operator.post.relay.directory.queue().begin_run().expect("a lock");
    operator.asks(Request::Run).await;
    let words = "No relay run: another relay run is at work on this queue; wait for its end.";
    operator.hears(words).await;
    drop(lock);
    operator.ends().await;
}

#[tokio::test]
async fn a_timer_sends_what_is_due_and_says_nothing_of_nothing() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    let mut operator = Operator::of(post, Some(Duration::from_millis(20)));
    operator.hears("Relay run: 1 delivered, 0 deferred, 0 failed; 0 left in the queue.").await;
    operator.post.queue(&["b@x.example"]).await;
    operator.hears("Relay run: 1 delivered, 0 deferred, 0 failed; 0 left in the queue.").await;
    operator.ends().await;
}
