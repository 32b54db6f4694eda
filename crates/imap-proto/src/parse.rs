//! From a complete command, literals included, to its value. Pure: what arrives in pieces is put together before
//! ([`crate::server`]).

mod append;
mod cursor;
mod fetch;
mod list;
mod request;
#[cfg(test)]
mod round_trips;
mod search;
#[cfg(test)]
mod tests;

pub use append::AppendMessage;
pub(crate) use append::{AppendHead, Tail, append_head, append_tail};
pub(crate) use cursor::{Announced, announced_literal, is_astring_char, leading_tag};
pub use request::{Rejected, Request, request};
pub(crate) use request::{base64_challenge, base64_response};
