//! QRESYNC: what a client missed while it was away (RFC 7162 §3.2).
//!
//! The rows keep which UIDs vanished at which MODSEQ for as long as the mailbox is there, so the answer is exact, and what
//! the client says of its sequence numbers (§3.2.5.2), which helps servers that forget, is not needed.

use super::ImapSession;
use super::selected::{Look, Selected};
use super::sets;
use crate::engine::{Refusal, Store};
use imap_proto::command::Qresync;
use imap_proto::server::Server;
use imap_proto::{MessageSet, Reply, Response, ResponseCode};
use mail_types::{AccountId, ModSeq, Uid, UidSet};
use mailbox::MailboxRow;

/// Tells what vanished since the client was here, and owes it the flags of what came or changed (RFC 7162 §3.2.5.1). A
/// client of an earlier UIDVALIDITY knows nothing of this mailbox.
pub(super) fn tell_missed(
    machine: &mut Server,
    store: &Store,
    account: AccountId,
    selected: &mut Selected,
    row: &MailboxRow,
    known: &Qresync,
) -> Result<(), Refusal> {
    if known.validity != row.uid_validity {
        return Ok(());
    }
    let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
    let asked = known.known_uids.as_ref().unwrap_or(&all);
    let vanished = sets::intersection(&store.vanished_since(account, selected.id, known.modseq)?, asked);
    // What went since the view was read changes sequence numbers: that is news, not history.
    send_vanished(machine, &sets::difference(&vanished, selected.view.uids()), true);
    let changed = store.changed_since(account, selected.id, known.modseq)?;
    selected.owe(&sets::intersection(&changed, asked));
    Ok(())
}

/// `* VANISHED`, in lines of bounded length.
pub(super) fn send_vanished(machine: &mut Server, uids: &UidSet, earlier: bool) {
    for ranges in uids.ranges().chunks(RANGES_PER_LINE) {
        let uids = UidSet::from_ranges(ranges.iter().copied());
        machine.send(&Response::Vanished { earlier, uids });
    }
}

impl ImapSession {
    /// UID FETCH with CHANGEDSINCE and VANISHED: what went since, before what is there (RFC 7162 §3.2.6).
    pub(super) fn tell_vanished_earlier(
        &self,
        machine: &mut Server,
        set: &MessageSet,
        since: u64,
    ) -> Result<(), Refusal> {
        let Some(selected) = &self.selected else { return Ok(()) };
        let asked = match set {
            MessageSet::Saved => self.saved.clone(),
            // The highest messages may be what vanished, so `*` is the highest UID that there can be.
            MessageSet::Set(set) => set.uids(Some(Uid::MAX)),
        };
        let since = ModSeq::new(since).unwrap_or(ModSeq::FIRST);
        let vanished = self.store.vanished_since(self.account(), selected.id, since)?;
        let vanished = sets::difference(&sets::intersection(&vanished, &asked), selected.view.uids());
        send_vanished(machine, &vanished, true);
        Ok(())
    }

    /// A reply with HIGHESTMODSEQ, where something was expunged and all other news will be told before it (RFC 7162
    /// §3.2.7, §3.2.9; RFC 6851 §4.4 for MOVE).
    pub(super) fn with_news_modseq(&mut self, reply: Reply, gone: &UidSet) -> Reply {
        if !self.enabled.qresync || gone.is_empty() || self.look() == Look::Deleted {
            return reply;
        }
        let modseq = self.selected.as_ref().map(|selected| selected.modseq());
        modseq.map_or(reply.clone(), |modseq| reply.with(ResponseCode::HighestModSeq(modseq)))
    }

    /// The same for CLOSE, which tells no news (RFC 7162 §3.2.8): a MODSEQ that stands for changes of others too, which
    /// the client has not heard of, would hide them from it for ever. Then it keeps the one it has.
    pub(super) fn with_modseq(&mut self, reply: Reply, gone: &UidSet) -> Reply {
        if !self.enabled.qresync || gone.is_empty() {
            return reply;
        }
        self.stale = true;
        if self.look() == Look::Deleted {
            return reply;
        }
        match self.selected.as_ref().and_then(|selected| selected.told_but(gone)) {
            Some(modseq) => reply.with(ResponseCode::HighestModSeq(modseq)),
            None => reply,
        }
    }
}

/// At most 22 octets each, so that a line stays below the 8192 octets that RFC 7162 §4 has for the other direction.
const RANGES_PER_LINE: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use imap_proto::Limits;
    use machine::Machine as _;
    use std::sync::Arc;

    #[test]
    fn lines_have_an_end() {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone")]
        let mut machine = Server::new(Arc::new(Limits::default()), std::time::Instant::now());
        let high = (1..=700).filter_map(|n| Some((Uid::new(4_294_000_000 + 3 * n)?, Uid::new(4_294_000_001 + 3 * n)?)));
        send_vanished(&mut machine, &UidSet::from_ranges(high), true);
        send_vanished(&mut machine, &UidSet::new(), false);
        let mut answer = Vec::new();
        while let Some(piece) = machine.poll_output() {
            answer.extend_from_slice(&piece);
        }
        let text = String::from_utf8(answer).expect("ASCII");
        assert_eq!(text.matches(':').count(), 700);
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("* VANISHED (EARLIER) 429") && line.len() < 8192));
    }
}
