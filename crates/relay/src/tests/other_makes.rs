//! Stores of another make, and domains of which only they know who is there.

use super::logged::Logged;
use super::retry::Site;
use super::site::{Talk, relay, routing, taken_over};
use super::stores::{Answer, Stores};
use super::{ENVELOPE, refusal};
use smtp_proto::Dialect;
use std::sync::Arc;
use std::time::Duration;

const AWAY: &str = "451 4.4.1 The store does not answer";

/// What a RCPT is answered, in a conversation of its own.
fn rcpt(site: &Site, to: &str) -> String {
    let mut talk = site.talk();
    talk.say(ENVELOPE.trim_end());
    talk.say(&format!("RCPT TO:<{to}>"))
}

/// What the final dot is answered.
fn send(site: &Site, to: &[&str]) -> String {
    let mut talk = site.talk();
    talk.say(ENVELOPE.trim_end());
    for to in to {
        let said = talk.say(&format!("RCPT TO:<{to}>"));
        assert!(said.starts_with("250"), "{to}: {said}");
    }
    talk.say("DATA");
    talk.say("Subject: x\n\nhello\n.")
}

fn places(site: &Site) -> Vec<String> {
    let mut places: Vec<_> = site.stores.mail().iter().map(super::stores::Mail::place).collect();
    places.sort();
    places
}

#[test]
fn an_account_there_is_like_one_of_ours() {
    let site = Site::new();
    assert!(send(&site, &["Gil@a.example", "ann@a.example"]).starts_with("250"));
    assert_eq!(places(&site), ["north/ann", "old/gil"]);
    assert_eq!(
        site.stores.mail().iter().filter(|mail| mail.recipient.recipient.to_string() == "Gil@a.example").count(),
        1
    );
    // Away, the mail waits; refused, it is refused.
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    assert!(send(&site, &["gil@a.example"]).starts_with("250"));
    assert_eq!((site.queue.entry_count(), places(&site).len()), (1, 2));
    site.stores.recover();
    site.later();
    assert_eq!((site.queue.entry_count(), places(&site).len()), (0, 3));
    site.stores.script("old", "takes", "gil", Answer::No(refusal("550 5.1.1 Gil has left")));
    assert!(rcpt(&site, "gil@a.example").starts_with("550 5.1.1 Gil has left"));
    site.stores.script("old", "takes", "gil", Answer::No(refusal("450 4.2.0 Greylisted")));
    assert!(rcpt(&site, "gil@a.example").starts_with("450 4.2.0 Greylisted"));
}

#[test]
fn who_is_unchecked_is_there_if_the_store_says_so() {
    let site = Site::new();
    assert!(send(&site, &["Hal+x@other.example", "ida@other.example"]).starts_with("250"));
    let mut told: Vec<_> = site.stores.mail().iter().map(|mail| mail.recipient.recipient.to_string()).collect();
    told.sort();
    assert_eq!(told, ["Hal+x@other.example", "ida@other.example"], "two recipients, as they were received");
    site.stores.script("old", "takes", "no", Answer::No(refusal("550 5.1.1 No such user")));
    assert!(rcpt(&site, "no@other.example").starts_with("550 5.1.1 No such user"));
    // All or nobody.
    site.stores.script("old", "takes", "hal", Answer::No(refusal("550 5.1.1 No such user")));
    assert!(rcpt(&site, "both@a.example").starts_with("550 5.1.1"));
    assert_eq!(site.queue.entry_count(), 0);
}

#[test]
fn away_the_unchecked_are_put_off_and_neither_refused_nor_taken() {
    for (verb, user) in [("opens", "*"), ("takes", "hal")] {
        for answer in [Answer::No(refusal(AWAY)), Answer::Silence] {
            let site = Site::new();
            site.stores.script("old", verb, user, answer);
            assert!(rcpt(&site, "hal@other.example").starts_with("451 4.4.1"), "{verb}");
            assert!(rcpt(&site, "both@a.example").starts_with("451 4.4.1"), "{verb}");
            // Beside one whom the directory knows, who waits there.
            let mut talk = site.talk();
            talk.say(ENVELOPE.trim_end());
            assert!(talk.say("RCPT TO:<gil@a.example>").starts_with("250"), "{verb}");
            assert!(talk.say("RCPT TO:<hal@other.example>").starts_with("451 4.4.1"), "{verb}");
            talk.say("DATA");
            assert!(talk.say("x\n.").starts_with("250"), "{verb}");
            let mut waiting: Vec<_> = places(&site);
            site.stores.recover();
            site.later();
            waiting.extend(places(&site));
            assert!(
                !waiting.iter().any(|place| place.contains("hal")) && places(&site) == ["old/gil"],
                "{verb}: {waiting:?}"
            );
        }
    }
}

#[test]
fn a_yes_stands_in_for_a_store_that_is_away_for_a_moment() {
    let site = Site::new();
    assert!(rcpt(&site, "hal@other.example").starts_with("250"));
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    assert!(rcpt(&site, "ida@other.example").starts_with("451 4.4.1"));
    assert!(send(&site, &["hal@other.example"]).starts_with("250"));
    assert_eq!(site.queue.entry_count(), 1);
    site.world.pass(Duration::from_secs(11 * 60));
    assert!(rcpt(&site, "hal@other.example").starts_with("451 4.4.1"), "for minutes, no longer");
    site.stores.recover();
    site.later();
    assert_eq!((site.queue.entry_count(), places(&site)), (0, vec!["old/hal".to_owned()]));
}

#[test]
fn a_no_is_not_asked_for_again_at_once() {
    let site = Site::new();
    site.stores.script("old", "takes", "no", Answer::No(refusal("550 5.1.1 No such user")));
    for _ in 0..5 {
        assert!(rcpt(&site, "no@other.example").starts_with("550 5.1.1 No such user"));
    }
    assert_eq!(site.stores.asked("takes"), 1);
    // Who has just been made is soon found.
    site.stores.recover();
    site.world.pass(Duration::from_secs(60));
    assert!(rcpt(&site, "no@other.example").starts_with("250"));
    // What is no word about the user is asked again each time.
    for said in ["450 4.2.0 Greylisted", "550 5.7.1 Not from this sender", "552 5.2.2 Full"] {
        site.stores.script("old", "takes", "no", Answer::No(refusal(said)));
        let before = site.stores.asked("takes");
        assert!(rcpt(&site, "no@other.example").starts_with(said), "{said}");
        assert!(rcpt(&site, "no@other.example").starts_with(said), "{said}");
        assert_eq!(site.stores.asked("takes"), before + 2, "{said}");
    }
}

#[test]
fn a_final_no_ends_a_yes_and_one_to_the_sender_does_not() {
    for (said, of_all, is_there_still) in [
        ("552 5.2.2 Full", false, false),
        ("550 5.1.8 Sender address rejected", false, true),
        ("550 5.1.1 No such sender", true, true),
        ("450 4.2.0 Greylisted", false, true),
    ] {
        let site = Site::new();
        assert!(rcpt(&site, "hal@other.example").starts_with("250"));
        site.stores.script("old", "takes", "hal", Answer::No(refusal(said)));
        if of_all {
            site.stores.script("old", "fails", "*", Answer::Silence);
        }
        assert!(rcpt(&site, "hal@other.example").starts_with(said));
        site.stores.recover();
        site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
        let expected = if is_there_still { "250" } else { "451 4.4.1" };
        assert!(rcpt(&site, "hal@other.example").starts_with(expected), "{said}");
    }
}

#[test]
fn once_taken_the_unchecked_wait_like_all_others() {
    let site = Site::new();
    // Nobody knows what came of it, and this store knows no delivery ids: it is sent again.
    site.stores.script("old", "commits", "hal", Answer::No(refusal("451 4.4.2 broke")));
    assert!(send(&site, &["hal@other.example"]).starts_with("250"));
    assert_eq!(site.queue.entry_count(), 1);
    site.stores.recover();
    site.later();
    assert_eq!((site.queue.entry_count(), places(&site)), (0, vec!["old/hal".to_owned()]));
}

#[test]
fn a_store_that_is_ours_by_now_hears_nothing_of_who_has_no_account() {
    let site = Site::new();
    assert!(rcpt(&site, "hal@other.example").starts_with("250"));
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    assert!(send(&site, &["hal@other.example", "gil@a.example"]).starts_with("250"));
    site.stores.recover();
    let site = site.knowing(taken_over());
    let asked = site.stores.asked("takes");
    site.later();
    assert_eq!((places(&site), site.stores.asked("takes") - asked), (vec!["old/gil".to_owned()], 1));
    assert_eq!(site.queue.waiting_count(), 1);
    // What is for him goes where he is known.
    let site = site.knowing(routing());
    site.later();
    assert_eq!((places(&site), site.queue.waiting_count()), (vec!["old/gil".to_owned(), "old/hal".to_owned()], 0));
}

#[test]
fn the_end_of_a_message_has_time_where_haste_would_double_it() {
    let site = Site::new();
    site.relay.set_commit_wait(Duration::from_secs(20));
    for (to, store, user, queued) in [("ann@a.example", "north", "ann", 1), ("gil@a.example", "old", "gil", 0)] {
        site.stores.script(store, "commits", user, Answer::Slow(40));
        let before = site.queue.entry_count();
        assert!(send(&site, &[to]).starts_with("250"), "{to}");
        assert_eq!(site.queue.entry_count() - before, queued, "{to}");
    }
}

/// RFC 5321 §4.5.3.2.6.
#[test]
fn from_the_queue_it_has_ten_minutes() {
    let site = Site::new();
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    site.stores.script("north", "opens", "*", Answer::No(refusal(AWAY)));
    assert!(send(&site, &["ann@a.example"]).starts_with("250") && send(&site, &["gil@a.example"]).starts_with("250"));
    site.stores.recover();
    site.stores.script("old", "commits", "gil", Answer::Slow(600));
    site.stores.script("north", "commits", "ann", Answer::Slow(600));
    site.later();
    assert_eq!((site.queue.entry_count(), places(&site)), (1, vec!["old/gil".to_owned()]), "five for one of ours");
}

#[test]
fn without_a_port_for_mail_it_is_put_off() {
    let site = Site::new();
    assert!(rcpt(&site, "x@dumb.example").starts_with("451 4.3.5"));
    assert!(rcpt(&site, "x@open.example").starts_with("451 4.3.5"), "a store of ours makes no account for a stranger");
    assert_eq!(site.stores.asked("opens"), 0);
}

#[test]
fn without_a_queue_nobody_is_taken_whose_store_is_away() {
    let (stores, routing) = (Stores::new(), Arc::new(routing()));
    let relay = Arc::new(relay(&stores, move || Some(Arc::clone(&routing)), super::site::World::new()));
    let mut talk = Talk::speaking(Dialect::Smtp, relay, None);
    stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    talk.say(ENVELOPE.trim_end());
    for to in ["gil@a.example", "hal@other.example"] {
        assert!(talk.say(&format!("RCPT TO:<{to}>")).starts_with("451 4.4.1"), "{to}");
    }
}

#[test]
fn the_log_says_of_a_refusal_which_store_it_was_and_why_it_is_silent() {
    let site = Site::new();
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    let line = |to: &str| {
        let lines = Logged::by(|| rcpt(&site, to)).1;
        lines.into_iter().find(|line| line.contains("recipient refused")).expect("a line")
    };
    let away = line("hal@other.example");
    let end = "rcpt=<hal@other.example> store=old reply=451 4.4.1 The store does not answer why=\"the host of old is on fire\"";
    assert!(away.ends_with(end), "{away}");
    // One that answers says itself why; and no store was asked about who is nobody.
    site.stores.script("old", "opens", "*", Answer::No(refusal("450 4.2.0 Greylisted")));
    let answered = line("hal@other.example");
    assert!(answered.ends_with("store=old reply=450 4.2.0 Greylisted"), "{answered}");
    let nobody = line("nobody@a.example");
    assert!(!nobody.contains("store=") && !nobody.contains("why="), "{nobody}");
    site.stores.script("old", "opens", "*", Answer::No(refusal(AWAY)));
    let lines = Logged::by(|| assert!(send(&site, &["gil@a.example"]).starts_with("250"))).1;
    let queued = lines.iter().find(|line| line.contains("to the retry queue")).expect("a line");
    assert!(queued.ends_with("why=\"the host of old is on fire\""), "{queued}");
}
