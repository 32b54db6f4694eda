//! Octets of a named charset to UTF-8.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Decodes; what a charset does not have becomes U+FFFD. An unknown or missing name is UTF-8 if the octets are that,
/// else windows-1252, which mail without a label was mostly written in. US-ASCII is taken in the same way, because
/// it is what senders of anything else claim by default.
pub(crate) fn decode(name: &[u8], octets: &[u8]) -> String {
    let ascii = name.eq_ignore_ascii_case(b"us-ascii") || name.eq_ignore_ascii_case(b"ascii");
    let encoding = Encoding::for_label_no_replacement(name).filter(|_| !ascii).unwrap_or_else(|| guess(octets));
    encoding.decode_without_bom_handling(octets).0.into_owned()
}

fn guess(octets: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(octets).is_ok() { UTF_8 } else { WINDOWS_1252 }
}
