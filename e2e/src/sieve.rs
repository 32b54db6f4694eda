//! A client for ManageSieve (RFC 5804).

use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::net::SocketAddr;

/// A client after the greeting.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    capabilities: Vec<String>,
}

/// An answer: what came before its last line, literals in place of their counts, and the last line.
#[derive(Debug)]
pub struct Response {
    /// Lines that begin with a string.
    pub lines: Vec<Vec<u8>>,
    /// OK, NO or BYE, and what it says.
    pub last: String,
}

impl Response {
    /// Whether it is OK.
    pub fn is_ok(&self) -> bool {
        self.last.starts_with("OK")
    }
}

impl Client {
    /// Connects in plain text.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self { wire: Wire::connect(address)?, capabilities: Vec::new() }.greeted()
    }

    /// STARTTLS, the handshake, and what the server tells unasked behind it (RFC 5804 §2.2).
    pub fn start_tls(mut self) -> Result<Self> {
        let answer = self.command("STARTTLS")?;
        ensure!(answer.is_ok(), "STARTTLS was answered {answer:?}");
        Self { wire: self.wire.start_tls()?, capabilities: Vec::new() }.greeted()
    }

    fn greeted(mut self) -> Result<Self> {
        let greeting = self.response()?;
        ensure!(greeting.is_ok(), "greeted with {greeting:?}");
        self.capabilities = greeting.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        Ok(self)
    }

    /// The value of a capability, with its quotes.
    pub fn capability(&self, name: &str) -> Option<&str> {
        let quoted = format!("\"{name}\"");
        self.capabilities.iter().find_map(|line| Some(line.strip_prefix(&quoted)?.trim_start()))
    }

    /// What logs somebody in by PLAIN, without the end of its line.
    pub fn plain(user: &str, password: &str) -> String {
        format!("AUTHENTICATE \"PLAIN\" \"{}\"", BASE64.encode(format!("\0{user}\0{password}")))
    }

    /// Logs in.
    pub fn log_in(&mut self, user: &str, password: &str) -> Result<()> {
        let answer = self.command(&Self::plain(user, password))?;
        ensure!(answer.is_ok(), "the login of {user} was answered {answer:?}");
        Ok(())
    }

    /// Sends a line, which may have literals in it, and reads the answer.
    pub fn command(&mut self, line: &str) -> Result<Response> {
        self.send(&[line])?;
        self.response()
    }

    /// Sends lines in one segment.
    pub fn send(&mut self, lines: &[&str]) -> Result<()> {
        let octets: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.wire.send(octets.as_bytes())
    }

    /// The next answer.
    pub fn response(&mut self) -> Result<Response> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if !line.starts_with(b"\"") && !line.starts_with(b"{") {
                return Ok(Response { lines, last: String::from_utf8_lossy(&line).into_owned() });
            }
            lines.push(line);
        }
    }

    /// Whether the server has closed the connection behind all that was read.
    pub fn is_closed(&mut self) -> Result<bool> {
        self.wire.is_closed()
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = self.wire.line()?;
        while let Some(count) = literal_count(&line) {
            line.extend_from_slice(b"\r\n");
            line.extend(self.wire.exactly(count)?);
            line.extend(self.wire.line()?);
        }
        Ok(line)
    }
}

/// The script in the answer to GETSCRIPT.
pub fn script(answer: &Response) -> Result<Vec<u8>> {
    let line = answer.lines.first().with_context(|| format!("no script in {answer:?}"))?;
    let text = String::from_utf8_lossy(line);
    match text.strip_prefix('{').and_then(|rest| rest.split_once("}\r\n")) {
        Some((_, script)) => Ok(script.as_bytes().to_vec()),
        None => Ok(text.trim_matches('"').as_bytes().to_vec()),
    }
}

fn literal_count(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    text.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
