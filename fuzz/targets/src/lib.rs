//! What must hold for any octets: one function per decoder, for a fuzzer and for the test suite alike.
//!
//! A target takes octets as a peer or a disk would give them and panics where a promise of the decoder is broken: not
//! only "no panic", but "any split of the stream gives the same events", "what was read is written as it was", "ranges
//! lie in the message". It is deliberately no fuzzer: `fuzz/fuzz_targets` hands these functions to libFuzzer, and
//! `tests/corpus.rs` replays `fuzz/corpus` and seeded mutations of it in every run of the suite.
//!
//! ```text
//!   fuzz/corpus/NAME/* ─┬─▶ tests/corpus.rs (replay, 2,000 mutations) ─┐
//!                       └─▶ libFuzzer ─▶ fuzz/fuzz_targets/NAME.rs ────┴─▶ TARGETS: NAME(data) ─▶ a decoder
//!   seeds.rs ─▶ examples/seeds.rs ─▶ the binary files of fuzz/corpus
//! ```
//!
//! Invariants:
//! 1. A target is a pure function of its octets: no clock decides, no randomness, no file.
//! 2. A target's time is linear in its input, so that what is slow is the decoder's fault.
//! 3. Every target is in [`TARGETS`], under the name of its corpus folder and of its file in `fuzz_targets`.
//!
//! RFCs: those of the crates that are called.
#![expect(clippy::disallowed_methods, reason = "a world: machines need some Instant to count from")]

mod converse;
mod directory_files;
mod files;
mod forge;
mod imap;
mod journals;
mod logins;
mod mail;
mod mailboxes;
mod managesieve;
mod passwords;
mod pop3;
mod proxy;
mod queues;
pub mod seeds;
mod smtp;
mod tokens;
mod words;

pub use directory_files::directory_file;
pub use files::{aliases, passwd_file, popmap, postfix_virtual, regex_map, transport, user_map};
pub use imap::{imap_deflate, imap_request, imap_server};
pub use journals::{journal_forged, journal_recover};
pub use logins::{imap_client, managesieve_client, pop3_client};
pub use mail::message;
pub use mailboxes::{body_frame, mailbox_record};
pub use managesieve::{managesieve_server, managesieve_track};
pub use passwords::{sasl, stored_password};
pub use pop3::pop3_server;
pub use proxy::proxy_header;
pub use queues::queue_record;
pub use smtp::{smtp_client, smtp_server};
pub use tokens::access_token;
pub use words::mail_types;

/// A function that panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_token", access_token),
    ("aliases", aliases),
    ("body_frame", body_frame),
    ("directory_file", directory_file),
    ("imap_client", imap_client),
    ("imap_deflate", imap_deflate),
    ("imap_request", imap_request),
    ("imap_server", imap_server),
    ("journal_forged", journal_forged),
    ("journal_recover", journal_recover),
    ("mail_types", mail_types),
    ("mailbox_record", mailbox_record),
    ("managesieve_client", managesieve_client),
    ("managesieve_server", managesieve_server),
    ("managesieve_track", managesieve_track),
    ("message", message),
    ("passwd_file", passwd_file),
    ("pop3_client", pop3_client),
    ("pop3_server", pop3_server),
    ("popmap", popmap),
    ("postfix_virtual", postfix_virtual),
    ("proxy_header", proxy_header),
    ("queue_record", queue_record),
    ("regex_map", regex_map),
    ("sasl", sasl),
    ("smtp_client", smtp_client),
    ("smtp_server", smtp_server),
    ("stored_password", stored_password),
    ("transport", transport),
    ("user_map", user_map),
];
