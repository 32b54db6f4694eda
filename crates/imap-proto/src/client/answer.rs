//! What a server says: status responses (RFC 9051 §7.1), their codes, and lists of capabilities.

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials: asked again with the same, the server says the same.
    Credentials,
    /// Something that is no matter of these credentials: later it may go.
    Unavailable,
}

/// The beginning of a status response (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

impl Refusal {
    /// Of a NO with this code, in upper case (RFC 5530 §3): servers have codes of their own, and old ones have none.
    pub(super) fn of_code(code: Option<&str>) -> Self {
        match code {
            Some("UNAVAILABLE" | "INUSE" | "LIMIT" | "SERVERBUG" | "CONTACTADMIN" | "PRIVACYREQUIRED") => {
                Self::Unavailable
            }
            // AUTHENTICATIONFAILED, AUTHORIZATIONFAILED and EXPIRED among them.
            Some(_) | None => Self::Credentials,
        }
    }
}

/// A status response without its tag: what it is, and what stands behind it.
pub(super) fn condition(rest: &[u8]) -> Option<(Condition, &[u8])> {
    let (word, text) = match memchr::memchr(b' ', rest) {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
        None => (rest, &b""[..]),
    };
    let words = [
        (Condition::Ok, &b"OK"[..]),
        (Condition::No, b"NO"),
        (Condition::Bad, b"BAD"),
        (Condition::Bye, b"BYE"),
        (Condition::PreAuth, b"PREAUTH"),
    ];
    let (condition, _) = words.into_iter().find(|(_, name)| word.eq_ignore_ascii_case(name))?;
    Some((condition, text))
}

/// `[CODE arguments] text`: the code's name, and the text.
pub(super) fn split_code(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let coded = || {
        let (inner, text) = bracketed(text)?;
        Some((inner.split(|octet| *octet == b' ').next()?, text.trim_ascii_start()))
    };
    coded().map_or((None, text), |(code, text)| (Some(code), text))
}

/// `[CAPABILITY list] text`: the list (RFC 9051 §7.1).
pub(super) fn code_list(text: &[u8]) -> Option<&[u8]> {
    capability_list(bracketed(text)?.0)
}

/// `CAPABILITY list`: the list (RFC 9051 §7.2.2).
pub(super) fn capability_list(data: &[u8]) -> Option<&[u8]> {
    let (name, list) = data.split_at_checked(CAPABILITY.len())?;
    let list = list.strip_prefix(b" ")?.trim_ascii();
    name.eq_ignore_ascii_case(CAPABILITY).then_some(list)
}

fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', inner)?;
    Some((inner.get(..end)?, inner.get(end + 1..)?))
}

/// For log lines.
pub(super) fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const CAPABILITY: &[u8] = b"CAPABILITY";
