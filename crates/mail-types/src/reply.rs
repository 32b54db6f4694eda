//! Reply codes of SMTP and LMTP.

use std::fmt;

/// Three digits, the first 2 to 5 (RFC 5321 §4.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(u16);

/// `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl ReplyCode {
    /// A code known to be right where it is written.
    ///
    /// # Panics
    /// When `code` is no reply code: our own bug, found at compile time in a `const`.
    pub const fn new(code: u16) -> Self {
        assert!(code >= 200 && code <= 599, "a reply code has three digits, the first 2 to 5");
        Self(code)
    }

    /// Reads what a peer sent.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = digits else { return None };
        Some(Self(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')))
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// 2xx: done.
    pub const fn is_positive(self) -> bool {
        self.0 < 300
    }

    /// 3xx: go on.
    pub const fn is_intermediate(self) -> bool {
        self.0 >= 300 && self.0 < 400
    }

    /// 4xx: try again later.
    pub const fn is_transient(self) -> bool {
        self.0 >= 400 && self.0 < 500
    }

    /// 5xx: never.
    pub const fn is_permanent(self) -> bool {
        self.0 >= 500
    }
}

impl EnhancedCode {
    /// A code known to be right where it is written.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        assert!(matches!(class, 2 | 4 | 5) && subject < 1000 && detail < 1000);
        Self { class, subject, detail }
    }

    /// Reads `5.1.1` at the start of a reply text; also gives what follows it.
    pub fn parse(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = word.split('.');
        let class = parts.next().filter(|c| matches!(*c, "2" | "4" | "5"))?.parse().ok()?;
        let mut number =
            || parts.next().filter(|n| n.len() <= 3 && n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some((Self { class, subject, detail }, rest))
    }

    /// 2, 4 or 5.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// What it is about: 1 an address, 2 a mailbox, 3 a system, 4 the way there, 5 the protocol, 6 the content, 7 a policy
    /// (RFC 3463 §3).
    pub const fn subject(self) -> u16 {
        self.subject
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_parse() {
        assert_eq!(ReplyCode::parse(b"451"), Some(ReplyCode::new(451)));
        assert_eq!(ReplyCode::parse(b"651"), None);
        assert_eq!(ReplyCode::parse(b"45"), None);
        assert_eq!(EnhancedCode::parse("5.1.1 no such user"), Some((EnhancedCode::new(5, 1, 1), "no such user")));
        assert_eq!(EnhancedCode::parse("2.0.0"), Some((EnhancedCode::new(2, 0, 0), "")));
        for text in ["", "3.1.1 x", "5.1", "5.1.1.1 x", "5.+1.1 x", "5.1000.1"] {
            assert_eq!(EnhancedCode::parse(text), None, "{text:?}");
        }
    }
}
