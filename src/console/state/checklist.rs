//! The progress of a mail client's first visit, as seen on the wire: the steps of Thunderbird when
//! everything works, in its order.

use rustc_hash::FxHashMap;

use crate::console::state::row::Row;
use crate::watch::event::{Event, KeptLine, Kind, Service, Side};

/// The most connections whose last command is remembered; more at once are not a first visit.
const MOST_CONNECTIONS: usize = 64;

/// A step of the first visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Milestone {
    /// A client has connected.
    Connected,
    /// EHLO was refused as not implemented.
    EhloRefused,
    /// The client has sent HELO instead.
    Helo,
    /// EHLO was accepted.
    Ehlo,
    /// The client's first message is stored.
    Stored,
    /// The client has logged in.
    LoggedIn,
    /// The client has fetched its first message.
    Retrieved,
}

impl Milestone {
    /// A single word, for places with little room.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::LoggedIn => "login",
            Self::Retrieved => "RETR",
            other => other.name(),
        }
    }

    /// Those of a server that refuses EHLO, in the order in which they are reached.
    const WITHOUT_EHLO: &'static [Self] = &[
        Self::Connected,
        Self::EhloRefused,
        Self::Helo,
        Self::Stored,
        Self::LoggedIn,
        Self::Retrieved,
    ];

    /// Those of a server that answers it.
    const WITH_EHLO: &'static [Self] =
        &[Self::Connected, Self::Ehlo, Self::Stored, Self::LoggedIn, Self::Retrieved];

    /// A word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::EhloRefused => "EHLO refused",
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Stored => "first message stored",
            Self::LoggedIn => "first login",
            Self::Retrieved => "first RETR",
        }
    }
}

/// Which milestones have been reached.
#[derive(Debug, Clone, Default)]
pub struct Checklist {
    reached: Vec<Milestone>,
    /// Whether the server answers EHLO.
    answers_ehlo: bool,
    /// The milestone that a positive reply to the last command of a connection would reach, by its
    /// id.
    asked: FxHashMap<u64, Milestone>,
}

impl Checklist {
    /// Whether a milestone has been reached.
    #[must_use]
    pub fn has(&self, milestone: Milestone) -> bool {
        self.reached.contains(&milestone)
    }

    /// The milestones of a first visit, in the order in which they are reached.
    #[must_use]
    pub const fn milestones(&self) -> &'static [Milestone] {
        if self.answers_ehlo { Milestone::WITH_EHLO } else { Milestone::WITHOUT_EHLO }
    }

    /// Takes over whether new sessions answer EHLO.
    pub const fn ehlo_is_answered(&mut self, answers_ehlo: bool) {
        self.answers_ehlo = answers_ehlo;
    }

    /// Whether all milestones have been reached.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.milestones().iter().all(|milestone| self.has(*milestone))
    }

    /// Updates the list with a row of the transcript; returns the milestone that it has reached, if
    /// any.
    pub fn apply(&mut self, row: &Row) -> Option<Milestone> {
        let Row::Event(event) = row else { return None };
        if self.is_complete() || !matches!(event.connection.service, Service::Smtp | Service::Pop3)
        {
            return None;
        }
        let milestone = self.reached_by(event)?;
        if self.has(milestone) {
            return None;
        }
        self.reached.push(milestone);
        if self.is_complete() {
            self.asked = FxHashMap::default();
        }
        Some(milestone)
    }

    fn reached_by(&mut self, event: &Event) -> Option<Milestone> {
        let id = event.connection.id;
        match &event.kind {
            Kind::Opened { .. } => return Some(Milestone::Connected),
            Kind::Closed => {
                self.asked.remove(&id);
            }
            Kind::Line(Side::Client, line) => {
                let asked = asked_by(event.connection.service, line);
                self.ask(id, asked.filter(|&asked| !self.has(asked)));
            }
            Kind::Line(Side::Server, line) => {
                let asked = self.asked.remove(&id)?;
                if asked == Milestone::EhloRefused && line.bytes().starts_with(b"250") {
                    return Some(Milestone::Ehlo);
                }
                return is_the_answer(asked, line.bytes()).then_some(asked);
            }
            // With AUTH or APOP.
            Kind::Note(note)
                if event.connection.service == Service::Pop3 && note.starts_with("logged in") =>
            {
                return Some(Milestone::LoggedIn);
            }
            Kind::TextLine(..) | Kind::Text { .. } | Kind::Note(_) => {}
        }
        None
    }

    fn ask(&mut self, id: u64, asked: Option<Milestone>) {
        match asked {
            Some(asked) if self.asked.len() < MOST_CONNECTIONS => {
                self.asked.insert(id, asked);
            }
            _ => {
                self.asked.remove(&id);
            }
        }
    }
}

/// The milestone that a positive reply to this line would reach.
fn asked_by(service: Service, line: &KeptLine) -> Option<Milestone> {
    let word = line.bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    let is = |command: &str| word.eq_ignore_ascii_case(command.as_bytes());
    match service {
        Service::Smtp if is("EHLO") => Some(Milestone::EhloRefused),
        Service::Smtp if is("HELO") => Some(Milestone::Helo),
        // The line with a single dot that ends the message text (RFC 5321 section 4.5.2).
        Service::Smtp if is(".") => Some(Milestone::Stored),
        Service::Pop3 if is("PASS") => Some(Milestone::LoggedIn),
        Service::Pop3 if is("RETR") => Some(Milestone::Retrieved),
        _ => None,
    }
}

fn is_the_answer(asked: Milestone, reply: &[u8]) -> bool {
    match asked {
        Milestone::Connected | Milestone::Ehlo => false,
        Milestone::EhloRefused => reply.starts_with(b"5"),
        Milestone::Helo | Milestone::Stored => reply.starts_with(b"250"),
        Milestone::LoggedIn | Milestone::Retrieved => reply.starts_with(b"+OK"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::ConnectionName;
    use std::net::SocketAddr;
    use std::time::SystemTime;

    fn row(service: Service, kind: Kind) -> Row {
        let connection = ConnectionName { id: 1, number: 9, service };
        Row::Event(Event { connection, at: SystemTime::UNIX_EPOCH, kind })
    }

    fn after(service: Service, conversation: &[&str]) -> Checklist {
        let mut checklist = Checklist::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        checklist.apply(&row(service, Kind::Opened { peer }));
        for line in conversation {
            let (side, text) = line.split_at(3);
            let side = if side == "C: " { Side::Client } else { Side::Server };
            checklist.apply(&row(service, Kind::Line(side, KeptLine::new(text.as_bytes()))));
        }
        checklist
    }

    #[test]
    fn where_ehlo_is_answered_no_helo_is_waited_for() {
        let mut list = after(
            Service::Smtp,
            &[
                "C: EHLO [127.0.0.1]",
                "S: 250-localhost",
                "S: 250 SIZE 1",
                "C: .",
                "S: 250 2.0.0 OK",
            ],
        );
        list.ehlo_is_answered(true);
        assert!(list.has(Milestone::Ehlo) && list.has(Milestone::Stored) && !list.is_complete());
        list.apply(&row(Service::Pop3, Kind::Note("logged in as ada".into())));
        list.apply(&row(Service::Pop3, Kind::Line(Side::Client, KeptLine::new(b"RETR 1"))));
        list.apply(&row(Service::Pop3, Kind::Line(Side::Server, KeptLine::new(b"+OK 7"))));
        assert!(list.is_complete());
    }

    #[test]
    fn what_thunderbird_does_when_it_works_ticks_everything_off() {
        let sent = after(
            Service::Smtp,
            &[
                "S: 220 localhost ready",
                "C: EHLO [127.0.0.1]",
                "S: 502 Command not implemented",
                "C: HELO [127.0.0.1]",
                "S: 250 localhost",
                "C: DATA",
                "S: 354 go",
                "C: .",
                "S: 250 OK",
            ],
        );
        let reached = &Milestone::WITHOUT_EHLO[..4];
        assert_eq!(sent.reached, reached);
        let fetched = after(Service::Pop3, &["C: PASS x", "S: +OK", "C: RETR 1", "S: +OK 7"]);
        assert_eq!(
            fetched.reached,
            [Milestone::Connected, Milestone::LoggedIn, Milestone::Retrieved]
        );
    }

    #[test]
    fn what_is_refused_is_not_ticked_off() {
        let sent = after(Service::Smtp, &["C: HELO", "S: 501 no", "C: .", "S: 452 no space"]);
        assert_eq!(sent.reached, [Milestone::Connected]);
        let fetched = after(Service::Pop3, &["C: PASS x", "S: -ERR no", "C: STAT", "S: +OK 0 0"]);
        assert_eq!(fetched.reached, [Milestone::Connected]);
    }

    #[test]
    fn the_relays_own_conversations_do_not_count() {
        assert!(!after(Service::Relay, &[]).has(Milestone::Connected));
    }
}
