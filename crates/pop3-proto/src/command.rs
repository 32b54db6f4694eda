//! One line from the client, read as a command (RFC 1939 §3: a keyword in any case, arguments behind single spaces).

use crate::words::{MessageNumber, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A command whose syntax is right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    User(String),
    Pass(Secret),
    Apop,
    /// Without a mechanism it asks which there are (older clients do).
    Auth(Option<AuthCommand>),
    Stls,
    Capa,
    Stat,
    List(Option<MessageNumber>),
    Uidl(Option<MessageNumber>),
    Retr(MessageNumber),
    Top(MessageNumber, u32),
    Dele(MessageNumber),
    Noop,
    Rset,
    Quit,
    Utf8,
    Lang(Option<String>),
}

/// `AUTH mechanism [initial]` (RFC 5034 §4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthCommand {
    pub(crate) mechanism: String,
    pub(crate) initial: Option<Secret>,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    Unknown,
    Arguments,
    Base64,
}

impl SyntaxError {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown command",
            Self::Arguments => "Wrong arguments",
            Self::Base64 => "Not base64",
        }
    }
}

/// What an AUTH line begins with; such a line may be longer than others.
pub(crate) const AUTH_PREFIX: &[u8] = b"AUTH ";

pub(crate) fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let (keyword, argument) = match memchr::memchr(b' ', line).and_then(|at| line.split_at_checked(at)) {
        Some((keyword, rest)) => (keyword, rest.strip_prefix(b" ")),
        None => (line, None),
    };
    match keyword.to_ascii_uppercase().as_slice() {
        // RFC 1939 §7: each has just one argument, so spaces belong to it.
        b"USER" => user(argument),
        b"PASS" => {
            let password = argument.filter(|password| !password.is_empty()).ok_or(SyntaxError::Arguments)?;
            Ok(Command::Pass(Secret::new(password.to_vec())))
        }
        b"APOP" => Ok(Command::Apop),
        b"AUTH" => auth(words(argument)?.as_slice()),
        b"LIST" => optional_number(words(argument)?.as_slice()).map(Command::List),
        b"UIDL" => optional_number(words(argument)?.as_slice()).map(Command::Uidl),
        b"RETR" => one_number(words(argument)?.as_slice()).map(Command::Retr),
        b"DELE" => one_number(words(argument)?.as_slice()).map(Command::Dele),
        b"TOP" => top(words(argument)?.as_slice()),
        b"LANG" => lang(words(argument)?.as_slice()),
        b"STLS" => bare(argument, Command::Stls),
        b"CAPA" => bare(argument, Command::Capa),
        b"STAT" => bare(argument, Command::Stat),
        b"NOOP" => bare(argument, Command::Noop),
        b"RSET" => bare(argument, Command::Rset),
        b"QUIT" => bare(argument, Command::Quit),
        b"UTF8" => bare(argument, Command::Utf8),
        _ => Err(SyntaxError::Unknown),
    }
}

/// The client's message in an exchange: base64 alone (RFC 5034 §4).
pub(crate) fn decode_response(line: &[u8]) -> Result<Secret, SyntaxError> {
    BASE64.decode(line).map(Secret::new).map_err(|_| SyntaxError::Base64)
}

/// The server's message in an exchange.
pub(crate) fn encode_challenge(challenge: &[u8]) -> String {
    BASE64.encode(challenge)
}

/// Trailing spaces, which some clients send, are no arguments.
fn words(argument: Option<&[u8]>) -> Result<Vec<&str>, SyntaxError> {
    let text = std::str::from_utf8(argument.unwrap_or_default()).map_err(|_| SyntaxError::Arguments)?;
    Ok(text.split(' ').filter(|word| !word.is_empty()).collect())
}

fn bare(argument: Option<&[u8]>, command: Command) -> Result<Command, SyntaxError> {
    if argument.unwrap_or_default().iter().all(|octet| *octet == b' ') {
        Ok(command)
    } else {
        Err(SyntaxError::Arguments)
    }
}

/// Control characters are refused: names travel into logs and to back-ends.
fn user(argument: Option<&[u8]>) -> Result<Command, SyntaxError> {
    let name = std::str::from_utf8(argument.unwrap_or_default()).map_err(|_| SyntaxError::Arguments)?;
    if name.trim_matches(' ').is_empty() || name.chars().any(char::is_control) {
        return Err(SyntaxError::Arguments);
    }
    Ok(Command::User(name.to_owned()))
}

fn auth(words: &[&str]) -> Result<Command, SyntaxError> {
    let (mechanism, initial) = match words {
        [] => return Ok(Command::Auth(None)),
        [mechanism] => (mechanism, None),
        // RFC 5034 §4: `=` is an initial response of no octets.
        [mechanism, "="] => (mechanism, Some(Secret::new(Vec::new()))),
        [mechanism, initial] => (mechanism, Some(decode_response(initial.as_bytes())?)),
        _ => return Err(SyntaxError::Arguments),
    };
    Ok(Command::Auth(Some(AuthCommand { mechanism: mechanism.to_ascii_uppercase(), initial })))
}

fn lang(words: &[&str]) -> Result<Command, SyntaxError> {
    match words {
        [] => Ok(Command::Lang(None)),
        [tag] => Ok(Command::Lang(Some((*tag).to_owned()))),
        _ => Err(SyntaxError::Arguments),
    }
}

fn top(words: &[&str]) -> Result<Command, SyntaxError> {
    match words {
        [number, lines] => Ok(Command::Top(message_number(number)?, digits(lines)?)),
        _ => Err(SyntaxError::Arguments),
    }
}

fn one_number(words: &[&str]) -> Result<MessageNumber, SyntaxError> {
    optional_number(words)?.ok_or(SyntaxError::Arguments)
}

fn optional_number(words: &[&str]) -> Result<Option<MessageNumber>, SyntaxError> {
    match words {
        [] => Ok(None),
        [number] => message_number(number).map(Some),
        _ => Err(SyntaxError::Arguments),
    }
}

fn message_number(word: &str) -> Result<MessageNumber, SyntaxError> {
    MessageNumber::new(digits(word)?).ok_or(SyntaxError::Arguments)
}

/// Digits alone: `parse` by itself would take a sign.
fn digits(word: &str) -> Result<u32, SyntaxError> {
    if !word.bytes().all(|c| c.is_ascii_digit()) {
        return Err(SyntaxError::Arguments);
    }
    word.parse().map_err(|_| SyntaxError::Arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    #[test]
    fn keywords_in_any_case_and_spaces_in_passwords() {
        assert_eq!(parse(b"retr 2"), Ok(Command::Retr(number(2))));
        assert_eq!(parse(b"TOP 1 0 "), Ok(Command::Top(number(1), 0)));
        assert_eq!(parse(b"LIST"), Ok(Command::List(None)));
        assert_eq!(parse(b"LIST "), Ok(Command::List(None)));
        assert_eq!(parse(b"PASS  two  words "), Ok(Command::Pass(Secret::new(b" two  words ".to_vec()))));
        assert_eq!(parse(b"USER Ann Lee"), Ok(Command::User("Ann Lee".into())));
    }

    #[test]
    fn refuses_what_is_no_number() {
        for line in
            [&b"RETR"[..], b"RETR 0", b"RETR +1", b"RETR -1", b"RETR 1 2", b"RETR 4294967296", b"TOP 1", b"STAT 1"]
        {
            assert_eq!(parse(line), Err(SyntaxError::Arguments), "{line:?}");
        }
        assert_eq!(parse(b"TOP 1 99999999999999999999"), Err(SyntaxError::Arguments));
        assert_eq!(parse(b"USER \xff"), Err(SyntaxError::Arguments));
        assert_eq!(parse(b"USER a\tb"), Err(SyntaxError::Arguments));
        assert_eq!(parse(b"PASS"), Err(SyntaxError::Arguments));
        assert_eq!(parse(b""), Err(SyntaxError::Unknown));
        assert_eq!(parse(b"LAST"), Err(SyntaxError::Unknown));
    }

    #[test]
    fn initial_responses() {
        let auth = |initial: Option<&[u8]>| {
            let initial = initial.map(|octets| Secret::new(octets.to_vec()));
            Ok(Command::Auth(Some(AuthCommand { mechanism: "PLAIN".into(), initial })))
        };
        assert_eq!(parse(b"AUTH plain"), auth(None));
        assert_eq!(parse(b"AUTH PLAIN ="), auth(Some(b"")));
        assert_eq!(parse(b"AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q="), auth(Some(b"test\0test\0test")));
        assert_eq!(parse(b"AUTH PLAIN !"), Err(SyntaxError::Base64));
        assert_eq!(parse(b"AUTH"), Ok(Command::Auth(None)));
    }
}
