//! Nodes and back-ends in memory: a server that says yes, unless it is told what else to say.

use crate::deliveries::{Deliveries, Lmtp};
use crate::foreign::{BackEnd, Foreign, Introducing, Protocol, Telling};
use crate::nodes::{Inside, Nodes, Reach};
use machine::Machine;
use mail_types::{Domain, NodeName, StoreName, UnixTime};
use ports::{BoxFuture, Broken, Call, CallSecurity, Callee, Caller, Clock, Introduction, Peer, Unavailable, Wire};
use smtp_proto::client::{Client, Event};
use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

/// What a node does about a command.
#[derive(Clone, Debug)]
pub(super) enum Say {
    Text(String),
    /// The connection breaks.
    Break,
    /// It closes.
    Close,
    /// Nothing, until our patience ends.
    Late,
    /// Nothing, ever.
    Never,
}

impl Say {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Some nodes, and deliveries to them.
pub(super) struct Cluster {
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) clock: Arc<TestClock>,
    known: Known,
}

/// A node for each store, of the same name.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<BTreeMap<String, NodeHandle>>>);

/// The one store `ingrid`, at a back-end with these hosts.
struct OneBackEnd {
    protocol: Protocol,
    security: CallSecurity,
    hosts: Vec<String>,
}

#[derive(Clone)]
pub(super) struct NodeHandle(Arc<Mutex<State>>);

struct State {
    script: BTreeMap<String, (Say, bool)>,
    calls: usize,
    open: usize,
    heard: Vec<String>,
    segments: Vec<String>,
    texts: Vec<String>,
    /// Whom it said yes to behind a final dot, by local part.
    promised: Vec<String>,
    step: usize,
    /// What it offers.
    offers: &'static str,
}

/// A clock that the tests move.
pub(super) struct TestClock {
    start: Instant,
    passed: Arc<Mutex<Duration>>,
}

impl Cluster {
    /// One node, with the store ingrid.
    pub(super) fn with_node() -> (Self, NodeHandle) {
        let mut cluster = Self::new();
        let node = cluster.add("ingrid");
        (cluster, node)
    }

    pub(super) fn new() -> Self {
        let (known, clock) = (Known::default(), Arc::new(TestClock::new()));
        let host = Domain::parse("relay.test").expect("a name");
        let caller = Calls { known: known.clone(), clock: Arc::clone(&clock) };
        let deliveries =
            Deliveries::new(Arc::new(known.clone()), Arc::new(caller), Arc::clone(&clock) as Arc<dyn Clock>, host);
        Self { deliveries: Arc::new(deliveries), clock, known }
    }

    /// A back-end of another make in the place of ingrid.
    pub(super) fn back_end<const N: usize>(
        protocol: Protocol,
        security: CallSecurity,
        hosts: [&str; N],
    ) -> (Self, [NodeHandle; N]) {
        let mut cluster = Self::new();
        let handles = hosts.map(|host| cluster.add(host));
        handles.iter().for_each(|host| host.offers("PIPELINING\n8BITMIME\nSIZE 1000\nENHANCEDSTATUSCODES"));
        let foreign = OneBackEnd { protocol, security, hosts: hosts.iter().map(|host| (*host).to_owned()).collect() };
        let caller = Calls { known: cluster.known.clone(), clock: Arc::clone(&cluster.clock) };
        let (clock, host) =
            (Arc::clone(&cluster.clock) as Arc<dyn Clock>, Domain::parse("relay.test").expect("a name"));
        cluster.deliveries = Arc::new(Deliveries::to_back_ends(Arc::new(foreign), Arc::new(caller), clock, host));
        (cluster, handles)
    }

    pub(super) fn add(&mut self, name: &str) -> NodeHandle {
        let node = NodeHandle(Arc::new(Mutex::new(State {
            script: BTreeMap::new(),
            calls: 0,
            open: 0,
            heard: Vec::new(),
            segments: Vec::new(),
            texts: Vec::new(),
            promised: Vec::new(),
            step: usize::MAX,
            offers: "PIPELINING\n8BITMIME\nSMTPUTF8\nSIZE 1000\nXPOSTHOUSE",
        })));
        self.known.0.lock().expect("no panic").insert(name.to_owned(), node.clone());
        node
    }
}

impl NodeHandle {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// To lines that begin so; `end N` is the answer behind the dot to the N-th who was accepted, `text` a word in the midst
    /// of the text, `connect` what a call gets.
    pub(super) fn says(&self, to: &str, say: Say) {
        self.lock().script.insert(to.to_owned(), (say, false));
    }

    pub(super) fn says_once(&self, to: &str, say: Say) {
        self.lock().script.insert(to.to_owned(), (say, true));
    }

    /// The lines behind its hello.
    pub(super) fn offers(&self, offers: &'static str) {
        self.lock().offers = offers;
    }

    pub(super) fn recovers(&self) {
        self.lock().script.clear();
    }

    /// Octets in segments of this size, both ways.
    pub(super) fn cut_into(&self, step: usize) {
        self.lock().step = step;
    }

    pub(super) fn calls(&self) -> usize {
        self.lock().calls
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.lock().heard.clone()
    }

    pub(super) fn segments(&self) -> Vec<String> {
        self.lock().segments.clone()
    }

    pub(super) fn messages(&self) -> usize {
        self.lock().texts.len()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.lock().texts.clone()
    }

    pub(super) fn promised(&self) -> Vec<String> {
        self.lock().promised.clone()
    }
}

impl State {
    fn scripted(&mut self, line: &str) -> Option<Say> {
        let matches =
            |key: &&String| line == key.as_str() || (!key.starts_with("end ") && line.starts_with(key.as_str()));
        let key = self.script.keys().find(matches)?.clone();
        let (say, once) = self.script.get(&key)?.clone();
        if once {
            self.script.remove(&key);
        }
        Some(say)
    }
}

struct Calls {
    known: Known,
    clock: Arc<TestClock>,
}

impl Nodes for Known {
    fn reach(&self, store: &StoreName, protocol: Inside) -> Reach {
        assert_eq!(protocol, Inside::Lmtp);
        if !self.0.lock().expect("no panic").contains_key(store.as_str()) {
            return Reach::Nowhere("there is no such node".to_owned());
        }
        let callee = Callee {
            hosts: Arc::from([Box::from(store.as_str())]),
            port: 24,
            security: CallSecurity::Cluster,
            introduction: Introduction::ProxyV2,
            sources: Arc::default(),
        };
        Reach::Node { name: NodeName::parse(store.as_str()).expect("a name"), callee }
    }
}

impl Foreign for OneBackEnd {
    fn find(&self, store: &StoreName, protocol: Protocol) -> BackEnd {
        if store.as_str() != "ingrid" || protocol != self.protocol {
            return BackEnd::Nowhere(format!("its record has no port for {}", protocol.name()));
        }
        let callee = |host: &String| Callee {
            hosts: Arc::from([Box::from(host.as_str())]),
            port: 24,
            security: self.security,
            introduction: Introduction::Nobody,
            sources: Arc::default(),
        };
        let hosts = self.hosts.iter().map(callee).collect();
        BackEnd::At { hosts, master: None, introducing: Introducing::Nobody, telling: Telling::ForUs }
    }

    fn all(&self, protocol: Protocol) -> Vec<StoreName> {
        if protocol == self.protocol { vec![StoreName::parse("ingrid").expect("a name")] } else { Vec::new() }
    }
}

impl Caller<Client> for Calls {
    fn call<'a>(
        &'a self,
        to: &'a Callee,
        behalf_of: Option<Peer>,
        machine: Client,
    ) -> BoxFuture<'a, Result<Lmtp, Unavailable>> {
        Box::pin(async move {
            assert!(behalf_of.is_none(), "mail is on behalf of no client");
            let node = self.known.0.lock().expect("no panic").get(&*to.hosts[0]).cloned().expect("a node");
            node.lock().calls += 1;
            let say = node.lock().scripted("connect");
            match say {
                Some(Say::Never) => return pending().await,
                Some(Say::Break | Say::Close | Say::Late) => {
                    return Err(Unavailable { what: to.to_string(), why: "connection refused".to_owned() });
                }
                Some(Say::Text(_)) | None => {}
            }
            node.lock().open += 1;
            let link = Link { output: b"220 node.test LMTP\r\n".to_vec(), ..Link::default() };
            Ok(Box::new(Connection { client: machine, node, link, clock: Arc::clone(&self.clock) }) as Lmtp)
        })
    }
}

/// A connection, both ends.
struct Connection {
    client: Client,
    node: NodeHandle,
    link: Link,
    clock: Arc<TestClock>,
}

/// The node's end.
#[derive(Default)]
struct Link {
    input: Vec<u8>,
    output: Vec<u8>,
    accepted: Vec<String>,
    text: Option<String>,
    is_smtp: bool,
    end: Option<Say>,
    /// The final dot was read: whose answer is next.
    answering: Option<usize>,
}

impl Link {
    fn hear(&mut self, node: &NodeHandle, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while self.end.is_none()
            && let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n")
        {
            let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
            self.on_line(&mut node.lock(), &String::from_utf8(line).expect("ASCII"));
        }
    }

    fn on_line(&mut self, node: &mut State, line: &str) {
        node.heard.push(line.to_owned());
        if self.text.is_some() && line != "." {
            let line = line.strip_prefix('.').unwrap_or(line);
            self.text.as_mut().expect("it is there").push_str(&format!("{line}\r\n"));
            if let Some(say) = node.scripted("text") {
                self.say(say);
            }
            return;
        }
        if let Some(text) = self.text.take() {
            node.texts.push(text);
            self.on_dot(node);
            return;
        }
        let verb = line.split(' ').next().unwrap_or_default();
        let hello = format!("250-node.test\r\n250-{}\r\n250 HELP", node.offers.replace('\n', "\r\n250-"));
        let yes = match verb {
            "LHLO" | "EHLO" => hello.as_str(),
            "STARTTLS" => "220 go",
            "DATA" if self.accepted.is_empty() => "503 5.5.1 nobody",
            "DATA" => "354 go",
            "QUIT" => "221 bye",
            _ => "250 2.0.0 ok",
        };
        let say = node.scripted(line).unwrap_or_else(|| Say::text(yes));
        let is = |begin| matches!(&say, Say::Text(text) if text.starts_with(begin));
        match verb {
            "EHLO" => self.is_smtp = true,
            "MAIL" | "RSET" => self.accepted.clear(),
            "RCPT" if is("250") => {
                let local = line.trim_start_matches("RCPT TO:<").split('@').next().unwrap_or_default();
                self.accepted.push(local.to_owned());
            }
            "DATA" if is("354") => self.text = Some(String::new()),
            _ => {}
        }
        self.say(say);
    }

    fn on_dot(&mut self, node: &mut State) {
        let accepted = std::mem::take(&mut self.accepted);
        if self.is_smtp {
            let say = node.scripted("end 0").unwrap_or_else(|| Say::text("250 2.0.0 stored"));
            if matches!(&say, Say::Text(text) if text.starts_with("250")) {
                node.promised.extend(accepted);
            }
            return self.say(say);
        }
        for (number, local) in accepted.into_iter().enumerate() {
            let say = node.scripted(&format!("end {number}")).unwrap_or_else(|| Say::text("250 2.0.0 stored"));
            if self.end.is_none() && matches!(&say, Say::Text(text) if text.starts_with("250")) {
                node.promised.push(local);
            }
            self.say(say);
        }
        self.answering = None;
    }

    fn say(&mut self, say: Say) {
        match say {
            _ if self.end.is_some() => {}
            Say::Text(text) => self.output.extend_from_slice(format!("{text}\r\n").as_bytes()),
            end @ (Say::Break | Say::Close | Say::Late | Say::Never) => self.end = Some(end),
        }
    }
}

impl Connection {
    /// What was said goes over, and what was answered comes back.
    fn move_octets(&mut self) {
        let step = self.node.lock().step;
        while let Some(octets) = self.client.poll_output() {
            self.node.lock().segments.push(String::from_utf8_lossy(&octets).into_owned());
            octets.chunks(step).for_each(|piece| self.link.hear(&self.node, piece));
        }
        for piece in std::mem::take(&mut self.link.output).chunks(step) {
            self.client.handle_input(self.clock.instant(), piece);
        }
    }
}

impl Call<Client> for Connection {
    fn machine(&mut self) -> &mut Client {
        &mut self.client
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Event>, Broken>> {
        Box::pin(async move {
            loop {
                if let Some(event) = self.client.poll_event() {
                    return Ok(Some(event));
                }
                if self.client.is_closed() {
                    return Ok(None);
                }
                self.move_octets();
                if let Some(event) = self.client.poll_event() {
                    return Ok(Some(event));
                }
                match &self.link.end {
                    Some(Say::Break) => return Err(Broken("reset by peer".to_owned())),
                    Some(Say::Close) => self.client.handle_eof(self.clock.instant()),
                    Some(Say::Never) => pending::<()>().await,
                    Some(Say::Late | Say::Text(_)) | None => {
                        let at = self.client.poll_timeout().expect("a question has a time-out");
                        self.client.handle_timeout(at);
                    }
                }
            }
        })
    }

    fn sent(&mut self) -> BoxFuture<'_, Result<Option<Event>, Broken>> {
        Box::pin(async move {
            self.move_octets();
            match (self.client.poll_event(), &self.link.end) {
                (Some(event), _) => Ok(Some(event)),
                (None, Some(Say::Break)) => Err(Broken("reset by peer".to_owned())),
                (None, _) => Ok(None),
            }
        })
    }

    fn start_tls(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        self.node.lock().heard.push("(TLS)".to_owned());
        Box::pin(async { Ok(()) })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.move_octets() })
    }

    fn into_parts(self: Box<Self>) -> (Box<dyn Wire>, Client) {
        panic!("mail does not pass through")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.node.lock().open -= 1;
    }
}

impl TestClock {
    #[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; tests only add to it")]
    fn new() -> Self {
        Self { start: Instant::now(), passed: Arc::default() }
    }

    pub(super) fn pass(&self, span: Duration) {
        *self.passed.lock().expect("no panic") += span;
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(880_127_706).after(*self.passed.lock().expect("no panic"))
    }

    fn instant(&self) -> Instant {
        self.start + *self.passed.lock().expect("no panic")
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        // Whoever moves the clock polls again.
        let passed = Arc::clone(&self.passed);
        let until = *passed.lock().expect("no panic") + span;
        Box::pin(poll_fn(
            move |_| {
                if *passed.lock().expect("no panic") < until { Poll::Pending } else { Poll::Ready(()) }
            },
        ))
    }
}
