//! A line of a server.

use crate::reply::{Refusal, ResponseCode};

pub(super) enum Answer<'l> {
    Ok(&'l [u8]),
    Err(Refusal),
    Challenge,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The credentials: asked again with the same, the server says the same.
    Credentials,
    /// Another session has the maildrop.
    InUse,
    /// Something that is no matter of these credentials: later it may go.
    Unavailable,
}

impl<'l> Answer<'l> {
    pub(super) fn parse(line: &'l [u8]) -> Option<Self> {
        let behind = |word: &[u8]| {
            let rest = line.strip_prefix(word)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b" ") }
        };
        behind(b"+OK")
            .map(Self::Ok)
            .or_else(|| Some(Self::Err(Refusal::parse(behind(b"-ERR")?))))
            .or_else(|| behind(b"+").map(|_| Self::Challenge))
    }
}

impl RefusalKind {
    /// Of an answer to credentials. RFC 2449 §8, RFC 3206: the codes say what is not about them; old servers have none.
    pub(super) fn of_code(code: Option<ResponseCode>) -> Self {
        match code {
            Some(ResponseCode::Auth) | None => Self::Credentials,
            Some(ResponseCode::InUse) => Self::InUse,
            Some(ResponseCode::LoginDelay | ResponseCode::SysTemp | ResponseCode::SysPerm | ResponseCode::Utf8) => {
                Self::Unavailable
            }
        }
    }
}
