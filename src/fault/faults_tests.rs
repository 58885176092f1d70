//! Rules while they run: who is asked, who acts, and what is counted.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::fault::address::{Remembered, Trigger};
use crate::fault::faults::{Faults, Hit, NoSuchRule, Which};
use crate::fault::plan::{Plan, Says};
use crate::fault::point::{Place, Point};
use crate::fault::progress::Progress;
use crate::fault::rule::Who;
use crate::watch::event::Service;

/// Sessions that say one command after the other, and what their rules have to say to it.
struct Scene {
    faults: Faults,
    start: Instant,
    seconds: u64,
    session: u64,
    progress: Progress,
}

impl Scene {
    fn of(rules: &[&str]) -> Self {
        let faults = Faults::new(42, false);
        for rule in rules {
            faults.add(rule).unwrap_or_else(|error| panic!("{error}"));
        }
        let (start, progress) = (Instant::now(), Progress::default());
        Self { faults, start, seconds: 0, session: 1, progress }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds)
    }

    fn next_session(&mut self) {
        self.session += 1;
        self.progress = Progress::default();
    }

    /// The rule that acts on a command, as `ID`; 0 if none does.
    fn say(&mut self, line: &str) -> u64 {
        self.hit(line).and_then(|hit| hit.id).unwrap_or(0)
    }

    fn hit(&mut self, line: &str) -> Option<Hit> {
        let at = Point::of_verb(Service::Smtp, line.split(' ').next());
        self.progress.command(at, line.as_bytes());
        let hit = self.at(at);
        self.progress.answered(at, hit.is_none());
        hit
    }

    fn at(&self, at: Point) -> Option<Hit> {
        let who = Who { client: [127, 0, 0, 1].into(), session: self.session };
        self.faults.hit(at, &self.progress, who, self.now())
    }

    fn says<const N: usize>(&mut self, line: &str) -> [u64; N] {
        [(); N].map(|()| self.say(line))
    }
}

fn smtp(place: Place) -> Point {
    Point { service: Service::Smtp, place }
}

#[test]
fn the_first_rule_that_matches_acts() {
    let mut scene =
        Scene::of(&["smtp.quit : pass", "smtp.rcpt to=bob@* : 451 a", "smtp.any : 503 b"]);
    assert_eq!(scene.say("RCPT TO:<Bob@x>"), 2);
    assert_eq!(scene.say("RCPT TO:<eve@x>"), 3);
    let hit = scene.hit("QUIT").unwrap();
    assert_eq!((hit.id, &*hit.plan, &*hit.told), (Some(1), &Plan::default(), "1: smtp.quit"));
    assert!(scene.at(Point { service: Service::Pop3, place: Place::Quit }).is_none());
}

#[test]
fn a_rule_that_is_off_or_spent_is_passed_over() {
    let mut scene = Scene::of(&["smtp.noop : 451 a times 2", "smtp.noop : 451 b"]);
    assert_eq!(scene.says("NOOP"), [1, 1, 2]);
    scene.faults.reset(Which::One(1)).unwrap();
    assert_eq!(scene.say("NOOP"), 1);
    scene.faults.switch(Which::One(1), false).unwrap();
    assert_eq!(scene.say("NOOP"), 2);
    scene.faults.switch(Which::All, false).unwrap();
    assert!(!scene.faults.is_active());
    assert_eq!(scene.say("NOOP"), 0);
    scene.faults.switch(Which::All, true).unwrap();
    assert_eq!(scene.says("NOOP"), [1, 2]);
}

#[test]
fn a_hit_tells_where_and_how_often() {
    let mut scene = Scene::of(&["smtp.rcpt  to=bob@* : 451 a times 3"]);
    let hit = scene.hit("RCPT TO:<bob@x>").unwrap();
    assert_eq!(hit.told, "1: smtp.rcpt  to=bob@* (1 of 3)");
    assert_eq!(&*hit.rule, "smtp.rcpt  to=bob@* : 451 a times 3");
    assert_eq!(hit.plan.says, Says::Lines(vec![b"451 a".to_vec()]));
    let view = scene.faults.view().remove(0);
    assert_eq!((view.id, view.is_on, view.hits, view.left), (1, true, 1, Some(2)));
    assert!(view.last_hit.is_some() && view.keys.is_none() && view.scenario.is_none());
}

#[test]
fn greylisting_counts_and_times_each_recipient() {
    let mut scene = Scene::of(&["smtp.rcpt : 451 4.7.1 greylisted per to until 60s"]);
    assert_eq!(scene.say("RCPT TO:<bob@x>"), 1);
    scene.seconds = 59;
    assert_eq!(scene.say("RCPT TO:<BOB@x>"), 1);
    assert_eq!(scene.say("RCPT TO:<eve@x>"), 1);
    scene.seconds = 60;
    assert_eq!(scene.say("RCPT TO:<bob@x>"), 0);
    assert_eq!(scene.say("RCPT TO:<eve@x>"), 1);
    let view = scene.faults.view().remove(0);
    assert_eq!((view.hits, view.left, view.keys), (4, None, Some(2)));
    assert!(scene.faults.is_active());
    scene.faults.reset(Which::All).unwrap();
    assert_eq!(scene.faults.view()[0].keys, Some(0));
    assert_eq!(scene.say("RCPT TO:<bob@x>"), 1);
}

#[test]
fn times_are_counted_for_each_session() {
    let mut scene = Scene::of(&["smtp.noop : 451 a times 1 per session"]);
    assert_eq!(scene.says("NOOP"), [1, 0]);
    scene.next_session();
    let hit = scene.hit("NOOP").unwrap();
    assert_eq!(hit.told, "1: smtp.noop (1 of 1)");
}

#[test]
fn what_is_too_much_is_refused() {
    let mut scene = Scene::of(&["smtp.mail : 421 slow down over 3/1m"]);
    assert_eq!(scene.says("MAIL FROM:<>"), [0, 0, 0, 1, 1]);
    scene.seconds = 60;
    assert_eq!(scene.says("MAIL FROM:<>"), [0, 0, 0, 1]);
}

#[test]
fn an_end_of_time_is_noticed_without_a_hit() {
    let mut scene = Scene::of(&["smtp.mail : 421 a until 5s"]);
    assert_eq!(scene.faults.view()[0].ends, None);
    assert_eq!(scene.say("MAIL FROM:<>"), 1);
    scene.seconds = 5;
    assert_eq!(scene.faults.view()[0].ends, Some(scene.now()));
    assert_eq!(scene.say("MAIL FROM:<>"), 0);
    assert!(!scene.faults.is_active());
}

#[test]
fn conditions_ask_what_the_session_knows() {
    let mut scene = Scene::of(&[
        "smtp.rcpt nth=2 : 451 a",
        "smtp.data to=bob@* from=al@* helo=a.* : 451 b",
        "smtp.data : 451 c",
        "smtp.mail from= : 451 d",
    ]);
    assert_eq!(scene.say("HELO a.example"), 0);
    assert_eq!(scene.say("MAIL FROM:<>"), 4);
    assert_eq!(scene.say("MAIL FROM:<al@x>"), 0);
    assert_eq!(scene.says("RCPT TO:<bob@x>"), [0, 1, 0]);
    assert_eq!(scene.say("DATA"), 2);
    assert_eq!(scene.say("RSET"), 0);
    assert_eq!(scene.say("DATA"), 3);
    assert_eq!(scene.say("MAIL FROM:<al@x>"), 0);
    assert_eq!(scene.says("RCPT TO:<bob@x>"), [0, 1]);
}

#[test]
fn each_rule_for_texts_acts_at_its_own_mark() {
    let mut scene =
        Scene::of(&["smtp.text : slow-read 1K/s", "smtp.text after=1000 : cut", "smtp.any : lf"]);
    scene.progress.reached(smtp(Place::Text));
    assert_eq!(scene.at(smtp(Place::Text)).unwrap().id, Some(1));
    let mark = scene.faults.next_mark(0);
    assert_eq!(mark, Some(1_000));
    scene.progress.text_octets = mark.unwrap();
    assert_eq!(scene.at(smtp(Place::Text)).unwrap().id, Some(2));
    assert_eq!(scene.faults.next_mark(1_000), None);
    scene.progress.reached(smtp(Place::Dot));
    assert_eq!(scene.at(smtp(Place::Dot)).unwrap().id, Some(3));
    scene.faults.switch(Which::One(2), false).unwrap();
    assert_eq!(scene.faults.next_mark(0), None);
}

#[test]
fn numbers_are_never_given_again() {
    let faults = Faults::default();
    assert_eq!(faults.add("smtp.rcpt : cut"), Ok(vec![1]));
    assert_eq!(faults.add("no-service"), Ok(vec![2, 3, 4]));
    faults.remove(Which::One(4)).unwrap();
    assert_eq!(faults.remove(Which::One(4)), Err(NoSuchRule(4)));
    assert_eq!(faults.switch(Which::One(9), true), Err(NoSuchRule(9)));
    assert_eq!(faults.reset(Which::One(0)), Err(NoSuchRule(0)));
    assert_eq!(faults.add("greylist # of the catalogue"), Ok(vec![5]));
    let scenarios: Vec<_> = faults.view().into_iter().map(|rule| rule.scenario).collect();
    let service = Some("no-service");
    assert_eq!(scenarios, [None, service, service, Some("greylist")]);
    faults.remove(Which::All).unwrap();
    assert!(!faults.is_active());
    assert_eq!((faults.view(), faults.add("smtp.rcpt : cut")), (vec![], Ok(vec![6])));
}

#[test]
fn there_are_at_most_1_000_rules() {
    let faults = Faults::default();
    for _ in 0..998 {
        faults.add("smtp.rcpt : cut").unwrap();
    }
    // All rules of a scenario come in, or none.
    assert!(faults.add("no-service").is_err());
    assert_eq!(faults.add("smtp.rcpt : cut"), Ok(vec![999]));
    assert_eq!(faults.add("smtp.rcpt : cut"), Ok(vec![1_000]));
    let error = faults.add("smtp.rcpt : cut").unwrap_err();
    assert_eq!(
        error,
        "there are at most 1,000 rules, and this would be one more\n  smtp.rcpt : cut\n  \
         ^ nothing, until a rule is removed"
    );
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_one() {
    let error = Faults::default().add("graylist").unwrap_err();
    assert!(
        error
            .starts_with("there is no scenario graylist; did you mean greylist?\n  graylist\n  ^ ")
    );
    let error = Faults::default().add("xyzzy").unwrap_err();
    assert!(error.starts_with("there is no scenario xyzzy\n"), "{error}");
    let error = Faults::default().add("smtp.rcpt").unwrap_err();
    assert!(error.starts_with("a colon and an action are missing\n"), "{error}");
}

#[test]
fn a_screen_sees_that_something_has_changed() {
    let mut scene = Scene::of(&[]);
    let mut before = scene.faults.version();
    let mut has_changed = |scene: &Scene| {
        let now = scene.faults.version();
        std::mem::replace(&mut before, now) != now
    };
    assert!(!has_changed(&scene));
    scene.faults.add("smtp.noop : 451 a").unwrap();
    assert!(has_changed(&scene));
    scene.say("HELO a");
    assert!(!has_changed(&scene));
    scene.say("NOOP");
    assert!(has_changed(&scene));
    scene.faults.switch(Which::All, false).unwrap();
    assert!(has_changed(&scene));
}

#[test]
fn an_address_is_counted_over_all_sessions() {
    let faults = Faults::new(0, true);
    assert!(faults.is_active() && faults.takes_addresses());
    let whole = "linhphan+fault.dot.451.once@localhost";
    let remembered = || {
        let mut remembered = Remembered::default();
        remembered.note(Trigger::of(smtp(Place::Rcpt), whole).unwrap().ok());
        remembered.answered(smtp(Place::Rcpt), true);
        remembered
    };
    let now = Instant::now();
    assert_eq!(faults.trigger_hit(&remembered(), smtp(Place::Data), now), None);
    let hit = faults.trigger_hit(&remembered(), smtp(Place::Dot), now).unwrap();
    assert_eq!((hit.id, &*hit.rule, &*hit.told), (None, whole, whole));
    assert_eq!(faults.trigger_hit(&remembered(), smtp(Place::Dot), now), None);
    let view = faults.addresses().remove(0);
    assert_eq!((&*view.address, view.hits, view.left), (whole, 1, Some(0)));
    faults.reset(Which::All).unwrap();
    assert!(faults.trigger_hit(&remembered(), smtp(Place::Dot), now).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_same_seed_gives_the_same_hits(seed: u64, chance in 0_u64..=100, says in 1_usize..50) {
        let play = || {
            let mut scene = Scene::of(&[]);
            scene.faults = Faults::new(seed, false);
            scene.faults.add(&format!("smtp.noop : 451 a chance {chance}%")).unwrap();
            scene.faults.add("smtp.noop : 451 b chance 50%").unwrap();
            scene
        };
        let (mut one, mut other) = (play(), play());
        let hits: Vec<u64> = (0..says).map(|_| one.say("NOOP")).collect();
        let again: Vec<u64> = (0..says).map(|_| other.say("NOOP")).collect();
        prop_assert_eq!(&hits, &again);
        prop_assert!(chance < 100 || hits.iter().all(|id| *id == 1));
        prop_assert!(chance > 0 || hits.iter().all(|id| *id != 1));
        one.faults.reset(Which::All).unwrap();
        let after_reset: Vec<u64> = (0..says).map(|_| one.say("NOOP")).collect();
        prop_assert_eq!(hits, after_reset);
    }
}
