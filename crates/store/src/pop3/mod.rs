//! POP3 over a store: one session, from the TRANSACTION state on (RFC 1939 §5).
//!
//! ```text
//!   INBOX ── Snapshot at the login: UIDs and sizes ──▶ STAT LIST UIDL      numbers never change
//!     ▲                                  │ marks ────▶ DELE RSET
//!     └────── one change at QUIT ◀───────┘             RETR TOP ◀── the message as it is stored now
//! ```
//! The login itself was decided elsewhere. Its answer tells what the maildrop holds, so it is given here: by the first
//! [`Handler::resume`], which whoever delegates calls once.
//!
//! Invariants:
//! 1. One session per account and store ([`Maildrops`]); the lock goes with the session, however that ends. IMAP and
//!    deliveries do not ask for it.
//! 2. What is removed is what was marked, in one change at QUIT, and `+OK` is said once it is durable. A session that
//!    ends otherwise removes nothing (RFC 1939 §6).
//! 3. A message that somebody else removed meanwhile keeps its number and its place in every sum; RETR says that it is
//!    gone. Reading sets no flag.
//! 4. An address that is no ASCII goes to a client in UTF-8 mode only; to others RETR and TOP are refused (RFC 6856 §5).
//! 5. An answer is queued as far as the client takes it; a message is handed on without a copy.

mod international;
mod maildrop;
#[cfg(test)]
mod tests;

pub(crate) use maildrop::{MaildropLock, Maildrops};

use crate::engine::{Refusal, Store};
use bytes::Bytes;
use international::needs_utf8;
use mail_types::MailboxId;
use maildrop::Snapshot;
use pop3_proto::{BodyWants, Event, MessageNumber, ResponseCode, Server};
use ports::{BoxFuture, Flow, Handler, LoggedIn};
use std::sync::Arc;

/// One logged-in client.
pub struct Pop3Session {
    store: Arc<Store>,
    who: LoggedIn,
    maildrop: Snapshot,
    /// Given back once the session needs it no more, at the latest with the session.
    lock: Option<MaildropLock>,
    answer: Answer,
}

/// An answer that is not complete.
enum Answer {
    None,
    /// To the login.
    Login,
    /// LIST of all, from this place in the snapshot.
    List(usize),
    /// UIDL of all.
    Uidl(usize),
    /// RETR or TOP: what is left of the message.
    Message(Bytes),
}

impl Pop3Session {
    /// A session of an account that is on this store, with its maildrop as it is now.
    pub(crate) async fn open(store: Arc<Store>, who: LoggedIn, lock: MaildropLock) -> Result<Self, Refusal> {
        let maildrop = Snapshot::read(&store, who.account).await?;
        Ok(Self { store, who, maildrop, lock: Some(lock), answer: Answer::Login })
    }

    async fn decide(&mut self, machine: &mut Server, event: Event) -> Flow {
        match event {
            Event::Stat => machine.stat(self.maildrop.total()),
            Event::List(None) => {
                machine.list_begin(self.maildrop.total());
                return self.go_on_with(machine, Answer::List(0));
            }
            Event::List(Some(number)) => match self.maildrop.get(number) {
                Some(message) => machine.list_one(message.octets()),
                None => machine.refuse(&pop3_proto::Refusal::NO_SUCH_MESSAGE),
            },
            Event::Uidl(None) => {
                machine.uidl_begin();
                return self.go_on_with(machine, Answer::Uidl(0));
            }
            Event::Uidl(Some(number)) => match self.maildrop.get(number) {
                Some(message) => machine.uidl_one(&self.maildrop.unique_id(message)),
                None => machine.refuse(&pop3_proto::Refusal::NO_SUCH_MESSAGE),
            },
            // Where TOP ends is the machine's to know.
            Event::Retr(number) | Event::Top { number, .. } => return self.retrieve(machine, number),
            Event::Dele(number) => match self.maildrop.mark(number) {
                Some(()) => machine.deleted(),
                None => machine.refuse(&pop3_proto::Refusal::NO_SUCH_MESSAGE),
            },
            Event::Rset => {
                self.maildrop.unmark_all();
                machine.unmarked(self.maildrop.total());
            }
            Event::Quit => self.update(machine).await,
            // Of the AUTHORIZATION state, which is over.
            Event::Login { .. } | Event::Auth { .. } | Event::AuthResponse(_) | Event::StartTls => {
                machine.refuse(&pop3_proto::Refusal::new(None, "You are logged in already"));
            }
            Event::AuthCancelled => {}
        }
        Flow::Next
    }

    fn retrieve(&mut self, machine: &mut Server, number: MessageNumber) -> Flow {
        match self.read(number) {
            Ok(message) if !machine.is_utf8() && needs_utf8(&message) => {
                machine.refuse(&pop3_proto::Refusal::NEEDS_UTF8);
                Flow::Next
            }
            Ok(message) => {
                machine.message_begin(message.len() as u64);
                self.go_on_with(machine, Answer::Message(message))
            }
            Err(refusal) => {
                machine.refuse(&refusal);
                Flow::Next
            }
        }
    }

    fn read(&self, number: MessageNumber) -> Result<Bytes, pop3_proto::Refusal> {
        let message = self.maildrop.get(number).ok_or(pop3_proto::Refusal::NO_SUCH_MESSAGE)?;
        let account = self.who.account;
        let row = self.store.message(account, MailboxId::INBOX, message.uid());
        let content = row.and_then(|row| row.map(|row| self.store.read(account, &row)).transpose());
        match content {
            Ok(Some(content)) => Ok(content),
            Ok(None) => Err(pop3_proto::Refusal::new(None, "Another client has removed this message")),
            Err(refusal) => {
                tracing::error!(account = %self.who.address, uid = %message.uid(), why = %refusal, "a message cannot be read");
                Err(reply(&refusal))
            }
        }
    }

    /// RFC 1939 §6.
    async fn update(&mut self, machine: &mut Server) {
        let marked = self.maildrop.marked();
        let removed = self.store.remove_messages(self.who.account, MailboxId::INBOX, &marked).await;
        // Before the answer: a client that hears it may be back before we have seen it go.
        self.lock = None;
        match removed {
            Ok(()) => {
                tracing::info!(account = %self.who.address, removed = marked.len(), "maildrop updated");
                machine.updated();
            }
            Err(refusal) => {
                tracing::warn!(account = %self.who.address, why = %refusal, "a maildrop was not updated");
                machine.refuse(&pop3_proto::Refusal::NOT_ALL_REMOVED);
            }
        }
    }

    fn go_on_with(&mut self, machine: &mut Server, answer: Answer) -> Flow {
        self.answer = answer;
        self.go_on(machine)
    }

    /// Says as much of the answer as there is room for.
    fn go_on(&mut self, machine: &mut Server) -> Flow {
        match std::mem::replace(&mut self.answer, Answer::None) {
            Answer::None => return Flow::Next,
            Answer::Login => machine.logged_in(self.maildrop.total()),
            Answer::List(from) => {
                for (at, number, message) in self.maildrop.from(from) {
                    if !machine.has_room() {
                        self.answer = Answer::List(at);
                        return Flow::Again;
                    }
                    machine.list_item(number, message.octets());
                }
                machine.listing_end();
            }
            Answer::Uidl(from) => {
                for (at, number, message) in self.maildrop.from(from) {
                    if !machine.has_room() {
                        self.answer = Answer::Uidl(at);
                        return Flow::Again;
                    }
                    machine.uidl_item(number, &self.maildrop.unique_id(message));
                }
                machine.listing_end();
            }
            Answer::Message(mut rest) => {
                let mut wants = BodyWants::More;
                while wants == BodyWants::More && !rest.is_empty() {
                    if !machine.has_room() {
                        self.answer = Answer::Message(rest);
                        return Flow::Again;
                    }
                    wants = machine.body(rest.split_to(rest.len().min(PIECE_OCTETS)));
                }
                machine.body_end();
            }
        }
        Flow::Next
    }
}

impl Handler<Server> for Pop3Session {
    fn on_event<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.decide(machine, event))
    }

    fn resume<'a>(&'a mut self, machine: &'a mut Server) -> BoxFuture<'a, Flow> {
        let flow = self.go_on(machine);
        Box::pin(std::future::ready(flow))
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.lock = None;
        Box::pin(async {})
    }
}

/// What a client hears of a message that cannot be read: whether it is worth trying again (RFC 3206 §4).
fn reply(refusal: &Refusal) -> pop3_proto::Refusal {
    match refusal {
        // What is damaged does not mend itself.
        Refusal::Body(_) | Refusal::Index(_) => {
            pop3_proto::Refusal::new(Some(ResponseCode::SysPerm), "This message is damaged, please tell your operator")
        }
        Refusal::NoAccount
        | Refusal::NoMailbox
        | Refusal::MailboxExists
        | Refusal::HasChildren
        | Refusal::Inbox
        | Refusal::BelowItself
        | Refusal::NameTooLong
        | Refusal::TooMany(_)
        | Refusal::OverQuota
        | Refusal::NoSpace
        | Refusal::Unavailable(_) => pop3_proto::Refusal::UNAVAILABLE,
    }
}

/// How much of a message is given to the machine at once: it goes over its mark for waiting output by no more.
const PIECE_OCTETS: usize = 64 << 10;
