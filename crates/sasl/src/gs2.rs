//! What the mechanisms of the GS2 family have in common (RFC 5801 §4).

use crate::Failure;
use crate::exchange::identity;

/// RFC 5801 §4: a name as it stands in a header.
pub(crate) fn quoted(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// RFC 5801 §4: `=2C` is a comma and `=3D` an equals sign, which stands for nothing else.
pub(crate) fn saslname(text: &str) -> Result<String, Failure> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => {
                name.push(',');
                name.push_str(rest);
            }
            (None, Some(rest)) => {
                name.push('=');
                name.push_str(rest);
            }
            (None, None) => return Err(Failure::Identity),
        }
    }
    identity(name.as_bytes())
}
