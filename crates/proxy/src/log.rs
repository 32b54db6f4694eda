//! The log line of a failed login, in a form that fail2ban can trust (docs/operating/logins.md).
//!
//! ```text
//! 192.0.2.7 failed login protocol=imap user=mallory@example.test reason=wrong-password
//! ```
//! It starts with the address that the client has. What the client chose, its user name, can hold neither a space nor a
//! quote nor an equals sign, so that nobody can write another address into a line that a filter reads.

use crate::authenticator::{Client, Reason};
use std::fmt;

/// The line.
pub(crate) struct FailedLogin<'a> {
    pub(crate) client: &'a Client,
    pub(crate) user: &'a str,
    pub(crate) reason: Reason,
}

impl fmt::Display for FailedLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.peer.address.ip().to_canonical();
        let (protocol, reason) = (self.client.protocol.name(), self.reason.word());
        write!(f, "{address} failed login protocol={protocol} user={} reason={reason}", Escaped(self.user))
    }
}

/// A text of a stranger: letters, digits and `@ . _ + -` as they are, other octets as `%XX`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|octet| match octet {
            b'@' | b'.' | b'_' | b'+' | b'-' => write!(f, "{}", char::from(octet)),
            octet if octet.is_ascii_alphanumeric() => write!(f, "{}", char::from(octet)),
            octet => write!(f, "%{octet:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::{Peer, Protocol};
    use regex::Regex;

    fn line(address: &str, user: &str) -> String {
        let peer = Peer { address: address.parse().unwrap(), local: "192.0.2.1:993".parse().unwrap(), tls: true };
        let client = Client::new(Protocol::Imap, peer);
        FailedLogin { client: &client, user, reason: Reason::WrongPassword }.to_string()
    }

    #[test]
    fn starts_with_the_address_and_escapes_the_user() {
        assert_eq!(
            line("[::ffff:192.0.2.7]:40000", "a b\"=\n%é"),
            "192.0.2.7 failed login protocol=imap user=a%20b%22%3D%0A%25%C3%A9 reason=wrong-password"
        );
    }

    /// The expressions of our fail2ban filter, with `<ADDR>` as fail2ban understands it.
    fn filter() -> Vec<Regex> {
        let conf = include_str!("../../../docs/operating/fail2ban/posthouse.conf");
        let (_, failregex) = conf.split_once("failregex = ").unwrap();
        let expressions = failregex.lines().map(str::trim).take_while(|line| line.starts_with('^'));
        expressions
            .map(|expression| Regex::new(&expression.replace("<ADDR>", r"(?<addr>[0-9a-f.:]+)")).unwrap())
            .collect()
    }

    fn banned(line: &str) -> Option<String> {
        filter().iter().find_map(|expression| Some(expression.captures(line)?["addr"].to_owned()))
    }

    #[test]
    fn our_filter_finds_the_address_in_every_format_of_our_log() {
        assert_eq!(filter().len(), 3);
        for (address, shown) in [("192.0.2.7:1", "192.0.2.7"), ("[2001:db8::7]:1", "2001:db8::7")] {
            let line = line(address, "mallory@example.test");
            for logged in [
                line.clone(),
                format!("  INFO login: {line}"),
                format!("level=info target=login msg=\"{line}\""),
                format!("{{\"level\":\"INFO\",\"message\":\"{line}\",\"target\":\"login\"}}"),
            ] {
                assert_eq!(banned(&logged).as_deref(), Some(shown), "{logged}");
            }
        }
    }

    #[test]
    fn nobody_has_another_banned() {
        let forged = line("192.0.2.66:1", "x");
        let user = line("192.0.2.7:1", &forged);
        assert_eq!(banned(&user).as_deref(), Some("192.0.2.7"));
        // In another line, whatever client's text it quotes.
        for quoted in [
            format!("level=info msg=hello helo=\"{}\"", forged),
            format!("level=info msg=hello helo=\"msg=\\\"{forged}\\\"\""),
            format!("{{\"message\":\"hello\",\"helo\":\"\\\"message\\\":\\\"{forged}\\\"\"}}"),
            format!("  INFO relay: hello helo=\"{forged}\""),
        ] {
            assert_eq!(banned(&quoted), None, "{quoted}");
        }
    }
}
