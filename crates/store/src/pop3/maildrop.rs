//! What a session sees of INBOX, and who may see it.

use crate::engine::{Refusal, Store};
use mail_types::{AccountId, MailboxId, Uid, UidSet, UidValidity};
use mailbox::index::ROWS_PER_READ_MAX;
use pop3_proto::{Maildrop, MessageNumber, UniqueId};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// INBOX as it was at the login: numbers are places in it and never change (RFC 1939 §4).
pub(super) struct Snapshot {
    uid_validity: UidValidity,
    messages: Vec<Message>,
    /// Of the messages that are not marked.
    total: Maildrop,
}

/// One message, in twelve octets.
pub(super) struct Message {
    uid: Uid,
    octets: u32,
    marked: bool,
}

/// The most messages that a session sees, oldest first; the others wait for the next one. 12 MB of memory.
pub(super) const MESSAGE_COUNT_MAX: usize = 1_000_000;

impl Snapshot {
    /// Reads INBOX. Batch by batch, letting others run in between.
    pub(super) async fn read(store: &Store, account: AccountId) -> Result<Self, Refusal> {
        let inbox = store.mailbox(account, MailboxId::INBOX)?.ok_or(Refusal::NoMailbox)?;
        let expected = usize::try_from(inbox.messages).unwrap_or(usize::MAX);
        let mut messages = Vec::with_capacity(expected.min(MESSAGE_COUNT_MAX));
        let mut next = Some(Uid::FIRST);
        while let Some(from) = next {
            let limit = ROWS_PER_READ_MAX.min(MESSAGE_COUNT_MAX - messages.len());
            let batch = store.messages(account, MailboxId::INBOX, from, limit)?;
            messages.extend(batch.iter().map(|(uid, row)| Message::new(*uid, row.size)));
            let more = batch.len() == limit && messages.len() < MESSAGE_COUNT_MAX;
            next = batch.last().filter(|_| more).and_then(|(uid, _)| uid.next());
            if next.is_some() {
                give_way().await;
            }
        }
        Ok(Self::new(inbox.uid_validity, messages))
    }

    pub(super) fn new(uid_validity: UidValidity, messages: Vec<Message>) -> Self {
        let mut snapshot = Self { uid_validity, messages, total: Maildrop::default() };
        snapshot.count();
        snapshot
    }

    /// How much there is, without what is marked.
    pub(super) fn total(&self) -> Maildrop {
        self.total
    }

    /// A message that is not marked.
    pub(super) fn get(&self, number: MessageNumber) -> Option<&Message> {
        self.messages.get(place(number)?).filter(|message| !message.marked)
    }

    /// The messages that are not marked, from a place on, with their places and numbers.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = (usize, MessageNumber, &Message)> {
        let messages = self.messages.iter().enumerate().skip(first).filter(|(_, message)| !message.marked);
        messages.filter_map(|(at, message)| Some((at, number(at)?, message)))
    }

    /// Marks a message as deleted; nothing when it is not there or marked already.
    pub(super) fn mark(&mut self, number: MessageNumber) -> Option<()> {
        let message = self.messages.get_mut(place(number)?).filter(|message| !message.marked)?;
        message.marked = true;
        self.total.messages -= 1;
        self.total.octets -= u64::from(message.octets);
        Some(())
    }

    /// Takes all marks away.
    pub(super) fn unmark_all(&mut self) {
        self.messages.iter_mut().for_each(|message| message.marked = false);
        self.count();
    }

    /// What is to be removed.
    pub(super) fn marked(&self) -> UidSet {
        self.messages.iter().filter(|message| message.marked).map(|message| message.uid).collect()
    }

    /// The unique-id (RFC 1939 §7): never used again for another message, since the pair never is (RFC 9051 §2.3.1.1).
    pub(super) fn unique_id(&self, message: &Message) -> UniqueId {
        let text = format!("{}.{}", self.uid_validity, message.uid);
        UniqueId::parse(&text).expect("two numbers of ten digits and a dot are a unique-id")
    }

    fn count(&mut self) {
        let live = self.messages.iter().filter(|message| !message.marked);
        self.total = live.fold(Maildrop::default(), |sum, message| Maildrop {
            messages: sum.messages + 1,
            octets: sum.octets + u64::from(message.octets),
        });
    }
}

impl Message {
    /// No entrance takes a message of 4 GiB; the size of one that came all the same is told as the greatest.
    pub(super) fn new(uid: Uid, octets: u64) -> Self {
        Self { uid, octets: u32::try_from(octets).unwrap_or(u32::MAX), marked: false }
    }

    pub(super) fn uid(&self) -> Uid {
        self.uid
    }

    pub(super) fn octets(&self) -> u64 {
        u64::from(self.octets)
    }
}

fn place(number: MessageNumber) -> Option<usize> {
    usize::try_from(number.get() - 1).ok()
}

fn number(place: usize) -> Option<MessageNumber> {
    u32::try_from(place + 1).ok().and_then(MessageNumber::new)
}

/// Lets others of the runtime's tasks run.
async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The maildrops of a store that sessions hold.
#[derive(Default)]
pub(crate) struct Maildrops {
    locked: Mutex<BTreeSet<AccountId>>,
}

/// The exclusive right to an account's maildrop (RFC 1939 §4), given back when dropped.
pub(crate) struct MaildropLock {
    maildrops: Arc<Maildrops>,
    account: AccountId,
}

impl Maildrops {
    /// Locks a maildrop, unless another session has it.
    pub(crate) fn lock(self: &Arc<Self>, account: AccountId) -> Option<MaildropLock> {
        self.with(|locked| locked.insert(account)).then(|| MaildropLock { maildrops: Arc::clone(self), account })
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeSet<AccountId>) -> T) -> T {
        act(&mut self.locked.lock().expect("no holder of this lock panics"))
    }
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        self.maildrops.with(|locked| locked.remove(&self.account));
    }
}
