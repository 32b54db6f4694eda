//! Encoded words (RFC 2047) to UTF-8.

use crate::charset;
use crate::lex::{is_space, unfold};
use crate::transfer::{TransferEncoding, hex};
use crate::work::spend;

/// An unfolded value with its encoded words decoded; the rest is taken as UTF-8, or guessed (RFC 6532 §3.1).
///
/// Words are found wherever they stand, because many senders put them where RFC 2047 §5 does not allow them.
pub fn decode(value: &[u8]) -> String {
    let value = unfold(value);
    let mut text = Text::default();
    let (mut plain_start, mut at) = (0, 0);
    while let Some(found) = value.get(at..).and_then(|rest| memchr::memchr(b'=', rest)) {
        let start = at + found;
        spend(found + 1);
        match value.get(start..).and_then(Word::read) {
            Some((word, len)) => {
                text.plain(value.get(plain_start..start).unwrap_or_default());
                text.word(&word);
                at = start + len;
                plain_start = at;
            }
            None => at = start + 1,
        }
    }
    text.plain(value.get(plain_start..).unwrap_or_default());
    text.finish()
}

/// `"=?" charset ["*" language] "?" encoding "?" encoded-text "?="`
struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
}

impl<'a> Word<'a> {
    /// Reads a word at the start of `raw`; also gives its length. Looks no further than the fourth `?`.
    fn read(raw: &'a [u8]) -> Option<(Self, usize)> {
        let mut parts = raw.strip_prefix(b"=?")?.splitn(4, |octet| *octet == b'?');
        let (charset, encoding, encoded) = (parts.next()?, parts.next()?, parts.next()?);
        spend(charset.len() + encoding.len() + encoded.len());
        let ends = parts.next()?.starts_with(b"=");
        let octets = match encoding {
            _ if !ends || charset.is_empty() => return None,
            b"B" | b"b" => TransferEncoding::Base64.decode(encoded, encoded.len()).octets,
            b"Q" | b"q" => decode_q(encoded),
            _ => return None,
        };
        let len = b"=?".len() + charset.len() + 1 + encoding.len() + 1 + encoded.len() + b"?=".len();
        // RFC 2231 §5: a language may follow the charset.
        let charset = charset.split(|octet| *octet == b'*').next().unwrap_or(charset);
        Some((Self { charset, octets }, len))
    }
}

/// RFC 2047 §4.2.
fn decode_q(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after.first_chunk().and_then(|digits| hex(*digits))) {
            (b'=', Some(decoded)) => {
                octets.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'_', _) => octets.push(b' '),
            _ => octets.push(*octet),
        }
    }
    octets
}

/// What is decoded so far. Octets of neighbouring words of one charset are decoded together, because senders split
/// characters between words though RFC 2047 §5 forbids it.
#[derive(Default)]
struct Text {
    done: String,
    charset: Vec<u8>,
    octets: Vec<u8>,
    after_word: bool,
}

impl Text {
    fn plain(&mut self, plain: &[u8]) {
        // RFC 2047 §6.2: white space between two encoded words is not shown. At the end there is none: it is trimmed.
        if plain.is_empty() || (self.after_word && plain.iter().all(|octet| is_space(*octet))) {
            return;
        }
        self.flush();
        self.done.push_str(&charset::decode(b"", plain));
        self.after_word = false;
    }

    fn word(&mut self, word: &Word<'_>) {
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush();
            self.charset = word.charset.to_vec();
        }
        self.octets.extend_from_slice(&word.octets);
        self.after_word = true;
    }

    fn flush(&mut self) {
        if !self.octets.is_empty() {
            self.done.push_str(&charset::decode(&self.charset, &self.octets));
            self.octets.clear();
        }
    }

    fn finish(mut self) -> String {
        self.flush();
        self.done
    }
}
