//! Changes of large mailboxes, which no change holds whole.

use super::*;

fn flagged(flag: SystemFlag) -> FlagNames {
    FlagNames { system: FlagSet::system(flag), keywords: vec![] }
}

/// A mailbox whose one message was copied within it, again and again: 2 to the `doublings` messages.
fn doubled(world: &TestWorld, store: &Arc<Store>, doublings: u32) {
    assert_eq!(deliver(world, store, &[1], b"Subject: x\r\n\r\nhello\r\n", None), [true]);
    let (id, _) = account(1);
    let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
    world.run(store, async {
        for doubling in 0..doublings {
            let copied = store.copy(id, MailboxId::INBOX, MailboxId::INBOX, &all).await.expect("copied");
            assert_eq!(copied.uids.len(), 1 << doubling, "the copies are not copied again");
        }
    });
}

#[test]
fn a_change_of_more_messages_than_a_record_holds() {
    let world = TestWorld::new(20);
    let store = world.open();
    doubled(&world, &store, 14);
    let (id, _) = account(1);
    let (archive, _) = store.mailbox_by_name(id, &name("Archive")).expect("rows").expect("a default mailbox");
    let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
    let count = |mailbox| store.mailbox(id, mailbox).expect("rows").expect("a mailbox");
    assert!(count(MailboxId::INBOX).messages as usize > mailbox::record::MESSAGES_PER_RECORD_MAX);
    world.run(&store, async {
        let seen = flagged(SystemFlag::Seen);
        let before = count(MailboxId::INBOX).modseq;
        let stored = store.store_flags(id, MailboxId::INBOX, &all, FlagChange::Add, &seen, None).await.expect("stored");
        assert_eq!(count(MailboxId::INBOX).unseen, 0);
        // The first of two records has a lower MODSEQ than the whole STORE.
        let later = stored.modseq.expect("all changed");
        let since = store.changed_since(id, MailboxId::INBOX, before).expect("rows");
        assert_eq!(since.len(), 1 << 14);
        let limit = Some(later.number() - 1);
        let again =
            store.store_flags(id, MailboxId::INBOX, &all, FlagChange::Remove, &seen, limit).await.expect("stored");
        assert_eq!(again.modified.len(), (1 << 14) - mailbox::record::MESSAGES_PER_RECORD_MAX as u64);
        let moved = store.move_messages(id, MailboxId::INBOX, archive, &all).await.expect("moved");
        assert_eq!(moved.uids.len(), 1 << 14);
    });
    assert_eq!((count(MailboxId::INBOX).messages, count(archive).messages), (0, 1 << 14));
}

#[test]
fn expunge_finds_what_was_marked_just_now_and_what_came_marked() {
    let world = TestWorld::new(21);
    let store = world.open();
    doubled(&world, &store, 6);
    let (id, _) = account(1);
    let deleted = flagged(SystemFlag::Deleted);
    world.run(&store, async {
        // Changes that come later than the mark, and changes of what is not marked.
        store.store_flags(id, MailboxId::INBOX, &uids(&[3, 7]), FlagChange::Add, &deleted, None).await.expect("stored");
        let seen = flagged(SystemFlag::Seen);
        store.store_flags(id, MailboxId::INBOX, &uids(&[7, 9]), FlagChange::Add, &seen, None).await.expect("stored");
        assert_eq!(store.expunge(id, MailboxId::INBOX, Some(&uids(&[3, 9]))).await.expect("expunged"), uids(&[3]));
        // So many that the mark is not among the latest changes.
        let others = UidSet::from_ranges([(Uid::new(10).expect("not zero"), Uid::MAX)]);
        store.store_flags(id, MailboxId::INBOX, &others, FlagChange::Add, &seen, None).await.expect("stored");
        assert_eq!(store.expunge(id, MailboxId::INBOX, None).await.expect("expunged"), uids(&[7]));
        // A message that came with the flag was never changed.
        let append = store.append(id);
        let (_, _, uid) = append.finish(MailboxId::INBOX, &deleted, store.now()).await.expect("appended");
        store.store_flags(id, MailboxId::INBOX, &uids(&[1]), FlagChange::Add, &deleted, None).await.expect("stored");
        let gone = store.expunge(id, MailboxId::INBOX, None).await.expect("expunged");
        assert_eq!(gone, uids(&[1, uid.number()]));
    });
    let row = store.mailbox(id, MailboxId::INBOX).expect("rows").expect("INBOX");
    assert_eq!((row.messages, row.deleted), (61, 0));
}
