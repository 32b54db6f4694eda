//! What every engine must do, as tests that any engine can run.
//!
//! ```text
//!   #[test] fn engine_conforms() { finish(conformance::run(&mut || Arc::new(MyEngine::new()))) }
//! ```
//! An engine that takes no writes runs [`run_read_only`]: the reading half, in which a [`Pen`] writes behind its back.
//! An engine that waits for a network runs the future in its own runtime instead of [`finish`].

use crate::engine::{
    BoxFuture, Change, Changes, Commit, Engine, EngineError, KEY_OCTETS_MAX, Lease, Range, Revision,
    TRANSACTION_OPERATIONS_MAX, Transaction, Write,
};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Runs the suite; `make` gives an empty engine each time it is called.
///
/// # Panics
/// With the rule that the engine breaks.
pub async fn run(make: &mut dyn FnMut() -> Arc<dyn Engine>) {
    run_reading(&mut || {
        let engine = make();
        Readable { pen: Box::new(Commits(Arc::clone(&engine))), engine }
    })
    .await;
    reads_what_was_written(&*make()).await;
    transactions_are_all_or_nothing(&*make()).await;
    revisions_grow(&*make()).await;
    limits_are_refused(&*make()).await;
    leases_take_their_keys_along(&*make()).await;
}

/// Runs the half of the suite that a read-only engine can run, and checks that it takes no writes.
///
/// # Panics
/// With the rule that the engine breaks.
pub async fn run_read_only(make: &mut dyn FnMut() -> Readable) {
    run_reading(make).await;
    writes_are_refused(make()).await;
}

/// An engine, and who writes what it reads.
pub struct Readable {
    /// The engine, empty.
    pub engine: Arc<dyn Engine>,
    /// Who writes.
    pub pen: Box<dyn Pen>,
}

/// Writes what an engine reads.
pub trait Pen: Send + Sync {
    /// Writes; gives the revision at which the engine shows it. Values are JSON.
    fn write(&self, transaction: Transaction) -> BoxFuture<'_, Revision>;
}

struct Commits(Arc<dyn Engine>);

impl Pen for Commits {
    fn write(&self, transaction: Transaction) -> BoxFuture<'_, Revision> {
        Box::pin(async move { done(&*self.0, transaction).await })
    }
}

/// Runs the half of the suite that asks nothing of writes through the engine.
///
/// # Panics
/// With the rule that the engine breaks.
pub async fn run_reading(make: &mut dyn FnMut() -> Readable) {
    reads_what_is_kept(make()).await;
    pages_are_ordered_and_complete(make()).await;
    pages_name_their_revision(make()).await;
    watches_give_everything_once(make()).await;
    watches_wait_and_may_be_dropped(make()).await;
}

/// The answer of a future that nothing outside holds up: those of an embedded engine are like that.
///
/// # Panics
/// When it waits and nothing has woken it.
pub fn finish<F: Future>(future: F) -> F::Output {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => assert!(woken.0.swap(false, Ordering::Relaxed), "an embedded engine made its caller wait"),
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn reads_what_is_kept(Readable { engine, pen }: Readable) {
    assert_eq!(value(&*engine, "a").await, None);
    let first = pen.write(put("a", "1").put("b/\u{e4} \"\u{0}", b"[2]".to_vec())).await;
    let entry = engine.get("a").await.expect("answers").expect("is there");
    assert_eq!((entry.key.as_str(), entry.value.as_slice(), entry.revision), ("a", b"1".as_slice(), first));
    assert_eq!(value(&*engine, "b/\u{e4} \"\u{0}").await.as_deref(), Some("[2]"));
    let second = pen.write(put("a", "2")).await;
    assert_eq!(value(&*engine, "a").await.as_deref(), Some("2"));
    assert!(second > first, "a revision did not grow");
    let other = engine.get("b/\u{e4} \"\u{0}").await.expect("answers").expect("is there");
    assert_eq!(other.revision, first, "what did not change has a new revision");
    pen.write(Transaction::default().delete("a")).await;
    assert_eq!(value(&*engine, "a").await, None, "deleted");
}

async fn reads_what_was_written(engine: &dyn Engine) {
    let binary = vec![0, 255, 10, 13];
    done(engine, Transaction::default().put("b/\u{e4} \u{0}", binary.clone()).put("empty", Vec::new())).await;
    assert_eq!(engine.get("b/\u{e4} \u{0}").await.expect("answers").map(|entry| entry.value), Some(binary));
    assert_eq!(value(engine, "empty").await.as_deref(), Some(""));
}

async fn pages_are_ordered_and_complete(Readable { engine, pen }: Readable) {
    let mut expected: Vec<String> = (0..25).map(|n| format!("p/{}", (n * 7) % 25)).collect();
    for key in &expected {
        pen.write(put(key, "7")).await;
    }
    for other in ["p", "p.", "p0", "q/1", "o"] {
        pen.write(put(other, "7")).await;
    }
    expected.sort();
    for limit in [1, 4, 25, 1000] {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let range = Range { prefix: "p/", after: after.as_deref(), limit };
            let page = engine.range(range).await.expect("a page");
            assert!(page.entries.len() <= limit, "a page holds more than it may");
            found.extend(page.entries.iter().map(|entry| entry.key.clone()));
            match page.entries.last() {
                Some(last) if page.more => after = Some(last.key.clone()),
                Some(_) | None => break,
            }
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let none = engine.range(Range { prefix: "p/", after: Some("p/9"), limit: 10 }).await.expect("a page");
    assert!(none.entries.is_empty() && !none.more);
    let all = engine.range(Range { prefix: "", after: None, limit: 1000 }).await.expect("a page");
    assert_eq!(all.entries.len(), 30, "an empty prefix means all keys");
}

async fn pages_name_their_revision(Readable { engine, pen }: Readable) {
    let mut last = Revision::ZERO;
    for n in 0..20 {
        let revision = pen.write(put(&format!("k{}", n % 3), &n.to_string())).await;
        assert!(revision > last, "a revision did not grow");
        last = revision;
    }
    let page = engine.range(Range { prefix: "", after: None, limit: 1 }).await.expect("a page");
    assert_eq!(page.revision, last, "a page names the revision it was read at");
    assert!(page.entries.iter().all(|entry| entry.revision <= last));
}

async fn transactions_are_all_or_nothing(engine: &dyn Engine) {
    let first = done(engine, put("a", "1").expect("a", Revision::ZERO)).await;
    let again = engine.commit(put("a", "2").expect("a", Revision::ZERO)).await.expect("answers");
    assert_eq!(again, Commit::Conflict { key: "a".into() }, "a key that exists was taken for missing");
    let both = put("a", "3").put("b", b"3".to_vec()).expect("a", first).expect("b", first);
    assert_eq!(engine.commit(both).await.expect("answers"), Commit::Conflict { key: "b".into() });
    assert_eq!((value(engine, "a").await.as_deref(), value(engine, "b").await), (Some("1"), None), "half was written");
    let second = done(engine, put("a", "4").put("b", b"4".to_vec()).expect("a", first)).await;
    for key in ["a", "b"] {
        let entry = engine.get(key).await.expect("answers").expect("written");
        assert_eq!(entry.revision, second, "writes of one transaction share a revision");
    }
    let stale = engine.commit(Transaction::default().delete("a").expect("a", first)).await.expect("answers");
    assert_eq!(stale, Commit::Conflict { key: "a".into() });
    done(engine, Transaction::default().delete("a").expect("a", second)).await;
    done(engine, put("a", "new").expect("a", Revision::ZERO)).await;
    // A key may be expected that is not written.
    done(engine, put("c", "5").expect("b", second)).await;
}

async fn revisions_grow(engine: &dyn Engine) {
    let mut last = Revision::ZERO;
    for n in 0..20 {
        let revision = done(engine, put(&format!("k{}", n % 3), "x")).await;
        assert!(revision > last, "a revision did not grow");
        last = revision;
    }
}

async fn limits_are_refused(engine: &dyn Engine) {
    let many = |count| (0..count).fold(Transaction::default(), |t, n| t.put(format!("k{n}"), Vec::new()));
    done(engine, many(TRANSACTION_OPERATIONS_MAX)).await;
    let long = "x".repeat(KEY_OCTETS_MAX + 1);
    let twice = put("a", "1").delete("a");
    for (bad, why) in [
        (many(TRANSACTION_OPERATIONS_MAX + 1), "operations"),
        (put(&long, "1"), "a long key"),
        (put("", "1"), "an empty key"),
        (twice, "a key written twice"),
        (Transaction::default().put("big", vec![0; 2 << 20]), "octets"),
    ] {
        assert!(matches!(engine.commit(bad).await, Err(EngineError::Invalid { .. })), "not refused: {why}");
    }
}

async fn watches_give_everything_once(Readable { engine, pen }: Readable) {
    let before = pen.write(put("w/old", "0")).await;
    let mut expected = Vec::new();
    for (key, value) in [("w/a", "1"), ("x/a", "9"), ("w/b", "2"), ("w/a", "3")] {
        let revision = pen.write(put(key, value)).await;
        if key.starts_with("w/") {
            expected.push((key.to_owned(), Some(value.to_owned()), revision));
        }
    }
    let revision = pen.write(Transaction::default().delete("w/b").put("w/c", b"4".to_vec())).await;
    expected.push(("w/b".into(), None, revision));
    expected.push(("w/c".into(), Some("4".into()), revision));
    let found = drain(&*engine, "w/", before, expected.len()).await;
    // Within one commit the order is the engine's own.
    let by_revision = |mut changes: Vec<Seen>| {
        changes.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        changes
    };
    assert!(found.windows(2).all(|pair| matches!(pair, [a, b] if a.2 <= b.2)), "changes out of order");
    assert_eq!(by_revision(found), by_revision(expected.clone()));
    let resumed = drain(&*engine, "w/", expected.first().map_or(before, |seen| seen.2), expected.len() - 1).await;
    assert_eq!(by_revision(resumed), by_revision(expected.split_off(1)), "resumed after the first change");
}

async fn watches_wait_and_may_be_dropped(Readable { engine, pen }: Readable) {
    let start = pen.write(put("w/a", "0")).await;
    let mut watch = engine.watch("w/", start).await.expect("a watch");
    {
        let mut next = pin!(watch.next());
        let polled = poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await;
        assert!(polled, "a watch had something to say though nothing had changed");
    }
    pen.write(put("x/a", "9")).await;
    let revision = pen.write(put("w/a", "1")).await;
    let changes = watch.next().await.expect("changes");
    assert_eq!(seen(&changes), [("w/a".to_owned(), Some("1".to_owned()), revision)]);
    assert!(changes.revision >= revision, "resuming would repeat what was given");
    // What is written while somebody waits wakes him.
    let mut next = pin!(watch.next());
    let write = pen.write(put("w/b", "2"));
    let mut write = pin!(write);
    let mut written = None;
    let changes = poll_fn(|context| {
        let first = next.as_mut().poll(context);
        if written.is_none()
            && let Poll::Ready(revision) = write.as_mut().poll(context)
        {
            written = Some(revision);
        }
        first
    })
    .await
    .expect("changes");
    assert_eq!(seen(&changes).first().map(|seen| seen.0.clone()).as_deref(), Some("w/b"));
}

async fn writes_are_refused(Readable { engine, pen }: Readable) {
    pen.write(put("a", "1")).await;
    for transaction in [put("a", "2"), put("b", "1").expect("b", Revision::ZERO), Transaction::default().delete("a")] {
        assert!(matches!(engine.commit(transaction).await, Err(EngineError::ReadOnly { .. })), "a write was taken");
    }
    let lease = engine.grant_lease(Duration::from_secs(60)).await;
    assert!(matches!(lease, Err(EngineError::ReadOnly { .. })), "a lease was given");
    assert_eq!(value(&*engine, "a").await.as_deref(), Some("1"));
    assert_eq!(value(&*engine, "b").await, None);
}

async fn leases_take_their_keys_along(engine: &dyn Engine) {
    let minute = Duration::from_secs(60);
    let lease = engine.grant_lease(minute).await.expect("a lease");
    let other = engine.grant_lease(minute).await.expect("a lease");
    assert_ne!(lease, other);
    assert_eq!(engine.keep_lease(lease).await.expect("answers"), Lease::Alive);
    let held = Transaction {
        writes: vec![
            Write::Put { key: "l/a".into(), value: b"1".to_vec(), lease: Some(lease) },
            Write::Put { key: "l/b".into(), value: b"1".to_vec(), lease: Some(other) },
            Write::Put { key: "l/c".into(), value: b"1".to_vec(), lease: Some(lease) },
        ],
        ..Transaction::default()
    };
    let revision = done(engine, held).await;
    // A key that is put again without the lease does not go away with it.
    done(engine, put("l/c", "2")).await;
    engine.revoke_lease(lease).await.expect("revoked");
    assert_eq!(value(engine, "l/a").await, None, "a key outlived its lease");
    assert_eq!(value(engine, "l/b").await.as_deref(), Some("1"), "a key of another lease went away");
    assert_eq!(value(engine, "l/c").await.as_deref(), Some("2"));
    assert_eq!(engine.keep_lease(lease).await.expect("answers"), Lease::Ended);
    engine.revoke_lease(lease).await.expect("revoking twice is no error");
    let late = Write::Put { key: "l/d".into(), value: Vec::new(), lease: Some(lease) };
    let late = Transaction { writes: vec![late], ..Transaction::default() };
    assert!(matches!(engine.commit(late).await, Err(EngineError::Invalid { .. })), "a key under an ended lease");
    let found = drain(engine, "l/", revision, 2).await;
    let deleted = found.iter().any(|(key, value, _)| key == "l/a" && value.is_none());
    assert!(deleted, "a watch did not see that a lease ended");
}

/// Key, value (`None`: deleted) and revision of a change.
type Seen = (String, Option<String>, Revision);

fn seen(changes: &Changes) -> Vec<Seen> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    changes
        .changes
        .iter()
        .map(|change| match change {
            Change::Put(entry) => (entry.key.clone(), Some(text(&entry.value)), entry.revision),
            Change::Delete { key, revision } => (key.clone(), None, *revision),
        })
        .collect()
}

/// The first `count` changes after a revision.
async fn drain(engine: &dyn Engine, prefix: &str, after: Revision, count: usize) -> Vec<Seen> {
    let mut watch = engine.watch(prefix, after).await.expect("a watch");
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(seen(&watch.next().await.expect("changes")));
    }
    found
}

async fn value(engine: &dyn Engine, key: &str) -> Option<String> {
    let entry = engine.get(key).await.expect("answers")?;
    Some(String::from_utf8_lossy(&entry.value).into_owned())
}

async fn done(engine: &dyn Engine, transaction: Transaction) -> Revision {
    match engine.commit(transaction).await.expect("commits") {
        Commit::Done(revision) => revision,
        Commit::Conflict { key } => panic!("{key} had another revision than expected"),
    }
}

fn put(key: &str, value: &str) -> Transaction {
    Transaction::default().put(key, value.as_bytes().to_vec())
}
