//! The server and its command line: where roles meet drivers.
//!
//! What it is not: a place for decisions about mail. It reads the configuration, opens sockets and files, binds the
//! roles to them, and gives operators their commands.
//!
//! ```text
//!   posthouse.toml ┐              ┌─ nodes, stores, listeners ─▶ roles bound to drivers
//!   conf.d/*.toml ─┴─▶ tree ─▶ Config     (every mistake with its file, line and key; nothing starts with one)
//!   tracing ─▶ log: logfmt or JSON, what peers choose escaped
//! ```
//!
//! Invariants:
//! 1. Whoever holds a [`config::Config`] need not check it again.
//! 2. A key that nobody reads is a mistake: it cannot be misspelt in silence.
//! 3. A log line is one line, whatever a peer calls himself.
#![expect(clippy::disallowed_methods, reason = "a world: this is where files, tasks and clocks come from")]

pub mod command;
pub mod config;
pub mod log;
pub mod node;
pub mod quickstart;
pub mod selftest;
pub mod serve;
mod signals;
mod systemd;
