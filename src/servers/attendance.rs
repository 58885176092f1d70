//! Whether clients are connected, for whoever waits until none has been for a while. Knows no
//! protocol.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// The number of open connections, of all servers of a process.
#[derive(Debug, Clone)]
pub struct Attendance(Arc<watch::Sender<usize>>);

impl Default for Attendance {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

/// One connection; dropping it says that the connection is closed.
#[derive(Debug)]
pub struct Presence(Arc<watch::Sender<usize>>);

impl Attendance {
    /// Notes that a connection is open, for as long as the result lives.
    #[must_use]
    pub fn enter(&self) -> Presence {
        self.0.send_modify(|open| *open += 1);
        Presence(Arc::clone(&self.0))
    }

    /// Waits until no connection has been open for `time`.
    pub async fn absence(&self, time: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let is_empty = *changes.borrow_and_update() == 0;
            let absence =
                async { if is_empty { sleep(time).await } else { std::future::pending().await } };
            tokio::select! {
                // A connection that has come and gone meanwhile is a change too.
                _ = changes.changed() => {}
                () = absence => return,
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, advance};

    #[tokio::test(start_paused = true)]
    async fn absence_is_counted_from_the_last_farewell() {
        const SECOND: Duration = Duration::from_secs(1);
        let attendance = Attendance::default();
        let begun = Instant::now();
        let client = attendance.enter();
        let waiting = tokio::spawn({
            let attendance = attendance.clone();
            async move { attendance.absence(5 * SECOND).await }
        });
        advance(20 * SECOND).await;
        drop(client);
        advance(4 * SECOND).await;
        // Comes and goes between two looks.
        drop(attendance.enter());
        waiting.await.unwrap();
        assert_eq!(begun.elapsed(), 29 * SECOND);
    }
}
