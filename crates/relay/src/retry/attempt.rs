//! Trying again.

use super::{EPOCH, NotQueued, RetryQueue, State, journal_kind};
use crate::Relay;
use crate::message::{SILENT, is_unanswered, passed_on};
use crate::resolve::Make;
use crate::stored::said;
use crate::together::within;
use directory::is_stand_in;
use journal::{Append, Space, StreamId};
use mail_types::{Lsn, StoreName, UnixTime};
use ports::{DeliveryTransaction, Envelope};
use queue::{Entry, Outcome, QueueId, Record, Waiting, again, much_later};
use smtp_proto::Refusal;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a store said that took a message, for log lines.
type Said = Option<String>;

/// What is tried at one store, one message after the other.
#[derive(Default)]
pub(super) struct Lane {
    due: Vec<Due>,
    rest: Rest,
}

/// What a lane leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing that could be tried now.
    #[default]
    Nothing,
    /// More than it had places or time for.
    More,
}

/// A message that is due for recipients of one store.
struct Due {
    id: QueueId,
    /// Its time has not come; its store answers again.
    early: bool,
    /// With those only who are due there.
    entry: Entry,
}

impl Relay {
    /// Tries what waits for one store, one message after the other. When it completes, what came of them is in the state.
    pub(super) async fn lane(&self, queue: &RetryQueue, store: StoreName, lane: Lane) -> Rest {
        let (mut last, began) = (None, self.clock.instant());
        let Lane { due, mut rest } = lane;
        // Once the store does not answer, nobody else waits for it in vain.
        let mut away: Option<Refusal> = None;
        for Due { id, early, entry } in due {
            // What is left stays due: the next lane knows in which order by then.
            if self.clock.instant().saturating_duration_since(began) >= LANE_SPAN_MAX && away.is_none() {
                rest = Rest::More;
                break;
            }
            if early && away.is_some() {
                continue;
            }
            // An operator may have held or removed it since the lane began; moved forward, it has its turn in its new place.
            let Some(_in_hand) = queue.take_in_hand(&store, id).await else { continue };
            let answers = match &away {
                Some(refusal) => vec![Err(refusal.clone()); entry.waiting.len()],
                None => {
                    let answers = self.attempt(queue, &store, &entry).await;
                    queue.was_tried(&store, id);
                    answers
                }
            };
            let silent =
                answers.iter().find_map(|answer| answer.as_ref().err().filter(|refusal| is_unanswered(refusal)));
            if let (Some(refusal), None) = (silent, &away) {
                let why = self.queue_delivery.trouble(&store);
                tracing::info!(%store, reply = %refusal, why, "the store does not take queued mail yet");
                queue.store_is_silent(&store);
                // Whoever is left waits until the next look.
                rest = Rest::Nothing;
                away = Some(refusal.clone());
            }
            let stored = answers.iter().any(Result::is_ok);
            // One for all: those who wait on wait together.
            let chance = queue.chance();
            let outcome = |(waiting, answer)| queue.outcome(&entry, waiting, answer, chance);
            let outcomes = entry.waiting.iter().zip(answers).map(outcome).collect();
            match queue.tried(Record::Tried { entry: id, outcomes }).await {
                Ok(lsn) => last = Some(lsn),
                Err(why) => {
                    tracing::warn!(entry = %id, %why, "an attempt is not written down; it is made again");
                    rest = Rest::Nothing;
                    break;
                }
            }
            if stored {
                queue.store_answers(&store);
            }
        }
        if let Some(last) = last
            && let Err(why) = queue.applied_to(last).await
        {
            tracing::warn!(%why, "what became of queued mail is not written down; it is tried again");
            rest = Rest::Nothing;
        }
        rest
    }

    /// An answer for each recipient, in order.
    async fn attempt(&self, queue: &RetryQueue, store: &StoreName, entry: &Entry) -> Vec<Result<Said, Refusal>> {
        let envelope = Envelope { from: entry.from.clone(), id: Some(entry.id), size: Some(entry.body.octets) };
        let mut transaction = match self.ask_for(STEP_WAIT, self.queue_delivery.open(store, envelope)).await {
            Ok(transaction) => transaction,
            Err(refusal) => return vec![Err(refusal); entry.waiting.len()],
        };
        let make = self.make(store);
        let mut answers = Vec::with_capacity(entry.waiting.len());
        for Waiting { recipient, .. } in &entry.waiting {
            let queue::Recipient { account, address, recipient, .. } = recipient.clone();
            if make == Make::Ours && is_stand_in(account, &recipient) {
                tracing::warn!(%store, rcpt = %recipient, "queued mail is for nobody whom the directory knows, and its store is \
                    one of ours by now: it waits");
                answers.push(Err(NO_ACCOUNT));
                continue;
            }
            let recipient = ports::Recipient { account, address, recipient };
            let answer = self.ask_for(STEP_WAIT, transaction.rcpt(recipient)).await;
            if let Err(refusal) = &answer
                && is_unanswered(refusal)
            {
                // It would keep silent about each of them.
                return vec![Err(refusal.clone()); entry.waiting.len()];
            }
            answers.push(answer.map(|()| None));
        }
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        if taken > 0 {
            let sent = self.send(queue, transaction, entry, commit_wait(make)).await;
            let mut sent = match sent {
                Ok(sent) if sent.len() == taken => sent,
                // Whose answer is missing, nobody can say.
                Ok(_) => vec![Err(Refusal::TRY_LATER); taken],
                Err(refusal) => vec![Err(refusal); taken],
            }
            .into_iter();
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = sent.next().unwrap_or(Err(Refusal::TRY_LATER));
            }
        }
        answers
    }

    /// Sends the octets; gives an answer for each recipient that was taken. `Err` is the answer for all of them.
    async fn send(
        &self,
        queue: &RetryQueue,
        mut transaction: Box<dyn DeliveryTransaction>,
        entry: &Entry,
        commit_wait: Duration,
    ) -> Result<Vec<Result<Said, Refusal>>, Refusal> {
        let mut octets = 0;
        let mut chunks = queue.chunks(entry.body);
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::error!(id = %entry.id, error = &error as &dyn std::error::Error, "a queued message cannot be read");
                    return Err(Refusal::TRY_LATER);
                }
            };
            octets += u64::try_from(chunk.len()).expect("a length fits 64 bits");
            self.ask_for(STEP_WAIT, transaction.write(chunk)).await?;
        }
        if octets != entry.body.octets {
            tracing::error!(id = %entry.id, octets, "the journal has not all of a queued message");
            return Err(Refusal::TRY_LATER);
        }
        let answers = within(&*self.clock, commit_wait, transaction.commit()).await.ok_or(SILENT)?;
        Ok(answers.into_iter().map(|answer| answer.map(|receipt| said(&receipt)).map_err(passed_on)).collect())
    }
}

impl RetryQueue {
    /// What is due, by store; behind it, what is tried early. Nothing for stores that are `busy`.
    pub(super) fn lanes(&self, now: UnixTime, busy: impl Fn(&StoreName) -> bool) -> BTreeMap<StoreName, Lane> {
        let mut state = self.state();
        let State { queue, early, .. } = &mut *state;
        early.forget(queue, self.world.clock.instant());
        let mut lanes = BTreeMap::new();
        let due = queue.due(now).flat_map(|(id, entry)| entry.due(now).map(move |waiting| (id, false, entry, waiting)));
        let early = early.beside_due(queue, now).map(|(id, entry, waiting)| (id, true, entry, waiting));
        for (id, early, entry, waiting) in due.chain(early) {
            if !busy(&waiting.recipient.store) {
                into_lane(&mut lanes, id, early, entry, waiting);
            }
        }
        lanes
    }

    /// What an answer means for the recipient.
    fn outcome(
        &self,
        entry: &Entry,
        waiting: &Waiting,
        answer: Result<Said, Refusal>,
        chance: u64,
    ) -> (mail_types::AccountId, Outcome) {
        let (id, store, rcpt) = (entry.id, &waiting.recipient.store, &waiting.recipient.recipient);
        let (now, attempts) = (self.world.clock.now(), waiting.attempts.saturating_add(1));
        let outcome = match answer {
            Ok(reply) => {
                tracing::info!(%id, %store, %rcpt, attempts, reply, "queued mail is stored");
                Outcome::Done
            }
            Err(refusal) if refusal.reply().code().is_transient() => {
                tracing::debug!(%id, %store, %rcpt, attempts, reply = %refusal, "queued mail waits on");
                Outcome::Deferred { again: again(now, attempts, chance) }
            }
            // Its sender was told 250, and there are no bounces yet: it stays, so that an operator can help.
            Err(refusal) => {
                tracing::warn!(%id, %store, %rcpt, attempts, reply = %refusal, "queued mail is refused for good; it stays");
                Outcome::failed(much_later(now, chance), &refusal.to_string())
            }
        };
        (waiting.recipient.account, outcome)
    }

    async fn tried(&self, record: Record) -> Result<Lsn, NotQueued> {
        let octets = record.encode();
        let record = || Append::new(StreamId::ZERO, journal_kind(&record), octets.as_slice());
        // It ends entries, and so gives space: it may use what is kept for that.
        let append = || self.journal.append_all(EPOCH, self.world.clock.now(), Space::Reserve, &[record()]);
        Ok(self.append(append).await?)
    }
}

fn commit_wait(make: Make) -> Duration {
    match make {
        Make::Ours => COMMIT_WAIT,
        Make::Another => FOREIGN_COMMIT_WAIT,
    }
}

/// Adds a recipient to what is tried at its store.
fn into_lane(lanes: &mut BTreeMap<StoreName, Lane>, id: QueueId, early: bool, entry: &Entry, waiting: &Waiting) {
    let store = &waiting.recipient.store;
    if !lanes.contains_key(store) {
        lanes.insert(store.clone(), Lane::default());
    }
    let Some(Lane { due, rest }) = lanes.get_mut(store) else { return };
    let full = due.len() >= DUE_PER_LANE_MAX;
    match due.last_mut() {
        Some(last) if last.id == id => last.entry.waiting.push(waiting.clone()),
        // A limit of its own for each, or what waits for one store would take the places of the others.
        Some(_) if full => *rest = Rest::More,
        Some(_) | None => {
            let waiting = vec![waiting.clone()];
            due.push(Due { id, early, entry: Entry { from: entry.from.clone(), waiting, ..*entry } });
        }
    }
}

/// RFC 3463 §3.4, X.3.5. Whoever came to a store of ours under an id that is none would be made an account there.
const NO_ACCOUNT: Refusal = Refusal::of(451, (4, 3, 5), "The directory has no account for this recipient");
/// How long a store may think about one question, and how long a piece may take. No sender waits here, so it is not what
/// `commit_wait` says.
const STEP_WAIT: Duration = Duration::from_secs(60);
/// How long it may think about the end of a message. RFC 5321 §4.5.3.2.6 gives a server 10 minutes; a store of ours that has
/// needed half of them is not well, and others wait behind this one.
const COMMIT_WAIT: Duration = Duration::from_secs(5 * 60);
/// One of another make gets those 10 minutes: what it stores after we went away it stores again. `backend` ends its wait at
/// ten minutes itself, with the answers that came.
const FOREIGN_COMMIT_WAIT: Duration = Duration::from_secs(11 * 60);
/// Entries of one lane, which bounds its memory.
pub(crate) const DUE_PER_LANE_MAX: usize = 500;
/// How long one lane tries before it looks again what is due, and who is first.
const LANE_SPAN_MAX: Duration = Duration::from_secs(60);
