//! BDAT in an SMTP session (RFC 3030).

use std::mem;

use crate::servers::session::{AfterChunk, Chunk, ChunkFate, Step};
use crate::servers::smtp::command::ChunkSize;
use crate::servers::smtp::reply::{self, SmtpReply};
use crate::servers::smtp::session::{SmtpEffect, SmtpSession, State};

impl SmtpSession {
    /// The octets of a chunk are received whatever the reply: they are no commands.
    pub(super) fn bdat(&mut self, size: ChunkSize) -> Step<SmtpEffect> {
        let most = self.settings.message_most();
        match mem::replace(&mut self.state, State::Data) {
            State::Transaction(mut transaction) if transaction.accepted > 0 => {
                let total = transaction.chunks.unwrap_or(0).saturating_add(size.octets);
                if total > most {
                    self.state = State::Ready;
                    return self.dropped(size.octets, reply::TOO_LARGE);
                }
                let before = transaction.chunks.replace(total);
                let fate = if before.is_none() { ChunkFate::First } else { ChunkFate::Next };
                let then = if size.is_last {
                    AfterChunk::Perform(SmtpEffect::Deliver(transaction))
                } else {
                    self.state = State::Transaction(transaction);
                    let text = format!("{} octets received", size.octets);
                    AfterChunk::Reply(self.say("250", "2.0.0", &text))
                };
                Step::Chunk(Chunk { octets: size.octets, fate, then })
            }
            state => {
                self.state = state;
                let has_transaction = matches!(self.state, State::Transaction(_));
                let refusal = if has_transaction { reply::RCPT_FIRST } else { reply::MAIL_FIRST };
                self.dropped(size.octets, refusal)
            }
        }
    }

    /// Refuses a chunk once it has been received.
    pub(super) fn dropped(&self, octets: u64, refusal: SmtpReply) -> Step<SmtpEffect> {
        let then = AfterChunk::Reply(self.form(refusal));
        Step::Chunk(Chunk { octets, fate: ChunkFate::Dropped, then })
    }
}
