//! The lexical tokens that all structured fields share (RFC 5322 §3.2), read without going back.

use crate::work::spend;
use std::borrow::Cow;

/// A place in the value of a field, folds included. Every octet is read once.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn bump(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        spend(1);
        Some(*first)
    }

    /// Takes the next octet if it is this one.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        self.peek() == Some(octet) && self.bump().is_some()
    }

    pub(crate) fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !holds(*octet)).unwrap_or(self.rest.len());
        self.split_at(end)
    }

    /// Skips white space, folds and comments (`CFWS`); gives the last comment that was met.
    pub(crate) fn skip_cfws(&mut self) -> Option<Cow<'a, [u8]>> {
        let mut last = None;
        loop {
            self.take_while(is_space);
            if !self.take(b'(') {
                return last;
            }
            last = Some(self.comment());
        }
    }

    /// What a comment says, its opening parenthesis being read. Nested ones stay in the text (RFC 5322 §3.2.2).
    fn comment(&mut self) -> Cow<'a, [u8]> {
        let (mut depth, mut escaped) = (1usize, false);
        let end = self.rest.iter().position(|octet| {
            match octet {
                _ if escaped => {}
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            escaped = *octet == b'\\' && !escaped;
            depth == 0
        });
        self.enclosed(end)
    }

    /// What a quoted string says, its opening quote being read (RFC 5322 §3.2.4).
    pub(crate) fn quoted(&mut self) -> Cow<'a, [u8]> {
        self.until(b'"')
    }

    /// What a domain literal says, its opening bracket being read (RFC 5322 §3.4.1).
    pub(crate) fn literal(&mut self) -> Cow<'a, [u8]> {
        self.until(b']')
    }

    fn until(&mut self, close: u8) -> Cow<'a, [u8]> {
        let mut escaped = false;
        let end = self.rest.iter().position(|octet| {
            let ends = *octet == close && !escaped;
            escaped = *octet == b'\\' && !escaped;
            ends
        });
        self.enclosed(end)
    }

    /// Takes up to `end` and the closing octet there; without one, all that is left.
    fn enclosed(&mut self, end: Option<usize>) -> Cow<'a, [u8]> {
        let inside = self.split_at(end.unwrap_or(self.rest.len()));
        self.bump();
        unescape(inside)
    }

    fn split_at(&mut self, at: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, &[]));
        self.rest = rest;
        spend(taken.len() + 1);
        taken
    }
}

/// White space as it stands inside a folded value.
pub(crate) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space at either end.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_space(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_space(*last)
    {
        value = rest;
    }
    value
}

/// Trims, and takes the line ends out of a folded value; its white space stays (RFC 5322 §2.2.3).
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    spend(value.len());
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|octet| !is_line_end(*octet)).collect())
}

/// Takes backslashes and line ends out of what stood between delimiters (RFC 5322 §3.2.1, §3.2.4).
fn unescape(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(b'\\', b'\r', b'\n', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut escaped = false;
    for octet in inside.iter().copied().filter(|octet| !is_line_end(*octet)) {
        escaped = octet == b'\\' && !escaped;
        if !escaped {
            plain.push(octet);
        }
    }
    Cow::Owned(plain)
}

fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}
