//! Decides which task of this process may work on which file. Does no I/O and takes no locks.
//!
//! Each file has one user at a time, first come, first served. Small deliveries do not wait for
//! each other: they gather in one batch while another is being written, since a sync costs the same
//! for one message as for a hundred.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;

use crate::store::delivery::Delivery;
use crate::store::files::FileName;

/// Maximum number of deliveries in a batch.
const BATCH_MOST: usize = 1_000;

/// Octets from which on a batch takes no more deliveries: it must fit into the journal.
const BATCH_OCTETS_MOST: u64 = 4 * 1024 * 1024;

/// The files in use, and the work that waits for files.
///
/// `R` is the means of telling a task that it has the file it wanted.
#[derive(Debug)]
pub struct Turns<R> {
    busy: HashSet<FileName>,
    waiting: VecDeque<Waiting<R>>,
    /// Number of waiting items that want each file.
    wanted: HashMap<FileName, usize>,
    /// Whether a batch of small deliveries is being written.
    writing_small: bool,
}

/// Work that waits for its files.
#[derive(Debug)]
pub enum Waiting<R> {
    /// A message to be written to its files.
    Delivery(Delivery),
    /// A file wanted for anything else.
    Turn(FileName, R),
}

/// Work that may begin.
#[derive(Debug)]
pub enum Start<R> {
    /// These messages may be written.
    Batch(Batch),
    /// This file may be worked on.
    Turn(FileName, R),
}

/// Whether other deliveries may join a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// They may.
    Small,
    /// They may not: it is a large delivery, written by itself.
    Large,
}

/// Deliveries that are written together, and the files they go to.
#[derive(Debug)]
pub struct Batch {
    /// The files of all deliveries.
    pub files: BTreeSet<FileName>,
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Whether it is a batch of small deliveries.
    pub size: Size,
    octets: u64,
}

impl<R> Default for Turns<R> {
    fn default() -> Self {
        Self {
            busy: HashSet::new(),
            waiting: VecDeque::new(),
            wanted: HashMap::new(),
            writing_small: false,
        }
    }
}

impl<R> Turns<R> {
    /// Adds work, which may begin at once (returned) or is put in line (`None`).
    pub fn enter(&mut self, waiting: Waiting<R>) -> Option<Start<R>> {
        // A file that others wait for goes to them first.
        let taken = |file| self.busy.contains(file) || self.wanted.contains_key(file);
        // Small deliveries gather while a batch of them is being written.
        if waiting.files().any(taken) || (waiting.is_small() && self.writing_small) {
            waiting.files().for_each(|f| *self.wanted.entry(Arc::clone(f)).or_default() += 1);
            self.waiting.push_back(waiting);
            return None;
        }
        Some(self.start(waiting))
    }

    /// Releases files, and ends a batch if `size` is given; returns the work that can begin now.
    pub fn leave<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a FileName>,
        size: Option<Size>,
    ) -> Vec<Start<R>> {
        for file in files {
            self.busy.remove(file);
        }
        if size == Some(Size::Small) {
            self.writing_small = false;
        }
        let (batch, mut starts) = self.call_in(None);
        starts.extend(batch.map(Start::Batch));
        starts
    }

    /// Adds to `deliveries` the small deliveries that have arrived for the files of a batch. Adds
    /// none if anything else is waiting, for another file or for one of these: that work is next.
    pub fn more_for(&mut self, files: &BTreeSet<FileName>, deliveries: &mut Vec<Delivery>) {
        let fits = |one: &Waiting<R>| one.is_small() && one.files().all(|f| files.contains(f));
        let already: u64 = deliveries.iter().map(Delivery::octets).sum();
        let octets = already + self.waiting.iter().map(Waiting::octets).sum::<u64>();
        let is_too_much =
            deliveries.len() + self.waiting.len() > BATCH_MOST || octets > BATCH_OCTETS_MOST;
        if is_too_much || !self.waiting.iter().all(fits) {
            return;
        }
        // All that waited is taken.
        self.wanted.clear();
        deliveries.extend(mem::take(&mut self.waiting).into_iter().filter_map(Waiting::delivery));
    }

    /// Adds the small deliveries that can begin to a batch that has begun, and their files to its
    /// `files`. Returns the other work that can begin now.
    pub fn join(
        &mut self,
        files: &mut BTreeSet<FileName>,
        deliveries: &mut Vec<Delivery>,
    ) -> Vec<Start<R>> {
        let octets = deliveries.iter().map(Delivery::octets).sum();
        let begun = (mem::take(files), mem::take(deliveries));
        let begun = Batch { files: begun.0, deliveries: begun.1, size: Size::Small, octets };
        let (batch, others) = self.call_in(Some(begun));
        if let Some(batch) = batch {
            (*files, *deliveries) = (batch.files, batch.deliveries);
        }
        others
    }

    /// All work that can begin now. Work does not overtake earlier work that waits for the same
    /// file. All small deliveries that can begin form one batch, or join `begun`.
    fn call_in(&mut self, begun: Option<Batch>) -> (Option<Batch>, Vec<Start<R>>) {
        // Files of work that must wait: later work for them has to wait as well.
        let mut passed_over: HashSet<FileName> = HashSet::new();
        let mut starts = Vec::new();
        let mut batch = begun;
        for waiting in mem::take(&mut self.waiting) {
            let free = |file: &FileName| {
                let ours = batch.as_ref().is_some_and(|batch| batch.files.contains(file));
                !passed_over.contains(file)
                    && (!self.busy.contains(file) || (ours && waiting.is_small()))
            };
            if !waiting.files().all(free) || !self.has_room_for(&waiting, batch.as_ref()) {
                passed_over.extend(waiting.files().map(Arc::clone));
                self.waiting.push_back(waiting);
                continue;
            }
            self.no_longer_waits(&waiting);
            match (&mut batch, waiting) {
                (Some(batch), Waiting::Delivery(delivery)) if !delivery.is_large() => {
                    self.busy.extend(batch.add(delivery));
                }
                (batch, waiting) => match self.start(waiting) {
                    Start::Batch(first) if first.size == Size::Small => *batch = Some(first),
                    start => starts.push(start),
                },
            }
        }
        (batch, starts)
    }

    fn has_room_for(&self, waiting: &Waiting<R>, batch: Option<&Batch>) -> bool {
        !waiting.is_small() || batch.map_or(!self.writing_small, Batch::has_room)
    }

    fn start(&mut self, waiting: Waiting<R>) -> Start<R> {
        self.busy.extend(waiting.files().map(Arc::clone));
        match waiting {
            Waiting::Turn(file, ready) => Start::Turn(file, ready),
            Waiting::Delivery(delivery) => {
                let batch = Batch::of(delivery);
                self.writing_small |= batch.size == Size::Small;
                Start::Batch(batch)
            }
        }
    }

    fn no_longer_waits(&mut self, waiting: &Waiting<R>) {
        for file in waiting.files() {
            if let Some(count) = self.wanted.get_mut(file) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(file);
                }
            }
        }
    }
}

impl<R> Waiting<R> {
    fn delivery(self) -> Option<Delivery> {
        match self {
            Self::Delivery(delivery) => Some(delivery),
            Self::Turn(..) => None,
        }
    }

    fn is_small(&self) -> bool {
        matches!(self, Self::Delivery(delivery) if !delivery.is_large())
    }

    fn octets(&self) -> u64 {
        match self {
            Self::Delivery(delivery) => delivery.octets(),
            Self::Turn(..) => 0,
        }
    }

    fn files(&self) -> impl Iterator<Item = &FileName> {
        let (parts, one) = match self {
            Self::Delivery(delivery) => (delivery.parts(), None),
            Self::Turn(file, _) => (&[][..], Some(file)),
        };
        parts.iter().map(|part| &part.file).chain(one)
    }
}

impl Batch {
    fn of(delivery: Delivery) -> Self {
        let size = if delivery.is_large() { Size::Large } else { Size::Small };
        let mut batch = Self { files: BTreeSet::new(), deliveries: Vec::new(), size, octets: 0 };
        batch.add(delivery);
        batch
    }

    const fn has_room(&self) -> bool {
        self.deliveries.len() < BATCH_MOST && self.octets < BATCH_OCTETS_MOST
    }

    /// Adds a delivery; returns its files.
    fn add(&mut self, delivery: Delivery) -> Vec<FileName> {
        let files: Vec<_> = delivery.parts().iter().map(|part| Arc::clone(&part.file)).collect();
        self.files.extend(files.iter().map(Arc::clone));
        self.octets += delivery.octets();
        self.deliveries.push(delivery);
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::delivery::Part;
    use crate::store::text::Finished;

    const LARGE: u64 = 512 * 1024;

    fn delivery(files: &[&str], octets: u64) -> Waiting<u8> {
        let text = Finished::pretend(octets);
        let part = |file: &&str| Part {
            file: (*file).into(),
            head: String::new(),
            made_below: None,
            named: Vec::new(),
        };
        Waiting::Delivery(Delivery::new(files.iter().map(part).collect(), text).0)
    }

    fn small(files: &[&str]) -> Waiting<u8> {
        delivery(files, 1_000)
    }

    fn turn(file: &str, who: u8) -> Waiting<u8> {
        Waiting::Turn(file.into(), who)
    }

    /// What began: the files of a batch with its number of messages, or the file of a turn.
    fn told(start: &Start<u8>) -> String {
        match start {
            Start::Batch(batch) => {
                let files: Vec<&str> = batch.files.iter().map(AsRef::as_ref).collect();
                format!("{} to {}", batch.deliveries.len(), files.join(" "))
            }
            Start::Turn(file, who) => format!("{who} has {file}"),
        }
    }

    fn names(files: &[&str]) -> Vec<FileName> {
        files.iter().map(|&file| file.into()).collect()
    }

    fn leave(turns: &mut Turns<u8>, files: &[&str], size: Option<Size>) -> Vec<String> {
        turns.leave(&names(files), size).iter().map(told).collect()
    }

    #[test]
    fn deliveries_gather_while_a_batch_is_written_whatever_their_mailboxes() {
        let mut turns = Turns::default();
        assert_eq!(turns.enter(small(&["u"])).as_ref().map(told), Some("1 to u".into()));
        for files in [&["u"][..], &["v"], &["u", "w"]] {
            assert!(turns.enter(small(files)).is_none());
        }
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Small)), ["3 to u v w"]);
        assert_eq!(leave(&mut turns, &["u", "v", "w"], Some(Size::Small)), [""; 0]);
        assert_eq!(turns.enter(small(&["u"])).as_ref().map(told), Some("1 to u".into()));
    }

    #[test]
    fn nobody_overtakes_who_waits_for_the_same_file() {
        let mut turns = Turns::default();
        turns.enter(small(&["u"]));
        assert!(turns.enter(turn("u", 1)).is_none());
        assert!(turns.enter(small(&["u"])).is_none());
        assert!(turns.enter(turn("v", 2)).is_some());
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Small)), ["1 has u"]);
        assert_eq!(leave(&mut turns, &["u"], None), ["1 to u"]);
    }

    #[test]
    fn a_large_delivery_holds_up_only_its_own_mailbox() {
        let mut turns = Turns::default();
        assert!(turns.enter(delivery(&["u"], LARGE)).is_some());
        assert!(turns.enter(small(&["u"])).is_none());
        assert_eq!(turns.enter(small(&["v"])).as_ref().map(told), Some("1 to v".into()));
        assert!(turns.enter(delivery(&["w"], LARGE)).is_some());
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Large)), [""; 0]);
        assert_eq!(leave(&mut turns, &["v"], Some(Size::Small)), ["1 to u"]);
    }

    #[test]
    fn a_burst_goes_on_only_while_nobody_waits_for_anything_else() {
        let mut turns = Turns::default();
        turns.enter(small(&["u"]));
        turns.enter(small(&["u"]));
        let files: BTreeSet<_> = names(&["u"]).into_iter().collect();
        let mut more = Vec::new();
        turns.more_for(&files, &mut more);
        assert_eq!(more.len(), 1);
        turns.enter(small(&["u"]));
        turns.enter(small(&["v"]));
        turns.more_for(&files, &mut more);
        assert_eq!(more.len(), 1);
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Small)), ["2 to u v"]);
    }

    #[test]
    fn who_comes_before_a_batch_is_written_joins_it_unless_another_was_first() {
        let mut turns = Turns::default();
        turns.enter(turn("w", 1));
        let Some(Start::Batch(Batch { mut files, mut deliveries, .. })) =
            turns.enter(small(&["u"]))
        else {
            panic!("it does not begin");
        };
        turns.enter(small(&["u", "v"]));
        turns.enter(small(&["w"]));
        turns.enter(small(&["w", "x"]));
        turns.enter(turn("u", 2));
        turns.enter(small(&["u"]));
        turns.join(&mut files, &mut deliveries);
        assert_eq!(files, names(&["u", "v"]).into_iter().collect());
        assert_eq!(deliveries.len(), 2);
        let files: Vec<&str> = files.iter().map(AsRef::as_ref).collect();
        assert_eq!(leave(&mut turns, &files, Some(Size::Small)), ["2 has u"]);
        assert_eq!(leave(&mut turns, &["w"], None), ["2 to w x"]);
    }

    #[test]
    fn a_batch_is_bounded_and_the_rest_is_the_next() {
        let mut turns = Turns::default();
        turns.enter(small(&["u"]));
        for _ in 0..=BATCH_MOST {
            turns.enter(small(&["u"]));
        }
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Small)), [format!("{BATCH_MOST} to u")]);
        assert_eq!(leave(&mut turns, &["u"], Some(Size::Small)), ["1 to u"]);
    }
}
