//! Every bound of the machine, by name.

use std::time::Duration;

/// What a peer may send, how much, and how slowly. One value serves all connections of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One line without its literals. RFC 7162 §4 asks for at least 8192; UID sets of real clients are longer.
    pub line_octets_max: usize,
    /// One literal that is not a message (RFC 9051 §4.3).
    pub literal_octets_max: usize,
    /// All lines and literals of one command, messages aside.
    pub command_octets_max: usize,
    /// The same before login, where everybody may knock; OAuth tokens must fit.
    pub login_octets_max: usize,
    /// One message in APPEND (RFC 7889 §2): announced above it, it is refused at once.
    pub append_octets_max: u32,
    /// How much of refused literals that the peer sends unasked (RFC 7888 §4) is read and dropped before BYE.
    pub drain_octets_max: u64,
    /// How much of a line over its limit is read and dropped before BYE.
    pub skip_octets_max: usize,
    /// Malformed commands in a row before BYE.
    pub bad_count_max: u32,
    /// Which literals a peer may send without waiting (RFC 7888).
    pub literal_mode: LiteralMode,
    /// From the connection to the login, whatever is said meanwhile, then BYE. RFC 9051 §5.4 gives time to sessions; who
    /// has none gets less.
    pub login_max: Duration,
    /// Quiet after login, then BYE: at least 30 minutes (RFC 9051 §5.4).
    pub idle_max: Duration,
    /// How often a client in IDLE hears `* OK Still here`, which keeps middleboxes open and finds dead peers.
    pub still_here_every: Duration,
}

/// Which non-synchronising literals are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralMode {
    /// LITERAL+: of any size (RFC 7888 §4).
    Plus,
    /// LITERAL-: up to 4096 octets (RFC 7888 §5), as IMAP4rev2 has it.
    Minus,
}

impl LiteralMode {
    /// The largest literal that may come without waiting.
    pub const fn octets_max(self) -> u32 {
        match self {
            Self::Plus => u32::MAX,
            Self::Minus => 4096,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_octets_max: 64 << 10,
            literal_octets_max: 64 << 10,
            command_octets_max: 256 << 10,
            login_octets_max: 16 << 10,
            append_octets_max: 64 << 20,
            drain_octets_max: 64 << 20,
            skip_octets_max: 1 << 20,
            bad_count_max: 10,
            literal_mode: LiteralMode::Plus,
            login_max: Duration::from_secs(3 * 60),
            idle_max: Duration::from_secs(30 * 60),
            still_here_every: Duration::from_secs(2 * 60),
        }
    }
}
