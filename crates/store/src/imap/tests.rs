//! Sessions over a store in memory: the machine and the handler as the driver runs them, without sockets.

mod binary;
mod deflate;
mod long;
mod model;
mod transcript;

use super::ImapSession;
use crate::engine::{FlagNames, Quota, Store};
use crate::testing::{TestWorld, account};
use bytes::Bytes;
use imap_proto::Limits;
use imap_proto::server::Server;
use machine::Machine as _;
use mail_types::{AccountId, MailboxId, MailboxName, Uid};
use ports::{Flow, Handler, LoggedIn, Peer};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A store with one account, and clients of it.
struct Site {
    world: TestWorld,
    store: Arc<Store>,
    account: AccountId,
    now: Instant,
}

/// One connection, as its client sees it.
struct Client {
    machine: Server,
    session: ImapSession,
    closed: bool,
    /// What it compresses with, once it may.
    deflate: Option<Box<deflate::Peer>>,
    /// The most that was queued at once.
    queued_octets_max: usize,
    steps: usize,
}

impl Site {
    fn new() -> Self {
        Self::with_quota(Quota::default())
    }

    /// Its account may have so much.
    fn with_quota(quota: Quota) -> Self {
        let mut world = TestWorld::new(7);
        world.options.quota = Arc::new(move |_| quota);
        let store = world.open();
        let (account, address) = account(1);
        store.ensure_account(account, &address).expect("the account is made");
        world.settle(&store);
        Self { world, store, account, now: now() }
    }

    fn client(&self) -> Client {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 143));
        let who = LoggedIn {
            account: self.account,
            address: Arc::new(account(1).1),
            peer: Peer { address: local, local, tls: true },
        };
        let mut machine = Server::new(Arc::new(Limits::default()), self.now);
        machine.logged_in();
        let session = ImapSession::new(Arc::clone(&self.store), who);
        Client { machine, session, closed: false, deflate: None, queued_octets_max: 0, steps: 0 }
    }

    /// A message comes into a mailbox by another way than this session.
    fn put(&self, mailbox: MailboxId, text: &[u8]) -> Uid {
        let mut append = self.store.append(self.account);
        let text = Bytes::copy_from_slice(text);
        let stored = self.world.run(&self.store, async move {
            append.write(text).await?;
            append.finish(mailbox, &FlagNames::default(), self.store.now()).await
        });
        stored.expect("the message is stored").2
    }

    fn mailbox(&self, name: &str) -> MailboxId {
        let name = MailboxName::parse(name).expect("a name");
        self.store.mailbox_by_name(self.account, &name).expect("rows").expect("the mailbox is there").0
    }
}

impl Client {
    /// Sends octets, and gives what comes back.
    fn send(&mut self, site: &Site, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        match &mut self.deflate {
            Some(peer) => self.machine.handle_input(site.now, &peer.deflate(bytes)),
            None => self.machine.handle_input(site.now, bytes),
        }
        while let Some(event) = self.machine.poll_event() {
            let flow = site.world.run(&site.store, self.session.on_event(&mut self.machine, event));
            self.follow(site, flow, &mut answer);
        }
        self.drain(&mut answer);
        answer
    }

    /// What comes unasked.
    fn hear(&mut self, site: &Site) -> Vec<u8> {
        let mut answer = Vec::new();
        site.world.settle(&site.store);
        let mut context = Context::from_waker(Waker::noop());
        while self.session.wake().as_mut().poll(&mut context) == Poll::Ready(()) {
            let flow = site.world.run(&site.store, self.session.on_wake(&mut self.machine));
            self.follow(site, flow, &mut answer);
        }
        answer
    }

    fn follow(&mut self, site: &Site, mut flow: Flow, answer: &mut Vec<u8>) {
        while flow == Flow::Again {
            self.drain(answer);
            self.steps += 1;
            flow = site.world.run(&site.store, self.session.resume(&mut self.machine));
        }
        self.closed |= flow == Flow::Close;
        self.drain(answer);
    }

    fn drain(&mut self, answer: &mut Vec<u8>) {
        self.queued_octets_max = self.queued_octets_max.max(self.machine.output_octets());
        while let Some(piece) = self.machine.poll_output() {
            match &mut self.deflate {
                Some(peer) => peer.inflate(&piece, answer),
                None => answer.extend_from_slice(&piece),
            }
        }
        if self.machine.is_compressed() {
            self.deflate.get_or_insert_with(Box::default);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; no test lets it pass")]
fn now() -> Instant {
    Instant::now()
}

macro_rules! transcripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            transcript::run(include_str!(concat!("tests/", stringify!($name), ".txt")));
        }
    )*};
}

transcripts! {
    append
    binary
    compress
    condstore
    expunge
    fetch
    idle
    list
    mailboxes
    moving
    multiappend
    qresync
    quota
    search
    select
    store
}
