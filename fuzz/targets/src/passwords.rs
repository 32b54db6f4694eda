//! SASL exchanges and stored passwords.

use sasl::{Credentials, Exchange, IDENTITY_OCTETS_MAX, Mechanism, PASSWORD_OCTETS_MAX, Step, StoredPassword};

/// A message of PLAIN; up to its first line feed, and from there, the two of LOGIN; the one of EXTERNAL. What comes out
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
        Step::Challenge { .. } | Step::External(_) => panic!("PLAIN has one message"),
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
            Step::Challenge { .. } | Step::External(_) => panic!("LOGIN has two messages"),
        },
        Step::Failed(_) => {}
        Step::Done(_) | Step::External(_) => panic!("LOGIN has two messages"),
    }
    match Exchange::start(Mechanism::External, Some(data)) {
        Step::External(whom) => assert_eq!(whom.unwrap_or_default().as_bytes(), data),
        Step::Failed(_) => {}
        Step::Challenge { .. } | Step::Done(_) => panic!("EXTERNAL has one message, and no password"),
    }
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
