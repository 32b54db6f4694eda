//! Lists of addresses (RFC 5322 §3.4), in the obsolete forms too (§4.4), and in the wrong forms that mail has.

use crate::lex::{Cursor, is_space};
use std::borrow::Cow;

/// One entry of a list, groups unrolled as IMAP shows them (RFC 3501 §7.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressEntry<'a> {
    /// An address; in IMAP `(name route local domain)`.
    Address(NamedAddress<'a>),
    /// A group of this name begins; in IMAP `(NIL NIL name NIL)`.
    GroupStart(Cow<'a, [u8]>),
    /// It ends; in IMAP `(NIL NIL NIL NIL)`. Every start has one.
    GroupEnd,
}

/// A name with an address, in the octets it was given in: encoded words are not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAddress<'a> {
    /// The display name without quotes, or else the comment beside the address.
    pub name: Option<Cow<'a, [u8]>>,
    /// The obsolete source route, without its colon: `@one.example,@two.example`.
    pub route: Option<Cow<'a, [u8]>>,
    /// The part before the `@`, without quotes.
    pub local: Cow<'a, [u8]>,
    /// The part after it; empty where there is none. To IMAP that is `""`, never `NIL`, which would be a group.
    pub domain: Cow<'a, [u8]>,
}

/// Reads the value of one field and adds its entries, up to [`ADDRESS_COUNT_MAX`] in all.
pub fn parse_address_list<'a>(value: &'a [u8], entries: &mut Vec<AddressEntry<'a>>) {
    Reader { cursor: Cursor::new(value), entries, in_group: false, pending: Pending::default() }.run();
}

struct Reader<'a, 'o> {
    cursor: Cursor<'a>,
    entries: &'o mut Vec<AddressEntry<'a>>,
    in_group: bool,
    pending: Pending<'a>,
}

impl<'a> Reader<'a, '_> {
    fn run(mut self) {
        while let Some(octet) = self.skip_space() {
            match octet {
                b',' => self.end_address(),
                b';' => self.end_group(),
                b':' if self.starts_group() => self.start_group(),
                b'<' => self.pending.angle(read_angle(&mut self.cursor)),
                // A stray one of these says nothing.
                b':' | b'>' | b')' | b']' => {}
                _ => continue_word(&mut self.cursor, octet, &mut self.pending.words),
            }
            if matches!(octet, b',' | b';' | b':' | b'>' | b')' | b']') {
                self.cursor.bump();
            }
        }
        self.end_group();
    }

    /// Passes over space and comments, and gives the octet after them.
    fn skip_space(&mut self) -> Option<u8> {
        let spaced = self.cursor.peek().is_some_and(|octet| is_space(octet) || octet == b'(');
        if let Some(comment) = self.cursor.skip_cfws() {
            self.pending.comment = Some(comment);
        }
        self.pending.words.spaced |= spaced;
        self.cursor.peek()
    }

    /// A colon after a phrase; in a group or behind an address it is an error of the sender's.
    fn starts_group(&self) -> bool {
        !self.in_group && self.pending.angle.is_none() && !self.pending.words.has_at
    }

    fn start_group(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        self.in_group = self.push(AddressEntry::GroupStart(pending.words.phrase().unwrap_or_default()));
    }

    fn end_group(&mut self) {
        self.end_address();
        if std::mem::take(&mut self.in_group) {
            // Not counted: a start that was let in has its end.
            self.entries.push(AddressEntry::GroupEnd);
        }
    }

    fn end_address(&mut self) {
        if let Some(address) = std::mem::take(&mut self.pending).finish() {
            self.push(AddressEntry::Address(address));
        }
    }

    fn push(&mut self, entry: AddressEntry<'a>) -> bool {
        let room = self.entries.len() < ADDRESS_COUNT_MAX;
        if room {
            self.entries.push(entry);
        }
        room
    }
}

/// What stands between `<` and `>`; a forgotten `>` ends before the next comma.
fn read_angle<'a>(cursor: &mut Cursor<'a>) -> Words<'a> {
    let mut words = Words::default();
    cursor.bump();
    loop {
        let spaced = cursor.peek().is_some_and(is_space);
        cursor.skip_cfws();
        words.spaced |= spaced;
        match cursor.peek() {
            None => return words,
            Some(b'>') => {
                cursor.bump();
                return words;
            }
            Some(b',' | b';') if !words.in_route => return words,
            Some(b',') => {
                cursor.bump();
                words.push(Kind::Comma, Cow::Borrowed(b","));
            }
            Some(b':') => {
                cursor.bump();
                words.push(Kind::Colon, Cow::Borrowed(b":"));
            }
            Some(b'<' | b')' | b']' | b';') => {
                cursor.bump();
            }
            Some(octet) => continue_word(cursor, octet, &mut words),
        }
    }
}

/// Reads one word that starts with `octet`, or an `@`.
fn continue_word<'a>(cursor: &mut Cursor<'a>, octet: u8, words: &mut Words<'a>) {
    match octet {
        b'@' => {
            cursor.bump();
            words.push(Kind::At, Cow::Borrowed(b"@"));
        }
        b'"' => {
            cursor.bump();
            let text = cursor.quoted();
            words.push(Kind::Quoted, text);
        }
        b'[' => {
            cursor.bump();
            let inside = cursor.literal();
            words.push(Kind::Quoted, Cow::Owned([b"[", inside.as_ref(), b"]"].concat()));
        }
        _ => {
            let text = cursor.take_while(is_atom);
            words.push(Kind::Atom, Cow::Borrowed(text));
        }
    }
}

/// Everything but what separates; dots belong to atoms here, because names have them too (RFC 5322 §4.1).
fn is_atom(octet: u8) -> bool {
    !is_space(octet) && !b"()<>[]:;@,\"".contains(&octet)
}

/// One address that is being read.
#[derive(Default)]
struct Pending<'a> {
    words: Words<'a>,
    comment: Option<Cow<'a, [u8]>>,
    angle: Option<Words<'a>>,
}

impl<'a> Pending<'a> {
    fn angle(&mut self, words: Words<'a>) {
        self.angle.get_or_insert(words);
    }

    fn finish(self) -> Option<NamedAddress<'a>> {
        let Self { mut words, comment, angle } = self;
        if let Some(mut inside) = angle {
            let route = inside.take_route();
            let (local, domain) = inside.take_address();
            return Some(NamedAddress { name: words.phrase().or(comment), route, local, domain });
        }
        if !words.has_at {
            // A bare word: a local user, as programs on one machine write them.
            let local = words.phrase()?;
            return Some(NamedAddress { name: comment, route: None, local, domain: Cow::Borrowed(b"") });
        }
        let (local, domain) = words.take_address();
        Some(NamedAddress { name: words.phrase().or(comment), route: None, local, domain })
    }
}

/// Words and signs in a row.
#[derive(Default)]
struct Words<'a> {
    list: Vec<Word<'a>>,
    /// Whether white space or a comment stands before the next word.
    spaced: bool,
    has_at: bool,
    /// Whether this starts as a source route does and its colon has not come.
    in_route: bool,
}

struct Word<'a> {
    kind: Kind,
    text: Cow<'a, [u8]>,
    /// Whether white space or a comment stands before it.
    spaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Atom,
    Quoted,
    At,
    Comma,
    Colon,
}

impl<'a> Words<'a> {
    fn push(&mut self, kind: Kind, text: Cow<'a, [u8]>) {
        let spaced = std::mem::take(&mut self.spaced);
        self.in_route = kind != Kind::Colon && (self.in_route || (kind == Kind::At && self.list.is_empty()));
        self.has_at |= kind == Kind::At;
        if self.list.len() < WORD_COUNT_MAX {
            self.list.push(Word { kind, text, spaced });
        }
    }

    /// The words with one space where there was any (RFC 5322 §3.2.5); none when there are no words.
    fn phrase(&mut self) -> Option<Cow<'a, [u8]>> {
        join(std::mem::take(&mut self.list), b" ")
    }

    /// `obs-route` without its colon (RFC 5322 §4.4).
    fn take_route(&mut self) -> Option<Cow<'a, [u8]>> {
        self.list.first().filter(|word| word.kind == Kind::At)?;
        let colon = self.list.iter().position(|word| word.kind == Kind::Colon)?;
        let rest = self.list.split_off(colon + 1);
        let mut route = std::mem::replace(&mut self.list, rest);
        route.pop();
        join(route, b"")
    }

    /// Takes `local@domain` out at the last `@`; words before the local part stay. Without an `@`, all is local.
    fn take_address(&mut self) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
        let at = self.list.iter().rposition(|word| word.kind == Kind::At).unwrap_or(self.list.len());
        let mut domain = self.list.split_off(at);
        if !domain.is_empty() {
            domain.remove(0);
        }
        domain.truncate(run_len(&domain));
        let local = self.list.split_off(self.local_start());
        (join(local, b"").unwrap_or_default(), join(domain, b"").unwrap_or_default())
    }

    /// Where the words begin that dots, or nothing at all, join to the last one.
    fn local_start(&self) -> usize {
        let joined = |pair: &[Word<'_>]| matches!(pair, [before, word] if word.continues(before));
        let breaks = self.list.windows(2).rposition(|pair| !joined(pair));
        breaks.map_or(0, |before| before + 1)
    }
}

impl Word<'_> {
    /// Whether both are parts of one `obs-local-part` or `obs-domain` (RFC 5322 §4.4).
    fn continues(&self, before: &Word<'_>) -> bool {
        !self.spaced || self.text.starts_with(b".") || before.text.ends_with(b".")
    }
}

/// How many words belong together from the first on.
fn run_len(words: &[Word<'_>]) -> usize {
    let joined = |pair: &[Word<'_>]| matches!(pair, [before, word] if word.continues(before));
    match words.windows(2).position(|pair| !joined(pair)) {
        Some(last) => last + 1,
        None => words.len(),
    }
}

fn join<'a>(words: Vec<Word<'a>>, space: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut words = words.into_iter();
    let first = words.next()?.text;
    let joined = words.fold(first, |mut joined, word| {
        let text = joined.to_mut();
        text.extend_from_slice(if word.spaced { space } else { b"" });
        text.extend_from_slice(&word.text);
        joined
    });
    Some(joined)
}

/// How many entries one list may have, a bound of our own: more are not shown, the message itself has them all.
pub const ADDRESS_COUNT_MAX: usize = 10_000;
/// How many words of one address are kept, a bound of our own.
pub const WORD_COUNT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// One entry a line: `name|route|local|domain`, `-` for none; groups as `name{` and `}`.
    fn shown(value: &str) -> Vec<String> {
        let mut entries = Vec::new();
        parse_address_list(value.as_bytes(), &mut entries);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let option = |octets: &Option<Cow<'_, [u8]>>| octets.as_ref().map_or("-".into(), |octets| text(octets));
        let show = |entry: &AddressEntry<'_>| match entry {
            AddressEntry::Address(NamedAddress { name, route, local, domain }) => {
                format!("{}|{}|{}|{}", option(name), option(route), text(local), text(domain))
            }
            AddressEntry::GroupStart(name) => format!("{}{{", text(name)),
            AddressEntry::GroupEnd => "}".into(),
        };
        entries.iter().map(show).collect()
    }

    #[test]
    fn examples_of_rfc_5322_appendix_a() {
        for (value, expected) in [
            (" John Doe <jdoe@machine.example>\r\n", &["John Doe|-|jdoe|machine.example"][..]),
            ("\"Joe Q. Public\" <john.q.public@example.com>", &["Joe Q. Public|-|john.q.public|example.com"]),
            (
                "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
                &["Mary Smith|-|mary|x.test", "-|-|jdoe|example.org", "Who?|-|one|y.test"],
            ),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                &["-|-|boss|nil.test", "Giant; \"Big\" Box|-|sysservices|example.net"],
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                &["A Group{", "Ed Jones|-|c|a.test", "-|-|joe|where.test", "John|-|jdoe|one.test", "}"],
            ),
            ("Undisclosed recipients:;", &["Undisclosed recipients{", "}"]),
            // A.5, white space and comments
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", &["Pete|-|pete|silly.test"]),
            (
                "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n \
                 joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
                &["A Group{", "Chris Jones|-|c|public.example", "-|-|joe|example.org", "John|-|jdoe|one.test", "}"],
            ),
            ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", &["Hidden recipients{", "}"]),
            // A.6.1, obsolete addressing
            ("Joe Q. Public <john.q.public@example.com>", &["Joe Q. Public|-|john.q.public|example.com"]),
            (
                "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
                &["Mary Smith|@node.test|mary|example.net", "-|-|jdoe|test.example"],
            ),
            ("<@a.test,@b.test:joe@c.test>", &["-|@a.test,@b.test|joe|c.test"]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn comments_quotes_literals_and_mistakes() {
        for (value, expected) in [
            ("jdoe@one.test (John Doe)", &["John Doe|-|jdoe|one.test"][..]),
            ("\"john doe\"@one.test", &["-|-|john doe|one.test"]),
            ("John \"d\"oe@one.test", &["John|-|doe|one.test"]),
            ("john . \"q\" . doe@one.test", &["-|-|john.q.doe|one.test"]),
            ("a@[192.0.2.1], b@[IPv6:2001:db8::1]", &["-|-|a|[192.0.2.1]", "-|-|b|[IPv6:2001:db8::1]"]),
            ("jörg <jörg@bücher.example>", &["jörg|-|jörg|bücher.example"]),
            ("=?utf-8?q?J=C3=B6rg?= <j@x.test>", &["=?utf-8?q?J=C3=B6rg?=|-|j|x.test"]),
            ("John Doe john@x.test", &["John Doe|-|john|x.test"]),
            ("root", &["-|-|root|"]),
            ("John <root>", &["John|-|root|"]),
            ("<>", &["-|-||"]),
            ("John <a@x.test, b@x.test", &["John|-|a|x.test", "-|-|b|x.test"]),
            // A group in a group is none.
            ("a: b: c@x.test; d@x.test", &["a{", "b|-|c|x.test", "}", "-|-|d|x.test"]),
            ("", &[]),
            (" , ,, (nobody)", &[]),
            (">)];:,", &["{", "}"]),
            ("\"never closed", &["-|-|never closed|"]),
            ("x <y@z (", &["x|-|y|z"]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn lists_end_and_groups_stay_closed() {
        let (many, long) = ("g:a@b,".repeat(ADDRESS_COUNT_MAX), "word ".repeat(10_000));
        let mut entries = Vec::new();
        parse_address_list(many.as_bytes(), &mut entries);
        assert_eq!(entries.len(), ADDRESS_COUNT_MAX + 1);
        assert_eq!(entries.last(), Some(&AddressEntry::GroupEnd));
        let mut entries = Vec::new();
        parse_address_list(long.as_bytes(), &mut entries);
        assert!(
            matches!(&entries[..], [AddressEntry::Address(address)] if address.local.len() == WORD_COUNT_MAX * 5 - 1)
        );
    }
}
