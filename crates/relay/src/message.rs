//! One message on its way to the stores of its recipients.

use crate::Relay;
use crate::received::{Hops, Looping};
use crate::resolve::{Destination, Make};
use crate::retry::{Held, Owed};
use crate::stored::{Proof, Stored, Unproven, worst};
use crate::together::{all, within};
use bytes::Bytes;
use directory::Existence;
use mail_types::{AccountId, Address, DeliveryId, EnhancedCode, ForwardPath, StoreName};
use ports::{BoxFuture, DeliveryTransaction, Envelope, Receipt, Recipient};
use smtp_proto::{Dialect, Mail, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A message from MAIL to its end. Dropped before that, it leaves nothing anywhere.
pub(crate) struct Message {
    id: DeliveryId,
    envelope: Envelope,
    smtputf8: bool,
    /// One for each store.
    legs: Vec<Leg>,
    /// The accounts that get it, each with its leg.
    reached: BTreeMap<AccountId, usize>,
    /// Who was accepted; the server bounds their number.
    recipients: Vec<Promised>,
    hops: Hops,
    octets: u64,
    /// Its octets until every store has answered, where there is a queue.
    held: Option<Held>,
    /// Why it goes nowhere; said at its end.
    failed: Option<Refusal>,
}

/// A recipient that was accepted.
pub(crate) struct Promised {
    /// As the sender named it.
    pub(crate) to: ForwardPath,
    /// The accounts behind it, each once. An account may be behind several recipients.
    accounts: Vec<AccountId>,
}

/// Why a recipient is not taken, and whose matter that is.
#[derive(Debug)]
pub(crate) struct NotTaken {
    pub(crate) refusal: Refusal,
    /// The store that was to take him; nothing where it did not come so far.
    pub(crate) store: Option<StoreName>,
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, store: None }
    }
}

/// A message's way to one store.
struct Leg {
    store: StoreName,
    make: Make,
    /// Who was accepted there, in order: the store answers in that order.
    recipients: Vec<Recipient>,
    way: Way,
}

enum Way {
    Open(Box<dyn DeliveryTransaction>),
    /// The store failed us; nobody of this leg gets the message.
    Out(Refusal),
}

impl Message {
    pub(crate) fn new(relay: &Relay, id: DeliveryId, mail: Mail) -> Self {
        Self {
            id,
            held: relay.queue.clone().map(Held::new),
            envelope: Envelope { from: mail.from, id: Some(id), size: mail.size },
            smtputf8: mail.smtputf8,
            legs: Vec::new(),
            reached: BTreeMap::new(),
            recipients: Vec::new(),
            hops: Hops::new(),
            octets: 0,
            failed: None,
        }
    }

    pub(crate) fn id(&self) -> DeliveryId {
        self.id
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(crate) fn smtputf8(&self) -> bool {
        self.smtputf8
    }

    pub(crate) fn recipients(&self) -> &[Promised] {
        &self.recipients
    }

    /// The recipient, if there is one only.
    pub(crate) fn only(&self) -> Option<&Address> {
        match self.recipients.as_slice() {
            [Promised { to: ForwardPath::Address(only), .. }] => Some(only),
            [] | [Promised { to: ForwardPath::Postmaster, .. }] | [_, _, ..] => None,
        }
    }

    pub(crate) fn accounts(&self) -> usize {
        self.reached.len()
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Adds a recipient: all accounts behind it, or none.
    pub(crate) async fn rcpt(&mut self, relay: &Relay, to: ForwardPath) -> Result<(), NotTaken> {
        let kept: Vec<usize> = self.legs.iter().map(|leg| leg.recipients.len()).collect();
        let destinations = relay.resolve(&to)?;
        let mut accounts: Vec<AccountId> = destinations.iter().map(|found| found.recipient.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let promised: usize = self.recipients.iter().map(|recipient| recipient.accounts.len()).sum();
        if promised + accounts.len() > PROMISE_COUNT_MAX {
            return Err(Refusal::TOO_MANY_RECIPIENTS.into());
        }
        // One after the other: most recipients are one account, and a store that was opened answers from memory.
        for destination in destinations {
            let store = destination.store.clone();
            if let Err(refusal) = self.add(relay, destination).await {
                self.take_back(relay, &kept).await;
                return Err(NotTaken { refusal, store: Some(store) });
            }
        }
        self.recipients.push(Promised { to, accounts });
        Ok(())
    }

    /// Why the message cannot go on, if no store is left for it that takes it now or may take it from the queue.
    pub(crate) fn dead_end(&self, relay: &Relay) -> Option<Refusal> {
        let why = |leg: &Leg| leg.may_get(relay).err();
        self.legs.iter().map(why).collect::<Option<Vec<_>>>().map(worst)
    }

    /// Passes the header that we add.
    pub(crate) async fn stamp(&mut self, relay: &Relay, header: String) {
        self.write(relay, &Bytes::from(header)).await;
    }

    /// Passes the next octets of the message.
    pub(crate) async fn body(&mut self, relay: &Relay, chunk: &Bytes) {
        self.octets = self.octets.saturating_add(u64::try_from(chunk.len()).expect("a length fits 64 bits"));
        if self.failed.is_some() {
            return;
        }
        match self.hops.take(chunk) {
            Looping::Yes => {
                self.failed = Some(LOOP);
                self.legs.clear();
                self.held = None;
            }
            Looping::No => self.write(relay, chunk).await,
        }
    }

    /// The message is complete: every store makes it durable, side by side. Gives an answer for all recipients together
    /// (SMTP), or one for each in their order (LMTP).
    ///
    /// Where there is a queue, it takes over what an answer would have to leave open: accounts that share one with
    /// others who have the message, and those whose store keeps silent.
    pub(crate) async fn finish(self, relay: &Relay, dialect: Dialect) -> Vec<Result<Stored, Unproven>> {
        let Self { id, envelope, legs, reached, recipients, held, failed, .. } = self;
        // Whose outcomes make one answer.
        let answers: Vec<Vec<AccountId>> = match dialect {
            Dialect::Smtp => vec![reached.into_keys().collect()],
            // RFC 2033 §4.2.
            Dialect::Lmtp => recipients.into_iter().map(|recipient| recipient.accounts).collect(),
        };
        if let Some(refusal) = failed {
            return answers.iter().map(|_| Err(Unproven::Nobody(refusal.clone()))).collect();
        }
        let commits = legs.into_iter().map(|leg| Box::pin(leg.commit(relay)) as BoxFuture<'_, Vec<Outcome>>).collect();
        let outcomes = all(commits).await.into_iter().flatten();
        let mut outcomes: Outcomes = outcomes.map(|outcome| (outcome.recipient.account, outcome)).collect();
        outcomes.values().for_each(|outcome| outcome.note(id));
        if let Some(held) = held {
            queue_the_rest(relay, id, envelope, held, &answers, &mut outcomes).await;
        }
        answers.iter().map(|accounts| Stored::of(accounts.len(), outcomes_of(accounts, &outcomes))).collect()
    }

    /// All stores take it at once. The slowest sets the pace: a piece is let go when everybody has it.
    async fn write(&mut self, relay: &Relay, chunk: &Bytes) {
        if let Some(held) = &mut self.held {
            held.take(chunk).await;
        }
        let mut writes: Vec<BoxFuture<'_, ()>> = Vec::with_capacity(self.legs.len());
        for leg in &mut self.legs {
            writes.push(Box::pin(leg.write(relay, chunk.clone())));
        }
        all(writes).await;
    }

    async fn add(&mut self, relay: &Relay, destination: Destination) -> Result<(), Refusal> {
        let Destination { store, make, recipient, existence } = destination;
        let account = recipient.account;
        if let Some(leg) = self.reached.get(&account).and_then(|at| self.legs.get(*at)) {
            return leg.may_get(relay);
        }
        if self.reached.len() >= ACCOUNT_COUNT_MAX {
            return Err(Refusal::TOO_MANY_RECIPIENTS);
        }
        let voucher = relay.voucher(&store, &recipient, existence)?;
        let found = self.legs.iter().position(|leg| leg.store == store);
        let at = match found {
            Some(at) => at,
            None => {
                let way = match open(relay, &store, &self.envelope).await {
                    Ok(transaction) => Way::Open(transaction),
                    // Somebody knows the recipient: the message can wait for the store here.
                    Err(refusal) if relay.can_wait(&refusal) && voucher != Voucher::Nobody => Way::Out(refusal),
                    Err(refusal) => return Err(refusal),
                };
                self.legs.push(Leg { store, make, recipients: Vec::new(), way });
                self.legs.len() - 1
            }
        };
        let leg = self.legs.get_mut(at).expect("it was found, or pushed, just now");
        leg.rcpt(relay, recipient, voucher).await?;
        self.reached.insert(account, at);
        Ok(())
    }

    /// Forgets the accounts that came after the first `kept` of each leg. A transaction cannot lose a recipient, so those
    /// that have too many begin again.
    async fn take_back(&mut self, relay: &Relay, kept: &[usize]) {
        self.legs.truncate(kept.len());
        for (leg, kept) in self.legs.iter_mut().zip(kept) {
            if leg.recipients.len() > *kept {
                leg.recipients.truncate(*kept);
                leg.begin_again(relay, &self.envelope).await;
            }
        }
        let legs = &self.legs;
        self.reached.retain(|account, at| {
            legs.get(*at).is_some_and(|leg| leg.recipients.iter().any(|recipient| recipient.account == *account))
        });
    }
}

impl Leg {
    /// Whether those of this leg may still get the message: now, or from the queue.
    fn may_get(&self, relay: &Relay) -> Result<(), Refusal> {
        match &self.way {
            Way::Open(_) => Ok(()),
            Way::Out(refusal) if relay.can_wait(refusal) => Ok(()),
            Way::Out(refusal) => Err(refusal.clone()),
        }
    }

    async fn rcpt(&mut self, relay: &Relay, recipient: Recipient, voucher: Voucher) -> Result<(), Refusal> {
        self.may_get(relay)?;
        if let Way::Open(transaction) = &mut self.way {
            let answer = relay.ask(transaction.rcpt(recipient.clone())).await;
            // A refused MAIL is every recipient's refusal, and no word about this one.
            let is_his = answer.is_ok() || !transaction.has_failed();
            if voucher != Voucher::Directory && is_his {
                relay.note(&self.store, &recipient, &answer);
            }
            match answer {
                Ok(()) => {
                    self.recipients.push(recipient);
                    return Ok(());
                }
                Err(refusal) if relay.can_wait(&refusal) => self.way = Way::Out(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        match &self.way {
            Way::Out(refusal) if voucher == Voucher::Nobody => return Err(refusal.clone()),
            Way::Out(_) | Way::Open(_) => {}
        }
        self.recipients.push(recipient);
        Ok(())
    }

    /// A store that no longer takes those whom it had taken is out: they were told 250, and hear of it at the end.
    async fn begin_again(&mut self, relay: &Relay, envelope: &Envelope) {
        // What the old transaction holds at the store goes first.
        self.way = Way::Out(Refusal::TRY_LATER);
        self.way = match self.reopened(relay, envelope).await {
            Ok(transaction) => Way::Open(transaction),
            Err(refusal) => Way::Out(refusal),
        };
    }

    async fn reopened(&mut self, relay: &Relay, envelope: &Envelope) -> Result<Box<dyn DeliveryTransaction>, Refusal> {
        let mut transaction = open(relay, &self.store, envelope).await?;
        for recipient in &self.recipients {
            relay.ask(transaction.rcpt(recipient.clone())).await?;
        }
        Ok(transaction)
    }

    async fn write(&mut self, relay: &Relay, chunk: Bytes) {
        let Way::Open(transaction) = &mut self.way else { return };
        if let Err(refusal) = relay.ask(transaction.write(chunk)).await {
            tracing::warn!(store = %self.store, reply = %refusal, "a store gave up in the middle of a message");
            self.way = Way::Out(refusal);
        }
    }

    /// An outcome for each recipient. What a store leaves unanswered is no promise.
    async fn commit(self, relay: &Relay) -> Vec<Outcome> {
        let owed = self.recipients.len();
        let mut answers = match self.way {
            Way::Out(refusal) => vec![Err(refusal); owed],
            Way::Open(transaction) => {
                match within(&*relay.clock, relay.patience_at_end(self.make), transaction.commit()).await {
                    Some(answers) => answers,
                    None => vec![Err(SILENT); owed],
                }
            }
        };
        if answers.len() != owed {
            // Whose answer is missing, nobody can say.
            answers = vec![Err(Refusal::TRY_LATER); owed];
        }
        if let Some(queue) = relay.queue.as_ref().filter(|_| answers.iter().any(Result::is_ok)) {
            queue.store_answers(&self.store);
        }
        let outcome = |(recipient, answer): (Recipient, Result<Receipt, Refusal>)| {
            let (store, make) = (self.store.clone(), self.make);
            Outcome { store, make, recipient, answer: answer.map(Proof::Store).map_err(passed_on) }
        };
        self.recipients.into_iter().zip(answers).map(outcome).collect()
    }
}

/// What came of one recipient.
struct Outcome {
    store: StoreName,
    make: Make,
    recipient: Recipient,
    answer: Result<Proof, Refusal>,
}

impl Outcome {
    /// For who follows a message from hop to hop: a store of ours has a line with the same id. One of another make has a name
    /// of its own for it, which is in its reply alone, so that this line is not only for who looks closely.
    fn note(&self, id: DeliveryId) {
        let Self { store, make, recipient, answer } = self;
        let account = &recipient.address;
        match (answer, make) {
            (Ok(proof), Make::Another) => {
                tracing::info!(%id, %store, %account, reply = proof.said(), "the store has it");
            }
            (Ok(proof), Make::Ours) => tracing::debug!(%id, %store, %account, reply = proof.said(), "the store has it"),
            (Err(reply), _) => tracing::debug!(%id, %store, %account, %reply, "the store has it not"),
        }
    }
}

/// What came of each account.
type Outcomes = BTreeMap<AccountId, Outcome>;

/// What came of these, as far as it is known.
fn outcomes_of(accounts: &[AccountId], outcomes: &Outcomes) -> Vec<Result<Proof, Refusal>> {
    accounts.iter().filter_map(|account| outcomes.get(account)).map(|outcome| outcome.answer.clone()).collect()
}

/// Those who are to wait for their store: who have not got it, and share an answer with others who have it or of whom
/// nobody knows. Where all have answered and nobody has it, the sender hears why, and nothing waits.
fn owed(answers: &[Vec<AccountId>], outcomes: &Outcomes) -> BTreeSet<AccountId> {
    let has_none = |account: &&AccountId| outcomes.get(*account).is_some_and(|outcome| outcome.answer.is_err());
    let waits = |accounts: &&Vec<AccountId>| {
        outcomes_of(accounts, outcomes).iter().any(|answer| answer.as_ref().map_or_else(is_unanswered, |_| true))
    };
    answers.iter().filter(waits).flat_map(|accounts| accounts.iter().filter(has_none)).copied().collect()
}

/// Those who are owed it wait in the queue; where it does not take them, their outcomes stay as they are.
async fn queue_the_rest(
    relay: &Relay,
    id: DeliveryId,
    envelope: Envelope,
    held: Held,
    answers: &[Vec<AccountId>],
    outcomes: &mut Outcomes,
) {
    let owed = owed(answers, outcomes);
    let (mut waiting, mut silent) = (Vec::new(), BTreeSet::new());
    let queue = held.queue();
    for Outcome { store, recipient, answer, .. } in owed.iter().filter_map(|account| outcomes.get(account)) {
        let Err(refusal) = answer else { continue };
        let rcpt = &recipient.recipient;
        let refused = match refusal.reply().code().is_transient() {
            true => {
                let why = relay.trouble(store, refusal);
                tracing::info!(%id, %store, %rcpt, reply = %refusal, why, "to the retry queue");
                None
            }
            // As of one whom it refuses there: the sender hears 250, and there are no bounces yet.
            false => {
                tracing::warn!(%id, %store, %rcpt, reply = %refusal, "refused for good, and others have it or may have it; to the retry queue");
                Some(queue::kept(&refusal.to_string()))
            }
        };
        if is_unanswered(refusal) {
            silent.insert(store.clone());
        }
        let Recipient { account, address, recipient } = recipient.clone();
        let recipient = queue::Recipient { store: store.clone(), account, address, recipient };
        waiting.push(Owed { recipient, refused });
    }
    if waiting.is_empty() {
        return;
    }
    match held.keep(id, envelope.from, waiting).await {
        Ok(proof) => {
            // Not before they wait: the next message that a store takes finds them.
            silent.iter().for_each(|store| queue.store_is_silent(store));
            for (_, outcome) in outcomes.iter_mut().filter(|(account, _)| owed.contains(account)) {
                outcome.answer = Ok(Proof::Queue(proof));
            }
        }
        Err(why) => tracing::warn!(%id, %why, "the retry queue does not take a message"),
    }
}

/// Who says that a recipient exists, before his store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voucher {
    /// He may wait for his store.
    Directory,
    /// His store did, not long ago: likewise.
    Store,
    /// Only his store's own word counts.
    Nobody,
}

impl Relay {
    /// Who vouches for a recipient; `Err` is what his store said of him a moment ago.
    fn voucher(
        &self,
        store: &StoreName,
        Recipient { recipient, .. }: &Recipient,
        existence: Existence,
    ) -> Result<Voucher, Refusal> {
        if existence == Existence::Known {
            return Ok(Voucher::Directory);
        }
        let now = self.clock.instant();
        if let Some(refusal) = self.asked.was_refused(store, recipient, now) {
            return Err(refusal);
        }
        Ok(if self.asked.was_there(store, recipient, now) { Voucher::Store } else { Voucher::Nobody })
    }

    /// Remembers what a store said of somebody whom nobody else knows.
    fn note(&self, store: &StoreName, Recipient { recipient, .. }: &Recipient, answer: &Result<(), Refusal>) {
        let now = self.clock.instant();
        match answer {
            Ok(()) => self.asked.is_there(store, recipient, now),
            Err(refusal) => self.asked.is_refused(store, recipient, now, refusal),
        }
    }

    /// A store's answer while a sender waits, or that it gives none.
    async fn ask<T: Send>(&self, answer: BoxFuture<'_, Result<T, Refusal>>) -> Result<T, Refusal> {
        self.ask_for(self.patience(), answer).await
    }

    /// A store's answer, or that it gives none in that time.
    pub(crate) async fn ask_for<T: Send>(
        &self,
        wait: Duration,
        answer: BoxFuture<'_, Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        within(&*self.clock, wait, answer).await.unwrap_or(Err(SILENT)).map_err(passed_on)
    }

    /// What is the matter with a store of which this is said because nobody there has answered: for log lines.
    pub(crate) fn trouble(&self, store: &StoreName, refusal: &Refusal) -> Option<String> {
        if is_unanswered(refusal) { self.delivery.trouble(store) } else { None }
    }

    /// Whether mail for a store that says this can wait in the queue.
    fn can_wait(&self, refusal: &Refusal) -> bool {
        self.queue.is_some() && is_unanswered(refusal)
    }
}

async fn open(relay: &Relay, store: &StoreName, envelope: &Envelope) -> Result<Box<dyn DeliveryTransaction>, Refusal> {
    relay.ask(relay.delivery.open(store, envelope.clone())).await
}

/// A store that closes its own connection says nothing about the sender's.
pub(crate) fn passed_on(refusal: Refusal) -> Refusal {
    if refusal.closes() { Refusal::TRY_LATER } else { refusal }
}

/// Whether nobody at the store has answered: RFC 3463 §3.5, X.4.1 (no answer from host) and X.4.2 (bad connection).
pub(crate) fn is_unanswered(refusal: &Refusal) -> bool {
    let reply = refusal.reply();
    let codes = [EnhancedCode::new(4, 4, 1), EnhancedCode::new(4, 4, 2)];
    reply.code().is_transient() && reply.enhanced().is_some_and(|enhanced| codes.contains(&enhanced))
}

/// RFC 3463 §3.5, X.4.6 (routing loop).
const LOOP: Refusal = Refusal::of(554, (5, 4, 6), "Too many Received headers: this message goes round in circles");
/// RFC 3463 §3.5, X.4.1 (no answer from host).
pub(crate) const SILENT: Refusal = Refusal::of(451, (4, 4, 1), "The store does not answer, try again later");
/// Accounts of one message. The server takes 1000 recipients, and an alias may stand for as many; each has a record.
const ACCOUNT_COUNT_MAX: usize = 10_000;
/// Accounts of all recipients together, where one account may be behind many: what answering each by itself must remember.
const PROMISE_COUNT_MAX: usize = 100_000;
