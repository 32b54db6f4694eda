//! What an operator and a role choose about a server.

use crate::Dialect;
use crate::limits;
use mail_types::Domain;
use std::time::Duration;

/// How a server behaves; shared by its connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// SMTP or LMTP.
    pub dialect: Dialect,
    /// Our own name, first word of the greeting (RFC 5321 §4.2).
    pub host: Domain,
    /// What follows it, on one line.
    pub greeting: String,
    /// The largest message, announced by SIZE (RFC 1870 §4).
    pub size_max: u64,
    /// What is offered beyond PIPELINING, SIZE, 8BITMIME and ENHANCEDSTATUSCODES, which always are.
    pub extensions: Extensions,
    /// Lines of the answer to EHLO in the place of those four, for a listener whose clients log in and are [passed
    /// on](super::Server::pass): what the servers behind have in common.
    pub promised: Option<Vec<String>>,
    /// Limits that have defaults.
    pub limits: Limits,
}

/// Extensions that depend on the role.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// STARTTLS, until TLS is there (RFC 3207).
    pub starttls: bool,
    /// The mechanisms of AUTH, in upper case; none means no AUTH (RFC 4954).
    pub auth: Vec<String>,
    /// Whether AUTH is offered without TLS too. Otherwise it is refused with 538.
    pub auth_in_clear: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// XPOSTHOUSE: for a listener that nobody but nodes of the cluster can reach (docs/format/cluster-lmtp.md).
    pub xposthouse: bool,
}

/// Limits; the defaults are the constants of [`crate::limits`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// See [`limits::RCPT_COUNT_MAX`].
    pub rcpt_count_max: usize,
    /// See [`limits::BAD_COMMAND_COUNT_MAX`].
    pub bad_command_count_max: u32,
    /// See [`limits::IDLE_COMMAND_COUNT_MAX`].
    pub idle_command_count_max: u32,
    /// See [`limits::TEXT_LINE_OCTETS_MAX`].
    pub text_line_octets_max: usize,
    /// See [`limits::BODY_CHUNK_OCTETS_MAX`].
    pub body_chunk_octets_max: usize,
    /// See [`limits::COMMAND_TIMEOUT`].
    pub command_timeout: Duration,
    /// See [`limits::ENVELOPE_TIMEOUT`].
    pub envelope_timeout: Duration,
    /// See [`limits::DATA_TIMEOUT`].
    pub data_timeout: Duration,
    /// See [`limits::DATA_TOTAL_TIMEOUT`].
    pub data_total_timeout: Duration,
    /// How long a client may take for its login, whatever it says meanwhile; nothing where it need not log in.
    pub login_span: Option<Duration>,
}

impl Config {
    /// With no extension that depends on the role, and the default limits.
    pub fn new(dialect: Dialect, host: Domain) -> Self {
        Self {
            dialect,
            host,
            greeting: "Posthouse".to_owned(),
            size_max: limits::SIZE_MAX,
            extensions: Extensions::default(),
            promised: None,
            limits: Limits::default(),
        }
    }

    /// For a listener that nobody but nodes of the cluster can reach (docs/format/cluster-lmtp.md). `size_max` is what a
    /// sender may send.
    pub fn cluster(host: Domain, size_max: u64) -> Self {
        let extensions = Extensions { smtputf8: true, xposthouse: true, ..Extensions::default() };
        let limits = Limits {
            rcpt_count_max: limits::CLUSTER_RCPT_COUNT_MAX,
            command_timeout: limits::CLUSTER_TIMEOUT,
            envelope_timeout: limits::CLUSTER_TIMEOUT,
            data_timeout: limits::CLUSTER_TIMEOUT,
            ..Limits::default()
        };
        let size_max = size_max.saturating_add(limits::CLUSTER_SIZE_ROOM);
        Self { size_max, extensions, limits, ..Self::new(Dialect::Lmtp, host) }
    }
}

impl Config {
    /// What the octets of one message may take in all.
    pub(super) fn data_span(&self) -> Duration {
        let at_slowest = Duration::from_secs(self.size_max / limits::DATA_OCTETS_PER_SECOND_MIN);
        self.limits.data_total_timeout.max(at_slowest)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rcpt_count_max: limits::RCPT_COUNT_MAX,
            bad_command_count_max: limits::BAD_COMMAND_COUNT_MAX,
            idle_command_count_max: limits::IDLE_COMMAND_COUNT_MAX,
            text_line_octets_max: limits::TEXT_LINE_OCTETS_MAX,
            body_chunk_octets_max: limits::BODY_CHUNK_OCTETS_MAX,
            command_timeout: limits::COMMAND_TIMEOUT,
            envelope_timeout: limits::ENVELOPE_TIMEOUT,
            data_timeout: limits::DATA_TIMEOUT,
            data_total_timeout: limits::DATA_TOTAL_TIMEOUT,
            login_span: None,
        }
    }
}
