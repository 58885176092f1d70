//! The TRANSACTION state (RFC 1939 section 5): what each command does with the maildrop.

use crate::servers::pop3::capabilities::Offers;
use crate::servers::pop3::command::{MessageNumber, Pop3Command};
use crate::servers::pop3::effect::Pop3Effect;
use crate::servers::pop3::maildrop::{Absent, Maildrop, Message};
use crate::servers::pop3::reply;
use crate::servers::session::{Reply, Step};

/// What follows a command.
pub(super) fn command(
    maildrop: &mut Maildrop,
    command: &Pop3Command,
    offers: &Offers,
) -> Step<Pop3Effect> {
    match *command {
        Pop3Command::User(_)
        | Pop3Command::Pass(_)
        | Pop3Command::Apop(..)
        | Pop3Command::Mechanisms
        | Pop3Command::Auth(..) => Step::Reply(reply::LOGGED_IN),
        Pop3Command::Utf8 | Pop3Command::Stls => Step::Reply(reply::ONLY_BEFORE_LOGIN),
        Pop3Command::Capa => Step::Reply(offers.listed()),
        Pop3Command::Stat => Step::Reply(stat(maildrop)),
        Pop3Command::List(None) => Step::Perform(Pop3Effect::List {
            status: summary(maildrop),
            messages: maildrop.remaining(),
        }),
        Pop3Command::List(Some(number)) => Step::Reply(list_one(maildrop, number)),
        Pop3Command::Uidl(None) => Step::Perform(Pop3Effect::UniqueIds {
            status: summary(maildrop),
            messages: maildrop.remaining(),
        }),
        Pop3Command::Uidl(Some(number)) => with(maildrop.message(number), |message| {
            Step::Perform(Pop3Effect::UniqueId { index: message.index })
        }),
        Pop3Command::Retr(number) => with(maildrop.message(number), |message| {
            Step::Perform(Pop3Effect::Retrieve {
                status: format!("+OK {} octets", message.octets).into(),
                index: message.index,
            })
        }),
        Pop3Command::Top(number, lines) => with(maildrop.message(number), |message| {
            Step::Perform(Pop3Effect::Top { index: message.index, lines })
        }),
        Pop3Command::Dele(number) => {
            with(maildrop.delete(number), |()| Step::Reply(reply::DELETED))
        }
        Pop3Command::Noop => Step::Reply(reply::OK),
        Pop3Command::Rset => {
            maildrop.reset();
            Step::Reply(summary(maildrop))
        }
        Pop3Command::Quit => Step::Perform(Pop3Effect::Update { deleted: maildrop.deleted() }),
    }
}

fn with<T>(found: Result<T, Absent>, step: impl FnOnce(T) -> Step<Pop3Effect>) -> Step<Pop3Effect> {
    match found {
        Ok(found) => step(found),
        Err(absent) => Step::Reply(reply::absent(absent)),
    }
}

fn stat(maildrop: &Maildrop) -> Reply {
    format!("+OK {} {}", maildrop.count(), maildrop.octets()).into()
}

fn list_one(maildrop: &Maildrop, number: MessageNumber) -> Reply {
    match maildrop.message(number) {
        Ok(Message { octets, .. }) => format!("+OK {number} {octets}").into(),
        Err(absent) => reply::absent(absent),
    }
}

/// How much is there: the reply to a login and to RSET, and the beginning of listings.
pub(super) fn summary(maildrop: &Maildrop) -> Reply {
    let (count, octets) = (maildrop.count(), maildrop.octets());
    format!("+OK {count} messages ({octets} octets)").into()
}
