//! OAUTHBEARER (RFC 7628) and XOAUTH2: the client shows a token that somebody else gave it. The server's side; of the client's,
//! what a proxy says in its turn ([`BearerForm::message`]).
//!
//! ```text
//!  C: n,a=user@example.test,^Aauth=Bearer vF9d…^A^A    OAUTHBEARER
//!  C: user=user@example.test^Aauth=Bearer vF9d…^A^A    XOAUTH2, as Google and Microsoft have it
//!       └▶ Bearer ── what is the token worth? ─▶ the role asks whoever gave it
//!  S: {"status":"invalid_token"}                   ◀── nothing: Bearer::refused
//!  C: ^A                                           ─▶ the end
//! ```
//! What the token says is for its issuer: here it is a word.

use crate::exchange::identity;
use crate::gs2::{quoted, saslname};
use crate::{Exchange, Failure, Secret};
use std::fmt;

/// A client has shown a token. What it is worth is to be found out.
#[derive(Debug)]
pub struct Bearer {
    authorization: Option<String>,
    token: Option<Secret>,
    form: BearerForm,
}

/// Which of the two mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerForm {
    /// RFC 7628.
    OAuthBearer,
    /// The older one.
    XOAuth2,
}

/// What a client whose token was refused is told, so that it can get another (RFC 7628 §3.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BearerAdvice {
    scope: Option<String>,
    discovery: Option<String>,
}

/// A JWT of a large site has two or three thousand octets; the line in which a client sends it has 12,288 (RFC 4954 §4).
pub const TOKEN_OCTETS_MAX: usize = 8192;

impl Bearer {
    pub(crate) fn parse(form: BearerForm, message: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        // Both end with two of them, the one of the last pair and the one of the message.
        let pairs = text.strip_suffix("\x01\x01").ok_or(Failure::Malformed)?;
        let (first, pairs) = pairs.split_once('\x01').ok_or(Failure::Malformed)?;
        let authorization = match form {
            BearerForm::OAuthBearer => gs2_authorization(first)?,
            BearerForm::XOAuth2 => Some(identity(first.strip_prefix("user=").ok_or(Failure::Malformed)?.as_bytes())?),
        };
        Ok(Self { authorization, token: token(pairs)?, form })
    }

    /// Whom to act as, where the client named somebody.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// The token: graphic ASCII, 1 to [`TOKEN_OCTETS_MAX`] octets. Nothing where the client has none, and asks by that how to get
    /// one (RFC 7628 §4).
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// It is worth nothing: a challenge that tells the client so, and the rest of the exchange: one word more of the client's
    /// before it hears of its failure.
    pub fn refused(&self, advice: &BearerAdvice) -> (Vec<u8>, Exchange) {
        let status = match self.form {
            BearerForm::OAuthBearer => "\"status\":\"invalid_token\"",
            BearerForm::XOAuth2 => "\"status\":\"401\",\"schemes\":\"bearer\"",
        };
        (format!("{{{status}{advice}}}").into_bytes(), Exchange::BearerRefused)
    }
}

impl BearerForm {
    /// The one message of a client that shows a token: the initial response, or the answer to an empty challenge. `None` where
    /// the name cannot be said: it is empty, or holds what separates the parts.
    ///
    /// RFC 7628 §3.1 has a host and a port for tokens whose signature covers them, which a bearer's does not: neither is said.
    pub fn message(self, user: &str, token: &Secret) -> Option<Secret> {
        let user = identity(user.as_bytes()).ok()?;
        let header = match self {
            Self::OAuthBearer => format!("n,a={},", quoted(&user)),
            Self::XOAuth2 => format!("user={user}"),
        };
        // `concat` reserves the whole length at once, so that no half-written copy is left behind in freed memory.
        Some(Secret::new([header.as_bytes(), b"\x01auth=Bearer ", token.as_bytes(), b"\x01\x01"].concat()))
    }
}

impl BearerAdvice {
    /// The scope that a token needs, and where its issuer says how to get one. Nothing where one of them holds what would have
    /// to be escaped: no scope (RFC 6749 §3.3) and no URL does.
    pub fn new(scope: Option<String>, discovery: Option<String>) -> Option<Self> {
        let is_plain = |text: &Option<String>| {
            let plain = |octet: u8| matches!(octet, b' '..=b'~') && octet != b'"' && octet != b'\\';
            text.as_ref().is_none_or(|text| text.bytes().all(plain))
        };
        (is_plain(&scope) && is_plain(&discovery)).then_some(Self { scope, discovery })
    }
}

/// The rest of a JSON object that has members already.
impl fmt::Display for BearerAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, discovery } = self;
        for (name, text) in [("scope", scope), ("openid-configuration", discovery)] {
            if let Some(text) = text {
                write!(f, ",\"{name}\":\"{text}\"")?;
            }
        }
        Ok(())
    }
}

/// RFC 7628 §3.1: a `gs2-header`, never one that binds to a channel.
fn gs2_authorization(header: &str) -> Result<Option<String>, Failure> {
    let rest = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,")).ok_or(Failure::Malformed)?;
    match rest.strip_suffix(',').ok_or(Failure::Malformed)? {
        "" => Ok(None),
        name => saslname(name.strip_prefix("a=").ok_or(Failure::Malformed)?).map(Some),
    }
}

/// RFC 7628 §3.1: `key "=" value`, of which only `auth` is ours to read; host and port are what the client believes to have called.
fn token(pairs: &str) -> Result<Option<Secret>, Failure> {
    let mut found = None;
    for pair in pairs.split('\x01') {
        let (key, value) = pair.split_once('=').ok_or(Failure::Malformed)?;
        if key == "auth" && found.replace(value).is_some() {
            return Err(Failure::Malformed);
        }
    }
    if found == Some("") {
        return Ok(None);
    }
    let (scheme, token) = found.and_then(|value| value.split_once(' ')).ok_or(Failure::Malformed)?;
    let token = token.trim_start_matches(' ');
    // RFC 6750 §2.1 has fewer; whatever its issuer put in, it holds no blank and ends no line.
    let is_token = !token.is_empty() && token.len() <= TOKEN_OCTETS_MAX && token.bytes().all(|c| c.is_ascii_graphic());
    if !scheme.eq_ignore_ascii_case("Bearer") || !is_token {
        return Err(Failure::Malformed);
    }
    Ok(Some(Secret::new(token.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mechanism, Step};
    use proptest::prelude::*;

    fn shown(mechanism: Mechanism, message: &str) -> Bearer {
        let Step::Bearer(bearer) = Exchange::start(mechanism, Some(message.as_bytes())) else { panic!("{message:?}") };
        bearer
    }

    fn token_of(bearer: &Bearer) -> &[u8] {
        bearer.token().map(Secret::as_bytes).unwrap_or_default()
    }

    fn is_malformed(mechanism: Mechanism, message: &str) -> bool {
        matches!(Exchange::start(mechanism, Some(message.as_bytes())), Step::Failed(_))
    }

    #[test]
    fn rfc_7628_section_4_1() {
        let bearer = shown(
            Mechanism::OAuthBearer,
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
        );
        assert_eq!(bearer.authorization(), Some("user@example.com"));
        assert_eq!(token_of(&bearer), b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    }

    #[test]
    fn as_older_clients_say_it() {
        let bearer =
            shown(Mechanism::XOAuth2, "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3\x01\x01");
        assert_eq!(bearer.authorization(), Some("someuser@example.com"));
        assert_eq!(token_of(&bearer), b"ya29.vF9dft4qmTc2Nvb3");
    }

    #[test]
    fn nobody_in_particular_and_names_with_commas() {
        assert_eq!(shown(Mechanism::OAuthBearer, "n,,\x01auth=bearer t\x01\x01").authorization(), None);
        let comma = shown(Mechanism::OAuthBearer, "y,a=a=2Cb=3Dc,\x01auth=BEARER  t\x01\x01");
        assert_eq!((comma.authorization(), token_of(&comma)), (Some("a,b=c"), &b"t"[..]));
    }

    #[test]
    fn who_has_none_asks_how_to_get_one() {
        let asking = shown(Mechanism::OAuthBearer, "n,a=user@example.com,\x01host=server.example.com\x01auth=\x01\x01");
        assert_eq!((asking.authorization(), asking.token()), (Some("user@example.com"), None));
    }

    #[test]
    fn what_shows_no_token() {
        for message in [
            "",
            "\x01",
            "n,,\x01auth=Bearer t\x01",
            "n,,auth=Bearer t\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Basic t\x01\x01",
            "n,,\x01auth=Bearer\x01\x01",
            "n,,\x01auth=Bearer t u\x01\x01",
            "n,,\x01auth=Bearer t\x01auth=Bearer t\x01\x01",
            "n,,\x01host=x\x01\x01",
            "n,,\x01nonsense\x01auth=Bearer t\x01\x01",
            "p=tls-exporter,,\x01auth=Bearer t\x01\x01",
            "n,a=,\x01auth=Bearer t\x01\x01",
            "n,b=x,\x01auth=Bearer t\x01\x01",
            "n,a=x\x01auth=Bearer t\x01\x01",
            "user=x\x01auth=Bearer t\x01\x01",
        ] {
            assert!(is_malformed(Mechanism::OAuthBearer, message), "{message:?}");
        }
        for message in ["user=\x01auth=Bearer t\x01\x01", "auth=Bearer t\x01\x01", "n,a=x,\x01auth=Bearer t\x01\x01"] {
            assert!(is_malformed(Mechanism::XOAuth2, message), "{message:?}");
        }
        let long = |octets| format!("n,,\x01auth=Bearer {}\x01\x01", "t".repeat(octets));
        assert!(!is_malformed(Mechanism::OAuthBearer, &long(TOKEN_OCTETS_MAX)));
        assert!(is_malformed(Mechanism::OAuthBearer, &long(TOKEN_OCTETS_MAX + 1)));
    }

    #[test]
    fn a_refusal_tells_how_to_get_another() {
        let advice =
            BearerAdvice::new(Some("mail".to_owned()), Some("https://idp.test/.well-known/x".to_owned())).unwrap();
        let told = |mechanism, message, advice: &BearerAdvice| {
            let (challenge, exchange) = shown(mechanism, message).refused(advice);
            // RFC 7628 §3.2.3: whatever the client answers, it has failed.
            assert!(matches!(exchange.step(b"n,,\x01auth=Bearer t\x01\x01"), Step::Failed(Failure::Token)));
            String::from_utf8(challenge).unwrap()
        };
        assert_eq!(
            told(Mechanism::OAuthBearer, "n,,\x01auth=Bearer t\x01\x01", &advice),
            r#"{"status":"invalid_token","scope":"mail","openid-configuration":"https://idp.test/.well-known/x"}"#
        );
        assert_eq!(
            told(Mechanism::XOAuth2, "user=x\x01auth=Bearer t\x01\x01", &BearerAdvice::default()),
            r#"{"status":"401","schemes":"bearer"}"#
        );
        assert_eq!(BearerAdvice::new(Some("a\"b".to_owned()), None), None);
        assert_eq!(BearerAdvice::new(None, Some("a\\b".to_owned())), None);
    }

    #[test]
    fn a_proxy_says_who_and_nothing_of_where() {
        let token = Secret::new(b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".to_vec());
        let said =
            |form: BearerForm, user| form.message(user, &token).map(|said| said.as_bytes().escape_ascii().to_string());
        assert_eq!(
            said(BearerForm::OAuthBearer, "user@example.com").unwrap(),
            r"n,a=user@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
        assert_eq!(
            said(BearerForm::XOAuth2, "user@example.com").unwrap(),
            r"user=user@example.com\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
        for user in ["", "a\x01auth=Bearer x", "a\0b"] {
            assert_eq!(
                (said(BearerForm::OAuthBearer, user), said(BearerForm::XOAuth2, user)),
                (None, None),
                "{user:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _one = Exchange::start(Mechanism::OAuthBearer, Some(&message));
            let _other = Exchange::start(Mechanism::XOAuth2, Some(&message));
        }

        #[test]
        fn what_is_said_is_heard(name in "[a-z@.,=é]{1,20}", token in "[!-~]{1,40}") {
            for (form, mechanism) in
                [(BearerForm::OAuthBearer, Mechanism::OAuthBearer), (BearerForm::XOAuth2, Mechanism::XOAuth2)]
            {
                let message = form.message(&name, &Secret::new(token.clone().into_bytes())).unwrap();
                let bearer = shown(mechanism, std::str::from_utf8(message.as_bytes()).unwrap());
                prop_assert_eq!(bearer.authorization(), Some(&*name));
                prop_assert_eq!(token_of(&bearer), token.as_bytes());
            }
        }
    }
}
