//! A protocol of lines, small enough to be seen through, and a role that answers it.

use bytes::Bytes;
use machine::Machine;
use net::{Stream, serve};
use ports::{BoxFuture, Flow, Handler};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

/// Gives an event for every line; after [`Toy::sink`], drops what comes and counts it.
#[derive(Debug, Default)]
pub(crate) struct Toy {
    input: Vec<u8>,
    output: VecDeque<Bytes>,
    sunk: Option<usize>,
    timeout: Option<Instant>,
    closed: bool,
}

impl Toy {
    pub(crate) fn say(&mut self, text: impl Into<Bytes>) {
        self.output.push_back(text.into());
    }

    /// What came behind the last line.
    pub(crate) fn take_input(&mut self) -> Bytes {
        std::mem::take(&mut self.input).into()
    }

    fn sink(&mut self) {
        self.sunk = Some(std::mem::take(&mut self.input).len());
    }

    fn close(&mut self) {
        self.closed = true;
    }
}

impl Machine for Toy {
    type Event = String;

    fn handle_input(&mut self, _now: Instant, bytes: &[u8]) {
        match &mut self.sunk {
            Some(count) => *count += bytes.len(),
            None => self.input.extend_from_slice(bytes),
        }
    }

    fn handle_eof(&mut self, _now: Instant) {}

    fn handle_timeout(&mut self, _now: Instant) {
        self.timeout = None;
        self.say("too slow\r\n");
        self.close();
    }

    fn poll_event(&mut self) -> Option<String> {
        let end = self.input.iter().position(|&b| b == b'\n')? + 1;
        let line: Vec<u8> = self.input.drain(..end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    fn wants_input(&self) -> bool {
        self.input.len() < 8192
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What a test sees and moves of a role.
#[derive(Clone, Debug)]
pub(crate) struct Strings {
    /// Lets go whom `hang` holds.
    pub(crate) release: Arc<Notify>,
    /// Makes the role say `news` unasked.
    pub(crate) wake: Arc<Notify>,
    /// Octets that `big` has produced.
    pub(crate) produced: Arc<AtomicUsize>,
    events: mpsc::UnboundedSender<&'static str>,
}

/// What happened to a role, in order: `tls`, `close`.
pub(crate) type Events = mpsc::UnboundedReceiver<&'static str>;

pub(crate) fn strings() -> (Strings, Events) {
    let (events, seen) = mpsc::unbounded_channel();
    let strings = Strings { release: Arc::default(), wake: Arc::default(), produced: Arc::default(), events };
    (strings, seen)
}

/// Does what the lines say.
#[derive(Debug)]
pub(crate) struct Role {
    strings: Strings,
    big_left: usize,
}

impl Role {
    pub(crate) fn new(strings: &Strings) -> Self {
        Self { strings: strings.clone(), big_left: 0 }
    }
}

impl Handler<Toy> for Role {
    fn on_event<'a>(&'a mut self, toy: &'a mut Toy, line: String) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "echo" => toy.say(format!("{rest}\r\n")),
                "big" | "sinkbig" => {
                    self.big_left = rest.parse().expect("a number");
                    if word == "sinkbig" {
                        toy.sink();
                    }
                    return Flow::Again;
                }
                "timeout" => toy.timeout = Some(Instant::now() + Duration::from_millis(5)),
                "hang" => self.strings.release.notified().await,
                "panic" => panic!("as asked"),
                "starttls" => {
                    toy.say("go\r\n");
                    return Flow::StartTls;
                }
                "quit" => {
                    toy.say("bye\r\n");
                    return Flow::Close;
                }
                other => toy.say(format!("what is {other}?\r\n")),
            }
            Flow::Next
        })
    }

    fn resume<'a>(&'a mut self, toy: &'a mut Toy) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            let piece = PIECE.len().min(self.big_left);
            self.big_left -= piece;
            self.strings.produced.fetch_add(piece, Ordering::Relaxed);
            toy.say(Bytes::from_static(PIECE).slice(..piece));
            if self.big_left > 0 { Flow::Again } else { Flow::Next }
        })
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.strings.wake.notified())
    }

    fn on_wake<'a>(&'a mut self, toy: &'a mut Toy) -> BoxFuture<'a, Flow> {
        toy.say("news\r\n");
        Box::pin(async { Flow::Next })
    }

    fn on_tls(&mut self, _toy: &mut Toy, _facts: ports::TlsFacts) {
        let _ = self.strings.events.send("tls");
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            tokio::task::yield_now().await;
            let _ = self.strings.events.send("close");
        })
    }
}

/// What `big` is made of.
pub(crate) static PIECE: &[u8] = &[b'x'; 64 * 1024];

/// A connected pair of sockets: the server's end and the client's.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("bound");
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    (accepted.expect("accepted").0, connected.expect("connected"))
}

/// A client whose server is a toy in a task of its own.
pub(crate) async fn toy_client(
    strings: &Strings,
) -> (TcpStream, tokio::task::JoinHandle<Result<(), net::SessionError>>) {
    let (server, client) = pair().await;
    let session = tokio::spawn(serve(Stream::plain(server), Toy::default(), Role::new(strings), None));
    (client, session)
}

/// Reads exactly that text.
pub(crate) async fn expect(stream: &mut (impl AsyncReadExt + Unpin), text: &str) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).await.expect("as many octets");
    assert_eq!(String::from_utf8_lossy(&read), text);
}

/// Writes that text.
pub(crate) async fn say(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
    stream.flush().await.expect("flushed");
}

/// Reads until the end; how many octets came.
pub(crate) async fn drain(stream: &mut (impl AsyncReadExt + Unpin)) -> usize {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end")
}
