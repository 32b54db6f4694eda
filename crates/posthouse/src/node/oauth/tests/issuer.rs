//! An issuer that says what a test wants it to say.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

#[derive(Clone)]
pub(super) struct Issuer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    notify: Notify,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) first: String,
    headers: Vec<String>,
    pub(super) body: String,
}

/// What it answers.
#[derive(Clone)]
pub(super) struct Said {
    /// Nothing: it never answers.
    text: Option<String>,
    /// The connection ends.
    closes: bool,
}

impl Said {
    pub(super) fn ok(json: &Value) -> Self {
        Self::status("200 OK", &json.to_string())
    }

    pub(super) fn status(status: &str, body: &str) -> Self {
        let length = body.len();
        Self { text: Some(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")), closes: false }
    }

    /// It goes without a word.
    pub(super) fn cut() -> Self {
        Self { text: Some(String::new()), closes: true }
    }

    pub(super) fn nothing() -> Self {
        Self { text: None, closes: false }
    }

    /// It goes afterwards, without having said so.
    pub(super) fn then_close_unsaid(self) -> Self {
        Self { closes: true, ..self }
    }
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = || {
            let mut line = String::new();
            (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
        };
        let first = line()?;
        let mut headers = Vec::new();
        while let Some(header) = line().filter(|line| !line.is_empty()) {
            headers.push(header);
        }
        let mut asked = Self { first, headers, body: String::new() };
        let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        asked.body = String::from_utf8(body).ok()?;
        Some(asked)
    }
}

impl Issuer {
    pub(super) fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let issuer = Self { address, seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&issuer.seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        issuer
    }

    /// These one after the other, the last for ever.
    pub(super) fn start_answering(answers: Vec<Said>) -> Self {
        let next = AtomicUsize::new(0);
        Self::start(move |_| answers[next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where nobody listens.
    pub(super) fn gone(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().expect("not poisoned").clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    pub(super) async fn was_asked(&self) {
        self.seen.notify.notified().await;
    }
}

fn serve(stream: TcpStream, seen: &Seen, answer: &dyn Fn(&Asked) -> Said) {
    let mut out = stream.try_clone().expect("a copy");
    let mut reader = BufReader::new(stream);
    while let Some(asked) = Asked::read(&mut reader) {
        let said = answer(&asked);
        seen.asked.lock().expect("not poisoned").push(asked);
        seen.notify.notify_one();
        let Some(text) = said.text else { continue };
        if out.write_all(text.as_bytes()).is_err() || said.closes {
            return;
        }
    }
}
