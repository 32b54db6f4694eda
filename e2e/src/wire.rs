//! A connection as bytes and lines, with a deadline on every wait.

use crate::deflate::Deflated;
use crate::tls::{self, TlsStream};
use anyhow::{Context, Result, bail, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A client's end of a connection.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    /// Between the stream and us, once it was agreed on.
    deflated: Option<Box<Deflated>>,
    /// Read from the socket and not yet taken: everything from `taken` on.
    buffer: Vec<u8>,
    taken: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Wire {
    /// Connects in plain text.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&address, WAIT_MAX).with_context(|| format!("cannot reach {address}"))?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Stream::Plain(stream), deflated: None, buffer: Vec::new(), taken: 0 })
    }

    /// Shakes hands for TLS. What the server sent in plain text after its go-ahead is an error.
    pub fn start_tls(self) -> Result<Self> {
        ensure!(self.taken == self.buffer.len(), "the server sent more in plain text after its go-ahead");
        let Stream::Plain(stream) = self.stream else { bail!("there is TLS already") };
        let stream = tls::connect(stream).context("TLS handshake")?;
        Ok(Self { stream: Stream::Tls(Box::new(stream)), deflated: None, buffer: Vec::new(), taken: 0 })
    }

    /// From here on both ends compress (RFC 4978); the server has said OK, and nothing after it that was not read.
    pub fn compress(&mut self) {
        self.deflated = Some(Box::new(Deflated::new()));
    }

    /// How long a read or write may wait.
    pub fn set_wait(&self, wait: Duration) -> Result<()> {
        let stream = self.socket();
        stream.set_read_timeout(Some(wait))?;
        stream.set_write_timeout(Some(wait))?;
        Ok(())
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let deflated = self.deflated.as_mut().map(|deflated| deflated.deflate(bytes)).transpose()?;
        let bytes = deflated.as_deref().unwrap_or(bytes);
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
        .context("cannot send")
    }

    /// The next line without its CRLF.
    pub fn line(&mut self) -> Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let pending = self.buffer.get(self.taken..).unwrap_or_default();
            let fresh = pending.get(searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|&octet| octet == b'\n') {
                let line = pending.get(..searched + end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken += searched + end + 1;
                return Ok(line);
            }
            searched = pending.len();
            ensure!(searched < LINE_OCTETS_MAX, "the server sent a line without an end");
            ensure!(self.fill()?, "the server closed the connection");
        }
    }

    /// The next line as text.
    pub fn text(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.line()?).into_owned())
    }

    /// Exactly so many octets.
    pub fn exactly(&mut self, octets: usize) -> Result<Vec<u8>> {
        ensure!(octets <= LITERAL_OCTETS_MAX, "a literal of {octets} octets");
        while self.buffer.len() - self.taken < octets {
            ensure!(self.fill()?, "the server closed the connection inside a literal");
        }
        let bytes = self.buffer.get(self.taken..self.taken + octets).unwrap_or_default().to_vec();
        self.taken += octets;
        Ok(bytes)
    }

    /// Whether the server has closed the connection: everything it sent is taken, and its end is seen.
    pub fn is_closed(&mut self) -> Result<bool> {
        Ok(self.taken == self.buffer.len() && !self.fill()?)
    }

    /// Whether something can be taken within a wait; a closed connection counts.
    pub fn is_readable_within(&mut self, wait: Duration) -> Result<bool> {
        if self.taken < self.buffer.len() {
            return Ok(true);
        }
        self.socket().set_read_timeout(Some(wait))?;
        let filled = self.fill_or_wait();
        self.socket().set_read_timeout(Some(WAIT_MAX))?;
        Ok(!matches!(filled?, Filled::Nothing))
    }

    /// Says that no more will be sent.
    pub fn finish(&self) -> Result<()> {
        Ok(self.socket().shutdown(Shutdown::Write)?)
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Reads once; false at the end of the stream.
    fn fill(&mut self) -> Result<bool> {
        match self.fill_or_wait()? {
            Filled::Some => Ok(true),
            Filled::End => Ok(false),
            Filled::Nothing => bail!("the server did not answer in time"),
        }
    }

    fn fill_or_wait(&mut self) -> Result<Filled> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut chunk = vec![0; CHUNK_OCTETS];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
        };
        match read {
            Ok(0) => Ok(Filled::End),
            Ok(octets) => {
                let came = chunk.get(..octets).unwrap_or_default();
                match &mut self.deflated {
                    Some(deflated) => deflated.inflate(came, &mut self.buffer)?,
                    None => self.buffer.extend_from_slice(came),
                }
                Ok(Filled::Some)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(Filled::Nothing),
            // A server that dies while our bytes are on their way resets; TLS without close_notify is an end as well.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                Ok(Filled::End)
            }
            Err(error) => Err(error).context("cannot read"),
        }
    }
}

enum Filled {
    Some,
    Nothing,
    End,
}

/// No answer takes longer, also on a machine that compiles beside the tests.
const WAIT_MAX: Duration = Duration::from_secs(60);

const CHUNK_OCTETS: usize = 64 * 1024;
const LINE_OCTETS_MAX: usize = 32 << 20;
const LITERAL_OCTETS_MAX: usize = 256 << 20;
