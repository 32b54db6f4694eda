//! Parameters of MIME fields (RFC 2045 §5.1), and their continued and encoded form (RFC 2231).

use crate::charset;
use crate::encoded_word;
use crate::lex::{Cursor, trim};
use crate::mime::token;
use std::borrow::Cow;

/// The parameters of a field in their order, as they were given: IMAP shows them so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(Vec<Param<'a>>);

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// With the `*` and numbers of RFC 2231, if it has them.
    pub name: &'a [u8],
    /// Without quotes.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Params<'a> {
    /// None at all.
    pub(crate) const NONE: Self = Self(Vec::new());

    /// Reads `*(";" parameter)`; what is no parameter is passed over.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Self {
        let mut params = Vec::new();
        while params.len() < PARAM_COUNT_MAX {
            cursor.take_while(|octet| octet != b';');
            if !cursor.take(b';') {
                break;
            }
            cursor.skip_cfws();
            let name = token(cursor);
            cursor.skip_cfws();
            if name.is_empty() || !cursor.take(b'=') {
                continue;
            }
            cursor.skip_cfws();
            let value = match cursor.take(b'"') {
                true => cursor.quoted(),
                // Unquoted names of files with spaces are common: all up to the next parameter or comment.
                false => Cow::Borrowed(trim(cursor.take_while(|octet| !matches!(octet, b';' | b'(')))),
            };
            // A comment may hold a semicolon.
            cursor.skip_cfws();
            params.push(Param { name, value });
        }
        Self(params)
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = &Param<'a>> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value as it was given; the first of that name, in any case.
    pub fn raw(&self, name: &str) -> Option<&Cow<'a, [u8]>> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name.as_bytes())).map(|param| &param.value)
    }

    /// The value as text, put together and decoded (RFC 2231 §3, §4); encoded words, which do not belong into a
    /// parameter but are common there, are decoded as well.
    pub fn text(&self, name: &str) -> Option<String> {
        self.continued(name).or_else(|| self.raw(name).map(|value| encoded_word::decode(value)))
    }

    fn continued(&self, name: &str) -> Option<String> {
        let mut pieces: Vec<Piece<'_>> = self.0.iter().filter_map(|param| Piece::of(param, name)).collect();
        pieces.sort_by_key(|piece| piece.number);
        let mut charset: &[u8] = b"";
        let mut octets = Vec::new();
        for (expected, piece) in pieces.iter().enumerate() {
            if piece.number != expected {
                break;
            }
            let mut value = piece.value;
            if expected == 0 && piece.encoded {
                // charset'language'text
                let mut parts = value.splitn(3, |octet| *octet == b'\'');
                if let (Some(named), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next()) {
                    (charset, value) = (named, text);
                }
            }
            match piece.encoded {
                true => decode_percent(value, &mut octets),
                false => octets.extend_from_slice(value),
            }
        }
        pieces.first().filter(|piece| piece.number == 0).map(|_| charset::decode(charset, &octets))
    }
}

/// `name*`, `name*0`, `name*0*`, ...
struct Piece<'p> {
    number: usize,
    encoded: bool,
    value: &'p [u8],
}

impl<'p> Piece<'p> {
    fn of(param: &'p Param<'_>, name: &str) -> Option<Self> {
        let (start, rest) = param.name.split_at_checked(name.len())?;
        let rest = rest.strip_prefix(b"*").filter(|_| start.eq_ignore_ascii_case(name.as_bytes()))?;
        let (number, encoded) = match rest.strip_suffix(b"*") {
            Some(number) => (number, true),
            None => (rest, rest.is_empty()),
        };
        let number = match number {
            b"" => 0,
            digits => std::str::from_utf8(digits).ok()?.parse().ok()?,
        };
        Some(Self { number, encoded, value: &param.value })
    }
}

fn decode_percent(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        let decoded = after.first_chunk().filter(|_| *octet == b'%').and_then(|digits| crate::transfer::hex(*digits));
        out.push(decoded.unwrap_or(*octet));
        if decoded.is_some() {
            rest = after.get(2..).unwrap_or_default();
        }
    }
}

/// How many parameters of a field are read: a bound of our own, RFC 2045 has none.
pub const PARAM_COUNT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn params(value: &str) -> Params<'_> {
        Params::read(&mut Cursor::new(value.as_bytes()))
    }

    #[test]
    fn examples_of_rfc_2231() {
        for (value, name, expected) in [
            ("; URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/\"", "url", "ftp://cs.utk.edu/pub/"),
            ("; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***"),
            (
                "; title*0*=us-ascii'en'This%20is%20even%20more%20\r\n ; title*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n \
                 ; title*2=\"isn't it!\"",
                "title",
                "This is even more ***fun*** isn't it!",
            ),
            ("; name*1=b; name*0=a; name*3=d", "name", "ab"),
            ("; filename*=iso-8859-1''%A3; filename=plain", "filename", "£"),
            ("; filename=\"=?utf-8?q?=C3=B6?=\"", "filename", "ö"),
            ("; filename*=100%; x", "filename", "100%"),
        ] {
            assert_eq!(params(value).text(name).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(params("; name*1=b").text("name"), None);
    }

    #[test]
    fn given_as_they_are() {
        let read = params(" ; a=b (a; comment);;c=\"q\\\"; d=e\"; (x) file = two words.txt ; = ; none; *0*=z");
        let shown: Vec<String> = read
            .iter()
            .map(|param| format!("{}={}", String::from_utf8_lossy(param.name), String::from_utf8_lossy(&param.value)))
            .collect();
        assert_eq!(shown, ["a=b", "c=q\"; d=e", "file=two words.txt", "*0*=z"]);
        assert_eq!(params(&"; a=b".repeat(1000)).iter().count(), PARAM_COUNT_MAX);
    }
}
