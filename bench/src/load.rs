//! The load: SMTP or LMTP connections that deliver preformatted messages (RFC 5321 and 2033, pipelined as RFC 2920 allows).

use crate::message::Chance;
use crate::procs::own_cpu;
use crate::server::{Server, user};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::LocalSet;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Lmtp,
}

/// What to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) message: Bytes,
    /// Recipients are drawn from so many accounts.
    pub(crate) accounts: usize,
    /// A message has so many of them, one after the other.
    pub(crate) recipients: usize,
    pub(crate) span: Duration,
    pub(crate) octets_max: usize,
    /// Messages a second over all connections; `None` is as fast as they are taken.
    pub(crate) pace: Option<f64>,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) seconds: f64,
    pub(crate) server_cpu: Duration,
    pub(crate) own_cpu: Duration,
    /// From the message's turn to its 250, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Delivered {
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }
}

/// Runs a load against a server.
pub(crate) async fn deliver(server: &Server, load: &Load) -> Result<Delivered> {
    let (server_before, own_before, start) = (server.cpu()?, own_cpu()?, Instant::now());
    let latencies = run(server.lmtp, Protocol::Lmtp, load).await?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Delivered { seconds, server_cpu: server.cpu()? - server_before, own_cpu: own_cpu()? - own_before, latencies })
}

/// Runs a load against a port; the latencies, sorted.
pub(crate) async fn run(address: SocketAddr, protocol: Protocol, load: &Load) -> Result<Vec<Duration>> {
    let set = LocalSet::new();
    let whole = set.run_until(connections(address, protocol, load));
    tokio::time::timeout(load.span + ANSWER_WAIT, whole).await.context("the server does not answer any more")?
}

async fn connections(address: SocketAddr, protocol: Protocol, load: &Load) -> Result<Vec<Duration>> {
    let shared =
        Rc::new(Shared { left: Cell::new(load.octets_max / load.message.len().max(1)), start: Instant::now() });
    let mut tasks = Vec::new();
    for number in 0..load.connections {
        tasks.push(tokio::task::spawn_local(connection(address, protocol, load.clone(), number, Rc::clone(&shared))));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.context("a connection of the load")??);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

struct Shared {
    /// Messages that may still be sent.
    left: Cell<usize>,
    start: Instant,
}

async fn connection(
    address: SocketAddr,
    protocol: Protocol,
    load: Load,
    number: usize,
    shared: Rc<Shared>,
) -> Result<Vec<Duration>> {
    let mut client = Client::connect(address, protocol).await?;
    let seed = load.seed.wrapping_mul(1000) + u64::try_from(number).expect("a count fits 64 bits");
    let mut chance = Chance::new(seed);
    let mut pace = load.pace.map(|rate| Pace::new(rate, load.connections, number));
    let mut latencies = Vec::new();
    while shared.start.elapsed() < load.span && shared.left.get() > 0 {
        shared.left.set(shared.left.get() - 1);
        // With a pace, waiting for a server that is late counts: latency runs from the message's turn.
        let turn = match &mut pace {
            Some(pace) => pace.turn(shared.start).await,
            None => Instant::now(),
        };
        let first = chance.below(load.accounts);
        let recipients: Vec<String> = (first..first + load.recipients).map(|n| user(n % load.accounts)).collect();
        client.deliver(&recipients, &load.message).await?;
        latencies.push(turn.elapsed());
    }
    Ok(latencies)
}

/// When a connection's messages have their turn.
struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    fn new(rate: f64, connections: usize, number: usize) -> Self {
        let connections = crate::stats::as_f64(connections);
        let share = crate::stats::as_f64(number) / connections;
        let interval = Duration::from_secs_f64(connections / rate);
        Self { interval, next: interval.mul_f64(share) }
    }

    async fn turn(&mut self, start: Instant) -> Instant {
        let turn = start + self.next;
        self.next += self.interval;
        tokio::time::sleep_until(turn.into()).await;
        turn
    }
}

/// One connection.
pub(crate) struct Client {
    protocol: Protocol,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting for deliveries")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        let (read, write) = stream.into_split();
        let mut client = Self { protocol, read: BufReader::new(read), write, line: Vec::new() };
        client.expect(b'2', "the greeting").await?;
        let hello = match protocol {
            Protocol::Smtp => "EHLO load.example\r\n",
            Protocol::Lmtp => "LHLO load.example\r\n",
        };
        client.write.write_all(hello.as_bytes()).await.context("writing a greeting")?;
        client.expect(b'2', "our greeting").await?;
        Ok(client)
    }

    /// Delivers one message; its text has the final dot. Two round trips, as a relay needs.
    pub(crate) async fn deliver(&mut self, recipients: &[String], message: &Bytes) -> Result<()> {
        let mut envelope = "MAIL FROM:<load@far.example>\r\n".to_owned();
        envelope.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
        envelope.push_str("DATA\r\n");
        self.write.write_all(envelope.as_bytes()).await.context("writing an envelope")?;
        self.expect(b'2', "MAIL").await?;
        for _ in recipients {
            self.expect(b'2', "RCPT").await?;
        }
        self.expect(b'3', "DATA").await?;
        self.write.write_all(message).await.context("writing a message")?;
        // RFC 2033 §4.2: LMTP answers for each recipient.
        let answers = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => recipients.len(),
        };
        for _ in 0..answers {
            self.expect(b'2', "the end of data").await?;
        }
        Ok(())
    }

    async fn expect(&mut self, digit: u8, what: &str) -> Result<()> {
        loop {
            self.line.clear();
            self.read.read_until(b'\n', &mut self.line).await.with_context(|| format!("the answer to {what}"))?;
            match self.line.as_slice() {
                [first, _, _, b'-', ..] if *first == digit => {}
                [first, _, _, b' ', ..] if *first == digit => return Ok(()),
                line => bail!("{what} was answered {:?}", String::from_utf8_lossy(line)),
            }
        }
    }
}

/// How long a server may take for what is under way when a run ends.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that takes what it is given, if `end` is its answer to the end of data; tells who the recipients were.
    async fn serve(listener: TcpListener, end: &'static str) -> Result<Vec<String>> {
        let (stream, _) = listener.accept().await?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut recipients = Vec::new();
        write.write_all(b"220 here\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let answer = match line.split(' ').next().unwrap_or_default() {
                "LHLO" | "EHLO" => "250-here\r\n250 PIPELINING\r\n",
                "MAIL" => "250 yes\r\n",
                "RCPT" => {
                    recipients.push(line);
                    "250 yes\r\n"
                }
                "DATA" => "354 go on\r\n",
                "." => end,
                _ => continue,
            };
            write.write_all(answer.as_bytes()).await?;
        }
        Ok(recipients)
    }

    /// Ten messages; how many were taken, and the recipients that the server heard.
    async fn run_against(protocol: Protocol, recipients: usize, end: &'static str) -> Result<(usize, Vec<String>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let message = crate::message::wire(500);
        let load = Load {
            connections: 1,
            octets_max: 10 * message.len(),
            message,
            accounts: 3,
            recipients,
            span: Duration::from_secs(10),
            pace: Some(10_000.0),
            seed: 1,
        };
        let server = tokio::spawn(serve(listener, end));
        let latencies = run(address, protocol, &load).await?;
        Ok((latencies.len(), server.await??))
    }

    #[tokio::test]
    async fn a_delivery_counts_when_its_250_was_read() {
        let (count, heard) = run_against(Protocol::Lmtp, 1, "250 stored\r\n").await.expect("it is taken");
        assert_eq!((count, heard.len()), (10, 10));
        let error = run_against(Protocol::Lmtp, 1, "451 later\r\n").await.expect_err("it is refused");
        assert!(format!("{error:#}").contains("the end of data was answered \"451 later"), "{error:#}");
    }

    #[tokio::test]
    async fn recipients_are_neighbours_and_lmtp_answers_for_each() {
        let (count, heard) = run_against(Protocol::Smtp, 2, "250 stored\r\n").await.expect("it is taken");
        assert_eq!((count, heard.len()), (10, 20));
        for pair in heard.chunks(2) {
            let number =
                |line: &str| line.strip_prefix("RCPT TO:<u").and_then(|rest| rest.get(..1)?.parse::<u32>().ok());
            let [first, second] = pair else { panic!("{pair:?}") };
            assert_eq!(number(first).map(|n| (n + 1) % 3), number(second));
        }
        let (count, _) = run_against(Protocol::Lmtp, 2, "250 one\r\n250 two\r\n").await.expect("it is taken");
        assert_eq!(count, 10);
        let error =
            run_against(Protocol::Lmtp, 2, "250 one\r\n451 later\r\n").await.expect_err("for one it is refused");
        assert!(format!("{error:#}").contains("451 later"), "{error:#}");
    }
}
