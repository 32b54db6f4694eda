//! STORE, COPY and MOVE (RFC 9051 §6.4.6 to §6.4.8, RFC 7162 §3.1.3, RFC 4315).

use super::fetch::Fetching;
use super::selected::{Access, Tell};
use super::{ImapSession, flags, reply, tell_with};
use crate::engine::{Copied, FlagChange, Refusal, Stored};
use imap_proto::command::{Store, StoreOp, Transfer};
use imap_proto::fetch::FetchItem;
use imap_proto::server::Server;
use imap_proto::{MessageSet, Numbering, Reply, Response, ResponseCode};
use mail_types::UidSet;
use ports::Flow;

impl ImapSession {
    pub(super) async fn store_flags(&mut self, machine: &mut Server, store: &Store) -> Flow {
        if store.unchanged_since.is_some() {
            self.use_condstore(machine);
        }
        let uids = match self.targets(machine, &store.set, store.by, Access::Write) {
            Ok(uids) => uids,
            Err(reply) => return self.end(machine, reply),
        };
        let Some(selected) = &self.selected else { return self.end(machine, reply::not_selected()) };
        let change = match store.op {
            StoreOp::Replace => FlagChange::Replace,
            StoreOp::Add => FlagChange::Add,
            StoreOp::Remove => FlagChange::Remove,
        };
        let names = flags::names(&store.flags);
        let (account, id) = (self.account(), selected.id);
        let stored = self.store.store_flags(account, id, &uids, change, &names, store.unchanged_since).await;
        self.stale = true;
        match stored {
            Ok(stored) => self.tell_stored(machine, store, uids, &stored).await,
            Err(refusal) => self.refuse(machine, &refusal),
        }
    }

    /// Tells the new flags of the messages, as the command wants it.
    async fn tell_stored(&mut self, machine: &mut Server, store: &Store, uids: UidSet, stored: &Stored) -> Flow {
        let condstore = self.enabled.condstore;
        if let (true, Some(modseq), Some(selected)) = (store.silent, stored.modseq, &mut self.selected) {
            selected.own_silent_change(modseq);
        }
        // A keyword of this very command is told before a message shows it.
        self.look();
        let Some(selected) = &mut self.selected else { return self.end(machine, reply::not_selected()) };
        selected.announce(machine);
        let reply = if stored.modified.is_empty() {
            Reply::ok("STORE completed")
        } else {
            let code = ResponseCode::Modified(selected.numbers(&stored.modified, store.by));
            Reply::ok("Some messages had changed").with(code)
        };
        if store.silent && !condstore {
            return self.finish(machine, reply, tell_with(store.by));
        }
        // RFC 7162 §3.1.3: MODSEQ is told even with .SILENT, of what changed.
        // RFC 7162 §3.2.4: with QRESYNC, UID is told too.
        let uid = self.enabled.qresync.then_some(FetchItem::Uid);
        let flags = (!store.silent).then_some(FetchItem::Flags);
        let items = uid.into_iter().chain(flags).chain(condstore.then_some(FetchItem::ModSeq)).collect();
        let mut fetching = Fetching::new(store.by, items, uids, reply);
        if store.silent {
            fetching.only_changed_by(stored.modseq);
        }
        self.fetch_on(machine, Box::new(fetching)).await
    }

    pub(super) async fn copy(&mut self, machine: &mut Server, transfer: &Transfer) -> Flow {
        let uids = match self.targets(machine, &transfer.set, transfer.by, Access::Read) {
            Ok(uids) => uids,
            Err(reply) => return self.end(machine, reply),
        };
        match self.transfer(transfer, &uids, Kind::Copy).await {
            Ok(Some(code)) => self.finish(machine, Reply::ok("COPY completed").with(code), tell_with(transfer.by)),
            Ok(None) => self.finish(machine, Reply::ok("No message was copied"), tell_with(transfer.by)),
            Err(reply) => self.finish(machine, reply, tell_with(transfer.by)),
        }
    }

    pub(super) async fn move_messages(&mut self, machine: &mut Server, transfer: &Transfer) -> Flow {
        let uids = match self.targets(machine, &transfer.set, transfer.by, Access::Write) {
            Ok(uids) => uids,
            Err(reply) => return self.end(machine, reply),
        };
        match self.transfer(transfer, &uids, Kind::Move).await {
            Ok(Some(code)) => {
                // RFC 6851 §4.3: COPYUID comes before the EXPUNGEs, so that the client can follow its messages.
                machine.send(&Response::Untagged(Reply::ok("Moved").with(code)));
                let reply = self.with_news_modseq(Reply::ok("MOVE completed"), &uids);
                self.finish(machine, reply, Tell::All)
            }
            Ok(None) => self.finish(machine, Reply::ok("No message was moved"), Tell::All),
            Err(reply) => self.finish(machine, reply, tell_with(transfer.by)),
        }
    }

    /// Copies or moves; gives COPYUID when there was a message.
    async fn transfer(
        &mut self,
        transfer: &Transfer,
        uids: &UidSet,
        kind: Kind,
    ) -> Result<Option<ResponseCode>, Reply> {
        let refused = |refusal: Refusal| reply::refused(&refusal);
        let account = self.account();
        let Some(selected) = &self.selected else { return Err(reply::not_selected()) };
        let from = selected.id;
        let Some((to, _)) = self.store.mailbox_by_name(account, &transfer.to).map_err(refused)? else {
            return Err(reply::no_target());
        };
        if transfer.by == Numbering::Sequence {
            // RFC 9051 §6.4.7: all of them or none.
            let mut there = 0u64;
            self.store.for_each_message(account, from, uids, |_, _| there += 1).map_err(refused)?;
            if there < uids.len() {
                self.stale = true;
                return Err(reply::expunged());
            }
        }
        self.stale = true;
        let copied = match kind {
            Kind::Copy => self.store.copy(account, from, to, uids).await,
            Kind::Move => self.store.move_messages(account, from, to, uids).await,
        };
        match copied {
            Ok(copied) => Ok(copy_uid(&copied)),
            // Which of the two went meanwhile, the news will tell; a client that makes the target does no harm.
            Err(refusal) => Err(reply::refused_target(&refusal)),
        }
    }

    /// The messages that a command names, after a look at what is new.
    pub(super) fn targets(
        &mut self,
        machine: &mut Server,
        set: &MessageSet,
        by: Numbering,
        access: Access,
    ) -> Result<UidSet, Reply> {
        // A deleted mailbox is met again, and told, at the end of the command.
        self.look();
        let Some(selected) = &mut self.selected else { return Err(reply::not_selected()) };
        selected.announce(machine);
        if access == Access::Write && selected.access == Access::Read {
            return Err(reply::read_only());
        }
        selected.resolve(set, by, &self.saved)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Copy,
    Move,
}

fn copy_uid(copied: &Copied) -> Option<ResponseCode> {
    let from: UidSet = copied.uids.iter().map(|(from, _)| *from).collect();
    let to: UidSet = copied.uids.iter().map(|(_, to)| *to).collect();
    (!from.is_empty()).then_some(ResponseCode::CopyUid { validity: copied.uid_validity, from, to })
}
