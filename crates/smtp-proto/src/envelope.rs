//! MAIL and RCPT with their parameters, as values: what the server reads and the client writes.

use crate::limits::{ENVID_OCTETS_MAX, ORCPT_OCTETS_MAX, RECEIVED_AS_OCTETS_MAX};
use mail_types::{Address, DeliveryId, ForwardPath, ReversePath, StoreName};
use std::fmt::Write;

/// `MAIL FROM` (RFC 5321 §4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where bounces go.
    pub from: ReversePath,
    /// What the client believes the message to have, in octets (RFC 1870 §6).
    pub size: Option<u64>,
    /// Whether octets over 127 may come (RFC 6152 §2).
    pub body: BodyType,
    /// Whether addresses or headers are in UTF-8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// How much of the message a report returns (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's own name for the message (RFC 3461 §4.4).
    pub envid: Option<Xtext>,
    /// Who submitted it, as the client says (RFC 4954 §5); `<>` where it does not know.
    pub auth: Option<ReversePath>,
    /// Between nodes of a cluster: which store it is for (docs/format/cluster-lmtp.md).
    pub relayed: Option<Relayed>,
}

/// What a node tells another about a message that is on its way to a store there: `XSTORE=` and `XDELIVERY=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// The store; one of those that the other node serves.
    pub store: StoreName,
    /// Names the message for all its recipients, so that a repeated delivery is recognised.
    pub delivery: Option<DeliveryId>,
}

/// `RCPT TO` (RFC 5321 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// Who gets the message.
    pub to: ForwardPath,
    /// When the sender wants a report (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// Whom the sender had named (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
    /// Between nodes of a cluster: the recipient as the relay received it, where `to` is the account (`XRCPT=`).
    pub received_as: Option<Address>,
}

/// `BODY=` (RFC 6152 §2). `BINARYMIME` is not offered: stores and later hops need lines (RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// US-ASCII, or nothing was said.
    #[default]
    SevenBit,
    /// Octets over 127 in lines.
    EightBit,
}

/// `RET=` (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its headers.
    Headers,
}

/// `NOTIFY=` (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// No report, whatever happens.
    Never,
    /// On these occasions, of which there is at least one.
    On {
        /// Delivered.
        success: bool,
        /// Given up.
        failure: bool,
        /// Late.
        delay: bool,
    },
}

/// Text in the encoding of RFC 3461 §4, kept as it came so that it is passed on unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xtext(Box<str>);

/// `ORCPT=`: address type and address, kept as they came (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    raw: Box<str>,
    kind_octets: usize,
}

impl Mail {
    /// Without parameters.
    pub fn new(from: ReversePath) -> Self {
        Self {
            from,
            size: None,
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            auth: None,
            relayed: None,
        }
    }
}

impl Rcpt {
    /// Without parameters.
    pub fn new(to: ForwardPath) -> Self {
        Self { to, notify: None, orcpt: None, received_as: None }
    }
}

impl BodyType {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("7BIT") {
            return Some(Self::SevenBit);
        }
        value.eq_ignore_ascii_case("8BITMIME").then_some(Self::EightBit)
    }
}

impl Ret {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("FULL") {
            return Some(Self::Full);
        }
        value.eq_ignore_ascii_case("HDRS").then_some(Self::Headers)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

impl Notify {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Self::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in value.split(',') {
            match word {
                _ if word.eq_ignore_ascii_case("SUCCESS") => success = true,
                _ if word.eq_ignore_ascii_case("FAILURE") => failure = true,
                _ if word.eq_ignore_ascii_case("DELAY") => delay = true,
                _ => return None,
            }
        }
        Some(Self::On { success, failure, delay })
    }

    pub(crate) fn words(self) -> String {
        match self {
            Self::Never => "NEVER".to_owned(),
            Self::On { success, failure, delay } => {
                let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
                words.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
            }
        }
    }
}

impl Xtext {
    /// Reads encoded text of at most `ENVID_OCTETS_MAX` octets.
    pub fn parse(raw: &str) -> Option<Self> {
        (!raw.is_empty() && raw.len() <= ENVID_OCTETS_MAX).then_some(())?;
        decode_xtext(raw).map(|_| Self(raw.into()))
    }

    /// Encodes plain text; `None` when it is empty or too long once encoded.
    pub fn encode(plain: &str) -> Option<Self> {
        let raw = encode_xtext(plain);
        (!raw.is_empty() && raw.len() <= ENVID_OCTETS_MAX).then(|| Self(raw.into()))
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The plain text.
    pub fn decode(&self) -> String {
        decode_xtext(&self.0).unwrap_or_default()
    }
}

impl OriginalRecipient {
    /// Reads `type;xtext` of at most `ORCPT_OCTETS_MAX` octets.
    pub fn parse(raw: &str) -> Option<Self> {
        let (kind, address) = raw.split_once(';')?;
        let is_type = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (is_type && raw.len() <= ORCPT_OCTETS_MAX && decode_xtext(address).is_some())
            .then(|| Self { raw: raw.into(), kind_octets: kind.len() })
    }

    /// `rfc822;` and the address.
    pub fn encode(address: &Address) -> Option<Self> {
        Self::parse(&format!("rfc822;{}", encode_xtext(&address.to_string())))
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// `rfc822` and such.
    pub fn kind(&self) -> &str {
        self.raw.get(..self.kind_octets).unwrap_or_default()
    }

    /// The address in plain text.
    pub fn address(&self) -> String {
        self.raw.get(self.kind_octets + 1..).and_then(decode_xtext).unwrap_or_default()
    }
}

/// An address in xtext, whole: what says less than its sender meant must not become a header of a message.
pub(crate) fn parse_received_as(raw: &str) -> Option<Address> {
    let plain = decode_xtext(raw).filter(|_| raw.len() <= RECEIVED_AS_OCTETS_MAX)?;
    Address::parse(&plain).ok()
}

/// RFC 3461 §4: `+` and two upper-case hexadecimal digits stand for what may not stand for itself.
pub(crate) fn decode_xtext(raw: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => plain.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => plain.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(plain).ok().filter(|plain| !plain.chars().any(char::is_control))
}

pub(crate) fn encode_xtext(plain: &str) -> String {
    let mut raw = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        match byte {
            b'+' | b'=' => write!(raw, "+{byte:02X}").expect("a String takes everything"),
            b'!'..=b'~' => raw.push(char::from(byte)),
            _ => write!(raw, "+{byte:02X}").expect("a String takes everything"),
        }
    }
    raw
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        // Lower case is against the grammar and seen in the wild.
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_of_rfc_3461() {
        let orcpt = OriginalRecipient::parse("rfc822;Bob+2Bnews@Big-Bucks.test").expect("an ORCPT");
        assert_eq!((orcpt.kind(), orcpt.address().as_str()), ("rfc822", "Bob+news@Big-Bucks.test"));
        let address = Address::parse("bob+news@big-bucks.test").expect("an address");
        let encoded = OriginalRecipient::encode(&address).expect("short enough");
        assert_eq!(encoded.as_str(), "rfc822;bob+2Bnews@big-bucks.test");
        for bad in ["", "rfc822", ";a", "rfc822;a+2", "rfc822;a=b", "rf c;a", "rfc822;a+0Db"] {
            assert!(OriginalRecipient::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Xtext::parse(&"x".repeat(ENVID_OCTETS_MAX + 1)).is_none());
        assert_eq!(Notify::parse("success,Delay"), Some(Notify::On { success: true, failure: false, delay: true }));
        assert_eq!(Notify::parse("NEVER"), Some(Notify::Never));
        assert!(Notify::parse("NEVER,DELAY").is_none() && Notify::parse("").is_none());
    }

    proptest! {
        #[test]
        fn xtext_round_trips(plain in "\\PC{1,30}") {
            prop_assert_eq!(decode_xtext(&encode_xtext(&plain)), Some(plain));
        }
    }
}
