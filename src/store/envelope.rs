//! Whom a message is for, and what of it goes to which file.

use std::collections::HashSet;

use chrono::Local;

use crate::mail::parameters::MailParameters;
use crate::store::delivery::{ORIGINAL_FIELD, Part};
use crate::store::files::FileName;
use crate::store::ground::QUEUE_FILE;
use crate::store::mbox;
use crate::store::queue::{self, Client, RemoteRecipient};
use crate::store::user::User;

/// The sender and the recipients of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path without its brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// Recipients with a mailbox here, in the order in which they were named. Each mailbox gets one
    /// copy of the message.
    pub local: Vec<Recipient>,
    /// Recipients elsewhere.
    pub remote: Vec<RemoteRecipient>,
    /// The client that brought the message, recorded for the remote recipients.
    pub client: Option<Client>,
    /// What MAIL said of the message, recorded for the remote recipients.
    pub parameters: MailParameters,
}

/// A recipient with a mailbox here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// Whose mailbox gets the message.
    pub user: User,
    /// The address to which it was sent, without brackets, if it was redirected and the copy is to
    /// tell so. Printable, in one line.
    pub redirected: Option<Box<str>>,
    /// Makes the mailbox if it is missing when the message is stored, provided that there are fewer
    /// mailboxes than this; `None` if it must exist.
    pub made_below: Option<usize>,
    /// The addresses, without brackets, by which the client has named this recipient, each once.
    /// Empty if nobody wants to know: it makes no difference to what is stored.
    pub named: Vec<Box<str>>,
}

impl From<User> for Recipient {
    /// A recipient whose mailbox exists, and to whom the message was sent.
    fn from(user: User) -> Self {
        Self { user, redirected: None, made_below: None, named: Vec::new() }
    }
}

impl Recipient {
    /// Whether the other gets the same copy as this one, whatever the client has called it.
    #[must_use]
    pub fn is_same_copy(&self, other: &Self) -> bool {
        (&self.user, &self.redirected, self.made_below)
            == (&other.user, &other.redirected, other.made_below)
    }

    /// Adds the addresses by which the other was named.
    pub fn is_also_named(&mut self, other: Self) {
        for address in other.named {
            if !self.named.contains(&address) {
                self.named.push(address);
            }
        }
    }
}

/// A message but for its text.
#[derive(Debug)]
pub(super) struct Parcel {
    /// The parts for its files, in the order of their names: all programs must lock several files in
    /// one order, or they could deadlock.
    pub(super) parts: Vec<Part>,
    /// Octets of the From_ line that each part begins with.
    pub(super) from_line: usize,
    /// The id of the entry in the queue, if there is one.
    pub(super) queue_id: Option<String>,
}

/// What of a message goes to which file.
pub(super) fn parcel(envelope: Envelope) -> Parcel {
    let Envelope { reverse_path, local, remote, client, parameters } = envelope;
    let from_line = mbox::from_line(&reverse_path, Local::now());
    let mut parts: Vec<Part> = Vec::with_capacity(local.len() + 1);
    let mut copies: Vec<(FileName, Recipient)> =
        local.into_iter().map(|recipient| (recipient.user.file(), recipient)).collect();
    // Stable, so that the recipients of a mailbox keep their order.
    copies.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut told = HashSet::new();
    for (file, Recipient { redirected, made_below, named, .. }) in copies {
        // A mailbox named twice gets one copy.
        if parts.last().is_none_or(|part| part.file != file) {
            let head = from_line.clone();
            parts.push(Part { file, head, made_below: None, named: Vec::new() });
            told.clear();
        }
        let Some(part) = parts.last_mut() else { continue };
        part.made_below = part.made_below.max(made_below);
        part.named.extend(named);
        if let Some(address) = redirected.filter(|address| told.insert(address.clone())) {
            part.head.push_str(&field(&address));
        }
    }
    let octets = from_line.len();
    let mut queue_id = None;
    if !remote.is_empty() {
        let block = queue::new_block(&reverse_path, client.as_ref(), &parameters, &remote);
        let file = FileName::from(QUEUE_FILE);
        let place = parts.partition_point(|part| part.file < file);
        let head = from_line + &block.render();
        parts.insert(place, Part { file, head, made_below: None, named: Vec::new() });
        queue_id = Some(block.id);
    }
    Parcel { parts, from_line: octets, queue_id }
}

/// The field for an address. A line end in it would begin another field.
fn field(address: &str) -> String {
    let address = address.replace(char::is_control, "");
    format!("{ORIGINAL_FIELD}: {address}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(user: &str, address: &str) -> Recipient {
        Recipient { redirected: Some(address.into()), ..User::named(user).into() }
    }

    fn parts_of(local: Vec<Recipient>) -> Vec<(String, Vec<String>)> {
        let parts = parcel(Envelope { local, ..Envelope::default() }).parts;
        let lines = |part: &Part| part.head.split_inclusive('\n').map(str::to_owned).collect();
        parts.iter().map(|part| (part.file.to_string(), lines(part))).collect()
    }

    #[test]
    fn each_redirected_address_is_a_field_once_in_the_order_in_which_they_came() {
        let local =
            ["zoe@b", "anna@b", "zoe@b", "zoe@b.org"].map(|to| redirected("u", to)).to_vec();
        let [(file, head)] = &parts_of(local)[..] else { panic!("one copy") };
        assert_eq!(file, "u.mbox");
        assert!(head[0].starts_with("From <MAILER-DAEMON> ") && head[0].ends_with('\n'));
        let fields = ["zoe@b", "anna@b", "zoe@b.org"].map(|to| format!("X-Original-To: {to}\r\n"));
        assert_eq!(head[1..], fields);
    }

    #[test]
    fn a_copy_has_the_fields_of_its_own_mailbox_only() {
        let local = vec![User::named("v").into(), redirected("u", "a@b"), User::named("u").into()];
        let [(u, with), (v, without)] = &parts_of(local)[..] else { panic!("two copies") };
        assert_eq!((&**u, &**v), ("u.mbox", "v.mbox"));
        assert_eq!((with.len(), without.len()), (2, 1));
    }

    #[test]
    fn an_address_with_a_line_end_is_one_line() {
        let local = vec![redirected("u", "a@b\r\nSubject: x")];
        assert_eq!(parts_of(local)[0].1[1..], ["X-Original-To: a@bSubject: x\r\n"]);
    }
}
