//! LIST, LSUB and STATUS (RFC 9051 §6.3.9, §6.3.11, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

use super::selected::Tell;
use super::{ImapSession, reply};
use crate::engine::Refusal;
use imap_proto::list::{ListCommand, ListPattern, ListReturn, ListSelection, StatusItem};
use imap_proto::response::{ListAttribute, ListItem};
use imap_proto::server::Server;
use imap_proto::{Reply, Response};
use mail_types::{FlagSet, MailboxId, MailboxName, SystemFlag, Uid, UidSet};
use mailbox::MailboxRow;
use ports::Flow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// All names of an account. What is subscribed may have no mailbox.
struct Names {
    mailboxes: BTreeMap<MailboxName, (MailboxId, MailboxRow)>,
    subscribed: BTreeSet<MailboxName>,
}

impl ImapSession {
    pub(super) fn list(&mut self, machine: &mut Server, list: &ListCommand) -> Flow {
        if let [pattern] = list.patterns.as_slice()
            && pattern.asks_separator()
            && list.selection.is_none()
        {
            machine.send(&Response::List(ListItem::separator()));
            return self.finish(machine, Reply::ok("LIST completed"), Tell::All);
        }
        match self.list_names(machine, list) {
            Ok(()) => self.finish(machine, Reply::ok("LIST completed"), Tell::All),
            Err(refusal) => self.refuse(machine, &refusal),
        }
    }

    fn list_names(&self, machine: &mut Server, list: &ListCommand) -> Result<(), Refusal> {
        let names = self.names()?;
        let patterns: Vec<ListPattern> =
            list.patterns.iter().filter_map(|pattern| pattern.below(&list.reference)).collect();
        let selection = list.selection.unwrap_or_default();
        let returns = list.returns.clone().unwrap_or_default();
        let chosen = names.chosen(selection);
        let matches = |name: &&MailboxName| patterns.iter().any(|pattern| pattern.matches(name.as_str()));
        // RFC 5258 §3.1 RECURSIVEMATCH: also levels above what is selected, whether they are mailboxes or not; §3.5: unless
        // all of it is told itself.
        let above: BTreeSet<MailboxName> = match selection.recursive_match {
            true => chosen.iter().filter(|name| !matches(name)).flat_map(above).collect(),
            false => BTreeSet::new(),
        };
        for name in chosen.union(&above).filter(matches) {
            let item = names.item(name, selection, &returns);
            let child_info = if above.contains(name) { options(selection) } else { Vec::new() };
            machine.send(&Response::List(ListItem { child_info, ..item }));
            if let Some((id, row)) = names.mailboxes.get(name).filter(|_| !returns.status.is_empty()) {
                machine.send(&Response::Status(name.clone(), self.status_values(*id, row, &returns.status)?));
            }
        }
        Ok(())
    }

    /// Tells what was renamed, with its old names, to a client of IMAP4rev2 (RFC 9051 §6.3.6, §6.3.9.7).
    pub(super) fn tell_renamed(
        &self,
        machine: &mut Server,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), Refusal> {
        let names = self.names()?;
        for name in names.mailboxes.keys().filter(|name| *name == to || name.is_below(to)) {
            let item = names.item(name, ListSelection::default(), &ListReturn::default());
            let old_name = if name == to { Some(from.clone()) } else { name.rebased(to, from) };
            let old_name = old_name.map(|name| name.as_str().to_owned().into());
            machine.send(&Response::List(ListItem { old_name, ..item }));
        }
        Ok(())
    }

    /// LSUB: what is subscribed, and for `%` the levels above it (RFC 3501 §6.3.9).
    pub(super) fn lsub(&mut self, machine: &mut Server, reference: &str, pattern: &ListPattern) -> Flow {
        if pattern.asks_separator() {
            machine.send(&Response::Lsub(ListItem::separator()));
            return self.finish(machine, Reply::ok("LSUB completed"), Tell::All);
        }
        let names = match self.names() {
            Ok(names) => names,
            Err(refusal) => return self.refuse(machine, &refusal),
        };
        let Some(pattern) = pattern.below(reference) else {
            return self.finish(machine, Reply::ok("LSUB completed"), Tell::All);
        };
        // RFC 3501 §6.3.9: levels above what is subscribed are told for `%` only.
        let tells_levels = pattern.as_str().contains('%');
        let mut shown: BTreeMap<MailboxName, Vec<ListAttribute>> = BTreeMap::new();
        for name in &names.subscribed {
            if pattern.matches(name.as_str()) {
                let there = names.mailboxes.contains_key(name);
                shown.insert(name.clone(), if there { Vec::new() } else { vec![ListAttribute::NoSelect] });
            } else if let Some(above) = above(name).find(|above| tells_levels && pattern.matches(above.as_str())) {
                shown.entry(above).or_insert_with(|| vec![ListAttribute::NoSelect]);
            }
        }
        for (name, attributes) in &shown {
            machine.send(&Response::Lsub(ListItem::new(name, attributes.clone())));
        }
        self.finish(machine, Reply::ok("LSUB completed"), Tell::All)
    }

    pub(super) fn status(&mut self, machine: &mut Server, name: &MailboxName, items: &[StatusItem]) -> Flow {
        if items.contains(&StatusItem::HighestModSeq) {
            self.use_condstore(machine);
        }
        let found = self.store.mailbox_by_name(self.account(), name);
        let values = found
            .and_then(|found| found.ok_or(Refusal::NoMailbox))
            .and_then(|(id, row)| self.status_values(id, &row, items));
        let reply = match values {
            Ok(values) => {
                machine.send(&Response::Status(name.clone(), values));
                Reply::ok("STATUS completed")
            }
            Err(refusal) => reply::refused(&refusal),
        };
        self.finish(machine, reply, Tell::All)
    }

    fn status_values(
        &self,
        id: MailboxId,
        row: &MailboxRow,
        items: &[StatusItem],
    ) -> Result<Vec<(StatusItem, u64)>, Refusal> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let value = match item {
                StatusItem::Messages => u64::from(row.messages),
                StatusItem::Recent => 0,
                StatusItem::UidNext => u64::from(row.uid_next.number()),
                StatusItem::UidValidity => u64::from(row.uid_validity.number()),
                StatusItem::Unseen => u64::from(row.unseen),
                StatusItem::Deleted => u64::from(row.deleted),
                StatusItem::DeletedStorage => self.deleted_octets(id, row)?,
                StatusItem::Size => row.octets,
                StatusItem::HighestModSeq => row.modseq.number(),
                // Not offered: the limit is the connection's, which knows it.
                StatusItem::AppendLimit => continue,
            };
            values.push((*item, value));
        }
        Ok(values)
    }

    fn deleted_octets(&self, id: MailboxId, row: &MailboxRow) -> Result<u64, Refusal> {
        let mut octets = 0u64;
        if row.deleted > 0 {
            let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
            let deleted = FlagSet::system(SystemFlag::Deleted);
            self.store.for_each_message(self.account(), id, &all, |_, row| {
                octets = octets.saturating_add(if row.flags.contains(deleted) { row.size } else { 0 });
            })?;
        }
        Ok(octets)
    }

    fn names(&self) -> Result<Names, Refusal> {
        let mailboxes = self.store.mailboxes(self.account())?;
        Ok(Names {
            mailboxes: mailboxes.into_iter().map(|(id, row)| (row.name.clone(), (id, row))).collect(),
            subscribed: self.store.subscriptions(self.account())?.into_iter().collect(),
        })
    }
}

impl Names {
    /// What the selection itself holds for.
    fn chosen(&self, selection: ListSelection) -> BTreeSet<MailboxName> {
        let special = |name: &MailboxName| self.row(name).is_some_and(|row| row.special_use.is_some());
        let all = if selection.subscribed { self.subscribed.clone() } else { self.mailboxes.keys().cloned().collect() };
        all.into_iter().filter(|name| !selection.special_use || special(name)).collect()
    }

    /// What is told of a name.
    fn item(&self, name: &MailboxName, selection: ListSelection, returns: &ListReturn) -> ListItem {
        let row = self.row(name);
        let mut attributes = Vec::new();
        if row.is_none() {
            attributes.push(ListAttribute::NonExistent);
        }
        attributes.push(if self.has_children(name) {
            ListAttribute::HasChildren
        } else {
            ListAttribute::HasNoChildren
        });
        if (selection.subscribed || returns.subscribed) && self.subscribed.contains(name) {
            attributes.push(ListAttribute::Subscribed);
        }
        attributes.extend(row.and_then(|row| row.special_use).map(ListAttribute::SpecialUse));
        ListItem::new(name, attributes)
    }

    fn row(&self, name: &MailboxName) -> Option<&MailboxRow> {
        self.mailboxes.get(name).map(|(_, row)| row)
    }

    fn has_children(&self, name: &MailboxName) -> bool {
        // Between a name and those below it sort only those that begin with it: `a`, `a-b`, `a/b`.
        let after = self.mailboxes.range((Bound::Excluded(name), Bound::Unbounded)).map(|(other, _)| other);
        after.take_while(|other| other.as_str().starts_with(name.as_str())).any(|other| other.is_below(name))
    }
}

/// The selection options that a name below must fulfil, all of them (RFC 5258 §3.5, RFC 6154 §6).
fn options(selection: ListSelection) -> Vec<&'static str> {
    let named = [("SUBSCRIBED", selection.subscribed), ("SPECIAL-USE", selection.special_use)];
    named.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
}

/// The names of the levels above, the nearest first.
fn above(name: &MailboxName) -> impl Iterator<Item = MailboxName> + use<> {
    std::iter::successors(name.parent(), MailboxName::parent)
}
