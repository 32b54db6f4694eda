//! Paths in angle brackets and the parameters behind them (RFC 5321 §4.1.2).

use crate::command::Hello;
use crate::envelope::{
    BodyType, Mail, Notify, OriginalRecipient, Rcpt, Relayed, Ret, Xtext, decode_xtext, parse_received_as,
};
use crate::limits::HELLO_NAME_OCTETS_MAX;
use crate::reply::Refusal;
use mail_types::{Address, DeliveryId, Domain, ForwardPath, ReversePath, StoreName};

/// The arguments of MAIL.
pub(crate) fn parse_mail(arguments: &str) -> Result<Mail, Refusal> {
    let (path, parameters) = after_keyword(arguments, "FROM:").and_then(split_path).ok_or(Refusal::BAD_SENDER)?;
    let from = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(parse_path(path).ok_or(Refusal::BAD_SENDER)?),
    };
    let (mut body, mut store, mut delivery, mut mail) = (None, None, None, Mail::new(from));
    for (keyword, value) in split_parameters(parameters) {
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => once(&mut mail.size, value, parse_size)?,
            "BODY" => once(&mut body, value, BodyType::parse)?,
            "SMTPUTF8" if value.is_none() && !mail.smtputf8 => mail.smtputf8 = true,
            "SMTPUTF8" => return Err(Refusal::BAD_ARGUMENTS),
            "RET" => once(&mut mail.ret, value, Ret::parse)?,
            "ENVID" => once(&mut mail.envid, value, Xtext::parse)?,
            "AUTH" => once(&mut mail.auth, value, parse_submitter)?,
            "XSTORE" => once(&mut store, value, |name| StoreName::parse(name).ok())?,
            "XDELIVERY" => once(&mut delivery, value, DeliveryId::parse)?,
            _ => return Err(Refusal::UNKNOWN_PARAMETER),
        }
    }
    mail.relayed = match (store, delivery) {
        (Some(store), delivery) => Some(Relayed { store, delivery }),
        (None, None) => None,
        (None, Some(_)) => return Err(Refusal::BAD_ARGUMENTS),
    };
    mail.body = body.unwrap_or_default();
    match &mail.from {
        ReversePath::Address(from) if from.needs_smtputf8() && !mail.smtputf8 => Err(Refusal::NEEDS_SMTPUTF8),
        ReversePath::Address(_) | ReversePath::Null => Ok(mail),
    }
}

/// The arguments of RCPT. Whether UTF-8 is allowed in it, MAIL has said.
pub(crate) fn parse_rcpt(arguments: &str) -> Result<Rcpt, Refusal> {
    let (path, parameters) = after_keyword(arguments, "TO:").and_then(split_path).ok_or(Refusal::BAD_RECIPIENT)?;
    let to = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Address(parse_path(path).ok_or(Refusal::BAD_RECIPIENT)?)
    };
    let mut rcpt = Rcpt::new(to);
    for (keyword, value) in split_parameters(parameters) {
        match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" => once(&mut rcpt.notify, value, Notify::parse)?,
            "ORCPT" => once(&mut rcpt.orcpt, value, OriginalRecipient::parse)?,
            "XRCPT" => once(&mut rcpt.received_as, value, parse_received_as)?,
            _ => return Err(Refusal::UNKNOWN_PARAMETER),
        }
    }
    Ok(rcpt)
}

/// The name behind HELO. Clients name themselves with much that is no host name, and RFC 5321 §4.1.4 wants them
/// served: any printable word is taken, and kept as it came.
pub(crate) fn parse_hello(kind: fn(Box<str>) -> Hello, name: &str) -> Result<Hello, Refusal> {
    let is_word = (1..=HELLO_NAME_OCTETS_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if is_word { Ok(kind(name.into())) } else { Err(Refusal::BAD_ARGUMENTS) }
}

/// Space behind the colon is against the grammar, and real clients send it.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (word, rest) = arguments.trim_start_matches(' ').split_at_checked(keyword.len())?;
    word.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// What stands between the brackets, and what behind them. A `>` in a quoted local part ends nothing.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inside.bytes().position(|b| {
        let ends = b == b'>' && !quoted;
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && quoted && !escaped;
        ends
    })?;
    let (path, rest) = (inside.get(..end)?, inside.get(end + 1..)?);
    (rest.is_empty() || rest.starts_with(' ')).then_some((path, rest))
}

fn parse_path(path: &str) -> Option<Address> {
    Address::parse(without_route(path)?).ok()
}

/// RFC 5321 §3.3, appendix C: a source route `@a,@b:` is accepted and ignored.
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let mut in_literal = false;
    let colon = path.bytes().position(|b| {
        in_literal = (in_literal || b == b'[') && b != b']';
        b == b':' && !in_literal
    })?;
    let (route, rest) = path.split_at_checked(colon)?;
    let holds = route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(|hop| Domain::parse(hop).is_ok()));
    holds.then(|| rest.strip_prefix(':')).flatten()
}

fn split_parameters(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    })
}

/// A parameter that has a value, and comes once (RFC 5321 §4.1.1.11).
fn once<T>(slot: &mut Option<T>, value: Option<&str>, parse: fn(&str) -> Option<T>) -> Result<(), Refusal> {
    let parsed = value.and_then(parse).ok_or(Refusal::BAD_ARGUMENTS)?;
    match slot.replace(parsed) {
        None => Ok(()),
        Some(_) => Err(Refusal::BAD_ARGUMENTS),
    }
}

/// RFC 1870 §3: up to 20 digits; what does not fit is larger than any limit.
fn parse_size(value: &str) -> Option<u64> {
    let holds = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    holds.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 4954 §5: `<>` or an address in xtext. What is no address tells nothing, which is `<>`.
fn parse_submitter(value: &str) -> Option<ReversePath> {
    let plain = decode_xtext(value)?;
    Some(Address::parse(&plain).map_or(ReversePath::Null, ReversePath::Address))
}
