//! The driver over real sockets: a toy protocol, its role, and peers that behave and misbehave.
#![expect(clippy::disallowed_methods, reason = "tests are worlds: they call sockets and tasks by name")]

mod client;
mod client_certificates;
mod cluster;
mod dialer;
mod exhausted;
mod foreign;
mod listener;
mod pass;
mod proxy_header;
mod session;
mod starttls;
mod tls;
mod toy;
