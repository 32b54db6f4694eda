//! The PROXY protocol's header as we send it when we call for somebody else.
//!
//! As the decoder beside it, this needs nothing but `std`: the fuzz targets compile this file too.

use super::decode::{Origin, SIGNATURE};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The line that says who is there (HAProxy's `proxy-protocol.txt`, §2.1).
pub(crate) fn encode_text(origin: Origin) -> Vec<u8> {
    let line = match origin {
        Origin::Socket => "PROXY UNKNOWN\r\n".to_owned(),
        Origin::Forwarded { client, server } => {
            let ports = format!("{} {}", client.port(), server.port());
            match (client.ip().to_canonical(), server.ip().to_canonical()) {
                (IpAddr::V4(client), IpAddr::V4(server)) => format!("PROXY TCP4 {client} {server} {ports}\r\n"),
                (client, server) => format!("PROXY TCP6 {} {} {ports}\r\n", as_ipv6(client), as_ipv6(server)),
            }
        }
    };
    line.into_bytes()
}

/// The header of version 2 that says who is there (§2.2).
pub(crate) fn encode(origin: Origin) -> Vec<u8> {
    let (command, family, content) = match origin {
        Origin::Socket => (LOCAL, UNSPECIFIED, Vec::new()),
        Origin::Forwarded { client, server } => addresses(client, server),
    };
    // 36 octets at most.
    let octets = u8::try_from(content.len()).unwrap_or_default();
    [SIGNATURE, &[command, family, 0, octets], &content].concat()
}

/// Both addresses are of one family there; an IPv4 address that is mapped into IPv6 is the address it maps.
fn addresses(client: SocketAddr, server: SocketAddr) -> (u8, u8, Vec<u8>) {
    let ports = [client.port().to_be_bytes(), server.port().to_be_bytes()].concat();
    match (client.ip().to_canonical(), server.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            (PROXY, TCP_OVER_IPV4, [&client.octets()[..], &server.octets(), &ports].concat())
        }
        (client, server) => {
            (PROXY, TCP_OVER_IPV6, [&as_ipv6(client).octets()[..], &as_ipv6(server).octets(), &ports].concat())
        }
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Version 2, a call of our own.
const LOCAL: u8 = 0x20;
/// Version 2, a call for somebody else.
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
