//! What a store that takes long means for the rounds of the queue.

use super::retry::Site;
use super::stores::Answer;

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
