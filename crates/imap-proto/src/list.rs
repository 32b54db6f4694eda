//! LIST, its patterns, and the items of STATUS (RFC 9051 §6.3.9, §6.3.11, RFC 5258, RFC 5819).

use mail_types::MailboxName;

/// Arguments of LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCommand {
    /// The options before the reference; none when there was no parenthesis.
    pub selection: Option<ListSelection>,
    /// The reference, in UTF-8.
    pub reference: String,
    /// One pattern, or several in parentheses (RFC 5258 §3). Not yet joined with the reference.
    pub patterns: Vec<ListPattern>,
    /// `RETURN (…)`; none when it was not there.
    pub returns: Option<ListReturn>,
}

/// Which mailboxes LIST is about (RFC 5258 §3.1, RFC 6154 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelection {
    /// `SUBSCRIBED`: subscribed names, even without a mailbox.
    pub subscribed: bool,
    /// `REMOTE`: remote mailboxes too; we have none.
    pub remote: bool,
    /// `RECURSIVEMATCH`: also parents of mailboxes that match; only beside `SUBSCRIBED` or `SPECIAL-USE`.
    pub recursive_match: bool,
    /// `SPECIAL-USE`: those with a special use.
    pub special_use: bool,
}

/// What LIST is to say about each mailbox (RFC 5258 §3.2, RFC 5819 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
    /// `STATUS (…)`: a STATUS response per selectable mailbox; empty when not asked.
    pub status: Vec<StatusItem>,
}

/// A name with wildcards, in UTF-8: `*` stands for anything, `%` for anything within one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPattern(Box<str>);

/// What STATUS can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT` (RFC 3501)
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`: how many, unlike the response code of that name
    Unseen,
    /// `DELETED` (RFC 9051, RFC 9208)
    Deleted,
    /// `DELETED-STORAGE` (RFC 9208 §4.1.4)
    DeletedStorage,
    /// `SIZE` (RFC 8438)
    Size,
    /// `HIGHESTMODSEQ` (RFC 7162 §3.1.7)
    HighestModSeq,
    /// `APPENDLIMIT` (RFC 7889 §3)
    AppendLimit,
}

impl ListPattern {
    /// How long a pattern may be: a name has at most 255 octets, so a longer pattern is no honest question, and matching
    /// costs the product of both.
    pub const OCTETS_MAX: usize = 512;

    /// From UTF-8; none above the limit.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= Self::OCTETS_MAX).then(|| Self(text.into()))
    }

    /// In UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `LIST "" ""` asks for the separator, not for a mailbox (RFC 9051 §6.3.9).
    pub fn asks_separator(&self) -> bool {
        self.0.is_empty()
    }

    /// The pattern below a reference: a pattern that starts with the separator, or an empty reference, stands alone;
    /// else the texts are joined as they are (RFC 9051 §6.3.9). None above the limit.
    pub fn below(&self, reference: &str) -> Option<Self> {
        if reference.is_empty() || self.0.starts_with(MailboxName::SEPARATOR) {
            return Some(self.clone());
        }
        Self::new(&format!("{reference}{}", self.0))
    }

    /// Whether a name matches. INBOX, alone or as the first level, matches in any case.
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = self.0.to_string();
        if let Some(start) = pattern.get(..5) {
            let ends = matches!(pattern.as_bytes().get(5), None | Some(b'/' | b'*' | b'%'));
            if ends && start.eq_ignore_ascii_case("INBOX") && name.starts_with("INBOX") {
                pattern.replace_range(..5, "INBOX");
            }
        }
        glob(pattern.as_bytes(), name.as_bytes())
    }
}

/// Walks the name once, keeping every place of the pattern that could stand for what was read so far: no backtracking,
/// so a pattern of many wildcards costs no more than its length times the name's.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let mut places = vec![false; pattern.len() + 1];
    mark(&mut places, pattern, 0);
    let mut after = places.clone();
    for byte in name {
        after.fill(false);
        for (at, wanted) in pattern.iter().enumerate() {
            if !places.get(at).copied().unwrap_or(false) {
                continue;
            }
            match wanted {
                b'*' => mark(&mut after, pattern, at),
                b'%' if *byte != b'/' => mark(&mut after, pattern, at),
                b'%' => {}
                letter if letter == byte => mark(&mut after, pattern, at + 1),
                _ => {}
            }
        }
        std::mem::swap(&mut places, &mut after);
    }
    places.last().copied().unwrap_or(false)
}

/// Marks a place, and those behind it that wildcards standing for nothing reach.
fn mark(places: &mut [bool], pattern: &[u8], from: usize) {
    for at in from.. {
        match places.get_mut(at) {
            Some(place) => *place = true,
            None => return,
        }
        if !matches!(pattern.get(at), Some(b'*' | b'%')) {
            return;
        }
    }
}

impl StatusItem {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::Deleted,
        Self::DeletedStorage,
        Self::Size,
        Self::HighestModSeq,
        Self::AppendLimit,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::DeletedStorage => "DELETED-STORAGE",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::AppendLimit => "APPENDLIMIT",
        }
    }

    /// From its name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|item| item.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        ListPattern::new(pattern).expect("short").matches(name)
    }

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*", "a/b/c", true),
            ("%b*d", "ab/cd", true),
            ("*b", "ab/cb", true),
            ("", "a", false),
            ("a", "A", false),
            ("inbox", "INBOX", true),
            ("Inbox/*", "INBOX/x", true),
            ("inbox%", "INBOX", true),
            ("inboxes", "INBOXES", false),
            ("%nbox", "INBOX", false),
            ("~/Mail/%", "~/Mail/foo", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn references_join() {
        let below = |reference, pattern| ListPattern::new(pattern).expect("short").below(reference);
        assert_eq!(below("a/", "%"), ListPattern::new("a/%"));
        assert_eq!(below("a/", "/b"), ListPattern::new("/b"));
        assert_eq!(below(&"a".repeat(512), "b"), None);
    }

    #[test]
    fn many_wildcards_are_cheap() {
        assert!(!matches(&"*a".repeat(256), &"a".repeat(255)));
        assert!(matches(&"%*".repeat(256), &"a/".repeat(127)));
    }

    proptest! {
        #[test]
        fn as_by_definition(pattern in "[ab/*%]{0,6}", name in "[ab/]{0,6}") {
            fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some((b'*' | b'%', after)), _) if by_definition(after, name) => true,
                    (Some((b'*', _)), Some((_, rest))) => by_definition(pattern, rest),
                    (Some((b'%', _)), Some((byte, rest))) => *byte != b'/' && by_definition(pattern, rest),
                    (Some((letter, after)), Some((byte, rest))) => letter == byte && by_definition(after, rest),
                    (Some(_), None) => false,
                }
            }
            prop_assert_eq!(matches(&pattern, &name), by_definition(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
