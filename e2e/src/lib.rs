//! A running Posthouse, seen from outside.
//!
//! What this is: what the end-to-end tests and the soak run share: starting and stopping a site, small clients that
//! believe nothing, the programs that people use, a ledger of what was acknowledged. What it is not: a place that knows
//! how Posthouse works inside; nothing here uses a crate of ours, so that no bug can hide on both sides.
//!
//! ```text
//!   tests/e2e ──▶ site ────▶ posthouse quickstart --dir D --port-base N        bin/soak ──▶ ledger::rounds
//!      │           ▲                        ▲                                                │
//!      ├─ scripts/*, swaks, curl, postfix,  │ LMTP, SMTP, IMAP                               ├─ load   what is told
//!      │  mbsync, fetchmail (programs) ─────┤                                                ├─ power  how it dies
//!      └─ wire, smtp, imap, pop3 ───────────┘                                                └─ check  what is left
//! ```
//!
//! Invariants:
//! 1. What the ledger calls acknowledged was answered 250 (or `OK`) before; it is noted after the answer, never before.
//! 2. Nothing waits without a bound, and nothing waits for time alone: there is always something to ask.
//! 3. Only processes that a test started are ended, by their id.
//! 4. A program that cannot be had makes its tests skipped by name, never passed.
#![expect(clippy::disallowed_methods, reason = "a world: it owns sockets, files, threads and time")]

pub mod back_end;
pub mod cluster;
pub mod daemon;
pub mod differ;
pub mod fault;
pub mod imap;
pub mod imaptest;
pub mod ledger;
pub mod letter;
pub mod libraries;
pub mod limited;
pub mod namespaces;
pub mod pop3;
pub mod postfix;
pub mod power;
pub mod programs;
pub mod random;
pub mod sieve;
pub mod site;
pub mod smtp;
pub mod wire;

pub mod ports;

mod deflate;
mod tls;
