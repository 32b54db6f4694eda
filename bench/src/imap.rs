//! An IMAP client that looks at as little as it can.

use crate::server::{DOMAIN, PASSWORD};
use anyhow::{Context, Result, bail};
use net::{ClientTls, Stream};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// One connection. What was read is thrown away, except the line that ends it.
pub(crate) struct Client {
    stream: Stream,
    buffer: Vec<u8>,
    /// The last, unfinished line.
    tail: Vec<u8>,
    wait: Duration,
}

impl Client {
    /// Connects and logs in.
    pub(crate) async fn login(address: SocketAddr, user: &str) -> Result<Self> {
        Self::enter(connect(address, TcpSocket::new_v4()?).await?, user).await
    }

    /// The same with TLS, and from that address of this machine, where one is wanted.
    pub(crate) async fn login_from(
        source: Option<IpAddr>,
        address: SocketAddr,
        tls: Option<&ClientTls>,
        user: &str,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0)).context("an address to come from")?;
        }
        let plain = connect(address, socket).await?;
        match tls {
            None => Self::enter(plain, user).await,
            Some(tls) => Self::enter(plain.connect_tls(tls, DOMAIN).await.context("TLS")?, user).await,
        }
    }

    async fn enter(stream: Stream, user: &str) -> Result<Self> {
        let buffer = vec![0; BUFFER_OCTETS_MIN];
        let mut client = Self { stream, buffer, tail: Vec::new(), wait: ANSWER_WAIT };
        client.read_until("* OK").await.context("the greeting")?;
        client.command(&format!("LOGIN {user} {PASSWORD}")).await?;
        Ok(client)
    }

    /// From now on the server may be silent for so long.
    pub(crate) fn wait_for(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Says a command and reads all of its answer; gives the answer's octets.
    pub(crate) async fn command(&mut self, command: &str) -> Result<usize> {
        self.write(format!("t {command}\r\n").as_bytes()).await.context("writing a command")?;
        self.read_until("t OK").await.with_context(|| format!("the answer to {command}"))
    }

    /// How many messages are in INBOX.
    pub(crate) async fn messages(&mut self) -> Result<usize> {
        self.write(b"t STATUS INBOX (MESSAGES)\r\n").await.context("writing a command")?;
        let mut count = None;
        let end = |text: &str| {
            let answer = text.split_once("(MESSAGES ").and_then(|(_, rest)| rest.split_once(')'));
            count = count.or_else(|| answer.and_then(|(digits, _)| digits.parse().ok()));
            last_line(text).starts_with("t OK")
        };
        self.read(end).await.context("the answer to STATUS")?;
        count.context("STATUS was answered without a count")
    }

    /// Appends a message to INBOX, in one packet with its command (RFC 7888).
    pub(crate) async fn append(&mut self, message: &[u8]) -> Result<usize> {
        let command = format!("t APPEND INBOX (\\Seen) {{{}+}}\r\n", message.len());
        let whole = [command.as_bytes(), message, b"\r\n"].concat();
        self.write(&whole).await.context("writing an APPEND")?;
        self.read_until("t OK").await.context("the answer to APPEND")
    }

    /// Says IDLE; from then on the server tells what happens.
    pub(crate) async fn idle(&mut self) -> Result<()> {
        self.write(b"t IDLE\r\n").await.context("writing IDLE")?;
        self.read_until("+").await.context("the answer to IDLE").map(|_| ())
    }

    /// Reads until a line says how many messages there are.
    pub(crate) async fn exists(&mut self) -> Result<()> {
        let tells = |line: &str| line.starts_with("* ") && line.ends_with(" EXISTS");
        self.read(|text| text.lines().any(tells)).await.map(|_| ())
    }

    /// A session that idles needs no buffer of ours.
    pub(crate) fn rest(&mut self) {
        self.buffer = Vec::new();
    }

    /// With TLS, octets may wait for a flush.
    async fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }

    async fn read_until(&mut self, start: &str) -> Result<usize> {
        self.read(|text| last_line(text).starts_with(start)).await
    }

    /// Reads until what came last, which is whole lines, is what was waited for. Octets in literals are lines too, and the
    /// messages of this load have none that looks like an answer.
    async fn read(&mut self, mut is_end: impl FnMut(&str) -> bool) -> Result<usize> {
        let mut octets = 0;
        self.buffer.resize(self.buffer.len().max(BUFFER_OCTETS_MIN), 0);
        loop {
            let read = tokio::time::timeout(self.wait, self.stream.read(&mut self.buffer)).await;
            let count = read.context("the server says nothing")?.context("reading")?;
            if count == 0 {
                bail!("the server closed the connection");
            }
            octets += count;
            let read = self.buffer.get(..count).unwrap_or_default();
            // Looking at the end only keeps the client quick.
            self.tail.extend_from_slice(read.get(count.saturating_sub(TAIL_OCTETS)..).unwrap_or_default());
            if !self.tail.ends_with(b"\n") {
                let cut = self.tail.len().saturating_sub(TAIL_OCTETS);
                self.tail.drain(..cut);
                if count == self.buffer.len() && count < BUFFER_OCTETS_MAX {
                    self.buffer.resize(BUFFER_OCTETS_MAX, 0);
                }
                continue;
            }
            let text = String::from_utf8_lossy(&self.tail);
            let (found, last) = (is_end(&text), last_line(&text).to_owned());
            let refused = ["t NO", "t BAD", "* BYE"].into_iter().any(|start| last.starts_with(start)) && !found;
            self.tail.clear();
            if refused {
                bail!("the server said {last:?}");
            }
            if found {
                return Ok(octets);
            }
        }
    }
}

async fn connect(address: SocketAddr, socket: TcpSocket) -> Result<Stream> {
    let stream = socket.connect(address).await.context("connecting to IMAP")?;
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    Ok(Stream::plain(stream))
}

fn last_line(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

/// What a short session needs, and what one that reads much gets.
const BUFFER_OCTETS_MIN: usize = 4 << 10;
const BUFFER_OCTETS_MAX: usize = 256 << 10;
/// More than any line that ends an answer has.
const TAIL_OCTETS: usize = 512;
/// A server that says nothing for so long will not.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    /// Says each text after the next line that comes, in pieces of one octet where it matters most.
    async fn serve(listener: TcpListener, answers: Vec<Vec<u8>>) -> Result<()> {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        for answer in answers {
            let (most, end) = answer.split_at(answer.len().saturating_sub(8));
            stream.write_all(most).await?;
            for octet in end {
                stream.write_all(&[*octet]).await?;
                tokio::task::yield_now().await;
            }
            let mut line = [0; 256];
            while !line.contains(&b'\n') && stream.read(&mut line).await? > 0 {}
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_answer_ends_at_its_last_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let big = format!("* 1 FETCH (BODY[] {{600006}}\r\n{}\r\n\r\n)\r\nt OK done\r\n", "x".repeat(600_000));
        let octets = big.len();
        let answers = [
            "* OK hello\r\n",
            "t OK logged in\r\n",
            &big,
            "* STATUS INBOX (MESSAGES 42)\r\nt OK done\r\n",
            "+ idling\r\n",
            "t NO never\r\n",
        ];
        let set = LocalSet::new();
        set.spawn_local(serve(listener, answers.map(|answer| answer.as_bytes().to_vec()).to_vec()));
        let talk = async {
            let mut client = Client::login(address, "u0@bench.example").await?;
            assert_eq!(client.command("FETCH 1 BODY[]").await?, octets);
            assert_eq!(client.messages().await?, 42);
            client.idle().await?;
            Ok::<_, anyhow::Error>(client.command("NOOP").await)
        };
        let refused = set.run_until(talk).await.expect("it goes well").expect_err("it is refused");
        assert!(format!("{refused:#}").contains("t NO never"), "{refused:#}");
    }
}
