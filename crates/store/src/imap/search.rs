//! SEARCH, piece by piece (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5).

mod query;

use super::content::Reader;
use super::selected::{Access, Selected};
use super::{Doing, ImapSession, reply, sets, tell_with};
use crate::engine::{Refusal, Store};
use imap_proto::response::Esearch;
use imap_proto::search::{Search, SearchReturn};
use imap_proto::server::Server;
use imap_proto::{MessageSet, Numbering, Reply, Response, SequenceSet, Tag};
use mail_types::{AccountId, ModSeq, Uid, UidSet};
use mailbox::MessageRow;
use ports::Flow;
use query::{Query, Scope};

/// A SEARCH under way.
pub(super) struct Searching {
    tag: Tag,
    by: Numbering,
    returns: Option<SearchReturn>,
    query: Query,
    /// What can match at all.
    among: UidSet,
    /// The first message that was not looked at; none when all were.
    next: Option<Uid>,
    found: UidSet,
    modseqs: Option<ModSeqs>,
}

/// MODSEQs of what was found, for a search that asked by MODSEQ.
#[derive(Clone, Copy, Debug, Default)]
struct ModSeqs {
    first: Option<ModSeq>,
    last: Option<ModSeq>,
    highest: Option<ModSeq>,
}

impl ImapSession {
    pub(super) async fn search(&mut self, machine: &mut Server, tag: Tag, search: &Search) -> Flow {
        // A look at what is new; every message is a candidate.
        let all = MessageSet::Set(SequenceSet::from_numbers([]));
        if let Err(reply) = self.targets(machine, &all, Numbering::Uid, Access::Read) {
            return self.end(machine, reply);
        }
        let modseqs = search.key.uses_modseq().then(ModSeqs::default);
        if modseqs.is_some() {
            self.use_condstore(machine);
        }
        let now = self.store.now();
        let Some(selected) = &self.selected else { return self.end(machine, reply::not_selected()) };
        let scope = Scope { selected, saved: &self.saved, now };
        let query = Query::compile(&search.key, &scope);
        let there = selected.there();
        let among = sets::intersection(&there, &query.among(&there));
        if search.returns.is_some_and(|returns| returns.save) {
            // RFC 5182 §2.1: a search that fails leaves an empty result.
            self.saved = UidSet::new();
        }
        let mut searching = Searching {
            tag,
            by: search.by,
            // IMAP4rev2 knows ESEARCH only (RFC 9051 §7.3.4).
            returns: search
                .returns
                .or_else(|| self.enabled.rev2.then(|| SearchReturn { all: true, ..SearchReturn::default() })),
            query,
            among,
            next: Some(Uid::FIRST),
            found: UidSet::new(),
            modseqs,
        };
        if searching.query.holds_for_all() {
            searching.found = std::mem::take(&mut searching.among);
            searching.next = None;
        }
        self.search_on(machine, Box::new(searching))
    }

    pub(super) fn search_on(&mut self, machine: &mut Server, mut searching: Box<Searching>) -> Flow {
        let Some(selected) = &self.selected else { return self.end(machine, reply::not_selected()) };
        match searching.step(&self.store, self.who.account, selected) {
            Ok(true) => {
                self.doing = Doing::Search(searching);
                Flow::Again
            }
            Ok(false) => {
                if let Some(save) = searching.returns.filter(|returns| returns.save) {
                    self.saved = searching.saved(save);
                }
                searching.tell(machine, selected);
                self.finish(machine, Reply::ok("SEARCH completed"), tell_with(searching.by))
            }
            Err(refusal) => self.refuse(machine, &refusal),
        }
    }
}

impl Searching {
    /// Looks at a bounded number of messages; true when there are more.
    fn step(&mut self, store: &Store, account: AccountId, selected: &Selected) -> Result<bool, Refusal> {
        let mut rows_left = STEP_ROWS;
        let mut octets_left = STEP_TEXT_OCTETS;
        while let Some((from, last)) = self.next.and_then(|next| sets::range_from(&self.among, next)) {
            if rows_left == 0 || octets_left == 0 {
                return Ok(true);
            }
            let wanted = usize::try_from(sets::count_of((from, last))).unwrap_or(usize::MAX).min(rows_left);
            let rows = store.messages(account, selected.id, from, wanted)?;
            rows_left -= wanted;
            let full = rows.len() >= wanted;
            self.next = last.next();
            for (uid, row) in rows.iter().take_while(|(uid, _)| *uid <= last) {
                octets_left = octets_left.saturating_sub(self.look_at(store, account, selected, (*uid, row)));
                if octets_left == 0 || full {
                    self.next = uid.next();
                }
                if octets_left == 0 {
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Tests one message; gives how many octets were read for that.
    fn look_at(
        &mut self,
        store: &Store,
        account: AccountId,
        selected: &Selected,
        (uid, row): (Uid, &MessageRow),
    ) -> u64 {
        if let Some(holds) = self.query.holds(uid, row, None) {
            if holds {
                self.found(uid, row);
            }
            return 0;
        }
        match store.read(account, row) {
            Ok(text) => {
                if self.query.holds(uid, row, Some(&Reader::new(&text))) == Some(true) {
                    self.found(uid, row);
                }
            }
            // One message that cannot be read must not keep the others from being found.
            Err(refusal) => {
                if !matches!(store.message(account, selected.id, uid), Ok(None)) {
                    reply::log(&refusal);
                }
            }
        }
        row.size.max(1)
    }

    fn found(&mut self, uid: Uid, row: &MessageRow) {
        self.found.push(uid);
        if let Some(modseqs) = &mut self.modseqs {
            modseqs.first = modseqs.first.or(Some(row.modseq));
            modseqs.last = Some(row.modseq);
            modseqs.highest = modseqs.highest.max(Some(row.modseq));
        }
    }

    /// What `$` is afterwards (RFC 5182 §2.4).
    fn saved(&self, returns: SearchReturn) -> UidSet {
        if returns.all || returns.count || !(returns.min || returns.max) {
            return self.found.clone();
        }
        let min = self.found.ranges().first().map(|run| run.0).filter(|_| returns.min);
        let max = self.found.ranges().last().map(|run| run.1).filter(|_| returns.max);
        min.into_iter().chain(max).collect()
    }

    fn tell(&self, machine: &mut Server, selected: &Selected) {
        let Some(returns) = self.returns else {
            let numbers = match self.by {
                Numbering::Uid => self.found.iter().map(Uid::number).collect(),
                Numbering::Sequence => selected.seqs(&self.found).collect(),
            };
            let modseq = self.modseqs.and_then(|modseqs| modseqs.highest);
            return machine.send(&Response::Search(numbers, modseq));
        };
        // RFC 5182 §2.1: SAVE alone returns nothing.
        if !(returns.min || returns.max || returns.all || returns.count) {
            return;
        }
        let number = |uid: Uid| match self.by {
            Numbering::Uid => Some(uid.number()),
            Numbering::Sequence => selected.view.seq(uid).map(mail_types::SeqNum::number),
        };
        let ends = (self.found.ranges().first().map(|run| run.0), self.found.ranges().last().map(|run| run.1));
        machine.send(&Response::Esearch(Esearch {
            tag: Some(self.tag.clone()),
            uid: self.by == Numbering::Uid,
            min: ends.0.filter(|_| returns.min).and_then(number),
            max: ends.1.filter(|_| returns.max).and_then(number),
            all: returns.all.then(|| selected.numbers(&self.found, self.by)),
            count: returns.count.then(|| u32::try_from(self.found.len()).unwrap_or(u32::MAX)),
            modseq: self.modseqs.and_then(|modseqs| modseqs.told(returns)),
        }));
    }
}

impl ModSeqs {
    /// RFC 7162 §3.1.10: of all that is returned.
    fn told(self, returns: SearchReturn) -> Option<ModSeq> {
        match (returns.all || returns.count, returns.min, returns.max) {
            (true, _, _) => self.highest,
            (false, true, true) => self.first.max(self.last),
            (false, true, false) => self.first,
            (false, false, true) => self.last,
            (false, false, false) => None,
        }
    }
}

/// Rows of one step: one read.
const STEP_ROWS: usize = mailbox::index::ROWS_PER_READ_MAX;
/// Octets of messages that one step reads.
const STEP_TEXT_OCTETS: u64 = 4 << 20;
