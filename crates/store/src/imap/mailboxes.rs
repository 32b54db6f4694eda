//! Making, renaming and deleting mailboxes (RFC 9051 §6.3.4 to §6.3.8).

use super::selected::Tell;
use super::{ImapSession, reply};
use crate::engine::Refusal;
use imap_proto::response::ListItem;
use imap_proto::server::Server;
use imap_proto::{Reply, Response, ResponseCode};
use mail_types::{MailboxName, SpecialUse};
use ports::Flow;

impl ImapSession {
    pub(super) async fn create(
        &mut self,
        machine: &mut Server,
        name: &MailboxName,
        given: Option<String>,
        uses: &[SpecialUse],
    ) -> Flow {
        let special_use = match uses {
            [] => None,
            [one] => Some(*one),
            // RFC 6154 §3: what cannot be honoured is refused.
            [_, _, ..] => {
                let refused = Reply::no("A mailbox has one special use").with(ResponseCode::UseAttr);
                return self.finish(machine, refused, Tell::All);
            }
        };
        let created = self.store.create_mailbox(self.account(), name, special_use).await.map(drop);
        if let (Ok(()), true, Some(given)) = (&created, self.enabled.rev2, given) {
            // RFC 9051 §6.3.4: the client is told by what name it will find it.
            let item = ListItem { old_name: Some(given.into()), ..ListItem::new(name, Vec::new()) };
            machine.send(&Response::List(item));
        }
        self.done(machine, created, "CREATE completed")
    }

    pub(super) async fn delete(&mut self, machine: &mut Server, name: &MailboxName) -> Flow {
        let open = self.store.mailbox_by_name(self.account(), name).ok().flatten().map(|(id, _)| id);
        let deleted = self.store.delete_mailbox(self.account(), name).await;
        let was_open = self.selected.as_ref().is_some_and(|selected| Some(selected.id) == open);
        if deleted.is_ok() && was_open {
            self.forget_selected();
            let closed = Reply::ok("The open mailbox was deleted").with(ResponseCode::Closed);
            machine.send(&Response::Untagged(closed));
        }
        self.done(machine, deleted, "DELETE completed")
    }

    pub(super) async fn rename(&mut self, machine: &mut Server, from: &MailboxName, to: &MailboxName) -> Flow {
        let renamed = self.store.rename_mailbox(self.account(), from, to).await;
        let told = match renamed {
            Ok(()) if self.enabled.rev2 && !from.is_inbox() => self.tell_renamed(machine, from, to),
            // Of INBOX only the messages moved.
            done => done,
        };
        self.done(machine, told, "RENAME completed")
    }

    pub(super) async fn subscribe(&mut self, machine: &mut Server, name: &MailboxName, subscribed: bool) -> Flow {
        let done = self.store.subscribe(self.account(), name, subscribed).await;
        let text = if subscribed { "SUBSCRIBE completed" } else { "UNSUBSCRIBE completed" };
        self.done(machine, done, text)
    }

    fn done(&mut self, machine: &mut Server, done: Result<(), Refusal>, text: &'static str) -> Flow {
        self.stale = true;
        let reply = match done {
            Ok(()) => Reply::ok(text),
            Err(refusal) => reply::refused(&refusal),
        };
        self.finish(machine, reply, Tell::All)
    }
}
