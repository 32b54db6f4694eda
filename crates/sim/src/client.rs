//! What clients ask of a store, and what they are answered.

use crate::mail;
use bytes::Bytes;
use mail_types::{FlagSet, Keyword, MailboxId, MailboxName, ReversePath, SystemFlag, UidSet, UnixTime};
use ports::{DeliveryTransaction, Envelope, Recipient};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use store::{Copied, FlagChange, FlagNames, Refusal, Store, Stored, Transaction};

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Deliver { to: Vec<u8>, mail: u32, octets: usize, with_id: bool },
    Append { who: u8, mailbox: MailboxId, mail: u32, octets: usize, flags: FlagSet },
    Copy { who: u8, from: MailboxId, to: MailboxId, uids: UidSet },
    Move { who: u8, from: MailboxId, to: MailboxId, uids: UidSet },
    Flags { who: u8, mailbox: MailboxId, uids: UidSet, change: FlagChange, flags: FlagSet, keyword: bool },
    Expunge { who: u8, mailbox: MailboxId, among: Option<UidSet> },
    Remove { who: u8, mailbox: MailboxId, uids: UidSet },
    Create { who: u8, name: MailboxName },
    Rename { who: u8, from: MailboxName, to: MailboxName },
    Delete { who: u8, mailbox: MailboxId, name: MailboxName },
    Subscribe { who: u8, name: MailboxName, subscribed: bool },
}

/// Its answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// For each recipient, whether it was acknowledged.
    Delivered(Vec<bool>),
    /// UIDVALIDITY and UID.
    Appended(Result<(u32, u32), Refusal>),
    Copied(Result<Copied, Refusal>),
    Flagged(Result<Stored, Refusal>),
    Expunged(Result<UidSet, Refusal>),
    Done(Result<(), Refusal>),
}

impl Op {
    /// Whose mailboxes it is about; of a delivery, the first recipient's.
    pub(crate) fn who(&self) -> u8 {
        match self {
            Self::Deliver { to, .. } => to.first().copied().unwrap_or(0),
            Self::Append { who, .. }
            | Self::Copy { who, .. }
            | Self::Move { who, .. }
            | Self::Flags { who, .. }
            | Self::Expunge { who, .. }
            | Self::Remove { who, .. }
            | Self::Create { who, .. }
            | Self::Rename { who, .. }
            | Self::Delete { who, .. }
            | Self::Subscribe { who, .. } => *who,
        }
    }

    /// Whether it changes which mailboxes there are: of those, one at a time in an account, so that names are known.
    pub(crate) fn is_structural(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Rename { .. } | Self::Delete { .. } | Self::Subscribe { .. } => true,
            Self::Deliver { .. }
            | Self::Append { .. }
            | Self::Copy { .. }
            | Self::Move { .. }
            | Self::Flags { .. }
            | Self::Expunge { .. }
            | Self::Remove { .. } => false,
        }
    }

    /// At most so much of a store's memory.
    pub(crate) fn weight(&self) -> u64 {
        let octets = match self {
            Self::Deliver { to, octets, .. } => octets * to.len(),
            Self::Append { octets, .. } => *octets,
            Self::Copy { uids, .. } | Self::Move { uids, .. } => usize::try_from(uids.len()).unwrap_or(0) * 1_000,
            Self::Flags { .. }
            | Self::Expunge { .. }
            | Self::Remove { .. }
            | Self::Create { .. }
            | Self::Rename { .. }
            | Self::Delete { .. }
            | Self::Subscribe { .. } => 20_000,
        };
        octets as u64 + 6_000
    }
}

/// A client with a request under way.
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) op: Op,
    future: Pin<Box<dyn Future<Output = Answer>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Client {
    pub(crate) fn new(store: &Arc<Store>, number: u64, op: Op) -> Self {
        let future = Box::pin(ask(Arc::clone(store), op.clone()));
        Self { number, op, future, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    pub(crate) fn poll(&mut self) -> Option<Answer> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Arc::clone(&self.woken).into();
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}

async fn ask(store: Arc<Store>, op: Op) -> Answer {
    match op {
        Op::Deliver { to, mail, octets, with_id } => {
            Answer::Delivered(deliver(&store, &to, mail, octets, with_id).await)
        }
        Op::Append { who, mailbox, mail, octets, flags } => {
            Answer::Appended(append(&store, who, mailbox, &mail::content(mail, octets), flags).await)
        }
        Op::Copy { who, from, to, uids } => Answer::Copied(store.copy(mail::account(who), from, to, &uids).await),
        Op::Move { who, from, to, uids } => {
            Answer::Copied(store.move_messages(mail::account(who), from, to, &uids).await)
        }
        Op::Flags { who, mailbox, uids, change, flags, keyword } => {
            let flags = names(flags, keyword);
            Answer::Flagged(store.store_flags(mail::account(who), mailbox, &uids, change, &flags, None).await)
        }
        Op::Expunge { who, mailbox, among } => {
            Answer::Expunged(store.expunge(mail::account(who), mailbox, among.as_ref()).await)
        }
        Op::Remove { who, mailbox, uids } => {
            Answer::Done(store.remove_messages(mail::account(who), mailbox, &uids).await)
        }
        Op::Create { who, name } => Answer::Done(store.create_mailbox(mail::account(who), &name, None).await.map(drop)),
        Op::Rename { who, from, to } => Answer::Done(store.rename_mailbox(mail::account(who), &from, &to).await),
        Op::Delete { who, name, .. } => Answer::Done(store.delete_mailbox(mail::account(who), &name).await),
        Op::Subscribe { who, name, subscribed } => {
            Answer::Done(store.subscribe(mail::account(who), &name, subscribed).await)
        }
    }
}

async fn deliver(store: &Arc<Store>, to: &[u8], mail: u32, octets: usize, with_id: bool) -> Vec<bool> {
    let id = with_id.then(|| mail::delivery_id(mail));
    let envelope = Envelope { from: ReversePath::Null, id, size: None };
    let mut transaction = Box::new(Transaction::new(Arc::clone(store), envelope));
    let mut taken = Vec::with_capacity(to.len());
    for who in to {
        let address = mail::address(*who);
        let recipient = Recipient { account: mail::account(*who), recipient: address.clone(), address };
        taken.push(transaction.rcpt(recipient).await.is_ok());
    }
    for piece in pieces(&mail::content(mail, octets)) {
        Later(false).await;
        if transaction.write(piece).await.is_err() {
            return vec![false; to.len()];
        }
    }
    let mut outcomes = transaction.commit().await.into_iter();
    taken.into_iter().map(|taken| taken && outcomes.next().is_some_and(|outcome| outcome.is_ok())).collect()
}

async fn append(
    store: &Arc<Store>,
    who: u8,
    mailbox: MailboxId,
    content: &Bytes,
    flags: FlagSet,
) -> Result<(u32, u32), Refusal> {
    let mut append = store.append(mail::account(who));
    for piece in pieces(content) {
        Later(false).await;
        append.write(piece).await?;
    }
    let (_, validity, uid) = append.finish(mailbox, &names(flags, false), UnixTime::from_secs(1_600_000_000)).await?;
    Ok((validity.number(), uid.number()))
}

fn pieces(content: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..content.len()).step_by(PIECE_OCTETS).map(|at| content.slice(at..content.len().min(at + PIECE_OCTETS)))
}

fn names(flags: FlagSet, keyword: bool) -> FlagNames {
    let keywords = keyword.then(|| Keyword::parse("$Junk").expect("an atom")).into_iter().collect();
    FlagNames { system: flags, keywords }
}

/// Whether flags are those that a change leaves.
pub(crate) fn conforms(now: FlagSet, change: FlagChange, flags: FlagSet) -> bool {
    match change {
        FlagChange::Add => now.contains(flags),
        FlagChange::Remove => now.bits() & flags.bits() == 0,
        FlagChange::Replace => SystemFlag::ALL.into_iter().all(|flag| now.has(flag) == flags.has(flag)),
    }
}

/// Lets the others go first, once.
struct Later(bool);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What a client sends at a time.
const PIECE_OCTETS: usize = 100_000;
