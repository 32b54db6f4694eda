//! Every limit of this crate. Reaching one is an answer, or the end of the connection.

use std::time::Duration;

/// A command before the login, its strings and the end of its line included. The longest is an AUTHENTICATE with a token in
/// its initial response (RFC 5804 §2.1); RFC 4954 §4 gives one 12,288 octets. Whoever says more hears BYE: its octets need
/// not be counted to find where the next command begins.
pub const COMMAND_OCTETS_MAX: usize = 16_384;

/// RFC 5804 §4: a quoted string has at most 1,024 octets; longer ones go out as literals.
pub const QUOTED_OCTETS_MAX: usize = 1_024;

/// One answer of a server to our login, or one line of its capabilities, literals included. Dovecot's list of extensions has
/// about 500 octets.
pub const RESPONSE_OCTETS_MAX: usize = 8_192;

/// Lines of capabilities that a server may tell; real ones tell about ten.
pub const CAPABILITY_COUNT_MAX: usize = 128;

/// Commands that make no sense before we hang up.
pub const BAD_COMMAND_COUNT_MAX: u32 = 10;

/// Logins that failed before we hang up (RFC 5804 §2.1 leaves it to us).
pub const LOGIN_FAILURE_COUNT_MAX: u32 = 5;

/// Output that may wait for the client before we read on.
pub const OUTPUT_OCTETS_MAX: usize = 64 * 1024;

/// From the connection to a successful login. RFC 5804 §1.2 asks for 30 minutes behind one only.
pub const LOGIN_MAX: Duration = Duration::from_secs(3 * 60);

/// How long a server may take to greet, and again for each answer to our login.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Commands without an answer that are followed in a session that passes by; a client that pipelines more is lost sight of.
pub const IN_FLIGHT_MAX: usize = 1_024;
