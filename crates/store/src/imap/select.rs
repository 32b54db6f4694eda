//! Opening and closing mailboxes, and EXPUNGE (RFC 9051 §6.3.2, §6.3.3, §6.4.1 to §6.4.3).

use super::selected::{Access, Selected, Tell};
use super::{ImapSession, flags, reply, resync};
use crate::engine::Refusal;
use imap_proto::command::Select;
use imap_proto::response::ListItem;
use imap_proto::server::Server;
use imap_proto::{MessageSet, Numbering, Reply, Response, ResponseCode};
use mail_types::{SystemFlag, Uid, UidSet};
use mailbox::MailboxRow;
use ports::Flow;

impl ImapSession {
    pub(super) async fn select(&mut self, machine: &mut Server, select: &Select, access: Access) -> Flow {
        // RFC 7162 §3.2.5.
        if select.qresync.is_some() && !self.enabled.qresync {
            return self.end(machine, Reply::bad("QRESYNC is not enabled"));
        }
        // RFC 9051 §6.3.2: whatever comes of it, the mailbox that was open is closed.
        if self.forget_selected() {
            let closed = Reply::ok("The previous mailbox is closed").with(ResponseCode::Closed);
            machine.send(&Response::Untagged(closed));
        }
        // What changes from here on, the next look finds.
        self.watch.take();
        let opened = Selected::open(&self.store, self.who.account, &select.mailbox, access).await;
        let (mut selected, row) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.end(machine, reply::refused(&refusal)),
        };
        self.enabled.condstore |= select.condstore;
        if let Err(refusal) = self.tell_selected(machine, &selected, &row) {
            return self.end(machine, reply::refused(&refusal));
        }
        if let Some(known) = &select.qresync {
            let missed = resync::tell_missed(machine, &self.store, self.who.account, &mut selected, &row, known);
            if let Err(refusal) = missed {
                return self.end(machine, reply::refused(&refusal));
            }
        }
        self.stale = false;
        self.selected = Some(Box::new(selected));
        let (code, text) = match access {
            Access::Write => (ResponseCode::ReadWrite, "SELECT completed"),
            Access::Read => (ResponseCode::ReadOnly, "EXAMINE completed"),
        };
        let reply = Reply::ok(text).with(code);
        // Without QRESYNC there is nothing to tell that is not told.
        if select.qresync.is_some() { self.finish(machine, reply, Tell::NoExpunge) } else { self.end(machine, reply) }
    }

    fn tell_selected(&self, machine: &mut Server, selected: &Selected, row: &MailboxRow) -> Result<(), Refusal> {
        let mut told = |code, text| machine.send(&Response::Untagged(Reply::ok(text).with(code)));
        told(ResponseCode::UidValidity(row.uid_validity), "UIDs are valid");
        told(ResponseCode::UidNext(row.uid_next), "Next UID");
        // RFC 7162 §3.1.2.1: told with every SELECT.
        told(ResponseCode::HighestModSeq(row.modseq), "Highest");
        machine.send(&Response::Flags(flags::all(&selected.keywords)));
        machine.send(&Response::Untagged(selected.permanent_flags()));
        machine.send(&Response::Exists(selected.view.count()));
        if self.enabled.rev2 {
            machine.send(&Response::List(ListItem::new(&row.name, Vec::new())));
            return Ok(());
        }
        machine.send(&Response::Recent(0));
        if row.unseen > 0 {
            let rows = self.store.messages(self.account(), selected.id, Uid::FIRST, UNSEEN_ROWS_MAX)?;
            let first = rows.iter().find(|(_, row)| !row.flags.has(SystemFlag::Seen));
            if let Some(seq) = first.and_then(|(uid, _)| selected.view.seq(*uid)) {
                let code = ResponseCode::Unseen(seq);
                machine.send(&Response::Untagged(Reply::ok("First unseen").with(code)));
            }
        }
        Ok(())
    }

    /// Leaves the selected state; whether there was one.
    pub(super) fn forget_selected(&mut self) -> bool {
        self.saved = UidSet::new();
        self.selected.take().is_some()
    }

    pub(super) async fn close(&mut self, machine: &mut Server) -> Flow {
        let Some(selected) = &self.selected else { return self.end(machine, reply::not_selected()) };
        // RFC 9051 §6.4.1: nothing is told of what goes, and nothing goes under EXAMINE.
        let expunged = match selected.access {
            Access::Write => self.store.expunge(self.account(), selected.id, None).await,
            Access::Read => Ok(UidSet::new()),
        };
        let closed = match &expunged {
            Ok(gone) => self.with_modseq(Reply::ok("CLOSE completed"), gone),
            Err(_) => Reply::ok("CLOSE completed"),
        };
        self.forget_selected();
        match expunged {
            Ok(_) | Err(Refusal::NoMailbox) => self.end(machine, closed),
            Err(refusal) => self.end(machine, reply::refused(&refusal)),
        }
    }

    pub(super) fn unselect(&mut self, machine: &mut Server) -> Flow {
        if self.forget_selected() {
            self.end(machine, Reply::ok("UNSELECT completed"))
        } else {
            self.end(machine, reply::not_selected())
        }
    }

    /// EXPUNGE, or UID EXPUNGE of a set (RFC 4315 §2.1).
    pub(super) async fn expunge(&mut self, machine: &mut Server, set: Option<&MessageSet>) -> Flow {
        let Some(selected) = &self.selected else { return self.end(machine, reply::not_selected()) };
        if selected.access == Access::Read {
            return self.end(machine, reply::read_only());
        }
        let among = match set.map(|set| selected.resolve(set, Numbering::Uid, &self.saved)).transpose() {
            Ok(among) => among,
            Err(reply) => return self.end(machine, reply),
        };
        let expunged = self.store.expunge(self.account(), selected.id, among.as_ref()).await;
        self.stale = true;
        match expunged {
            Ok(gone) => {
                let reply = self.with_news_modseq(Reply::ok("EXPUNGE completed"), &gone);
                self.finish(machine, reply, Tell::All)
            }
            Err(refusal) => self.refuse(machine, &refusal),
        }
    }
}

/// How far the first unseen message is looked for: one read. Clients that need it search.
const UNSEEN_ROWS_MAX: usize = mailbox::index::ROWS_PER_READ_MAX;
