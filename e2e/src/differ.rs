//! The same IMAP session with Posthouse and with Dovecot, command by command.
//!
//! What this is: sessions from a seed, in which several clients of one account take turns; both servers get the same
//! commands, and what they answer must mean the same. What it is not: a judge of which one is right. Where both are right, a
//! [rule](allowed) says so with the section of the RFC.
//!
//! ```text
//!   seed ─▶ script ─▶ steps ─┬─▶ peer (Posthouse) ─▶ facts ─┐
//!                            └─▶ peer (Dovecot) ───▶ facts ─┴─▶ run: alike, allowed, or the shortest session that shows it
//! ```
//!
//! Invariants:
//! 1. The same seed gives the same session, whatever is answered.
//! 2. A client hears the news (NOOP) before each command that could change something, so that both servers number alike.
//! 3. What a client was told is kept: numbers that shift when they must not are a violation of either server.

pub mod act;
pub mod allowed;
pub mod dovecot;
pub mod facts;
pub mod peer;
pub mod run;
pub mod script;
pub mod value;

mod idle;
mod letters;
mod malformed;
mod memory;
mod search;
