//! APPEND, as its messages stream in (RFC 9051 §6.3.12, RFC 3502).

use super::selected::Tell;
use super::{Doing, ImapSession, flags, reply};
use crate::engine::{APPEND_MESSAGES_MAX, Appended};
use bytes::Bytes;
use imap_proto::server::{AppendBegin, Server};
use imap_proto::{Reply, ResponseCode};
use mail_types::MailboxId;
use ports::Flow;

/// The messages of an APPEND under way. Dropped, they leave nothing.
pub(super) struct Appending {
    mailbox: MailboxId,
    messages: Vec<Appended>,
}

impl ImapSession {
    pub(super) fn append_begin(&mut self, machine: &mut Server, begin: &AppendBegin) -> Flow {
        let mut append = match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Append(append) if begin.index > 0 => append,
            Doing::Nothing | Doing::Idle | Doing::Append(_) | Doing::Fetch(_) | Doing::Search(_) | Doing::Finish(_) => {
                match self.store.mailbox_by_name(self.account(), &begin.mailbox) {
                    Ok(Some((mailbox, _))) => Box::new(Appending { mailbox, messages: Vec::new() }),
                    Ok(None) => return self.finish(machine, reply::no_target(), Tell::All),
                    Err(refusal) => return self.refuse(machine, &refusal),
                }
            }
        };
        if begin.message.octets == 0 {
            // RFC 3502 §3: so a client gives up what it has begun. No message is empty, so it is the same for one alone.
            return self.finish(machine, Reply::no("An empty message cancels APPEND"), Tell::All);
        }
        if append.messages.len() >= APPEND_MESSAGES_MAX {
            let refused = Reply::no("Too many messages in one APPEND").with(ResponseCode::Limit);
            return self.finish(machine, refused, Tell::All);
        }
        // Refused before it is sent; the engine asks again when it is here.
        let coming = append.octets() + u64::from(begin.message.octets);
        let count = append.messages.len() as u64 + 1;
        if let Err(refusal) = self.store.check_quota(self.account(), &self.who.address, coming, count) {
            return self.refuse(machine, &refusal);
        }
        let date = begin.message.date.and_then(|date| date.to_unix().ok());
        append.messages.push(Appended {
            message: self.store.append(self.account()),
            flags: flags::names(&begin.message.flags),
            date: date.unwrap_or_else(|| self.store.now()),
        });
        self.doing = Doing::Append(append);
        machine.accept_append();
        Flow::Next
    }

    pub(super) async fn append_chunk(&mut self, machine: &mut Server, piece: Bytes) -> Flow {
        let Doing::Append(append) = &mut self.doing else { return Flow::Next };
        let Some(appended) = append.messages.last_mut() else { return Flow::Next };
        match appended.message.write(piece).await {
            Ok(()) => Flow::Next,
            Err(refusal) => self.refuse(machine, &refusal),
        }
    }

    pub(super) async fn append_finish(&mut self, machine: &mut Server) -> Flow {
        let Doing::Append(append) = std::mem::replace(&mut self.doing, Doing::Nothing) else {
            return self.finish(machine, Reply::bad("No message came"), Tell::All);
        };
        self.stale = true;
        let stored = self.store.append_together(self.account(), append.mailbox, append.messages).await;
        let reply = match stored {
            Ok((_, validity, uids)) => Reply::ok("APPEND completed").with(ResponseCode::AppendUid { validity, uids }),
            Err(refusal) => reply::refused_target(&refusal),
        };
        self.finish(machine, reply, Tell::All)
    }
}

impl Appending {
    fn octets(&self) -> u64 {
        self.messages.iter().map(|appended| appended.message.octets()).sum()
    }
}
