use super::*;
use crate::plain_message;
use proptest::prelude::*;

fn done(step: Step) -> Credentials {
    let Step::Done(credentials) = step else { panic!("expected the end of the exchange, got {step:?}") };
    credentials
}

fn failure(step: Step) -> Failure {
    let Step::Failed(failure) = step else { panic!("expected a failure, got {step:?}") };
    failure
}

fn challenge(step: Step) -> (Vec<u8>, Exchange) {
    let Step::Challenge { challenge, exchange } = step else { panic!("expected a challenge, got {step:?}") };
    (challenge, exchange)
}

#[test]
fn rfc_4616_section_4_without_authzid() {
    let credentials = done(Exchange::start(Mechanism::Plain, Some(b"\0tim\0tanstaaftanstaaf")));
    assert_eq!(credentials.authorization, None);
    assert_eq!(credentials.authentication, "tim");
    assert_eq!(credentials.password.as_bytes(), b"tanstaaftanstaaf");
}

#[test]
fn rfc_4616_section_4_with_authzid_after_an_empty_challenge() {
    let (text, exchange) = challenge(Exchange::start(Mechanism::Plain, None));
    assert!(text.is_empty());
    let credentials = done(exchange.step(b"Ursel\0Kurt\0xipj3plmq"));
    assert_eq!(credentials.authorization.as_deref(), Some("Ursel"));
    assert_eq!(credentials.authentication, "Kurt");
    assert_eq!(credentials.password.as_bytes(), b"xipj3plmq");
}

#[test]
fn malformed_plain_messages() {
    for message in [&b""[..], b"tim", b"tim\0secret", b"a\0b\0c\0d", b"\0tim\0caf\xe9"] {
        assert_eq!(failure(Exchange::start(Mechanism::Plain, Some(message))), Failure::Malformed, "{message:?}");
    }
    for message in [&b"\0\0secret"[..], b"\0t\xffm\0secret", b"\0tim\r\n\0secret", b"a\nb\0tim\0secret"] {
        assert_eq!(failure(Exchange::start(Mechanism::Plain, Some(message))), Failure::Identity, "{message:?}");
    }
    let empty = failure(Exchange::start(Mechanism::Plain, Some(b"\0tim\0")));
    assert_eq!(empty, Failure::Password(PasswordError::Empty));
}

#[test]
fn limits() {
    let name = "n".repeat(IDENTITY_OCTETS_MAX);
    let fits = format!("\0{name}\0secret");
    assert_eq!(done(Exchange::start(Mechanism::Plain, Some(fits.as_bytes()))).authentication, name);
    let over = format!("\0{name}n\0secret");
    assert_eq!(failure(Exchange::start(Mechanism::Plain, Some(over.as_bytes()))), Failure::Identity);
    let long = format!("\0tim\0{}", "p".repeat(crate::PASSWORD_OCTETS_MAX + 1));
    let over = failure(Exchange::start(Mechanism::Plain, Some(long.as_bytes())));
    assert_eq!(over, Failure::Password(PasswordError::TooLong));
}

#[test]
fn login_asks_twice() {
    let (text, exchange) = challenge(Exchange::start(Mechanism::Login, None));
    assert_eq!(text, b"Username:");
    let (text, exchange) = challenge(exchange.step(b"tim@example.org"));
    assert_eq!(text, b"Password:");
    // What a client typed long ago may not be UTF-8, and LOGIN never said that it must be.
    let credentials = done(exchange.step(b"caf\xe9"));
    assert_eq!(credentials.authorization, None);
    assert_eq!(credentials.authentication, "tim@example.org");
    assert_eq!(credentials.password.as_bytes(), b"caf\xe9");
}

#[test]
fn login_takes_the_name_as_initial_response() {
    let (text, exchange) = challenge(Exchange::start(Mechanism::Login, Some(b"tim")));
    assert_eq!(text, b"Password:");
    assert_eq!(failure(exchange.step(b"")), Failure::Password(PasswordError::Empty));
    assert_eq!(failure(Exchange::start(Mechanism::Login, Some(b""))), Failure::Identity);
}

#[test]
fn external_says_as_whom() {
    let whom = |step: Step| {
        let Step::External(whom) = step else { panic!("expected an identity, got {step:?}") };
        whom
    };
    assert_eq!(whom(Exchange::start(Mechanism::External, Some(b"fred@example.com"))).unwrap(), "fred@example.com");
    assert_eq!(whom(Exchange::start(Mechanism::External, Some(b""))), None);
    let (text, exchange) = challenge(Exchange::start(Mechanism::External, None));
    assert!(text.is_empty());
    assert_eq!(whom(exchange.step(b"fred")).unwrap(), "fred");
    for message in [&b"a\0b"[..], b"a\xff", b"a\r\n", &[b'a'; IDENTITY_OCTETS_MAX + 1]] {
        assert_eq!(failure(Exchange::start(Mechanism::External, Some(message))), Failure::Identity);
    }
}

#[test]
fn debug_shows_no_password() {
    let step = Exchange::start(Mechanism::Plain, Some(b"Ursel\0Kurt\0xipj3plmq"));
    let shown = format!("{step:?}");
    assert!(shown.contains("Kurt") && !shown.contains("xipj3plmq"), "{shown}");
}

#[test]
fn names() {
    assert_eq!(Mechanism::parse("plain"), Some(Mechanism::Plain));
    assert_eq!(Mechanism::parse("CRAM-MD5"), None);
    assert_eq!(Mechanism::parse("External"), Some(Mechanism::External));
    assert!(!Mechanism::ALL.contains(&Mechanism::External), "not for everybody");
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::parse(&mechanism.to_string()), Some(mechanism));
    }
}

proptest! {
    #[test]
    fn random_messages_never_panic(mechanism in 0..3usize, messages in prop::collection::vec(any::<Vec<u8>>(), 1..4)) {
        let mut step = Exchange::start(Mechanism::KNOWN[mechanism], None);
        for message in messages {
            let Step::Challenge { exchange, .. } = step else { break };
            step = exchange.step(&message);
        }
    }

    #[test]
    fn what_the_client_says_the_server_hears(
        authorization in prop::option::of("[^\\p{Cc}]{1,40}"),
        authentication in "[^\\p{Cc}]{1,40}",
        password in "[^\\x00]{1,40}",
    ) {
        let password = Password::new(password.into_bytes()).unwrap();
        let message = plain_message(authorization.as_deref(), &authentication, &password).unwrap();
        let heard = done(Exchange::start(Mechanism::Plain, Some(message.as_bytes())));
        prop_assert_eq!(heard.authorization, authorization);
        prop_assert_eq!(heard.authentication, authentication);
        prop_assert_eq!(heard.password.as_bytes(), password.as_bytes());
    }
}
