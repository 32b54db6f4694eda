//! What is said: OK, NO and BYE, with response codes (RFC 5804 §1.3) where there is something for a program to know.

use crate::limits::QUOTED_OCTETS_MAX;
use crate::words::Word;
use std::borrow::Cow;

/// A response code that a login may be refused with: the others are of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// The mechanism is weaker than the user's policy allows.
    AuthTooWeak,
    /// The mechanism may be used under TLS only.
    EncryptNeeded,
    /// Another server has the scripts.
    Referral,
    /// The password must be told once in clear before this mechanism works.
    TransitionNeeded,
    /// Later it may go.
    TryLater,
}

/// `NO` or `BYE`: a value, not an error of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Option<ResponseCode>,
    text: Cow<'static, str>,
}

/// An answer, whoever gave it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) refusal: Refusal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    No,
    Bye,
}

impl ResponseCode {
    const ALL: [Self; 5] =
        [Self::AuthTooWeak, Self::EncryptNeeded, Self::Referral, Self::TransitionNeeded, Self::TryLater];

    /// As it stands between the parentheses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthTooWeak => "AUTH-TOO-WEAK",
            Self::EncryptNeeded => "ENCRYPT-NEEDED",
            Self::Referral => "REFERRAL",
            Self::TransitionNeeded => "TRANSITION-NEEDED",
            Self::TryLater => "TRYLATER",
        }
    }
}

impl Refusal {
    /// The login failed. The text does not say whether the account exists.
    pub const BAD_CREDENTIALS: Self = Self::fixed(None, "Authentication failed");
    /// Passwords are not taken over a connection that others can read.
    pub const NEEDS_TLS: Self = Self::fixed(Some(ResponseCode::EncryptNeeded), "Use STARTTLS before you log in");
    /// A directory or back-end does not answer now.
    pub const UNAVAILABLE: Self = Self::fixed(Some(ResponseCode::TryLater), "Temporarily unavailable, try again later");
    /// Somebody logs in too often.
    pub const TOO_MANY_LOGINS: Self = Self::fixed(Some(ResponseCode::TryLater), "Too many logins, try again later");
    /// The account has no place for another session.
    pub const TOO_MANY_SESSIONS: Self = Self::fixed(Some(ResponseCode::TryLater), "Too many sessions of this account");
    /// Nobody keeps scripts where the account is.
    pub const NO_SCRIPTS: Self =
        Self::fixed(Some(ResponseCode::TryLater), "Scripts are not available for this account yet");
    /// We end, and will be back.
    pub const SHUTTING_DOWN: Self = Self::fixed(Some(ResponseCode::TryLater), "The server is shutting down");
    /// A session that passes by has lost its back-end.
    pub const LOST: Self = Self::fixed(Some(ResponseCode::TryLater), "The server has gone away, try again later");

    const fn fixed(code: Option<ResponseCode>, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// Says this text.
    pub fn new(code: Option<ResponseCode>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// The response code, where it is one that a login depends on.
    pub fn code(&self) -> Option<ResponseCode> {
        self.code
    }

    /// The text for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was a matter of credentials: those are counted.
    pub(crate) fn is_failed_login(&self) -> bool {
        self.code.is_none()
    }

    pub(crate) fn encode_no(&self) -> Vec<u8> {
        self.encode("NO")
    }

    /// The last line of a conversation, in any state (RFC 5804 §1.2).
    pub fn encode_bye(&self) -> Vec<u8> {
        self.encode("BYE")
    }

    fn encode(&self, status: &str) -> Vec<u8> {
        let code = self.code.map(|code| format!("({}) ", code.name())).unwrap_or_default();
        line(&format!("{status} {code}"), &self.text)
    }
}

impl Answer {
    /// RFC 5804 §4, response-oknobye. Nothing where the words are another thing.
    pub(crate) fn parse(words: Vec<Word>) -> Option<Self> {
        let mut words = words.into_iter();
        let status = match words.next()? {
            Word::Atom(name) if name == "OK" => Status::Ok,
            Word::Atom(name) if name == "NO" => Status::No,
            Word::Atom(name) if name == "BYE" => Status::Bye,
            Word::Atom(_) | Word::Text(_) | Word::Open | Word::Close => return None,
        };
        let mut next = words.next();
        let (mut code, mut about) = (None, None);
        if next == Some(Word::Open) {
            let Some(Word::Atom(name)) = words.next() else { return None };
            code = ResponseCode::ALL.into_iter().find(|code| code.name() == name);
            about = rest_of_code(&mut words)?;
            next = words.next();
        }
        let text = match next {
            None => String::new(),
            Some(Word::Text(text)) => shown(text.as_bytes()),
            Some(Word::Atom(_) | Word::Open | Word::Close) => return None,
        };
        if words.next().is_some() {
            return None;
        }
        // RFC 5804 §1.3: of REFERRAL it is the address, which whoever reads a log wants.
        let text = match (code, about) {
            (Some(ResponseCode::Referral), Some(url)) => format!("{text} <{url}>"),
            (_, _) => text,
        };
        Some(Self { status, refusal: Refusal::new(code, text) })
    }
}

/// Up to the parenthesis that closes; gives the first string.
fn rest_of_code(words: &mut impl Iterator<Item = Word>) -> Option<Option<String>> {
    let (mut depth, mut first) = (1usize, None);
    loop {
        match words.next()? {
            Word::Open => depth += 1,
            Word::Close => depth -= 1,
            Word::Text(text) => {
                first.get_or_insert_with(|| shown(text.as_bytes()));
            }
            Word::Atom(_) => {}
        }
        if depth == 0 {
            return Some(first);
        }
    }
}

/// For a line of a log, or of ours.
fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `OK "text"`.
pub(crate) fn ok(text: &str) -> Vec<u8> {
    line("OK ", text)
}

/// One line: control characters become spaces, and what is too long for a quoted string is cut off.
fn line(before: &str, text: &str) -> Vec<u8> {
    let mut octets = before.as_bytes().to_vec();
    octets.push(b'"');
    let mut left = QUOTED_OCTETS_MAX;
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        let escape = matches!(c, '"' | '\\');
        let Some(rest) = left.checked_sub(c.len_utf8() + usize::from(escape)) else { break };
        left = rest;
        if escape {
            octets.push(b'\\');
        }
        octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    octets.extend_from_slice(b"\"\r\n");
    octets
}

/// A string as a server says it (RFC 5804 §4): quoted, or a literal where it is too long for that or holds ends of lines.
pub(crate) fn string(octets: &[u8]) -> Vec<u8> {
    if octets.len() <= QUOTED_OCTETS_MAX
        && !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0 | b'"' | b'\\'))
    {
        return [b"\"", octets, b"\""].concat();
    }
    [format!("{{{}}}\r\n", octets.len()).as_bytes(), octets].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    fn parsed(line: &str) -> Option<Answer> {
        Answer::parse(words(line.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_said_is_understood() {
        for refusal in [Refusal::BAD_CREDENTIALS, Refusal::NEEDS_TLS, Refusal::new(None, "a \"quote\" \\ ä")] {
            let no = String::from_utf8(refusal.encode_no()).unwrap();
            assert_eq!(parsed(&no), Some(Answer { status: Status::No, refusal: refusal.clone() }), "{no}");
            let bye = String::from_utf8(refusal.encode_bye()).unwrap();
            assert_eq!(parsed(&bye), Some(Answer { status: Status::Bye, refusal }), "{bye}");
        }
        assert_eq!(Refusal::NEEDS_TLS.encode_no(), b"NO (ENCRYPT-NEEDED) \"Use STARTTLS before you log in\"\r\n");
        assert_eq!(ok("Done"), b"OK \"Done\"\r\n");
    }

    #[test]
    fn codes_may_hold_anything() {
        let about = |line| parsed(line).map(|answer| (answer.refusal.code(), answer.refusal.text().to_owned()));
        let referral = "BYE (REFERRAL \"sieve://b.example\") {4}\r\na\r\nb\r\n";
        assert_eq!(about(referral), Some((Some(ResponseCode::Referral), "a  b <sieve://b.example>".to_owned())));
        assert_eq!(about("NO (X/Y (a (\"b\")) c) \"d\""), Some((None, "d".to_owned())));
        assert_eq!(about("NO (trylater)"), Some((Some(ResponseCode::TryLater), String::new())));
        for line in ["NO (", "NO ()", "NO (A", "NO A", "NO \"a\" \"b\"", "NO )", "\"NO\"", "YES", ""] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn one_line_whatever_the_text() {
        let no = Refusal::new(None, format!("a\r\nOK {}", "\"ä".repeat(600))).encode_no();
        assert!(no.starts_with(b"NO \"a  OK \\\"") && no.ends_with(b"\"\r\n"));
        assert!(no.len() <= QUOTED_OCTETS_MAX + 7 && words(&no).is_ok());
    }

    #[test]
    fn long_strings_are_literals() {
        assert_eq!(string(b"a b"), b"\"a b\"");
        assert_eq!(string(b"a\"b"), b"{3}\r\na\"b");
        let long = "x".repeat(QUOTED_OCTETS_MAX + 1);
        assert_eq!(string(long.as_bytes()), format!("{{1025}}\r\n{long}").into_bytes());
    }
}
