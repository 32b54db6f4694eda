//! Back-ends that say what a test has them say.

mod hosts;
mod sieve;

use super::*;
use crate::foreign::{Introducing, Master, MasterForm, Protocol, Telling};
use crate::testing::{Heard, Node, Script, Shared, Tasks, Then, Turning};
use mail_types::Address;
use ports::{CallSecurity, Introduction, Peer, Standing, Trust};
use sasl::{Password, Secret};
use std::sync::Mutex;

/// The store `cyrus`, and what is known of it.
#[derive(Clone)]
struct Map {
    security: CallSecurity,
    master: Option<Master>,
    /// What the directory has.
    stores: Arc<Mutex<Vec<StoreName>>>,
    introducing: Introducing,
    telling: Telling,
}

impl Foreign for Map {
    fn find(&self, store: &StoreName, protocol: Protocol) -> BackEnd {
        if store.as_str() != "cyrus" {
            return BackEnd::Nowhere("its record has no port for IMAP".to_owned());
        }
        let port = match protocol {
            Protocol::Imap => 143,
            Protocol::Pop3 => 110,
            Protocol::Submission => 587,
            Protocol::Sieve => 4190,
            Protocol::Lmtp | Protocol::Smtp => panic!("nobody visits by mail"),
        };
        let (security, introduction) = (self.security, Introduction::Nobody);
        let hosts = Arc::from(["192.0.2.9".into()]);
        let callee = Callee { hosts, port, security, introduction, sources: Arc::default() };
        BackEnd::At {
            hosts: vec![callee],
            master: self.master.clone(),
            introducing: self.introducing,
            telling: self.telling,
        }
    }

    fn all(&self, _protocol: Protocol) -> Vec<StoreName> {
        self.stores.lock().unwrap().clone()
    }
}

struct Site {
    visits: Visits,
    clock: Arc<Turning>,
    heard: Arc<Mutex<Heard>>,
    stores: Arc<Mutex<Vec<StoreName>>>,
}

impl Site {
    fn new(pieces: &'static [&'static str], then: Then) -> Self {
        Self::with(pieces, then, CallSecurity::Plain, None)
    }

    fn with(pieces: &'static [&'static str], then: Then, security: CallSecurity, master: Option<Master>) -> Self {
        Self::at(pieces, then, security, master, Introducing::Nobody)
    }

    fn at(
        pieces: &'static [&'static str],
        then: Then,
        security: CallSecurity,
        master: Option<Master>,
        introducing: Introducing,
    ) -> Self {
        let (heard, stores) = (Arc::default(), Arc::new(Mutex::new(vec![store("cyrus")])));
        let node = Arc::new(Node { script: Script { pieces, then }, heard: Arc::clone(&heard) });
        let telling = if security == CallSecurity::Plain { Telling::ForClients } else { Telling::ForUs };
        let map = Map { security, master, stores: Arc::clone(&stores), introducing, telling };
        let (clock, map) = (Turning::new(), Arc::new(map));
        let shared = Arc::new(Shared(Arc::clone(&clock)));
        let (tasks, host) = (Arc::new(Tasks::default()), Domain::parse("proxy.example").unwrap());
        let visits = Visits::new(map, Callers::all(node), shared, tasks, host);
        Self { visits, clock, heard, stores }
    }

    fn imap(&self, password: Option<&str>) -> Result<Admission, Unavailable> {
        self.clock.finish(self.visits.imap(&store("cyrus"), who(password)))
    }

    fn pop3(&self) -> Result<Admission, Unavailable> {
        self.clock.finish(self.visits.pop3(&store("cyrus"), who(Some("secret")), Mode::default()))
    }

    fn submission(&self) -> Result<Admission, Unavailable> {
        self.clock.finish(self.visits.submission(&store("cyrus"), who(Some("secret"))))
    }

    fn said(&self) -> String {
        std::mem::take(&mut self.heard.lock().unwrap().said)
    }
}

fn store(name: &str) -> StoreName {
    StoreName::parse(name).unwrap()
}

fn who(password: Option<&str>) -> Visitor {
    Visitor {
        address: Arc::new(Address::parse("carol@example.test").unwrap()),
        user: "carol".to_owned(),
        credential: match password {
            Some(password) => Credential::Password(Password::new(password.as_bytes().to_vec()).unwrap()),
            None => Credential::Word,
        },
        standing: Standing::Known,
        peer: Peer {
            address: "198.51.100.7:4000".parse().unwrap(),
            local: "192.0.2.1:993".parse().unwrap(),
            tls: true,
        },
        ttl: 4,
    }
}

/// Who shows `mF_9`.
fn bearer() -> Visitor {
    Visitor { credential: Credential::Token(Secret::new(b"mF_9".to_vec())), ..who(None) }
}

fn welcomed(admission: Result<Admission, Unavailable>) -> (String, String) {
    let Ok(Admission::Welcome(Elsewhere { welcome, passage, .. })) = admission else { panic!("{admission:?}") };
    let text = |octets: &[u8]| octets.escape_ascii().to_string();
    (text(&welcome), text(&passage.unsaid))
}

#[test]
fn a_visitor_comes_with_his_own_password() {
    let site = Site::new(&[GREETING, "P1 OK [CAPABILITY IMAP4rev1] in\r\n* 1 EX"], Then::Silent);
    let (welcome, unsaid) = welcomed(site.imap(Some("secret")));
    assert_eq!((welcome.as_str(), unsaid.as_str()), ("[CAPABILITY IMAP4rev1] in", "* 1 EX"));
    // \0carol\0secret
    assert_eq!(site.said(), "P1 AUTHENTICATE PLAIN AGNhcm9sAHNlY3JldA==\r\n");
    let heard = site.heard.lock().unwrap();
    let [(callee, behalf_of)] = heard.calls.as_slice() else { panic!("one call") };
    assert_eq!((callee.port, behalf_of.map(|peer| peer.tls)), (143, Some(true)));
}

#[test]
fn a_visitor_comes_with_his_token() {
    // n,a=carol,^Aauth=Bearer mF_9^A^A
    const OAUTHBEARER: &str = "bixhPWNhcm9sLAFhdXRoPUJlYXJlciBtRl85AQE=";
    // user=carol^Aauth=Bearer mF_9^A^A
    const XOAUTH2: &str = "dXNlcj1jYXJvbAFhdXRoPUJlYXJlciBtRl85AQE=";
    const WHY: &str = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=";
    let offering = |mechanisms: &str| format!("* OK [CAPABILITY IMAP4rev1 SASL-IR {mechanisms}] hi\r\n");
    let played = |pieces: Vec<String>| -> &'static [&'static str] {
        Box::leak(pieces.into_iter().map(|piece| &*Box::leak(piece.into_boxed_str())).collect())
    };
    let imap = |site: &Site| site.clock.finish(site.visits.imap(&store("cyrus"), bearer()));
    for (mechanisms, said) in [
        ("AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER", format!("P1 AUTHENTICATE OAUTHBEARER {OAUTHBEARER}\r\n")),
        ("AUTH=XOAUTH2", format!("P1 AUTHENTICATE XOAUTH2 {XOAUTH2}\r\n")),
    ] {
        let pieces = played(vec![offering(mechanisms), "P1 OK [CAPABILITY IMAP4rev1] in\r\n".to_owned()]);
        let site = Site::new(pieces, Then::Silent);
        assert_eq!((welcomed(imap(&site)).0.as_str(), site.said()), ("[CAPABILITY IMAP4rev1] in", said));
    }
    // A refusal of the token is one of him, whether he is told why before it or not.
    for no in [vec!["P1 NO no\r\n".to_owned()], vec![format!("+ {WHY}\r\n"), "P1 NO no\r\n".to_owned()]] {
        let pieces = played([vec![offering("AUTH=OAUTHBEARER")], no].concat());
        assert!(matches!(imap(&Site::new(pieces, Then::Silent)), Ok(Admission::Refused { .. })));
    }
    for away in ["P1 NO [UNAVAILABLE] later\r\n", "P1 BAD what\r\n"] {
        let pieces = played(vec![offering("AUTH=OAUTHBEARER"), away.to_owned()]);
        assert!(imap(&Site::new(pieces, Then::Silent)).is_err(), "{away}");
    }
    // One that has no words for tokens is well: others come with passwords.
    let site = Site::new(&[GREETING], Then::Silent);
    let why = imap(&site).unwrap_err().to_string();
    assert!(why.ends_with("no way to say this name, password or token"), "{why}");
    assert!(site.visits.hosts().iter().all(|host| host.state != HostState::LeftAlone));
}

#[test]
fn a_token_is_shown_by_every_protocol_and_never_in_a_masters_place() {
    const O: &str = "bixhPWNhcm9sLAFhdXRoPUJlYXJlciBtRl85AQE=";
    let site = Site::new(&["+OK hi\r\n", "+OK\r\nSASL OAUTHBEARER\r\n.\r\n", "+OK in\r\n"], Then::Silent);
    let admission = site.clock.finish(site.visits.pop3(&store("cyrus"), bearer(), Mode::default()));
    assert_eq!((welcomed(admission).0, site.said()), ("in".to_owned(), format!("CAPA\r\nAUTH OAUTHBEARER {O}\r\n")));
    let pieces = &["220 back.example\r\n", "250-back.example\r\n250 AUTH OAUTHBEARER\r\n", "235 2.7.0 in\r\n"];
    let site = Site::new(pieces, Then::Silent);
    welcomed(site.clock.finish(site.visits.submission(&store("cyrus"), bearer())));
    assert_eq!(site.said(), format!("EHLO proxy.example\r\nAUTH OAUTHBEARER {O}\r\n"));
    let site = Site::new(&["\"SASL\" \"OAUTHBEARER\"\r\nOK\r\n", "OK \"In.\"\r\n"], Then::Silent);
    welcomed(site.clock.finish(site.visits.sieve(&store("cyrus"), bearer())));
    assert_eq!(site.said(), format!("AUTHENTICATE \"OAUTHBEARER\" \"{O}\"\r\n"));
    let form = MasterForm::Authorization;
    let master = Master { name: "m".into(), password: Password::new(b"pw".to_vec()).unwrap(), form };
    let site = Site::with(&[GREETING], Then::Silent, CallSecurity::Plain, Some(master));
    let why = site.clock.finish(site.visits.imap(&store("cyrus"), bearer())).unwrap_err().to_string();
    assert!(why.ends_with("its record has just changed") && site.said().is_empty(), "{why}");
    let site = Site::new(&[GREETING], Then::Silent);
    let odd = Visitor { user: "a\x01b".to_owned(), ..bearer() };
    assert!(site.clock.finish(site.visits.imap(&store("cyrus"), odd)).is_err() && site.said().is_empty());
}

#[test]
fn tls_comes_before_a_token() {
    let pieces = &[
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi\r\n",
        "P1 OK go\r\n",
        "* CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER\r\nP2 OK done\r\n",
        "P3 OK [CAPABILITY IMAP4rev1] in\r\n",
    ];
    let site = Site::with(pieces, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    welcomed(site.clock.finish(site.visits.imap(&store("cyrus"), bearer())));
    assert!(site.said().starts_with("P1 STARTTLS\r\n(TLS)P2 CAPABILITY\r\nP3 AUTHENTICATE OAUTHBEARER "));
    let refusing = &["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi\r\n", "P1 NO not here\r\n"];
    let site = Site::with(refusing, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    assert!(site.clock.finish(site.visits.imap(&store("cyrus"), bearer())).is_err());
    assert_eq!(site.said(), "P1 STARTTLS\r\n", "nothing is said in clear");
}

#[test]
fn what_a_back_end_says_of_itself_in_a_line_of_its_own_is_handed_on() {
    let site = Site::new(&[GREETING, "* CAPABILITY IMAP4rev1 IDLE\r\nP1 OK in\r\n"], Then::Silent);
    assert_eq!(welcomed(site.imap(Some("secret"))).0, "[CAPABILITY IMAP4rev1 IDLE] in");
    let site = Site::new(&[GREETING, "* CAPABILITY IMAP4rev1\r\nP1 OK [ALERT] full\r\n"], Then::Silent);
    assert_eq!(welcomed(site.imap(Some("secret"))).0, "[CAPABILITY IMAP4rev1] [ALERT] full");
}

#[test]
fn a_back_end_that_does_not_tell_what_may_be_used_is_asked() {
    let pieces = &[GREETING, "P1 OK in\r\n", "* CAPABILITY IMAP4rev1 IDLE\r\nP2 OK done\r\n* 1 EX"];
    let site = Site::new(pieces, Then::Silent);
    let (welcome, unsaid) = welcomed(site.imap(Some("secret")));
    assert_eq!((welcome.as_str(), unsaid.as_str()), ("[CAPABILITY IMAP4rev1 IDLE] in", "* 1 EX"));
    assert!(site.said().ends_with("P2 CAPABILITY\r\n"));
}

#[test]
fn what_was_learnt_saves_a_round_trip() {
    let pieces = &["* OK hi\r\n", "P1 OK done\r\n", "P2 NO [AUTHENTICATIONFAILED] no\r\n"];
    let site = Site::new(pieces, Then::Silent);
    assert!(site.imap(Some("secret")).is_err(), "it answers CAPABILITY with nothing");
    let pieces = &[
        "* OK hi\r\n",
        "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK done\r\n",
        "P2 OK [CAPABILITY IMAP4rev1] in\r\n",
    ];
    let site = Site::new(pieces, Then::Silent);
    assert_eq!(welcomed(site.imap(Some("secret"))).0, "[CAPABILITY IMAP4rev1] in");
    assert_eq!(site.said(), "P1 CAPABILITY\r\nP2 AUTHENTICATE PLAIN AGNhcm9sAHNlY3JldA==\r\n");
    // The same answers come again, of which the first is now that to the login.
    assert!(site.imap(Some("secret")).is_ok());
    assert_eq!(site.said(), "P1 AUTHENTICATE PLAIN AGNhcm9sAHNlY3JldA==\r\n");
}

#[test]
fn a_login_that_goes_round_in_a_circle_ends() {
    let site = Site::new(&[GREETING, "P1 OK in\r\n"], Then::Silent);
    let tired = Visitor { ttl: 0, ..who(Some("secret")) };
    let why = site.clock.finish(site.visits.imap(&store("cyrus"), tired)).unwrap_err().to_string();
    assert!(why.contains("round in a circle") && site.heard.lock().unwrap().calls.is_empty(), "{why}");
}

#[test]
fn a_refusal_makes_it_ask_again() {
    const CAPA: &str = "+OK list\r\nSASL PLAIN\r\n.\r\n";
    let site = Site::new(&["+OK hi\r\n", CAPA, "-ERR [AUTH] no\r\n"], Then::Silent);
    for _ in 0..2 {
        assert!(matches!(site.pop3(), Ok(Admission::Refused { .. })));
        assert!(site.said().starts_with("CAPA\r\n"), "what was learnt may be what was wrong");
    }
}

#[test]
fn a_master_comes_for_him_and_only_for_who_was_checked() {
    let master = |form| Some(Master { name: "m".into(), password: Password::new(b"pw".to_vec()).unwrap(), form });
    let with = |form| {
        Site::with(&[GREETING, "P1 OK [CAPABILITY IMAP4rev1] in\r\n"], Then::Silent, CallSecurity::Plain, master(form))
    };
    let site = with(MasterForm::Authorization);
    welcomed(site.imap(None));
    // carol\0m\0pw
    assert_eq!(site.said(), "P1 AUTHENTICATE PLAIN Y2Fyb2wAbQBwdw==\r\n");
    let site = with(MasterForm::Joined('*'));
    welcomed(site.imap(None));
    // \0carol*m\0pw
    assert_eq!(site.said(), "P1 AUTHENTICATE PLAIN AGNhcm9sKm0AcHc=\r\n");
    // It is the master who is refused, and no user has to hear of it.
    let refused = Site::with(
        &[GREETING, "P1 NO [AUTHENTICATIONFAILED] no\r\n"],
        Then::Silent,
        CallSecurity::Plain,
        master(MasterForm::Authorization),
    );
    let why = refused.imap(None).unwrap_err().to_string();
    assert!(why.ends_with("it refuses our master: no"), "{why}");
    // Or the user, whom nobody else knows: he was vouched for, and has no account there.
    let stranger = Visitor { standing: Standing::Unchecked, ..who(None) };
    let refused = Site::with(
        &[GREETING, "P1 NO [AUTHENTICATIONFAILED] no\r\n"],
        Then::Silent,
        CallSecurity::Plain,
        master(MasterForm::Authorization),
    );
    let admission = refused.clock.finish(refused.visits.imap(&store("cyrus"), stranger));
    assert!(matches!(admission, Ok(Admission::Refused { .. })), "{admission:?}");
    // The record changed between the decision and the call: no password goes where it is not wanted.
    let none = Site::new(&[GREETING], Then::Silent);
    assert!(none.imap(None).unwrap_err().to_string().ends_with("its record has just changed"));
    let both = with(MasterForm::Authorization);
    assert!(both.imap(Some("secret")).unwrap_err().to_string().ends_with("its record has just changed"));
    assert!(none.heard.lock().unwrap().calls.is_empty() && both.heard.lock().unwrap().calls.is_empty());
}

#[test]
fn tls_comes_before_the_password() {
    let pieces = &[
        "* OK hi\r\n",
        "P1 OK go\r\n",
        "* CAPABILITY IMAP4rev1\r\nP2 OK done\r\n",
        "P3 OK [CAPABILITY IMAP4rev1] in\r\n",
    ];
    let site = Site::with(pieces, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    assert_eq!(welcomed(site.imap(Some("secret"))).0, "[CAPABILITY IMAP4rev1] in");
    assert_eq!(site.said(), "P1 STARTTLS\r\n(TLS)P2 CAPABILITY\r\nP3 LOGIN \"carol\" \"secret\"\r\n");
    let site =
        Site::with(&["* OK hi\r\n", "P1 NO not here\r\n"], Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    assert!(site.imap(Some("secret")).is_err());
    assert_eq!(site.said(), "P1 STARTTLS\r\n", "nothing is said in clear");
}

#[test]
fn a_refusal_of_the_visitor_is_told_from_any_other() {
    for answer in [&[GREETING, "P1 NO [AUTHENTICATIONFAILED] no\r\n"][..], &[GREETING, "P1 NO Login failed.\r\n"]] {
        let admission = Site::new(answer, Then::Silent).imap(Some("wrong"));
        assert!(matches!(admission, Ok(Admission::Refused { .. })), "{admission:?}");
    }
    for (answer, then) in [
        (&[GREETING, "P1 NO [UNAVAILABLE] later\r\n"][..], Then::Silent),
        (&[GREETING, "P1 BAD what\r\n"], Then::Silent),
        (&["* BYE full\r\n"], Then::Silent),
        (&[GREETING], Then::HangsUp),
        (&[GREETING], Then::Breaks),
        (&[GREETING], Then::Silent),
        (&[], Then::DoesNotAnswer),
    ] {
        assert!(Site::new(answer, then).imap(Some("secret")).is_err(), "{answer:?}");
    }
    let site = Site::new(&[], Then::Silent);
    let lost = site.clock.finish(site.visits.imap(&store("lost"), who(Some("secret")))).unwrap_err();
    assert_eq!(lost.to_string(), "the store lost is not available: its record has no port for IMAP");
}

#[test]
fn the_words_of_a_refusal_are_shown_where_they_are_to_be() {
    // In this site whoever is called in the clear speaks to clients.
    let shown = |admission: Result<Admission, Unavailable>| match admission {
        Ok(Admission::Refused { shown, .. }) => shown,
        other => panic!("{other:?}"),
    };
    let no = |text: &str| -> &'static [&'static str] {
        Box::leak(Box::new([
            GREETING,
            &*Box::leak(format!("P1 NO [AUTHENTICATIONFAILED] {text}\r\n").into_boxed_str()),
        ]))
    };
    let said = |text: &str| shown(Site::new(no(text), Then::Silent).imap(Some("wrong")));
    assert_eq!(said("Your password has expired").as_deref(), Some("Your password has expired"));
    assert_eq!(said("[ALERT] \u{fc}ber \u{1b}[2J").as_deref(), Some("ALERT] ?ber  [2J"));
    assert_eq!(said(&"x".repeat(1000)).map(|text| text.len()), Some(ports::SHOWN_TEXT_OCTETS_MAX));
    let pieces = &["* OK hi\r\n", "P1 OK go\r\n", "* CAPABILITY IMAP4rev1\r\nP2 OK done\r\n", "P3 NO no\r\n"];
    let site = Site::with(pieces, Then::Silent, CallSecurity::StartTls(Trust::Public), None);
    assert_eq!(shown(site.imap(Some("wrong"))), None);
}

#[test]
fn a_back_end_that_did_not_answer_costs_the_next_nothing() {
    let site = Site::new(&[], Then::DoesNotAnswer);
    assert!(site.imap(Some("secret")).is_err());
    let next = site.imap(Some("secret")).unwrap_err();
    assert!(next.to_string().ends_with("it did not answer a moment ago"), "{next}");
    assert_eq!(site.heard.lock().unwrap().calls.len(), 1);
    // By another protocol it is another server.
    assert!(site.pop3().is_err());
    assert_eq!(site.heard.lock().unwrap().calls.len(), 2);
    // Once it has answered the call, a login that takes too long may be one user's: the next is tried.
    for then in [Then::Silent, Then::Breaks] {
        let site = Site::new(&[GREETING], then);
        assert!(site.imap(Some("secret")).is_err() && site.imap(Some("secret")).is_err());
        assert_eq!(site.heard.lock().unwrap().calls.len(), 2, "{then:?}");
    }
}

#[test]
fn a_maildrop_is_visited_and_may_be_in_use() {
    const CAPA: &str = "+OK list\r\nSASL PLAIN\r\n.\r\n";
    let site = Site::new(&["+OK hi\r\n", CAPA, "+OK 2 messages\r\n"], Then::Silent);
    assert_eq!(welcomed(site.pop3()).0, "2 messages");
    assert_eq!(site.said(), "CAPA\r\nAUTH PLAIN AGNhcm9sAHNlY3JldA==\r\n");
    let site = Site::new(&["+OK hi\r\n", CAPA, "-ERR [IN-USE] read\r\n"], Then::Silent);
    assert!(matches!(site.pop3(), Ok(Admission::InUse { text }) if text == "read"));
    let site = Site::new(&["+OK hi\r\n", CAPA, "-ERR [AUTH] no\r\n"], Then::Silent);
    assert!(matches!(site.pop3(), Ok(Admission::Refused { .. })));
    let site = Site::new(&["+OK hi\r\n", CAPA, "-ERR [SYS/TEMP] later\r\n"], Then::Silent);
    assert!(site.pop3().is_err());
}

#[test]
fn a_back_end_that_reads_it_is_told_where_the_visitor_comes_from() {
    const IN: &[&str] = &[
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ID] hi\r\n",
        "* ID NIL\r\nP1 OK\r\nP2 OK [CAPABILITY IMAP4rev1] in\r\n",
    ];
    let at = |pieces, introducing| Site::at(pieces, Then::Silent, CallSecurity::Plain, None, introducing);
    let site = at(IN, Introducing::ById);
    let Ok(Admission::Welcome(elsewhere)) = site.imap(Some("secret")) else { panic!("he is let in") };
    assert_eq!(elsewhere.welcome, "[CAPABILITY IMAP4rev1] in");
    let said = site.said();
    assert!(
        said.contains(&format!("\"x-session-id\" \"{}\"", elsewhere.session.expect("a name for the log"))),
        "{said}"
    );
    let (id, login) = said.split_once("\r\n").unwrap();
    for part in [
        "P1 ID (\"x-originating-ip\" \"198.51.100.7\" \"x-originating-port\" \"4000\"",
        "\"x-connected-ip\" \"192.0.2.1\" \"x-connected-port\" \"993\"",
        "\"x-proxy-ttl\" \"4\"",
        "\"x-session-id\" \"",
    ] {
        assert!(id.contains(part), "{part}: {id}");
    }
    assert_eq!(login, "P2 AUTHENTICATE PLAIN AGNhcm9sAHNlY3JldA==\r\n", "in one go");
    // Who does not read it is not told.
    let site = at(&[GREETING, "P1 OK [CAPABILITY IMAP4rev1] in\r\n"], Introducing::ById);
    welcomed(site.imap(Some("secret")));
    assert!(!site.said().contains("ID"));
    // POP3: in a command of its own, whatever the answer.
    for answer in ["+OK Updated\r\n", "-ERR what\r\n"] {
        let pieces = &*Box::leak(Box::new(["+OK\r\n", "+OK\r\nSASL PLAIN\r\n.\r\n", answer, "+OK in\r\n"]));
        let site = at(pieces, Introducing::ByXclient);
        assert_eq!(welcomed(site.pop3()).0, "in");
        let said = site.said();
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[1].starts_with("XCLIENT ADDR=198.51.100.7 PORT=4000 SESSION=") && lines[1].ends_with(" TTL=4"),
            "{said}"
        );
        assert_eq!((lines[0], lines[2]), ("CAPA", "AUTH PLAIN AGNhcm9sAHNlY3JldA=="));
    }
    let site = at(&[GREETING, "P1 OK [CAPABILITY IMAP4rev1] in\r\n"], Introducing::ByXclient);
    welcomed(site.imap(Some("secret")));
    assert!(!site.said().contains("ID ("), "IMAP has no XCLIENT");
}

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n";

#[test]
fn a_submission_server_lets_in_refuses_or_is_unavailable() {
    const READY: &str = "220 back.example\r\n";
    const OFFER: &str = "250-back.example\r\n250 AUTH PLAIN\r\n";
    let site = Site::new(&[READY, OFFER, "235 2.7.0 in\r\n"], Then::Silent);
    assert!(matches!(site.submission(), Ok(Admission::Welcome(_))));
    assert_eq!(site.said(), "EHLO proxy.example\r\nAUTH PLAIN AGNhcm9sAHNlY3JldA==\r\n");
    let site = Site::new(&[READY, OFFER, "535 5.7.8 no\r\n"], Then::Silent);
    assert!(matches!(site.submission(), Ok(Admission::Refused { text, .. }) if text == "535 5.7.8 no"));
    for said in ["454 4.7.0 later\r\n", "534 5.7.9 too weak\r\n", "421 4.3.2 going\r\n"] {
        let site = Site::new(Box::leak(Box::new([READY, OFFER, said])), Then::Silent);
        assert!(site.submission().is_err(), "{said}");
    }
}

#[test]
fn a_store_that_cannot_be_called_is_reported() {
    let site = Site::new(&[], Then::Silent);
    *site.stores.lock().unwrap() = vec![store("lost")];
    let reports = site.visits.hosts();
    assert_eq!(reports.len(), 4, "by each protocol");
    assert!(reports.iter().all(|report| report.host.is_empty() && report.state == HostState::LeftAlone));
    let why = reports[0].last_failure.as_ref().map(|(_, why)| why.as_str());
    assert_eq!(why, Some("its record has no port for IMAP"));
}
