//! The words of the grammar (RFC 9051 §9): atoms, strings, numbers, lists.

use crate::command::{Dialect, Flag, Tag};
use crate::list::ListPattern;
use crate::response::{Reply, ResponseCode};
use crate::sequence::{MessageSet, SequenceSet};
use mail_types::{MailboxName, MailboxNameError, utf7};
use std::borrow::Cow;

/// Why a command is not carried out, before anybody looked at what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not in the grammar.
    Bad(&'static str),
    /// It is, but what it names cannot be a mailbox.
    Name(MailboxNameError),
    /// SEARCH in a character set that we do not read (RFC 9051 §6.4.4).
    Charset,
    /// CREATE with a special use that we do not have (RFC 6154 §3).
    UseAttr,
}

pub(crate) type Parsed<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Bad(text) => Reply::bad(text),
            Self::Name(error) => Reply::no(error.to_string()).with(ResponseCode::Cannot),
            Self::Charset => Reply::no("texts are read as UTF-8").with(ResponseCode::BadCharset),
            Self::UseAttr => Reply::no("no such special use here").with(ResponseCode::UseAttr),
        }
    }
}

/// What is still to be read of a command.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    pub(crate) dialect: Dialect,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self { rest: text, dialect }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn expect(&mut self, byte: u8, why: &'static str) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { Err(Fault::Bad(why)) }
    }

    /// The one space between arguments.
    pub(crate) fn sp(&mut self) -> Parsed<()> {
        self.expect(b' ', "an argument is missing")
    }

    /// Whether another argument follows, whose space is taken. Spaces before the end of the line are no argument.
    pub(crate) fn more(&mut self) -> bool {
        !self.at_end() && self.eat(b' ')
    }

    pub(crate) fn at_end(&self) -> bool {
        self.rest.iter().all(|b| *b == b' ')
    }

    pub(crate) fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { Err(Fault::Bad("too many arguments, or one is malformed")) }
    }

    pub(crate) fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self.rest.iter().take_while(|b| holds(**b)).count();
        self.take(count).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Letters, digits, `.`, `-`, `+`, `=`, …: one word of the grammar, in upper case.
    pub(crate) fn keyword(&mut self) -> Parsed<String> {
        let word = self.take_while(is_atom_char);
        if word.is_empty() {
            return Err(Fault::Bad("a word is missing"));
        }
        Ok(word.iter().map(|b| char::from(b.to_ascii_uppercase())).collect())
    }

    /// The name of a FETCH item or section, which may be followed by `[`, `]` or `<`.
    pub(crate) fn item_name(&mut self) -> String {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        word.iter().map(|b| char::from(b.to_ascii_uppercase())).collect()
    }

    pub(crate) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            Some(_) | None => {
                let atom = self.take_while(is_astring_char);
                if atom.is_empty() { Err(Fault::Bad("a string is missing")) } else { Ok(Cow::Borrowed(atom)) }
            }
        }
    }

    /// A name or a password. Clients send `john%example.test` and whatever a password has without quotes, and no `LOGIN` means a
    /// pattern: `%` and `*` are taken, which RFC 9051 §9 leaves out of an atom.
    pub(crate) fn login_argument(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            Some(_) | None => {
                let atom = self.take_while(|octet| is_astring_char(octet) || matches!(octet, b'%' | b'*'));
                if atom.is_empty() { Err(Fault::Bad("a string is missing")) } else { Ok(Cow::Borrowed(atom)) }
            }
        }
    }

    pub(crate) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if self.eat(b'"') { self.quoted() } else { self.literal().map(Cow::Borrowed) }
    }

    /// What follows the opening quote. 8-bit octets are taken in both dialects: clients send passwords so.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        let plain = self.take_while(is_quoted_char);
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        while !self.eat(b'"') {
            if self.eat(b'\\') {
                let escaped = self.peek().filter(|b| matches!(b, b'"' | b'\\'));
                text.push(escaped.ok_or(Fault::Bad("only '\"' and '\\' are escaped in a quoted string"))?);
                self.take(1);
            }
            let plain = self.take_while(is_quoted_char);
            if plain.is_empty() && !matches!(self.peek(), Some(b'"' | b'\\')) {
                return Err(Fault::Bad("a quoted string does not end"));
            }
            text.extend_from_slice(plain);
        }
        Ok(Cow::Owned(text))
    }

    fn literal(&mut self) -> Parsed<&'a [u8]> {
        let malformed = Fault::Bad("a string is missing or malformed");
        if !self.eat(b'{') {
            return Err(malformed);
        }
        let count = self.number()?;
        self.eat(b'+');
        self.expect(b'}', "a literal is malformed")?;
        self.eat(b'\r');
        self.expect(b'\n', "a literal is malformed")?;
        let content = usize::try_from(count).ok().and_then(|count| self.take(count)).ok_or(malformed)?;
        // RFC 9051 §9 `literal`: CHAR8 is not NUL.
        if content.contains(&0) { Err(Fault::Bad("NUL in a literal")) } else { Ok(content) }
    }

    /// `NIL` or a string.
    pub(crate) fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string().map(Some);
        }
        if self.keyword()? == "NIL" { Ok(None) } else { Err(Fault::Bad("a string or NIL is expected")) }
    }

    /// A text in UTF-8.
    pub(crate) fn text(&mut self) -> Parsed<String> {
        let octets = self.astring()?.into_owned();
        String::from_utf8(octets).map_err(|_| Fault::Charset)
    }

    /// `number64` (RFC 9051 §9): at most 63 bits.
    pub(crate) fn number(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        number.filter(|n| i64::try_from(*n).is_ok()).ok_or(Fault::Bad("a number is missing or too large"))
    }

    pub(crate) fn number32(&mut self) -> Parsed<u32> {
        u32::try_from(self.number()?).map_err(|_| Fault::Bad("a number is too large"))
    }

    pub(crate) fn mailbox(&mut self) -> Parsed<MailboxName> {
        let octets = self.astring()?;
        let text = std::str::from_utf8(&octets).map_err(|_| Fault::Name(MailboxNameError::Utf7))?;
        match self.dialect {
            Dialect::Rev1 => MailboxName::parse_utf7(text),
            Dialect::Utf8 => MailboxName::parse(text),
        }
        .map_err(Fault::Name)
    }

    /// A mailbox to be made: its name, and in what other form of Unicode it was given (RFC 9051 §6.3.4).
    pub(crate) fn new_mailbox(&mut self) -> Parsed<(MailboxName, Option<String>)> {
        let mut ahead = self.clone();
        let name = self.mailbox()?;
        let text = ahead.reference()?;
        let given = text.strip_suffix(MailboxName::SEPARATOR).unwrap_or(&text);
        // INBOX in other letters is not another form.
        let is_other = given != name.as_str() && !given.eq_ignore_ascii_case(name.as_str());
        Ok((name, is_other.then(|| given.to_owned())))
    }

    /// A reference or pattern: like a name, but in parts and with wildcards.
    fn name_text(&self, octets: &[u8]) -> Parsed<String> {
        let text = std::str::from_utf8(octets).map_err(|_| Fault::Name(MailboxNameError::Utf7))?;
        match self.dialect {
            Dialect::Rev1 => utf7::decode(text).ok_or(Fault::Name(MailboxNameError::Utf7)),
            Dialect::Utf8 => Ok(text.to_owned()),
        }
    }

    pub(crate) fn reference(&mut self) -> Parsed<String> {
        let octets = self.astring()?;
        self.name_text(&octets)
    }

    /// `list-mailbox`: an astring that may hold wildcards bare.
    pub(crate) fn pattern(&mut self) -> Parsed<ListPattern> {
        let octets = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            Some(_) | None => match self.take_while(|b| is_astring_char(b) || matches!(b, b'*' | b'%')) {
                [] => return Err(Fault::Bad("a pattern is missing")),
                pattern => Cow::Borrowed(pattern),
            },
        };
        ListPattern::new(&self.name_text(&octets)?).ok_or(Fault::Name(MailboxNameError::TooLong))
    }

    pub(crate) fn message_set(&mut self) -> Parsed<MessageSet> {
        if self.eat(b'$') {
            return Ok(MessageSet::Saved);
        }
        let text = self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b',' | b'*'));
        SequenceSet::parse(text).map(MessageSet::Set).ok_or(Fault::Bad("a set of messages is missing or malformed"))
    }

    /// `(a b c)`, also empty, of at most `max` items.
    pub(crate) fn list<T>(&mut self, max: usize, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(', "a parenthesis is missing")?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        loop {
            if items.len() >= max {
                return Err(Fault::Bad("a list is too long"));
            }
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.sp()?;
        }
    }

    pub(crate) fn flag(&mut self) -> Parsed<Flag> {
        let start = self.rest;
        let slash = usize::from(self.eat(b'\\'));
        let count = slash + self.take_while(is_atom_char).len();
        let text = start.get(..count).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(Flag::parse).ok_or(Fault::Bad("no such flag"))
    }

    pub(crate) fn flag_list(&mut self) -> Parsed<Vec<Flag>> {
        self.list(FLAG_COUNT_MAX, Self::flag)
    }

    pub(crate) fn tag(&mut self) -> Parsed<Tag> {
        let text = self.take_while(|b| b != b' ');
        Tag::parse(text).ok_or(Fault::Bad("a command starts with a tag"))
    }
}

/// The tag of a line that may be anything else behind it, to answer it.
pub(crate) fn leading_tag(line: &[u8]) -> Option<Tag> {
    let end = line.iter().position(|b| *b == b' ')?;
    Tag::parse(line.get(..end)?)
}

/// A literal that the end of a line announces: `{5}`, `{5+}`, `~{5}` (RFC 9051 §4.3, RFC 7888, RFC 3516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Its octets; none when the number is beyond 32 bits.
    pub(crate) octets: Option<u32>,
    /// Whether the peer waits for our continuation.
    pub(crate) waits: bool,
}

/// What a line without its line end announces.
pub(crate) fn announced_literal(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, waits) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let start = inner.iter().rposition(|b| *b == b'{')?;
    let digits = inner.get(start.checked_add(1)?..)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let octets = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    Some(Announced { octets, waits })
}

/// `ATOM-CHAR` (RFC 9051 §9).
pub(crate) fn is_atom_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR` (RFC 9051 §9).
pub(crate) fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

/// `QUOTED-CHAR` without what needs an escape, and every 8-bit octet.
fn is_quoted_char(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0)
}

/// More than a mailbox can have, so that the session can say which limit is reached.
const FLAG_COUNT_MAX: usize = 128;
