//! One message to one host: MAIL, RCPT, DATA and the text (RFC 5321 section 3.3), ending in one
//! verdict for each recipient. Does no I/O; the caller sends the text itself.

use std::fmt::Write;
use std::mem;

use crate::mail::dsn::Occasion;
use crate::relay::connection_error::ConnectionError;
use crate::relay::conversation::extensions::{Extension, Extensions, Size};
use crate::relay::conversation::{Awaited, Command};
use crate::relay::envelope::{Envelope, Recipient};
use crate::relay::reply::{Class, Reply};
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Diagnosis, Notice, Verdict};

/// The most octets of commands sent before their replies are read. The socket buffers of both sides
/// hold this much, so neither side can block on the other (RFC 2920 section 3.1).
const PIPELINED: usize = 4_096;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these in one write, then feed the first reply back.
    Send(Vec<Command>),
    /// Feed back the next reply; its command has already been sent.
    Wait,
    /// Send the text, call [`Transaction::dot`] before its end, and feed the reply back.
    SendText,
    /// The transaction is over.
    Done(Outcome),
}

/// The result of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One verdict for each recipient, in the envelope's order.
    pub verdicts: Vec<Verdict>,
    /// For each recipient, whether the host refused its RCPT, as opposed to the message.
    pub refused_at_rcpt: Vec<bool>,
    /// Whether the connection can be used further.
    pub connection: After,
}

impl Outcome {
    /// The number of recipients for whom the host has accepted the message.
    #[must_use]
    pub fn delivered(&self) -> usize {
        let verdicts = self.verdicts.iter();
        verdicts.filter(|verdict| matches!(verdict, Verdict::Delivered(..))).count()
    }
}

/// What a connection can be used for after a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Another transaction, or QUIT.
    Usable,
    /// Nothing: the host broke it off or sent an unexpected reply.
    Ended,
    /// Nothing, for a reason on our side: the relay was stopped or cannot read the message.
    Abandoned,
}

/// The state of a transaction.
#[derive(Debug)]
pub struct Transaction<'a> {
    host: &'a str,
    envelope: &'a Envelope,
    stage: Stage,
    /// Whether the host notifies senders.
    dsn: bool,
    /// The recipients that are named to the host, by index in the envelope.
    named: Vec<usize>,
    /// For each recipient, `None` while it is accepted or not yet named.
    verdicts: Vec<Option<Verdict>>,
    /// For each recipient, whether its verdict is the reply to its RCPT.
    refused_at_rcpt: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// MAIL, then a RCPT for each recipient.
    Naming {
        /// The number of these commands sent so far.
        sent: usize,
        /// The number of these commands answered so far.
        answered: usize,
        /// Whether commands wait for the reply to the one before.
        pace: Pace,
    },
    Data,
    /// The text is being sent, without its final dot so far.
    Text,
    /// The final dot may have reached the host.
    Dot,
    Reset,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    OneByOne,
    Pipelined,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction with `host` for a message of about `octets` octets.
    #[must_use]
    pub fn begin(
        host: &'a str,
        extensions: &Extensions,
        envelope: &'a Envelope,
        octets: u64,
    ) -> (Self, Step) {
        let pace =
            if extensions.offer(Extension::Pipelining) { Pace::Pipelined } else { Pace::OneByOne };
        let mut transaction = Self {
            host,
            envelope,
            stage: Stage::Naming { sent: 0, answered: 0, pace },
            dsn: extensions.offer(Extension::Dsn),
            named: Vec::new(),
            verdicts: vec![None; envelope.recipients.len()],
            refused_at_rcpt: vec![false; envelope.recipients.len()],
        };
        let step = transaction.first_step(extensions, octets);
        (transaction, step)
    }

    /// What the next reply is an answer to.
    #[must_use]
    pub const fn awaited(&self) -> Awaited {
        match self.stage {
            Stage::Naming { answered: 0, .. } => Awaited::Mail,
            Stage::Naming { .. } => Awaited::Rcpt,
            Stage::Data => Awaited::Data,
            Stage::Text | Stage::Dot => Awaited::Text,
            Stage::Reset => Awaited::Reset,
        }
    }

    /// Takes the next reply and returns the next step.
    pub fn reply(&mut self, reply: &Reply) -> Step {
        // 421 may be the reply to any command.
        if reply.code() == 421 {
            return Step::Done(self.closing(reply));
        }
        match self.stage {
            Stage::Naming { answered: 0, .. } => self.answered_mail(reply),
            Stage::Naming { answered, .. } => self.answered_rcpt(answered - 1, reply),
            Stage::Data => self.answered_data(reply),
            Stage::Text | Stage::Dot => self.answered_text(reply),
            Stage::Reset => Step::Done(self.outcome(After::Usable)),
        }
    }

    /// To be called just before the final dot is sent: from then on the host may have the whole
    /// message.
    pub fn dot(&mut self) {
        self.stage = Stage::Dot;
    }

    /// Ends the transaction because of a fault in the connection or on our side.
    pub fn broken(&mut self, error: &ConnectionError) -> Outcome {
        let mut diagnosis = error.diagnosis(self.host, self.awaited());
        if let Stage::Dot = self.stage {
            let reason = format!("{}; it may have the message", diagnosis.reason);
            diagnosis = Diagnosis::ours(diagnosis.status, &reason);
        }
        let (again, after) = match error {
            ConnectionError::Message(_) | ConnectionError::Stopped => {
                (Again::NextRun, After::Abandoned)
            }
            _ => (self.again(), After::Ended),
        };
        self.settle(&Verdict::Deferred(diagnosis, again));
        self.outcome(after)
    }

    /// Ends the transaction because the host stopped accepting the text. `reply` is what it sent
    /// before the end of the text, if anything.
    pub fn interrupted(&mut self, reply: Option<&Reply>, error: &ConnectionError) -> Outcome {
        if let Some(reply) = reply
            // The reply settles all recipients; `broken` then only ends the transaction.
            && let Class::Transient | Class::Permanent = reply.class()
        {
            self.settle(&self.refusal(reply));
        }
        self.broken(error)
    }

    fn first_step(&mut self, extensions: &Extensions, octets: u64) -> Step {
        match extensions.size() {
            Size::AtMost(most) if octets > most => {
                let reason = format!(
                    "{} takes messages of at most {most} octets, and this one has {octets}",
                    self.host
                );
                // Nothing has been sent, so the connection is still usable.
                self.settle(&Verdict::failed(Status::TOO_LARGE, &reason));
                Step::Done(self.outcome(After::Usable))
            }
            _ => {
                self.refuse_utf8(extensions);
                let verdicts = self.verdicts.iter().enumerate();
                let unsettled = verdicts.filter(|(_, verdict)| verdict.is_none());
                self.named = unsettled.map(|(recipient, _)| recipient).collect();
                if self.named.is_empty() {
                    return Step::Done(self.outcome(After::Usable));
                }
                self.name_more(mail(self.envelope, extensions, octets))
            }
        }
    }

    /// Fails the recipients that cannot be served without SMTPUTF8, if the host does not offer it
    /// (RFC 6531 section 3.5).
    fn refuse_utf8(&mut self, extensions: &Extensions) {
        if extensions.offer(Extension::SmtpUtf8) || !self.envelope.is_utf8() {
            return;
        }
        let host = self.host;
        let lack = if extensions.were_asked_for() {
            format!("{host} does not offer SMTPUTF8")
        } else {
            format!("{host} was greeted with HELO and cannot offer SMTPUTF8 (--ehlo lets it)")
        };
        let Envelope { header_is_utf8, reverse_path, recipients, .. } = self.envelope;
        for (verdict, recipient) in self.verdicts.iter_mut().zip(recipients) {
            let what = match (reverse_path.is_ascii(), recipient.is_ascii(), header_is_utf8) {
                (false, _, _) => "the sender's address",
                (_, false, _) => "the recipient's address",
                (_, _, true) => "the message's header",
                (true, true, false) => continue,
            };
            let reason = format!("{lack}, which {what} in UTF-8 needs");
            *verdict = Some(Verdict::failed(Status::NO_UTF8, &reason));
        }
    }

    /// The nth recipient that is named.
    fn named(&self, nth: usize) -> Option<&'a Recipient> {
        self.envelope.recipients.get(*self.named.get(nth)?)
    }

    /// Sends `first` and, with PIPELINING, as many RCPTs as fit after it.
    fn name_more(&mut self, first: Command) -> Step {
        let Stage::Naming { mut sent, answered, pace } = self.stage else {
            return Step::Send(vec![first]);
        };
        sent += 1;
        let mut octets = first.line().len();
        let mut batch = vec![first];
        while let Pace::Pipelined = pace
            && let Some(recipient) = self.named(sent - 1)
        {
            let command = self.rcpt(recipient);
            // 2 for the CRLF.
            octets += command.line().len() + 2;
            if octets > PIPELINED {
                break;
            }
            batch.push(command);
            sent += 1;
        }
        self.stage = Stage::Naming { sent, answered, pace };
        Step::Send(batch)
    }

    fn answered_mail(&mut self, reply: &Reply) -> Step {
        match reply.class() {
            Class::Completion => {}
            Class::Intermediate => return self.unexpected(reply),
            Class::Transient | Class::Permanent => self.settle(&self.refusal(reply)),
        }
        self.go_on()
    }

    fn rcpt(&self, recipient: &Recipient) -> Command {
        let mut line = format!("RCPT TO:<{recipient}>");
        if self.dsn {
            // Writing to a `String` cannot fail.
            let _ = write!(line, "{}", recipient.dsn);
        }
        Command::open(line)
    }

    fn answered_rcpt(&mut self, nth: usize, reply: &Reply) -> Step {
        // Cannot be missing: only what was sent is answered.
        let recipient = self.named.get(nth).copied().unwrap_or_default();
        let verdict = match reply.class() {
            Class::Completion => None,
            Class::Intermediate => return self.unexpected(reply),
            Class::Transient | Class::Permanent => Some(self.refused_recipient(recipient, reply)),
        };
        // If MAIL was refused, the recipients have that verdict already, and the refusal of each
        // RCPT adds nothing.
        if let Some(unsettled @ None) = self.verdicts.get_mut(recipient) {
            if let Some(is_refused) = self.refused_at_rcpt.get_mut(recipient) {
                *is_refused = verdict.is_some();
            }
            *unsettled = verdict;
        }
        self.go_on()
    }

    /// RFC 5321 section 4.5.3.1.10: 452, or 552 from older hosts, may mean “too many recipients”.
    /// That is assumed only if the host accepted a recipient before this one.
    fn refused_recipient(&self, recipient: usize, reply: &Reply) -> Verdict {
        let mut before = self.verdicts.iter().take(recipient);
        let others_were_taken = before.any(Option::is_none);
        match reply.code() {
            452 | 552 if others_were_taken => {
                let diagnosis = Diagnosis::of_reply(self.host, reply);
                Verdict::Deferred(diagnosis, Again::NextTransaction)
            }
            _ => self.refusal(reply),
        }
    }

    /// The step after a reply to MAIL or RCPT.
    fn go_on(&mut self) -> Step {
        let Stage::Naming { sent, answered, .. } = &mut self.stage else {
            return Step::Wait;
        };
        *answered += 1;
        let sent = *sent;
        if *answered < sent {
            return Step::Wait;
        }
        if self.verdicts.iter().all(Option::is_some) {
            return self.reset();
        }
        match self.named(sent - 1) {
            Some(recipient) => {
                let command = self.rcpt(recipient);
                self.name_more(command)
            }
            None => self.data(),
        }
    }

    /// DATA is never pipelined after RCPT: if a host rejects every recipient and still replies
    /// 354, we would have to send it a text (RFC 2920 section 3.1).
    fn data(&mut self) -> Step {
        self.stage = Stage::Data;
        Step::Send(vec![Command::open("DATA".to_owned())])
    }

    fn answered_data(&mut self, reply: &Reply) -> Step {
        match reply.class() {
            Class::Intermediate => {
                self.stage = Stage::Text;
                Step::SendText
            }
            Class::Completion => self.unexpected(reply),
            Class::Transient | Class::Permanent => {
                self.settle(&self.refusal(reply));
                self.reset()
            }
        }
    }

    // The host may still be in the transaction that MAIL began, so RSET comes before the next MAIL
    // (RFC 5321 section 4.1.1.5).
    fn reset(&mut self) -> Step {
        self.stage = Stage::Reset;
        Step::Send(vec![Command::open("RSET".to_owned())])
    }

    fn answered_text(&mut self, reply: &Reply) -> Step {
        match reply.class() {
            Class::Completion => self.delivered(&Diagnosis::of_reply(self.host, reply)),
            Class::Intermediate => return self.unexpected(reply),
            Class::Transient | Class::Permanent => self.settle(&self.refusal(reply)),
        }
        Step::Done(self.outcome(After::Usable))
    }

    fn delivered(&mut self, diagnosis: &Diagnosis) {
        let verdicts = self.verdicts.iter_mut().zip(&self.envelope.recipients);
        for (unsettled, recipient) in verdicts.filter(|(verdict, _)| verdict.is_none()) {
            let is_ours = recipient.dsn.asks(Occasion::Success) && !self.dsn;
            let notice = if is_ours { Notice::Owed } else { Notice::None };
            *unsettled = Some(Verdict::Delivered(diagnosis.clone(), notice));
        }
    }

    fn refusal(&self, reply: &Reply) -> Verdict {
        let diagnosis = Diagnosis::of_reply(self.host, reply);
        match reply.class() {
            Class::Permanent => Verdict::Failed(diagnosis),
            _ => Verdict::Deferred(diagnosis, Again::NextHost),
        }
    }

    /// Reply 421: the host is about to close the connection (RFC 5321 section 3.8).
    fn closing(&mut self, reply: &Reply) -> Outcome {
        self.settle(&self.refusal(reply));
        self.outcome(After::Ended)
    }

    fn unexpected(&mut self, reply: &Reply) -> Step {
        let reason = format!(
            "{}: unexpected reply to {}: {}",
            self.host,
            self.awaited(),
            reply.in_one_line()
        );
        let again = self.again();
        self.settle(&Verdict::deferred(Status::PROTOCOL, again, &reason));
        Step::Done(self.outcome(After::Ended))
    }

    /// After the final dot the host may have accepted the message, so it is not offered to another
    /// host in this run.
    const fn again(&self) -> Again {
        match self.stage {
            Stage::Dot => Again::NextRun,
            _ => Again::NextHost,
        }
    }

    /// Gives `verdict` to all recipients that have none.
    fn settle(&mut self, verdict: &Verdict) {
        for unsettled in self.verdicts.iter_mut().filter(|verdict| verdict.is_none()) {
            *unsettled = Some(verdict.clone());
        }
    }

    /// The result; called when every recipient has a verdict.
    fn outcome(&mut self, connection: After) -> Outcome {
        Outcome {
            verdicts: mem::take(&mut self.verdicts).into_iter().flatten().collect(),
            refused_at_rcpt: mem::take(&mut self.refused_at_rcpt),
            connection,
        }
    }
}

fn mail(envelope: &Envelope, extensions: &Extensions, octets: u64) -> Command {
    let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
    if extensions.size() != Size::NotOffered {
        let _ = write!(line, " SIZE={octets}");
    }
    // BODY=8BITMIME says that the text may have 8-bit octets, not that it has any; finding out
    // would need another pass over the text.
    if extensions.offer(Extension::EightBitMime) {
        line.push_str(" BODY=8BITMIME");
    }
    if extensions.offer(Extension::SmtpUtf8) && envelope.is_utf8() {
        line.push_str(" SMTPUTF8");
    }
    if extensions.offer(Extension::Dsn) {
        let _ = write!(line, "{}", envelope.dsn);
    }
    Command::open(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::alphabet::Alphabet;
    use crate::mail::dsn::{EnvelopeId, MessageDsn, RecipientDsn, Ret};
    use crate::mail::path::{Address, ReversePath};
    use proptest::prelude::*;

    fn envelope(recipients: &[&str]) -> Envelope {
        let recipients = recipients.iter().map(|text| Address::parse_with(text, Alphabet::Utf8));
        let recipients = recipients.collect::<Result<_, _>>().expect("addresses");
        Envelope::plain(ReversePath::parse("a@localhost").expect("a path"), recipients)
    }

    fn offering(lines: &[&str]) -> Extensions {
        let lines = lines.join("\r\n250-");
        let wire = format!("250-mx.example\r\n250-{lines}\r\n250 XEND\r\n");
        Extensions::of_reply(&Reply::of_wire(&wire))
    }

    /// A transaction and its last step.
    struct Talk<'a>(Transaction<'a>, Step);

    impl<'a> Talk<'a> {
        fn about(envelope: &'a Envelope) -> Self {
            Self::with(envelope, &Extensions::default())
        }

        fn with(envelope: &'a Envelope, extensions: &Extensions) -> Self {
            let (transaction, step) = Transaction::begin("mx.example", extensions, envelope, 264);
            Self(transaction, step)
        }

        #[track_caller]
        fn says(self, lines: &[&str]) -> Self {
            let Step::Send(commands) = &self.1 else {
                panic!("{:?} instead of {lines:?}", self.1);
            };
            let said: Vec<&str> = commands.iter().map(Command::line).collect();
            assert_eq!(said, lines);
            self
        }

        #[track_caller]
        fn hears(mut self, reply: &str) -> Self {
            self.1 = self.0.reply(&Reply::of_wire(&format!("{reply}\r\n")));
            self
        }

        #[track_caller]
        fn waits(self) -> Self {
            assert_eq!(self.1, Step::Wait);
            self
        }

        #[track_caller]
        fn sends_the_text(mut self) -> Self {
            assert_eq!(self.1, Step::SendText);
            self.0.dot();
            self
        }

        fn up_to_the_text(self) -> Self {
            self.hears("250 ok").hears("250 ok").hears("354 go on")
        }

        #[track_caller]
        fn ends(self, connection: After, verdicts: &[&str]) {
            let Step::Done(outcome) = self.1 else {
                panic!("{:?} instead of {verdicts:?}", self.1);
            };
            outcome_is(&outcome, connection, verdicts);
        }

        #[track_caller]
        fn breaks(mut self, error: &ConnectionError, verdicts: &[&str]) {
            let outcome = self.0.broken(error);
            let after = match error {
                ConnectionError::Message(_) => After::Abandoned,
                _ => After::Ended,
            };
            outcome_is(&outcome, after, verdicts);
        }
    }

    #[track_caller]
    fn outcome_is(outcome: &Outcome, connection: After, verdicts: &[&str]) {
        let shown: Vec<String> = outcome.verdicts.iter().map(shown).collect();
        assert_eq!(shown, verdicts);
        assert_eq!(outcome.connection, connection);
    }

    fn shown(verdict: &Verdict) -> String {
        let fate = match verdict {
            Verdict::Delivered(..) => "delivered",
            Verdict::Deferred(_, Again::NextTransaction) => "next transaction",
            Verdict::Deferred(_, Again::NextHost) => "next host",
            Verdict::Deferred(_, Again::NextRun) => "next run",
            Verdict::Deferred(_, Again::BehindOthers) => "behind others",
            Verdict::Failed(_) => "failed",
        };
        format!("{fate}: {}", verdict.diagnosis().reason)
    }

    /// A sender that asks for everything, and two recipients.
    fn asking() -> Envelope {
        let mut envelope = envelope(&["b@x", "c@x"]);
        envelope.dsn = MessageDsn { ret: Some(Ret::Hdrs), envid: EnvelopeId::parse("Q+20x").ok() };
        envelope.recipients[0].dsn =
            RecipientDsn::parse("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@y").expect("parameters");
        envelope
    }

    fn notices(step: &Step) -> Vec<Option<Notice>> {
        let Step::Done(outcome) = step else { panic!("{step:?}") };
        let notice = |verdict: &Verdict| match verdict {
            Verdict::Delivered(_, notice) => Some(*notice),
            _ => None,
        };
        outcome.verdicts.iter().map(notice).collect()
    }

    #[test]
    fn a_host_that_offers_dsn_is_told_what_the_sender_asked_for() {
        let envelope = asking();
        let talk = Talk::with(&envelope, &offering(&["DSN"]))
            .says(&["MAIL FROM:<a@localhost> RET=HDRS ENVID=Q+20x"])
            .hears("250 ok")
            .says(&["RCPT TO:<b@x> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@y"])
            .hears("250 ok")
            .says(&["RCPT TO:<c@x>"])
            .hears("250 ok")
            .hears("354 go on")
            .hears("250 queued");
        assert_eq!(notices(&talk.1), [Some(Notice::None); 2]);
    }

    #[test]
    fn where_a_host_does_not_offer_dsn_success_is_ours_to_tell() {
        let envelope = asking();
        let talk = Talk::with(&envelope, &offering(&["SIZE"]))
            .says(&["MAIL FROM:<a@localhost> SIZE=264"])
            .hears("250 ok")
            .says(&["RCPT TO:<b@x>"])
            .hears("250 ok")
            .hears("250 ok")
            .hears("354 go on")
            .hears("250 queued");
        assert_eq!(notices(&talk.1), [Some(Notice::Owed), Some(Notice::None)]);
    }

    #[test]
    fn smtputf8_is_said_where_it_is_offered_and_needed() {
        let offer = offering(&["SMTPUTF8"]);
        let utf8 = envelope(&["b@x", "é@x"]);
        Talk::with(&utf8, &offer).says(&["MAIL FROM:<a@localhost> SMTPUTF8"]);
        let mut header = envelope(&["b@x"]);
        Talk::with(&header, &offer).says(&["MAIL FROM:<a@localhost>"]);
        header.header_is_utf8 = true;
        Talk::with(&header, &offer).says(&["MAIL FROM:<a@localhost> SMTPUTF8"]);
    }

    #[test]
    fn without_smtputf8_who_needs_it_fails_and_the_others_are_served() {
        let utf8 = envelope(&["é@x", "b@x", "c@ü"]);
        let talk = Talk::with(&utf8, &offering(&["PIPELINING"]))
            .says(&["MAIL FROM:<a@localhost>", "RCPT TO:<b@x>"])
            .hears("250 ok")
            .hears("250 ok")
            .says(&["DATA"])
            .hears("354 go on")
            .hears("250 queued");
        assert_eq!(notices(&talk.1), [None, Some(Notice::None), None]);
        let Step::Done(outcome) = talk.1 else { panic!("not done") };
        let Verdict::Failed(diagnosis) = &outcome.verdicts[0] else { panic!("not failed") };
        assert_eq!(diagnosis.status, Status::NO_UTF8);
        assert_eq!(
            diagnosis.reason.as_str(),
            "mx.example does not offer SMTPUTF8, which the recipient's address in UTF-8 needs"
        );
    }

    #[test]
    fn without_smtputf8_nothing_is_sent_if_sender_or_header_need_it() {
        let mut header = envelope(&["b@x"]);
        header.header_is_utf8 = true;
        let mut sender = envelope(&["b@x"]);
        sender.reverse_path = ReversePath::parse_with("é@y", Alphabet::Utf8).expect("a path");
        for (envelope, what) in [(header, "message's header"), (sender, "sender's address")] {
            let Talk(_, Step::Done(outcome)) = Talk::about(&envelope) else { panic!("not done") };
            assert_eq!(outcome.connection, After::Usable);
            let Verdict::Failed(diagnosis) = &outcome.verdicts[0] else { panic!("not failed") };
            let reason = format!(
                "mx.example was greeted with HELO and cannot offer SMTPUTF8 (--ehlo lets it), which \
                 the {what} in UTF-8 needs"
            );
            assert_eq!(diagnosis.reason.as_str(), reason);
        }
    }

    #[test]
    fn a_message_is_delivered() {
        let envelope = envelope(&["b@x.example"]);
        Talk::about(&envelope)
            .says(&["MAIL FROM:<a@localhost>"])
            .hears("250 ok")
            .says(&["RCPT TO:<b@x.example>"])
            .hears("250 ok")
            .says(&["DATA"])
            .hears("354 go on")
            .sends_the_text()
            .hears("250 2.0.0 queued as 17")
            .ends(After::Usable, &["delivered: 250 2.0.0 queued as 17"]);
    }

    #[test]
    fn each_recipient_has_a_verdict_of_its_own() {
        let envelope = envelope(&["b@x.example", "c@x.example", "d@x.example"]);
        Talk::about(&envelope)
            .hears("250 ok")
            .hears("251 will forward")
            .hears("550 5.1.1 no such user")
            .hears("450 4.2.0 greylisted")
            .says(&["DATA"])
            .hears("354 go on")
            .sends_the_text()
            .hears("250 ok")
            .ends(
                After::Usable,
                &[
                    "delivered: 250 ok",
                    "failed: 550 5.1.1 no such user",
                    "next host: 450 4.2.0 greylisted",
                ],
            );
    }

    #[test]
    fn without_a_recipient_there_is_no_data() {
        let envelope = envelope(&["b@x.example"]);
        Talk::about(&envelope)
            .hears("250 ok")
            .hears("550 no")
            .says(&["RSET"])
            .hears("250 ok")
            .ends(After::Usable, &["failed: 550 no"]);
    }

    #[test]
    fn a_refused_sender_refuses_all_recipients() {
        let envelope = envelope(&["b@x.example", "c@x.example"]);
        Talk::about(&envelope)
            .hears("451 later")
            .says(&["RSET"])
            .hears("500 what?")
            .ends(After::Usable, &["next host: 451 later", "next host: 451 later"]);
    }

    #[test]
    fn refused_data_is_for_the_recipients_that_were_accepted() {
        let envelope = envelope(&["b@x.example", "c@x.example"]);
        Talk::about(&envelope)
            .hears("250 ok")
            .hears("450 later")
            .hears("250 ok")
            .hears("554 no")
            .says(&["RSET"])
            .hears("250 ok")
            .ends(After::Usable, &["next host: 450 later", "failed: 554 no"]);
    }

    #[test]
    fn the_reply_to_the_text_is_for_all_that_were_accepted() {
        let envelope = envelope(&["b@x.example"]);
        let talk = || Talk::about(&envelope).up_to_the_text().sends_the_text();
        talk().hears("552 too large").ends(After::Usable, &["failed: 552 too large"]);
        talk().hears("452 no space").ends(After::Usable, &["next host: 452 no space"]);
    }

    #[test]
    fn a_421_ends_the_connection_wherever_it_comes() {
        let envelope = envelope(&["b@x.example"]);
        let talk = || Talk::about(&envelope);
        for talk in [
            talk(),
            talk().hears("250 ok"),
            talk().hears("250 ok").hears("250 ok"),
            talk().up_to_the_text().sends_the_text(),
            talk().hears("250 ok").hears("450 x"),
        ] {
            let again = matches!(talk.0.stage, Stage::Reset);
            let reason = if again { "450 x" } else { "421 bye" };
            talk.hears("421 bye").ends(After::Ended, &[&format!("next host: {reason}")]);
        }
    }

    #[test]
    fn a_broken_connection_defers_and_no_other_host_is_tried_once_the_dot_is_sent() {
        let envelope = envelope(&["b@x.example"]);
        let talk = || Talk::about(&envelope);
        talk().breaks(
            &ConnectionError::Closed,
            &["next host: mx.example closed the connection, at MAIL FROM"],
        );
        talk().up_to_the_text().breaks(
            &ConnectionError::Closed,
            &["next host: mx.example closed the connection, at the end of the message text"],
        );
        talk().up_to_the_text().sends_the_text().breaks(
            &ConnectionError::Closed,
            &["next run: mx.example closed the connection, at the end of the message text; \
               it may have the message"],
        );
    }

    #[test]
    fn a_message_that_cannot_be_read_is_not_tried_elsewhere() {
        let envelope = envelope(&["b@x.example"]);
        Talk::about(&envelope).up_to_the_text().breaks(
            &ConnectionError::Message("gone".to_owned()),
            &["next run: the queued message cannot be read (gone), at the end of the message text"],
        );
    }

    #[test]
    fn a_host_may_refuse_the_text_before_its_end() {
        let envelope = envelope(&["b@x.example"]);
        let mut talk = Talk::about(&envelope).up_to_the_text();
        let reply = Reply::of_wire("552 too large\r\n");
        let outcome = talk.0.interrupted(Some(&reply), &ConnectionError::Closed);
        outcome_is(&outcome, After::Ended, &["failed: 552 too large"]);

        let mut talk = Talk::about(&envelope).up_to_the_text();
        let reply = Reply::of_wire("250 thanks\r\n");
        let outcome = talk.0.interrupted(Some(&reply), &ConnectionError::Closed);
        assert!(matches!(outcome.verdicts[..], [Verdict::Deferred(..)]));
    }

    #[test]
    fn recipients_over_the_hosts_number_go_into_the_next_transaction() {
        let envelope = envelope(&["b@x.example", "c@x.example"]);
        for code in [452, 552] {
            Talk::about(&envelope)
                .hears("250 ok")
                .hears("250 ok")
                .hears(&format!("{code} too many"))
                .hears("354 go on")
                .sends_the_text()
                .hears("250 ok")
                .ends(
                    After::Usable,
                    &["delivered: 250 ok", &format!("next transaction: {code} too many")],
                );
        }
        Talk::about(&envelope)
            .hears("250 ok")
            .hears("552 mailbox full")
            .hears("452 no space")
            .hears("250 reset")
            .ends(After::Usable, &["failed: 552 mailbox full", "next host: 452 no space"]);
    }

    #[test]
    fn a_reply_that_answers_nothing_ends_the_connection() {
        let envelope = envelope(&["b@x.example"]);
        Talk::about(&envelope).hears("354 go on").ends(
            After::Ended,
            &["next host: mx.example: unexpected reply to MAIL FROM: 354 go on"],
        );
        Talk::about(&envelope)
            .hears("250 ok")
            .hears("250 ok")
            .hears("250 ok")
            .ends(After::Ended, &["next host: mx.example: unexpected reply to DATA: 250 ok"]);
    }

    #[test]
    fn size_and_body_are_told_to_a_host_that_offers_them() {
        let envelope = envelope(&["b@x.example"]);
        Talk::with(&envelope, &offering(&["SIZE 264", "8BITMIME"]))
            .says(&["MAIL FROM:<a@localhost> SIZE=264 BODY=8BITMIME"]);
        Talk::with(&envelope, &offering(&["SIZE 263"])).ends(
            After::Usable,
            &["failed: mx.example takes messages of at most 263 octets, and this one has 264"],
        );
    }

    #[test]
    fn the_null_path_is_empty_brackets() {
        let mut envelope = envelope(&["b@x.example"]);
        envelope.reverse_path = ReversePath::Null;
        Talk::about(&envelope).says(&["MAIL FROM:<>"]);
    }

    #[test]
    fn pipelined_commands_leave_in_one_go_and_their_replies_are_told_apart() {
        let envelope = envelope(&["b@x.example", "c@x.example"]);
        Talk::with(&envelope, &offering(&["PIPELINING"]))
            .says(&["MAIL FROM:<a@localhost>", "RCPT TO:<b@x.example>", "RCPT TO:<c@x.example>"])
            .hears("250 ok")
            .waits()
            .hears("550 no")
            .waits()
            .hears("250 ok")
            .says(&["DATA"]);
        Talk::with(&envelope, &offering(&["PIPELINING"]))
            .hears("550 no sender")
            .waits()
            .hears("503 no")
            .waits()
            .hears("250 what?")
            .says(&["RSET"])
            .hears("250 ok")
            .ends(After::Usable, &["failed: 550 no sender", "failed: 550 no sender"]);
    }

    #[test]
    fn no_more_is_pipelined_than_buffers_hold() {
        let addresses: Vec<String> =
            (0..100).map(|n| format!("{n}{}@x.example", "u".repeat(60))).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let envelope = envelope(&addresses);
        let mut talk = Talk::with(&envelope, &offering(&["PIPELINING"]));
        let mut batches = 0;
        while let Step::Send(commands) = &talk.1
            && commands[0].line() != "DATA"
        {
            let octets: usize = commands.iter().map(|command| command.line().len() + 2).sum();
            assert!(octets <= PIPELINED + 2);
            batches += 1;
            for _ in 0..commands.len() {
                talk = talk.hears("250 ok");
            }
        }
        assert!(batches > 1);
        talk.says(&["DATA"]);
    }

    proptest! {
        #[test]
        fn whatever_a_host_replies_each_recipient_gets_one_verdict(
            codes in prop::collection::vec(200u16..600, 20),
            pipelining in any::<bool>(),
            recipients in 1usize..8,
        ) {
            let addresses = vec!["b@x.example"; recipients];
            let envelope = envelope(&addresses);
            let extensions = if pipelining { offering(&["PIPELINING"]) } else { offering(&[]) };
            let mut talk = Talk::with(&envelope, &extensions);
            for code in codes {
                talk = match talk.1 {
                    Step::Done(outcome) => {
                        prop_assert_eq!(outcome.verdicts.len(), recipients);
                        return Ok(());
                    }
                    Step::SendText => talk.sends_the_text(),
                    Step::Send(_) | Step::Wait => talk,
                }.hears(&format!("{code} x"));
            }
            prop_assert!(false, "the conversation has no end");
        }
    }
}
