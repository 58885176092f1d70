//! The places of a conversation at which a rule can act.

use std::fmt;

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::watch::event::Service;

/// A place in the conversation of one protocol: `smtp.rcpt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// The protocol.
    pub service: Service,
    /// The place in it.
    pub place: Place,
}

/// A place in a conversation. Not every protocol has each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Place {
    /// The greeting.
    Connect,
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The text of a message, while it comes.
    Text,
    /// The end of a message: the dot, or the last octet of BDAT LAST.
    Dot,
    /// VRFY.
    Vrfy,
    /// AUTH.
    Auth,
    /// STARTTLS.
    StartTls,
    /// USER.
    User,
    /// PASS.
    Pass,
    /// CAPA.
    Capa,
    /// STLS.
    Stls,
    /// STAT.
    Stat,
    /// LIST.
    List,
    /// UIDL.
    Uidl,
    /// RETR.
    Retr,
    /// TOP.
    Top,
    /// DELE.
    Dele,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// A line of echo.
    Line,
    /// Every command without a place of its own.
    Other,
    /// All of them but [`Text`](Self::Text).
    Any,
}

impl Place {
    /// The places of a protocol, in the order in which they are listed.
    #[must_use]
    pub const fn all_of(service: Service) -> &'static [Self] {
        use Place::{
            Any, Auth, Capa, Connect, Data, Dele, Dot, Ehlo, Helo, Line, List, Mail, Noop, Other,
            Pass, Quit, Rcpt, Retr, Rset, StartTls, Stat, Stls, Text, Top, Uidl, User, Vrfy,
        };
        match service {
            Service::Smtp => &[
                Connect, Helo, Ehlo, Mail, Rcpt, Data, Text, Dot, Rset, Noop, Quit, Vrfy, Auth,
                StartTls, Other, Any,
            ],
            Service::Pop3 => &[
                Connect, User, Pass, Capa, Auth, Stls, Stat, List, Uidl, Retr, Top, Dele, Noop,
                Rset, Quit, Other, Any,
            ],
            Service::Echo => &[Connect, Line, Quit, Any],
            Service::Relay => &[],
        }
    }

    /// The name in rules: `rcpt`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Point {
    /// Whether a rule for this point acts at `at`: at the point itself, and `any` at all but texts.
    #[must_use]
    pub fn covers(self, at: Self) -> bool {
        let is_any = self.place == Place::Any && at.place != Place::Text;
        self.service == at.service && (self.place == at.place || is_any)
    }

    /// Where a command belongs, given by its verb in capitals; `None` for a line without one.
    #[must_use]
    pub fn of_verb(service: Service, verb: Option<&str>) -> Self {
        let named = |place: &Place| {
            let is_command = !matches!(
                place,
                Place::Connect | Place::Text | Place::Dot | Place::Other | Place::Any | Place::Line
            );
            is_command && verb.is_some_and(|verb| verb.eq_ignore_ascii_case(place.name()))
        };
        let found = Place::all_of(service).iter().copied().find(named);
        let rest = if service == Service::Echo { Place::Line } else { Place::Other };
        Self { service, place: found.unwrap_or(rest) }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service.name(), self.place.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_has_its_point_or_is_one_of_the_others() {
        let of = |service, verb: &str| Point::of_verb(service, Some(verb)).to_string();
        assert_eq!(of(Service::Smtp, "STARTTLS"), "smtp.starttls");
        assert_eq!(of(Service::Smtp, "BDAT"), "smtp.other");
        assert_eq!(of(Service::Smtp, "ANY"), "smtp.other");
        assert_eq!(of(Service::Smtp, "CONNECT"), "smtp.other");
        assert_eq!(of(Service::Pop3, "RETR"), "pop3.retr");
        assert_eq!(of(Service::Pop3, "APOP"), "pop3.other");
        assert_eq!(of(Service::Echo, "ECHO"), "echo.line");
        assert_eq!(of(Service::Echo, "QUIT"), "echo.quit");
        assert_eq!(Point::of_verb(Service::Smtp, None).place, Place::Other);
    }

    #[test]
    fn any_covers_all_but_texts() {
        let any = Point { service: Service::Smtp, place: Place::Any };
        for place in Place::all_of(Service::Smtp) {
            let at = Point { service: Service::Smtp, place: *place };
            assert_eq!(any.covers(at), *place != Place::Text, "{at}");
        }
        assert!(!any.covers(Point { service: Service::Pop3, place: Place::Quit }));
    }
}
