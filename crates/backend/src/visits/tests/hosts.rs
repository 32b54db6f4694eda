//! A back-end with two hosts, of which the first is better.

use super::*;
use crate::testing::Town;
use std::collections::BTreeMap;

/// Whether they hear first for whom they are called.
struct Two(Introduction);

impl Two {
    fn hosts(&self) -> Vec<Callee> {
        let callee = |host: &str| Callee {
            hosts: Arc::from([host.into()]),
            port: 143,
            security: CallSecurity::Plain,
            introduction: self.0,
            sources: Arc::default(),
        };
        vec![callee("one"), callee("two")]
    }
}

impl Foreign for Two {
    fn find(&self, _store: &StoreName, _protocol: Protocol) -> BackEnd {
        BackEnd::At { hosts: self.hosts(), master: None, introducing: Introducing::Nobody, telling: Telling::ForUs }
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
        Self::with(Introduction::Nobody, one, two)
    }

    fn introduced(one: Script, two: Script) -> Self {
        Self::with(Introduction::ProxyV2, one, two)
    }

    fn with(introduction: Introduction, one: Script, two: Script) -> Self {
        let hosts = Mutex::new(BTreeMap::from([("one", one), ("two", two)]));
        let town = Arc::new(Town { hosts, heard: Arc::default() });
        let (clock, tasks) = (Turning::new(), Arc::new(Tasks::default()));
        let shared = Arc::new(Shared(Arc::clone(&clock)));
        let host = Domain::parse("proxy.example").unwrap();
        let visits = Visits::new(Arc::new(Two(introduction)), Callers::all(town.clone()), shared, tasks.clone(), host);
        Self { visits, clock, town, tasks }
    }

    fn pop3(&self, password: &str, mode: Mode) -> Result<Admission, Unavailable> {
        self.clock.finish(self.visits.pop3(&store("cyrus"), who(Some(password)), mode))
    }

    /// Somebody comes to submit, and has to go on from a host.
    fn submission_fails_at(&self, host: &str) -> bool {
        self.called();
        let _whatever_the_next_says = self.clock.finish(self.visits.submission(&store("cyrus"), who(Some("secret"))));
        self.called().first().is_some_and(|first| first == host)
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

#[test]
fn what_a_client_asks_for_keeps_no_host_away_from_others() {
    const NO_UTF8: Script =
        Script { pieces: &["+OK\r\n", "+OK list\r\nSASL PLAIN\r\n.\r\n", "-ERR what\r\n"], then: Then::Silent };
    const MUTE: Script = Script { pieces: &["+OK\r\n", "+OK list\r\nSASL PLAIN\r\n.\r\n"], then: Then::Silent };
    const USER: Script = Script { pieces: &["+OK\r\n", "+OK list\r\nUSER\r\n.\r\n"], then: Then::Silent };
    let long = "x".repeat(600);
    for (script, password, mode) in [
        (NO_UTF8, "secret", Mode::Utf8),
        (MUTE, "secret", Mode::Utf8),
        (USER, "a\nDELE 1", Mode::Ascii),
        (USER, long.as_str(), Mode::Ascii),
    ] {
        let pair = Pair::new(script, script);
        for _ in 0..2 {
            let why = pair.pop3(password, mode).unwrap_err().to_string();
            assert_eq!(pair.called(), ["one", "two"], "{why}");
        }
        let states: Vec<HostState> = pair.visits.hosts().iter().map(|report| report.state).collect();
        assert!(!states.contains(&HostState::LeftAlone), "{script:?}: {states:?}");
    }
    // Who lets nobody in is left alone.
    let nobody = Script { pieces: &["+OK\r\n", "+OK list\r\nTOP\r\n.\r\n"], then: Then::Silent };
    let pair = Pair::new(nobody, nobody);
    assert!(pair.pop3("secret", Mode::Ascii).is_err() && pair.called().len() == 2);
    assert!(pair.pop3("secret", Mode::Ascii).is_err() && pair.called().is_empty());
}

#[test]
fn one_for_tokens_and_one_for_passwords_keep_no_visitors_of_the_other_kind_away() {
    fn of(pieces: &'static [&'static str]) -> Pair {
        let script = Script { pieces, then: Then::Silent };
        Pair::new(script, script)
    }
    let cyrus = store("cyrus");
    let at = |pair: &Pair, protocol: Protocol, who: Visitor| match protocol {
        Protocol::Imap => pair.clock.finish(pair.visits.imap(&cyrus, who)),
        Protocol::Pop3 => pair.clock.finish(pair.visits.pop3(&cyrus, who, Mode::Ascii)),
        Protocol::Submission => pair.clock.finish(pair.visits.submission(&cyrus, who)),
        Protocol::Sieve => pair.clock.finish(pair.visits.sieve(&cyrus, who)),
        Protocol::Lmtp | Protocol::Smtp => panic!("nobody logs in there"),
    };
    let password = || who(Some("secret"));
    let (left_alone, well) = (true, false);
    for (pieces, protocol, who, state) in [
        (&["* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2] hi\r\n"][..], Protocol::Imap, password(), well),
        (&["+OK\r\n", "+OK list\r\nSASL XOAUTH2\r\n.\r\n"], Protocol::Pop3, password(), well),
        (&["220 hi\r\n", "250-hi\r\n250 AUTH OAUTHBEARER\r\n"], Protocol::Submission, password(), well),
        (&["\"SASL\" \"OAUTHBEARER\"\r\nOK\r\n"], Protocol::Sieve, password(), well),
        (&["* OK [CAPABILITY IMAP4rev1] hi\r\n"], Protocol::Imap, bearer(), well),
        (&["+OK\r\n", "+OK list\r\nUSER\r\n.\r\n"], Protocol::Pop3, bearer(), well),
        (&["220 hi\r\n", "250-hi\r\n250 AUTH LOGIN\r\n"], Protocol::Submission, bearer(), well),
        (&["\"SASL\" \"PLAIN\"\r\nOK\r\n"], Protocol::Sieve, bearer(), well),
        // Who has a way for neither is not.
        (&["* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"], Protocol::Imap, bearer(), left_alone),
        (&["+OK\r\n", "+OK list\r\nTOP\r\n.\r\n"], Protocol::Pop3, bearer(), left_alone),
        (&["220 hi\r\n", "250 hi\r\n"], Protocol::Submission, bearer(), left_alone),
        (&["\"SASL\" \"GSSAPI\"\r\nOK\r\n"], Protocol::Sieve, password(), left_alone),
    ] {
        let pair = of(pieces);
        assert!(at(&pair, protocol, who).is_err(), "{pieces:?}");
        assert_eq!(pair.called(), ["one", "two"], "{pieces:?}");
        let reports = pair.visits.hosts();
        let is_left = reports.iter().any(|report| report.state == HostState::LeftAlone);
        assert_eq!(is_left, state, "{pieces:?}: {reports:?}");
    }
}

#[test]
fn a_token_goes_on_to_the_next_host_until_one_has_heard_it() {
    const FOR_PASSWORDS: Script = Script { pieces: &["* OK [CAPABILITY IMAP4rev1] hi\r\n"], then: Then::Silent };
    const FOR_TOKENS: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi\r\n";
    let welcomes = Script { pieces: &[FOR_TOKENS, "P1 OK [CAPABILITY IMAP4rev1] in\r\n"], then: Then::Silent };
    let refuses = Script { pieces: &[FOR_TOKENS, "+ e30=\r\n", "P1 NO no\r\n"], then: Then::Silent };
    let dies = Script { pieces: &[FOR_TOKENS, "+ e30=\r\n"], then: Then::HangsUp };
    let imap = |pair: &Pair| pair.clock.finish(pair.visits.imap(&store("cyrus"), bearer()));
    let pair = Pair::new(FOR_PASSWORDS, welcomes);
    assert_eq!((welcomed(imap(&pair)).0.as_str(), pair.called().len()), (IN, 2));
    let pair = Pair::new(refuses, welcomes);
    assert!(matches!(imap(&pair), Ok(Admission::Refused { .. })) && pair.called() == ["one"]);
    let pair = Pair::new(dies, welcomes);
    assert!(imap(&pair).is_err() && pair.called() == ["one"]);
}

#[test]
fn what_a_host_has_against_one_address_counts_for_no_other() {
    for one in [
        FROZEN,
        Script { pieces: &["* BYE too many from there\r\n"], then: Then::Silent },
        Script { pieces: &[], then: Then::Breaks },
        Script { pieces: &[], then: Then::HangsUp },
    ] {
        let pair = Pair::introduced(one, WELCOMES);
        for _ in 0..2 {
            welcomed(pair.imap());
            assert_eq!(pair.called(), ["one", "two"], "{one:?}");
        }
        assert_eq!(pair.tasks.0.lock().unwrap().len(), 1, "one looks");
        // Called for nobody it answers.
        pair.one_becomes(WELCOMES);
        pair.run_tasks();
        welcomed(pair.imap());
        assert_eq!(pair.called(), ["one", "one"], "{one:?}");
        // And here it does not.
        let pair = Pair::introduced(one, WELCOMES);
        welcomed(pair.imap());
        pair.run_tasks();
        welcomed(pair.imap());
        assert_eq!(pair.called(), ["one", "two", "one", "two"], "{one:?}");
    }
    // Who does not even take the call was told nothing.
    let pair = Pair::introduced(DEAD, WELCOMES);
    welcomed(pair.imap());
    welcomed(pair.imap());
    assert_eq!(pair.called(), ["one", "two", "two"]);
}

#[test]
fn who_goes_away_before_a_greeting_says_nothing_where_it_may_be_late_for_him_alone() {
    for (pair, called) in
        [(Pair::new(FROZEN, WELCOMES), &["two"][..]), (Pair::introduced(FROZEN, WELCOMES), &["one", "two"])]
    {
        let name = store("cyrus");
        let mut visit = pair.visits.imap(&name, who(Some("secret")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(visit.as_mut().poll(&mut context).is_pending());
        pair.clock.advance(Duration::from_secs(2));
        drop(visit);
        pair.called();
        pair.clock.finish(async {});
        welcomed(pair.imap());
        assert_eq!(pair.called(), called);
    }
}

/// As a server of POP3 that answers a look, once and again.
const fn offering(list: &'static [&'static str]) -> Script {
    Script { pieces: list, then: Then::Silent }
}
const WITH_UTF8: Script = offering(&["+OK\r\n", "+OK list\r\nUTF8 USER\r\nSASL PLAIN\r\n.\r\n"]);
const WITHOUT: Script = offering(&["+OK\r\n", "+OK list\r\nUSER\r\n.\r\n"]);

impl Pair {
    /// One round at all hosts, to its end. By IMAP nobody understands these.
    fn look_round(&self) {
        self.clock.advance(Duration::from_secs(2));
        self.clock.finish(self.visits.look_round(&self.visits.pop3, true));
        self.run_tasks();
    }
}

#[test]
fn utf8_is_offered_once_every_host_is_known_to_have_it() {
    let pair = Pair::new(WITH_UTF8, DEAD);
    assert_eq!(pair.visits.pop3_common(), Some(Pop3Common { utf8: false }), "nobody was heard");
    pair.look_round();
    assert_eq!(pair.visits.pop3_common(), Some(Pop3Common { utf8: false }), "one was");
    pair.town.hosts.lock().unwrap().insert("two", WITH_UTF8);
    pair.look_round();
    pair.clock.advance(Duration::from_secs(2));
    assert_eq!(pair.visits.pop3_common(), Some(Pop3Common { utf8: true }));
    // It goes away for a while: what it had it will have.
    pair.one_becomes(DEAD);
    pair.look_round();
    pair.clock.advance(Duration::from_secs(2));
    assert_eq!(pair.visits.pop3_common(), Some(Pop3Common { utf8: true }));
    // And comes back as another.
    pair.one_becomes(WITHOUT);
    pair.look_round();
    pair.clock.advance(Duration::from_secs(2));
    assert_eq!(pair.visits.pop3_common(), Some(Pop3Common { utf8: false }));
    let site = Site::new(&[], Then::Silent);
    site.stores.lock().unwrap().clear();
    assert_eq!(site.visits.pop3_common(), None, "no back-end has POP3");
}

#[test]
fn what_a_submission_server_lacks_is_not_offered() {
    const OLD: Script = offering(&["220 old\r\n", "250-old\r\n250-PIPELINING\r\n250 SIZE 100\r\n"]);
    const NEW: Script =
        offering(&["220 new\r\n", "250-new\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"]);
    let look = |pair: &Pair| {
        pair.clock.advance(Duration::from_secs(2));
        pair.clock.finish(pair.visits.look_round(&pair.visits.submission, true));
        pair.run_tasks();
        pair.clock.advance(Duration::from_secs(2));
    };
    let pair = Pair::new(DEAD, NEW);
    assert_eq!(pair.visits.submission_common(), None, "nobody was heard");
    look(&pair);
    let common = SubmissionCommon { pipelining: true, eight_bit: true, enhanced_codes: true, size: false };
    assert_eq!(pair.visits.submission_common(), Some(common));
    assert!(pair.town.heard.lock().unwrap().said.ends_with("QUIT\r\n"), "a look ends politely");
    pair.one_becomes(OLD);
    look(&pair);
    let common = SubmissionCommon { eight_bit: false, enhanced_codes: false, ..common };
    assert_eq!(pair.visits.submission_common(), Some(common));
}

#[test]
fn what_came_of_visits_is_counted_and_told() {
    let pair = Pair::new(DEAD, WELCOMES);
    let states = || pair.visits.hosts().iter().take(2).map(|report| report.state).collect::<Vec<_>>();
    assert_eq!(states(), [HostState::Unknown, HostState::Unknown]);
    welcomed(pair.imap());
    assert_eq!(states(), [HostState::LeftAlone, HostState::Up]);
    let reports = pair.visits.hosts();
    let [one, two, ..] = reports.as_slice() else { panic!("two hosts: {reports:?}") };
    assert_eq!((one.host.as_str(), one.failures, two.failures), ("one:143", 1, 0));
    assert_eq!(one.last_failure.as_ref().map(|(_, why)| why.as_str()), Some("connection refused"));
    pair.town.hosts.lock().unwrap().insert("two", Script { pieces: &[GREETING, "P1 NO no\r\n"], then: Then::Silent });
    assert!(matches!(pair.imap(), Ok(Admission::Refused { .. })));
    pair.town.hosts.lock().unwrap().insert("two", DEAD);
    assert!(pair.imap().is_err());
    let counts: Vec<_> =
        pair.visits.logins().into_iter().map(|(_, _, outcome, count)| (outcome.name(), count)).collect();
    assert_eq!(counts, [("success", 1), ("failure", 1), ("in-use", 0), ("unavailable", 1)]);
}

#[test]
fn a_host_that_failed_is_looked_at_each_minute_and_one_that_is_well_is_not() {
    const SMTP: Script = offering(&["220 back.example\r\n", "250-back.example\r\n250 AUTH PLAIN\r\n", "235 in\r\n"]);
    let pair = Pair::new(SMTP, SMTP);
    let mut tend = std::pin::pin!(pair.visits.tend());
    // As long as it takes, and no user comes.
    let mut pass = |span| {
        let asleep = Shared(Arc::clone(&pair.clock)).sleep(span);
        pair.clock.finish(async {
            tokio::select! {
                () = tend.as_mut() => {}
                () = asleep => {}
            }
        });
        pair.run_tasks();
    };
    let submission = || {
        let reports = pair.visits.hosts().into_iter().filter(|report| report.protocol == Protocol::Submission);
        reports.map(|report| report.state).collect::<Vec<_>>()
    };
    pass(Duration::from_secs(10));
    assert_eq!(submission(), [HostState::Up, HostState::Up]);
    pair.one_becomes(DEAD);
    assert!(pair.submission_fails_at("one"));
    assert_eq!(submission(), [HostState::LeftAlone, HostState::Up]);
    pair.called();
    // By the three other protocols neither host answers what is understood.
    let calls_in_a_round = ["one", "two", "one", "two", "one", "one", "two"];
    pass(LOOK_ROUND_SPAN + LOOK_ROUND_SPAN / 4);
    assert_eq!(pair.called(), calls_in_a_round, "one is still away");
    assert_eq!(submission(), [HostState::LeftAlone, HostState::Up]);
    pair.one_becomes(SMTP);
    pass(LOOK_ROUND_SPAN);
    assert_eq!(pair.called(), calls_in_a_round);
    assert_eq!(submission(), [HostState::Up, HostState::Up]);
    pass(LOOK_ROUND_SPAN);
    assert_eq!(pair.called(), ["one", "two", "one", "two", "one", "two"]);
}
