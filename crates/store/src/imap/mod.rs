//! IMAP over a store: one session, from the authenticated state on.
//!
//! The syntax is `imap-proto`'s, the truth is the engine's; between them stand the session's view of one mailbox and
//! the rules of what may be told when. Logging in is done before: by the proxy, or whoever answered.
//!
//! ```text
//!   Event ─▶ mod.rs ─┬─ select.rs     SELECT … CLOSE, EXPUNGE        selected.rs  view and news of a mailbox
//!                    ├─ mailboxes.rs  CREATE … SUBSCRIBE             view.rs      sequence numbers ↔ UIDs
//!                    │                                             resync.rs    what a client missed (QRESYNC)
//!                    ├─ list.rs       LIST, LSUB, STATUS             sets.rs      UIDs by ranges
//!                    ├─ fetch.rs      FETCH       ┐ piece by piece:  content.rs   sections of a message
//!                    ├─ search.rs     SEARCH      ┘ Flow::Again      structure.rs ENVELOPE, BODYSTRUCTURE
//!                    ├─ change.rs     STORE, COPY, MOVE
//!                    ├─ append.rs     APPEND
//!                    └─ quota.rs      GETQUOTA, GETQUOTAROOT
//! ```
//!
//! Invariants:
//! 1. EXPUNGE is told only with commands during which it may be, and a message keeps its number until then.
//! 2. What a session did itself, or was asked not to tell, it does not tell again.
//! 3. An answer is queued up to [`STEP_OCTETS`] at a time; a body is handed on without copying it.
//! 4. Nothing is read of a message's text unless the client asked for what only the text says.
//! 5. Only what is honoured is offered ([`ImapSession::support`]).
//!
//! RFCs: 3501 and 9051 (all after login), 2177, 2342, 2971, 3348, 3502, 3516, 3691, 4315, 4731, 4978, 5032, 5161, 5182,
//! 5258, 5819, 6154, 6851, 6855, 7162, 8438, 9208; 2180 for mailboxes with many clients, 5530 for response codes.

mod append;
mod change;
mod content;
mod fetch;
mod flags;
mod list;
mod mailboxes;
mod quota;
mod reply;
mod resync;
mod search;
mod select;
mod selected;
mod sets;
mod structure;
#[cfg(test)]
mod tests;
mod view;

use crate::engine::{Refusal, Store, Watch};
use append::Appending;
use fetch::Fetching;
use imap_proto::capability::{Capability, CapabilitySet, Login, Privacy, Support, offered};
use imap_proto::command::IdField;
use imap_proto::response::NamespaceItem;
use imap_proto::server::{Event, Server};
use imap_proto::{Command, CommandBody, Numbering, Reply, Response, ResponseCode};
use mail_types::{AccountId, MailboxName, UidSet};
use ports::{BoxFuture, Flow, Handler, LoggedIn};
use search::Searching;
use selected::{Access, Look, Selected, Tell};
use std::borrow::Cow;
use std::sync::Arc;
use std::task::Poll;

/// One logged-in client.
pub struct ImapSession {
    store: Arc<Store>,
    who: LoggedIn,
    watch: Watch,
    enabled: Enabled,
    selected: Option<Box<Selected>>,
    /// A change was made here, of which the watch may not have heard yet.
    stale: bool,
    /// What SEARCH saved: `$` (RFC 5182).
    saved: UidSet,
    doing: Doing,
}

/// What a command in several steps is at.
enum Doing {
    Nothing,
    Idle,
    Append(Box<Appending>),
    Fetch(Box<Fetching>),
    Search(Box<Searching>),
    /// Telling the news before the tagged reply.
    Finish(Box<(Reply, Tell)>),
}

/// What the client has enabled (RFC 5161).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Enabled {
    /// By ENABLE or any command that uses it (RFC 7162 §3.1): MODSEQ is told with flags.
    condstore: bool,
    /// RFC 7162 §3.2: VANISHED stands for EXPUNGE, and what is told of a message names its UID.
    qresync: bool,
    /// IMAP4rev2.
    rev2: bool,
}

impl ImapSession {
    /// A session of an account that is on this store.
    pub fn new(store: Arc<Store>, who: LoggedIn) -> Self {
        let watch = store.watch(who.account);
        Self {
            store,
            who,
            watch,
            enabled: Enabled::default(),
            selected: None,
            stale: false,
            saved: UidSet::new(),
            doing: Doing::Nothing,
        }
    }

    /// What this session can do, for whoever tells capabilities before and with the login. SASL mechanisms are theirs.
    pub fn support() -> Support {
        Support { before_login: BEFORE_LOGIN.to_vec(), after_login: AFTER_LOGIN.to_vec(), ..Support::default() }
    }

    fn capabilities() -> CapabilitySet {
        offered(&Self::support(), Login::After, Privacy::Private)
    }

    fn account(&self) -> AccountId {
        self.who.account
    }

    async fn decide(&mut self, machine: &mut Server, event: Event) -> Flow {
        match event {
            Event::Command(command) => self.command(machine, *command).await,
            Event::IdleBegin => {
                machine.accept_idle();
                self.doing = Doing::Idle;
                self.tell_idle(machine)
            }
            Event::IdleDone => {
                self.doing = Doing::Nothing;
                self.finish(machine, Reply::ok("IDLE completed"), Tell::All)
            }
            Event::AppendBegin(begin) => self.append_begin(machine, &begin),
            Event::AppendChunk(piece) => self.append_chunk(machine, piece).await,
            Event::AppendEnd => Flow::Next,
            Event::AppendFinish => self.append_finish(machine).await,
            Event::AppendAbort => {
                self.doing = Doing::Nothing;
                self.finish(machine, Reply::no("APPEND was broken off"), Tell::All)
            }
            Event::StartTls | Event::Authenticate { .. } | Event::AuthResponse(_) | Event::AuthCancelled => {
                self.end(machine, logged_in_already())
            }
        }
    }

    async fn command(&mut self, machine: &mut Server, command: Command) -> Flow {
        let Command { tag, body } = command;
        match body {
            CommandBody::Capability => {
                machine.send(&Response::Capability(Self::capabilities()));
                self.finish(machine, Reply::ok("CAPABILITY completed"), Tell::All)
            }
            CommandBody::Noop => self.finish(machine, Reply::ok("Completed"), Tell::All),
            // RFC 3501 §3.3, §6.4.1: of the selected state.
            CommandBody::Check if self.selected.is_none() => self.end(machine, reply::not_selected()),
            CommandBody::Check => self.finish(machine, Reply::ok("Completed"), Tell::All),
            CommandBody::Logout => {
                machine.logout();
                Flow::Close
            }
            CommandBody::Id(_) => {
                machine.send(&Response::Id(Some(vec![IdField {
                    name: b"name".to_vec(),
                    value: Some(b"Posthouse".to_vec()),
                }])));
                self.finish(machine, Reply::ok("ID completed"), Tell::All)
            }
            CommandBody::Enable(names) => self.enable(machine, &names),
            CommandBody::Namespace => {
                let personal = NamespaceItem { prefix: String::new(), separator: MailboxName::SEPARATOR };
                machine.send(&Response::Namespace([vec![personal], Vec::new(), Vec::new()]));
                self.finish(machine, Reply::ok("NAMESPACE completed"), Tell::All)
            }
            CommandBody::Select(select) => self.select(machine, &select, Access::Write).await,
            CommandBody::Examine(select) => self.select(machine, &select, Access::Read).await,
            CommandBody::Close => self.close(machine).await,
            CommandBody::Unselect => self.unselect(machine),
            CommandBody::Expunge => self.expunge(machine, None).await,
            CommandBody::UidExpunge(set) => self.expunge(machine, Some(&set)).await,
            CommandBody::Create { mailbox, given, special_use } => {
                self.create(machine, &mailbox, given, &special_use).await
            }
            CommandBody::Delete(name) => self.delete(machine, &name).await,
            CommandBody::Rename { from, to } => self.rename(machine, &from, &to).await,
            CommandBody::Subscribe(name) => self.subscribe(machine, &name, true).await,
            CommandBody::Unsubscribe(name) => self.subscribe(machine, &name, false).await,
            CommandBody::List(list) => self.list(machine, &list),
            CommandBody::Lsub { reference, pattern } => self.lsub(machine, &reference, &pattern),
            CommandBody::Status { mailbox, items } => self.status(machine, &mailbox, &items),
            CommandBody::Fetch(fetch) => self.fetch(machine, fetch).await,
            CommandBody::Store(store) => self.store_flags(machine, &store).await,
            CommandBody::Copy(transfer) => self.copy(machine, &transfer).await,
            CommandBody::Move(transfer) => self.move_messages(machine, &transfer).await,
            CommandBody::Search(search) => self.search(machine, tag, &search).await,
            CommandBody::Login { .. } => self.end(machine, logged_in_already()),
            CommandBody::GetQuota(root) => self.quota(machine, &root),
            CommandBody::GetQuotaRoot(name) => self.quota_root(machine, &name),
            CommandBody::Compress(algorithm) => self.compress(machine, &algorithm),
            CommandBody::SetQuota { .. } => self.end(machine, Reply::bad("This command is not offered here")),
        }
    }

    /// ENABLE (RFC 5161): what is not known is passed over.
    fn enable(&mut self, machine: &mut Server, names: &[String]) -> Flow {
        let mut enabled: Vec<Cow<'static, str>> = Vec::new();
        for name in names {
            match name.as_str() {
                "CONDSTORE" => {
                    self.use_condstore(machine);
                    enabled.push("CONDSTORE".into());
                }
                "QRESYNC" => {
                    // RFC 7162 §3.2.3: CONDSTORE is enabled with it.
                    self.use_condstore(machine);
                    self.enabled.qresync = true;
                    enabled.push("QRESYNC".into());
                }
                "IMAP4REV2" => {
                    self.enabled.rev2 = true;
                    machine.enable_utf8();
                    enabled.push("IMAP4rev2".into());
                }
                "UTF8=ACCEPT" => {
                    machine.enable_utf8();
                    enabled.push("UTF8=ACCEPT".into());
                }
                _ => {}
            }
        }
        machine.send(&Response::Enabled(enabled));
        self.finish(machine, Reply::ok("ENABLE completed"), Tell::All)
    }

    /// COMPRESS (RFC 4978 §3).
    fn compress(&mut self, machine: &mut Server, algorithm: &str) -> Flow {
        if algorithm != "DEFLATE" {
            return self.end(machine, Reply::bad("DEFLATE is all there is"));
        }
        if machine.is_compressed() {
            let refused = Reply::no("The connection is compressed").with(ResponseCode::CompressionActive);
            return self.end(machine, refused);
        }
        machine.accept_compress();
        Flow::Next
    }

    /// A command that needs MODSEQ was used: from now on they are told (RFC 7162 §3.1).
    fn use_condstore(&mut self, machine: &mut Server) {
        if std::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(selected) = &self.selected {
            let code = ResponseCode::HighestModSeq(selected.modseq());
            machine.send(&Response::Untagged(Reply::ok("Up to here").with(code)));
        }
    }

    /// What changed in the open mailbox is taken into the view. Done before a command too, so that it sees new mail.
    fn look(&mut self) -> Look {
        let news = self.watch.take() | self.stale;
        let Some(selected) = self.selected.as_mut().filter(|_| news) else { return Look::There };
        match selected.look(&self.store, self.who.account) {
            Ok(look) => {
                // That it was deleted is met again, and told, at the end of the command.
                self.stale = look == Look::Deleted;
                look
            }
            Err(refusal) => {
                reply::log(&refusal);
                self.stale = true;
                Look::There
            }
        }
    }

    /// Tells some of the news; true when more is to be told, after what is queued was sent.
    fn tell(&mut self, machine: &mut Server, tell: Tell) -> bool {
        let Some(selected) = &mut self.selected else { return false };
        let more = selected.tell(machine, &self.store, self.who.account, tell, self.enabled);
        more.unwrap_or_else(|refusal| {
            reply::log(&refusal);
            false
        })
    }

    /// Ends a command: tells what else happened, as far as the command allows, then its own reply.
    fn finish(&mut self, machine: &mut Server, reply: Reply, tell: Tell) -> Flow {
        if self.look() == Look::Deleted {
            return self.deleted(machine);
        }
        if self.tell(machine, tell) {
            self.doing = Doing::Finish(Box::new((reply, tell)));
            return Flow::Again;
        }
        self.end(machine, reply)
    }

    /// Ends a command without news.
    fn end(&mut self, machine: &mut Server, reply: Reply) -> Flow {
        self.doing = Doing::Nothing;
        machine.complete(reply);
        Flow::Next
    }

    fn tell_idle(&mut self, machine: &mut Server) -> Flow {
        if self.look() == Look::Deleted {
            return self.deleted(machine);
        }
        if self.tell(machine, Tell::All) { Flow::Again } else { Flow::Next }
    }

    /// Another session deleted the mailbox that is open here. RFC 2180 §3 lets us choose; to say goodbye is the only
    /// answer that no client takes for "all your mail was expunged".
    fn deleted(&mut self, machine: &mut Server) -> Flow {
        self.selected = None;
        self.doing = Doing::Nothing;
        machine.bye(Reply::no("The open mailbox was deleted").with(ResponseCode::NonExistent));
        Flow::Close
    }

    /// The answer to a refusal.
    fn refuse(&mut self, machine: &mut Server, refusal: &Refusal) -> Flow {
        let reply = reply::refused(refusal);
        self.finish(machine, reply, Tell::NoExpunge)
    }
}

impl Handler<Server> for ImapSession {
    fn on_event<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.decide(machine, event))
    }

    fn resume<'a>(&'a mut self, machine: &'a mut Server) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            // Others have their turn between two steps of a long answer.
            pause().await;
            match std::mem::replace(&mut self.doing, Doing::Nothing) {
                Doing::Nothing => Flow::Next,
                Doing::Idle => {
                    self.doing = Doing::Idle;
                    self.tell_idle(machine)
                }
                Doing::Append(append) => {
                    self.doing = Doing::Append(append);
                    Flow::Next
                }
                Doing::Fetch(fetch) => self.fetch_on(machine, fetch).await,
                Doing::Search(search) => self.search_on(machine, search),
                Doing::Finish(finish) => {
                    let (reply, tell) = *finish;
                    self.finish(machine, reply, tell)
                }
            }
        })
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        match self.doing {
            Doing::Idle => Box::pin(async {
                self.watch.changed().await;
                self.stale = true;
            }),
            Doing::Nothing | Doing::Append(_) | Doing::Fetch(_) | Doing::Search(_) | Doing::Finish(_) => {
                Box::pin(std::future::pending())
            }
        }
    }

    fn on_wake<'a>(&'a mut self, machine: &'a mut Server) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            match self.doing {
                Doing::Idle => self.tell_idle(machine),
                Doing::Nothing | Doing::Append(_) | Doing::Fetch(_) | Doing::Search(_) | Doing::Finish(_) => Flow::Next,
            }
        })
    }
}

/// Lets other tasks run.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn logged_in_already() -> Reply {
    Reply::bad("You are logged in already").with(ResponseCode::ClientBug)
}

/// What may be told with a command that names messages.
fn tell_with(by: Numbering) -> Tell {
    match by {
        Numbering::Sequence => Tell::NoExpunge,
        Numbering::Uid => Tell::All,
    }
}

/// After so much output, a long answer waits until it was sent.
pub(crate) const STEP_OCTETS: usize = 256 << 10;

const BEFORE_LOGIN: &[Capability] =
    &[Capability::Imap4rev1, Capability::Imap4rev2, Capability::LiteralPlus, Capability::Id, Capability::Enable];

/// Not here: QUOTASET, for limits are the directory's.
const AFTER_LOGIN: &[Capability] = &[
    Capability::Idle,
    Capability::Namespace,
    Capability::Unselect,
    Capability::UidPlus,
    Capability::Move,
    Capability::Children,
    Capability::ListExtended,
    Capability::ListStatus,
    Capability::SpecialUse,
    Capability::CreateSpecialUse,
    Capability::Esearch,
    Capability::SearchRes,
    Capability::Within,
    Capability::StatusSize,
    Capability::Condstore,
    Capability::Qresync,
    Capability::Binary,
    Capability::MultiAppend,
    Capability::Utf8Accept,
    Capability::Quota,
    Capability::QuotaResStorage,
    Capability::QuotaResMessage,
    Capability::CompressDeflate,
];
