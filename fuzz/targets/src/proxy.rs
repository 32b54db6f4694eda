//! The PROXY header of a balancer.

/// The driver's own file: the decoder is private there, and this package needs no more of the driver.
#[path = "../../../crates/net/src/proxy_header/decode.rs"]
mod decode;

use decode::{HEADER_OCTETS_MAX, decode};

/// What a connection to a listener behind a balancer begins with. A header is whole by itself and has a bounded length;
/// a prefix of it asks for more, and what is refused stays refused, whatever follows.
pub fn proxy_header(data: &[u8]) {
    let whole = decode(data);
    let seen = data.get(..HEADER_OCTETS_MAX).unwrap_or(data);
    match whole {
        Ok(Some((_, used))) => {
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
