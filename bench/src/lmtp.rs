//! The load: LMTP connections that deliver preformatted messages (RFC 2033, pipelined as RFC 2920 allows).

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

/// What to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) message: Bytes,
    /// Recipients are drawn from so many accounts.
    pub(crate) accounts: usize,
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
    let set = LocalSet::new();
    let whole = tokio::time::timeout(load.span + ANSWER_WAIT, set.run_until(run(server.lmtp, load)));
    let latencies = whole.await.context("the server does not answer any more")??;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Delivered { seconds, server_cpu: server.cpu()? - server_before, own_cpu: own_cpu()? - own_before, latencies })
}

async fn run(lmtp: SocketAddr, load: &Load) -> Result<Vec<Duration>> {
    let shared =
        Rc::new(Shared { left: Cell::new(load.octets_max / load.message.len().max(1)), start: Instant::now() });
    let mut tasks = Vec::new();
    for number in 0..load.connections {
        tasks.push(tokio::task::spawn_local(connection(lmtp, load.clone(), number, Rc::clone(&shared))));
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

async fn connection(lmtp: SocketAddr, load: Load, number: usize, shared: Rc<Shared>) -> Result<Vec<Duration>> {
    let mut client = Client::connect(lmtp).await?;
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
        client.deliver(&user(chance.below(load.accounts)), &load.message).await?;
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

/// One LMTP connection.
pub(crate) struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting to LMTP")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        let (read, write) = stream.into_split();
        let mut client = Self { read: BufReader::new(read), write, line: Vec::new() };
        client.expect(b'2', "the greeting").await?;
        client.write.write_all(b"LHLO load.example\r\n").await.context("writing LHLO")?;
        client.expect(b'2', "LHLO").await?;
        Ok(client)
    }

    /// Delivers one message; its text has the final dot. Two round trips, as a relay needs.
    pub(crate) async fn deliver(&mut self, to: &str, message: &Bytes) -> Result<()> {
        let envelope = format!("MAIL FROM:<load@far.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        self.write.write_all(envelope.as_bytes()).await.context("writing an envelope")?;
        for (digit, what) in [(b'2', "MAIL"), (b'2', "RCPT"), (b'3', "DATA")] {
            self.expect(digit, what).await?;
        }
        self.write.write_all(message).await.context("writing a message")?;
        self.expect(b'2', "the end of data").await
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

    /// A server that takes what it is given, if `end` is its answer to the end of data.
    async fn serve(listener: TcpListener, end: &'static str) -> Result<()> {
        let (stream, _) = listener.accept().await?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 here\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let answer = match line.split(' ').next().unwrap_or_default() {
                "LHLO" => "250-here\r\n250 PIPELINING\r\n",
                "MAIL" | "RCPT" => "250 yes\r\n",
                "DATA" => "354 go on\r\n",
                "." => end,
                _ => continue,
            };
            write.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    async fn run_against(end: &'static str) -> Result<Vec<Duration>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let load = Load {
            connections: 1,
            message: crate::message::wire(500),
            accounts: 3,
            span: Duration::from_secs(10),
            octets_max: 5_000,
            pace: Some(10_000.0),
            seed: 1,
        };
        let set = LocalSet::new();
        set.spawn_local(serve(listener, end));
        set.run_until(run(address, &load)).await
    }

    #[tokio::test]
    async fn a_delivery_counts_when_its_250_was_read() {
        let latencies = run_against("250 stored\r\n").await.expect("it is taken");
        assert_eq!(latencies.len(), 5_000 / crate::message::wire(500).len());
        let error = run_against("451 later\r\n").await.expect_err("it is refused");
        assert!(format!("{error:#}").contains("the end of data was answered \"451 later"), "{error:#}");
    }
}
