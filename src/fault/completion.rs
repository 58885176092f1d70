//! What may come next while a rule or a breakpoint is typed.

use crate::fault::catalogue;
use crate::fault::parse::actions_at;
use crate::fault::parse::head::{conditions_at, has_moments, head};
use crate::fault::parse::words::Scanner;
use crate::fault::point::{Place, Point};
use crate::watch::event::Service;

/// The words that may complete what was typed, in the order of the documentation, each as much as
/// there is to type: `delay D` is `delay`, `from=GLOB` is `from=`.
#[must_use]
pub fn completions(typed: &str) -> Vec<String> {
    let divided = typed.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (before, word) = typed.split_at(divided);
    let known = after(before.trim());
    known.into_iter().filter(|known| known.starts_with(word) && known != word).collect()
}

/// What may stand behind whole words.
fn after(before: &str) -> Vec<String> {
    if before.is_empty() {
        return beginnings();
    }
    let Ok(head) = head(&mut Scanner::new(before)) else {
        return Vec::new();
    };
    if head.has_colon {
        let begins = before.ends_with([':', ';']);
        let actions = || actions_at(head.point).iter().map(|form| first(form, ' ')).collect();
        return if begins { actions() } else { LIMITS.map(str::to_owned).to_vec() };
    }
    let is_first = head.conditions.is_empty() && head.moment.is_none();
    let moments: &[&str] =
        if is_first && has_moments(head.point) { &["before", "after"] } else { &[] };
    let moments = moments.iter().map(|&moment| moment.to_owned());
    let conditions = conditions_at(head.point).into_iter();
    let conditions = conditions.map(|form| first(&form, '=') + "=");
    moments.chain(conditions).chain([":".to_owned()]).collect()
}

const LIMITS: [&str; 6] = ["once", "times", "per", "until", "over", "chance"];

/// The points, and the names of scenarios.
fn beginnings() -> Vec<String> {
    let services = [Service::Smtp, Service::Pop3, Service::Echo].into_iter();
    let points = services.flat_map(|service| {
        let places = Place::all_of(service).iter();
        places.map(move |place| Point { service, place: *place }.to_string())
    });
    points.chain(catalogue::all().into_iter().map(|scenario| scenario.name.to_owned())).collect()
}

fn first(form: &str, end: char) -> String {
    form.split(end).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_next_is_offered() {
        let offered = |typed: &str| completions(typed).join(" ");
        assert_eq!(offered("smtp.r"), "smtp.rcpt smtp.rset");
        assert_eq!(offered("grey"), "greylist");
        assert_eq!(offered("echo."), "echo.connect echo.line echo.quit echo.any");
        assert_eq!(offered("pop3.quit "), "before after user= client= nth= :");
        assert_eq!(offered("pop3.retr n"), "n= nth=");
        assert_eq!(offered("pop3.retr n=2 : ha"), "hang half");
        assert_eq!(offered("pop3.retr : nodot; un"), "unstuffed");
        assert_eq!(offered("smtp.rcpt : cut "), "once times per until over chance");
        assert_eq!(offered("smtp.rcpt : 451 a ti"), "times");
        assert_eq!(offered("foo "), "");
        assert!(offered("").starts_with("smtp.connect smtp.helo"));
    }
}
