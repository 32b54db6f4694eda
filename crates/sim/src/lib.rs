//! Whole stores on one thread from one seed, with a disk that fails.
//!
//! A run is several lives of one store. In each, clients deliver, append, copy, move, flag, expunge and rename beside
//! each other; the store's threads are steps that chance interleaves with them; then trouble comes, the store starts
//! again on what is left, and a ledger of everything that was answered or seen says whether a promise is broken.
//!
//! It is not a model of IMAP: what a command means is tested in `store` and `mailbox`. It knows no protocol and no
//! real disk, and it has no network yet.
//!
//! ```text
//!   seed ─▶ Chance ─┬─▶ clients (futures, polled when woken) ─▶ Store ─▶ SimDisk, SimIndex ◀─ trouble: power, EIO,
//!                   ├─▶ steps: writer, apply, checkpoint ───────▶ │                            ENOSPC, kill, clock
//!                   └─▶ trouble, restart ─▶ Ledger ◀── answers ───┴── scans
//! ```
//!
//! What is checked, at every scan and after every start:
//! 1. Promise 1: what was acknowledged, or seen, is there with its octets; a repeated delivery id is there once.
//! 2. Promise 2: no (UIDVALIDITY, UID) of an account names two messages; UIDNEXT, HIGHESTMODSEQ and the UIDVALIDITY of
//!    new mailboxes only grow.
//! 3. Promise 3: a store of an older epoch cannot open what a newer one has written.
//! 4. Replay gives the live state; counters agree with contents; changed and vanished messages with what was seen.
//! 5. Whoever waits is woken: a client that nobody wakes fails the run. One seed twice gives one trace.
//! 6. Without a fault, a store starts, takes what the quota allows, and refuses the rest.
//!
//! A fault excuses a start that fails for as long as it may strike; after that, everything must work.
//! Steps of a life are counted, and a run that blocks is left behind, so nothing here waits for ever.
//!
//! A seed that ever failed stays in `seeds.txt`: `cargo run -p sim -- --known` replays them, those that are open
//! included, and `cargo run -p sim -- --seeds 0..10000` looks for more.

#![allow(clippy::disallowed_methods, reason = "a world: it makes the clock, and threads for its runs")]

mod chance;
mod client;
mod draw;
mod facts;
mod host;
mod known;
mod ledger;
mod mail;
mod op;
mod process;
mod scan;
mod sim;
mod trouble;
mod watch;

pub use known::{KnownSeed, known_seeds};
pub use sim::Report;
pub use trouble::Trouble;
pub use watch::run;

/// A promise that was broken, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation(String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Says what is broken unless it holds.
fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(what())) }
}
