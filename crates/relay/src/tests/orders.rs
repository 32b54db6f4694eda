//! What an operator wants of queued mail.

use super::refusal;
use super::retry::{Site, in_the_way};
use super::site::finish;
use super::stores::Answer;
use crate::{OrderError, QueueEntry, QueueId, QueueOrder, QueueState};
use mail_types::{DeliveryId, Lsn};
use std::pin::pin;
use std::task::{Context, Waker};

/// Somebody waits: cid, whose store says no.
fn waits() -> (Site, DeliveryId) {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    assert!(site.send(&["all"], "Subject: x\n\nhello").starts_with("250"));
    let (_, entry) = site.queue.entries_after(QueueId::new(Lsn::ZERO), 10).remove(0);
    (site, entry.id)
}

fn order(site: &Site, id: DeliveryId, order: QueueOrder) -> Result<Vec<QueueEntry>, OrderError> {
    finish(site.queue.order(id, order), Some(&site.queue))
}

#[test]
fn what_is_held_is_not_tried_and_survives_a_crash() {
    let (site, id) = waits();
    order(&site, id, QueueOrder::Hold).expect("held");
    assert_eq!(order(&site, id, QueueOrder::Retry), Err(OrderError::Held(id)));
    site.stores.recover();
    site.later();
    // Done means durable.
    let site = site.crash();
    let count = site.queue.count();
    assert_eq!((count.messages, count.recipients, count.held), (1, 1, 1));
    assert_eq!(count.oldest.map(|since| since.secs()), Some(880_127_706));
    site.later();
    site.later();
    assert_eq!(site.places(), "north/ann");

    order(&site, id, QueueOrder::Release).expect("released");
    assert_eq!(order(&site, id, QueueOrder::Release), Err(OrderError::NotHeld(id)));
    let site = site.crash();
    site.round();
    assert_eq!((site.places().as_str(), site.queue.count()), ("north/ann south/cid", Default::default()));
    assert_eq!(order(&site, id, QueueOrder::Hold), Err(OrderError::Gone(id)));
}

#[test]
fn retry_does_not_wait_for_its_time() {
    let (site, id) = waits();
    site.stores.recover();
    site.round();
    assert_eq!(site.places(), "north/ann", "not before its time");
    order(&site, id, QueueOrder::Retry).expect("it waits");
    site.round();
    assert_eq!(site.places(), "north/ann south/cid");
}

#[test]
fn what_is_removed_is_gone_for_good() {
    let (site, id) = waits();
    let lost = order(&site, id, QueueOrder::Remove).expect("it waited");
    let lost: Vec<String> = lost[0].waiting.iter().map(|waiting| waiting.recipient.recipient.to_string()).collect();
    assert_eq!(lost, ["cid@a.example"]);
    site.stores.recover();
    let site = site.crash();
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 0));
}

#[test]
fn orders_are_for_one_message_with_all_its_entries() {
    let (site, first) = waits();
    assert!(site.send(&["all"], "Subject: y\n\nhello").starts_with("250"));
    let entries = site.queue.entries_after(QueueId::new(Lsn::ZERO), 10);
    assert_eq!(site.queue.entries_after(entries[0].0, 10), entries[1..]);
    order(&site, first, QueueOrder::Hold).expect("held");
    let states: Vec<QueueState> =
        site.queue.entries_after(QueueId::new(Lsn::ZERO), 10).into_iter().map(|(_, entry)| entry.state).collect();
    assert_eq!(states, [QueueState::Held, QueueState::Waiting]);
    assert_eq!(
        order(&site, DeliveryId::from_bytes([0xff; 16]), QueueOrder::Remove),
        Err(OrderError::Gone(DeliveryId::from_bytes([0xff; 16])))
    );
}

/// Whoever gave an order may be gone before it is durable; it is carried out all the same, wherever its message is moved.
#[test]
fn an_order_outlives_who_gave_it() {
    for wanted in [QueueOrder::Remove, QueueOrder::Hold] {
        let site = in_the_way();
        let (_, entry) = site.queue.entries_after(QueueId::new(Lsn::ZERO), 10).remove(0);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut ordered = pin!(site.queue.order(entry.id, wanted));
            assert!(ordered.as_mut().poll(&mut context).is_pending(), "it is appended, and not durable");
        }
        let sealed = site.queue.sealed_count();
        // The round begins before the writer has its turn.
        let mut round = pin!(site.relay.retry_round());
        assert!(round.as_mut().poll(&mut context).is_pending());
        finish(round, Some(&site.queue));
        let count = site.queue.count();
        if wanted == QueueOrder::Remove {
            assert_eq!(count.recipients, 0, "it is back");
        } else {
            assert_eq!((count.recipients, count.held), (1, 1), "it is held no more");
            assert!(site.queue.sealed_count() < sealed, "it was not moved: this proves nothing");
        }
    }
}
