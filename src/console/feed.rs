//! The queue of transcript events between the servers and the screen: the servers add events
//! without ever waiting, and the screen takes them a frame at a time. When the queue is full, the
//! oldest rows are dropped and counted.

use std::collections::VecDeque;
use std::iter;
use std::mem;

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::console::state::row::Row;
use crate::watch::event::{Event, Kind};
use crate::watch::observers::Observer;

/// The most rows that wait for the screen.
const MOST_ROWS: usize = 65_536;

/// The most octets that the waiting rows take in memory.
const MOST_OCTETS: usize = 16 * 1024 * 1024;

/// The most rows that one frame takes; with more, the next key would be answered late.
const ROWS_A_FRAME: usize = 20_000;

/// Lines kept of one message text; a single long message must not push everything else out.
const TEXT_LINES: u64 = 1_000;

/// Octets of the line end, which is not kept with the line.
const CRLF: u64 = 2;

/// The observer that collects the servers' events for the screen.
#[derive(Debug, Default)]
pub struct Feed {
    waiting: Mutex<Waiting>,
    /// Notified when there is something new to show.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: VecDeque<Row>,
    octets: usize,
    skipped: u64,
    /// An emptied queue that the screen has given back. A frame takes all rows by swapping the two
    /// queues, so that the servers do not wait for the lock while rows are copied.
    spare: VecDeque<Row>,
    /// Message texts that are being received or sent, by connection id.
    texts: FxHashMap<u64, Text>,
}

/// The size of a message text so far.
#[derive(Debug, Default)]
struct Text {
    lines: u64,
    octets: u64,
}

/// The rows that one frame takes.
#[derive(Debug)]
pub struct Taken {
    /// The rows, oldest first.
    pub rows: VecDeque<Row>,
    /// Whether more rows are waiting.
    pub more: bool,
}

impl Feed {
    /// Waits until there is something to show. Several notifications may be merged into one.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Asks the screen for a frame, for a reason outside the transcript.
    pub fn wake(&self) {
        self.moved.notify_one();
    }

    /// Takes the rows of one frame.
    #[must_use]
    pub fn take(&self) -> Taken {
        let mut waiting = self.lock();
        let skipped = mem::take(&mut waiting.skipped);
        let mut rows = waiting.hand_over();
        let more = !waiting.rows.is_empty();
        drop(waiting);
        // The dropped rows were older than the ones that are left, so their count comes first.
        if skipped > 0 {
            rows.push_front(Row::Skipped(skipped));
        }
        Taken { rows, more }
    }

    /// Takes back the queue of a frame's rows, to use its memory again.
    pub fn give_back(&self, mut rows: VecDeque<Row>) {
        rows.clear();
        self.lock().spare = rows;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}

impl Observer for Feed {
    fn observe(&self, event: Event) {
        self.observe_all(&mut iter::once(event));
    }

    fn observe_all(&self, events: &mut dyn Iterator<Item = Event>) {
        let was_empty = {
            let mut waiting = self.lock();
            let was_empty = waiting.rows.is_empty();
            events.for_each(|event| waiting.take_in(event));
            was_empty && !waiting.rows.is_empty()
        };
        if was_empty {
            self.wake();
        }
    }

    /// Always true: the user decides about showing message text when looking at it, also
    /// afterwards.
    fn wants_text(&self) -> bool {
        true
    }

    /// Always true, for the same reason.
    fn wants_reads(&self) -> bool {
        true
    }
}

impl Waiting {
    /// Takes the rows of a frame: all that are waiting, or as many as one frame can take.
    fn hand_over(&mut self) -> VecDeque<Row> {
        let mut rows = mem::take(&mut self.spare);
        if self.rows.len() <= ROWS_A_FRAME {
            mem::swap(&mut rows, &mut self.rows);
            self.octets = 0;
            return rows;
        }
        rows.extend(self.rows.drain(..ROWS_A_FRAME));
        let octets: usize = rows.iter().map(Row::octets).sum();
        self.octets = self.octets.saturating_sub(octets);
        rows
    }

    fn take_in(&mut self, event: Event) {
        if let Kind::TextLine(_, line) = &event.kind {
            let text = self.texts.entry(event.connection.id).or_default();
            text.lines += 1;
            text.octets += line.octets() + CRLF;
            if text.lines > TEXT_LINES {
                return;
            }
        } else if let Some(text) = self.texts.remove(&event.connection.id) {
            self.end_text(&text, &event);
        }
        self.push(Row::Event(event));
    }

    /// Adds the rows that stand for a text that has ended: how many lines were left out, and its
    /// size, which is shown while message text is hidden.
    fn end_text(&mut self, text: &Text, next: &Event) {
        let Event { connection, at, .. } = *next;
        if text.lines > TEXT_LINES {
            self.push(Row::TextLeftOut { connection, lines: text.lines - TEXT_LINES });
        }
        if !matches!(next.kind, Kind::Text { .. }) {
            self.push(Row::Event(Event {
                connection,
                at,
                kind: Kind::Text { octets: text.octets },
            }));
        }
    }

    fn push(&mut self, row: Row) {
        self.octets += row.octets();
        self.rows.push_back(row);
        while self.rows.len() > MOST_ROWS || self.octets > MOST_OCTETS {
            let Some(dropped) = self.rows.pop_front() else {
                return;
            };
            self.octets = self.octets.saturating_sub(dropped.octets());
            self.skipped += dropped.lines();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::{ConnectionName, KeptLine, Passwords, Service, Side};
    use std::time::SystemTime;

    fn event(kind: Kind) -> Event {
        Event {
            connection: ConnectionName { id: 1, number: 7, service: Service::Smtp },
            at: SystemTime::UNIX_EPOCH,
            kind,
        }
    }

    fn line(text: &str) -> Event {
        event(Kind::Line(Side::Client, KeptLine::new(text.as_bytes())))
    }

    fn text_line(text: &str) -> Event {
        event(Kind::TextLine(Side::Client, KeptLine::new(text.as_bytes())))
    }

    fn texts(taken: &Taken) -> Vec<String> {
        let text = |row: &Row| row.text(Passwords::Shown).into_string();
        taken.rows.iter().map(text).collect()
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped_oldest_first_and_counted() {
        let feed = Feed::default();
        for n in 0..MOST_ROWS + 3 {
            feed.observe(line(&n.to_string()));
        }
        let taken = feed.take();
        let first: Vec<_> = texts(&taken).into_iter().take(2).collect();
        assert_eq!(first, ["… 3 lines skipped …", "[7] C: 3"]);
    }

    #[test]
    fn a_frame_takes_no_more_than_it_can_show() {
        let feed = Feed::default();
        for n in 0..=ROWS_A_FRAME {
            feed.observe(line(&n.to_string()));
        }
        let taken = feed.take();
        assert_eq!((taken.rows.len(), taken.more), (ROWS_A_FRAME, true));
        let taken = feed.take();
        assert_eq!((taken.rows.len(), taken.more), (1, false));
    }

    #[test]
    fn long_lines_are_bounded_by_their_octets() {
        let feed = Feed::default();
        let long = "x".repeat(4_000);
        for _ in 0..10_000 {
            feed.observe(line(&long));
        }
        assert!(feed.lock().octets <= MOST_OCTETS);
        let mut shown = 0;
        loop {
            let taken = feed.take();
            shown += taken.rows.iter().map(Row::lines).sum::<u64>();
            if !taken.more {
                break;
            }
        }
        assert_eq!(shown, 10_000);
        assert_eq!(feed.lock().octets, 0);
    }

    #[test]
    fn the_rest_of_a_long_text_is_only_counted() {
        let feed = Feed::default();
        for n in 0..TEXT_LINES + 5 {
            feed.observe(text_line(&n.to_string()));
        }
        feed.observe(line("."));
        let rows = texts(&feed.take());
        let end = &rows[rows.len() - 4..];
        let expected = [
            "[7] C: 999",
            "[7] .. 5 more lines of message text",
            "[7] .. 4920 octets of message text",
            "[7] C: .",
        ];
        assert_eq!(end, expected);
        assert!(feed.lock().texts.is_empty());
    }

    #[test]
    fn a_text_that_comes_by_lines_is_summed_up_once() {
        let feed = Feed::default();
        feed.observe(text_line("Subject: x"));
        feed.observe(line("."));
        feed.observe(text_line("Subject: x"));
        feed.observe(event(Kind::Text { octets: 12 }));
        feed.observe(line("."));
        let summary = "[7] .. 12 octets of message text";
        let one = ["[7] C: Subject: x", summary, "[7] C: ."];
        assert_eq!(texts(&feed.take()), [one, one].concat());
    }

    #[tokio::test]
    async fn lines_that_come_together_are_taken_as_those_that_come_alone() {
        let (together, alone) = (Feed::default(), Feed::default());
        let lines = || (0..TEXT_LINES + 5).map(|n| text_line(&n.to_string()));
        together.observe_all(&mut lines());
        lines().for_each(|line| alone.observe(line));
        together.moved().await;
        for feed in [&together, &alone] {
            feed.observe(line("."));
        }
        assert_eq!(texts(&together.take()), texts(&alone.take()));
    }

    #[test]
    fn room_that_is_given_back_holds_nothing_and_what_comes_then_is_whole() {
        let feed = Feed::default();
        feed.observe(line("a"));
        feed.give_back(feed.take().rows);
        feed.observe(line("b"));
        feed.give_back(feed.take().rows);
        feed.observe(line("c"));
        assert_eq!(texts(&feed.take()), ["[7] C: c"]);
    }

    #[tokio::test]
    async fn many_events_wake_the_screen_once() {
        let feed = Feed::default();
        feed.observe(line("a"));
        feed.observe(line("b"));
        feed.moved().await;
        assert_eq!(feed.take().rows.len(), 2);
        let again = tokio::time::timeout(std::time::Duration::ZERO, feed.moved());
        assert!(again.await.is_err());
    }
}
