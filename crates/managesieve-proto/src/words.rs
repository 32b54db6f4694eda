//! The words that lines are made of (RFC 5804 §4): atoms, strings, parentheses.

use std::fmt;

/// A password or a message of a SASL mechanism: printed by nobody, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// One word of a line. What stands in a string may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Upper case.
    Atom(String),
    /// Quoted or literal.
    Text(Secret),
    Open,
    Close,
}

/// What is no line of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a line, its end included.
pub(crate) fn words(line: &[u8]) -> Result<Vec<Word>, Malformed> {
    let (mut words, mut rest) = (Vec::new(), line);
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'\n' if behind.is_empty() => behind,
            b'\r' if behind == b"\n" => behind,
            b' ' => behind,
            b'(' => push(&mut words, Word::Open, behind),
            b')' => push(&mut words, Word::Close, behind),
            b'"' => {
                let (text, behind) = quoted(behind)?;
                push(&mut words, Word::Text(text), behind)
            }
            b'{' => {
                let (text, behind) = literal(behind)?;
                push(&mut words, Word::Text(text), behind)
            }
            _ => {
                let octets = rest.iter().position(|octet| !is_of_atom(*octet)).unwrap_or(rest.len());
                let (atom, behind) =
                    rest.split_at_checked(octets).filter(|(atom, _)| !atom.is_empty()).ok_or(Malformed)?;
                push(&mut words, Word::Atom(String::from_utf8_lossy(atom).to_ascii_uppercase()), behind)
            }
        };
    }
    Ok(words)
}

fn push<'l>(words: &mut Vec<Word>, word: Word, behind: &'l [u8]) -> &'l [u8] {
    words.push(word);
    behind
}

/// RFC 5804 §4: ATOM-CHAR, and what extensions add.
fn is_of_atom(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'"' | b'\\')
}

/// Behind the quote that opens.
fn quoted(octets: &[u8]) -> Result<(Secret, &[u8]), Malformed> {
    let (mut text, mut rest) = (Secret(Vec::with_capacity(octets.len())), octets);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'"' => return Ok((text, rest)),
            // RFC 5804 §4: a quote or a backslash; more generous than it asks.
            b'\\' => {
                let (escaped, behind) = rest.split_first().ok_or(Malformed)?;
                text.0.push(*escaped);
                rest = behind;
            }
            b'\r' | b'\n' | 0 => return Err(Malformed),
            octet => text.0.push(*octet),
        }
    }
    Err(Malformed)
}

/// Behind the brace that opens. RFC 5804 §4: a client's literal has a plus, a server's has none; who says the other is
/// understood, for neither waits.
fn literal(octets: &[u8]) -> Result<(Secret, &[u8]), Malformed> {
    let end = octets.iter().position(|octet| *octet == b'}').ok_or(Malformed)?;
    let (count, behind) = octets.split_at_checked(end).ok_or(Malformed)?;
    let count = count.strip_suffix(b"+").unwrap_or(count);
    if count.is_empty() || !count.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let count: usize = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).ok_or(Malformed)?;
    let behind = behind.strip_prefix(b"}").ok_or(Malformed)?;
    let behind = behind.strip_prefix(b"\r").unwrap_or(behind).strip_prefix(b"\n").ok_or(Malformed)?;
    let (text, rest) = behind.split_at_checked(count).ok_or(Malformed)?;
    Ok((Secret(text.to_vec()), rest))
}

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hands the octets over, and with them the duty to overwrite them.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the optimiser from leaving out a write that nobody reads.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: &[u8]) -> Word {
        Word::Text(Secret::new(octets.to_vec()))
    }

    #[test]
    fn strings_are_quoted_or_literal() {
        let line = b"Authenticate \"a\\\"b\\\\c\" {4+}\r\n\r\n\"x {0}\r\n \"\"\r\n";
        let atom = Word::Atom("AUTHENTICATE".to_owned());
        assert_eq!(words(line), Ok(vec![atom, text(b"a\"b\\c"), text(b"\r\n\"x"), text(b""), text(b"")]));
    }

    #[test]
    fn codes_are_words_in_parentheses() {
        let atom = |name: &str| Word::Atom(name.to_owned());
        let expected = vec![atom("NO"), Word::Open, atom("AUTH-TOO-WEAK"), text(b"x"), Word::Close, text(b"y")];
        assert_eq!(words(b"no (auth-too-weak \"x\") \"y\"\n"), Ok(expected));
        assert_eq!(words(b"OK\r\n"), Ok(vec![atom("OK")]));
        assert_eq!(words(b"\r\n"), Ok(vec![]));
        assert_eq!(words(b"{1}\r\n\r\n"), Ok(vec![text(b"\r")]), "not the line's");
    }

    #[test]
    fn what_is_no_word_is_refused() {
        let lines: [&[u8]; 12] = [
            b"\"open\r\n",
            b"\"a\\\r\n",
            b"\"a\0\"\r\n",
            b"{3+}\r\nab",
            b"{}\r\n\r\n",
            b"{+}\r\n\r\n",
            b"{-1}\r\n\r\n",
            b"{2} \r\nab\r\n",
            b"{99999999999999999999999}\r\n",
            b"NO\xe4\r\n",
            b"NO\0\r\n",
            b"a\\b\r\n",
        ];
        for line in lines {
            assert_eq!(words(line), Err(Malformed), "{}", line.escape_ascii());
        }
    }
}
