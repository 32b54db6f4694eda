use super::*;
use crate::{Mechanism, Password, Secret, StoredPassword};
use proptest::prelude::*;

/// A client that knows the password, and what it sees of us.
struct Client<'c> {
    flag: &'c str,
    binding: &'c [u8],
    password: &'c str,
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

fn keys(text: &str) -> ScramKeys {
    ScramKeys::derive(&password(text), b"some salt", 64).unwrap()
}

fn challenge(step: Step) -> (String, Exchange) {
    let Step::Challenge { challenge, exchange } = step else { panic!("{step:?}") };
    (String::from_utf8(challenge).unwrap(), exchange)
}

fn claim(step: Step) -> Claim {
    let Step::Scram(claim) = step else { panic!("{step:?}") };
    claim
}

impl Client<'_> {
    /// RFC 5802 §3, the client's side.
    fn answer(&self, bare: &str, server_first: &str) -> Vec<u8> {
        let field = |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
        let salt = BASE64.decode(field("s=")).unwrap();
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<sha2::Sha256>(self.password.as_bytes(), &salt, field("i=").parse().unwrap(), &mut salted);
        let client_key = keys::hmac(&Secret::new(salted.to_vec()), b"Client Key");
        let stored = Secret::new(<sha2::Sha256 as sha2::Digest>::digest(client_key.as_bytes()).to_vec());
        let c = BASE64.encode([self.flag.as_bytes(), b",,", self.binding].concat());
        let without_proof = format!("c={c},r={}", field("r="));
        let signature = keys::hmac(&stored, format!("{bare},{server_first},{without_proof}").as_bytes());
        let proof: Vec<u8> = client_key.as_bytes().iter().zip(signature.as_bytes()).map(|(a, b)| a ^ b).collect();
        format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()
    }

    fn log_in(&self, mechanism: Mechanism, binding: Option<ChannelBinding>, keys: ScramKeys) -> Step {
        let bare = "n=ann,r=fyko";
        let first = format!("{},,{bare}", self.flag);
        let claim = claim(Exchange::start_on(mechanism, Some(first.as_bytes()), binding));
        assert_eq!(claim.identity().authentication, "ann");
        let (server_first, exchange) = challenge(claim.challenge(keys, &[7; 18]));
        exchange.step(&self.answer(bare, &server_first))
    }
}

const BOUND: Option<ChannelBinding> = Some(ChannelBinding::of_exporter([9; 32]));

fn is_right(step: Step) -> bool {
    if matches!(step, Step::Unproved(_)) {
        return false;
    }
    let (_, exchange) = challenge(step);
    matches!(exchange.step(b""), Step::Proved(_))
}

#[test]
fn rfc_7677_example() {
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let claim = claim(Exchange::start(Mechanism::ScramSha256, Some(first)));
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = ScramKeys::derive(&password("pencil"), &salt, 4096).unwrap();
    // Our half of the nonce is base64; the example's is not, so what we would send is put together by hand.
    let ours = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let proof = Proof {
        identity: claim.identity,
        keys,
        signed: format!("{},{ours},", claim.first.bare),
        nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned(),
        binding: "biws".to_owned(),
    };
    let last =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let (signature, exchange) = challenge(proof.step(last));
    assert_eq!(signature, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    let Step::Proved(identity) = exchange.step(b"") else { panic!("not proved") };
    assert_eq!(identity.authentication, "user");
}

#[test]
fn only_the_password_of_the_keys_lets_in() {
    let client = |password| Client { flag: "n", binding: b"", password };
    assert!(is_right(client("pencil").log_in(Mechanism::ScramSha256, None, keys("pencil"))));
    assert!(!is_right(client("pencils").log_in(Mechanism::ScramSha256, None, keys("pencil"))));
    assert!(!is_right(client("pencil").log_in(Mechanism::ScramSha256, None, keys("pencil").barred())));
    assert!(!is_right(client("pencil").log_in(Mechanism::ScramSha256, None, ScramKeys::nobodys(b"salt", 64))));
}

#[test]
fn plus_binds_to_the_channel() {
    let client = |binding| Client { flag: "p=tls-exporter", binding, password: "pencil" };
    let plus = Mechanism::ScramSha256Plus;
    assert!(is_right(client(&[9; 32]).log_in(plus, BOUND, keys("pencil"))));
    // Somebody between us has another connection to the client than to us.
    assert!(!is_right(client(&[8; 32]).log_in(plus, BOUND, keys("pencil"))));
    assert!(!is_right(client(b"").log_in(plus, BOUND, keys("pencil"))));
}

#[test]
fn a_list_without_plus_was_not_ours() {
    let start = |mechanism, first: &str, binding| Exchange::start_on(mechanism, Some(first.as_bytes()), binding);
    let failure = |step| if let Step::Failed(failure) = step { Some(failure) } else { None };
    let (bare, plus) = (Mechanism::ScramSha256, Mechanism::ScramSha256Plus);
    assert_eq!(failure(start(bare, "y,,n=ann,r=x", BOUND)), Some(Failure::Binding));
    assert_eq!(failure(start(bare, "y,,n=ann,r=x", None)), None);
    assert_eq!(failure(start(bare, "n,,n=ann,r=x", BOUND)), None);
    assert_eq!(failure(start(bare, "p=tls-exporter,,n=ann,r=x", BOUND)), Some(Failure::Malformed));
    assert_eq!(failure(start(plus, "p=tls-unique,,n=ann,r=x", BOUND)), Some(Failure::Binding));
    assert_eq!(failure(start(plus, "p=tls-exporter,,n=ann,r=x", None)), Some(Failure::Binding));
    assert_eq!(failure(start(plus, "n,,n=ann,r=x", BOUND)), Some(Failure::Malformed));
}

#[test]
fn what_is_no_first_message() {
    let long = format!("n,,n=a,r={}", "x".repeat(SCRAM_NONCE_OCTETS_MAX + 1));
    for wrong in [
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=a,r=b",
        "p=,,n=a,r=b",
        "n,b=c,n=a,r=b",
        "n,,m=x,n=a,r=b",
        "n,,n=a",
        "n,,n=a,r=",
        "n,,r=b,n=a",
        "n,,n=,r=b",
        "n,,n=a=b,r=b",
        "n,,n=a=2c,r=b",
        "n,,n=a\u{7},r=b",
        "n,a=,n=a,r=b",
        "n,,n=a,r=b c",
        &long,
    ] {
        let step = Exchange::start(Mechanism::ScramSha256, Some(wrong.as_bytes()));
        assert!(matches!(step, Step::Failed(Failure::Malformed | Failure::Identity)), "{wrong:?}: {step:?}");
    }
    let claim = claim(Exchange::start(Mechanism::ScramSha256, Some(b"n,a=b=2Cc,n=a=3Db,r=x,ext=1")));
    let identity = Identity { authorization: Some("b,c".to_owned()), authentication: "a=b".to_owned() };
    assert_eq!(claim.identity(), &identity);
}

#[test]
fn an_exchange_is_answered_to_its_end() {
    let client = Client { flag: "n", binding: b"", password: "pencil" };
    let (_, exchange) = challenge(client.log_in(Mechanism::ScramSha256, None, keys("pencil")));
    assert!(matches!(exchange.step(b"x"), Step::Failed(Failure::Malformed)));
    // Without an initial response the first challenge is empty (RFC 4422 §5).
    let (empty, exchange) = challenge(Exchange::start(Mechanism::ScramSha256, None));
    assert_eq!(empty, "");
    assert!(matches!(exchange.step(b"n,,n=ann,r=x"), Step::Scram(_)));
}

#[test]
fn an_answer_to_another_challenge_proves_nothing() {
    let client = Client { flag: "n", binding: b"", password: "pencil" };
    let bare = "n=ann,r=fyko";
    let first = format!("n,,{bare}");
    let begin = |nonce| {
        let claim = claim(Exchange::start(Mechanism::ScramSha256, Some(first.as_bytes())));
        challenge(claim.challenge(keys("pencil"), nonce))
    };
    let (heard, _) = begin(&[1; 18]);
    let (_, exchange) = begin(&[2; 18]);
    assert!(matches!(exchange.step(&client.answer(bare, &heard)), Step::Unproved(_)));
}

#[test]
fn keys_as_dovecot_writes_them() {
    // The keys of the example of RFC 7677 §3.
    let text = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let stored = StoredPassword::parse(text).unwrap();
    assert_eq!(stored.to_string(), text);
    assert!(stored.is_costly() && stored.verify(&password("pencil")) && !stored.verify(&password("pencils")));
    assert!(stored.scram_keys().is_some() && stored.clear().is_none());
    let shown = format!("{stored:?} {:?}", stored.scram_keys());
    assert!(!shown.contains("WG5d") && !shown.contains("150"), "{shown}");

    let ours = StoredPassword::scram(&password("pencil"), b"0123456789abcdef").unwrap();
    let read = StoredPassword::parse(&ours.to_string()).unwrap();
    assert!(read.verify(&password("pencil")));
    assert_eq!(read.scram_keys().unwrap().iterations(), SCRAM_ITERATIONS);
    assert!(StoredPassword::scram(&password("tab\there"), b"salt").is_none());

    for wrong in
        ["", "4096", "0,YQ==,K,K", "4096,,K,K", "4096,YQ==,K", "4096,YQ==,YQ==,K", "4096,YQ==,K,K,K", "-1,YQ==,K,K"]
    {
        let text = format!("{{SCRAM-SHA-256}}{}", wrong.replace('K', &BASE64.encode([0; 32])));
        assert!(StoredPassword::parse(&text).is_err(), "{text}");
    }
    let slow = format!("{{SCRAM-SHA-256}}5000001,YQ==,{0},{0}", BASE64.encode([0; 32]));
    assert!(StoredPassword::parse(&slow).unwrap_err().to_string().contains("5000000 iterations"));
}

#[test]
fn one_password_in_two_spellings() {
    let stored = StoredPassword::scram(&password("cafe\u{301}"), b"salt").unwrap();
    assert!(stored.verify(&password("caf\u{e9}")));
}

#[test]
fn a_fake_salt_is_a_names_own() {
    let key = Secret::new(b"a key of the site".to_vec());
    assert_eq!(fake_salt(&key, "ann"), fake_salt(&key, "ann"));
    assert_ne!(fake_salt(&key, "ann"), fake_salt(&key, "bob"));
    assert_ne!(fake_salt(&key, "ann"), fake_salt(&Secret::new(b"another".to_vec()), "ann"));
}

proptest! {
    #[test]
    fn any_message_is_read_without_panic(
        first in "[nyp]?(=tls-exporter)?,(a=[a-z=]{0,4})?,(n=[^,]{0,6})?(,r=[ -~]{0,8})?.{0,8}",
        last in "(c=[a-zA-Z0-9=]{0,8})?(,r=.{0,8})?.{0,4}(,p=[a-zA-Z0-9+/=]{0,50})?",
    ) {
        let step = Exchange::start(Mechanism::ScramSha256, Some(first.as_bytes()));
        if let Step::Scram(claim) = step {
            let (_, exchange) = challenge(claim.challenge(ScramKeys::nobodys(b"salt", 1), &[0; 18]));
            prop_assert!(matches!(exchange.step(last.as_bytes()), Step::Unproved(_) | Step::Failed(_)));
        }
    }
}
