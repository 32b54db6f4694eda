//! One line of a client's, read as a command (RFC 5804 §2). Of those behind a login only the names are known.

use crate::words::{Secret, Word, words};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A command whose syntax is right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Authenticate {
        mechanism: String,
        initial: Option<Secret>,
    },
    StartTls,
    Logout,
    Capability,
    Noop(Option<Secret>),
    /// One that needs a login.
    Behind,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    Malformed,
    Unknown,
    Arguments,
    Base64,
}

impl SyntaxError {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "This is no line of words and strings",
            Self::Unknown => "Unknown command",
            Self::Arguments => "Wrong arguments",
            Self::Base64 => "Not base64",
        }
    }
}

pub(crate) fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let mut words = words(line).map_err(|_| SyntaxError::Malformed)?.into_iter();
    let Some(Word::Atom(name)) = words.next() else { return Err(SyntaxError::Malformed) };
    match name.as_str() {
        "AUTHENTICATE" => authenticate(words),
        "STARTTLS" => bare(words, Command::StartTls),
        "LOGOUT" => bare(words, Command::Logout),
        "CAPABILITY" => bare(words, Command::Capability),
        "NOOP" => match strings::<1>(words)?.into_iter().next() {
            // It comes back in a line of ours.
            Some(tag) if tag.as_bytes().iter().any(u8::is_ascii_control) => Err(SyntaxError::Arguments),
            tag => Ok(Command::Noop(tag)),
        },
        // Their arguments are the back-end's to read.
        "HAVESPACE" | "PUTSCRIPT" | "LISTSCRIPTS" | "SETACTIVE" | "GETSCRIPT" | "DELETESCRIPT" | "RENAMESCRIPT"
        | "CHECKSCRIPT" | "UNAUTHENTICATE" => Ok(Command::Behind),
        _ => Err(SyntaxError::Unknown),
    }
}

/// The client's answer to a challenge: one string.
pub(crate) fn parse_response(line: &[u8]) -> Result<Secret, SyntaxError> {
    let words = words(line).map_err(|_| SyntaxError::Malformed)?.into_iter();
    strings::<1>(words)?.pop().ok_or(SyntaxError::Arguments)
}

/// What stands in the strings of an exchange.
pub(crate) fn decode(message: &Secret) -> Result<Secret, SyntaxError> {
    match message.as_bytes() {
        // RFC 5804 §2.1 says an empty response by an empty string; some clients by RFC 4954's sign.
        b"=" => Ok(Secret::new(Vec::new())),
        octets => BASE64.decode(octets).map(Secret::new).map_err(|_| SyntaxError::Base64),
    }
}

pub(crate) fn encode(message: &[u8]) -> String {
    BASE64.encode(message)
}

fn authenticate(words: impl Iterator<Item = Word>) -> Result<Command, SyntaxError> {
    let mut strings = strings::<2>(words)?.into_iter();
    let mechanism = strings.next().ok_or(SyntaxError::Arguments)?;
    let mechanism = std::str::from_utf8(mechanism.as_bytes()).map_err(|_| SyntaxError::Arguments)?.to_ascii_uppercase();
    let initial = strings.next().map(|initial| decode(&initial)).transpose()?;
    Ok(Command::Authenticate { mechanism, initial })
}

fn bare(mut words: impl Iterator<Item = Word>, command: Command) -> Result<Command, SyntaxError> {
    if words.next().is_none() { Ok(command) } else { Err(SyntaxError::Arguments) }
}

/// At most so many strings, and nothing else.
fn strings<const COUNT: usize>(words: impl Iterator<Item = Word>) -> Result<Vec<Secret>, SyntaxError> {
    let mut strings = Vec::new();
    for word in words {
        match word {
            Word::Text(text) if strings.len() < COUNT => strings.push(text),
            Word::Text(_) | Word::Atom(_) | Word::Open | Word::Close => return Err(SyntaxError::Arguments),
        }
    }
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initial_response_is_any_string() {
        let authenticate = |initial: Option<&[u8]>| {
            let initial = initial.map(|octets| Secret::new(octets.to_vec()));
            Ok(Command::Authenticate { mechanism: "PLAIN".to_owned(), initial })
        };
        assert_eq!(parse(b"authenticate \"plain\"\r\n"), authenticate(None));
        assert_eq!(parse(b"AUTHENTICATE \"PLAIN\" \"YQ==\"\r\n"), authenticate(Some(b"a")));
        assert_eq!(parse(b"AUTHENTICATE {5+}\r\nPLAIN {4+}\r\nYQ==\r\n"), authenticate(Some(b"a")));
        assert_eq!(parse(b"AUTHENTICATE \"PLAIN\" \"\"\r\n"), authenticate(Some(b"")));
        assert_eq!(parse(b"AUTHENTICATE \"PLAIN\" \"=\"\r\n"), authenticate(Some(b"")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, error) in [
            ("AUTHENTICATE\r\n", SyntaxError::Arguments),
            ("AUTHENTICATE PLAIN\r\n", SyntaxError::Arguments),
            ("AUTHENTICATE \"PLAIN\" \"?\"\r\n", SyntaxError::Base64),
            ("AUTHENTICATE \"PLAIN\" \"\" \"\"\r\n", SyntaxError::Arguments),
            ("STARTTLS x\r\n", SyntaxError::Arguments),
            ("NOOP \"a\" \"b\"\r\n", SyntaxError::Arguments),
            ("NOOP {1+}\r\n\r\r\n", SyntaxError::Arguments),
            ("HELO\r\n", SyntaxError::Unknown),
            ("\"NOOP\"\r\n", SyntaxError::Malformed),
            ("\r\n", SyntaxError::Malformed),
            ("NOOP \"\r\n", SyntaxError::Malformed),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(error), "{line:?}");
        }
        assert_eq!(parse(b"putscript \"a\" {3+}\r\nx\r\n\r\n"), Ok(Command::Behind));
    }
}
