//! The PROXY protocol's header, taken off a connection before anything else is read of it.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(crate) use decode::Origin;
use decode::{HEADER_OCTETS_MAX, HeaderError, decode};
pub(crate) use encode::{encode, encode_text};
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Why a connection that must begin with a header has none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// It begins otherwise.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It broke, or ended within the header.
    #[error("the connection broke within the PROXY header")]
    Broken(#[from] io::Error),
    /// The header was not complete in time.
    #[error("no PROXY header within {} s", PROXY_HEADER_SPAN_MAX.as_secs())]
    TooSlow,
}

/// Takes the header off, and not one octet more: what follows may be the beginning of TLS.
pub(crate) async fn read(connection: &mut TcpStream) -> Result<Origin, ProxyError> {
    let read = tokio::time::timeout(PROXY_HEADER_SPAN_MAX, read_whole(connection)).await;
    read.map_err(|_| ProxyError::TooSlow)?
}

async fn read_whole(connection: &mut TcpStream) -> Result<Origin, ProxyError> {
    let mut buffer = vec![0; HEADER_OCTETS_MAX];
    // So much of it has been taken off.
    let mut taken = 0;
    loop {
        let room = buffer.get_mut(taken..).unwrap_or_default();
        let seen = connection.peek(room).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let decoded = decode(buffer.get(..taken + seen).unwrap_or_default())?;
        // Octets that do not complete the header belong to it, so they can go; then only new ones wake us.
        let used = decoded.map_or(taken + seen, |(_, used)| used);
        connection.read_exact(buffer.get_mut(taken..used).unwrap_or_default()).await?;
        taken = used;
        if let Some((origin, _)) = decoded {
            return Ok(origin);
        }
    }
}

/// How long a balancer may take to say for whom it connects.
pub const PROXY_HEADER_SPAN_MAX: Duration = Duration::from_secs(5);
