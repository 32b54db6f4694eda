//! Every limit of the protocol, by name. What an operator may want to change is a field of
//! [`server::Limits`](crate::server::Limits) or [`client::Timeouts`](crate::client::Timeouts) and defaults to a constant here.

use std::time::Duration;

/// A command line without its CRLF. RFC 5321 §4.5.3.1.4 gives 512 with CRLF; to that the extensions add: SIZE 26
/// (RFC 1870 §3), 8BITMIME 17 (RFC 6152 §2), SMTPUTF8 460 (RFC 6531 §3.4), AUTH 500 (RFC 4954 §3), DSN 107 to MAIL and
/// 28 and 500 to RCPT (RFC 3461 §5.4 to §5.1).
pub const COMMAND_OCTETS_MAX: usize = 510 + 26 + 17 + 460 + 500 + 107 + 28 + 500;

/// A line of an AUTH exchange, either way (RFC 4954 §4, `AUTH` line length).
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;

/// The name after HELO, EHLO or LHLO (RFC 5321 §4.5.3.1.2).
pub const HELLO_NAME_OCTETS_MAX: usize = 255;

/// A reply line that we write, with its CRLF (RFC 5321 §4.5.3.1.5).
pub const REPLY_LINE_OCTETS_MAX: usize = 512;

/// A reply line that we read. RFC 5321 §4.5.3.1.5 says 512; peers that tell a long URL exist.
pub const REPLY_LINE_OCTETS_READ_MAX: usize = 4096;

/// Lines of one reply, read or written. The RFC sets none (§4.2.1); the longest EHLO answers seen have 30.
pub const REPLY_LINE_COUNT_MAX: usize = 128;

/// `ENVID` (RFC 3461 §4.4).
pub const ENVID_OCTETS_MAX: usize = 100;

/// `ORCPT` (RFC 3461 §4.2).
pub const ORCPT_OCTETS_MAX: usize = 500;

/// `XRCPT` between nodes: an address in xtext, whose local part is quoted, escaped and then encoded where it is at its worst
/// (64 octets and a domain of 255, RFC 5321 §4.5.3.1.1 and .2). What nodes add to MAIL and RCPT fits
/// [`COMMAND_OCTETS_MAX`], since they say nothing of DSN and AUTH.
pub const RECEIVED_AS_OCTETS_MAX: usize = 3 * (2 * 64 + 2) + 1 + 255;

/// A line of a message with its CRLF. RFC 5321 §4.5.3.1.6 lets a server stop at 1000; real mail has HTML in one line,
/// and as the body streams, a long line costs no memory.
pub const TEXT_LINE_OCTETS_MAX: usize = 1 << 20;

/// The most of a message in one `Event::Body`; the journal's largest body chunk.
pub const BODY_CHUNK_OCTETS_MAX: usize = 256 << 10;

/// A message without dot-stuffing and final dot (RFC 1870 §5), unless the role says otherwise.
pub const SIZE_MAX: u64 = 50 << 20;

/// Recipients of one transaction; RFC 5321 §4.5.3.1.8 asks for at least 100. One more is told 452 4.5.3 (§4.5.3.1.10).
pub const RCPT_COUNT_MAX: usize = 1000;

/// Recipients of one transaction between nodes: an alias that the relay expanded may be many accounts.
pub const CLUSTER_RCPT_COUNT_MAX: usize = 10_000;

/// What a message may grow on its way from a relay to a store, beyond the size that its sender was allowed: our Received
/// header.
pub const CLUSTER_SIZE_ROOM: u64 = 64 << 10;

/// What a node waits for the next command, or the next octets of a message, of another node: these come when a sender far away
/// has sent a whole chunk, and it may be slow. The relay watches its senders.
pub const CLUSTER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Commands that we had to refuse as such, since the last message that was accepted (RFC 5321 §7.8).
pub const BAD_COMMAND_COUNT_MAX: u32 = 20;

/// NOOP, RSET, VRFY, HELP and repeated greetings since the last message that was accepted (RFC 5321 §7.8).
pub const IDLE_COMMAND_COUNT_MAX: u32 = 1000;

/// Input that a server keeps while it wants none. A driver that heeds `wants_input` never comes near.
pub const INPUT_OCTETS_MAX: usize = 1 << 20;

/// Output that nobody took; beyond it no more input is wanted.
pub const OUTPUT_OCTETS_MAX: usize = 64 << 10;

/// What a server waits for the next command (RFC 5321 §4.5.3.2.7).
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What a server waits for a whole envelope, from MAIL to DATA, whatever is said meanwhile: an open envelope may hold a
/// connection to the store of each recipient, and NOOP keeps the conversation alive for hours. RFC 5321 §4.5.3.2.7 bounds
/// the single command only.
pub const ENVELOPE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// What a server waits for the next octets of a message, and a client to be rid of them (RFC 5321 §4.5.3.2.5).
pub const DATA_TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// What a server waits for a whole message, however its octets come: whoever sends one a minute holds a connection, and
/// what its message holds. RFC 5321 §4.5.3.2.5 bounds the pieces only.
pub const DATA_TOTAL_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Where the largest message that is taken would need longer than [`DATA_TOTAL_TIMEOUT`] at this rate, it has so long.
pub const DATA_OCTETS_PER_SECOND_MIN: u64 = 16 << 10;

/// A command line that has no end after so many octets gets none: nothing that follows could be told from it. Up to there
/// it is thrown away as it comes.
pub const ENDLESS_LINE_OCTETS: usize = 1 << 20;

/// What a client waits for the greeting and for answers to all but DATA (RFC 5321 §4.5.3.2.1 to .3).
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What a client waits for the answer to DATA (RFC 5321 §4.5.3.2.4).
pub const DATA_REPLY_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// What a client waits for the answer to the final dot (RFC 5321 §4.5.3.2.6).
pub const END_REPLY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
