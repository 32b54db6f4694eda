//! Every limit of this crate, by name.

use std::time::Duration;

/// How long after its question a failed login is answered, however soon the answer was known. Slows guessing down, and
/// hides what was looked up and hashed.
pub const FAILED_LOGIN_SPAN: Duration = Duration::from_secs(1);

/// Failed logins of one connection before we hang up (RFC 9051 §11.3 and RFC 1939 §13 leave it to us).
pub const LOGIN_FAILURE_COUNT_MAX: u32 = pop3_proto::LOGIN_FAILURE_COUNT_MAX;

/// How long a submission client may take for its login, whatever it says meanwhile; the machines of the other protocols have the
/// same.
pub const LOGIN_SPAN_MAX: Duration = pop3_proto::LOGIN_MAX;

/// Passwords that are being checked by a costly hash or wait for it. With 30 ms each and four cores, the last one in line
/// waits for eight seconds.
pub const PASSWORD_CHECK_COUNT_MAX: usize = 1_024;

/// Costly hashes that are computed at once, unless somebody knows how many cores there are.
pub const PASSWORD_HASHES_AT_ONCE: usize = 4;

/// The most of them, whatever the cores: half of the pool's threads.
pub const PASSWORD_HASHES_AT_ONCE_MAX: usize = 16;

/// Passwords that are remembered to be right: some 6 MB. With more users than this at a time some of them are hashed again.
pub const VERIFIED_COUNT_MAX: usize = 65_536;

/// How long the directory may take over the hashes of one account.
pub const ACCOUNT_LOOKUP_MAX: Duration = Duration::from_secs(5);

/// How long an origin may have a client wait for its "no": no more than a client bears.
pub const ORIGIN_WAIT_MAX: Duration = Duration::from_secs(10);
