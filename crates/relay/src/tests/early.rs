//! Mail that waits for a store which answers again.

use super::refusal;
use super::retry::Site;
use super::site::finish;
use super::stores::Answer;
use crate::QueueOrder;
use crate::retry::DUE_PER_LANE_MAX;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};

/// South is away, and mail for cid waits for it.
fn south_is_away() -> Site {
    let site = Site::new();
    site.stores.script("south", "opens", "*", Answer::Silence);
    let said = site.send(&["cid"], "Subject: x\n\nhello");
    assert!(said.starts_with("250"), "{said}");
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("", 1));
    site
}

#[test]
fn a_store_that_answers_again_gets_what_waits_for_it() {
    let site = south_is_away();
    site.stores.recover();
    site.round();
    assert_eq!(site.places(), "", "nobody knows that it is back");
    site.send(&["ann"], "to the other store");
    site.round();
    assert_eq!(site.places(), "north/ann", "another store says nothing about this one");
    site.send(&["dan"], "to the same store");
    site.round();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid south/dan", 0));
}

#[test]
fn what_a_round_stores_calls_what_is_not_due() {
    let site = south_is_away();
    // Its second attempt fails too: it waits longer than what comes now.
    site.later();
    site.send(&["dan"], "y");
    site.stores.recover();
    site.world.pass(queue::INTERVAL_MIN);
    site.round();
    assert_eq!(site.places(), "south/dan");
    site.round();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("south/cid south/dan", 0));
}

#[test]
fn after_a_start_the_first_delivery_calls_what_waits() {
    let site = south_is_away().crash();
    site.stores.recover();
    site.round();
    assert_eq!(site.places(), "");
    site.send(&["dan"], "y");
    site.round();
    assert_eq!(site.places(), "south/cid south/dan");
}

/// Or it would be tried without pause, and what waits behind it never: the store answers about everybody else.
#[test]
fn what_its_store_keeps_silent_about_is_hurried_once() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::Silence);
    site.send(&["cid"], "x");
    let before = site.stores.asked("commits");
    for _ in 0..3 {
        site.send(&["dan"], "y");
        site.round();
    }
    assert_eq!((site.stores.asked("commits") - before, site.queue.waiting_count()), (3 + 1, 1));
}

#[test]
fn what_its_store_answered_about_is_not_hurried() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    site.send(&["all"], "x");
    let attempts = site.stores.asked("commits");
    // South speaks all the time: its deliveries are no news.
    site.send(&["dan"], "y");
    site.round();
    assert_eq!((site.stores.asked("commits") - attempts, site.queue.waiting_count()), (1, 1));
}

#[test]
fn what_is_refused_for_good_or_held_is_not_hurried() {
    let site = south_is_away();
    site.stores.recover();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("552 5.2.2 Full")));
    site.later();
    site.stores.script("south", "opens", "*", Answer::Silence);
    site.send(&["dan"], "y");
    let (_, entry) = site.queue.entries_after(crate::QueueId::new(mail_types::Lsn::ZERO), 10).remove(1);
    finish(site.queue.order(entry.id, QueueOrder::Hold), Some(&site.queue)).expect("held");
    site.stores.recover();
    site.send(&["dan"], "z");
    let attempts = site.stores.asked("opens");
    site.round();
    assert_eq!((site.places().as_str(), site.stores.asked("opens")), ("south/dan", attempts));
    finish(site.queue.order(entry.id, QueueOrder::Release), Some(&site.queue)).expect("released");
    site.round();
    assert_eq!(site.places(), "south/dan south/dan");
}

#[test]
fn a_store_that_falls_silent_again_costs_one_attempt() {
    let site = south_is_away();
    site.send(&["cid"], "another");
    site.send(&["cid"], "a third");
    site.stores.recover();
    site.send(&["dan"], "y");
    site.stores.script("south", "opens", "*", Answer::Silence);
    let attempts = site.stores.asked("opens");
    site.round();
    site.round();
    assert_eq!(site.stores.asked("opens") - attempts, 1);
    site.stores.recover();
    site.world.pass(queue::INTERVAL_MIN);
    site.send(&["dan"], "z");
    site.round();
    assert_eq!(site.queue.waiting_count(), 0);
    assert_eq!((site.stores.mail().len(), site.stores.repeated()), (5, 0));
}

#[test]
fn a_round_has_its_limit_for_what_is_hurried_too() {
    let site = south_is_away();
    for number in 0..DUE_PER_LANE_MAX {
        site.send(&["cid"], &number.to_string());
    }
    site.stores.recover();
    site.send(&["dan"], "y");
    site.round();
    assert_eq!(site.queue.waiting_count(), 1);
    site.round();
    assert_eq!(site.queue.waiting_count(), 0);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets the rounds run until they rest; what was done then begins a round, although no clock has moved.
fn wakes_the_rounds(site: &Site, act: impl Fn(&Site)) {
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let mut context = Context::from_waker(&waker);
    let mut rounds = pin!(site.relay.retry());
    assert!(rounds.as_mut().poll(&mut context).is_pending());
    let before = woken.0.load(Ordering::Relaxed);
    act(site);
    assert!(woken.0.load(Ordering::Relaxed) > before);
    assert_eq!(rounds.as_mut().poll(&mut context), Poll::Pending);
}

#[test]
fn an_order_begins_a_round() {
    let site = south_is_away();
    site.stores.recover();
    wakes_the_rounds(&site, |site| {
        let (_, entry) = site.queue.entries_after(crate::QueueId::new(mail_types::Lsn::ZERO), 10).remove(0);
        finish(site.queue.order(entry.id, QueueOrder::Retry), Some(&site.queue)).expect("it waits");
    });
    assert_eq!(site.places(), "south/cid");
}

#[test]
fn a_store_that_answers_again_begins_a_round() {
    let site = south_is_away();
    site.stores.recover();
    wakes_the_rounds(&site, |site| {
        assert!(site.send(&["dan"], "y").starts_with("250"));
    });
    assert_eq!(site.places(), "south/cid south/dan");
}
