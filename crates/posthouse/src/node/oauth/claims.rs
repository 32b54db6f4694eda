//! What a token says (RFC 7519 §4.1, RFC 7662 §2.2, RFC 9068 §2.2), and whether that lets somebody in here, now.

use super::Refusal;
use crate::config::{self, Judge};
use mail_types::UnixTime;
use serde_json::{Map, Value};
use std::time::Duration;

/// What a token must say.
pub(super) struct Rules {
    issuer: Option<String>,
    /// One of these; anything, where there is none.
    audience: Vec<String>,
    /// All of these.
    scopes: Vec<String>,
    username_claim: String,
    /// Whether it must say when it ends.
    must_end: bool,
}

/// Whom a token names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) user: String,
    /// When it ends.
    until: Option<UnixTime>,
}

impl Named {
    /// For how long the token is good yet, where it says so.
    pub(super) fn left(&self, now: UnixTime) -> Option<Duration> {
        Some(self.until?.since(now))
    }
}

impl Rules {
    pub(super) fn of(told: &config::OAuth) -> Self {
        let config::OAuth { issuer, audience, scopes, username_claim, .. } = told.clone();
        // RFC 9068 §2.2: a token that speaks for itself says when it ends; an issuer that is asked knows.
        let must_end = matches!(told.judge, Judge::Keys { .. });
        Self { issuer, audience, scopes, username_claim, must_end }
    }

    pub(super) fn judge(&self, claims: &Map<String, Value>, now: UnixTime) -> Result<Named, Refusal> {
        let until = self.in_time(claims, now)?;
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return refuse("it is of another issuer");
        }
        if !self.audience.is_empty()
            && !words(claims.get("aud"), None).any(|aud| self.audience.iter().any(|ours| ours == aud))
        {
            return refuse("it is for somebody else's service: none of its aud is ours");
        }
        // RFC 9068 §2.2.3 and RFC 7662 §2.2; `scp` at issuers that were there before.
        let granted = claims.get("scope").or_else(|| claims.get("scp"));
        if let Some(missing) =
            self.scopes.iter().find(|scope| !words(granted, Some(' ')).any(|granted| granted == *scope))
        {
            return refuse(format!("it has no scope {missing}"));
        }
        Ok(Named { user: self.user(claims)?, until })
    }

    fn in_time(&self, claims: &Map<String, Value>, now: UnixTime) -> Result<Option<UnixTime>, Refusal> {
        let until = time(claims, "exp")?;
        match until {
            Some(until) if until.after(LEEWAY) <= now => return refuse("it has expired"),
            None if self.must_end => return refuse("it does not say when it expires"),
            Some(_) | None => {}
        }
        if time(claims, "nbf")?.is_some_and(|from| now.after(LEEWAY) < from) {
            return refuse("it is not valid yet");
        }
        Ok(until)
    }

    fn user(&self, claims: &Map<String, Value>) -> Result<String, Refusal> {
        let claim = &self.username_claim;
        let Some(user) = claims.get(claim).and_then(Value::as_str) else {
            return refuse(format!("it has no {claim}"));
        };
        if user.is_empty() || user.len() > USER_OCTETS_MAX || user.chars().any(char::is_control) {
            return refuse(format!("its {claim} is nobody's name"));
        }
        // OpenID Connect Core §5.1: somebody has typed an address that may be another's. Some issuers write it as text.
        let is_unproven = |verified: &Value| verified.as_bool() == Some(false) || verified.as_str() == Some("false");
        if claim == "email" && claims.get("email_verified").is_some_and(is_unproven) {
            return refuse("its issuer has not verified the email");
        }
        Ok(user.to_owned())
    }
}

/// RFC 7519 §2, NumericDate: seconds, which may have fractions.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, Refusal> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(UnixTime::from_secs(seconds)));
    }
    match value.as_f64() {
        Some(seconds) if seconds < 0.0 => Ok(Some(UnixTime::EPOCH)),
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(since) => Ok(Some(UnixTime::EPOCH.after(since))),
            Err(_) => refuse(format!("its {name} is no time")),
        },
        None => refuse(format!("its {name} is no time")),
    }
}

/// A text, or several: in a list, or with `between` between them.
fn words(value: Option<&Value>, between: Option<char>) -> impl Iterator<Item = &str> {
    let (one, several) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(list)) => (None, Some(list)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => (None, None),
    };
    let whole = one.filter(|_| between.is_none());
    let parts = one.zip(between).map(|(text, between)| text.split(between));
    whole.into_iter().chain(parts.into_iter().flatten()).chain(several.into_iter().flatten().filter_map(Value::as_str))
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

/// By how much two clocks may differ (RFC 7519 §4.1.4: "no more than a few minutes").
const LEEWAY: Duration = Duration::from_secs(30);
/// Of a login name: an address has 320.
const USER_OCTETS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        Rules {
            issuer: Some("https://idp.test".to_owned()),
            audience: vec!["imap".to_owned(), "mail".to_owned()],
            scopes: vec!["mail".to_owned(), "mail.read".to_owned()],
            username_claim: "email".to_owned(),
            must_end: true,
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://idp.test", "aud": ["web", "mail"], "exp": 2_000, "nbf": 1_000,
            "scope": "openid mail mail.read", "email": "anna@site.test", "email_verified": true,
        })
    }

    fn judge(rules: &Rules, claims: &Value, now: i64) -> Result<String, String> {
        let claims = claims.as_object().expect("an object");
        rules.judge(claims, UnixTime::from_secs(now)).map(|named| named.user).map_err(|Refusal(why)| why)
    }

    #[test]
    fn a_good_token_names_somebody() {
        assert_eq!(judge(&rules(), &good(), 1_500), Ok("anna@site.test".to_owned()));
        // Every form that issuers use.
        for (name, value) in [
            ("aud", json!("imap")),
            ("scope", json!(["mail", "mail.read"])),
            ("exp", json!(2_000.75)),
            ("email_verified", json!("true")),
            ("nbf", Value::Null),
        ] {
            let mut claims = good();
            claims[name] = value;
            assert!(judge(&rules(), &claims, 1_500).is_ok(), "{claims}");
        }
        let mut claims = good();
        let scope = claims.as_object_mut().expect("an object").remove("scope").expect("it has one");
        claims["scp"] = scope;
        assert!(judge(&rules(), &claims, 1_500).is_ok(), "{claims}");
    }

    #[test]
    fn every_other_is_refused() {
        for (name, value, why) in [
            ("iss", json!("https://idp.test/"), "it is of another issuer"),
            ("iss", Value::Null, "it is of another issuer"),
            ("aud", json!("imap mail"), "it is for somebody else's service: none of its aud is ours"),
            ("aud", json!(["web", 7]), "it is for somebody else's service: none of its aud is ours"),
            ("aud", Value::Null, "it is for somebody else's service: none of its aud is ours"),
            ("scope", json!("mail mail.reader"), "it has no scope mail.read"),
            ("scope", json!({"mail": true}), "it has no scope mail"),
            ("exp", json!(1_470), "it has expired"),
            ("exp", json!(-3.5), "it has expired"),
            ("exp", json!("2000"), "its exp is no time"),
            ("exp", Value::Null, "it does not say when it expires"),
            ("nbf", json!(1_531), "it is not valid yet"),
            ("nbf", json!([]), "its nbf is no time"),
            ("nbf", json!(1e300), "its nbf is no time"),
            ("email", Value::Null, "it has no email"),
            ("email", json!(["anna@site.test"]), "it has no email"),
            ("email", json!(""), "its email is nobody's name"),
            ("email", json!("anna\r\n"), "its email is nobody's name"),
            ("email", json!("a".repeat(513)), "its email is nobody's name"),
            ("email_verified", json!(false), "its issuer has not verified the email"),
            ("email_verified", json!("false"), "its issuer has not verified the email"),
        ] {
            let mut claims = good();
            claims[name] = value;
            assert_eq!(judge(&rules(), &claims, 1_500), Err(why.to_owned()), "{claims}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        for (now, is_good) in [(970, true), (969, false), (2_029, true), (2_030, false)] {
            assert_eq!(judge(&rules(), &good(), now).is_ok(), is_good, "{now}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_looked_at() {
        let (claim, must_end) = ("username".to_owned(), false);
        let rules = Rules { issuer: None, audience: Vec::new(), scopes: Vec::new(), username_claim: claim, must_end };
        let claims = json!({"username": "anna", "email_verified": false, "iss": 7});
        assert_eq!(judge(&rules, &claims, 1_500), Ok("anna".to_owned()));
        let named = rules.judge(claims.as_object().expect("an object"), UnixTime::EPOCH).expect("good");
        assert_eq!(named.left(UnixTime::EPOCH), None);
    }
}
