//! What a client does in one step of a session.

use std::fmt;

/// One thing that a client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A command without its tag; `%M` is the highest MODSEQ that the server told when it was asked, `%N` the next one.
    Say(Vec<u8>),
    /// IDLE, while another client, that hears its news first, says something; DONE once a new message was told of.
    IdleWhile {
        /// The other client.
        other: usize,
        /// Its commands; the last is an APPEND to the mailbox that the idle one has open.
        commands: Vec<Vec<u8>>,
    },
    /// Learns all of the open mailbox, keeps it, and goes on.
    Remember,
    /// Learns all of the open mailbox, keeps it, and closes the mailbox with what is deleted in it.
    Leave,
    /// Opens a mailbox again with what was kept of it.
    Return {
        /// The mailbox.
        mailbox: String,
        /// What is asked.
        way: Way,
    },
}

/// How a client that comes back asks what it missed (RFC 7162).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// §3.2.5: SELECT with UIDVALIDITY and MODSEQ.
    Resync,
    /// §3.2.5.1: and with the UIDs that it knows; of new ones it will ask itself.
    ResyncKnown,
    /// §3.2.5.2: and with sequence numbers that it knows.
    ResyncNumbers,
    /// §3.2.6: SELECT, then UID FETCH with CHANGEDSINCE and VANISHED.
    Vanished,
    /// §6: without QRESYNC. SELECT, UID FETCH with CHANGEDSINCE, and UID SEARCH for what is left.
    Changed,
}

impl Act {
    /// The command, in upper case, to which differences in the answer belong.
    pub(super) fn command(&self) -> String {
        match self {
            Self::Say(command) => String::from_utf8_lossy(command).to_uppercase(),
            Self::IdleWhile { .. } => "IDLE".to_owned(),
            Self::Remember => "REMEMBER".to_owned(),
            Self::Leave => "CLOSE".to_owned(),
            Self::Return { .. } => "RETURN".to_owned(),
        }
    }
}

impl Way {
    pub(super) const ALL: [Self; 5] =
        [Self::Resync, Self::ResyncKnown, Self::ResyncNumbers, Self::Vanished, Self::Changed];

    /// Whether it needs ENABLE QRESYNC.
    pub(super) fn is_qresync(self) -> bool {
        self != Self::Changed
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(command) => write!(f, "{}", command.escape_ascii()),
            Self::IdleWhile { other, commands } => {
                f.write_str("(IDLE, until DONE)")?;
                commands.iter().try_for_each(|command| write!(f, "\n    C{other}: {}", command.escape_ascii()))
            }
            Self::Remember => f.write_str("(keeps UIDs, flags and MODSEQ)"),
            Self::Leave => f.write_str("(keeps UIDs, flags and MODSEQ, then CLOSE)"),
            Self::Return { mailbox, way } => write!(f, "(comes back to {mailbox}: {way:?})"),
        }
    }
}
