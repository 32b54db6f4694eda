//! Stores in memory that do what they are told.

use super::site::looks;
use bytes::Bytes;
use journal::{Config, Durable, Start};
use mail_types::{DeliveryId, Epoch, Lsn, StoreName, UnixTime};
use ports::{BoxFuture, Delivery, DeliveryTransaction, Envelope, Receipt, Recipient};
use smtp_proto::Refusal;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

/// All stores of a site.
#[derive(Clone)]
pub(super) struct Stores {
    state: Arc<Mutex<State>>,
    proof: Durable<Lsn>,
}

#[derive(Default)]
struct State {
    /// What a store answers instead of yes: by store, verb and user (`*` where there is none).
    script: BTreeMap<(String, &'static str, String), Answer>,
    mail: Vec<Mail>,
    /// Transactions that were opened and neither committed nor dropped.
    open: usize,
    /// Copies that a store knew already by their delivery id.
    repeated: usize,
    writes: usize,
    /// Questions, by verb.
    asked: BTreeMap<&'static str, usize>,
    committing: usize,
    /// Nobody's commit is done before so many have begun.
    commits_meet: usize,
}

/// What a store does about a question.
#[derive(Clone)]
pub(super) enum Answer {
    No(Refusal),
    /// From the second time on.
    NoAgain(Refusal),
    Silence,
    /// Fewer outcomes than recipients.
    Short,
    /// It is stored, and the answer is lost.
    Mute,
    /// Yes, when it has been looked at so often.
    Slow(u64),
}

/// One recipient's copy.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) store: String,
    pub(super) recipient: Recipient,
    pub(super) envelope: Envelope,
    pub(super) text: Vec<u8>,
}

struct Transaction {
    stores: Stores,
    store: String,
    envelope: Envelope,
    recipients: Vec<Recipient>,
    text: Vec<u8>,
}

impl Stores {
    pub(super) fn new() -> Self {
        let disk = Arc::new(disk::SimDisk::new(1));
        let config =
            Config { segment_octets: 4 << 20, pending_octets_max: 2 << 20, low_water_octets: 0, ..Config::default() };
        let start = Start { epoch: Epoch::new(1), now: UnixTime::EPOCH, seed: 1, applied: Lsn::ZERO };
        let (journal, _writer) = journal::open(disk, &config, &start).expect("an empty disk is a new journal");
        Self { state: Arc::default(), proof: journal.durable() }
    }

    pub(super) fn script(&self, store: &str, verb: &'static str, user: &str, answer: Answer) {
        self.lock().script.insert((store.into(), verb, user.into()), answer);
    }

    /// From now on every store says yes.
    pub(super) fn recover(&self) {
        self.lock().script.clear();
    }

    pub(super) fn repeated(&self) -> usize {
        self.lock().repeated
    }

    pub(super) fn commits_meet(&self, count: usize) {
        self.lock().commits_meet = count;
    }

    pub(super) fn mail(&self) -> Vec<Mail> {
        self.lock().mail.clone()
    }

    pub(super) fn open_transactions(&self) -> usize {
        self.lock().open
    }

    pub(super) fn writes(&self) -> usize {
        self.lock().writes
    }

    /// How often stores were asked this.
    pub(super) fn asked(&self, verb: &'static str) -> usize {
        self.lock().asked.get(verb).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    /// What the script says to this question; `None` is yes.
    async fn ask(&self, store: &str, verb: &'static str, user: &str) -> Option<Answer> {
        let answer = {
            let mut state = self.lock();
            *state.asked.entry(verb).or_default() += 1;
            let key = (store.to_owned(), verb, user.to_owned());
            let answer = state.script.get(&key).cloned();
            if let Some(Answer::NoAgain(refusal)) = &answer {
                state.script.insert(key, Answer::No(refusal.clone()));
                return None;
            }
            answer
        };
        if matches!(answer, Some(Answer::Silence)) {
            std::future::pending::<()>().await;
        }
        if let Some(Answer::Slow(rest)) = answer {
            looks(rest).await;
        }
        answer
    }

    async fn permit(&self, store: &str, verb: &'static str, user: &str) -> Result<(), Refusal> {
        match self.ask(store, verb, user).await {
            Some(Answer::No(refusal)) => Err(refusal),
            Some(Answer::NoAgain(_) | Answer::Silence | Answer::Short | Answer::Mute | Answer::Slow(_)) | None => {
                Ok(())
            }
        }
    }

    async fn meet(&self) {
        self.lock().committing += 1;
        poll_fn(|_| {
            let state = self.lock();
            if state.committing < state.commits_meet { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Delivery for Stores {
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, Refusal>> {
        Box::pin(async move {
            self.permit(store.as_str(), "opens", "*").await?;
            self.lock().open += 1;
            let (stores, store) = (self.clone(), store.to_string());
            let transaction = Transaction { stores, store, envelope, recipients: Vec::new(), text: Vec::new() };
            Ok(Box::new(transaction) as Box<dyn DeliveryTransaction>)
        })
    }

    fn trouble(&self, store: &StoreName) -> Option<String> {
        Some(format!("the host of {store} is on fire"))
    }
}

impl DeliveryTransaction for Transaction {
    fn rcpt(&mut self, recipient: Recipient) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.stores.permit(&self.store, "takes", recipient.address.local().as_str()).await?;
            self.recipients.push(recipient);
            Ok(())
        })
    }

    fn has_failed(&self) -> bool {
        self.stores.lock().script.contains_key(&(self.store.clone(), "fails", "*".to_owned()))
    }

    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.stores.lock().writes += 1;
            self.stores.permit(&self.store, "writes", "*").await?;
            self.text.extend_from_slice(&chunk);
            Ok(())
        })
    }

    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Vec<Result<Receipt, Refusal>>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            self.stores.meet().await;
            let mut outcomes = Vec::new();
            for recipient in &self.recipients {
                let user = recipient.address.local().as_str();
                match self.stores.ask(&self.store, "commits", user).await {
                    Some(Answer::No(refusal)) => outcomes.push(Err(refusal)),
                    Some(Answer::Short) => {}
                    Some(Answer::Mute) => {
                        self.store(recipient);
                        std::future::pending::<()>().await;
                    }
                    Some(Answer::NoAgain(_) | Answer::Silence | Answer::Slow(_)) | None => {
                        self.store(recipient);
                        outcomes.push(Ok(Receipt::Here(self.stores.proof)));
                    }
                }
            }
            outcomes
        })
    }
}

impl Transaction {
    /// As a store does it: a delivery id that it knows is not stored again.
    fn store(&self, recipient: &Recipient) {
        let (store, envelope, text) = (self.store.clone(), self.envelope.clone(), self.text.clone());
        let mut state = self.stores.lock();
        let known = |mail: &Mail| mail.envelope.id == envelope.id && mail.recipient.account == recipient.account;
        if state.mail.iter().any(known) {
            state.repeated += 1;
        } else {
            state.mail.push(Mail { store, recipient: recipient.clone(), envelope, text });
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.stores.lock().open -= 1;
    }
}

impl Mail {
    /// `store/user`.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.store, self.recipient.address.local())
    }

    pub(super) fn id(&self) -> DeliveryId {
        self.envelope.id.expect("the relay names every message")
    }

    /// The Received header that the relay added, and the message as it was sent.
    pub(super) fn split(&self) -> (String, Vec<u8>) {
        // The date ends it; what follows may begin with white space and still be the sender's.
        let date = b"+0000\r\n";
        let at = self.text.windows(date.len()).position(|w| w == date).expect("a date");
        let end = at + date.len();
        (String::from_utf8_lossy(&self.text[..end]).into_owned(), self.text[end..].to_vec())
    }
}
