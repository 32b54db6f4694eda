//! How values become bytes. Nothing else in this crate writes to the peer.

use crate::command::{Dialect, Flag};
use crate::structure::Encoded;
use bytes::{BufMut, Bytes, BytesMut};
use mail_types::MailboxName;
use std::collections::VecDeque;
use std::fmt::{Display, Write as _};

/// Collects output: small writes in one buffer, big contents as pieces of their own, never copied.
#[derive(Debug, Default)]
pub struct Encoder {
    dialect: Dialect,
    buffer: BytesMut,
    pieces: VecDeque<Bytes>,
    octets: usize,
}

impl Encoder {
    /// An empty one.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// The form of names and quoted strings.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// From now on, the other form.
    pub(crate) fn enable_utf8(&mut self) {
        self.dialect = Dialect::Utf8;
    }

    /// How much waits to be taken.
    pub fn octets(&self) -> usize {
        self.octets + self.buffer.len()
    }

    /// The next piece; gives its memory away with it.
    pub fn poll(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.pieces.pop_front() {
            self.octets -= piece.len();
            if self.pieces.is_empty() {
                self.pieces = VecDeque::new();
            }
            return Some(piece);
        }
        if self.buffer.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.buffer).freeze())
    }

    /// Everything that waits, as one.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::replace(self, Self::new(self.dialect)).into_bytes()
    }

    /// Everything as one.
    pub fn into_bytes(mut self) -> Bytes {
        if self.pieces.is_empty() {
            return self.buffer.freeze();
        }
        let mut all = BytesMut::with_capacity(self.octets());
        while let Some(piece) = self.poll() {
            all.extend_from_slice(&piece);
        }
        all.freeze()
    }

    /// Bytes as they are; never from outside.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(BUFFER_OCTETS_MIN);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_OCTETS_MAX {
            self.flush();
        }
    }

    /// A number, or text of ours that holds none of a peer.
    pub(crate) fn display(&mut self, value: impl Display) {
        write!(self.buffer, "{value}").expect("a buffer in memory takes every write");
        if self.buffer.len() >= BUFFER_OCTETS_MAX {
            self.flush();
        }
    }

    /// A name and a number.
    pub(crate) fn word(&mut self, name: &str, value: impl Display) {
        self.raw(name.as_bytes());
        self.display(format_args!(" {value}"));
    }

    /// `(a b c)`
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.raw(b"(");
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.raw(b" ");
            }
            write(self, item);
        }
        self.raw(b")");
    }

    /// `(\Seen $Junk extra)`
    pub(crate) fn flags(&mut self, flags: &[Flag], extra: Option<&str>) {
        self.list(flags.iter().map(Flag::as_str).chain(extra), |out, flag| out.raw(flag.as_bytes()));
    }

    /// `string` (RFC 9051 §9): quoted where it may be, else a literal. A quoted string holds neither CR, LF nor NUL,
    /// and 8-bit octets only as UTF-8 and only once the client enabled that (RFC 9051 §4.3).
    pub fn string(&mut self, text: &[u8]) {
        let eight_bit_fits = self.dialect == Dialect::Utf8 && std::str::from_utf8(text).is_ok();
        let quotable = |b: &u8| !matches!(b, b'\r' | b'\n' | 0) && (b.is_ascii() || eight_bit_fits);
        if text.len() > QUOTED_OCTETS_MAX || !text.iter().all(quotable) {
            return self.literal(Bytes::copy_from_slice(text));
        }
        self.buffer.reserve(text.len() + 2);
        self.buffer.put_u8(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                self.buffer.put_u8(b'\\');
            }
            self.buffer.put_u8(*byte);
        }
        self.raw(b"\"");
    }

    /// `nstring`: a string or `NIL`.
    pub fn nstring(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.string(text),
            None => self.raw(b"NIL"),
        }
    }

    /// `astring`: an atom where it may be, else a string.
    pub fn astring(&mut self, text: &[u8]) {
        let is_atom = !text.is_empty() && text.iter().all(|b| crate::parse::is_astring_char(*b));
        // NIL as an atom would be read as "nothing" by a client that takes an nstring there.
        if is_atom && !text.eq_ignore_ascii_case(b"NIL") { self.raw(text) } else { self.string(text) }
    }

    /// A mailbox's name, in the form of the connection.
    pub fn mailbox(&mut self, name: &MailboxName) {
        self.name(name.as_str());
    }

    /// A name, or a prefix of one, in UTF-8.
    pub fn name(&mut self, name: &str) {
        match self.dialect {
            Dialect::Rev1 => self.astring(mail_types::utf7::encode(name).as_bytes()),
            Dialect::Utf8 => self.astring(name.as_bytes()),
        }
    }

    /// `{n}` and the content. NUL may not stand in a literal (RFC 9051 §9 `literal`); it is written as 0x80, so that
    /// sizes and offsets stay true.
    pub fn literal(&mut self, content: Bytes) {
        self.display(format_args!("{{{}}}\r\n", content.len()));
        self.piece(without_nul(content));
    }

    /// `~{n}` and the content, whatever it holds (RFC 3516 §4.2).
    pub fn literal8(&mut self, content: Bytes) {
        self.display(format_args!("~{{{}}}\r\n", content.len()));
        self.piece(content);
    }

    /// Human-readable text up to the end of a line: what would break the line becomes `?`.
    pub(crate) fn text(&mut self, text: &str) {
        let utf8 = self.dialect == Dialect::Utf8;
        let plain = |c: char| !c.is_control() && (c.is_ascii() || utf8);
        let clean: String = text.chars().map(|c| if plain(c) { c } else { '?' }).collect();
        // RFC 9051 §9 `resp-text` has one character at least, and not one that opens a response code.
        match clean.strip_prefix('[') {
            Some(_) => self.raw(b"? "),
            None if clean.is_empty() => self.raw(b"-"),
            None => {}
        }
        self.raw(clean.as_bytes());
    }

    pub(crate) fn encoded(&mut self, name: &str, encoded: &Encoded) {
        self.raw(name.as_bytes());
        self.piece(encoded.bytes().clone());
    }

    /// Content that is on its way already encoded: copied when small, else a piece of its own.
    pub(crate) fn piece(&mut self, content: Bytes) {
        if content.len() < PIECE_OCTETS_MIN {
            return self.raw(&content);
        }
        self.flush();
        self.octets += content.len();
        self.pieces.push_back(content);
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            let full = std::mem::take(&mut self.buffer).freeze();
            self.octets += full.len();
            self.pieces.push_back(full);
        }
    }
}

/// The content itself when it has no NUL, else a copy with 0x80 in its place.
pub(crate) fn without_nul(content: Bytes) -> Bytes {
    if memchr::memchr(0, &content).is_none() {
        return content;
    }
    content.iter().map(|b| if *b == 0 { 0x80 } else { *b }).collect::<Vec<u8>>().into()
}

/// Longer strings go as literals: some clients read quoted strings into small buffers.
const QUOTED_OCTETS_MAX: usize = 1024;
/// Smaller contents are cheaper to copy than to send on their own.
const PIECE_OCTETS_MIN: usize = 4096;
/// What most responses fit in.
const BUFFER_OCTETS_MIN: usize = 256;
/// A buffer of small writes is handed on at this size.
const BUFFER_OCTETS_MAX: usize = 32 << 10;
