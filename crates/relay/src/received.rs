//! Trace information (RFC 5321 §4.4): the Received header that we add, and the count of those that others did.

use mail_types::{Address, DeliveryId, Domain, UnixTime};
use smtp_proto::{Hello, Security};
use std::fmt::Write;
use std::net::IpAddr;

/// What a Received header tells.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    /// How the client introduced itself.
    pub(crate) client: Option<&'a Hello>,
    /// Its address.
    pub(crate) address: IpAddr,
    /// Our name.
    pub(crate) host: &'a Domain,
    pub(crate) security: Security,
    /// MAIL had SMTPUTF8.
    pub(crate) smtputf8: bool,
    pub(crate) id: DeliveryId,
    /// The recipient, where it is the only one: of several, none may learn of the others (RFC 5321 §7.2).
    pub(crate) only: Option<&'a Address>,
    pub(crate) now: UnixTime,
}

impl Stamp<'_> {
    /// The header, with its line ends.
    pub(crate) fn header(&self) -> String {
        let literal = literal(self.address);
        // A name that is no domain has no place in the grammar, and could forge what follows it.
        let name = self.client.and_then(|client| Domain::parse(client.name()).ok());
        let name = name.as_ref().map_or(literal.as_str(), Domain::as_str);
        let mut header = format!("Received: from {name} ({literal})\r\n");
        let Self { host, id, .. } = self;
        let mut add = |text: std::fmt::Arguments<'_>| header.write_fmt(text).expect("a string takes everything");
        add(format_args!("\tby {host} with {} id {id}", self.protocol()));
        if let Some(only) = self.only {
            add(format_args!("\r\n\tfor <{only}>"));
        }
        add(format_args!(";\r\n\t{}\r\n", self.now.civil(0).rfc5322()));
        header
    }

    /// RFC 3848; RFC 6531 §4.3 for the internationalised ones.
    fn protocol(&self) -> &'static str {
        let extended = self.client.is_some_and(Hello::is_extended);
        if matches!(self.client, Some(Hello::Lhlo(_))) {
            return match (self.smtputf8, self.security) {
                (true, Security::Tls) => "UTF8LMTPS",
                (true, Security::Plain) => "UTF8LMTP",
                (false, Security::Tls) => "LMTPS",
                (false, Security::Plain) => "LMTP",
            };
        }
        match (self.smtputf8, self.security, extended) {
            (true, Security::Tls, _) => "UTF8SMTPS",
            (true, Security::Plain, _) => "UTF8SMTP",
            (false, Security::Tls, _) => "ESMTPS",
            (false, Security::Plain, true) => "ESMTP",
            (false, Security::Plain, false) => "SMTP",
        }
    }
}

/// RFC 5321 §4.1.3.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Counts Received headers while a message goes by, in any pieces.
#[derive(Debug)]
pub(crate) struct Hops {
    count: usize,
    looked_at: usize,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// This many octets of [`RECEIVED`] are matched since the line began.
    Name(usize),
    /// In a line that is no Received header, or is counted.
    Rest,
    /// The header section is over, or is longer than we look.
    Over,
}

impl Hops {
    pub(crate) fn new() -> Self {
        Self { count: 0, looked_at: 0, at: At::Name(0) }
    }

    /// Takes the next octets; says whether the message has been through more hosts than any should.
    pub(crate) fn take(&mut self, octets: &[u8]) -> Looping {
        for octet in octets.iter().take(LOOKED_AT_OCTETS_MAX - self.looked_at) {
            if self.at == At::Over {
                break;
            }
            self.at = self.step(*octet);
        }
        self.looked_at = self.looked_at.saturating_add(octets.len()).min(LOOKED_AT_OCTETS_MAX);
        if self.count > RECEIVED_COUNT_MAX { Looping::Yes } else { Looping::No }
    }

    fn step(&mut self, octet: u8) -> At {
        match self.at {
            // An empty line ends the headers (RFC 5322 §2.1).
            At::Name(0) if octet == b'\r' => At::Over,
            At::Name(matched) if RECEIVED.get(matched).is_some_and(|c| c.eq_ignore_ascii_case(&octet)) => {
                if matched + 1 < RECEIVED.len() {
                    return At::Name(matched + 1);
                }
                self.count += 1;
                At::Rest
            }
            At::Name(_) | At::Rest if octet == b'\n' => At::Name(0),
            At::Name(_) | At::Rest => At::Rest,
            At::Over => At::Over,
        }
    }
}

/// Whether a message goes round in circles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looping {
    Yes,
    No,
}

/// RFC 5322 §3.6.7; obsolete white space before the colon (§4.5) is not written by anything that loops.
const RECEIVED: &[u8] = b"received:";
/// RFC 5321 §6.3: a large threshold, normally at least 100.
const RECEIVED_COUNT_MAX: usize = 100;
/// No further than this: 100 Received headers have about 30 kB.
const LOOKED_AT_OCTETS_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp<'a>(client: Option<&'a Hello>, host: &'a Domain) -> Stamp<'a> {
        Stamp {
            client,
            address: "192.0.2.1".parse().expect("an address"),
            host,
            security: Security::Plain,
            smtputf8: false,
            id: DeliveryId::from_bytes([7; 16]),
            only: None,
            now: UnixTime::from_secs(880_127_706),
        }
    }

    fn host() -> Domain {
        Domain::parse("mx.a.example").expect("a domain")
    }

    #[test]
    fn a_header_of_rfc_5321() {
        let (host, hello) = (host(), Hello::Ehlo("Foo.example".into()));
        let only = Address::parse("b@a.example").expect("an address");
        let one = Stamp { only: Some(&only), ..stamp(Some(&hello), &host) };
        assert_eq!(
            one.header(),
            "Received: from foo.example ([192.0.2.1])\r\n\
             \tby mx.a.example with ESMTP id 07070707070707070707070707070707\r\n\
             \tfor <b@a.example>;\r\n\
             \tFri, 21 Nov 1997 15:55:06 +0000\r\n"
        );
        assert!(!stamp(Some(&hello), &host).header().contains("for"));
    }

    #[test]
    fn the_protocol_tells_how_it_came() {
        let (host, helo, ehlo) = (host(), Hello::Helo("x".into()), Hello::Ehlo("x".into()));
        let with = |stamp: Stamp<'_>| stamp.protocol();
        assert_eq!(with(stamp(Some(&helo), &host)), "SMTP");
        assert_eq!(with(Stamp { security: Security::Tls, ..stamp(Some(&ehlo), &host) }), "ESMTPS");
        assert_eq!(with(Stamp { smtputf8: true, ..stamp(Some(&ehlo), &host) }), "UTF8SMTP");
        let lhlo = Hello::Lhlo("x".into());
        assert_eq!(with(stamp(Some(&lhlo), &host)), "LMTP");
        assert_eq!(with(Stamp { smtputf8: true, security: Security::Tls, ..stamp(Some(&lhlo), &host) }), "UTF8LMTPS");
    }

    #[test]
    fn a_name_cannot_forge_a_header() {
        let host = host();
        for name in ["x)(by", "a;b", "(", "[10.0.0.300]", "ö(", "\"x\""] {
            let hello = Hello::Ehlo(name.into());
            let header = stamp(Some(&hello), &host).header();
            assert!(header.starts_with("Received: from [192.0.2.1] ([192.0.2.1])\r\n"), "{header}");
        }
        let mapped = Stamp { address: "::ffff:192.0.2.9".parse().expect("an address"), ..stamp(None, &host) };
        assert!(mapped.header().contains("from [192.0.2.9] ([192.0.2.9])"));
        let six = Stamp { address: "2001:db8::1".parse().expect("an address"), ..stamp(None, &host) };
        assert!(six.header().contains("([IPv6:2001:db8::1])"));
    }

    #[test]
    fn only_received_headers_count() {
        let message = |hops: usize| {
            let header = "RECEIVED: from x\r\n\tReceived: folded\r\nX-Received: y\r\nReceive: z\r\n".repeat(hops);
            format!("Subject: s\r\n{header}\r\n{}", "Received: body\r\n".repeat(200))
        };
        assert_eq!(Hops::new().take(message(RECEIVED_COUNT_MAX).as_bytes()), Looping::No);
        assert_eq!(Hops::new().take(message(RECEIVED_COUNT_MAX + 1).as_bytes()), Looping::Yes);
    }

    #[test]
    fn no_further_than_the_limit() {
        let mut hops = Hops::new();
        assert_eq!(hops.take(&vec![b'x'; LOOKED_AT_OCTETS_MAX]), Looping::No);
        assert_eq!(hops.take("\r\nReceived: x".repeat(200).as_bytes()), Looping::No);
    }

    proptest! {
        #[test]
        fn any_split_counts_the_same(
            lines in proptest::collection::vec("(Received: x|re|\tReceived: y|To: z|Received|RECEIVED:)?", 0..60),
            cuts in proptest::collection::vec(1usize..9, 1..20),
        ) {
            let text = lines.join("\r\n");
            let mut whole = Hops::new();
            whole.take(text.as_bytes());
            let mut pieces = Hops::new();
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle")));
                pieces.take(now);
                rest = later;
            }
            prop_assert_eq!(pieces.count, whole.count);
            let headers = lines.iter().take_while(|line| !line.is_empty());
            let expected = headers.filter(|line| line.to_lowercase().starts_with("received:")).count();
            // An empty last line is no line yet.
            prop_assert_eq!(whole.count, expected);
        }
    }
}
