//! Which messages need UTF-8 mode (RFC 6856 §2.1).

use message::{Field, Fields, split_header};

/// Whether a message has an address that is no ASCII in its header, as only a client in UTF-8 mode can understand it.
///
/// Other octets over 127 in a header are no business of RFC 6532's: they come from senders who never asked for
/// SMTPUTF8, every client has learnt to show them somehow, and refusing them would keep the message from its reader.
pub(super) fn needs_utf8(message: &[u8]) -> bool {
    let header = message.get(..HEADER_OCTETS_MAX).unwrap_or(message);
    let (header, _) = split_header(header);
    !header.is_ascii() && Fields::of(header).any(|field| holds_addresses(&field) && names_utf8(field.raw_value()))
}

/// RFC 5322 §3.6.2, §3.6.3 and §3.6.6.
fn holds_addresses(field: &Field<'_>) -> bool {
    ADDRESS_FIELDS.iter().any(|name| field.is(name))
}

/// Whether one of the words is an address with characters beyond ASCII (RFC 6532 §3.2).
fn names_utf8(value: &[u8]) -> bool {
    let words = value.split(|octet| octet.is_ascii_whitespace() || b"<>(),;:\"".contains(octet));
    words.into_iter().any(|word| word.contains(&b'@') && !word.is_ascii() && std::str::from_utf8(word).is_ok())
}

const ADDRESS_FIELDS: [&str; 10] =
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc"];

/// How far a header is looked at.
const HEADER_OCTETS_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_ascii_do() {
        for header in [
            "From: größe@example.org",
            "from: Ann <ann@größe.example>",
            "Subject: x\r\nTo: a@example.org,\r\n ü@example.org",
            "Resent-To: <ü@example.org>",
            "Cc: friends:ü@example.org;",
        ] {
            assert!(needs_utf8(format!("{header}\r\n\r\nbody\r\n").as_bytes()), "{header}");
        }
    }

    #[test]
    fn other_octets_do_not() {
        for header in [
            "From: a@example.org",
            "From: Größe <a@example.org>",
            "Subject: mail ü@example.org",
            "X-From: ü@example.org",
            "From: =?utf-8?q?gr=C3=B6=C3=9Fe?= <a@example.org>",
        ] {
            assert!(!needs_utf8(format!("{header}\r\n\r\nFrom: ü@example.org\r\n").as_bytes()), "{header}");
        }
        assert!(!needs_utf8(b"From: \xfc@example.org\r\n\r\n"), "ISO 8859-1");
        assert!(!needs_utf8(b""));
    }
}
