use super::*;
use proptest::prelude::*;

/// All of `correct horse`. crypt(3) of glibc made the `$` ones, OpenSSL's digests the others.
const KNOWN: [&str; 26] = [
    "{PLAIN}correct horse",
    "{CLEARTEXT}correct horse",
    "{PLAIN.b64}Y29ycmVjdCBob3JzZQ==",
    "{PLAIN.HEX}636f727265637420686f727365",
    "{SHA512-CRYPT}$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/",
    "{SHA256-CRYPT}$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",
    "{SHA512-CRYPT}$6$rounds=1400$anotherlongsalts$BIJq9mRCZh1kev4gsEFy0R5hLBKgZM.fwvpxgy31e6bRJqRdXTpSE8TJFJysi3GwDPeX9bz4aZklq669D26ai0",
    "{SHA256-CRYPT}$5$rounds=1000$x$iQZpM1omHUPunsHyFj3BDlScQB2YZdUeOB22XlNl6w3",
    "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "{BLF-CRYPT}$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "{BLF-CRYPT}$2a$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "{CRYPT}$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "{crypt}$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",
    "{CRYPT}$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/",
    "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
    "{SHA1}L55TUjtiq8FBorTWAZ0jy6g129A",
    "{SHA.hex}2f9e53523b62abc141a2b4d6019d23cba835dbd0",
    "{SHA}2f9e53523b62abc141a2b4d6019d23cba835dbd0",
    "{SHA256}QQTTb42iwlQ0n4WDZ5Pr4CngyVcGOjTJHC6SAxh7VjE=",
    "{SHA256.hex}4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631",
    "{SHA512}VraY3v7bWkNbY0r+MyC7rz/c2SC2xQOkRvx7endrKY1HnRumqLYXgI6wv1ec6aldZoNHvKtxSQhayTyyeZUZew==",
    "{SSHA}4oMk6flyeddBiKOdvS9Pmx4tVlBOYUNsODc2NQ==",
    "{SSHA256}HyoSxGGjmt4yMx6icpcBXzMb2nrf8ri0i+12YHOaF4lOYUNsODc2NQ==",
    "{SSHA256.hex}1f2a12c461a39ade32331ea27297015f331bda7adff2b8b48bed7660739a17894e61436c38373635",
    "{ssha512}OgEjiMV5+bJlhAx9KPYFPfapmIfRs1Qtx4ZDj0zxYvjOho5gvGIYizauKppKA+5yURaFdAtktkOXacZ4FLYZSU5hQ2w4NzY1",
    "{SSHA512.b64}OgEjiMV5+bJlhAx9KPYFPfapmIfRs1Qtx4ZDj0zxYvjOho5gvGIYizauKppKA+5yURaFdAtktkOXacZ4FLYZSU5hQ2w4NzY1",
];

/// Of `password` under `somesalt`: the vectors of Argon2's reference implementation.
const KNOWN_ARGON2: [&str; 3] = [
    "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "{ARGON2I}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
];

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

fn error(text: &str) -> StoredPasswordError {
    StoredPassword::parse(text).expect_err(text)
}

#[test]
fn known_answers() {
    for text in KNOWN {
        let stored = StoredPassword::parse(text).expect(text);
        assert!(stored.verify(&password("correct horse")), "{text}");
        assert!(!stored.verify(&password("correct horsf")), "{text}");
        assert!(!stored.verify(&password("correct horse ")), "{text}");
    }
    for text in KNOWN_ARGON2 {
        let stored = StoredPassword::parse(text).expect(text);
        assert!(stored.verify(&password("password")), "{text}");
        assert!(!stored.verify(&password("Password")), "{text}");
    }
}

#[test]
fn display_is_what_was_stored() {
    for text in KNOWN.into_iter().chain(KNOWN_ARGON2) {
        let shown = StoredPassword::parse(text).unwrap().to_string();
        let again = StoredPassword::parse(&shown).unwrap();
        assert_eq!(again.to_string(), shown, "written once, it stays as it is");
        assert_eq!(again.is_costly(), text.contains('$'), "{text}");
    }
    let shown = |text: &str| StoredPassword::parse(text).unwrap().to_string();
    assert_eq!(shown(KNOWN_ARGON2[0]), KNOWN_ARGON2[0]);
    assert_eq!(shown("{sha1}L55TUjtiq8FBorTWAZ0jy6g129A"), "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=");
    assert_eq!(shown("{clear.HEX}636f"), "{PLAIN.hex}636f");
}

#[test]
fn errors_name_the_scheme_and_no_secret() {
    use StoredPasswordError as E;
    assert_eq!(error("secret"), E::NoScheme);
    assert_eq!(error("{secret"), E::NoScheme);
    assert_eq!(error("{}secret"), E::NoScheme);
    assert_eq!(error("{my pass}word"), E::NoScheme);
    assert_eq!(error("{cram-md5}x"), E::UnknownScheme("CRAM-MD5".into()));
    assert_eq!(error("{SHA.rot13}x"), E::UnknownEncoding("rot13".into()));
    assert_eq!(error("{CRYPT}$1$salt$qJH7.N4xYta3aEG/dfqo/0"), E::UnknownCrypt);
    assert_eq!(error("{CRYPT}!"), E::UnknownCrypt);
    assert_eq!(error("{CRYPT}rl.3StKT.4T8M"), E::UnknownCrypt);
    assert_eq!(error(&format!("{{PLAIN}}{}", "x".repeat(STORED_OCTETS_MAX))), E::TooLong);
}

#[test]
fn malformed_values() {
    for (text, scheme) in [
        ("{PLAIN}", "PLAIN"),
        ("{PLAIN.hex}abc", "PLAIN"),
        ("{PLAIN.hex}+1", "PLAIN"),
        ("{PLAIN.b64}?", "PLAIN"),
        ("{PLAIN.hex}00", "PLAIN"),
        ("{SHA}", "SHA"),
        ("{SHA}4oMk6flyeddBiKOdvS9Pmx4tVlBOYUNsODc2NQ==", "SHA"),
        ("{SSHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "SSHA"),
        ("{SHA512-CRYPT}$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", "SHA512-CRYPT"),
        ("{SHA256-CRYPT}$5$saltstring$short", "SHA256-CRYPT"),
        ("{SHA256-CRYPT}$5$$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", "SHA256-CRYPT"),
        ("{SHA256-CRYPT}$5$rounds=10$x$iQZpM1omHUPunsHyFj3BDlScQB2YZdUeOB22XlNl6w3", "SHA256-CRYPT"),
        ("{SHA256-CRYPT}$5$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC$", "SHA256-CRYPT"),
        ("{BLF-CRYPT}$2x$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "BLF-CRYPT"),
        ("{BLF-CRYPT}$2y$03$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "BLF-CRYPT"),
        ("{BLF-CRYPT}$2y$05$abc", "BLF-CRYPT"),
        ("{ARGON2ID}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "ARGON2ID"),
        ("{ARGON2ID}$argon2id$v=18$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "ARGON2ID"),
        ("{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", "ARGON2ID"),
        ("{ARGON2ID}ä", "ARGON2ID"),
    ] {
        assert_eq!(error(text), StoredPasswordError::Malformed(scheme), "{text}");
    }
}

#[test]
fn what_costs_too_much_is_refused_before_it_costs() {
    let hash = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    for params in ["m=4294967295,t=2,p=1", "m=262145,t=2,p=1", "m=256,t=21,p=1", "m=1024,t=2,p=65"] {
        let text = format!("{{ARGON2ID}}$argon2id$v=19${params}$c29tZXNhbHQ${hash}");
        assert!(matches!(error(&text), StoredPasswordError::TooCostly("ARGON2ID", _)), "{text}");
    }
    let at_most = format!("{{ARGON2ID}}$argon2id$v=19$m={ARGON2_MEMORY_KIB_MAX},t=20,p=64$c29tZXNhbHQ${hash}");
    assert!(StoredPassword::parse(&at_most).is_ok());
    let slow = "{SHA512-CRYPT}$6$rounds=999999999$x$iQZpM1omHUPunsHyFj3BDlScQB2YZdUeOB22XlNl6w3";
    assert_eq!(error(slow), StoredPasswordError::TooCostly("SHA512-CRYPT", "rounds=1000000".into()));
    let slow = "{CRYPT}$2y$31$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";
    assert_eq!(error(slow), StoredPasswordError::TooCostly("CRYPT", "cost 15".into()));
}

#[test]
fn our_own_hash() {
    let stored = StoredPassword::hash_argon2id(&password("tanstaaftanstaaf"), b"0123456789abcdef").unwrap();
    let text = stored.to_string();
    assert!(text.starts_with("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    let read = StoredPassword::parse(&text).unwrap();
    assert!(read.is_costly() && read.verify(&password("tanstaaftanstaaf")));
    assert!(!read.verify(&password("tanstaaftanstaa")));
    for octets in [0, 7, 49] {
        assert_eq!(StoredPassword::hash_argon2id(&password("x"), &vec![1; octets]).err(), Some(SaltError));
    }
}

#[test]
fn plain_round_trips_and_debug_says_nothing() {
    let stored = StoredPassword::plain(password("hunter2}"));
    assert_eq!(stored.to_string(), "{PLAIN}hunter2}");
    assert_eq!(format!("{stored:?}"), "StoredPassword({PLAIN}…)");
    assert_eq!(stored.clear().unwrap().as_str(), Some("hunter2}"));
    assert_eq!(stored.scheme_name(), "PLAIN");
    let latin_1 = StoredPassword::plain(Password::new(b"caf\xe9".to_vec()).unwrap());
    assert_eq!(latin_1.to_string(), "{PLAIN.hex}636166e9");
}

#[test]
fn bcrypt_takes_72_octets_as_everybodys_does() {
    // crypt(3): a password of 72 octets, here with more behind it.
    let stored = StoredPassword::parse(BCRYPT_OF_72_A).unwrap();
    assert!(stored.verify(&password(&"a".repeat(72))));
    assert!(stored.verify(&password(&"a".repeat(80))));
    assert!(!stored.verify(&password(&"a".repeat(71))));
}

const BCRYPT_OF_72_A: &str = "{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe";

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\{(PLAIN|SHA|SSHA512|CRYPT|BLF-CRYPT|ARGON2ID|SHA512-CRYPT)(\\.b64|\\.hex)?\\}.{0,80}") {
        if let Ok(stored) = StoredPassword::parse(&text) {
            prop_assert!(StoredPassword::parse(&stored.to_string()).is_ok());
        }
    }

    #[test]
    fn near_misses_are_read_without_panic(which in 0..26usize, at in 0..120usize, with in any::<char>()) {
        let mut text: Vec<char> = KNOWN[which].chars().collect();
        let at = at % text.len();
        text[at] = with;
        let _ = StoredPassword::parse(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_clear_password_round_trips(octets in prop::collection::vec(1..=255u8, 1..60)) {
        let clear = Password::new(octets).unwrap();
        let stored = StoredPassword::parse(&StoredPassword::plain(clear.clone()).to_string()).unwrap();
        prop_assert!(stored.verify(&clear));
    }
}
