//! Clients: each asks a store for one thing, and waits.

use crate::mail;
use crate::op::{Answer, Op};
use bytes::Bytes;
use mail_types::{FlagSet, Keyword, MailboxId, ReversePath, UnixTime};
use ports::{DeliveryTransaction, Envelope, Recipient};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use store::{FlagNames, Refusal, Store, Transaction};

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
