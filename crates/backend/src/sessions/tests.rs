//! Nodes that say what a test has them say.

use super::*;
use crate::testing::{Heard, Impatient, Node, Script, Then, finish};
use mail_types::{AccountId, Address};
use ports::{CallSecurity, Introduction, Peer};
use std::sync::Mutex;

/// The store `far` is on the node `other`.
struct Map;

impl Nodes for Map {
    fn reach(&self, store: &StoreName, protocol: Inside) -> Reach {
        let port = match protocol {
            Inside::Lmtp => 1024,
            Inside::Imap => 1143,
            Inside::Pop3 => 1110,
        };
        match store.as_str() {
            "far" => Reach::Node {
                name: NodeName::parse("other").unwrap(),
                callee: Callee {
                    hosts: Arc::from(["192.0.2.9".into()]),
                    port,
                    security: CallSecurity::Cluster,
                    introduction: Introduction::ProxyV2,
                    sources: Arc::default(),
                },
            },
            _ => Reach::Nowhere("its record points back at us".to_owned()),
        }
    }
}

fn who() -> LoggedIn {
    LoggedIn {
        account: AccountId::from_bytes([1; 16]),
        address: Address::parse("Alice@example.test").unwrap().into(),
        peer: Peer {
            address: "198.51.100.7:4000".parse().unwrap(),
            local: "192.0.2.1:993".parse().unwrap(),
            tls: true,
        },
    }
}

fn store(name: &str) -> StoreName {
    StoreName::parse(name).unwrap()
}

struct Site {
    sessions: Sessions,
    heard: Arc<Mutex<Heard>>,
}

impl Site {
    fn new(pieces: &'static [&'static str], then: Then) -> Self {
        let heard = Arc::default();
        let node = Arc::new(Node { script: Script { pieces, then }, heard: Arc::clone(&heard) });
        Self { sessions: Sessions::new(Arc::new(Map), node.clone(), node, Arc::new(Impatient)), heard }
    }

    fn imap(&self) -> Result<ImapHandover, Unavailable> {
        finish(self.sessions.imap(&store("far"), who()))
    }

    fn pop3(&self) -> Result<Option<Pop3Handover>, Unavailable> {
        self.pop3_in(Mode::Ascii)
    }

    fn pop3_in(&self, mode: Mode) -> Result<Option<Pop3Handover>, Unavailable> {
        finish(self.sessions.pop3(&store("far"), who(), mode))
    }
}

fn there<M>(handover: Handover<M>) -> (String, String) {
    let Handover::There(Elsewhere { welcome, mut passage, .. }) = handover else { panic!("it is on another node") };
    assert!(passage.track.may_speak());
    passage.track.from_client(b"a NOOP\r\n");
    assert!(!passage.track.may_speak());
    assert!(passage.unsent.is_empty());
    let text = |octets: &[u8]| octets.escape_ascii().to_string();
    (text(&welcome), text(&passage.unsaid))
}

#[test]
fn an_imap_session_is_entered_as_the_account() {
    let site = Site::new(&["* OK hi\r\n", "P1 OK [CAPABILITY IMAP4rev1] in\r\n* 1 EX"], Then::Silent);
    assert_eq!(there(site.imap().unwrap()), ("[CAPABILITY IMAP4rev1] in".to_owned(), "* 1 EX".to_owned()));
    let heard = site.heard.lock().unwrap();
    assert_eq!(heard.said, "P1 AUTHENTICATE EXTERNAL QWxpY2VAZXhhbXBsZS50ZXN0\r\n");
    let [(callee, behalf_of)] = heard.calls.as_slice() else { panic!("one call") };
    assert_eq!((callee.port, callee.security, *behalf_of), (1143, CallSecurity::Cluster, Some(who().peer)));
}

#[test]
fn a_pop3_session_is_entered_as_the_account() {
    let site = Site::new(&["+OK hi\r\n", "+OK 2 messages\r\n"], Then::Silent);
    assert_eq!(there(site.pop3().unwrap().unwrap()), ("2 messages".to_owned(), String::new()));
    let heard = site.heard.lock().unwrap();
    assert_eq!(heard.said, "AUTH EXTERNAL QWxpY2VAZXhhbXBsZS50ZXN0\r\n");
    assert_eq!(heard.calls.first().unwrap().0.port, 1110);
}

#[test]
fn what_a_client_said_before_its_login_is_said_again() {
    let site = Site::new(&["+OK hi\r\n", "+OK utf8\r\n", "+OK 2 messages\r\n+OK"], Then::Silent);
    let there = there(site.pop3_in(Mode::Utf8).unwrap().unwrap());
    assert_eq!(there, ("2 messages".to_owned(), "+OK".to_owned()));
    assert_eq!(site.heard.lock().unwrap().said, "UTF8\r\nAUTH EXTERNAL QWxpY2VAZXhhbXBsZS50ZXN0\r\n");
    let site = Site::new(&["+OK hi\r\n", "-ERR what?\r\n"], Then::Silent);
    assert_eq!(site.pop3_in(Mode::Utf8).err().unwrap().why, "it refused us: what?", "the client was promised it");
}

#[test]
fn a_maildrop_in_use_is_told_apart() {
    let site = Site::new(&["+OK hi\r\n", "-ERR [IN-USE] somebody reads it\r\n"], Then::Silent);
    assert!(site.pop3().unwrap().is_none());
}

#[test]
fn whatever_else_happens_is_unavailable_and_says_why() {
    for (pieces, then, why) in [
        (&["* OK hi\r\n", "P1 NO [UNAVAILABLE] later\r\n"][..], Then::Silent, "it refused us: [UNAVAILABLE] later"),
        (
            &["* OK hi\r\n", "P1 NO [AUTHENTICATIONFAILED] you\r\n"],
            Then::Silent,
            "it refused us: [AUTHENTICATIONFAILED] you",
        ),
        (&["* OK hi\r\n", "P1 BAD what\r\n"], Then::Silent, "it refused us: what"),
        (&["* BYE full\r\n"], Then::Silent, "the server said BYE: full"),
        (&["* OK hi\r\n"], Then::Silent, "it took too long to let us in"),
        (&[], Then::Silent, "it took too long to let us in"),
        (&["* OK hi\r\n"], Then::HangsUp, "the server hung up"),
        (&["* OK hi\r\n"], Then::Breaks, "the connection broke: reset by peer"),
    ] {
        let refused = Site::new(pieces, then).imap().err().unwrap();
        assert_eq!((refused.what.as_str(), refused.why.as_str()), ("the node other at 192.0.2.9:1143", why));
    }
    for (pieces, why) in [
        (&["+OK hi\r\n", "-ERR [SYS/TEMP] later\r\n"][..], "it refused us: [SYS/TEMP] later"),
        (&["-ERR go away\r\n"], "it refused us: go away"),
        (&["* OK IMAP\r\n"], "what came is no answer to the login"),
    ] {
        assert_eq!(Site::new(pieces, Then::Silent).pop3().err().unwrap().why, why);
    }
    assert_eq!(Site::new(&[], Then::DoesNotAnswer).pop3().err().unwrap().why, "connection refused");
}

#[test]
fn a_store_that_is_nowhere_is_not_called() {
    let site = Site::new(&[], Then::Silent);
    let refused = finish(site.sessions.imap(&store("lost"), who())).err().unwrap();
    assert_eq!(refused.to_string(), "the store lost is not available: its record points back at us");
    assert!(site.heard.lock().unwrap().calls.is_empty());
}

#[test]
fn a_store_of_this_process_is_not_called() {
    let site = Site::new(&["* OK hi\r\n", "P1 OK in\r\n"], Then::Silent);
    let (heard, there) = (Arc::clone(&site.heard), Arc::new(site.sessions) as Arc<dyn SessionHandover>);
    let both = crate::HereOrThere::new(|store: &StoreName| store.as_str() == "near", Arc::new(Near) as _, there);
    assert_eq!(finish(both.imap(&store("near"), who())).err().unwrap().why, "this is the near one");
    assert!(heard.lock().unwrap().calls.is_empty());
    assert!(finish(both.imap(&store("far"), who())).is_ok());
    assert_eq!(heard.lock().unwrap().calls.len(), 1);
}

/// Tells itself apart.
struct Near;

impl SessionHandover for Near {
    fn imap<'a>(&'a self, store: &'a StoreName, _who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>> {
        Box::pin(async move { Err(Unavailable { what: store.to_string(), why: "this is the near one".to_owned() }) })
    }

    fn pop3<'a>(
        &'a self,
        _store: &'a StoreName,
        _who: LoggedIn,
        _mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }
}
