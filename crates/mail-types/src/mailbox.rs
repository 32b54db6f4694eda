//! Names of mailboxes (RFC 9051 §5.1), special uses (RFC 6154) and modified UTF-7 (RFC 3501 §5.1.3).

use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// A mailbox of an account: UTF-8 in NFC, levels separated by `/`. `INBOX` is always in upper case.
///
/// At most 255 octets, no empty level, no control character. Case matters everywhere else.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(Box<str>);

/// Why a text names no mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxNameError {
    /// Empty, or with an empty level.
    #[error("a mailbox name has no empty level")]
    EmptyLevel,
    /// Over 255 octets.
    #[error("a mailbox name has at most 255 octets")]
    TooLong,
    /// A control character, or a wildcard that LIST could not ask for.
    #[error("a mailbox name holds no control character, '*' or '%'")]
    Character,
    /// Not modified UTF-7.
    #[error("the mailbox name is not modified UTF-7")]
    Utf7,
}

impl MailboxName {
    /// Between the levels of a name.
    pub const SEPARATOR: char = '/';

    /// The mailbox that every account has.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// Reads a name in UTF-8 (IMAP4rev2, our own files and commands). A trailing separator is dropped.
    pub fn parse(text: &str) -> Result<Self, MailboxNameError> {
        let name: String = text.strip_suffix(Self::SEPARATOR).unwrap_or(text).nfc().collect();
        if name.len() > NAME_OCTETS_MAX {
            return Err(MailboxNameError::TooLong);
        }
        if name.split(Self::SEPARATOR).any(str::is_empty) {
            return Err(MailboxNameError::EmptyLevel);
        }
        if name.chars().any(|c| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}')) {
            return Err(MailboxNameError::Character);
        }
        // RFC 9051 §5.1: INBOX is special in any case; so is a level below it.
        match name.get(..5) {
            Some(inbox)
                if inbox.eq_ignore_ascii_case("INBOX") && matches!(name.as_bytes().get(5), None | Some(b'/')) =>
            {
                Ok(Self(format!("INBOX{}", name.get(5..).unwrap_or("")).into()))
            }
            _ => Ok(Self(name.into())),
        }
    }

    /// Reads a name as IMAP4rev1 sends it.
    pub fn parse_utf7(text: &str) -> Result<Self, MailboxNameError> {
        Self::parse(&utf7::decode(text).ok_or(MailboxNameError::Utf7)?)
    }

    /// In UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As IMAP4rev1 sends it.
    pub fn to_utf7(&self) -> String {
        utf7::encode(&self.0)
    }

    /// Whether it is the INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The name one level up.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once(Self::SEPARATOR).map(|(parent, _)| Self(parent.into()))
    }

    /// Whether it lies below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }

    /// This name with `from`, which it is or lies below, replaced by `to` (RENAME); none when that is too long.
    pub fn rebased(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*from.0)?;
        Self::parse(&format!("{}{rest}", to.0)).ok()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxName({})", self.0)
    }
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SpecialUse {
    /// `\Archive`
    Archive = 1,
    /// `\Drafts`
    Drafts = 2,
    /// `\Junk`
    Junk = 3,
    /// `\Sent`
    Sent = 4,
    /// `\Trash`
    Trash = 5,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Archive, Self::Drafts, Self::Junk, Self::Sent, Self::Trash];

    /// With its backslash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// From the number of its variant, as records store it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u8 == number)
    }
}

/// Modified UTF-7 (RFC 3501 §5.1.3).
pub mod utf7 {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

    /// UTF-8 in, modified UTF-7 out.
    pub fn encode(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut run: Vec<u16> = Vec::new();
        for c in text.chars() {
            if (' '..='~').contains(&c) {
                flush(&mut run, &mut out);
                out.push(c);
                if c == '&' {
                    out.push('-');
                }
            } else {
                run.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            }
        }
        flush(&mut run, &mut out);
        out
    }

    /// Modified UTF-7 in, UTF-8 out; nothing when it is malformed or not the one form of its text.
    pub fn decode(text: &str) -> Option<String> {
        if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((plain, shifted)) = rest.split_once('&') {
            out.push_str(plain);
            let (run, after) = shifted.split_once('-')?;
            if run.is_empty() {
                out.push('&');
            } else {
                out.push_str(&decode_run(run)?);
            }
            rest = after;
        }
        out.push_str(rest);
        // Only the canonical form: otherwise one mailbox would have many names.
        (encode(&out) == text).then_some(out)
    }

    fn flush(run: &mut Vec<u16>, out: &mut String) {
        if run.is_empty() {
            return;
        }
        out.push('&');
        let (mut bits, mut count) = (0u32, 0);
        for unit in run.drain(..) {
            bits = (bits << 16) | u32::from(unit);
            count += 16;
            while count >= 6 {
                count -= 6;
                out.push(letter(bits >> count));
            }
            bits &= (1 << count) - 1;
        }
        if count > 0 {
            out.push(letter(bits << (6 - count)));
        }
        out.push('-');
    }

    fn letter(bits: u32) -> char {
        let at = usize::try_from(bits & 63).expect("six bits");
        char::from(ALPHABET.get(at).copied().expect("six bits index 64 letters"))
    }

    fn decode_run(run: &str) -> Option<String> {
        let (mut bits, mut count) = (0u32, 0);
        let mut units = Vec::new();
        for byte in run.bytes() {
            let value = ALPHABET.iter().position(|letter| *letter == byte)?;
            bits = (bits << 6) | u32::try_from(value).ok()?;
            count += 6;
            if count >= 16 {
                count -= 16;
                units.push(u16::try_from((bits >> count) & 0xffff).ok()?);
                bits &= (1 << count) - 1;
            }
        }
        String::from_utf16(&units).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use proptest::prelude::*;

        #[test]
        fn example_of_rfc_3501() {
            let name = "~peter/mail/台北/日本語";
            assert_eq!(encode(name), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
            assert_eq!(decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-").as_deref(), Some(name));
            assert_eq!(encode("Tom & Jerry"), "Tom &- Jerry");
            for bad in ["&", "&abc", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&AGE-", "ä"] {
                assert_eq!(decode(bad), None, "{bad}");
            }
        }

        proptest! {
            #[test]
            fn round_trips(text in "[^\\x00-\\x1f\\x7f]{0,30}") {
                prop_assert_eq!(decode(&encode(&text)), Some(text));
            }
            #[test]
            fn never_panics(text in "[ -~]{0,40}") {
                let _ = decode(&text);
            }
        }
    }
}

/// Ours: file systems and other servers stop at 255 octets too.
const NAME_OCTETS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_in_any_case() {
        assert!(MailboxName::parse("inBox").expect("a name").is_inbox());
        assert_eq!(MailboxName::parse("inbox/a").expect("a name").as_str(), "INBOX/a");
        assert_eq!(MailboxName::parse("inboxes").expect("a name").as_str(), "inboxes");
    }

    #[test]
    fn bad_names() {
        for (text, error) in [
            ("", MailboxNameError::EmptyLevel),
            ("a//b", MailboxNameError::EmptyLevel),
            ("/a", MailboxNameError::EmptyLevel),
            ("a\tb", MailboxNameError::Character),
            ("a*", MailboxNameError::Character),
        ] {
            assert_eq!(MailboxName::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(MailboxName::parse(&"a".repeat(256)), Err(MailboxNameError::TooLong));
    }

    #[test]
    fn hierarchy() {
        let name = |text| MailboxName::parse(text).expect("a name");
        assert!(name("a/b").is_below(&name("a")) && !name("ab").is_below(&name("a")));
        assert_eq!(name("a/b/c").rebased(&name("a"), &name("x")), Some(name("x/b/c")));
        assert_eq!(name("a/b").parent(), Some(name("a")));
    }
}
