//! The PROXY header of a balancer.

/// The driver's own files: decoder and encoder are private there, and this package needs no more of the driver.
#[path = "../../../crates/net/src/proxy_header/decode.rs"]
mod decode;
#[path = "../../../crates/net/src/proxy_header/encode.rs"]
mod encode;

use decode::{HEADER_OCTETS_MAX, Origin, decode};
use encode::{encode, encode_text};
use std::net::SocketAddr;

/// What a connection to a listener behind a balancer begins with. A header is whole by itself and has a bounded length;
/// a prefix of it asks for more, and what is refused stays refused, whatever follows. What it says, we can say ourselves.
pub fn proxy_header(data: &[u8]) {
    let whole = decode(data);
    let seen = data.get(..HEADER_OCTETS_MAX).unwrap_or(data);
    match whole {
        Ok(Some((origin, used))) => {
            say_again(origin);
            assert!(used <= seen.len());
            let (header, _) = data.split_at(used);
            assert_eq!(decode(header), whole, "what follows makes no difference");
            for octets in 0..used {
                let (prefix, _) = header.split_at(octets);
                assert_eq!(decode(prefix), Ok(None));
            }
        }
        Ok(None) => assert!(data.len() < HEADER_OCTETS_MAX, "no more room, and still no verdict"),
        Err(_) => assert_eq!(decode(&[data, b"\r\n"].concat()), whole),
    }
}

/// What we send says the same: that host at that port, for both, and nothing about a call of our own.
fn say_again(origin: Origin) {
    for header in [encode(origin), encode_text(origin)] {
        let Ok(Some((heard, used))) = decode(&header) else { panic!("{origin:?} as {}", header.escape_ascii()) };
        assert_eq!(used, header.len());
        let same = |socket: SocketAddr| (socket.ip().to_canonical(), socket.port());
        match (origin, heard) {
            (Origin::Socket, Origin::Socket) => {}
            (Origin::Forwarded { client, server }, Origin::Forwarded { client: ours, server: theirs }) => {
                assert_eq!((same(ours), same(theirs)), (same(client), same(server)));
            }
            (Origin::Socket | Origin::Forwarded { .. }, _) => panic!("{origin:?} became {heard:?}"),
        }
    }
}
