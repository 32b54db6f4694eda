//! Undoing transfer encodings (RFC 2045 §6), never into more than the caller has room for.

/// What an encoding does to octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`, `8bit` and `binary`: nothing.
    Identity,
    /// RFC 2045 §6.8.
    Base64,
    /// RFC 2045 §6.7.
    QuotedPrintable,
}

/// Octets without their transfer encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// At most as many as were asked for.
    pub octets: Vec<u8>,
    /// Whether there would have been more.
    pub truncated: bool,
}

impl TransferEncoding {
    /// From its name in any case; none when it is unknown.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("7bit") || is("8bit") || is("binary") {
            Some(Self::Identity)
        } else if is("base64") {
            Some(Self::Base64)
        } else if is("quoted-printable") {
            Some(Self::QuotedPrintable)
        } else {
            None
        }
    }

    /// Decodes, and stops at `octets_max`. What is no valid encoding is passed over or left as it stands.
    pub fn decode(self, encoded: &[u8], octets_max: usize) -> Decoded {
        let mut sink = Sink { decoded: Decoded::default(), octets_max };
        match self {
            Self::Identity => sink.extend(encoded),
            Self::Base64 => decode_base64(encoded, &mut sink),
            Self::QuotedPrintable => decode_quoted_printable(encoded, &mut sink),
        };
        sink.decoded
    }
}

struct Sink {
    decoded: Decoded,
    octets_max: usize,
}

impl Sink {
    /// Takes what there is room for; none when that was not all.
    #[must_use = "a full sink ends decoding"]
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.extend(octets);
        (!self.decoded.truncated).then_some(())
    }

    fn extend(&mut self, octets: &[u8]) {
        let room = self.octets_max.saturating_sub(self.decoded.octets.len());
        let taken = octets.get(..room).unwrap_or(octets);
        self.decoded.octets.extend_from_slice(taken);
        self.decoded.truncated |= taken.len() < octets.len();
    }
}

/// Octets outside the alphabet are ignored (RFC 2045 §6.8), and padding ends only its own group: lists and gateways
/// join encoded texts. No library decodes so liberally.
fn decode_base64(encoded: &[u8], sink: &mut Sink) {
    let (mut bits, mut bit_count) = (0u32, 0u32);
    for octet in encoded {
        if *octet == b'=' {
            (bits, bit_count) = (0, 0);
            continue;
        }
        let Some(value) = sextet(*octet) else { continue };
        bits = (bits << 6 | u32::from(value)) & 0xfff;
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            let [.., whole] = (bits >> bit_count).to_be_bytes();
            if sink.put(&[whole]).is_none() {
                return;
            }
        }
    }
}

fn sextet(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn decode_quoted_printable(encoded: &[u8], sink: &mut Sink) {
    for line in encoded.split_inclusive(|octet| *octet == b'\n') {
        if decode_quoted_line(line, sink).is_none() {
            return;
        }
    }
}

fn decode_quoted_line(line: &[u8], sink: &mut Sink) -> Option<()> {
    let text_len = line.iter().rposition(|octet| !crate::lex::is_space(*octet)).map_or(0, |last| last + 1);
    // RFC 2045 §6.7 rule 3: white space at the end of a line was added on the way.
    let (mut text, blank) = line.split_at_checked(text_len)?;
    let line_end: &[u8] = match blank {
        [.., b'\r', b'\n'] => b"\r\n",
        [.., b'\n'] => b"\n",
        _ => b"",
    };
    while let Some((octet, after)) = text.split_first() {
        text = after;
        if *octet != b'=' {
            sink.put(&[*octet])?;
            continue;
        }
        if after.is_empty() {
            return Some(()); // rule 5: a soft line break
        }
        match after.first_chunk().and_then(|digits| hex(*digits)) {
            Some(decoded) => {
                sink.put(&[decoded])?;
                text = after.get(2..).unwrap_or_default();
            }
            None => sink.put(b"=")?,
        }
    }
    sink.put(line_end)
}

/// Two hexadecimal digits; lower case is taken as well (RFC 2045 §6.7, notes).
pub(crate) fn hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: &str, encoded: &str) -> Vec<u8> {
        TransferEncoding::parse(encoding.as_bytes()).expect(encoding).decode(encoded.as_bytes(), usize::MAX).octets
    }

    #[test]
    fn known_answers() {
        for (encoding, encoded, expected) in [
            // RFC 4648 §10
            ("base64", "", ""),
            ("BASE64", "Zg==", "f"),
            ("base64", "Zm8=", "fo"),
            ("base64", "Zm9v", "foo"),
            ("base64", "Zm9v\r\nYmFy", "foobar"),
            ("base64", "Zg==Zm8=", "ffo"),
            ("base64", "Z!m-9 v\0Y", "foo"),
            // RFC 2045 §6.7
            (
                "quoted-printable",
                "Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
                "Now's the time for all folk to come to the aid of their country.",
            ),
            ("Quoted-Printable", "a=3Db=3db \t\r\nc  \nd= \r\ne", "a=b=b\r\nc\nde"),
            ("quoted-printable", "=XY=4", "=XY=4"),
            ("8bit", "a=3D", "a=3D"),
        ] {
            assert_eq!(String::from_utf8_lossy(&decoded(encoding, encoded)), expected, "{encoded:?}");
        }
        assert_eq!(TransferEncoding::parse(b"x-uuencode"), None);
    }

    proptest! {
        #[test]
        fn undoes_base64(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut encoded = Vec::new();
            for group in octets.chunks(3) {
                let bits = group.iter().chain(&[0, 0]).take(3).fold(0usize, |bits, octet| bits << 8 | usize::from(*octet));
                for place in 0..=group.len() {
                    encoded.push(alphabet[bits >> (18 - 6 * place) & 63]);
                }
                encoded.extend(vec![b'='; 3 - group.len()]);
            }
            prop_assert_eq!(TransferEncoding::Base64.decode(&encoded, usize::MAX).octets, octets);
        }

        #[test]
        fn undoes_quoted_printable(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let encoded: String = octets.iter().map(|octet| format!("={octet:02X}")).collect();
            prop_assert_eq!(TransferEncoding::QuotedPrintable.decode(encoded.as_bytes(), usize::MAX).octets, octets);
        }

        #[test]
        fn stays_within_its_bound(octets in proptest::collection::vec(any::<u8>(), 0..100), max in 0usize..80) {
            for encoding in [TransferEncoding::Identity, TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let (all, some) = (encoding.decode(&octets, usize::MAX), encoding.decode(&octets, max));
                prop_assert!(all.octets.len() <= octets.len() && !all.truncated);
                prop_assert_eq!(&some.octets, &all.octets[..max.min(all.octets.len())]);
                prop_assert_eq!(some.truncated, all.octets.len() > max);
            }
        }
    }
}
