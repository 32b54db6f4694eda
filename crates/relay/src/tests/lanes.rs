//! What a store that takes long means for the rounds of the queue.

use super::retry::{Site, in_the_way, keep};
use super::site::finish;
use super::stores::Answer;
use crate::{QueueId, QueueOrder};
use mail_types::{DeliveryId, Lsn};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

/// Looks at the rounds so often; no wait of theirs is over by itself.
fn look(site: &Site, rounds: &mut Pin<&mut impl Future<Output = ()>>, times: usize) {
    site.world.stand_still();
    for _ in 0..times {
        site.queue.step_writer();
        assert!(rounds.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

/// Nobody waits for the queue, so a store has more time than a sender would give it.
#[test]
fn what_takes_longer_than_a_sender_waits_is_stored_by_the_queue() {
    for (verb, user, secs) in [("writes", "*", 50), ("commits", "cid", 280)] {
        let site = Site::new();
        site.stores.script("south", verb, user, Answer::Slow(secs));
        assert!(site.send(&["cid"], "x").starts_with("250"));
        assert_eq!(site.queue.waiting_count(), 1, "{verb}");
        site.later();
        assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("south/cid", 0), "{verb}");
    }
}

#[test]
fn a_store_that_hangs_keeps_nobody_waiting_but_its_own_mail() {
    let site = Site::new();
    for (number, user, store) in [(0, "cid", "south"), (1, "dan", "south"), (2, "bob", "north")] {
        keep(&site, number, user, store, 1).expect("it is durable");
    }
    let entries = site.queue.entries_after(QueueId::new(Lsn::ZERO), 3);
    let ids: Vec<DeliveryId> = entries.into_iter().map(|(_, entry)| entry.id).collect();
    let retry = |id: usize| finish(site.queue.order(ids[id], QueueOrder::Retry), Some(&site.queue)).expect("it waits");
    site.stores.script("south", "writes", "*", Answer::Slow(100));
    let mut rounds = pin!(site.relay.retry());
    retry(0);
    look(&site, &mut rounds, 10);
    assert_eq!((site.places().as_str(), site.stores.writes()), ("", 1));
    retry(1);
    retry(2);
    look(&site, &mut rounds, 10);
    assert_eq!((site.places().as_str(), site.stores.writes()), ("north/bob", 2), "south has one at a time");
    retry(1);
    look(&site, &mut rounds, 300);
    retry(1);
    look(&site, &mut rounds, 300);
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/bob south/cid south/dan", 0));
    assert_eq!((site.stores.repeated(), site.stores.open_transactions()), (0, 0));
}

#[test]
fn what_is_being_sent_stays_where_it_is() {
    let site = in_the_way();
    site.stores.recover();
    site.stores.script("south", "writes", "*", Answer::Slow(100));
    site.world.pass(queue::INTERVAL_MAX);
    let place = || site.queue.entries_after(QueueId::new(Lsn::ZERO), 9).iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let (before, sealed) = (place(), site.queue.sealed_count());
    let mut rounds = pin!(site.relay.retry());
    look(&site, &mut rounds, 10);
    finish(site.queue.tidy(), Some(&site.queue));
    assert_eq!((place(), site.queue.sealed_count()), (before, sealed), "it would be moved otherwise");
    look(&site, &mut rounds, 500);
    assert_eq!((site.queue.waiting_count(), site.stores.repeated()), (0, 0));
    finish(site.queue.tidy(), Some(&site.queue));
    assert!(site.queue.sealed_count() < 3);
}
