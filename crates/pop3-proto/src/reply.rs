//! What we say: `+OK` and `-ERR`, with response codes (RFC 2449 §8) where there is something for a program to know.

use crate::limits::RESPONSE_LINE_OCTETS_MAX;
use std::borrow::Cow;

/// A response code: why a client was refused, for its program (RFC 2449 §8, RFC 3206, RFC 6856 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// RFC 2449 §8.1.1: the last login was too short a time ago.
    LoginDelay,
    /// RFC 2449 §8.1.2: another session holds the maildrop; nothing is wrong with the password.
    InUse,
    /// RFC 3206 §4: our trouble, and it will pass.
    SysTemp,
    /// RFC 3206 §4: our trouble, and an operator must see to it.
    SysPerm,
    /// RFC 3206 §5: the credentials are the trouble.
    Auth,
    /// RFC 6856 §5: the message can be read in UTF-8 mode only.
    Utf8,
}

/// `-ERR [CODE] text`: a value, not an error of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Option<ResponseCode>,
    text: Cow<'static, str>,
}

impl ResponseCode {
    const ALL: [Self; 6] = [Self::LoginDelay, Self::InUse, Self::SysTemp, Self::SysPerm, Self::Auth, Self::Utf8];

    /// As it stands between the brackets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginDelay => "LOGIN-DELAY",
            Self::InUse => "IN-USE",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
            Self::Auth => "AUTH",
            Self::Utf8 => "UTF8",
        }
    }
}

impl Refusal {
    /// The login failed. The text does not say whether the account exists.
    pub const BAD_CREDENTIALS: Self = Self::fixed(Some(ResponseCode::Auth), "Authentication failed");
    /// Passwords are not taken over a connection that others can read.
    pub const NEEDS_TLS: Self = Self::fixed(Some(ResponseCode::Auth), "Use STLS before you log in");
    /// Another session has the maildrop.
    pub const IN_USE: Self = Self::fixed(Some(ResponseCode::InUse), "Another session uses this maildrop");
    /// A directory or back-end does not answer now.
    pub const UNAVAILABLE: Self = Self::fixed(Some(ResponseCode::SysTemp), "Temporarily unavailable, try again later");
    /// Something is broken here.
    pub const BROKEN: Self = Self::fixed(Some(ResponseCode::SysPerm), "Broken at our end, please tell your operator");
    /// The client logs in too often.
    pub const LOGIN_DELAY: Self = Self::fixed(Some(ResponseCode::LoginDelay), "You have just been here, wait a while");
    /// RFC 1939 §5: there is no such message, or it is marked as deleted.
    pub const NO_SUCH_MESSAGE: Self = Self::fixed(None, "No such message");
    /// RFC 6856 §5.
    pub const NEEDS_UTF8: Self = Self::fixed(Some(ResponseCode::Utf8), "This message can be read in UTF8 mode only");
    /// RFC 1939 §6: a DELE could not be carried out at QUIT.
    pub const NOT_ALL_REMOVED: Self = Self::fixed(Some(ResponseCode::SysTemp), "Some deleted messages not removed");

    const fn fixed(code: Option<ResponseCode>, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// Says this text, cut to a line and to its limit.
    pub fn new(code: Option<ResponseCode>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// What a server said behind `-ERR `. A code that we do not know stays in the text.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text: String =
            String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let known = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).and_then(|(name, rest)| {
            let code = ResponseCode::ALL.into_iter().find(|code| code.name().eq_ignore_ascii_case(name))?;
            Some(Self::new(Some(code), rest.trim_start().to_owned()))
        });
        known.unwrap_or_else(|| Self::new(None, text))
    }

    /// The response code.
    pub fn code(&self) -> Option<ResponseCode> {
        self.code
    }

    /// The text for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was a matter of credentials: those are counted.
    pub(crate) fn is_failed_login(&self) -> bool {
        match self.code {
            Some(ResponseCode::Auth) | None => true,
            Some(
                ResponseCode::LoginDelay
                | ResponseCode::InUse
                | ResponseCode::SysTemp
                | ResponseCode::SysPerm
                | ResponseCode::Utf8,
            ) => false,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self.code {
            Some(code) => line(&format!("-ERR [{}] {}", code.name(), self.text)),
            None => line(&format!("-ERR {}", uncoded(&self.text))),
        }
    }
}

/// `+OK text`.
pub(crate) fn ok(text: &str) -> Vec<u8> {
    if text.is_empty() { line("+OK") } else { line(&format!("+OK {}", uncoded(text))) }
}

/// RFC 2449 §6.4: where RESP-CODES is offered, a `[` that begins a text begins a response code, and nothing else may.
fn uncoded(text: &str) -> &str {
    text.trim_start_matches(['[', ' '])
}

/// One line within RFC 2449 §4's limit: control characters become spaces, the rest is cut off.
fn line(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len() + 2);
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if octets.len() + c.len_utf8() + 2 > RESPONSE_LINE_OCTETS_MAX {
            break;
        }
        octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    octets.extend_from_slice(b"\r\n");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_in_brackets() {
        assert_eq!(Refusal::IN_USE.encode(), b"-ERR [IN-USE] Another session uses this maildrop\r\n");
        assert_eq!(Refusal::NO_SUCH_MESSAGE.encode(), b"-ERR No such message\r\n");
        assert_eq!(ok(""), b"+OK\r\n");
    }

    #[test]
    fn no_text_passes_for_a_code() {
        assert_eq!(Refusal::new(None, "[AUTH] says a back-end").encode(), b"-ERR AUTH] says a back-end\r\n");
        assert_eq!(ok(" [SYS/TEMP] ready"), b"+OK SYS/TEMP] ready\r\n");
        assert_eq!(ok("[["), b"+OK \r\n");
    }

    #[test]
    fn one_line_whatever_the_text() {
        let refusal = Refusal::new(None, format!("a\r\n+OK b{}", "ä".repeat(600)));
        let encoded = refusal.encode();
        assert!(encoded.starts_with("-ERR a  +OK bää".as_bytes()));
        assert!(encoded.len() <= RESPONSE_LINE_OCTETS_MAX && encoded.ends_with(b"\r\n"));
        assert!(std::str::from_utf8(&encoded).is_ok(), "cut between characters");
    }
}
