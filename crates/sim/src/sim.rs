//! A run: lives of one store, and the ends of them.

use crate::chance::Chance;
use crate::client::Client;
use crate::host::{Host, WITH_QUOTA};
use crate::ledger::Ledger;
use crate::op::{Answer, Op, conforms};
use crate::scan::{Depth, dump, observe};
use crate::trouble::Trouble;
use crate::{Violation, hold, mail};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{OpenError, Store};

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
    /// Full or not full accounts that were asked to take one more message.
    pub quota_probes: u32,
    /// Messages brought again under their delivery id.
    pub repeated: u32,
}

/// Runs one seed on this thread.
pub(crate) fn run_here(seed: u64, tell: &dyn Fn(&str)) -> Result<Report, Violation> {
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
        steps: 0,
        safe: false,
        faults: BTreeSet::new(),
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

pub(crate) struct Sim<'a> {
    host: Host,
    pub(crate) chance: Chance,
    pub(crate) ledger: Ledger,
    clients: Vec<Client>,
    /// Of the last request.
    number: u64,
    /// Of the last message.
    pub(crate) mails: u32,
    epoch: u64,
    /// The highest epoch under which something was acknowledged.
    written_epoch: u64,
    /// Commits that the writer has made and nobody applied: the writer would block at eight.
    commits_waiting: u32,
    /// What may have come into the store's memory since it was last at rest.
    unsettled: u64,
    /// Steps of the store and of its clients in this life.
    steps: u64,
    /// Whether checkpoints go first, because memory is nearly full: apply would block.
    safe: bool,
    /// Faults that may still strike, or have struck since the machine was last in order.
    faults: BTreeSet<Trouble>,
    /// The state before an end that may change nothing.
    quiet: Option<Vec<String>>,
    pub(crate) report: Report,
    tell: &'a dyn Fn(&str),
}

impl Sim<'_> {
    fn life(&mut self) -> Result<(), Violation> {
        let Some(store) = self.start()? else { return Ok(()) };
        self.look_after_start(&store)?;
        let trouble = Trouble::draw(&mut self.chance);
        trouble.arm(&self.host, &mut self.chance);
        self.faults.extend(trouble.is_fault().then_some(trouble));
        (self.tell)(&format!("epoch {} lives until {trouble:?}", self.epoch));
        let acknowledged = self.ledger.acknowledged;
        self.steps = 0;
        for _ in 0..self.chance.between(50, 300) {
            self.tick(&store)?;
            self.check_steps()?;
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
                hold(self.is_in_trouble(), || format!("the store does not start: {error:?}"))?;
                (self.tell)(&format!("the start fails: {error:?}"));
                self.report.failed_starts += 1;
                let end = if self.chance.one_in(2) { Trouble::SyncFails } else { Trouble::PowerCut };
                self.end_nothing(end);
                Ok(None)
            }
        }
    }

    /// Whether a fault excuses what fails.
    fn is_in_trouble(&self) -> bool {
        !self.faults.is_empty()
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
            Err(error) => hold(self.is_in_trouble(), || format!("an older epoch is refused with {error:?}")),
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
        self.faults.clear();
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
        let end = trouble.end(&self.host, &mut self.chance);
        self.faults.retain(|fault| fault.outlives(end));
        (self.commits_waiting, self.unsettled, self.safe) = (0, 0, false);
        if let Some(trouble) = Trouble::draw_for_start(&mut self.chance) {
            trouble.arm_for_start(&self.host, &mut self.chance);
            self.faults.insert(trouble);
        }
    }

    fn tick(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        self.host.clock.advance(i64::from(self.chance.small(400_000)));
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
            15 => drop(self.step_checkpoint(store)),
            16 => self.look(store)?,
            17 => self.rare(store),
            _ => {}
        }
        Ok(())
    }

    /// What a client would see now.
    fn look(&mut self, store: &Store) -> Result<(), Violation> {
        let who = self.chance.account();
        if self.host.is_down() { Ok(()) } else { observe(store, &mut self.ledger, who, Depth::New) }
    }

    fn rare(&mut self, store: &Arc<Store>) {
        match self.chance.below(8) {
            0 => {
                let hours = i64::from(self.chance.small(61)) - 30;
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
        self.steps += 1;
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
                let mut others = Vec::new();
                let rows = store.for_each_message(mail::account(*who), *mailbox, uids, |uid, row| {
                    let ours = row.modseq <= modseq && !stored.modified.contains(uid);
                    if ours && !conforms(row.flags, *change, *flags) {
                        others.push(uid);
                    }
                });
                hold(rows.is_ok() && others.is_empty(), || format!("{:?} left other flags at {others:?}", client.op))
            }
            (Op::Create { who, name }, Answer::Done(Ok(()))) => {
                let made = store.mailbox_by_name(mail::account(*who), name).ok().flatten();
                hold(made.is_some(), || format!("{name} was created and is not there"))
            }
            _ => Ok(()),
        }
    }

    fn step_writer(&mut self, store: &Store) -> bool {
        if self.commits_waiting >= COMMITS_WAITING_MAX || !self.may_step() {
            return false;
        }
        let committed = store.step_writer();
        self.commits_waiting += u32::from(committed);
        committed
    }

    fn step_checkpoint(&mut self, store: &Store) -> bool {
        self.may_step() && store.step_checkpoint()
    }

    /// Counts a step of the store; no when it has had its share.
    fn may_step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= STEPS_MAX
    }

    fn step_apply(&mut self, store: &Store) -> bool {
        let applied = self.may_step() && store.step_apply();
        self.commits_waiting -= u32::from(applied);
        applied
    }

    /// One of each, checkpoints first; whether there was something to do.
    fn step_all(&mut self, store: &Store) -> bool {
        let mut worked = self.step_writer(store);
        if self.host.is_down() {
            return false;
        }
        while !self.host.is_down() && self.step_checkpoint(store) {
            worked = true;
        }
        if !self.host.is_down() {
            worked |= self.step_apply(store);
        }
        worked
    }

    fn check_steps(&self) -> Result<(), Violation> {
        hold(self.steps <= STEPS_MAX, || {
            let waiting: Vec<&Op> = self.clients.iter().map(|client| &client.op).collect();
            format!("no rest after {STEPS_MAX} steps of a life; waiting: {waiting:?}")
        })
    }

    /// Everybody is answered and everything applied.
    fn come_to_rest(&mut self, store: &Arc<Store>) -> Result<(), Violation> {
        let mut idle = 0;
        while idle < 3 {
            self.check_steps()?;
            let mut worked = self.step_all(store);
            if self.host.is_down() {
                return Ok(());
            }
            while self.clients.iter().any(Client::is_woken) {
                self.check_steps()?;
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
        if self.is_in_trouble() || self.host.is_down() {
            return Ok(());
        }
        self.report.quota_probes += 1;
        hold(taken == (used < limit), || format!("{used} messages of {limit}, one more was taken: {taken}"))
    }
}

/// Requests under way at once.
const CLIENT_COUNT_MAX: usize = 8;
/// Steps of a life: hundreds are usual, so whoever needs more turns in a circle.
const STEPS_MAX: u64 = 50_000;
/// A writer blocks when so many of its commits wait: here nobody would free it.
const COMMITS_WAITING_MAX: u32 = 7;
