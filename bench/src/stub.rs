//! A back-end that does next to nothing, so that what stands in front of it is what is measured: it lets everybody in, has one
//! message, and waits. Beside it, what nginx asks for the way to it. Both on one thread of their own.

use anyhow::{Context, Result};
use bytes::Bytes;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::thread::JoinHandle;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// One that runs, until it is dropped.
pub(crate) struct Stub {
    /// Where it speaks IMAP: on every address of this machine.
    pub(crate) imap: u16,
    /// Where nginx asks (`auth_http`).
    pub(crate) auth: u16,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Starts it with one message of so many octets.
    pub(crate) fn start(octets: usize) -> Result<Self> {
        let (imap, auth) = (listen(Ipv4Addr::UNSPECIFIED)?, listen(Ipv4Addr::LOCALHOST)?);
        let ports = [port_of(&imap)?, port_of(&auth)?];
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("the stub's runtime")?;
        let (end, ended) = oneshot::channel();
        let body: Bytes = "0123456789abcdef\r\n".bytes().cycle().take(octets).collect();
        let serve = async move {
            let (imap, auth) = (TcpListener::from_std(imap)?, TcpListener::from_std(auth)?);
            tokio::select! {
                result = accept(imap, move |stream| session(stream, body.clone())) => result,
                result = accept(auth, move |stream| show_the_way(stream, ports[0])) => result,
                // Its sender was dropped.
                _ = ended => Ok(()),
            }
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                eprintln!("the stub has ended: {error:#}");
            }
        };
        let thread = std::thread::Builder::new().name("stub".to_owned()).spawn(run).context("the stub's thread")?;
        Ok(Self { imap: ports[0], auth: ports[1], end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the stub has panicked");
        }
    }
}

fn listen(address: Ipv4Addr) -> Result<StdListener> {
    let listener = StdListener::bind((address, 0)).context("a port for the stub")?;
    listener.set_nonblocking(true).context("the stub's port")?;
    Ok(listener)
}

fn port_of(listener: &StdListener) -> Result<u16> {
    Ok(listener.local_addr().context("the stub's port")?.port())
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        let serving = serve(stream);
        tokio::spawn(async move {
            // Whoever breaks off is counted at the other end.
            let _broken_off = serving.await;
        });
    }
}

async fn session(stream: TcpStream, body: Bytes) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::with_capacity(READ_OCTETS, read).lines();
    let mut talk = Talk::default();
    write.write_all(GREETING).await?;
    while let Some(line) = lines.next_line().await? {
        match talk.answer(&line) {
            Answer::Say(text) => write.write_all(text.as_bytes()).await?,
            Answer::Message { tag } => {
                write.write_all(format!("* 1 FETCH (BODY[] {{{}}}\r\n", body.len()).as_bytes()).await?;
                write.write_all(&body).await?;
                write.write_all(format!(")\r\n{tag} OK done\r\n").as_bytes()).await?;
            }
            Answer::Leave(text) => return Ok(write.write_all(text.as_bytes()).await?),
        }
    }
    Ok(())
}

enum Answer {
    Say(String),
    Message { tag: String },
    Leave(String),
}

/// What a session said that is not all yet.
#[derive(Default)]
struct Talk {
    /// The tag of a command whose rest comes on lines of their own: a literal, the response of AUTHENTICATE, DONE.
    unfinished: Option<String>,
}

impl Talk {
    fn answer(&mut self, line: &str) -> Answer {
        let (tag, verb, rest) = match self.unfinished.take() {
            Some(tag) => (tag, String::new(), line),
            None => {
                let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
                let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
                (tag.to_owned(), verb.to_ascii_uppercase(), rest)
            }
        };
        // A literal that waits for its `+`; the text behind it ends a line too, as this stub needs no lengths.
        let waits = rest.ends_with('}') && !rest.ends_with("+}");
        // AUTHENTICATE PLAIN without its response (RFC 4959).
        let asks = verb == "AUTHENTICATE" && !rest.contains(' ');
        if waits || asks || verb == "IDLE" {
            self.unfinished = Some(tag);
            return Answer::Say("+ go on\r\n".to_owned());
        }
        match verb.as_str() {
            "FETCH" => Answer::Message { tag },
            "CAPABILITY" => Answer::Say(format!("* CAPABILITY {CAPABILITIES}\r\n{tag} OK done\r\n")),
            // As servers do, so that no proxy has to ask.
            "LOGIN" | "AUTHENTICATE" => Answer::Say(format!("{tag} OK [CAPABILITY {CAPABILITIES}] done\r\n")),
            "LOGOUT" => Answer::Leave(format!("* BYE bye\r\n{tag} OK done\r\n")),
            _ => Answer::Say(format!("{tag} OK done\r\n")),
        }
    }
}

/// What nginx wants to hear: the headers of its module `mail_auth_http`.
async fn show_the_way(mut stream: TcpStream, port: u16) -> Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        if asked.len() > READ_OCTETS || stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    let answer = format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n\r\n");
    Ok(stream.write_all(answer.as_bytes()).await?)
}

/// Where a store of that number is: the stub serves them all.
pub(crate) fn address_of_store(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number.saturating_add(1))
}

/// The same at 127.0.0.1.
pub(crate) fn direct(stub: &Stub) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, stub.imap))
}

const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE] the stub is here\r\n";
const CAPABILITIES: &str = "IMAP4rev1 SASL-IR AUTH=PLAIN IDLE";
/// More than anybody says here at once.
const READ_OCTETS: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::Client;
    use std::io::{Read, Write};

    fn talk(line: &str) -> String {
        let mut talk = Talk::default();
        let said = line.split('|').map(|line| match talk.answer(line) {
            Answer::Say(text) | Answer::Leave(text) => text,
            Answer::Message { tag } => format!("{tag} message"),
        });
        said.collect()
    }

    #[test]
    fn every_proxy_gets_in_by_its_way() {
        let (go_on, welcome) = ("+ go on\r\n", format!("OK [CAPABILITY {CAPABILITIES}] done\r\n"));
        assert_eq!(talk("a LOGIN u secret"), format!("a {welcome}"));
        assert_eq!(talk("S LOGIN {1}|u {6}|secret"), format!("{go_on}{go_on}S OK done\r\n"));
        assert_eq!(talk("b AUTHENTICATE PLAIN AHUAcw=="), format!("b {welcome}"));
        assert_eq!(talk("b AUTHENTICATE PLAIN|AHUAcw=="), format!("{go_on}b OK done\r\n"));
        assert_eq!(talk("c IDLE|DONE|d FETCH 1 BODY.PEEK[]"), format!("{go_on}c OK done\r\nd message"));
    }

    #[tokio::test]
    async fn its_message_arrives_and_nginx_is_told_where() {
        let stub = Stub::start(100_000).expect("it starts");
        let mut client = Client::login(direct(&stub), "u0").await.expect("everybody may");
        let octets = client.command("FETCH 1 BODY.PEEK[]").await.expect("its message");
        assert!((100_000..100_100).contains(&octets), "{octets}");
        client.command("LOGOUT").await.expect("a good-bye");
        let mut asking = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, stub.auth)).expect("it listens");
        asking.write_all(b"GET / HTTP/1.0\r\nAuth-User: u0\r\n\r\n").expect("asked");
        let mut answer = String::new();
        asking.read_to_string(&mut answer).expect("answered");
        assert!(answer.contains(&format!("Auth-Port: {}\r\n", stub.imap)), "{answer}");
    }
}
