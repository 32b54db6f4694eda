//! Names that the directory does not know, and somebody who does.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test")]

mod world;

use mail_types::StoreName;
use ports::{BoxFuture, Credential};
use proxy::{
    Authenticator, Client, DirectoryAccounts, FAILED_LOGIN_SPAN, LoginOrigin, NoVerdict, Outcome, Protocol, Question,
    Verdict,
};
use sasl::{Credentials, Failure, Password};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use world::{World, finish, peer};

/// Knows some users, and remembers whom it was asked about.
#[derive(Default)]
struct Origin(Mutex<Vec<String>>);

impl LoginOrigin for Origin {
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Verdict, NoVerdict>> {
        self.0.lock().unwrap().push(question.user.to_owned());
        let at = |store: &str| StoreName::parse(store).unwrap();
        let welcome = |store, user: Option<&str>, password: Option<&[u8]>| {
            let password = password.map(|octets| Password::new(octets.to_vec()).unwrap());
            Ok(Verdict::Welcome { store: at(store), user: user.map(str::to_owned), password })
        };
        let (name, _) = question.user.split_once('@').unwrap_or((question.user, ""));
        Box::pin(std::future::ready(match name {
            "known" => welcome("cyrus", None, None),
            "renamed" => welcome("cyrus", Some("r7"), Some(b"other")),
            "mastered" => welcome("courier", None, None),
            "ours" => welcome("here", None, None),
            "down" => Err(NoVerdict("no answer".to_owned())),
            _ => Ok(Verdict::Refused { text: "nobody".to_owned(), wait: Duration::from_millis(1500) }),
        }))
    }
}

struct Site {
    world: World,
    authenticator: Authenticator,
    origin: Arc<Origin>,
}

impl Site {
    fn new(world: World) -> Self {
        let origin = Arc::new(Origin::default());
        let accounts = Arc::new(DirectoryAccounts::new(world.live.clone(), Arc::new(world.engine.clone())));
        let authenticator = Authenticator::new(accounts, world.clock.clone(), world.spawn.clone());
        Self { world, authenticator: authenticator.with_origin(Some(origin.clone())), origin }
    }

    fn log_in(&self, name: &str, authorization: Option<&str>) -> Outcome {
        let client = Client::new(Protocol::Imap, peer("198.51.100.7", true));
        let credentials: Result<Credentials, Failure> = Ok(Credentials {
            authorization: authorization.map(str::to_owned),
            authentication: name.to_owned(),
            password: Password::new(b"secret".to_vec()).unwrap(),
        });
        finish(self.authenticator.log_in(&client, credentials))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.origin.0.lock().unwrap())
    }
}

#[test]
fn who_is_welcome_goes_to_the_back_end_with_what_it_is_to_be_shown() {
    let site = Site::new(World::new());
    let visitor = |name: &str| match site.log_in(name, None) {
        Outcome::Visitor { store, who } => {
            let password = match who.credential {
                Credential::Password(password) => Some(String::from_utf8_lossy(password.as_bytes()).into_owned()),
                Credential::Word => None,
                Credential::Token(_) => panic!("{name}: nobody has shown one"),
            };
            (store.to_string(), who.address.to_string(), who.user, password)
        }
        other => panic!("{name}: {other:?}"),
    };
    let text = str::to_owned;
    assert_eq!(visitor("known"), (text("cyrus"), text("known@example.test"), text("known"), Some(text("secret"))));
    assert_eq!(visitor("renamed@example.test").2, "r7");
    assert_eq!(visitor("renamed").3, Some(text("other")));
    assert_eq!(visitor("mastered").3, None, "a master acts for him");
}

#[test]
fn whom_the_directory_knows_nobody_else_is_asked_about() {
    let site = Site::new(World::new());
    assert!(matches!(site.log_in("alice", None), Outcome::LoggedIn { .. }));
    assert!(matches!(site.log_in("barred", None), Outcome::WrongPassword));
    assert!(matches!(site.log_in("flawed", None), Outcome::Unavailable));
    assert!(matches!(site.log_in("known@nowhere.test", None), Outcome::WrongPassword));
    assert!(matches!(site.log_in("known", Some("alice")), Outcome::WrongPassword), "nobody acts as another");
    assert_eq!(site.asked(), Vec::<String>::new());
    let unloaded = Site::new(World::without_routing());
    assert!(matches!(unloaded.log_in("known", None), Outcome::Unavailable));
    assert_eq!(unloaded.asked(), Vec::<String>::new());
}

#[test]
fn a_no_is_final_and_what_is_no_verdict_is_not() {
    let site = Site::new(World::new());
    assert!(matches!(site.log_in("mallory", None), Outcome::WrongPassword));
    assert_eq!(site.asked(), ["mallory"]);
    assert!(site.world.clock.slept() >= Duration::from_millis(1500).max(FAILED_LOGIN_SPAN), "as long as it was told");
    assert!(matches!(site.log_in("down", None), Outcome::Unavailable));
    assert!(matches!(site.log_in("ours", None), Outcome::Unavailable), "a store of ours is no back-end");
}
