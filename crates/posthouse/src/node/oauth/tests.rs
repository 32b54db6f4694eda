//! Tokens of every kind, and issuers of every mood, over real connections.

mod issuer;
mod signer;

use super::*;
use crate::config::WebServer;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
};
use hyper::header::HeaderValue;
use issuer::{Issuer, Said};
use net::SystemClock;
use ports::{Peer, Protocol};
use sasl::BearerAdvice;
use serde_json::{Value, json};
use signer::Signer;
use std::time::Duration;
use tokio::sync::watch;

fn client() -> Client {
    let address = "192.0.2.7:40000".parse().expect("an address");
    Client::new(Protocol::Imap, Peer { address, local: address, tls: true })
}

fn told(judge: Judge, username_claim: &str) -> config::OAuth {
    config::OAuth {
        judge,
        issuer: Some("https://idp.test".to_owned()),
        audience: vec!["mail".to_owned()],
        scopes: vec!["mail".to_owned()],
        username_claim: username_claim.to_owned(),
        timeout: Duration::from_secs(5),
        advice: BearerAdvice::default(),
    }
}

fn server(issuer: &Issuer) -> WebServer {
    let url = format!("http://{}/oauth?tenant=7", issuer.address()).parse().expect("a URL");
    WebServer { url, tls: None }
}

fn asking(issuer: &Issuer, cache: u64) -> OAuth {
    let credentials = HeaderValue::from_static("Basic cG9zdGhvdXNlOnM=");
    let judge = Judge::Introspection { server: server(issuer), credentials, cache: Duration::from_secs(cache) };
    OAuth::new(&told(judge, "username"), Arc::new(SystemClock))
}

fn by_keys(issuer: &Issuer) -> OAuth {
    OAuth::new(&told(Judge::Keys { server: server(issuer) }, "email"), Arc::new(SystemClock))
}

/// What a token is worth: whom it names, why it is refused, or why that is not known.
async fn worth(oauth: &OAuth, token: &str) -> Result<String, Result<String, String>> {
    match oauth.ask(&Secret::new(token.as_bytes().to_vec()), &client()).await {
        Ok(TokenVerdict::Valid { user }) => Ok(user),
        Ok(TokenVerdict::Refused { why }) => Err(Ok(why)),
        Err(NoVerdict(why)) => Err(Err(why)),
    }
}

fn anna() -> Result<String, Result<String, String>> {
    Ok("anna@site.test".to_owned())
}

fn refused(why: &str) -> Result<String, Result<String, String>> {
    Err(Ok(why.to_owned()))
}

fn claims() -> Value {
    let now = SystemClock.now().secs();
    json!({
        "iss": "https://idp.test", "aud": "mail", "exp": now + 600, "iat": now, "scope": "openid mail",
        "email": "anna@site.test", "username": "anna@site.test",
    })
}

fn known_to_issuer(changes: &[(&str, Value)]) -> Said {
    let mut answer = claims();
    answer["active"] = json!(true);
    for (name, value) in changes {
        answer[*name] = value.clone();
    }
    Said::ok(&answer)
}

#[tokio::test]
async fn an_issuer_is_asked_and_its_word_taken_again() {
    let issuer = Issuer::start(|asked| match asked.body.as_str() {
        "token=go+od%2B%2F%3D&token_type_hint=access_token" => known_to_issuer(&[]),
        body if body.contains("token=old&") => known_to_issuer(&[("exp", json!(1_000))]),
        body if body.contains("token=other&") => known_to_issuer(&[("iss", json!("https://other.test"))]),
        body if body.contains("token=web&") => known_to_issuer(&[("aud", json!(["web"]))]),
        body if body.contains("token=poor&") => known_to_issuer(&[("scope", json!("openid"))]),
        body if body.contains("token=machine&") => known_to_issuer(&[("username", Value::Null)]),
        body if body.contains("token=endless&") => known_to_issuer(&[("exp", Value::Null)]),
        _ => Said::ok(&json!({"active": false})),
    });
    let oauth = asking(&issuer, 60);
    for _ in 0..3 {
        assert_eq!(worth(&oauth, "go od+/=").await, anna());
    }
    let asked = issuer.asked();
    assert_eq!(asked.len(), 1, "then it is remembered");
    assert_eq!(asked[0].first, "POST /oauth?tenant=7 HTTP/1.1");
    assert_eq!(asked[0].header("authorization"), Some("Basic cG9zdGhvdXNlOnM="));
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));

    for (token, why) in [
        ("forged", "it is not active, says its issuer"),
        ("old", "it has expired"),
        ("other", "it is of another issuer"),
        ("web", "it is for somebody else's service: none of its aud is ours"),
        ("poor", "it has no scope mail"),
        ("machine", "it has no username"),
    ] {
        assert_eq!(worth(&oauth, token).await, refused(why));
        assert_eq!(worth(&oauth, token).await, refused(why));
    }
    assert_eq!(worth(&oauth, "endless").await, anna(), "its issuer knows");
    assert_eq!(issuer.asked().len(), 8, "refusals are remembered, too");
    assert_eq!(issuer.connections(), 1, "a connection is for many questions");
}

#[tokio::test]
async fn without_a_cache_each_login_is_asked_about() {
    let issuer = Issuer::start(|_| known_to_issuer(&[]));
    let oauth = asking(&issuer, 0);
    for _ in 0..2 {
        assert_eq!(worth(&oauth, "good").await, anna());
    }
    assert_eq!(issuer.asked().len(), 2);
}

/// A server may close a connection that is idle just when the next question comes.
#[tokio::test]
async fn a_question_that_was_cut_is_asked_again() {
    let issuer = Issuer::start(|_| known_to_issuer(&[]).then_close_unsaid());
    let oauth = asking(&issuer, 0);
    for _ in 0..3 {
        assert_eq!(worth(&oauth, "good").await, anna());
    }
}

#[tokio::test]
async fn whatever_is_no_answer_is_no_verdict() {
    let issuer = Issuer::start(|asked| match asked.body.split(['=', '&']).nth(1) {
        Some("unknown-client") => Said::status("401 Unauthorized", "{}"),
        Some("elsewhere") => Said::status("302 Found\r\nLocation: http://192.0.2.1/", ""),
        Some("page") => Said::status("200 OK", "<html>"),
        Some("list") => Said::status("200 OK", "[{\"active\":true}]"),
        Some("word") => Said::ok(&json!({"active": "true"})),
        Some("nothing") => Said::ok(&json!({})),
        Some("large") => Said::status("200 OK", &format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(300_000))),
        Some("long") => Said::status(&format!("200 OK\r\nX-Long: {}", "x".repeat(9_000)), "{\"active\":true}"),
        _ => Said::cut(),
    });
    let oauth = asking(&issuer, 60);
    for (token, why) in [
        (
            "unknown-client",
            "the answer has status 401 Unauthorized: it does not know us by client_id and client_secret, or bearer_file",
        ),
        ("elsewhere", "the answer has status 302 Found"),
        ("page", "the answer is no JSON object"),
        ("list", "the answer is no JSON object"),
        ("word", "the answer does not say whether the token is active"),
        ("nothing", "the answer does not say whether the token is active"),
        ("large", "length limit exceeded"),
        ("long", "message head is too large"),
        ("cut", "connection closed before message completed"),
    ] {
        let Err(Err(said)) = worth(&oauth, token).await else { panic!("{token}: a verdict") };
        assert_eq!(said, format!("http://{}/oauth: {why}", issuer.address()), "{token}");
    }
    let url = format!("http://{}/", issuer.gone());
    let credentials = HeaderValue::from_static("Basic x");
    let server = WebServer { url: url.parse().expect("a URL"), tls: None };
    let judge = Judge::Introspection { server, credentials, cache: Duration::from_secs(60) };
    let oauth = OAuth::new(&told(judge, "username"), Arc::new(SystemClock));
    let Err(Err(said)) = worth(&oauth, "any").await else { panic!("a verdict of nobody") };
    assert!(said.starts_with(&format!("{url}: cannot connect to ")), "{said}");
}

#[tokio::test]
async fn a_slow_issuer_is_not_waited_for() {
    let issuer = Issuer::start(|_| Said::nothing());
    let mut oauth = asking(&issuer, 60);
    oauth.questions = Questions::new("it".to_owned(), Duration::from_millis(50), Arc::new(SystemClock));
    assert_eq!(worth(&oauth, "any").await, Err(Err("it: no answer within 0 s".to_owned())));
}

#[tokio::test]
async fn every_way_to_sign_is_known() {
    let signers = [
        Signer::rsa("a", "RS256", &RSA_PKCS1_SHA256),
        Signer::rsa("b", "RS384", &RSA_PKCS1_SHA384),
        Signer::rsa("c", "RS512", &RSA_PKCS1_SHA512),
        Signer::rsa("d", "PS256", &RSA_PSS_SHA256),
        Signer::rsa("e", "PS384", &RSA_PSS_SHA384),
        Signer::rsa("f", "PS512", &RSA_PSS_SHA512),
        Signer::ecdsa("g", "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        Signer::ecdsa("h", "ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        Signer::ecdsa("i", "ES512", "P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
        Signer::ed25519("j", "EdDSA"),
        Signer::ed25519("k", "Ed25519"),
    ];
    let set = json!({"keys": signers.iter().map(|signer| signer.public.clone()).collect::<Vec<_>>()});
    let issuer = Issuer::start(move |_| Said::ok(&set));
    let oauth = by_keys(&issuer);
    for signer in &signers {
        assert_eq!(worth(&oauth, &signer.sign(&claims())).await, anna(), "{}", signer.algorithm);
        // One bit of what was signed, and of the signature.
        let token = signer.sign(&claims());
        for at in [token.find('.').expect("a dot") + 9, token.len() - 9] {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("text");
            assert_eq!(
                worth(&oauth, &forged).await,
                refused("its signature is not its issuer's"),
                "{}",
                signer.algorithm
            );
        }
    }
    assert_eq!(issuer.asked().len(), 1);
    assert_eq!(issuer.asked()[0].first, "GET /oauth?tenant=7 HTTP/1.1");
}

#[tokio::test]
async fn what_is_no_access_token_is_refused_before_any_key_is_looked_for() {
    let signer = Signer::ed25519("k", "EdDSA");
    let set = json!({"keys": [signer.public]});
    let issuer = Issuer::start(move |_| Said::ok(&set));
    let oauth = by_keys(&issuer);
    let with = |header: Value| signer.sign_with(&header, &claims());
    let secret = signer.public["x"].as_str().expect("a key").to_owned();
    for (token, why) in [
        ("opaque".to_owned(), "it is no signed JWT"),
        ("a.b".to_owned(), "it is no signed JWT"),
        ("a.b.c.d.e".to_owned(), "it is no signed JWT"),
        ("a.b.c".to_owned(), "it is no signed JWT"),
        (signer.sign(&claims()).replace('.', "=."), "it is no signed JWT"),
        (with(json!({"kid": "k"})), "it is no signed JWT"),
        (with(json!({"alg": "none", "kid": "k"})), "its alg is not taken: none"),
        (with(json!({"alg": "None"})), "its alg is not taken: None"),
        (signer::hmac(&secret, &json!({"alg": "HS256", "kid": "k"}), &claims()), "its alg is not taken: HS256"),
        (with(json!({"alg": "EdDSA", "kid": "k", "crit": ["exp"]})), "its header has crit"),
        (with(json!({"alg": "EdDSA", "kid": "k", "typ": "logout+jwt"})), "its typ is not that of an access token"),
    ] {
        assert_eq!(worth(&oauth, &token).await, refused(why), "{token}");
    }
    assert!(issuer.asked().is_empty());
    for typ in ["at+jwt", "application/at+JWT", "JWT"] {
        assert_eq!(worth(&oauth, &with(json!({"alg": "EdDSA", "kid": "k", "typ": typ}))).await, anna(), "{typ}");
    }
}

#[tokio::test]
async fn what_a_signed_token_says_counts() {
    let signer = Signer::ed25519("k", "EdDSA");
    let set = json!({"keys": [signer.public]});
    let issuer = Issuer::start(move |_| Said::ok(&set));
    let oauth = by_keys(&issuer);
    let now = SystemClock.now().secs();
    for (name, value, why) in [
        ("iss", json!("https://other.test"), "it is of another issuer"),
        ("aud", json!("web"), "it is for somebody else's service: none of its aud is ours"),
        ("exp", json!(now - 60), "it has expired"),
        ("exp", Value::Null, "it does not say when it expires"),
        ("nbf", json!(now + 120), "it is not valid yet"),
        ("scope", json!("openid"), "it has no scope mail"),
        ("email", Value::Null, "it has no email"),
        ("email_verified", json!(false), "its issuer has not verified the email"),
    ] {
        let mut claims = claims();
        claims[name] = value;
        assert_eq!(worth(&oauth, &signer.sign(&claims)).await, refused(why), "{claims}");
    }
    assert_eq!(worth(&oauth, &signer.sign(&json!([1]))).await, refused("its claims are no JSON object"));
}

#[tokio::test]
async fn a_key_fits_or_is_none() {
    let (good, twin) =
        (Signer::ed25519("k", "EdDSA"), Signer::ecdsa("k", "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING));
    let cipher = Signer::ed25519("cipher", "EdDSA").with("use", json!("enc"));
    let wraps = Signer::ed25519("wraps", "EdDSA").with("key_ops", json!(["wrapKey"]));
    let strict = Signer::ed25519("strict", "Ed25519").with("alg", json!("EdDSA"));
    let short = Signer::ecdsa("short", "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING).with("x", json!("AAAA"));
    let stranger = Signer::ed25519("stranger", "EdDSA");
    let mut keys: Vec<Value> =
        [&good, &twin, &cipher, &wraps, &strict, &short].into_iter().map(|signer| signer.public.clone()).collect();
    keys.extend([json!(7), json!({"kty": "oct", "kid": "secret", "k": "AAAA"}), json!({"kty": "RSA", "n": "!"})]);
    let set = json!({"keys": keys});
    let issuer = Issuer::start(move |_| Said::ok(&set));
    let oauth = by_keys(&issuer);
    for signer in [&good, &twin] {
        assert_eq!(worth(&oauth, &signer.sign(&claims())).await, anna(), "keys of two kinds share an id");
    }
    for signer in [&cipher, &wraps, &strict, &short, &stranger] {
        assert_eq!(worth(&oauth, &signer.sign(&claims())).await, refused("its key is none of its issuer's"));
    }
    assert_eq!(issuer.asked().len(), 1, "a name at random is no reason to ask again at once");
    // Without an id all that fit are tried.
    let nameless = |signer: &Signer, algorithm: &str| signer.sign_with(&json!({"alg": algorithm}), &claims());
    assert_eq!(worth(&oauth, &nameless(&twin, "ES256")).await, anna());
    assert_eq!(worth(&oauth, &nameless(&good, "EdDSA")).await, anna());
    assert_eq!(worth(&oauth, &nameless(&stranger, "EdDSA")).await, refused("its signature is not its issuer's"));
}

/// The key of RFC 8037 §A.4 and that of RFC 7515 §A.3.
#[test]
fn the_signatures_of_the_standards_are_right() {
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ]});
    let keys = jwk::keys(set.to_string().as_bytes()).expect("a set");
    for (key, token) in keys.into_iter().map(Arc::new).zip([
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4i\
         ylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl\
         fQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ]) {
        let token = Secret::new(token.as_bytes().to_vec());
        let jwt = Jwt::parse(&token).expect("a JWT");
        assert!(key.fits(jwt.algorithm));
        let said = jwt.claims(&[key]);
        assert_ne!(said, Err(Refusal("its signature is not its issuer's".to_owned())));
    }
}

#[tokio::test]
async fn the_keys_of_an_issuer_that_is_away_go_on() {
    let (old, new) = (Signer::ed25519("old", "EdDSA"), Signer::ed25519("new", "EdDSA"));
    let set = json!({"keys": [old.public]});
    let issuer = Issuer::start_answering(vec![
        Said::status("503 Service Unavailable", ""),
        Said::ok(&set),
        Said::status("503 Service Unavailable", ""),
    ]);
    let oauth = by_keys(&issuer);
    let Way::Keys(keys) = &oauth.way else { panic!("by keys") };
    let Err(Err(why)) = worth(&oauth, &old.sign(&claims())).await else { panic!("a verdict without keys") };
    assert_eq!(why, format!("http://{}/oauth: the answer has status 503 Service Unavailable", issuer.address()));
    keys.now_is_long_after();
    assert_eq!(worth(&oauth, &old.sign(&claims())).await, anna());
    assert_eq!(worth(&oauth, &new.sign(&claims())).await, refused("its key is none of its issuer's"));
    keys.now_is_long_after();
    assert!(matches!(worth(&oauth, &new.sign(&claims())).await, Err(Err(_))), "it may be a new one");
    assert_eq!(worth(&oauth, &old.sign(&claims())).await, anna());
    assert_eq!(issuer.asked().len(), 3);
}

#[tokio::test]
async fn a_new_key_is_asked_for() {
    let (old, new) = (Signer::ed25519("old", "EdDSA"), Signer::ed25519("new", "EdDSA"));
    let issuer = Issuer::start_answering(vec![
        Said::ok(&json!({"keys": [old.public]})),
        Said::ok(&json!({"keys": [new.public]})),
    ]);
    let oauth = by_keys(&issuer);
    let Way::Keys(keys) = &oauth.way else { panic!("by keys") };
    assert_eq!(worth(&oauth, &old.sign(&claims())).await, anna());
    keys.now_is_long_after();
    assert_eq!(worth(&oauth, &new.sign(&claims())).await, anna());
    assert_eq!(
        worth(&oauth, &old.sign(&claims())).await,
        refused("its key is none of its issuer's"),
        "it was withdrawn"
    );
}

#[tokio::test]
async fn a_reload_asks_for_the_keys_anew() {
    let (old, new) = (Signer::ed25519("old", "EdDSA"), Signer::ed25519("new", "EdDSA"));
    let issuer = Issuer::start_answering(vec![
        Said::ok(&json!({"keys": [old.public]})),
        Said::ok(&json!({"keys": [new.public]})),
    ]);
    let oauth = by_keys(&issuer);
    let Way::Keys(keys) = &oauth.way else { panic!("by keys") };
    let (reload, again) = watch::channel(());
    let knows = async |signer: &Signer| {
        // A login asks nobody so soon after another.
        while issuer.asked().is_empty() || worth(&oauth, &signer.sign(&claims())).await != anna() {
            tokio::task::yield_now().await;
        }
    };
    let told = async {
        knows(&old).await;
        reload.send_replace(());
        knows(&new).await;
    };
    tokio::select! {
        () = keys.keep(again) => {}
        done = tokio::time::timeout(Duration::from_secs(60), told) => done.expect("it is asked again"),
    }
    let withdrawn = worth(&oauth, &old.sign(&claims())).await;
    assert_eq!(withdrawn, refused("its key is none of its issuer's"));
}

/// Whatever octets there are: no panic. A part that is missing, a length that lies, another alphabet, JSON that is cut off.
#[test]
fn what_is_broken_anywhere_is_read_or_not() {
    let signer = Signer::ecdsa("k", "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    let (token, set) = (signer.sign(&claims()).into_bytes(), json!({"keys": [signer.public]}).to_string().into_bytes());
    let keys = |set: &[u8]| jwk::keys(set).unwrap_or_default().into_iter().map(Arc::new).collect::<Vec<_>>();
    let ours = keys(&set);
    let is_taken = |token: Vec<u8>| Jwt::parse(&Secret::new(token)).is_ok_and(|jwt| jwt.claims(&ours).is_ok());
    assert!(is_taken(token.clone()));
    for at in 0..token.len() {
        assert!(!is_taken(token[..at].to_vec()), "{at} octets");
        for octet in [0, b'.', b'=', b'A', 0xff] {
            let mut broken = token.clone();
            broken[at] = octet;
            assert!(broken == token || !is_taken(broken), "{octet:#x} at {at}");
        }
    }
    for at in 0..set.len() {
        assert!(keys(&set[..at]).is_empty(), "{at} octets");
        for octet in [0, b'"', b'A', b'}', 0xff] {
            let mut broken = set.clone();
            broken[at] = octet;
            let _some_or_none = keys(&broken);
        }
    }
}

/// As many as a client may have on their way bring keys that nobody knows, and the issuer says nothing.
#[tokio::test]
async fn whose_key_is_known_waits_for_nobody() {
    let (old, new) = (Signer::ed25519("old", "EdDSA"), Signer::ed25519("new", "EdDSA"));
    let issuer = Issuer::start_answering(vec![Said::ok(&json!({"keys": [old.public]})), Said::nothing()]);
    let oauth = by_keys(&issuer);
    let Way::Keys(keys) = &oauth.way else { panic!("by keys") };
    assert_eq!(worth(&oauth, &old.sign(&claims())).await, anna());
    keys.now_is_long_after();
    let unknown = new.sign(&claims());
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(worth(&oauth, &unknown))).collect();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let answered = waiting.iter_mut().filter_map(|one| match one.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    });
    assert!(answered.collect::<Vec<_>>().iter().all(|answer| matches!(answer, Err(Err(_)))));
    assert_eq!(worth(&oauth, &old.sign(&claims())).await, anna());
}

#[tokio::test]
async fn keys_are_kept_from_the_start_and_a_set_without_any_is_none() {
    let signer = Signer::ed25519("k", "EdDSA");
    let issuer = Issuer::start(move |_| Said::ok(&json!({"keys": [signer.public]})));
    let oauth = by_keys(&issuer);
    let Way::Keys(keys) = &oauth.way else { panic!("by keys") };
    tokio::select! {
        () = keys.keep(watch::channel(()).1) => {}
        () = issuer.was_asked() => {}
    }
    for set in ["{\"keys\":[]}", "{}", "[]", ""] {
        let issuer = Issuer::start(move |_| Said::status("200 OK", set));
        let oauth = by_keys(&issuer);
        let token = Signer::ed25519("k", "EdDSA").sign(&claims());
        assert!(matches!(worth(&oauth, &token).await, Err(Err(_))), "{set}");
    }
}
