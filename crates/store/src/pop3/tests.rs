use super::maildrop::{MESSAGE_COUNT_MAX, Message};
use super::*;
use crate::handover::LocalStores;
use crate::testing::{TestWorld, account};
use machine::Machine;
use mail_types::{Address, ReversePath, StoreName, Uid, UidSet, UidValidity};
use pop3_proto::{Config, LoginMethods, OUTPUT_OCTETS_MAX, Security, Utf8};
use ports::{Delivery, Envelope, Handler, Handover, Peer, Recipient, SessionHandover};
use std::task::{Context, Waker};
use std::time::Instant;

/// A store, its hand-over, and clients of one account.
struct Site {
    world: TestWorld,
    store: Arc<Store>,
    stores: LocalStores,
}

impl Site {
    fn new() -> Self {
        let world = TestWorld::new(7);
        let store = world.open();
        let stores = LocalStores::new([Arc::clone(&store)]);
        Self { world, store, stores }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.world.run(&self.store, future)
    }

    /// A message for account 1.
    fn deliver(&self, content: &str) {
        let (id, address) = account(1);
        let envelope = Envelope { from: ReversePath::Null, id: None, size: None };
        let content = Bytes::from(content.to_owned());
        let opened = self.run(Delivery::open(&self.stores, self.store.name(), envelope));
        let mut transaction = opened.expect("the store is here");
        let recipient = Recipient { account: id, recipient: address.clone(), address };
        self.run(transaction.rcpt(recipient)).expect("taken");
        for start in (0..content.len()).step_by(200_000) {
            let end = content.len().min(start + 200_000);
            self.run(transaction.write(content.slice(start..end))).expect("taken");
            // The journal of the tests takes little at a time.
            self.world.settle(&self.store);
        }
        let outcomes = self.run(transaction.commit());
        assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
    }

    fn hand_over(&self, store: &StoreName) -> Result<Option<Pop3Handler>, ports::Unavailable> {
        let given = self.run(self.stores.pop3(store, who(1), pop3_proto::Mode::default()))?;
        Ok(given.map(|handover| match handover {
            Handover::Here(session) => session,
            Handover::There(_) => panic!("the store is of this process"),
        }))
    }

    fn log_in(&self) -> Client<'_> {
        let session = self.hand_over(self.store.name()).expect("available").expect("nobody has the lock");
        Client::new(self, session)
    }

    fn is_locked(&self) -> bool {
        // What it gives is dropped at once.
        self.hand_over(self.store.name()).expect("available").is_none()
    }

    /// The store begins to stop.
    fn refuse_changes(&self) {
        let mut closing = std::pin::pin!(self.store.close());
        assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    fn uids(&self) -> Vec<u32> {
        let messages = self.store.messages(account(1).0, MailboxId::INBOX, Uid::FIRST, 1_000).expect("readable");
        messages.iter().map(|(uid, _)| uid.number()).collect()
    }
}

fn who(number: u8) -> LoggedIn {
    let (account, address) = account(number);
    let peer = "192.0.2.7:40000".parse().expect("an address");
    LoggedIn { account, address: std::sync::Arc::new(address), peer: Peer { address: peer, local: peer, tls: true } }
}

type Pop3Handler = Box<dyn Handler<Server>>;

/// A client, its machine and what is left of the net between them.
struct Client<'s> {
    site: &'s Site,
    machine: Server,
    session: Pop3Handler,
    /// The most octets that waited at once.
    waiting_max: usize,
}

impl<'s> Client<'s> {
    fn new(site: &'s Site, session: Pop3Handler) -> Self {
        Self::greeted(site, session, "")
    }

    /// Says something before it logs in.
    fn greeted(site: &'s Site, session: Pop3Handler, first: &str) -> Self {
        let config = Config {
            greeting: "ready".into(),
            implementation: None,
            in_clear: LoginMethods::default(),
            under_tls: LoginMethods::with_user(&[]),
            behind_login: None,
            expire: None,
            login_delay_seconds: None,
            utf8: Utf8::Offered,
        };
        let machine = Server::new(Arc::new(config), Security::Tls, now());
        let mut client = Self { site, machine, session, waiting_max: 0 };
        client.input(&format!("{first}USER user1\r\nPASS secret\r\n"));
        assert!(matches!(client.machine.poll_event(), Some(Event::Login { .. })));
        let flow = client.site.run(client.session.resume(&mut client.machine));
        assert_eq!(flow, Flow::Next);
        client
    }

    fn input(&mut self, text: &str) {
        self.machine.handle_input(now(), text.as_bytes());
    }

    fn output(&mut self) -> String {
        let mut octets = Vec::new();
        while let Some(piece) = self.machine.poll_output() {
            octets.extend_from_slice(&piece);
        }
        self.waiting_max = self.waiting_max.max(octets.len());
        String::from_utf8(octets).expect("the tests write text")
    }

    /// Sends commands and gives all that is answered.
    fn say(&mut self, commands: &str) -> String {
        self.input(&format!("{commands}\r\n"));
        let mut answer = String::new();
        while let Some(event) = self.machine.poll_event() {
            let mut flow = self.site.run(self.session.on_event(&mut self.machine, event));
            while flow == Flow::Again {
                answer.push_str(&self.output());
                flow = self.site.run(self.session.resume(&mut self.machine));
            }
            assert_eq!(flow, Flow::Next);
        }
        answer.push_str(&self.output());
        answer
    }

    fn hang_up(mut self) {
        self.site.run(self.session.on_close());
    }
}

#[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; no test looks at it")]
fn now() -> Instant {
    Instant::now()
}

/// What a delivery puts before the content, in octets.
fn head() -> String {
    format!("Return-Path: <>\r\nDelivered-To: {}\r\n", account(1).1)
}

#[test]
fn who_never_had_mail_may_log_in() {
    let site = Site::new();
    let mut client = site.log_in();
    assert_eq!(client.output(), "+OK ready\r\n+OK\r\n+OK 0 messages (0 octets)\r\n");
    assert_eq!(client.say("STAT"), "+OK 0 0\r\n");
    assert_eq!(client.say("LIST\r\nUIDL"), "+OK 0 messages (0 octets)\r\n.\r\n+OK\r\n.\r\n");
    assert_eq!(client.say("QUIT"), "+OK Goodbye\r\n");
    assert!(site.store.account(account(1).0).expect("readable").is_some());
}

#[test]
fn a_session() {
    let site = Site::new();
    let bodies =
        ["Subject: one\r\n\r\nfirst\r\n.dot\r\n", "Subject: two\r\n\r\na\r\nb\r\nc\r\n", "Subject: three\r\n\r\n"];
    bodies.iter().for_each(|body| site.deliver(body));
    let sizes = bodies.map(|body| head().len() + body.len());
    let total: usize = sizes.iter().sum();
    let mut client = site.log_in();
    client.output();

    assert_eq!(client.say("STAT"), format!("+OK 3 {total}\r\n"));
    let list =
        format!("+OK 3 messages ({total} octets)\r\n1 {}\r\n2 {}\r\n3 {}\r\n.\r\n", sizes[0], sizes[1], sizes[2]);
    assert_eq!(client.say("LIST"), list);
    assert_eq!(client.say("LIST 2"), format!("+OK 2 {}\r\n", sizes[1]));
    let uidl = client.say("UIDL");
    let validity = site.store.mailbox(account(1).0, MailboxId::INBOX).expect("readable").expect("there").uid_validity;
    assert_eq!(uidl, format!("+OK\r\n1 {validity}.1\r\n2 {validity}.2\r\n3 {validity}.3\r\n.\r\n"));
    assert_eq!(client.say("UIDL 3"), format!("+OK 3 {validity}.3\r\n"));

    let first = format!("+OK {} octets\r\n{}Subject: one\r\n\r\nfirst\r\n..dot\r\n.\r\n", sizes[0], head());
    assert_eq!(client.say("RETR 1"), first);
    let top = format!("+OK Top of message follows\r\n{}Subject: two\r\n\r\na\r\n.\r\n", head());
    assert_eq!(client.say("TOP 2 1"), top);
    for absent in ["RETR 4", "LIST 4", "UIDL 4", "TOP 4 1", "DELE 4", "DELE 4294967295"] {
        assert_eq!(client.say(absent), "-ERR No such message\r\n", "{absent}");
    }

    assert_eq!(
        client.say("DELE 1\r\nDELE 1\r\nRETR 1"),
        "+OK message 1 deleted\r\n-ERR No such message\r\n-ERR No such message\r\n"
    );
    assert_eq!(client.say("STAT"), format!("+OK 2 {}\r\n", total - sizes[0]));
    assert!(client.say("LIST").contains("\r\n2 "), "numbers stay");
    assert_eq!(client.say("RSET"), format!("+OK maildrop has 3 messages ({total} octets)\r\n"));
    assert_eq!(
        client.say("DELE 2\r\nDELE 3\r\nQUIT"),
        "+OK message 2 deleted\r\n+OK message 3 deleted\r\n+OK Goodbye\r\n"
    );
    assert_eq!(site.uids(), [1]);
    client.hang_up();

    site.deliver("Subject: four\r\n\r\n");
    let mut client = site.log_in();
    client.output();
    assert_eq!(client.say("UIDL"), format!("+OK\r\n1 {validity}.1\r\n2 {validity}.4\r\n.\r\n"));
    // Reading set no flag.
    let row = site.store.message(account(1).0, MailboxId::INBOX, Uid::FIRST).expect("readable").expect("there");
    assert_eq!(row.flags, mail_types::FlagSet::EMPTY);
}

#[test]
fn what_was_removed_is_removed_after_a_crash() {
    let site = Site::new();
    site.deliver("one");
    site.deliver("two");
    let mut client = site.log_in();
    client.output();
    assert!(client.say("DELE 1\r\nQUIT").ends_with("+OK Goodbye\r\n"));
    client.hang_up();
    site.world.disk.crash();
    let store = site.world.open();
    let left = store.messages(account(1).0, MailboxId::INBOX, Uid::FIRST, 10).expect("readable");
    assert_eq!(left.iter().map(|(uid, _)| uid.number()).collect::<Vec<_>>(), [2]);
}

#[test]
fn without_quit_nothing_goes() {
    let site = Site::new();
    site.deliver("one");
    let mut client = site.log_in();
    client.say("DELE 1");
    client.machine.handle_eof(now());
    assert_eq!(client.machine.poll_event(), None);
    client.hang_up();
    assert_eq!(site.uids(), [1]);
}

#[test]
fn an_update_that_fails_is_not_claimed() {
    let site = Site::new();
    site.deliver("one");
    let mut client = site.log_in();
    client.output();
    assert_eq!(client.say("DELE 1"), "+OK message 1 deleted\r\n");
    site.refuse_changes();
    assert_eq!(client.say("QUIT"), "-ERR [SYS/TEMP] Some deleted messages not removed\r\n");
    assert!(client.machine.is_closed());
    assert_eq!(site.uids(), [1]);
}

#[test]
fn one_session_at_a_time_and_the_lock_goes_with_it() {
    let site = Site::new();
    site.deliver("one");
    let mut client = site.log_in();
    assert!(site.is_locked());
    // Other accounts and other entrances are free.
    assert!(
        site.run(site.stores.pop3(site.store.name(), who(2), pop3_proto::Mode::default()))
            .expect("available")
            .is_some()
    );
    assert!(site.run(site.stores.imap(site.store.name(), who(1))).is_ok());
    site.deliver("two");
    assert!(client.say("STAT").contains("+OK 1 "), "the session sees what it saw at its login");
    client.hang_up();
    assert!(!site.is_locked(), "closed");

    drop(site.log_in());
    assert!(!site.is_locked(), "dropped");

    let mut client = site.log_in();
    client.say("QUIT");
    assert!(!site.is_locked(), "said goodbye, though the connection is still there");
    client.hang_up();
}

#[test]
fn a_message_that_another_client_removed() {
    let site = Site::new();
    site.deliver("one");
    site.deliver("two");
    let mut client = site.log_in();
    client.output();
    let before = client.say("STAT");
    let removed: UidSet = [Uid::FIRST].into_iter().collect();
    site.run(site.store.remove_messages(account(1).0, MailboxId::INBOX, &removed)).expect("removed");
    assert_eq!(client.say("RETR 1"), "-ERR Another client has removed this message\r\n");
    assert_eq!(client.say("STAT"), before, "it still counts");
    assert!(client.say("RETR 2").ends_with("two\r\n.\r\n"));
    assert!(client.say("DELE 1\r\nQUIT").ends_with("+OK Goodbye\r\n"));
    assert_eq!(site.uids(), [2]);
}

#[test]
fn addresses_beyond_ascii_need_utf8_mode() {
    let site = Site::new();
    let body = "From: größe@example.org\r\nSubject: Grüße\r\n\r\ntext\r\n";
    site.deliver(body);
    site.deliver("Subject: Grüße\r\n\r\nfrom a sender that never heard of RFC 6532\r\n");
    let mut legacy = site.log_in();
    legacy.output();
    for command in ["RETR 1", "TOP 1 0"] {
        assert_eq!(legacy.say(command), "-ERR [UTF8] This message can be read in UTF8 mode only\r\n", "{command}");
    }
    assert_eq!(legacy.say("LIST 1"), format!("+OK 1 {}\r\n", head().len() + body.len()), "it is there");
    assert!(legacy.say("RETR 2").contains("Subject: Grüße\r\n"), "as it came");
    legacy.say("QUIT");

    let session = site.hand_over(site.store.name()).expect("available").expect("nobody has the lock");
    let mut modern = Client::greeted(&site, session, "UTF8\r\n");
    assert!(modern.output().contains("+OK UTF-8 mode\r\n"));
    assert!(modern.say("RETR 1").ends_with(&format!("{}{body}.\r\n", head())));
}

#[test]
fn a_large_message_goes_piece_by_piece() {
    let site = Site::new();
    let line = "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n";
    let body = format!("Subject: large\r\n\r\n{}", line.repeat(40_000));
    site.deliver(&body);
    let mut client = site.log_in();
    client.output();
    let answer = client.say("RETR 1");
    assert!(answer.ends_with(&format!("{}{body}.\r\n", head())));
    assert!(client.waiting_max <= OUTPUT_OCTETS_MAX + PIECE_OCTETS, "{} octets waited", client.waiting_max);
    // TOP reads no further than it must.
    client.waiting_max = 0;
    assert!(client.say("TOP 1 0").ends_with(".\r\n"));
    assert!(client.waiting_max <= PIECE_OCTETS + 100);
}

#[test]
fn a_client_that_stalls_in_a_message_ends_the_session_without_harm() {
    let site = Site::new();
    site.deliver(&"x\r\n".repeat(300_000));
    let mut client = site.log_in();
    client.output();
    client.input("RETR 1\r\n");
    let event = client.machine.poll_event().expect("RETR");
    assert_eq!(site.run(client.session.on_event(&mut client.machine, event)), Flow::Again);
    client.machine.abort();
    client.output();
    assert_eq!(site.run(client.session.resume(&mut client.machine)), Flow::Next);
    assert!(client.machine.is_closed());
}

#[test]
fn a_long_listing_goes_piece_by_piece() {
    let site = Site::new();
    let messages: Vec<_> = (1..=100_000).map(|uid| Message::new(Uid::new(uid).expect("not zero"), 10)).collect();
    let (count, maildrop) = (messages.len(), Snapshot::new(UidValidity::MAX, messages));
    let lock = Arc::new(Maildrops::default()).lock(account(1).0);
    let session = Pop3Session { store: Arc::clone(&site.store), who: who(1), maildrop, lock, answer: Answer::Login };
    let mut client = Client::new(&site, Box::new(session));
    assert!(client.output().ends_with("+OK 100000 messages (1000000 octets)\r\n"));
    client.say("DELE 50000");
    for command in ["LIST", "UIDL"] {
        client.waiting_max = 0;
        let answer = client.say(command);
        // All but the one that is marked, between `+OK` and `.`.
        assert_eq!(answer.lines().count(), count - 1 + 2, "{command}");
        assert!(answer.ends_with("\r\n.\r\n") && !answer.contains("\r\n50000 "), "{command}");
        assert!(client.waiting_max <= OUTPUT_OCTETS_MAX + 100, "{command}: {} octets waited", client.waiting_max);
    }
    let uidl = client.say("UIDL 100000");
    assert_eq!(uidl, "+OK 100000 4294967295.100000\r\n");
    assert!(MESSAGE_COUNT_MAX < u32::MAX as usize, "every place has a number");
}

#[test]
fn a_maildrop_of_several_batches() {
    let site = Site::new();
    (0..1_001).for_each(|_| site.deliver("x"));
    let mut client = site.log_in();
    assert!(client.output().contains("+OK 1001 messages"));
    assert!(client.say("UIDL 1001").ends_with(".1001\r\n"));
}

#[test]
fn a_store_that_is_not_here_is_not_available() {
    let site = Site::new();
    let elsewhere = StoreName::parse("elsewhere").expect("a name");
    assert!(site.hand_over(&elsewhere).is_err());
    assert!(site.run(site.stores.imap(&elsewhere, who(1))).is_err());
    let envelope = Envelope { from: ReversePath::Address(Address::parse("a@b.test").unwrap()), id: None, size: None };
    let refusal = site.run(Delivery::open(&site.stores, &elsewhere, envelope)).err();
    assert_eq!(refusal, Some(smtp_proto::Refusal::TRY_LATER));
    // One that was given to another node is open here, and served no more.
    let given_away = LocalStores::new([Arc::clone(&site.store)]).owned_where(|_| false);
    assert!(given_away.store(site.store.name()).is_some() && !given_away.serves(site.store.name()));
    let unavailable = site.run(given_away.imap(site.store.name(), who(1))).err().expect("another node serves it");
    assert!(unavailable.to_string().contains("another node"), "{unavailable}");
    // A store that stops lets nobody new in, and does not say that somebody does not exist.
    site.refuse_changes();
    let unavailable = site.hand_over(site.store.name()).err().expect("it cannot make the account");
    assert!(unavailable.to_string().starts_with("store ingrid is not available"), "{unavailable}");
    assert!(!site.is_locked_after_failure());
}

impl Site {
    /// The lock of a session that never came to be is gone too.
    fn is_locked_after_failure(&self) -> bool {
        matches!(self.hand_over(self.store.name()), Ok(None))
    }
}
