//! Data of responses: atoms, strings, NIL and lists (RFC 9051 §4).

use std::fmt;

/// One datum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`
    Nil,
    /// An atom or number; a section like `BODY[HEADER.FIELDS (To)]<0>` is one.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A list in parentheses.
    List(Vec<Value>),
}

impl Value {
    /// All data of a response, literals in their places. What cannot be read is an atom that says so.
    pub fn parse(bytes: &[u8]) -> Vec<Self> {
        let mut reader = Reader { rest: bytes };
        reader.list()
    }

    /// An atom's text.
    pub fn atom(&self) -> Option<&str> {
        match self {
            Self::Atom(text) => Some(text),
            Self::Nil => Some("NIL"),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Text, whether it came as an atom or as a string.
    pub fn text(&self) -> String {
        match self {
            Self::Nil => "NIL".to_owned(),
            Self::Atom(text) => text.clone(),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::List(_) => self.to_string(),
        }
    }

    /// The items of a list.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            Self::Nil | Self::Atom(_) | Self::Text(_) => &[],
        }
    }

    /// The same with every text in lower case: for structures, where nearly nothing depends on case.
    pub fn lowered(&self) -> Self {
        match self {
            Self::Nil => Self::Nil,
            Self::Atom(text) => Self::Atom(text.to_lowercase()),
            Self::Text(text) => Self::Text(text.to_ascii_lowercase()),
            Self::List(items) => Self::List(items.iter().map(Self::lowered).collect()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("NIL"),
            Self::Atom(text) => f.write_str(text),
            Self::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "({})", items.join(" "))
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Up to a closing parenthesis, which is taken, or the end.
    fn list(&mut self) -> Vec<Value> {
        let mut items = Vec::new();
        while let Some(&octet) = self.rest.first() {
            match octet {
                b' ' | b'\r' | b'\n' => self.skip(1),
                b')' => {
                    self.skip(1);
                    break;
                }
                b'(' => {
                    self.skip(1);
                    items.push(Value::List(self.list()));
                }
                b'"' => items.push(self.quoted()),
                b'{' => items.push(self.literal()),
                b'~' if self.rest.get(1) == Some(&b'{') => {
                    self.skip(1);
                    items.push(self.literal());
                }
                _others => items.push(self.atom()),
            }
        }
        items
    }

    fn quoted(&mut self) -> Value {
        let mut text = Vec::new();
        self.skip(1);
        while let Some(&octet) = self.rest.first() {
            self.skip(1);
            match octet {
                b'"' => return Value::Text(text),
                b'\\' => {
                    text.extend(self.rest.first());
                    self.skip(1);
                }
                plain => text.push(plain),
            }
        }
        Value::Atom("UNCLOSED-QUOTE".to_owned())
    }

    fn literal(&mut self) -> Value {
        let broken = Value::Atom("BROKEN-LITERAL".to_owned());
        let Some(end) = self.rest.iter().position(|&octet| octet == b'\n') else {
            self.rest = &[];
            return broken;
        };
        let head = String::from_utf8_lossy(self.rest.get(1..end).unwrap_or_default()).into_owned();
        self.skip(end + 1);
        let Some(octets) = head.trim_end().strip_suffix('}').and_then(|digits| digits.parse::<usize>().ok()) else {
            return broken;
        };
        let Some(text) = self.rest.get(..octets) else { return broken };
        self.skip(octets);
        Value::Text(text.to_vec())
    }

    fn atom(&mut self) -> Value {
        let mut depth = 0_usize;
        let mut length = 0;
        for &octet in self.rest {
            match octet {
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                b' ' | b'(' | b')' | b'\r' | b'\n' if depth == 0 => break,
                _others => {}
            }
            length += 1;
        }
        let text = String::from_utf8_lossy(self.rest.get(..length).unwrap_or_default()).into_owned();
        self.skip(length);
        if text.eq_ignore_ascii_case("NIL") { Value::Nil } else { Value::Atom(text) }
    }

    fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_every_kind() {
        let read = |text: &str| Value::List(Value::parse(text.as_bytes())).to_string();
        assert_eq!(
            read("1 FETCH (UID 5 BODY[TEXT]<0> {3}\r\n()\" X NIL)"),
            "(1 FETCH (UID 5 BODY[TEXT]<0> \"()\\\"\" X NIL))"
        );
        assert_eq!(
            read("BODY[HEADER.FIELDS (To \"From\")] \"a\\\"b\""),
            "(BODY[HEADER.FIELDS (To \"From\")] \"a\\\"b\")"
        );
        assert_eq!(read("~{2}\r\nab (())"), "(\"ab\" (()))");
    }
}
