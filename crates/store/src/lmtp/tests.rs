//! Both ends of mail between nodes: a relay's deliveries, LMTP in memory, and a store on the simulated disk.

mod wire;

use super::*;
use crate::engine::Quota;
use crate::testing::TestWorld;
use bytes::Bytes;
use mail_types::{AccountId, Address, DeliveryId, MailboxId, ReversePath, StoreName, Uid};
use ports::{Delivery, Envelope, Receipt, Recipient};
use std::task::{Context, Waker};
use wire::{Cluster, converse};

fn account(number: u16) -> (AccountId, Address) {
    let mut id = [0xac; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    (AccountId::from_bytes(id), Address::parse(&format!("user{number}@bigisp.test")).expect("an address"))
}

fn recipient(number: u16) -> Recipient {
    let (account, address) = account(number);
    let recipient = Address::parse(&format!("alias{number}+detail@bigisp.test")).expect("an address");
    Recipient { account, address, recipient }
}

fn envelope(id: u8) -> Envelope {
    Envelope { from: ReversePath::Null, id: Some(DeliveryId::from_bytes([id; 16])), size: None }
}

struct Site {
    world: TestWorld,
    store: Arc<Store>,
    cluster: Cluster,
}

impl Site {
    fn new(seed: u64) -> Self {
        Self::with_quota(seed, |_| Quota { messages: None, octets: None })
    }

    fn with_quota(seed: u64, quota: impl Fn(&Address) -> Quota + Send + Sync + 'static) -> Self {
        let mut world = TestWorld::new(seed);
        world.options.quota = Arc::new(quota);
        let store = world.open();
        let cluster = Cluster::new(&store, Arc::clone(&world.clock) as _);
        Self { world, store, cluster }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.world.run(&self.store, future)
    }

    fn open(&self, id: u8) -> Box<dyn DeliveryTransaction> {
        let name = StoreName::parse("ingrid").expect("a name");
        self.run(self.cluster.deliveries.open(&name, envelope(id))).expect("the node answers")
    }

    /// What each recipient is told, in the end or before.
    fn deliver(&self, id: u8, to: &[u16], text: &[u8]) -> Vec<String> {
        let mut transaction = self.open(id);
        let mut said = Vec::new();
        for number in to {
            if let Err(refusal) = self.run(transaction.rcpt(recipient(*number))) {
                said.push(format!("user{number} {refusal}"));
            }
        }
        for piece in text.chunks(100_000) {
            if self.run(transaction.write(Bytes::copy_from_slice(piece))).is_err() {
                break;
            }
        }
        let answers = self.run(transaction.commit());
        said.extend(answers.into_iter().map(|answer| match answer {
            Ok(Receipt::There(_)) => "stored".to_owned(),
            Ok(Receipt::Here(_)) => panic!("the store is on another node"),
            Err(refusal) => refusal.to_string(),
        }));
        said
    }

    fn texts(&self, number: u16) -> Vec<Vec<u8>> {
        let (id, _) = account(number);
        let Ok(rows) = self.store.messages(id, MailboxId::INBOX, Uid::FIRST, 1_000) else { return Vec::new() };
        rows.iter().map(|(_, row)| self.store.read(id, row).expect("a body").to_vec()).collect()
    }
}

#[test]
fn a_message_arrives_as_it_left_in_every_chunking() {
    let text: Vec<u8> = [&b"Subject: x\r\n\r\n.\r\n..dots\r\n"[..], &b"line\r\n".repeat(30)].concat();
    for step in [1, 2, 3, 7, 100, usize::MAX] {
        let site = Site::new(1);
        site.cluster.cut_into(step);
        assert_eq!(site.deliver(1, &[1, 2], &text), ["stored", "stored"], "{step}");
        let head = b"Return-Path: <>\r\nDelivered-To: alias2+detail@bigisp.test\r\n";
        assert_eq!(site.texts(2), [[&head[..], &text].concat()], "{step}");
        assert_eq!(site.texts(1).len(), 1);
    }
}

#[test]
fn a_large_message_goes_piece_by_piece() {
    let site = Site::new(2);
    let text = b"0123456789abcdef0123456789abcdef0123456789\r\n".repeat(18_000);
    assert_eq!(site.deliver(1, &[1], &text), ["stored"]);
    assert!(site.texts(1)[0].ends_with(&text));
}

#[test]
fn an_account_that_this_node_does_not_know_is_put_off() {
    let site = Site::new(3);
    let said = site.deliver(1, &[1, 9_999, 8_888, 2], b"x\r\n");
    assert_eq!(said, ["user9999 451 4.3.0 not known yet", "user8888 451 4.3.0 lives elsewhere", "stored", "stored",]);
}

#[test]
fn what_a_node_must_say() {
    let site = Site::new(4);
    let id = "XDELIVERY=000102030405060708090a0b0c0d0e0f";
    for (said, answered) in [
        ("MAIL FROM:<>".to_owned(), "451 4.3.0"),
        (format!("MAIL FROM:<> XSTORE=bob {id}"), "451 4.3.0"),
        (format!("MAIL FROM:<> {id}"), "501 5.5.4"),
        (format!("MAIL FROM:<> XSTORE=ingrid {id}"), "250 2.1.0"),
        ("RCPT TO:<postmaster>".to_owned(), "451 4.3.0"),
        ("RCPT TO:<nobody@bigisp.test>".to_owned(), "451 4.3.0"),
        ("RCPT TO:<user1@bigisp.test> XRCPT=x".to_owned(), "501 5.5.4"),
        ("RCPT TO:<user1@bigisp.test>".to_owned(), "250 2.1.5"),
        ("DATA".to_owned(), "354 End"),
        ("hi\r\n.".to_owned(), "250 2.0.0"),
        // A new transaction names its store again.
        ("MAIL FROM:<>".to_owned(), "451 4.3.0"),
        ("RCPT TO:<user1@bigisp.test>".to_owned(), "503 5.5.1"),
    ] {
        let reply = site.run(converse(&site.cluster, &said));
        assert!(reply.starts_with(answered), "{said}: {reply}");
    }
    assert_eq!(site.texts(1), [b"Return-Path: <>\r\nDelivered-To: user1@bigisp.test\r\nhi\r\n".to_vec()]);
}

#[test]
fn a_delivery_whose_answer_was_lost_is_stored_once() {
    let site = Site::new(5);
    site.cluster.dies_behind_the_dot(true);
    let lost = "451 4.4.2 The connection to the store broke, try again later";
    assert_eq!(site.deliver(7, &[1, 2], b"once\r\n"), [lost, lost]);
    site.cluster.dies_behind_the_dot(false);
    for _ in 0..2 {
        assert_eq!(site.deliver(7, &[1, 2, 3], b"once\r\n"), ["stored", "stored", "stored"]);
    }
    assert_eq!([1, 2, 3].map(|number| site.texts(number).len()), [1, 1, 1]);
    // Another message of the same text is another message.
    assert_eq!(site.deliver(8, &[1], b"once\r\n"), ["stored"]);
    assert_eq!(site.texts(1).len(), 2);
}

#[test]
fn a_repeated_delivery_is_known_after_a_crash_of_its_node() {
    let Site { world, store, cluster } = Site::new(6);
    let site = Site { world, store, cluster };
    site.cluster.dies_behind_the_dot(true);
    site.deliver(7, &[1], b"once\r\n");
    let Site { world, store, cluster } = site;
    drop((store, cluster));
    world.disk.crash();
    let store = world.open();
    let cluster = Cluster::new(&store, Arc::clone(&world.clock) as _);
    let site = Site { world, store, cluster };
    assert_eq!(site.deliver(7, &[1], b"once\r\n"), ["stored"]);
    assert_eq!(site.texts(1).len(), 1);
}

#[test]
fn some_get_it_and_some_do_not() {
    let one = |address: &Address| Quota { messages: (address.local().as_str() == "user1").then_some(1), octets: None };
    let site = Site::with_quota(7, one);
    let full = format!("user1 {}", Refusal::MAILBOX_FULL);
    assert_eq!(site.deliver(1, &[2, 1, 3], b"x\r\n"), ["stored", "stored", "stored"]);
    site.world.settle(&site.store);
    assert_eq!(site.deliver(2, &[2, 1, 3], b"x\r\n"), [full.as_str(), "stored", "stored"]);
    assert_eq!(site.deliver(3, &[1], b"x\r\n"), [full]);
    // Whose mailbox is full of that very message has it.
    assert_eq!(site.deliver(1, &[1], b"x\r\n"), ["stored"]);
    assert_eq!([1, 2, 3].map(|number| site.texts(number).len()), [1, 2, 2]);
    assert_eq!(site.cluster.calls(), 1, "connections are kept");
}

#[test]
fn dropped_at_every_step_nothing_is_stored() {
    for steps in 0..6 {
        let site = Site::new(8);
        let mut transaction = site.open(1);
        for step in 0..steps {
            match step {
                0 | 1 => site.run(transaction.rcpt(recipient(step + 1))).expect("taken"),
                _ => site.run(transaction.write(Bytes::from_static(b"lost\r\n.\r\n"))).expect("taken"),
            }
        }
        drop(transaction);
        assert_eq!(site.deliver(2, &[1], b"kept\r\n"), ["stored"]);
        site.world.settle(&site.store);
        assert_eq!((site.texts(1).len(), site.texts(2).len()), (1, 0), "after {steps} steps");
        assert!(site.texts(1)[0].ends_with(b"kept\r\n"));
    }
}

#[test]
fn a_commit_that_nobody_waits_for_is_all_or_nothing_and_repeated_once() {
    for polls in 0..12 {
        let site = Site::new(9);
        let mut transaction = site.open(1);
        site.run(transaction.rcpt(recipient(1))).expect("taken");
        site.run(transaction.write(Bytes::from_static(b"x\r\n"))).expect("taken");
        let mut commit = transaction.commit();
        let mut done = false;
        for _ in 0..polls {
            done = done || commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if done {
                break;
            }
            site.world.step(&site.store);
        }
        drop(commit);
        site.world.settle(&site.store);
        assert!(site.texts(1).len() <= 1);
        assert_eq!(site.deliver(1, &[1], b"x\r\n"), ["stored"]);
        assert_eq!(site.texts(1).len(), 1, "after {polls} polls");
    }
}

#[test]
fn a_thousand_recipients() {
    let site = Site::new(10);
    let to: Vec<u16> = (1..=1_000).collect();
    // The journal of the tests takes little at a time, and an account that is new has mailboxes to be made.
    for some in to.chunks(50) {
        assert!(site.deliver(1, some, b"x\r\n").iter().all(|said| said == "stored"));
        site.world.settle(&site.store);
    }
    let said = site.deliver(2, &to, b"x\r\n");
    assert_eq!((said.len(), said.iter().filter(|said| *said == "stored").count()), (1_000, 1_000));
    assert!(to.iter().all(|number| site.texts(*number).len() == 2));
}
