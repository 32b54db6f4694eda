//! The authenticator beside a pool that is busy, and beside one that stops.
#![allow(clippy::unwrap_used, reason = "a test")]

mod world;

use proxy::{
    Client, FAILED_LOGIN_SPAN, LoginOutcome, Outcome, PASSWORD_CHECK_COUNT_MAX, PASSWORD_HASHES_AT_ONCE, Protocol,
};
use sasl::{Credentials, Failure, Password};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use world::{ALICE, Pool, World, finish, peer};

const CLIENT_IP: &str = "198.51.100.7";

fn client() -> Client {
    Client::new(Protocol::Submission, peer(CLIENT_IP, true))
}

fn credentials(name: &str, password: &str) -> Result<Credentials, Failure> {
    let password = Password::new(password.as_bytes().to_vec()).unwrap();
    Ok(Credentials { authorization: None, authentication: name.to_owned(), password })
}

#[test]
fn says_who_it_is_and_where() {
    let world = World::new();
    let outcome = finish(world.proxy.authenticator.log_in(&client(), credentials("alice%example.test", "secret")));
    let Outcome::LoggedIn { store, who } = outcome else { panic!("{outcome:?}") };
    assert_eq!(store.as_str(), "here");
    assert_eq!((who.account, who.address.to_string()), (ALICE, "alice@example.test".to_owned()));
    assert_eq!(who.peer, client().peer);
}

#[test]
fn a_password_that_was_right_is_not_hashed_again_while_its_hash_stays() {
    let world = World::with_verified(Duration::from_secs(2));
    let log_in = |password: &str| finish(world.proxy.authenticator.log_in(&client(), credentials("argo", password)));
    let hashed = || world.spawn.blocked.load(Ordering::Relaxed);
    assert!(matches!(log_in("guess"), Outcome::WrongPassword));
    assert!(matches!(log_in("guess"), Outcome::WrongPassword));
    assert_eq!(hashed(), 2, "what is wrong is not remembered, and costs what it did");
    for _ in 0..3 {
        assert!(matches!(log_in("secret"), Outcome::LoggedIn { .. }));
    }
    assert_eq!(hashed(), 3);
    // Two seconds pass.
    assert!(matches!(log_in("guess"), Outcome::WrongPassword) && matches!(log_in("guess"), Outcome::WrongPassword));
    assert!(matches!(log_in("secret"), Outcome::LoggedIn { .. }));
    assert_eq!(hashed(), 6, "it is forgotten");
    world.change_password("argo", "{PLAIN}another");
    assert!(matches!(log_in("secret"), Outcome::WrongPassword), "a new password acts at once");
}

#[test]
fn passwords_that_wait_are_bounded_and_a_stopping_pool_is_no_verdict() {
    let world = World::new();
    let authenticator = &world.proxy.authenticator;
    *world.spawn.pool.lock().unwrap() = Pool::Busy(Vec::new());
    let client = client();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..PASSWORD_CHECK_COUNT_MAX)
        .map(|_| Box::pin(authenticator.log_in(&client, credentials("alice", "guess"))))
        .collect();
    for login in &mut waiting {
        assert!(login.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(world.spawn.blocked.load(Ordering::Relaxed), PASSWORD_HASHES_AT_ONCE as u64, "the pool has other work");
    let over = finish(authenticator.log_in(&client, credentials("alice", "guess")));
    assert!(matches!(over, Outcome::Unavailable), "one more than wait at a time");
    assert_eq!(world.clock.slept(), FAILED_LOGIN_SPAN, "nobody asks at the speed of the wire");
    let right = finish(authenticator.log_in(&client, credentials("alice", "secret")));
    assert!(matches!(right, Outcome::LoggedIn { .. }), "a cheap hash waits for nobody");

    // Clients that hang up give back a place in the line, but take nothing back from the pool …
    let mut stay = waiting;
    stay.truncate(PASSWORD_HASHES_AT_ONCE + 1);
    let mut next = Box::pin(authenticator.log_in(&client, credentials("alice", "guess")));
    assert!(next.as_mut().poll(&mut context).is_pending());
    drop(next);
    // … until it drops its work, because the program stops.
    *world.spawn.pool.lock().unwrap() = Pool::Idle;
    let last = stay.pop().unwrap();
    for mut login in stay {
        assert!(matches!(login.as_mut().poll(&mut context), Poll::Ready(Outcome::Unavailable)));
    }
    // Whoever stood behind them has his turn.
    assert!(matches!(finish(last), Outcome::WrongPassword));
    let wrong = finish(authenticator.log_in(&client, credentials("alice", "guess")));
    assert!(matches!(wrong, Outcome::WrongPassword));
    assert_eq!(world.spawn.blocked.load(Ordering::Relaxed), PASSWORD_HASHES_AT_ONCE as u64 + 2);
    // Whoever hung up is no outcome, nor is a right password before a store has let its owner in.
    let counted = LoginOutcome::ALL.map(|outcome| authenticator.counts().count(Protocol::Submission, outcome));
    assert_eq!(counted, [0, 2, 0, 5, 0]);
}
