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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_rfc_2047() {
        for (value, expected) in [
            ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            // §8, the table
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=    \r\n  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            // RFC 2231 §5
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        ] {
            assert_eq!(decode(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn charsets_and_mistakes() {
        for (value, expected) in [
            (&b"=?windows-1251?B?z/Do4uXy?="[..], "Привет"),
            (b"=?iso-8859-15?q?=A4?=", "€"),
            (b"=?iso-2022-jp?B?GyRCJDMkcxsoQg==?=", "こん"),
            // A character split between two words.
            (b"=?utf-8?q?=C3?= =?UTF-8?q?=B6?=", "ö"),
            (b"=?utf-8?q?a?=b =?x", "ab =?x"),
            (b"=?x-unknown?q?=F6?=", "ö"),
            (b"=?utf-8?z?a?= =?utf-8?q?a", "=?utf-8?z?a?= =?utf-8?q?a"),
            (b"j\xc3\xb6rg", "jörg"),
            (b"j\xf6rg", "jörg"),
            (b"=?utf-8?q?=FF?=", "\u{fffd}"),
            (b"=?utf-8?q??= a", " a"),
            (b"==?utf-8?q?a=zz?=", "=a=zz"),
            (b"", ""),
        ] {
            assert_eq!(decode(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }

    proptest! {
        #[test]
        fn text_is_at_most_three_times_as_long(value in "(=\\?(utf-8|koi8-r|gb18030|x)\\?[bq]\\?[=A-F0-9a-z?]{0,9}(\\?=)?[ a]?){0,9}") {
            prop_assert!(decode(value.as_bytes()).len() <= 3 * value.len());
        }
    }
}
