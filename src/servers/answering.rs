//! Which command a reply answers, and what that reply comes to. Independent of the protocols' rules:
//! how a reply begins says enough.

use crate::watch::event::Service;

/// Octets kept of a command line: more than the longest verb and the blank behind it.
const KEPT: usize = 14;

/// The command that the next reply answers, as far as its verb needs: it is read only if that reply
/// says no.
#[derive(Debug, Clone, Copy)]
pub struct Answering {
    beginning: [u8; KEPT],
    octets: u8,
    stage: Stage,
}

/// How far the command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The reply to it comes next.
    Asked,
    /// It was told to go on: what comes next is no command, but belongs to it.
    GoesOn,
    /// All of the message text has come.
    TextEnded,
}

/// What a reply comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Nothing that is counted.
    ToNothing,
    /// A message was accepted.
    ToMessage,
    /// Something was refused.
    ToRefusal,
}

impl Answering {
    /// No command: a greeting or a farewell comes next.
    pub const NOTHING: Self = Self { beginning: [0; KEPT], octets: 0, stage: Stage::Asked };

    /// Notes a line that has come. It is a new command, unless the one before goes on.
    pub fn hear(&mut self, line: &[u8]) {
        if self.stage == Stage::GoesOn {
            return;
        }
        *self = Self::NOTHING;
        for (kept, octet) in self.beginning.iter_mut().zip(line) {
            *kept = *octet;
            self.octets += 1;
        }
    }

    /// Notes that the text which the command has announced has ended.
    pub const fn text_ended(&mut self) {
        self.stage = Stage::TextEnded;
    }

    /// Notes a reply, given with its CRLF; returns what it comes to.
    pub fn reply(&mut self, reply: &[u8], service: Service) -> Came {
        let class = Class::of(reply, service);
        let stage = if class == Class::GoOn { Stage::GoesOn } else { Stage::Asked };
        match (class, std::mem::replace(&mut self.stage, stage)) {
            (Class::Yes, Stage::TextEnded) => Came::ToMessage,
            (Class::No, _) => Came::ToRefusal,
            (Class::Yes | Class::GoOn, _) => Came::ToNothing,
        }
    }

    /// As much of the command line as is known.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        self.beginning.get(..usize::from(self.octets)).unwrap_or(&self.beginning)
    }
}

/// The sense of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Yes,
    No,
    /// `3xx` of SMTP, `+` of POP3: the client has to go on.
    GoOn,
}

impl Class {
    fn of(reply: &[u8], service: Service) -> Self {
        match (service, reply) {
            (Service::Smtp, [b'4' | b'5', ..])
            | (Service::Pop3 | Service::Echo, [b'-', b'E', b'R', b'R', ..]) => Self::No,
            (Service::Smtp, [b'3', ..]) | (Service::Pop3, [b'+', b' ', ..]) => Self::GoOn,
            _ => Self::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the last of these replies comes to, each the answer to the line before it.
    fn came(service: Service, said: &[(&str, &str)]) -> (Came, String) {
        let mut answering = Answering::NOTHING;
        let mut came = Came::ToNothing;
        for (line, reply) in said {
            if *line == "." {
                answering.text_ended();
            } else {
                answering.hear(line.as_bytes());
            }
            came = answering.reply(reply.as_bytes(), service);
        }
        (came, String::from_utf8_lossy(answering.beginning()).into_owned())
    }

    #[test]
    fn the_end_of_a_text_is_the_end_of_its_command() {
        let data = ("DATA", "354 go on");
        let (message, verb) = came(Service::Smtp, &[data, (".", "250 OK")]);
        assert_eq!((message, &*verb), (Came::ToMessage, "DATA"));
        let (refused, verb) = came(Service::Smtp, &[data, (".", "452 full")]);
        assert_eq!((refused, &*verb), (Came::ToRefusal, "DATA"));
        let after = [data, (".", "250 OK"), ("NOOP", "250 OK")];
        assert_eq!(came(Service::Smtp, &after), (Came::ToNothing, "NOOP".to_owned()));
    }

    #[test]
    fn the_lines_of_an_exchange_are_no_commands() {
        let smtp = [("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("Ym9i", "334 x"), ("eA==", "535 no")];
        assert_eq!(came(Service::Smtp, &smtp), (Came::ToRefusal, "AUTH LOGIN".to_owned()));
        let pop3 = [("AUTH PLAIN", "+ "), ("AGJvYgB4", "-ERR no")];
        assert_eq!(came(Service::Pop3, &pop3), (Came::ToRefusal, "AUTH PLAIN".to_owned()));
        let pop3 = [("AUTH PLAIN", "+ "), ("AGJvYgB4", "+OK"), ("DELE 9", "-ERR no")];
        assert_eq!(came(Service::Pop3, &pop3), (Came::ToRefusal, "DELE 9".to_owned()));
    }

    #[test]
    fn a_long_line_is_cut_behind_its_verb() {
        let (_, line) = came(Service::Smtp, &[("MAIL FROM:<somebody@example.org>", "250 OK")]);
        assert_eq!(line, "MAIL FROM:<som");
        assert_eq!(came(Service::Echo, &[("STARTTLS ", "-ERR no")]).1, "STARTTLS ");
    }
}
