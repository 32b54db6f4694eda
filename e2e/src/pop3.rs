//! A client for POP3.

use crate::wire::Wire;
use anyhow::{Result, ensure};
use std::net::SocketAddr;

/// A client after the greeting.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects in plain text.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let mut client = Self { wire: Wire::connect(address)? };
        let greeting = client.wire.text()?;
        ensure!(greeting.starts_with("+OK"), "greeted with {greeting}");
        Ok(client)
    }

    /// STLS and the handshake (RFC 2595 §4).
    pub fn start_tls(mut self) -> Result<Self> {
        let answer = self.command("STLS")?;
        ensure!(answer.starts_with("+OK"), "STLS was answered {answer}");
        self.resume_tls()
    }

    /// The handshake after a go-ahead that was read already.
    pub fn resume_tls(self) -> Result<Self> {
        Ok(Self { wire: self.wire.start_tls()? })
    }

    /// Sends a line; the first line of the answer.
    pub fn command(&mut self, line: &str) -> Result<String> {
        self.wire.send(format!("{line}\r\n").as_bytes())?;
        self.wire.text()
    }

    /// USER and PASS.
    pub fn login(&mut self, address: &str, password: &str) -> Result<()> {
        for line in [format!("USER {address}"), format!("PASS {password}")] {
            let answer = self.command(&line)?;
            ensure!(answer.starts_with("+OK"), "the login of {address} was answered {answer}");
        }
        Ok(())
    }

    /// RETR: the message, its dots unstuffed.
    pub fn retrieve(&mut self, number: u32) -> Result<Vec<u8>> {
        let answer = self.command(&format!("RETR {number}"))?;
        ensure!(answer.starts_with("+OK"), "RETR was answered {answer}");
        let mut message = Vec::new();
        loop {
            let line = self.wire.line()?;
            if line == b"." {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
        }
    }

    /// The connection itself, for what a well-behaved client does not do.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }
}
