//! SASL exchanges and stored passwords.

use sasl::{
    BearerAdvice, Credentials, Exchange, IDENTITY_OCTETS_MAX, Mechanism, PASSWORD_OCTETS_MAX, ScramKeys, Step,
    StoredPassword, TOKEN_OCTETS_MAX,
};

/// A message of PLAIN; up to its first line feed, and from there, the two of LOGIN and of SCRAM; the one of EXTERNAL. What comes out
/// of PLAIN goes in again as it was; identities and passwords keep the crate's promises.
pub fn sasl(data: &[u8]) {
    match Exchange::start(Mechanism::Plain, Some(data)) {
        Step::Done(credentials) => {
            check(&credentials);
            let Credentials { authorization, authentication, password } = &credentials;
            let message = sasl::plain_message(authorization.as_deref(), authentication, password);
            assert_eq!(message.expect("it came as a message").as_bytes(), data);
        }
        Step::Failed(_) => {}
        other @ (Step::Challenge { .. }
        | Step::External(_)
        | Step::Bearer(_)
        | Step::Scram(_)
        | Step::Proved(_)
        | Step::Unproved(_)) => {
            panic!("PLAIN has one message: {other:?}")
        }
    }
    let (name, password) = data.split_at(data.iter().position(|octet| *octet == b'\n').unwrap_or(data.len()));
    let password = password.strip_prefix(b"\n").unwrap_or(password);
    match Exchange::start(Mechanism::Login, Some(name)) {
        Step::Challenge { exchange, .. } => match exchange.step(password) {
            Step::Done(credentials) => {
                check(&credentials);
                assert_eq!(credentials.authentication.as_bytes(), name);
                assert_eq!(credentials.password.as_bytes(), password);
            }
            Step::Failed(_) => {}
            other @ (Step::Challenge { .. }
            | Step::External(_)
            | Step::Bearer(_)
            | Step::Scram(_)
            | Step::Proved(_)
            | Step::Unproved(_)) => {
                panic!("LOGIN has two messages: {other:?}")
            }
        },
        Step::Failed(_) => {}
        other @ (Step::Done(_)
        | Step::External(_)
        | Step::Bearer(_)
        | Step::Scram(_)
        | Step::Proved(_)
        | Step::Unproved(_)) => {
            panic!("LOGIN has two messages: {other:?}")
        }
    }
    match Exchange::start(Mechanism::External, Some(data)) {
        Step::External(whom) => assert_eq!(whom.unwrap_or_default().as_bytes(), data),
        Step::Failed(_) => {}
        other @ (Step::Challenge { .. }
        | Step::Done(_)
        | Step::Bearer(_)
        | Step::Scram(_)
        | Step::Proved(_)
        | Step::Unproved(_)) => {
            panic!("EXTERNAL has one message, and no password: {other:?}")
        }
    }
    bearer(data);
    scram(name, password);
}

/// The one message of OAUTHBEARER and of XOAUTH2: what a token may hold, and what a client hears whose token is refused.
fn bearer(data: &[u8]) {
    for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
        let Step::Bearer(bearer) = Exchange::start(mechanism, Some(data)) else { continue };
        if let Some(token) = bearer.token() {
            let token = token.as_bytes();
            assert!((1..=TOKEN_OCTETS_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic));
        }
        if let Some(name) = bearer.authorization() {
            assert!(!name.is_empty() && name.len() <= IDENTITY_OCTETS_MAX && !name.chars().any(char::is_control));
        }
        let (_, exchange) = bearer.refused(&BearerAdvice::default());
        assert!(matches!(exchange.step(data), Step::Failed(_)), "nobody is let in by a token that was refused");
    }
}

/// The two messages of SCRAM-SHA-256, against the keys of nobody: no proof fits them.
fn scram(first: &[u8], last: &[u8]) {
    let Step::Scram(claim) = Exchange::start(Mechanism::ScramSha256, Some(first)) else { return };
    let identity = claim.identity();
    for name in identity.authorization.iter().chain([&identity.authentication]) {
        assert!(!name.is_empty() && name.len() <= IDENTITY_OCTETS_MAX && !name.chars().any(char::is_control));
    }
    let Step::Challenge { exchange, .. } = claim.challenge(ScramKeys::nobodys(b"salt", 1), &[0; 18]) else {
        panic!("a claim is answered by a challenge");
    };
    let step = exchange.step(last);
    assert!(matches!(step, Step::Unproved(_) | Step::Failed(_)), "nobody is let in: {step:?}");
}

fn check(credentials: &Credentials) {
    for identity in credentials.authorization.iter().chain([&credentials.authentication]) {
        assert!(
            !identity.is_empty() && identity.len() <= IDENTITY_OCTETS_MAX && !identity.chars().any(char::is_control)
        );
    }
    let password = credentials.password.as_bytes();
    assert!(!password.is_empty() && password.len() <= PASSWORD_OCTETS_MAX && !password.contains(&0));
}

/// A stored password. What parses is written in a form that parses to the same, is shown by its scheme alone, and can
/// be verified. Costly ones are not: their parameters are bounded, their time is not ours to spend here.
pub fn stored_password(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(stored) = StoredPassword::parse(&text) else { return };
    let written = stored.to_string();
    let again = StoredPassword::parse(&written).expect("what is written can be read");
    assert_eq!(again.to_string(), written);
    assert_eq!(again.scheme_name(), stored.scheme_name());
    assert!(format!("{stored:?}").len() < 40, "Debug names the scheme only");
    if let Some(password) = stored.clear() {
        assert!(stored.verify(password) && again.verify(password), "a password is its own");
    } else if !stored.is_costly() {
        let wrong = sasl::Password::new(b"not that one".to_vec()).expect("a password");
        assert_eq!(stored.verify(&wrong), again.verify(&wrong));
    }
}
