use super::decode::*;
use super::encode::{encode, encode_text};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn forwarded(client: &str, server: &str) -> Origin {
    Origin::Forwarded { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, content].concat()
}

fn headers() -> Vec<(Vec<u8>, Origin)> {
    let four = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0, 25];
    let tlvs = [4, 0, 3, 0, 0, 0, 1, 0, 2, b'h', b'2'];
    let client: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let server: Ipv6Addr = "2001:db8::2".parse().unwrap();
    let six = [&client.octets()[..], &server.octets(), &[0, 1, 0xff, 0xff]].concat();
    let text = |line: &str| line.as_bytes().to_vec();
    vec![
        (text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\n"), forwarded("192.0.2.1:56324", "198.51.100.7:25")),
        (text("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), forwarded("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        (text("PROXY TCP4 255.255.255.255 0.0.0.0 0 0\r\n"), forwarded("255.255.255.255:0", "0.0.0.0:0")),
        (text("PROXY UNKNOWN\r\n"), Origin::Socket),
        (text("PROXY UNKNOWN ffff::1 what ever\r\n"), Origin::Socket),
        (v2(0x21, 0x11, &four), forwarded("192.0.2.1:56324", "198.51.100.7:25")),
        (v2(0x21, 0x11, &[&four[..], &tlvs].concat()), forwarded("192.0.2.1:56324", "198.51.100.7:25")),
        (v2(0x21, 0x21, &six), forwarded("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        (v2(0x21, 0x31, &[7; 216]), Origin::Socket),
        (v2(0x21, 0x00, &[]), Origin::Socket),
        (v2(0x20, 0x00, &[]), Origin::Socket),
        (v2(0x20, 0x11, &four), Origin::Socket),
        (v2(0x20, 0x99, &tlvs), Origin::Socket),
    ]
}

#[test]
fn whole_headers_with_and_without_what_follows() {
    for (header, origin) in headers() {
        assert_eq!(decode(&header), Ok(Some((origin, header.len()))), "{}", header.escape_ascii());
        let more = [&header[..], b"USER ann\r\n"].concat();
        assert_eq!(decode(&more), Ok(Some((origin, header.len()))), "{}", header.escape_ascii());
    }
}

#[test]
fn every_prefix_asks_for_more() {
    for (header, _) in headers() {
        for octets in 0..header.len() {
            let prefix = header.get(..octets).unwrap();
            assert_eq!(decode(prefix), Ok(None), "{}", prefix.escape_ascii());
        }
    }
}

#[test]
fn what_is_none_is_refused_with_the_first_octet_that_shows_it() {
    for text in ["EHLO x\r\n", "proxy TCP4", "PROXYTCP4", "PROXY\r\n", "\r\n\r\n\r\n", "\0", "\x16\x03\x01"] {
        assert_eq!(decode(text.as_bytes()), Err(HeaderError::Missing), "{text:?}");
    }
    assert_eq!(decode(b"PX"), Err(HeaderError::Missing));
}

#[test]
fn version_1_is_read_to_the_letter() {
    for line in [
        "PROXY ",
        "PROXY TCP4",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3",
        "PROXY TCP4 192.0.2.1  198.51.100.7 1 2",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 65536",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 025",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 25",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 ",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 2",
        "PROXY TCP4 ::1 ::1 1 2",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 2",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1 2",
        "PROXY UDP4 192.0.2.1 198.51.100.7 1 2",
        "PROXY TCP4 ü 198.51.100.7 1 2",
    ] {
        assert_eq!(decode(format!("{line}\r\n").as_bytes()), Err(HeaderError::Text), "{line}");
    }
    assert_eq!(decode(b"PROXY TCP4 \xff\r\n"), Err(HeaderError::Text));
}

#[test]
fn version_1_has_107_octets() {
    let line = |octets: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(octets - 16)).into_bytes();
    assert_eq!(decode(&line(107)), Ok(Some((Origin::Socket, 107))));
    assert_eq!(decode(&line(108)), Err(HeaderError::TooLong));
    // The CR may be the last octet that fits: without its LF it ends no line.
    assert_eq!(decode(line(108).get(..106).unwrap()), Ok(None));
    assert_eq!(decode(line(108).get(..107).unwrap()), Err(HeaderError::TooLong));
    assert_eq!(decode(b"PROXY UNKNOWN\n"), Ok(None), "LF alone ends nothing");
}

#[test]
fn version_2_is_bounded_and_checked() {
    let most = HEADER_OCTETS_MAX - 16;
    assert_eq!(decode(&v2(0x20, 0, &vec![0; most])), Ok(Some((Origin::Socket, HEADER_OCTETS_MAX))));
    // Refused as soon as the length is known.
    let long = v2(0x20, 0, &vec![0; most + 1]);
    assert_eq!(decode(long.get(..16).unwrap()), Err(HeaderError::TooLong));
    for (command, family, octets) in
        [(0x11, 0x11, 12), (0x22, 0x11, 12), (0x21, 0x11, 11), (0x21, 0x21, 35), (0x21, 0x41, 40), (0x21, 0x13, 12)]
    {
        let header = v2(command, family, &vec![0; octets]);
        assert_eq!(decode(&header), Err(HeaderError::Binary), "{command:#x} {family:#x} {octets}");
    }
}

/// Octets that a seed decides: headers with some of their octets changed, and cut. None panics, none is read beyond
/// its end, and what a prefix decides stays decided.
#[test]
fn any_octets_are_taken_or_refused() {
    let headers = headers();
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chance = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for _ in 0..20_000 {
        let mut octets = headers.get(chance(headers.len())).unwrap().0.clone();
        for _ in 0..chance(4) {
            let at = chance(octets.len());
            *octets.get_mut(at).unwrap() = u8::try_from(chance(256)).unwrap();
        }
        octets.extend((0..chance(20)).map(|_| u8::try_from(chance(256)).unwrap()).collect::<Vec<_>>());
        octets.truncate(chance(octets.len()) + 1);
        let whole = decode(&octets);
        if let Ok(Some((_, used))) = whole {
            assert!(used <= octets.len() && used <= HEADER_OCTETS_MAX);
            assert_eq!(decode(octets.get(..used).unwrap()), whole, "{}", octets.escape_ascii());
        }
        let before = decode(octets.get(..octets.len() - 1).unwrap());
        assert!(before == Ok(None) || before == whole, "{}: {before:?}, then {whole:?}", octets.escape_ascii());
    }
}

#[test]
fn what_we_say_is_said_to_the_letter() {
    let four = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0, 25];
    assert_eq!(encode(forwarded("192.0.2.1:56324", "198.51.100.7:25")), v2(0x21, 0x11, &four));
    assert_eq!(encode(forwarded("[::ffff:192.0.2.1]:56324", "198.51.100.7:25")), v2(0x21, 0x11, &four));
    assert_eq!(encode(Origin::Socket), v2(0x20, 0, &[]));
    let mixed = encode(forwarded("192.0.2.1:1", "[2001:db8::2]:2"));
    assert_eq!(decode(&mixed), Ok(Some((forwarded("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2"), mixed.len()))));
}

/// Of every pair of addresses, the decoder gives back what the encoder was given, as the same hosts and ports.
#[test]
fn what_we_say_is_understood() {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut chance = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut socket = || {
        let [kind, high, low] = [chance(), chance(), chance()];
        let bits = u128::from(high) << 64 | u128::from(low);
        let four = Ipv4Addr::from(bits.to_be_bytes().first_chunk::<4>().copied().unwrap());
        let address = match kind % 3 {
            0 => IpAddr::V4(four),
            1 => IpAddr::V6(four.to_ipv6_mapped()),
            _ => IpAddr::V6(Ipv6Addr::from(bits)),
        };
        SocketAddr::new(address, u16::from_be_bytes(*kind.to_be_bytes().first_chunk().unwrap()))
    };
    for _ in 0..10_000 {
        let (client, server) = (socket(), socket());
        let header = encode(Origin::Forwarded { client, server });
        let Ok(Some((Origin::Forwarded { client: ours, server: theirs }, used))) = decode(&header) else {
            panic!("{client} {server}: {}", header.escape_ascii());
        };
        assert_eq!(used, header.len());
        for (said, heard) in [(client, ours), (server, theirs)] {
            assert_eq!((heard.ip().to_canonical(), heard.port()), (said.ip().to_canonical(), said.port()));
        }
        assert_eq!(ours.is_ipv4(), theirs.is_ipv4(), "one family");
    }
}

#[test]
fn what_is_written_as_text_is_read_again() {
    for (_, origin) in headers() {
        let line = encode_text(origin);
        assert_eq!(decode(&line), Ok(Some((origin, line.len()))), "{}", line.escape_ascii());
    }
    // Both of one family, as the line has it.
    let mixed = encode_text(forwarded("192.0.2.1:1", "[2001:db8::2]:2"));
    assert_eq!(mixed.escape_ascii().to_string(), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\\r\\n");
}
