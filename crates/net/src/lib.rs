//! Driver: sockets, TLS, time, tasks, and the one loop that runs every machine.
//!
//! What it is not: it knows no protocol. Which octets mean what is a [`machine::Machine`]'s business, what to answer is
//! a [`ports::Handler`]'s; this crate moves octets between them and a socket, and never holds more of either than it
//! says.
//!
//! ```text
//!   Listener ─ accept, PROXY header, seats, TLS ─▶ serve(stream, machine, handler)
//!                                      │ 1 events   machine.poll_event ─▶ handler.on_event ─▶ Flow
//!                                      │ 2 output   machine.poll_output ─▶ pieces, written many at a time
//!                                      ├ 3 wait for  writable │ readable │ handler.wake │ a time-out: all at once
//!                                      └ Flow::Pass: client ◀─ octets ─▶ handler.passage's back-end, each shown to a Track
//!   connect ──────────────────────────▶ Conversation(stream, machine): the same for who speaks first
//!   connect_host ─────────────────────▶ a Stream, for who speaks what is no machine (HTTP)
//!   Dialer: the port Caller ───────────▶ a source address, connect, PROXY header where one is wanted, TLS now or later
//!                                        (the cluster's, or what a foreign back-end needs); a Conversation is a Call
//!   SystemClock, TokioSpawn, OsRandom: the ports of time, tasks and chance
//! ```
//!
//! Invariants:
//! 1. It reads while it writes, whenever the machine wants input: two full socket buffers never wait for each other.
//! 2. An idle connection owns no buffer, nor does one that passes through: readiness comes first, then the octets land in
//!    a buffer of the thread.
//! 3. Output is taken from a machine only while less than [`OUTPUT_OCTETS_MAX`] waits for the peer, and events are
//!    decided only then; what a slow reader can make us hold is that and one answer.
//! 4. `on_close` runs exactly once: also after an error, a panic of the session, or its cancellation.
//! 5. While TLS is being agreed on, no octet is read as plain text (RFC 3207 §4.2). Who calls and is to turn to TLS gets the
//!    peer's lines one by one until then, so that nothing said in clear behind its agreement reaches a machine.
//! 6. Every wait ends: for input by the machine's time-out, for output by [`OUTPUT_STALL_MAX`], for a handshake by
//!    [`HANDSHAKE_SPAN_MAX`] or, by who calls, [`CALL_HANDSHAKE_SPAN_MAX`], for a PROXY header by [`PROXY_HEADER_SPAN_MAX`], at the end by [`CLOSE_SPAN_MAX`], for
//!    anything at all in a session that passes through by [`PASS_SILENCE_MAX`].
//! 7. A session that passes through holds, in each direction, what one read brought and the other end did not take; it
//!    reads no more meanwhile. What its [`ports::Track`] need not see goes from one plain socket to the other by splice(2),
//!    through a pipe that is borrowed while octets are in it, one of a limited number; no session finds another's octets there. The back-end is gone as soon as the client is.
//! 8. With [`ClusterTls`], no octet is taken from, or said to, a peer that has not shown that it is of the cluster; it never
//!    turns into TLS for everybody, whatever is read again.
//! 9. A back-end of another make hears nothing but the handshake, and says nothing that counts, before it has shown what
//!    [`ports::Trust`] demands; with STARTTLS all before that is in clear, and whoever asked for TLS gets TLS or an error.
//! 10. An address that did not answer is avoided for a while, and called nevertheless where no other answers.
//! 11. Whose certificate a session tells of ([`Stream::tls_facts`]) has proved that it has the key, to this connection or to the
//!     one that it resumes, under the same files; what has expired since says nothing.
//! 12. Where a PROXY header is expected, nothing is said or read before it, and only peers that were named may send one.
#![expect(clippy::disallowed_methods, reason = "a driver: it is what the ports end in")]

mod client;
mod dialer;
mod drivers;
mod exchange;
mod line;
mod listener;
mod network;
mod pass;
mod proxy_header;
mod session;
mod shutdown;
mod stream;
mod timer;
mod tls;

pub use client::{ConnectError, Conversation, HostError, TlsConnectError, connect, connect_host};
pub use dialer::{CONNECT_SPAN_MAX, Dialer, LOOKUP_SPAN_MAX, Names, chain};
pub use drivers::{BLOCKING_THREADS_MAX, OsRandom, SystemClock, TokioSpawn, runtime};
pub use exchange::{CLOSE_SPAN_MAX, OUTPUT_STALL_MAX};
pub use line::OUTPUT_OCTETS_MAX;
pub use listener::{BindError, Bound, Listener, ListenerHandle, ListenerOptions, Security};
pub use network::{Network, NetworkError};
pub use pass::PASS_SILENCE_MAX;
pub use proxy_header::PROXY_HEADER_SPAN_MAX;
pub use session::{SessionError, serve};
pub use shutdown::{Shutdown, Stopper};
pub use stream::Stream;
pub use tls::{
    CALL_HANDSHAKE_SPAN_MAX, CERTIFICATE_ADDRESS_OCTETS_MAX, CERTIFICATE_ADDRESSES_MAX, CertificateFiles,
    ClientAuthority, ClientTls, ClusterTls, HANDSHAKE_SPAN_MAX, HandshakeError, SECRET_OCTETS_MIN, ServerTls, TlsError,
    certificate_expiry, revocations_expiry,
};
