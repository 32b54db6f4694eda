//! The client's side, for the proxy that logs in at a back-end.

use crate::{Password, Secret};

/// The one message of PLAIN (RFC 4616 §2), before base64: the initial response, or the answer to an empty challenge.
///
/// `None` where an identity holds a NUL or is empty, or the password is not UTF-8: PLAIN cannot say that.
pub fn plain_message(authorization: Option<&str>, authentication: &str, password: &Password) -> Option<Secret> {
    let sayable = |name: &str| !name.is_empty() && !name.contains('\0');
    if !authorization.is_none_or(sayable) || !sayable(authentication) {
        return None;
    }
    let parts = [authorization.unwrap_or(""), authentication, password.as_str()?];
    // `join` reserves the whole length at once, so that no half-written copy is left behind in freed memory.
    Some(Secret::new(parts.join("\0").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(authorization: Option<&str>, authentication: &str, password: &[u8]) -> Option<Vec<u8>> {
        let password = Password::new(password.to_vec()).unwrap();
        plain_message(authorization, authentication, &password).map(|secret| secret.as_bytes().to_vec())
    }

    #[test]
    fn rfc_4616_examples() {
        assert_eq!(message(None, "tim", b"tanstaaftanstaaf").unwrap(), b"\0tim\0tanstaaftanstaaf");
        assert_eq!(message(Some("Ursel"), "Kurt", b"xipj3plmq").unwrap(), b"Ursel\0Kurt\0xipj3plmq");
    }

    #[test]
    fn what_plain_cannot_say() {
        assert_eq!(message(Some(""), "tim", b"x"), None);
        assert_eq!(message(None, "", b"x"), None);
        assert_eq!(message(None, "t\0m", b"x"), None);
        assert_eq!(message(None, "tim", b"\xe9"), None);
    }
}
