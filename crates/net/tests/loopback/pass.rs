//! Sessions that pass through to a back-end.

use crate::tls::Certificate;
use crate::toy::{Toy, drain, expect, pair, say};
use bytes::Bytes;
use net::{OUTPUT_STALL_MAX, PASS_SILENCE_MAX, SessionError, Stream, serve};
use ports::{BoxFuture, Flow, Handler, Passage, Track, Wire};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// What a test sees and moves of a session that passes.
#[derive(Clone, Default)]
struct Watch {
    up: Arc<AtomicUsize>,
    down: Arc<AtomicUsize>,
    /// The first octets that were shown, in order; those of the back-end in brackets.
    first: Arc<Mutex<String>>,
    /// How many octets of the back-end's need not be shown, and how many were not.
    opaque: Arc<AtomicU64>,
    skipped: Arc<AtomicUsize>,
    may_speak: Arc<AtomicBool>,
    farewell: Arc<AtomicBool>,
    /// Why the back-end was lost; one that simply ended is `Some(None)`.
    lost: Arc<Mutex<Option<Option<String>>>>,
    wake: Arc<Notify>,
}

impl Watch {
    fn note(&self, octets: &[u8], brackets: [&str; 2]) {
        let mut first = self.first.lock().expect("nobody panics with it");
        if first.len() < 64 && !octets.is_empty() {
            let start = String::from_utf8_lossy(octets.get(..16).unwrap_or(octets));
            first.push_str(&[brackets[0], &start, brackets[1]].concat());
        }
    }
}

impl Track for Watch {
    fn from_client(&mut self, octets: &[u8]) {
        self.note(octets, ["", ""]);
        self.up.fetch_add(octets.len(), Ordering::Relaxed);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        self.note(octets, ["[", "]"]);
        self.down.fetch_add(octets.len(), Ordering::Relaxed);
        let shown = u64::try_from(octets.len()).expect("a count");
        // What announces them is not among them.
        if !octets.starts_with(LITERAL) {
            let less = |opaque: u64| Some(opaque.saturating_sub(shown));
            self.opaque.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).expect("always");
        }
        // A line of the back-end's that says so.
        if octets.ends_with(b"speak\r\n") {
            self.may_speak.store(true, Ordering::Relaxed);
        }
    }

    fn opaque(&self) -> u64 {
        self.opaque.load(Ordering::Relaxed)
    }

    fn skipped(&mut self, octets: u64) {
        let opaque = self.opaque.fetch_sub(octets, Ordering::Relaxed);
        assert!(octets <= opaque, "no more than need not be shown");
        self.skipped.fetch_add(usize::try_from(octets).expect("a count"), Ordering::Relaxed);
    }

    fn may_speak(&self) -> bool {
        self.may_speak.load(Ordering::Relaxed)
    }

    fn farewell(&self) -> Bytes {
        Bytes::from_static(if self.farewell.load(Ordering::Relaxed) { b"farewell\r\n" } else { b"" })
    }

    fn lost(&mut self, why: Option<&str>) {
        *self.lost.lock().expect("nobody panics with it") = Some(why.map(str::to_owned));
    }
}

/// Passes through after the first line.
struct Role {
    wire: Option<Box<dyn Wire>>,
    unsent: Bytes,
    unsaid: Bytes,
    watch: Watch,
    closed: Option<oneshot::Sender<()>>,
}

impl Handler<Toy> for Role {
    fn on_event<'a>(&'a mut self, toy: &'a mut Toy, line: String) -> BoxFuture<'a, Flow> {
        toy.say(format!("welcome {line}\r\n"));
        self.unsent = toy.take_input();
        Box::pin(async { Flow::Pass })
    }

    fn passage(&mut self) -> Option<Passage> {
        let wire = self.wire.take()?;
        let (unsent, unsaid) = (std::mem::take(&mut self.unsent), std::mem::take(&mut self.unsaid));
        Some(Passage { wire, unsent, unsaid, track: Box::new(self.watch.clone()) })
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.watch.wake.notified())
    }

    fn on_wake<'a>(&'a mut self, toy: &'a mut Toy) -> BoxFuture<'a, Flow> {
        toy.say("we stop\r\n");
        Box::pin(async { Flow::Close })
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        let _ = self.closed.take().map(|closed| closed.send(()));
        Box::pin(async {})
    }
}

type Ended = JoinHandle<Result<(), SessionError>>;

/// A client and a back-end with a session between them that passes already.
struct Passed {
    client: TcpStream,
    backend: TcpStream,
    session: Ended,
    watch: Watch,
    closed: oneshot::Receiver<()>,
}

async fn passed(watch: &Watch) -> Passed {
    let (server, mut client) = pair().await;
    let (wire, backend) = pair().await;
    let (tell, closed) = oneshot::channel();
    let session = begin(Stream::plain(server), Stream::plain(wire), "", watch, tell);
    say(&mut client, "ann\r\n").await;
    expect(&mut client, "welcome ann\r\n").await;
    Passed { client, backend, session, watch: watch.clone(), closed }
}

fn begin(server: Stream, wire: Stream, unsaid: &'static str, watch: &Watch, closed: oneshot::Sender<()>) -> Ended {
    tokio::spawn(serve(server, Toy::default(), role(wire, unsaid, watch, closed), None))
}

fn role(wire: Stream, unsaid: &'static str, watch: &Watch, closed: oneshot::Sender<()>) -> Role {
    Role {
        wire: Some(Box::new(wire)),
        unsent: Bytes::new(),
        unsaid: Bytes::from_static(unsaid.as_bytes()),
        watch: watch.clone(),
        closed: Some(closed),
    }
}

/// Octets that tell where they are.
fn octets(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at / 251 + at) % 251).unwrap_or(0) ^ seed).collect()
}

/// Sends all of it, in pieces of many sizes, and meanwhile expects all of that.
async fn exchange<S: AsyncRead + AsyncWrite + Send + 'static>(end: S, send: Vec<u8>, hear: Vec<u8>) {
    let (mut reads, mut writes) = tokio::io::split(end);
    let writing = async move {
        let (mut left, mut size) = (&send[..], 1);
        while !left.is_empty() {
            size = (size * 7 + 3) % 9001;
            let (piece, rest) = left.split_at(size.min(left.len()));
            writes.write_all(piece).await.expect("written");
            writes.flush().await.expect("flushed");
            left = rest;
        }
        writes
    };
    let reading = async move {
        let mut heard = vec![0; hear.len()];
        reads.read_exact(&mut heard).await.expect("as many octets");
        assert!(heard == hear, "each octet at its place");
        reads
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn what_came_early_goes_first() {
    let watch = Watch::default();
    let (server, mut client) = pair().await;
    let (wire, mut backend) = pair().await;
    let _session = begin(Stream::plain(server), Stream::plain(wire), "unsaid\r\n", &watch, oneshot::channel().0);
    say(&mut client, "ann\r\nunsent\r\n").await;
    expect(&mut client, "welcome ann\r\nunsaid\r\n").await;
    expect(&mut backend, "unsent\r\n").await;
    say(&mut backend, "more\r\n").await;
    expect(&mut client, "more\r\n").await;
    say(&mut client, "later\r\n").await;
    expect(&mut backend, "later\r\n").await;
    assert_eq!(*watch.first.lock().unwrap(), "[unsaid\r\n]unsent\r\n[more\r\n]later\r\n");
}

#[tokio::test]
async fn octets_pass_whatever_their_pieces() {
    let Passed { client, backend, watch, .. } = passed(&Watch::default()).await;
    client.set_nodelay(true).expect("set");
    let (ours, theirs) = (octets(300_000, 0), octets(200_000, 0x80));
    tokio::join!(exchange(client, ours.clone(), theirs.clone()), exchange(backend, theirs, ours));
    assert_eq!((watch.up.load(Ordering::Relaxed), watch.down.load(Ordering::Relaxed)), (300_000, 200_000));
}

#[tokio::test]
async fn octets_pass_with_tls_at_both_ends() {
    let certificate = Certificate::new("mail.example");
    let (tls, anybody) = (certificate.server(), certificate.client());
    let secure = async || {
        let (server, client) = pair().await;
        let (accepted, connected) = tokio::join!(
            Stream::plain(server).accept_tls(&tls),
            Stream::plain(client).connect_tls(&anybody, "mail.example")
        );
        (accepted.expect("a handshake"), connected.expect("a handshake"))
    };
    let ((server, mut client), (backend, wire)) = (secure().await, secure().await);
    let _session = begin(server, wire, "", &Watch::default(), oneshot::channel().0);
    say(&mut client, "ann\r\n").await;
    expect(&mut client, "welcome ann\r\n").await;
    let (ours, theirs) = (octets(3_000_000, 0), octets(2_000_000, 0x80));
    tokio::join!(exchange(client, ours.clone(), theirs.clone()), exchange(backend, theirs, ours));
}

/// Both send 100 MB before either reads a thing beyond what it must.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_full_directions_do_not_wait_for_each_other() {
    let Passed { client, backend, session, watch, .. } = passed(&Watch::default()).await;
    let send = |end: TcpStream| {
        let (mut reads, mut writes) = end.into_split();
        let writing = tokio::spawn(async move {
            for _ in 0..HUNDRED_MB / PIECE.len() {
                writes.write_all(PIECE).await.expect("written");
            }
            writes.shutdown().await.expect("half closed");
        });
        async move {
            let (mut heard, mut buffer) = (0, vec![0; 64 * 1024]);
            loop {
                match reads.read(&mut buffer).await.expect("more") {
                    0 => break,
                    octets => heard += octets,
                }
            }
            writing.await.expect("no panic");
            heard
        }
    };
    let (client, backend) = tokio::join!(tokio::spawn(send(client)), tokio::spawn(send(backend)));
    assert_eq!((client.unwrap(), backend.unwrap()), (HUNDRED_MB, HUNDRED_MB));
    session.await.expect("no panic").expect("a polite end");
    assert_eq!((watch.up.load(Ordering::Relaxed), watch.down.load(Ordering::Relaxed)), (HUNDRED_MB, HUNDRED_MB));
}

/// A session whose back-end has announced so many octets that nobody need see.
async fn announced(octets: usize) -> Passed {
    let mut passed = passed(&Watch::default()).await;
    passed.watch.opaque.store(u64::try_from(octets).expect("a count"), Ordering::Relaxed);
    say(&mut passed.backend, "literal\r\n").await;
    expect(&mut passed.client, "literal\r\n").await;
    passed
}

#[tokio::test]
async fn what_nobody_need_see_passes_unseen_and_whole() {
    let Passed { client, mut backend, watch, .. } = announced(10_000_000).await;
    let mut answer = octets(10_000_000, 0);
    answer.extend_from_slice(b")\r\ndone\r\n");
    let (mut reads, mut writes) = client.into_split();
    let hearing = async {
        let mut heard = vec![0; answer.len()];
        reads.read_exact(&mut heard).await.expect("all of it");
        assert!(heard == answer, "each octet at its place");
    };
    let asking = async {
        writes.write_all(b"meanwhile\r\n").await.expect("written");
        writes
    };
    let (mut hears, mut says) = backend.split();
    let (written, (), _writes, ()) =
        tokio::join!(says.write_all(&answer), hearing, asking, expect(&mut hears, "meanwhile\r\n"));
    written.expect("written");
    let (shown, skipped) = (watch.down.load(Ordering::Relaxed), watch.skipped.load(Ordering::Relaxed));
    assert_eq!(shown + skipped, LITERAL.len() + answer.len(), "each octet is shown or skipped");
    assert!(skipped > 9_000_000, "{skipped}");
    assert_eq!(watch.opaque.load(Ordering::Relaxed), 0);
    say(&mut backend, "and so on\r\n").await;
    expect(&mut reads, "and so on\r\n").await;
}

#[tokio::test]
async fn a_slow_reader_gets_all_that_passes_unseen() {
    let Passed { mut client, mut backend, watch, .. } = announced(8_000_000).await;
    let answer = octets(8_000_000, 0x80);
    let reading = async {
        let mut heard = Vec::new();
        let mut piece = [0; 3_001];
        while heard.len() < answer.len() {
            let octets = client.read(&mut piece).await.expect("more");
            assert!(octets > 0, "after {}", heard.len());
            heard.extend_from_slice(&piece[..octets]);
            tokio::task::yield_now().await;
        }
        assert!(heard == answer, "each octet at its place");
    };
    let (written, ()) = tokio::join!(backend.write_all(&answer), reading);
    written.expect("written");
    assert!(watch.skipped.load(Ordering::Relaxed) > 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stalls_what_passes_unseen() {
    let Passed { client, mut backend, session, watch, .. } = announced(HUNDRED_MB).await;
    let started = tokio::time::Instant::now();
    let mut given = 0;
    while let Ok(octets) = backend.write(PIECE).await {
        given += octets;
    }
    assert!(matches!(session.await.expect("no panic"), Err(SessionError::Stalled)));
    assert!(started.elapsed() >= OUTPUT_STALL_MAX);
    assert!(given <= KERNEL_OCTETS, "{given} octets are held");
    assert!(watch.skipped.load(Ordering::Relaxed) > 0);
    drop(client);
}

#[tokio::test]
async fn a_half_closed_client_gets_what_passes_unseen() {
    let Passed { mut client, mut backend, session, .. } = announced(10_000_000).await;
    client.shutdown().await.expect("half closed");
    assert_eq!(drain(&mut backend).await, 0);
    let answer = octets(10_000_000, 0);
    let (written, heard) = tokio::join!(backend.write_all(&answer), async {
        let mut heard = vec![0; answer.len()];
        client.read_exact(&mut heard).await.expect("all of it");
        heard
    });
    written.expect("written");
    assert!(heard == answer);
    drop(backend);
    assert_eq!(drain(&mut client).await, 0);
    session.await.expect("no panic").expect("a polite end");
}

/// What came before a back-end died arrives; nothing is said behind half a literal.
#[tokio::test]
async fn a_back_end_that_dies_in_what_passes_unseen_is_gone() {
    let Passed { mut client, mut backend, session, .. } = announced(10_000_000).await;
    let half = octets(5_000_000, 0);
    let dying = async {
        backend.write_all(&half).await.expect("written");
        drop(backend);
    };
    let mut heard = Vec::new();
    let ((), read) = tokio::join!(dying, client.read_to_end(&mut heard));
    read.expect("an orderly end");
    assert!(heard == half);
    drop(client);
    session.await.expect("no panic").expect("a polite end");
}

/// A session is cut in the middle; nothing of it is heard in the next, though pipes are used again.
#[tokio::test]
async fn what_a_cut_session_had_is_nobody_elses() {
    for round in 0..5 {
        let Passed { client, mut backend, session, .. } = announced(HUNDRED_MB).await;
        // The client reads nothing: what does not fit its socket is on the way.
        let mut given = 0;
        while given < KERNEL_OCTETS
            && tokio::time::timeout(STUCK, backend.write(PIECE)).await.is_ok_and(|octets| octets.is_ok())
        {
            given += PIECE.len();
        }
        session.abort();
        assert!(session.await.expect_err("cut").is_cancelled());
        drop((client, backend));
        let Passed { mut client, mut backend, .. } = announced(1_000_000).await;
        let answer = octets(1_000_000, round);
        let mut heard = vec![0; answer.len()];
        let (written, read) = tokio::join!(backend.write_all(&answer), client.read_exact(&mut heard));
        written.and(read.map(|_| ())).expect("it passes");
        assert!(heard == answer, "in round {round}");
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_its_whole_answer() {
    let watch = Watch::default();
    watch.farewell.store(true, Ordering::Relaxed);
    let Passed { mut client, mut backend, session, closed, .. } = passed(&watch).await;
    say(&mut client, "question\r\n").await;
    client.shutdown().await.expect("half closed");
    assert_eq!(drain(&mut backend).await, "question\r\n".len());
    let answer = octets(10_000_000, 0);
    let (written, heard) = tokio::join!(backend.write_all(&answer), async {
        let mut heard = vec![0; answer.len()];
        client.read_exact(&mut heard).await.expect("all of it");
        heard
    });
    written.expect("written");
    assert!(heard == answer);
    drop(backend);
    assert_eq!(drain(&mut client).await, 0, "and no farewell: it had ended itself");
    closed.await.expect("told");
    assert_eq!(*watch.lost.lock().expect("nobody panics with it"), None, "nothing was lost");
    session.await.expect("no panic").expect("a polite end");
}

/// Thousands idle in a proxy.
#[tokio::test]
async fn a_session_has_no_room_for_what_is_rare() {
    let ((server, _client), (wire, _backend)) = (pair().await, pair().await);
    let role = role(Stream::plain(wire), "", &Watch::default(), oneshot::channel().0);
    let whole = size_of_val(&serve(Stream::plain(server), Toy::default(), role, None));
    let own = whole - size_of::<Toy>() - size_of::<Role>();
    assert!(own <= OWN_OCTETS_MAX, "{own} octets beside the machine and its role");
}

#[tokio::test]
async fn a_client_that_vanishes_takes_the_backend_with_it() {
    let Passed { client, mut backend, session, closed, .. } = passed(&Watch::default()).await;
    // A reset.
    client.set_zero_linger().expect("set");
    drop(client);
    let _how_it_ended = backend.read_to_end(&mut Vec::new()).await;
    assert!(matches!(session.await.expect("no panic"), Err(SessionError::Broken(_))));
    closed.await.expect("told");
}

#[tokio::test]
async fn the_client_is_told_when_the_backend_vanishes() {
    for (reset, may_be_told) in [(true, true), (false, true), (true, false)] {
        let watch = Watch::default();
        watch.farewell.store(may_be_told, Ordering::Relaxed);
        let Passed { mut client, mut backend, session, closed, .. } = passed(&watch).await;
        say(&mut backend, "half an answer\r\n").await;
        expect(&mut client, "half an answer\r\n").await;
        if reset {
            backend.set_zero_linger().expect("set");
        }
        drop(backend);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("an orderly end");
        assert_eq!(heard, if may_be_told { "farewell\r\n" } else { "" });
        closed.await.expect("told");
        let lost = watch.lost.lock().expect("nobody panics with it").clone().expect("it was");
        assert_eq!(lost.is_some(), reset, "{lost:?}");
        drop(client);
        session.await.expect("no panic").expect("a polite end");
    }
}

/// What a back-end says before it goes is heard, also by a client that was just talking to it.
#[tokio::test]
async fn last_words_arrive() {
    for _ in 0..50 {
        let Passed { mut client, mut backend, .. } = passed(&Watch::default()).await;
        say(&mut backend, "last words\r\n").await;
        // Unread input makes this a reset, and the next write to it fails.
        say(&mut client, "question\r\n").await;
        expect(&mut backend, "q").await;
        drop(backend);
        let _whether_it_was_taken = client.write_all(b"question\r\n").await;
        expect(&mut client, "last words\r\n").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stalls() {
    let Passed { client, mut backend, session, .. } = passed(&Watch::default()).await;
    let started = tokio::time::Instant::now();
    let mut given = 0;
    while let Ok(octets) = backend.write(PIECE).await {
        given += octets;
    }
    assert!(matches!(session.await.expect("no panic"), Err(SessionError::Stalled)));
    assert!(started.elapsed() >= OUTPUT_STALL_MAX);
    assert!(given <= KERNEL_OCTETS, "{given} octets are held");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_read_is_gone() {
    let watch = Watch::default();
    watch.farewell.store(true, Ordering::Relaxed);
    let Passed { client, backend, session, .. } = passed(&watch).await;
    let started = tokio::time::Instant::now();
    let (mut reads, mut writes) = client.into_split();
    let writing = tokio::spawn(async move { while writes.write_all(PIECE).await.is_ok() {} });
    expect(&mut reads, "farewell\r\n").await;
    assert!(started.elapsed() >= OUTPUT_STALL_MAX);
    session.await.expect("no panic").expect("a polite end");
    writing.await.expect("no panic");
    drop(backend);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_gone() {
    let watch = Watch::default();
    watch.farewell.store(true, Ordering::Relaxed);
    let Passed { mut client, backend, session, .. } = passed(&watch).await;
    let started = tokio::time::Instant::now();
    say(&mut client, "are you there?\r\n").await;
    expect(&mut client, "farewell\r\n").await;
    assert!(started.elapsed() >= PASS_SILENCE_MAX);
    drop(client);
    session.await.expect("no panic").expect("a polite end");
    drop(backend);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_end_is_left() {
    let Passed { mut client, backend, session, .. } = passed(&Watch::default()).await;
    let started = tokio::time::Instant::now();
    client.shutdown().await.expect("half closed");
    assert_eq!(drain(&mut client).await, 0);
    assert!(started.elapsed() >= net::CLOSE_SPAN_MAX);
    session.await.expect("no panic").expect("a polite end");
    drop(backend);
}

#[tokio::test]
async fn the_role_waits_until_it_may_speak_and_ends_both() {
    let Passed { mut client, mut backend, session, watch, closed } = passed(&Watch::default()).await;
    watch.wake.notify_one();
    say(&mut backend, "an answer ").await;
    expect(&mut client, "an answer ").await;
    say(&mut client, "not yet\r\n").await;
    expect(&mut backend, "not yet\r\n").await;
    say(&mut backend, "now you may speak\r\n").await;
    expect(&mut client, "now you may speak\r\nwe stop\r\n").await;
    assert_eq!((drain(&mut client).await, drain(&mut backend).await), (0, 0));
    closed.await.expect("told");
    drop(client);
    session.await.expect("no panic").expect("a polite end");
}

#[tokio::test]
async fn a_role_without_a_way_ends_the_session() {
    let (server, mut client) = pair().await;
    let role = Role { wire: None, unsent: Bytes::new(), unsaid: Bytes::new(), watch: Watch::default(), closed: None };
    let session = tokio::spawn(serve(Stream::plain(server), Toy::default(), role, None));
    say(&mut client, "ann\r\n").await;
    expect(&mut client, "welcome ann\r\n").await;
    assert_eq!(drain(&mut client).await, 0);
    drop(client);
    session.await.expect("no panic").expect("a polite end");
}

/// What announces octets that nobody need see.
const LITERAL: &[u8] = b"literal\r\n";
/// Whoever takes nothing for so long takes nothing.
const STUCK: std::time::Duration = std::time::Duration::from_millis(100);
const HUNDRED_MB: usize = 1600 * 64 * 1024;
static PIECE: &[u8] = &[b'x'; 64 * 1024];
/// What the buffers of four sockets on loopback grow to at most, generously.
const KERNEL_OCTETS: usize = 48 * 1024 * 1024;
/// What a session is, beside machine and role, while it waits or octets pass.
const OWN_OCTETS_MAX: usize = 640;
