//! ManageSieve.

use super::*;

const GREETING: &str = "\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SIEVE\" \"fileinto vacation\"\r\n\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\n\"VERSION\" \"1.0\"\r\nOK \"ready\"\r\n";

fn sieve(site: &Site) -> Result<Admission, Unavailable> {
    site.clock.finish(site.visits.sieve(&store("cyrus"), who(Some("secret"))))
}

fn offered(site: &Site) -> String {
    site.clock.finish(site.visits.sieve_offer()).extensions().join(" ")
}

#[test]
fn a_login_takes_one_round_trip() {
    let site = Site::new(&[GREETING, "OK \"Logged in.\"\r\n\"a\" ACT"], Then::Silent);
    let (welcome, unsaid) = welcomed(sieve(&site));
    assert_eq!((welcome.as_str(), unsaid.as_str()), ("Logged in.", "\\\"a\\\" ACT"));
    // \0carol\0secret
    assert_eq!(site.said(), "AUTHENTICATE \"PLAIN\" \"AGNhcm9sAHNlY3JldA==\"\r\n");
    let heard = site.heard.lock().unwrap();
    assert_eq!(heard.calls.iter().map(|(callee, _)| callee.port).collect::<Vec<_>>(), [4190]);
}

#[test]
fn what_is_no_word_about_the_password_is_unavailable() {
    let site = Site::new(&[GREETING, "NO \"Authentication failed.\"\r\n"], Then::Silent);
    assert!(matches!(sieve(&site), Ok(Admission::Refused { text, .. }) if text == "Authentication failed."));
    for (answer, expected) in [
        ("NO (TRYLATER) \"later\"\r\n", "it says (TRYLATER) later"),
        ("BYE (REFERRAL \"sieve://b.example\") \"there\"\r\n", "it says (REFERRAL) there <sieve://b.example>"),
        ("BYE \"full\"\r\n", "it says full"),
    ] {
        let pieces = Box::leak(Box::new([GREETING, answer]));
        let why = sieve(&Site::new(pieces, Then::Silent)).unwrap_err().to_string();
        assert!(why.ends_with(expected), "{why}");
    }
    let why = sieve(&Site::new(&[GREETING], Then::HangsUp)).unwrap_err().to_string();
    assert!(why.ends_with("the server hung up"), "{why}");
}

#[test]
fn nothing_but_starttls_is_said_in_clear() {
    let pieces = &[GREETING, "OK\r\n", GREETING, "OK \"in\"\r\n"];
    let site = Site::with(pieces, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    assert_eq!(welcomed(sieve(&site)).0, "in");
    assert_eq!(site.said(), "STARTTLS\r\n(TLS)AUTHENTICATE \"PLAIN\" \"AGNhcm9sAHNlY3JldA==\"\r\n");
    let lies = &[GREETING, "OK\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n", GREETING];
    let site = Site::with(lies, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    let why = sieve(&site).unwrap_err().to_string();
    assert!(why.ends_with("octets behind the answer to STARTTLS"), "{why}");
    assert_eq!(site.said(), "STARTTLS\r\n");
}

#[test]
fn a_client_hears_bye_where_it_is_understood() {
    let admission = sieve(&Site::new(&[GREETING, "OK\r\n"], Then::Silent));
    let Ok(Admission::Welcome(Elsewhere { mut passage, .. })) = admission else { panic!("{admission:?}") };
    let track = &mut passage.track;
    let farewell = b"BYE (TRYLATER) \"The server has gone away, try again later\"\r\n";
    assert!(track.may_speak() && track.farewell() == farewell[..]);
    track.from_client(b"GETSCRIPT \"a\"\r\n");
    assert!(!track.may_speak() && track.farewell() == farewell[..], "in place of the answer");
    track.from_backend(b"{5}\r\nke");
    assert!(track.farewell().is_empty(), "it would be part of a script");
    track.from_backend(b"ep;\r\nOK\r\n");
    assert!(track.may_speak());
}

#[test]
fn a_back_end_is_asked_once_what_it_does() {
    let site = Site::new(&[GREETING, "OK \"bye\"\r\n"], Then::Silent);
    assert_eq!(offered(&site), "fileinto vacation");
    assert_eq!(site.said(), "LOGOUT\r\n");
    assert_eq!(offered(&site), "fileinto vacation");
    assert_eq!(site.said(), "");
    let heard = site.heard.lock().unwrap();
    let [(callee, behalf_of)] = heard.calls.as_slice() else { panic!("one call") };
    assert_eq!((callee.port, *behalf_of), (4190, None), "for nobody");
}

#[test]
fn whoever_let_a_user_in_is_not_asked_again() {
    let site = Site::new(&[GREETING, "OK \"in\"\r\n"], Then::Silent);
    welcomed(sieve(&site));
    assert_eq!(offered(&site), "fileinto vacation");
    assert_eq!(site.heard.lock().unwrap().calls.len(), 1, "the login's");
}

#[test]
fn what_is_told_in_clear_is_not_what_is_offered() {
    let pieces = &["\"SIEVE\" \"of-somebody-else\"\r\n\"STARTTLS\"\r\nOK\r\n", "OK\r\n", GREETING];
    let site = Site::with(pieces, Then::HangsUp, CallSecurity::StartTls(Trust::Public), None);
    assert_eq!(offered(&site), "fileinto vacation");
}

#[test]
fn who_says_nothing_delays_a_client_once() {
    for then in [Then::Silent, Then::HangsUp, Then::DoesNotAnswer] {
        let site = Site::new(&["\"SIEVE\" \"fileinto\"\r\n"], then);
        assert_eq!(offered(&site), "", "the least that everybody has");
        assert_eq!(offered(&site), "");
        assert_eq!(site.heard.lock().unwrap().calls.len(), 1);
    }
}

#[test]
fn a_store_that_comes_later_is_asked_at_once() {
    let site = Site::new(&[GREETING, "OK \"bye\"\r\n"], Then::Silent);
    site.stores.lock().unwrap().clear();
    assert_eq!(offered(&site), "", "there is none");
    site.stores.lock().unwrap().push(store("cyrus"));
    assert_eq!(offered(&site), "fileinto vacation");
    site.stores.lock().unwrap().clear();
    assert_eq!(offered(&site), "", "nobody who goes is remembered");
}
