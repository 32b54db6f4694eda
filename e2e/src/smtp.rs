//! A client for SMTP and LMTP.

use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;

/// A client that has said hello.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    kind: Kind,
    /// The extensions that the server named.
    pub extensions: Vec<String>,
}

/// Which of the two dialogues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 5321: one reply after the data.
    Smtp,
    /// RFC 2033: one reply per accepted recipient after the data.
    Lmtp,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// What follows them, one line each.
    pub lines: Vec<String>,
}

impl Client {
    /// Connects and says hello.
    pub fn connect(address: SocketAddr, kind: Kind) -> Result<Self> {
        let mut wire = Wire::connect(address)?;
        let greeting = reply(&mut wire)?;
        ensure!(greeting.code == 220, "greeted with {greeting:?}");
        let mut client = Self { wire, kind, extensions: Vec::new() };
        client.hello()?;
        Ok(client)
    }

    /// Says hello, also again after TLS.
    pub fn hello(&mut self) -> Result<()> {
        let verb = match self.kind {
            Kind::Smtp => "EHLO",
            Kind::Lmtp => "LHLO",
        };
        let hello = self.command(&format!("{verb} client.far.example"))?;
        ensure!(hello.code == 250, "{verb} was answered {hello:?}");
        self.extensions = hello.lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    /// STARTTLS and the handshake; hello is said again.
    pub fn start_tls(mut self) -> Result<Self> {
        let ready = self.command("STARTTLS")?;
        ensure!(ready.code == 220, "STARTTLS was answered {ready:?}");
        self.resume_tls()
    }

    /// The handshake after a go-ahead that was read already.
    pub fn resume_tls(self) -> Result<Self> {
        let mut client = Self { wire: self.wire.start_tls()?, kind: self.kind, extensions: Vec::new() };
        client.hello()?;
        Ok(client)
    }

    /// Sends a line and waits for its reply.
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.wire.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply> {
        reply(&mut self.wire)
    }

    /// The connection itself, for what a well-behaved client does not do.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// One transaction: the last word about each recipient, in their order.
    pub fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> Result<Vec<Reply>> {
        let mail = self.command(&format!("MAIL FROM:<{from}>"))?;
        if mail.code != 250 {
            return Ok(vec![mail; to.len()]);
        }
        let mut verdicts = Vec::new();
        for recipient in to {
            verdicts.push(self.command(&format!("RCPT TO:<{recipient}>"))?);
        }
        if !verdicts.iter().any(Reply::is_good) {
            self.command("RSET")?;
            return Ok(verdicts);
        }
        let data = self.command("DATA")?;
        if data.code != 354 {
            return Ok(vec![data; to.len()]);
        }
        self.wire.send(&stuffed(message))?;
        let mut shared = None;
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_good()) {
            *verdict = match (self.kind, &shared) {
                (Kind::Smtp, Some(reply)) => Reply::clone(reply),
                (Kind::Smtp, None) | (Kind::Lmtp, _) => reply(&mut self.wire)?,
            };
            shared = Some(verdict.clone());
        }
        Ok(verdicts)
    }

    /// Delivers to one recipient, who must be accepted.
    pub fn must_deliver(&mut self, to: &str, message: &[u8]) -> Result<()> {
        let replies = self.deliver("sender@far.example", &[to], message)?;
        let reply = replies.first().context("no reply")?;
        ensure!(reply.is_good(), "delivery to {to} was answered {reply:?}");
        Ok(())
    }
}

impl Reply {
    /// Whether it is a 250.
    pub fn is_good(&self) -> bool {
        self.code == 250
    }

    /// Whether it begins like this: `550 5.1.1`.
    pub fn begins(&self, with: &str) -> bool {
        let first = self.lines.first().map(String::as_str).unwrap_or_default();
        format!("{} {first}", self.code).starts_with(with)
    }
}

fn reply(wire: &mut Wire) -> Result<Reply> {
    let mut lines = Vec::new();
    loop {
        let line = wire.text()?;
        let (code, rest) = line.split_at_checked(3).with_context(|| format!("no reply: {line}"))?;
        let code = code.parse().with_context(|| format!("no reply: {line}"))?;
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        ensure!(lines.len() <= LINES_MAX, "a reply without an end");
        if !rest.starts_with('-') {
            return Ok(Reply { code, lines });
        }
    }
}

/// RFC 5321 §4.5.2: a dot before each dot that begins a line, and the dot that ends it all.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + message.len() / 50 + 5);
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            bytes.push(b'.');
        }
        bytes.extend_from_slice(line);
    }
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

const LINES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed() {
        assert_eq!(stuffed(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
    }
}
