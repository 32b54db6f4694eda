//! A run: lives of one store, and the ends of them.

use crate::chance::Chance;
use crate::client::{Answer, Client, Op, conforms};
use crate::host::{Host, WITH_QUOTA};
use crate::ledger::{Fate, Ledger};
use crate::scan::{Depth, dump, observe};
use crate::trouble::Trouble;
use crate::{Violation, hold, mail};
use mail_types::{FlagSet, MailboxId, MailboxName, SystemFlag, Uid, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{FlagChange, OpenError, Store};

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The same for the same seed.
    pub trace: u64,
    /// How lives ended.
    pub ends: BTreeMap<Trouble, u32>,
    /// Starts that trouble ended.
    pub failed_starts: u32,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Messages that somebody had.
    pub messages: usize,
    /// Times that an older epoch was turned away.
    pub refused_epochs: u32,
    /// Messages brought again under their delivery id.
    pub repeated: u32,
}

/// Runs one seed; gives what happened, or which promise broke.
pub fn run(seed: u64) -> Result<Report, Violation> {
    run_aloud(seed, &|_| {})
}

/// As [`run`], and says what happens, line by line.
pub fn run_aloud(seed: u64, tell: &dyn Fn(&str)) -> Result<Report, Violation> {
    let mut chance = Chance::new(seed);
    let lives = chance.between(3, 5);
    let mut sim = Sim {
        host: Host::new(&mut chance),
        chance,
        ledger: Ledger::default(),
        clients: Vec::new(),
        number: 0,
        mails: 0,
        epoch: 1,
        written_epoch: 0,
        commits_waiting: 0,
        unsettled: 0,
        safe: false,
        in_trouble: false,
        quiet: None,
        report: Report::default(),
        tell,
    };
    for _ in 0..lives {
        sim.life()?;
    }
    sim.last_look()?;
    sim.report.trace = sim.report.trace.rotate_left(1) ^ sim.host.disk.trace();
    sim.report.acknowledged = sim.ledger.acknowledged;
    sim.report.messages = sim.ledger.message_count();
    Ok(sim.report)
}

struct Sim<'a> {
    host: Host,
    chance: Chance,
    ledger: Ledger,
    clients: Vec<Client>,
    /// Of the last request.
    number: u64,
    /// Of the last message.
    mails: u32,
    epoch: u64,
    /// The highest epoch under which something was acknowledged.
    written_epoch: u64,
    /// Commits that the writer has made and nobody applied: the writer would block at eight.
    commits_waiting: u32,
    /// What may have come into the store's memory since it was last at rest.
    unsettled: u64,
    /// Whether checkpoints go first, because memory is nearly full: apply would block.
    safe: bool,
    /// Whether a fault that was made ready may still strike, or has struck in this life.
    in_trouble: bool,
    /// The state before an end that may change nothing.
    quiet: Option<Vec<String>>,
    report: Report,
    tell: &'a dyn Fn(&str),
}

impl Sim<'_> {
    fn life(&mut self) -> Result<(), Violation> {
        let Some(store) = self.start()? else { return Ok(()) };
        self.look_after_start(&store)?;
        let trouble = Trouble::draw(&mut self.chance);
        trouble.arm(&self.host, &mut self.chance);
        self.in_trouble |= trouble != Trouble::Quiet;
        (self.tell)(&format!("epoch {} lives until {trouble:?}", self.epoch));
        let acknowledged = self.ledger.acknowledged;
        for _ in 0..self.chance.between(50, 300) {
            self.tick(&store)?;
            if self.host.is_down() {
                break;
            }
        }
        if trouble == Trouble::Quiet && !self.host.is_down() {
            self.come_to_rest(&store)?;
            if !self.host.is_down() {
                self.probe_quota(&store)?;
                self.quiet = Some(dump(&store)?);
            }
        }
        if self.ledger.acknowledged > acknowledged {
            self.written_epoch = self.epoch;
        }
        *self.report.ends.entry(trouble).or_default() += 1;
        self.end(store, trouble);
        Ok(())
    }

    /// Starts the store; nothing when trouble ended the start.
    fn start(&mut self) -> Result<Option<Arc<Store>>, Violation> {
        self.try_older_epoch()?;
        if self.chance.one_in(3) {
            self.epoch += 1;
        }
        match self.host.open(self.epoch) {
            Ok(store) if self.host.is_down() => {
                self.report.failed_starts += 1;
                self.end(store, Trouble::PowerCut);
                Ok(None)
            }
            Ok(store) => Ok(Some(store)),
            Err(error) => {
                hold(self.in_trouble, || format!("the store does not start: {error:?}"))?;
                (self.tell)(&format!("the start fails: {error:?}"));
                self.report.failed_starts += 1;
                let end = if self.chance.one_in(2) { Trouble::SyncFails } else { Trouble::PowerCut };
                self.end_nothing(end);
                Ok(None)
            }
        }
    }

    /// Promise 3: who has lost the right is refused where octets are stored.
    fn try_older_epoch(&mut self) -> Result<(), Violation> {
        if self.written_epoch < 2 || !self.chance.one_in(2) {
            return Ok(());
        }
        match self.host.open(self.written_epoch - 1) {
            Ok(_) => {
                Err(Violation(format!("epoch {} could open what {} wrote", self.written_epoch - 1, self.written_epoch)))
            }
            Err(OpenError::Journal(journal::OpenError::StaleEpoch { .. })) => {
                self.report.refused_epochs += 1;
                Ok(())
            }
            Err(error) => hold(self.in_trouble, || format!("an older epoch is refused with {error:?}")),
        }
    }

    fn look_after_start(&mut self, store: &Store) -> Result<(), Violation> {
        if let Some(before) = self.quiet.take() {
            let after = dump(store)?;
            let differs = before.iter().zip(&after).find(|(before, after)| before != after);
            hold(differs.is_none(), || format!("replay changed the state: {differs:?}"))?;
            hold(before.len() == after.len(), || format!("replay: {} lines became {}", before.len(), after.len()))?;
        }
        for who in 0..mail::ACCOUNT_COUNT {
            observe(store, &mut self.ledger, who, Depth::All)?;
        }
        self.ledger.conclude()
    }

    /// Without trouble, everything must be as it was told.
    fn last_look(&mut self) -> Result<(), Violation> {
        self.host.disk.crash();
        self.host.free_all();
        self.in_trouble = false;
        let store = self.host.open(self.epoch).map_err(|error| Violation(format!("the last start: {error:?}")))?;
        self.look_after_start(&store)
    }

    fn end(&mut self, store: Arc<Store>, trouble: Trouble) {
        self.clients.clear();
        self.ledger.abandon();
        drop(store);
        self.end_nothing(trouble);
    }

    fn end_nothing(&mut self, trouble: Trouble) {
        if trouble.end(&self.host, &mut self.chance) {
            self.in_trouble = false;
        }
        (self.commits_waiting, self.unsettled, self.safe) = (0, 0, false);
        if let Some(trouble) = Trouble::draw_for_start(&mut self.chance) {
            trouble.arm_for_start(&self.host, &mut self.chance);
            self.in_trouble = true;
        }
    }

    fn tick(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        self.host.clock.advance(i64::try_from(self.chance.below(400_000)).unwrap_or(0));
        if self.safe {
            if !self.step_all(store) {
                // What clients have still to write comes on top.
                self.unsettled = self.clients.iter().map(|client| client.op.weight()).sum();
                self.safe = self.unsettled >= self.host.options.checkpoint_octets;
            }
            if self.host.is_down() {
                return Ok(());
            }
        }
        match self.chance.below(18) {
            0..=4 => self.ask(store),
            5..=9 => self.poll_one(store)?,
            10..=12 => drop(self.step_writer(store)),
            13 | 14 if !self.safe => drop(self.step_apply(store)),
            15 => drop(store.step_checkpoint()),
            16 => observe_unless_down(&self.host, store, &mut self.ledger, self.chance.below(3))?,
            17 => self.rare(store),
            _ => {}
        }
        Ok(())
    }

    fn rare(&mut self, store: &Arc<Store>) {
        match self.chance.below(8) {
            0 => {
                let hours = i64::try_from(self.chance.below(61)).unwrap_or(0) - 30;
                (self.tell)(&format!("the clock jumps by {hours} hours"));
                self.host.clock.jump(hours * 3_600_000_000);
            }
            1 => store.write_out(),
            2 => self.host.free_all(),
            _ => {}
        }
    }

    fn ask(&mut self, store: &Arc<Store>) {
        if self.clients.len() >= CLIENT_COUNT_MAX {
            return;
        }
        let Some(op) = self.draw() else { return };
        self.number += 1;
        (self.tell)(&format!("{} {op:?} …", self.number));
        self.ledger.begin(self.number, &op);
        self.unsettled += op.weight();
        self.safe |= self.unsettled >= self.host.options.checkpoint_octets;
        self.clients.push(Client::new(store, self.number, op));
    }

    fn poll_one(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        let woken: Vec<usize> =
            self.clients.iter().enumerate().filter(|(_, client)| client.is_woken()).map(|(at, _)| at).collect();
        let Some(at) = self.chance.pick(&woken).copied() else { return Ok(()) };
        let Some(answer) = self.clients.get_mut(at).and_then(Client::poll) else { return Ok(()) };
        let client = self.clients.swap_remove(at);
        self.take(store, &client, &answer)
    }

    fn take(&mut self, store: &Arc<Store>, client: &Client, answer: &Answer) -> Result<(), Violation> {
        let label = format!("{} {:?} {answer:?}", client.number, client.op);
        self.report.trace = label
            .bytes()
            .fold(self.report.trace, |trace, octet| (trace ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
        (self.tell)(&label);
        let renamed = matches!(client.op, Op::Rename { .. });
        if renamed && !self.host.is_down() {
            // While it counts as under way: where the messages of an INBOX went is not told.
            observe(store, &mut self.ledger, client.op.who(), Depth::New)?;
        }
        self.ledger.answer(client.number, answer)?;
        if self.host.is_down() {
            return Ok(());
        }
        match (&client.op, answer) {
            (Op::Flags { who, mailbox, uids, change, flags, .. }, Answer::Flagged(Ok(stored))) => {
                let Some(modseq) = stored.modseq else { return Ok(()) };
                let rows = store.for_each_message(mail::account(*who), *mailbox, uids, |uid, row| {
                    let ours = row.modseq <= modseq && !stored.modified.contains(uid);
                    if ours && !conforms(row.flags, *change, *flags) {
                        self.report.trace = u64::MAX;
                    }
                });
                let conform = rows.is_ok() && self.report.trace != u64::MAX;
                hold(conform, || format!("{:?} left other flags: {answer:?}", client.op))
            }
            (Op::Create { who, name }, Answer::Done(Ok(()))) => {
                let made = store.mailbox_by_name(mail::account(*who), name).ok().flatten();
                hold(made.is_some(), || format!("{name} was created and is not there"))
            }
            _ => Ok(()),
        }
    }

    fn step_writer(&mut self, store: &Store) -> bool {
        if self.commits_waiting >= COMMITS_WAITING_MAX {
            return false;
        }
        let committed = store.step_writer();
        self.commits_waiting += u32::from(committed);
        committed
    }

    fn step_apply(&mut self, store: &Store) -> bool {
        let applied = store.step_apply();
        self.commits_waiting -= u32::from(applied);
        applied
    }

    /// One of each, checkpoints first; whether there was something to do.
    fn step_all(&mut self, store: &Store) -> bool {
        let mut worked = self.step_writer(store);
        if self.host.is_down() {
            return false;
        }
        while !self.host.is_down() && store.step_checkpoint() {
            worked = true;
        }
        if !self.host.is_down() {
            worked |= self.step_apply(store);
        }
        worked
    }

    /// Everybody is answered and everything applied.
    fn come_to_rest(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        let mut idle = 0;
        while idle < 3 {
            let mut worked = self.step_all(store);
            if self.host.is_down() {
                return Ok(());
            }
            while self.clients.iter().any(Client::is_woken) {
                self.poll_one(store)?;
                worked = true;
            }
            idle = if worked { 0 } else { idle + 1 };
        }
        (self.unsettled, self.safe) = (0, false);
        let waiting: Vec<&Op> = self.clients.iter().map(|client| &client.op).collect();
        hold(waiting.is_empty(), || format!("nobody wakes {waiting:?}"))
    }

    /// An account with room takes a message, and a full one does not.
    fn probe_quota(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        let Some(limit) = self.host.quota else { return Ok(()) };
        let row = store.account(mail::account(WITH_QUOTA)).ok().flatten();
        let used = row.map_or(0, |row| row.messages);
        self.mails += 1;
        let op = Op::Deliver { to: vec![WITH_QUOTA], mail: self.mails, octets: 10, with_id: false };
        self.number += 1;
        self.ledger.begin(self.number, &op);
        self.clients.push(Client::new(store, self.number, op));
        let before = self.ledger.acknowledged;
        self.come_to_rest(store)?;
        let taken = self.ledger.acknowledged > before;
        if self.in_trouble || self.host.is_down() {
            return Ok(());
        }
        hold(taken == (used < limit), || format!("{used} messages of {limit}, one more was taken: {taken}"))
    }

    fn draw(&mut self) -> Option<Op> {
        let who = u8::try_from(self.chance.below(u64::from(mail::ACCOUNT_COUNT))).ok()?;
        let kind = self.chance.below(20);
        if kind < 7 || !self.ledger.mailboxes.contains_key(&(who, MailboxId::INBOX)) {
            return Some(self.draw_delivery(who));
        }
        let here = self.ledger.mailboxes.range((who, MailboxId::INBOX)..=(who, MailboxId::new(u32::MAX)));
        let here: Vec<(MailboxId, MailboxName)> = here
            .filter(|(_, known)| known.fate == Fate::Present)
            .map(|((_, id), known)| (*id, known.name.clone()))
            .collect();
        let (mailbox, name) = if self.chance.one_in(2) {
            (MailboxId::INBOX, MailboxName::inbox())
        } else {
            self.chance.pick(&here)?.clone()
        };
        if kind >= 17 {
            return self.draw_structure(who, mailbox, name);
        }
        if kind < 9 {
            self.mails += 1;
            let octets = self.draw_octets();
            let flags = self.draw_flags();
            return Some(Op::Append { who, mailbox, mail: self.mails, octets, flags });
        }
        let uids = self.draw_uids(who, mailbox);
        if kind == 16 {
            let among = self.chance.one_in(2).then_some(uids);
            return Some(Op::Expunge { who, mailbox, among });
        }
        if uids.is_empty() {
            return None;
        }
        let (to, _) = self.chance.pick(&here)?.clone();
        Some(match kind {
            9 | 10 => Op::Copy { who, from: mailbox, to, uids },
            11 | 12 if to != mailbox => Op::Move { who, from: mailbox, to, uids },
            13 => Op::Remove { who, mailbox, uids },
            _ => {
                let change =
                    *self.chance.pick(&[FlagChange::Add, FlagChange::Add, FlagChange::Remove, FlagChange::Replace])?;
                let keyword = self.chance.one_in(4);
                Op::Flags { who, mailbox, uids, change, flags: self.draw_flags(), keyword }
            }
        })
    }

    fn draw_delivery(&mut self, who: u8) -> Op {
        if self.chance.one_in(4)
            && let Some(again) = self.ledger.unanswered.pop()
        {
            self.report.repeated += 1;
            if self.chance.one_in(3) {
                // And once more, though it may be answered this time.
                self.ledger.unanswered.push(again.clone());
            }
            return again;
        }
        self.mails += 1;
        let mut to = vec![who];
        if self.chance.one_in(3) {
            to.push((who + 1) % mail::ACCOUNT_COUNT);
        }
        let with_id = !self.chance.one_in(5);
        Op::Deliver { to, mail: self.mails, octets: self.draw_octets(), with_id }
    }

    fn draw_structure(&mut self, who: u8, mailbox: MailboxId, name: MailboxName) -> Option<Op> {
        if self.ledger.is_structure_busy(who) {
            return None;
        }
        let new = MailboxName::parse(self.chance.pick(&NAMES)?).expect("names of mailboxes");
        Some(match self.chance.below(8) {
            0..=2 => Op::Create { who, name: new },
            3 | 4 => Op::Rename { who, from: name, to: new },
            5 | 6 if mailbox != MailboxId::INBOX => Op::Delete { who, mailbox, name },
            _ => Op::Subscribe { who, name: new, subscribed: self.chance.one_in(2) },
        })
    }

    fn draw_octets(&mut self) -> usize {
        let octets = match self.chance.below(24) {
            0 => self.chance.between(200_000, 600_000),
            1 | 2 => self.chance.between(10_000, 60_000),
            _ => self.chance.below(3_000),
        };
        usize::try_from(octets).unwrap_or(0)
    }

    fn draw_flags(&mut self) -> FlagSet {
        let mut flags = FlagSet::EMPTY;
        for flag in [SystemFlag::Seen, SystemFlag::Deleted, SystemFlag::Flagged] {
            if self.chance.one_in(3) {
                flags = flags.with(FlagSet::system(flag));
            }
        }
        flags
    }

    fn draw_uids(&mut self, who: u8, mailbox: MailboxId) -> UidSet {
        let known = self.ledger.uids(who, mailbox);
        (0..self.chance.between(1, 4)).filter_map(|_| Uid::new(*self.chance.pick(&known)?)).collect()
    }
}

fn observe_unless_down(host: &Host, store: &Store, ledger: &mut Ledger, who: u64) -> Result<(), Violation> {
    let who = u8::try_from(who).unwrap_or(0);
    if host.is_down() { Ok(()) } else { observe(store, ledger, who, Depth::New) }
}

/// Requests under way at once.
const CLIENT_COUNT_MAX: usize = 8;
/// A writer blocks when so many of its commits wait: here nobody would free it.
const COMMITS_WAITING_MAX: u32 = 7;
/// What mailboxes are called; some lie in others.
const NAMES: [&str; 6] = ["work", "work/2026", "work/2026/q4", "play", "play/chess", "Größe"];
