//! Commands as values (RFC 5321 §4.1): the server reads them, the client writes them.

use crate::envelope::{BodyType, Mail, Rcpt, Relayed, encode_xtext};
use crate::path::{parse_hello, parse_mail, parse_rcpt};
use crate::reply::Refusal;
use mail_types::ReversePath;
use std::fmt;

/// How a client introduced itself, with the name as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// HELO: no extensions.
    Helo(Box<str>),
    /// EHLO.
    Ehlo(Box<str>),
    /// LHLO (RFC 2033 §4.1).
    Lhlo(Box<str>),
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO, EHLO or LHLO.
    Hello(Hello),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Rcpt(Rcpt),
    /// DATA.
    Data,
    /// BDAT: so many octets follow (RFC 3030 §2).
    Bdat {
        /// How many.
        octets: u64,
        /// Whether they are the last of the message.
        last: bool,
    },
    /// BDAT whose size cannot be read: what follows it cannot be told from commands.
    BdatUnreadable,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// HELP.
    Help,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// STARTTLS (RFC 3207 §4).
    StartTls,
    /// AUTH (RFC 4954 §4).
    Auth {
        /// In upper case.
        mechanism: String,
        /// In base64, as it came; `=` is empty.
        initial: Option<String>,
    },
}

impl Hello {
    /// The name that the client gave; any printable word.
    pub fn name(&self) -> &str {
        match self {
            Self::Helo(name) | Self::Ehlo(name) | Self::Lhlo(name) => name,
        }
    }

    /// Whether the client knows extensions.
    pub fn is_extended(&self) -> bool {
        !matches!(self, Self::Helo(_))
    }
}

impl Command {
    /// Reads a line without its CRLF. What is no command is the reply to it.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let line = std::str::from_utf8(line).map_err(|_| Refusal::SYNTAX)?;
        if line.chars().any(char::is_control) {
            return Err(Refusal::SYNTAX);
        }
        // RFC 5321 §4.1.1: trailing white space is tolerated.
        let line = line.trim_end_matches(' ');
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let alone = |command| if arguments.is_empty() { Ok(command) } else { Err(Refusal::BAD_ARGUMENTS) };
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => parse_hello(Hello::Helo, arguments).map(Self::Hello),
            "EHLO" => parse_hello(Hello::Ehlo, arguments).map(Self::Hello),
            "LHLO" => parse_hello(Hello::Lhlo, arguments).map(Self::Hello),
            "MAIL" => parse_mail(arguments).map(Self::Mail),
            "RCPT" => parse_rcpt(arguments).map(Self::Rcpt),
            "DATA" => alone(Self::Data),
            "BDAT" => Ok(parse_bdat(arguments)),
            "RSET" => alone(Self::Rset),
            "NOOP" => Ok(Self::Noop),
            "QUIT" => alone(Self::Quit),
            "HELP" => Ok(Self::Help),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Ok(Self::Expn),
            "STARTTLS" => alone(Self::StartTls),
            "AUTH" => parse_auth(arguments),
            _ => Err(Refusal::UNRECOGNISED),
        }
    }
}

fn parse_bdat(arguments: &str) -> Command {
    let (size, last) = match arguments.split_once(' ') {
        None => (arguments, false),
        Some((size, word)) if word.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Command::BdatUnreadable,
    };
    if !size.bytes().all(|b| b.is_ascii_digit()) {
        return Command::BdatUnreadable;
    }
    size.parse().map_or(Command::BdatUnreadable, |octets| Command::Bdat { octets, last })
}

fn parse_auth(arguments: &str) -> Result<Command, Refusal> {
    let mut words = arguments.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(Refusal::BAD_ARGUMENTS)?.to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(Refusal::BAD_ARGUMENTS),
    }
}

impl fmt::Display for Command {
    /// As it goes over the wire, without CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(Hello::Helo(name)) => write!(f, "HELO {name}"),
            Self::Hello(Hello::Ehlo(name)) => write!(f, "EHLO {name}"),
            Self::Hello(Hello::Lhlo(name)) => write!(f, "LHLO {name}"),
            Self::Mail(mail) => write_mail(f, mail),
            Self::Rcpt(rcpt) => write_rcpt(f, rcpt),
            Self::Data => f.write_str("DATA"),
            Self::Bdat { octets, last } => write!(f, "BDAT {octets}{}", if *last { " LAST" } else { "" }),
            Self::BdatUnreadable => f.write_str("BDAT"),
            Self::Rset => f.write_str("RSET"),
            Self::Noop => f.write_str("NOOP"),
            Self::Quit => f.write_str("QUIT"),
            Self::Help => f.write_str("HELP"),
            Self::Vrfy => f.write_str("VRFY"),
            Self::Expn => f.write_str("EXPN"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth { mechanism, initial: None } => write!(f, "AUTH {mechanism}"),
            Self::Auth { mechanism, initial: Some(initial) } => write!(f, "AUTH {mechanism} {initial}"),
        }
    }
}

fn write_mail(f: &mut fmt::Formatter<'_>, mail: &Mail) -> fmt::Result {
    write!(f, "MAIL FROM:{}", mail.from)?;
    if let Some(size) = mail.size {
        write!(f, " SIZE={size}")?;
    }
    match mail.body {
        BodyType::SevenBit => {}
        BodyType::EightBit => f.write_str(" BODY=8BITMIME")?,
    }
    if mail.smtputf8 {
        f.write_str(" SMTPUTF8")?;
    }
    if let Some(ret) = mail.ret {
        write!(f, " RET={}", ret.word())?;
    }
    if let Some(envid) = &mail.envid {
        write!(f, " ENVID={}", envid.as_str())?;
    }
    match &mail.auth {
        None => {}
        Some(ReversePath::Null) => f.write_str(" AUTH=<>")?,
        Some(ReversePath::Address(address)) => write!(f, " AUTH={}", encode_xtext(&address.to_string()))?,
    }
    let Some(Relayed { store, delivery }) = &mail.relayed else { return Ok(()) };
    write!(f, " XSTORE={store}")?;
    delivery.map_or(Ok(()), |delivery| write!(f, " XDELIVERY={delivery}"))
}

fn write_rcpt(f: &mut fmt::Formatter<'_>, rcpt: &Rcpt) -> fmt::Result {
    write!(f, "RCPT TO:{}", rcpt.to)?;
    if let Some(notify) = rcpt.notify {
        write!(f, " NOTIFY={}", notify.words())?;
    }
    if let Some(orcpt) = &rcpt.orcpt {
        write!(f, " ORCPT={}", orcpt.as_str())?;
    }
    rcpt.received_as.as_ref().map_or(Ok(()), |address| write!(f, " XRCPT={}", encode_xtext(&address.to_string())))
}

#[cfg(test)]
mod tests;
