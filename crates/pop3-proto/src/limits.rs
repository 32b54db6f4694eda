//! Every limit of this crate. Reaching one is a reply, or the end of the connection.

use std::time::Duration;

/// RFC 2449 §4: a command has at most 255 octets, its CRLF included.
pub const COMMAND_LINE_OCTETS_MAX: usize = 255;

/// RFC 5034 §4: the lines of an exchange may be as long as the mechanism needs. The figure is that of RFC 4954 §4.
/// An initial response may be that long too: clients send tokens in it, against RFC 5034's advice.
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;

/// RFC 2449 §4: the first line of a response has at most 512 octets, its CRLF included.
pub const RESPONSE_LINE_OCTETS_MAX: usize = 512;

/// RFC 1939 §7: a unique-id has 1 to 70 octets.
pub const UNIQUE_ID_OCTETS_MAX: usize = 70;

/// Commands that make no sense before we hang up (RFC 1939 §3 has no number).
pub const BAD_COMMAND_COUNT_MAX: u32 = 10;

/// Logins that failed before we hang up (RFC 1939 §13 leaves it to us).
pub const LOGIN_FAILURE_COUNT_MAX: u32 = 5;

/// Output that may wait for the client before we ask the role, or the client, for more.
pub const OUTPUT_OCTETS_MAX: usize = 256 * 1024;

/// RFC 1939 §3: an inactivity timer is at least 10 minutes.
pub const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// From the connection to a successful login. RFC 1939 §3's timer is for sessions; who has none gets less.
pub const LOGIN_MAX: Duration = Duration::from_secs(3 * 60);

/// How long a server may take to greet, and again for each answer to our login.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Lines of a server's answer to our CAPA (RFC 2449 §5); real ones have about fifteen.
pub const CAPA_LINE_COUNT_MAX: usize = 128;

/// Commands without an answer that are followed in a session that passes by; a client that pipelines more is lost sight of.
pub const IN_FLIGHT_MAX: usize = 1024;
