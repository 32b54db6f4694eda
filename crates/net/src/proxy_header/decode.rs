//! The PROXY protocol's header, version 1 and 2, as a balancer sends it before anything else.
//!
//! The specification is HAProxy's `proxy-protocol.txt` of 2020. This is the decoder alone: octets in, a verdict out. It
//! needs nothing but `core` and `std`: the fuzz targets compile this file too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who is at the other end, according to a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of the balancer: its address, and the one that it connected to.
    Forwarded {
        /// The client's address.
        client: SocketAddr,
        /// The address that the client connected to.
        server: SocketAddr,
    },
    /// The balancer itself (`LOCAL`, a health check), or somebody of whom it knows no more than we (`UNKNOWN`): the
    /// addresses of the socket hold.
    Socket,
}

/// Why octets are no header. Another attempt on the same connection makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It begins in neither way that a header begins.
    Missing,
    /// More octets than a header may have.
    TooLong,
    /// The text of version 1 is not as it must be.
    Text,
    /// The fields of version 2 are not as they must be.
    Binary,
}

/// What the octets that have arrived are.
pub(crate) type Decoded = Result<Option<(Origin, usize)>, HeaderError>;

/// Reads a header at the beginning of a connection: who is there and how many octets it took, or nothing while it is
/// not complete. What can no more become a header is refused at once.
pub(crate) fn decode(octets: &[u8]) -> Decoded {
    if octets.starts_with(SIGNATURE) {
        binary(octets)
    } else if octets.starts_with(PREFIX) {
        text(octets)
    } else if SIGNATURE.starts_with(octets) || PREFIX.starts_with(octets) {
        Ok(None)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Version 1 (§2.1): `PROXY TCP4 client server port port`, CRLF.
fn text(octets: &[u8]) -> Decoded {
    let line = octets.get(..TEXT_OCTETS_MAX).unwrap_or(octets);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < TEXT_OCTETS_MAX { Ok(None) } else { Err(HeaderError::TooLong) };
    };
    let line = line.get(PREFIX.len()..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Text)?;
    let words: Vec<&str> = line.split(' ').collect();
    let origin = match words.as_slice() {
        // What follows UNKNOWN is to be ignored.
        ["UNKNOWN", ..] => Origin::Socket,
        ["TCP4", client, server, from, to] => {
            Origin::forwarded((ip::<Ipv4Addr>(client)?, port(from)?), (ip::<Ipv4Addr>(server)?, port(to)?))
        }
        ["TCP6", client, server, from, to] => {
            Origin::forwarded((ip::<Ipv6Addr>(client)?, port(from)?), (ip::<Ipv6Addr>(server)?, port(to)?))
        }
        _ => return Err(HeaderError::Text),
    };
    Ok(Some((origin, end + 2)))
}

fn ip<T: std::str::FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, HeaderError> {
    word.parse::<T>().map(Into::into).map_err(|_| HeaderError::Text)
}

/// Digits without a leading zero, as `parse` alone does not demand.
fn port(word: &str) -> Result<u16, HeaderError> {
    let plain = word.bytes().all(|octet| octet.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(HeaderError::Text)
}

/// Version 2 (§2.2): the signature, version and command, family, length, addresses, and TLVs that we skip.
fn binary(octets: &[u8]) -> Decoded {
    let rest = octets.get(SIGNATURE.len()..).unwrap_or_default();
    let command = match rest.first() {
        None => return Ok(None),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return Err(HeaderError::Binary),
    };
    let Some(([_, family, high, low], content)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let content_octets = usize::from(u16::from_be_bytes([*high, *low]));
    let octets_whole = SIGNATURE.len() + 4 + content_octets;
    if octets_whole > HEADER_OCTETS_MAX {
        return Err(HeaderError::TooLong);
    }
    let Some(content) = content.get(..content_octets) else { return Ok(None) };
    let origin = match command {
        // The family of a LOCAL header is to be ignored.
        Command::Local => Origin::Socket,
        Command::Proxy => addresses(*family, content)?,
    };
    Ok(Some((origin, octets_whole)))
}

fn addresses(family: u8, content: &[u8]) -> Result<Origin, HeaderError> {
    match family {
        0x11 => {
            let (client, rest) = take::<4>(content)?;
            let (server, rest) = take::<4>(rest)?;
            let (from, to) = ports(rest)?;
            Ok(Origin::forwarded((Ipv4Addr::from(client).into(), from), (Ipv4Addr::from(server).into(), to)))
        }
        0x21 => {
            let (client, rest) = take::<16>(content)?;
            let (server, rest) = take::<16>(rest)?;
            let (from, to) = ports(rest)?;
            Ok(Origin::forwarded((Ipv6Addr::from(client).into(), from), (Ipv6Addr::from(server).into(), to)))
        }
        // Unspecified, datagrams, Unix sockets: who is there cannot be said in an address of ours, and the receiver
        // "should use the real connection endpoints".
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(Origin::Socket),
        _ => Err(HeaderError::Binary),
    }
}

fn ports(octets: &[u8]) -> Result<(u16, u16), HeaderError> {
    let (from, rest) = take::<2>(octets)?;
    let (to, _tlvs) = take::<2>(rest)?;
    Ok((u16::from_be_bytes(from), u16::from_be_bytes(to)))
}

fn take<const N: usize>(octets: &[u8]) -> Result<([u8; N], &[u8]), HeaderError> {
    octets.split_first_chunk::<N>().map(|(first, rest)| (*first, rest)).ok_or(HeaderError::Binary)
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no PROXY header"),
            Self::TooLong => write!(f, "a PROXY header that is too long"),
            Self::Text => write!(f, "a PROXY header of version 1 that makes no sense"),
            Self::Binary => write!(f, "a PROXY header of version 2 that makes no sense"),
        }
    }
}

impl std::error::Error for HeaderError {}

impl Origin {
    fn forwarded(client: (IpAddr, u16), server: (IpAddr, u16)) -> Self {
        Self::Forwarded { client: client.into(), server: server.into() }
    }
}

/// What a header of version 2 asks for.
enum Command {
    Local,
    Proxy,
}

/// How version 1 begins.
const PREFIX: &[u8] = b"PROXY ";
/// How version 2 begins.
pub(crate) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// §2.1: the longest line of version 1, its CRLF included.
pub(crate) const TEXT_OCTETS_MAX: usize = 107;
/// The longest header. Version 2 could announce 64 KiB of TLVs; what balancers send (§2.2.5, even with a client's
/// certificate) stays far below this, and a stranger costs us no more.
pub(crate) const HEADER_OCTETS_MAX: usize = 4096;
