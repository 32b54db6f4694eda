//! A back-end with two hosts, of which the first is better.

use super::*;
use crate::testing::Town;
use std::collections::BTreeMap;

struct Two;

impl Foreign for Two {
    fn find(&self, _store: &StoreName, _protocol: Protocol) -> BackEnd {
        let callee = |host: &str| Callee {
            hosts: Arc::from([host.into()]),
            port: 143,
            security: CallSecurity::Plain,
            introduction: Introduction::Nobody,
            sources: Arc::default(),
        };
        BackEnd::At { hosts: vec![callee("one"), callee("two")], master: None, introducing: Introducing::Nobody }
    }

    fn all(&self, _protocol: Protocol) -> Vec<StoreName> {
        vec![store("cyrus")]
    }
}

struct Pair {
    visits: Visits,
    clock: Arc<Turning>,
    town: Arc<Town>,
    tasks: Arc<Tasks>,
}

impl Pair {
    fn new(one: Script, two: Script) -> Self {
        let hosts = Mutex::new(BTreeMap::from([("one", one), ("two", two)]));
        let town = Arc::new(Town { hosts, heard: Arc::default() });
        let (clock, tasks) = (Turning::new(), Arc::new(Tasks::default()));
        let shared = Arc::new(Shared(Arc::clone(&clock)));
        let host = Domain::parse("proxy.example").unwrap();
        let visits = Visits::new(Arc::new(Two), Callers::all(town.clone()), shared, tasks.clone(), host);
        Self { visits, clock, town, tasks }
    }

    fn imap(&self) -> Result<Admission, Unavailable> {
        self.clock.finish(self.visits.imap(&store("cyrus"), who(Some("secret"))))
    }

    /// Who was called since the last time.
    fn called(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.town.heard.lock().unwrap().calls);
        calls.iter().flat_map(|(callee, _)| callee.hosts.iter().map(|host| host.to_string())).collect()
    }

    fn one_becomes(&self, script: Script) {
        self.town.hosts.lock().unwrap().insert("one", script);
    }

    fn run_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.0.lock().unwrap());
        tasks.into_iter().for_each(|task| self.clock.finish(task));
    }
}

const WELCOMES: Script = Script { pieces: &[GREETING, "P1 OK [CAPABILITY IMAP4rev1] in\r\n"], then: Then::Silent };
const IN: &str = "[CAPABILITY IMAP4rev1] in";
const DEAD: Script = Script { pieces: &[], then: Then::DoesNotAnswer };
const FROZEN: Script = Script { pieces: &[], then: Then::Silent };

#[test]
fn the_next_host_is_asked_where_no_login_was_said() {
    for one in [
        DEAD,
        FROZEN,
        Script { pieces: &["* BYE too many\r\n"], then: Then::Silent },
        Script { pieces: &["220 smtp\r\n"], then: Then::Silent },
        Script { pieces: &[], then: Then::Breaks },
        Script { pieces: &["* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"], then: Then::Silent },
        // It does not say what it offers.
        Script { pieces: &["* OK hi\r\n"], then: Then::Silent },
    ] {
        let pair = Pair::new(one, WELCOMES);
        assert_eq!(welcomed(pair.imap()).0, IN, "{one:?}");
        assert_eq!(pair.called(), ["one", "two"]);
        // And nobody waits for it a second time.
        assert_eq!(welcomed(pair.imap()).0, IN);
        assert_eq!(pair.called(), ["two"], "{one:?}");
    }
}

#[test]
fn pop3_goes_on_to_the_next_as_well() {
    const IN: Script =
        Script { pieces: &["+OK\r\n", "+OK list\r\nSASL PLAIN\r\n.\r\n", "+OK in\r\n"], then: Then::Silent };
    let pair = Pair::new(Script { pieces: &["-ERR [SYS/TEMP] full\r\n"], then: Then::Silent }, IN);
    let admission = pair.clock.finish(pair.visits.pop3(&store("cyrus"), who(Some("secret")), Mode::default()));
    assert_eq!(welcomed(admission).0, "in");
    assert_eq!(pair.called(), ["one", "two"]);
}

#[test]
fn what_comes_behind_the_login_is_final() {
    for (answer, then) in [
        (&[GREETING, "P1 NO [AUTHENTICATIONFAILED] no\r\n"][..], Then::Silent),
        (&[GREETING, "P1 NO [UNAVAILABLE] later\r\n"], Then::Silent),
        (&[GREETING, "* BYE now\r\n"], Then::Silent),
        (&[GREETING], Then::HangsUp),
        (&[GREETING], Then::Breaks),
        (&[GREETING], Then::Silent),
    ] {
        let pair = Pair::new(Script { pieces: answer, then }, WELCOMES);
        let admission = pair.imap();
        assert!(!matches!(admission, Ok(Admission::Welcome(_))), "{answer:?} {then:?}: {admission:?}");
        // Nor is the host left alone for it.
        assert!(pair.imap().is_err() || answer.len() > 1);
        assert_eq!(pair.called(), ["one", "one"], "{answer:?} {then:?}");
    }
}

#[test]
fn a_host_that_comes_back_is_preferred_again() {
    let pair = Pair::new(DEAD, WELCOMES);
    welcomed(pair.imap());
    pair.called();
    // After a while it is looked at, beside a login that does not wait for it.
    pair.clock.advance(Duration::from_secs(1));
    welcomed(pair.imap());
    assert_eq!(pair.called(), ["two"]);
    pair.run_tasks();
    assert_eq!(pair.called(), ["one"]);
    welcomed(pair.imap());
    assert_eq!(pair.called(), ["two"], "it is still away");
    pair.clock.advance(Duration::from_secs(1));
    pair.one_becomes(WELCOMES);
    welcomed(pair.imap());
    pair.run_tasks();
    assert_eq!(pair.called(), ["two", "one"]);
    let said = std::mem::take(&mut pair.town.heard.lock().unwrap().said);
    assert!(!said.split("P1").last().unwrap_or_default().contains("AUTHENTICATE"), "a probe shows no password: {said}");
    welcomed(pair.imap());
    assert_eq!(pair.called(), ["one"]);
}

#[test]
fn with_no_host_left_it_is_unavailable_at_once() {
    let pair = Pair::new(FROZEN, DEAD);
    let began = pair.clock.instant();
    let why = pair.imap().unwrap_err().to_string();
    assert!(why.contains("one:143: it accepted, and said nothing within 5 s; ") && why.contains("two:143"), "{why}");
    assert!(pair.clock.instant() - began < Duration::from_secs(6));
    pair.called();
    let (why, before) = (pair.imap().unwrap_err().to_string(), pair.clock.instant());
    assert!(why.matches("it did not answer a moment ago").count() == 2, "{why}");
    assert!(pair.called().is_empty() && pair.clock.instant() == before);
    // Whoever comes when the time is up tries the last one himself.
    pair.clock.advance(Duration::from_secs(1));
    pair.town.hosts.lock().unwrap().insert("two", WELCOMES);
    welcomed(pair.imap());
}
