//! A POP3 client that looks at as little as it can.

use crate::server::PASSWORD;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// A whole session: logs in, asks for STAT, UIDL and the first messages in one packet (RFC 2449 §6.6), quits. How many octets
/// were answered.
pub(crate) async fn session(address: SocketAddr, user: &str, retrieved: u32) -> Result<usize> {
    let whole = tokio::time::timeout(ANSWER_WAIT, talk(address, user, retrieved));
    whole.await.context("the server says nothing")?
}

async fn talk(address: SocketAddr, user: &str, retrieved: u32) -> Result<usize> {
    let stream = TcpStream::connect(address).await.context("connecting to POP3")?;
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    let (read, mut write) = stream.into_split();
    let mut answers = Answers { read: BufReader::with_capacity(BUFFER_OCTETS, read), line: Vec::new(), octets: 0 };
    answers.single("the greeting").await?;
    for command in [format!("USER {user}\r\n"), format!("PASS {PASSWORD}\r\n")] {
        write.write_all(command.as_bytes()).await.context("writing a login")?;
        answers.single("the login").await?;
    }
    let mut commands = "STAT\r\nUIDL\r\n".to_owned();
    commands.extend((1..=retrieved).map(|number| format!("RETR {number}\r\n")));
    commands.push_str("QUIT\r\n");
    write.write_all(commands.as_bytes()).await.context("writing commands")?;
    answers.single("STAT").await?;
    for _ in 0..=retrieved {
        answers.many("UIDL or RETR").await?;
    }
    answers.single("QUIT").await?;
    Ok(answers.octets)
}

struct Answers {
    read: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
    octets: usize,
}

impl Answers {
    async fn next(&mut self, what: &str) -> Result<()> {
        self.line.clear();
        let read = self.read.read_until(b'\n', &mut self.line).await;
        self.octets += read.with_context(|| format!("the answer to {what}"))?;
        if self.line.is_empty() {
            bail!("the server closed instead of answering {what}");
        }
        Ok(())
    }

    async fn single(&mut self, what: &str) -> Result<()> {
        self.next(what).await?;
        if !self.line.starts_with(b"+OK") {
            bail!("{what} was answered {:?}", String::from_utf8_lossy(&self.line));
        }
        Ok(())
    }

    async fn many(&mut self, what: &str) -> Result<()> {
        self.single(what).await?;
        while self.line != b".\r\n" {
            self.next(what).await?;
        }
        Ok(())
    }
}

const BUFFER_OCTETS: usize = 64 << 10;
/// A session that takes so long will not end.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
