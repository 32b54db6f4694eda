//! Messages of one APPEND are stored all or none (RFC 3502 §3).

use super::{Draw, contents_if_any, name};
use crate::engine::append::APPEND_MESSAGES_MAX;
use crate::engine::{Appended, FlagNames, Quota, Refusal, Store};
use crate::testing::{TestWorld, account};
use bytes::Bytes;
use mail_types::{AccountId, FlagSet, Keyword, MailboxId, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn ready(world: &TestWorld) -> (Arc<Store>, AccountId) {
    let store = world.open();
    let (id, address) = account(1);
    store.ensure_account(id, &address).expect("created");
    world.settle(&store);
    (store, id)
}

async fn appended(store: &Arc<Store>, account: AccountId, contents: &[Vec<u8>]) -> Result<Vec<Appended>, Refusal> {
    let keywords = Keyword::parse("$Work").into_iter().collect();
    let flags = FlagNames { system: FlagSet::EMPTY, keywords };
    let mut messages = Vec::new();
    for content in contents {
        let mut message = store.append(account);
        for piece in content.chunks(100_000) {
            message.write(Bytes::copy_from_slice(piece)).await?;
        }
        messages.push(Appended { message, flags: flags.clone(), date: store.now() });
    }
    Ok(messages)
}

fn append(world: &TestWorld, store: &Arc<Store>, mailbox: MailboxId, contents: &[Vec<u8>]) -> Result<UidSet, Refusal> {
    let (id, _) = account(1);
    world.run(store, async {
        let messages = appended(store, id, contents).await?;
        Ok(store.append_together(id, mailbox, messages).await?.2)
    })
}

#[test]
fn they_get_uids_in_a_row_and_survive() {
    let world = TestWorld::new(90);
    let (store, _) = ready(&world);
    let mut batch: Vec<Vec<u8>> = (0..APPEND_MESSAGES_MAX).map(|n| format!("message {n}\r\n").into_bytes()).collect();
    batch[1].resize(300_000, b'x');
    assert_eq!(append(&world, &store, MailboxId::INBOX, &batch).expect("stored").to_string(), "1:64");
    drop(store);
    world.disk.crash();
    let store = world.open();
    let found: Vec<Vec<u8>> = contents_if_any(&store, 1).into_values().collect();
    assert_eq!(found, batch);
}

#[test]
fn a_refusal_stores_none_and_leaves_no_gap() {
    let mut world = TestWorld::new(91);
    world.options.quota = Arc::new(|_| Quota { messages: Some(3), octets: Some(1_000) });
    let (store, id) = ready(&world);
    let small = |count: usize| vec![b"Subject: x\r\n\r\n".to_vec(); count];
    let too_many = append(&world, &store, MailboxId::INBOX, &small(APPEND_MESSAGES_MAX + 1));
    assert!(matches!(too_many, Err(Refusal::TooMany(_))));
    assert!(matches!(append(&world, &store, MailboxId::INBOX, &small(4)), Err(Refusal::OverQuota)));
    let large = [small(1), vec![vec![b'x'; 999]]].concat();
    assert!(matches!(append(&world, &store, MailboxId::INBOX, &large), Err(Refusal::OverQuota)));
    assert!(contents_if_any(&store, 1).is_empty());
    world.settle(&store);
    assert_eq!(store.spool.oldest(), None, "bodies that nobody will name hold the journal");
    let row = store.account(id).expect("rows").expect("account");
    assert_eq!((row.messages, row.octets), (0, 0));
    assert_eq!(append(&world, &store, MailboxId::INBOX, &small(3)).expect("stored").to_string(), "1:3");
}

#[test]
fn a_mailbox_that_goes_meanwhile_takes_none() {
    let world = TestWorld::new(92);
    let (store, id) = ready(&world);
    world.run(&store, async {
        let work = store.create_mailbox(id, &name("work"), None).await.expect("created");
        let messages = appended(&store, id, &[b"a".to_vec(), b"b".to_vec()]).await.expect("taken");
        store.delete_mailbox(id, &name("work")).await.expect("deleted");
        assert!(matches!(store.append_together(id, work, messages).await, Err(Refusal::NoMailbox)));
    });
    world.settle(&store);
    assert_eq!(store.spool.oldest(), None);
    assert_eq!(store.account(id).expect("rows").expect("account").messages, 0);
}

/// What was said yes to is there, and of what was cut off all or nothing.
fn cut(seed: u64) -> Cut {
    let mut draw = Draw(seed);
    let world = TestWorld::new(seed);
    let (store, _) = ready(&world);
    let mut batches: BTreeMap<u32, (usize, bool)> = BTreeMap::new();
    world.disk.cut_power_after(draw.below(60));
    for batch in 0..12 {
        let count = 1 + usize::try_from(draw.below(6)).expect("small");
        let contents: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let octets = if draw.below(8) == 0 { 280_000 } else { 100 };
                let mut content = format!("Subject: {batch}\r\n\r\n").into_bytes();
                content.resize(octets, b'x');
                content
            })
            .collect();
        let stored = append(&world, &store, MailboxId::INBOX, &contents).is_ok();
        batches.insert(batch, (count, stored));
        if world.stopped.load(Ordering::SeqCst) {
            break;
        }
    }
    drop(store);
    world.disk.crash();
    let store = world.open();
    let mut found: BTreeMap<u32, usize> = BTreeMap::new();
    for content in contents_if_any(&store, 1).into_values() {
        let text = String::from_utf8_lossy(&content[..20]).into_owned();
        let number = text.trim_start_matches("Subject: ").split('\r').next().expect("a part").parse();
        *found.entry(number.expect("the number of its batch")).or_default() += 1;
    }
    let mut seen = Cut::Before;
    for (batch, (count, stored)) in batches {
        let there = found.remove(&batch).unwrap_or_default();
        assert!(there == count || (there == 0 && !stored), "seed {seed}: {there} of {count} in batch {batch}");
        seen = match (stored, there) {
            (true, _) => seen,
            (false, 0) => Cut::Lost,
            (false, _) => Cut::Kept,
        };
    }
    assert!(found.is_empty(), "seed {seed}");
    seen
}

/// What became of the messages whose command was not answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Before,
    Lost,
    Kept,
}

#[test]
fn a_power_cut_leaves_all_or_none() {
    let seen: std::collections::BTreeSet<Cut> = (100..220).map(cut).collect();
    assert!(seen.contains(&Cut::Lost) && seen.contains(&Cut::Kept), "the cuts hit no command in the middle");
}
